/*
 * Channels: the tunnel of two real engines by a pair of sockets of its own, by callbacks and by a stand-in
 * for a relay; frames and stray datagrams; what is counted and told; and packets that are too big for the
 * path.
 */
#include "tests/unit/engine_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/epoch.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "wg/messages.h"

/* ---- the box ---- */

static void a_box_is_bounded(void **state)
{
	struct endpoint from = {.via = 7};
	uint8_t data[256] = {1, 2, 3};
	struct box_item *item;
	struct box b;

	(void)state;
	box_init(&b, 4096, 5);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 5; i++) {
			data[0] = (uint8_t)i;
			assert_int_equal(box_put(&b, &from, data, 100 + i), i ? BOX_PUT : BOX_FIRST);
		}
		assert_int_equal(box_put(&b, &from, data, 1), BOX_FULL); /* by number */
		assert_int_equal(counter_get(&b.dropped), round + 1);
		box_take(&b);
		/* While the taker is busy, others go on. */
		assert_int_equal(box_put(&b, &from, data, 4), BOX_FIRST);
		for (unsigned i = 0; i < 5; i++) {
			item = box_next(&b);
			assert_non_null(item);
			assert_int_equal(item->len, 100 + i);
			assert_int_equal(item->data[0], i);
			assert_int_equal(item->from.via, 7);
		}
		assert_null(box_next(&b));
		box_take(&b);
		assert_non_null(box_next(&b));
		assert_null(box_next(&b));
	}
	box_clear(&b);
	box_init(&b, 1000, 100);
	for (unsigned i = 0; box_put(&b, &from, data, 200) != BOX_FULL; i++)
		assert_in_range(i, 0, 4); /* by bytes */
	assert_int_equal(box_put(&b, &from, data, SIZE_MAX / 2), BOX_FULL);
	box_clear(&b);
}

#define PUTS 20000

static void *put_many(void *arg)
{
	for (uint32_t i = 0; i < PUTS; i++)
		while (box_put(arg, &(struct endpoint){.via = 1}, &i, sizeof(i)) == BOX_FULL)
			sched_yield();
	return NULL;
}

static void a_box_has_many_senders(void **state)
{
	struct box b;
	pthread_t threads[3];
	uint64_t sum = 0, want = 3ull * PUTS * (PUTS - 1) / 2;
	unsigned count = 0;

	(void)state;
	box_init(&b, 65536, 1000);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, put_many, &b), 0);
	while (count < 3 * PUTS) {
		struct box_item *item;
		uint32_t value;

		box_take(&b);
		while ((item = box_next(&b))) {
			memcpy(&value, item->data, sizeof(value));
			sum += value;
			count++;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sum, want);
	box_clear(&b);
}

/* ---- the table ---- */

static unsigned closed;

static void count_closed(void *arg)
{
	(void)arg;
	closed++;
}

static void ids_lead_nowhere_when_closed(void **state)
{
	struct pair *t = *state;
	struct channel model = {.kind = CHANNEL_RELAY, .peer = t->a_to_b, .closed = count_closed}, *c;
	struct epoch *epoch = wg_epoch(engine_wg(t->a));
	uint32_t last = 0;

	closed = 0;
	for (unsigned i = 0; i < 1000; i++) {
		c = channel_open(t->a, &model);
		assert_non_null(c);
		assert_int_not_equal(c->id, 0);
		assert_int_not_equal(c->id, last);
		assert_null(channel_find(t->a, last));
		assert_ptr_equal(channel_find(t->a, c->id), c);
		assert_int_equal(channel_endpoint(c).via, c->id);
		assert_ptr_equal(channel_peer(t->a, c->id), t->a_to_b);
		last = c->id;
		channel_close(c);
		assert_null(channel_find(t->a, last));
	}
	while (epoch_reclaim(epoch))
		sched_yield();
	assert_int_equal(closed, 1000);
	assert_null(channel_find(t->a, 0));
}

static void the_table_has_an_end(void **state)
{
	struct pair *t = *state;
	struct channel model = {.kind = CHANNEL_RELAY, .peer = t->a_to_b}, *c = NULL, *one;

	for (unsigned i = 0; i < 65535; i++) {
		one = channel_open(t->a, &model);
		assert_non_null(one);
		if (i == 4711)
			c = one;
	}
	assert_null(channel_open(t->a, &model));
	channel_close(c);
	one = channel_open(t->a, &model);
	assert_non_null(one);
	assert_null(channel_open(t->a, &model));
}

/* ---- tunnels by channels ---- */

struct ways {
	struct channel *a, *b;
	int fd_a, fd_b;
};

/* Both ends send by these channels, and stay. */
static void use(struct pair *t, struct ways *w)
{
	struct endpoint to_b = channel_endpoint(w->a), to_a = channel_endpoint(w->b);

	wg_peer_set_pinned(t->a_to_b->wg, true);
	wg_peer_set_pinned(t->b_to_a->wg, true);
	wg_peer_set_endpoint(t->a_to_b->wg, &to_b);
	wg_peer_set_endpoint(t->b_to_a->wg, &to_a);
}

static int udp_socket_at(union address *at)
{
	socklen_t len = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*at = (union address){.in = {.sin_family = AF_INET}};
	at->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, &at->sa, sizeof(at->in)), 0);
	assert_int_equal(getsockname(fd, &at->sa, &len), 0);
	return fd;
}

static char stray[64];

static void take_stray(void *arg, const struct endpoint *from, const uint8_t *data, size_t len)
{
	(void)arg;
	assert_int_equal(from->remote.sa.sa_family, AF_INET);
	snprintf(stray, sizeof(stray), "%.*s", (int)len, (const char *)data);
}

static struct ways by_sockets(struct pair *t)
{
	struct channel a = {.kind = CHANNEL_SOCKET, .peer = t->a_to_b, .stray = take_stray},
		       b = {.kind = CHANNEL_SOCKET, .peer = t->b_to_a, .stray = take_stray};
	struct ways w;

	w.fd_a = a.fd = udp_socket_at(&b.remote);
	w.fd_b = b.fd = udp_socket_at(&a.remote);
	w.a = channel_open(t->a, &a);
	w.b = channel_open(t->b, &b);
	return w;
}

static void close_sockets(struct pair *t, struct ways *w)
{
	channel_close(w->a);
	channel_close(w->b);
	while (epoch_reclaim(wg_epoch(t->a->wg)) || epoch_reclaim(wg_epoch(t->b->wg)))
		sched_yield();
	close(w->fd_a);
	close(w->fd_b);
}

static void check_all_went_by(struct pair *t, struct ways *w)
{
	struct engine_peer_view v;

	engine_look_peer(t->a_to_b, &v);
	assert_true(counter_get(&w->a->counts.sent) >= counter_get(&v.wg.counters[WG_COUNT_data_sent]));
	assert_true(counter_get(&w->a->counts.received) >=
		    counter_get(&v.wg.counters[WG_COUNT_data_received]));
	assert_true(counter_get(&w->a->counts.sent_bytes) >= v.wg.tx_bytes);
	assert_true(counter_get(&w->b->counts.received) > 50);
	assert_true(counter_get(&w->b->counts.last_received) > 0);
	assert_true(counter_get(&w->b->counts.last_sent) > 0);
	assert_int_equal(counter_get(&t->a_to_b->direct.sent), 0);
	assert_int_equal(counter_get(&t->b_to_a->direct.received), 0);
	assert_false(atomic_load(&w->a->arrived));
}

#define PINGS	   "ping -q -n -c 50 -i 0.01 -W 5 10.9.0.2 >/dev/null"
#define LARGE_ONES "ping -q -n -c 20 -i 0.01 -W 5 -s 20000 10.9.0.2 >/dev/null"

static void a_tunnel_by_sockets(void **state)
{
	struct pair *t = *state;
	struct ways w;
	struct error e;

	assert_true(run_until(t, both_up));
	w = by_sockets(t);
	use(t, &w);
	run_ping(t, PINGS);
	run_ping(t, LARGE_ONES);
	check_all_went_by(t, &w);
	/* Workers that begin anew take it up again. */
	assert_int_equal(engine_set_listen_port(t->b, 0, &e), 0);
	run_ping(t, PINGS);
	engine_down(t->a);
	assert_int_equal(engine_up(t->a, &e), 0);
	run_ping(t, PINGS);
	close_sockets(t, &w);
}

static void give(void *arg, const void *data, size_t len)
{
	struct channel **to = arg;

	channel_deliver((*to)->engine, (*to)->id, data, len);
}

static void a_tunnel_by_callbacks(void **state)
{
	struct pair *t = *state;
	struct ways w;
	struct channel a = {.kind = CHANNEL_CALLBACK, .peer = t->a_to_b, .send = give, .arg = &w.b},
		       b = {.kind = CHANNEL_CALLBACK, .peer = t->b_to_a, .send = give, .arg = &w.a};

	assert_true(run_until(t, both_up));
	w.a = channel_open(t->a, &a);
	w.b = channel_open(t->b, &b);
	use(t, &w);
	run_ping(t, PINGS);
	run_ping(t, LARGE_ONES);
	check_all_went_by(t, &w);
}

/* A relay that is the other engine's inbox; the pool's place is taken by a pointer to the channel there. */
static int relay(struct relay_pool *p, uint32_t server, const struct relay_id *to, const void *data,
		 size_t len, size_t segment)
{
	struct channel **there = (struct channel **)p;

	(void)to;
	assert_int_equal(server, 3);
	for (size_t at = 0; at < len; at += segment)
		channel_deliver((*there)->engine, (*there)->id, (const uint8_t *)data + at,
				len - at < segment ? len - at : segment);
	return 0;
}

static void a_tunnel_by_a_relay(void **state)
{
	struct pair *t = *state;
	struct ways w;
	struct channel a = {.kind = CHANNEL_RELAY,
			    .peer = t->a_to_b,
			    .pool = (struct relay_pool *)&w.b,
			    .server = 3},
		       b = {.kind = CHANNEL_RELAY,
			    .peer = t->b_to_a,
			    .pool = (struct relay_pool *)&w.a,
			    .server = 3};

	assert_true(run_until(t, both_up));
	t->a->relay_send = t->b->relay_send = relay;
	w.a = channel_open(t->a, &a);
	w.b = channel_open(t->b, &b);
	use(t, &w);
	run_ping(t, PINGS);
	run_ping(t, LARGE_ONES);
	check_all_went_by(t, &w);
}

/* A closed channel takes nothing more, and nothing breaks. */
static void channels_close_under_traffic(void **state)
{
	struct pair *t = *state;
	struct ways w;
	struct endpoint direct;

	connect_pair(t);
	direct = wg_peer_endpoint(t->a_to_b->wg);
	background("ping -q -n -f -w 3 10.9.0.2 >/dev/null; true");
	for (unsigned i = 0; !background_done(t); i++) {
		if (i % 8 == 0) {
			w = by_sockets(t);
			use(t, &w);
		}
		loop_step(t->loop, false);
		usleep(2000);
		if (i % 8 == 7)
			close_sockets(t, &w);
		if (i % 8 == 7 && i % 16 == 7)
			wg_peer_set_endpoint(t->a_to_b->wg, &direct);
	}
	wg_peer_set_pinned(t->b_to_a->wg, false);
	wg_peer_set_endpoint(t->a_to_b->wg, &direct);
	run_ping(t, PINGS);
}

/* ---- what is for the control thread ---- */

static struct endpoint frame_from;
static char frame[64];

static void take_frame(struct engine *g, const struct endpoint *from, uint8_t *data, size_t len)
{
	(void)g;
	frame_from = *from;
	snprintf(frame, sizeof(frame), "%.*s", (int)len, (const char *)data);
}

static bool frame_came(struct pair *t)
{
	(void)t;
	return frame[0];
}

static bool stray_came(struct pair *t)
{
	(void)t;
	return stray[0];
}

static void check_frame(struct pair *t, const struct endpoint *to, uint32_t via)
{
	memset(frame, 0, sizeof(frame));
	assert_int_equal(engine_send_datagram(t->a, to, "weir frame", 10, false), 0);
	assert_true(run_until(t, frame_came));
	assert_string_equal(frame, "weir frame");
	assert_int_equal(frame_from.via, via);
}

static void frames_come_by_all_ways(void **state)
{
	struct pair *t = *state;
	struct endpoint to = {.remote = {.in = {.sin_family = AF_INET}}}, by;
	struct channel a = {.kind = CHANNEL_CALLBACK, .peer = t->a_to_b, .send = give},
		       b = {.kind = CHANNEL_CALLBACK, .peer = t->b_to_a};
	struct channel *callback_a, *callback_b;
	struct ways w;

	assert_true(run_until(t, both_up));
	t->a->on_frame = t->b->on_frame = take_frame;
	to.remote.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.remote.in.sin_port = htons(engine_listen_port(t->b));
	check_frame(t, &to, 0);
	assert_int_equal(ntohs(frame_from.remote.in.sin_port), engine_listen_port(t->a));

	w = by_sockets(t);
	by = channel_endpoint(w.a);
	check_frame(t, &by, w.b->id);
	assert_int_equal(frame_from.remote.sa.sa_family, AF_INET);
	memset(stray, 0, sizeof(stray));
	assert_int_equal(engine_send_datagram(t->a, &by, "no frame", 8, false), 0);
	assert_true(run_until(t, stray_came));
	assert_string_equal(stray, "no frame");
	close_sockets(t, &w);

	callback_b = channel_open(t->b, &b);
	a.arg = &callback_b;
	callback_a = channel_open(t->a, &a);
	by = channel_endpoint(callback_a);
	check_frame(t, &by, callback_b->id);
	channel_close(callback_a);
	assert_int_equal(engine_send_datagram(t->a, &by, "weir frame", 10, false), -ENOTCONN);
}

static void inboxes_are_bounded(void **state)
{
	struct pair *t = *state;
	struct channel model = {.kind = CHANNEL_RELAY, .peer = t->a_to_b}, *c;
	uint8_t data[1400] = {MESSAGE_DATA};
	struct worker *w;

	assert_true(run_until(t, both_up));
	engine_down(t->a); /* nobody takes anything out */
	c = channel_open(t->a, &model);
	w = t->a->workers[(c->id & 0xffff) % t->a->worker_count];
	for (unsigned i = 0; i < 3000; i++)
		channel_deliver(t->a, c->id, data, sizeof(data));
	assert_true(counter_get(&w->inbox.dropped) > 2000);
	assert_true(counter_get(&w->inbox.dropped) < 2500);
	for (unsigned i = 0; i < 1000; i++)
		channel_deliver(t->a, c->id, (const uint8_t *)"weir", 4); /* bounded as well */
	channel_close(c);
}

static unsigned news;

static void take_news(struct engine *g, struct engine_peer *p)
{
	(void)g;
	(void)p;
	news++;
}

static struct ways *looked_at;

static bool has_arrived(struct pair *t)
{
	(void)t;
	return news && atomic_load(&looked_at->b->arrived);
}

static bool has_traffic(struct pair *t)
{
	return news && atomic_load(&t->a_to_b->traffic);
}

/* b is pinned to the device's sockets; what comes by the channel is told, and moves nothing. */
static void arrivals_and_traffic_are_told(void **state)
{
	struct pair *t = *state;
	struct endpoint to_b;
	struct ways w;

	connect_pair(t);
	t->a->on_path_news = t->b->on_path_news = take_news;
	w = by_sockets(t);
	looked_at = &w;
	wg_peer_set_pinned(t->a_to_b->wg, true);
	wg_peer_set_pinned(t->b_to_a->wg, true);
	to_b = channel_endpoint(w.a);
	wg_peer_set_endpoint(t->a_to_b->wg, &to_b);
	news = 0;
	assert_false(atomic_load(&w.b->arrived));
	run_ping(t, PINGS);
	assert_true(run_until(t, has_arrived));
	assert_int_equal(wg_peer_via(t->b_to_a->wg), 0);
	assert_true(counter_get(&w.b->counts.received) >= 50);
	assert_true(atomic_load(&t->a_to_b->direct_arrived)); /* the answers took the other way */

	atomic_store(&t->a_to_b->traffic, false);
	news = 0;
	run_ping(t, PINGS);
	assert_true(run_until(t, has_traffic));
	close_sockets(t, &w);
}

/* Its memory outlives its place among the peers with news. */
static void a_peer_with_news_is_removed(void **state)
{
	struct pair *t = *state;
	struct engine_peer *p, *q;
	struct key key;

	connect_pair(t);
	t->a->on_path_news = take_news;
	memset(key.bytes, 7, sizeof(key.bytes));
	p = engine_add_peer(t->a, &key);
	key.bytes[1] = 8;
	q = engine_add_peer(t->a, &key);
	assert_non_null(p);
	assert_non_null(q);
	news = 0;
	path_traffic(p);
	path_traffic(q);
	path_traffic(p); /* told once */
	engine_remove_peer(p);
	while (epoch_reclaim(wg_epoch(t->a->wg)))
		assert_true(run_until(t, both_up));
	assert_int_equal(news, 2);
	path_traffic(q);
	assert_int_equal(news, 2);
	atomic_store(&q->traffic, false);
	path_traffic(q);
	news_serve(t->a);
	assert_int_equal(news, 3);
	engine_remove_peer(q);
}

/* ---- sizes ---- */

static void probes_are_not_fragmented(void **state)
{
	struct pair *t = *state;
	struct endpoint to = {.remote = {.in = {.sin_family = AF_INET}}}, by;
	static uint8_t data[3000];
	struct ways w;

	assert_true(run_until(t, both_up));
	must("ip link set lo mtu 1500");
	to.remote.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	to.remote.in.sin_port = htons(engine_listen_port(t->b));
	w = by_sockets(t);
	by = channel_endpoint(w.a);
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1472, true), 0);
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1473, true), -EMSGSIZE);
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1473, false), 0);
	assert_int_equal(engine_send_datagram(t->a, &by, data, 1472, true), 0);
	assert_int_equal(engine_send_datagram(t->a, &by, data, 1473, true), -EMSGSIZE);
	to.remote = (union address){.in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT}};
	to.remote.in6.sin6_port = htons(engine_listen_port(t->b));
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1452, true), 0);
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1453, true), -EMSGSIZE);
	assert_int_equal(engine_send_datagram(t->a, &to, data, 1453, false), 0);
	close_sockets(t, &w);
	must("ip link set lo mtu 65536");
}

static void senders_learn_what_fits(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;

	connect_pair(t);
	atomic_store(&t->a_to_b->inner_limit, 1008);
	/* 1028 bytes: the first are refused by us, the rest by the kernel, which has learned. */
	run_ping(t, "ping -n -M do -c 3 -i 0.2 -W 5 -s 1000 10.9.0.2 >/dev/null; "
		    "ip route get 10.9.0.2 | grep -q 'mtu 1008'");
	engine_look_peer(t->a_to_b, &v);
	assert_int_equal(counter_get(&v.wg.counters[WG_COUNT_too_big]), 1);
	run_ping(t, "ping -q -n -M do -c 3 -i 0.2 -W 5 -s 980 10.9.0.2 >/dev/null");
	/* What may be fragmented goes. */
	must("ip route flush cache");
	run_ping(t, "ping -q -n -M dont -c 3 -i 0.2 -W 5 -s 1300 10.9.0.2 >/dev/null");
}

#define BULK (4 << 20)

/* A server in b's namespace that reads to the end and says whether it was all. */
static pid_t serve_bulk(struct pair *t, uint16_t port, int ready)
{
	pid_t pid = fork();
	char path[64], buffer[65536];
	size_t sum = 0;
	ssize_t n;
	union address at = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
	int fd, s, on = 1;

	if (pid)
		return pid;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)t->holder);
	fd = open(path, O_RDONLY);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		_exit(2);
	s = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(s, &at.sa, sizeof(at.in)) || listen(s, 1) || write(ready, "x", 1) != 1)
		_exit(3);
	fd = accept(s, NULL, NULL);
	while ((n = read(fd, buffer, sizeof(buffer))) > 0)
		sum += (size_t)n;
	_exit(sum == BULK ? 0 : 4);
}

static pid_t send_bulk(uint16_t port)
{
	pid_t pid = fork();
	char buffer[65536] = {0};
	union address at = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};
	int s;

	if (pid)
		return pid;
	inet_pton(AF_INET, "10.9.0.2", &at.in.sin_addr);
	s = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(s, &at.sa, sizeof(at.in)))
		_exit(2);
	for (size_t sent = 0; sent < BULK; sent += sizeof(buffer))
		if (write(s, buffer, sizeof(buffer)) != sizeof(buffer))
			_exit(3);
	_exit(0);
}

static pid_t waited_for;
static int result;

static bool has_ended(struct pair *t)
{
	(void)t;
	return waitpid(waited_for, &result, WNOHANG) == waited_for;
}

/* TCP is not told: its super-packets are cut smaller, and all of it arrives. */
static void tcp_is_cut_to_size(void **state)
{
	struct pair *t = *state;
	uint64_t packets, bytes;
	pid_t server, client;
	int ready[2];
	char c;

	connect_pair(t);
	atomic_store(&t->a_to_b->inner_limit, 1008);
	assert_int_equal(pipe(ready), 0);
	server = serve_bulk(t, 5001, ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	packets = counter_get(&t->b_to_a->direct.received);
	bytes = counter_get(&t->b_to_a->direct.received_bytes);
	client = send_bulk(5001);
	waited_for = client;
	assert_true(run_until(t, has_ended));
	assert_int_equal(result, 0);
	waited_for = server;
	assert_true(run_until(t, has_ended));
	assert_int_equal(result, 0);
	packets = counter_get(&t->b_to_a->direct.received) - packets;
	bytes = counter_get(&t->b_to_a->direct.received_bytes) - bytes;
	assert_true(bytes > BULK);
	assert_true(bytes / packets <= 1008 + DATA_OVERHEAD);
	close(ready[0]);
	close(ready[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_is_bounded),
		cmocka_unit_test(a_box_has_many_senders),
		cmocka_unit_test_setup_teardown(ids_lead_nowhere_when_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_table_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_tunnel_by_sockets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_tunnel_by_callbacks, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_tunnel_by_a_relay, set_up, tear_down),
		cmocka_unit_test_setup_teardown(channels_close_under_traffic, set_up, tear_down),
		cmocka_unit_test_setup_teardown(frames_come_by_all_ways, set_up, tear_down),
		cmocka_unit_test_setup_teardown(inboxes_are_bounded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(arrivals_and_traffic_are_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_peer_with_news_is_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(probes_are_not_fragmented, set_up, tear_down),
		cmocka_unit_test_setup_teardown(senders_learn_what_fits, set_up, tear_down),
		cmocka_unit_test_setup_teardown(tcp_is_cut_to_size, set_up, tear_down),
	};

	if (!isolate()) {
		puts("skipped: no TUN device or no namespaces here");
		return 77;
	}
	crypto_init();
	log_set_level(LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
