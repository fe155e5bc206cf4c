/*
 * Capture files, block by block. With a folder as argument it writes sample files there instead, for
 * tests/unit/tap_pcapng.sh, which shows them to tshark.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "signal/signal.h"
#include "tap/filter.h"
#include "tap/pcapng.h"
#include "tests/unit/test.h"

static const uint8_t inner[] = {0x45, 0,  0,  28, 0, 0, 0, 0,  64,   17,   0x66, 0xaa, 10, 9,
				0,    21, 10, 9,  0, 1, 0, 53, 0x88, 0x5e, 0,	 8,    0,  0};
static const uint8_t keepalive[32] = {4, 0, 0, 0, 0x41, 0xee, 0x20, 0x5b, 77};
#define AT 1767225600123456789ull

static struct capture_head head_of(enum capture_format format)
{
	return (struct capture_head){.format = format,
				     .ifname = "wg0",
				     .hostname = "host",
				     .filter = "",
				     .version = "1.2",
				     .points = format == CAPTURE_PCAP ? 3 : 15};
}

static struct tap_meta meta_of(enum tap_point point, uint32_t length)
{
	struct tap_meta m = {.number = 5, .at = AT, .point = (uint8_t)point, .length = length, .out = true};

	m.has_peer = true;
	m.peer.bytes[31] = 1;
	m.path = PATH_KIND_DIRECT;
	assert_true(address_parse(&m.local, "192.0.2.14:40531"));
	assert_true(address_parse(&m.remote, "198.51.100.23:41641"));
	return m;
}

/* ---- reading ---- */

static uint64_t number(const uint8_t *at, unsigned bytes)
{
	uint64_t n = 0;

	for (unsigned i = bytes; i--;)
		n = n << 8 | at[i];
	return n;
}

static const uint8_t *at(const struct strbuf *s, size_t offset)
{
	return (const uint8_t *)s->text + offset;
}

/* The n-th block of a type; its length is at both ends. */
static const uint8_t *block(const struct strbuf *s, uint32_t type, unsigned n, size_t *len)
{
	for (size_t o = 0; o < s->len; o += *len) {
		assert_true(o + 12 <= s->len);
		*len = number(at(s, o + 4), 4);
		assert_int_equal(*len % 4, 0);
		assert_true(*len >= 12 && o + *len <= s->len);
		assert_int_equal(number(at(s, o + *len - 4), 4), *len);
		if (number(at(s, o), 4) == type && !n--)
			return at(s, o);
	}
	return NULL;
}

static bool holds(const uint8_t *bytes, size_t len, const void *what, size_t what_len)
{
	return memmem(bytes, len, what, what_len);
}

static bool holds_text(const uint8_t *bytes, size_t len, const char *text)
{
	return holds(bytes, len, text, strlen(text));
}

/* ---- tests ---- */

static void test_start(void **state)
{
	struct capture_head h = head_of(CAPTURE_PCAPNG);
	struct strbuf s = {0};
	const uint8_t *b;
	size_t len;

	(void)state;
	h.filter = "udp or peer x";
	h.points = 1 << TAP_INNER | 1 << TAP_SIGNAL;
	h.snaplen = 128;
	capture_begin(&s, &h);
	b = block(&s, 0x0a0d0d0a, 0, &len);
	assert_non_null(b);
	assert_int_equal(number(b + 8, 4), 0x1a2b3c4d);
	assert_true(holds_text(b, len, "weir 1.2"));
	assert_true(holds_text(b, len, "weir on host, interface wg0, filter: udp or peer x"));
	b = block(&s, 1, 0, &len);
	assert_int_equal(number(b + 8, 2), 101);
	assert_true(number(b + 12, 4) >= 128);
	assert_true(holds_text(b, len, "wg0-inner"));
	assert_true(holds(b, len, "\x0b\0\x0e\0\0udp", 8)); /* if_filter */
	assert_true(holds(b, len, "\x09\0\1\0\x09", 5));    /* nanoseconds */
	b = block(&s, 1, 1, &len);
	assert_int_equal(number(b + 8, 2), 252);
	assert_true(holds_text(b, len, "wg0-signal"));
	assert_null(block(&s, 1, 2, &len));
	strbuf_clear(&s);
}

static void test_wire(void **state)
{
	struct capture_head h = head_of(CAPTURE_PCAPNG);
	struct tap_meta m = meta_of(TAP_WIRE, 32);
	struct strbuf s = {0};
	const uint8_t *b;
	size_t len;
	uint32_t sum = 0;

	(void)state;
	m.drop = TAP_DROP_replayed;
	m.attempt = 7;
	m.attempts = 18;
	assert_true(capture_packet(&s, &h, &m, keepalive, 32, "edge\nsfo", 3));
	b = block(&s, 6, 0, &len);
	assert_int_equal(number(b + 8, 4), 0);
	assert_int_equal(number(b + 12, 4) << 32 | number(b + 16, 4), AT);
	assert_int_equal(number(b + 20, 4), 60);
	assert_int_equal(number(b + 24, 4), 60);
	assert_int_equal(b[28], 0x45);
	assert_memory_equal(b + 56, keepalive, 32);
	for (unsigned i = 12; i < 60;
	     i += 2) /* addresses, UDP, payload: with its checksum it sums up to nothing */
		sum += (uint32_t)b[28 + i] << 8 | b[29 + i];
	sum += 17 + 40;
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	assert_true(holds_text(
		b, len, "peer=edge?sfo path=direct try=7/18 drop=replayed: its counter was seen before"));
	assert_true(holds(b, len, "\2\0\4\0\2\0\0\0", 8)); /* outbound */
	assert_true(holds(b, len, "\4\0\x08\0\3\0\0\0", 8));
	strbuf_clear(&s);
	m.out = false;
	m.remote.sa.sa_family = AF_UNSPEC;
	m.has_peer = false;
	assert_true(capture_packet(&s, &h, &m, keepalive, 10, NULL, 0));
	b = block(&s, 6, 0, &len);
	assert_int_equal(number(b + 20, 4), 38);
	assert_int_equal(number(b + 24, 4), 60);
	assert_true(holds(b, len, "\2\0\4\0\1\0\0\0", 8));
	assert_false(holds_text(b, len, "peer="));
	strbuf_clear(&s);
}

static void test_upper(void **state)
{
	struct capture_head h = head_of(CAPTURE_PCAPNG);
	struct tap_meta m = meta_of(TAP_RELAY, 70);
	uint8_t message[70] = {1, 3}, body[512];
	struct signal_message offer = {.type = SIGNAL_OFFER,
				       .boot = 1,
				       .has = SIGNAL_HAS_CREDENTIALS,
				       .ufrag = "uf\"",
				       .pwd = "hidden-password"};
	struct strbuf s = {0};
	const uint8_t *b;
	size_t len;
	int n;

	(void)state;
	memcpy(message + 38, keepalive, 32);
	assert_true(capture_packet(&s, &h, &m, message, 70, "a", 0));
	b = block(&s, 6, 0, &len);
	assert_int_equal(number(b + 8, 4), 2);
	assert_memory_equal(b + 28, "\0\x0c\0\4wg\0\0", 8);
	assert_true(holds(b, len, keepalive, 32));
	assert_int_equal(number(b + 20, 4), number(b + 24, 4));
	strbuf_clear(&s);
	message[1] = 5;
	assert_true(capture_packet(&s, &h, &m, message, 70, "a", 0));
	assert_memory_equal(block(&s, 6, 0, &len) + 28, "\0\x0c\0\4data", 8);
	strbuf_clear(&s);
	strcpy(offer.candidates[0], "1 1 UDP 1 192.0.2.1 5 typ host");
	offer.candidate_count = 1;
	n = signal_encode(&offer, body, sizeof(body));
	assert_true(n > 0);
	m = meta_of(TAP_SIGNAL, (uint32_t)n);
	assert_true(capture_packet(&s, &h, &m, body, (size_t)n, "a", 0));
	b = block(&s, 6, 0, &len);
	assert_memory_equal(b + 28, "\0\x0c\0\4json", 8);
	assert_true(holds_text(b, len, "{\"type\":\"offer\""));
	assert_true(holds_text(b, len, "\"ufrag\":\"uf\\\"\""));
	assert_true(holds_text(b, len, "192.0.2.1 5 typ host"));
	assert_false(holds_text(b, len, "hidden-password"));
	strbuf_clear(&s);
}

static void test_keys_and_end(void **state)
{
	struct capture_head h = head_of(CAPTURE_PCAPNG);
	const uint64_t packets[TAP_POINTS] = {1, 2, 3, 4};
	struct strbuf s = {0};
	const uint8_t *b;
	size_t len;

	(void)state;
	capture_keys(&s, "PRESHARED_KEY = x\n", 18);
	b = block(&s, 10, 0, &len);
	assert_int_equal(number(b + 8, 4), 0x57474b4c);
	assert_int_equal(number(b + 12, 4), 18);
	strbuf_clear(&s);
	capture_end(&s, &h, packets, 9, AT);
	b = block(&s, 5, 0, &len);
	assert_true(holds(b, len, "\4\0\x08\0\1\0\0\0", 8));
	assert_true(holds(b, len, "\5\0\x08\0\x09\0\0\0", 8));
	b = block(&s, 5, 3, &len);
	assert_true(holds(b, len, "\4\0\x08\0\4\0\0\0", 8));
	assert_true(holds(b, len, "\5\0\x08\0\0\0\0\0", 8));
	strbuf_clear(&s);
}

static void test_pcap(void **state)
{
	struct capture_head h = head_of(CAPTURE_PCAP);
	struct tap_meta m = meta_of(TAP_WIRE, 32);
	const uint64_t packets[TAP_POINTS] = {1};
	struct strbuf s = {0};

	(void)state;
	capture_begin(&s, &h);
	assert_int_equal(s.len, 24);
	assert_int_equal(number(at(&s, 0), 4), 0xa1b23c4d);
	assert_int_equal(number(at(&s, 20), 4), 101);
	assert_true(capture_packet(&s, &h, &m, keepalive, 32, "a", 0));
	assert_int_equal(s.len, 24 + 16 + 60);
	assert_int_equal(number(at(&s, 24), 4), AT / 1000000000);
	assert_int_equal(number(at(&s, 28), 4), AT % 1000000000);
	m.point = TAP_RELAY;
	assert_false(capture_packet(&s, &h, &m, keepalive, 32, "a", 0));
	capture_end(&s, &h, packets, 0, AT);
	assert_int_equal(s.len, 24 + 16 + 60);
	strbuf_clear(&s);
}

/* ---- samples ---- */

static void sample_packets(struct strbuf *s, const struct capture_head *h)
{
	static const enum tap_drop drops[] = {TAP_DROP_none, TAP_DROP_old_timestamp};
	uint8_t relay[70] = {1, 3}, body[512];
	struct signal_message ping = {
		.type = SIGNAL_PING, .boot = 7, .has = SIGNAL_HAS_COUNTS, .data_sent = 4};
	int n = signal_encode(&ping, body, sizeof(body));

	memcpy(relay + 38, keepalive, 32);
	for (unsigned i = 0; i < 4; i++) {
		struct tap_meta m = meta_of(TAP_WIRE, 32);

		m.out = i & 1;
		m.drop = (uint8_t)drops[i / 2];
		m.at += i * 1000000;
		if (i == 3)
			assert_true(address_parse(&m.remote, "[2001:db8::1]:41641"));
		capture_packet(s, h, &m, keepalive, 32, "edge-sfo", 0);
		m.point = TAP_INNER;
		m.length = sizeof(inner);
		capture_packet(s, h, &m, inner, sizeof(inner) - (i == 2 ? 4 : 0), "edge-sfo", 0);
		m.point = TAP_RELAY;
		m.length = sizeof(relay);
		capture_packet(s, h, &m, relay, sizeof(relay), "edge-sfo", i == 1 ? 12 : 0);
		m.point = TAP_SIGNAL;
		m.length = (uint32_t)n;
		capture_packet(s, h, &m, body, (size_t)n, "edge-sfo", 0);
	}
}

static int write_sample(const char *folder, const char *name, const struct strbuf *s, size_t len)
{
	char *path = xasprintf("%s/%s", folder, name);
	FILE *f = fopen(path, "wb");
	bool good = f && fwrite(s->text, 1, len, f) == len;

	free(path);
	return (f && fclose(f)) || !good;
}

static int write_samples(const char *folder)
{
	const uint64_t packets[TAP_POINTS] = {4, 4, 4, 4};
	int bad = 0;

	for (int format = CAPTURE_PCAPNG; format <= CAPTURE_PCAP; format++) {
		struct capture_head h = head_of(format);
		struct strbuf s = {0};

		h.filter = "point wire or udp";
		capture_begin(&s, &h);
		if (format == CAPTURE_PCAPNG)
			capture_keys(
				&s,
				"LOCAL_STATIC_PRIVATE_KEY = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
				72);
		sample_packets(&s, &h);
		bad |= write_sample(folder, format == CAPTURE_PCAP ? "cut.pcap" : "cut.pcapng", &s, s.len);
		capture_end(&s, &h, packets, 12, AT + 1000000000);
		bad |= write_sample(folder, format == CAPTURE_PCAP ? "all.pcap" : "all.pcapng", &s, s.len);
		strbuf_clear(&s);
	}
	return bad;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_start),	     cmocka_unit_test(test_wire),
		cmocka_unit_test(test_upper),	     cmocka_unit_test(test_pcap),
		cmocka_unit_test(test_keys_and_end),
	};

	if (argc > 1)
		return write_samples(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
