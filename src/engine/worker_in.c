/*
 * Packets in: socket, classify, decrypt, TUN. WireGuard data is opened in place in the receive buffer and
 * handed to the TUN from there; nothing is copied. Handshake messages are for the control thread.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/tap_hooks.h"
#include "wg/messages.h"

static uint32_t message_type(const uint8_t *data, size_t len)
{
	if (len < sizeof(uint32_t))
		return 0;
	return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* What came from one address, or by one channel. */
struct batch {
	struct endpoint from;
	unsigned count;
	struct wg_incoming in[OPEN_MAX];
};

/* Full means that the control thread is behind: the newest is dropped, as any overloaded responder does. */
static void pass_handshake(struct worker *w, const uint8_t *data, size_t len, const struct endpoint *from,
			   uint8_t ecn, uint64_t now)
{
	struct handshake_ring *r = &w->ring;
	uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	struct handshake_slot *slot = &r->slots[head % HANDSHAKE_RING];

	if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == HANDSHAKE_RING) {
		wg_handshake_dropped(w->engine->wg, now);
		tap_refused(w->engine, w->id, from, data, len, TAP_DROP_queue_full);
		return;
	}
	slot->from = *from;
	slot->ecn = ecn;
	slot->len = (uint8_t)len;
	memcpy(slot->data, data, len);
	atomic_store_explicit(&r->head, head + 1, memory_order_release);
	worker_wake_control(w->engine);
}

static void count_run(struct worker *w, struct wg_peer *wg, uint32_t via, unsigned packets, size_t bytes,
		      uint64_t now)
{
	struct engine_peer *p = wg_peer_owner(wg); /* NULL: just removed */

	if (p)
		path_received(w->engine, p, via, packets, bytes, now);
}

/* The packets of a batch are nearly always of one peer. */
static void count_batch(struct worker *w, const struct batch *b, uint64_t now)
{
	struct wg_peer *peer = NULL;
	unsigned packets = 0;
	size_t bytes = 0;

	for (unsigned i = 0; i < b->count; i++) {
		const struct wg_incoming *in = &b->in[i];

		if (in->peer != peer) {
			if (peer)
				count_run(w, peer, b->from.via, packets, bytes, now);
			peer = in->peer;
			packets = 0;
			bytes = 0;
		}
		packets++;
		bytes += in->len;
	}
	if (peer)
		count_run(w, peer, b->from.via, packets, bytes, now);
}

static void open_batch(struct worker *w, struct batch *b, uint64_t now)
{
	uint64_t packets = 0;
	bool tapped = tap_points(w->engine) & (TAP_OUTER | 1u << TAP_INNER);

	if (!b->count)
		return;
	if (__builtin_expect(tapped, 0))
		tap_before_open(w, b->in, b->count, &b->from);
	wg_open(w->engine->wg, w->aead, b->in, b->count, &b->from, now);
	if (__builtin_expect(tapped, 0))
		tap_opened(w, b->in, b->count, &b->from);
	for (unsigned i = 0; i < b->count; i++) {
		const struct wg_incoming *in = &b->in[i];

		if (in->verdict != WG_PACKET)
			continue;
		coalescer_add(w->coalescer, in->inner, in->inner_len);
		packets++;
	}
	if (packets)
		counter_add(&w->engine->tun_tx_packets, packets);
	count_batch(w, b, now);
	b->count = 0;
}

static void take_datagram(struct worker *w, struct batch *b, uint8_t *data, size_t len, uint8_t ecn,
			  uint64_t now)
{
	uint32_t type = message_type(data, len);

	if (type != MESSAGE_DATA) {
		if (type >= MESSAGE_INITIATION && type <= MESSAGE_COOKIE && len <= HANDSHAKE_LEN_MAX) {
			pass_handshake(w, data, len, &b->from, ecn, now);
			return;
		}
		if (channel_take_other(w, &b->from, data, len))
			return;
	}
	/* Everything else: wg_open counts what is not WireGuard. */
	b->in[b->count++] = (struct wg_incoming){.datagram = data, .len = len, .ecn = ecn};
	if (b->count == OPEN_MAX)
		open_batch(w, b, now);
}

static void take_message(struct worker *w, struct batch *b, const struct udp_message *m, uint64_t now)
{
	b->from = m->from;
	for (size_t offset = 0; offset < m->len; offset += m->segment) {
		size_t len = m->len - offset < m->segment ? m->len - offset : m->segment;

		take_datagram(w, b, m->data + offset, len, m->ecn, now);
	}
	open_batch(w, b, now);
}

static void flush(struct worker *w)
{
	struct engine *g = w->engine;
	int error = 0;
	unsigned failed = coalescer_flush(w->coalescer, &error);

	if (!failed)
		return;
	counter_add(&g->tun_write_errors, failed);
	if (error == EBADFD) {
		atomic_store(&g->tun_failed, true);
		worker_wake_control(g);
	}
}

void worker_in(struct worker *w, int fd, uint32_t via, uint64_t now)
{
	struct udp_message *messages;
	struct batch b;
	int n = udp_receive(w->receiver, fd, &messages);

	b.count = 0;
	for (int i = 0; i < n; i++) {
		messages[i].from.via = via;
		if (messages[i].len && messages[i].segment)
			take_message(w, &b, &messages[i], now);
	}
	if (n > 0)
		flush(w);
}

void worker_in_box(struct worker *w, uint64_t now)
{
	struct box_item *item;
	struct batch b;
	uint64_t count;

	while (read(w->inbox_fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	box_take(&w->inbox);
	b.count = 0;
	while ((item = box_next(&w->inbox))) {
		if (b.count && item->from.via != b.from.via)
			open_batch(w, &b, now);
		b.from = item->from;
		take_datagram(w, &b, item->data, item->len, 0, now);
	}
	open_batch(w, &b, now);
	flush(w);
}
