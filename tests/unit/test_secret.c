#include "tests/unit/test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "crypto/primitives.h"

static void assert_fresh(const uint8_t *p, size_t size)
{
	assert_non_null(p);
	assert_int_equal((uintptr_t)p % (size < 64 ? 16 : 64), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(p[i], 0);
}

static void test_sizes(void **state)
{
	static const size_t sizes[] = {0,    1,	   15,	 16,	17,	63,	64,
				       65,   100,  256,	 1000,	1500,	1536,	1537,
				       4095, 4096, 4097, 65536, 100000, 300000, 1 << 20};

	(void)state;
	for (int round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint8_t *p = secret_alloc(sizes[i]);

			assert_fresh(p, sizes[i]);
			memset(p, 0xff, sizes[i]);
			secret_free(p);
		}
	secret_free(NULL);
}

struct object {
	uint8_t *p;
	size_t size;
	uint8_t mark;
};

static void release(struct object *o)
{
	for (size_t i = 0; i < o->size; i++)
		assert_int_equal(o->p[i], o->mark);
	secret_free(o->p);
	o->p = NULL;
}

/* Objects come and go in random order: fresh ones are zero, and nobody else writes into them. */
static void churn(unsigned seed, size_t count, size_t rounds)
{
	struct object *all = calloc(count, sizeof(*all));

	assert_non_null(all);
	for (size_t n = 0; n < rounds; n++) {
		struct object *o = &all[(size_t)rand_r(&seed) % count];

		if (o->p) {
			release(o);
			continue;
		}
		o->size = 100 + (size_t)rand_r(&seed) % 1401;
		o->mark = (uint8_t)(1 + n % 255);
		o->p = secret_alloc(o->size);
		assert_fresh(o->p, o->size);
		memset(o->p, o->mark, o->size);
	}
	for (size_t i = 0; i < count; i++)
		if (all[i].p)
			release(&all[i]);
	free(all);
}

static void test_churn(void **state)
{
	(void)state;
	churn(1, 2000, 20000);
}

static void *churn_thread(void *arg)
{
	churn((unsigned)(uintptr_t)arg, 200, 4000);
	return NULL;
}

static void test_threads(void **state)
{
	pthread_t threads[3];

	(void)state;
	for (uintptr_t i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, churn_thread, (void *)(i + 7)), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
}

/* As many as ten thousand peers need, all at once, and then again in what they left. */
static void test_many(void **state)
{
	enum { MANY = 40000 };
	uint8_t **all = calloc(MANY, sizeof(*all));

	(void)state;
	assert_non_null(all);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < MANY; i++) {
			all[i] = secret_alloc(256);
			assert_int_equal(all[i][0] | all[i][8] | all[i][255], 0);
			memset(all[i], i, 256);
		}
		for (int i = 0; i < MANY; i++) {
			assert_int_equal(all[i][0], i & 255);
			assert_int_equal(all[i][255], i & 255);
			secret_free(all[i]);
		}
	}
	free(all);
}

static int start(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_churn),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
