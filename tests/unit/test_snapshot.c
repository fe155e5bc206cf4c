/* The objects of weir-control(7), word for word, from views made by hand; and boot times as wall times. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <string.h>

#include "control/snapshot.h"

#define DAY (86400 * NS_PER_SEC)

static const struct time_base base = {.wall_minus_boot = 1700000000ull * NS_PER_SEC};

static void check(struct strbuf *s, const char *want)
{
	assert_string_equal(s->text, want);
	strbuf_clear(s);
}

static void test_peer(void **state)
{
	static counter_t counters[WG_COUNTERS];
	struct engine_peer_view v = {.name = "edge \"sfo\"",
				     .has_psk = true,
				     .keepalive = 25,
				     .origin = ORIGIN_ROAMED,
				     .host = "2001:db8::7",
				     .port = "51820",
				     .resolve_error = "no such name",
				     .state_since = 5 * NS_PER_SEC,
				     .initiations_unanswered = 27};
	struct allowed_list allowed = {.total = 200, .count = 2};
	struct strbuf s = {0};
	struct writer w = {.to = &s};

	(void)state;
	counter_set(&counters[WG_COUNT_initiation_sent], 30);
	counter_set(&counters[WG_COUNT_handshake_given_up], 1);
	memset(v.public_key.bytes, 1, KEY_LEN);
	v.used.remote.in.sin_family = AF_INET;
	v.used.remote.in.sin_port = htons(41641);
	inet_pton(AF_INET, "198.51.100.23", &v.used.remote.in.sin_addr);
	inet_pton(AF_INET, "192.0.2.14", &v.used.local.in);
	v.endpoint = v.used.remote;
	v.state = (struct peer_state){.path = PATH_STALE,
				      .tunnel = TUNNEL_SILENT,
				      .word = WORD_STUCK,
				      .reason = "27 of 27 unanswered"};
	v.wg = (struct wg_peer_view){.last_handshake_boot = 9 * NS_PER_SEC,
				     .last_handshake_wall = 1700000009ull * NS_PER_SEC + 250 * NS_PER_MS,
				     .handshake_rtt = 31 * NS_PER_MS,
				     .last_sent = 12 * NS_PER_SEC,
				     .last_received = 11 * NS_PER_SEC + 5 * NS_PER_MS,
				     .unanswered_since = 12 * NS_PER_SEC,
				     .tx_bytes = 1ull << 40,
				     .rx_bytes = 404,
				     .attempt = 7,
				     .attempt_reason = WG_REASON_silence,
				     .draining = true,
				     .staged = 3,
				     .counters = counters};
	v.wg.keypairs[WG_CURRENT] = (struct wg_keypair_view){.used = true,
							     .local_index = 0x7c21a0e4,
							     .remote_index = 0x51d3f00b,
							     .created = 9 * NS_PER_SEC,
							     .initiator = true,
							     .confirmed = true,
							     .sent = 40,
							     .received = 30,
							     .lost = 10};
	v.wg.keypairs[WG_PREVIOUS] =
		(struct wg_keypair_view){.used = true, .local_index = 1, .created = NS_PER_SEC};
	v.wg.timers[WG_TIMER_RETRY] = 17 * NS_PER_SEC;
	v.wg.timers[WG_TIMER_PERSISTENT] = 37 * NS_PER_SEC;
	allowed.items[0].family = AF_INET;
	allowed.items[0].len = 32;
	inet_pton(AF_INET, "10.0.200.9", allowed.items[0].addr);
	allowed.items[1].family = AF_INET6;
	allowed.items[1].len = 128;
	inet_pton(AF_INET6, "fd00::7", allowed.items[1].addr);

	snapshot_peer(&w, &v, &allowed, SNAPSHOT_ALLOWED, NULL, NULL, &base);
	check(&s,
	      "{\"publicKey\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\",\"name\":\"edge \\\"sfo\\\"\","
	      "\"presharedKey\":true,\"persistentKeepalive\":25,\"allowedIps\":[\"10.0.200.9/32\",\"fd00::7/"
	      "128\"],"
	      "\"allowedIpsTotal\":200,\"endpoint\":\"198.51.100.23:41641\",\"endpointOrigin\":\"roamed\","
	      "\"endpointHost\":\"[2001:db8::7]:51820\",\"sourceAddress\":\"192.0.2.14\","
	      "\"resolveError\":\"no such name\",\"word\":\"STUCK\",\"wordSinceAt\":1700000005.000,"
	      "\"reason\":\"27 of 27 unanswered\",\"path\":{\"kind\":\"direct\",\"state\":\"stale\"},"
	      "\"tunnel\":{\"state\":\"silent\"},\"latestHandshake\":1700000009.250,\"handshakeRtt\":0."
	      "031000,"
	      "\"lastReceivedAt\":1700000011.005,\"lastSentAt\":1700000012.000,"
	      "\"unansweredSinceAt\":1700000012.000,\"transferRx\":404,\"transferTx\":1099511627776,"
	      "\"loss\":0.2500,\"handshake\":{\"attempt\":7,\"attempts\":18,\"reason\":\"silence\",\"sent\":"
	      "30,"
	      "\"unanswered\":27,\"given_up\":1},\"keypairs\":[{\"slot\":\"current\",\"localIndex\":"
	      "\"7c21a0e4\","
	      "\"remoteIndex\":\"51d3f00b\",\"createdAt\":1700000009.000,\"initiator\":true,\"confirmed\":"
	      "true,"
	      "\"sent\":40,\"received\":30,\"lost\":10,\"rekeyAt\":1700000129.000,\"expiresAt\":1700000189."
	      "000},"
	      "{\"slot\":\"previous\",\"localIndex\":\"00000001\",\"remoteIndex\":\"00000000\","
	      "\"createdAt\":1700000001.000,\"initiator\":false,\"confirmed\":false,\"sent\":0,\"received\":"
	      "0,"
	      "\"lost\":0,\"rekeyAt\":0,\"expiresAt\":1700000181.000}],\"timers\":[{\"name\":\"retry\","
	      "\"dueAt\":1700000017.000,\"period\":5.000000},{\"name\":\"persistent-keepalive\","
	      "\"dueAt\":1700000037.000,\"period\":25.000000}],\"draining\":true,\"staged\":3,"
	      "\"counters\":{\"initiation_sent\":30,\"handshake_given_up\":1}}");
}

/* Nothing known: no null, no missing member. */
static void test_empty_peer(void **state)
{
	struct engine_peer_view v = {0};
	struct allowed_list allowed = {0};
	struct strbuf s = {0};
	struct writer w = {.to = &s};

	(void)state;
	v.state.word = WORD_IDLE;
	snapshot_peer(&w, &v, &allowed, SNAPSHOT_ALLOWED, NULL, NULL, &base);
	check(&s,
	      "{\"publicKey\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\",\"name\":\"\","
	      "\"presharedKey\":false,\"persistentKeepalive\":0,\"allowedIps\":[],\"allowedIpsTotal\":0,"
	      "\"endpoint\":\"\",\"endpointOrigin\":\"none\",\"endpointHost\":\"\",\"sourceAddress\":\"\","
	      "\"resolveError\":\"\",\"word\":\"IDLE\",\"wordSinceAt\":0,\"reason\":\"\","
	      "\"path\":{\"kind\":\"none\",\"state\":\"none\"},\"tunnel\":{\"state\":\"no-keys\"},"
	      "\"latestHandshake\":0,\"handshakeRtt\":0,\"lastReceivedAt\":0,\"lastSentAt\":0,"
	      "\"unansweredSinceAt\":0,\"transferRx\":0,\"transferTx\":0,\"loss\":0,"
	      "\"handshake\":{\"attempt\":0,\"attempts\":18,\"reason\":\"none\",\"sent\":0,\"unanswered\":0,"
	      "\"given_up\":0},\"keypairs\":[],\"timers\":[],\"draining\":false,\"staged\":0,\"counters\":{}"
	      "}");
}

static void test_allowed_limit(void **state)
{
	struct engine_peer_view v = {0};
	struct allowed_list allowed = {.total = 5000, .count = PEER_ALLOWED};
	struct strbuf s = {0};
	struct writer w = {.to = &s};
	unsigned n = 0;

	(void)state;
	for (size_t i = 0; i < PEER_ALLOWED; i++)
		allowed.items[i].family = AF_INET;
	snapshot_peer(&w, &v, &allowed, SNAPSHOT_ALLOWED, NULL, NULL, &base);
	for (const char *at = s.text; (at = strstr(at, "\"0.0.0.0/0\"")); at++)
		n++;
	assert_int_equal(n, SNAPSHOT_ALLOWED);
	assert_non_null(strstr(s.text, "\"allowedIpsTotal\":5000"));
	strbuf_clear(&s);
}

static void test_event_and_log(void **state)
{
	struct timeline_event ev = {.at_boot = 1,
				    .at_wall = 1700000000ull * NS_PER_SEC,
				    .sequence = 7,
				    .level = LOG_WARN,
				    .kind = "silence",
				    .text = "no \x1b[31manswer"};
	struct log_record r = {
		.wall_ns = NS_PER_SEC, .sequence = 8, .level = LOG_DEBUG, .room = "wg", .text = "x"};
	struct strbuf s = {0};
	struct writer w = {.to = &s};

	(void)state;
	snapshot_event(&w, &ev, "", "");
	check(&s, "{\"at\":1700000000.000,\"seq\":7,\"peer\":\"\",\"name\":\"\",\"level\":\"warn\","
		  "\"kind\":\"silence\",\"text\":\"no \\u001b[31manswer\"}");
	w.comma = false;
	snapshot_log(&w, &r);
	check(&s,
	      "{\"at\":1.000,\"seq\":8,\"level\":\"debug\",\"room\":\"wg\",\"peer\":\"\",\"text\":\"x\"}");
}

/* Slewing must not touch the objects of idle peers; a clock that was set must. */
static void test_time_base(void **state)
{
	struct instant now = {.boot = 5 * DAY, .wall = 500 * DAY};
	struct time_base t = {0};
	uint64_t at;

	(void)state;
	assert_true(time_base_follow(&t, now));
	at = time_base_wall(&t, 4 * DAY);
	assert_int_equal(at, 499 * DAY);
	assert_int_equal(time_base_wall(&t, 0), 0);
	now.boot += DAY;
	now.wall += DAY + NS_PER_MS;
	assert_false(time_base_follow(&t, now));
	assert_int_equal(time_base_wall(&t, 4 * DAY), at);
	now.wall -= 2 * DAY;
	assert_true(time_base_follow(&t, now));
	assert_true(time_base_wall(&t, 4 * DAY) < at - DAY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peer),	      cmocka_unit_test(test_empty_peer),
		cmocka_unit_test(test_allowed_limit), cmocka_unit_test(test_event_and_log),
		cmocka_unit_test(test_time_base),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
