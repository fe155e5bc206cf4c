/*
 * The table of channels, and what comes in by them. A slot of the table is used again when its channel is
 * gone, with another generation in the upper half of the id; slots wait in a queue, so that one comes back as
 * late as possible.
 *
 * Bulk data goes to a worker without touching the control thread: from a SOCKET by the worker's epoll, else
 * by its inbox. What is for the control thread waits in boxes, one for each kind of sender, so that none of
 * them can starve another.
 */
#include "engine/channel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/epoch.h"
#include "base/xalloc.h"
#include "engine/tap_hooks.h"
#include "signal/signal.h"
#include "wg/messages.h"

#define SLOTS	  65536 /* 0 stands for none */
#define SLOT(id)  ((id) & (SLOTS - 1))
#define PAIR_BITS 18 /* of a pair's id: with 10,000 pairs, 4 of 100 ids that are guessed look known */

struct slot {
	_Atomic(struct channel *) channel;
	uint16_t generation;
	uint16_t next_free;
};

struct channel_table {
	unsigned touched;     /* slots from here on were never used */
	uint16_t first, last; /* queue of free slots, 0: empty */
	struct list sockets;
	struct box frames, delivered, strays, out;
	struct box unknown; /* frames of no pair of ours: enough to say that there are some */
	_Atomic uint8_t pairs[(1 << PAIR_BITS) / 8];
	counter_t strangers;	  /* delivered, but neither WireGuard nor a frame */
	struct slot slots[SLOTS]; /* last: pages that are never used take no memory */
};

struct channel_table *channel_table_new(void)
{
	struct channel_table *t = xcalloc(1, sizeof(*t));

	t->touched = 1;
	list_init(&t->sockets);
	box_init(&t->frames, 256 * 1024, 256);
	box_init(&t->unknown, 32 * 1024, 16);
	box_init(&t->delivered, 256 * 1024, 256);
	box_init(&t->strays, 128 * 1024, 128);
	box_init(&t->out, 1024 * 1024, 1024);
	return t;
}

void channel_table_free(struct engine *g)
{
	struct channel_table *t = g->channels;

	if (!t)
		return;
	for (unsigned i = 1; i < t->touched; i++) {
		struct channel *c = atomic_load_explicit(&t->slots[i].channel, memory_order_relaxed);

		if (c)
			channel_close(c);
	}
	/* Nobody is inside: the first advances the epoch, the second frees. */
	while (epoch_reclaim(wg_epoch(g->wg)))
		;
	box_clear(&t->frames);
	box_clear(&t->unknown);
	box_clear(&t->delivered);
	box_clear(&t->strays);
	box_clear(&t->out);
	g->channels = NULL;
	free(t);
}

/* 0: none is left. */
static unsigned take_slot(struct channel_table *t)
{
	unsigned slot = t->first;

	if (!slot)
		return t->touched < SLOTS ? t->touched++ : 0;
	t->first = t->slots[slot].next_free;
	if (!t->first)
		t->last = 0;
	return slot;
}

static void give_slot(struct channel_table *t, unsigned slot)
{
	t->slots[slot].next_free = 0;
	if (t->last)
		t->slots[t->last].next_free = (uint16_t)slot;
	else
		t->first = (uint16_t)slot;
	t->last = (uint16_t)slot;
}

/* A channel stays with one worker, so that its packets keep their order. */
static struct worker *worker_of(struct engine *g, uint32_t id)
{
	return g->workers[SLOT(id) % g->worker_count];
}

struct channel *channel_open(struct engine *g, const struct channel *from)
{
	struct channel_table *t = g->channels;
	unsigned slot = take_slot(t);
	struct channel *c;

	if (!slot)
		return NULL;
	c = xmalloc(sizeof(*c));
	memcpy(c, from, sizeof(*c)); /* not an assignment: it holds atomics */
	c->engine = g;
	c->id = (uint32_t)++t->slots[slot].generation << 16 | slot;
	list_init(&c->link);
	atomic_store_explicit(&t->slots[slot].channel, c, memory_order_release);
	if (c->kind != CHANNEL_SOCKET)
		return c;
	list_append(&t->sockets, &c->link);
	/* A worker that does not run takes it up when it starts. An error here leaves a channel that sends
	 * only. */
	if (g->up && worker_watch(worker_of(g, c->id), c->fd, c->id))
		log_warn("engine", "cannot watch the socket of a path: %s", strerror(errno));
	return c;
}

static void channel_gone(void *ptr)
{
	struct channel *c = ptr;

	if (c->closed)
		c->closed(c->arg);
	free(c);
}

void channel_close(struct channel *c)
{
	struct engine *g = c->engine;
	struct channel_table *t = g->channels;

	atomic_store_explicit(&t->slots[SLOT(c->id)].channel, NULL, memory_order_release);
	give_slot(t, SLOT(c->id));
	/* An event that epoll has told already finds no channel. */
	if (c->kind == CHANNEL_SOCKET && g->up)
		epoll_ctl(worker_of(g, c->id)->epoll, EPOLL_CTL_DEL, c->fd, NULL);
	list_remove(&c->link);
	epoch_retire(wg_epoch(g->wg), c, channel_gone);
	engine_kick(g);
}

struct channel *channel_find(struct engine *g, uint32_t id)
{
	struct channel *c = atomic_load_explicit(&g->channels->slots[SLOT(id)].channel, memory_order_acquire);

	return c && c->id == id ? c : NULL;
}

struct endpoint channel_endpoint(const struct channel *c)
{
	struct endpoint e = {.via = c->id};

	if (c->kind == CHANNEL_SOCKET)
		e.remote = c->remote;
	return e;
}

struct engine_peer *channel_peer(struct engine *g, uint32_t id)
{
	struct channel *c = channel_find(g, id);

	return c ? c->peer : NULL;
}

const char *channel_way(struct engine *g, uint32_t id)
{
	struct channel *c = channel_find(g, id);

	return c && c->kind == CHANNEL_RELAY ? "the relay" : "an ICE path";
}

int channels_watch(struct worker *w)
{
	struct engine *g = w->engine;

	list_for_each (pos, &g->channels->sockets) {
		struct channel *c = container_of(pos, struct channel, link);
		int r = worker_of(g, c->id) == w ? worker_watch(w, c->fd, c->id) : 0;

		if (r)
			return r;
	}
	return 0;
}

/* ---- what comes in ---- */

static bool put(struct engine *g, struct box *b, const struct endpoint *from, const void *data, size_t len)
{
	enum box_put r = box_put(b, from, data, len);

	if (r == BOX_FIRST)
		worker_wake_control(g);
	return r != BOX_FULL;
}

/* Ids of pairs are as good as random, and known to both ends alone (signal/seal.c). */
static unsigned pair_bit(const uint8_t id[SIGNAL_PAIR_LEN])
{
	return (id[0] | (unsigned)id[1] << 8 | (unsigned)id[2] << 16) & ((1 << PAIR_BITS) - 1);
}

void channel_expect(struct engine *g, const uint8_t id[SIGNAL_PAIR_LEN])
{
	unsigned bit = pair_bit(id);

	atomic_fetch_or_explicit(&g->channels->pairs[bit / 8], (uint8_t)(1 << bit % 8), memory_order_relaxed);
}

void channel_expect_nobody(struct engine *g)
{
	for (size_t i = 0; i < sizeof(g->channels->pairs); i++)
		atomic_store_explicit(&g->channels->pairs[i], 0, memory_order_relaxed);
}

/* A flood of frames that a stranger makes up fills a small box of its own, not that of our peers' frames. */
static struct box *box_of_frame(struct channel_table *t, const uint8_t *data, size_t len)
{
	uint8_t id[SIGNAL_PAIR_LEN];
	unsigned bit;

	if (!signal_frame_pair(data, len, id))
		return &t->unknown;
	bit = pair_bit(id);
	return atomic_load_explicit(&t->pairs[bit / 8], memory_order_relaxed) >> bit % 8 & 1 ? &t->frames
											     : &t->unknown;
}

bool channel_take_other(struct worker *w, const struct endpoint *from, const uint8_t *data, size_t len)
{
	struct engine *g = w->engine;
	struct channel_table *t = g->channels;

	if (signal_is_frame(data, len)) {
		if (len > FRAME_BY_SOCKET)
			tap_refused(g, w->id, from, data, len, TAP_DROP_malformed);
		else if (!put(g, box_of_frame(t, data, len), from, data, len))
			tap_refused(g, w->id, from, data, len, TAP_DROP_queue_full);
		return true;
	}
	if (!from->via)
		return false;
	if (len <= FRAME_BY_SOCKET)
		put(g, &t->strays, from, data, len);
	return true;
}

static bool is_wireguard(const uint8_t *data, size_t len)
{
	return len >= DATA_OVERHEAD && data[0] >= MESSAGE_INITIATION && data[0] <= MESSAGE_DATA && !data[1] &&
	       !data[2] && !data[3];
}

void channel_deliver(struct engine *g, uint32_t id, const uint8_t *data, size_t len)
{
	struct endpoint from = {.via = id};

	if (is_wireguard(data, len)) {
		struct worker *w = worker_of(g, id);
		uint64_t one = 1;

		enum box_put r = box_put(&w->inbox, &from, data, len);

		if (r == BOX_FULL)
			tap_refused(g, tap_producer_here(g), &from, data, len, TAP_DROP_queue_full);
		if (r != BOX_FIRST)
			return;
		while (write(w->inbox_fd, &one, sizeof(one)) < 0 && errno == EINTR)
			;
	} else if (signal_is_frame(data, len)) {
		if (!put(g, &g->channels->delivered, &from, data, len))
			tap_refused(g, tap_producer_here(g), &from, data, len, TAP_DROP_queue_full);
	} else {
		counter_add(&g->channels->strangers, 1);
		tap_refused(g, tap_producer_here(g), &from, data, len, TAP_DROP_malformed);
	}
}

/* ---- control's turn ---- */

static void serve_frames(struct engine *g, struct box *b)
{
	struct box_item *item;

	box_take(b);
	while ((item = box_next(b)))
		if (g->on_frame)
			g->on_frame(g, &item->from, item->data, item->len);
}

static void serve_strays(struct engine *g, struct box *b)
{
	struct box_item *item;

	box_take(b);
	while ((item = box_next(b))) {
		struct channel *c = channel_find(g, item->from.via);

		if (c && c->stray)
			c->stray(c->arg, &item->from, item->data, item->len);
	}
}

static void serve_out(struct engine *g, struct box *b)
{
	struct box_item *item;

	box_take(b);
	while ((item = box_next(b))) {
		struct channel *c = channel_find(g, item->from.via);

		if (c && c->send)
			c->send(c->arg, item->data, item->len);
	}
}

void channels_serve(struct engine *g)
{
	struct channel_table *t = g->channels;

	serve_out(g, &t->out);
	serve_frames(g, &t->delivered);
	serve_frames(g, &t->frames);
	serve_frames(g, &t->unknown);
	serve_strays(g, &t->strays);
	news_serve(g);
}

bool channel_put_out(struct channel *c, const void *data, size_t len)
{
	struct endpoint to = {.via = c->id};

	return put(c->engine, &c->engine->channels->out, &to, data, len);
}
