/* ICMP errors about packets that are too big; judged by the slow code of net_help.c. */
#include "tests/unit/test.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "net/too_big.h"
#include "tests/unit/net_help.h"

static uint8_t payload[3000];

static size_t build(uint8_t *out, int version, bool df, size_t payload_len)
{
	struct packet_spec s = {.version = version,
				.protocol = IPPROTO_UDP,
				.ttl = 64,
				.df = df,
				.sport = 1,
				.dport = 2,
				.payload = payload,
				.payload_len = payload_len};

	return packet_build(out, &s);
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)(p[0] << 8 | p[1]);
}

static void ipv4_says_what_fits(void **state)
{
	uint8_t packet[3100], reply[TOO_BIG_REPLY_MAX];
	size_t len = build(packet, 4, true, 1380), n;

	(void)state;
	assert_true(too_big_for_good(packet));
	n = too_big_reply(reply, packet, len, 1200);
	assert_int_equal(n, 576);
	assert_int_equal(get16(reply + 2), n);
	assert_int_equal(naive_checksum(reply, 20, 0), 0);
	assert_int_equal(naive_checksum(reply + 20, n - 20, 0), 0);
	assert_int_equal(reply[9], IPPROTO_ICMP);
	assert_memory_equal(reply + 16, packet + 12, 4); /* to its sender */
	assert_memory_equal(reply + 12, packet + 16, 4);
	assert_int_equal(reply[20], 3);
	assert_int_equal(reply[21], 4);
	assert_int_equal(get16(reply + 26), 1200);
	assert_memory_equal(reply + 28, packet, n - 28);
	len = build(packet, 4, false, 1380);
	assert_false(too_big_for_good(packet));
}

static void ipv6_says_what_fits(void **state)
{
	uint8_t packet[3100], reply[TOO_BIG_REPLY_MAX];
	size_t len = build(packet, 6, false, 1400), n;

	(void)state;
	assert_true(too_big_for_good(packet));
	n = too_big_reply(reply, packet, len, 1300);
	assert_int_equal(n, 1280);
	assert_int_equal(get16(reply + 4), n - 40);
	assert_int_equal(naive_checksum(reply + 40, n - 40, naive_pseudo(reply, IPPROTO_ICMPV6, n - 40)), 0);
	assert_memory_equal(reply + 24, packet + 8, 16);
	assert_memory_equal(reply + 8, packet + 24, 16);
	assert_int_equal(reply[40], 2);
	assert_int_equal(reply[41], 0);
	assert_int_equal(get16(reply + 44), 0);
	assert_int_equal(get16(reply + 46), 1300);
	assert_memory_equal(reply + 48, packet, n - 48);
}

static void small_packets_are_quoted_whole(void **state)
{
	uint8_t packet[200], reply[TOO_BIG_REPLY_MAX];
	size_t len = build(packet, 4, true, 101);

	(void)state;
	assert_int_equal(too_big_reply(reply, packet, len, 68), 28 + len);
	assert_int_equal(naive_checksum(reply + 20, 8 + len, 0), 0);
	len = build(packet, 6, false, 101);
	assert_int_equal(too_big_reply(reply, packet, len, 68), 48 + len);
}

static void no_error_about(uint8_t *packet, size_t len, size_t at, uint8_t value)
{
	uint8_t reply[TOO_BIG_REPLY_MAX], was = packet[at];

	assert_int_not_equal(too_big_reply(reply, packet, len, 1200), 0);
	packet[at] = value;
	assert_int_equal(too_big_reply(reply, packet, len, 1200), 0);
	packet[at] = was;
}

/* RFC 1122 section 3.2.2, RFC 4443 section 2.4: not about errors, groups, later fragments, or nobody's
 * packets. */
static void some_get_no_error(void **state)
{
	uint8_t four[1500], six[1500], reply[TOO_BIG_REPLY_MAX];
	size_t len4 = build(four, 4, true, 1400), len6 = build(six, 6, false, 1400);

	(void)state;
	no_error_about(four, len4, 16, 224);
	no_error_about(four, len4, 12, 0);
	no_error_about(four, len4, 12, 255);
	no_error_about(four, len4, 7, 1); /* fragment offset */
	no_error_about(six, len6, 24, 0xff);
	no_error_about(six, len6, 8, 0xff);
	memset(six + 8, 0, 16);
	assert_int_equal(too_big_reply(reply, six, len6, 1280), 0);
	len6 = build(six, 6, false, 1400);
	four[9] = IPPROTO_ICMP;
	four[20] = 8; /* a ping is no error */
	no_error_about(four, len4, 20, 3);
	six[6] = IPPROTO_ICMPV6;
	six[40] = 128;
	no_error_about(six, len6, 40, 1);
}

static void damaged_packets(void **state)
{
	uint8_t packet[1500];

	(void)state;
	for (int i = 0; i < 20000; i++) {
		size_t len = build(packet, random_below(2) ? 4 : 6, true, 60),
		       cut = random_below((uint32_t)len + 1);
		uint8_t *exact, *reply = malloc(TOO_BIG_REPLY_MAX);

		for (int k = 0; k < 4; k++)
			packet[random_below((uint32_t)len)] = (uint8_t)random_next();
		exact = malloc(cut ? cut : 1);
		memcpy(exact, packet, cut);
		assert_true(too_big_reply(reply, exact, cut, 1280) <= 48 + cut);
		free(exact);
		free(reply);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ipv4_says_what_fits),
		cmocka_unit_test(ipv6_says_what_fits),
		cmocka_unit_test(small_packets_are_quoted_whole),
		cmocka_unit_test(some_get_no_error),
		cmocka_unit_test(damaged_packets),
	};

	random_fill(payload, sizeof(payload));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
