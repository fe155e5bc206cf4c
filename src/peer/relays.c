/*
 * Which relay servers are held for this peer, where it is online, and the relay path. A server that is up is
 * never closed because somebody asks for it again (I3): a doubt is settled by pings end to end and by a check
 * of the server first.
 */
#include "peer/internal.h"

#include <string.h>

#define SEARCH_AFTER  1000  /* ms that the peer may be missing at our home before other servers are asked */
#define CHECK_EVERY   3000  /* ms between checks of a server in doubt */
#define RELEASE_AFTER 60000 /* ms that an additional server is kept after the relay path is up elsewhere */

struct relay *relay_find(struct peer_machine *m, uint32_t server)
{
	for (unsigned i = 0; i < RELAYS_KNOWN && server != PEER_NO_SERVER; i++) {
		if (m->relays[i].used && m->relays[i].server == server)
			return &m->relays[i];
	}
	return NULL;
}

static void hold(struct step *s, struct relay *r)
{
	struct peer_path_ref ref = {.kind = PATH_KIND_RELAY, .id = r->server};

	if (r->held)
		return;
	r->held = true;
	r->held_at = s->now;
	act_on(s, PEER_ACT_RELAY_HOLD, &ref);
}

static void release(struct step *s, struct relay *r)
{
	struct peer_path_ref ref = {.kind = PATH_KIND_RELAY, .id = r->server};

	for (enum peer_slot i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++) {
		if (s->m->paths[i].ref.kind == PATH_KIND_RELAY && s->m->paths[i].ref.id == r->server)
			path_clear(s, i);
	}
	if (r->held)
		act_on(s, PEER_ACT_RELAY_RELEASE, &ref);
	memset(r, 0, sizeof(*r));
}

static bool configured(const struct peer_machine *m, uint32_t server)
{
	for (unsigned i = 0; i < PEER_RELAYS_MAX; i++) {
		if (m->settings.servers[i] == server)
			return true;
	}
	return server == m->settings.home || server == m->remote_relay;
}

static struct relay *know(struct step *s, uint32_t server)
{
	struct peer_machine *m = s->m;
	struct relay *r = relay_find(m, server);

	for (unsigned i = 0; i < RELAYS_KNOWN && !r && server != PEER_NO_SERVER; i++) {
		if (!m->relays[i].used) {
			r = &m->relays[i];
			*r = (struct relay){.used = true, .server = server};
		}
	}
	return r;
}

void relays_search(struct step *s, uint64_t delay)
{
	s->m->search_at = s->now + delay;
}

/* On START and whenever the settings change. */
void relays_start(struct step *s)
{
	struct peer_machine *m = s->m;

	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		if (m->relays[i].used && !configured(m, m->relays[i].server))
			release(s, &m->relays[i]);
	}
	for (unsigned i = 0; i < PEER_RELAYS_MAX; i++)
		know(s, m->settings.servers[i]);
	struct relay *home = know(s, m->settings.home);
	if (home)
		hold(s, home);
	if (m->settings.servers[0] != PEER_NO_SERVER && m->settings.servers[0] != m->settings.home) {
		struct relay *r =
			know(s, m->settings.servers[0]); /* the peer's configured one, or the first to dial */

		if (r && m->settings.home != PEER_NO_SERVER)
			hold(s, r);
	}
	relays_search(s, ms(m, SEARCH_AFTER));
}

void relays_stop(struct step *s)
{
	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		if (s->m->relays[i].used)
			release(s, &s->m->relays[i]);
	}
}

static enum peer_slot slot_of_server(const struct peer_machine *m, uint32_t server)
{
	for (enum peer_slot i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++) {
		if (m->paths[i].ref.kind == PATH_KIND_RELAY && m->paths[i].ref.id == server)
			return i;
	}
	return PEER_NO_SLOT;
}

void on_relay(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct peer_event *ev = s->ev;
	struct relay *r = relay_find(m, ev->path.id);

	if (!r || newer(r->generation, ev->path.generation)) {
		stale_result(s);
		return;
	}
	if (ev->up && r->up && r->generation == ev->path.generation)
		return; /* the same connection, told again: idempotent */
	enum peer_slot slot = slot_of_server(m, r->server);
	bool same = slot != PEER_NO_SLOT && m->paths[slot].ref.generation == ev->path.generation;
	if (!ev->up && slot != PEER_NO_SLOT && (same || r->generation == ev->path.generation || !r->up)) {
		note(s, m->chosen == slot ? LOG_WARN : LOG_INFO, "relay",
		     "the relay connection is lost; it is dialled again");
		path_clear(s, slot);
	} else if (ev->up && slot != PEER_NO_SLOT && !same) {
		path_clear(s, slot); /* the newer connection replaces; presence fills the slot again */
	}
	r->generation = ev->path.generation;
	r->up = ev->up;
	r->online = false;
	r->alive = ev->up;
	r->check_at = 0;
	if (!m->search_at)
		relays_search(s, ms(m, SEARCH_AFTER));
}

/* The relay path of a server where the peer is: into the free slot, or beside. */
static void place(struct step *s, struct relay *r)
{
	struct peer_machine *m = s->m;
	struct peer_path_ref ref = {.kind = PATH_KIND_RELAY, .id = r->server, .generation = r->generation};
	enum peer_slot slot = slot_of_server(m, r->server);

	if (slot == PEER_NO_SLOT) {
		slot = PEER_RELAY;
		if (m->paths[PEER_RELAY].ref.kind != PATH_KIND_NONE)
			slot = PEER_RELAY_NEXT;
		if (slot == PEER_RELAY_NEXT && m->paths[slot].ref.kind != PATH_KIND_NONE &&
		    m->paths[slot].state == PATH_UP)
			return;
		path_begin(s, slot, &ref);
	}
	struct path *p = &m->paths[slot];
	p->ready = true;
	p->checks = 0;
	p->hellos = 0;
	p->hello_at = 0;
	if (m->remote_is_weir && !m->away)
		ping(s, slot, 0);
}

void on_presence(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct peer_event *ev = s->ev;
	struct relay *r = relay_find(m, ev->path.id);

	if (!r || r->generation != ev->path.generation || !r->up) {
		stale_result(s);
		return;
	}
	enum peer_slot slot = slot_of_server(m, r->server);
	bool was = r->online;
	r->online = ev->up;
	r->online_at = s->now;
	if (ev->up) {
		if (m->away && !m->away_restarts)
			m->away_restarts = true,
			m->away_since = s->now; /* somebody logged in under its key */
		if (!was || slot == PEER_NO_SLOT || m->paths[slot].state != PATH_UP)
			place(s, r);
		return;
	}
	if (slot == PEER_NO_SLOT)
		return;
	note(s, slot == m->chosen ? LOG_WARN : LOG_INFO, "relay",
	     "the relay says that the peer is gone from it");
	path_state(s, slot, PATH_STALE); /* kept, and asked: presence can be late (F34) */
	path_leave(s, slot);
	if (!m->away)
		relays_search(s, ms(m, SEARCH_AFTER));
	if (slot == m->chosen)
		watch_force(s);
}

void on_checked(struct step *s)
{
	struct relay *r = relay_find(s->m, s->ev->path.id);

	if (!r || r->generation != s->ev->path.generation) {
		stale_result(s);
		return;
	}
	r->check_at = 0;
	r->checked_at = s->now;
	r->alive = s->ev->up;
	if (!r->alive)
		note(s, LOG_NOTICE, "relay", "the relay does not answer a check: its connection is dead");
	else if (s->m->ladder.trouble_since)
		relays_search(
			s,
			ms(s->m, 100)); /* the server lives and the peer is silent there: perhaps elsewhere */
}

void on_remote_relay(struct step *s)
{
	struct peer_machine *m = s->m;
	uint32_t old = m->remote_relay;

	m->remote_relay = s->ev->path.id;
	if (old == m->remote_relay)
		return;
	struct relay *r = know(s, m->remote_relay);
	if (r && m->paths[PEER_RELAY].state != PATH_UP)
		hold(s, r);
}

static void check(struct step *s, struct relay *r, uint64_t every)
{
	struct peer_path_ref ref = {.kind = PATH_KIND_RELAY, .id = r->server, .generation = r->generation};
	uint64_t last = r->check_at > r->checked_at ? r->check_at : r->checked_at;

	if (!r->up || (last && s->now < last + ms(s->m, every)))
		return;
	r->check_at = s->now;
	act_on(s, PEER_ACT_RELAY_CHECK, &ref);
}

void relay_doubt(struct step *s, enum peer_slot slot)
{
	struct relay *r = relay_find(s->m, s->m->paths[slot].ref.id);

	if (r)
		check(s, r, CHECK_EVERY);
}

/* A connection from an address that is gone is dead without a word. */
void relays_network(struct step *s)
{
	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		if (s->m->relays[i].held)
			check(s, &s->m->relays[i], 1);
	}
}

/*
 * After a network event, three pings end to end are unanswered, nothing else answers, and neither does the
 * server, which has had the time of three round trips: dial anew, without waiting for the check's own
 * timeout. Any answer prevents it.
 */
static void dead_since_network(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	struct path *p = &m->paths[slot];
	struct relay *r = relay_find(m, p->ref.id);

	if (!m->network_at || s->now > m->network_at + ms(m, 2500) || !p->ready || !r || !r->up ||
	    !r->check_at || r->check_at < m->network_at || r->checked_at > m->network_at ||
	    r->reopened_at > m->network_at || p->unanswered < 3 || p->unanswered_from < m->network_at ||
	    p->last_proof >= m->network_at)
		return;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (m->paths[i].last_pong > m->network_at)
			return;
	}
	uint64_t wait = 3 * p->rtt > ms(m, 400) ? 3 * p->rtt : ms(m, 400);
	uint64_t at = r->check_at + wait;
	if (at < p->last_proof + ms(m, 1050)) /* it was heard just before: less is no silence (I3) */
		at = p->last_proof + ms(m, 1050);
	if (r->checked_at &&
	    at < r->checked_at + ms(m, 5100)) /* nor is one that answered others a moment ago (I8) */
		at = r->checked_at + ms(m, 5100);
	if (s->now < at) {
		want_turn(s, at);
		return;
	}
	r->reopened_at = s->now;
	note(s, LOG_NOTICE, "relay",
	     "the network changed %llu ms ago; since then neither the peer (%u pings) nor the relay (a "
	     "check) has answered",
	     (unsigned long long)shown_ms(s->now - m->network_at), p->unanswered);
	act_on(s, PEER_ACT_RELAY_REOPEN, &p->ref);
}

/* Both ways, as far as is known: what only comes in is of no use to us. */
static bool some_path_works(const struct step *s)
{
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		if (path_rank(s->m, i) && !path_is_mute(s, &s->m->paths[i]))
			return true;
	return false;
}

/* The tunnel is wanted, and no path works: a connection that only looks alive would keep the peer's presence
 * from us. */
static void check_all(struct step *s)
{
	struct peer_machine *m = s->m;
	uint64_t from = m->ladder.trouble_since + ms(m, 300);

	if (!m->ladder.trouble_since || !m->wanted || m->works || some_path_works(s))
		return;
	if (s->now >= from) {
		for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
			if (m->relays[i].held)
				check(s, &m->relays[i], 1200);
		}
		from = s->now + ms(m, 400);
	}
	want_turn(s, from);
}

/* The peer speaks to us over a server: that says more than the server's word about its presence. */
void relay_frame(struct step *s)
{
	struct relay *r = relay_find(s->m, s->ev->path.id);

	if (s->ev->path.kind != PATH_KIND_RELAY || !r || !r->up || r->generation != s->ev->path.generation)
		return;
	r->online = true;
	place(s, r);
}

/* Another server where the peer is online, for the slot beside; the controlling end's home first. */
bool relay_next(struct step *s, bool only_look)
{
	struct peer_machine *m = s->m;
	uint32_t liked = m->settings.controlling ? m->settings.home : m->remote_relay;
	struct relay *best = NULL;

	if (m->paths[PEER_RELAY_NEXT].ref.kind != PATH_KIND_NONE &&
	    m->paths[PEER_RELAY_NEXT].state != PATH_STALE)
		return false;
	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		struct relay *r = &m->relays[i];

		if (r->used && r->up && r->online && slot_of_server(m, r->server) == PEER_NO_SLOT &&
		    (!best || r->server == liked))
			best = r;
	}
	if (best && !only_look)
		place(s, best);
	return best;
}

/* What comes in over a server shows that the peer is there, not that the server passes on what we send. */
static bool unheard(const struct step *s, const struct path *p)
{
	return p->ready && p->unanswered >= 6 && s->now >= p->unanswered_from + patience(s->m, p);
}

static void search(struct step *s)
{
	struct peer_machine *m = s->m;

	for (enum peer_slot i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++) {
		const struct relay *r = relay_find(m, m->paths[i].ref.id);

		if (m->paths[i].ref.kind == PATH_KIND_RELAY && m->paths[i].state != PATH_STALE && r &&
		    r->online && !unheard(s, &m->paths[i])) {
			m->search_at = 0;
			return;
		}
	}
	if (s->now < m->search_at) {
		want_turn(s, m->search_at);
		return;
	}
	m->search_at = 0;
	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		if (m->relays[i].used)
			hold(s, &m->relays[i]);
	}
}

/* What was held to find the peer is let go when it is found. */
static void let_go(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct path *p = &m->paths[PEER_RELAY];

	if (p->ref.kind == PATH_KIND_NONE || p->state != PATH_UP || unheard(s, p))
		return;
	uint64_t at = p->since + ms(m, RELEASE_AFTER);
	for (unsigned i = 0; i < RELAYS_KNOWN; i++) {
		struct relay *r = &m->relays[i];

		if (!r->held || r->server == m->settings.home ||
		    slot_of_server(m, r->server) != PEER_NO_SLOT || r->server == m->settings.servers[0] ||
		    r->server == m->remote_relay)
			continue;
		if (s->now < at) {
			want_turn(s, at);
			continue;
		}
		struct peer_path_ref ref = {.kind = PATH_KIND_RELAY, .id = r->server};
		act_on(s, PEER_ACT_RELAY_RELEASE, &ref);
		*r = (struct relay){.used = true, .server = r->server};
	}
}

void relays(struct step *s)
{
	struct peer_machine *m = s->m;

	bool lost = unheard(s, &m->paths[PEER_RELAY]);
	if (lost && m->chosen == PEER_RELAY && m->remote_is_weir && !m->away)
		relays_search(s, 0);
	if (m->search_at)
		search(s);
	if (m->paths[PEER_RELAY].ref.kind == PATH_KIND_NONE || m->paths[PEER_RELAY].state == PATH_STALE ||
	    lost)
		relay_next(s, false);
	let_go(s);
	check_all(s);
	for (enum peer_slot i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++) {
		struct path *p = &m->paths[i];

		dead_since_network(s, i);
		if (p->ready && p->unanswered >= 3 && s->now >= p->unanswered_from + patience(m, p) &&
		    m->ladder.trouble_since && m->remote_is_weir)
			relay_doubt(s, i);
	}
}
