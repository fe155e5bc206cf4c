/*
 * The record's header, little-endian:
 *   0 u32 length of all   4 u8 kind, point, type, drop   8 u8 path, flags   10 u16 attempt, attempts, 0
 *  16 u64 number, at, counter   40 u32 length, index, keypair, generation   56 peer (32)
 *  88 local (24)  112 remote (24): u8 family (0, 4, 6), u8 0, u16 port, u32 scope, address (16)   136 zero
 * (8)
 */
#include "tap/stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#define FLAG_OUT  1
#define FLAG_PEER 2

static void put(uint8_t *p, uint64_t v, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> 8 * i);
}

static uint64_t get(const uint8_t *p, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)p[i] << 8 * i;
	return v;
}

static void put_address(uint8_t *p, const union address *a)
{
	if (a->sa.sa_family == AF_INET) {
		p[0] = 4;
		put(p + 2, ntohs(a->in.sin_port), 2);
		memcpy(p + 8, &a->in.sin_addr, 4);
	} else if (a->sa.sa_family == AF_INET6) {
		p[0] = 6;
		put(p + 2, ntohs(a->in6.sin6_port), 2);
		put(p + 4, a->in6.sin6_scope_id, 4);
		memcpy(p + 8, &a->in6.sin6_addr, 16);
	}
}

static bool get_address(union address *a, const uint8_t *p)
{
	uint16_t port = htons((uint16_t)get(p + 2, 2));

	memset(a, 0, sizeof(*a));
	switch (p[0]) {
	case 0:
		return true;
	case 4:
		a->in.sin_family = AF_INET;
		a->in.sin_port = port;
		memcpy(&a->in.sin_addr, p + 8, 4);
		return true;
	case 6:
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = port;
		a->in6.sin6_scope_id = (uint32_t)get(p + 4, 4);
		memcpy(&a->in6.sin6_addr, p + 8, 16);
		return true;
	default:
		return false;
	}
}

void tap_record_encode(uint8_t out[TAP_RECORD_HEADER], enum tap_record_kind kind, const struct tap_meta *m,
		       size_t captured)
{
	memset(out, 0, TAP_RECORD_HEADER);
	put(out, TAP_RECORD_HEADER + captured, 4);
	out[4] = (uint8_t)kind;
	out[5] = m->point;
	out[6] = m->type;
	out[7] = m->drop;
	out[8] = m->path;
	out[9] = (uint8_t)((m->out ? FLAG_OUT : 0) | (m->has_peer ? FLAG_PEER : 0));
	put(out + 10, m->attempt, 2);
	put(out + 12, m->attempts, 2);
	put(out + 16, m->number, 8);
	put(out + 24, m->at, 8);
	put(out + 32, m->counter, 8);
	put(out + 40, m->length, 4);
	put(out + 44, m->index, 4);
	put(out + 48, m->keypair, 4);
	put(out + 52, m->generation, 4);
	if (m->has_peer)
		memcpy(out + 56, m->peer.bytes, KEY_LEN);
	put_address(out + 88, &m->local);
	put_address(out + 112, &m->remote);
}

static bool sensible(const uint8_t *p, enum tap_record_kind kind, size_t captured)
{
	if (kind < TAP_RECORD_PACKET || kind > TAP_RECORD_KEYS || captured > TAP_SNAPLEN_MAX)
		return false;
	if (p[5] >= TAP_POINTS || p[6] >= TAP_TYPES || p[7] >= TAP_DROPS || p[8] >= PATH_KINDS)
		return false;
	return kind != TAP_RECORD_PACKET || captured <= get(p + 40, 4);
}

long tap_record_decode(const uint8_t *p, size_t len, enum tap_record_kind *kind, struct tap_meta *m,
		       const uint8_t **data, size_t *captured)
{
	size_t whole;

	if (len < 4)
		return 0;
	whole = get(p, 4);
	if (whole < TAP_RECORD_HEADER || whole > TAP_RECORD_HEADER + TAP_SNAPLEN_MAX)
		return -EBADMSG;
	if (len < TAP_RECORD_HEADER)
		return 0;
	*kind = p[4];
	*captured = whole - TAP_RECORD_HEADER;
	*m = (struct tap_meta){.point = p[5],
			       .type = p[6],
			       .drop = p[7],
			       .path = p[8],
			       .out = p[9] & FLAG_OUT,
			       .has_peer = p[9] & FLAG_PEER,
			       .attempt = (uint16_t)get(p + 10, 2),
			       .attempts = (uint16_t)get(p + 12, 2),
			       .number = get(p + 16, 8),
			       .at = get(p + 24, 8),
			       .counter = get(p + 32, 8),
			       .length = (uint32_t)get(p + 40, 4),
			       .index = (uint32_t)get(p + 44, 4),
			       .keypair = (uint32_t)get(p + 48, 4),
			       .generation = (uint32_t)get(p + 52, 4)};
	if (!sensible(p, *kind, *captured) || !get_address(&m->local, p + 88) ||
	    !get_address(&m->remote, p + 112))
		return -EBADMSG;
	if (m->has_peer)
		memcpy(m->peer.bytes, p + 56, KEY_LEN);
	if (len < whole)
		return 0;
	*data = p + TAP_RECORD_HEADER;
	return (long)whole;
}
