/* The device: identity, peers by key, the turn in which everything is decided. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "wg/internal.h"

#define UP_AT_ONCE 8		    /* peers that are called within the first moment */
#define UP_SPREAD  (NS_PER_MS / 2)  /* per peer: 10,000 take five seconds */
#define UP_JITTER  (50 * NS_PER_MS) /* so that two ends that start together do not collide */

struct wg_device *wg_device_new(const struct wg_ops *ops, void *ctx)
{
	struct wg_device *d = secret_alloc(sizeof(*d));

	d->ops = ops;
	d->ctx = ctx;
	d->epoch = epoch_new();
	d->indices = index_new(d->epoch);
	d->allowed = allowedips_new(d->epoch);
	d->aead = aead_new();
	d->limiter = ratelimiter_new();
	d->by_key = map_new(KEY_LEN);
	d->by_address = map_new(ADDRESS_KEY_LEN);
	wg_set_time_divisor(d, 1);
	list_init(&d->peers);
	list_init(&d->homeless);
	atomic_flag_clear(&d->unknown_lock.held);
	cookie_checker_init(&d->checker, &d->identity.public_key);
	return d;
}

void wg_device_free(struct wg_device *d)
{
	if (!d)
		return;
	list_for_each_safe (pos, &d->peers)
		wg_remove_peer(container_of(pos, struct wg_peer, link));
	allowedips_free(d->allowed);
	index_free(d->indices);
	epoch_free(d->epoch);
	aead_free(d->aead);
	ratelimiter_free(d->limiter);
	map_free(d->by_key);
	map_free(d->by_address);
	heap_clear(&d->timers);
	cookie_checker_clear(&d->checker);
	secret_free(d);
}

struct epoch *wg_epoch(struct wg_device *d)
{
	return d->epoch;
}

/* At most once per turn, as promised to the owner. */
void device_wake(struct wg_device *d)
{
	if (!atomic_exchange(&d->wake_told, true))
		d->ops->wake(d->ctx);
}

/* A session is between two keys: it goes with one of them. Who is there hears of the new one at once. */
static void change_identity(struct wg_peer *p)
{
	struct wg_device *d = p->device;

	p->own = d->identity.present && key_equal(&p->public_key, &d->identity.public_key);
	handshake_forget(p);
	handshake_stop(p);
	session_drop_all(p);
	noise_change_identity(&p->handshake, &d->identity);
	p->zero_at = p->last_handshake_sent = 0;
	if (p->own)
		stage_drop(p);
	handshake_plan(p, 1, WG_REASON_key_changed, false);
	peer_schedule(p);
}

void wg_set_private_key(struct wg_device *d, const struct key *private_key)
{
	struct noise_identity fresh;
	bool same;

	noise_set_identity(&fresh, private_key);
	same = key_equal(&fresh.private_key, &d->identity.private_key);
	d->identity = fresh;
	crypto_wipe(&fresh, sizeof(fresh));
	if (same)
		return;
	cookie_checker_set_key(&d->checker, &d->identity.public_key);
	list_for_each (pos, &d->peers)
		change_identity(container_of(pos, struct wg_peer, link));
	device_wake(d);
}

bool wg_has_private_key(const struct wg_device *d)
{
	return d->identity.present;
}

void wg_get_private_key(const struct wg_device *d, struct key *out)
{
	*out = d->identity.private_key;
}

void wg_get_public_key(const struct wg_device *d, struct key *out)
{
	*out = d->identity.public_key;
}

void wg_set_timestamp_floor(struct wg_device *d, uint64_t wall_ns)
{
	if (wall_ns > d->floor)
		d->floor = wall_ns;
	if (d->floor > d->reserved)
		d->reserved = d->floor;
}

void wg_set_mtu(struct wg_device *d, unsigned mtu)
{
	atomic_store_explicit(&d->mtu, mtu, memory_order_relaxed);
}

void wg_set_time_divisor(struct wg_device *d, unsigned divisor)
{
	if (!divisor)
		divisor = 1;
	d->t = (struct durations){
		.rekey_after = REKEY_AFTER_TIME / divisor,
		.renew_receive = (REJECT_AFTER_TIME - KEEPALIVE_TIMEOUT - REKEY_TIMEOUT) / divisor,
		.reject_after = REJECT_AFTER_TIME / divisor,
		.rekey_timeout = REKEY_TIMEOUT / divisor,
		.rekey_jitter = REKEY_TIMEOUT_JITTER / divisor,
		.keepalive = KEEPALIVE_TIMEOUT / divisor,
		.zero = 3 * REJECT_AFTER_TIME / divisor,
		.attempt = REKEY_ATTEMPT_TIME / divisor,
		.divisor = divisor,
	};
}

/* Every peer whose endpoint is known is called, not only those with a keepalive. */
void wg_up(struct wg_device *d, struct instant now)
{
	uint64_t rank = 0;

	if (d->up)
		return;
	d->up = true;
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);
		uint64_t random, range = rank < UP_AT_ONCE ? UP_JITTER : UP_JITTER + rank * UP_SPREAD;

		p->keepalive_from = now.boot;
		if (handshake_possible(p)) {
			crypto_random(&random, sizeof(random));
			handshake_plan(p, now.boot + random % range, WG_REASON_device_up, false);
			rank++;
		}
		peer_schedule(p);
	}
}

static void stop_peer(struct wg_peer *p)
{
	handshake_forget(p);
	handshake_stop(p);
	session_drop_all(p);
	stage_drop(p);
	p->zero_at = p->purge_at = p->reject_at = p->last_handshake_sent = 0;
	p->draining = false;
	counter_set(&p->silence_from, 0);
	counter_set(&p->unanswered_since, 0);
	counter_set(&p->unreplied_since, 0);
	peer_schedule(p);
}

void wg_down(struct wg_device *d)
{
	if (!d->up)
		return;
	d->up = false;
	list_for_each (pos, &d->peers)
		stop_peer(container_of(pos, struct wg_peer, link));
}

bool wg_is_up(const struct wg_device *d)
{
	return d->up;
}

void wg_announce(struct wg_device *d, struct instant now)
{
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);

		if (session_usable(p, now.boot))
			send_keepalive(p, now);
	}
}

const counter_t *wg_device_counters(const struct wg_device *d)
{
	return d->counters;
}

void wg_drain(struct wg_device *d, struct instant now, enum wg_reason why)
{
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);

		if (session_any(p))
			wg_peer_drain(p, now, why);
	}
}

struct wg_peer *wg_find_peer(struct wg_device *d, const struct key *public_key)
{
	return map_get(d->by_key, public_key->bytes);
}

struct wg_peer *wg_first_peer(struct wg_device *d)
{
	return list_empty(&d->peers) ? NULL : container_of(d->peers.next, struct wg_peer, link);
}

struct wg_peer *wg_next_peer(struct wg_peer *p)
{
	return p->link.next == &p->device->peers ? NULL : container_of(p->link.next, struct wg_peer, link);
}

size_t wg_peer_count(const struct wg_device *d)
{
	return d->peer_count;
}

void wg_tell_ephemerals(struct wg_device *d, bool on)
{
	d->tells_ephemerals = on;
}

void peer_tell_ephemeral(struct wg_peer *p, const struct handshake *h)
{
	const struct wg_device *d = p->device;

	if (d->tells_ephemerals && d->ops->ephemeral)
		d->ops->ephemeral(d->ctx, p, &h->ephemeral_private);
}
