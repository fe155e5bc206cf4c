/*
 * A box that datagrams are put into by any thread and taken out of by one. It is bounded by bytes and by number; what
 * does not fit is dropped and counted. The taker swaps two buffers, so the lock is held for a copy or for a swap, and
 * what was taken lies still, to be changed in place, until the next box_take.
 */
#ifndef WEIR_ENGINE_BOX_H
#define WEIR_ENGINE_BOX_H

#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/endpoint.h"
#include "base/spin.h"

struct box_item {
	struct endpoint from;
	uint32_t len;
	uint8_t data[]; /* 8 bytes aligned */
};

struct box {
	struct spin lock;
	size_t size;   /* bytes of each buffer */
	unsigned most; /* items */
	uint8_t *filling; /* [locked] */
	size_t filled;	  /* [locked] */
	unsigned count;	  /* [locked] */
	uint8_t *taken; /* the taker's */
	size_t taken_len, at;
	counter_t dropped;
};

enum box_put { BOX_FULL, BOX_PUT, BOX_FIRST /* it was empty: the taker must be woken */ };

/* Memory that was never filled is address space alone. */
void box_init(struct box *b, size_t size, unsigned most);
void box_clear(struct box *b);

enum box_put box_put(struct box *b, const struct endpoint *from, const void *data, size_t len); /* [any] */

/* Takes out all that is there; then box_next gives one after another, and NULL at the end. */
void box_take(struct box *b);
struct box_item *box_next(struct box *b);

#endif
