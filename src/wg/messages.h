/* The WireGuard wire format (paper section 5.4), all integers little-endian, and the protocol's constants (6.1). */
#ifndef WEIR_WG_MESSAGES_H
#define WEIR_WG_MESSAGES_H

#include <stdint.h>

#include "base/clock.h"
#include "base/key.h"
#include "crypto/primitives.h"

enum message_type {
	MESSAGE_INITIATION = 1,
	MESSAGE_RESPONSE = 2,
	MESSAGE_COOKIE = 3,
	MESSAGE_DATA = 4,
};

#define TAI64N_LEN 12
#define COOKIE_LEN 16

struct message_macs {
	uint8_t mac1[MAC_LEN];
	uint8_t mac2[MAC_LEN];
};

struct message_initiation {
	uint32_t type;
	uint32_t sender;
	uint8_t ephemeral[KEY_LEN];
	uint8_t static_sealed[KEY_LEN + AEAD_TAG_LEN];
	uint8_t timestamp_sealed[TAI64N_LEN + AEAD_TAG_LEN];
	struct message_macs macs;
};

struct message_response {
	uint32_t type;
	uint32_t sender;
	uint32_t receiver;
	uint8_t ephemeral[KEY_LEN];
	uint8_t empty_sealed[AEAD_TAG_LEN];
	struct message_macs macs;
};

struct message_cookie {
	uint32_t type;
	uint32_t receiver;
	uint8_t nonce[XAEAD_NONCE_LEN];
	uint8_t cookie_sealed[COOKIE_LEN + AEAD_TAG_LEN];
};

struct message_data {
	uint32_t type;
	uint32_t receiver;
	uint64_t counter;
	/* sealed inner packet, then the tag */
};

_Static_assert(sizeof(struct message_initiation) == 148, "paper 5.4.2");
_Static_assert(sizeof(struct message_response) == 92, "paper 5.4.3");
_Static_assert(sizeof(struct message_cookie) == 64, "paper 5.4.7");
_Static_assert(sizeof(struct message_data) == 16, "paper 5.4.6");

#define DATA_HEADER_LEN	  16
#define DATA_OVERHEAD	  (DATA_HEADER_LEN + AEAD_TAG_LEN)
#define PADDING_MULTIPLE  16
#define MESSAGE_LEN_MAX	  65507 /* what fits a UDP datagram over IPv4 */

#define REKEY_AFTER_MESSAGES  (1ull << 60)
#define REJECT_AFTER_MESSAGES (UINT64_MAX - (1ull << 13))
#define REKEY_AFTER_TIME      (120 * NS_PER_SEC)
#define REJECT_AFTER_TIME     (180 * NS_PER_SEC)
#define REKEY_ATTEMPT_TIME    (90 * NS_PER_SEC)
#define REKEY_TIMEOUT	      (5 * NS_PER_SEC)
#define REKEY_TIMEOUT_JITTER  (334 * NS_PER_MS)
#define KEEPALIVE_TIMEOUT     (10 * NS_PER_SEC)
#define COOKIE_SECRET_LIFE    (120 * NS_PER_SEC)
#define COOKIE_LATENCY	      (5 * NS_PER_SEC)
#define INITIATION_INTERVAL   (NS_PER_SEC / 50) /* per peer: faster ones are a flood */
#define HANDSHAKE_ATTEMPTS    18		    /* REKEY_ATTEMPT_TIME / REKEY_TIMEOUT */

#define REPLAY_WINDOW_BITS 8192
#define STAGED_MAX	   128 /* packets a peer may hold while a handshake runs */

#endif
