/* The status pages: /metrics, /status.json, /health; plain HTTP, by default for this machine alone. */
#include <errno.h>
#include <libwebsockets.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "relay/server_internal.h"

#define CONNECTIONS_MAX 32
#define CHUNK		16384

struct page {
	struct server_watched watched;
	struct server *server;
	struct strbuf body;
	size_t sent;
};

static const char *write_page(struct page *p, const char *path)
{
	struct server *s = p->server;

	if (!strcmp(path, "/metrics")) {
		server_metrics(s, &p->body);
		return "application/openmetrics-text; version=1.0.0; charset=utf-8";
	}
	if (!strcmp(path, "/status.json")) {
		server_status_json(s, clock_boot_ns(), &p->body);
		return "application/json";
	}
	if (!strcmp(path, "/health")) {
		strbuf_add(&p->body, "%s\n", s->draining ? "draining" : "ok");
		return "text/plain";
	}
	return NULL;
}

static int start_page(struct page *p, struct lws *wsi, const char *path)
{
	uint8_t room[LWS_PRE + 1024], *start = room + LWS_PRE, *at = start, *end = room + sizeof(room) - 1;
	unsigned status = HTTP_STATUS_OK;
	const char *type;

	strbuf_clear(&p->body);
	p->sent = 0;
	type = write_page(p, path);
	if (!type) {
		if (lws_return_http_status(wsi, HTTP_STATUS_NOT_FOUND, NULL))
			return -1;
		return lws_http_transaction_completed(wsi) ? -1 : 0;
	}
	if (p->server->draining && !strcmp(path, "/health"))
		status = HTTP_STATUS_SERVICE_UNAVAILABLE;
	if (lws_add_http_common_headers(wsi, status, type, p->body.len, &at, end) ||
	    lws_finalize_write_http_header(wsi, start, &at, end))
		return -1;
	lws_callback_on_writable(wsi);
	return 0;
}

static int continue_page(struct page *p, struct lws *wsi)
{
	size_t left = p->body.len - p->sent, len = left < CHUNK ? left : CHUNK;
	uint8_t room[LWS_PRE + CHUNK];

	if (!p->body.text)
		return 0;
	memcpy(room + LWS_PRE, p->body.text + p->sent, len);
	p->sent += len;
	if (lws_write(wsi, room + LWS_PRE, len, len == left ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
	    (int)len)
		return -1;
	if (len < left) {
		lws_callback_on_writable(wsi);
		return 0;
	}
	strbuf_clear(&p->body);
	return lws_http_transaction_completed(wsi) ? -1 : 0;
}

static void page_free(struct lws *wsi, struct page *p)
{
	lws_set_opaque_user_data(wsi, NULL);
	p->server->status_connections--;
	strbuf_clear(&p->body);
	free(p);
}

static int status_callback(struct lws *wsi, int reason, void *in, size_t len)
{
	struct page *p = lws_get_opaque_user_data(wsi);

	(void)len;
	switch (reason) {
	case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE:
		return -1;
	case LWS_CALLBACK_HTTP:
		return start_page(p, wsi, in);
	case LWS_CALLBACK_HTTP_WRITEABLE:
		return continue_page(p, wsi);
	case LWS_CALLBACK_WSI_DESTROY:
		page_free(wsi, p);
		return 0;
	default:
		return 0;
	}
}

void server_accept_status(struct server *s, int fd)
{
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct page *page;

	if (client < 0)
		return;
	if (s->status_connections >= CONNECTIONS_MAX) {
		close(client);
		return;
	}
	server_tune(client);
	page = xcalloc(1, sizeof(*page));
	page->watched.callback = status_callback;
	page->server = s;
	s->status_connections++;
	if (!lws_adopt_descriptor_vhost_via_info(
		    &(lws_adopt_desc_t){.vh = s->vhost,
					.type = LWS_ADOPT_SOCKET | LWS_ADOPT_HTTP,
					.fd.sockfd = client,
					.opaque = page}))
		log_debug("relay", "a connection to the status page failed");
}
