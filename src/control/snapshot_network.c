/* The parts of weir-control(7)'s objects that tell of paths, ICE, sessions and relays. No I/O, no clock. */
#include "control/snapshot_network.h"

#include <inttypes.h>
#include <stdio.h>

static void hex_text(char *out, const uint8_t *bytes, size_t len)
{
	bool zero = true;

	for (size_t i = 0; i < len; i++) {
		snprintf(out + 2 * i, 3, "%02x", bytes[i]);
		zero &= bytes[i] == 0;
	}
	if (zero)
		*out = '\0';
}

static void session(struct writer *w, const struct peer_look *l, const struct time_base *t)
{
	char text[2 * SIGNAL_SESSION_LEN + 1];

	writer_name(w, "session");
	writer_open(w, '{');
	hex_text(text, l->local_session, SIGNAL_SESSION_LEN);
	member_text(w, "local", text);
	member_time(w, "localSinceAt", time_base_wall(t, l->local_session_since));
	hex_text(text, l->remote_session, SIGNAL_SESSION_LEN);
	member_text(w, "remote", text);
	member_time(w, "remoteSinceAt", time_base_wall(t, l->remote_session_since));
	member_text(w, "reason", signal_reason_name(l->session_reason));
	member_text(w, "why", signal_reason_text(l->session_reason));
	member_count(w, "offersSent", l->offers_sent);
	member_count(w, "offersReceived", l->offers_received);
	member_count(w, "answersSent", l->answers_sent);
	member_count(w, "answersReceived", l->answers_received);
	member_time(w, "nextOfferAt", time_base_wall(t, l->offer_next));
	writer_close(w, '}');
}

static void path(struct writer *w, const struct engine_path_view *v, const struct time_base *t)
{
	const struct peer_path_view *p = &v->path;

	writer_open(w, '{');
	member_text(w, "kind", path_kind_name(p->ref.kind));
	member_text(w, "state", path_state_name(p->state));
	member_flag(w, "chosen", v->chosen);
	member_count(w, "generation", p->ref.generation);
	member_time(w, "sinceAt", time_base_wall(t, p->since));
	member_text(w, "local", v->local);
	member_text(w, "localType", v->local_type);
	member_text(w, "remote", v->remote);
	member_text(w, "remoteType", v->remote_type);
	member_text(w, "carrier", v->carrier ? v->carrier : "");
	member_duration(w, "rtt", p->rtt);
	writer_name(w, "loss");
	writer_ratio(w, p->loss_permille, 1000);
	member_count(w, "pings", p->pings);
	member_count(w, "pongs", p->pongs);
	member_count(w, "mtu", p->mtu);
	member_count(w, "mtuFailed", p->mtu_failed);
	member_flag(w, "peerOnline", p->peer_online);
	member_time(w, "lastProofAt", time_base_wall(t, p->last_proof));
	member_time(w, "lastTunnelAt", time_base_wall(t, p->last_tunnel));
	member_time(w, "lastSentAt", time_base_wall(t, v->last_sent));
	member_count(w, "sent", v->sent);
	member_count(w, "received", v->received);
	member_count(w, "sentBytes", v->sent_bytes);
	member_count(w, "receivedBytes", v->received_bytes);
	writer_close(w, '}');
}

static void watcher(struct writer *w, const struct peer_look *l, const struct time_base *t)
{
	writer_name(w, "watcher");
	writer_open(w, '{');
	member_text(w, "state", peer_watch_name(l->watch));
	member_text(w, "path", l->watch_slot == PEER_NO_SLOT ? "" : peer_slot_name(l->watch_slot));
	member_time(w, "firesAt", time_base_wall(t, l->watch_fires_at));
	member_text(w, "why", l->watch_why);
	writer_close(w, '}');
}

static void ladder(struct writer *w, const struct peer_look *l, const struct time_base *t)
{
	writer_name(w, "ladder");
	writer_open(w, '{');
	member_text(w, "next", peer_rung_name(l->next_rung));
	member_text(w, "text", l->next_rung == PEER_RUNG_NONE ? "" : peer_rung_text(l->next_rung));
	member_time(w, "dueAt", time_base_wall(t, l->next_rung_at));
	member_flag(w, "held", l->ladder_held);
	member_text(w, "why", l->rung_why);
	writer_name(w, "taken");
	writer_open(w, '{');
	for (unsigned i = PEER_RUNG_NONE + 1; i < PEER_RUNGS; i++)
		if (l->rungs_taken[i])
			member_count(w, peer_rung_name((enum peer_rung)i), l->rungs_taken[i]);
	writer_close(w, '}');
	writer_close(w, '}');
}

static void pair(struct writer *w, const struct ice_pair_view *v)
{
	char text[ADDRESS_TEXT];

	writer_open(w, '{');
	member_text(w, "local", address_format(text, &v->pair.local));
	member_text(w, "localType", ice_candidate_type_name(v->pair.local_type));
	member_text(w, "remote", address_format(text, &v->pair.remote));
	member_text(w, "remoteType", ice_candidate_type_name(v->pair.remote_type));
	member_flag(w, "tcp", v->pair.tcp);
	member_text(w, "state", ice_pair_state_name(v->state));
	snprintf(text, sizeof(text), "%" PRIu64, v->priority);
	member_text(w, "priority", text); /* 64 bits are more than a JSON number holds */
	member_duration(w, "rtt", v->rtt);
	member_count(w, "requests", v->requests);
	member_count(w, "answers", v->answers);
	member_flag(w, "nominated", v->nominated);
	member_flag(w, "selected", v->selected);
	writer_close(w, '}');
}

static void ice(struct writer *w, const struct engine_network_view *v, const struct ice_pair_view *pairs,
		size_t pair_count, const struct time_base *t)
{
	writer_name(w, "ice");
	writer_open(w, '{');
	member_text(w, "state", v->has_agent ? ice_state_name(v->agent.state) : "none");
	member_flag(w, "controlling", v->controlling);
	member_time(w, "sinceAt", v->has_agent ? time_base_wall(t, v->agent.since) : 0);
	member_count(w, "localCandidates", v->has_agent ? v->agent.local_candidates : 0);
	member_count(w, "remoteCandidates", v->has_agent ? v->agent.remote_candidates : 0);
	member_flag(w, "fastSocket", v->has_agent && v->agent.fast);
	member_text(w, "fastSocketError", v->has_agent ? v->agent.fast_error : "");
	member_count(w, "strays", v->has_agent ? v->agent.strays : 0);
	member_count(w, "keepalivesUnanswered", v->has_agent ? v->agent.keepalives_unanswered : 0);
	member_time(w, "retryAt", time_base_wall(t, v->look.direct_retry_at));
	writer_name(w, "pairs");
	writer_open(w, '[');
	for (size_t i = 0; i < pair_count; i++)
		pair(w, &pairs[i]);
	writer_close(w, ']');
	writer_close(w, '}');
}

static void age(struct writer *w, const char *name, uint64_t ns)
{
	if (ns != UINT64_MAX)
		member_duration(w, name, ns);
}

static void report(struct writer *w, const struct signal_report *r, uint64_t at, const struct time_base *t)
{
	writer_name(w, "report");
	writer_open(w, '{');
	member_time(w, "at", time_base_wall(t, at));
	member_time(w, "clock", r->wall);
	member_text(w, "path", path_kind_name((enum path_kind)r->path));
	member_count(w, "mtu", r->mtu);
	member_count(w, "initiationsSent", r->initiations_sent);
	member_count(w, "initiationsReceived", r->initiations_received);
	member_count(w, "responsesSent", r->responses_sent);
	member_count(w, "responsesReceived", r->responses_received);
	member_count(w, "handshakes", r->handshakes);
	member_count(w, "dataSent", r->data_sent);
	member_count(w, "dataReceived", r->data_received);
	member_count(w, "packetsLost", r->packets_lost);
	member_count(w, "rejectedMac1", r->rejected_mac1);
	member_count(w, "rejectedTimestamp", r->rejected_timestamp);
	member_count(w, "rejectedResponse", r->rejected_response);
	member_count(w, "rejectedUnknownIndex", r->rejected_unknown_index);
	member_count(w, "rejectedUndecryptable", r->rejected_undecryptable);
	member_count(w, "rejectedSource", r->rejected_source);
	member_count(w, "rejectedOther", r->rejected_other);
	age(w, "lastReceivedAge", r->last_received_age);
	age(w, "lastHandshakeAge", r->last_handshake_age);
	writer_close(w, '}');
}

static void frames(struct writer *w, const struct engine_network_view *v)
{
	writer_name(w, "frames");
	writer_open(w, '{');
	member_count(w, "sent", v->frames_sent);
	member_count(w, "received", v->frames_received);
	writer_name(w, "rejected");
	writer_open(w, '{');
	for (unsigned i = SIGNAL_NEW_BOOT + 1; i < SIGNAL_VERDICTS; i++)
		if (v->frames_rejected[i])
			member_count(w, signal_verdict_name((enum signal_verdict)i), v->frames_rejected[i]);
	writer_close(w, '}');
	writer_close(w, '}');
}

static const char *preference(enum peer_command c)
{
	return c == PEER_FORCE_RELAY ? "relay-only" : c == PEER_PREFER_RELAY ? "relay" : "auto";
}

void snapshot_network(struct writer *w, const struct engine_network_view *v,
		      const struct ice_pair_view *pairs, size_t pair_count, const struct time_base *t)
{
	const struct peer_look *l = &v->look;

	writer_name(w, "network");
	writer_open(w, '{');
	member_text(w, "mode", peer_mode_name(v->mode));
	member_text(w, "preference", preference(l->preference));
	member_flag(w, "remoteIsWeir", l->remote_is_weir);
	member_text(w, "remoteVersion", v->remote_version);
	member_text(w, "remoteRelay", v->remote_relay);
	member_text(w, "observed", v->observed);
	member_flag(w, "remoteAway", l->remote_away);
	member_time(w, "remoteBackAt", time_base_wall(t, l->remote_back_at));
	member_time(w, "chosenSinceAt", time_base_wall(t, l->chosen_since));
	member_count(w, "pathChanges", l->path_changes);
	member_count(w, "staleResults", l->stale_results);
	member_count(w, "innerMtu", v->inner_mtu);
	writer_name(w, "paths");
	writer_open(w, '[');
	for (unsigned i = 0; i < v->path_count; i++)
		path(w, &v->paths[i], t);
	writer_close(w, ']');
	session(w, l, t);
	watcher(w, l, t);
	ladder(w, l, t);
	ice(w, v, pairs, pair_count, t);
	if (v->has_report)
		report(w, &v->report, v->report_at, t);
	frames(w, v);
	writer_close(w, '}');
}

static void relay(struct writer *w, const struct engine_relay_view *v, const struct time_base *t)
{
	const struct relay_status *s = &v->status;

	writer_open(w, '{');
	member_text(w, "url", s->url);
	member_text(w, "instance", s->instance);
	member_text(w, "role", v->role);
	member_text(w, "state", relay_state_name(s->state));
	member_text(w, "error", s->error);
	member_count(w, "generation", s->generation);
	member_time(w, "sinceAt", time_base_wall(t, s->since));
	member_time(w, "nextTryAt", time_base_wall(t, s->next_try));
	member_duration(w, "rtt", s->rtt);
	member_flag(w, "tls", s->tls);
	member_text(w, "certificate", s->peer_certificate);
	member_count(w, "connections", s->opened);
	member_count(w, "peersUsing", v->peers_using);
	member_count(w, "rxPackets", s->rx_packets);
	member_count(w, "txPackets", s->tx_packets);
	member_count(w, "rxBytes", s->rx_bytes);
	member_count(w, "txBytes", s->tx_bytes);
	member_count(w, "dropped", s->dropped);
	writer_close(w, '}');
}

void snapshot_relays(struct writer *w, const struct engine_relay_view *relays, size_t count,
		     const struct time_base *t)
{
	writer_name(w, "relays");
	writer_open(w, '[');
	for (size_t i = 0; i < count; i++)
		relay(w, &relays[i], t);
	writer_close(w, ']');
}

const struct snapshot_paths *snapshot_paths_take(struct snapshot_paths *s, struct engine_peer *p)
{
	engine_peer_looked_at(p);
	engine_look_network(p, &s->view);
	if (!s->view.has_controller)
		return NULL;
	s->pair_count = engine_look_pairs(p, s->pairs, SNAPSHOT_PAIRS);
	return s;
}
