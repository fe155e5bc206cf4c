/*
 * All decisions about time, in one place (paper 6). Workers report facts; this file turns them into
 * deadlines, and deadlines into actions. A peer is looked at when it was woken or when its earliest deadline
 * is due; a peer about which nothing is pending costs nothing.
 */
#include <errno.h>
#include <string.h>

#include "wg/internal.h"

#define FLOOR_AHEAD (10 * NS_PER_SEC) /* timestamps are reserved this far ahead: one write for many */
#define UP_FRESH    (5 * NS_PER_SEC)  /* a session this young needs no handshake at device up */

static uint64_t jitter(const struct wg_device *d, uint64_t range)
{
	uint64_t random;

	crypto_random(&random, sizeof(random));
	return random % (span(d, range) + 1);
}

/* ---- handshakes that we begin ---- */

/* Later than every stamp that was sent before, by this run or an earlier one, whatever the clock says
 * (DESIGN 4.4). */
static uint64_t next_stamp(struct wg_device *d, uint64_t wall)
{
	uint64_t stamp = wall > d->last_stamp ? wall : d->last_stamp + 1;

	d->last_stamp = stamp;
	if (stamp + FLOOR_AHEAD / 2 > d->floor) {
		d->floor = stamp + FLOOR_AHEAD;
		if (d->ops->persist_floor)
			d->ops->persist_floor(d->ctx, d->floor);
	}
	return stamp;
}

static int send_initiation(struct wg_peer *p, struct instant now, enum wg_reason why)
{
	struct wg_device *d = p->device;
	struct endpoint to = wg_peer_endpoint(p);
	struct message_initiation m;
	uint8_t stamp[TAI64N_LEN];
	uint32_t index;

	handshake_forget(p);
	tai64n_encode(stamp, next_stamp(d, now.wall));
	index = index_add(d->indices, INDEX_HANDSHAKE, p);
	if (noise_create_initiation(&p->handshake, &d->identity, &m, index, stamp) != NOISE_OK) {
		index_remove(d->indices, index);
		return -ENOKEY;
	}
	cookie_add_macs(&p->cookie, &m, sizeof(m), now.boot);
	p->last_initiation = now.boot;
	p->retry_at = now.boot + span(d, REKEY_TIMEOUT) + jitter(d, REKEY_TIMEOUT_JITTER);
	p->attempt++;
	p->tries++;
	p->attempt_reason = why;
	atomic_store(&p->handshaking, true);
	atomic_store_explicit(&p->fresh_data, false, memory_order_relaxed);
	/* A handshake message counts as authenticated traffic out (kernel, timers.c). */
	counter_set(&p->last_sent, now.boot);
	counter_set(&p->unreplied_since, 0);
	count(p, WG_COUNT_initiation_sent, 1);
	device_emit(d, p, (struct wg_event){.type = WG_EVENT_INITIATION_SENT, .reason = why, .a = p->attempt}, now);
	d->ops->send(d->ctx, p, &to, 0, &m, sizeof(m));
	return 0;
}

int handshake_start(struct wg_peer *p, struct instant now, enum wg_reason why, bool force)
{
	struct wg_device *d = p->device;
	uint64_t earliest = p->last_initiation + span(d, REKEY_TIMEOUT);

	if (!d->up)
		return -ENETDOWN;
	if (!d->identity.present)
		return -ENOKEY;
	if (!atomic_load_explicit(&p->endpoint, memory_order_relaxed))
		return -EDESTADDRREQ;
	if (!force && p->last_initiation && now.boot < earliest) {
		/* Too soon after the last one; but what was asked for is not forgotten. */
		if (!p->retry_at) {
			p->retry_at = earliest;
			p->attempt_reason = why;
			atomic_store(&p->handshaking, true);
		}
		return 0;
	}
	if (force || !p->attempt) {
		p->attempt = 0;
		p->tries = 0;
	}
	return send_initiation(p, now, why);
}

void handshake_stop(struct wg_peer *p)
{
	p->retry_at = 0;
	p->attempt = p->tries = 0;
	atomic_store(&p->handshaking, false);
}

static void give_up(struct wg_peer *p, struct instant now)
{
	unsigned attempts = p->attempt, dropped = stage_drop(p);

	handshake_forget(p);
	handshake_stop(p);
	if (!p->zero_at)
		p->zero_at = now.boot + span(p->device, 3 * REJECT_AFTER_TIME);
	count(p, WG_COUNT_handshake_given_up, 1);
	count(p, WG_COUNT_staged_dropped, dropped);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_GAVE_UP, .a = attempts, .b = dropped}, now);
}

static void retry(struct wg_peer *p, struct instant now)
{
	p->retry_at = 0;
	/* Data keeps coming: that is a new reason to go on, as in the kernel. */
	if (atomic_exchange(&p->fresh_data, false))
		p->tries = 0;
	if (p->tries > HANDSHAKE_ATTEMPTS) {
		give_up(p, now);
		return;
	}
	if (p->attempt)
		peer_forget_source(p);
	if (!atomic_load_explicit(&p->endpoint, memory_order_relaxed) ||
	    send_initiation(p, now, p->attempt ? WG_REASON_retry : p->attempt_reason))
		handshake_stop(p);
}

/* ---- deadlines ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void peer_deadlines(struct wg_peer *p, uint64_t due[WG_TIMERS])
{
	struct wg_device *d = p->device;
	uint64_t unanswered = counter_get(&p->unanswered_since), unreplied = counter_get(&p->unreplied_since);
	uint64_t traffic = later(counter_get(&p->last_sent), counter_get(&p->last_received));
	bool endpoint = atomic_load_explicit(&p->endpoint, memory_order_relaxed) != NULL;

	memset(due, 0, WG_TIMERS * sizeof(*due));
	if (!d->up)
		return;
	due[WG_TIMER_RETRY] = p->retry_at;
	due[WG_TIMER_ZERO] = p->zero_at;
	if (unreplied)
		due[WG_TIMER_KEEPALIVE] = unreplied + span(d, KEEPALIVE_TIMEOUT);
	if (unanswered)
		due[WG_TIMER_SILENCE] =
			unanswered + span(d, KEEPALIVE_TIMEOUT + REKEY_TIMEOUT) + p->silence_jitter;
	if (p->keepalive && endpoint)
		due[WG_TIMER_PERSISTENT] =
			later(traffic, p->keepalive_from) + span(d, p->keepalive * NS_PER_SEC);
}

static uint64_t key_expiry(const struct wg_peer *p)
{
	const struct wg_keypair *k = atomic_load_explicit(&p->slots[WG_CURRENT], memory_order_relaxed);

	return k && !k->expiry_told ? k->created + span(p->device, REJECT_AFTER_TIME) : 0;
}

void peer_schedule(struct wg_peer *p)
{
	struct wg_device *d = p->device;
	uint64_t unanswered, unreplied, next;

	if (p->removed)
		return;
	do {
		uint64_t due[WG_TIMERS];

		unanswered = counter_get(&p->unanswered_since);
		unreplied = counter_get(&p->unreplied_since);
		peer_deadlines(p, due);
		next = d->up ? earlier(p->up_at, key_expiry(p)) : 0;
		for (int t = 0; t < WG_TIMERS; t++)
			next = earlier(next, due[t]);
		/* Published before the facts are read once more: a worker that set one meanwhile either sees
		 * the new time and wakes us, or we see its fact here. */
		atomic_store_explicit(&p->next_look, next, memory_order_seq_cst);
	} while ((!unanswered && atomic_load(&p->unanswered_since)) ||
		 (!unreplied && atomic_load(&p->unreplied_since)));
	if (next)
		heap_set(&d->timers, &p->timer, next);
	else
		heap_remove(&d->timers, &p->timer);
}

/* ---- a look at a peer ---- */

static void take_roam(struct wg_peer *p, struct instant now)
{
	struct endpoint e, was = wg_peer_endpoint(p);

	spin_lock(&p->roam_lock);
	e = p->roam;
	spin_unlock(&p->roam_lock);
	if (!endpoint_known(&e) || endpoint_equal(&e, &was))
		return;
	peer_use_endpoint(p, &e);
	if (address_equal(&e.remote, &was.remote))
		return;
	count(p, WG_COUNT_roamed, 1);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_ROAMED, .from = &e}, now);
}

static void serve_facts(struct wg_peer *p, unsigned facts, struct instant now)
{
	if (facts & FACT_ROAMED)
		take_roam(p, now);
	if (facts & FACT_CONFIRMED)
		session_confirm(p, now);
	if (facts & FACT_REKEY && !p->attempt)
		handshake_start(p, now, WG_REASON_rekey_time, false);
	if (facts & FACT_STAGED) {
		if (session_usable(p, now.boot))
			stage_flush(p, now);
		else if (!atomic_load(&p->handshaking))
			handshake_start(p, now, WG_REASON_data, false);
	}
}

static void serve_silence(struct wg_peer *p, uint64_t since, struct instant now)
{
	counter_set(&p->unanswered_since, 0);
	p->silence_jitter = jitter(p->device, REKEY_TIMEOUT_JITTER);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_SILENCE, .ns = now.boot - since}, now);
	peer_forget_source(p);
	handshake_start(p, now, WG_REASON_silence, false);
}

static void tell_expiry(struct wg_peer *p, struct instant now)
{
	struct wg_keypair *k = atomic_load_explicit(&p->slots[WG_CURRENT], memory_order_relaxed);

	k->expiry_told = true;
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_KEY_EXPIRED, .a = k->local_index}, now);
}

static void zero_keys(struct wg_peer *p, struct instant now)
{
	p->zero_at = 0;
	handshake_forget(p);
	session_drop_all(p);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_KEYS_ZEROED}, now);
}

/* At device up, and after our key changed. */
static void serve_up(struct wg_peer *p, struct instant now)
{
	enum wg_reason why =
		p->attempt_reason == WG_REASON_key_changed ? WG_REASON_key_changed : WG_REASON_device_up;

	p->up_at = 0;
	if (p->attempt || (session_usable(p, now.boot) && now.boot - p->last_handshake_boot < UP_FRESH))
		return;
	handshake_start(p, now, why, false);
}

static void serve_timers(struct wg_peer *p, struct instant now)
{
	uint64_t due[WG_TIMERS], expiry = key_expiry(p);

	if (!p->device->up)
		return;
	if (p->up_at && now.boot >= p->up_at)
		serve_up(p, now);
	if (expiry && now.boot >= expiry)
		tell_expiry(p, now);
	peer_deadlines(p, due);
	if (due[WG_TIMER_ZERO] && now.boot >= due[WG_TIMER_ZERO])
		zero_keys(p, now);
	if (due[WG_TIMER_RETRY] && now.boot >= due[WG_TIMER_RETRY])
		retry(p, now);
	if (due[WG_TIMER_SILENCE] && now.boot >= due[WG_TIMER_SILENCE])
		serve_silence(p, counter_get(&p->unanswered_since), now);
	if (due[WG_TIMER_KEEPALIVE] && now.boot >= due[WG_TIMER_KEEPALIVE]) {
		counter_set(&p->unreplied_since, 0);
		if (session_usable(p, now.boot))
			send_keepalive(p, now);
	}
	if (due[WG_TIMER_PERSISTENT] && now.boot >= due[WG_TIMER_PERSISTENT]) {
		p->keepalive_from = now.boot;
		send_keepalive(p, now);
	}
}

/* Which of the two can cost an initiation? Only those are put off when the budget is spent. */
static bool look(struct wg_peer *p, struct instant now, unsigned *budget)
{
	uint64_t before = counter_get(&p->counters[WG_COUNT_initiation_sent]);
	unsigned facts;

	if (!*budget)
		return false;
	facts = atomic_exchange(&p->facts, 0);
	serve_facts(p, facts, now);
	serve_timers(p, now);
	peer_schedule(p);
	*budget -= counter_get(&p->counters[WG_COUNT_initiation_sent]) != before;
	return true;
}

/* Peers that were woken; those that the budget does not reach are due at once in the next turn. */
static void serve_woken(struct wg_device *d, struct instant now, unsigned *budget)
{
	struct wg_peer *p = atomic_exchange_explicit(&d->woken, NULL, memory_order_acquire);

	while (p) {
		struct wg_peer *next = p->next_woken;

		/* From here on a worker may push it again. */
		atomic_store(&p->woken, false);
		if (!p->removed && !look(p, now, budget))
			heap_set(&d->timers, &p->timer, now.boot ? now.boot : 1);
		p = next;
	}
}

void wg_service(struct wg_device *d, struct instant now, unsigned budget)
{
	struct heap_node *first;

	unknown_indices_serve(d, now, &budget);
	serve_woken(d, now, &budget);
	while (budget && (first = heap_first(&d->timers)) && first->key <= now.boot)
		look(container_of(first, struct wg_peer, timer), now, &budget);
}
