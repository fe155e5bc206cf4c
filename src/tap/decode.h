/*
 * A packet in words: one line for a list, and a tree of fields with the bytes that each stands for. Reads
 * only through checked cursors; whatever the bytes are, what comes out is short, printable text. Pure.
 */
#ifndef WEIR_TAP_DECODE_H
#define WEIR_TAP_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tap/packet.h"

#define DECODE_LINES 96

struct decode_line {
	uint8_t depth;	 /* 0: a protocol layer */
	bool bad;	 /* wrong, truncated, or the reason of a drop */
	uint16_t offset; /* of the bytes it stands for in the record */
	uint16_t length; /* 0: of none (headers that the record does not hold, what the engine knows) */
	char label[24];
	char value[128]; /* ASCII */
};

struct decode {
	char protocol[12]; /* "WG init", "TCP", "STUN req", "frame" */
	char info[200];
	unsigned count;
	struct decode_line lines[DECODE_LINES];
};

/* Protocol and info alone. */
void decode_brief(struct decode *out, const struct tap_meta *m, const uint8_t *data, size_t len);
void decode_full(struct decode *out, const struct tap_meta *m, const uint8_t *data, size_t len);

/* The same for both directions of a flow (TCP or UDP ports, ICMP id; a peer's handshake; a STUN transaction).
 * 0: none. */
uint64_t decode_flow(const struct tap_meta *m, const uint8_t *data, size_t len);

/* What request and answer have in common, and which of the two it is: STUN transactions, handshakes, DNS,
 * ICMP echo. 0: none. */
uint64_t decode_exchange(const struct tap_meta *m, const uint8_t *data, size_t len, bool *answer);

#endif
