/* Relay servers and portals: connections that are made only to see how far they come. */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "relay/tls.h"
#include "relay/wire.h"
#include "report/internal.h"

#define HEAD_MAX 4096 /* of an HTTP response */

int tcp_connect(const union address *to, uint32_t fwmark, uint64_t wait)
{
	struct timeval limit = {.tv_sec = (time_t)(wait / NS_PER_SEC)};
	int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), error = 0;
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -errno;
	if (fwmark)
		setsockopt(fd, SOL_SOCKET, SO_MARK, &fwmark, sizeof(fwmark));
	if (connect(fd, &to->sa, address_len(to)) && errno != EINPROGRESS)
		error = errno;
	else if (poll(&p, 1, (int)(wait / NS_PER_MS)) <= 0)
		error = ETIMEDOUT;
	else
		getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		close(fd);
		return -error;
	}
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	return fd;
}

/* A stream with or without TLS. */
struct stream {
	int fd;
	SSL *tls; /* NULL: plain */
};

static bool stream_write(struct stream *s, const char *text)
{
	size_t len = strlen(text);

	if (s->tls)
		return SSL_write(s->tls, text, (int)len) == (int)len;
	return send(s->fd, text, len, MSG_NOSIGNAL) == (ssize_t)len;
}

/* The head of an HTTP response; its status, or 0. */
static unsigned read_head(struct stream *s, char head[HEAD_MAX])
{
	uint64_t end = clock_boot_ns() + TCP_WAIT;
	size_t len = 0;
	unsigned status;
	int n = 1;

	while (n > 0 && len < HEAD_MAX - 1 && clock_boot_ns() < end) {
		int room = (int)(HEAD_MAX - 1 - len);

		n = s->tls ? SSL_read(s->tls, head + len, room)
			   : (int)recv(s->fd, head + len, (size_t)room, 0);
		if (n > 0)
			len += (size_t)n;
		head[len] = '\0';
		if (strstr(head, "\r\n\r\n"))
			break;
	}
	head[len] = '\0';
	return sscanf(head, "HTTP/1.%*1d %3u", &status) == 1 ? status : 0;
}

/* ---- relay servers ---- */

static int verify(int so_far, X509_STORE_CTX *store)
{
	SSL *tls = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

	return relay_tls_verify(store, so_far, SSL_get_app_data(tls));
}

static bool begin_tls(struct stream *s, struct ssl_ctx_st *ctx, const struct relay_url *url,
		      struct report_relay *out)
{
	struct relay_tls_check check = {.host = url->host, .pin = ""};
	uint64_t start = clock_boot_ns();

	s->tls = SSL_new(ctx);
	if (!s->tls)
		return false;
	SSL_set_app_data(s->tls, &check);
	SSL_set_verify(s->tls, SSL_VERIFY_PEER, verify);
	SSL_set_tlsext_host_name(s->tls, url->host);
	SSL_set_fd(s->tls, s->fd);
	if (SSL_connect(s->tls) == 1) {
		out->handshake = clock_boot_ns() - start;
		SSL_set_app_data(s->tls, NULL);
		return true;
	}
	if (*check.error)
		snprintf(out->error, sizeof(out->error), "TLS: %s", check.error);
	else
		snprintf(out->error, sizeof(out->error),
			 "TLS: no handshake; something between does not let it through?");
	return false;
}

/* RFC 6455 section 4.1. The key is the section's own example: nothing is proven by it. */
static void begin_websocket(struct stream *s, const struct relay_url *url, struct report_relay *out)
{
	bool six = strchr(url->host, ':');
	uint64_t start = clock_boot_ns();
	char request[512], head[HEAD_MAX];
	unsigned status;

	snprintf(request, sizeof(request),
		 "GET /relay HTTP/1.1\r\nHost: %s%s%s:%u\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
		 six ? "[" : "", url->host, six ? "]" : "", url->port);
	status = stream_write(s, request) ? read_head(s, head) : 0;
	if (status == 101)
		out->upgrade = clock_boot_ns() - start;
	else if (status)
		snprintf(out->error, sizeof(out->error),
			 "answers with HTTP status %u where WebSocket was asked for: a proxy, or no relay "
			 "server",
			 status);
	else
		snprintf(out->error, sizeof(out->error), "takes the connection, but does not speak HTTP%s",
			 s->tls ? "" : ": is it rels:// ?");
}

static void try_relay(struct relay_probe *p, const struct relay_url *url)
{
	struct report_relay *out = p->out;
	struct ssl_ctx_st *ctx = NULL;
	struct stream s = {0};
	uint64_t start = clock_boot_ns();
	struct error e = {0};

	s.fd = tcp_connect(&out->to, p->fwmark, TCP_WAIT);
	if (s.fd < 0) {
		snprintf(out->error, sizeof(out->error), "TCP: %s", strerror(-s.fd));
		return;
	}
	out->connect = clock_boot_ns() - start;
	if (url->tls) {
		ctx = relay_tls_new(p->ca_file, &e);
		if (!ctx)
			snprintf(out->error, sizeof(out->error), "%.190s", e.text);
	}
	if (!url->tls || (ctx && begin_tls(&s, ctx, url, out)))
		begin_websocket(&s, url, out);
	ERR_clear_error();
	SSL_free(s.tls);
	relay_tls_free(ctx);
	close(s.fd);
}

void probe_relay(struct relay_probe *p)
{
	union address found[8];
	struct relay_url url;
	unsigned count;

	if (!relay_url_parse(&url, p->out->url)) {
		snprintf(p->out->error, sizeof(p->out->error),
			 "not a relay URL: rel://HOST[:PORT] or rels://HOST[:PORT]");
		return;
	}
	p->out->tls = url.tls;
	count = names_resolve(url.host, url.port, found, 8, TCP_WAIT, p->out->error, sizeof(p->out->error));
	/* The first address that takes a connection; what is wrong with the last one otherwise. */
	for (unsigned i = 0; i < count && i < 2; i++) {
		p->out->to = found[i];
		p->out->error[0] = '\0';
		try_relay(p, &url);
		if (p->out->connect)
			break;
	}
}

/* ---- portals ---- */

/* http://HOST[:PORT][/PATH] */
static bool split_url(const char *url, char host[REPORT_HOST], uint16_t *port, const char **path)
{
	size_t len;
	char *end;

	*port = 80;
	if (strncmp(url, "http://", 7) != 0)
		return false;
	url += 7;
	len = strcspn(url, *url == '[' ? "]" : ":/");
	if (*url == '[' && url[len] == ']') {
		url++;
		len--;
	}
	if (!len || len >= REPORT_HOST)
		return false;
	memcpy(host, url, len);
	host[len] = '\0';
	url += len + (url[len] == ']');
	if (*url == ':') {
		unsigned long n = strtoul(url + 1, &end, 10);

		if (!n || n > 65535)
			return false;
		*port = (uint16_t)n;
		url = end;
	}
	*path = *url ? url : "/";
	return **path == '/';
}

static void take_location(const char *head, char *out, size_t size)
{
	const char *at = strcasestr(head, "\r\nlocation:");

	if (!at)
		return;
	at += strlen("\r\nlocation:");
	at += strspn(at, " \t");
	log_visible(out, size, at, strcspn(at, "\r\n"));
}

/* RFC 8910's portals answer for every server: anything but the 204 that was asked for is theirs. */
void probe_portal(struct portal_probe *p)
{
	char host[REPORT_HOST], request[1024], head[HEAD_MAX];
	struct report *out = p->out;
	union address found[2];
	struct stream s = {0};
	const char *path;
	uint16_t port;
	bool six;

	out->portal = PORTAL_UNREACHABLE;
	if (!split_url(p->url, host, &port, &path)) {
		snprintf(out->portal_text, sizeof(out->portal_text),
			 "not a URL of the form http://HOST[:PORT][/PATH]");
		return;
	}
	if (!names_resolve(host, port, found, 1, TCP_WAIT, out->portal_text, sizeof(out->portal_text)))
		return;
	s.fd = tcp_connect(&found[0], p->fwmark, TCP_WAIT);
	if (s.fd < 0) {
		snprintf(out->portal_text, sizeof(out->portal_text), "%s", strerror(-s.fd));
		return;
	}
	six = strchr(host, ':');
	snprintf(request, sizeof(request),
		 "GET %.700s HTTP/1.1\r\nHost: %s%s%s:%u\r\nConnection: close\r\n\r\n", path, six ? "[" : "",
		 host, six ? "]" : "", port);
	out->portal_status = stream_write(&s, request) ? read_head(&s, head) : 0;
	if (out->portal_status)
		take_location(head, out->portal_text, sizeof(out->portal_text));
	else
		snprintf(out->portal_text, sizeof(out->portal_text), "no HTTP response");
	if (out->portal_status == 204)
		out->portal = PORTAL_NONE;
	else if (out->portal_status == 511 || out->portal_status / 100 == 3)
		out->portal = PORTAL_CAPTIVE;
	else if (out->portal_status)
		out->portal = PORTAL_UNCLEAR;
	close(s.fd);
}
