/* What a controller orders: done here, in the order of its actions, before its next event. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/paths.h"

#define DATA_AROUND	 32 /* of a WireGuard data message, around the inner packet */
#define PADDING		 16
#define INNER_LEAST	 576
#define INITIATION_PAUSE (30 * NS_PER_MS)

/* ---- a source port of the peer's own ---- */

static void free_fresh(void *arg)
{
	struct fresh_port *f = arg;

	udp_close(&f->udp);
	free(f);
}

void fresh_close(struct peer_paths *c)
{
	struct fresh_port *f = c->fresh;

	if (!f)
		return;
	c->fresh = NULL;
	channel_close(f->channel); /* free_fresh when no worker is in it */
}

static void fresh_open(struct peer_paths *c)
{
	struct engine *g = c->paths->engine;
	struct fresh_port *f;
	struct channel ch = {.kind = CHANNEL_SOCKET, .engine = g, .peer = c->peer, .closed = free_fresh};
	struct error e;

	if (c->direct.remote.sa.sa_family == AF_UNSPEC)
		return;
	fresh_close(c);
	f = xcalloc(1, sizeof(*f));
	if (udp_open(&f->udp, 0, 1, g->fwmark, g->options.plain_io, &e)) {
		engine_note(g, c->peer, LOG_WARN, "path", "no fresh source port: %s", e.text);
		free(f);
		return;
	}
	ch.arg = f;
	ch.path = PATH_KIND_DIRECT;
	atomic_init(&ch.generation, ++c->direct_generation);
	ch.remote = c->direct.remote;
	ch.fd = c->direct.remote.sa.sa_family == AF_INET6 ? f->udp.v6[0] : f->udp.v4[0];
	f->channel = ch.fd >= 0 ? channel_open(g, &ch) : NULL;
	if (!f->channel) {
		free_fresh(f);
	} else {
		c->fresh = f;
		engine_note(g, c->peer, LOG_INFO, "path", "sends from the fresh port %u", f->udp.port);
	}
	c->direct_size = 0;
	paths_post(c, &(struct peer_event){
			      .type = PEER_EV_ENDPOINT, .path = paths_ref_direct(c), .known = true});
}

/* ---- the chosen path ---- */

static uint16_t carried_size(const struct peer_paths *c)
{
	switch (c->chosen.kind) {
	case PATH_KIND_DIRECT:
		return c->direct_size;
	case PATH_KIND_ICE:
	case PATH_KIND_TURN:
		return c->agent_size_generation == c->chosen.generation ? c->agent_size : 0;
	case PATH_KIND_RELAY:
		return RELAY_PAYLOAD_MAX;
	default:
		return 0;
	}
}

/* The largest inner packet that the chosen path carries; none while it carries all that the device takes. */
static void set_inner_limit(struct peer_paths *c)
{
	unsigned size = carried_size(c), limit = 0;

	if (size > DATA_AROUND && c->settings.full_size) {
		limit = (size - DATA_AROUND) / PADDING * PADDING;
		if (limit < INNER_LEAST)
			limit = INNER_LEAST;
		if (limit >= (unsigned)c->paths->engine->mtu ||
		    (int)size >= c->paths->engine->mtu + DATA_AROUND)
			limit = 0;
	}
	atomic_store(&c->peer->inner_limit, limit);
}

/* In place: keys, counters and staged packets stay. */
void paths_point(struct peer_paths *c)
{
	struct endpoint was = wg_peer_endpoint(c->peer->wg), to = paths_endpoint(c, &c->chosen);

	set_inner_limit(c);
	if (c->chosen.kind == PATH_KIND_NONE) {
		if (!was.via)
			return;
		to = paths_direct_allowed(c) ? c->direct : (struct endpoint){0};
	}
	/* The same way: a source address that was learned on it is still good. */
	if (was.via == to.via && address_equal(&was.remote, &to.remote))
		return;
	wg_peer_set_endpoint(c->peer->wg, &to);
	engine_kick(c->paths->engine);
}

static void choose(struct peer_paths *c, const struct peer_path_ref *ref)
{
	struct endpoint e = wg_peer_endpoint(c->peer->wg);

	if (!e.via && endpoint_known(&e))
		c->direct = e;
	c->chosen = *ref;
	if (paths_shown(c) == PATH_KIND_ICE) /* what failed before is no reason any more */
		c->ice_failed_at = 0;
	paths_point(c);
}

/* ---- the tunnel ---- */

static enum wg_reason reason_of(enum signal_reason r)
{
	switch (r) {
	case SIGNAL_REASON_start:
		return WG_REASON_device_up;
	case SIGNAL_REASON_tunnel_timeout:
	case SIGNAL_REASON_path_dead:
		return WG_REASON_path_timeout;
	case SIGNAL_REASON_user:
		return WG_REASON_user;
	case SIGNAL_REASON_remote_session:
	case SIGNAL_REASON_remote_restarted:
		return WG_REASON_remote_restarted;
	case SIGNAL_REASON_shutdown:
	case SIGNAL_REASON_restart:
	case SIGNAL_REASON_drain:
		return WG_REASON_peer_bye;
	default:
		return WG_REASON_path_changed;
	}
}

/*
 * The far end takes one initiation in 20 ms (wg/ and every other implementation): a second one right behind
 * would be dropped there, and would make the answer to the first one void here. If that comes meanwhile, the
 * second one is not sent.
 */
static void begin_handshake(struct peer_paths *c, enum wg_reason why)
{
	struct instant at = clock_now();
	uint64_t soonest = c->initiation_at + INITIATION_PAUSE;

	if (c->initiation_at && at.boot < soonest)
		at.boot = soonest;
	wg_peer_handshake(c->peer->wg, at, why, true);
	engine_kick(c->paths->engine);
}

static void reset_endpoint(struct peer_paths *c)
{
	struct engine_peer *p = c->peer;
	struct endpoint e = paths_direct(p);
	bool changed = c->fresh != NULL;

	endpoint_forget_source(&e);
	e.via = 0;
	if (p->configured.sa.sa_family != AF_UNSPEC || p->resolved_last) {
		const union address *a = p->resolved_last ? &p->resolved : &p->configured;

		changed |= !address_equal(&e.remote, a);
		e.remote = *a;
		p->origin = p->resolved_last ? ORIGIN_RESOLVED : ORIGIN_CONFIGURED;
	}
	names_silent(p, clock_boot_ns());
	c->direct = e;
	if (paths_direct_chosen(p) && endpoint_known(&e) && !c->fresh)
		wg_peer_set_endpoint(p->wg, &e);
	if (!changed)
		return;
	fresh_close(c);
	c->direct_generation++;
	c->direct_size = 0;
	paths_post(c, &(struct peer_event){
			      .type = PEER_EV_ENDPOINT, .path = paths_ref_direct(c), .known = true});
	if (c->chosen.kind == PATH_KIND_DIRECT)
		paths_point(c);
}

static void take_size(struct peer_paths *c, const struct peer_action *a)
{
	if (a->path.kind == PATH_KIND_DIRECT) {
		c->direct_size = a->size;
	} else if (a->path.kind != PATH_KIND_RELAY) {
		c->agent_size = a->size;
		c->agent_size_generation = a->path.generation;
	}
	set_inner_limit(c);
}

static void keepalive(struct peer_paths *c, const struct peer_path_ref *ref)
{
	struct endpoint to = paths_endpoint(c, ref);

	if (endpoint_known(&to))
		wg_peer_send_keepalive(c->peer->wg, &to, clock_now());
}

/* ---- all of them ---- */

static void perform_relay(struct peer_paths *c, const struct peer_action *a)
{
	switch (a->type) {
	case PEER_ACT_RELAY_HOLD:
		relays_hold(c, a->path.id);
		break;
	case PEER_ACT_RELAY_RELEASE:
		relays_release(c, a->path.id);
		break;
	case PEER_ACT_RELAY_CHECK:
		relays_check(c, a->path.id);
		break;
	default:
		if (c->paths->pool)
			relay_pool_reopen(c->paths->pool, a->path.id, a->path.generation,
					  a->reason ? signal_reason_text(a->reason)
						    : "it was found dead, and is dialled again");
		break;
	}
}

static void perform_agent(struct peer_paths *c, const struct peer_action *a)
{
	const struct signal_message *m = c->paths->hand.message;

	switch (a->type) {
	case PEER_ACT_AGENT_START:
		agents_start(c, a->path.generation, a->session);
		break;
	case PEER_ACT_AGENT_STOP:
		agents_stop(c, a->path.generation);
		break;
	case PEER_ACT_AGENT_REMOTE:
		if (m)
			agents_remote(c, a->path.generation, m);
		break;
	case PEER_ACT_AGENT_CANDIDATES:
		if (m)
			agents_candidates(c, a->path.generation, m);
		break;
	default:
		if (m)
			agents_keep(c, m);
		break;
	}
}

/* moved: by an action before this one. */
static void perform_tunnel(struct peer_paths *c, const struct peer_action *a, bool moved)
{
	struct instant now = clock_now();

	switch (a->type) {
	case PEER_ACT_CHOOSE:
		choose(c, &a->path);
		break;
	case PEER_ACT_KEEPALIVE:
		keepalive(c, &a->path);
		break;
	case PEER_ACT_HANDSHAKE:
		begin_handshake(c, moved ? WG_REASON_path_changed : reason_of(a->reason));
		break;
	case PEER_ACT_DRAIN:
		wg_peer_drain(c->peer->wg, now, reason_of(a->reason));
		engine_kick(c->paths->engine);
		break;
	case PEER_ACT_RESET_ENDPOINT:
		reset_endpoint(c);
		break;
	case PEER_ACT_FRESH_PORT:
		fresh_open(c);
		if (c->chosen.kind == PATH_KIND_DIRECT)
			paths_point(c);
		break;
	default:
		take_size(c, a);
		break;
	}
}

void paths_perform(struct peer_paths *c, const struct peer_actions *actions)
{
	bool moved = false;

	for (unsigned i = 0; i < actions->count; i++) {
		const struct peer_action *a = &actions->items[i];

		switch (a->type) {
		case PEER_ACT_SEND:
			frames_send(c, a);
			break;
		case PEER_ACT_CHOOSE:
		case PEER_ACT_KEEPALIVE:
		case PEER_ACT_HANDSHAKE:
		case PEER_ACT_DRAIN:
		case PEER_ACT_RESET_ENDPOINT:
		case PEER_ACT_FRESH_PORT:
		case PEER_ACT_MTU:
			perform_tunnel(c, a, moved);
			moved |= a->type == PEER_ACT_CHOOSE;
			break;
		case PEER_ACT_AGENT_START:
		case PEER_ACT_AGENT_REMOTE:
		case PEER_ACT_AGENT_CANDIDATES:
		case PEER_ACT_KEEP_CANDIDATES:
		case PEER_ACT_AGENT_STOP:
			perform_agent(c, a);
			break;
		case PEER_ACT_RELAY_HOLD:
		case PEER_ACT_RELAY_RELEASE:
		case PEER_ACT_RELAY_CHECK:
		case PEER_ACT_RELAY_REOPEN:
			perform_relay(c, a);
			break;
		case PEER_ACT_NOTE:
			engine_note(c->paths->engine, c->peer, a->level, a->kind, "%s", a->text);
			break;
		case PEER_ACTIONS:
			break;
		}
	}
}
