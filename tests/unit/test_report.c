/* The network report without a network: STUN as bytes, what answers tell of a NAT, and the verdicts. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "relay/stun.h"
#include "net/stun.h"
#include "report/judge.h"
#include "report/report.h"

static const uint8_t transaction[ASK_TRANSACTION] = "abcdefghijk";

static union address at(const char *text)
{
	union address a = {0};

	assert_true(address_parse(&a, text));
	return a;
}

/* Our own server understands our own question, of every length, and what it says comes back. */
static void test_ask_and_read(void **state)
{
	static const char *const sources[] = {"192.0.2.1:4242", "[2001:db8::7]:65535"};
	static const union address nowhere[STUN_PLACES];
	struct stun_response response;
	uint8_t request[1472];
	struct stun_reply r;

	(void)state;
	for (size_t n = ASK_MIN; n <= sizeof(request); n += 4)
		for (size_t i = 0; i < 2; i++) {
			union address from = at(sources[i]);

			stun_ask(request, n, transaction, ASK_CHANGE_NONE);
			assert_int_equal(stun_answer(request, n, &from, nowhere, &response), STUN_ANSWERED);
			assert_true(stun_read(response.bytes, response.len, &r));
			assert_true(r.success);
			assert_memory_equal(r.transaction, transaction, ASK_TRANSACTION);
			assert_true(address_equal(&r.mapped, &from));
			assert_int_equal(r.other.sa.sa_family, AF_UNSPEC);
		}
	/* What it does not know is an error, and an error is read as one. */
	union address from = at(sources[0]);
	stun_ask(request, ASK_MIN, transaction, ASK_CHANGE_PORT);
	assert_int_equal(stun_answer(request, ASK_MIN, &from, nowhere, &response), STUN_UNKNOWN_ATTRIBUTES);
	assert_true(stun_read(response.bytes, response.len, &r));
	assert_false(r.success);
	assert_non_null(stun_request_transaction(request, ASK_MIN));
	assert_null(stun_request_transaction(response.bytes, response.len));
}

/* A response of RFC 5780, byte by byte, and each of its prefixes. */
static void test_read_other_address(void **state)
{
	static const uint8_t response[] = {
		0x01, 0x01, 0, 36,   0x21, 0x12, 0xa4, 0x42, 'a',  'b',	 'c',  'd',  'e', 'f', 'g', 'h', 'i',
		'j',  'k',  0, 0x00, 0x01, 0,	 8,    0,    1,	   0x0d, 0x96, 10,   0,	  0,   1, /* MAPPED-ADDRESS,
												     rewritten
												     by a box
												   */
		0x00, 0x20, 0, 8,    0,	   1,	 0x31, 0x80, 0xe1, 0x12, 0xa6, 0x43, /* 192.0.2.1:4242,
											masked */
		0x80, 0x2c, 0, 8,    0,	   1,	 0x0d, 0x98, 203,  0,	 113,  6,    /* 203.0.113.6:3480
										      */
	};
	union address mapped = at("192.0.2.1:4242"), other = at("203.0.113.6:3480");
	uint8_t bytes[sizeof(response)];
	struct stun_reply r;

	(void)state;
	assert_true(stun_read(response, sizeof(response), &r));
	assert_true(address_equal(&r.mapped, &mapped));
	assert_true(address_equal(&r.other, &other));
	for (size_t n = 0; n < sizeof(response); n++)
		assert_false(stun_read(response, n, &r));
	memcpy(bytes, response, sizeof(bytes));
	bytes[23] = 200; /* an attribute longer than the message */
	assert_false(stun_read(bytes, sizeof(bytes), &r));
	memcpy(bytes, response, sizeof(bytes));
	bytes[0] = 0x41;
	assert_false(stun_read(bytes, sizeof(bytes), &r));
}

static enum nat_mapping judge(const char *own, const char *const (*pairs)[2], size_t count)
{
	struct nat_sight s[8];
	union address o = {0};

	for (size_t i = 0; i < count; i++)
		s[i] = (struct nat_sight){.to = at(pairs[i][0]), .mapped = at(pairs[i][1])};
	if (own)
		o = at(own);
	return nat_judge_mapping(s, count, &o);
}

static void test_mapping(void **state)
{
	static const char *const same[][2] = {{"203.0.113.5:3478", "198.51.100.1:1"},
					      {"203.0.113.5:3479", "198.51.100.1:1"},
					      {"203.0.113.6:3478", "198.51.100.1:1"}};
	static const char *const by_address[][2] = {{"203.0.113.5:3478", "198.51.100.1:1"},
						    {"203.0.113.5:3479", "198.51.100.1:1"},
						    {"203.0.113.6:3478", "198.51.100.1:2"}};
	static const char *const by_port[][2] = {{"203.0.113.5:3478", "198.51.100.1:1"},
						 {"203.0.113.6:3478", "198.51.100.1:2"},
						 {"203.0.113.6:3479", "198.51.100.1:3"}};
	static const char *const other_address[][2] = {{"203.0.113.5:3478", "198.51.100.1:1"},
						       {"203.0.113.6:3478", "198.51.100.2:1"}};

	(void)state;
	assert_int_equal(judge("10.0.0.2:1", same, 3), MAPPING_ENDPOINT_INDEPENDENT);
	assert_int_equal(judge("10.0.0.2:1", same, 2), MAPPING_PORT_INDEPENDENT);
	assert_int_equal(judge("10.0.0.2:1", same, 1), MAPPING_UNKNOWN);
	assert_int_equal(judge(NULL, same, 3), MAPPING_ENDPOINT_INDEPENDENT);
	assert_int_equal(judge("198.51.100.1:1", same, 3), MAPPING_NONE);
	assert_int_equal(judge("198.51.100.1:1", same, 1), MAPPING_NONE);
	assert_int_equal(judge("10.0.0.2:1", by_address, 3), MAPPING_ADDRESS_DEPENDENT);
	assert_int_equal(judge("10.0.0.2:1", by_port, 3), MAPPING_ADDRESS_PORT_DEPENDENT);
	/* A pool of public addresses is as bad as a pool of ports. */
	assert_int_equal(judge("10.0.0.2:1", other_address, 2), MAPPING_DEPENDENT);
	assert_int_equal(judge(NULL, same, 0), MAPPING_UNKNOWN);
	assert_string_equal(nat_mapping_name(MAPPING_PORT_INDEPENDENT), "port-independent");
}

/* Whatever a server with two addresses says, and one with two ports. */
static void test_filtering(void **state)
{
	const enum nat_reply none = NAT_REPLY_NONE, came = NAT_REPLY_CAME, refused = NAT_REPLY_REFUSED;

	(void)state;
	assert_int_equal(nat_judge_filtering(came, came), FILTERING_ENDPOINT_INDEPENDENT);
	assert_int_equal(nat_judge_filtering(came, none), FILTERING_ENDPOINT_INDEPENDENT); /* one was lost */
	assert_int_equal(nat_judge_filtering(none, came), FILTERING_ADDRESS_DEPENDENT);
	assert_int_equal(nat_judge_filtering(none, none), FILTERING_ADDRESS_PORT_DEPENDENT);
	assert_int_equal(nat_judge_filtering(refused, came), FILTERING_PORT_INDEPENDENT);
	assert_int_equal(nat_judge_filtering(refused, none), FILTERING_ADDRESS_PORT_DEPENDENT);
	assert_int_equal(nat_judge_filtering(refused, refused), FILTERING_UNKNOWN);
	assert_int_equal(nat_judge_filtering(none, refused), FILTERING_UNKNOWN);
}

static bool has(const struct report *r, enum report_level level, const char *words)
{
	struct report_verdict list[REPORT_VERDICTS];
	unsigned count = report_verdicts(r, list);

	for (unsigned i = 0; i < count; i++)
		if (list[i].level == level && strstr(list[i].text, words))
			return true;
	return false;
}

static struct report sound(void)
{
	struct report r = {.four = {.asked = true, .answered = 1, .answer_count = 1, .nat = true}};

	r.four.answers[0] = (struct report_answer){.answered = true, .mapped = at("198.51.100.1:4242")};
	r.four.mapping = MAPPING_ENDPOINT_INDEPENDENT;
	r.four.link_mtu = r.four.path_mtu = 1500;
	r.four.port_kept = r.four.hairpin = REPORT_YES;
	return r;
}

static void test_verdicts(void **state)
{
	struct report r = sound();
	struct report_verdict list[REPORT_VERDICTS];

	(void)state;
	assert_true(has(&r, REPORT_GOOD, "198.51.100.1:4242"));
	assert_true(has(&r, REPORT_GOOD, "1500 bytes pass"));
	assert_false(has(&r, REPORT_BAD, ""));
	r.four.mapping = MAPPING_ADDRESS_PORT_DEPENDENT;
	assert_true(has(&r, REPORT_BAD, "symmetric"));
	r = sound();
	assert_true(has(&r, REPORT_NOTE, "who gets in is not known"));
	r.four.mapping = MAPPING_PORT_INDEPENDENT;
	r.four.filtering = FILTERING_PORT_INDEPENDENT;
	assert_true(has(&r, REPORT_NOTE, "whether it maps by address needs a second"));
	assert_true(has(&r, REPORT_GOOD, "every port of an address that was called gets in"));
	assert_false(has(&r, REPORT_GOOD, "direct paths"));
	r = sound();
	r.four.path_mtu = 1400;
	assert_true(has(&r, REPORT_NOTE, "tunnel MTU of 1340"));
	r.four.black_hole = true;
	assert_true(has(&r, REPORT_BAD, "1340 or less"));
	r = sound();
	r.four.answered = 0;
	assert_true(has(&r, REPORT_BAD, "none of the servers runs"));
	r.relay_count = 1;
	r.relays[0] = (struct report_relay){.connect = 20 * NS_PER_MS, .to = at("203.0.113.5:443")};
	assert_true(has(&r, REPORT_BAD, "UDP over IPv4 is blocked"));
	assert_true(has(&r, REPORT_GOOD, "20.0 ms away"));
	snprintf(r.relays[0].error, sizeof(r.relays[0].error), "TLS: expired");
	assert_true(has(&r, REPORT_BAD, "TLS: expired"));
	r.portal = PORTAL_CAPTIVE;
	assert_true(has(&r, REPORT_BAD, "captive portal"));
	/* As much as there can be fits. */
	r.relay_count = REPORT_SERVERS;
	r.name_count = REPORT_NAMES;
	r.six = r.four;
	for (unsigned i = 0; i < REPORT_SERVERS; i++)
		memset(r.relays[i].error, 'x', sizeof(r.relays[i].error) - 1);
	for (unsigned i = 0; i < REPORT_NAMES; i++)
		memset(r.names[i].error, 'x', sizeof(r.names[i].error) - 1);
	assert_in_range(report_verdicts(&r, list), REPORT_SERVERS + REPORT_NAMES, REPORT_VERDICTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ask_and_read),
		cmocka_unit_test(test_read_other_address),
		cmocka_unit_test(test_mapping),
		cmocka_unit_test(test_filtering),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
