/* Names of counters and reasons: there, distinct, and safe to ask for out of range. */
#include "test.h"

#include <string.h>

#include "wg/events.h"

static void test_counters(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WG_COUNTERS; i++) {
		assert_true(strlen(wg_counter_name(i)) > 0);
		assert_true(strlen(wg_counter_text(i)) > 0);
		for (unsigned j = 0; j < i; j++) {
			assert_string_not_equal(wg_counter_name(i), wg_counter_name(j));
			assert_string_not_equal(wg_counter_text(i), wg_counter_text(j));
		}
	}
	assert_string_equal(wg_counter_name(WG_COUNT_reject_mac1), "reject_mac1");
	assert_string_equal(wg_counter_name(WG_COUNT_send_failed), "send_failed");
	assert_string_equal(wg_counter_name(WG_COUNTERS), "unknown");
	assert_string_equal(wg_counter_text((enum wg_counter) - 1), "unknown");
}

static void test_reasons(void **state)
{
	(void)state;
	for (unsigned i = 0; i < WG_REASONS; i++) {
		assert_true(strlen(wg_reason_name(i)) > 0);
		assert_true(i == WG_REASON_none || strlen(wg_reason_text(i)) > 0);
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(wg_reason_name(i), wg_reason_name(j));
	}
	assert_string_equal(wg_reason_name(WG_REASON_drain), "drain");
	assert_string_equal(wg_reason_name(WG_REASONS), "unknown");
	assert_string_equal(wg_reason_text((enum wg_reason) - 1), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counters),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests_name("events", tests, NULL, NULL);
}
