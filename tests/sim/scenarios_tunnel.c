/* Faults of keys and of processes (catalogue E). */
#include "tests/sim/stage.h"

static void psk_differs(struct world *w, struct result *out)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	remote_of(w, 0, 1)->t.psk = 1;
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(60));
	world_fault(w, "both ends have the same preshared key at last");
	remote_of(w, 1, 0)->t.psk = 1;
	recover(w, out);
}

static void keys_survive_fallback(struct world *w, struct result *out)
{
	struct remote *x = remote_of(w, 0, 1);
	unsigned handshakes;

	stage_nats(w, NAT_PORT, NAT_PORT);
	x->t.psk = remote_of(w, 1, 0)->t.psk = 7;
	stage_ice(w);
	handshakes = x->t.handshakes;
	world_fault(w, "ICE dies; there is a preshared key");
	block(w, 0, 1, true);
	recover(w, out);
	if (!w->failed && x->t.handshakes != handshakes)
		world_fail(w, "changing the path cost a handshake");
}

static void removed_and_added(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "B is stopped in order and started again at once");
	node_stop(w, &w->node[1], true);
	stage_run(w, MS(10));
	node_start(w, &w->node[1], false);
	recover(w, out);
}

static void killed(struct world *w, struct result *out)
{
	stage_ice(w);
	node_crash(w, &w->node[1]);
	stage_run(w, SECONDS(5));
	world_fault(w, "B was killed, and is up again; it remembers nothing");
	node_start(w, &w->node[1], false);
	recover(w, out);
}

static void orderly(struct world *w, struct result *out)
{
	for (unsigned i = 0; i < 2; i++) {
		struct remote *r = remote_of(w, i, !i);

		r->configured = true;
		r->configured_endpoint = (struct place){.host = 101 - i, .port = MAIN_PORT};
		w->way[i][!i].delay = MS(20);
	}
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(30));
	node_stop(w, &w->node[1], true);
	stage_run(w, SECONDS(2));
	world_fault(w, "B is up again after an orderly restart");
	node_start(w, &w->node[1], true);
	recover(w, out);
}

static void drained(struct world *w, struct result *out)
{
	stage_ice(w);
	world_fault(w, "A drops its keys");
	remote_command(w, remote_of(w, 0, 1), PEER_DRAIN);
	tunnel_drain(w, remote_of(w, 0, 1));
	recover(w, out);
}

static void keys_out_of_step(struct world *w, struct result *out)
{
	struct tunnel *t = &remote_of(w, 1, 0)->t;

	stage_ice(w);
	world_fault(w, "B seals under keys that A has dropped, and still opens what A sends");
	t->previous = t->current;
	t->current = (struct keypair){.id = w->next_id++, .birth = w->now, .initiator = true};
	recover(w, out);
}

static void keys_out_of_step_quietly(struct world *w, struct result *out)
{
	struct remote *a = remote_of(w, 0, 1);
	struct tunnel *t = &remote_of(w, 1, 0)->t;
	uint64_t from;

	stage_ice(w);
	traffic_set(w, 0, 1, TRAFFIC_NONE);
	stage_run(w, SECONDS(1));
	world_fault(w, "B seals under keys that A has dropped, and A alone has something to ask");
	t->previous = t->current;
	t->current = (struct keypair){.id = w->next_id++, .birth = w->now, .initiator = true};
	traffic_set(w, 0, 1, TRAFFIC_REQUESTS);
	from = w->now;
	while (!w->failed && w->now < from + LONG && a->answered <= from)
		stage_run(w, MS(10));
	out->recovered = w->now - from;
}

const struct scenario tunnel_scenarios[] = {
	{"F52", "preshared keys differed", SECONDS(3), psk_differs, 2, 1},
	{"F54", "fall-back with a preshared key", SECONDS(2), keys_survive_fallback, 2, 1},
	{"F56", "peer goes and comes at once", SECONDS(1), removed_and_added, 2, 1},
	{"kill", "process killed and restarted", SECONDS(1), killed, 2, 1},
	{"restart", "orderly restart, endpoints known", MS(300), orderly, 2, 1},
	{"keys", "keys out of step", SECONDS(3), keys_out_of_step, 2, 1},
	{"keys-ask", "keys out of step, requests unanswered", SECONDS(3), keys_out_of_step_quietly, 2, 1},
	{"drain", "keys dropped", MS(300), drained, 2, 1},
};
const size_t tunnel_scenario_count = sizeof(tunnel_scenarios) / sizeof(tunnel_scenarios[0]);
