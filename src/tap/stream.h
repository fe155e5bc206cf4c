/*
 * Records as bytes, for a connection or a ring: a header of TAP_RECORD_HEADER bytes, all numbers little-endian, then the
 * packet. weir-control(7) describes it for other programs.
 */
#ifndef WEIR_TAP_STREAM_H
#define WEIR_TAP_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "tap/packet.h"

#define TAP_RECORD_HEADER 144
#define TAP_SNAPLEN_MAX	  65535

enum tap_record_kind {
	TAP_RECORD_PACKET = 1,
	TAP_RECORD_LOST = 2, /* counter: packets that matched and were lost to a full ring or a slow reader, since the start */
	TAP_RECORD_KEYS = 3, /* data: lines for a WireGuard key log; only for a session that asked for keys */
};

/* Writes the header of a record with `captured` bytes of data. */
void tap_record_encode(uint8_t out[TAP_RECORD_HEADER], enum tap_record_kind kind, const struct tap_meta *m,
		       size_t captured);

/* Reads one from `len` bytes: its whole length, 0 when more bytes are needed, -EBADMSG. data points into buf. */
long tap_record_decode(const uint8_t *buf, size_t len, enum tap_record_kind *kind, struct tap_meta *m,
		       const uint8_t **data, size_t *captured);

#endif
