/*
 * What waits to be sent to one server: Transport messages, each as the WebSocket frame that carries it,
 * filled by any thread and emptied by the I/O thread, many in one write. Two buffers take turns: senders
 * append to one under the lock while the other is being written, so the lock is held for a copy only.
 */
#ifndef WEIR_RELAY_QUEUE_H
#define WEIR_RELAY_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/counter.h"
#include "relay/wire.h"

#define RELAY_QUEUE_BYTES (256 * 1024) /* in each of the two buffers */
#define RELAY_MASKS	  64

/* The I/O thread's own: a buffer of frames that are being written, and random numbers to mask them with. */
struct relay_batch {
	uint8_t *bytes;
	size_t len, at;
	uint32_t masks[RELAY_MASKS];
	unsigned masks_left;
};

struct relay_queue {
	pthread_mutex_t lock;
	uint8_t *bytes;
	size_t len;
	bool open;
	uint32_t serial;     /* of the session that may take from it */
	atomic_bool waiting; /* something is in it */
	counter_t packets, payload_bytes, dropped;
};

void relay_queue_init(struct relay_queue *q);
void relay_queue_clear(struct relay_queue *q);
void relay_queue_open(struct relay_queue *q, uint32_t serial); /* empty, for this session */
void relay_queue_close(struct relay_queue *q);

/* [any thread] *wake: the queue was empty, the I/O thread may be asleep. 0, -ENOTCONN or -ENOBUFS. */
int relay_queue_put(struct relay_queue *q, const struct relay_id *to, const uint8_t *data, size_t len,
		    size_t segment, bool *wake);

/* [io thread] The next frames, as many as fit into `most` bytes but at least one, masked; NULL: none. Valid
 * until the next call. */
const uint8_t *relay_queue_next(struct relay_queue *q, uint32_t serial, struct relay_batch *batch,
				size_t most, size_t *len);
void relay_batch_clear(struct relay_batch *batch);

#endif
