/*
 * Allowed IPs: which peer owns an inner address, by longest prefix.
 *
 * Two compressed binary tries, one per address family. Any number of readers look up while one writer (the
 * control thread) changes the trie: a node's key never changes once it is published, its children and its
 * peer are atomics, and nodes that are taken out go to the epoch. A reader sees each change either done or
 * not yet done.
 *
 * Peers are opaque here. Each has a list of its own entries, so that listing and removing them all costs as
 * much as it has entries, however large the trie is.
 */
#ifndef WEIR_WG_ALLOWEDIPS_H
#define WEIR_WG_ALLOWEDIPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"
#include "base/list.h"

struct allowedips;
struct wg_peer;

/* The epoch is borrowed and must outlive the trie. */
struct allowedips *allowedips_new(struct epoch *e);

/* No reader may be inside. Empties the lists of all peers that still have entries, so free it before them. */
void allowedips_free(struct allowedips *t);

/*
 * Gives addr/prefix to the peer and links the entry into `entries`, that peer's list (list_init it first; it
 * must not move in memory while it has entries). Takes it from any other peer: *previous (may be NULL) tells
 * whom, and is NULL when nobody or this same peer had it. family is AF_INET or AF_INET6, addr has 4 or 16
 * bytes in network order; bits beyond the prefix are ignored. 0, or -EINVAL for a bad family or prefix, and
 * then nothing changed.
 */
int allowedips_insert(struct allowedips *t, int family, const void *addr, unsigned prefix,
		      struct wg_peer *peer, struct list *entries, struct wg_peer **previous);

/* Removes exactly this prefix. -ENOENT when it is not there or not this peer's; -EINVAL as above. */
int allowedips_remove(struct allowedips *t, int family, const void *addr, unsigned prefix,
		      const struct wg_peer *peer);

/* Removes every entry on a peer's list. */
void allowedips_remove_all(struct allowedips *t, struct list *entries);

/* Every entry on a peer's list, oldest first; addr is in network order, 4 or 16 bytes, valid during the call.
 */
void allowedips_each(const struct list *entries,
		     void (*fn)(void *arg, int family, const uint8_t *addr, unsigned prefix), void *arg);

/* [worker] The peer with the longest prefix over addr (4 or 16 bytes, network order, no alignment needed), or
 * NULL. Call between epoch_enter and epoch_exit. */
struct wg_peer *allowedips_lookup(const struct allowedips *t, int family, const void *addr);

/*
 * The entries around an address, for people: first all that cover it, shortest prefix first, then at most `near` of
 * those that share the most leading bits with it. The writer's thread only; looks at a few hundred nodes at most.
 */
void allowedips_around(const struct allowedips *t, int family, const void *addr, unsigned near,
		       void (*fn)(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix,
				  bool covers),
		       void *arg);

/* Entries in both tries. */
size_t allowedips_count(const struct allowedips *t);

/* Nodes that they take: fewer than two for each entry. */
size_t allowedips_nodes(const struct allowedips *t);

#endif
