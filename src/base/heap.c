#include "base/heap.h"

#include <stdlib.h>

#include "base/xalloc.h"

/* Slots count from 1: the children of slot s are 2s and 2s+1, its parent is s/2; nodes[s - 1] is slot s. */

static void place(struct heap *h, struct heap_node *n, size_t slot)
{
	h->nodes[slot - 1] = n;
	n->slot = slot;
}

static void sift_up(struct heap *h, struct heap_node *n, size_t slot)
{
	for (; slot > 1 && h->nodes[slot / 2 - 1]->key > n->key; slot /= 2)
		place(h, h->nodes[slot / 2 - 1], slot);
	place(h, n, slot);
}

static void sift_down(struct heap *h, struct heap_node *n, size_t slot)
{
	size_t child;

	while ((child = 2 * slot) <= h->count) {
		if (child < h->count && h->nodes[child]->key < h->nodes[child - 1]->key)
			child++;
		if (h->nodes[child - 1]->key >= n->key)
			break;
		place(h, h->nodes[child - 1], slot);
		slot = child;
	}
	place(h, n, slot);
}

static void settle(struct heap *h, struct heap_node *n, size_t slot)
{
	if (slot > 1 && h->nodes[slot / 2 - 1]->key > n->key)
		sift_up(h, n, slot);
	else
		sift_down(h, n, slot);
}

void heap_clear(struct heap *h)
{
	for (size_t i = 0; i < h->count; i++)
		h->nodes[i]->slot = 0;
	free(h->nodes);
	*h = (struct heap){0};
}

void heap_set(struct heap *h, struct heap_node *n, uint64_t key)
{
	n->key = key;
	if (n->slot) {
		settle(h, n, n->slot);
		return;
	}
	if (h->count == h->room) {
		h->room = h->room ? 2 * h->room : 16;
		h->nodes = xrealloc(h->nodes, h->room * sizeof(struct heap_node *));
	}
	h->count++;
	sift_up(h, n, h->count);
}

void heap_remove(struct heap *h, struct heap_node *n)
{
	size_t slot = n->slot;
	struct heap_node *last;

	if (!slot)
		return;
	n->slot = 0;
	last = h->nodes[--h->count];
	if (last != n)
		settle(h, last, slot);
}

struct heap_node *heap_first(const struct heap *h)
{
	return h->count ? h->nodes[0] : NULL;
}
