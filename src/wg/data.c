/*
 * The packet path, for workers: routing, sealing, opening, and the facts that go with them. No decision is
 * made here, nothing is allocated, and the one lock is the replay window's, taken once per run of packets
 * under the same key.
 */
#include <endian.h>
#include <string.h>

#include "wg/internal.h"

static struct wg_keypair *slot(const struct wg_peer *p, enum wg_slot s)
{
	return atomic_load_explicit(&p->slots[s], memory_order_acquire);
}

static uint16_t get16be(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32le(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static uint64_t get64le(const uint8_t *p)
{
	return get32le(p) | (uint64_t)get32le(p + 4) << 32;
}

/* ---- out ---- */

struct wg_peer *wg_route(struct wg_device *d, const uint8_t *packet, size_t len)
{
	struct wg_peer *p = NULL;

	if (len >= 20 && packet[0] >> 4 == 4)
		p = allowedips_lookup(d->allowed, AF_INET, packet + 16);
	else if (len >= 40 && packet[0] >> 4 == 6)
		p = allowedips_lookup(d->allowed, AF_INET6, packet + 24);
	else
		return NULL;
	if (!p)
		counter_add(&d->counters[WG_COUNT_no_route], 1);
	return p;
}

static bool expired(const struct wg_keypair *k, uint64_t now)
{
	return keypair_age(k, now) >= k->peer->device->t.reject_after;
}

struct wg_keypair *wg_sending_keypair(struct wg_peer *p, unsigned packets, uint64_t now,
				      uint64_t *first_counter)
{
	struct wg_keypair *k = slot(p, WG_NEXT);

	/* Data came under it, so the initiator has it, and may have lost every older one: the reply to that
	 * data must not wait for the control thread to move the key. */
	if (!k || !atomic_load_explicit(&k->confirm_told, memory_order_acquire))
		k = slot(p, WG_CURRENT);
	if (!k || expired(k, now) || counter_get(&k->counter) >= REJECT_AFTER_MESSAGES - packets)
		return NULL;
	*first_counter = atomic_fetch_add_explicit(&k->counter, packets, memory_order_relaxed);
	return k;
}

/* The kernel's calculate_skb_padding: to 16, but never beyond the MTU, counted from the last full MTU. */
static size_t padded_len(const struct wg_device *d, size_t len)
{
	size_t mtu = atomic_load_explicit(&d->mtu, memory_order_relaxed);
	size_t aligned = (len + PADDING_MULTIPLE - 1) & ~(size_t)(PADDING_MULTIPLE - 1);
	size_t last = len, padded;

	if (!mtu)
		return aligned;
	if (last > mtu)
		last %= mtu;
	padded = (last + PADDING_MULTIPLE - 1) & ~(size_t)(PADDING_MULTIPLE - 1);
	if (padded > mtu)
		padded = mtu;
	return len + padded - last;
}

size_t wg_sealed_len(const struct wg_device *d, size_t len)
{
	return padded_len(d, len) + DATA_OVERHEAD;
}

size_t wg_seal(const struct wg_device *d, struct aead *a, const struct wg_keypair *k, uint64_t counter,
	       uint8_t *at, size_t len)
{
	size_t padded = padded_len(d, len);
	struct message_data header = {.type = htole32(MESSAGE_DATA),
				      .receiver = htole32(k->remote_index),
				      .counter = htole64(counter)};

	memcpy(at, &header, sizeof(header));
	memset(at + DATA_HEADER_LEN + len, 0, padded - len);
	aead_seal(a, &k->send, counter, at + DATA_HEADER_LEN, padded);
	return padded + DATA_OVERHEAD;
}

/* Sets a "since" fact if none stands, and wakes control if it would not look in time. */
static void since(struct wg_peer *p, counter_t *fact, uint64_t now, uint64_t within)
{
	uint64_t next;

	if (counter_get(fact))
		return;
	atomic_store(fact, now);
	next = atomic_load(&p->next_look);
	if (!next || next > now + within)
		peer_wake(p, FACT_LOOK);
}

static void ask_rekey(struct wg_peer *p)
{
	if (!atomic_load_explicit(&p->handshaking, memory_order_relaxed))
		peer_wake(p, FACT_REKEY);
}

void wg_sent(struct wg_peer *p, struct wg_keypair *k, unsigned packets, size_t bytes, bool data, uint64_t now)
{
	const struct durations *t = &p->device->t;

	counter_add(&p->tx_bytes, bytes);
	count(p, data ? WG_COUNT_data_sent : WG_COUNT_keepalive_sent, packets);
	counter_set(&p->last_sent, now);
	if (counter_get(&p->unreplied_since))
		counter_set(&p->unreplied_since, 0);
	if (data) {
		if (!counter_get(&p->unanswered_since))
			counter_set(&p->unanswered_since, now);
		since(p, &p->silence_from, now, t->keepalive + t->rekey_timeout);
	}
	if (counter_get(&k->counter) > REKEY_AFTER_MESSAGES ||
	    (k->initiator && keypair_age(k, now) >= t->rekey_after))
		ask_rekey(p);
}

void wg_no_endpoint(struct wg_peer *p)
{
	count(p, WG_COUNT_no_endpoint, 1);
}

void wg_send_failed(struct wg_peer *p, unsigned datagrams)
{
	count(p, WG_COUNT_send_failed, datagrams);
}

void wg_too_big(struct wg_peer *p, unsigned packets)
{
	count(p, WG_COUNT_too_big, packets);
}

/* ---- in ---- */

/* RFC 6040 section 4.2, the decapsulator's table. False: drop. */
bool ecn_combine(uint8_t outer, uint8_t inner, uint8_t *result)
{
	enum { NOT_ECT, ECT_1, ECT_0, CE };

	*result = inner;
	if (outer == CE) {
		*result = CE;
		return inner != NOT_ECT;
	}
	if (outer == ECT_1 && inner == ECT_0)
		*result = ECT_1;
	return true;
}

/* RFC 1624: the header checksum after one byte of the first word changed. */
static void set_ecn4(uint8_t *packet, uint8_t ecn)
{
	uint16_t before = get16be(packet), sum = get16be(packet + 10);
	uint32_t s;

	packet[1] = (uint8_t)((packet[1] & ~3) | ecn);
	s = (uint32_t)(uint16_t)~sum + (uint16_t)~before + get16be(packet);
	s = (s & 0xffff) + (s >> 16);
	s = (s & 0xffff) + (s >> 16);
	sum = (uint16_t)~s;
	packet[10] = (uint8_t)(sum >> 8);
	packet[11] = (uint8_t)sum;
}

static bool apply_ecn(uint8_t *packet, uint8_t outer)
{
	bool six = packet[0] >> 4 == 6;
	uint8_t inner = six ? (packet[1] >> 4) & 3 : packet[1] & 3, result;

	if (!ecn_combine(outer, inner, &result))
		return false;
	if (result == inner)
		return true;
	if (six)
		packet[1] = (uint8_t)((packet[1] & ~0x30) | result << 4);
	else
		set_ecn4(packet, result);
	return true;
}

/* An IP packet with its padding cut off; false if it is none. */
static bool trim(struct wg_incoming *in)
{
	const uint8_t *p = in->inner;
	size_t len;

	if (in->inner_len >= 20 && p[0] >> 4 == 4) {
		len = get16be(p + 2);
		if (len < 20 || len > in->inner_len)
			return false;
	} else if (in->inner_len >= 40 && p[0] >> 4 == 6) {
		len = get16be(p + 4) + 40u;
		if (len > in->inner_len)
			return false;
	} else {
		return false;
	}
	in->inner_len = len;
	return true;
}

static void drop(struct wg_incoming *in, struct wg_peer *p, enum wg_counter why, uint64_t now)
{
	in->why = why;
	reject_counted(p, why, 1, now);
}

static void refuse_source(struct wg_incoming *in, struct wg_peer *p, uint64_t now)
{
	const uint8_t *inner = in->inner;
	uint8_t source[16] = {[10] = 0xff, [11] = 0xff};
	uint64_t halves[2];

	if (inner[0] >> 4 == 4)
		memcpy(source + 12, inner + 12, 4);
	else
		memcpy(source, inner + 8, 16);
	memcpy(halves, source, sizeof(halves));
	counter_set(&p->refused_source[0], halves[0]);
	counter_set(&p->refused_source[1], halves[1]);
	drop(in, p, WG_COUNT_reject_inner_source, now);
}

static void judge_inner(struct wg_device *d, struct wg_incoming *in, uint64_t now)
{
	struct wg_peer *p = in->peer, *owner;

	in->verdict = WG_DROP;
	if (!in->inner_len) {
		in->verdict = WG_KEEPALIVE;
		return;
	}
	if (!trim(in)) {
		drop(in, p, WG_COUNT_reject_inner_malformed, now);
		return;
	}
	owner = in->inner[0] >> 4 == 4 ? allowedips_lookup(d->allowed, AF_INET, in->inner + 12)
				       : allowedips_lookup(d->allowed, AF_INET6, in->inner + 8);
	if (owner != p)
		refuse_source(in, p, now);
	else if (!apply_ecn(in->inner, in->ecn & 3))
		drop(in, p, WG_COUNT_reject_ecn, now);
	else
		in->verdict = WG_PACKET;
}

/* What an authenticated run tells, before its packets are looked into: roaming comes before the owner check.
 */
static void report_run(struct wg_peer *p, struct wg_keypair *k, size_t bytes, unsigned data, unsigned packets,
		       const struct endpoint *from, uint64_t now)
{
	const struct durations *t = &p->device->t;
	const struct wg_keypair *current = slot(p, WG_CURRENT);
	struct endpoint e = wg_peer_sending_endpoint(p);

	counter_add(&p->rx_bytes, bytes);
	counter_set(&p->last_received, now);
	if (counter_get(&p->silence_from))
		counter_set(&p->silence_from, 0);
	if (counter_get(&p->unanswered_since))
		counter_set(&p->unanswered_since, 0);
	if (data) {
		count(p, WG_COUNT_data_received, data);
		since(p, &p->unreplied_since, now, t->keepalive);
	}
	if (packets > data)
		count(p, WG_COUNT_keepalive_received, packets - data);
	if (!endpoint_equal(&e, from) && may_move(p, &e, from)) {
		spin_lock(&p->roam_lock);
		p->roam = *from;
		atomic_store_explicit(&p->roaming, true, memory_order_release);
		spin_unlock(&p->roam_lock);
		peer_wake(p, FACT_ROAMED);
	}
	if (k == slot(p, WG_NEXT) && !atomic_load_explicit(&k->confirm_told, memory_order_relaxed) &&
	    !atomic_exchange(&k->confirm_told, true))
		peer_wake(p, FACT_CONFIRMED);
	/* Perhaps nothing will be sent any more that would renew the key in time: receiving does. */
	if (current && current->initiator && keypair_age(current, now) >= t->renew_receive)
		ask_rekey(p);
}

/* Packets in[0..count) opened under k: replay window, facts, then each packet by itself. */
static void finish_run(struct wg_device *d, struct wg_keypair *k, struct wg_incoming *in, unsigned n,
		       const struct endpoint *from, uint64_t now)
{
	struct wg_peer *p = k->peer;
	unsigned accepted = 0, data = 0, replayed = 0;
	uint64_t lost;
	size_t bytes = 0;

	spin_lock(&k->lock);
	lost = replay_lost(&k->replay);
	for (unsigned i = 0; i < n; i++) {
		if (!in[i].peer)
			continue;
		if (!replay_accept(&k->replay, get64le(in[i].datagram + 8))) {
			in[i].peer = NULL;
			in[i].why = WG_COUNT_reject_replayed_counter;
			replayed++;
			continue;
		}
		accepted++;
		data += in[i].inner_len > 0;
		bytes += in[i].len;
	}
	lost = replay_lost(&k->replay) - lost;
	spin_unlock(&k->lock);
	if (replayed)
		reject_counted(p, WG_COUNT_reject_replayed_counter, replayed, now);
	if (lost)
		count(p, WG_COUNT_packet_lost, lost);
	if (!accepted)
		return;
	report_run(p, k, bytes, data, accepted, from, now);
	for (unsigned i = 0; i < n; i++)
		if (in[i].peer)
			judge_inner(d, &in[i], now);
}

/* Decrypts one; in->peer is set on success. */
static void open_one(struct wg_keypair *k, struct aead *a, struct wg_incoming *in, uint64_t now)
{
	struct wg_peer *p = k->peer;
	uint64_t counter = get64le(in->datagram + 8);

	if (expired(k, now) || counter >= REJECT_AFTER_MESSAGES) {
		drop(in, p, WG_COUNT_reject_expired, now);
		return;
	}
	in->inner = in->datagram + DATA_HEADER_LEN;
	in->inner_len = in->len - DATA_OVERHEAD;
	if (!aead_open(a, &k->receive, counter, in->inner, in->inner_len)) {
		drop(in, p, WG_COUNT_reject_undecryptable_data, now);
		return;
	}
	in->peer = p;
}

void wg_open(struct wg_device *d, struct aead *a, struct wg_incoming *in, unsigned n,
	     const struct endpoint *from, uint64_t now)
{
	struct wg_keypair *k = NULL;
	uint32_t k_index = 0;
	unsigned start = 0;

	for (unsigned i = 0; i < n; i++) {
		uint32_t index;

		in[i].peer = NULL;
		in[i].verdict = WG_DROP;
		in[i].keypair = NULL;
		if (in[i].len < DATA_OVERHEAD || get32le(in[i].datagram) != MESSAGE_DATA) {
			in[i].why = WG_COUNT_reject_malformed;
			reject_anonymous(d, WG_COUNT_reject_malformed, 1, now);
			continue;
		}
		index = get32le(in[i].datagram + 4);
		if (!k || index != k_index) {
			if (k)
				finish_run(d, k, in + start, i - start, from, now);
			start = i;
			k_index = index;
			k = index_lookup(d->indices, index, INDEX_KEYPAIR);
		}
		in[i].keypair = k;
		if (k) {
			open_one(k, a, &in[i], now);
			continue;
		}
		in[i].why = WG_COUNT_reject_unknown_index;
		reject_anonymous(d, WG_COUNT_reject_unknown_index, 1, now);
		unknown_index_report(d, index, from, now);
	}
	if (k)
		finish_run(d, k, in + start, n - start, from, now);
}

void wg_handshake_dropped(struct wg_device *d, uint64_t now)
{
	reject_anonymous(d, WG_COUNT_reject_queue_full, 1, now);
}

uint32_t wg_keypair_index(const struct wg_keypair *k)
{
	return k->local_index;
}

struct wg_peer *wg_keypair_peer(const struct wg_keypair *k)
{
	return k->peer;
}
