/*
 * The rules about paths, relays, ICE and MTU: for each the facts that fit, of which it must be the first
 * verdict, and the nearest facts that do not.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "diagnose/rules_internal.h"

#define NOW	 (10000 * NS_PER_SEC)
#define AGO(s)	 (NOW - (s)*NS_PER_SEC)
#define AHEAD(s) (NOW + (s)*NS_PER_SEC)

static struct {
	struct diagnosis_device device;
	struct diagnosis_facts f;
} w;
static struct diagnoses found;

/* ---- how a peer can stand ---- */

static struct diagnosis_relay *relay(void)
{
	return &w.device.relays[0];
}

static struct diagnosis_path *add_path(enum path_kind kind, enum path_state state, const char *remote)
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

/* Direct, with a relay that stands by: a healthy peer. */
static void direct(void)
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

static void relayed(void)
{
	direct();
	w.f.state.path_kind = w.f.word.path_kind = PATH_KIND_RELAY;
	w.f.state.word = WORD_RELAY;
	w.f.look.chosen = PEER_RELAY;
	w.f.path_count = 0;
	add_path(PATH_KIND_RELAY, PATH_UP, "rels://relay.example:443")->view.peer_online = true;
	w.f.paths[0].chosen = true;
}

/* It is at a relay, by the way of which the last try for a direct path failed. */
static void ice_failed(void)
{
	relayed();
	w.f.word.ice_failed_at = AGO(10);
	w.f.word.direct_retry_at = w.f.look.direct_retry_at = AHEAD(20);
	w.f.pairs = w.f.pairs_failed = 3;
}

/* Handshakes go unanswered; no path, and nobody at the relay. */
static void stuck(void)
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

static void no_relay(void)
{
	stuck();
	relay()->up = false;
	relay()->since = AGO(3);
	relay()->next_try = AHEAD(2);
	w.f.word.relay_up = false;
	snprintf(relay()->error, sizeof(relay()->error), "203.0.113.5:443: Connection refused");
}

/* ---- the cases ---- */

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
	w.device.relay_count = 2;
	w.device.relays[1] = (struct diagnosis_relay){.url = "rels://second.example:443"};
	snprintf(w.device.relays[1].address, sizeof(w.device.relays[1].address), "203.0.113.5:443");
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
}
static void poisoned_near(void)
{
	poisoned_fits();
	w.f.paths[0].fresh_port = false;
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
	w.f.paths[1].view.last_proof = AGO(40); /* pings do not pass either */
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

static void relay_loop_fits(void)
{
	no_relay();
	relay()->through_tunnel = true;
	snprintf(relay()->error, sizeof(relay()->error),
		 "the way to 203.0.113.5:443 leads into wg0, the tunnel itself");
}
static void relay_loop_near(void)
{
	direct();
	relay()->through_tunnel = true;
	relay()->up = false;
}

static void name_fits(void)
{
	no_relay();
	relay()->name_error = true;
	snprintf(relay()->error, sizeof(relay()->error), "relay.example: Name or service not known");
}
static void name_near(void)
{
	name_fits();
	relay()->name_error = false;
}
static void name_loop_fits(void)
{
	name_fits();
	w.device.resolver_through_tunnel = true;
}
static void name_loop_near(void)
{
	name_fits();
}

static void tls_fits(void)
{
	no_relay();
	relay()->tls_error = relay()->refused = true;
	snprintf(relay()->error, sizeof(relay()->error), "certificate refused: certificate has expired");
}
static void tls_near(void)
{
	tls_fits();
	relay()->up = true;
}

static void expired_fits(void)
{
	no_relay();
	relay()->expired_token = relay()->silent_close = true;
}
static void expired_near(void)
{
	expired_fits();
	relay()->expired_token = false;
}
static void bad_token_fits(void)
{
	no_relay();
	relay()->bad_token = relay()->silent_close = true;
}
static void bad_token_near(void)
{
	expired_fits();
}
static void secret_fits(void)
{
	no_relay();
	relay()->silent_close = true;
	relay()->refusals = 3;
}
static void secret_near(void)
{
	bad_token_fits();
}

static void duplicate_fits(void)
{
	no_relay();
	relay()->replaced = true;
	relay()->lost_at = AGO(2);
	relay()->lifetimes[0] = relay()->lifetimes[1] = relay()->lifetimes[2] = 2 * NS_PER_SEC;
}
static void duplicate_near(void)
{
	duplicate_fits();
	relay()->replaced = false;
}

static void cut_fits(void)
{
	relayed();
	relay()->lost_at = AGO(5);
	relay()->lifetimes[0] = 30 * NS_PER_SEC;
	relay()->lifetimes[1] = 31 * NS_PER_SEC;
	relay()->lifetimes[2] = 30 * NS_PER_SEC;
}
static void cut_near(void)
{
	cut_fits();
	relay()->lifetimes[1] = 55 * NS_PER_SEC;
}

static void stale_fits(void)
{
	relayed();
	relay()->check_failed = true;
	relay()->lost_at = AGO(10);
	relay()->since = AGO(9);
}
static void stale_down_near(void)
{
	stale_fits();
	relay()->up = false; /* nothing took its place: who knows whether it was the connection */
	relay()->unanswered = true;
}
static void stale_near(void)
{
	stale_fits();
	relay()->lost_at = AGO(100);
}

static void common_fits(void)
{
	stuck();
	w.device.relay_count = 2;
	w.device.relays[1] = (struct diagnosis_relay){.url = "rels://other.example:443", .since = AGO(2)};
	snprintf(w.device.relays[1].error, sizeof(w.device.relays[1].error),
		 "198.51.100.9:443: no answer within 5 s");
	snprintf(w.f.remote_relay, sizeof(w.f.remote_relay), "rels://other.example:443");
}
static void common_near(void)
{
	common_fits();
	w.device.relays[1].up = true;
}

static void absent_fits(void)
{
	stuck();
}
static void absent_near(void)
{
	stuck();
	relay()->since = AGO(5); /* it may not have been told yet */
}
static void ghost_fits(void)
{
	struct diagnosis_path *p;

	stuck();
	p = add_path(PATH_KIND_RELAY, PATH_CHECKING, "rels://relay.example:443");
	p->view.peer_online = true;
	p->view.last_proof = 0;
	p->view.pongs = 0;
}
static void ghost_near(void)
{
	ghost_fits();
	w.f.paths[0].view.last_proof = AGO(2);
}

static void unreachable_fits(void)
{
	no_relay();
}
static void unreachable_near(void)
{
	direct();
	relay()->up = false; /* who is reached directly misses no relay */
	snprintf(relay()->error, sizeof(relay()->error), "203.0.113.5:443: Connection refused");
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

static const struct {
	const char *id;
	void (*fits)(void), (*near)(void);
	bool note; /* it hurts nobody, and must not be called trouble */
} cases[] = {
	{"nothing-gets-out", outage_fits, outage_near, false},
	{"nothing-gets-out", outage_no_stun_fits, outage_dead_relay_near, false},
	{"tunnel-in-tunnel", loop_fits, loop_near, true},
	{"udp-blocked", udp_fits, udp_near, true},
	{"udp-blocked", udp_just_fits, udp_just_near, true},
	{"udp-blocked", udp_fits, udp_server_near, true},
	{"udp-blocked", udp_stuck_fits, udp_unsure_near, false},
	{"udp-blocked", udp_there_fits, udp_there_near, true},
	{"nat-mapping-lost", mapping_fits, mapping_near, true},
	{"nat-mapping-lost", forgotten_fits, forgotten_near, false},
	{"poisoned-mapping", poisoned_fits, poisoned_near, true},
	{"hairpin", hairpin_fits, hairpin_near, true},
	{"wireguard-filtered", filtered_fits, filtered_near, true},
	{"wireguard-filtered", filtered_at_first_fits, filtered_at_first_near, false},
	{"wireguard-filtered", unproven_fits, unproven_near, true},
	{"path-died", died_fits, died_near, false},
	{"path-flaps", flaps_fits, flaps_near, true},
	{"relay-loop", relay_loop_fits, relay_loop_near, false},
	{"relay-name-loop", name_loop_fits, name_loop_near, false},
	{"relay-name", name_fits, name_near, false},
	{"relay-tls", tls_fits, tls_near, false},
	{"relay-token-expired", expired_fits, expired_near, false},
	{"relay-bad-token", bad_token_fits, bad_token_near, false},
	{"relay-wrong-secret", secret_fits, secret_near, false},
	{"relay-duplicate", duplicate_fits, duplicate_near, false},
	{"relay-cut", cut_fits, cut_near, true},
	{"relay-stale", stale_fits, stale_near, true},
	{"relay-stale", stale_fits, stale_down_near, true},
	{"no-common-relay", common_fits, common_near, false},
	{"relay-peer-absent", absent_fits, absent_near, false},
	{"relay-peer-absent", ghost_fits, ghost_near, false},
	{"relay-unreachable", unreachable_fits, unreachable_near, false},
	{"relay-only-plain", relay_only_fits, relay_only_near, false},
	{"symmetric-nats", symmetric_fits, symmetric_near, true},
	{"symmetric-nats", one_symmetric_fits, one_symmetric_near, true},
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

static bool says(const char *id)
{
	diagnose_peer(&w.f, NOW, &found);
	for (unsigned i = 0; i < found.count; i++)
		if (!strcmp(found.items[i].rule->id, id))
			return true;
	return false;
}

static void each_fault_is_the_first_verdict(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		const struct diagnosis *d = &found.items[0];

		cases[i].fits();
		diagnose_peer(&w.f, NOW, &found);
		if (!found.count || strcmp(d->rule->id, cases[i].id) != 0)
			fail_msg("case %u, %s: %s: %s", i, cases[i].id, found.count ? d->rule->id : "nothing",
				 found.count ? d->verdict : "");
		assert_int_equal(d->severity == DIAGNOSIS_NOTE, cases[i].note);
		assert_true(d->verdict[0] && d->next[0] && d->line_count);
		assert_true(strlen(d->verdict) < sizeof(d->verdict) - 1); /* whole sentences */
		assert_true(strlen(d->next) < sizeof(d->next) - 1);
	}
}

static void nearest_facts_have_another_verdict(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		cases[i].near();
		if (says(cases[i].id))
			fail_msg("case %u: %s though the facts do not fit", i, cases[i].id);
	}
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

static void every_rule_has_a_case(void **state)
{
	static const struct diagnosis_rule *const tables[] = {rules_path, rules_relay, rules_ice, rules_mtu};

	(void)state;
	for (unsigned t = 0; t < 4; t++)
		for (const struct diagnosis_rule *r = tables[t]; r->id; r++) {
			bool has = false;

			for (unsigned i = 0; i < CASES; i++)
				has |= !strcmp(cases[i].id, r->id);
			if (!has)
				fail_msg("%s is not tested", r->id);
		}
}

static bool is_rule(const char *id, size_t len)
{
	for (unsigned t = 0; diagnosis_rules[t]; t++)
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++)
			if (strlen(r->id) == len && !memcmp(r->id, id, len))
				return true;
	return false;
}

/* A symptom whose name is misspelt would be shown beside its cause. */
static void explains_only_what_there_is(void **state)
{
	(void)state;
	for (unsigned t = 0; diagnosis_rules[t]; t++)
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++)
			for (const char *at = r->explains; at && *at; at += strspn(at, " ")) {
				size_t len = strcspn(at, " ");

				if (!is_rule(at, len) && strcmp(r->explains, "*") != 0)
					fail_msg("%s explains %.*s", r->id, (int)len, at);
				at += len;
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_fault_is_the_first_verdict),
		cmocka_unit_test(nearest_facts_have_another_verdict),
		cmocka_unit_test(healthy_peers_have_no_verdict),
		cmocka_unit_test(every_rule_has_a_case),
		cmocka_unit_test(explains_only_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
