/*
 * STUN Binding (RFC 8489), the little that a server without accounts needs: what is your address as I see it;
 * and from where else that can be asked and answered, which tells what kind of NAT is between (RFC 5780).
 * Requests without the magic cookie (RFC 3489, which libnice 0.1.21 still sends) are answered in that manner.
 * Pure.
 */
#ifndef WEIR_RELAY_STUN_H
#define WEIR_RELAY_STUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define STUN_HEADER	  20
#define STUN_RESPONSE_MAX 116
#define STUN_FACTOR	  4 /* a response is never longer than so many times its request */

/* Where a response can come from: bits, counted from where the request came to. */
enum stun_place { STUN_SAME_PLACE, STUN_OTHER_PORT = 1, STUN_OTHER_ADDRESS = 2, STUN_PLACES = 4 };

struct stun_response {
	uint8_t bytes[STUN_RESPONSE_MAX];
	size_t len;	/* 0: there is none */
	unsigned place; /* from where it must be sent */
};

enum stun_verdict {
	STUN_ANSWERED,
	STUN_UNKNOWN_ATTRIBUTES, /* answered with error 420 */
	STUN_NOT_STUN,		 /* no answer from here on */
	STUN_NOT_REQUEST,	 /* a response, an indication or another method */
	STUN_MALFORMED,
	STUN_VERDICTS
};

/* The response to a datagram from `from`. places: our addresses as they are seen from where it came to;
 * AF_UNSPEC where there is none. */
enum stun_verdict stun_answer(const uint8_t *request, size_t request_len, const union address *from,
			      const union address places[STUN_PLACES], struct stun_response *out);

#endif
