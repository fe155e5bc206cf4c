/*
 * Endpoint host names. A name is looked up at once, retried for ever with growing pauses, and looked up again
 * when its tunnel has gone silent: the address behind it may have changed. Nothing here waits.
 */
#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/internal.h"

#define RETRY_FIRST   (1 * NS_PER_SEC)
#define RETRY_LONGEST (30 * NS_PER_SEC)
#define AGAIN_AFTER   (20 * NS_PER_SEC) /* at most one repeated look-up per peer in this time */

static uint64_t retry_pause(unsigned tries)
{
	uint64_t pause = RETRY_FIRST << (tries < 6 ? tries : 6);

	return pause < RETRY_LONGEST ? pause : RETRY_LONGEST;
}

static void look_later(struct engine_peer *p, uint64_t due)
{
	heap_set(&p->engine->names, &p->resolve_due, due);
	engine_kick(p->engine);
}

static void answered(void *arg, const union address *found, int gai_error)
{
	struct engine_peer *p = arg;
	uint64_t now = clock_boot_ns();

	p->query = NULL;
	if (!found) {
		const char *why = gai_strerror(gai_error);

		if (!p->resolve_error || strcmp(p->resolve_error, why))
			engine_note(p->engine, p, LOG_WARN, "name", "cannot resolve %s: %s; trying on",
				    p->host, why);
		free(p->resolve_error);
		p->resolve_error = xstrdup(why);
		look_later(p, now + retry_pause(p->resolve_tries++));
		word_update(p, now);
		return;
	}
	free(p->resolve_error);
	p->resolve_error = NULL;
	p->resolve_tries = 0;
	if (!p->resolved_last || !address_equal(&p->resolved, found)) {
		char text[ADDRESS_TEXT];

		engine_note(p->engine, p, LOG_INFO, "name", "%s is %s", p->host, address_format(text, found));
	}
	p->resolved_last = now;
	p->resolved = *found;
	peer_point_at(p, found, ORIGIN_RESOLVED);
	word_update(p, now);
}

static void start_query(struct engine_peer *p)
{
	if (p->query)
		return;
	heap_remove(&p->engine->names, &p->resolve_due);
	p->query = resolve_start(p->engine->resolver, p->host, p->port, answered, p);
}

void names_forget(struct engine_peer *p)
{
	resolve_cancel(p->query);
	p->query = NULL;
	heap_remove(&p->engine->names, &p->resolve_due);
	free(p->host);
	free(p->port);
	free(p->resolve_error);
	p->host = p->port = p->resolve_error = NULL;
	p->resolve_tries = 0;
	p->resolved_last = 0;
}

void engine_peer_set_endpoint_host(struct engine_peer *p, const char *host, const char *port)
{
	if (p->host && !strcmp(p->host, host) && !strcmp(p->port, port))
		return;
	names_forget(p);
	memset(&p->configured, 0, sizeof(p->configured));
	p->host = xstrdup(host);
	p->port = xstrdup(port);
	start_query(p);
}

int engine_peer_resolve(struct engine_peer *p, const char *who, struct error *e)
{
	if (!p->host)
		return error_set(e, EDESTADDRREQ, "its endpoint is no name: there is nothing to look up");
	engine_note(p->engine, p, LOG_NOTICE, "name", "%s is looked up again, asked for by %s", p->host, who);
	start_query(p);
	return 0;
}

void names_silent(struct engine_peer *p, uint64_t now)
{
	uint64_t due = p->resolved_last ? p->resolved_last + AGAIN_AFTER : now;

	if (!p->host || p->query || p->resolve_due.slot)
		return;
	look_later(p, due > now ? due : now);
}

uint64_t names_service(struct engine *g, uint64_t now)
{
	struct heap_node *first;

	while ((first = heap_first(&g->names)) && first->key <= now)
		start_query(container_of(first, struct engine_peer, resolve_due));
	return first ? first->key : 0;
}
