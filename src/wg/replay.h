/*
 * The replay window of a receiving key: accepts each counter once, in any order within REPLAY_WINDOW_BITS.
 *
 * A ring of bits indexed by the counter, as in RFC 6479, so that nothing is shifted when the window moves.
 * The bits of counters that leave are looked at once more: those never set were never received, which is the
 * loss statistic.
 *
 * A key's counters start at 0 with the key, so what comes before the very first packet received counts as
 * well: a first packet with counter 3 leaves 0 to 2 acceptable, and lost when they leave the window without
 * having come.
 */
#ifndef WEIR_WG_REPLAY_H
#define WEIR_WG_REPLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "wg/messages.h"

struct replay {
	uint64_t next; /* newest counter accepted, plus one; 0: none yet */
	counter_t received, lost;
	uint64_t bits[REPLAY_WINDOW_BITS / 64];
};

void replay_reset(struct replay *r);

/* Call after the packet was authenticated, one caller at a time. False: seen before, older than the window,
 * or at least REJECT_AFTER_MESSAGES; the window is unchanged then. */
bool replay_accept(struct replay *r, uint64_t counter);

/* Packets accepted, and counters that left the window without ever coming. Any thread. */
uint64_t replay_received(const struct replay *r);
uint64_t replay_lost(const struct replay *r);

#endif
