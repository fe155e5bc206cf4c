#include "net/segment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <string.h>

#include "net/checksum.h"

#define IP4_HEADER_MIN 20
#define IP6_HEADER_LEN 40
#define UDP_HEADER_LEN 8
#define TCP_HEADER_MIN 20
#define TCP_CSUM_AT    16
#define TCP_SEQ_AT     4
#define TCP_FLAGS_AT   13
#define UDP_LEN_AT     4
#define UDP_CSUM_AT    6
#define PACKET_MAX     65535
#define EXTENSIONS_MAX 8

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

/* A checksum of 0 means "none" in UDP (RFC 768); 0xffff is the same number for everyone else. */
static void put_checksum(uint8_t *p, uint64_t sum)
{
	uint16_t csum = checksum_finish(sum);

	if (!csum)
		csum = 0xffff;
	memcpy(p, &csum, sizeof(csum));
}

/* Offset of the transport header if that is `protocol` in an unfragmented packet, else 0. */
static size_t find_transport4(const uint8_t *p, size_t len, uint8_t protocol)
{
	size_t ihl;

	if (len < IP4_HEADER_MIN || p[0] >> 4 != 4)
		return 0;
	ihl = (size_t)(p[0] & 15) * 4;
	if (ihl < IP4_HEADER_MIN || ihl > len || p[9] != protocol || (get16(p + 6) & (IP_MF | IP_OFFMASK)))
		return 0;
	return ihl;
}

/* Linux makes super-packets behind hop-by-hop, routing and destination options (RFC 8200 section 4.1), not
 * others. */
static size_t find_transport6(const uint8_t *p, size_t len, uint8_t protocol)
{
	size_t at = IP6_HEADER_LEN;
	uint8_t next;

	if (len < IP6_HEADER_LEN || p[0] >> 4 != 6)
		return 0;
	next = p[6];
	for (int i = 0; i <= EXTENSIONS_MAX; i++) {
		if (next == protocol)
			return at;
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			return 0;
		if (len - at < 8)
			return 0;
		next = p[at];
		at += ((size_t)p[at + 1] + 1) * 8;
		if (at > len)
			return 0;
	}
	return 0;
}

/* ip_len and header_len (through the transport header) of a super-packet. */
static int find_headers(struct segmenter *s)
{
	const uint8_t *p = s->packet;
	size_t transport = UDP_HEADER_LEN;

	switch (s->gso_type) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		s->ip_len = find_transport4(p, s->len, IPPROTO_TCP);
		break;
	case VIRTIO_NET_HDR_GSO_TCPV6:
		s->ip_len = find_transport6(p, s->len, IPPROTO_TCP);
		break;
	case VIRTIO_NET_HDR_GSO_UDP_L4:
		s->ip_len = p[0] >> 4 == 6 ? find_transport6(p, s->len, IPPROTO_UDP)
					   : find_transport4(p, s->len, IPPROTO_UDP);
		break;
	default:
		return -EINVAL;
	}
	if (!s->ip_len)
		return -EINVAL;
	if (s->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4) {
		if (s->len - s->ip_len < TCP_HEADER_MIN)
			return -EINVAL;
		transport = (size_t)(p[s->ip_len + 12] >> 4) * 4;
		if (transport < TCP_HEADER_MIN)
			return -EINVAL;
	}
	if (s->len - s->ip_len < transport)
		return -EINVAL;
	s->header_len = s->ip_len + transport;
	return 0;
}

/* The payload into pieces of `size` bytes, the last of what is left. */
static void cut(struct segmenter *s, size_t size)
{
	size_t payload = s->len - s->header_len;

	s->payload = size;
	s->count = (unsigned)((payload + size - 1) / size);
	s->full_len = s->header_len + (s->count > 1 ? size : payload);
	s->last_len = s->header_len + payload - (size_t)(s->count - 1) * size;
	s->offset = s->header_len;
}

int segmenter_limit(struct segmenter *s, size_t limit)
{
	bool tcp = s->gso_type == VIRTIO_NET_HDR_GSO_TCPV4 || s->gso_type == VIRTIO_NET_HDR_GSO_TCPV6;

	if (s->full_len <= limit)
		return 0;
	if (!tcp || limit <= s->header_len)
		return -EMSGSIZE;
	cut(s, limit - s->header_len);
	return 0;
}

static int init_super(struct segmenter *s, unsigned gso_size)
{
	unsigned at;
	int r;

	if (!gso_size || s->len > PACKET_MAX)
		return -EINVAL;
	r = find_headers(s);
	if (r)
		return r;
	at = s->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 ? UDP_CSUM_AT : TCP_CSUM_AT;
	/* Where the kernel left the checksum is known from the packet itself; a header that differs is a lie.
	 */
	if (s->needs_csum && (s->csum_start != s->ip_len || s->csum_offset != at))
		return -EINVAL;
	s->csum_offset = (uint16_t)at;
	if (s->len == s->header_len)
		return -EINVAL;
	cut(s, gso_size);
	return 0;
}

int segmenter_init(struct segmenter *s, const struct virtio_net_hdr *h, const uint8_t *packet, size_t len)
{
	*s = (struct segmenter){
		.packet = packet,
		.len = len,
		.gso_type = h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN,
		.needs_csum = h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.csum_start = h->csum_start,
		.csum_offset = h->csum_offset,
	};
	if (len < IP4_HEADER_MIN)
		return -EINVAL;
	if (s->needs_csum && (size_t)h->csum_start + h->csum_offset + sizeof(uint16_t) > len)
		return -EINVAL;
	if (s->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return init_super(s, h->gso_size);
	s->count = 1;
	s->full_len = s->last_len = len;
	return 0;
}

static size_t next_plain(struct segmenter *s, uint8_t *to)
{
	uint64_t sum;

	if (!s->needs_csum) {
		memcpy(to, s->packet, s->len);
		return s->len;
	}
	/* The field holds the sum of the pseudo-header; it is summed with the rest. */
	memcpy(to, s->packet, s->csum_start);
	sum = checksum_copy(0, to + s->csum_start, s->packet + s->csum_start, s->len - s->csum_start);
	put_checksum(to + s->csum_start + s->csum_offset, sum);
	return s->len;
}

static void finish_ip(const struct segmenter *s, uint8_t *to, size_t len)
{
	uint16_t csum;

	if (to[0] >> 4 == 6) {
		put16(to + 4, (unsigned)(len - IP6_HEADER_LEN));
		return;
	}
	put16(to + 2, (unsigned)len);
	put16(to + 4, get16(s->packet + 4) + s->index);
	put16(to + 10, 0);
	csum = checksum_finish(checksum_add(0, to, s->ip_len));
	memcpy(to + 10, &csum, sizeof(csum));
}

/*
 * Sum of the pseudo-header for a transport part of `len` bytes. With NEEDS_CSUM it is taken from the packet,
 * where it stands for the whole: behind an IPv6 routing header the addresses in the packet are not those
 * summed.
 */
static uint64_t pseudo_sum(const struct segmenter *s, size_t len)
{
	uint16_t whole;

	if (!s->needs_csum)
		return checksum_pseudo(
			s->packet, s->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4 ? IPPROTO_UDP : IPPROTO_TCP, len);
	memcpy(&whole, s->packet + s->csum_start + s->csum_offset, sizeof(whole));
	return (uint64_t)whole + (uint16_t)~htons((uint16_t)(s->len - s->ip_len)) + htons((uint16_t)len);
}

static void finish_tcp(const struct segmenter *s, uint8_t *tcp)
{
	put32(tcp + TCP_SEQ_AT, get32(tcp + TCP_SEQ_AT) + s->index * (uint32_t)s->payload);
	/* FIN and PSH belong to the last byte; CWR answers an echo once (RFC 3168 section 6.1.2). */
	if (s->index + 1 < s->count)
		tcp[TCP_FLAGS_AT] &= (uint8_t) ~(TH_FIN | TH_PUSH);
	if (s->index)
		tcp[TCP_FLAGS_AT] &= (uint8_t)~0x80;
}

static size_t next_segment(struct segmenter *s, uint8_t *to)
{
	size_t len = s->index + 1 < s->count ? s->full_len : s->last_len;
	size_t transport_len = len - s->ip_len, payload = len - s->header_len;
	uint8_t *transport = to + s->ip_len;
	uint64_t sum = pseudo_sum(s, transport_len);

	memcpy(to, s->packet, s->header_len);
	finish_ip(s, to, len);
	if (s->gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		put16(transport + UDP_LEN_AT, (unsigned)transport_len);
	else
		finish_tcp(s, transport);
	put16(transport + s->csum_offset, 0);
	sum = checksum_add(sum, transport, s->header_len - s->ip_len);
	/* The transport header has an even length, so the payload keeps its place in the sum. */
	sum = checksum_copy(sum, to + s->header_len, s->packet + s->offset, payload);
	put_checksum(transport + s->csum_offset, sum);
	s->offset += payload;
	return len;
}

size_t segmenter_next(struct segmenter *s, uint8_t *to)
{
	size_t len;

	if (s->index >= s->count)
		return 0;
	len = s->gso_type == VIRTIO_NET_HDR_GSO_NONE ? next_plain(s, to) : next_segment(s, to);
	s->index++;
	return len;
}
