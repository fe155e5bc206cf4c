/*
 * The writer's clock `now` starts at 1. Retired objects are stamped with it, and each epoch_reclaim that
 * finds fresh ones moves it on, after they were unlinked. A reader that entered under a later epoch than an
 * object's stamp has read that advance, so it sees the unlink; a reader that entered under an older one may
 * hold the object.
 *
 * Why two sequentially consistent steps in epoch_enter: let the writer's scan miss the store of `inside`.
 * Then in their single total order advance < scan < store < second load, so the second load reads the advance
 * (or a later one) and everything that the writer unlinked before is visible to the reads that follow. When
 * the scan does see the store, the object waits. That is the argument of a pair of fences, in operations that
 * ThreadSanitizer models.
 */
#include "base/epoch.h"

#include <stdlib.h>

#include "base/xalloc.h"

struct retired {
	uint64_t stamp;
	void *ptr;
	void (*fn)(void *ptr);
};

struct epoch {
	struct epoch_reader readers[EPOCH_READERS_MAX];
	_Alignas(64) _Atomic uint64_t now;
	_Alignas(64) _Atomic unsigned reader_count;
	/* The writer's own: a queue in the order of stamps, oldest at head. */
	struct retired *queue;
	size_t head, tail, room;
};

struct epoch *epoch_new(void)
{
	struct epoch *e = xcalloc_aligned(_Alignof(struct epoch), sizeof(*e));

	atomic_init(&e->now, 1);
	return e;
}

static void free_first(struct epoch *e)
{
	struct retired r = e->queue[e->head++]; /* a copy: fn may retire more, and move the queue */

	r.fn(r.ptr);
}

void epoch_free(struct epoch *e)
{
	if (!e)
		return;
	while (e->head != e->tail)
		free_first(e);
	free(e->queue);
	free(e);
}

struct epoch_reader *epoch_reader_add(struct epoch *e)
{
	unsigned n = atomic_load(&e->reader_count);

	do {
		if (n == EPOCH_READERS_MAX)
			return NULL;
	} while (!atomic_compare_exchange_weak(&e->reader_count, &n, n + 1));
	return &e->readers[n];
}

void epoch_enter(struct epoch *e, struct epoch_reader *r)
{
	uint64_t now = atomic_load_explicit(&e->now, memory_order_acquire);

	atomic_store_explicit(&r->inside, now, memory_order_seq_cst);
	(void)atomic_load_explicit(&e->now, memory_order_seq_cst);
}

void epoch_exit(struct epoch_reader *r)
{
	atomic_store_explicit(&r->inside, 0, memory_order_release);
}

static void make_room(struct epoch *e)
{
	size_t count = e->tail - e->head;

	if (e->tail < e->room)
		return;
	if (e->head > e->room / 2) { /* each entry moves once at most for each that left */
		for (size_t i = 0; i < count; i++)
			e->queue[i] = e->queue[e->head + i];
	} else {
		struct retired *queue;

		e->room = e->room ? 2 * e->room : 32;
		queue = xmalloc(e->room * sizeof(*queue));
		for (size_t i = 0; i < count; i++)
			queue[i] = e->queue[e->head + i];
		free(e->queue);
		e->queue = queue;
	}
	e->head = 0;
	e->tail = count;
}

void epoch_retire(struct epoch *e, void *ptr, void (*fn)(void *ptr))
{
	make_room(e);
	e->queue[e->tail++] = (struct retired){
		.stamp = atomic_load_explicit(&e->now, memory_order_relaxed), .ptr = ptr, .fn = fn};
}

/* The oldest epoch that some reader is still inside; the present one when all are outside. */
static uint64_t oldest_inside(struct epoch *e)
{
	unsigned count = atomic_load(&e->reader_count);
	uint64_t oldest = atomic_load_explicit(&e->now, memory_order_relaxed);

	for (unsigned i = 0; i < count; i++) {
		uint64_t inside = atomic_load_explicit(&e->readers[i].inside, memory_order_seq_cst);

		if (inside && inside < oldest)
			oldest = inside;
	}
	return oldest;
}

unsigned epoch_reclaim(struct epoch *e)
{
	uint64_t oldest;

	if (e->head == e->tail)
		return 0;
	if (e->queue[e->tail - 1].stamp == atomic_load_explicit(&e->now, memory_order_relaxed))
		atomic_fetch_add_explicit(&e->now, 1, memory_order_seq_cst);
	oldest = oldest_inside(e);
	/* What fn retires meanwhile bears the present epoch, at the earliest, and waits for the next call. */
	while (e->head != e->tail && e->queue[e->head].stamp < oldest)
		free_first(e);
	return (unsigned)(e->tail - e->head);
}
