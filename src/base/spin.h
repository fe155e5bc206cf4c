/* A lock for a few dozen instructions, taken once per batch and hardly ever contended. */
#ifndef WEIR_BASE_SPIN_H
#define WEIR_BASE_SPIN_H

#include <sched.h>
#include <stdatomic.h>

struct spin {
	atomic_flag held; /* zeroed: free */
};

static inline void spin_lock(struct spin *s)
{
	unsigned tries = 0;

	while (atomic_flag_test_and_set_explicit(&s->held, memory_order_acquire))
		if (++tries % 64 == 0)
			sched_yield();
}

static inline void spin_unlock(struct spin *s)
{
	atomic_flag_clear_explicit(&s->held, memory_order_release);
}

#endif
