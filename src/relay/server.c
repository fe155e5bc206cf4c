/* The relay server's loop: libwebsockets over libuv (or poll), its timer, signals, and its beginning and end.
 */
#include "relay/server.h"

#include <errno.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "relay/server_internal.h"

#define DRAIN_NS     (5 * NS_PER_SEC) /* for Close messages to be taken */
#define HEADERS_MAX  4096	      /* bytes of an HTTP request's header */
#define HTTP_SECONDS 10
#define STATUS_KEPT  5 /* seconds that a connection to the status page is kept open */

struct server_timer {
	lws_sorted_usec_list_t sul;
	struct server *server;
};

/* What libwebsockets has to say is caused by clients in the main: it is for debugging, but for why it cannot
 * start. */
static char last_words[160];

static void lws_line(int level, const char *line)
{
	size_t len = strcspn(line, "\n");

	if (level & LLL_ERR)
		snprintf(last_words, sizeof(last_words), "%.*s", (int)len, line);
	log_debug("lws", "%.*s", (int)len, line);
}

/* ---- end ---- */

static void stop(struct server *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	lws_cancel_service(s->context);
}

static void close_descriptor(struct server_descriptor *d)
{
	if (d->wsi)
		lws_set_timeout(d->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
}

static void drain(struct server *s, const char *why)
{
	uint64_t now = clock_boot_ns();

	if (s->draining) {
		stop(s);
		return;
	}
	log_notice("relay", "%s: saying Close to %zu clients", why, hub_clients(s->hub));
	s->draining = true;
	s->drain_end = now + DRAIN_NS;
	close_descriptor(&s->listener);
	hub_drain(s->hub, now, s->drain_end - NS_PER_SEC);
	server_arm(s);
}

/* ---- the timer ---- */

static void on_timer(lws_sorted_usec_list_t *sul)
{
	struct server *s = lws_container_of(sul, struct server_timer, sul)->server;
	uint64_t now = clock_boot_ns();

	s->armed = 0;
	hub_run(s->hub, now);
	if (s->draining && now >= s->drain_end)
		stop(s);
	server_arm(s);
}

void server_arm(struct server *s)
{
	uint64_t at = hub_deadline(s->hub), now;

	if (s->stopping)
		return;
	if (s->draining && !s->hub->session_count) {
		stop(s);
		return;
	}
	at = s->draining ? earlier(at, s->drain_end) : at;
	if (at == s->armed)
		return;
	s->armed = at;
	if (!at) {
		lws_sul_cancel(&s->timer->sul);
		return;
	}
	now = clock_boot_ns();
	lws_sul_schedule(s->context, 0, &s->timer->sul, on_timer,
			 at > now ? (lws_usec_t)((at - now) / NS_PER_US) + 1 : 1);
}

/* ---- descriptors of ours in lws's loop ---- */

static void signals_ready(struct server *s, int fd)
{
	struct signalfd_siginfo info;

	while (read(fd, &info, sizeof(info)) == sizeof(info))
		switch (info.ssi_signo) {
		case SIGHUP:
			server_reload(s);
			break;
		case SIGUSR1:
			server_log_figures(s, clock_boot_ns());
			break;
		default:
			drain(s, info.ssi_signo == SIGINT ? "interrupted" : "asked to end");
		}
}

static int descriptor_callback(struct lws *wsi, int reason, void *in, size_t len)
{
	struct server_descriptor *d = lws_get_opaque_user_data(wsi);

	(void)in, (void)len;
	if (reason == LWS_CALLBACK_RAW_RX_FILE)
		d->ready(d->server, d->fd);
	if (reason == LWS_CALLBACK_WSI_DESTROY) {
		lws_set_opaque_user_data(wsi, NULL);
		d->wsi = NULL;
		d->fd = -1; /* closed with it */
	}
	return 0;
}

static int watch(struct server *s, struct server_descriptor *d, void (*ready)(struct server *s, int fd),
		 struct error *e)
{
	d->watched.callback = descriptor_callback;
	d->server = s;
	d->ready = ready;
	if (d->fd < 0)
		return 0;
	d->wsi = lws_adopt_descriptor_vhost_via_info(&(lws_adopt_desc_t){
		.vh = s->vhost, .type = LWS_ADOPT_RAW_FILE_DESC, .fd.filefd = d->fd, .opaque = d});
	return d->wsi ? 0 : error_set(e, EIO, "cannot watch a descriptor: %s", last_words);
}

/*
 * All events of the one virtual host. With one for the clients and one for the status page, lws would choose
 * between them by the Host header; so it is what stands behind the descriptor that decides.
 */
static int callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct server *s = lws_context_user(lws_get_context(wsi));
	struct server_watched *watched = lws_get_opaque_user_data(wsi);

	if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS)
		server_tune_tls(s->tls = user);
	if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED && s->stopping && s->loop_uv)
		lws_context_destroy(
			s->context); /* from within the loop: that is how it ends one of its own */
	return watched ? watched->callback(wsi, reason, in, len) : 0;
}

static const struct lws_protocols protocols[] = {
	{.name = "relay", .callback = callback, .rx_buffer_size = SERVER_BATCH},
	{0},
};

static struct lws_vhost *make_vhost(struct server *s)
{
	static const lws_retry_bo_t no_pings = {0}; /* the protocol has health checks of its own */
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN_SERVER,
		.vhost_name = "relay",
		.protocols = protocols,
		.retry_and_idle_policy = &no_pings,
		.timeout_secs = HTTP_SECONDS,
		.keepalive_timeout = STATUS_KEPT,
		.alpn = "http/1.1",
	};

	if (s->options->cert_file) {
		info.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
		info.ssl_cert_filepath = s->options->cert_file;
		info.ssl_private_key_filepath = s->options->key_file;
	}
	return lws_create_vhost(s->context, &info);
}

static struct lws_context *make_context(struct server *s, uint64_t loop)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_UV_NO_SIGSEGV_SIGFPE_SPIN |
			   loop,
		.user = s,
		.max_http_header_data = HEADERS_MAX,
		.max_http_header_pool = (unsigned short)s->handshakes_max,
		.pt_serv_buf_size = SERVER_BATCH + 4096,
		.timeout_secs = HTTP_SECONDS,
	};

	if (s->options->cert_file)
		info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
	return lws_create_context(&info);
}

static int make_loop(struct server *s, struct error *e)
{
	lws_set_log_level(LLL_ERR | LLL_WARN, lws_line);
	s->context = make_context(s, LWS_SERVER_OPTION_LIBUV);
	s->loop_uv = s->context;
	if (!s->context) {
		log_warn("relay", "no libuv for libwebsockets (Debian: libwebsockets-evlib-uv): poll() is "
				  "used, which is slow "
				  "with thousands of clients");
		s->context = make_context(s, 0);
	}
	if (!s->context)
		return error_set(e, EIO, "libwebsockets cannot start: %s", last_words);
	s->vhost = make_vhost(s);
	if (!s->vhost || (s->options->cert_file && !s->tls))
		return error_set(e, EIO, "libwebsockets cannot serve: %s", last_words);
	s->batch = xmalloc(LWS_PRE + SERVER_BATCH);
	s->timer = xcalloc(1, sizeof(*s->timer));
	s->timer->server = s;
	return 0;
}

static int watch_all(struct server *s, struct error *e)
{
	int r = watch(s, &s->signals, signals_ready, e);

	if (!r)
		r = watch(s, &s->listener, server_accept, e);
	if (!r)
		r = watch(s, &s->status_listener, server_accept_status, e);
	for (unsigned i = 0; i < STUN_PLACES && !r; i++)
		r = watch(s, &s->stun[i], server_stun_ready, e);
	return r;
}

static void add_places(const struct server *s, struct strbuf *out)
{
	char text[ADDRESS_TEXT];

	for (unsigned i = 0; i < STUN_PLACES; i++)
		if (s->stun[i].fd >= 0)
			strbuf_add(out, " %s", address_format(text, &s->stun_bound[i]));
}

static void say_hello(const struct server *s)
{
	char at[ADDRESS_TEXT], status[ADDRESS_TEXT];
	struct strbuf stun = {0};

	add_places(s, &stun);
	log_notice("relay", "serving %s at %s (%s), STUN%s, status %s, at most %u clients", s->hub->url,
		   address_format(at, &s->bound), s->tls ? "TLS" : "no TLS", stun.len ? stun.text : " off",
		   s->status_listener.fd < 0 ? "off" : address_format(status, &s->status_bound),
		   s->clients_max);
	strbuf_clear(&stun);
}

int relay_server_run(const struct relay_server_options *o, struct error *e)
{
	const struct hub_ops ops = {server_client_writable, server_client_close, server_client_pause, NULL};
	struct server s = {0};
	int r = server_set_up(&s, o, &ops, e);

	if (!r)
		r = make_loop(&s, e);
	if (!r)
		r = watch_all(&s, e);
	if (!r && o->ready)
		r = o->ready(o->arg, e);
	if (!r) {
		say_hello(&s);
		while (!s.stopping && lws_service(s.context, 0) >= 0)
			;
		log_notice("relay", "ended");
	}
	s.stopping = true;
	lws_context_destroy(s.context);
	server_take_down(&s);
	free(s.batch);
	free(s.timer);
	return r;
}
