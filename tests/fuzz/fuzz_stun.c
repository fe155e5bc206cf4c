/* Datagrams to the STUN port: an answer is well formed, goes to requests alone, and is no request itself. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "relay/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *data, size_t size, const union address *from,
		  const union address places[STUN_PLACES])
{
	struct stun_response out, again;
	enum stun_verdict v = stun_answer(data, size, from, places, &out);

	assert((out.len > 0) == (v == STUN_ANSWERED || v == STUN_UNKNOWN_ATTRIBUTES));
	if (!out.len)
		return;
	assert(out.len <= STUN_RESPONSE_MAX && out.len % 4 == 0 && out.len <= STUN_FACTOR * size);
	assert((size_t)(out.bytes[2] << 8 | out.bytes[3]) == out.len - STUN_HEADER);
	assert(!memcmp(out.bytes + 4, data + 4, 16));
	assert(!out.place || places[out.place].sa.sa_family != AF_UNSPEC);
	stun_answer(out.bytes, out.len, from, places, &again);
	assert(!again.len);
}

/* With one place, with another port, and with another address besides. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const union address four = {.in = {.sin_family = AF_INET, .sin_port = 4242}};
	const union address six = {.in6 = {.sin6_family = AF_INET6, .sin6_port = 4242}};
	const union address fours[STUN_PLACES] = {four, four, four, four},
			    sixes[STUN_PLACES] = {six, six, six, six};
	union address some[STUN_PLACES];

	memset(some, 0, sizeof(some));
	check(data, size, &four, some);
	check(data, size, &six, some);
	some[STUN_SAME_PLACE] = some[STUN_OTHER_PORT] = four;
	check(data, size, &four, some);
	some[STUN_SAME_PLACE] = some[STUN_OTHER_PORT] = six;
	check(data, size, &six, some);
	check(data, size, &four, fours);
	check(data, size, &six, sixes);
	return 0;
}
