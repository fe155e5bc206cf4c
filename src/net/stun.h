/* STUN Binding from the client's side (RFC 8489), with what RFC 5780 adds to find out about NATs. Pure. */
#ifndef WEIR_NET_STUN_H
#define WEIR_NET_STUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"

#define ASK_TRANSACTION 12
#define ASK_MIN		28 /* header and CHANGE-REQUEST */

/* What CHANGE-REQUEST asks for. ASK_OTHER: no change, only where else the server could be asked, which one
 * with two ports of a single address tells nobody who does not ask. */
enum ask_change { ASK_CHANGE_NONE = 0, ASK_CHANGE_PORT = 2, ASK_CHANGE_ADDRESS = 4, ASK_OTHER = 8 };

struct stun_reply {
	uint8_t transaction[ASK_TRANSACTION];
	bool success;		     /* false: an error, which is an answer, too */
	union address mapped, other; /* AF_UNSPEC: not told */
	union address origin;	     /* from where the server says that it answers */
};

/* A request of `len` bytes (a multiple of 4, ASK_MIN at least), filled up with an attribute that servers
 * ignore. */
void stun_ask(uint8_t *out, size_t len, const uint8_t transaction[ASK_TRANSACTION], unsigned change);

/* False: not a response to a Binding request, or not well formed. */
bool stun_read(const uint8_t *datagram, size_t len, struct stun_reply *out);

/* Whether `other` is another IP address than that which was asked, and not another port of it. A server
 * behind a NAT does not know by which address it was asked, but tells its own. */
bool stun_has_other_address(const struct stun_reply *r, const union address *asked);

/* The transaction of a Binding request, as it comes back to us by hairpin; NULL: it is none. */
const uint8_t *stun_request_transaction(const uint8_t *datagram, size_t len);

#endif
