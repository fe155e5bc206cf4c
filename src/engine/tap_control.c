/* The tap in the control thread: handshakes with their verdicts, frames and their bodies, messages of relays.
 */
#include <string.h>

#include "base/clock.h"
#include "crypto/primitives.h"
#include "engine/paths.h"
#include "engine/tap_taps.h"
#include "wg/messages.h"

static unsigned control(const struct engine *g)
{
	return g->worker_count;
}

/* ---- WireGuard datagrams that the control thread sends: handshakes, keepalives, packets that waited ---- */

struct held {
	struct tap_place place;
	struct tap_meta meta;
	size_t len;
};

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Our index of the keypair that the peer calls m->index. */
static uint32_t keypair_of(struct engine *g, const struct tap_meta *m)
{
	struct wg_peer *wg = m->has_peer ? wg_find_peer(g->wg, &m->peer) : NULL;
	struct wg_peer_view v;

	if (!wg)
		return 0;
	wg_peer_look(wg, &v, clock_boot_ns());
	for (unsigned i = 0; i < WG_SLOTS; i++)
		if (v.keypairs[i].used && v.keypairs[i].remote_index == m->index)
			return v.keypairs[i].local_index;
	return 0;
}

static void put(struct engine *g, const struct tap_place *place, struct tap_meta *m, const uint8_t *data,
		size_t len)
{
	if (m->out && m->type == TAP_RESPONSE && len >= 8)
		m->keypair = get32(data + 4);
	else if (m->out && (m->type == TAP_DATA || m->type == TAP_KEEPALIVE))
		m->keypair = keypair_of(g, m);
	tap_outer(g, control(g), place, m, data, len);
}

static void attempt(struct tap_meta *m, struct wg_peer *wg)
{
	struct wg_peer_view v;

	if (!wg || m->type != TAP_INITIATION)
		return;
	wg_peer_look(wg, &v, clock_boot_ns());
	m->attempt = (uint16_t)(v.attempt + 1); /* it is counted once it is sent */
	m->attempts = HANDSHAKE_ATTEMPTS;
}

void tap_sent(struct engine *g, struct engine_peer *p, const struct endpoint *to, const void *data,
	      size_t len, int error)
{
	struct held h = {.meta = {.at = clock_wall_ns(), .out = true}, .len = len};

	if (!(tap_points(g) & TAP_OUTER))
		return;
	tap_describe(&h.meta, data, len);
	h.meta.drop = error ? TAP_DROP_send_failed : TAP_DROP_none;
	tap_set_peer(&h.meta, p ? p->wg : NULL);
	attempt(&h.meta, p ? p->wg : NULL);
	tap_place_of(g, to, &h.place);
	if (!g->taps->holding) {
		put(g, &h.place, &h.meta, data, len);
		return;
	}
	strbuf_append(&g->taps->held, &h, sizeof(h));
	strbuf_append(&g->taps->held, data, len);
}

void tap_handshake_begins(struct engine *g)
{
	g->taps->holding = tap_points(g) & TAP_OUTER;
	if (g->taps->holding)
		g->taps->began = clock_wall_ns();
}

static void put_held(struct engine *g)
{
	struct strbuf *s = &g->taps->held;
	struct held h;

	for (size_t at = 0; at < s->len; at += sizeof(h) + h.len) {
		memcpy(&h, s->text + at, sizeof(h));
		put(g, &h.place, &h.meta, (const uint8_t *)s->text + at + sizeof(h), h.len);
	}
	strbuf_clear(s);
}

void tap_handshake_ends(struct engine *g, const struct handshake_slot *s, struct wg_peer *proven)
{
	struct wg_refusal refusal = wg_last_refusal(g->wg);
	struct tap_place place;
	struct tap_meta m = {.at = g->taps->began};

	if (!g->taps->holding)
		return;
	g->taps->holding = false;
	tap_describe(&m, s->data, s->len);
	if (refusal.refused)
		m.drop = (uint8_t)tap_drop_of(refusal.why);
	tap_set_peer(&m, proven ? proven : refusal.peer);
	if (m.type == TAP_RESPONSE && proven)
		m.keypair = m.index;
	tap_place_of(g, &s->from, &place);
	put(g, &place, &m, s->data, s->len);
	put_held(g);
}

/* ---- frames ---- */

/* libnice's channel knows no addresses; its agent does. */
static void agent_place(const struct channel *c, struct tap_place *place)
{
	const struct agent_way *w = c->arg;

	if (!w->selected || w->pair.tcp)
		return;
	place->local = w->pair.local;
	place->remote = w->pair.remote;
}

static void place_of(struct engine *g, const struct endpoint *e, struct tap_place *place)
{
	struct channel *c = e->via ? channel_find(g, e->via) : NULL;

	tap_place_of(g, e, place);
	if (c && c->kind == CHANNEL_CALLBACK && c->path == PATH_KIND_ICE)
		agent_place(c, place);
}

/* The opened body as it was, but for the ICE password. */
static void body(struct engine *g, struct engine_peer *p, const struct tap_place *place, bool out,
		 const struct signal_message *from, size_t frame_len, enum tap_drop drop)
{
	struct tap_meta m = {.point = TAP_SIGNAL, .type = TAP_FRAME, .out = out, .drop = (uint8_t)drop};
	uint8_t bytes[SIGNAL_FRAME_MAX];
	struct signal_message copy;
	int len = 0;

	if (from) {
		copy = *from;
		memset(copy.pwd, '*', strnlen(copy.pwd, sizeof(copy.pwd)));
		copy.pad_to = 0;
		len = signal_encode(&copy, bytes, sizeof(bytes));
	}
	tap_set_peer(&m, p ? p->wg : NULL);
	tap_set_way(&m, place);
	m.length = (uint32_t)(len > 0 ? (size_t)len : frame_len);
	tap_put(g->tap, control(g), &m, bytes, len > 0 ? (size_t)len : 0);
}

void tap_frame_in(struct engine *g, struct engine_peer *p, const struct endpoint *from, const void *frame,
		  size_t len, const struct signal_message *opened, enum tap_drop drop)
{
	struct tap_meta m = {.drop = (uint8_t)drop};
	struct tap_place place;

	if (!(tap_points(g) & (TAP_OUTER | 1u << TAP_SIGNAL)))
		return;
	place_of(g, from, &place);
	tap_describe(&m, frame, len);
	tap_set_peer(&m, p ? p->wg : NULL);
	tap_outer(g, control(g), &place, &m, frame, len);
	if (tap_wanted(g->tapped, TAP_SIGNAL))
		body(g, p, &place, false, opened, len, drop);
}

void tap_frame_out(struct engine *g, struct engine_peer *p, const struct endpoint *to, const void *frame,
		   size_t len, const struct signal_message *sealed, int error)
{
	enum tap_drop drop = error ? TAP_DROP_send_failed : TAP_DROP_none;
	struct tap_meta m = {.out = true, .drop = (uint8_t)drop};
	struct tap_place place;

	if (!(tap_points(g) & (TAP_OUTER | 1u << TAP_SIGNAL)))
		return;
	place_of(g, to, &place);
	tap_describe(&m, frame, len);
	tap_set_peer(&m, p->wg);
	if (tap_wanted(g->tapped, TAP_SIGNAL))
		body(g, p, &place, true, sealed, len, drop);
	tap_outer(g, control(g), &place, &m, frame, len);
}

/* ---- relays ---- */

void tap_relay_message(struct engine *g, bool out, const union address *server, const uint8_t *message,
		       size_t len)
{
	struct tap_meta m = {.point = TAP_RELAY,
			     .type = TAP_RELAY_CONTROL,
			     .out = out,
			     .path = PATH_KIND_RELAY,
			     .length = (uint32_t)len,
			     .remote = *server};
	uint8_t copy[RELAY_AUTH_MAX];
	struct relay_message r;

	if (!tap_wanted(g->tapped, TAP_RELAY))
		return;
	/* Whoever has the token can log in as this host. */
	if (relay_parse(message, len, &r) == RELAY_OK && r.type == RELAY_AUTH && len <= sizeof(copy)) {
		memcpy(copy, message, len);
		memset(copy + (r.data - message), '*', r.len);
		message = copy;
	}
	tap_put(g->tap, tap_producer_here(g), &m, message, len);
}
