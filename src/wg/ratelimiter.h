/*
 * Handshakes per source: 20 a second with bursts of 5 for each IPv4 address and each IPv6 /64, as the kernel
 * does.
 *
 * Token buckets, counted in nanoseconds. A bucket that has been left alone long enough is full again, which
 * is the same as not being there, so it is forgotten then. When all are busy, sources that are not yet known
 * are refused: memory stays bounded and known sources keep their share.
 */
#ifndef WEIR_WG_RATELIMITER_H
#define WEIR_WG_RATELIMITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define RATELIMITER_PER_SECOND	20
#define RATELIMITER_BURST	5
#define RATELIMITER_SOURCES_MAX 8192

struct ratelimiter;

/* Takes next to no memory until the first ratelimiter_allow. */
struct ratelimiter *ratelimiter_new(void);
void ratelimiter_free(struct ratelimiter *r);

/* May this source have one more handshake? now is boot ns and never goes back. False for an unknown family.
 */
bool ratelimiter_allow(struct ratelimiter *r, const union address *from, uint64_t now);

/* Sources remembered at present. */
size_t ratelimiter_count(const struct ratelimiter *r);

#endif
