#include "tests/unit/test.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define KEYS 2000

/* Against an array: key number i has the value values[i], NULL when it is not in. */
static void check_random(size_t key_len)
{
	static char objects[KEYS];
	static uint8_t keys[KEYS][64];
	static void *values[KEYS];
	struct map *m = map_new(key_len);
	unsigned seed = (unsigned)key_len;
	size_t count = 0;

	for (unsigned i = 0; i < KEYS; i++) {
		memset(keys[i], 0, sizeof(keys[i]));
		memcpy(keys[i], &(uint16_t){(uint16_t)i}, 2); /* a key of zeros is as good as any */
		values[i] = NULL;
	}
	for (int n = 0; n < 60000; n++) {
		unsigned i = (unsigned)rand_r(&seed) % KEYS;

		/* Phases that fill and phases that empty it. */
		if ((unsigned)rand_r(&seed) % 8 < (n / 10000 % 2 ? 2u : 6u)) {
			void *value = &objects[(unsigned)rand_r(&seed) % KEYS];

			count += !values[i];
			values[i] = value;
			map_put(m, keys[i], value);
		} else {
			assert_ptr_equal(map_remove(m, keys[i]), values[i]);
			count -= values[i] != NULL;
			values[i] = NULL;
		}
		i = (unsigned)rand_r(&seed) % KEYS;
		assert_ptr_equal(map_get(m, keys[i]), values[i]);
		assert_int_equal(map_count(m), count);
	}
	for (unsigned i = 0; i < KEYS; i++)
		assert_ptr_equal(map_get(m, keys[i]), values[i]);
	for (unsigned i = 0; i < KEYS; i++)
		assert_ptr_equal(map_remove(m, keys[i]), values[i]);
	assert_int_equal(map_count(m), 0);
	map_free(m);
}

static void test_random(void **state)
{
	(void)state;
	check_random(2);
	check_random(4);
	check_random(32);
	check_random(64);
}

/* The map keeps a copy of the key, and compares all of it. */
static void test_keys(void **state)
{
	struct map *m = map_new(5);
	char key[] = "abcde";
	int a, b;

	(void)state;
	map_put(m, key, &a);
	key[4] = 'f';
	assert_null(map_get(m, key));
	map_put(m, key, &b);
	assert_ptr_equal(map_get(m, "abcde"), &a);
	assert_ptr_equal(map_get(m, "abcdf"), &b);
	map_put(m, "abcde", &b);
	assert_ptr_equal(map_get(m, "abcde"), &b);
	assert_int_equal(map_count(m), 2);
	map_free(m);
	map_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_keys)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
