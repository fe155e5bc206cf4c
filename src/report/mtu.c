/*
 * The largest packet that comes through to a STUN server, by requests that are filled up and must not be
 * fragmented. Routers that answer with ICMP teach the kernel, which then refuses to send; where they keep
 * silent, sizes that find no answer tell (RFC 8899's way). Many sizes are asked about at once: two or three
 * rounds are enough.
 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "report/internal.h"

#define SIZES	   12
#define ROUNDS	   3
#define ROUND_WAIT (900 * NS_PER_MS)
#define FLOOR4	   576
#define FLOOR6	   1280
#define CEILING	   1500 /* servers need not take more */

static unsigned headers(int family)
{
	return family == AF_INET ? 28 : 48; /* IP and UDP */
}

static void forbid_fragments(int fd, int family)
{
	int v4 = IP_PMTUDISC_DO, v6 = IPV6_PMTUDISC_DO;

	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof(v4));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof(v6));
}

/* What the kernel has learnt of the way of a connected socket. */
static unsigned known_mtu(int fd, int family)
{
	int mtu = 0;
	socklen_t len = sizeof(mtu);

	if (family == AF_INET ? getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len)
			      : getsockopt(fd, IPPROTO_IPV6, IPV6_MTU, &mtu, &len))
		return 0;
	return mtu > 0 ? (unsigned)mtu : 0;
}

/* Sizes from low (known to pass, or 0) to high, evenly, as datagrams of a length that STUN allows. */
static unsigned choose(struct question *q, const union address *to, unsigned low, unsigned high)
{
	unsigned over = headers(to->sa.sa_family), count = 0, last = 0;

	for (unsigned i = 0; i < SIZES; i++) {
		unsigned size = high - (high - low) * i / SIZES, len = (size - over) / 4 * 4;

		if (len + over <= low || len == last)
			continue;
		last = len;
		q[count++] = (struct question){.to = *to, .len = len};
	}
	return count;
}

void probe_mtu(struct report_family *out, const union address *server, uint32_t fwmark)
{
	int family = server->sa.sa_family, fd = probe_socket(family, fwmark, NULL);
	unsigned over = headers(family), low = (family == AF_INET ? FLOOR4 : FLOOR6) - 4, high, passed = 0;
	struct question q[SIZES];

	if (fd < 0)
		return;
	forbid_fragments(fd, family);
	if (connect(fd, &server->sa, address_len(server)) == 0 && (high = known_mtu(fd, family)) > low) {
		high = high > CEILING ? CEILING : high;
		for (unsigned round = 0; round < ROUNDS && low + 4 <= high; round++) {
			unsigned count = choose(q, server, low, high), lost = high + 1;

			if (!count)
				break;
			exchange(fd, q, count, ROUND_WAIT);
			for (unsigned i = 0; i < count; i++) {
				if (q[i].answered && q[i].len + over > passed)
					passed = q[i].len + over;
				else if (!q[i].answered && q[i].len + over < lost)
					lost = q[i].len + over;
			}
			if (!passed)
				break;
			low = passed;
			high = lost - 1;
		}
		out->path_mtu = passed;
		/* The kernel's own figure has come down if somebody told. */
		out->black_hole = passed && passed + 4 <= known_mtu(fd, family) && passed + 4 <= CEILING;
	}
	close(fd);
}
