/* Which routes a configuration asks for. Pure. */
#ifndef WEIR_SYSTEM_ROUTES_H
#define WEIR_SYSTEM_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/conf.h"
#include "net/netlink.h"

struct route {
	struct ip_prefix to; /* host bits are off, bytes behind the address are zero */
	uint32_t table;	     /* 0: main */
};

struct routes {
	struct route *items; /* most specific first; no two are equal */
	size_t count;
};

/*
 * One route for each allowed prefix. With Table = auto those that an address of the interface covers are left
 * out, because the kernel makes that route by itself, and default routes go into policy_table. Table = off:
 * none.
 */
void routes_wanted(struct routes *r, const struct conf *c, uint32_t policy_table);
void routes_clear(struct routes *r);
bool routes_have(const struct routes *r, const struct route *route);

/* Does the file ask for a default route of this family by policy routing (Table = auto)? */
bool routes_default(const struct conf *c, int family);

struct ip_prefix prefix_network(const struct conf_prefix *p); /* without host bits */
struct ip_prefix prefix_host(const struct conf_prefix *p);    /* with them */
const char *prefix_text(char out[64], const struct ip_prefix *p);

#endif
