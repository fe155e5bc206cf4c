/* The members "network" of a peer and "relays" of the device into the view's structs. */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tui/json_get.h"

static void get_path(struct net_path *p, const json_t *o)
{
	TEXT(o, "kind", p->kind);
	TEXT(o, "state", p->state);
	TEXT(o, "local", p->local);
	TEXT(o, "localType", p->local_type);
	TEXT(o, "remote", p->remote);
	TEXT(o, "remoteType", p->remote_type);
	TEXT(o, "carrier", p->carrier);
	p->chosen = get_bool(o, "chosen");
	p->peer_online = get_bool(o, "peerOnline");
	p->since = get_number(o, "sinceAt");
	p->rtt = get_number(o, "rtt");
	p->loss = get_number(o, "loss");
	p->last_proof = get_number(o, "lastProofAt");
	p->last_tunnel = get_number(o, "lastTunnelAt");
	p->generation = get_unsigned(o, "generation");
	p->mtu = get_unsigned(o, "mtu");
	p->mtu_failed = get_unsigned(o, "mtuFailed");
	p->pings = get_unsigned(o, "pings");
	p->pongs = get_unsigned(o, "pongs");
	p->sent = get_count(o, "sent");
	p->received = get_count(o, "received");
}

static void get_pair(struct net_pair *p, const json_t *o)
{
	TEXT(o, "local", p->local);
	TEXT(o, "localType", p->local_type);
	TEXT(o, "remote", p->remote);
	TEXT(o, "remoteType", p->remote_type);
	TEXT(o, "state", p->state);
	p->nominated = get_bool(o, "nominated");
	p->selected = get_bool(o, "selected");
	p->tcp = get_bool(o, "tcp");
	p->rtt = get_number(o, "rtt");
	p->requests = get_unsigned(o, "requests");
	p->answers = get_unsigned(o, "answers");
}

static void get_session(struct network *n, const json_t *o)
{
	TEXT(o, "local", n->local_session);
	TEXT(o, "remote", n->remote_session);
	TEXT(o, "why", n->session_why);
	n->local_session_since = get_number(o, "localSinceAt");
	n->remote_session_since = get_number(o, "remoteSinceAt");
	n->next_offer = get_number(o, "nextOfferAt");
	n->offers_sent = get_unsigned(o, "offersSent");
	n->offers_received = get_unsigned(o, "offersReceived");
	n->answers_sent = get_unsigned(o, "answersSent");
	n->answers_received = get_unsigned(o, "answersReceived");
}

static void get_ice(struct network *n, const json_t *o)
{
	const json_t *pairs = json_object_get(o, "pairs");
	size_t i;
	json_t *item;

	TEXT(o, "state", n->ice);
	TEXT(o, "fastSocketError", n->fast_error);
	n->controlling = get_bool(o, "controlling");
	n->fast = get_bool(o, "fastSocket");
	n->ice_since = get_number(o, "sinceAt");
	n->ice_retry = get_number(o, "retryAt");
	n->local_candidates = get_unsigned(o, "localCandidates");
	n->remote_candidates = get_unsigned(o, "remoteCandidates");
	n->pair_total = (unsigned)json_array_size(pairs);
	json_array_foreach((json_t *)pairs, i, item)
	{
		if (n->pair_count == NETWORK_PAIRS)
			break;
		get_pair(&n->pairs[n->pair_count++], item);
	}
}

static void get_recovery(struct network *n, const json_t *o)
{
	const json_t *watcher = json_object_get(o, "watcher"), *ladder = json_object_get(o, "ladder");

	TEXT(watcher, "state", n->watch);
	TEXT(watcher, "path", n->watch_path);
	TEXT(watcher, "why", n->watch_why);
	n->watch_fires = get_number(watcher, "firesAt");
	TEXT(ladder, "next", n->rung);
	TEXT(ladder, "text", n->rung_text);
	TEXT(ladder, "why", n->rung_why);
	n->rung_due = get_number(ladder, "dueAt");
	n->ladder_held = get_bool(ladder, "held");
}

static void get_report(struct network *n, const json_t *o)
{
	struct net_report *r = &n->report;

	n->has_report = json_is_object(o);
	r->at = get_number(o, "at");
	r->clock = get_number(o, "clock");
	r->last_received_age = json_object_get(o, "lastReceivedAge") ? get_number(o, "lastReceivedAge") : -1;
	TEXT(o, "path", r->path);
	r->initiations_received = get_count(o, "initiationsReceived");
	r->responses_sent = get_count(o, "responsesSent");
	r->handshakes = get_count(o, "handshakes");
	r->data_sent = get_count(o, "dataSent");
	r->data_received = get_count(o, "dataReceived");
	r->rejected_mac1 = get_count(o, "rejectedMac1");
	r->rejected_timestamp = get_count(o, "rejectedTimestamp");
	r->rejected_response = get_count(o, "rejectedResponse");
	r->rejected_unknown_index = get_count(o, "rejectedUnknownIndex");
	r->rejected_source = get_count(o, "rejectedSource");
}

void json_network(struct peer *p, const json_t *o)
{
	const json_t *paths = json_object_get(o, "paths");
	struct network *n = p->network;
	size_t i;
	json_t *item;

	if (!json_is_object(o)) {
		free(n);
		p->network = NULL;
		return;
	}
	if (!n)
		n = p->network = xmalloc(sizeof(*n));
	memset(n, 0, sizeof(*n));
	TEXT(o, "mode", n->mode);
	TEXT(o, "preference", n->preference);
	TEXT(o, "remoteVersion", n->version);
	TEXT(o, "remoteRelay", n->remote_relay);
	TEXT(o, "observed", n->observed);
	n->remote_is_weir = get_bool(o, "remoteIsWeir");
	n->remote_away = get_bool(o, "remoteAway");
	n->remote_back = get_number(o, "remoteBackAt");
	n->chosen_since = get_number(o, "chosenSinceAt");
	n->path_changes = get_unsigned(o, "pathChanges");
	n->inner_mtu = get_unsigned(o, "innerMtu");
	json_array_foreach((json_t *)paths, i, item)
	{
		if (n->path_count == NETWORK_PATHS)
			break;
		get_path(&n->paths[n->path_count++], item);
	}
	get_session(n, json_object_get(o, "session"));
	get_recovery(n, o);
	get_ice(n, json_object_get(o, "ice"));
	get_report(n, json_object_get(o, "report"));
}

void json_relays(struct data *d, const json_t *list)
{
	size_t i;
	json_t *o;

	d->relays_count = 0;
	json_array_foreach((json_t *)list, i, o)
	{
		struct net_relay *r = &d->relays[d->relays_count];

		if (d->relays_count == DATA_RELAYS)
			break;
		memset(r, 0, sizeof(*r));
		TEXT(o, "url", r->url);
		TEXT(o, "role", r->role);
		TEXT(o, "state", r->state);
		TEXT(o, "error", r->error);
		r->since = get_number(o, "sinceAt");
		r->next_try = get_number(o, "nextTryAt");
		r->rtt = get_number(o, "rtt");
		r->generation = get_unsigned(o, "generation");
		r->peers_using = get_unsigned(o, "peersUsing");
		r->connections = get_unsigned(o, "connections");
		r->dropped = get_count(o, "dropped");
		r->tls = get_bool(o, "tls");
		d->relays_count++;
	}
}

const struct net_path *network_chosen(const struct network *n)
{
	for (unsigned i = 0; n && i < n->path_count; i++)
		if (n->paths[i].chosen)
			return &n->paths[i];
	return NULL;
}
