/*
 * Which frames are new. Every start of an engine is a boot: random id, start stamp by its wall clock,
 * sequence from 1. Of one boot a window of sequence numbers is kept, as RFC 6479 does it: frames overtake
 * each other on their paths. A boot that began later takes over from the one before it, and nothing of an
 * earlier boot is heard again.
 */
#include <string.h>

#include "signal/internal.h"

#define WORDS (SIGNAL_WINDOW / 64)

/* Slots are numbered by sequence modulo the window's size; moving forward clears what comes into it. */
static void move_window(struct signal_pair *p, uint64_t sequence)
{
	if (sequence - p->newest >= SIGNAL_WINDOW) {
		memset(p->window, 0, sizeof(p->window));
		p->newest = sequence;
		return;
	}
	while (p->newest < sequence) {
		p->newest++;
		p->window[p->newest / 64 % WORDS] &= ~(1ull << p->newest % 64);
	}
}

static bool take_sequence(struct signal_pair *p, uint64_t sequence)
{
	uint64_t *word = &p->window[sequence / 64 % WORDS], bit = 1ull << sequence % 64;

	if (!sequence || (p->newest >= sequence && p->newest - sequence >= SIGNAL_WINDOW))
		return false;
	if (sequence > p->newest)
		move_window(p, sequence);
	if (*word & bit)
		return false;
	*word |= bit;
	return true;
}

enum signal_verdict signal_guard(struct signal_pair *p, uint64_t boot, uint64_t started, uint64_t sequence)
{
	if (p->remote_boot == boot)
		return take_sequence(p, sequence) ? SIGNAL_OK : SIGNAL_REPLAYED;
	if (p->remote_boot && started <= p->remote_started)
		return SIGNAL_OLD_BOOT;
	if (!sequence)
		return SIGNAL_REPLAYED;
	p->remote_boot = boot;
	p->remote_started = started;
	p->newest = 0;
	memset(p->window, 0, sizeof(p->window));
	take_sequence(p, sequence);
	return SIGNAL_NEW_BOOT;
}
