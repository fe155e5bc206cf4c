/*
 * Packets out: TUN, route, seal, socket. Super-packets are cut into segments straight into the arena, each
 * sealed where it lies, so that datagrams of one size to one peer form a train that the kernel takes in one
 * call (GSO).
 */
#include <errno.h>
#include <string.h>

#include "engine/internal.h"
#include "net/segment.h"
#include "wg/messages.h"

/* RFC 6040 section 4.1, normal mode: the outer header carries the inner one's ECN field. */
static uint8_t inner_ecn(const uint8_t *packet)
{
	return packet[0] >> 4 == 6 ? (packet[1] >> 4) & 3 : packet[1] & 3;
}

static void send_trains(struct worker *w, uint64_t now)
{
	struct engine *g = w->engine;
	struct udp_train out[OUT_TRAINS];
	uint32_t other_ways = 0;

	if (!w->train_count)
		return;
	for (unsigned i = 0; i < w->train_count; i++) {
		struct out_train *t = &w->trains[i];

		out[i] = (struct udp_train){
			.to = &t->to, .data = t->data, .len = t->len, .segment = t->segment, .ecn = t->ecn};
		other_ways |= t->to.via;
	}
	if (other_ways)
		channel_send_trains(w, out, w->train_count);
	else
		udp_send_trains(&g->udp, w->id, out, w->train_count);
	for (unsigned i = 0; i < w->train_count; i++) {
		struct out_train *t = &w->trains[i];
		struct engine_peer *p = wg_peer_owner(t->peer); /* NULL: just removed */

		wg_sent(t->peer, t->keypair, t->packets, t->len, true, now);
		if (p) {
			path_sent(g, p, t->to.via, t->packets, t->len, now);
			path_traffic(p);
		}
		if (out[i].error) {
			wg_send_failed(t->peer, t->packets);
			if (p)
				atomic_store_explicit(&p->send_error, -out[i].error, memory_order_relaxed);
		}
		if (out[i].source_lost && p) {
			atomic_store_explicit(&p->source_lost, true, memory_order_relaxed);
			atomic_store(&g->any_source_lost, true);
			worker_wake_control(g);
		}
	}
	w->train_count = 0;
	w->arena_used = 0;
}

/* The train that takes one more datagram of `len` bytes, or a new one; NULL: send what there is first. */
static struct out_train *train_for(struct worker *w, struct wg_peer *peer, struct wg_keypair *k, uint8_t ecn,
				   size_t len)
{
	struct out_train *t = w->train_count ? &w->trains[w->train_count - 1] : NULL;

	if (w->arena_used + len > OUT_ARENA)
		return NULL;
	if (t && t->peer == peer && t->keypair == k && t->ecn == ecn && !t->closed && len <= t->segment &&
	    t->packets < UDP_TRAIN_MAX && t->len + len <= UDP_TRAIN_BYTES_MAX)
		return t;
	if (w->train_count == OUT_TRAINS)
		return NULL;
	t = &w->trains[w->train_count];
	*t = (struct out_train){.peer = peer,
				.keypair = k,
				.to = wg_peer_sending_endpoint(peer),
				.data = w->arena + w->arena_used,
				.segment = len,
				.ecn = ecn};
	if (!endpoint_known(&t->to)) {
		wg_no_endpoint(peer);
		return NULL;
	}
	w->train_count++;
	return t;
}

static void stage_all(struct worker *w, struct segmenter *s, struct wg_peer *peer, uint8_t ecn, uint64_t now)
{
	/* The arena's free end serves as scratch: nothing there is under way. */
	uint8_t *scratch = w->arena + w->arena_used;
	size_t len;

	if (w->arena_used + s->full_len > OUT_ARENA) {
		send_trains(w, now);
		scratch = w->arena;
	}
	while ((len = segmenter_next(s, scratch)) > 0)
		wg_stage(peer, scratch, len, ecn, now);
}

static void seal_all(struct worker *w, struct segmenter *s, struct wg_peer *peer, struct wg_keypair *k,
		     uint64_t counter, uint8_t ecn, uint64_t now)
{
	struct wg_device *d = w->engine->wg;

	for (unsigned i = 0; i < s->count; i++) {
		size_t plain = i + 1 < s->count ? s->full_len : s->last_len;
		size_t len = wg_sealed_len(d, plain);
		struct out_train *t = train_for(w, peer, k, ecn, len);
		uint8_t *at;

		if (!t) {
			send_trains(w, now);
			t = train_for(w, peer, k, ecn, len);
			if (!t)
				return;
		}
		at = w->arena + w->arena_used;
		segmenter_next(s, at + DATA_HEADER_LEN);
		/* The MTU, and with it the padding, can change at any time: such a packet fits no train, and
		 * goes. */
		if (wg_seal(d, w->aead, k, counter + i, at, plain) != len) {
			w->train_count -= t->packets == 0;
			continue;
		}
		w->arena_used += len;
		t->len += len;
		t->packets++;
		t->closed = len < t->segment;
	}
}

static void take_packet(struct worker *w, const struct virtio_net_hdr *header, size_t len, uint64_t now)
{
	struct wg_device *d = w->engine->wg;
	struct segmenter s;
	struct wg_peer *peer;
	struct wg_keypair *k;
	uint64_t counter;

	if (segmenter_init(&s, header, w->packet, len))
		return;
	counter_add(&w->engine->tun_rx_packets, s.count);
	peer = wg_route(d, w->packet, len);
	if (!peer)
		return;
	k = wg_sending_keypair(peer, s.count, now, &counter);
	if (k)
		seal_all(w, &s, peer, k, counter, inner_ecn(w->packet), now);
	else
		stage_all(w, &s, peer, inner_ecn(w->packet), now);
}

void worker_out(struct worker *w, uint64_t now)
{
	struct engine *g = w->engine;
	struct virtio_net_hdr header;

	for (unsigned i = 0; i < OUT_READS; i++) {
		ssize_t n = tun_read(&g->tun, w->tun_queue, &header, w->packet, TUN_READ_MAX);

		if (n == -EBADFD) {
			atomic_store(&g->tun_failed, true);
			worker_wake_control(g);
		}
		if (n <= 0)
			break;
		take_packet(w, &header, (size_t)n, now);
		/* A full train leaves at once: the receiver can work while we read on. */
		if (w->arena_used > OUT_ARENA / 2)
			send_trains(w, now);
	}
	send_trains(w, now);
}
