/* The sending side against a kernel of our own that refuses things: errors that no test can provoke in the
 * real one. */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "net/udp.h"
#include "net_help.h"
#include "test.h"

#define UDP_SEGMENT 103

/* What the kernel takes, message by message: 0 or an errno value. */
static int (*verdict)(bool gso, bool source, size_t segment);

static struct {
	const uint8_t *start;
	size_t len;
} pieces[1 << 17]; /* the messages that it took, in order */
static unsigned piece_count, calls, polls;
static size_t delivered, datagrams, trains_seen;
static uint8_t out[1 << 20];

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int poll(struct pollfd *fds, nfds_t n, int timeout);

static void look(const struct msghdr *h, size_t *segment, bool *source)
{
	*segment = 0;
	*source = false;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR((struct msghdr *)(uintptr_t)h, c)) {
		uint16_t size;

		*source |= c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
		if (c->cmsg_level != IPPROTO_UDP || c->cmsg_type != UDP_SEGMENT)
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		*segment = size;
	}
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	(void)fd;
	(void)flags;
	calls++;
	for (unsigned i = 0; i < count; i++) {
		const struct msghdr *h = &messages[i].msg_hdr;
		size_t segment, len = h->msg_iov->iov_len;
		bool source;
		int code;

		look(h, &segment, &source);
		code = verdict(segment != 0, source, segment ? segment : len);
		if (code) {
			errno = code;
			return i ? (int)i : -1;
		}
		assert_true(!segment || (len <= UDP_TRAIN_BYTES_MAX && len <= UDP_TRAIN_MAX * segment));
		assert_true(delivered + len <= sizeof(out) &&
			    piece_count < sizeof(pieces) / sizeof(pieces[0]));
		pieces[piece_count].start = h->msg_iov->iov_base;
		pieces[piece_count++].len = len;
		memcpy(out + delivered, h->msg_iov->iov_base, len);
		delivered += len;
		datagrams += segment ? (len + segment - 1) / segment : 1;
		trains_seen += segment != 0;
	}
	return (int)count;
}

int poll(struct pollfd *fds, nfds_t n, int timeout)
{
	(void)n;
	assert_true(timeout >= 0 && timeout <= 10);
	fds->revents = POLLOUT;
	polls++;
	return 1;
}

static struct udp udp;
static struct endpoint to;
static uint8_t bytes[400000];

static int start(void **state)
{
	(void)state;
	udp = (struct udp){.port = 1, .workers = 1, .v4 = {100}, .v6 = {101}, .gro = true, .gso = true};
	memset(&to, 0, sizeof(to));
	to.remote.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = 9, .sin_addr.s_addr = 7};
	to.local.in.s_addr = 5;
	piece_count = calls = polls = 0;
	delivered = datagrams = trains_seen = 0;
	return 0;
}

static int send_train(size_t len, size_t segment, bool *lost)
{
	return udp_send(&udp, 0, &to, 1, bytes, len, segment, lost);
}

static void came(size_t len, size_t count)
{
	assert_int_equal(delivered, len);
	assert_int_equal(datagrams, count);
	assert_memory_equal(out, bytes, len);
}

static int no_offload(bool gso, bool source, size_t segment)
{
	(void)source;
	(void)segment;
	return gso ? EIO : 0;
}

static void eio_ends_gso(void **state)
{
	bool lost;

	(void)state;
	verdict = no_offload;
	assert_int_equal(send_train(70000, 1000, &lost), 0);
	came(70000, 70);
	assert_false(lost);
	assert_false(udp.gso);
	calls = 0;
	assert_int_equal(send_train(10000, 1000, &lost), 0);
	assert_int_equal(calls, 1);
}

static int gso_is_invalid(bool gso, bool source, size_t segment)
{
	(void)source;
	(void)segment;
	return gso ? EINVAL : 0;
}

/* Small segments cannot be above an MTU, and the source was accepted: it is GSO itself. */
static void einval_of_small_segments_ends_gso(void **state)
{
	bool lost;

	(void)state;
	verdict = gso_is_invalid;
	assert_int_equal(send_train(10000, 1000, &lost), 0);
	came(10000, 10);
	assert_false(lost);
	assert_false(udp.gso);
}

static int old_kernel_mtu(bool gso, bool source, size_t segment)
{
	(void)source;
	return gso && segment > 1300 ? EINVAL : 0;
}

/* Kernels used to say EINVAL for segments above the MTU: neither GSO nor the source address is to blame. */
static void einval_of_large_segments_costs_nothing(void **state)
{
	bool lost;

	(void)state;
	verdict = old_kernel_mtu;
	assert_int_equal(send_train(14000, 1400, &lost), 0);
	came(14000, 10);
	assert_false(lost);
	assert_true(udp.gso);
}

static int bad_source(bool gso, bool source, size_t segment)
{
	(void)gso;
	(void)segment;
	return source ? EINVAL : 0;
}

static void einval_of_the_source_is_told_apart(void **state)
{
	bool lost;

	(void)state;
	verdict = bad_source;
	assert_int_equal(send_train(200000, 1000, &lost), 0);
	came(200000, 200);
	assert_true(lost);
	assert_true(udp.gso);
	assert_int_equal(trains_seen, 4); /* as trains of 64 again, once the source was dropped */
}

static int full(bool gso, bool source, size_t segment)
{
	(void)gso;
	(void)source;
	(void)segment;
	return EAGAIN;
}

/* A socket that stays full is waited for a little, not for every train. */
static void full_socket_drops(void **state)
{
	struct udp_train t[20];

	(void)state;
	verdict = full;
	for (int i = 0; i < 20; i++)
		t[i] = (struct udp_train){.to = &to, .data = bytes, .len = 3000, .segment = 1000};
	assert_int_equal(udp_send_trains(&udp, 0, t, 20), 0);
	for (int i = 0; i < 20; i++)
		assert_int_equal(t[i].error, -EAGAIN);
	assert_true(polls > 0 && polls < 10);
}

static unsigned hiccups;

static int hiccup(bool gso, bool source, size_t segment)
{
	static const int codes[] = {EAGAIN, ECONNREFUSED, EINTR};

	(void)gso;
	(void)source;
	(void)segment;
	return hiccups < 3 ? codes[hiccups++] : 0;
}

static void passing_errors_pass(void **state)
{
	bool lost;

	(void)state;
	verdict = hiccup;
	hiccups = 0;
	assert_int_equal(send_train(3000, 1000, &lost), 0);
	came(3000, 3);
	assert_false(lost);
	assert_true(udp.gso);
}

static int moody(bool gso, bool source, size_t segment)
{
	static const int codes[] = {EAGAIN, EINTR,	 ENOBUFS, EIO,	       EMSGSIZE,
				    EINVAL, ENETUNREACH, EPERM,	  ECONNREFUSED};

	(void)gso;
	(void)source;
	(void)segment;
	return random_below(6) ? 0 : codes[random_below(9)];
}

/* How much of a train was taken, from its beginning and without a gap; *next is the first message after it.
 */
static size_t taken(const struct udp_train *t, unsigned *next)
{
	const uint8_t *start_of_train = t->data;
	size_t done = 0;

	while (*next < piece_count && pieces[*next].start == start_of_train + done && done < t->len)
		done += pieces[(*next)++].len;
	assert_true(done <= t->len);
	assert_true(done == t->len || done % t->segment == 0);
	return done;
}

/* Whatever the kernel answers, whatever part of a batch it takes: nothing is sent twice or out of order, and
 * a train that reports success is there completely. */
static void nothing_is_lost_or_sent_twice(void **state)
{
	unsigned partly = 0;

	(void)state;
	verdict = moody;
	for (int round = 0; round < 5000; round++) {
		struct udp_train t[40];
		unsigned count = 1 + random_below(40), good = 0, done, next = 0;
		size_t used = 0;

		start(NULL);
		for (unsigned i = 0; i < count; i++) {
			size_t segment = 1 + random_below(2000), len = 1 + random_below(8000);

			t[i] = (struct udp_train){
				.to = &to, .data = bytes + used, .len = len, .segment = segment, .ecn = 1};
			used += len;
		}
		done = udp_send_trains(&udp, 0, t, count);
		for (unsigned i = 0; i < count; i++) {
			size_t part = taken(&t[i], &next);

			if (!t[i].error)
				assert_int_equal(part, t[i].len);
			partly += part && t[i].error;
			good += !t[i].error;
		}
		assert_int_equal(next, piece_count);
		assert_int_equal(good, done);
	}
	assert_true(partly > 0); /* the hard case did come up */
}

#define TEST(name) cmocka_unit_test_setup(name, start)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(eio_ends_gso),
		TEST(einval_of_small_segments_ends_gso),
		TEST(einval_of_large_segments_costs_nothing),
		TEST(einval_of_the_source_is_told_apart),
		TEST(full_socket_drops),
		TEST(passing_errors_pass),
		TEST(nothing_is_lost_or_sent_twice),
	};

	random_fill(bytes, sizeof(bytes));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
