/* The tap's two doors: that of producers, where filters run, and that of the control thread, which opens
 * sessions. */
#include "tap/tap.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "tap/internal.h"

#define ALL_POINTS   ((1u << TAP_POINTS) - 1)
#define STREAM_BYTES (16u << 20)
#define FILTER_BYTES 256
#define KEEP_LEAST   (2 * (size_t)TAP_CHUNK)
#define PATIENCE     (30 * NS_PER_SEC)

/* ---- producers ---- */

/* One writer: no need for an atomic addition. */
static void bump(counter_t *c)
{
	counter_set(c, counter_get(c) + 1);
}

static bool take_token(struct tap_session *s)
{
	return !s->options.rate || atomic_fetch_sub_explicit(&s->tokens, 1, memory_order_relaxed) > 0;
}

/* The sessions that want it, as bits, and how many of its bytes. */
static unsigned who_wants(struct tap *t, struct tap_producer *p, const struct tap_meta *m, const void *data,
			  size_t len, size_t *most)
{
	unsigned found = 0, active = atomic_load(&t->active);

	for (unsigned left = active; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		struct tap_session *s = atomic_load(&t->slots[i]);

		if (!s || !(s->options.points >> m->point & 1))
			continue;
		bump(&p->seen[i]);
		if (s->options.filter && !tap_filter_match(s->options.filter, m, data, len))
			continue;
		bump(&p->matched[i]);
		if (!take_token(s)) {
			bump(&p->lost[i]);
			tap_wake(t); /* who sleeps fills no bucket */
			continue;
		}
		found |= 1u << i;
		if (s->options.snaplen > *most)
			*most = s->options.snaplen;
	}
	return found;
}

static void put_entry(struct tap *t, struct tap_producer *p, unsigned sessions, enum tap_record_kind kind,
		      const struct tap_meta *m, const void *data, size_t len)
{
	struct tap_entry *e = tap_ring_reserve(&p->ring, len);

	if (!e) {
		for (unsigned left = sessions; left; left &= left - 1)
			bump(&p->lost[__builtin_ctz(left)]);
		return;
	}
	e->sessions = (uint16_t)sessions;
	e->kind = (uint16_t)kind;
	e->order = clock_boot_ns();
	e->captured = (uint32_t)len;
	e->meta = *m;
	if (!e->meta.at)
		e->meta.at = clock_wall_ns();
	memcpy(e->data, data, len);
	tap_ring_commit(&p->ring);
	tap_wake(t);
}

void tap_enter(struct tap *t, unsigned producer)
{
	struct tap_producer *p = &t->producers[producer];

	/* Before the look at the sessions, for all: who ends one waits until nobody looks at it. */
	if (!p->depth++)
		atomic_store(&p->inside, true);
}

void tap_leave(struct tap *t, unsigned producer)
{
	struct tap_producer *p = &t->producers[producer];

	if (!--p->depth)
		atomic_store_explicit(&p->inside, false, memory_order_release);
}

bool tap_may_want(struct tap *t, unsigned producer, const struct tap_meta *m, const void *data, size_t len)
{
	struct tap_producer *p = &t->producers[producer];
	unsigned seen = 0;
	bool wanted = false;

	tap_enter(t, producer);
	for (unsigned left = atomic_load(&t->active); left && !wanted; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		struct tap_session *s = atomic_load(&t->slots[i]);

		if (!s || !(s->options.points >> m->point & 1))
			continue;
		seen |= 1u << i;
		wanted = !s->early || tap_filter_match(s->options.filter, m, data, len);
	}
	for (; seen && !wanted; seen &= seen - 1)
		bump(&p->seen[__builtin_ctz(seen)]);
	tap_leave(t, producer);
	return wanted;
}

void tap_put(struct tap *t, unsigned producer, const struct tap_meta *m, const void *data, size_t len)
{
	struct tap_producer *p = &t->producers[producer];
	size_t most = 0;
	unsigned sessions;

	tap_enter(t, producer);
	sessions = who_wants(t, p, m, data, len, &most);
	if (sessions)
		put_entry(t, p, sessions, TAP_RECORD_PACKET, m, data, len < most ? len : most);
	tap_leave(t, producer);
}

void tap_put_keys(struct tap *t, unsigned producer, const struct key *peer, const char *lines, size_t len)
{
	struct tap_producer *p = &t->producers[producer];
	struct tap_meta m = {.has_peer = true, .peer = *peer};
	unsigned sessions = 0;

	tap_enter(t, producer);
	for (unsigned left = atomic_load(&t->active); left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);
		struct tap_session *s = atomic_load(&t->slots[i]);

		sessions |=
			s && s->options.keys && tap_filter_may_mean(s->options.filter, peer) ? 1u << i : 0;
	}
	if (sessions)
		put_entry(t, p, sessions, TAP_RECORD_KEYS, &m, lines, len);
	tap_leave(t, producer);
}

/* With three answers: NO, MAYBE for all that is no peer's name, YES. */
bool tap_filter_may_mean(const struct tap_filter *f, const struct key *peer)
{
	enum { NO, MAYBE, YES };
	uint8_t stack[TAP_NODES_MAX];
	unsigned top = 0;

	for (unsigned i = 0; f && i < f->count; i++) {
		const struct tap_node *n = &f->nodes[i];
		bool joins = n->kind == TAP_NODE_AND || n->kind == TAP_NODE_OR;
		uint8_t a = top ? stack[top - 1] : MAYBE, b = joins && top > 1 ? stack[top - 2] : MAYBE;

		if (n->kind == TAP_NODE_NOT && top)
			stack[top - 1] = (uint8_t)(YES - a);
		else if (joins && top > 1)
			stack[--top - 1] = (n->kind == TAP_NODE_AND) == (a < b) ? a : b;
		else
			stack[top++] = n->kind != TAP_NODE_PEER ? MAYBE : key_equal(&n->key, peer) ? YES : NO;
	}
	return !top || stack[0] != NO;
}

/* ---- the control thread ---- */

static void lock(struct tap *t)
{
	atomic_fetch_add(&t->waiting, 1);
	pthread_mutex_lock(&t->lock);
	atomic_fetch_sub(&t->waiting, 1);
}

static void unlock(struct tap *t)
{
	pthread_mutex_unlock(&t->lock);
}

static void want_points(struct tap *t)
{
	unsigned points = 0, bytes = 0;
	bool keys = false;

	lock(t);
	for (unsigned i = 0; i < TAP_SLOTS; i++) {
		const struct tap_session *s = atomic_load(&t->slots[i]);

		if (!s || s->ended)
			continue;
		points |= s->options.points;
		keys |= s->options.keys;
		if (s->options.snaplen > bytes)
			bytes = s->options.snaplen;
	}
	unlock(t);
	/* What filters look at (tap/filter.c). */
	atomic_store(&t->wanted.bytes, bytes < FILTER_BYTES ? FILTER_BYTES : bytes);
	atomic_store(&t->wanted.keys, keys);
	atomic_store(&t->wanted.points, points);
}

struct tap *tap_new(unsigned producers)
{
	struct tap *t = xcalloc(1, sizeof(*t));

	t->count = producers;
	t->producers = xcalloc_aligned(64, producers * sizeof(*t->producers));
	t->wake_fd = -1;
	t->patience = PATIENCE;
	list_init(&t->sessions);
	pthread_mutex_init(&t->lock, NULL);
	return t;
}

struct tap_switch *tap_get_switch(struct tap *t)
{
	return &t->wanted;
}

void tap_on_end(struct tap *t, void (*fn)(void *arg), void *arg)
{
	t->on_end = fn;
	t->on_end_arg = arg;
}

static int set_up(struct tap *t, struct error *e)
{
	int r;

	if (t->wake_fd < 0)
		t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (t->wake_fd < 0)
		return error_set(e, errno, "the tap cannot make an eventfd: %s", strerror(errno));
	for (unsigned i = 0; i < t->count && !t->rings; i++)
		tap_ring_init(&t->producers[i].ring, TAP_RING_SIZE);
	t->rings = true;
	r = tap_thread_start(t);
	return r ? error_set(e, -r, "the tap cannot start its thread: %s", strerror(-r)) : 0;
}

static unsigned free_slot(const struct tap *t)
{
	unsigned i = 0;

	while (i < TAP_SESSIONS && atomic_load(&t->slots[i]))
		i++;
	return i;
}

static bool is_early(const struct tap_filter *f)
{
	for (unsigned i = 0; f && i < f->count; i++)
		if (f->nodes[i].kind == TAP_NODE_PEER || f->nodes[i].kind == TAP_NODE_DROPPED)
			return false;
	return f != NULL;
}

static struct tap_session *session_new(struct tap *t, enum tap_session_kind kind, const struct tap_options *o,
				       size_t bytes)
{
	struct tap_session *s = xcalloc(1, sizeof(*s));

	s->tap = t;
	s->kind = kind;
	s->slot = TAP_SLOTS;
	s->fd = -1;
	s->options = *o;
	if (!(s->options.points & ALL_POINTS))
		s->options.points = ALL_POINTS;
	if (!s->options.snaplen || s->options.snaplen > TAP_SNAPLEN_MAX)
		s->options.snaplen = TAP_SNAPLEN_MAX;
	s->tokens = s->options.rate;
	s->refilled = s->moved = clock_boot_ns();
	s->from = xcalloc(t->count, sizeof(*s->from));
	s->early = is_early(o->filter);
	list_init(&s->link);
	tap_buffer_init(&s->buffer, bytes < KEEP_LEAST ? KEEP_LEAST : bytes);
	return s;
}

static void set_preface(struct tap_session *s, const void *bytes, size_t len)
{
	s->preface = xmalloc(len + 1);
	if (len)
		memcpy(s->preface, bytes, len);
	s->preface_len = len;
}

/* From here on packets come to it. */
static void session_begin(struct tap_session *s, unsigned slot)
{
	struct tap *t = s->tap;

	lock(t);
	s->serial = ++t->serial;
	s->slot = slot;
	if (slot != TAP_SLOTS) {
		tap_session_base(s);
		for (unsigned i = 0; i < t->count; i++)
			s->from[i] = atomic_load(&t->producers[i].ring.head);
		atomic_store(&t->slots[slot], s);
		atomic_fetch_or(&t->active, 1u << slot);
	}
	list_append(&t->sessions, &s->link);
	unlock(t);
	want_points(t);
	tap_kick(t); /* it may have something to write at once, and its descriptor is to be watched */
}

/* Until no producer looks at what was just taken out of its slot. They are inside for microseconds. */
static void wait_for_producers(struct tap *t)
{
	for (unsigned i = 0; i < t->count; i++)
		while (atomic_load(&t->producers[i].inside))
			sched_yield();
}

static void session_close(struct tap_session *s)
{
	struct tap *t = s->tap;

	if (s->slot != TAP_SLOTS) {
		atomic_fetch_and(&t->active, ~(1u << s->slot));
		atomic_store(&t->slots[s->slot], NULL);
		want_points(t);
		wait_for_producers(t);
	}
	lock(t);
	tap_session_free(s);
	unlock(t);
}

static void rest(struct tap *t)
{
	if (list_empty(&t->sessions))
		tap_thread_stop(t);
}

void tap_close(struct tap_session *s)
{
	struct tap *t = s->tap;

	session_close(s);
	rest(t);
}

void tap_reap(struct tap *t)
{
	struct tap_session *gone;

	do {
		gone = NULL;
		lock(t);
		list_for_each (pos, &t->sessions) {
			struct tap_session *s = container_of(pos, struct tap_session, link);

			if (s->ended)
				gone = s;
		}
		unlock(t);
		if (gone)
			session_close(gone);
	} while (gone);
	rest(t);
}

void tap_free(struct tap *t)
{
	if (!t)
		return;
	/* What is in the rings goes to those who read fast enough. */
	tap_thread_stop(t);
	list_for_each_safe (pos, &t->sessions)
		session_close(container_of(pos, struct tap_session, link));
	for (unsigned i = 0; i < t->count; i++)
		tap_ring_clear(&t->producers[i].ring);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	pthread_mutex_destroy(&t->lock);
	free(t->producers);
	free(t);
}

static int may_open(struct tap *t, unsigned *slot, struct error *e)
{
	*slot = free_slot(t);
	if (*slot == TAP_SESSIONS)
		return error_set(
			e, EBUSY,
			"%d taps are open already: close one (weir capture, or a dashboard's packets)",
			TAP_SESSIONS);
	return set_up(t, e);
}

struct tap_session *tap_open_stream(struct tap *t, const struct tap_options *o, int fd, struct error *e)
{
	struct tap_session *s;
	unsigned slot;
	int r = may_open(t, &slot, e);

	if (!r && (r = fd_set_nonblocking(fd)))
		error_set(e, -r, "the tap cannot use this connection: %s", strerror(-r));
	if (r) {
		tap_filter_free(o->filter);
		close(fd);
		rest(t);
		return NULL;
	}
	s = session_new(t, TAP_STREAM, o, STREAM_BYTES);
	s->fd = fd;
	set_preface(s, o->preface, o->preface_len);
	session_begin(s, slot);
	return s;
}

struct tap_session *tap_open_queue(struct tap *t, const struct tap_options *o, size_t bytes,
				   void (*ready)(void *arg), void *arg, struct error *e)
{
	struct tap_session *s;
	unsigned slot;

	if (may_open(t, &slot, e)) {
		tap_filter_free(o->filter);
		return NULL;
	}
	s = session_new(t, TAP_QUEUE, o, bytes);
	s->ready = ready;
	s->arg = arg;
	session_begin(s, slot);
	return s;
}

static size_t whole_record(const uint8_t *p)
{
	return (size_t)p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
}

size_t tap_read(struct tap_session *s, uint8_t *buf, size_t size)
{
	const uint8_t *front;
	size_t used = 0, len;

	lock(s->tap);
	while ((len = tap_buffer_front(&s->buffer, &front))) {
		size_t n = whole_record(front);

		if (n > size - used)
			break;
		memcpy(buf + used, front, n);
		used += n;
		tap_buffer_consume(&s->buffer, n);
	}
	/* What is left is read again before anybody waits. */
	s->told = len > 0;
	unlock(s->tap);
	return used;
}

unsigned tap_sessions(const struct tap *t)
{
	return (unsigned)__builtin_popcount(atomic_load(&t->active) & ~(1u << TAP_KEEP_SLOT));
}

void tap_look(struct tap *t, struct tap_counts *out)
{
	*out = (struct tap_counts){0};
	lock(t);
	list_for_each (pos, &t->sessions) {
		struct tap_counts c;

		tap_session_counts(container_of(pos, struct tap_session, link), &c);
		out->seen += c.seen;
		out->matched += c.matched;
		out->lost += c.lost;
	}
	unlock(t);
}

/* ---- the ring of the past ---- */

static struct tap_session *keeper(const struct tap *t)
{
	return atomic_load(&t->slots[TAP_KEEP_SLOT]);
}

int tap_keep(struct tap *t, const struct tap_options *o, uint64_t ns, size_t bytes, struct error *e)
{
	struct tap_session *old = keeper(t), *s;
	int r = set_up(t, e);

	if (r) {
		tap_filter_free(o->filter);
		rest(t);
		return r;
	}
	s = session_new(t, TAP_KEEP, o, bytes);
	s->keep_ns = ns;
	if (old) {
		lock(t);
		tap_buffer_share(&s->buffer, &old->buffer);
		unlock(t);
		session_close(old);
	}
	session_begin(s, TAP_KEEP_SLOT);
	return 0;
}

void tap_keep_off(struct tap *t)
{
	if (keeper(t))
		tap_close(keeper(t));
}

bool tap_keeps(const struct tap *t, uint64_t *ns, size_t *used, uint64_t *oldest_wall)
{
	struct tap_session *s = keeper(t);
	enum tap_record_kind kind;
	const uint8_t *front, *data;
	size_t len, captured;
	struct tap_meta m;

	if (!s)
		return false;
	*ns = s->keep_ns;
	*oldest_wall = 0;
	lock(s->tap);
	*used = s->buffer.bytes;
	len = tap_buffer_front(&s->buffer, &front);
	if (len && tap_record_decode(front, len, &kind, &m, &data, &captured) > 0)
		*oldest_wall = m.at;
	unlock(s->tap);
	return true;
}

void tap_keep_patience(struct tap *t, uint64_t ns)
{
	lock(t);
	t->patience = ns;
	unlock(t);
}

uint64_t tap_keep_stalled(const struct tap *t)
{
	return counter_get(&t->stalled);
}

/* A reader that stands still holds all that was kept when it came, however much has come since. */
static bool may_dump(struct tap *t)
{
	unsigned dumps = 0;

	lock(t);
	list_for_each (pos, &t->sessions) {
		const struct tap_session *s = container_of(pos, struct tap_session, link);

		dumps += s->kind == TAP_DUMP && !s->ended;
	}
	unlock(t);
	return dumps < TAP_DUMPS;
}

static int may_send(struct tap *t, int fd, struct error *e)
{
	int r;

	if (!keeper(t))
		return error_set(e, ENOENT, "nothing is being kept: arm it first (keep)");
	if (!may_dump(t))
		return error_set(e, EBUSY, "%d clients are reading what was kept already: end one of them",
				 TAP_DUMPS);
	r = fd_set_nonblocking(fd);
	return r ? error_set(e, -r, "the tap cannot use this connection: %s", strerror(-r)) : 0;
}

int tap_keep_send(struct tap *t, int fd, uint64_t ns, const void *preface, size_t preface_len,
		  struct error *e)
{
	struct tap_session *from = keeper(t), *s;
	uint64_t now = clock_wall_ns();
	int r = may_send(t, fd, e);

	if (r) {
		close(fd);
		return r;
	}
	s = session_new(t, TAP_DUMP, &(struct tap_options){0}, SIZE_MAX);
	s->fd = fd;
	s->skip_before = ns && ns < now ? now - ns : 0;
	set_preface(s, preface, preface_len);
	lock(t);
	tap_buffer_share(&s->buffer, &from->buffer);
	/* Of the time that it was armed: what is missing is told before the end. */
	s->lost = from->lost;
	for (unsigned i = 0; i < t->count; i++)
		s->lost += counter_get(&t->producers[i].lost[TAP_KEEP_SLOT]);
	s->lost -= from->base.lost;
	unlock(t);
	session_begin(s, TAP_SLOTS);
	return 0;
}
