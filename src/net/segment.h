/*
 * Splits a super-packet from the TUN (TSO or USO, struct virtio_net_hdr) into packets that fit the wire, each
 * with its own headers and finished checksums. Pure.
 */
#ifndef WEIR_NET_SEGMENT_H
#define WEIR_NET_SEGMENT_H

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segmenter {
	const uint8_t *packet;
	size_t len;
	unsigned count;	 /* packets that will come out */
	size_t full_len; /* length of all but the last */
	size_t last_len;
	/* below: private */
	size_t offset, header_len, ip_len, payload;
	unsigned index;
	uint8_t gso_type;
	bool needs_csum;
	uint16_t csum_start, csum_offset;
};

/* -EINVAL for a header that does not fit its packet. The packet must stay until the last segmenter_next. */
int segmenter_init(struct segmenter *s, const struct virtio_net_hdr *h, const uint8_t *packet, size_t len);

/*
 * Cuts a TCP super-packet into packets of at most `limit` bytes; before the first segmenter_next. -EMSGSIZE:
 * it is none, or even its headers do not fit; datagrams cannot be cut.
 */
int segmenter_limit(struct segmenter *s, size_t limit);

/* Writes the next packet to `to`, which has room for full_len bytes. Its length, 0 at the end. */
size_t segmenter_next(struct segmenter *s, uint8_t *to);

#endif
