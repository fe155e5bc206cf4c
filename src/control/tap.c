/*
 * Methods of the tap. `tap` sends packets as notifications, some at a time, as the client reads them;
 * `capture` and `kept` give the connection away to the tap's own thread, behind the reply.
 */
#include "control/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "control/methods.h"
#include "tap/filter_json.h"
#include "engine/tap.h"
#include "tap/stream.h"

#define QUEUE_BYTES (2u << 20)
#define READ_BYTES  (256u << 10) /* in one notification */
#define GAP	    (50 * NS_PER_MS)
#define RATE	    2000
#define RATE_MOST   100000
#define KEEP_MOST_S 3600
#define KEEP_MOST_M 1024

/* A client's packets. */
struct control_tap {
	struct control_client *client;
	struct tap_session *session;
	struct loop_timer *timer;
	uint64_t last; /* boot ns of the last notification */
	uint64_t lost;
	atomic_bool news; /* [tap's thread] */
};

/* ---- parameters ---- */

static bool param_points(struct request *r, uint8_t *out)
{
	const json_t *list = json_object_get(r->params, "points");

	*out = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = json_string_value(json_array_get(list, i));
		unsigned p = 0;

		while (name && p < TAP_POINTS && strcmp(name, tap_point_name((enum tap_point)p)))
			p++;
		if (!name || p == TAP_POINTS)
			break;
		*out = (uint8_t)(*out | 1u << p);
	}
	if (!list ||
	    (json_is_array(list) && *out && (size_t)__builtin_popcount(*out) == json_array_size(list)))
		return true;
	reply_bad(r, "parameter \"points\" must be an array of \"wire\", \"inner\", \"relay\" and "
		     "\"signal\", each once");
	return false;
}

static bool param_filter(struct request *r, struct tap_filter **out)
{
	const json_t *nodes = json_object_get(r->params, "filter");
	struct error e = {0};
	int n;

	*out = NULL;
	if (!nodes)
		return true;
	if (tap_filter_from_json(out, nodes, &e)) {
		reply_bad(r, e.text);
		return false;
	}
	n = engine_tap_resolve(r->client->control->engine, *out, &e);
	if (!n)
		return true;
	tap_filter_free(*out);
	*out = NULL;
	reply_error(r, n == -ENOTUNIQ ? "ambiguous" : "not-found", e.text, false);
	return false;
}

/* o->filter is the caller's. */
static bool param_options(struct request *r, struct tap_options *o)
{
	double snaplen = 0;

	*o = (struct tap_options){0};
	if (!param_points(r, &o->points) || !param_number(r, "snaplen", 0, TAP_SNAPLEN_MAX, &snaplen))
		return false;
	o->snaplen = (uint32_t)snaplen;
	return param_filter(r, &o->filter);
}

/* ---- packets as notifications ---- */

static void member_base64(struct writer *w, const char *name, const uint8_t *data, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = xmalloc((len + 2) / 3 * 4 + 1), *at = text;

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)data[i] << 16 | (i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0) |
			     (i + 2 < len ? data[i + 2] : 0);

		*at++ = digits[v >> 18];
		*at++ = digits[v >> 12 & 63];
		*at++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*at++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*at = '\0';
	member_text(w, name, text);
	free(text);
}

static void member_address(struct writer *w, const char *name, const union address *a)
{
	char text[ADDRESS_TEXT];

	if (a->sa.sa_family != AF_UNSPEC)
		member_text(w, name, address_format(text, a));
}

static void packet(struct writer *w, const struct tap_meta *m, const uint8_t *data, size_t captured)
{
	char base64[KEY_BASE64_LEN + 1];

	writer_open(w, '{');
	member_count(w, "n", m->number);
	member_duration(w, "at", m->at); /* microseconds */
	member_text(w, "point", tap_point_name((enum tap_point)m->point));
	member_text(w, "dir", m->out ? "out" : "in");
	member_text(w, "type", tap_type_name((enum tap_type)m->type));
	if (m->has_peer) {
		key_to_base64(base64, &m->peer);
		member_text(w, "peer", base64);
	}
	member_text(w, "path", path_kind_name((enum path_kind)m->path));
	if (m->drop)
		member_text(w, "drop", tap_drop_name((enum tap_drop)m->drop));
	member_count(w, "length", m->length);
	member_address(w, "local", &m->local);
	member_address(w, "remote", &m->remote);
	member_count(w, "index", m->index);
	member_count(w, "keypair", m->keypair);
	member_count(w, "counter", m->counter);
	if (m->attempt) {
		member_count(w, "attempt", m->attempt);
		member_count(w, "attempts", m->attempts);
	}
	member_count(w, "generation", m->generation);
	member_base64(w, "data", data, captured);
	writer_close(w, '}');
}

static void packets(struct writer *w, struct control_tap *t, const uint8_t *bytes, size_t len)
{
	enum tap_record_kind kind;
	const uint8_t *data;
	struct tap_meta m;
	size_t captured;
	long n;

	writer_name(w, "packets");
	writer_open(w, '[');
	for (; (n = tap_record_decode(bytes, len, &kind, &m, &data, &captured)) > 0;
	     bytes += n, len -= (size_t)n) {
		if (kind == TAP_RECORD_LOST)
			t->lost = m.counter;
		else if (kind == TAP_RECORD_PACKET)
			packet(w, &m, data, captured);
	}
	writer_close(w, ']');
	member_count(w, "lost", t->lost);
}

static void send_packets(struct control_tap *t)
{
	uint8_t *bytes = xmalloc(READ_BYTES);
	size_t len = tap_read(t->session, bytes, READ_BYTES);
	struct strbuf line = {0};
	struct writer w = {.to = &line};

	if (len) {
		writer_open(&w, '{');
		member_text(&w, "event", "packets");
		packets(&w, t, bytes, len);
		writer_close(&w, '}');
		output_notify(t->client, line.text, line.len);
		strbuf_clear(&line);
		t->last = clock_boot_ns();
		loop_timer_set(t->timer, t->last + GAP);
	}
	free(bytes);
}

static void on_timer(void *arg)
{
	struct control_tap *t = arg;

	/* What is not read here waits in the tap's queue, which counts what it cannot hold. */
	if (t->client->stream.active || output_unread(t->client) > OUT_BACKLOG)
		loop_timer_set(t->timer, clock_boot_ns() + GAP);
	else
		send_packets(t);
}

static void on_news(void *arg, int fd, unsigned events)
{
	struct control *control = arg;
	uint64_t count, now = clock_boot_ns();

	(void)events;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	list_for_each (pos, &control->clients) {
		struct control_tap *t = container_of(pos, struct control_client, link)->tap;

		if (t && atomic_exchange(&t->news, false))
			loop_timer_set(t->timer, t->last + GAP > now ? t->last + GAP : now);
	}
}

static void ready(void *arg)
{
	struct control_tap *t = arg;
	uint64_t one = 1;

	atomic_store(&t->news, true);
	while (write(t->client->control->tap_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

void control_tap_stop(struct control_client *c)
{
	struct control_tap *t = c->tap;

	if (!t)
		return;
	c->tap = NULL;
	engine_tap_close(c->control->engine, t->session);
	loop_timer_free(t->timer);
	free(t);
}

void method_tap(struct request *r)
{
	struct control_client *c = r->client;
	struct engine *g = c->control->engine;
	double rate = RATE;
	struct control_tap *t;
	struct tap_options o;
	struct error e = {0};

	if (!param_number(r, "rate", 1, RATE_MOST, &rate) || !param_options(r, &o))
		return;
	o.rate = (uint32_t)rate;
	/* What matched the tap before this one was asked for: a new filter loses nothing of it. */
	if (c->tap && !c->stream.active)
		send_packets(c->tap);
	control_tap_stop(c);
	t = xcalloc(1, sizeof(*t));
	t->client = c;
	t->timer = loop_timer_new(engine_loop(g), on_timer, t);
	t->session = engine_tap_queue(g, &o, QUEUE_BYTES, ready, t, &e);
	if (!t->session) {
		loop_timer_free(t->timer);
		free(t);
		reply_error(r, "failed", e.text, false);
		return;
	}
	c->tap = t;
	/* Packets that came before the reply wait for this thread anyway. */
	reply_empty(r);
}

void method_untap(struct request *r)
{
	control_tap_stop(r->client);
	reply_empty(r);
}

/* ---- records by the connection ---- */

/* What is not read yet and the reply, to go before the records. */
static void preface(struct request *r, struct strbuf *out)
{
	struct control_client *c = r->client;

	strbuf_append(out, c->out.text + c->out_start, c->out.len - c->out_start);
	strbuf_add(out, "{\"id\":%s,\"result\":{}}\n", r->id);
}

static bool may_give_away(struct request *r)
{
	if (!r->client->stream.active && output_unread(r->client) < OUT_BACKLOG)
		return true;
	reply_error(r, "failed", "another answer is still being written", false);
	return false;
}

/* A descriptor of the connection for the tap's thread; the client's own is closed with it. */
static int connection_for_tap(const struct control_client *c, struct error *e)
{
	int fd = fcntl(c->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? error_set(e, errno, "the tap gets no descriptor of this connection: %s",
				  strerror(errno))
		      : fd;
}

/* The connection is the tap's now; what the client holds of it is closed. */
static void given_away(struct control_client *c)
{
	output_clear(c);
	c->closing = true;
	client_turn_soon(c);
}

static bool may_have_keys(const struct control_client *c)
{
	return c->has_uid && (!c->uid || c->uid == geteuid());
}

void method_capture(struct request *r)
{
	struct control_client *c = r->client;
	struct strbuf before = {0};
	struct error e = {0};
	struct tap_options o;
	bool keys = false;
	int fd;

	if (!param_flag(r, "keys", &keys) || !may_give_away(r))
		return;
	if (keys && !may_have_keys(c)) {
		reply_error(r, "not-permitted", "keys are for root and the engine's own user alone", false);
		return;
	}
	if (!param_options(r, &o))
		return;
	preface(r, &before);
	o.keys = keys;
	o.preface = before.text;
	o.preface_len = before.len;
	fd = connection_for_tap(c, &e);
	if (fd < 0)
		tap_filter_free(o.filter);
	if (fd < 0 || engine_tap_stream(c->control->engine, &o, fd, c->who, &e))
		reply_error(r, "failed", e.text, false);
	else
		given_away(c);
	strbuf_clear(&before);
}

void method_keep(struct request *r)
{
	struct control_client *c = r->client;
	double seconds = -1, megabytes = 64;
	struct tap_options o;
	struct error e = {0};

	if (!param_number(r, "seconds", 0, KEEP_MOST_S, &seconds) ||
	    !param_number(r, "megabytes", 1, KEEP_MOST_M, &megabytes))
		return;
	if (seconds < 0) {
		reply_bad(r, "parameter \"seconds\" says how much of the past is kept; 0: nothing more");
		return;
	}
	if (seconds == 0) {
		engine_keep_off(c->control->engine);
		reply_empty(r);
		return;
	}
	if (!param_options(r, &o))
		return;
	if (engine_keep(c->control->engine, &o, (uint64_t)(seconds * NS_PER_SEC),
			(size_t)(megabytes * (1 << 20)), &e))
		reply_error(r, "failed", e.text, false);
	else
		reply_empty(r);
	subscriptions_soon(c->control);
}

void method_kept(struct request *r)
{
	struct control_client *c = r->client;
	struct strbuf before = {0};
	struct error e = {0};
	double seconds = 0;
	int fd;

	if (!param_number(r, "seconds", 0, KEEP_MOST_S, &seconds) || !may_give_away(r))
		return;
	fd = connection_for_tap(c, &e);
	if (fd < 0) {
		reply_error(r, "failed", e.text, false);
		return;
	}
	preface(r, &before);
	if (engine_kept(c->control->engine, fd, (uint64_t)(seconds * NS_PER_SEC), before.text, before.len,
			&e))
		reply_error(r, "failed", e.text, false);
	else
		given_away(c);
	strbuf_clear(&before);
}

/* ---- member of the device ---- */

void control_tap_members(struct control *c, struct writer *w)
{
	struct engine_tap_view v;

	engine_look_tap(c->engine, &v);
	writer_name(w, "tap");
	writer_open(w, '{');
	member_count(w, "sessions", v.sessions);
	writer_name(w, "points");
	writer_open(w, '[');
	for (unsigned p = 0; p < TAP_POINTS; p++)
		if (v.points >> p & 1)
			writer_text(w, tap_point_name((enum tap_point)p));
	writer_close(w, ']');
	member_count(w, "seen", v.counts.seen);
	member_count(w, "matched", v.counts.matched);
	member_count(w, "lost", v.counts.lost);
	member_flag(w, "stun", v.stun);
	member_duration(w, "keepSeconds", v.keep_ns);
	member_count(w, "keptBytes", v.kept_bytes);
	member_time(w, "keptFrom", v.kept_from);
	member_count(w, "stalled", v.stalled);
	writer_close(w, '}');
}

/* ---- life ---- */

int control_tap_open(struct control *c, struct error *e)
{
	c->tap_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->tap_fd < 0)
		return error_set(e, errno, "cannot make an eventfd: %s", strerror(errno));
	c->tap_watch = loop_fd_add(engine_loop(c->engine), c->tap_fd, LOOP_READ, on_news, c);
	return 0;
}

void control_tap_close(struct control *c)
{
	loop_fd_remove(c->tap_watch);
	if (c->tap_fd >= 0)
		close(c->tap_fd);
}
