#include "tests/unit/test.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static struct log_record records[LOG_RING + 10];

/* The newest record. */
static const struct log_record *newest(void)
{
	size_t n = log_read(0, records, LOG_RING + 10);

	assert_true(n > 0);
	return &records[n - 1];
}

static void test_visible(void **state)
{
	static const struct {
		const char *in, *out;
		size_t size;
	} cases[] = {
		{"plain text ~", "plain text ~", 64},
		{"a\nb\tc\r", "a\\x0ab\\x09c\\x0d", 64},
		{"\033[31mred", "\\x1b[31mred", 64},
		{"\x7f", "\\x7f", 64},
		{"caf\xc3\xa9", "caf\\xc3\\xa9", 64},
		{"\xc2\x9b", "\\xc2\\x9b", 64}, /* a CSI for terminals that know C1 */
		{"back\\slash \\x41", "back\\slash \\x41", 64},
		{"abcdef", "abc", 4},
		{"ab\n", "ab", 6}, /* no half of a group */
		{"ab\n", "ab\\x0a", 7},
		{"\n", "", 4},
		{"", "", 1},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(out, 'Z', sizeof(out));
		log_visible(out, cases[i].size, cases[i].in, strlen(cases[i].in));
		assert_string_equal(out, cases[i].out);
	}
	log_visible(out, sizeof(out), "a\0b", 3);
	assert_string_equal(out, "a\\x00b");
	out[0] = 'Z';
	log_visible(out, 0, "abc", 3);
	assert_int_equal(out[0], 'Z');
}

static void test_levels(void **state)
{
	enum log_level level = LOG_NOTICE;

	(void)state;
	for (int i = LOG_ERROR; i <= LOG_DEBUG; i++) {
		assert_true(log_level_parse(log_level_name((enum log_level)i), &level));
		assert_int_equal(level, i);
	}
	assert_string_equal(log_level_name(LOG_WARN), "warn");
	level = LOG_NOTICE;
	assert_false(log_level_parse("verbose", &level));
	assert_false(log_level_parse("", &level));
	assert_false(log_level_parse(NULL, &level));
	assert_int_equal(level, LOG_NOTICE);

	assert_int_equal(log_get_level(), LOG_INFO);
	log_info("test", "kept");
	log_debug("test", "dropped");
	assert_string_equal(newest()->text, "kept");
	log_set_level(LOG_DEBUG);
	log_debug("test", "kept too");
	assert_string_equal(newest()->text, "kept too");
	log_set_level(LOG_ERROR);
	log_warn("test", "dropped");
	assert_string_equal(newest()->text, "kept too");
	log_set_level(LOG_INFO);
}

static void test_record(void **state)
{
	char lengthy[600];
	uint64_t sequence;

	(void)state;
	log_write(LOG_NOTICE, "room", "peer\033", "%s %d\n", "x\a", 7);
	sequence = newest()->sequence;
	assert_int_equal(newest()->level, LOG_NOTICE);
	assert_string_equal(newest()->room, "room");
	assert_string_equal(newest()->peer, "peer\\x1b");
	assert_string_equal(newest()->text, "x\\x07 7\\x0a");
	assert_true(newest()->wall_ns > 0);
	memset(lengthy, 'y', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	log_write(LOG_NOTICE, lengthy, lengthy, "%s", lengthy);
	assert_int_equal(newest()->sequence, sequence + 1);
	assert_int_equal(strlen(newest()->room), sizeof(newest()->room) - 1);
	assert_int_equal(strlen(newest()->peer), sizeof(newest()->peer) - 1);
	assert_int_equal(strlen(newest()->text), sizeof(newest()->text) - 1);
}

static void test_ring(void **state)
{
	uint64_t first;
	size_t n;

	(void)state;
	log_info("test", "start");
	first = newest()->sequence + 1;
	for (unsigned i = 0; i < 2 * LOG_RING + 5; i++)
		log_info("test", "%u", i);
	n = log_read(0, records, LOG_RING + 10);
	assert_int_equal(n, LOG_RING);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(records[i].sequence, first + LOG_RING + 5 + i);
		assert_int_equal(strtoul(records[i].text, NULL, 10), LOG_RING + 5 + i);
	}
	assert_int_equal(log_read(records[n - 3].sequence, records, LOG_RING), 3);
	assert_int_equal(log_read(records[2].sequence + 1, records, LOG_RING), 0);
	assert_int_equal(log_read(0, records, 2), 2); /* the oldest two */
	assert_int_equal(records[0].sequence, first + LOG_RING + 5);
}

static void keep_last(void *arg, const struct log_record *record)
{
	*(struct log_record *)arg = *record;
}

static void test_sink(void **state)
{
	struct log_record last = {0};

	(void)state;
	log_set_sink(keep_last, &last);
	log_error("test", "to the sink");
	assert_string_equal(last.text, "to the sink");
	assert_int_equal(last.level, LOG_ERROR);
	log_set_sink(NULL, NULL);
	log_error("test", "not to the sink");
	assert_string_equal(last.text, "to the sink");
}

/* Runs fn with stderr at the writing end of a pipe, and returns what came out of it. */
static void capture(void (*fn)(int reader), char *out, size_t size)
{
	int ends[2], saved = dup(STDERR_FILENO);
	ssize_t n;

	assert_true(saved >= 0);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
	close(ends[1]);
	fn(ends[0]);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	n = read(ends[0], out, size - 1);
	out[n > 0 ? n : 0] = '\0';
	close(ends[0]);
}

static void write_some(int reader)
{
	(void)reader;
	log_to_stderr(true, true);
	log_error("a", "one");
	log_write(LOG_NOTICE, "b", "peer", "two\n");
	log_to_stderr(true, false);
	log_info("c", "three");
	log_to_stderr(false, false);
	log_info("c", "four");
}

static void test_stderr(void **state)
{
	static const char two[] = "<3>a: one\n<5>b: peer: two\\x0a\n";
	char out[1024], *third = out + strlen(two);
	unsigned y, mo, d, h, mi, s, ms;

	(void)state;
	capture(write_some, out, sizeof(out));
	assert_memory_equal(out, two, strlen(two));
	assert_int_equal(sscanf(third, "%u-%u-%u %u:%u:%u.%u info", &y, &mo, &d, &h, &mi, &s, &ms), 7);
	assert_string_equal(strstr(third, "info"), "info   c: three\n");
}

/* Fills the pipe, logs on, makes room again: log_write must come back each time. */
static void write_much(int reader)
{
	static char sponge[1 << 20];
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};

	log_to_stderr(true, true);
	while (poll(&ready, 1, 0) == 1)
		log_info("test", "%0200d", 1);
	for (int i = 0; i < 7; i++)
		log_info("test", "lost");
	while (poll(&(struct pollfd){.fd = reader, .events = POLLIN}, 1, 0) == 1)
		assert_true(read(reader, sponge, sizeof(sponge)) > 0);
	log_info("test", "after");
	log_info("test", "and on");
	log_to_stderr(false, false);
}

static void test_stuck_stderr(void **state)
{
	char out[1024];

	(void)state;
	capture(write_much, out, sizeof(out));
	assert_string_equal(out, "<6>test: after (7 lines before this one were lost)\n<6>test: and on\n");
}

/* With the default action of SIGPIPE, a write would end the test. */
static void write_to_nobody(int reader)
{
	close(reader);
	log_to_stderr(true, true);
	log_info("test", "nobody reads");
	log_to_stderr(false, false);
}

static void test_broken_stderr(void **state)
{
	char out[16];

	(void)state;
	capture(write_to_nobody, out, sizeof(out));
	assert_string_equal(newest()->text, "nobody reads");
}

static void test_limit(void **state)
{
	struct log_limit limit = {0};
	uint64_t now = 5 * NS_PER_SEC;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_true(log_allowed(&limit, now + (uint64_t)i, NS_PER_SEC, 3));
	assert_false(log_allowed(&limit, now + 10, NS_PER_SEC, 3));
	assert_false(log_allowed(&limit, now + NS_PER_SEC - 1, NS_PER_SEC, 3));
	assert_int_equal(limit.suppressed, 2);
	assert_true(log_allowed(&limit, now + NS_PER_SEC, NS_PER_SEC, 3));
	assert_int_equal(limit.suppressed, 2); /* the caller says so and clears it */
}

static void *log_on(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++)
		log_info("thread", "%d of %s", i, "abc");
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[3];
	uint64_t before = newest()->sequence;
	size_t n;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, log_on, NULL), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	n = log_read(0, records, LOG_RING);
	assert_int_equal(records[n - 1].sequence, before + 1500);
	for (size_t i = 0; i < n; i++)
		assert_non_null(strstr(records[i].text, " of abc"));
}

static int start(void **state)
{
	(void)state;
	log_to_stderr(false, false);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_visible),	     cmocka_unit_test(test_levels),
		cmocka_unit_test(test_record),	     cmocka_unit_test(test_ring),
		cmocka_unit_test(test_sink),	     cmocka_unit_test(test_stderr),
		cmocka_unit_test(test_stuck_stderr), cmocka_unit_test(test_broken_stderr),
		cmocka_unit_test(test_limit),	     cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
