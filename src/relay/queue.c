#include "relay/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"

/* RFC 6455 section 5.2: a final binary frame, masked, its length in 7 bits or in 16. */
#define FRAME_BINARY 0x82
#define FRAME_MASKED 0x80
#define SHORT_MAX    125
#define LONG_MARK    126
#define SHORT_HEAD   2
#define LONG_HEAD    4
#define MASK_LEN     4

_Static_assert(RELAY_MESSAGE_MAX <= UINT16_MAX, "16 bits say how long a frame is");

void relay_queue_init(struct relay_queue *q)
{
	*q = (struct relay_queue){0};
	pthread_mutex_init(&q->lock, NULL);
}

void relay_queue_clear(struct relay_queue *q)
{
	free(q->bytes);
	pthread_mutex_destroy(&q->lock);
}

void relay_queue_open(struct relay_queue *q, uint32_t serial)
{
	pthread_mutex_lock(&q->lock);
	if (!q->bytes)
		q->bytes = xmalloc(RELAY_QUEUE_BYTES);
	q->len = 0;
	q->serial = serial;
	q->open = true;
	atomic_store(&q->waiting, false);
	pthread_mutex_unlock(&q->lock);
}

void relay_queue_close(struct relay_queue *q)
{
	pthread_mutex_lock(&q->lock);
	free(q->bytes);
	q->bytes = NULL;
	q->len = 0;
	q->open = false;
	atomic_store(&q->waiting, false);
	pthread_mutex_unlock(&q->lock);
}

/* The mask is left out: the I/O thread does that. */
static size_t put_head(uint8_t *out, size_t message_len)
{
	out[0] = FRAME_BINARY;
	if (message_len <= SHORT_MAX) {
		out[1] = (uint8_t)(FRAME_MASKED | message_len);
		return SHORT_HEAD + MASK_LEN;
	}
	out[1] = FRAME_MASKED | LONG_MARK;
	out[2] = (uint8_t)(message_len >> 8);
	out[3] = (uint8_t)message_len;
	return LONG_HEAD + MASK_LEN;
}

static bool append(struct relay_queue *q, const struct relay_id *to, const uint8_t *data, size_t len)
{
	size_t message_len = RELAY_TRANSPORT_LEN + len;
	uint8_t *at = q->bytes + q->len;

	if (len > RELAY_PAYLOAD_MAX || RELAY_QUEUE_BYTES - q->len < LONG_HEAD + MASK_LEN + message_len)
		return false;
	at += put_head(at, message_len);
	relay_put_transport(at, to);
	memcpy(at + RELAY_TRANSPORT_LEN, data, len);
	q->len = (size_t)(at - q->bytes) + message_len;
	return true;
}

int relay_queue_put(struct relay_queue *q, const struct relay_id *to, const uint8_t *data, size_t len,
		    size_t segment, bool *wake)
{
	uint64_t taken = 0, bytes = 0, dropped = 0;

	*wake = false;
	if (!segment)
		segment = len;
	pthread_mutex_lock(&q->lock);
	if (!q->open) {
		pthread_mutex_unlock(&q->lock);
		return -ENOTCONN;
	}
	for (size_t at = 0; at < len; at += segment) {
		size_t part = len - at < segment ? len - at : segment;

		if (append(q, to, data + at, part)) {
			taken++;
			bytes += part;
		} else {
			dropped++;
		}
	}
	if (taken)
		*wake = !atomic_exchange(&q->waiting, true);
	pthread_mutex_unlock(&q->lock);
	counter_add(&q->packets, taken);
	counter_add(&q->payload_bytes, bytes);
	if (dropped)
		counter_add(&q->dropped, dropped);
	return dropped ? -ENOBUFS : 0;
}

static bool take(struct relay_queue *q, uint32_t serial, struct relay_batch *batch)
{
	uint8_t *bytes;
	bool some;

	if (!atomic_load(&q->waiting))
		return false;
	if (!batch->bytes)
		batch->bytes = xmalloc(RELAY_QUEUE_BYTES);
	pthread_mutex_lock(&q->lock);
	some = q->open && q->serial == serial && q->len;
	if (some) {
		bytes = batch->bytes;
		batch->bytes = q->bytes;
		batch->len = q->len;
		batch->at = 0;
		q->bytes = bytes;
		q->len = 0;
		atomic_store(&q->waiting, false);
	}
	pthread_mutex_unlock(&q->lock);
	return some;
}

static uint32_t next_mask(struct relay_batch *batch)
{
	if (!batch->masks_left) {
		crypto_random(batch->masks, sizeof(batch->masks));
		batch->masks_left = RELAY_MASKS;
	}
	return batch->masks[--batch->masks_left];
}

/* The whole length of the frame; with `mask` its payload is masked. */
static size_t read_frame(uint8_t *frame, const uint32_t *mask)
{
	bool is_short = (frame[1] & ~FRAME_MASKED) <= SHORT_MAX;
	size_t head = (is_short ? SHORT_HEAD : LONG_HEAD) + MASK_LEN;
	size_t len = is_short ? frame[1] & (size_t)~FRAME_MASKED : (size_t)frame[2] << 8 | frame[3], i = 0;
	uint8_t *payload = frame + head;
	uint64_t wide, part;

	if (!mask)
		return head + len;
	memcpy(payload - MASK_LEN, mask, MASK_LEN);
	wide = (uint64_t)*mask << 32 | *mask;
	for (; i + sizeof(part) <= len; i += sizeof(part)) {
		memcpy(&part, payload + i, sizeof(part));
		part ^= wide;
		memcpy(payload + i, &part, sizeof(part));
	}
	for (; i < len; i++)
		payload[i] ^= payload[(ptrdiff_t)(i % MASK_LEN) - MASK_LEN];
	return head + len;
}

const uint8_t *relay_queue_next(struct relay_queue *q, uint32_t serial, struct relay_batch *batch,
				size_t most, size_t *len)
{
	uint8_t *first;
	uint32_t mask;

	if (batch->at == batch->len && !take(q, serial, batch))
		return NULL;
	first = batch->bytes + batch->at;
	*len = 0;
	while (batch->at < batch->len) {
		uint8_t *frame = batch->bytes + batch->at;

		if (*len && *len + read_frame(frame, NULL) > most)
			break;
		mask = next_mask(batch);
		*len += read_frame(frame, &mask);
		batch->at = (size_t)(first - batch->bytes) + *len;
	}
	return first;
}

void relay_batch_clear(struct relay_batch *batch)
{
	free(batch->bytes);
	*batch = (struct relay_batch){0};
}
