/* What weir adds to WireGuard: restarts that are noticed at once, drains, clocks that go back, keys and peers
 * that come and go. */
#include "tests/unit/wg_pair.h"

#include <errno.h>
#include <string.h>

#include "crypto/primitives.h"

static bool tunnel_works(struct rig *r)
{
	return r->n[0].accepted > 0 && r->n[1].accepted > 0;
}

/* b was killed and remembers nothing but its configuration, which has no endpoint; a sends as if nothing had
 * been. */
static void restarted_without_endpoint_recovers_at_once(void **state)
{
	(void)state;
	node_kill(b);
	b->floor = 0;
	rig_run(rig, SECONDS(3));
	node_start(b, false);
	wg_up(b->d, rig->now);
	node_send(a, 60); /* lost: its key is gone */
	rig_run(rig, MS(45));
	assert_int_equal(b->events[WG_EVENT_UNKNOWN_INDEX], 1);
	assert_int_equal(b->reason, WG_REASON_unknown_index);
	assert_int_equal(peer_counted(b, WG_COUNT_unknown_index_rehandshake), 1);
	node_send(a, 60);
	node_send(b, 60);
	rig_run(rig, MS(30));
	assert_true(tunnel_works(rig));
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 1);
}

static void restarted_with_endpoint_recovers_at_once(void **state)
{
	(void)state;
	node_kill(b);
	node_start(b, true);
	wg_up(b->d, rig->now);
	rig_run(rig, MS(400));
	assert_int_equal(b->reason, WG_REASON_device_up);
	node_send(a, 60);
	node_send(b, 60);
	rig_run(rig, MS(30));
	assert_true(tunnel_works(rig));
}

static void forged_unknown_indices_cost_little(void **state)
{
	uint8_t forged[100] = {MESSAGE_DATA};

	(void)state;
	/* While a key stands they do nothing at all. */
	rig_carry(rig, &a->address, &b->address, forged, sizeof(forged), 0);
	rig_run(rig, MS(20));
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 0);
	assert_int_equal(node_count(b, WG_COUNT_reject_unknown_index), 1);
	/* Without one: an initiation in 5 s, and only to where the peer is. */
	wg_peer_drain(b->peer, rig->now, WG_REASON_user);
	rig->latency = SECONDS(100);
	for (unsigned i = 0; i < 1000; i++) {
		union address other = address_of(200, (uint16_t)(1 + i));

		crypto_random(forged + 4, sizeof(forged) - 4);
		rig_carry(rig, &a->address, &b->address, forged, sizeof(forged), 0);
		rig_carry(rig, &other, &b->address, forged, sizeof(forged), 0);
		rig_run(rig, MS(20));
	}
	assert_in_range(node_count(b, WG_COUNT_initiation_sent), 1, 5);
}

/* Nobody may be meant when all have endpoints; then strangers get no answer whatever they send. */
static void strangers_with_unknown_indices_get_silence(void **state)
{
	union address other = address_of(200, 1);
	uint8_t forged[100] = {MESSAGE_DATA, 0, 0, 0, 1, 2, 3, 4};

	(void)state;
	wg_drain(b->d, rig->now, WG_REASON_user);
	rig_carry(rig, &other, &b->address, forged, sizeof(forged), 0);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 0);
}

static void drain_then_the_next_packet_out_handshakes(void **state)
{
	unsigned id;

	(void)state;
	/* Timers of the dropped session must not start anything. */
	rig->latency = SECONDS(1000);
	node_send(a, 60);
	rig->latency = MS(10);
	wg_drain(a->d, rig->now, WG_REASON_user);
	assert_true(node_look(a).draining);
	assert_false(node_look(a).keypairs[WG_CURRENT].used);
	assert_int_equal(a->events[WG_EVENT_DRAINED], 1);
	rig_run(rig, SECONDS(30));
	assert_int_equal(a->initiation_count, 1); /* only a packet starts one */
	id = node_send(a, 60);
	rig_run(rig, MS(35));
	assert_int_equal(b->came[id], 1);
	assert_int_equal(a->initiation_count, 2);
	assert_false(node_look(a).draining);
}

static void drain_then_the_next_packet_in_handshakes(void **state)
{
	unsigned id;

	(void)state;
	wg_peer_drain(a->peer, rig->now, WG_REASON_user);
	node_send(b, 60); /* under a key that a has dropped */
	rig_run(rig, MS(45));
	assert_int_equal(a->initiation_count, 2);
	assert_int_equal(a->reason, WG_REASON_unknown_index);
	id = node_send(b, 60);
	rig_run(rig, MS(20));
	assert_int_equal(a->came[id], 1);
	assert_false(node_look(a).draining);
	/* Twice in a row, too. */
	wg_peer_drain(a->peer, rig->now, WG_REASON_user);
	id = node_send(a, 60);
	rig_run(rig, MS(45));
	assert_int_equal(b->came[id], 1);
}

static void the_clock_may_go_back(void **state)
{
	(void)state;
	rig->now.wall -= SECONDS(86400);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
	/* After a restart too, from what was persisted. */
	node_kill(a);
	node_start(a, true);
	wg_up(a->d, rig->now);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 1);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_replayed_timestamp), 0);
	/* Without it, b refuses and says by how much. */
	node_kill(a);
	a->floor = 0;
	node_start(a, true);
	wg_up(a->d, rig->now);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 0);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_replayed_timestamp), 1);
	assert_in_range(b->last[WG_EVENT_REJECTED].ns, SECONDS(86390), SECONDS(86470));
}

static void the_floor_is_written_rarely(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
		rig_run(rig, MS(100));
	}
	assert_in_range(a->persisted, 1, 2);
	assert_true(a->floor > rig->now.wall);
	/* Restarts in quick succession do not run away from the clock. */
	for (unsigned i = 0; i < 100; i++) {
		node_kill(a);
		node_start(a, true);
		wg_up(a->d, rig->now);
		rig_run(rig, MS(1500 + 100 * i));
		assert_true(a->floor < rig->now.wall + SECONDS(61));
	}
}

static void own_key_is_no_peer(void **state)
{
	struct key own;

	(void)state;
	wg_get_public_key(a->d, &own);
	assert_null(wg_add_peer(a->d, &own));
	/* A peer that turns out to have our key is ignored. */
	wg_set_private_key(a->d, &b->private_key);
	rig_run(rig, SECONDS(10));
	node_send(a, 60);
	rig_run(rig, SECONDS(10));
	assert_int_equal(a->initiation_count, 1);
	wg_set_private_key(a->d, &a->private_key);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
	assert_int_equal(a->reason, WG_REASON_key_changed);
}

static void a_new_key_ends_sessions_and_calls_at_once(void **state)
{
	struct key private_key, public_key;
	uint8_t inner[4] = {10, 0, 0, 1};

	(void)state;
	wg_set_private_key(a->d, &a->private_key); /* the same: nothing happens */
	assert_true(node_look(a).keypairs[WG_CURRENT].used);
	dh_keypair(&private_key, &public_key);
	wg_set_private_key(a->d, &private_key);
	assert_false(node_look(a).keypairs[WG_CURRENT].used);
	wg_remove_peer(b->peer);
	b->peer = wg_add_peer(b->d, &public_key);
	wg_allow(b->peer, AF_INET, inner, 32, NULL);
	rig_run(rig, MS(50));
	assert_int_equal(a->reason, WG_REASON_key_changed);
	node_send(a, 60);
	rig_run(rig, MS(50));
	assert_int_equal(b->accepted, 1);
}

static void a_peer_can_go_with_traffic(void **state)
{
	struct rig *r = rig;
	uint8_t inner[4] = {10, 0, 0, 2};

	(void)state;
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 20; i++) {
			node_send(a, 60);
			node_send(b, 60);
		}
		rig_run(r, MS(5));
		wg_remove_peer(a->peer);
		rig_run(r, MS(50));
		assert_int_equal(wg_peer_count(a->d), 0);
		assert_null(wg_find_peer(a->d, &b->public_key));
		a->peer = wg_add_peer(a->d, &b->public_key);
		wg_allow(a->peer, AF_INET, inner, 32, NULL);
		node_point(a, &b->address);
		node_send(a, 60);
		rig_run(r, MS(100));
		assert_true(node_look(a).keypairs[WG_CURRENT].used);
	}
}

static void an_endpoint_is_cleared_in_place(void **state)
{
	(void)state;
	node_point(a, NULL);
	assert_true(node_look(a).keypairs[WG_CURRENT].used);
	node_send(a, 60);
	assert_int_equal(peer_counted(a, WG_COUNT_no_endpoint), 1);
	assert_int_equal(wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true), -EDESTADDRREQ);
	node_send(b, 60);
	rig_run(rig, MS(50));
	assert_int_equal(a->accepted, 1); /* and has taught it anew */
	node_send(a, 60);
	rig_run(rig, MS(50));
	assert_int_equal(b->accepted, 1);
}

static void a_stolen_prefix_is_told(void **state)
{
	struct key key, public_key;
	struct wg_peer *other, *from = NULL;
	uint8_t inner[4] = {10, 0, 0, 2};

	(void)state;
	dh_keypair(&key, &public_key);
	other = wg_add_peer(a->d, &public_key);
	assert_int_equal(wg_allow(other, AF_INET, inner, 32, &from), 0);
	assert_ptr_equal(from, a->peer);
	rig_run(rig, MS(1));
	assert_int_equal(a->events[WG_EVENT_ALLOWED_IP_STOLEN], 1);
	node_send(b, 60);
	rig_run(rig, MS(50));
	assert_int_equal(peer_counted(a, WG_COUNT_reject_inner_source), 1);
}

/* All peers together may hold 32 MiB: beyond that a peer's own oldest packets make room for its newest. */
static void staged_packets_have_a_limit_of_bytes(void **state)
{
	static uint8_t packet[60000];
	struct wg_peer_view v = {0};
	struct wg_peer *p = NULL;
	size_t bytes = 0;

	(void)state;
	wg_up(a->d, rig->now);
	for (unsigned i = 0; i < 6; i++) {
		struct key key;

		crypto_random(&key, sizeof(key));
		p = wg_add_peer(a->d, &key);
		for (unsigned k = 0; k < STAGED_MAX; k++)
			wg_stage(p, packet, sizeof(packet), 0, rig->now.boot);
		wg_peer_look(p, &v, rig->now.boot);
		bytes += v.staged * sizeof(packet);
	}
	assert_in_range(bytes, 31u << 20, 32u << 20);
	assert_true(counter_get(&v.counters[WG_COUNT_staged_dropped]) > 0);
	/* What goes makes room for others. */
	wg_remove_peer(wg_find_peer(a->d, &b->public_key));
	p = wg_next_peer(wg_first_peer(a->d));
	wg_remove_peer(wg_first_peer(a->d));
	wg_peer_look(p, &v, rig->now.boot);
	assert_int_equal(v.staged, STAGED_MAX);
	wg_stage(p, packet, sizeof(packet), 0, rig->now.boot);
	wg_peer_look(p, &v, rig->now.boot);
	assert_int_equal(v.staged, STAGED_MAX);
}

#define MANY 10000

static unsigned largest;

/* Ten thousand peers: all are called, a few at a time, the first at once, and then they cost nothing. */
static void ten_thousand_peers_are_called_in_turns(void **state)
{
	uint64_t start = rig->now.boot, before, now;
	unsigned turns = 0;

	(void)state;
	for (unsigned i = 0; i < MANY - 1; i++) {
		struct endpoint e = {.remote = address_of(3 + i % 250, (uint16_t)(1 + i / 250))};
		struct wg_peer *p;
		struct key key;

		crypto_random(&key, sizeof(key));
		key.bytes[31] &= 127;
		p = wg_add_peer(a->d, &key);
		wg_peer_set_endpoint(p, &e);
	}
	wg_service(a->d, rig->now, rig->budget);
	rig->filter_arg = NULL;
	wg_up(a->d, rig->now);
	while ((now = wg_deadline(a->d)) && now < start + SECONDS(6) && turns++ < 100000) {
		before = node_count(a, WG_COUNT_initiation_sent);
		if (now > rig->now.boot) {
			rig->now.wall += now - rig->now.boot;
			rig->now.boot = now;
		}
		wg_service(a->d, rig->now, rig->budget);
		now = node_count(a, WG_COUNT_initiation_sent) - before;
		if (now > largest)
			largest = (unsigned)now;
		if (rig->now.boot <= start + MS(50))
			assert_true(now <= rig->budget);
		if (node_count(a, WG_COUNT_initiation_sent) == MANY)
			break;
	}
	/* A turn that comes late does not do them all at once. */
	rig->now.boot += SECONDS(20);
	before = node_count(a, WG_COUNT_initiation_sent);
	wg_service(a->d, rig->now, rig->budget);
	assert_int_equal(node_count(a, WG_COUNT_initiation_sent) - before, rig->budget);
	assert_true(wg_deadline(a->d) <= rig->now.boot);
	assert_true(a->initiations[7] <= start + MS(400));
	/* Some have been called twice by now, if it took longer than 5 s. */
	assert_true(node_count(a, WG_COUNT_initiation_sent) >= MANY);
	assert_true(largest <= rig->budget);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(restarted_without_endpoint_recovers_at_once),
		CONNECTED(restarted_with_endpoint_recovers_at_once),
		CONNECTED(forged_unknown_indices_cost_little),
		CONNECTED(strangers_with_unknown_indices_get_silence),
		CONNECTED(drain_then_the_next_packet_out_handshakes),
		CONNECTED(drain_then_the_next_packet_in_handshakes),
		CONNECTED(the_clock_may_go_back),
		CONNECTED(the_floor_is_written_rarely),
		CONNECTED(own_key_is_no_peer),
		CONNECTED(a_new_key_ends_sessions_and_calls_at_once),
		CONNECTED(a_peer_can_go_with_traffic),
		CONNECTED(an_endpoint_is_cleared_in_place),
		CONNECTED(a_stolen_prefix_is_told),
		UNCONNECTED(staged_packets_have_a_limit_of_bytes),
		UNCONNECTED(ten_thousand_peers_are_called_in_turns),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
