/* The peer controller: offers, answers, agents, and what comes too late. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer_rig.h"
#include "test.h"

static const uint8_t session_a[SIGNAL_SESSION_LEN] = "AAAAAAAA", session_b[SIGNAL_SESSION_LEN] = "BBBBBBBB";

static void relayed(struct rig *r)
{
	rig_relay_up(r, 0, 1);
	rig_hello(r, rig_relay(0, 1));
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 2000));
	rig_tunnel(r);
	r->traffic = 50 * NS_PER_MS;
}

static struct signal_message offer(struct rig *r, const uint8_t *session)
{
	struct signal_message m = rig_message(r, SIGNAL_OFFER);

	memcpy(m.session, session, SIGNAL_SESSION_LEN);
	m.generation = ++r->remote_generation;
	m.has = SIGNAL_HAS_CREDENTIALS;
	return m;
}

static void remote_offers(struct rig *r, const uint8_t *session)
{
	struct signal_message m = offer(r, session);

	rig_frame(r, rig_relay(0, 1), &m, false);
}

static void remote_answers(struct rig *r, const uint8_t *session, const uint8_t *answered)
{
	struct signal_message m = rig_message(r, SIGNAL_ANSWER);

	memcpy(m.session, session, SIGNAL_SESSION_LEN);
	memcpy(m.answered, answered, SIGNAL_SESSION_LEN);
	m.generation = ++r->remote_generation;
	rig_frame(r, rig_relay(0, 1), &m, false);
}

/* Our own offer, answered, connected, proven, in use. Its generation. */
static uint32_t ice_up(struct rig *r)
{
	uint32_t generation;

	relayed(r);
	rig_run(r, 500);
	assert_int_equal(r->frames[SIGNAL_OFFER], 1);
	generation = r->last[PEER_ACT_AGENT_START].path.generation;
	remote_answers(r, session_a, r->last_frame[SIGNAL_OFFER].session);
	rig_way(r, rig_ice(generation));
	rig_event(r, PEER_EV_ICE_SELECTED, rig_ice(generation), true);
	assert_true(rig_until_chosen(r, rig_ice(generation), 3000));
	return generation;
}

static void relay_then_ice(void **state)
{
	struct rig *r = *state;

	ice_up(r);
	assert_int_equal(rig_look(r).chosen, PEER_ICE);
	assert_int_equal(r->last_frame[SIGNAL_OFFER].reason, SIGNAL_REASON_start);
	rig_forget(r);
	rig_run(r, 120000);
	assert_int_equal(r->frames[SIGNAL_OFFER], 0); /* a direct path is up: nothing to negotiate */
	assert_int_equal(rig_changes(r), 0);
}

static void pair_answered(struct rig *r)
{
	uint8_t session[SIGNAL_SESSION_LEN] = "pair";

	rig_run(r, 100);
	session[7] = (uint8_t)r->last[PEER_ACT_AGENT_START].path.generation;
	remote_answers(r, session, r->last_frame[SIGNAL_OFFER].session);
}

/* The offer at hand is answered and connects, by the way of the pair before, if there was one. */
static struct rig_way *pair_selected(struct rig *r, struct rig_way *before)
{
	struct peer_path_ref ref = r->last[PEER_ACT_AGENT_START].path;
	struct rig_way *w;

	pair_answered(r);
	if (before)
		before->ref = (struct peer_path_ref){.kind = PATH_KIND_NONE};
	w = rig_way(r, ref);
	if (before) /* the network is the same */
		w->out = before->out, w->in = before->in;
	rig_event(r, PEER_EV_ICE_SELECTED, ref, true);
	return w;
}

/* Heard before our own ping is answered, after a change of the network: no reason to begin anew. */
static void a_pair_that_is_heard_gets_its_moment(void **state)
{
	struct rig *r = *state;
	struct rig_way *w;
	struct signal_message m;

	relayed(r);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 1000);
	w = pair_selected(r, NULL);
	rig_forget(r);
	m = rig_message(r, SIGNAL_PING);
	rig_frame(r, w->ref, &m, false);
	assert_int_equal(rig_look(r).paths[PEER_ICE].state, PATH_UP);
	rig_run(r, 3000);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 0);
	assert_int_equal(rig_look(r).chosen, PEER_ICE);
}

/* F2: pairs come up on which WireGuard does not pass, and now and then none does. The relay carries, and
 * others are tried ever more rarely. */
static void filtered_pairs_are_replaced_rarely(void **state)
{
	struct rig *r = *state;
	struct rig_way *w = NULL;
	uint64_t last = r->now, longest = 0;
	unsigned started, pairs = 0;

	relayed(r);
	rig_run(r, 500);
	for (started = 0; r->now < last + 1000 * NS_PER_SEC; rig_run(r, 100)) {
		if (r->acts[PEER_ACT_AGENT_START] == started)
			continue;
		started = r->acts[PEER_ACT_AGENT_START];
		if (r->now - last > longest)
			longest = r->now - last;
		last = r->now;
		if (++pairs % 3 == 0) {
			pair_answered(r);
			continue;
		}
		w = pair_selected(r, w);
		w->out = w->in = false;
		if (pairs == 13)
			break;
	}
	rig_run(r, 20000);
	assert_in_range(pairs, 6, 13);
	assert_in_range(longest / NS_PER_SEC, 250, 400);
	assert_int_equal(rig_look(r).chosen, PEER_RELAY);
	assert_int_equal(rig_look(r).path_changes, 1);
	assert_int_equal(rig_look(r).filter.paths, 1); /* the last one; the one before it failed */
	assert_in_range(rig_look(r).filter.ours, 3 * rig_look(r).filter.paths, UINT64_MAX);
	w->out = w->in = true;
	assert_true(rig_until_chosen(r, w->ref, 40000));
	assert_int_equal(rig_look(r).filter.paths, 0);
}

/* The filter knew one flow, or it is gone: a new pair shows at once that it is better, though another answers
 * sooner. */
static void a_pair_beside_a_filtered_one_takes_over(void **state)
{
	struct rig *r = *state;
	struct rig_way *w;
	unsigned started;

	relayed(r);
	rig_run(r, 500);
	w = pair_selected(r, NULL);
	w->out = w->in = false;
	started = r->acts[PEER_ACT_AGENT_START];
	for (int i = 0; i < 300 && r->acts[PEER_ACT_AGENT_START] == started; i++)
		rig_run(r, 100);
	assert_int_equal(rig_look(r).filter.paths, 1);
	rig_way(r, r->last[PEER_ACT_AGENT_START].path)->rtt = 50 * NS_PER_MS;
	w = pair_selected(r, NULL);
	assert_true(rig_until_chosen(r, w->ref, 2000));
}

static void offers_repeat_until_paired(void **state)
{
	struct rig *r = *state;

	relayed(r);
	rig_run(r, 8200);
	assert_in_range(r->frames[SIGNAL_OFFER], 4, 5);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1);
	rig_run(r, 600000);
	assert_in_range(r->frames[SIGNAL_OFFER], 10, 120);
	assert_in_range(r->acts[PEER_ACT_AGENT_START], 4, 12);
}

/* I7: whatever happens, in no minute more than 12. */
static void never_more_than_twelve_a_minute(void **state)
{
	struct rig *r = *state;

	relayed(r);
	for (int minute = 0; minute < 5; minute++) {
		rig_forget(r);
		for (int i = 0; i < 60; i++) {
			rig_event(r, PEER_EV_NETWORK, rig_direct, true);
			rig_command(r, PEER_ROTATE);
			rig_event(r, PEER_EV_TUNNEL_TIMEOUT, rig_direct, true);
			rig_run(r, 1000);
		}
		assert_in_range(r->frames[SIGNAL_OFFER], 1, 12);
	}
}

static void a_thousand_offers_tear_nothing_down(void **state)
{
	struct rig *r = *state;
	uint8_t session[SIGNAL_SESSION_LEN] = "zzzzzzz";

	ice_up(r);
	rig_forget(r);
	remote_offers(r, session_b);
	for (int i = 0; i < 1000; i++) { /* the same one: no-op */
		struct signal_message m = offer(r, session_b);

		m.generation = --r->remote_generation;
		rig_frame(r, rig_relay(0, 1), &m, false);
	}
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1);
	for (int i = 0; i < 1000; i++) { /* new ones */
		memcpy(session, &i, sizeof(i));
		remote_offers(r, session);
		rig_run(r, 50);
	}
	assert_in_range(r->frames[SIGNAL_ANSWER], 1, 12);
	assert_in_range(r->acts[PEER_ACT_AGENT_START], 1, 12);
	assert_int_equal(r->frames[SIGNAL_OFFER], 0);
	assert_int_equal(r->acts[PEER_ACT_RELAY_REOPEN] + r->acts[PEER_ACT_RELAY_RELEASE] +
				 r->acts[PEER_ACT_RELAY_HOLD],
			 0);
	assert_int_equal(r->acts[PEER_ACT_DRAIN] + r->acts[PEER_ACT_HANDSHAKE], 0);
	assert_int_equal(rig_look(r).chosen, PEER_ICE); /* I2 */
	assert_int_equal(rig_changes(r), 0);
}

static void the_answer_is_repeated(void **state)
{
	struct rig *r = *state;
	struct signal_message m;

	relayed(r);
	rig_command(r, PEER_ROTATE); /* no offer of ours is needed for it */
	m = offer(r, session_b);
	rig_frame(r, rig_relay(0, 1), &m, false);
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->frames[SIGNAL_ANSWER], 2);
	assert_int_equal(r->acts[PEER_ACT_AGENT_REMOTE], 1);
	assert_memory_equal(r->last_frame[SIGNAL_ANSWER].answered, session_b, SIGNAL_SESSION_LEN);
}

/* Both offer at the same moment: our outstanding agent pairs with theirs; their answer changes nothing. */
static void glare(void **state)
{
	struct rig *r = *state;
	uint8_t ours[SIGNAL_SESSION_LEN];

	relayed(r);
	rig_run(r, 500);
	assert_int_equal(r->frames[SIGNAL_OFFER], 1);
	memcpy(ours, r->last_frame[SIGNAL_OFFER].session, sizeof(ours));
	remote_offers(r, session_a);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1);
	assert_int_equal(r->acts[PEER_ACT_AGENT_REMOTE], 1);
	assert_memory_equal(r->last_frame[SIGNAL_ANSWER].session, ours, sizeof(ours));
	assert_memory_equal(rig_look(r).remote_session, session_a, sizeof(ours));
	struct signal_message m = rig_message(r, SIGNAL_ANSWER);
	memcpy(m.session, session_a, sizeof(m.session));
	memcpy(m.answered, ours, sizeof(m.answered));
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->acts[PEER_ACT_AGENT_REMOTE], 1);
	assert_int_equal(r->acts[PEER_ACT_AGENT_STOP], 0);
	rig_run(r, 5000);
	assert_int_equal(r->frames[SIGNAL_OFFER], 1); /* paired: no more of them */
}

/* U11, F17: candidates before their offer are kept, those of an old session are not taken. */
static void candidates_by_session(void **state)
{
	struct rig *r = *state;
	struct signal_message m;

	relayed(r);
	m = rig_message(r, SIGNAL_CANDIDATE);
	memcpy(m.session, session_a, sizeof(m.session));
	m.generation = 5;
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->acts[PEER_ACT_KEEP_CANDIDATES], 1);
	r->remote_generation = 4;
	remote_offers(r, session_a);
	assert_int_equal(r->acts[PEER_ACT_AGENT_REMOTE], 1);
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->acts[PEER_ACT_AGENT_CANDIDATES], 1);
	memcpy(m.session, session_b, sizeof(m.session));
	m.generation = 4;
	uint64_t stale = rig_look(r).stale_results;
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->acts[PEER_ACT_AGENT_CANDIDATES] + r->acts[PEER_ACT_KEEP_CANDIDATES], 2);
	assert_int_equal(rig_look(r).stale_results, stale + 1);
}

static void old_offers_and_answers(void **state)
{
	struct rig *r = *state;
	struct signal_message old, m;

	relayed(r);
	r->remote_generation = 9;
	old = offer(r, session_a);
	remote_offers(r, session_b);
	rig_forget(r);
	rig_frame(r, rig_relay(0, 1), &old, false);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START] + r->acts[PEER_ACT_AGENT_REMOTE], 0);
	m = rig_message(r, SIGNAL_ANSWER);
	memcpy(m.session, session_a, sizeof(m.session));
	memcpy(m.answered, session_b, sizeof(m.answered)); /* no session of ours */
	rig_frame(r, rig_relay(0, 1), &m, false);
	assert_int_equal(r->acts[PEER_ACT_AGENT_REMOTE], 0);
	assert_int_equal(rig_look(r).stale_results, 2);
}

/* U3, U5, F5, F6: an agent that is gone says "selected", "failed", "candidate". */
static void late_results_of_old_agents(void **state)
{
	struct rig *r = *state;
	uint32_t old;
	struct peer_look before, after;

	relayed(r);
	rig_run(r, 500);
	old = r->last[PEER_ACT_AGENT_START].path.generation;
	rig_event(r, PEER_EV_ICE_FAILED, rig_ice(old), true);
	rig_run(r, 60000);
	assert_true(r->last[PEER_ACT_AGENT_STOP].path.generation >= old);
	before = rig_look(r);
	rig_event(r, PEER_EV_ICE_SELECTED, rig_ice(old), true);
	rig_event(r, PEER_EV_ICE_FAILED, rig_ice(old), true);
	rig_event(r, PEER_EV_ICE_CANDIDATE, rig_ice(old), true);
	rig_event(r, PEER_EV_ICE_GATHERED, rig_ice(old), true);
	after = rig_look(r);
	assert_int_equal(after.stale_results, before.stale_results + 4);
	after.stale_results = before.stale_results;
	assert_memory_equal(&after, &before, sizeof(before));
}

/* F11, F12, F14: an attempt that fails leaves nothing behind, and the next ones come: 5, 15, 30... 300 s. */
static void retries_never_park(void **state)
{
	struct rig *r = *state;

	relayed(r);
	rig_run(r, 3600000);
	assert_in_range(r->acts[PEER_ACT_AGENT_START], 12, 30);
	assert_in_range(rig_look(r).direct_retry_at ? rig_look(r).direct_retry_at - r->now : 0, 0,
			331 * NS_PER_SEC);
	rig_forget(r);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 1500);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1);
	rig_run(r, 100000);
	rig_forget(r);
	rig_command(r, PEER_PROBE);
	rig_run(r, 40000);
	assert_true(r->acts[PEER_ACT_AGENT_START] >= 1);
}

/* I2: the remote's new session is built beside; the old pair goes when the new one carries the tunnel. */
/* Two ends that take turns in trying: each try of the other is one of ours, too, else neither ever pauses. */
static void the_tries_of_both_ends_are_counted(void **state)
{
	static const enum signal_reason again[] = {SIGNAL_REASON_retry_direct, SIGNAL_REASON_ice_failed};
	struct rig *r = *state;
	uint8_t session[SIGNAL_SESSION_LEN] = "theirs 0";

	relayed(r);
	rig_tunnel(r);
	for (unsigned i = 0; i < 6; i++) {
		struct signal_message m;

		session[7]++;
		m = offer(r, session);
		m.reason = again[i % 2];
		rig_frame(r, rig_relay(0, 1), &m, false);
		rig_run(r, 12000);
	}
	rig_forget(r);
	rig_run(r, 40000);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 0); /* 5 minutes by now */
	session[7]++;
	remote_offers(r, session); /* news: all begins anew */
	rig_run(r, 25000);
	assert_true(r->acts[PEER_ACT_AGENT_START] >= 2);
}

static void a_new_session_is_built_beside(void **state)
{
	struct rig *r = *state;
	uint32_t first = ice_up(r), second;

	rig_forget(r);
	remote_offers(r, session_b);
	second = r->last[PEER_ACT_AGENT_START].path.generation;
	assert_int_equal(second, first + 1);
	assert_int_equal(r->acts[PEER_ACT_AGENT_STOP], 0);
	assert_int_equal(peer_find_slot(r->m, &(struct peer_path_ref){PATH_KIND_ICE, 0, second}),
			 PEER_ICE_NEXT);
	rig_run(r, 1000);
	assert_int_equal(rig_look(r).chosen, PEER_ICE);
	rig_way(r, rig_ice(second));
	rig_event(r, PEER_EV_ICE_SELECTED, rig_ice(second), true);
	assert_true(rig_until_chosen(r, rig_ice(second), 2000));
	rig_run(r, 3000);
	assert_int_equal(r->acts[PEER_ACT_AGENT_STOP], 1);
	assert_int_equal(r->last[PEER_ACT_AGENT_STOP].path.generation, first);
	assert_int_equal(rig_look(r).chosen, PEER_ICE);
	assert_int_equal(rig_look(r).paths[PEER_ICE].ref.generation, second);
}

/* I4 on every kind of path: the session of the next offer is another, and it says why. */
static void sessions_rotate_on_timeout(void **state)
{
	struct rig *r = *state;
	uint8_t before[SIGNAL_SESSION_LEN];

	ice_up(r);
	memcpy(before, rig_look(r).local_session, sizeof(before));
	rig_way(r, r->chosen)->alive = false;
	rig_forget(r);
	assert_true(rig_until_chosen(r, rig_relay(0, 1), 1000)); /* the watcher, on ICE */
	assert_memory_not_equal(before, rig_look(r).local_session, sizeof(before));
	rig_run(r, 1000);
	assert_true(r->frames[SIGNAL_OFFER] >= 1);
	assert_int_equal(r->last_frame[SIGNAL_OFFER].reason, SIGNAL_REASON_tunnel_timeout);
	assert_memory_equal(r->last_frame[SIGNAL_OFFER].session, rig_look(r).local_session, sizeof(before));
	memcpy(before, rig_look(r).local_session, sizeof(before));
	rig_event(r, PEER_EV_TUNNEL_TIMEOUT, r->chosen, true); /* WireGuard itself, on the relay */
	assert_memory_not_equal(before, rig_look(r).local_session, sizeof(before));
	rig_run(r, 20000);
	assert_memory_not_equal(before, r->last_frame[SIGNAL_OFFER].session, sizeof(before));
	assert_int_equal(r->last_frame[SIGNAL_OFFER].reason, SIGNAL_REASON_tunnel_timeout);
}

static void ice_failed_is_a_hint(void **state)
{
	struct rig *r = *state;
	uint32_t generation = ice_up(r);

	rig_forget(r);
	rig_event(r, PEER_EV_ICE_FAILED, rig_ice(generation), true);
	rig_run(r, 20000);
	assert_int_equal(rig_look(r).chosen, PEER_ICE);
	assert_int_equal(r->acts[PEER_ACT_AGENT_STOP], 0);
}

/* An agent knows the addresses of its beginning. */
static void a_change_of_network_ends_an_attempt(void **state)
{
	struct rig *r = *state;

	relayed(r);
	rig_run(r, 500);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1);
	rig_event(r, PEER_EV_NETWORK, rig_direct, true);
	rig_run(r, 500);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 1); /* it may still succeed */
	rig_run(r, 1500);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 2);
	assert_int_equal(r->acts[PEER_ACT_AGENT_STOP], 1);
	assert_int_equal(r->last_frame[SIGNAL_OFFER].reason, SIGNAL_REASON_network_change);
	rig_run(r, 3000);
	assert_int_equal(r->acts[PEER_ACT_AGENT_START], 2);
}

static void no_ice_with_relay_only_remotes(void **state)
{
	struct rig *r = *state;
	struct signal_message m;

	rig_relay_up(r, 0, 1);
	m = rig_message(r, SIGNAL_HELLO);
	m.flags = SIGNAL_ASK | SIGNAL_NO_ICE;
	rig_frame(r, rig_relay(0, 1), &m, true);
	rig_run(r, 60000);
	assert_int_equal(r->frames[SIGNAL_OFFER] + r->acts[PEER_ACT_AGENT_START], 0);
	assert_true(r->frames[SIGNAL_HELLO] >= 2); /* its question is answered */
}

static void candidates_are_trickled_and_told_again(void **state)
{
	struct rig *r = *state;
	uint32_t generation;

	relayed(r);
	rig_run(r, 500);
	generation = r->last[PEER_ACT_AGENT_START].path.generation;
	for (unsigned i = 1; i <= 8; i++)
		rig_step(r, (struct peer_event){
				    .type = PEER_EV_ICE_CANDIDATE, .path = rig_ice(generation), .count = i});
	assert_int_equal(r->frames[SIGNAL_CANDIDATE], 8);
	assert_int_equal(r->last_frame[SIGNAL_CANDIDATE].first, 7);
	assert_int_equal(r->last_frame[SIGNAL_CANDIDATE].count, 1);
	rig_event(r, PEER_EV_ICE_GATHERED, rig_ice(generation), true);
	assert_int_equal(r->frames[SIGNAL_END], 1);
	rig_run(r, 1100);
	assert_int_equal(r->frames[SIGNAL_CANDIDATE], 10); /* 6 and 2 */
	rig_run(r, 2100);
	assert_int_equal(r->frames[SIGNAL_CANDIDATE], 12);
	rig_run(r, 5000);
	assert_int_equal(r->frames[SIGNAL_CANDIDATE], 12);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)
	const struct CMUnitTest tests[] = {
		T(relay_then_ice),
		T(a_pair_that_is_heard_gets_its_moment),
		T(filtered_pairs_are_replaced_rarely),
		T(a_pair_beside_a_filtered_one_takes_over),
		T(offers_repeat_until_paired),
		T(never_more_than_twelve_a_minute),
		T(a_thousand_offers_tear_nothing_down),
		T(the_answer_is_repeated),
		T(glare),
		T(candidates_by_session),
		T(old_offers_and_answers),
		T(late_results_of_old_agents),
		T(retries_never_park),
		T(the_tries_of_both_ends_are_counted),
		T(a_new_session_is_built_beside),
		T(sessions_rotate_on_timeout),
		T(ice_failed_is_a_hint),
		T(a_change_of_network_ends_an_attempt),
		T(no_ice_with_relay_only_remotes),
		T(candidates_are_trickled_and_told_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
