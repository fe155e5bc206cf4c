#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"

static struct loop *loop;

static void quit(void *arg)
{
	(void)arg;
	loop_quit(loop);
}

static int start(void **state)
{
	(void)state;
	loop = loop_new();
	return 0;
}

static int stop(void **state)
{
	(void)state;
	loop_free(loop);
	return 0;
}

/* Steps until nothing is ready any more. */
static void settle(void)
{
	for (int i = 0; i < 20; i++)
		loop_step(loop, false);
}

struct pair {
	int ends[2];
	struct loop_fd *watch;
	unsigned calls, events;
	struct pair *victim; /* whose watch the callback removes */
};

static void on_pair(void *arg, int fd, unsigned events)
{
	struct pair *p = arg;

	assert_int_equal(fd, p->ends[0]);
	p->calls++;
	p->events = events;
	if (p->victim) {
		loop_fd_remove(p->victim->watch);
		p->victim->watch = NULL;
	}
}

static void open_pair(struct pair *p, unsigned events)
{
	*p = (struct pair){0};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p->ends), 0);
	p->watch = loop_fd_add(loop, p->ends[0], events, on_pair, p);
}

static void close_pair(struct pair *p)
{
	loop_fd_remove(p->watch);
	close(p->ends[0]);
	close(p->ends[1]);
}

static void test_fd_events(void **state)
{
	struct pair p;
	char c;

	(void)state;
	open_pair(&p, LOOP_READ);
	settle();
	assert_int_equal(p.calls, 0);
	assert_int_equal(write(p.ends[1], "x", 1), 1);
	loop_step(loop, true);
	assert_int_equal(p.calls, 1);
	assert_int_equal(p.events, LOOP_READ);
	loop_step(loop, false); /* not read: still there */
	assert_int_equal(p.calls, 2);
	loop_fd_want(p.watch, LOOP_READ | LOOP_WRITE);
	loop_step(loop, false);
	assert_int_equal(p.events, LOOP_READ | LOOP_WRITE);
	loop_fd_want(p.watch, LOOP_WRITE);
	loop_step(loop, false);
	assert_int_equal(p.events, LOOP_WRITE);
	loop_fd_want(p.watch, 0);
	p.calls = 0;
	settle();
	assert_int_equal(p.calls, 0);
	assert_int_equal(read(p.ends[0], &c, 1), 1);
	close(p.ends[1]); /* reported though nothing is wanted */
	p.ends[1] = -1;
	loop_step(loop, true);
	assert_int_equal(p.events, LOOP_HANGUP);
	close_pair(&p);
	loop_fd_remove(NULL);
}

static void test_remove_itself(void **state)
{
	struct pair p;

	(void)state;
	open_pair(&p, LOOP_WRITE);
	p.victim = &p;
	settle();
	assert_int_equal(p.calls, 1);
	close_pair(&p);
}

/* Both are ready in one turn; whichever comes first removes the other. */
static void test_remove_other(void **state)
{
	struct pair a, b;

	(void)state;
	open_pair(&a, LOOP_WRITE);
	open_pair(&b, LOOP_WRITE);
	a.victim = &b;
	b.victim = &a;
	loop_step(loop, true);
	assert_int_equal(a.calls + b.calls, 1);
	a.victim = b.victim = NULL;
	close_pair(&a);
	close_pair(&b);
}

struct clockwork {
	struct loop_timer *timer;
	int *order;
	int number, fired;
	uint64_t deadline;
};

static int order;

static void on_tick(void *arg)
{
	struct clockwork *w = arg;

	assert_true(clock_boot_ns() >= w->deadline); /* never early */
	w->fired++;
	w->number = ++order;
}

static void arm(struct clockwork *w, uint64_t deadline)
{
	w->deadline = deadline;
	loop_timer_set(w->timer, deadline);
}

static void test_timer_order(void **state)
{
	struct clockwork w[4] = {0};
	uint64_t now;

	(void)state;
	order = 0;
	for (int i = 0; i < 4; i++)
		w[i].timer = loop_timer_new(loop, on_tick, &w[i]);
	settle();
	assert_int_equal(order, 0); /* not set: not running */
	now = clock_boot_ns();
	arm(&w[0], now + 300 * NS_PER_MS); /* a busy machine must not miss the other one for so long */
	arm(&w[1], now + 20 * NS_PER_MS);
	arm(&w[2], now + 3600 * NS_PER_SEC);
	arm(&w[3], UINT64_MAX);
	while (!w[0].fired)
		loop_step(loop, true);
	assert_int_equal(w[1].number, 1);
	assert_int_equal(w[0].number, 2);
	settle();
	assert_int_equal(order, 2); /* once each; the far ones not at all */
	for (int i = 0; i < 4; i++)
		loop_timer_free(w[i].timer);
	loop_timer_free(NULL);
}

static void test_timer_moves(void **state)
{
	struct clockwork w = {0};

	(void)state;
	w.timer = loop_timer_new(loop, on_tick, &w);
	arm(&w, 1); /* in the past */
	loop_step(loop, true);
	assert_int_equal(w.fired, 1);
	settle();
	assert_int_equal(w.fired, 1);
	arm(&w, 1);
	loop_timer_set(w.timer, 0);
	settle();
	assert_int_equal(w.fired, 1);
	arm(&w, 1);
	arm(&w, clock_boot_ns() + 3600 * NS_PER_SEC);
	settle();
	assert_int_equal(w.fired, 1);
	arm(&w, clock_boot_ns() + NS_PER_MS); /* earlier again */
	loop_step(loop, true);
	assert_int_equal(w.fired, 2);
	loop_timer_free(w.timer);
}

struct rearm {
	struct loop_timer *timer;
	int fired;
};

static void on_rearm(void *arg)
{
	struct rearm *r = arg;

	if (++r->fired < 5) {
		loop_timer_set(r->timer, 1);
		return;
	}
	loop_timer_free(r->timer);
	r->timer = NULL;
	loop_quit(loop);
}

/* A timer that is due all the time takes turns with the rest, and may free itself. */
static void test_timer_in_callback(void **state)
{
	struct rearm r = {0};
	uint64_t turns = loop_turns(loop);

	(void)state;
	r.timer = loop_timer_new(loop, on_rearm, &r);
	loop_timer_set(r.timer, 1);
	loop_run(loop);
	assert_int_equal(r.fired, 5);
	assert_null(r.timer);
	assert_true(loop_turns(loop) >= turns + 5);
}

struct rival {
	struct loop_timer *timer;
	struct rival *other;
	uint64_t others_deadline;
	int fired;
};

static void on_rival(void *arg)
{
	struct rival *r = arg;

	r->fired++;
	loop_timer_set(r->other->timer, r->others_deadline);
}

/* Both are due in one turn; the first puts the other off, or stops it. */
static void test_timer_put_off(void **state)
{
	struct rival a, b;

	(void)state;
	a = (struct rival){.timer = loop_timer_new(loop, on_rival, &a), .other = &b};
	b = (struct rival){.timer = loop_timer_new(loop, on_rival, &b), .other = &a};
	for (int round = 1; round <= 2; round++) {
		loop_timer_set(a.timer, 1);
		loop_timer_set(b.timer, 1);
		settle();
		assert_int_equal(a.fired + b.fired, round);
		a.others_deadline = b.others_deadline = UINT64_MAX;
	}
	loop_timer_free(a.timer);
	loop_timer_free(b.timer);
}

static int signals_seen;

static void on_signal(void *arg, int signo)
{
	assert_ptr_equal(arg, &signals_seen);
	signals_seen += signo;
}

static void test_signal(void **state)
{
	(void)state;
	signals_seen = 0;
	assert_int_equal(loop_signal(loop, SIGUSR1, on_signal, &signals_seen), 0);
	assert_int_equal(loop_signal(loop, SIGUSR2, on_signal, &signals_seen), 0);
	assert_int_equal(loop_signal(loop, 12345, on_signal, NULL), -EINVAL);
	kill(getpid(), SIGUSR1);
	assert_int_equal(signals_seen, 0);
	settle();
	assert_int_equal(signals_seen, SIGUSR1);
	kill(getpid(), SIGUSR2);
	kill(getpid(), SIGUSR1);
	settle();
	assert_int_equal(signals_seen, 2 * SIGUSR1 + SIGUSR2);
}

static void *quit_later(void *arg)
{
	usleep(20000);
	quit(arg);
	return NULL;
}

static void test_quit(void **state)
{
	struct loop_timer *timer;
	pthread_t thread;
	uint64_t turns;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, quit_later, NULL), 0);
	loop_run(loop);
	pthread_join(thread, NULL);
	loop_quit(loop); /* before it runs: it does not start */
	turns = loop_turns(loop);
	loop_run(loop);
	assert_int_equal(loop_turns(loop), turns);
	timer = loop_timer_new(loop, quit, NULL); /* and it can run again */
	loop_timer_set(timer, clock_boot_ns());
	loop_run(loop);
	assert_true(loop_turns(loop) > turns);
	loop_timer_free(timer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fd_events, start, stop),
		cmocka_unit_test_setup_teardown(test_remove_itself, start, stop),
		cmocka_unit_test_setup_teardown(test_remove_other, start, stop),
		cmocka_unit_test_setup_teardown(test_timer_order, start, stop),
		cmocka_unit_test_setup_teardown(test_timer_moves, start, stop),
		cmocka_unit_test_setup_teardown(test_timer_in_callback, start, stop),
		cmocka_unit_test_setup_teardown(test_timer_put_off, start, stop),
		cmocka_unit_test_setup_teardown(test_signal, start, stop),
		cmocka_unit_test_setup_teardown(test_quit, start, stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
