#include "engine/box.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

void box_init(struct box *b, size_t size, unsigned most)
{
	memset(b, 0, sizeof(*b));
	atomic_flag_clear(&b->lock.held);
	b->size = size;
	b->most = most;
	b->filling = xmalloc(size);
	b->taken = xmalloc(size);
}

void box_clear(struct box *b)
{
	free(b->filling);
	free(b->taken);
	b->filling = b->taken = NULL;
}

static size_t room_for(size_t len)
{
	size_t align = _Alignof(struct box_item);

	return (sizeof(struct box_item) + len + align - 1) / align * align;
}

enum box_put box_put(struct box *b, const struct endpoint *from, const void *data, size_t len)
{
	enum box_put r = BOX_FULL;
	size_t room = room_for(len);

	spin_lock(&b->lock);
	if (len <= b->size && b->size - b->filled >= room && b->count < b->most) {
		struct box_item *item = (struct box_item *)(b->filling + b->filled);

		item->from = *from;
		item->len = (uint32_t)len;
		memcpy(item->data, data, len);
		b->filled += room;
		r = b->count++ ? BOX_PUT : BOX_FIRST;
	}
	spin_unlock(&b->lock);
	if (r == BOX_FULL)
		counter_add(&b->dropped, 1);
	return r;
}

void box_take(struct box *b)
{
	uint8_t *empty = b->taken;

	spin_lock(&b->lock);
	b->taken = b->filling;
	b->taken_len = b->filled;
	b->filling = empty;
	b->filled = 0;
	b->count = 0;
	spin_unlock(&b->lock);
	b->at = 0;
}

struct box_item *box_next(struct box *b)
{
	struct box_item *item;

	if (b->at >= b->taken_len)
		return NULL;
	item = (struct box_item *)(b->taken + b->at);
	b->at += room_for(item->len);
	return item;
}
