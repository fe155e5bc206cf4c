/* Faults of relays and of signalling over them (catalogue C, parts of A and B). */
#include "tests/sim/stage.h"

static void silent_death(struct world *w, struct result *out)
{
	stage_relay(w);
	world_fault(w, "A's connection to the relay dies silently");
	streams_die(w, 0, SERVERS_MAX);
	recover(w, out);
}

static void flap_then_death(struct world *w, struct result *out)
{
	stage_relay(w);
	server_stop(w, 0, false);
	stage_run(w, MS(10));
	server_start(w, 0);
	stage_run(w, SECONDS(10));
	world_fault(w, "the relay's connection dies silently, after it was down for 10 ms");
	streams_die(w, 0, SERVERS_MAX);
	recover(w, out);
}

static void ghost(struct world *w, struct result *out)
{
	stage_relay(w);
	world_fault(w, "A is a ghost at the relay: its address has changed");
	new_address(w, 0);
	recover(w, out);
}

static void slow_signalling(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	w->server[0].slow[1] = true;
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(30));
	world_fault(w, "B reads its frames again after 30 s");
	w->server[0].slow[1] = false;
	recover(w, out);
}

static void restart(struct world *w, struct result *out)
{
	stage_relay(w);
	server_stop(w, 0, false);
	stage_run(w, SECONDS(5));
	world_fault(w, "the relay listens again after 5 s");
	server_start(w, 0);
	recover(w, out);
}

static void restart_with_many(struct world *w, struct result *out)
{
	uint64_t from;

	for (unsigned i = 0; i < 4; i++)
		world_nat(w, i, NAT_SYMMETRIC, false);
	world_start(w);
	for (unsigned a = 0; a < 4; a++)
		for (unsigned b = a + 1; b < 4; b++)
			traffic_set(w, a, b, TRAFFIC_BOTH);
	stage_run(w, SECONDS(30));
	world_fault(w, "the relay of four peers restarts");
	server_stop(w, 0, false);
	stage_run(w, MS(200));
	server_start(w, 0);
	from = w->now;
	recover(w, out);
	for (unsigned a = 0; a < 4 && !w->failed; a++)
		for (unsigned b = a + 1; b < 4 && !w->failed; b++)
			world_until_flows(w, a, b, LONG);
	out->recovered = w->now - from;
}

static void no_loss_on_ice(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "the relay restarts while ICE is in use");
	server_stop(w, 0, false);
	stage_run(w, SECONDS(2));
	server_start(w, 0);
	expect_steady(w, out, SECONDS(20), MS(400), 0);
}

static void late_lost(struct world *w, struct result *out)
{
	struct peer_path_ref old;

	stage_relay(w);
	old = remote_of(w, 0, 1)->chosen;
	pool_reopen(w, &w->node[0], old.id, old.generation);
	stage_run(w, SECONDS(5));
	world_fault(w, "the loss of the old connection is told after the new one is up");
	inject_event(w, 0, 1, PEER_EV_RELAY, old, false);
	inject_event(w, 0, 1, PEER_EV_PRESENCE, old, false);
	inject_event(w, 0, 1, PEER_EV_RELAY_CHECKED, old, false);
	expect_steady(w, out, SECONDS(10), MS(500), 0);
}

static void late_open(struct world *w, struct result *out)
{
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	w->cut[1][0] = true;
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(1));
	world_fault(w, "B reaches the relay 1 s later than A");
	w->cut[1][0] = false;
	recover(w, out);
}

static void absent(struct world *w, struct result *out)
{
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	node_start(w, &w->node[0], false);
	traffic_set(w, 0, 1, TRAFFIC_BOTH);
	stage_run(w, SECONDS(20));
	world_fault(w, "B starts; A has sent to it in vain for 20 s");
	node_start(w, &w->node[1], false);
	recover(w, out);
}

static void home_out_of_reach(struct world *w, struct result *out)
{
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	w->cut[1][0] = true;
	w->server[0].delay = MS(5); /* so that it becomes A's home */
	w->server[1].delay = MS(40);
	world_fault(w, "B cannot reach A's home relay");
	stage_start(w, TRAFFIC_BOTH);
	recover(w, out);
}

static void foreign_restarts(struct world *w, struct result *out)
{
	unsigned used;

	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	w->cut[1][0] = true;
	w->server[0].delay = MS(5);
	w->server[1].delay = MS(40);
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(30));
	used = remote_of(w, 0, 1)->chosen.id;
	if (!w->failed && used != 1)
		world_fail(w, "the relay that both reach is not in use");
	server_stop(w, 1, false);
	stage_run(w, SECONDS(3));
	world_fault(w, "A's foreign relay listens again after 3 s");
	server_start(w, 1);
	recover(w, out);
}

static void flapping(struct world *w, struct result *out)
{
	stage_relay(w);
	world_fault(w, "the relay restarts twenty times in a row");
	for (unsigned i = 0; i < 20; i++) {
		server_stop(w, 0, false);
		stage_run(w, MS(50));
		server_start(w, 0);
		stage_run(w, MS(50));
	}
	recover(w, out);
}

static void token_expired(struct world *w, struct result *out)
{
	stage_relay(w);
	w->server[0].refuses[0] = true;
	server_stop(w, 0, false);
	server_start(w, 0);
	stage_run(w, SECONDS(60));
	world_fault(w, "A's expired token is renewed");
	w->server[0].refuses[0] = false;
	pool_new_token(w, &w->node[0], 0);
	recover(w, out);
}

static void presence_disorder(struct world *w, struct result *out)
{
	stage_relay(w);
	w->server[0].disorder = true;
	world_fault(w, "B is back at once, and its going is told after its coming");
	streams_die(w, 1, SERVERS_MAX);
	pool_reopen(w, &w->node[1], 0, w->node[1].lines[0].generation);
	recover(w, out);
}

static void slow_receiver(struct world *w, struct result *out)
{
	for (unsigned i = 0; i < 3; i++)
		world_nat(w, i, NAT_SYMMETRIC, false);
	world_start(w);
	traffic_set(w, 0, 1, TRAFFIC_BOTH);
	traffic_set(w, 0, 2, TRAFFIC_BOTH);
	stage_run(w, SECONDS(20));
	world_fault(w, "C reads nothing any more");
	w->server[0].slow[2] = true;
	expect_steady(w, out, SECONDS(30), MS(500), 0);
}

static void cut_again_and_again(struct world *w, struct result *out)
{
	stage_relay(w);
	world_fault(w, "a proxy cuts the relay's connections every 30 s");
	gap_begins(w);
	for (unsigned i = 0; i < 10 && !w->failed; i++) {
		stage_run(w, SECONDS(30));
		server_stop(w, 0, false);
		server_start(w, 0);
	}
	stage_run(w, SECONDS(5));
	out->recovered = longest_gap(w);
}

static void one_key_twice(struct world *w, struct result *out)
{
	stage_relay(w);
	for (unsigned i = 0; i < 60 && !w->failed; i++) {
		struct stream *s = w->server[0].session[0];

		/* The other engine logs in with the same key: ours is thrown out. */
		if (s)
			server_kick(w, 0, 0);
		stage_run(w, MS(500));
	}
	world_fault(w, "the other engine with A's key is stopped");
	recover(w, out);
}

static void lost_opening(struct world *w, struct result *out)
{
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	w->server[0].deaf = true;
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(4));
	world_fault(w, "what was sent to open the relay path was lost");
	w->server[0].deaf = false;
	recover(w, out);
}

static void offers(struct world *w, struct result *out)
{
	struct remote *r = remote_of(w, 0, 1);
	unsigned resets;

	stage_relay(w);
	resets = w->server[0].resets;
	world_fault(w, "a thousand offers in a burst, then one a second for an hour");
	gap_begins(w);
	for (unsigned i = 0; i < 4600 && !w->failed; i++) {
		uint64_t session = random_u64(w);

		inject_frame(w, 1, 0, SIGNAL_OFFER, (const uint8_t *)&session, 1000 + i);
		stage_run(w, i < 1000 ? MS(1) : SECONDS(1));
	}
	out->recovered = longest_gap(w);
	if (!w->failed && (w->server[0].resets != resets || r->reopens))
		world_fail(w, "%u relay connections were torn down because of offers",
			   w->server[0].resets - resets);
	if (!w->failed && r->agents_started > 12 * 62)
		world_fail(w, "%u ICE agents were made", r->agents_started);
}

static void astray(struct world *w, struct result *out)
{
	stage_ice(w);
	remote_command(w, remote_of(w, 0, 1), PEER_PREFER_RELAY);
	stage_run(w, SECONDS(3));
	if (!w->failed && remote_of(w, 0, 1)->chosen.kind != PATH_KIND_RELAY)
		world_fail(w, "the relay that the user prefers is not in use");
	world_fault(w, "what A sends by the relay is lost, B is heard on ICE");
	w->server[0].deaf_to[0] = true;
	recover(w, out);
}

static void deaf_relay(struct world *w, struct result *out)
{
	w->server[0].delay = MS(5); /* so that both are at home there */
	w->server[1].delay = MS(40);
	stage_relay(w);
	world_fault(w, "A's home relay loses what A sends, and B is heard there all the time");
	w->server[0].deaf_to[0] = true;
	recover(w, out);
}

static void restart_during_fallback(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "ICE dies, and B restarts while A falls back to the relay");
	block(w, 0, 1, true);
	stage_run(w, MS(300));
	node_crash(w, &w->node[1]);
	stage_run(w, MS(100));
	node_start(w, &w->node[1], false);
	recover(w, out);
}

const struct scenario relay_scenarios[] = {
	{"F1", "relay connection dies silently", SECONDS(3), silent_death, 2, 1},
	{"F4", "relay flaps, later dies silently", SECONDS(3), flap_then_death, 2, 1},
	{"F9", "ghost session at the relay", SECONDS(3), ghost, 2, 1},
	{"F16", "signalling hangs for 30 s", SECONDS(3), slow_signalling, 2, 1},
	{"F18", "relay of four peers restarts", SECONDS(3), restart_with_many, 4, 1},
	{"F20", "remote restarts in the middle of a fall-back", SECONDS(3), restart_during_fallback, 2, 1},
	{"F21", "late loss of a connection that was replaced", MS(500), late_lost, 2, 1},
	{"F24", "responder comes to the relay later", SECONDS(3), late_open, 2, 1},
	{"F25", "peer was not at the relay yet", SECONDS(1), absent, 2, 1},
	{"F26", "the home relay of one is out of the other's reach", SECONDS(3), home_out_of_reach, 2, 2},
	{"F27", "foreign relay restarts", SECONDS(3), foreign_restarts, 2, 2},
	{"F28", "relay restarts in a tight loop", SECONDS(3), flapping, 2, 1},
	{"F31", "token expired, then renewed", SECONDS(3), token_expired, 2, 1},
	{"F34", "presence out of order", SECONDS(3), presence_disorder, 2, 1},
	{"F35", "one receiver is slow", MS(500), slow_receiver, 3, 1},
	{"F36", "connections cut every 30 s", SECONDS(3), cut_again_and_again, 2, 1},
	{"F39", "two engines with one key", SECONDS(3), one_key_twice, 2, 1},
	{"F40", "opening frames lost", SECONDS(3), lost_opening, 2, 1},
	{"relay", "relay restarts while in use", SECONDS(3), restart, 2, 1},
	{"relay-ice", "relay restarts while ICE is in use", MS(400), no_loss_on_ice, 2, 1},
	{"astray", "ours is lost on one path, theirs comes on another", SECONDS(3), astray, 2, 1},
	{"deaf", "a relay loses what one end sends", SECONDS(3), deaf_relay, 2, 2},
	{"offers", "offers without end", SECONDS(1), offers, 2, 1},
};
const size_t relay_scenario_count = sizeof(relay_scenarios) / sizeof(relay_scenarios[0]);
