/* Bulk encryption: known answers for both backends, and each against the other. */
#include "tests/unit/test.h"

#include <stdlib.h>

#include "crypto/aead.h"
#include "crypto/primitives.h"
#include "tests/unit/hex.h"

#define LEN_MAX 65535

static struct aead *fast, *portable;
static uint8_t *data, *other, *plain;

/*
 * Tag and BLAKE2s of the sealed message, for key 00..1f, plaintext byte i = 7 * i + length, counter
 * 0x1122334455667700 + length % 256; from a plain implementation of RFC 8439 in Python that gives the RFC's
 * own vectors.
 */
static const struct {
	size_t len;
	const char *tag, *hash;
} answers[] = {
	{0, "991fa9faa468922739ebd2cab8ba3641",
	 "82eca1fcb77545d3e467c687d39c6e16f98d47abf2b9cc61abcc69667793d6ec"},
	{1, "c09a1b3ccc03a658bb2c22e04a4b7b84",
	 "972f355685055a833880cd07fd74174871ccd2f387d5ba3dbd064c82012faf73"},
	{15, "2fdf555ce1accf6dd20659ad47459fba",
	 "4a9648f9353c2304d23bba121484ce797b6c84e288cc06eaa81a047890b2da74"},
	{16, "96c634c13d27ce69fc4509eea21879be",
	 "3e63a0da7074a50c44a4bc86728cd3f024576b2bb4c857c4e0b72be1884f2340"},
	{63, "c6a3d43e247fe6a9ee1809a5bd439ce1",
	 "1f29e5829c9e9949d095358acb74d8c8ee92dd6dcaf1f424765e40ff4c18de89"},
	{64, "3f3efb095b4ae4ad080ad748bb9152a7",
	 "c54cec93a4619d9fafd822421fcaa7cedcf48af0dd0257d9c890f6aeed7f8809"},
	{65, "005db9986bd9b2d2eeaba72eb750cc43",
	 "8855405de430ac6c521b2f82e965920e8f9ff60b780069ef5e6350c40033c69e"},
	{114, "a213f28fde79f3b6d6e7f1f8ed3cc8ca",
	 "64c0ec13e9ec8fea52333d0860a3068f135d1227ab6af6ec343d69ab428f4acc"},
	{256, "3900b38e124742b7a5d6f10c060c50ce",
	 "bc89920886443744fe5a7ab5bd391565e6a085f8ac40de463745bf11c6e259e0"},
	{1420, "07f7be27092fbfbbe8229e1773ddd7b8",
	 "73b4b777abf921b27d37ecce57ddb07b982a527fc08653510be9fef82d3ba887"},
};

static void check_answers(struct aead *a)
{
	struct key key;
	uint8_t hash[HASH_LEN];

	for (int i = 0; i < KEY_LEN; i++)
		key.bytes[i] = (uint8_t)i;
	for (size_t n = 0; n < sizeof(answers) / sizeof(answers[0]); n++) {
		size_t len = answers[n].len;
		uint64_t counter = 0x1122334455667700 + len % 256;

		for (size_t i = 0; i < len; i++)
			data[i] = plain[i] = (uint8_t)(7 * i + len);
		aead_seal(a, &key, counter, data, len);
		assert_hex(data + len, AEAD_TAG_LEN, answers[n].tag);
		blake2s_256(hash, data, len + AEAD_TAG_LEN, NULL, 0);
		assert_hex(hash, HASH_LEN, answers[n].hash);
		assert_true(aead_open(a, &key, counter, data, len));
		assert_memory_equal(data, plain, len);
	}
}

static void test_answers_fast(void **state)
{
	(void)state;
	check_answers(fast);
}

static void test_answers_portable(void **state)
{
	(void)state;
	assert_string_equal(aead_name(portable), "libsodium");
	check_answers(portable);
}

/* Seals with both, compares, opens each with the other; then one bit anywhere must be noticed. */
static void check_length(size_t len)
{
	struct key key;
	uint64_t counter;
	size_t bit;

	crypto_random(&key, sizeof(key));
	crypto_random(&counter, sizeof(counter));
	crypto_random(plain, len);
	memcpy(data, plain, len);
	memcpy(other, plain, len);
	data[len + AEAD_TAG_LEN] = 0x5a; /* nothing is written behind the tag */
	aead_seal(fast, &key, counter, data, len);
	aead_seal(portable, &key, counter, other, len);
	assert_memory_equal(data, other, len + AEAD_TAG_LEN);
	assert_int_equal(data[len + AEAD_TAG_LEN], 0x5a);
	assert_true(aead_open(fast, &key, counter, other, len));
	assert_memory_equal(other, plain, len);
	memcpy(other, data, len + AEAD_TAG_LEN);
	assert_true(aead_open(portable, &key, counter, other, len));
	assert_memory_equal(other, plain, len);

	bit = randombytes_uniform((uint32_t)(8 * (len + AEAD_TAG_LEN)));
	data[bit / 8] ^= (uint8_t)(1u << bit % 8);
	memcpy(other, data, len + AEAD_TAG_LEN);
	assert_false(aead_open(fast, &key, counter, other, len));
	assert_false(aead_open(portable, &key, counter, data, len));
}

static void test_short_lengths(void **state)
{
	(void)state;
	for (size_t len = 0; len < 1100; len++)
		check_length(len);
}

static void test_random_lengths(void **state)
{
	(void)state;
	check_length(LEN_MAX);
	for (int i = 0; i < 300; i++)
		check_length(randombytes_uniform(LEN_MAX + 1));
}

/* Each byte of the tag counts, and so do counter and key. */
static void check_refusals(struct aead *a)
{
	struct key key = {{1}}, wrong = {{2}};
	uint8_t sealed[100 + AEAD_TAG_LEN] = {0}, copy[sizeof(sealed)];

	aead_seal(a, &key, 9, sealed, 100);
	for (int i = 0; i < AEAD_TAG_LEN; i++)
		for (int bit = 0; bit < 8; bit++) {
			memcpy(copy, sealed, sizeof(copy));
			copy[100 + i] ^= (uint8_t)(1 << bit);
			assert_false(aead_open(a, &key, 9, copy, 100));
		}
	for (int bit = 0; bit < 64; bit++) {
		memcpy(copy, sealed, sizeof(copy));
		assert_false(aead_open(a, &key, 9 ^ 1ull << bit, copy, 100));
	}
	memcpy(copy, sealed, sizeof(copy));
	assert_false(aead_open(a, &wrong, 9, copy, 100));
	memcpy(copy, sealed, sizeof(copy));
	assert_true(aead_open(a, &key, 9, copy, 100));
}

static void test_refusals(void **state)
{
	(void)state;
	check_refusals(fast);
	check_refusals(portable);
}

/* Handshake fields and packets use one nonce format. */
static void test_agrees_with_small(void **state)
{
	struct key key = {{3}};
	uint8_t sealed[64 + AEAD_TAG_LEN];

	(void)state;
	memset(data, 0x42, 64);
	memset(plain, 0x42, 64);
	aead_seal_small(sealed, plain, 64, NULL, 0, 77, &key);
	aead_seal(fast, &key, 77, data, 64);
	assert_memory_equal(sealed, data, sizeof(sealed));
}

static int start(void **state)
{
	(void)state;
	if (crypto_init())
		return -1;
	fast = aead_new();
	portable = aead_new_portable();
	print_message("the fast one is %s\n", aead_name(fast));
	data = malloc(LEN_MAX + AEAD_TAG_LEN + 1);
	other = malloc(LEN_MAX + AEAD_TAG_LEN + 1);
	plain = malloc(LEN_MAX);
	return data && other && plain ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	aead_free(fast);
	aead_free(portable);
	aead_free(NULL);
	free(data);
	free(other);
	free(plain);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers_fast),  cmocka_unit_test(test_answers_portable),
		cmocka_unit_test(test_short_lengths), cmocka_unit_test(test_random_lengths),
		cmocka_unit_test(test_refusals),      cmocka_unit_test(test_agrees_with_small),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
