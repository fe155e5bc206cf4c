/* Handshakes per source: rate, burst, what a source is, and a table that cannot grow without bound. */
#include "test.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/primitives.h"
#include "seeded.h"
#include "wg/ratelimiter.h"

#define T0   (1000 * NS_PER_SEC)
#define COST (NS_PER_SEC / RATELIMITER_PER_SECOND)

static int setup(void **state)
{
	*state = ratelimiter_new();
	return 0;
}

static int teardown(void **state)
{
	ratelimiter_free(*state);
	return 0;
}

static union address source4(uint32_t host)
{
	return (union address){
		.in = {.sin_family = AF_INET, .sin_port = htons(51820), .sin_addr = {.s_addr = htonl(host)}}};
}

static union address source6(const char *text)
{
	union address a = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(51820)}};

	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	return a;
}

static unsigned allowed(struct ratelimiter *r, const union address *from, uint64_t now, unsigned tries)
{
	unsigned n = 0;

	while (tries--)
		n += ratelimiter_allow(r, from, now);
	return n;
}

static void test_burst_then_rate(void **state)
{
	union address a = source4(0xc0000201);
	uint64_t now = T0;

	assert_int_equal(allowed(*state, &a, now, 20), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, &a, now + COST - 1, 5), 0);
	now += COST;
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(allowed(*state, &a, now, 2), 1);
		now += COST;
	}
	/* Rest brings the burst back, and no more than that. */
	now += 2 * COST;
	assert_int_equal(allowed(*state, &a, now, 20), 3);
	now += 3600 * NS_PER_SEC;
	assert_int_equal(allowed(*state, &a, now, 20), RATELIMITER_BURST);
}

static void test_one_second_of_trying(void **state)
{
	union address a = source4(0xc0000201);
	unsigned n = 0;

	for (uint64_t ms = 0; ms < 1000; ms++)
		n += ratelimiter_allow(*state, &a, T0 + ms * NS_PER_MS);
	assert_int_equal(n, RATELIMITER_BURST + RATELIMITER_PER_SECOND - 1);
}

static void test_sources_are_apart(void **state)
{
	union address a = source4(0xc0000201), b = source4(0xc0000202);

	assert_int_equal(allowed(*state, &a, T0, 20), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, &b, T0, 20), RATELIMITER_BURST);
	a.in.sin_port = htons(1);
	assert_int_equal(allowed(*state, &a, T0, 20), 0); /* another port is the same source */
}

static void test_ipv6_by_64(void **state)
{
	union address a = source6("2001:db8:0:1::1"), same = source6("2001:db8:0:1:ffff:ffff:ffff:ffff");
	union address other = source6("2001:db8:0:2::1");

	assert_int_equal(allowed(*state, &a, T0, 20), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, &same, T0, 20), 0);
	assert_int_equal(allowed(*state, &other, T0, 20), RATELIMITER_BURST);
}

static void test_mapped_ipv4_is_ipv4(void **state)
{
	union address a = source6("::ffff:192.0.2.1"), b = source6("::ffff:192.0.2.2"),
		      c = source4(0xc0000201);

	assert_int_equal(allowed(*state, &a, T0, 20), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, &b, T0, 20), RATELIMITER_BURST);
	assert_int_equal(allowed(*state, &c, T0, 20), 0);
	/* An IPv4 address is not the IPv6 prefix of the same bytes. */
	a = source6("c000:201::");
	assert_int_equal(allowed(*state, &a, T0, 20), RATELIMITER_BURST);
}

static void test_unknown_family(void **state)
{
	union address a = {.sa = {.sa_family = AF_UNSPEC}};

	assert_false(ratelimiter_allow(*state, &a, T0));
	assert_int_equal(ratelimiter_count(*state), 0);
}

static void test_full_table(void **state)
{
	struct ratelimiter *r = *state;
	union address a;

	for (uint32_t i = 0; i < RATELIMITER_SOURCES_MAX; i++) {
		a = source4(0x0a000000 + i);
		assert_true(ratelimiter_allow(r, &a, T0));
	}
	assert_int_equal(ratelimiter_count(r), RATELIMITER_SOURCES_MAX);
	a = source4(0x0b000000);
	assert_false(ratelimiter_allow(r, &a, T0)); /* new: refused */
	a = source4(0x0a000000);
	assert_true(ratelimiter_allow(r, &a, T0)); /* known: as before */
	assert_int_equal(ratelimiter_count(r), RATELIMITER_SOURCES_MAX);

	/* A bucket that has refilled makes room. */
	a = source4(0x0b000000);
	assert_true(ratelimiter_allow(r, &a, T0 + NS_PER_SEC));
	assert_true(ratelimiter_count(r) < RATELIMITER_SOURCES_MAX);
	for (unsigned i = 0; i < RATELIMITER_SOURCES_MAX; i++)
		ratelimiter_allow(r, &a, T0 + NS_PER_SEC);
	assert_int_equal(ratelimiter_count(r), 1);
}

static void test_known_sources_keep_their_share_in_a_flood(void **state)
{
	struct ratelimiter *r = *state;
	union address friend = source4(0xc0000201), a;
	uint64_t now = T0;

	assert_true(ratelimiter_allow(r, &friend, now));
	for (unsigned round = 0; round < 50; round++) {
		for (unsigned i = 0; i < 2000; i++) {
			a = source4((uint32_t)seeded_next());
			ratelimiter_allow(r, &a, now);
		}
		now += 100 * NS_PER_MS;
		assert_true(ratelimiter_allow(r, &friend, now));
		assert_true(ratelimiter_count(r) <= RATELIMITER_SOURCES_MAX);
	}
}

/* Forgetting a bucket must not show: against buckets that are never forgotten. */
static void test_against_reference(void **state)
{
	static struct {
		uint64_t used, tokens;
	} model[200];
	uint64_t now = T0;

	for (unsigned i = 0; i < 200; i++) {
		model[i].used = T0;
		model[i].tokens = RATELIMITER_BURST * COST;
	}
	for (unsigned step = 0; step < 50000; step++) {
		unsigned i = (unsigned)(seeded_below(4) ? seeded_below(5) : seeded_below(200));
		union address a = source4(0x0a000000 + i);
		bool expected;

		now += seeded_below(30 * NS_PER_MS);
		model[i].tokens += now - model[i].used;
		if (model[i].tokens > RATELIMITER_BURST * COST)
			model[i].tokens = RATELIMITER_BURST * COST;
		model[i].used = now;
		expected = model[i].tokens >= COST;
		if (expected)
			model[i].tokens -= COST;
		assert_int_equal(ratelimiter_allow(*state, &a, now), expected);
	}
}

static int group_setup(void **state)
{
	(void)state;
	seeded_start("ratelimiter");
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_burst_then_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_second_of_trying, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources_are_apart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ipv6_by_64, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mapped_ipv4_is_ipv4, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unknown_family, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_table, setup, teardown),
		cmocka_unit_test_setup_teardown(test_known_sources_keep_their_share_in_a_flood, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_against_reference, setup, teardown),
	};

	return cmocka_run_group_tests_name("ratelimiter", tests, group_setup, NULL);
}
