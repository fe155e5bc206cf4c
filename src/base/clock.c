#include "base/clock.h"

#include <time.h>

static uint64_t read_clock(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts); /* cannot fail for the clocks used here */
	return (uint64_t)ts.tv_sec * NS_PER_SEC + (uint64_t)ts.tv_nsec;
}

uint64_t clock_boot_ns(void)
{
	uint64_t ns = read_clock(CLOCK_BOOTTIME);

	return ns ? ns : 1;
}

uint64_t clock_wall_ns(void)
{
	return read_clock(CLOCK_REALTIME);
}

struct instant clock_now(void)
{
	return (struct instant){.boot = clock_boot_ns(), .wall = clock_wall_ns()};
}

uint64_t clock_work_ns(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

uint64_t clock_suspended_ns(void)
{
	/* The time awake is asked for first: it must not be the later one of the two. */
	uint64_t awake = read_clock(CLOCK_MONOTONIC);

	return clock_boot_ns() - awake;
}
