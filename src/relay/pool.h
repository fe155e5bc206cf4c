/*
 * The relay client: every relay server that this engine talks to, home and foreign, over one I/O thread of its own
 * (libwebsockets), so that bulk data through a relay never delays control.
 *
 * A server is named by a small number (its place in the pool) and has a generation, that of its newest connection: what
 * came of an older connection is dropped before it reaches a callback. Nothing here decides when a relay is stale: the
 * owner asks (relay_pool_check) or orders (relay_pool_reopen); the pool itself gives up a connection only when the
 * transport says so, when no health check of the server has come for 70 s, or when a check goes unanswered.
 *
 * All functions are for the control thread, except those marked [any].
 */
#ifndef WEIR_RELAY_POOL_H
#define WEIR_RELAY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/key.h"
#include "base/loop.h"
#include "relay/failure.h"
#include "relay/wire.h"

struct relay_pool;

#define RELAY_SERVERS_MAX 64 /* in one pool */
#define RELAY_FOREIGN_MAX 24 /* of them those that peers alone name */
#define RELAY_NONE	  UINT32_MAX

enum relay_state {
	RELAY_IDLE,	  /* nobody wants it */
	RELAY_WAITING,	  /* until the next try */
	RELAY_DIALLING,	  /* name, TCP, TLS, HTTP upgrade */
	RELAY_LOGGING_IN, /* token sent */
	RELAY_UP,
};
const char *relay_state_name(enum relay_state s); /* "idle", "waiting", "dialling", "logging in", "up" */

#define RELAY_LIFETIMES 4

struct relay_status {
	enum relay_state state;
	uint32_t generation; /* of the connection that is up, or being made; grows with each dial that logs in */
	bool home;
	char url[RELAY_URL_MAX];      /* as configured, or as the remote named it */
	char instance[RELAY_URL_MAX]; /* the server's own name for itself (AuthResponse), "" until known */
	char error[160];	      /* why it is not up, in words; "" */
	enum relay_failure failure;   /* of which kind that is */
	unsigned refusals;	      /* logins, upgrades or certificates refused in a row */
	union address address;	      /* where it was connected last (the proxy, if there is one); AF_UNSPEC: never */
	enum relay_failure lost;      /* how the last connection that was up ended, */
	uint64_t lost_at;	      /* and when (boot ns); 0: none did */
	uint64_t lifetimes[RELAY_LIFETIMES]; /* ns that the last ones lived, newest first; 0: none */
	uint64_t since;		      /* boot ns of this state */
	uint64_t rtt;		      /* ns of the last check, 0: not known */
	uint64_t next_try;	      /* boot ns, while WAITING */
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
	uint64_t dropped;	      /* datagrams that its queue would not take */
	unsigned opened;	      /* connections so far */
	unsigned holders;
	bool tls;
	char peer_certificate[80];    /* SHA-256 of the server's public key (SPKI), base64, "" without TLS */
};

struct relay_pool_options {
	struct key public_key;	 /* ours: the id that we log in with */
	struct relay_secret secret; /* tokens are made of it at each login; */
	bool has_secret;
	uint8_t token[RELAY_TOKEN_MAX]; /* or this one, as it is */
	size_t token_len;
	const char *ca_file;  /* NULL: the system's */
	const char *pin;      /* base64 SHA-256 of the SPKI that every TLS server must have; NULL: certificates are verified */
	const char *proxy;    /* "http://HOST:PORT" or "HOST:PORT"; NULL: HTTPS_PROXY, HTTP_PROXY, NO_PROXY of the environment */
	uint32_t fwmark;      /* on every socket, 0: none */
	const char *bind_not; /* interface that nothing may go through (our own tunnel), NULL: none */
};

struct relay_pool_ops {
	/* A server's state, generation, instance or error changed. */
	void (*server)(void *arg, uint32_t server, const struct relay_status *s);
	/* A peer that we are subscribed to is there, or is not, says this server. Facts of presence come in order. */
	void (*presence)(void *arg, uint32_t server, uint32_t generation, const struct relay_id *peer, bool online);
	/* [io thread] A datagram of a peer; must not block. Copies what it keeps. */
	void (*receive)(void *arg, uint32_t server, uint32_t generation, const struct relay_id *from, uint8_t *data,
			size_t len);
	/* The server answered a check after so many ns, or it did not: then it is being dialled again. */
	void (*checked)(void *arg, uint32_t server, uint32_t generation, bool alive, uint64_t rtt);
	/* [any thread] Each message but Transport, as it is on the wire: tokens too. May be NULL. */
	void (*seen)(void *arg, bool out, const union address *server, const uint8_t *message, size_t len);
	void *arg;
};

/* Copies the options. NULL with *e when TLS or the thread cannot be set up. */
struct relay_pool *relay_pool_new(struct loop *loop, const struct relay_pool_options *o,
				  const struct relay_pool_ops *ops, struct error *e);
void relay_pool_free(struct relay_pool *p); /* says Close to every server; joins the thread */

/* Another secret, token or trust: used from the next login on; nothing that is up is closed. */
void relay_pool_set_options(struct relay_pool *p, const struct relay_pool_options *o);

/*
 * The configured servers. All are dialled at the same time, the first to log in becomes home and is held for good; the others
 * are closed unless held. When home is lost, all are dialled again at once (the old one among them).
 */
void relay_pool_set_home(struct relay_pool *p, const char *const *urls, size_t count);
uint32_t relay_pool_home(const struct relay_pool *p); /* the server that is home now, RELAY_NONE */

/* The number of a server by its URL (or instance URL); adds it. RELAY_NONE: not a relay URL, or the pool is full. */
uint32_t relay_pool_server(struct relay_pool *p, const char *url);
/*
 * The same for a URL that a peer named, not our configuration; adds it if `add`. To log in shows our token, so it must be a
 * server with TLS unless one of ours is without; and no peer makes us talk to this machine itself, or to more than
 * RELAY_FOREIGN_MAX such servers. RELAY_NONE also then.
 */
uint32_t relay_pool_named(struct relay_pool *p, const char *url, bool add);
bool relay_pool_look(const struct relay_pool *p, uint32_t server, struct relay_status *out);

/* Reference counts: a server is connected while it is held (or home), and dialled again for ever with jitter: at once,
 * then about 0.5 s, 1 s, 2 s, 2 s... after a network failure (an hour of outage must not make it slow); 5 s to 60 s when the
 * server refuses (token, HTTP status, certificate). Held by nobody it is closed after 30 s. */
void relay_pool_hold(struct relay_pool *p, uint32_t server);
void relay_pool_release(struct relay_pool *p, uint32_t server);

/* Presence of a peer at a server; kept over reconnects until unsubscribed. Counted per call. */
void relay_pool_subscribe(struct relay_pool *p, uint32_t server, const struct relay_id *peer);
void relay_pool_unsubscribe(struct relay_pool *p, uint32_t server, const struct relay_id *peer);

/* Is the connection alive? WebSocket ping; unanswered for `timeout` ns it is closed and dialled again at once. One check
 * runs at a time; `checked` tells. */
void relay_pool_check(struct relay_pool *p, uint32_t server, uint64_t timeout);

/* Closes this generation and dials at once; another generation than the current one changes nothing. */
void relay_pool_reopen(struct relay_pool *p, uint32_t server, uint32_t generation, const char *why);

/* The network changed or came back: waiting servers are dialled now, and those whose local address is
 * gone; others that are up are checked (1 s). */
void relay_pool_network_changed(struct relay_pool *p);

/*
 * [any] Queues datagrams for a peer: `len` bytes cut every `segment` bytes. Never blocks: what the server's queue (bytes and
 * messages are bounded) does not take is dropped and counted. 0, -ENOTCONN when it is not up, -ENOBUFS when dropped.
 */
int relay_pool_send(struct relay_pool *p, uint32_t server, const struct relay_id *to, const void *data, size_t len,
		    size_t segment);

#endif
