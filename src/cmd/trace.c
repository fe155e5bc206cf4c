/* weir trace: what would become of a packet to an address, step by step, and why it would not be sent. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/text.h"

#define ADDRESSES_MAX 8 /* of a name */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* Its name, or the start of its key; the caller frees it. */
static char *peer_text(const json_t *peer)
{
	const char *name = text_of(peer, "name");

	return text_tame(*name ? xstrdup(name) : xasprintf("%.8s...", text_of(peer, "publicKey")));
}

static void step(const char *label, char *text)
{
	printf("  %-9s %s\n", label, text_tame(text));
	free(text);
}

static char *route_text(const json_t *r)
{
	char table[32] = "", mtu[32] = "";

	if (*text_of(r, "error"))
		return xasprintf("none: %s", text_of(r, "error"));
	if (json_is_true(json_object_get(r, "local")))
		return xstrdup("stays here: the address is this host's own");
	if (number_of(r, "table") > 0 && number_of(r, "table") != 254) /* RT_TABLE_MAIN */
		snprintf(table, sizeof(table), ", table %.0f", number_of(r, "table"));
	if (number_of(r, "mtu") > 0)
		snprintf(mtu, sizeof(mtu), ", MTU %.0f", number_of(r, "mtu"));
	return xasprintf("to %s%s%s%s%s%s%s", text_of(r, "interface"), *text_of(r, "gateway") ? " by " : "",
			 text_of(r, "gateway"), *text_of(r, "sourceAddress") ? ", from " : "",
			 text_of(r, "sourceAddress"), table, mtu);
}

static void print_prefixes(const json_t *t)
{
	const json_t *covering = json_object_get(t, "covering"), *item;
	size_t count = json_array_size(covering), i;
	char *name;

	if (!count)
		step("allowed", xstrdup("in no peer's AllowedIPs"));
	for (i = count; i--;) {
		item = json_array_get(covering, i);
		name = peer_text(item);
		step(i + 1 == count ? "allowed" : "",
		     xasprintf("%s of %s%s", text_of(item, "allowedIp"), name,
			       i + 1 == count ? "" : ", which is shorter"));
		free(name);
	}
	json_array_foreach(json_object_get(t, "near"), i, item)
	{
		name = peer_text(item);
		step(i ? "" : "near", xasprintf("%s of %s", text_of(item, "allowedIp"), name));
		free(name);
	}
	json_array_foreach(json_object_get(t, "lost"), i, item)
	{
		name = peer_text(item);
		step(i ? "" : "lost", xasprintf("%s was taken from %s, which was given it first",
						text_of(item, "allowedIp"), name));
		free(name);
	}
}

static void print_key(const json_t *t)
{
	const json_t *peer = json_object_get(t, "peer"), *k = json_object_get(t, "keypair"),
		     *handshake = json_object_get(peer, "handshake");
	char age[TEXT_FIGURE], left[TEXT_FIGURE];
	double at = number_of(t, "at");

	if (k)
		step("key",
		     xasprintf("%s/%s, %s old, ends in %s, %.0f packets sent", text_of(k, "localIndex"),
			       text_of(k, "remoteIndex"), text_age(age, at - number_of(k, "createdAt")),
			       text_age(left, number_of(k, "expiresAt") - at), number_of(k, "sent")));
	else if (number_of(handshake, "attempt") > 0)
		step("key", xasprintf("none: handshake, try %.0f of %.0f, %.0f packets wait",
				      number_of(handshake, "attempt"), number_of(handshake, "attempts"),
				      number_of(peer, "staged")));
	else
		step("key", xstrdup("none"));
}

static void print_peer(const json_t *t)
{
	const json_t *peer = json_object_get(t, "peer"), *path = json_object_get(t, "path"),
		     *outer = json_object_get(t, "outerRoute");
	char *name = peer_text(peer);

	step("peer", xasprintf("%s, %s%s%s", name, text_of(peer, "word"),
			       *text_of(peer, "reason") ? ": " : "", text_of(peer, "reason")));
	free(name);
	print_key(t);
	step("path", xasprintf("%s %s", text_of(path, "kind"), text_of(path, "remote")));
	if (outer)
		step("outside", route_text(outer));
	step("size", xasprintf("at most %.0f bytes in one piece (MTU %.0f)", number_of(t, "innerMtu"),
			       number_of(t, "mtu")));
}

static void print_text(const json_t *t, bool color)
{
	bool sent = !strcmp(text_of(t, "verdict"), "sent");
	char *why = text_tame(xstrdup(text_of(t, "why")));

	printf("%s, on %s\n", text_of(t, "address"), text_of(t, "interface"));
	if (json_is_true(json_object_get(t, "elsewhere")))
		step("route", xstrdup("not known: the interface is in another network namespace"));
	else
		step("route", route_text(json_object_get(t, "route")));
	print_prefixes(t);
	if (json_object_get(t, "peer"))
		print_peer(t);
	printf("  %-9s %s%s%s: %s\n", "verdict", color ? sent ? "\033[32m" : "\033[1;31m" : "",
	       text_of(t, "verdict"), color ? "\033[0m" : "", why);
	free(why);
}

static int resolve(const char *word, char out[ADDRESSES_MAX][INET6_ADDRSTRLEN], struct error *e)
{
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list;
	int count = 0, r = getaddrinfo(word, NULL, &hints, &list);

	if (r)
		return error_set(e, ENOENT, "\"%s\" is no address, and no name that resolves: %s", word,
				 gai_strerror(r));
	for (const struct addrinfo *a = list; a && count < ADDRESSES_MAX; a = a->ai_next)
		count += !getnameinfo(a->ai_addr, a->ai_addrlen, out[count], INET6_ADDRSTRLEN, NULL, 0,
				      NI_NUMERICHOST);
	freeaddrinfo(list);
	/* fe80::1%eth0: the engine knows no links inside of the tunnel. */
	for (int i = 0; i < count; i++)
		out[i][strcspn(out[i], "%")] = '\0';
	return count;
}

int trace_main(const struct options *o, int count, char **words, struct error *e)
{
	char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN];
	struct client *c;
	int code = EXIT_OK, found;

	(void)count;
	found = resolve(words[0], addresses, e);
	if (found < 0)
		return command_failed(e);
	c = command_connect(o, NULL, NULL, e);
	if (!c)
		return command_failed(e);
	for (int i = 0; i < found; i++) {
		json_t *params = json_pack("{s:s, s:i}", "address", addresses[i], "size", (int)o->size);
		json_t *t = client_call(c, "trace", params, e);

		if (!t) {
			code = command_failed(e);
			break;
		}
		if (strcmp(text_of(t, "verdict"), "sent"))
			code = EXIT_UNHEALTHY;
		if (o->json) {
			json_dumpf(t, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(15));
			putchar('\n');
		} else {
			print_text(t, text_colored(o, STDOUT_FILENO));
		}
		json_decref(t);
	}
	client_close(c);
	return code;
}
