/*
 * A compressed binary trie: each node stands for a prefix, and every node below it for a longer one that it
 * covers. A node without a peer is a branch, and always has two children; so there are fewer than two nodes
 * for each entry. There are no pointers upwards: to take a node out, the writer walks down to it again.
 */
#include "wg/allowedips.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/xalloc.h"

#define WORDS_MAX 4 /* an IPv6 address in 32-bit words */

struct node;
typedef _Atomic(struct node *) slot_t;

/* What a lookup reads lies together, so that a visit costs one cache line as a rule. 48 bytes for IPv4, 60
 * for IPv6. */
struct node {
	struct list entry; /* in its peer's list */
	slot_t child[2];
	_Atomic(struct wg_peer *) peer; /* NULL: a branch */
	uint8_t prefix, width;		/* bits of the prefix, of an address */
	uint32_t key[];			/* address in host order; bits beyond the prefix are 0 */
};

struct allowedips {
	struct epoch *epoch;
	slot_t root4, root6;
	size_t count, nodes;
};

/* Where a node hangs, and where its parent hangs (NULL for the root). */
struct place {
	slot_t *slot, *parent_slot;
};

static struct node *node_at(const slot_t *slot)
{
	return atomic_load_explicit((slot_t *)slot, memory_order_acquire);
}

/* The release makes all that was written to the node before visible to whoever reads the slot. */
static void node_publish(slot_t *slot, struct node *n)
{
	atomic_store_explicit(slot, n, memory_order_release);
}

static struct wg_peer *node_peer(const struct node *n)
{
	return atomic_load_explicit(&((struct node *)n)->peer, memory_order_acquire);
}

static unsigned bit_at(const uint32_t *key, unsigned i)
{
	return key[i / 32] >> (31 - i % 32) & 1;
}

static bool covers(const struct node *n, const uint32_t *key)
{
	unsigned words = n->prefix / 32, rest = n->prefix % 32;

	for (unsigned i = 0; i < words; i++)
		if (n->key[i] != key[i])
			return false;
	return !rest || (n->key[words] ^ key[words]) >> (32 - rest) == 0;
}

/* How many leading bits are the same, at most limit. */
static unsigned common_bits(const uint32_t *a, const uint32_t *b, unsigned limit)
{
	for (unsigned i = 0; i * 32 < limit; i++) {
		unsigned same;

		if (a[i] == b[i])
			continue;
		same = i * 32 + (unsigned)__builtin_clz(a[i] ^ b[i]);
		return same < limit ? same : limit;
	}
	return limit;
}

static unsigned family_width(int family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

static slot_t *root_of(struct allowedips *t, unsigned width)
{
	return width == 32 ? &t->root4 : &t->root6;
}

static void load_key(uint32_t *key, const void *addr, unsigned width)
{
	memcpy(key, addr, width / 8);
	for (unsigned i = 0; i < width / 32; i++)
		key[i] = be32toh(key[i]);
}

static void mask_key(uint32_t *key, unsigned width, unsigned prefix)
{
	for (unsigned i = 0; i < width / 32; i++) {
		if (prefix <= i * 32)
			key[i] = 0;
		else if (prefix < (i + 1) * 32)
			key[i] &= ~(UINT32_MAX >> (prefix - i * 32));
	}
}

static struct node *node_new(struct allowedips *t, const uint32_t *key, unsigned width, unsigned prefix)
{
	struct node *n = xcalloc(1, sizeof(*n) + width / 8);

	t->nodes++;
	list_init(&n->entry);
	n->width = (uint8_t)width;
	n->prefix = (uint8_t)prefix;
	memcpy(n->key, key, width / 8);
	mask_key(n->key, width, prefix);
	return n;
}

struct allowedips *allowedips_new(struct epoch *e)
{
	struct allowedips *t = xcalloc(1, sizeof(*t));

	t->epoch = e;
	return t;
}

/* As deep as the longest prefix at most. */
static void free_below(struct node *n)
{
	if (!n)
		return;
	free_below(node_at(&n->child[0]));
	free_below(node_at(&n->child[1]));
	list_remove(&n->entry);
	free(n);
}

void allowedips_free(struct allowedips *t)
{
	if (!t)
		return;
	free_below(node_at(&t->root4));
	free_below(node_at(&t->root6));
	free(t);
}

/* A node for the prefix, perhaps only a branch, made when it is not there. */
static struct node *provide(struct allowedips *t, const uint32_t *key, unsigned width, unsigned prefix)
{
	slot_t *slot = root_of(t, width);
	struct node *n, *made, *branch;
	unsigned common;

	while ((n = node_at(slot)) && n->prefix <= prefix && covers(n, key)) {
		if (n->prefix == prefix)
			return n;
		slot = &n->child[bit_at(key, n->prefix)];
	}
	made = node_new(t, key, width, prefix);
	if (!n) {
		node_publish(slot, made);
		return made;
	}
	common = common_bits(n->key, key, prefix < n->prefix ? prefix : n->prefix);
	if (common == prefix) {
		node_publish(&made->child[bit_at(n->key, prefix)], n);
		node_publish(slot, made);
		return made;
	}
	branch = node_new(t, key, width, common);
	node_publish(&branch->child[bit_at(key, common)], made);
	node_publish(&branch->child[bit_at(n->key, common)], n);
	node_publish(slot, branch);
	return made;
}

int allowedips_insert(struct allowedips *t, int family, const void *addr, unsigned prefix,
		      struct wg_peer *peer, struct list *entries, struct wg_peer **previous)
{
	unsigned width = family_width(family);
	uint32_t key[WORDS_MAX];
	struct wg_peer *before;
	struct node *n;

	if (!width || prefix > width)
		return -EINVAL;
	load_key(key, addr, width);
	n = provide(t, key, width, prefix);
	before = node_peer(n);
	if (previous)
		*previous = before != peer ? before : NULL;
	if (before == peer)
		return 0;
	t->count += !before;
	atomic_store_explicit(&n->peer, peer, memory_order_release);
	list_remove(&n->entry);
	list_append(entries, &n->entry);
	return 0;
}

/* Readers may still be on it: its children stay, and lead where they always led. */
static void retire(struct allowedips *t, struct node *n)
{
	t->nodes--;
	epoch_retire(t->epoch, n, free);
}

static struct node *find(slot_t *root, const uint32_t *key, unsigned prefix, struct place *at)
{
	struct node *n;

	*at = (struct place){.slot = root};
	while ((n = node_at(at->slot)) && n->prefix <= prefix && covers(n, key)) {
		if (n->prefix == prefix)
			return n;
		at->parent_slot = at->slot;
		at->slot = &n->child[bit_at(key, n->prefix)];
	}
	return NULL;
}

static void take_out(struct allowedips *t, struct node *n, const struct place *at)
{
	struct node *left = node_at(&n->child[0]), *right = node_at(&n->child[1]);
	struct node *only = left ? left : right, *parent;

	atomic_store_explicit(&n->peer, NULL, memory_order_release);
	list_remove(&n->entry);
	t->count--;
	if (left && right)
		return; /* goes on as a branch */
	node_publish(at->slot, only);
	retire(t, n);
	if (only || !at->parent_slot)
		return;
	parent = node_at(at->parent_slot);
	if (node_peer(parent))
		return;
	/* A branch with one child left has no use. */
	left = node_at(&parent->child[0]);
	node_publish(at->parent_slot, left ? left : node_at(&parent->child[1]));
	retire(t, parent);
}

int allowedips_remove(struct allowedips *t, int family, const void *addr, unsigned prefix,
		      const struct wg_peer *peer)
{
	unsigned width = family_width(family);
	uint32_t key[WORDS_MAX];
	struct place at;
	struct node *n;

	if (!width || prefix > width)
		return -EINVAL;
	load_key(key, addr, width);
	n = find(root_of(t, width), key, prefix, &at);
	if (!n || !peer || node_peer(n) != peer)
		return -ENOENT;
	take_out(t, n, &at);
	return 0;
}

void allowedips_remove_all(struct allowedips *t, struct list *entries)
{
	list_for_each_safe (item, entries) {
		struct node *n = container_of(item, struct node, entry);
		struct place at;

		find(root_of(t, n->width), n->key, n->prefix, &at);
		take_out(t, n, &at);
	}
}

void allowedips_each(const struct list *entries,
		     void (*fn)(void *arg, int family, const uint8_t *addr, unsigned prefix), void *arg)
{
	list_for_each (item, entries) {
		const struct node *n = container_of(item, struct node, entry);
		uint32_t addr[WORDS_MAX];

		for (unsigned i = 0; i < n->width / 32u; i++)
			addr[i] = htobe32(n->key[i]);
		fn(arg, n->width == 32 ? AF_INET : AF_INET6, (const uint8_t *)addr, n->prefix);
	}
}

/* Once per packet and more, so each family has a loop without what the other needs. */
static struct wg_peer *lookup4(const struct node *n, const void *addr)
{
	struct wg_peer *best = NULL, *peer;
	uint32_t key;

	load_key(&key, addr, 32);
	while (n && (uint64_t)(n->key[0] ^ key) >> (32 - n->prefix) == 0) {
		peer = node_peer(n);
		best = peer ? peer : best;
		if (n->prefix == 32)
			break;
		n = node_at(&n->child[key >> (31 - n->prefix) & 1]);
	}
	return best;
}

static struct wg_peer *lookup6(const struct node *n, const void *addr)
{
	struct wg_peer *best = NULL, *peer;
	uint32_t key[WORDS_MAX];
	unsigned same = 0; /* words that the nodes above have compared */

	load_key(key, addr, 128);
	for (; n; n = node_at(&n->child[bit_at(key, n->prefix)])) {
		unsigned words = n->prefix / 32, rest = n->prefix % 32;

		while (same < words && n->key[same] == key[same])
			same++;
		if (same < words || (rest && (n->key[words] ^ key[words]) >> (32 - rest)))
			break;
		peer = node_peer(n);
		best = peer ? peer : best;
		if (n->prefix == 128)
			break;
	}
	return best;
}

struct wg_peer *allowedips_lookup(const struct allowedips *t, int family, const void *addr)
{
	if (family == AF_INET)
		return lookup4(node_at(&t->root4), addr);
	return family == AF_INET6 ? lookup6(node_at(&t->root6), addr) : NULL;
}

/* ---- for people ---- */

#define AROUND_VISITS 256

struct around {
	unsigned near, visits; /* left of both */
	void (*fn)(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix, bool covers);
	void *arg;
};

static void around_tell(struct around *a, const struct node *n, bool is_over)
{
	uint32_t addr[WORDS_MAX];

	for (unsigned i = 0; i < n->width / 32u; i++)
		addr[i] = htobe32(n->key[i]);
	a->fn(a->arg, node_peer(n), (const uint8_t *)addr, n->prefix, is_over);
}

static void around_below(struct around *a, const struct node *n)
{
	if (!n || !a->near || !a->visits)
		return;
	a->visits--;
	if (node_peer(n)) {
		a->near--;
		around_tell(a, n, false);
	}
	around_below(a, node_at(&n->child[0]));
	around_below(a, node_at(&n->child[1]));
}

void allowedips_around(const struct allowedips *t, int family, const void *addr, unsigned near,
		       void (*fn)(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix,
				  bool covers),
		       void *arg)
{
	struct around a = {.near = near, .visits = AROUND_VISITS, .fn = fn, .arg = arg};
	unsigned width = family_width(family), depth = 0;
	const struct node *over[WORDS_MAX * 32 + 1], *n;
	uint32_t key[WORDS_MAX];

	if (!width)
		return;
	load_key(key, addr, width);
	for (n = node_at(width == 32 ? &t->root4 : &t->root6); n && covers(n, key);) {
		if (node_peer(n))
			around_tell(&a, n, true);
		over[depth++] = n;
		n = n->prefix < width ? node_at(&n->child[bit_at(key, n->prefix)]) : NULL;
	}
	/* What hangs beside the way down shares the more bits the deeper it hangs. */
	around_below(&a, n);
	while (depth--)
		if (over[depth]->prefix < width)
			around_below(&a, node_at(&over[depth]->child[!bit_at(key, over[depth]->prefix)]));
}

size_t allowedips_count(const struct allowedips *t)
{
	return t->count;
}

size_t allowedips_nodes(const struct allowedips *t)
{
	return t->nodes;
}
