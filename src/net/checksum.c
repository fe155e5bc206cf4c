#include "net/checksum.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* Below this the set-up of vectors costs more than it saves. */
#define VECTOR_MIN 128

/*
 * RFC 1071 section 2(A), (B): the sum may be taken in any word size and byte order, as long as carries wrap
 * around. 2^64 - 1 is a multiple of 2^16 - 1, so 64-bit words with an end-around carry fold to the same 16
 * bits.
 */
static inline uint64_t add_carry(uint64_t sum, uint64_t word)
{
	sum += word;
	return sum + (sum < word);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

/* The last 0 to 7 bytes, padded with zeros behind. */
static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, p, len);
	return word;
}

static uint64_t add_scalar(uint64_t sum, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, len -= 8)
		sum = add_carry(sum, load64(p));
	if (len)
		sum = add_carry(sum, load_tail(p, len));
	return sum;
}

static uint64_t copy_scalar(uint64_t sum, uint8_t *to, const uint8_t *p, size_t len)
{
	for (; len >= 8; p += 8, to += 8, len -= 8) {
		uint64_t word = load64(p);

		memcpy(to, &word, sizeof(word));
		sum = add_carry(sum, word);
	}
	if (len) {
		sum = add_carry(sum, load_tail(p, len));
		memcpy(to, p, len);
	}
	return sum;
}

#if defined(__x86_64__)

/* Adds eight 32-bit words to four 64-bit lanes; a lane can take 2^32 of them before it overflows. */
__attribute__((target("avx2"))) static inline __m256i add_words(__m256i lanes, __m256i words)
{
	const __m256i zero = _mm256_setzero_si256();

	lanes = _mm256_add_epi64(lanes, _mm256_unpacklo_epi32(words, zero));
	return _mm256_add_epi64(lanes, _mm256_unpackhi_epi32(words, zero));
}

__attribute__((target("avx2"))) static inline uint64_t add_lanes(uint64_t sum, __m256i lanes)
{
	uint64_t lane[4];

	_mm256_storeu_si256((__m256i *)lane, lanes);
	for (int i = 0; i < 4; i++)
		sum = add_carry(sum, lane[i]);
	return sum;
}

__attribute__((target("avx2"))) static uint64_t add_avx2(uint64_t sum, const uint8_t *p, size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a;

	for (; len >= 64; p += 64, len -= 64) {
		a = add_words(a, _mm256_loadu_si256((const __m256i *)p));
		b = add_words(b, _mm256_loadu_si256((const __m256i *)(p + 32)));
	}
	return add_scalar(add_lanes(sum, _mm256_add_epi64(a, b)), p, len);
}

__attribute__((target("avx2"))) static uint64_t copy_avx2(uint64_t sum, uint8_t *to, const uint8_t *p,
							  size_t len)
{
	__m256i a = _mm256_setzero_si256(), b = a;

	for (; len >= 64; p += 64, to += 64, len -= 64) {
		__m256i low = _mm256_loadu_si256((const __m256i *)p);
		__m256i high = _mm256_loadu_si256((const __m256i *)(p + 32));

		_mm256_storeu_si256((__m256i *)to, low);
		_mm256_storeu_si256((__m256i *)(to + 32), high);
		a = add_words(a, low);
		b = add_words(b, high);
	}
	return copy_scalar(add_lanes(sum, _mm256_add_epi64(a, b)), to, p, len);
}

/* Constant for the life of the process, so a compiler and a CPU both treat it as free. */
static bool has_avx2;

__attribute__((constructor)) static void choose(void)
{
	__builtin_cpu_init();
	has_avx2 = __builtin_cpu_supports("avx2");
}

#else

static const bool has_avx2;
#define add_avx2  add_scalar
#define copy_avx2 copy_scalar

#endif

uint64_t checksum_add(uint64_t sum, const void *bytes, size_t len)
{
	return len >= VECTOR_MIN && has_avx2 ? add_avx2(sum, bytes, len) : add_scalar(sum, bytes, len);
}

uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t len)
{
	return len >= VECTOR_MIN && has_avx2 ? copy_avx2(sum, to, from, len)
					     : copy_scalar(sum, to, from, len);
}

uint16_t checksum_finish(uint64_t sum)
{
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 32) + (sum & 0xffffffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~sum;
}

uint64_t checksum_pseudo(const void *ip, unsigned protocol, size_t len)
{
	const uint8_t *p = ip;
	/* The protocol is one byte behind a zero byte, the length 16 (IPv4) or 32 bits (IPv6). */
	uint64_t sum = add_carry(htons((uint16_t)protocol), htonl((uint32_t)len));

	if (p[0] >> 4 == 6)
		return add_scalar(sum, p + 8, 32);
	return add_scalar(sum, p + 12, 8);
}
