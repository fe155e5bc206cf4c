/*
 * Decoders against golden text: every packet of the fuzz corpora, as the list and the tree show it. GOLDEN=1
 * writes the text anew; look at the difference before it is committed. What belongs together is tested by
 * itself.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tests/fuzz/fuzz_decode.h"
#include "tests/unit/test.h"

static const char *const families[] = {"ip", "dns", "wireguard", "stun", "relay", "signal"};

static void path_of(char *out, size_t size, const char *family, const char *file)
{
	snprintf(out, size, "%s/tests/fuzz/corpus/decode_%s/%s", SOURCE_DIR, family, file);
}

static void load(struct decode_input *in, enum decode_family family, const char *file)
{
	static uint8_t bytes[20000];
	char path[4096];
	FILE *f;

	path_of(path, sizeof(path), families[family], file);
	f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	assert_true(decode_input_read(in, family, bytes, fread(bytes, 1, sizeof(bytes), f)));
	fclose(f);
}

/* ---- golden ---- */

static void dump(struct strbuf *s, enum decode_family family, const char *file)
{
	static struct decode d;
	struct decode_input in;

	load(&in, family, file);
	decode_full(&d, &in.meta, in.packet, in.len);
	strbuf_add(s, "== %s/%s\n%s | %s\n", families[family], file, d.protocol, d.info);
	for (unsigned i = 0; i < d.count; i++) {
		const struct decode_line *l = &d.lines[i];

		strbuf_add(s, "%4u %4u %s%*s%-14s %s\n", l->offset, l->length, l->bad ? "!" : " ",
			   l->depth * 4, "", l->label, l->value);
	}
	free(in.packet);
}

static int visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

static void dump_family(struct strbuf *s, enum decode_family family)
{
	struct dirent **names;
	char path[4096];
	int n;

	path_of(path, sizeof(path), families[family], "");
	n = scandir(path, &names, visible, alphasort);
	assert_true(n > 0);
	for (int i = 0; i < n; i++) {
		dump(s, family, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

static void test_golden(void **state)
{
	struct strbuf s = {0};
	char *want = xcalloc(1, 1 << 20);
	FILE *f;

	(void)state;
	setenv("LC_ALL", "C", 1);
	for (unsigned i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		dump_family(&s, i);
	f = fopen(SOURCE_DIR "/tests/golden/decode.txt", getenv("GOLDEN") ? "w" : "r");
	assert_non_null(f);
	if (getenv("GOLDEN"))
		assert_int_equal(fwrite(s.text, 1, s.len, f), s.len);
	else
		assert_true(fread(want, 1, (1 << 20) - 1, f) > 0);
	fclose(f);
	if (!getenv("GOLDEN") && strcmp(s.text, want) != 0) {
		size_t at = 0, line = 1;

		while (s.text[at] && s.text[at] == want[at])
			line += s.text[at++] == '\n';
		fail_msg("tests/golden/decode.txt, line %zu: \"%.120s\" is now \"%.120s\"", line, want + at,
			 s.text + at);
	}
	strbuf_clear(&s);
	free(want);
}

/* ---- what the lists of other tests rest on ---- */

static const struct {
	enum decode_family family;
	const char *file, *protocol, *info;
} briefs[] = {
	{FAMILY_IP, "tcp-ack-sack", "TCP", "10.9.0.21:51514 > 10.9.0.1:443 A seq 41 ack 88120"},
	{FAMILY_IP, "echo-request", "ICMP", "10.9.0.12 > 10.9.0.1 echo request id 4 seq 871"},
	{FAMILY_IP, "fragmentation-needed", "ICMP",
	 "10.9.0.254 > 10.9.0.1 fragmentation needed, MTU 1380, about 10.9.0.1:443 > 10.9.0.21:51514"},
	{FAMILY_WIREGUARD, "initiation", "WG init", "idx 3be0417d, try 7 of 18"},
	{FAMILY_WIREGUARD, "initiation-mac1", "WG init",
	 "idx 3be0417d, from 198.51.100.23:41641, dropped: mac1 is bad: not meant for our key"},
	{FAMILY_WIREGUARD, "keepalive", "WG keep", "idx 5b20ee41 ctr 77"},
	{FAMILY_SIGNAL, "nat", "signal", "hello, asks for an answer, NAT: another port for each destination"},
	{FAMILY_STUN, "use-candidate", "STUN req", "binding, user 5e1b:88c0, USE-CANDIDATE"},
	{FAMILY_STUN, "rfc5769-response", "STUN ok",
	 "binding, mapped 192.0.2.1:32853, from 198.51.100.23:41641"},
	{FAMILY_RELAY, "transport-data", "WG data", "relay 198.51.100.23:41641, idx 4411ab02 ctr 3021"},
};

static void test_briefs(void **state)
{
	static struct decode d;
	struct decode_input in;

	(void)state;
	for (size_t i = 0; i < sizeof(briefs) / sizeof(briefs[0]); i++) {
		load(&in, briefs[i].family, briefs[i].file);
		decode_brief(&d, &in.meta, in.packet, in.len);
		assert_string_equal(d.protocol, briefs[i].protocol);
		assert_string_equal(d.info, briefs[i].info);
		free(in.packet);
	}
}

/* ---- flows and exchanges ---- */

static uint64_t flow_of(enum decode_family family, const char *file)
{
	struct decode_input in;
	uint64_t flow;

	load(&in, family, file);
	flow = decode_flow(&in.meta, in.packet, in.len);
	free(in.packet);
	return flow;
}

static uint64_t exchange_of(enum decode_family family, const char *file, bool *answer)
{
	struct decode_input in;
	uint64_t exchange;

	load(&in, family, file);
	exchange = decode_exchange(&in.meta, in.packet, in.len, answer);
	free(in.packet);
	return exchange;
}

static void test_flows(void **state)
{
	uint64_t tcp = flow_of(FAMILY_IP, "tcp-syn");

	(void)state;
	assert_int_not_equal(tcp, 0);
	assert_int_equal(flow_of(FAMILY_IP, "tcp-syn-ack"), tcp);
	assert_int_equal(flow_of(FAMILY_IP, "fragmentation-needed"), tcp); /* the error is about it */
	assert_int_not_equal(flow_of(FAMILY_IP, "udp"), tcp);
	assert_int_equal(flow_of(FAMILY_IP, "echo-request"), flow_of(FAMILY_IP, "echo-reply"));
	assert_int_equal(flow_of(FAMILY_IP, "v6-echo"), flow_of(FAMILY_IP, "v6-echo-reply"));
	assert_int_equal(flow_of(FAMILY_IP, "fragment-later"), 0);
	assert_int_equal(flow_of(FAMILY_IP, "empty"), 0);
	assert_int_equal(flow_of(FAMILY_STUN, "rfc5769-request"), flow_of(FAMILY_STUN, "rfc5769-response"));
	assert_int_equal(flow_of(FAMILY_WIREGUARD, "initiation"), flow_of(FAMILY_RELAY, "transport-init"));
	assert_int_not_equal(flow_of(FAMILY_WIREGUARD, "initiation"), flow_of(FAMILY_WIREGUARD, "keepalive"));
}

static void check_exchange(enum decode_family family, const char *question, const char *answered)
{
	bool answer = true;
	uint64_t exchange = exchange_of(family, question, &answer);

	assert_int_not_equal(exchange, 0);
	assert_false(answer);
	assert_int_equal(exchange_of(family, answered, &answer), exchange);
	assert_true(answer);
}

static void test_exchanges(void **state)
{
	bool answer;
	uint64_t init = exchange_of(FAMILY_WIREGUARD, "initiation", &answer);

	(void)state;
	check_exchange(FAMILY_IP, "echo-request", "echo-reply");
	check_exchange(FAMILY_IP, "v6-echo", "v6-echo-reply");
	check_exchange(FAMILY_WIREGUARD, "initiation", "response");
	check_exchange(FAMILY_WIREGUARD, "initiation", "cookie");
	check_exchange(FAMILY_STUN, "rfc5769-request", "rfc5769-response");
	check_exchange(FAMILY_DNS, "query-a", "answer-a");
	assert_int_equal(exchange_of(FAMILY_RELAY, "transport-init", &answer), init);
	assert_int_equal(exchange_of(FAMILY_WIREGUARD, "data", &answer), 0);
	assert_int_equal(exchange_of(FAMILY_STUN, "send-wireguard", &answer), 0);
	assert_int_equal(exchange_of(FAMILY_IP, "tcp-syn", &answer), 0);
	assert_int_equal(exchange_of(FAMILY_DNS, "short", &answer), 0);
}

/* A router's error about a ping is its answer, and no ping that nobody answers. */
static void test_error_answers_what_it_quotes(void **state)
{
	static const uint8_t head[28] = {0x45, 0, 0,  0, 0, 0, 0,  0, 64, 1, 0, 0, 192, 0,
					 2,    1, 10, 9, 0, 1, 11, 0, 0,  0, 0, 0, 0,	0};
	struct decode_input in;
	uint8_t error[256];
	uint64_t exchange;
	bool answer = true;

	(void)state;
	load(&in, FAMILY_IP, "echo-request");
	exchange = decode_exchange(&in.meta, in.packet, in.len, &answer);
	assert_false(answer);
	assert_true(sizeof(head) + in.len <= sizeof(error));
	memcpy(error, head, sizeof(head));
	memcpy(error + sizeof(head), in.packet, in.len);
	in.meta.length = (uint32_t)(sizeof(head) + in.len);
	assert_int_equal(decode_exchange(&in.meta, error, in.meta.length, &answer), exchange);
	assert_true(answer);
	free(in.packet);
}

/* Whatever is missing at the end of a record, nothing is read there, and the packet is not called wrong for
 * it. */
static void test_every_cut(void **state)
{
	static struct decode d;
	struct decode_input in;

	(void)state;
	load(&in, FAMILY_IP, "tcp-syn");
	for (size_t len = 0; len < in.len; len++) {
		uint8_t *record = xmalloc(len + !len);

		memcpy(record, in.packet, len);
		decode_full(&d, &in.meta, record, len);
		for (unsigned i = 0; i < d.count; i++)
			assert_false(d.lines[i].bad);
		free(record);
	}
	free(in.packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_golden),
		cmocka_unit_test(test_briefs),
		cmocka_unit_test(test_flows),
		cmocka_unit_test(test_exchanges),
		cmocka_unit_test(test_error_answers_what_it_quotes),
		cmocka_unit_test(test_every_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
