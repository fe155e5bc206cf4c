/*
 * Keypairs and what waits for them. Next, current and previous follow the rules of the kernel (noise.c,
 * add_new_keypair): an initiator's new key is current at once; a responder's is next until the first packet
 * under it proves that the initiator has it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "wg/internal.h"

#define STAGED_BYTES_MAX (32u << 20) /* of all peers together */

static struct wg_keypair *slot(const struct wg_peer *p, enum wg_slot s)
{
	return atomic_load_explicit(&p->slots[s], memory_order_relaxed);
}

static void put(struct wg_peer *p, enum wg_slot s, struct wg_keypair *k)
{
	atomic_store_explicit(&p->slots[s], k, memory_order_release);
}

/* No packet finds it any more; those under way with it may finish. */
static void drop(struct wg_peer *p, struct wg_keypair *k)
{
	if (!k)
		return;
	index_remove(p->device->indices, k->local_index);
	epoch_retire(p->device->epoch, k, secret_free);
}

struct wg_keypair *keypair_new(struct wg_peer *p, const struct noise_session *s, uint64_t now)
{
	struct wg_keypair *k = secret_alloc(sizeof(*k));

	k->send = s->send;
	k->receive = s->receive;
	k->peer = p;
	k->local_index = s->local_index;
	k->remote_index = s->remote_index;
	k->initiator = s->initiator;
	k->created = now;
	atomic_flag_clear(&k->lock.held);
	replay_reset(&k->replay);
	return k;
}

void session_install(struct wg_peer *p, struct wg_keypair *k)
{
	struct wg_keypair *next = slot(p, WG_NEXT), *current = slot(p, WG_CURRENT),
			  *previous = slot(p, WG_PREVIOUS);

	if (!k->initiator) {
		put(p, WG_NEXT, k);
		put(p, WG_PREVIOUS, NULL);
		drop(p, next);
		drop(p, previous);
	} else if (next) {
		/* Both began: theirs is unconfirmed, but they may send under it. */
		put(p, WG_PREVIOUS, next);
		put(p, WG_NEXT, NULL);
		put(p, WG_CURRENT, k);
		drop(p, current);
		drop(p, previous);
	} else {
		put(p, WG_PREVIOUS, current);
		put(p, WG_CURRENT, k);
		drop(p, previous);
	}
	index_replace(p->device->indices, k->local_index, INDEX_KEYPAIR, k);
}

/* The first packet under next came. */
void session_confirm(struct wg_peer *p, struct instant now)
{
	struct wg_keypair *next = slot(p, WG_NEXT);

	if (!next || !atomic_load(&next->confirm_told))
		return;
	drop(p, slot(p, WG_PREVIOUS));
	put(p, WG_PREVIOUS, slot(p, WG_CURRENT));
	put(p, WG_CURRENT, next);
	put(p, WG_NEXT, NULL);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_KEY_CONFIRMED, .a = next->local_index}, now);
	session_done(p, next, 0, now);
}

void session_drop_all(struct wg_peer *p)
{
	for (int s = 0; s < WG_SLOTS; s++) {
		struct wg_keypair *k = slot(p, s);

		put(p, s, NULL);
		drop(p, k);
	}
}

bool session_usable(const struct wg_peer *p, uint64_t now)
{
	const struct wg_keypair *k = slot(p, WG_CURRENT);

	return k && (now < k->created || now - k->created < span(p->device, REJECT_AFTER_TIME));
}

/* Our initiation that runs, if any, is no longer answered. */
void handshake_forget(struct wg_peer *p)
{
	if (p->handshake.state != HANDSHAKE_ZEROED)
		index_remove(p->device->indices, p->handshake.local_index);
	noise_clear(&p->handshake);
}

/* A handshake is through, whoever began it: keys stand that both sides have. */
void session_done(struct wg_peer *p, struct wg_keypair *k, uint64_t rtt, struct instant now)
{
	handshake_stop(p);
	p->draining = false;
	p->last_handshake_boot = now.boot;
	p->last_handshake_wall = now.wall;
	p->zero_at = now.boot + span(p->device, 3 * REJECT_AFTER_TIME);
	if (rtt)
		p->handshake_rtt = rtt;
	count(p, WG_COUNT_handshake_done, 1);
	device_emit(p->device, p,
	     (struct wg_event){.type = WG_EVENT_HANDSHAKE_DONE,
			       .a = k->local_index,
			       .b = k->remote_index,
			       .ns = rtt,
			       .initiator = k->initiator},
	     now);
	stage_flush(p, now);
}

/* ---- packets that wait ---- */

static void free_staged(struct wg_device *d, struct staged *s)
{
	atomic_fetch_sub_explicit(&d->staged_bytes, s->len, memory_order_relaxed);
	free(s);
}

static struct staged *unlink_first(struct stage *stage)
{
	struct staged *s = stage->first;

	stage->first = s->next;
	if (!stage->first)
		stage->last = &stage->first;
	stage->count--;
	return s;
}

void wg_stage(struct wg_peer *p, const uint8_t *packet, size_t len, uint8_t ecn, uint64_t now)
{
	struct wg_device *d = p->device;
	struct staged *s, *old = NULL;
	bool full;

	(void)now;
	if (counter_get(&d->staged_bytes) + len > STAGED_BYTES_MAX) {
		count(p, WG_COUNT_staged_dropped, 1);
		return;
	}
	s = xmalloc(sizeof(*s) + len);
	s->next = NULL;
	s->len = len;
	s->ecn = ecn;
	memcpy(s->packet, packet, len);
	counter_add(&d->staged_bytes, len);
	spin_lock(&p->stage.lock);
	full = p->stage.count == STAGED_MAX;
	if (full)
		old = unlink_first(&p->stage);
	*p->stage.last = s;
	p->stage.last = &s->next;
	p->stage.count++;
	spin_unlock(&p->stage.lock);
	if (old) {
		free_staged(d, old);
		count(p, WG_COUNT_staged_dropped, 1);
	}
	atomic_store_explicit(&p->fresh_data, true, memory_order_relaxed);
	peer_wake(p, FACT_STAGED);
}

static struct staged *take_stage(struct wg_peer *p, unsigned *count_out)
{
	struct staged *first;

	spin_lock(&p->stage.lock);
	first = p->stage.first;
	*count_out = p->stage.count;
	p->stage.first = NULL;
	p->stage.last = &p->stage.first;
	p->stage.count = 0;
	spin_unlock(&p->stage.lock);
	return first;
}

unsigned stage_drop(struct wg_peer *p)
{
	unsigned n;
	struct staged *s = take_stage(p, &n);

	while (s) {
		struct staged *next = s->next;

		free_staged(p->device, s);
		s = next;
	}
	return n;
}

static void send_sealed(struct wg_peer *p, struct wg_keypair *k, uint64_t counter, const void *packet,
			size_t len, uint8_t ecn, uint64_t now)
{
	struct wg_device *d = p->device;
	struct endpoint to = wg_peer_endpoint(p);
	size_t sealed;

	if (!endpoint_known(&to)) {
		wg_no_endpoint(p);
		return;
	}
	if (len)
		memcpy(d->scratch + DATA_HEADER_LEN, packet, len);
	sealed = wg_seal(d, d->aead, k, counter, d->scratch, len);
	wg_sent(p, k, 1, sealed, len > 0, now);
	d->ops->send(d->ctx, p, &to, ecn, d->scratch, sealed);
}

void stage_flush(struct wg_peer *p, struct instant now)
{
	unsigned waiting;
	uint64_t counter;
	struct wg_keypair *k = slot(p, WG_CURRENT);
	struct staged *s;

	if (!session_usable(p, now.boot))
		return;
	s = take_stage(p, &waiting);
	if (!s) {
		/* The responder needs a packet to know that we have the key. */
		if (k->initiator && !counter_get(&k->counter))
			send_keepalive(p, now);
		return;
	}
	while (s) {
		struct staged *next = s->next;

		k = wg_sending_keypair(p, 1, now.boot, &counter);
		if (k)
			send_sealed(p, k, counter, s->packet, s->len, s->ecn, now.boot);
		free_staged(p->device, s);
		s = next;
	}
}

/* Without a key it asks for one: a persistent keepalive is what keeps a handshake going. */
int send_keepalive(struct wg_peer *p, struct instant now)
{
	uint64_t counter;
	struct wg_keypair *k = wg_sending_keypair(p, 1, now.boot, &counter);

	if (!k)
		return handshake_start(p, now, WG_REASON_keepalive, false);
	send_sealed(p, k, counter, NULL, 0, 0, now.boot);
	count(p, WG_COUNT_keepalive_sent, 1);
	return 0;
}
