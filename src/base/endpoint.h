/* An outer address pair: where a peer is, and which of our addresses to use towards it. */
#ifndef WEIR_BASE_ENDPOINT_H
#define WEIR_BASE_ENDPOINT_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

union address {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

struct endpoint {
	union address remote; /* sa_family AF_UNSPEC: no endpoint known */
	union {		      /* sticky source address; all zero: the kernel chooses */
		struct in_addr in;
		struct in6_addr in6;
	} local;
	uint32_t ifindex; /* interface that goes with local, 0: any */
	uint32_t via;	  /* 0: by the device's UDP sockets; else a channel (engine/channel.h) that knows its own way: then
			   * remote may be AF_UNSPEC and the endpoint is known all the same */
};

/* "192.0.2.1:51820", "[2001:db8::1]:51820", "[fe80::1%eth0]:51820"; "(none)" for AF_UNSPEC. */
#define ADDRESS_TEXT 80
const char *address_format(char out[ADDRESS_TEXT], const union address *a);

/* Reads the same forms (numeric only, no names). False leaves *a alone. */
bool address_parse(union address *a, const char *text);

bool address_same_host(const union address *a, const union address *b); /* whatever the ports; false for no family */
bool address_equal(const union address *a, const union address *b);	 /* address, port and scope */
bool endpoint_equal(const struct endpoint *a, const struct endpoint *b); /* remote, source and via */
bool endpoint_known(const struct endpoint *e);
void endpoint_forget_source(struct endpoint *e);
socklen_t address_len(const union address *a);
bool address_is_unicast(const union address *a); /* one host: not any, no group, not everybody */
bool address_is_loopback(const union address *a);
bool address_is_link_local(const union address *a);

#endif
