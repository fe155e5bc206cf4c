/*
 * The tap's own thread: takes the rings in the order of time, gives to sessions, and writes to their
 * descriptors. Packets wait a few milliseconds in the rings, so that those of all producers can be put in
 * order.
 */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "tap/internal.h"

#define PATIENCE                                                                                             \
	(2 * NS_PER_MS) /* longer than a producer is between the packet's time and its place in the ring */
#define TURN_MS	  2
#define AGE_MS	  1000 /* between looks at what is too old to be kept, and who no longer reads */
#define BATCH	  512  /* entries while the lock is held */
#define POLLS_MAX (TAP_SLOTS + TAP_DUMPS + 1)

void tap_kick(struct tap *t)
{
	uint64_t one = 1;

	while (write(t->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void tap_wake(struct tap *t)
{
	if (atomic_load(&t->sleeping) && atomic_exchange(&t->sleeping, false))
		tap_kick(t);
}

static void give(struct tap *t, unsigned producer, const struct tap_entry *e, uint64_t at, uint64_t now)
{
	uint64_t number = e->kind == TAP_RECORD_PACKET ? ++t->number : 0;

	list_for_each (pos, &t->sessions) {
		struct tap_session *s = container_of(pos, struct tap_session, link);

		/* What was for an earlier session in the same place is not for this one. */
		if (s->slot != TAP_SLOTS && e->sessions >> s->slot & 1 && at >= s->from[producer])
			tap_session_take(s, e, number, now);
	}
}

/* The oldest entry of all rings; NULL: none is older than `until`. */
static struct tap_entry *oldest(struct tap *t, uint64_t until, unsigned *producer, uint64_t *at)
{
	struct tap_entry *best = NULL;

	for (unsigned i = 0; i < t->count; i++) {
		uint64_t place;
		struct tap_entry *e = tap_ring_peek(&t->producers[i].ring, &place);

		if (!e || e->order > until || (best && best->order <= e->order))
			continue;
		best = e;
		*producer = i;
		*at = place;
	}
	return best;
}

static unsigned deliver(struct tap *t, uint64_t until, uint64_t now)
{
	struct tap_entry *e;
	unsigned n = 0, producer = 0;
	uint64_t at = 0;

	while (n < BATCH && (e = oldest(t, until, &producer, &at))) {
		give(t, producer, e, at, now);
		if (e->kind == TAP_RECORD_KEYS)
			explicit_bzero(e->data, e->captured);
		tap_ring_pop(&t->producers[producer].ring, e);
		n++;
	}
	return n;
}

static bool rings_empty(const struct tap *t)
{
	for (unsigned i = 0; i < t->count; i++)
		if (!tap_ring_empty(&t->producers[i].ring))
			return false;
	return true;
}

/* ---- waiting ---- */

struct watch {
	struct pollfd polls[POLLS_MAX];
	uint64_t serials[POLLS_MAX];
	nfds_t count;
	bool aging; /* something grows old by itself */
};

static void watch_sessions(struct tap *t, struct watch *w)
{
	w->polls[0] = (struct pollfd){.fd = t->wake_fd, .events = POLLIN};
	w->count = 1;
	w->aging = false;
	list_for_each (pos, &t->sessions) {
		const struct tap_session *s = container_of(pos, struct tap_session, link);

		w->aging |= s->kind == TAP_KEEP && !list_empty(&s->buffer.pieces);
		w->aging |= s->kind == TAP_DUMP && !s->ended;
		if (s->ended || s->fd < 0 || w->count == POLLS_MAX)
			continue;
		w->serials[w->count] = s->serial;
		w->polls[w->count++] = (struct pollfd){
			.fd = s->fd, .events = (short)(POLLRDHUP | (tap_session_owes(s) ? POLLOUT : 0))};
	}
}

static void take_ends(struct tap *t, const struct watch *w)
{
	for (nfds_t i = 1; i < w->count; i++) {
		if (!(w->polls[i].revents & (POLLERR | POLLHUP | POLLNVAL | POLLRDHUP)))
			continue;
		list_for_each (pos, &t->sessions) {
			struct tap_session *s = container_of(pos, struct tap_session, link);

			if (s->serial == w->serials[i])
				tap_session_end(s);
		}
	}
}

static void wait_for_more(struct tap *t, struct watch *w, bool full)
{
	int timeout = full ? 0 : TURN_MS;
	uint64_t count;

	if (!full && rings_empty(t)) {
		atomic_store(&t->sleeping, true);
		if (rings_empty(t) && !atomic_load(&t->stop))
			timeout = w->aging ? AGE_MS : -1;
	}
	poll(w->polls, w->count, timeout);
	atomic_store(&t->sleeping, false);
	if (w->polls[0].revents & POLLIN)
		while (read(t->wake_fd, &count, sizeof(count)) < 0 && errno == EINTR)
			;
}

static void *tap_main(void *arg)
{
	struct tap *t = arg;
	struct watch w = {.count = 0};
	bool last = false;

	prctl(PR_SET_NAME, "weir-tap", 0, 0, 0);
	for (;;) {
		uint64_t now = clock_boot_ns();
		unsigned n;

		pthread_mutex_lock(&t->lock);
		take_ends(t, &w);
		n = deliver(t, last ? UINT64_MAX : now - PATIENCE, now);
		list_for_each (pos, &t->sessions)
			tap_session_serve(container_of(pos, struct tap_session, link), now);
		watch_sessions(t, &w);
		pthread_mutex_unlock(&t->lock);
		/* A lock that is taken again at once is never had by those who wait for it. */
		while (atomic_load(&t->waiting))
			sched_yield();
		if (last && n < BATCH)
			return NULL;
		last = atomic_load(&t->stop);
		if (!last)
			wait_for_more(t, &w, n == BATCH);
	}
}

int tap_thread_start(struct tap *t)
{
	sigset_t all, old;
	int r;

	if (t->running)
		return 0;
	atomic_store(&t->stop, false);
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&t->thread, NULL, tap_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	t->running = !r;
	return r;
}

void tap_thread_stop(struct tap *t)
{
	if (!t->running)
		return;
	atomic_store(&t->stop, true);
	tap_kick(t);
	pthread_join(t->thread, NULL);
	t->running = false;
}
