/*
 * Sealed control frames: found by their pair id, opened, handed to the controller; composed from what a
 * controller orders and what only the engine knows (boot, credentials, candidates, counts, addresses, the
 * report), and sent.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"
#include "engine/tap_hooks.h"

#define NAMED_INTERVAL	  (600 * NS_PER_SEC) /* in which a peer may name so many relays that are new to us */
#define NAMED_MOST	  4
#define UNKNOWN_INTERVAL  (10 * NS_PER_SEC)
#define CANDIDATES_BY_UDP 6 /* keeps a frame below SIGNAL_DATAGRAM_MAX */
#define DIRECT_SILENT	  (2 * NS_PER_SEC)

/* ---- the pair ---- */

/* What was heard of the remote's boots stays heard: an old frame is no newer after a start of our own. */
static void keep_guard(struct signal_pair *fresh, const struct signal_pair *old)
{
	fresh->remote_boot = old->remote_boot;
	fresh->remote_started = old->remote_started;
	fresh->newest = old->newest;
	memcpy(fresh->window, old->window, sizeof(fresh->window));
}

bool frames_init(struct peer_paths *c)
{
	struct paths *s = c->paths;
	struct signal_pair fresh;
	struct key shared, own, peer;

	if (wg_peer_shared_secret(c->peer->wg, &shared))
		return false;
	wg_get_public_key(s->engine->wg, &own);
	wg_peer_public_key(c->peer->wg, &peer);
	signal_pair_init(&fresh, &shared, &own, &peer, s->boot, s->started);
	key_wipe(&shared);
	/* A peer that was taken out and put in again is met by the guard that has heard it before: no number
	 * of this boot may come twice, and nobody seals a frame in a microsecond. */
	fresh.sequence = clock_boot_ns() / NS_PER_US;
	if (c->pair.boot && !memcmp(c->pair.id, fresh.id, sizeof(fresh.id)))
		keep_guard(&fresh, &c->pair);
	frames_forget(c);
	c->pair = fresh;
	signal_pair_wipe(&fresh);
	map_put(s->by_pair, c->pair.id, c);
	channel_expect(s->engine, c->pair.id);
	return true;
}

void frames_forget(struct peer_paths *c)
{
	if (map_get(c->paths->by_pair, c->pair.id) == c)
		map_remove(c->paths->by_pair, c->pair.id);
	signal_pair_wipe(&c->pair);
}

/* ---- in ---- */

/* An authentic frame shows where the peer is, as a tunnel packet does; but packets are the better proof where
 * there are some. */
static void learn_address(struct peer_paths *c, const struct endpoint *from, uint64_t now)
{
	uint64_t heard = atomic_load_explicit(&c->peer->direct.last_received, memory_order_relaxed);
	bool known = c->direct.remote.sa.sa_family != AF_UNSPEC;
	struct peer_path_ref ref;

	c->seen = from->remote;
	if (known && address_equal(&c->direct.remote, &from->remote))
		return;
	if (c->chosen.kind == PATH_KIND_DIRECT && heard && now - heard < DIRECT_SILENT)
		return;
	c->direct = *from;
	c->peer->origin = ORIGIN_ROAMED;
	ref = paths_ref_direct(c);
	if (c->chosen.kind == PATH_KIND_DIRECT)
		paths_point(c);
	paths_post(c, &(struct peer_event){
			      .type = known ? PEER_EV_ROAMED : PEER_EV_ENDPOINT, .path = ref, .known = true});
}

static struct remote_words *words_of(struct peer_paths *c)
{
	if (!c->words)
		c->words = xcalloc(1, sizeof(*c->words));
	return c->words;
}

static void take_version(struct peer_paths *c, const char *version)
{
	struct remote_words *w = words_of(c);

	log_visible(w->version, sizeof(w->version), version, strlen(version));
}

/* The remote may be found at a relay of its own. */
static void take_relay(struct peer_paths *c, const struct signal_message *m, uint64_t now)
{
	struct paths *s = c->paths;
	struct remote_words *w;
	struct relay_url url;
	uint32_t server;

	if (!relay_url_parse(&url, m->relay))
		return;
	w = words_of(c);
	log_visible(w->relay, sizeof(w->relay), m->relay, strlen(m->relay));
	server = relays_used(s) ? relay_pool_named(s->pool, m->relay, false) : RELAY_NONE;
	if (relays_used(s) && server == RELAY_NONE &&
	    log_allowed(&c->relays_named, now, NAMED_INTERVAL, NAMED_MOST))
		server = relay_pool_named(s->pool, m->relay, true);
	if (server != RELAY_NONE)
		paths_post(c, &(struct peer_event){.type = PEER_EV_REMOTE_RELAY,
						   .path = {.kind = PATH_KIND_RELAY, .id = server}});
}

static void take_observed(struct peer_paths *c, const struct signal_message *m, bool direct, uint64_t now)
{
	const union address *old = direct && !c->fresh ? &c->observed_direct : &c->observed;
	bool known = old->sa.sa_family == m->observed.sa.sa_family;
	bool other = direct && !c->fresh ? !address_equal(old, &m->observed)
					 : !address_same_host(old, &m->observed);

	if (known && other) {
		c->observed_before = *old;
		c->observed_changed_at = now;
	}
	c->observed = m->observed;
	if (direct && !c->fresh)
		c->observed_direct = m->observed;
}

static void take_fields(struct peer_paths *c, const struct signal_message *m, const struct endpoint *from,
			uint64_t now)
{
	if (!from->via)
		learn_address(c, from, now);
	if (m->has & SIGNAL_HAS_VERSION)
		take_version(c, m->version);
	if (m->has & SIGNAL_HAS_OBSERVED)
		take_observed(c, m, !from->via, now);
	if (m->has & SIGNAL_HAS_NAT)
		c->remote_nat = m->nat;
	if (m->has & SIGNAL_HAS_REPORT) {
		diagnosis_report_came(c->peer, &m->report, c->report, c->report_at);
		if (!c->report)
			c->report = xmalloc(sizeof(*c->report));
		*c->report = m->report;
		c->report_at = now;
	}
	if (m->has & SIGNAL_HAS_RELAY)
		take_relay(c, m, now);
}

static void count_unknown(struct paths *s, const struct endpoint *from, uint64_t now)
{
	char text[ADDRESS_TEXT];

	s->frames_unknown++;
	if (!from->via && log_allowed(&s->unknown_limit, now, UNKNOWN_INTERVAL, 1))
		log_info("engine",
			 "control frame from %s of a peer that is not configured here (%llu so far)",
			 address_format(text, &from->remote), (unsigned long long)s->frames_unknown);
}

static enum tap_drop drop_of(enum signal_verdict v)
{
	switch (v) {
	case SIGNAL_FORGED:
		return TAP_DROP_undecryptable;
	case SIGNAL_REPLAYED:
		return TAP_DROP_replayed;
	case SIGNAL_OLD_BOOT:
		return TAP_DROP_old_boot;
	default:
		return TAP_DROP_malformed;
	}
}

void paths_take_frame(struct engine *g, const struct endpoint *from, uint8_t *frame, size_t len)
{
	struct paths *s = g->paths;
	uint64_t now = clock_boot_ns();
	uint8_t id[SIGNAL_PAIR_LEN];
	struct signal_message *m = &s->in;
	struct peer_event ev = {.type = PEER_EV_FRAME, .message = m};
	struct frame_at_hand hand = {.message = m, .from = *from, .len = len};
	struct peer_paths *c;
	enum signal_verdict verdict;
	bool heard_before;

	if (!s->up || s->said_bye || s->running)
		return;
	c = signal_frame_pair(frame, len, id) ? map_get(s->by_pair, id) : NULL;
	if (!c || !c->machine) {
		tap_frame_in(g, c ? c->peer : NULL, from, frame, len, NULL, TAP_DROP_unknown_peer);
		count_unknown(s, from, now);
		return;
	}
	/* An answer would go there, too. */
	if (!from->via && !paths_direct_allowed(c)) {
		tap_frame_in(g, c->peer, from, frame, len, NULL, TAP_DROP_unexpected);
		return;
	}
	heard_before = c->pair.remote_boot != 0;
	verdict = signal_open(&c->pair, frame, len, m);
	if (verdict != SIGNAL_OK && verdict != SIGNAL_NEW_BOOT) {
		tap_frame_in(g, c->peer, from, frame, len, NULL, drop_of(verdict));
		c->frames_rejected[verdict]++;
		return;
	}
	tap_frame_in(g, c->peer, from, frame, len, m, TAP_DROP_none);
	c->frames_received++;
	ev.new_boot = verdict == SIGNAL_NEW_BOOT;
	if (ev.new_boot && heard_before)
		diagnosis_remote_restarted(c->peer, now);
	if (m->type == SIGNAL_PING) {
		m->size = (uint16_t)len;
		m->has |= SIGNAL_HAS_SIZE;
	}
	take_fields(c, m, from, now);
	ev.path = paths_ref_of(c, from);
	paths_step_frame(c, &ev, &hand);
}

/* ---- what only the engine knows ---- */

static void put_relay(struct signal_message *m, const char *url)
{
	if (!*url || strlen(url) >= sizeof(m->relay))
		return;
	strcpy(m->relay, url);
	m->has |= SIGNAL_HAS_RELAY;
}

static void put_home(const struct paths *s, struct signal_message *m)
{
	struct relay_status status;

	if (s->pool && s->home != RELAY_NONE && relay_pool_look(s->pool, s->home, &status))
		put_relay(m, status.url);
}

static void put_observed(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	const struct endpoint *from = &c->paths->hand.from;
	struct peer_path_ref ref = a->reply ? paths_ref_of(c, from) : a->path;
	const struct agent_way *w = ref.kind == PATH_KIND_ICE ? agent_find(c, ref.generation) : NULL;

	if (a->reply && !from->via)
		m->observed = from->remote;
	else if (!a->reply && a->path.kind == PATH_KIND_DIRECT)
		m->observed = c->seen;
	else if (w && w->selected && !w->turn && !w->pair.tcp)
		m->observed = w->pair.remote;
	if (m->observed.sa.sa_family != AF_UNSPEC)
		m->has |= SIGNAL_HAS_OBSERVED;
}

static void put_counts(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	struct peer_path_ref ref = a->reply ? paths_ref_of(c, &c->paths->hand.from) : a->path;
	struct tunnel_path_facts f;

	if (!paths_counts(c, &ref, &f))
		return;
	m->data_sent = f.sent;
	m->data_received = f.received;
	m->has |= SIGNAL_HAS_COUNTS;
}

static uint64_t age(uint64_t at, uint64_t now)
{
	return at ? now - at : UINT64_MAX;
}

static void put_report(struct peer_paths *c, struct signal_message *m)
{
	struct instant now = clock_now();
	struct wg_peer_view v;
	struct signal_report *r = &m->report;
	const counter_t *n;

	wg_peer_look(c->peer->wg, &v, now.boot);
	n = v.counters;
	*r = (struct signal_report){
		.wall = now.wall,
		.initiations_sent = counter_get(&n[WG_COUNT_initiation_sent]),
		.initiations_received = counter_get(&n[WG_COUNT_initiation_received]),
		.responses_sent = counter_get(&n[WG_COUNT_response_sent]),
		.responses_received = counter_get(&n[WG_COUNT_response_received]),
		.handshakes = counter_get(&n[WG_COUNT_handshake_done]),
		.data_sent = counter_get(&n[WG_COUNT_data_sent]) + counter_get(&n[WG_COUNT_keepalive_sent]),
		.data_received = counter_get(&n[WG_COUNT_data_received]) +
				 counter_get(&n[WG_COUNT_keepalive_received]),
		.rejected_mac1 = counter_get(&n[WG_COUNT_reject_mac1]),
		.rejected_timestamp = counter_get(&n[WG_COUNT_reject_replayed_timestamp]),
		.rejected_response = counter_get(&n[WG_COUNT_reject_response]),
		.rejected_unknown_index = counter_get(&n[WG_COUNT_reject_unknown_index]),
		.rejected_undecryptable = counter_get(&n[WG_COUNT_reject_undecryptable_data]),
		.rejected_source = counter_get(&n[WG_COUNT_reject_inner_source]),
		.rejected_other = counter_get(&n[WG_COUNT_reject_flood]) +
				  counter_get(&n[WG_COUNT_reject_rate]) +
				  counter_get(&n[WG_COUNT_reject_mac2]) +
				  counter_get(&n[WG_COUNT_reject_replayed_counter]),
		.last_received_age = age(v.last_received, now.boot),
		.last_handshake_age = age(v.last_handshake_boot, now.boot),
		.path = (uint8_t)paths_shown(c),
		.packets_lost = counter_get(&n[WG_COUNT_packet_lost]),
	};
	if (c->chosen.kind == PATH_KIND_DIRECT)
		r->mtu = c->direct_size;
	else if (c->chosen.kind == PATH_KIND_ICE && c->agent_size_generation == c->chosen.generation)
		r->mtu = c->agent_size;
	m->has |= SIGNAL_HAS_REPORT;
}

/* What is found out later is told with the next report. */
static void put_nat(const struct peer_paths *c, struct signal_message *m)
{
	m->nat = (uint8_t)c->paths->nat->view.kind;
	if (m->nat != SIGNAL_NAT_UNKNOWN)
		m->has |= SIGNAL_HAS_NAT;
}

static void put_credentials(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	const struct agent_way *w = agent_find(c, a->agent);

	if (!w || !w->agent)
		return;
	ice_agent_credentials(w->agent, m->ufrag, m->pwd);
	m->has |= SIGNAL_HAS_CREDENTIALS;
}

/* ---- out ---- */

static void put_hello(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	put_home(c->paths, m);
	put_observed(c, a, m);
	snprintf(m->version, sizeof(m->version), "weir %s", PACKAGE_VERSION);
	m->path = (uint8_t)paths_shown(c);
	m->has |= SIGNAL_HAS_VERSION | SIGNAL_HAS_PATH;
	put_nat(c, m);
}

static void put_ping(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	memcpy(m->echo, a->echo, sizeof(m->echo));
	m->has |= SIGNAL_HAS_ECHO;
	put_counts(c, a, m);
	put_observed(c, a, m);
	if (m->type == SIGNAL_PING) {
		m->pad_to = a->size;
		return;
	}
	m->size = a->size ? a->size : (uint16_t)c->paths->hand.len;
	m->has |= SIGNAL_HAS_SIZE;
}

static void put_relay_meant(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	struct relay_status status;

	m->generation = a->path.generation;
	memcpy(m->echo, a->echo, sizeof(m->echo));
	m->has |= SIGNAL_HAS_ECHO;
	if (c->paths->pool && relay_pool_look(c->paths->pool, a->path.id, &status))
		put_relay(m, status.url);
}

static void put_reason(const struct peer_action *a, struct signal_message *m)
{
	m->reason = a->reason;
	m->has |= SIGNAL_HAS_REASON;
}

static void compose(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	memset(m, 0, sizeof(*m));
	m->type = a->frame;
	m->flags = a->flags;
	m->generation = a->agent;
	memcpy(m->session, a->session, sizeof(m->session));
	switch (a->frame) {
	case SIGNAL_HELLO:
		put_hello(c, a, m);
		break;
	case SIGNAL_ANSWER:
		memcpy(m->answered, a->answered, sizeof(m->answered));
		m->has |= SIGNAL_HAS_ANSWERED;
		/* fall through */
	case SIGNAL_OFFER:
		put_reason(a, m);
		put_credentials(c, a, m);
		put_home(c->paths, m);
		put_nat(c, m);
		break;
	case SIGNAL_RELAY_OPEN:
	case SIGNAL_RELAY_OPENED:
		put_relay_meant(c, a, m);
		break;
	case SIGNAL_STALE:
		put_reason(a, m);
		m->path = (uint8_t)a->about;
		m->has |= SIGNAL_HAS_PATH;
		break;
	case SIGNAL_PING:
	case SIGNAL_PONG:
		put_ping(c, a, m);
		break;
	case SIGNAL_REPORT:
		put_report(c, m);
		put_nat(c, m);
		break;
	case SIGNAL_BYE:
		put_reason(a, m);
		m->back_in_ms = a->back_in_ms;
		m->has |= a->back_in_ms ? SIGNAL_HAS_BACK_IN : 0;
		break;
	case SIGNAL_CANDIDATE:
	case SIGNAL_END:
		break;
	}
}

/* By ICE's own socket where the path is ICE's: the fast one is for WireGuard alone. */
static void send_to(struct peer_paths *c, const struct peer_path_ref *ref, const struct endpoint *to,
		    const uint8_t *frame, size_t len, bool probe, const struct signal_message *m)
{
	struct endpoint by = *to;
	int r = 0;
	struct agent_way *w = ref->kind == PATH_KIND_ICE || ref->kind == PATH_KIND_TURN
				      ? agent_find(c, ref->generation)
				      : NULL;

	if (w && probe)
		r = ice_agent_send_probe(w->agent, frame, len);
	else if (w)
		r = ice_agent_send(w->agent, frame, len);
	else if (endpoint_known(to) && (to->via || paths_direct_allowed(c)))
		r = engine_send_datagram(c->paths->engine, to, frame, len, probe);
	else
		return;
	c->frames_sent++;
	if (w && w->callback)
		by = channel_endpoint(w->callback);
	tap_frame_out(c->paths->engine, c->peer, &by, frame, len, m, r < 0 ? r : 0);
}

static void seal_and_send(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	const struct frame_at_hand *hand = &c->paths->hand;
	struct endpoint to = a->reply ? hand->from : paths_endpoint(c, &a->path);
	struct peer_path_ref ref = a->reply ? paths_ref_of(c, &hand->from) : a->path;
	uint8_t frame[SIGNAL_FRAME_MAX];
	int len = signal_seal(&c->pair, m, frame, sizeof(frame));

	if (len > 0)
		send_to(c, &ref, &to, frame, (size_t)len, a->frame == SIGNAL_PING && a->size, m);
}

/* As many frames as the candidates need: an offer or answer takes the first of them with it. */
static void send_candidates(struct peer_paths *c, const struct peer_action *a, struct signal_message *m)
{
	const struct agent_way *w = agent_find(c, a->agent);
	bool by_relay = a->reply ? paths_ref_of(c, &c->paths->hand.from).kind == PATH_KIND_RELAY
				 : a->path.kind == PATH_KIND_RELAY;
	unsigned most = by_relay ? SIGNAL_CANDIDATES : CANDIDATES_BY_UDP;
	bool offers = a->frame != SIGNAL_CANDIDATE;
	unsigned at = offers ? 0 : a->first, end;

	if (!w)
		return;
	end = offers || at + a->count > w->candidate_count ? w->candidate_count : at + a->count;
	do {
		m->candidate_count = 0;
		while (at < end && m->candidate_count < most)
			snprintf(m->candidates[m->candidate_count++], SIGNAL_CANDIDATE_MAX, "%s",
				 w->candidates[at++]);
		seal_and_send(c, a, m);
		if (offers) {
			struct peer_action rest = *a;

			rest.frame = SIGNAL_CANDIDATE;
			compose(c, &rest, m);
			offers = false;
		}
	} while (at < end);
}

void frames_send(struct peer_paths *c, const struct peer_action *a)
{
	struct signal_message *m = &c->paths->out;

	if (a->reply && !c->paths->hand.message)
		return;
	compose(c, a, m);
	if (a->frame == SIGNAL_OFFER || a->frame == SIGNAL_ANSWER || a->frame == SIGNAL_CANDIDATE)
		send_candidates(c, a, m);
	else
		seal_and_send(c, a, m);
	crypto_wipe(m->pwd, sizeof(m->pwd));
}
