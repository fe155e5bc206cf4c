/*
 * Two devices, each with two workers that seal, open and stage as fast as they can, and a control thread that
 * serves, drains, moves endpoints and replaces peers meanwhile. It passes when nothing breaks;
 * ThreadSanitizer says the rest.
 */
#include "tests/unit/test.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/spin.h"
#include "crypto/primitives.h"
#include "wg/messages.h"
#include "wg/wg.h"

#define SLOTS	512
#define ROOM	256
#define WORKERS 2
#define ROUNDS	400

/* A lossy queue of datagrams towards a device: full means lost. */
struct queue {
	struct spin lock;
	unsigned head, count;
	struct {
		size_t len;
		uint8_t data[ROOM];
	} slots[SLOTS];
};

struct end {
	struct wg_device *d;
	struct wg_peer *peer; /* control's */
	struct key private_key, public_key;
	struct endpoint at;
	struct queue data, handshakes; /* towards it */
	struct end *other;
	unsigned number;
	atomic_uint accepted;
	pthread_t threads[WORKERS];
};

static struct end ends[2];
static atomic_bool stop;

static void put(struct queue *q, const void *data, size_t len)
{
	spin_lock(&q->lock);
	if (len <= ROOM && q->count < SLOTS) {
		unsigned i = (q->head + q->count++) % SLOTS;

		q->slots[i].len = len;
		memcpy(q->slots[i].data, data, len);
	}
	spin_unlock(&q->lock);
}

static size_t get(struct queue *q, uint8_t *data)
{
	size_t len = 0;

	spin_lock(&q->lock);
	if (q->count) {
		len = q->slots[q->head].len;
		memcpy(data, q->slots[q->head].data, len);
		q->head = (q->head + 1) % SLOTS;
		q->count--;
	}
	spin_unlock(&q->lock);
	return len;
}

static void send_to_other(struct end *e, const uint8_t *data, size_t len)
{
	put(data[0] == MESSAGE_DATA ? &e->other->data : &e->other->handshakes, data, len);
}

static void on_send(void *ctx, struct wg_peer *peer, const struct endpoint *to, uint8_t ecn,
		    const void *datagram, size_t len)
{
	(void)peer;
	(void)to;
	(void)ecn;
	send_to_other(ctx, datagram, len);
}

static void on_event(void *ctx, struct wg_peer *peer, const struct wg_event *ev)
{
	(void)ctx;
	(void)peer;
	(void)ev;
}

static void on_gone(void *ctx, struct wg_peer *peer)
{
	(void)ctx;
	(void)peer;
}

static void on_wake(void *ctx)
{
	(void)ctx;
}

static const struct wg_ops ops = {.send = on_send, .event = on_event, .peer_gone = on_gone, .wake = on_wake};

static void seal_some(struct end *e, struct aead *a, uint64_t now)
{
	uint8_t header[20] = {0x45, 0,	0, 100,
			      0,    0,	0, 0,
			      64,   17, 0, 0,
			      10,   0,	0, (uint8_t)(1 + e->number),
			      10,   0,	0, (uint8_t)(2 - e->number)};
	uint8_t buffer[ROOM] = {0};
	struct wg_keypair *k;
	struct wg_peer *p;
	uint64_t counter;

	memcpy(buffer + DATA_HEADER_LEN, header, sizeof(header));
	p = wg_route(e->d, buffer + DATA_HEADER_LEN, 100);
	if (!p)
		return;
	k = wg_sending_keypair(p, 8, now, &counter);
	if (!k) {
		wg_stage(p, buffer + DATA_HEADER_LEN, 100, 0, now);
		return;
	}
	for (unsigned i = 0; i < 8; i++) {
		struct endpoint to = wg_peer_endpoint(p);
		size_t len;

		memset(buffer + DATA_HEADER_LEN, 0, 100);
		memcpy(buffer + DATA_HEADER_LEN, header, sizeof(header));
		len = wg_seal(e->d, a, k, counter + i, buffer, 100);
		if (endpoint_known(&to))
			send_to_other(e, buffer, len);
		else
			wg_no_endpoint(p);
	}
	wg_sent(p, k, 8, 8 * wg_sealed_len(e->d, 100), true, now);
}

static void open_some(struct end *e, struct aead *a, unsigned worker, uint64_t now)
{
	static _Thread_local uint8_t buffers[16][ROOM];
	struct wg_incoming in[16];
	struct endpoint from = e->other->at;
	unsigned n = 0;
	size_t len;

	from.ifindex = worker; /* the workers disagree about the source, so it roams all the time */
	while (n < 16 && (len = get(&e->data, buffers[n]))) {
		in[n] = (struct wg_incoming){.datagram = buffers[n], .len = len};
		n++;
	}
	wg_open(e->d, a, in, n, &from, now);
	for (unsigned i = 0; i < n; i++)
		if (in[i].verdict == WG_PACKET)
			atomic_fetch_add(&e->accepted, 1);
}

struct task {
	struct end *end;
	unsigned number;
};

static void *worker(void *arg)
{
	struct task *t = arg;
	struct epoch *epoch = wg_epoch(t->end->d);
	struct epoch_reader *reader = epoch_reader_add(epoch);
	struct aead *a = aead_new_portable();

	while (!atomic_load(&stop)) {
		uint64_t now = clock_boot_ns();

		epoch_enter(epoch, reader);
		seal_some(t->end, a, now);
		open_some(t->end, a, t->number, now);
		epoch_exit(reader);
		sched_yield();
	}
	aead_free(a);
	return NULL;
}

static void introduce(struct end *e)
{
	uint8_t inner[4] = {10, 0, 0, (uint8_t)(2 - e->number)};

	e->peer = wg_add_peer(e->d, &e->other->public_key);
	assert_int_equal(wg_allow(e->peer, AF_INET, inner, 32, NULL), 0);
	wg_peer_set_endpoint(e->peer, &e->other->at);
}

static void disturb(struct end *e, unsigned round, struct instant now)
{
	struct wg_peer_view v;

	wg_peer_look(e->peer, &v, now.boot);
	switch (round % 40) {
	case 5:
		wg_drain(e->d, now, WG_REASON_user);
		break;
	case 10:
		wg_peer_handshake(e->peer, now, WG_REASON_user, true);
		break;
	case 15:
		wg_peer_set_endpoint(e->peer, &(struct endpoint){0});
		break;
	case 16:
		wg_peer_set_endpoint(e->peer, &e->other->at);
		break;
	case 20:
		wg_set_mtu(e->d, 1000 + round);
		break;
	case 25:
		wg_peer_set_keepalive(e->peer, (uint16_t)(round % 3), now);
		break;
	case 30:
		wg_remove_peer(e->peer);
		introduce(e);
		break;
	case 35:
		wg_peer_reset(e->peer, &(struct endpoint){0}, now);
		break;
	default:
		break;
	}
}

static void control(struct end *e, unsigned round)
{
	struct instant now = clock_now();
	uint8_t data[ROOM];
	size_t len;

	while ((len = get(&e->handshakes, data)))
		wg_receive_handshake(e->d, data, len, &e->other->at, 0, now);
	disturb(e, round, now);
	wg_service(e->d, now, 32);
	epoch_reclaim(wg_epoch(e->d));
}

static void workers_and_control_share(void **state)
{
	static struct task tasks[2][WORKERS];
	struct timespec pause = {.tv_nsec = 2000000};

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct end *e = &ends[i];

		e->other = &ends[1 - i];
		e->number = i;
		e->d = wg_device_new(&ops, e);
		wg_set_time_divisor(e->d, 200); /* rekeys and expiry within the test */
		dh_keypair(&e->private_key, &e->public_key);
		wg_set_private_key(e->d, &e->private_key);
		e->at.remote.in =
			(struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)(1 + i))};
	}
	for (unsigned i = 0; i < 2; i++) {
		introduce(&ends[i]);
		wg_up(ends[i].d, clock_now());
	}
	for (unsigned i = 0; i < 2; i++)
		for (unsigned w = 0; w < WORKERS; w++) {
			tasks[i][w] = (struct task){.end = &ends[i], .number = w};
			assert_int_equal(pthread_create(&ends[i].threads[w], NULL, worker, &tasks[i][w]), 0);
		}
	for (unsigned round = 0; round < ROUNDS; round++) {
		control(&ends[0], round);
		control(&ends[1], round + 20);
		nanosleep(&pause, NULL);
	}
	atomic_store(&stop, true);
	for (unsigned i = 0; i < 2; i++)
		for (unsigned w = 0; w < WORKERS; w++)
			pthread_join(ends[i].threads[w], NULL);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(counter_get(&wg_device_counters(ends[i].d)[WG_COUNT_handshake_done]) > 2);
		assert_true(atomic_load(&ends[i].accepted) > 100);
		wg_device_free(ends[i].d);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(workers_and_control_share)};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
