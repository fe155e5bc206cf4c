/*
 * The handshake: fixed transcripts computed elsewhere (vectors/noise.py), both roles against each other, and
 * for every way to fail the reason that is given, and that nothing changed.
 */
#include "test.h"

#include <stdbool.h>
#include <string.h>

#include "seeded.h"
#include "vectors/noise_vectors.h"
#include "wg/cookie.h"
#include "wg/noise.h"

#define T0   (1000 * NS_PER_SEC)    /* boot time of all tests */
#define WALL 1700000000000000000ull /* wall time */

/* ---- ephemerals of our choice, else real ones (linked with --wrap=dh_keypair) ---- */

static const uint8_t *next_ephemeral;

void __real_dh_keypair(struct key *secret, struct key *public);
void __wrap_dh_keypair(struct key *secret, struct key *public);

void __wrap_dh_keypair(struct key *secret, struct key *public)
{
	if (!next_ephemeral) {
		__real_dh_keypair(secret, public);
		return;
	}
	memcpy(secret->bytes, next_ephemeral, KEY_LEN);
	dh_public(public, secret);
	next_ephemeral = NULL;
}

/* ---- two ends ---- */

struct end {
	struct noise_identity id;
	struct handshake h;
};

struct pair {
	struct end a, b; /* a initiates */
	struct message_initiation initiation;
	struct message_response response;
	uint8_t stamp[TAI64N_LEN];
};

static void identity(struct noise_identity *id)
{
	struct key secret, public;

	__real_dh_keypair(&secret, &public);
	noise_set_identity(id, &secret);
	assert_true(id->present);
	assert_memory_equal(&id->public_key, &public, KEY_LEN);
}

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));

	identity(&p->a.id);
	identity(&p->b.id);
	noise_init(&p->a.h, &p->a.id, &p->b.id.public_key);
	noise_init(&p->b.h, &p->b.id, &p->a.id.public_key);
	tai64n_encode(p->stamp, WALL);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void set_psk(struct pair *p)
{
	crypto_random(&p->a.h.psk, sizeof(p->a.h.psk));
	p->b.h.psk = p->a.h.psk;
}

static void initiate(struct pair *p, uint32_t index)
{
	assert_int_equal(noise_create_initiation(&p->a.h, &p->a.id, &p->initiation, index, p->stamp),
			 NOISE_OK);
}

/* b's verdict about what is in p->initiation, both steps. */
static enum noise_result receive(struct pair *p, uint64_t now)
{
	struct noise_incoming in;
	enum noise_result result = noise_open_static(&in, &p->b.id, &p->initiation);

	if (result == NOISE_OK)
		result = noise_consume_initiation(&p->b.h, &in, &p->initiation, now);
	noise_incoming_wipe(&in);
	return result;
}

static void respond(struct pair *p, uint32_t index)
{
	assert_int_equal(receive(p, T0), NOISE_OK);
	assert_int_equal(noise_create_response(&p->b.h, &p->response, index), NOISE_OK);
}

static enum noise_result finish(struct pair *p)
{
	return noise_consume_response(&p->a.h, &p->a.id, &p->response);
}

static void assert_sessions_match(struct pair *p, struct noise_session *first, struct noise_session *second)
{
	assert_true(noise_begin_session(&p->a.h, first));
	assert_true(noise_begin_session(&p->b.h, second));
	assert_true(first->initiator);
	assert_false(second->initiator);
	assert_memory_equal(&first->send, &second->receive, KEY_LEN);
	assert_memory_equal(&first->receive, &second->send, KEY_LEN);
	assert_memory_not_equal(&first->send, &first->receive, KEY_LEN);
	assert_int_equal(first->local_index, second->remote_index);
	assert_int_equal(first->remote_index, second->local_index);
}

/* ---- tests ---- */

static void test_vectors(void **state)
{
	struct pair *p = *state;

	for (size_t i = 0; i < sizeof(noise_vectors) / sizeof(noise_vectors[0]); i++) {
		const struct noise_vector *v = &noise_vectors[i];
		struct noise_session first, second;
		struct noise_incoming in;
		struct cookie_maker maker;
		struct key secret;

		memcpy(&secret, v->initiator, KEY_LEN);
		noise_set_identity(&p->a.id, &secret);
		memcpy(&secret, v->responder, KEY_LEN);
		noise_set_identity(&p->b.id, &secret);
		noise_init(&p->a.h, &p->a.id, &p->b.id.public_key);
		noise_init(&p->b.h, &p->b.id, &p->a.id.public_key);
		memcpy(&p->a.h.psk, v->psk, KEY_LEN);
		memcpy(&p->b.h.psk, v->psk, KEY_LEN);
		tai64n_encode(p->stamp, v->wall_ns);
		assert_memory_equal(p->stamp, v->timestamp, TAI64N_LEN);

		next_ephemeral = v->initiator_ephemeral;
		initiate(p, v->initiator_index);
		cookie_maker_init(&maker, &p->b.id.public_key);
		cookie_add_macs(&maker, &p->initiation, sizeof(p->initiation), T0);
		assert_memory_equal(&p->initiation, v->initiation, sizeof(p->initiation));

		assert_int_equal(noise_open_static(&in, &p->b.id, &p->initiation), NOISE_OK);
		assert_memory_equal(&in.remote_static, &p->a.id.public_key, KEY_LEN);
		assert_int_equal(noise_consume_initiation(&p->b.h, &in, &p->initiation, T0), NOISE_OK);
		assert_memory_equal(in.timestamp, v->timestamp, TAI64N_LEN);
		assert_memory_equal(p->b.h.latest_timestamp, v->timestamp, TAI64N_LEN);
		assert_int_equal(p->b.h.remote_index, v->initiator_index);

		next_ephemeral = v->responder_ephemeral;
		assert_int_equal(noise_create_response(&p->b.h, &p->response, v->responder_index), NOISE_OK);
		cookie_maker_init(&maker, &p->a.id.public_key);
		cookie_add_macs(&maker, &p->response, sizeof(p->response), T0);
		assert_memory_equal(&p->response, v->response, sizeof(p->response));

		assert_int_equal(finish(p), NOISE_OK);
		assert_sessions_match(p, &first, &second);
		assert_memory_equal(&first.send, v->key_to_responder, KEY_LEN);
		assert_memory_equal(&first.receive, v->key_to_initiator, KEY_LEN);
	}
}

static void test_handshake_both_ways(void **state)
{
	struct pair *p = *state;
	struct noise_session first, second;
	struct end swap;

	for (unsigned round = 0; round < 4; round++) {
		if (round == 2)
			set_psk(p);
		tai64n_encode(p->stamp, WALL + round);
		p->b.h.last_initiation = 0; /* no flood */
		initiate(p, 0x11111111 + round);
		assert_int_equal(p->a.h.state, HANDSHAKE_CREATED_INITIATION);
		respond(p, 0x22222222 + round);
		assert_int_equal(p->b.h.state, HANDSHAKE_CREATED_RESPONSE);
		assert_int_equal(finish(p), NOISE_OK);
		assert_int_equal(p->a.h.state, HANDSHAKE_CONSUMED_RESPONSE);
		assert_sessions_match(p, &first, &second);
		assert_int_equal(first.local_index, 0x11111111 + round);
		assert_int_equal(first.remote_index, 0x22222222 + round);

		/* Nothing of it stays, and it is good for one session only. */
		assert_int_equal(p->a.h.state, HANDSHAKE_ZEROED);
		assert_true(key_is_zero(&p->a.h.ephemeral_private) && key_is_zero(&p->b.h.ephemeral_private));
		assert_true(key_is_zero((struct key *)p->a.h.chaining_key));
		assert_true(key_is_zero((struct key *)p->b.h.chaining_key));
		assert_false(noise_begin_session(&p->a.h, &first));
		assert_int_equal(finish(p), NOISE_WRONG_STATE);
		swap = p->a;
		p->a = p->b;
		p->b = swap;
	}
}

static void test_each_handshake_has_its_own_keys(void **state)
{
	struct pair *p = *state;
	struct noise_session first[2], second;

	for (unsigned i = 0; i < 2; i++) {
		tai64n_encode(p->stamp, WALL + i);
		p->b.h.last_initiation = 0;
		initiate(p, 1);
		respond(p, 2);
		assert_int_equal(finish(p), NOISE_OK);
		assert_sessions_match(p, &first[i], &second);
	}
	assert_memory_not_equal(&first[0].send, &first[1].send, KEY_LEN);
}

static void test_tampered_initiation(void **state)
{
	struct pair *p = *state;
	struct handshake before;
	const size_t first = offsetof(struct message_initiation, ephemeral);
	const size_t stamp = offsetof(struct message_initiation, timestamp_sealed);
	uint8_t *bytes = (uint8_t *)&p->initiation;

	initiate(p, 7);
	before = p->b.h;
	for (size_t i = first; i < offsetof(struct message_initiation, macs); i++) {
		uint8_t flip = (uint8_t)(1u << seeded_below(8));

		bytes[i] ^= flip;
		assert_int_equal(receive(p, T0),
				 i < stamp ? NOISE_STATIC_UNDECRYPTABLE : NOISE_TIMESTAMP_UNDECRYPTABLE);
		assert_memory_equal(&p->b.h, &before, sizeof(before));
		bytes[i] ^= flip;
	}
	assert_int_equal(receive(p, T0), NOISE_OK);
}

static void test_tampered_response(void **state)
{
	struct pair *p = *state;
	struct handshake before;
	uint8_t *bytes = (uint8_t *)&p->response;

	set_psk(p);
	initiate(p, 7);
	respond(p, 8);
	before = p->a.h;
	for (size_t i = offsetof(struct message_response, receiver);
	     i < offsetof(struct message_response, macs); i++) {
		uint8_t flip = (uint8_t)(1u << seeded_below(8));

		bytes[i] ^= flip;
		assert_int_equal(finish(p), i < offsetof(struct message_response, ephemeral)
						    ? NOISE_WRONG_STATE
						    : NOISE_EMPTY_UNDECRYPTABLE);
		assert_memory_equal(&p->a.h, &before, sizeof(before));
		bytes[i] ^= flip;
	}
	assert_int_equal(finish(p), NOISE_OK);
}

static void test_other_psk(void **state)
{
	struct pair *p = *state;
	struct noise_session first, second;

	set_psk(p);
	p->a.h.psk.bytes[31] ^= 1;
	initiate(p, 7);
	respond(p, 8);
	assert_int_equal(finish(p), NOISE_EMPTY_UNDECRYPTABLE);
	assert_int_equal(p->a.h.state, HANDSHAKE_CREATED_INITIATION);
	/* Put right while it runs, the same response will do. */
	p->a.h.psk = p->b.h.psk;
	assert_int_equal(finish(p), NOISE_OK);
	assert_sessions_match(p, &first, &second);
}

static void test_other_responder_key(void **state)
{
	struct pair *p = *state;

	initiate(p, 7);
	identity(&p->b.id);
	noise_change_identity(&p->b.h, &p->b.id);
	assert_int_equal(receive(p, T0), NOISE_STATIC_UNDECRYPTABLE);
}

static void test_whom_it_is_from(void **state)
{
	struct pair *p = *state;
	struct noise_incoming in;
	struct handshake before;
	struct end stranger;

	/* A stranger: the first step tells its key, and it is nobody else's handshake. */
	identity(&stranger.id);
	noise_init(&stranger.h, &stranger.id, &p->b.id.public_key);
	assert_int_equal(noise_create_initiation(&stranger.h, &stranger.id, &p->initiation, 1, p->stamp),
			 NOISE_OK);
	assert_int_equal(noise_open_static(&in, &p->b.id, &p->initiation), NOISE_OK);
	assert_memory_equal(&in.remote_static, &stranger.id.public_key, KEY_LEN);
	before = p->b.h;
	assert_int_equal(noise_consume_initiation(&p->b.h, &in, &p->initiation, T0), NOISE_WRONG_PEER);
	assert_memory_equal(&p->b.h, &before, sizeof(before));

	/* A stranger that claims to be a: only a could have sealed the timestamp. */
	stranger.id.public_key = p->a.id.public_key;
	assert_int_equal(noise_create_initiation(&stranger.h, &stranger.id, &p->initiation, 1, p->stamp),
			 NOISE_OK);
	assert_int_equal(receive(p, T0), NOISE_TIMESTAMP_UNDECRYPTABLE);
	assert_memory_equal(&p->b.h, &before, sizeof(before));
}

static void test_timestamps(void **state)
{
	struct pair *p = *state;
	struct message_initiation first;
	struct noise_incoming in;
	struct handshake before;
	uint64_t now = T0;

	initiate(p, 1);
	first = p->initiation;
	assert_int_equal(receive(p, now), NOISE_OK);
	before = p->b.h;
	now += NS_PER_SEC;
	assert_int_equal(receive(p, now), NOISE_REPLAYED_TIMESTAMP);
	assert_memory_equal(&p->b.h, &before, sizeof(before));

	/* Their clock went back a day: the stamp is told, so the difference can be. */
	tai64n_encode(p->stamp, WALL - 86400 * NS_PER_SEC);
	initiate(p, 1);
	assert_int_equal(noise_open_static(&in, &p->b.id, &p->initiation), NOISE_OK);
	assert_int_equal(noise_consume_initiation(&p->b.h, &in, &p->initiation, now),
			 NOISE_REPLAYED_TIMESTAMP);
	assert_true(tai64n_decode(in.timestamp) == WALL - 86400 * NS_PER_SEC);

	/* One nanosecond is enough. */
	tai64n_encode(p->stamp, WALL + 1);
	initiate(p, 1);
	assert_int_equal(receive(p, now), NOISE_OK);
	p->initiation = first;
	assert_int_equal(receive(p, now + NS_PER_SEC), NOISE_REPLAYED_TIMESTAMP);
}

static void test_flood(void **state)
{
	struct pair *p = *state;
	struct handshake before;

	initiate(p, 1);
	assert_int_equal(receive(p, T0), NOISE_OK);
	before = p->b.h;
	tai64n_encode(p->stamp, WALL + NS_PER_SEC);
	initiate(p, 2);
	assert_int_equal(receive(p, T0 + INITIATION_INTERVAL - 1), NOISE_FLOOD);
	assert_memory_equal(&p->b.h, &before, sizeof(before));
	assert_int_equal(receive(p, T0 + INITIATION_INTERVAL), NOISE_OK);
	assert_int_equal(p->b.h.remote_index, 2);
}

/* RFC 7748 section 6.1: with these points every shared secret is zero. */
static void test_low_order_points(void **state)
{
	struct pair *p = *state;
	struct handshake before;
	static const uint8_t points[][KEY_LEN] = {
		{0},
		{1},
		{0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3,
		 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32,
		 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00},
	};

	for (unsigned i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
		struct handshake to_nobody;
		struct key key;

		tai64n_encode(p->stamp, WALL + i);
		p->b.h.last_initiation = 0;
		initiate(p, 7);
		respond(p, 8);
		before = p->a.h;
		memcpy(p->response.ephemeral, points[i], KEY_LEN);
		assert_int_equal(finish(p), NOISE_LOW_ORDER);
		assert_memory_equal(&p->a.h, &before, sizeof(before));
		before = p->b.h;
		memcpy(p->initiation.ephemeral, points[i], KEY_LEN);
		assert_int_equal(receive(p, T0 + NS_PER_SEC), NOISE_LOW_ORDER);
		assert_memory_equal(&p->b.h, &before, sizeof(before));

		memcpy(&key, points[i], KEY_LEN);
		noise_init(&to_nobody, &p->a.id, &key);
		assert_false(to_nobody.has_static_static);
		assert_int_equal(noise_create_initiation(&to_nobody, &p->a.id, &p->initiation, 1, p->stamp),
				 NOISE_NO_KEY);
	}
}

static void test_both_initiate(void **state)
{
	struct pair *p = *state;
	struct message_initiation from_b;
	struct message_response to_b;
	struct noise_incoming in;
	struct noise_session first, second;

	initiate(p, 1);
	assert_int_equal(noise_create_initiation(&p->b.h, &p->b.id, &from_b, 2, p->stamp), NOISE_OK);
	/* a takes b's: its own is over, and its index stays known until the response has another. */
	assert_int_equal(noise_open_static(&in, &p->a.id, &from_b), NOISE_OK);
	assert_int_equal(noise_consume_initiation(&p->a.h, &in, &from_b, T0), NOISE_OK);
	assert_int_equal(p->a.h.local_index, 1);
	assert_true(key_is_zero(&p->a.h.ephemeral_private));
	assert_int_equal(noise_create_response(&p->a.h, &to_b, 3), NOISE_OK);
	assert_int_equal(p->a.h.local_index, 3);
	assert_int_equal(noise_consume_response(&p->b.h, &p->b.id, &to_b), NOISE_OK);
	assert_true(noise_begin_session(&p->b.h, &first));
	assert_true(noise_begin_session(&p->a.h, &second));
	assert_true(first.initiator && !second.initiator);
	assert_memory_equal(&first.send, &second.receive, KEY_LEN);
	assert_memory_equal(&first.receive, &second.send, KEY_LEN);
}

static void test_newer_initiation_replaces(void **state)
{
	struct pair *p = *state;
	struct message_response old;

	initiate(p, 1);
	respond(p, 8);
	old = p->response;
	tai64n_encode(p->stamp, WALL + 1);
	initiate(p, 2);
	assert_int_equal(finish(p), NOISE_WRONG_STATE); /* answers index 1 */
	p->b.h.last_initiation = 0;
	respond(p, 9);
	assert_int_equal(finish(p), NOISE_OK);
	p->response = old;
	assert_int_equal(finish(p), NOISE_WRONG_STATE);
}

static void test_wrong_states(void **state)
{
	struct pair *p = *state;
	struct noise_session session;

	assert_int_equal(noise_create_response(&p->b.h, &p->response, 1), NOISE_WRONG_STATE);
	assert_false(noise_begin_session(&p->b.h, &session));
	initiate(p, 1);
	assert_int_equal(noise_create_response(&p->a.h, &p->response, 1), NOISE_WRONG_STATE);
	assert_false(noise_begin_session(&p->a.h, &session));
	assert_int_equal(receive(p, T0), NOISE_OK);
	assert_false(noise_begin_session(&p->b.h, &session));
	assert_int_equal(noise_create_response(&p->b.h, &p->response, 1), NOISE_OK);
	assert_int_equal(noise_create_response(&p->b.h, &p->response, 1), NOISE_WRONG_STATE);
	noise_clear(&p->a.h);
	assert_int_equal(finish(p), NOISE_WRONG_STATE);
}

static void test_without_identity(void **state)
{
	struct pair *p = *state;
	const struct key zero = {{0}};
	struct noise_identity nobody;
	struct handshake h;

	initiate(p, 1);
	respond(p, 2);
	noise_set_identity(&nobody, &zero);
	assert_false(nobody.present);
	noise_set_identity(&nobody, NULL);
	assert_false(nobody.present);
	noise_init(&h, &nobody, &p->b.id.public_key);
	assert_int_equal(noise_create_initiation(&h, &nobody, &p->initiation, 1, p->stamp), NOISE_NO_KEY);
	assert_int_equal(noise_consume_response(&p->a.h, &nobody, &p->response), NOISE_NO_KEY);
	p->b.id = nobody;
	assert_int_equal(receive(p, T0), NOISE_NO_KEY);
}

/* A changed identity ends the handshake, and keeps what belongs to the peer. */
static void test_identity_change(void **state)
{
	struct pair *p = *state;
	struct key psk;

	set_psk(p);
	psk = p->b.h.psk;
	initiate(p, 1);
	respond(p, 2);
	identity(&p->b.id);
	noise_change_identity(&p->b.h, &p->b.id);
	assert_int_equal(p->b.h.state, HANDSHAKE_ZEROED);
	assert_memory_equal(&p->b.h.psk, &psk, KEY_LEN);
	assert_memory_equal(p->b.h.latest_timestamp, p->stamp, TAI64N_LEN);
	noise_init(&p->a.h, &p->a.id, &p->b.id.public_key);
	p->a.h.psk = psk;
	tai64n_encode(p->stamp, WALL + 1);
	p->b.h.last_initiation = 0;
	initiate(p, 3);
	respond(p, 4);
	assert_int_equal(finish(p), NOISE_OK);
}

/* As wg(8) shows it: a private key is kept in its clamped form. */
static void test_identity_is_clamped(void **state)
{
	struct noise_identity id;
	struct key secret, public;

	(void)state;
	memset(&secret, 0xff, sizeof(secret));
	noise_set_identity(&id, &secret);
	assert_int_equal(id.private_key.bytes[0], 0xf8);
	assert_int_equal(id.private_key.bytes[31], 0x7f);
	dh_public(&public, &secret);
	assert_memory_equal(&id.public_key, &public, KEY_LEN);
}

static void test_tai64n(void **state)
{
	static const uint64_t times[] = {0, 1, 999999999, 1000000000, 1700000000123456789ull, UINT64_MAX / 2};
	static const uint8_t at_1970[TAI64N_LEN] = {0x40, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 0};
	uint8_t stamp[TAI64N_LEN], last[TAI64N_LEN] = {0};

	(void)state;
	for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		tai64n_encode(stamp, times[i]);
		assert_true(tai64n_decode(stamp) == times[i]);
		assert_true(tai64n_compare(stamp, last) > 0);
		assert_true(tai64n_compare(last, stamp) < 0);
		assert_int_equal(tai64n_compare(stamp, stamp), 0);
		memcpy(last, stamp, sizeof(last));
	}
	tai64n_encode(stamp, 0);
	assert_memory_equal(stamp, at_1970, sizeof(stamp));
	memset(stamp, 0, sizeof(stamp));
	assert_true(tai64n_decode(stamp) == 0);
	memset(stamp, 0xff, sizeof(stamp));
	assert_true(tai64n_decode(stamp) == UINT64_MAX);
}

static int group_setup(void **state)
{
	(void)state;
	seeded_start("noise");
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handshake_both_ways, setup, teardown),
		cmocka_unit_test_setup_teardown(test_each_handshake_has_its_own_keys, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tampered_initiation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tampered_response, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_psk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_responder_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whom_it_is_from, setup, teardown),
		cmocka_unit_test_setup_teardown(test_timestamps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_low_order_points, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both_initiate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer_initiation_replaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wrong_states, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_identity, setup, teardown),
		cmocka_unit_test_setup_teardown(test_identity_change, setup, teardown),
		cmocka_unit_test(test_identity_is_clamped),
		cmocka_unit_test(test_tai64n),
	};

	return cmocka_run_group_tests_name("noise", tests, group_setup, NULL);
}
