/*
 * UAPI connections. Each one is a small state machine over two fixed buffers; it handles a bounded number of
 * lines per turn of the loop, and reads no further request while its client does not read the replies.
 * Whatever a client sends or leaves unread, the loop goes on, and a connection costs what its buffers cost.
 */
#include "control/uapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/list.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "control/socket.h"
#include "control/uapi_internal.h"

#define CONNECTIONS_MAX 256
#define TURN_LINES	2000
#define TURN_TIME	(2 * NS_PER_MS)
#define LINES_PER_LOOK	64 /* lines between two looks at the clock */
#define OUT_SIZE	65536

enum phase {
	OPERATION, /* the next line says get or set */
	SETTING,   /* lines of a set request */
	GET_ENDS,  /* the empty line after get=1 */
	REPLYING,  /* a get reply is under way */
	SKIPPING,  /* the rest of a refused request, up to its empty line */
};

struct connection {
	struct list link;
	struct uapi *uapi;
	int fd;
	struct loop_fd *watch;
	struct loop_timer *more; /* lines are left over for the next turn */
	enum phase phase;
	bool ended;   /* nothing more comes in */
	bool unheard; /* nobody reads our replies any more */
	bool backlog; /* the buffer may hold complete lines */
	bool closing; /* hang up once the output is gone */
	struct uapi_set set;
	struct uapi_get *get;
	char who[24];
	size_t in_start, in_end, out_start, out_end;
	char in[UAPI_LINE_MAX + 1]; /* one more for the terminator that parsing writes */
	char out[OUT_SIZE];
};

struct uapi {
	struct engine *engine;
	struct listener *listener;
	struct list connections;
	unsigned count;
	void (*on_gone)(void *arg);
	void *on_gone_arg;
};

static void connection_free(struct connection *c)
{
	if (c->phase == SETTING) {
		uapi_set_resume(&c->set);
		uapi_set_end(&c->set);
	}
	list_remove(&c->link);
	c->uapi->count--;
	uapi_get_free(c->get);
	loop_fd_remove(c->watch);
	loop_timer_free(c->more);
	close(c->fd);
	explicit_bzero(c, sizeof(*c)); /* keys went through the buffers */
	free(c);
}

/* ---- replies ---- */

static void out_add(struct connection *c, const char *text, size_t len)
{
	if (c->unheard || OUT_SIZE - c->out_end < len)
		return;
	memcpy(c->out + c->out_end, text, len);
	c->out_end += len;
}

/* value: as it goes on the wire, with its sign. */
static void out_errno(struct connection *c, int value)
{
	char text[32];

	out_add(c, text, (size_t)snprintf(text, sizeof(text), "errno=%d\n\n", value));
}

static bool out_roomy(const struct connection *c)
{
	return OUT_SIZE - c->out_end >= 2 * UAPI_PIECE_MAX;
}

static void get_continue(struct connection *c)
{
	size_t n = 1;

	while (n && !c->unheard) {
		char piece[UAPI_PIECE_MAX];

		if (!out_roomy(c))
			return;
		n = uapi_get_next(c->get, piece);
		out_add(c, piece, n);
		explicit_bzero(piece, n);
	}
	out_errno(c, 0);
	uapi_get_free(c->get);
	c->get = NULL;
	c->phase = OPERATION;
}

static void flush(struct connection *c)
{
	while (c->out_start < c->out_end) {
		ssize_t n = send(c->fd, c->out + c->out_start, c->out_end - c->out_start, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			c->unheard = true;
			break;
		}
		explicit_bzero(c->out + c->out_start, (size_t)n);
		c->out_start += (size_t)n;
	}
	explicit_bzero(c->out + c->out_start, c->out_end - c->out_start);
	c->out_start = c->out_end = 0;
}

/* ---- requests ---- */

static bool is(const char *line, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(line, word, len);
}

/* False: wireguard-go hangs up on what is no operation, and so do we. */
static bool operation(struct connection *c, const char *line, size_t len)
{
	if (is(line, len, "set=1")) {
		uapi_set_begin(&c->set, c->uapi->engine, c->who);
		c->phase = SETTING;
		return true;
	}
	if (is(line, len, "get=1")) {
		c->phase = GET_ENDS;
		return true;
	}
	log_warn("uapi", "a request that is neither get=1 nor set=1");
	return false;
}

static void set_failed(struct connection *c, int r)
{
	uapi_set_end(&c->set);
	out_errno(c, r);
	c->phase = SKIPPING;
}

static bool take_line(struct connection *c, char *line, size_t len)
{
	int r;

	switch (c->phase) {
	case OPERATION:
		return operation(c, line, len);
	case SETTING:
		if (len) {
			r = uapi_set_line(&c->set, line, len);
			if (r)
				set_failed(c, r);
			return true;
		}
		uapi_set_end(&c->set);
		out_errno(c, 0);
		c->phase = OPERATION;
		return true;
	case GET_ENDS:
		if (len) {
			log_warn("uapi", "get: a line follows get=1");
			out_errno(c, EINVAL);
			c->phase = SKIPPING;
			return true;
		}
		c->get = uapi_get_new(c->uapi->engine);
		c->phase = REPLYING;
		return true;
	case SKIPPING:
		/* A client may also give up the request and go on with the next. */
		if (is(line, len, "set=1") || is(line, len, "get=1"))
			return operation(c, line, len);
		if (!len)
			c->phase = OPERATION;
		return true;
	case REPLYING:
		break;
	}
	return false;
}

/* The next complete line in the buffer; NULL: it has not come yet. */
static char *next_line(struct connection *c, size_t *len)
{
	char *start = c->in + c->in_start;
	char *newline = memchr(start, '\n', c->in_end - c->in_start);

	if (!newline)
		return NULL;
	c->in_start = (size_t)(newline + 1 - c->in);
	*len = (size_t)(newline - start);
	if (*len && start[*len - 1] == '\r')
		--*len;
	return start;
}

static void in_compact(struct connection *c)
{
	size_t left = c->in_end - c->in_start;

	memmove(c->in, c->in + c->in_start, left);
	explicit_bzero(c->in + left, c->in_end - left);
	c->in_start = 0;
	c->in_end = left;
}

/* No complete line is left: is it the end of the input, or of the room for a line? */
static void line_incomplete(struct connection *c)
{
	if (!c->ended && c->in_end == UAPI_LINE_MAX) {
		log_warn("uapi", "a line is longer than %d bytes", UAPI_LINE_MAX);
		if (c->phase == SETTING)
			set_failed(c, -EIO);
		c->closing = true; /* nothing after it can be understood */
	} else if (c->ended && c->phase == SETTING) {
		/* Half a line may mean something else than the whole one. */
		bool half = c->in_end > 0;

		if (half)
			log_warn("uapi", "set: the last line has no end");
		uapi_set_end(&c->set);
		out_errno(c, half ? -EPROTO : 0);
	}
	if (c->ended || c->closing) {
		c->phase = OPERATION;
		c->closing = true;
	}
}

/* Handles buffered lines within the budget of a turn. */
static void take_lines(struct connection *c)
{
	uint64_t until = clock_boot_ns() + TURN_TIME;
	char *line;
	size_t len;

	c->backlog = true;
	uapi_set_resume(&c->set);
	for (unsigned n = 1; n <= TURN_LINES && c->phase != REPLYING && out_roomy(c) && !c->closing; n++) {
		line = next_line(c, &len);
		if (!line) {
			c->backlog = false;
			in_compact(c);
			line_incomplete(c);
			return;
		}
		if (!take_line(c, line, len))
			c->closing = true;
		if (n % LINES_PER_LOOK == 0 && clock_boot_ns() >= until)
			return;
	}
}

static void fill(struct connection *c)
{
	while (!c->ended && c->in_end < UAPI_LINE_MAX) {
		ssize_t n = recv(c->fd, c->in + c->in_end, UAPI_LINE_MAX - c->in_end, 0);

		if (n > 0) {
			c->in_end += (size_t)n;
			return;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		c->ended = true;
	}
}

/* One turn: some lines, some of a reply, what the socket takes; then says what it waits for. */
static void turn(struct connection *c)
{
	if (c->phase != REPLYING && !c->closing)
		take_lines(c);
	if (c->phase == REPLYING)
		get_continue(c);
	flush(c);
	if (c->out_end) {
		loop_fd_want(c->watch, LOOP_WRITE);
		return;
	}
	if (c->closing) {
		connection_free(c);
		return;
	}
	if (c->phase == REPLYING || c->backlog)
		loop_timer_set(c->more, clock_boot_ns());
	loop_fd_want(c->watch, c->in_end < UAPI_LINE_MAX && !c->ended ? LOOP_READ : 0);
}

static void on_ready(void *arg, int fd, unsigned events)
{
	struct connection *c = arg;

	(void)fd;
	/* A client that hung up may have left a request behind: it is obeyed all the same. */
	if (events & (LOOP_READ | LOOP_HANGUP))
		fill(c);
	turn(c);
}

static void on_more(void *arg)
{
	turn(arg);
}

static void on_accepted(void *arg, int fd)
{
	struct uapi *u = arg;
	struct connection *c;
	struct socket_peer who;

	if (u->count >= CONNECTIONS_MAX) {
		log_warn("uapi", "more than %d connections: one refused", CONNECTIONS_MAX);
		close(fd);
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->uapi = u;
	c->fd = fd;
	if (socket_peer_of(fd, &who))
		snprintf(c->who, sizeof(c->who), "uid %u", (unsigned)who.uid);
	else
		snprintf(c->who, sizeof(c->who), "the UAPI");
	c->more = loop_timer_new(engine_loop(u->engine), on_more, c);
	c->watch = loop_fd_add(engine_loop(u->engine), fd, LOOP_READ, on_ready, c);
	list_append(&u->connections, &c->link);
	u->count++;
}

/* ---- life ---- */

static void on_file_gone(void *arg)
{
	struct uapi *u = arg;

	log_notice("uapi", "the socket of %s was deleted", engine_ifname(u->engine));
	if (u->on_gone)
		u->on_gone(u->on_gone_arg);
}

int uapi_open(struct uapi **out, struct engine *g, const char *folder, int fd, void (*on_gone)(void *arg),
	      void *arg, struct error *e)
{
	struct uapi *u = xcalloc(1, sizeof(*u));
	struct error watch;
	int r;

	u->engine = g;
	u->on_gone = on_gone;
	u->on_gone_arg = arg;
	list_init(&u->connections);
	r = listener_open(&u->listener, engine_loop(g), folder ? folder : "/run/wireguard", engine_ifname(g),
			  fd, on_accepted, u, e);
	if (r) {
		free(u);
		return r;
	}
	/* Only the end by deletion is lost without it. */
	if (listener_watch_file(u->listener, on_file_gone, u, &watch))
		log_warn("uapi", "%s", watch.text);
	*out = u;
	return 0;
}

void uapi_close(struct uapi *u)
{
	if (!u)
		return;
	list_for_each_safe (pos, &u->connections)
		connection_free(container_of(pos, struct connection, link));
	listener_close(u->listener);
	free(u);
}
