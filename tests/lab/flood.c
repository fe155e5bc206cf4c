/*
 * Initiations that cost their receiver a look: random but for a right mac1, at a bounded rate and for a
 * bounded time, from one socket. With --cookie it answers cookie replies as a real peer does, so that its
 * messages carry a mac2.
 *
 *   flood ADDRESS PORT PUBLIC-KEY PER-SECOND SECONDS [--cookie | --frames | --frames PRIVATE-KEY [old |
 * version] | --calls PRIVATE-KEY]
 *
 * With --frames it sends forged control frames instead: of a pair that nobody knows, or with the id of the
 * pair of the two keys, as somebody on the way sees it. "old": frames that open, of a start in 1970;
 * "version": of a version of the protocol that there is not. With --calls it is the peer of that private key,
 * which begins one good handshake after the other, as a program in a loop would.
 *
 * For the lab's namespaces alone. Prints how many were sent, and how many cookie replies came that open.
 */
#include <arpa/inet.h>
#include <endian.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "crypto/primitives.h"
#include "signal/signal.h"
#include "wg/cookie.h"
#include "wg/noise.h"

#define PER_SECOND_MAX 50000
#define SECONDS_MAX    60
#define FRAME_LEN      200
#define FRAME_HEAD     8 /* magic and version */
#define FRAME_VERSION  4
#define ROUND	       (NS_PER_SEC / 100) /* messages go in bursts, one each 10 ms: a queue must form */
#define LATE_MAX       (10 * ROUND)

struct flood {
	int fd;
	struct cookie_maker maker;
	bool cookie, frames, calls;
	struct noise_identity self; /* of calls, and the handshake that begins again and again */
	struct handshake handshake;
	uint8_t frame[FRAME_LEN]; /* what a forged frame begins with */
	size_t len, known;	  /* known: bytes of it that are right; the others are random */
	uint64_t sent, replies;
	uint32_t sender;
};

static void take_replies(struct flood *f, uint64_t now)
{
	struct message_cookie reply;
	ssize_t len;

	while ((len = recv(f->fd, &reply, sizeof(reply), MSG_DONTWAIT)) >= 0) {
		if (len != sizeof(reply) || le32toh(reply.type) != MESSAGE_COOKIE)
			continue;
		if (f->cookie)
			f->replies += cookie_consume(&f->maker, &reply, now);
		else
			f->replies++;
	}
}

static void send_one(struct flood *f, uint64_t now)
{
	struct message_initiation m;

	if (f->calls) {
		uint8_t stamp[TAI64N_LEN];

		tai64n_encode(stamp, clock_wall_ns());
		noise_create_initiation(&f->handshake, &f->self, &m, ++f->sender, stamp);
	} else {
		crypto_random(&m, sizeof(m));
		m.type = htole32(MESSAGE_INITIATION);
		m.sender = htole32(++f->sender);
	}
	cookie_add_macs(&f->maker, &m, sizeof(m), now);
	if (send(f->fd, &m, sizeof(m), MSG_DONTWAIT) == sizeof(m))
		f->sent++;
}

static void send_frame(struct flood *f)
{
	crypto_random(f->frame + f->known, f->len - f->known);
	if (send(f->fd, f->frame, f->len, MSG_DONTWAIT) == (ssize_t)f->len)
		f->sent++;
}

/* Sealed with the pair's own keys, so that all that is kept of it is as it would be. */
static bool make_frame(struct flood *f, const struct key *public, const char *private, const char *how)
{
	struct signal_message m = {.type = SIGNAL_PING};
	struct key secret, own, shared;
	struct signal_pair pair = {0};
	uint8_t frame[SIGNAL_FRAME_MAX];
	int len;

	if (private) {
		if (!key_from_base64(&secret, private) || !dh(&shared, &secret, public))
			return false;
		dh_public(&own, &secret);
		signal_pair_init(&pair, &shared, &own, public, 1, 1);
	}
	len = signal_seal(&pair, &m, frame, sizeof(frame));
	if (len < FRAME_HEAD)
		return false;
	f->len = sizeof(f->frame);
	f->known = private ? FRAME_HEAD + SIGNAL_PAIR_LEN : FRAME_HEAD;
	if (!strcmp(how, "version"))
		frame[FRAME_VERSION] ^= 0x80;
	if (!strcmp(how, "old") && (size_t)len <= sizeof(f->frame))
		f->len = f->known = (size_t)len;
	memcpy(f->frame, frame, f->known);
	return true;
}

static bool make_caller(struct flood *f, const struct key *public, const char *private)
{
	struct key secret;

	if (!private || !key_from_base64(&secret, private))
		return false;
	noise_set_identity(&f->self, &secret);
	noise_init(&f->handshake, &f->self, public);
	return true;
}

static volatile sig_atomic_t enough;

static void end_early(int signal_number)
{
	(void)signal_number;
	enough = 1;
}

static void flood(struct flood *f, unsigned per_second, unsigned seconds)
{
	uint64_t begin = clock_boot_ns(), end = begin + seconds * NS_PER_SEC, now;
	unsigned burst = per_second / 100;

	for (uint64_t due = begin; due < end && !enough; due += ROUND) {
		while ((now = clock_boot_ns()) < due && !enough)
			nanosleep(&(struct timespec){.tv_nsec = (long)(due - now)}, NULL);
		if (now >= end)
			return;
		/* Held up, it does not send at once all that it would have sent: that would be another test.
		 */
		if (now - due > LATE_MAX)
			due = now - LATE_MAX;
		take_replies(f, now);
		/* With a cookie one message waits for its answer: a reply is good for the last message only.
		 */
		for (unsigned i = 0; i < burst && f->frames; i++)
			send_frame(f);
		for (unsigned i = 0; i < burst && !f->frames && (!f->cookie || f->maker.has_cookie || !i);
		     i++)
			send_one(f, now);
	}
}

int main(int argc, char **argv)
{
	struct flood f = {.fd = socket(AF_INET, SOCK_DGRAM, 0)};
	struct sockaddr_in to = {.sin_family = AF_INET};
	unsigned per_second, seconds;
	struct key key;

	if (argc < 6 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1 || !key_from_base64(&key, argv[3])) {
		fprintf(stderr, "usage: flood ADDRESS PORT PUBLIC-KEY PER-SECOND SECONDS [--cookie | "
				"--frames [PRIVATE-KEY [old | version]] | --calls PRIVATE-KEY]\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	per_second = (unsigned)atoi(argv[4]);
	seconds = (unsigned)atoi(argv[5]);
	f.cookie = argc > 6 && !strcmp(argv[6], "--cookie");
	f.frames = argc > 6 && !strcmp(argv[6], "--frames");
	f.calls = argc > 6 && !strcmp(argv[6], "--calls");
	if (f.calls && !make_caller(&f, &key, argc > 7 ? argv[7] : NULL))
		return 2;
	if (f.frames && !make_frame(&f, &key, argc > 7 ? argv[7] : NULL, argc > 8 ? argv[8] : ""))
		return 2;
	if (per_second > PER_SECOND_MAX || seconds > SECONDS_MAX || crypto_init())
		return 2;
	if (f.fd < 0 || connect(f.fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("flood");
		return 1;
	}
	cookie_maker_init(&f.maker, &key);
	signal(SIGTERM, end_early);
	flood(&f, per_second, seconds);
	usleep(200000);
	take_replies(&f, clock_boot_ns());
	printf("sent %llu replies %llu\n", (unsigned long long)f.sent, (unsigned long long)f.replies);
	return 0;
}
