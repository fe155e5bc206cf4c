#include "base/map.h"

#include <assert.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define ROOM_MIN 16

/* Open addressing, linear probing; removal closes the gap, so there are no tombstones to sweep. */
struct map {
	size_t key_len, count, room; /* room is a power of two */
	void **values;		     /* NULL: free slot */
	uint64_t *hashes;
	uint8_t *keys;
	uint8_t seed[crypto_shorthash_KEYBYTES];
};

static uint64_t hash_of(const struct map *m, const void *key)
{
	uint64_t h;

	static_assert(crypto_shorthash_BYTES == sizeof(h), "SipHash-2-4 gives 64 bits");
	crypto_shorthash((uint8_t *)&h, key, m->key_len, m->seed);
	return h;
}

static void make_room(struct map *m, size_t room)
{
	m->room = room;
	m->values = xcalloc(room, sizeof(m->values[0]));
	m->hashes = xcalloc(room, sizeof(m->hashes[0]));
	m->keys = xcalloc(room, m->key_len);
}

/* Slot that holds the key, or the free one where it belongs. */
static size_t find(const struct map *m, const void *key, uint64_t hash)
{
	size_t i = hash & (m->room - 1);

	while (m->values[i] &&
	       (m->hashes[i] != hash || memcmp(m->keys + i * m->key_len, key, m->key_len) != 0))
		i = (i + 1) & (m->room - 1);
	return i;
}

static void fill(struct map *m, size_t i, const void *key, uint64_t hash, void *value)
{
	memcpy(m->keys + i * m->key_len, key, m->key_len);
	m->hashes[i] = hash;
	m->values[i] = value;
}

static void grow(struct map *m)
{
	struct map old = *m;

	make_room(m, 2 * old.room);
	for (size_t i = 0; i < old.room; i++) {
		const uint8_t *key = old.keys + i * m->key_len;

		if (old.values[i])
			fill(m, find(m, key, old.hashes[i]), key, old.hashes[i], old.values[i]);
	}
	free(old.values);
	free(old.hashes);
	free(old.keys);
}

struct map *map_new(size_t key_len)
{
	struct map *m = xcalloc(1, sizeof(*m));

	assert(key_len > 0 && key_len <= 64);
	m->key_len = key_len;
	randombytes_buf(m->seed, sizeof(m->seed));
	make_room(m, ROOM_MIN);
	return m;
}

void map_free(struct map *m)
{
	if (!m)
		return;
	free(m->values);
	free(m->hashes);
	free(m->keys);
	free(m);
}

void *map_get(const struct map *m, const void *key)
{
	return m->values[find(m, key, hash_of(m, key))];
}

void map_put(struct map *m, const void *key, void *value)
{
	uint64_t hash = hash_of(m, key);
	size_t i = find(m, key, hash);

	assert(value);
	if (m->values[i]) {
		m->values[i] = value;
		return;
	}
	if (4 * (m->count + 1) > 3 * m->room) {
		grow(m);
		i = find(m, key, hash);
	}
	fill(m, i, key, hash, value);
	m->count++;
}

void *map_remove(struct map *m, const void *key)
{
	size_t mask = m->room - 1, hole = find(m, key, hash_of(m, key));
	void *value = m->values[hole];

	if (!value)
		return NULL;
	/* Pull back each follower that would no longer be reached across the hole (Knuth 6.4, algorithm R).
	 */
	for (size_t i = (hole + 1) & mask; m->values[i]; i = (i + 1) & mask) {
		size_t home = m->hashes[i] & mask;

		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		fill(m, hole, m->keys + i * m->key_len, m->hashes[i], m->values[i]);
		hole = i;
	}
	m->values[hole] = NULL;
	memset(m->keys + hole * m->key_len, 0, m->key_len);
	m->count--;
	return value;
}

size_t map_count(const struct map *m)
{
	return m->count;
}
