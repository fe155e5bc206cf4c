/* Faults of paths and of their negotiation (catalogue A, B and D). */
#include "tests/sim/stage.h"

#include <string.h>

static void wireguard_filtered(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "WireGuard is filtered on the direct way, STUN and frames pass");
	w->way[0][1].no_wireguard = w->way[1][0].no_wireguard = true;
	recover(w, out);
}

static void wireguard_filtered_one_way(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "WireGuard is filtered from A to B alone");
	w->way[0][1].no_wireguard = true;
	recover(w, out);
}

static void filtered_from_the_start(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	w->way[0][1].no_wireguard = w->way[1][0].no_wireguard = true;
	world_fault(w, "a pair on which STUN works and nothing else does");
	stage_start(w, TRAFFIC_BOTH);
	recover(w, out);
	if (!w->failed) {
		uint64_t first = out->recovered;

		expect_steady(w, out, SECONDS(60), SECONDS(2), 8);
		out->recovered = first;
	}
}

static void path_dies(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "the ICE path dies silently, the relay lives");
	block(w, 0, 1, true);
	recover(w, out);
}

static void healthy_for_long(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "nothing happens for 400 s");
	expect_steady(w, out, SECONDS(400), SECONDS(1), 0);
}

static void late_callbacks(struct world *w, struct result *out)
{
	w->late_callbacks = 900;
	stage_ice(w);
	world_fault(w, "new sessions beside the path in use; callbacks of the old agents come late");
	remote_command(w, remote_of(w, 0, 1), PEER_ROTATE);
	stage_run(w, SECONDS(2));
	remote_command(w, remote_of(w, 1, 0), PEER_ROTATE);
	expect_steady(w, out, SECONDS(60), SECONDS(1), 4);
}

static bool run_until_selected(struct world *w, unsigned node, unsigned peer, uint64_t limit)
{
	const struct remote *r = remote_of(w, node, peer);
	uint64_t until = w->now + limit;

	while (!w->failed && w->now < until) {
		for (unsigned i = 0; i < AGENTS_MAX; i++)
			if (r->agents[i].id && r->agents[i].selected)
				return true;
		world_run(w, w->now + MS(1));
	}
	if (!w->failed)
		world_fail(w, "no pair was selected");
	return false;
}

static void dies_when_selected(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	stage_start(w, TRAFFIC_BOTH);
	if (!run_until_selected(w, 0, 1, SECONDS(20)))
		return;
	world_fault(w, "the pair dies in the moment when it is selected");
	block(w, 0, 1, true);
	stage_run(w, MS(200));
	expect_steady(w, out, SECONDS(60), SECONDS(2), 4);
}

static void relay_after_filter(struct world *w, struct result *out)
{
	stage_ice(w);
	w->way[0][1].no_wireguard = w->way[1][0].no_wireguard = true;
	stage_run(w, SECONDS(10));
	world_fault(w, "after the fall-back to the relay its connection dies silently too");
	streams_die(w, 0, SERVERS_MAX);
	recover(w, out);
}

static void clock_steps(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "wall clocks step by ten minutes, both ways");
	w->node[0].wall_offset += (int64_t)SECONDS(600);
	w->node[1].wall_offset -= (int64_t)SECONDS(600);
	expect_steady(w, out, SECONDS(300), SECONDS(1), 0);
}

static void standby_dead(struct world *w, struct result *out)
{
	stage_ice(w);
	streams_die(w, 0, SERVERS_MAX);
	stage_run(w, SECONDS(45));
	world_fault(w, "ICE dies 45 s after the standby relay's connection died silently");
	block(w, 0, 1, true);
	recover(w, out);
}

static void stun_blocked(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	w->way[0][1].no_stun = w->way[1][0].no_stun = 1000;
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(40));
	world_fault(w, "ICE checks pass again, and nobody is told");
	w->way[0][1].no_stun = w->way[1][0].no_stun = 0;
	recover_path(w, out, PATH_KIND_ICE);
}

static void offer_at_failure(struct world *w, struct result *out)
{
	struct remote *r = remote_of(w, 0, 1);
	bool failed = false;

	stage_nats(w, NAT_PORT, NAT_PORT);
	w->way[0][1].no_stun = w->way[1][0].no_stun = 1000;
	stage_start(w, TRAFFIC_BOTH);
	for (unsigned i = 0; i < 30000 && !failed && !w->failed; i++) {
		stage_run(w, MS(1));
		for (unsigned k = 0; k < AGENTS_MAX; k++)
			failed = failed || (r->agents[k].id && r->agents[k].failed);
	}
	world_fault(w, "the peer offers a new session in the moment when ours fails");
	w->way[0][1].no_stun = w->way[1][0].no_stun = 0;
	remote_command(w, remote_of(w, 1, 0), PEER_ROTATE);
	recover_path(w, out, PATH_KIND_ICE);
}

static void equal_timers(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	w->server[0].delay = MS(150);
	world_fault(w, "both ends start in the same moment, signalling takes 300 ms");
	stage_start(w, TRAFFIC_BOTH);
	recover_path(w, out, PATH_KIND_ICE);
	if (!w->failed && (remote_of(w, 0, 1)->agents_started > 3 || remote_of(w, 1, 0)->agents_started > 3))
		world_fail(w, "%u and %u ICE agents were made to connect once",
			   remote_of(w, 0, 1)->agents_started, remote_of(w, 1, 0)->agents_started);
}

static void hour_of_outage(struct world *w, struct result *out)
{
	stage_ice(w);
	block(w, 0, 1, true);
	for (unsigned i = 0; i < w->servers; i++)
		w->cut[0][i] = w->cut[1][i] = true;
	stage_run(w, SECONDS(3600));
	world_fault(w, "after an hour of total outage everything passes again, and nobody is told");
	block(w, 0, 1, false);
	memset(w->cut, 0, sizeof(w->cut));
	recover(w, out);
}

static void old_candidates(struct world *w, struct result *out)
{
	uint8_t old[SIGNAL_SESSION_LEN] = {1, 2, 3, 4, 5, 6, 7, 8};

	stage_ice(w);
	world_fault(w, "candidates of sessions that are over, or not known yet");
	for (unsigned i = 0; i < 50; i++) {
		old[0]++;
		inject_frame(w, 1, 0, SIGNAL_CANDIDATE, old, i);
	}
	expect_steady(w, out, SECONDS(20), SECONDS(1), 0);
}

static void dies_after_upgrade(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	stage_start(w, TRAFFIC_BOTH);
	recover_path(w, out, PATH_KIND_ICE);
	stage_run(w, SECONDS(2));
	world_fault(w, "ICE dies 2 s after it took over");
	block(w, 0, 1, true);
	recover(w, out);
	if (!w->failed) {
		uint64_t first = out->recovered;

		expect_steady(w, out, SECONDS(20), SECONDS(1), 1);
		out->recovered = first;
	}
}

static void late_relay_packets(struct world *w, struct result *out)
{
	uint64_t delay = w->server[0].delay;

	stage_nats(w, NAT_PORT, NAT_PORT);
	stage_start(w, TRAFFIC_BOTH);
	if (!run_until_selected(w, 0, 1, SECONDS(20)))
		return;
	world_fault(w, "packets of the relay are 2 s late while ICE takes over");
	w->server[0].delay = SECONDS(1);
	recover_path(w, out, PATH_KIND_ICE);
	stage_run(w, SECONDS(1));
	w->server[0].delay = delay;
	expect_steady(w, out, SECONDS(30), SECONDS(1), 0);
}

static void loaded(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "half of STUN is lost, everything is late and some is lost");
	for (unsigned i = 0; i < 2; i++) {
		w->way[i][!i].no_stun = 500;
		w->way[i][!i].jitter = MS(250);
		w->way[i][!i].loss = 20;
	}
	expect_steady(w, out, SECONDS(120), SECONDS(2), 0);
}

static void quick_rotations(struct world *w, struct result *out)
{
	w->late_callbacks = 500;
	stage_ice(w);
	world_fault(w, "four new sessions within a second");
	for (unsigned i = 0; i < 4; i++) {
		remote_command(w, remote_of(w, i & 1, !(i & 1)), PEER_ROTATE);
		stage_run(w, MS(200));
	}
	expect_steady(w, out, SECONDS(30), SECONDS(1), 6);
	if (!w->failed && remote_of(w, 0, 1)->chosen.kind != PATH_KIND_ICE)
		world_fail(w, "ICE is not in use any more");
}

static void two_behind_one_nat(struct world *w, struct result *out)
{
	world_nat(w, 0, NAT_PORT, true);
	world_nat(w, 1, NAT_PORT, true);
	world_nat(w, 2, NAT_PORT, false);
	world_start(w);
	world_fault(w, "two peers behind one NAT talk to a third");
	traffic_set(w, 0, 2, TRAFFIC_BOTH);
	traffic_set(w, 1, 2, TRAFFIC_BOTH);
	traffic_set(w, 0, 1, TRAFFIC_BOTH);
	recover_path(w, out, PATH_KIND_ICE);
	stage_run(w, SECONDS(15));
	for (unsigned i = 0; i < 2 && !w->failed; i++)
		if (remote_of(w, i, 2)->chosen.kind != PATH_KIND_ICE)
			world_fail(w, "%c is not direct with C, its neighbour is", node_letter(i));
}

static void address_changes(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "the public address changes, and nobody is told");
	new_address(w, 0);
	recover(w, out);
}

static void address_changes_told(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "the local address changes, and the kernel says so");
	new_address(w, 0);
	node_network_changed(w, &w->node[0]);
	recover(w, out);
}

static void mapping_lost(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "both NATs forget their mappings");
	nat_flush(&w->nat[0]);
	nat_flush(&w->nat[1]);
	recover(w, out);
}

static void suspended(struct world *w, struct result *out)
{
	stage_ice(w);
	node_suspend(w, &w->node[0], SECONDS(3600));
	stage_run(w, SECONDS(3600) - MS(1));
	world_fault(w, "A wakes after an hour, its NAT and its connections have forgotten it");
	nat_flush(&w->nat[0]);
	streams_die(w, 0, SERVERS_MAX);
	recover(w, out);
}

static bool turn_in_use(struct world *w, unsigned node)
{
	struct peer_look look;

	peer_look(remote_of(w, node, !node)->m, &look);
	return look.chosen != PEER_NO_SLOT && look.paths[look.chosen].ref.kind == PATH_KIND_TURN;
}

/* Between symmetric NATs nothing but a relayed pair connects. */
static void stage_turn(struct world *w)
{
	w->turn = true;
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(10));
	if (!w->failed && (!turn_in_use(w, 0) || !turn_in_use(w, 1)))
		world_fail(w, "no TURN pair is in use after 10 s");
}

/* Retries are planned after 5, 15, 30, 60, 120 and 300 s by each end: both may make each of them an offer. */
static void turn_retries(struct world *w, struct result *out)
{
	const struct remote *x = remote_of(w, 0, 1), *y = remote_of(w, 1, 0);
	unsigned before;

	stage_turn(w);
	before = x->agents_started + y->agents_started;
	world_fault(w, "only a TURN pair connects, for 400 s");
	expect_steady(w, out, SECONDS(400), SECONDS(1), 14);
	before = x->agents_started + y->agents_started - before;
	if (!w->failed && (before < 8 || before > 28))
		world_fail(w, "%u ICE agents were made within 400 s beside a TURN pair", before);
}

static void direct_after_turn(struct world *w, struct result *out)
{
	uint64_t from;

	stage_turn(w);
	stage_run(w, SECONDS(30));
	world_fault(w, "TURN is in use, and a direct way becomes possible; nobody is told");
	w->nat[0].kind = w->nat[1].kind = NAT_PORT;
	from = w->now;
	while (!w->failed && w->now < from + LONG && (turn_in_use(w, 0) || turn_in_use(w, 1)))
		stage_run(w, MS(50));
	out->recovered = w->now - from;
	if (!w->failed && (remote_of(w, 0, 1)->chosen.kind != PATH_KIND_ICE ||
			   remote_of(w, 1, 0)->chosen.kind != PATH_KIND_ICE))
		world_fail(w, "TURN was left for something else than a direct pair");
}

static void turn_dies(struct world *w, struct result *out)
{
	stage_turn(w);
	stage_run(w, SECONDS(20));
	world_fault(w, "the TURN server dies, the relay lives");
	w->turn = false;
	recover(w, out);
}

const struct scenario path_scenarios[] = {
	{"standby", "the path in use dies, another lives", SECONDS(2), path_dies, 2, 1},
	{"F2", "WireGuard filtered, STUN passes", SECONDS(3), wireguard_filtered, 2, 1},
	{"F3", "a healthy tunnel is left alone", SECONDS(1), healthy_for_long, 2, 1},
	{"F5", "late callbacks of old agents", SECONDS(1), late_callbacks, 2, 1},
	{"F6", "the pair dies as it is selected", SECONDS(2), dies_when_selected, 2, 1},
	{"F7", "relay dies after a fall-back to it", SECONDS(3), relay_after_filter, 2, 1},
	{"F8", "wall clocks step", SECONDS(1), clock_steps, 2, 1},
	{"F10", "ICE dies, the standby relay was dead already", SECONDS(2), standby_dead, 2, 1},
	{"F11", "checks fail for 40 s, then pass", SECONDS(310), stun_blocked, 2, 1},
	{"F12", "an offer at the moment of failure", SECONDS(12), offer_at_failure, 2, 1},
	{"F13", "equal timers, slow signalling", SECONDS(8), equal_timers, 2, 1},
	{"F14", "an hour of total outage", SECONDS(3), hour_of_outage, 2, 1},
	{"F17", "candidates of other sessions", SECONDS(1), old_candidates, 2, 1},
	{"F22", "ICE dies just after the upgrade", SECONDS(2), dies_after_upgrade, 2, 1},
	{"F41", "WireGuard filtered one way", SECONDS(3), wireguard_filtered_one_way, 2, 1},
	{"F43", "late relay packets after the upgrade", SECONDS(1), late_relay_packets, 2, 1},
	{"F44", "load: STUN lost, jitter", SECONDS(2), loaded, 2, 1},
	{"F45", "new agents in quick succession", SECONDS(1), quick_rotations, 2, 1},
	{"F46", "several peers behind one NAT", SECONDS(10), two_behind_one_nat, 3, 1},
	{"F47", "a pair that carries STUN alone, from the start", SECONDS(3), filtered_from_the_start, 2, 1},
	{"F50", "public address changes unnoticed", SECONDS(3), address_changes, 2, 1},
	{"link", "local address changes, and is noticed", SECONDS(1), address_changes_told, 2, 1},
	{"flush", "NATs forget their mappings", SECONDS(2), mapping_lost, 2, 1},
	{"suspend", "an hour of sleep", SECONDS(3), suspended, 2, 1},
	{"turn", "only a TURN pair connects", SECONDS(1), turn_retries, 2, 1},
	{"upgrade", "direct becomes possible while TURN is in use", SECONDS(200), direct_after_turn, 2, 1},
	{"turn-end", "the TURN server dies", SECONDS(2), turn_dies, 2, 1},
};
const size_t path_scenario_count = sizeof(path_scenarios) / sizeof(path_scenarios[0]);
