/* Payload: who sends to whom, and whether it arrives. */
#include "tests/sim/sim.h"

#define EVERY	      MS(100)
#define REQUEST_EVERY MS(300)
#define ANSWER	      0x80000000u

const char *pattern_name(enum pattern p)
{
	static const char *const names[TRAFFIC_PATTERNS] = {"no traffic", "both ways", "one way", "requests"};

	return names[p];
}

static void tick(struct world *w, const struct event *e)
{
	unsigned a = (unsigned)e->a, b = (unsigned)e->b;
	struct flow *f = &w->flow[a][b];
	bool requests = f->pattern == TRAFFIC_REQUESTS;

	if (f->turn != e->c || f->pattern == TRAFFIC_NONE)
		return;
	f->request = (f->request + 1) & 0x7fffffff;
	if (w->node[a].up && !w->node[a].suspended)
		tunnel_send(w, remote_of(w, a, b), f->request | 1);
	if (f->pattern == TRAFFIC_BOTH && w->node[b].up && !w->node[b].suspended)
		tunnel_send(w, remote_of(w, b, a), f->request | 1);
	world_at(w, w->now + (requests ? REQUEST_EVERY : EVERY), tick, NULL, a, b, f->turn);
}

void traffic_set(struct world *w, unsigned a, unsigned b, enum pattern p)
{
	struct flow *f = &w->flow[a][b];

	f->pattern = p;
	f->turn++;
	world_say(w, "traffic %c-%c: %s", node_letter(a), node_letter(b), pattern_name(p));
	world_at(w, w->now, tick, NULL, a, b, f->turn);
}

void traffic_heard(struct world *w, struct remote *r, uint32_t application)
{
	unsigned a = r->node->number, b = r->peer;

	uint64_t gap = w->now - r->heard_at;

	if (gap > r->longest_gap)
		r->longest_gap = gap;
	if (gap > MS(500) && r->heard_at)
		world_say(w, "%c>%c: payload comes in again after %.2f s", node_letter(a), node_letter(b),
			  (double)gap / 1e9);
	r->heard_at = w->now;
	r->heard++;
	if (b < a && w->flow[b][a].pattern == TRAFFIC_REQUESTS && !(application & ANSWER))
		tunnel_send(w, r, application | ANSWER);
	if (application & ANSWER)
		r->answered = w->now;
}

bool traffic_flows(const struct world *w, unsigned a, unsigned b, uint64_t since)
{
	const struct remote *x = &w->node[a].remote[b], *y = &w->node[b].remote[a];

	switch (w->flow[a][b].pattern) {
	case TRAFFIC_BOTH:
		return x->heard_at > since && y->heard_at > since;
	case TRAFFIC_ONE_WAY:
		return y->heard_at > since;
	case TRAFFIC_REQUESTS:
		return x->answered > since;
	default:
		return true;
	}
}
