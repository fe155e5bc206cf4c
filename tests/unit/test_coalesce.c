/*
 * Packets joined, written to a socket pair that stands for the TUN, cut apart again: every flow must come out
 * byte for byte as it went in.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/coalesce.h"
#include "net/segment.h"
#include "net_help.h"
#include "test.h"

#define FIN 0x01
#define SYN 0x02
#define PSH 0x08
#define ACK 0x10
#define URG 0x20
#define ECE 0x40
#define CWR 0x80

#define BATCH_MAX 64
#define ROOM	  1600

static struct tun tun;
static int far_end;
static uint8_t payload[2048];

static int open_pair(void **state)
{
	int fds[2];

	(void)state;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds))
		return -1;
	tun = (struct tun){.fds = {fds[0]}, .queues = 1, .vnet_hdr = true, .tso = true, .uso = true};
	far_end = fds[1];
	random_fill(payload, sizeof(payload));
	return 0;
}

static int close_pair(void **state)
{
	(void)state;
	tun_close(&tun);
	return close(far_end);
}

struct written {
	struct virtio_net_hdr h;
	size_t len;
	uint8_t data[65536];
};

/* The next write, or false if there was none. */
static bool next_write(struct written *w)
{
	struct iovec iov[2] = {{&w->h, tun.vnet_hdr ? sizeof(w->h) : 0}, {w->data, sizeof(w->data)}};
	ssize_t n;

	memset(&w->h, 0, sizeof(w->h));
	n = readv(far_end, iov, 2);
	if (n < 0)
		return false;
	w->len = (size_t)n - iov[0].iov_len;
	return true;
}

struct batch {
	unsigned count;
	size_t len[BATCH_MAX];
	uint8_t data[BATCH_MAX][ROOM];	 /* what is given to the coalescer, which may write to it */
	uint8_t before[BATCH_MAX][ROOM]; /* what it was */
};

static void put(struct batch *b, const struct packet_spec *s)
{
	unsigned i = b->count++;

	memset(b->data[i], 0, ROOM);
	b->len[i] = packet_build(b->data[i], s);
	memcpy(b->before[i], b->data[i], ROOM);
}

/* Joins the batch; the number of writes, which are checked and freed by the caller. */
static unsigned join(struct batch *b, struct written *w, unsigned max)
{
	struct coalescer *c = coalescer_new(&tun, 0);
	unsigned n = 0;

	for (unsigned i = 0; i < b->count; i++)
		coalescer_add(c, b->data[i], b->len[i]);
	assert_int_equal(coalescer_flush(c, NULL), 0);
	while (n < max && next_write(&w[n]))
		n++;
	coalescer_free(c);
	return n;
}

static struct packet_spec stream(int version, int protocol)
{
	return (struct packet_spec){
		.version = version,
		.protocol = protocol,
		.ttl = 64,
		.df = true,
		.id = 65530,
		.sport = 1000,
		.dport = 2000,
		.seq = 0xfffff000, /* wraps on the way */
		.ack = 77,
		.window = 500,
		.flags = ACK,
		.host = 3,
		.tcp_options = protocol == IPPROTO_TCP ? 12 : 0,
		.payload = payload,
		.payload_len = 1000,
	};
}

static void next_packet(struct packet_spec *s)
{
	s->seq += (uint32_t)s->payload_len;
	s->id++;
}

/* A few streams of each kind become one write each, with a header that says how to cut them. */
static void a_stream_becomes_one(void **state)
{
	const int versions[] = {4, 6}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct written *w = malloc(3 * sizeof(*w));

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct packet_spec s = stream(versions[kind / 2], protocols[kind % 2]);
		bool tcp = s.protocol == IPPROTO_TCP;
		size_t ip_len = s.version == 4 ? 20 : 40;
		struct batch *b = calloc(1, sizeof(*b));

		for (int i = 0; i < 20; i++, next_packet(&s)) {
			s.payload_len = i < 19 ? 1000 : 333;
			put(b, &s);
		}
		assert_int_equal(join(b, w, 3), 1);
		assert_int_equal(w[0].len, b->len[0] + 18 * 1000 + 333);
		assert_int_equal(w[0].h.flags, VIRTIO_NET_HDR_F_NEEDS_CSUM);
		assert_int_equal(w[0].h.gso_type, !tcp		   ? 5
						  : s.version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4
								   : VIRTIO_NET_HDR_GSO_TCPV6);
		assert_int_equal(w[0].h.gso_size, 1000);
		assert_int_equal(w[0].h.csum_start, ip_len);
		assert_int_equal(w[0].h.csum_offset, tcp ? 16 : 6);
		assert_int_equal(w[0].h.hdr_len, ip_len + (tcp ? 32 : 8));
		free(b);
	}
	free(w);
}

/* What a second packet must share with the first: each of these changes keeps them apart. False: no more
 * changes. */
static bool change(struct packet_spec *s, int which)
{
	bool tcp = s->protocol == IPPROTO_TCP;

	switch (which) {
	case 0:
		s->tos ^= 1; /* ECN */
		return true;
	case 1:
		s->tos ^= 4;
		return true;
	case 2:
		s->ttl--;
		return true;
	case 3:
		if (s->version == 4)
			s->df = !s->df;
		else
			s->flow_label = 5;
		return true;
	case 4:
		s->sport++;
		return true;
	case 5:
		s->dport++;
		return true;
	case 6:
		s->host++;
		return true;
	case 7:
		s->protocol = tcp ? IPPROTO_UDP : IPPROTO_TCP;
		return true;
	case 8:
		s->payload_len++; /* longer than the first */
		return true;
	case 9:
		if (s->version == 4)
			s->ip_options = 4;
		else
			s->extensions = 8;
		return true;
	case 10:
		s->payload_len = 0;
		return true;
	default:
		break;
	}
	if (!tcp)
		return false;
	switch (which) {
	case 11:
		s->seq++;
		return true;
	case 12:
		s->ack++;
		return true;
	case 13:
		s->window++;
		return true;
	case 14:
		s->tcp_options += 4;
		return true;
	case 15:
		s->flags |= FIN;
		return true;
	case 16:
		s->flags |= SYN;
		return true;
	case 17:
		s->flags |= URG;
		return true;
	case 18:
		s->flags |= ECE;
		return true;
	case 19:
		s->flags |= CWR;
		return true;
	case 20:
		s->flags = PSH;
		return true;
	default:
		return false;
	}
}

static void stay_apart(struct batch *b)
{
	static const struct virtio_net_hdr none;
	struct written *w = malloc((b->count + 1) * sizeof(*w));

	assert_int_equal(join(b, w, b->count + 1), b->count);
	for (unsigned i = 0; i < b->count; i++) {
		assert_memory_equal(&w[i].h, &none, sizeof(none));
		assert_int_equal(w[i].len, b->len[i]);
		assert_memory_equal(w[i].data, b->before[i], b->len[i]);
	}
	free(w);
}

static void differences_keep_apart(void **state)
{
	const int versions[] = {4, 6}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct batch *b = malloc(sizeof(*b));

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		for (int which = 0;; which++) {
			struct packet_spec s = stream(versions[kind / 2], protocols[kind % 2]);

			b->count = 0;
			put(b, &s);
			next_packet(&s);
			if (!change(&s, which))
				break;
			put(b, &s);
			stay_apart(b);
		}
	}
	free(b);
}

/* Neither the first nor the second may be joined when its checksum is wrong, wherever the damage is. */
static void wrong_checksums_keep_apart(void **state)
{
	const int versions[] = {4, 6}, protocols[] = {IPPROTO_TCP, IPPROTO_UDP};
	struct batch *b = malloc(sizeof(*b));

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		for (int damage = 0; damage < 2 * 3; damage++) {
			struct packet_spec s = stream(versions[kind / 2], protocols[kind % 2]);
			size_t ip_len = s.version == 4 ? 20 : 40;
			const size_t at[] = {ip_len + (s.protocol == IPPROTO_TCP ? 17 : 7), ip_len + 40, 11};
			unsigned victim = (unsigned)damage % 2;

			if (s.version == 6 && damage / 2 == 2)
				continue; /* there is no header checksum */
			b->count = 0;
			put(b, &s);
			next_packet(&s);
			put(b, &s);
			b->data[victim][at[damage / 2]] ^= 0x10;
			b->before[victim][at[damage / 2]] ^= 0x10;
			stay_apart(b);
		}
	}
	free(b);
}

static void lengths_that_lie_keep_apart(void **state)
{
	struct batch *b = malloc(sizeof(*b));

	(void)state;
	for (int version = 4; version <= 6; version += 2) {
		struct packet_spec s = stream(version, IPPROTO_UDP);

		b->count = 0;
		put(b, &s);
		next_packet(&s);
		put(b, &s);
		b->len[0] += 3; /* bytes behind the packet */
		b->len[1] -= 3; /* or too few */
		stay_apart(b);
	}
	free(b);
}

/* UDP without a checksum stays so. */
static void no_checksum_stays_none(void **state)
{
	struct packet_spec s = stream(4, IPPROTO_UDP);
	struct batch *b = calloc(1, sizeof(*b));

	(void)state;
	for (int i = 0; i < 3; i++, next_packet(&s)) {
		put(b, &s);
		memset(b->data[i] + 26, 0, 2);
		memset(b->before[i] + 26, 0, 2);
	}
	stay_apart(b);
	free(b);
}

/* Without DF the identification must count up, as the kernel's segmentation would have it. */
static void identification_matters_without_df(void **state)
{
	struct packet_spec s = stream(4, IPPROTO_UDP);
	struct batch *b = calloc(1, sizeof(*b));

	(void)state;
	s.df = false;
	put(b, &s);
	s.id += 2;
	put(b, &s);
	stay_apart(b);
	free(b);
}

static void offloads_that_are_missing(void **state)
{
	struct batch *b = calloc(1, sizeof(*b));
	struct tun full = tun;

	(void)state;
	for (int which = 0; which < 3; which++) {
		struct packet_spec s = stream(6, which == 1 ? IPPROTO_UDP : IPPROTO_TCP);

		tun.tso = which != 0;
		tun.uso = which != 1;
		tun.vnet_hdr = which != 2;
		b->count = 0;
		for (int i = 0; i < 5; i++, next_packet(&s))
			put(b, &s);
		stay_apart(b);
		tun = full;
	}
	free(b);
}

/* Limits of one super-packet: 64 packets and 65535 bytes. */
static void groups_have_limits(void **state)
{
	struct batch *b = malloc(sizeof(*b));
	struct written *w = malloc(4 * sizeof(*w));
	struct packet_spec s = stream(4, IPPROTO_TCP);
	unsigned n;

	(void)state;
	s.payload_len = 1400;
	b->count = 0;
	for (int i = 0; i < 60; i++, next_packet(&s))
		put(b, &s);
	n = join(b, w, 4);
	assert_int_equal(n, 2);
	assert_int_equal(w[0].len, 52 + 46 * 1400);
	assert_int_equal(w[1].len, 52 + 14 * 1400);
	free(b);
	free(w);
}

/* More packets than are held at a time go out early, none is lost. */
static void more_than_is_held(void **state)
{
	static uint8_t packets[3000][128];
	struct coalescer *c = coalescer_new(&tun, 0);
	struct written *w = malloc(sizeof(*w));
	struct packet_spec s = stream(6, IPPROTO_UDP);
	unsigned bytes = 0;

	(void)state;
	s.payload_len = 10;
	for (int i = 0; i < 3000; i++, next_packet(&s))
		coalescer_add(c, packets[i], packet_build(packets[i], &s));
	assert_int_equal(coalescer_flush(c, NULL), 0);
	while (next_write(w)) {
		assert_int_equal(w->h.gso_size, 10);
		bytes += (unsigned)w->len - 48;
	}
	assert_int_equal(bytes, 30000);
	coalescer_free(c);
	free(w);
}

static void failed_writes_are_counted(void **state)
{
	struct coalescer *c;
	struct batch *b = calloc(1, sizeof(*b));
	struct packet_spec s = stream(4, IPPROTO_TCP), other = stream(4, IPPROTO_UDP);
	struct tun closed = tun;
	int error = 0;

	(void)state;
	closed.fds[0] = -1;
	c = coalescer_new(&closed, 0);
	for (int i = 0; i < 4; i++, next_packet(&s))
		put(b, &s);
	put(b, &other);
	for (unsigned i = 0; i < b->count; i++)
		coalescer_add(c, b->data[i], b->len[i]);
	assert_int_equal(coalescer_flush(c, &error), 5);
	assert_int_equal(error, EBADF);
	assert_int_equal(coalescer_flush(c, &error), 0);
	coalescer_free(c);
	free(b);
}

/* A flow, for the random test: the next packet, sometimes with something in it that breaks a group. */
#define FLOWS 24

static void random_packet(struct batch *b, struct packet_spec *s)
{
	struct packet_spec now;
	uint8_t *data = b->data[b->count];

	if (!random_below(20))
		s->payload_len = 1 + random_below(1400);
	if (!random_below(30))
		s->ack += 1000;
	if (!random_below(40))
		s->seq += 1000; /* lost */
	now = *s;
	if (!random_below(15))
		now.payload_len = random_below((uint32_t)s->payload_len + 1);
	now.payload = payload + random_below(512);
	if (now.protocol == IPPROTO_TCP && !random_below(10))
		now.flags |= (uint8_t[]){PSH, FIN, CWR, ECE}[random_below(4)];
	put(b, &now);
	s->seq += (uint32_t)now.payload_len;
	s->id++;
	if (!random_below(50) && now.payload_len)
		data[b->len[b->count - 1] - 1] ^= 1;
	if (!random_below(50) && now.version == 4)
		data[6] |= 0x20; /* a fragment, with a wrong checksum even */
	memcpy(b->before[b->count - 1], data, b->len[b->count - 1]);
}

/* Version, protocol, source and ports: what order is kept within. */
static bool one_flow(const uint8_t *a, const uint8_t *b)
{
	if (a[0] >> 4 != b[0] >> 4)
		return false;
	if (a[0] >> 4 == 4)
		return a[9] == b[9] && !memcmp(a + 12, b + 12, 12);
	return a[6] == b[6] && !memcmp(a + 8, b + 8, 36);
}

/* Finds the oldest packet of the batch in this flow that has not come out yet: it must be this one. */
static void take_out(struct batch *b, bool *out, const uint8_t *packet, size_t len)
{
	for (unsigned i = 0; i < b->count; i++) {
		if (out[i] || !one_flow(b->before[i], packet))
			continue;
		assert_int_equal(len, b->len[i]);
		assert_memory_equal(packet, b->before[i], len);
		out[i] = true;
		return;
	}
	fail_msg("a packet came out that did not go in");
}

static void random_flows_come_out_as_they_went_in(void **state)
{
	static struct packet_spec flows[FLOWS];
	static struct batch b;
	static struct written w;
	struct coalescer *c = coalescer_new(&tun, 0);
	unsigned in = 0, writes = 0;

	(void)state;
	for (int i = 0; i < FLOWS; i++) {
		flows[i] = stream(i & 1 ? 4 : 6, i & 2 ? IPPROTO_TCP : IPPROTO_UDP);
		flows[i].sport = (uint16_t)(5000 + i / 3);
		flows[i].df = i & 4;
	}
	for (int round = 0; round < 3000; round++) {
		bool out[BATCH_MAX] = {false};
		unsigned active = 1 + random_below(random_below(2) ? 3 : FLOWS);

		b.count = 0;
		while (b.count < BATCH_MAX) {
			unsigned f = random_below(active);

			for (unsigned run = 1 + random_below(12); run && b.count < BATCH_MAX; run--)
				random_packet(&b, &flows[f]);
		}
		for (unsigned i = 0; i < b.count; i++)
			coalescer_add(c, b.data[i], b.len[i]);
		assert_int_equal(coalescer_flush(c, NULL), 0);
		in += b.count;
		while (next_write(&w)) {
			struct segmenter s;
			uint8_t piece[ROOM];
			size_t n;

			writes++;
			assert_int_equal(segmenter_init(&s, &w.h, w.data, w.len), 0);
			while ((n = segmenter_next(&s, piece)) > 0)
				take_out(&b, out, piece, n);
		}
		for (unsigned i = 0; i < b.count; i++)
			assert_true(out[i]);
	}
	assert_true(writes < in / 2); /* it was not all for nothing */
	coalescer_free(c);
}

/* Arbitrary bytes are written as they are or joined, and nothing outside them is touched (the sanitizers
 * watch). */
static void damaged_packets(void **state)
{
	static struct written w;
	struct coalescer *c = coalescer_new(&tun, 0);

	(void)state;
	for (int round = 0; round < 3000; round++) {
		uint8_t *packets[16];
		struct packet_spec s =
			stream(random_below(2) ? 4 : 6, random_below(2) ? IPPROTO_TCP : IPPROTO_UDP);

		for (int i = 0; i < 16; i++, next_packet(&s)) {
			uint8_t whole[ROOM];
			size_t len = packet_build(whole, &s);

			if (!random_below(4))
				whole[random_below(70)] = (uint8_t)random_next();
			if (!random_below(8))
				len = 1 + random_below((uint32_t)len);
			packets[i] = malloc(len);
			memcpy(packets[i], whole, len);
			coalescer_add(c, packets[i], len);
		}
		assert_int_equal(coalescer_flush(c, NULL), 0);
		for (int i = 0; i < 16; i++)
			free(packets[i]);
		while (next_write(&w))
			;
	}
	coalescer_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_pair, close_pair)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_stream_becomes_one),
		TEST(differences_keep_apart),
		TEST(wrong_checksums_keep_apart),
		TEST(lengths_that_lie_keep_apart),
		TEST(no_checksum_stays_none),
		TEST(identification_matters_without_df),
		TEST(offloads_that_are_missing),
		TEST(groups_have_limits),
		TEST(more_than_is_held),
		TEST(failed_writes_are_counted),
		TEST(random_flows_come_out_as_they_went_in),
		TEST(damaged_packets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
