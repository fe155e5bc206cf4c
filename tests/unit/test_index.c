/* Receiver indices: unique, found by kind, moved and removed; and readers beside a writer. */
#include "test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "crypto/primitives.h"
#include "seeded.h"
#include "wg/index.h"

struct owner {
	uint32_t index;
};

/* What the next calls of crypto_random give, while there is something here (linked with
 * --wrap=crypto_random). */
static const uint32_t *draws;
static unsigned draw_count;

void __real_crypto_random(void *out, size_t len);
void __wrap_crypto_random(void *out, size_t len);

void __wrap_crypto_random(void *out, size_t len)
{
	if (!draw_count || len != sizeof(*draws)) {
		__real_crypto_random(out, len);
		return;
	}
	memcpy(out, draws++, len);
	draw_count--;
}

struct fixture {
	struct epoch *epoch;
	struct index_table *table;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->epoch = epoch_new();
	f->table = index_new(f->epoch);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	index_free(f->table);
	epoch_free(f->epoch);
	free(f);
	return 0;
}

static void test_add_find_remove(void **state)
{
	struct fixture *f = *state;
	struct owner handshake, keypair;

	assert_null(index_lookup(f->table, 0, INDEX_HANDSHAKE));
	assert_null(index_lookup(f->table, 1, INDEX_HANDSHAKE));
	handshake.index = index_add(f->table, INDEX_HANDSHAKE, &handshake);
	keypair.index = index_add(f->table, INDEX_KEYPAIR, &keypair);
	assert_int_not_equal(handshake.index, 0);
	assert_int_not_equal(handshake.index, keypair.index);
	assert_ptr_equal(index_lookup(f->table, handshake.index, INDEX_HANDSHAKE), &handshake);
	assert_ptr_equal(index_lookup(f->table, keypair.index, INDEX_KEYPAIR), &keypair);
	assert_null(index_lookup(f->table, handshake.index, INDEX_KEYPAIR));
	assert_null(index_lookup(f->table, keypair.index, INDEX_HANDSHAKE));
	assert_int_equal(index_count(f->table), 2);

	index_remove(f->table, keypair.index);
	index_remove(f->table, keypair.index);
	index_remove(f->table, 0);
	index_remove(f->table, ~handshake.index);
	assert_null(index_lookup(f->table, keypair.index, INDEX_KEYPAIR));
	assert_null(index_lookup(f->table, keypair.index, INDEX_HANDSHAKE));
	assert_ptr_equal(index_lookup(f->table, handshake.index, INDEX_HANDSHAKE), &handshake);
	assert_int_equal(index_count(f->table), 1);
}

static void test_a_handshake_becomes_a_keypair(void **state)
{
	struct fixture *f = *state;
	struct owner handshake, keypair;
	uint32_t index = index_add(f->table, INDEX_HANDSHAKE, &handshake);

	assert_true(index_replace(f->table, index, INDEX_KEYPAIR, &keypair));
	assert_ptr_equal(index_lookup(f->table, index, INDEX_KEYPAIR), &keypair);
	assert_null(index_lookup(f->table, index, INDEX_HANDSHAKE));
	assert_int_equal(index_count(f->table), 1);
	index_remove(f->table, index);
	assert_false(index_replace(f->table, index, INDEX_KEYPAIR, &keypair));
	assert_false(index_replace(f->table, 0, INDEX_KEYPAIR, &keypair));
	assert_int_equal(index_count(f->table), 0);
}

/* Not 0, not one that is in use, and not one that was in use until just now. */
static void test_unlucky_draws(void **state)
{
	static const uint32_t sequence[] = {7, 0, 7, 71, 71, 7, 0, 135};
	struct fixture *f = *state;
	struct owner a, b, c;

	draws = sequence;
	draw_count = sizeof(sequence) / sizeof(sequence[0]);
	assert_int_equal(index_add(f->table, INDEX_KEYPAIR, &a), 7);
	assert_int_equal(index_add(f->table, INDEX_KEYPAIR, &b), 71); /* the same slot at first */
	index_remove(f->table, 7);
	assert_int_equal(index_add(f->table, INDEX_KEYPAIR, &c), 135);
	assert_int_equal(draw_count, 0);
	assert_null(index_lookup(f->table, 7, INDEX_KEYPAIR));
	assert_ptr_equal(index_lookup(f->table, 71, INDEX_KEYPAIR), &b);
	assert_ptr_equal(index_lookup(f->table, 135, INDEX_KEYPAIR), &c);
	assert_null(index_lookup(f->table, 199, INDEX_KEYPAIR));
}

/* As many as 10,000 peers may have; the table grows, and shrinks when they are gone. */
static void test_many(void **state)
{
	enum { MANY = 40000 };
	struct fixture *f = *state;
	struct owner *owners = calloc(MANY, sizeof(*owners)), one;

	for (unsigned i = 0; i < MANY; i++)
		owners[i].index = index_add(f->table, i % 2 ? INDEX_KEYPAIR : INDEX_HANDSHAKE, &owners[i]);
	/* Found under its own index, so no two have the same. */
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(
			index_lookup(f->table, owners[i].index, i % 2 ? INDEX_KEYPAIR : INDEX_HANDSHAKE),
			&owners[i]);
	assert_int_equal(index_count(f->table), MANY);
	for (unsigned i = 0; i < MANY; i += 2)
		index_remove(f->table, owners[i].index);
	for (unsigned i = 0; i < MANY; i++)
		assert_ptr_equal(
			index_lookup(f->table, owners[i].index, i % 2 ? INDEX_KEYPAIR : INDEX_HANDSHAKE),
			i % 2 ? &owners[i] : NULL);
	for (unsigned i = 1; i < MANY; i += 2)
		index_remove(f->table, owners[i].index);
	assert_int_equal(index_count(f->table), 0);
	for (unsigned i = 0; i < MANY; i++) {
		one.index = index_add(f->table, INDEX_HANDSHAKE, &one);
		assert_ptr_equal(index_lookup(f->table, one.index, INDEX_HANDSHAKE), &one);
		index_remove(f->table, one.index);
	}
	free(owners);
}

/* ---- readers beside a writer ---- */

#define READERS 2
#define SHARED	64

struct reader {
	struct fixture *f;
	struct epoch_reader *slot;
	atomic_bool *stop;
	const struct owner *lasting;
	_Atomic uint32_t *recent; /* SHARED indices that were there a moment ago */
	atomic_uint turns;
	unsigned wrong;
};

static void *read_on(void *arg)
{
	struct reader *r = arg;

	do {
		epoch_enter(r->f->epoch, r->slot);
		for (unsigned i = 0; i < SHARED; i++) {
			uint32_t index = atomic_load_explicit(&r->recent[i], memory_order_relaxed);
			struct owner *o = index_lookup(r->f->table, index, INDEX_KEYPAIR);

			r->wrong += o && o->index != index;
			o = index_lookup(r->f->table, r->lasting->index, INDEX_KEYPAIR);
			r->wrong += o != r->lasting;
		}
		epoch_exit(r->slot);
		atomic_fetch_add(&r->turns, 1);
	} while (!atomic_load(r->stop));
	return NULL;
}

/* An owner learns its index from index_add, so it enters the table in two steps here: first under a stand-in.
 */
static struct owner *add_owner(struct fixture *f, void *stand_in)
{
	struct owner *o = malloc(sizeof(*o));

	o->index = index_add(f->table, INDEX_HANDSHAKE, stand_in);
	assert_true(index_replace(f->table, o->index, INDEX_KEYPAIR, o));
	return o;
}

static void test_readers_beside_a_writer(void **state)
{
	struct fixture *f = *state;
	struct owner *live[SHARED], *lasting, stand_in;
	struct reader readers[READERS];
	pthread_t threads[READERS];
	static _Atomic uint32_t recent[SHARED];
	atomic_bool stop = false;

	seeded_start("index, readers");
	lasting = add_owner(f, &stand_in);
	for (unsigned i = 0; i < SHARED; i++) {
		live[i] = add_owner(f, &stand_in);
		atomic_store_explicit(&recent[i], live[i]->index, memory_order_relaxed);
	}
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){.f = f, .stop = &stop, .lasting = lasting, .recent = recent};
		readers[i].slot = epoch_reader_add(f->epoch);
		assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
	}
	for (unsigned i = 0; i < READERS; i++)
		while (!atomic_load(&readers[i].turns))
			sched_yield();
	for (unsigned step = 0; step < 50000; step++) {
		unsigned i = (unsigned)seeded_below(SHARED);

		index_remove(f->table, live[i]->index);
		epoch_retire(f->epoch, live[i], free);
		live[i] = add_owner(f, &stand_in);
		atomic_store_explicit(&recent[i], live[i]->index, memory_order_relaxed);
		if (step % 64 == 0)
			epoch_reclaim(f->epoch);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < READERS; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(readers[i].wrong, 0);
	}
	for (unsigned i = 0; i < SHARED; i++)
		free(live[i]);
	free(lasting);
}

static int group_setup(void **state)
{
	(void)state;
	return crypto_init();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_find_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_handshake_becomes_a_keypair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unlucky_draws, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers_beside_a_writer, setup, teardown),
	};

	return cmocka_run_group_tests_name("index", tests, group_setup, NULL);
}
