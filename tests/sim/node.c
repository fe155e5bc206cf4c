/*
 * An engine, as the controller sees it: it steps the machines, one event at a time with all actions of each,
 * gathers their facts, carries frames and finds the way for each datagram.
 */
#include "tests/sim/sim.h"

#include <string.h>

#define WINDOW	     256
#define TRAFFIC_REST MS(100)
#define PENDING_MOST 256
#define DIRECT_HEARD                                                                                         \
	SECONDS(2) /* a frame from elsewhere moves no endpoint that the tunnel was heard from since */

static struct {
	struct remote *r;
	uint64_t incarnation;
	struct peer_event ev;
	struct message *message;
	struct place source;
	bool has_source;
} pending[PENDING_MOST];

static struct peer_actions actions;

char node_letter(unsigned node)
{
	return (char)('A' + node);
}

struct remote *remote_of(struct world *w, unsigned node, unsigned peer)
{
	return &w->node[node].remote[peer];
}

struct counts *remote_counts(struct remote *r, const struct peer_path_ref *path)
{
	if (path->kind == PATH_KIND_DIRECT)
		return &r->direct;
	if (path->kind == PATH_KIND_RELAY)
		return path->id < SERVERS_MAX ? &r->relay[path->id] : NULL;
	for (unsigned i = 0; i < AGENTS_MAX; i++)
		if (r->agents[i].id && r->agents[i].generation == path->generation)
			return &r->ice[i];
	return NULL;
}

static void path_facts(struct remote *r, struct tunnel_facts *f, struct peer_path_ref path)
{
	struct counts *c = remote_counts(r, &path);
	enum peer_slot s = peer_find_slot(r->m, &path);

	if (s < PEER_SLOTS && c)
		f->paths[s] = (struct tunnel_path_facts){path, c->last_received, c->last_sent, c->received,
							 c->sent};
}

void remote_facts(struct world *w, struct remote *r, struct tunnel_facts *f)
{
	struct tunnel *t = &r->t;

	*f = (struct tunnel_facts){
		.device_up = r->node->up,
		.usable = tunnel_usable(w, r),
		.attempt = t->attempt,
		.last_received = t->last_received,
		.last_sent = t->last_sent,
		.last_handshake = t->last_handshake,
		.unanswered_since = t->unanswered_since,
		.sent = t->sent,
		.received = t->received,
		.wants = t->staged || t->persistent,
	};
	path_facts(r, f, (struct peer_path_ref){PATH_KIND_DIRECT, 0, r->endpoint_generation});
	for (unsigned i = 0; i < AGENTS_MAX; i++)
		if (r->agents[i].id)
			path_facts(r, f, (struct peer_path_ref){PATH_KIND_ICE, 0, r->agents[i].generation});
	for (unsigned i = 0; i < w->servers; i++)
		if (r->node->lines[i].state == LINE_UP)
			path_facts(r, f,
				   (struct peer_path_ref){PATH_KIND_RELAY, i, r->node->lines[i].generation});
}

/* ---- events and steps ---- */

static void timer(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct peer_event ev = {.type = PEER_EV_TIMER};

	if (!r->m || !r->node->up || r->timer != e->a || r->node->incarnation != e->b)
		return;
	if (r->node->suspended) { /* nothing runs until the machine wakes */
		world_at(w, r->node->woken_at, timer, r, e->a, e->b, 0);
		return;
	}
	r->timer_at = 0;
	remote_event(w, r, &ev, NULL, NULL);
}

void remote_refresh_timer(struct world *w, struct remote *r)
{
	uint64_t at = peer_deadline(r->m);

	if (at && at < w->now)
		at = w->now;
	if (at == r->timer_at)
		return;
	r->timer_at = at;
	r->timer++;
	if (at)
		world_at(w, at, timer, r, r->timer, r->node->incarnation, 0);
}

static void traffic_rests(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct peer_look look;

	if (!r->m || r->node->incarnation != e->a || !r->traffic)
		return;
	peer_look(r->m, &look);
	if (look.watch == PEER_WATCH_OFF || look.watch == PEER_WATCH_RESTING)
		r->traffic = false;
	else
		world_at(w, w->now + TRAFFIC_REST, traffic_rests, r, e->a, 0, 0);
}

static void step(struct world *w, struct remote *r, const struct peer_event *ev, const struct place *source)
{
	struct tunnel_facts facts;

	w->steps++;
	if (ev->type == PEER_EV_ARRIVED) {
		struct counts *c = remote_counts(r, &ev->path);

		if (c)
			c->arrived = false;
		if (ev->path.kind == r->chosen.kind && ev->path.id == r->chosen.id &&
		    ev->path.generation == r->chosen.generation)
			return;
	}
	/* What is due anyhow comes first, so that I1 and I2 see what the stale result or the offer alone
	 * does. */
	for (unsigned i = event_is_stale(r, ev) ? 4 : event_negotiates(ev); i && !w->failed; i--) {
		struct peer_event due = {.type = PEER_EV_TIMER};

		w->ahead = true;
		step(w, r, &due, NULL);
		w->ahead = false;
	}
	remote_facts(w, r, &facts);
	invariants_before(w, r, ev, &facts);
	peer_step(r->m, ev, &facts, w->now, &actions);
	if (w->verbose && ev->type != PEER_EV_TIMER && ev->type != PEER_EV_TRAFFIC &&
	    ev->type != PEER_EV_FRAME)
		world_say(w, "%c>%c: event %s (%s %u/%u) %s", node_letter(r->node->number),
			  node_letter(r->peer), peer_event_name(ev->type), path_kind_name(ev->path.kind),
			  ev->path.id, ev->path.generation, ev->up ? "up" : "");
	if (ev->type == PEER_EV_TRAFFIC)
		world_at(w, w->now + TRAFFIC_REST, traffic_rests, r, r->node->incarnation, 0, 0);
	for (unsigned i = 0; i < actions.count && !w->failed; i++)
		remote_perform(w, r, &actions.items[i], ev, source);
	if (!w->failed)
		invariants_after(w, r, ev, &facts, &actions);
	if (r->m)
		remote_refresh_timer(w, r);
}

static void drain_pending(struct world *w)
{
	for (unsigned i = 0; i < w->pending_count; i++) {
		struct remote *r = pending[i].r;

		if (!w->failed && r->m && r->node->incarnation == pending[i].incarnation)
			step(w, r, &pending[i].ev, pending[i].has_source ? &pending[i].source : NULL);
		if (pending[i].message)
			message_drop(w, pending[i].message);
	}
	w->pending_count = 0;
}

void remote_event(struct world *w, struct remote *r, const struct peer_event *ev, struct message *message,
		  const struct place *source)
{
	unsigned i = w->pending_count;

	if (!r->m || w->failed)
		return;
	if (i == PENDING_MOST) {
		world_fail(w, "%c>%c: events cause events without end", node_letter(r->node->number),
			   node_letter(r->peer));
		return;
	}
	w->pending_count++;
	pending[i].r = r;
	pending[i].incarnation = r->node->incarnation;
	pending[i].ev = *ev;
	pending[i].message = message;
	pending[i].has_source = source;
	if (source)
		pending[i].source = *source;
	if (message)
		message->users++;
	if (w->stepping)
		return;
	w->stepping = true;
	drain_pending(w);
	w->stepping = false;
}

void remote_news(struct world *w, struct remote *r, enum peer_event_type type,
		 const struct peer_path_ref *path, bool up)
{
	struct peer_event ev = {.type = type, .path = *path, .up = up, .known = up};

	remote_event(w, r, &ev, NULL, NULL);
}

void remote_settings(struct world *w, struct remote *r)
{
	struct peer_event ev = {.type = PEER_EV_SETTINGS, .settings = &r->settings};

	r->settings.home = r->node->home;
	remote_event(w, r, &ev, NULL, NULL);
}

void remote_command(struct world *w, struct remote *r, enum peer_command c)
{
	struct peer_event ev = {.type = PEER_EV_COMMAND, .command = c};

	remote_event(w, r, &ev, NULL, NULL);
}

/* ---- frames ---- */

static bool guarded(struct guard *g, const struct signal_message *m, bool *new_boot)
{
	uint64_t behind;

	*new_boot = false;
	if (m->boot != g->boot) {
		if (m->started <= g->started)
			return false;
		*g = (struct guard){.boot = m->boot, .started = m->started};
		*new_boot = true;
	}
	if (m->sequence > g->newest) {
		for (; g->newest < m->sequence; g->newest++)
			g->window[(g->newest + 1) % WINDOW / 64] &= ~(1ull << (g->newest + 1) % 64);
		g->window[m->sequence % WINDOW / 64] |= 1ull << m->sequence % 64;
		return true;
	}
	behind = g->newest - m->sequence;
	if (behind >= WINDOW || g->window[m->sequence % WINDOW / 64] >> m->sequence % 64 & 1)
		return false;
	g->window[m->sequence % WINDOW / 64] |= 1ull << m->sequence % 64;
	return true;
}

/* An authentic frame shows where the peer is, as the engine takes it; the tunnel's packets are the better
 * proof. */
static void learn_address(struct world *w, struct remote *r, const struct packet *p,
			  const struct peer_path_ref *path)
{
	bool known = r->endpoint_known;
	bool chosen = r->chosen.kind == PATH_KIND_DIRECT;

	if (known && r->endpoint.host == p->source.host && r->endpoint.port == p->source.port)
		return;
	if (chosen && r->direct.last_received && w->now - r->direct.last_received < DIRECT_HEARD)
		return;
	r->endpoint = p->source;
	r->endpoint_known = true;
	if (chosen)
		r->route = *path;
	remote_news(w, r, known ? PEER_EV_ROAMED : PEER_EV_ENDPOINT, path, true);
}

void remote_take_frame(struct world *w, struct remote *r, struct packet *p, const struct peer_path_ref *path)
{
	const struct signal_message *m = &p->message->m;
	struct peer_event ev = {.type = PEER_EV_FRAME, .path = *path, .message = m};
	unsigned server = 0;

	if (p->to != r->node->number || !guarded(&r->guard, m, &ev.new_boot)) {
		packet_free(w, p);
		return;
	}
	world_say(w, "%c>%c: took %s by %s %u/%u%s", node_letter(r->node->number), node_letter(r->peer),
		  signal_type_name(m->type), path_kind_name(path->kind), path->id, path->generation,
		  ev.new_boot ? " of a new boot" : "");
	if (path->kind == PATH_KIND_RELAY)
		r->witness.heard_on_relay[path->id] = w->now;
	if (path->kind == PATH_KIND_DIRECT)
		learn_address(w, r, p, path);
	if (m->has & SIGNAL_HAS_RELAY && m->type != SIGNAL_RELAY_OPEN && m->type != SIGNAL_RELAY_OPENED) {
		server = (unsigned)(m->relay[6] - '0');
		if (server < w->servers && r->remote_relay != server) {
			struct peer_path_ref named = {PATH_KIND_RELAY, server,
						      r->node->lines[server].generation};

			r->remote_relay = server;
			remote_news(w, r, PEER_EV_REMOTE_RELAY, &named, true);
		}
	}
	remote_event(w, r, &ev, p->message, &p->source);
	packet_free(w, p);
}

/* ---- datagrams ---- */

bool remote_send(struct world *w, struct remote *r, const struct peer_path_ref *path, const struct place *to,
		 struct packet *p)
{
	struct counts *c = p->kind <= DATA ? remote_counts(r, path) : NULL;
	struct agent *a;

	if (c) {
		c->sent++;
		c->last_sent = w->now;
	}
	switch (path->kind) {
	case PATH_KIND_DIRECT:
		if (!to && !r->endpoint_known)
			break;
		/* An answer leaves by the port that was asked. */
		udp_send(w, r->node, to ? r->heard_on : r->port, to ? *to : r->endpoint, p);
		return true;
	case PATH_KIND_ICE:
		a = ice_find(r, path->generation);
		if (!a || (!a->selected && !to))
			break;
		udp_send(w, r->node, a->port,
			 to		    ? *to
			 : p->kind == FRAME ? a->pairs[a->chosen].target
					    : a->data_target,
			 p);
		return true;
	case PATH_KIND_RELAY:
		if (path->id >= w->servers || r->node->lines[path->id].generation != path->generation)
			break;
		return pool_send(w, r->node, path->id, p);
	default:
		break;
	}
	packet_free(w, p);
	return false;
}

static void deliver(struct world *w, struct remote *r, struct packet *p, const struct peer_path_ref *path)
{
	if (p->kind == FRAME) {
		remote_take_frame(w, r, p, path);
		return;
	}
	tunnel_receive(w, r, p, path);
	packet_free(w, p);
}

void node_receive(struct world *w, struct node *n, uint16_t port, struct packet *p)
{
	struct remote *r = p->from < w->nodes ? &n->remote[p->from] : NULL;

	for (unsigned i = 0; i < w->nodes; i++) {
		struct remote *o = &n->remote[i];

		for (unsigned k = 0; k < AGENTS_MAX; k++) {
			struct agent *a = &o->agents[k];
			struct peer_path_ref path = {PATH_KIND_ICE, 0, a->generation};

			if (!a->id || a->port != port || !o->m)
				continue;
			if (p->kind <= FRAME && i == p->from) {
				deliver(w, o, p, &path);
				return;
			}
			ice_receive(w, o, a, p);
			packet_free(w, p);
			return;
		}
	}
	if (r && r->m && p->kind <= FRAME && (port == MAIN_PORT || port == r->port)) {
		/* What comes to the old port proves nothing about a fresh one (engine/paths_ref.c). */
		bool old = port != r->port;
		struct peer_path_ref path = {PATH_KIND_DIRECT, 0, r->endpoint_generation - old};

		r->heard_on = port;
		deliver(w, r, p, &path);
		return;
	}
	packet_free(w, p);
}

/* ---- life ---- */

static void start_remote(struct world *w, struct node *n, unsigned peer, bool remembers)
{
	struct remote *r = &n->remote[peer];
	struct remote old = *r;
	struct peer_event ev = {.type = PEER_EV_START};
	struct peer_path_ref direct;

	memset(r, 0, sizeof(*r));
	r->node = n;
	r->peer = peer;
	r->t.psk = old.t.psk;
	r->t.persistent = old.t.persistent;
	/* What the schedule looks at lives on; so does the configuration. */
	r->heard_at = old.heard_at;
	r->configured = old.configured;
	r->configured_endpoint = old.configured_endpoint;
	if (remembers && old.endpoint_known) {
		r->endpoint_known = true;
		r->endpoint = old.endpoint;
	} else if (r->configured) {
		r->endpoint_known = true;
		r->endpoint = r->configured_endpoint;
	}
	r->endpoint_generation = 1;
	r->port = MAIN_PORT;
	r->remote_relay = PEER_NO_SERVER;
	if (r->endpoint_known)
		r->route = (struct peer_path_ref){PATH_KIND_DIRECT, 0, 1};
	r->settings = old.settings;
	r->settings.controlling = n->number > peer;
	r->settings.ice = w->ice;
	r->settings.home = PEER_NO_SERVER;
	r->settings.full_size = 1452;
	for (unsigned i = 0; i < PEER_RELAYS_MAX; i++)
		r->settings.servers[i] = i < w->servers ? i : PEER_NO_SERVER;
	r->m = peer_machine_new(&r->settings, random_u64(w), 1);
	remote_event(w, r, &ev, NULL, NULL);
	direct = (struct peer_path_ref){PATH_KIND_DIRECT, 0, r->endpoint_generation};
	remote_news(w, r, PEER_EV_ENDPOINT, &direct, r->endpoint_known);
	tunnel_start(w, r);
}

void node_start(struct world *w, struct node *n, bool remembers)
{
	uint64_t wall = (uint64_t)((int64_t)w->now + n->wall_offset);

	n->incarnation++;
	n->up = true;
	n->boot = w->next_id++ << 8 | 1;
	n->started = wall > n->started_floor ? wall : n->started_floor + 1;
	n->started_floor = n->started;
	n->next_port = (uint16_t)random_between(w, 20000, 40000);
	memset(n->sequence, 0, sizeof(n->sequence));
	world_say(w, "%c starts (%s)", node_letter(n->number),
		  n->nat ? nat_kind_name(n->nat->kind) : "no NAT");
	for (unsigned i = 0; i < w->nodes; i++)
		if (i != n->number)
			start_remote(w, n, i, remembers);
	pool_start(w, n);
}

static void end(struct world *w, struct node *n)
{
	n->up = false;
	pool_stop(w, n);
	for (unsigned i = 0; i < w->nodes; i++) {
		struct remote *r = &n->remote[i];

		for (unsigned k = 0; k < AGENTS_MAX; k++)
			r->agents[k].id = 0;
		for (unsigned k = 0; k < 4; k++) {
			if (r->keep[k].message)
				message_drop(w, r->keep[k].message);
			r->keep[k].message = NULL;
		}
		if (r->m)
			peer_machine_free(r->m);
		r->m = NULL;
	}
}

void node_crash(struct world *w, struct node *n)
{
	if (!n->up)
		return;
	world_say(w, "%c is killed", node_letter(n->number));
	end(w, n);
}

void node_stop(struct world *w, struct node *n, bool restarts)
{
	struct peer_event ev = {.type = PEER_EV_STOP, .restarts = restarts};

	if (!n->up)
		return;
	world_say(w, "%c stops in order", node_letter(n->number));
	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].m)
			remote_event(w, &n->remote[i], &ev, NULL, NULL);
	end(w, n);
}

void node_network_changed(struct world *w, struct node *n)
{
	struct peer_event ev = {.type = PEER_EV_NETWORK};

	if (!n->up || n->suspended)
		return;
	world_say(w, "%c hears of a change of its network", node_letter(n->number));
	pool_network_changed(w, n);
	for (unsigned i = 0; i < w->nodes; i++)
		if (n->remote[i].m)
			remote_event(w, &n->remote[i], &ev, NULL, NULL);
}

static void wake(struct world *w, const struct event *e)
{
	struct node *n = e->subject;

	if (!n->suspended || n->woken_at != w->now)
		return; /* somebody woke it before */
	n->suspended = false;
	world_say(w, "%c wakes", node_letter(n->number));
	if (n->incarnation == e->a)
		node_network_changed(w, n);
}

void node_suspend(struct world *w, struct node *n, uint64_t duration)
{
	if (!n->up || n->suspended)
		return;
	world_say(w, "%c is suspended for %.1f s", node_letter(n->number), (double)duration / 1e9);
	n->suspended = true;
	n->woken_at = w->now + duration;
	world_at(w, n->woken_at, wake, n, n->incarnation, 0, 0);
}
