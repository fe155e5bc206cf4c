/* The relay client against a server that does what the test says. */
#include "relay_client.h"

#include <errno.h>

static void logs_in(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);
	struct relay_secret secret;
	struct relay_status status;
	uint64_t expiry;
	char url[RELAY_URL_MAX];

	(void)state;
	script_url(s, url);
	assert_int_equal(look(c, server).state, RELAY_IDLE);
	assert_int_equal(look(c, server).generation, 0);
	relay_pool_hold(c->pool, server);
	until_true(c->ups, c);
	status = look(c, server);
	assert_int_equal(status.state, RELAY_UP);
	assert_int_equal(status.generation, 1);
	assert_string_equal(status.instance, url);
	assert_string_equal(status.error, "");
	assert_int_equal(status.opened, 1);
	assert_int_equal(status.holders, 1);
	assert_false(status.tls);

	pthread_mutex_lock(&s->lock);
	assert_non_null(strstr(s->request, "GET /relay HTTP/1.1\r\n"));
	assert_null(strcasestr(s->request, "sec-websocket-extensions"));
	relay_secret_set(&secret, "secret", 6);
	assert_int_equal(
		relay_token_check(&secret, s->token, s->token_len, clock_wall_ns() / NS_PER_SEC, &expiry),
		RELAY_TOKEN_GOOD);
	pthread_mutex_unlock(&s->lock);
	client_free(c);
	script_free(s);
}

static void says_close_when_it_ends(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");

	(void)state;
	go_up(c, s);
	client_free(c);
	for (int i = 0; i < 2000 && !script_count(s, &s->closes); i++)
		usleep(1000);
	assert_int_equal(script_count(s, &s->closes), 1);
	script_free(s);
}

static void carries_datagrams_both_ways(void **state)
{
	struct script *s = script_new();
	struct client *a = client_new("a"), *b = client_new("b");
	uint32_t at_a = go_up(a, s), at_b = go_up(b, s);

	(void)state;
	assert_int_equal(relay_pool_send(a->pool, at_a, &b->id, "hello", 5, 0), 0);
	until_true(atomic_load(&b->received) == 1, a, b);
	assert_string_equal(b->newest, "hello");
	assert_memory_equal(&b->from, &a->id, sizeof(a->id));
	assert_int_equal(atomic_load(&b->received_generation), 1);
	/* A train of three and a bit. */
	assert_int_equal(relay_pool_send(b->pool, at_b, &a->id, "onetwosixx", 10, 3), 0);
	until_true(atomic_load(&a->received) == 4, a, b);
	assert_string_equal(a->newest, "x");
	assert_int_equal(look(b, at_b).tx_packets, 4);
	assert_int_equal(look(b, at_b).tx_bytes, 10);
	assert_int_equal(look(a, at_a).rx_packets, 4);
	assert_int_equal(look(a, at_a).rx_bytes, 10);
	client_free(a);
	client_free(b);
	script_free(s);
}

static void joins_what_came_in_fragments(void **state)
{
	struct script *s = script_new();
	struct client *a = client_new("a"), *b = client_new("b");
	uint32_t at_a;

	(void)state;
	script_set(s, fragment, true);
	at_a = go_up(a, s);
	go_up(b, s);
	relay_pool_send(a->pool, at_a, &b->id, "in two parts", 12, 0);
	until_true(atomic_load(&b->received) == 1, a, b);
	assert_string_equal(b->newest, "in two parts");
	client_free(a);
	client_free(b);
	script_free(s);
}

static void presence_comes_in_order(void **state)
{
	struct script *s = script_new();
	struct client *a = client_new("a"), *b = client_new("b");
	uint32_t at_a = go_up(a, s), at_b;
	unsigned asked;

	(void)state;
	relay_pool_subscribe(a->pool, at_a, &b->id);
	until_true(script_count(s, &s->subscribes) == 1, a);
	assert_int_equal(a->online, 0);
	at_b = go_up(b, s);
	until_true(a->online == 1, a, b);
	assert_int_equal(a->presence_generation, 1);
	/* Who left may come back: that is asked for anew. */
	asked = script_count(s, &s->subscribes);
	script_set(s, login_delay_ms, 50);
	relay_pool_reopen(b->pool, at_b, 1, "test");
	until_true(a->offline == 1, a, b);
	until_true(script_count(s, &s->subscribes) == asked + 1, a, b);
	until_true(a->online >= 2, a, b);
	/* And after our own new login. */
	asked = script_count(s, &s->subscribes);
	relay_pool_reopen(a->pool, at_a, 1, "test");
	until_true(a->presence_generation == 2, a, b);
	assert_int_equal(script_count(s, &s->subscribes), asked + 1);
	relay_pool_unsubscribe(a->pool, at_a, &b->id);
	until_true(script_count(s, &s->unsubscribes) == 1, a, b);
	assert_int_equal(a->out_of_order, 0);
	client_free(a);
	client_free(b);
	script_free(s);
}

static void many_subscriptions_go_in_several_lists(void **state)
{
	struct script *s = script_new();
	struct client *a = client_new("a");
	uint32_t at = add(a, s);
	struct relay_id id;
	char name[32];

	(void)state;
	for (int i = 0; i < 2 * RELAY_LIST_MAX + 1; i++) {
		snprintf(name, sizeof(name), "peer %d", i);
		relay_id_of_text(&id, name);
		relay_pool_subscribe(a->pool, at, &id);
	}
	go_up(a, s);
	until_true(script_count(s, &s->subscribes) == 3, a);
	client_free(a);
	script_free(s);
}

static void what_overtakes_the_answer_is_taken_after_it(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	struct relay_id stranger;
	uint32_t server = add(c, s);

	(void)state;
	relay_id_of_text(&stranger, "stranger");
	script_set(s, overtake, true);
	script_set(s, login_delay_ms, 50);
	relay_pool_subscribe(c->pool, server, &stranger);
	relay_pool_hold(c->pool, server);
	until_true(c->online == 1 && atomic_load(&c->received) == 1, c);
	assert_string_equal(c->newest, "early");
	assert_int_equal(c->out_of_order, 0);
	assert_int_equal(look(c, server).opened, 1);
	client_free(c);
	script_free(s);
}

static void health_checks_are_echoed(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");

	(void)state;
	go_up(c, s);
	script_say_all(s, "\x01\x05", 2);
	until_true(script_count(s, &s->health_echoes) == 1, c);
	client_free(c);
	script_free(s);
}

static void what_it_does_not_know_is_skipped(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = go_up(c, s);

	(void)state;
	script_say_all(s, "\x01\x63zzz", 5);
	script_say_all(s, "\x02\x05", 2);
	script_say_all(s, "\x01", 1);
	script_say_all(s, "\x01\x03short", 7);
	script_say_all(s,
		       "\x01\x0a"
		       "123",
		       5);
	script_say_all(s, "\x01\x05", 2);
	until_true(script_count(s, &s->health_echoes) == 1, c);
	assert_true(is_up(c, server));
	assert_int_equal(look(c, server).opened, 1);
	client_free(c);
	script_free(s);
}

static void a_check_is_answered(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = go_up(c, s);

	(void)state;
	relay_pool_check(c->pool, server, 5 * NS_PER_SEC);
	until_true(c->checked_alive == 1, c);
	assert_true(look(c, server).rtt > 0);
	assert_int_equal(c->checked_dead, 0);
	client_free(c);
	script_free(s);
}

static void an_unanswered_check_dials_again(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = go_up(c, s);

	(void)state;
	script_set(s, mute, true);
	relay_pool_check(c->pool, server, 100 * NS_PER_MS);
	until_true(c->checked_dead == 1, c);
	assert_int_equal(c->check_generation, 1);
	script_set(s, mute, false);
	until_true(is_up(c, server), c);
	assert_int_equal(look(c, server).generation, 2);
	/* An old generation's doubt is not this one's. */
	relay_pool_reopen(c->pool, server, 1, "late");
	run_for(c, 50 * NS_PER_MS);
	assert_true(is_up(c, server));
	assert_int_equal(look(c, server).generation, 2);
	client_free(c);
	script_free(s);
}

static void a_refused_token_is_called_so(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);
	struct relay_status status;

	(void)state;
	script_set(s, refuse_token, true);
	relay_pool_hold(c->pool, server);
	until_true(look(c, server).state == RELAY_WAITING, c);
	status = look(c, server);
	assert_non_null(strstr(status.error, "refused after login"));
	assert_non_null(strstr(status.error, "wrong secret"));
	assert_in_range(status.next_try - clock_boot_ns(), 3 * NS_PER_SEC, 5 * NS_PER_SEC);
	client_free(c);
	script_free(s);
}

static void an_expired_token_is_called_so(void **state)
{
	struct relay_pool_options o = {0};
	struct script *s = script_new();
	struct relay_secret secret;
	struct client *c;
	uint32_t server;

	(void)state;
	relay_secret_set(&secret, "secret", 6);
	o.token_len = (size_t)relay_token_make(&secret, clock_wall_ns() / NS_PER_SEC - 600, o.token);
	c = client_with(&o, "a");
	server = add(c, s);
	script_set(s, refuse_token, true);
	relay_pool_hold(c->pool, server);
	until_true(look(c, server).state == RELAY_WAITING, c);
	assert_string_equal(look(c, server).error, "refused after login: the token expired 10 min ago");
	client_free(c);
	script_free(s);
}

static void an_http_status_is_called_so(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);

	(void)state;
	script_set(s, http_status, 502);
	relay_pool_hold(c->pool, server);
	until_true(look(c, server).state == RELAY_WAITING, c);
	assert_string_equal(look(c, server).error, "refused: HTTP 502");
	client_free(c);
	script_free(s);
}

/* After so many logins; where a server does not take leave, a few crashes of it are no such case yet. */
static void expect_same_key(struct script *s, unsigned logins)
{
	struct client *c = client_new("a");
	uint32_t server = add(c, s);
	uint64_t begun = clock_boot_ns();
	struct relay_status status;

	relay_pool_hold(c->pool, server);
	until_true(strstr(look(c, server).error, "another host logs in with the same key"), c);
	status = look(c, server);
	assert_int_equal(status.state, RELAY_WAITING);
	assert_int_equal(status.opened, logins);
	if (logins == 3) { /* without a word a server may as well crash: nothing waits for that */
		assert_true(status.next_try > begun + 3 * NS_PER_SEC);
		assert_true(status.next_try < clock_boot_ns() + 5 * NS_PER_SEC);
	}
	client_free(c);
}

static void another_host_with_the_key_is_called_so(void **state)
{
	struct script *s = script_new();

	(void)state;
	script_set(s, close_at_login, true);
	expect_same_key(s, 6);
	script_set(s, close_at_login, false);
	script_set(s, leave_at_login, true);
	expect_same_key(s, 3);
	script_free(s);
}

static bool is_up_soon_after_a_restart(void)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = go_up(c, s);
	uint64_t back, took;

	script_down(s);
	until_true(look(c, server).state == RELAY_WAITING, c);
	run_for(c, 4 * NS_PER_SEC);
	assert_false(is_up(c, server));
	script_up(s);
	back = clock_boot_ns();
	until_true(is_up(c, server), c);
	took = clock_boot_ns() - back;
	assert_int_equal(look(c, server).generation, 2);
	assert_string_equal(look(c, server).error, "");
	client_free(c);
	script_free(s);
	return took < 3 * NS_PER_SEC;
}

static void a_restarted_server_is_up_soon(void **state)
{
	unsigned tries = 1;

	(void)state;
	/* Once more where it was the host that stalled. */
	while (!is_up_soon_after_a_restart())
		assert_true(++tries <= 3);
}

/* As after a hole in the network that swallowed what had been begun: TCP would repeat itself after seconds.
 */
static bool is_begun_anew(bool login)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);
	uint64_t begun = clock_boot_ns();
	bool r;

	if (login)
		script_set(s, ignore_logins, 1);
	else
		script_set(s, ignore, 1);
	relay_pool_hold(c->pool, server);
	until_true(look(c, server).error[0], c);
	assert_string_equal(look(c, server).error,
			    login ? "no answer to the login within 1.5 s" : "no answer to HTTP within 1.5 s");
	until_true(is_up(c, server), c);
	r = clock_boot_ns() - begun < 2500 * NS_PER_MS && script_count(s, &s->accepted) == 2;
	client_free(c);
	script_free(s);
	return r;
}

static void what_gets_no_answer_is_begun_anew(void **state)
{
	(void)state;
	for (int login = 0; login < 2; login++) {
		unsigned tries = 1;

		/* A host that stalls can make the second one late, too; not each time. */
		while (!is_begun_anew(login))
			assert_true(++tries <= 5);
	}
}

/* A slow one gets more time with each try, or it would never be up. */
static void a_slow_server_gets_more_time(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);

	(void)state;
	script_set(s, login_delay_ms, 2000);
	relay_pool_hold(c->pool, server);
	until_true(is_up(c, server), c);
	assert_in_range(script_count(s, &s->accepted), 2, 3);
	client_free(c);
	script_free(s);
}

static void a_server_that_takes_leave_is_dialled_again(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = go_up(c, s);

	(void)state;
	script_say_all(s, "\x01\x04", 2);
	until_true(look(c, server).state == RELAY_WAITING, c);
	assert_string_equal(look(c, server).error, "the relay server takes leave");
	until_true(is_up(c, server), c);
	assert_int_equal(look(c, server).generation, 2);
	client_free(c);
	script_free(s);
}

static void the_first_to_answer_is_home(void **state)
{
	struct script *s[3] = {script_new(), script_new(), script_new()};
	struct client *c = client_new("a");
	char urls[3][RELAY_URL_MAX];
	const char *list[3];
	uint32_t home;

	(void)state;
	for (int i = 0; i < 3; i++) {
		script_url(s[i], urls[i]);
		list[i] = urls[i];
	}
	script_set(s[0], deaf, true);
	script_set(s[2], deaf, true);
	relay_pool_set_home(c->pool, list, 3);
	until_true(relay_pool_home(c->pool) != RELAY_NONE, c);
	home = relay_pool_home(c->pool);
	assert_int_equal(home, relay_pool_server(c->pool, urls[1]));
	assert_true(look(c, home).home);
	until_true(look(c, 0).state == RELAY_IDLE && look(c, 2).state == RELAY_IDLE, c);
	/* It is lost: another, at once. */
	script_set(s[2], deaf, false);
	script_down(s[1]);
	until_true(relay_pool_home(c->pool) == 2, c);
	assert_int_equal(look(c, home).home, false);
	/* No longer configured: released after a while, and no home. */
	relay_pool_set_home(c->pool, NULL, 0);
	assert_int_equal(relay_pool_home(c->pool), RELAY_NONE);
	client_free(c);
	for (int i = 0; i < 3; i++)
		script_free(s[i]);
}

static void a_server_has_two_names(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	char url[RELAY_URL_MAX], other[RELAY_URL_MAX + 8];
	uint32_t server;

	(void)state;
	script_url(s, url);
	snprintf(other, sizeof(other), "%s/relay", url);
	server = relay_pool_server(c->pool, other);
	relay_pool_hold(c->pool, server);
	until_true(is_up(c, server), c);
	assert_int_equal(relay_pool_server(c->pool, url), server); /* what it calls itself */
	assert_int_equal(relay_pool_server(c->pool, other), server);
	assert_int_equal(relay_pool_server(c->pool, "http://127.0.0.1"), RELAY_NONE);
	client_free(c);
	script_free(s);
}

static void places_are_used_again(void **state)
{
	struct client *c = client_new("a");
	char url[64];

	(void)state;
	relay_pool_hold(c->pool, relay_pool_server(c->pool, "rel://127.0.0.1:1"));
	for (int i = 0; i < 2 * RELAY_SERVERS_MAX; i++) {
		snprintf(url, sizeof(url), "rel://192.0.2.1:%d", 1000 + i);
		assert_in_range(relay_pool_server(c->pool, url), 1, RELAY_SERVERS_MAX - 1);
	}
	assert_int_equal(relay_pool_server(c->pool, "rel://127.0.0.1:1"), 0);
	client_free(c);
}

/* Names that peers gave us: few, with TLS, and in the way of nothing that is configured. */
static void peers_name_few_servers(void **state)
{
	static const char *const home[] = {"rels://127.0.0.1:1"}, *const plain[] = {"rel://127.0.0.1:1"};
	struct client *c = client_new("a");
	uint32_t first, server;
	char url[64];

	(void)state;
	relay_pool_set_home(c->pool, home, 1);
	assert_int_equal(relay_pool_named(c->pool, home[0], false), 0);
	assert_int_equal(relay_pool_named(c->pool, "rel://192.0.2.1:1", true),
			 RELAY_NONE); /* our token in clear */
	assert_int_equal(relay_pool_named(c->pool, "rels://192.0.2.1:1", false), RELAY_NONE);
	assert_int_equal(relay_pool_named(c->pool, "http://192.0.2.1:1", true), RELAY_NONE);
	for (int i = 0; i < RELAY_FOREIGN_MAX; i++) {
		snprintf(url, sizeof(url), "rels://192.0.2.1:%d", 1000 + i);
		server = relay_pool_named(c->pool, url, true);
		assert_in_range(server, 1, RELAY_SERVERS_MAX - 1);
		relay_pool_hold(c->pool, server);
	}
	first = relay_pool_named(c->pool, "rels://192.0.2.1:1000", false);
	assert_int_not_equal(first, RELAY_NONE);
	assert_int_equal(relay_pool_named(c->pool, "rels://192.0.2.2:1", true), RELAY_NONE);
	/* Whatever they named, we name our own. */
	assert_int_not_equal(relay_pool_server(c->pool, "rels://192.0.2.3:1"), RELAY_NONE);
	assert_int_equal(relay_pool_server(c->pool, "rels://192.0.2.1:1000"), first);
	assert_int_not_equal(relay_pool_named(c->pool, "rels://192.0.2.2:1", true), RELAY_NONE);
	client_free(c);
	c = client_new("a");
	relay_pool_set_home(c->pool, plain, 1);
	assert_int_not_equal(relay_pool_named(c->pool, "rel://192.0.2.1:1", true), RELAY_NONE);
	client_free(c);
}

static void a_full_queue_drops_and_counts(void **state)
{
	static uint8_t train[60000];
	struct script *s = script_new();
	struct client *a = client_new("a"), *b = client_new("b");
	uint32_t at = go_up(a, s);
	struct relay_status status;
	uint64_t given = 0;
	int err = 0;

	(void)state;
	pthread_mutex_lock(&s->lock); /* the server stands still */
	for (int i = 0; i < 10000 && !err; i++) {
		err = relay_pool_send(a->pool, at, &b->id, train, sizeof(train), 1200);
		given += sizeof(train) / 1200;
	}
	assert_int_equal(err, -ENOBUFS);
	status = look(a, at);
	assert_true(status.dropped > 0);
	assert_int_equal(status.dropped + status.tx_packets, given);
	pthread_mutex_unlock(&s->lock);
	/* What is too long for one message is dropped alone. */
	until_true(relay_pool_send(a->pool, at, &b->id, "x", 1, 0) == 0, a);
	given = look(a, at).dropped;
	assert_int_equal(relay_pool_send(a->pool, at, &b->id, train, RELAY_PAYLOAD_MAX + 1, 0), -ENOBUFS);
	assert_int_equal(look(a, at).dropped, given + 1);
	client_free(a);
	client_free(b);
	script_free(s);
}

static void nothing_is_sent_where_it_is_not_up(void **state)
{
	struct script *s = script_new();
	struct client *c = client_new("a");
	uint32_t server = add(c, s);

	(void)state;
	assert_int_equal(relay_pool_send(c->pool, server, &c->id, "x", 1, 0), -ENOTCONN);
	assert_int_equal(relay_pool_send(c->pool, 17, &c->id, "x", 1, 0), -ENOTCONN);
	client_free(c);
	script_free(s);
}

static void ends_while_it_dials(void **state)
{
	struct script *s = script_new();
	struct client *c;
	uint32_t server;

	(void)state;
	script_set(s, deaf, true);
	for (int i = 0; i < 8; i++) {
		c = client_new("a");
		server = add(c, s);
		relay_pool_hold(c->pool, server);
		relay_pool_hold(c->pool, relay_pool_server(c->pool, "rel://localhost:1"));
		run_for(c, (uint64_t)i * 3 * NS_PER_MS);
		client_free(c);
	}
	script_free(s);
}

static void the_networks_change_is_looked_into(void **state)
{
	struct script *s = script_new(), *closed = script_new();
	struct client *c = client_new("a");
	uint32_t up = go_up(c, s), waiting = add(c, closed);
	uint64_t before;

	(void)state;
	script_down(closed);
	relay_pool_hold(c->pool, waiting);
	run_for(c, 2 * NS_PER_SEC);
	script_up(closed);
	before = clock_boot_ns();
	relay_pool_network_changed(c->pool);
	until_true(is_up(c, waiting), c);
	assert_true(clock_boot_ns() - before < NS_PER_SEC / 2);
	until_true(c->checked_alive == 1, c);
	assert_int_equal(look(c, up).opened, 1);
	client_free(c);
	script_free(s);
	script_free(closed);
}

struct sender {
	struct client *client;
	struct relay_id to;
	atomic_bool stop;
};

static void *send_all_the_time(void *arg)
{
	struct sender *sender = arg;
	static const uint8_t data[2400];

	while (!atomic_load(&sender->stop)) {
		relay_pool_send(sender->client->pool, 0, &sender->to, data, sizeof(data), 1200);
		usleep(20);
	}
	return NULL;
}

static void threads_send_while_connections_come_and_go(void **state)
{
	struct script *s = script_new();
	struct client *a = client_new("a"), *b = client_new("b");
	struct sender sender = {.client = a, .to = b->id};
	pthread_t threads[2];
	uint32_t at = go_up(a, s);

	(void)state;
	go_up(b, s);
	for (int i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, send_all_the_time, &sender);
	for (uint32_t i = 1; i <= 5; i++) {
		unsigned got = atomic_load(&b->received);

		until_true(atomic_load(&b->received) > got + 50, a, b);
		relay_pool_reopen(a->pool, at, i, "test");
		until_true(is_up(a, at) && look(a, at).generation == i + 1, a, b);
	}
	atomic_store(&sender.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	client_free(a);
	client_free(b);
	script_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logs_in),
		cmocka_unit_test(says_close_when_it_ends),
		cmocka_unit_test(carries_datagrams_both_ways),
		cmocka_unit_test(joins_what_came_in_fragments),
		cmocka_unit_test(presence_comes_in_order),
		cmocka_unit_test(many_subscriptions_go_in_several_lists),
		cmocka_unit_test(what_overtakes_the_answer_is_taken_after_it),
		cmocka_unit_test(health_checks_are_echoed),
		cmocka_unit_test(what_it_does_not_know_is_skipped),
		cmocka_unit_test(a_check_is_answered),
		cmocka_unit_test(an_unanswered_check_dials_again),
		cmocka_unit_test(a_refused_token_is_called_so),
		cmocka_unit_test(an_expired_token_is_called_so),
		cmocka_unit_test(an_http_status_is_called_so),
		cmocka_unit_test(another_host_with_the_key_is_called_so),
		cmocka_unit_test(a_restarted_server_is_up_soon),
		cmocka_unit_test(what_gets_no_answer_is_begun_anew),
		cmocka_unit_test(a_slow_server_gets_more_time),
		cmocka_unit_test(a_server_that_takes_leave_is_dialled_again),
		cmocka_unit_test(the_first_to_answer_is_home),
		cmocka_unit_test(a_server_has_two_names),
		cmocka_unit_test(places_are_used_again),
		cmocka_unit_test(peers_name_few_servers),
		cmocka_unit_test(a_full_queue_drops_and_counts),
		cmocka_unit_test(nothing_is_sent_where_it_is_not_up),
		cmocka_unit_test(ends_while_it_dials),
		cmocka_unit_test(the_networks_change_is_looked_into),
		cmocka_unit_test(threads_send_while_connections_come_and_go),
	};

	return cmocka_run_group_tests(tests, forget_proxies, NULL);
}
