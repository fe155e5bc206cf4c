/*
 * Sealed control frames between two weir engines (weir-protocol(7)): encode, seal, open, replay guard.
 * No I/O, no clock. A frame travels over any path: a relay's Transport message or a UDP datagram.
 *
 * Layout of a frame:
 *   0   4  magic "weir" (77 65 69 72)
 *   4   1  version, 1
 *   5   3  zero (ignored when received)
 *   8   8  pair id: names the pair of keys without showing either
 *   16  24 nonce, random
 *   40     XChaCha20-Poly1305 of the body; the 40 bytes before it are the additional data
 * Body: type u8, flags u8, fields u16 (count), boot id 8, start stamp u64 (ns since 1970, when this boot of the sender
 * began), sequence u64, session id 8, generation u32, then fields: tag u8, length u16, value. All numbers big-endian.
 * Unknown tags are skipped, so that later versions can add some; a tag given twice or a short field is malformed.
 */
#ifndef WEIR_SIGNAL_SIGNAL_H
#define WEIR_SIGNAL_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/key.h"

#define SIGNAL_HEADER_LEN 40
#define SIGNAL_TAG_LEN	  16 /* Poly1305, at the end */
#define SIGNAL_FRAME_MAX  8000 /* fits a relay message; what goes by UDP should stay under SIGNAL_DATAGRAM_MAX */
#define SIGNAL_DATAGRAM_MAX 1200
#define SIGNAL_SESSION_LEN 8
#define SIGNAL_PAIR_LEN	   8
#define SIGNAL_URL_MAX	   256
#define SIGNAL_CREDENTIAL_MAX 64 /* ICE ufrag or pwd, with its terminator */
#define SIGNAL_CANDIDATE_MAX  160 /* one candidate as an SDP attribute value, with its terminator */
#define SIGNAL_CANDIDATES     12  /* in one frame */

#define SIGNAL_TYPE_TABLE(X)                                                                                 \
	X(HELLO, 1, "hello")		 /* I am here; flag ASK: answer with one */                          \
	X(OFFER, 2, "offer")		 /* a new ICE session of mine, and why */                            \
	X(ANSWER, 3, "answer")		 /* my session that goes with yours */                               \
	X(CANDIDATE, 4, "candidate")	 /* candidates of my session */                                      \
	X(END, 5, "end")		 /* no more candidates of my session */                              \
	X(RELAY_OPEN, 6, "relay-open")	 /* I reach you over this relay, under this generation */           \
	X(RELAY_OPENED, 7, "relay-opened") /* and I you: the path is proven end to end */                     \
	X(STALE, 8, "stale")		 /* I send to you on this path and nothing comes back */             \
	X(PING, 9, "ping")		 /* is this path alive? padded to probe its MTU */                   \
	X(PONG, 10, "pong")		 /* it is; on the path where the ping came in */                     \
	X(REPORT, 11, "report")		 /* what I count about you */                                        \
	X(BYE, 12, "bye")		 /* I am going: drop the session */

enum signal_type {
#define X(name, number, text) SIGNAL_##name = number,
	SIGNAL_TYPE_TABLE(X)
#undef X
};
const char *signal_type_name(enum signal_type t); /* "offer"; "unknown" */

/* Why an offer, a stale or a bye is sent. number on the wire, text for people. */
#define SIGNAL_REASON_TABLE(X)                                                                               \
	X(none, 0, "no reason given")                                                                        \
	X(start, 1, "start")                                                                                 \
	X(tunnel_timeout, 2, "the tunnel timed out")                                                         \
	X(ice_failed, 3, "ICE failed")                                                                       \
	X(network_change, 4, "the network changed")                                                          \
	X(user, 5, "asked for by the user")                                                                  \
	X(remote_session, 6, "the remote's session changed")                                                 \
	X(retry_direct, 7, "another try for a direct path")                                                  \
	X(shutdown, 8, "shutting down")                                                                      \
	X(restart, 9, "restarting")                                                                          \
	X(drain, 10, "drained")                                                                              \
	X(path_dead, 11, "nothing came in on the path")                                                      \
	X(remote_restarted, 12, "the remote restarted")

enum signal_reason {
#define X(name, number, text) SIGNAL_REASON_##name = number,
	SIGNAL_REASON_TABLE(X)
#undef X
};
const char *signal_reason_name(enum signal_reason r); /* "tunnel_timeout" */
const char *signal_reason_text(enum signal_reason r);

enum signal_flags {
	SIGNAL_ASK = 1,	      /* HELLO, REPORT: please answer with one */
	SIGNAL_NO_ICE = 2,    /* HELLO, OFFER, ANSWER: I do not do ICE with you now (relay-only) */
	SIGNAL_RESTARTS = 4,  /* BYE: I shall be back at once */
};

/* What one end counts about the other. Counters are since its start; times in ns. */
struct signal_report {
	uint64_t wall;		     /* its clock, ns since 1970 */
	uint64_t initiations_sent, initiations_received, responses_sent, responses_received;
	uint64_t handshakes;	     /* completed */
	uint64_t data_sent, data_received; /* WireGuard data packets and keepalives */
	uint64_t rejected_mac1, rejected_timestamp, rejected_response, rejected_unknown_index, rejected_undecryptable,
		rejected_source, rejected_other;
	uint64_t last_received_age;  /* ns since anything authenticated came in, UINT64_MAX: never */
	uint64_t last_handshake_age; /* ns, UINT64_MAX: never */
	uint8_t path;		     /* enum path_kind that it sends on (base/path.h) */
	uint16_t mtu;		     /* UDP payload that it has proven on that path, 0: not known */
	uint64_t packets_lost;
};

/* How a host reaches the Internet by UDP, by what STUN servers say: no answer at all; its own address; one port of a NAT for
 * all destinations, or one for each (RFC 4787: endpoint-independent mapping or not); or one for the two ports of the only
 * server that answered, so that by address it may be either. */
enum signal_nat {
	SIGNAL_NAT_UNKNOWN,
	SIGNAL_NAT_BLOCKED,
	SIGNAL_NAT_OPEN,
	SIGNAL_NAT_SAME,
	SIGNAL_NAT_VARIES,
	SIGNAL_NAT_SAME_PORTS,
	SIGNAL_NATS
};

/* Everything that a message can carry; `has` tells which optional fields are set. An empty relay or version and an
 * address of no family are left out by the sender. */
enum signal_field {
	SIGNAL_HAS_REASON = 1 << 0,
	SIGNAL_HAS_CREDENTIALS = 1 << 1, /* ufrag and pwd */
	SIGNAL_HAS_RELAY = 1 << 2,	 /* relay: home relay, or the relay meant */
	SIGNAL_HAS_ANSWERED = 1 << 3,	 /* session of the receiver that this answers */
	SIGNAL_HAS_ECHO = 1 << 4,	 /* 16 opaque bytes that a PONG returns, RELAY_OPENED too */
	SIGNAL_HAS_OBSERVED = 1 << 5,	 /* the address that the frame's receiver is seen at */
	SIGNAL_HAS_SIZE = 1 << 6,	 /* PONG: length of the datagram that the PING came in */
	SIGNAL_HAS_COUNTS = 1 << 7,	 /* PING, PONG: data_sent, data_received about the receiver, on this path */
	SIGNAL_HAS_REPORT = 1 << 8,
	SIGNAL_HAS_BACK_IN = 1 << 9,	 /* BYE: ms until the sender expects to be back */
	SIGNAL_HAS_PATH = 1 << 10,	 /* the path that is meant or in use (enum path_kind) */
	SIGNAL_HAS_VERSION = 1 << 11,	 /* the sender's version as text */
	SIGNAL_HAS_NAT = 1 << 12,	 /* what the sender found out about its NAT */
};

struct signal_message {
	/* of every frame */
	enum signal_type type;
	uint8_t flags;	       /* enum signal_flags */
	uint64_t boot;	       /* random, new with each start of an engine */
	uint64_t started;      /* ns since 1970 */
	uint64_t sequence;     /* filled by signal_seal */
	uint8_t session[SIGNAL_SESSION_LEN]; /* zero: none */
	uint32_t generation;   /* of the sender's agent or relay connection; see the type */

	uint32_t has;
	enum signal_reason reason;
	char ufrag[SIGNAL_CREDENTIAL_MAX], pwd[SIGNAL_CREDENTIAL_MAX];
	char relay[SIGNAL_URL_MAX];
	uint8_t answered[SIGNAL_SESSION_LEN];
	uint8_t echo[16];
	union address observed;
	uint16_t size;
	uint64_t data_sent, data_received;
	uint32_t back_in_ms;
	uint8_t path;
	uint8_t nat; /* enum signal_nat */
	char version[32];
	struct signal_report report;
	unsigned candidate_count;
	char candidates[SIGNAL_CANDIDATES][SIGNAL_CANDIDATE_MAX];

	size_t pad_to; /* sending: the frame is padded to this many bytes (0: not padded; at most SIGNAL_FRAME_MAX; a gap of one
			* or two bytes stays) */
};

/* ---- the pair: keys, sequence, replay guard ---- */

#define SIGNAL_WINDOW 256

struct signal_pair {
	uint8_t id[SIGNAL_PAIR_LEN];
	struct key send_key, receive_key; /* wiped by signal_pair_wipe */
	uint64_t boot, started, sequence;	/* ours */
	uint64_t remote_boot, remote_started;	/* of the newest boot accepted; 0: none */
	uint64_t newest;			/* remote sequence */
	uint64_t window[SIGNAL_WINDOW / 64];
};

/*
 * shared: X25519(own private, peer's public), 32 secret bytes, of which the frame keys are derived with context strings
 * and both public keys, one key for each direction (a frame sent back to its sender does not open).
 * boot is random and not zero; started is the wall clock at the engine's start (never going back: the engine keeps a
 * floor).
 */
void signal_pair_init(struct signal_pair *p, const struct key *shared, const struct key *own_public,
		      const struct key *peer_public, uint64_t boot, uint64_t started);
void signal_pair_wipe(struct signal_pair *p);

/* Seals m into out (size bytes). Its length, -EMSGSIZE, or -EINVAL: m has what no receiver would take (a text that is not
 * printable ASCII, an unknown type). Fills m->boot, started and sequence. */
int signal_seal(struct signal_pair *p, struct signal_message *m, uint8_t *out, size_t size);

/* Has it our magic? And the pair id in it, to find the peer by. False: no frame. */
bool signal_is_frame(const uint8_t *frame, size_t len);
bool signal_frame_pair(const uint8_t *frame, size_t len, uint8_t pair[SIGNAL_PAIR_LEN]);

enum signal_verdict {
	SIGNAL_OK,
	SIGNAL_NEW_BOOT,   /* as OK; the first of a later boot of the remote: it restarted (or is first heard) */
	SIGNAL_MALFORMED,
	SIGNAL_VERSION,	   /* of a version that we do not know */
	SIGNAL_FORGED,	   /* does not open under the pair's key */
	SIGNAL_REPLAYED,   /* sequence seen before, or too old */
	SIGNAL_OLD_BOOT,   /* of a boot that is over */
	SIGNAL_VERDICTS
};
const char *signal_verdict_name(enum signal_verdict v);

/* Opens a frame; *m is filled on OK and NEW_BOOT only, and the guard moves on those only. frame is not changed. */
enum signal_verdict signal_open(struct signal_pair *p, const uint8_t *frame, size_t len, struct signal_message *m);

/* The body alone, for tests, fuzzing and the tap's decoder: no keys, no guard. */
int signal_encode(const struct signal_message *m, uint8_t *out, size_t size); /* length, -EMSGSIZE, -EINVAL */
int signal_decode(const uint8_t *body, size_t len, struct signal_message *m); /* 0 or -EBADMSG */

#endif
