/* Test vectors as text. */
#ifndef WEIR_TESTS_HEX_H
#define WEIR_TESTS_HEX_H

#include <sodium.h>
#include <string.h>

/* Reads exactly len bytes; a vector of another length fails the test that uses it. */
static inline void from_hex(void *out, size_t len, const char *text)
{
	size_t got;

	assert_int_equal(sodium_hex2bin(out, len, text, strlen(text), NULL, &got, NULL), 0);
	assert_int_equal(got, len);
}

static inline void assert_hex(const void *got, size_t len, const char *text)
{
	uint8_t want[1024];

	assert_in_range(len, 0, sizeof(want));
	from_hex(want, len, text);
	assert_memory_equal(got, want, len);
}

#endif
