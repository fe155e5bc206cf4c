/*
 * A relay server and the TCP streams that lead to it. A stream that is cut keeps its bytes and tries again,
 * ever more rarely, as TCP does; one whose address is gone (dead) reaches nobody and is told so by nobody.
 */
#include "tests/sim/sim.h"

#include <string.h>

#define RTO_FIRST    MS(200)
#define RTO_MOST     SECONDS(60)
#define WINDOW_PROBE MS(20)
#define HEALTH_EVERY SECONDS(25)
#define HEALTH_DEAD  SECONDS(60)

static void pump(struct world *w, const struct event *e);

static struct stream_way *way_of(struct stream *s, bool up)
{
	return up ? &s->up : &s->down;
}

static void clear(struct world *w, struct stream_way *v)
{
	for (; v->count; v->count--, v->head = (v->head + 1) % STREAM_ROOM)
		if (v->items[v->head].packet)
			packet_free(w, v->items[v->head].packet);
}

static void let_go(struct world *w, struct stream *s)
{
	if (s->client || s->server)
		return;
	clear(w, &s->up);
	clear(w, &s->down);
	s->used = false;
}

void stream_send(struct world *w, struct stream *s, bool up, struct item item)
{
	struct stream_way *v = way_of(s, up);
	uint64_t delay = w->server[s->number].delay + random_below(w, MS(2));

	/* Bounded queues: data is dropped first, what the protocol needs finds room. */
	if (v->count == STREAM_ROOM || (item.packet && v->count > STREAM_ROOM - 32)) {
		if (item.packet)
			packet_free(w, item.packet);
		return;
	}
	if (chance(w, w->way[s->node][s->node].loss)) /* retransmitted by TCP */
		delay += RTO_FIRST;
	item.ready = w->now + delay > v->last_ready ? w->now + delay : v->last_ready;
	v->last_ready = item.ready;
	v->items[(v->head + v->count++) % STREAM_ROOM] = item;
	if (v->pumping)
		return;
	v->pumping = true;
	v->retry = RTO_FIRST;
	world_at(w, item.ready, pump, s, s->id, up, 0);
}

static bool passes(const struct world *w, const struct stream *s)
{
	return !s->dead && node_reaches(w, s->node, s->number);
}

static void reset_arrives(struct world *w, const struct event *e)
{
	struct stream *s = e->subject;

	if (!s->used || s->id != e->a || !s->client)
		return;
	if (!passes(w, s))
		return; /* lost; the next thing that we send is answered by another */
	s->client = false;
	pool_closed(w, &w->node[s->node], s);
	let_go(w, s);
}

/* The other end holds nothing of this connection: it says so. */
static void reset(struct world *w, struct stream *s)
{
	world_at(w, w->now + w->server[s->number].delay, reset_arrives, s, s->id, 0, 0);
}

static void tell_presence(struct world *w, unsigned server, unsigned about, enum item_kind kind,
			  uint64_t later);

static void say_later(struct world *w, const struct event *e)
{
	tell_presence(w, (unsigned)e->a, (unsigned)e->b, (enum item_kind)e->c, 0);
}

static void tell_presence(struct world *w, unsigned server, unsigned about, enum item_kind kind,
			  uint64_t later)
{
	struct server *v = &w->server[server];

	if (later) {
		world_at(w, w->now + later, say_later, NULL, server, about, kind);
		return;
	}
	for (unsigned i = 0; i < w->nodes; i++)
		if (v->subscribed[i][about] && v->session[i])
			stream_send(w, v->session[i], false, (struct item){.kind = kind, .peer = about});
}

static void end_session(struct world *w, struct stream *s)
{
	struct server *v = &w->server[s->number];

	s->server = false;
	if (v->session[s->node] == s) {
		v->session[s->node] = NULL;
		memset(v->subscribed[s->node], 0, sizeof(v->subscribed[s->node]));
		tell_presence(w, s->number, s->node, ITEM_OFFLINE, 0);
	}
}

static void check_health(struct world *w, const struct event *e)
{
	struct stream *s = e->subject;

	if (!s->used || s->id != e->a || !s->server)
		return;
	if (w->now - s->last_heard > HEALTH_DEAD) {
		world_say(w, "server %u gives up the silent session of %c", s->number, node_letter(s->node));
		end_session(w, s);
		if (s->client)
			reset(w, s);
		let_go(w, s);
		return;
	}
	stream_send(w, s, false, (struct item){.kind = ITEM_HEALTH});
	world_at(w, w->now + HEALTH_EVERY, check_health, s, s->id, 0, 0);
}

static void log_in(struct world *w, struct stream *s)
{
	struct server *v = &w->server[s->number];
	struct stream *old = v->session[s->node];

	if (v->refuses[s->node]) {
		stream_send(w, s, false, (struct item){.kind = ITEM_REFUSED});
		return;
	}
	if (old && old != s) {
		/* One identity, one session: the newer one replaces the older, which may be a ghost. */
		v->session[s->node] = NULL;
		old->server = false;
		if (old->client)
			reset(w, old);
		memset(v->subscribed[s->node], 0, sizeof(v->subscribed[s->node]));
		tell_presence(w, s->number, s->node, ITEM_OFFLINE, v->disorder ? MS(5) : 0);
		let_go(w, old);
	}
	v->session[s->node] = s;
	stream_send(w, s, false, (struct item){.kind = ITEM_WELCOME});
	tell_presence(w, s->number, s->node, ITEM_ONLINE, 0);
	world_at(w, w->now + HEALTH_EVERY, check_health, s, s->id, 0, 0);
}

static void server_take(struct world *w, struct stream *s, struct item *item)
{
	struct server *v = &w->server[s->number];
	struct stream *to;

	s->last_heard = w->now;
	switch (item->kind) {
	case ITEM_LOGIN:
		log_in(w, s);
		break;
	case ITEM_SUBSCRIBE:
		v->subscribed[s->node][item->peer] = true;
		if (v->session[item->peer])
			stream_send(w, s, false, (struct item){.kind = ITEM_ONLINE, .peer = item->peer});
		break;
	case ITEM_TRANSPORT:
		to = v->session[item->peer];
		if (to && v->session[s->node] == s && !v->deaf && !v->deaf_to[s->node])
			stream_send(w, to, false,
				    (struct item){
					    .kind = ITEM_TRANSPORT, .peer = s->node, .packet = item->packet});
		else
			packet_free(w, item->packet);
		item->packet = NULL;
		break;
	case ITEM_PING:
		stream_send(w, s, false, (struct item){.kind = ITEM_PONG, .number = item->number});
		break;
	case ITEM_CLOSE:
		end_session(w, s);
		break;
	default:
		break;
	}
	if (item->packet)
		packet_free(w, item->packet);
}

/* What is ready goes over, in order; nothing does while packets do not pass. */
static void pump(struct world *w, const struct event *e)
{
	struct stream *s = e->subject;
	bool up = e->b;
	struct stream_way *v = way_of(s, up);
	uint64_t id = e->a;

	if (!s->used || s->id != id)
		return;
	v->pumping = false;
	while (v->count && v->items[v->head].ready <= w->now) {
		struct item item = v->items[v->head];

		if (passes(w, s) && !up && w->server[s->number].slow[s->node]) {
			v->pumping = true; /* its window is closed; it opens at once when it reads again */
			world_at(w, w->now + WINDOW_PROBE, pump, s, id, up, 0);
			return;
		}
		if (!passes(w, s)) {
			v->pumping = true;
			v->retry = v->retry * 2 < RTO_MOST ? v->retry * 2 : RTO_MOST;
			world_at(w, w->now + v->retry, pump, s, id, up, 0);
			return;
		}
		v->retry = RTO_FIRST;
		v->head = (v->head + 1) % STREAM_ROOM;
		v->count--;
		if (up && s->server)
			server_take(w, s, &item);
		else if (!up && s->client)
			pool_take(w, &w->node[s->node], s, &item);
		else if (item.packet)
			packet_free(w, item.packet);
		if (up && !s->server && s->client)
			reset(w, s);
		let_go(w, s);
		if (!s->used || s->id != id)
			return;
	}
	if (v->count && !v->pumping) {
		v->pumping = true;
		world_at(w, v->items[v->head].ready, pump, s, id, up, 0);
	}
}

struct stream *stream_open(struct world *w, unsigned node, unsigned server)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		struct stream *s = &w->streams[i];

		if (s->used)
			continue;
		memset(s, 0, offsetof(struct stream, up));
		s->up.count = s->down.count = 0;
		s->up.pumping = s->down.pumping = false;
		s->up.last_ready = s->down.last_ready = 0;
		s->used = s->client = s->server = true;
		s->id = w->next_id++;
		s->node = node;
		s->number = server;
		s->last_heard = w->now;
		return s;
	}
	world_fail(w, "more relay connections than can be (%d): redialled in a loop", STREAMS_MAX);
	return NULL;
}

/* Nobody hears the farewell of a dead stream; the server finds out by its health check. */
static void ghost_ends(struct world *w, const struct event *e)
{
	struct stream *s = e->subject;

	if (!s->used || s->id != e->a || s->client)
		return;
	if (s->server)
		end_session(w, s);
	let_go(w, s);
}

void stream_leave(struct world *w, struct stream *s)
{
	struct server *v = &w->server[s->number];

	if (s->server && !s->dead && v->session[s->node] == s && passes(w, s))
		v->resets++;
	if (s->server)
		stream_send(w, s, true, (struct item){.kind = ITEM_CLOSE});
	s->client = false;
	if (s->server)
		world_at(w, w->now + HEALTH_DEAD + HEALTH_EVERY, ghost_ends, s, s->id, 0, 0);
	let_go(w, s);
}

void server_start(struct world *w, unsigned server)
{
	struct server *v = &w->server[server];

	v->listening = true;
	v->absent = false;
	v->incarnation++;
	world_say(w, "server %u listens", server);
}

void server_stop(struct world *w, unsigned server, bool silently)
{
	struct server *v = &w->server[server];

	world_say(w, "server %u stops%s", server, silently ? " without a word" : "");
	v->listening = false;
	v->absent = silently;
	memset(v->session, 0, sizeof(v->session));
	memset(v->subscribed, 0, sizeof(v->subscribed));
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		struct stream *s = &w->streams[i];

		if (!s->used || s->number != server || !s->server)
			continue;
		s->server = false;
		if (s->client && !silently)
			reset(w, s);
		let_go(w, s);
	}
}

void server_kick(struct world *w, unsigned server, unsigned node)
{
	struct stream *s = w->server[server].session[node];

	if (!s)
		return;
	end_session(w, s);
	if (s->client)
		reset(w, s);
	let_go(w, s);
}

void streams_die(struct world *w, unsigned node, unsigned server)
{
	for (unsigned i = 0; i < STREAMS_MAX; i++) {
		struct stream *s = &w->streams[i];

		if (s->used && s->node == node && (server == SERVERS_MAX || s->number == server))
			s->dead = true;
	}
}
