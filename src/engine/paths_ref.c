/* Which path is meant: from what the controller calls a path to how its datagrams go, and back; and its
 * counts. */
#include <string.h>

#include "base/clock.h"
#include "engine/paths.h"

#define SHARED_AGE   (30 * NS_PER_SEC) /* heard within this time: the main socket works */
#define SHARED_AGAIN (1 * NS_PER_SEC)
#define KEY_LIFE     (180 * NS_PER_SEC)

bool paths_same(const struct peer_path_ref *a, const struct peer_path_ref *b)
{
	return a->kind == b->kind && a->id == b->id && a->generation == b->generation;
}

struct peer_path_ref paths_ref_direct(const struct peer_paths *c)
{
	return (struct peer_path_ref){.kind = PATH_KIND_DIRECT, .generation = c->direct_generation};
}

uint32_t paths_main_generation(const struct peer_paths *c)
{
	/* What comes to the old port proves nothing about the new one. */
	return c->direct_generation - (c->fresh != NULL);
}

struct agent_way *agent_find(struct peer_paths *c, uint32_t generation)
{
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);

		if (w->generation == generation)
			return w;
	}
	return NULL;
}

struct relay_way *relay_way_find(struct peer_paths *c, uint32_t server)
{
	list_for_each (pos, &c->relays) {
		struct relay_way *w = container_of(pos, struct relay_way, link);

		if (w->server == server)
			return w;
	}
	return NULL;
}

static bool leads_by(const struct channel *c, uint32_t via)
{
	return c && c->id == via;
}

struct peer_path_ref paths_ref_of(struct peer_paths *c, const struct endpoint *e)
{
	if (!e->via && e->remote.sa.sa_family == AF_UNSPEC)
		return (struct peer_path_ref){0};
	if (!e->via)
		return (struct peer_path_ref){.kind = PATH_KIND_DIRECT,
					      .generation = paths_main_generation(c)};
	if (c->fresh && leads_by(c->fresh->channel, e->via))
		return paths_ref_direct(c);
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);

		if (leads_by(w->callback, e->via) || leads_by(w->fast, e->via))
			return (struct peer_path_ref){.kind = PATH_KIND_ICE, .generation = w->generation};
	}
	list_for_each (pos, &c->relays) {
		struct relay_way *w = container_of(pos, struct relay_way, link);

		if (leads_by(w->channel, e->via))
			return (struct peer_path_ref){
				.kind = PATH_KIND_RELAY, .id = w->server, .generation = w->generation};
	}
	return (struct peer_path_ref){0};
}

static struct channel *agent_channel(const struct agent_way *w)
{
	return w->fast && !w->fast_closing ? w->fast : w->callback;
}

/* The tunnel knows at which of our addresses the peer called last. From another one it would take us for
 * having moved. */
static struct endpoint direct_endpoint(struct peer_paths *c)
{
	struct endpoint e = c->direct, used = wg_peer_endpoint(c->peer->wg);

	if (!used.via && !e.via && address_equal(&used.remote, &e.remote))
		e = used;
	if (c->fresh && endpoint_known(&e)) {
		endpoint_forget_source(&e);
		e.via = c->fresh->channel->id;
	}
	return e;
}

struct endpoint paths_endpoint(struct peer_paths *c, const struct peer_path_ref *ref)
{
	struct agent_way *agent;
	struct relay_way *relay;

	switch (ref->kind) {
	case PATH_KIND_DIRECT:
		return direct_endpoint(c);
	case PATH_KIND_ICE:
	case PATH_KIND_TURN:
		agent = agent_find(c, ref->generation);
		if (agent && agent_channel(agent))
			return channel_endpoint(agent_channel(agent));
		break;
	case PATH_KIND_RELAY:
		relay = relay_way_find(c, ref->id);
		if (relay && relay->channel)
			return channel_endpoint(relay->channel);
		break;
	default:
		break;
	}
	return (struct endpoint){0};
}

enum path_kind paths_shown(struct peer_paths *c)
{
	const struct agent_way *w;

	if (c->chosen.kind != PATH_KIND_ICE)
		return c->chosen.kind;
	w = agent_find(c, c->chosen.generation);
	return w && w->turn ? PATH_KIND_TURN : PATH_KIND_ICE;
}

/* ---- counts ---- */

static void add_counts(struct tunnel_path_facts *f, const struct path_counts *c)
{
	uint64_t received = atomic_load_explicit(&c->last_received, memory_order_relaxed);
	uint64_t sent = atomic_load_explicit(&c->last_sent, memory_order_relaxed);

	if (received > f->last_received)
		f->last_received = received;
	if (sent > f->last_sent)
		f->last_sent = sent;
	f->received += counter_get(&c->received);
	f->sent += counter_get(&c->sent);
}

bool paths_counts(struct peer_paths *c, const struct peer_path_ref *ref, struct tunnel_path_facts *f)
{
	struct agent_way *agent;
	struct relay_way *relay;

	*f = (struct tunnel_path_facts){.ref = *ref};
	switch (ref->kind) {
	case PATH_KIND_DIRECT:
		add_counts(f, c->fresh ? &c->fresh->channel->counts : &c->peer->direct);
		return true;
	case PATH_KIND_ICE:
	case PATH_KIND_TURN:
		agent = agent_find(c, ref->generation);
		if (!agent)
			return false;
		if (agent->callback)
			add_counts(f, &agent->callback->counts);
		if (agent->fast)
			add_counts(f, &agent->fast->counts);
		return true;
	case PATH_KIND_RELAY:
		relay = relay_way_find(c, ref->id);
		if (!relay || !relay->channel)
			return false;
		add_counts(f, &relay->channel->counts);
		return true;
	default:
		return false;
	}
}

/* The path into its place among the facts; one that the controller has no place for is none of its business.
 */
static void note_path(struct peer_paths *c, struct tunnel_facts *f, const struct peer_path_ref *ref)
{
	enum peer_slot slot = peer_find_slot(c->machine, ref);

	if (slot < PEER_SLOTS && !paths_counts(c, ref, &f->paths[slot]))
		f->paths[slot] = (struct tunnel_path_facts){0};
}

/* ---- the main socket ---- */

static void find_heard(struct paths *s, uint64_t now)
{
	s->shared_socket_at = now;
	s->heard_first = s->heard_second = NULL;
	s->heard_first_at = s->heard_second_at = 0;
	for (struct engine_peer *p = engine_first_peer(s->engine); p; p = engine_next_peer(p)) {
		uint64_t at = atomic_load_explicit(&p->direct.last_received, memory_order_relaxed);

		if (at > s->heard_first_at) {
			s->heard_second = s->heard_first;
			s->heard_second_at = s->heard_first_at;
			s->heard_first = p;
			s->heard_first_at = at;
		} else if (at > s->heard_second_at) {
			s->heard_second = p;
			s->heard_second_at = at;
		}
	}
}

/* Does anybody but this peer come in on the device's own socket? Then its port is not what is blocked. */
static bool shared_socket_works(struct peer_paths *c, uint64_t now)
{
	struct paths *s = c->paths;
	uint64_t at;

	if (now - s->shared_socket_at > SHARED_AGAIN)
		find_heard(s, now);
	at = s->heard_first == c->peer ? s->heard_second_at : s->heard_first_at;
	return at && now - at < SHARED_AGE;
}

/* ---- what the tunnel looks like now ---- */

void paths_facts(struct peer_paths *c, struct tunnel_facts *f, uint64_t now)
{
	struct wg_peer_view v;
	const struct wg_keypair_view *k = &v.keypairs[WG_CURRENT];

	wg_peer_look(c->peer->wg, &v, now);
	*f = (struct tunnel_facts){
		.device_up = c->paths->engine->up,
		.usable = k->used && k->confirmed && now - k->created < KEY_LIFE,
		.attempt = v.attempt,
		.last_received = v.last_received,
		.last_sent = v.last_sent,
		.last_handshake = v.last_handshake_boot,
		.unanswered_since = v.unanswered_since,
		.sent = counter_get(&v.counters[WG_COUNT_data_sent]) +
			counter_get(&v.counters[WG_COUNT_keepalive_sent]),
		.received = counter_get(&v.counters[WG_COUNT_data_received]) +
			    counter_get(&v.counters[WG_COUNT_keepalive_received]),
		.wants = v.staged || wg_peer_keepalive(c->peer->wg),
		.shared_socket_works = shared_socket_works(c, now),
	};
	note_path(c, f,
		  &(struct peer_path_ref){.kind = PATH_KIND_DIRECT, .generation = c->direct_generation});
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);

		note_path(c, f, &(struct peer_path_ref){.kind = PATH_KIND_ICE, .generation = w->generation});
	}
	list_for_each (pos, &c->relays) {
		struct relay_way *w = container_of(pos, struct relay_way, link);

		note_path(c, f,
			  &(struct peer_path_ref){
				  .kind = PATH_KIND_RELAY, .id = w->server, .generation = w->generation});
	}
}
