#include "crypto/primitives.h"

#include <blake2.h>
#include <errno.h>
#include <sodium.h>
#include <string.h>

#define BLOCK_LEN 64 /* of BLAKE2s; HMAC pads its key to that */

int crypto_init(void)
{
	uint8_t hash[HASH_LEN];

	if (sodium_init() < 0)
		return -EIO;
	/* libb2 picks its code for this CPU at first use; do that before there are threads. */
	blake2s_256(hash, "", 0, NULL, 0);
	return 0;
}

void crypto_random(void *out, size_t len)
{
	randombytes_buf(out, len);
}

void crypto_wipe(void *ptr, size_t len)
{
	sodium_memzero(ptr, len);
}

bool crypto_equal(const void *a, const void *b, size_t len)
{
	return sodium_memcmp(a, b, len) == 0;
}

void blake2s_256(uint8_t out[HASH_LEN], const void *a, size_t a_len, const void *b, size_t b_len)
{
	blake2s_state state;

	blake2s_init(&state, HASH_LEN);
	if (a_len)
		blake2s_update(&state, a, a_len);
	if (b_len)
		blake2s_update(&state, b, b_len);
	blake2s_final(&state, out, HASH_LEN);
	sodium_memzero(&state, sizeof(state));
}

void blake2s_mac(uint8_t out[MAC_LEN], const void *key, size_t key_len, const void *in, size_t len)
{
	blake2s_state state;

	blake2s_init_key(&state, MAC_LEN, key, key_len);
	if (len)
		blake2s_update(&state, in, len);
	blake2s_final(&state, out, MAC_LEN);
	sodium_memzero(&state, sizeof(state));
}

/* RFC 2104: H(key ^ opad, H(key ^ ipad, in)). */
void hmac_blake2s(uint8_t out[HASH_LEN], const uint8_t *key, size_t key_len, const void *in, size_t len)
{
	uint8_t pad[BLOCK_LEN] = {0}, inner[HASH_LEN];

	if (key_len > BLOCK_LEN)
		blake2s_256(pad, key, key_len, NULL, 0);
	else if (key_len)
		memcpy(pad, key, key_len);
	for (int i = 0; i < BLOCK_LEN; i++)
		pad[i] ^= 0x36;
	blake2s_256(inner, pad, BLOCK_LEN, in, len);
	for (int i = 0; i < BLOCK_LEN; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	blake2s_256(out, pad, BLOCK_LEN, inner, HASH_LEN);
	sodium_memzero(pad, sizeof(pad));
	sodium_memzero(inner, sizeof(inner));
}

void sha256(uint8_t out[HASH_LEN], const void *in, size_t len)
{
	crypto_hash_sha256(out, in, len);
}

void hmac_sha256(uint8_t out[HASH_LEN], const uint8_t key[HASH_LEN], const void *in, size_t len)
{
	crypto_auth_hmacsha256(out, in, len, key);
}

/* Paper 5.4: t0 = HMAC(key, in), t1 = HMAC(t0, 1), t_n = HMAC(t0, t_{n-1} | n). */
void kdf(uint8_t out1[HASH_LEN], uint8_t out2[HASH_LEN], uint8_t out3[HASH_LEN],
	 const uint8_t chaining_key[HASH_LEN], const void *in, size_t len)
{
	uint8_t *const outs[] = {out1, out2, out3};
	uint8_t root[HASH_LEN], t[HASH_LEN + 1];
	int wanted = out3 ? 3 : out2 ? 2 : 1;

	hmac_blake2s(root, chaining_key, HASH_LEN, in, len);
	for (int i = 0; i < wanted; i++) {
		t[HASH_LEN] = (uint8_t)(i + 1);
		hmac_blake2s(t, root, HASH_LEN, i ? t : t + HASH_LEN, i ? HASH_LEN + 1 : 1);
		if (outs[i])
			memcpy(outs[i], t, HASH_LEN);
	}
	sodium_memzero(root, sizeof(root));
	sodium_memzero(t, sizeof(t));
}

/* RFC 7748 section 5, decodeScalar25519. */
void dh_clamp(struct key *secret)
{
	secret->bytes[0] &= 248;
	secret->bytes[31] &= 127;
	secret->bytes[31] |= 64;
}

void dh_keypair(struct key *secret, struct key *public)
{
	randombytes_buf(secret->bytes, KEY_LEN);
	dh_clamp(secret);
	dh_public(public, secret);
}

void dh_public(struct key *public, const struct key *secret)
{
	crypto_scalarmult_curve25519_base(public->bytes, secret->bytes);
}

bool dh(struct key *shared, const struct key *secret, const struct key *public)
{
	/* -1 for the points of small order, and for any other way to an all-zero result. */
	if (crypto_scalarmult_curve25519(shared->bytes, secret->bytes, public->bytes) == 0)
		return true;
	sodium_memzero(shared, sizeof(*shared));
	return false;
}

static void counter_nonce(uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES], uint64_t counter)
{
	memset(nonce, 0, 4);
	for (int i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(counter >> (8 * i));
}

void aead_seal_small(uint8_t *out, const void *in, size_t len, const void *ad, size_t ad_len,
		     uint64_t counter, const struct key *key)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	counter_nonce(nonce, counter);
	crypto_aead_chacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key->bytes);
}

bool aead_open_small(uint8_t *out, const uint8_t *in, size_t len, const void *ad, size_t ad_len,
		     uint64_t counter, const struct key *key)
{
	uint8_t nonce[crypto_aead_chacha20poly1305_ietf_NPUBBYTES];

	counter_nonce(nonce, counter);
	if (len < AEAD_TAG_LEN)
		return false;
	if (crypto_aead_chacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce,
						      key->bytes) == 0)
		return true;
	sodium_memzero(out, len - AEAD_TAG_LEN);
	return false;
}

void xaead_seal(uint8_t *out, const void *in, size_t len, const void *ad, size_t ad_len,
		const uint8_t nonce[XAEAD_NONCE_LEN], const struct key *key)
{
	crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, in, len, ad, ad_len, NULL, nonce, key->bytes);
}

bool xaead_open(uint8_t *out, const uint8_t *in, size_t len, const void *ad, size_t ad_len,
		const uint8_t nonce[XAEAD_NONCE_LEN], const struct key *key)
{
	if (len < AEAD_TAG_LEN)
		return false;
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, in, len, ad, ad_len, nonce,
						       key->bytes) == 0)
		return true;
	sodium_memzero(out, len - AEAD_TAG_LEN);
	return false;
}
