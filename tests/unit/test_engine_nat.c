/* What answers of STUN servers tell an engine of the NAT before it: RFC 5780 section 4.3, as far as they
 * allow. */
#include "tests/unit/test.h"

#include <string.h>

#include "engine/nat.h"

#define ASKED_MAX 4

struct sight {
	const char *to, *mapped; /* NULL: no answer */
};

static bool two_addresses;

static enum signal_nat judge(const struct sight *s, unsigned count)
{
	struct nat_question q[ASKED_MAX];

	memset(q, 0, sizeof(q));
	for (unsigned i = 0; i < count; i++) {
		assert_true(address_parse(&q[i].to, s[i].to));
		q[i].answered = s[i].mapped && address_parse(&q[i].mapped, s[i].mapped);
	}
	return nat_judge(q, count, true, false, &two_addresses);
}

#define JUDGE(...)                                                                                           \
	judge((const struct sight[]){__VA_ARGS__},                                                           \
	      sizeof((const struct sight[]){__VA_ARGS__}) / sizeof(struct sight))
#define A1    "203.0.113.5:3478"
#define A2    "203.0.113.5:3479"
#define B1    "203.0.113.6:3478"
#define SEEN  "198.51.100.1:4242"
#define SEEN2 "198.51.100.1:4243"

static void one_place_tells_nothing(void **state)
{
	(void)state;
	assert_int_equal(JUDGE({A1, SEEN}), SIGNAL_NAT_UNKNOWN);
	assert_int_equal(JUDGE({A1, SEEN}, {A2, NULL}), SIGNAL_NAT_UNKNOWN);
	/* The same place, asked twice: a mapping that was lost between the questions is no kind of NAT. */
	assert_int_equal(JUDGE({A1, SEEN}, {A1, SEEN2}), SIGNAL_NAT_UNKNOWN);
	assert_false(two_addresses);
}

static void two_ports_tell_of_ports(void **state)
{
	(void)state;
	assert_int_equal(JUDGE({A1, SEEN}, {A2, SEEN}), SIGNAL_NAT_SAME_PORTS);
	assert_int_equal(JUDGE({A1, SEEN}, {A1, SEEN}, {A2, SEEN}, {B1, NULL}), SIGNAL_NAT_SAME_PORTS);
	assert_int_equal(JUDGE({A1, SEEN}, {A2, SEEN2}), SIGNAL_NAT_VARIES);
	assert_false(two_addresses);
}

static void two_addresses_tell_all(void **state)
{
	(void)state;
	assert_int_equal(JUDGE({A1, SEEN}, {B1, SEEN}), SIGNAL_NAT_SAME);
	assert_true(two_addresses);
	assert_int_equal(JUDGE({A1, SEEN}, {A2, SEEN}, {B1, SEEN}), SIGNAL_NAT_SAME);
	assert_int_equal(JUDGE({A1, SEEN}, {A2, SEEN}, {B1, SEEN2}), SIGNAL_NAT_VARIES);
	assert_int_equal(JUDGE({A1, SEEN}, {B1, "198.51.100.2:4242"}), SIGNAL_NAT_VARIES);
	assert_true(two_addresses);
}

static void our_own_address_is_no_nat(void **state)
{
	(void)state;
	assert_int_equal(JUDGE({A1, "127.0.0.1:4242"}), SIGNAL_NAT_OPEN);
	assert_int_equal(JUDGE({A1, "127.0.0.1:4242"}, {A2, "127.0.0.1:4242"}), SIGNAL_NAT_OPEN);
}

static void no_answer_is_no_udp_if_it_went_out(void **state)
{
	struct nat_question q[1];

	(void)state;
	memset(q, 0, sizeof(q));
	assert_int_equal(JUDGE({A1, NULL}, {B1, NULL}), SIGNAL_NAT_BLOCKED);
	assert_int_equal(nat_judge(q, 1, false, false, &two_addresses), SIGNAL_NAT_UNKNOWN);
	assert_int_equal(nat_judge(q, 1, true, true, &two_addresses), SIGNAL_NAT_UNKNOWN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_place_tells_nothing),
		cmocka_unit_test(two_ports_tell_of_ports),
		cmocka_unit_test(two_addresses_tell_all),
		cmocka_unit_test(our_own_address_is_no_nat),
		cmocka_unit_test(no_answer_is_no_udp_if_it_went_out),
	};

	return cmocka_run_group_tests_name("engine_nat", tests, NULL, NULL);
}
