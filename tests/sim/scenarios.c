/* Named faults: the catalogue's classes (F1...), injected one at a time, and what the engine makes of each.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define FOREVER SECONDS(120)

/* ---- setting the stage ---- */

/* Two peers behind ordinary NATs, up and settled on ICE with the relay beside it, payload flowing. */
static void settle(struct world *w, enum nat_kind a, enum nat_kind b, enum pattern p)
{
	world_nat(w, 0, a, false);
	world_nat(w, 1, b, false);
	world_start(w);
	traffic_set(w, 0, 1, p);
	world_run(w, w->now + SECONDS(40));
}

static void settle_ice(struct world *w)
{
	settle(w, NAT_PORT, NAT_PORT, TRAFFIC_BOTH);
	if (!w->failed && remote_of(w, 0, 1)->chosen.kind != PATH_KIND_ICE)
		world_fail(w, "no ICE path after 40 s between port-restricted NATs");
}

static void settle_relay(struct world *w)
{
	settle(w, NAT_SYMMETRIC, NAT_SYMMETRIC, TRAFFIC_BOTH);
	if (!w->failed && remote_of(w, 0, 1)->chosen.kind != PATH_KIND_RELAY)
		world_fail(w, "not relayed between symmetric NATs");
}

/* ---- measuring ---- */

static void recover(struct world *w, struct result *out)
{
	out->recovered = world_until_flows(w, 0, 1, FOREVER);
	if (!w->failed && out->recovered == UINT64_MAX)
		world_fail(w, "not recovered within 120 s");
}

static void silent_stream(struct world *w, struct result *out)
{
	settle_relay(w);
	world_fault(w, "A's connection to the relay dies silently");
	streams_die(w, 0, SERVERS_MAX);
	recover(w, out);
}

static void wireguard_filtered(struct world *w, struct result *out)
{
	settle_ice(w);
	world_fault(w, "WireGuard is filtered on the direct way, STUN and frames pass");
	w->way[0][1].no_wireguard = w->way[1][0].no_wireguard = true;
	recover(w, out);
}

const struct scenario scenarios[] = {
	{"F1", "relay connection dies silently under a relayed peer", SECONDS(3), silent_stream, 2, 1},
	{"F2", "WireGuard filtered, STUN passes", SECONDS(3), wireguard_filtered, 2, 1},
};
const size_t scenario_count = sizeof(scenarios) / sizeof(scenarios[0]);

const struct scenario *scenario_find(const char *id)
{
	for (size_t i = 0; i < scenario_count; i++)
		if (!strcmp(scenarios[i].id, id))
			return &scenarios[i];
	return NULL;
}

void scenario_run(const struct scenario *s, uint64_t seed, bool verbose, struct result *out)
{
	struct world *w = world_new(seed, s->nodes, s->servers, verbose);

	memset(out, 0, sizeof(*out));
	s->run(w, out);
	if (!w->failed && out->recovered > s->bound)
		world_fail(w, "%s: recovered after %.2f s, the bound is %.2f s", s->id,
			   (double)out->recovered / 1e9, (double)s->bound / 1e9);
	out->failed = w->failed;
	snprintf(out->failure, sizeof(out->failure), "%s", w->failure);
	snprintf(out->evidence, sizeof(out->evidence), "%s", w->evidence);
	world_free(w);
}
