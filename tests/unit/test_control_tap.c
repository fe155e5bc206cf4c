/* Methods of the tap over the control socket: who may, what comes, and that it ends with its client. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "engine/network.h"
#include "engine/tap.h"
#include "tap/stream.h"
#include "tests/unit/control_talk.h"
#include "tests/unit/test.h"

#define HANDSHAKE "{\"id\":2,\"method\":\"handshake\",\"params\":{\"peer\":\"one\"}}"

static unsigned sessions(struct test *t)
{
	struct engine_tap_view v;

	loop_step(t->rig.loop, false);
	engine_look_tap(t->rig.engine, &v);
	return v.sessions;
}

static void until_sessions(struct test *t, unsigned count)
{
	uint64_t end = clock_boot_ns() + RIG_PATIENCE;

	while (sessions(t) != count && clock_boot_ns() < end)
		usleep(1000);
	assert_int_equal(sessions(t), count);
}

static struct engine_peer *one(struct test *t)
{
	struct engine_peer *p = add_peer(t, 1, "one");
	struct key own = rig_key(7);
	struct error e;

	engine_set_private_key(t->rig.engine, &own);
	engine_peer_set_mode(p, PEER_PLAIN);
	assert_int_equal(engine_up(t->rig.engine, &e), 0);
	point(p, 9);
	return p;
}

static void test_packets(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *event, *packet;

	one(t);
	talk_open(&k, t);
	json_decref(hear(&k));
	json_decref(expect_result(
		&k, "{\"id\":1,\"method\":\"tap\",\"params\":{\"points\":[\"wire\"],\"snaplen\":64,"
		    "\"filter\":[{\"op\":\"peer\",\"peer\":\"one\"},"
		    "{\"op\":\"type\",\"value\":\"init\"},{\"op\":\"and\"}]}}"));
	assert_int_equal(sessions(t), 1);
	say(&k, HANDSHAKE "\n");
	event = hear_event(&k, "packets");
	packet = json_array_get(json_object_get(event, "packets"), 0);
	assert_string_equal(text_of(packet, "point"), "wire");
	assert_string_equal(text_of(packet, "dir"), "out");
	assert_string_equal(text_of(packet, "type"), "init");
	assert_string_equal(text_of(packet, "remote"), "127.0.0.1:9");
	assert_int_equal(count_of(packet, "length"), 148);
	assert_int_equal(count_of(packet, "attempt"), 1);
	assert_int_equal(strlen(text_of(packet, "data")), (64 + 2) / 3 * 4);
	assert_true(json_number_value(json_object_get(packet, "at")) > 1.7e9);
	assert_int_equal(count_of(event, "lost"), 0);
	json_decref(event);
	/* Another replaces it, untap ends it, and so does the end of the connection; what they still have is
	 * sent before. */
	json_decref(expect_result(&k, "{\"id\":3,\"method\":\"tap\"}"));
	until_sessions(t, 1);
	json_decref(expect_result(&k, "{\"id\":4,\"method\":\"untap\"}"));
	until_sessions(t, 0);
	json_decref(expect_result(&k, "{\"id\":5,\"method\":\"tap\"}"));
	talk_close(&k);
	until_sessions(t, 0);
}

static void test_refused(void **state)
{
	struct test *t = *state;
	struct talk k;

	one(t);
	talk_open(&k, t);
	json_decref(hear(&k));
	expect_error(&k, "{\"id\":1,\"method\":\"tap\",\"params\":{\"points\":[\"moon\"]}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"tap\",\"params\":{\"points\":[]}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"tap\",\"params\":{\"filter\":{}}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"tap\",\"params\":{\"filter\":[{\"op\":\"not\"}]}}",
		     "bad-request");
	expect_error(
		&k,
		"{\"id\":1,\"method\":\"tap\",\"params\":{\"filter\":[{\"op\":\"peer\",\"peer\":\"two\"}]}}",
		"not-found");
	expect_error(&k, "{\"id\":1,\"method\":\"kept\"}", "failed");
	expect_error(&k, "{\"id\":1,\"method\":\"keep\"}", "bad-request");
	talk_close(&k);
	talk_adopted(&k, t, true);
	json_decref(hear(&k));
	expect_error(&k, "{\"id\":1,\"method\":\"tap\"}", "not-permitted");
	expect_error(&k, "{\"id\":1,\"method\":\"capture\"}", "not-permitted");
	expect_error(&k, "{\"id\":1,\"method\":\"keep\",\"params\":{\"seconds\":9}}", "not-permitted");
	expect_error(&k, "{\"id\":1,\"method\":\"kept\"}", "not-permitted");
	talk_close(&k);
	/* Who was handed a connection, as the dashboard is, has no name that keys could be given to. */
	talk_adopted(&k, t, false);
	json_decref(hear(&k));
	expect_error(&k, "{\"id\":1,\"method\":\"capture\",\"params\":{\"keys\":true}}", "not-permitted");
	talk_close(&k);
	assert_int_equal(sessions(t), 0);
}

/* Records until one of this kind comes, or the connection ends (-1). */
static int next_record(struct talk *k, struct tap_meta *m, bool first)
{
	static uint8_t bytes[1 << 16];
	static size_t len;
	uint64_t end = clock_boot_ns() + RIG_PATIENCE;
	enum tap_record_kind kind;
	const uint8_t *data;
	size_t captured;
	long n = 0;

	if (first) {
		len = k->in.len; /* what was read with the reply */
		memcpy(bytes, k->in.text ? k->in.text : "", len);
	}
	while (!(n = tap_record_decode(bytes, len, &kind, m, &data, &captured))) {
		ssize_t r = recv(k->fd, bytes + len, sizeof(bytes) - len, MSG_DONTWAIT);

		if (!r)
			return -1;
		if (r > 0)
			len += (size_t)r;
		assert_true(clock_boot_ns() < end);
		loop_step(k->t->rig.loop, false);
		usleep(500);
	}
	assert_true(n > 0);
	memmove(bytes, bytes + n, len - (size_t)n);
	len -= (size_t)n;
	return (int)kind;
}

static void test_capture(void **state)
{
	struct test *t = *state;
	struct log_record *lines = xmalloc(LOG_RING * sizeof(*lines));
	struct talk k;
	struct tap_meta m;
	bool told = false;

	one(t);
	talk_open(&k, t);
	json_decref(hear(&k));
	json_decref(expect_result(
		&k, "{\"id\":1,\"method\":\"capture\",\"params\":{\"keys\":true,\"points\":[\"wire\"]}}"));
	/* With keys a handshake begins at once, and its key comes first. */
	assert_int_equal(next_record(&k, &m, true), TAP_RECORD_KEYS);
	assert_int_equal(next_record(&k, &m, false), TAP_RECORD_PACKET);
	assert_int_equal(m.type, TAP_INITIATION);
	for (size_t n = log_read(0, lines, LOG_RING); n--;)
		told |= lines[n].level == LOG_WARN && strstr(lines[n].text, "with the keys that open them");
	free(lines);
	assert_true(told);
	assert_int_equal(sessions(t), 1);
	talk_close(&k);
	until_sessions(t, 0);
}

static void test_kept(void **state)
{
	struct test *t = *state;
	struct engine_tap_view v;
	struct talk k, past;
	struct tap_meta m;

	one(t);
	talk_open(&k, t);
	json_decref(hear(&k));
	json_decref(expect_result(
		&k, "{\"id\":1,\"method\":\"keep\",\"params\":{\"seconds\":600,\"megabytes\":2}}"));
	json_decref(expect_result(&k, HANDSHAKE));
	engine_look_tap(t->rig.engine, &v);
	assert_true(v.keeps);
	assert_int_equal(v.sessions, 0);
	while (!v.kept_bytes) {
		loop_step(t->rig.loop, false);
		engine_look_tap(t->rig.engine, &v);
	}
	talk_open(&past, t);
	json_decref(hear(&past));
	json_decref(expect_result(&past, "{\"id\":1,\"method\":\"kept\"}"));
	assert_int_equal(next_record(&past, &m, true), TAP_RECORD_PACKET);
	assert_int_equal(m.type, TAP_INITIATION);
	while (next_record(&past, &m, false) >= 0)
		;
	talk_close(&past);
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"keep\",\"params\":{\"seconds\":0}}"));
	engine_look_tap(t->rig.engine, &v);
	assert_false(v.keeps);
	assert_int_equal(v.points, 0);
	talk_close(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
		TEST(test_packets),
		TEST(test_refused),
		TEST(test_capture),
		TEST(test_kept),
	};

	if (!rig_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
