/* Addresses, links, routes and rules in a network of our own, and what the monitor says of them. */
#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <string.h>

#include "net/netlink.h"
#include "net/tun.h"
#include "net_help.h"
#include "test.h"

static struct netlink *nl;
static struct tun tun;
static int tun_index;

static int open_device(void **state)
{
	struct error e;

	(void)state;
	nl = netlink_open(&e);
	if (!nl || tun_open(&tun, "weirtest0", 1, false, &e)) {
		print_message("%s\n", e.text);
		return -1;
	}
	tun_index = netlink_ifindex(nl, "weirtest0");
	return netlink_link_set(nl, tun_index, 1420, 1, 0);
}

static int close_device(void **state)
{
	(void)state;
	tun_close(&tun);
	netlink_close(nl);
	return 0;
}

static void links(void **state)
{
	int mtu = 0;
	bool up = false;

	(void)state;
	assert_true(tun_index > 0);
	assert_int_equal(netlink_link_get(nl, tun_index, &mtu, &up), 0);
	assert_int_equal(mtu, 1420);
	assert_true(up);
	assert_int_equal(netlink_link_set(nl, tun_index, 9000, 0, 1000), 0);
	assert_int_equal(netlink_link_get(nl, tun_index, &mtu, &up), 0);
	assert_int_equal(mtu, 9000);
	assert_false(up);
	/* Zero and -1 leave things as they are. */
	assert_int_equal(netlink_link_set(nl, tun_index, 0, -1, 500), 0);
	assert_int_equal(netlink_link_get(nl, tun_index, &mtu, &up), 0);
	assert_int_equal(mtu, 9000);
	assert_false(up);
	assert_int_equal(netlink_link_set(nl, tun_index, 20, -1, 0), -EINVAL);
	assert_int_equal(netlink_ifindex(nl, "nosuchlink"), -ENODEV);
	assert_int_equal(netlink_ifindex(nl, ""), -ENODEV);
	assert_int_equal(netlink_ifindex(nl, "a-name-that-is-too-long"), -ENODEV);
	assert_int_equal(netlink_link_get(nl, 9999, &mtu, &up), -ENODEV);
	assert_int_equal(netlink_link_get(nl, 0, &mtu, &up), -ENODEV);
	delete_link(tun_index);
	assert_int_equal(netlink_ifindex(nl, "weirtest0"), -ENODEV);
	assert_true(tun_is_gone(&tun));
	assert_int_equal(tun_refresh_name(&tun), -ENODEV);
	assert_int_equal(tun_get_mtu(&tun), -ENODEV);
}

static void addresses(void **state)
{
	const char *list[] = {"10.9.0.1/24", "fd09::1/64"};

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct ip_prefix p = prefix(list[i]);

		assert_int_equal(netlink_address_add(nl, tun_index, &p), 0);
		assert_int_equal(netlink_address_add(nl, tun_index, &p), -EEXIST);
		assert_int_equal(netlink_address_del(nl, tun_index, &p), 0);
		assert_int_equal(netlink_address_del(nl, tun_index, &p), -EADDRNOTAVAIL);
		assert_int_equal(netlink_address_add(nl, 9999, &p), -ENODEV);
	}
}

static void routes(void **state)
{
	const char *list[] = {"0.0.0.0/0", "192.0.2.0/24", "::/0", "2001:db8::/32"};
	const uint32_t tables[] = {0, 51820, 77};

	(void)state;
	for (int i = 0; i < 4; i++) {
		for (int t = 0; t < 3; t++) {
			struct ip_prefix p = prefix(list[i]), longer = p;

			longer.len++;
			assert_false(netlink_route_exists(nl, tun_index, &p, tables[t]));
			assert_int_equal(netlink_route_add(nl, tun_index, &p, tables[t]), 0);
			assert_int_equal(netlink_route_add(nl, tun_index, &p, tables[t]), -EEXIST);
			assert_true(netlink_route_exists(nl, tun_index, &p, tables[t]));
			assert_false(netlink_route_exists(nl, tun_index, &longer, tables[t]));
			assert_false(netlink_route_exists(nl, tun_index + 1, &p, tables[t]));
			assert_false(netlink_route_exists(nl, tun_index, &p, 78));
			if (t) {
				assert_false(netlink_table_empty(nl, p.family, tables[t]));
				assert_true(netlink_table_empty(nl, p.family, 78));
			}
			assert_int_equal(netlink_route_del(nl, tun_index, &p, tables[t]), 0);
			assert_int_equal(netlink_route_del(nl, tun_index, &p, tables[t]), -ESRCH);
			if (t)
				assert_true(netlink_table_empty(nl, p.family, tables[t]));
		}
	}
}

/* wg-quick's way of a default route through the tunnel: the outer packets, marked, must not take it. */
static void rules_keep_marked_packets_out(void **state)
{
	struct ip_prefix all = prefix("0.0.0.0/0"), address = prefix("10.9.0.1/24"),
			 net = prefix("192.0.2.0/24");
	const uint8_t far[] = {203, 0, 113, 1}, near[] = {192, 0, 2, 1};
	struct tun other;
	struct error e;
	int other_index;

	(void)state;
	assert_int_equal(netlink_address_add(nl, tun_index, &address), 0);
	assert_int_equal(tun_open(&other, "weirtest1", 1, true, &e), 0);
	other_index = netlink_ifindex(nl, "weirtest1");
	assert_int_equal(netlink_link_set(nl, other_index, 1333, 1, 0), 0);
	assert_int_equal(netlink_default_mtu(nl), 1500);
	assert_int_equal(netlink_route_mtu(nl, AF_INET, far, 0), -ENETUNREACH);
	assert_int_equal(netlink_route_add(nl, other_index, &all, 0), 0);
	assert_int_equal(netlink_default_mtu(nl), 1333);
	assert_int_equal(netlink_route_add(nl, tun_index, &all, 51820), 0);
	assert_int_equal(netlink_route_add(nl, other_index, &net, 0), 0);
	assert_int_equal(netlink_route_mtu(nl, AF_INET, far, 0), 1333);

	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		assert_int_equal(netlink_rule_not_fwmark(nl, true, family, 51820, 51820), 0);
		assert_int_equal(netlink_rule_suppress(nl, true, family), 0);
	}
	assert_int_equal(netlink_route_mtu(nl, AF_INET, far, 0), 1420);
	assert_int_equal(netlink_route_mtu(nl, AF_INET, far, 51820), 1333);
	assert_int_equal(netlink_route_mtu(nl, AF_INET, near, 0), 1333); /* more specific than the default */
	for (int i = 0; i < 2; i++) {
		int family = i ? AF_INET6 : AF_INET;

		assert_int_equal(netlink_rule_not_fwmark(nl, false, family, 51820, 51820), 0);
		assert_int_equal(netlink_rule_suppress(nl, false, family), 0);
		assert_int_equal(netlink_rule_not_fwmark(nl, false, family, 51820, 51820), -ENOENT);
	}
	assert_int_equal(netlink_route_mtu(nl, AF_INET, far, 0), 1333);
	tun_close(&other);
}

/* All that comes until it has been quiet for a while. */
static unsigned changes(struct netlink_monitor *m)
{
	struct pollfd p = {.fd = netlink_monitor_fd(m), .events = POLLIN};
	unsigned all = 0;

	while (poll(&p, 1, 50) > 0)
		all |= netlink_monitor_read(m);
	return all;
}

/* What a router advertisement does every few minutes: an address that is there gets another lifetime. */
static void renew(int ifindex, const struct ip_prefix *p, uint32_t lifetime)
{
	char buf[256];
	struct mnl_socket *s = mnl_socket_open(NETLINK_ROUTE);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifa_cacheinfo times = {.ifa_valid = lifetime, .ifa_prefered = lifetime};
	struct ifaddrmsg *body;

	nlh->nlmsg_type = RTM_NEWADDR;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
	body = mnl_nlmsg_put_extra_header(nlh, sizeof(*body));
	body->ifa_family = (uint8_t)p->family;
	body->ifa_prefixlen = p->len;
	body->ifa_index = (uint32_t)ifindex;
	body->ifa_flags = IFA_F_NODAD;
	mnl_attr_put(nlh, IFA_LOCAL, 16, p->addr);
	mnl_attr_put(nlh, IFA_CACHEINFO, sizeof(times), &times);
	assert_true(mnl_socket_sendto(s, nlh, nlh->nlmsg_len) > 0);
	assert_true(mnl_socket_recvfrom(s, buf, sizeof(buf)) > 0);
	assert_int_equal(((struct nlmsgerr *)mnl_nlmsg_get_payload((struct nlmsghdr *)buf))->error, 0);
	mnl_socket_close(s);
}

static void monitor(void **state)
{
	struct ip_prefix address = prefix("10.9.0.1/24"), route = prefix("192.0.2.0/24"),
			 v6 = prefix("fd09::1/64");
	struct error e;
	struct netlink_monitor *m = netlink_monitor_open(&e);
	struct tun other;
	int lo = netlink_ifindex(nl, "lo"), index;
	unsigned c;

	(void)state;
	assert_non_null(m);
	netlink_monitor_own(m, tun_index);
	changes(m); /* link-local addresses may still be coming */
	assert_int_equal(netlink_monitor_read(m), NETLINK_CHANGE_NONE);

	netlink_address_add(nl, lo, &address);
	assert_int_equal(changes(m), NETLINK_CHANGE_ADDRESS);
	netlink_address_add(nl, lo, &address);
	assert_int_equal(changes(m), NETLINK_CHANGE_NONE);
	netlink_address_del(nl, lo, &address);
	assert_int_equal(changes(m), NETLINK_CHANGE_ADDRESS);

	renew(lo, &v6, 3000);
	assert_true(changes(m) & NETLINK_CHANGE_ADDRESS);
	renew(lo, &v6, 4000);
	assert_false(changes(m) & NETLINK_CHANGE_ADDRESS);
	netlink_address_del(nl, lo, &v6);
	assert_true(changes(m) & NETLINK_CHANGE_ADDRESS);

	netlink_route_add(nl, lo, &route, 0);
	assert_int_equal(changes(m), NETLINK_CHANGE_ROUTE);
	netlink_route_del(nl, lo, &route, 0);
	assert_int_equal(changes(m), NETLINK_CHANGE_ROUTE);
	netlink_route_add(nl, tun_index, &route, 0); /* into the tunnel: not the way of outer packets */
	assert_int_equal(changes(m), NETLINK_CHANGE_NONE);

	netlink_link_set(nl, tun_index, 1300, -1, 0);
	assert_int_equal(changes(m), NETLINK_CHANGE_OWN_LINK);
	netlink_link_set(nl, tun_index, 1300, -1, 0);
	assert_int_equal(changes(m) & ~(unsigned)NETLINK_CHANGE_OWN_LINK, NETLINK_CHANGE_NONE);

	assert_int_equal(tun_open(&other, "weirtest1", 1, true, &e), 0);
	index = netlink_ifindex(nl, "weirtest1");
	c = changes(m);
	assert_true(c & NETLINK_CHANGE_LINK);
	assert_false(c & NETLINK_CHANGE_OWN_LINK);
	netlink_link_set(nl, index, 0, 1, 0);
	assert_true(changes(m) & NETLINK_CHANGE_LINK);
	tun_close(&other);
	c = changes(m);
	assert_true(c & NETLINK_CHANGE_LINK);
	assert_false(c & NETLINK_CHANGE_OWN_LINK);

	delete_link(tun_index);
	assert_true(changes(m) & NETLINK_CHANGE_OWN_LINK);
	netlink_monitor_close(m);
}

/* More than its buffer holds, unread: it says that it lost some, and goes on. */
static void monitor_that_overflows(void **state)
{
	struct error e;
	struct netlink_monitor *m = netlink_monitor_open(&e);
	int lo = netlink_ifindex(nl, "lo");
	struct ip_prefix route = prefix("10.0.0.0/32"), address = prefix("10.9.0.1/24");
	unsigned all = 0;

	(void)state;
	assert_non_null(m);
	for (int i = 0; i < 5000; i++) {
		route.addr[1] = (uint8_t)(i >> 8);
		route.addr[2] = (uint8_t)i;
		assert_int_equal(netlink_route_add(nl, lo, &route, 99), 0);
	}
	all = changes(m);
	assert_true(all & NETLINK_CHANGE_LOST);
	netlink_address_add(nl, lo, &address);
	assert_int_equal(changes(m), NETLINK_CHANGE_ADDRESS);
	netlink_address_del(nl, lo, &address);
	for (int i = 0; i < 5000; i++) {
		route.addr[1] = (uint8_t)(i >> 8);
		route.addr[2] = (uint8_t)i;
		netlink_route_del(nl, lo, &route, 99);
	}
	netlink_monitor_close(m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_device, close_device)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links),   TEST(addresses),
		TEST(routes),  TEST(rules_keep_marked_packets_out),
		TEST(monitor), TEST(monitor_that_overflows),
	};
	struct error e;

	if (!own_network())
		return 77;
	if (tun_open(&tun, "weirtest0", 1, false, &e)) {
		print_message("skipped: %s\n", e.text);
		return 77;
	}
	tun_close(&tun);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
