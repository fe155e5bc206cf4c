/* Whether a server is reached through an HTTP proxy, and which. */
#ifndef WEIR_RELAY_PROXY_H
#define WEIR_RELAY_PROXY_H

#include <stdbool.h>
#include <stdint.h>

struct relay_proxy {
	char host[200]; /* "": none */
	uint16_t port;
	char user[128]; /* "USER:PASSWORD" of its URL, or "" */
};

/* "http://[USER:PASSWORD@]HOST[:PORT]" or the same without a scheme. False: not that. */
bool relay_proxy_parse(struct relay_proxy *p, const char *text);

/* Is this host named by a NO_PROXY list ("*", names with their subdomains, addresses)? */
bool relay_proxy_exempt(const char *list, const char *host);

/* The proxy for a server: as configured, else as the environment says. False: what is set there cannot be
 * read. */
bool relay_proxy_choose(struct relay_proxy *p, const char *configured, const char *host, bool tls);

#endif
