/* --since: what it takes, and what it means. */
#include "tests/unit/test.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "cmd/lines.h"

#define NOW 1795284000.0 /* 2026-11-21 18:00:00 UTC */

static double since(const char *text)
{
	double at = -1;

	assert_true(since_parse(text, NOW, &at));
	return at;
}

static void test_since(void **state)
{
	static const char *const bad[] = {"",		"5",	     "5x",  "m",     "-5m", "nan",
					  "infs",	"1e99s",     "@",   "@x",    "@-5", "25:00",
					  "2026-13-01", "yesterday", "5m ", "12:00x"};
	double out;

	(void)state;
	assert_true(since("90s") == NOW - 90);
	assert_true(since("15m") == NOW - 900);
	assert_true(since("2h") == NOW - 7200);
	assert_true(since("3d") == NOW - 3 * 86400);
	assert_true(since("0s") == NOW);
	assert_true(since("@1795280000") == 1795280000);
	assert_true(since("17:30") == NOW - 1800);
	assert_true(since("17:30:15") == NOW - 1785);
	assert_true(since("18:00") == NOW);
	assert_true(since("18:01") == NOW - 86400 + 60); /* yesterday's */
	assert_true(since("2026-11-21") == NOW - 18 * 3600);
	assert_true(since("2026-11-20 18:00") == NOW - 86400);
	assert_true(since("2026-11-21T17:00:01") == NOW - 3599);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (since_parse(bad[i], NOW, &out))
			fail_msg("\"%s\" is taken as %f", bad[i], out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_since),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests_name("lines", tests, NULL, NULL);
}
