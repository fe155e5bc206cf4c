/*
 * Capture files: pcapng (one interface for each point, directions, comments, lost packets, key log), and
 * plain pcap. The writer makes bytes; where they go is the caller's business.
 */
#ifndef WEIR_TAP_PCAPNG_H
#define WEIR_TAP_PCAPNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "tap/packet.h"

enum capture_format { CAPTURE_PCAPNG, CAPTURE_PCAP };

struct capture_head {
	enum capture_format format;
	const char *ifname, *hostname, *filter, *version; /* filter "": none */
	uint32_t snaplen;
	uint8_t points; /* bits of enum tap_point */
};

/* The start of a file. A pcap file has one link type: it holds wire and inner packets alone. */
void capture_begin(struct strbuf *out, const struct capture_head *h);

/* One packet; comment NULL or "": none. label: the peer's name. False: this format cannot hold it. */
bool capture_packet(struct strbuf *out, const struct capture_head *h, const struct tap_meta *m,
		    const void *data, size_t captured, const char *label, uint64_t lost_before);

/* A Decryption Secrets Block with lines of a WireGuard key log; must come before the packets that it opens.
 */
void capture_keys(struct strbuf *out, const char *lines, size_t len);

/* Counts at the end of a file. */
void capture_end(struct strbuf *out, const struct capture_head *h, const uint64_t packets[TAP_POINTS],
		 uint64_t lost, uint64_t at);

#endif
