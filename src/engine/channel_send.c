/* Sending by ways of all kinds, and what is counted of each. */
#include <errno.h>

#include "base/clock.h"
#include "engine/internal.h"

#define TELL_AGAIN (20 * NS_PER_MS)

/* ---- counts and news ---- */

/* Control looks at the peers with news, not at all peers: there may be ten thousand. */
static void tell(struct engine_peer *p, atomic_bool *flag)
{
	struct engine *g = p->engine;
	struct engine_peer *first;

	if (atomic_load_explicit(flag, memory_order_relaxed))
		return;
	atomic_store(flag, true);
	if (!atomic_exchange(&p->has_news, true)) {
		first = atomic_load_explicit(&g->news, memory_order_relaxed);
		do
			p->news_next = first;
		while (!atomic_compare_exchange_weak(&g->news, &first, p));
	}
	worker_wake_control(g);
}

void news_serve(struct engine *g)
{
	struct engine_peer *p, *next;

	for (p = atomic_exchange(&g->news, NULL); p; p = next) {
		next = p->news_next;
		/* Before the look: what comes after it puts the peer in again. */
		atomic_store(&p->has_news, false);
		if (g->on_path_news)
			g->on_path_news(g, p);
	}
}

void path_received(struct engine *g, struct engine_peer *p, uint32_t via, unsigned packets, size_t bytes,
		   uint64_t now)
{
	struct path_counts *counts = &p->direct;
	atomic_bool *arrived = &p->direct_arrived;
	uint64_t told;

	if (via) {
		struct channel *c = channel_find(g, via);

		/* Whoever sends under this peer's key by another peer's way proves nothing about that way. */
		if (!c || c->peer != p)
			return;
		counts = &c->counts;
		arrived = &c->arrived;
	}
	counter_set(&counts->last_received, now);
	counter_add(&counts->received, packets);
	counter_add(&counts->received_bytes, bytes);
	if (wg_peer_via(p->wg) == via)
		return;
	/* It may stay so for long, at full speed. */
	told = atomic_load_explicit(&counts->arrival_told, memory_order_relaxed);
	if (told && now - told < TELL_AGAIN)
		return;
	atomic_store_explicit(&counts->arrival_told, now, memory_order_relaxed);
	tell(p, arrived);
}

void path_sent(struct engine *g, struct engine_peer *p, uint32_t via, unsigned packets, size_t bytes,
	       uint64_t now)
{
	struct channel *c = via ? channel_find(g, via) : NULL;
	struct path_counts *counts = c ? &c->counts : &p->direct;

	if (via && !c)
		return;
	counter_set(&counts->last_sent, now);
	counter_add(&counts->sent, packets);
	counter_add(&counts->sent_bytes, bytes);
}

void path_traffic(struct engine_peer *p)
{
	tell(p, &p->traffic);
}

/* ---- trains ---- */

static int send_relay(struct engine *g, const struct channel *c, const struct udp_train *t)
{
	return g->relay_send ? g->relay_send(c->pool, c->server, &c->to, t->data, t->len, t->segment)
			     : -ENOTCONN;
}

static int put_train(struct channel *c, const struct udp_train *t)
{
	const uint8_t *data = t->data;
	int r = 0;

	for (size_t at = 0; at < t->len; at += t->segment) {
		size_t len = t->len - at < t->segment ? t->len - at : t->segment;

		if (!channel_put_out(c, data + at, len))
			r = -ENOBUFS;
	}
	return r;
}

static void send_by(struct engine *g, struct channel *c, struct udp_train *trains, unsigned count)
{
	if (c && c->kind == CHANNEL_SOCKET) {
		udp_send_trains_fd(c->fd, &g->udp.gso, trains, count);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		struct udp_train *t = &trains[i];

		t->source_lost = false;
		if (!c)
			t->error = -ENOTCONN;
		else
			t->error = c->kind == CHANNEL_RELAY ? send_relay(g, c, t) : put_train(c, t);
	}
}

void channel_send_trains(struct worker *w, struct udp_train *trains, unsigned count)
{
	struct engine *g = w->engine;
	unsigned end;

	for (unsigned i = 0; i < count; i = end) {
		uint32_t via = trains[i].to->via;

		for (end = i + 1; end < count && trains[end].to->via == via;)
			end++;
		if (via)
			send_by(g, channel_find(g, via), trains + i, end - i);
		else
			udp_send_trains(&g->udp, w->id, trains + i, end - i);
	}
}

/* ---- one datagram, from the control thread ---- */

int channel_send(struct engine *g, const struct endpoint *to, uint8_t ecn, const void *data, size_t len,
		 bool *source_lost)
{
	struct udp_train t = {.to = to, .data = data, .len = len, .segment = len, .ecn = ecn};
	struct channel *c;

	if (!g->up)
		return -ENETDOWN;
	if (!to->via)
		return udp_send(&g->udp, 0, to, ecn, data, len, len, source_lost);
	c = channel_find(g, to->via);
	*source_lost = false;
	if (c && c->kind == CHANNEL_CALLBACK) {
		c->send(c->arg, data, len);
		return 0;
	}
	send_by(g, c, &t, 1);
	*source_lost = t.source_lost;
	return t.error;
}

int engine_send_datagram(struct engine *g, const struct endpoint *to, const void *data, size_t len,
			 bool probe)
{
	struct channel *c = to->via ? channel_find(g, to->via) : NULL;
	bool lost;

	if (!g->up)
		return -ENETDOWN;
	if (!probe || (to->via && (!c || c->kind != CHANNEL_SOCKET)))
		return channel_send(g, to, 0, data, len, &lost);
	return udp_send_probe(c ? c->fd : udp_socket(&g->udp, 0, to), to, data, len);
}
