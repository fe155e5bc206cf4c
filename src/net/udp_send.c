/*
 * Sending. Trains become messages, each at most what one UDP_SEGMENT call takes, and as many of them as
 * possible go out in one sendmmsg. That call stops at the first message it cannot send; what is done about it
 * depends on the error, and then the batch is built again from that very message, so nothing is lost or sent
 * twice.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>

#include "net/udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

#define BATCH	  64
#define WAIT_MS	  2
#define WAITS_MAX 4 /* per call: a socket that stays full costs at most 8 ms, then packets are dropped */
/* Trains of datagrams up to this size fit every MTU that IPv6 allows (1280) with their headers. */
#define SAFE_SEGMENT 1200

union control {
	char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(int)) +
		   CMSG_SPACE(sizeof(uint16_t))];
	struct cmsghdr align;
};

struct sender {
	_Atomic bool *gso;
	int fd;
	struct udp_train *trains;
	unsigned train, end; /* the run: trains of one family, [train, end) */
	size_t offset;	     /* bytes of the first one that are done */

	bool single;	/* the first train goes out datagram by datagram */
	bool doubtful;	/* ... because of an EINVAL that may have meant the source address */
	bool refused;	/* a pending error was cleared, once */
	unsigned waits; /* what is left of WAITS_MAX */

	unsigned count;
	struct mmsghdr headers[BATCH];
	struct iovec iov[BATCH];
	union address to[BATCH];
	union control control[BATCH];
	unsigned of[BATCH]; /* train that the message belongs to */
};

static bool has_source(const struct udp_train *t)
{
	static const struct in6_addr none;

	if (t->source_lost)
		return false;
	if (t->to->remote.sa.sa_family == AF_INET6)
		return memcmp(&t->to->local.in6, &none, sizeof(none)) != 0;
	return t->to->local.in.s_addr != 0;
}

static void put_control(struct msghdr *h, int level, int type, const void *data, size_t len)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)h->msg_control + h->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(len);
	memcpy(CMSG_DATA(c), data, len);
	h->msg_controllen += CMSG_SPACE(len);
}

/*
 * The address alone is given, not the interface: the route to the peer may have moved, and the source address
 * still be right. Link-local addresses mean nothing without the interface.
 */
static void put_source(struct msghdr *h, const struct endpoint *e)
{
	if (e->remote.sa.sa_family == AF_INET6) {
		struct in6_pktinfo info = {.ipi6_addr = e->local.in6};

		if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
			info.ipi6_ifindex =
				e->remote.in6.sin6_scope_id ? e->remote.in6.sin6_scope_id : e->ifindex;
		put_control(h, IPPROTO_IPV6, IPV6_PKTINFO, &info, sizeof(info));
	} else {
		struct in_pktinfo info = {.ipi_spec_dst = e->local.in};

		put_control(h, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	}
}

/* How much of the train, from offset on, goes into one message. */
static size_t chunk_len(const struct udp_train *t, size_t offset, bool gso)
{
	size_t left = t->len - offset, segment = t->segment ? t->segment : t->len, count = 1;

	if (gso && segment < UDP_TRAIN_BYTES_MAX)
		count = UDP_TRAIN_BYTES_MAX / segment;
	if (count > UDP_TRAIN_MAX)
		count = UDP_TRAIN_MAX;
	return left < count * segment ? left : count * segment;
}

static void put_message(struct sender *s, unsigned train, size_t offset, size_t len)
{
	const struct udp_train *t = &s->trains[train];
	bool v6 = t->to->remote.sa.sa_family == AF_INET6;
	unsigned i = s->count++;
	struct msghdr *h = &s->headers[i].msg_hdr;

	s->of[i] = train;
	s->iov[i].iov_base = (uint8_t *)(uintptr_t)t->data + offset;
	s->iov[i].iov_len = len;
	s->to[i] = t->to->remote;
	memset(&s->control[i], 0, sizeof(s->control[i]));
	*h = (struct msghdr){
		.msg_name = &s->to[i],
		.msg_namelen = address_len(&t->to->remote),
		.msg_iov = &s->iov[i],
		.msg_iovlen = 1,
		.msg_control = &s->control[i],
	};
	if (has_source(t))
		put_source(h, t->to);
	if (t->ecn) {
		int tos = t->ecn & 3;

		put_control(h, v6 ? IPPROTO_IPV6 : IPPROTO_IP, v6 ? IPV6_TCLASS : IP_TOS, &tos, sizeof(tos));
	}
	if (t->segment && len > t->segment) {
		uint16_t segment = (uint16_t)t->segment;

		put_control(h, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	}
	if (!h->msg_controllen)
		h->msg_control = NULL;
}

static void build(struct sender *s)
{
	bool gso = atomic_load_explicit(s->gso, memory_order_relaxed);
	size_t offset = s->offset;

	s->count = 0;
	for (unsigned i = s->train; i < s->end; i++, offset = 0) {
		while (offset < s->trains[i].len) {
			size_t len = chunk_len(&s->trains[i], offset, gso && !(s->single && i == s->train));

			if (s->count == BATCH)
				return;
			put_message(s, i, offset, len);
			offset += len;
		}
	}
}

static void next_train(struct sender *s)
{
	s->train++;
	s->offset = 0;
	s->single = s->doubtful = s->refused = false;
}

static void skip_empty(struct sender *s)
{
	while (s->train < s->end && s->offset >= s->trains[s->train].len)
		next_train(s);
}

/* The first `sent` messages are out. */
static void advance(struct sender *s, unsigned sent)
{
	/*
	 * A single datagram went where its train did not, with the same source, and its size cannot have been
	 * the reason: this kernel or this route refuses GSO.
	 */
	if (s->doubtful && s->trains[s->train].segment <= SAFE_SEGMENT)
		atomic_store_explicit(s->gso, false, memory_order_relaxed);
	s->doubtful = false;
	for (unsigned i = 0; i < sent; i++) {
		while (s->train < s->of[i])
			next_train(s);
		s->offset += s->iov[i].iov_len;
	}
	skip_empty(s);
}

/* The socket buffer is full. True if it is worth another try. */
static bool wait_for_room(struct sender *s)
{
	struct pollfd p = {.fd = s->fd, .events = POLLOUT};

	if (!s->waits)
		return false;
	s->waits--;
	return poll(&p, 1, WAIT_MS) > 0;
}

static bool blames_source(int code)
{
	return code == EINVAL || code == ENETUNREACH || code == EHOSTUNREACH || code == EADDRNOTAVAIL ||
	       code == ENODEV || code == ENXIO || code == ENETDOWN;
}

/* The first message of the batch failed: finds another way for it, or gives its train up. */
static void recover(struct sender *s, int code)
{
	struct udp_train *t = &s->trains[s->train];
	bool train = t->segment && s->iov[0].iov_len > t->segment;

	switch (code) {
	case EINTR:
		return;
	case EAGAIN:
	case ENOBUFS:
		if (wait_for_room(s))
			return;
		break;
	case EIO: /* no checksum offload on the way, or IPsec */
		if (!train)
			break;
		atomic_store_explicit(s->gso, false, memory_order_relaxed);
		return;
	case EMSGSIZE: /* segments above the MTU: alone they are fragmented */
		if (!train)
			break;
		s->single = true;
		return;
	case EINVAL: /* EMSGSIZE of older kernels, or the source address */
		if (!train)
			break;
		s->single = s->doubtful = true;
		return;
	case ECONNREFUSED:
		if (s->refused)
			break;
		s->refused = true;
		return;
	default:
		break;
	}
	if (blames_source(code) && has_source(t)) {
		t->source_lost = true;
		s->single = s->doubtful = false;
		return;
	}
	t->error = -code;
	next_train(s);
	skip_empty(s);
}

static void send_run(struct sender *s)
{
	skip_empty(s);
	while (s->train < s->end) {
		int sent;

		build(s);
		sent = sendmmsg(s->fd, s->headers, s->count, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (sent > 0)
			advance(s, (unsigned)sent);
		else
			recover(s, sent < 0 ? errno : EAGAIN);
	}
}

int udp_socket(const struct udp *u, unsigned worker, const struct endpoint *to)
{
	switch (to->remote.sa.sa_family) {
	case AF_INET:
		return u->v4[worker];
	case AF_INET6:
		return u->v6[worker];
	default:
		return -1;
	}
}

static void sender_init(struct sender *s, _Atomic bool *gso, struct udp_train *trains, unsigned count)
{
	s->gso = gso;
	s->trains = trains;
	s->waits = WAITS_MAX;
	for (unsigned i = 0; i < count; i++) {
		trains[i].source_lost = false;
		trains[i].error = 0;
	}
}

/* Trains [from, to), all by one socket. */
static void send_part(struct sender *s, int fd, unsigned from, unsigned to)
{
	s->fd = fd;
	s->train = from;
	s->end = to;
	s->offset = 0;
	s->single = s->doubtful = s->refused = false;
	send_run(s);
}

static unsigned sent_trains(const struct udp_train *trains, unsigned count)
{
	unsigned done = 0;

	for (unsigned i = 0; i < count; i++)
		done += !trains[i].error;
	return done;
}

unsigned udp_send_trains(struct udp *u, unsigned worker, struct udp_train *trains, unsigned count)
{
	struct sender s;
	unsigned end;

	sender_init(&s, &u->gso, trains, count);
	for (unsigned i = 0; i < count; i = end) {
		int fd = udp_socket(u, worker, trains[i].to);

		end = i + 1;
		if (fd < 0) {
			trains[i].error = endpoint_known(trains[i].to) ? -EAFNOSUPPORT : -EDESTADDRREQ;
			continue;
		}
		while (end < count && udp_socket(u, worker, trains[end].to) == fd)
			end++;
		send_part(&s, fd, i, end);
	}
	return sent_trains(trains, count);
}

unsigned udp_send_trains_fd(int fd, _Atomic bool *gso, struct udp_train *trains, unsigned count)
{
	struct sender s;

	sender_init(&s, gso, trains, count);
	send_part(&s, fd, 0, count);
	return sent_trains(trains, count);
}

int udp_send(struct udp *u, unsigned worker, const struct endpoint *e, uint8_t ecn, const void *data,
	     size_t len, size_t segment, bool *source_lost)
{
	struct udp_train t = {.to = e, .data = data, .len = len, .segment = segment, .ecn = ecn};

	udp_send_trains(u, worker, &t, 1);
	*source_lost = t.source_lost;
	return t.error;
}

static void set_option(int fd, int level, int option, int value)
{
	(void)setsockopt(fd, level, option, &value, sizeof(value));
}

static int get_option(int fd, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) ? 0 : value;
}

int udp_send_probe(int fd, const struct endpoint *to, const void *data, size_t len)
{
	bool v6 = to->remote.sa.sa_family == AF_INET6;
	int level = v6 ? IPPROTO_IPV6 : IPPROTO_IP, option = v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
	int before = get_option(fd, level, option);
	struct udp_train t = {.to = to, .data = data, .len = len, .segment = len};
	_Atomic bool gso = false;

	set_option(fd, level, option, v6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE);
	/* IPv6 fragments at the sender unless told not to. */
	if (v6)
		set_option(fd, level, IPV6_DONTFRAG, 1);
	udp_send_trains_fd(fd, &gso, &t, 1);
	if (v6)
		set_option(fd, level, IPV6_DONTFRAG, 0);
	set_option(fd, level, option, before);
	return t.error;
}
