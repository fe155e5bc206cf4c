/*
 * The recovery ladder: what is tried next while the tunnel is wanted and does not work. Each
 * rung has a guard, a cool-down and a budget; budgets refill with time, too, so that trying never ends (I11,
 * F14).
 */
#include "peer/internal.h"

#include <stdio.h>
#include <string.h>

#define FIRST_RUNG  1500  /* ms of trouble before the first rung */
#define PAUSE	    2000  /* ms between rungs */
#define LAST_PAUSE  15000 /* ms when no rung can be taken now */
#define REFILL	    60000
#define FRESH_TRIAL 1000 /* ms in which a fresh port is to be answered */

static const struct {
	const char *name, *text;
	uint8_t budget;
	uint16_t cool_down; /* ms */
} rungs[PEER_RUNGS] = {
	[PEER_RUNG_NONE] = {"none", "nothing to recover", 0, 0},
	[PEER_RUNG_HANDSHAKE] = {"handshake", "handshake now", 20, 2000},
	[PEER_RUNG_ENDPOINT] = {"endpoint", "clear source address and endpoint", 3, 10000},
	[PEER_RUNG_PATH] = {"path", "next pair or standby path", 6, 3000},
	[PEER_RUNG_PORT] = {"port", "fresh source port", 2, 20000},
	[PEER_RUNG_SESSION] = {"session", "rotate session, restart ICE", 3, 12000},
	[PEER_RUNG_REOPEN] = {"reopen", "reopen the relay", 2, 15000},
	[PEER_RUNG_RELAY] = {"relay", "next relay", 4, 5000},
};

const char *peer_rung_name(enum peer_rung r)
{
	return (unsigned)r < PEER_RUNGS ? rungs[r].name : "?";
}

const char *peer_rung_text(enum peer_rung r)
{
	return (unsigned)r < PEER_RUNGS ? rungs[r].text : "?";
}

void ladder_reset(struct step *s)
{
	struct ladder *l = &s->m->ladder;

	for (int i = 0; i < PEER_RUNGS; i++)
		l->budget[i] = rungs[i].budget;
	l->refill_at = s->now + ms(s->m, REFILL);
	if (!l->trouble_since)
		return;
	l->next = PEER_RUNG_HANDSHAKE;
	if (l->next_at > s->now + ms(s->m, PAUSE))
		l->next_at = s->now + ms(s->m, PAUSE);
}

/* A path, not the chosen one, that could carry the tunnel. */
static enum peer_slot other_path(const struct step *s)
{
	const struct peer_machine *m = s->m;
	enum peer_slot best = path_best(s, m->chosen);

	for (unsigned i = 0; i < PEER_SLOTS && best == PEER_NO_SLOT; i++) {
		const struct path *p = &m->paths[i];

		if (i != m->chosen && p->ready && path_allowed(m, i) && p->state != PATH_STALE)
			best = i;
	}
	return best;
}

static bool fits(struct step *s, enum peer_rung r)
{
	struct peer_machine *m = s->m;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];
	const struct path *d = &m->paths[PEER_DIRECT];
	bool direct_silent = d->ready && path_allowed(m, PEER_DIRECT) &&
			     (d->state != PATH_UP || m->chosen == PEER_DIRECT) &&
			     (!d->last_proof || s->now >= d->last_proof + ms(m, 1500) || path_is_mute(s, d));
	const struct path *relay = &m->paths[PEER_RELAY];
	enum peer_slot on = carrier(s, 0);

	switch (r) {
	case PEER_RUNG_HANDSHAKE:
		return c && c->ready;
	case PEER_RUNG_ENDPOINT:
	case PEER_RUNG_PORT:
		return direct_silent;
	case PEER_RUNG_PATH:
		return other_path(s) != PEER_NO_SLOT;
	case PEER_RUNG_SESSION:
		return auto_ice(m) && m->remote_is_weir && !m->remote_no_ice && on != PEER_NO_SLOT &&
		       !agent_busy(m) && !direct_is_up(m);
	case PEER_RUNG_REOPEN: {
		const struct relay *x = relay_find(m, relay->ref.id);

		return relay->ref.kind == PATH_KIND_RELAY && relay->state == PATH_STALE && x && x->up &&
		       x->check_at && s->now >= x->check_at + ms(m, 2500);
	}
	case PEER_RUNG_RELAY:
		return relay_next(s, true);
	default:
		return false;
	}
}

static bool may(struct step *s, enum peer_rung r)
{
	const struct ladder *l = &s->m->ladder;

	return l->budget[r] && (!l->taken_at[r] || s->now >= l->taken_at[r] + ms(s->m, rungs[r].cool_down)) &&
	       fits(s, r);
}

/* The first rung after `r` that may be taken; NONE: none now. */
static enum peer_rung after(struct step *s, enum peer_rung r)
{
	for (int i = 0; i < PEER_RUNGS; i++) {
		r = r + 1 < PEER_RUNGS ? r + 1 : PEER_RUNG_HANDSHAKE;
		if (may(s, r))
			return r;
	}
	return PEER_RUNG_NONE;
}

static void take(struct step *s, enum peer_rung r)
{
	struct peer_machine *m = s->m;
	enum peer_slot other;

	switch (r) {
	case PEER_RUNG_HANDSHAKE:
		handshake(s, SIGNAL_REASON_tunnel_timeout);
		break;
	case PEER_RUNG_ENDPOINT:
		act_on(s, PEER_ACT_RESET_ENDPOINT, &m->paths[PEER_DIRECT].ref);
		handshake(s, SIGNAL_REASON_tunnel_timeout);
		break;
	case PEER_RUNG_PATH:
		other = other_path(s);
		if (m->chosen != PEER_NO_SLOT)
			path_state(s, m->chosen, PATH_STALE);
		path_switch(s, other, LOG_NOTICE, "the tunnel does not come up there; this one is tried");
		m->hold_choice = s->now + ms(m, 3000);
		break;
	case PEER_RUNG_PORT:
		act_on(s, PEER_ACT_FRESH_PORT, &m->paths[PEER_DIRECT].ref);
		m->fresh_port = true;
		m->fresh_at = s->now;
		m->fresh_from = m->paths[PEER_DIRECT].ref.generation;
		m->old_port_heard = false;
		break;
	case PEER_RUNG_SESSION:
		rotate(s, SIGNAL_REASON_tunnel_timeout);
		m->retry_at = s->now;
		break;
	case PEER_RUNG_REOPEN:
		act_on(s, PEER_ACT_RELAY_REOPEN, &m->paths[PEER_RELAY].ref);
		break;
	case PEER_RUNG_RELAY:
		relay_next(s, false);
		break;
	default:
		break;
	}
}

static void climb(struct step *s)
{
	struct peer_machine *m = s->m;
	struct ladder *l = &m->ladder;
	enum peer_rung r = l->next;
	bool tell = l->taken[r] < 8 ||
		    l->taken[r] % 16 == 0; /* an hour of trouble is no reason to fill the timeline */

	if (r != PEER_RUNG_NONE && fits(s, r)) {
		if (tell)
			note(s, LOG_NOTICE, "ladder",
			     "%s: the tunnel is wanted and has not worked for %.1f s (%s)", rungs[r].text,
			     (double)shown_ms(s->now - l->trouble_since) / 1000,
			     s->f->usable ? "data is unanswered" : "no keys");
		l->budget[r] -= l->budget[r] > 0;
		l->taken[r]++;
		l->taken_at[r] = s->now;
		l->last_at = s->now;
		take(s, r);
	}
	l->next = after(s, r);
	l->next_at = s->now + jitter(m, ms(m, l->next ? PAUSE : LAST_PAUSE));
	if (!l->next)
		l->next = PEER_RUNG_HANDSHAKE;
}

void ladder_command(struct step *s, enum peer_command c)
{
	struct ladder *l = &s->m->ladder;

	if (c == PEER_LADDER_HOLD || c == PEER_LADDER_RESUME) {
		if (l->held == (c == PEER_LADDER_HOLD))
			return;
		l->held = !l->held;
		note(s, LOG_NOTICE, "ladder",
		     l->held ? "the user holds the recovery" : "the user lets the recovery go on");
		if (!l->held && l->next_at < s->now)
			l->next_at = s->now;
		return;
	}
	enum peer_rung r = l->next ? l->next : after(s, PEER_RUNG_NONE);
	if (!l->trouble_since)
		l->trouble_since = s->now;
	if (c == PEER_LADDER_SKIP) {
		note(s, LOG_INFO, "ladder", "%s: skipped by the user", peer_rung_text(r));
		l->next = after(s, r);
		l->next_at = s->now + ms(s->m, PAUSE);
		if (!l->next)
			l->next = PEER_RUNG_HANDSHAKE;
		return;
	}
	l->next = r;
	climb(s);
}

/* What the user asks for is taken whether or not anything is wrong, and costs no budget. */
void ladder_take(struct step *s, enum peer_rung r)
{
	struct peer_machine *m = s->m;
	const struct path *path = &m->paths[r == PEER_RUNG_PORT ? PEER_DIRECT : PEER_RELAY];
	bool there = r == PEER_RUNG_PORT ? path->ready
					 : path->ref.kind == PATH_KIND_RELAY && relay_find(m, path->ref.id);

	if (!there) {
		note(s, LOG_NOTICE, "ladder", "%s: asked for by the user, but there is no %s path",
		     rungs[r].text, r == PEER_RUNG_PORT ? "direct" : "relay");
		return;
	}
	note(s, LOG_NOTICE, "ladder", "%s: asked for by the user", rungs[r].text);
	m->ladder.taken[r]++;
	m->ladder.taken_at[r] = s->now;
	take(s, r);
}

/*
 * A peer behind a NAT hears nothing from a port that it never sent to. If it is heard at the old port
 * meanwhile, that one is the better again.
 */
static void leave_fresh_port(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct path *d = &m->paths[PEER_DIRECT];

	if (!m->fresh_port || d->ref.generation == m->fresh_from)
		return;
	if (d->pongs || d->ref.kind != PATH_KIND_DIRECT)
		m->fresh_port = false;
	else if (m->old_port_heard && s->now >= m->fresh_at + ms(m, FRESH_TRIAL)) {
		m->fresh_port = false;
		note(s, LOG_NOTICE, "ladder",
		     "the peer is heard and does not hear the fresh port: the old one again");
		act_on(s, PEER_ACT_RESET_ENDPOINT, &d->ref);
	}
}

void heard_astray(struct step *s)
{
	if (s->m->fresh_port && s->ev->path.kind == PATH_KIND_DIRECT) {
		s->m->old_port_heard = true;
		want_turn(s, s->m->fresh_at + ms(s->m, FRESH_TRIAL));
	}
}

void ladder(struct step *s)
{
	struct peer_machine *m = s->m;
	struct ladder *l = &m->ladder;

	leave_fresh_port(s);
	if (!m->wanted || m->works) {
		if (l->trouble_since && m->works && s->now > l->trouble_since + ms(m, FIRST_RUNG))
			note(s, LOG_NOTICE, "ladder", "the tunnel works again after %.1f s",
			     (double)shown_ms(s->now - l->trouble_since) / 1000);
		l->trouble_since = 0;
		l->next = PEER_RUNG_NONE;
		l->next_at = 0;
		if (m->works && m->wanted)
			want_turn(s, s->now + ms(m, s->f->unanswered_since ? 500 : 30000));
		return;
	}
	if (!l->trouble_since) {
		l->trouble_since = s->now;
		ladder_reset(s);
		l->next = after(s, PEER_RUNG_NONE);
		l->next = l->next ? l->next : PEER_RUNG_HANDSHAKE;
		l->next_at = s->now + ms(m, FIRST_RUNG);
	}
	if (s->now >= l->refill_at)
		ladder_reset(s);
	if (l->held)
		return;
	if (s->now >= l->next_at)
		climb(s);
	want_turn(s, l->next_at);
}

void ladder_explain(const struct peer_machine *m, char out[PEER_NOTE_MAX])
{
	const struct ladder *l = &m->ladder;

	if (!l->trouble_since)
		snprintf(out, PEER_NOTE_MAX, "%s",
			 m->works ? "the tunnel works" : "nobody needs the tunnel now");
	else
		snprintf(out, PEER_NOTE_MAX,
			 "the tunnel is wanted and has not worked for %llu s; %u of %u left of this rung",
			 (unsigned long long)((m->now - l->trouble_since) / NS_PER_SEC), l->budget[l->next],
			 rungs[l->next].budget);
}
