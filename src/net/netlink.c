/* Questions and orders; watching is in netlink_monitor.c. */
#include "net/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/netlink_parts.h"

#define REQUEST_MAX 512
#define REPLY_MAX   32768 /* what the kernel puts into one part of a dump */

struct netlink {
	struct mnl_socket *socket;
	uint32_t seq;
	char reply[REPLY_MAX];
};

struct netlink *netlink_open(struct error *e)
{
	struct netlink *n = xcalloc(1, sizeof(*n));
	int on = 1;

	n->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!n->socket || mnl_socket_bind(n->socket, 0, MNL_SOCKET_AUTOPID)) {
		error_set(e, errno, "cannot talk to the kernel's routing (netlink): %s", strerror(errno));
		netlink_close(n);
		return NULL;
	}
	/* Lets the kernel filter dumps (Linux 4.20); without it they are only longer. */
	mnl_socket_setsockopt(n->socket, NETLINK_GET_STRICT_CHK, &on, sizeof(on));
	return n;
}

void netlink_close(struct netlink *n)
{
	if (!n)
		return;
	if (n->socket)
		mnl_socket_close(n->socket);
	free(n);
}

int netlink_each(const void *buf, size_t len, uint32_t seq, void (*fn)(const struct nlmsghdr *nlh, void *arg),
		 void *arg)
{
	const struct nlmsghdr *nlh = buf;
	int left = (int)len;

	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		if (seq && nlh->nlmsg_seq != seq)
			continue;
		if (nlh->nlmsg_type == NLMSG_DONE)
			return 0;
		if (nlh->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

			return mnl_nlmsg_get_payload_len(nlh) < sizeof(*e) ? -EBADMSG : e->error;
		}
		if (nlh->nlmsg_type >= NLMSG_MIN_TYPE && fn)
			fn(nlh, arg);
	}
	return 1;
}

/* Sends a request and reads all of its answer. 0 or -errno, as the kernel answers. */
static int ask(struct netlink *n, struct nlmsghdr *nlh, void (*fn)(const struct nlmsghdr *, void *),
	       void *arg)
{
	int r = 1;

	nlh->nlmsg_flags |= NLM_F_REQUEST;
	/* Two bits, each of which means something else alone. */
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	nlh->nlmsg_seq = ++n->seq;
	if (mnl_socket_sendto(n->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r > 0) {
		ssize_t len = mnl_socket_recvfrom(n->socket, n->reply, sizeof(n->reply));

		if (len >= 0)
			r = netlink_each(n->reply, (size_t)len, n->seq, fn, arg);
		else if (errno != EINTR)
			r = -errno;
	}
	return r;
}

static struct nlmsghdr *request(char buf[REQUEST_MAX], uint16_t type, uint16_t flags, size_t body, void *out)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	*(void **)out = mnl_nlmsg_put_extra_header(nlh, body);
	return nlh;
}

static size_t addr_len(int family)
{
	return family == AF_INET6 ? 16 : 4;
}

struct link {
	int ifindex, mtu;
	bool up;
	char ifname[IFNAMSIZ];
};

static void on_link(const struct nlmsghdr *nlh, void *arg)
{
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;
	struct link *out = arg;

	out->ifindex = body->ifi_index;
	out->up = body->ifi_flags & IFF_UP;
	mnl_attr_for_each (attr, nlh, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			out->mtu = (int)mnl_attr_get_u32(attr);
		if (mnl_attr_get_type(attr) == IFLA_IFNAME &&
		    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
			snprintf(out->ifname, sizeof(out->ifname), "%s", mnl_attr_get_str(attr));
	}
}

int netlink_ifindex(struct netlink *n, const char *ifname)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_GETLINK, 0, sizeof(*body), &body);
	struct link link = {0};
	int r;

	if (!*ifname || strlen(ifname) >= IFNAMSIZ)
		return -ENODEV;
	mnl_attr_put_strz(nlh, IFLA_IFNAME, ifname);
	r = ask(n, nlh, on_link, &link);
	return r ? r : link.ifindex;
}

int netlink_link_set(struct netlink *n, int ifindex, int mtu, int up, unsigned txqueuelen)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_NEWLINK, 0, sizeof(*body), &body);

	body->ifi_index = ifindex;
	if (up >= 0) {
		body->ifi_change = IFF_UP;
		body->ifi_flags = up ? IFF_UP : 0;
	}
	if (mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, (uint32_t)mtu);
	if (txqueuelen)
		mnl_attr_put_u32(nlh, IFLA_TXQLEN, txqueuelen);
	return ask(n, nlh, NULL, NULL);
}

int netlink_link_gso_max(struct netlink *n, int ifindex, unsigned bytes)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_NEWLINK, 0, sizeof(*body), &body);

	if (ifindex <= 0)
		return -ENODEV;
	body->ifi_index = ifindex;
	mnl_attr_put_u32(nlh, IFLA_GSO_MAX_SIZE, bytes);
	return ask(n, nlh, NULL, NULL);
}

int netlink_link_get(struct netlink *n, int ifindex, int *mtu, bool *up)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_GETLINK, 0, sizeof(*body), &body);
	struct link link = {0};
	int r;

	if (ifindex <= 0)
		return -ENODEV;
	body->ifi_index = ifindex;
	r = ask(n, nlh, on_link, &link);
	if (r)
		return r;
	*mtu = link.mtu;
	*up = link.up;
	return 0;
}

static void on_namespace(const struct nlmsghdr *nlh, void *id)
{
	const struct nlattr *attr;

	mnl_attr_for_each (attr, nlh, sizeof(struct rtgenmsg))
		if (mnl_attr_get_type(attr) == NETNSA_NSID && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			*(uint32_t *)id = mnl_attr_get_u32(attr);
}

/* The number by which our namespace knows the other; one is given to it if it has none. */
static int namespace_id(struct netlink *n, int fd, uint32_t *id)
{
	char buf[REQUEST_MAX];
	struct rtgenmsg *body;
	struct nlmsghdr *nlh;
	int r = 0;

	*id = UINT32_MAX; /* the kernel's "none" */
	for (int turn = 0; turn < 2 && !r; turn++) {
		nlh = request(buf, RTM_GETNSID, 0, sizeof(*body), &body);
		mnl_attr_put_u32(nlh, NETNSA_FD, (uint32_t)fd);
		r = ask(n, nlh, on_namespace, id);
		if (r || *id != UINT32_MAX)
			return r;
		nlh = request(buf, RTM_NEWNSID, 0, sizeof(*body), &body);
		mnl_attr_put_u32(nlh, NETNSA_FD, (uint32_t)fd);
		mnl_attr_put_u32(nlh, NETNSA_NSID, UINT32_MAX);
		r = ask(n, nlh, NULL, NULL);
		if (r == -EEXIST) /* someone was faster */
			r = 0;
	}
	return r ? r : -ENODEV;
}

/* Unlike setns this needs no thread of its own, and CAP_NET_ADMIN instead of CAP_SYS_ADMIN. */
int netlink_foreign_mtu(struct netlink *n, int namespace_fd, const char *ifname)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh;
	struct link link = {0};
	uint32_t id;
	int r = namespace_id(n, namespace_fd, &id);

	if (r)
		return r;
	nlh = request(buf, RTM_GETLINK, 0, sizeof(*body), &body);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, ifname);
	mnl_attr_put_u32(nlh, IFLA_TARGET_NETNSID, id);
	r = ask(n, nlh, on_link, &link);
	return r ? r : link.mtu;
}

static int change_address(struct netlink *n, uint16_t type, uint16_t flags, int ifindex,
			  const struct ip_prefix *p)
{
	char buf[REQUEST_MAX];
	struct ifaddrmsg *body;
	struct nlmsghdr *nlh = request(buf, type, flags, sizeof(*body), &body);

	body->ifa_family = (uint8_t)p->family;
	body->ifa_prefixlen = p->len;
	body->ifa_index = (uint32_t)ifindex;
	/* There is nobody in a tunnel to ask for duplicates, and a tentative address cannot be bound to. */
	if (type == RTM_NEWADDR && p->family == AF_INET6)
		body->ifa_flags = IFA_F_NODAD;
	mnl_attr_put(nlh, IFA_LOCAL, addr_len(p->family), p->addr);
	mnl_attr_put(nlh, IFA_ADDRESS, addr_len(p->family), p->addr);
	return ask(n, nlh, NULL, NULL);
}

int netlink_address_add(struct netlink *n, int ifindex, const struct ip_prefix *p)
{
	return change_address(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, p);
}

int netlink_address_del(struct netlink *n, int ifindex, const struct ip_prefix *p)
{
	return change_address(n, RTM_DELADDR, 0, ifindex, p);
}

static void put_table(struct nlmsghdr *nlh, struct rtmsg *body, uint32_t table)
{
	if (!table)
		table = RT_TABLE_MAIN;
	body->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(nlh, RTA_TABLE, table);
}

static int change_route(struct netlink *n, uint16_t type, uint16_t flags, int ifindex,
			const struct ip_prefix *p, uint32_t table)
{
	char buf[REQUEST_MAX];
	struct rtmsg *body;
	struct nlmsghdr *nlh = request(buf, type, flags, sizeof(*body), &body);

	body->rtm_family = (uint8_t)p->family;
	body->rtm_dst_len = p->len;
	body->rtm_type = RTN_UNICAST;
	if (type == RTM_NEWROUTE) {
		body->rtm_protocol =
			RTPROT_BOOT; /* as ip-route(8) says of routes that a person or script adds */
		body->rtm_scope = p->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	} else {
		body->rtm_scope = RT_SCOPE_NOWHERE; /* whichever */
	}
	put_table(nlh, body, table);
	mnl_attr_put(nlh, RTA_DST, addr_len(p->family), p->addr);
	mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)ifindex);
	return ask(n, nlh, NULL, NULL);
}

int netlink_route_add(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table)
{
	return change_route(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, ifindex, p, table);
}

int netlink_route_del(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table)
{
	return change_route(n, RTM_DELROUTE, 0, ifindex, p, table);
}

/* What a dump of routes looks for, and what it found. */
struct route_query {
	int family;
	uint32_t table;
	int ifindex;		    /* 0: any */
	const struct ip_prefix *to; /* NULL: any */
	bool found;
	uint32_t metric; /* the lowest of those found */
	int found_ifindex;
};

struct route {
	uint32_t table, metric;
	int ifindex, mtu;
	const uint8_t *dst, *source, *gateway; /* into the reply */
};

/* RTA_MULTIPATH: the first way stands for all. */
static int first_hop(const struct nlattr *attr)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(attr);

	return mnl_attr_get_payload_len(attr) >= sizeof(*hop) ? hop->rtnh_ifindex : 0;
}

static int metrics_mtu(const struct nlattr *metrics)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested (attr, metrics)
		if (mnl_attr_get_type(attr) == RTAX_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			return (int)mnl_attr_get_u32(attr);
	return 0;
}

static const uint8_t *address_of(const struct nlattr *attr, int family)
{
	return mnl_attr_get_payload_len(attr) == addr_len(family) ? mnl_attr_get_payload(attr) : NULL;
}

static struct route read_route(const struct nlmsghdr *nlh, const struct rtmsg *body)
{
	struct route r = {.table = body->rtm_table};
	const struct nlattr *attr;

	mnl_attr_for_each (attr, nlh, sizeof(*body)) {
		bool word = mnl_attr_get_payload_len(attr) == sizeof(uint32_t);

		switch (mnl_attr_get_type(attr)) {
		case RTA_TABLE:
			r.table = word ? mnl_attr_get_u32(attr) : r.table;
			break;
		case RTA_PRIORITY:
			r.metric = word ? mnl_attr_get_u32(attr) : 0;
			break;
		case RTA_OIF:
			r.ifindex = word ? (int)mnl_attr_get_u32(attr) : 0;
			break;
		case RTA_MULTIPATH:
			r.ifindex = first_hop(attr);
			break;
		case RTA_METRICS:
			r.mtu = metrics_mtu(attr);
			break;
		case RTA_DST:
			r.dst = address_of(attr, body->rtm_family);
			break;
		case RTA_PREFSRC:
			r.source = address_of(attr, body->rtm_family);
			break;
		case RTA_GATEWAY:
			r.gateway = address_of(attr, body->rtm_family);
			break;
		default:
			break;
		}
	}
	return r;
}

static void on_route(const struct nlmsghdr *nlh, void *arg)
{
	static const uint8_t any[16];
	const struct rtmsg *body = mnl_nlmsg_get_payload(nlh);
	struct route_query *q = arg;
	struct route r = read_route(nlh, body);

	if (body->rtm_family != q->family || r.table != q->table || (body->rtm_flags & RTM_F_CLONED))
		return;
	if (q->ifindex && r.ifindex != q->ifindex)
		return;
	if (q->to && (body->rtm_type != RTN_UNICAST || body->rtm_dst_len != q->to->len ||
		      memcmp(r.dst ? r.dst : any, q->to->addr, addr_len(q->family)) != 0))
		return;
	if (!q->found || r.metric < q->metric) {
		q->metric = r.metric;
		q->found_ifindex = r.ifindex;
	}
	q->found = true;
}

static bool find_route(struct netlink *n, struct route_query *q)
{
	char buf[REQUEST_MAX];
	struct rtmsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_GETROUTE, NLM_F_DUMP, sizeof(*body), &body);

	if (!q->table)
		q->table = RT_TABLE_MAIN;
	body->rtm_family = (uint8_t)q->family;
	put_table(nlh, body, q->table);
	if (q->ifindex)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)q->ifindex);
	/* A table that was never used is ENOENT: nothing found. */
	ask(n, nlh, on_route, q);
	return q->found;
}

bool netlink_route_exists(struct netlink *n, int ifindex, const struct ip_prefix *p, uint32_t table)
{
	struct route_query q = {.family = p->family, .table = table, .ifindex = ifindex, .to = p};

	return find_route(n, &q);
}

bool netlink_table_empty(struct netlink *n, int family, uint32_t table)
{
	struct route_query q = {.family = family, .table = table};

	return !find_route(n, &q);
}

static struct nlmsghdr *rule_request(char buf[REQUEST_MAX], bool add, int family, uint32_t table,
				     struct fib_rule_hdr **body)
{
	struct nlmsghdr *nlh = request(buf, add ? RTM_NEWRULE : RTM_DELRULE,
				       add ? NLM_F_CREATE | NLM_F_EXCL : 0, sizeof(**body), body);

	(*body)->family = (uint8_t)family;
	(*body)->action = FR_ACT_TO_TBL;
	(*body)->table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	mnl_attr_put_u32(nlh, FRA_TABLE, table);
	return nlh;
}

int netlink_rule_not_fwmark(struct netlink *n, bool add, int family, uint32_t fwmark, uint32_t table)
{
	char buf[REQUEST_MAX];
	struct fib_rule_hdr *body;
	struct nlmsghdr *nlh = rule_request(buf, add, family, table, &body);

	body->flags = FIB_RULE_INVERT;
	mnl_attr_put_u32(nlh, FRA_FWMARK, fwmark);
	return ask(n, nlh, NULL, NULL);
}

int netlink_rule_suppress(struct netlink *n, bool add, int family)
{
	char buf[REQUEST_MAX];
	struct fib_rule_hdr *body;
	struct nlmsghdr *nlh = rule_request(buf, add, family, RT_TABLE_MAIN, &body);

	mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, 0);
	return ask(n, nlh, NULL, NULL);
}

static void keep_address(uint8_t out[16], bool *has, const uint8_t *from, int family)
{
	*has = from;
	if (from)
		memcpy(out, from, addr_len(family));
}

static void on_way(const struct nlmsghdr *nlh, void *arg)
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(nlh);
	struct route r = read_route(nlh, body);
	struct netlink_way *way = arg;

	way->ifindex = r.ifindex;
	way->table = r.table;
	way->mtu = r.mtu;
	way->local = body->rtm_type == RTN_LOCAL;
	keep_address(way->source, &way->has_source, r.source, body->rtm_family);
	keep_address(way->gateway, &way->has_gateway, r.gateway, body->rtm_family);
}

static int ask_way(struct netlink *n, int family, const void *addr, uint32_t fwmark, struct netlink_way *out)
{
	char buf[REQUEST_MAX];
	struct rtmsg *body;
	struct nlmsghdr *nlh = request(buf, RTM_GETROUTE, 0, sizeof(*body), &body);

	*out = (struct netlink_way){0};
	body->rtm_family = (uint8_t)family;
	body->rtm_dst_len = (uint8_t)(addr_len(family) * 8);
	/* Which table it was: IPv6 says so by itself, and takes no such flag. */
	body->rtm_flags = family == AF_INET ? RTM_F_LOOKUP_TABLE : 0;
	mnl_attr_put(nlh, RTA_DST, addr_len(family), addr);
	if (fwmark)
		mnl_attr_put_u32(nlh, RTA_MARK, fwmark);
	return ask(n, nlh, on_way, out);
}

int netlink_route_get(struct netlink *n, int family, const void *addr, uint32_t fwmark,
		      struct netlink_way *out)
{
	char buf[REQUEST_MAX];
	struct ifinfomsg *body;
	struct nlmsghdr *nlh;
	struct link link = {0};
	int r = ask_way(n, family, addr, fwmark, out);

	if (r || out->ifindex <= 0)
		return r;
	nlh = request(buf, RTM_GETLINK, 0, sizeof(*body), &body);
	body->ifi_index = out->ifindex;
	r = ask(n, nlh, on_link, &link);
	snprintf(out->ifname, sizeof(out->ifname), "%s", link.ifname);
	if (!out->mtu)
		out->mtu = link.mtu;
	return r;
}

int netlink_route_mtu(struct netlink *n, int family, const void *addr, uint32_t fwmark)
{
	struct netlink_way way;
	bool up;
	int mtu, r = ask_way(n, family, addr, fwmark, &way);

	if (r || way.mtu)
		return r ? r : way.mtu;
	r = netlink_link_get(n, way.ifindex, &mtu, &up);
	return r ? r : mtu;
}

int netlink_default_mtu(struct netlink *n)
{
	static const int families[] = {AF_INET, AF_INET6};

	for (int i = 0; i < 2; i++) {
		struct ip_prefix all = {.family = families[i]};
		struct route_query q = {.family = families[i], .to = &all};
		bool up;
		int mtu;

		if (find_route(n, &q) && !netlink_link_get(n, q.found_ifindex, &mtu, &up))
			return mtu;
	}
	return 1500;
}
