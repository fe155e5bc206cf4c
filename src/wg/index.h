/*
 * Receiver indices: the random 32-bit names under which peers address our handshakes and keypairs.
 *
 * An open-addressing table. Indices are random and ours, so they are their own hash. Workers look up without
 * a lock while one writer (the control thread) changes it: a slot once used keeps its index until the whole
 * table is replaced, so nobody can see the index of one entry with the owner of another. Replaced tables go
 * to the epoch. It also means that an index is not handed out again right after it was freed.
 */
#ifndef WEIR_WG_INDEX_H
#define WEIR_WG_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/epoch.h"

enum index_kind {
	INDEX_HANDSHAKE, /* for responses and cookie replies */
	INDEX_KEYPAIR,	 /* for data, and for cookie replies to a response */
};

struct index_table;

/* The epoch is borrowed and must outlive the table. */
struct index_table *index_new(struct epoch *e);
void index_free(struct index_table *t); /* no reader may be inside; owners stay with the caller */

/* A new random index, never 0, for an owner (not NULL, aligned to 2 bytes or more). */
uint32_t index_add(struct index_table *t, enum index_kind kind, void *owner);

/* The index goes on with another owner in one step (a handshake became a keypair). False: no such index. */
bool index_replace(struct index_table *t, uint32_t index, enum index_kind kind, void *owner);

/* Removing 0 or an index that is not there does nothing. Retire the owner by the epoch if workers could hold
 * it. */
void index_remove(struct index_table *t, uint32_t index);

/* [worker] The owner, or NULL when there is none or it is of another kind. Between epoch_enter and
 * epoch_exit. */
void *index_lookup(const struct index_table *t, uint32_t index, enum index_kind kind);

size_t index_count(const struct index_table *t);

#endif
