/* What WireGuard must refuse and survive; test_wg_life.c has what weir adds to it. */
#include "tests/unit/wg_pair.h"

#include <string.h>

#include "crypto/primitives.h"

/* ---- keeping what passes ---- */

struct kept {
	uint32_t type; /* of the message to keep */
	bool swallow;  /* and not to deliver */
	uint8_t data[2048];
	size_t len;
	unsigned seen;
};

static bool keep(struct rig *r, struct node *from, uint8_t *data, size_t len)
{
	struct kept *k = r->filter_arg;

	(void)from;
	if (message_type_of(data) != k->type)
		return true;
	memcpy(k->data, data, len);
	k->len = len;
	k->seen++;
	return !k->swallow;
}

static void keep_messages(struct kept *k, uint32_t type, bool swallow)
{
	*k = (struct kept){.type = type, .swallow = swallow};
	rig->filter = keep;
	rig->filter_arg = k;
}

static struct endpoint from_address(const union address *addr)
{
	return (struct endpoint){.remote = *addr};
}

static void give(struct node *n, const struct kept *k, unsigned queued)
{
	struct endpoint from = from_address(&node_other(n)->address);

	wg_receive_handshake(n->d, k->data, k->len, &from, queued, rig->now);
}

/* ---- data ---- */

static void roaming_follows_authentic_packets(void **state)
{
	union address moved = address_of(99, 7);
	struct endpoint e;

	(void)state;
	a->address = moved;
	node_send(a, 60);
	rig_run(rig, MS(30));
	e = wg_peer_endpoint(b->peer);
	assert_true(address_equal(&e.remote, &moved));
	assert_int_equal(peer_counted(b, WG_COUNT_roamed), 2); /* the first was the initiation */
	assert_int_equal(b->events[WG_EVENT_ROAMED], 2);
	node_send(b, 60);
	rig_run(rig, MS(30));
	assert_int_equal(a->accepted, 1);
}

/* The owner of the inner source is checked after the endpoint was learned. */
static void wrong_inner_source_is_dropped_but_roams(void **state)
{
	union address moved = address_of(99, 7);
	struct endpoint e;

	(void)state;
	a->address = moved;
	node_send_from(a, 60, 77, 0);
	rig_run(rig, MS(30));
	assert_int_equal(b->accepted, 0);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_inner_source), 1);
	assert_int_equal(b->events[WG_EVENT_REJECTED], 1);
	assert_int_equal(b->last[WG_EVENT_REJECTED].a, WG_COUNT_reject_inner_source);
	e = wg_peer_endpoint(b->peer);
	assert_true(address_equal(&e.remote, &moved));
}

static void refusals_are_told_now_and_then(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 500; i++) {
		node_send_from(a, 60, 77, 0);
		rig_run(rig, MS(10));
	}
	assert_int_equal(b->events[WG_EVENT_REJECTED], 1);
	rig_run(rig, SECONDS(11));
	assert_int_equal(b->events[WG_EVENT_REJECTED], 2);
	assert_int_equal(b->last[WG_EVENT_REJECTED].b, 499);
	rig_run(rig, SECONDS(60));
	assert_int_equal(b->events[WG_EVENT_REJECTED], 2);
}

static void replays_and_forgeries_are_dropped(void **state)
{
	struct kept k;
	unsigned id;

	(void)state;
	keep_messages(&k, MESSAGE_DATA, false);
	id = node_send(a, 60);
	rig_run(rig, MS(20));
	for (unsigned i = 0; i < 3; i++)
		rig_carry(rig, &a->address, &b->address, k.data, k.len, 0);
	rig_run(rig, MS(20));
	assert_int_equal(b->came[id], 1);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_replayed_counter), 3);
	k.data[k.len - 1] ^= 1;
	rig_carry(rig, &a->address, &b->address, k.data, k.len, 0);
	k.data[k.len - 1] ^= 1;
	k.data[8] += 50; /* another counter */
	rig_carry(rig, &a->address, &b->address, k.data, k.len, 0);
	rig_run(rig, MS(20));
	assert_int_equal(peer_counted(b, WG_COUNT_reject_undecryptable_data), 2);
	/* A replay from elsewhere moves nothing. */
	k.data[8] -= 50;
	rig_carry(rig, &(union address){.in = {.sin_family = AF_INET, .sin_port = 9}}, &b->address, k.data,
		  k.len, 0);
	rig_run(rig, MS(20));
	assert_int_equal(peer_counted(b, WG_COUNT_roamed), 1);
	assert_int_equal(b->accepted, 1);
}

static void malformed_datagrams_are_counted(void **state)
{
	static const uint8_t zeros[200];
	uint8_t data[200] = {MESSAGE_DATA};

	(void)state;
	rig_carry(rig, &a->address, &b->address, zeros, 200, 0);
	rig_carry(rig, &a->address, &b->address, zeros, 1, 0);
	rig_carry(rig, &a->address, &b->address, data, DATA_OVERHEAD - 1, 0);
	data[0] = MESSAGE_INITIATION;
	rig_carry(rig, &a->address, &b->address, data, 147, 0);
	data[0] = MESSAGE_RESPONSE;
	rig_carry(rig, &a->address, &b->address, data, 148, 0);
	data[0] = MESSAGE_COOKIE;
	rig_carry(rig, &a->address, &b->address, data, 65, 0);
	rig_run(rig, MS(20));
	assert_int_equal(node_count(b, WG_COUNT_reject_malformed), 6);
}

static void gaps_are_counted_as_lost(void **state)
{
	struct kept k;

	(void)state;
	keep_messages(&k, MESSAGE_DATA, true);
	for (unsigned i = 0; i < 10; i++)
		node_send(a, 60);
	rig->filter = NULL;
	for (unsigned i = 0; i < REPLAY_WINDOW_BITS / 4; i++) {
		uint64_t counter;

		node_send(a, 60);
		rig_run(rig, 0);
		/* Counters that nobody uses, to move the window along. */
		assert_non_null(wg_sending_keypair(a->peer, 3, rig->now.boot, &counter));
	}
	node_send(a, 60);
	rig_run(rig, MS(20));
	assert_true(peer_counted(b, WG_COUNT_packet_lost) >= 10);
	assert_int_equal(peer_counted(b, WG_COUNT_packet_lost), node_look(b).keypairs[WG_CURRENT].lost);
}

static void padding_stays_within_the_mtu(void **state)
{
	static const struct {
		unsigned mtu;
		size_t len, padded;
	} table[] = {
		{1420, 0, 0},	    {1420, 1, 16},	{1420, 16, 16},	       {1420, 17, 32},
		{1420, 1407, 1408}, {1420, 1408, 1408}, {1420, 1409, 1420},    {1420, 1420, 1420},
		{1420, 1421, 1436}, {1420, 2840, 2840}, {1420, 3000, 3000},    {1420, 2843, 2856},
		{1420, 2829, 2840}, {0, 1409, 1424},	{65000, 64999, 65000}, {1280, 1275, 1280},
		{100, 95, 96},	    {100, 97, 100},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		wg_set_mtu(a->d, table[i].mtu);
		assert_int_equal(wg_sealed_len(a->d, table[i].len), DATA_OVERHEAD + table[i].padded);
	}
}

/* RFC 6040 figure 4: rows are inner, columns outer, both Not-ECT, ECT(1), ECT(0), CE; 9 is a drop. */
static void ecn_follows_rfc_6040(void **state)
{
	static const uint8_t table[4][4] = {{0, 0, 0, 9}, {1, 1, 1, 3}, {2, 1, 2, 3}, {3, 3, 3, 3}};
	uint16_t sum = 0;

	(void)state;
	for (uint8_t inner = 0; inner < 4; inner++) {
		for (uint8_t outer = 0; outer < 4; outer++) {
			unsigned before = b->accepted;

			b->outer_ecn = outer;
			node_send_from(a, 60, 1, 0xb8 | inner);
			rig_run(rig, MS(20));
			if (table[inner][outer] == 9) {
				assert_int_equal(b->accepted, before);
				continue;
			}
			assert_int_equal(b->accepted, before + 1);
			assert_int_equal(b->last_inner[1], 0xb8 | table[inner][outer]);
			/* The sender left the checksum zero: what it became is the same change. */
			sum = (uint16_t)(b->last_inner[10] << 8 | b->last_inner[11]);
			if (table[inner][outer] == inner)
				assert_int_equal(sum, 0);
			else
				assert_int_equal((uint16_t)(sum + table[inner][outer] - inner) % 0xffff, 0);
		}
	}
	assert_int_equal(peer_counted(b, WG_COUNT_reject_ecn), 1);
}

/* ---- handshakes ---- */

static void repeated_initiation_is_refused(void **state)
{
	struct kept k;

	(void)state;
	node_point(b, NULL);
	keep_messages(&k, MESSAGE_INITIATION, false);
	rig_up(rig);
	rig_run(rig, SECONDS(1));
	give(b, &k, 0);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_replayed_timestamp), 1);
	assert_int_equal(b->last[WG_EVENT_REJECTED].a, WG_COUNT_reject_replayed_timestamp);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 1);
}

static void refused_handshakes_are_told_now_and_then(void **state)
{
	struct kept k;

	(void)state;
	keep_messages(&k, MESSAGE_INITIATION, true);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(1));
	k.data[20] ^= 1;
	for (unsigned i = 0; i < 300; i++)
		give(b, &k, 0);
	assert_int_equal(node_count(b, WG_COUNT_reject_mac1), 300);
	assert_int_equal(b->events[WG_EVENT_REJECTED], 1);
	rig_run(rig, SECONDS(61));
	assert_int_equal(b->events[WG_EVENT_REJECTED], 2);
	assert_int_equal(b->last[WG_EVENT_REJECTED].b, 299);
}

static void an_initiation_teaches_the_endpoint(void **state)
{
	struct endpoint e;
	struct kept k;

	(void)state;
	node_point(b, NULL);
	keep_messages(&k, MESSAGE_RESPONSE, true);
	rig_up(rig);
	rig_run(rig, SECONDS(1));
	assert_int_equal(k.seen, 1);
	e = wg_peer_endpoint(b->peer);
	assert_true(address_equal(&e.remote, &a->address));
	/* An answer keeps us from calling for a while, as an initiation would. */
	node_send(b, 60);
	rig_run(rig, SECONDS(3));
	assert_int_equal(b->initiation_count, 0);
	rig->filter = NULL;
	rig_run(rig, SECONDS(3));
	assert_int_equal(a->accepted, 1);
}

/* What a peer got before it was removed still counts when it comes again. */
static void timestamps_outlive_the_peer(void **state)
{
	uint8_t inner[4] = {10, 0, 0, 2};

	(void)state;
	rig->now.wall -= SECONDS(86400);
	wg_remove_peer(a->peer);
	a->peer = wg_add_peer(a->d, &b->public_key);
	wg_allow(a->peer, AF_INET, inner, 32, NULL);
	node_point(a, &b->address);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(100));
	assert_int_equal(peer_counted(a, WG_COUNT_handshake_done), 1);
}

static void a_flood_of_initiations_is_refused(void **state)
{
	struct kept k;

	(void)state;
	keep_messages(&k, MESSAGE_INITIATION, true);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(1));
	give(b, &k, 0);
	rig_run(rig, MS(18));
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, 0);
	give(b, &k, 0);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_flood), 1);
	rig_run(rig, MS(21));
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, 0);
	give(b, &k, 0);
	assert_int_equal(peer_counted(b, WG_COUNT_reject_flood), 1);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 3);
}

static void strangers_are_refused(void **state)
{
	struct kept k;

	(void)state;
	wg_remove_peer(b->peer);
	b->peer = NULL;
	keep_messages(&k, MESSAGE_INITIATION, true);
	rig_up(rig);
	rig_run(rig, SECONDS(1));
	give(b, &k, 0);
	assert_int_equal(node_count(b, WG_COUNT_reject_unknown_peer), 1);
	assert_int_equal(b->last[WG_EVENT_REJECTED].a, WG_COUNT_reject_unknown_peer);
	k.data[20] ^= 1;
	give(b, &k, 0);
	assert_int_equal(node_count(b, WG_COUNT_reject_mac1), 1);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 0);
}

static void unexpected_responses_are_refused(void **state)
{
	struct kept k;

	(void)state;
	keep_messages(&k, MESSAGE_RESPONSE, false);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, SECONDS(1));
	assert_int_equal(k.seen, 1);
	give(a, &k, 0);
	assert_int_equal(node_count(a, WG_COUNT_reject_unexpected_response), 1);
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
}

/* Under load b answers with a cookie, a's next try carries it, and a stolen cookie is worth nothing
 * elsewhere. */
static void cookies_work_end_to_end(void **state)
{
	struct endpoint elsewhere =
		from_address(&(union address){.in = {.sin_family = AF_INET, .sin_port = 9}});
	struct kept k;

	(void)state;
	keep_messages(&k, MESSAGE_INITIATION, true);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(10));
	assert_false(wg_under_load(b->d, rig->now.boot));
	give(b, &k, 200);
	assert_true(wg_under_load(b->d, rig->now.boot));
	assert_int_equal(node_count(b, WG_COUNT_cookie_sent), 1);
	assert_int_equal(node_count(b, WG_COUNT_reject_mac2), 1);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 1);
	rig_run(rig, MS(20));
	assert_int_equal(node_count(a, WG_COUNT_cookie_received), 1);
	assert_int_equal(a->initiation_count, 2);
	rig_run(rig, SECONDS(5) + MS(400));
	assert_int_equal(a->initiation_count, 3);
	assert_false(wg_under_load(b->d, rig->now.boot));
	wg_receive_handshake(b->d, k.data, k.len, &elsewhere, 200, rig->now);
	assert_int_equal(node_count(b, WG_COUNT_cookie_sent), 2);
	give(b, &k, 200);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), 2);
	rig_run(rig, MS(50));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
	assert_int_equal(peer_counted(a, WG_COUNT_roamed), 0);
}

static void sources_have_a_rate_under_load(void **state)
{
	struct kept k;
	unsigned tries = 0;

	(void)state;
	keep_messages(&k, MESSAGE_INITIATION, true);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(10));
	give(b, &k, 200); /* fetches the cookie */
	rig_run(rig, MS(20));
	while (tries++ < 10) {
		wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
		rig_run(rig, 0);
		give(b, &k, 200);
	}
	assert_true(node_count(b, WG_COUNT_reject_rate) >= 4);
	rig_run(rig, SECONDS(3));
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, 0);
	tries = (unsigned)node_count(b, WG_COUNT_response_sent);
	give(b, &k, 200);
	assert_int_equal(node_count(b, WG_COUNT_response_sent), tries + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(roaming_follows_authentic_packets),
		CONNECTED(wrong_inner_source_is_dropped_but_roams),
		CONNECTED(refusals_are_told_now_and_then),
		CONNECTED(replays_and_forgeries_are_dropped),
		CONNECTED(malformed_datagrams_are_counted),
		CONNECTED(gaps_are_counted_as_lost),
		UNCONNECTED(padding_stays_within_the_mtu),
		CONNECTED(ecn_follows_rfc_6040),
		UNCONNECTED(repeated_initiation_is_refused),
		CONNECTED(refused_handshakes_are_told_now_and_then),
		UNCONNECTED(an_initiation_teaches_the_endpoint),
		CONNECTED(timestamps_outlive_the_peer),
		CONNECTED(a_flood_of_initiations_is_refused),
		UNCONNECTED(strangers_are_refused),
		CONNECTED(unexpected_responses_are_refused),
		CONNECTED(cookies_work_end_to_end),
		CONNECTED(sources_have_a_rate_under_load),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
