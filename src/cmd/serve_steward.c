/*
 * Hooks may do anything, for instance wait for an answer through the tunnel that is being brought up: the
 * control thread must run meanwhile. So a thread waits for the steward, and its answer is posted to the loop.
 */
#include <signal.h>
#include <string.h>

#include "base/clock.h"
#include "cmd/notify.h"
#include "cmd/serve_internal.h"

#define PATIENCE_STEP (5 * NS_PER_SEC)

static void finished(void *arg)
{
	struct serve *s = arg;

	pthread_join(s->job, NULL);
	loop_timer_set(s->patience, 0);
	s->job_runs = false;
	s->job_done(s);
}

static void *run(void *arg)
{
	struct serve *s = arg;

	s->job_result = s->job_fn(s);
	loop_post(s->loop, finished, s);
	return NULL;
}

void steward_job(struct serve *s, int (*fn)(struct serve *s), void (*done)(struct serve *s))
{
	int r;

	s->job_fn = fn;
	s->job_done = done;
	s->job_error = (struct error){0};
	s->job_runs = true;
	/* systemd's patience ends otherwise while a long hook runs. */
	loop_timer_set(s->patience, clock_boot_ns() + PATIENCE_STEP);
	r = pthread_create(&s->job, NULL, run, s);
	if (r) {
		s->job_runs = false;
		s->job_result = error_set(&s->job_error, r, "cannot start a thread: %s", strerror(r));
		done(s);
	}
}
