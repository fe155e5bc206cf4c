/*
 * The controllers' keeper: one peer/ machine for each peer that is not plain, the queue of what happens to
 * them, and their deadlines in one heap with one timer. What they order is done in paths_act.c.
 */
#include "engine/paths.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"

#define EVENTS_PER_RUN	1024 /* then others have their turn */
#define DUE_PER_TURN	256
#define CHORES_INTERVAL (5 * NS_PER_SEC)
#define REST_AFTER	(100 * NS_PER_MS) /* a watcher that rests is told of new traffic this often at most */
#define SUSPENDED	(2 * NS_PER_SEC)
#define DATA_AROUND	32 /* of a WireGuard data message, around the inner packet */

/* ---- the queue ---- */

void paths_post(struct peer_paths *c, const struct peer_event *ev)
{
	struct paths *s = c->paths;

	if (!c->machine)
		return;
	if (s->count == s->room) {
		unsigned room = s->room ? 2 * s->room : 64;
		struct queued_event *queue = xcalloc(room, sizeof(*queue));

		for (unsigned i = 0; i < s->count; i++)
			queue[i] = s->queue[(s->first + i) % s->room];
		free(s->queue);
		s->queue = queue;
		s->room = room;
		s->first = 0;
	}
	s->queue[(s->first + s->count++) % s->room] = (struct queued_event){.to = c, .event = *ev};
	c->queued++;
}

void paths_post_all(struct paths *s, const struct peer_event *ev)
{
	list_for_each (pos, &s->all)
		paths_post(container_of(pos, struct peer_paths, link), ev);
}

static void take_back(struct peer_paths *c)
{
	struct paths *s = c->paths;

	if (!c->queued)
		return;
	c->queued = 0;
	for (unsigned i = 0; i < s->count; i++) {
		struct queued_event *q = &s->queue[(s->first + i) % s->room];

		if (q->to == c)
			q->to = NULL;
	}
}

/* When the controller wants to be asked next; and whether workers shall tell when data begins to flow again.
 */
static void plan(struct peer_paths *c, uint64_t now)
{
	uint64_t due = peer_deadline(c->machine);

	if (atomic_load_explicit(&c->peer->traffic, memory_order_relaxed)) {
		struct peer_look look;

		peer_glance(c->machine, &look);
		if (look.watch != PEER_WATCH_OFF && look.watch != PEER_WATCH_RESTING)
			;
		else if (now - c->traffic_at >= REST_AFTER)
			c->traffic_told = false, atomic_store(&c->peer->traffic, false);
		else
			due = earlier(due, c->traffic_at + REST_AFTER);
	}
	if (due)
		heap_set(&c->paths->due, &c->due, due);
	else
		heap_remove(&c->paths->due, &c->due);
}

static void step(struct peer_paths *c, const struct peer_event *ev)
{
	struct paths *s = c->paths;
	uint64_t now = clock_boot_ns();
	struct tunnel_facts facts;

	paths_facts(c, &facts, now);
	if (ev->type == PEER_EV_TRAFFIC)
		c->traffic_at = now;
	if (ev->type == PEER_EV_ICE_FAILED)
		c->ice_failed_at = now;
	peer_step(c->machine, ev, &facts, now, &s->actions);
	paths_perform(c, &s->actions);
	atomic_store_explicit(&c->peer->direct_generation, paths_main_generation(c), memory_order_relaxed);
	plan(c, now);
	if (s->actions.count)
		word_update(c->peer, now);
}

static void set_timer(struct paths *s)
{
	struct heap_node *first = heap_first(&s->due);
	uint64_t due = earlier(first ? first->key : 0, s->chores_due);

	if (due == s->timer_at)
		return;
	s->timer_at = due;
	loop_timer_set(s->timer, due);
}

void paths_wake_at(struct paths *s, uint64_t due)
{
	s->chores_due = earlier(s->chores_due, due);
	if (!s->running)
		set_timer(s);
}

void paths_run(struct paths *s)
{
	unsigned budget = EVENTS_PER_RUN;

	if (s->running)
		return;
	s->running = true;
	while (s->count && budget--) {
		struct queued_event q = s->queue[s->first];

		s->first = (s->first + 1) % s->room;
		s->count--;
		if (!q.to)
			continue;
		q.to->queued--;
		step(q.to, &q.event);
	}
	s->running = false;
	if (s->count)
		engine_kick(s->engine);
	set_timer(s);
}

void paths_step_frame(struct peer_paths *c, const struct peer_event *ev, const struct frame_at_hand *hand)
{
	struct paths *s = c->paths;

	paths_run(s);
	if (s->running || !c->machine)
		return;
	s->running = true;
	s->hand = *hand;
	step(c, ev);
	memset(&s->hand, 0, sizeof(s->hand));
	s->running = false;
	paths_run(s);
}

/* ---- time ---- */

static void chores(struct paths *s, uint64_t now)
{
	uint64_t suspended = clock_suspended_ns();

	s->chores_due = now + CHORES_INTERVAL;
	if (suspended > s->suspended + SUSPENDED) {
		engine_note(s->engine, NULL, LOG_NOTICE, "suspend", "back after %llu s of suspend",
			    (unsigned long long)((suspended - s->suspended) / NS_PER_SEC));
		paths_network_changed(s->engine);
	}
	s->suspended = suspended;
	relays_chores(s, now);
	list_for_each (pos, &s->all)
		agents_chores(container_of(pos, struct peer_paths, link));
	s->chores_due = earlier(s->chores_due, network_names_service(s, now));
}

static void on_timer(void *arg)
{
	struct paths *s = arg;
	uint64_t now = clock_boot_ns();
	struct heap_node *first;
	unsigned budget = DUE_PER_TURN;

	s->timer_at = 0;
	if (s->chores_due && s->chores_due <= now)
		chores(s, now);
	while (budget-- && (first = heap_first(&s->due)) && first->key <= now) {
		struct peer_paths *c = container_of(first, struct peer_paths, due);

		heap_remove(&s->due, first);
		paths_post(c, &(struct peer_event){.type = PEER_EV_TIMER});
	}
	paths_run(s);
}

/* ---- settings ---- */

static void add_server(struct peer_settings *set, uint32_t server)
{
	for (unsigned i = 0; i < PEER_RELAYS_MAX; i++) {
		if (set->servers[i] == server)
			return;
		if (set->servers[i] == PEER_NO_SERVER) {
			set->servers[i] = server;
			return;
		}
	}
}

static void gather_settings(struct peer_paths *c, struct peer_settings *set)
{
	struct paths *s = c->paths;
	char ours[KEY_BASE64_LEN + 1], theirs[KEY_BASE64_LEN + 1];
	struct key own, peer;

	memset(set, 0, sizeof(*set));
	wg_get_public_key(s->engine->wg, &own);
	wg_peer_public_key(c->peer->wg, &peer);
	key_to_base64(ours, &own);
	key_to_base64(theirs, &peer);
	set->mode = c->peer->mode;
	set->controlling = strcmp(ours, theirs) > 0;
	set->ice = s->ice && network_names_settled(s, clock_boot_ns());
	set->home = s->home;
	/* What is too large for a frame cannot be tried by one: such a device has an MTU that somebody chose.
	 */
	if (s->engine->mtu + DATA_AROUND <= FRAME_BY_SOCKET)
		set->full_size = (uint16_t)(s->engine->mtu + DATA_AROUND);
	for (unsigned i = 0; i < PEER_RELAYS_MAX; i++)
		set->servers[i] = PEER_NO_SERVER;
	if (!relays_used(s))
		return;
	if (c->peer->relay) {
		uint32_t server = relay_pool_server(s->pool, c->peer->relay);

		if (server != RELAY_NONE)
			add_server(set, server);
	}
	for (unsigned i = 0; i < s->network.url_count; i++) {
		uint32_t server = relay_pool_server(s->pool, s->network.urls[i]);

		if (server != RELAY_NONE)
			add_server(set, server);
	}
}

static void tell_settings(struct peer_paths *c)
{
	struct peer_settings fresh;
	bool resized;

	gather_settings(c, &fresh);
	if (!memcmp(&fresh, &c->settings, sizeof(fresh)))
		return;
	resized = fresh.full_size != c->settings.full_size;
	c->settings = fresh;
	if (resized)
		paths_point(c);
	paths_post(c, &(struct peer_event){.type = PEER_EV_SETTINGS, .settings = &c->settings});
}

void paths_settings(struct paths *s)
{
	list_for_each (pos, &s->all)
		tell_settings(container_of(pos, struct peer_paths, link));
}

void paths_settings_changed(struct engine *g)
{
	if (!g->paths || !g->paths->up)
		return;
	paths_settings(g->paths);
	engine_kick(g);
}

/* ---- one peer's controller ---- */

bool paths_direct_allowed(const struct peer_paths *c)
{
	return c->peer->mode != PEER_RELAY_ONLY;
}

/* In relay-only an endpoint that was configured, learned or remembered is kept for another mode, and the
 * tunnel has none. */
static void allow_direct(struct peer_paths *c)
{
	bool allowed = paths_direct_allowed(c);
	struct endpoint e = wg_peer_endpoint(c->peer->wg);

	wg_peer_set_shy(c->peer->wg, !allowed);
	if (allowed || e.via || !endpoint_known(&e))
		return;
	c->direct = e;
	wg_peer_set_endpoint(c->peer->wg, &(struct endpoint){0});
}

static void start_machine(struct peer_paths *c)
{
	struct paths *s = c->paths;
	uint64_t seed;

	gather_settings(c, &c->settings);
	crypto_random(&seed, sizeof(seed));
	c->machine = peer_machine_new(&c->settings, seed, s->engine->options.time_divisor);
	c->chosen = (struct peer_path_ref){0};
	c->direct_size = c->agent_size = 0;
	atomic_store(&c->peer->inner_limit, 0);
	atomic_store(&c->peer->traffic, false);
	c->traffic_told = false;
	c->direct = wg_peer_endpoint(c->peer->wg);
	wg_peer_set_pinned(c->peer->wg, true);
	allow_direct(c);
	paths_post(c, &(struct peer_event){.type = PEER_EV_START});
	paths_post(c, &(struct peer_event){.type = PEER_EV_ENDPOINT,
					   .path = paths_ref_direct(c),
					   .known = endpoint_known(&c->direct)});
}

/* The tunnel goes back to the direct endpoint: it is all that a plain peer has. */
static void stop_machine(struct peer_paths *c)
{
	struct paths *s = c->paths;
	struct endpoint e = wg_peer_endpoint(c->peer->wg);

	if (!c->machine)
		return;
	take_back(c);
	heap_remove(&s->due, &c->due);
	if (e.via || !endpoint_known(&e))
		wg_peer_set_endpoint(c->peer->wg, &c->direct);
	wg_peer_set_pinned(c->peer->wg, false);
	wg_peer_set_shy(c->peer->wg, false);
	atomic_store(&c->peer->inner_limit, 0);
	atomic_store(&c->peer->direct_generation, 0);
	agents_clear(c);
	while (!list_empty(&c->relays))
		relays_release(c, container_of(c->relays.next, struct relay_way, link)->server);
	fresh_close(c);
	peer_machine_free(c->machine);
	c->machine = NULL;
	c->chosen = (struct peer_path_ref){0};
}

void paths_add(struct engine_peer *p)
{
	struct paths *s = p->engine->paths;
	struct peer_paths *c = p->paths;

	if (!s->up || p->mode == PEER_PLAIN || (c && c->machine))
		return;
	if (!c) {
		c = xcalloc(1, sizeof(*c));
		c->peer = p;
		c->paths = s;
		c->direct_generation = 1;
		list_init(&c->relays);
		list_init(&c->agents);
		list_append(&s->all, &c->link);
		p->paths = c;
	}
	if (!frames_init(c))
		return;
	relays_meet(c);
	start_machine(c);
	engine_kick(s->engine);
}

void paths_remove(struct engine_peer *p)
{
	struct peer_paths *c = p->paths;

	if (!c)
		return;
	stop_machine(c);
	relays_forget(c);
	frames_forget(c);
	list_remove(&c->link);
	free(c->kept);
	free(c->report);
	free(c->failed);
	free(c->words);
	p->paths = NULL;
	free(c);
}

/* The new way first, so that the tunnel is not without one in between. */
static void change_mode(struct peer_paths *c)
{
	paths_settings_changed(c->paths->engine);
	paths_run(c->paths);
	allow_direct(c);
}

void engine_peer_set_mode(struct engine_peer *p, enum peer_mode mode)
{
	if (p->mode == (uint8_t)mode)
		return;
	p->mode = (uint8_t)mode;
	if (mode == PEER_PLAIN)
		paths_remove(p);
	else if (p->paths && p->paths->machine)
		change_mode(p->paths);
	else
		paths_add(p);
	engine_kick(p->engine);
}

void engine_peer_set_relay(struct engine_peer *p, const char *url)
{
	if (url ? p->relay && !strcmp(p->relay, url) : !p->relay)
		return;
	free(p->relay);
	p->relay = url ? xstrdup(url) : NULL;
	paths_settings_changed(p->engine);
}

/* ---- the device ---- */

void paths_open(struct engine *g)
{
	struct paths *s = xcalloc(1, sizeof(*s));

	s->engine = g;
	s->home = RELAY_NONE;
	list_init(&s->all);
	s->by_pair = map_new(SIGNAL_PAIR_LEN);
	s->by_relay_id = map_new(RELAY_ID_LEN);
	s->relays.contacts = map_new(RELAY_ID_LEN);
	list_init(&s->relays.heard);
	pthread_mutex_init(&s->relays.lock, NULL);
	s->timer = loop_timer_new(g->loop, on_timer, s);
	s->nat = nat_new(s);
	g->paths = s;
	g->on_frame = paths_take_frame;
	g->on_path_news = paths_news;
	g->relay_send = relay_pool_send;
}

void paths_close(struct engine *g)
{
	struct paths *s = g->paths;

	if (!s)
		return;
	nat_free(s->nat);
	engine_network_clear(&s->network);
	heap_clear(&s->due);
	loop_timer_free(s->timer);
	map_free(s->by_pair);
	map_free(s->by_relay_id);
	map_free(s->relays.contacts);
	pthread_mutex_destroy(&s->relays.lock);
	crypto_wipe(&s->in, sizeof(s->in));
	crypto_wipe(&s->out, sizeof(s->out));
	free(s->queue);
	free(s->pool_error);
	free(s);
	g->paths = NULL;
}

/* Each start of the device is a boot of its own to the far ends, later than the one before whatever the clock
 * says. */
static void new_boot(struct paths *s)
{
	uint64_t wall = clock_wall_ns(), least = s->started + 1;
	struct engine *g = s->engine;

	if (g->persist && persist_floor(g->persist) >= least)
		least = persist_floor(g->persist) + 1;
	s->started = wall > least ? wall : least;
	if (g->persist)
		persist_set_floor(g->persist, s->started);
	do
		crypto_random(&s->boot, sizeof(s->boot));
	while (!s->boot);
}

void paths_up(struct engine *g)
{
	struct paths *s = g->paths;

	s->up = true;
	s->suspended = clock_suspended_ns();
	s->chores_due = clock_boot_ns() + CHORES_INTERVAL;
	new_boot(s);
	relays_open(s);
	agents_open(s);
	network_names_start(s);
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		paths_add(p);
	set_timer(s);
}

static void tell_end(struct paths *s, bool restarts)
{
	paths_post_all(s, &(struct peer_event){.type = PEER_EV_STOP, .restarts = restarts});
	/* All of them: there is no later turn for what does not fit into one. */
	while (s->count && !s->running)
		paths_run(s);
}

void engine_say_bye(struct engine *g, enum signal_reason why, bool restarts)
{
	struct paths *s = g->paths;

	if (!s->up)
		return;
	if (why != SIGNAL_REASON_shutdown && why != SIGNAL_REASON_restart) {
		paths_post_all(s, &(struct peer_event){.type = PEER_EV_COMMAND, .command = PEER_DRAIN});
		paths_run(s);
		return;
	}
	/* After it a controller says no more: the tunnels live on as they are until the device goes down. */
	tell_end(s, restarts);
	list_for_each (pos, &s->all)
		heap_remove(&s->due, &container_of(pos, struct peer_paths, link)->due);
	s->said_bye = true;
}

/* Before the workers stop: the last words go out by the sockets. Those that were said before may need to be said again. */
void paths_stop(struct engine *g)
{
	struct paths *s = g->paths;

	if (s->up)
		tell_end(s, false);
}

/* After they have stopped: nobody uses a channel any more. */
void paths_down(struct engine *g)
{
	struct paths *s = g->paths;

	if (!s->up)
		return;
	list_for_each (pos, &s->all)
		stop_machine(container_of(pos, struct peer_paths, link));
	while (epoch_reclaim(wg_epoch(g->wg)))
		;
	s->up = s->said_bye = false;
	s->first = s->count = 0;
	nat_network_changed(s->nat);
	network_names_stop(s);
	agents_close(s);
	relays_close(s);
	channel_expect_nobody(g);
	s->chores_due = 0;
	set_timer(s);
}
