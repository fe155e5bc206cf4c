/*
 * The interface as the kernel sees it: up and down, MTU, deletion, and changes of our own addresses. A device
 * that was moved to another network namespace is out of netlink's sight; it is asked once a second through
 * its fd, and counts as up.
 */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "engine/internal.h"
#include "wg/messages.h"

#define AWAY_INTERVAL	NS_PER_SEC
#define LARGEST_HEADERS 72		  /* IPv6, TCP with time stamps */
#define SETTLE_INTERVAL (100 * NS_PER_MS) /* one change of network comes as many messages */

/*
 * A super-packet should become one train of datagrams: a second one for two or three segments that are left
 * over costs nearly as much as the first. Headers take 40 to 72 bytes of each segment, so the smallest
 * segments decide.
 */
static void fit_super_packets(struct engine *g, int mtu)
{
	unsigned per_train = UDP_TRAIN_BYTES_MAX / (unsigned)(mtu + DATA_OVERHEAD);
	unsigned bytes;

	if (per_train > UDP_TRAIN_MAX)
		per_train = UDP_TRAIN_MAX;
	bytes = per_train * (unsigned)(mtu - LARGEST_HEADERS);
	if (g->tun.tso && mtu >= 576 && per_train >= 2)
		netlink_link_gso_max(g->netlink, g->ifindex,
				     bytes); /* old kernels refuse: slower, not wrong */
}

static void set_mtu(struct engine *g, int mtu)
{
	if (mtu <= 0 || mtu == g->mtu)
		return;
	g->mtu = mtu;
	wg_set_mtu(g->wg, (unsigned)mtu);
	paths_settings_changed(g);
	if (!g->link_away)
		fit_super_packets(g, mtu);
	log_info("engine", "%s has MTU %d", g->tun.name, mtu);
}

static void follow(struct engine *g, bool up)
{
	struct error e;

	if (!g->follow || up == g->up)
		return;
	if (!up)
		engine_down(g);
	else if (engine_up(g, &e))
		log_error("engine", "%s stays down: %s", g->tun.name, e.text);
}

/* Where is the device, and how is it? */
static void look_at_link(struct engine *g)
{
	bool up = false;
	int mtu = 0;

	if (g->gone)
		return;
	if (tun_is_gone(&g->tun)) {
		atomic_store(&g->tun_failed, true);
		engine_kick(g);
		return;
	}
	g->link_away = netlink_link_get(g->netlink, g->ifindex, &mtu, &up) < 0;
	if (g->link_away) {
		mtu = tun_get_mtu(&g->tun);
		up = true;
		loop_timer_set(g->link_timer, clock_boot_ns() + AWAY_INTERVAL);
	} else if (tun_refresh_name(&g->tun) == 0) {
		int index = netlink_ifindex(g->netlink, g->tun.name);

		if (index > 0)
			g->ifindex = index;
	}
	set_mtu(g, mtu);
	follow(g, up);
}

/* Our addresses or routes changed: a source address that we stick to may be gone, or no longer the best. */
static void forget_sources(struct engine *g)
{
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p)) {
		struct endpoint e = wg_peer_endpoint(p->wg), was = e;

		paths_forget_source(p);
		if (!endpoint_known(&e))
			continue;
		endpoint_forget_source(&e);
		if (!endpoint_equal(&e, &was))
			wg_peer_set_endpoint(p->wg, &e);
	}
	wg_announce(g->wg, clock_now());
	diagnosis_network_changed(g);
	paths_network_changed(g);
	engine_kick(g);
}

static void on_timer(void *arg)
{
	struct engine *g = arg;

	if (g->sources_stale) {
		g->sources_stale = false;
		forget_sources(g);
	}
	look_at_link(g);
}

static void on_change(void *arg, int fd, unsigned events)
{
	struct engine *g = arg;
	unsigned change = netlink_monitor_read(g->monitor);

	(void)fd;
	(void)events;
	/* A link counts, too: a carrier that comes back brings no new address with it. */
	if (change & (NETLINK_CHANGE_LINK | NETLINK_CHANGE_ADDRESS | NETLINK_CHANGE_ROUTE |
		      NETLINK_CHANGE_LOST) &&
	    g->up) {
		if (!g->sources_stale)
			loop_timer_set(g->link_timer, clock_boot_ns() + SETTLE_INTERVAL);
		g->sources_stale = true;
	}
	if (change & (NETLINK_CHANGE_OWN_LINK | NETLINK_CHANGE_LOST))
		look_at_link(g);
}

int link_open(struct engine *g, struct error *e)
{
	g->netlink = netlink_open(e);
	if (!g->netlink)
		return -e->code;
	g->monitor = netlink_monitor_open(e);
	if (!g->monitor)
		return -e->code;
	g->link_timer = loop_timer_new(g->loop, on_timer, g);
	g->monitor_watch = loop_fd_add(g->loop, netlink_monitor_fd(g->monitor), LOOP_READ, on_change, g);
	g->ifindex = netlink_ifindex(g->netlink, g->tun.name);
	netlink_monitor_own(g->monitor, g->ifindex);
	look_at_link(g);
	return 0;
}

void link_close(struct engine *g)
{
	loop_fd_remove(g->monitor_watch);
	if (g->link_timer)
		loop_timer_free(g->link_timer);
	if (g->monitor)
		netlink_monitor_close(g->monitor);
	if (g->netlink)
		netlink_close(g->netlink);
	g->monitor_watch = NULL;
	g->link_timer = NULL;
	g->monitor = NULL;
	g->netlink = NULL;
}

void engine_follow_link(struct engine *g, bool on)
{
	g->follow = on;
	if (on)
		look_at_link(g);
}
