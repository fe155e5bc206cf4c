/* Stages and measures of the named faults. */
#include "tests/sim/stage.h"

#include <string.h>

void stage_nats(struct world *w, enum nat_kind a, enum nat_kind b)
{
	world_nat(w, 0, a, false);
	world_nat(w, 1, b, false);
}

void stage_run(struct world *w, uint64_t duration)
{
	world_run(w, w->now + duration);
}

void stage_start(struct world *w, enum pattern p)
{
	world_start(w);
	traffic_set(w, 0, 1, p);
}

static void settle(struct world *w, enum path_kind kind)
{
	stage_start(w, TRAFFIC_BOTH);
	stage_run(w, SECONDS(40));
	if (!w->failed &&
	    (remote_of(w, 0, 1)->chosen.kind != kind || remote_of(w, 1, 0)->chosen.kind != kind))
		world_fail(w, "not settled on %s after 40 s", path_kind_name(kind));
}

void stage_ice(struct world *w)
{
	stage_nats(w, NAT_PORT, NAT_PORT);
	settle(w, PATH_KIND_ICE);
}

void stage_relay(struct world *w)
{
	stage_nats(w, NAT_SYMMETRIC, NAT_SYMMETRIC);
	settle(w, PATH_KIND_RELAY);
}

void recover(struct world *w, struct result *out)
{
	uint64_t from = w->now, more;

	/* What was on its way when the fault came proves nothing. */
	stage_run(w, MS(150));
	more = world_until_flows(w, 0, 1, LONG);
	out->recovered = w->now - from;
	if (!w->failed && more == UINT64_MAX)
		world_fail(w, "not recovered within 400 s");
}

void recover_path(struct world *w, struct result *out, enum path_kind kind)
{
	const struct remote *x = remote_of(w, 0, 1), *y = remote_of(w, 1, 0);
	uint64_t from = w->now;

	while (!w->failed && w->now < from + LONG && (x->chosen.kind != kind || y->chosen.kind != kind))
		world_run(w, w->now + MS(10));
	out->recovered = w->now - from;
	if (!w->failed && out->recovered >= LONG)
		world_fail(w, "no %s path within 400 s", path_kind_name(kind));
}

void gap_begins(struct world *w)
{
	remote_of(w, 0, 1)->longest_gap = remote_of(w, 1, 0)->longest_gap = 0;
}

static uint64_t gap(const struct world *w, const struct remote *r)
{
	uint64_t open = w->now - r->heard_at;

	return open > r->longest_gap ? open : r->longest_gap;
}

uint64_t longest_gap(struct world *w)
{
	uint64_t x = gap(w, remote_of(w, 0, 1)), y = gap(w, remote_of(w, 1, 0));

	return x > y ? x : y;
}

void expect_steady(struct world *w, struct result *out, uint64_t duration, uint64_t most, unsigned changes)
{
	unsigned x = remote_of(w, 0, 1)->chooses, y = remote_of(w, 1, 0)->chooses;

	gap_begins(w);
	stage_run(w, duration);
	out->recovered = longest_gap(w);
	if (w->failed)
		return;
	if (out->recovered > most)
		world_fail(w, "payload stood still for %.2f s", (double)out->recovered / 1e9);
	x = remote_of(w, 0, 1)->chooses - x;
	y = remote_of(w, 1, 0)->chooses - y;
	if (x > changes || y > changes)
		world_fail(w, "the path was changed %u and %u times", x, y);
}

void block(struct world *w, unsigned a, unsigned b, bool blocked)
{
	w->way[a][b].blocked = w->way[b][a].blocked = blocked;
}

void new_address(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	if (n->nat) {
		n->nat->host++;
		nat_flush(n->nat);
	}
	streams_die(w, node, SERVERS_MAX);
}

void inject_frame(struct world *w, unsigned from, unsigned to, enum signal_type type, const uint8_t *session,
		  uint32_t generation)
{
	struct node *n = &w->node[from];
	struct packet *p = packet_new(w, FRAME, from, to, 300);
	struct signal_message *m;

	p->message = message_new(w);
	m = &p->message->m;
	m->type = type;
	m->boot = n->boot;
	m->started = n->started;
	m->sequence = ++n->sequence[to];
	m->generation = generation;
	m->has = SIGNAL_HAS_CREDENTIALS | SIGNAL_HAS_REASON;
	m->reason = SIGNAL_REASON_start;
	memcpy(m->session, session, sizeof(m->session));
	if (type == SIGNAL_ANSWER) {
		m->has |= SIGNAL_HAS_ANSWERED;
		memcpy(m->answered, session, sizeof(m->answered));
	}
	memcpy(m->ufrag, "ffffff", 7);
	memcpy(m->pwd, "pffffff", 8);
	pool_send(w, n, n->home == PEER_NO_SERVER ? 0 : n->home, p);
}

void inject_event(struct world *w, unsigned node, unsigned peer, enum peer_event_type type,
		  struct peer_path_ref path, bool up)
{
	remote_news(w, remote_of(w, node, peer), type, &path, up);
}
