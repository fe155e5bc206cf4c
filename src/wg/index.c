/*
 * Linear probing, at most half full. A slot is filled once: first the owner, then the index. Removing clears
 * the owner only. When half of the slots are used, what is live moves to a new table.
 */
#include "wg/index.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"

#define SLOTS_MIN 64
#define KIND_MASK ((uintptr_t)1) /* lives in the low bit of the owner, so that both change in one store */

struct slot {
	_Atomic uint32_t index;	  /* 0: never used in this table */
	_Atomic uintptr_t tagged; /* owner and kind; 0: removed */
};

struct slots {
	uint32_t mask;
	struct slot at[];
};

struct index_table {
	struct epoch *epoch;
	_Atomic(struct slots *) slots;
	size_t used, live; /* slots with an index, with an owner */
};

static uintptr_t tag(enum index_kind kind, void *owner)
{
	return (uintptr_t)owner | (uintptr_t)kind;
}

static struct slots *slots_new(size_t count)
{
	struct slots *s = xcalloc(1, sizeof(*s) + count * sizeof(s->at[0]));

	s->mask = (uint32_t)(count - 1);
	return s;
}

struct index_table *index_new(struct epoch *e)
{
	struct index_table *t = xcalloc(1, sizeof(*t));

	t->epoch = e;
	atomic_store_explicit(&t->slots, slots_new(SLOTS_MIN), memory_order_release);
	return t;
}

void index_free(struct index_table *t)
{
	if (!t)
		return;
	free(atomic_load_explicit(&t->slots, memory_order_relaxed));
	free(t);
}

/* The slot of an index, or the free one where it belongs. At least half of the slots are free, so it ends. */
static struct slot *probe(struct slots *s, uint32_t index)
{
	for (uint32_t i = index & s->mask;; i = (i + 1) & s->mask) {
		uint32_t found = atomic_load_explicit(&s->at[i].index, memory_order_acquire);

		if (!found || found == index)
			return &s->at[i];
	}
}

/* The owner first: whoever sees the index sees its owner too. */
static void fill(struct slot *at, uint32_t index, uintptr_t tagged)
{
	atomic_store_explicit(&at->tagged, tagged, memory_order_release);
	atomic_store_explicit(&at->index, index, memory_order_release);
}

/* A new table with what is live, sized so that as many again fit before the next. */
static void republish(struct index_table *t, struct slots *old)
{
	size_t count = SLOTS_MIN;
	struct slots *s;

	while (count < (t->live + 1) * 4)
		count *= 2;
	s = slots_new(count);
	for (uint32_t i = 0; i <= old->mask; i++) {
		uintptr_t tagged = atomic_load_explicit(&old->at[i].tagged, memory_order_relaxed);
		uint32_t index = atomic_load_explicit(&old->at[i].index, memory_order_relaxed);

		if (tagged)
			fill(probe(s, index), index, tagged);
	}
	t->used = t->live;
	atomic_store_explicit(&t->slots, s, memory_order_release);
	epoch_retire(t->epoch, old, free);
}

uint32_t index_add(struct index_table *t, enum index_kind kind, void *owner)
{
	struct slots *s = atomic_load_explicit(&t->slots, memory_order_relaxed);
	struct slot *at;
	uint32_t index;

	if ((t->used + 1) * 2 > (size_t)s->mask + 1) {
		republish(t, s);
		s = atomic_load_explicit(&t->slots, memory_order_relaxed);
	}
	do {
		crypto_random(&index, sizeof(index));
		at = probe(s, index);
	} while (!index || atomic_load_explicit(&at->index, memory_order_relaxed));
	fill(at, index, tag(kind, owner));
	t->used++;
	t->live++;
	return index;
}

/* The slot of an index that has an owner, else NULL. */
static struct slot *find(struct index_table *t, uint32_t index)
{
	struct slot *at;

	if (!index)
		return NULL;
	at = probe(atomic_load_explicit(&t->slots, memory_order_relaxed), index);
	return atomic_load_explicit(&at->tagged, memory_order_relaxed) ? at : NULL;
}

bool index_replace(struct index_table *t, uint32_t index, enum index_kind kind, void *owner)
{
	struct slot *at = find(t, index);

	if (!at)
		return false;
	atomic_store_explicit(&at->tagged, tag(kind, owner), memory_order_release);
	return true;
}

void index_remove(struct index_table *t, uint32_t index)
{
	struct slot *at = find(t, index);

	if (!at)
		return;
	atomic_store_explicit(&at->tagged, 0, memory_order_release);
	t->live--;
}

void *index_lookup(const struct index_table *t, uint32_t index, enum index_kind kind)
{
	struct slots *s = atomic_load_explicit(&((struct index_table *)t)->slots, memory_order_acquire);
	struct slot *at = probe(s, index);
	uintptr_t tagged;

	/* Asked again, because the free slot where the probe ended may have been given to another index
	 * since. */
	if (!index || atomic_load_explicit(&at->index, memory_order_acquire) != index)
		return NULL;
	tagged = atomic_load_explicit(&at->tagged, memory_order_acquire);
	if ((tagged & KIND_MASK) != (uintptr_t)kind)
		return NULL;
	return (void *)(tagged & ~KIND_MASK);
}

size_t index_count(const struct index_table *t)
{
	return t->live;
}
