/* Outer sockets over loopback, in a network of their own. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/udp.h"
#include "net_help.h"
#include "test.h"

static uint8_t bytes[200000];

/* Everything that arrives at a socket, datagram by datagram. */
struct inbox {
	size_t count, total;
	size_t len[4096];
	uint8_t data[400000];
	struct endpoint from; /* of the last */
	uint8_t ecn;
	unsigned messages, joined; /* as udp_receive gave them */
};

static struct inbox in;

/* Reads until `total` bytes have come, or nothing comes any more. */
static void receive(int fd, size_t total)
{
	struct udp_receiver *r = udp_receiver_new(8);
	struct pollfd p = {.fd = fd, .events = POLLIN};

	memset(&in, 0, sizeof(in));
	while (in.total < total && poll(&p, 1, 5000) > 0) {
		struct udp_message *m;
		int n = udp_receive(r, fd, &m);

		assert_true(n >= 0);
		for (int i = 0; i < n; i++) {
			in.messages++;
			in.joined += m[i].segment < m[i].len;
			in.from = m[i].from;
			in.ecn = m[i].ecn;
			for (size_t at = 0; at < m[i].len; at += m[i].segment) {
				size_t left = m[i].len - at;

				in.len[in.count++] = left < m[i].segment ? left : m[i].segment;
			}
			memcpy(in.data + in.total, m[i].data, m[i].len);
			in.total += m[i].len;
		}
	}
	udp_receiver_free(r);
}

/* What came must be `len` bytes in datagrams of `segment`. */
static void came(const uint8_t *data, size_t len, size_t segment)
{
	assert_int_equal(in.total, len);
	assert_memory_equal(in.data, data, len);
	assert_int_equal(in.count, (len + segment - 1) / segment);
	for (size_t i = 0; i < in.count; i++)
		assert_int_equal(in.len[i], i + 1 < in.count ? segment : len - (in.count - 1) * segment);
}

static void open_socket(struct udp *u, unsigned workers, bool plain)
{
	struct error e;
	int r = udp_open(u, 0, workers, 0, plain, &e);

	if (r)
		print_message("%s\n", e.text);
	assert_int_equal(r, 0);
}

static struct endpoint towards(const struct udp *u, const char *address)
{
	struct endpoint e = {0};
	char text[ADDRESS_TEXT];

	snprintf(text, sizeof(text), strchr(address, ':') ? "[%s]:%u" : "%s:%u", address, u->port);
	assert_true(address_parse(&e.remote, text));
	return e;
}

static void source(struct endpoint *e, const char *address)
{
	assert_int_equal(inet_pton(e->remote.sa.sa_family, address, &e->local), 1);
}

static void same_address(const union address *is, const union address *expected)
{
	char a[ADDRESS_TEXT], b[ADDRESS_TEXT];

	assert_string_equal(address_format(a, is), address_format(b, expected));
}

static int socket_of(const struct udp *u, const struct endpoint *e)
{
	return e->remote.sa.sa_family == AF_INET ? u->v4[0] : u->v6[0];
}

static uint16_t port_of(int fd)
{
	union address a;
	socklen_t len = sizeof(a);

	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static void one_port_for_all(void **state)
{
	struct udp u;

	(void)state;
	for (unsigned workers = 1; workers <= 3; workers++) {
		open_socket(&u, workers, false);
		assert_int_not_equal(u.port, 0);
		for (unsigned i = 0; i < workers; i++) {
			assert_int_equal(port_of(u.v4[i]), u.port);
			assert_int_equal(port_of(u.v6[i]), u.port);
		}
		assert_int_equal(u.v4[workers], -1);
		udp_close(&u);
		assert_int_equal(u.v4[0], -1);
	}
}

/* Neither with a stranger nor with another of ours is a port shared, although ours share among themselves. */
static void port_in_use_is_an_error(void **state)
{
	struct udp u, other;
	struct error e;
	char port[16];

	(void)state;
	open_socket(&u, 2, false);
	snprintf(port, sizeof(port), " %u ", u.port);
	for (unsigned workers = 1; workers <= 2; workers++) {
		assert_int_equal(udp_open(&other, u.port, workers, 0, false, &e), -EADDRINUSE);
		assert_non_null(strstr(e.text, port));
		assert_int_equal(other.v4[0], -1);
	}
	/* IPv6 alone in use is the same. */
	for (int i = 0; i < 2; i++) {
		close(u.v4[i]);
		u.v4[i] = -1;
	}
	assert_int_equal(udp_open(&other, u.port, 1, 0, false, &e), -EADDRINUSE);
	udp_close(&u);
}

static void trains_arrive(void **state)
{
	const char *addresses[] = {"127.0.0.1", "::1"};
	const size_t lengths[] = {1, 1200, 1201, 44 * 1452, 40 * 1200 + 7, 64000};
	struct udp a, b;

	(void)state;
	open_socket(&b, 1, false);
	for (int plain = 0; plain < 2; plain++) {
		open_socket(&a, 1, plain);
		assert_int_equal(a.gso, !plain);
		for (int i = 0; i < 2; i++) {
			struct endpoint e = towards(&b, addresses[i]);

			for (int k = 0; k < 6; k++) {
				bool lost = true;

				assert_int_equal(udp_send(&a, 0, &e, 0, bytes, lengths[k], 1452, &lost), 0);
				assert_false(lost);
				receive(socket_of(&b, &e), lengths[k]);
				came(bytes, lengths[k], 1452);
				if (a.gso && b.gro && lengths[k] > 1452)
					assert_true(in.joined > 0);
			}
			assert_int_equal(a.gso, !plain);
		}
		udp_close(&a);
	}
	udp_close(&b);
}

/* More than 64 segments, or more bytes than a datagram can have, take several calls. */
static void long_trains_are_split(void **state)
{
	struct udp a, b;
	struct endpoint e;
	bool lost;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	e = towards(&b, "127.0.0.1");
	assert_int_equal(udp_send(&a, 0, &e, 0, bytes, 1000 * 100 + 13, 100, &lost), 0);
	receive(b.v4[0], 1000 * 100 + 13);
	came(bytes, 1000 * 100 + 13, 100);
	assert_int_equal(udp_send(&a, 0, &e, 0, bytes, 200000, 9000, &lost), 0);
	receive(b.v4[0], 200000);
	came(bytes, 200000, 9000);
	assert_int_equal(udp_send(&a, 0, &e, 0, bytes, 40000 * 2, 40000, &lost), 0);
	receive(b.v4[0], 80000);
	came(bytes, 80000, 40000);
	udp_close(&a);
	udp_close(&b);
}

static void ecn_both_ways(void **state)
{
	const char *addresses[] = {"127.0.0.1", "::1"};
	struct udp a, b;
	bool lost;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	for (int i = 0; i < 2; i++) {
		struct endpoint e = towards(&b, addresses[i]);

		for (uint8_t ecn = 0; ecn < 4; ecn++) {
			assert_int_equal(udp_send(&a, 0, &e, ecn, bytes, 5000, 1000, &lost), 0);
			receive(socket_of(&b, &e), 5000);
			came(bytes, 5000, 1000);
			assert_int_equal(in.ecn, ecn);
		}
	}
	udp_close(&a);
	udp_close(&b);
}

/* The address that a packet was sent to is the one that the answer comes from. */
static void source_address_sticks(void **state)
{
	const char *ours[] = {"127.0.0.9", "fd00::9"}, *theirs[] = {"127.0.0.5", "fd00::5"};
	struct udp a, b;
	bool lost;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	for (int i = 0; i < 2; i++) {
		struct endpoint e = towards(&b, theirs[i]), expected = towards(&a, ours[i]), back;

		source(&e, ours[i]);
		source(&expected, theirs[i]);
		assert_int_equal(udp_send(&a, 0, &e, 1, bytes, 3000, 1000, &lost), 0);
		assert_false(lost);
		receive(socket_of(&b, &e), 3000);
		same_address(&in.from.remote, &expected.remote);
		assert_memory_equal(&in.from.local, &expected.local, i ? 16 : 4);
		assert_int_not_equal(in.from.ifindex, 0);
		back = in.from;
		assert_int_equal(udp_send(&b, 0, &back, 0, bytes, 100, 100, &lost), 0);
		assert_false(lost);
		receive(socket_of(&a, &e), 100);
		same_address(&in.from.remote, &e.remote);
	}
	udp_close(&a);
	udp_close(&b);
}

/* A source address that is not ours any more: the same bytes go out without it, once, and the caller is told.
 */
static void lost_source_falls_back(void **state)
{
	const char *gone[] = {"198.51.100.9", "2001:db8::9"}, *to[] = {"127.0.0.1", "::1"};
	const size_t lengths[] = {100, 5000, 100000};
	struct udp a, b;

	(void)state;
	open_socket(&b, 1, false);
	for (int plain = 0; plain < 2; plain++) {
		open_socket(&a, 1, plain);
		for (int i = 0; i < 2; i++) {
			struct endpoint e = towards(&b, to[i]);

			source(&e, gone[i]);
			for (int k = 0; k < 3; k++) {
				bool lost = false;

				assert_int_equal(udp_send(&a, 0, &e, 0, bytes, lengths[k], 1000, &lost), 0);
				assert_true(lost);
				receive(socket_of(&b, &e), lengths[k]);
				came(bytes, lengths[k], 1000);
			}
		}
		/* It was not taken for a failure of GSO. */
		assert_int_equal(a.gso, !plain);
		udp_close(&a);
	}
	udp_close(&b);
}

static void set_loopback_mtu(int mtu)
{
	struct netlink *n = netlink_open(NULL);

	assert_non_null(n);
	assert_int_equal(netlink_link_set(n, netlink_ifindex(n, "lo"), mtu, -1, 0), 0);
	netlink_close(n);
}

/* Datagrams above the MTU cannot be a train; they go singly, in fragments, and other trains go on as such. */
static void above_the_mtu_is_fragmented(void **state)
{
	const char *addresses[] = {"127.0.0.1", "::1"};
	struct udp a, b;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	set_loopback_mtu(1400);
	for (int i = 0; i < 2; i++) {
		struct endpoint e = towards(&b, addresses[i]);
		struct udp_train t[3] = {
			{.to = &e, .data = bytes, .len = 3000, .segment = 1000},
			{.to = &e, .data = bytes + 3000, .len = 10000, .segment = 1450},
			{.to = &e, .data = bytes + 13000, .len = 10000, .segment = 1000},
		};

		assert_int_equal(udp_send_trains(&a, 0, t, 3), 3);
		receive(socket_of(&b, &e), 23000);
		assert_int_equal(in.count, 3 + 7 + 10);
		assert_memory_equal(in.data, bytes, 23000);
		assert_true(a.gso);
	}
	set_loopback_mtu(65536);
	udp_close(&a);
	udp_close(&b);
}

/* One that fails takes no other with it; each says for itself. */
static void trains_fail_one_by_one(void **state)
{
	struct udp a, b;
	struct endpoint v4, v6, none = {0}, nowhere, gone;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	v4 = towards(&b, "127.0.0.1");
	v6 = towards(&b, "::1");
	nowhere = towards(&b, "203.0.113.1"); /* no route */
	gone = v4;
	source(&gone, "198.51.100.9");
	for (int plain = 0; plain < 2; plain++) {
		struct udp_train t[7] = {
			{.to = &v4, .data = bytes, .len = 5000, .segment = 1000},
			{.to = &none, .data = bytes, .len = 5000, .segment = 1000},
			{.to = &gone, .data = bytes + 5000, .len = 5000, .segment = 1000},
			{.to = &v6, .data = bytes, .len = 7000, .segment = 1000},
			{.to = &nowhere, .data = bytes, .len = 5000, .segment = 1000},
			{.to = &v6, .data = bytes + 7000, .len = 500, .segment = 1000},
			{.to = &v4, .data = bytes + 10000, .len = 5000, .segment = 1000},
		};

		a.gso = !plain;
		assert_int_equal(udp_send_trains(&a, 0, t, 7), 5);
		assert_int_equal(t[1].error, -EDESTADDRREQ);
		assert_int_equal(t[4].error, -ENETUNREACH);
		for (int i = 0; i < 7; i++) {
			assert_int_equal(t[i].source_lost, i == 2);
			if (i != 1 && i != 4)
				assert_int_equal(t[i].error, 0);
		}
		receive(b.v4[0], 15000);
		came(bytes, 15000, 1000);
		receive(b.v6[0], 7500);
		came(bytes, 7500, 1000);
	}
	udp_close(&a);
	udp_close(&b);
}

/* A hundred trains in one call are more than a batch. */
static void many_trains(void **state)
{
	struct udp a, b;
	struct endpoint e;
	struct udp_train t[150];

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	e = towards(&b, "::1");
	for (int i = 0; i < 150; i++)
		t[i] = (struct udp_train){.to = &e, .data = bytes + i * 1000, .len = 1000, .segment = 300};
	assert_int_equal(udp_send_trains(&a, 0, t, 150), 150);
	receive(b.v6[0], 150000);
	assert_int_equal(in.total, 150000);
	assert_int_equal(in.count, 600);
	assert_memory_equal(in.data, bytes, 150000);
	udp_close(&a);
	udp_close(&b);
}

/* "Port unreachable" for one peer must not keep what others send from being read. */
static void icmp_errors_stop_nothing(void **state)
{
	struct udp a, b;
	struct endpoint closed, back;
	bool lost;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	closed = towards(&b, "127.0.0.1");
	closed.remote.in.sin_port = htons(9);
	for (int i = 0; i < 5; i++)
		assert_int_equal(udp_send(&a, 0, &closed, 0, bytes, 100, 100, &lost), 0);
	back = towards(&a, "127.0.0.1");
	assert_int_equal(udp_send(&b, 0, &back, 0, bytes, 100, 100, &lost), 0);
	receive(a.v4[0], 100);
	came(bytes, 100, 100);
	udp_close(&a);
	udp_close(&b);
}

/* The kernel shortens the control buffer's length to what it used: the next message in that place needs all
 * of it. */
static void a_receiver_is_used_again(void **state)
{
	struct udp_receiver *r = udp_receiver_new(2);
	struct udp_message *m;
	struct udp a, b;
	struct endpoint e;
	bool lost;

	(void)state;
	open_socket(&a, 1, false);
	open_socket(&b, 1, false);
	e = towards(&b, "::1");
	source(&e, "fd00::9");
	for (int i = 0; i < 4; i++) {
		size_t len = i % 2 ? 5000 : 100;

		assert_int_equal(udp_send(&a, 0, &e, 2, bytes, len, 1000, &lost), 0);
		assert_int_equal(udp_receive(r, b.v6[0], &m), 1);
		assert_int_equal(m->len, len);
		assert_int_equal(m->segment, len < 1000 ? len : 1000);
		assert_int_equal(m->ecn, 2);
		assert_int_equal(m->from.remote.sa.sa_family, AF_INET6);
		assert_memory_equal(&m->from.remote.in6.sin6_addr, &e.local.in6, 16);
		assert_memory_equal(&m->from.local.in6, &e.remote.in6.sin6_addr, 16);
	}
	assert_int_equal(udp_receive(r, b.v6[0], &m), 0);
	udp_receiver_free(r);
	udp_close(&a);
	udp_close(&b);
}

/* A remote address stays with one of the sockets that share a port. */
static void a_peer_stays_on_one_worker(void **state)
{
	struct udp a, b;
	struct endpoint e;
	bool lost, used[4] = {false};

	(void)state;
	open_socket(&b, 4, false);
	e = towards(&b, "127.0.0.1");
	for (int peer = 0; peer < 40; peer++) {
		struct pollfd p[4];
		unsigned ready = 0;

		open_socket(&a, 1, false);
		for (int i = 0; i < 20; i++)
			assert_int_equal(udp_send(&a, 0, &e, 0, bytes, 100, 100, &lost), 0);
		for (int i = 0; i < 4; i++)
			p[i] = (struct pollfd){.fd = b.v4[i], .events = POLLIN};
		assert_int_equal(poll(p, 4, 5000), 1);
		for (int i = 0; i < 4; i++) {
			if (!p[i].revents)
				continue;
			ready++;
			used[i] = true;
			receive(b.v4[i], 2000);
			assert_int_equal(in.total, 2000);
		}
		assert_int_equal(ready, 1);
		udp_close(&a);
	}
	assert_true(used[0] + used[1] + used[2] + used[3] > 1);
	udp_close(&b);
}

static void marks(void **state)
{
	struct udp u;
	struct error e;
	uint32_t mark = 0;
	socklen_t len = sizeof(mark);

	(void)state;
	if (udp_open(&u, 0, 2, 0x1234, false, &e)) {
		assert_int_equal(e.code, EPERM);
		skip();
	}
	assert_int_equal(getsockopt(u.v6[1], SOL_SOCKET, SO_MARK, &mark, &len), 0);
	assert_int_equal(mark, 0x1234);
	assert_int_equal(udp_set_fwmark(&u, 0xffffffff, &e), 0);
	assert_int_equal(getsockopt(u.v4[1], SOL_SOCKET, SO_MARK, &mark, &len), 0);
	assert_int_equal(mark, 0xffffffff);
	assert_int_equal(udp_set_fwmark(&u, 0, &e), 0);
	udp_close(&u);
}

/* The kernel finishes a new IPv6 address behind our back: what is sent to it before that is dropped. */
static bool is_usable(const char *address)
{
	struct pollfd p;
	struct udp u;
	struct endpoint e;
	bool lost, works = false;

	if (udp_open(&u, 0, 1, 0, true, NULL))
		return false;
	e = towards(&u, address);
	p = (struct pollfd){.fd = u.v6[0], .events = POLLIN};
	for (int i = 0; i < 500 && !works; i++)
		works = !udp_send(&u, 0, &e, 0, bytes, 1, 1, &lost) && poll(&p, 1, 10) > 0;
	udp_close(&u);
	return works;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_port_for_all),
		cmocka_unit_test(port_in_use_is_an_error),
		cmocka_unit_test(trains_arrive),
		cmocka_unit_test(long_trains_are_split),
		cmocka_unit_test(ecn_both_ways),
		cmocka_unit_test(source_address_sticks),
		cmocka_unit_test(lost_source_falls_back),
		cmocka_unit_test(above_the_mtu_is_fragmented),
		cmocka_unit_test(trains_fail_one_by_one),
		cmocka_unit_test(many_trains),
		cmocka_unit_test(icmp_errors_stop_nothing),
		cmocka_unit_test(a_peer_stays_on_one_worker),
		cmocka_unit_test(marks),
		cmocka_unit_test(a_receiver_is_used_again),
	};
	const char *addresses[] = {"fd00::5/128", "fd00::9/128"};
	struct netlink *n;

	if (!own_network())
		return 77;
	random_fill(bytes, sizeof(bytes));
	n = netlink_open(NULL);
	for (int i = 0; i < 2; i++) {
		struct ip_prefix p = prefix(addresses[i]);

		netlink_address_add(n, netlink_ifindex(n, "lo"), &p);
	}
	netlink_close(n);
	if (!is_usable("fd00::5") || !is_usable("fd00::9"))
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
