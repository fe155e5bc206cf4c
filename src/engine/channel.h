/*
 * Channels: ways for a peer's datagrams other than the device's own UDP sockets. A channel's id is what struct endpoint
 * calls `via` (0: the device's sockets), so the WireGuard core, which treats it as part of the address, needs to know
 * nothing about them. Ids are never used twice in a row: an old one finds nothing.
 *
 * Opened and closed by the control thread; looked up by workers inside an epoch.
 */
#ifndef WEIR_ENGINE_CHANNEL_H
#define WEIR_ENGINE_CHANNEL_H

#include <stdatomic.h>
#include <stdint.h>

#include "base/counter.h"
#include "base/endpoint.h"
#include "peer/peer.h"
#include "relay/wire.h"

struct engine;
struct engine_peer;
struct relay_pool;

/* What workers note per path (relaxed, once per batch), and the controller's facts are read from. */
struct path_counts {
	_Atomic uint64_t last_received, last_sent; /* boot ns: authenticated in; WireGuard out */
	counter_t received, sent, received_bytes, sent_bytes; /* WireGuard data packets, handshakes too */
};

enum channel_kind {
	CHANNEL_SOCKET,	  /* an fd of its own beside the device's: ICE's fast socket, or a fresh source port */
	CHANNEL_CALLBACK, /* the control thread sends: libnice's own path */
	CHANNEL_RELAY,
};

struct channel {
	uint32_t id;
	enum channel_kind kind;
	struct engine *engine;
	struct engine_peer *peer; /* [worker] alive as long as the channel is found */
	struct peer_path_ref ref;
	int fd;	 /* SOCKET: owned by whoever opened the channel; must outlive channel_close by an epoch: see closed */
	union address remote; /* SOCKET: where the pair leads at first */
	struct relay_pool *pool;
	uint32_t server;
	struct relay_id to;
	/* CALLBACK: one datagram, in the control thread */
	void (*send)(void *arg, const void *data, size_t len);
	/* SOCKET: a datagram that is neither WireGuard nor a frame came in (control thread): stray STUN */
	void (*stray)(void *arg, const struct endpoint *from, const uint8_t *data, size_t len);
	/* no worker uses the channel any more: the fd can be closed (control thread) */
	void (*closed)(void *arg);
	void *arg;
	struct path_counts counts;
	atomic_bool arrived; /* [worker] tunnel packets come in here while the peer sends elsewhere; cleared by control */
};

/* Fills id; copies *c. The table holds 65,535; NULL when it is full. A SOCKET's fd is added to a worker's epoll. */
struct channel *channel_open(struct engine *g, const struct channel *c);
/* Found by nobody from now on; freed, and `closed` called, when no worker is in it. */
void channel_close(struct channel *c);
/* [worker] NULL: closed. */
struct channel *channel_find(struct engine *g, uint32_t id);
/* The endpoint that means this channel. */
struct endpoint channel_endpoint(const struct channel *c);

/*
 * [any thread] A datagram that came in on a channel by other means than a socket (relay I/O thread, libnice's callback).
 * WireGuard goes to a worker's inbox (bounded: a full one drops and counts), a control frame to the control thread.
 */
void channel_deliver(struct engine *g, uint32_t id, const uint8_t *data, size_t len);

/* Control frames of all ways in end here, in the control thread (paths.c). from.via names the channel, 0: device sockets. */
void paths_take_frame(struct engine *g, const struct endpoint *from, uint8_t *frame, size_t len);

/* One datagram out, from the control thread, by any way: to->via decides. probe: DF set, never fragmented. 0 or -errno. */
int engine_send_datagram(struct engine *g, const struct endpoint *to, const void *data, size_t len, bool probe);

/* A worker has something for the controllers: a channel's `arrived`, or a peer whose traffic began (engine_peer.traffic).
 * Called by control_turn when any_path_news is set. */
void paths_news(struct engine *g, uint64_t now);

#endif
