/*
 * A ring of bytes between one producer and one consumer. Heads and tails count bytes since the start and
 * never wrap. An entry lies in one piece: what does not fit before the end begins anew at the start, behind a
 * filler.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tap/internal.h"

#define ALIGN(n) (((n) + 7) & ~(size_t)7)

void tap_ring_init(struct tap_ring *r, size_t size)
{
	/* Pages that are never used take no memory. */
	r->bytes = xcalloc(1, size);
	r->size = size;
}

void tap_ring_clear(struct tap_ring *r)
{
	free(r->bytes);
	r->bytes = NULL;
}

static bool has_room(struct tap_ring *r, uint64_t end)
{
	if (end - r->tail_seen <= r->size)
		return true;
	r->tail_seen = atomic_load_explicit(&r->tail, memory_order_acquire);
	return end - r->tail_seen <= r->size;
}

struct tap_entry *tap_ring_reserve(struct tap_ring *r, size_t data)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	size_t size = ALIGN(sizeof(struct tap_entry) + data);
	size_t place = head & (r->size - 1), rest = r->size - place, filler = size > rest ? rest : 0;
	struct tap_entry *e;

	if (!has_room(r, head + filler + size))
		return NULL;
	if (filler) {
		e = (struct tap_entry *)(r->bytes + place);
		e->size = (uint32_t)filler;
		e->sessions = 0;
		place = 0;
	}
	e = (struct tap_entry *)(r->bytes + place);
	e->size = (uint32_t)size;
	r->reserved = head + filler + size;
	return e;
}

void tap_ring_commit(struct tap_ring *r)
{
	/* Before the look at `sleeping`, for all: else a consumer that just lay down would not be woken. */
	atomic_store(&r->head, r->reserved);
}

struct tap_entry *tap_ring_peek(struct tap_ring *r, uint64_t *at)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_acquire);
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	while (tail != head) {
		struct tap_entry *e = (struct tap_entry *)(r->bytes + (tail & (r->size - 1)));

		*at = tail;
		if (e->sessions)
			return e;
		tail += e->size;
		atomic_store_explicit(&r->tail, tail, memory_order_release);
	}
	return NULL;
}

void tap_ring_pop(struct tap_ring *r, const struct tap_entry *e)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + e->size, memory_order_release);
}

bool tap_ring_empty(const struct tap_ring *r)
{
	return atomic_load(&r->head) == atomic_load_explicit(&r->tail, memory_order_relaxed);
}
