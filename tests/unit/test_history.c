/* The recorded past: the ring keeps its bounds, and what it gives back adds up to what a live client sees. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/history.h"
#include "control/record.h"
#include "tests/unit/control_talk.h"

#define RING (64u << 10)

/* ---- the ring ---- */

/* Text that does not deflate away: hexadecimal digits of a random-looking sequence. */
static void put_line(struct record *r, unsigned chunk, unsigned line, uint64_t *state)
{
	char text[256];
	int n = snprintf(text, sizeof(text), "%u.%u ", chunk, line);

	while (n < 200) {
		*state = *state * 6364136223846793005u + 1442695040888963407u;
		n += snprintf(text + n, sizeof(text) - (size_t)n, "%08x", (unsigned)(*state >> 32));
	}
	text[n++] = '\n';
	record_put(r, text, (size_t)n);
}

static char *read_all(struct record *r, uint64_t from, uint64_t to)
{
	struct record_reader *reader = record_read(r, from, to);
	struct strbuf all = {0};
	char piece[777];
	size_t n;

	while ((n = record_next(reader, piece, sizeof(piece))))
		strbuf_append(&all, piece, n);
	record_close(reader);
	if (!all.text)
		strbuf_add(&all, "%s", "");
	return all.text;
}

static void test_ring_keeps_its_bounds(void **unused)
{
	struct record *r = record_new(RING);
	uint64_t state = 1;
	unsigned first, line, expected_line = 0;
	char *text, *save = NULL;

	(void)unused;
	for (unsigned chunk = 1; chunk <= 50; chunk++) {
		record_begin(r, chunk * 1000);
		for (line = 0; line < 60; line++) {
			put_line(r, chunk, line, &state);
			assert_in_range(record_bytes(r), 0, RING + 4096);
		}
		assert_false(record_overflown(r));
	}
	assert_in_range(record_chunks(r), 2, 49);

	/* Every line of every chunk that is left, in order, from the start of a chunk to the last word. */
	text = read_all(r, 0, 0);
	assert_int_equal(sscanf(text, "%u.%u", &first, &line), 2);
	assert_int_equal(first * 1000, record_oldest(r));
	assert_int_equal(line, 0);
	for (char *at = strtok_r(text, "\n", &save); at; at = strtok_r(NULL, "\n", &save)) {
		unsigned chunk;

		assert_int_equal(sscanf(at, "%u.%u", &chunk, &line), 2);
		assert_int_equal(chunk, first);
		assert_int_equal(line, expected_line);
		if (++expected_line == 60) {
			expected_line = 0;
			first++;
		}
	}
	assert_int_equal(first, 51);
	free(text);
	record_free(r);
}

static void test_ring_reads_from_and_to(void **unused)
{
	struct record *r = record_new(RING);

	(void)unused;
	for (unsigned chunk = 1; chunk <= 4; chunk++) {
		char line[16];

		record_begin(r, chunk * 1000);
		snprintf(line, sizeof(line), "%u\n", chunk);
		record_put(r, line, strlen(line));
	}
	for (unsigned i = 0; i < 5; i++) {
		static const struct {
			uint64_t from, to;
			const char *text;
		} cases[] = {{0, 0, "1\n2\n3\n4\n"},
			     {2500, 0, "2\n3\n4\n"},
			     {2000, 3999, "2\n3\n"},
			     {9000, 0, "4\n"},
			     {0, 500, "1\n"}};
		char *text = read_all(r, cases[i].from, cases[i].to);

		assert_string_equal(text, cases[i].text);
		free(text);
	}
	record_free(r);
}

/* A reader that is slow keeps what it began with, whatever the ring drops meanwhile. */
static void test_ring_reader_outlives_a_drop(void **unused)
{
	struct record *r = record_new(RING);
	struct record_reader *reader;
	uint64_t state = 7;
	char piece[8];

	(void)unused;
	record_begin(r, 1);
	record_put(r, "first\n", 6);
	reader = record_read(r, 0, 0);
	record_put(r, "later\n", 6);
	for (unsigned chunk = 2; chunk < 40; chunk++) {
		record_begin(r, chunk);
		for (unsigned line = 0; line < 60; line++)
			put_line(r, chunk, line, &state);
	}
	assert_true(record_oldest(r) > 1);
	assert_int_equal(record_next(reader, piece, sizeof(piece)), 6);
	assert_memory_equal(piece, "first\n", 6);
	assert_int_equal(record_next(reader, piece, sizeof(piece)), 0);
	record_close(reader);
	record_free(r);
}

/*
 * Many slow readers, each begun at another time, share what they hold: beside the ring no more than another
 * ring, as long as nobody is let in while half a ring is held already.
 */
static void test_ring_bounds_many_readers(void **unused)
{
	struct record *r = record_new(RING);
	struct record_reader *readers[64];
	unsigned count = 0, refused = 0;
	uint64_t state = 9;
	char piece[4096];

	(void)unused;
	for (unsigned chunk = 1; chunk <= 300; chunk++) {
		record_begin(r, chunk);
		for (unsigned line = 0; line < 60; line++) {
			put_line(r, chunk, line, &state);
			assert_in_range(record_held(r), 0, RING + RING / 2 + 4096);
		}
		if (record_held(r) > RING / 2)
			refused++;
		else if (count < 64)
			readers[count++] = record_read(r, 0, 0);
	}
	assert_true(count > 2 && count < 64);
	assert_true(refused > 100);
	assert_true(record_held(r) > RING / 2);
	/* As they end, what they held goes with them. */
	while (record_next(readers[0], piece, sizeof(piece)))
		;
	for (unsigned i = 0; i < count; i++)
		record_close(readers[i]);
	assert_int_equal(record_held(r), 0);
	record_free(r);
}

static void test_ring_gives_up_what_is_too_large(void **unused)
{
	struct record *r = record_new(RING);
	uint64_t state = 3;

	(void)unused;
	record_begin(r, 1);
	for (unsigned line = 0; line < 2000; line++)
		put_line(r, 1, line, &state);
	assert_true(record_overflown(r));
	assert_int_equal(record_bytes(r), 0);
	assert_int_equal(record_chunks(r), 0);
	record_put(r, "nowhere\n", 8);
	assert_int_equal(record_bytes(r), 0);
	record_free(r);
}

/* ---- the recorder ---- */

static bool is_past(const json_t *m)
{
	return json_is_number(json_object_get(m, "past"));
}

/* All lines up to the reply, which is returned; the caller looks at each. */
static json_t *take_history(struct talk *k, void (*each)(json_t *line, void *arg), void *arg)
{
	say(k, "{\"id\":77,\"method\":\"history\"}\n");
	for (;;) {
		json_t *m = hear(k);

		assert_non_null(m);
		if (!json_object_get(m, "event"))
			return m;
		if (is_past(m))
			each(m, arg);
		json_decref(m);
	}
}

struct seen {
	unsigned lines, full, drained, removed, peers;
	char last_name[32];
	bool first_is_full;
};

static void look(json_t *m, void *arg)
{
	struct seen *s = arg;
	json_t *peer;
	size_t i;

	if (is_event(m, "snapshot")) {
		s->full += json_is_true(json_object_get(m, "full"));
		s->removed += (unsigned)json_array_size(json_object_get(m, "removed"));
		if (!s->lines)
			s->first_is_full = json_is_true(json_object_get(m, "full"));
		json_array_foreach(peers_of(m), i, peer)
		{
			s->peers++;
			snprintf(s->last_name, sizeof(s->last_name), "%s", text_of(peer, "name"));
		}
	}
	if (is_event(m, "timeline"))
		s->drained += !strcmp(text_of(json_object_get(m, "entry"), "kind"), "drained");
	s->lines++;
}

static void test_history_has_all(void **state)
{
	struct test *t = *state;
	struct seen seen = {0};
	struct engine_peer *one;
	struct talk k;
	json_t *reply;

	one = add_peer(t, 1, "one");
	add_peer(t, 2, "two");
	control_record(t->control, 1 << 20);
	talk_open(&k, t);
	reply = take_history(&k, look, &seen);
	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
	assert_int_equal(seen.full, 1);
	assert_int_equal(seen.peers, 2);
	assert_true(seen.first_is_full);

	engine_note(t->rig.engine, one, LOG_NOTICE, "drained", "a test was here");
	seen = (struct seen){0};
	reply = take_history(&k, look, &seen);
	json_decref(reply);
	assert_int_equal(seen.drained, 1);

	/* What an event touched is looked at within a second, long before everybody's turn comes. */
	engine_peer_set_name(one, "renamed");
	engine_note(t->rig.engine, one, LOG_NOTICE, "drained", "again");
	for (unsigned tries = 0; strcmp(seen.last_name, "renamed") != 0; tries++) {
		assert_true(tries < 2000);
		usleep(5000);
		seen = (struct seen){0};
		json_decref(take_history(&k, look, &seen));
	}
	talk_close(&k);
}

/* Text that does not deflate away, of so many kilobytes, into the record. */
static void note_noise(struct test *t, unsigned kilobytes)
{
	static uint64_t state = 11;

	for (unsigned i = 0; i < kilobytes * 8; i++) {
		char text[256];
		int n = 0;

		while (n < 240) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			n += snprintf(text + n, sizeof(text) - (size_t)n, "%08x", (unsigned)(state >> 32));
		}
		engine_note(t->rig.engine, NULL, LOG_NOTICE, "noise", "%s", text);
		if (i % 16 == 0)
			rig_turn(&t->rig, 1);
	}
}

static json_int_t stalled(struct talk *k)
{
	json_t *status = expect_result(k, "{\"id\":3,\"method\":\"status\",\"params\":{\"peers\":false}}");
	json_int_t n = count_of(json_object_get(status, "history"), "stalled");

	json_decref(status);
	return n;
}

static unsigned readers(const struct test *t)
{
	unsigned n = 0;

	list_for_each (pos, &t->control->clients)
		n += container_of(pos, struct control_client, link)->stream.reader != NULL;
	return n;
}

/* Forty that ask and read nothing: the next is told to wait, until they have been given up. */
static void test_history_readers(void **state)
{
	struct test *t = *state;
	struct talk slow[40], k;
	struct seen seen = {0};
	json_t *reply;

	add_peer(t, 1, "one");
	control_record(t->control, 1 << 20);
	note_noise(t, 3000);
	for (unsigned i = 0; i < 40; i++) {
		talk_open(&slow[i], t);
		say(&slow[i], "{\"id\":1,\"method\":\"history\"}");
		for (unsigned tries = 0; readers(t) <= i && tries < 500; tries++)
			rig_turn(&t->rig, 20);
	}
	talk_open(&k, t);
	reply = take_history(&k, look, &seen);
	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
	/* What they have begun to read goes round. */
	note_noise(t, 3000);
	assert_int_equal(stalled(&k), 0);
	expect_error(&k, "{\"id\":2,\"method\":\"history\"}", "busy");
	history_patience(t->control->history, NS_PER_MS);
	usleep(2000);
	reply = take_history(&k, look, &seen);
	assert_non_null(json_object_get(reply, "result"));
	json_decref(reply);
	assert_int_equal(stalled(&k), 40);
	for (unsigned i = 0; i < 40; i++) {
		json_t *line;

		while ((line = hear(&slow[i])))
			json_decref(line);
		talk_close(&slow[i]);
	}
	talk_close(&k);
}

static void test_history_is_off(void **state)
{
	struct test *t = *state;
	struct talk k;

	talk_open(&k, t);
	expect_error(&k, "{\"id\":1,\"method\":\"history\"}\n", "failed");
	talk_close(&k);
}

/* A network that does not fit is told of, and costs nothing more. */
static void test_history_too_small(void **test)
{
	struct test *t = *test;
	uint64_t state = 5;
	struct seen seen = {0};
	struct talk k;

	/* Names that do not deflate away. */
	for (unsigned i = 0; i < 1000; i++) {
		char name[64];
		int n = 0;

		while (n < 56) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			n += snprintf(name + n, sizeof(name) - (size_t)n, "%08x", (unsigned)(state >> 32));
		}
		add_peer(t, 1000 + i, name);
	}
	control_record(t->control, 512);
	talk_open(&k, t);
	for (unsigned i = 0; i < 50; i++)
		rig_turn(&t->rig, 20);
	json_decref(take_history(&k, look, &seen));
	assert_int_equal(seen.lines, 0);
	talk_close(&k);
}

int main(void)
{
	const struct CMUnitTest pure[] = {
		cmocka_unit_test(test_ring_keeps_its_bounds),
		cmocka_unit_test(test_ring_reads_from_and_to),
		cmocka_unit_test(test_ring_reader_outlives_a_drop),
		cmocka_unit_test(test_ring_bounds_many_readers),
		cmocka_unit_test(test_ring_gives_up_what_is_too_large),
	};
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_history_has_all, talk_set_up, talk_tear_down),
		cmocka_unit_test_setup_teardown(test_history_readers, talk_set_up, talk_tear_down),
		cmocka_unit_test_setup_teardown(test_history_is_off, talk_set_up, talk_tear_down),
		cmocka_unit_test_setup_teardown(test_history_too_small, talk_set_up, talk_tear_down),
	};
	int failed = cmocka_run_group_tests(pure, NULL, NULL);

	if (!rig_possible())
		return failed ? failed : 77;
	return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
