/* Opening the sockets, and reading from them; sending is in udp_send.c. */
#include "net/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/xalloc.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RECEIVE_BUFFER (8 << 20) /* a burst of trains must fit while the worker decrypts */
#define SEND_BUFFER    (4 << 20)
#define MESSAGE_MAX    65536
#define CONTROL_MAX    128
#define PORT_TRIES     16
#define READ_TRIES     4

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

/* The limit of net.core.rmem_max holds for those without CAP_NET_ADMIN only. */
static void set_buffers(int fd)
{
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER))
		set(fd, SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER);
	if (set(fd, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER))
		set(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
}

static int mark_error(struct error *e, uint32_t fwmark, int code)
{
	return error_set(e, code, "cannot set the firewall mark 0x%x: %s", fwmark,
			 code == EPERM ? "needs root or CAP_NET_ADMIN" : strerror(code));
}

/* Like the kernel's WireGuard, outer packets may be fragmented: DF is never set, and a too big one still
 * arrives. */
static int set_options(struct udp *u, int fd, int family, uint32_t fwmark, bool plain, struct error *e)
{
	int r;

	if (family == AF_INET6) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
		set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
		set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	} else {
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
		set(fd, IPPROTO_IP, IP_RECVTOS, 1);
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	}
	set_buffers(fd);
	if (plain || set(fd, IPPROTO_UDP, UDP_GRO, 1))
		u->gro = false;
	/* A kernel that does not know the option would send a whole train as one datagram. */
	if (plain || set(fd, IPPROTO_UDP, UDP_SEGMENT, 0))
		u->gso = false;
	if (!fwmark)
		return 0;
	r = set(fd, SOL_SOCKET, SO_MARK, (int)fwmark);
	return r ? mark_error(e, fwmark, -r) : 0;
}

static int bind_any(int fd, int family, uint16_t port)
{
	union address a = {0};

	a.sa.sa_family = (sa_family_t)family;
	if (family == AF_INET6)
		a.in6.sin6_port = htons(port);
	else
		a.in.sin_port = htons(port);
	return bind(fd, &a.sa, address_len(&a)) ? -errno : 0;
}

static int bound_port(int fd, uint16_t *port)
{
	union address a;
	socklen_t len = sizeof(a);

	if (getsockname(fd, &a.sa, &len))
		return -errno;
	*port = ntohs(a.sa.sa_family == AF_INET6 ? a.in6.sin6_port : a.in.sin_port);
	return 0;
}

static int bind_error(struct error *e, uint16_t port, int code)
{
	switch (code) {
	case EADDRINUSE:
		return error_set(e, code,
				 "UDP port %u is in use by another program: choose another ListenPort, or "
				 "find it with 'ss -lnup sport = :%u'",
				 port, port);
	case EACCES:
		return error_set(e, code,
				 "UDP port %u needs root or CAP_NET_BIND_SERVICE: choose a port above 1023",
				 port);
	default:
		return error_set(e, code, "cannot bind UDP port %u: %s", port, strerror(code));
	}
}

/* This machine has no such family, or it is switched off. */
static bool family_is_absent(int r)
{
	return r == -EAFNOSUPPORT || r == -EPROTONOSUPPORT || r == -EADDRNOTAVAIL;
}

/*
 * The sockets of one family, all on one port. The first is bound alone, so that a port in use is noticed;
 * then it opens the port to the others, which the kernel hashes remote addresses over. A family that is
 * absent leaves -1.
 */
static int open_family(struct udp *u, int family, int *fds, uint32_t fwmark, bool plain, struct error *e)
{
	for (unsigned i = 0; i < u->workers; i++) {
		int r, fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);

		if (fd < 0 && !i && family_is_absent(-errno))
			return 0;
		if (fd < 0)
			return error_set(e, errno, "cannot open a UDP socket: %s", strerror(errno));
		fds[i] = fd;
		r = set_options(u, fd, family, fwmark, plain, e);
		if (r)
			return r;
		r = i ? set(fd, SOL_SOCKET, SO_REUSEPORT, 1) : 0;
		if (!r)
			r = bind_any(fd, family, u->port);
		if (r && !i && family_is_absent(r)) {
			close(fd);
			fds[i] = -1;
			return 0;
		}
		if (!r && !i)
			r = bound_port(fd, &u->port);
		if (!r && !i && u->workers > 1)
			r = set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
		if (r)
			return bind_error(e, u->port, -r);
	}
	return 0;
}

static void clear(struct udp *u)
{
	memset(u, 0, sizeof(*u));
	for (unsigned i = 0; i < UDP_SOCKETS_MAX; i++)
		u->v4[i] = u->v6[i] = -1;
}

static int open_both(struct udp *u, uint16_t port, unsigned workers, uint32_t fwmark, bool plain,
		     struct error *e)
{
	int r;

	clear(u);
	u->port = port;
	u->workers = workers;
	u->gro = true;
	u->gso = true;
	r = open_family(u, AF_INET, u->v4, fwmark, plain, e);
	if (!r)
		r = open_family(u, AF_INET6, u->v6, fwmark, plain, e);
	if (!r && u->v4[0] < 0 && u->v6[0] < 0)
		r = error_set(e, EAFNOSUPPORT, "this system has neither IPv4 nor IPv6");
	if (r)
		udp_close(u);
	return r;
}

int udp_open(struct udp *u, uint16_t port, unsigned workers, uint32_t fwmark, bool plain, struct error *e)
{
	int r = -EADDRINUSE;

	if (workers < 1 || workers > UDP_SOCKETS_MAX) {
		clear(u);
		return error_set(e, EINVAL, "%u sockets: 1 to %d are possible", workers, UDP_SOCKETS_MAX);
	}
	/* A port that the kernel found free in IPv4 may be taken in IPv6. */
	for (int i = 0; i < (port ? 1 : PORT_TRIES) && r == -EADDRINUSE; i++)
		r = open_both(u, port, workers, fwmark, plain, e);
	return r;
}

void udp_close(struct udp *u)
{
	for (unsigned i = 0; i < UDP_SOCKETS_MAX; i++) {
		if (u->v4[i] >= 0)
			close(u->v4[i]);
		if (u->v6[i] >= 0)
			close(u->v6[i]);
	}
	clear(u);
}

int udp_set_fwmark(struct udp *u, uint32_t fwmark, struct error *e)
{
	for (unsigned i = 0; i < u->workers; i++) {
		int r = 0;

		if (u->v4[i] >= 0)
			r = set(u->v4[i], SOL_SOCKET, SO_MARK, (int)fwmark);
		if (!r && u->v6[i] >= 0)
			r = set(u->v6[i], SOL_SOCKET, SO_MARK, (int)fwmark);
		if (r)
			return mark_error(e, fwmark, -r);
	}
	return 0;
}

union control {
	char bytes[CONTROL_MAX];
	struct cmsghdr align;
};

struct udp_receiver {
	unsigned batch;
	uint8_t *buffers;
	struct mmsghdr *headers;
	struct iovec *iov;
	union address *from;
	union control *control;
	struct udp_message *messages;
};

struct udp_receiver *udp_receiver_new(unsigned batch)
{
	struct udp_receiver *r = xcalloc(1, sizeof(*r));

	r->batch = batch;
	r->headers = xcalloc(batch, sizeof(*r->headers));
	r->iov = xcalloc(batch, sizeof(*r->iov));
	r->from = xcalloc(batch, sizeof(*r->from));
	r->control = xcalloc(batch, sizeof(*r->control));
	r->messages = xcalloc(batch, sizeof(*r->messages));
	/* Cache lines of their own; pages that are never filled cost no memory. */
	if (posix_memalign((void **)&r->buffers, 64, (size_t)batch * MESSAGE_MAX))
		abort();
	for (unsigned i = 0; i < batch; i++) {
		struct msghdr *h = &r->headers[i].msg_hdr;

		r->iov[i].iov_base = r->buffers + (size_t)i * MESSAGE_MAX;
		r->iov[i].iov_len = MESSAGE_MAX;
		h->msg_iov = &r->iov[i];
		h->msg_iovlen = 1;
		h->msg_name = &r->from[i];
		h->msg_namelen = sizeof(r->from[i]);
		h->msg_control = &r->control[i];
		h->msg_controllen = sizeof(r->control[i]);
	}
	return r;
}

void udp_receiver_free(struct udp_receiver *r)
{
	if (!r)
		return;
	free(r->buffers);
	free(r->headers);
	free(r->iov);
	free(r->from);
	free(r->control);
	free(r->messages);
	free(r);
}

static void take_control(struct udp_message *m, const struct cmsghdr *c)
{
	const void *data = CMSG_DATA(c);

	if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
		int segment;

		memcpy(&segment, data, sizeof(segment));
		if (segment > 0)
			m->segment = (size_t)segment;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo info;

		memcpy(&info, data, sizeof(info));
		m->from.local.in = info.ipi_spec_dst;
		m->from.ifindex = (uint32_t)info.ipi_ifindex;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo info;

		memcpy(&info, data, sizeof(info));
		m->from.local.in6 = info.ipi6_addr;
		m->from.ifindex = info.ipi6_ifindex;
	} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		m->ecn = *(const uint8_t *)data & 3;
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		int tclass;

		memcpy(&tclass, data, sizeof(tclass));
		m->ecn = (uint8_t)tclass & 3;
	}
}

static void take_message(struct udp_message *m, struct mmsghdr *h)
{
	memset(m, 0, sizeof(*m));
	m->data = h->msg_hdr.msg_iov->iov_base;
	m->len = m->segment = h->msg_len;
	m->from.remote = *(const union address *)h->msg_hdr.msg_name;
	if (m->from.remote.sa.sa_family == AF_INET6)
		m->from.remote.in6.sin6_flowinfo = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&h->msg_hdr); c; c = CMSG_NXTHDR(&h->msg_hdr, c))
		take_control(m, c);
	if (m->segment > m->len)
		m->segment = m->len;
	/* For the next read; the kernel wrote its own lengths here. */
	h->msg_hdr.msg_namelen = sizeof(union address);
	h->msg_hdr.msg_controllen = sizeof(union control);
}

int udp_receive(struct udp_receiver *r, int fd, struct udp_message **messages)
{
	int n = -1, count = 0;

	*messages = r->messages;
	/* What ICMP said of an earlier packet is reported once, ahead of what waits; it must not stop the
	 * reading. */
	for (int i = 0; i < READ_TRIES && n < 0; i++) {
		n = recvmmsg(fd, r->headers, r->batch, MSG_DONTWAIT, NULL);
		if (n < 0 && (errno == EAGAIN || errno == EBADF || errno == ENOTSOCK))
			break;
	}
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	for (int i = 0; i < n; i++) {
		struct mmsghdr *h = &r->headers[i];
		bool whole = !(h->msg_hdr.msg_flags & MSG_TRUNC);

		take_message(&r->messages[count], h);
		if (whole && r->messages[count].len)
			count++;
	}
	return count;
}
