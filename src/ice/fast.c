/*
 * The fast socket: libnice binds A alone; SO_REUSEPORT set on it afterwards lets our B join the same address
 * and port, and a classic BPF program on the group sends WireGuard to B and everything else to A. Closing B
 * gives all to A again.
 *
 * GRO would undo it: the kernel glues datagrams of one flow and one length before it chooses the socket, by
 * the headers alone, so STUN rides in a train of WireGuard to B and the pair dies of it. The cure is a
 * different TTL (hop limit) for what leaves A and what leaves B: routers lower both alike, and unlike headers
 * are never glued. The GRO stage also picks a member of the group by hash to see whether it wants trains, so
 * both must have UDP_GRO, or half of all flows have none. A gets it a few seconds later: its own checks come
 * close together at first.
 *
 * TURN data (ChannelData) is left to A: relayed pairs take libnice's way, and what is put back to A by a raw
 * socket must never be sent to B again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "ice/internal.h"

#define TTL_LIBRARY    65
#define TTL_FAST       64
#define LIBRARY_BUFFER (1 << 20) /* the default loses half of a burst on the callback path */
#define FAST_RECEIVE   (8 << 20)
#define FAST_SEND      (4 << 20)
#define GRO_AFTER      (3 * NS_PER_SEC)
#define STUN_HEADER    20

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value)) ? -errno : 0;
}

static void set_buffer(int fd, int forced, int option, int bytes)
{
	if (set(fd, SOL_SOCKET, forced, bytes))
		set(fd, SOL_SOCKET, option, bytes);
}

static void set_ttl(int fd, int family, int ttl)
{
	if (family == AF_INET6)
		set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, ttl);
	else
		set(fd, IPPROTO_IP, IP_TTL, ttl);
}

void fast_mark_library_socket(const struct ice_agent *a, int fd)
{
	int domain = AF_UNSPEC;
	socklen_t len = sizeof(domain);

	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	set_ttl(fd, domain, TTL_LIBRARY);
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, LIBRARY_BUFFER);
	if (a->ice->options.fwmark)
		set(fd, SOL_SOCKET, SO_MARK, (int)a->ice->options.fwmark);
}

/* What A was given (libnice binds a candidate to its interface, so that our own default route cannot catch
 * it). */
static void copy_option(int from, int to, int level, int option)
{
	int value = 0;
	socklen_t len = sizeof(value);

	if (getsockopt(from, level, option, &value, &len) == 0 && value)
		setsockopt(to, level, option, &value, len);
}

static void copy_options(int from, int to, int family)
{
	copy_option(from, to, SOL_SOCKET, SO_MARK);
	if (family == AF_INET6) {
		copy_option(from, to, IPPROTO_IPV6, IPV6_UNICAST_IF);
		copy_option(from, to, IPPROTO_IPV6, IPV6_TCLASS);
	} else {
		copy_option(from, to, IPPROTO_IP, IP_UNICAST_IF);
		copy_option(from, to, IPPROTO_IP, IP_TOS);
	}
}

/* As the device's own sockets (net/udp.c): ECN is read, and outer packets may be fragmented. */
static void set_up(int fd, int family)
{
	if (family == AF_INET6) {
		set(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, 1);
		set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, IPV6_PMTUDISC_DONT);
	} else {
		set(fd, IPPROTO_IP, IP_RECVTOS, 1);
		set(fd, IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DONT);
	}
	set_ttl(fd, family, TTL_FAST);
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF, FAST_RECEIVE);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF, FAST_SEND);
}

/* Index 1 is B, the second to be bound; 0 is A. Offsets count from the UDP payload. */
static int attach_filter(int fd)
{
	struct sock_filter program[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 16, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0),
		/* type 4 and three zero bytes; then types 1 to 3 */
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x04000000, 2, 0),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x01000000, 0, 2),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0xfcffffff, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = {.len = sizeof(program) / sizeof(program[0]), .filter = program};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof(filter)) ? -errno : 0;
}

static int refuse(struct ice_agent *a, struct error *e, int code, const char *why)
{
	struct error local, *out = e ? e : &local;

	if (code)
		error_set(out, ENOTSUP, "no fast socket: %s: %s", why, strerror(code));
	else
		error_set(out, ENOTSUP, "no fast socket: %s", why);
	snprintf(a->fast_error, sizeof(a->fast_error), "%.*s", (int)sizeof(a->fast_error) - 1, out->text);
	return -ENOTSUP;
}

static const char *bind_beside(int fd, int beside, int family, const union address *at)
{
	if (family == AF_INET6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1))
		return "IPV6_V6ONLY";
	if (set(beside, SOL_SOCKET, SO_REUSEPORT, 1) || set(fd, SOL_SOCKET, SO_REUSEPORT, 1))
		return "SO_REUSEPORT";
	copy_options(beside, fd, family);
	set_up(fd, family);
	if (bind(fd, &at->sa, address_len(at)))
		return "binding beside libnice's socket";
	return attach_filter(fd) ? "attaching the filter" : NULL;
}

int ice_agent_open_fast(struct ice_agent *a, struct error *e)
{
	union address at = {0};
	socklen_t len = sizeof(at);
	const char *step;
	int fd, beside, family;

	if (a->no_fast)
		return refuse(a, e, 0, "switched off");
	if (!a->selected)
		return refuse(a, e, 0, "no pair is selected yet");
	if (a->pair.tcp || a->pair.local_type == ICE_RELAYED)
		return refuse(a, e, 0, a->pair.tcp ? "the pair is TCP" : "the pair is relayed by TURN");
	beside = agent_socket(a);
	if (beside < 0 || getsockname(beside, &at.sa, &len))
		return refuse(a, e, 0, "libnice shows no socket for this pair");
	if (a->fast >= 0)
		return a->beside == beside
			       ? a->fast
			       : error_set(e, EBUSY, "close the fast socket of the former pair first");
	family = at.sa.sa_family;
	fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return refuse(a, e, errno, "opening it");
	step = bind_beside(fd, beside, family, &at);
	if (step) {
		int code = errno;

		close(fd);
		return refuse(a, e, code, step);
	}
	set(fd, IPPROTO_UDP, UDP_GRO, 1);
	a->fast = fd;
	a->beside = beside;
	a->fast_error[0] = '\0';
	if (!a->gro_spoilt)
		a->gro_at = clock_boot_ns() + GRO_AFTER;
	ice_plan(a->ice);
	return fd;
}

static void library_gro(struct ice_agent *a, bool on)
{
	if (a->beside >= 0 && set(a->beside, IPPROTO_UDP, UDP_GRO, on) == 0)
		a->gro = on;
}

void ice_agent_close_fast(struct ice_agent *a)
{
	if (a->fast < 0)
		return;
	a->gro_at = 0;
	if (a->gro)
		library_gro(a, false); /* it will read all of the data again, one by one */
	close(a->fast);
	a->fast = a->beside = -1;
}

void fast_turn(struct ice_agent *a, uint64_t now)
{
	if (!a->gro_at || a->gro_at > now)
		return;
	a->gro_at = 0;
	library_gro(a, true);
}

void fast_glued(struct ice_agent *a)
{
	a->gro_at = 0;
	a->gro_spoilt = true;
	if (a->gro)
		library_gro(a, false);
}

/* The filter's own question. */
static bool is_wireguard(const uint8_t *data, size_t len)
{
	return len >= 16 && data[0] >= 1 && data[0] <= 4 && !data[1] && !data[2] && !data[3];
}

bool fast_is_stun(const uint8_t *data, size_t len)
{
	/* RFC 8489 section 5: two zero bits, a length of whole words. WireGuard's types look alike. */
	return len >= STUN_HEADER && !(data[0] & 0xc0) && !(data[3] & 3) && !is_wireguard(data, len) &&
	       STUN_HEADER + (size_t)(data[2] << 8 | data[3]) <= len;
}

void ice_raw_open(int raw[2])
{
	raw[0] = socket(AF_INET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
	raw[1] = socket(AF_INET6, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_RAW);
}

void ice_raw_close(int raw[2])
{
	for (int n = 0; n < 2; n++)
		if (raw[n] >= 0)
			close(raw[n]);
}

static uint32_t sum(uint32_t total, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t n = 0; n + 1 < len; n += 2)
		total += (uint32_t)(p[n] << 8 | p[n + 1]);
	return len & 1 ? total + (uint32_t)(p[len - 1] << 8) : total;
}

static uint16_t fold(uint32_t total)
{
	while (total >> 16)
		total = (total & 0xffff) + (total >> 16);
	total = ~total & 0xffff;
	return htons((uint16_t)(total ? total : 0xffff));
}

/* An IP packet from `from` to A, into out: its length. */
static size_t build(uint8_t *out, const union address *from, const union address *to, const uint8_t *data,
		    size_t len)
{
	bool six = to->sa.sa_family == AF_INET6;
	const void *src = six ? (const void *)&from->in6.sin6_addr : (const void *)&from->in.sin_addr;
	const void *dst = six ? (const void *)&to->in6.sin6_addr : (const void *)&to->in.sin_addr;
	size_t ip = six ? sizeof(struct ip6_hdr) : sizeof(struct iphdr), one = six ? 16 : 4;
	size_t datagram = sizeof(struct udphdr) + len;
	struct udphdr udp = {.source = six ? from->in6.sin6_port : from->in.sin_port,
			     .dest = six ? to->in6.sin6_port : to->in.sin_port,
			     .len = htons((uint16_t)datagram)};
	uint32_t total = IPPROTO_UDP + (uint32_t)datagram;

	if (six) {
		struct ip6_hdr h = {.ip6_flow = htonl(6u << 28), .ip6_plen = htons((uint16_t)datagram)};

		h.ip6_nxt = IPPROTO_UDP;
		h.ip6_hlim = TTL_FAST;
		h.ip6_src = from->in6.sin6_addr;
		h.ip6_dst = to->in6.sin6_addr;
		memcpy(out, &h, ip);
	} else {
		struct iphdr h = {.version = 4, .ihl = 5, .ttl = TTL_FAST, .protocol = IPPROTO_UDP};

		h.tot_len = htons((uint16_t)(ip + datagram));
		h.saddr = from->in.sin_addr.s_addr;
		h.daddr = to->in.sin_addr.s_addr;
		h.check = fold(sum(0, &h, sizeof(h)));
		memcpy(out, &h, ip);
	}
	total = sum(sum(sum(total, src, one), dst, one), &udp, sizeof(udp));
	udp.check = fold(sum(total, data, len));
	memcpy(out + ip, &udp, sizeof(udp));
	memcpy(out + ip + sizeof(udp), data, len);
	return ip + datagram;
}

void ice_agent_stray(struct ice_agent *a, const struct endpoint *from, const uint8_t *data, size_t len)
{
	uint8_t packet[sizeof(struct ip6_hdr) + sizeof(struct udphdr) + 2048];
	union address to = {0}, out;
	socklen_t to_len = sizeof(to);
	int raw;

	/* What the filter would send to B again must not go round. */
	if (a->beside < 0 || len > 2048 || is_wireguard(data, len))
		return;
	a->strays++;
	fast_glued(a);
	if (getsockname(a->beside, &to.sa, &to_len) || to.sa.sa_family != from->remote.sa.sa_family)
		return;
	raw = a->ice->raw[to.sa.sa_family == AF_INET6];
	if (raw < 0)
		return; /* without CAP_NET_RAW: libnice repeats its checks, and no more are swallowed from now
			   on */
	out = to;
	if (to.sa.sa_family == AF_INET6)
		out.in6.sin6_port = 0; /* raw(7): must be zero or the protocol */
	sendto(raw, packet, build(packet, &from->remote, &to, data, len), MSG_DONTWAIT, &out.sa,
	       address_len(&out));
}
