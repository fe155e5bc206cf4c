#include "tests/unit/wg_rig.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"

#define DAY (86400 * NS_PER_SEC)

union address address_of(unsigned last_byte, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	a.in.sin_addr.s_addr = htonl(0xc0000200u | last_byte);
	return a;
}

struct node *node_other(struct node *n)
{
	return &n->rig->n[1 - n->number];
}

uint32_t message_type_of(const uint8_t *data)
{
	return (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;
}

/* ---- the wire ---- */

void rig_carry(struct rig *r, const union address *from, const union address *to, const uint8_t *data,
	       size_t len, uint64_t delay)
{
	struct datagram *g;

	if (r->wire_count == r->wire_room) {
		r->wire_room = r->wire_room ? 2 * r->wire_room : 16;
		r->wire = xrealloc(r->wire, r->wire_room * sizeof(*r->wire));
	}
	g = &r->wire[r->wire_count++];
	*g = (struct datagram){.due = r->now.boot + delay,
			       .sequence = r->sequence++,
			       .from = *from,
			       .to = *to,
			       .data = xmalloc(len ? len : 1),
			       .len = len};
	memcpy(g->data, data, len);
}

void rig_carry_by(struct rig *r, uint32_t via, const union address *to, const uint8_t *data, size_t len,
		  uint64_t delay)
{
	static const union address nowhere;

	rig_carry(r, &nowhere, to, data, len, delay);
	r->wire[r->wire_count - 1].via = via;
}

static struct datagram *first_on_wire(struct rig *r)
{
	struct datagram *first = NULL;

	for (size_t i = 0; i < r->wire_count; i++) {
		struct datagram *g = &r->wire[i];

		if (!first || g->due < first->due || (g->due == first->due && g->sequence < first->sequence))
			first = g;
	}
	return first;
}

static void put_on_wire(struct node *n, const struct endpoint *to, const uint8_t *data, size_t len)
{
	struct rig *r = n->rig;
	uint8_t *copy = xmalloc(len);

	memcpy(copy, data, len);
	if (message_type_of(data) == MESSAGE_DATA && len == DATA_OVERHEAD)
		n->keepalive_at = r->now.boot;
	if (r->carrier && !to->via)
		r->carrier(r, n, &to->remote, copy, len);
	else if (r->filter && !r->filter(r, n, copy, len))
		;
	else if (to->via)
		rig_carry_by(r, to->via, &node_other(n)->address, copy, len, r->latency);
	else
		rig_carry(r, &n->address, &to->remote, copy, len, r->latency);
	free(copy);
}

/* ---- what the devices ask for ---- */

static void on_send(void *ctx, struct wg_peer *peer, const struct endpoint *to, uint8_t ecn,
		    const void *datagram, size_t len)
{
	(void)peer;
	(void)ecn;
	put_on_wire(ctx, to, datagram, len);
}

static void on_event(void *ctx, struct wg_peer *peer, const struct wg_event *ev)
{
	struct node *n = ctx;

	(void)peer;
	assert_in_range(ev->type, 0, WG_EVENT_TYPES - 1);
	n->events[ev->type]++;
	n->last[ev->type] = *ev;
	n->last[ev->type].from = NULL;
	n->last[ev->type].key = NULL;
	if (ev->type != WG_EVENT_INITIATION_SENT)
		return;
	n->reason = ev->reason;
	if (n->initiation_count < 256)
		n->initiations[n->initiation_count] = ev->at_boot;
	n->initiation_count++;
}

static void on_gone(void *ctx, struct wg_peer *peer)
{
	(void)ctx;
	wg_peer_set_owner(peer, NULL);
}

static void on_wake(void *ctx)
{
	((struct node *)ctx)->wakes++;
}

static void on_floor(void *ctx, uint64_t floor)
{
	struct node *n = ctx;

	assert_true(floor > n->floor);
	n->floor = floor;
	n->persisted++;
}

static struct wg_peer *on_via_peer(void *ctx, uint32_t via)
{
	struct node *n = ctx;

	assert_int_not_equal(via, 0);
	return n->knows_ways ? n->peer : NULL;
}

static const struct wg_ops ops = {.send = on_send,
				  .event = on_event,
				  .peer_gone = on_gone,
				  .wake = on_wake,
				  .via_peer = on_via_peer,
				  .persist_floor = on_floor};

/* ---- nodes ---- */

void node_point(struct node *n, const union address *a)
{
	struct endpoint e = {0};

	if (a)
		e.remote = *a;
	wg_peer_set_endpoint(n->peer, &e);
}

void node_kill(struct node *n)
{
	wg_device_free(n->d);
	aead_free(n->aead);
	n->d = NULL;
	n->peer = NULL;
}

void node_start(struct node *n, bool knows_endpoint)
{
	struct node *other = node_other(n);
	uint8_t inner[4] = {10, 0, 0, (uint8_t)(1 + other->number)};

	n->d = wg_device_new(&ops, n);
	n->reader = epoch_reader_add(wg_epoch(n->d));
	n->aead = aead_new_portable();
	wg_set_mtu(n->d, 1420);
	wg_set_private_key(n->d, &n->private_key);
	wg_set_timestamp_floor(n->d, n->floor);
	n->peer = wg_add_peer(n->d, &other->public_key);
	assert_non_null(n->peer);
	assert_int_equal(wg_allow(n->peer, AF_INET, inner, 32, NULL), 0);
	if (knows_endpoint)
		node_point(n, &other->address);
}

struct rig *rig_new(void)
{
	struct rig *r = xcalloc(1, sizeof(*r));

	r->now.boot = 1000 * NS_PER_SEC;
	r->now.wall = 20000 * DAY;
	r->latency = MS(10);
	r->budget = 32;
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = &r->n[i];

		n->rig = r;
		n->number = i;
		n->address = address_of(1 + i, 51820);
		dh_keypair(&n->private_key, &n->public_key);
	}
	for (unsigned i = 0; i < 2; i++)
		node_start(&r->n[i], true);
	return r;
}

void rig_free(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++)
		if (r->n[i].d)
			node_kill(&r->n[i]);
	for (size_t i = 0; i < r->wire_count; i++)
		free(r->wire[i].data);
	free(r->wire);
	free(r);
}

void rig_up(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++)
		if (r->n[i].d)
			wg_up(r->n[i].d, r->now);
}

static bool both_have_sessions(struct rig *r)
{
	struct wg_peer_view a = node_look(&r->n[0]), b = node_look(&r->n[1]);

	return a.keypairs[WG_CURRENT].used && b.keypairs[WG_CURRENT].used;
}

struct rig *rig_connected(void)
{
	struct rig *r = rig_new();

	/* Only one begins, so that there is one session. */
	node_point(&r->n[1], NULL);
	rig_up(r);
	assert_true(rig_run_until(r, SECONDS(2), both_have_sessions));
	rig_run(r, MS(100));
	return r;
}

/* ---- time ---- */

static void open_one(struct node *n, struct datagram *g, const struct endpoint *from)
{
	struct wg_incoming in = {.datagram = g->data, .len = g->len, .ecn = n->outer_ecn};
	unsigned id;

	epoch_enter(wg_epoch(n->d), n->reader);
	wg_open(n->d, n->aead, &in, 1, from, n->rig->now.boot);
	epoch_exit(n->reader);
	if (in.verdict == WG_DROP)
		n->dropped++;
	if (in.verdict != WG_PACKET)
		return;
	assert_true(in.inner_len >= 24);
	memcpy(&id, in.inner + 20, sizeof(id));
	assert_in_range(id, 0, PACKETS - 1);
	n->came[id]++;
	n->order[n->accepted++ % PACKETS] = id;
	n->last_len = in.inner_len;
	memcpy(n->last_inner, in.inner, in.inner_len < 256 ? in.inner_len : 256);
}

static void deliver(struct rig *r, struct datagram *at)
{
	struct datagram g = *at;
	struct endpoint from = {.remote = g.from, .via = g.via};

	*at = r->wire[--r->wire_count];
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = &r->n[i];
		uint32_t type = g.len >= 4 ? message_type_of(g.data) : 0;

		if (!n->d || !wg_is_up(n->d) || !address_equal(&n->address, &g.to))
			continue;
		if (type >= MESSAGE_INITIATION && type <= MESSAGE_COOKIE)
			wg_receive_handshake(n->d, g.data, g.len, &from, 0, r->now);
		else
			open_one(n, &g, &from);
	}
	free(g.data);
}

static void serve(struct rig *r)
{
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = &r->n[i];

		if (!n->d)
			continue;
		wg_service(n->d, r->now, r->budget);
		epoch_reclaim(wg_epoch(n->d));
	}
}

static uint64_t next_time(struct rig *r)
{
	struct datagram *g = first_on_wire(r);
	uint64_t next = g ? g->due : UINT64_MAX;

	for (unsigned i = 0; i < 2; i++) {
		uint64_t due = r->n[i].d ? wg_deadline(r->n[i].d) : 0;

		if (due && due < next)
			next = due;
	}
	return next;
}

static void advance(struct rig *r, uint64_t boot)
{
	if (boot <= r->now.boot)
		return;
	r->now.wall += boot - r->now.boot;
	r->now.boot = boot;
}

/* True while something was to do before `end`. */
static bool step(struct rig *r, uint64_t end)
{
	uint64_t next = next_time(r);
	struct datagram *g;

	if (next > end)
		return false;
	advance(r, next);
	g = first_on_wire(r);
	if (g && g->due <= r->now.boot)
		deliver(r, g);
	serve(r);
	return true;
}

void rig_run(struct rig *r, uint64_t duration)
{
	uint64_t end = r->now.boot + duration;

	serve(r);
	while (step(r, end))
		;
	advance(r, end);
	serve(r);
}

bool rig_run_until(struct rig *r, uint64_t longest, bool (*done)(struct rig *r))
{
	uint64_t end = r->now.boot + longest;

	serve(r);
	while (!done(r)) {
		if (!step(r, end)) {
			advance(r, end);
			return done(r);
		}
	}
	return true;
}

/* ---- packets ---- */

unsigned node_send_from(struct node *n, size_t len, uint8_t source_last, uint8_t ecn)
{
	uint8_t buffer[4096] = {0}, *packet = buffer + DATA_HEADER_LEN;
	uint8_t header[20] = {0x45,
			      ecn,
			      (uint8_t)(len >> 8),
			      (uint8_t)len,
			      0,
			      0,
			      0,
			      0,
			      64,
			      17,
			      0,
			      0,
			      10,
			      0,
			      0,
			      source_last,
			      10,
			      0,
			      0,
			      (uint8_t)(2 - n->number)};
	struct rig *r = n->rig;
	unsigned id = r->next_id++;
	struct wg_keypair *k;
	struct wg_peer *p;
	uint64_t counter, now = r->now.boot;

	assert_in_range(len, 24, sizeof(buffer) - 64);
	assert_in_range(id, 0, PACKETS - 1);
	memcpy(packet, header, sizeof(header));
	memcpy(packet + 20, &id, sizeof(id));
	epoch_enter(wg_epoch(n->d), n->reader);
	p = wg_route(n->d, packet, len);
	if (p) {
		k = wg_sending_keypair(p, 1, now, &counter);
		if (k) {
			struct endpoint to = wg_peer_endpoint(p);
			size_t sealed = wg_seal(n->d, n->aead, k, counter, buffer, len);

			if (endpoint_known(&to)) {
				put_on_wire(n, &to, buffer, sealed);
				wg_sent(p, k, 1, sealed, true, now);
			} else {
				wg_no_endpoint(p);
			}
		} else {
			wg_stage(p, packet, len, ecn, now);
		}
	}
	epoch_exit(n->reader);
	return id;
}

unsigned node_send(struct node *n, size_t len)
{
	return node_send_from(n, len, (uint8_t)(1 + n->number), 0);
}

struct wg_peer_view node_look(struct node *n)
{
	struct wg_peer_view v;

	wg_peer_look(n->peer, &v, n->rig->now.boot);
	return v;
}

uint64_t node_count(struct node *n, enum wg_counter c)
{
	return counter_get(&wg_device_counters(n->d)[c]);
}

uint64_t peer_counted(struct node *n, enum wg_counter c)
{
	struct wg_peer_view v = node_look(n);

	return counter_get(&v.counters[c]);
}
