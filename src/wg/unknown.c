/*
 * Data under an index that we do not know. If it comes from where a peer of ours is, and we
 * share no key with that peer, then we have lost the keys that it still uses: a handshake at once brings the
 * tunnel back, where both ends would otherwise wait for the silence timer.
 *
 * Such a packet proves nothing, so it may cost us little: one initiation per peer and REKEY_TIMEOUT, and a
 * budget for the device. Whoever forges one makes us send 148 bytes to an address that we would talk to
 * anyhow.
 *
 * After a restart a peer that has no configured endpoint may be the one who sends. Then the source of the
 * packet is all that we have: an initiation to it is readable for that peer alone, and its answer, which only
 * the peer can give, teaches us the endpoint. These guesses are rarer still, and are not made where many
 * peers could be meant.
 */
#include <string.h>

#include "wg/internal.h"

#define TELL_AGAIN	 (20 * NS_PER_MS)
#define BUDGET_INTERVAL	 (NS_PER_SEC / 50)
#define BUDGET_BURST	 100
#define GUESS_INTERVAL	 (NS_PER_SEC / 8)
#define GUESS_BURST	 32
#define GUESS_PEERS	 16 /* that may be meant */
#define GUESS_PEER_BURST 4

static uint64_t hash_source(const struct endpoint *from)
{
	uint64_t h = 0xcbf29ce484222325ull ^ from->via;
	const uint8_t *bytes = (const uint8_t *)&from->remote;
	socklen_t len = address_len(&from->remote);

	for (socklen_t i = 0; i < len; i++)
		h = (h ^ bytes[i]) * 0x100000001b3ull;
	return h ^ h >> 32;
}

/* Told just now? A slot holds half of the hash, and the time in milliseconds; a collision only delays. */
static bool seen_lately(struct wg_device *d, const struct endpoint *from, uint64_t now)
{
	uint64_t h = hash_source(from), mark = (h >> 32 << 32) | (uint32_t)(now / NS_PER_MS);
	counter_t *slot = &d->unknown_seen[h % UNKNOWN_SEEN];
	uint64_t last = counter_get(slot);

	if (last >> 32 == mark >> 32 && (uint32_t)mark - (uint32_t)last < TELL_AGAIN / NS_PER_MS)
		return true;
	counter_set(slot, mark);
	return false;
}

void unknown_index_report(struct wg_device *d, uint32_t index, const struct endpoint *from, uint64_t now)
{
	unsigned n;

	if (atomic_load_explicit(&d->unknown_count, memory_order_relaxed) == UNKNOWN_INDEX_BOX ||
	    seen_lately(d, from, now))
		return;
	spin_lock(&d->unknown_lock);
	n = atomic_load_explicit(&d->unknown_count, memory_order_relaxed);
	if (n < UNKNOWN_INDEX_BOX) {
		d->unknown[n] = (struct unknown_index){.index = index, .from = *from};
		atomic_store_explicit(&d->unknown_count, n + 1, memory_order_relaxed);
	}
	spin_unlock(&d->unknown_lock);
	device_wake(d);
}

/* Takes one out of the bucket; `burst` fit. */
static bool take(uint64_t *full_at, uint64_t interval, unsigned burst, uint64_t now)
{
	uint64_t from = *full_at > now ? *full_at : now;

	if (from + interval > now + burst * interval)
		return false;
	*full_at = from + interval;
	return true;
}

static void told(struct wg_peer *p, const struct unknown_index *u, struct instant now)
{
	count(p, WG_COUNT_unknown_index_rehandshake, 1);
	device_emit(p->device, p,
		    (struct wg_event){.type = WG_EVENT_UNKNOWN_INDEX, .a = u->index, .from = &u->from}, now);
}

static void rehandshake(struct wg_peer *p, const struct unknown_index *u, struct instant now)
{
	const struct wg_keypair *next = atomic_load_explicit(&p->slots[WG_NEXT], memory_order_relaxed);
	struct wg_device *d = p->device;
	uint64_t pause = d->t.rekey_timeout;

	if (!handshake_possible(p) || session_usable(p, now.boot))
		return;
	/* One that runs repeats itself; and we may have answered theirs just now. */
	if (p->attempt || (next && keypair_age(next, now.boot) < pause))
		return;
	if (!take(&d->unknown_full, BUDGET_INTERVAL, BUDGET_BURST, now.boot))
		return;
	told(p, u, now);
	handshake_plan(p, now.boot, WG_REASON_unknown_index, true);
}

static bool may_be_meant(const struct wg_peer *p, const struct unknown_index *u)
{
	return !p->own && !session_any(p) && peer_may_use(p, &u->from);
}

static void guess_peer(struct wg_peer *p, const struct unknown_index *u, struct instant now)
{
	struct wg_device *d = p->device;
	uint64_t pause = d->t.rekey_timeout;

	if (p->last_initiation && now.boot - p->last_initiation < pause && same_place(&p->guessed, &u->from))
		return;
	/* Too fast after one another would be a flood to the peer, should it have moved. */
	if (p->last_initiation && now.boot - p->last_initiation < INITIATION_INTERVAL)
		return;
	if (!take(&d->guess_full, GUESS_INTERVAL, GUESS_BURST, now.boot) ||
	    !take(&p->guess_full, pause, GUESS_PEER_BURST, now.boot))
		return;
	p->guessed = u->from;
	told(p, u, now);
	handshake_guess(p, &u->from, now);
}

static void guess(struct wg_device *d, const struct unknown_index *u, struct instant now)
{
	unsigned meant = 0;

	list_for_each (pos, &d->homeless)
		if (may_be_meant(container_of(pos, struct wg_peer, homeless), u) && ++meant > GUESS_PEERS)
			return;
	list_for_each (pos, &d->homeless) {
		struct wg_peer *p = container_of(pos, struct wg_peer, homeless);

		if (may_be_meant(p, u))
			guess_peer(p, u, now);
	}
}

/* A way other than the device's sockets leads to one peer: nobody else can be meant, and nobody else is told.
 */
static void serve_way(struct wg_device *d, const struct unknown_index *u, struct instant now)
{
	struct wg_peer *p = d->ops->via_peer ? d->ops->via_peer(d->ctx, u->from.via) : NULL;
	struct endpoint known;

	if (!p)
		return;
	known = wg_peer_endpoint(p);
	if (endpoint_known(&known))
		rehandshake(p, u, now);
	else if (may_be_meant(p, u))
		guess_peer(p, u, now);
}

static void serve(struct wg_device *d, const struct unknown_index *u, struct instant now)
{
	struct wg_peer *first = peer_at(d, &u->from), *p = first;

	if (!first) {
		if (u->from.via)
			serve_way(d, u, now);
		else
			guess(d, u, now);
		return;
	}
	do {
		rehandshake(p, u, now);
		p = container_of(p->same_endpoint.next, struct wg_peer, same_endpoint);
	} while (p != first);
}

void unknown_indices_serve(struct wg_device *d, struct instant now)
{
	struct unknown_index box[UNKNOWN_INDEX_BOX];
	unsigned n;

	if (!atomic_load_explicit(&d->unknown_count, memory_order_relaxed))
		return;
	spin_lock(&d->unknown_lock);
	n = atomic_load_explicit(&d->unknown_count, memory_order_relaxed);
	memcpy(box, d->unknown, n * sizeof(*box));
	atomic_store_explicit(&d->unknown_count, 0, memory_order_relaxed);
	spin_unlock(&d->unknown_lock);
	if (!d->up || !d->identity.present)
		return;
	for (unsigned i = 0; i < n; i++)
		serve(d, &box[i], now);
}
