/* What the engine shows: copies of its state in plain structs, and the list word of each peer. */
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "engine/nat.h"
#include "engine/paths.h"

#define WORDS_INTERVAL NS_PER_SEC
#define WORDS_PER_TURN 1000 /* takes some milliseconds */

const char *endpoint_origin_name(enum endpoint_origin o)
{
	static const char *const names[] = {
		[ORIGIN_NONE] = "none",		  [ORIGIN_CONFIGURED] = "configured",
		[ORIGIN_RESOLVED] = "resolved",	  [ORIGIN_ROAMED] = "roamed",
		[ORIGIN_PERSISTED] = "persisted",
	};

	return names[o];
}

static bool usable(const struct wg_keypair_view *k, uint64_t now)
{
	return k->used && k->confirmed && now - k->created < 180 * NS_PER_SEC;
}

static void gather(struct engine_peer *p, const struct wg_peer_view *wg, uint64_t now, struct peer_facts *f)
{
	const counter_t *c = wg->counters;
	struct endpoint e = wg_peer_endpoint(p->wg);
	int send_error = atomic_load_explicit(&p->send_error, memory_order_relaxed);

	*f = (struct peer_facts){
		.device_up = p->engine->up,
		.has_private_key = wg_has_private_key(p->engine->wg),
		.endpoint_known = endpoint_known(&e),
		.resolving = p->host && !p->resolved_last,
		.resolve_error = p->resolve_error,
		.draining = wg->draining,
		.last_handshake = wg->last_handshake_boot,
		.last_received = wg->last_received,
		.last_sent = wg->last_sent,
		.unanswered_since = wg->unanswered_since,
		.keypair_usable = usable(&wg->keypairs[WG_CURRENT], now),
		.keys_held = wg->keypairs[WG_CURRENT].used || wg->keypairs[WG_NEXT].used ||
			     wg->keypairs[WG_PREVIOUS].used,
		.attempt = wg->attempt,
		.initiations_unanswered = counter_get(&c[WG_COUNT_initiation_sent]) - p->base_sent,
		.given_up = counter_get(&c[WG_COUNT_handshake_given_up]) - p->base_given_up,
		.staged = wg->staged,
		.send_error = send_error ? strerror(send_error) : NULL,
		.send_failures = counter_get(&c[WG_COUNT_send_failed]) - p->base_failures,
		.cookies_received = counter_get(&c[WG_COUNT_cookie_received]) - p->base_cookies,
		.responses_rejected = counter_get(&c[WG_COUNT_reject_response]) - p->base_rejected,
		.timestamps_rejected =
			counter_get(&c[WG_COUNT_reject_replayed_timestamp]) - p->base_timestamps,
		.peer_initiations_since = counter_get(&c[WG_COUNT_initiation_received]) - p->base_received,
		.data_received = counter_get(&c[WG_COUNT_data_received]) - p->base_data,
		.inner_sources_rejected = counter_get(&c[WG_COUNT_reject_inner_source]) - p->base_inner,
	};
	paths_word_facts(p, f);
}

#define SILENCE (11 * NS_PER_SEC)

/* The counts since the last handshake that worked, or the peer's goodbye: what a stuck peer is judged by. */
static void rebase(struct engine_peer *p, const struct wg_peer_view *wg)
{
	const counter_t *c = wg->counters;

	p->base_handshake = wg->last_handshake_boot;
	p->base_sent = counter_get(&c[WG_COUNT_initiation_sent]);
	p->base_given_up = counter_get(&c[WG_COUNT_handshake_given_up]);
	p->base_received = counter_get(&c[WG_COUNT_initiation_received]);
	p->base_rejected = counter_get(&c[WG_COUNT_reject_response]);
	p->base_timestamps = counter_get(&c[WG_COUNT_reject_replayed_timestamp]);
	p->base_cookies = counter_get(&c[WG_COUNT_cookie_received]);
	p->base_failures = counter_get(&c[WG_COUNT_send_failed]);
	p->base_data = counter_get(&c[WG_COUNT_data_received]);
	p->base_inner = counter_get(&c[WG_COUNT_reject_inner_source]);
	p->stuck = false;
}

/* Packets of the tunnel. Messages of handshakes that come to nothing show no more than that one way is open.
 */
static uint64_t passed(const struct wg_peer_view *wg)
{
	return counter_get(&wg->counters[WG_COUNT_data_received]) +
	       counter_get(&wg->counters[WG_COUNT_keepalive_received]);
}

/* After a silence, and on another path, too: what was unanswered there has its reason. Passive keepalives
 * come each 10 s. But once a peer is stuck, tries on other paths are more of the same until the tunnel
 * carries something. */
static bool begins_anew(const struct engine_peer *p, const struct wg_peer_view *wg, bool passes)
{
	if (wg->last_handshake_boot != p->base_handshake)
		return true;
	if (p->stuck && !passes)
		return false;
	return wg->last_received > p->base_heard + SILENCE || paths_chosen(p) != p->base_path;
}

void word_look(struct engine_peer *p, struct wg_peer_view *wg, struct peer_facts *facts,
	       struct peer_state *state, uint64_t now)
{
	bool passes;

	wg_peer_look(p->wg, wg, now);
	passes = passed(wg) != p->base_passed;
	if (wg->last_handshake_boot != p->base_handshake)
		for (unsigned i = 0; i < WG_COUNTERS; i++)
			p->base_counters[i] = (uint32_t)counter_get(&wg->counters[i]);
	if (begins_anew(p, wg, passes))
		rebase(p, wg);
	if (!p->stuck || passes) {
		p->base_path = paths_chosen(p);
		p->base_heard = wg->last_received;
	}
	p->base_passed = passed(wg);
	gather(p, wg, now, facts);
	facts->stuck = p->stuck && !passes;
	if (facts->remote_away)
		rebase(p, wg);
	peer_state_derive(state, facts, now);
	p->stuck = state->word == WORD_STUCK;
}

/* Words that time alone can change are looked at each second until they settle. */
static bool settled(const struct peer_state *s)
{
	return s->word != WORD_STUCK && s->word != WORD_WAIT && s->word != WORD_DRAIN &&
	       s->tunnel != TUNNEL_HANDSHAKING && s->tunnel != TUNNEL_SILENT;
}

void word_update(struct engine_peer *p, uint64_t now)
{
	struct engine *g = p->engine;
	struct peer_facts facts;
	struct wg_peer_view wg;
	struct peer_state s;

	word_look(p, &wg, &facts, &s, now);
	diagnosis_word(p, &facts, &s, now);
	if (settled(&s)) {
		list_remove(&p->watch);
	} else if (list_empty(&p->watch)) {
		list_append(&g->watched, &p->watch);
		if (!g->words_due) {
			g->words_due = now + WORDS_INTERVAL;
			engine_kick(g);
		}
	}
	if (s.word == p->word)
		return;
	p->word_since = now;
	/* The device's own line says it once for all peers that it went up or down. */
	if ((p->word != WORD_DOWN && s.word != WORD_DOWN) || s.word == WORD_STUCK)
		engine_note(g, p, s.word == WORD_STUCK ? LOG_ERROR : LOG_INFO, "state", "%s to %s%s%s",
			    peer_word_name(p->word), peer_word_name(s.word), *s.reason ? ": " : "", s.reason);
	p->word = s.word;
}

void words_update(struct engine *g)
{
	uint64_t now = clock_boot_ns();

	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		word_update(p, now);
}

void words_service(struct engine *g, uint64_t now)
{
	struct list *last = g->watched.prev;
	unsigned budget = WORDS_PER_TURN;

	/* Each in its turn: ten thousand that nobody answers are gone through in some seconds. */
	while (budget-- && !list_empty(&g->watched)) {
		struct engine_peer *p = container_of(g->watched.next, struct engine_peer, watch);
		bool all = &p->watch == last;

		list_remove(&p->watch);
		list_append(&g->watched, &p->watch);
		word_update(p, now);
		if (all)
			break;
	}
	g->words_due = list_empty(&g->watched) ? 0 : now + WORDS_INTERVAL;
}

void engine_look_peer(struct engine_peer *p, struct engine_peer_view *out)
{
	uint64_t now = clock_boot_ns();
	struct peer_facts facts;

	memset(out, 0, sizeof(*out));
	word_look(p, &out->wg, &facts, &out->state, now);
	if (out->state.word != p->word)
		word_update(p, now);
	diagnosis_reason(p, &out->state);
	wg_peer_public_key(p->wg, &out->public_key);
	out->name = p->name;
	out->has_psk = wg_peer_has_psk(p->wg);
	out->keepalive = wg_peer_keepalive(p->wg);
	out->used = wg_peer_endpoint(p->wg);
	out->endpoint = out->used.remote;
	/* Behind a relay there is no address to show: the one that a direct path would use is what people
	 * look for. */
	if (out->used.via && out->endpoint.sa.sa_family == AF_UNSPEC)
		out->endpoint = paths_direct(p).remote;
	out->origin = endpoint_known(&out->used) ? p->origin : ORIGIN_NONE;
	out->host = p->host;
	out->port = p->port;
	out->resolve_error = p->resolve_error;
	out->state_since = p->word_since;
	out->initiations_unanswered = counter_get(&out->wg.counters[WG_COUNT_initiation_sent]) - p->base_sent;
}

void engine_look(struct engine *g, struct engine_view *out)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->ifname, g->tun.name, sizeof(out->ifname));
	out->up = g->up;
	out->started_boot = g->started_boot;
	out->started_wall = g->started_wall;
	out->listen_port = engine_listen_port(g);
	out->fwmark = g->fwmark;
	out->mtu = g->mtu;
	out->workers = g->worker_count;
	out->aead = aead_name(g->workers[0]->aead);
	out->tun_vnet = g->tun.vnet_hdr;
	out->tun_tso = g->tun.tso;
	out->tun_uso = g->tun.uso;
	out->udp_gso = g->up && g->udp.gso;
	out->udp_gro = g->up && g->udp.gro;
	out->nat = nat_word(g->paths ? g->paths->nat : NULL);
	out->under_load = wg_under_load(g->wg, clock_boot_ns());
	out->rx_bytes = g->removed_rx;
	out->tx_bytes = g->removed_tx;
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p)) {
		uint64_t rx, tx;

		wg_peer_bytes(p->wg, &rx, &tx);
		out->rx_bytes += rx;
		out->tx_bytes += tx;
	}
	out->tun_rx_packets = counter_get(&g->tun_rx_packets);
	out->tun_tx_packets = counter_get(&g->tun_tx_packets);
	out->tun_write_errors = counter_get(&g->tun_write_errors);
	out->counters = wg_device_counters(g->wg);
}
