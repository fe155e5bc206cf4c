/* A decoder's input as fuzz targets and the golden test read it: whether it was sent, why it was dropped, how
 * many bytes at its end were not recorded; then the packet. Its folder says what it is. */
#ifndef WEIR_TESTS_FUZZ_DECODE_H
#define WEIR_TESTS_FUZZ_DECODE_H

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "tap/decode.h"

struct decode_input {
	struct tap_meta meta;
	uint8_t *packet; /* the input's, of its own: one byte too far is seen */
	size_t len;	 /* that was recorded */
};

enum decode_family { FAMILY_IP, FAMILY_DNS, FAMILY_WIREGUARD, FAMILY_STUN, FAMILY_RELAY, FAMILY_SIGNAL };

/* DNS comes in UDP in IP. */
static inline size_t decode_input_dns(uint8_t head[28], size_t len)
{
	static const uint8_t start[28] = {0x45, 0, 0, 0, 0,  0, 0x40, 0, 64, 17,   0x2b, 0xd5,
					  10,	9, 0, 2, 10, 9, 0,    1, 0,  0x35, 0x88, 0x5e};

	memcpy(head, start, sizeof(start));
	head[2] = (uint8_t)((len + 28) >> 8);
	head[3] = (uint8_t)(len + 28);
	head[24] = (uint8_t)((len + 8) >> 8);
	head[25] = (uint8_t)(len + 8);
	return sizeof(start);
}

static inline int decode_input_read(struct decode_input *in, enum decode_family family, const uint8_t *data,
				    size_t size)
{
	static const uint8_t points[] = {TAP_INNER, TAP_INNER, TAP_WIRE, TAP_WIRE, TAP_RELAY, TAP_SIGNAL};
	uint8_t head[28];
	size_t before = 0, whole;

	if (size < 3 || size > 20000)
		return 0;
	if (family == FAMILY_DNS)
		before = decode_input_dns(head, size - 3);
	whole = before + size - 3;
	*in = (struct decode_input){.len = data[2] < whole ? whole - data[2] : 0};
	in->meta = (struct tap_meta){.number = 7, .point = points[family], .length = (uint32_t)whole};
	in->meta.out = data[0] & 1;
	in->meta.drop = data[1] % TAP_DROPS;
	in->meta.attempt = 7;
	in->meta.attempts = family == FAMILY_WIREGUARD && in->meta.out ? 18 : 0;
	in->meta.has_peer = in->meta.out;
	in->meta.peer.bytes[0] = 9;
	in->meta.remote.in.sin_family = in->meta.local.in.sin_family = AF_INET;
	in->meta.remote.in.sin_port = htons(41641);
	in->meta.remote.in.sin_addr.s_addr = htonl(0xc6336417);
	in->meta.local.in.sin_port = htons(40531);
	in->meta.local.in.sin_addr.s_addr = htonl(0xc000020e);
	in->packet = malloc(in->len + !in->len);
	if (!in->packet)
		abort();
	if (in->len > before)
		memcpy(in->packet + before, data + 3, in->len - before);
	memcpy(in->packet, head, in->len < before ? in->len : before);
	return 1;
}

#endif
