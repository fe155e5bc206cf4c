/*
 * The host side of an interface. What is there now is kept beside what the file wants, and `reach` goes from
 * one to the other; up is reach from nothing, change is reach from the old file, and when it fails half-way,
 * reach goes back to where it came from.
 */
#include "system/system.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "net/netlink.h"
#include "system/dns.h"
#include "system/journal.h"
#include "system/policy.h"
#include "system/routes.h"
#include "system/run.h"

#define OVERHEAD     80 /* IPv6 40, UDP 8, header 16, tag 16: what a packet of the tunnel grows by */
#define MTU_FALLBACK 1420
#define MTU_MIN	     576
#define MTU_MAX	     (9000 - OVERHEAD) /* of real wires: a loopback route says 65536 */
#define LOGGED_MAX   16		       /* further routes are only counted */

struct system {
	char ifname[IFNAMSIZ];
	int ifindex;
	struct journal journal;
	struct netlink *netlink;
	struct run_outputs outputs;
	/* What is there now. */
	struct ip_prefix *addresses;
	size_t address_count;
	struct routes routes;
	int mtu; /* that we set, 0: none */
	bool up;
	uint32_t mark;	/* of policy routing, 0: off */
	bool policy[2]; /* IPv4, IPv6 */
};

static const int families[2] = {AF_INET, AF_INET6};

struct system *system_new(const char *ifname, int ifindex, const char *journal)
{
	struct system *s = xcalloc(1, sizeof(*s));

	snprintf(s->ifname, sizeof(s->ifname), "%s", ifname);
	s->ifindex = ifindex;
	journal_init(&s->journal, journal, ifname);
	return s;
}

void system_free(struct system *s)
{
	if (!s)
		return;
	netlink_close(s->netlink);
	run_outputs_close(&s->outputs);
	journal_clear(&s->journal);
	routes_clear(&s->routes);
	free(s->addresses);
	free(s);
}

struct run_outputs *system_outputs(struct system *s)
{
	return &s->outputs;
}

static int open_netlink(struct system *s, struct error *e)
{
	if (!s->netlink)
		s->netlink = netlink_open(e);
	return s->netlink ? 0 : -EIO;
}

/* ---- leftovers ---- */

int system_clean_leftovers(const char *journal, struct error *e)
{
	struct run_outputs outputs = {0};
	struct netlink *n;
	struct journal j;
	int count, r = journal_load(&j, journal, e);

	if (r)
		return r;
	count = (int)j.count;
	n = count ? netlink_open(e) : NULL;
	if (count && !n) {
		journal_clear(&j);
		return -EIO;
	}
	if (count) {
		log_notice("system", "%s: cleaning up after a run that did not end well", j.ifname);
		undo_all(n, &j, NULL, 0, &outputs);
	}
	run_outputs_close(&outputs);
	netlink_close(n);
	journal_clear(&j);
	return count;
}

/* ---- hooks ---- */

/* Stops at the first that fails when `strict`; otherwise it is a warning. */
static int run_hooks(struct system *s, const char *phase, const struct conf_list *hooks, bool strict,
		     struct error *e)
{
	int r = 0;

	for (size_t i = 0; !r && i < hooks->count; i++) {
		char *shown = xstrdup(hooks->items[i]);
		int status;

		run_mask_keys(shown);
		log_info("system", "%s: %s", phase, shown);
		status = run_command(hooks->items[i], s->ifname, phase, &s->outputs);
		if (status && strict)
			r = error_set(e, status < 0 ? -status : ECANCELED, "%s failed (status %d): %s", phase,
				      status, shown);
		else if (status)
			log_warn("system", "%s failed (status %d): %s", phase, status, shown);
		free(shown);
	}
	return r;
}

/* ---- addresses ---- */

static bool is_gone(int r)
{
	return r == -ENODEV || r == -ENXIO || r == -ESRCH || r == -EADDRNOTAVAIL || r == -ENOENT;
}

static bool has_address(const struct ip_prefix *list, size_t count, const struct ip_prefix *p)
{
	for (size_t i = 0; i < count; i++)
		if (!memcmp(&list[i], p, sizeof(*p)))
			return true;
	return false;
}

static int add_address(struct system *s, const struct ip_prefix *p, struct error *e)
{
	bool known = has_address(s->addresses, s->address_count, p);
	int r = netlink_address_add(s->netlink, s->ifindex, p);
	char text[64];

	prefix_text(text, p);
	if (r == -EEXIST)
		r = 0;
	if (r && p->family == AF_INET6 && (r == -EACCES || r == -EPERM || r == -EOPNOTSUPP))
		return error_set(e, -r,
				 "cannot add the address %s to %s: %s: IPv6 may be off here (sysctl "
				 "net.ipv6.conf.all.disable_ipv6), or the privilege is missing",
				 text, s->ifname, strerror(-r));
	if (r)
		return error_set(e, -r, "cannot add the address %s to %s: %s", text, s->ifname, strerror(-r));
	if (known)
		return 0;
	s->addresses = xrealloc(s->addresses, (s->address_count + 1) * sizeof(*p));
	s->addresses[s->address_count++] = *p;
	log_info("system", "address %s added to %s", text, s->ifname);
	return 0;
}

static void del_address(struct system *s, size_t index)
{
	char text[64];
	int r = netlink_address_del(s->netlink, s->ifindex, &s->addresses[index]);

	prefix_text(text, &s->addresses[index]);
	if (!r)
		log_info("system", "address %s removed from %s", text, s->ifname);
	else if (!is_gone(r))
		log_warn("system", "cannot remove the address %s from %s: %s", text, s->ifname, strerror(-r));
	memmove(&s->addresses[index], &s->addresses[index + 1],
		(--s->address_count - index) * sizeof(*s->addresses));
}

/*
 * New ones first: when the last IPv4 address goes, the kernel takes the routes with it. And once more at the
 * end, because the first address of a network takes the others of that network along.
 */
static int reach_addresses(struct system *s, const struct conf *c, bool *removed, struct error *e)
{
	struct ip_prefix *wanted = xcalloc(c->address_count + 1, sizeof(*wanted));
	int r = 0;

	*removed = false;
	for (size_t i = 0; i < c->address_count; i++)
		wanted[i] = prefix_host(&c->addresses[i]);
	for (size_t i = 0; !r && i < c->address_count; i++)
		if (!has_address(s->addresses, s->address_count, &wanted[i]))
			r = add_address(s, &wanted[i], e);
	for (size_t i = s->address_count; !r && i-- > 0;) {
		if (!has_address(wanted, c->address_count, &s->addresses[i])) {
			del_address(s, i);
			*removed = true;
		}
	}
	for (size_t i = 0; !r && *removed && i < c->address_count; i++)
		r = add_address(s, &wanted[i], e);
	free(wanted);
	return r;
}

/* ---- link ---- */

/* The smallest MTU on the ways to the endpoints that are numbers; names are not resolved yet. */
static int find_mtu(struct system *s, const struct conf *c)
{
	int least = 0;

	for (size_t i = 0; i < c->peer_count; i++) {
		const union address *a = &c->peers[i].endpoint;
		const void *addr =
			a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr : &a->in6.sin6_addr;
		int mtu;

		if (a->sa.sa_family == AF_UNSPEC)
			continue;
		mtu = netlink_route_mtu(s->netlink, a->sa.sa_family, addr, s->mark);
		if (mtu > 0 && (!least || mtu < least))
			least = mtu;
	}
	if (!least)
		least = netlink_default_mtu(s->netlink);
	if (least <= 0)
		return MTU_FALLBACK;
	least -= OVERHEAD;
	return least < MTU_MIN ? MTU_MIN : least > MTU_MAX ? MTU_MAX : least;
}

static int reach_link(struct system *s, const struct conf *c, struct error *e)
{
	int mtu = c->mtu ? c->mtu : find_mtu(s, c), r;

	if (s->up && s->mtu == mtu)
		return 0;
	r = netlink_link_set(s->netlink, s->ifindex, mtu, 1, 0);
	if (r == -EINVAL)
		return error_set(e, EINVAL, "the kernel does not take MTU %d for %s", mtu, s->ifname);
	if (r)
		return error_set(e, -r, "cannot bring %s up: %s", s->ifname, strerror(-r));
	log_info("system", "%s is up with MTU %d%s", s->ifname, mtu, c->mtu ? "" : " (found)");
	s->mtu = mtu;
	s->up = true;
	return 0;
}

/* ---- routes ---- */

static int explain_route(struct system *s, const struct route *route, int r, struct error *e)
{
	char text[64];

	prefix_text(text, &route->to);
	if (r == -EEXIST)
		return error_set(e, EEXIST,
				 "there is a route to %s already, not through %s: narrow AllowedIPs, or set "
				 "Table = off",
				 text, s->ifname);
	return error_set(e, -r, "cannot add a route to %s through %s: %s%s", text, s->ifname, strerror(-r),
			 route->to.family == AF_INET6 && r != -EINVAL
				 ? ": IPv6 may be off here; take its prefixes out of AllowedIPs then"
				 : "");
}

static void del_route(struct system *s, const struct route *route, bool tell)
{
	char text[64];
	int r = netlink_route_del(s->netlink, s->ifindex, &route->to, route->table);

	prefix_text(text, &route->to);
	if (!r && tell)
		log_info("system", "route to %s through %s removed", text, s->ifname);
	else if (r && !is_gone(r))
		log_warn("system", "cannot remove the route to %s: %s", text, strerror(-r));
}

static void drop_routes(struct system *s, const struct routes *wanted)
{
	size_t kept = 0, dropped = 0;

	for (size_t i = 0; i < s->routes.count; i++) {
		if (routes_have(wanted, &s->routes.items[i]))
			s->routes.items[kept++] = s->routes.items[i];
		else
			del_route(s, &s->routes.items[i], dropped++ < LOGGED_MAX);
	}
	s->routes.count = kept;
	if (dropped > LOGGED_MAX)
		log_info("system", "%zu routes in all removed", dropped);
}

static int add_route(struct system *s, const struct route *route, bool tell)
{
	char text[64];
	int r = netlink_route_add(s->netlink, s->ifindex, &route->to, route->table);

	/* A hook may have been faster. */
	if (r == -EEXIST && netlink_route_exists(s->netlink, s->ifindex, &route->to, route->table))
		return 0;
	if (!r && tell && route->table)
		log_info("system", "route to %s through %s in table %u", prefix_text(text, &route->to),
			 s->ifname, route->table);
	else if (!r && tell)
		log_info("system", "route to %s through %s", prefix_text(text, &route->to), s->ifname);
	return r;
}

/* `again`: the kernel may have dropped some of those that we have. What is there stays listed, also on
 * failure. */
static int add_routes(struct system *s, const struct routes *wanted, bool again, struct error *e)
{
	struct routes now = {xcalloc(wanted->count + 1, sizeof(*now.items)), 0};
	size_t added = 0;
	int failed = 0;

	for (size_t i = 0; i < wanted->count; i++) {
		const struct route *route = &wanted->items[i];
		bool known = routes_have(&s->routes, route);
		int r = 0;

		if (known ? again : !failed)
			r = add_route(s, route, !known && added++ < LOGGED_MAX);
		if (known || (!failed && !r))
			now.items[now.count++] = *route;
		if (r && !known)
			failed = explain_route(s, route, r, e);
	}
	if (added > LOGGED_MAX)
		log_info("system", "%zu routes in all through %s", added, s->ifname);
	routes_clear(&s->routes);
	s->routes = now;
	return failed;
}

/* ---- policy and DNS ---- */

static void drop_policy(struct system *s, const struct conf *c, uint32_t mark)
{
	for (int i = 0; i < 2; i++) {
		if (!s->policy[i] || (c && routes_default(c, families[i]) && s->mark == mark))
			continue;
		undo_all(s->netlink, &s->journal, undo_is_policy, families[i], &s->outputs);
		s->policy[i] = false;
	}
	if (!s->policy[0] && !s->policy[1])
		s->mark = 0;
}

static bool same_addresses(const struct system *s, const struct conf *c)
{
	if (s->address_count != c->address_count)
		return false;
	for (size_t i = 0; i < c->address_count; i++) {
		struct ip_prefix p = prefix_host(&c->addresses[i]);

		if (!has_address(s->addresses, s->address_count, &p))
			return false;
	}
	return true;
}

/* The firewall rules name our addresses: they are made anew when those change. */
static int reach_policy(struct system *s, const struct conf *c, uint32_t mark, bool addresses_changed,
			struct error *e)
{
	int r = 0;

	for (int i = 0; !r && i < 2; i++) {
		if (!routes_default(c, families[i]) || (s->policy[i] && !addresses_changed))
			continue;
		s->policy[i] = true; /* from here on there may be something to undo */
		s->mark = mark;
		r = policy_on(s->netlink, &s->journal, c, families[i], mark, &s->outputs, e);
	}
	return r;
}

static bool same_list(const struct conf_list *a, const struct conf_list *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (strcmp(a->items[i], b->items[i]))
			return false;
	return true;
}

static int reach_dns(struct system *s, const struct conf *old, const struct conf *c, struct error *e)
{
	if (old && same_list(&old->dns_servers, &c->dns_servers) &&
	    same_list(&old->dns_search, &c->dns_search))
		return 0;
	undo_all(s->netlink, &s->journal, undo_is_dns, 0, &s->outputs);
	return dns_set(&s->journal, c, &s->outputs, e);
}

/* ---- all together ---- */

/* The mark stays while policy routing is on and the file names no other. */
static uint32_t wanted_mark(struct system *s, const struct conf *c)
{
	if (!routes_default(c, AF_INET) && !routes_default(c, AF_INET6))
		return c->fwmark;
	return !c->has_fwmark && s->mark ? s->mark : policy_choose_mark(s->netlink, c);
}

static int reach(struct system *s, const struct conf *old, const struct conf *c, uint32_t *mark,
		 struct error *e)
{
	bool addresses_changed = !same_addresses(s, c), removed = false;
	struct routes wanted;
	int r;

	*mark = wanted_mark(s, c);
	routes_wanted(&wanted, c, *mark);
	drop_routes(s, &wanted);
	drop_policy(s, c, *mark);
	r = reach_addresses(s, c, &removed, e);
	if (!r)
		r = reach_link(s, c, e);
	if (!r)
		r = reach_dns(s, old, c, e);
	if (!r)
		r = reach_policy(s, c, *mark, addresses_changed, e);
	if (!r)
		r = add_routes(s, &wanted, removed, e);
	routes_clear(&wanted);
	return r;
}

/* Everything off again, in the reverse order. */
static unsigned leave(struct system *s)
{
	static const struct routes none;
	unsigned failed;

	drop_routes(s, &none);
	failed = undo_all(s->netlink, &s->journal, NULL, 0, &s->outputs);
	while (s->address_count)
		del_address(s, s->address_count - 1);
	if (s->up)
		netlink_link_set(s->netlink, s->ifindex, 0, 0, 0);
	s->up = false;
	s->mtu = 0;
	s->mark = 0;
	s->policy[0] = s->policy[1] = false;
	return failed;
}

int system_choose_fwmark(const struct conf *c, uint32_t current, uint32_t *mark, struct error *e)
{
	struct netlink *n;

	*mark = c->fwmark;
	if (c->has_fwmark || (!routes_default(c, AF_INET) && !routes_default(c, AF_INET6)))
		return 0;
	*mark = current;
	if (current)
		return 0;
	n = netlink_open(e);
	if (!n)
		return -EIO;
	*mark = policy_choose_mark(n, c);
	netlink_close(n);
	return 0;
}

int system_up(struct system *s, const struct conf *c, uint32_t *used_fwmark, struct error *e)
{
	int r = open_netlink(s, e);

	if (!r)
		r = run_hooks(s, "PreUp", &c->pre_up, true, e);
	if (r)
		return r;
	r = reach(s, NULL, c, used_fwmark, e);
	if (!r)
		r = run_hooks(s, "PostUp", &c->post_up, true, e);
	if (r)
		leave(s);
	return r;
}

int system_change(struct system *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		  struct error *e)
{
	struct error ignored = {0};
	uint32_t mark;
	int r = open_netlink(s, e);

	if (r)
		return r;
	r = reach(s, old, new, used_fwmark, e);
	if (r && reach(s, new, old, &mark, &ignored))
		log_error("system", "and going back to the old configuration failed too: %s", ignored.text);
	if (r)
		*used_fwmark = s->mark ? s->mark : old->fwmark;
	return r;
}

int system_down(struct system *s, const struct conf *c, struct error *e)
{
	int r = open_netlink(s, e);

	if (r)
		return r;
	run_hooks(s, "PreDown", &c->pre_down, false, e);
	if (leave(s))
		r = error_set(e, EIO,
			      "not all that was changed for %s could be undone: the log has the details",
			      s->ifname);
	run_hooks(s, "PostDown", &c->post_down, false, NULL);
	return r;
}
