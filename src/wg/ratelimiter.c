/*
 * Buckets are found by a seeded hash, and queue by when they were last used, so the ones that have refilled
 * are at the front: forgetting them needs no timer and no sweep.
 */
#include "wg/ratelimiter.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/xalloc.h"

#define COST	       (NS_PER_SEC / RATELIMITER_PER_SECOND)
#define FULL	       (COST * RATELIMITER_BURST)
#define FORGET_AT_ONCE 8 /* per call: more than can be added, so the table shrinks */
#define SOURCE_LEN     9 /* family, then the address or its first 64 bits */

struct bucket {
	struct list order;
	uint64_t used, tokens; /* boot ns; ns */
	uint8_t source[SOURCE_LEN];
};

struct ratelimiter {
	struct map *buckets;
	struct bucket *pool; /* RATELIMITER_SOURCES_MAX, from the first use on */
	size_t pool_used;    /* what lies beyond was never touched, so it takes no memory yet */
	struct list order;   /* least recently used first */
	struct list spare;
};

struct ratelimiter *ratelimiter_new(void)
{
	struct ratelimiter *r = xcalloc(1, sizeof(*r));

	list_init(&r->order);
	list_init(&r->spare);
	return r;
}

void ratelimiter_free(struct ratelimiter *r)
{
	if (!r)
		return;
	if (r->buckets)
		map_free(r->buckets);
	free(r->pool);
	free(r);
}

/* An IPv4 address in IPv6 clothes is that address, or all of IPv4 would share one bucket. */
static bool source_of(uint8_t out[SOURCE_LEN], const union address *from)
{
	memset(out, 0, SOURCE_LEN);
	if (from->sa.sa_family == AF_INET) {
		out[0] = 4;
		memcpy(out + 1, &from->in.sin_addr, 4);
	} else if (from->sa.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&from->in6.sin6_addr)) {
		out[0] = 4;
		memcpy(out + 1, from->in6.sin6_addr.s6_addr + 12, 4);
	} else if (from->sa.sa_family == AF_INET6) {
		out[0] = 6;
		memcpy(out + 1, &from->in6.sin6_addr, 8);
	} else {
		return false;
	}
	return true;
}

static void forget_full(struct ratelimiter *r, uint64_t now)
{
	for (unsigned i = 0; i < FORGET_AT_ONCE && !list_empty(&r->order); i++) {
		struct bucket *b = container_of(r->order.next, struct bucket, order);

		if (now - b->used < FULL)
			return;
		map_remove(r->buckets, b->source);
		list_remove(&b->order);
		list_append(&r->spare, &b->order);
	}
}

/* A full bucket, or NULL when all are in use. */
static struct bucket *add_bucket(struct ratelimiter *r, const uint8_t source[SOURCE_LEN], uint64_t now)
{
	struct bucket *b;

	if (!list_empty(&r->spare)) {
		b = container_of(r->spare.next, struct bucket, order);
		list_remove(&b->order);
	} else if (r->pool_used < RATELIMITER_SOURCES_MAX) {
		b = &r->pool[r->pool_used++];
	} else {
		return NULL;
	}
	memcpy(b->source, source, SOURCE_LEN);
	b->used = now;
	b->tokens = FULL;
	list_append(&r->order, &b->order);
	map_put(r->buckets, b->source, b);
	return b;
}

bool ratelimiter_allow(struct ratelimiter *r, const union address *from, uint64_t now)
{
	uint8_t source[SOURCE_LEN];
	struct bucket *b;

	if (!source_of(source, from))
		return false;
	if (!r->pool) {
		r->pool = xcalloc(RATELIMITER_SOURCES_MAX, sizeof(*r->pool));
		r->buckets = map_new(SOURCE_LEN);
	}
	forget_full(r, now);
	b = map_get(r->buckets, source);
	if (!b)
		b = add_bucket(r, source, now);
	if (!b)
		return false;
	b->tokens += now - b->used;
	if (b->tokens > FULL)
		b->tokens = FULL;
	b->used = now;
	list_remove(&b->order);
	list_append(&r->order, &b->order);
	if (b->tokens < COST)
		return false;
	b->tokens -= COST;
	return true;
}

size_t ratelimiter_count(const struct ratelimiter *r)
{
	return r->buckets ? map_count(r->buckets) : 0;
}
