/*
 * What the tap records of a packet: where and when it was seen, whose it is, which way it took, and what became of it.
 * Shared by those that make records (engine/), carry them (control/) and read them (the dashboard, `weir capture`).
 */
#ifndef WEIR_TAP_PACKET_H
#define WEIR_TAP_PACKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/key.h"
#include "base/path.h"

/*
 * What the bytes of a record are:
 *   wire    UDP payload of an outer datagram; its addresses are in local and remote. STUN of the ICE agents too.
 *   inner   an IP packet, as it came from or goes to the TUN
 *   relay   a message of the relay protocol (relay/wire.h), tokens blanked; remote: the server's address if known
 *   signal  the opened body of a sealed frame (signal_decode reads it), ICE passwords blanked
 */
enum tap_point { TAP_WIRE, TAP_INNER, TAP_RELAY, TAP_SIGNAL, TAP_POINTS };

enum tap_type {
	TAP_OTHER,
	TAP_INITIATION,
	TAP_RESPONSE,
	TAP_COOKIE,
	TAP_DATA,
	TAP_KEEPALIVE,
	TAP_STUN,
	TAP_FRAME, /* a sealed control frame, or its body */
	TAP_RELAY_CONTROL, /* relay messages other than transport */
	TAP_IP,	   /* inner packets */
	TAP_TYPES
};

/* Why a packet went no further. name, text. */
#define TAP_DROP_TABLE(X)                                                                                     \
	X(none, "")                                                                                           \
	X(malformed, "not a message that we know")                                                            \
	X(mac1, "mac1 is bad: not meant for our key")                                                         \
	X(mac2, "we are under load, and there is no valid cookie in it")                                      \
	X(rate, "over the rate limit of its source")                                                          \
	X(undecryptable, "does not open under any key that it may have")                                      \
	X(unknown_peer, "its public key is not configured")                                                   \
	X(old_timestamp, "its timestamp is not newer than the last one")                                      \
	X(flood, "too soon after the last one")                                                               \
	X(unexpected, "an answer to nothing that we asked")                                                   \
	X(unknown_index, "its index is none of ours: keys that are gone")                                     \
	X(expired, "its keypair is past its life")                                                            \
	X(replayed, "its counter was seen before, or is too old")                                             \
	X(inner_malformed, "what was in it is no IP packet")                                                  \
	X(inner_source, "the inner source is not in the peer's allowed IPs")                                  \
	X(ecn, "congestion was marked where it cannot be told")                                               \
	X(no_route, "no peer has its destination in its allowed IPs")                                         \
	X(no_endpoint, "nobody knows where the peer is")                                                      \
	X(no_key, "it waits for a handshake")                                                                 \
	X(send_failed, "the kernel did not send it")                                                          \
	X(too_big, "too big for the path")                                                                    \
	X(queue_full, "a queue was full")                                                                     \
	X(old_boot, "said before the other end restarted")

enum tap_drop {
#define X(name, text) TAP_DROP_##name,
	TAP_DROP_TABLE(X)
#undef X
	TAP_DROPS
};

struct tap_meta {
	uint64_t number; /* of this tap, from 1; given by the tap */
	uint64_t at;	 /* wall clock, ns since 1970 */
	uint8_t point, type, drop; /* enum tap_point, tap_type, tap_drop */
	uint8_t path;		   /* enum path_kind, NONE: not known */
	bool out;		   /* sent by us, or towards the peer */
	bool has_peer;
	struct key peer;
	uint32_t length; /* of the packet; the record may hold less of it */
	union address local, remote; /* AF_UNSPEC: not known */
	uint32_t index;	  /* WireGuard: the receiver's index; of an initiation the sender's */
	uint32_t keypair; /* our index of the keypair that opened or sealed it, 0: none */
	uint64_t counter; /* WireGuard data: its counter; wire and inner of the same packet have the same */
	uint16_t attempt, attempts; /* initiations: "try 7 of 18" */
	uint32_t generation;	    /* of the path */
};

const char *tap_point_name(enum tap_point p); /* "wire" */
const char *tap_type_name(enum tap_type t);   /* "init", "resp", "cookie", "data", "keep", "stun", "frame", "relay", "ip" */
const char *tap_drop_name(enum tap_drop d);   /* "old-timestamp" (with dashes) */
const char *tap_drop_text(enum tap_drop d);

#endif
