/* The relay client of one node, as relay/pool.h promises it: home and foreign servers, dialled again for
 * ever. */
#include "tests/sim/sim.h"

#include <string.h>

#define DIAL_LIMIT   SECONDS(5)
#define SYN_EVERY    MS(700)
#define LIMITS	     3
#define CHECK_LIMIT  SECONDS(1)
#define HEALTH_LIMIT SECONDS(60)
#define LINGER	     SECONDS(30)

/* For TLS, the upgrade and the login; more with each try in a row that got no answer. */
static const uint64_t login_limits[LIMITS] = {MS(1500), MS(2500), SECONDS(5)};

static void dial(struct world *w, struct node *n, unsigned server);

static uint64_t token(const struct node *n, unsigned server)
{
	return n->incarnation << 8 | server;
}

static struct line *line_of(struct world *w, const struct event *e, struct node **n, unsigned *server)
{
	*n = e->subject;
	*server = (unsigned)(e->a & 0xff);
	(void)w;
	if (!(*n)->up || (*n)->incarnation != e->a >> 8 || (*n)->lines[*server].turn != e->b)
		return NULL;
	return &(*n)->lines[*server];
}

static void set_state(struct world *w, struct line *l, enum line_state state)
{
	l->state = state;
	l->turn++;
	l->since = w->now;
}

static bool wanted(const struct node *n, unsigned server)
{
	return n->lines[server].holders || n->home == server || n->home == PEER_NO_SERVER;
}

/* A controller hears of the servers that it holds, and of the home. */
static void tell(struct world *w, struct node *n, unsigned server, bool up)
{
	struct peer_path_ref path = {PATH_KIND_RELAY, server, n->lines[server].generation};

	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].m && (n->remote[i].held[server] || n->home == server))
			remote_news(w, &n->remote[i], PEER_EV_RELAY, &path, up);
}

static void home_changed(struct world *w, struct node *n)
{
	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].m)
			remote_settings(w, &n->remote[i]);
}

static void wait_over(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;

	if (line_of(w, e, &n, &server))
		dial(w, n, server);
}

static void plan(struct world *w, struct node *n, unsigned server)
{
	static const uint64_t waits[] = {0, MS(500), SECONDS(1), SECONDS(2)};
	struct line *l = &n->lines[server];
	uint64_t wait;

	if (!wanted(n, server)) {
		set_state(w, l, LINE_IDLE);
		return;
	}
	if (l->refused)
		wait = SECONDS(5) << (l->failures < 4 ? l->failures : 4);
	else
		wait = waits[l->failures < 3 ? l->failures : 3];
	if (wait > SECONDS(60))
		wait = SECONDS(60);
	l->failures++;
	wait -= random_below(w, wait / 4 + 1);
	/* From the start of the dial on: one that waited for its timeout has waited enough. */
	uint64_t at = l->refused ? w->now + wait : l->dialled + wait;
	set_state(w, l, LINE_WAITING);
	world_at(w, at > w->now ? at : w->now, wait_over, n, token(n, server), l->turn, 0);
}

static void lost(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];
	bool was_up = l->state == LINE_UP;

	if (l->stream) {
		struct stream *s = l->stream;

		l->stream = NULL;
		if (s->client)
			stream_leave(w, s);
	}
	l->checking = false;
	memset(l->online, 0, sizeof(l->online));
	if (was_up) {
		l->failures = 0;
		world_say(w, "%c lost server %u (generation %u)", node_letter(n->number), server,
			  l->generation);
	}
	plan(w, n, server);
	if (was_up)
		tell(w, n, server, false);
	if (was_up && n->home == server) {
		n->home = PEER_NO_SERVER;
		for (unsigned i = 0; i < w->servers; i++)
			if (n->lines[i].state == LINE_IDLE || n->lines[i].state == LINE_WAITING)
				dial(w, n, i);
		for (unsigned i = 0; i < w->servers && n->home == PEER_NO_SERVER; i++)
			if (n->lines[i].state == LINE_UP)
				n->home = i;
		home_changed(w, n);
	}
}

static void dial_ends(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;

	if (line_of(w, e, &n, &server))
		lost(w, n, server);
}

static void login_ends(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;
	struct line *l = line_of(w, e, &n, &server);

	if (!l)
		return;
	l->slow++;
	lost(w, n, server);
}

static void try_connect(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;
	struct line *l = line_of(w, e, &n, &server);
	uint64_t delay;

	if (!l)
		return;
	delay = 2 * w->server[server].delay;
	if (!node_reaches(w, n->number, server)) {
		/* another connection is tried beside the silent one */
		world_at(w, w->now + SYN_EVERY, try_connect, n, e->a, e->b, 0);
		return;
	}
	if (!w->server[server].listening) {
		world_at(w, w->now + delay, dial_ends, n, e->a, e->b, 0);
		return;
	}
	l->stream = stream_open(w, n->number, server);
	if (!l->stream)
		return;
	set_state(w, l, LINE_LOGGING_IN);
	/* TCP, TLS and the upgrade take three round trips, the first of which is the SYN. */
	l->stream->up.last_ready = w->now + 3 * delay;
	stream_send(w, l->stream, true, (struct item){.kind = ITEM_LOGIN});
	world_at(w, w->now + delay + login_limits[l->slow < LIMITS ? l->slow : LIMITS - 1], login_ends, n,
		 token(n, server), l->turn, 0);
}

static void dial(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];

	set_state(w, l, LINE_DIALLING);
	l->dialled = w->now;
	world_at(w, w->now, try_connect, n, token(n, server), l->turn, 0);
	world_at(w, w->now + DIAL_LIMIT, dial_ends, n, token(n, server), l->turn, 0);
}

/* Whatever was being tried is given up for a new try. */
static void dial_anew(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];

	if (l->stream && l->stream->client)
		stream_leave(w, l->stream);
	l->stream = NULL;
	dial(w, n, server);
}

static void watch_health(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;
	struct line *l = line_of(w, e, &n, &server);

	if (!l)
		return;
	if (w->now - l->last_heard > HEALTH_LIMIT)
		lost(w, n, server);
	else
		world_at(w, w->now + SECONDS(10), watch_health, n, e->a, e->b, 0);
}

static void linger_ends(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;
	struct line *l = line_of(w, e, &n, &server);

	if (l && !wanted(n, server))
		lost(w, n, server);
}

static void came_up(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];
	bool home = n->home == PEER_NO_SERVER;

	l->generation++;
	l->failures = l->slow = 0;
	l->refused = false;
	l->last_heard = w->now;
	set_state(w, l, LINE_UP);
	world_say(w, "%c is logged in at server %u (generation %u)", node_letter(n->number), server,
		  l->generation);
	world_at(w, w->now + SECONDS(10), watch_health, n, token(n, server), l->turn, 0);
	if (home)
		n->home = server;
	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].held[server])
			stream_send(w, l->stream, true, (struct item){.kind = ITEM_SUBSCRIBE, .peer = i});
	if (home)
		home_changed(w, n);
	tell(w, n, server, true);
	if (home)
		for (unsigned i = 0; i < w->servers; i++)
			if (i != server && !wanted(n, i) && n->lines[i].state == LINE_UP)
				world_at(w, w->now + LINGER, linger_ends, n, token(n, i), n->lines[i].turn,
					 0);
	if (!wanted(n, server))
		world_at(w, w->now + LINGER, linger_ends, n, token(n, server), l->turn, 0);
}

static void check_ends(struct world *w, const struct event *e)
{
	struct node *n;
	unsigned server;
	struct line *l = line_of(w, e, &n, &server);
	struct peer_path_ref path;

	if (!l || !l->checking || l->check != e->c)
		return;
	path = (struct peer_path_ref){PATH_KIND_RELAY, server, l->generation};
	world_say(w, "%c: server %u did not answer a check", node_letter(n->number), server);
	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].m && n->remote[i].held[server])
			remote_news(w, &n->remote[i], PEER_EV_RELAY_CHECKED, &path, false);
	if (l->state == LINE_UP && l->generation == path.generation)
		lost(w, n, server);
}

void pool_take(struct world *w, struct node *n, struct stream *s, const struct item *item)
{
	struct line *l = &n->lines[s->number];
	struct peer_path_ref path = {PATH_KIND_RELAY, s->number, l->generation};
	unsigned server = s->number;

	if (l->stream != s) {
		if (item->packet)
			packet_free(w, item->packet);
		return;
	}
	l->last_heard = w->now;
	switch (item->kind) {
	case ITEM_WELCOME:
		if (l->state == LINE_LOGGING_IN)
			came_up(w, n, server);
		break;
	case ITEM_REFUSED:
		l->refused = true;
		lost(w, n, server);
		break;
	case ITEM_ONLINE:
	case ITEM_OFFLINE:
		l->online[item->peer] = item->kind == ITEM_ONLINE;
		if (n->remote[item->peer].m && n->remote[item->peer].held[server])
			remote_news(w, &n->remote[item->peer], PEER_EV_PRESENCE, &path,
				    item->kind == ITEM_ONLINE);
		break;
	case ITEM_HEALTH:
		stream_send(w, s, true, (struct item){.kind = ITEM_HEALTHY});
		break;
	case ITEM_PONG:
		if (!l->checking || l->check != item->number)
			break;
		l->checking = false;
		for (unsigned i = 0; i < w->nodes; i++)
			if (n->remote[i].m && n->remote[i].held[server])
				remote_news(w, &n->remote[i], PEER_EV_RELAY_CHECKED, &path, true);
		break;
	case ITEM_TRANSPORT: {
		struct packet *p = item->packet;
		struct remote *r = &n->remote[item->peer];

		if (!r->m || !r->held[server]) /* nobody looks for the peer at this server */
			packet_free(w, p);
		else if (p->kind == FRAME)
			remote_take_frame(w, r, p, &path);
		else {
			tunnel_receive(w, r, p, &path);
			packet_free(w, p);
		}
		break;
	}
	default:
		break;
	}
}

void pool_closed(struct world *w, struct node *n, struct stream *s)
{
	if (n->lines[s->number].stream == s)
		lost(w, n, s->number);
}

void pool_start(struct world *w, struct node *n)
{
	n->home = PEER_NO_SERVER;
	for (unsigned i = 0; i < w->servers; i++) {
		/* Generations go on over restarts of the model, so that results of the dead are told from new
		 * ones. */
		n->lines[i] = (struct line){.generation = 0, .turn = n->lines[i].turn + 1};
		dial(w, n, i);
	}
}

void pool_stop(struct world *w, struct node *n)
{
	for (unsigned i = 0; i < w->servers; i++) {
		struct line *l = &n->lines[i];

		if (l->stream && l->stream->client)
			stream_leave(w, l->stream);
		l->stream = NULL;
		set_state(w, l, LINE_IDLE);
	}
	n->home = PEER_NO_SERVER;
}

void pool_hold(struct world *w, struct node *n, unsigned server, unsigned peer)
{
	struct line *l = &n->lines[server];
	struct remote *r = &n->remote[peer];
	struct peer_path_ref path = {PATH_KIND_RELAY, server, l->generation};

	if (server >= w->servers || r->held[server])
		return;
	r->held[server] = true;
	l->holders++;
	if (l->state == LINE_UP) {
		remote_news(w, r, PEER_EV_RELAY, &path, true);
		stream_send(w, l->stream, true, (struct item){.kind = ITEM_SUBSCRIBE, .peer = peer});
	} else if (l->state == LINE_IDLE) {
		l->failures = 0;
		dial(w, n, server);
	}
}

void pool_release(struct world *w, struct node *n, unsigned server, unsigned peer)
{
	struct line *l = &n->lines[server];
	struct remote *r = &n->remote[peer];

	if (server >= w->servers || !r->held[server])
		return;
	r->held[server] = false;
	l->holders--;
	if (!wanted(n, server))
		world_at(w, w->now + LINGER, linger_ends, n, token(n, server), l->turn, 0);
}

void pool_check(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];

	if (server >= w->servers || l->state != LINE_UP || l->checking)
		return;
	l->checking = true;
	l->check = w->next_id++;
	stream_send(w, l->stream, true, (struct item){.kind = ITEM_PING, .number = l->check});
	world_at(w, w->now + CHECK_LIMIT, check_ends, n, token(n, server), l->turn, l->check);
}

void pool_reopen(struct world *w, struct node *n, unsigned server, uint32_t generation)
{
	if (server < w->servers && n->lines[server].state == LINE_UP &&
	    n->lines[server].generation == generation)
		lost(w, n, server);
}

void pool_network_changed(struct world *w, struct node *n)
{
	for (unsigned i = 0; i < w->servers; i++) {
		n->lines[i].failures = 0;
		if (n->lines[i].state == LINE_UP)
			pool_check(w, n, i);
		else if (n->lines[i].state != LINE_IDLE)
			dial_anew(w, n, i);
	}
}

void pool_new_token(struct world *w, struct node *n, unsigned server)
{
	struct line *l = &n->lines[server];

	if (l->state == LINE_UP || l->state == LINE_IDLE)
		return;
	l->refused = false;
	l->failures = 0;
	dial_anew(w, n, server);
}

bool pool_send(struct world *w, struct node *n, unsigned server, struct packet *p)
{
	struct line *l = &n->lines[server];

	if (server >= w->servers || l->state != LINE_UP) {
		packet_free(w, p);
		return false;
	}
	stream_send(w, l->stream, true, (struct item){.kind = ITEM_TRANSPORT, .peer = p->to, .packet = p});
	return true;
}
