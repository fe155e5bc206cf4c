/* What the pool's owner calls, and the choice of the home server. */
#include "relay/pool.h"

#include <errno.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "relay/pool_internal.h"

#define DIAL_SETTLED                                                                                         \
	(300 * NS_PER_MS)      /* a change of the network comes in many events: they must not starve a dial */
#define TOKEN_LIFE (12 * 3600) /* s, as servers hand them out; a clock that is hours off does no harm */

const char *relay_state_name(enum relay_state s)
{
	static const char *const names[] = {
		[RELAY_IDLE] = "idle",
		[RELAY_WAITING] = "waiting",
		[RELAY_DIALLING] = "dialling",
		[RELAY_LOGGING_IN] = "logging in",
		[RELAY_UP] = "up",
	};

	return names[s];
}

static struct server *get(const struct relay_pool *p, uint32_t server)
{
	return server < p->count && p->servers[server]->used ? p->servers[server] : NULL;
}

/* ---- options ---- */

static char *copy(const char *text)
{
	return text && *text ? xstrdup(text) : NULL;
}

static void clear_options(struct relay_pool_options *o)
{
	free((char *)o->ca_file);
	free((char *)o->pin);
	free((char *)o->proxy);
	free((char *)o->bind_not);
	crypto_wipe(o, sizeof(*o));
}

static void copy_options(struct relay_pool *p, const struct relay_pool_options *o)
{
	struct relay_pool_options new = *o;

	new.ca_file = copy(o->ca_file);
	new.pin = copy(o->pin);
	new.proxy = copy(o->proxy);
	new.bind_not = copy(o->bind_not);
	clear_options(&p->options);
	p->options = new;
	crypto_wipe(&new, sizeof(new));
	relay_id_of(&p->own_id, &p->options.public_key);
}

int pool_token(const struct relay_pool *p, uint8_t out[RELAY_TOKEN_MAX])
{
	const struct relay_pool_options *o = &p->options;

	if (o->has_secret)
		return relay_token_make(&o->secret, clock_wall_ns() / NS_PER_SEC + TOKEN_LIFE, out);
	memcpy(out, o->token, o->token_len);
	return (int)o->token_len;
}

void relay_pool_set_options(struct relay_pool *p, const struct relay_pool_options *o)
{
	struct error e;

	copy_options(p, o);
	if (transport_trust(p->transport, p->options.ca_file, &e) < 0)
		log_error("relay", "%s; what was trusted before still is", e.text);
	/* Whom the old ones were refused may like these. */
	for (uint32_t i = 0; i < p->count; i++) {
		p->servers[i]->refusals = 0;
		if (p->servers[i]->state == RELAY_WAITING)
			pool_server_dial(p->servers[i]);
	}
	pool_tell(p);
}

/* ---- telling the owner ---- */

void pool_changed(struct server *s)
{
	s->changed = true;
	loop_timer_set(s->pool->flush, clock_boot_ns());
}

void pool_tell(struct relay_pool *p)
{
	struct relay_status status;
	struct server *s;

	for (uint32_t i = 0; i < p->count; i++) {
		s = p->servers[i];
		if (!s->changed)
			continue;
		s->changed = false;
		pool_server_status(s, &status);
		p->ops.server(p->ops.arg, i, &status);
	}
}

static void on_flush(void *arg)
{
	pool_tell(arg);
}

/* ---- home ---- */

bool pool_wants(const struct server *s)
{
	uint32_t home = s->pool->home;

	return s->used && (s->holders || (s->configured && (home == RELAY_NONE || home == s->index)));
}

void pool_logged_in(struct server *s)
{
	struct relay_pool *p = s->pool;

	if (!s->configured || p->home != RELAY_NONE)
		return;
	p->home = s->index;
	log_info("relay", "%s is home", s->name);
	for (uint32_t i = 0; i < p->count; i++)
		if (p->servers[i]->configured && !pool_wants(p->servers[i]))
			pool_server_drop(p->servers[i], "");
}

void pool_lost(struct server *s)
{
	struct relay_pool *p = s->pool;

	if (p->home != s->index)
		return;
	p->home = RELAY_NONE;
	for (uint32_t i = 0; i < p->count; i++) {
		struct server *other = p->servers[i];

		if (other == s || !other->configured)
			continue;
		if (other->state == RELAY_UP)
			pool_logged_in(other); /* it was held: home at once */
		else if (other->state == RELAY_IDLE || other->state == RELAY_WAITING)
			pool_server_dial(other);
	}
}

static bool among(const char *const *urls, size_t count, const char *name)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(urls[i], name))
			return true;
	return false;
}

void relay_pool_set_home(struct relay_pool *p, const char *const *urls, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (relay_pool_server(p, urls[i]) == RELAY_NONE)
			log_error("relay", "no relay server's URL, or too many of them: it is left out");
	for (uint32_t i = 0; i < p->count; i++) {
		struct server *s = p->servers[i];

		s->configured = s->used && among(urls, count, s->name);
	}
	if (p->home != RELAY_NONE && !p->servers[p->home]->configured) {
		pool_changed(p->servers[p->home]);
		p->home = RELAY_NONE;
	}
	for (uint32_t i = 0; i < p->count && p->home == RELAY_NONE; i++)
		if (p->servers[i]->state == RELAY_UP)
			pool_logged_in(p->servers[i]);
	for (uint32_t i = 0; i < p->count; i++)
		pool_server_rethink(p->servers[i]);
}

uint32_t relay_pool_home(const struct relay_pool *p)
{
	return p->home;
}

/* ---- servers ---- */

static struct server *find(const struct relay_pool *p, const char *url)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->servers[i]->used &&
		    (!strcmp(p->servers[i]->name, url) ||
		     (!p->servers[i]->foreign && !strcmp(p->servers[i]->instance, url))))
			return p->servers[i];
	return NULL;
}

static bool unused(const struct server *s)
{
	return !s->configured && !s->holders && s->state == RELAY_IDLE && list_empty(&s->subscription_list);
}

/* A place that nobody uses: a new one, or when all are taken, that of a server which nobody asks for. */
static struct server *find_place(struct relay_pool *p)
{
	struct server *s;

	if (p->count < RELAY_SERVERS_MAX) {
		s = pool_server_new(p, p->count);
		p->servers[p->count] = s;
		p->count++;
		return s;
	}
	for (uint32_t i = 0; i < p->count; i++) {
		s = p->servers[i];
		if (unused(s))
			return s;
	}
	return NULL;
}

static uint32_t add_server(struct server *s, const char *url, const struct relay_url *parsed, bool foreign)
{
	if (!s)
		return RELAY_NONE;
	s->used = true;
	s->foreign = foreign;
	s->url = *parsed;
	snprintf(s->name, sizeof(s->name), "%s", url);
	s->instance[0] = '\0';
	s->error[0] = '\0';
	s->certificate[0] = '\0';
	s->failures = s->refusals = s->short_lives = 0;
	s->failure = s->lost = RELAY_FAILURE_NONE;
	s->lost_at = 0;
	memset(s->lifetimes, 0, sizeof(s->lifetimes));
	s->rtt = 0;
	s->last_good = (union address){0};
	return s->index;
}

uint32_t relay_pool_server(struct relay_pool *p, const char *url)
{
	struct relay_url parsed;
	struct server *s;

	if (!relay_url_parse(&parsed, url))
		return RELAY_NONE;
	s = find(p, url);
	if (!s)
		return add_server(find_place(p), url, &parsed, false);
	s->foreign = false;
	return s->index;
}

static bool plain_is_trusted(const struct relay_pool *p)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->servers[i]->configured && !p->servers[i]->url.tls)
			return true;
	return false;
}

static struct server *find_foreign_place(struct relay_pool *p)
{
	struct server *idle = NULL;
	unsigned count = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		struct server *s = p->servers[i];

		if (!s->used || !s->foreign)
			continue;
		count++;
		if (unused(s))
			idle = s;
	}
	return count < RELAY_FOREIGN_MAX ? find_place(p) : idle;
}

uint32_t relay_pool_named(struct relay_pool *p, const char *url, bool add)
{
	struct relay_url parsed;
	struct server *s;

	if (!relay_url_parse(&parsed, url))
		return RELAY_NONE;
	s = find(p, url);
	if (s)
		return s->index;
	if (!add || (!parsed.tls && !plain_is_trusted(p)))
		return RELAY_NONE;
	return add_server(find_foreign_place(p), url, &parsed, true);
}

bool relay_pool_look(const struct relay_pool *p, uint32_t server, struct relay_status *out)
{
	const struct server *s = get(p, server);

	if (s)
		pool_server_status(s, out);
	return s != NULL;
}

void relay_pool_hold(struct relay_pool *p, uint32_t server)
{
	struct server *s = get(p, server);

	if (!s)
		return;
	s->holders++;
	pool_server_rethink(s);
}

void relay_pool_release(struct relay_pool *p, uint32_t server)
{
	struct server *s = get(p, server);

	if (!s || !s->holders)
		return;
	s->holders--;
	pool_server_rethink(s);
}

void relay_pool_subscribe(struct relay_pool *p, uint32_t server, const struct relay_id *peer)
{
	struct server *s = get(p, server);
	struct subscription *sub;

	if (!s)
		return;
	sub = map_get(s->subscriptions, peer->bytes);
	if (!sub) {
		sub = xcalloc(1, sizeof(*sub));
		sub->id = *peer;
		map_put(s->subscriptions, peer->bytes, sub);
		list_append(&s->subscription_list, &sub->link);
	}
	sub->count++;
	/* Asked again even if another asks too: the answer tells the newcomer where the peer stands. */
	pool_server_subscribe(s, RELAY_SUBSCRIBE, peer);
}

void relay_pool_unsubscribe(struct relay_pool *p, uint32_t server, const struct relay_id *peer)
{
	struct server *s = get(p, server);
	struct subscription *sub = s ? map_get(s->subscriptions, peer->bytes) : NULL;

	if (!sub || --sub->count)
		return;
	pool_server_subscribe(s, RELAY_UNSUBSCRIBE, peer);
	map_remove(s->subscriptions, peer->bytes);
	list_remove(&sub->link);
	free(sub);
}

void relay_pool_check(struct relay_pool *p, uint32_t server, uint64_t timeout)
{
	struct server *s = get(p, server);

	if (s)
		pool_server_check(s, timeout);
}

void relay_pool_reopen(struct relay_pool *p, uint32_t server, uint32_t generation, const char *why)
{
	struct server *s = get(p, server);

	if (s && s->state == RELAY_UP && s->logins == generation)
		pool_server_restart(s, RELAY_FAILURE_SILENT, why);
}

/* Is it certain that no interface has this address any more? */
static bool address_gone(const struct ifaddrs *all, const union address *a)
{
	if (!all || (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6))
		return false;
	for (; all; all = all->ifa_next) {
		const union address *has = (const union address *)all->ifa_addr;

		if (!has || has->sa.sa_family != a->sa.sa_family)
			continue;
		if (a->sa.sa_family == AF_INET ? has->in.sin_addr.s_addr == a->in.sin_addr.s_addr
					       : IN6_ARE_ADDR_EQUAL(&has->in6.sin6_addr, &a->in6.sin6_addr))
			return false;
	}
	return true;
}

void relay_pool_network_changed(struct relay_pool *p)
{
	uint64_t now = clock_boot_ns();
	struct ifaddrs *all;

	if (getifaddrs(&all))
		all = NULL;
	for (uint32_t i = 0; i < p->count; i++) {
		struct server *s = p->servers[i];

		s->failures = 0;
		if (s->state == RELAY_UP && address_gone(all, &s->local)) {
			log_info("relay", "%s: our address of that connection is gone", s->name);
			pool_server_restart(s, RELAY_FAILURE_NETWORK,
					    "our address of that connection is gone");
		} else if (s->state == RELAY_UP) {
			pool_server_check(s, NS_PER_SEC);
		} else if (s->state == RELAY_WAITING || now - s->dial_started > DIAL_SETTLED) {
			pool_server_restart(s, RELAY_FAILURE_NETWORK, "the network changed");
		}
	}
	if (all)
		freeifaddrs(all);
}

int relay_pool_send(struct relay_pool *p, uint32_t server, const struct relay_id *to, const void *data,
		    size_t len, size_t segment)
{
	bool wake;
	int err;

	if (server >= p->count)
		return -ENOTCONN;
	err = relay_queue_put(&p->servers[server]->queue, to, data, len, segment, &wake);
	if (wake)
		transport_wake(p->transport);
	return err;
}

/* ---- */

struct relay_pool *relay_pool_new(struct loop *loop, const struct relay_pool_options *o,
				  const struct relay_pool_ops *ops, struct error *e)
{
	struct relay_pool *p = xcalloc(1, sizeof(*p));
	int err;

	p->loop = loop;
	p->ops = *ops;
	p->home = RELAY_NONE;
	copy_options(p, o);
	err = inbox_open(p);
	if (err < 0) {
		error_set(e, -err, "relay: no wake-up descriptor: %s", strerror(-err));
	} else {
		p->transport = transport_new(&inbox_transport_ops, p->options.ca_file, e);
		if (p->transport) {
			p->resolver = resolver_new(loop);
			p->flush = loop_timer_new(loop, on_flush, p);
			return p;
		}
		inbox_close(p);
	}
	clear_options(&p->options);
	free(p);
	return NULL;
}

void relay_pool_free(struct relay_pool *p)
{
	if (!p)
		return;
	transport_free(p->transport);
	inbox_close(p);
	for (uint32_t i = 0; i < p->count; i++)
		pool_server_free(p->servers[i]);
	resolver_free(p->resolver);
	loop_timer_free(p->flush);
	clear_options(&p->options);
	free(p);
}
