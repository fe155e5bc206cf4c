/*
 * All decisions about time, in one place (paper 6). Workers report facts; this file turns them into
 * deadlines, and deadlines into actions. A peer is looked at when it was woken or when its earliest deadline
 * is due; a peer about which nothing is pending costs nothing.
 */
#include "wg/internal.h"

#define STAMP_GRAIN	(1ull << 24) /* 17 ms: stamps tell no more of our clock than they must */
#define RESERVE_AHEAD	(60 * NS_PER_SEC)
#define RESERVE_LITTLE	NS_PER_SEC
#define CLOCK_WENT_BACK (3600 * NS_PER_SEC)

uint64_t rekey_jitter(const struct wg_device *d)
{
	uint64_t random;

	crypto_random(&random, sizeof(random));
	return d->t.rekey_jitter ? random % d->t.rekey_jitter : 0;
}

/* ---- handshakes that we begin ---- */

bool handshake_possible(const struct wg_peer *p)
{
	return p->device->up && p->device->identity.present && !p->own &&
	       atomic_load_explicit(&p->endpoint, memory_order_relaxed);
}

/* Time is reserved a minute ahead, so that few handshakes cost a write. Restarts in quick succession find the
 * floor ahead of the clock; they must not push it further and further, so they reserve little, which lasts
 * long, since stamps hardly move then. */
static uint64_t reserve(uint64_t stamp, uint64_t wall)
{
	if (stamp < wall || stamp - wall > CLOCK_WENT_BACK)
		return stamp + RESERVE_AHEAD;
	return stamp + RESERVE_LITTLE > wall + RESERVE_AHEAD ? stamp + RESERVE_LITTLE : wall + RESERVE_AHEAD;
}

bool wg_clock_is_behind(const struct wg_device *d, uint64_t wall_ns)
{
	uint64_t stamp = d->floor > d->last_stamp ? d->floor : d->last_stamp;

	return stamp > wall_ns && stamp - wall_ns > 2 * RESERVE_AHEAD;
}

/* Later than every stamp of this peer before, from this run or an earlier one, whatever the clock says. */
static uint64_t next_stamp(struct wg_peer *p, uint64_t wall)
{
	struct wg_device *d = p->device;
	uint64_t stamp = wall & ~(STAMP_GRAIN - 1);

	if (stamp < d->floor)
		stamp = d->floor;
	if (stamp < d->last_stamp)
		stamp = d->last_stamp;
	if (stamp <= p->last_stamp)
		stamp = p->last_stamp + 1;
	p->last_stamp = d->last_stamp = stamp;
	if (stamp < d->reserved)
		return stamp;
	d->reserved = reserve(stamp, wall);
	if (d->ops->persist_floor)
		d->ops->persist_floor(d->ctx, d->reserved);
	return stamp;
}

static bool send_initiation(struct wg_peer *p, const struct endpoint *to, struct instant now)
{
	struct wg_device *d = p->device;
	struct message_initiation m;
	uint8_t stamp[TAI64N_LEN];
	uint32_t index;

	handshake_forget(p);
	tai64n_encode(stamp, next_stamp(p, now.wall));
	index = index_add(d->indices, INDEX_HANDSHAKE, p);
	if (noise_create_initiation(&p->handshake, &d->identity, &m, index, stamp) != NOISE_OK) {
		index_remove(d->indices, index);
		return false;
	}
	cookie_add_macs(&p->cookie, &m, sizeof(m), now.boot);
	p->last_initiation = p->last_handshake_sent = now.boot;
	/* A handshake message counts as authenticated traffic out (kernel, timers.c). */
	counter_set(&p->last_sent, now.boot);
	counter_set(&p->unreplied_since, 0);
	count(p, WG_COUNT_initiation_sent, 1);
	peer_tell_ephemeral(p, &p->handshake);
	d->ops->send(d->ctx, p, to, 0, &m, sizeof(m));
	return true;
}

static void begin(struct wg_peer *p, struct instant now)
{
	struct endpoint to = wg_peer_endpoint(p);

	p->start_at = 0;
	p->start_forced = false;
	if (!handshake_possible(p) || !send_initiation(p, &to, now)) {
		handshake_stop(p);
		return;
	}
	if (!p->attempt++) {
		p->attempt_reason = p->start_reason;
		p->tries = 0;
	}
	p->tries++;
	p->retry_at = now.boot + p->device->t.rekey_timeout + rekey_jitter(p->device);
	device_emit(p->device, p,
		    (struct wg_event){.type = WG_EVENT_INITIATION_SENT,
				      .reason = p->start_reason,
				      .a = p->attempt,
				      .from = &to},
		    now);
}

/* To where the peer may be; its answer would teach us the endpoint. Nothing repeats it (unknown.c). */
void handshake_guess(struct wg_peer *p, const struct endpoint *to, struct instant now)
{
	if (!send_initiation(p, to, now))
		return;
	if (!p->zero_at)
		p->zero_at = now.boot + p->device->t.zero;
	device_emit(p->device, p,
		    (struct wg_event){.type = WG_EVENT_INITIATION_SENT,
				      .reason = WG_REASON_unknown_index,
				      .a = 1,
				      .from = to},
		    now);
	peer_schedule(p);
}

/*
 * The next turn after `at` sends it, within its budget. An attempt that runs goes on instead, unless forced:
 * its retries count anew because somebody still wants it (paper 6.4).
 */
void handshake_plan(struct wg_peer *p, uint64_t at, enum wg_reason why, bool force)
{
	if (!handshake_possible(p))
		return;
	if (p->attempt && !force) {
		p->tries = 1;
		return;
	}
	if (p->start_at && p->start_at <= at && (p->start_forced || !force))
		return;
	if (force) {
		p->attempt = 0;
		p->retry_at = 0;
	}
	p->start_at = at;
	p->start_forced = force;
	p->start_reason = why;
	atomic_store(&p->handshaking, true);
	peer_schedule(p);
}

void handshake_stop(struct wg_peer *p)
{
	p->retry_at = p->start_at = 0;
	p->start_forced = false;
	p->attempt = p->tries = 0;
	atomic_store(&p->handshaking, false);
}

static void give_up(struct wg_peer *p, struct instant now)
{
	unsigned attempts = p->attempt, dropped = stage_drop(p);

	handshake_stop(p);
	counter_set(&p->unreplied_since, 0);
	if (!p->zero_at)
		p->zero_at = now.boot + p->device->t.zero;
	count(p, WG_COUNT_handshake_given_up, 1);
	device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_GAVE_UP, .a = attempts, .b = dropped},
		    now);
}

static void retry(struct wg_peer *p, struct instant now)
{
	p->retry_at = 0;
	if (p->tries > HANDSHAKE_ATTEMPTS) {
		give_up(p, now);
		return;
	}
	peer_forget_source(p);
	p->start_at = now.boot;
	p->start_reason = WG_REASON_retry;
}

/* What is planned, if it is time and the budget allows. Not within REKEY_TIMEOUT of the last handshake
 * message, ours or an answer of ours, unless forced. */
static void serve_plan(struct wg_peer *p, struct instant now, unsigned *budget)
{
	uint64_t earliest = p->last_handshake_sent + p->device->t.rekey_timeout;

	if (!is_due(p->start_at, now.boot))
		return;
	if (!p->start_forced && p->last_handshake_sent && now.boot < earliest) {
		p->start_at = earliest;
		return;
	}
	begin(p, now);
	--*budget;
}

/* ---- deadlines ---- */

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void peer_deadlines(struct wg_peer *p, uint64_t due[WG_TIMERS])
{
	const struct durations *t = &p->device->t;
	uint64_t silence = counter_get(&p->silence_from), unreplied = counter_get(&p->unreplied_since);
	uint64_t traffic = later(counter_get(&p->last_sent), counter_get(&p->last_received));
	bool endpoint = atomic_load_explicit(&p->endpoint, memory_order_relaxed) != NULL;

	for (int i = 0; i < WG_TIMERS; i++)
		due[i] = 0;
	if (!p->device->up)
		return;
	due[WG_TIMER_RETRY] = earlier(p->retry_at, p->start_at);
	due[WG_TIMER_ZERO] = p->zero_at;
	if (unreplied)
		due[WG_TIMER_KEEPALIVE] = unreplied + t->keepalive;
	if (silence)
		due[WG_TIMER_SILENCE] = silence + t->keepalive + t->rekey_timeout + p->silence_jitter;
	if (p->keepalive && endpoint && !p->own)
		due[WG_TIMER_PERSISTENT] =
			later(traffic, p->keepalive_from) + p->keepalive * NS_PER_SEC / t->divisor;
}

static uint64_t key_expiry(const struct wg_peer *p)
{
	const struct wg_keypair *k = atomic_load_explicit(&p->slots[WG_CURRENT], memory_order_relaxed);

	return k && !k->expiry_told ? k->created + p->device->t.reject_after : 0;
}

static uint64_t next_deadline(struct wg_peer *p)
{
	uint64_t due[WG_TIMERS], next;

	if (!p->device->up)
		return 0;
	peer_deadlines(p, due);
	next = earlier(earlier(key_expiry(p), p->purge_at), p->reject_at);
	for (int t = 0; t < WG_TIMERS; t++)
		next = earlier(next, due[t]);
	return next;
}

void peer_schedule(struct wg_peer *p)
{
	struct wg_device *d = p->device;
	uint64_t silence, unreplied, next;

	if (p->removed)
		return;
	do {
		silence = counter_get(&p->silence_from);
		unreplied = counter_get(&p->unreplied_since);
		next = next_deadline(p);
		/* Published before the facts are read once more: a worker that set one meanwhile either sees
		 * the new time and wakes us, or we see its fact here. */
		atomic_store_explicit(&p->next_look, next, memory_order_seq_cst);
	} while ((!silence && atomic_load(&p->silence_from)) ||
		 (!unreplied && atomic_load(&p->unreplied_since)));
	if (p->tell)
		next = 1;
	if (next)
		heap_set(&d->timers, &p->timer, next);
	else
		heap_remove(&d->timers, &p->timer);
}

/* ---- a look at a peer ---- */

static void take_roam(struct wg_peer *p, struct instant now)
{
	struct endpoint e;

	spin_lock(&p->roam_lock);
	e = p->roam;
	spin_unlock(&p->roam_lock);
	/* Empty when the endpoint was set by hand after the packet. */
	if (endpoint_known(&e))
		peer_learn_endpoint(p, &e, now);
	/* A worker may have seen yet another source meanwhile: then it has told us, and we come back. */
	spin_lock(&p->roam_lock);
	if (endpoint_equal(&p->roam, &e))
		atomic_store_explicit(&p->roaming, false, memory_order_release);
	spin_unlock(&p->roam_lock);
}

static void serve_renewal(struct wg_peer *p, struct instant now)
{
	const struct wg_keypair *k = atomic_load_explicit(&p->slots[WG_CURRENT], memory_order_relaxed);
	bool old, used_up;

	if (!k)
		return;
	old = k->initiator && keypair_age(k, now.boot) >= p->device->t.rekey_after;
	used_up = counter_get(&k->counter) > REKEY_AFTER_MESSAGES;
	/* Else it was the key before this one that was due. */
	if (old || used_up)
		handshake_plan(p, now.boot, used_up ? WG_REASON_rekey_messages : WG_REASON_rekey_time, false);
}

static void serve_staged(struct wg_peer *p, struct instant now)
{
	if (session_usable(p, now.boot))
		stage_flush(p, atomic_load_explicit(&p->slots[WG_CURRENT], memory_order_relaxed), now.boot);
	else if (handshake_possible(p))
		handshake_plan(p, now.boot, WG_REASON_data, false);
	else if (!p->purge_at) /* nobody to call: they must not wait for ever */
		p->purge_at = now.boot + p->device->t.attempt;
}

static void serve_facts(struct wg_peer *p, unsigned facts, struct instant now)
{
	if (facts & FACT_ROAMED)
		take_roam(p, now);
	if (facts & FACT_CONFIRMED)
		session_confirm(p, now);
	if (facts & FACT_REKEY)
		serve_renewal(p, now);
	if (facts & FACT_STAGED)
		serve_staged(p, now);
	if (facts & FACT_REJECTED)
		peer_tell_rejects(p, now);
}

static void serve_tell(struct wg_peer *p, struct instant now)
{
	struct endpoint e = wg_peer_endpoint(p);
	unsigned what = p->tell;

	p->tell = 0;
	if (what & TELL_ENDPOINT)
		device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_ENDPOINT_SET, .from = &e}, now);
	if (what & TELL_STOLEN)
		device_emit(p->device, p, (struct wg_event){.type = WG_EVENT_ALLOWED_IP_STOLEN}, now);
}

/* The path from our address may be what is dead, or the peer has lost its keys. More data starts this anew.
 */
static void serve_silence(struct wg_peer *p, struct instant now)
{
	uint64_t since = counter_get(&p->unanswered_since);

	counter_set(&p->silence_from, 0);
	p->silence_jitter = rekey_jitter(p->device);
	if (p->attempt)
		return;
	device_emit(p->device, p,
		    (struct wg_event){.type = WG_EVENT_SILENCE,
				      .ns = since && since < now.boot ? now.boot - since : 0},
		    now);
	peer_forget_source(p);
	handshake_plan(p, now.boot, WG_REASON_silence, false);
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

static void serve_timers(struct wg_peer *p, struct instant now)
{
	uint64_t due[WG_TIMERS];

	if (is_due(key_expiry(p), now.boot))
		tell_expiry(p, now);
	if (is_due(p->reject_at, now.boot))
		peer_tell_rejects(p, now);
	if (is_due(p->purge_at, now.boot)) {
		p->purge_at = 0;
		if (!p->attempt)
			stage_drop(p);
	}
	peer_deadlines(p, due);
	if (is_due(due[WG_TIMER_ZERO], now.boot))
		zero_keys(p, now);
	if (is_due(p->retry_at, now.boot))
		retry(p, now);
	if (is_due(due[WG_TIMER_SILENCE], now.boot))
		serve_silence(p, now);
	if (is_due(due[WG_TIMER_KEEPALIVE], now.boot)) {
		counter_set(&p->unreplied_since, 0);
		if (session_usable(p, now.boot))
			send_keepalive(p, now);
	}
	if (is_due(due[WG_TIMER_PERSISTENT], now.boot)) {
		p->keepalive_from = now.boot;
		send_keepalive(p, now);
	}
}

/* Costs at most one of the budget. */
static void look(struct wg_peer *p, struct instant now, unsigned *budget)
{
	unsigned facts = atomic_exchange(&p->facts, 0);

	if (p->tell)
		serve_tell(p, now);
	if (p->device->up) {
		serve_facts(p, facts, now);
		serve_timers(p, now);
		serve_plan(p, now, budget);
	}
	peer_schedule(p);
}

void wg_service(struct wg_device *d, struct instant now, unsigned budget)
{
	struct heap_node *first;

	/* Before looking: what comes after this wakes again. */
	atomic_store(&d->wake_told, false);
	unknown_indices_serve(d, now);
	device_tell_rejects(d, now);
	peer_collect_woken(d);
	while (budget && (first = heap_first(&d->timers)) && first->key <= now.boot)
		look(container_of(first, struct wg_peer, timer), now, &budget);
}

uint64_t wg_deadline(const struct wg_device *d)
{
	const struct heap_node *first = heap_first(&d->timers);

	return earlier(first ? first->key : 0, d->up ? d->reject_at : 0);
}
