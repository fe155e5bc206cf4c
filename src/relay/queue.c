#include "relay/queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define RECORD_HEAD (sizeof(uint32_t) + RELAY_HEADROOM)

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

static bool append(struct relay_queue *q, const struct relay_id *to, const uint8_t *data, size_t len)
{
	uint32_t message_len = (uint32_t)(RELAY_TRANSPORT_LEN + len);
	uint8_t *record = q->bytes + q->len;

	if (len > RELAY_PAYLOAD_MAX || RELAY_QUEUE_BYTES - q->len < RECORD_HEAD + message_len)
		return false;
	memcpy(record, &message_len, sizeof(message_len));
	relay_put_transport(record + RECORD_HEAD, to);
	memcpy(record + RECORD_HEAD + RELAY_TRANSPORT_LEN, data, len);
	q->len += RECORD_HEAD + message_len;
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

uint8_t *relay_queue_next(struct relay_queue *q, uint32_t serial, struct relay_batch *batch, size_t *len)
{
	uint32_t message_len;
	uint8_t *message;

	if (batch->at == batch->len && !take(q, serial, batch))
		return NULL;
	memcpy(&message_len, batch->bytes + batch->at, sizeof(message_len));
	message = batch->bytes + batch->at + RECORD_HEAD;
	batch->at += RECORD_HEAD + message_len;
	*len = message_len;
	return message;
}

void relay_batch_clear(struct relay_batch *batch)
{
	free(batch->bytes);
	*batch = (struct relay_batch){0};
}
