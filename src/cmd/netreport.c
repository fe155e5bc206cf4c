/* weir netreport: whom to ask, from the options, the running engine or the configuration file. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/netreport.h"
#include "cmd/sandbox.h"
#include "cmd/text.h"
#include "config/conf.h"
#include "relay/wire.h"

#define STUN_PORT 3478

/* HOST:PORT, [V6]:PORT, or a host alone. */
static bool add_stun(struct report_options *r, const char *text)
{
	struct report_target *t = &r->stun[r->stun_count];
	const char *colon = strrchr(text, ':');
	size_t len = strlen(text);
	unsigned long port = STUN_PORT;
	char *end;

	if (colon && (strchr(colon, ']') || (text[0] != '[' && strchr(text, ':') != colon)))
		colon = NULL; /* an IPv6 address without a port */
	if (colon) {
		port = strtoul(colon + 1, &end, 10);
		len = (size_t)(colon - text);
		if (*end || !port || port > 65535)
			return false;
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(t->host) || r->stun_count == REPORT_SERVERS)
		return false;
	memcpy(t->host, text, len);
	t->host[len] = '\0';
	t->port = (uint16_t)port;
	for (unsigned i = 0; i < r->stun_count; i++)
		if (r->stun[i].port == t->port && !strcmp(r->stun[i].host, t->host))
			return true;
	r->stun_count++;
	return true;
}

static bool add_relay(struct report_options *r, const char *url)
{
	if (r->relay_count == REPORT_SERVERS || strlen(url) >= sizeof(r->relays[0]))
		return false;
	for (unsigned i = 0; i < r->relay_count; i++)
		if (!strcmp(r->relays[i], url))
			return true;
	snprintf(r->relays[r->relay_count++], sizeof(r->relays[0]), "%s", url);
	return true;
}

/* Where a relay is there is STUN as a rule; the engine asks there when it is told of no other. */
static void add_stun_of_relays(struct report_options *r)
{
	for (unsigned i = 0; i < r->relay_count && !r->stun_count; i++) {
		char text[REPORT_HOST + 16];
		struct relay_url url;

		if (!relay_url_parse(&url, r->relays[i]))
			continue;
		snprintf(text, sizeof(text), "[%s]:%u", url.host, STUN_PORT);
		add_stun(r, text);
	}
}

static int add_given(struct report_options *r, const struct options *o, struct error *e)
{
	for (unsigned i = 0; i < o->stun.count; i++)
		if (!add_stun(r, o->stun.items[i]))
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "--stun %s: give HOST:PORT, at most %d times", o->stun.items[i],
					  REPORT_SERVERS);
	for (unsigned i = 0; i < o->relays.count; i++) {
		struct relay_url url;

		if (!relay_url_parse(&url, o->relays.items[i]) || !add_relay(r, o->relays.items[i]))
			return error_exit(
				e, EXIT_USAGE, EINVAL,
				"--relay %s: give rel://HOST[:PORT] or rels://HOST[:PORT], at most %d times",
				o->relays.items[i], REPORT_SERVERS);
	}
	return 0;
}

static void add_of_engine(struct report_options *r, const json_t *status)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(status, "stunServers"), i, item)
		add_stun(r, json_string_value(item) ? json_string_value(item) : "");
	json_array_foreach(json_object_get(status, "relays"), i, item)
	{
		const char *url = json_string_value(json_object_get(item, "url"));

		if (url)
			add_relay(r, url);
	}
	r->fwmark = (uint32_t)json_integer_value(json_object_get(status, "fwmark"));
}

static int add_of_file(struct report_options *r, const char *word, char **ca_file, struct error *e)
{
	struct conf_messages messages = {0};
	char ifname[IFNAMSIZ], *path = NULL;
	struct conf *c;
	int n = conf_locate(word, &path, ifname, e);

	if (n)
		return n;
	c = conf_read(path, ifname, &messages);
	if (!c)
		n = error_exit(e, EXIT_CONFIG, EINVAL, "%s has errors: weir lint %s", path, path);
	for (unsigned i = 0; c && i < c->network.url_count; i++)
		add_relay(r, c->network.urls[i]);
	for (unsigned i = 0; c && i < c->network.stun_count; i++)
		add_stun(r, c->network.stun[i]);
	add_stun_of_relays(r);
	for (unsigned i = 0; c && i < c->network.turn_count; i++) {
		const struct engine_turn *t = &c->network.turn[i];
		char *text = t->tcp ? NULL : xasprintf("[%s]:%s", t->host, t->port);

		if (text)
			add_stun(r, text);
		free(text);
	}
	if (c) {
		r->fwmark = c->has_fwmark ? c->fwmark : 0;
		*ca_file = c->network.ca_file ? xstrdup(c->network.ca_file) : NULL;
	}
	conf_free(c);
	conf_messages_clear(&messages);
	free(path);
	return n;
}

/* Whom an interface uses: by its engine if one runs, else by its file. */
static int add_of_interface(struct report_options *r, const struct options *o, const char *word,
			    json_t **status, char **ca_file, struct error *e)
{
	struct client *c = command_connect(o, word, NULL, e);

	if (c) {
		*status = client_call(c, "status", json_pack("{s:b}", "peers", 0), e);
		client_close(c);
		if (!*status)
			return -EIO;
		add_of_engine(r, *status);
		return 0;
	}
	if (e->exit != EXIT_NOT_RUNNING || (!word && !o->interface))
		return -ENOENT;
	*e = (struct error){0};
	return add_of_file(r, word ? word : o->interface, ca_file, e);
}

static int prepare(struct report_options *r, const struct options *o, const char *word, json_t **status,
		   char **ca_file, struct error *e)
{
	bool given = o->stun.count || o->relays.count;
	int n = add_given(r, o, e);

	if (n)
		return n;
	if (word || o->interface || !given)
		n = add_of_interface(r, o, word, status, ca_file, e);
	/* Without an engine and without a word about servers, the rest may still be asked for. */
	if (n && !word && !o->interface && (o->lan || o->portal_url)) {
		*e = (struct error){0};
		n = 0;
	}
	if (n)
		return n;
	add_stun_of_relays(r);
	r->ca_file = *ca_file;
	r->portal_url = o->portal_url;
	r->lan = o->lan;
	if (!r->stun_count && !r->relay_count && !o->lan && !o->portal_url)
		return error_exit(
			e, EXIT_USAGE, EINVAL,
			"there is nobody to ask: the configuration names no relay and no STUN server; give "
			"--stun HOST:PORT or --relay URL");
	return 0;
}

static bool all_good(const json_t *report)
{
	const json_t *v;
	size_t i;

	json_array_foreach(
		json_object_get(report, "verdicts"), i,
		v) if (!strcmp(json_string_value(json_object_get(v, "level")), "bad")) return false;
	return true;
}

int netreport_main(const struct options *o, int count, char **words, struct error *e)
{
	struct report_options *r = xcalloc(1, sizeof(*r));
	struct report *report = xcalloc(1, sizeof(*report));
	json_t *status = NULL, *json = NULL;
	char *ca_file = NULL;
	int code = EXIT_OK;

	/* OpenSSL writes to servers that may have hung up. */
	signal(SIGPIPE, SIG_IGN);
	if (prepare(r, o, count ? words[0] : NULL, &status, &ca_file, e) ||
	    sandbox_probe(ca_file != NULL, e)) {
		code = command_failed(e);
	} else {
		report_run(r, report);
		json = netreport_json(r, report, status);
		if (o->json) {
			json_dumpf(json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
			putchar('\n');
		} else {
			netreport_print(json, text_colored(o, STDOUT_FILENO));
		}
		code = all_good(json) ? EXIT_OK : EXIT_UNHEALTHY;
	}
	json_decref(json);
	json_decref(status);
	free(ca_file);
	free(report);
	free(r);
	return code;
}
