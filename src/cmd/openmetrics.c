/*
 * The families of wireguard_exporter keep their names and labels (dashboards are built on them); what
 * WireGuard alone does not know is called weir_*. OpenMetrics wants each family in one piece, and peers come
 * one by one: so each family has a buffer of its own, and they are joined at the end.
 */
#include "cmd/openmetrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define FAMILIES(X)                                                                                          \
	X(DEVICE, "wireguard_device", "info", "The interface and its public key")                            \
	X(PEER, "wireguard_peer", "info", "A peer, its endpoint and its name")                               \
	X(ALLOWED, "wireguard_peer_allowed_ips", "info", "A prefix that belongs to a peer")                  \
	X(RECEIVE, "wireguard_peer_receive_bytes", "counter", "Bytes of datagrams received from a peer")     \
	X(TRANSMIT, "wireguard_peer_transmit_bytes", "counter", "Bytes of datagrams sent to a peer")         \
	X(HANDSHAKE, "wireguard_peer_last_handshake_seconds", "gauge",                                       \
	  "When the last handshake with a peer was completed, in seconds since 1970, 0: never")              \
	X(ENGINE, "weir_engine", "info", "The program")                                                      \
	X(START, "weir_start_time_seconds", "gauge", "When the engine was started, in seconds since 1970")   \
	X(UP, "weir_up", "gauge", "1 while packets move")                                                    \
	X(LOAD, "weir_under_load", "gauge", "1 while handshakes must carry a cookie")                        \
	X(TUN_WRITE_ERRORS, "weir_tun_write_errors", "counter", "Packets that the interface did not take")   \
	X(EVENTS, "weir_events", "counter", "What the interface counts, as weir(8) DIAGNOSTICS explains")    \
	X(REJECTS, "weir_rejects", "counter", "What was refused, by reason")                                 \
	X(PEERS, "weir_peers", "gauge", "Peers by their word in the list")                                   \
	X(DIAGNOSES, "weir_diagnoses", "gauge", "Peers by the rule of their first verdict")                  \
	X(RELAY_UP, "weir_engine_relay_up", "gauge", "1 while a relay server is logged in to")               \
	X(RELAY_RTT, "weir_engine_relay_rtt_seconds", "gauge", "Round trip to a relay server")               \
	X(RELAY_CONNECTIONS, "weir_engine_relay_connections", "counter", "Logins at a relay server")         \
	X(RELAY_PEERS, "weir_engine_relay_peers", "gauge", "Tunnels that go by a relay server")              \
	X(RELAY_RECEIVE, "weir_engine_relay_receive_bytes", "counter", "Bytes from a relay server")          \
	X(RELAY_TRANSMIT, "weir_engine_relay_transmit_bytes", "counter", "Bytes to a relay server")          \
	X(RELAY_DROPPED, "weir_engine_relay_dropped", "counter",                                             \
	  "Datagrams that a relay server's queue had no room for")                                           \
	X(PEER_WORD, "weir_peer_word", "info", "The word of a peer in the list")                             \
	X(PEER_PATH, "weir_peer_path", "info", "The path that a peer is reached by")                         \
	X(PEER_RTT, "weir_peer_path_rtt_seconds", "gauge", "Round trip on the path in use")                  \
	X(PEER_LOSS, "weir_peer_path_loss_ratio", "gauge",                                                   \
	  "Part of the pings that found no answer on the path in use")                                       \
	X(PEER_CHANGES, "weir_peer_path_changes", "counter", "Changes of a peer's path")                     \
	X(PEER_OFFERS_SENT, "weir_peer_offers_sent", "counter", "ICE offers sent to a peer")                 \
	X(PEER_OFFERS_RECEIVED, "weir_peer_offers_received", "counter", "ICE offers received from a peer")   \
	X(PEER_HANDSHAKE_RTT, "weir_peer_handshake_rtt_seconds", "gauge",                                    \
	  "How long the last handshake that we began took")                                                  \
	X(PEER_EVENTS, "weir_peer_events", "counter",                                                        \
	  "What is counted of a peer, as weir(8) DIAGNOSTICS explains")                                      \
	X(PEER_REJECTS, "weir_peer_rejects", "counter", "What was refused of a peer, by reason")             \
	X(PEER_DIAGNOSIS, "weir_peer_diagnosis", "info", "The first verdict on a peer that is not well")

enum family {
#define X(id, name, type, help) FAMILY_##id,
	FAMILIES(X)
#undef X
		FAMILY_COUNT
};

static const struct {
	const char *name, *type, *help;
} families[FAMILY_COUNT] = {
#define X(id, name, type, help) {name, type, help},
	FAMILIES(X)
#undef X
};

#define NAMES_MAX 128 /* words of the list, and rules of diagnosis */

struct tally {
	struct {
		char name[40];
		unsigned count;
	} items[NAMES_MAX];
	unsigned count;
};

struct render {
	struct strbuf families[FAMILY_COUNT];
	char *device; /* label, escaped */
	struct tally words, rules;
};

/* ---- lines ---- */

/* A label's value: backslash, quote and newline are escaped. */
static char *escape(const char *text)
{
	struct strbuf s = {0};

	strbuf_append(&s, "", 0);
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			strbuf_append(&s, "\\", 1);
		if (*text == '\n')
			strbuf_append(&s, "\\n", 2);
		else
			strbuf_append(&s, text, 1);
	}
	strbuf_append(&s, "", 1);
	return s.text;
}

static const char *suffix(enum family f)
{
	return !strcmp(families[f].type, "info")      ? "_info"
	       : !strcmp(families[f].type, "counter") ? "_total"
						      : "";
}

/* labels: `name="value"` after the device's, with a comma before; or "". */
static void sample(struct render *r, enum family f, const char *labels, double value)
{
	struct strbuf *to = &r->families[f];

	if (value < 9e15 && value > -9e15 && value == (double)(long long)value)
		strbuf_add(to, "%s%s{device=\"%s\"%s} %lld\n", families[f].name, suffix(f), r->device, labels,
			   (long long)value);
	else
		strbuf_add(to, "%s%s{device=\"%s\"%s} %.15g\n", families[f].name, suffix(f), r->device,
			   labels, value);
}

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* `,name="value"`, escaped, after what is there. */
static void label(struct strbuf *to, const char *name, const char *value)
{
	char *safe = escape(value);

	strbuf_add(to, ",%s=\"%s\"", name, safe);
	free(safe);
}

static void labelled(struct render *r, enum family f, const char *before, const char *name, const char *value,
		     double number)
{
	struct strbuf labels = {0};

	strbuf_add(&labels, "%s", before);
	label(&labels, name, value);
	sample(r, f, labels.text, number);
	strbuf_clear(&labels);
}

static void add(struct tally *t, const char *name)
{
	unsigned i = 0;

	while (i < t->count && strcmp(t->items[i].name, name) != 0)
		i++;
	if (i == NAMES_MAX)
		return;
	if (i == t->count)
		snprintf(t->items[t->count++].name, sizeof(t->items[0].name), "%s", name);
	t->items[i].count++;
}

/* "reject_mac1" goes to the refusals as "mac1", the rest to the events. */
static void counters(struct render *r, const json_t *list, const char *labels, enum family events,
		     enum family rejects)
{
	static const char prefix[] = "reject_";
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)list, name, value)
	{
		if (!strncmp(name, prefix, strlen(prefix)))
			labelled(r, rejects, labels, "reason", name + strlen(prefix),
				 json_number_value(value));
		else
			labelled(r, events, labels, "event", name, json_number_value(value));
	}
}

/* ---- the interface ---- */

static void relay(struct render *r, const json_t *relay)
{
	struct strbuf labels = {0};
	bool up = !strcmp(text_of(relay, "state"), "up");

	label(&labels, "url", text_of(relay, "url"));
	sample(r, FAMILY_RELAY_UP, labels.text, up);
	if (up && number_of(relay, "rtt") > 0)
		sample(r, FAMILY_RELAY_RTT, labels.text, number_of(relay, "rtt"));
	sample(r, FAMILY_RELAY_CONNECTIONS, labels.text, number_of(relay, "connections"));
	sample(r, FAMILY_RELAY_PEERS, labels.text, number_of(relay, "peersUsing"));
	sample(r, FAMILY_RELAY_RECEIVE, labels.text, number_of(relay, "rxBytes"));
	sample(r, FAMILY_RELAY_TRANSMIT, labels.text, number_of(relay, "txBytes"));
	sample(r, FAMILY_RELAY_DROPPED, labels.text, number_of(relay, "dropped"));
	strbuf_clear(&labels);
}

static void device(struct render *r, const json_t *s)
{
	const json_t *item;
	size_t i;

	r->device = escape(text_of(s, "interface"));
	labelled(r, FAMILY_DEVICE, "", "public_key", text_of(s, "publicKey"), 1);
	labelled(r, FAMILY_ENGINE, "", "version", text_of(s, "version"), 1);
	sample(r, FAMILY_START, "", number_of(s, "startedAt"));
	sample(r, FAMILY_UP, "", json_is_true(json_object_get(s, "up")));
	sample(r, FAMILY_LOAD, "", json_is_true(json_object_get(s, "underLoad")));
	sample(r, FAMILY_TUN_WRITE_ERRORS, "", number_of(json_object_get(s, "tun"), "writeErrors"));
	counters(r, json_object_get(s, "counters"), "", FAMILY_EVENTS, FAMILY_REJECTS);
	json_array_foreach(json_object_get(s, "relays"), i, item) relay(r, item);
}

/* ---- peers ---- */

static void allowed_ips(struct render *r, const json_t *peer, const char *labels)
{
	const json_t *item;
	size_t i;

	json_array_foreach(json_object_get(peer, "allowedIps"), i, item)
	{
		struct strbuf all = {0};
		const char *prefix = json_string_value(item);

		if (!prefix)
			continue;
		strbuf_add(&all, "%s", labels);
		label(&all, "allowed_ips", prefix);
		label(&all, "family", strchr(prefix, ':') ? "IPv6" : "IPv4");
		sample(r, FAMILY_ALLOWED, all.text, 1);
		strbuf_clear(&all);
	}
}

static void paths(struct render *r, const json_t *peer, const char *labels)
{
	const json_t *path = json_object_get(peer, "path");
	struct strbuf all = {0};

	strbuf_add(&all, "%s", labels);
	label(&all, "kind", text_of(path, "kind"));
	label(&all, "state", text_of(path, "state"));
	sample(r, FAMILY_PEER_PATH, all.text, 1);
	strbuf_clear(&all);
	if (number_of(path, "rtt") > 0)
		sample(r, FAMILY_PEER_RTT, labels, number_of(path, "rtt"));
	if (json_object_get(path, "loss"))
		sample(r, FAMILY_PEER_LOSS, labels, number_of(path, "loss"));
	if (!json_object_get(peer, "pathChanges"))
		return;
	sample(r, FAMILY_PEER_CHANGES, labels, number_of(peer, "pathChanges"));
	sample(r, FAMILY_PEER_OFFERS_SENT, labels, number_of(peer, "offersSent"));
	sample(r, FAMILY_PEER_OFFERS_RECEIVED, labels, number_of(peer, "offersReceived"));
}

static void diagnosis(struct render *r, const json_t *d, const char *labels)
{
	struct strbuf all = {0};

	if (!d)
		return;
	add(&r->rules, text_of(d, "rule"));
	strbuf_add(&all, "%s", labels);
	label(&all, "rule", text_of(d, "rule"));
	label(&all, "confidence", text_of(d, "confidence"));
	label(&all, "side", text_of(d, "side"));
	sample(r, FAMILY_PEER_DIAGNOSIS, all.text, 1);
	strbuf_clear(&all);
}

static void peer(struct render *r, const json_t *p)
{
	struct strbuf labels = {0}, all = {0};

	label(&labels, "public_key", text_of(p, "publicKey"));
	strbuf_add(&all, "%s", labels.text);
	label(&all, "endpoint", text_of(p, "endpoint"));
	label(&all, "name", text_of(p, "name"));
	sample(r, FAMILY_PEER, all.text, 1);
	strbuf_clear(&all);
	allowed_ips(r, p, labels.text);
	sample(r, FAMILY_RECEIVE, labels.text, number_of(p, "transferRx"));
	sample(r, FAMILY_TRANSMIT, labels.text, number_of(p, "transferTx"));
	/* Whole seconds, as the kernel's device has it. */
	sample(r, FAMILY_HANDSHAKE, labels.text, (double)(long long)number_of(p, "latestHandshake"));
	if (number_of(p, "handshakeRtt") > 0)
		sample(r, FAMILY_PEER_HANDSHAKE_RTT, labels.text, number_of(p, "handshakeRtt"));
	labelled(r, FAMILY_PEER_WORD, labels.text, "word", text_of(p, "word"), 1);
	add(&r->words, text_of(p, "word"));
	paths(r, p, labels.text);
	counters(r, json_object_get(p, "counters"), labels.text, FAMILY_PEER_EVENTS, FAMILY_PEER_REJECTS);
	diagnosis(r, json_object_get(p, "diagnosis"), labels.text);
	strbuf_clear(&labels);
}

/* ---- all of it ---- */

static void tallies(struct render *r)
{
	for (unsigned i = 0; i < r->words.count; i++)
		labelled(r, FAMILY_PEERS, "", "word", r->words.items[i].name, r->words.items[i].count);
	for (unsigned i = 0; i < r->rules.count; i++)
		labelled(r, FAMILY_DIAGNOSES, "", "rule", r->rules.items[i].name, r->rules.items[i].count);
}

static void join(struct render *r, struct strbuf *out)
{
	for (unsigned i = 0; i < FAMILY_COUNT; i++) {
		if (!r->families[i].len)
			continue;
		strbuf_add(out, "# TYPE %s %s\n# HELP %s %s.\n", families[i].name, families[i].type,
			   families[i].name, families[i].help);
		strbuf_append(out, r->families[i].text, r->families[i].len);
	}
	strbuf_add(out, "# EOF\n");
}

int openmetrics_render(struct client *c, struct strbuf *out, struct error *e)
{
	struct render *r = xcalloc(1, sizeof(*r));
	json_int_t next = 0;
	int failed = 0;

	while (!failed) {
		json_t *page = client_call(c, "metrics", json_pack("{s:I}", "from", next), e);
		const json_t *p;
		size_t i;

		if (!page) {
			failed = e->code ? -e->code : -EIO;
			break;
		}
		if (!next)
			device(r, page);
		json_array_foreach(json_object_get(page, "peers"), i, p) peer(r, p);
		next = json_integer_value(json_object_get(page, "next"));
		json_decref(page);
		if (!next)
			break;
	}
	if (!failed) {
		tallies(r);
		join(r, out);
	}
	for (unsigned i = 0; i < FAMILY_COUNT; i++)
		strbuf_clear(&r->families[i]);
	free(r->device);
	free(r);
	return failed;
}
