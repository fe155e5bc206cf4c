#include "relay/dial.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"

#define ADDRESSES_MAX 4
#define ATTEMPTS_MAX  8
#define ATTEMPT_EVERY (700 * NS_PER_MS)
#define RESOLVE_WAIT  (400 * NS_PER_MS) /* then the last good address is tried beside */
#define DIAL_TIMEOUT  (5 * NS_PER_SEC)
#define PROXY_TIMEOUT (5 * NS_PER_SEC)
#define REPLY_MAX     4096
#define UNSENT_MAX                                                                                           \
	(128 * 1024)	     /* in the kernel, before it says "enough": what we queue ourselves we can drop */
#define SILENCE_MAX_MS 30000 /* data that is not acknowledged for so long: the connection is dead */

struct attempt {
	struct dial *dial;
	int fd;
	struct loop_fd *watch;
	union address to;
};

struct dial {
	struct loop *loop;
	struct resolver *resolver;
	struct dial_target target;
	char host[200], bind_not[32];
	void (*fn)(void *arg, const struct dial_result *result);
	void *arg;

	struct resolve_query *query;
	union address addresses[ADDRESSES_MAX];
	unsigned address_count, next_address;
	struct attempt attempts[ATTEMPTS_MAX];
	bool tried[ADDRESSES_MAX];
	struct loop_timer *timer;
	uint64_t deadline, next_attempt;
	char why[120]; /* the newest failure */
	enum relay_failure failure;

	/* Through the proxy: the attempt that connected. */
	struct attempt *through;
	char reply[REPLY_MAX];
	size_t reply_len, sent;
	char request[1024];
};

static void end_attempt(struct attempt *a)
{
	if (a->fd < 0)
		return;
	loop_fd_remove(a->watch);
	close(a->fd);
	a->fd = -1;
}

static void free_dial(struct dial *d)
{
	resolve_cancel(d->query);
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		end_attempt(&d->attempts[i]);
	loop_timer_free(d->timer);
	crypto_wipe(d->request, sizeof(d->request)); /* the proxy's password */
	crypto_wipe(&d->target.proxy, sizeof(d->target.proxy));
	free(d);
}

void dial_cancel(struct dial *d)
{
	if (d)
		free_dial(d);
}

static void finish(struct dial *d, const struct dial_result *result)
{
	void (*fn)(void *arg, const struct dial_result *result) = d->fn;
	void *arg = d->arg;

	free_dial(d);
	fn(arg, result);
}

static void fail(struct dial *d, bool refused)
{
	struct dial_result r = {.fd = -1, .refused = refused, .failure = d->failure};

	if (!d->why[0])
		r.failure = RELAY_FAILURE_NAME;
	else if (r.failure == RELAY_FAILURE_NONE)
		r.failure = refused ? RELAY_FAILURE_HTTP : RELAY_FAILURE_NETWORK;

	snprintf(r.error, sizeof(r.error), "%s", d->why[0] ? d->why : "no address within 5 s");
	finish(d, &r);
}

static void succeed(struct dial *d, struct attempt *a)
{
	struct dial_result r = {.fd = a->fd, .used = a->to};

	loop_fd_remove(a->watch);
	a->fd = -1;
	finish(d, &r);
}

/* ---- the proxy ---- */

static void make_request(struct dial *d)
{
	const char *colons = strchr(d->host, ':');
	char authority[sizeof(d->host) + 16], basic[200] = "";

	snprintf(authority, sizeof(authority), colons ? "[%s]:%u" : "%s:%u", d->host, d->target.port);
	if (d->target.proxy.user[0])
		sodium_bin2base64(basic, sizeof(basic), (const unsigned char *)d->target.proxy.user,
				  strlen(d->target.proxy.user), sodium_base64_VARIANT_ORIGINAL);
	snprintf(d->request, sizeof(d->request), "CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s%s%s\r\n", authority,
		 authority, basic[0] ? "Proxy-Authorization: Basic " : "", basic, basic[0] ? "\r\n" : "");
	crypto_wipe(basic, sizeof(basic));
}

/* True when the header is complete: then the socket is ours, or the proxy said no. */
static bool read_reply(struct dial *d, bool *failed)
{
	ssize_t got = recv(d->through->fd, d->reply + d->reply_len, REPLY_MAX - 1 - d->reply_len, 0);
	unsigned status = 0;

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	*failed = true;
	if (got <= 0) {
		snprintf(d->why, sizeof(d->why), "the proxy hung up%s%s", got < 0 ? ": " : "",
			 got < 0 ? strerror(errno) : "");
		return true;
	}
	d->reply_len += (size_t)got;
	d->reply[d->reply_len] = '\0';
	if (!strstr(d->reply, "\r\n\r\n")) {
		*failed = d->reply_len == REPLY_MAX - 1;
		snprintf(d->why, sizeof(d->why), "the proxy's answer makes no sense");
		return *failed;
	}
	if (sscanf(d->reply, "HTTP/1.%*1[01] %3u", &status) != 1)
		snprintf(d->why, sizeof(d->why), "the proxy's answer is not HTTP");
	else if (status / 100 == 2)
		*failed = false;
	else
		snprintf(d->why, sizeof(d->why), "the proxy %.60s refused: HTTP %u%s", d->target.proxy.host,
			 status, status == 407 ? " (it wants USER:PASSWORD)" : "");
	return true;
}

static void on_proxy(struct dial *d)
{
	size_t left = strlen(d->request) - d->sent;
	bool failed = false;
	ssize_t n;

	if (left) {
		n = send(d->through->fd, d->request + d->sent, left, MSG_NOSIGNAL);
		if (n > 0)
			d->sent += (size_t)n;
		if (n == (ssize_t)left)
			loop_fd_want(d->through->watch, LOOP_READ);
		else if (n < 0 && errno != EAGAIN && errno != EINTR) {
			snprintf(d->why, sizeof(d->why), "the proxy hung up: %s", strerror(errno));
			fail(d, false);
		}
		return;
	}
	if (!read_reply(d, &failed))
		return;
	if (failed)
		fail(d, true);
	else
		succeed(d, d->through);
}

/* ---- attempts ---- */

static void on_socket(void *arg, int fd, unsigned events);

static bool any_attempt(const struct dial *d)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (d->attempts[i].fd >= 0)
			return true;
	return false;
}

static void say_failure(struct dial *d, const union address *to, int code)
{
	char text[ADDRESS_TEXT];

	d->failure = code == ETIMEDOUT ? RELAY_FAILURE_UNANSWERED : RELAY_FAILURE_NETWORK;
	snprintf(d->why, sizeof(d->why), "%s%s: %s", d->target.proxy.host[0] ? "proxy " : "",
		 address_format(text, to), strerror(code));
}

/* Is our end of this socket an address of the interface that must not carry it? */
static bool leads_into(int fd, const char *interface)
{
	union address own = {0};
	socklen_t len = sizeof(own);
	struct ifaddrs *all;
	bool found = false;

	if (getsockname(fd, &own.sa, &len) < 0 || getifaddrs(&all) < 0)
		return false;
	for (const struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		if (!i->ifa_addr || i->ifa_addr->sa_family != own.sa.sa_family ||
		    strcmp(i->ifa_name, interface) != 0)
			continue;
		found = own.sa.sa_family == AF_INET
				? ((const struct sockaddr_in *)i->ifa_addr)->sin_addr.s_addr ==
					  own.in.sin_addr.s_addr
				: !memcmp(&((const struct sockaddr_in6 *)i->ifa_addr)->sin6_addr,
					  &own.in6.sin6_addr, sizeof(own.in6.sin6_addr));
	}
	freeifaddrs(all);
	return found;
}

static int mark(int fd, uint32_t fwmark)
{
	return fwmark && setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark)) < 0 ? -errno : 0;
}

/* Asks the routes without sending anything. */
static bool own_tunnel(const struct dial *d, const union address *to)
{
	bool through = false;
	int fd;

	if (!d->bind_not[0])
		return false;
	fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	if (!mark(fd, d->target.fwmark) && connect(fd, &to->sa, address_len(to)) == 0)
		through = leads_into(fd, d->bind_not);
	close(fd);
	return through;
}

static int open_socket(const struct dial *d, const union address *to)
{
	static const int on = 1, unsent = UNSENT_MAX, silence = SILENCE_MAX_MS;
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP), err;

	if (fd < 0)
		return -errno;
	err = mark(fd, d->target.fwmark);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
	setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &silence, sizeof(silence));
	if (!err && connect(fd, &to->sa, address_len(to)) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static void try_address(struct dial *d, unsigned which)
{
	const union address *to = &d->addresses[which];
	struct attempt *a = NULL;
	char text[ADDRESS_TEXT];
	int fd;

	d->tried[which] = true;
	for (unsigned i = 0; i < ATTEMPTS_MAX && !a; i++)
		if (d->attempts[i].fd < 0)
			a = &d->attempts[i];
	if (!a)
		return;
	if (d->target.foreign && !d->target.proxy.host[0] &&
	    (!address_is_unicast(to) || address_is_loopback(to) || address_is_link_local(to))) {
		snprintf(d->why, sizeof(d->why), "%s is nowhere that a peer can send us",
			 address_format(text, to));
		return;
	}
	if (own_tunnel(d, to)) {
		d->failure = RELAY_FAILURE_TUNNEL;
		snprintf(d->why, sizeof(d->why), "the way to %s leads into %s, the tunnel itself",
			 address_format(text, to), d->bind_not);
		return;
	}
	fd = open_socket(d, to);
	if (fd < 0) {
		say_failure(d, to, -fd);
		return;
	}
	a->fd = fd;
	a->to = *to;
	a->watch = loop_fd_add(d->loop, fd, LOOP_WRITE, on_socket, a);
}

/* One that had no turn yet, else each in turn. */
static unsigned next_address(struct dial *d)
{
	for (unsigned i = 0; i < d->address_count; i++)
		if (!d->tried[i])
			return i;
	return d->next_address++ % d->address_count;
}

/* With nothing under way the next address has its turn at once; when all have failed there is no need to
 * wait. */
static void go_on(struct dial *d)
{
	unsigned next;

	if (d->through || any_attempt(d))
		return;
	while (d->address_count && !d->tried[next = next_address(d)]) {
		try_address(d, next);
		if (any_attempt(d))
			return;
	}
	if (!d->query)
		fail(d, false);
}

static void add_address(struct dial *d, const union address *to, bool now)
{
	for (unsigned i = 0; i < d->address_count; i++)
		if (address_equal(&d->addresses[i], to))
			return;
	if (d->address_count == ADDRESSES_MAX)
		return;
	d->addresses[d->address_count++] = *to;
	if (now)
		try_address(d, d->address_count - 1);
}

static void connected(struct dial *d, struct attempt *a)
{
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		if (&d->attempts[i] != a)
			end_attempt(&d->attempts[i]);
	resolve_cancel(d->query);
	d->query = NULL;
	if (!d->target.proxy.host[0]) {
		succeed(d, a);
		return;
	}
	d->through = a;
	d->deadline = clock_boot_ns() + PROXY_TIMEOUT;
	snprintf(d->why, sizeof(d->why), "the proxy %.60s does not answer", d->target.proxy.host);
	loop_timer_set(d->timer, d->deadline);
	make_request(d);
	on_proxy(d);
}

static void on_socket(void *arg, int fd, unsigned events)
{
	struct attempt *a = arg;
	struct dial *d = a->dial;
	socklen_t len = sizeof(int);
	int code = 0;

	(void)events;
	if (d->through == a) {
		on_proxy(d);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &code, &len) < 0)
		code = errno;
	if (!code) {
		connected(d, a);
		return;
	}
	say_failure(d, &a->to, code);
	end_attempt(a);
	go_on(d);
}

static void on_resolved(void *arg, const union address *found, size_t count, int gai_error)
{
	struct dial *d = arg;

	d->query = NULL;
	/* The first of each family at once, the others as time goes by. */
	for (size_t i = 0; i < count; i++)
		add_address(d, &found[i], i == 0 || found[i].sa.sa_family != found[i - 1].sa.sa_family);
	if (!count) {
		d->failure = RELAY_FAILURE_NAME;
		snprintf(d->why, sizeof(d->why), "%.60s: %s",
			 d->target.proxy.host[0] ? d->target.proxy.host : d->host, gai_strerror(gai_error));
	}
	if (!count && d->target.last_good.sa.sa_family != AF_UNSPEC)
		add_address(d, &d->target.last_good, true);
	go_on(d);
}

static void on_timer(void *arg)
{
	struct dial *d = arg;
	uint64_t now = clock_boot_ns();
	char text[ADDRESS_TEXT];

	if (now >= d->deadline) {
		if (!d->through && any_attempt(d)) {
			d->failure = RELAY_FAILURE_UNANSWERED;
			snprintf(d->why, sizeof(d->why), "%s%s: no answer within 5 s",
				 d->target.proxy.host[0] ? "proxy " : "",
				 address_format(text, &d->addresses[0]));
		}
		fail(d, false);
		return;
	}
	if (!d->through && now >= d->next_attempt) {
		d->next_attempt = now + ATTEMPT_EVERY;
		if (d->query && d->target.last_good.sa.sa_family != AF_UNSPEC)
			add_address(d, &d->target.last_good, true);
		else if (d->address_count)
			try_address(d, next_address(d));
	}
	loop_timer_set(d->timer, d->through ? d->deadline : earlier(d->deadline, d->next_attempt));
}

struct dial *dial_start(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
			void (*fn)(void *arg, const struct dial_result *result), void *arg)
{
	struct dial *d = xcalloc(1, sizeof(*d));
	bool proxied = target->proxy.host[0] != '\0';
	uint64_t now = clock_boot_ns();
	char port[8];

	d->loop = loop;
	d->resolver = resolver;
	d->target = *target;
	snprintf(d->host, sizeof(d->host), "%s", target->host);
	snprintf(d->bind_not, sizeof(d->bind_not), "%s", target->bind_not ? target->bind_not : "");
	d->fn = fn;
	d->arg = arg;
	for (unsigned i = 0; i < ATTEMPTS_MAX; i++)
		d->attempts[i] = (struct attempt){.dial = d, .fd = -1};
	snprintf(port, sizeof(port), "%u", proxied ? target->proxy.port : target->port);
	d->query = resolve_all(resolver, proxied ? d->target.proxy.host : d->host, port, on_resolved, d);
	d->deadline = now + DIAL_TIMEOUT;
	d->next_attempt = now + RESOLVE_WAIT;
	d->timer = loop_timer_new(loop, on_timer, d);
	loop_timer_set(d->timer, d->next_attempt);
	return d;
}
