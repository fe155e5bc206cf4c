/*
 * Slots, states and the choice among them. A path is *up* by what the far end sent on it in this generation,
 * and by nothing else. A better one takes over from a working one after an authenticated tunnel packet went
 * each way on it, so one that passes our pings and not WireGuard is never chosen (F41), and the old one is
 * left standing (I2).
 */
#include "peer/internal.h"

#include <stdio.h>
#include <string.h>

#define FOLLOW_SILENCE	  300  /* ms without a tunnel packet here while they come in elsewhere */
#define FOLLOW_PERSISTENT 2000 /* ms of the same, though the path answers pings */
#define COURTED		  4    /* keepalives, the last one three seconds after the first */
#define FILTERED_LAST	  1500 /* ms before one that is filtered is tried again, for want of any other */
#define LATE_PACKETS	  3000 /* ms after a switch: what still comes in on the old path decides nothing (F43) */

const char *path_word(const struct path *p)
{
	return p->ref.kind == PATH_KIND_ICE && p->turn ? "turn" : path_kind_name(p->ref.kind);
}

bool same_ref(const struct peer_path_ref *a, const struct peer_path_ref *b)
{
	return a->kind == b->kind && a->id == b->id && a->generation == b->generation;
}

enum peer_slot peer_find_slot(const struct peer_machine *m, const struct peer_path_ref *r)
{
	if (r->kind == PATH_KIND_NONE)
		return PEER_NO_SLOT;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (same_ref(&m->paths[i].ref, r))
			return i;
	}
	return PEER_NO_SLOT;
}

const struct tunnel_path_facts *facts_of(const struct step *s, enum peer_slot slot)
{
	static const struct tunnel_path_facts none;

	if (slot >= PEER_SLOTS || s->m->paths[slot].ref.kind == PATH_KIND_NONE)
		return &none;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (same_ref(&s->f->paths[i].ref, &s->m->paths[slot].ref))
			return &s->f->paths[i];
	}
	return &none;
}

void path_begin(struct step *s, enum peer_slot slot, const struct peer_path_ref *ref)
{
	struct path *p = &s->m->paths[slot];

	memset(p, 0, sizeof(*p));
	p->ref = *ref;
	p->state = PATH_CHECKING;
	p->since = s->now;
	p->tunnel_since = s->now;
	if (s->m->chosen == slot) { /* the same way under a new generation: the tunnel goes on there */
		act_on(s, PEER_ACT_CHOOSE, ref);
		s->m->chosen_since = s->now;
		watch_arm(s);
	}
}

void path_clear(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;

	memset(&m->paths[slot], 0, sizeof(m->paths[slot]));
	if (m->left == slot)
		m->left = PEER_NO_SLOT;
	if (m->chosen != slot)
		return;
	m->chosen = PEER_NO_SLOT; /* choose() finds another in this step, or says that there is none */
	m->chosen_since = s->now;
	watch_arm(s);
}

void path_state(struct step *s, enum peer_slot slot, enum path_state state)
{
	struct path *p = &s->m->paths[slot];

	if (p->state == state)
		return;
	p->state = state;
	p->since = s->now;
	p->checks = 0;
	p->next_ping = 0;
	if (state == PATH_UP) {
		p->unanswered = 0; /* what was lost before says nothing about a path that is back */
		mtu_begin(s, slot);
	}
}

void path_proof(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];

	p->last_proof = s->now;
	if (p->ready && p->state != PATH_UP)
		path_state(s, slot, PATH_UP);
}

void path_leave(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];

	p->tunnel_since = s->now;
	p->keepalives = 0;
	p->keepalive_at = 0;
}

void path_promote(struct step *s, enum peer_slot from, enum peer_slot to)
{
	struct peer_machine *m = s->m;

	m->paths[to] = m->paths[from];
	memset(&m->paths[from], 0, sizeof(m->paths[from]));
	if (m->chosen == from)
		m->chosen = to;
	m->left = PEER_NO_SLOT;
}

bool path_allowed(const struct peer_machine *m, enum peer_slot slot)
{
	bool relay = slot == PEER_RELAY || slot == PEER_RELAY_NEXT;

	return relay || (m->settings.mode != PEER_RELAY_ONLY && m->preference != PEER_FORCE_RELAY);
}

bool path_over_udp(const struct path *p)
{
	return (p->ref.kind == PATH_KIND_DIRECT || p->ref.kind == PATH_KIND_ICE) && !p->turn;
}

void path_filtered(struct step *s, enum peer_slot slot, uint64_t ours, uint64_t theirs)
{
	struct path *p = &s->m->paths[slot];
	struct peer_filter *f = &s->m->filter;

	p->filtered = true;
	if (!path_over_udp(p))
		return;
	if (!p->convicted && !f->paths++)
		f->since = s->now;
	p->convicted = true;
	f->at = s->now;
	f->ours += ours;
	f->theirs += theirs;
}

bool direct_is_up(const struct peer_machine *m)
{
	for (unsigned i = PEER_DIRECT; i <= PEER_ICE_NEXT; i++) {
		const struct path *p = &m->paths[i];

		if (p->ready && p->state == PATH_UP && !p->turn && !p->filtered && path_allowed(m, i) &&
		    (!m->network_at || p->last_pong > m->network_at))
			return true;
	}
	return false;
}

/* 0: not proven, or not to be used. */
unsigned path_rank(const struct peer_machine *m, enum peer_slot slot)
{
	const struct path *p = &m->paths[slot];

	if (!p->ready || p->state != PATH_UP || !path_allowed(m, slot))
		return 0;
	if (p->ref.kind == PATH_KIND_RELAY)
		return m->preference == PEER_PREFER_RELAY ? 9 : 1;
	return p->turn ? 2 : 3;
}

/*
 * The best proven path; the chosen one on a tie, else one that answered a ping and was not found filtered,
 * else the quicker one. Filtered ones may show what they can while another works; to be used without a proof
 * they are the last.
 */
enum peer_slot path_best(const struct step *s, enum peer_slot but)
{
	const struct peer_machine *m = s->m;
	enum peer_slot best = PEER_NO_SLOT;
	unsigned best_rank = 0;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];
	bool to_prove = but == PEER_NO_SLOT && c && c->ready && c->state == PATH_UP && !c->filtered;

	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		const struct path *p = &m->paths[i];
		unsigned rank = path_rank(m, i) * 4;

		if (!rank || i == but)
			continue;
		if (p->filtered && !to_prove)
			rank = 1;
		rank += i == m->chosen ? 3 : !p->last_pong ? 0 : p->convicted ? 1 : 2;
		if (rank > best_rank || (rank == best_rank && p->rtt && p->rtt < m->paths[best].rtt)) {
			best = i;
			best_rank = rank;
		}
	}
	return best;
}

void path_switch(struct step *s, enum peer_slot slot, enum log_level level, const char *why)
{
	struct peer_machine *m = s->m;
	enum peer_slot old = m->chosen;
	struct path *p = &m->paths[slot];

	for (unsigned i = 0; i < PEER_SLOTS; i++)
		path_leave(s, i); /* a change has a reason: what any path proved before it is no proof now */
	if (old != PEER_NO_SLOT) {
		m->left = old;
		m->left_at = s->now;
	}
	const char *from = old == PEER_NO_SLOT ? "" : path_word(&m->paths[old]);
	const char *to = !*from ? "" : strcmp(from, path_word(p)) == 0 ? " to a newer " : " to ";
	note(s, level, "path", "%s%s%s: %s", from, to, path_word(p), why);
	m->chosen = slot;
	m->chosen_since = s->now;
	m->sending = true;
	m->path_changes++;
	m->ahead_since = 0;
	m->stale_heard = 0;
	m->handshake_retry = 0;
	m->handshake_tries = 0;
	m->attempt_at = 0; /* what is under way went the other way */
	p->filtered = false;
	p->sent_mark = facts_of(s, slot)->sent;
	bool lost = s->f->attempt && (old == PEER_NO_SLOT ? s->f->usable : m->paths[old].state != PATH_UP);
	if (lost)
		m->handshake_at = 0; /* that one went the dead way, or nowhere */
	act_on(s, PEER_ACT_CHOOSE, &p->ref);
	struct peer_action *a = act(s, PEER_ACT_MTU);
	a->path = p->ref;
	a->size = p->mtu.limit;
	watch_arm(s);
	if (s->f->usable) {
		act_on(s, PEER_ACT_KEEPALIVE, &p->ref); /* shows the far end where we are */
		if (lost && !m->away)
			handshake(s, SIGNAL_REASON_path_dead);
	} else if (!m->away && (slot != PEER_DIRECT || p->state == PATH_UP || s->f->wants)) {
		/* the device's start itself begins one to every endpoint that is known */
		handshake(s, SIGNAL_REASON_path_dead);
	}
}

/* Tunnel packets are proofs, too. */
void absorb_facts(struct step *s)
{
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		struct path *p = &s->m->paths[i];
		const struct tunnel_path_facts *f = facts_of(s, i);

		if (p->ref.kind == PATH_KIND_NONE || !f->last_received || f->last_received <= p->last_tunnel)
			continue;
		if (f->last_received < p->since && !p->last_tunnel && p->state == PATH_CHECKING)
			continue; /* of the path's earlier life */
		p->last_tunnel = f->last_received;
		p->sent_mark = f->sent;
		if (p->filtered && p->keepalive_at > s->now + ms(s->m, 1000)) /* that is news */
			p->keepalive_at = s->now + ms(s->m, 1000);
		if (f->last_received > p->last_proof) {
			p->last_proof = f->last_received;
			if (f->last_received > p->since && p->ready && p->state != PATH_UP)
				path_state(s, i, PATH_UP);
		}
	}
}

/* A tunnel packet came in on it, and ours arrived there as far as the remote tells. */
static bool tunnel_proven(const struct step *s, enum peer_slot slot)
{
	const struct path *p = &s->m->paths[slot];

	return p->last_tunnel > p->tunnel_since && (!p->counts_known || p->far_grew_at > p->tunnel_since);
}

/*
 * The far end sends to us on another path while nothing comes in on ours: it has a reason. At once if ours
 * answers nothing or the far end said that it is stale; else only if it goes on, because two ends that follow
 * each other at the same moment would change places for ever. Of two equal paths the controlling end keeps
 * its own for longer.
 */
void follow(struct step *s)
{
	struct peer_machine *m = s->m;
	enum peer_slot other = PEER_NO_SLOT;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];
	uint64_t here = c ? c->last_tunnel : 0, there = here;

	if (!c ||
	    (m->preference != PEER_PREFER_AUTO && c->ref.kind == PATH_KIND_RELAY && c->state == PATH_UP)) {
		m->ahead_since = 0;
		return;
	}
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		const struct path *p = &m->paths[i];
		bool late = i == m->left && s->now - m->left_at < ms(m, LATE_PACKETS) && !m->stale_heard;

		if (i != m->chosen && p->ready && path_allowed(m, i) && p->last_tunnel > there &&
		    p->last_tunnel > m->chosen_since && !late) {
			other = i;
			there = p->last_tunnel;
		}
	}
	uint64_t quiet = ms(m, FOLLOW_SILENCE) > c->rtt ? ms(m, FOLLOW_SILENCE) : c->rtt;
	uint64_t from = here > m->chosen_since ? here : m->chosen_since;
	if (other == PEER_NO_SLOT || s->now - there > ms(m, FOLLOW_PERSISTENT)) {
		m->ahead_since = 0;
		return;
	}
	if (!m->ahead_since)
		m->ahead_since = s->now;
	bool dead = c->state != PATH_UP || m->stale_heard ||
		    (c->unanswered >= 2 && s->now - c->unanswered_from >= quiet);
	bool equal = path_rank(m, other) >= path_rank(m, m->chosen);
	uint64_t patient =
		dead || (equal && !m->settings.controlling) ? quiet : ms(m, FOLLOW_PERSISTENT) + quiet;
	if (m->settings.controlling && !dead)
		patient += ms(m, 1000);
	uint64_t at = from + patient;
	if (!dead && at < m->ahead_since + quiet)
		at = m->ahead_since + quiet;
	if (s->now < at) {
		if (m->remote_is_weir && !c->unanswered && s->now >= c->last_pong + ms(m, 100))
			ping(s, m->chosen, 0);
		want_turn(s, at);
		return;
	}
	char why[PEER_NOTE_MAX];
	snprintf(why, sizeof(why), "the peer sends there; nothing came in on %s for %llu ms%s", path_word(c),
		 (unsigned long long)shown_ms(s->now - from), m->stale_heard ? ", and it says so, too" : "");
	path_switch(s, other, LOG_NOTICE, why);
}

/* Shows the far end that we would like this path, and asks for its counts of it. */
static void court(struct step *s, enum peer_slot slot)
{
	static const uint16_t pauses[] = {300, 700, 2000, 5000};
	struct path *p = &s->m->paths[slot];

	if (s->now >= p->keepalive_at) {
		unsigned i = p->keepalives < 4 ? p->keepalives : 4;

		act_on(s, PEER_ACT_KEEPALIVE, &p->ref);
		if (s->m->remote_is_weir)
			ping(s, slot, 0);
		p->keepalives += p->keepalives < 255;
		p->keepalive_at = s->now + jitter(s->m, ms(s->m, i < 4 ? pauses[i] : 30000));
	}
	want_turn(s, p->keepalive_at);
}

/* Nothing is proven: where packets have the best chance. */
static enum peer_slot hope(const struct step *s)
{
	const struct peer_machine *m = s->m;
	static const enum peer_slot order[] = {PEER_DIRECT, PEER_RELAY, PEER_RELAY_NEXT, PEER_ICE_NEXT,
					       PEER_ICE};

	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		const struct path *p = &m->paths[order[i]];

		if (p->ready && path_allowed(m, order[i]))
			return order[i];
	}
	return PEER_NO_SLOT;
}

static void choose_nothing(struct step *s)
{
	struct peer_path_ref none = {.kind = PATH_KIND_NONE};

	s->m->chosen = PEER_NO_SLOT;
	if (!s->m->sending)
		return;
	s->m->sending = false;
	act_on(s, PEER_ACT_CHOOSE, &none);
	note(s, LOG_WARN, "path", "no path is left: no endpoint is known and no relay has the peer");
	watch_arm(s);
}

/*
 * Courted for three seconds, and pings pass: did our keepalives arrive, and theirs? Only while the tunnel
 * works elsewhere: keys that are out of step look the same.
 */
static void judge_courted(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	struct path *p = &m->paths[slot];
	const struct path *c = &m->paths[m->chosen];

	if (p->convicted || p->keepalives < COURTED || p->unanswered || !p->counts_known ||
	    p->counts_at < p->last_pong || c->last_tunnel <= p->tunnel_since ||
	    m->watch.state > PEER_WATCH_WAITING)
		return;
	uint64_t sent = facts_of(s, slot)->sent, ours = 0, theirs = 0;
	if (p->far_grew_at <= p->tunnel_since)
		ours = sent - p->out_mark;
	else if (p->last_tunnel <= p->tunnel_since && p->in_growth_at)
		theirs = p->far_sent - p->far_sent_mark;
	if (ours < 3 && theirs < 2)
		return;
	path_filtered(s, slot, ours, theirs);
	note(s, LOG_NOTICE, "path",
	     "%s answers pings and WireGuard does not pass there: %llu packets of %s did not arrive",
	     path_word(p), (unsigned long long)(ours ? ours : theirs), ours ? "ours" : "theirs");
}

/* A better proven path than the working one: it takes over when the tunnel went both ways on it. */
static void consider(struct step *s, enum peer_slot best)
{
	struct peer_machine *m = s->m;
	bool beside = best == PEER_NO_SLOT || best == m->chosen;

	if (beside) { /* the same rank: only a successor built beside it replaces it */
		if (m->chosen == PEER_ICE && path_rank(m, PEER_ICE_NEXT) >= path_rank(m, PEER_ICE))
			best = PEER_ICE_NEXT;
		else
			return;
	}
	const struct path *p = &m->paths[best];
	bool asked = m->preference != PEER_PREFER_AUTO && p->ref.kind == PATH_KIND_RELAY;
	if (!s->f->usable && p->last_pong && !p->filtered) {
		path_switch(s, best, LOG_NOTICE, "it answers, and there are no keys to lose");
	} else if (asked && p->last_pong) {
		path_switch(s, best, LOG_NOTICE, "the user prefers the relay, and it answers");
	} else if (tunnel_proven(s, best)) {
		char why[PEER_NOTE_MAX];

		snprintf(why, sizeof(why), "proven by a tunnel packet each way%s%.0llu%s",
			 p->rtt ? ", answers in " : "", (unsigned long long)shown_ms(p->rtt),
			 p->rtt ? " ms" : "");
		if (path_over_udp(p))
			m->filter = (struct peer_filter){0};
		path_switch(s, best, LOG_NOTICE, why);
	} else if (s->f->usable && !m->away) {
		judge_courted(s, best);
		court(s, best);
	}
}

/* A successor that carries the tunnel becomes the path; what it replaced goes. */
static void settle_successor(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct path *next = &m->paths[PEER_ICE_NEXT], *ice = &m->paths[PEER_ICE];

	if (m->chosen == PEER_ICE_NEXT) {
		uint64_t at = m->chosen_since + ms(m, 1000);
		bool carries = next->last_tunnel > m->chosen_since && next->last_tunnel > ice->last_tunnel;

		if (ice->ref.kind == PATH_KIND_NONE || (carries && s->now >= at))
			agent_stop(s, PEER_ICE);
		else if (carries)
			want_turn(s, at);
	}
	if (m->paths[PEER_RELAY].ref.kind == PATH_KIND_NONE &&
	    m->paths[PEER_RELAY_NEXT].ref.kind != PATH_KIND_NONE)
		path_promote(s, PEER_RELAY_NEXT, PEER_RELAY);
	if (m->chosen == PEER_RELAY_NEXT && m->paths[PEER_RELAY_NEXT].last_tunnel > m->chosen_since &&
	    m->paths[PEER_RELAY].state != PATH_UP)
		path_promote(s, PEER_RELAY_NEXT, PEER_RELAY);
}

/* Only a filtered one is left: what seems to have died before it may only be slow. */
static bool is_last_hope(struct step *s, const struct path *c, enum peer_slot best)
{
	uint64_t at = c ? c->since + ms(s->m, FILTERED_LAST) : 0;

	if (!c || !c->ready || best == s->m->chosen || !s->m->paths[best].filtered || s->now >= at)
		return false;
	want_turn(s, at);
	return true;
}

void choose(struct step *s)
{
	struct peer_machine *m = s->m;
	struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];

	if (c && (!path_allowed(m, m->chosen) || c->ref.kind == PATH_KIND_NONE))
		c = NULL;
	enum peer_slot best = path_best(s, PEER_NO_SLOT);
	if (c && c->state == PATH_UP && path_over_udp(c) && tunnel_proven(s, m->chosen)) {
		c->filtered = c->convicted = false;
		m->filter = (struct peer_filter){0};
	}
	if (c && c->state == PATH_UP && c->ready && !(c->filtered && best != m->chosen)) {
		if (best != PEER_NO_SLOT && path_rank(m, best) <= path_rank(m, m->chosen))
			best = m->chosen;
		consider(s, best);
	} else if (best != PEER_NO_SLOT) {
		struct path *p = &m->paths[best];
		bool filtered = p->filtered; /* so it stays, until the tunnel proves the opposite */
		char why[PEER_NOTE_MAX] = "it is the one that is proven";

		if (p->rtt)
			snprintf(why, sizeof(why), "it is the one that answers, in %llu ms",
				 (unsigned long long)shown_ms(p->rtt));
		if (!is_last_hope(s, c, best)) {
			path_switch(s, best, LOG_NOTICE, why);
			p->filtered = filtered;
		}
	} else if (!c || (s->now >= m->hold_choice && !m->watch.doubt)) {
		enum peer_slot any = hope(s);

		if (any == PEER_NO_SLOT)
			choose_nothing(s);
		else if (any != m->chosen && (!c || !c->ready || c->state == PATH_STALE || !c->last_proof))
			path_switch(s, any, LOG_INFO, "nothing is proven yet; tried first");
	}
	settle_successor(s);
}

/* Where a frame goes: the chosen path if it is up, then others that are, then what is only ready. nth: the
 * next best, so that repeats do not all rely on the same way. */
enum peer_slot carrier(const struct step *s, unsigned nth)
{
	const struct peer_machine *m = s->m;
	enum peer_slot list[PEER_SLOTS];
	unsigned n = 0;

	for (int pass = 0; pass < 3; pass++) {
		for (unsigned i = 0; i < PEER_SLOTS; i++) {
			const struct path *p = &m->paths[i];
			int fits = p->state == PATH_UP ? (i == m->chosen ? 0 : 1) : 2;

			if (p->ready && fits == pass && path_allowed(m, i))
				list[n++] = i;
		}
		if (n && pass == 1)
			break; /* unproven ways only when there is no other */
	}
	return n ? list[nth % n] : PEER_NO_SLOT;
}

struct peer_action *send_on(struct step *s, enum peer_slot slot, enum signal_type type)
{
	struct peer_action *a = act(s, PEER_ACT_SEND);

	a->frame = type;
	a->path = s->m->paths[slot].ref;
	return a;
}

/* The engine numbers direct paths: a newer number than ours is the path as it is now. */
void adopt_direct(struct step *s, const struct peer_path_ref *ref)
{
	struct path *p = &s->m->paths[PEER_DIRECT];

	if (ref->kind != PATH_KIND_DIRECT)
		return;
	if (p->ref.kind != PATH_KIND_NONE && !newer(ref->generation, p->ref.generation))
		return;
	path_begin(s, PEER_DIRECT, ref);
	p->ready = true;
}
