/* What paths look like: copies for the dashboard and the control socket, and facts for the list word. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/paths.h"

static void add_counts(struct engine_path_view *v, const struct path_counts *c)
{
	uint64_t received = atomic_load_explicit(&c->last_received, memory_order_relaxed);
	uint64_t sent = atomic_load_explicit(&c->last_sent, memory_order_relaxed);

	v->sent += counter_get(&c->sent);
	v->received += counter_get(&c->received);
	v->sent_bytes += counter_get(&c->sent_bytes);
	v->received_bytes += counter_get(&c->received_bytes);
	v->last_sent = sent > v->last_sent ? sent : v->last_sent;
	v->last_received = received > v->last_received ? received : v->last_received;
}

static void put_address(char out[ADDRESS_TEXT], const union address *a)
{
	if (a->sa.sa_family != AF_UNSPEC)
		address_format(out, a);
}

static void local_of(const struct peer_paths *c, const struct endpoint *e, char out[ADDRESS_TEXT])
{
	const struct engine *g = c->paths->engine;
	union address a = {0};

	a.sa.sa_family = e->remote.sa.sa_family;
	if (a.sa.sa_family == AF_INET) {
		a.in.sin_addr = e->local.in;
		a.in.sin_port = htons(c->fresh ? c->fresh->udp.port : g->udp.port);
	} else if (a.sa.sa_family == AF_INET6) {
		a.in6.sin6_addr = e->local.in6;
		a.in6.sin6_port = htons(c->fresh ? c->fresh->udp.port : g->udp.port);
	}
	put_address(out, &a);
}

static void look_direct(struct peer_paths *c, struct engine_path_view *v)
{
	struct endpoint e = paths_direct(c->peer);

	v->carrier = "udp";
	put_address(v->remote, &e.remote);
	local_of(c, &e, v->local);
	add_counts(v, c->fresh ? &c->fresh->channel->counts : &c->peer->direct);
}

static void look_agent(struct peer_paths *c, struct engine_path_view *v)
{
	const struct agent_way *w = agent_find(c, v->path.ref.generation);

	v->carrier = w && w->fast && !w->fast_closing ? "fast socket" : "libnice";
	if (!w)
		return;
	if (w->turn)
		v->path.ref.kind = PATH_KIND_TURN;
	if (w->callback)
		add_counts(v, &w->callback->counts);
	if (w->fast)
		add_counts(v, &w->fast->counts);
	if (!w->selected)
		return;
	put_address(v->local, &w->pair.local);
	put_address(v->remote, &w->pair.remote);
	snprintf(v->local_type, sizeof(v->local_type), "%s", ice_candidate_type_name(w->pair.local_type));
	snprintf(v->remote_type, sizeof(v->remote_type), "%s", ice_candidate_type_name(w->pair.remote_type));
}

static void look_relay(struct peer_paths *c, struct engine_path_view *v)
{
	const struct relay_way *w = relay_way_find(c, v->path.ref.id);
	struct relay_status st;

	v->carrier = "relay";
	if (w)
		add_counts(v, &w->channel->counts);
	if (c->paths->pool && relay_pool_look(c->paths->pool, v->path.ref.id, &st))
		snprintf(v->remote, sizeof(v->remote), "%.79s", st.url);
}

static void look_path(struct peer_paths *c, enum peer_slot slot, const struct peer_look *look,
		      struct engine_path_view *v)
{
	v->path = look->paths[slot];
	v->chosen = look->chosen == slot;
	switch (v->path.ref.kind) {
	case PATH_KIND_DIRECT:
		look_direct(c, v);
		break;
	case PATH_KIND_ICE:
	case PATH_KIND_TURN:
		look_agent(c, v);
		break;
	default:
		look_relay(c, v);
		break;
	}
}

/* The agent that a person wants to see: the one whose path is used, else the newest. */
static struct agent_way *agent_shown(struct peer_paths *c)
{
	struct agent_way *w = c->chosen.kind == PATH_KIND_ICE ? agent_find(c, c->chosen.generation) : NULL;

	if (!w && !list_empty(&c->agents))
		w = container_of(c->agents.prev, struct agent_way, link);
	return w && w->agent ? w : NULL;
}

static uint16_t inner_limit(struct engine_peer *p)
{
	return (uint16_t)atomic_load_explicit(&p->inner_limit, memory_order_relaxed);
}

void engine_look_network(struct engine_peer *p, struct engine_network_view *out)
{
	struct peer_paths *c = p->paths;
	struct agent_way *w;

	memset(out, 0, sizeof(*out));
	out->mode = p->mode;
	if (!c || !c->machine)
		return;
	out->has_controller = true;
	out->controlling = c->settings.controlling;
	peer_look(c->machine, &out->look);
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		if (out->look.paths[i].ref.kind != PATH_KIND_NONE)
			look_path(c, i, &out->look, &out->paths[out->path_count++]);
	w = agent_shown(c);
	out->has_agent = w != NULL;
	if (w)
		ice_agent_look(w->agent, &out->agent);
	out->has_report = c->report != NULL;
	if (c->report)
		out->report = *c->report;
	out->report_at = c->report_at;
	out->inner_mtu = inner_limit(p);
	out->frames_sent = c->frames_sent;
	out->frames_received = c->frames_received;
	memcpy(out->frames_rejected, c->frames_rejected, sizeof(out->frames_rejected));
	if (c->words) {
		memcpy(out->remote_version, c->words->version, sizeof(out->remote_version));
		memcpy(out->remote_relay, c->words->relay, sizeof(out->remote_relay));
	}
	put_address(out->observed, &c->observed);
}

size_t engine_look_pairs(struct engine_peer *p, struct ice_pair_view *out, size_t max)
{
	struct peer_paths *c = p->paths;
	struct agent_way *used;
	size_t n = 0;

	if (!c || !c->machine)
		return 0;
	used = agent_shown(c);
	if (used)
		n = ice_agent_pairs(used->agent, out, max);
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);

		if (w != used && w->agent && n < max)
			n += ice_agent_pairs(w->agent, out + n, max - n);
	}
	return n;
}

static unsigned peers_using(struct paths *s, uint32_t server)
{
	unsigned n = 0;

	list_for_each (pos, &s->all) {
		const struct peer_paths *c = container_of(pos, struct peer_paths, link);

		n += c->chosen.kind == PATH_KIND_RELAY && c->chosen.id == server;
	}
	return n;
}

size_t engine_look_relays(struct engine *g, struct engine_relay_view *out, size_t max)
{
	struct paths *s = g->paths;
	size_t n = 0;

	for (uint32_t i = 0; relays_used(s) && i < RELAY_SERVERS_MAX && n < max; i++) {
		struct engine_relay_view *v = &out[n];

		if (!relay_pool_look(s->pool, i, &v->status))
			continue;
		v->peers_using = peers_using(s, i);
		v->role = i == s->home ? "home" : v->peers_using ? "foreign" : "standby";
		n++;
	}
	return n;
}

/* ---- the list word ---- */

static void relay_facts(struct peer_paths *c, const struct peer_look *look, struct peer_facts *f)
{
	struct paths *s = c->paths;
	struct relay_status st;

	f->relay_configured = s->network.url_count > 0;
	if (s->home != RELAY_NONE)
		f->relay_up = relay_pool_look(s->pool, s->home, &st) && st.state == RELAY_UP;
	f->relay_online = look->paths[PEER_RELAY].peer_online || look->paths[PEER_RELAY_NEXT].peer_online;
	list_for_each (pos, &c->relays)
		f->relay_up |= container_of(pos, struct relay_way, link)->up;
	if (f->relay_up || !f->relay_configured)
		return;
	snprintf(f->relay_error, sizeof(f->relay_error), "%.159s", s->pool_error ? s->pool_error : "");
	if (s->pool && relay_pool_look(s->pool, c->settings.servers[0], &st))
		snprintf(f->relay_error, sizeof(f->relay_error), "%.159s",
			 *st.error ? st.error : relay_state_name(st.state));
}

uint64_t paths_chosen(const struct engine_peer *p)
{
	const struct peer_paths *c = p->paths;

	return c ? (uint64_t)c->chosen.kind << 56 | (uint64_t)c->chosen.generation << 24 | c->chosen.id : 0;
}

void paths_glance(struct engine_peer *p, struct peer_look *out)
{
	if (p->paths && p->paths->machine)
		peer_glance(p->paths->machine, out);
}

void paths_word_facts(struct engine_peer *p, struct peer_facts *f)
{
	struct peer_paths *c = p->paths;
	struct peer_look look;

	f->path_kind = f->endpoint_known ? PATH_KIND_DIRECT : PATH_KIND_NONE;
	if (!c || !c->machine)
		return;
	peer_glance(c->machine, &look);
	f->controlled = true;
	if (c->chosen.kind != PATH_KIND_NONE)
		f->path_kind = paths_shown(c);
	if (look.chosen < PEER_SLOTS)
		f->path_state = look.paths[look.chosen].state;
	f->remote_is_weir = look.remote_is_weir;
	f->remote_away = look.remote_away;
	f->remote_back_at = look.remote_back_at;
	f->relay_asked = look.preference == PEER_PREFER_RELAY || look.preference == PEER_FORCE_RELAY ||
			 p->mode == PEER_RELAY_ONLY;
	f->ice_off = !c->settings.ice;
	f->ice_failed_at = c->ice_failed_at;
	f->direct_retry_at = look.direct_retry_at;
	list_for_each (pos, &c->agents) /* those with a pair are kept, though it may be dead */
		f->ice_running |= !container_of(pos, struct agent_way, link)->selected;
	relay_facts(c, &look, f);
}
