/* One step: take in the event by the table, then let every part do what is due. And what all parts use. */
#include "peer/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define LATE_TIMER 3000 /* ms: a timer that comes later means that we were not running (suspend) */
#define WANTED_ON  3000 /* ms */

uint64_t ms(const struct peer_machine *m, uint64_t milliseconds)
{
	uint64_t ns = milliseconds * NS_PER_MS / m->divisor;

	return ns ? ns : 1;
}

uint64_t shown_ms(uint64_t ns)
{
	return ns && ns < NS_PER_MS ? 1 : (ns + NS_PER_MS / 2) / NS_PER_MS;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t random_next(struct peer_machine *m)
{
	uint64_t z = m->random += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint64_t jitter(struct peer_machine *m, uint64_t ns)
{
	uint64_t fifth = ns / 5;

	return fifth ? ns - fifth / 2 + random_next(m) % fifth : ns;
}

bool bucket_take(struct bucket *b, uint64_t now, uint64_t interval, unsigned burst)
{
	if (b->ahead < now)
		b->ahead = now;
	if (b->ahead - now > interval * (burst - 1))
		return false;
	b->ahead += interval;
	return true;
}

bool newer(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b) > 0;
}

struct peer_action *act(struct step *s, enum peer_action_type type)
{
	struct peer_actions *out = s->out;

	if (out->count ==
	    PEER_ACTIONS_MAX) { /* peer_check() and so the simulator say so; the last one is lost */
		s->m->overflow = true;
		out->count--;
	}
	struct peer_action *a = &out->items[out->count++];
	memset(a, 0, offsetof(struct peer_action, text) + 1);
	a->type = type;
	return a;
}

void act_on(struct step *s, enum peer_action_type type, const struct peer_path_ref *path)
{
	act(s, type)->path = *path;
}

/* Words give way before deeds do. */
void note(struct step *s, enum log_level level, const char *kind, const char *fmt, ...)
{
	va_list ap;

	if (s->out->count >= PEER_ACTIONS_MAX * 3 / 4)
		return;
	struct peer_action *a = act(s, PEER_ACT_NOTE);
	a->level = level;
	a->kind = kind;
	va_start(ap, fmt);
	vsnprintf(a->text, sizeof(a->text), fmt, ap);
	va_end(ap);
}

void want_turn(struct step *s, uint64_t at)
{
	s->deadline = earlier(s->deadline, at);
}

void stale_result(struct step *s)
{
	s->m->stale_results++;
}

/* At most one a second: two ends that begin at the same time answer each other well enough. */
bool handshake(struct step *s, enum signal_reason why)
{
	struct peer_machine *m = s->m;

	if (!s->f->device_up || (m->handshake_at && s->now < m->handshake_at + ms(m, 900)))
		return false;
	if (m->attempt && m->attempt_at && s->now < m->attempt_at + ms(m, 900))
		return false; /* one is under way: a second within 20 ms would be dropped as a flood, the
				 first be void */
	struct peer_action *a = act(s, PEER_ACT_HANDSHAKE);
	a->reason = why;
	if (m->chosen != PEER_NO_SLOT)
		a->path = m->paths[m->chosen].ref;
	m->handshake_at = s->now;
	return true;
}

void refill(struct step *s)
{
	struct peer_machine *m = s->m;

	m->retries = 0;
	ladder_reset(s);
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		m->paths[i].checks = 0;
		m->paths[i].hellos = 0;
		m->paths[i].hello_at = 0;
		m->paths[i].keepalives = 0;
		m->paths[i].keepalive_at = 0;
	}
}

bool auto_ice(const struct peer_machine *m)
{
	return m->settings.mode == PEER_AUTO && m->settings.ice && m->preference != PEER_FORCE_RELAY;
}

/* In trouble a moment longer: their initiation answers our data for WireGuard, and the next packet is not. */
static bool is_wanted(struct step *s)
{
	struct peer_machine *m = s->m;
	uint64_t until = m->wanted_at + ms(m, WANTED_ON);

	if (!s->f->device_up || m->away)
		return false;
	if (s->f->wants || s->f->unanswered_since || s->f->attempt) {
		m->wanted_at = s->now;
		return true;
	}
	if (!m->ladder.trouble_since || s->now >= until)
		return false;
	want_turn(s, until);
	return true;
}

/*
 * Does the tunnel work, as far as can be known? One-way traffic is answered by WireGuard every 10 s only; in
 * between, pongs and the remote's counts speak for it.
 */
static bool is_working(const struct step *s)
{
	const struct peer_machine *m = s->m;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];
	uint64_t since = s->f->unanswered_since;

	if (!s->f->usable || !c || path_is_mute(s, c))
		return false;
	if (!since)
		return true;
	if (since > m->ladder.trouble_since) { /* else another path alone is no cure yet */
		if (since < m->chosen_since && c->last_tunnel < m->chosen_since)
			since = m->chosen_since;
		/* a path that is known to be silent is not given as long */
		if (s->now < since + ms(m, c->state == PATH_STALE ? 300 : 1000))
			return true;
	}
	return c->last_pong && c->last_pong + ms(m, 2500) > s->now &&
	       (!c->counts_known || c->far_grew_at >= since);
}

/*
 * An initiation or its answer was lost, on a path that works: WireGuard itself would wait 5 s, and until then
 * one end may seal under keys that the other has dropped. Three times for each attempt.
 */
static void hurry_attempt(struct step *s, const struct path *c)
{
	struct peer_machine *m = s->m;
	uint64_t from = m->attempt_at > m->handshake_at ? m->attempt_at : m->handshake_at;

	if (!s->f->attempt)
		m->attempt_tries = 0;
	if (!s->f->attempt || !s->f->usable || m->attempt_tries >= 3 || !m->remote_is_weir || m->away || !c ||
	    c->state != PATH_UP || !c->last_pong)
		return;
	if (from < m->chosen_since)
		from = m->chosen_since;
	from += ms(m, 1000) + 3 * c->rtt;
	if (s->now >= from && handshake(s, SIGNAL_REASON_path_dead)) {
		m->attempt_tries++;
		from = s->now + ms(m, 1000) + 3 * c->rtt;
	}
	want_turn(s, from);
}

/* A path is proven and the tunnel does not work: handshakes once a second for a while, then every two:
 * whatever keeps WireGuard from passing may end at any time, and nobody would say so. */
static void tunnel_upkeep(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];

	m->wanted = is_wanted(s);
	m->works = is_working(s);
	hurry_attempt(s, c);
	if (!c || c->state != PATH_UP || m->works || !m->wanted || m->away) {
		m->handshake_retry = 0;
		m->handshake_tries = 0;
		return;
	}
	if (!m->handshake_retry)
		m->handshake_retry = s->f->usable ? s->now + ms(m, 1000) : s->now;
	if (s->now >= m->handshake_retry) {
		bool begun = handshake(
			s, SIGNAL_REASON_path_dead); /* else one went out just now, on a dead path perhaps */

		m->handshake_tries += begun && m->handshake_tries < 255;
		m->handshake_retry = s->now + (begun ? jitter(m, ms(m, m->handshake_tries < 10 ? 1000 : 2000))
						     : ms(m, 100));
	}
	want_turn(s, m->handshake_retry);
}

/* A view looks: no evidence of anything, so only a path that is up is asked, and nothing else changes. */
void report_wanted(struct step *s)
{
	struct peer_machine *m = s->m;
	enum peer_slot slot = carrier(s, 0);

	if (!m->remote_is_weir || m->away || s->now < m->report_at || slot == PEER_NO_SLOT ||
	    m->paths[slot].state != PATH_UP)
		return;
	send_on(s, slot, SIGNAL_REPORT)->flags = SIGNAL_ASK;
	m->report_at = s->now + ms(m, 5000);
}

/* What the remote counts about us, when something is wrong and there is a way to ask. */
static void ask_report(struct step *s)
{
	struct peer_machine *m = s->m;

	if (!m->remote_is_weir || !m->ladder.trouble_since || m->works || m->away)
		return;
	uint64_t at = m->ladder.trouble_since + ms(m, 2000);
	if (at < m->report_at)
		at = m->report_at;
	enum peer_slot slot = carrier(s, 0);
	if (slot == PEER_NO_SLOT || m->paths[slot].state != PATH_UP)
		return;
	if (s->now >= at) {
		send_on(s, slot, SIGNAL_REPORT)->flags = SIGNAL_ASK;
		m->report_at = at = s->now + ms(m, 5000);
	}
	want_turn(s, at);
}

static enum stage derive_stage(const struct peer_machine *m)
{
	if (!m->started || m->settings.mode == PEER_PLAIN)
		return STAGE_DOWN;
	if (m->away)
		return STAGE_AWAY;
	if (m->ladder.trouble_since && m->chosen != PEER_NO_SLOT && m->paths[m->chosen].last_tunnel)
		return STAGE_LOST;
	if (m->chosen == PEER_NO_SLOT || m->paths[m->chosen].state != PATH_UP)
		return STAGE_SEEKING;
	return m->paths[m->chosen].ref.kind == PATH_KIND_RELAY || m->paths[m->chosen].turn ? STAGE_RELAYED
											   : STAGE_DIRECT;
}

/* It said that it would be back at once, and that time has passed: not hearing it is trouble like any other.
 */
static void expect_return(struct step *s)
{
	struct peer_machine *m = s->m;
	uint64_t at = m->back_at ? m->back_at : m->away_since + ms(m, 1000);

	if (!m->away || !m->away_restarts)
		return;
	if (s->now < at) {
		want_turn(s, at);
		return;
	}
	note(s, LOG_INFO, "remote", "the peer should be back by now");
	remote_returned(s);
}

static void settle(struct step *s)
{
	expect_return(s);
	absorb_facts(s);
	relays(s);
	watch(s);
	follow(s);
	choose(s);
	tunnel_upkeep(s);
	ladder(s);
	if (s->m->watch.armed == s->now) /* on another path: watched from this moment on (I9) */
		watch(s);
	sessions(s);
	probe(s);
	mtu_run(s);
	ask_report(s);
}

/* Not running for a while says nothing about a path: what was unanswered before is no evidence (I10, F8). */
static void after_suspend(struct step *s)
{
	struct peer_machine *m = s->m;

	note(s, LOG_NOTICE, "path", "not running for %llu s; what was unanswered before that is no evidence",
	     (unsigned long long)((s->now - m->deadline) / NS_PER_SEC));
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		forget_pings(&m->paths[i]);
	watch_arm(s);
	watch_force(s);
	refill(s);
}

void peer_step(struct peer_machine *m, const struct peer_event *ev, const struct tunnel_facts *f,
	       uint64_t now, struct peer_actions *out)
{
	struct step s = {.m = m, .ev = ev, .f = f, .now = now > m->now ? now : m->now, .out = out};

	out->count = 0;
	if (m->started && m->deadline && now > m->deadline + ms(m, LATE_TIMER))
		after_suspend(&s);
	m->now = s.now;
	if (f->attempt != m->attempt) {
		m->attempt = f->attempt;
		m->attempt_at = s.now;
	}
	uint64_t stale = m->stale_results;
	table_step(&s);
	if (m->stale_results != stale && !out->count) {
		/* I1: nothing but the counter; what is due has its timer. A frame proves its path all the
		 * same. */
		if (m->started && (ev->type == PEER_EV_FRAME || (m->deadline && m->deadline <= s.now)))
			m->deadline = s.now + NS_PER_MS;
		else if (m->started && s.deadline) /* heard_astray() */
			m->deadline =
				earlier(m->deadline, s.deadline > s.now ? s.deadline : s.now + NS_PER_MS);
		return;
	}
	if (m->started && m->settings.mode != PEER_PLAIN)
		settle(&s);
	m->stage = derive_stage(m);
	m->deadline = m->started ? s.deadline : 0;
	if (m->deadline && m->deadline <= s.now)
		m->deadline = s.now + NS_PER_MS;
}

uint64_t peer_deadline(const struct peer_machine *m)
{
	return m->deadline;
}

struct peer_machine *peer_machine_new(const struct peer_settings *st, uint64_t seed, unsigned time_divisor)
{
	struct peer_machine *m = xcalloc(1, sizeof(*m));

	m->settings = *st;
	m->random = seed;
	m->divisor = time_divisor ? time_divisor : 1;
	m->chosen = PEER_NO_SLOT;
	m->left = PEER_NO_SLOT;
	m->preference = PEER_PREFER_AUTO;
	m->remote_relay = PEER_NO_SERVER;
	return m;
}

void peer_machine_free(struct peer_machine *m)
{
	free(m);
}
