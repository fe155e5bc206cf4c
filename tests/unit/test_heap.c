#include "tests/unit/test.h"

#include <stdlib.h>

#include "base/heap.h"

#define COUNT 300

/* Members know their places, and no parent is later than its children. */
static void check(const struct heap *h, const struct heap_node *nodes)
{
	const struct heap_node *first = heap_first(h);
	size_t inside = 0;

	for (int i = 0; i < COUNT; i++) {
		if (!nodes[i].slot)
			continue;
		inside++;
		assert_ptr_equal(h->nodes[nodes[i].slot - 1], &nodes[i]);
		assert_true(first->key <= nodes[i].key);
	}
	assert_int_equal(inside, h->count);
	assert_true(inside ? first != NULL : first == NULL);
	for (size_t i = 1; i < h->count; i++)
		assert_true(h->nodes[(i - 1) / 2]->key <= h->nodes[i]->key);
}

/* Against the slow way: look at all of them. */
static void test_random(void **state)
{
	static struct heap_node nodes[COUNT];
	struct heap h = {0};
	unsigned seed = 4;

	(void)state;
	for (int n = 0; n < 20000; n++) {
		struct heap_node *node = &nodes[(unsigned)rand_r(&seed) % COUNT];
		unsigned what = (unsigned)rand_r(&seed) % 4;

		if (what == 0)
			heap_remove(&h, node);
		else /* few different keys: many are equal */
			heap_set(&h, node, (uint64_t)rand_r(&seed) % (what == 1 ? 5 : 1000));
		if (n % 8 == 0)
			check(&h, nodes);
	}
	heap_clear(&h);
	check(&h, nodes);
	assert_null(heap_first(&h));
}

static void test_order(void **state)
{
	static struct heap_node nodes[COUNT];
	struct heap h = {0};
	uint64_t last = 0;
	unsigned seed = 9;

	(void)state;
	for (int i = 0; i < COUNT; i++)
		heap_set(&h, &nodes[i], (uint64_t)rand_r(&seed) << 33);
	for (int i = 0; i < COUNT; i++) {
		struct heap_node *first = heap_first(&h);

		assert_true(first->key >= last);
		last = first->key;
		heap_remove(&h, first);
		assert_int_equal(first->slot, 0);
		heap_remove(&h, first); /* twice does no harm */
	}
	assert_null(heap_first(&h));
	heap_set(&h, &nodes[0], UINT64_MAX);
	assert_ptr_equal(heap_first(&h), &nodes[0]);
	heap_clear(&h);
	assert_int_equal(nodes[0].slot, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random), cmocka_unit_test(test_order)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
