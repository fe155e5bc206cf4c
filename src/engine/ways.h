/* Which interface the kernel would send by, and whether that is a tunnel: answers are kept for a few seconds.
 */
#ifndef WEIR_ENGINE_WAYS_H
#define WEIR_ENGINE_WAYS_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"

struct engine;

#define WAYS_KEPT 64

struct way_into {
	char interface[IF_NAMESIZE];
	bool local;  /* the address is our own */
	bool own;    /* our tunnel */
	bool tunnel; /* another one */
};

struct ways { /* all zero: empty */
	struct {
		union address to;
		uint64_t at;
		struct way_into into;
	} kept[WAYS_KEPT];
};

/* With the mark of our sockets, or 0 for packets of this host's programs: each mark has a struct ways of its own.
 * False: no route, or the address is unknown. */
bool ways_look(struct engine *g, struct ways *w, uint32_t mark, const union address *to, struct way_into *out);
void ways_forget(struct ways *w);

#endif
