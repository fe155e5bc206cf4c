/* Our addresses that are worth a candidate. */
#include <errno.h>
#include <ifaddrs.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ice/internal.h"

#define LINKS_MAX 256

/* How good an address is as a candidate: the order in the list, and what goes first when there are too many.
 */
enum rank { RANK_GLOBAL, RANK_LINK_LOCAL, RANK_LOOPBACK, RANK_NONE };

struct link {
	char name[IFNAMSIZ];
	bool tunnel;
};

/* What lies under a link: "tun" for TUN and TAP alike, "wireguard". The kernel tells anybody. */
static bool driver_is_tunnel(int fd, const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
	struct ifreq ask = {.ifr_data = (char *)&info};

	strncpy(ask.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, SIOCETHTOOL, &ask))
		return false;
	info.driver[sizeof(info.driver) - 1] = '\0';
	return strcmp(info.driver, "tun") == 0 || strcmp(info.driver, "wireguard") == 0;
}

/* PPP is a line to the Internet although it is point to point. */
static bool type_is_tunnel(unsigned short type, unsigned flags)
{
	switch (type) {
	case ARPHRD_TUNNEL:
	case ARPHRD_TUNNEL6:
	case ARPHRD_SIT:
	case ARPHRD_IPGRE:
		return true;
	case ARPHRD_PPP:
		return false;
	default:
		return (flags & IFF_POINTOPOINT) && !(flags & IFF_BROADCAST);
	}
}

static unsigned find_links(const struct ifaddrs *all, const char *own, struct link *out)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	unsigned count = 0;

	for (; all && count < LINKS_MAX; all = all->ifa_next) {
		const struct sockaddr_ll *l = (const struct sockaddr_ll *)all->ifa_addr;

		/* A TUN device has no hardware address, and so none here at all. */
		if (l && l->sll_family != AF_PACKET)
			continue;
		memset(&out[count], 0, sizeof(out[count]));
		strncpy(out[count].name, all->ifa_name, IFNAMSIZ - 1);
		out[count].tunnel = strcmp(all->ifa_name, own) == 0 ||
				    type_is_tunnel(l ? l->sll_hatype : ARPHRD_NONE, all->ifa_flags) ||
				    (fd >= 0 && driver_is_tunnel(fd, all->ifa_name));
		count++;
	}
	if (fd >= 0)
		close(fd);
	return count;
}

static bool is_tunnel(const struct link *links, unsigned count, const char *name)
{
	for (unsigned n = 0; n < count; n++)
		if (strcmp(links[n].name, name) == 0)
			return links[n].tunnel;
	return false;
}

static enum rank rank_of(const struct ifaddrs *at)
{
	const union address *a = (const union address *)at->ifa_addr;
	uint32_t four;

	if (!(at->ifa_flags & IFF_UP) || !(at->ifa_flags & IFF_RUNNING))
		return RANK_NONE;
	if (a->sa.sa_family == AF_INET6) {
		const struct in6_addr *six = &a->in6.sin6_addr;

		if (IN6_IS_ADDR_LOOPBACK(six))
			return RANK_LOOPBACK;
		if (IN6_IS_ADDR_UNSPECIFIED(six) || IN6_IS_ADDR_MULTICAST(six))
			return RANK_NONE;
		return IN6_IS_ADDR_LINKLOCAL(six) ? RANK_LINK_LOCAL : RANK_GLOBAL;
	}
	four = ntohl(a->in.sin_addr.s_addr);
	if (four >> 24 == IN_LOOPBACKNET)
		return RANK_LOOPBACK;
	if (!four)
		return RANK_NONE;
	return four >> 16 == 0xa9fe ? RANK_LINK_LOCAL : RANK_GLOBAL; /* 169.254/16, RFC 3927 */
}

static size_t take(const struct ifaddrs *all, const struct link *links, unsigned count, enum rank rank,
		   union address *out, size_t max)
{
	size_t n = 0;

	for (; all && n < max; all = all->ifa_next) {
		int family = all->ifa_addr ? all->ifa_addr->sa_family : AF_UNSPEC;

		if ((family != AF_INET && family != AF_INET6) || rank_of(all) != rank ||
		    is_tunnel(links, count, all->ifa_name))
			continue;
		memset(&out[n], 0, sizeof(out[n]));
		memcpy(&out[n], all->ifa_addr, family == AF_INET ? sizeof(out->in) : sizeof(out->in6));
		n++;
	}
	return n;
}

size_t ice_local_addresses(const struct ice *i, union address *out, size_t max)
{
	struct link links[LINKS_MAX];
	struct ifaddrs *all;
	unsigned count;
	size_t n;

	if (getifaddrs(&all))
		return 0;
	count = find_links(all, i->options.own_interface, links);
	n = take(all, links, count, RANK_GLOBAL, out, max);
	n += take(all, links, count, RANK_LINK_LOCAL, out + n, max - n);
	if (!n)
		n = take(all, links, count, RANK_LOOPBACK, out, max);
	freeifaddrs(all);
	return n;
}

static bool in_subnet(const union address *to, const struct ifaddrs *at)
{
	const uint8_t *a, *b, *mask;
	size_t len = sizeof(struct in6_addr);

	if (!at->ifa_netmask)
		return false;
	if (to->sa.sa_family == AF_INET) {
		a = (const uint8_t *)&to->in.sin_addr;
		b = (const uint8_t *)&((const struct sockaddr_in *)at->ifa_addr)->sin_addr;
		mask = (const uint8_t *)&((const struct sockaddr_in *)at->ifa_netmask)->sin_addr;
		len = sizeof(struct in_addr);
	} else {
		a = (const uint8_t *)&to->in6.sin6_addr;
		b = (const uint8_t *)&((const struct sockaddr_in6 *)at->ifa_addr)->sin6_addr;
		mask = (const uint8_t *)&((const struct sockaddr_in6 *)at->ifa_netmask)->sin6_addr;
	}
	for (size_t n = 0; n < len; n++)
		if ((a[n] ^ b[n]) & mask[n])
			return false;
	return true;
}

/* By the netmask: what getifaddrs(3) calls the broadcast address can be that of the other end, or our own. */
static bool is_broadcast(const union address *to, const struct ifaddrs *at)
{
	uint32_t hosts;

	if (to->sa.sa_family != AF_INET || !(at->ifa_flags & IFF_BROADCAST) || !in_subnet(to, at))
		return false;
	hosts = ~ntohl(((const struct sockaddr_in *)at->ifa_netmask)->sin_addr.s_addr);
	return hosts > 1 && (ntohl(to->in.sin_addr.s_addr) & hosts) == hosts;
}

bool ice_may_send_to(const struct ice *i, const union address *to)
{
	union address own;
	struct ifaddrs *all;
	bool may = true;

	if (!address_is_unicast(to))
		return false;
	/* Where there is no other, it is what this machine itself has to offer. */
	if (address_is_loopback(to))
		return ice_local_addresses(i, &own, 1) && address_is_loopback(&own);
	if (getifaddrs(&all))
		return false;
	for (const struct ifaddrs *at = all; at && may; at = at->ifa_next) {
		if (!at->ifa_addr || at->ifa_addr->sa_family != to->sa.sa_family)
			continue;
		may = !is_broadcast(to, at) &&
		      !(strcmp(at->ifa_name, i->options.own_interface) == 0 && in_subnet(to, at));
	}
	freeifaddrs(all);
	return may;
}

bool ice_interface_is_tunnel(const char *name)
{
	struct ifreq type = {0}, flags = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool is;

	if (fd < 0)
		return false;
	strncpy(type.ifr_name, name, IFNAMSIZ - 1);
	strncpy(flags.ifr_name, name, IFNAMSIZ - 1);
	is = !ioctl(fd, SIOCGIFHWADDR, &type) && !ioctl(fd, SIOCGIFFLAGS, &flags) &&
	     (type_is_tunnel(type.ifr_hwaddr.sa_family, (unsigned short)flags.ifr_flags) ||
	      driver_is_tunnel(fd, name));
	close(fd);
	return is;
}
