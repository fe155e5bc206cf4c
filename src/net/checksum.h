/* Internet checksums (RFC 1071), with a vector path chosen once at run time. */
#ifndef WEIR_NET_CHECKSUM_H
#define WEIR_NET_CHECKSUM_H

#include <stddef.h>
#include <stdint.h>

/* Adds bytes to a running sum (not folded); an odd length is padded with a zero byte. */
uint64_t checksum_add(uint64_t sum, const void *bytes, size_t len);

/* Copies and sums at once. */
uint64_t checksum_copy(uint64_t sum, void *to, const void *from, size_t len);

/* One's complement of the folded sum, in network byte order as stored in memory. */
uint16_t checksum_finish(uint64_t sum);

/* Pseudo-header sum of an IPv4 or IPv6 packet at ip, for a transport part of len bytes. */
uint64_t checksum_pseudo(const void *ip, unsigned protocol, size_t len);

#endif
