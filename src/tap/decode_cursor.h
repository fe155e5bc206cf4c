/*
 * The only way in which decoders read bytes. A cursor knows where the record ends, and where the packet
 * would: a read past the record gives zeros and says so (`cut`: it was not recorded; `bad`: the packet ends
 * too early).
 */
#ifndef WEIR_TAP_DECODE_CURSOR_H
#define WEIR_TAP_DECODE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct cursor {
	const uint8_t *data; /* the record; at, end and whole count from its start */
	size_t at, end, whole;
	bool cut, bad;
};

static inline struct cursor cursor_of(const uint8_t *data, size_t captured, size_t whole)
{
	return (struct cursor){.data = data, .end = captured < whole ? captured : whole, .whole = whole};
}

/* Bytes that the packet still has; those that are at hand may be fewer. */
static inline size_t cursor_left(const struct cursor *c)
{
	return c->whole - c->at;
}

static inline size_t cursor_here(const struct cursor *c)
{
	return c->at < c->end ? c->end - c->at : 0;
}

/* Moves on by len. NULL when not all of it is at hand: then at stays inside the packet. */
static inline const uint8_t *cursor_take(struct cursor *c, size_t len)
{
	if (len <= cursor_here(c)) {
		c->at += len;
		return c->data + c->at - len;
	}
	if (len <= cursor_left(c)) {
		c->cut = true;
		c->at += len;
	} else {
		c->bad = true;
		c->at = c->whole;
	}
	return NULL;
}

static inline bool cursor_read(struct cursor *c, void *out, size_t len)
{
	const uint8_t *at = cursor_take(c, len);

	if (at)
		memcpy(out, at, len);
	else
		memset(out, 0, len);
	return at;
}

static inline uint64_t cursor_big(struct cursor *c, unsigned bytes)
{
	uint8_t in[8];
	uint64_t n = 0;

	cursor_read(c, in, bytes);
	for (unsigned i = 0; i < bytes; i++)
		n = n << 8 | in[i];
	return n;
}

static inline uint64_t cursor_little(struct cursor *c, unsigned bytes)
{
	uint8_t in[8];
	uint64_t n = 0;

	cursor_read(c, in, bytes);
	for (unsigned i = bytes; i--;)
		n = n << 8 | in[i];
	return n;
}

static inline uint8_t cursor_8(struct cursor *c)
{
	return (uint8_t)cursor_big(c, 1);
}

static inline uint16_t cursor_16(struct cursor *c)
{
	return (uint16_t)cursor_big(c, 2);
}

static inline uint32_t cursor_32(struct cursor *c)
{
	return (uint32_t)cursor_big(c, 4);
}

/* The next len bytes as a cursor of their own; it is shorter where the packet is. c moves behind them. */
static inline struct cursor cursor_part(struct cursor *c, size_t len)
{
	struct cursor part = *c;

	if (len > cursor_left(c)) {
		c->bad = true;
		len = cursor_left(c);
	}
	part.cut = part.bad = false;
	part.whole = c->at + len;
	if (part.end > part.whole)
		part.end = part.whole;
	c->at += len;
	return part;
}

static inline bool cursor_ended(const struct cursor *c)
{
	return c->cut || c->bad;
}

#endif
