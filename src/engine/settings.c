/* The settings of [Relay] and [Ice]: copied, compared, wiped. Needs nothing of the engine, so config/ can use
 * it alone. */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"

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

void engine_network_copy(struct engine_network *to, const struct engine_network *n)
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

bool engine_network_same_urls(const struct engine_network *a, const struct engine_network *b)
{
	return same_texts(a->urls, a->url_count, b->urls, b->url_count);
}

bool engine_network_same_relay(const struct engine_network *a, const struct engine_network *b)
{
	return engine_network_same_urls(a, b) && a->has_secret == b->has_secret &&
	       a->token_len == b->token_len &&
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
	return engine_network_same_relay(a, b) && same_ice(a, b);
}
