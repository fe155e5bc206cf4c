/* What libnice 0.1.21 writes, word for word, and what we read from it. Another version that writes otherwise
 * fails here. */
#include <arpa/inet.h>
#include <string.h>

#include "ice/pairs.h"
#include "test.h"

static struct ice_line parse(const char *text)
{
	struct ice_line line;

	assert_true(ice_line_parse(&line, text));
	return line;
}

static void lines(void **state)
{
	struct ice_line l;
	char text[ADDRESS_TEXT];

	(void)state;
	l = parse("Agent 0x556cb15f5220 : new pair 0x556cb164c030 : [127.0.0.1]:41019 --> [192.0.2.7]:57628");
	assert_int_equal(l.kind, ICE_LINE_PAIR);
	assert_int_equal(l.agent, 0x556cb15f5220);
	assert_int_equal(l.pair, 0x556cb164c030);
	assert_string_equal(address_format(text, &l.local), "127.0.0.1:41019");
	assert_string_equal(address_format(text, &l.remote), "192.0.2.7:57628");
	l = parse("Agent 0x1 : new pair 0x2 : [fe80::1%lan0]:1 --> [2001:db8::2]:65535");
	assert_int_equal(l.kind, ICE_LINE_PAIR);
	assert_string_equal(address_format(text, &l.local), "[fe80::1]:1");
	assert_string_equal(address_format(text, &l.remote), "[2001:db8::2]:65535");
	l = parse("Agent 0x556cb15f5220 : pair 0x556cb164c030 state FROZEN (priv_add_new_check_pair)");
	assert_int_equal(l.kind, ICE_LINE_STATE);
	assert_int_equal(l.state, ICE_PAIR_FROZEN);
	l = parse("Agent 0x1 : pair 0x2 state WAITING (priv_conn_check_unfreeze_next)");
	assert_int_equal(l.state, ICE_PAIR_WAITING);
	l = parse("Agent 0x1 : pair 0x2 state IN_PROGRESS (priv_conn_check_initiate)");
	assert_int_equal(l.state, ICE_PAIR_IN_PROGRESS);
	l = parse("Agent 0x1 : pair 0x2 state SUCCEEDED (priv_process_response_check_for_reflexive)");
	assert_int_equal(l.state, ICE_PAIR_SUCCEEDED);
	l = parse("Agent 0x1 : pair 0x2 state FAILED (candidate_check_pair_fail)");
	assert_int_equal(l.state, ICE_PAIR_FAILED);
	l = parse("Agent 0x1 : pair 0x2 state DISCOVERED (priv_add_peer_reflexive_pair)");
	assert_int_equal(l.state, ICE_PAIR_DISCOVERED);
	l = parse("Agent 0x1 : pair 0x2 state DANCING (somewhere)");
	assert_int_equal(l.state, ICE_PAIR_UNKNOWN);
	l = parse("Agent 0x556cb15f5220 : pair 0x556cb164c030 removed.");
	assert_int_equal(l.kind, ICE_LINE_REMOVED);
	l = parse(
		"Agent 0x556cb15f5220 : STUN-CC REQ [::1]:35688 --> [::1]:43044, socket=9, "
		"pair=0x556cb164c0e0 (c-id:1), "
		"tie=9363201779176011176, username='pnXO:+z+C' (9), password='xlCIHk5ld01/rDZ8SfpJXY' (22), "
		"prio=6e2001ff, controlled.");
	assert_int_equal(l.kind, ICE_LINE_REQUEST);
	assert_int_equal(l.pair, 0x556cb164c0e0);
	l = parse("Agent 0x556cb15f5220 : stun_bind_process/conncheck for 0x556cb164c0e0: "
		  "controlled,res=success,stun#=0.");
	assert_int_equal(l.kind, ICE_LINE_ANSWER);
	assert_true(l.success);
	l = parse("Agent 0x1 : stun_bind_process/conncheck for 0x2: controlling,res=role conflict,stun#=0.");
	assert_int_equal(l.kind, ICE_LINE_ANSWER);
	assert_false(l.success);
	l = parse("Agent 0x1 :STUN transaction retransmitted on pair 0x2 (timer=1/3 500/1000ms).");
	assert_int_equal(l.kind, ICE_LINE_RETRANSMITTED);
	l = parse("Agent 0x1 : marking pair 0x2 (2:2) as nominated (aggressive nomination, controlled, "
		  "mark_on_response=1).");
	assert_int_equal(l.kind, ICE_LINE_NOMINATED);
	l = parse("Agent 0x556cb15f5220 : Keepalive STUN-CC REQ to '::1:43044', (c-id:1), "
		  "username='pnXO:+z+C' (9), "
		  "password='xlCIHk5ld01/rDZ8SfpJXY' (22), priority=6e2001ff.");
	assert_int_equal(l.kind, ICE_LINE_KEEPALIVE);
	l = parse("Agent 0x556cb15f50a0 : Keepalive for selected pair 0x556cb15fb420 received.");
	assert_int_equal(l.kind, ICE_LINE_KEEPALIVE_ANSWER);
	l = parse("Agent 0x556cb15f50a0, freeing conncheck_list of stream 0x556cb15f8fa0");
	assert_int_equal(l.kind, ICE_LINE_CLEARED);
}

static void others(void **state)
{
	static const char *const about_agents[] = {
		"Agent 0x1 : creating a new pair",
		"Agent 0x1 : pair 0x2 MATCHED.",
		"Agent 0x1: inbound STUN packet for 1/1 (stream/component) from [::1]:43044 (92 octets) :",
		"Agent 0x1 : stream 1 component 1 STATE-CHANGE connecting -> connected.",
		"Agent 0x1 : ",
		"Agent 0x1",
		"Agent 0x1 : new pair",
		"Agent 0x1 : new pair 0x2 : [127.0.0.1]:41019 -->",
		"Agent 0x1 : new pair 0x2 : [127.0.0.1]:70000 --> [127.0.0.1]:1",
		"Agent 0x1 : new pair 0x2 : [127.0.0.1:41019 --> [127.0.0.1:1",
		"Agent 0x1 : new pair 0x2 : [127.0.0.1]: --> [127.0.0.1]:1",
		"Agent 0x1 : new pair 0x2 : []:1 --> []:1",
		"Agent 0x1 : new pair 0x11112222333344445 : [127.0.0.1]:1 --> [127.0.0.1]:1",
		"Agent 0x1 : pair x state WAITING",
		"Agent 0x1 : STUN-CC REQ [::1]:1 --> [::1]:2, socket=9",
		"Agent 0x1 : stun_bind_process/conncheck for 0x2: controlled",
		"Agent 0x1 : something that a later version says",
	};
	struct ice_line l;

	(void)state;
	for (size_t i = 0; i < sizeof(about_agents) / sizeof(about_agents[0]); i++)
		if (parse(about_agents[i]).kind != ICE_LINE_OTHER)
			fail_msg("%s", about_agents[i]);
	assert_false(ice_line_parse(&l, ""));
	assert_false(ice_line_parse(&l, "Agent"));
	assert_false(ice_line_parse(&l, "Agent 0x : new pair"));
	assert_false(
		ice_line_parse(&l, "setting SELECTED PAIR for component 1: 2:2 (prio:782001ff:782001ff:0)."));
	assert_false(ice_line_parse(&l, "Interface:  lo"));
}

static void tell(struct ice_pairs *p, const char *text, uint64_t now)
{
	struct ice_line line = parse(text);

	ice_pairs_take(p, &line, now);
}

static void table(void **state)
{
	struct ice_pairs p = {0};

	(void)state;
	tell(&p, "Agent 0x1 : pair 0x2 state FROZEN (f)", 1);
	tell(&p, "Agent 0x1 : new pair 0x2 : [192.0.2.1]:1 --> [192.0.2.2]:2", 1);
	tell(&p, "Agent 0x1 : pair 0x3 state FROZEN (f)", 1);
	tell(&p, "Agent 0x1 : new pair 0x3 : [192.0.2.1]:1 --> [192.0.2.3]:3", 1);
	assert_int_equal(p.count, 2);
	assert_int_equal(p.pair[0].state, ICE_PAIR_FROZEN);
	tell(&p, "Agent 0x1 : STUN-CC REQ [192.0.2.1]:1 --> [192.0.2.2]:2, socket=1, pair=0x2 (c-id:1)",
	     1000);
	tell(&p, "Agent 0x1 : stun_bind_process/conncheck for 0x2: x,res=success,stun#=0.", 1750);
	tell(&p, "Agent 0x1 : pair 0x2 state SUCCEEDED (f)", 1750);
	tell(&p, "Agent 0x1 : marking pair 0x2 (1:1) as nominated", 1750);
	assert_int_equal(p.pair[0].rtt, 750);
	assert_int_equal(p.pair[0].requests, 1);
	assert_int_equal(p.pair[0].answers, 1);
	assert_int_equal(p.pair[0].state, ICE_PAIR_SUCCEEDED);
	assert_true(p.pair[0].nominated);
	/* Which of two requests was answered cannot be known: no RTT (Karn). */
	tell(&p, "Agent 0x1 : STUN-CC REQ [192.0.2.1]:1 --> [192.0.2.3]:3, socket=1, pair=0x3 (c-id:1)",
	     1000);
	tell(&p, "Agent 0x1 :STUN transaction retransmitted on pair 0x3 (timer=1/3 500/1000ms).", 1500);
	tell(&p, "Agent 0x1 : stun_bind_process/conncheck for 0x3: x,res=success,stun#=0.", 1600);
	assert_int_equal(p.pair[1].rtt, 0);
	assert_int_equal(p.pair[1].requests, 2);
	/* The memory of a pair that went is another's soon. */
	tell(&p, "Agent 0x1 : pair 0x2 removed.", 2000);
	assert_int_equal(p.count, 1);
	assert_int_equal(p.pair[0].id, 3);
	tell(&p, "Agent 0x1 : pair 0x3 state FROZEN (f)", 2000);
	tell(&p, "Agent 0x1 : new pair 0x3 : [192.0.2.9]:1 --> [192.0.2.2]:2", 2000);
	assert_int_equal(p.pair[0].requests, 0);
	tell(&p, "Agent 0x1, freeing conncheck_list of stream 0x9", 3000);
	assert_int_equal(p.count, 0);
	ice_pairs_clear(&p);
}

static void table_is_bounded(void **state)
{
	struct ice_line line = {.kind = ICE_LINE_STATE, .agent = 1, .state = ICE_PAIR_WAITING};
	struct ice_pairs p = {0};

	(void)state;
	for (line.pair = 1; line.pair < 1000; line.pair++)
		ice_pairs_take(&p, &line, 1);
	assert_int_equal(p.count, ICE_PAIRS_MAX);
	ice_pairs_clear(&p);
}

static void keepalives(void **state)
{
	static const char sent[] = "Agent 0x1 : Keepalive STUN-CC REQ to '192.0.2.2:2', (c-id:1)";
	static const char answered[] = "Agent 0x1 : Keepalive for selected pair 0x2 received.";
	struct ice_pairs p = {0};

	(void)state;
	tell(&p, sent, 1000);
	assert_int_equal(ice_pairs_keepalives(&p).unanswered, 0); /* under way */
	tell(&p, answered, 1200);
	assert_int_equal(ice_pairs_keepalives(&p).rtt, 200);
	for (unsigned n = 0; n < 5; n++)
		tell(&p, sent, 2000 + n);
	assert_int_equal(ice_pairs_keepalives(&p).unanswered, 4);
	tell(&p, answered, 3000);
	assert_int_equal(ice_pairs_keepalives(&p).unanswered, 4); /* the slots of the lost ones are lost */
	ice_pairs_clear(&p);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),      cmocka_unit_test(others),
		cmocka_unit_test(table),      cmocka_unit_test(table_is_bounded),
		cmocka_unit_test(keepalives),
	};

	return cmocka_run_group_tests_name("ice_pairs", tests, NULL, NULL);
}
