#include "cmd/exporter.h"

#include <errno.h>
#include <microhttpd.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/log.h"
#include "cmd/openmetrics.h"

#define CONNECTIONS 16
#define IDLE_TIME   10u	       /* seconds that a connection may do nothing */
#define FRESH	    NS_PER_SEC /* a page serves all who ask within this time: a flood costs the engine no more */
#define PATIENCE    20	       /* seconds for the engine's answer to one question */

struct exporter {
	struct client *client;
	struct strbuf page;
	uint64_t made; /* boot ns */
	atomic_bool broken;
	char why[256];
};

/* ---- where ---- */

static bool is_served(const struct sockaddr_un *at)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	/* A full queue is one that somebody has. */
	bool served = fd >= 0 && (!connect(fd, (const struct sockaddr *)at, sizeof(*at)) || errno == EAGAIN);

	if (fd >= 0)
		close(fd);
	return served;
}

static int listen_unix(const char *path, struct error *e)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct stat st;
	mode_t mask;
	int fd, r;

	if (!*path || strlen(path) >= sizeof(at.sun_path))
		return error_exit(e, EXIT_USAGE, EINVAL, "unix:%s: a path of 1 to %zu characters is needed",
				  path, sizeof(at.sun_path) - 1);
	memcpy(at.sun_path, path, strlen(path) + 1);
	/* What an exporter before us left behind goes; one that lives does not. */
	if (is_served(&at))
		return error_set(e, EADDRINUSE, "metrics at unix:%s: somebody serves there already", path);
	if (!lstat(path, &st) && S_ISSOCK(st.st_mode))
		unlink(path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	/* It is made with mode 0660: a chmod(2) of the path later may meet what somebody else has put there.
	 */
	mask = umask(0117);
	r = fd < 0 ? -1 : bind(fd, (struct sockaddr *)&at, sizeof(at));
	umask(mask);
	if (!r && !listen(fd, CONNECTIONS))
		return fd;
	error_set(e, errno, "metrics at unix:%s: %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->code;
}

int exporter_listen(const char *where, struct error *e)
{
	union address at = {0};
	int fd, on = 1;

	if (!strncmp(where, "unix:", 5))
		return listen_unix(where + 5, e);
	if (!address_parse(&at, where))
		return error_exit(e, EXIT_USAGE, EINVAL, "metrics at \"%s\": give ADDRESS:PORT or unix:PATH",
				  where);
	if (!address_is_loopback(&at))
		log_warn("engine",
			 "metrics at %s: whoever reaches it reads public keys, endpoints and allowed IPs",
			 where);
	fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd >= 0 && !bind(fd, &at.sa, address_len(&at)) && !listen(fd, CONNECTIONS))
		return fd;
	error_set(e, errno, "metrics at %s: %s", where, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -e->code;
}

/* ---- pages ---- */

static enum MHD_Result reply(struct MHD_Connection *c, unsigned status, const void *body, size_t len,
			     const char *type)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(len, (void *)body, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result;

	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return result;
}

static enum MHD_Result reply_text(struct MHD_Connection *c, unsigned status, const char *text)
{
	return reply(c, status, text, strlen(text), "text/plain; charset=utf-8");
}

static bool make_page(struct exporter *x)
{
	uint64_t now = clock_boot_ns();
	struct strbuf page = {0};
	struct error e = {0};

	if (x->made && now - x->made < FRESH)
		return true;
	/* An answer that came late or not at all leaves the connection in an unknown state. */
	if (atomic_load(&x->broken) || openmetrics_render(x->client, &page, &e)) {
		if (!atomic_exchange(&x->broken, true))
			snprintf(x->why, sizeof(x->why), "%.250s", e.text);
		strbuf_clear(&page);
		return false;
	}
	strbuf_clear(&x->page);
	x->page = page;
	x->made = clock_boot_ns();
	return true;
}

/* All in one thread: MHD's. */
static enum MHD_Result answer(void *arg, struct MHD_Connection *c, const char *url, const char *method,
			      const char *version, const char *body, size_t *body_len, void **state)
{
	struct exporter *x = arg;

	(void)version, (void)body, (void)state;
	if (*body_len) { /* nobody has to send us anything */
		*body_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0)
		return reply_text(c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
	if (strcmp(url, "/metrics") != 0)
		return reply_text(c, MHD_HTTP_NOT_FOUND, "the page is /metrics\n");
	if (!make_page(x))
		return reply_text(c, MHD_HTTP_SERVICE_UNAVAILABLE, "the engine does not answer\n");
	return reply(c, MHD_HTTP_OK, x->page.text, x->page.len, OPENMETRICS_TYPE);
}

/* The thread above reads the connection; here it is only watched for its end. */
static void wait_for_end(struct exporter *x)
{
	struct pollfd p = {.fd = client_fd(x->client), .events = POLLRDHUP};

	while (!atomic_load(&x->broken)) {
		int n = poll(&p, 1, 1000);

		if (n > 0 || (n < 0 && errno != EINTR))
			break;
	}
}

int exporter_run(struct client *c, int listen_fd, struct error *e)
{
	const struct timeval patience = {.tv_sec = PATIENCE};
	struct exporter x = {.client = c};
	struct MHD_Daemon *d;

	setsockopt(client_fd(c), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	d = MHD_start_daemon(MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer, &x,
			     MHD_OPTION_LISTEN_SOCKET, listen_fd, MHD_OPTION_CONNECTION_LIMIT,
			     (unsigned)CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, IDLE_TIME, MHD_OPTION_END);
	if (!d) {
		close(listen_fd);
		client_close(c);
		error_set(e, EIO, "metrics: the HTTP server does not start");
		return EXIT_FAIL;
	}
	wait_for_end(&x);
	MHD_stop_daemon(d); /* closes the socket */
	client_close(c);
	strbuf_clear(&x.page);
	if (!atomic_load(&x.broken) || !x.why[0])
		return EXIT_OK;
	error_set(e, EIO, "metrics: %s", x.why);
	return EXIT_FAIL;
}
