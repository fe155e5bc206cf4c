/*
 * What is allowed but probably not meant (weir.conf(5), LINT). Prefixes are compared in sorted order with a
 * stack of those that enclose the one in hand, so that 100,000 of them take no longer than their sorting.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/xalloc.h"
#include "config/lint.h"
#include "crypto/primitives.h"
#include "relay/wire.h"

#define PREFIX_TEXT (INET6_ADDRSTRLEN + 4)

static const char *prefix_text(char out[PREFIX_TEXT], const struct conf_prefix *p)
{
	char address[INET6_ADDRSTRLEN];

	inet_ntop(p->family, p->addr, address, sizeof(address));
	snprintf(out, PREFIX_TEXT, "%s/%u", address, p->len);
	return out;
}

static size_t address_bytes(int family)
{
	return family == AF_INET ? 4 : 16;
}

static unsigned full_len(int family)
{
	return family == AF_INET ? 32 : 128;
}

/* Without its host bits. */
static struct conf_prefix network_of(const struct conf_prefix *p)
{
	struct conf_prefix n = *p;
	size_t whole = p->len / 8;

	if (whole < sizeof(n.addr)) {
		n.addr[whole] &= (uint8_t)(0xff00 >> (p->len % 8));
		memset(n.addr + whole + 1, 0, sizeof(n.addr) - whole - 1);
	}
	return n;
}

static bool contains(const struct conf_prefix *outer, const uint8_t *addr, unsigned len)
{
	size_t whole = outer->len / 8;
	unsigned rest = outer->len % 8;

	return len >= outer->len && !memcmp(outer->addr, addr, whole) &&
	       (!rest || !((outer->addr[whole] ^ addr[whole]) >> (8 - rest)));
}

/* ---- allowed IPs against each other ---- */

struct owned {
	struct conf_prefix net; /* host bits off */
	size_t peer;
	const struct owned *inside; /* the nearest that encloses it, NULL: none */
};

struct owned_list {
	struct owned *items;
	size_t count;
};

/* By network, then length. */
static int compare(const struct owned *a, const struct owned *b)
{
	int order = a->net.family - b->net.family;

	if (!order)
		order = memcmp(a->net.addr, b->net.addr, sizeof(a->net.addr));
	return order ? order : a->net.len - b->net.len;
}

/* Enclosing prefixes before what they enclose; of equal ones, the order of the file. */
static int by_place(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;
	int order = compare(x, y);

	if (!order)
		order = (x->peer > y->peer) - (x->peer < y->peer);
	return order ? order : x->net.line - y->net.line;
}

static struct owned_list all_allowed(const struct conf *c)
{
	struct owned_list all = {0};

	for (size_t i = 0; i < c->peer_count; i++)
		all.count += c->peers[i].allowed_count;
	all.items = xcalloc(all.count ? all.count : 1, sizeof(*all.items));
	all.count = 0;
	for (size_t i = 0; i < c->peer_count; i++)
		for (size_t j = 0; j < c->peers[i].allowed_count; j++)
			all.items[all.count++] = (struct owned){network_of(&c->peers[i].allowed[j]), i, NULL};
	qsort(all.items, all.count, sizeof(*all.items), by_place);
	return all;
}

static void lint_pair(const struct conf *c, const struct owned *outer, const struct owned *inner,
		      struct conf_messages *m)
{
	char a[PREFIX_TEXT], b[PREFIX_TEXT];

	prefix_text(a, &inner->net);
	prefix_text(b, &outer->net);
	if (!compare(outer, inner) && outer->peer == inner->peer)
		warn(m, inner->net.line, inner->net.column, "remove one of them",
		     "%s stands on line %d too, for the same peer", a, outer->net.line);
	else if (!compare(outer, inner))
		warn(m, inner->net.line, inner->net.column,
		     "the last one in the file gets it, the other loses it",
		     "%s is stolen from the peer of line %d, which lists it on line %d", a,
		     c->peers[outer->peer].line, outer->net.line);
	else if (outer->peer != inner->peer && outer->net.len)
		warn(m, inner->net.line, inner->net.column, "the longer prefix wins; fine if that is meant",
		     "%s lies inside %s of the peer of line %d", a, b, c->peers[outer->peer].line);
}

/* Also finds what each prefix lies inside of. */
static void lint_overlaps(const struct conf *c, struct owned_list *all, struct conf_messages *m)
{
	const struct owned *stack[129];
	size_t depth = 0;

	for (size_t i = 0; i < all->count; i++) {
		struct owned *o = &all->items[i];

		while (depth && (stack[depth - 1]->net.family != o->net.family ||
				 !contains(&stack[depth - 1]->net, o->net.addr, o->net.len)))
			depth--;
		if (depth)
			lint_pair(c, stack[depth - 1], o, m);
		/* Equal prefixes take one place: the last, which owns it. */
		if (depth && !compare(stack[depth - 1], o))
			depth--;
		o->inside = depth ? stack[depth - 1] : NULL;
		stack[depth++] = o;
	}
}

/* The longest prefix around an address, or NULL: the nearest before it in the order, or one that encloses
 * that. */
static const struct owned *find_around(const struct owned_list *all, int family, const void *addr)
{
	struct owned wanted = {.net = {.family = family, .len = (uint8_t)full_len(family)}};
	const struct owned *o;
	size_t low = 0, high = all->count;

	memcpy(wanted.net.addr, addr, address_bytes(family));
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (compare(&all->items[middle], &wanted) <= 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (o = low ? &all->items[low - 1] : NULL; o; o = o->inside)
		if (o->net.family == family && contains(&o->net, addr, full_len(family)))
			return o;
	return NULL;
}

/* ---- one peer ---- */

static void lint_host_bits(const struct conf_peer *p, struct conf_messages *m)
{
	for (size_t i = 0; i < p->allowed_count; i++) {
		struct conf_prefix net = network_of(&p->allowed[i]);
		char a[PREFIX_TEXT], b[PREFIX_TEXT];

		if (memcmp(net.addr, p->allowed[i].addr, sizeof(net.addr)))
			warn(m, net.line, net.column, NULL, "%s has bits set behind its prefix: it means %s",
			     prefix_text(a, &p->allowed[i]), prefix_text(b, &net));
	}
}

/*
 * A host outside that lies inside what the tunnel carries: packets to it would go into the tunnel that they
 * are to carry. The default route is exempt, because policy routing keeps marked packets out of it; a
 * narrower route is in the main table, which is asked before the mark. `what` is said of it; names are not
 * looked up.
 */
static void lint_loop(const struct conf *c, const char *what, const char *host, int line,
		      const struct owned_list *all, struct conf_messages *m)
{
	const struct owned *around;
	char text[PREFIX_TEXT];
	uint8_t addr[16];
	int family = strchr(host, ':') ? AF_INET6 : AF_INET;

	if (inet_pton(family, host, addr) != 1 || c->table != TABLE_AUTO || c->has_fwmark)
		return;
	around = find_around(all, family, addr);
	if (around && around->net.len)
		warn(m, line, 1, "route it around the tunnel, or narrow AllowedIPs",
		     "the %s %s lies inside AllowedIPs %s of line %d: its packets would loop", what, host,
		     prefix_text(text, &around->net), around->net.line);
}

static void lint_server_loops(const struct conf *c, const struct owned_list *all, struct conf_messages *m)
{
	const struct engine_network *n = &c->network;
	struct relay_url url;

	for (unsigned i = 0; i < n->url_count; i++)
		if (relay_url_parse(&url, n->urls[i]))
			lint_loop(c, "relay", url.host, c->lines.urls[i], all, m);
	for (unsigned i = 0; i < n->turn_count; i++)
		lint_loop(c, "TURN server", n->turn[i].host, c->lines.turn[i], all, m);
}

static void lint_peer(const struct conf *c, const struct conf_peer *p, const struct key *own,
		      const struct owned_list *all, struct conf_messages *m)
{
	if (c->has_private_key && key_equal(own, &p->public_key))
		warn(m, p->line, 1, "give the peer's own key; each host has its own pair",
		     "the PublicKey of this peer is that of this interface: the peer is ignored");
	if (!p->allowed_count)
		warn(m, p->line, 1, "add AllowedIPs",
		     "this peer has no AllowedIPs: nothing goes to it, nothing is taken from it");
	if (p->host && !p->keepalive && !c->listen_port && (p->mode == PEER_PLAIN || !c->network.url_count))
		warn(m, p->line, 1, "PersistentKeepalive = 25",
		     "without ListenPort we are probably behind a NAT, and without a keepalive this peer "
		     "cannot reach us "
		     "once the NAT forgets");
	lint_host_bits(p, m);
	if (p->host)
		lint_loop(c, "endpoint", p->host, p->endpoint_line, all, m);
}

/* ---- what must be different between peers ---- */

/* Value of `map` is a line; keys are hashed, because the map wants one length. */
static int first_line(struct map *map, const char *text, int line)
{
	uint8_t hash[HASH_LEN];
	uintptr_t before;

	blake2s_256(hash, text, strlen(text), NULL, 0);
	before = (uintptr_t)map_get(map, hash);
	if (!before)
		map_put(map, hash, (void *)(uintptr_t)line);
	return (int)before;
}

static void lint_twins(const struct conf *c, struct conf_messages *m)
{
	struct map *names = map_new(HASH_LEN), *endpoints = map_new(HASH_LEN);

	for (size_t i = 0; i < c->peer_count; i++) {
		const struct conf_peer *p = &c->peers[i];
		int before = p->name ? first_line(names, p->name, p->line) : 0;

		if (before)
			warn(m, p->line, 1, "commands will want the key",
			     "the peer of line %d is named \"%s\" too", before, p->name);
		if (p->host) {
			char *text = xasprintf("%s %s", p->host, p->port);

			before = first_line(endpoints, text, p->endpoint_line);
			if (before)
				warn(m, p->endpoint_line, 1, "one port answers for one key only",
				     "line %d has the same endpoint for another peer", before);
			free(text);
		}
	}
	map_free(names);
	map_free(endpoints);
}

/* ---- the interface ---- */

static void lint_addresses(const struct conf *c, struct conf_messages *m)
{
	for (size_t i = 0; i < c->address_count; i++) {
		const struct conf_prefix *a = &c->addresses[i];
		char text[PREFIX_TEXT];

		prefix_text(text, a);
		for (size_t j = 0; j < i; j++) {
			if (c->addresses[j].family == a->family &&
			    !memcmp(c->addresses[j].addr, a->addr, sizeof(a->addr))) {
				warn(m, a->line, a->column, "remove one of them", "%s stands on line %d too",
				     text, c->addresses[j].line);
				break;
			}
		}
		for (size_t j = 0; j < c->peer_count; j++) {
			for (size_t k = 0; k < c->peers[j].allowed_count; k++) {
				const struct conf_prefix *b = &c->peers[j].allowed[k];

				if (b->family != a->family || b->len != full_len(a->family) ||
				    memcmp(a->addr, b->addr, address_bytes(a->family)))
					continue;
				warn(m, b->line, b->column, "give the peer an address of its own",
				     "AllowedIPs names our own Address of line %d", a->line);
			}
		}
	}
}

static void lint_metrics(const struct conf *c, struct conf_messages *m)
{
	union address at;

	if (c->metrics && address_parse(&at, c->metrics) && !address_is_loopback(&at))
		warn(m, c->metrics_line, 1,
		     "use a loopback address or unix:PATH, or let a firewall guard the port",
		     "metrics at %s: whoever reaches it reads public keys, endpoints and allowed IPs",
		     c->metrics);
}

static bool uses_v6(const struct conf *c)
{
	for (size_t i = 0; i < c->address_count; i++)
		if (c->addresses[i].family == AF_INET6)
			return true;
	for (size_t i = 0; i < c->peer_count; i++)
		for (size_t j = 0; j < c->peers[i].allowed_count; j++)
			if (c->peers[i].allowed[j].family == AF_INET6)
				return true;
	return false;
}

#define USUAL_PATH  1500
#define OVERHEAD_V4 60 /* IPv4, UDP, header and tag of a data packet */

void conf_lint(const struct conf *c, struct conf_messages *m)
{
	struct owned_list all = all_allowed(c);
	struct key own = {{0}};

	if (c->has_private_key)
		dh_public(&own, &c->private_key);
	if (c->mtu && c->mtu < 1280 && uses_v6(c))
		warn(m, c->mtu_line, 1, "RFC 8200, section 5",
		     "MTU %d is below 1280: IPv6 will not work in the tunnel", c->mtu);
	/* Above the usual path's MTU somebody has chosen, for a path that carries more. */
	if (c->mtu > USUAL_PATH - OVERHEAD_V4 && c->mtu <= USUAL_PATH)
		warn(m, c->mtu_line, 1,
		     "1420 fits over IPv4 and IPv6; without MTU it is found from the route",
		     "MTU %d leaves no room for the 60 bytes (IPv6: 80) that WireGuard adds on a path of "
		     "1500: "
		     "large packets will be fragmented or lost",
		     c->mtu);
	if (c->dns_search.count && !c->dns_servers.count)
		warn(m, c->dns_line, 1, "add the address of a server",
		     "DNS has search domains only, which changes nothing");
	lint_metrics(c, m);
	lint_addresses(c, m);
	lint_overlaps(c, &all, m);
	for (size_t i = 0; i < c->peer_count; i++)
		lint_peer(c, &c->peers[i], &own, &all, m);
	lint_server_loops(c, &all, m);
	lint_twins(c, m);
	lint_network(c, m);
	free(all.items);
}
