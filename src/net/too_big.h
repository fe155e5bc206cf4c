/* What a sender is told about a packet that is too big for the way ahead (RFC 1191, RFC 4443 section 3.2).
 * Pure. */
#ifndef WEIR_NET_TOO_BIG_H
#define WEIR_NET_TOO_BIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TOO_BIG_REPLY_MAX 1280
#define IP6_MTU_MIN	  1280 /* RFC 8200 section 5 */

/* Nobody on the way may fragment it: IPv6, or DF. The packet has at least its IP header. */
bool too_big_for_good(const uint8_t *packet);

/*
 * The ICMP error for its sender, with `mtu` as what fits. Its length, or 0 when no error may be sent about
 * such a packet (RFC 1122 section 3.2.2, RFC 4443 section 2.4). `out` has room for TOO_BIG_REPLY_MAX.
 */
size_t too_big_reply(uint8_t *out, const uint8_t *packet, size_t len, unsigned mtu);

#endif
