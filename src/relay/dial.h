/*
 * One dial: a name to addresses, to a connected TCP socket, through an HTTP proxy if there is one. In the
 * control thread, without ever blocking it. While nothing answers, a new connection is tried beside those
 * that wait every 0.7 s (the kernel's own repeats come after 1, 3 and 7 s): a server that comes back is found
 * within that time.
 */
#ifndef WEIR_RELAY_DIAL_H
#define WEIR_RELAY_DIAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/loop.h"
#include "base/resolve.h"
#include "relay/failure.h"
#include "relay/proxy.h"

struct dial;

struct dial_target {
	const char *host; /* without brackets */
	uint16_t port;
	struct relay_proxy proxy; /* host "": none */
	union address last_good;  /* worth a try when the name does not resolve; AF_UNSPEC: none */
	uint32_t fwmark;	  /* on each socket, 0: none */
	const char *bind_not;	  /* interface that the way must not lead into, NULL: none */
	bool foreign;		  /* a peer named it: it cannot be this machine itself, nor on a link alone */
};

struct dial_result {
	int fd;		    /* the caller's from now on; -1: failed */
	union address used; /* where it leads, the proxy's if there is one */
	enum relay_failure failure;
	bool refused; /* failed in a way that trying again soon will not change */
	char error[160];
};

/* fn is called once, from the loop, unless it is cancelled; the dial is gone before. */
struct dial *dial_start(struct loop *loop, struct resolver *resolver, const struct dial_target *target,
			void (*fn)(void *arg, const struct dial_result *result), void *arg);
void dial_cancel(struct dial *d); /* NULL is allowed */

#endif
