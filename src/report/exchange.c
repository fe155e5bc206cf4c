#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "report/internal.h"

#define REQUEST_MAX 9000
#define TRIES	    3

int probe_socket(int family, uint32_t fwmark, bool *marked)
{
	union address any = {.sa.sa_family = (sa_family_t)family};
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	if (fd < 0)
		return -errno;
	if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	/* Needs CAP_NET_ADMIN; without it the report is that of any program's packets. */
	if (fwmark && setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)) == 0 && marked)
		*marked = true;
	if (bind(fd, &any.sa, address_len(&any))) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

static void ask_again(int fd, struct question *q)
{
	uint8_t request[REQUEST_MAX];
	unsigned len = q->len < ASK_MIN ? ASK_MIN : q->len > REQUEST_MAX ? REQUEST_MAX : q->len;

	if (!q->sent) {
		q->sent = clock_boot_ns();
		if (getrandom(q->transaction, sizeof(q->transaction), 0) < 0)
			memcpy(q->transaction, &q->sent, sizeof(q->sent));
	}
	stun_ask(request, len, q->transaction, q->change);
	q->error = sendto(fd, request, len, 0, &q->to.sa, address_len(&q->to)) < 0 ? errno : 0;
}

static unsigned take_answers(int fd, struct question *q, unsigned count)
{
	uint8_t reply[2048];
	unsigned taken = 0;
	ssize_t n;

	while ((n = recv(fd, reply, sizeof(reply), 0)) >= 0 || (errno != EAGAIN && errno != EINTR)) {
		struct stun_reply r;

		if (n < 0) {
			/* An ICMP error of some question: its answer just does not come. */
			if (errno == ECONNREFUSED || errno == EHOSTUNREACH || errno == ENETUNREACH ||
			    errno == EMSGSIZE)
				continue;
			break;
		}
		if (!stun_read(reply, (size_t)n, &r))
			continue;
		for (unsigned i = 0; i < count; i++) {
			if (q[i].answered || memcmp(q[i].transaction, r.transaction, ASK_TRANSACTION) != 0)
				continue;
			q[i].answered = true;
			q[i].rtt = clock_boot_ns() - q[i].sent;
			q[i].reply = r;
			taken++;
		}
	}
	return taken;
}

void exchange(int fd, struct question *q, unsigned count, uint64_t wait)
{
	uint64_t start = clock_boot_ns(), end = start + wait, now = start;
	unsigned open = count, tries = 0;

	while (open && now < end) {
		uint64_t next = tries < TRIES ? start + tries * wait / 4 : end;

		if (now >= next) {
			for (unsigned i = 0; i < count; i++)
				if (!q[i].answered)
					ask_again(fd, &q[i]);
			tries++;
		} else {
			struct pollfd p = {.fd = fd, .events = POLLIN};

			if (poll(&p, 1, (int)((next - now) / NS_PER_MS) + 1) > 0)
				open -= take_answers(fd, q, count);
		}
		now = clock_boot_ns();
	}
}
