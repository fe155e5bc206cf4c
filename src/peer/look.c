/* What others may see of a machine, the names of things, and what must always hold. */
#include "peer/internal.h"

#include <string.h>

const char *peer_slot_name(enum peer_slot s)
{
	static const char *const names[] = {"direct", "ice", "ice-next", "relay", "relay-next", "none"};

	return (unsigned)s <= PEER_SLOTS ? names[s] : "?";
}

const char *peer_mode_name(enum peer_mode m)
{
	static const char *const names[] = {"auto", "plain", "relay-only"};

	return (unsigned)m <= PEER_RELAY_ONLY ? names[m] : "?";
}

const char *peer_event_name(enum peer_event_type t)
{
	static const char *const names[PEER_EVENTS] = {
		"start",	 "stop",	 "timer",	 "settings",	  "endpoint",
		"roamed",	 "arrived",	 "traffic",	 "handshake",	  "tunnel-timeout",
		"frame",	 "relay",	 "presence",	 "relay-checked", "remote-relay",
		"ice-candidate", "ice-gathered", "ice-selected", "ice-failed",	  "network",
		"command",
	};

	return (unsigned)t < PEER_EVENTS ? names[t] : "?";
}

const char *peer_action_name(enum peer_action_type t)
{
	static const char *const names[PEER_ACTIONS] = {
		"send",
		"choose",
		"keepalive",
		"handshake",
		"drain",
		"reset-endpoint",
		"fresh-port",
		"agent-start",
		"agent-remote",
		"agent-candidates",
		"keep-candidates",
		"agent-stop",
		"relay-hold",
		"relay-release",
		"relay-check",
		"relay-reopen",
		"mtu",
		"note",
	};

	return (unsigned)t < PEER_ACTIONS ? names[t] : "?";
}

static void look_path(const struct peer_machine *m, const struct path *p, struct peer_path_view *v)
{
	v->ref = p->ref;
	if (p->turn)
		v->ref.kind = PATH_KIND_TURN;
	v->state = p->state;
	v->since = p->since;
	v->last_proof = p->last_proof;
	v->last_tunnel = p->last_tunnel;
	v->rtt = p->rtt;
	v->pings = p->pings;
	v->pongs = p->pongs;
	v->loss_permille = loss_permille(m, p);
	v->mtu = p->mtu.limit;
	v->mtu_failed = p->mtu.failed;
	v->filtered = p->filtered || (p == &m->paths[m->chosen < PEER_SLOTS ? m->chosen : 0] &&
				      m->watch.state == PEER_WATCH_FIRED && m->watch.probe_from &&
				      p->last_pong >= m->watch.probe_from);
	v->counts_at = p->counts_known ? p->counts_at : 0;
	v->far_sent = p->far_sent;
	v->far_received = p->far_received;
	for (unsigned i = 0; i < RELAYS_KNOWN && p->ref.kind == PATH_KIND_RELAY; i++)
		v->peer_online |=
			m->relays[i].used && m->relays[i].server == p->ref.id && m->relays[i].online;
}

static uint64_t next_offer(const struct peer_machine *m)
{
	for (int i = 0; i < 2; i++) {
		if (m->agents[i].generation && !m->agents[i].paired && m->agents[i].offer_at)
			return m->agents[i].offer_at;
	}
	return m->retry_at;
}

void peer_glance(const struct peer_machine *m, struct peer_look *out)
{
	memset(out, 0, sizeof(*out));
	out->chosen = m->chosen;
	out->chosen_since = m->chosen_since;
	out->preference = m->preference;
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		look_path(m, &m->paths[i], &out->paths[i]);
	out->remote_is_weir = m->remote_is_weir;
	out->remote_boot = m->remote_boot;
	out->remote_away = m->away;
	out->remote_back_at = m->back_at;
	memcpy(out->local_session, m->session, sizeof(out->local_session));
	memcpy(out->remote_session, m->remote_session, sizeof(out->remote_session));
	out->local_session_since = m->session_since;
	out->remote_session_since = m->remote_session_since;
	out->session_reason = m->session_reason;
	out->offer_next = next_offer(m);
	out->offers_sent = m->offers_sent;
	out->offers_received = m->offers_received;
	out->answers_sent = m->answers_sent;
	out->answers_received = m->answers_received;
	out->remote_no_ice = m->remote_no_ice;
	out->answers_astray = m->answers_astray;
	out->candidates_astray = m->candidates_astray;
	out->astray_at = m->astray_at;
	memcpy(out->astray_session, m->astray_session, sizeof(out->astray_session));
	out->direct_retry_at = m->retry_at;
	out->remote_relay = m->remote_relay;
	out->filter = m->filter;
	for (unsigned i = 0; i < PEER_SLOTS && m->filter.paths; i++) {
		if (m->paths[i].filtered && m->paths[i].last_pong > out->filter.at)
			out->filter.at = m->paths[i].last_pong;
	}

	out->watch = m->watch.state;
	out->watch_slot = m->chosen;
	out->watch_fires_at = m->watch.fires_at;

	out->next_rung = m->ladder.trouble_since ? m->ladder.next : PEER_RUNG_NONE;
	out->next_rung_at = m->ladder.held ? 0 : m->ladder.next_at;
	out->ladder_held = m->ladder.held;
	for (unsigned i = 0; i < PEER_RUNGS; i++)
		out->rungs_taken[i] = m->ladder.taken[i];
	out->stale_results = m->stale_results;
	out->path_changes = m->path_changes;
}

void peer_look(const struct peer_machine *m, struct peer_look *out)
{
	peer_glance(m, out);
	watch_explain(m, out->watch_why);
	ladder_explain(m, out->rung_why);
}

static const char *check_paths(const struct peer_machine *m)
{
	static const enum path_kind kinds[PEER_SLOTS] = {PATH_KIND_DIRECT, PATH_KIND_ICE, PATH_KIND_ICE,
							 PATH_KIND_RELAY, PATH_KIND_RELAY};

	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		const struct path *p = &m->paths[i];

		if (p->ref.kind != PATH_KIND_NONE && p->ref.kind != kinds[i])
			return "a path is in a slot of another kind";
		if (p->ref.kind == PATH_KIND_NONE && (p->state != PATH_NONE || p->ready))
			return "an empty slot has a state";
		if (p->state == PATH_UP && !p->last_proof)
			return "a path is up without any proof";
		if (p->rtt > 3600 * NS_PER_SEC)
			return "an RTT of more than an hour";
	}
	for (int i = 0; i < 2; i++) {
		const struct path *p = &m->paths[PEER_ICE + i];

		if (m->agents[i].generation != p->ref.generation ||
		    !m->agents[i].generation != (p->ref.kind == PATH_KIND_NONE))
			return "an ICE agent and its path are not of the same generation";
		if (newer(m->agents[i].generation, m->agent_generation) && m->agents[i].generation)
			return "an agent of a generation that is yet to come";
	}
	return NULL;
}

static const char *check_relays(const struct peer_machine *m)
{
	for (enum peer_slot i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++) {
		const struct path *p = &m->paths[i];
		bool found = false;

		if (p->ref.kind == PATH_KIND_NONE)
			continue;
		for (unsigned k = 0; k < RELAYS_KNOWN; k++) {
			const struct relay *r = &m->relays[k];

			found |= r->used && r->up && r->server == p->ref.id &&
				 r->generation == p->ref.generation;
		}
		if (!found)
			return "a relay path over a server connection that is not up (I3)";
	}
	return NULL;
}

const char *peer_check(const struct peer_machine *m)
{
	const char *wrong = check_paths(m);

	if (!wrong)
		wrong = check_relays(m);
	if (wrong)
		return wrong;
	if (m->overflow)
		return "more actions in one step than there is room for";
	if (m->chosen > PEER_NO_SLOT)
		return "the chosen slot is no slot";
	if (m->chosen != PEER_NO_SLOT && m->paths[m->chosen].ref.kind == PATH_KIND_NONE)
		return "the chosen slot is empty";
	if (!m->started || m->settings.mode == PEER_PLAIN)
		return NULL;
	if (m->chosen != PEER_NO_SLOT && !m->paths[m->chosen].ready)
		return "the chosen path takes no datagrams";
	if (m->chosen != PEER_NO_SLOT && !path_allowed(m, m->chosen))
		return "the chosen path is not allowed by mode or preference";
	if (m->chosen != PEER_NO_SLOT && m->watch.state == PEER_WATCH_OFF && !m->away)
		return "nobody watches the chosen path (I9)";
	if (m->offers.ahead > m->now + ms(m, 8 * 7600) || m->answers.ahead > m->now + ms(m, 8 * 7600))
		return "more offers or answers than 12 a minute (I7)";
	for (int i = 0; i < PEER_RUNGS; i++) {
		if (m->ladder.budget[i] > 20)
			return "a rung with more budget than there is";
	}
	if (m->wanted && !m->works && !m->away && !m->ladder.held &&
	    (!m->deadline || m->deadline > m->now + ms(m, 20000)))
		return "the tunnel is wanted and does not work, and nothing is due for 20 s (I6, I11)";
	if (m->deadline && m->deadline <= m->now)
		return "the deadline is in the past";
	return NULL;
}
