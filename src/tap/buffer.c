/*
 * Records one after another, in chunks. A chunk only grows, so that several buffers can hold it: saving the
 * past copies nothing while packets come in.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tap/internal.h"

void tap_buffer_init(struct tap_buffer *b, size_t limit)
{
	*b = (struct tap_buffer){.limit = limit};
	list_init(&b->pieces);
}

static struct tap_piece *first(const struct tap_buffer *b)
{
	return list_empty(&b->pieces) ? NULL : container_of(b->pieces.next, struct tap_piece, link);
}

static void release(struct tap_chunk *c)
{
	if (--c->holders)
		return;
	if (c->secret)
		explicit_bzero(c->bytes, c->used);
	free(c);
}

bool tap_buffer_drop_oldest(struct tap_buffer *b)
{
	struct tap_piece *p = first(b);

	if (!p)
		return false;
	list_remove(&p->link);
	b->bytes -= p->chunk->room;
	b->at = 0;
	release(p->chunk);
	free(p);
	return true;
}

bool tap_buffer_drop_before(struct tap_buffer *b, uint64_t boot)
{
	struct tap_piece *p = first(b);

	return p && p->chunk->last_at < boot && tap_buffer_drop_oldest(b);
}

void tap_buffer_clear(struct tap_buffer *b)
{
	while (tap_buffer_drop_oldest(b))
		;
}

static void append(struct tap_buffer *b, struct tap_chunk *c, size_t end)
{
	struct tap_piece *p = xmalloc(sizeof(*p));

	*p = (struct tap_piece){.chunk = c, .end = end};
	c->holders++;
	list_append(&b->pieces, &p->link);
	b->bytes += c->room;
}

/* Others hold it too and read it to an end of their own: what is added behind that does not disturb them. */
static struct tap_chunk *growing(const struct tap_buffer *b)
{
	struct tap_piece *p;

	if (list_empty(&b->pieces))
		return NULL;
	p = container_of(b->pieces.prev, struct tap_piece, link);
	return p->end ? NULL : p->chunk;
}

uint8_t *tap_buffer_add(struct tap_buffer *b, size_t len, uint64_t now, bool secret)
{
	struct tap_chunk *c = growing(b);
	uint8_t *at;

	if (!c || c->room - c->used < len) {
		if (b->bytes + TAP_CHUNK > b->limit)
			return NULL;
		c = xmalloc(sizeof(*c) + TAP_CHUNK);
		*c = (struct tap_chunk){.room = TAP_CHUNK};
		append(b, c, 0);
	}
	at = c->bytes + c->used;
	c->used += len;
	c->last_at = now;
	c->secret |= secret;
	return at;
}

static size_t end_of(const struct tap_piece *p)
{
	return p->end ? p->end : p->chunk->used;
}

size_t tap_buffer_front(const struct tap_buffer *b, const uint8_t **bytes)
{
	const struct tap_piece *p = first(b);

	if (!p)
		return 0;
	*bytes = p->chunk->bytes + b->at;
	return end_of(p) - b->at;
}

void tap_buffer_consume(struct tap_buffer *b, size_t len)
{
	struct tap_piece *p = first(b);

	b->at += len;
	if (b->at < end_of(p))
		return;
	/* The last one is filled again rather than freed: a reader that keeps up costs no memory traffic. */
	if (p->end || p->chunk->holders > 1 || p->link.next != &b->pieces) {
		tap_buffer_drop_oldest(b);
		return;
	}
	if (p->chunk->secret)
		explicit_bzero(p->chunk->bytes, p->chunk->used);
	p->chunk->secret = false;
	p->chunk->used = b->at = 0;
}

void tap_buffer_share(struct tap_buffer *to, const struct tap_buffer *from)
{
	list_for_each (pos, &from->pieces) {
		const struct tap_piece *p = container_of(pos, struct tap_piece, link);

		if (end_of(p))
			append(to, p->chunk, end_of(p));
	}
	to->at = from->at;
}
