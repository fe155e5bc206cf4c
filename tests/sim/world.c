/* Virtual time: a heap of events, ordered by time and then by when they were planned; randomness; memory. */
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

static bool earlier(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void world_at(struct world *w, uint64_t at, void (*run)(struct world *, const struct event *), void *subject,
	      uint64_t a, uint64_t b, uint64_t c)
{
	struct event e = {at < w->now ? w->now : at, w->order++, run, subject, a, b, c};
	size_t i = w->event_count++;

	if (w->event_count > w->event_room) {
		w->event_room = w->event_room ? 2 * w->event_room : 1024;
		w->events = xrealloc(w->events, w->event_room * sizeof(*w->events));
	}
	for (; i && earlier(&e, &w->events[(i - 1) / 2]); i = (i - 1) / 2)
		w->events[i] = w->events[(i - 1) / 2];
	w->events[i] = e;
}

static struct event take_first(struct world *w)
{
	struct event first = w->events[0], last = w->events[--w->event_count];
	size_t i = 0;

	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= w->event_count)
			break;
		if (child + 1 < w->event_count && earlier(&w->events[child + 1], &w->events[child]))
			child++;
		if (!earlier(&w->events[child], &last))
			break;
		w->events[i] = w->events[child];
		i = child;
	}
	w->events[i] = last;
	return first;
}

void world_run(struct world *w, uint64_t until)
{
	while (!w->failed && w->event_count && w->events[0].at <= until) {
		struct event e = take_first(w);

		w->now = e.at;
		e.run(w, &e);
	}
	if (!w->failed && until > w->now)
		w->now = until;
}

/* xoshiro256**, seeded by splitmix64: fast, and the same on every machine. */
static uint64_t rotate(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

uint64_t random_u64(struct world *w)
{
	uint64_t *s = w->random, result = rotate(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate(s[3], 45);
	return result;
}

static void random_seed(struct world *w, uint64_t seed)
{
	for (unsigned i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15ull;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
		z = (z ^ z >> 27) * 0x94d049bb133111ebull;
		w->random[i] = z ^ z >> 31;
	}
}

uint64_t random_below(struct world *w, uint64_t limit)
{
	return limit ? random_u64(w) % limit : 0;
}

uint64_t random_between(struct world *w, uint64_t low, uint64_t high)
{
	return low + random_below(w, high - low + 1);
}

bool chance(struct world *w, unsigned per_mille)
{
	return per_mille && random_below(w, 1000) < per_mille;
}

void world_say(struct world *w, const char *fmt, ...)
{
	va_list args;

	if (!w->verbose)
		return;
	printf("[%9.3f] ", (double)w->now / 1e9);
	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
}

void world_fail(struct world *w, const char *fmt, ...)
{
	char text[360];
	va_list args;

	if (w->failed)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(w->failure, sizeof(w->failure), "%s (at %.3f s)", text, (double)w->now / 1e9);
	w->failed = true;
	world_say(w, "FAILED: %s", text);
}

/* ---- packets: many and short-lived, so they are kept for the next one ---- */

#define CHUNK 64

struct chunk {
	struct chunk *next;
	struct packet packets[CHUNK];
};
struct message_chunk {
	struct message_chunk *next;
	struct message messages[CHUNK / 4];
};

/* Shared by all schedules of this process, one after another; what a schedule left unfreed comes back with
 * its end. */
static struct chunk *chunks;
static struct message_chunk *message_chunks;

static void collect_all(struct world *w)
{
	w->free_packets = NULL;
	w->free_messages = NULL;
	for (struct chunk *c = chunks; c; c = c->next)
		for (unsigned i = 0; i < CHUNK; i++) {
			c->packets[i].next_free = w->free_packets;
			w->free_packets = &c->packets[i];
		}
	for (struct message_chunk *c = message_chunks; c; c = c->next)
		for (unsigned i = 0; i < CHUNK / 4; i++) {
			c->messages[i].next_free = w->free_messages;
			w->free_messages = &c->messages[i];
		}
}

struct packet *packet_new(struct world *w, enum payload kind, unsigned from, unsigned to, unsigned size)
{
	struct packet *p;

	if (!w->free_packets) {
		struct chunk *c = xcalloc(1, sizeof(*c));

		c->next = chunks;
		chunks = c;
		for (unsigned i = 0; i < CHUNK; i++) {
			c->packets[i].next_free = w->free_packets;
			w->free_packets = &c->packets[i];
		}
	}
	p = w->free_packets;
	w->free_packets = p->next_free;
	*p = (struct packet){.kind = kind, .from = (uint8_t)from, .to = (uint8_t)to, .size = (uint16_t)size};
	w->packets++;
	return p;
}

struct packet *packet_copy(struct world *w, const struct packet *p)
{
	struct packet *copy = packet_new(w, p->kind, p->from, p->to, p->size);

	*copy = *p;
	if (p->message)
		p->message->users++;
	return copy;
}

void packet_free(struct world *w, struct packet *p)
{
	if (p->message)
		message_drop(w, p->message);
	p->message = NULL;
	p->next_free = w->free_packets;
	w->free_packets = p;
}

struct message *message_new(struct world *w)
{
	struct message *m;

	if (!w->free_messages) {
		struct message_chunk *c = xcalloc(1, sizeof(*c));

		c->next = message_chunks;
		message_chunks = c;
		for (unsigned i = 0; i < CHUNK / 4; i++) {
			c->messages[i].next_free = w->free_messages;
			w->free_messages = &c->messages[i];
		}
	}
	m = w->free_messages;
	w->free_messages = m->next_free;
	/* The candidates' texts are the bulk of it and are guarded by their count. */
	memset(m, 0, offsetof(struct message, m) + offsetof(struct signal_message, candidates));
	m->m.pad_to = 0;
	m->users = 1;
	return m;
}

void message_drop(struct world *w, struct message *m)
{
	if (--m->users)
		return;
	m->next_free = w->free_messages;
	w->free_messages = m;
}

/* ---- the world as a whole ---- */

static struct world *spare; /* large, so it is used again */

struct world *world_new(uint64_t seed, unsigned nodes, unsigned servers, bool verbose)
{
	struct world *w = spare ? spare : xcalloc(1, sizeof(*w));
	struct event *events = w->events;
	size_t room = w->event_room;

	spare = NULL;
	memset(w, 0, sizeof(*w));
	w->events = events;
	w->event_room = room;
	w->seed = seed;
	w->now = SECONDS(1000); /* boot time of machines that have been up for a while; 0 means never */
	w->verbose = verbose;
	w->nodes = nodes;
	w->servers = servers;
	w->next_id = 1;
	w->ice = true;
	random_seed(w, seed);
	collect_all(w);
	for (unsigned i = 0; i < servers; i++) {
		w->server[i].host = 300 + i;
		w->server[i].delay = MS(random_between(w, 5, 40));
		w->server[i].listening = true;
	}
	for (unsigned i = 0; i < nodes; i++) {
		w->node[i].world = w;
		w->node[i].number = i;
		w->node[i].home = PEER_NO_SERVER;
		w->node[i].lan_host = 100 + i;
		w->node[i].wall_offset = (int64_t)random_below(w, SECONDS(1000000));
		for (unsigned j = 0; j < nodes; j++)
			w->way[i][j] = (struct way){.delay = MS(random_between(w, 2, 60)),
						    .jitter = MS(random_between(w, 0, 8))};
	}
	return w;
}

void world_free(struct world *w)
{
	for (unsigned i = 0; i < w->nodes; i++)
		for (unsigned j = 0; j < w->nodes; j++)
			if (w->node[i].remote[j].m)
				peer_machine_free(w->node[i].remote[j].m);
	w->event_count = 0;
	spare = w;
}

void world_nat(struct world *w, unsigned node, enum nat_kind kind, bool shared)
{
	struct node *n = &w->node[node];

	if (kind == NAT_NONE) {
		n->nat = NULL;
		n->lan_host = 100 + node;
		return;
	}
	n->lan_host = 10 + node;
	n->nat = &w->nat[shared ? 0 : node];
	if (!n->nat->kind)
		*n->nat = (struct nat){.kind = kind,
				       .host = 200 + 16 * (shared ? 0 : node),
				       .expiry = SECONDS(random_between(w, 30, 180))};
}

void world_start(struct world *w)
{
	for (unsigned i = 0; i < w->nodes; i++)
		node_start(w, &w->node[i], false);
}

void world_fault(struct world *w, const char *what)
{
	w->fault_at = w->now;
	w->evidence[0] = 0;
	world_say(w, "---- %s", what);
}

uint64_t world_until_flows(struct world *w, unsigned a, unsigned b, uint64_t limit)
{
	uint64_t from = w->now;

	while (!w->failed && w->now < from + limit) {
		if (traffic_flows(w, a, b, from))
			return w->now - from;
		world_run(w, w->now + MS(10));
	}
	return !w->failed && traffic_flows(w, a, b, from) ? w->now - from : UINT64_MAX;
}
