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
#include "base/list.h"
#include "peer/peer.h"
#include "relay/wire.h"
#include "signal/signal.h"

#define FRAME_BY_SOCKET 1600 /* bytes of a frame that is taken from a socket: anybody can send it */

struct engine;
struct engine_peer;
struct relay_pool;
struct out_train;
struct udp_train;
struct worker;

/*
 * What workers note per path (relaxed, once per batch), and the controller's facts are read from. Data packets and
 * keepalives; initiations and responses too (those that came in once they are authenticated). Cookie replies, frames and
 * STUN are not counted. Bytes are those of the datagrams.
 *
 * One worker sends to a peer while another receives from it: each writes cache lines of its own.
 */
struct path_counts {
	uint8_t apart[64];
	_Atomic uint64_t last_received; /* boot ns */
	_Atomic uint64_t arrival_told;	/* boot ns when control was told last that the path is not the one in use */
	counter_t received, received_bytes;
	uint8_t apart_too[64];
	_Atomic uint64_t last_sent; /* boot ns */
	counter_t sent, sent_bytes;
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
	enum path_kind path;
	_Atomic uint32_t generation; /* of the path: a relay's is another with each login, under the channel */
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
	struct list link;    /* SOCKET: the table's */
	atomic_bool turn;    /* CALLBACK: what it sends goes by a TURN server */
	atomic_bool arrived; /* [worker] tunnel packets come in here while the peer sends elsewhere; cleared by control */
	struct path_counts counts;
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

/*
 * Control frames of all ways in end here, in the control thread (paths.c), by engine.on_frame. from.via names the channel,
 * 0: device sockets.
 */
void paths_take_frame(struct engine *g, const struct endpoint *from, uint8_t *frame, size_t len);

/* One datagram out, from the control thread, by any way: to->via decides. probe: DF set, never fragmented. 0 or -errno. */
int engine_send_datagram(struct engine *g, const struct endpoint *to, const void *data, size_t len, bool probe);

/* A worker has something for this peer's controller: a channel's `arrived`, or that its traffic began
 * (engine_peer.traffic). Called by control_turn, as engine.on_path_news. */
void paths_news(struct engine *g, struct engine_peer *p);

/* ---- for engine.c and the workers ---- */

struct channel_table;
struct channel_table *channel_table_new(void);
void channel_table_free(struct engine *g); /* closes what is open; no worker runs */

/* Control's share of a turn: frames, stray datagrams, what workers want sent by a CALLBACK, news. */
void channels_serve(struct engine *g);
/* Hands over whom workers have news of. Before a peer's memory goes it must not be among them. */
void news_serve(struct engine *g);
/* What people call it: "the relay", "an ICE path". */
const char *channel_way(struct engine *g, uint32_t id);
/* Whom a channel leads to. */
struct engine_peer *channel_peer(struct engine *g, uint32_t id);
/* A worker starts: its share of the SOCKET channels goes into its epoll. 0 or -errno. */
int channels_watch(struct worker *w);

/* Frames of this pair may come in by sockets from now on. A hint: an id can look expected that is not. */
void channel_expect(struct engine *g, const uint8_t id[SIGNAL_PAIR_LEN]);
void channel_expect_nobody(struct engine *g);

/* [worker] A datagram that is not WireGuard: true when it was a frame, or belongs to a channel's owner. */
bool channel_take_other(struct worker *w, const struct endpoint *from, const uint8_t *data, size_t len);

/* [worker] A datagram for control to send by a CALLBACK channel; false: its box is full. */
bool channel_put_out(struct channel *c, const void *data, size_t len);

/* Datagrams that came by a channel and were authenticated as peer p's. */
void path_received(struct engine *g, struct engine_peer *p, uint32_t via, unsigned packets, size_t bytes, uint64_t now);
void path_sent(struct engine *g, struct engine_peer *p, uint32_t via, unsigned packets, size_t bytes, uint64_t now);
/* Data for p goes out, or waits for a key. */
void path_traffic(struct engine_peer *p);

/* [worker] udp_send_trains for ways of all kinds. */
void channel_send_trains(struct worker *w, struct udp_train *trains, unsigned count);
/* One WireGuard datagram by any way, from the control thread. 0 or -errno. */
int channel_send(struct engine *g, const struct endpoint *to, uint8_t ecn, const void *data, size_t len,
		 bool *source_lost);

#endif
