/*
 * Load for a relay server, by bare sockets (no libwebsockets), and the plainest forwarders beside it.
 *
 *   clients ADDRESS PORT SECRET COUNT SECONDS
 *       logs in COUNT clients and answers health checks; how long all logins took
 *   pair ADDRESS PORT SECRET SIZE SECONDS
 *       one sends as fast as it may, the other counts
 *   latency ADDRESS PORT SECRET SIZE COUNT
 *       round trips between two clients, in microseconds
 *   tcp PORT PORT, udp PORT PORT
 *       forwarders: what comes to one port leaves by the other
 *   raw-pair tcp|udp ADDRESS PORT PORT SIZE SECONDS, raw-latency tcp|udp ADDRESS PORT PORT SIZE COUNT
 *       the same two through those
 *
 * `pair` and `latency` take "tls:ADDRESS", too.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "relay/wire.h"

#define ROOM	65536
#define AT_ONCE 200 /* logins under way */

struct peer {
	int fd;
	SSL *tls;
	struct relay_id id;
	uint8_t buffer[ROOM];
	size_t have, used;
};

static void die(const char *what)
{
	fprintf(stderr, "relay_load: %s: %s\n", what, errno ? strerror(errno) : "failed");
	exit(1);
}

static struct sockaddr_in address(const char *text, const char *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(port))};

	if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
		die(text);
	return a;
}

static int dial(const char *host, const char *port, int type)
{
	struct sockaddr_in a = address(host, port);
	int fd = socket(AF_INET, type, 0);

	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		die("connect");
	if (type == SOCK_STREAM)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	return fd;
}

/* ---- a client ---- */

static void put(struct peer *p, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	while (len) {
		ssize_t n = p->tls ? SSL_write(p->tls, at, (int)len) : send(p->fd, at, len, MSG_NOSIGNAL);

		if (n <= 0)
			die("send");
		at += n;
		len -= (size_t)n;
	}
}

static bool more(struct peer *p)
{
	ssize_t n;

	memmove(p->buffer, p->buffer + p->used, p->have - p->used);
	p->have -= p->used;
	p->used = 0;
	n = p->tls ? SSL_read(p->tls, p->buffer + p->have, (int)(ROOM - p->have))
		   : recv(p->fd, p->buffer + p->have, ROOM - p->have, 0);
	if (n <= 0)
		return false;
	p->have += (size_t)n;
	return true;
}

/* The next message that is there whole, NULL: none. */
static const uint8_t *message(struct peer *p, size_t *len)
{
	const uint8_t *at = p->buffer + p->used;
	size_t left = p->have - p->used, header = 2;

	if (left < 2)
		return NULL;
	*len = at[1] & 0x7f;
	if (*len == 126) {
		header = 4;
		if (left < 4)
			return NULL;
		*len = (size_t)at[2] << 8 | at[3];
	}
	if (left < header + *len)
		return NULL;
	p->used += header + *len;
	return at + header;
}

static const uint8_t *wait_message(struct peer *p, enum relay_type type, size_t *len)
{
	for (;;) {
		const uint8_t *m = message(p, len);

		if (m && m[1] == RELAY_HEALTH_CHECK)
			put(p, "\x82\x82\0\0\0\0\x01\x05", 8);
		if (m && m[1] == type)
			return m;
		if (!m && !more(p))
			die("the server closed the connection");
	}
}

/* Masked, as a client's frames are; by zeros, which leaves the bytes as they are. */
static size_t frame(uint8_t *out, const uint8_t *body, size_t len)
{
	size_t at = 2;

	out[0] = 0x82;
	out[1] = 0x80 | (len < 126 ? (uint8_t)len : 126);
	if (len >= 126) {
		out[2] = (uint8_t)(len >> 8);
		out[3] = (uint8_t)len;
		at = 4;
	}
	memset(out + at, 0, 4);
	memcpy(out + at + 4, body, len);
	return at + 4 + len;
}

static void greet(struct peer *p, const char *host, const char *port)
{
	static SSL_CTX *ctx;
	bool tls = !strncmp(host, "tls:", 4);
	char request[256];

	p->fd = dial(tls ? host + 4 : host, port, SOCK_STREAM);
	if (tls) {
		if (!ctx)
			ctx = SSL_CTX_new(TLS_client_method());
		p->tls = SSL_new(ctx);
		SSL_set_fd(p->tls, p->fd);
		if (SSL_connect(p->tls) != 1)
			die("TLS");
	}
	snprintf(request, sizeof(request),
		 "GET /relay HTTP/1.1\r\nHost: relay\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n");
	put(p, request, strlen(request));
}

static void authenticate(struct peer *p, const char *secret, unsigned number)
{
	uint8_t auth[RELAY_AUTH_MAX], token[RELAY_TOKEN_MAX], framed[RELAY_AUTH_MAX + 8];
	struct relay_secret s;
	char name[16];
	int len;

	snprintf(name, sizeof(name), "%u", number);
	relay_id_of_text(&p->id, name);
	relay_secret_set(&s, secret, strlen(secret));
	len = relay_token_make(&s, clock_wall_ns() / NS_PER_SEC + 3600, token);
	len = relay_put_auth(auth, sizeof(auth), &p->id, token, (size_t)len);
	put(p, framed, frame(framed, auth, (size_t)len));
}

/* Consumes the HTTP answer once it is whole. */
static bool upgraded(struct peer *p)
{
	uint8_t *end = memmem(p->buffer, p->have, "\r\n\r\n", 4);

	if (end)
		p->used = (size_t)(end + 4 - p->buffer);
	return end;
}

static struct peer *client(const char *host, const char *port, const char *secret, unsigned number)
{
	struct peer *p = calloc(1, sizeof(*p));
	size_t len;

	greet(p, host, port);
	while (!upgraded(p))
		if (!more(p))
			die("no upgrade");
	authenticate(p, secret, number);
	wait_message(p, RELAY_AUTH_RESPONSE, &len);
	return p;
}

/* ---- many clients ---- */

struct small { /* a client among thousands: it never gets more than a few bytes at once */
	int fd;
	int state; /* 0: upgrade sent, 1: auth sent, 2: in */
};

static double seconds_since(uint64_t start)
{
	return (double)(clock_boot_ns() - start) / NS_PER_SEC;
}

static void advance(struct small *c, unsigned number, const char *secret, unsigned *in, unsigned *checks)
{
	struct peer p = {.fd = c->fd};
	uint8_t bytes[4096];
	ssize_t n = recv(c->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN))
		die("the server closed a connection");
	if (n < 0)
		return;
	if (c->state == 0) {
		authenticate(&p, secret, number);
		c->state = 1;
	} else if (c->state == 1) {
		c->state = 2;
		++*in;
	} else if (n >= 4 && bytes[3] == RELAY_HEALTH_CHECK) {
		put(&p, "\x82\x82\0\0\0\0\x01\x05", 8);
		++*checks;
	}
}

static int many(char **argv)
{
	unsigned count = (unsigned)atoi(argv[5]), started = 0, in = 0, checks = 0;
	struct small *all = calloc(count, sizeof(*all));
	int epoll = epoll_create1(0);
	uint64_t start = clock_boot_ns();
	double took = 0, end = 0;

	setrlimit(RLIMIT_NOFILE, &(struct rlimit){count + 64, count + 64});
	while (!took || seconds_since(start) < end) {
		struct epoll_event ready[512];
		int n;

		while (started < count && started - in < AT_ONCE) {
			struct peer p = {0};

			greet(&p, argv[2], argv[3]);
			all[started].fd = p.fd;
			epoll_ctl(epoll, EPOLL_CTL_ADD, p.fd,
				  &(struct epoll_event){.events = EPOLLIN, .data.u32 = started});
			started++;
		}
		n = epoll_wait(epoll, ready, 512, 200);
		for (int i = 0; i < n; i++)
			advance(&all[ready[i].data.u32], ready[i].data.u32, argv[4], &in, &checks);
		if (!took && in == count) {
			took = seconds_since(start);
			end = took + atof(argv[6]);
			printf("logins %u seconds %.2f\n", count, took);
			fflush(stdout);
		}
	}
	printf("answered %u\n", checks);
	return 0;
}

/* ---- two clients ---- */

static size_t transport(uint8_t *out, const struct relay_id *to, size_t size)
{
	uint8_t body[RELAY_MESSAGE_MAX] = {0};

	relay_put_transport(body, to);
	return frame(out, body, RELAY_TRANSPORT_LEN + size);
}

static void report(uint64_t messages, size_t size, double took)
{
	printf("messages %llu gbps %.3f kpps %.1f\n", (unsigned long long)messages,
	       (double)messages * (double)size * 8 / took / 1e9, (double)messages / took / 1e3);
}

static int pair(char **argv)
{
	size_t size = (size_t)atoi(argv[5]), used = 0, len;
	double seconds = atof(argv[6]);
	struct peer *a = client(argv[2], argv[3], argv[4], 1), *b = client(argv[2], argv[3], argv[4], 2);
	uint8_t train[40000];
	uint64_t got = 0, start;
	pid_t child;

	while (used + size + 64 < 16000 || !used)
		used += transport(train + used, &b->id, size);
	child = fork();
	if (!child)
		for (;;)
			put(a, train, used);
	start = clock_boot_ns();
	while (seconds_since(start) < seconds) {
		wait_message(b, RELAY_TRANSPORT, &len);
		got++;
	}
	report(got, size, seconds_since(start));
	kill(child, SIGKILL);
	return 0;
}

static int order(const void *x, const void *y)
{
	double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static void report_latency(double *us, unsigned count)
{
	qsort(us, count, sizeof(*us), order);
	printf("p50 %.1f p99 %.1f\n", us[count / 2], us[count * 99 / 100]);
}

static int latency(char **argv)
{
	size_t size = (size_t)atoi(argv[5]), to_b, to_a, len;
	unsigned count = (unsigned)atoi(argv[6]);
	struct peer *a = client(argv[2], argv[3], argv[4], 1), *b = client(argv[2], argv[3], argv[4], 2);
	uint8_t ping[RELAY_MESSAGE_MAX + 8], pong[RELAY_MESSAGE_MAX + 8];
	double *us = calloc(count, sizeof(*us));

	to_b = transport(ping, &b->id, size);
	to_a = transport(pong, &a->id, size);
	for (unsigned i = 0; i < count; i++) {
		uint64_t start = clock_boot_ns();

		put(a, ping, to_b);
		wait_message(b, RELAY_TRANSPORT, &len);
		put(b, pong, to_a);
		wait_message(a, RELAY_TRANSPORT, &len);
		us[i] = seconds_since(start) * 1e6;
	}
	report_latency(us, count);
	return 0;
}

/* ---- the plainest forwarders ---- */

static int bound(const char *port, int type)
{
	struct sockaddr_in a = address("127.0.0.1", port);
	int fd = socket(AF_INET, type, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || (type == SOCK_STREAM && listen(fd, 1)))
		die("bind");
	return fd;
}

static void forward_udp(const struct pollfd *fds, struct sockaddr_in known[2], int from)
{
	socklen_t len = sizeof(known[0]);
	char bytes[ROOM];
	ssize_t n = recvfrom(fds[from].fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&known[from], &len);

	if (n > 0 && known[!from].sin_port)
		sendto(fds[!from].fd, bytes, (size_t)n, 0, (struct sockaddr *)&known[!from],
		       sizeof(known[0]));
}

static bool forward_tcp(const struct pollfd *fds, int from)
{
	char bytes[ROOM];
	ssize_t n = recv(fds[from].fd, bytes, sizeof(bytes), 0);

	for (ssize_t at = 0; at < n;) {
		ssize_t sent = send(fds[!from].fd, bytes + at, (size_t)(n - at), MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		at += sent;
	}
	return n > 0;
}

static int forwarder(char **argv)
{
	bool udp = !strcmp(argv[1], "udp"), going = true;
	struct sockaddr_in known[2] = {0};
	struct pollfd fds[2];

	for (int i = 0; i < 2; i++)
		fds[i] = (struct pollfd){bound(argv[2 + i], udp ? SOCK_DGRAM : SOCK_STREAM), POLLIN, 0};
	for (int i = 0; !udp && i < 2; i++) {
		fds[i].fd = accept(fds[i].fd, NULL, NULL);
		setsockopt(fds[i].fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
	}
	while (going) {
		poll(fds, 2, -1);
		for (int i = 0; i < 2 && going; i++) {
			if (!fds[i].revents)
				continue;
			if (udp)
				forward_udp(fds, known, i);
			else
				going = forward_tcp(fds, i);
		}
	}
	return pause(); /* whoever started it looks at what it used, and ends it */
}

static void receive_all(int fd, bool udp, uint8_t *bytes, size_t size)
{
	if (udp ? recv(fd, bytes, size, 0) <= 0 : recv(fd, bytes, size, MSG_WAITALL) <= 0)
		die("recv");
}

static int raw(char **argv)
{
	bool udp = !strcmp(argv[2], "udp"), pairs = !strcmp(argv[1], "raw-pair");
	int type = udp ? SOCK_DGRAM : SOCK_STREAM;
	int a = dial(argv[3], argv[4], type), b = dial(argv[3], argv[5], type);
	size_t size = (size_t)atoi(argv[6]);
	static uint8_t bytes[ROOM];
	uint64_t start, got = 0;

	if (udp) { /* so that the forwarder knows both */
		send(a, bytes, 1, 0);
		send(b, bytes, 1, 0);
		usleep(100000);
		recv(a, bytes, sizeof(bytes), MSG_DONTWAIT);
	}
	if (!pairs) {
		unsigned count = (unsigned)atoi(argv[7]);
		double *us = calloc(count, sizeof(*us));

		for (unsigned i = 0; i < count; i++) {
			start = clock_boot_ns();
			send(a, bytes, size, MSG_NOSIGNAL);
			receive_all(b, udp, bytes, size);
			send(b, bytes, size, MSG_NOSIGNAL);
			receive_all(a, udp, bytes, size);
			us[i] = seconds_since(start) * 1e6;
		}
		report_latency(us, count);
		return 0;
	}
	pid_t child = fork();

	if (!child)
		for (;;)
			send(a, bytes, udp ? size : 10 * size, MSG_NOSIGNAL);
	start = clock_boot_ns();
	while (seconds_since(start) < atof(argv[7])) {
		receive_all(b, udp, bytes, size);
		got++;
	}
	report(got, size, seconds_since(start));
	kill(child, SIGKILL);
	return 0;
}

int main(int argc, char **argv)
{
	const struct {
		const char *name;
		int words;
		int (*run)(char **argv);
	} parts[] = {{"clients", 7, many},   {"pair", 7, pair},	    {"latency", 7, latency},
		     {"tcp", 4, forwarder},  {"udp", 4, forwarder}, {"raw-pair", 8, raw},
		     {"raw-latency", 8, raw}};

	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (argc == parts[i].words && !strcmp(argv[1], parts[i].name))
			return parts[i].run(argv);
	fprintf(stderr, "usage: bench_relay_load clients|pair|latency|tcp|udp|raw-pair|raw-latency ...\n");
	return 2;
}
