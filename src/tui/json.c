/*
 * Lines of weir-control(7) into struct data. A member of the wrong type counts as missing; unknown members
 * are ignored: the schema only grows.
 */
#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tui/json_get.h"
#include "tui/text.h"

void get_text(const json_t *o, const char *name, char *dst, size_t size)
{
	const char *text = json_string_value(json_object_get(o, name));

	text_clean(dst, size, text ? text : "");
}

double get_number(const json_t *o, const char *name)
{
	double v = json_number_value(json_object_get(o, name));

	return isfinite(v) && fabs(v) < 1e18 ? v : 0;
}

uint64_t get_count(const json_t *o, const char *name)
{
	double v = get_number(o, name);

	return v > 0 ? (uint64_t)v : 0;
}

unsigned get_unsigned(const json_t *o, const char *name)
{
	double v = get_number(o, name);

	return v > 0 && v < 4294967296.0 ? (unsigned)v : 0;
}

bool get_bool(const json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name));
}

static void get_counters(const json_t *o, uint64_t counters[COUNTERS_MAX])
{
	const char *name;
	json_t *value;

	memset(counters, 0, COUNTERS_MAX * sizeof(counters[0]));
	json_object_foreach((json_t *)o, name, value)
	{
		int slot = counter_slot(name);

		if (slot >= 0 && json_is_number(value) && json_number_value(value) > 0)
			counters[slot] = (uint64_t)json_number_value(value);
	}
}

static enum level get_level(const json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "level"));

	for (int i = 0; text && i < LEVELS; i++)
		if (strcmp(text, level_name(i)) == 0)
			return (enum level)i;
	return LEVEL_INFO;
}

static enum word get_word(const json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "word"));

	for (int i = 0; text && i < WORDS; i++)
		if (strcmp(text, word_name(i)) == 0)
			return (enum word)i;
	return WORD_IDLE;
}

static bool parse_prefix(struct prefix *out, const char *text)
{
	char address[64];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	long length;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	*out = (struct prefix){0};
	if (inet_pton(AF_INET, address, out->bytes) == 1)
		out->family = AF_INET;
	else if (inet_pton(AF_INET6, address, out->bytes) == 1)
		out->family = AF_INET6;
	else
		return false;
	length = slash ? strtol(slash + 1, NULL, 10) : 128;
	if (length < 0 || length > (out->family == AF_INET ? 32 : 128))
		length = out->family == AF_INET ? 32 : 128;
	out->length = (uint8_t)length;
	return true;
}

static void get_allowed(struct peer *p, const json_t *o)
{
	const json_t *list = json_object_get(o, "allowedIps");
	struct strbuf text = {0};
	size_t i;
	json_t *item;

	if (!json_is_array(list))
		return;
	p->prefixes_count = 0;
	p->prefixes = xrealloc(p->prefixes, (json_array_size(list) + 1) * sizeof(*p->prefixes));
	json_array_foreach((json_t *)list, i, item)
	{
		char clean[64];

		if (!json_is_string(item))
			continue;
		text_clean(clean, sizeof(clean), json_string_value(item));
		strbuf_add(&text, "%s%s", text.len ? ", " : "", clean);
		if (parse_prefix(&p->prefixes[p->prefixes_count], clean))
			p->prefixes_count++;
	}
	free(p->allowed);
	p->allowed = xstrdup(text.text ? text.text : "");
	strbuf_clear(&text);
	p->allowed_total = get_unsigned(o, "allowedIpsTotal");
	if (p->allowed_total < p->prefixes_count)
		p->allowed_total = p->prefixes_count;
}

static void get_keypairs(struct peer *p, const json_t *list)
{
	size_t i;
	json_t *o;

	p->keypairs_count = 0;
	json_array_foreach((json_t *)list, i, o)
	{
		struct keypair *k = &p->keypairs[p->keypairs_count];

		if (p->keypairs_count == KEYPAIRS_MAX)
			break;
		TEXT(o, "slot", k->slot);
		TEXT(o, "localIndex", k->local_index);
		TEXT(o, "remoteIndex", k->remote_index);
		k->created_at = get_number(o, "createdAt");
		k->rekey_at = get_number(o, "rekeyAt");
		k->expires_at = get_number(o, "expiresAt");
		k->initiator = get_bool(o, "initiator");
		k->confirmed = get_bool(o, "confirmed");
		k->sent = get_count(o, "sent");
		k->received = get_count(o, "received");
		k->lost = get_count(o, "lost");
		p->keypairs_count++;
	}
}

static void get_timers(struct peer *p, const json_t *list)
{
	size_t i;
	json_t *o;

	p->timers_count = 0;
	json_array_foreach((json_t *)list, i, o)
	{
		struct timer *t = &p->timers[p->timers_count];

		if (p->timers_count == TIMERS_MAX)
			break;
		TEXT(o, "name", t->name);
		t->due_at = get_number(o, "dueAt");
		t->period = get_number(o, "period");
		p->timers_count++;
	}
}

static void get_peer(struct data *d, const json_t *o)
{
	const char *key = json_string_value(json_object_get(o, "publicKey"));
	const json_t *handshake = json_object_get(o, "handshake"), *path = json_object_get(o, "path");
	struct key binary;
	struct peer *p;

	if (!key || !key_from_base64(&binary, key))
		return;
	p = data_peer(d, key);
	if (!p)
		p = data_add_peer(d, key);
	TEXT(o, "name", p->name);
	p->psk = get_bool(o, "presharedKey");
	p->draining = get_bool(o, "draining");
	p->keepalive = get_unsigned(o, "persistentKeepalive");
	get_allowed(p, o);
	TEXT(o, "endpoint", p->endpoint);
	TEXT(o, "endpointOrigin", p->origin);
	TEXT(o, "endpointHost", p->host);
	TEXT(o, "sourceAddress", p->source);
	TEXT(o, "resolveError", p->resolve_error);
	p->word = get_word(o);
	p->word_since = get_number(o, "wordSinceAt");
	TEXT(o, "reason", p->reason);
	TEXT(path, "kind", p->path_kind);
	TEXT(path, "state", p->path_state);
	TEXT(json_object_get(o, "tunnel"), "state", p->tunnel);
	p->latest_handshake = get_number(o, "latestHandshake");
	p->handshake_rtt = get_number(o, "handshakeRtt");
	p->last_received = get_number(o, "lastReceivedAt");
	p->last_sent = get_number(o, "lastSentAt");
	p->unanswered_since = get_number(o, "unansweredSinceAt");
	p->rx = get_count(o, "transferRx");
	p->tx = get_count(o, "transferTx");
	p->loss = fmax(0, fmin(1, get_number(o, "loss")));
	p->attempt = get_unsigned(handshake, "attempt");
	p->attempts = get_unsigned(handshake, "attempts");
	TEXT(handshake, "reason", p->handshake_reason);
	p->initiations = get_count(handshake, "sent");
	p->unanswered = get_count(handshake, "unanswered");
	p->given_up = get_count(handshake, "given_up");
	get_keypairs(p, json_object_get(o, "keypairs"));
	get_timers(p, json_object_get(o, "timers"));
	p->staged = get_unsigned(o, "staged");
	get_counters(json_object_get(o, "counters"), p->counters);
	json_network(p, json_object_get(o, "network"));
	json_diagnosis(p, json_object_get(o, "diagnosis"));
}

static bool in_map(const struct peer *p, const void *arg)
{
	return map_get(arg, p->key) != NULL;
}

static bool not_in_map(const struct peer *p, const void *arg)
{
	return map_get(arg, p->key) == NULL;
}

/* Drops the peers that `removed` lists; with `keep`, those that it does not list. */
static void drop_peers(struct data *d, const json_t *keep, const json_t *removed)
{
	struct map *keys = map_new(KEY_BASE64_LEN);
	size_t i;
	json_t *item;

	json_array_foreach((json_t *)(keep ? keep : removed), i, item)
	{
		const char *key = json_string_value(keep ? json_object_get(item, "publicKey") : item);

		if (key && strlen(key) == KEY_BASE64_LEN)
			map_put(keys, key, d);
	}
	data_remove_peers(d, keep ? not_in_map : in_map, keys);
	map_free(keys);
}

static void get_device(struct data *d, const json_t *o)
{
	const json_t *offload = json_object_get(o, "offload");

	TEXT(o, "interface", d->interface);
	TEXT(o, "hostname", d->hostname);
	TEXT(o, "version", d->version);
	TEXT(o, "aead", d->aead);
	TEXT(o, "nat", d->nat);
	TEXT(o, "publicKey", d->public_key);
	d->pid = (long)get_number(o, "pid");
	d->started_at = get_number(o, "startedAt");
	d->at = get_number(o, "at");
	if (!(d->at > 0 && d->at < 1e11)) /* a bundle can hold anything; calendars end */
		d->at = 0;
	d->up = get_bool(o, "up");
	d->listen_port = get_unsigned(o, "listenPort");
	d->mtu = get_unsigned(o, "mtu");
	d->workers = get_unsigned(o, "workers");
	d->under_load = get_bool(o, "underLoad");
	d->tun_vnet = get_bool(offload, "tunVnet");
	d->tun_tso = get_bool(offload, "tunTso");
	d->tun_uso = get_bool(offload, "tunUso");
	d->udp_gso = get_bool(offload, "udpGso");
	d->udp_gro = get_bool(offload, "udpGro");
	d->rx = get_count(o, "transferRx");
	d->tx = get_count(o, "transferTx");
	get_counters(json_object_get(o, "counters"), d->counters);
	json_relays(d, json_object_get(o, "relays"));
}

static void get_snapshot(struct data *d, const json_t *o, double interval)
{
	const json_t *peers = json_object_get(o, "peers"), *removed = json_object_get(o, "removed");
	bool full = get_bool(o, "full");
	size_t i;
	json_t *item;

	get_device(d, o);
	if (full && json_is_array(peers))
		drop_peers(d, peers, NULL);
	else if (json_array_size(removed))
		drop_peers(d, NULL, removed);
	json_array_foreach((json_t *)peers, i, item) get_peer(d, item);
	memset(d->words, 0, sizeof(d->words));
	for (i = 0; i < d->peers_count; i++)
		d->words[d->peers[i]->word]++;
	d->full = true;
	data_sample(d, interval);
}

static void get_event(struct data *d, const json_t *o)
{
	struct event ev = {.at = get_number(o, "at"), .seq = get_count(o, "seq"), .level = get_level(o)};

	if (!json_is_object(o))
		return;
	TEXT(o, "peer", ev.key);
	TEXT(o, "name", ev.name);
	TEXT(o, "text", ev.text);
	data_add_event(d, &ev);
}

static void get_log(struct data *d, const json_t *o)
{
	struct log_line line = {.at = get_number(o, "at"), .seq = get_count(o, "seq"), .level = get_level(o)};

	if (!json_is_object(o))
		return;
	TEXT(o, "room", line.room);
	TEXT(o, "peer", line.peer);
	TEXT(o, "text", line.text);
	data_add_log(d, &line);
}

static void add_part(struct reply *r, const char *text, const char *between)
{
	char clean[256];
	size_t len = strlen(r->text);

	text_clean(clean, sizeof(clean), text);
	snprintf(r->text + len, sizeof(r->text) - len, "%s%s", len ? between : "", clean);
}

/* The method "peer" lists more allowed IPs of its peer than snapshots do. */
static void get_more_allowed(struct data *d, const json_t *o)
{
	const char *key = json_string_value(json_object_get(o, "publicKey"));
	struct peer *p = key ? data_peer(d, key) : NULL;

	if (p)
		get_allowed(p, o);
}

/* "sent, edge-lon: why", in one line. */
static void get_trace(const json_t *result, struct reply *r)
{
	const char *verdict = json_string_value(json_object_get(result, "verdict"));
	const char *why = json_string_value(json_object_get(result, "why"));
	const char *name = json_string_value(json_object_get(json_object_get(result, "peer"), "name"));

	if (!verdict || !why)
		return;
	add_part(r, verdict, "");
	if (name && *name)
		add_part(r, name, ", ");
	add_part(r, why, ": ");
}

static void get_reply(struct data *d, const json_t *o, struct reply *r)
{
	const json_t *error = json_object_get(o, "error"), *result = json_object_get(o, "result");
	const json_t *messages = json_object_get(error, "messages"),
		     *failed = json_object_get(result, "failed");
	const char *text = json_string_value(json_object_get(error, "message"));
	size_t i;
	json_t *item;

	*r = (struct reply){
		.id = (long)get_number(o, "id"), .ok = !error, .peers = get_unsigned(result, "peers")};
	if (text)
		add_part(r, text, "");
	json_array_foreach((json_t *)messages, i, item) if (i < 2 && json_is_string(item))
		add_part(r, json_string_value(item), "; ");
	if (json_array_size(messages) > 2)
		add_part(r, "and more: weir lint shows all", "; ");
	text = json_string_value(json_object_get(result, "summary"));
	if (text)
		add_part(r, text, "");
	json_array_foreach((json_t *)failed, i, item)
	{
		const char *name = json_string_value(json_object_get(item, "peer"));
		const char *why = json_string_value(json_object_get(item, "error"));

		r->ok = false;
		if (name)
			add_part(r, name, "; ");
		if (why)
			add_part(r, why, ": ");
	}
	get_trace(result, r);
	get_more_allowed(d, json_object_get(result, "peer"));
	json_explained(d, result);
	json_array_foreach(json_object_get(result, "timeline"), i, item) get_event(d, item);
}

enum news data_line(struct data *d, const char *line, size_t len, double interval, struct reply *reply)
{
	json_t *o = json_loadb(line, len, 0, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));
	enum news news = NEWS_OTHER;

	if (!json_is_object(o)) {
		news = NEWS_BAD;
	} else if (!event) {
		get_reply(d, o, reply);
		news = NEWS_REPLY;
	} else if (strcmp(event, "hello") == 0) {
		d->readonly = get_bool(o, "readonly");
		TEXT(o, "interface", d->interface);
	} else if (strcmp(event, "snapshot") == 0) {
		get_snapshot(d, o, interval);
		news = NEWS_SNAPSHOT;
	} else if (strcmp(event, "timeline") == 0) {
		get_event(d, json_object_get(o, "entry"));
		news = NEWS_EVENT;
	} else if (strcmp(event, "log") == 0) {
		get_log(d, json_object_get(o, "entry"));
		news = NEWS_LOG;
	} else if (strcmp(event, "packets") == 0) {
		json_packets(d, o);
		news = NEWS_PACKETS;
	} else if (strcmp(event, "bye") == 0) {
		d->gone = true;
		TEXT(o, "reason", d->gone_reason);
		news = NEWS_BYE;
	}
	json_decref(o);
	return news;
}
