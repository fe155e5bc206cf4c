/* Time: handshakes, retries, rekeying, keepalives, expiry (paper 6; the kernel's timers.c). */
#include "tests/unit/wg_pair.h"

#include <errno.h>
#include <string.h>

#include "crypto/primitives.h"

static bool lose_all(struct rig *r, struct node *from, uint8_t *data, size_t len)
{
	(void)r;
	(void)from;
	(void)data;
	(void)len;
	return false;
}

static bool lose_from_b(struct rig *r, struct node *from, uint8_t *data, size_t len)
{
	(void)data;
	(void)len;
	return from != &r->n[1];
}

static bool lose_initiations(struct rig *r, struct node *from, uint8_t *data, size_t len)
{
	(void)r;
	(void)from;
	(void)len;
	return message_type_of(data) != MESSAGE_INITIATION;
}

static void data_crosses_both_ways(void **state)
{
	unsigned id;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		id = node_send(a, 24 + i * 13);
		rig_run(rig, MS(20));
		assert_int_equal(b->came[id], 1);
		assert_int_equal(b->last_len, 24 + i * 13);
		id = node_send(b, 24 + i * 13);
		rig_run(rig, MS(20));
		assert_int_equal(a->came[id], 1);
	}
	assert_int_equal(node_count(a, WG_COUNT_initiation_sent), 1);
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 1);
	assert_int_equal(node_count(b, WG_COUNT_handshake_done), 1);
	assert_int_equal(peer_counted(a, WG_COUNT_data_sent), 100);
	assert_int_equal(peer_counted(a, WG_COUNT_data_received), 100);
}

static void psk_must_agree(void **state)
{
	struct key psk;

	(void)state;
	crypto_random(&psk, sizeof(psk));
	wg_peer_set_psk(a->peer, &psk);
	assert_true(wg_peer_has_psk(a->peer));
	node_point(b, NULL);
	rig_up(rig);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 0);
	assert_int_equal(peer_counted(a, WG_COUNT_reject_response), 1);
	assert_int_equal(a->events[WG_EVENT_REJECTED], 1);
	assert_int_equal(a->last[WG_EVENT_REJECTED].a, WG_COUNT_reject_response);
	/* Set in place on the other side: the next try works. */
	wg_peer_set_psk(b->peer, &psk);
	rig_run(rig, SECONDS(7));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 1);
	assert_int_equal(node_count(b, WG_COUNT_handshake_done), 1);
	/* A session does not end with a change of the key. */
	wg_peer_set_psk(a->peer, NULL);
	assert_false(wg_peer_has_psk(a->peer));
	node_send(a, 100);
	rig_run(rig, MS(50));
	assert_int_equal(b->accepted, 1);
}

/* Both call at the same moment: neither waits for a retry. */
static void crossed_initiations_both_succeed(void **state)
{
	(void)state;
	wg_up(a->d, rig->now);
	wg_up(b->d, rig->now);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	wg_peer_handshake(b->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(30));
	assert_int_equal(node_count(a, WG_COUNT_response_received), 1);
	assert_int_equal(node_count(b, WG_COUNT_response_received), 1);
	node_send(a, 100);
	node_send(b, 100);
	rig_run(rig, MS(30));
	assert_int_equal(a->accepted, 1);
	assert_int_equal(b->accepted, 1);
	rig_run(rig, SECONDS(20));
	assert_int_equal(node_count(a, WG_COUNT_initiation_sent), 1);
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 1);
}

static void rekeys_at_120_seconds_without_loss(void **state)
{
	struct wg_keypair_view k;
	unsigned id, sent = 0;
	uint64_t born = node_look(a).keypairs[WG_CURRENT].created;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		id = node_send(a, 60);
		node_send(b, 60);
		sent++;
		rig_run(rig, MS(100));
		assert_int_equal(b->came[id], 1);
	}
	rig_run(rig, MS(100));
	assert_int_equal(a->accepted, sent);
	assert_int_equal(b->accepted, sent);
	/* 300 seconds, keys of 120 and a little. */
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 3);
	assert_int_equal(node_count(b, WG_COUNT_initiation_sent), 0);
	assert_int_equal(a->reason, WG_REASON_rekey_time);
	assert_in_range(a->initiations[1] - born, SECONDS(120), SECONDS(120) + MS(200));
	k = node_look(a).keypairs[WG_CURRENT];
	assert_true(k.used && k.initiator && k.confirmed);
	assert_int_equal(peer_counted(a, WG_COUNT_reject_unknown_index), 0);
	assert_int_equal(node_count(b, WG_COUNT_reject_unknown_index), 0);
}

/* Only the initiator of the session renews it: receiving does from 165 s on, when nothing was sent since. */
static void receiving_renews_at_165_seconds(void **state)
{
	uint64_t born = node_look(a).keypairs[WG_CURRENT].created;

	(void)state;
	/* Nothing is sent that would renew it: a has nothing to say between 120 and 165 s. */
	while (rig->now.boot < born + SECONDS(164))
		rig_run(rig, SECONDS(1));
	assert_int_equal(a->initiation_count, 1);
	rig_run(rig, SECONDS(2));
	node_send(b, 60);
	rig_run(rig, MS(100));
	assert_int_equal(a->initiation_count, 2);
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
}

static void key_expires_after_180_seconds(void **state)
{
	unsigned id;

	(void)state;
	rig_run(rig, SECONDS(181));
	assert_int_equal(a->events[WG_EVENT_KEY_EXPIRED], 1);
	assert_int_equal(a->initiation_count, 1);
	id = node_send(a, 60);
	assert_int_equal(node_look(a).staged, 1);
	rig_run(rig, MS(100));
	assert_int_equal(b->came[id], 1);
	assert_int_equal(a->initiation_count, 2);
	assert_int_equal(a->reason, WG_REASON_data);
}

static void keys_are_zeroed_after_540_seconds(void **state)
{
	(void)state;
	rig_run(rig, SECONDS(539));
	assert_true(node_look(a).keypairs[WG_CURRENT].used);
	assert_int_equal(a->events[WG_EVENT_KEYS_ZEROED], 0);
	rig_run(rig, SECONDS(2));
	assert_int_equal(a->events[WG_EVENT_KEYS_ZEROED], 1);
	assert_int_equal(b->events[WG_EVENT_KEYS_ZEROED], 1);
	for (int s = 0; s < WG_SLOTS; s++)
		assert_false(node_look(a).keypairs[s].used);
	assert_int_equal(wg_deadline(a->d), 0);
}

static void retries_every_5_seconds_and_gives_up(void **state)
{
	(void)state;
	rig->filter = lose_all;
	wg_up(a->d, rig->now);
	node_send(a, 60);
	rig_run(rig, SECONDS(60));
	assert_in_range(node_look(a).attempt, 11, 12);
	assert_int_equal(node_look(a).staged, 1);
	rig_run(rig, SECONDS(60));
	assert_int_equal(a->initiation_count, 19);
	for (unsigned i = 1; i < 19; i++)
		assert_in_range(a->initiations[i] - a->initiations[i - 1], SECONDS(5), SECONDS(5) + MS(334));
	assert_int_equal(a->events[WG_EVENT_GAVE_UP], 1);
	assert_int_equal(a->last[WG_EVENT_GAVE_UP].a, 19);
	assert_int_equal(a->last[WG_EVENT_GAVE_UP].b, 1);
	assert_int_equal(peer_counted(a, WG_COUNT_staged_dropped), 1);
	assert_int_equal(peer_counted(a, WG_COUNT_handshake_given_up), 1);
	assert_int_equal(node_look(a).attempt, 0);
	/* The next packet starts over. */
	rig_run(rig, SECONDS(10));
	node_send(a, 60);
	rig_run(rig, MS(1));
	assert_int_equal(a->initiation_count, 20);
	assert_int_equal(a->reason, WG_REASON_data);
}

/* Paper 6.4: as long as there is data to send, somebody wants the tunnel. */
static void data_keeps_the_attempt_alive(void **state)
{
	(void)state;
	rig->filter = lose_all;
	wg_up(a->d, rig->now);
	for (unsigned i = 0; i < 150; i++) {
		node_send(a, 60);
		rig_run(rig, SECONDS(1));
	}
	assert_int_equal(a->events[WG_EVENT_GAVE_UP], 0);
	assert_in_range(a->initiation_count, 28, 31);
	assert_int_equal(node_look(a).staged, STAGED_MAX);
	rig_run(rig, SECONDS(120));
	assert_int_equal(a->events[WG_EVENT_GAVE_UP], 1);
}

static void never_two_initiations_within_5_seconds(void **state)
{
	(void)state;
	rig->filter = lose_all;
	wg_up(a->d, rig->now);
	for (unsigned i = 0; i < 400; i++) {
		node_send(a, 60);
		wg_peer_handshake(a->peer, rig->now, WG_REASON_user, false);
		rig_run(rig, MS(50));
	}
	assert_in_range(a->initiation_count, 4, 4);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(1));
	assert_int_equal(a->initiation_count, 5);
}

static void silence_starts_a_handshake_after_15_seconds(void **state)
{
	struct endpoint e = wg_peer_endpoint(a->peer);
	uint64_t sent;

	(void)state;
	e.local.in.s_addr = htonl(0xc0000209);
	wg_peer_set_endpoint(a->peer, &e);
	rig->filter = lose_from_b;
	sent = rig->now.boot;
	node_send(a, 60);
	rig_run(rig, SECONDS(5));
	node_send(a, 60); /* does not put it off */
	assert_int_equal(node_look(a).unanswered_since, sent);
	rig_run(rig, SECONDS(9));
	assert_int_equal(a->initiation_count, 1);
	e = wg_peer_endpoint(a->peer);
	assert_int_not_equal(e.local.in.s_addr, 0);
	rig_run(rig, SECONDS(2));
	assert_int_equal(a->initiation_count, 2);
	assert_int_equal(a->reason, WG_REASON_silence);
	assert_in_range(a->initiations[1] - sent, SECONDS(15), SECONDS(15) + MS(334));
	assert_int_equal(a->events[WG_EVENT_SILENCE], 1);
	assert_int_equal(a->last[WG_EVENT_SILENCE].ns / NS_PER_SEC, 15);
	e = wg_peer_endpoint(a->peer);
	assert_int_equal(e.local.in.s_addr, 0);
	/* It is still known since when. */
	assert_int_equal(node_look(a).unanswered_since, sent);
}

/* A keepalive answers data that is not answered otherwise, once; keepalives themselves are not answered. */
static void passive_keepalive_after_10_seconds(void **state)
{
	uint64_t received;

	(void)state;
	node_send(a, 60);
	rig_run(rig, MS(10));
	received = rig->now.boot;
	assert_int_equal(b->accepted, 1);
	rig_run(rig, SECONDS(9));
	assert_int_equal(node_count(b, WG_COUNT_keepalive_sent), 0);
	rig_run(rig, SECONDS(2));
	assert_int_equal(node_count(b, WG_COUNT_keepalive_sent), 1);
	assert_int_equal(b->keepalive_at, received + SECONDS(10));
	assert_int_equal(node_count(a, WG_COUNT_keepalive_received), 1);
	rig_run(rig, SECONDS(60));
	assert_int_equal(node_count(b, WG_COUNT_keepalive_sent), 1);
	/* a's only one confirmed the session. */
	assert_int_equal(node_count(a, WG_COUNT_keepalive_sent), 1);
	assert_int_equal(a->initiation_count, 1);
	assert_int_equal(node_look(a).unanswered_since, 0);
}

static void an_answer_makes_the_keepalive_unnecessary(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 60; i++) {
		node_send(a, 60);
		rig_run(rig, SECONDS(1));
		node_send(b, 60);
		rig_run(rig, SECONDS(1));
	}
	assert_int_equal(node_count(b, WG_COUNT_keepalive_sent), 0);
	assert_int_equal(node_count(a, WG_COUNT_keepalive_sent), 1);
	assert_int_equal(a->events[WG_EVENT_SILENCE], 0);
}

static void persistent_keepalive_is_punctual(void **state)
{
	uint64_t before;

	(void)state;
	rig_run(rig, SECONDS(3));
	before = rig->now.boot;
	wg_peer_set_keepalive(a->peer, 25, rig->now);
	assert_int_equal(a->keepalive_at, before); /* at once */
	for (unsigned i = 1; i <= 3; i++) {
		rig_run(rig, SECONDS(25));
		assert_int_equal(a->keepalive_at, before + i * SECONDS(25));
	}
	/* Traffic puts it off, */
	rig_run(rig, SECONDS(10));
	before = a->keepalive_at;
	node_send(a, 60);
	rig_run(rig, SECONDS(24));
	assert_int_equal(a->keepalive_at, before);
	/* and it keeps the session alive for ever, also when the initiation needs tries. */
	rig_run(rig, SECONDS(600));
	assert_in_range(node_count(a, WG_COUNT_handshake_done), 4, 6);
	wg_peer_set_keepalive(a->peer, 0, rig->now);
	before = a->keepalive_at;
	rig_run(rig, SECONDS(100));
	assert_int_equal(a->keepalive_at, before);
}

static void persistent_keepalive_starts_handshakes(void **state)
{
	(void)state;
	node_point(b, NULL);
	wg_up(b->d, rig->now);
	wg_up(a->d, rig->now);
	rig->filter = lose_all;
	wg_peer_set_keepalive(a->peer, 25, rig->now);
	rig_run(rig, SECONDS(400));
	/* It gives up, but a persistent keepalive does not. */
	assert_true(a->events[WG_EVENT_GAVE_UP] >= 2);
	rig->filter = NULL;
	rig_run(rig, SECONDS(26));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 1);
}

static void staged_packets_keep_their_order(void **state)
{
	(void)state;
	node_point(b, NULL);
	wg_up(b->d, rig->now);
	wg_up(a->d, rig->now);
	rig->filter = lose_initiations;
	for (unsigned i = 0; i < STAGED_MAX + 40; i++)
		node_send(a, 60);
	assert_int_equal(node_look(a).staged, STAGED_MAX);
	assert_int_equal(peer_counted(a, WG_COUNT_staged_dropped), 40);
	rig_run(rig, SECONDS(1));
	rig->filter = NULL;
	rig_run(rig, SECONDS(7));
	assert_int_equal(b->accepted, STAGED_MAX);
	for (unsigned i = 0; i < STAGED_MAX; i++)
		assert_int_equal(b->order[i], 40 + i);
	/* They confirmed the session: no keepalive was needed. */
	assert_int_equal(node_count(a, WG_COUNT_keepalive_sent), 0);
	assert_int_equal(node_look(a).staged, 0);
}

/* The responder may not send under the new key before it was used: what it has waits for that. */
static void responder_waits_for_confirmation(void **state)
{
	struct wg_peer_view v;

	(void)state;
	node_point(b, NULL);
	wg_up(b->d, rig->now);
	node_send(b, 60);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_look(b).staged, 1);
	wg_up(a->d, rig->now);
	wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true);
	rig_run(rig, MS(15));
	v = node_look(b);
	assert_true(v.keypairs[WG_NEXT].used);
	assert_false(v.keypairs[WG_NEXT].confirmed);
	assert_false(v.keypairs[WG_CURRENT].used);
	assert_int_equal(v.staged, 1);
	rig_run(rig, MS(30));
	assert_int_equal(b->events[WG_EVENT_KEY_CONFIRMED], 1);
	assert_int_equal(a->accepted, 1);
}

static void packets_without_any_endpoint_do_not_wait_for_ever(void **state)
{
	(void)state;
	node_point(a, NULL);
	wg_up(a->d, rig->now);
	node_send(a, 60);
	rig_run(rig, SECONDS(80));
	assert_int_equal(node_look(a).staged, 1);
	rig_run(rig, SECONDS(11));
	assert_int_equal(node_look(a).staged, 0);
	assert_int_equal(peer_counted(a, WG_COUNT_staged_dropped), 1);
	assert_int_equal(wg_deadline(a->d), 0);
}

static void an_endpoint_that_is_set_is_tried_at_once(void **state)
{
	union address nowhere = address_of(77, 1);

	(void)state;
	node_point(b, NULL);
	node_point(a, &nowhere);
	rig_up(rig);
	node_send(a, 60);
	rig_run(rig, SECONDS(1));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 0);
	node_point(a, &b->address);
	rig_run(rig, MS(50));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 1);
	assert_int_equal(b->accepted, 1);
	assert_true(a->events[WG_EVENT_ENDPOINT_SET] >= 1);
}

static void down_forgets_and_up_starts_at_once(void **state)
{
	(void)state;
	wg_down(a->d);
	assert_false(node_look(a).keypairs[WG_CURRENT].used);
	assert_int_equal(wg_deadline(a->d), 0);
	assert_int_equal(wg_peer_handshake(a->peer, rig->now, WG_REASON_user, true), -ENETDOWN);
	wg_up(a->d, rig->now);
	rig_run(rig, MS(400));
	assert_int_equal(node_count(a, WG_COUNT_handshake_done), 2);
	assert_int_equal(a->reason, WG_REASON_device_up);
}

static void quiet_peers_have_no_timers(void **state)
{
	unsigned wakes;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		node_send(a, 60);
		node_send(b, 60);
		rig_run(rig, MS(100));
	}
	/* Traffic that flows wakes control now and then, not for each packet. */
	wakes = a->wakes;
	for (unsigned i = 0; i < 200; i++) {
		node_send(a, 60);
		node_send(b, 60);
		rig_run(rig, MS(50));
	}
	assert_in_range(a->wakes - wakes, 0, 6);
	rig_run(rig, SECONDS(600));
	assert_int_equal(wg_deadline(a->d), 0);
	assert_int_equal(wg_deadline(b->d), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONNECTED(data_crosses_both_ways),
		UNCONNECTED(psk_must_agree),
		UNCONNECTED(crossed_initiations_both_succeed),
		CONNECTED(rekeys_at_120_seconds_without_loss),
		CONNECTED(receiving_renews_at_165_seconds),
		CONNECTED(key_expires_after_180_seconds),
		CONNECTED(keys_are_zeroed_after_540_seconds),
		UNCONNECTED(retries_every_5_seconds_and_gives_up),
		UNCONNECTED(data_keeps_the_attempt_alive),
		UNCONNECTED(never_two_initiations_within_5_seconds),
		CONNECTED(silence_starts_a_handshake_after_15_seconds),
		CONNECTED(passive_keepalive_after_10_seconds),
		CONNECTED(an_answer_makes_the_keepalive_unnecessary),
		CONNECTED(persistent_keepalive_is_punctual),
		UNCONNECTED(persistent_keepalive_starts_handshakes),
		UNCONNECTED(staged_packets_keep_their_order),
		UNCONNECTED(responder_waits_for_confirmation),
		UNCONNECTED(packets_without_any_endpoint_do_not_wait_for_ever),
		UNCONNECTED(an_endpoint_that_is_set_is_tried_at_once),
		CONNECTED(down_forgets_and_up_starts_at_once),
		CONNECTED(quiet_peers_have_no_timers),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
