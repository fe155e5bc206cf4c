/* The command line: what is taken, what is refused, and what the refusal says. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/options.h"
#include "cmd/text.h"

#define ALL "headless readonly color interface json workers run-dir log-level follow"

static struct options o;
static struct error e;
static char *argv[16];
static int rest;

/* Words are separated by single spaces. */
static int parse(const char *line)
{
	static char copy[256];
	int argc = 1;
	char *save = NULL;

	memset(argv, 0, sizeof(argv));
	memset(&e, 0, sizeof(e));
	snprintf(copy, sizeof(copy), "%s", line);
	argv[0] = (char *)"weir";
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
		argv[argc++] = w;
	return options_parse(&o, ALL, argc, argv, &rest, &e);
}

static void test_taken(void **state)
{
	(void)state;
	assert_int_equal(parse("wg0 --json --run-dir /tmp/x -i wg1 --workers=3 --color never"), 0);
	assert_true(o.json);
	assert_false(o.readonly);
	assert_string_equal(o.run_dir, "/tmp/x");
	assert_string_equal(o.interface, "wg1");
	assert_int_equal(o.workers, 3);
	assert_int_equal(o.color, TUI_COLOR_NEVER);
	assert_int_equal(rest, 1);
	assert_string_equal(argv[1], "wg0");

	assert_int_equal(parse("-iwg2 -f --log-level=debug a b"), 0);
	assert_string_equal(o.interface, "wg2");
	assert_true(o.follow);
	assert_int_equal(o.log_level, LOG_DEBUG);
	assert_int_equal(rest, 2);
	assert_string_equal(argv[2], "b");

	assert_int_equal(parse("-- --json -"), 0);
	assert_false(o.json);
	assert_int_equal(rest, 2);
	assert_string_equal(argv[1], "--json");
}

static void refuse(const char *line, const char *says)
{
	assert_true(parse(line) < 0);
	assert_int_equal(e.exit, EXIT_USAGE);
	if (!strstr(e.text, says))
		fail_msg("%s: \"%s\" does not say \"%s\"", line, e.text, says);
}

static void test_refused(void **state)
{
	(void)state;
	refuse("--jsn", "did you mean --json?");
	refuse("--raedonly", "did you mean --readonly?");
	refuse("--frobnicate", "--help");
	refuse("-z", "-z");
	refuse("--json=yes", "takes no argument");
	refuse("--run-dir", "needs an argument");
	refuse("--run-dir=", "needs");
	refuse("--workers 0", "from 1 to 8");
	refuse("--workers 9", "from 1 to 8");
	refuse("--workers 3x", "from 1 to 8");
	refuse("--workers -1", "from 1 to 8");
	refuse("--color sometimes", "auto, always or never");
	refuse("--log-level loud", "debug");
	/* in the table, but not for this command */
	refuse("--check", "unknown option");
	/* no abbreviations: a later option must not change what a script means */
	refuse("--read", "unknown option");
}

static void test_environment(void **state)
{
	(void)state;
	unsetenv("WG_COLOR_MODE");
	setenv("NO_COLOR", "1", 1);
	assert_int_equal(parse("x"), 0);
	assert_int_equal(o.color, TUI_COLOR_NEVER);
	assert_int_equal(parse("--color always"), 0);
	assert_int_equal(o.color, TUI_COLOR_ALWAYS);
	unsetenv("NO_COLOR");
	setenv("WG_COLOR_MODE", "always", 1);
	assert_int_equal(parse("x"), 0);
	assert_int_equal(o.color, TUI_COLOR_ALWAYS);
	setenv("WG_COLOR_MODE", "purple", 1);
	assert_int_equal(parse("x"), 0);
	assert_int_equal(o.color, TUI_COLOR_AUTO);
	unsetenv("WG_COLOR_MODE");
}

static void test_nearest(void **state)
{
	static const char *const words[] = {"attach", "status", "down", "drain", "reset", "reload", "log"};

	(void)state;
	assert_string_equal(nearest_word("statsu", words, 7), "status");
	assert_string_equal(nearest_word("reolad", words, 7), "reload");
	assert_string_equal(nearest_word("logs", words, 7), "log");
	assert_null(nearest_word("wg0", words, 7));
	assert_null(nearest_word("office", words, 7));
	assert_null(nearest_word("a-very-long-word-that-is-longer-than-all-of-them", words, 7));
}

static void test_figures(void **state)
{
	char out[TEXT_FIGURE];
	char bad[] = "a\033[2Jb\x7f\xc2\x9bz\xc3\xa9";

	(void)state;
	assert_string_equal(text_age(out, -3), "0 s");
	assert_string_equal(text_age(out, 119.9), "119 s");
	assert_string_equal(text_age(out, 120), "2 min");
	assert_string_equal(text_age(out, 3600 * 3 + 60 * 12), "3 h 12 min");
	assert_string_equal(text_age(out, 86400 * 5 + 3600 * 2), "5 d 2 h");
	assert_string_equal(text_bytes(out, 148), "148 B");
	assert_string_equal(text_bytes(out, 1536), "1.5 KiB");
	assert_string_equal(text_bytes(out, 12.25 * 1048576), "12.2 MiB");
	assert_string_equal(text_tame(bad), "a?[2Jb???z\xc3\xa9");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_environment), cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_figures),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
