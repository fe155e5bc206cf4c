/* Time. Everything that waits uses boot time: it counts suspend and never jumps (invariant I10). */
#ifndef WEIR_BASE_CLOCK_H
#define WEIR_BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US  1000ull
#define NS_PER_MS  1000000ull
#define NS_PER_SEC 1000000000ull

/* What a protocol core is told about time: both in nanoseconds. */
struct instant {
	uint64_t boot; /* CLOCK_BOOTTIME: for ages and deadlines */
	uint64_t wall; /* CLOCK_REALTIME since 1970: for TAI64N and for people only */
};

/* Nanoseconds of CLOCK_BOOTTIME. Never 0, so 0 can mean "never". */
uint64_t clock_boot_ns(void);

/* Nanoseconds since 1970 by the wall clock, which can step in both directions. */
uint64_t clock_wall_ns(void);

struct instant clock_now(void);

/* How long this host has slept since it started: boot time counts suspend, monotonic time does not. A jitter of
 * microseconds goes both ways. */
uint64_t clock_suspended_ns(void);

/* CPU time of the calling thread: what a turn of work has cost it, however many others want the processor. */
uint64_t clock_work_ns(void);

/* Of two deadlines; 0 means never. */
static inline uint64_t earlier(uint64_t a, uint64_t b)
{
	if (!a || !b)
		return a ? a : b;
	return a < b ? a : b;
}

#endif
