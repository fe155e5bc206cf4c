/*
 * mac1, mac2 and cookies (paper 5.3, 5.4.4, 5.4.7): proof that a handshake message was meant for us, and,
 * while we are under load, that its sender gets what is sent to its address.
 *
 * The checker belongs to the device: it judges what comes in and writes cookie replies. A maker belongs to
 * each peer: it adds the MACs to what goes out and keeps the cookie that the peer gave us. Times are boot
 * nanoseconds.
 */
#ifndef WEIR_WG_COOKIE_H
#define WEIR_WG_COOKIE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "wg/messages.h"

struct cookie_checker {
	uint8_t secret[HASH_LEN];
	uint64_t secret_born; /* 0: no secret yet */
	uint8_t mac1_key[HASH_LEN];
	struct key cookie_key;
};

enum cookie_verdict {
	COOKIE_BAD_MAC1, /* not meant for our key, or damaged: say nothing */
	COOKIE_NO_MAC2,	 /* mac1 is right, mac2 is missing or not made from a cookie of ours for this address
			  */
	COOKIE_VALID,	 /* both are right */
};

struct cookie_maker {
	uint8_t mac1_key[HASH_LEN];
	struct key cookie_key;
	uint8_t last_mac1[MAC_LEN]; /* of the last message, which a cookie reply must answer */
	bool awaits;		    /* a cookie reply to last_mac1 would be taken */
	bool has_cookie;
	uint8_t cookie[COOKIE_LEN];
	uint64_t cookie_born;
};

/* Our public key, at the start and whenever it changes. Cookies given out before stay good until their secret
 * ages. */
void cookie_checker_init(struct cookie_checker *c, const struct key *own_public);
void cookie_checker_set_key(struct cookie_checker *c, const struct key *own_public);
void cookie_checker_clear(struct cookie_checker *c);

/* Judges a whole initiation or response (the MACs are its last 32 bytes); any alignment. mac2 is looked at
 * only when mac1 is right, and costs two more hashes: ask for it (want_mac2) only under load, else
 * COOKIE_NO_MAC2 is the best. */
enum cookie_verdict cookie_check(struct cookie_checker *c, const void *message, size_t len,
				 const union address *from, bool want_mac2, uint64_t now);

/* The reply to a message with a right mac1 and no right mac2; `sender` is the index that the message carried,
 * as it was on the wire (little-endian). */
void cookie_reply(struct cookie_checker *c, struct message_cookie *out, uint32_t sender, const void *message,
		  size_t len, const union address *from, uint64_t now);

void cookie_maker_init(struct cookie_maker *m, const struct key *peer_public);
void cookie_maker_clear(struct cookie_maker *m);

/* Fills in both MACs of a complete initiation or response; mac2 is zero without a fresh cookie. */
void cookie_add_macs(struct cookie_maker *m, void *message, size_t len, uint64_t now);

/* A cookie reply from this peer. False: it would not open, or answers no message of ours; nothing changed
 * then. Find the peer by the reply's receiver index. Each message of ours is good for one reply. */
bool cookie_consume(struct cookie_maker *m, const struct message_cookie *reply, uint64_t now);

#endif
