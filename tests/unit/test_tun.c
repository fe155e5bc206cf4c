/* The TUN device, with the kernel's own TCP and UDP on the other side, in networks of our own. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <netinet/udp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "net/coalesce.h"
#include "net/segment.h"
#include "net/tun.h"
#include "net_help.h"
#include "test.h"

#define UDP_SEGMENT 103

static struct netlink *nl;

static void open_tun(struct tun *t, const char *name, unsigned queues, bool plain)
{
	struct error e;
	int r = tun_open(t, name, queues, plain, &e);

	if (r)
		print_message("%s\n", e.text);
	assert_int_equal(r, 0);
}

/* Up, with 10.5.0.1 and fd05::1; what is sent to .2 comes out of the device. */
static void bring_up(struct netlink *n, const char *name, int mtu)
{
	struct ip_prefix v4 = prefix("10.5.0.1/24"), v6 = prefix("fd05::1/64");
	int index = netlink_ifindex(n, name);

	assert_true(index > 0);
	assert_int_equal(netlink_link_set(n, index, mtu, 1, 1000), 0);
	assert_int_equal(netlink_address_add(n, index, &v4), 0);
	assert_int_equal(netlink_address_add(n, index, &v6), 0);
}

static void refused(const char *name, int code, const char *word)
{
	struct tun t;
	struct error e;

	assert_int_equal(tun_open(&t, name, 2, false, &e), -code);
	if (!strstr(e.text, word))
		fail_msg("\"%s\" does not say \"%s\"", e.text, word);
	assert_int_equal(t.queues, 0);
	assert_int_equal(t.fds[0], -1);
}

static void errors_have_words(void **state)
{
	struct tun t;
	struct error e;

	(void)state;
	refused("", EINVAL, "interface name");
	refused("a/b", EINVAL, "interface name");
	refused("a b", EINVAL, "interface name");
	refused("wg%d", EINVAL, "interface name");
	refused("..", EINVAL, "interface name");
	refused("sixteen-letters-", EINVAL, "interface name");
	refused("lo", EBUSY, "taken");
	open_tun(&t, "weirtest0", 2, false);
	refused("weirtest0", EBUSY, "taken"); /* above all: no queue of a device that someone else runs */
	tun_close(&t);
	assert_int_equal(tun_open(&t, "weirtest0", TUN_QUEUES_MAX + 1, false, &e), -EINVAL);
	open_tun(&t, "weirtest0", TUN_QUEUES_MAX, true);
	tun_close(&t);
}

static void adopt(void **state)
{
	struct ifreq ifr = {.ifr_name = "weirtest0", .ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR};
	struct tun t;
	struct error e;
	int fd, pipe_fds[2];

	(void)state;
	fd = open("/dev/net/tun", O_RDWR);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(tun_adopt(&t, fd, &e), 0);
	assert_string_equal(t.name, "weirtest0");
	assert_int_equal(t.queues, 1);
	assert_true(t.vnet_hdr);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
	tun_close(&t);

	fd = open("/dev/net/tun", O_RDWR);
	ifr.ifr_flags = IFF_TAP | IFF_NO_PI;
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(tun_adopt(&t, fd, &e), -EINVAL);
	close(fd);
	fd = open("/dev/net/tun", O_RDWR);
	assert_true(tun_adopt(&t, fd, &e) < 0); /* no device behind it */
	close(fd);
	assert_int_equal(pipe(pipe_fds), 0);
	assert_true(tun_adopt(&t, pipe_fds[0], &e) < 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	assert_true(tun_adopt(&t, -1, &e) < 0);
}

/*
 * A mirror: what the kernel sends to .2 comes back as from .2 to .1. Swapping addresses leaves all sums
 * right, so a connection of the kernel with itself runs through read, segment, coalesce and write.
 */
struct mirror {
	struct tun *tun;
	pthread_t thread;
	_Atomic bool stop;
	unsigned supers, packets;
	bool damaged;
};

static void swap(uint8_t *a, uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		uint8_t x = a[i];

		a[i] = b[i];
		b[i] = x;
	}
}

static void reflect(struct mirror *m, struct coalescer *c, const struct virtio_net_hdr *h,
		    const uint8_t *packet, size_t len)
{
	static uint8_t arena[256 * 1024];
	struct segmenter s;
	size_t n, used = 0;

	if (segmenter_init(&s, h, packet, len)) {
		m->damaged = true;
		return;
	}
	m->supers += s.count > 1;
	while (s.full_len <= sizeof(arena) - used && (n = segmenter_next(&s, arena + used)) > 0) {
		uint8_t *p = arena + used;
		struct packet_view v;

		if ((p[0] >> 4 == 4 && p[9] == IPPROTO_ICMP) || (p[0] >> 4 == 6 && p[6] == IPPROTO_ICMPV6) ||
		    (p[0] >> 4 == 6 && p[6] == 0))
			continue;
		m->damaged |= !packet_check(&v, p, n);
		m->packets++;
		if (p[0] >> 4 == 4)
			swap(p + 12, p + 16, 4);
		else
			swap(p + 8, p + 24, 16);
		coalescer_add(c, p, n);
		used += n;
	}
	m->damaged |= coalescer_flush(c, NULL) != 0;
}

static void *mirror_main(void *arg)
{
	struct mirror *m = arg;
	struct coalescer *c = coalescer_new(m->tun, 0);
	uint8_t *packet = malloc(TUN_READ_MAX);
	struct pollfd p = {.fd = m->tun->fds[0], .events = POLLIN};

	while (!m->stop) {
		struct virtio_net_hdr h;
		ssize_t n;

		poll(&p, 1, 20);
		while ((n = tun_read(m->tun, 0, &h, packet, TUN_READ_MAX)) > 0)
			reflect(m, c, &h, packet, (size_t)n);
	}
	free(packet);
	coalescer_free(c);
	return NULL;
}

static void mirror_start(struct mirror *m, struct tun *t)
{
	memset(m, 0, sizeof(*m));
	m->tun = t;
	assert_int_equal(pthread_create(&m->thread, NULL, mirror_main, m), 0);
}

static void mirror_stop(struct mirror *m)
{
	m->stop = true;
	pthread_join(m->thread, NULL);
	assert_false(m->damaged);
}

static int tcp_listen(const char *address, uint16_t *port)
{
	union address a;
	socklen_t len = sizeof(a);
	char text[ADDRESS_TEXT];
	int fd;

	snprintf(text, sizeof(text), strchr(address, ':') ? "[%s]:0" : "%s:0", address);
	assert_true(address_parse(&a, text));
	fd = socket(a.sa.sa_family, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, &a.sa, address_len(&a)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, &a.sa, &len), 0);
	*port = ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
	return fd;
}

#define STREAM_BYTES (8u << 20)

struct sender {
	int fd;
	uint8_t *data;
};

static void *send_stream(void *arg)
{
	struct sender *s = arg;
	size_t done = 0;

	while (done < STREAM_BYTES) {
		ssize_t n = send(s->fd, s->data + done, STREAM_BYTES - done, MSG_NOSIGNAL);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

static void stream_through(const char *near, const char *far, bool plain)
{
	union address a;
	char text[ADDRESS_TEXT];
	uint16_t port;
	int listener, from, to;
	struct sender s = {.data = malloc(STREAM_BYTES)};
	uint8_t *got = malloc(STREAM_BYTES);
	struct tun t;
	struct mirror m;
	pthread_t thread;
	size_t done = 0;
	ssize_t n;

	random_fill(s.data, STREAM_BYTES);
	open_tun(&t, "weirtest0", 1, plain);
	bring_up(nl, "weirtest0", 1420);
	mirror_start(&m, &t);
	listener = tcp_listen(near, &port);
	snprintf(text, sizeof(text), strchr(far, ':') ? "[%s]:%u" : "%s:%u", far, port);
	assert_true(address_parse(&a, text));
	from = socket(a.sa.sa_family, SOCK_STREAM, 0);
	assert_int_equal(connect(from, &a.sa, address_len(&a)), 0);
	to = accept(listener, NULL, NULL);
	assert_true(to >= 0);
	s.fd = from;
	assert_int_equal(pthread_create(&thread, NULL, send_stream, &s), 0);
	while (done < STREAM_BYTES && (n = recv(to, got + done, STREAM_BYTES - done, 0)) > 0)
		done += (size_t)n;
	pthread_join(thread, NULL);
	assert_int_equal(done, STREAM_BYTES);
	assert_memory_equal(got, s.data, STREAM_BYTES);
	mirror_stop(&m);
	assert_true(m.packets > STREAM_BYTES / 1420);
	assert_int_equal(m.supers > 0, t.tso);
	close(from);
	close(to);
	close(listener);
	tun_close(&t);
	free(s.data);
	free(got);
}

static void tcp_runs_through(void **state)
{
	(void)state;
	stream_through("10.5.0.1", "10.5.0.2", false);
	stream_through("fd05::1", "fd05::2", false);
	stream_through("10.5.0.1", "10.5.0.2", true);
	stream_through("fd05::1", "fd05::2", true);
}

/* The kernel finishes a new IPv6 address behind our back, and drops what comes for it before that. */
static void wait_for_mirror(int fd, const union address *a)
{
	uint8_t probe = 0, got = 0;

	for (probe = 1; probe < 250; probe++) {
		struct pollfd p = {.fd = fd, .events = POLLIN};

		assert_int_equal(sendto(fd, &probe, 1, 0, &a->sa, address_len(a)), 1);
		while (got != probe && poll(&p, 1, 20) > 0)
			assert_int_equal(recv(fd, &got, 1, 0), 1);
		if (got == probe) /* and so are all that were sent before */
			return;
	}
	fail_msg("nothing comes back");
}

/* The kernel's GSO trains come whole where it grants USO; either way every datagram comes back. */
static void udp_runs_through(void **state)
{
	const char *near[] = {"10.5.0.1", "fd05::1"}, *far[] = {"10.5.0.2", "fd05::2"};
	uint8_t data[20 * 1000 + 77], got[2000];
	struct timeval patience = {.tv_sec = 5};
	struct tun t;
	struct mirror m;
	int segment = 1000;

	(void)state;
	random_fill(data, sizeof(data));
	open_tun(&t, "weirtest0", 1, false);
	bring_up(nl, "weirtest0", 1420);
	mirror_start(&m, &t);
	for (int i = 0; i < 2; i++) {
		union address a;
		socklen_t len = sizeof(a);
		char text[ADDRESS_TEXT];
		size_t done = 0;
		int fd;

		snprintf(text, sizeof(text), i ? "[%s]:0" : "%s:0", near[i]);
		assert_true(address_parse(&a, text));
		fd = socket(a.sa.sa_family, SOCK_DGRAM, 0);
		assert_int_equal(bind(fd, &a.sa, address_len(&a)), 0);
		assert_int_equal(getsockname(fd, &a.sa, &len), 0);
		assert_int_equal(inet_pton(a.sa.sa_family, far[i],
					   i ? (void *)&a.in6.sin6_addr : (void *)&a.in.sin_addr),
				 1);
		assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
		wait_for_mirror(fd, &a);
		assert_int_equal(setsockopt(fd, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment)), 0);
		assert_int_equal(sendto(fd, data, sizeof(data), 0, &a.sa, address_len(&a)), sizeof(data));
		while (done < sizeof(data)) {
			ssize_t n = recv(fd, got, sizeof(got), 0);

			assert_int_equal(n, sizeof(data) - done < 1000 ? sizeof(data) - done : 1000);
			assert_memory_equal(got, data + done, (size_t)n);
			done += (size_t)n;
		}
		close(fd);
	}
	mirror_stop(&m);
	assert_int_equal(m.supers, t.uso ? 2 : 0);
	tun_close(&t);
}

static void nothing_waits_is_zero(void **state)
{
	struct virtio_net_hdr h;
	uint8_t packet[2000];
	struct tun t;

	(void)state;
	open_tun(&t, "weirtest0", 2, false);
	assert_int_equal(tun_read(&t, 0, &h, packet, sizeof(packet)), 0);
	assert_int_equal(tun_read(&t, 1, &h, packet, sizeof(packet)), 0);
	tun_close(&t);
}

static void deletion_is_seen(void **state)
{
	struct virtio_net_hdr h = {0};
	uint8_t packet[2000] = {0x45};
	struct iovec iov[2] = {[1] = {packet, 100}};
	struct tun t;

	(void)state;
	open_tun(&t, "weirtest0", 2, false);
	bring_up(nl, "weirtest0", 1420);
	assert_false(tun_is_gone(&t));
	assert_int_equal(tun_get_mtu(&t), 1420);
	delete_link(netlink_ifindex(nl, "weirtest0"));
	assert_true(tun_is_gone(&t));
	assert_int_equal(tun_get_mtu(&t), -ENODEV);
	assert_int_equal(tun_read(&t, 1, &h, packet, sizeof(packet)), -EBADFD);
	assert_int_equal(tun_write(&t, 0, &h, iov, 2), -EBADFD);
	tun_close(&t);
}

/* A second network: opened by stepping into it and back. */
static int other_network(struct netlink **n)
{
	int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC), away;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	away = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	*n = netlink_open(NULL);
	assert_non_null(*n);
	assert_int_equal(setns(home, CLONE_NEWNET), 0);
	close(home);
	return away;
}

/* Sets what netlink.h cannot, on a link of the network where this thread is. */
static void change_link(const char *name, uint16_t attribute, const void *value, size_t len)
{
	char buf[256];
	struct mnl_socket *s = mnl_socket_open(NETLINK_ROUTE);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *body;

	nlh->nlmsg_type = RTM_NEWLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	body = mnl_nlmsg_put_extra_header(nlh, sizeof(*body));
	body->ifi_index = (int)if_nametoindex(name);
	mnl_attr_put(nlh, attribute, len, value);
	assert_true(mnl_socket_sendto(s, nlh, nlh->nlmsg_len) > 0);
	assert_true(mnl_socket_recvfrom(s, buf, sizeof(buf)) > 0);
	assert_int_equal(((struct nlmsgerr *)mnl_nlmsg_get_payload((struct nlmsghdr *)buf))->error, 0);
	mnl_socket_close(s);
}

/* wg-quick setups move the device into a container: it is still ours to read, and MTU and name are found
 * there. */
static void moved_to_another_network(void **state)
{
	struct netlink *there;
	int ns = other_network(&there), index, fd;
	struct tun t, namesake;
	struct virtio_net_hdr h;
	uint8_t packet[2000];
	union address a;
	struct packet_view v;
	ssize_t n = 0;

	(void)state;
	open_tun(&t, "weirtest0", 1, false);
	assert_int_equal(netlink_link_set(nl, netlink_ifindex(nl, "weirtest0"), 1420, -1, 0), 0);
	change_link("weirtest0", IFLA_NET_NS_FD, &ns, sizeof(ns));
	assert_int_equal(netlink_ifindex(nl, "weirtest0"), -ENODEV);
	open_tun(&namesake, "weirtest0", 1, false);
	assert_int_equal(netlink_link_set(nl, netlink_ifindex(nl, "weirtest0"), 1111, -1, 0), 0);

	assert_false(tun_is_gone(&t));
	bring_up(there, "weirtest0", 1337);
	assert_int_equal(tun_get_mtu(&t), 1337);
	assert_int_equal(tun_get_mtu(&namesake), 1111);

	/* A packet that is sent there comes out here. */
	assert_int_equal(setns(ns, CLONE_NEWNET), 0);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	assert_true(address_parse(&a, "10.5.0.2:9"));
	assert_int_equal(sendto(fd, "hello", 5, 0, &a.sa, address_len(&a)), 5);
	close(fd);
	for (int i = 0; i < 100; i++) {
		struct pollfd p = {.fd = t.fds[0], .events = POLLIN};
		struct segmenter s;

		assert_int_equal(poll(&p, 1, 5000), 1);
		n = tun_read(&t, 0, &h, packet, sizeof(packet));
		assert_true(n > 0);
		if (packet[0] >> 4 != 4) /* the kernel talks IPv6 unasked */
			continue;
		assert_int_equal(segmenter_init(&s, &h, packet, (size_t)n), 0);
		n = (ssize_t)segmenter_next(&s, packet + 1000);
		break;
	}
	assert_true(packet_check(&v, packet + 1000, (size_t)n));
	assert_int_equal(v.payload_len, 5);
	assert_memory_equal(v.payload, "hello", 5);

	index = netlink_ifindex(there, "weirtest0");
	assert_int_equal(netlink_link_set(there, index, 0, 0, 0), 0);
	change_link("weirtest0", IFLA_IFNAME, "renamed", 8);
	assert_int_equal(tun_get_mtu(&t), 1337);
	assert_string_equal(t.name, "renamed");
	delete_link(index);
	assert_true(tun_is_gone(&t));
	assert_false(tun_is_gone(&namesake));
	tun_close(&t);
	tun_close(&namesake);
	netlink_close(there);
	close(ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(errors_have_words),	    cmocka_unit_test(adopt),
		cmocka_unit_test(nothing_waits_is_zero),    cmocka_unit_test(tcp_runs_through),
		cmocka_unit_test(udp_runs_through),	    cmocka_unit_test(deletion_is_seen),
		cmocka_unit_test(moved_to_another_network),
	};
	struct tun t;
	struct error e;

	if (!own_network())
		return 77;
	if (tun_open(&t, "weirtest0", 1, false, &e)) {
		print_message("skipped: %s\n", e.text);
		return 77;
	}
	tun_close(&t);
	nl = netlink_open(&e);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
