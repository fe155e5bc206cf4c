#include "net/stun.h"

#include <string.h>

#define HEADER	20
#define COOKIE	0x2112a442u
#define REQUEST 0x0001
#define SUCCESS 0x0101
#define FAILURE 0x0111

#define MAPPED_ADDRESS	   0x0001
#define CHANGE_REQUEST	   0x0003
#define CHANGED_ADDRESS	   0x0005 /* RFC 3489's word for the next but one */
#define XOR_MAPPED_ADDRESS 0x0020
#define RESPONSE_ORIGIN	   0x802b
#define OTHER_ADDRESS	   0x802c
#define FILLER		   0xfff0 /* optional, and assigned to nothing: servers skip it */

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, size_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static bool has_cookie(const uint8_t *d)
{
	return ((uint32_t)get16(d + 4) << 16 | get16(d + 6)) == COOKIE;
}

void stun_ask(uint8_t *out, size_t len, const uint8_t transaction[ASK_TRANSACTION], unsigned change)
{
	size_t at = HEADER;

	memset(out, 0, len);
	put16(out, REQUEST);
	put32(out + 4, COOKIE);
	memcpy(out + 8, transaction, ASK_TRANSACTION);
	if (change) {
		put16(out + at, CHANGE_REQUEST);
		put16(out + at + 2, 4);
		put32(out + at + 4, change & (ASK_CHANGE_PORT | ASK_CHANGE_ADDRESS));
		at += 8;
	}
	if (len >= at + 4) {
		put16(out + at, FILLER);
		put16(out + at + 2, len - at - 4);
		at = len;
	}
	put16(out + 2, at - HEADER);
}

/* xored: with the cookie and the transaction, which is at d + 4. */
static void read_address(union address *out, const uint8_t *value, size_t len, const uint8_t *d, bool xored)
{
	static const uint8_t zeros[16];
	const uint8_t *mask = xored ? d + 4 : zeros;
	uint8_t bytes[16];
	size_t n = len == 8 && value[1] == 1 ? 4 : len == 20 && value[1] == 2 ? 16 : 0;
	uint16_t port;

	if (!n)
		return;
	port = get16(value + 2) ^ get16(mask);
	for (size_t i = 0; i < n; i++)
		bytes[i] = value[4 + i] ^ mask[i];
	memset(out, 0, sizeof(*out));
	if (n == 4) {
		out->in.sin_family = AF_INET;
		out->in.sin_port = htons(port);
		memcpy(&out->in.sin_addr, bytes, 4);
	} else {
		out->in6.sin6_family = AF_INET6;
		out->in6.sin6_port = htons(port);
		memcpy(&out->in6.sin6_addr, bytes, 16);
	}
}

static bool is_stun(const uint8_t *d, size_t len)
{
	return len >= HEADER && !(d[0] & 0xc0) && has_cookie(d) && get16(d + 2) == len - HEADER &&
	       len % 4 == 0;
}

bool stun_read(const uint8_t *d, size_t len, struct stun_reply *out)
{
	union address plain = {0};

	if (!is_stun(d, len) || (get16(d) != SUCCESS && get16(d) != FAILURE))
		return false;
	*out = (struct stun_reply){.success = get16(d) == SUCCESS};
	memcpy(out->transaction, d + 8, ASK_TRANSACTION);
	for (size_t at = HEADER; at + 4 <= len;) {
		uint16_t type = get16(d + at);
		size_t n = get16(d + at + 2);

		at += 4;
		if (n > len - at)
			return false;
		if (type == XOR_MAPPED_ADDRESS)
			read_address(&out->mapped, d + at, n, d, true);
		else if (type == MAPPED_ADDRESS)
			read_address(&plain, d + at, n, d, false);
		else if (type == OTHER_ADDRESS || type == CHANGED_ADDRESS)
			read_address(&out->other, d + at, n, d, false);
		else if (type == RESPONSE_ORIGIN)
			read_address(&out->origin, d + at, n, d, false);
		at += (n + 3) / 4 * 4;
	}
	/* Some boxes rewrite addresses that they find in packets: the masked one counts. */
	if (out->mapped.sa.sa_family == AF_UNSPEC)
		out->mapped = plain;
	return true;
}

bool stun_has_other_address(const struct stun_reply *r, const union address *asked)
{
	const union address *here = r->origin.sa.sa_family == asked->sa.sa_family ? &r->origin : asked;

	return r->other.sa.sa_family == asked->sa.sa_family && !address_same_host(&r->other, here);
}

const uint8_t *stun_request_transaction(const uint8_t *d, size_t len)
{
	return is_stun(d, len) && get16(d) == REQUEST ? d + 8 : NULL;
}
