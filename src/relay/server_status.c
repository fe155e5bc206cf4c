/* What the relay server says about itself: OpenMetrics, JSON, a log line. Nothing secret is in it. */
#include <string.h>

#include "relay/server_internal.h"

#define SCHEMA 1

static const char *const refusal_names[SERVER_REFUSALS] = {
	[SERVER_REFUSED_CLIENTS] = "clients",
	[SERVER_REFUSED_ADDRESS] = "address",
	[SERVER_REFUSED_HANDSHAKES] = "handshakes",
	[SERVER_REFUSED_DESCRIPTORS] = "descriptors",
};

static const char *const stun_names[STUN_VERDICTS] = {
	[STUN_ANSWERED] = "answered",	[STUN_UNKNOWN_ATTRIBUTES] = "unknown_attributes",
	[STUN_NOT_STUN] = "not_stun",	[STUN_NOT_REQUEST] = "not_request",
	[STUN_MALFORMED] = "malformed",
};

static const struct {
	const char *name, *help;
	size_t offset;
} counters[] = {
	{"connections", "WebSocket and HTTP connections that were let in",
	 offsetof(struct hub_counts, connections)},
	{"logins", "Good logins", offsetof(struct hub_counts, logins)},
	{"transport_messages", "Transport messages passed on",
	 offsetof(struct hub_counts, transport_packets)},
	{"transport_bytes", "Bytes of transport messages passed on",
	 offsetof(struct hub_counts, transport_bytes)},
	{"online_facts", "Peers that subscribers were told to be online",
	 offsetof(struct hub_counts, online_facts)},
	{"offline_facts", "Peers that subscribers were told to be offline",
	 offsetof(struct hub_counts, offline_facts)},
	{"health_checks", "Health checks sent", offsetof(struct hub_counts, health_checks)},
	{"rate_pauses", "Times that a client was not read because of --rate",
	 offsetof(struct hub_counts, pauses)},
	{"replaced", "Sessions replaced by a newer one of the same key",
	 offsetof(struct hub_counts, replaced)},
	{"duels", "Replacements that look like two hosts with one key", offsetof(struct hub_counts, duels)},
};

#define COUNTERS (sizeof(counters) / sizeof(counters[0]))

static uint64_t counter(const struct hub_counts *c, size_t i)
{
	uint64_t v;

	memcpy(&v, (const char *)c + counters[i].offset, sizeof(v));
	return v;
}

/* ---- OpenMetrics ---- */

static void head(struct strbuf *out, const char *name, const char *type, const char *help)
{
	strbuf_add(out, "# TYPE weir_relay_%s %s\n# HELP weir_relay_%s %s.\n", name, type, name, help);
}

static void labelled(struct strbuf *out, const char *name, const char *label, const char *value, uint64_t n)
{
	strbuf_add(out, "weir_relay_%s_total{%s=\"%s\"} %llu\n", name, label, value, (unsigned long long)n);
}

static void gauge(struct strbuf *out, const char *name, const char *help, uint64_t n)
{
	head(out, name, "gauge", help);
	strbuf_add(out, "weir_relay_%s %llu\n", name, (unsigned long long)n);
}

void server_metrics(const struct server *s, struct strbuf *out)
{
	const struct hub_counts *c = &s->hub->counts;

	gauge(out, "clients", "Clients that are logged in", hub_clients(s->hub));
	gauge(out, "sessions", "Connections, logged in or not", s->hub->session_count);
	gauge(out, "queued_bytes", "Bytes that wait for their receivers", s->hub->queued_bytes);
	gauge(out, "uptime_seconds", "Seconds since the start", (clock_boot_ns() - s->started) / NS_PER_SEC);
	for (size_t i = 0; i < COUNTERS; i++) {
		head(out, counters[i].name, "counter", counters[i].help);
		strbuf_add(out, "weir_relay_%s_total %llu\n", counters[i].name,
			   (unsigned long long)counter(c, i));
	}
	head(out, "dropped", "counter", "Transport messages that were dropped");
	labelled(out, "dropped", "reason", "absent", c->dropped_absent);
	labelled(out, "dropped", "reason", "queue", c->dropped_queue);
	labelled(out, "dropped", "reason", "memory", c->dropped_memory);
	head(out, "ended", "counter", "Connections that ended");
	for (unsigned r = HUB_OPEN + 1; r < HUB_REASONS; r++)
		labelled(out, "ended", "reason", hub_reason_name(r), c->ended[r]);
	head(out, "refused", "counter", "Connections that were turned away at once");
	for (unsigned r = 0; r < SERVER_REFUSALS; r++)
		labelled(out, "refused", "reason", refusal_names[r], s->refused[r]);
	head(out, "stun", "counter", "Datagrams to the STUN ports");
	for (unsigned v = 0; v < STUN_VERDICTS; v++)
		labelled(out, "stun", "outcome", stun_names[v], s->stun_counts.verdicts[v]);
	labelled(out, "stun", "outcome", "limited", s->stun_counts.limited);
	labelled(out, "stun", "outcome", "not_sent", s->stun_counts.failed);
	strbuf_add(out, "# EOF\n");
}

/* ---- JSON: every text in it is ours or was made of numbers, so none needs more than quotes ---- */

static void quoted(struct strbuf *out, const char *name, const char *text)
{
	strbuf_add(out, "\"%s\":\"", name);
	for (; *text; text++)
		if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20 ||
		    (unsigned char)*text > 0x7e)
			strbuf_add(out, "\\u%04x", (unsigned char)*text);
		else
			strbuf_append(out, text, 1);
	strbuf_append(out, "\"", 1);
}

static void number(struct strbuf *out, const char *name, uint64_t n)
{
	strbuf_add(out, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void seconds(struct strbuf *out, const char *name, uint64_t ns)
{
	strbuf_add(out, ",\"%s\":%.3f", name, (double)ns / NS_PER_SEC);
}

static void client(const struct session *c, uint64_t now, struct strbuf *out)
{
	char id[RELAY_ID_TEXT];

	relay_id_print(id, &c->id);
	strbuf_append(out, "{", 1);
	quoted(out, "id", id);
	strbuf_append(out, ",", 1);
	quoted(out, "address", c->address);
	seconds(out, "connected_for", now - c->since);
	number(out, "rx_messages", c->rx_packets);
	number(out, "rx_bytes", c->rx_bytes);
	number(out, "tx_messages", c->tx_packets);
	number(out, "tx_bytes", c->tx_bytes);
	number(out, "queued_bytes", c->transport_bytes);
	number(out, "dropped", c->dropped);
	number(out, "subscriptions", c->subscription_count);
	number(out, "replacements", c->replacements);
	if (c->replacements) {
		strbuf_append(out, ",", 1);
		quoted(out, "rival", c->rival);
	}
	strbuf_append(out, "}", 1);
}

void server_status_json(const struct server *s, uint64_t now, struct strbuf *out)
{
	const struct hub_counts *c = &s->hub->counts;
	bool comma = false;

	strbuf_add(out, "{\"schema\":%d,", SCHEMA);
	quoted(out, "instance", s->hub->url);
	seconds(out, "uptime", now - s->started);
	strbuf_add(out, ",\"draining\":%s,\"tls\":%s,\"event_loop\":\"%s\"", s->draining ? "true" : "false",
		   s->tls ? "true" : "false", s->loop_uv ? "uv" : "poll");
	number(out, "sessions", s->hub->session_count);
	number(out, "queued_bytes", s->hub->queued_bytes);
	number(out, "accepted", s->accepted);
	for (size_t i = 0; i < COUNTERS; i++)
		number(out, counters[i].name, counter(c, i));
	strbuf_add(out, ",\"dropped\":{\"absent\":%llu,\"queue\":%llu,\"memory\":%llu},\"ended\":{",
		   (unsigned long long)c->dropped_absent, (unsigned long long)c->dropped_queue,
		   (unsigned long long)c->dropped_memory);
	for (unsigned r = HUB_OPEN + 1; r < HUB_REASONS; r++)
		strbuf_add(out, "%s\"%s\":%llu", r > HUB_OPEN + 1 ? "," : "", hub_reason_name(r),
			   (unsigned long long)c->ended[r]);
	strbuf_add(out, "},\"refused\":{");
	for (unsigned r = 0; r < SERVER_REFUSALS; r++)
		strbuf_add(out, "%s\"%s\":%llu", r ? "," : "", refusal_names[r],
			   (unsigned long long)s->refused[r]);
	strbuf_add(out, "},\"stun\":{\"limited\":%llu,\"not_sent\":%llu",
		   (unsigned long long)s->stun_counts.limited, (unsigned long long)s->stun_counts.failed);
	for (unsigned v = 0; v < STUN_VERDICTS; v++)
		number(out, stun_names[v], s->stun_counts.verdicts[v]);
	strbuf_add(out, "},\"reloads\":%llu,\"reload_failures\":%llu,\"clients\":[",
		   (unsigned long long)s->reloads, (unsigned long long)s->reload_failures);
	list_for_each (at, &s->hub->sessions) {
		const struct session *session = container_of(at, struct session, link);

		if (!session->logged_in)
			continue;
		if (comma)
			strbuf_append(out, ",", 1);
		comma = true;
		client(session, now, out);
	}
	strbuf_add(out, "]}\n");
}

void server_log_figures(const struct server *s, uint64_t now)
{
	const struct hub_counts *c = &s->hub->counts;

	log_notice("relay",
		   "up for %llu s: %zu clients, %llu logins, %llu messages (%llu bytes) passed on, dropped "
		   "%llu for absent "
		   "peers and %llu of full queues, %zu bytes wait",
		   (unsigned long long)((now - s->started) / NS_PER_SEC), hub_clients(s->hub),
		   (unsigned long long)c->logins, (unsigned long long)c->transport_packets,
		   (unsigned long long)c->transport_bytes, (unsigned long long)c->dropped_absent,
		   (unsigned long long)(c->dropped_queue + c->dropped_memory), s->hub->queued_bytes);
}
