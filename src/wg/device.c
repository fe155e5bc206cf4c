/* The device: identity, peers by key, the turn in which everything is decided. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "wg/internal.h"

#define REJECTION_INTERVAL (10 * NS_PER_SEC)
#define UP_AT_ONCE	   8		    /* peers that are called within the first moment */
#define UP_SPREAD	   (NS_PER_MS)	    /* per peer: 10,000 take ten seconds */
#define UP_JITTER	   (50 * NS_PER_MS) /* so that two ends that start together do not collide */

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
	d->scratch = xmalloc(DATA_OVERHEAD + UINT16_MAX + PADDING_MULTIPLE);
	d->divisor = 1;
	list_init(&d->peers);
	atomic_flag_clear(&d->unknown_lock.held);
	cookie_checker_init(&d->checker, &d->identity.public_key);
	return d;
}

void wg_device_free(struct wg_device *d)
{
	if (!d)
		return;
	d->dying = true;
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
	free(d->scratch);
	secret_free(d);
}

struct epoch *wg_epoch(struct wg_device *d)
{
	return d->epoch;
}

void device_emit(struct wg_device *d, struct wg_peer *p, struct wg_event ev, struct instant now)
{
	ev.at_boot = now.boot;
	ev.at_wall = now.wall;
	if (d->ops->event)
		d->ops->event(d->ctx, p, &ev);
}

/* Counts, and tells now and then: a flood of bad messages must not become a flood of events. */
void device_reject(struct wg_device *d, struct wg_peer *p, enum wg_counter why, const struct endpoint *from,
	    struct wg_event details, struct instant now)
{
	struct rejection *r = p ? &p->rejection : &d->rejection;

	if (p)
		counter_add(&p->counters[why], 1);
	counter_add(&d->counters[why], 1);
	r->count++;
	if (r->reason == why && r->told && now.boot - r->told < REJECTION_INTERVAL)
		return;
	details.type = WG_EVENT_REJECTED;
	details.a = why;
	details.b = r->reason == why ? r->count : 1;
	details.from = from;
	r->reason = why;
	r->told = now.boot;
	r->count = 0;
	device_emit(d, p, details, now);
}

void wg_set_private_key(struct wg_device *d, const struct key *private_key)
{
	noise_set_identity(&d->identity, private_key);
	cookie_checker_set_key(&d->checker, &d->identity.public_key);
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);
		bool connected = session_usable(p, p->last_handshake_boot) || p->attempt;

		handshake_forget(p);
		session_drop_all(p);
		noise_change_identity(&p->handshake, &d->identity);
		handshake_stop(p);
		/* Those who know us under the old key hear of the new one at once, if they know it. */
		if (connected && d->up) {
			p->up_at = 1;
			p->attempt_reason = WG_REASON_key_changed;
			heap_set(&d->timers, &p->timer, 1);
		}
	}
	d->ops->wake(d->ctx);
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
	if (wall_ns > d->last_stamp)
		d->last_stamp = wall_ns;
	if (wall_ns > d->floor)
		d->floor = wall_ns;
}

void wg_set_mtu(struct wg_device *d, unsigned mtu)
{
	atomic_store_explicit(&d->mtu, mtu, memory_order_relaxed);
}

void wg_set_time_divisor(struct wg_device *d, unsigned divisor)
{
	d->divisor = divisor ? divisor : 1;
}

/* Every peer whose endpoint is known is called, not only those with a keepalive (DESIGN 4.1). */
void wg_up(struct wg_device *d, struct instant now)
{
	unsigned rank = 0;

	if (d->up)
		return;
	d->up = true;
	d->up_since = now.boot;
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);
		uint64_t random, range;

		p->keepalive_from = now.boot;
		if (!atomic_load_explicit(&p->endpoint, memory_order_relaxed)) {
			peer_schedule(p);
			continue;
		}
		range = rank < UP_AT_ONCE ? UP_JITTER : UP_JITTER + rank * UP_SPREAD;
		crypto_random(&random, sizeof(random));
		p->up_at = now.boot + random % range;
		rank++;
		peer_schedule(p);
	}
}

void wg_down(struct wg_device *d)
{
	if (!d->up)
		return;
	d->up = false;
	list_for_each (pos, &d->peers) {
		struct wg_peer *p = container_of(pos, struct wg_peer, link);

		handshake_forget(p);
		handshake_stop(p);
		session_drop_all(p);
		stage_drop(p);
		p->up_at = p->zero_at = 0;
		counter_set(&p->unanswered_since, 0);
		counter_set(&p->unreplied_since, 0);
		heap_remove(&d->timers, &p->timer);
		counter_set(&p->next_look, 0);
	}
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

bool wg_under_load(const struct wg_device *d, uint64_t now)
{
	return now < d->load_until;
}

const counter_t *wg_device_counters(const struct wg_device *d)
{
	return d->counters;
}

void wg_drain(struct wg_device *d, struct instant now, enum wg_reason why)
{
	list_for_each (pos, &d->peers)
		wg_peer_drain(container_of(pos, struct wg_peer, link), now, why);
}

uint64_t wg_deadline(const struct wg_device *d)
{
	const struct heap_node *first = heap_first(&d->timers);

	return first ? first->key : 0;
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

struct wg_peer *wg_owner(struct wg_device *d, int family, const void *addr)
{
	return allowedips_lookup(d->allowed, family, addr);
}
