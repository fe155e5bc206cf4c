/*
 * New settings of [Relay] and [Ice], of which a reload touches only what changed, and the names that ICE
 * needs as addresses: looked up without blocking; the last good answer stays in use.
 */
#include "engine/network.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"

#define RETRY_FIRST   (2 * NS_PER_SEC)
#define RETRY_LONGEST (60 * NS_PER_SEC)
#define REFRESH	      (600 * NS_PER_SEC)
#define PATIENCE      (2 * NS_PER_SEC) /* an agent without its STUN server finds half of what it could */
#define STUN_PORT     "3478"

int engine_set_network(struct engine *g, const struct engine_network *n, struct error *e)
{
	struct paths *s = g->paths;
	struct engine_network old = s->network;

	if (engine_network_equal(&old, n))
		return 0;
	engine_network_copy(&s->network, n);
	if (s->up) {
		if (!n->url_count)
			relays_rest(s);
		else if (!old.url_count)
			relays_return(s);
		else if (!engine_network_same_relay(&old, n))
			relays_options(s, !engine_network_same_urls(&old, n));
		if (!n->ice_off)
			agents_open(s);
		network_names_start(s);
		paths_settings(s);
		paths_run(s);
		engine_kick(g);
	}
	engine_network_clear(&old);
	if (s->pool_error)
		return error_set(e, EINVAL, "no relay can be used: %s", s->pool_error);
	return 0;
}

/* ---- names ---- */

static void forget_name(struct network_name *n)
{
	resolve_cancel(n->query);
	free(n->host);
	free(n->port);
	memset(n, 0, sizeof(*n));
}

void network_names_stop(struct paths *s)
{
	for (unsigned i = 0; i < s->name_count; i++)
		forget_name(&s->names[i]);
	s->name_count = s->stun_names = 0;
	s->names_ready = false;
}

static void answered(void *arg, const union address *found, int gai_error)
{
	struct network_name *n = arg;
	struct paths *s = n->paths;
	uint64_t now = clock_boot_ns(), pause = RETRY_FIRST << (n->tries < 5 ? n->tries : 5);

	n->query = NULL;
	n->asked = true;
	if (found) {
		n->address = *found;
		n->tries = 0;
		n->due = now + REFRESH;
	} else {
		if (!n->tries++)
			engine_note(s->engine, NULL, LOG_WARN, "ice", "cannot resolve %s: %s; trying on",
				    n->host, gai_strerror(gai_error));
		n->due = now + (pause < RETRY_LONGEST ? pause : RETRY_LONGEST);
	}
	paths_wake_at(s, n->due);
	agents_options(s);
	paths_settings(s);
	paths_run(s);
}

static void ask(struct network_name *n)
{
	n->due = 0;
	if (!n->query)
		n->query = resolve_start(n->paths->engine->resolver, n->host, n->port, answered, n);
}

static void add_name(struct paths *s, const char *host, const char *port, const struct network_name *old,
		     unsigned count)
{
	struct network_name *n;

	if (s->name_count == NETWORK_NAMES_MAX)
		return;
	n = &s->names[s->name_count++];
	*n = (struct network_name){.paths = s, .host = xstrdup(host), .port = xstrdup(port)};
	for (unsigned i = 0; i < count; i++) {
		if (strcmp(old[i].host, host) != 0 || strcmp(old[i].port, port) != 0)
			continue;
		n->address = old[i].address;
		n->asked = old[i].asked;
		n->due = old[i].due;
	}
}

/* HOST:PORT, [V6]:PORT or HOST alone. */
static void add_stun(struct paths *s, const char *text, const struct network_name *old, unsigned count)
{
	char host[256];
	const char *colon = strrchr(text, ':'), *port = STUN_PORT;
	size_t len = strlen(text);

	if (colon && strchr(colon, ']'))
		colon = NULL;
	if (colon) {
		port = colon + 1;
		len = (size_t)(colon - text);
	}
	if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
		text++;
		len -= 2;
	}
	if (!len || len >= sizeof(host))
		return;
	memcpy(host, text, len);
	host[len] = '\0';
	add_name(s, host, port, old, count);
}

/* Without a STUN server of its own, ICE asks where the relay is. */
static void add_relay_host(struct paths *s, const struct network_name *old, unsigned count)
{
	struct relay_status st;
	struct relay_url url;
	const char *text = s->network.urls[0];

	if (s->pool && s->home != RELAY_NONE && relay_pool_look(s->pool, s->home, &st))
		text = st.url;
	if (relay_url_parse(&url, text))
		add_name(s, url.host, STUN_PORT, old, count);
}

void network_names_start(struct paths *s)
{
	const struct engine_network *n = &s->network;
	struct network_name old[NETWORK_NAMES_MAX];
	unsigned count = s->name_count;

	for (unsigned i = 0; i < count; i++) {
		resolve_cancel(s->names[i].query);
		s->names[i].query = NULL;
		old[i] = s->names[i];
	}
	s->name_count = 0;
	for (unsigned i = 0; i < n->stun_count; i++)
		add_stun(s, n->stun[i], old, count);
	if (!n->stun_count && n->url_count)
		add_relay_host(s, old, count);
	s->stun_names = s->name_count;
	for (unsigned i = 0; i < n->turn_count; i++)
		add_name(s, n->turn[i].host, n->turn[i].port, old, count);
	for (unsigned i = 0; i < count; i++)
		forget_name(&old[i]);
	s->names_patience = clock_boot_ns() + PATIENCE;
	for (unsigned i = 0; i < s->name_count && !n->ice_off; i++)
		if (!s->names[i].asked)
			ask(&s->names[i]);
	agents_options(s);
	paths_wake_at(s, s->names_patience);
}

/* Once settled it stays so: a name that changes later takes no working ICE away. */
bool network_names_settled(struct paths *s, uint64_t now)
{
	bool all = true;

	for (unsigned i = 0; i < s->name_count; i++)
		all &= s->names[i].asked;
	s->names_ready |= all || now >= s->names_patience;
	return s->names_ready;
}

uint64_t network_names_service(struct paths *s, uint64_t now)
{
	uint64_t due = 0;

	if (s->names_patience && s->names_patience <= now) {
		s->names_patience = 0;
		paths_settings(s);
	}
	due = s->names_patience;
	for (unsigned i = 0; i < s->name_count; i++) {
		struct network_name *n = &s->names[i];

		if (n->due && n->due <= now)
			ask(n);
		due = earlier(due, n->due);
	}
	return due;
}

void network_names_again(struct paths *s)
{
	if (s->network.ice_off)
		return;
	for (unsigned i = 0; i < s->name_count; i++)
		ask(&s->names[i]);
}

size_t engine_look_stun(struct engine *g, char out[][ENGINE_STUN_TEXT], size_t max)
{
	const struct paths *s = g->paths;
	size_t count = 0;

	for (unsigned i = 0; i < s->name_count && count < max; i++) {
		const struct network_name *n = &s->names[i];

		if (i >= s->stun_names && s->network.turn[i - s->stun_names].tcp)
			continue;
		snprintf(out[count++], ENGINE_STUN_TEXT,
			 strchr(n->host, ':') ? "[%.255s]:%.10s" : "%.255s:%.10s", n->host, n->port);
	}
	return count;
}
