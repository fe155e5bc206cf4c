/* The ring of packets, and what one of them has to do with the others. */
#include "tui/packets.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct packets *packets_new(void)
{
	return xcalloc(1, sizeof(struct packets));
}

void packets_free(struct packets *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PACKETS_KEPT; i++)
		free(p->ring[i].data);
	free(p);
}

static uint8_t *copy_of(const uint8_t *data, size_t len)
{
	uint8_t *copy = xmalloc(len ? len : 1);

	if (len)
		memcpy(copy, data, len);
	return copy;
}

struct packets *packets_clone(const struct packets *p)
{
	struct packets *c = packets_new();

	memcpy(c, p, sizeof(*c));
	for (size_t i = 0; i < PACKETS_KEPT; i++)
		if (c->ring[i].data)
			c->ring[i].data = copy_of(c->ring[i].data, c->ring[i].captured);
	return c;
}

static struct packet *slot(const struct packets *p, uint64_t number)
{
	return (struct packet *)&p->ring[number % PACKETS_KEPT];
}

uint64_t packets_oldest(const struct packets *p)
{
	return p ? p->newest + 1 - p->count : 1;
}

const struct packet *packets_get(const struct packets *p, uint64_t number)
{
	if (!p || !number || number > p->newest || number < packets_oldest(p))
		return NULL;
	return slot(p, number);
}

static void drop_oldest(struct packets *p)
{
	struct packet *k = slot(p, packets_oldest(p));

	p->bytes -= k->captured;
	p->count--;
	free(k->data);
	*k = (struct packet){0};
}

static uint64_t *open_slot(struct packets *p, uint64_t exchange)
{
	/* Fibonacci hashing: the ids may be counters or addresses. */
	return &p->open[exchange * 0x9e3779b97f4a7c15u >> 52];
}

_Static_assert(PACKETS_OPEN == 1 << 12, "open_slot takes the upper twelve bits");

/* A request waits for its answer; an answer finds the request. */
static void link_exchange(struct packets *p, struct packet *k)
{
	uint64_t *open = open_slot(p, k->exchange);
	struct packet *request;

	if (!k->answer) {
		*open = k->number;
		return;
	}
	request = (struct packet *)packets_get(p, *open);
	if (!request || request->exchange != k->exchange || request->answer)
		return;
	k->partner = request->number;
	if (!request->partner)
		request->partner = k->number;
}

void packets_add(struct packets *p, const struct tap_meta *m, const uint8_t *data, size_t captured)
{
	struct packet *k;

	if (captured > PACKETS_BYTES / 2)
		captured = PACKETS_BYTES / 2;
	while (p->count && (p->count == PACKETS_KEPT || p->bytes + captured > PACKETS_BYTES))
		drop_oldest(p);
	k = slot(p, ++p->newest);
	*k = (struct packet){.number = p->newest, .meta = *m, .captured = (uint32_t)captured};
	k->data = copy_of(data, captured);
	p->count++;
	p->bytes += captured;
	k->flow = decode_flow(m, k->data, captured);
	k->exchange = decode_exchange(m, k->data, captured, &k->answer);
	if (k->exchange)
		link_exchange(p, k);
}

void packets_lost(struct packets *p, uint64_t lost)
{
	p->lost += lost < p->lost_told ? lost : lost - p->lost_told;
	p->lost_told = lost;
}

static bool same_peer(const struct packet *a, const struct packet *b)
{
	if (a->meta.has_peer != b->meta.has_peer)
		return false;
	return !a->meta.has_peer || memcmp(&a->meta.peer, &b->meta.peer, sizeof(a->meta.peer)) == 0;
}

/* The same question: a handshake with the same peer, a check of the same pair, a ping of the same program. */
static bool alike(const struct packet *a, const struct packet *b)
{
	if (!b->exchange || b->answer || a->meta.type != b->meta.type || a->meta.out != b->meta.out ||
	    a->meta.point != b->meta.point || !same_peer(a, b))
		return false;
	if (a->meta.type == TAP_IP)
		return a->flow == b->flow;
	return a->meta.type != TAP_STUN || address_equal(&a->meta.remote, &b->meta.remote);
}

struct packets_like packets_like(const struct packets *p, const struct packet *k)
{
	struct packets_like like = {0};

	if (!k->exchange || k->answer)
		return like;
	for (uint64_t n = packets_oldest(p); n < k->number; n++) {
		const struct packet *other = slot(p, n);

		if (!alike(k, other))
			continue;
		like.earlier++;
		like.answered += other->partner != 0;
	}
	return like;
}

/* ---- words about it ---- */

const char *packet_clock(char out[FORMAT_ROOM], const struct packet *k)
{
	char clock[FORMAT_ROOM];
	uint64_t seconds = k->meta.at / 1000000000u;

	snprintf(out, FORMAT_ROOM, "%.20s.%03u", format_clock(clock, (double)seconds, false),
		 (unsigned)(k->meta.at / 1000000u % 1000));
	return out;
}

static double ms_between(const struct packet *a, const struct packet *b)
{
	return ((double)b->meta.at - (double)a->meta.at) / 1e6;
}

/* Waiting is told in steps, so that a quiet screen stays quiet. */
static double waited(const struct packet *k, double now)
{
	double s = now - (double)k->meta.at / 1e9;

	return s < 0 ? 0 : s < 10 ? s : (double)(long)(s / 5) * 5;
}

/* "none (5.0s)", "2211, after 31.0 ms", "to 2210, after 31.0 ms"; "": neither request nor answer. */
static void answer_words(char *out, size_t size, const struct packets *p, const struct packet *k, double now)
{
	const struct packet *other = packets_get(p, k->partner);

	*out = '\0';
	if (!k->exchange)
		return;
	if (k->answer && other)
		snprintf(out, size, "to %llu, after %.1f ms", (unsigned long long)k->partner,
			 ms_between(other, k));
	else if (k->answer)
		snprintf(out, size, "to none that is here");
	else if (other)
		snprintf(out, size, "%llu, after %.1f ms", (unsigned long long)k->partner,
			 ms_between(k, other));
	else if (k->partner)
		snprintf(out, size, "%llu, gone from the ring", (unsigned long long)k->partner);
	else if (k->meta.drop != TAP_DROP_none)
		snprintf(out, size, "none: it went no further");
	else
		snprintf(out, size, "none (%.1fs)", waited(k, now));
}

void packets_verdict(char *out, size_t size, const struct packets *p, const struct packet *k, double now)
{
	struct packets_like like = packets_like(p, k);
	char words[64];
	size_t len;

	*out = '\0';
	if (k->meta.drop != TAP_DROP_none) {
		snprintf(out, size, "%s: %s", tap_drop_name(k->meta.drop), tap_drop_text(k->meta.drop));
		return;
	}
	answer_words(words, sizeof(words), p, k, now);
	if (!*words)
		return;
	snprintf(out, size, "%s %s", k->answer ? "answer" : "answer:", words);
	len = strlen(out);
	if (!k->answer && len < size)
		snprintf(out + len, size - len, "; %u earlier like it, %u answered", like.earlier,
			 like.answered);
}

static void add_line(struct decode *d, unsigned depth, const char *label, const char *value)
{
	struct decode_line *l = &d->lines[d->count];

	if (d->count == DECODE_LINES)
		return;
	*l = (struct decode_line){.depth = (uint8_t)depth};
	snprintf(l->label, sizeof(l->label), "%s", label);
	snprintf(l->value, sizeof(l->value), "%s", value);
	d->count++;
}

/* The decoder says what the engine said, and that has keys and the engine's numbers: here a peer has its
 * name. */
static void name_peer(struct decode *d, const struct packet *k, const char *label)
{
	unsigned i = d->count;

	while (i && d->lines[i - 1].depth)
		i--;
	if (!i || strcmp(d->lines[i - 1].label, "engine") != 0) {
		add_line(d, 0, "engine", "");
		i = d->count;
	}
	snprintf(d->lines[i - 1].value, sizeof(d->lines[i - 1].value), "%s, %s",
		 tap_point_name(k->meta.point), k->meta.out ? "sent" : "received");
	for (; i < d->count; i++)
		if (k->meta.has_peer && strcmp(d->lines[i].label, "peer") == 0)
			snprintf(d->lines[i].value, sizeof(d->lines[i].value), "%s", label);
}

void packets_decode(struct decode *out, const struct packets *p, const struct packet *k, const char *label,
		    double now)
{
	struct packets_like like = packets_like(p, k);
	char words[80];

	decode_full(out, &k->meta, k->data, k->captured);
	name_peer(out, k, label);
	answer_words(words, sizeof(words), p, k, now);
	if (*words)
		add_line(out, 1, k->answer ? "answers" : "answer", words);
	if (k->exchange && !k->answer) {
		snprintf(words, sizeof(words), "%u earlier, %u answered", like.earlier, like.answered);
		add_line(out, 1, "like it", words);
	}
}

void packets_hex(struct strbuf *out, const struct packet *k)
{
	for (uint32_t i = 0; i < k->captured; i++)
		strbuf_add(out, "%02x%s", k->data[i], i + 1 == k->captured || i % 16 == 15 ? "\n" : " ");
}
