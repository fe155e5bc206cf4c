/* From the I/O thread to the control thread. What is bulk never comes here: it goes to the owner's `receive`
 * at once. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "relay/pool_internal.h"

#define EVENTS_MAX 8192 /* not handled yet; a server that sends more than we can take in is left */
#define EARLY_MAX  256	/* messages that may come before the answer to the login */

struct early { /* a message that overtook the answer to the login */
	struct list link;
	size_t len;
	uint8_t bytes[];
};

static struct server *server_of(const struct relay_session *s)
{
	return s->arg;
}

static bool post(struct relay_session *s, enum event_kind kind, uint64_t rtt, const void *bytes, size_t len)
{
	struct inbox *in = &server_of(s)->pool->inbox;
	struct event *e = xmalloc(sizeof(*e) + len);
	bool first, fits;

	*e = (struct event){.kind = kind, .session = s, .rtt = rtt, .len = len};
	if (len)
		memcpy(e->bytes, bytes, len);
	pthread_mutex_lock(&in->lock);
	first = list_empty(&in->events);
	fits = in->count < EVENTS_MAX || kind != EVENT_MESSAGE;
	if (fits) {
		list_append(&in->events, &e->link);
		in->count++;
	}
	pthread_mutex_unlock(&in->lock);
	if (!fits)
		free(e);
	else if (first && write(in->fd, &(uint64_t){1}, sizeof(uint64_t)) < 0)
		abort(); /* an eventfd of our own that is far from full */
	return fits;
}

/* ---- [io thread] ---- */

static void io_opened(struct relay_session *s)
{
	post(s, EVENT_OPENED, 0, NULL, 0);
}

static void io_pong(struct relay_session *s, uint64_t rtt)
{
	post(s, EVENT_PONG, rtt, NULL, 0);
}

static void io_closed(struct relay_session *s)
{
	post(s, EVENT_CLOSED, 0, NULL, 0);
}

static void io_freed(struct relay_session *s)
{
	list_for_each_safe (at, &s->early) {
		list_remove(at);
		free(container_of(at, struct early, link));
	}
	free(s);
}

void inbox_seen(const struct relay_session *s, bool out, const uint8_t *message, size_t len)
{
	const struct relay_pool_ops *ops = &server_of(s)->pool->ops;

	if (ops->seen)
		ops->seen(ops->arg, out, &s->remote, message, len);
}

static void take_datagram(struct relay_session *s, const struct relay_message *m)
{
	struct server *server = server_of(s);
	const struct relay_pool_ops *ops = &server->pool->ops;
	struct relay_id from;

	counter_add(&server->rx_packets, 1);
	counter_add(&server->rx_bytes, m->len);
	memcpy(from.bytes, m->id, RELAY_ID_LEN);
	ops->receive(ops->arg, s->server, s->generation, &from, (uint8_t *)m->data, m->len);
}

static void take(struct relay_session *s, const uint8_t *data, size_t len, const struct relay_message *m)
{
	static const uint8_t alive[] = {RELAY_VERSION, RELAY_HEALTH_CHECK};

	if (m->type == RELAY_TRANSPORT) {
		take_datagram(s, m);
		return;
	}
	inbox_seen(s, false, data, len);
	if (m->type == RELAY_HEALTH_CHECK) {
		transport_say(s, alive, sizeof(alive));
		inbox_seen(s, true, alive, sizeof(alive));
	}
	if (!post(s, EVENT_MESSAGE, 0, data, len))
		transport_abort(s, "it sends more messages than can be handled");
}

/* The server may relay something to us before it has answered our login: kept until then. */
static void keep_early(struct relay_session *s, const uint8_t *data, size_t len)
{
	struct early *e;

	if (s->early_count == EARLY_MAX)
		return;
	e = xmalloc(sizeof(*e) + len);
	e->len = len;
	memcpy(e->bytes, data, len);
	list_append(&s->early, &e->link);
	s->early_count++;
}

static void io_message(struct relay_session *s, uint8_t *data, size_t len)
{
	enum relay_verdict verdict;
	struct relay_message m;

	if (atomic_load_explicit(&s->dropped, memory_order_relaxed))
		return;
	verdict = relay_parse(data, len, &m);
	if (verdict != RELAY_OK) {
		log_debug("relay", "%s: message skipped: %s", s->url.host, relay_verdict_text(verdict));
		return;
	}
	if (!s->logged_in && m.type != RELAY_AUTH_RESPONSE && m.type != RELAY_CLOSE &&
	    m.type != RELAY_HEALTH_CHECK) {
		keep_early(s, data, len);
		return;
	}
	take(s, data, len, &m);
	if (s->logged_in || m.type != RELAY_AUTH_RESPONSE)
		return;
	s->logged_in = true;
	list_for_each_safe (at, &s->early) {
		struct early *e = container_of(at, struct early, link);

		list_remove(at);
		if (relay_parse(e->bytes, e->len, &m) == RELAY_OK && !s->ended)
			take(s, e->bytes, e->len, &m);
		free(e);
	}
}

const struct transport_ops inbox_transport_ops = {
	.opened = io_opened,
	.message = io_message,
	.pong = io_pong,
	.closed = io_closed,
	.freed = io_freed,
};

/* ---- [control thread] ---- */

static struct event *next_event(struct inbox *in)
{
	struct event *e = NULL;

	pthread_mutex_lock(&in->lock);
	if (!list_empty(&in->events)) {
		e = container_of(in->events.next, struct event, link);
		list_remove(&e->link);
		in->count--;
	}
	pthread_mutex_unlock(&in->lock);
	return e;
}

/* What a session says that was given up in the meantime goes no further, but for its end. */
static void handle(struct relay_pool *p, const struct event *e)
{
	struct server *s = server_of(e->session);

	if (s->session == e->session)
		pool_server_handle(s, e);
	if (e->kind == EVENT_CLOSED)
		transport_forget(p->transport, e->session);
}

static void on_events(void *arg, int fd, unsigned events)
{
	struct relay_pool *p = arg;
	struct event *e;
	uint64_t count;

	(void)events;
	if (read(fd, &count, sizeof(count)) < 0)
		return;
	while ((e = next_event(&p->inbox))) {
		handle(p, e);
		free(e);
	}
	pool_tell(p);
}

int inbox_open(struct relay_pool *p)
{
	struct inbox *in = &p->inbox;

	in->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (in->fd < 0)
		return -errno;
	pthread_mutex_init(&in->lock, NULL);
	list_init(&in->events);
	in->watch = loop_fd_add(p->loop, in->fd, LOOP_READ, on_events, p);
	return 0;
}

void inbox_close(struct relay_pool *p)
{
	struct inbox *in = &p->inbox;

	loop_fd_remove(in->watch);
	list_for_each_safe (at, &in->events) {
		list_remove(at);
		free(container_of(at, struct event, link));
	}
	close(in->fd);
	pthread_mutex_destroy(&in->lock);
}
