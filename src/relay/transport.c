/*
 * libwebsockets does TLS and WebSocket here, and neither names nor connections: it would resolve names in
 * this thread, try addresses one by one, and it has no place to mark a socket before its first packet. So the
 * socket comes connected from dial.c; the library is made to connect to a local socket instead, and when it
 * reports that (LWS_CALLBACK_WSI_CREATE, before anything is sent), the real one takes the place of that
 * descriptor.
 */
#include "relay/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"

#define WRITES_PER_TURN 16 /* then others have their turn */
#define WRITE_PLAIN	65536
#define WRITE_TLS	16384 /* one record */
#define HEADROOM	16
#define SERVICE_BYTES	65536
#define FDS_MAX		256
#define STATUS_MAX	80

_Static_assert(HEADROOM >= LWS_PRE, "the library writes frame headers before the message");

enum command_kind { START, SEND, PING, CLOSE, FORGET, TRUST };

struct command {
	struct list link;
	enum command_kind kind;
	struct relay_session *session;
	struct ssl_ctx_st *trust;
	size_t len;
	uint8_t bytes[];
};

struct message { /* in an outbox */
	struct list link;
	bool ping;
	size_t len;
	uint8_t bytes[]; /* headroom, then len bytes */
};

struct transport {
	struct transport_ops ops;
	struct lws_context *context;
	pthread_t thread;
	atomic_bool stop;
	int decoy; /* listens; what the library connects to at first */
	char decoy_name[32];

	pthread_mutex_t lock; /* of commands */
	struct list commands;

	/* The I/O thread's. */
	struct list sessions; /* all that are not forgotten */
	struct lws_vhost *vhost;
	struct ssl_ctx_st *trusts[16]; /* the vhosts', newest last: connections may still use any */
	unsigned trust_count;
};

/* ---- sessions, in the I/O thread ---- */

/* It may be the login with its token. */
static void free_message(struct message *m)
{
	crypto_wipe(m->bytes, HEADROOM + m->len);
	free(m);
}

static void drop_messages(struct list *messages)
{
	list_for_each_safe (at, messages) {
		list_remove(at);
		free_message(container_of(at, struct message, link));
	}
}

static void end_session(struct relay_session *s)
{
	if (s->ended)
		return;
	s->ended = true;
	s->open = false;
	if (s->wsi)
		lws_set_wsi_user(s->wsi, NULL);
	s->wsi = NULL;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	drop_messages(&s->outbox);
	relay_batch_clear(&s->batch);
	if (!s->error[0] && s->tls.error[0]) {
		s->refused = true;
		s->failure = RELAY_FAILURE_TLS;
		snprintf(s->error, sizeof(s->error), "%s", s->tls.error);
	}
	if (!s->error[0] && s->url.tls && !s->tls.certificate[0])
		s->failure = RELAY_FAILURE_TLS;
	if (!s->error[0])
		snprintf(s->error, sizeof(s->error), "%s",
			 s->url.tls && !s->tls.certificate[0] ? "the connection ended before TLS began (does "
								"the server speak TLS on this port?)"
							      : "the connection ended");
	s->transport->ops.closed(s);
}

static void kill_session(struct relay_session *s)
{
	struct lws *wsi = s->wsi;

	end_session(s);
	if (wsi)
		lws_set_timeout(wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
}

void transport_abort(struct relay_session *s, const char *why)
{
	if (!s->ended)
		snprintf(s->error, sizeof(s->error), "%s", why);
	kill_session(s);
}

static void queue_message(struct relay_session *s, bool ping, const void *bytes, size_t len)
{
	struct message *m = xmalloc(sizeof(*m) + HEADROOM + len);

	m->ping = ping;
	m->len = len;
	if (len)
		memcpy(m->bytes + HEADROOM, bytes, len);
	list_append(&s->outbox, &m->link);
	if (s->open)
		lws_callback_on_writable(s->wsi);
}

void transport_say(struct relay_session *s, const void *message, size_t len)
{
	if (!s->ended)
		queue_message(s, false, message, len);
}

static bool write_next(struct relay_session *s, struct lws *wsi, bool *failed)
{
	struct message *m;
	const uint8_t *frames;
	size_t len;

	if (list_empty(&s->outbox)) {
		/* Whole frames already, so they go out as they are: one call of the kernel for dozens. */
		frames = relay_queue_next(s->queue, s->serial, &s->batch,
					  s->url.tls ? WRITE_TLS : WRITE_PLAIN, &len);
		if (frames)
			*failed = lws_write(wsi, (uint8_t *)frames, len, LWS_WRITE_RAW) < 0;
		return frames != NULL;
	}
	m = container_of(s->outbox.next, struct message, link);
	list_remove(&m->link);
	if (m->ping)
		s->ping_sent = clock_boot_ns();
	*failed =
		lws_write(wsi, m->bytes + HEADROOM, m->len, m->ping ? LWS_WRITE_PING : LWS_WRITE_BINARY) < 0;
	free_message(m);
	return true;
}

/* -1: the connection is broken. */
static int write_some(struct relay_session *s, struct lws *wsi)
{
	bool failed = false;

	for (int i = 0; i < WRITES_PER_TURN; i++) {
		if (lws_send_pipe_choked(wsi))
			break;
		if (!write_next(s, wsi, &failed))
			return 0;
		if (failed)
			return -1;
	}
	lws_callback_on_writable(wsi);
	return 0;
}

/* A message may come in parts: by the server's frames or by our buffer's end. */
static void receive(struct relay_session *s, struct lws *wsi, uint8_t *data, size_t len)
{
	bool last = lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi);

	if (lws_is_first_fragment(wsi)) {
		s->partial_len = 0;
		s->skipping = !lws_frame_is_binary(wsi);
	}
	if (s->skipping)
		return;
	if (last && !s->partial_len) {
		s->transport->ops.message(s, data, len);
		return;
	}
	if (len > RELAY_MESSAGE_MAX - s->partial_len) {
		log_debug("relay", "%s: a message longer than the protocol allows is skipped", s->url.host);
		s->skipping = true;
		return;
	}
	if (!s->partial)
		s->partial = xmalloc(RELAY_MESSAGE_MAX);
	memcpy(s->partial + s->partial_len, data, len);
	s->partial_len += len;
	if (last) {
		len = s->partial_len;
		s->partial_len = 0;
		s->transport->ops.message(s, s->partial, len);
	}
}

/* ---- why a session did not come to be ---- */

static void explain(struct relay_session *s, struct lws *wsi, const char *text, size_t len)
{
	unsigned status = lws_http_client_http_response(wsi);
	char words[100], tls[80];

	if (s->error[0])
		return;
	relay_tls_last_error(tls, sizeof(tls));
	log_visible(words, sizeof(words), text ? text : "", text ? len : 0);
	if (s->tls.error[0])
		return; /* end_session says that */
	if (status && status != 101) {
		s->refused = true;
		s->failure = RELAY_FAILURE_HTTP;
		snprintf(s->error, sizeof(s->error), "refused: HTTP %u%s", status,
			 status == 404 ? " (is this a relay server?)" : "");
	} else if (s->url.tls && tls[0]) {
		s->refused = true;
		s->failure = RELAY_FAILURE_TLS;
		snprintf(s->error, sizeof(s->error), "TLS: %s%s", tls,
			 strstr(tls, "wrong version") ? " (does it speak TLS on this port?)" : "");
	} else if (!s->url.tls || s->tls.certificate[0]) {
		snprintf(s->error, sizeof(s->error), "the connection ended before it was ready%s%s",
			 words[0] ? ": " : "", words);
	}
}

static void note_leave(struct relay_session *s, const uint8_t *in, size_t len)
{
	char reason[80] = "";

	s->said_close = true;
	if (s->error[0])
		return;
	if (len > 2)
		log_visible(reason, sizeof(reason), (const char *)in + 2, len - 2);
	snprintf(s->error, sizeof(s->error), "closed by the relay%s%s", reason[0] ? ": " : "", reason);
}

/* The real socket in the place of the decoy's. */
static void put_socket(struct relay_session *s, struct lws *wsi)
{
	if (s->fd < 0)
		return;
	if (dup3(s->fd, lws_get_socket_fd(wsi), O_CLOEXEC) < 0)
		snprintf(s->error, sizeof(s->error), "cannot use its socket: %s", strerror(errno));
	close(s->fd);
	s->fd = -1;
}

static int on_session(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct relay_session *s = user;

	switch (reason) {
	case LWS_CALLBACK_WSI_CREATE:
		put_socket(s, wsi);
		break;
	case LWS_CALLBACK_CLIENT_ESTABLISHED:
		s->open = true;
		s->wsi = wsi;
		s->transport->ops.opened(s);
		if (s->open)
			lws_callback_on_writable(wsi);
		break;
	case LWS_CALLBACK_CLIENT_RECEIVE:
		receive(s, wsi, in, len);
		break;
	case LWS_CALLBACK_CLIENT_WRITEABLE:
		return write_some(s, wsi);
	case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
		if (s->ping_sent)
			s->transport->ops.pong(s, clock_boot_ns() - s->ping_sent);
		s->ping_sent = 0;
		break;
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		note_leave(s, in, len);
		break;
	case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
		explain(s, wsi, in, len);
		s->wsi = wsi;
		end_session(s);
		break;
	case LWS_CALLBACK_CLIENT_CLOSED:
	case LWS_CALLBACK_WSI_DESTROY:
		end_session(s);
		break;
	default:
		break;
	}
	return 0;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in, size_t len)
{
	struct relay_session *s;

	if (reason == LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION) {
		s = lws_wsi_user(wsi);
		return s && relay_tls_verify(user, len != 0, &s->tls) ? 0 : 1;
	}
	/* Other callbacks come with the vhost's or nobody's user, or after the session has ended. */
	return user ? on_session(wsi, reason, user, in, len) : 0;
}

static const struct lws_protocols protocols[] = {
	{"relay", on_lws, 0, SERVICE_BYTES, 0, NULL, 0},
	{NULL, NULL, 0, 0, 0, NULL, 0},
};

/* ---- commands ---- */

/* Where the library connects to; what came of earlier sessions, or of strangers, is sent away. */
static void clear_decoy(struct transport *t)
{
	int fd;

	while ((fd = accept4(t->decoy, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
}

static void begin(struct transport *t, struct relay_session *s)
{
	bool literal = strchr(s->url.host, ':') != NULL, standard = s->url.port == (s->url.tls ? 443 : 80);
	struct lws_client_connect_info i = {
		.context = t->context,
		.vhost = t->vhost,
		.address = t->decoy_name,
		.port = s->url.port,
		.path = "/relay",
		.local_protocol_name = protocols[0].name,
		.alpn = "http/1.1",
		.userdata = s,
		.pwsi = &s->wsi,
	};
	char host[sizeof(s->url.host) + 16], port[8] = "";

	s->transport = t;
	list_append(&t->sessions, &s->link);
	if (atomic_load(&s->dropped)) {
		end_session(s);
		return;
	}
	if (!standard)
		snprintf(port, sizeof(port), ":%u", s->url.port);
	snprintf(host, sizeof(host), "%s%s%s%s", literal ? "[" : "", s->url.host, literal ? "]" : "", port);
	i.host = host;
	i.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT;
	if (s->url.tls) /* the name is checked by relay_tls_verify */
		i.ssl_connection |= LCCSCF_USE_SSL | LCCSCF_SKIP_SERVER_CERT_HOSTNAME_CHECK;
	clear_decoy(t);
	if (!lws_client_connect_via_info(&i)) {
		s->wsi = NULL; /* gone, with or without a callback */
		end_session(s);
	}
	clear_decoy(t);
}

static void say_close(struct relay_session *s)
{
	uint8_t bytes[HEADROOM + 2];
	int len = relay_put_simple(bytes + HEADROOM, 2, RELAY_CLOSE);

	if (s->open && !lws_send_pipe_choked(s->wsi))
		lws_write(s->wsi, bytes + HEADROOM, (size_t)len, LWS_WRITE_BINARY);
}

/*
 * A login that is given up must not get through later: the server would take it for the newest one, and end
 * the session that took its place. connect() to AF_UNSPEC resets the connection and forgets what it had to
 * send.
 */
static void take_back(struct relay_session *s)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (s->open)
		connect(lws_get_socket_fd(s->wsi), &none, sizeof(none));
}

static void free_session(struct relay_session *s)
{
	const struct transport *t = s->transport;

	list_remove(&s->link);
	free(s->partial);
	t->ops.freed(s);
}

static bool use_trust(struct transport *t, struct ssl_ctx_st *trust)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.protocols = protocols,
		.options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.provided_client_ssl_ctx = trust,
		.http_proxy_address = "none:0", /* not the environment's: proxies are dialled before */
		.gid = -1,
		.uid = -1,
	};
	char name[24];
	struct lws_vhost *vhost;

	snprintf(name, sizeof(name), "trust-%u", t->trust_count);
	info.vhost_name = name;
	vhost = t->trust_count < sizeof(t->trusts) / sizeof(t->trusts[0])
			? lws_create_vhost(t->context, &info)
			: NULL;
	if (!vhost)
		return false;
	t->vhost = vhost;
	t->trusts[t->trust_count++] = trust;
	return true;
}

static void run_command(struct transport *t, struct command *c)
{
	struct relay_session *s = c->session;

	switch (c->kind) {
	case START:
		begin(t, s);
		break;
	case SEND:
		transport_say(s, c->bytes, c->len);
		break;
	case PING:
		if (!s->ended)
			queue_message(s, true, "weir", 4);
		break;
	case CLOSE:
		if (s->logged_in)
			say_close(s);
		else
			take_back(s);
		kill_session(s);
		break;
	case FORGET:
		free_session(s);
		break;
	case TRUST:
		if (!use_trust(t, c->trust)) {
			log_error("relay",
				  "the new CaFile comes into use at the next start: it changed too often");
			relay_tls_free(c->trust);
		}
		break;
	}
}

static void run_commands(struct transport *t)
{
	struct command *c;

	for (;;) {
		pthread_mutex_lock(&t->lock);
		if (list_empty(&t->commands)) {
			pthread_mutex_unlock(&t->lock);
			return;
		}
		c = container_of(t->commands.next, struct command, link);
		list_remove(&c->link);
		pthread_mutex_unlock(&t->lock);
		run_command(t, c);
		crypto_wipe(c->bytes, c->len);
		free(c);
	}
}

static void *run(void *arg)
{
	struct transport *t = arg;

	while (!atomic_load(&t->stop) && lws_service(t->context, 0) >= 0) {
		run_commands(t);
		list_for_each (at, &t->sessions) {
			struct relay_session *s = container_of(at, struct relay_session, link);

			if (s->open && atomic_load_explicit(&s->queue->waiting, memory_order_relaxed))
				lws_callback_on_writable(s->wsi);
		}
	}
	run_commands(t);
	list_for_each (at, &t->sessions) {
		struct relay_session *s = container_of(at, struct relay_session, link);

		say_close(s);
		kill_session(s);
	}
	return NULL;
}

static void post(struct transport *t, enum command_kind kind, struct relay_session *s, const void *bytes,
		 size_t len)
{
	struct command *c = xmalloc(sizeof(*c) + len);

	*c = (struct command){.kind = kind, .session = s, .len = len};
	if (len)
		memcpy(c->bytes, bytes, len);
	pthread_mutex_lock(&t->lock);
	list_append(&t->commands, &c->link);
	pthread_mutex_unlock(&t->lock);
	lws_cancel_service(t->context);
}

/* ---- [control thread] ---- */

void transport_start(struct transport *t, struct relay_session *s)
{
	list_init(&s->outbox);
	list_init(&s->early);
	list_init(&s->link);
	s->tls = (struct relay_tls_check){.host = s->url.host, .pin = s->pin};
	post(t, START, s, NULL, 0);
}

void transport_send(struct transport *t, struct relay_session *s, const void *message, size_t len)
{
	post(t, SEND, s, message, len);
}

void transport_ping(struct transport *t, struct relay_session *s)
{
	post(t, PING, s, NULL, 0);
}

void transport_close(struct transport *t, struct relay_session *s)
{
	atomic_store(&s->dropped, true);
	post(t, CLOSE, s, NULL, 0);
}

void transport_forget(struct transport *t, struct relay_session *s)
{
	post(t, FORGET, s, NULL, 0);
}

void transport_wake(struct transport *t)
{
	lws_cancel_service(t->context);
}

int transport_trust(struct transport *t, const char *ca_file, struct error *e)
{
	struct ssl_ctx_st *trust = relay_tls_new(ca_file, e);
	struct command *c;

	if (!trust)
		return -EINVAL;
	c = xcalloc(1, sizeof(*c));
	c->kind = TRUST;
	c->trust = trust;
	pthread_mutex_lock(&t->lock);
	list_append(&t->commands, &c->link);
	pthread_mutex_unlock(&t->lock);
	lws_cancel_service(t->context);
	return 0;
}

static void on_log(int level, const char *line)
{
	char text[200];
	size_t len = strcspn(line, "\n");

	(void)level;
	log_visible(text, sizeof(text), line, len);
	log_debug("relay", "libwebsockets: %s", text);
}

/* A name that the kernel chooses, in no folder. */
static int listen_decoy(char *name, size_t size)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	socklen_t len = sizeof(at.sun_family);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&at, len) < 0 || listen(fd, 64) < 0 ||
	    (len = sizeof(at), getsockname(fd, (struct sockaddr *)&at, &len)) < 0) {
		close(fd);
		return -errno;
	}
	snprintf(name, size, "+@%.*s", (int)(len - offsetof(struct sockaddr_un, sun_path) - 1),
		 at.sun_path + 1);
	return fd;
}

static int start_thread(struct transport *t)
{
	sigset_t all, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&t->thread, NULL, run, t);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static int set_up(struct transport *t, const char *ca_file, struct error *e)
{
	struct lws_context_creation_info info = {
		.port = CONTEXT_PORT_NO_LISTEN,
		.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
		.fd_limit_per_thread = FDS_MAX,
		.pt_serv_buf_size = SERVICE_BYTES,
		.gid = -1,
		.uid = -1,
	};
	struct ssl_ctx_st *trust = relay_tls_new(ca_file, e);

	if (!trust)
		return -EINVAL;
	lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
	t->context = lws_create_context(&info);
	if (!t->context || !use_trust(t, trust)) {
		relay_tls_free(trust);
		return error_set(e, EIO, "relay: libwebsockets cannot be set up");
	}
	t->decoy = listen_decoy(t->decoy_name, sizeof(t->decoy_name));
	if (t->decoy < 0)
		return error_set(e, -t->decoy, "relay: no local socket: %s", strerror(-t->decoy));
	return 0;
}

static void tear_down(struct transport *t)
{
	/* Not in the thread, which may be woken until it is joined. */
	if (t->context)
		lws_context_destroy(t->context);
	list_for_each_safe (at, &t->sessions)
		free_session(container_of(at, struct relay_session, link));
	list_for_each_safe (at, &t->commands) {
		list_remove(at);
		free(container_of(at, struct command, link)); /* run() has emptied it, if it ran */
	}
	for (unsigned i = 0; i < t->trust_count; i++)
		relay_tls_free(t->trusts[i]);
	if (t->decoy >= 0)
		close(t->decoy);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct transport *transport_new(const struct transport_ops *ops, const char *ca_file, struct error *e)
{
	struct transport *t = xcalloc(1, sizeof(*t));
	int err;

	t->ops = *ops;
	t->decoy = -1;
	pthread_mutex_init(&t->lock, NULL);
	list_init(&t->commands);
	list_init(&t->sessions);
	err = set_up(t, ca_file, e);
	if (!err) {
		err = start_thread(t);
		if (err)
			error_set(e, err, "relay: no thread to be had: %s", strerror(err));
	}
	if (!err)
		return t;
	tear_down(t);
	return NULL;
}

void transport_free(struct transport *t)
{
	if (!t)
		return;
	atomic_store(&t->stop, true);
	lws_cancel_service(t->context);
	pthread_join(t->thread, NULL);
	tear_down(t);
}
