/* Addresses, links, routes and rules of the kernel (rtnetlink through libmnl). Blocking, for microseconds. */
#ifndef WEIR_NET_NETLINK_H
#define WEIR_NET_NETLINK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct netlink;

struct ip_prefix {
	int family; /* AF_INET, AF_INET6 */
	uint8_t addr[16];
	uint8_t len;
};

/* Opens a socket in this thread's network namespace. */
struct netlink *netlink_open(struct error *e);
void netlink_close(struct netlink *n);

int netlink_ifindex(struct netlink *n, const char *ifname); /* -ENODEV */
int netlink_link_set(struct netlink *n, int ifindex, int mtu /* 0: leave */, int up /* 0, 1, -1: leave */,
		     unsigned txqueuelen /* 0: leave */);

/* Longest super-packet that the device may be handed (bytes, headers included; at most 65536). */
int netlink_link_gso_max(struct netlink *n, int ifindex, unsigned bytes);
int netlink_link_get(struct netlink *n, int ifindex, int *mtu, bool *up);

/* MTU of a link in another network namespace. */
int netlink_foreign_mtu(struct netlink *n, int namespace_fd, const char *ifname);

/* -EEXIST when it is there already. */
int netlink_address_add(struct netlink *n, int ifindex, const struct ip_prefix *p);
int netlink_address_del(struct netlink *n, int ifindex, const struct ip_prefix *p);

/* Route to p through the interface; table 0 means main. */
int netlink_route_add(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table);
int netlink_route_del(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table);
bool netlink_route_exists(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table);
bool netlink_table_empty(struct netlink *n, int family, uint32_t table);

/*
 * The two rules of wg-quick's policy routing: "not fwmark M lookup T" and "lookup main suppress_prefixlength 0".
 * The kernel keeps duplicates, as many as were added; deleting answers -ENOENT once the last is gone.
 */
int netlink_rule_not_fwmark(struct netlink *n, bool add, int family, uint32_t fwmark, uint32_t table);
int netlink_rule_suppress(struct netlink *n, bool add, int family);

/* MTU of the way to addr: of its route if set, else of its device; -errno if there is no route. */
int netlink_route_mtu(struct netlink *n, int family, const void *addr, uint32_t fwmark);

/* How the kernel would send to addr: what `ip route get` tells. */
struct netlink_way {
	int ifindex;
	char ifname[16];
	uint8_t source[16], gateway[16]; /* of the address's family */
	bool has_source, has_gateway;
	bool local; /* addr is our own */
	uint32_t table;
	int mtu; /* of the route if set, else of the device */
};
/* -ENETUNREACH and the like when there is no way. */
int netlink_route_get(struct netlink *n, int family, const void *addr, uint32_t fwmark, struct netlink_way *out);

/* MTU of the default route's device (wg-quick's fallback), or 1500. */
int netlink_default_mtu(struct netlink *n);

/* Watching: the fd becomes readable when something changed; netlink_monitor_read drains it. */
enum netlink_change {
	NETLINK_CHANGE_NONE = 0,
	NETLINK_CHANGE_LINK = 1,    /* another link than our own came, went, or changed state or MTU */
	NETLINK_CHANGE_ADDRESS = 2, /* a local address came or went */
	NETLINK_CHANGE_ROUTE = 4,
	NETLINK_CHANGE_OWN_LINK = 8, /* that of netlink_monitor_own did */
	NETLINK_CHANGE_LOST = 16,    /* the kernel dropped messages: assume all of the above */
};
struct netlink_monitor;
struct netlink_monitor *netlink_monitor_open(struct error *e);
void netlink_monitor_own(struct netlink_monitor *m, int ifindex);
int netlink_monitor_fd(const struct netlink_monitor *m);
unsigned netlink_monitor_read(struct netlink_monitor *m);
void netlink_monitor_close(struct netlink_monitor *m);

#endif
