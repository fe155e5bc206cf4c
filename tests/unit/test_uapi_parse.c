/* The grammar of UAPI set lines: what wireguard-go takes, and nothing else. */
#include "tests/unit/test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "control/uapi_parse.h"

#define HEX "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"

static int parse(const char *text, bool peer_scope, struct uapi_item *item, const char **name)
{
	char line[512];
	size_t len = strlen(text);

	assert_true(len < sizeof(line));
	memcpy(line, text, len);
	line[len] = '#'; /* the parser has to write its own terminator */
	*name = NULL;
	return uapi_parse(line, len, peer_scope, item, name);
}

static const struct {
	const char *line;
	int device, peer; /* what each scope says */
	enum uapi_key key;
} lines[] = {
	{"private_key=" HEX, 0, -EINVAL, UAPI_PRIVATE_KEY},
	{"private_key=" HEX "00", -EINVAL, -EINVAL, 0},
	{"private_key=0102", -EINVAL, -EINVAL, 0},
	{"private_key=", -EINVAL, -EINVAL, 0},
	{"private_key", -EPROTO, -EPROTO, 0},
	{"", -EPROTO, -EPROTO, 0},
	{"=", -EINVAL, -EINVAL, 0},
	{"listen_port=0", 0, -EINVAL, UAPI_LISTEN_PORT},
	{"listen_port=65535", 0, -EINVAL, UAPI_LISTEN_PORT},
	{"listen_port=65536", -EINVAL, -EINVAL, 0},
	{"listen_port=99999999999999999999", -EINVAL, -EINVAL, 0},
	{"listen_port=-1", -EINVAL, -EINVAL, 0},
	{"listen_port=+1", -EINVAL, -EINVAL, 0},
	{"listen_port= 1", -EINVAL, -EINVAL, 0},
	{"listen_port=1 ", -EINVAL, -EINVAL, 0},
	{"listen_port=0x10", -EINVAL, -EINVAL, 0},
	{"listen_port=", -EINVAL, -EINVAL, 0},
	{"fwmark=4294967295", 0, -EINVAL, UAPI_FWMARK},
	{"fwmark=4294967296", -EINVAL, -EINVAL, 0},
	{"replace_peers=true", 0, -EINVAL, UAPI_REPLACE_PEERS},
	{"replace_peers=false", -EINVAL, -EINVAL, 0},
	{"replace_peers=True", -EINVAL, -EINVAL, 0},
	{"drain=true", 0, 0, 0},
	{"drain=false", -EINVAL, -EINVAL, 0},
	{"drain=1", -EINVAL, -EINVAL, 0},
	{"public_key=" HEX, 0, 0, UAPI_PUBLIC_KEY},
	{"public_key=zz", -EINVAL, -EINVAL, 0},
	{"update_only=true", -EINVAL, 0, UAPI_UPDATE_ONLY},
	{"update_only=", -EINVAL, -EINVAL, 0},
	{"remove=true", -EINVAL, 0, UAPI_REMOVE},
	{"remove=false", -EINVAL, -EINVAL, 0},
	{"preshared_key=" HEX, -EINVAL, 0, UAPI_PRESHARED_KEY},
	{"endpoint=192.0.2.1:51820", -EINVAL, 0, UAPI_ENDPOINT},
	{"endpoint=[2001:db8::1]:51820", -EINVAL, 0, UAPI_ENDPOINT},
	{"endpoint=[fe80::1%lo]:51820", -EINVAL, 0, UAPI_ENDPOINT},
	{"endpoint=2001:db8::1:51820", -EINVAL, -EINVAL, 0},
	{"endpoint=192.0.2.1", -EINVAL, -EINVAL, 0},
	{"endpoint=192.0.2.1:65536", -EINVAL, -EINVAL, 0},
	{"endpoint=example.net:51820", -EINVAL, -EINVAL, 0},
	{"endpoint=", -EINVAL, -EINVAL, 0},
	{"persistent_keepalive_interval=25", -EINVAL, 0, UAPI_KEEPALIVE},
	{"persistent_keepalive_interval=65536", -EINVAL, -EINVAL, 0},
	{"persistent_keepalive_interval=off", -EINVAL, -EINVAL, 0},
	{"replace_allowed_ips=true", -EINVAL, 0, UAPI_REPLACE_ALLOWED_IPS},
	{"allowed_ip=10.0.0.0/8", -EINVAL, 0, UAPI_ALLOWED_IP},
	{"allowed_ip=-10.0.0.0/8", -EINVAL, 0, UAPI_ALLOWED_IP},
	{"allowed_ip=--10.0.0.0/8", -EINVAL, -EINVAL, 0},
	{"allowed_ip=10.0.0.0", -EINVAL, -EINVAL, 0},
	{"allowed_ip=10.0.0.0/33", -EINVAL, -EINVAL, 0},
	{"allowed_ip=10.0.0.0/", -EINVAL, -EINVAL, 0},
	{"allowed_ip=10.0.0.0/08", -EINVAL, -EINVAL, 0},
	{"allowed_ip=10.0.0/8", -EINVAL, -EINVAL, 0},
	{"allowed_ip=/8", -EINVAL, -EINVAL, 0},
	{"allowed_ip=-", -EINVAL, -EINVAL, 0},
	{"allowed_ip=0.0.0.0/0", -EINVAL, 0, UAPI_ALLOWED_IP},
	{"allowed_ip=::/0", -EINVAL, 0, UAPI_ALLOWED_IP},
	{"allowed_ip=fd00::1/128", -EINVAL, 0, UAPI_ALLOWED_IP},
	{"allowed_ip=fd00::1/129", -EINVAL, -EINVAL, 0},
	{"allowed_ip=fe80::1%lo/64", -EINVAL, -EINVAL, 0},
	{"protocol_version=1", -EINVAL, 0, UAPI_PROTOCOL_VERSION},
	{"protocol_version=2", -EINVAL, -EINVAL, 0},
	{"protocol_version=01", -EINVAL, -EINVAL, 0},
	{"x_drain=true", -EINVAL, -EINVAL, 0},
	{"Fwmark=1", -EINVAL, -EINVAL, 0},
	{" fwmark=1", -EINVAL, -EINVAL, 0},
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++) {
		struct uapi_item item;
		const char *name;
		int device = parse(lines[i].line, false, &item, &name), peer;

		if (!device && strcmp(lines[i].line, "drain=true"))
			assert_int_equal(item.key, lines[i].key);
		peer = parse(lines[i].line, true, &item, &name);
		if (!peer && strcmp(lines[i].line, "drain=true"))
			assert_int_equal(item.key, lines[i].key);
		if (device != lines[i].device || peer != lines[i].peer)
			fail_msg("\"%s\": device %d, peer %d", lines[i].line, device, peer);
	}
}

static void test_drain_has_two_scopes(void **state)
{
	struct uapi_item item;
	const char *name;

	(void)state;
	assert_int_equal(parse("drain=true", false, &item, &name), 0);
	assert_int_equal(item.key, UAPI_DRAIN_ALL);
	assert_int_equal(parse("drain=true", true, &item, &name), 0);
	assert_int_equal(item.key, UAPI_DRAIN);
}

static void test_values(void **state)
{
	static const uint8_t ten[4] = {10, 1, 2, 3};
	struct uapi_item item;
	const char *name;

	(void)state;
	assert_int_equal(parse("preshared_key=" HEX, true, &item, &name), 0);
	for (unsigned i = 0; i < KEY_LEN; i++)
		assert_int_equal(item.value.bytes.bytes[i], i + 1);
	assert_int_equal(parse("fwmark=51820", false, &item, &name), 0);
	assert_int_equal(item.value.number, 51820);
	assert_int_equal(parse("allowed_ip=-10.1.2.3/24", true, &item, &name), 0);
	assert_true(item.value.prefix.remove);
	assert_int_equal(item.value.prefix.family, AF_INET);
	assert_int_equal(item.value.prefix.len, 24);
	assert_memory_equal(item.value.prefix.addr, ten, 4);
	assert_int_equal(parse("endpoint=[2001:db8::7]:7", true, &item, &name), 0);
	assert_int_equal(item.value.endpoint.sa.sa_family, AF_INET6);
	assert_int_equal(ntohs(item.value.endpoint.in6.sin6_port), 7);
}

/* An IPv6 socket of ours cannot reach a mapped address, an IPv4 one can. */
static void test_mapped_endpoint(void **state)
{
	struct uapi_item item;
	const char *name;

	(void)state;
	assert_int_equal(parse("endpoint=[::ffff:192.0.2.9]:7", true, &item, &name), 0);
	assert_int_equal(item.value.endpoint.sa.sa_family, AF_INET);
	assert_int_equal(ntohl(item.value.endpoint.in.sin_addr.s_addr), 0xc0000209);
	assert_int_equal(ntohs(item.value.endpoint.in.sin_port), 7);
}

static void test_name_for_messages(void **state)
{
	char line[] = "secret_thing=abc";
	struct uapi_item item;
	const char *name = NULL;

	(void)state;
	assert_int_equal(uapi_parse(line, strlen(line), false, &item, &name), -EINVAL);
	assert_string_equal(name, "secret_thing");
}

/* "remove=true\0..." must not pass for "remove=true". */
static void test_hidden_bytes(void **state)
{
	char in_value[] = "remove=true\0false#", in_name[] = "remove\0x=true#";
	struct uapi_item item;
	const char *name;

	(void)state;
	assert_int_equal(uapi_parse(in_value, sizeof(in_value) - 2, true, &item, &name), -EINVAL);
	assert_int_equal(uapi_parse(in_name, sizeof(in_name) - 2, true, &item, &name), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_drain_has_two_scopes),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_mapped_endpoint),
		cmocka_unit_test(test_name_for_messages),
		cmocka_unit_test(test_hidden_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
