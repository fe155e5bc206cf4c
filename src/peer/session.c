/*
 * ICE sessions. An agent belongs to one session of ours and pairs with exactly one of the remote's. A new one
 * is built beside the path that works; nothing that works is closed because an offer came (I2). Offers that
 * cross settle by themselves: each end pairs its own outstanding agent with the other's session.
 */
#include "peer/internal.h"

#include <string.h>

#define OFFER_INTERVAL 7600 /* ms for a token; with a burst of 4 at most 12 in any minute (I7) */
#define OFFER_BURST    4
#define ATTEMPT	       10000 /* ms to connect once paired */
#define UNPAIRED       30500 /* ms for somebody to answer our offers */
#define HINT_AFTER     5000  /* libnice's FAILED counts after this */
#define PART	       6     /* candidates in a frame: fits a datagram */

static const uint8_t no_session[SIGNAL_SESSION_LEN];

static bool same_session(const uint8_t *a, const uint8_t *b)
{
	return memcmp(a, b, SIGNAL_SESSION_LEN) == 0;
}

static struct agent *agent_of(struct peer_machine *m, enum peer_slot slot)
{
	return &m->agents[slot - PEER_ICE];
}

static enum peer_slot slot_of(const struct peer_machine *m, const struct agent *a)
{
	return a == &m->agents[0] ? PEER_ICE : PEER_ICE_NEXT;
}

static struct agent *by_generation(struct peer_machine *m, uint32_t generation)
{
	for (int i = 0; i < 2; i++) {
		if (m->agents[i].generation && m->agents[i].generation == generation)
			return &m->agents[i];
	}
	return NULL;
}

static struct agent *unpaired(struct peer_machine *m)
{
	for (int i = 0; i < 2; i++) {
		if (m->agents[i].generation && !m->agents[i].paired)
			return &m->agents[i];
	}
	return NULL;
}

bool agent_busy(const struct peer_machine *m)
{
	for (int i = 0; i < 2; i++) {
		if (m->agents[i].generation && !m->agents[i].connected)
			return true;
	}
	return false;
}

void rotate(struct step *s, enum signal_reason why)
{
	struct peer_machine *m = s->m;

	do {
		uint64_t bits = random_next(m);

		memcpy(m->session, &bits, sizeof(m->session));
	} while (same_session(m->session, no_session));
	m->session_used = false;
	m->session_reason = why;
	m->session_since = s->now;
}

void agent_stop(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	struct agent *a = agent_of(m, slot);

	if (a->generation) {
		struct peer_path_ref ref = {.kind = PATH_KIND_ICE, .generation = a->generation};

		act_on(s, PEER_ACT_AGENT_STOP, &ref);
		memset(a, 0, sizeof(*a));
		path_clear(s, slot);
	}
	if (slot == PEER_ICE && m->agents[1].generation) { /* the successor moves up */
		m->agents[0] = m->agents[1];
		memset(&m->agents[1], 0, sizeof(m->agents[1]));
		path_promote(s, PEER_ICE_NEXT, PEER_ICE);
	}
}

void agents_stop_all(struct step *s)
{
	agent_stop(s, PEER_ICE_NEXT);
	agent_stop(s, PEER_ICE);
}

/* I4. An offer that nobody took is of the session that is over; an agent that is connecting goes on: it sends
 * no more. */
void tunnel_timed_out(struct step *s)
{
	struct agent *a = unpaired(s->m);

	if (a)
		agent_stop(s, slot_of(s->m, a));
	rotate(s, SIGNAL_REASON_tunnel_timeout);
}

static void plan_retry(struct step *s)
{
	static const uint16_t pauses[] = {5, 15, 30, 60, 120, 300};
	struct peer_machine *m = s->m;
	unsigned i = m->retries < 5 ? m->retries : 5;

	m->retries += m->retries < 255;
	m->retry_at = s->now + jitter(m, ms(m, pauses[i] * 1000ull));
}

void ice_soon(struct step *s, enum signal_reason why, uint64_t delay)
{
	struct peer_machine *m = s->m;

	if (!m->session_used || m->session_reason == SIGNAL_REASON_none || !agent_busy(m)) {
		if (m->session_used || same_session(m->session, no_session))
			rotate(s, why);
		else if (m->session_reason != SIGNAL_REASON_tunnel_timeout)
			m->session_reason = why;
	}
	m->retry_at = s->now + delay;
}

/* Into the free slot; beside a path that works, in the place of one that is still being negotiated. */
static struct agent *agent_start(struct step *s, enum signal_reason why)
{
	struct peer_machine *m = s->m;

	if (m->agents[1]
		    .generation) { /* both places taken: the one that is neither in use nor works gives way */
		bool next_stays = m->chosen == PEER_ICE_NEXT ||
				  (m->chosen != PEER_ICE && m->paths[PEER_ICE].state != PATH_UP &&
				   m->agents[1].connected);

		agent_stop(s, next_stays ? PEER_ICE : PEER_ICE_NEXT); /* ICE: the other one moves up */
	}
	if (m->agents[0].generation && !m->agents[0].connected)
		agent_stop(s, PEER_ICE);
	if (m->session_used || same_session(m->session, no_session))
		rotate(s, why);
	enum peer_slot slot = m->agents[0].generation ? PEER_ICE_NEXT : PEER_ICE;
	struct agent *a = agent_of(m, slot);
	if (!++m->agent_generation)
		m->agent_generation = 1;
	struct peer_path_ref ref = {.kind = PATH_KIND_ICE, .generation = m->agent_generation};

	*a = (struct agent){.generation = m->agent_generation, .started = s->now};
	memcpy(a->session, m->session, sizeof(a->session));
	m->session_used = true;
	path_begin(s, slot, &ref);
	struct peer_action *act_start = act(s, PEER_ACT_AGENT_START);
	act_start->path = ref;
	memcpy(act_start->session, a->session, sizeof(a->session));
	return a;
}

static struct peer_action *send_session(struct step *s, enum peer_slot on, enum signal_type type,
					const struct agent *a)
{
	struct peer_action *x = send_on(s, on, type);

	x->agent = a->generation;
	memcpy(x->session, a->session, sizeof(x->session));
	x->count = a->candidates;
	return x;
}

static void pair(struct step *s, struct agent *a)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;
	struct peer_path_ref ref = {.kind = PATH_KIND_ICE, .generation = a->generation};

	a->paired = true;
	a->paired_at = s->now;
	a->offer_at = 0;
	memcpy(a->remote, msg->session, sizeof(a->remote));
	memcpy(m->remote_session, msg->session, sizeof(m->remote_session));
	m->remote_session_since = s->now;
	if (newer(msg->generation, m->remote_generation))
		m->remote_generation = msg->generation;
	act_on(s, PEER_ACT_AGENT_REMOTE, &ref);
	if (a->candidates > a->told &&
	    !a->resend_at) /* it may not have got those that went before it knew us */
		a->resend_at = s->now + ms(m, 500);
}

static void answer(struct step *s, const struct agent *a)
{
	struct peer_machine *m = s->m;

	if (!bucket_take(&m->answers, s->now, ms(m, OFFER_INTERVAL), OFFER_BURST))
		return;
	struct peer_action *x = send_session(s, PEER_DIRECT, SIGNAL_ANSWER, a);
	x->reply = true;
	x->path = s->ev->path;
	memcpy(x->answered, a->remote, sizeof(x->answered));
	m->answers_sent++;
}

static void refuse_ice(struct step *s)
{
	if (!bucket_take(&s->m->answers, s->now, ms(s->m, OFFER_INTERVAL), OFFER_BURST))
		return;
	struct peer_action *x = act(s, PEER_ACT_SEND);
	x->frame = SIGNAL_HELLO;
	x->flags = SIGNAL_NO_ICE;
	x->reply = true;
	x->path = s->ev->path;
}

void take_offer(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;
	struct agent *a;

	m->offers_received++;
	m->remote_no_ice = msg->flags & SIGNAL_NO_ICE;
	if (same_session(msg->session, no_session))
		return;
	if (!auto_ice(m) || m->remote_no_ice) {
		if (!m->remote_no_ice)
			refuse_ice(s);
		return;
	}
	for (int i = 0; i < 2; i++) { /* the session that we have: no-op, but perhaps our answer was lost */
		if (m->agents[i].paired && same_session(m->agents[i].remote, msg->session)) {
			struct peer_path_ref ref = {.kind = PATH_KIND_ICE,
						    .generation = m->agents[i].generation};

			act_on(s, PEER_ACT_AGENT_CANDIDATES, &ref);
			answer(s, &m->agents[i]);
			return;
		}
	}
	bool over = same_session(msg->session, m->remote_session); /* known, and its agent has ended */
	if (over || newer(m->remote_generation, msg->generation)) {
		stale_result(s);
		return;
	}
	if (!bucket_take(&m->agents_made, s->now, ms(m, OFFER_INTERVAL), OFFER_BURST))
		return; /* it will be repeated; nothing that works was touched */
	if (msg->reason == SIGNAL_REASON_retry_direct || msg->reason == SIGNAL_REASON_ice_failed) {
		plan_retry(s); /* this try is ours, too: else both ends would take turns without a pause */
	} else {
		m->retries = 0;
		ladder_reset(s);
	}
	a = unpaired(m);
	if (!a) {
		a = agent_start(s, SIGNAL_REASON_remote_session);
		m->session_reason = SIGNAL_REASON_remote_session;
		note(s, LOG_INFO, "session", "the peer offers a new session (%s); an agent is built for it%s",
		     signal_reason_text(msg->reason),
		     m->chosen == PEER_NO_SLOT ? "" : " beside the path in use");
	}
	pair(s, a);
	answer(s, a);
}

void take_answer(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;

	m->answers_received++;
	for (int i = 0; i < 2 && !same_session(msg->session, no_session); i++) {
		struct agent *a = &m->agents[i];
		struct peer_path_ref ref = {.kind = PATH_KIND_ICE, .generation = a->generation};

		if (!a->generation || !same_session(a->session, msg->answered))
			continue;
		if (a->paired && same_session(a->remote, msg->session)) {
			act_on(s, PEER_ACT_AGENT_CANDIDATES, &ref);
			return;
		}
		if (a->paired)
			break;
		pair(s, a);
		return;
	}
	m->answers_astray++;
	m->astray_at = s->now;
	memcpy(m->astray_session, msg->answered, sizeof(m->astray_session));
	stale_result(s);
}

void take_candidates(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;

	for (int i = 0; i < 2; i++) {
		struct peer_path_ref ref = {.kind = PATH_KIND_ICE, .generation = m->agents[i].generation};

		if (m->agents[i].paired && same_session(m->agents[i].remote, msg->session)) {
			act_on(s, PEER_ACT_AGENT_CANDIDATES, &ref);
			return;
		}
	}
	if (newer(msg->generation, m->remote_generation) && msg->type == SIGNAL_CANDIDATE && auto_ice(m))
		act(s, PEER_ACT_KEEP_CANDIDATES); /* they came before their offer (F17) */
	else {
		m->candidates_astray++;
		stale_result(s);
	}
}

/* Candidates from the first that was not told yet, in parts that fit a datagram. */
static void tell_candidates(struct step *s, struct agent *a, unsigned first)
{
	enum peer_slot on = carrier(s, 0);

	if (on == PEER_NO_SLOT || (!a->paired && !a->offers))
		return;
	while (first < a->candidates) {
		unsigned n = a->candidates - first < PART ? a->candidates - first : PART;
		struct peer_action *x = send_session(s, on, SIGNAL_CANDIDATE, a);

		x->first = first;
		x->count = n;
		first += n;
	}
	a->told = a->candidates;
}

void on_candidate(struct step *s)
{
	struct agent *a = by_generation(s->m, s->ev->path.generation);

	if (!a) {
		stale_result(s);
		return;
	}
	a->candidates = s->ev->count < 64 ? s->ev->count : 64;
	tell_candidates(s, a, a->told);
}

void on_gathered(struct step *s)
{
	struct agent *a = by_generation(s->m, s->ev->path.generation);

	if (!a) {
		stale_result(s);
		return;
	}
	a->gathered = true;
	enum peer_slot on = carrier(s, 0);
	if (on != PEER_NO_SLOT && (a->paired || a->offers))
		send_session(s, on, SIGNAL_END, a);
	a->resends = 0;
	a->resend_at = s->now + ms(s->m, 1000);
}

void on_selected(struct step *s)
{
	struct peer_machine *m = s->m;
	struct agent *a = by_generation(m, s->ev->path.generation);

	if (!a) {
		stale_result(s);
		return;
	}
	struct path *p = &m->paths[slot_of(m, a)];
	bool again = a->connected;

	a->connected = true;
	a->failed = false;
	p->ready = true;
	p->turn = s->ev->turn;
	if (!again) {
		p->since = s->now;
		/* those before it were: until it shows that it is better */
		p->filtered = m->filter.paths && !p->turn;
		note(s, LOG_INFO, "ice", "a%s pair is selected after %llu ms; it has to prove itself",
		     p->turn ? " TURN" : "", (unsigned long long)shown_ms(s->now - a->started));
	}
	p->checks = 0;
	if (m->remote_is_weir)
		ping(s, slot_of(m, a), 0);
}

/* A hint: a connected pair is asked itself; a negotiation gets its seconds. */
void on_ice_failed(struct step *s)
{
	struct peer_machine *m = s->m;
	struct agent *a = by_generation(m, s->ev->path.generation);

	if (!a) {
		stale_result(s);
		return;
	}
	a->failed = true;
	if (a->connected) {
		m->paths[slot_of(m, a)].checks = 0;
		ping(s, slot_of(m, a), 0);
		if (m->chosen == slot_of(m, a))
			watch_force(s);
	}
}

static void offer(struct step *s, struct agent *a)
{
	static const uint16_t at[] = {0, 500, 1500, 3500, 7500, 15500, 30000};
	struct peer_machine *m = s->m;
	enum peer_slot on = carrier(s, a->offers);

	if (s->now < a->offer_at || on == PEER_NO_SLOT) {
		want_turn(s, s->now < a->offer_at ? a->offer_at : s->now + ms(m, 500));
		return;
	}
	if (!bucket_take(&m->offers, s->now, ms(m, OFFER_INTERVAL), OFFER_BURST)) {
		a->offer_at = s->now + ms(m, 1000);
		want_turn(s, a->offer_at);
		return;
	}
	send_session(s, on, SIGNAL_OFFER, a)->reason = m->session_reason;
	a->told = a->candidates;
	a->offers++;
	m->offers_sent++;
	a->offer_at = a->offers < 7 ? a->started + ms(m, at[a->offers]) : 0;
	if (a->offer_at && a->offer_at <= s->now)
		a->offer_at = s->now + ms(m, 500);
	want_turn(s, a->offer_at);
}

/* Its addresses are those of before a change, and it had the time in which pairs are found. */
static bool outdated(struct step *s, const struct agent *a)
{
	struct peer_machine *m = s->m;
	uint64_t enough = a->started + ms(m, 1500), settled = m->network_at + ms(m, 300);
	uint64_t at = enough > settled ? enough : settled;

	if (m->network_at <= a->started)
		return false;
	if (s->now < at)
		want_turn(s, at);
	return s->now >= at;
}

static void negotiate(struct step *s, struct agent *a)
{
	struct peer_machine *m = s->m;
	uint64_t end = a->paired ? a->paired_at + ms(m, ATTEMPT) : a->started + ms(m, UNPAIRED);
	uint64_t hint = a->started + ms(m, HINT_AFTER);

	if (outdated(s, a)) {
		note(s, LOG_INFO, "ice",
		     "the network changed while a pair was sought: once more, from the start");
		agent_stop(s, slot_of(m, a));
		if (m->session_used)
			rotate(s, SIGNAL_REASON_network_change);
		m->retry_at = s->now;
		want_turn(s, s->now);
		return;
	}
	if (s->now >= end || (a->failed && s->now >= hint)) {
		note(s, LOG_INFO, "ice", "no pair after %llu ms (%s)",
		     (unsigned long long)shown_ms(s->now - a->started),
		     !a->paired	 ? "our offers were not answered"
		     : a->failed ? "all checks failed"
				 : "checks go on unanswered");
		if (a->paired) /* no pair at all: that is another fault */
			m->filter = (struct peer_filter){0};
		agent_stop(s, slot_of(m, a));
		if (m->session_used)
			rotate(s, SIGNAL_REASON_ice_failed);
		plan_retry(s);
		return;
	}
	want_turn(s, end);
	if (a->failed)
		want_turn(s, hint);
	if (!a->paired && (a->offer_at || !a->offers))
		offer(s, a);
	if (a->resend_at && s->now >= a->resend_at) {
		tell_candidates(s, a, 0);
		a->resend_at = !a->resends && a->gathered ? s->now + ms(m, 2000) : 0;
		a->resends++;
	}
	want_turn(s, a->resend_at);
}

/* A new agent, offered once its first candidates are there. */
void agent_offer(struct step *s, enum signal_reason why)
{
	struct peer_machine *m = s->m;
	struct agent *a = agent_start(s, why);

	a->offer_at = s->now + ms(m, 20);
	m->retry_at = 0;
	note(s, LOG_INFO, "session", "a new session is offered: %s", signal_reason_text(m->session_reason));
}

/* A try came to an end without a direct path, and not by a failure: with a TURN pair, with one that is
 * filtered, or with one on which nothing of ours passes. Relayed all the same, but that is no news. */
static bool try_was_vain(const struct peer_machine *m)
{
	for (unsigned i = PEER_DIRECT; i <= PEER_ICE_NEXT; i++) {
		const struct path *p = &m->paths[i];

		if (!p->ready)
			continue;
		if ((p->turn || p->filtered) && p->state == PATH_UP)
			return true;
		if (i != PEER_DIRECT && p->state == PATH_CHECKING)
			return true;
	}
	return false;
}

static void begin_when_due(struct step *s)
{
	struct peer_machine *m = s->m;
	enum peer_slot on = carrier(s, 0);

	if (!m->remote_is_weir || m->remote_no_ice || !auto_ice(m) || m->away || agent_busy(m) ||
	    on == PEER_NO_SLOT || m->paths[on].state != PATH_UP)
		return;
	if (direct_is_up(m)) {
		m->retry_at = 0;
		if (m->chosen <= PEER_ICE_NEXT && m->paths[m->chosen].state == PATH_UP &&
		    !m->paths[m->chosen].turn) /* it carries: one that is courted may be filtered */
			m->retries = 0;
		return;
	}
	for (int i = 0; i < 2; i++) { /* a pair that was just selected gets a moment to prove itself */
		const struct path *p = &m->paths[PEER_ICE + i];
		uint64_t end = p->since + ms(m, 3000);
		bool heard = p->state == PATH_UP && !p->last_pong; /* and our ping is under way */

		if (m->agents[i].connected && (p->state == PATH_CHECKING || heard) && s->now < end) {
			want_turn(s, end);
			return;
		}
	}
	if (!m->retry_at && try_was_vain(m))
		plan_retry(s);
	else if (!m->retry_at) /* a known endpoint first gets a moment to answer */
		m->retry_at = s->now + (m->paths[PEER_DIRECT].ready ? ms(m, 700) : ms(m, 1));
	if (s->now < m->retry_at) {
		want_turn(s, m->retry_at);
		return;
	}
	agent_offer(s,
		    same_session(m->session, no_session) ? SIGNAL_REASON_start : SIGNAL_REASON_retry_direct);
}

void sessions(struct step *s)
{
	struct peer_machine *m = s->m;

	if (!auto_ice(m) && (m->agents[0].generation || m->agents[1].generation))
		agents_stop_all(s);
	begin_when_due(s);
	for (int i = 1; i >= 0; i--) {
		struct agent *a = &m->agents[i];
		struct path *p = &m->paths[PEER_ICE + i];

		if (!a->generation)
			continue;
		if (!a->connected) {
			negotiate(s, a);
		} else if (p->state == PATH_STALE && m->chosen != PEER_ICE + i) {
			uint64_t end = p->since + ms(m, 60000); /* it may heal; not for ever */

			if (s->now >= end)
				agent_stop(s, PEER_ICE + i);
			else
				want_turn(s, end);
		}
	}
}
