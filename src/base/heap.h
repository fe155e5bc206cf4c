/* Intrusive min-heap of deadlines; a member's position lives in the member, so moving one costs O(log n). */
#ifndef WEIR_BASE_HEAP_H
#define WEIR_BASE_HEAP_H

#include <stddef.h>
#include <stdint.h>

struct heap_node {
	uint64_t key;
	size_t slot; /* 1-based position, 0 while not in a heap */
};

struct heap {
	struct heap_node **nodes;
	size_t count, room;
};

void heap_clear(struct heap *h); /* forgets all members and frees the array */
void heap_set(struct heap *h, struct heap_node *n, uint64_t key); /* inserts or moves */
void heap_remove(struct heap *h, struct heap_node *n);		   /* no-op if not inside */
struct heap_node *heap_first(const struct heap *h);		   /* smallest key, NULL when empty */

#endif
