/* The life of a worker: thread, epoll loop, and the ring that carries handshake messages to the control
 * thread. */
#include "engine/worker.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/xalloc.h"
#include "engine/internal.h"
#include "wg/messages.h"

#define EVENTS	   16
#define INBOX_SIZE (1024 * 1024) /* about as much as a socket's buffer holds */
#define INBOX_MOST 2048

const struct handshake_slot *handshake_peek(struct handshake_ring *r, unsigned *waiting)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	*waiting = head - tail;
	return head == tail ? NULL : &r->slots[tail % HANDSHAKE_RING];
}

void handshake_pop(struct handshake_ring *r)
{
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
}

void worker_wake_control(struct engine *g)
{
	uint64_t one = 1;

	if (atomic_load_explicit(&g->woken, memory_order_seq_cst) || atomic_exchange(&g->woken, true))
		return;
	/* The counter cannot overflow: the flag lets one write through per turn. */
	while (write(g->wake_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

struct worker *worker_new(struct engine *g, unsigned id)
{
	struct worker *w = NULL;

	if (posix_memalign((void **)&w, 64, sizeof(*w)))
		abort();
	memset(w, 0, sizeof(*w));
	w->engine = g;
	w->id = id;
	w->tun_queue = id % g->tun.queues;
	w->reads_tun = id < g->tun.queues;
	w->epoll = w->stop_fd = -1;
	w->reader = epoch_reader_add(wg_epoch(g->wg));
	w->ring.slots = xcalloc(HANDSHAKE_RING, sizeof(*w->ring.slots));
	w->aead = aead_new();
	w->receiver = udp_receiver_new(IN_BATCH);
	w->coalescer = coalescer_new(&g->tun, w->tun_queue);
	w->packet = xmalloc(TUN_READ_MAX);
	box_init(&w->inbox, INBOX_SIZE, INBOX_MOST);
	w->inbox_fd = -1;
	w->arena = xmalloc(OUT_ARENA + PADDING_MULTIPLE); /* should the MTU change between two looks at it */
	return w;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	aead_free(w->aead);
	udp_receiver_free(w->receiver);
	coalescer_free(w->coalescer);
	box_clear(&w->inbox);
	if (w->inbox_fd >= 0)
		close(w->inbox_fd);
	free(w->tap_bytes);
	free(w->packet);
	free(w->ring.slots);
	free(w->arena);
	free(w);
}

/* The upper half of what epoll keeps for an fd is its channel. */
static void serve_event(struct worker *w, uint64_t data, uint64_t now)
{
	uint32_t via = (uint32_t)(data >> 32);
	int fd = (int)(uint32_t)data;
	struct channel *c;

	if (via) {
		/* By the channel, not by the number: the fd of one that was just closed may be another's by
		 * now. */
		c = channel_find(w->engine, via);
		if (c)
			worker_in(w, c->fd, via, now);
	} else if (fd == w->engine->tun.fds[w->tun_queue]) {
		worker_out(w, now);
	} else if (fd == w->inbox_fd) {
		worker_in_box(w, now);
	} else {
		worker_in(w, fd, 0, now);
	}
}

static void *worker_main(void *arg)
{
	struct worker *w = arg;
	struct engine *g = w->engine;
	struct epoch *epoch = wg_epoch(g->wg);
	char name[16] = "weir-worker0";

	name[11] = (char)('0' + w->id % 10);
	prctl(PR_SET_NAME, name, 0, 0, 0);
	for (;;) {
		struct epoll_event events[EVENTS];
		int n = epoll_wait(w->epoll, events, EVENTS, -1);
		bool stop = false;
		uint64_t now = clock_boot_ns();

		counter_add(&w->turns, 1);
		epoch_enter(epoch, w->reader);
		for (int i = 0; i < n; i++) {
			if (events[i].data.u64 == (uint32_t)w->stop_fd)
				stop = true;
			else
				serve_event(w, events[i].data.u64, now);
		}
		epoch_exit(w->reader);
		counter_add(&w->turns, 1);
		if (stop || atomic_load_explicit(&g->tun_failed, memory_order_relaxed))
			return NULL;
	}
}

bool worker_stands(struct worker *w)
{
	uint64_t turns = counter_get(&w->turns);
	bool same = turns == w->turns_seen;

	w->turns_seen = turns;
	return same && turns % 2;
}

int worker_watch(struct worker *w, int fd, uint32_t via)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = (uint64_t)via << 32 | (uint32_t)fd};

	if (fd < 0)
		return 0;
	return epoll_ctl(w->epoll, EPOLL_CTL_ADD, fd, &ev) ? -errno : 0;
}

int worker_start(struct worker *w)
{
	struct engine *g = w->engine;
	sigset_t all, old;
	int r;

	w->epoll = epoll_create1(EPOLL_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->inbox_fd < 0)
		w->inbox_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->epoll < 0 || w->stop_fd < 0 || w->inbox_fd < 0) {
		r = -errno;
		goto fail;
	}
	r = worker_watch(w, w->stop_fd, 0);
	if (!r && w->reads_tun)
		r = worker_watch(w, g->tun.fds[w->tun_queue], 0);
	if (!r)
		r = worker_watch(w, g->udp.v4[w->id], 0);
	if (!r)
		r = worker_watch(w, g->udp.v6[w->id], 0);
	if (!r)
		r = worker_watch(w, w->inbox_fd, 0);
	if (!r)
		r = channels_watch(w);
	if (r)
		goto fail;
	/* Signals are the control thread's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(&w->thread, NULL, worker_main, w);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		return 0;
fail:
	if (w->epoll >= 0)
		close(w->epoll);
	if (w->stop_fd >= 0)
		close(w->stop_fd);
	w->epoll = w->stop_fd = -1;
	return r;
}

void worker_stop(struct worker *w)
{
	uint64_t one = 1;

	if (w->epoll < 0)
		return;
	while (write(w->stop_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
	pthread_join(w->thread, NULL);
	close(w->epoll);
	close(w->stop_fd);
	w->epoll = w->stop_fd = -1;
}
