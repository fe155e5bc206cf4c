/* The peer controller: which path, and when another. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_rig.h"
#include "test.h"

/* Relay and direct both proven, tunnel up on direct, traffic both ways. */
static void both_up(struct rig *r)
{
	rig_way(r, rig_direct);
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_relay_up(r, 0, 1);
	rig_hello(r, rig_relay(0, 1));
	assert_true(rig_until_chosen(r, rig_direct, 2000));
	rig_tunnel(r);
	r->traffic = 20 * NS_PER_MS;
	rig_run(r, 2000);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
	rig_forget(r);
}

/* Only the relay, tunnel up, traffic. */
static void relayed(struct rig *r)
{
	rig_relay_up(r, 0, 1);
	rig_hello(r, rig_relay(0, 1));
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 2000));
	rig_tunnel(r);
	r->traffic = 20 * NS_PER_MS;
	rig_run(r, 500);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
}

static void prefers_direct_unproven(void **state)
{
	struct rig *r = *state;

	rig_relay_up(r, 0, 1);
	assert_int_equal(r->chosen.kind, PATH_KIND_RELAY);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1); /* nothing is known: at once */
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_run(r, 10);
	assert_int_equal(r->chosen.kind, PATH_KIND_DIRECT);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_CHECKING);
}

/* I2: the relay works; direct takes over only after a tunnel packet each way. */
static void makes_before_it_breaks(void **state)
{
	struct rig *r = *state;
	struct rig_way *w;

	relayed(r);
	w = rig_way(r, rig_direct);
	w->out = false; /* pings pass, WireGuard does not (F41) */
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_run(r, 20000);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_UP);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	w->out = true;
	rig_run(r, 40000);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	assert_true(rig_noted(r, "proven by a tunnel packet each way"));
}

/* The other half: they cannot reach us there. */
static void one_way_filter_never_takes_over(void **state)
{
	struct rig *r = *state;

	relayed(r);
	rig_way(r, rig_direct)->in = false;
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_run(r, 90000);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(rig_look(r).path_changes, 1);
}

static void a_dead_path_is_left_within_a_second(void **state)
{
	struct rig *r = *state;
	uint8_t session[SIGNAL_SESSION_LEN];

	both_up(r);
	memcpy(session, rig_look(r).local_session, sizeof(session));
	rig_way(r, rig_direct)->alive = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1000));
	assert_true(rig_noted(r, "direct to relay: "));
	assert_true(rig_noted(r, "packets sent and nothing came back for"));
	assert_true(rig_noted(r, "pings unanswered; relay answers in 20 ms"));
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_STALE);
	assert_int_equal(r->frames[SIGNAL_STALE], 1);
	assert_int_equal(r->last_frame[SIGNAL_STALE].about, PATH_KIND_DIRECT);
	assert_memory_not_equal(session, rig_look(r).local_session, sizeof(session)); /* I4 */
	assert_int_equal(rig_look(r).session_reason, SIGNAL_REASON_tunnel_timeout);
	assert_int_equal(rig_look(r).watch_slot, PEER_RELAY); /* I9 */
	assert_int_not_equal(rig_look(r).watch, PEER_WATCH_OFF);
	rig_run(r, 5000);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 0); /* I5: keys stay */
	rig_way(r, rig_direct)->alive = true;
	assert_true(rig_until_chosen(r, rig_direct, 40000));
}

/* Round trips that were long once would give a dead path whole seconds. */
static void a_long_round_trip_is_no_long_reprieve(void **state)
{
	struct rig *r = *state;

	both_up(r);
	for (int i = 0; i < 6; i++) {
		rig_way(r, rig_direct)->rtt = (i % 2 ? 100 : 1000) * NS_PER_MS;
		rig_command(r, PEER_PROBE);
		rig_run(r, 1500);
	}
	assert_true(rig_look(r).paths[PEER_DIRECT].rtt > 350 * NS_PER_MS);
	rig_run(r, 3000);
	rig_way(r, rig_direct)->alive = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 2000));
}

/* The initiation that is under way went the dead way. */
static void a_handshake_follows_to_the_new_path(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_run(r, 5000);
	rig_forget(r);
	r->facts.attempt = 1;
	rig_way(r, rig_direct)->alive = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1000));
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
	assert_int_equal(r->last[PEER_ACT_HANDSHAKE].path.kind, PATH_KIND_RELAY);
}

/* WireGuard itself waits 5 s before it repeats one that was lost, whatever is known of the path. */
static void a_lost_initiation_is_repeated_soon(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_run(r, 5000);
	rig_forget(r);
	r->facts.attempt = 1;
	rig_run(r, 900);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 0);
	rig_run(r, 600);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
	rig_run(r, 60000);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 3);
	assert_int_equal(rig_changes(r), 0);
}

/* I9, F7: the path that was switched to is watched like the first. */
static void the_second_path_is_watched_too(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_direct)->alive = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1000));
	rig_run(r, 1000);
	rig_way(r, rig_direct)->alive = true;
	rig_run(r, 2000);
	rig_way(r, rig_relay(0, 1))->alive = false;
	assert_true(rig_until_chosen(r, rig_direct, 1500));
}

/* What answered before the fault is no proof after it: the watcher knows of no way out. */
static void an_old_answer_is_no_way_out(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 400); /* both answer what the event asked */
	rig_way(r, rig_direct)->alive = false;
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_run(r, 1400);
	assert_true(rig_noted(r, "watcher direct"));
	assert_false(rig_noted(r, "; relay answers"));
}

static void one_way_traffic_is_quiet(void **state)
{
	struct rig *r = *state;

	both_up(r);
	r->one_way = true;
	for (int i = 0; i < 6; i++) {
		rig_run(r, 10000);
		rig_packet(r, rig_direct); /* the passive keepalive */
	}
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 0);
	assert_false(rig_noted(r, "watcher"));
	assert_false(rig_noted(r, "ladder"));
	assert_in_range(r->frames[SIGNAL_PING], 1, 60 * 3);
}

static void idle_peers_are_left_alone(void **state)
{
	struct rig *r = *state;

	both_up(r);
	r->traffic = 0;
	rig_run(r, 60000);
	rig_forget(r);
	rig_run(r, 600000);
	assert_in_range(r->frames[SIGNAL_PING], 1, 12); /* standby every 5 min, MTU every 10 min */
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
}

/* F2, F41: STUN and pings pass, WireGuard does not. */
static void filtered_out(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_direct)->out = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 3500));
	assert_true(rig_noted(r, "WireGuard does not pass on direct though pings do"));
	assert_true(rig_noted(r, "of ours did not arrive"));
	rig_run(r, 60000);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(rig_changes(r), 1);
}

/* A relay that is slow for a moment is no reason to go where WireGuard does not pass; one that is dead is. */
static void filtered_is_the_last_hope(void **state)
{
	struct rig *r = *state;
	struct rig_way *w;

	relayed(r);
	w = rig_way(r, rig_direct);
	w->out = w->in = false;
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_run(r, 10000);
	assert_true(rig_look(r).paths[PEER_DIRECT].filtered);
	assert_true(rig_noted(r, "direct answers pings and WireGuard does not pass there"));
	rig_forget(r);
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_run(r, 900);
	rig_way(r, rig_relay(0, 1))->alive = true;
	rig_run(r, 10000);
	assert_int_equal(rig_changes(r), 0);
	rig_way(r, rig_relay(0, 1))->alive = false;
	assert_true(rig_until_chosen(r, rig_direct, 5000));
	rig_way(r, rig_relay(0, 1))->alive = true;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1200)); /* no new evidence is waited for */
}

/* A path that was found filtered, with nothing better, can still die; then it must not count as proven. */
static void filtered_then_dead(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_way(r, rig_direct)->out = false;
	rig_run(r, 6000);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	assert_int_equal(rig_look(r).watch, PEER_WATCH_FIRED);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_UP);
	rig_way(r, rig_direct)->alive = false;
	rig_run(r, 2000);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_STALE);
	assert_true(rig_noted(r, "and no other path answers"));
}

/* Before the path is blamed, the keys are: they may be out of step. */
static void keys_out_of_step(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_direct)->out = rig_way(r, rig_relay(0, 1))->out = false;
	rig_run(r, 1100);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	rig_way(r, rig_direct)->out = true;
	rig_run(r, 3000);
	assert_int_equal(rig_changes(r), 0);
}

static void filtered_in(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_direct)->in = false;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 3500));
	assert_true(rig_noted(r, "did not arrive"));
}

/* F43: what was under way on the old path when we left it does not move us back. */
static void late_packets_do_not_move_us(void **state)
{
	struct rig *r = *state;

	relayed(r);
	rig_way(r, rig_direct);
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	assert_true(rig_until_chosen(r, rig_direct, 5000));
	r->one_way = true;
	for (int i = 0; i < 20; i++) {
		rig_packet(r, rig_relay(0, 1));
		rig_run(r, 100);
		assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	}
	rig_run(r, 3000);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
}

/* The far end has left the path, says so, and sends elsewhere. */
static void follows_the_peer(void **state)
{
	struct rig *r = *state;
	struct signal_message m;

	both_up(r);
	r->traffic = 0;
	rig_run(r, 5000);
	m = rig_message(r, SIGNAL_STALE);
	m.has = SIGNAL_HAS_PATH;
	m.path = PATH_KIND_DIRECT;
	rig_way(r, rig_direct)->in = false;
	rig_frame(r, rig_relay(0, 1), &m, false);
	rig_packet(r, rig_relay(0, 1));
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 500));
	assert_true(rig_noted(r, "the peer sends there"));
}

/* It prefers the relay and goes on sending there: so do we, after a while, once. */
static void follows_a_preference(void **state)
{
	struct rig *r = *state;

	both_up(r);
	r->one_way = true;
	r->courts = false;
	for (int i = 0; i < 100; i++) {
		rig_packet(r, rig_relay(0, 1));
		rig_run(r, 100);
	}
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(rig_changes(r), 1);
}

static void preference_of_the_user(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_command(r, PEER_PREFER_RELAY);
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 500));
	rig_run(r, 20000);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	rig_event(r, PEER_EV_RELAY, rig_relay(0, 1), false);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT); /* as long as it is up */
	rig_relay_up(r, 0, 2);
	assert_true(rig_until_chosen(r, rig_relay(0, 2), 2000));
	rig_command(r, PEER_PREFER_AUTO);
	assert_true(rig_until_chosen(r, rig_direct, 2000));
	rig_command(r, PEER_FORCE_RELAY);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
}

static void relay_only(void **state)
{
	struct rig *r = rig_new(PEER_RELAY_ONLY, true);

	(void)state;
	rig_step(r, (struct peer_event){.type = PEER_EV_START});
	rig_way(r, rig_direct);
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	assert_int_equal(rig_look(r).chosen, PEER_NO_SLOT);
	rig_relay_up(r, 0, 1);
	rig_hello(r, rig_relay(0, 1));
	rig_run(r, 1000);
	rig_tunnel(r);
	r->traffic = 50 * NS_PER_MS;
	rig_run(r, 60000);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 0);
	rig_free(r);
}

static void plain_peers_do_nothing(void **state)
{
	struct rig *r = rig_new(PEER_PLAIN, true);

	(void)state;
	rig_step(r, (struct peer_event){.type = PEER_EV_START});
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	rig_run(r, 60000);
	assert_int_equal(r->acts[PEER_ACT_SEND], 0);
	assert_int_equal(r->acts[PEER_ACT_RELAY_HOLD], 0);
	assert_int_equal(peer_deadline(r->m), 0);
	rig_free(r);
}

/* A peer that never answers frames is not pestered, and WireGuard does as it always did. */
static void silent_peers_are_not_pestered(void **state)
{
	struct rig *r = *state;

	r->boot = 0;
	rig_way(r, rig_direct);
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	r->facts.attempt = 1;
	rig_run(r, 5000);
	rig_tunnel(r);
	r->traffic = 100 * NS_PER_MS;
	rig_run(r, 300000);
	assert_in_range(r->frames[SIGNAL_HELLO], 1, 3);
	assert_int_equal(r->frames[SIGNAL_PING], 0);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
}

/* F8, I10: a night of suspend is no evidence. */
static void suspend_is_no_evidence(void **state)
{
	struct rig *r = *state;

	both_up(r);
	r->facts.unanswered_since = r->now;
	rig_run(r, 150);
	r->now += 8 * 3600 * NS_PER_SEC;
	for (unsigned i = 0; i < r->queued; i++)
		free(r->queue[i].message);
	r->queued = 0;
	r->next_data = r->now;
	rig_run(r, 3000);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	assert_int_equal(rig_changes(r), 0);
	assert_false(rig_noted(r, "nothing came back"));
}

/* F10: a standby that died is known before it is needed. */
static void a_dead_standby_is_noticed(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_run(r, 40000);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_STALE);
	assert_true(rig_noted(r, "standby relay is stale"));
	assert_true(r->acts[PEER_ACT_RELAY_CHECK] >= 1);
	rig_way(r, rig_relay(0, 1))->alive = true;
	rig_run(r, 40000);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
}

static void mtu_is_found(void **state)
{
	struct rig *r = *state;

	rig_way(r, rig_direct)->mtu = 1372;
	both_up(r);
	rig_run(r, 5000);
	assert_in_range(rig_look(r).paths[PEER_DIRECT].mtu, 1372 - 16, 1372);
	assert_in_range(rig_look(r).paths[PEER_DIRECT].mtu_failed, 1373, 1372 + 16);
	assert_int_equal(r->last[PEER_ACT_MTU].size, rig_look(r).paths[PEER_DIRECT].mtu);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
	rig_way(r, rig_direct)->mtu = 0;
	rig_run(r, 700000);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].mtu, 1452);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].mtu, 0);
}

/* Large packets vanish later on: noticed while data flows, by itself; and what is known is kept until then.
 */
static void mtu_shrinks(void **state)
{
	struct rig *r = *state;

	both_up(r);
	rig_run(r, 5000);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].mtu, 1452);
	rig_way(r, rig_direct)->mtu = 1300;
	rig_run(r, 25000);
	assert_in_range(rig_look(r).paths[PEER_DIRECT].mtu, 1300 - 16, 1300);
	assert_int_equal(r->last[PEER_ACT_MTU].size, rig_look(r).paths[PEER_DIRECT].mtu);
	assert_true(rig_noted(r, "carries 1452 bytes no more"));
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
}

static void the_table_fits_a_terminal(void **state)
{
	struct strbuf b = {0};
	(void)state;

	peer_table_print(&b);
	for (char *line = strtok(b.text, "\n"); line; line = strtok(NULL, "\n"))
		assert_in_range(strlen(line), 0, 80);
	strbuf_clear(&b);
}

/* Numbers that show nothing are left out, and one of a thing is one. */
static void says_something(const char *text)
{
	static const char *const empty[] = {"0 packets", "0 pings",  "1 packets", "1 pings",
					    "for 0 ms",	 "for 1 ms", "for 20 ms", "in 0 ms"};

	for (unsigned i = 0; i < sizeof(empty) / sizeof(*empty); i++) {
		const char *at = strstr(text, empty[i]);

		if (at && (at == text || at[-1] < '0' || at[-1] > '9'))
			fail_msg("%s", text);
	}
}

static void watch_words(struct rig *r, uint64_t milliseconds)
{
	for (uint64_t i = 0; i < milliseconds; i += 5) {
		rig_run(r, 5);
		says_something(rig_look(r).watch_why);
	}
	says_something(r->notes);
}

static void words_of_the_watcher_say_something(void **state)
{
	struct rig *r = *state;

	both_up(r);
	r->traffic = 0;
	rig_event(r, PEER_EV_NETWORK, rig_direct, true); /* asked, though nobody sends */
	watch_words(r, 500);
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_way(r, rig_direct)->alive = false;
	rig_run(r, 2500);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	watch_words(r, 4000);
	r->facts.unanswered_since = r->now; /* and nothing is counted as sent on the path */
	watch_words(r, 4000);
	assert_non_null(strstr(rig_look(r).watch_why, "pings unanswered; no other path answers"));
	r->traffic = 20 * NS_PER_MS;
	watch_words(r, 4000);
	rig_way(r, rig_direct)->alive = rig_way(r, rig_relay(0, 1))->alive = true;
	watch_words(r, 4000);
	rig_way(r, rig_direct)->out = false;
	watch_words(r, 4000);
	rig_way(r, rig_direct)->out = true;
	rig_way(r, rig_direct)->in = rig_way(r, rig_relay(0, 1))->in = false;
	watch_words(r, 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(prefers_direct_unproven, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(makes_before_it_breaks, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(one_way_filter_never_takes_over, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_dead_path_is_left_within_a_second, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_long_round_trip_is_no_long_reprieve, rig_setup,
						rig_teardown),
		cmocka_unit_test_setup_teardown(a_lost_initiation_is_repeated_soon, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_handshake_follows_to_the_new_path, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(the_second_path_is_watched_too, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(one_way_traffic_is_quiet, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(idle_peers_are_left_alone, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(words_of_the_watcher_say_something, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(filtered_out, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(filtered_is_the_last_hope, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(filtered_then_dead, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(keys_out_of_step, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(filtered_in, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(late_packets_do_not_move_us, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(follows_the_peer, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(follows_a_preference, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(preference_of_the_user, rig_setup, rig_teardown),
		cmocka_unit_test(relay_only),
		cmocka_unit_test(plain_peers_do_nothing),
		cmocka_unit_test_setup_teardown(silent_peers_are_not_pestered, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(suspend_is_no_evidence, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(a_dead_standby_is_noticed, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(mtu_is_found, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(mtu_shrinks, rig_setup, rig_teardown),
		cmocka_unit_test_setup_teardown(an_old_answer_is_no_way_out, rig_setup, rig_teardown),
		cmocka_unit_test(the_table_fits_a_terminal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
