/* Outer sockets: batches in with GRO, trains out with GSO, source address and ECN both ways. */
#ifndef WEIR_NET_UDP_H
#define WEIR_NET_UDP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/error.h"

#define UDP_SOCKETS_MAX 8

/* One port on IPv4 and IPv6, a socket of each family per worker (SO_REUSEPORT: the kernel keeps a remote
 * address on one worker). */
struct udp {
	uint16_t port;
	unsigned workers;
	int v4[UDP_SOCKETS_MAX], v6[UDP_SOCKETS_MAX]; /* -1 where the family is not available; the struct owns them */
	bool gro;
	_Atomic bool gso; /* switched off for good when the kernel refuses it */
};

/*
 * port 0 lets the kernel choose one that is free in both families. The first socket is bound without
 * SO_REUSEPORT, so that a port in use is an error (-EADDRINUSE) and not shared with a stranger.
 */
int udp_open(struct udp *u, uint16_t port, unsigned workers, uint32_t fwmark, bool plain, struct error *e);
void udp_close(struct udp *u);
int udp_set_fwmark(struct udp *u, uint32_t fwmark, struct error *e);

struct udp_message {
	uint8_t *data;
	size_t len;
	size_t segment; /* datagrams in data have this length, the last may be shorter; equals len when single */
	struct endpoint from;
	uint8_t ecn;
};

struct udp_receiver;

/* Buffers for `batch` messages of up to 64 KiB; one per socket reader. */
struct udp_receiver *udp_receiver_new(unsigned batch);
void udp_receiver_free(struct udp_receiver *r);

/* Reads what waits without blocking: number of messages in (*messages)[], 0, or -errno. Valid until the next call.
 * [worker] */
int udp_receive(struct udp_receiver *r, int fd, struct udp_message **messages);

#define UDP_TRAIN_MAX	    64	  /* segments that every kernel with UDP_SEGMENT takes */
#define UDP_TRAIN_BYTES_MAX 65000 /* total; the IP and UDP headers must fit beside it */

/*
 * Sends `len` bytes as datagrams of `segment` bytes (the last may be shorter) to e->remote from e->local.
 * Falls back to single datagrams where GSO fails. When the kernel rejects the source address (EINVAL, ENETUNREACH,
 * EADDRNOTAVAIL, ...) it resends the same bytes without one and sets *source_lost. 0 or -errno. [worker]
 */
int udp_send(struct udp *u, unsigned worker, const struct endpoint *e, uint8_t ecn, const void *data, size_t len,
	     size_t segment, bool *source_lost);

/* Several trains in one system call where the kernel allows it. Number that were sent. [worker] */
struct udp_train {
	const struct endpoint *to;
	const void *data;
	size_t len, segment;
	uint8_t ecn;
	bool source_lost; /* out */
	int error;	  /* out: 0 or -errno */
};
unsigned udp_send_trains(struct udp *u, unsigned worker, struct udp_train *trains, unsigned count);

/* The same by a socket of one's own, which fits the family of all of them. *gso: as in struct udp. [worker] */
unsigned udp_send_trains_fd(int fd, _Atomic bool *gso, struct udp_train *trains, unsigned count);

/* The socket that a worker sends to an endpoint with; -1: none of its family. */
int udp_socket(const struct udp *u, unsigned worker, const struct endpoint *to);

/*
 * One datagram that nobody may fragment (DF), whatever is known of the path: to measure it. 0 or -errno, -EMSGSIZE when
 * the interface is too small. For a moment the option holds for whatever else the socket sends.
 */
int udp_send_probe(int fd, const struct endpoint *to, const void *data, size_t len);

#endif
