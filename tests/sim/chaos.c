/*
 * One random schedule: a random topology, calm, perhaps the death of the path in use while another lives,
 * then fault upon fault, then all of it heals and the tunnels must be up again within HEAL_BOUND.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define HEAL_BOUND    SECONDS(3)
#define STANDBY_BOUND SECONDS(3) /* for one; the run's 99th percentile is held to 2 s by sim.c */

static void build(struct world *w)
{
	bool shared = chance(w, 150);

	for (unsigned i = 0; i < w->nodes; i++) {
		static const enum nat_kind kinds[] = {NAT_NONE, NAT_NONE, NAT_INDEPENDENT, NAT_ADDRESS,
						      NAT_PORT, NAT_PORT, NAT_SYMMETRIC};

		world_nat(w, i, shared && i < 2 ? NAT_PORT : kinds[random_below(w, 7)], shared && i < 2);
		w->node[i].no_udp = chance(w, 60);
	}
	if (shared)
		w->nat[0].hairpin = chance(w, 500);
	for (unsigned i = 0; i < w->nodes; i++)
		for (unsigned j = 0; j < w->nodes; j++) {
			struct remote *r = remote_of(w, i, j);

			w->way[i][j].loss = (unsigned)random_below(w, 10);
			if (i != j && !w->node[j].nat && chance(w, 400)) {
				r->configured = true;
				r->configured_endpoint =
					(struct place){.host = w->node[j].lan_host, .port = MAIN_PORT};
			}
			if (chance(w, 250))
				r->t.persistent = SECONDS(25);
		}
	w->ice = chance(w, 900);
	w->late_callbacks = 300;
	for (unsigned i = 0; i < w->nodes; i++)
		world_say(w, "%c: %s%s%s", node_letter(i),
			  w->node[i].nat ? nat_kind_name(w->node[i].nat->kind) : "no NAT",
			  shared && i < 2 ? ", shared" : "", w->node[i].no_udp ? ", no UDP" : "");
}

static void set_traffic(struct world *w, bool some)
{
	for (unsigned a = 0; a < w->nodes; a++)
		for (unsigned b = a + 1; b < w->nodes; b++)
			traffic_set(w, a, b,
				    (enum pattern)random_between(w, some ? 1 : 0, TRAFFIC_PATTERNS - 1));
}

/* ---- the death of the path in use ---- */

static bool has_standby(struct world *w, unsigned a, unsigned b)
{
	struct peer_look look;
	unsigned up = 0;

	peer_look(remote_of(w, a, b)->m, &look);
	if (look.chosen != PEER_DIRECT && look.chosen != PEER_ICE)
		return false;
	for (unsigned i = PEER_RELAY; i <= PEER_RELAY_NEXT; i++)
		up += look.paths[i].state == PATH_UP;
	return up > 0;
}

static uint64_t gap_since(const struct world *w, const struct remote *r)
{
	uint64_t open = w->now - r->heard_at;

	return open > r->longest_gap ? open : r->longest_gap;
}

static void kill_path_in_use(struct world *w, struct result *out)
{
	struct remote *x = remote_of(w, 0, 1), *y = remote_of(w, 1, 0);
	bool one_way = chance(w, 300);

	out->standby = UINT64_MAX;
	traffic_set(w, 0, 1, TRAFFIC_BOTH);
	world_run(w, w->now + SECONDS(1));
	if (w->failed || !has_standby(w, 0, 1) || !has_standby(w, 1, 0) ||
	    !traffic_flows(w, 0, 1, w->now - MS(500)))
		return;
	world_fault(w, one_way ? "the path in use dies in one direction" : "the path in use dies");
	w->way[0][1].blocked = true;
	w->way[1][0].blocked = !one_way;
	x->longest_gap = y->longest_gap = 0;
	world_run(w, w->now + SECONDS(6));
	out->standby = gap_since(w, x) > gap_since(w, y) ? gap_since(w, x) : gap_since(w, y);
	if (!w->failed && out->standby > STANDBY_BOUND)
		world_fail(w, "standby: payload stood still for %.2f s while the relay was alive",
			   (double)out->standby / 1e9);
	w->way[0][1].blocked = w->way[1][0].blocked = false;
	world_run(w, w->now + SECONDS(random_between(w, 1, 20)));
}

/* ---- faults ---- */

struct pick {
	unsigned a, b, server;
	struct node *n;
	struct way *way, *back;
};

static void restart_later(struct world *w, const struct event *e)
{
	struct node *n = &w->node[e->a];

	if (!n->up)
		node_start(w, n, e->b);
}

static void listen_later(struct world *w, const struct event *e)
{
	if (!w->server[e->a].listening)
		server_start(w, (unsigned)e->a);
}

static void come_back(struct world *w, const struct event *e)
{
	struct node *n = &w->node[e->a];

	n->down = false;
	if (e->b)
		node_network_changed(w, n);
}

static void new_public_address(struct world *w, struct node *n)
{
	if (n->nat) {
		n->nat->host = 200 + 16 * (unsigned)(n->nat - w->nat) + (n->nat->host + 1) % 16;
		nat_flush(n->nat);
		for (unsigned i = 0; i < w->nodes; i++)
			if (w->node[i].nat == n->nat)
				streams_die(w, i, SERVERS_MAX);
		world_say(w, "the public address of %c's NAT changes", node_letter(n->number));
	} else {
		streams_die(w, n->number, SERVERS_MAX);
		world_say(w, "%c loses its TCP connections", node_letter(n->number));
	}
}

static void fault_way(struct world *w, struct pick *p, unsigned which)
{
	bool both = chance(w, 600);

	switch (which) {
	case 0:
		p->way->blocked = true;
		p->back->blocked = both;
		break;
	case 1:
		p->way->no_wireguard = true;
		p->back->no_wireguard = both;
		break;
	case 2:
		p->way->no_initiations = true;
		break;
	case 3:
		p->way->loss = (unsigned)random_between(w, 50, 500);
		p->back->loss = p->way->loss;
		break;
	case 4:
		p->way->late = 300;
		p->way->lateness = SECONDS(random_between(w, 1, 3));
		break;
	case 5:
		p->way->doubled = 300;
		break;
	case 6:
		p->way->no_stun = 700;
		break;
	default:
		p->way->limit = 1250;
		break;
	}
	world_say(w, "fault: way %c to %c, kind %u%s", node_letter(p->a), node_letter(p->b), which,
		  both ? ", both ways" : "");
}

static void fault_node(struct world *w, struct pick *p, unsigned which)
{
	struct node *n = p->n;
	uint64_t later = w->now + MS(random_between(w, 10, 15000));

	switch (which) {
	case 0:
		node_crash(w, n);
		world_at(w, later, restart_later, NULL, p->a, chance(w, 500), 0);
		break;
	case 1:
		node_stop(w, n, true);
		world_at(w, w->now + MS(random_between(w, 20, 3000)), restart_later, NULL, p->a,
			 chance(w, 700), 0);
		break;
	case 2:
		node_suspend(w, n, SECONDS(random_between(w, 1, 60)));
		break;
	case 3:
		n->wall_offset += (int64_t)SECONDS(random_below(w, 4000)) - (int64_t)SECONDS(2000);
		world_say(w, "%c's wall clock jumps", node_letter(p->a));
		break;
	case 4:
		n->down = true;
		world_say(w, "%c's interface goes down", node_letter(p->a));
		world_at(w, later, come_back, NULL, p->a, chance(w, 700), 0);
		break;
	case 5:
		new_public_address(w, n);
		if (chance(w, 300))
			node_network_changed(w, n);
		break;
	case 6:
		if (n->nat)
			nat_flush(n->nat);
		world_say(w, "%c's NAT forgets its mappings", node_letter(p->a));
		break;
	default:
		n->no_udp = !n->no_udp;
		world_say(w, "%c: UDP %s", node_letter(p->a), n->no_udp ? "blocked" : "passes");
		break;
	}
}

static void fault_server(struct world *w, struct pick *p, unsigned which)
{
	struct server *s = &w->server[p->server];

	switch (which) {
	case 0:
	case 1:
		server_stop(w, p->server, which);
		world_at(w, w->now + MS(random_between(w, 50, 20000)), listen_later, NULL, p->server, 0, 0);
		break;
	case 2:
		w->cut[p->a][p->server] = true;
		world_say(w, "%c is cut off from server %u", node_letter(p->a), p->server);
		break;
	case 3:
		streams_die(w, p->a, p->server);
		world_say(w, "the connection of %c to server %u dies silently", node_letter(p->a), p->server);
		break;
	case 4:
		s->refuses[p->a] = true;
		if (chance(w, 500))
			streams_die(w, p->a, p->server);
		world_say(w, "server %u refuses %c's token", p->server, node_letter(p->a));
		break;
	case 5:
		s->disorder = true;
		break;
	default:
		s->slow[p->a] = true;
		world_say(w, "%c reads nothing from server %u", node_letter(p->a), p->server);
		break;
	}
}

static void fault_user(struct world *w, struct pick *p)
{
	static const enum peer_command commands[] = {
		PEER_ROTATE,	  PEER_RESET,	   PEER_PROBE,	     PEER_PREFER_RELAY, PEER_FORCE_RELAY,
		PEER_PREFER_AUTO, PEER_LADDER_NOW, PEER_LADDER_SKIP, PEER_LADDER_HOLD,	PEER_DRAIN,
		PEER_HANDSHAKE,	  PEER_FRESH_PORT, PEER_REOPEN_RELAY};
	enum peer_command c = commands[random_below(w, sizeof(commands) / sizeof(commands[0]))];

	if (!p->n->up || p->n->suspended)
		return;
	world_say(w, "%c: command %d", node_letter(p->a), c);
	remote_command(w, remote_of(w, p->a, p->b), c);
}

static void one_fault(struct world *w)
{
	struct pick p;
	uint64_t dice = random_below(w, 100);

	p.a = (unsigned)random_below(w, w->nodes);
	p.b = (p.a + 1 + (unsigned)random_below(w, w->nodes - 1)) % w->nodes;
	p.server = (unsigned)random_below(w, w->servers);
	p.n = &w->node[p.a];
	p.way = &w->way[p.a][p.b];
	p.back = &w->way[p.b][p.a];
	if (dice < 30)
		fault_way(w, &p, (unsigned)random_below(w, 8));
	else if (dice < 60)
		fault_node(w, &p, (unsigned)random_below(w, 8));
	else if (dice < 82)
		fault_server(w, &p, (unsigned)random_below(w, 7));
	else if (dice < 92)
		fault_user(w, &p);
	else
		set_traffic(w, false);
}

/* ---- healing ---- */

/* For who reads a failing schedule: what everybody believes now. */
static void describe(struct world *w)
{
	static const char *const lines[] = {"idle", "waiting", "dialling", "logging in", "up"};
	struct peer_look look;

	for (unsigned i = 0; i < w->nodes && w->verbose; i++) {
		struct node *n = &w->node[i];

		for (unsigned k = 0; k < w->servers; k++)
			world_say(w, "  %c at server %u: %s for %.1f s%s", node_letter(i), k,
				  lines[n->lines[k].state], (double)(w->now - n->lines[k].since) / 1e9,
				  n->home == k ? ", home" : "");
		for (unsigned j = 0; j < w->nodes; j++) {
			if (!n->remote[j].m)
				continue;
			peer_look(n->remote[j].m, &look);
			world_say(w, "  %c>%c: uses %s; keys %s, attempt %u; watcher %s: %s; next rung %s",
				  node_letter(i), node_letter(j),
				  look.chosen == PEER_NO_SLOT ? "nothing" : peer_slot_name(look.chosen),
				  tunnel_usable(w, &n->remote[j]) ? "usable" : "none", n->remote[j].t.attempt,
				  peer_watch_name(look.watch), look.watch_why,
				  peer_rung_name(look.next_rung));
			for (unsigned k = 0; k < PEER_SLOTS; k++)
				if (look.paths[k].ref.kind)
					world_say(w, "      %s %u/%u: %s%s", peer_slot_name(k),
						  look.paths[k].ref.id, look.paths[k].ref.generation,
						  path_state_name(look.paths[k].state),
						  look.paths[k].peer_online ? ", peer online" : "");
		}
	}
}

static void mend_ways(struct world *w)
{
	for (unsigned i = 0; i < w->nodes; i++)
		for (unsigned j = 0; j < w->nodes; j++) {
			struct way *v = &w->way[i][j];

			*v = (struct way){.delay = v->delay, .jitter = v->jitter};
		}
}

static void heal(struct world *w)
{
	bool renew[NODES_MAX][SERVERS_MAX];

	world_fault(w, "everything heals");
	describe(w);
	mend_ways(w);
	memset(w->cut, 0, sizeof(w->cut));
	for (unsigned i = 0; i < w->servers; i++) {
		for (unsigned k = 0; k < w->nodes; k++)
			renew[k][i] = w->server[i].refuses[k] || w->node[k].lines[i].refused;
		memset(w->server[i].refuses, 0, sizeof(w->server[i].refuses));
		memset(w->server[i].slow, 0, sizeof(w->server[i].slow));
		w->server[i].disorder = false;
		if (!w->server[i].listening)
			server_start(w, i);
	}
	for (unsigned i = 0; i < w->nodes; i++) {
		struct node *n = &w->node[i];

		bool slept = n->suspended;

		n->down = n->no_udp = n->suspended = false;
		if (!n->up)
			node_start(w, n, false);
		else if (slept)
			node_network_changed(w, n);
		for (unsigned k = 0; k < w->servers; k++)
			if (renew[i][k])
				pool_new_token(w, n, k);
	}
}

/* What people ordered stands until they take it back. */
static void take_back_orders(struct world *w)
{
	for (unsigned i = 0; i < w->nodes; i++)
		for (unsigned j = 0; j < w->nodes; j++) {
			struct remote *r = remote_of(w, i, j);
			struct peer_look look;

			if (i == j || !r->m)
				continue;
			peer_look(r->m, &look);
			if (look.preference == PEER_FORCE_RELAY)
				remote_command(w, r, PEER_PREFER_AUTO);
			if (look.ladder_held)
				remote_command(w, r, PEER_LADDER_RESUME);
		}
}

static bool all_flow(struct world *w, uint64_t since)
{
	for (unsigned a = 0; a < w->nodes; a++)
		for (unsigned b = a + 1; b < w->nodes; b++)
			if (!traffic_flows(w, a, b, since))
				return false;
	return true;
}

/*
 * Nobody can tell a silent end that its own TCP connection is dead, or that the server waits ever longer
 * before it tries again; it finds out by its health checks, or as soon as it wants to send. So then both ends
 * want the tunnel.
 */
static bool somebody_is_cut_off(const struct world *w)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		const struct stream *s = &w->streams[i];

		if (s->used && s->client &&
		    (s->dead || !s->server || (s->down.pumping && s->down.retry > SECONDS(1))))
			return true;
	}
	return false;
}

static void want_all(struct world *w)
{
	if (!somebody_is_cut_off(w)) {
		set_traffic(w, true);
		return;
	}
	for (unsigned a = 0; a < w->nodes; a++)
		for (unsigned b = a + 1; b < w->nodes; b++)
			traffic_set(w, a, b, TRAFFIC_BOTH);
}

static void check_heal(struct world *w, struct result *out)
{
	uint64_t from = w->now;

	while (!w->failed && !all_flow(w, from) && w->now < from + HEAL_BOUND)
		world_run(w, w->now + MS(10));
	out->healed = w->now - from;
	if (out->healed >= HEAL_BOUND)
		describe(w);
	for (unsigned a = 0; a < w->nodes && !w->failed; a++)
		for (unsigned b = a + 1; b < w->nodes && !w->failed; b++)
			if (!traffic_flows(w, a, b, from))
				world_fail(w, "I6: %c-%c (%s) is not up 3 s after everything healed",
					   node_letter(a), node_letter(b),
					   pattern_name(w->flow[a][b].pattern));
}

void chaos_run(uint64_t seed, unsigned peers, bool verbose, struct result *out)
{
	struct world *w = world_new(seed, 2, 1, verbose);
	uint64_t until;

	memset(out, 0, sizeof(*out));
	out->standby = UINT64_MAX;
	if (!peers)
		peers = chance(w, 850) ? 2 : (unsigned)random_between(w, 3, NODES_MAX);
	world_free(w);
	w = world_new(seed, peers, 1 + (unsigned)(seed % SERVERS_MAX), verbose);
	w->turn = seed % 4 == 3; /* no draw, so that the other schedules stay what they are */
	build(w);
	for (unsigned i = 0; i < w->nodes; i++)
		world_at(w, w->now + random_below(w, SECONDS(3)), restart_later, NULL, i, false, 0);
	world_run(w, w->now + SECONDS(4));
	set_traffic(w, false);
	world_run(w, w->now + SECONDS(random_between(w, 5, 35)));
	if (!w->failed && chance(w, 500))
		kill_path_in_use(w, out);
	until = w->now + SECONDS(random_between(w, 10, 80));
	while (!w->failed && w->now < until) {
		one_fault(w);
		world_run(w, w->now + MS(random_between(w, 10, 8000)));
		if (chance(w, 250))
			mend_ways(w);
	}
	if (!w->failed) {
		heal(w);
		take_back_orders(w);
		want_all(w);
		check_heal(w, out);
	}
	if (!w->failed)
		world_run(w, w->now + SECONDS(random_between(w, 5, 20)));
	out->failed = w->failed;
	snprintf(out->failure, sizeof(out->failure), "%s", w->failure);
	world_free(w);
}
