/*
 * Endpoints that are ways (struct endpoint, via) and not addresses, as a relay's are; and peers pinned to
 * one. In virtual time; what a node sends by a way comes to the other by the way of the same number.
 */
#include "tests/unit/wg_pair.h"

#include <errno.h>
#include <string.h>

#include "crypto/primitives.h"

#define RELAY 0x10001u
#define OTHER 0x10002u

static void point_by(struct node *n, uint32_t via)
{
	wg_peer_set_endpoint(n->peer, &(struct endpoint){.via = via});
}

static void check_exchange(void)
{
	unsigned to_b = node_send(a, 60), to_a;

	rig_run(rig, MS(50));
	assert_int_equal(b->came[to_b], 1);
	to_a = node_send(b, 60);
	rig_run(rig, MS(50));
	assert_int_equal(a->came[to_a], 1);
}

static void a_tunnel_without_addresses(void **state)
{
	(void)state;
	node_point(b, NULL);
	point_by(a, RELAY);
	rig_up(rig);
	rig_run(rig, SECONDS(2));
	check_exchange();
	assert_int_equal(wg_peer_via(b->peer), RELAY);
	assert_int_equal(wg_peer_endpoint(b->peer).remote.sa.sa_family, AF_UNSPEC);
	/* Another way is another place; the same way with nothing new is not. */
	assert_int_equal(peer_counted(b, WG_COUNT_roamed), 1);
	point_by(a, OTHER);
	check_exchange();
	assert_int_equal(wg_peer_via(b->peer), OTHER);
	assert_int_equal(peer_counted(b, WG_COUNT_roamed), 2);
}

static void one_way_is_no_other(void **state)
{
	struct key key, public_key;
	struct wg_peer *p;

	(void)state;
	dh_keypair(&key, &public_key);
	p = wg_add_peer(b->d, &public_key);
	/* Both without an address: each leaves its own entry behind when it goes. */
	wg_peer_set_endpoint(p, &(struct endpoint){.via = OTHER});
	point_by(a, RELAY);
	check_exchange();
	assert_int_equal(wg_peer_via(p), OTHER);
	wg_remove_peer(p);
	assert_int_equal(wg_peer_via(b->peer), RELAY);
	check_exchange();
}

static void a_pinned_peer_keeps_its_way(void **state)
{
	struct endpoint at = wg_peer_endpoint(b->peer);
	unsigned id;

	(void)state;
	wg_peer_set_pinned(a->peer, true);
	wg_peer_set_pinned(b->peer, true);
	point_by(a, RELAY);
	id = node_send(a, 60);
	rig_run(rig, MS(50));
	assert_int_equal(b->came[id], 1);
	assert_int_equal(wg_peer_via(b->peer), 0);
	assert_true(address_equal(&at.remote, &a->address));
	/* The answer goes where the owner has put it. */
	check_exchange();
	assert_int_equal(wg_peer_via(b->peer), 0);
	wg_peer_set_pinned(b->peer, false);
	check_exchange();
	assert_int_equal(wg_peer_via(b->peer), RELAY);
}

static void a_pinned_peer_roams_within_its_way(void **state)
{
	union address moved = address_of(99, 7);
	struct endpoint e;

	(void)state;
	wg_peer_set_pinned(b->peer, true);
	a->address = moved;
	check_exchange();
	e = wg_peer_endpoint(b->peer);
	assert_true(address_equal(&e.remote, &moved));
}

static void a_pinned_peer_of_no_place_is_found(void **state)
{
	(void)state;
	wg_peer_set_pinned(b->peer, true);
	node_point(b, NULL);
	point_by(a, RELAY);
	rig_up(rig);
	rig_run(rig, SECONDS(2));
	check_exchange();
	assert_int_equal(wg_peer_via(b->peer), RELAY);
}

/* An initiation is answered where it came from, though that is not where the peer's packets go. */
static void a_handshake_by_another_way_is_answered_there(void **state)
{
	uint64_t done = peer_counted(a, WG_COUNT_handshake_done);

	(void)state;
	wg_peer_set_pinned(b->peer, true);
	wg_peer_set_pinned(a->peer, true);
	rig_run(rig, SECONDS(6));
	point_by(a, RELAY);
	assert_int_equal(wg_peer_handshake(a->peer, rig->now, WG_REASON_path_changed, true), 0);
	rig_run(rig, MS(100));
	assert_int_equal(peer_counted(a, WG_COUNT_handshake_done), done + 1);
	assert_int_equal(a->reason, WG_REASON_path_changed);
	assert_int_equal(wg_peer_via(a->peer), RELAY);
	assert_int_equal(wg_peer_via(b->peer), 0);
}

/* What a worker saw before the owner chose must not send a single packet back to the old way. */
static void the_owners_choice_is_newer_than_a_source(void **state)
{
	union address moved = address_of(99, 7);
	struct endpoint sending;

	(void)state;
	wg_peer_set_pinned(b->peer, true);
	a->address = moved;
	point_by(b, RELAY);
	node_send(a, 60);
	rig_run(rig, MS(10)); /* delivered, and served */
	sending = wg_peer_sending_endpoint(b->peer);
	assert_int_equal(sending.via, RELAY);
	assert_int_equal(sending.remote.sa.sa_family, AF_UNSPEC);
	node_point(b, &moved);
	sending = wg_peer_sending_endpoint(b->peer);
	assert_int_equal(sending.via, 0);
}

static void a_keepalive_proves_a_way(void **state)
{
	struct endpoint by = {.via = RELAY}, before;
	uint64_t came = peer_counted(b, WG_COUNT_keepalive_received);

	(void)state;
	wg_peer_set_pinned(b->peer, true);
	before = wg_peer_endpoint(a->peer);
	assert_int_equal(wg_peer_send_keepalive(a->peer, &by, rig->now), 0);
	rig_run(rig, MS(30));
	assert_int_equal(peer_counted(b, WG_COUNT_keepalive_received), came + 1);
	assert_int_equal(wg_peer_via(b->peer), 0);
	assert_true(endpoint_equal(&before, &(struct endpoint){.remote = b->address}));
	wg_peer_drain(a->peer, rig->now, WG_REASON_remote_restarted);
	assert_int_equal(wg_peer_send_keepalive(a->peer, &by, rig->now), -ENOKEY);
	wg_down(a->d);
	assert_int_equal(wg_peer_send_keepalive(a->peer, &by, rig->now), -ENETDOWN);
}

static void both_ends_share_a_secret(void **state)
{
	struct key of_a, of_b;

	(void)state;
	assert_int_equal(wg_peer_shared_secret(a->peer, &of_a), 0);
	assert_int_equal(wg_peer_shared_secret(b->peer, &of_b), 0);
	assert_true(key_equal(&of_a, &of_b));
	assert_false(key_is_zero(&of_a));
	wg_set_private_key(a->d, NULL);
	assert_int_equal(wg_peer_shared_secret(a->peer, &of_a), -ENOKEY);
}

/* b restarts and knows nothing; a's data tells it that keys are lost, and the way tells it whose. */
static void lost_keys_are_noticed_by_a_way(void **state)
{
	uint64_t before;

	(void)state;
	point_by(a, RELAY);
	check_exchange();
	node_kill(b);
	node_start(b, false);
	wg_up(b->d, rig->now);
	rig_run(rig, SECONDS(6));
	node_send(a, 60);
	rig_run(rig, MS(100));
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 0); /* whose, nobody says */
	b->knows_ways = true;
	before = peer_counted(a, WG_COUNT_handshake_done);
	rig_run(rig, MS(100));
	node_send(a, 60);
	rig_run(rig, MS(100));
	assert_int_equal(peer_counted(b, WG_COUNT_unknown_index_rehandshake), 1);
	assert_int_equal(wg_peer_via(b->peer), RELAY);
	assert_true(node_count(b, WG_COUNT_handshake_done) == 1);
	assert_true(peer_counted(a, WG_COUNT_handshake_done) == before + 1);
	check_exchange();
}

static uint8_t kept[256];
static size_t kept_len;

static bool keep_initiations(struct rig *r, struct node *from, uint8_t *data, size_t len)
{
	(void)r;
	(void)from;
	if (message_type_of(data) != MESSAGE_INITIATION)
		return true;
	memcpy(kept, data, len);
	kept_len = len;
	return false;
}

/* Under load: the cookie of one way is worth nothing on another, and each way has a limit of its own. */
static void cookies_belong_to_a_way(void **state)
{
	struct endpoint relay = {.via = RELAY}, other = {.via = OTHER};
	uint64_t sent;

	(void)state;
	node_point(b, NULL);
	point_by(a, RELAY);
	rig->filter = keep_initiations;
	rig_up(rig);
	rig_run(rig, SECONDS(1));
	assert_int_equal(kept_len, sizeof(struct message_initiation));
	wg_receive_handshake(b->d, kept, kept_len, &relay, 200, rig->now);
	assert_int_equal(node_count(b, WG_COUNT_cookie_sent), 1);
	rig_run(rig, MS(100));
	assert_int_equal(node_count(a, WG_COUNT_cookie_received), 1);
	rig_run(rig, SECONDS(6)); /* the next initiation carries the cookie */
	sent = node_count(b, WG_COUNT_cookie_sent);
	assert_null(wg_receive_handshake(b->d, kept, kept_len, &other, 200, rig->now));
	assert_int_equal(node_count(b, WG_COUNT_cookie_sent), sent + 1);
	assert_ptr_equal(wg_receive_handshake(b->d, kept, kept_len, &relay, 200, rig->now), b->peer);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNCONNECTED(a_tunnel_without_addresses),
		CONNECTED(one_way_is_no_other),
		CONNECTED(a_pinned_peer_keeps_its_way),
		CONNECTED(a_pinned_peer_roams_within_its_way),
		UNCONNECTED(a_pinned_peer_of_no_place_is_found),
		CONNECTED(a_handshake_by_another_way_is_answered_there),
		CONNECTED(the_owners_choice_is_newer_than_a_source),
		CONNECTED(a_keepalive_proves_a_way),
		CONNECTED(both_ends_share_a_secret),
		CONNECTED(lost_keys_are_noticed_by_a_way),
		UNCONNECTED(cookies_belong_to_a_way),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
