/* The replay window: its edges one by one, and a reference that remembers every counter. */
#include "test.h"

#include <stdbool.h>
#include <string.h>

#include "seeded.h"
#include "wg/replay.h"

#define W REPLAY_WINDOW_BITS

static struct replay window;

static int setup(void **state)
{
	(void)state;
	memset(&window, 0xa5, sizeof(window));
	replay_reset(&window);
	return 0;
}

#define TAKES(counter)	 assert_true(replay_accept(&window, (counter)))
#define REFUSES(counter) assert_false(replay_accept(&window, (counter)))

static void test_in_order(void **state)
{
	(void)state;
	for (uint64_t c = 0; c < 3 * W; c++) {
		TAKES(c);
		REFUSES(c);
	}
	REFUSES(0);
	assert_int_equal(replay_received(&window), 3 * W);
	assert_int_equal(replay_lost(&window), 0);
}

static void test_edges(void **state)
{
	(void)state;
	TAKES(0);
	REFUSES(0);
	TAKES(1);
	REFUSES(1);
	TAKES(9);
	TAKES(8);
	TAKES(7);
	REFUSES(7);
	REFUSES(8);
	TAKES(W); /* 0 leaves, 1 is the last inside */
	REFUSES(W);
	TAKES(W - 1);
	REFUSES(W - 1);
	REFUSES(1);
	TAKES(2);
	REFUSES(2);
	TAKES(W + 16);
	REFUSES(3);
	REFUSES(16); /* just out */
	TAKES(17);   /* just in */
	REFUSES(17);
	TAKES(W * 4);
	REFUSES(W * 3);
	TAKES(W * 3 + 1);
	REFUSES(W * 3 + 1);
	TAKES(W * 4 - 1);
	REFUSES(W * 4 - 1);
	REFUSES(W * 4);
	REFUSES(0);
}

static void test_the_end_of_a_key(void **state)
{
	(void)state;
	REFUSES(REJECT_AFTER_MESSAGES);
	REFUSES(UINT64_MAX);
	assert_int_equal(window.next, 0);
	TAKES(REJECT_AFTER_MESSAGES - 1);
	REFUSES(REJECT_AFTER_MESSAGES - 1);
	REFUSES(REJECT_AFTER_MESSAGES);
	TAKES(REJECT_AFTER_MESSAGES - 2);
	TAKES(REJECT_AFTER_MESSAGES - W);
	REFUSES(REJECT_AFTER_MESSAGES - W - 1);
}

/* Whole windows, forwards, backwards and from the middle, on both sides of the ring's seam. */
static void test_whole_windows(void **state)
{
	(void)state;
	for (uint64_t base = 0; base < 200; base += 63) {
		replay_reset(&window);
		for (uint64_t c = base + W; c-- > base;)
			TAKES(c);
		for (uint64_t c = base; c < base + W; c++)
			REFUSES(c);
		if (base)
			REFUSES(base - 1);
		TAKES(base + W);
		REFUSES(base);
		assert_int_equal(replay_received(&window), W + 1);
	}
	replay_reset(&window);
	TAKES(W + 100);
	for (uint64_t c = W + 99; c > 100; c--)
		TAKES(c);
	REFUSES(100);
	assert_int_equal(replay_lost(&window), 101); /* 0 to 100 left unseen */
}

static void test_loss_is_counted_as_it_leaves(void **state)
{
	(void)state;
	TAKES(3); /* first packet: 0 to 2 may still come */
	assert_int_equal(replay_lost(&window), 0);
	TAKES(1);
	TAKES(W - 1);
	assert_int_equal(replay_lost(&window), 0);
	TAKES(W); /* 0 left */
	assert_int_equal(replay_lost(&window), 1);
	TAKES(W + 1); /* 1 left, and it had come */
	assert_int_equal(replay_lost(&window), 1);
	TAKES(W + 4); /* 2, 3, 4 left; 3 had come */
	assert_int_equal(replay_lost(&window), 3);
	REFUSES(4);
	/* Exactly one window on: all that was inside leaves. Received so far: 3, 1, W-1, W, W+1, W+4. */
	TAKES(2 * W + 4);
	assert_int_equal(replay_lost(&window), (W + 5) - 6);
	/* Far beyond: the counters between never were in a window at all. */
	TAKES(10 * W);
	assert_int_equal(replay_lost(&window), (9 * W + 1) - 7);
	assert_int_equal(replay_received(&window), 8);
}

static void test_first_packet_far_out(void **state)
{
	(void)state;
	TAKES(100000);
	assert_int_equal(replay_lost(&window), 100001 - W);
	TAKES(100001 - W);
	REFUSES(100000 - W);
}

/* ---- reference ---- */

#define COUNTERS 400000

static bool seen[COUNTERS];

static uint64_t reference_lost(uint64_t next)
{
	uint64_t lost = 0;

	for (uint64_t c = 0; c + W < next; c++)
		lost += !seen[c];
	return lost;
}

/* Mostly near the newest, some at the far edge, now and then a jump. */
static uint64_t random_counter(uint64_t next)
{
	uint64_t c, what = seeded_below(1024);

	if (what == 0)
		return next + seeded_below(3 * W);
	if (what < 10)
		return next + seeded_below(200);
	if (what < 150) {
		c = next + seeded_below(8);
		return c < W + 4 ? c : c - W - 4;
	}
	if (what < 500)
		return next ? next - 1 - seeded_below(next < W ? next : W) : 0;
	return next + seeded_below(4);
}

static void test_against_reference(void **state)
{
	uint64_t next, received;

	(void)state;
	seeded_start("replay");
	for (unsigned round = 0; round < 8; round++) {
		memset(seen, 0, sizeof(seen));
		replay_reset(&window);
		next = received = 0;
		for (unsigned step = 0; step < 60000; step++) {
			uint64_t c = random_counter(next);
			bool expected;

			if (c >= COUNTERS)
				break;
			expected = !seen[c] && c + W >= next;
			assert_int_equal(replay_accept(&window, c), expected);
			if (expected) {
				seen[c] = true;
				received++;
				next = c >= next ? c + 1 : next;
			}
			if (step % 97 == 0)
				assert_int_equal(replay_lost(&window), reference_lost(next));
		}
		assert_int_equal(replay_lost(&window), reference_lost(next));
		assert_int_equal(replay_received(&window), received);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_in_order, setup),
		cmocka_unit_test_setup(test_edges, setup),
		cmocka_unit_test_setup(test_the_end_of_a_key, setup),
		cmocka_unit_test_setup(test_whole_windows, setup),
		cmocka_unit_test_setup(test_loss_is_counted_as_it_leaves, setup),
		cmocka_unit_test_setup(test_first_packet_far_out, setup),
		cmocka_unit_test_setup(test_against_reference, setup),
	};

	return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
