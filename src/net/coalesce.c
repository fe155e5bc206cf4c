/*
 * Packets wait in the order of arrival, as groups; a group is a packet and those that were joined to it. The
 * newest group of a flow is open while more may join. Groups are written in the order of their first packets,
 * and a packet that cannot join closes the open group of its flow: so no flow is ever reordered.
 */
#include "net/coalesce.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/checksum.h"

#define PACKETS_MAX   1024 /* held between flushes; beyond that they are written out early */
#define OPEN_MAX      16   /* flows that are joined at a time */
#define GROUP_PACKETS 64
#define GROUP_BYTES   65535 /* what the length fields of IPv4 and UDP can say */

#define IP4_HEADER_LEN 20
#define IP6_HEADER_LEN 40
#define UDP_HEADER_LEN 8
#define TCP_CSUM_AT    16
#define UDP_CSUM_AT    6
#define TCP_FLAGS_AT   13
#define NO_GROUP       UINT16_MAX
#define NO_PACKET      UINT16_MAX

#ifndef VIRTIO_NET_HDR_GSO_UDP_L4
#define VIRTIO_NET_HDR_GSO_UDP_L4 5
#endif

/* What a packet is, as far as joining goes. */
struct shape {
	uint8_t protocol; /* IPPROTO_TCP, IPPROTO_UDP; 0: belongs to no flow that is joined */
	bool starts;	  /* may be the first of a group */
	bool follows;	  /* may be appended to one */
	bool ends;	  /* nothing may follow it */
	uint8_t ip_len, header_len;
	uint16_t payload;
	uint32_t hash; /* of addresses and ports */
	uint32_t seq;
};

struct held {
	uint8_t *data;
	uint16_t len, next;
	uint8_t header_len;
};

struct group {
	uint16_t first, last, count;
	uint16_t gso_size;
	uint32_t bytes, next_seq;
	uint8_t protocol, ip_len, header_len;
	bool verified; /* the checksums of its first packet were looked at, and are right */
};

struct coalescer {
	const struct tun *tun;
	unsigned queue;
	unsigned packet_count, group_count;
	unsigned failed; /* since the last flush */
	int error;
	unsigned victim; /* next open flow to be closed when all are in use */
	uint32_t open_hash[OPEN_MAX];
	uint16_t open_group[OPEN_MAX];
	struct held packets[PACKETS_MAX];
	struct group groups[PACKETS_MAX];
};

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

static void close_all(struct coalescer *c)
{
	for (unsigned i = 0; i < OPEN_MAX; i++)
		c->open_group[i] = NO_GROUP;
}

struct coalescer *coalescer_new(const struct tun *t, unsigned queue)
{
	struct coalescer *c = xcalloc(1, sizeof(*c));

	c->tun = t;
	c->queue = queue;
	close_all(c);
	return c;
}

void coalescer_free(struct coalescer *c)
{
	free(c);
}

/* Collisions only cost a comparison, so the hash is plain: whoever provokes them gains nothing. */
static uint32_t flow_hash(const uint8_t *addresses, size_t len, const uint8_t *ports)
{
	uint64_t h = get32(ports);

	for (size_t i = 0; i < len; i += 4)
		h = (h ^ get32(addresses + i)) * 0x9e3779b97f4a7c15ull;
	return (uint32_t)(h >> 32);
}

/* The IP header; false if the packet is not plain TCP or UDP of exactly this length. */
static bool shape_ip(struct shape *s, const uint8_t *p, size_t len)
{
	if (len >= IP4_HEADER_LEN && p[0] == 0x45) {
		s->ip_len = IP4_HEADER_LEN;
		s->protocol = p[9];
		if (get16(p + 2) != len || (get16(p + 6) & (IP_MF | IP_OFFMASK)))
			return false;
	} else if (len >= IP6_HEADER_LEN && p[0] >> 4 == 6) {
		s->ip_len = IP6_HEADER_LEN;
		s->protocol = p[6];
		if ((size_t)get16(p + 4) + IP6_HEADER_LEN != len)
			return false;
	} else {
		return false;
	}
	return s->protocol == IPPROTO_TCP || s->protocol == IPPROTO_UDP;
}

static void shape_tcp(struct shape *s, const uint8_t *p, size_t len)
{
	const uint8_t *tcp = p + s->ip_len;
	/* ECN-Echo may be there if all carry it; CWR would be lost or multiplied. */
	uint8_t flags = tcp[TCP_FLAGS_AT] & (uint8_t)~0x40;
	size_t header = (size_t)(tcp[12] >> 4) * 4;

	if (header < 20 || s->ip_len + header >= len)
		return;
	if ((flags & (uint8_t)~TH_PUSH) != TH_ACK)
		return;
	s->header_len = (uint8_t)(s->ip_len + header);
	s->payload = (uint16_t)(len - s->header_len);
	s->seq = get32(tcp + 4);
	s->ends = flags & TH_PUSH;
	s->starts = !s->ends;
	s->follows = true;
}

static void shape_udp(struct shape *s, const uint8_t *p, size_t len)
{
	const uint8_t *udp = p + s->ip_len;

	s->header_len = s->ip_len + UDP_HEADER_LEN;
	if (get16(udp + 4) != len - s->ip_len || len <= s->header_len)
		return;
	if (!get16(udp + UDP_CSUM_AT)) /* none: the kernel would make one up */
		return;
	s->payload = (uint16_t)(len - s->header_len);
	s->starts = s->follows = true;
}

static void shape_packet(struct shape *s, const uint8_t *p, size_t len)
{
	size_t addresses, addresses_len;

	memset(s, 0, sizeof(*s));
	if (len > GROUP_BYTES || !shape_ip(s, p, len) ||
	    len < s->ip_len + (s->protocol == IPPROTO_TCP ? 20u : UDP_HEADER_LEN)) {
		s->protocol = 0;
		return;
	}
	addresses = s->ip_len == IP6_HEADER_LEN ? 8 : 12;
	addresses_len = s->ip_len - addresses;
	s->hash = flow_hash(p + addresses, addresses_len, p + s->ip_len) ^ s->protocol;
	if (s->protocol == IPPROTO_TCP)
		shape_tcp(s, p, len);
	else
		shape_udp(s, p, len);
}

/* Addresses and ports; the protocol was compared before. */
static bool same_flow(const struct group *g, const uint8_t *first, const struct shape *s, const uint8_t *p)
{
	size_t at = s->ip_len == IP6_HEADER_LEN ? 8 : 12;

	return g->protocol == s->protocol && g->ip_len == s->ip_len && first[0] >> 4 == p[0] >> 4 &&
	       !memcmp(first + at, p + at, s->ip_len - at + 4);
}

/* All that a super-packet can say only once must be equal: traffic class with ECN, hop limit, flow label, DF.
 */
static bool same_ip(const struct group *g, const uint8_t *first, const uint8_t *p)
{
	if (g->ip_len == IP6_HEADER_LEN)
		return !memcmp(first, p, 4) && first[7] == p[7];
	if (first[1] != p[1] || first[8] != p[8] || memcmp(first + 6, p + 6, 2))
		return false;
	/* Without DF the identification matters to fragments (RFC 6864), and the kernel will count up from
	 * the first. */
	return (first[6] & 0x40) || get16(p + 4) == (uint16_t)(get16(first + 4) + g->count);
}

static bool same_tcp(const struct group *g, const uint8_t *first, const struct shape *s, const uint8_t *p)
{
	const uint8_t *a = first + g->ip_len, *b = p + g->ip_len;

	return s->seq == g->next_seq && s->header_len == g->header_len && !memcmp(a + 8, b + 8, 5) &&
	       !((a[TCP_FLAGS_AT] ^ b[TCP_FLAGS_AT]) & (uint8_t)~TH_PUSH) && !memcmp(a + 14, b + 14, 2) &&
	       !memcmp(a + 18, b + 18, s->header_len - g->ip_len - 18u);
}

/* The kernel does not look at the checksums of what is joined, so we do. */
static bool checksums_right(const uint8_t *p, size_t len, size_t ip_len, uint8_t protocol)
{
	uint64_t sum;

	if (ip_len == IP4_HEADER_LEN && checksum_finish(checksum_add(0, p, ip_len)))
		return false;
	sum = checksum_pseudo(p, protocol, len - ip_len);
	return !checksum_finish(checksum_add(sum, p + ip_len, len - ip_len));
}

static bool can_join(struct coalescer *c, struct group *g, const struct shape *s, const uint8_t *p,
		     size_t len)
{
	const struct held *first = &c->packets[g->first];

	if (!s->follows || s->payload > g->gso_size || g->count == GROUP_PACKETS ||
	    g->bytes + s->payload > GROUP_BYTES || !same_ip(g, first->data, p))
		return false;
	if (g->protocol == IPPROTO_TCP && !same_tcp(g, first->data, s, p))
		return false;
	if (!g->verified && !checksums_right(first->data, first->len, g->ip_len, g->protocol))
		return false;
	g->verified = true;
	return checksums_right(p, len, g->ip_len, g->protocol);
}

static uint16_t hold(struct coalescer *c, uint8_t *packet, size_t len, uint8_t header_len)
{
	uint16_t index = (uint16_t)c->packet_count++;

	c->packets[index] = (struct held){
		.data = packet, .len = (uint16_t)len, .next = NO_PACKET, .header_len = header_len};
	return index;
}

static struct group *new_group(struct coalescer *c, const struct shape *s, uint8_t *packet, size_t len)
{
	struct group *g = &c->groups[c->group_count++];
	uint16_t index = hold(c, packet, len, s->header_len);

	*g = (struct group){
		.first = index,
		.last = index,
		.count = 1,
		.gso_size = s->payload,
		.bytes = (uint32_t)len,
		.next_seq = s->seq + s->payload,
		.protocol = s->protocol,
		.ip_len = s->ip_len,
		.header_len = s->header_len,
	};
	return g;
}

static void append(struct coalescer *c, struct group *g, const struct shape *s, uint8_t *packet, size_t len)
{
	uint16_t index = hold(c, packet, len, s->header_len);

	c->packets[g->last].next = index;
	g->last = index;
	g->count++;
	g->bytes += s->payload;
	g->next_seq += s->payload;
	if (s->ends)
		c->packets[g->first].data[g->ip_len + TCP_FLAGS_AT] |= TH_PUSH;
}

/* The slot of this flow's open group; if there is none, a free slot or that of a flow which is closed for it.
 */
static unsigned find_open(struct coalescer *c, const struct shape *s, const uint8_t *p, bool *found)
{
	unsigned free_slot = OPEN_MAX;

	*found = false;
	for (unsigned i = 0; i < OPEN_MAX; i++) {
		const struct group *g;

		if (c->open_group[i] == NO_GROUP) {
			free_slot = i;
			continue;
		}
		g = &c->groups[c->open_group[i]];
		if (c->open_hash[i] == s->hash && same_flow(g, c->packets[g->first].data, s, p)) {
			*found = true;
			return i;
		}
	}
	if (free_slot == OPEN_MAX)
		free_slot = c->victim++ % OPEN_MAX;
	return free_slot;
}

static bool joins(const struct coalescer *c, const struct shape *s)
{
	if (!c->tun->vnet_hdr)
		return false;
	return s->protocol == IPPROTO_TCP ? c->tun->tso : c->tun->uso;
}

static void write_held(struct coalescer *c);

void coalescer_add(struct coalescer *c, uint8_t *packet, size_t len)
{
	struct shape s;
	struct group *g;
	unsigned slot;
	bool found;

	if (!len || len > UINT16_MAX)
		return;
	if (c->packet_count == PACKETS_MAX)
		write_held(c);
	shape_packet(&s, packet, len);
	if (!s.protocol) {
		/* A fragment, say: it may belong to any flow, and must not be overtaken. */
		close_all(c);
		new_group(c, &s, packet, len);
		return;
	}
	if (!joins(c, &s)) {
		new_group(c, &s, packet, len);
		return;
	}
	slot = find_open(c, &s, packet, &found);
	if (found) {
		g = &c->groups[c->open_group[slot]];
		if (can_join(c, g, &s, packet, len)) {
			append(c, g, &s, packet, len);
			if (s.ends || s.payload < g->gso_size)
				c->open_group[slot] = NO_GROUP;
			return;
		}
		c->open_group[slot] = NO_GROUP;
	}
	new_group(c, &s, packet, len);
	if (s.starts) {
		c->open_group[slot] = (uint16_t)(c->group_count - 1);
		c->open_hash[slot] = s.hash;
	}
}

static void count_failure(struct coalescer *c, unsigned packets, int r)
{
	c->failed += packets;
	c->error = -r;
}

static void write_single(struct coalescer *c, uint8_t *packet, size_t len)
{
	static const struct virtio_net_hdr none;
	struct iovec iov[2] = {[1] = {.iov_base = packet, .iov_len = len}};
	int r = tun_write(c->tun, c->queue, &none, iov, 2);

	if (r < 0)
		count_failure(c, 1, r);
}

/* Turns the headers of the first packet into those of the whole, with the checksum left to the kernel. */
static struct virtio_net_hdr make_super(const struct group *g, uint8_t *p)
{
	bool tcp = g->protocol == IPPROTO_TCP;
	unsigned csum_at = tcp ? TCP_CSUM_AT : UDP_CSUM_AT;
	uint8_t *transport = p + g->ip_len;
	uint16_t sum;
	struct virtio_net_hdr h = {
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.hdr_len = g->header_len,
		.gso_size = g->gso_size,
		.csum_start = g->ip_len,
		.csum_offset = (uint16_t)csum_at,
	};

	if (!tcp)
		h.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4;
	else
		h.gso_type =
			g->ip_len == IP6_HEADER_LEN ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
	if (g->ip_len == IP6_HEADER_LEN) {
		put16(p + 4, g->bytes - IP6_HEADER_LEN);
	} else {
		put16(p + 2, g->bytes);
		put16(p + 10, 0);
		sum = checksum_finish(checksum_add(0, p, g->ip_len));
		memcpy(p + 10, &sum, sizeof(sum));
	}
	if (!tcp)
		put16(transport + 4, g->bytes - g->ip_len);
	sum = (uint16_t)~checksum_finish(checksum_pseudo(p, g->protocol, g->bytes - g->ip_len));
	memcpy(transport + csum_at, &sum, sizeof(sum));
	return h;
}

static void write_group(struct coalescer *c, const struct group *g)
{
	struct iovec iov[1 + GROUP_PACKETS];
	struct held *first = &c->packets[g->first];
	struct virtio_net_hdr h;
	unsigned n = 1;
	int r;

	if (g->count == 1) {
		write_single(c, first->data, first->len);
		return;
	}
	h = make_super(g, first->data);
	for (uint16_t i = g->first; i != NO_PACKET; i = c->packets[i].next) {
		const struct held *k = &c->packets[i];
		size_t skip = i == g->first ? 0 : k->header_len;

		iov[n].iov_base = k->data + skip;
		iov[n++].iov_len = k->len - skip;
	}
	r = tun_write(c->tun, c->queue, &h, iov, n);
	if (r < 0)
		count_failure(c, g->count, r);
}

/* Writes all that is held. A packet that fails does not hold up the others. */
static void write_held(struct coalescer *c)
{
	for (unsigned i = 0; i < c->group_count; i++)
		write_group(c, &c->groups[i]);
	c->packet_count = c->group_count = 0;
	close_all(c);
}

unsigned coalescer_flush(struct coalescer *c, int *error_out)
{
	unsigned failed;

	write_held(c);
	failed = c->failed;
	if (error_out && failed)
		*error_out = c->error;
	c->failed = 0;
	return failed;
}
