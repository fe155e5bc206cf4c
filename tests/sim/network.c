/* Datagrams between nodes: through the sender's NAT, over a hostile way, through the receiver's NAT. */
#include "tests/sim/sim.h"

#define TURN_DELAY MS(25)

static bool is_wireguard(const struct packet *p)
{
	return p->kind <= DATA;
}

bool node_reaches(const struct world *w, unsigned node, unsigned server)
{
	const struct node *n = &w->node[node];

	return !n->down && !n->suspended && !w->cut[node][server] && !w->server[server].absent;
}

static struct node *owner_of(struct world *w, uint32_t host)
{
	for (unsigned i = 0; i < w->nodes; i++)
		if (w->node[i].lan_host == host)
			return &w->node[i];
	return NULL;
}

static void arrive_at(struct world *w, struct node *n, struct packet *p)
{
	if (!n || !n->up || n->down || n->suspended) {
		packet_free(w, p);
		return;
	}
	node_receive(w, n, p->target.port, p);
}

static void arrive_inside(struct world *w, const struct event *e)
{
	arrive_at(w, owner_of(w, (uint32_t)e->a), e->subject);
}

/* At the other end of the internet: a public host, or a NAT box. */
static void arrive(struct world *w, const struct event *e)
{
	struct packet *p = e->subject;
	struct node *n = NULL;

	for (unsigned i = 0; i < w->nodes; i++) {
		struct node *o = &w->node[i];

		if (!o->nat && o->lan_host == p->target.host && !o->no_udp)
			n = o;
		if (o->nat && o->nat->host == p->target.host) {
			if (nat_in(w, o->nat, &p->source, &p->target))
				n = owner_of(w, p->target.host);
			if (n && n->no_udp)
				n = NULL;
			break;
		}
	}
	arrive_at(w, n, p);
}

/* To a relayed address: the server hands it to the allocation's owner, whatever its NAT is. */
static void arrive_by_turn(struct world *w, struct packet *p)
{
	struct node *n = &w->node[p->target.host - TURN_HOST];

	if (!w->turn || n->no_udp) {
		packet_free(w, p);
		return;
	}
	p->source.turned = true;
	p->target.host = n->lan_host;
	arrive_at(w, n, p);
}

static void turn_takes(struct world *w, const struct event *e)
{
	arrive_by_turn(w, e->subject);
}

/* The node that a public address belongs to, for the way's weather; NODES_MAX: nobody's (a server, or a dead
 * end). */
static unsigned behind(const struct world *w, uint32_t host, unsigned meant)
{
	if (meant < w->nodes &&
	    ((w->node[meant].nat && w->node[meant].nat->host == host) || w->node[meant].lan_host == host))
		return meant;
	return NODES_MAX;
}

static void answer_stun(struct world *w, const struct event *e)
{
	struct packet *p = e->subject;
	unsigned server = (unsigned)e->a;
	struct packet *reply;

	if (!w->server[server].listening || w->server[server].absent) {
		packet_free(w, p);
		return;
	}
	reply = packet_new(w, STUN_REPLY, p->from, p->from, 60);
	reply->number = p->number;
	reply->mapped = p->source;
	reply->source = p->target;
	reply->target = p->source;
	packet_free(w, p);
	world_at(w, w->now + w->server[server].delay, arrive, reply, 0, 0, 0);
}

static void travel(struct world *w, struct packet *p, unsigned to)
{
	const struct way *v = &w->way[p->from][to];
	unsigned copies = 1 + chance(w, v->doubled);

	if (v->blocked || (v->no_wireguard && is_wireguard(p)) ||
	    (v->no_initiations && p->kind == INITIATION) ||
	    ((p->kind == CHECK || p->kind == CHECK_REPLY) && chance(w, v->no_stun)) ||
	    (v->limit && p->size > v->limit && p->whole) ||
	    (v->limit && p->size > v->limit && is_wireguard(p)))
		copies = 0;
	while (copies--) {
		uint64_t delay = v->delay + random_below(w, v->jitter + 1);

		if (chance(w, v->loss))
			continue;
		if (chance(w, v->late))
			delay += random_below(w, v->lateness + 1);
		world_at(w, w->now + delay, arrive, packet_copy(w, p), 0, 0, 0);
	}
	packet_free(w, p);
}

static void leave_turn(struct world *w, const struct event *e)
{
	struct packet *p = e->subject;

	if (p->target.host < TURN_HOST)
		arrive(w, e);
	else
		arrive_by_turn(w, p);
}

/* From our relayed address (RFC 8656): the server sends what our allocation is given. */
static void turn_send(struct world *w, struct node *n, uint16_t port, struct place to, struct packet *p)
{
	p->source = (struct place){.host = TURN_HOST + n->number, .port = port};
	p->target = (struct place){.host = to.host, .port = to.port};
	if (!w->turn || !n->up || n->down || n->suspended || n->no_udp)
		packet_free(w, p);
	else
		world_at(w, w->now + TURN_DELAY, leave_turn, p, 0, 0, 0);
}

void udp_send(struct world *w, struct node *n, uint16_t port, struct place to, struct packet *p)
{
	unsigned server = to.host - 300;

	if (to.turned) {
		turn_send(w, n, port, to, p);
		return;
	}
	p->source = (struct place){.host = n->lan_host, .port = port};
	p->target = to;
	if (!n->up || n->down || n->suspended || !to.host) {
		packet_free(w, p);
		return;
	}
	if (n->nat) {
		struct node *neighbour = owner_of(w, to.host);

		/* Private addresses mean something on the same LAN only. */
		if (to.host < 100) {
			if (neighbour && neighbour->nat == n->nat &&
			    !w->way[n->number][neighbour->number].blocked)
				world_at(w, w->now + MS(1), arrive_inside, p, to.host, 0, 0);
			else
				packet_free(w, p);
			return;
		}
		if (n->no_udp || (to.host == n->nat->host && !n->nat->hairpin) ||
		    !nat_out(w, n->nat, &p->source, &to)) {
			packet_free(w, p);
			return;
		}
	}
	if (n->no_udp || to.host < 100) {
		packet_free(w, p);
		return;
	}
	if (server < w->servers) {
		if (w->cut[n->number][server])
			packet_free(w, p);
		else
			world_at(w, w->now + w->server[server].delay, answer_stun, p, server, 0, 0);
		return;
	}
	if (to.host >= TURN_HOST && to.host < TURN_HOST + w->nodes) {
		world_at(w, w->now + TURN_DELAY, turn_takes, p, 0, 0, 0);
		return;
	}
	if (behind(w, to.host, p->to) == NODES_MAX)
		packet_free(w, p);
	else
		travel(w, p, p->to);
}
