/*
 * Watching links, addresses and routes. The kernel repeats itself: every router advertisement comes as "new"
 * for addresses that were there, wireless scans come as "new" links. So what is known is kept, and only
 * differences count.
 */
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "net/netlink.h"
#include "net/netlink_parts.h"

#define BUFFER_MAX   32768
#define READS_MAX    256       /* per call: the fd stays readable if there is more */
#define SOCKET_BYTES (1 << 20) /* a change of network can come as thousands of routes */
#define LINK_FLAGS   (IFF_UP | IFF_RUNNING | 0x10000 /* IFF_LOWER_UP, kernel headers only */)

struct known_link {
	int ifindex, mtu;
	unsigned flags;
};

struct known_address {
	int ifindex;
	uint8_t family, len;
	uint8_t addr[16];
	uint32_t flags;
};

struct netlink_monitor {
	struct mnl_socket *socket;
	int own;
	unsigned change; /* found since the last read */
	struct known_link *links;
	size_t link_count;
	struct known_address *addresses;
	size_t address_count;
	char buffer[BUFFER_MAX];
};

void netlink_monitor_own(struct netlink_monitor *m, int ifindex)
{
	m->own = ifindex;
}

int netlink_monitor_fd(const struct netlink_monitor *m)
{
	return mnl_socket_get_fd(m->socket);
}

void netlink_monitor_close(struct netlink_monitor *m)
{
	if (!m)
		return;
	if (m->socket)
		mnl_socket_close(m->socket);
	free(m->links);
	free(m->addresses);
	free(m);
}

static void link_changed(struct netlink_monitor *m, int ifindex)
{
	m->change |= m->own > 0 && ifindex == m->own ? NETLINK_CHANGE_OWN_LINK : NETLINK_CHANGE_LINK;
}

static void see_link(struct netlink_monitor *m, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *body = mnl_nlmsg_get_payload(nlh);
	struct known_link now = {.ifindex = body->ifi_index, .flags = body->ifi_flags & LINK_FLAGS};
	const struct nlattr *attr;
	size_t i = 0;

	/* Bridges and the like report their ports in families of their own. */
	if (body->ifi_family != AF_UNSPEC)
		return;
	mnl_attr_for_each (attr, nlh, sizeof(*body)) {
		if (mnl_attr_get_type(attr) == IFLA_MTU && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			now.mtu = (int)mnl_attr_get_u32(attr);
		/* A new name is a change of our own link, whatever else is equal. */
		if (mnl_attr_get_type(attr) == IFLA_IFNAME && now.ifindex == m->own)
			m->change |= NETLINK_CHANGE_OWN_LINK;
	}
	while (i < m->link_count && m->links[i].ifindex != now.ifindex)
		i++;
	if (nlh->nlmsg_type == RTM_DELLINK) {
		if (i < m->link_count)
			m->links[i] = m->links[--m->link_count];
		link_changed(m, now.ifindex);
		return;
	}
	if (i == m->link_count)
		m->links = xrealloc(m->links, ++m->link_count * sizeof(*m->links));
	else if (m->links[i].flags == now.flags && m->links[i].mtu == now.mtu)
		return;
	m->links[i] = now;
	link_changed(m, now.ifindex);
}

static bool same_address(const struct known_address *a, const struct known_address *b)
{
	return a->ifindex == b->ifindex && a->family == b->family && a->len == b->len &&
	       !memcmp(a->addr, b->addr, sizeof(a->addr));
}

static void see_address(struct netlink_monitor *m, const struct nlmsghdr *nlh)
{
	const struct ifaddrmsg *body = mnl_nlmsg_get_payload(nlh);
	struct known_address now = {
		.ifindex = (int)body->ifa_index,
		.family = body->ifa_family,
		.len = body->ifa_prefixlen,
		.flags = body->ifa_flags,
	};
	const struct nlattr *attr, *address = NULL;
	size_t i = 0;

	mnl_attr_for_each (attr, nlh, sizeof(*body)) {
		unsigned type = mnl_attr_get_type(attr);

		if (type == IFA_LOCAL || (type == IFA_ADDRESS && !address))
			address = attr;
		else if (type == IFA_FLAGS && mnl_attr_validate(attr, MNL_TYPE_U32) >= 0)
			now.flags = mnl_attr_get_u32(attr);
	}
	if (!address || mnl_attr_get_payload_len(address) > sizeof(now.addr))
		return;
	memcpy(now.addr, mnl_attr_get_payload(address), mnl_attr_get_payload_len(address));
	while (i < m->address_count && !same_address(&m->addresses[i], &now))
		i++;
	if (nlh->nlmsg_type == RTM_DELADDR) {
		if (i < m->address_count)
			m->addresses[i] = m->addresses[--m->address_count];
	} else {
		if (i == m->address_count)
			m->addresses = xrealloc(m->addresses, ++m->address_count * sizeof(*m->addresses));
		else if (m->addresses[i].flags == now.flags)
			return;
		m->addresses[i] = now;
	}
	/* The tunnel's own addresses are no way to a peer. */
	if (m->own <= 0 || now.ifindex != m->own)
		m->change |= NETLINK_CHANGE_ADDRESS;
}

/* Our own link's routes lead into the tunnel, not to a peer's endpoint; local ones come and go with
 * addresses. */
static void see_route(struct netlink_monitor *m, const struct nlmsghdr *nlh)
{
	const struct rtmsg *body = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	if ((body->rtm_flags & RTM_F_CLONED) || body->rtm_table == RT_TABLE_LOCAL)
		return;
	mnl_attr_for_each (attr, nlh, sizeof(*body))
		if (m->own > 0 && mnl_attr_get_type(attr) == RTA_OIF &&
		    mnl_attr_validate(attr, MNL_TYPE_U32) >= 0 && (int)mnl_attr_get_u32(attr) == m->own)
			return;
	m->change |= NETLINK_CHANGE_ROUTE;
}

static void on_message(const struct nlmsghdr *nlh, void *arg)
{
	struct netlink_monitor *m = arg;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		see_link(m, nlh);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		see_address(m, nlh);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		see_route(m, nlh);
		break;
	default:
		break;
	}
}

/* What is there at the start: a dump on the same socket, so that nothing falls between. */
static int take_stock(struct netlink_monitor *m, uint16_t type, size_t body)
{
	char buf[128];
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	int r = 1;

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	nlh->nlmsg_seq = type;
	mnl_nlmsg_put_extra_header(nlh, body);
	if (mnl_socket_sendto(m->socket, nlh, nlh->nlmsg_len) < 0)
		return -errno;
	while (r > 0) {
		ssize_t len = mnl_socket_recvfrom(m->socket, m->buffer, sizeof(m->buffer));
		const struct nlmsghdr *first = (const struct nlmsghdr *)m->buffer;

		if (len < 0 && errno != EINTR)
			return -errno;
		if (len <= 0)
			continue;
		/* Notifications come in between, as messages of their own and with other sequence numbers. */
		r = netlink_each(m->buffer, (size_t)len, 0, on_message, m);
		if (first->nlmsg_seq != nlh->nlmsg_seq)
			r = 1;
	}
	return r;
}

struct netlink_monitor *netlink_monitor_open(struct error *e)
{
	struct netlink_monitor *m = xcalloc(1, sizeof(*m));
	unsigned groups =
		RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE;
	int size = SOCKET_BYTES, r = 0;

	m->socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!m->socket || mnl_socket_bind(m->socket, groups, MNL_SOCKET_AUTOPID))
		r = -errno;
	if (!r && setsockopt(netlink_monitor_fd(m), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(netlink_monitor_fd(m), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (!r)
		r = take_stock(m, RTM_GETLINK, sizeof(struct ifinfomsg));
	if (!r)
		r = take_stock(m, RTM_GETADDR, sizeof(struct ifaddrmsg));
	if (r) {
		error_set(e, -r, "cannot watch the network (netlink): %s", strerror(-r));
		netlink_monitor_close(m);
		return NULL;
	}
	m->change = NETLINK_CHANGE_NONE;
	return m;
}

unsigned netlink_monitor_read(struct netlink_monitor *m)
{
	unsigned change;

	for (int i = 0; i < READS_MAX; i++) {
		ssize_t len = recv(netlink_monitor_fd(m), m->buffer, sizeof(m->buffer), MSG_DONTWAIT);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && errno == ENOBUFS) {
			/* What is known may be wrong now: whatever comes next is news. */
			m->change |= NETLINK_CHANGE_LOST;
			m->link_count = m->address_count = 0;
			continue;
		}
		if (len <= 0)
			break;
		netlink_each(m->buffer, (size_t)len, 0, on_message, m);
	}
	change = m->change;
	m->change = NETLINK_CHANGE_NONE;
	return change;
}
