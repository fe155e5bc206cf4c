/* The tap on the way of packets: outer datagrams and inner packets, as workers see them. */
#include "engine/tap_taps.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/epoch.h"
#include "base/xalloc.h"
#include "wg/messages.h"

/* ---- what is known of a datagram ---- */

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static enum tap_type type_of(const uint8_t *data, size_t len)
{
	if (signal_is_frame(data, len))
		return TAP_FRAME;
	switch (len < 4 ? 0 : get32(data)) {
	case MESSAGE_INITIATION:
		return TAP_INITIATION;
	case MESSAGE_RESPONSE:
		return TAP_RESPONSE;
	case MESSAGE_COOKIE:
		return TAP_COOKIE;
	case MESSAGE_DATA:
		return len == DATA_OVERHEAD ? TAP_KEEPALIVE : TAP_DATA;
	default:
		return TAP_OTHER;
	}
}

enum tap_drop tap_drop_of(enum wg_counter why)
{
	static const uint8_t drops[WG_COUNTERS] = {
		[WG_COUNT_reject_malformed] = TAP_DROP_malformed,
		[WG_COUNT_reject_mac1] = TAP_DROP_mac1,
		[WG_COUNT_reject_mac2] = TAP_DROP_mac2,
		[WG_COUNT_reject_rate] = TAP_DROP_rate,
		[WG_COUNT_reject_queue_full] = TAP_DROP_queue_full,
		[WG_COUNT_reject_undecryptable] = TAP_DROP_undecryptable,
		[WG_COUNT_reject_unknown_peer] = TAP_DROP_unknown_peer,
		[WG_COUNT_reject_replayed_timestamp] = TAP_DROP_old_timestamp,
		[WG_COUNT_reject_flood] = TAP_DROP_flood,
		[WG_COUNT_reject_unexpected_response] = TAP_DROP_unexpected,
		[WG_COUNT_reject_response] = TAP_DROP_undecryptable,
		[WG_COUNT_reject_cookie] = TAP_DROP_undecryptable,
		[WG_COUNT_reject_unknown_index] = TAP_DROP_unknown_index,
		[WG_COUNT_reject_expired] = TAP_DROP_expired,
		[WG_COUNT_reject_undecryptable_data] = TAP_DROP_undecryptable,
		[WG_COUNT_reject_replayed_counter] = TAP_DROP_replayed,
		[WG_COUNT_reject_inner_malformed] = TAP_DROP_inner_malformed,
		[WG_COUNT_reject_inner_source] = TAP_DROP_inner_source,
		[WG_COUNT_reject_ecn] = TAP_DROP_ecn,
	};

	return (enum tap_drop)drops[why];
}

void tap_set_peer(struct tap_meta *m, const struct wg_peer *peer)
{
	const struct engine_peer *p = peer ? wg_peer_owner(peer) : NULL; /* NULL: just removed, too */

	m->has_peer = peer != NULL;
	if (peer)
		wg_peer_public_key(peer, &m->peer);
	if (p)
		m->generation = atomic_load_explicit(&p->direct_generation, memory_order_relaxed);
}

void tap_set_way(struct tap_meta *m, const struct tap_place *place)
{
	m->path = place->path;
	if (place->path != PATH_KIND_DIRECT || place->generation)
		m->generation = place->generation;
	m->local = place->local;
	m->remote = place->remote;
}

/* Beside the type there stands in the clear: the receiver's index, of an initiation the sender's; data has a
 * counter. */
void tap_describe(struct tap_meta *m, const uint8_t *data, size_t len)
{
	bool counted;

	m->length = (uint32_t)len;
	m->type = (uint8_t)type_of(data, len);
	counted = m->type == TAP_DATA || m->type == TAP_KEEPALIVE;
	if (len >= 12 && m->type == TAP_RESPONSE)
		m->index = get32(data + 8);
	else if (len >= 8 && (counted || m->type == TAP_INITIATION || m->type == TAP_COOKIE))
		m->index = get32(data + 4);
	if (len >= 16 && counted)
		m->counter = get32(data + 8) | (uint64_t)get32(data + 12) << 32;
}

/* ---- ways ---- */

/* The address that the kernel takes for datagrams to there, when it was not told one. */
static void routed_source(const struct engine *g, const union address *to, union address *out)
{
	int fd = socket(to->sa.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint32_t mark = atomic_load_explicit(&g->fwmark, memory_order_relaxed);

	if (fd < 0)
		return;
	if (mark)
		setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark));
	if (!connect(fd, &to->sa, address_len(to)))
		getsockname(fd, &out->sa, &(socklen_t){sizeof(*out)});
	close(fd);
}

static bool unspecified(const union address *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)
					   : a->in.sin_addr.s_addr == INADDR_ANY;
}

/* Looked up anew for each other remote address; one that is asked for all the time is asked of the kernel
 * once a second. */
static void cached_source(const struct engine *g, const union address *to, union address *out)
{
	static __thread struct {
		union address to, source;
		uint64_t until;
	} known;
	uint64_t now = clock_boot_ns();

	if (now >= known.until || !address_equal(&known.to, to)) {
		known.to = *to;
		known.until = now + NS_PER_SEC;
		memset(&known.source, 0, sizeof(known.source));
		routed_source(g, to, &known.source);
	}
	*out = known.source;
}

static void local_of(const struct engine *g, const struct channel *c, const struct endpoint *e,
		     union address *out)
{
	uint16_t port = htons(g->udp.port);

	memset(out, 0, sizeof(*out));
	if (c && !getsockname(c->fd, &out->sa, &(socklen_t){sizeof(*out)}))
		port = out->in.sin_port; /* at the same place in both families */
	out->sa.sa_family = e->remote.sa.sa_family;
	if (e->remote.sa.sa_family == AF_INET && e->local.in.s_addr)
		out->in.sin_addr = e->local.in;
	else if (e->remote.sa.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(&e->local.in6))
		out->in6.sin6_addr = e->local.in6;
	else if (unspecified(out))
		cached_source(g, &e->remote, out);
	out->in.sin_port = port;
}

static void path_of(const struct endpoint *e, struct channel *c, uint8_t *path, uint32_t *generation)
{
	bool turn;

	*path = e->via ? PATH_KIND_NONE : PATH_KIND_DIRECT;
	if (e->via)
		*generation = 0;
	if (!c)
		return;
	turn = c->kind == CHANNEL_CALLBACK && atomic_load_explicit(&c->turn, memory_order_relaxed);
	*path = turn ? PATH_KIND_TURN : (uint8_t)c->path;
	*generation = atomic_load_explicit(&c->generation, memory_order_relaxed);
}

void tap_place_of(struct engine *g, const struct endpoint *e, struct tap_place *out)
{
	struct channel *c = e->via ? channel_find(g, e->via) : NULL;

	memset(out, 0, sizeof(*out));
	path_of(e, c, &out->path, &out->generation);
	out->relay = c && c->kind == CHANNEL_RELAY;
	if (out->relay)
		relay_put_transport(out->header, &c->to);
	out->remote = e->remote;
	if (e->remote.sa.sa_family == AF_INET || e->remote.sa.sa_family == AF_INET6)
		local_of(g, c && c->kind == CHANNEL_SOCKET ? c : NULL, e, &out->local);
}

unsigned tap_producer_here(const struct engine *g)
{
	return g->worker_count + !pthread_equal(pthread_self(), g->control_thread);
}

void tap_outer(struct engine *g, unsigned producer, const struct tap_place *place, struct tap_meta *m,
	       const void *data, size_t len)
{
	uint8_t message[RELAY_MESSAGE_MAX];

	m->point = place->relay ? TAP_RELAY : TAP_WIRE;
	if (!tap_wanted(g->tapped, (enum tap_point)m->point))
		return;
	tap_set_way(m, place);
	m->length += place->relay ? RELAY_TRANSPORT_LEN : 0;
	if (!place->relay) {
		tap_put(g->tap, producer, m, data, len);
		return;
	}
	if (len > sizeof(message) - RELAY_TRANSPORT_LEN)
		len = sizeof(message) - RELAY_TRANSPORT_LEN;
	memcpy(message, place->header, RELAY_TRANSPORT_LEN);
	memcpy(message + RELAY_TRANSPORT_LEN, data, len);
	tap_put(g->tap, producer, m, message, RELAY_TRANSPORT_LEN + len);
}

/* ---- in ---- */

static uint8_t *scratch(struct worker *w, size_t size)
{
	if (w->tap_room < size) {
		free(w->tap_bytes);
		w->tap_bytes = xmalloc(size);
		w->tap_room = size;
	}
	return w->tap_bytes;
}

static size_t wanted_of(const struct engine *g, size_t len)
{
	size_t most = atomic_load_explicit(&g->tapped->bytes, memory_order_relaxed);

	return len < most ? len : most;
}

/* What is seen of it at its point, before it is opened. */
static bool may_be_wanted(struct worker *w, const struct tap_place *place, const struct wg_incoming *in)
{
	struct tap_meta m = {.path = place->path,
			     .generation = place->generation,
			     .local = place->local,
			     .remote = place->remote};

	if (place->relay)
		return tap_wanted(w->engine->tapped, TAP_RELAY);
	tap_describe(&m, in->datagram, in->len);
	return tap_wanted(w->engine->tapped, TAP_WIRE) &&
	       tap_may_want(w->engine->tap, w->id, &m, in->datagram, in->len);
}

void tap_before_open(struct worker *w, const struct wg_incoming *in, unsigned count,
		     const struct endpoint *from)
{
	struct tap_place place;
	size_t total = 0, at = 0;
	uint8_t *bytes;

	tap_enter(w->engine->tap, w->id);
	tap_place_of(w->engine, from, &place);
	for (unsigned i = 0; i < count; i++) {
		w->tap_lens[i] =
			may_be_wanted(w, &place, &in[i]) ? (uint32_t)wanted_of(w->engine, in[i].len) : 0;
		total += w->tap_lens[i];
	}
	tap_leave(w->engine->tap, w->id);
	bytes = scratch(w, total + 1);
	for (unsigned i = 0; i < count; i++) {
		memcpy(bytes + at, in[i].datagram, w->tap_lens[i]);
		at += w->tap_lens[i];
	}
}

static void inner_in(struct worker *w, const struct wg_incoming *in, const struct tap_meta *outer,
		     const struct tap_place *place)
{
	struct tap_meta m = *outer;

	if (in->verdict == WG_KEEPALIVE || !in->peer || !tap_wanted(w->engine->tapped, TAP_INNER))
		return;
	m.point = TAP_INNER;
	m.type = TAP_IP;
	m.length = (uint32_t)in->inner_len;
	tap_set_way(&m, place);
	memset(&m.local, 0, sizeof(m.local));
	memset(&m.remote, 0, sizeof(m.remote));
	tap_put(w->engine->tap, w->id, &m, in->inner, in->inner_len);
}

void tap_opened(struct worker *w, const struct wg_incoming *in, unsigned count, const struct endpoint *from)
{
	struct tap_place place;
	uint64_t at = clock_wall_ns();
	size_t aside = 0;

	tap_place_of(w->engine, from, &place);
	tap_enter(w->engine->tap, w->id);
	for (unsigned i = 0; i < count; i++) {
		struct tap_meta m = {.at = at};

		tap_describe(&m, in[i].datagram, in[i].len);
		m.drop = in[i].verdict == WG_DROP ? tap_drop_of(in[i].why) : TAP_DROP_none;
		if (in[i].keypair) {
			tap_set_peer(&m, wg_keypair_peer(in[i].keypair));
			m.keypair = wg_keypair_index(in[i].keypair);
		}
		/* A datagram has at least a byte: nothing was put aside of what nobody wants. */
		if (w->tap_lens[i])
			tap_outer(w->engine, w->id, &place, &m, w->tap_bytes + aside, w->tap_lens[i]);
		aside += w->tap_lens[i];
		inner_in(w, &in[i], &m, &place);
	}
	tap_leave(w->engine->tap, w->id);
}

static void refused(struct engine *g, unsigned producer, const struct endpoint *from, const void *data,
		    size_t len, enum tap_drop drop)
{
	struct engine_peer *p = from->via ? channel_peer(g, from->via) : NULL;
	struct tap_meta m = {.drop = (uint8_t)drop};
	struct tap_place place;

	tap_describe(&m, data, len);
	tap_set_peer(&m, p ? p->wg : NULL);
	tap_place_of(g, from, &place);
	tap_outer(g, producer, &place, &m, data, len);
}

void tap_refused(struct engine *g, unsigned producer, const struct endpoint *from, const void *data,
		 size_t len, enum tap_drop drop)
{
	/* Channel and peer may go at any moment: workers are inside their epochs, and the control thread is
	 * who frees. */
	struct epoch_reader *outside = producer > g->worker_count ? g->taps->relay : NULL;

	if (!(tap_points(g) & TAP_OUTER))
		return;
	if (outside)
		epoch_enter(wg_epoch(g->wg), outside);
	refused(g, producer, from, data, len, drop);
	if (outside)
		epoch_exit(outside);
}

/* ---- out ---- */

static void train(struct worker *w, const struct out_train *t, int error, uint64_t at)
{
	struct tap_place place;

	tap_place_of(w->engine, &t->to, &place);
	for (size_t offset = 0; offset < t->len; offset += t->segment) {
		size_t len = t->len - offset < t->segment ? t->len - offset : t->segment;
		struct tap_meta m = {.at = at, .out = true};

		tap_describe(&m, t->data + offset, len);
		m.drop = error == -ENOBUFS ? TAP_DROP_queue_full
			 : error	   ? TAP_DROP_send_failed
					   : TAP_DROP_none;
		tap_set_peer(&m, t->peer);
		m.keypair = wg_keypair_index(t->keypair);
		tap_outer(w->engine, w->id, &place, &m, t->data + offset, len);
	}
}

void tap_trains(struct worker *w, const struct udp_train *sent)
{
	uint64_t at = clock_wall_ns();

	tap_enter(w->engine->tap, w->id);
	for (unsigned i = 0; i < w->train_count; i++)
		train(w, &w->trains[i], sent[i].error, at);
	tap_leave(w->engine->tap, w->id);
}

void tap_inner_begin(struct worker *w, struct wg_peer *peer, const struct wg_keypair *k, uint64_t counter,
		     struct tap_meta *m)
{
	struct endpoint to;
	struct channel *c;

	*m = (struct tap_meta){
		.at = clock_wall_ns(), .point = TAP_INNER, .type = TAP_IP, .out = true, .counter = counter};
	if (!peer)
		return;
	tap_set_peer(m, peer);
	m->keypair = k ? wg_keypair_index(k) : 0;
	to = wg_peer_sending_endpoint(peer);
	c = to.via ? channel_find(w->engine, to.via) : NULL;
	path_of(&to, c, &m->path, &m->generation);
}

void tap_inner_put(struct worker *w, struct tap_meta *m, const uint8_t *packet, size_t len)
{
	m->length = (uint32_t)len;
	tap_put(w->engine->tap, w->id, m, packet, len);
}

void tap_inner_all(struct worker *w, const struct segmenter *from, struct wg_peer *peer, enum tap_drop drop)
{
	struct segmenter s = *from;
	uint8_t *packet = scratch(w, s.full_len + 1);
	struct tap_meta m;
	size_t len;

	tap_inner_begin(w, peer, NULL, 0, &m);
	m.drop = (uint8_t)drop;
	while ((len = segmenter_next(&s, packet)) > 0)
		tap_inner_put(w, &m, packet, len);
}
