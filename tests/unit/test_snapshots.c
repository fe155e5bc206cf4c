/* Subscriptions against a real engine: snapshots that add up, events, log lines, readers that do not read. */
#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "tests/unit/control_talk.h"

static json_int_t drains_of(const json_t *peer)
{
	return json_integer_value(json_object_get(json_object_get(peer, "counters"), "drained"));
}

/* ---- snapshots ---- */

static void test_full_then_changes(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *s;

	add_peer(t, 1, "one");
	add_peer(t, 2, "two");
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":3600}");
	s = hear_event(&k, "snapshot");
	assert_true(json_is_true(json_object_get(s, "full")));
	assert_int_equal(json_array_size(peers_of(s)), 2);
	json_decref(s);

	/* at once, without waiting an hour, and that peer alone */
	engine_peer_drain(engine_first_peer(t->rig.engine), "the test");
	s = hear_event(&k, "snapshot");
	assert_true(json_is_false(json_object_get(s, "full")));
	assert_int_equal(json_array_size(peers_of(s)), 1);
	assert_string_equal(text_of(json_array_get(peers_of(s), 0), "publicKey"), rig_base64(1));
	assert_int_equal(drains_of(json_array_get(peers_of(s), 0)), 1);
	json_decref(s);

	engine_remove_peer(engine_first_peer(t->rig.engine));
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(json_object_get(s, "removed")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(s, "removed"), 0)),
			    rig_base64(1));
	json_decref(s);

	add_peer(t, 3, "three");
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(peers_of(s)), 1);
	assert_string_equal(text_of(json_array_get(peers_of(s), 0), "name"), "three");
	json_decref(s);
	talk_close(&k);
}

/* What happens to the interface is seen on all peers at once. */
static void test_interface_goes_up(void **state)
{
	struct test *t = *state;
	struct key own = rig_key(9);
	struct error e = {0};
	unsigned left = 0;
	struct talk k;
	json_t *s, *peer;
	size_t i;

	engine_set_private_key(t->rig.engine, &own);
	add_peer(t, 1, "one");
	add_peer(t, 2, "two");
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":3600}");
	s = hear_event(&k, "snapshot");
	json_array_foreach(peers_of(s), i, peer) assert_string_equal(text_of(peer, "word"), "DOWN");
	json_decref(s);
	if (engine_up(t->rig.engine, &e))
		fail_msg("%s", e.text);
	while (left < 2) {
		s = hear_event(&k, "snapshot");
		json_array_foreach(peers_of(s), i, peer) left += strcmp(text_of(peer, "word"), "DOWN") != 0;
		json_decref(s);
	}
	talk_close(&k);
}

/* Peers to which nothing happens are not sent again. */
static void test_idle_is_quiet(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *s;

	for (unsigned i = 1; i <= 40; i++)
		allow(add_peer(t, i, "idle"), 1, (uint8_t)i);
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":0.1}");
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(peers_of(s)), 40);
	json_decref(s);
	/* The interface is down: that verdict comes once. */
	for (unsigned told = 0; told < 40; json_decref(s)) {
		s = hear_event(&k, "snapshot");
		told += json_array_size(peers_of(s));
	}
	/* long enough for each to have been looked at in full, and more */
	for (unsigned i = 0; i < 24; i++) {
		s = hear_event(&k, "snapshot");
		assert_true(json_is_false(json_object_get(s, "full")));
		assert_int_equal(json_array_size(peers_of(s)), 0);
		json_decref(s);
	}
	talk_close(&k);
}

/* What a dashboard does with snapshots. */
static void apply(json_t *known, json_t *snapshot)
{
	json_t *value;
	size_t i;

	if (json_is_true(json_object_get(snapshot, "full")))
		json_object_clear(known);
	json_array_foreach(json_object_get(snapshot, "removed"), i, value)
		json_object_del(known, json_string_value(value));
	json_array_foreach(peers_of(snapshot), i, value)
		json_object_set(known, text_of(value, "publicKey"), value);
}

/* True when what the changes add up to is what status says. */
static bool same(json_t *known, json_t *status)
{
	json_t *value;
	size_t i;

	if (json_object_size(known) != json_array_size(peers_of(status)))
		return false;
	json_array_foreach(
		peers_of(status), i,
		value) if (!json_equal(value,
				       json_object_get(known, text_of(value, "publicKey")))) return false;
	return true;
}

static void disturb(struct test *t, unsigned random)
{
	struct key key = rig_key(1 + random % 16);
	struct engine_peer *p = engine_find_peer(t->rig.engine, &key);
	char name[16];

	if (!p) {
		add_peer(t, 1 + random % 16, "born");
		return;
	}
	switch (random / 16 % 7) {
	case 0:
		engine_remove_peer(p);
		break;
	case 1:
		allow(p, (uint8_t)(random / 128), 7);
		break;
	case 2:
		snprintf(name, sizeof(name), "n%u", random);
		engine_peer_set_name(p, name);
		break;
	case 3:
		engine_peer_drain(p, "the test");
		break;
	case 4:
		point(p, (uint16_t)(9 + random % 3));
		break;
	case 5:
		wg_peer_set_psk(engine_peer_wg(p), &key);
		break;
	case 6:
		wg_disallow_all(engine_peer_wg(p));
		break;
	}
}

static void test_changes_add_up(void **state)
{
	struct test *t = *state;
	json_t *known = json_object(), *s;
	unsigned random = 12345;
	struct talk k, other;
	bool equal = false;

	talk_open(&k, t);
	talk_open(&other, t);
	subscribe(&k, "{\"interval\":0.1}");
	for (unsigned i = 0; i < 400; i++) {
		random = random * 1103515245 + 12345;
		disturb(t, random >> 8);
		rig_turn(&t->rig, 2);
		if (i % 40)
			continue;
		s = hear_event(&k, "snapshot");
		apply(known, s);
		json_decref(s);
	}
	/* Settings that tell nobody are found within some rounds. */
	for (unsigned i = 0; i < 60 && !equal; i++) {
		json_t *status;

		s = hear_event(&k, "snapshot");
		apply(known, s);
		json_decref(s);
		status = expect_result(&other, "{\"id\":1,\"method\":\"status\"}");
		equal = same(known, status);
		json_decref(status);
	}
	assert_true(equal);
	json_decref(known);
	talk_close(&k);
	talk_close(&other);
}

static void test_timeline_and_log(void **state)
{
	struct test *t = *state;
	struct engine_peer *p = add_peer(t, 1, "one");
	struct talk k;
	json_t *m;

	log_notice("test", "before");
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":3600,\"log\":true,\"logLevel\":\"notice\"}");
	do
		m = hear_event(&k, "log");
	while (m && strcmp(text_of(json_object_get(m, "entry"), "text"), "before") && (json_decref(m), true));
	check_fields(json_object_get(m, "entry"), log_fields, "log");
	json_decref(m);

	log_info("test", "too detailed");
	log_notice("test", "gr\xc3\xbc\xc3\x9f \"quoted\"");
	m = hear_event(&k, "log");
	assert_string_equal(text_of(json_object_get(m, "entry"), "level"), "notice");
	assert_non_null(strstr(text_of(json_object_get(m, "entry"), "text"), "\"quoted\""));
	json_decref(m);

	engine_note(t->rig.engine, p, LOG_INFO, "test-kind", "something");
	m = hear_event(&k, "timeline");
	check_fields(json_object_get(m, "entry"), event_fields, "event");
	assert_string_equal(text_of(json_object_get(m, "entry"), "kind"), "test-kind");
	assert_string_equal(text_of(json_object_get(m, "entry"), "peer"), rig_base64(1));
	assert_string_equal(text_of(json_object_get(m, "entry"), "name"), "one");
	json_decref(m);

	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"unsubscribe\"}"));
	engine_note(t->rig.engine, p, LOG_INFO, "test-kind", "unheard");
	m = ask(&k, "{\"id\":2,\"method\":\"status\"}");
	json_decref(m);
	assert_int_equal(k.in.len, 0);
	talk_close(&k);
}

static void *chatter(void *arg)
{
	atomic_bool *stop = arg;

	for (unsigned i = 0; !atomic_load(stop); i++) {
		log_notice("test", "line %u from a thread", i);
		usleep(100);
	}
	return NULL;
}

static void test_log_from_threads(void **state)
{
	struct test *t = *state;
	atomic_bool stop = false;
	pthread_t thread;
	struct talk k;

	assert_int_equal(pthread_create(&thread, NULL, chatter, &stop), 0);
	for (unsigned i = 0; i < 20; i++) {
		talk_open(&k, t);
		subscribe(&k, "{\"log\":true,\"logLevel\":\"debug\"}");
		for (unsigned n = 0; n < 50; n++)
			json_decref(hear_event(&k, "log"));
		talk_close(&k);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

/* ---- slow readers ---- */

/* Peers with long objects, so that a snapshot is larger than what a socket takes. */
static void add_many(struct test *t, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		struct engine_peer *p = add_peer(t, i, "many");

		for (unsigned n = 0; n < 3; n++)
			allow(p, (uint8_t)(i >> 8), (uint8_t)i);
	}
}

static void test_stalled_reader(void **state)
{
	struct test *t = *state;
	struct talk stalled, other;
	json_t *known = json_object(), *m;
	bool equal = false;

	add_many(t, 3000);
	talk_open(&stalled, t);
	say(&stalled, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":0.1,\"log\":true}}");
	/* Far more than the bound in events, while another client is served as ever. */
	for (unsigned i = 0; i < 40000; i++)
		engine_note(t->rig.engine, engine_first_peer(t->rig.engine), LOG_INFO, "noise",
			    "event number %u", i);
	talk_open(&other, t);
	for (unsigned i = 0; i < 5; i++)
		json_decref(expect_result(&other,
					  "{\"id\":1,\"method\":\"status\",\"params\":{\"peers\":false}}"));
	engine_remove_peer(engine_first_peer(t->rig.engine));
	rig_turn(&t->rig, 100);

	/* It reads again: whole lines only, a bounded number of them, and in the end the truth. */
	for (unsigned i = 0; i < 40 && !equal; i++) {
		json_t *status;

		m = hear_event(&stalled, "snapshot");
		assert_non_null(m);
		if (i)
			assert_true(count_of(m, "dropped") > 0);
		else
			assert_true(stalled.bytes < 12 << 20);
		apply(known, m);
		json_decref(m);
		status = expect_result(&other, "{\"id\":1,\"method\":\"status\"}");
		equal = same(known, status);
		json_decref(status);
	}
	assert_true(equal);
	assert_int_equal(json_object_size(known), 2999);
	assert_true(stalled.bytes < 40 << 20);
	json_decref(known);
	talk_close(&stalled);
	talk_close(&other);
}

/* A change while a long snapshot is still being read comes after it, not an hour later. */
static void test_change_during_snapshot(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *s;
	json_int_t drained = 0;
	int waiting = 0;

	add_many(t, 3000);
	talk_open(&k, t);
	say(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":3600}}");
	/* The hello is read: what comes now is the reply and the beginning of the snapshot. */
	while (ioctl(k.fd, FIONREAD, &waiting) || waiting < 4096)
		rig_turn(&t->rig, 1);
	engine_peer_drain(engine_first_peer(t->rig.engine), "the test");
	rig_turn(&t->rig, 50);
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(peers_of(s)), 3000);
	json_decref(s);
	/* Others may have changed, too; it is about that one, and not an hour later. */
	while (!drained) {
		json_t *peer;
		size_t i;

		s = hear_event(&k, "snapshot");
		assert_true(json_is_false(json_object_get(s, "full")));
		json_array_foreach(peers_of(s), i, peer) drained += drains_of(peer);
		json_decref(s);
	}
	assert_int_equal(drained, 1);
	talk_close(&k);
}

/* A client that asks for much and reads nothing gets no more memory than one reply's piece. */
static void test_asks_without_reading(void **state)
{
	struct test *t = *state;
	static const char request[] = "{\"id\":1,\"method\":\"status\"}\n";
	struct talk greedy, other;
	unsigned refused = 0;

	add_many(t, 1000);
	talk_open(&greedy, t);
	for (unsigned i = 0; i < 100000 && refused < 100; i++) {
		refused += send(greedy.fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0;
		rig_turn(&t->rig, 1);
	}
	/* its requests pile up on its own side */
	assert_int_equal(refused, 100);
	talk_open(&other, t);
	json_decref(expect_result(&other, "{\"id\":1,\"method\":\"status\"}"));
	talk_close(&other);
	talk_close(&greedy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
		TEST(test_full_then_changes),	 TEST(test_interface_goes_up),
		TEST(test_idle_is_quiet),	 TEST(test_changes_add_up),
		TEST(test_timeline_and_log),	 TEST(test_log_from_threads),
		TEST(test_stalled_reader),	 TEST(test_change_during_snapshot),
		TEST(test_asks_without_reading),
	};

	if (!rig_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
