/*
 * STUN Binding (RFC 8489), the little that a server without accounts needs: what is your address as I see it.
 * Requests without the magic cookie (RFC 3489, which libnice 0.1.21 still sends) are answered in that manner.
 * Pure.
 */
#ifndef WEIR_RELAY_STUN_H
#define WEIR_RELAY_STUN_H

#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define STUN_HEADER	  20
#define STUN_RESPONSE_MAX 80

enum stun_verdict {
	STUN_ANSWERED,
	STUN_UNKNOWN_ATTRIBUTES, /* answered with error 420 */
	STUN_NOT_STUN,		 /* no answer from here on */
	STUN_NOT_REQUEST,	 /* a response, an indication or another method */
	STUN_MALFORMED,
	STUN_VERDICTS
};

/* Writes the answer to a datagram from `from`; *len is its length, 0 when there is none. */
enum stun_verdict stun_answer(const uint8_t *request, size_t request_len, const union address *from,
			      uint8_t out[STUN_RESPONSE_MAX], size_t *len);

#endif
