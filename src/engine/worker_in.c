/*
 * Packets in: socket, classify, decrypt, TUN. WireGuard data is opened in place in the receive buffer and handed to
 * the TUN from there; nothing is copied. Handshake messages are for the control thread.
 */
#include <errno.h>
#include <string.h>

#include "engine/internal.h"
#include "wg/messages.h"

#define OPEN_MAX 128 /* what one GRO message can hold, and more */

static uint32_t message_type(const uint8_t *data, size_t len)
{
	if (len < sizeof(uint32_t))
		return 0;
	return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* Full means that the control thread is behind: the newest is dropped, as any overloaded responder does. */
static void pass_handshake(struct worker *w, const uint8_t *data, size_t len, const struct udp_message *m)
{
	struct handshake_ring *r = &w->ring;
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct handshake_slot *slot = &r->slots[head % HANDSHAKE_RING];

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == HANDSHAKE_RING)
		return;
	slot->from = m->from;
	slot->ecn = m->ecn;
	slot->len = (uint8_t)len;
	memcpy(slot->data, data, len);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	worker_wake_control(w->engine);
}

static void open_batch(struct worker *w, struct wg_incoming *in, unsigned count, const struct endpoint *from,
		       uint64_t now)
{
	uint64_t packets = 0;

	wg_open(w->engine->wg, w->aead, in, count, from, now);
	for (unsigned i = 0; i < count; i++) {
		if (in[i].verdict != WG_PACKET)
			continue;
		coalescer_add(w->coalescer, in[i].inner, in[i].inner_len);
		packets++;
	}
	if (packets)
		counter_add(&w->engine->tun_tx_packets, packets);
}

static void take_message(struct worker *w, const struct udp_message *m, uint64_t now)
{
	struct wg_incoming in[OPEN_MAX];
	unsigned count = 0;

	for (size_t offset = 0; offset < m->len; offset += m->segment) {
		uint8_t *data = m->data + offset;
		size_t len = m->len - offset < m->segment ? m->len - offset : m->segment;
		uint32_t type = message_type(data, len);

		if (type >= MESSAGE_INITIATION && type <= MESSAGE_COOKIE && len <= HANDSHAKE_LEN_MAX) {
			pass_handshake(w, data, len, m);
			continue;
		}
		/* Everything else: wg_open counts what is not WireGuard. */
		in[count++] = (struct wg_incoming){.datagram = data, .len = len, .ecn = m->ecn};
		if (count == OPEN_MAX) {
			open_batch(w, in, count, &m->from, now);
			count = 0;
		}
	}
	if (count)
		open_batch(w, in, count, &m->from, now);
}

void worker_in(struct worker *w, int fd, uint64_t now)
{
	struct engine *g = w->engine;
	struct udp_message *messages;
	unsigned failed;
	int error = 0, n = udp_receive(w->receiver, fd, &messages);

	if (n <= 0)
		return;
	for (int i = 0; i < n; i++)
		if (messages[i].len && messages[i].segment)
			take_message(w, &messages[i], now);
	failed = coalescer_flush(w->coalescer, &error);
	if (!failed)
		return;
	counter_add(&g->tun_write_errors, failed);
	if (error == EBADFD) {
		atomic_store(&g->tun_failed, true);
		worker_wake_control(g);
	}
}
