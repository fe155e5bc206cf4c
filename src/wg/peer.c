/* A peer: its life, settings in place, and what it looks like. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "wg/internal.h"

/* Way, address, port and scope in a fixed form, so that they can be found in a map. */
static bool place_key(uint8_t key[ADDRESS_KEY_LEN], const struct endpoint *e)
{
	const union address *a = &e->remote;

	memset(key, 0, ADDRESS_KEY_LEN);
	memcpy(key + 23, &e->via, sizeof(e->via));
	if (a->sa.sa_family == AF_INET) {
		memcpy(key, &a->in.sin_addr, 4);
		memcpy(key + 16, &a->in.sin_port, 2);
		key[18] = 4;
		return true;
	}
	if (a->sa.sa_family != AF_INET6)
		return e->via != 0;
	memcpy(key, &a->in6.sin6_addr, 16);
	memcpy(key + 16, &a->in6.sin6_port, 2);
	key[18] = 6;
	memcpy(key + 19, &a->in6.sin6_scope_id, 4);
	return true;
}

struct wg_peer *peer_at(struct wg_device *d, const struct endpoint *e)
{
	uint8_t key[ADDRESS_KEY_LEN];

	return place_key(key, e) ? map_get(d->by_address, key) : NULL;
}

/* The map has one of the peers at a place; the ring has them all. */
static void move_in(struct wg_peer *p, const struct endpoint *e)
{
	struct wg_peer *other = peer_at(p->device, e);
	uint8_t key[ADDRESS_KEY_LEN];

	if (!place_key(key, e))
		return;
	list_remove(&p->homeless);
	if (other)
		list_append(&other->same_endpoint, &p->same_endpoint);
	else
		map_put(p->device->by_address, key, p);
}

static void move_out(struct wg_peer *p, const struct endpoint *e)
{
	struct wg_device *d = p->device;
	uint8_t key[ADDRESS_KEY_LEN];

	if (!place_key(key, e))
		return;
	list_append(&d->homeless, &p->homeless);
	if (list_empty(&p->same_endpoint)) {
		map_remove(d->by_address, key);
		return;
	}
	map_put(d->by_address, key, container_of(p->same_endpoint.next, struct wg_peer, same_endpoint));
	list_remove(&p->same_endpoint);
}

void peer_use_endpoint(struct wg_peer *p, const struct endpoint *e)
{
	struct endpoint *old = atomic_load_explicit(&p->endpoint, memory_order_relaxed), *fresh = NULL;

	if (e && endpoint_known(e)) {
		fresh = xmalloc(sizeof(*fresh));
		*fresh = *e;
	}
	if (!old || !fresh || !same_place(old, fresh)) {
		if (old)
			move_out(p, old);
		if (fresh)
			move_in(p, fresh);
	}
	atomic_store_explicit(&p->endpoint, fresh, memory_order_release);
	if (old)
		epoch_retire(p->device->epoch, old, free);
}

/* The source of an authentic message: the peer is there now (paper 2.1). */
void peer_learn_endpoint(struct wg_peer *p, const struct endpoint *from, struct instant now)
{
	struct endpoint was = wg_peer_endpoint(p);

	if (endpoint_equal(&was, from) || !may_move(p, &was, from))
		return;
	peer_use_endpoint(p, from);
	if (same_place(&was, from))
		return;
	count(p, WG_COUNT_roamed, 1);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_ROAMED, .from = from}, now);
}

struct endpoint wg_peer_endpoint(const struct wg_peer *p)
{
	const struct endpoint *e = atomic_load_explicit(&p->endpoint, memory_order_acquire);

	return e ? *e : (struct endpoint){0};
}

uint32_t wg_peer_via(const struct wg_peer *p)
{
	const struct endpoint *e = atomic_load_explicit(&p->endpoint, memory_order_acquire);

	return e ? e->via : 0;
}

/*
 * The reply to a packet must go where that packet came from. Sent to the old address by a worker that is
 * faster than the control thread, it could even make the peer roam back to a path that it has just left.
 */
struct endpoint wg_peer_sending_endpoint(struct wg_peer *p)
{
	struct endpoint e, known = wg_peer_endpoint(p);

	if (!atomic_load_explicit(&p->roaming, memory_order_acquire))
		return known;
	spin_lock(&p->roam_lock);
	e = p->roam;
	spin_unlock(&p->roam_lock);
	/* The owner may have chosen another way since that packet came. */
	return endpoint_known(&e) && may_move(p, &known, &e) ? e : known;
}

void peer_forget_source(struct wg_peer *p)
{
	struct endpoint e = wg_peer_endpoint(p), was = e;

	if (!endpoint_known(&e))
		return;
	endpoint_forget_source(&e);
	if (!endpoint_equal(&e, &was))
		peer_use_endpoint(p, &e);
}

/* One push per turn of the control thread. It takes the mark off before it takes the facts: one that is still
 * there will be seen. */
void peer_wake(struct wg_peer *p, enum fact fact)
{
	struct wg_device *d = p->device;
	struct wg_peer *top;

	if (atomic_fetch_or(&p->facts, fact) & fact)
		return;
	if (atomic_exchange(&p->woken, true))
		return;
	top = atomic_load_explicit(&d->woken, memory_order_relaxed);
	do
		p->next_woken = top;
	while (!atomic_compare_exchange_weak_explicit(&d->woken, &top, p, memory_order_release,
						      memory_order_relaxed));
	device_wake(d);
}

/* Those who were woken are due at once. */
void peer_collect_woken(struct wg_device *d)
{
	struct wg_peer *p = atomic_exchange_explicit(&d->woken, NULL, memory_order_acquire), *next;

	for (; p; p = next) {
		next = p->next_woken;
		if (p->removed)
			continue;
		/* From here on a worker may push it again. */
		atomic_store(&p->woken, false);
		heap_set(&d->timers, &p->timer, 1);
	}
}

static void tell_later(struct wg_peer *p, unsigned what)
{
	p->tell |= what;
	heap_set(&p->device->timers, &p->timer, 1);
}

struct wg_peer *wg_add_peer(struct wg_device *d, const struct key *public_key)
{
	struct wg_peer *p = wg_find_peer(d, public_key);

	if (p)
		return p;
	if (d->identity.present && key_equal(&d->identity.public_key, public_key))
		return NULL;
	p = secret_alloc(sizeof(*p));
	p->device = d;
	p->public_key = *public_key;
	atomic_flag_clear(&p->roam_lock.held);
	stage_init(p);
	list_init(&p->allowed);
	list_init(&p->homeless);
	list_init(&p->same_endpoint);
	noise_init(&p->handshake, &d->identity, public_key);
	cookie_maker_init(&p->cookie, public_key);
	p->silence_jitter = rekey_jitter(d);
	/* It may have been here before, under a clock that has gone back since. */
	p->last_stamp = d->last_stamp;
	list_append(&d->peers, &p->link);
	list_append(&d->homeless, &p->homeless);
	map_put(d->by_key, p->public_key.bytes, p);
	d->peer_count++;
	return p;
}

/* No worker can hold it any more, but one may have left it on the stack. */
static void free_peer(void *ptr)
{
	struct wg_peer *p = ptr;

	peer_collect_woken(p->device);
	noise_wipe(&p->handshake);
	cookie_maker_clear(&p->cookie);
	free(p->rejects);
	free(p->stolen);
	secret_free(p);
}

void wg_remove_peer(struct wg_peer *p)
{
	struct wg_device *d = p->device;

	if (d->ops->peer_gone)
		d->ops->peer_gone(d->ctx, p);
	p->removed = true;
	allowedips_remove_all(d->allowed, &p->allowed);
	handshake_forget(p);
	handshake_stop(p);
	session_drop_all(p);
	stage_close(p);
	peer_use_endpoint(p, NULL);
	heap_remove(&d->timers, &p->timer);
	list_remove(&p->homeless);
	list_remove(&p->link);
	map_remove(d->by_key, p->public_key.bytes);
	d->peer_count--;
	/* Workers that still hold it push it no more. */
	atomic_store(&p->woken, true);
	epoch_retire(d->epoch, p, free_peer);
}

void wg_peer_set_owner(struct wg_peer *p, void *owner)
{
	atomic_store_explicit(&p->owner, owner, memory_order_release);
}

void *wg_peer_owner(const struct wg_peer *p)
{
	return atomic_load_explicit(&p->owner, memory_order_acquire);
}

void wg_peer_public_key(const struct wg_peer *p, struct key *out)
{
	*out = p->public_key;
}

void wg_peer_set_psk(struct wg_peer *p, const struct key *psk)
{
	if (psk)
		p->handshake.psk = *psk;
	else
		key_wipe(&p->handshake.psk);
}

void wg_peer_get_psk(const struct wg_peer *p, struct key *out)
{
	*out = p->handshake.psk;
}

bool wg_peer_has_psk(const struct wg_peer *p)
{
	return !key_is_zero(&p->handshake.psk);
}

void wg_peer_set_endpoint(struct wg_peer *p, const struct endpoint *e)
{
	struct endpoint was = wg_peer_endpoint(p);

	peer_use_endpoint(p, e);
	spin_lock(&p->roam_lock);
	memset(&p->roam, 0, sizeof(p->roam)); /* what came before does not undo this */
	atomic_store_explicit(&p->roaming, false, memory_order_relaxed);
	spin_unlock(&p->roam_lock);
	if (!same_place(&was, e)) {
		p->tell |= TELL_ENDPOINT;
		/* Nobody at the new address has had an initiation: what waits for one need not wait longer.
		 */
		p->last_handshake_sent = 0;
		if (!endpoint_known(e))
			handshake_stop(p);
		else if (p->attempt)
			p->retry_at = 1;
		else if (stage_count(p))
			handshake_plan(p, 1, WG_REASON_data, false);
	}
	peer_schedule(p);
}

void wg_peer_set_pinned(struct wg_peer *p, bool pinned)
{
	atomic_store_explicit(&p->pinned, pinned, memory_order_relaxed);
}

void wg_peer_set_shy(struct wg_peer *p, bool shy)
{
	atomic_store_explicit(&p->shy, shy, memory_order_relaxed);
}

int wg_peer_send_keepalive(struct wg_peer *p, const struct endpoint *to, struct instant now)
{
	int r = p->device->up ? send_empty_to(p, to, now.boot) : -ENETDOWN;

	peer_schedule(p);
	return r;
}

int wg_peer_shared_secret(const struct wg_peer *p, struct key *out)
{
	if (!p->device->identity.present || !p->handshake.has_static_static)
		return -ENOKEY;
	*out = p->handshake.static_static;
	return 0;
}

/* Off to on sends one at once, as the kernel does. */
void wg_peer_set_keepalive(struct wg_peer *p, uint16_t seconds, struct instant now)
{
	bool starts = seconds && !p->keepalive;

	p->keepalive = seconds;
	p->keepalive_from = now.boot;
	if (starts && handshake_possible(p))
		send_keepalive(p, now);
	peer_schedule(p);
	device_wake(p->device); /* whoever waits for wg_deadline has to look again */
}

uint16_t wg_peer_keepalive(const struct wg_peer *p)
{
	return p->keepalive;
}

int wg_peer_handshake(struct wg_peer *p, struct instant now, enum wg_reason why, bool force)
{
	struct wg_device *d = p->device;

	if (!d->up)
		return -ENETDOWN;
	if (!d->identity.present)
		return -ENOKEY;
	if (!handshake_possible(p))
		return -EDESTADDRREQ;
	if (force || !p->last_handshake_sent || now.boot - p->last_handshake_sent >= d->t.rekey_timeout)
		handshake_plan(p, now.boot, why, force);
	return 0;
}

/*
 * Nothing of the sessions stays, and nothing keeps the next packet from starting one: not the
 * pause between handshakes either. Timers of the old session start none, and an attempt that runs goes on.
 */
void wg_peer_drain(struct wg_peer *p, struct instant now, enum wg_reason why)
{
	p->draining |= session_any(p); /* one drain may follow another */
	session_drop_all(p);
	p->last_handshake_sent = 0;
	p->zero_at = 0;
	counter_set(&p->silence_from, 0);
	counter_set(&p->unanswered_since, 0);
	counter_set(&p->unreplied_since, 0);
	count(p, WG_COUNT_drained, 1);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_DRAINED, .reason = why}, now);
	peer_schedule(p);
}

void wg_peer_reset(struct wg_peer *p, const struct endpoint *e, struct instant now)
{
	handshake_forget(p);
	handshake_stop(p);
	if (e && endpoint_known(e))
		wg_peer_set_endpoint(p, e);
	peer_forget_source(p);
	p->last_handshake_sent = 0;
	counter_set(&p->silence_from, 0);
	handshake_plan(p, now.boot, WG_REASON_user, true);
	peer_schedule(p);
}

/* ---- allowed IPs ---- */

void wg_peer_note_stolen(struct wg_peer *p, const struct wg_stolen *s)
{
	if (p->stolen && !memcmp(p->stolen, s, sizeof(*s)))
		return;
	if (!p->stolen)
		p->stolen = xcalloc(1, sizeof(*p->stolen));
	memcpy(p->stolen, s, sizeof(*s));
	tell_later(p, TELL_STOLEN);
}

int wg_allow(struct wg_peer *p, int family, const void *addr, unsigned prefix, struct wg_peer **stolen_from)
{
	struct wg_peer *previous = NULL;
	int r = allowedips_insert(p->device->allowed, family, addr, prefix, p, &p->allowed, &previous);

	if (stolen_from)
		*stolen_from = previous;
	if (previous && !r) {
		struct wg_stolen s;

		memset(&s, 0, sizeof(s));
		s.family = family;
		s.prefix = prefix;
		s.by = p->public_key;
		memcpy(s.addr, addr, family == AF_INET ? 4 : 16);
		wg_peer_note_stolen(previous, &s);
	}
	return r;
}

int wg_disallow(struct wg_peer *p, int family, const void *addr, unsigned prefix)
{
	return allowedips_remove(p->device->allowed, family, addr, prefix, p);
}

void wg_disallow_all(struct wg_peer *p)
{
	allowedips_remove_all(p->device->allowed, &p->allowed);
}

void wg_prefixes_around(const struct wg_device *d, int family, const void *addr, unsigned near,
			void (*fn)(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix,
				   bool covers),
			void *arg)
{
	allowedips_around(d->allowed, family, addr, near, fn, arg);
}

void wg_each_allowed(const struct wg_peer *p,
		     void (*fn)(void *arg, int family, const uint8_t *addr, unsigned prefix), void *arg)
{
	allowedips_each(&p->allowed, fn, arg);
}

struct wg_peer *wg_owner_of(struct wg_device *d, int family, const void *addr)
{
	return allowedips_lookup(d->allowed, family, addr);
}

bool wg_peer_refused_source(const struct wg_peer *p, uint8_t addr[16])
{
	uint64_t halves[2] = {counter_get(&p->refused_source[0]), counter_get(&p->refused_source[1])};

	memcpy(addr, halves, sizeof(halves));
	return halves[0] || halves[1];
}

bool wg_peer_stolen(const struct wg_peer *p, struct wg_stolen *out)
{
	const struct wg_peer *owner;

	if (!p->stolen)
		return false;
	*out = *p->stolen;
	owner = allowedips_lookup(p->device->allowed, out->family, out->addr);
	return owner && owner != p && key_equal(&owner->public_key, &out->by);
}

/* ---- looking ---- */

void wg_peer_bytes(const struct wg_peer *p, uint64_t *rx, uint64_t *tx)
{
	*rx = counter_get(&p->rx_bytes);
	*tx = counter_get(&p->tx_bytes);
}

bool wg_peer_ever_connected(const struct wg_peer *p)
{
	return p->last_handshake_boot != 0;
}

static void look_at_keypair(const struct wg_keypair *k, enum wg_slot slot, struct wg_keypair_view *out)
{
	if (!k)
		return;
	*out = (struct wg_keypair_view){
		.used = true,
		.local_index = k->local_index,
		.remote_index = k->remote_index,
		.created = k->created,
		.initiator = k->initiator,
		.confirmed = slot != WG_NEXT,
		.sent = counter_get(&k->counter),
		.received = replay_received(&k->replay),
		.lost = replay_lost(&k->replay),
	};
}

void wg_peer_look(struct wg_peer *p, struct wg_peer_view *out, uint64_t now)
{
	(void)now;
	memset(out, 0, sizeof(*out));
	for (int s = 0; s < WG_SLOTS; s++)
		look_at_keypair(atomic_load_explicit(&p->slots[s], memory_order_relaxed), s,
				&out->keypairs[s]);
	peer_deadlines(p, out->timers);
	out->last_handshake_boot = p->last_handshake_boot;
	out->last_handshake_wall = p->last_handshake_wall;
	out->handshake_rtt = p->handshake_rtt;
	out->last_sent = counter_get(&p->last_sent);
	out->last_received = counter_get(&p->last_received);
	out->unanswered_since = counter_get(&p->unanswered_since);
	wg_peer_bytes(p, &out->rx_bytes, &out->tx_bytes);
	out->attempt = p->attempt;
	out->attempt_reason = p->attempt ? p->attempt_reason : WG_REASON_none;
	out->draining = p->draining;
	out->staged = stage_count(p);
	out->counters = p->counters;
}
