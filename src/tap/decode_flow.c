/* What belongs together: packets of a flow, and an answer to its question. Numbers that are equal when they
 * do. */
#include "signal/signal.h"
#include "tap/decode_internal.h"
#include "wg/messages.h"

#define IPV4_HEAD 20
#define IPV6_HEAD 40

/* FNV-1a, with the kind of thing first, so that things of different kinds differ. */
static uint64_t mix(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ at[i]) * 0x100000001b3u;
	return h;
}

static uint64_t number_of(char kind, const void *bytes, size_t len)
{
	uint64_t h = mix(mix(0xcbf29ce484222325u, &kind, 1), bytes, len);

	return h ? h : 1;
}

/* The parts of an IP packet that tell flows apart, with the lesser end first. */
struct ends {
	uint8_t low[18], high[18]; /* address, port */
	uint8_t protocol;
	uint8_t echo[4]; /* ICMP: id and sequence */
	bool is_echo, answer;
};

static void order(struct ends *e)
{
	uint8_t swap[18];

	if (memcmp(e->low, e->high, sizeof(e->low)) <= 0)
		return;
	memcpy(swap, e->low, sizeof(swap));
	memcpy(e->low, e->high, sizeof(swap));
	memcpy(e->high, swap, sizeof(swap));
}

static bool read_ends(struct ends *e, struct cursor *c);

static bool read_icmp(struct ends *e, struct cursor *c)
{
	unsigned type = cursor_8(c);
	bool six = e->protocol != 1;
	bool error = six ? type >= 1 && type <= 4
			 : type == 3 || type == 11 || type == 12 || type == 5 || type == 4;

	cursor_take(c, 3);
	if (error && e->answer) /* an error about an error */
		return false;
	if (error) {
		cursor_take(c, 4);
		*e = (struct ends){.answer = true};
		return read_ends(e, c); /* of the packet that it quotes */
	}
	e->is_echo = six ? type == 128 || type == 129 : type == 0 || type == 8;
	e->answer |= six ? type == 129 : type == 0; /* an error answers what it quotes */
	return e->is_echo && cursor_read(c, e->echo, sizeof(e->echo));
}

static bool read_ends(struct ends *e, struct cursor *c)
{
	size_t at = c->at;
	uint32_t first = cursor_32(c), second = cursor_32(c);
	unsigned version = first >> 28, len = version == 4 ? 4 : 16;

	if (version == 4) {
		if (second & 0x1fff) /* not the first fragment */
			return false;
		e->protocol = (uint8_t)cursor_16(c);
		cursor_16(c);
	} else if (version == 6) {
		e->protocol = (uint8_t)(second >> 8); /* extension headers: no flow */
	} else {
		return false;
	}
	cursor_read(c, e->low, len);
	cursor_read(c, e->high, len);
	if (version == 4 && (first >> 24 & 0xf) * 4 > IPV4_HEAD)
		cursor_take(c, (first >> 24 & 0xf) * 4 - IPV4_HEAD);
	if (cursor_ended(c) || c->at < at)
		return false;
	if (e->protocol == 1 || e->protocol == 58)
		return read_icmp(e, c);
	if (e->protocol != 6 && e->protocol != 17)
		return false;
	cursor_read(c, e->low + 16, 2);
	cursor_read(c, e->high + 16, 2);
	return !cursor_ended(c);
}

static uint64_t inner_flow(struct cursor c)
{
	struct ends e = {0};

	if (!read_ends(&e, &c))
		return 0;
	order(&e);
	return mix(mix(mix(number_of('i', e.low, sizeof(e.low)), e.high, sizeof(e.high)), &e.protocol, 1),
		   e.echo, 2);
}

/* ---- datagrams ---- */

/* A transport message of a relay is the datagram in it. */
static struct cursor datagram_of(const struct tap_meta *m, const uint8_t *data, size_t len)
{
	struct cursor c = cursor_of(data, len, m->length);

	if (m->point == TAP_RELAY) {
		uint16_t head = cursor_16(&c);

		cursor_take(&c, 36);
		if (head != 0x0103) /* version 1, transport: relay/wire.h */
			c.at = c.end = c.whole;
	}
	return c;
}

static uint64_t stun_transaction(struct cursor c, unsigned *type)
{
	uint8_t id[12];

	*type = cursor_16(&c);
	cursor_take(&c, 6);
	return cursor_read(&c, id, sizeof(id)) ? number_of('s', id, sizeof(id)) : 0;
}

static uint64_t datagram_flow(const struct tap_meta *m, struct cursor c)
{
	enum datagram kind = decode_datagram_kind(&c);
	unsigned type = cursor_here(&c) ? c.data[c.at] : 0;

	if (kind == DATAGRAM_STUN)
		return stun_transaction(c, &type);
	if (kind == DATAGRAM_WIREGUARD && m->has_peer)
		return number_of(type == MESSAGE_DATA ? 'd' : 'h', &m->peer, sizeof(m->peer));
	if (kind == DATAGRAM_FRAME && m->has_peer)
		return number_of('f', &m->peer, sizeof(m->peer));
	if (m->remote.sa.sa_family == AF_INET)
		return mix(number_of('4', &m->remote.in.sin_addr, 4), &m->remote.in.sin_port, 2);
	if (m->remote.sa.sa_family == AF_INET6)
		return mix(number_of('6', &m->remote.in6.sin6_addr, 16), &m->remote.in6.sin6_port, 2);
	return 0;
}

uint64_t decode_flow(const struct tap_meta *m, const uint8_t *data, size_t len)
{
	struct cursor c = datagram_of(m, data, len);

	if (m->point == TAP_INNER)
		return inner_flow(c);
	if (m->point == TAP_SIGNAL)
		return m->has_peer ? number_of('f', &m->peer, sizeof(m->peer)) : 0;
	return cursor_left(&c) || m->point == TAP_WIRE ? datagram_flow(m, c) : 0;
}

/* ---- questions and answers ---- */

static uint64_t stun_exchange(struct cursor c, bool *answer)
{
	unsigned type;
	uint64_t id = stun_transaction(c, &type);

	*answer = type & 0x100;
	return (type & 0x110) == 0x010 ? 0 : id; /* nobody answers an indication */
}

static uint64_t handshake_exchange(struct cursor c, bool *answer)
{
	unsigned type = (unsigned)cursor_little(&c, 4);
	uint8_t index[4];

	*answer = type != MESSAGE_INITIATION;
	if (type == MESSAGE_RESPONSE)
		cursor_take(&c, 4); /* its own index; behind it is the one that it answers */
	if (type < MESSAGE_INITIATION || type > MESSAGE_COOKIE || !cursor_read(&c, index, sizeof(index)))
		return 0;
	return number_of('w', index, sizeof(index));
}

static uint64_t inner_exchange(struct cursor c, bool *answer)
{
	struct ends e = {0};
	uint8_t id[2];
	uint16_t flags;
	uint64_t h;

	if (!read_ends(&e, &c))
		return 0;
	order(&e);
	h = mix(mix(number_of('x', e.low, sizeof(e.low)), e.high, sizeof(e.high)), &e.protocol, 1);
	*answer = e.answer;
	if (e.is_echo)
		return mix(h, e.echo, sizeof(e.echo));
	if (e.protocol != 17 || (memcmp(e.low + 16, "\0\x35", 2) && memcmp(e.high + 16, "\0\x35", 2)))
		return 0;
	cursor_take(&c, 4); /* the rest of UDP's header */
	cursor_read(&c, id, sizeof(id));
	flags = cursor_16(&c);
	*answer = e.answer || flags & 0x8000;
	return cursor_ended(&c) ? 0 : mix(h, id, sizeof(id));
}

static uint64_t signal_exchange(struct cursor c, bool *answer)
{
	struct signal_message m;

	if (cursor_here(&c) < cursor_left(&c) || signal_decode(c.data, cursor_here(&c), &m) ||
	    !(m.has & SIGNAL_HAS_ECHO))
		return 0;
	*answer = m.type == SIGNAL_PONG || m.type == SIGNAL_RELAY_OPENED;
	return number_of('e', m.echo, sizeof(m.echo));
}

uint64_t decode_exchange(const struct tap_meta *m, const uint8_t *data, size_t len, bool *answer)
{
	struct cursor c = datagram_of(m, data, len);

	*answer = false;
	if (m->point == TAP_INNER)
		return inner_exchange(c, answer);
	if (m->point == TAP_SIGNAL)
		return signal_exchange(c, answer);
	switch (decode_datagram_kind(&c)) {
	case DATAGRAM_STUN:
		return stun_exchange(c, answer);
	case DATAGRAM_WIREGUARD:
		return handshake_exchange(c, answer);
	default:
		return 0;
	}
}
