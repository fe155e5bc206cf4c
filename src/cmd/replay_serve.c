/* A bundle that answers as an engine would: weir-control(7), as far as the past goes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "cmd/replay.h"

#define REQUEST_MAX (1u << 20)

static bool send_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

static bool send_object(int fd, json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);
	bool sent = text && send_all(fd, text, strlen(text)) && send_all(fd, "\n", 1);

	free(text);
	json_decref(o);
	return sent;
}

static bool answer(int fd, json_t *id)
{
	return send_object(fd, json_pack("{s:O, s:{}}", "id", id, "result"));
}

static const char *why_not(const char *method)
{
	if (!strcmp(method, "tap") || !strcmp(method, "capture") || !strcmp(method, "keep") ||
	    !strcmp(method, "kept"))
		return "a bundle holds no packets";
	return "this is a bundle, not an engine: it only tells what was recorded";
}

static bool serve_request(const struct replay *r, int fd, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, 0, NULL), *id = json_object_get(o, "id"), *none = json_null();
	const char *method = json_string_value(json_object_get(o, "method"));
	bool sent = true;

	id = id ? id : none;
	if (!method)
		sent = false;
	else if (!strcmp(method, "history"))
		sent = send_all(fd, r->lines.text, r->lines.len) && answer(fd, id);
	else if (!strcmp(method, "subscribe"))
		sent = answer(fd, id) && send_all(fd, r->snapshot, strlen(r->snapshot)) &&
		       send_all(fd, "\n", 1);
	else if (!strcmp(method, "unsubscribe") || !strcmp(method, "untap"))
		sent = answer(fd, id);
	else
		sent = send_object(fd, json_pack("{s:O, s:{s:s, s:s}}", "id", id, "error", "code", "failed",
						 "message", why_not(method)));
	json_decref(o);
	return sent;
}

void replay_serve(const struct replay *r, int fd)
{
	struct strbuf in = {0};
	char piece[4096];
	bool good =
		send_object(fd, json_pack("{s:s, s:i, s:s, s:s, s:b}", "event", "hello", "schema", 1,
					  "version", r->version, "interface", r->interface, "readonly", 1));

	while (good) {
		ssize_t n = recv(fd, piece, sizeof(piece), 0);
		char *newline;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0 || in.len > REQUEST_MAX)
			break;
		strbuf_append(&in, piece, (size_t)n);
		while (good && in.len && (newline = memchr(in.text, '\n', in.len))) {
			size_t len = (size_t)(newline - in.text);

			good = serve_request(r, fd, in.text, len);
			strbuf_consume(&in, len + 1);
		}
	}
	strbuf_clear(&in);
	close(fd);
}
