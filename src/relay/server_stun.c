/* The STUN responder: batches of datagrams, an answer to each request, limits by source, whatever it asks. */
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "relay/server_internal.h"

#include <stdlib.h>

#define BATCH	     32
#define TURNS	     8	  /* batches, before the clients get their turn again */
#define REQUEST_MAX  1500 /* what is longer is cut, and malformed for that */
#define CONTROL_ROOM 64

/*
 * Requests of one source: 20 a second, 60 at once. ICE asks a few times per socket; what asks more is a
 * mistake, or uses us to send answers to somebody else (they are two to four times as long as the question).
 * Buckets are shared by hash, under a key of our own, so the table never grows and nobody can choose whom to
 * share with.
 */
#define BUCKETS 4096
#define EACH	(NS_PER_SEC / 20)
#define DEPTH	60

struct stun_limiter {
	uint8_t key[32];
	uint64_t free_at[BUCKETS]; /* when the bucket is full again */
};

struct stun_limiter *stun_limiter_new(void)
{
	struct stun_limiter *l = xcalloc(1, sizeof(*l));

	crypto_random(l->key, sizeof(l->key));
	return l;
}

void stun_limiter_free(struct stun_limiter *l)
{
	free(l);
}

static bool stun_limiter_allows(struct stun_limiter *l, const union address *from, uint64_t now)
{
	uint8_t address[16], hash[MAC_LEN];
	uint64_t *bucket;
	uint16_t slot;

	server_address_key(from, address);
	blake2s_mac(hash, l->key, sizeof(l->key), address, sizeof(address));
	memcpy(&slot, hash, sizeof(slot));
	bucket = &l->free_at[slot % BUCKETS];
	if (*bucket < now)
		*bucket = now;
	if (*bucket - now > (DEPTH - 1) * EACH)
		return false;
	*bucket += EACH;
	return true;
}

struct slot {
	union address from;
	struct iovec iov;
	uint8_t request[REQUEST_MAX];
	struct stun_response response;
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_ROOM];
};

/* The address that the request was sent to; AF_UNSPEC: not known. */
static union address sent_to(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	union address a = {0};

	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		a.in.sin_family = AF_INET;
		a.in.sin_addr = ((struct in_pktinfo *)CMSG_DATA(c))->ipi_spec_dst;
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_addr = ((struct in6_pktinfo *)CMSG_DATA(c))->ipi6_addr;
		server_unmap(&a);
	}
	return a;
}

/* From that address, and no interface: routes may differ. */
static void keep_source(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);

	if (c && c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
		struct in_pktinfo *info = (struct in_pktinfo *)CMSG_DATA(c);

		info->ipi_ifindex = 0;
		m->msg_controllen = CMSG_SPACE(sizeof(*info));
	} else if (c && c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
		struct in6_pktinfo *info = (struct in6_pktinfo *)CMSG_DATA(c);

		if (!IN6_IS_ADDR_LINKLOCAL(&info->ipi6_addr))
			info->ipi6_ifindex = 0;
		m->msg_controllen = CMSG_SPACE(sizeof(*info));
	} else {
		m->msg_control = NULL;
		m->msg_controllen = 0;
	}
}

/* Our addresses as they are seen from the socket `here`, which may be bound to all of the host's: that of the
 * request is told by the kernel then. */
static void find_places(const struct server *s, unsigned here, struct msghdr *m,
			union address out[STUN_PLACES])
{
	union address to = sent_to(m);

	memset(out, 0, STUN_PLACES * sizeof(*out));
	for (unsigned i = 0; i < STUN_PLACES && to.sa.sa_family != AF_UNSPEC; i++) {
		if (s->stun[here ^ i].fd < 0)
			continue;
		out[i] = i & STUN_OTHER_ADDRESS ? s->stun_bound[here ^ i] : to;
		out[i].in.sin_port = s->stun_bound[here ^ i].in.sin_port; /* at one place in both families */
	}
}

/* The answer in place of the request; false: there is none. Port 0 is no place to answer to. */
static bool answer(struct server *s, unsigned here, struct slot *slot, struct mmsghdr *in, uint64_t now)
{
	union address from = slot->from, places[STUN_PLACES];
	enum stun_verdict verdict;

	slot->response.len = 0;
	server_unmap(&from);
	if (!stun_limiter_allows(s->stun_limiter, &from, now)) {
		s->stun_counts.limited++;
		return false;
	}
	find_places(s, here, &in->msg_hdr, places);
	verdict = stun_answer(slot->request, in->msg_len, &from, places, &slot->response);
	s->stun_counts.verdicts[verdict]++;
	slot->iov = (struct iovec){slot->response.bytes, slot->response.len};
	return slot->response.len && from.in.sin_port;
}

static void send_answers(struct server *s, int fd, struct mmsghdr *out, unsigned count)
{
	for (unsigned sent = 0; sent < count;) {
		int n = sendmmsg(fd, out + sent, count - sent, MSG_DONTWAIT);

		/* What cannot go out is lost, as any datagram may be; the client asks again. */
		s->stun_counts.failed += n < 1;
		sent += n < 1 ? 1 : (unsigned)n;
	}
}

/* False when the socket has no more. */
static bool turn(struct server *s, unsigned here, struct slot *slots, uint64_t now)
{
	struct mmsghdr in[BATCH] = {0}, out[STUN_PLACES][BATCH];
	unsigned answers[STUN_PLACES] = {0};
	int got;

	for (unsigned i = 0; i < BATCH; i++) {
		slots[i].iov = (struct iovec){slots[i].request, REQUEST_MAX};
		in[i].msg_hdr = (struct msghdr){.msg_name = &slots[i].from,
						.msg_namelen = sizeof(slots[i].from),
						.msg_iov = &slots[i].iov,
						.msg_iovlen = 1,
						.msg_control = slots[i].control,
						.msg_controllen = CONTROL_ROOM};
	}
	got = recvmmsg(s->stun[here].fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++) {
		unsigned place;
		struct mmsghdr *m;

		if (!answer(s, here, &slots[i], &in[i], now))
			continue;
		place = slots[i].response.place;
		m = &out[place][answers[place]++];
		*m = in[i];
		m->msg_hdr.msg_flags = 0;
		if (place & STUN_OTHER_ADDRESS) { /* its socket is bound to that address alone */
			m->msg_hdr.msg_control = NULL;
			m->msg_hdr.msg_controllen = 0;
		} else {
			keep_source(&m->msg_hdr);
		}
	}
	for (unsigned i = 0; i < STUN_PLACES; i++)
		send_answers(s, s->stun[here ^ i].fd, out[i], answers[i]);
	return got == BATCH;
}

void server_stun_ready(struct server *s, int fd)
{
	static struct slot slots[BATCH];
	uint64_t now = clock_boot_ns();
	unsigned here = 0;

	while (here < STUN_PLACES - 1 && s->stun[here].fd != fd)
		here++;
	for (unsigned i = 0; i < TURNS && turn(s, here, slots, now); i++)
		;
}
