/* What becomes of a record's bytes in a capture file. */
#ifndef WEIR_TAP_PCAPNG_INTERNAL_H
#define WEIR_TAP_PCAPNG_INTERNAL_H

#include "tap/filter.h"
#include "tap/pcapng.h"

#define CAPTURE_HEAD_MAX 96

struct capture_body {
	uint8_t head[CAPTURE_HEAD_MAX]; /* headers, or tags that name a dissector */
	size_t head_len;
	const uint8_t *data;
	size_t len, whole;  /* of data: in the file, and of the packet */
	struct strbuf made; /* where data is not the record's */
};

/* Relay messages and signal bodies, for Wireshark's "exported PDU". */
void capture_upper(struct capture_body *b, const struct tap_meta *m);

#endif
