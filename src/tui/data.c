#include "tui/data_internal.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/xalloc.h"
#include "tui/packets.h"
#include "tui/text.h"

static const char *const word_names[WORDS] = {"STUCK", "WAIT", "DRAIN", "RELAY", "DIRECT", "IDLE", "DOWN"};
static const char *const level_names[LEVELS] = {"error", "warn", "notice", "info", "debug"};

const char *word_name(enum word w)
{
	return w < WORDS ? word_names[w] : "?";
}

const char *level_name(enum level l)
{
	return l < LEVELS ? level_names[l] : "?";
}

struct data *data_new(void)
{
	struct data *d = xcalloc(1, sizeof(*d));

	d->by_key = map_new(KEY_BASE64_LEN);
	d->events = xcalloc(EVENTS_KEPT, sizeof(*d->events));
	d->log = xcalloc(LOG_KEPT, sizeof(*d->log));
	return d;
}

static void peer_free(struct peer *p)
{
	free(p->allowed);
	free(p->prefixes);
	free(p->network);
	free(p->findings);
	free(p->explained);
	free(p);
}

void data_free(struct data *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->peers_count; i++)
		peer_free(d->peers[i]);
	free(d->peers);
	map_free(d->by_key);
	free(d->events);
	free(d->log);
	packets_free(d->packets);
	free(d);
}

static void *copy_of(const void *from, size_t size)
{
	void *to = xmalloc(size ? size : 1);

	if (size)
		memcpy(to, from, size);
	return to;
}

struct data *data_clone(const struct data *d)
{
	struct data *c = copy_of(d, sizeof(*d));

	/* Room for all, but only what is there is touched: many pictures of the past are kept. */
	c->events = xcalloc(EVENTS_KEPT, sizeof(*d->events));
	memcpy(c->events, d->events, d->events_count * sizeof(*d->events));
	c->log = xcalloc(LOG_KEPT, sizeof(*d->log));
	memcpy(c->log, d->log, d->log_count * sizeof(*d->log));
	c->packets = NULL; /* nor are they in the past; a picture that freezes has its own (tui.c) */
	c->by_key = map_new(KEY_BASE64_LEN);
	c->peers = copy_of(d->peers, d->peers_count * sizeof(*d->peers));
	c->peers_room = d->peers_count;
	for (size_t i = 0; i < d->peers_count; i++) {
		struct peer *p = copy_of(d->peers[i], sizeof(*p));

		p->allowed = xstrdup(p->allowed);
		p->prefixes = copy_of(p->prefixes, p->prefixes_count * sizeof(*p->prefixes));
		if (p->network)
			p->network = copy_of(p->network, sizeof(*p->network));
		if (p->findings)
			p->findings = copy_of(p->findings, sizeof(*p->findings));
		if (p->explained)
			p->explained = copy_of(p->explained, sizeof(*p->explained));
		c->peers[i] = p;
		map_put(c->by_key, p->key, p);
	}
	return c;
}

struct peer *data_peer(const struct data *d, const char *key)
{
	return strlen(key) == KEY_BASE64_LEN ? map_get(d->by_key, key) : NULL;
}

struct peer *data_add_peer(struct data *d, const char *key)
{
	struct peer *p = xcalloc(1, sizeof(*p));

	text_copy(p->key, sizeof(p->key), key);
	p->allowed = xstrdup("");
	p->serial = ++d->serials;
	if (d->peers_count == d->peers_room) {
		d->peers_room = d->peers_room ? 2 * d->peers_room : 64;
		d->peers = xrealloc(d->peers, d->peers_room * sizeof(struct peer *));
	}
	d->peers[d->peers_count++] = p;
	map_put(d->by_key, p->key, p);
	return p;
}

void data_remove_peers(struct data *d, bool (*gone)(const struct peer *p, const void *arg), const void *arg)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->peers_count; i++) {
		struct peer *p = d->peers[i];

		if (gone(p, arg)) {
			map_remove(d->by_key, p->key);
			peer_free(p);
		} else {
			d->peers[kept++] = p;
		}
	}
	d->peers_count = kept;
}

const char *peer_label(char out[LABEL_ROOM], const struct peer *p, bool private)
{
	if (*p->name)
		text_copy(out, LABEL_ROOM, p->name);
	else if (private)
		snprintf(out, LABEL_ROOM, "peer-%u", p->serial);
	else
		snprintf(out, LABEL_ROOM, "%.8s\u2026", p->key);
	return out;
}

const struct finding *peer_finding(const struct peer *p)
{
	return p->findings && p->findings->count ? &p->findings->items[0] : NULL;
}

#define EXPLAINED_FOR 30 /* s; it is asked for every ten while somebody looks */

const struct findings *peer_findings(const struct data *d, const struct peer *p)
{
	if (p->findings)
		return p->findings;
	return p->explained && d->at - p->explained_at <= EXPLAINED_FOR ? p->explained : NULL;
}

static bool prefix_covers(const struct prefix *p, int family, const uint8_t *address)
{
	unsigned whole = p->length / 8, rest = p->length % 8;

	if (p->family != family || memcmp(p->bytes, address, whole) != 0)
		return false;
	return !rest || ((p->bytes[whole] ^ address[whole]) & (0xff << (8 - rest) & 0xff)) == 0;
}

const struct peer *data_owner(const struct data *d, const char *address, bool *certain)
{
	uint8_t raw[16];
	int family = inet_pton(AF_INET, address, raw) == 1 ? AF_INET : AF_INET6, best = -1;
	const struct peer *owner = NULL;

	*certain = true;
	if (family == AF_INET6 && inet_pton(AF_INET6, address, raw) != 1)
		return NULL;
	for (size_t i = 0; i < d->peers_count; i++) {
		const struct peer *p = d->peers[i];

		if (p->allowed_total > p->prefixes_count)
			*certain = false;
		for (size_t k = 0; k < p->prefixes_count; k++)
			if (p->prefixes[k].length > best && prefix_covers(&p->prefixes[k], family, raw)) {
				best = p->prefixes[k].length;
				owner = p;
			}
	}
	/* No list that was cut can hold a longer prefix than a whole address. */
	if (best == (family == AF_INET ? 32 : 128))
		*certain = true;
	return owner;
}

unsigned data_handshakes_per_minute(const struct data *d)
{
	uint64_t first = d->samples > HISTORY ? d->samples - HISTORY : 0, newest;

	if (d->samples < 2)
		return 0;
	newest = d->handshakes[(d->samples - 1) % HISTORY].done;
	for (uint64_t i = first; i < d->samples; i++)
		if (d->handshakes[i % HISTORY].at >= d->sampled_at - 60)
			return (unsigned)(newest - d->handshakes[i % HISTORY].done);
	return 0;
}

double data_rate(const struct data *d, double shown)
{
	return d->samples < 2 ? -1 : shown;
}

/* A shown number moves only when the real one has moved by a tenth, or to or from nothing. */
static void follow(double *shown, double real)
{
	if (real == 0 || *shown == 0 || fabs(real - *shown) > 0.1 * fabs(*shown))
		*shown = real;
}

static double rate(uint64_t now, uint64_t before, double seconds)
{
	return now > before && seconds > 0 ? (double)(now - before) / seconds : 0;
}

/*
 * One sample of every rate, `interval` apart: snapshots that came early, after an action, only add to the
 * next.
 */
void data_sample(struct data *d, double interval)
{
	double seconds = d->at - d->sampled_at;
	size_t slot = d->samples % HISTORY;
	int done = counter_slot("handshake_done");
	bool first = d->sampled_at == 0;

	if (!first && seconds < 0.8 * interval && seconds >= 0)
		return;
	d->history_rx[slot] = (float)(first ? 0 : rate(d->rx, d->sampled_rx, seconds));
	d->history_tx[slot] = (float)(first ? 0 : rate(d->tx, d->sampled_tx, seconds));
	follow(&d->shown_rx, d->history_rx[slot]);
	follow(&d->shown_tx, d->history_tx[slot]);
	d->sampled_rx = d->rx;
	d->sampled_tx = d->tx;
	for (size_t i = 0; i < d->peers_count; i++) {
		struct peer *p = d->peers[i];
		bool fresh = !p->sampled_rx && !p->sampled_tx && first;

		p->history_rx[slot] = (float)(fresh ? 0 : rate(p->rx, p->sampled_rx, seconds));
		p->history_tx[slot] = (float)(fresh ? 0 : rate(p->tx, p->sampled_tx, seconds));
		follow(&p->shown_rx, p->history_rx[slot]);
		follow(&p->shown_tx, p->history_tx[slot]);
		follow(&p->shown_rtt, p->handshake_rtt);
		follow(&p->shown_loss, p->loss);
		p->sampled_rx = p->rx;
		p->sampled_tx = p->tx;
	}
	d->handshakes[slot].at = d->at;
	d->handshakes[slot].done = d->counters[done];
	d->sampled_at = d->at;
	d->samples++;
}

/* Keeps the array ascending by seq and free of repetitions; the oldest leaves when it is full. */
static void *ring_place(void *ring, size_t *count, size_t max, size_t size, size_t seq_offset, uint64_t seq)
{
	char *base = ring;
	size_t at = *count;

	while (at && *(uint64_t *)(base + (at - 1) * size + seq_offset) > seq)
		at--;
	if (at && *(uint64_t *)(base + (at - 1) * size + seq_offset) == seq)
		return NULL;
	if (*count == max) {
		/* An eighth at a time, so that a stream of lines does not move everything for each. */
		size_t drop = max / 8;

		if (at <= drop)
			return NULL;
		memmove(base, base + drop * size, (max - drop) * size);
		*count -= drop;
		at -= drop;
	}
	memmove(base + (at + 1) * size, base + at * size, (*count - at) * size);
	(*count)++;
	return base + at * size;
}

void data_add_event(struct data *d, const struct event *ev)
{
	struct event *slot = ring_place(d->events, &d->events_count, EVENTS_KEPT, sizeof(*slot),
					offsetof(struct event, seq), ev->seq);

	if (slot)
		*slot = *ev;
}

void data_add_log(struct data *d, const struct log_line *line)
{
	struct log_line *slot = ring_place(d->log, &d->log_count, LOG_KEPT, sizeof(*slot),
					   offsetof(struct log_line, seq), line->seq);

	if (slot)
		*slot = *line;
}
