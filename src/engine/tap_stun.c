/*
 * STUN of the ICE agents goes by libnice's own sockets, so the tap listens beside them: a packet socket that
 * was opened while there was a right to (engine_raw_open), with a filter for UDP that has STUN's cookie (RFC
 * 8489 section 5). What is not from or to a port of our agents is thrown away.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "engine/paths.h"
#include "engine/tap_taps.h"
#include "ice/candidate.h"

#define STUN_COOKIE 0x2112a442
#define STUN_MAX    2048
#define READS	    64

static const struct sock_filter stun_only[] = {
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0),
	BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xf0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x60, 8, 0),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x40, 0, 12),
	/* IPv4: UDP, no later fragment */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 10),
	BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x1fff, 8, 0),
	BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
	BPF_STMT(BPF_LD | BPF_W | BPF_IND, 8 + 4),
	BPF_JUMP(BPF_JMP | BPF_JA, 3, 0, 0),
	/* IPv6 without extension headers */
	BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 6),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 40 + 8 + 4),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, STUN_COOKIE, 0, 1),
	BPF_STMT(BPF_RET | BPF_K, STUN_MAX),
	BPF_STMT(BPF_RET | BPF_K, 0),
};

/* ---- whose it is ---- */

static bool port_of_agent(const struct agent_way *w, uint16_t port)
{
	for (unsigned i = 0; i < w->candidate_count; i++) {
		struct candidate c;

		/* The port is at the same place in both families. */
		if (!candidate_parse(&c, w->candidates[i]) && c.type == ICE_HOST && !c.tcp &&
		    c.address.in.sin_port == port)
			return true;
	}
	return false;
}

static struct agent_way *agent_at(struct engine *g, uint16_t port)
{
	list_for_each (pos, &g->paths->all)
		list_for_each (at, &container_of(pos, struct peer_paths, link)->agents) {
			struct agent_way *w = container_of(at, struct agent_way, link);

			if (w->paths && port_of_agent(w, port))
				return w;
		}
	return NULL;
}

/* ---- packets ---- */

/* Addresses and payload of a UDP packet that the filter let through. */
static const uint8_t *read_udp(const uint8_t *ip, size_t len, union address *from, union address *to,
			       size_t *payload)
{
	bool six = len && ip[0] >> 4 == 6;
	size_t header = six ? sizeof(struct ip6_hdr) : len ? (size_t)(ip[0] & 15) * 4 : 0;
	struct udphdr udp;

	memset(from, 0, sizeof(*from));
	memset(to, 0, sizeof(*to));
	if (header < sizeof(struct iphdr) || len < header + sizeof(udp))
		return NULL;
	memcpy(&udp, ip + header, sizeof(udp));
	from->sa.sa_family = to->sa.sa_family = six ? AF_INET6 : AF_INET;
	from->in.sin_port = udp.source;
	to->in.sin_port = udp.dest;
	if (six) {
		memcpy(&from->in6.sin6_addr, ip + 8, 16);
		memcpy(&to->in6.sin6_addr, ip + 24, 16);
	} else {
		memcpy(&from->in.sin_addr, ip + 12, 4);
		memcpy(&to->in.sin_addr, ip + 16, 4);
	}
	*payload = len - header - sizeof(udp);
	if (ntohs(udp.len) < sizeof(udp) || ntohs(udp.len) - sizeof(udp) > *payload)
		return NULL;
	*payload = ntohs(udp.len) - sizeof(udp);
	return ip + header + sizeof(udp);
}

static void take(struct engine *g, const uint8_t *ip, size_t len, const struct sockaddr_ll *by)
{
	struct tap_meta m = {.point = TAP_WIRE, .type = TAP_STUN, .out = by->sll_pkttype == PACKET_OUTGOING};
	union address from, to;
	size_t payload;
	const uint8_t *stun = read_udp(ip, len, &from, &to, &payload);
	struct agent_way *w;

	/* What goes through our own tunnel is somebody else's. */
	if (!stun || by->sll_ifindex == g->ifindex)
		return;
	m.local = m.out ? from : to;
	m.remote = m.out ? to : from;
	w = agent_at(g, m.local.in.sin_port);
	if (!w)
		return;
	tap_set_peer(&m, w->paths->peer->wg);
	m.path = PATH_KIND_ICE;
	m.generation = w->generation;
	m.length = (uint32_t)payload;
	tap_put(g->tap, g->worker_count, &m, stun, payload);
}

static void on_stun(void *arg, int fd, unsigned events)
{
	struct engine *g = arg;
	uint8_t packet[STUN_MAX];
	struct sockaddr_ll by;

	(void)events;
	for (unsigned i = 0; i < READS; i++) {
		ssize_t n = recvfrom(fd, packet, sizeof(packet), MSG_DONTWAIT, (struct sockaddr *)&by,
				     &(socklen_t){sizeof(by)});

		if (n < 0)
			return;
		take(g, packet, (size_t)n, &by);
	}
}

/* ---- listening ---- */

void tap_stun_open(struct engine *g)
{
	g->taps->stun_fd = g->options.raw ? g->options.raw[2] : -1;
}

/* bind(2) cannot undo a bind: a protocol that nobody speaks (ETH_P_LOOP) is as good. */
static int bind_to(int fd, bool on)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_protocol = htons(on ? ETH_P_ALL : ETH_P_LOOP)};

	return bind(fd, (struct sockaddr *)&to, sizeof(to)) ? -errno : 0;
}

void tap_stun_listen(struct engine *g, bool on)
{
	struct taps *t = g->taps;
	struct sock_fprog program = {.len = sizeof(stun_only) / sizeof(stun_only[0]),
				     .filter = (struct sock_filter *)stun_only};
	int r = 0;

	if (t->stun_fd < 0 || on == t->listening)
		return;
	if (!on) {
		loop_fd_remove(t->stun_watch);
		t->stun_watch = NULL;
	} else if (setsockopt(t->stun_fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program))) {
		r = -errno;
	}
	if (!r)
		r = bind_to(t->stun_fd, on);
	t->listening = on && !r;
	if (r)
		log_warn("engine", "the tap cannot %s STUN of the ICE agents: %s",
			 on ? "listen to" : "stop listening to", strerror(-r));
	else if (on)
		t->stun_watch = loop_fd_add(g->loop, t->stun_fd, LOOP_READ, on_stun, g);
}

void tap_stun_close(struct engine *g)
{
	tap_stun_listen(g, false);
}

bool tap_stun_heard(const struct engine *g)
{
	return g->taps->listening;
}
