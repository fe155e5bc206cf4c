#include "system/routes.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

struct ip_prefix prefix_host(const struct conf_prefix *p)
{
	struct ip_prefix out;

	/* Prefixes are compared as bytes: padding counts. */
	memset(&out, 0, sizeof(out));
	out.family = p->family;
	out.len = p->len;
	memcpy(out.addr, p->addr, p->family == AF_INET ? 4 : 16);
	return out;
}

struct ip_prefix prefix_network(const struct conf_prefix *p)
{
	struct ip_prefix out = prefix_host(p);
	size_t whole = out.len / 8;

	if (whole < sizeof(out.addr)) {
		out.addr[whole] &= (uint8_t)(0xff00 >> (out.len % 8));
		memset(out.addr + whole + 1, 0, sizeof(out.addr) - whole - 1);
	}
	return out;
}

const char *prefix_text(char out[64], const struct ip_prefix *p)
{
	char address[INET6_ADDRSTRLEN] = "";

	inet_ntop(p->family, p->addr, address, sizeof(address));
	snprintf(out, 64, "%s/%u", address, p->len);
	return out;
}

bool routes_default(const struct conf *c, int family)
{
	if (c->table != TABLE_AUTO)
		return false;
	for (size_t i = 0; i < c->peer_count; i++)
		for (size_t j = 0; j < c->peers[i].allowed_count; j++)
			if (c->peers[i].allowed[j].family == family && !c->peers[i].allowed[j].len)
				return true;
	return false;
}

/* The kernel's own route to an address's network, and the one host of an IPv6 address. */
static bool is_covered(const struct conf *c, const struct ip_prefix *p)
{
	for (size_t i = 0; i < c->address_count; i++) {
		struct conf_prefix narrowed = {.family = p->family, .len = c->addresses[i].len};
		struct ip_prefix network, same;

		if (c->addresses[i].family != p->family || c->addresses[i].len > p->len ||
		    (p->family == AF_INET && c->addresses[i].len == 32))
			continue;
		memcpy(narrowed.addr, p->addr, sizeof(narrowed.addr));
		network = prefix_network(&c->addresses[i]);
		same = prefix_network(&narrowed);
		if (!memcmp(&network, &same, sizeof(network)))
			return true;
	}
	return false;
}

/* Most specific first, so that a way is never missing while a wider one is there already. */
static int by_length(const void *a, const void *b)
{
	const struct route *x = a, *y = b;

	if (x->to.len != y->to.len)
		return y->to.len - x->to.len;
	return memcmp(&x->to, &y->to, sizeof(x->to));
}

void routes_wanted(struct routes *r, const struct conf *c, uint32_t policy_table)
{
	size_t room = 1, kept = 0;

	*r = (struct routes){0};
	if (c->table == TABLE_OFF)
		return;
	for (size_t i = 0; i < c->peer_count; i++)
		room += c->peers[i].allowed_count;
	r->items = xcalloc(room, sizeof(*r->items));
	for (size_t i = 0; i < c->peer_count; i++) {
		for (size_t j = 0; j < c->peers[i].allowed_count; j++) {
			struct route route = {prefix_network(&c->peers[i].allowed[j]), c->table_number};

			if (c->table == TABLE_AUTO) {
				if (is_covered(c, &route.to) && route.to.len)
					continue;
				route.table = route.to.len ? 0 : policy_table;
			}
			r->items[r->count++] = route;
		}
	}
	qsort(r->items, r->count, sizeof(*r->items), by_length);
	for (size_t i = 0; i < r->count; i++)
		if (!kept || by_length(&r->items[kept - 1], &r->items[i]))
			r->items[kept++] = r->items[i];
	r->count = kept;
}

void routes_clear(struct routes *r)
{
	free(r->items);
	*r = (struct routes){0};
}

bool routes_have(const struct routes *r, const struct route *route)
{
	const struct route *found =
		r->count ? bsearch(route, r->items, r->count, sizeof(*r->items), by_length) : NULL;

	return found && found->table == route->table;
}
