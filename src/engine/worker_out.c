/*
 * Packets out: TUN, route, seal, socket. Super-packets are cut into segments straight into the arena, each
 * sealed where it lies, so that datagrams of one size to one peer form a train that the kernel takes in one
 * call (GSO).
 */
#include <errno.h>
#include <string.h>

#include "engine/tap_hooks.h"
#include "net/segment.h"
#include "net/too_big.h"
#include "wg/messages.h"

#define TOO_BIG_INTERVAL (20 * NS_PER_MS) /* per peer */

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
	if (__builtin_expect(tap_points(g) & TAP_OUTER, 0))
		tap_trains(w, out);
	for (unsigned i = 0; i < w->train_count; i++) {
		struct out_train *t = &w->trains[i];
		struct engine_peer *p = wg_peer_owner(t->peer); /* NULL: just removed */

		wg_sent(t->peer, t->keypair, t->packets, t->len, true, now);
		if (p)
			path_sent(g, p, t->to.via, t->packets, t->len, now);
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
	bool tapped = tap_wanted(w->engine->tapped, TAP_INNER);
	struct tap_meta m;

	if (tapped)
		tap_inner_begin(w, peer, k, counter, &m);
	for (unsigned i = 0; i < s->count; i++) {
		size_t plain = i + 1 < s->count ? s->full_len : s->last_len;
		size_t len = wg_sealed_len(d, plain);
		struct out_train *t = train_for(w, peer, k, ecn, len);
		uint8_t *at;

		if (!t) {
			send_trains(w, now);
			t = train_for(w, peer, k, ecn, len);
			if (!t) {
				if (tapped)
					tap_inner_all(w, s, peer, TAP_DROP_no_endpoint);
				return;
			}
		}
		at = w->arena + w->arena_used;
		segmenter_next(s, at + DATA_HEADER_LEN);
		if (tapped) {
			tap_inner_put(w, &m, at + DATA_HEADER_LEN, plain);
			m.counter++;
		}
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

/* Into the TUN, as if a router behind it had sent it. */
static void tell_too_big(struct worker *w, struct engine_peer *p, size_t len, unsigned limit, uint64_t now)
{
	uint64_t last = atomic_load_explicit(&p->too_big_told, memory_order_relaxed);
	struct virtio_net_hdr header = {0};
	uint8_t reply[TOO_BIG_REPLY_MAX];
	struct iovec iov[2];
	size_t reply_len;

	if (last && now - last < TOO_BIG_INTERVAL)
		return;
	reply_len = too_big_reply(reply, w->packet, len, limit);
	if (!reply_len)
		return;
	atomic_store_explicit(&p->too_big_told, now, memory_order_relaxed);
	iov[1] = (struct iovec){.iov_base = reply, .iov_len = reply_len};
	if (tun_write(&w->engine->tun, w->tun_queue, &header, iov, 2) < 0)
		counter_add(&w->engine->tun_write_errors, 1);
}

/*
 * The path carries less than the device's MTU. TCP super-packets are cut once more; of the rest, what must
 * not be fragmented is refused, as a router would, and what may be goes: its outer datagram is fragmented.
 * Every link takes IPv6 packets of 1280 bytes, so none that is smaller is refused.
 */
static bool fit(struct worker *w, struct engine_peer *p, struct segmenter *s, size_t len, unsigned limit,
		uint64_t now)
{
	if (!segmenter_limit(s, limit))
		return true;
	if (w->packet[0] >> 4 == 6 && limit < IP6_MTU_MIN)
		limit = IP6_MTU_MIN;
	if (s->full_len <= limit || !too_big_for_good(w->packet))
		return true;
	wg_too_big(p->wg, s->count);
	tell_too_big(w, p, len, limit, now);
	return false;
}

static void take_packet(struct worker *w, const struct virtio_net_hdr *header, size_t len, uint64_t now)
{
	struct wg_device *d = w->engine->wg;
	struct segmenter s;
	struct engine_peer *p;
	struct wg_peer *peer;
	struct wg_keypair *k;
	unsigned limit;
	uint64_t counter = 0;
	bool tapped;

	if (segmenter_init(&s, header, w->packet, len))
		return;
	counter_add(&w->engine->tun_rx_packets, s.count);
	tapped = tap_wanted(w->engine->tapped, TAP_INNER);
	peer = wg_route(d, w->packet, len);
	if (!peer) {
		if (tapped)
			tap_inner_all(w, &s, NULL, TAP_DROP_no_route);
		return;
	}
	p = wg_peer_owner(peer); /* NULL: just removed */
	limit = p ? atomic_load_explicit(&p->inner_limit, memory_order_relaxed) : 0;
	if (limit && s.full_len > limit && !fit(w, p, &s, len, limit, now)) {
		if (tapped)
			tap_inner_all(w, &s, peer, TAP_DROP_too_big);
		return;
	}
	k = wg_sending_keypair(peer, s.count, now, &counter);
	if (tapped && !k)
		tap_inner_all(w, &s, peer, TAP_DROP_no_key);
	if (k)
		seal_all(w, &s, peer, k, counter, inner_ecn(w->packet), now);
	else
		stage_all(w, &s, peer, inner_ecn(w->packet), now);
	if (p)
		path_traffic(p);
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
