/* For the tests of net: packets made and judged by slow, obvious code, and a network of one's own. */
#ifndef WEIR_TESTS_NET_HELP_H
#define WEIR_TESTS_NET_HELP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/netlink.h"

/* A deterministic generator, so that a failure can be repeated. */
uint32_t random_next(void);
uint32_t random_below(uint32_t limit);
void random_fill(void *out, size_t len);

/* RFC 1071, a byte pair at a time; 0 for a buffer whose checksum field is right. */
uint16_t naive_checksum(const uint8_t *p, size_t len, uint32_t start);

struct packet_spec {
	int version;  /* 4 or 6 */
	int protocol; /* IPPROTO_TCP or IPPROTO_UDP */
	uint8_t tos, ttl, flags;
	bool df;
	uint16_t id, sport, dport, window;
	uint32_t seq, ack, flow_label;
	uint8_t host;	    /* last byte of the source address */
	size_t tcp_options; /* bytes, a multiple of 4 */
	size_t extensions;  /* bytes of IPv6 destination options, a multiple of 8 */
	size_t ip_options;  /* bytes of IPv4 options, a multiple of 4 */
	const uint8_t *payload;
	size_t payload_len;
};

/* Builds a packet with right checksums into out; its length. */
size_t packet_build(uint8_t *out, const struct packet_spec *s);

struct packet_view {
	int version, protocol;
	size_t ip_len, header_len, payload_len;
	const uint8_t *transport, *payload;
};

/* Takes a packet apart; false if a length or checksum in it is wrong. */
bool packet_check(struct packet_view *v, const uint8_t *p, size_t len);

/* Sum of the pseudo-header, as naive_checksum's start. */
uint32_t naive_pseudo(const uint8_t *p, int protocol, size_t len);

/* Moves this process into an empty network namespace with lo up; false where that is not allowed. */
bool own_network(void);

/* Deletes a link of the network where this thread is. */
void delete_link(int ifindex);

/* Parses "10.0.0.1/24" and the like. */
struct ip_prefix prefix(const char *text);

#endif
