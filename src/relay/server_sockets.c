/* Sockets of the relay server, before the loop has them. */
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/endpoint.h"
#include "relay/server_internal.h"

#define BACKLOG	    4096
#define STUN_BUFFER (1 << 20)
#define DEAD_MS                                                                                              \
	20000 /* what is sent and not acknowledged for so long is lost, and the connection with it           \
	       */
#define KEEP_IDLE     10
#define KEEP_INTERVAL 5
#define KEEP_COUNT    2
#define UNSENT_MAX                                                                                           \
	(128 * 1024) /* the kernel's queue, beyond what is in flight: the rest waits in ours, where it can   \
		      * be dropped */

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

bool server_parse_address(const char *text, union address *a)
{
	return address_parse(a, text);
}

static int fail(int fd, const char *what, const union address *a, struct error *e)
{
	char text[ADDRESS_TEXT];
	int code = errno;

	if (fd >= 0)
		close(fd);
	address_format(text, a);
	if (code == EADDRINUSE)
		return error_set(e, code, "%s %s: another program uses this port", what, text);
	if (code == EACCES)
		return error_exit(e, EXIT_NOT_PERMITTED, code,
				  "%s %s: ports below 1024 need CAP_NET_BIND_SERVICE or root", what, text);
	return error_set(e, code, "%s %s: %s", what, text, strerror(code));
}

int server_listen(const char *text, const char *what, union address *bound, int *out, struct error *e)
{
	socklen_t len = sizeof(*bound);
	union address a;
	int fd;

	if (!address_parse(&a, text))
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "%s %s: give ADDRESS:PORT, for instance 0.0.0.0:443 or [::]:443", what,
				  text);
	fd = socket(a.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fail(fd, what, &a, e);
	set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	/* One socket for both families when it is [::]. */
	if (a.sa.sa_family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (bind(fd, &a.sa, address_len(&a)) || listen(fd, BACKLOG) || getsockname(fd, &bound->sa, &len))
		return fail(fd, what, &a, e);
	*out = fd;
	return 0;
}

int server_open_stun(const union address *at, const char *what, union address *bound, int *out,
		     struct error *e)
{
	int fd = socket(at->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	socklen_t len = sizeof(*bound);

	if (fd < 0)
		return fail(fd, what, at, e);
	/* The answer leaves from where the question came to, whatever the route back would say. */
	if (at->sa.sa_family == AF_INET6) {
		set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
		set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
	} else {
		set(fd, IPPROTO_IP, IP_PKTINFO, 1);
	}
	set(fd, SOL_SOCKET, SO_RCVBUF, STUN_BUFFER);
	if (bind(fd, &at->sa, address_len(at)) || getsockname(fd, &bound->sa, &len))
		return fail(fd, what, at, e);
	*out = fd;
	return 0;
}

/* A client that is gone without a word is found within 20 s, whether data waits for it (TCP_USER_TIMEOUT) or
 * not. */
void server_tune(int fd)
{
	set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE);
	set(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL);
	set(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	set(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, DEAD_MS);
	set(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_MAX);
}

/* A host may take any address of its /64: it counts as one. */
void server_address_key(const union address *a, uint8_t key[16])
{
	memset(key, 0, 16);
	if (a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
		memcpy(key, &a->in6.sin6_addr, 8);
		return;
	}
	key[10] = key[11] = 0xff;
	if (a->sa.sa_family == AF_INET6)
		memcpy(key + 12, a->in6.sin6_addr.s6_addr + 12, 4);
	else
		memcpy(key + 12, &a->in.sin_addr, 4);
}

bool server_address_local(const union address *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == 127;
	if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return a->in6.sin6_addr.s6_addr[12] == 127;
	return IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* On a socket for both families an IPv4 client has an IPv6 address; its own is the IPv4 one. */
void server_unmap(union address *a)
{
	struct in_addr four;
	in_port_t port;

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	memcpy(&four, a->in6.sin6_addr.s6_addr + 12, sizeof(four));
	port = a->in6.sin6_port;
	memset(a, 0, sizeof(*a));
	a->in.sin_family = AF_INET;
	a->in.sin_addr = four;
	a->in.sin_port = port;
}
