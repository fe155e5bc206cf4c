/* ICE between two network namespaces: time until data can flow, and both ways for data over the pair. As
 * root. */
#include <stdio.h>
#include <stdlib.h>

#include "net/udp.h"
#include "tests/unit/ice_help.h"
#include "tests/unit/netspace.h"

#define PAIRS	 50
#define BENCH_NS (2 * NS_PER_SEC)
#define DATAGRAM 1452
#define TRAIN	 44
#define WINDOW	 64

static struct loop *loop;
static struct loop_timer *tick;
static struct ice *ices[2];
static struct end ends[2];

static void enter(const char *host)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", host);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNET))
		exit(1);
	close(fd);
}

static void on_tick(void *arg)
{
	(void)arg;
	loop_timer_set(tick, clock_boot_ns() + 10 * NS_PER_MS);
}

static void begin(int n)
{
	struct error e;

	memset(&ends[n], 0, sizeof(ends[n]));
	ends[n].other = &ends[!n];
	enter(n ? "right" : "left");
	ends[n].agent = ice_agent_new(ices[n], 1, n == 0, &end_ops, &ends[n], &e);
	if (!ends[n].agent) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
}

static uint64_t connect_both(void)
{
	uint64_t began = clock_boot_ns();

	begin(0);
	begin(1);
	if (!ends_introduce(&ends[0], &ends[1]) || !end_wait(loop, &ends[0].selections, 1) ||
	    !end_wait(loop, &ends[1].selections, 1)) {
		fprintf(stderr, "no connection\n");
		exit(1);
	}
	return clock_boot_ns() - began;
}

static int by_size(const void *x, const void *y)
{
	uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;

	return a < b ? -1 : a > b;
}

static void report(const char *what, uint64_t packets, uint64_t ns)
{
	printf("%-28s %8.0f packets/ms %7.2f Gbit/s\n", what, (double)packets / ((double)ns / 1e6),
	       (double)packets * DATAGRAM * 8 / (double)ns);
}

static void by_callback(void)
{
	uint64_t start = clock_boot_ns();
	uint8_t packet[DATAGRAM] = {4};
	unsigned sent = 0, first = ends[1].datagrams;

	while (clock_boot_ns() - start < BENCH_NS) {
		for (int n = 0; n < WINDOW; n++)
			sent += ice_agent_send(ends[0].agent, packet, sizeof(packet)) == 0;
		end_wait(loop, &ends[1].datagrams, first + sent);
	}
	report("through libnice", ends[1].datagrams - first, clock_boot_ns() - start);
}

static void by_fast_socket(void)
{
	static uint8_t data[TRAIN * DATAGRAM];
	struct udp_receiver *receiver = udp_receiver_new(8);
	struct endpoint to = {.remote = ends[0].pair.remote};
	struct udp u = {.workers = 1, .v6 = {-1}, .gso = true};
	struct udp_message *messages;
	struct error e;
	uint64_t start, received = 0;
	int in;

	for (int n = 0; n < TRAIN; n++)
		data[n * DATAGRAM] = 4;
	enter("left");
	u.v4[0] = ice_agent_open_fast(ends[0].agent, &e);
	enter("right");
	in = ice_agent_open_fast(ends[1].agent, &e);
	if (u.v4[0] < 0 || in < 0) {
		fprintf(stderr, "%s\n", e.text);
		exit(1);
	}
	start = clock_boot_ns();
	while (clock_boot_ns() - start < BENCH_NS) {
		bool lost = false;
		int count;

		udp_send(&u, 0, &to, 0, data, sizeof(data), DATAGRAM, &lost);
		while ((count = udp_receive(receiver, in, &messages)) > 0)
			for (int n = 0; n < count; n++)
				received += messages[n].len / DATAGRAM;
		loop_step(loop, false);
	}
	report("fast socket, trains", received, clock_boot_ns() - start);
	udp_receiver_free(receiver);
}

int main(void)
{
	uint64_t took[PAIRS];

	if (!netspace_enter())
		return 77;
	free(netspace_ask(
		"mount -t tmpfs tmpfs /run; mkdir /run/netns; ip netns add left; ip netns add right;"
		"ip -n left link add wire type veth peer name wire netns right;"
		"for h in left right; do ip netns exec $h sysctl -q -w net.ipv6.conf.all.disable_ipv6=1;"
		" ip -n $h link set wire up; done;"
		"ip -n left addr add 192.0.2.1/24 dev wire; ip -n right addr add 192.0.2.2/24 dev wire"));
	loop = loop_new();
	tick = loop_timer_new(loop, on_tick, NULL);
	on_tick(NULL);
	for (int n = 0; n < 2; n++) {
		enter(n ? "right" : "left");
		ices[n] = ice_new(loop, &(struct ice_options){0});
	}
	for (int n = 0; n < PAIRS; n++) {
		took[n] = connect_both();
		if (n < PAIRS - 1)
			for (int k = 0; k < 2; k++)
				end_free_agent(&ends[k]);
	}
	qsort(took, PAIRS, sizeof(took[0]), by_size);
	printf("connected after              %8.1f ms median, %.1f ms at most, of %d\n",
	       (double)took[PAIRS / 2] / 1e6, (double)took[PAIRS - 1] / 1e6, PAIRS);
	by_callback();
	by_fast_socket();
	for (int n = 0; n < 2; n++) {
		end_free_agent(&ends[n]);
		ice_free(ices[n]);
	}
	loop_timer_free(tick);
	loop_free(loop);
	return 0;
}
