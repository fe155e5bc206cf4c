/* STUN Binding requests and what is answered; the addresses are those of RFC 5769, section 2.2 and 2.3. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/stun.h"
#include "relay/stun.h"

static const uint8_t transaction[12] = {0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34,
					0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae};

static union address four(void)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(32853)}};

	inet_pton(AF_INET, "192.0.2.1", &a.in.sin_addr);
	return a;
}

static union address six(void)
{
	union address a = {.in6 = {.sin6_family = AF_INET6, .sin6_port = htons(32853)}};

	inet_pton(AF_INET6, "2001:db8:1234:5678:11:2233:4455:6677", &a.in6.sin6_addr);
	return a;
}

static const union address nowhere[STUN_PLACES]; /* one socket, and its address does not matter */

static enum stun_verdict ask_at(const uint8_t *in, size_t in_len, const union address *from,
				const union address places[STUN_PLACES], struct stun_response *out)
{
	memset(out, 0x55, sizeof(*out));
	return stun_answer(in, in_len, from, places, out);
}

static enum stun_verdict ask(const uint8_t *in, size_t in_len, const union address *from,
			     struct stun_response *out)
{
	enum stun_verdict v = ask_at(in, in_len, from, nowhere, out);

	assert_int_equal(out->place, STUN_SAME_PLACE);
	assert_true(out->len <= STUN_FACTOR * in_len);
	return v;
}

static size_t request(uint8_t out[128], const uint8_t *attributes, size_t len)
{
	static const uint8_t head[8] = {0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42};

	memcpy(out, head, sizeof(head));
	out[3] = (uint8_t)len;
	memcpy(out + 8, transaction, sizeof(transaction));
	if (len)
		memcpy(out + 20, attributes, len);
	return 20 + len;
}

static void test_xor_mapped(void **state)
{
	static const uint8_t attribute4[12] = {0, 0x20, 0, 8, 0, 1, 0xa1, 0x47, 0xe1, 0x12, 0xa6, 0x43};
	static const uint8_t attribute6[24] = {0,    0x20, 0,	 20,   0,    2,	   0xa1, 0x47,
					       0x01, 0x13, 0xa9, 0xfa, 0xa5, 0xd3, 0xf1, 0x79,
					       0xbc, 0x25, 0xf4, 0xb5, 0xbe, 0xd2, 0xb9, 0xd9};
	union address from4 = four(), from6 = six();
	uint8_t in[128];
	struct stun_response out;

	(void)state;
	assert_int_equal(ask(in, request(in, NULL, 0), &from4, &out), STUN_ANSWERED);
	assert_int_equal(out.len, 20 + 12 + 12);
	assert_int_equal(out.bytes[0] << 8 | out.bytes[1], 0x0101);
	assert_int_equal(out.bytes[2] << 8 | out.bytes[3], 24);
	assert_memory_equal(out.bytes + 4, in + 4, 16);
	assert_memory_equal(out.bytes + 20, attribute4, sizeof(attribute4));
	assert_memory_equal(out.bytes + 32, "\x00\x01\x00\x08\x00\x01\x80\x55\xc0\x00\x02\x01", 12);
	assert_int_equal(ask(in, request(in, NULL, 0), &from6, &out), STUN_ANSWERED);
	assert_int_equal(out.len, 20 + 24 + 24);
	assert_memory_equal(out.bytes + 20, attribute6, sizeof(attribute6));
}

static void test_old_style(void **state)
{
	union address from = four();
	uint8_t in[128];
	struct stun_response out;

	(void)state;
	request(in, NULL, 0);
	memset(in + 4, 0x5a, 16); /* 16 bytes of transaction, no cookie */
	assert_int_equal(ask(in, 20, &from, &out), STUN_ANSWERED);
	assert_int_equal(out.len, 32);
	assert_memory_equal(out.bytes + 4, in + 4, 16);
	assert_memory_equal(out.bytes + 20, "\x00\x01\x00\x08\x00\x01\x80\x55\xc0\x00\x02\x01", 12);
}

static void test_attributes(void **state)
{
	static const uint8_t known[] = {0, 6, 0, 3, 'a', 'b', 'c', 0, 0x80, 0x22, 0, 4, 't', 'e', 's', 't'};
	static const uint8_t unknown[] = {0, 3, 0, 4,
					  0, 0, 0, 6}; /* CHANGE-REQUEST: we have one place only */
	static const uint8_t broken[] = {0, 6, 0, 9, 'a', 'b', 'c', 0};
	union address from = four();
	uint8_t in[128];
	struct stun_response out;

	(void)state;
	assert_int_equal(ask(in, request(in, known, sizeof(known)), &from, &out), STUN_ANSWERED);
	assert_int_equal(ask(in, request(in, unknown, sizeof(unknown)), &from, &out),
			 STUN_UNKNOWN_ATTRIBUTES);
	assert_int_equal(out.bytes[0] << 8 | out.bytes[1], 0x0111);
	assert_int_equal(out.bytes[2] << 8 | out.bytes[3], out.len - 20);
	assert_memory_equal(out.bytes + 20, "\x00\x09\x00\x15\x00\x00\x04\x14Unknown Attribute", 25);
	assert_memory_equal(out.bytes + 48, "\x00\x0a\x00\x02\x00\x03", 6);
	assert_int_equal(out.len, 56);
	assert_int_equal(ask(in, request(in, broken, sizeof(broken)), &from, &out), STUN_MALFORMED);
	assert_int_equal(out.len, 0);
}

static void test_no_answer(void **state)
{
	union address from = four();
	uint8_t in[128];
	struct stun_response out;

	(void)state;
	request(in, NULL, 0);
	for (size_t n = 0; n < 20; n++) {
		assert_int_equal(ask(in, n, &from, &out), STUN_NOT_STUN);
		assert_int_equal(out.len, 0);
	}
	assert_int_equal(ask(in, 24, &from, &out), STUN_MALFORMED);
	in[0] = 1, in[1] = 1; /* a response: answering it would be a loop */
	assert_int_equal(ask(in, 20, &from, &out), STUN_NOT_REQUEST);
	in[0] = 0, in[1] = 0x11; /* an indication */
	assert_int_equal(ask(in, 20, &from, &out), STUN_NOT_REQUEST);
	in[0] = 0, in[1] = 3; /* TURN Allocate */
	assert_int_equal(ask(in, 20, &from, &out), STUN_NOT_REQUEST);
	in[0] = 0x40;
	assert_int_equal(ask(in, 20, &from, &out), STUN_NOT_STUN);
	assert_int_equal(out.len, 0);
}

/* ---- RFC 5780: two ports, and two addresses ---- */

static union address at(const char *text)
{
	union address a;

	assert_true(address_parse(&a, text));
	return a;
}

static struct stun_reply read_back(const struct stun_response *r)
{
	struct stun_reply reply;

	assert_true(stun_read(r->bytes, r->len, &reply));
	return reply;
}

static void has_address(const struct stun_response *r, uint16_t type, const uint8_t *value, size_t len)
{
	for (size_t i = 20; i + 4 <= r->len; i += 4 + (size_t)(r->bytes[i + 2] << 8 | r->bytes[i + 3]))
		if ((r->bytes[i] << 8 | r->bytes[i + 1]) == type) {
			assert_int_equal(r->bytes[i + 2] << 8 | r->bytes[i + 3], len);
			assert_memory_equal(r->bytes + i + 4, value, len);
			return;
		}
	fail_msg("no attribute %#x", type);
}

static void test_two_ports(void **state)
{
	static const uint8_t origin[] = {0, 1, 0x0d, 0x96, 203, 0, 113, 5},
			     other[] = {0, 1, 0x0d, 0x97, 203, 0, 113, 5};
	const union address places[STUN_PLACES] = {at("203.0.113.5:3478"), at("203.0.113.5:3479")};
	union address from = four();
	struct stun_response out;
	struct stun_reply reply;
	uint8_t in[ASK_MIN];

	(void)state;
	/* Who does not ask is told nothing, as clients would take it for a second address. */
	stun_ask(in, sizeof(in), transaction, ASK_CHANGE_NONE);
	assert_int_equal(ask_at(in, sizeof(in), &from, places, &out), STUN_ANSWERED);
	assert_int_equal(out.len, 44);
	assert_int_equal(read_back(&out).other.sa.sa_family, AF_UNSPEC);
	/* Who asks is answered from where it asked, and told the other port. */
	stun_ask(in, sizeof(in), transaction, ASK_OTHER);
	assert_int_equal(ask_at(in, sizeof(in), &from, places, &out), STUN_ANSWERED);
	assert_int_equal(out.place, STUN_SAME_PLACE);
	assert_int_equal(out.len, 20 + 4 * 12);
	has_address(&out, 0x802b, origin, sizeof(origin));
	has_address(&out, 0x802c, other, sizeof(other));
	reply = read_back(&out);
	assert_true(reply.success && address_equal(&reply.mapped, &from));
	assert_true(address_equal(&reply.other, &places[STUN_OTHER_PORT]));
	assert_true(address_equal(&reply.origin, &places[STUN_SAME_PLACE]));
	assert_false(stun_has_other_address(&reply, &places[STUN_SAME_PLACE]));
	/* The other port answers, and says so; another address cannot. */
	stun_ask(in, sizeof(in), transaction, ASK_CHANGE_PORT);
	assert_int_equal(ask_at(in, sizeof(in), &from, places, &out), STUN_ANSWERED);
	assert_int_equal(out.place, STUN_OTHER_PORT);
	has_address(&out, 0x802b, other, sizeof(other));
	for (unsigned port = 0; port <= ASK_CHANGE_PORT; port += ASK_CHANGE_PORT) {
		stun_ask(in, sizeof(in), transaction, ASK_CHANGE_ADDRESS | port);
		assert_int_equal(ask_at(in, sizeof(in), &from, places, &out), STUN_UNKNOWN_ATTRIBUTES);
		assert_int_equal(out.place, STUN_SAME_PLACE);
		assert_memory_equal(out.bytes + 48, "\x00\x0a\x00\x02\x00\x03", 6);
		assert_false(read_back(&out).success);
	}
	/* A CHANGE-REQUEST of another length is none. */
	stun_ask(in, sizeof(in), transaction, ASK_CHANGE_PORT);
	in[23] = 3;
	assert_int_equal(ask_at(in, sizeof(in), &from, places, &out), STUN_MALFORMED);
}

static void test_two_addresses(void **state)
{
	const union address four_places[STUN_PLACES] = {at("203.0.113.5:3478"), at("203.0.113.5:3479"),
							at("203.0.113.6:3478"), at("203.0.113.6:3479")};
	const union address six_places[STUN_PLACES] = {at("[2001:db8::5]:3478"), at("[2001:db8::5]:3479"),
						       at("[2001:db8::6]:3478"), at("[2001:db8::6]:3479")};
	static const unsigned changes[STUN_PLACES] = {ASK_OTHER, ASK_CHANGE_PORT, ASK_CHANGE_ADDRESS,
						      ASK_CHANGE_PORT | ASK_CHANGE_ADDRESS};
	union address from4 = four(), from6 = six();
	struct stun_response out;
	struct stun_reply reply;
	uint8_t in[ASK_MIN];

	(void)state;
	for (unsigned i = 0; i < STUN_PLACES; i++) {
		stun_ask(in, sizeof(in), transaction, changes[i]);
		assert_int_equal(ask_at(in, sizeof(in), &from4, four_places, &out), STUN_ANSWERED);
		assert_int_equal(out.place, i);
		reply = read_back(&out);
		assert_true(address_equal(&reply.origin, &four_places[i]));
		assert_true(address_equal(&reply.other, &four_places[3]));
		assert_int_equal(ask_at(in, sizeof(in), &from6, six_places, &out), STUN_ANSWERED);
		assert_int_equal(out.place, i);
		/* All of it would be more than four times the question: one says what the other says. */
		assert_int_equal(out.len, 20 + 3 * 24);
		reply = read_back(&out);
		assert_true(address_equal(&reply.other, &six_places[3]) &&
			    address_equal(&reply.mapped, &from6));
	}
	/* The shortest question is told about the other address, too, and gets no more than four times
	 * itself. */
	stun_ask(in, 20, transaction, ASK_CHANGE_NONE);
	assert_int_equal(ask_at(in, 20, &from6, six_places, &out), STUN_ANSWERED);
	assert_true(out.len <= STUN_FACTOR * 20);
	reply = read_back(&out);
	assert_true(address_equal(&reply.other, &six_places[3]) && address_equal(&reply.mapped, &from6));
}

/* What the server calls itself counts, not where it was asked: it may be behind a NAT of its own. */
static void test_other_address(void **state)
{
	const union address inside = at("10.0.0.5:3478"), port = at("10.0.0.5:3479"),
			    second = at("10.0.0.6:3479");
	const union address asked = at("203.0.113.5:3478"), six = at("[2001:db8::6]:3479");
	struct stun_reply r = {.other = port};

	(void)state;
	assert_true(stun_has_other_address(&r, &asked));
	assert_false(stun_has_other_address(&r, &inside));
	r.origin = inside;
	assert_false(stun_has_other_address(&r, &asked));
	r.other = second;
	assert_true(stun_has_other_address(&r, &asked));
	r.other = six; /* nothing that this socket could ask */
	assert_false(stun_has_other_address(&r, &asked));
	r.other = (union address){0};
	assert_false(stun_has_other_address(&r, &asked));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xor_mapped),    cmocka_unit_test(test_old_style),
		cmocka_unit_test(test_attributes),    cmocka_unit_test(test_no_answer),
		cmocka_unit_test(test_two_ports),     cmocka_unit_test(test_two_addresses),
		cmocka_unit_test(test_other_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
