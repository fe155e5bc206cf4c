/*
 * Bit (counter mod REPLAY_WINDOW_BITS) of the ring tells whether a counter in [next - REPLAY_WINDOW_BITS,
 * next) came. When the window moves up to take in a counter, its bit still tells about the counter that
 * leaves: counted, then cleared.
 */
#include "wg/replay.h"

#include <string.h>

#define WORDS (REPLAY_WINDOW_BITS / 64)

_Static_assert((REPLAY_WINDOW_BITS & (REPLAY_WINDOW_BITS - 1)) == 0 && REPLAY_WINDOW_BITS >= 64,
	       "the ring is indexed by the low bits of the counter");

/* A keypair's lock makes us the only writer: no locked addition is needed. */
static void add(counter_t *c, uint64_t n)
{
	counter_set(c, counter_get(c) + n);
}

void replay_reset(struct replay *r)
{
	r->next = 0;
	counter_set(&r->received, 0);
	counter_set(&r->lost, 0);
	memset(r->bits, 0, sizeof(r->bits));
}

static uint64_t count_set(const uint64_t *bits)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < WORDS; i++)
		n += (unsigned)__builtin_popcountll(bits[i]);
	return n;
}

/* All that the window held leaves it, and so does what lies between the old window and the new one. */
static void jump(struct replay *r, uint64_t next)
{
	uint64_t held = r->next < REPLAY_WINDOW_BITS ? r->next : REPLAY_WINDOW_BITS;

	add(&r->lost, held - count_set(r->bits) + (next - REPLAY_WINDOW_BITS - r->next));
	memset(r->bits, 0, sizeof(r->bits));
	r->next = next;
}

static void advance(struct replay *r, uint64_t next)
{
	uint64_t lost = 0;

	if (next - r->next >= REPLAY_WINDOW_BITS) {
		jump(r, next);
		return;
	}
	while (r->next < next) {
		uint64_t *word = &r->bits[r->next / 64 % WORDS];
		unsigned first = r->next % 64;
		uint64_t left = next - r->next;
		unsigned count = left < 64 - first ? (unsigned)left : 64 - first;
		uint64_t mask = UINT64_MAX >> (64 - count) << first;

		if (r->next >= REPLAY_WINDOW_BITS)
			lost += (unsigned)__builtin_popcountll(~*word & mask);
		*word &= ~mask;
		r->next += count;
	}
	if (lost)
		add(&r->lost, lost);
}

bool replay_accept(struct replay *r, uint64_t counter)
{
	uint64_t *word = &r->bits[counter / 64 % WORDS];
	uint64_t bit = 1ull << counter % 64;

	if (counter >= REJECT_AFTER_MESSAGES)
		return false;
	if (counter >= r->next)
		advance(r, counter + 1);
	else if (r->next - counter > REPLAY_WINDOW_BITS || *word & bit)
		return false;
	*word |= bit;
	add(&r->received, 1);
	return true;
}

uint64_t replay_received(const struct replay *r)
{
	return counter_get(&r->received);
}

uint64_t replay_lost(const struct replay *r)
{
	return counter_get(&r->lost);
}
