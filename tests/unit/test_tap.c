/* The tap: what is put in comes out, in order, to those whose filter it matches; what does not is counted. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "tap/stream.h"
#include "tap/tap.h"
#include "tests/unit/seeded.h"
#include "tests/unit/test.h"

#define PATIENCE (20 * NS_PER_SEC)

static const struct key alice = {.bytes = {1}}, bob = {.bytes = {2}};

static void put(struct tap *t, unsigned producer, enum tap_point point, uint64_t counter, size_t len)
{
	static const uint8_t zeros[2048];
	struct tap_meta m = {.point = (uint8_t)point, .counter = counter, .length = (uint32_t)len};

	tap_put(t, producer, &m, zeros, len);
}

/* ---- a reader ---- */

struct reader {
	int fd;
	uint8_t *bytes;
	size_t len;
	uint64_t packets, lost, last_number, keys;
	uint64_t counters[4096]; /* of the first packets */
	struct tap_meta last;
	size_t last_captured;
	char lines[256];
};

#define READER_ROOM (4u << 20)

static void reader_open(struct reader *r, int *theirs)
{
	int pair[2];

	memset(r, 0, sizeof(*r));
	r->bytes = xmalloc(READER_ROOM);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	r->fd = pair[0];
	fcntl(r->fd, F_SETFL, O_NONBLOCK);
	*theirs = pair[1];
}

static void reader_close(struct reader *r)
{
	close(r->fd);
	free(r->bytes);
}

static void take(struct reader *r, const struct tap_meta *m, enum tap_record_kind kind, const uint8_t *data,
		 size_t captured)
{
	if (kind == TAP_RECORD_LOST) {
		assert_true(m->counter > r->lost);
		r->lost = m->counter;
	} else if (kind == TAP_RECORD_KEYS) {
		assert_true(captured < sizeof(r->lines));
		memcpy(r->lines, data, captured);
		r->keys++;
	} else {
		assert_true(m->number > r->last_number);
		r->last_number = m->number;
		if (r->packets < 4096)
			r->counters[r->packets] = m->counter;
		r->packets++;
		r->last = *m;
		r->last_captured = captured;
	}
}

static void parse(struct reader *r)
{
	enum tap_record_kind kind;
	const uint8_t *data;
	struct tap_meta m;
	size_t captured, at = 0;
	long n;

	while ((n = tap_record_decode(r->bytes + at, r->len - at, &kind, &m, &data, &captured)) > 0) {
		take(r, &m, kind, data, captured);
		at += (size_t)n;
	}
	assert_int_equal(n, 0);
	memmove(r->bytes, r->bytes + at, r->len - at);
	r->len -= at;
}

/* False at the end of the stream. */
static bool read_some(struct reader *r, struct tap_session *queue)
{
	ssize_t n = queue ? (ssize_t)tap_read(queue, r->bytes + r->len, READER_ROOM - r->len)
			  : read(r->fd, r->bytes + r->len, READER_ROOM - r->len);

	if (n > 0)
		r->len += (size_t)n;
	parse(r);
	if (n <= 0)
		usleep(500);
	return n != 0 || queue;
}

static void read_until(struct reader *r, struct tap_session *queue, uint64_t told)
{
	uint64_t end = clock_boot_ns() + PATIENCE;

	while (r->packets + r->lost < told && clock_boot_ns() < end)
		assert_true(read_some(r, queue));
	assert_int_equal(r->packets + r->lost, told);
}

static struct tap_session *stream(struct tap *t, const struct tap_options *o, struct reader *r)
{
	struct tap_session *s;
	struct error e;
	int fd;

	reader_open(r, &fd);
	s = tap_open_stream(t, o, fd, &e);
	assert_non_null(s);
	return s;
}

/* ---- streams ---- */

static void test_order(void **state)
{
	struct tap *t = tap_new(3);
	struct tap_session *s;
	struct reader r;

	(void)state;
	assert_false(tap_wanted(tap_get_switch(t), TAP_WIRE));
	s = stream(t, &(struct tap_options){.points = 1 << TAP_WIRE}, &r);
	assert_true(tap_wanted(tap_get_switch(t), TAP_WIRE));
	assert_false(tap_wanted(tap_get_switch(t), TAP_INNER));
	for (uint64_t i = 0; i < 3000; i++)
		put(t, (unsigned)(i * 7 % 3), TAP_WIRE, i, i % 1500);
	read_until(&r, NULL, 3000);
	assert_int_equal(r.lost, 0);
	for (uint64_t i = 0; i < 3000; i++)
		assert_int_equal(r.counters[i], i);
	assert_int_equal(r.last_number, 3000);
	assert_int_equal(r.last.length, 2999 % 1500);
	assert_true(r.last.at > 0);
	tap_close(s);
	assert_false(tap_wanted(tap_get_switch(t), TAP_WIRE));
	assert_int_equal(tap_sessions(t), 0);
	reader_close(&r);
	tap_free(t);
}

/* The reader reads nothing until all is put: whoever waited for it would wait for ever. */
static void test_stalled_reader(void **state)
{
	const uint64_t count = 60000;
	struct tap *t = tap_new(2);
	struct tap_counts c;
	struct tap_session *s;
	struct reader r;

	(void)state;
	s = stream(t, &(struct tap_options){0}, &r);
	for (uint64_t i = 0; i < count; i++)
		put(t, i % 2, TAP_INNER, i, 1400);
	read_until(&r, NULL, count);
	assert_true(r.lost > 0 && r.packets > 0);
	tap_look(t, &c);
	assert_int_equal(c.seen, count);
	assert_int_equal(c.matched, count);
	assert_int_equal(c.lost, r.lost);
	/* And it goes on: nothing is stuck. */
	put(t, 0, TAP_INNER, 1, 100);
	read_until(&r, NULL, count + 1);
	tap_close(s);
	reader_close(&r);
	tap_free(t);
}

static atomic_uint ends;

static void on_end(void *arg)
{
	(void)arg;
	atomic_fetch_add(&ends, 1);
}

static void test_reader_goes(void **state)
{
	struct tap *t = tap_new(1);
	uint64_t end = clock_boot_ns() + PATIENCE;
	struct reader r;

	(void)state;
	tap_on_end(t, on_end, NULL);
	atomic_store(&ends, 0);
	stream(t, &(struct tap_options){0}, &r);
	reader_close(&r);
	while (!atomic_load(&ends) && clock_boot_ns() < end)
		usleep(1000);
	assert_int_equal(atomic_load(&ends), 1);
	tap_reap(t);
	assert_false(tap_wanted(tap_get_switch(t), TAP_INNER));
	assert_int_equal(tap_sessions(t), 0);
	tap_free(t);
}

static void test_snaplen_and_preface(void **state)
{
	struct tap_options o = {.snaplen = 60, .preface = "hello\n", .preface_len = 6};
	struct tap *t = tap_new(1);
	struct tap_session *s;
	struct reader r;
	char before[6];

	(void)state;
	s = stream(t, &o, &r);
	assert_int_equal(tap_get_switch(t)->bytes, 256); /* what filters look at */
	while (recv(r.fd, before, sizeof(before), MSG_PEEK) < (ssize_t)sizeof(before))
		usleep(1000);
	assert_int_equal(read(r.fd, before, sizeof(before)), sizeof(before));
	assert_memory_equal(before, "hello\n", sizeof(before));
	put(t, 0, TAP_WIRE, 1, 1000);
	read_until(&r, NULL, 1);
	assert_int_equal(r.last_captured, 60);
	assert_int_equal(r.last.length, 1000);
	tap_close(s);
	reader_close(&r);
	tap_free(t);
}

static void test_too_many(void **state)
{
	struct tap *t = tap_new(1);
	struct reader r[TAP_SESSIONS], more;
	struct error e;
	int fd;

	(void)state;
	for (unsigned i = 0; i < TAP_SESSIONS; i++)
		stream(t, &(struct tap_options){0}, &r[i]);
	reader_open(&more, &fd);
	assert_null(tap_open_stream(t, &(struct tap_options){0}, fd, &e));
	assert_non_null(strstr(e.text, "close one"));
	assert_int_equal(read(more.fd, &e, 1), 0); /* it was closed */
	put(t, 0, TAP_WIRE, 9, 10);
	for (unsigned i = 0; i < TAP_SESSIONS; i++)
		read_until(&r[i], NULL, 1);
	tap_free(t);
	for (unsigned i = 0; i < TAP_SESSIONS; i++) {
		assert_int_equal(read(r[i].fd, &e, 1), 0);
		reader_close(&r[i]);
	}
	reader_close(&more);
}

/* ---- queues and filters ---- */

static struct tap_filter *filter(const char *text)
{
	struct tap_filter *f;
	struct error e;

	assert_int_equal(tap_filter_parse(&f, text, &e), 0);
	for (unsigned i = 0; i < f->count; i++)
		if (f->nodes[i].kind == TAP_NODE_PEER)
			f->nodes[i].key = strcmp(f->nodes[i].peer, "alice") == 0 ? alice : bob;
	return f;
}

static void ready(void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, 1);
}

static void test_filters(void **state)
{
	struct tap_options some = {.filter = filter("peer alice and dropped")};
	struct tap *t = tap_new(1);
	struct tap_session *picky, *all;
	struct reader r = {.bytes = xmalloc(READER_ROOM)}, whole = {.bytes = xmalloc(READER_ROOM)};
	atomic_uint told = 0, whole_told = 0;
	struct tap_counts c;
	struct error e;

	(void)state;
	picky = tap_open_queue(t, &some, 1 << 20, ready, &told, &e);
	all = tap_open_queue(t, &(struct tap_options){0}, 1 << 20, ready, &whole_told, &e);
	for (unsigned i = 0; i < 400; i++) {
		struct tap_meta m = {.counter = i, .has_peer = true, .length = 5};

		m.peer = i % 2 ? alice : bob;
		m.drop = i % 4 < 2 ? TAP_DROP_replayed : TAP_DROP_none;
		tap_put(t, 0, &m, "hello", 5);
	}
	read_until(&r, picky, 100);
	read_until(&whole, all, 400);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(r.counters[i], 4 * i + 1);
	assert_int_equal(r.last.drop, TAP_DROP_replayed);
	assert_memory_equal(&r.last.peer, &alice, sizeof(alice));
	assert_true(atomic_load(&told) > 0 && atomic_load(&told) <= 100);
	tap_look(t, &c);
	assert_int_equal(c.seen, 2 * 400);
	assert_int_equal(c.matched, 100 + 400);
	assert_int_equal(c.lost, 0);
	/* One that comes into the place of another gets nothing of it. */
	tap_close(picky);
	put(t, 0, TAP_WIRE, 1, 10);
	picky = tap_open_queue(t, &(struct tap_options){0}, 1 << 20, ready, &told, &e);
	put(t, 0, TAP_WIRE, 2, 10);
	memset(r.counters, 0, sizeof(r.counters));
	r.packets = 0;
	read_until(&r, picky, 1);
	assert_int_equal(r.counters[0], 2);
	tap_close(picky);
	tap_close(all);
	tap_free(t);
	free(r.bytes);
	free(whole.bytes);
}

static void test_rate(void **state)
{
	struct tap *t = tap_new(1);
	struct reader r = {.bytes = xmalloc(READER_ROOM)};
	atomic_uint told = 0;
	struct tap_session *s;
	struct error e;

	(void)state;
	s = tap_open_queue(t, &(struct tap_options){.rate = 100}, 1 << 20, ready, &told, &e);
	for (unsigned i = 0; i < 20000; i++)
		put(t, 0, TAP_WIRE, i, 10);
	read_until(&r, s, 20000);
	assert_true(r.packets >= 100 && r.packets < 10000);
	tap_close(s);
	tap_free(t);
	free(r.bytes);
}

/* ---- keys ---- */

static void test_keys(void **state)
{
	struct tap_options o = {.keys = true, .filter = filter("peer alice or (point wire and peer alice)")};
	struct tap *t = tap_new(1);
	struct tap_session *with, *without;
	struct reader r, none;
	struct tap_meta m = {.has_peer = true, .peer = alice, .length = 1};

	(void)state;
	without = stream(t, &(struct tap_options){0}, &none);
	assert_false(tap_get_switch(t)->keys);
	with = stream(t, &o, &r);
	assert_true(tap_get_switch(t)->keys);
	tap_put_keys(t, 0, &bob, "B = b\n", 6);
	tap_put_keys(t, 0, &alice, "A = a\n", 6);
	tap_put(t, 0, &m, "x", 1);
	read_until(&r, NULL, 1);
	read_until(&none, NULL, 1);
	assert_int_equal(r.keys, 1);
	assert_string_equal(r.lines, "A = a\n");
	assert_int_equal(none.keys, 0);
	tap_close(with);
	assert_false(tap_get_switch(t)->keys);
	tap_close(without);
	reader_close(&r);
	reader_close(&none);
	tap_free(t);
}

static void test_may_mean(void **state)
{
	static const struct {
		const char *text;
		bool alice, bob;
	} rows[] = {
		{"peer alice", true, false},
		{"not peer alice", false, true},
		{"peer alice or peer bob", true, true},
		{"peer alice and tcp", true, false},
		{"peer alice or tcp", true, true},
		{"tcp", true, true},
		{"peer alice and peer bob", false, false},
		{"not (peer alice or peer bob)", false, false},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct tap_filter *f = filter(rows[i].text);

		assert_int_equal(tap_filter_may_mean(f, &alice), rows[i].alice);
		assert_int_equal(tap_filter_may_mean(f, &bob), rows[i].bob);
		tap_filter_free(f);
	}
	assert_true(tap_filter_may_mean(NULL, &bob));
}

/* ---- the past ---- */

static void dump(struct tap *t, struct reader *r, uint64_t ns)
{
	uint64_t end = clock_boot_ns() + PATIENCE;
	struct error e;
	int fd;

	reader_open(r, &fd);
	assert_int_equal(tap_keep_send(t, fd, ns, NULL, 0, &e), 0);
	while (read_some(r, NULL))
		assert_true(clock_boot_ns() < end);
	assert_int_equal(r->len, 0);
	tap_reap(t);
}

/* Until the tap's thread has put away all that was put: numbers are given there. */
static void settle(struct tap *t, uint64_t counter)
{
	uint64_t end = clock_boot_ns() + PATIENCE;
	struct reader r;

	do {
		dump(t, &r, 0);
		reader_close(&r);
	} while (r.last.counter < counter && clock_boot_ns() < end);
	assert_int_equal(r.last.counter, counter);
}

static void test_keep_size(void **state)
{
	const size_t room = 2 << 20;
	struct tap *t = tap_new(1);
	uint64_t ns, oldest;
	struct reader r;
	struct error e;
	size_t used;
	int fd;

	(void)state;
	assert_false(tap_keeps(t, &ns, &used, &oldest));
	reader_open(&r, &fd);
	assert_int_equal(tap_keep_send(t, fd, 0, NULL, 0, &e), -ENOENT);
	reader_close(&r);
	assert_int_equal(tap_keep(t, &(struct tap_options){0}, 3600 * NS_PER_SEC, room, &e), 0);
	for (uint64_t i = 1; i <= 5000; i++) {
		put(t, 0, TAP_WIRE, i, 1000);
		if (i % 1000 == 0)
			settle(t, i);
	}
	assert_true(tap_keeps(t, &ns, &used, &oldest));
	assert_true(used <= room && used > room / 2);
	assert_true(oldest > 0);
	assert_int_equal(tap_sessions(t), 0);
	dump(t, &r, 0);
	assert_int_equal(r.last.counter, 5000);
	assert_int_equal(r.counters[0], 5000 - r.packets + 1); /* the newest, without a gap */
	assert_true(r.packets > 1000 && r.packets < 2100);
	assert_int_equal(r.lost, 0);
	reader_close(&r);
	/* Another filter, and what is held stays. */
	assert_int_equal(
		tap_keep(t, &(struct tap_options){.points = 1 << TAP_INNER}, 3600 * NS_PER_SEC, room, &e), 0);
	put(t, 0, TAP_WIRE, 5001, 10);
	put(t, 0, TAP_INNER, 5002, 10);
	settle(t, 5002);
	dump(t, &r, 0);
	assert_int_equal(r.counters[r.packets - 2], 5000);
	reader_close(&r);
	tap_keep_off(t);
	assert_false(tap_keeps(t, &ns, &used, &oldest));
	tap_free(t);
}

/* Each reader that stands still holds what was kept when it came: there is an end to their number. */
static void test_keep_readers(void **state)
{
	struct tap *t = tap_new(1);
	struct reader r, stalled[TAP_DUMPS];
	struct error e;
	int fd;

	(void)state;
	assert_int_equal(tap_keep(t, &(struct tap_options){0}, 3600 * NS_PER_SEC, 4 << 20, &e), 0);
	for (uint64_t i = 1; i <= 2000; i++)
		put(t, 0, TAP_WIRE, i, 1000);
	settle(t, 2000);
	for (unsigned i = 0; i < TAP_DUMPS; i++) {
		reader_open(&stalled[i], &fd);
		assert_int_equal(tap_keep_send(t, fd, 0, NULL, 0, &e), 0);
	}
	reader_open(&r, &fd);
	assert_int_equal(tap_keep_send(t, fd, 0, NULL, 0, &e), -EBUSY);
	assert_int_equal(read(r.fd, r.bytes, 1), 0); /* it was closed */
	reader_close(&r);
	/* One that has read all makes room for the next. */
	while (read_some(&stalled[0], NULL))
		;
	assert_int_equal(stalled[0].last.counter, 2000);
	dump(t, &r, 0);
	assert_int_equal(r.packets, stalled[0].packets);
	reader_close(&r);
	for (unsigned i = 0; i < TAP_DUMPS; i++)
		reader_close(&stalled[i]);
	tap_free(t);
}

/* One that reads nothing more gives back what it holds; one that reads slowly gets it all. */
static void test_keep_stalled(void **state)
{
	uint64_t end = clock_boot_ns() + PATIENCE, ns = 300 * NS_PER_MS;
	struct log_record *lines = xmalloc(LOG_RING * sizeof(*lines));
	struct tap *t = tap_new(1);
	struct reader stalled, slow;
	unsigned told = 0;
	struct error e;
	int fd;

	(void)state;
	assert_int_equal(tap_keep(t, &(struct tap_options){0}, 3600 * NS_PER_SEC, 4 << 20, &e), 0);
	for (uint64_t i = 1; i <= 2000; i++)
		put(t, 0, TAP_WIRE, i, 1000);
	settle(t, 2000);
	tap_keep_patience(t, ns);
	reader_open(&stalled, &fd);
	assert_int_equal(tap_keep_send(t, fd, 0, NULL, 0, &e), 0);
	while (!tap_keep_stalled(t) && clock_boot_ns() < end)
		usleep(5000);
	assert_int_equal(tap_keep_stalled(t), 1);
	/* What the kernel had taken comes, then the end. */
	while (read_some(&stalled, NULL))
		assert_true(clock_boot_ns() < end);
	assert_true(stalled.packets < 2000);
	for (size_t n = log_read(0, lines, LOG_RING); n--;)
		told += strstr(lines[n].text, "has read nothing for") != NULL;
	assert_int_equal(told, 1);
	tap_keep_patience(t, PATIENCE);
	reader_open(&slow, &fd);
	assert_int_equal(tap_keep_send(t, fd, 0, NULL, 0, &e), 0);
	usleep(2 * (useconds_t)(ns / 1000));
	while (read_some(&slow, NULL))
		assert_true(clock_boot_ns() < end);
	assert_int_equal(slow.last.counter, 2000);
	assert_int_equal(tap_keep_stalled(t), 1);
	reader_close(&stalled);
	reader_close(&slow);
	free(lines);
	tap_free(t);
}

static void test_keep_time(void **state)
{
	struct tap *t = tap_new(1);
	uint64_t ns, oldest, end = clock_boot_ns() + PATIENCE;
	struct tap_meta old = {.counter = 1, .at = clock_wall_ns() - 100 * NS_PER_SEC};
	struct reader r;
	struct error e;
	size_t used;

	(void)state;
	assert_int_equal(tap_keep(t, &(struct tap_options){0}, 3600 * NS_PER_SEC, 1 << 20, &e), 0);
	tap_put(t, 0, &old, "", 0);
	put(t, 0, TAP_WIRE, 2, 10);
	settle(t, 2);
	dump(t, &r, 30 * NS_PER_SEC);
	assert_int_equal(r.packets, 1);
	assert_int_equal(r.counters[0], 2);
	reader_close(&r);
	dump(t, &r, 0);
	assert_int_equal(r.packets, 2);
	reader_close(&r);
	/* What is older than was asked for goes by itself. */
	assert_int_equal(tap_keep(t, &(struct tap_options){0}, NS_PER_MS, 1 << 20, &e), 0);
	do {
		usleep(5000);
		assert_true(tap_keeps(t, &ns, &used, &oldest));
	} while (used && clock_boot_ns() < end);
	assert_int_equal(used, 0);
	tap_free(t);
}

/* ---- all threads at once: for ThreadSanitizer, and that nothing hangs ---- */

struct crowd {
	struct tap *tap;
	unsigned producer;
	atomic_bool *stop;
};

static void *producer_main(void *arg)
{
	struct crowd *c = arg;

	for (uint64_t i = 0; !atomic_load(c->stop); i++) {
		if (tap_wanted(tap_get_switch(c->tap), TAP_WIRE))
			put(c->tap, c->producer, TAP_WIRE, i, 100 + i % 1300);
		if (i % 50)
			continue;
		tap_put_keys(c->tap, c->producer, &alice, "A = a\n", 6);
		usleep(100);
	}
	return NULL;
}

static void test_crowd(void **state)
{
	struct tap *t = tap_new(3);
	atomic_bool stop = false;
	struct crowd crowd[3];
	pthread_t threads[3];
	atomic_uint told = 0;
	struct error e;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		crowd[i] = (struct crowd){.tap = t, .producer = i, .stop = &stop};
		assert_int_equal(pthread_create(&threads[i], NULL, producer_main, &crowd[i]), 0);
	}
	for (unsigned i = 0; i < 30; i++) {
		struct tap_options o = {
			.filter = filter("port 9 or point wire"), .keys = i % 2, .rate = i % 3 * 1000};
		struct reader r, q = {.bytes = xmalloc(READER_ROOM)}, past;
		struct tap_session *s = stream(t, &o, &r), *queue;

		queue = tap_open_queue(t, &(struct tap_options){.filter = filter("peer bob")}, 1 << 20, ready,
				       &told, &e);
		assert_int_equal(tap_keep(t, &(struct tap_options){.filter = filter("point wire")},
					  NS_PER_SEC, 1 << 20, &e),
				 0);
		while (r.packets < 20)
			read_some(&r, NULL);
		read_some(&q, queue);
		dump(t, &past, 0);
		reader_close(&past);
		tap_close(i % 2 ? s : queue);
		tap_close(i % 2 ? queue : s);
		if (i % 3 == 0)
			tap_keep_off(t);
		reader_close(&r);
		free(q.bytes);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	tap_free(t);
}

/* ---- records ---- */

static void random_meta(struct tap_meta *m)
{
	*m = (struct tap_meta){.number = seeded_next(),
			       .at = seeded_next(),
			       .point = (uint8_t)seeded_below(TAP_POINTS),
			       .type = (uint8_t)seeded_below(TAP_TYPES),
			       .drop = (uint8_t)seeded_below(TAP_DROPS),
			       .path = (uint8_t)seeded_below(PATH_KINDS),
			       .out = seeded_below(2),
			       .has_peer = seeded_below(2),
			       .length = (uint32_t)seeded_below(65536),
			       .index = (uint32_t)seeded_next(),
			       .keypair = (uint32_t)seeded_next(),
			       .counter = seeded_next(),
			       .attempt = (uint16_t)seeded_next(),
			       .attempts = (uint16_t)seeded_next(),
			       .generation = (uint32_t)seeded_next()};
	if (m->has_peer)
		memset(&m->peer, (int)seeded_below(256), sizeof(m->peer));
	assert_true(address_parse(&m->local, seeded_below(2) ? "192.0.2.1:51820" : "[2001:db8::1]:1"));
	if (seeded_below(2))
		assert_true(address_parse(&m->remote, "[fe80::1%1]:443"));
}

/* Member by member: what lies between them may be anything. */
static void expect_same(const struct tap_meta *a, const struct tap_meta *b)
{
	assert_true(a->number == b->number && a->at == b->at && a->counter == b->counter);
	assert_true(a->point == b->point && a->type == b->type && a->drop == b->drop && a->path == b->path);
	assert_true(a->out == b->out && a->has_peer == b->has_peer && key_equal(&a->peer, &b->peer));
	assert_true(a->length == b->length && a->index == b->index && a->keypair == b->keypair);
	assert_memory_equal(&a->local, &b->local, sizeof(a->local));
	assert_memory_equal(&a->remote, &b->remote, sizeof(a->remote));
	assert_true(a->attempt == b->attempt && a->attempts == b->attempts);
	assert_int_equal(a->generation, b->generation);
}

static void test_round_trip(void **state)
{
	(void)state;
	seeded_start("records");
	for (unsigned i = 0; i < 2000; i++) {
		uint8_t bytes[TAP_RECORD_HEADER + 64] = {0};
		enum tap_record_kind kind;
		const uint8_t *data;
		struct tap_meta m, back;
		size_t captured, len;

		random_meta(&m);
		len = seeded_below(m.length < 64 ? m.length + 1 : 65);
		tap_record_encode(bytes, TAP_RECORD_PACKET, &m, len);
		for (size_t part = 0; part < TAP_RECORD_HEADER + len; part += 1 + part / 8)
			assert_int_equal(tap_record_decode(bytes, part, &kind, &back, &data, &captured), 0);
		assert_int_equal(tap_record_decode(bytes, sizeof(bytes), &kind, &back, &data, &captured),
				 TAP_RECORD_HEADER + len);
		assert_int_equal(kind, TAP_RECORD_PACKET);
		assert_int_equal(captured, len);
		assert_ptr_equal(data, bytes + TAP_RECORD_HEADER);
		expect_same(&m, &back);
	}
}

/* Whatever the bytes: no more than there are is read, and what is taken can be written again. */
static void test_noise(void **state)
{
	(void)state;
	seeded_start("noise");
	for (unsigned i = 0; i < 20000; i++) {
		uint8_t *bytes, again[TAP_RECORD_HEADER];
		size_t size = TAP_RECORD_HEADER + seeded_below(40), captured;
		enum tap_record_kind kind;
		const uint8_t *data;
		struct tap_meta m;
		long n;

		bytes = xmalloc(size); /* of its own, so that a sanitizer sees its end */
		random_meta(&m);
		m.length = 40;
		for (size_t at = TAP_RECORD_HEADER; at < size; at++)
			bytes[at] = (uint8_t)seeded_next();
		tap_record_encode(bytes, 1 + seeded_below(3), &m, size - TAP_RECORD_HEADER);
		for (unsigned k = 0; k < seeded_below(4); k++)
			bytes[seeded_below(seeded_below(2) ? 16 : size)] = (uint8_t)seeded_next();
		n = tap_record_decode(bytes, seeded_below(8) ? size : seeded_below(size), &kind, &m, &data,
				      &captured);
		assert_true(n == 0 || n == -EBADMSG || (size_t)n <= size);
		if (n > 0) {
			assert_int_equal((size_t)n, TAP_RECORD_HEADER + captured);
			assert_true(data + captured <= bytes + size);
			tap_record_encode(again, kind, &m, captured);
			assert_memory_equal(again, bytes, 9); /* what follows has bits that mean nothing */
		}
		free(bytes);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_stalled_reader),
		cmocka_unit_test(test_reader_goes),  cmocka_unit_test(test_snaplen_and_preface),
		cmocka_unit_test(test_too_many),     cmocka_unit_test(test_filters),
		cmocka_unit_test(test_rate),	     cmocka_unit_test(test_keys),
		cmocka_unit_test(test_may_mean),     cmocka_unit_test(test_keep_size),
		cmocka_unit_test(test_keep_readers), cmocka_unit_test(test_keep_stalled),
		cmocka_unit_test(test_keep_time),    cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
