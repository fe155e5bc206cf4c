#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/key.h"

#define BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define HEX    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

static void test_spellings(void **state)
{
	struct key k, again;
	char text[KEY_HEX_LEN + 1];

	(void)state;
	assert_true(key_from_base64(&k, BASE64));
	for (int i = 0; i < KEY_LEN; i++)
		assert_int_equal(k.bytes[i], i);
	key_to_base64(text, &k);
	assert_string_equal(text, BASE64);
	key_to_hex(text, &k);
	assert_string_equal(text, HEX);
	assert_true(key_from_hex(&again, HEX));
	assert_true(key_equal(&k, &again));
	assert_true(key_from_hex(&again, "000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F"));
	assert_true(key_equal(&k, &again));
}

static void test_round_trip(void **state)
{
	unsigned seed = 3;

	(void)state;
	for (int n = 0; n < 500; n++) {
		struct key k, again;
		char text[KEY_HEX_LEN + 1];

		for (int i = 0; i < KEY_LEN; i++)
			k.bytes[i] = (uint8_t)rand_r(&seed);
		key_to_base64(text, &k);
		assert_int_equal(strlen(text), KEY_BASE64_LEN);
		assert_true(key_from_base64(&again, text));
		assert_true(key_equal(&k, &again));
		key_to_hex(text, &k);
		assert_true(key_from_hex(&again, text));
		assert_true(key_equal(&k, &again));
	}
}

static void test_bad_base64(void **state)
{
	static const char *const texts[] = {
		"",
		"=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", /* bits behind the 256th */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", /* 31 bytes */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8==",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH 8=",
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH-8=", /* the alphabet for URLs */
		"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH\xc3\xa9=",
		"=AECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
		BASE64 BASE64,
		HEX,
	};
	struct key k = {{7}}, before = k;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (key_from_base64(&k, texts[i]))
			fail_msg("accepted: %s", texts[i]);
		assert_true(key_equal(&k, &before));
	}
}

static void test_bad_hex(void **state)
{
	static const char *const texts[] = {
		"",
		"00",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f0",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00",
		"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1g",
		"0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		"000102030405060708090a0b0c0d0e0f 01112131415161718191a1b1c1d1e1f",
		"00:102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		BASE64,
	};
	struct key k = {{7}}, before = k;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (key_from_hex(&k, texts[i]))
			fail_msg("accepted: %s", texts[i]);
		assert_true(key_equal(&k, &before));
	}
}

static void test_zero(void **state)
{
	struct key k = {0}, other = {0};

	(void)state;
	assert_true(key_is_zero(&k));
	for (int i = 0; i < KEY_LEN; i++) {
		k = other;
		k.bytes[i] = 0x80;
		assert_false(key_is_zero(&k));
		assert_false(key_equal(&k, &other));
	}
	key_wipe(&k);
	assert_true(key_is_zero(&k));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings),  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_base64), cmocka_unit_test(test_bad_hex),
		cmocka_unit_test(test_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
