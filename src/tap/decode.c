/* Where decoding begins and ends: lines and words for all families, datagrams by their first bytes, and what
 * the engine knows. */
#include "tap/decode.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "signal/signal.h"
#include "tap/decode_internal.h"
#include "wg/messages.h"

/* ---- words and lines ---- */

void decode_name(struct decoder *d, const char *protocol)
{
	snprintf(d->out->protocol, sizeof(d->out->protocol), "%s", protocol);
	d->out->info[d->prefix] = '\0';
}

static void say(struct decoder *d, const char *fmt, va_list args)
{
	size_t len = strlen(d->out->info);

	vsnprintf(d->out->info + len, sizeof(d->out->info) - len, fmt, args);
}

void decode_say(struct decoder *d, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say(d, fmt, args);
	va_end(args);
}

void decode_keep(struct decoder *d)
{
	d->prefix = strlen(d->out->info);
}

struct where {
	unsigned depth;
	bool bad;
	size_t at, len;
	const char *label;
};

static void line(struct decoder *d, const struct where *w, const char *fmt, va_list args)
{
	struct decode_line *l;

	if (!d->full || d->out->count == DECODE_LINES)
		return;
	l = &d->out->lines[d->out->count++];
	*l = (struct decode_line){.depth = (uint8_t)w->depth, .bad = w->bad};
	if (w->at < d->captured) {
		l->offset = (uint16_t)w->at;
		l->length = (uint16_t)(w->len < d->captured - w->at ? w->len : d->captured - w->at);
	}
	if (d->out->count == DECODE_LINES) {
		snprintf(l->label, sizeof(l->label), "more");
		snprintf(l->value, sizeof(l->value), "than fits here");
		return;
	}
	snprintf(l->label, sizeof(l->label), "%s", w->label);
	vsnprintf(l->value, sizeof(l->value), fmt, args);
}

#define LINE(d, depth_, bad_, at_, len_, label_, fmt)                                                        \
	do {                                                                                                 \
		struct where w = {                                                                           \
			.depth = (depth_), .bad = (bad_), .at = (at_), .len = (len_), .label = (label_)};    \
		va_list args;                                                                                \
                                                                                                             \
		va_start(args, fmt);                                                                         \
		line(d, &w, fmt, args);                                                                      \
		va_end(args);                                                                                \
	} while (0)

void decode_layer(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
{
	LINE(d, 0, false, at, len, label, fmt);
}

void decode_field(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
{
	LINE(d, 1, false, at, len, label, fmt);
}

void decode_detail(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
{
	LINE(d, 2, false, at, len, label, fmt);
}

void decode_wrong(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
{
	LINE(d, 1, true, at, len, label, fmt);
}

bool decode_ended(struct decoder *d, const struct cursor *c)
{
	const char *info = d->out->info;
	size_t len = strlen(info);

	if (c->bad && !d->quoted) {
		decode_wrong(d, c->whole, 0, "truncated", "it ends before this");
		decode_say(d, "%s(truncated)", len && info[len - 1] != ' ' ? " " : "");
	} else if (cursor_ended(c)) {
		decode_field(d, c->end, 0, "...",
			     c->bad ? "the rest is not quoted" : "the rest was not recorded");
	}
	return cursor_ended(c);
}

void decode_rest(struct decoder *d, const struct cursor *c, const char *label)
{
	if (cursor_left(c))
		decode_field(d, c->at, cursor_here(c), label, "%zu bytes", cursor_left(c));
}

const char *decode_hex(char out[DECODE_HEX], struct cursor *c, size_t len)
{
	const uint8_t *at = cursor_take(c, len);
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; at && i < len; i++) {
		if (n + 6 > DECODE_HEX) {
			snprintf(out + n, DECODE_HEX - n, "...");
			break;
		}
		n += (size_t)snprintf(out + n, DECODE_HEX - n, "%02x", at[i]);
	}
	return out;
}

const char *decode_text(char out[DECODE_TEXT], struct cursor *c, size_t len)
{
	const uint8_t *at = cursor_take(c, len);

	out[0] = '\0';
	if (at)
		log_visible(out, DECODE_TEXT, (const char *)at, len);
	return out;
}

/* ---- datagrams ---- */

/*
 * WireGuard: a type and three zeros (paper 5.4). STUN: two zero bits, and the cookie (RFC 8489, 5).
 * ChannelData: a number from 0x4000 to 0x4fff (RFC 8656, 12). A frame has its magic.
 */
enum datagram decode_datagram_kind(const struct cursor *c)
{
	struct cursor look = *c;
	uint32_t first = cursor_32(&look), second = cursor_32(&look);

	if (cursor_here(c) && signal_is_frame(c->data + c->at, cursor_here(c)))
		return DATAGRAM_FRAME;
	if (first >> 30 == 0 && second == STUN_COOKIE && cursor_left(c) >= 20 && (first & 3) == 0)
		return DATAGRAM_STUN;
	if (first >> 28 == 4 && cursor_left(c) >= 4 && (first & 0xffff) + 4 <= cursor_left(c))
		return DATAGRAM_CHANNEL;
	if (first >> 24 >= MESSAGE_INITIATION && first >> 24 <= MESSAGE_DATA)
		return DATAGRAM_WIREGUARD;
	return DATAGRAM_OTHER;
}

void decode_datagram(struct decoder *d, struct cursor c)
{
	char hex[DECODE_HEX];
	struct cursor look = c;

	switch (decode_datagram_kind(&c)) {
	case DATAGRAM_FRAME:
		decode_frame(d, c);
		return;
	case DATAGRAM_STUN:
		decode_stun(d, c);
		return;
	case DATAGRAM_CHANNEL:
		decode_channel(d, c);
		return;
	case DATAGRAM_WIREGUARD:
		decode_wireguard(d, c);
		return;
	case DATAGRAM_OTHER:
		break;
	}
	decode_name(d, "UDP");
	decode_say(d, "%zu bytes%s%s", cursor_left(&c), cursor_here(&c) ? ": " : "",
		   decode_hex(hex, &look, cursor_here(&c) < 16 ? cursor_here(&c) : 16));
	decode_layer(d, c.at, cursor_here(&c), "data", "%zu bytes of no protocol that is known here",
		     cursor_left(&c));
}

/* ---- what is around the record's bytes ---- */

static void put_host(char *out, size_t size, const union address *a)
{
	char text[INET6_ADDRSTRLEN] = "(unknown)";

	if (a->sa.sa_family == AF_INET)
		inet_ntop(AF_INET, &a->in.sin_addr, text, sizeof(text));
	else if (a->sa.sa_family == AF_INET6)
		inet_ntop(AF_INET6, &a->in6.sin6_addr, text, sizeof(text));
	snprintf(out, size, "%s", text);
}

/* The headers of an outer datagram: the kernel's, so the record has none of their bytes. */
static void outer(struct decoder *d)
{
	const struct tap_meta *m = d->meta;
	const union address *from = m->out ? &m->local : &m->remote, *to = m->out ? &m->remote : &m->local;

	if (m->remote.sa.sa_family != AF_INET && m->remote.sa.sa_family != AF_INET6)
		return;
	put_host(d->from, sizeof(d->from), from);
	put_host(d->to, sizeof(d->to), to);
	decode_layer(d, 0, 0, m->remote.sa.sa_family == AF_INET ? "IPv4" : "IPv6", "%s > %s", d->from, d->to);
	decode_layer(d, 0, 0, "UDP", "%u > %u, %u bytes", ntohs(from->in.sin_port), ntohs(to->in.sin_port),
		     m->length + 8);
}

static void engine_addresses(struct decoder *d)
{
	const struct tap_meta *m = d->meta;
	char text[ADDRESS_TEXT];

	if (m->remote.sa.sa_family != AF_UNSPEC)
		decode_field(d, 0, 0, m->out ? "to" : "from", "%s", address_format(text, &m->remote));
	if (m->path && m->generation)
		decode_field(d, 0, 0, "path", "%s, generation %u", path_kind_name(m->path), m->generation);
	else if (m->path)
		decode_field(d, 0, 0, "path", "%s", path_kind_name(m->path));
}

static void engine(struct decoder *d)
{
	const struct tap_meta *m = d->meta;
	char key[KEY_BASE64_LEN + 1];

	decode_layer(d, 0, 0, "engine", "number %llu, %s, %s", (unsigned long long)m->number,
		     tap_point_name(m->point), m->out ? "sent" : "received");
	if (m->has_peer) {
		key_to_base64(key, &m->peer);
		decode_field(d, 0, 0, "peer", "%s", key);
	} else if (m->point != TAP_RELAY) {
		decode_field(d, 0, 0, "peer", "of none that is known");
	}
	engine_addresses(d);
	if (m->keypair)
		decode_field(d, 0, 0, "keypair", "%08x", m->keypair);
	if (m->point == TAP_INNER && m->counter)
		decode_field(d, 0, 0, "counter", "%llu on the wire", (unsigned long long)m->counter);
	if (m->attempts)
		decode_field(d, 0, 0, "try", "%u of %u", m->attempt, m->attempts);
	if (m->drop)
		decode_wrong(d, 0, 0, "dropped", "%s: %s", tap_drop_name(m->drop), tap_drop_text(m->drop));
}

/* The end of the line, which is there to be read first: who it was, if nobody knows, and why it went no
 * further. */
static void fate(struct decoder *d)
{
	const struct tap_meta *m = d->meta;
	char text[ADDRESS_TEXT];
	size_t len = strlen(d->out->info);

	if (len && d->out->info[len - 1] == ' ')
		d->out->info[--len] = '\0';
	if (len > sizeof(d->out->info) / 2 && m->drop)
		d->out->info[sizeof(d->out->info) / 2] = '\0';
	if (!m->has_peer && m->point == TAP_WIRE && !m->out && m->remote.sa.sa_family != AF_UNSPEC)
		decode_say(d, ", from %s", address_format(text, &m->remote));
	if (m->drop)
		decode_say(d, ", dropped: %s", tap_drop_text(m->drop));
}

static void decode(struct decode *out, const struct tap_meta *m, const uint8_t *data, size_t len, bool full)
{
	struct decoder d = {.out = out, .meta = m, .full = full, .captured = len};
	struct cursor c = cursor_of(data, len, m->length);

	out->protocol[0] = out->info[0] = '\0';
	out->count = 0;
	switch (m->point) {
	case TAP_WIRE:
		outer(&d);
		decode_datagram(&d, c);
		break;
	case TAP_INNER:
		decode_ip(&d, c);
		break;
	case TAP_RELAY:
		decode_relay(&d, c);
		break;
	case TAP_SIGNAL:
		decode_signal(&d, c);
		break;
	}
	fate(&d);
	if (full)
		engine(&d);
}

void decode_brief(struct decode *out, const struct tap_meta *m, const uint8_t *data, size_t len)
{
	decode(out, m, data, len, false);
}

void decode_full(struct decode *out, const struct tap_meta *m, const uint8_t *data, size_t len)
{
	decode(out, m, data, len, true);
}
