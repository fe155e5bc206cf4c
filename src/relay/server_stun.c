/* The STUN responder: batches of datagrams, an answer to each request, limits by source. */
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
 * mistake, or uses us to send answers to somebody else (they are two to three times as long as the question).
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
	uint8_t response[STUN_RESPONSE_MAX];
	_Alignas(struct cmsghdr) uint8_t control[CONTROL_ROOM];
};

/* The address that the request was sent to, and no interface: routes may differ. Port 0 is no place to answer
 * to. */
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

/* The answer in place of the request; false: there is none. */
static bool answer(struct server *s, struct slot *slot, size_t len, uint64_t now)
{
	union address from = slot->from;
	enum stun_verdict verdict;
	size_t answer_len;

	server_unmap(&from);
	if (!stun_limiter_allows(s->stun_limiter, &from, now)) {
		s->stun_counts.limited++;
		return false;
	}
	verdict = stun_answer(slot->request, len, &from, slot->response, &answer_len);
	s->stun_counts.verdicts[verdict]++;
	slot->iov = (struct iovec){slot->response, answer_len};
	return answer_len && from.in.sin_port;
}

/* False when the socket has no more. */
static bool turn(struct server *s, int fd, struct slot *slots, uint64_t now)
{
	struct mmsghdr in[BATCH] = {0}, out[BATCH];
	unsigned answers = 0;
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
	got = recvmmsg(fd, in, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++) {
		if (!answer(s, &slots[i], in[i].msg_len, now))
			continue;
		out[answers] = in[i];
		keep_source(&out[answers].msg_hdr);
		out[answers].msg_hdr.msg_flags = 0;
		answers++;
	}
	for (unsigned sent = 0; sent < answers;) {
		int n = sendmmsg(fd, out + sent, answers - sent, MSG_DONTWAIT);

		/* What cannot go out is lost, as any datagram may be; the client asks again. */
		s->stun_counts.failed += n < 1;
		sent += n < 1 ? 1 : (unsigned)n;
	}
	return got == BATCH;
}

void server_stun_ready(struct server *s, int fd)
{
	static struct slot slots[BATCH];
	uint64_t now = clock_boot_ns();

	for (unsigned i = 0; i < TURNS && turn(s, fd, slots, now); i++)
		;
}
