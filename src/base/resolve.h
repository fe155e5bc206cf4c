/* Host names to addresses, off the control thread. */
#ifndef WEIR_BASE_RESOLVE_H
#define WEIR_BASE_RESOLVE_H

#include "base/endpoint.h"
#include "base/loop.h"

struct resolver;
struct resolve_query;

/* A few helper threads run getaddrinfo; answers come back in the loop's thread. */
struct resolver *resolver_new(struct loop *loop);
void resolver_free(struct resolver *r); /* outstanding queries are cancelled */

/*
 * Asks for host:port. fn gets the first address in the system's order of preference, or a NULL address with
 * gai_error (an EAI_* value).
 * The handle is valid until fn returns or resolve_cancel. fn may free the resolver.
 */
struct resolve_query *resolve_start(struct resolver *r, const char *host, const char *port,
				    void (*fn)(void *arg, const union address *found, int gai_error),
				    void *arg);

/* The same with all addresses, at most RESOLVE_MAX, in that order; none with gai_error. */
#define RESOLVE_MAX 8
struct resolve_query *
resolve_all(struct resolver *r, const char *host, const char *port,
	    void (*fn)(void *arg, const union address *found, size_t count, int gai_error), void *arg);
void resolve_cancel(struct resolve_query *q);

#endif
