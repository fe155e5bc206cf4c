/*
 * Clients of the control socket: who they are, what they send, when they are served. Everything that a client
 * is owed is done in client_turn, some at a time; the rest of this room only leaves work for it. Those that
 * wait for a turn stand in one line: however many there are, handshakes wait for a few milliseconds of them.
 */
#include "config.h"

#include "control/control.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "control/history.h"
#include "control/internal.h"
#include "control/tap.h"

#define READ_SIZE (64u << 10)

/* ---- reading ---- */

static void fill(struct control_client *c)
{
	char buffer[READ_SIZE];
	ssize_t n;

	if (c->ended || c->in.len > REQUEST_MAX)
		return;
	do
		n = recv(c->fd, buffer, sizeof(buffer), 0);
	while (n < 0 && errno == EINTR);
	if (n > 0)
		strbuf_append(&c->in, buffer, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		c->ended = true;
}

/* Requests wait while the client owes us reading, or we owe it an answer. */
static bool paused(const struct control_client *c)
{
	return c->closing || c->stream.active || c->job.act || output_unread(c) > OUT_BACKLOG;
}

static void refuse_overlong(struct control_client *c)
{
	static const char line[] = "{\"id\":null,\"error\":{\"code\":\"bad-request\","
				   "\"message\":\"a request is longer than 1 MiB\"}}";

	output_reply(c, line, sizeof(line) - 1);
	strbuf_clear(&c->in);
	c->in_scanned = 0;
	c->closing = true;
}

static void take_lines(struct control_client *c)
{
	size_t start = 0;

	while (!paused(c) && start < c->in.len) {
		char *from = c->in.text + c->in_scanned;
		char *newline = memchr(from, '\n', c->in.len - c->in_scanned);

		if (!newline) {
			c->in_scanned = c->in.len;
			break;
		}
		*newline = '\0';
		methods_line(c, c->in.text + start, (size_t)(newline - (c->in.text + start)));
		start = c->in_scanned = (size_t)(newline + 1 - c->in.text);
		if (turn_is_over(c->control))
			break;
	}
	if (start) {
		strbuf_consume(&c->in, start);
		c->in_scanned -= start;
	}
	if (c->in.len > REQUEST_MAX && c->in_scanned == c->in.len)
		refuse_overlong(c);
}

/* ---- turns ---- */

static void client_free(struct control_client *c)
{
	subscription_stop(c);
	control_tap_stop(c);
	list_remove(&c->link);
	if (c->waiting)
		list_remove(&c->work);
	c->control->client_count--;
	job_clear(&c->job);
	output_clear(c);
	strbuf_clear(&c->in);
	loop_fd_remove(c->watch);
	close(c->fd);
	free(c);
}

void client_turn_soon(struct control_client *c)
{
	struct control *control = c->control;

	if (c->waiting)
		return;
	if (list_empty(&control->work))
		loop_timer_set(control->work_timer, clock_boot_ns());
	c->waiting = true;
	list_append(&control->work, &c->work);
}

bool turn_is_over(const struct control *c)
{
	return clock_work_ns() >= c->until;
}

static bool owed_nothing(const struct control_client *c)
{
	return !c->stream.active && !c->job.act && !output_unread(c);
}

/* A subscriber may close its side of the connection and go on reading ours. */
static bool at_end(const struct control_client *c)
{
	if (!owed_nothing(c))
		return false;
	return c->closing || (c->ended && c->in_scanned == c->in.len && (c->unheard || !c->subscription.on));
}

static void client_turn(struct control_client *c)
{
	unsigned events = 0;

	take_lines(c);
	methods_job(c);
	output_continue(c);
	output_flush(c);
	if (at_end(c)) {
		client_free(c);
		return;
	}
	if (output_unread(c))
		events |= LOOP_WRITE;
	else if (c->stream.active || (!paused(c) && c->in_scanned < c->in.len))
		client_turn_soon(c);
	if (c->job.act)
		client_turn_soon(c);
	if (!paused(c) && !c->ended && c->in.len <= REQUEST_MAX)
		events |= LOOP_READ;
	loop_fd_want(c->watch, events);
}

static void on_ready(void *arg, int fd, unsigned events)
{
	struct control_client *c = arg;

	(void)fd;
	if (events & LOOP_HANGUP) {
		c->unheard = true;
		output_clear(c);
	}
	/* What it asked for before it left is done all the same. */
	if (events & (LOOP_READ | LOOP_HANGUP))
		fill(c);
	client_turn_soon(c);
}

static void on_work(void *arg)
{
	struct control *control = arg;

	control->until = clock_work_ns() + TURN_TIME;
	while (!list_empty(&control->work) && !turn_is_over(control)) {
		struct control_client *c = container_of(control->work.next, struct control_client, work);

		list_remove(&c->work);
		c->waiting = false;
		client_turn(c);
	}
	if (!list_empty(&control->work))
		loop_timer_set(control->work_timer, clock_boot_ns());
}

/* ---- clients come and go ---- */

static void hello(struct control_client *c)
{
	struct strbuf line = {0};
	struct writer w = {.to = &line};

	writer_open(&w, '{');
	member_text(&w, "event", "hello");
	member_count(&w, "schema", CONTROL_SCHEMA);
	member_text(&w, "version", PACKAGE_VERSION);
	member_text(&w, "interface", engine_ifname(c->control->engine));
	member_count(&w, "pid", (uint64_t)getpid());
	member_flag(&w, "readonly", c->readonly);
	writer_close(&w, '}');
	output_reply(c, line.text, line.len);
	strbuf_clear(&line);
}

static void bye(struct control_client *c, const char *reason)
{
	struct strbuf line = {0};
	struct writer w = {.to = &line};

	writer_open(&w, '{');
	member_text(&w, "event", "bye");
	member_text(&w, "reason", reason);
	writer_close(&w, '}');
	output_reply(c, line.text, line.len);
	strbuf_clear(&line);
}

static struct control_client *client_new(struct control *control, int fd, bool readonly)
{
	struct control_client *c = xcalloc(1, sizeof(*c));

	c->control = control;
	c->fd = fd;
	c->readonly = readonly;
	c->watch = loop_fd_add(engine_loop(control->engine), fd, LOOP_READ, on_ready, c);
	list_append(&control->clients, &c->link);
	control->client_count++;
	return c;
}

static void on_accepted(void *arg, int fd)
{
	struct control *control = arg;
	struct control_client *c = client_new(control, fd, false);
	struct socket_peer who = {.uid = (uid_t)-1};

	if (!socket_peer_of(fd, &who) || !listener_permits(control->listener, fd, &who)) {
		log_warn("control", "a client of uid %ld was refused", (long)(int)who.uid);
		bye(c, "not permitted");
		c->closing = true;
		return;
	}
	if (control->client_count > CLIENTS_MAX) {
		log_warn("control", "more than %d clients: one refused", CLIENTS_MAX);
		bye(c, "too many clients");
		c->closing = true;
		return;
	}
	snprintf(c->who, sizeof(c->who), "uid %u", (unsigned)who.uid);
	c->has_uid = true;
	c->uid = who.uid;
	hello(c);
}

int control_adopt(struct control *control, int fd, bool readonly)
{
	struct control_client *c;
	int r = fd_set_nonblocking(fd);

	if (r) {
		close(fd);
		return r;
	}
	c = client_new(control, fd, readonly);
	snprintf(c->who, sizeof(c->who), "the dashboard");
	hello(c);
	return 0;
}

unsigned control_views(const struct control *control)
{
	unsigned n = 0;

	list_for_each (pos, &control->clients)
		n += container_of(pos, struct control_client, link)->view;
	return n;
}

/* ---- life ---- */

static void on_down(void *arg)
{
	struct control *c = arg;
	struct control_ops ops = c->ops;

	/* It may close this very control. */
	ops.down(ops.ctx, c->down_drain);
}

int control_open(struct control **out, struct engine *g, const char *folder, const struct control_ops *ops,
		 struct error *e)
{
	struct control *c = xcalloc(1, sizeof(*c));
	int r;

	c->engine = g;
	if (ops) {
		c->ops = *ops;
		c->configuration = ops->configuration ? xstrdup(ops->configuration) : NULL;
		c->ops.configuration = c->configuration;
	}
	list_init(&c->clients);
	list_init(&c->work);
	c->work_timer = loop_timer_new(engine_loop(g), on_work, c);
	gethostname(c->hostname, sizeof(c->hostname) - 1);
	time_base_follow(&c->time_base, clock_now());
	c->down = loop_timer_new(engine_loop(g), on_down, c);
	c->tap_fd = -1;
	r = subscriptions_open(c, e);
	if (!r)
		r = control_tap_open(c, e);
	if (!r)
		r = listener_open(&c->listener, engine_loop(g), folder ? folder : "/run/weir",
				  engine_ifname(g), -1, on_accepted, c, e);
	if (r) {
		control_close(c);
		return r;
	}
	*out = c;
	return 0;
}

void control_record(struct control *c, size_t bytes)
{
	if (bytes)
		c->history = history_new(c, bytes);
}

void control_close(struct control *c)
{
	if (!c)
		return;
	/* First the file: who comes now must find nobody rather than a socket that says nothing. */
	listener_close(c->listener);
	list_for_each_safe (pos, &c->clients) {
		struct control_client *client = container_of(pos, struct control_client, link);

		bye(client, "shutting down");
		output_flush(client);
		client_free(client);
	}
	subscriptions_close(c);
	control_tap_close(c);
	history_free(c->history);
	loop_timer_free(c->work_timer);
	loop_timer_free(c->down);
	free(c->configuration);
	free(c);
}
