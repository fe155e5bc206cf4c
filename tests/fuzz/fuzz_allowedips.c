/* Changes of the trie of allowed IPs, eight bytes each, against a list that is searched from end to end. */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/epoch.h"
#include "wg/allowedips.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEP	  8
#define PEERS	  4
#define ENTRY_MAX 256

struct wg_peer {
	struct list entries;
};

struct entry {
	int family;
	uint8_t addr[16];
	unsigned prefix, peer;
};

struct model {
	struct entry entries[ENTRY_MAX];
	unsigned count;
};

static void require(bool truth)
{
	if (!truth)
		abort();
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
	for (unsigned i = 0; i < bits; i++)
		if ((a[i / 8] ^ b[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static struct entry *model_find(struct model *m, const struct entry *e)
{
	for (unsigned i = 0; i < m->count; i++)
		if (m->entries[i].family == e->family && m->entries[i].prefix == e->prefix &&
		    same_bits(m->entries[i].addr, e->addr, e->prefix))
			return &m->entries[i];
	return NULL;
}

static int model_owner(const struct model *m, int family, const uint8_t *addr)
{
	const struct entry *best = NULL;

	for (unsigned i = 0; i < m->count; i++) {
		const struct entry *e = &m->entries[i];

		if (e->family == family && same_bits(e->addr, addr, e->prefix) &&
		    (!best || e->prefix > best->prefix))
			best = e;
	}
	return best ? (int)best->peer : -1;
}

static void model_drop(struct model *m, struct entry *e)
{
	*e = m->entries[--m->count];
}

/* What to do, peer, family, prefix, and four bytes that an IPv6 address spreads. */
static struct entry read_entry(const uint8_t *data)
{
	struct entry e = {
		.peer = data[1] % PEERS, .family = data[2] & 1 ? AF_INET6 : AF_INET, .prefix = data[3]};

	for (unsigned i = 0; i < 4; i++)
		e.addr[e.family == AF_INET ? i : i * 5] = data[4 + i];
	return e;
}

static void do_insert(struct allowedips *t, struct wg_peer *peers, struct model *m, const struct entry *e)
{
	struct wg_peer *previous, *p = &peers[e->peer];
	bool valid = e->prefix <= (e->family == AF_INET ? 32u : 128u);
	struct entry *there = valid ? model_find(m, e) : NULL;

	if (!there && m->count == ENTRY_MAX)
		return;
	require(allowedips_insert(t, e->family, e->addr, e->prefix, p, &p->entries, &previous) ==
		(valid ? 0 : -EINVAL));
	if (!valid)
		return;
	require(previous == (there && there->peer != e->peer ? &peers[there->peer] : NULL));
	if (!there)
		there = &m->entries[m->count++];
	*there = *e;
}

static void do_remove(struct allowedips *t, struct wg_peer *peers, struct model *m, const struct entry *e)
{
	bool valid = e->prefix <= (e->family == AF_INET ? 32u : 128u);
	struct entry *there = valid ? model_find(m, e) : NULL;
	bool owned = there && there->peer == e->peer;

	require(allowedips_remove(t, e->family, e->addr, e->prefix, &peers[e->peer]) == (!valid	 ? -EINVAL
											 : owned ? 0
												 : -ENOENT));
	if (owned)
		model_drop(m, there);
}

static void do_remove_all(struct allowedips *t, struct wg_peer *peers, struct model *m, unsigned peer)
{
	allowedips_remove_all(t, &peers[peer].entries);
	for (unsigned i = m->count; i-- > 0;)
		if (m->entries[i].peer == peer)
			model_drop(m, &m->entries[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct epoch *epoch = epoch_new();
	struct allowedips *t = allowedips_new(epoch);
	struct wg_peer peers[PEERS], *p;
	static struct model m;

	m.count = 0;
	for (unsigned i = 0; i < PEERS; i++)
		list_init(&peers[i].entries);
	for (; size >= STEP; data += STEP, size -= STEP) {
		struct entry e = read_entry(data);

		if (data[0] < 160)
			do_insert(t, peers, &m, &e);
		else if (data[0] < 250)
			do_remove(t, peers, &m, &e);
		else
			do_remove_all(t, peers, &m, e.peer);
		p = allowedips_lookup(t, e.family, e.addr);
		require((p ? (int)(p - peers) : -1) == model_owner(&m, e.family, e.addr));
		require(allowedips_count(t) == m.count);
		require(allowedips_nodes(t) <= 2 * m.count);
	}
	for (unsigned i = 0; i < m.count; i++) {
		p = allowedips_lookup(t, m.entries[i].family, m.entries[i].addr);
		require(p && (int)(p - peers) == model_owner(&m, m.entries[i].family, m.entries[i].addr));
	}
	allowedips_free(t);
	epoch_free(epoch);
	return 0;
}
