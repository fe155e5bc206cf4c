/*
 * The primitives that WireGuard is made of, as thin names over libsodium and libb2, lengths in the types.
 * HKDF here is the paper's (section 5.4): HMAC-BLAKE2s.
 */
#ifndef WEIR_CRYPTO_PRIMITIVES_H
#define WEIR_CRYPTO_PRIMITIVES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"

#define HASH_LEN	32
#define AEAD_TAG_LEN	16
#define MAC_LEN		16
#define XAEAD_NONCE_LEN 24

/* Once per process, before anything else here. 0 or -EIO. */
int crypto_init(void);

void crypto_random(void *out, size_t len);
void crypto_wipe(void *ptr, size_t len);
bool crypto_equal(const void *a, const void *b, size_t len); /* constant time */

/* BLAKE2s-256 of the parts one after the other; a part with length 0 is skipped (RFC 7693). */
void blake2s_256(uint8_t out[HASH_LEN], const void *a, size_t a_len, const void *b, size_t b_len);

/* Keyed BLAKE2s with a 16-byte result: mac1, mac2 and cookies (paper 5.4.4, 5.4.7). key_len <= 32. */
void blake2s_mac(uint8_t out[MAC_LEN], const void *key, size_t key_len, const void *in, size_t len);

/* HMAC-BLAKE2s, for HKDF and its tests. */
void hmac_blake2s(uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len, const void *in, size_t len);

/* SHA-256, and HMAC-SHA256 under a key of that length: ids and tokens of the relay protocol. */
void sha256(uint8_t out[HASH_LEN], const void *in, size_t len);
void hmac_sha256(uint8_t out[HASH_LEN], const uint8_t key[HASH_LEN], const void *in, size_t len);

/* KDF_n of the paper: n = 1..3 outputs; those not wanted are NULL. out1 may be the chaining key itself. */
void kdf(uint8_t out1[HASH_LEN], uint8_t out2[HASH_LEN], uint8_t out3[HASH_LEN],
	 const uint8_t chaining_key[HASH_LEN], const void *in, size_t len);

/* X25519. dh() is false when the result is all zero (a low-order point, RFC 7748 section 6.1). */
void dh_clamp(struct key *secret);
void dh_keypair(struct key *secret, struct key *public);
void dh_public(struct key *public, const struct key *secret);
bool dh(struct key *shared, const struct key *secret, const struct key *public);

/*
 * ChaCha20-Poly1305 (RFC 8439) for handshake fields; the nonce is 32 zero bits and the little-endian counter.
 * seal writes len + AEAD_TAG_LEN bytes; open takes len including the tag, and on failure leaves out wiped.
 */
void aead_seal_small(uint8_t *out, const void *in, size_t len, const void *ad, size_t ad_len,
		     uint64_t counter, const struct key *key);
bool aead_open_small(uint8_t *out, const uint8_t *in, size_t len, const void *ad, size_t ad_len,
		     uint64_t counter, const struct key *key);

/* XChaCha20-Poly1305 with a 24-byte nonce: cookie replies (paper 5.4.7) and sealed control frames. */
void xaead_seal(uint8_t *out, const void *in, size_t len, const void *ad, size_t ad_len,
		const uint8_t nonce[XAEAD_NONCE_LEN], const struct key *key);
bool xaead_open(uint8_t *out, const uint8_t *in, size_t len, const void *ad, size_t ad_len,
		const uint8_t nonce[XAEAD_NONCE_LEN], const struct key *key);

/*
 * Memory for secrets: locked and left out of core dumps where the limits allow, zeroed, wiped when freed.
 * Objects of 64 bytes and more are aligned to 64, smaller ones to 16. Any thread; never NULL.
 */
void *secret_alloc(size_t size);
void secret_free(void *ptr);

#endif
