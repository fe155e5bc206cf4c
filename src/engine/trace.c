#include "engine/trace.h"

#include <arpa/inet.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "wg/messages.h"

const char *trace_verdict_name(enum trace_verdict v)
{
	static const char *const names[TRACE_VERDICTS] = {
		[TRACE_SENT] = "sent",	     [TRACE_WAITS] = "waits",
		[TRACE_DOWN] = "down",	     [TRACE_NOT_ROUTED] = "not-routed",
		[TRACE_NO_PEER] = "no-peer", [TRACE_NO_ENDPOINT] = "no-endpoint",
		[TRACE_TOO_BIG] = "too-big", [TRACE_UNREACHABLE] = "unreachable",
		[TRACE_LOOP] = "loop",
	};

	return v < TRACE_VERDICTS ? names[v] : "?";
}

/* ---- facts ---- */

static void ask_route(struct engine *g, int family, const void *addr, uint32_t fwmark,
		      struct trace_route *out)
{
	struct netlink_way way;
	int r = netlink_route_get(g->netlink, family, addr, fwmark, &way);

	out->asked = true;
	out->error = -r;
	if (r)
		return;
	out->local = way.local;
	out->into_tunnel = way.ifindex == g->ifindex && !g->link_away;
	memcpy(out->ifname, way.ifname, sizeof(out->ifname));
	if (way.has_source)
		inet_ntop(family, way.source, out->source, sizeof(out->source));
	if (way.has_gateway)
		inet_ntop(family, way.gateway, out->gateway, sizeof(out->gateway));
	out->table = way.table;
	out->mtu = way.mtu;
}

static void ask_outer(struct engine *g, const union address *a, struct trace_route *out)
{
	if (a->sa.sa_family == AF_INET)
		ask_route(g, AF_INET, &a->in.sin_addr, g->fwmark, out);
	else if (a->sa.sa_family == AF_INET6)
		ask_route(g, AF_INET6, &a->in6.sin6_addr, g->fwmark, out);
}

static void take_prefix(void *arg, struct wg_peer *wg, const uint8_t *addr, unsigned prefix, bool covers)
{
	struct engine_trace *t = arg;
	struct trace_prefix found = {.peer = peer_of(wg), .len = (uint8_t)prefix};

	memcpy(found.addr, addr, t->family == AF_INET ? 4 : 16);
	if (!covers) {
		if (t->near_count < TRACE_NEAR)
			t->near[t->near_count++] = found;
		return;
	}
	/* The longest ones count: the first makes room. */
	if (t->covers_count == TRACE_COVERS)
		memmove(t->covers, t->covers + 1, sizeof(t->covers) - sizeof(t->covers[0]));
	else
		t->covers_count++;
	t->covers[t->covers_count - 1] = found;
	t->peer = found.peer;
}

static bool has_address(const struct wg_stolen *s, const uint8_t *addr)
{
	unsigned bytes = s->prefix / 8, rest = s->prefix % 8;

	if (memcmp(s->addr, addr, bytes) != 0)
		return false;
	return !rest || (s->addr[bytes] ^ addr[bytes]) >> (8 - rest) == 0;
}

/* Two peers with the same prefix in a configuration: the later one has it, and the other one's packets go
 * astray. */
static void find_losers(struct engine *g, struct engine_trace *t)
{
	for (struct engine_peer *p = engine_first_peer(g); p && t->lost_count < TRACE_NEAR;
	     p = engine_next_peer(p)) {
		struct trace_prefix *out = &t->lost[t->lost_count];
		struct wg_stolen s;

		if (p == t->peer || !wg_peer_stolen(p->wg, &s) || s.family != t->family ||
		    !has_address(&s, t->addr))
			continue;
		*out = (struct trace_prefix){.peer = p, .len = (uint8_t)s.prefix};
		memcpy(out->addr, s.addr, s.family == AF_INET ? 4 : 16);
		t->lost_count++;
	}
}

static bool usable(const struct engine *g, const struct wg_keypair_view *k, uint64_t now)
{
	unsigned divisor = g->options.time_divisor ? g->options.time_divisor : 1;

	return k->used && now - k->created < REJECT_AFTER_TIME / divisor && k->sent < REJECT_AFTER_MESSAGES;
}

static void look_path(struct engine *g, struct engine_peer *p, struct engine_trace *t)
{
	struct engine_network_view network;
	const struct engine_path_view *chosen = NULL;
	bool relayed;

	engine_look_network(p, &network);
	for (unsigned i = 0; network.has_controller && i < network.path_count; i++)
		if (network.paths[i].chosen)
			chosen = &network.paths[i];
	t->path = chosen			  ? path_kind_name(chosen->path.ref.kind)
		  : endpoint_known(&t->view.used) ? "direct"
						  : "none";
	relayed = chosen && chosen->path.ref.kind == PATH_KIND_RELAY;
	if (chosen && *chosen->remote)
		snprintf(t->path_remote, sizeof(t->path_remote), "%s", chosen->remote);
	else if (t->view.used.remote.sa.sa_family != AF_UNSPEC)
		address_format(t->path_remote, &t->view.used.remote);
	if (!relayed)
		ask_outer(g, &t->view.used.remote, &t->outer);
	if (network.has_controller && network.inner_mtu && network.inner_mtu < t->inner_mtu)
		t->inner_mtu = network.inner_mtu;
}

/* ---- verdict ---- */

static void say(struct engine_trace *t, enum trace_verdict v, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void say(struct engine_trace *t, enum trace_verdict v, const char *fmt, ...)
{
	va_list args;

	t->verdict = v;
	va_start(args, fmt);
	vsnprintf(t->why, sizeof(t->why), fmt, args);
	va_end(args);
}

/* What happens before a packet has reached the engine. True: it does not. */
static bool before_engine(struct engine *g, struct engine_trace *t)
{
	const char *ifname = g->tun.name;

	if (!g->up)
		say(t, TRACE_DOWN, "%s is down: ip link set %s up", ifname, ifname);
	else if (!wg_has_private_key(g->wg))
		say(t, TRACE_DOWN, "%s has no private key", ifname);
	else if (t->elsewhere)
		return false;
	else if (t->route.error)
		say(t, TRACE_NOT_ROUTED, "the system has no route to it (%s): it never comes to %s",
		    strerror(t->route.error), ifname);
	else if (t->route.local)
		say(t, TRACE_NOT_ROUTED, "it is an address of this host: packets to it stay here");
	else if (!t->route.into_tunnel)
		say(t, TRACE_NOT_ROUTED, "the system sends it to %s, not into %s: %s",
		    *t->route.ifname ? t->route.ifname : "nowhere", ifname,
		    t->peer ? "ip route, ip rule" : "and no peer's AllowedIPs have it");
	else
		return false;
	return true;
}

static bool at_the_endpoint(struct engine *g, struct engine_trace *t)
{
	if (!endpoint_known(&t->view.used)) {
		if (t->view.host)
			say(t, TRACE_NO_ENDPOINT,
			    "where the peer is, is not known: its name %.100s does not resolve%s%.80s",
			    t->view.host, t->view.resolve_error ? ": " : " yet",
			    t->view.resolve_error ? t->view.resolve_error : "");
		else
			say(t, TRACE_NO_ENDPOINT,
			    "where the peer is, is not known: it has no Endpoint and has not called yet");
	} else if (t->outer.asked && t->outer.error) {
		say(t, TRACE_UNREACHABLE, "there is no route to the peer's endpoint %s (%s)", t->path_remote,
		    strerror(t->outer.error));
	} else if (t->outer.asked && t->outer.into_tunnel) {
		say(t, TRACE_LOOP,
		    "the way to the peer's endpoint %s leads into %s itself: leave it out of AllowedIPs, or "
		    "set FwMark",
		    t->path_remote, g->tun.name);
	} else {
		return false;
	}
	return true;
}

static bool at_the_key(struct engine_trace *t)
{
	const struct wg_peer_view *wg = &t->view.wg;

	if (t->has_key)
		return false;
	if (wg->attempt)
		say(t, TRACE_WAITS, "no key: it waits for the handshake that runs, try %u of %u%s%.150s",
		    wg->attempt, HANDSHAKE_ATTEMPTS, *t->view.state.reason ? "; " : "", t->view.state.reason);
	else
		say(t, TRACE_WAITS, "no key: it starts a handshake, and waits for its end");
	return true;
}

static void judge(struct engine *g, struct engine_trace *t)
{
	if (before_engine(g, t))
		return;
	if (!t->peer)
		say(t, TRACE_NO_PEER, "no peer's AllowedIPs have it: the engine drops it");
	else if (at_the_endpoint(g, t) || at_the_key(t))
		return;
	else if (t->size > (unsigned)t->mtu)
		say(t, TRACE_TOO_BIG,
		    "%u bytes are more than the MTU of %s, %d: the system cuts it, or refuses it", t->size,
		    g->tun.name, t->mtu);
	else if (t->size > t->inner_mtu)
		say(t, TRACE_TOO_BIG,
		    "%u bytes are more than the path carries, %u: what may not be cut is refused, by ICMP",
		    t->size, t->inner_mtu);
	else
		say(t, TRACE_SENT, "it would be sent now");
}

void engine_trace(struct engine *g, int family, const void *addr, unsigned size, struct engine_trace *t)
{
	uint64_t now = clock_boot_ns();

	memset(t, 0, sizeof(*t));
	t->family = family;
	memcpy(t->addr, addr, family == AF_INET ? 4 : 16);
	t->size = size;
	t->mtu = g->mtu;
	t->inner_mtu = g->mtu > 0 ? (unsigned)g->mtu : 0;
	t->elsewhere = g->link_away;
	t->path = "none";
	if (!t->elsewhere)
		ask_route(g, family, addr, 0, &t->route);
	wg_prefixes_around(g->wg, family, addr, TRACE_NEAR, take_prefix, t);
	find_losers(g, t);
	if (t->peer) {
		engine_look_peer(t->peer, &t->view);
		t->has_key = usable(g, &t->view.wg.keypairs[WG_CURRENT], now);
		look_path(g, t->peer, t);
	}
	judge(g, t);
}
