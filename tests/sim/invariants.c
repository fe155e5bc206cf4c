/* I1 to I11 of src/README, checked at every step of every machine. (I6 is the schedules' own check: chaos.c.)
 */
#include "tests/sim/sim.h"

#include <string.h>

#define OFFERS_A_MINUTE	 12
#define STEPS_A_SECOND	 3000
#define TIMERS_AT_ONCE	 50
#define HEALTHY		 SECONDS(1)
#define ANSWERS		 SECONDS(5)
#define RESTART_PATIENCE MS(250)
#define UNPROVEN	 MS(2500)
#define PARKED		 SECONDS(60)
#define LOST_FOR	 SECONDS(20)

static struct peer_look before, after;
static bool stale; /* as of before the step, which may end the agent itself */

static void breach(struct world *w, const struct remote *r, const char *invariant, const char *what)
{
	world_fail(w, "%s: %c>%c: %s", invariant, node_letter(r->node->number), node_letter(r->peer), what);
}

static bool is_ice(const struct peer_event *ev)
{
	return ev->type >= PEER_EV_ICE_CANDIDATE && ev->type <= PEER_EV_ICE_FAILED;
}

/* Of an agent that was stopped, or of a connection that another has replaced. */
bool event_is_stale(const struct remote *r, const struct peer_event *ev)
{
	if (is_ice(ev))
		return !ice_find((struct remote *)(uintptr_t)r, ev->path.generation);
	if (ev->type == PEER_EV_RELAY || ev->type == PEER_EV_PRESENCE || ev->type == PEER_EV_RELAY_CHECKED)
		return ev->path.id < SERVERS_MAX && r->node->lines[ev->path.id].state == LINE_UP &&
		       ev->path.generation < r->node->lines[ev->path.id].generation;
	return false;
}

bool event_negotiates(const struct peer_event *ev)
{
	return ev->type == PEER_EV_FRAME && !ev->new_boot &&
	       (ev->message->type == SIGNAL_OFFER || ev->message->type == SIGNAL_ANSWER ||
		ev->message->type == SIGNAL_CANDIDATE);
}

static bool needs_look(const struct peer_event *ev)
{
	return event_negotiates(ev) || stale || ev->type == PEER_EV_RELAY ||
	       ev->type == PEER_EV_TUNNEL_TIMEOUT || ev->type == PEER_EV_ICE_SELECTED ||
	       (ev->type == PEER_EV_FRAME && ev->new_boot);
}

void invariants_before(struct world *w, struct remote *r, const struct peer_event *ev,
		       const struct tunnel_facts *f)
{
	(void)w;
	(void)f;
	stale = event_is_stale(r, ev);
	if (needs_look(ev))
		peer_look(r->m, &before);
}

static const struct peer_action *find(const struct peer_actions *out, enum peer_action_type type)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->items[i].type == type)
			return &out->items[i];
	return NULL;
}

static bool same_ref(const struct peer_path_ref *a, const struct peer_path_ref *b)
{
	return a->kind == b->kind && a->id == b->id && a->generation == b->generation;
}

static void check_stale(struct world *w, struct remote *r, const struct peer_actions *out)
{
	for (unsigned i = 0; i < out->count; i++)
		if (out->items[i].type != PEER_ACT_NOTE)
			breach(w, r, "I1", peer_action_name(out->items[i].type));
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		if (!same_ref(&before.paths[i].ref, &after.paths[i].ref) ||
		    before.paths[i].state != after.paths[i].state)
			breach(w, r, "I1", "a stale result changed a path");
	if (before.chosen != after.chosen ||
	    memcmp(before.local_session, after.local_session, SIGNAL_SESSION_LEN) ||
	    memcmp(before.remote_session, after.remote_session, SIGNAL_SESSION_LEN))
		breach(w, r, "I1", "a stale result changed the choice or a session");
}

/* I2: what an offer must not do to a path that works. */
static void check_offer(struct world *w, struct remote *r, const struct peer_event *ev,
			const struct peer_actions *out)
{
	const struct peer_path_view *used;
	const struct peer_action *a;

	if (ev->message->type == SIGNAL_OFFER &&
	    !memcmp(ev->message->session, before.remote_session, SIGNAL_SESSION_LEN) &&
	    find(out, PEER_ACT_AGENT_START))
		breach(w, r, "I2", "an offer of the session that is known already made a new agent");
	if (before.chosen == PEER_NO_SLOT)
		return;
	used = &before.paths[before.chosen];
	if (used->state != PATH_UP || w->now - used->last_proof > HEALTHY)
		return;
	if (after.chosen == PEER_NO_SLOT)
		breach(w, r, "I2", "an offer took a healthy path away");
	else if (!same_ref(&after.paths[after.chosen].ref, &used->ref) &&
		 after.paths[after.chosen].state != PATH_UP)
		breach(w, r, "I2", "an offer replaced a healthy path by one that is not proven");
	a = find(out, PEER_ACT_AGENT_STOP);
	if (a && (used->ref.kind == PATH_KIND_ICE || used->ref.kind == PATH_KIND_TURN) &&
	    a->path.generation == used->ref.generation)
		breach(w, r, "I2", "an offer stopped the agent whose path is in use and healthy");
	if (used->ref.kind == PATH_KIND_RELAY &&
	    (((a = find(out, PEER_ACT_RELAY_REOPEN)) && a->path.id == used->ref.id) ||
	     ((a = find(out, PEER_ACT_RELAY_RELEASE)) && a->path.id == used->ref.id)))
		breach(w, r, "I2", "an offer tore down the relay in use");
	if (find(out, PEER_ACT_DRAIN))
		breach(w, r, "I2", "an offer dropped the keys");
}

/* I8: the connection to a server is shared with all other peers. */
static void check_reopen(struct world *w, struct remote *r, const struct peer_event *ev,
			 const struct peer_action *a)
{
	const struct witness *v = &r->witness;

	if (a->path.id >= SERVERS_MAX || ev->type == PEER_EV_COMMAND)
		return;
	/* What came in before the network changed says nothing about the connection after it. */
	if (v->heard_on_relay[a->path.id] > v->network_at && w->now - v->heard_on_relay[a->path.id] < HEALTHY)
		breach(w, r, "I3", "reopens a relay that the peer was heard on within the last second");
	if (v->check_answered[a->path.id] > v->network_at && w->now - v->check_answered[a->path.id] < ANSWERS)
		breach(w, r, "I8", "reopens a relay connection that answers checks, and others use");
}

static void check_relay(struct world *w, struct remote *r, const struct peer_event *ev,
			const struct peer_actions *out)
{
	if (ev->type == PEER_EV_NETWORK)
		r->witness.network_at = w->now;
	if (ev->type == PEER_EV_RELAY_CHECKED && ev->path.id < SERVERS_MAX)
		r->witness.check_answered[ev->path.id] = ev->up && !stale ? w->now : 0;
	for (unsigned i = 0; i < out->count; i++)
		if (out->items[i].type == PEER_ACT_RELAY_REOPEN)
			check_reopen(w, r, ev, &out->items[i]);
	if (ev->type == PEER_EV_RELAY && ev->up)
		for (unsigned i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++)
			if (same_ref(&before.paths[i].ref, &ev->path) && before.paths[i].state == PATH_UP &&
			    (!same_ref(&after.paths[i].ref, &ev->path) || after.paths[i].state != PATH_UP))
				breach(w, r, "I3", "opening the same relay again changed it");
}

static void check_rotation(struct world *w, struct remote *r, const struct peer_event *ev,
			   const struct peer_actions *out)
{
	struct witness *v = &r->witness;
	static const uint8_t none[SIGNAL_SESSION_LEN];

	if (ev->type == PEER_EV_TUNNEL_TIMEOUT) {
		v->rotate = true;
		v->other_cause = false;
		memcpy(v->dead_session, before.local_session, SIGNAL_SESSION_LEN);
	}
	/* Another cause, later than the timeout, may be named instead. */
	if (ev->type == PEER_EV_NETWORK || ev->type == PEER_EV_COMMAND ||
	    (ev->type == PEER_EV_FRAME && ev->new_boot))
		v->other_cause = true;
	for (unsigned i = 0; i < out->count; i++) {
		const struct peer_action *a = &out->items[i];

		if (a->type != PEER_ACT_SEND || !v->rotate)
			continue;
		/* The new session may go out as the answer to an offer that crossed ours. */
		if (a->frame == SIGNAL_ANSWER && memcmp(a->session, v->dead_session, SIGNAL_SESSION_LEN))
			v->rotate = false;
		if (a->frame != SIGNAL_OFFER)
			continue;
		v->rotate = false;
		if (memcmp(v->dead_session, none, sizeof(none)) &&
		    !memcmp(a->session, v->dead_session, SIGNAL_SESSION_LEN))
			breach(w, r, "I4", "offers the session under which the tunnel timed out");
		if (a->reason != SIGNAL_REASON_tunnel_timeout && !v->other_cause)
			breach(w, r, "I4", "an offer after a tunnel timeout names another reason");
	}
}

static void check_restart(struct world *w, struct remote *r, const struct peer_event *ev,
			  const struct tunnel_facts *f, const struct peer_actions *out)
{
	struct witness *v = &r->witness;

	if (ev->type == PEER_EV_FRAME && ev->new_boot && before.remote_boot &&
	    ev->message->boot != before.remote_boot && ev->message->type != SIGNAL_BYE)
		v->restarted_at = w->now;
	if (find(out, PEER_ACT_HANDSHAKE) || f->last_handshake > v->restarted_at ||
	    ev->type == PEER_EV_STOP || (ev->type == PEER_EV_FRAME && ev->message->type == SIGNAL_BYE))
		v->restarted_at = 0;
	if (v->restarted_at && w->now - v->restarted_at > RESTART_PATIENCE)
		breach(w, r, "I5", "the remote restarted, and no fresh handshake was begun at once");
}

static void check_offers(struct world *w, struct remote *r, const struct peer_event *ev,
			 const struct peer_actions *out)
{
	struct witness *v = &r->witness;
	const unsigned room = sizeof(v->offers) / sizeof(v->offers[0]);

	if (ev->type == PEER_EV_NETWORK || ev->type == PEER_EV_COMMAND)
		v->offers_from = w->now; /* budgets are refilled (I11): not the steady state */
	for (unsigned i = 0; i < out->count; i++) {
		unsigned within = 0;

		if (out->items[i].type != PEER_ACT_SEND || out->items[i].frame != SIGNAL_OFFER)
			continue;
		v->offers[v->offer_count++ % room] = w->now;
		for (unsigned k = 0; k < room && k < v->offer_count; k++)
			within += v->offers[k] >= v->offers_from && w->now - v->offers[k] < SECONDS(60);
		if (within > OFFERS_A_MINUTE)
			breach(w, r, "I7", "more than 12 offers within a minute");
	}
}

static void check_budget(struct world *w, struct remote *r, const struct peer_event *ev,
			 const struct peer_actions *out)
{
	struct witness *v = &r->witness;

	if (out->count >= PEER_ACTIONS_MAX)
		breach(w, r, "I8", "a step has more actions than fit");
	if (w->ahead)
		return;
	if (w->now - v->steps_from > SECONDS(1)) {
		v->steps_from = w->now;
		v->steps = 0;
	}
	if (++v->steps > STEPS_A_SECOND)
		breach(w, r, "I8", "more than 3000 steps within a second");
	if (ev->type != PEER_EV_TIMER)
		return;
	if (v->timer_now != w->now)
		v->timers_now = 0;
	v->timer_now = w->now;
	if (++v->timers_now > TIMERS_AT_ONCE)
		breach(w, r, "I8", "its timer spins");
}

static void check_watcher(struct world *w, struct remote *r, const struct tunnel_facts *f)
{
	if (after.chosen == PEER_NO_SLOT || !f->device_up || !after.remote_is_weir || after.remote_away)
		return;
	if (after.watch != PEER_WATCH_OFF && after.watch_slot != after.chosen)
		breach(w, r, "I9", "the watcher watches another path than the one in use");
	/* One-way traffic is unanswered by its nature; then pongs have to come. A new path is given its time.
	 */
	if (f->unanswered_since && w->now - f->unanswered_since > SECONDS(1) &&
	    w->now - after.chosen_since > SECONDS(1) &&
	    w->now - after.paths[after.chosen].last_proof > UNPROVEN && r->traffic &&
	    (after.watch == PEER_WATCH_OFF || after.watch == PEER_WATCH_RESTING))
		breach(w, r, "I9", "data is unanswered, nothing proves the path, and nobody watches");
}

static void check_parked(struct world *w, struct remote *r, const struct tunnel_facts *f)
{
	uint64_t deadline = peer_deadline(r->m);

	if (deadline && deadline + SECONDS(1) < w->now)
		breach(w, r, "I11", "its deadline is in the past");
	if (!f->device_up || after.remote_away || after.ladder_held || !f->unanswered_since ||
	    w->now - f->unanswered_since < LOST_FOR)
		return;
	if (!deadline || deadline > w->now + PARKED)
		breach(w, r, "I11", "the tunnel is wanted and down, and nothing is planned within a minute");
}

void invariants_after(struct world *w, struct remote *r, const struct peer_event *ev,
		      const struct tunnel_facts *f, const struct peer_actions *out)
{
	const char *text = peer_check(r->m);

	if (text)
		breach(w, r, "machine", text);
	if (ev->type == PEER_EV_STOP)
		return;
	peer_look(r->m, &after);
	if (stale)
		check_stale(w, r, out);
	if (event_negotiates(ev))
		check_offer(w, r, ev, out);
	check_relay(w, r, ev, out);
	check_rotation(w, r, ev, out);
	check_restart(w, r, ev, f, out);
	check_offers(w, r, ev, out);
	check_budget(w, r, ev, out);
	check_watcher(w, r, f);
	check_parked(w, r, f);
}
