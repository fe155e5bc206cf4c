/*
 * The handshake, Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s (paper 5.4), as functions over one struct. Which peer
 * a message is for, indices, MACs, when to send and what to do with keys is for others.
 *
 *   initiator                                        responder
 *   noise_create_initiation   -- initiation -->      noise_open_static, noise_consume_initiation
 *   noise_consume_response    <-- response --        noise_create_response
 *   noise_begin_session                              noise_begin_session
 *
 * A message that is refused, for whatever reason, leaves the handshake as it was: a forger cannot disturb one
 * that runs. An initiation that is accepted replaces whatever ran, also an initiation of our own. Everything
 * secret that is not in the structs is wiped before a function returns.
 *
 * local_index is only kept here: before a function that sets another one or forgets it, take it out of your
 * table of indices. Consuming an initiation keeps it, so that this can be done when the response is made.
 *
 * Messages are in wire order, the struct must be aligned: copy datagrams into one.
 */
#ifndef WEIR_WG_NOISE_H
#define WEIR_WG_NOISE_H

#include <stdbool.h>
#include <stdint.h>

#include "wg/messages.h"

enum handshake_state {
	HANDSHAKE_ZEROED,
	HANDSHAKE_CREATED_INITIATION,
	HANDSHAKE_CONSUMED_INITIATION,
	HANDSHAKE_CREATED_RESPONSE,
	HANDSHAKE_CONSUMED_RESPONSE,
};

/* Why a message was refused, or could not be made. */
enum noise_result {
	NOISE_OK,
	NOISE_NO_KEY,		    /* no private key, or a peer's key with which no secret can be shared */
	NOISE_WRONG_STATE,	    /* not what this handshake waits for, or not its index */
	NOISE_LOW_ORDER,	    /* their ephemeral is a low-order point */
	NOISE_STATIC_UNDECRYPTABLE, /* initiation: the sender's static key would not open */
	NOISE_WRONG_PEER,	    /* initiation: consumed against a peer with another key */
	NOISE_TIMESTAMP_UNDECRYPTABLE, /* initiation: the timestamp would not open: it is not that peer */
	NOISE_REPLAYED_TIMESTAMP,      /* initiation: not later than the last one; see incoming.timestamp */
	NOISE_FLOOD,		       /* initiation: less than INITIATION_INTERVAL after the last one */
	NOISE_EMPTY_UNDECRYPTABLE,     /* response: would not open: other preshared key, or a forgery */
};

/* "ok", "no_key"...: for logs and tests. */

/* We: set with noise_set_identity. All zero: no identity. */
struct noise_identity {
	struct key private_key, public_key;
	bool present;
};

/* Between two peers. Zero bytes but for what noise_init sets. The owner may read every field, may write psk
 * at any time, and may persist and restore latest_timestamp. */
struct handshake {
	enum handshake_state state;
	uint32_t local_index, remote_index; /* host order */
	struct key remote_static;
	struct key static_static; /* DH(ours, theirs) */
	bool has_static_static;
	struct key psk;			      /* zero: none */
	uint64_t last_initiation;	      /* boot ns when the last good initiation came, 0: never */
	uint8_t latest_timestamp[TAI64N_LEN]; /* of that initiation */

	/* of the handshake that runs */
	struct key ephemeral_private;
	struct key remote_ephemeral;
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
};

/* An initiation whose static key opened, and who it says it is from. */
struct noise_incoming {
	struct key remote_static;
	uint8_t timestamp[TAI64N_LEN]; /* after noise_consume_initiation got as far as that, else zero */
	struct key remote_ephemeral;
	uint8_t hash[HASH_LEN];
	uint8_t chaining_key[HASH_LEN];
};

struct noise_session {
	struct key send, receive;
	uint32_t local_index, remote_index; /* host order */
	bool initiator;
};

/* NULL or a zero key: no identity. The key is clamped. */
void noise_set_identity(struct noise_identity *id, const struct key *private_key);

/* A peer's handshake, fresh. */
void noise_init(struct handshake *h, const struct noise_identity *id, const struct key *remote_static);

/* After our identity changed: static_static anew, and a handshake that runs is forgotten. */
void noise_change_identity(struct handshake *h, const struct noise_identity *id);

/* Forgets the handshake that runs (ephemerals, hashes, indices), not the peer, its psk and its timestamps. */
void noise_clear(struct handshake *h);

/* The peer goes: wipes everything. */
void noise_wipe(struct handshake *h);

/* Writes all but the MACs, which are zero. NOISE_OK or NOISE_NO_KEY; local_index is ours for the reply. The
 * timestamp must be later than any that was sent to this peer before. */
enum noise_result noise_create_initiation(struct handshake *h, const struct noise_identity *id,
					  struct message_initiation *out, uint32_t local_index,
					  const uint8_t timestamp[TAI64N_LEN]);

/* Step one with an initiation, without knowing the peer: NOISE_OK, NOISE_NO_KEY, NOISE_LOW_ORDER or
 * NOISE_STATIC_UNDECRYPTABLE. Then find the peer by in->remote_static; noise_incoming_wipe when done with it.
 */
enum noise_result noise_open_static(struct noise_incoming *in, const struct noise_identity *id,
				    const struct message_initiation *m);

/* Step two, with that peer's handshake. now: boot ns. */
enum noise_result noise_consume_initiation(struct handshake *h, struct noise_incoming *in,
					   const struct message_initiation *m, uint64_t now);
void noise_incoming_wipe(struct noise_incoming *in);

/* The answer to the initiation that was consumed; the MACs are zero. NOISE_OK, NOISE_WRONG_STATE or
 * NOISE_LOW_ORDER. */
enum noise_result noise_create_response(struct handshake *h, struct message_response *out,
					uint32_t local_index);

enum noise_result noise_consume_response(struct handshake *h, const struct noise_identity *id,
					 const struct message_response *m);

/* The keys of a handshake that is through, which is forgotten then. False in any other state. The caller
 * wipes *out. */
bool noise_begin_session(struct handshake *h, struct noise_session *out);

/* TAI64N (big-endian seconds since 1970 TAI + 2^62, then nanoseconds), which sorts as bytes. No whitening
 * here: the caller chooses the nanoseconds since 1970. Decoding saturates at 0 and UINT64_MAX. */
void tai64n_encode(uint8_t out[TAI64N_LEN], uint64_t wall_ns);
uint64_t tai64n_decode(const uint8_t in[TAI64N_LEN]);
int tai64n_compare(const uint8_t a[TAI64N_LEN], const uint8_t b[TAI64N_LEN]);

#endif
