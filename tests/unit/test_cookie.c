/* mac1, mac2 and cookies: known answers, both ends against each other, and what binds a cookie to its source.
 */
#include "test.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "vectors/noise_vectors.h"
#include "wg/cookie.h"

#define T0 (1000 * NS_PER_SEC)

/* A message is opaque here but for its MACs. */
#define LEN sizeof(struct message_initiation)

struct fixture {
	struct cookie_checker checker; /* of the responder */
	struct cookie_maker maker;     /* of the initiator, for the responder */
	struct key responder;	       /* public */
	union address from;
	uint8_t message[LEN];
};

static union address address4(const char *text, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	assert_int_equal(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	return a;
}

static union address address6(const char *text, uint16_t port)
{
	union address a = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)}};

	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	crypto_random(&f->responder, sizeof(f->responder));
	crypto_random(f->message, sizeof(f->message));
	cookie_checker_init(&f->checker, &f->responder);
	cookie_maker_init(&f->maker, &f->responder);
	f->from = address4("192.0.2.1", 51820);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static enum cookie_verdict check(struct fixture *f, uint64_t now)
{
	return cookie_check(&f->checker, f->message, LEN, &f->from, true, now);
}

/* The round trip that a responder under load asks for. */
static void get_cookie(struct fixture *f, uint64_t now)
{
	struct message_cookie reply;

	cookie_add_macs(&f->maker, f->message, LEN, now);
	cookie_reply(&f->checker, &reply, 0x12345678, f->message, LEN, &f->from, now);
	assert_true(cookie_consume(&f->maker, &reply, now));
}

static void test_vectors(void **state)
{
	for (size_t i = 0; i < sizeof(noise_vectors) / sizeof(noise_vectors[0]); i++) {
		const struct noise_vector *v = &noise_vectors[i];
		struct message_initiation m;
		struct message_cookie reply;
		struct cookie_maker maker;
		struct key secret, public;

		(void)state;
		memcpy(&secret, v->responder, KEY_LEN);
		dh_public(&public, &secret);
		cookie_maker_init(&maker, &public);
		memcpy(&m, v->initiation, sizeof(m));
		memset(&m.macs, 0xee, sizeof(m.macs));
		cookie_add_macs(&maker, &m, sizeof(m), T0);
		assert_memory_equal(&m, v->initiation, sizeof(m));
		memcpy(&reply, v->cookie_reply, sizeof(reply));
		assert_true(cookie_consume(&maker, &reply, T0));
		assert_memory_equal(maker.cookie, v->cookie, COOKIE_LEN);
		cookie_add_macs(&maker, &m, sizeof(m), T0);
		assert_memory_equal(m.macs.mac1, v->initiation + offsetof(struct message_initiation, macs),
				    MAC_LEN);
		assert_memory_equal(m.macs.mac2, v->mac2, MAC_LEN);
	}
}

static void test_mac1(void **state)
{
	struct fixture *f = *state;
	struct key other;

	cookie_add_macs(&f->maker, f->message, LEN, T0);
	assert_int_equal(check(f, T0), COOKIE_NO_MAC2);
	for (size_t i = 0; i < LEN - MAC_LEN; i++) {
		f->message[i] ^= 0x10;
		assert_int_equal(check(f, T0), COOKIE_BAD_MAC1);
		f->message[i] ^= 0x10;
	}
	assert_int_equal(cookie_check(&f->checker, f->message, LEN - 1, &f->from, true, T0), COOKIE_BAD_MAC1);
	assert_int_equal(cookie_check(&f->checker, f->message, 31, &f->from, true, T0), COOKIE_BAD_MAC1);
	assert_int_equal(cookie_check(&f->checker, f->message, 0, &f->from, true, T0), COOKIE_BAD_MAC1);

	/* Meant for another key, then for ours again. */
	crypto_random(&other, sizeof(other));
	cookie_checker_set_key(&f->checker, &other);
	assert_int_equal(check(f, T0), COOKIE_BAD_MAC1);
	cookie_checker_set_key(&f->checker, &f->responder);
	assert_int_equal(check(f, T0), COOKIE_NO_MAC2);
}

static void test_mac2(void **state)
{
	struct fixture *f = *state;

	get_cookie(f, T0);
	assert_int_equal(check(f, T0), COOKIE_NO_MAC2); /* the message from before the cookie */
	cookie_add_macs(&f->maker, f->message, LEN, T0);
	assert_int_equal(check(f, T0), COOKIE_VALID);
	assert_int_equal(cookie_check(&f->checker, f->message, LEN, &f->from, false, T0), COOKIE_NO_MAC2);
	for (size_t i = LEN - MAC_LEN; i < LEN; i++) {
		f->message[i] ^= 1;
		assert_int_equal(check(f, T0), COOKIE_NO_MAC2);
		f->message[i] ^= 1;
	}
	assert_int_equal(check(f, T0), COOKIE_VALID);
}

static void test_bound_to_address_and_port(void **state)
{
	struct fixture *f = *state;
	union address others[] = {
		address4("192.0.2.1", 51821),	address4("192.0.2.2", 51820),	address4("192.0.2.1", 27850),
		address6("::192.0.2.1", 51820), address6("2001:db8::1", 51820),
	};

	get_cookie(f, T0);
	cookie_add_macs(&f->maker, f->message, LEN, T0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(cookie_check(&f->checker, f->message, LEN, &others[i], true, T0),
				 COOKIE_NO_MAC2);
	assert_int_equal(check(f, T0), COOKIE_VALID);

	f->from = address6("2001:db8::1", 51820);
	get_cookie(f, T0);
	cookie_add_macs(&f->maker, f->message, LEN, T0);
	assert_int_equal(check(f, T0), COOKIE_VALID);
	f->from.in6.sin6_addr.s6_addr[15] ^= 1;
	assert_int_equal(check(f, T0), COOKIE_NO_MAC2);
	f->from.in6.sin6_addr.s6_addr[15] ^= 1;
	f->from.in6.sin6_port ^= 1;
	assert_int_equal(check(f, T0), COOKIE_NO_MAC2);
}

static void test_secret_rotates(void **state)
{
	struct fixture *f = *state;
	uint8_t secret[HASH_LEN];

	get_cookie(f, T0);
	memcpy(secret, f->checker.secret, HASH_LEN);
	cookie_add_macs(&f->maker, f->message, LEN, T0);
	assert_int_equal(check(f, T0 + COOKIE_SECRET_LIFE - 1), COOKIE_VALID);
	assert_memory_equal(f->checker.secret, secret, HASH_LEN);
	assert_int_equal(check(f, T0 + COOKIE_SECRET_LIFE), COOKIE_NO_MAC2);
	assert_memory_not_equal(f->checker.secret, secret, HASH_LEN);
	/* The new one lives as long, from when it was made. */
	get_cookie(f, T0 + COOKIE_SECRET_LIFE + 1);
	cookie_add_macs(&f->maker, f->message, LEN, T0 + COOKIE_SECRET_LIFE + 1);
	assert_int_equal(check(f, T0 + 2 * COOKIE_SECRET_LIFE - 1), COOKIE_VALID);
	assert_int_equal(check(f, T0 + 2 * COOKIE_SECRET_LIFE), COOKIE_NO_MAC2);
}

/* Soon after boot too, when the time itself is less than a secret's life. */
static void test_secret_from_the_first_second(void **state)
{
	static const uint8_t zero[HASH_LEN];
	struct fixture *f = *state;

	get_cookie(f, 1);
	assert_memory_not_equal(f->checker.secret, zero, HASH_LEN);
}

/* A cookie is about the sender's address alone, so it is good with a new key of ours too. */
static void test_cookie_outlives_the_key(void **state)
{
	struct fixture *f = *state;
	struct cookie_maker maker;
	struct key other;

	get_cookie(f, T0);
	crypto_random(&other, sizeof(other));
	cookie_checker_set_key(&f->checker, &other);
	cookie_maker_init(&maker, &other);
	memcpy(maker.cookie, f->maker.cookie, COOKIE_LEN);
	maker.has_cookie = true;
	maker.cookie_born = T0;
	cookie_add_macs(&maker, f->message, LEN, T0);
	assert_int_equal(check(f, T0), COOKIE_VALID);
}

static void test_maker_lets_go_in_time(void **state)
{
	static const uint8_t zero[MAC_LEN];
	struct fixture *f = *state;
	const uint8_t *mac2 = f->message + LEN - MAC_LEN;

	cookie_add_macs(&f->maker, f->message, LEN, T0);
	assert_memory_equal(mac2, zero, MAC_LEN);
	get_cookie(f, T0);
	cookie_add_macs(&f->maker, f->message, LEN, T0 + COOKIE_SECRET_LIFE - COOKIE_LATENCY - 1);
	assert_memory_not_equal(mac2, zero, MAC_LEN);
	cookie_add_macs(&f->maker, f->message, LEN, T0 + COOKIE_SECRET_LIFE - COOKIE_LATENCY);
	assert_memory_equal(mac2, zero, MAC_LEN);
}

static void test_replies_that_are_refused(void **state)
{
	struct fixture *f = *state;
	struct message_cookie reply, tampered;
	struct cookie_maker before;

	cookie_reply(&f->checker, &reply, 0x12345678, f->message, LEN, &f->from, T0);
	assert_int_equal(reply.receiver, 0x12345678);
	assert_false(cookie_consume(&f->maker, &reply, T0)); /* nothing was sent yet */

	cookie_add_macs(&f->maker, f->message, LEN, T0);
	before = f->maker;
	assert_false(cookie_consume(&f->maker, &reply, T0)); /* answers another mac1 */
	cookie_reply(&f->checker, &reply, 1, f->message, LEN, &f->from, T0);
	for (size_t i = offsetof(struct message_cookie, nonce); i < sizeof(reply); i++) {
		tampered = reply;
		((uint8_t *)&tampered)[i] ^= 0x80;
		assert_false(cookie_consume(&f->maker, &tampered, T0));
		assert_memory_equal(&f->maker, &before, sizeof(before));
	}
	assert_true(cookie_consume(&f->maker, &reply, T0));
	assert_false(cookie_consume(&f->maker, &reply, T0)); /* once is enough */

	/* Another peer could not have made it. */
	crypto_random(&f->responder, sizeof(f->responder));
	cookie_checker_set_key(&f->checker, &f->responder);
	cookie_add_macs(&f->maker, f->message, LEN, T0);
	cookie_reply(&f->checker, &reply, 1, f->message, LEN, &f->from, T0);
	assert_false(cookie_consume(&f->maker, &reply, T0));
}

static int group_setup(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test_setup_teardown(test_mac1, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mac2, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound_to_address_and_port, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_rotates, setup, teardown),
		cmocka_unit_test_setup_teardown(test_secret_from_the_first_second, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cookie_outlives_the_key, setup, teardown),
		cmocka_unit_test_setup_teardown(test_maker_lets_go_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replies_that_are_refused, setup, teardown),
	};

	return cmocka_run_group_tests_name("cookie", tests, group_setup, NULL);
}
