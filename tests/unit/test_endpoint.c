#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <string.h>

#include "base/endpoint.h"

static union address parsed(const char *text)
{
	union address a;

	if (!address_parse(&a, text))
		fail_msg("refused: %s", text);
	return a;
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1:51820",
		"0.0.0.0:0",
		"255.255.255.255:65535",
		"[2001:db8::1]:51820",
		"[::]:1",
		"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		"[fe80::1%lo]:7",
		"[fe80:ffff:ffff:ffff:ffff:ffff:255.255.255.255%4294967295]:65535",
		"[fe80::1%4000000000]:7",
	};
	char out[ADDRESS_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		union address a = parsed(texts[i]), b;

		b = parsed(address_format(out, &a));
		assert_true(address_equal(&a, &b));
		if (i != 7)
			assert_string_equal(out, texts[i]);
	}
	assert_string_equal(address_format(out, &(union address){0}), "(none)");
}

static void test_fields(void **state)
{
	union address a = parsed("192.0.2.1:51820");

	(void)state;
	assert_int_equal(a.sa.sa_family, AF_INET);
	assert_int_equal(ntohl(a.in.sin_addr.s_addr), 0xc0000201);
	assert_int_equal(ntohs(a.in.sin_port), 51820);
	assert_int_equal(address_len(&a), sizeof(struct sockaddr_in));
	a = parsed("[fe80::2%lo]:9");
	assert_int_equal(a.sa.sa_family, AF_INET6);
	assert_int_equal(a.in6.sin6_addr.s6_addr[15], 2);
	assert_int_equal(a.in6.sin6_scope_id, if_nametoindex("lo"));
	assert_int_equal(ntohs(a.in6.sin6_port), 9);
	assert_int_equal(address_len(&a), sizeof(struct sockaddr_in6));
}

static void test_bad(void **state)
{
	static const char *const texts[] = {
		"",
		":",
		"192.0.2.1",
		"192.0.2.1:",
		"192.0.2.1:65536",
		"192.0.2.1:-1",
		"192.0.2.1:+1",
		"192.0.2.1: 1",
		"192.0.2.1:1 ",
		"192.0.2.1:1x",
		"192.0.2.1:99999999999999999999",
		"192.0.2:1",
		"192.0.2.256:1",
		"192.0.2.1:1:2",
		" 192.0.2.1:1",
		"2001:db8::1:51820",
		"[2001:db8::1]",
		"[2001:db8::1]51820",
		"[2001:db8::1:51820",
		"2001:db8::1]:51820",
		"[2001:db8::1]:",
		"[2001:db8::1]:65536",
		"[]:1",
		"[:1",
		"]:1",
		"[::1::]:1",
		"[192.0.2.1]:1",
		"[fe80::1%]:1",
		"[fe80::1%nosuchinterface]:1",
		"[fe80::1%0]:1",
		"[fe80::1%4294967296]:1",
		"[fe80::1%lo%lo]:1",
		"example.org:51820",
		("[fe80::1%"
		 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa]:"
		 "1"),
	};
	union address a, before;

	(void)state;
	memset(&a, 0x5a, sizeof(a));
	before = a;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (address_parse(&a, texts[i]))
			fail_msg("accepted: %s", texts[i]);
		assert_memory_equal(&a, &before, sizeof(a));
	}
}

static void test_equal(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1:1", "192.0.2.2:1", "192.0.2.1:2",   "[::1]:1",
		"[::1]:2",     "[::2]:1",     "[::1%77777]:1", "[::ffff:192.0.2.1]:1"};
	const size_t count = sizeof(texts) / sizeof(texts[0]);

	(void)state;
	for (size_t i = 0; i < count; i++)
		for (size_t j = 0; j < count; j++) {
			union address a = parsed(texts[i]), b = parsed(texts[j]);

			assert_int_equal(address_equal(&a, &b), i == j);
		}
}

static void test_source(void **state)
{
	struct endpoint a = {0}, b;

	(void)state;
	assert_false(endpoint_known(&a));
	a.remote = parsed("[2001:db8::1]:5");
	assert_true(endpoint_known(&a));
	b = a;
	assert_true(endpoint_equal(&a, &b));
	b.local.in6.s6_addr[15] = 1;
	assert_false(endpoint_equal(&a, &b));
	b.ifindex = 3;
	endpoint_forget_source(&b);
	assert_true(endpoint_equal(&a, &b));
	b.ifindex = 3;
	assert_false(endpoint_equal(&a, &b));

	a.remote = parsed("192.0.2.1:5");
	endpoint_forget_source(&a);
	b = a;
	b.local.in.s_addr = 1;
	assert_false(endpoint_equal(&a, &b));
	endpoint_forget_source(&b);
	assert_true(endpoint_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip), cmocka_unit_test(test_fields), cmocka_unit_test(test_bad),
		cmocka_unit_test(test_equal),	   cmocka_unit_test(test_source),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
