/* Random input that can be had again: the seed is printed, and WEIR_TEST_SEED sets it. */
#ifndef WEIR_TESTS_SEEDED_H
#define WEIR_TESTS_SEEDED_H

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static uint64_t seeded_state;

/* splitmix64 */
static inline uint64_t seeded_next(void)
{
	uint64_t z = seeded_state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static inline uint64_t seeded_below(uint64_t n)
{
	return seeded_next() % n;
}

static inline void seeded_start(const char *what)
{
	const char *given = getenv("WEIR_TEST_SEED");
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	seeded_state = given ? strtoull(given, NULL, 0) : (uint64_t)ts.tv_sec << 20 ^ (uint64_t)ts.tv_nsec;
	printf("%s: WEIR_TEST_SEED=%" PRIu64 "\n", what, seeded_state);
}

#endif
