#include "net_help.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static uint64_t state = 0x243f6a8885a308d3ull;

uint32_t random_next(void)
{
	state = state * 6364136223846793005ull + 1442695040888963407ull;
	return (uint32_t)(state >> 33) ^ (uint32_t)(state >> 17);
}

uint32_t random_below(uint32_t limit)
{
	return random_next() % limit;
}

void random_fill(void *out, size_t len)
{
	uint8_t *p = out;

	while (len--)
		*p++ = (uint8_t)random_next();
}

uint16_t naive_checksum(const uint8_t *p, size_t len, uint32_t start)
{
	uint64_t sum = start;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? p[i] : (uint32_t)p[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t naive_pseudo(const uint8_t *p, int protocol, size_t len)
{
	uint32_t sum = (uint32_t)protocol + (uint32_t)len;
	size_t from = p[0] >> 4 == 6 ? 8 : 12, to = p[0] >> 4 == 6 ? 40 : 20;

	for (size_t i = from; i < to; i += 2)
		sum += (uint32_t)(p[i] << 8 | p[i + 1]);
	return sum;
}

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static size_t build_ip(uint8_t *out, const struct packet_spec *s, size_t transport_len)
{
	size_t ip_len;

	if (s->version == 4) {
		ip_len = 20 + s->ip_options;
		memset(out, 0, ip_len);
		out[0] = (uint8_t)(0x40 | ip_len / 4);
		out[1] = s->tos;
		put16(out + 2, (uint32_t)(ip_len + transport_len));
		put16(out + 4, s->id);
		out[6] = s->df ? 0x40 : 0;
		out[8] = s->ttl;
		out[9] = (uint8_t)s->protocol;
		memcpy(out + 12, (uint8_t[]){10, 0, 0, s->host}, 4);
		memcpy(out + 16, (uint8_t[]){10, 0, 0, 200}, 4);
		memset(out + 20, 1, s->ip_options); /* no-operation */
		put16(out + 10, naive_checksum(out, ip_len, 0));
		return ip_len;
	}
	ip_len = 40 + s->extensions;
	memset(out, 0, ip_len);
	put32(out, 6u << 28 | (uint32_t)s->tos << 20 | s->flow_label);
	put16(out + 4, (uint32_t)(s->extensions + transport_len));
	out[6] = s->extensions ? IPPROTO_DSTOPTS : (uint8_t)s->protocol;
	out[7] = s->ttl;
	out[8] = out[24] = 0xfd;
	out[23] = s->host;
	out[39] = 200;
	if (s->extensions) {
		out[40] = (uint8_t)s->protocol;
		out[41] = (uint8_t)(s->extensions / 8 - 1);
		out[42] = 1; /* PadN */
		out[43] = (uint8_t)(s->extensions - 4);
	}
	return ip_len;
}

size_t packet_build(uint8_t *out, const struct packet_spec *s)
{
	size_t header = s->protocol == IPPROTO_TCP ? 20 + s->tcp_options : 8;
	size_t transport_len = header + s->payload_len, ip_len = build_ip(out, s, transport_len);
	size_t csum_at = s->protocol == IPPROTO_TCP ? 16 : 6;
	uint8_t *t = out + ip_len;
	uint16_t csum;

	memset(t, 0, header);
	put16(t, s->sport);
	put16(t + 2, s->dport);
	if (s->protocol == IPPROTO_TCP) {
		put32(t + 4, s->seq);
		put32(t + 8, s->ack);
		t[12] = (uint8_t)(header / 4 << 4);
		t[13] = s->flags;
		put16(t + 14, s->window);
		for (size_t i = 20; i < header; i++)
			t[i] = (uint8_t)(i * 7);
	} else {
		put16(t + 4, (uint32_t)transport_len);
	}
	if (s->payload_len)
		memcpy(t + header, s->payload, s->payload_len);
	csum = naive_checksum(t, transport_len, naive_pseudo(out, s->protocol, transport_len));
	put16(t + csum_at, csum ? csum : 0xffff);
	return ip_len + transport_len;
}

bool packet_check(struct packet_view *v, const uint8_t *p, size_t len)
{
	memset(v, 0, sizeof(*v));
	v->version = p[0] >> 4;
	if (v->version == 4) {
		v->ip_len = (size_t)(p[0] & 15) * 4;
		v->protocol = p[9];
		if (get16(p + 2) != len || naive_checksum(p, v->ip_len, 0))
			return false;
	} else {
		v->ip_len = 40;
		v->protocol = p[6];
		if (get16(p + 4) + 40 != len)
			return false;
		while (v->protocol == IPPROTO_DSTOPTS || v->protocol == IPPROTO_HOPOPTS) {
			v->protocol = p[v->ip_len];
			v->ip_len += (size_t)(p[v->ip_len + 1] + 1) * 8;
		}
	}
	v->transport = p + v->ip_len;
	v->header_len = v->ip_len + (v->protocol == IPPROTO_TCP ? (size_t)(v->transport[12] >> 4) * 4 : 8);
	v->payload = p + v->header_len;
	v->payload_len = len - v->header_len;
	if (v->protocol == IPPROTO_UDP &&
	    (get16(v->transport + 4) != len - v->ip_len || !get16(v->transport + 6)))
		return false;
	return !naive_checksum(v->transport, len - v->ip_len, naive_pseudo(p, v->protocol, len - v->ip_len));
}

bool own_network(void)
{
	struct netlink *n;
	int r;

	if (unshare(CLONE_NEWNET) && (errno != EPERM || unshare(CLONE_NEWUSER | CLONE_NEWNET))) {
		fprintf(stderr, "skipped: no network namespace: %s\n", strerror(errno));
		return false;
	}
	n = netlink_open(NULL);
	r = n ? netlink_link_set(n, netlink_ifindex(n, "lo"), 0, 1, 0) : -1;
	netlink_close(n);
	return r == 0;
}

void delete_link(int ifindex)
{
	char buf[256];
	struct mnl_socket *s = mnl_socket_open(NETLINK_ROUTE);
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct ifinfomsg *body;

	nlh->nlmsg_type = RTM_DELLINK;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	body = mnl_nlmsg_put_extra_header(nlh, sizeof(*body));
	body->ifi_index = ifindex;
	if (!s || mnl_socket_sendto(s, nlh, nlh->nlmsg_len) < 0 ||
	    mnl_socket_recvfrom(s, buf, sizeof(buf)) < 0 ||
	    ((struct nlmsgerr *)mnl_nlmsg_get_payload((struct nlmsghdr *)buf))->error)
		abort();
	mnl_socket_close(s);
}

struct ip_prefix prefix(const char *text)
{
	struct ip_prefix p = {.family = strchr(text, ':') ? AF_INET6 : AF_INET};
	char address[64];
	const char *slash = strchr(text, '/');

	snprintf(address, sizeof(address), "%.*s", (int)(slash - text), text);
	if (inet_pton(p.family, address, p.addr) != 1)
		abort();
	p.len = (uint8_t)atoi(slash + 1);
	return p;
}
