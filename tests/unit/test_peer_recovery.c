/* The peer controller: restarts, goodbyes, relays that come and go, and the ladder. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_rig.h"
#include "test.h"

static void relayed(struct rig *r)
{
	rig_relay_up(r, 0, 1);
	rig_hello(r, rig_relay(0, 1));
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 2000));
	rig_tunnel(r);
	r->traffic = 50 * NS_PER_MS;
	rig_run(r, 100);
	rig_forget(r);
}

static void direct_and_relay(struct rig *r)
{
	rig_way(r, rig_direct);
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, true);
	relayed(r);
	assert_true(rig_until_chosen(r, rig_direct, 3000));
	rig_run(r, 1000);
	rig_forget(r);
}

static void bye(struct rig *r, enum signal_reason why, uint8_t flags)
{
	struct signal_message m = rig_message(r, SIGNAL_BYE);

	m.reason = why;
	m.has = SIGNAL_HAS_REASON | SIGNAL_HAS_BACK_IN;
	m.flags = flags;
	m.back_in_ms = 1000;
	rig_frame(r, r->chosen, &m, false);
}

/* I5, F20: one step from the first frame of the new boot to drain and handshake. */
static void a_restart_is_answered_at_once(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	rig_run(r, 6000);
	r->boot = 78;
	rig_forget(r);
	rig_hello(r, rig_relay(0, 1));
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 1);
	assert_int_equal(r->last[PEER_ACT_DRAIN].reason, SIGNAL_REASON_remote_restarted);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
	assert_int_equal(r->chosen.kind,
			 PATH_KIND_RELAY); /* where it was heard; direct has to prove itself */
	assert_int_equal(rig_look(r).remote_boot, 78);
}

/* It has already shaken hands when its first frame comes: these keys are good. */
static void fresh_keys_survive_the_news(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	rig_run(r, 6000);
	r->traffic = 0;
	rig_run(r, 100);
	r->boot = 78;
	r->facts.last_handshake = r->now;
	rig_event(r, PEER_EV_HANDSHAKE, rig_direct, true);
	rig_forget(r);
	rig_hello(r, rig_relay(0, 1));
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 0);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
}

static void goodbye_and_return(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	bye(r, SIGNAL_REASON_shutdown, 0);
	r->facts.usable = false;
	r->facts.unanswered_since = 0;
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 1);
	assert_true(rig_look(r).remote_away);
	assert_int_not_equal(rig_look(r).remote_back_at, 0);
	r->traffic = 0;
	rig_run(r, 1000);
	rig_forget(r);
	rig_run(r, 60000);
	assert_int_equal(r->frames[SIGNAL_PING] + r->frames[SIGNAL_HELLO] + r->acts[PEER_ACT_HANDSHAKE], 0);
	r->boot = 78;
	rig_hello(r, rig_relay(0, 1));
	assert_false(rig_look(r).remote_away);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 1);
}

static void back_without_a_frame(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	bye(r, SIGNAL_REASON_shutdown, 0);
	/* While it goes down it answers what we began before we knew. */
	rig_event(r, PEER_EV_HANDSHAKE, rig_direct, true);
	assert_true(rig_look(r).remote_away);
	rig_run(r, 1100);
	rig_event(r, PEER_EV_HANDSHAKE, rig_direct, true);
	assert_false(rig_look(r).remote_away);
}

static void drained_is_not_away(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	bye(r, SIGNAL_REASON_drain, 0);
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 1);
	assert_false(rig_look(r).remote_away);
}

static void says_goodbye_on_every_path(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	rig_step(r, (struct peer_event){.type = PEER_EV_STOP, .restarts = true});
	assert_int_equal(r->frames[SIGNAL_BYE], 2);
	assert_int_equal(r->last_frame[SIGNAL_BYE].flags, SIGNAL_RESTARTS);
	assert_int_equal(r->last_frame[SIGNAL_BYE].reason, SIGNAL_REASON_restart);
	assert_true(r->acts[PEER_ACT_RELAY_RELEASE] >= 1);
	assert_int_equal(peer_deadline(r->m), 0);
	/* Once more when it is down indeed, where somebody did not take it for that. */
	rig_forget(r);
	r->facts.usable = false;
	rig_step(r, (struct peer_event){.type = PEER_EV_STOP});
	assert_int_equal(r->frames[SIGNAL_BYE], 0);
	r->facts.usable = true;
	rig_step(r, (struct peer_event){.type = PEER_EV_STOP});
	assert_true(r->frames[SIGNAL_BYE] >= 1);
	rig_step(r, (struct peer_event){.type = PEER_EV_START});
	assert_true(r->acts[PEER_ACT_RELAY_HOLD] >= 1);
}

/* F26: missing at our home for a second: the other servers are asked, too. */
static void two_servers(void **state)
{
	struct rig *r = *state;

	assert_int_equal(r->acts[PEER_ACT_RELAY_HOLD], 1);
	assert_int_equal(r->last[PEER_ACT_RELAY_HOLD].path.id, 0);
	rig_event(r, PEER_EV_RELAY, rig_relay(0, 1), true);
	rig_run(r, 1100);
	assert_int_equal(r->acts[PEER_ACT_RELAY_HOLD], 2);
	assert_int_equal(r->last[PEER_ACT_RELAY_HOLD].path.id, 1);
	rig_relay_up(r, 1, 1);
	assert_int_equal(r->chosen.id, 1);
	rig_hello(r, rig_relay(1, 1));
	rig_run(r, 100);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
	rig_event(r, PEER_EV_REMOTE_RELAY, rig_relay(7, 0), true);
	assert_int_equal(rig_look(r).remote_relay, 7);
	assert_int_equal(r->acts[PEER_ACT_RELAY_HOLD], 2); /* no need: a relay path is up */
}

/* F18, F34. */
static void presence_is_lost(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	rig_event(r, PEER_EV_PRESENCE, rig_relay(0, 1), false);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_STALE);
	assert_false(rig_look(r).paths[PEER_RELAY].peer_online);
	rig_event(r, PEER_EV_PRESENCE, rig_relay(0, 1), true);
	rig_run(r, 100);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
	assert_int_equal(rig_look(r).chosen, PEER_DIRECT);
}

/* U12, F21: what came of an older connection changes nothing. */
static void late_news_of_an_old_relay_connection(void **state)
{
	struct rig *r = *state;
	uint64_t stale;

	relayed(r);
	rig_event(r, PEER_EV_RELAY, rig_relay(0, 1), false);
	assert_int_equal(rig_look(r).chosen, PEER_NO_SLOT);
	assert_int_equal(r->chosen.kind, PATH_KIND_NONE);
	rig_relay_up(r, 0, 2);
	rig_run(r, 100);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	stale = rig_look(r).stale_results;
	rig_event(r, PEER_EV_RELAY, rig_relay(0, 1), false);
	rig_event(r, PEER_EV_PRESENCE, rig_relay(0, 1), false);
	rig_event(r, PEER_EV_RELAY_CHECKED, rig_relay(0, 1), false);
	assert_int_equal(rig_look(r).stale_results, stale + 3);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
	rig_event(r, PEER_EV_RELAY, rig_relay(0, 2), true); /* I3: open already */
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
}

static void relay_loss_does_not_touch_the_direct_path(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	for (uint32_t i = 1; i < 50; i++) {
		rig_event(r, PEER_EV_RELAY, rig_relay(0, i), false);
		rig_run(r, 100);
		r->ways[1].ref.kind = PATH_KIND_NONE;
		rig_relay_up(r, 0, i + 1);
		rig_run(r, 100);
	}
	assert_int_equal(rig_changes(r), 0);
	assert_int_equal(r->acts[PEER_ACT_HANDSHAKE], 0);
}

/* I6: everything dead for a minute; packets flow again: it works within a second or so. */
static void heals_as_soon_as_packets_pass(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	rig_way(r, rig_direct)->alive = false;
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_run(r, 60000);
	assert_int_not_equal(rig_look(r).next_rung, PEER_RUNG_NONE);
	assert_true(rig_noted(r, "no other path answers"));
	assert_true(r->acts[PEER_ACT_RELAY_CHECK] >= 1);
	rig_forget(r);
	rig_way(r, rig_relay(0, 1))->alive = true;
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1200) || rig_look(r).chosen == PEER_RELAY);
	rig_run(r, 1000);
	assert_int_equal(rig_look(r).paths[PEER_RELAY].state, PATH_UP);
	assert_true(r->facts.last_received + 200 * NS_PER_MS > r->now);
	assert_int_equal(rig_look(r).next_rung, PEER_RUNG_NONE);
}

/* Keys are gone and a path proves itself: handshakes at once, and every second. */
static void handshakes_follow_a_proof(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	r->traffic = 0;
	rig_run(r, 100);
	r->facts.usable = false;
	r->facts.attempt = 1;
	rig_way(r, rig_direct)->alive = rig_way(r, rig_relay(0, 1))->alive = false;
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 20000);
	rig_forget(r);
	rig_way(r, rig_direct)->alive = true;
	rig_run(r, 1200);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].state, PATH_UP);
	assert_in_range(r->acts[PEER_ACT_HANDSHAKE], 1, 3);
	rig_run(r, 5000);
	assert_in_range(r->acts[PEER_ACT_HANDSHAKE], 4, 9);
	/* It goes on: that WireGuard passes again is not announced. */
	rig_run(r, 60000);
	for (int i = 0; i < 10; i++) {
		rig_forget(r);
		rig_run(r, 2500);
		assert_in_range(r->acts[PEER_ACT_HANDSHAKE], 1, 3);
	}
}

static void the_ladder_is_climbed_in_order(void **state)
{
	struct rig *r = *state;
	struct peer_look l;
	unsigned total = 0;

	direct_and_relay(r);
	r->facts.shared_socket_works = true;
	r->traffic = 0;
	rig_run(r, 100);
	rig_way(r, rig_direct)->alive = rig_way(r, rig_relay(0, 1))->alive = false;
	r->facts.usable = false;
	r->facts.attempt = 1;
	rig_step(r, (struct peer_event){.type = PEER_EV_TIMER});
	assert_int_equal(rig_look(r).next_rung, PEER_RUNG_HANDSHAKE);
	assert_true(rig_look(r).next_rung_at > r->now);
	rig_run(r, 120000);
	l = rig_look(r);
	for (int i = 0; i < PEER_RUNGS; i++)
		total += l.rungs_taken[i];
	assert_true(l.rungs_taken[PEER_RUNG_HANDSHAKE] && l.rungs_taken[PEER_RUNG_ENDPOINT] &&
		    l.rungs_taken[PEER_RUNG_PORT] && l.rungs_taken[PEER_RUNG_SESSION]);
	assert_int_equal(l.rungs_taken[PEER_RUNG_PATH], 0); /* the other one is stale: no evidence for it */
	assert_in_range(total, 10, 70);
	assert_true(strstr(r->notes, "ladder handshake now") < strstr(r->notes, "ladder clear source"));
	rig_run(r, 3600000); /* F14 */
	assert_true(rig_look(r).next_rung_at <= r->now + 20 * NS_PER_SEC);
}

static void the_user_commands_the_ladder(void **state)
{
	struct rig *r = *state;
	struct peer_look l;

	direct_and_relay(r);
	r->traffic = 0;
	rig_run(r, 100);
	rig_way(r, rig_direct)->alive = rig_way(r, rig_relay(0, 1))->alive = false;
	r->facts.usable = false;
	r->facts.attempt = 1;
	rig_step(r, (struct peer_event){.type = PEER_EV_TIMER});
	rig_command(r, PEER_LADDER_SKIP);
	l = rig_look(r);
	assert_int_equal(l.rungs_taken[PEER_RUNG_HANDSHAKE], 0);
	assert_int_not_equal(l.next_rung, PEER_RUNG_HANDSHAKE);
	rig_command(r, PEER_LADDER_NOW);
	assert_int_equal(rig_look(r).rungs_taken[l.next_rung], 1);
	rig_command(r, PEER_LADDER_HOLD);
	l = rig_look(r);
	assert_true(l.ladder_held);
	rig_run(r, 60000);
	assert_memory_equal(l.rungs_taken, rig_look(r).rungs_taken, sizeof(l.rungs_taken));
	rig_command(r, PEER_LADDER_HOLD); /* told twice it is held all the same */
	rig_run(r, 60000);
	assert_memory_equal(l.rungs_taken, rig_look(r).rungs_taken, sizeof(l.rungs_taken));
	rig_command(r, PEER_LADDER_RESUME);
	rig_run(r, 10000);
	assert_memory_not_equal(l.rungs_taken, rig_look(r).rungs_taken, sizeof(l.rungs_taken));
}

/* What the user asks for is done though nothing is wrong, and the ladder goes on from where it is. */
static void a_rung_is_taken_when_told(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	assert_int_equal(rig_look(r).next_rung, PEER_RUNG_NONE);
	rig_command(r, PEER_FRESH_PORT);
	assert_int_equal(rig_look(r).rungs_taken[PEER_RUNG_PORT], 1);
	rig_command(r, PEER_REOPEN_RELAY);
	assert_int_equal(rig_look(r).rungs_taken[PEER_RUNG_REOPEN], 1);
	assert_int_equal(rig_look(r).next_rung, PEER_RUNG_NONE);
	assert_true(rig_noted(r, "fresh source port: asked for by the user"));
}

static void network_change_asks_at_once(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	r->traffic = 0;
	rig_run(r, 2000);
	rig_way(r, rig_direct)->alive = false;
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1000)); /* without any traffic */
	assert_true(rig_noted(r, "the network changed"));
}

/* Both paths dead after it: the relay's connection is dialled anew before its check has run out, unless it
 * answers. */
static void network_change_and_the_relay(void **state)
{
	struct rig *r = *state;

	relayed(r);
	r->traffic = 0;
	rig_run(r, 2000);
	rig_forget(r);
	rig_way(r, rig_relay(0, 1))->alive = false;
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	assert_int_equal(r->acts[PEER_ACT_RELAY_CHECK], 1);
	rig_event(r, PEER_EV_RELAY_CHECKED, rig_relay(0, 1),
		  true); /* the server lives: it is the peer that is silent */
	rig_run(r, 6000);
	assert_int_equal(r->acts[PEER_ACT_RELAY_REOPEN], 0);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 1100);
	assert_int_equal(r->acts[PEER_ACT_RELAY_REOPEN], 1);
	assert_true(rig_noted(r, "neither the peer"));
}

/* A goodbye comes on every path; the keys may be new ones when the second copy is there. */
static void a_goodbye_heard_twice(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	bye(r, SIGNAL_REASON_drain, 0);
	rig_run(r, 20);
	bye(r, SIGNAL_REASON_drain, 0);
	assert_int_equal(r->acts[PEER_ACT_DRAIN], 1);
}

/* "I am back at once", and it is not: after that time it is looked for as if it had said nothing. */
static void a_promise_that_is_not_kept(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	bye(r, SIGNAL_REASON_restart, SIGNAL_RESTARTS);
	r->facts.usable = false;
	r->facts.attempt = 1;
	r->traffic = 0;
	rig_way(r, rig_direct)->alive = rig_way(r, rig_relay(0, 1))->alive = false;
	assert_true(rig_look(r).remote_away);
	rig_run(r, 1100);
	assert_false(rig_look(r).remote_away);
	rig_run(r, 3000);
	assert_int_not_equal(rig_look(r).next_rung, PEER_RUNG_NONE);
	assert_true(r->acts[PEER_ACT_RELAY_CHECK] >= 1);
}

static void reports_when_it_does_not_work(void **state)
{
	struct rig *r = *state;

	direct_and_relay(r);
	r->traffic = 0;
	rig_run(r, 100);
	r->facts.usable = false;
	r->facts.attempt = 1;
	rig_run(r, 30000);
	assert_in_range(r->frames[SIGNAL_REPORT], 2, 7);
	assert_int_equal(r->last_frame[SIGNAL_REPORT].flags, SIGNAL_ASK);
}

static void endpoint_generations(void **state)
{
	struct rig *r = *state;
	struct peer_path_ref second = {PATH_KIND_DIRECT, 0, 2};

	direct_and_relay(r);
	rig_way(r, second);
	rig_event(r, PEER_EV_ENDPOINT, second, true);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].ref.generation, 2);
	uint64_t stale = rig_look(r).stale_results;
	rig_event(r, PEER_EV_ENDPOINT, rig_direct, false); /* of the older one */
	assert_int_equal(rig_look(r).stale_results, stale + 1);
	assert_int_equal(rig_look(r).paths[PEER_DIRECT].ref.generation, 2);
	rig_event(r, PEER_EV_ENDPOINT, second, false);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
}

static void time_is_divided(void **state)
{
	struct peer_settings st = {.ice = true, .servers = {0, 1, PEER_NO_SERVER, PEER_NO_SERVER}, .home = 0};
	struct peer_machine *a = peer_machine_new(&st, 1, 1), *b = peer_machine_new(&st, 1, 10);
	struct tunnel_facts f = {.device_up = true};
	static struct peer_actions out;
	struct peer_event ev = {.type = PEER_EV_START};
	(void)state;

	peer_step(a, &ev, &f, NS_PER_SEC, &out);
	peer_step(b, &ev, &f, NS_PER_SEC, &out);
	assert_int_equal((peer_deadline(a) - NS_PER_SEC) / 10, peer_deadline(b) - NS_PER_SEC);
	peer_machine_free(a);
	peer_machine_free(b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(a_restart_is_answered_at_once),
		T(fresh_keys_survive_the_news),
		T(goodbye_and_return),
		T(back_without_a_frame),
		T(drained_is_not_away),
		T(says_goodbye_on_every_path),
		T(two_servers),
		T(presence_is_lost),
		T(late_news_of_an_old_relay_connection),
		T(relay_loss_does_not_touch_the_direct_path),
		T(heals_as_soon_as_packets_pass),
		T(handshakes_follow_a_proof),
		T(the_ladder_is_climbed_in_order),
		T(the_user_commands_the_ladder),
		T(a_rung_is_taken_when_told),
		T(network_change_asks_at_once),
		T(network_change_and_the_relay),
		T(a_goodbye_heard_twice),
		T(a_promise_that_is_not_kept),
		T(reports_when_it_does_not_work),
		T(endpoint_generations),
		cmocka_unit_test(time_is_divided),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
