/* How fast the packet machinery of net is: checksums in cache, cutting and joining, trains over loopback. */
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "net/checksum.h"
#include "net/segment.h"
#include "net/udp.h"

#define BENCH_NS  (NS_PER_SEC / 2)
#define TRAIN	  44
#define DATAGRAM  1452
#define PIECE_MAX 2048

static uint8_t data[65536], copy[65536];
static volatile uint64_t sink;

static void report(const char *what, size_t size, double bytes, uint64_t ns)
{
	printf("%-28s %6zu bytes  %7.2f GB/s\n", what, size, bytes / (double)ns);
}

static void checksums(size_t size)
{
	uint64_t start = clock_boot_ns(), ns, turns = 0, sum = 0;

	do {
		for (int i = 0; i < 1000; i++)
			sum += checksum_finish(checksum_add((uint64_t)i, data, size));
		turns += 1000;
	} while ((ns = clock_boot_ns() - start) < BENCH_NS);
	report("checksum", size, (double)turns * (double)size, ns);
	turns = 0;
	start = clock_boot_ns();
	do {
		for (int i = 0; i < 1000; i++)
			sum += checksum_finish(checksum_copy((uint64_t)i, copy, data, size));
		turns += 1000;
	} while ((ns = clock_boot_ns() - start) < BENCH_NS);
	report("checksum and copy", size, (double)turns * (double)size, ns);
	sink = sum;
}

/* One TCP super-packet of 64 KB into packets of 1420 bytes. */
static void segments(void)
{
	struct virtio_net_hdr h = {.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
				   .gso_type = VIRTIO_NET_HDR_GSO_TCPV4,
				   .gso_size = 1368,
				   .csum_start = 20,
				   .csum_offset = 16};
	static uint8_t packet[64000], piece[PIECE_MAX];
	uint64_t start = clock_boot_ns(), ns, turns = 0;

	packet[0] = 0x45;
	packet[9] = 6;
	packet[32] = 0x80;
	do {
		struct segmenter s;

		if (segmenter_init(&s, &h, packet, sizeof(packet)))
			abort();
		while (segmenter_next(&s, piece))
			;
		turns++;
	} while ((ns = clock_boot_ns() - start) < BENCH_NS);
	report("segment TCP", 1420, (double)turns * sizeof(packet), ns);
}

struct reader {
	int fd;
	_Atomic bool stop;
	uint64_t datagrams, messages;
};

static void *read_all(void *arg)
{
	struct reader *r = arg;
	struct udp_receiver *receiver = udp_receiver_new(8);
	struct pollfd p = {.fd = r->fd, .events = POLLIN};

	while (!r->stop) {
		struct udp_message *m;
		int n;

		poll(&p, 1, 10);
		while ((n = udp_receive(receiver, r->fd, &m)) > 0)
			for (int i = 0; i < n; i++) {
				r->datagrams += (m[i].len + m[i].segment - 1) / m[i].segment;
				r->messages++;
			}
	}
	udp_receiver_free(receiver);
	return NULL;
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_THREAD, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void trains(bool plain)
{
	struct udp a, b;
	struct endpoint e = {0};
	struct udp_train t[8];
	struct reader r = {0};
	pthread_t thread;
	uint64_t start, ns, sent = 0;
	double cpu;
	char text[ADDRESS_TEXT];

	if (udp_open(&a, 0, 1, 0, plain, NULL) || udp_open(&b, 0, 1, 0, false, NULL))
		abort();
	snprintf(text, sizeof(text), "127.0.0.1:%u", b.port);
	address_parse(&e.remote, text);
	r.fd = b.v4[0];
	if (pthread_create(&thread, NULL, read_all, &r))
		abort();
	cpu = cpu_seconds();
	start = clock_boot_ns();
	do {
		for (int i = 0; i < 8; i++)
			t[i] = (struct udp_train){.to = &e,
						  .data = data,
						  .len = TRAIN * DATAGRAM,
						  .segment = DATAGRAM,
						  .ecn = 1};
		sent += udp_send_trains(&a, 0, t, 8) * TRAIN;
	} while ((ns = clock_boot_ns() - start) < 2 * NS_PER_SEC);
	cpu = cpu_seconds() - cpu;
	r.stop = true;
	pthread_join(thread, NULL);
	printf("%-28s %6d bytes  %7.2f Mpps %6.1f Gbit/s sent, %.3f us CPU each; %.1f %% read, %.1f a "
	       "message\n",
	       plain ? "send, one by one" : "send, trains", DATAGRAM, (double)sent * 1e3 / (double)ns,
	       (double)sent * DATAGRAM * 8 / (double)ns, cpu * 1e6 / (double)sent,
	       100.0 * (double)r.datagrams / (double)sent,
	       (double)r.datagrams / (double)(r.messages + !r.messages));
	udp_close(&a);
	udp_close(&b);
}

int main(void)
{
	memset(data, 0x5a, sizeof(data));
	checksums(64);
	checksums(1400);
	checksums(64000);
	segments();
	trains(false);
	trains(true);
	return 0;
}
