/*
 * weir capture: packets of the engine's tap. The filter is parsed here, where names are looked up; the engine
 * sends records (tap/stream.h), and this writes them as they come.
 */
#include "config.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "cmd/capture.h"
#include "cmd/command.h"
#include "tap/filter_json.h"
#include "crypto/primitives.h"
#include "tap/filter.h"
#include "tap/stream.h"

#define READ_SIZE (256u << 10)
#define LINGER                                                                                               \
	(100 * NS_PER_MS) /* after an interrupt: what is on its way still comes, until it is quiet so long   \
			   */

struct name {
	struct key key;
	const char *text; /* of the snapshot */
};

struct capture {
	const struct options *o;
	struct capture_plan plan;
	char ifname[IFNAMSIZ], hostname[64];
	char *filter_text;
	struct tap_filter *filter; /* NULL: all */
	json_t *snapshot;
	struct name *names; /* sorted by key */
	size_t name_count;
	struct sink *sink;
	uint64_t lost;
	uint64_t until; /* boot ns, 0: no end is set */
	bool done;	/* as many as were asked for */
};

/* ---- options ---- */

static int usage(struct error *e, const char *text)
{
	return error_exit(e, EXIT_USAGE, EINVAL, "%s", text);
}

static int read_points(const struct options *o, uint8_t *out, struct error *e)
{
	*out = 0;
	for (unsigned i = 0; i < o->points.count; i++) {
		unsigned p = 0;

		while (p < TAP_POINTS && strcmp(o->points.items[i], tap_point_name(p)) != 0)
			p++;
		if (p == TAP_POINTS)
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "--point %s: give wire, inner, relay or signal",
					  o->points.items[i]);
		*out = (uint8_t)(*out | 1u << p);
	}
	return 0;
}

static int read_format(struct capture *c, struct error *e)
{
	const struct options *o = c->o;
	struct capture_head *h = &c->plan.head;
	uint8_t ip = 1 << TAP_WIRE | 1 << TAP_INNER;

	if (o->format && !strcmp(o->format, "pcap"))
		h->format = CAPTURE_PCAP;
	else if (o->format && strcmp(o->format, "pcapng") != 0)
		return error_exit(e, EXIT_USAGE, EINVAL, "--format %s: give pcapng or pcap", o->format);
	if (read_points(o, &h->points, e))
		return -EINVAL;
	if (h->format == CAPTURE_PCAP && h->points & ~ip)
		return usage(e, "a pcap file holds wire and inner packets alone: leave --format out");
	if (!h->points)
		h->points = h->format == CAPTURE_PCAP ? ip : (1 << TAP_POINTS) - 1;
	return 0;
}

static int check_options(const struct options *o, struct error *e)
{
	bool rotates = o->rotate_size || o->rotate_time, pipe = o->write && !strcmp(o->write, "-");

	if (o->keep && (o->write || o->last || o->with_keys || o->packets || o->duration))
		return usage(e, "--keep goes with a filter, --point and --snaplen alone: save with --last");
	if (o->with_keys && (!o->write || o->last))
		return usage(e, o->last ? "--last has no keys: packets are kept without them"
					: "--with-keys is for a file: give -w FILE");
	if (o->with_keys && o->format && !strcmp(o->format, "pcap"))
		return usage(e, "only a pcapng file holds keys: leave --format out");
	if ((rotates || o->files) && (!o->write || pipe))
		return usage(e, "--rotate-size, --rotate-time and --files are for files: give -w FILE");
	if (o->files && !rotates)
		return usage(e, "--files needs --rotate-size or --rotate-time");
	if (o->format && !o->write)
		return usage(e, "--format is for a file: give -w FILE");
	if (pipe && isatty(STDOUT_FILENO))
		return usage(e, "standard output is a terminal: send it into a pipe (| wireshark -k -i -) or "
				"give -w FILE");
	return 0;
}

static int read_filter(struct capture *c, int count, char **words, struct error *e)
{
	struct strbuf text = {0};
	int r;

	for (int i = 0; i < count; i++)
		strbuf_add(&text, "%s%s", i ? " " : "", words[i]);
	c->filter_text = text.text ? text.text : xstrdup("");
	r = tap_filter_parse(&c->filter, c->filter_text, e);
	if (!r && !c->filter->count) {
		tap_filter_free(c->filter);
		c->filter = NULL;
	}
	return r;
}

/* ---- names of peers ---- */

static int compare_keys(const void *a, const void *b)
{
	return memcmp(&((const struct name *)a)->key, &((const struct name *)b)->key, sizeof(struct key));
}

static const char *label(void *arg, const struct key *peer)
{
	const struct capture *c = arg;
	struct name wanted = {.key = *peer};
	const struct name *found =
		c->name_count ? bsearch(&wanted, c->names, c->name_count, sizeof(wanted), compare_keys)
			      : NULL;

	return found ? found->text : NULL;
}

static void read_names(struct capture *c)
{
	const json_t *peers = json_object_get(c->snapshot, "peers"), *peer;
	size_t i;

	c->names = xcalloc(json_array_size(peers) + 1, sizeof(*c->names));
	json_array_foreach(peers, i, peer)
	{
		const char *text = json_string_value(json_object_get(peer, "name"));
		const char *key = json_string_value(json_object_get(peer, "publicKey"));
		struct name *n = &c->names[c->name_count];

		if (key && text && *text && key_from_base64(&n->key, key)) {
			n->text = text;
			c->name_count++;
		}
	}
	qsort(c->names, c->name_count, sizeof(*c->names), compare_keys);
}

/* By its name, its key, or the start of its key: as the engine finds peers. */
static bool find_peer(const struct capture *c, struct tap_node *n)
{
	const json_t *peers = json_object_get(c->snapshot, "peers"), *peer;
	size_t i, len = strlen(n->peer);
	unsigned found = 0;

	json_array_foreach(peers, i, peer)
	{
		const char *name = json_string_value(json_object_get(peer, "name"));
		const char *key = json_string_value(json_object_get(peer, "publicKey"));
		bool exact = (name && !strcmp(name, n->peer)) || (key && !strcmp(key, n->peer));

		if (!key || (!exact && (len < 4 || strncmp(key, n->peer, len) != 0)))
			continue;
		found++;
		if (!key_from_base64(&n->key, key))
			return false;
		if (exact)
			return true;
	}
	return found == 1;
}

/* The engine resolves the names of its own filters; what was kept is filtered here. */
static int resolve(struct capture *c, struct error *e)
{
	for (unsigned i = 0; c->filter && i < c->filter->count; i++)
		if (c->filter->nodes[i].kind == TAP_NODE_PEER && !find_peer(c, &c->filter->nodes[i]))
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "no peer, or more than one, is called \"%s\"",
					  c->filter->nodes[i].peer);
	return 0;
}

/* ---- asking ---- */

static json_t *parameters(const struct capture *c)
{
	json_t *params = json_object(), *points = json_array();

	for (unsigned p = 0; p < TAP_POINTS; p++)
		if (c->plan.head.points >> p & 1)
			json_array_append_new(points, json_string(tap_point_name(p)));
	json_object_set_new(params, "points", points);
	if (c->filter)
		json_object_set_new(params, "filter", tap_filter_to_json(c->filter));
	if (c->o->snaplen)
		json_object_set_new(params, "snaplen", json_integer(c->o->snaplen));
	return params;
}

static int keep(const struct capture *c, struct client *client, struct error *e)
{
	json_t *params, *result;
	char *end;
	unsigned long seconds = strtoul(c->o->keep, &end, 10);
	bool off = !strcmp(c->o->keep, "off");

	if (!off && (*end || c->o->keep[0] < '0' || c->o->keep[0] > '9' || !seconds || seconds > 3600))
		return error_exit(e, EXIT_USAGE, EINVAL, "--keep %s: give seconds from 1 to 3600, or off",
				  c->o->keep);
	params = off ? json_object() : parameters(c);
	json_object_set_new(params, "seconds", json_integer(off ? 0 : (json_int_t)seconds));
	result = client_call(client, "keep", params, e);
	if (!result)
		return -EINVAL;
	json_decref(result);
	if (off)
		printf("%s: packets are no longer kept\n", c->ifname);
	else
		printf("%s: packets are kept for %lu s; `weir capture --last %lu -w FILE` saves them\n",
		       c->ifname, seconds, seconds);
	return 0;
}

static int ask(const struct capture *c, struct client *client, struct error *e)
{
	json_t *params, *result;

	if (c->o->last) {
		result = client_call(client, "kept", json_pack("{s:i}", "seconds", (int)c->o->last), e);
	} else {
		params = parameters(c);
		if (c->o->with_keys)
			json_object_set_new(params, "keys", json_true());
		result = client_call(client, "capture", params, e);
	}
	json_decref(result);
	return result ? 0 : -EINVAL;
}

/* ---- records ---- */

static bool wanted(const struct capture *c, const struct tap_meta *m, const uint8_t *data, size_t captured)
{
	if (!c->o->last)
		return true;
	return c->plan.head.points >> m->point & 1 && tap_filter_match(c->filter, m, data, captured);
}

static int take(struct capture *c, enum tap_record_kind kind, const struct tap_meta *m, const uint8_t *data,
		size_t captured, struct error *e)
{
	int r = 0;

	if (kind == TAP_RECORD_LOST) {
		c->lost = m->counter;
		sink_lost(c->sink, c->lost);
	} else if (kind == TAP_RECORD_KEYS) {
		r = c->o->with_keys ? sink_keys(c->sink, (const char *)data, captured, e) : 0;
	} else if (kind == TAP_RECORD_PACKET && wanted(c, m, data, captured)) {
		if (c->o->snaplen && captured > c->o->snaplen)
			captured = c->o->snaplen;
		r = sink_packet(c->sink, m, data, captured, e);
		c->done = c->o->packets && sink_count(c->sink) >= c->o->packets;
	}
	return r;
}

static int take_all(struct capture *c, struct strbuf *in, struct error *e)
{
	const uint8_t *bytes = (const uint8_t *)in->text, *data;
	enum tap_record_kind kind;
	struct tap_meta m;
	size_t at = 0, captured;
	long n = 0;
	int r = 0;

	while (!r && !c->done && at < in->len) {
		n = tap_record_decode(bytes + at, in->len - at, &kind, &m, &data, &captured);
		if (n <= 0)
			break;
		r = take(c, kind, &m, data, captured, e);
		at += (size_t)n;
	}
	if (n < 0 && !r)
		return error_set(e, EPROTO, "the engine sent what is no record: is it of another version?");
	strbuf_consume(in, at);
	return r;
}

/* Bytes, 0 at the end, -EAGAIN, -errno with words. */
static ssize_t read_more(int fd, struct strbuf *in, uint8_t *buffer, struct error *e)
{
	ssize_t n = recv(fd, buffer, READ_SIZE, MSG_DONTWAIT);

	if (n > 0)
		strbuf_append(in, buffer, (size_t)n);
	if (n >= 0)
		return n;
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	return error_set(e, errno, "cannot read from the engine: %s", strerror(errno));
}

static int wait_for(struct capture *c, struct pollfd fds[2])
{
	uint64_t now = clock_boot_ns(), left = c->until > now ? c->until - now : 0;
	int ms = c->plan.rotate_seconds ? 200 : 60000;

	if (c->until && left / NS_PER_MS < (uint64_t)ms)
		ms = (int)(left / NS_PER_MS) + 1;
	return poll(fds, 2, ms);
}

static bool time_is_over(const struct capture *c)
{
	return c->until && clock_boot_ns() >= c->until;
}

/* Until an end: a signal, a limit, the reader of our pipe, or the engine, which alone is an error. */
static int run(struct capture *c, int fd, int signals, struct strbuf *in, struct error *e)
{
	struct pollfd fds[2] = {{.fd = fd, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
	uint8_t *buffer = xmalloc(READ_SIZE);
	bool stopping = false;
	ssize_t n = 1;
	int r = take_all(c, in, e);

	while (!r && !c->done && n && !time_is_over(c)) {
		n = read_more(fd, in, buffer, e);
		if (n > 0) {
			r = take_all(c, in, e);
			if (stopping)
				c->until = clock_boot_ns() + LINGER;
			continue;
		}
		if (n != -EAGAIN) {
			r = (int)n;
			break;
		}
		r = sink_flush(c->sink, e);
		if (!r && wait_for(c, fds) > 0 && fds[1].revents && !stopping) {
			stopping = true;
			fds[1].fd = -1;
			c->until = clock_boot_ns() + LINGER;
		}
	}
	if (!r && !n && !c->o->last && !stopping)
		r = error_exit(e, EXIT_NOT_RUNNING, ECONNRESET, "the engine hung up");
	free(buffer);
	return r;
}

/* ---- the command ---- */

static int block_signals(void)
{
	struct sigaction hangup;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (sigaction(SIGHUP, NULL, &hangup) || hangup.sa_handler != SIG_IGN) /* nohup(1) */
		sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	return signalfd(-1, &set, SFD_CLOEXEC);
}

static void warn_of_keys(void)
{
	fprintf(stderr, "weir: WARNING: the file will hold this engine's private key and its session keys. "
			"Whoever has it can read\n"
			"weir: all that was captured, and can be this host. Keep it to yourself, and delete "
			"it soon.\n");
}

static void tell_counts(const struct capture *c, uint64_t packets)
{
	fprintf(stderr, "%s: %llu %s, %llu lost\n", c->ifname, (unsigned long long)packets,
		packets == 1 ? "packet" : "packets", (unsigned long long)c->lost);
}

static int record(struct capture *c, struct client *client, struct error *e)
{
	int signals = block_signals(), fd, r, closed;
	struct error later = {0};
	struct strbuf in = {0};
	uint64_t packets;

	r = ask(c, client, e);
	if (r) {
		client_close(client);
		close(signals);
		return r;
	}
	fd = client_release(client, &in);
	c->sink = sink_open(&c->plan, e);
	if (!c->sink) {
		close(fd);
		close(signals);
		strbuf_clear(&in);
		return -EINVAL;
	}
	if (c->o->duration)
		c->until = clock_boot_ns() + c->o->duration * NS_PER_SEC;
	r = run(c, fd, signals, &in, e);
	close(fd);
	close(signals);
	if (in.text)
		crypto_wipe(in.text, in.room); /* it may have held keys */
	strbuf_clear(&in);
	packets = sink_count(c->sink);
	closed = sink_close(c->sink, r ? &later : e);
	tell_counts(c, packets);
	r = r ? r : closed;
	return r == -EPIPE ? 0 : r;
}

static int capture(struct capture *c, struct error *e)
{
	struct client *client = command_connect(c->o, NULL, c->ifname, e);

	if (!client)
		return -EINVAL;
	c->snapshot = client_call(client, "status", json_pack("{s:b}", "brief", 1), e);
	if (c->snapshot)
		read_names(c);
	if (!c->snapshot || (c->o->last && resolve(c, e))) {
		client_close(client);
		return -EINVAL;
	}
	if (c->o->keep) {
		int r = keep(c, client, e);

		client_close(client);
		return r;
	}
	if (c->o->with_keys)
		warn_of_keys();
	return record(c, client, e);
}

int capture_main(const struct options *o, int count, char **words, struct error *e)
{
	struct capture c = {.o = o};
	int r;

	c.plan = (struct capture_plan){.path = o->write,
				       .rotate_bytes = o->rotate_size * 1000000ull,
				       .rotate_seconds = o->rotate_time,
				       .files = o->files,
				       .label = label,
				       .label_arg = &c};
	r = check_options(o, e);
	if (!r)
		r = read_format(&c, e);
	if (!r)
		r = read_filter(&c, count, words, e);
	if (gethostname(c.hostname, sizeof(c.hostname) - 1))
		c.hostname[0] = '\0';
	c.plan.head.ifname = c.ifname;
	c.plan.head.hostname = c.hostname;
	c.plan.head.version = VERSION;
	c.plan.head.filter = c.filter_text;
	c.plan.head.snaplen = o->snaplen;
	if (!r)
		r = capture(&c, e);
	tap_filter_free(c.filter);
	json_decref(c.snapshot);
	free(c.names);
	free(c.filter_text);
	return r ? command_failed(e) : EXIT_OK;
}
