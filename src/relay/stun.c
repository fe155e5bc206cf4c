#include "relay/stun.h"

#include <string.h>

#define COOKIE 0x2112a442u

#define BINDING_REQUEST 0x0001
#define BINDING_SUCCESS 0x0101
#define BINDING_ERROR	0x0111

#define MAPPED_ADDRESS	   0x0001
#define CHANGE_REQUEST	   0x0003
#define ERROR_CODE	   0x0009
#define UNKNOWN_ATTRIBUTES 0x000a
#define XOR_MAPPED_ADDRESS 0x0020
#define RESPONSE_ORIGIN	   0x802b
#define OTHER_ADDRESS	   0x802c
#define OPTIONAL	   0x8000 /* attributes from here on may be ignored (RFC 8489 section 14) */

#define CHANGE_PORT    2 /* of CHANGE-REQUEST (RFC 5780 section 7.2) */
#define CHANGE_ADDRESS 4

#define UNKNOWN_MAX 4

/* Those that a client may send and that change nothing here: there are no accounts, and no ICE connectivity
 * checks. */
static const uint16_t ignored[] = {
	0x0006 /* USERNAME */, 0x0008 /* MESSAGE-INTEGRITY */,
	0x0014 /* REALM */,    0x0015 /* NONCE */,
	0x001c /* SHA256 */,   0x001e /* USERHASH */,
	0x0024 /* PRIORITY */, 0x0025 /* USE-CANDIDATE */,
};

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static bool is_ignored(uint16_t type)
{
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		if (ignored[i] == type)
			return true;
	return false;
}

static bool is_there(const union address *a)
{
	return a->sa.sa_family != AF_UNSPEC;
}

struct attributes {
	uint16_t unknown[UNKNOWN_MAX]; /* those that must be understood and are not */
	size_t unknown_count;
	bool asks_change; /* there is a CHANGE-REQUEST, be it one without flags */
	unsigned place;	  /* that it asks for */
};

/* What we cannot do counts as not understood, as RFC 5780 section 6.1 wants it. */
static bool read_change(const uint8_t *value, size_t len, const union address places[STUN_PLACES],
			struct attributes *a)
{
	uint32_t flags;

	if (len != 4)
		return false;
	flags = get32(value);
	a->asks_change = true;
	a->place = (flags & CHANGE_PORT ? STUN_OTHER_PORT : 0) |
		   (flags & CHANGE_ADDRESS ? STUN_OTHER_ADDRESS : 0);
	if (!is_there(&places[a->place ? a->place : STUN_OTHER_PORT]) && a->unknown_count < UNKNOWN_MAX)
		a->unknown[a->unknown_count++] = CHANGE_REQUEST;
	return true;
}

/* False: the attributes do not fit the message. */
static bool read_attributes(const uint8_t *at, size_t left, const union address places[STUN_PLACES],
			    struct attributes *a)
{
	*a = (struct attributes){0};
	while (left) {
		uint16_t type, len;
		size_t padded;

		if (left < 4)
			return false;
		type = get16(at);
		len = get16(at + 2);
		padded = 4 + ((size_t)len + 3) / 4 * 4;
		if (padded > left)
			return false;
		if (type == CHANGE_REQUEST) { /* the first one counts */
			if (!a->asks_change && !read_change(at + 4, len, places, a))
				return false;
		} else if (type < OPTIONAL && !is_ignored(type) && a->unknown_count < UNKNOWN_MAX) {
			a->unknown[a->unknown_count++] = type;
		}
		at += padded;
		left -= padded;
	}
	return true;
}

/* An address attribute (RFC 8489 section 14.1, 14.2); mask: the 16 bytes of cookie and transaction, or zeros.
 */
static size_t put_address(uint8_t *out, uint16_t type, const union address *a, const uint8_t mask[16])
{
	bool six = a->sa.sa_family == AF_INET6;
	size_t len = six ? 16 : 4;
	const void *bytes = six ? (const void *)&a->in6.sin6_addr : (const void *)&a->in.sin_addr;
	uint16_t port = ntohs(six ? a->in6.sin6_port : a->in.sin_port);

	put16(out, type);
	put16(out + 2, (uint16_t)(4 + len));
	out[4] = 0;
	out[5] = six ? 2 : 1;
	put16(out + 6, (uint16_t)(port ^ get16(mask)));
	memcpy(out + 8, bytes, len);
	for (size_t i = 0; i < len; i++)
		out[8 + i] ^= mask[i];
	return 8 + len;
}

static size_t put_unknown(uint8_t *out, const uint16_t *unknown, size_t count)
{
	static const char reason[] = "Unknown Attribute"; /* RFC 8489 section 14.8: 420 */
	size_t len = sizeof(reason) - 1, padded = (len + 3) / 4 * 4, at;

	put16(out, ERROR_CODE);
	put16(out + 2, (uint16_t)(4 + len));
	memset(out + 4, 0, 4 + padded);
	out[6] = 4;
	out[7] = 20;
	memcpy(out + 8, reason, len);
	at = 8 + padded;
	put16(out + at, UNKNOWN_ATTRIBUTES);
	put16(out + at + 2, (uint16_t)(2 * count));
	for (size_t i = 0; i < count; i++)
		put16(out + at + 4 + 2 * i, unknown[i]);
	if (count % 2) /* padding */
		put16(out + at + 4 + 2 * count, 0);
	return at + 4 + (2 * count + 3) / 4 * 4;
}

/*
 * OTHER-ADDRESS stands for another IP address (RFC 5780 section 7.4): clients that compare what two ports of
 * one address say would take any NAT that maps by address for an endpoint-independent one. So when there is
 * another port alone, only those are told who ask for it by a CHANGE-REQUEST; one without flags will do.
 */
static const union address *other_place(const struct attributes *a, const union address places[STUN_PLACES])
{
	const union address *both = &places[STUN_OTHER_PORT | STUN_OTHER_ADDRESS];

	if (is_there(both))
		return both;
	return a->asks_change && is_there(&places[STUN_OTHER_PORT]) ? &places[STUN_OTHER_PORT] : NULL;
}

/* As much as may be said to a request of this length, the most useful first: who sends short requests in the
 * name of another host must not gain by it. */
static size_t put_success(uint8_t *out, const uint8_t *request, size_t request_len, const union address *from,
			  const union address *other, const union address *origin)
{
	static const uint8_t zeros[16];
	size_t one = from->sa.sa_family == AF_INET6 ? 24 : 12, room = request_len * STUN_FACTOR;
	size_t at = STUN_HEADER;

	if (get32(request + 4) != COOKIE)
		return at + put_address(out + at, MAPPED_ADDRESS, from, zeros);
	at += put_address(out + at, XOR_MAPPED_ADDRESS, from, request + 4);
	if (other && at + one <= room)
		at += put_address(out + at, OTHER_ADDRESS, other, zeros);
	if (other && at + one <= room)
		at += put_address(out + at, RESPONSE_ORIGIN, origin, zeros);
	if (at + one <= room)
		at += put_address(out + at, MAPPED_ADDRESS, from, zeros);
	return at;
}

enum stun_verdict stun_answer(const uint8_t *request, size_t request_len, const union address *from,
			      const union address places[STUN_PLACES], struct stun_response *out)
{
	struct attributes a;
	size_t len;

	out->len = out->place = 0;
	if (request_len < STUN_HEADER || request[0] & 0xc0)
		return STUN_NOT_STUN;
	if (get16(request + 2) != request_len - STUN_HEADER || request_len % 4)
		return get32(request + 4) == COOKIE ? STUN_MALFORMED : STUN_NOT_STUN;
	if (get16(request) != BINDING_REQUEST)
		return STUN_NOT_REQUEST;
	if (!read_attributes(request + STUN_HEADER, request_len - STUN_HEADER, places, &a))
		return STUN_MALFORMED;
	memcpy(out->bytes + 4, request + 4, 16);
	if (a.unknown_count) {
		put16(out->bytes, BINDING_ERROR);
		len = STUN_HEADER + put_unknown(out->bytes + STUN_HEADER, a.unknown, a.unknown_count);
	} else {
		put16(out->bytes, BINDING_SUCCESS);
		len = put_success(out->bytes, request, request_len, from, other_place(&a, places),
				  &places[a.place]);
		out->place = a.place;
	}
	put16(out->bytes + 2, (uint16_t)(len - STUN_HEADER));
	out->len = len;
	return a.unknown_count ? STUN_UNKNOWN_ATTRIBUTES : STUN_ANSWERED;
}
