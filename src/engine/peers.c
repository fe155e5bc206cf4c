/* Peers of the engine: a WireGuard peer with a name, an endpoint's origin and a timeline. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/internal.h"
#include "peer/peer.h"

struct engine_peer *peer_of(struct wg_peer *wg)
{
	return wg_peer_owner(wg);
}

struct engine_peer *engine_find_peer(struct engine *g, const struct key *public_key)
{
	struct wg_peer *wg = wg_find_peer(g->wg, public_key);

	return wg ? peer_of(wg) : NULL;
}

struct engine_peer *engine_add_peer(struct engine *g, const struct key *public_key)
{
	struct engine_peer *p = engine_find_peer(g, public_key);
	struct wg_peer *wg;
	union address known;

	if (p)
		return p;
	wg = wg_add_peer(g->wg, public_key);
	if (!wg)
		return NULL;
	p = xcalloc(1, sizeof(*p));
	p->engine = g;
	p->wg = wg;
	p->word = WORD_IDLE;
	p->word_since = clock_boot_ns();
	list_init(&p->watch);
	wg_peer_set_owner(wg, p);
	list_append(&g->peers, &p->link);
	g->peer_count++;
	for (struct engine_observer *o = g->observers; o; o = o->next)
		if (o->peer_added)
			o->peer_added(o->arg, p);
	/* Where it was last seen: a roaming peer has no other address after our restart. */
	if (g->persist && persist_endpoint(g->persist, public_key, &known))
		peer_point_at(p, &known, ORIGIN_PERSISTED);
	paths_add(p);
	return p;
}

static void free_peer(void *ptr)
{
	struct engine_peer *p = ptr;

	if (atomic_load(&p->has_news))
		news_serve(p->engine);
	free(p->relay);
	free(p);
}

void engine_remove_peer(struct engine_peer *p)
{
	struct engine *g = p->engine;
	struct wg_peer_view view;
	struct key key;

	wg_peer_public_key(p->wg, &key);
	wg_peer_look(p->wg, &view, clock_boot_ns());
	g->removed_rx += view.rx_bytes;
	g->removed_tx += view.tx_bytes;
	paths_remove(p);
	names_forget(p);
	list_remove(&p->watch);
	diagnosis_forget(p);
	list_remove(&p->link);
	g->peer_count--;
	for (struct engine_observer *o = g->observers; o; o = o->next)
		if (o->peer_removed)
			o->peer_removed(o->arg, &key);
	timeline_clear(&p->timeline);
	wg_remove_peer(p->wg);
	/* A worker may be about to set source_lost: the memory stays until it has left. */
	epoch_retire(wg_epoch(g->wg), p, free_peer);
	engine_kick(g);
}

void engine_remove_all_peers(struct engine *g)
{
	list_for_each_safe (pos, &g->peers)
		engine_remove_peer(container_of(pos, struct engine_peer, link));
}

struct engine_peer *engine_first_peer(struct engine *g)
{
	return list_empty(&g->peers) ? NULL : container_of(g->peers.next, struct engine_peer, link);
}

struct engine_peer *engine_next_peer(struct engine_peer *p)
{
	return p->link.next == &p->engine->peers ? NULL
						 : container_of(p->link.next, struct engine_peer, link);
}

size_t engine_peer_count(const struct engine *g)
{
	return g->peer_count;
}

struct wg_peer *engine_peer_wg(struct engine_peer *p)
{
	return p->wg;
}

static int pick_by_key_start(struct engine *g, const char *text, struct engine_peer **out, struct error *e)
{
	size_t len = strlen(text);
	struct engine_peer *found = NULL;

	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);
		char base64[KEY_BASE64_LEN + 1];
		struct key key;

		wg_peer_public_key(p->wg, &key);
		key_to_base64(base64, &key);
		if (strncmp(base64, text, len))
			continue;
		if (found)
			return error_set(e, ENOTUNIQ,
					 "\"%s\" is the start of several peers' keys: give more of it", text);
		found = p;
	}
	if (!found)
		return -ENOENT;
	*out = found;
	return 0;
}

static int no_such_peer(struct engine *g, const char *text, struct error *e)
{
	const char *near = NULL;

	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);

		if (*p->name && (strcasestr(p->name, text) || strcasestr(text, p->name))) {
			near = p->name;
			break;
		}
	}
	if (near)
		return error_set(e, ENOENT, "no peer \"%s\" on %s; near: %s", text, g->tun.name, near);
	return error_set(e, ENOENT,
			 "no peer \"%s\" on %s: give a name, a public key or at least 4 characters of one",
			 text, g->tun.name);
}

int engine_pick_peer(struct engine *g, const char *text, struct engine_peer **out, struct error *e)
{
	struct engine_peer *found = NULL;
	struct key key;
	int r;

	if (key_from_base64(&key, text)) {
		found = engine_find_peer(g, &key);
		if (found) {
			*out = found;
			return 0;
		}
		return no_such_peer(g, text, e);
	}
	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);

		if (strcasecmp(p->name, text) || !*text)
			continue;
		if (found)
			return error_set(e, ENOTUNIQ, "several peers are named \"%s\": use the public key",
					 text);
		found = p;
	}
	if (found) {
		*out = found;
		return 0;
	}
	if (strlen(text) >= 4) {
		r = pick_by_key_start(g, text, out, e);
		if (r != -ENOENT)
			return r;
	}
	return no_such_peer(g, text, e);
}

void engine_peer_set_name(struct engine_peer *p, const char *name)
{
	log_visible(p->name, sizeof(p->name), name ? name : "", name ? strlen(name) : 0);
}

const char *engine_peer_name(const struct engine_peer *p)
{
	return p->name;
}

/* New address of a peer from anywhere but the wire; a handshake shows at once whether it is right. */
void peer_point_at(struct engine_peer *p, const union address *a, enum endpoint_origin origin)
{
	struct endpoint now = wg_peer_endpoint(p->wg), e = {.remote = *a};

	p->origin = origin;
	if (!paths_take_endpoint(p, a))
		return;
	if (endpoint_known(&now) && address_equal(&now.remote, a))
		return;
	wg_peer_set_endpoint(p->wg, &e);
	p->handshake_wanted = true;
	p->engine->wanted = true;
	engine_kick(p->engine);
}

void engine_peer_set_endpoint(struct engine_peer *p, const union address *a)
{
	names_forget(p);
	memset(&p->configured, 0, sizeof(p->configured));
	if (a && a->sa.sa_family != AF_UNSPEC) {
		p->configured = *a;
		peer_point_at(p, a, ORIGIN_CONFIGURED);
		return;
	}
	p->origin = ORIGIN_NONE;
	if (paths_take_endpoint(p, &(union address){0}))
		wg_peer_set_endpoint(p->wg, &(struct endpoint){0});
}

int engine_peer_drain(struct engine_peer *p, const char *who)
{
	engine_note(p->engine, p, LOG_NOTICE, "drain", "drained by %s: all keys dropped", who);
	wg_peer_drain(p->wg, clock_now(), WG_REASON_user);
	paths_command(p, PEER_DRAIN);
	engine_kick(p->engine);
	return 0;
}

static int explain_handshake(struct engine_peer *p, int r, struct error *e)
{
	switch (r) {
	case 0:
		return 0;
	case -EDESTADDRREQ:
		return error_set(e, -r, "no endpoint is known%s",
				 p->host ? ": its name has not been resolved yet"
					 : ": set one, or wait for the peer");
	case -ENOKEY:
		return error_set(e, -r, "the interface has no private key");
	case -ENETDOWN:
		return error_set(e, -r, "the interface is down: ip link set %s up", p->engine->tun.name);
	default:
		return error_set(e, -r, "%s", strerror(-r));
	}
}

int engine_peer_handshake(struct engine_peer *p, const char *who, struct error *e)
{
	int r = wg_peer_handshake(p->wg, clock_now(), WG_REASON_user, true);

	if (!r)
		engine_note(p->engine, p, LOG_INFO, "handshake", "handshake asked for by %s", who);
	paths_command(p, PEER_HANDSHAKE);
	engine_kick(p->engine);
	return explain_handshake(p, r, e);
}

/*
 * Goes back to what the configuration says: the configured address or a fresh look-up of its name; a peer
 * without either keeps the address where it was seen last, and everything else starts over.
 */
int engine_peer_reset(struct engine_peer *p, const char *who, struct error *e)
{
	struct instant now = clock_now();
	struct endpoint start = {0};
	int r;

	engine_note(p->engine, p, LOG_NOTICE, "reset", "endpoint reset by %s", who);
	if (p->configured.sa.sa_family != AF_UNSPEC) {
		p->origin = ORIGIN_CONFIGURED;
		if (paths_take_endpoint(p, &p->configured))
			start.remote = p->configured;
	}
	wg_peer_reset(p->wg, &start, now);
	if (p->host) {
		p->resolved_last = 0;
		names_silent(p, now.boot);
	}
	r = wg_peer_handshake(p->wg, now, WG_REASON_user, true);
	paths_command(p, PEER_RESET);
	engine_kick(p->engine);
	/* Nothing to call is no failure of a reset: the peer, or its name, will tell. */
	return r == -EDESTADDRREQ ? 0 : explain_handshake(p, r, e);
}
