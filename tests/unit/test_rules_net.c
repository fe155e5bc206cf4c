/* The rules about paths, ICE and MTU: for each the facts that fit, and the nearest that do not. */
#include "tests/unit/rules_rig.h"

#include <stdio.h>
#include <string.h>

static void loop_fits(void)
{
	ice_failed();
	snprintf(w.f.loop_address, sizeof(w.f.loop_address), "192.0.2.7:5000");
	snprintf(w.f.loop_through, sizeof(w.f.loop_through), "wg0");
	w.f.loop_own = true;
}
static void loop_near(void)
{
	direct();
	w.f.paths[0].through_other = true; /* a tunnel in another VPN that works is somebody's wish */
}

static void udp_fits(void)
{
	ice_failed();
	w.device.nat = NAT_BLOCKED;
	w.device.nat_at = AGO(20);
	w.device.stun_answers = false;
	w.device.stun_answered_at = 0;
}
static void udp_near(void)
{
	udp_fits();
	w.device.udp_heard_at = AGO(3); /* STUN is silent, but UDP comes in */
}
static void udp_just_fits(void)
{
	udp_fits();
	w.device.udp_heard_at = AGO(25); /* until just before, and the path went with it */
	w.f.switch_count = 1;
}
/* Why the path was lost again is known now. */
static void udp_flaps_fits(void)
{
	udp_just_fits();
	w.device.stun_servers = 1; /* one server is less sure than what the paths themselves show */
	w.f.switch_count = 3;
	for (int i = 0; i < 3; i++)
		w.f.switches[i].at = AGO(30 + 30 * i);
}
static void udp_just_near(void)
{
	udp_just_fits();
	w.f.switch_count = 0; /* its own path tells nothing, and another's may only be idle */
}
static void udp_stuck_fits(void)
{
	stuck();
	w.device.nat = NAT_BLOCKED;
	w.device.nat_at = AGO(5);
}
static void udp_server_near(void)
{
	udp_fits(); /* the one server is gone, with the relay that it is beside: no word about the network */
	w.device.stun_beside_dead = true;
}
static void udp_unsure_near(void)
{
	udp_stuck_fits();
	w.f.word_since = AGO(4); /* the relay is being checked still: it may be dead as well */
	w.device.nat = NAT_BLOCKED;
	w.device.nat_at = AGO(5);
}
/* A router that is off: the path, STUN and the relay are on three hosts. */
static void outage_fits(void)
{
	struct diagnosis_path *p;

	stuck();
	w.f.state = (struct peer_state){
		.path = PATH_STALE, .path_kind = PATH_KIND_ICE, .tunnel = TUNNEL_UP, .word = WORD_WAIT};
	w.f.word_since = AGO(8);
	w.f.word.keypair_usable = w.f.word.keys_held = true;
	w.f.word.last_received = w.device.udp_received_at = AGO(25);
	w.f.switch_count = 3;
	p = add_path(PATH_KIND_ICE, PATH_STALE, "198.51.100.7:51820");
	p->chosen = true;
	p->view.last_proof = AGO(25);
	w.device.nat = NAT_BLOCKED;
	w.device.nat_at = AGO(4);
	w.device.udp_heard_at = AGO(25);
	relay()->up = false;
	relay()->unanswered = relay()->check_failed = true;
	relay()->lost_at = AGO(5);
	snprintf(relay()->address, sizeof(relay()->address), "203.0.113.9:443");
	snprintf(relay()->error, sizeof(relay()->error), "203.0.113.9:443: no answer within 5 s");
}
/* The word has just become STUCK: the silence is as old as before. */
static void outage_stuck_fits(void)
{
	outage_fits();
	w.f.state.word = WORD_STUCK;
	w.f.word_since = AGO(1);
}
static void outage_new_near(void)
{
	outage_fits();
	w.f.word_since = AGO(1);
}
static void outage_near(void)
{
	outage_fits();
	relay()->unanswered = false; /* the connection is refused: so something comes back */
}
static void outage_dead_relay_near(void)
{
	outage_fits();
	w.f.path_count = 0; /* relay and STUN are one host: that is down, as far as anybody knows */
	snprintf(relay()->address, sizeof(relay()->address), "203.0.113.5:443");
	w.device.nat = NAT_BLOCKED;
}
static void outage_no_stun_fits(void)
{
	outage_fits();
	w.device.nat = NAT_UNKNOWN;
	w.device.nat_at = 0;
}

static void udp_there_fits(void)
{
	ice_failed();
	w.f.remote_nat = NAT_BLOCKED;
	w.f.report_at = AGO(5);
}
static void udp_there_near(void)
{
	direct();
	w.f.remote_nat = NAT_BLOCKED;
}

static void mapping_fits(void)
{
	relayed();
	w.f.observed_changed_at = AGO(20);
	snprintf(w.f.observed_before, sizeof(w.f.observed_before), "203.0.113.2:4000");
	snprintf(w.f.observed, sizeof(w.f.observed), "203.0.113.2:4711");
}
static void mapping_near(void)
{
	mapping_fits();
	w.f.observed_changed_at = AGO(900);
}
static void forgotten_fits(void)
{
	direct();
	w.f.controlled = false;
	w.f.mode = PEER_PLAIN;
	w.f.path_count = 0;
	w.f.endpoint_learned = true;
	address_parse(&w.f.endpoint, "198.51.100.7:4500");
	w.f.state.path_kind = PATH_KIND_DIRECT;
	w.f.state.tunnel = TUNNEL_SILENT;
	w.f.state.word = WORD_WAIT;
	w.f.word.last_received = AGO(100);
	w.f.word.unanswered_since = AGO(20);
}
static void forgotten_near(void)
{
	forgotten_fits();
	w.f.word.last_received = AGO(30); /* it was not quiet for long before */
}

static void poisoned_fits(void)
{
	direct();
	w.f.paths[0].view.ref.kind = w.f.state.path_kind = PATH_KIND_DIRECT;
	w.f.paths[0].fresh_port = true;
	w.f.look.rungs_taken[PEER_RUNG_PORT] = 1;
	w.f.counters[WG_COUNT_handshake_done] = 2;
}
static void poisoned_near(void)
{
	poisoned_fits();
	w.f.paths[0].fresh_port = false;
}
static void late_peer_near(void)
{
	poisoned_fits();
	w.f.counters[WG_COUNT_handshake_done] = 1; /* its first: it was not there when we called */
}

static void hairpin_fits(void)
{
	ice_failed();
	w.f.same_public_address = w.f.host_pair_failed = true;
	snprintf(w.f.host_pair, sizeof(w.f.host_pair), "10.1.0.2:4000 10.1.0.3:4000");
}
static void hairpin_near(void)
{
	direct();
	w.f.same_public_address = true;
}

static void filtered_fits(void)
{
	struct diagnosis_path *p;

	relayed();
	p = add_path(PATH_KIND_ICE, PATH_STALE, "198.51.100.7:51820");
	p->view.filtered = true;
	p->view.far_received = 30;
}
static void filtered_near(void)
{
	filtered_fits();
	w.f.paths[1].view.last_proof = AGO(60); /* pings do not pass either */
}

/* Its pair is gone, the next one is only just there; on those before WireGuard did not pass. */
static void filtered_before_fits(void)
{
	struct diagnosis_path *p;

	relayed();
	p = add_path(PATH_KIND_ICE, PATH_CHECKING, "198.51.100.7:51820");
	p->view.since = AGO(1);
	p->sent = p->received = p->view.far_sent = p->view.far_received = 0;
	w.f.look.filter = (struct peer_filter){.paths = 3, .since = AGO(90), .at = AGO(30), .ours = 20};
	w.f.recent.since = AGO(60);
	w.f.recent.rotations = 4;
}
static void filtered_before_near(void)
{
	filtered_before_fits();
	w.f.look.filter.paths = 0; /* since then the tunnel went there, or no pair was found */
}
static void filtered_long_ago_near(void)
{
	filtered_before_fits();
	w.f.look.filter.at = AGO(1000);
}
static void filtered_at_first_fits(void)
{
	struct diagnosis_path *p;

	stuck();
	w.f.word.last_received = w.f.word.last_handshake = 0;
	p = add_path(PATH_KIND_ICE, PATH_UP, "198.51.100.7:51820");
	p->chosen = true;
	p->sent = 8;
	p->received = p->view.far_sent = p->view.far_received = 0;
}
static void filtered_at_first_near(void)
{
	filtered_at_first_fits();
	w.f.paths[0].view.far_received = 8; /* they come, so it is no filter */
}

/* Pings say that it sent, and nothing of that came; or it came under keys that are lost here. */
static void filtered_here_fits(void)
{
	filtered_at_first_near();
	w.f.paths[0].view.far_sent = 8;
}
static void filtered_here_near(void)
{
	filtered_here_fits();
	w.f.we_restarted_at = AGO(5);
}

static void unproven_fits(void)
{
	struct diagnosis_path *p;

	relayed();
	p = add_path(PATH_KIND_ICE, PATH_CHECKING, "198.51.100.7:51820");
	p->view.since = AGO(10);
	p->sent = 2;
	p->received = p->view.far_sent = p->view.far_received = 0;
}
static void unproven_near(void)
{
	unproven_fits();
	w.f.paths[1].view.since = AGO(1);
}

static void died_fits(void)
{
	struct diagnosis_path *p;

	stuck();
	relay()->since = AGO(10);
	p = add_path(PATH_KIND_ICE, PATH_STALE, "198.51.100.7:51820");
	p->chosen = true;
	p->view.last_proof = AGO(200);
}
static void died_near(void)
{
	died_fits();
	w.f.paths[0].view.state = PATH_UP;
	w.f.paths[0].view.last_proof = AGO(2);
}

static void flaps_fits(void)
{
	direct();
	w.f.switch_count = 3;
	for (int i = 0; i < 3; i++) {
		w.f.switches[i].at = AGO(20 + 30 * i);
		snprintf(w.f.switches[i].text, sizeof(w.f.switches[i].text),
			 "ice to relay: 3 pings unanswered");
	}
}
static void flaps_near(void)
{
	flaps_fits();
	w.f.switch_count = 2;
}

static void relay_only_fits(void)
{
	stuck();
	w.f.mode = PEER_RELAY_ONLY;
	w.f.look.remote_is_weir = w.f.word.remote_is_weir = false;
	w.f.frames_received = 0;
	w.f.word.last_received = w.f.word.last_handshake = 0;
	address_parse(&w.f.endpoint, "198.51.100.7:51820");
}
static void relay_only_near(void)
{
	relay_only_fits();
	w.f.frames_received = 3;
}

static void symmetric_fits(void)
{
	ice_failed();
	w.device.nat = w.f.remote_nat = NAT_MAPPING_VARIES;
}
static void symmetric_near(void)
{
	symmetric_fits();
	w.device.nat = NAT_OPEN;
}
static void one_symmetric_fits(void)
{
	ice_failed();
	w.f.remote_nat = NAT_MAPPING_VARIES;
}
static void one_by_ports_fits(void)
{
	one_symmetric_fits();
	w.device.nat = NAT_SAME_FOR_PORTS;
}
static void one_by_ports_near(void)
{
	one_by_ports_fits();
	w.f.remote_nat = NAT_SAME_FOR_PORTS;
}
static void one_symmetric_near(void)
{
	one_symmetric_fits();
	w.f.word.ice_failed_at = 0;
}

static void no_candidates_fits(void)
{
	relayed();
	w.device.local_addresses = 0;
}
static void no_candidates_near(void)
{
	relayed();
	w.f.ice_running = true; /* it has just begun */
}

static void candidates_lost_fits(void)
{
	relayed();
	w.f.ice_running = true;
	w.f.ice_since = AGO(8);
	w.f.look.remote_session_since = AGO(6);
	w.f.look.answers_received = 1;
	w.f.local_candidates = 2;
}
static void candidates_lost_near(void)
{
	candidates_lost_fits();
	w.f.remote_candidates = 1;
}

static void turn_fits(void)
{
	ice_failed();
	w.device.turn_servers = 1;
	w.device.turn_answers = true;
	w.f.ice_gathered = true;
	w.f.local_candidates = 2;
	snprintf(w.device.turn_server, sizeof(w.device.turn_server), "203.0.113.5:3479");
}
static void turn_near(void)
{
	turn_fits();
	w.f.local_turn = true;
}
static void turn_silent_fits(void)
{
	turn_fits();
	w.device.turn_answers = false;
}
static void turn_silent_near(void)
{
	turn_fits();
}

static void disagree_fits(void)
{
	ice_failed();
	w.f.look.answers_astray = 3;
	w.f.look.astray_at = AGO(4);
	w.f.look.astray_session[0] = 0xab;
}
static void disagree_near(void)
{
	disagree_fits();
	w.f.look.answers_astray = 1; /* one that was under way for long */
}

static void storm_fits(void)
{
	ice_failed();
	w.f.recent.rotations = 5;
	w.f.recent.remote_sessions = 5;
}
static void storm_near(void)
{
	storm_fits();
	w.f.recent.rotations = w.f.recent.remote_sessions = 2;
}

static void storm_silent_near(void)
{
	storm_fits();
	w.f.state = (struct peer_state){.path = PATH_STALE, .tunnel = TUNNEL_SILENT, .word = WORD_WAIT};
	w.f.word.last_received = AGO(30); /* nobody answers: recovery begins sessions, too */
}
static void candidates_gone_fits(void)
{
	candidates_lost_fits();
	w.f.ice_running = false; /* between two tries */
	w.f.ice_failed = true;
}

static void old_start_fits(void)
{
	relayed();
	w.f.frames_rejected[SIGNAL_OLD_BOOT] = 6;
}
static void old_start_near(void)
{
	old_start_fits();
	w.f.frames_rejected[SIGNAL_OLD_BOOT] = 1;
}

static void version_fits(void)
{
	stuck();
	relay()->since = AGO(5);
	w.f.look.remote_is_weir = false;
	w.f.frames_rejected[SIGNAL_VERSION] = 3;
}
static void version_near(void)
{
	version_fits();
	w.f.look.remote_is_weir = true;
}

static void forged_fits(void)
{
	relayed();
	w.f.frames_received = 0;
	w.f.frames_rejected[SIGNAL_FORGED] = 9;
}
static void forged_near(void)
{
	relayed();
	w.f.frames_rejected[SIGNAL_FORGED] = 9; /* of a hundred good ones: noise */
}

static void no_direct_fits(void)
{
	ice_failed();
}
static void no_direct_again_fits(void)
{
	ice_failed();
	w.f.ice_running = true; /* the next try changes nothing about it */
	w.f.ice_since = AGO(3);
	w.f.word.direct_retry_at = w.f.look.direct_retry_at = 0;
}
static void no_direct_near(void)
{
	ice_failed();
	w.f.word.ice_failed_at = 0; /* the first try is under way */
	w.f.ice_running = true;
}

static void mtu_fits(void)
{
	direct();
	w.f.paths[0].view.mtu = 1332;
	w.f.paths[0].view.mtu_failed = 1348;
}
static void mtu_near(void)
{
	direct();
	w.f.paths[0].view.mtu = 1452;
	w.f.paths[0].view.mtu_failed = 1500; /* more than anybody sends */
}

static const struct rule_case cases[] = {
	{"nothing-gets-out", outage_fits, outage_near, false},
	{"nothing-gets-out", outage_no_stun_fits, outage_dead_relay_near, false},
	{"nothing-gets-out", outage_stuck_fits, outage_new_near, false},
	{"tunnel-in-tunnel", loop_fits, loop_near, true},
	{"udp-blocked", udp_fits, udp_near, true},
	{"udp-blocked", udp_just_fits, udp_just_near, true},
	{"udp-blocked", udp_flaps_fits, udp_just_near, true},
	{"udp-blocked", udp_fits, udp_server_near, true},
	{"udp-blocked", udp_stuck_fits, udp_unsure_near, false},
	{"udp-blocked", udp_there_fits, udp_there_near, true},
	{"nat-mapping-lost", mapping_fits, mapping_near, true},
	{"nat-mapping-lost", forgotten_fits, forgotten_near, false},
	{"poisoned-mapping", poisoned_fits, poisoned_near, true},
	{"poisoned-mapping", poisoned_fits, late_peer_near, true},
	{"hairpin", hairpin_fits, hairpin_near, true},
	{"wireguard-filtered", filtered_fits, filtered_near, true},
	{"wireguard-filtered", filtered_before_fits, filtered_before_near, true},
	{"wireguard-filtered", filtered_before_fits, filtered_long_ago_near, true},
	{"wireguard-filtered", filtered_at_first_fits, filtered_at_first_near, false},
	{"wireguard-filtered", filtered_here_fits, filtered_here_near, false},
	{"wireguard-filtered", unproven_fits, unproven_near, true},
	{"path-died", died_fits, died_near, false},
	{"path-flaps", flaps_fits, flaps_near, true},
	{"relay-only-plain", relay_only_fits, relay_only_near, false},
	{"symmetric-nats", symmetric_fits, symmetric_near, true},
	{"symmetric-nats", one_symmetric_fits, one_symmetric_near, true},
	{"symmetric-nats", one_by_ports_fits, one_by_ports_near, true},
	{"no-local-candidates", no_candidates_fits, no_candidates_near, true},
	{"candidates-lost", candidates_lost_fits, candidates_lost_near, true},
	{"turn-refused", turn_fits, turn_near, true},
	{"turn-unreachable", turn_silent_fits, turn_silent_near, true},
	{"sessions-disagree", disagree_fits, disagree_near, true},
	{"session-storm", storm_fits, storm_near, true},
	{"session-storm", storm_fits, storm_silent_near, true},
	{"candidates-lost", candidates_gone_fits, candidates_lost_near, true},
	{"frames-of-old-start", old_start_fits, old_start_near, true},
	{"frames-of-other-version", version_fits, version_near, false},
	{"forged-frames", forged_fits, forged_near, true},
	{"no-direct-path", no_direct_fits, no_direct_near, true},
	{"no-direct-path", no_direct_again_fits, no_direct_near, true},
	{"mtu-black-hole", mtu_fits, mtu_near, true},
};
#define CASES (sizeof(cases) / sizeof(cases[0]))

static void faults(void **state)
{
	(void)state;
	each_fault_is_the_first_verdict(cases, CASES);
}

static void nearest(void **state)
{
	(void)state;
	nearest_facts_have_another_verdict(cases, CASES);
}

static void healthy_peers_have_no_verdict(void **state)
{
	(void)state;
	direct();
	diagnose_peer(&w.f, NOW, &found);
	assert_int_equal(found.count, 0);
	relayed(); /* as in its first seconds */
	diagnose_peer(&w.f, NOW, &found);
	assert_int_equal(found.count, 0);
	relayed();
	w.f.mode = PEER_RELAY_ONLY;
	diagnose_peer(&w.f, NOW, &found);
	assert_int_equal(found.count, 0);
}

/* Two ports of one address do not tell all about a NAT, and the verdict does not say more. */
static void what_ports_tell_is_no_more(void **state)
{
	const struct diagnosis *d = &found.items[0];

	(void)state;
	one_by_ports_fits();
	diagnose_peer(&w.f, NOW, &found);
	assert_string_equal(d->rule->id, "symmetric-nats");
	assert_int_equal(d->confidence, DIAGNOSIS_LIKELY);
	assert_non_null(strstr(d->verdict,
			       "the one here lets only known ports in, or takes another for each address"));
	assert_non_null(strstr(d->lines[0].text, "one port for two ports of a server"));
	assert_non_null(strstr(d->lines[0].text, "as two ports of a STUN server see it"));
	one_symmetric_fits();
	w.device.stun_two_addresses = true;
	diagnose_peer(&w.f, NOW, &found);
	assert_non_null(strstr(d->verdict, "the one here lets only known ports in: no direct path"));
	assert_non_null(
		strstr(d->lines[0].text, "one port for all destinations, as two STUN servers see it"));
}

static void complete(void **state)
{
	(void)state;
	every_rule_has_a_case(rules_path, cases, CASES);
	every_rule_has_a_case(rules_ice, cases, CASES);
	every_rule_has_a_case(rules_mtu, cases, CASES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(faults),
		cmocka_unit_test(nearest),
		cmocka_unit_test(healthy_peers_have_no_verdict),
		cmocka_unit_test(what_ports_tell_is_no_more),
		cmocka_unit_test(complete),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
