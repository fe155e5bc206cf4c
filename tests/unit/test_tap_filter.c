/* Filters: what each expression means, against packets of every point; what is refused, and where the text
 * says so. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tap/filter.h"
#include "tests/unit/test.h"

/* 10.9.0.1:443 > 10.9.0.21:51514, TCP with ACK. */
static const uint8_t tcp[] = {0x45, 0, 0,  40, 0,    0,	   0x40, 0,    64,   6,	   0, 0, 10, 9,
			      0,    1, 10, 9,  0,    21,   0x01, 0xbb, 0xc9, 0x3a, 0, 0, 0,  1,
			      0,    0, 0,  1,  0x50, 0x10, 0xff, 0xff, 0,    0,	   0, 0};
/* 10.9.0.21:53 > 10.9.0.1:34910, UDP. */
static const uint8_t udp[] = {0x45, 0,	0,  28, 0, 0, 0, 0,  64,   17,	 0, 0, 10, 9,
			      0,    21, 10, 9,	0, 1, 0, 53, 0x88, 0x5e, 0, 8, 0,  0};
/* fd00::1 > fd00::2, ICMPv6 echo request. */
static const uint8_t icmp6[] = {0x60, 0, 0, 0, 0, 8, 58, 64, 0xfd, 0, 0, 0, 0, 0, 0, 0,
				0,    0, 0, 0, 0, 0, 0,	 1,  0xfd, 0, 0, 0, 0, 0, 0, 0,
				0,    0, 0, 0, 0, 0, 0,	 2,  128,  0, 0, 0, 0, 4, 0, 1};
static const uint8_t initiation[148] = {1};
static const uint8_t relay[] = {1, 5};

enum { TCP, UDP, ICMP6, INIT, INIT6, LOST, RELAY, PACKETS };
#define ALL ((1 << PACKETS) - 1)

static struct tap_meta metas[PACKETS];
static const uint8_t *bytes[PACKETS] = {tcp, udp, icmp6, initiation, initiation, initiation, relay};
static const size_t lengths[PACKETS] = {sizeof(tcp), sizeof(udp), sizeof(icmp6), 148,
					148,	     148,	  sizeof(relay)};

static const struct key alice = {.bytes = {1}}, bob = {.bytes = {2}};

static void set_up_packets(void)
{
	for (unsigned i = 0; i < PACKETS; i++) {
		struct tap_meta *m = &metas[i];

		*m = (struct tap_meta){.point = TAP_INNER, .type = TAP_IP, .length = (uint32_t)lengths[i]};
		m->has_peer = true;
		m->peer = i == UDP || i == RELAY ? bob : alice;
		if (i >= INIT) {
			m->point = TAP_WIRE;
			m->type = TAP_INITIATION;
		}
	}
	metas[TCP].out = metas[INIT].out = true;
	metas[TCP].path = metas[INIT].path = PATH_KIND_DIRECT;
	assert_true(address_parse(&metas[INIT].local, "192.0.2.14:40531"));
	assert_true(address_parse(&metas[INIT].remote, "198.51.100.23:41641"));
	assert_true(address_parse(&metas[INIT6].remote, "[2001:db8::66]:9001"));
	metas[INIT6].drop = TAP_DROP_mac1;
	metas[INIT6].has_peer = false;
	metas[RELAY].point = TAP_RELAY;
	metas[RELAY].type = TAP_RELAY_CONTROL;
	metas[RELAY].path = PATH_KIND_RELAY;
}

static void resolve(struct tap_filter *f)
{
	for (unsigned i = 0; i < f->count; i++)
		if (f->nodes[i].kind == TAP_NODE_PEER)
			f->nodes[i].key = strcmp(f->nodes[i].peer, "alice") ? bob : alice;
}

static unsigned matching(const char *text)
{
	struct tap_filter *f;
	struct error e = {0};
	unsigned found = 0;

	if (tap_filter_parse(&f, text, &e))
		fail_msg("%s: %s", text, e.text);
	if (!tap_filter_valid(f))
		fail_msg("%s: not valid", text);
	resolve(f);
	for (unsigned i = 0; i < PACKETS; i++)
		if (tap_filter_match(f, &metas[i], bytes[i], lengths[i]))
			found |= 1u << i;
	tap_filter_free(f);
	return found;
}

#define B(x) (1u << (x))
static const struct {
	const char *text;
	unsigned packets;
} cases[] = {
	{"", ALL},
	{"  ", ALL},
	/* libpcap's own */
	{"tcp", B(TCP)},
	{"ip", B(TCP) | B(UDP) | B(INIT)},
	{"ip6", B(ICMP6) | B(INIT6)},
	{"icmp6", B(ICMP6)},
	{"udp", B(UDP) | B(INIT) | B(INIT6)},
	{"host 10.9.0.21", B(TCP) | B(UDP)},
	{"src host 10.9.0.21", B(UDP)},
	{"net 10.9.0.0/24", B(TCP) | B(UDP)},
	{"ip6 net 2001:db8::/32", B(INIT6)},
	{"port 443 or 53", B(TCP) | B(UDP)},
	{"udp port 41641", B(INIT)},
	{"src port 9001", B(INIT6)},
	{"src 192.0.2.14 and dst port 41641", B(INIT)},
	{"portrange 40000-42000", B(INIT)},
	{"tcp[tcpflags] & (tcp-syn|tcp-ack) != 0", B(TCP)},
	{"tcp[13]&16!=0", B(TCP)},
	{"(ip[8] + 1) > 64 and tcp", B(TCP)},
	{"udp[8] = 1", B(INIT)}, /* the first byte of WireGuard; libpcap reads so over IPv4 alone */
	{"greater 150", B(INIT) | B(INIT6)}, /* headers count */
	{"less 40", B(TCP) | B(UDP)},
	{"not host 10.9.0.1", B(ICMP6) | B(INIT) | B(INIT6)},
	{"!tcp && !udp", B(ICMP6)},
	{"icmp6 or tcp", B(ICMP6) | B(TCP)},
	/* ours */
	{"peer alice", B(TCP) | B(ICMP6) | B(INIT) | B(LOST)},
	{"peer \"bob\"", B(UDP) | B(RELAY)},
	{"point wire", B(INIT) | B(INIT6) | B(LOST)},
	{"point inner", B(TCP) | B(UDP) | B(ICMP6)},
	{"point relay", B(RELAY)},
	{"point signal", 0},
	{"type init", B(INIT) | B(INIT6) | B(LOST)},
	{"type ip", B(TCP) | B(UDP) | B(ICMP6)},
	{"type relay", B(RELAY)},
	{"type data", 0},
	{"path direct", B(TCP) | B(INIT)},
	{"path relay", B(RELAY)},
	{"out", B(TCP) | B(INIT)},
	{"in", ALL & ~(B(TCP) | B(INIT))},
	{"dropped", B(INIT6)},
	{"not dropped", ALL & ~B(INIT6)},
	{"!! dropped", B(INIT6)},
	{"not (peer alice)", B(UDP) | B(INIT6) | B(RELAY)},
	/* both: and and or bind alike, from the left */
	{"peer alice and tcp", B(TCP)},
	{"tcp and peer bob", 0},
	{"tcp or peer bob", B(TCP) | B(UDP) | B(RELAY)},
	{"peer alice or tcp and port 443", B(TCP)},
	{"point relay or tcp and port 443", B(TCP)},
	{"point relay or (tcp and port 443)", B(TCP) | B(RELAY)},
	{"point relay or (out and port 443)", B(TCP) | B(RELAY)},
	{"out and tcp or icmp6", B(TCP) | B(ICMP6)},
	{"out and (tcp or icmp6)", B(TCP)},
	{"in and tcp or port 53 or 443", B(TCP) | B(UDP)},
	{"in and port 53 or 443 and host 10.9.0.21", B(TCP) | B(UDP)},
	{"in or port 53 or 443 and host 10.9.0.21", B(TCP) | B(UDP)},
	{"peer alice and not tcp",
	 B(ICMP6) | B(INIT)}, /* what has no IP header matches no primitive, not even a negated one */
	{"peer alice and not (tcp or out)", B(ICMP6) | B(LOST)},
	{"not peer alice and udp", B(UDP) | B(INIT6)},
	{"not (peer alice and udp)", ALL & ~B(INIT)},
	{"(((point inner))) and ((tcp))", B(TCP)},
	{"type init and udp port 41641 or tcp and out", B(INIT) | B(TCP)},
	{"dropped or in and point wire and ip6", B(INIT6)},
	{"out&&tcp||dropped", B(TCP) | B(INIT6)},
	{"!(in||dropped)", B(TCP) | B(INIT)},
};

static void test_meanings(void **state)
{
	(void)state;
	set_up_packets();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned got = matching(cases[i].text);

		if (got != cases[i].packets)
			fail_msg("\"%s\" matches %#x, not %#x", cases[i].text, got, cases[i].packets);
	}
}

static const struct {
	const char *text, *says;
} bad[] = {
	{"tcp and", "syntax error"},
	{"peer", "at its end: the name or the public key"},
	{"peer and tcp", "column 6"},
	{"point nic", "column 7, at \"nic\": wire, inner"},
	{"type foo or tcp", "column 6"},
	{"path none", "column 6"},
	{"tcp or (peer a", "column 8, at \"(peer a\": this parenthesis is never closed"},
	{"peer a)", "column 7, at \")\": this parenthesis was never opened"},
	{"tcp)", "column 4"},
	{"()", "column 1"},
	{"peer a ()", "column 8"},
	{"tcp peer a", "column 5, at \"peer a\": \"and\" or \"or\""},
	{"peer a tcp", "column 8, at \"tcp\": \"and\" or \"or\""},
	{"peer a and", "at its end"},
	{"or peer a", "column 1"},
	{"not", "column 1"},
	{"peer a and port nosuchport", "column 12"},
	{"in and 443", "column 8"}, /* nothing to lean on */
	{"in and tcp or 443 and", "column 8"},
	{"tcp and udp", "reject"},
	{"ip6 protochain 6", "loop"},
	{"peer 0123456789012345678901234567890123456789012345678901234567890123", "no peer has such a name"},
	{"peer \"\"", "no peer has such a name"},
	{"peer a and \x1b[31m", "\\x1b"},
	{"init or stun", "column 1, at \"init or stun\": \"init\" alone is no primitive of pcap-filter(7); "
			 "write \"type init\""},
	{"type init or stun", "column 14, at \"stun\": \"stun\" alone"},
	{"tcp and (keep or resp)", "write \"type keep\""},
	{"peer a and not cookie", "write \"type cookie\""},
	{"wire", "write \"point wire\""},
	{"relay", "write \"point relay\" or \"type relay\" or \"path relay\""},
	{"in and turn", "write \"path turn\""},
	{"inbound", "\"in\" and \"out\" tell"},
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct tap_filter *f = NULL;
		struct error e = {0};

		if (!tap_filter_parse(&f, bad[i].text, &e))
			fail_msg("\"%s\" is taken", bad[i].text);
		assert_null(f);
		assert_int_equal(e.exit, EXIT_USAGE);
		if (!strstr(e.text, bad[i].says))
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].text, e.text, bad[i].says);
	}
}

static void test_too_many(void **state)
{
	char text[2048] = "in";
	struct tap_filter *f;
	struct error e = {0};
	char deep[256] = {0};

	(void)state;
	for (unsigned i = 0; i < 40; i++)
		strcat(text, " or in");
	assert_int_not_equal(tap_filter_parse(&f, text, &e), 0);
	assert_non_null(strstr(e.text, "too many words"));
	memset(deep, '(', 40);
	strcat(deep, "in");
	memset(deep + 42, ')', 40);
	assert_int_not_equal(tap_filter_parse(&f, deep, &e), 0);
	assert_non_null(strstr(e.text, "too many parentheses"));
}

/* Filters that came from outside. */
static void test_valid(void **state)
{
	static struct tap_instruction loops[] = {{0x05, 0, 0, 0xffffffff}, {0x06, 0, 0, 1}};
	static struct tap_instruction open[] = {{0x00, 0, 0, 1}};
	static struct tap_instruction far[] = {{0x15, 9, 0, 1}, {0x06, 0, 0, 1}};
	static struct tap_instruction good[] = {{0x06, 0, 0, 1}};
	struct tap_filter *f = xcalloc(1, sizeof(*f));

	(void)state;
	assert_true(tap_filter_valid(f));
	f->nodes[0] = (struct tap_node){.kind = TAP_NODE_BPF, .code = good, .count = 1};
	f->count = 1;
	assert_true(tap_filter_valid(f));
	f->nodes[0].count = 0;
	assert_false(tap_filter_valid(f));
	f->nodes[0].code = NULL;
	f->nodes[0].count = 1;
	assert_false(tap_filter_valid(f));
	f->nodes[0].code = open;
	assert_false(tap_filter_valid(f));
	f->nodes[0].code = loops;
	f->nodes[0].count = 2;
	assert_false(tap_filter_valid(f));
	f->nodes[0].code = far;
	assert_false(tap_filter_valid(f));
	f->nodes[0] = (struct tap_node){.kind = TAP_NODE_AND};
	assert_false(tap_filter_valid(f));
	f->nodes[0] = (struct tap_node){.kind = TAP_NODE_POINT, .value = TAP_POINTS};
	assert_false(tap_filter_valid(f));
	f->nodes[0].value = 0;
	assert_true(tap_filter_valid(f));
	f->nodes[1] = (struct tap_node){.kind = TAP_NODE_IN};
	f->count = 2; /* two operands, nothing joins them */
	assert_false(tap_filter_valid(f));
	f->nodes[2] = (struct tap_node){.kind = TAP_NODE_OR};
	f->count = 3;
	assert_true(tap_filter_valid(f));
	f->nodes[2].kind = TAP_NODE_KINDS;
	assert_false(tap_filter_valid(f));
	memset(f->nodes[0].peer, 'x', sizeof(f->nodes[0].peer));
	f->nodes[0].kind = TAP_NODE_PEER;
	f->count = 1;
	assert_false(tap_filter_valid(f));
	f->count = TAP_NODES_MAX + 1;
	assert_false(tap_filter_valid(f));
	free(f);
}

static void test_headers(void **state)
{
	struct tap_meta m = {.point = TAP_WIRE, .length = 148, .out = true};
	uint8_t out[48];
	uint32_t sum = 0;

	(void)state;
	assert_int_equal(tap_outer_headers(out, &m), 0);
	assert_true(address_parse(&m.local, "192.0.2.14:40531"));
	assert_true(address_parse(&m.remote, "198.51.100.23:41641"));
	assert_int_equal(tap_outer_headers(out, &m), 28);
	for (unsigned i = 0; i < 20; i += 2)
		sum += (uint32_t)out[i] << 8 | out[i + 1];
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
	assert_int_equal(out[2] << 8 | out[3], 176);
	assert_memory_equal(out + 12, "\xc0\x00\x02\x0e\xc6\x33\x64\x17", 8);
	assert_memory_equal(out + 20, "\x9e\x53\xa2\xa9\x00\x9c\x00\x00", 8);
	m.out = false;
	assert_int_equal(tap_outer_headers(out, &m), 28);
	assert_memory_equal(out + 12, "\xc6\x33\x64\x17\xc0\x00\x02\x0e", 8);
	m.remote = (union address){0};
	assert_true(address_parse(&m.remote, "[2001:db8::66]:9001")); /* the local one is of another family */
	assert_int_equal(tap_outer_headers(out, &m), 48);
	assert_int_equal(out[4] << 8 | out[5], 156);
	assert_int_equal(out[6], 17);
	assert_int_equal(out[23], 0x66);
	assert_int_equal(out[39], 0);
	assert_int_equal(out[40] << 8 | out[41], 9001);
}

/* A record that holds less than its packet: programs see the real length, and do not read past the bytes. */
static void test_short(void **state)
{
	struct tap_filter *f;
	struct error e = {0};
	struct tap_meta m = {.point = TAP_INNER, .length = 1400};
	uint8_t *copy = xmalloc(24);

	(void)state;
	memcpy(copy, tcp, 24);
	assert_int_equal(tap_filter_parse(&f, "greater 1400 and tcp port 443", &e), 0);
	assert_true(tap_filter_match(f, &m, copy, 24));
	assert_false(tap_filter_match(f, &m, copy, 21));
	assert_false(tap_filter_match(f, &m, copy, 0));
	tap_filter_free(f);
	assert_true(tap_filter_match(NULL, &m, copy, 24));
	free(copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_meanings), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_too_many), cmocka_unit_test(test_valid),
		cmocka_unit_test(test_headers),	 cmocka_unit_test(test_short),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
