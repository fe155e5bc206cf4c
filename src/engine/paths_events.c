/* What happens to the device and its tunnels, as events for the controllers. */
#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "engine/paths.h"

#define REPORTS_PER_SECOND 10

/* ---- endpoints of the configuration, of names and of the state file ---- */

static bool direct_is_used(const struct peer_paths *c)
{
	return paths_direct_allowed(c) &&
	       (c->chosen.kind == PATH_KIND_NONE || c->chosen.kind == PATH_KIND_DIRECT);
}

bool paths_take_endpoint(struct engine_peer *p, const union address *a)
{
	struct peer_paths *c = p->paths;
	bool used;

	if (!c || !c->machine)
		return true;
	used = direct_is_used(c);
	if (!c->direct.via && address_equal(&c->direct.remote, a))
		return used;
	c->direct = (struct endpoint){.remote = *a};
	fresh_close(c);
	c->direct_generation++;
	c->direct_size = 0;
	paths_post(c, &(struct peer_event){.type = PEER_EV_ENDPOINT,
					   .path = paths_ref_direct(c),
					   .known = a->sa.sa_family != AF_UNSPEC});
	engine_kick(p->engine);
	return used;
}

struct endpoint paths_direct(struct engine_peer *p)
{
	struct endpoint e = wg_peer_endpoint(p->wg);

	/* By a port of its own it is the same address; any other channel says nothing about the direct way.
	 */
	if (p->paths && (e.via || !endpoint_known(&e)))
		e = p->paths->direct;
	return e.via ? (struct endpoint){0} : e;
}

bool paths_direct_chosen(struct engine_peer *p)
{
	return !p->paths || direct_is_used(p->paths);
}

void paths_forget_source(struct engine_peer *p)
{
	if (p->paths)
		endpoint_forget_source(&p->paths->direct);
}

/* ---- the protocol ---- */

static void roamed(struct peer_paths *c, const struct endpoint *from)
{
	struct peer_path_ref ref = paths_ref_of(c, from);

	if (ref.kind == PATH_KIND_NONE)
		return;
	if (!from->via || (c->fresh && c->fresh->channel->id == from->via)) {
		c->direct = *from;
		c->direct.via = 0;
	}
	paths_post(c, &(struct peer_event){.type = PEER_EV_ROAMED, .path = ref});
}

void paths_wg_event(struct engine_peer *p, const struct wg_event *ev)
{
	struct peer_paths *c = p->paths;
	struct endpoint at;

	if (!c || !c->machine)
		return;
	switch (ev->type) {
	case WG_EVENT_ROAMED:
		roamed(c, ev->from);
		break;
	case WG_EVENT_INITIATION_SENT:
		c->initiation_at = ev->at_boot;
		return;
	case WG_EVENT_HANDSHAKE_DONE:
		at = ev->from ? *ev->from : wg_peer_endpoint(p->wg);
		paths_post(c, &(struct peer_event){.type = PEER_EV_HANDSHAKE, .path = paths_ref_of(c, &at)});
		break;
	case WG_EVENT_SILENCE:
	case WG_EVENT_GAVE_UP:
		paths_post(c, &(struct peer_event){.type = PEER_EV_TUNNEL_TIMEOUT});
		break;
	default:
		return;
	}
	engine_kick(p->engine);
}

/* ---- workers ---- */

static void arrived(struct peer_paths *c, const struct peer_path_ref *ref)
{
	if (!paths_same(ref, &c->chosen))
		paths_post(c, &(struct peer_event){.type = PEER_EV_ARRIVED, .path = *ref});
}

static void arrived_by(struct peer_paths *c, struct channel *ch)
{
	struct endpoint e;
	struct peer_path_ref ref;

	if (!ch || !atomic_load_explicit(&ch->arrived, memory_order_relaxed))
		return;
	atomic_store(&ch->arrived, false);
	e = channel_endpoint(ch);
	ref = paths_ref_of(c, &e);
	arrived(c, &ref);
}

static void look_for_news(struct peer_paths *c)
{
	struct peer_path_ref direct = paths_ref_direct(c);

	if (atomic_load_explicit(&c->peer->direct_arrived, memory_order_relaxed)) {
		atomic_store(&c->peer->direct_arrived, false);
		arrived(c, &direct);
	}
	if (c->fresh)
		arrived_by(c, c->fresh->channel);
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);

		arrived_by(c, w->callback);
		arrived_by(c, w->fast);
	}
	list_for_each (pos, &c->relays)
		arrived_by(c, container_of(pos, struct relay_way, link)->channel);
	if (!c->traffic_told && atomic_load_explicit(&c->peer->traffic, memory_order_relaxed)) {
		c->traffic_told = true;
		paths_post(c, &(struct peer_event){.type = PEER_EV_TRAFFIC});
	}
}

void paths_news(struct engine *g, struct engine_peer *p)
{
	(void)g;
	if (p->paths && p->paths->machine)
		look_for_news(p->paths);
	else
		atomic_store(&p->direct_arrived, false);
}

void paths_turn(struct engine *g)
{
	relays_news(g->paths);
	if (g->paths->count)
		paths_run(g->paths);
}

/* ---- the network ---- */

void paths_network_changed(struct engine *g)
{
	struct paths *s = g->paths;

	if (!s->up)
		return;
	if (s->pool)
		relay_pool_network_changed(s->pool);
	nat_network_changed(s->nat);
	ways_forget(&s->ways);
	network_names_again(s);
	paths_post_all(s, &(struct peer_event){.type = PEER_EV_NETWORK});
	engine_kick(g);
}

/* Connections that stand keep the old mark: packets would go where they no longer belong. */
void paths_mark_changed(struct engine *g)
{
	struct paths *s = g->paths;
	struct relay_status st;

	if (!s->up)
		return;
	relays_options(s, false);
	agents_options(s);
	for (uint32_t i = 0; s->pool && i < RELAY_SERVERS_MAX; i++)
		if (relay_pool_look(s->pool, i, &st) && st.state == RELAY_UP)
			relay_pool_reopen(s->pool, i, st.generation, "the firewall mark changed");
	list_for_each (pos, &s->all) {
		struct fresh_port *f = container_of(pos, struct peer_paths, link)->fresh;

		if (f)
			udp_set_fwmark(&f->udp, g->fwmark, NULL);
	}
	paths_run(s);
}

/* ---- people ---- */

void paths_command(struct engine_peer *p, int command)
{
	struct peer_paths *c = p->paths;

	if (!c || !c->machine)
		return;
	paths_post(c, &(struct peer_event){.type = PEER_EV_COMMAND, .command = (enum peer_command)command});
	paths_run(c->paths);
	engine_kick(p->engine);
}

void engine_peer_looked_at(struct engine_peer *p)
{
	struct peer_paths *c = p->paths;
	uint64_t now = clock_boot_ns();

	if (!c || !c->machine || !p->engine->up || (c->report && now - c->report_at < 10 * NS_PER_SEC) ||
	    !log_allowed(&c->paths->reports_asked, now, NS_PER_SEC, REPORTS_PER_SECOND))
		return;
	paths_command(p, PEER_LOOK);
}

int engine_peer_command(struct engine_peer *p, enum peer_command command, const char *who, struct error *e)
{
	static const char *const words[] = {
		[PEER_ROTATE] = "a new session was",
		[PEER_PROBE] = "a probe of all paths was",
		[PEER_PREFER_RELAY] = "the relay was",
		[PEER_FORCE_RELAY] = "the relay alone was",
		[PEER_PREFER_AUTO] = "the best path was",
		[PEER_LADDER_NOW] = "the next step of recovery was",
		[PEER_LADDER_SKIP] = "to skip a step of recovery was",
		[PEER_LADDER_HOLD] = "to hold the recovery was",
		[PEER_LADDER_RESUME] = "to go on with the recovery was",
		[PEER_FRESH_PORT] = "a fresh source port was",
		[PEER_REOPEN_RELAY] = "to reopen the relay was",
	};
	struct peer_paths *c = p->paths;

	if ((unsigned)command >= sizeof(words) / sizeof(words[0]) || !words[command])
		return error_set(e, EINVAL, "no such command for the paths of a peer");
	if (p->mode == PEER_PLAIN)
		return error_set(e, ENOTSUP,
				 "%s is a plain WireGuard peer (Mode = plain): it has one path alone",
				 timeline_label(p));
	if (!p->engine->up)
		return error_set(e, ENETDOWN, "the interface is down: ip link set %s up",
				 engine_ifname(p->engine));
	if (!c || !c->machine)
		return error_set(e, ENOKEY, "the interface has no private key");
	if (!relays_used(c->paths) &&
	    (command == PEER_PREFER_RELAY || command == PEER_FORCE_RELAY || command == PEER_REOPEN_RELAY))
		return error_set(e, ENOTSUP, "no relay is configured: add a [Relay] section with a Url");
	engine_note(p->engine, p, LOG_NOTICE, "command", "%s asked for by %s", words[command], who);
	paths_command(p, command);
	return 0;
}
