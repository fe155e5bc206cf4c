#include "control/changes.h"

#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/map.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

#define SWEEP_TIME    (5 * NS_PER_MS) /* CPU time */
#define REMOVED_MAX   4096 /* removals remembered */
#define REFRESH_SHARE 16   /* each sweep rewrites one in so many: settings that tell nobody of their change */

struct watched {
	struct list link;	/* all, in order of creation */
	struct list dirty;	/* to be written and compared */
	struct list by_version; /* the newest last */
	struct key key;
	struct engine_peer *peer;
	uint64_t fingerprint;
	uint64_t hash; /* of the object, 0: not written yet */
	uint64_t version;
};

struct removal {
	struct key key;
	uint64_t version;
};

struct changes {
	struct engine *engine;
	const struct time_base *time_base;
	struct map *by_key;
	struct list all, dirty, by_version;
	struct list *refresh; /* the next to rewrite */
	uint64_t version;
	struct removal *removed; /* ring, oldest at first_removed */
	size_t removed_count, first_removed;
	uint64_t removed_floor; /* removals up to this version are forgotten */
	struct strbuf object;
	struct allowed_list allowed;
	struct snapshot_paths paths;
	struct diagnoses diagnoses;
};

static uint64_t mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * 0x9e3779b97f4a7c15ull;
	return h ^ h >> 29;
}

/* Not against an adversary: a collision hides one change until the next. */
static uint64_t hash_bytes(const char *bytes, size_t len)
{
	uint64_t h = len, v;

	for (; len >= sizeof(v); bytes += sizeof(v), len -= sizeof(v)) {
		memcpy(&v, bytes, sizeof(v));
		h = mix(h, v);
	}
	v = 0;
	memcpy(&v, bytes, len);
	h = mix(h, v);
	return h ? h : 1;
}

static uint64_t fingerprint(struct engine_peer *p, uint64_t now)
{
	struct wg_peer *wg = engine_peer_wg(p);
	struct wg_peer_view v;
	uint64_t h = 1, events = 0;

	wg_peer_look(wg, &v, now);
	h = mix(h, v.tx_bytes);
	h = mix(h, v.rx_bytes);
	h = mix(h, v.last_handshake_boot);
	h = mix(h, v.last_sent ^ v.last_received << 1);
	h = mix(h, v.unanswered_since);
	h = mix(h, v.attempt | (uint64_t)v.draining << 32 | (uint64_t)v.staged << 33);
	h = mix(h, wg_peer_keepalive(wg));
	for (unsigned i = 0; i < WG_TIMERS; i++)
		h = mix(h, v.timers[i]);
	/* They only grow: none can move without moving the sum. */
	for (unsigned i = 0; v.counters && i < WG_COUNTERS; i++)
		events += counter_get(&v.counters[i]);
	return mix(h, events);
}

static void mark(struct changes *c, struct watched *w)
{
	if (list_empty(&w->dirty))
		list_append(&c->dirty, &w->dirty);
}

static void changed(struct changes *c, struct watched *w)
{
	w->version = ++c->version;
	list_remove(&w->by_version);
	list_append(&c->by_version, &w->by_version);
}

static struct watched *watch(struct changes *c, struct engine_peer *p)
{
	struct watched *w = xcalloc(1, sizeof(*w));

	w->peer = p;
	wg_peer_public_key(engine_peer_wg(p), &w->key);
	list_init(&w->dirty);
	list_init(&w->by_version);
	list_append(&c->all, &w->link);
	map_put(c->by_key, &w->key, w);
	changed(c, w);
	return w;
}

struct changes *changes_new(struct engine *g, const struct time_base *t)
{
	struct changes *c = xcalloc(1, sizeof(*c));
	uint64_t now = clock_boot_ns();

	c->engine = g;
	c->time_base = t;
	c->by_key = map_new(KEY_LEN);
	list_init(&c->all);
	list_init(&c->dirty);
	list_init(&c->by_version);
	c->refresh = &c->all;
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		watch(c, p)->fingerprint = fingerprint(p, now);
	return c;
}

static void forget(struct changes *c, struct watched *w)
{
	if (c->refresh == &w->link)
		c->refresh = w->link.next;
	list_remove(&w->link);
	list_remove(&w->dirty);
	list_remove(&w->by_version);
	map_remove(c->by_key, &w->key);
	free(w);
}

void changes_free(struct changes *c)
{
	if (!c)
		return;
	list_for_each_safe (pos, &c->all)
		forget(c, container_of(pos, struct watched, link));
	map_free(c->by_key);
	free(c->removed);
	strbuf_clear(&c->object);
	free(c);
}

/* ---- facts ---- */

void changes_peer_added(struct changes *c, struct engine_peer *p)
{
	mark(c, watch(c, p));
}

static void remember_removal(struct changes *c, const struct key *public_key)
{
	struct removal *r;

	if (!c->removed)
		c->removed = xcalloc(REMOVED_MAX, sizeof(*c->removed));
	if (c->removed_count == REMOVED_MAX) {
		c->removed_floor = c->removed[c->first_removed].version;
		c->first_removed = (c->first_removed + 1) % REMOVED_MAX;
		c->removed_count--;
	}
	r = &c->removed[(c->first_removed + c->removed_count++) % REMOVED_MAX];
	r->key = *public_key;
	r->version = ++c->version;
}

void changes_peer_removed(struct changes *c, const struct key *public_key)
{
	struct watched *w = map_get(c->by_key, public_key);

	if (!w)
		return;
	forget(c, w);
	remember_removal(c, public_key);
}

void changes_peer_touched(struct changes *c, struct engine_peer *p)
{
	struct watched *w;
	struct key key;

	wg_peer_public_key(engine_peer_wg(p), &key);
	w = map_get(c->by_key, &key);
	if (w)
		mark(c, w);
}

void changes_all_touched(struct changes *c)
{
	list_for_each (pos, &c->all)
		mark(c, container_of(pos, struct watched, link));
}

/* ---- sweeping ---- */

static void compare(struct changes *c, struct watched *w, uint64_t hash)
{
	if (w->hash == hash)
		return;
	/* The first look has nothing to compare with, and every reader gets or got the object then. */
	if (w->hash)
		changed(c, w);
	w->hash = hash;
}

/* Looking at a peer may make the engine find a change of state, whose event touches the peer once more. */
static void look(struct changes *c, struct watched *w, uint64_t now)
{
	struct writer writer = {.to = &c->object};
	struct engine_peer_view view;

	list_remove(&w->dirty);
	w->fingerprint = fingerprint(w->peer, now);
	engine_look_peer(w->peer, &view);
	allowed_list_take(&c->allowed, engine_peer_wg(w->peer));
	c->object.len = 0;
	snapshot_peer(&writer, &view, &c->allowed, SNAPSHOT_ALLOWED, snapshot_paths_take(&c->paths, w->peer),
		      snapshot_diagnosis_take(&c->diagnoses, w->peer), c->time_base);
	compare(c, w, hash_bytes(c->object.text, c->object.len));
}

static void mark_some(struct changes *c)
{
	for (size_t n = map_count(c->by_key) / REFRESH_SHARE + 1; n && !list_empty(&c->all); n--) {
		if (c->refresh == &c->all)
			c->refresh = c->all.next;
		mark(c, container_of(c->refresh, struct watched, link));
		c->refresh = c->refresh->next;
	}
}

bool changes_sweep(struct changes *c, struct instant now, bool everybody)
{
	uint64_t began = clock_work_ns();

	if (everybody) {
		list_for_each (pos, &c->all) {
			struct watched *w = container_of(pos, struct watched, link);

			if (w->fingerprint != fingerprint(w->peer, now.boot))
				mark(c, w);
		}
		mark_some(c);
	}
	while (!list_empty(&c->dirty)) {
		look(c, container_of(c->dirty.next, struct watched, dirty), now.boot);
		if (clock_work_ns() - began > SWEEP_TIME)
			break;
	}
	return !list_empty(&c->dirty);
}

/* ---- answers ---- */

uint64_t changes_version(const struct changes *c)
{
	return c->version;
}

size_t changes_since(const struct changes *c, uint64_t version, struct key **keys)
{
	size_t count = 0, room = 0;

	*keys = NULL;
	for (struct list *pos = c->by_version.prev; pos != &c->by_version; pos = pos->prev) {
		const struct watched *w = container_of(pos, struct watched, by_version);

		if (w->version <= version)
			break;
		if (count == room) {
			room = room ? room * 2 : 16;
			*keys = xrealloc(*keys, room * sizeof(**keys));
		}
		(*keys)[count++] = w->key;
	}
	return count;
}

bool changes_removed_since(const struct changes *c, uint64_t version, struct key **keys, size_t *count)
{
	*keys = NULL;
	*count = 0;
	if (version < c->removed_floor)
		return false;
	for (size_t i = c->removed_count; i--;) {
		const struct removal *r = &c->removed[(c->first_removed + i) % REMOVED_MAX];

		if (r->version <= version)
			break;
		if (!*keys)
			*keys = xmalloc((i + 1) * sizeof(**keys));
		(*keys)[(*count)++] = r->key;
	}
	return true;
}

void changes_sent(struct changes *c, const struct key *public_key, const char *object, size_t len)
{
	struct watched *w = map_get(c->by_key, public_key);

	if (w)
		compare(c, w, hash_bytes(object, len));
}
