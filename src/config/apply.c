/*
 * From one configuration to the next by difference. Who owns a prefix is compared as the files mean it, with
 * the last peer that lists it as the owner: a prefix that moves is moved, and one that a peer gives up goes
 * back to the peer that listed it before.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "engine/engine.h"

/* ---- peers by key, prefixes by owner ---- */

static struct map *peers_by_key(const struct conf *c)
{
	struct map *by_key = map_new(KEY_LEN);

	for (size_t i = 0; c && i < c->peer_count; i++)
		map_put(by_key, &c->peers[i].public_key, &c->peers[i]);
	return by_key;
}

struct prefix_id {
	uint8_t family, len, addr[16];
};

static struct prefix_id id_of(const struct conf_prefix *p)
{
	struct prefix_id id = {.family = (uint8_t)p->family, .len = p->len};
	size_t whole = p->len / 8;

	memcpy(id.addr, p->addr, whole);
	if (p->len % 8)
		id.addr[whole] = p->addr[whole] & (uint8_t)(0xff00 >> (p->len % 8));
	return id;
}

static struct map *owners_of(const struct conf *c)
{
	struct map *owners = map_new(sizeof(struct prefix_id));

	for (size_t i = 0; c && i < c->peer_count; i++) {
		for (size_t j = 0; j < c->peers[i].allowed_count; j++) {
			struct prefix_id id = id_of(&c->peers[i].allowed[j]);

			map_put(owners, &id, &c->peers[i]);
		}
	}
	return owners;
}

/* ---- the device ---- */

/* A default route by policy routing: its mark is the business of who sets up the host (system.h). */
static bool has_policy_routing(const struct conf *c)
{
	for (size_t i = 0; c->table == TABLE_AUTO && i < c->peer_count; i++)
		for (size_t j = 0; j < c->peers[i].allowed_count; j++)
			if (!c->peers[i].allowed[j].len)
				return true;
	return false;
}

static bool mark_differs(const struct conf *old, const struct conf *new)
{
	if (new->has_fwmark)
		return !old || old->fwmark != new->fwmark;
	return old && old->has_fwmark && !has_policy_routing(new);
}

/* Relays, ICE. The engine touches only what differs; a section that says the same is not even shown to it.
 * What the engine refuses it may have taken in part: the old one puts that right. */
static int apply_network(struct engine *g, const struct conf *old, const struct conf *new,
			 struct conf_changes *changes, struct error *e)
{
	static const struct engine_network none;
	int r = 0;

	if (conf_network_equal(old, new))
		return 0;
	r = engine_set_network(g, new ? &new->network : &none, e);
	if (r)
		engine_set_network(g, old ? &old->network : &none, NULL);
	else
		changes->device_changed = true;
	return r;
}

/* What may fail comes first, and goes back when the next fails: nothing is half applied. */
static int apply_device(struct engine *g, const struct conf *old, const struct conf *new,
			struct conf_changes *changes, struct error *e)
{
	bool port = old ? old->listen_port != new->listen_port : new->listen_port != 0;
	bool mark = mark_differs(old, new);
	bool key = new->has_private_key &&
		   (!old || !old->has_private_key || !key_equal(&old->private_key, &new->private_key));
	uint16_t before = engine_listen_port(g);
	int r;

	if (port) {
		r = engine_set_listen_port(g, new->listen_port, e);
		if (r)
			return r;
	}
	if (mark) {
		r = engine_set_fwmark(g, new->fwmark, e);
		if (r) {
			if (port)
				engine_set_listen_port(g, before, NULL);
			return r;
		}
	}
	if (key)
		engine_set_private_key(g, &new->private_key);
	changes->device_changed |= port || mark || key;
	return 0;
}

/* ---- peers ---- */

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* The endpoint that a peer may be reached at: in relay-only there is none, from before the first packet on.
 */
static const char *host_of(const struct conf_peer *p)
{
	return p->mode == PEER_RELAY_ONLY ? NULL : p->host;
}

static void apply_endpoint(struct engine_peer *p, const struct conf_peer *new)
{
	if (!host_of(new))
		engine_peer_set_endpoint(p, NULL);
	else if (new->endpoint.sa.sa_family != AF_UNSPEC)
		engine_peer_set_endpoint(p, &new->endpoint);
	else
		engine_peer_set_endpoint_host(p, new->host, new->port);
}

/* What differs between old (NULL: an empty peer) and new. True if anything did. */
static bool apply_peer(struct engine_peer *p, const struct conf_peer *old, const struct conf_peer *new)
{
	static const struct conf_peer empty;
	bool changed = false;

	if (!old)
		old = &empty;
	if (!same_text(old->name, new->name)) {
		engine_peer_set_name(p, new->name ? new->name : "");
		changed = true;
	}
	if (old->has_psk != new->has_psk || !key_equal(&old->psk, &new->psk)) {
		wg_peer_set_psk(engine_peer_wg(p), new->has_psk ? &new->psk : NULL);
		changed = true;
	}
	if (old->keepalive != new->keepalive) {
		wg_peer_set_keepalive(engine_peer_wg(p), new->keepalive, clock_now());
		changed = true;
	}
	if (!same_text(old->relay, new->relay)) {
		engine_peer_set_relay(p, new->relay);
		changed = true;
	}
	if (old->mode != new->mode) {
		engine_peer_set_mode(p, new->mode);
		changed = true;
	}
	if (!same_text(host_of(old), host_of(new)) || (host_of(new) && !same_text(old->port, new->port))) {
		apply_endpoint(p, new);
		changed = true;
	}
	return changed;
}

/* ---- the difference ---- */

struct change {
	struct engine *g;
	struct map *old_peers, *old_owners, *new_peers, *new_owners;
	bool *fresh; /* of new's peers: was just made, so it has nothing of old */
	bool *gone;  /* of new's peers: was removed by hand, and stays away */
	bool *changed;
};

static void remove_peers(struct change *d, const struct conf *old, struct conf_changes *changes)
{
	for (size_t i = 0; old && i < old->peer_count; i++) {
		struct engine_peer *p;

		if (map_get(d->new_peers, &old->peers[i].public_key))
			continue;
		p = engine_find_peer(d->g, &old->peers[i].public_key);
		if (!p)
			continue;
		engine_remove_peer(p);
		changes->peers_removed++;
	}
}

static bool same_allowed(const struct conf_peer *a, const struct conf_peer *b)
{
	if (a->allowed_count != b->allowed_count)
		return false;
	for (size_t i = 0; i < a->allowed_count; i++) {
		struct prefix_id x = id_of(&a->allowed[i]), y = id_of(&b->allowed[i]);

		if (memcmp(&x, &y, sizeof(x)))
			return false;
	}
	return true;
}

static bool same_peer(const struct conf_peer *a, const struct conf_peer *b)
{
	return same_text(a->name, b->name) && same_text(a->host, b->host) && same_text(a->port, b->port) &&
	       same_text(a->relay, b->relay) && a->mode == b->mode && a->keepalive == b->keepalive &&
	       a->has_psk == b->has_psk && key_equal(&a->psk, &b->psk) && same_allowed(a, b);
}

static void add_and_change_peers(struct change *d, const struct conf *new, struct conf_changes *changes)
{
	for (size_t i = 0; i < new->peer_count; i++) {
		const struct conf_peer *n = &new->peers[i], *o = map_get(d->old_peers, &n->public_key);
		struct engine_peer *p = engine_find_peer(d->g, &n->public_key);

		if (!p && o && same_peer(o, n)) {
			d->gone[i] = true;
			continue;
		}
		if (!p) {
			p = engine_add_peer(d->g, &n->public_key);
			d->gone[i] = !p; /* our own key: lint tells */
			if (!p)
				continue;
			changes->peers_added++;
			d->fresh[i] = true;
			o = NULL;
		} else if (!o) {
			/* Somebody's `wg set` was first: the file adds what it says. */
			d->changed[i] = true;
		}
		if (apply_peer(p, o, n) && !d->fresh[i])
			d->changed[i] = true;
	}
}

/* Prefixes that no peer of the new file has, while their peer stays. */
static void drop_prefixes(struct change *d, const struct conf *old, const struct conf *new)
{
	for (size_t i = 0; old && i < old->peer_count; i++) {
		const struct conf_peer *o = &old->peers[i], *n = map_get(d->new_peers, &o->public_key);
		struct engine_peer *p = n ? engine_find_peer(d->g, &o->public_key) : NULL;

		if (p && d->fresh[n - new->peers])
			continue;
		for (size_t j = 0; p && j < o->allowed_count; j++) {
			struct prefix_id id = id_of(&o->allowed[j]);

			if (map_get(d->new_owners, &id) || map_get(d->old_owners, &id) != o)
				continue;
			wg_disallow(engine_peer_wg(p), id.family, id.addr, id.len);
			d->changed[n - new->peers] = true;
		}
	}
}

/* Of two peers that list one prefix the later has it; the other's diagnosis tells. */
static void note_stolen(struct engine_peer *p, const struct conf_peer *by, const struct prefix_id *id)
{
	struct wg_stolen s;

	memset(&s, 0, sizeof(s));
	s.family = id->family;
	s.prefix = id->len;
	s.by = by->public_key;
	memcpy(s.addr, id->addr, sizeof(s.addr));
	wg_peer_note_stolen(engine_peer_wg(p), &s);
}

static void take_prefixes(struct change *d, const struct conf *new)
{
	for (size_t i = 0; i < new->peer_count; i++) {
		const struct conf_peer *n = &new->peers[i];
		struct engine_peer *p = d->gone[i] ? NULL : engine_find_peer(d->g, &n->public_key);

		for (size_t j = 0; p && j < n->allowed_count; j++) {
			struct prefix_id id = id_of(&n->allowed[j]);
			const struct conf_peer *before = map_get(d->old_owners, &id);

			const struct conf_peer *owner = map_get(d->new_owners, &id);

			if (owner != n) {
				note_stolen(p, owner, &id);
				continue;
			}
			if (before && !d->fresh[i] && key_equal(&before->public_key, &n->public_key))
				continue;
			wg_allow(engine_peer_wg(p), id.family, id.addr, id.len, NULL);
			d->changed[i] = true;
		}
	}
}

static void count_changes(struct change *d, const struct conf *new, struct conf_changes *changes)
{
	for (size_t i = 0; i < new->peer_count; i++) {
		struct engine_peer *p = d->gone[i] ? NULL : engine_find_peer(d->g, &new->peers[i].public_key);
		struct wg_peer_view view;

		if (!p || d->fresh[i])
			continue;
		changes->peers_changed += d->changed[i];
		wg_peer_look(engine_peer_wg(p), &view, clock_boot_ns());
		changes->sessions_kept += view.keypairs[WG_CURRENT].used;
	}
}

int conf_apply(struct engine *g, const struct conf *old, const struct conf *new, struct conf_changes *changes,
	       struct error *e)
{
	struct conf_changes ignored;
	struct change d = {.g = g};
	size_t room = new->peer_count + 1;
	int r;

	if (!changes)
		changes = &ignored;
	*changes = (struct conf_changes){0};
	r = apply_network(g, old, new, changes, e);
	if (r)
		return r;
	r = apply_device(g, old, new, changes, e);
	if (r) {
		apply_network(g, new, old, &(struct conf_changes){0}, NULL);
		return r;
	}
	d.fresh = xcalloc(3 * room, sizeof(bool));
	d.gone = d.fresh + room;
	d.changed = d.gone + room;
	d.old_peers = peers_by_key(old);
	d.new_peers = peers_by_key(new);
	d.old_owners = owners_of(old);
	d.new_owners = owners_of(new);
	remove_peers(&d, old, changes);
	add_and_change_peers(&d, new, changes);
	drop_prefixes(&d, old, new);
	take_prefixes(&d, new);
	count_changes(&d, new, changes);
	map_free(d.old_peers);
	map_free(d.new_peers);
	map_free(d.old_owners);
	map_free(d.new_owners);
	free(d.fresh);
	return 0;
}
