/*
 * The watcher looks at the chosen path and at no other, and is armed anew with each change of it (I9). It
 * fires on evidence only: data unanswered by the tunnel, three pings unanswered by the path, and another path
 * that does answer; or pings that pass while the remote's counts show that WireGuard does not (F2, F41).
 */
#include "peer/internal.h"

#include <stdio.h>
#include <string.h>

#define WORTH_TELLING  50   /* ms */
#define DOUBT_AFTER    200  /* ms of unanswered data before the first ping */
#define FILTERED_AFTER 1500 /* ms of data that does not arrive while pings do */
#define ASTRAY_AFTER   500 /* ms of silence on the path that we send on, while the peer is heard on another */
#define SUSPECT_AGAIN  1500 /* ms between new keys, tried because pings pass and the tunnel does not */
#define FORCED_FOR     2000 /* ms of pings after an event that may have broken the path */

/* ---- in words ---- */

#define WORDS 32

/* "3 packets" */
static const char *counted(char out[WORDS], unsigned long long n, const char *what)
{
	snprintf(out, WORDS, "%llu %s%s", n, what, n == 1 ? "" : "s");
	return out;
}

/* " for 350 ms"; nothing where that would say no more than that it has begun. */
static const char *lasting(char out[WORDS], const struct peer_machine *m, uint64_t since, uint64_t now)
{
	out[0] = '\0';
	if (since && now >= since + ms(m, WORTH_TELLING))
		snprintf(out, WORDS, " for %llu ms", (unsigned long long)shown_ms(now - since));
	return out;
}

const char *peer_watch_name(enum peer_watch w)
{
	static const char *const names[] = {"off", "resting", "waiting", "probing", "fired"};

	return (unsigned)w <= PEER_WATCH_FIRED ? names[w] : "?";
}

void watch_arm(struct step *s)
{
	struct peer_machine *m = s->m;

	m->watch = (struct watcher){.armed = s->now,
				    .state = m->chosen == PEER_NO_SLOT ? PEER_WATCH_OFF : PEER_WATCH_RESTING};
}

/* Something happened that may have broken the path: ask it now, traffic or not. */
void watch_force(struct step *s)
{
	s->m->watch.forced = s->now + ms(s->m, FORCED_FOR);
}

static void begin_probing(struct step *s)
{
	struct peer_machine *m = s->m;

	m->watch.state = PEER_WATCH_PROBING;
	m->watch.probe_from = s->now;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		m->paths[i].unanswered = 0;
		m->paths[i].checks = 0;
		m->paths[i].in_growth_at = m->paths[i].out_growth_at = 0;
	}
	if (m->remote_is_weir)
		ping_all(s);
}

/* The chosen path is dead or filtered, and `to` is not. */
static void fire(struct step *s, enum peer_slot to, const char *evidence)
{
	struct peer_machine *m = s->m;
	enum peer_slot old = m->chosen;
	struct path *c = &m->paths[old];

	path_state(s, old, PATH_STALE);
	tunnel_timed_out(s);
	if (c->ref.kind == PATH_KIND_RELAY)
		relay_doubt(s, old);
	enum path_kind about = c->ref.kind;
	path_switch(s, to, LOG_WARN, evidence);
	struct peer_action *a = send_on(s, to, SIGNAL_STALE);
	a->about = about;
	a->reason = SIGNAL_REASON_path_dead;
	if (!direct_is_up(m))
		ice_soon(s, SIGNAL_REASON_tunnel_timeout, ms(m, 100));
}

/*
 * The best other path that answered since the doubt began, and since the chosen one does not: what probes
 * after an event brought back before that says nothing about a fault that takes both.
 */
static enum peer_slot answering(const struct step *s)
{
	const struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	enum peer_slot best = PEER_NO_SLOT;
	uint64_t from = m->watch.probe_from;

	if (c->unanswered && c->unanswered_from > from)
		from = c->unanswered_from;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (i == m->chosen || !path_rank(m, i) || m->paths[i].last_pong < from ||
		    m->paths[i].filtered)
			continue;
		if (best == PEER_NO_SLOT || path_rank(m, i) > path_rank(m, best))
			best = i;
	}
	return best;
}

/* Pings pass. Does the tunnel? */
static bool filtered(struct step *s, bool *outward)
{
	struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	uint64_t base = m->watch.doubt, wait = ms(m, FILTERED_AFTER) + c->rtt;

	*outward = true;
	if (!c->counts_known || c->last_pong < m->watch.probe_from)
		return false;
	uint64_t from = c->far_grew_at > base ? c->far_grew_at : base;
	if (base && m->watch.packets > 1)
		want_turn(s, s->now < from + wait ? from + wait : 0);
	if (base && m->watch.packets > 1 && s->now >= from + wait && c->counts_at >= from + wait - ms(m, 500))
		return true;
	if (c->out_growth_at && s->now >= c->out_growth_at + wait &&
	    c->counts_at >= c->out_growth_at + ms(m, 500))
		return true;
	*outward = false;
	return c->in_growth_at && s->now >= c->in_growth_at + wait &&
	       c->counts_at >= c->in_growth_at + ms(m, 500);
}

/*
 * Pings pass, and what the tunnel sends does not count at the other end: before the path is blamed, the keys
 * are. After an outage one end may hold keys that the other has dropped; WireGuard itself would find out
 * after 15 s.
 */
static void suspect_keys(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	uint64_t base = m->watch.doubt, wait = ms(m, 600) + c->rtt;
	uint64_t from = c->far_grew_at > base ? c->far_grew_at : base;
	uint64_t again = m->watch.shook_at ? m->watch.shook_at + ms(m, SUSPECT_AGAIN) : 0;
	bool out = base && m->watch.packets > 1 && c->counts_at >= from + ms(m, 300) + c->rtt &&
		   s->now >= from + wait;
	bool counted = (c->in_growth_at && s->now >= c->in_growth_at + ms(m, 600)) ||
		       (c->out_growth_at && s->now >= c->out_growth_at + ms(m, 600));

	if (base && s->now < from + wait)
		want_turn(s, from + wait);
	if (!c->counts_known || c->last_pong < m->watch.probe_from || (!out && !counted))
		return;
	if (s->now < again) {
		want_turn(s, again);
		return;
	}
	if (!handshake(s, SIGNAL_REASON_tunnel_timeout)) {
		want_turn(s, s->now + ms(m, 300));
		return;
	}
	if (!m->watch.shook_at)
		note(s, LOG_INFO, "watcher",
		     "%s answers pings and the tunnel's packets do not count there: new keys are tried",
		     path_word(c));
	m->watch.shook_at = s->now;
}

static void judge_filter(struct step *s)
{
	struct peer_machine *m = s->m;
	struct path *c = &m->paths[m->chosen];
	char why[PEER_NOTE_MAX], count[WORDS], duration[WORDS];
	const char *whose;
	bool outward;

	if (!filtered(s, &outward))
		return;
	enum peer_slot to = answering(s);
	uint64_t lost = outward ? facts_of(s, m->chosen)->sent - c->out_mark : c->far_sent - c->far_sent_mark;
	uint64_t since = !outward ? c->in_growth_at : m->watch.doubt ? m->watch.doubt : c->out_growth_at;
	whose = outward ? "ours" : "theirs";
	snprintf(why, sizeof(why), "WireGuard does not pass on %s though pings do: %s%s%s did not arrive%s",
		 path_word(c), lost ? counted(count, lost, "packet") : "", lost ? " of " : "", whose,
		 lasting(duration, m, since, s->now));
	if (to != PEER_NO_SLOT) {
		path_filtered(s, m->chosen, outward ? lost : 0, outward ? 0 : lost);
		fire(s, to, why);
		return;
	}
	if (m->watch.state != PEER_WATCH_FIRED)
		note(s, LOG_WARN, "watcher", "%s; no other path answers", why);
	m->watch.state = PEER_WATCH_FIRED;
}

/* Why the path in use is doubted: what was seen before its pings stayed unanswered. */
static void doubt_words(const struct step *s, char out[100])
{
	const struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	char count[WORDS], duration[WORDS];

	snprintf(out, 100, "the network changed");
	if (m->stale_heard)
		snprintf(out, 100, "the peer says that nothing comes in from us");
	else if (c->out_growth_at || c->in_growth_at)
		snprintf(out, 100, "the counts of both ends differ");
	if (m->watch.doubt)
		snprintf(out, 100, "%s%snothing came back%s",
			 m->watch.packets ? counted(count, m->watch.packets, "packet") : "",
			 m->watch.packets ? " sent and " : "", lasting(duration, m, m->watch.doubt, s->now));
}

/* The path in use is dead, and no other one answers. */
static void nobody_answers(struct step *s, const char *evidence)
{
	struct peer_machine *m = s->m;
	struct path *c = &m->paths[m->chosen];
	/* it may have fired for a filter before, when pings passed */
	bool died = c->state == PATH_UP && c->last_proof < c->unanswered_from;

	if (m->watch.state == PEER_WATCH_FIRED && !died)
		return;
	note(s, LOG_WARN, "watcher", "%s: %s, %u pings unanswered, and no other path answers", path_word(c),
	     evidence, c->unanswered);
	path_state(s, m->chosen, PATH_STALE);
	tunnel_timed_out(s);
	/* asked as often, and as silent: none to be tried first */
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (m->paths[i].state == PATH_UP && m->paths[i].unanswered >= 3 &&
		    m->paths[i].last_proof < m->watch.probe_from)
			path_state(s, i, PATH_STALE);
		if (m->paths[i].ref.kind == PATH_KIND_RELAY && m->paths[i].state == PATH_STALE)
			relay_doubt(s, i);
	}
	m->watch.state = PEER_WATCH_FIRED;
}

/* Three pings in a row without an answer, for at least 300 ms and three round trips. */
static void judge_silence(struct step *s)
{
	struct peer_machine *m = s->m;
	struct path *c = &m->paths[m->chosen];
	/* Tunnel packets that still come in excuse a few lost pings, no long row of them: then our way out is
	 * dead. */
	bool excused = c->last_tunnel > c->unanswered_from && c->unanswered < 6;
	uint64_t from = excused ? c->last_tunnel : c->unanswered_from;
	uint64_t at = from + patience(m, c);
	enum peer_slot to = answering(s);

	if (!c->unanswered) {
		m->watch.fires_at = 0;
		return;
	}
	m->watch.fires_at = at;
	/* how slow a path that never answered may be is not known: one that answers is better after 300 ms */
	if (!c->rtt && to != PEER_NO_SLOT)
		at = from + ms(m, 300);
	/* a round trip that was long once (lateness, a queue) excuses no long row of lost pings */
	uint64_t most = c->rtt > ms(m, 1000) ? c->rtt + ms(m, 500) : ms(m, 1500);
	if (c->unanswered >= 6 && at > from + most)
		at = from + most;
	if (s->now < at || c->unanswered < 3) {
		want_turn(s, at);
		return;
	}
	char why[PEER_NOTE_MAX], evidence[100];
	doubt_words(s, evidence);
	if (to == PEER_NO_SLOT) {
		nobody_answers(s, evidence);
		return;
	}
	snprintf(why, sizeof(why), "%s, %u pings unanswered; %s answers in %llu ms", evidence, c->unanswered,
		 path_word(&m->paths[to]), (unsigned long long)shown_ms(m->paths[to].rtt));
	fire(s, to, why);
}

static void rest(struct step *s)
{
	s->m->watch.state = PEER_WATCH_RESTING;
	s->m->watch.shook_at = 0;
	s->m->watch.doubt = s->m->watch.probe_from = s->m->watch.fires_at = 0;
}

/*
 * We send on the chosen path, and whatever answers comes in on another: then WireGuard calls all of it
 * answered, and nobody would learn that our way out is dead. Since when, or 0.
 */
static uint64_t astray_since(const struct step *s)
{
	const struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	const struct tunnel_path_facts *f = facts_of(s, m->chosen);
	uint64_t heard = c->last_tunnel > c->last_pong ? c->last_tunnel : c->last_pong;

	if (heard < m->watch.armed)
		heard = m->watch.armed;
	return f->last_sent > heard && s->f->last_received > heard ? heard + ms(m, ASTRAY_AFTER) : 0;
}

/* Since when something was unanswered that speaks against the chosen path; 0: nothing. */
static uint64_t doubted_since(struct step *s)
{
	const struct peer_machine *m = s->m;
	const struct path *c = &m->paths[m->chosen];
	uint64_t since = s->f->unanswered_since, stray = astray_since(s);

	if (!since && !s->f->usable && s->f->attempt) /* initiations are packets, too */
		since = m->ladder.trouble_since;
	if (stray > s->now)
		want_turn(s, stray);
	else if (stray && (!since || stray < since))
		since = stray;
	if (since && since < m->watch.armed)
		since = m->watch.armed;
	if (since && c->last_tunnel > since) /* e.g. a handshake message: authenticated all the same */
		since = c->last_tunnel;
	return since;
}

void watch(struct step *s)
{
	struct peer_machine *m = s->m;
	struct watcher *w = &m->watch;

	if (m->chosen == PEER_NO_SLOT || m->away) {
		w->state = PEER_WATCH_OFF;
		return;
	}
	if (w->state == PEER_WATCH_OFF)
		watch_arm(s);
	const struct path *c = &m->paths[m->chosen];
	uint64_t since = doubted_since(s), sent = facts_of(s, m->chosen)->sent;
	bool forced = s->now < w->forced || c->out_growth_at || c->in_growth_at;

	w->packets = sent > c->sent_mark ? sent - c->sent_mark : 0;
	if ((!since && !forced) || !m->remote_is_weir) {
		rest(s);
		return;
	}
	if (s->now < w->forced && !since)
		want_turn(s, w->forced);
	w->doubt = since;
	if (w->state != PEER_WATCH_PROBING && w->state != PEER_WATCH_FIRED) {
		uint64_t at = since + ms(m, DOUBT_AFTER);

		w->state = PEER_WATCH_WAITING;
		w->fires_at = at + ms(m, 300);
		if (!forced && s->now < at) {
			want_turn(s, at);
			return;
		}
		begin_probing(s);
	}
	if (since && s->now < since + ms(m, DOUBT_AFTER) &&
	    !forced) { /* answered in between: a new doubt, if any */
		w->state = PEER_WATCH_WAITING;
		want_turn(s, since + ms(m, DOUBT_AFTER));
		return;
	}
	judge_silence(s);
	if (m->chosen == PEER_NO_SLOT || !w->probe_from)
		return;
	if (c->last_pong >= w->probe_from && since)
		mtu_doubt(s, m->chosen);
	if (s->f->usable && !mtu_searching(m, m->chosen) &&
	    (!c->mtu.narrowed || s->now > c->mtu.narrowed + ms(m, FILTERED_AFTER))) {
		suspect_keys(s);
		judge_filter(s);
	}
}

/* What goes unanswered on the path in doubt, and since when; "": nothing but pings does. */
static void unanswered(char *out, size_t size, const struct peer_machine *m)
{
	const struct watcher *w = &m->watch;
	char count[WORDS], duration[WORDS];

	out[0] = '\0';
	if (w->doubt && w->packets)
		snprintf(out, size, "%s of the tunnel unanswered%s", counted(count, w->packets, "packet"),
			 lasting(duration, m, w->doubt, m->now));
	else if (w->doubt)
		snprintf(out, size, "nothing of the tunnel comes in%s",
			 lasting(duration, m, w->doubt, m->now));
}

static void explain_probing(const struct peer_machine *m, const struct path *c, char out[PEER_NOTE_MAX])
{
	bool fired = m->watch.state == PEER_WATCH_FIRED;
	char what[2 * WORDS + 30], pings[WORDS], rtt[WORDS] = "";

	unanswered(what, sizeof(what), m);
	if (c->last_pong >= m->watch.probe_from) {
		if (c->rtt)
			snprintf(rtt, sizeof(rtt), " in %llu ms", (unsigned long long)shown_ms(c->rtt));
		snprintf(out, PEER_NOTE_MAX, "%s answers pings%s%s%s", path_word(c), rtt, *what ? "; " : "",
			 what);
		return;
	}
	snprintf(out, PEER_NOTE_MAX, "%s: %s%s%s%s%s", path_word(c), what, *what ? ", " : "",
		 c->unanswered ? counted(pings, c->unanswered, "ping") : "it is asked by pings",
		 c->unanswered ? " unanswered" : "", fired ? "; no other path answers" : "");
}

void watch_explain(const struct peer_machine *m, char out[PEER_NOTE_MAX])
{
	const struct watcher *w = &m->watch;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];
	char what[2 * WORDS + 30];

	out[0] = '\0';
	if (!c || w->state == PEER_WATCH_OFF) {
		snprintf(out, PEER_NOTE_MAX, "no path to watch");
	} else if (w->state == PEER_WATCH_RESTING) {
		snprintf(out, PEER_NOTE_MAX, "everything sent on %s was answered", path_word(c));
	} else if (w->state == PEER_WATCH_WAITING) {
		unanswered(what, sizeof(what), m);
		snprintf(out, PEER_NOTE_MAX, "%s: %s", path_word(c),
			 *what ? what : "it will be asked by pings");
	} else {
		explain_probing(m, c, out);
	}
}
