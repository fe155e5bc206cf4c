/* Super-packets cut apart: every piece must be a right packet, and the pieces together the whole. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/segment.h"
#include "net_help.h"
#include "test.h"

#define GSO_UDP_L4 5
#define FIN	   0x01
#define PSH	   0x08
#define ACK	   0x10
#define CWR	   0x80

static uint8_t payload[65536];

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static size_t header_len(const struct packet_spec *s)
{
	return (s->version == 4 ? 20 + s->ip_options : 40 + s->extensions) +
	       (s->protocol == IPPROTO_TCP ? 20 + s->tcp_options : 8);
}

/* A super-packet as the kernel hands it over: the checksum field holds the pseudo-header's sum. */
static size_t build_super(uint8_t *out, struct virtio_net_hdr *h, const struct packet_spec *s,
			  size_t gso_size)
{
	size_t len = packet_build(out, s), ip_len = s->version == 4 ? 20 + s->ip_options : 40 + s->extensions;
	bool tcp = s->protocol == IPPROTO_TCP;
	uint16_t sum = (uint16_t)~naive_checksum(NULL, 0, naive_pseudo(out, s->protocol, len - ip_len));

	*h = (struct virtio_net_hdr){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = !tcp	      ? GSO_UDP_L4
			    : s->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
					      : VIRTIO_NET_HDR_GSO_TCPV6,
		.hdr_len = (uint16_t)random_next(), /* the kernel puts the length of its linear part here */
		.gso_size = (uint16_t)gso_size,
		.csum_start = (uint16_t)ip_len,
		.csum_offset = tcp ? 16 : 6,
	};
	if (tcp && (s->flags & CWR))
		h->gso_type |= VIRTIO_NET_HDR_GSO_ECN;
	out[ip_len + h->csum_offset] = (uint8_t)(sum >> 8);
	out[ip_len + h->csum_offset + 1] = (uint8_t)sum;
	return len;
}

static struct packet_spec random_spec(void)
{
	struct packet_spec s = {
		.version = random_below(2) ? 4 : 6,
		.protocol = random_below(2) ? IPPROTO_TCP : IPPROTO_UDP,
		.tos = (uint8_t)random_next(),
		.ttl = 64,
		.df = random_below(2),
		.id = (uint16_t)random_next(),
		.sport = (uint16_t)random_next(),
		.dport = (uint16_t)random_next(),
		.seq = random_next(),
		.ack = random_next(),
		.window = (uint16_t)random_next(),
		.flags = ACK | (random_next() & (FIN | PSH | CWR)),
		.host = (uint8_t)random_next(),
		.payload = payload,
	};

	if (s.protocol == IPPROTO_TCP)
		s.tcp_options = random_below(11) * 4;
	if (s.version == 6 && !random_below(4))
		s.extensions = 8 + random_below(4) * 8;
	if (s.version == 4 && !random_below(4))
		s.ip_options = random_below(11) * 4;
	return s;
}

static void check_piece(const struct packet_spec *s, const struct packet_view *v, const uint8_t *piece,
			unsigned index, unsigned count, size_t done)
{
	uint8_t flags;

	assert_int_equal(v->header_len, header_len(s));
	assert_memory_equal(v->payload, s->payload + done, v->payload_len);
	if (s->version == 4)
		assert_int_equal(get16(piece + 4), (uint16_t)(s->id + index));
	assert_int_equal(get16(v->transport), s->sport);
	assert_int_equal(get16(v->transport + 2), s->dport);
	if (s->protocol != IPPROTO_TCP)
		return;
	assert_int_equal(get32(v->transport + 4), s->seq + (uint32_t)done);
	flags = s->flags;
	if (index)
		flags &= (uint8_t)~CWR;
	if (index + 1 < count)
		flags &= (uint8_t) ~(FIN | PSH);
	assert_int_equal(v->transport[13], flags);
	assert_int_equal(get32(v->transport + 8), s->ack);
	assert_int_equal(get16(v->transport + 14), s->window);
}

/* limit 0: none */
static void one_super_packet(const struct packet_spec *s, size_t gso_size, bool with_sum, size_t limit)
{
	uint8_t *packet = malloc(70000), *exact, *piece;
	struct virtio_net_hdr h;
	struct segmenter seg;
	size_t len = build_super(packet, &h, s, gso_size), done = 0, n;
	unsigned index = 0;

	if (!with_sum)
		h.flags = 0;
	exact = malloc(len);
	memcpy(exact, packet, len);
	assert_int_equal(segmenter_init(&seg, &h, exact, len), 0);
	if (limit && seg.full_len > limit) {
		int r = segmenter_limit(&seg, limit);

		if (s->protocol == IPPROTO_TCP && limit > header_len(s)) {
			assert_int_equal(r, 0);
			assert_true(seg.full_len <= limit);
			gso_size = limit - header_len(s);
		} else {
			assert_int_equal(r, -EMSGSIZE);
		}
	}
	assert_int_equal(seg.count, (s->payload_len + gso_size - 1) / gso_size);
	piece = malloc(seg.full_len);
	while ((n = segmenter_next(&seg, piece)) > 0) {
		struct packet_view v;

		assert_int_equal(n, index + 1 < seg.count ? seg.full_len : seg.last_len);
		assert_true(packet_check(&v, piece, n));
		check_piece(s, &v, piece, index, seg.count, done);
		done += v.payload_len;
		index++;
	}
	assert_int_equal(index, seg.count);
	assert_int_equal(done, s->payload_len);
	free(packet);
	free(exact);
	free(piece);
}

static void random_super_packets(void **state)
{
	(void)state;
	for (int i = 0; i < 3000; i++) {
		struct packet_spec s = random_spec();
		size_t room = 65535 - header_len(&s);

		s.payload_len = 1 + (random_below(4) ? random_below((uint32_t)room) : random_below(3000));
		one_super_packet(&s, 1 + random_below(random_below(3) ? 1500 : 9000), random_below(8) != 0,
				 random_below(2) ? random_below(1500) : 0);
	}
}

/* The checksum of these pieces comes out as 0, which UDP must not carry. */
static void udp_checksum_is_never_zero(void **state)
{
	struct packet_spec s = {.version = 4,
				.protocol = IPPROTO_UDP,
				.ttl = 64,
				.host = 1,
				.payload = payload,
				.payload_len = 4};
	uint8_t packet[64], piece[64];
	struct virtio_net_hdr h;
	struct segmenter seg;
	size_t len;
	unsigned zeros = 0;

	(void)state;
	for (uint32_t x = 0; x < 65536; x++) {
		struct packet_view v;

		payload[0] = payload[2] = (uint8_t)(x >> 8);
		payload[1] = payload[3] = (uint8_t)x;
		len = build_super(packet, &h, &s, 2);
		assert_int_equal(segmenter_init(&seg, &h, packet, len), 0);
		assert_int_equal(segmenter_next(&seg, piece), 30);
		assert_true(packet_check(&v, piece, 30));
		zeros += get16(v.transport + 6) == 0xffff;
		/* The same without GSO. */
		h.gso_type = h.gso_size = 0;
		assert_int_equal(segmenter_init(&seg, &h, packet, len), 0);
		assert_int_equal(segmenter_next(&seg, piece), len);
		assert_true(packet_check(&v, piece, len));
	}
	assert_int_equal(zeros, 1);
	random_fill(payload, 4);
}

static void plain_and_partial(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		struct packet_spec s = random_spec();
		uint8_t packet[2048], out[2048];
		struct virtio_net_hdr h;
		struct segmenter seg;
		struct packet_view v;
		size_t len;

		s.payload_len = random_below(1400);
		len = build_super(packet, &h, &s, 100);
		h.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		h.gso_size = 0;
		assert_int_equal(segmenter_init(&seg, &h, packet, len), 0);
		assert_int_equal(seg.count, 1);
		assert_int_equal(seg.full_len, len);
		assert_int_equal(segmenter_next(&seg, out), len);
		assert_true(packet_check(&v, out, len));
		assert_int_equal(segmenter_next(&seg, out), 0);

		/* Without the flag it is copied as it is, right or wrong. */
		memset(&h, 0, sizeof(h));
		assert_int_equal(segmenter_init(&seg, &h, packet, len), 0);
		assert_int_equal(segmenter_next(&seg, out), len);
		assert_memory_equal(out, packet, len);
	}
}

/* Behind a routing header the checksum is over the last address (RFC 8200 section 8.1), known to the kernel
 * alone. */
static void routing_header_keeps_the_kernels_sum(void **state)
{
	struct packet_spec s = {.version = 6,
				.protocol = IPPROTO_TCP,
				.host = 1,
				.flags = ACK,
				.payload = payload,
				.payload_len = 3000};
	uint8_t packet[4096], with[4096], piece[4096];
	const uint8_t last[16] = {0xfd, [15] = 77};
	struct virtio_net_hdr h;
	struct segmenter seg;
	size_t len, n;
	uint16_t sum;

	(void)state;
	len = build_super(packet, &h, &s, 1000);
	memcpy(with, packet, 40);
	with[6] = IPPROTO_ROUTING;
	memset(with + 40, 0, 24);
	with[40] = IPPROTO_TCP;
	with[41] = 2;
	with[43] = 1;
	memcpy(with + 48, last, 16);
	memcpy(with + 64, packet + 40, len - 40);
	memcpy(packet + 24, last, 16);
	sum = (uint16_t)~naive_checksum(NULL, 0, naive_pseudo(packet, IPPROTO_TCP, len - 40));
	with[64 + 16] = (uint8_t)(sum >> 8);
	with[64 + 17] = (uint8_t)sum;
	h.csum_start = 64;
	assert_int_equal(segmenter_init(&seg, &h, with, len + 24), 0);
	assert_int_equal(seg.count, 3);
	while ((n = segmenter_next(&seg, piece)) > 0)
		assert_int_equal(
			naive_checksum(piece + 64, n - 64, naive_pseudo(packet, IPPROTO_TCP, n - 64)), 0);
}

static void refused(const struct virtio_net_hdr *h, const uint8_t *packet, size_t len)
{
	struct segmenter seg;

	assert_int_equal(segmenter_init(&seg, h, packet, len), -EINVAL);
}

static void lies_are_refused(void **state)
{
	struct packet_spec s = {.version = 4,
				.protocol = IPPROTO_TCP,
				.host = 1,
				.flags = ACK,
				.payload = payload,
				.payload_len = 3000};
	uint8_t packet[4096], copy[4096];
	struct virtio_net_hdr good, h;
	size_t len;

	(void)state;
	len = build_super(packet, &good, &s, 1000);
	h = good, h.gso_size = 0;
	refused(&h, packet, len);
	h = good, h.gso_type = VIRTIO_NET_HDR_GSO_TCPV6;
	refused(&h, packet, len);
	h = good, h.gso_type = VIRTIO_NET_HDR_GSO_UDP; /* fragmentation offload: never granted */
	refused(&h, packet, len);
	h = good, h.gso_type = GSO_UDP_L4;
	refused(&h, packet, len);
	h = good, h.gso_type = 77;
	refused(&h, packet, len);
	h = good, h.csum_start = 24;
	refused(&h, packet, len);
	h = good, h.csum_offset = 6;
	refused(&h, packet, len);
	h = good, h.csum_start = 65535;
	refused(&h, packet, len);
	h = good, h.gso_type = 0, h.csum_start = (uint16_t)(len - 17);
	refused(&h, packet, len);
	h = good, h.gso_type = 0, h.csum_start = 65535, h.csum_offset = 65535;
	refused(&h, packet, len);
	for (size_t cut = 0; cut <= 40; cut++)
		refused(&good, packet, cut);
	memcpy(copy, packet, len);
	copy[0] = 0x44; /* header shorter than an IPv4 header */
	refused(&good, copy, len);
	memcpy(copy, packet, len);
	copy[6] |= 0x20; /* a fragment */
	refused(&good, copy, len);
	memcpy(copy, packet, len);
	copy[32] = 0x40; /* TCP data offset 4 */
	refused(&good, copy, len);
	copy[32] = 0xf0;
	refused(&good, copy, 60); /* TCP header cut off */
}

/* Random damage: whatever comes out, nothing is read or written outside (the sanitizers watch). */
static void damaged_headers(void **state)
{
	uint8_t *packet = malloc(70000);

	(void)state;
	for (int i = 0; i < 20000; i++) {
		struct packet_spec s = random_spec();
		struct virtio_net_hdr h;
		struct segmenter seg;
		uint8_t *exact, *out;
		size_t len;

		s.payload_len = random_below(5000);
		len = build_super(packet, &h, &s, 1 + random_below(2000));
		for (uint32_t n = random_below(4); n; n--)
			packet[random_below(100) % len] = (uint8_t)random_next();
		for (uint32_t n = random_below(3); n; n--)
			((uint8_t *)&h)[random_below(sizeof(h))] = (uint8_t)random_next();
		if (!random_below(3))
			len = random_below((uint32_t)len + 1);
		exact = malloc(len ? len : 1);
		memcpy(exact, packet, len);
		if (segmenter_init(&seg, &h, exact, len) == 0) {
			size_t n, total = 0;

			assert_true(seg.count > 0 && seg.last_len <= seg.full_len);
			out = malloc(seg.full_len);
			while ((n = segmenter_next(&seg, out)) > 0) {
				assert_true(n <= seg.full_len);
				total += n;
			}
			assert_int_equal(total, seg.full_len * (seg.count - 1) + seg.last_len);
			free(out);
		}
		free(exact);
	}
	free(packet);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_super_packets),
		cmocka_unit_test(udp_checksum_is_never_zero),
		cmocka_unit_test(plain_and_partial),
		cmocka_unit_test(routing_header_keeps_the_kernels_sum),
		cmocka_unit_test(lies_are_refused),
		cmocka_unit_test(damaged_headers),
	};

	random_fill(payload, sizeof(payload));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
