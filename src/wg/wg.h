/*
 * The door of the WireGuard protocol: no socket, no clock, no thread of its own.
 *
 * Two kinds of callers:
 *  - the control thread owns the device. It configures peers, feeds handshake messages, and runs timers; every
 *    function without a mark is for it alone.
 *  - workers move packets. Functions marked [worker] may run on any thread, between epoch_enter and epoch_exit of
 *    the device's epoch. They never take a lock for longer than a batch and never allocate (wg_stage excepted).
 *
 * Workers do not decide. They report facts (data sent, something authenticated came in, a new source address, a key
 * due for renewal) in atomics of the peer, and wake the control thread by ops->wake when it has something to decide.
 * The control thread then calls wg_service, which runs every decision in one place (timers.c).
 */
#ifndef WEIR_WG_WG_H
#define WEIR_WG_WG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/counter.h"
#include "base/endpoint.h"
#include "base/epoch.h"
#include "base/key.h"
#include "crypto/aead.h"
#include "wg/events.h"

struct wg_device;
struct wg_peer;
struct wg_keypair;

/* What the protocol asks of its owner. Control thread, except wake. */
struct wg_ops {
	/* Sends one datagram; `to` may differ from the peer's endpoint (cookie replies), peer may be NULL. */
	void (*send)(void *ctx, struct wg_peer *peer, const struct endpoint *to, uint8_t ecn, const void *datagram,
		     size_t len);

	/* Something happened that a person may want to know. peer is NULL for device-wide events. */
	void (*event)(void *ctx, struct wg_peer *peer, const struct wg_event *event);

	/* The peer is about to be freed: drop what hangs on wg_peer_owner(). */
	void (*peer_gone)(void *ctx, struct wg_peer *peer);

	/* [worker] wg_service is wanted soon. Called at most once per wg_service. */
	void (*wake)(void *ctx);

	/* Whom a way leads to (struct endpoint, via; not 0), or NULL. May be NULL. */
	struct wg_peer *(*via_peer)(void *ctx, uint32_t via);

	/* Reserves TAI64N time: the floor below which no timestamp will be sent after a restart.
	 * Called before an initiation goes out with a stamp above the last floor. May be NULL. */
	void (*persist_floor)(void *ctx, uint64_t tai_floor_ns);

	/* Only after wg_tell_ephemerals: our private key of the handshake message that is sent next. May be NULL. */
	void (*ephemeral)(void *ctx, struct wg_peer *peer, const struct key *private_key);
};

/* ---- device ------------------------------------------------------------------------------------------------- */

struct wg_device *wg_device_new(const struct wg_ops *ops, void *ctx);
void wg_device_free(struct wg_device *d);
struct epoch *wg_epoch(struct wg_device *d);

/* NULL or a zero key removes the identity. The same key again changes nothing; another ends all sessions and calls the
 * peers. Peers with our own key are ignored from then on. */
void wg_set_private_key(struct wg_device *d, const struct key *private_key);
bool wg_has_private_key(const struct wg_device *d);
void wg_get_private_key(const struct wg_device *d, struct key *out); /* caller wipes */
void wg_get_public_key(const struct wg_device *d, struct key *out);

/* First timestamp that may be used: the persisted floor, as nanoseconds since 1970 (0: none). */
void wg_set_timestamp_floor(struct wg_device *d, uint64_t wall_ns);

/* Our clock went back: the stamps that we send go on from those of before. */
bool wg_clock_is_behind(const struct wg_device *d, uint64_t wall_ns);

/* The TUN's MTU: padding never makes an inner packet longer than this. [worker]-readable. */
void wg_set_mtu(struct wg_device *d, unsigned mtu);

/* While down nothing is sent and timers rest. Going up starts a jittered handshake with each known endpoint. */
void wg_up(struct wg_device *d, struct instant now);
void wg_down(struct wg_device *d);
bool wg_is_up(const struct wg_device *d);

/* Our address or port changed: a keepalive under each live session tells the peers (they roam on it). */
void wg_announce(struct wg_device *d, struct instant now);

/* Handshake messages and cookies (types 1 to 3), as they came; wg checks length, mac1, cookies and limits.
 * `queued` is how many more such messages wait behind this one: the measure of load. The peer that an initiation or a
 * response was proven to be of, else NULL. */
struct wg_peer *wg_receive_handshake(struct wg_device *d, const uint8_t *datagram, size_t len, const struct endpoint *from,
			  unsigned queued, struct instant now);

/* A worker had no room to keep one for wg_receive_handshake. */
void wg_handshake_dropped(struct wg_device *d, uint64_t now);

/* Why the message that wg_receive_handshake was given last was refused. */
struct wg_refusal {
	bool refused;
	enum wg_counter why;
	struct wg_peer *peer; /* whom it is counted for; or who sent the cookie that was taken. NULL: nobody that is known */
};
struct wg_refusal wg_last_refusal(const struct wg_device *d);

/* For a key log that somebody with the right to it asked for. */
void wg_tell_ephemerals(struct wg_device *d, bool on);

/* Decisions due: facts reported by workers, and timers. Call on wake and at wg_deadline.
 * At most `budget` initiations are created per call, so that many peers cannot delay one. What it replaced is freed by
 * epoch_reclaim, which is the caller's to call. */
void wg_service(struct wg_device *d, struct instant now, unsigned budget);
uint64_t wg_deadline(const struct wg_device *d); /* boot ns of the next timer, 0: none */

bool wg_under_load(const struct wg_device *d, uint64_t now);

/* Who was refused and is no peer of ours (unknown keys, bad mac1...): the last few sources, in no order. */
#define WG_STRANGERS 8
struct wg_stranger {
	enum wg_counter why;
	struct endpoint from;
	struct key key;	   /* of reject_unknown_peer, else zero */
	uint64_t at;	   /* boot ns of the last message */
	uint64_t messages; /* of this kind from there */
};
size_t wg_strangers(const struct wg_device *d, struct wg_stranger out[WG_STRANGERS]);
const counter_t *wg_device_counters(const struct wg_device *d); /* WG_COUNTERS entries, enum wg_counter */

/* Expires every keypair. The next packet in either direction starts a handshake. */
void wg_drain(struct wg_device *d, struct instant now, enum wg_reason why);

/* ---- peers -------------------------------------------------------------------------------------------------- */

/* NULL when there is no such peer. */
struct wg_peer *wg_find_peer(struct wg_device *d, const struct key *public_key);

/* NULL when the key is our own. The peer belongs to the device. */
struct wg_peer *wg_add_peer(struct wg_device *d, const struct key *public_key);
void wg_remove_peer(struct wg_peer *p);
struct wg_peer *wg_first_peer(struct wg_device *d);
struct wg_peer *wg_next_peer(struct wg_peer *p); /* order of creation */
size_t wg_peer_count(const struct wg_device *d);

void wg_peer_set_owner(struct wg_peer *p, void *owner);
void *wg_peer_owner(const struct wg_peer *p); /* [worker] */
void wg_peer_public_key(const struct wg_peer *p, struct key *out);
void wg_peer_set_psk(struct wg_peer *p, const struct key *psk); /* NULL or zero: none. Keeps the session. */
void wg_peer_get_psk(const struct wg_peer *p, struct key *out); /* caller wipes */
bool wg_peer_has_psk(const struct wg_peer *p);

/* In place: keys, counters and staged packets stay. AF_UNSPEC clears. A new address is called at once if a
 * handshake was under way or packets wait; otherwise wg_peer_handshake is up to the caller. */
void wg_peer_set_endpoint(struct wg_peer *p, const struct endpoint *e);
struct endpoint wg_peer_endpoint(const struct wg_peer *p); /* [worker] */
uint32_t wg_peer_via(const struct wg_peer *p);		    /* [worker] of its endpoint */

/* [worker] Where to send now: a source that was just authenticated counts before the control thread knows it. */
struct endpoint wg_peer_sending_endpoint(struct wg_peer *p);

/*
 * The owner chooses the peer's way (struct endpoint, via): a packet that comes by another one does not move the endpoint,
 * unless none is known. Within a way the peer roams as ever.
 */
void wg_peer_set_pinned(struct wg_peer *p, bool pinned);

/*
 * Nothing goes to it by the device's own sockets: what comes that way teaches no endpoint, and an initiation is not
 * answered, so that the peer does not take for a path what we shall not use. Data that is authentic is taken.
 */
void wg_peer_set_shy(struct wg_peer *p, bool shy);

/* An empty data packet through `to`, wherever the peer's endpoint is. 0, -ENOKEY without a usable key, -ENETDOWN. */
int wg_peer_send_keepalive(struct wg_peer *p, const struct endpoint *to, struct instant now);

/* X25519(ours, theirs), which caller wipes. -ENOKEY: no private key, or a public key of theirs that is none. */
int wg_peer_shared_secret(const struct wg_peer *p, struct key *out);
void wg_peer_set_keepalive(struct wg_peer *p, uint16_t seconds, struct instant now);
uint16_t wg_peer_keepalive(const struct wg_peer *p);

/* One handshake in the next wg_service (unless one began less than REKEY_TIMEOUT ago and force is false).
 * -EDESTADDRREQ without endpoint, -ENOKEY without private key, -ENETDOWN while down. */
int wg_peer_handshake(struct wg_peer *p, struct instant now, enum wg_reason why, bool force);

void wg_peer_drain(struct wg_peer *p, struct instant now, enum wg_reason why);

/* Forgets source address and retransmission state, and plans a handshake with the given endpoint (AF_UNSPEC: the same). */
void wg_peer_reset(struct wg_peer *p, const struct endpoint *e, struct instant now);

/* ---- allowed IPs -------------------------------------------------------------------------------------------- */

/* family AF_INET or AF_INET6; addr has 4 or 16 bytes; bits beyond the prefix are ignored. Moves it from any other
 * peer: *stolen_from (may be NULL) tells whom. -EINVAL for a bad family or prefix. */
int wg_allow(struct wg_peer *p, int family, const void *addr, unsigned prefix, struct wg_peer **stolen_from);
int wg_disallow(struct wg_peer *p, int family, const void *addr, unsigned prefix); /* -ENOENT if not this peer's */
void wg_disallow_all(struct wg_peer *p);
void wg_each_allowed(const struct wg_peer *p,
		     void (*fn)(void *arg, int family, const uint8_t *addr, unsigned prefix), void *arg);

/* The prefixes around an address: those that cover it, shortest first (the last one's peer gets the packets), then at
 * most `near` that come nearest. */
void wg_prefixes_around(const struct wg_device *d, int family, const void *addr, unsigned near,
			void (*fn)(void *arg, struct wg_peer *peer, const uint8_t *addr, unsigned prefix,
				   bool covers),
			void *arg);

/* The peer with the longest prefix over an inner address (4 or 16 bytes), NULL: nobody. */
struct wg_peer *wg_owner_of(struct wg_device *d, int family, const void *addr);

/* The inner source of its last packet that was refused for it (IPv4 as ::ffff:a.b.c.d). False: none was. */
bool wg_peer_refused_source(const struct wg_peer *p, uint8_t addr[16]);

/* The last of its allowed IPs that another peer took, if it is that peer's still. */
struct wg_stolen {
	int family;
	uint8_t addr[16];
	unsigned prefix;
	struct key by;
};
void wg_peer_note_stolen(struct wg_peer *p, const struct wg_stolen *s); /* a configuration lists it for both */
bool wg_peer_stolen(const struct wg_peer *p, struct wg_stolen *out);

/* ---- packets out: [worker] ------------------------------------------------------------------------------------ */

/* Whom an inner packet is for, by its destination; NULL: nobody (counted), or not an IP packet. */
struct wg_peer *wg_route(struct wg_device *d, const uint8_t *packet, size_t len);

/* A keypair that may seal `count` packets now and the first of the counters reserved for them, or NULL: stage. */
struct wg_keypair *wg_sending_keypair(struct wg_peer *p, unsigned count, uint64_t now, uint64_t *first_counter);

/* Datagram length for an inner packet of len bytes (0 for a keepalive), padded to 16 within the MTU. */
size_t wg_sealed_len(const struct wg_device *d, size_t len);

/* Seals in place: the inner packet (len bytes) is at at+DATA_HEADER_LEN; room for wg_sealed_len. Its length. */
size_t wg_seal(const struct wg_device *d, struct aead *a, const struct wg_keypair *k, uint64_t counter, uint8_t *at,
	       size_t len);

/* Facts, after sending: packets and datagram bytes with this keypair; whether any carried data. */
void wg_sent(struct wg_peer *p, struct wg_keypair *k, unsigned packets, size_t bytes, bool data, uint64_t now);

/* Facts: packets that could not go for want of an endpoint; datagrams that the kernel refused. */
void wg_no_endpoint(struct wg_peer *p);
void wg_send_failed(struct wg_peer *p, unsigned datagrams);
void wg_too_big(struct wg_peer *p, unsigned packets); /* for the path, and not to be fragmented */

/* Keeps a copy of an inner packet until a session stands, and sees that a handshake starts.
 * The oldest is dropped (and counted) when the peer has STAGED_MAX or the device its byte limit. */
void wg_stage(struct wg_peer *p, const uint8_t *packet, size_t len, uint8_t ecn, uint64_t now);

/* ---- packets in: [worker] --------------------------------------------------------------------------------------- */

enum wg_verdict {
	WG_PACKET,    /* inner..inner_len is an IP packet of this peer */
	WG_KEEPALIVE, /* authenticated, empty */
	WG_DROP,      /* counted; peer may be set */
};

struct wg_incoming {
	uint8_t *datagram; /* in: type 4, opened in place */
	size_t len;
	uint8_t ecn;		    /* in: outer ECN bits, combined into the inner header per RFC 6040 */
	struct wg_peer *peer;	    /* out */
	uint8_t *inner;		    /* out */
	size_t inner_len;
	enum wg_verdict verdict;
	enum wg_counter why;	    /* out, of WG_DROP: what it was counted as */
	const struct wg_keypair *keypair; /* out: whose index it has, NULL: nobody's. Valid as long as the epoch */
};

/* [worker] */
uint32_t wg_keypair_index(const struct wg_keypair *k); /* ours */
struct wg_peer *wg_keypair_peer(const struct wg_keypair *k);

/* Opens a batch that came from one address: look up, decrypt, replay window, facts, roaming (reported before the
 * source check), then the allowed-IP owner check. */
void wg_open(struct wg_device *d, struct aead *a, struct wg_incoming *in, unsigned count,
	     const struct endpoint *from, uint64_t now);

/* ---- what a peer looks like (control thread) ------------------------------------------------------------------- */

enum wg_slot { WG_NEXT, WG_CURRENT, WG_PREVIOUS, WG_SLOTS };

struct wg_keypair_view {
	bool used;
	uint32_t local_index, remote_index;
	uint64_t created; /* boot ns */
	bool initiator;	  /* we sent the initiation */
	bool confirmed;	  /* may be used for sending */
	uint64_t sent, received, lost; /* packets; lost: gaps in the peer's counters behind the newest */
};

enum wg_timer {
	WG_TIMER_RETRY,	    /* next initiation while no response came */
	WG_TIMER_KEEPALIVE, /* passive keepalive */
	WG_TIMER_SILENCE,   /* new handshake because data went unanswered */
	WG_TIMER_ZERO,	    /* forget all keys */
	WG_TIMER_PERSISTENT,
	WG_TIMERS,
};

struct wg_peer_view {
	struct wg_keypair_view keypairs[WG_SLOTS];
	uint64_t timers[WG_TIMERS];   /* boot ns when due, 0: not armed */
	uint64_t last_handshake_boot; /* completed, 0: never */
	uint64_t last_handshake_wall; /* ns since 1970 */
	uint64_t handshake_rtt;	      /* ns, initiation to response, of the last one we initiated */
	uint64_t last_sent, last_received; /* boot ns: anything authenticated out, in */
	uint64_t unanswered_since;	   /* boot ns of the first data sent since anything came in, 0: none */
	uint64_t tx_bytes, rx_bytes;
	unsigned attempt; /* tries of the running handshake, 0: none runs */
	enum wg_reason attempt_reason;
	bool draining; /* from wg_peer_drain to the next completed handshake */
	unsigned staged;
	const counter_t *counters; /* WG_COUNTERS entries */
};

/* Bytes of datagrams with data or keepalives, cheaply: what wg(8) shows. */
void wg_peer_bytes(const struct wg_peer *p, uint64_t *rx, uint64_t *tx);

/* Has a handshake ever been completed with it? Then its endpoint was good. */
bool wg_peer_ever_connected(const struct wg_peer *p);

void wg_peer_look(struct wg_peer *p, struct wg_peer_view *out, uint64_t now);

/* For tests only: all protocol durations are divided by this. */
void wg_set_time_divisor(struct wg_device *d, unsigned divisor);

#endif
