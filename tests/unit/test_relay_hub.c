/* The relay's hub by itself: what comes out of each queue, in which order, and when sessions end. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "relay/hub.h"

#define SECRET "supersecret"
#define WALL   1700000000ull

static struct {
	unsigned writable, closed, paused, resumed;
	struct session *last_closed;
} said;

static struct hub *hub;
static struct instant now;

static void on_writable(void *arg, struct session *s)
{
	(void)arg, (void)s;
	said.writable++;
}

static void on_close(void *arg, struct session *s)
{
	(void)arg;
	said.closed++;
	said.last_closed = s;
}

static void on_pause(void *arg, struct session *s, bool pause)
{
	(void)arg, (void)s;
	*(pause ? &said.paused : &said.resumed) += 1;
}

static void start(struct hub_settings settings)
{
	const struct hub_ops ops = {on_writable, on_close, on_pause, NULL};
	struct relay_secret secret;

	memset(&said, 0, sizeof(said));
	now = (struct instant){.boot = 1000 * NS_PER_SEC, .wall = WALL * NS_PER_SEC};
	hub = hub_new(&settings, &ops);
	relay_secret_set(&secret, SECRET, strlen(SECRET));
	hub_set_secret(hub, &secret);
	hub_set_url(hub, "rel://relay.example");
}

static struct hub_settings usual(void)
{
	return (struct hub_settings){
		.clients_max = 100,
		.queue_bytes = 4000,
		.memory_bytes = 100000,
		.subscriptions = 1000,
		.login_ns = 10 * NS_PER_SEC,
		.health_ns = 25 * NS_PER_SEC,
		.answer_ns = 20 * NS_PER_SEC,
	};
}

static void end(void)
{
	while (!list_empty(&hub->sessions))
		hub_remove(hub, container_of(hub->sessions.next, struct session, link), HUB_LOST, now.boot);
	assert_int_equal(hub->queued_bytes, 0);
	assert_int_equal(map_count(hub->topics), 0);
	assert_int_equal(map_count(hub->subscriptions), 0);
	assert_int_equal(hub_clients(hub), 0);
	hub_free(hub);
}

/* The next message of a session, without its frame; its length, 0: none. */
static size_t next(struct session *s, uint8_t out[RELAY_MESSAGE_MAX])
{
	static uint8_t bytes[1 << 20];
	static size_t len, at;
	static struct session *of;
	size_t body, header = 2;

	if (of != s || at == len) {
		of = s;
		at = 0;
		len = hub_fill(hub, s, bytes, sizeof(bytes));
	}
	if (at == len)
		return 0;
	assert_int_equal(bytes[at], 0x82);
	body = bytes[at + 1];
	if (body == 126) {
		body = (size_t)bytes[at + 2] << 8 | bytes[at + 3];
		header = 4;
		assert_true(body >= 126); /* the shortest form, RFC 6455 section 5.2 */
	}
	memcpy(out, bytes + at + header, body);
	at += header + body;
	return body;
}

static void expect(struct session *s, enum relay_type type, const struct relay_id *id)
{
	uint8_t m[RELAY_MESSAGE_MAX];
	size_t len = next(s, m);

	assert_true(len >= 2);
	assert_int_equal(m[1], type);
	if (id)
		assert_memory_equal(m + 2, id, RELAY_ID_LEN);
}

static void expect_nothing(struct session *s)
{
	uint8_t m[RELAY_MESSAGE_MAX];

	assert_int_equal(next(s, m), 0);
}

static bool say_auth(struct session *s, const struct relay_id *id, uint64_t expiry)
{
	uint8_t message[RELAY_AUTH_MAX], token[RELAY_TOKEN_MAX];
	struct relay_secret secret;
	int len;

	relay_secret_set(&secret, SECRET, strlen(SECRET));
	len = relay_token_make(&secret, expiry, token);
	len = relay_put_auth(message, sizeof(message), id, token, (size_t)len);
	return hub_take(hub, s, message, (size_t)len, now);
}

static struct session *login(const char *name)
{
	struct session *s = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	struct relay_id id;

	relay_id_of_text(&id, name);
	assert_true(say_auth(s, &id, WALL + 60));
	expect(s, RELAY_AUTH_RESPONSE, NULL);
	return s;
}

static bool say_list(struct session *s, enum relay_type type, const struct relay_id *id)
{
	uint8_t message[2 + RELAY_ID_LEN];

	relay_put_list(message, sizeof(message), type, id, 1);
	return hub_take(hub, s, message, sizeof(message), now);
}

static bool say_transport(struct session *s, const struct relay_id *to, size_t payload)
{
	uint8_t message[RELAY_MESSAGE_MAX] = {0};

	relay_put_transport(message, to);
	return hub_take(hub, s, message, RELAY_TRANSPORT_LEN + payload, now);
}

static bool say_simple(struct session *s, enum relay_type type)
{
	uint8_t message[2];

	relay_put_simple(message, sizeof(message), type);
	return hub_take(hub, s, message, sizeof(message), now);
}

static void pass(uint64_t ns)
{
	now.boot += ns;
	now.wall += ns;
	hub_run(hub, now.boot);
}

static void gone(struct session *s)
{
	hub_remove(hub, s, HUB_LOST, now.boot);
}

/* ---- tests ---- */

static void test_answer_first(void **state)
{
	struct session *watcher, *s;
	struct relay_id id;
	uint8_t m[RELAY_MESSAGE_MAX];
	size_t len;

	(void)state;
	start(usual());
	watcher = login("watcher");
	relay_id_of_text(&id, "late");
	assert_true(say_list(watcher, RELAY_SUBSCRIBE, &id));
	s = hub_add(hub, NULL, "192.0.2.2:5", now.boot);
	assert_true(say_auth(s, &id, WALL + 60));
	/* The watcher knows and sends before the newcomer has read anything. */
	expect(watcher, RELAY_PEERS_ONLINE, &id);
	assert_true(say_transport(watcher, &id, 10));
	len = next(s, m);
	assert_int_equal(len, 2 + strlen("rel://relay.example"));
	assert_int_equal(m[1], RELAY_AUTH_RESPONSE);
	expect(s, RELAY_TRANSPORT, &watcher->id);
	end();
}

static void test_refusals(void **state)
{
	struct relay_id id;
	struct session *s;

	(void)state;
	start(usual());
	relay_id_of_text(&id, "x");
	s = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	assert_false(say_auth(s, &id, WALL - 1));
	assert_int_equal(s->reason, HUB_TOKEN_EXPIRED);
	gone(s);
	assert_int_equal(hub->counts.ended[HUB_TOKEN_EXPIRED], 1);
	s = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	assert_true(say_auth(s, &id, WALL));	 /* valid while now <= expiry */
	assert_true(say_auth(s, &id, WALL - 5)); /* and a second Auth message means nothing */
	gone(s);
	s = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	assert_false(say_simple(s, RELAY_HEALTH_CHECK));
	assert_int_equal(s->reason, HUB_NOT_LOGGED_IN);
	gone(s);
	s = login("y");
	assert_false(say_list(s, RELAY_PEERS_ONLINE, &id));
	assert_int_equal(s->reason, HUB_BAD_TYPE);
	gone(s);
	end();
}

/* What a session is told of presence, a sign for each peer of each list, however they are packed. */
static const char *facts(struct session *s)
{
	static char signs[64];
	uint8_t m[RELAY_MESSAGE_MAX];
	size_t len, n = 0;

	while ((len = next(s, m)))
		for (size_t at = 2; at < len; at += RELAY_ID_LEN)
			signs[n++] = m[1] == RELAY_PEERS_ONLINE ? '+' : '-';
	signs[n] = '\0';
	return signs;
}

static void test_order(void **state)
{
	struct session *watcher, *peer;
	struct relay_id id;

	(void)state;
	start(usual());
	watcher = login("watcher");
	relay_id_of_text(&id, "peer");
	assert_true(say_list(watcher, RELAY_SUBSCRIBE, &id));
	/* Comes, goes, comes, goes, before the watcher reads anything: four facts in their order. */
	for (int i = 0; i < 2; i++) {
		peer = login("peer");
		assert_true(say_list(watcher, RELAY_SUBSCRIBE, &id)); /* there already: told once more */
		gone(peer);
	}
	assert_string_equal(facts(watcher), "++-++-");
	/* Interest in its coming has fired once since it was asked for last, and offline fires every time. */
	peer = login("peer");
	expect(watcher, RELAY_PEERS_ONLINE, &id);
	gone(peer);
	expect(watcher, RELAY_PEERS_OFFLINE, &id);
	peer = login("peer");
	expect_nothing(watcher);
	gone(peer);
	expect(watcher, RELAY_PEERS_OFFLINE, &id);
	assert_true(say_list(watcher, RELAY_UNSUBSCRIBE, &id));
	peer = login("peer");
	gone(peer);
	expect_nothing(watcher);
	end();
}

static void test_lists(void **state)
{
	struct hub_settings settings = usual();
	struct session *watcher;
	uint8_t m[RELAY_MESSAGE_MAX];
	size_t facts = 0, len, messages = 0;
	char name[16];

	(void)state;
	settings.clients_max = 2000;
	start(settings);
	watcher = login("watcher");
	for (int i = 0; i < 600; i++) {
		struct relay_id id;

		snprintf(name, sizeof(name), "%d", i);
		relay_id_of_text(&id, name);
		assert_true(say_list(watcher, RELAY_SUBSCRIBE, &id));
	}
	for (int i = 0; i < 600; i++) {
		snprintf(name, sizeof(name), "%d", i);
		login(name);
	}
	while ((len = next(watcher, m))) {
		assert_int_equal(m[1], RELAY_PEERS_ONLINE);
		assert_int_equal((len - 2) % RELAY_ID_LEN, 0);
		for (size_t i = 0; i < (len - 2) / RELAY_ID_LEN; i++) {
			struct relay_id id;

			snprintf(name, sizeof(name), "%zu", facts++);
			relay_id_of_text(&id, name);
			assert_memory_equal(m + 2 + i * RELAY_ID_LEN, &id, RELAY_ID_LEN);
		}
		messages++;
	}
	assert_int_equal(facts, 600);
	assert_true(messages < 60);
	end();
}

static void test_same_key(void **state)
{
	struct session *watcher, *older, *newer;
	struct relay_id id;

	(void)state;
	start(usual());
	watcher = login("watcher");
	older = login("twin");
	id = older->id;
	assert_true(say_list(watcher, RELAY_SUBSCRIBE, &id));
	expect(watcher, RELAY_PEERS_ONLINE, &id);
	say_transport(watcher, &id, 10);
	newer = login("twin");
	/* What waited for the older is void; its last word is Close, and then nothing. */
	expect(older, RELAY_CLOSE, NULL);
	assert_true(older->closing);
	say_transport(watcher, &id, 10);
	expect_nothing(older);
	expect(newer, RELAY_TRANSPORT, &watcher->id);
	gone(older);
	assert_int_equal(hub->counts.ended[HUB_REPLACED], 1);
	expect(watcher, RELAY_PEERS_ONLINE,
	       &id); /* that it came was still to be told; that it went was not */
	expect_nothing(watcher);
	assert_int_equal(hub_clients(hub), 2);
	for (int i = 0; i < 3; i++) {
		older = newer;
		newer = login("twin");
		gone(older);
	}
	assert_true(hub->counts.duels > 0);
	/* One that does not take its Close is cut. */
	older = newer;
	login("twin");
	pass(3 * NS_PER_SEC);
	assert_ptr_equal(said.last_closed, older);
	end();
}

static void test_queue(void **state)
{
	struct session *a = NULL, *b, *c;
	uint8_t m[RELAY_MESSAGE_MAX];
	unsigned got = 0;

	(void)state;
	start(usual());
	a = login("a");
	b = login("b");
	c = login("c");
	for (int i = 0; i < 10; i++)
		assert_true(say_transport(a, &b->id, 962)); /* 1000 bytes each, for 4000 */
	assert_int_equal(hub->counts.dropped_queue, b->dropped);
	assert_true(b->dropped >= 6);
	say_transport(a, &c->id, 962); /* another queue is another matter */
	expect(c, RELAY_TRANSPORT, &a->id);
	/* Control does not compete with it. */
	say_list(b, RELAY_SUBSCRIBE, &a->id);
	while (next(b, m) && m[1] == RELAY_TRANSPORT)
		got++;
	assert_int_equal(got, 10 - b->dropped);
	assert_int_equal(m[1], RELAY_PEERS_ONLINE);
	say_transport(a, &b->id, 962);
	expect(b, RELAY_TRANSPORT, &a->id);
	end();
}

static void test_memory(void **state)
{
	struct hub_settings settings = usual();
	struct session *a, *slow[5];
	char name[16];

	(void)state;
	settings.queue_bytes = 100000;
	settings.memory_bytes = 20000;
	start(settings);
	a = login("a");
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "%d", i);
		slow[i] = login(name);
	}
	for (int i = 0; i < 100; i++)
		say_transport(a, &slow[i % 5]->id, 962);
	assert_true(hub->queued_bytes <= 20000);
	assert_true(hub->counts.dropped_memory >= 80);
	end();
}

static void test_health(void **state)
{
	struct session *good, *dead;

	(void)state;
	start(usual());
	good = login("good");
	dead = login("dead");
	pass(25 * NS_PER_SEC);
	expect(good, RELAY_HEALTH_CHECK, NULL);
	expect(dead, RELAY_HEALTH_CHECK, NULL);
	assert_true(say_simple(good, RELAY_HEALTH_CHECK));
	pass(19 * NS_PER_SEC);
	assert_int_equal(said.closed, 0);
	pass(1 * NS_PER_SEC); /* 45 s */
	assert_int_equal(said.closed, 1);
	assert_ptr_equal(said.last_closed, dead);
	assert_int_equal(dead->reason, HUB_SILENT);
	gone(dead);
	pass(5 * NS_PER_SEC);
	expect(good, RELAY_HEALTH_CHECK, NULL);
	assert_true(say_simple(good, RELAY_HEALTH_CHECK));
	pass(25 * NS_PER_SEC);
	expect(good, RELAY_HEALTH_CHECK, NULL);
	assert_true(say_transport(good, &good->id, 5)); /* that is no answer */
	pass(20 * NS_PER_SEC);
	assert_ptr_equal(said.last_closed, good);
	assert_int_equal(said.closed, 2);
	end();
}

static void test_login_time(void **state)
{
	struct session *s;

	(void)state;
	start(usual());
	s = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	assert_int_equal(hub_deadline(hub), now.boot + 10 * NS_PER_SEC);
	pass(10 * NS_PER_SEC - 1);
	assert_int_equal(said.closed, 0);
	pass(1);
	assert_int_equal(said.closed, 1);
	assert_int_equal(s->reason, HUB_NO_LOGIN);
	end();
}

static void test_rate(void **state)
{
	struct hub_settings settings = usual();
	struct session *a, *b;
	uint64_t from;
	unsigned sent = 0;

	(void)state;
	settings.rate = 100000;
	settings.queue_bytes = 10000000;
	settings.memory_bytes = 10000000;
	start(settings);
	a = login("a");
	b = login("b");
	from = now.boot;
	/* A client that sends whenever it is read: in ten seconds it gets a megabyte through, and its burst.
	 */
	while (now.boot - from < 10 * NS_PER_SEC) {
		if (!a->paused) {
			assert_true(say_transport(a, &b->id, 962));
			sent++;
		} else {
			pass(1 * NS_PER_MS);
		}
	}
	assert_true(sent >= 1000 && sent < 1060);
	assert_true(said.paused > 0 && said.paused - said.resumed <= 1);
	assert_int_equal(b->dropped, 0);
	end();
}

static void test_not_reading(void **state)
{
	struct session *a;
	unsigned i;

	(void)state;
	start(usual());
	a = login("a");
	/* It asks and asks and reads no answer. */
	for (i = 0; i < 100000 && !said.closed; i++)
		if (!say_list(a, RELAY_SUBSCRIBE, &a->id))
			break;
	assert_int_equal(a->reason, HUB_NOT_READING);
	assert_true(a->control_bytes < 1 << 20);
	end();
}

static void test_subscriptions(void **state)
{
	struct session *a;
	char name[16];
	unsigned i;

	(void)state;
	start(usual());
	a = login("a");
	for (i = 0; i < 2000; i++) {
		struct relay_id id;

		snprintf(name, sizeof(name), "%u", i);
		relay_id_of_text(&id, name);
		if (!say_list(a, RELAY_SUBSCRIBE, &id))
			break;
	}
	assert_int_equal(i, 1000);
	assert_int_equal(a->reason, HUB_SUBSCRIPTIONS);
	end();
}

static void test_drain(void **state)
{
	struct session *a, *nobody;

	(void)state;
	start(usual());
	a = login("a");
	nobody = hub_add(hub, NULL, "192.0.2.1:5", now.boot);
	hub_drain(hub, now.boot, now.boot + 4 * NS_PER_SEC);
	assert_ptr_equal(said.last_closed, nobody);
	expect(a, RELAY_CLOSE, NULL);
	assert_int_equal(a->reason, HUB_DRAINED);
	pass(4 * NS_PER_SEC);
	assert_ptr_equal(said.last_closed, a);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answer_first), cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_lists),
		cmocka_unit_test(test_same_key),     cmocka_unit_test(test_queue),
		cmocka_unit_test(test_memory),	     cmocka_unit_test(test_health),
		cmocka_unit_test(test_login_time),   cmocka_unit_test(test_rate),
		cmocka_unit_test(test_not_reading),  cmocka_unit_test(test_subscriptions),
		cmocka_unit_test(test_drain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
