/* The relay protocol as bytes: the published vectors, every message there and back, and all that must be
 * refused. */
#include "test.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "crypto/primitives.h"
#include "hex.h"
#include "relay/wire.h"

#define ID_VECTOR	  "7368612d492a9e8a6c5cbf8aca35e8e419a21671e2e07d41eb77dd3424926793cc65899b"
#define SECRET_KEY_VECTOR "f75778f7425be4db0369d09af37a6c2b9a83dea0e53e7bd57412e4b060e607f7"
#define TOKEN_VECTOR                                                                                         \
	"01e11380ca629cadc0d94b126887878a2c42c6acabd74ef0443fc14efa172a1214"                                 \
	"31383933343536303030"

static const char id_text[] = "abdFAaBcawquEiCMzAabYosuUaGLtSNhKxz+";

static int prepare(void **state)
{
	(void)state;
	return crypto_init();
}

static void vector_secret(struct relay_secret *s)
{
	relay_secret_set(s, "supersecret", strlen("supersecret"));
}

static void id_is_the_published_one(void **state)
{
	struct relay_id id;
	char text[RELAY_ID_TEXT];

	(void)state;
	relay_id_of_text(&id, id_text);
	assert_hex(id.bytes, sizeof(id.bytes), ID_VECTOR);
	relay_id_print(text, &id);
	assert_string_equal(text, "sha-SSqeimxcv4rKNejkGaIWceLgfUHrd900JJJnk8xliZs=");
}

static void id_of_a_key_is_that_of_its_base64(void **state)
{
	static const char text[] = "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=";
	struct relay_id by_key, by_text;
	struct key k;

	(void)state;
	assert_true(key_from_base64(&k, text));
	relay_id_of(&by_key, &k);
	relay_id_of_text(&by_text, text);
	assert_memory_equal(&by_key, &by_text, sizeof(by_key));
}

static void token_is_the_published_one(void **state)
{
	struct relay_secret s;
	uint8_t token[RELAY_TOKEN_MAX];

	(void)state;
	vector_secret(&s);
	assert_hex(s.key, sizeof(s.key), SECRET_KEY_VECTOR);
	assert_int_equal(relay_token_make(&s, 1893456000, token), 43);
	assert_hex(token, 43, TOKEN_VECTOR);
}

static void token_is_checked(void **state)
{
	struct relay_secret s, other;
	uint8_t token[RELAY_TOKEN_MAX];
	uint64_t expiry = 0;
	int len;

	(void)state;
	vector_secret(&s);
	relay_secret_set(&other, "another", 7);
	len = relay_token_make(&s, 1893456000, token);
	assert_int_equal(relay_token_check(&s, token, len, 1893456000, &expiry), RELAY_TOKEN_GOOD);
	assert_int_equal(expiry, 1893456000);
	assert_int_equal(relay_token_check(&s, token, len, 1893456001, &expiry), RELAY_TOKEN_EXPIRED);
	assert_int_equal(relay_token_check(&other, token, len, 0, &expiry), RELAY_TOKEN_WRONG);
	for (int cut = 0; cut < len; cut++)
		assert_int_equal(relay_token_check(&s, token, cut, 0, &expiry), RELAY_TOKEN_MALFORMED);
	for (int at = 1; at < 33; at++) {
		token[at] ^= 1;
		assert_int_equal(relay_token_check(&s, token, len, 0, &expiry), RELAY_TOKEN_WRONG);
		token[at] ^= 1;
	}
	token[len - 1] ^= 1; /* a later expiry than what was signed */
	assert_int_equal(relay_token_check(&s, token, len, 0, &expiry), RELAY_TOKEN_WRONG);
	token[len - 1] = 'x';
	assert_int_equal(relay_token_check(&s, token, len, 0, &expiry), RELAY_TOKEN_MALFORMED);
	len = relay_token_make(&s, 1893456000, token);
	token[0] = 2;
	assert_int_equal(relay_token_check(&s, token, len, 0, &expiry), RELAY_TOKEN_MALFORMED);
}

static void token_of_any_time_can_be_made(void **state)
{
	struct relay_secret s;
	uint8_t token[RELAY_TOKEN_MAX];
	uint64_t expiry;
	int len;

	(void)state;
	vector_secret(&s);
	len = relay_token_make(&s, UINT64_MAX, token);
	assert_in_range(len, 43, RELAY_TOKEN_MAX);
	assert_int_equal(relay_token_check(&s, token, len, UINT64_MAX, &expiry), RELAY_TOKEN_GOOD);
	assert_true(expiry == UINT64_MAX);
	len = relay_token_make(&s, 7, token);
	assert_int_equal(relay_token_check(&s, token, len, 7, &expiry), RELAY_TOKEN_GOOD);
	assert_int_equal(expiry, 7);
	/* Twenty digits that no 64 bits hold. */
	memset(token + 33, '9', 20);
	assert_int_equal(relay_token_check(&s, token, 53, 0, &expiry), RELAY_TOKEN_MALFORMED);
}

static void auth_is_the_published_message(void **state)
{
	struct relay_message m;
	struct relay_secret s;
	struct relay_id id;
	uint8_t token[RELAY_TOKEN_MAX], out[RELAY_AUTH_MAX + 1];
	int token_len, len;

	(void)state;
	vector_secret(&s);
	relay_id_of_text(&id, id_text);
	token_len = relay_token_make(&s, 1893456000, token);
	len = relay_put_auth(out, sizeof(out), &id, token, token_len);
	assert_int_equal(len, 85);
	assert_hex(out, 85, "01062112a442" ID_VECTOR TOKEN_VECTOR);
	assert_int_equal(relay_put_auth(out, 84, &id, token, token_len), -EMSGSIZE);

	assert_int_equal(relay_parse(out, len, &m), RELAY_OK);
	assert_int_equal(m.type, RELAY_AUTH);
	assert_memory_equal(m.id, id.bytes, RELAY_ID_LEN);
	assert_int_equal(m.len, token_len);
	assert_memory_equal(m.data, token, token_len);
	for (int cut = 2; cut <= 42; cut++)
		assert_int_equal(relay_parse(out, cut, &m), RELAY_BAD_LENGTH);
	out[2] ^= 1;
	assert_int_equal(relay_parse(out, len, &m), RELAY_BAD_MAGIC);
}

static void auth_has_a_largest_size(void **state)
{
	struct relay_message m;
	struct relay_id id;
	uint8_t token[RELAY_AUTH_MAX] = {0}, out[RELAY_AUTH_MAX + 1] = {0};

	(void)state;
	relay_id_of_text(&id, id_text);
	assert_int_equal(relay_put_auth(out, sizeof(out), &id, token, 170), RELAY_AUTH_MAX);
	assert_int_equal(relay_parse(out, RELAY_AUTH_MAX, &m), RELAY_OK);
	assert_int_equal(relay_parse(out, RELAY_AUTH_MAX + 1, &m), RELAY_BAD_LENGTH);
	assert_int_equal(relay_put_auth(out, sizeof(out), &id, token, 171), -EMSGSIZE);
}

static void auth_response_carries_the_url(void **state)
{
	static const char url[] = "rels://relay.example.org:443";
	static uint8_t out[RELAY_MESSAGE_MAX];
	struct relay_message m;
	char longest[RELAY_RESPONSE_MAX];
	int len = relay_put_auth_response(out, sizeof(out), url);

	(void)state;
	assert_int_equal(len, 2 + strlen(url));
	assert_memory_equal(out, "\x01\x07rels", 6);
	assert_int_equal(relay_parse(out, len, &m), RELAY_OK);
	assert_int_equal(m.type, RELAY_AUTH_RESPONSE);
	assert_int_equal(m.len, strlen(url));
	assert_memory_equal(m.data, url, m.len);
	assert_int_equal(relay_parse(out, 2, &m), RELAY_BAD_LENGTH);
	assert_int_equal(relay_put_auth_response(out, len - 1, url), -EMSGSIZE);
	assert_int_equal(relay_put_auth_response(out, sizeof(out), ""), -EMSGSIZE);

	memset(longest, 'a', sizeof(longest));
	longest[RELAY_RESPONSE_MAX - 1] = '\0';
	assert_int_equal(relay_put_auth_response(out, sizeof(out), longest), -EMSGSIZE);
	longest[RELAY_RESPONSE_MAX - 2] = '\0';
	assert_int_equal(relay_put_auth_response(out, sizeof(out), longest), RELAY_RESPONSE_MAX);
	assert_int_equal(relay_parse(out, RELAY_RESPONSE_MAX, &m), RELAY_OK);
	assert_int_equal(relay_parse(out, RELAY_RESPONSE_MAX + 1, &m), RELAY_BAD_LENGTH);
}

static void simple_messages(void **state)
{
	struct relay_message m;
	uint8_t out[2];

	(void)state;
	assert_int_equal(relay_put_simple(out, sizeof(out), RELAY_HEALTH_CHECK), 2);
	assert_hex(out, 2, "0105");
	assert_int_equal(relay_parse(out, 2, &m), RELAY_OK);
	assert_int_equal(m.type, RELAY_HEALTH_CHECK);
	assert_int_equal(relay_put_simple(out, sizeof(out), RELAY_CLOSE), 2);
	assert_hex(out, 2, "0104");
	assert_int_equal(relay_parse(out, 2, &m), RELAY_OK);
	assert_int_equal(m.type, RELAY_CLOSE);
	assert_int_equal(relay_put_simple(out, 1, RELAY_CLOSE), -EMSGSIZE);
}

static void transport_has_a_header_and_anything(void **state)
{
	static uint8_t out[RELAY_MESSAGE_MAX + 1];
	struct relay_message m;
	struct relay_id id;

	(void)state;
	relay_id_of_text(&id, id_text);
	relay_put_transport(out, &id);
	assert_hex(out, RELAY_TRANSPORT_LEN, "0103" ID_VECTOR);
	out[RELAY_TRANSPORT_LEN] = 0x5a;
	for (size_t cut = 2; cut < RELAY_TRANSPORT_LEN; cut++)
		assert_int_equal(relay_parse(out, cut, &m), RELAY_BAD_LENGTH);
	assert_int_equal(relay_parse(out, RELAY_TRANSPORT_LEN, &m), RELAY_OK);
	assert_int_equal(m.len, 0);
	assert_int_equal(relay_parse(out, RELAY_MESSAGE_MAX, &m), RELAY_OK);
	assert_int_equal(m.type, RELAY_TRANSPORT);
	assert_memory_equal(m.id, id.bytes, RELAY_ID_LEN);
	assert_int_equal(m.len, RELAY_PAYLOAD_MAX);
	assert_int_equal(m.data[0], 0x5a);
	assert_int_equal(relay_parse(out, RELAY_MESSAGE_MAX + 1, &m), RELAY_BAD_LENGTH);
}

static void lists_are_whole_ids(void **state)
{
	static const enum relay_type types[] = {RELAY_SUBSCRIBE, RELAY_UNSUBSCRIBE, RELAY_PEERS_ONLINE,
						RELAY_PEERS_OFFLINE};
	static struct relay_id ids[RELAY_LIST_MAX + 1];
	static uint8_t out[RELAY_MESSAGE_MAX];
	struct relay_message m;
	char text[16];
	int len;

	(void)state;
	for (size_t i = 0; i <= RELAY_LIST_MAX; i++) {
		snprintf(text, sizeof(text), "%zu", i);
		relay_id_of_text(&ids[i], text);
	}
	for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
		assert_int_equal(relay_put_list(out, sizeof(out), types[t], ids, 2), 74);
		assert_int_equal(out[1], 8 + t);
		assert_int_equal(relay_parse(out, 74, &m), RELAY_OK);
		assert_int_equal(m.type, types[t]);
		assert_int_equal(m.count, 2);
		assert_memory_equal(m.data, ids, sizeof(ids[0]) * 2);
		for (size_t cut = 2; cut < 74; cut++)
			assert_int_equal(relay_parse(out, cut, &m), cut == 38 ? RELAY_OK : RELAY_BAD_LENGTH);
	}
	len = relay_put_list(out, sizeof(out), RELAY_SUBSCRIBE, ids, RELAY_LIST_MAX);
	assert_int_equal(len, 2 + 244 * 36);
	assert_int_equal(relay_parse(out, len, &m), RELAY_OK);
	assert_int_equal(m.count, RELAY_LIST_MAX);
	assert_int_equal(relay_put_list(out, len - 1, RELAY_SUBSCRIBE, ids, RELAY_LIST_MAX), -EMSGSIZE);
	assert_int_equal(relay_put_list(out, sizeof(out), RELAY_SUBSCRIBE, ids, RELAY_LIST_MAX + 1),
			 -EMSGSIZE);
	assert_int_equal(relay_put_list(out, sizeof(out), RELAY_SUBSCRIBE, ids, 0), -EMSGSIZE);
}

static void strange_messages_are_refused(void **state)
{
	struct relay_message m;

	(void)state;
	assert_int_equal(relay_parse((const uint8_t *)"", 0, &m), RELAY_EMPTY);
	assert_int_equal(relay_parse((const uint8_t *)"\x02\x05", 2, &m), RELAY_BAD_VERSION);
	assert_int_equal(relay_parse((const uint8_t *)"\x00", 1, &m), RELAY_BAD_VERSION);
	assert_int_equal(relay_parse((const uint8_t *)"\x01", 1, &m), RELAY_BAD_LENGTH);
	for (unsigned type = 0; type < 256; type++) {
		uint8_t message[2] = {1, (uint8_t)type};

		if (type < RELAY_TRANSPORT || type > RELAY_PEERS_OFFLINE)
			assert_int_equal(relay_parse(message, 2, &m), RELAY_BAD_TYPE);
		else
			assert_int_not_equal(relay_parse(message, 2, &m), RELAY_BAD_TYPE);
	}
	for (int v = 0; v < RELAY_VERDICTS; v++)
		assert_non_null(relay_verdict_text(v));
}

static void urls(void **state)
{
	static const struct {
		const char *text, *host;
		bool tls;
		uint16_t port;
	} good[] = {
		{"rel://relay.example.org", "relay.example.org", false, 80},
		{"rels://relay.example.org", "relay.example.org", true, 443},
		{"rels://relay.example.org:8443", "relay.example.org", true, 8443},
		{"RELS://Relay.Example.Org:8443/some/path?x#y", "Relay.Example.Org", true, 8443},
		{"rel://192.0.2.7:33080/", "192.0.2.7", false, 33080},
		{"rel://[2001:db8::7]", "2001:db8::7", false, 80},
		{"rels://[2001:db8::7]:444/relay", "2001:db8::7", true, 444},
		{"rel://[fe80::1%eth0]:1", "fe80::1%eth0", false, 1},
		{"rel://a:65535", "a", false, 65535},
	};
	static const char *const bad[] = {
		"",
		"rel",
		"rel:/",
		"rel://",
		"rels://",
		"http://relay.example.org",
		"relx://a",
		"rel:///relay",
		"rel://a:",
		"rel://a:0",
		"rel://a:65536",
		"rel://a:99999999999",
		"rel://a:1x",
		"rel://a:-1",
		"rel://:80",
		"rel://user@a",
		"rel://a b",
		"rel://2001:db8::7",
		"rel://[2001:db8::7",
		"rel://[2001:db8::7]80",
		"rel://[]",
		"rel://[]:80",
		"rel://a/:80\n:",
		"rel://a\n",
		"rel://[a/b]",
	};
	char text[RELAY_URL_MAX + 8] = "rel://";
	struct relay_url u;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(relay_url_parse(&u, good[i].text));
		assert_string_equal(u.host, good[i].host);
		assert_int_equal(u.tls, good[i].tls);
		assert_int_equal(u.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (relay_url_parse(&u, bad[i]))
			fail_msg("%s was taken", bad[i]);
	memset(text + 6, 'a', 199);
	assert_true(relay_url_parse(&u, text));
	text[6 + 199] = 'a';
	assert_false(relay_url_parse(&u, text));
	strcpy(text, "rel://a/");
	memset(text + 8, 'p', RELAY_URL_MAX - 8);
	assert_false(relay_url_parse(&u, text));
	text[RELAY_URL_MAX - 1] = '\0';
	assert_true(relay_url_parse(&u, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_is_the_published_one),
		cmocka_unit_test(id_of_a_key_is_that_of_its_base64),
		cmocka_unit_test(token_is_the_published_one),
		cmocka_unit_test(token_is_checked),
		cmocka_unit_test(token_of_any_time_can_be_made),
		cmocka_unit_test(auth_is_the_published_message),
		cmocka_unit_test(auth_has_a_largest_size),
		cmocka_unit_test(auth_response_carries_the_url),
		cmocka_unit_test(simple_messages),
		cmocka_unit_test(transport_has_a_header_and_anything),
		cmocka_unit_test(lists_are_whole_ids),
		cmocka_unit_test(strange_messages_are_refused),
		cmocka_unit_test(urls),
	};

	return cmocka_run_group_tests(tests, prepare, NULL);
}
