#include "tests/unit/test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/epoch.h"

static int freed;

static void count_free(void *ptr)
{
	(void)ptr;
	freed++;
}

static void test_waits_for_reader(void **state)
{
	struct epoch *e = epoch_new();
	struct epoch_reader *a = epoch_reader_add(e), *b = epoch_reader_add(e);
	int x, y;

	(void)state;
	freed = 0;
	assert_int_equal(epoch_reclaim(e), 0);
	epoch_enter(e, a);
	epoch_retire(e, &x, count_free);
	assert_int_equal(epoch_reclaim(e), 1);
	assert_int_equal(freed, 0);

	/* A reader that comes later does not hold the older object back. */
	epoch_enter(e, b);
	epoch_retire(e, &y, count_free);
	epoch_exit(a);
	assert_int_equal(epoch_reclaim(e), 1);
	assert_int_equal(freed, 1);
	/* Leaving and coming back is as good as staying away. */
	epoch_exit(b);
	epoch_enter(e, b);
	assert_int_equal(epoch_reclaim(e), 0);
	assert_int_equal(freed, 2);
	epoch_exit(b);
	epoch_free(e);
}

static void test_nobody_inside(void **state)
{
	struct epoch *e = epoch_new();
	int x;

	(void)state;
	freed = 0;
	for (int i = 0; i < 1000; i++)
		epoch_retire(e, &x, count_free);
	assert_int_equal(freed, 0); /* never inside epoch_retire */
	assert_int_equal(epoch_reclaim(e), 0);
	assert_int_equal(freed, 1000);
	epoch_retire(e, &x, count_free);
	epoch_free(e);
	assert_int_equal(freed, 1001);
	epoch_free(NULL);
}

static struct epoch *chain;

static void free_and_retire(void *ptr)
{
	int *left = ptr;

	freed++;
	/* Enough of them to make the queue move. */
	if ((*left)-- > 0)
		for (int i = 0; i < 40; i++)
			epoch_retire(chain, ptr, count_free);
	if (*left > 0)
		epoch_retire(chain, ptr, free_and_retire);
}

static void test_retire_while_freeing(void **state)
{
	int left = 3;

	(void)state;
	freed = 0;
	chain = epoch_new();
	epoch_retire(chain, &left, free_and_retire);
	assert_int_equal(epoch_reclaim(chain), 41); /* what it retired waits for the next call */
	assert_int_equal(freed, 1);
	epoch_free(chain); /* all generations */
	assert_int_equal(freed, 3 + 3 * 40);
}

static struct epoch_reader *late;

static void enter_and_reclaim(void *ptr)
{
	freed++;
	epoch_enter(chain, late);
	epoch_retire(chain, ptr, count_free);
	epoch_reclaim(chain);
}

/* A reader that came while others were freed, and a reclaim inside a reclaim: what is new still waits. */
static void test_reclaim_while_freeing(void **state)
{
	int x;

	(void)state;
	freed = 0;
	chain = epoch_new();
	late = epoch_reader_add(chain);
	epoch_retire(chain, &x, enter_and_reclaim);
	epoch_retire(chain, &x, count_free);
	assert_int_equal(epoch_reclaim(chain), 1);
	assert_int_equal(freed, 2);
	assert_int_equal(epoch_reclaim(chain), 1);
	epoch_exit(late);
	assert_int_equal(epoch_reclaim(chain), 0);
	assert_int_equal(freed, 3);
	epoch_free(chain);
}

static void test_reader_slots(void **state)
{
	struct epoch *e = epoch_new();

	(void)state;
	for (int i = 0; i < EPOCH_READERS_MAX; i++)
		assert_non_null(epoch_reader_add(e));
	assert_null(epoch_reader_add(e));
	assert_null(epoch_reader_add(e));
	assert_int_equal(epoch_reclaim(e), 0);
	epoch_free(e);
}

/* Readers follow a pointer that the writer swaps all the time; a freed object has another mark. */
#define ALIVE	0x600dull
#define DEAD	0xdeadull
#define READERS 3
#define SWAPS	20000

struct object {
	uint64_t mark, again;
};

struct reader {
	struct epoch *e;
	struct epoch_reader *slot;
	uint64_t seen, wrong;
};

static _Atomic(struct object *) shared;
static atomic_bool stop;
static atomic_uint started;

static struct object *make_object(void)
{
	struct object *o = malloc(sizeof(*o));

	assert_non_null(o);
	o->mark = o->again = ALIVE;
	return o;
}

static void kill_object(void *ptr)
{
	struct object *o = ptr;

	o->mark = o->again = DEAD;
	freed++;
	free(o);
}

static void *read_on(void *arg)
{
	struct reader *r = arg;

	atomic_fetch_add(&started, 1);
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		epoch_enter(r->e, r->slot);
		for (int i = 0; i < 8; i++) {
			const struct object *o = atomic_load_explicit(&shared, memory_order_acquire);

			r->wrong += o->mark != ALIVE;
			for (volatile int spin = 0; spin < 20; spin++)
				;
			r->wrong += o->again != ALIVE;
			r->seen++;
		}
		epoch_exit(r->slot);
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct epoch *e = epoch_new();
	struct reader readers[READERS] = {0};
	pthread_t threads[READERS];
	unsigned waiting_max = 0;

	(void)state;
	freed = 0;
	atomic_store(&shared, make_object());
	for (int i = 0; i < READERS; i++) {
		readers[i].e = e;
		readers[i].slot = epoch_reader_add(e);
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	while (atomic_load(&started) < READERS)
		;
	for (int i = 0; i < SWAPS; i++) {
		struct object *old = atomic_exchange_explicit(&shared, make_object(), memory_order_acq_rel);

		epoch_retire(e, old, kill_object);
		if (i % 4 == 0) {
			unsigned waiting = epoch_reclaim(e);

			waiting_max = waiting > waiting_max ? waiting : waiting_max;
		}
	}
	atomic_store(&stop, true);
	for (int i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
		assert_true(readers[i].seen > 0);
	}
	assert_int_equal(epoch_reclaim(e), 0); /* all have left: nothing is held back */
	assert_int_equal(freed, SWAPS);
	assert_in_range(waiting_max, 0, SWAPS - 1);
	epoch_free(e);
	free(atomic_load(&shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_for_reader),     cmocka_unit_test(test_nobody_inside),
		cmocka_unit_test(test_retire_while_freeing), cmocka_unit_test(test_reclaim_while_freeing),
		cmocka_unit_test(test_reader_slots),	     cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
