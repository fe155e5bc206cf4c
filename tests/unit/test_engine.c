/* The engine on real devices (engine_rig.h). Skips itself where TUN devices or namespaces are not allowed. */
#include "tests/unit/engine_rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crypto/primitives.h"

static void packets_cross(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;

	connect_pair(t);
	run_ping(t, "ping -q -n -c 50 -i 0.01 -W 5 10.9.0.2 >/dev/null");
	run_ping(t, "ping -q -n -c 20 -i 0.01 -W 5 -s 20000 10.9.0.2 >/dev/null");
	engine_look_peer(t->a_to_b, &v);
	assert_true(counter_get(&v.wg.counters[WG_COUNT_data_sent]) >= 70);
	assert_true(v.wg.rx_bytes > 20 * 20000);
	assert_int_equal(v.state.word, WORD_DIRECT);
}

/* Time runs ten times as fast here: this spans several rekeys, and none may lose a packet. */
static void rekey_loses_nothing(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;

	connect_pair(t);
	run_ping(t, "ping -q -n -c 300 -i 0.1 -W 5 10.9.0.2 | grep -q ' 0% packet loss'");
	engine_look_peer(t->a_to_b, &v);
	assert_true(counter_get(&v.wg.counters[WG_COUNT_handshake_done]) >= 2);
}

/* Workers move packets while the control thread drains, moves ports and replaces peers. */
static void control_disturbs_workers(void **state)
{
	struct pair *t = *state;
	struct error e;

	connect_pair(t);
	background("ping -q -n -f -w 4 10.9.0.2 >/dev/null; true");
	for (unsigned i = 0; !background_done(t); i++) {
		loop_step(t->loop, false);
		usleep(2000);
		if (i % 50 == 10)
			engine_drain_all(t->a, WG_REASON_user, "test");
		if (i % 50 == 25)
			engine_peer_drain(t->b_to_a, "test");
		if (i % 200 == 100) {
			assert_int_equal(engine_set_listen_port(t->b, 0, &e), 0);
			point(t->a_to_b, engine_listen_port(t->b));
		}
		if (i % 200 == 150) {
			engine_remove_peer(t->b_to_a);
			t->b_to_a = introduce(t->b, &t->a_public, "a", "1");
		}
	}
	point(t->a_to_b, engine_listen_port(t->b));
	assert_int_equal(engine_peer_handshake(t->a_to_b, "test", &e), 0);
	assert_true(run_until(t, tunnel_up));
	run_ping(t, "ping -q -n -c 20 -i 0.01 -W 5 10.9.0.2 >/dev/null");
}

static void endpoint_and_floor_survive(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;
	uint16_t port;

	connect_pair(t);
	port = engine_listen_port(t->b);
	engine_free(t->a);
	t->a = make(t, "weira", t->state_dir);
	engine_set_private_key(t->a, &t->a_private);
	t->a_to_b = introduce(t->a, &t->b_public, "b", "2");
	engine_look_peer(t->a_to_b, &v);
	assert_int_equal(v.origin, ORIGIN_PERSISTED);
	assert_int_equal(ntohs(v.endpoint.in.sin_port), port);
	must("ip addr add 10.9.0.1/24 dev weira && ip link set weira up");
	assert_true(run_until(t, tunnel_up));
}

static bool gone;

static void on_gone(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	gone = true;
}

static bool is_gone(struct pair *t)
{
	(void)t;
	return gone;
}

static void deleted_device_is_noticed(void **state)
{
	struct pair *t = *state;

	connect_pair(t);
	gone = false;
	engine_on_gone(t->a, on_gone, NULL);
	must("ip link del weira");
	assert_true(run_until(t, is_gone));
	assert_false(engine_is_up(t->a));
}

static void peers_are_picked_by_name_and_key(void **state)
{
	struct pair *t = *state;
	char base64[KEY_BASE64_LEN + 1];
	struct engine_peer *p = NULL;
	struct error e;

	key_to_base64(base64, &t->b_public);
	assert_int_equal(engine_pick_peer(t->a, "b", &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	p = NULL;
	assert_int_equal(engine_pick_peer(t->a, base64, &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	base64[6] = '\0';
	p = NULL;
	assert_int_equal(engine_pick_peer(t->a, base64, &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	assert_int_equal(engine_pick_peer(t->a, "nobody", &p, &e), -ENOENT);
	assert_non_null(strstr(e.text, "nobody"));
}

static void timeline_keeps_the_newest(void **state)
{
	struct pair *t = *state;
	struct timeline_event ev[64];
	size_t n;

	for (int i = 1; i <= 200; i++) {
		char text[32];

		engine_note(t->a, t->a_to_b, LOG_DEBUG, "test", "note %d", i);
		n = engine_timeline(t->a_to_b, ev, 64);
		snprintf(text, sizeof(text), "note %d", i);
		assert_string_equal(ev[0].text, text);
		for (size_t k = 1; k < n; k++)
			assert_true(ev[k].sequence < ev[k - 1].sequence);
	}
	assert_int_equal(n, 48);
}

/* What the watchdog asks: idle workers are no reason for alarm, one that stays in its batch is. */
static void a_worker_that_hangs_is_noticed(void **state)
{
	struct pair *p = *state;
	struct worker *w = p->a->workers[0];

	engine_down(p->a);
	assert_true(engine_makes_progress(p->a));
	assert_true(engine_makes_progress(p->a));
	counter_set(&w->turns, counter_get(&w->turns) | 1);
	assert_true(engine_makes_progress(p->a)); /* just begun */
	assert_false(engine_makes_progress(p->a));
	counter_add(&w->turns, 2); /* the next one */
	assert_true(engine_makes_progress(p->a));
	counter_add(&w->turns, 1); /* done */
	assert_true(engine_makes_progress(p->a));
	assert_true(engine_makes_progress(p->a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(peers_are_picked_by_name_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(timeline_keeps_the_newest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worker_that_hangs_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(packets_cross, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rekey_loses_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_disturbs_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(endpoint_and_floor_survive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deleted_device_is_noticed, set_up, tear_down),
	};

	if (!isolate()) {
		puts("skipped: no TUN device or no namespaces here");
		return 77;
	}
	crypto_init();
	log_set_level(LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
