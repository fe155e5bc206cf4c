/* STUN Binding requests and what is answered; the addresses are those of RFC 5769, section 2.2 and 2.3. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <string.h>

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
	uint8_t in[128], out[STUN_RESPONSE_MAX];
	size_t len;

	(void)state;
	assert_int_equal(stun_answer(in, request(in, NULL, 0), &from4, out, &len), STUN_ANSWERED);
	assert_int_equal(len, 20 + 12 + 12);
	assert_int_equal(out[0] << 8 | out[1], 0x0101);
	assert_int_equal(out[2] << 8 | out[3], 24);
	assert_memory_equal(out + 4, in + 4, 16);
	assert_memory_equal(out + 20, attribute4, sizeof(attribute4));
	assert_memory_equal(out + 32, "\x00\x01\x00\x08\x00\x01\x80\x55\xc0\x00\x02\x01", 12);
	assert_int_equal(stun_answer(in, request(in, NULL, 0), &from6, out, &len), STUN_ANSWERED);
	assert_int_equal(len, 20 + 24 + 24);
	assert_memory_equal(out + 20, attribute6, sizeof(attribute6));
}

static void test_old_style(void **state)
{
	union address from = four();
	uint8_t in[128], out[STUN_RESPONSE_MAX];
	size_t len;

	(void)state;
	request(in, NULL, 0);
	memset(in + 4, 0x5a, 16); /* 16 bytes of transaction, no cookie */
	assert_int_equal(stun_answer(in, 20, &from, out, &len), STUN_ANSWERED);
	assert_int_equal(len, 32);
	assert_memory_equal(out + 4, in + 4, 16);
	assert_memory_equal(out + 20, "\x00\x01\x00\x08\x00\x01\x80\x55\xc0\x00\x02\x01", 12);
}

static void test_attributes(void **state)
{
	static const uint8_t known[] = {0, 6, 0, 3, 'a', 'b', 'c', 0, 0x80, 0x22, 0, 4, 't', 'e', 's', 't'};
	static const uint8_t unknown[] = {0, 3, 0, 4,
					  0, 0, 0, 6}; /* CHANGE-REQUEST: we have one address only */
	static const uint8_t broken[] = {0, 6, 0, 9, 'a', 'b', 'c', 0};
	union address from = four();
	uint8_t in[128], out[STUN_RESPONSE_MAX];
	size_t len;

	(void)state;
	assert_int_equal(stun_answer(in, request(in, known, sizeof(known)), &from, out, &len), STUN_ANSWERED);
	assert_int_equal(stun_answer(in, request(in, unknown, sizeof(unknown)), &from, out, &len),
			 STUN_UNKNOWN_ATTRIBUTES);
	assert_int_equal(out[0] << 8 | out[1], 0x0111);
	assert_int_equal(out[2] << 8 | out[3], len - 20);
	assert_memory_equal(out + 20, "\x00\x09\x00\x15\x00\x00\x04\x14Unknown Attribute", 25);
	assert_memory_equal(out + 48, "\x00\x0a\x00\x02\x00\x03", 6);
	assert_int_equal(len, 56);
	assert_int_equal(stun_answer(in, request(in, broken, sizeof(broken)), &from, out, &len),
			 STUN_MALFORMED);
	assert_int_equal(len, 0);
}

static void test_no_answer(void **state)
{
	union address from = four();
	uint8_t in[128], out[STUN_RESPONSE_MAX];
	size_t len;

	(void)state;
	request(in, NULL, 0);
	for (size_t n = 0; n < 20; n++) {
		assert_int_equal(stun_answer(in, n, &from, out, &len), STUN_NOT_STUN);
		assert_int_equal(len, 0);
	}
	assert_int_equal(stun_answer(in, 24, &from, out, &len), STUN_MALFORMED);
	in[0] = 1, in[1] = 1; /* a response: answering it would be a loop */
	assert_int_equal(stun_answer(in, 20, &from, out, &len), STUN_NOT_REQUEST);
	in[0] = 0, in[1] = 0x11; /* an indication */
	assert_int_equal(stun_answer(in, 20, &from, out, &len), STUN_NOT_REQUEST);
	in[0] = 0, in[1] = 3; /* TURN Allocate */
	assert_int_equal(stun_answer(in, 20, &from, out, &len), STUN_NOT_REQUEST);
	in[0] = 0x40;
	assert_int_equal(stun_answer(in, 20, &from, out, &len), STUN_NOT_STUN);
	assert_int_equal(len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_xor_mapped),
		cmocka_unit_test(test_old_style),
		cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
