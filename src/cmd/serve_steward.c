/*
 * The host's side of the tunnel, through the steward. Its requests run hooks, which may take long and may
 * need the engine (a PostUp that pings through the tunnel): so they are asked for, and answered in the loop.
 */
#include <errno.h>

#include "base/clock.h"
#include "cmd/detach.h"
#include "cmd/notify.h"
#include "cmd/serve_internal.h"

#define PATIENCE_STEP (5 * NS_PER_SEC)
#define PATIENCE      (30 * NS_PER_SEC)

int host_start(struct serve *s, struct error *e)
{
	struct diversion diversion;

	if (!s->conf)
		return 0;
	if (system_clean_leftovers(s->journal, e) < 0)
		log_warn("system", "leftovers of an earlier run: %s", e->text);
	/* It outlives the terminal's peace: what it says after a crash must not land on somebody's screen. */
	if (s->o->detached)
		divert_output(&diversion);
	s->steward = steward_start(s->o->ifname, s->journal, s->lock_fd, s->conf, e);
	if (s->o->detached)
		restore_output(&diversion);
	return s->steward ? 0 : -(e->code ? e->code : EIO);
}

static void on_patience(void *arg)
{
	struct serve *s = arg;

	notify_more_time(PATIENCE);
	loop_timer_set(s->patience, clock_boot_ns() + PATIENCE_STEP);
}

static void up_done(struct serve *s, int r, const struct steward_reply *reply, struct error *e)
{
	if (r) { /* nothing is left of the try */
		serve_fail(s, e);
		loop_quit(s->loop);
		return;
	}
	if (reply->fwmark != s->mark) {
		s->mark = reply->fwmark;
		r = engine_set_fwmark(s->engine, s->mark, e);
	}
	/* The link is up; what kept the engine from following it is to be heard now. */
	if (!r)
		r = engine_up(s->engine, e);
	if (r)
		serve_fail(s, e);
	if (r || s->stop_when_up) {
		s->phase = PHASE_RUNNING;
		serve_stop(s, !r, r ? "it did not come up" : "SIGTERM");
	} else {
		serve_up(s);
	}
}

static void died(struct serve *s, const struct error *e)
{
	loop_fd_remove(s->steward_watch);
	s->steward_watch = NULL;
	log_error("system", "%s", e->text);
}

static void on_answer(void *arg, int fd, unsigned events)
{
	struct serve *s = arg;
	bool was_busy = steward_is_busy(s->steward);
	struct steward_reply reply;
	struct error e = {0};
	int r = steward_take(s->steward, &reply, &e);

	(void)fd, (void)events;
	if (r == -EAGAIN)
		return;
	if (r == -EPIPE)
		died(s, &e);
	if (!was_busy)
		return;
	loop_timer_set(s->patience, 0);
	if (s->phase == PHASE_STARTING) {
		up_done(s, r, &reply, &e);
	} else if (s->phase == PHASE_STOPPING) {
		if (r && r != -EPIPE)
			log_warn("system", "%s", e.text);
		loop_quit(s->loop);
	}
}

void host_watch(struct serve *s)
{
	s->patience = loop_timer_new(s->loop, on_patience, s);
	if (s->steward)
		s->steward_watch = loop_fd_add(s->loop, steward_fd(s->steward), LOOP_READ, on_answer, s);
}

/* The mark comes first: with it missing, our own packets would go into the tunnel. */
void host_up(struct serve *s)
{
	struct error e = {0};
	int r = system_choose_fwmark(s->conf, 0, &s->mark, &e);

	if (!r && s->mark)
		r = engine_set_fwmark(s->engine, s->mark, &e);
	if (!r)
		r = steward_ask_up(s->steward, s->conf, &e);
	if (r) {
		serve_fail(s, &e);
		loop_quit(s->loop);
		return;
	}
	loop_timer_set(s->patience, clock_boot_ns() + PATIENCE_STEP);
}

void host_down(struct serve *s)
{
	struct error e = {0};

	if (s->steward_watch && !steward_ask_down(s->steward, &e)) {
		loop_timer_set(s->patience, clock_boot_ns() + PATIENCE_STEP);
		return;
	}
	if (e.text[0])
		log_error("system", "%s", e.text);
	loop_quit(s->loop);
}

/* While hooks still run, whoever told us twice to end does not wait for them: the steward finishes alone. */
void host_leave(struct serve *s)
{
	loop_fd_remove(s->steward_watch);
	if (s->steward && !steward_is_busy(s->steward))
		steward_stop(s->steward, true);
	loop_timer_free(s->patience);
}
