#include "tests/unit/rules_rig.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/rules_lines.h"

struct rules_world w;
struct diagnoses found;

/* ---- how a peer can stand ---- */

struct diagnosis_relay *relay(void)
{
	return &w.device.relays[0];
}

struct diagnosis_path *add_path(enum path_kind kind, enum path_state state, const char *remote)
{
	struct diagnosis_path *p = &w.f.paths[w.f.path_count++];

	p->view.ref.kind = kind;
	p->view.state = state;
	p->view.since = AGO(300);
	p->view.last_proof = AGO(1);
	p->view.last_tunnel = AGO(1);
	p->view.pings = p->view.pongs = 20;
	p->sent = p->received = 50;
	p->view.far_sent = p->view.far_received = 50;
	p->view.counts_at = AGO(1);
	snprintf(p->remote, sizeof(p->remote), "%s", remote);
	return p;
}

void direct(void)
{
	memset(&w, 0, sizeof(w));
	w.device = (struct diagnosis_device){
		.up = true,
		.has_private_key = true,
		.started = AGO(5000),
		.wall = 1800000000 * NS_PER_SEC,
		.peers_wanted = 1,
		.peers_heard = 1,
		.udp_received_at = AGO(1),
		.stun_answers = true,
		.relay_count = 1,
		.relay_configured = true,
		.local_addresses = 2,
		.nat = NAT_SAME_MAPPING,
		.stun_asked_at = AGO(20),
		.stun_answered_at = AGO(20),
		.mapped = "203.0.113.2:4000",
		.stun_server = "203.0.113.5:3478",
		.resolver = "192.0.2.53",
	};
	*relay() = (struct diagnosis_relay){.url = "rels://relay.example:443",
					    .up = true,
					    .home = true,
					    .since = AGO(600),
					    .connections = 1};
	w.f = (struct diagnosis_facts){
		.device = &w.device,
		.controlled = true,
		.mode = PEER_AUTO,
		.name = "office",
		.has_allowed_ips = true,
		.device_mtu = 1420,
		.word_since = AGO(100),
		.remote_nat = NAT_SAME_MAPPING,
		.frames_received = 100,
	};
	w.f.word = (struct peer_facts){
		.device_up = true,
		.has_private_key = true,
		.endpoint_known = true,
		.last_handshake = AGO(60),
		.last_received = AGO(1),
		.last_sent = AGO(1),
		.keypair_usable = true,
		.keys_held = true,
		.controlled = true,
		.path_kind = PATH_KIND_ICE,
		.path_state = PATH_UP,
		.remote_is_weir = true,
		.relay_configured = true,
		.relay_up = true,
		.relay_online = true,
	};
	w.f.look = (struct peer_look){.chosen = PEER_ICE,
				      .chosen_since = AGO(300),
				      .preference = PEER_PREFER_AUTO,
				      .remote_is_weir = true,
				      .local_session_since = AGO(300),
				      .remote_session_since = AGO(300),
				      .remote_relay = PEER_NO_SERVER,
				      .watch = PEER_WATCH_RESTING};
	w.f.state = (struct peer_state){
		.path = PATH_UP, .path_kind = PATH_KIND_ICE, .tunnel = TUNNEL_UP, .word = WORD_DIRECT};
	w.f.recent.since = AGO(60);
	add_path(PATH_KIND_ICE, PATH_UP, "198.51.100.7:51820")->chosen = true;
	add_path(PATH_KIND_RELAY, PATH_UP, "rels://relay.example:443")->view.peer_online = true;
}

void relayed(void)
{
	direct();
	w.f.state.path_kind = w.f.word.path_kind = PATH_KIND_RELAY;
	w.f.state.word = WORD_RELAY;
	w.f.look.chosen = PEER_RELAY;
	w.f.path_count = 0;
	add_path(PATH_KIND_RELAY, PATH_UP, "rels://relay.example:443")->view.peer_online = true;
	w.f.paths[0].chosen = true;
}

void ice_failed(void)
{
	relayed();
	w.f.word.ice_failed_at = AGO(10);
	w.f.word.direct_retry_at = w.f.look.direct_retry_at = AHEAD(20);
	w.f.pairs = w.f.pairs_failed = 3;
}

void stuck(void)
{
	relayed();
	w.f.path_count = 0;
	w.f.look.chosen = PEER_NO_SLOT;
	w.f.state = (struct peer_state){.tunnel = TUNNEL_HANDSHAKING, .word = WORD_STUCK};
	w.f.word.keypair_usable = w.f.word.keys_held = w.f.word.relay_online = false;
	w.f.word.attempt = 5;
	w.f.word.initiations_unanswered = 12;
	w.f.word.last_received = AGO(200);
	w.f.word.last_handshake = AGO(250);
	w.f.since_handshake[WG_COUNT_initiation_sent] = 12;
	w.device.udp_received_at = AGO(2);
}

void no_relay(void)
{
	stuck();
	relay()->up = false;
	relay()->since = AGO(3);
	relay()->next_try = AHEAD(2);
	w.f.word.relay_up = false;
	snprintf(relay()->error, sizeof(relay()->error), "203.0.113.5:443: Connection refused");
}

/* ---- cases ---- */

static const struct diagnosis *given(const char *id)
{
	diagnose_peer(&w.f, NOW, &found);
	for (unsigned i = 0; i < found.count; i++)
		if (!strcmp(found.items[i].rule->id, id))
			return &found.items[i];
	return NULL;
}

void each_fault_is_the_first_verdict(const struct rule_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct diagnosis *d = &found.items[0];

		cases[i].fits();
		diagnose_peer(&w.f, NOW, &found);
		if (!found.count || strcmp(d->rule->id, cases[i].id) != 0)
			fail_msg("case %zu, %s: %s: %s", i, cases[i].id,
				 found.count ? d->rule->id : "nothing", found.count ? d->verdict : "");
		assert_int_equal(d->severity == DIAGNOSIS_NOTE, cases[i].note);
		assert_true(d->verdict[0] && d->next[0] && d->line_count);
		assert_true(strlen(d->verdict) < sizeof(d->verdict) - 1); /* whole sentences */
		assert_true(strlen(d->next) < sizeof(d->next) - 1);
		nothing_is_shown_twice(&found);
	}
}

void nearest_facts_have_another_verdict(const struct rule_case *cases, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		cases[i].near();
		if (given(cases[i].id))
			fail_msg("case %zu: %s though the facts do not fit", i, cases[i].id);
	}
}

void every_rule_has_a_case(const struct diagnosis_rule *rules, const struct rule_case *cases, size_t count)
{
	for (const struct diagnosis_rule *r = rules; r->id; r++) {
		bool has = false;

		for (size_t i = 0; i < count; i++)
			has |= !strcmp(cases[i].id, r->id);
		if (!has)
			fail_msg("%s is not tested", r->id);
	}
}
