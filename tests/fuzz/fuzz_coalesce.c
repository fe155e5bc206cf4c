/*
 * Packets described by eight bytes each are joined and cut apart again: every flow must come out as it went
 * in, in its order. The first byte of the input chooses what the device can do.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/coalesce.h"
#include "net/segment.h"
#include "net_help.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEP	    8
#define PACKETS_MAX 48
#define ROOM	    1600
#define FLOWS	    16

struct packet {
	uint8_t data[ROOM];   /* given to the coalescer, which may write to it */
	uint8_t before[ROOM]; /* what it was */
	size_t len;
	bool out;
};

static struct packet packets[PACKETS_MAX];
static struct packet_spec flows[FLOWS];
static uint8_t payload[2048], whole[65536];

static void require(bool truth)
{
	if (!truth)
		abort();
}

static void start_flows(void)
{
	for (unsigned i = 0; i < FLOWS; i++)
		flows[i] = (struct packet_spec){
			.version = i & 1 ? 6 : 4,
			.protocol = i & 2 ? IPPROTO_UDP : IPPROTO_TCP,
			.ttl = 64,
			.df = i & 4,
			.flags = 0x10,
			.window = 100,
			.sport = (uint16_t)(1000 + i / 8),
			.dport = 2000,
			.host = 1,
			.payload = payload,
		};
}

/* flow, length (two bytes), flags, traffic class, step of sequence number, step of identification, damage */
static void make_packet(struct packet *p, const uint8_t *step)
{
	struct packet_spec *f = &flows[step[0] % FLOWS], now;

	f->seq += (uint32_t)(int8_t)step[5];
	f->id = (uint16_t)(f->id + 1 + (int8_t)step[6]);
	now = *f;
	now.payload_len = (size_t)(step[1] | step[2] << 8) % 1401;
	now.flags |= step[3];
	now.tos = step[4];
	memset(p, 0, sizeof(*p));
	p->len = packet_build(p->data, &now);
	f->seq += (uint32_t)now.payload_len;
	if (step[7])
		p->data[step[7] % p->len] ^= 0x20;
	memcpy(p->before, p->data, p->len);
}

static bool one_flow(const uint8_t *a, const uint8_t *b)
{
	if (a[0] >> 4 != b[0] >> 4)
		return false;
	if (a[0] >> 4 == 4)
		return a[9] == b[9] && !memcmp(a + 12, b + 12, 12);
	return a[6] == b[6] && !memcmp(a + 8, b + 8, 36);
}

/* With DF set the identification, and the sum over it, may have changed. */
static bool same_packet(const uint8_t *was, const uint8_t *is, size_t len, bool cut)
{
	if (!cut || was[0] >> 4 != 4 || !(was[6] & 0x40))
		return !memcmp(was, is, len);
	return !memcmp(was, is, 4) && !memcmp(was + 6, is + 6, 4) && !memcmp(was + 12, is + 12, len - 12);
}

static void take_out(unsigned count, const uint8_t *packet, size_t len, bool cut)
{
	unsigned i = 0;

	while (i < count && (packets[i].out || !one_flow(packets[i].before, packet)))
		i++;
	require(i < count);
	require(len == packets[i].len && same_packet(packets[i].before, packet, len, cut));
	packets[i].out = true;
}

static void read_back(int fd, bool vnet_hdr, unsigned count)
{
	struct virtio_net_hdr h = {0};
	struct iovec iov[2] = {{&h, vnet_hdr ? sizeof(h) : 0}, {whole, sizeof(whole)}};
	uint8_t piece[ROOM];
	ssize_t got;

	while ((got = readv(fd, iov, 2)) > 0) {
		struct segmenter s;
		size_t n;

		require(!segmenter_init(&s, &h, whole, (size_t)got - iov[0].iov_len) && s.full_len <= ROOM);
		memset(piece, 0, sizeof(piece)); /* one_flow looks behind a short one */
		while ((n = segmenter_next(&s, piece)) > 0)
			take_out(count, piece, n, s.count > 1);
	}
	for (unsigned i = 0; i < count; i++)
		require(packets[i].out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tun tun = {.queues = 1, .name = "pair"};
	struct coalescer *c;
	unsigned count = 0;
	int fds[2];

	if (!size || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds))
		return 0;
	tun.fds[0] = fds[0];
	tun.vnet_hdr = !(data[0] & 1);
	tun.tso = !(data[0] & 2);
	tun.uso = !(data[0] & 4);
	start_flows();
	c = coalescer_new(&tun, 0);
	for (size_t at = 1; at + STEP <= size && count < PACKETS_MAX; at += STEP)
		make_packet(&packets[count++], data + at);
	for (unsigned i = 0; i < count; i++)
		coalescer_add(c, packets[i].data, packets[i].len);
	require(coalescer_flush(c, NULL) == 0);
	read_back(fds[1], tun.vnet_hdr, count);
	coalescer_free(c);
	close(fds[0]);
	close(fds[1]);
	return 0;
}
