/* Datagrams to the STUN port: an answer is well formed, goes to requests alone, and is no request itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "relay/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size, const union address *from)
{
	uint8_t out[STUN_RESPONSE_MAX], again[STUN_RESPONSE_MAX];
	size_t len, none;
	enum stun_verdict v = stun_answer(data, size, from, out, &len);

	assert((len > 0) == (v == STUN_ANSWERED || v == STUN_UNKNOWN_ATTRIBUTES));
	if (!len)
		return;
	assert(len <= STUN_RESPONSE_MAX && len % 4 == 0);
	assert((size_t)(out[2] << 8 | out[3]) == len - STUN_HEADER);
	assert(!memcmp(out + 4, data + 4, 16));
	stun_answer(out, len, from, again, &none);
	assert(!none);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const union address four = {.in = {.sin_family = AF_INET, .sin_port = 4242}};
	const union address six = {.in6 = {.sin6_family = AF_INET6, .sin6_port = 4242}};

	check(data, size, &four);
	check(data, size, &six);
	return 0;
}
