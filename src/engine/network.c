/*
 * Settings of [Relay] and [Ice], compared field by field so that a reload touches what changed only, and the
 * names that ICE needs as addresses: looked up without blocking; the last good answer stays in use.
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

/* ---- settings ---- */

static void wipe_text(char *text)
{
	if (text)
		crypto_wipe(text, strlen(text));
	free(text);
}

void engine_network_clear(struct engine_network *n)
{
	for (unsigned i = 0; i < n->url_count; i++)
		free(n->urls[i]);
	for (unsigned i = 0; i < n->stun_count; i++)
		free(n->stun[i]);
	for (unsigned i = 0; i < n->turn_count; i++) {
		free(n->turn[i].host);
		free(n->turn[i].port);
		free(n->turn[i].user);
		wipe_text(n->turn[i].password);
	}
	free(n->ca_file);
	free(n->pin);
	free(n->proxy);
	crypto_wipe(n, sizeof(*n));
}

static char *copy_text(const char *text)
{
	return text ? xstrdup(text) : NULL;
}

static void copy_network(struct engine_network *to, const struct engine_network *n)
{
	*to = *n;
	for (unsigned i = 0; i < n->url_count; i++)
		to->urls[i] = xstrdup(n->urls[i]);
	for (unsigned i = 0; i < n->stun_count; i++)
		to->stun[i] = xstrdup(n->stun[i]);
	for (unsigned i = 0; i < n->turn_count; i++) {
		to->turn[i].host = copy_text(n->turn[i].host);
		to->turn[i].port = copy_text(n->turn[i].port);
		to->turn[i].user = copy_text(n->turn[i].user);
		to->turn[i].password = copy_text(n->turn[i].password);
	}
	to->ca_file = copy_text(n->ca_file);
	to->pin = copy_text(n->pin);
	to->proxy = copy_text(n->proxy);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static bool same_texts(char *const *a, unsigned a_count, char *const *b, unsigned b_count)
{
	if (a_count != b_count)
		return false;
	for (unsigned i = 0; i < a_count; i++)
		if (strcmp(a[i], b[i]) != 0)
			return false;
	return true;
}

static bool same_urls(const struct engine_network *a, const struct engine_network *b)
{
	return same_texts(a->urls, a->url_count, b->urls, b->url_count);
}

static bool same_relay(const struct engine_network *a, const struct engine_network *b)
{
	return same_urls(a, b) && a->has_secret == b->has_secret && a->token_len == b->token_len &&
	       (!a->has_secret || crypto_equal(a->secret.key, b->secret.key, sizeof(a->secret.key))) &&
	       crypto_equal(a->token, b->token, sizeof(a->token)) && same_text(a->ca_file, b->ca_file) &&
	       same_text(a->pin, b->pin) && same_text(a->proxy, b->proxy);
}

static bool same_ice(const struct engine_network *a, const struct engine_network *b)
{
	if (a->ice_off != b->ice_off || a->turn_count != b->turn_count || a->upnp != b->upnp ||
	    a->ice_tcp != b->ice_tcp || a->no_fast != b->no_fast || a->turn_only != b->turn_only ||
	    !same_texts(a->stun, a->stun_count, b->stun, b->stun_count))
		return false;
	for (unsigned i = 0; i < a->turn_count; i++) {
		const struct engine_turn *x = &a->turn[i], *y = &b->turn[i];

		if (x->tcp != y->tcp || !same_text(x->host, y->host) || !same_text(x->port, y->port) ||
		    !same_text(x->user, y->user) || !same_text(x->password, y->password))
			return false;
	}
	return true;
}

bool engine_network_equal(const struct engine_network *a, const struct engine_network *b)
{
	return same_relay(a, b) && same_ice(a, b);
}

int engine_set_network(struct engine *g, const struct engine_network *n, struct error *e)
{
	struct paths *s = g->paths;
	struct engine_network old = s->network;
	bool relay = !same_relay(&old, n), ice = !same_ice(&old, n), urls = !same_urls(&old, n);

	if (!relay && !ice)
		return 0;
	copy_network(&s->network, n);
	if (s->up) {
		if (!n->url_count)
			relays_rest(s);
		else if (!old.url_count)
			relays_return(s);
		else if (relay)
			relays_options(s, urls);
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
