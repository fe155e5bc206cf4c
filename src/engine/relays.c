/*
 * Relays: the pool's news as events for the controllers, and what comes in over a relay to the right channel.
 *
 * Datagrams arrive in the pool's I/O thread. It finds the channel of (server, sender) under a small lock of
 * its own; a sender whose channel does not exist yet is remembered with its newest message for a few seconds
 * (F24: the first initiation often comes before the receiver has opened its end), and the controller is told
 * where the peer is.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"
#include "engine/tap_hooks.h"

#define EARLY_AGE     (5 * NS_PER_SEC)
#define CHECK_TIMEOUT (1 * NS_PER_SEC)

/* ---- the I/O thread ---- */

static void keep_early(struct paths *s, struct relay_contact *k, uint32_t server, const uint8_t *data,
		       size_t len)
{
	bool first = !k->early;

	free(k->early);
	k->early = xmalloc(len);
	memcpy(k->early, data, len);
	k->early_len = len;
	k->early_server = server;
	k->early_at = clock_boot_ns();
	if (!first || !list_empty(&k->heard))
		return;
	list_append(&s->relays.heard, &k->heard);
	atomic_store(&s->relays.any_heard, true);
	worker_wake_control(s->engine);
}

static uint32_t channel_at(const struct relay_contact *k, uint32_t server)
{
	for (unsigned i = 0; i < CONTACT_WAYS_MAX; i++)
		if (k->ways[i].channel && k->ways[i].server == server)
			return k->ways[i].channel;
	return 0;
}

static void on_receive(void *arg, uint32_t server, uint32_t generation, const struct relay_id *from,
		       uint8_t *data, size_t len)
{
	struct paths *s = arg;
	struct relay_contact *k;
	uint32_t channel = 0;

	(void)generation;
	if (!len)
		return;
	pthread_mutex_lock(&s->relays.lock);
	k = map_get(s->relays.contacts, from->bytes);
	if (k) {
		channel = channel_at(k, server);
		if (!channel)
			keep_early(s, k, server, data, len);
	}
	pthread_mutex_unlock(&s->relays.lock);
	if (channel)
		channel_deliver(s->engine, channel, data, len);
}

static struct relay_contact *next_heard(struct paths *s, uint32_t *server)
{
	struct relay_contact *k = NULL;

	pthread_mutex_lock(&s->relays.lock);
	if (!list_empty(&s->relays.heard)) {
		k = container_of(s->relays.heard.next, struct relay_contact, heard);
		list_remove(&k->heard);
		*server = k->early_server;
	}
	pthread_mutex_unlock(&s->relays.lock);
	return k;
}

/* Back in the control thread: peers that speak to us where we do not look for them. */
void relays_news(struct paths *s)
{
	struct relay_contact *k;
	uint32_t server;

	if (!atomic_exchange(&s->relays.any_heard, false))
		return;
	while ((k = next_heard(s, &server)))
		if (s->up)
			paths_post(container_of(k, struct peer_paths, contact),
				   &(struct peer_event){.type = PEER_EV_REMOTE_RELAY,
							.path = {.kind = PATH_KIND_RELAY, .id = server}});
}

/* ---- news of the pool ---- */

static void tell_relay(struct relay_way *w, const struct relay_status *st)
{
	bool up = st->state == RELAY_UP;

	if (w->up == up && w->generation == st->generation)
		return;
	/* A connection that was lost is lost under the name that it had. */
	if (w->up && (!up || w->generation != st->generation))
		paths_post(w->paths, &(struct peer_event){.type = PEER_EV_RELAY,
							  .path = {.kind = PATH_KIND_RELAY,
								   .id = w->server,
								   .generation = w->generation}});
	w->up = up;
	if (!up)
		return;
	w->generation = st->generation;
	atomic_store_explicit(&w->channel->generation, st->generation, memory_order_relaxed);
	paths_post(w->paths,
		   &(struct peer_event){
			   .type = PEER_EV_RELAY,
			   .path = {.kind = PATH_KIND_RELAY, .id = w->server, .generation = w->generation},
			   .up = true});
}

bool relays_used(const struct paths *s)
{
	return s->pool && s->network.url_count;
}

static void follow_home(struct paths *s)
{
	uint32_t home = relays_used(s) ? relay_pool_home(s->pool) : RELAY_NONE;
	struct relay_status st;

	if (home == s->home)
		return;
	s->home = home;
	if (home != RELAY_NONE && relay_pool_look(s->pool, home, &st))
		engine_note(s->engine, NULL, LOG_INFO, "relay", "home relay is %s", st.url);
	network_names_start(s);
	paths_settings(s);
}

/* A round trip that was measured changes nothing for ten thousand peers. */
static bool is_news(struct relay_told *told, const struct relay_status *st)
{
	if (told->known && told->state == st->state && told->generation == st->generation &&
	    told->home == st->home && strcmp(told->error, st->error) == 0)
		return false;
	*told = (struct relay_told){
		.known = true, .state = st->state, .generation = st->generation, .home = st->home};
	memcpy(told->error, st->error, sizeof(told->error));
	return true;
}

static void on_server(void *arg, uint32_t server, const struct relay_status *st)
{
	struct paths *s = arg;

	if (!relays_used(s))
		return;
	follow_home(s);
	if (!is_news(&s->told[server], st))
		return;
	list_for_each (pos, &s->all) {
		struct relay_way *w = relay_way_find(container_of(pos, struct peer_paths, link), server);

		if (w)
			tell_relay(w, st);
	}
	words_update(s->engine);
	paths_run(s);
}

static void on_presence(void *arg, uint32_t server, uint32_t generation, const struct relay_id *peer,
			bool online)
{
	struct paths *s = arg;
	struct peer_paths *c = map_get(s->by_relay_id, peer->bytes);

	if (!c || !relays_used(s))
		return;
	paths_post(c, &(struct peer_event){
			      .type = PEER_EV_PRESENCE,
			      .path = {.kind = PATH_KIND_RELAY, .id = server, .generation = generation},
			      .up = online});
	paths_run(s);
}

static void on_checked(void *arg, uint32_t server, uint32_t generation, bool alive, uint64_t rtt)
{
	struct paths *s = arg;

	(void)rtt;
	list_for_each (pos, &s->all) {
		struct peer_paths *c = container_of(pos, struct peer_paths, link);
		struct relay_way *w = relay_way_find(c, server);

		if (!w || !w->checking)
			continue;
		w->checking = false;
		paths_post(c,
			   &(struct peer_event){
				   .type = PEER_EV_RELAY_CHECKED,
				   .path = {.kind = PATH_KIND_RELAY, .id = server, .generation = generation},
				   .up = alive});
	}
	paths_run(s);
}

static void on_seen(void *arg, bool out, const union address *server, const uint8_t *message, size_t len)
{
	struct paths *s = arg;

	tap_relay_message(s->engine, out, server, message, len);
}

/* ---- the pool ---- */

static void fill_options(const struct paths *s, struct relay_pool_options *o)
{
	const struct engine_network *n = &s->network;

	*o = (struct relay_pool_options){
		.secret = n->secret,
		.has_secret = n->has_secret,
		.token_len = n->token_len,
		.ca_file = n->ca_file,
		.pin = n->pin,
		.proxy = n->proxy,
		.fwmark = s->engine->fwmark,
		.bind_not = s->engine->tun.name,
	};
	memcpy(o->token, n->token, sizeof(o->token));
	wg_get_public_key(s->engine->wg, &o->public_key);
}

void relays_open(struct paths *s)
{
	const struct relay_pool_ops ops = {
		.server = on_server,
		.presence = on_presence,
		.receive = on_receive,
		.checked = on_checked,
		.seen = on_seen,
		.arg = s,
	};
	struct relay_pool_options o;
	struct error e;

	if (s->pool || !s->network.url_count || !wg_has_private_key(s->engine->wg))
		return;
	fill_options(s, &o);
	memset(s->told, 0, sizeof(s->told));
	s->pool = relay_pool_new(s->engine->loop, &o, &ops, &e);
	crypto_wipe(&o, sizeof(o));
	free(s->pool_error);
	s->pool_error = s->pool ? NULL : xstrdup(e.text);
	if (!s->pool) {
		engine_note(s->engine, NULL, LOG_ERROR, "relay", "no relay can be used: %s", e.text);
		return;
	}
	relay_pool_set_home(s->pool, (const char *const *)s->network.urls, s->network.url_count);
	follow_home(s);
}

void relays_close(struct paths *s)
{
	struct relay_pool *pool = s->pool;

	if (!pool)
		return;
	s->pool = NULL;
	s->home = RELAY_NONE;
	/* A worker may still be sending by a channel that was just closed. */
	while (epoch_reclaim(wg_epoch(s->engine->wg)))
		;
	relay_pool_free(pool);
}

void relays_options(struct paths *s, bool urls_changed)
{
	struct relay_pool_options o;

	if (!s->pool)
		return;
	fill_options(s, &o);
	relay_pool_set_options(s->pool, &o);
	crypto_wipe(&o, sizeof(o));
	if (urls_changed)
		relay_pool_set_home(s->pool, (const char *const *)s->network.urls, s->network.url_count);
	follow_home(s);
}

/* ---- one peer at one server ---- */

static void set_contact(struct peer_paths *c, uint32_t server, uint32_t channel)
{
	struct relay_contact *k = &c->contact;

	for (unsigned i = 0; i < CONTACT_WAYS_MAX; i++) {
		bool here = k->ways[i].channel && k->ways[i].server == server;

		if (!here && !(channel && !k->ways[i].channel))
			continue;
		k->ways[i].server = server;
		k->ways[i].channel = channel;
		return;
	}
}

/* What came too early comes now. */
static void deliver_early(struct peer_paths *c, uint32_t server)
{
	struct paths *s = c->paths;
	struct relay_contact *k = &c->contact;
	uint8_t *early = NULL;
	uint32_t channel = 0;
	size_t len = 0;

	pthread_mutex_lock(&s->relays.lock);
	if (k->early && k->early_server == server) {
		early = k->early;
		len = k->early_len;
		k->early = NULL;
		channel = channel_at(k, server);
	}
	pthread_mutex_unlock(&s->relays.lock);
	if (early && channel)
		channel_deliver(s->engine, channel, early, len);
	free(early);
}

static void take_hold(struct relay_way *w)
{
	struct peer_paths *c = w->paths;
	struct relay_pool *pool = c->paths->pool;
	struct relay_status st;

	if (w->held || !relays_used(c->paths))
		return;
	w->held = true;
	relay_pool_hold(pool, w->server);
	relay_pool_subscribe(pool, w->server, &c->contact.id);
	if (relay_pool_look(pool, w->server, &st))
		tell_relay(w, &st);
}

static void let_go(struct relay_way *w)
{
	struct peer_paths *c = w->paths;

	if (!w->held || !c->paths->pool)
		return;
	w->held = false;
	relay_pool_unsubscribe(c->paths->pool, w->server, &c->contact.id);
	relay_pool_release(c->paths->pool, w->server);
}

void relays_hold(struct peer_paths *c, uint32_t server)
{
	struct paths *s = c->paths;
	struct channel ch = {.kind = CHANNEL_RELAY,
			     .engine = s->engine,
			     .peer = c->peer,
			     .path = PATH_KIND_RELAY,
			     .fd = -1,
			     .pool = s->pool,
			     .server = server,
			     .to = c->contact.id};
	struct relay_status st;
	struct relay_way *w;

	if (!s->pool || relay_way_find(c, server) || !relay_pool_look(s->pool, server, &st))
		return;
	w = xcalloc(1, sizeof(*w));
	w->paths = c;
	w->server = server;
	w->channel = channel_open(s->engine, &ch);
	if (!w->channel) {
		free(w);
		return;
	}
	list_append(&c->relays, &w->link);
	pthread_mutex_lock(&s->relays.lock);
	set_contact(c, server, w->channel->id);
	pthread_mutex_unlock(&s->relays.lock);
	take_hold(w);
	deliver_early(c, server);
}

void relays_release(struct peer_paths *c, uint32_t server)
{
	struct paths *s = c->paths;
	struct relay_way *w = relay_way_find(c, server);

	if (!w)
		return;
	pthread_mutex_lock(&s->relays.lock);
	set_contact(c, server, 0);
	pthread_mutex_unlock(&s->relays.lock);
	let_go(w);
	channel_close(w->channel);
	list_remove(&w->link);
	free(w);
}

/*
 * The configuration has no relay any more. The pool stays, because the controllers know its servers by their
 * numbers, and connections by their generations; but nobody holds a server, so it closes them.
 */
void relays_rest(struct paths *s)
{
	if (!s->pool)
		return;
	list_for_each (pos, &s->all)
		list_for_each (at, &container_of(pos, struct peer_paths, link)->relays) {
			struct relay_way *w = container_of(at, struct relay_way, link);

			tell_relay(w, &(struct relay_status){.generation = w->generation});
			let_go(w);
		}
	relay_pool_set_home(s->pool, NULL, 0);
	follow_home(s);
}

void relays_return(struct paths *s)
{
	if (!s->pool) {
		relays_open(s);
		return;
	}
	relays_options(s, true);
	list_for_each (pos, &s->all)
		list_for_each (at, &container_of(pos, struct peer_paths, link)->relays)
			take_hold(container_of(at, struct relay_way, link));
}

void relays_check(struct peer_paths *c, uint32_t server)
{
	struct relay_way *w = relay_way_find(c, server);

	if (!w || !w->held)
		return;
	w->checking = true;
	relay_pool_check(c->paths->pool, server, CHECK_TIMEOUT);
}

/* ---- who may be heard ---- */

void relays_meet(struct peer_paths *c)
{
	struct paths *s = c->paths;
	struct key key;

	wg_peer_public_key(c->peer->wg, &key);
	relay_id_of(&c->contact.id, &key);
	list_init(&c->contact.heard);
	map_put(s->by_relay_id, c->contact.id.bytes, c);
	pthread_mutex_lock(&s->relays.lock);
	map_put(s->relays.contacts, c->contact.id.bytes, &c->contact);
	pthread_mutex_unlock(&s->relays.lock);
}

void relays_forget(struct peer_paths *c)
{
	struct paths *s = c->paths;

	map_remove(s->by_relay_id, c->contact.id.bytes);
	pthread_mutex_lock(&s->relays.lock);
	map_remove(s->relays.contacts, c->contact.id.bytes);
	list_remove(&c->contact.heard);
	free(c->contact.early);
	c->contact.early = NULL;
	pthread_mutex_unlock(&s->relays.lock);
}

void relays_chores(struct paths *s, uint64_t now)
{
	pthread_mutex_lock(&s->relays.lock);
	list_for_each (pos, &s->all) {
		struct relay_contact *k = &container_of(pos, struct peer_paths, link)->contact;

		if (k->early && now - k->early_at > EARLY_AGE) {
			free(k->early);
			k->early = NULL;
		}
	}
	pthread_mutex_unlock(&s->relays.lock);
}
