/*
 * Packet workers: one thread each, a TUN queue and a socket pair each, run to completion in batches.
 * A worker allocates nothing and locks nothing per packet; handshake messages go to the control thread by a ring.
 */
#ifndef WEIR_ENGINE_WORKER_H
#define WEIR_ENGINE_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "crypto/aead.h"
#include "engine/box.h"
#include "net/coalesce.h"
#include "net/udp.h"
#include "wg/wg.h"

#define HANDSHAKE_RING	     4096 /* a power of two; as many as the kernel's WireGuard lets wait */
#define HANDSHAKE_LEN_MAX    148
#define OUT_TRAINS	     64
#define OUT_ARENA	     (256 * 1024)
#define OUT_READS	     64 /* reads per turn */
#define OPEN_MAX	     128 /* datagrams opened at once: what one GRO message can hold, and more */
#define IN_BATCH	     8	 /* messages per recvmmsg, up to 64 KiB each */

struct engine;

struct handshake_slot {
	struct endpoint from;
	uint8_t ecn;
	uint8_t len;
	uint8_t data[HANDSHAKE_LEN_MAX];
};

/* One producer (the worker), one consumer (the control thread). */
struct handshake_ring {
	_Alignas(64) _Atomic uint32_t head; /* written by the worker */
	_Alignas(64) _Atomic uint32_t tail; /* written by control */
	struct handshake_slot *slots; /* HANDSHAKE_RING of them: memory only once that many wait */
};

struct out_train {
	struct wg_peer *peer;
	struct wg_keypair *keypair;
	struct endpoint to;
	uint8_t *data;
	size_t len, segment;
	unsigned packets;
	uint8_t ecn;
	bool closed; /* its last datagram was shorter: nothing may follow */
};

struct worker {
	struct engine *engine;
	unsigned id;
	unsigned tun_queue;
	bool reads_tun;
	pthread_t thread;
	int epoll, stop_fd;
	struct epoch_reader *reader;
	struct aead *aead;
	struct udp_receiver *receiver;
	struct coalescer *coalescer;

	struct box inbox; /* WireGuard datagrams that came by no socket */
	int inbox_fd;	  /* eventfd: the inbox is not empty */

	/* out */
	uint8_t *packet; /* TUN_READ_MAX: what was read */
	uint8_t *arena;	 /* OUT_ARENA: sealed datagrams */
	size_t arena_used;
	struct out_train trains[OUT_TRAINS];
	unsigned train_count;

	/* the tap's, while somebody listens */
	uint8_t *tap_bytes; /* what is put aside of datagrams before they are opened, or an inner packet that is cut */
	size_t tap_room;
	uint32_t tap_lens[OPEN_MAX];

	struct handshake_ring ring;

	_Alignas(64) counter_t turns; /* grows at the begin and at the end of a batch: odd while in one */
	uint64_t turns_seen;	      /* [control] */
};

/* Workers exist between worker_new and worker_free; start and stop move the thread only. */
struct worker *worker_new(struct engine *g, unsigned id);
int worker_start(struct worker *w); /* 0 or -errno */
void worker_stop(struct worker *w); /* joins */
bool worker_stands(struct worker *w); /* in the same batch as at the last call: it hangs */
void worker_free(struct worker *w);

/* The two directions, each one batch; true when more may wait. */
void worker_out(struct worker *w, uint64_t now);
void worker_in(struct worker *w, int fd, uint32_t via, uint64_t now);
void worker_in_box(struct worker *w, uint64_t now);

/* What epoll tells of an fd: which it is, and which channel it belongs to (0: none). */
int worker_watch(struct worker *w, int fd, uint32_t via); /* 0 or -errno */

/* Control side of the ring: the oldest message, or NULL; and taking it off. */
const struct handshake_slot *handshake_peek(struct handshake_ring *r, unsigned *waiting);
void handshake_pop(struct handshake_ring *r);

/* Wakes the control thread (at most one write per turn of it). */
void worker_wake_control(struct engine *g);

#endif
