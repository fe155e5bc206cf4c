/* What can happen in the protocol: counters, reasons and timeline events. Tables, so that names exist once. */
#ifndef WEIR_WG_EVENTS_H
#define WEIR_WG_EVENTS_H

#include <stdint.h>

/* name, text for people. Kept per peer and per device (those that cannot be tied to a peer only there). */
#define WG_COUNTER_TABLE(X)                                                                                   \
	X(initiation_sent, "handshake initiations sent")                                                       \
	X(initiation_received, "valid handshake initiations received")                                        \
	X(response_sent, "handshake responses sent")                                                           \
	X(response_received, "valid handshake responses received")                                             \
	X(cookie_sent, "cookie replies sent (we were under load)")                                             \
	X(cookie_received, "cookie replies received (they are under load)")                                    \
	X(handshake_done, "handshakes completed")                                                              \
	X(handshake_given_up, "handshakes given up after 90 seconds")                                          \
	X(data_sent, "data packets sent")                                                                      \
	X(data_received, "data packets received")                                                              \
	X(keepalive_sent, "keepalives sent")                                                                   \
	X(keepalive_received, "keepalives received")                                                           \
	X(packet_lost, "packets of the peer that never came (counter gaps)")                                   \
	X(staged_dropped, "packets dropped while waiting for a handshake")                                     \
	X(roamed, "endpoint changes learned from authenticated packets")                                       \
	X(drained, "drains")                                                                                   \
	X(unknown_index_rehandshake, "handshakes started because the peer used keys that we lost")             \
	X(reject_malformed, "datagrams of no known type or length")                                            \
	X(reject_mac1, "handshake messages with a bad mac1: not meant for our key")                           \
	X(reject_mac2, "handshake messages under load without a valid cookie")                                 \
	X(reject_rate, "handshake messages over the rate limit of their source")                              \
	X(reject_queue_full, "handshake messages dropped unread: too many waited")                             \
	X(reject_undecryptable, "initiations whose static key would not open")                                 \
	X(reject_unknown_peer, "valid initiations of a key that is not configured")                            \
	X(reject_replayed_timestamp, "initiations with an old timestamp: their clock went back, or a replay")  \
	X(reject_flood, "initiations that came too fast after one another")                                    \
	X(reject_unexpected_response, "responses to no handshake of ours")                                     \
	X(reject_response, "responses that would not open: the preshared keys differ, or a forgery")           \
	X(reject_cookie, "cookie replies that would not open")                                                 \
	X(reject_unknown_index, "data with an index that we do not know")                                      \
	X(reject_expired, "data for a keypair past its life")                                                  \
	X(reject_undecryptable_data, "data that would not open")                                               \
	X(reject_replayed_counter, "data with a counter seen before, or too old")                              \
	X(reject_inner_malformed, "decrypted packets that are not IP")                                         \
	X(reject_inner_source, "decrypted packets whose source belongs to another peer, or to nobody")         \
	X(reject_ecn, "packets dropped because congestion was marked where it cannot be told (RFC 6040)")      \
	X(no_route, "packets from the TUN that no peer's allowed IPs match")                                   \
	X(no_endpoint, "packets dropped because no endpoint is known")                                         \
	X(send_failed, "datagrams that the kernel would not send")                                             \
	X(too_big, "packets too big for the path, which their senders were told")

enum wg_counter {
#define X(name, text) WG_COUNT_##name,
	WG_COUNTER_TABLE(X)
#undef X
	WG_COUNTERS
};

/* "initiation_sent"; its text. */
const char *wg_counter_name(enum wg_counter c);
const char *wg_counter_text(enum wg_counter c);

/* Why a handshake or a drain happened. name, text. */
#define WG_REASON_TABLE(X)                                                                                    \
	X(none, "")                                                                                           \
	X(device_up, "the device came up")                                                                     \
	X(data, "a packet waits for a key")                                                                    \
	X(keepalive, "a persistent keepalive needs a key")                                                     \
	X(rekey_time, "the key is 120 s old")                                                                  \
	X(rekey_messages, "the key has sealed enough messages")                                                \
	X(silence, "no answer to data for 15 s")                                                               \
	X(retry, "no response to the last initiation")                                                         \
	X(unknown_index, "the peer uses keys that we lost")                                                    \
	X(endpoint_changed, "the endpoint changed")                                                            \
	X(key_changed, "a key changed")                                                                        \
	X(user, "asked for")                                                                                   \
	X(drain, "drained")                                                                                    \
	X(peer_bye, "the peer said that it is leaving")                                                        \
	X(path_changed, "the path changed")                                                                    \
	X(path_timeout, "nothing came back on the path")                                                       \
	X(remote_restarted, "the peer restarted")                                                              \
	X(shutdown, "shutting down")

enum wg_reason {
#define X(name, text) WG_REASON_##name,
	WG_REASON_TABLE(X)
#undef X
	WG_REASONS
};

const char *wg_reason_name(enum wg_reason r);
const char *wg_reason_text(enum wg_reason r);

/* Timeline events. */
enum wg_event_type {
	WG_EVENT_INITIATION_SENT,     /* a: attempt, reason */
	WG_EVENT_INITIATION_RECEIVED, /* from */
	WG_EVENT_RESPONSE_SENT,	      /* a: our index, b: theirs */
	WG_EVENT_HANDSHAKE_DONE,      /* a: our index, b: theirs; ns: rtt when we initiated, else 0; initiator */
	WG_EVENT_KEY_CONFIRMED,	      /* responder: first data under the new key; a: our index */
	WG_EVENT_GAVE_UP,	      /* a: attempts, b: staged packets dropped */
	WG_EVENT_KEY_EXPIRED,	      /* a: our index of the sending key */
	WG_EVENT_KEYS_ZEROED,
	WG_EVENT_SILENCE,	      /* ns: since when data goes unanswered */
	WG_EVENT_ROAMED,	      /* from: new endpoint */
	WG_EVENT_ENDPOINT_SET,	      /* from: new endpoint, maybe AF_UNSPEC */
	WG_EVENT_DRAINED,	      /* reason */
	WG_EVENT_COOKIE_RECEIVED,
	WG_EVENT_UNKNOWN_INDEX,	      /* a: the index; from */
	WG_EVENT_REJECTED,	      /* a: enum wg_counter, b: how often since last told; from; ns: clock difference
					 for reject_replayed_timestamp */
	WG_EVENT_ALLOWED_IP_STOLEN,
	WG_EVENT_TYPES
};

struct endpoint;
struct wg_event {
	enum wg_event_type type;
	enum wg_reason reason;
	uint64_t at_boot, at_wall; /* ns */
	uint32_t a, b;
	uint64_t ns;
	int initiator;
	const struct endpoint *from; /* valid during the call; NULL if none */
	const uint8_t *key;	     /* 32 bytes: the unknown peer's public key for reject_unknown_peer, else NULL */
};

#endif
