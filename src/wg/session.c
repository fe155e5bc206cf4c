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
#define TELL_AGAIN	 NS_PER_SEC  /* more packets for a key that does not come */

/* Room for the header before the packet, and for padding and tag after it: it is sealed where it lies. */
struct staged {
	struct staged *next;
	uint32_t len;
	uint8_t ecn;
	uint8_t datagram[];
};

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

/* The keypair of a handshake that is through, NULL if it is not. It opens what comes in from here on. */
struct wg_keypair *session_begin(struct wg_peer *p, struct handshake *h, uint64_t now)
{
	struct noise_session s;
	struct wg_keypair *k;

	if (!noise_begin_session(h, &s))
		return NULL;
	k = secret_alloc(sizeof(*k));
	k->send = s.send;
	k->receive = s.receive;
	k->peer = p;
	k->local_index = s.local_index;
	k->remote_index = s.remote_index;
	k->initiator = s.initiator;
	k->created = now;
	atomic_flag_clear(&k->lock.held);
	replay_reset(&k->replay);
	crypto_wipe(&s, sizeof(s));
	index_replace(p->device->indices, k->local_index, INDEX_KEYPAIR, k);
	return k;
}

/* Under a counter that was taken for it. */
static void send_counted(struct wg_peer *p, struct wg_keypair *k, uint64_t counter, const struct endpoint *to,
			 uint8_t *at, size_t len, uint8_t ecn, uint64_t now)
{
	struct wg_device *d = p->device;
	size_t sealed = wg_seal(d, d->aead, k, counter, at, len);

	d->ops->send(d->ctx, p, to, ecn, at, sealed);
	wg_sent(p, k, 1, sealed, len > 0, now);
}

/* False: lost, for want of an endpoint or of counters. */
static bool send_sealed(struct wg_peer *p, struct wg_keypair *k, uint8_t *at, size_t len, uint8_t ecn,
			uint64_t now)
{
	struct endpoint to = wg_peer_endpoint(p);
	uint64_t counter;

	if (!endpoint_known(&to)) {
		wg_no_endpoint(p);
		return false;
	}
	counter = atomic_fetch_add_explicit(&k->counter, 1, memory_order_relaxed);
	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	send_counted(p, k, counter, &to, at, len, ecn, now);
	return true;
}

int send_empty_to(struct wg_peer *p, const struct endpoint *to, uint64_t now)
{
	uint8_t keepalive[DATA_OVERHEAD];
	uint64_t counter;
	struct wg_keypair *k = wg_sending_keypair(p, 1, now, &counter);

	if (!k)
		return -ENOKEY;
	send_counted(p, k, counter, to, keepalive, 0, 0, now);
	return 0;
}

static void send_empty(struct wg_peer *p, struct wg_keypair *k, uint64_t now)
{
	uint8_t keepalive[DATA_OVERHEAD];

	send_sealed(p, k, keepalive, 0, 0, now);
}

/* What waits goes out before workers may use the key, so that it keeps its order; then what came meanwhile.
 */
static unsigned make_current(struct wg_peer *p, struct wg_keypair *k, uint64_t now)
{
	unsigned sent = stage_flush(p, k, now);

	p->purge_at = 0;
	put(p, WG_CURRENT, k);
	return sent + stage_flush(p, k, now);
}

void session_install(struct wg_peer *p, struct wg_keypair *k, struct instant now)
{
	struct wg_keypair *next = slot(p, WG_NEXT), *current = slot(p, WG_CURRENT),
			  *previous = slot(p, WG_PREVIOUS);

	p->zero_at = now.boot + p->device->t.zero;
	drop(p, previous);
	if (!k->initiator) {
		put(p, WG_NEXT, k);
		put(p, WG_PREVIOUS, NULL);
		drop(p, next);
		return;
	}
	/* When both began, theirs is unconfirmed, but they may send under it. */
	put(p, WG_PREVIOUS, next ? next : current);
	put(p, WG_NEXT, NULL);
	/* The responder needs a packet to know that we have the key. */
	if (!make_current(p, k, now.boot))
		send_empty(p, k, now.boot);
	if (next)
		drop(p, current);
}

/* The first packet under next came. */
void session_confirm(struct wg_peer *p, struct instant now)
{
	struct wg_keypair *next = slot(p, WG_NEXT);

	if (!next || !atomic_load(&next->confirm_told))
		return;
	drop(p, slot(p, WG_PREVIOUS));
	put(p, WG_PREVIOUS, slot(p, WG_CURRENT));
	make_current(p, next, now.boot);
	put(p, WG_NEXT, NULL);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_KEY_CONFIRMED, .a = next->local_index},
		    now);
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

bool session_any(const struct wg_peer *p)
{
	return slot(p, WG_NEXT) || slot(p, WG_CURRENT) || slot(p, WG_PREVIOUS);
}

bool session_usable(const struct wg_peer *p, uint64_t now)
{
	const struct wg_keypair *k = slot(p, WG_CURRENT);

	return k && keypair_age(k, now) < p->device->t.reject_after;
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
}

/* Without a key it asks for one: a persistent keepalive is what keeps a handshake going. */
void send_keepalive(struct wg_peer *p, struct instant now)
{
	struct wg_keypair *k = slot(p, WG_CURRENT);

	if (session_usable(p, now.boot) && counter_get(&k->counter) < REJECT_AFTER_MESSAGES)
		send_empty(p, k, now.boot);
	else
		handshake_plan(p, now.boot, WG_REASON_keepalive, false);
}

/* ---- packets that wait ---- */

void stage_init(struct wg_peer *p)
{
	atomic_flag_clear(&p->stage.lock.held);
	p->stage.last = &p->stage.first;
}

static size_t staged_size(size_t len)
{
	return sizeof(struct staged) + DATA_OVERHEAD + len + PADDING_MULTIPLE;
}

/* Frees a list of packets; their number. */
static unsigned free_staged(struct wg_device *d, struct staged *s)
{
	unsigned n = 0;

	while (s) {
		struct staged *next = s->next;

		atomic_fetch_sub_explicit(&d->staged_bytes, staged_size(s->len), memory_order_relaxed);
		free(s);
		s = next;
		n++;
	}
	return n;
}

/* Under the lock: takes off what is too much, oldest first; the newcomer only when it is the last one left.
 */
static struct staged *trim_stage(struct stage *stage, uint64_t bytes)
{
	struct staged *dropped = NULL;

	while (stage->first && (stage->count > STAGED_MAX || bytes > STAGED_BYTES_MAX)) {
		struct staged *s = stage->first;

		stage->first = s->next;
		if (!stage->first)
			stage->last = &stage->first;
		stage->count--;
		bytes -= staged_size(s->len);
		s->next = dropped;
		dropped = s;
	}
	return dropped;
}

/* What is dropped for it. *tell: control must know. */
static struct staged *add_staged(struct wg_peer *p, struct staged *s, uint64_t now, bool *tell)
{
	struct stage *stage = &p->stage;
	struct staged *dropped = s;

	spin_lock(&stage->lock);
	if (!stage->closed) {
		*tell = !stage->first || now - stage->told >= TELL_AGAIN;
		if (*tell)
			stage->told = now;
		*stage->last = s;
		stage->last = &s->next;
		stage->count++;
		dropped = trim_stage(stage, counter_get(&p->device->staged_bytes));
	}
	spin_unlock(&stage->lock);
	return dropped;
}

void wg_stage(struct wg_peer *p, const uint8_t *packet, size_t len, uint8_t ecn, uint64_t now)
{
	struct staged *s, *dropped;
	bool tell = false;

	if (len > MESSAGE_LEN_MAX - DATA_OVERHEAD)
		return;
	s = xmalloc(staged_size(len));
	s->next = NULL;
	s->len = (uint32_t)len;
	s->ecn = ecn;
	memcpy(s->datagram + DATA_HEADER_LEN, packet, len);
	counter_add(&p->device->staged_bytes, staged_size(len));
	dropped = add_staged(p, s, now, &tell);
	if (dropped)
		count(p, WG_COUNT_staged_dropped, free_staged(p->device, dropped));
	if (tell)
		peer_wake(p, FACT_STAGED);
}

static struct staged *take_stage(struct wg_peer *p)
{
	struct staged *first;

	spin_lock(&p->stage.lock);
	first = p->stage.first;
	p->stage.first = NULL;
	p->stage.last = &p->stage.first;
	p->stage.count = 0;
	spin_unlock(&p->stage.lock);
	return first;
}

unsigned stage_flush(struct wg_peer *p, struct wg_keypair *k, uint64_t now)
{
	struct staged *first = take_stage(p);
	unsigned lost = 0, sent;

	for (struct staged *s = first; s; s = s->next)
		lost += !send_sealed(p, k, s->datagram, s->len, s->ecn, now);
	sent = free_staged(p->device, first) - lost;
	if (lost)
		count(p, WG_COUNT_staged_dropped, lost);
	return sent;
}

unsigned stage_drop(struct wg_peer *p)
{
	unsigned n = free_staged(p->device, take_stage(p));

	if (n)
		count(p, WG_COUNT_staged_dropped, n);
	return n;
}

/* The peer goes: workers that still hold it add nothing more. */
void stage_close(struct wg_peer *p)
{
	spin_lock(&p->stage.lock);
	p->stage.closed = true;
	spin_unlock(&p->stage.lock);
	stage_drop(p);
}

unsigned stage_count(struct wg_peer *p)
{
	unsigned n;

	spin_lock(&p->stage.lock);
	n = p->stage.count;
	spin_unlock(&p->stage.lock);
	return n;
}
