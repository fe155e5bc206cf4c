#include "engine/ways.h"

#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "ice/ice.h"

#define FRESH (10 * NS_PER_SEC)

void ways_forget(struct ways *w)
{
	memset(w, 0, sizeof(*w));
}

static unsigned place(const union address *to)
{
	const uint8_t *bytes = to->sa.sa_family == AF_INET ? (const uint8_t *)&to->in.sin_addr
							   : (const uint8_t *)&to->in6.sin6_addr;
	unsigned hash = 0, len = to->sa.sa_family == AF_INET ? 4 : 16;

	for (unsigned i = 0; i < len; i++)
		hash = hash * 31 + bytes[i];
	return hash % WAYS_KEPT;
}

bool ways_look(struct engine *g, struct ways *w, uint32_t mark, const union address *to, struct way_into *out)
{
	const void *bytes = to->sa.sa_family == AF_INET ? (const void *)&to->in.sin_addr
							: (const void *)&to->in6.sin6_addr;
	uint64_t now = clock_boot_ns();
	struct netlink_way way;
	unsigned i = place(to);

	if (!g->netlink || (to->sa.sa_family != AF_INET && to->sa.sa_family != AF_INET6))
		return false;
	if (!w->kept[i].at || now - w->kept[i].at > FRESH || !address_same_host(&w->kept[i].to, to)) {
		memset(&w->kept[i], 0, sizeof(w->kept[i]));
		w->kept[i].to = *to;
		w->kept[i].at = now;
		if (!netlink_route_get(g->netlink, to->sa.sa_family, bytes, mark, &way)) {
			struct way_into *into = &w->kept[i].into;

			memcpy(into->interface, way.ifname, sizeof(into->interface));
			into->local = way.local;
			into->own = !way.local && way.ifindex == g->ifindex;
			into->tunnel = !way.local && !into->own && ice_interface_is_tunnel(way.ifname);
		}
	}
	*out = w->kept[i].into;
	return out->interface[0] != '\0';
}
