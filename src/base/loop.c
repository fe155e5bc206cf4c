/*
 * GLib sees only file descriptors, and only from the loop's thread: timers are timerfds (boot time, which
 * GLib's own timeouts do not know), signals are signalfds, and loop_quit wakes the loop through an eventfd.
 */
#include "base/loop.h"

#include <errno.h>
#include <glib.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/list.h"
#include "base/xalloc.h"

struct loop_fd {
	GSource source; /* GLib allocates the whole and holds a reference while it dispatches */
	void *tag;
	int fd;
	unsigned wanted;
	void (*fn)(void *arg, int fd, unsigned events);
	void *arg;
};

struct loop_timer {
	struct loop_fd *watch;
	int fd;
	void (*fn)(void *arg);
	void *arg;
};

struct signal_watch {
	struct list link;
	struct loop_fd *watch;
	int fd;
	void (*fn)(void *arg, int signo);
	void *arg;
};

struct loop {
	GMainContext *context;
	counter_t turns;
	atomic_bool quit;
	struct list signals;

	int wake_fd;
	struct loop_fd *wake_watch;
	pthread_mutex_t lock; /* of loop_quit: it may still be leaving when the loop that it ended is freed */
};

/* Descriptors of the loop itself are made at start; without them nothing can run. */
static int need_fd(int fd, const char *what)
{
	if (fd < 0) {
		fprintf(stderr, "weir: cannot make %s for the event loop: %s\n", what, strerror(errno));
		abort();
	}
	return fd;
}

static GIOCondition to_condition(unsigned events)
{
	return (events & LOOP_READ ? G_IO_IN : 0) | (events & LOOP_WRITE ? G_IO_OUT : 0) | G_IO_HUP |
	       G_IO_ERR;
}

static gboolean dispatch_fd(GSource *source, GSourceFunc callback, gpointer data)
{
	struct loop_fd *w = (struct loop_fd *)source;
	GIOCondition got = g_source_query_unix_fd(source, w->tag);
	unsigned events = 0;

	(void)callback, (void)data;
	if (got & G_IO_IN)
		events |= LOOP_READ & w->wanted;
	if (got & G_IO_OUT)
		events |= LOOP_WRITE & w->wanted;
	if (got & (G_IO_HUP | G_IO_ERR | G_IO_NVAL))
		events |= LOOP_HANGUP;
	if (events)
		w->fn(w->arg, w->fd, events);
	return G_SOURCE_CONTINUE;
}

static GSourceFuncs fd_funcs = {.dispatch = dispatch_fd};

struct loop_fd *loop_fd_add(struct loop *loop, int fd, unsigned events,
			    void (*fn)(void *arg, int fd, unsigned events), void *arg)
{
	GSource *source = g_source_new(&fd_funcs, sizeof(struct loop_fd));
	struct loop_fd *w = (struct loop_fd *)source;

	w->fd = fd;
	w->wanted = events;
	w->fn = fn;
	w->arg = arg;
	w->tag = g_source_add_unix_fd(source, fd, to_condition(events));
	g_source_attach(source, loop->context);
	return w;
}

void loop_fd_want(struct loop_fd *watch, unsigned events)
{
	if (watch->wanted == events)
		return;
	watch->wanted = events;
	g_source_modify_unix_fd(&watch->source, watch->tag, to_condition(events));
}

void loop_fd_remove(struct loop_fd *watch)
{
	if (!watch)
		return;
	g_source_destroy(&watch->source); /* also skips it if it is ready in the turn that runs now */
	g_source_unref(&watch->source);
}

static void on_timer(void *arg, int fd, unsigned events)
{
	struct loop_timer *t = arg;
	uint64_t ticks;

	(void)events;
	/* Nothing to read: it was moved after it had become ready. */
	if (read(fd, &ticks, sizeof(ticks)) == sizeof(ticks))
		t->fn(t->arg); /* may free t */
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct loop_timer *t = xcalloc(1, sizeof(*t));

	t->fd = need_fd(timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK), "a timer");
	t->fn = fn;
	t->arg = arg;
	t->watch = loop_fd_add(loop, t->fd, LOOP_READ, on_timer, t);
	return t;
}

void loop_timer_set(struct loop_timer *timer, uint64_t deadline_boot_ns)
{
	/* Zero disarms (timerfd_create(2)), just as it does in our contract. */
	struct itimerspec at = {.it_value = {.tv_sec = (time_t)(deadline_boot_ns / NS_PER_SEC),
					     .tv_nsec = (long)(deadline_boot_ns % NS_PER_SEC)}};

	timerfd_settime(timer->fd, TFD_TIMER_ABSTIME, &at, NULL);
}

void loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	loop_fd_remove(timer->watch);
	close(timer->fd);
	free(timer);
}

static void on_signal(void *arg, int fd, unsigned events)
{
	struct signal_watch *w = arg;
	struct signalfd_siginfo info;

	(void)events;
	while (read(fd, &info, sizeof(info)) == sizeof(info))
		w->fn(w->arg, (int)info.ssi_signo);
}

int loop_signal(struct loop *loop, int signo, void (*fn)(void *arg, int signo), void *arg)
{
	struct signal_watch *w;
	sigset_t set;
	int fd, err;

	sigemptyset(&set);
	if (sigaddset(&set, signo) < 0)
		return -errno;
	err = pthread_sigmask(SIG_BLOCK, &set, NULL);
	if (err)
		return -err;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return -errno;
	w = xcalloc(1, sizeof(*w));
	w->fd = fd;
	w->fn = fn;
	w->arg = arg;
	w->watch = loop_fd_add(loop, fd, LOOP_READ, on_signal, w);
	list_append(&loop->signals, &w->link);
	return 0;
}

static void wake(struct loop *loop)
{
	/* EAGAIN would mean that 2^64 - 2 wakes are pending: awake enough. */
	if (write(loop->wake_fd, &(uint64_t){1}, sizeof(uint64_t)) < 0 && errno != EAGAIN)
		abort();
}

static void on_wake(void *arg, int fd, unsigned events)
{
	uint64_t count;

	(void)arg;
	(void)events;
	/* That the loop woke up is all. */
	(void)!read(fd, &count, sizeof(count));
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->context = g_main_context_new();
	list_init(&loop->signals);
	pthread_mutex_init(&loop->lock, NULL);
	loop->wake_fd = need_fd(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "a wake-up descriptor");
	loop->wake_watch = loop_fd_add(loop, loop->wake_fd, LOOP_READ, on_wake, loop);
	return loop;
}

void *loop_native(struct loop *loop)
{
	return loop->context;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	list_for_each_safe (at, &loop->signals) {
		struct signal_watch *w = container_of(at, struct signal_watch, link);

		loop_fd_remove(w->watch);
		close(w->fd);
		free(w);
	}
	pthread_mutex_lock(&loop->lock);
	pthread_mutex_unlock(&loop->lock);
	loop_fd_remove(loop->wake_watch);
	close(loop->wake_fd);
	pthread_mutex_destroy(&loop->lock);
	g_main_context_unref(loop->context);
	free(loop);
}

void loop_step(struct loop *loop, bool wait)
{
	g_main_context_iteration(loop->context, wait);
	counter_add(&loop->turns, 1);
}

void loop_run(struct loop *loop)
{
	while (!atomic_exchange(&loop->quit, false))
		loop_step(loop, true);
}

void loop_quit(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	atomic_store(&loop->quit, true);
	wake(loop);
	pthread_mutex_unlock(&loop->lock);
}

uint64_t loop_turns(const struct loop *loop)
{
	return counter_get(&loop->turns);
}
