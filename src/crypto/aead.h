/*
 * Bulk ChaCha20-Poly1305 for packets. One context per thread: libipsec-mb keeps per-manager scratch space.
 * libipsec-mb is used where it was built in and the CPU has at least AVX2; libsodium elsewhere.
 */
#ifndef WEIR_CRYPTO_AEAD_H
#define WEIR_CRYPTO_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"

struct aead;

struct aead *aead_new(void);
struct aead *aead_new_portable(void); /* always libsodium: what the other is compared with */
void aead_free(struct aead *a);

/* "libipsec-mb avx512", "libsodium"...: for status and benchmarks. */
const char *aead_name(const struct aead *a);

/*
 * In place: seals len bytes at data and writes the 16-byte tag behind them. Empty associated data.
 * Nonce: 32 zero bits, then the little-endian counter (paper 5.4.6).
 */
void aead_seal(struct aead *a, const struct key *key, uint64_t counter, uint8_t *data, size_t len);

/* In place: opens len bytes (without the tag, which follows them). False: forged; data must not be used. */
bool aead_open(struct aead *a, const struct key *key, uint64_t counter, uint8_t *data, size_t len);

#endif
