/*
 * What goes to a client. Output is bounded: a line with thousands of peers is written only as fast as it is
 * read, notifications are dropped once too much lies unread, and nothing here ever blocks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "control/history.h"
#include "control/internal.h"

size_t output_unread(const struct control_client *c)
{
	return c->out.len - c->out_start + c->later.len;
}

static void add_line(struct control_client *c, const char *line, size_t len)
{
	struct strbuf *to = c->stream.active ? &c->later : &c->out;

	if (c->unheard)
		return;
	strbuf_append(to, line, len);
	strbuf_append(to, "\n", 1);
	client_turn_soon(c);
}

void output_reply(struct control_client *c, const char *line, size_t len)
{
	add_line(c, line, len);
}

void output_notify(struct control_client *c, const char *line, size_t len)
{
	if (output_unread(c) + len > OUT_MAX) {
		c->dropped++;
		return;
	}
	add_line(c, line, len);
}

void output_stream(struct control_client *c, const struct strbuf *head, struct key *keys, size_t count,
		   const char *end, bool compare)
{
	if (c->unheard) {
		free(keys);
		return;
	}
	strbuf_append(&c->out, head->text, head->len);
	c->stream =
		(struct stream){.active = true, .compare = compare, .keys = keys, .count = count, .end = end};
	client_turn_soon(c);
}

void output_history(struct control_client *c, uint64_t from, uint64_t to, char *reply)
{
	if (c->unheard) {
		free(reply);
		return;
	}
	c->stream = (struct stream){.active = true, .history = true, .from = from, .to = to, .reply = reply};
	c->moved = clock_boot_ns();
	client_turn_soon(c);
}

static void stream_clear(struct stream *s)
{
	free(s->keys);
	free(s->reply);
	record_close(s->reader);
	*s = (struct stream){0};
}

static void stream_end(struct control_client *c)
{
	const char *end = c->stream.reply ? c->stream.reply : c->stream.end;

	if (c->stream.explain)
		strbuf_add(&c->out, "],\"healthy\":%s", c->stream.unhealthy ? "false" : "true");
	strbuf_append(&c->out, end, strlen(end));
	strbuf_append(&c->out, "\n", 1);
	stream_clear(&c->stream);
	if (c->later.len)
		strbuf_append(&c->out, c->later.text, c->later.len);
	strbuf_clear(&c->later);
}

static void stream_peer(struct control_client *c, const struct key *key)
{
	struct engine_peer *p = engine_find_peer(c->control->engine, key);
	struct writer w = {.to = &c->out, .comma = c->stream.comma};
	size_t start = c->out.len + w.comma;

	if (!p)
		return;
	if (c->stream.explain) {
		c->stream.comma |= control_peer_explained(c->control, &w, p, &c->stream.unhealthy);
		return;
	}
	if (c->stream.brief)
		control_peer_brief(&w, p);
	else
		control_peer(c->control, &w, p, SNAPSHOT_ALLOWED);
	c->stream.comma = true;
	if (c->stream.compare && c->control->changes)
		changes_sent(c->control->changes, key, c->out.text + start, c->out.len - start);
}

static void continue_history(struct control_client *c)
{
	struct stream *s = &c->stream;
	char piece[16384];
	size_t n;

	if (!s->reader && c->control->history)
		s->reader = history_read(c->control->history, s->from, s->to);
	if (!s->reader && c->control->history)
		return;
	while (c->out.len - c->out_start <= OUT_CHUNK) {
		n = s->reader ? record_next(s->reader, piece, sizeof(piece)) : 0;
		if (!n) {
			stream_end(c);
			return;
		}
		strbuf_append(&c->out, piece, n);
		if (turn_is_over(c->control))
			return;
	}
}

void output_continue(struct control_client *c)
{
	if (!c->stream.active)
		return;
	if (c->stream.history) {
		continue_history(c);
		return;
	}
	while (c->stream.next < c->stream.count) {
		if (c->out.len - c->out_start > OUT_CHUNK)
			return;
		stream_peer(c, &c->stream.keys[c->stream.next++]);
		if (turn_is_over(c->control))
			return;
	}
	stream_end(c);
}

/* The sent part goes when it is the larger one, so that each byte is moved once at most. */
static void compact(struct control_client *c)
{
	if (c->out_start == c->out.len) {
		if (c->out.room > 4 * OUT_CHUNK)
			strbuf_clear(&c->out);
		c->out.len = c->out_start = 0;
	} else if (c->out_start > c->out.len / 2) {
		strbuf_consume(&c->out, c->out_start);
		c->out_start = 0;
	}
}

void output_flush(struct control_client *c)
{
	while (c->out_start < c->out.len) {
		ssize_t n = send(c->fd, c->out.text + c->out_start, c->out.len - c->out_start, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0) {
			c->unheard = true;
			output_clear(c);
			return;
		}
		c->out_start += (size_t)n;
		c->moved = clock_boot_ns();
	}
	compact(c);
}

void output_clear(struct control_client *c)
{
	stream_clear(&c->stream);
	strbuf_clear(&c->out);
	strbuf_clear(&c->later);
	c->out_start = 0;
}
