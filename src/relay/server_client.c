/* Connections of clients: accepted here, made WebSockets by libwebsockets, their messages given to the hub.
 */
#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "relay/server_internal.h"

#define ACCEPT_BATCH	      64
#define PATH		      "/relay"
#define HTTP_UPGRADE_REQUIRED 426

/* ---- limits ---- */

static unsigned address_count(struct server *s, const uint8_t key[16])
{
	return (unsigned)(uintptr_t)map_get(s->addresses, key);
}

static void address_release(struct connection *c)
{
	unsigned count = address_count(c->server, c->address);

	if (!c->counted)
		return;
	c->counted = false;
	if (count > 1)
		map_put(c->server->addresses, c->address, (void *)(uintptr_t)(count - 1));
	else
		map_remove(c->server->addresses, c->address);
}

static bool address_take(struct connection *c, const uint8_t key[16])
{
	unsigned count = address_count(c->server, key);

	address_release(c);
	if (count >= c->server->per_address_max)
		return false;
	memcpy(c->address, key, sizeof(c->address));
	map_put(c->server->addresses, key, (void *)(uintptr_t)(count + 1));
	c->counted = true;
	return true;
}

static void refuse(struct server *s, enum server_refusal why, const char *address)
{
	static const char *const words[SERVER_REFUSALS] = {
		[SERVER_REFUSED_CLIENTS] = "there are as many connections as there may be (--max-clients)",
		[SERVER_REFUSED_ADDRESS] =
			"it has as many connections as one address may have (--max-per-address)",
		[SERVER_REFUSED_HANDSHAKES] = "too many connections have not logged in yet",
		[SERVER_REFUSED_DESCRIPTORS] = "this process may not open more files (LimitNOFILE=)",
	};

	s->refused[why]++;
	if (log_allowed(&s->refusal_lines, clock_boot_ns(), 10 * NS_PER_SEC, 3))
		log_warn("relay", "%s was turned away: %s", address, words[why]);
}

static void connection_free(struct connection *c)
{
	struct server *s = c->server;

	if (c->session)
		hub_remove(s->hub, c->session, c->established ? HUB_LOST : HUB_NO_UPGRADE, clock_boot_ns());
	address_release(c);
	s->connections--;
	free(c->partial);
	free(c);
}

/* Whoever is over the limits costs an accept and a close, nothing more. */
static bool welcome(struct connection *c, const union address *a, const char *text)
{
	struct server *s = c->server;
	size_t anonymous = s->hub->session_count - hub_clients(s->hub);
	uint8_t key[16];

	if (s->connections >= (size_t)s->clients_max + s->handshakes_max) {
		refuse(s, SERVER_REFUSED_CLIENTS, text);
		return false;
	}
	if (anonymous >= s->handshakes_max) {
		refuse(s, SERVER_REFUSED_HANDSHAKES, text);
		return false;
	}
	c->local = server_address_local(a);
	if (c->local && s->options->trust_proxy)
		return true; /* counted once it says for whom it speaks */
	server_address_key(a, key);
	if (address_take(c, key))
		return true;
	refuse(s, SERVER_REFUSED_ADDRESS, text);
	return false;
}

/* ---- what the hub orders ---- */

void server_client_writable(void *server, struct session *session)
{
	struct connection *c = session->owner;

	(void)server;
	if (c->wsi && c->established)
		lws_callback_on_writable(c->wsi);
}

void server_client_close(void *server, struct session *session)
{
	struct connection *c = session->owner;

	(void)server;
	if (c->wsi)
		lws_set_timeout(c->wsi, PENDING_TIMEOUT_KILLED_BY_PARENT, LWS_TO_KILL_ASYNC);
	else
		connection_free(c);
}

void server_client_pause(void *server, struct session *session, bool pause)
{
	struct connection *c = session->owner;

	(void)server;
	if (c->wsi)
		lws_rx_flow_control(c->wsi, !pause);
}

/* ---- HTTP ---- */

static bool is_path(struct lws *wsi)
{
	char path[sizeof(PATH) + 1];

	return lws_hdr_copy(wsi, path, sizeof(path), WSI_TOKEN_GET_URI) == sizeof(PATH) - 1 &&
	       !strcmp(path, PATH);
}

static int http_answer(struct lws *wsi, unsigned code)
{
	if (lws_return_http_status(wsi, code, NULL))
		return -1;
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

/* The proxy in front says whom it speaks for. An address that cannot be read is the proxy's own mistake: it
 * stays. */
static bool take_proxied_address(struct connection *c)
{
	char text[INET6_ADDRSTRLEN + 1], spelled[INET6_ADDRSTRLEN + 8];
	union address a;
	uint8_t key[16];
	int len = lws_hdr_copy(c->wsi, text, sizeof(text), WSI_TOKEN_HTTP_X_REAL_IP);

	if (len <= 0)
		return true;
	snprintf(spelled, sizeof(spelled), strchr(text, ':') ? "[%s]:0" : "%s:0", text);
	if (!server_parse_address(spelled, &a))
		return true;
	snprintf(c->session->address, sizeof(c->session->address), "%s (proxied)", text);
	server_address_key(&a, key);
	if (address_take(c, key))
		return true;
	refuse(c->server, SERVER_REFUSED_ADDRESS, text);
	return false;
}

static int confirm_upgrade(struct connection *c, struct lws *wsi, const char *to)
{
	if (strcasecmp(to, "websocket"))
		return -1;
	if (c->server->draining)
		return lws_return_http_status(wsi, HTTP_STATUS_SERVICE_UNAVAILABLE, NULL) ? -1 : 1;
	if (!is_path(wsi))
		return lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL) ? -1 : 1;
	if (c->local && c->server->options->trust_proxy && !take_proxied_address(c))
		return -1;
	return 0;
}

/* ---- messages ---- */

/* lws gives what it has of a frame. Most messages come whole; others are put together here, up to what may
 * be. */
static const uint8_t *assemble(struct connection *c, const uint8_t *in, size_t *len, size_t left)
{
	size_t most = c->session->logged_in ? RELAY_MESSAGE_MAX : RELAY_AUTH_MAX;
	bool first = lws_is_first_fragment(c->wsi);

	if (first)
		c->partial_len = 0;
	if (c->partial_len + *len + left > most) {
		hub_fault(c->session, HUB_TOO_LONG);
		return NULL;
	}
	if (first && !left)
		return in;
	if (!c->partial)
		c->partial = xmalloc(RELAY_MESSAGE_MAX);
	memcpy(c->partial + c->partial_len, in, *len);
	c->partial_len += *len;
	*len = c->partial_len;
	return left ? NULL : c->partial;
}

static int receive(struct connection *c, const uint8_t *in, size_t len)
{
	size_t left = lws_remaining_packet_payload(c->wsi);
	struct session *session = c->session;
	bool go_on;

	if (session->closing)
		return 0; /* it has not seen our Close yet */
	/* NetBird's servers read one frame as one message, and so do we: a message in pieces is no message.
	 */
	if (!lws_frame_is_binary(c->wsi))
		hub_fault(session, HUB_TEXT);
	else if (!lws_is_first_fragment(c->wsi) && !c->partial_len)
		hub_fault(session, HUB_FRAGMENTED);
	else if (!left && !lws_is_final_fragment(c->wsi))
		hub_fault(session, HUB_FRAGMENTED);
	else
		in = assemble(c, in, &len, left);
	if (session->reason)
		return -1;
	if (!in)
		return 0;
	go_on = hub_take(c->server->hub, session, in, len, clock_now());
	if (in == c->partial) {
		free(c->partial);
		c->partial = NULL;
		c->partial_len = 0;
	}
	server_arm(c->server);
	return go_on ? 0 : -1;
}

/*
 * Many messages in one write: the hub frames them itself, and LWS_WRITE_HTTP takes bytes as they are, on a
 * WebSocket as well (ops-ws.c of 4.1 to 4.3). What the socket does not take, lws keeps and sends first.
 */
static int send_queue(struct connection *c)
{
	uint8_t *batch = c->server->batch + LWS_PRE;
	size_t len = hub_fill(c->server->hub, c->session, batch, SERVER_BATCH);

	if (len && lws_write(c->wsi, batch, len, LWS_WRITE_HTTP) < (int)len)
		return -1;
	if (hub_waits(c->session) || lws_partial_buffered(c->wsi))
		lws_callback_on_writable(c->wsi);
	else if (c->session->closing)
		return -1;
	return 0;
}

static void over(struct connection *c, enum hub_reason reason)
{
	if (c->session)
		hub_remove(c->server->hub, c->session, reason, clock_boot_ns());
	c->session = NULL;
	c->wsi = NULL;
	address_release(c);
	server_arm(c->server);
}

static int client_callback(struct lws *wsi, int reason, void *in, size_t len)
{
	struct connection *c = lws_get_opaque_user_data(wsi);

	if (reason == LWS_CALLBACK_WSI_DESTROY) {
		lws_set_opaque_user_data(wsi, NULL);
		connection_free(c);
		return 0;
	}
	if (!c->session)
		return 0;
	switch (reason) {
	case LWS_CALLBACK_SERVER_NEW_CLIENT_INSTANTIATED:
		c->wsi = wsi;
		return 0;
	case LWS_CALLBACK_HTTP:
		return http_answer(wsi, is_path(wsi) ? HTTP_UPGRADE_REQUIRED : HTTP_STATUS_NOT_FOUND);
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return confirm_upgrade(c, wsi, in);
	case LWS_CALLBACK_ESTABLISHED:
		c->established = true;
		return 0;
	case LWS_CALLBACK_RECEIVE:
		return receive(c, in, len);
	case LWS_CALLBACK_SERVER_WRITEABLE:
		return send_queue(c);
	case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
		hub_fault(c->session, HUB_BY_CLIENT);
		return 0;
	case LWS_CALLBACK_CLOSED:
		over(c, HUB_LOST);
		return 0;
	case LWS_CALLBACK_CLOSED_HTTP:
		over(c, HUB_NO_UPGRADE);
		return 0;
	default:
		return 0;
	}
}

/* ---- accepting ---- */

static void adopt(struct server *s, int fd, const union address *a)
{
	struct connection *c = xcalloc(1, sizeof(*c));
	lws_adopt_desc_t info = {.vh = s->vhost,
				 .type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP | LWS_ADOPT_ALLOW_SSL,
				 .fd.sockfd = fd,
				 .opaque = c};
	char text[ADDRESS_TEXT];

	address_format(text, a);
	c->watched.callback = client_callback;
	c->server = s;
	if (!welcome(c, a, text)) {
		free(c);
		close(fd);
		return;
	}
	server_tune(fd);
	s->connections++;
	c->session = hub_add(s->hub, c, text, clock_boot_ns());
	/* Failing, it may have freed the connection (WSI_DESTROY) or not: then the login's deadline does. */
	lws_adopt_descriptor_vhost_via_info(&info);
}

/* Out of descriptors the listener would stay readable for ever: the spare one lets the caller in, and out. */
static void turn_away(struct server *s, int fd)
{
	int client;

	refuse(s, SERVER_REFUSED_DESCRIPTORS, "a client");
	close(s->spare_fd);
	client = accept(fd, NULL, NULL);
	if (client >= 0)
		close(client);
	s->spare_fd = dup(STDERR_FILENO);
}

void server_accept(struct server *s, int fd)
{
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		union address a = {0};
		socklen_t len = sizeof(a);
		int client = accept4(fd, &a.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (client < 0 && (errno == EMFILE || errno == ENFILE)) {
			turn_away(s, fd);
			return;
		}
		if (client < 0)
			break;
		s->accepted++;
		server_unmap(&a);
		adopt(s, client, &a);
	}
	server_arm(s);
}
