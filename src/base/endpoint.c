#include "base/endpoint.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *address_format(char out[ADDRESS_TEXT], const union address *a)
{
	char host[INET6_ADDRSTRLEN], name[IF_NAMESIZE];

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
		snprintf(out, ADDRESS_TEXT, "%s:%u", host, ntohs(a->in.sin_port));
	} else if (a->sa.sa_family == AF_INET6) {
		unsigned scope = a->in6.sin6_scope_id, port = ntohs(a->in6.sin6_port);

		inet_ntop(AF_INET6, &a->in6.sin6_addr, host, sizeof(host));
		if (!scope)
			snprintf(out, ADDRESS_TEXT, "[%s]:%u", host, port);
		else if (if_indextoname(scope, name))
			snprintf(out, ADDRESS_TEXT, "[%s%%%s]:%u", host, name, port);
		else /* the interface is gone: its number still says which one it was */
			snprintf(out, ADDRESS_TEXT, "[%s%%%u]:%u", host, scope, port);
	} else {
		snprintf(out, ADDRESS_TEXT, "(none)");
	}
	return out;
}

/* Decimal digits only: no sign, no space, at most max. */
static bool parse_number(const char *text, unsigned long max, unsigned long *out)
{
	size_t digits = strspn(text, "0123456789");

	if (!digits || digits > 10 || text[digits])
		return false;
	*out = strtoul(text, NULL, 10);
	return *out <= max;
}

/* Interface name, or number; a number wins only when no interface has that name. */
static bool parse_scope(const char *text, uint32_t *scope)
{
	unsigned long number;

	if (strlen(text) < IF_NAMESIZE && (*scope = if_nametoindex(text)) != 0)
		return true;
	if (!parse_number(text, UINT32_MAX, &number) || !number)
		return false;
	*scope = (uint32_t)number;
	return true;
}

static bool parse_v6(struct sockaddr_in6 *in6, char *host)
{
	char *percent = strchr(host, '%');

	if (percent) {
		*percent = '\0';
		if (!parse_scope(percent + 1, &in6->sin6_scope_id))
			return false;
	}
	in6->sin6_family = AF_INET6;
	return inet_pton(AF_INET6, host, &in6->sin6_addr) == 1;
}

bool address_parse(union address *a, const char *text)
{
	union address parsed = {0};
	char host[ADDRESS_TEXT], *colon;
	size_t len = strnlen(text, sizeof(host));
	unsigned long port;

	if (len == sizeof(host))
		return false;
	memcpy(host, text, len + 1);
	colon = strrchr(host, ':');
	if (!colon || !parse_number(colon + 1, UINT16_MAX, &port))
		return false;
	*colon = '\0';
	if (host[0] == '[') {
		if (colon == host + 1 || colon[-1] != ']')
			return false;
		colon[-1] = '\0';
		if (!parse_v6(&parsed.in6, host + 1))
			return false;
		parsed.in6.sin6_port = htons((uint16_t)port);
	} else {
		parsed.in.sin_family = AF_INET;
		parsed.in.sin_port = htons((uint16_t)port);
		if (inet_pton(AF_INET, host, &parsed.in.sin_addr) != 1)
			return false;
	}
	*a = parsed;
	return true;
}

bool address_same_host(const union address *a, const union address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->sa.sa_family == AF_INET6 &&
	       !memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr));
}

bool address_equal(const union address *a, const union address *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr && a->in.sin_port == b->in.sin_port;
	if (a->sa.sa_family == AF_INET6)
		return memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0 &&
		       a->in6.sin6_port == b->in6.sin6_port && a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	return true;
}

bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	if (!address_equal(&a->remote, &b->remote) || a->ifindex != b->ifindex || a->via != b->via)
		return false;
	if (a->remote.sa.sa_family == AF_INET)
		return a->local.in.s_addr == b->local.in.s_addr;
	if (a->remote.sa.sa_family == AF_INET6)
		return memcmp(&a->local.in6, &b->local.in6, sizeof(a->local.in6)) == 0;
	return true;
}

bool endpoint_known(const struct endpoint *e)
{
	return e->remote.sa.sa_family != AF_UNSPEC || e->via;
}

void endpoint_forget_source(struct endpoint *e)
{
	memset(&e->local, 0, sizeof(e->local));
	e->ifindex = 0;
}

socklen_t address_len(const union address *a)
{
	return a->sa.sa_family == AF_INET6 ? sizeof(a->in6) : sizeof(a->in);
}

bool address_is_unicast(const union address *a)
{
	const struct in6_addr *six = &a->in6.sin6_addr;
	uint32_t four = ntohl(a->in.sin_addr.s_addr);

	if (a->sa.sa_family == AF_INET)
		return four && !IN_MULTICAST(four) && four != INADDR_BROADCAST;
	return a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_UNSPECIFIED(six) && !IN6_IS_ADDR_MULTICAST(six) &&
	       !IN6_IS_ADDR_V4MAPPED(six);
}

bool address_is_loopback(const union address *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

/* RFC 3927, RFC 4291 section 2.5.6 */
bool address_is_link_local(const union address *a)
{
	if (a->sa.sa_family == AF_INET)
		return ntohl(a->in.sin_addr.s_addr) >> 16 == 0xa9fe;
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr);
}
