/*
 * ICE agents: one per peer and generation, their news as events, and their ways for data: the fast socket
 * where there is one, libnice's callback otherwise (TURN always). An agent that was stopped lives until no
 * worker is in its channels.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/paths.h"

#define KEPT_AGE	(10 * NS_PER_SEC)
#define KEEPALIVES_LOST 100 /* libnice falls silent for good at 200 (ice.h) */

static void post(struct agent_way *w, enum peer_event_type type, bool turn, unsigned count)
{
	paths_post(w->paths,
		   &(struct peer_event){.type = type,
					.path = {.kind = PATH_KIND_ICE, .generation = w->generation},
					.turn = turn,
					.count = count});
	paths_run(w->paths->paths);
}

/* ---- channels ---- */

/* The last channel is closed: nobody is left who could use the agent's sockets. */
static void free_when_unused(struct agent_way *w)
{
	if (w->paths || w->channels)
		return;
	if (w->agent)
		ice_agent_free(w->agent);
	list_remove(&w->link);
	free(w);
}

static void callback_closed(void *arg)
{
	struct agent_way *w = arg;

	w->channels--;
	free_when_unused(w);
}

static void send_callback(void *arg, const void *data, size_t len)
{
	struct agent_way *w = arg;

	if (w->paths)
		ice_agent_send(w->agent, data, len);
}

static struct channel *open_callback(struct agent_way *w)
{
	struct channel ch = {.kind = CHANNEL_CALLBACK,
			     .engine = w->paths->paths->engine,
			     .peer = w->paths->peer,
			     .path = PATH_KIND_ICE,
			     .generation = w->generation,
			     .fd = -1,
			     .send = send_callback,
			     .closed = callback_closed,
			     .arg = w};
	struct channel *c = channel_open(ch.engine, &ch);

	if (c)
		w->channels++;
	return c;
}

static void stray(void *arg, const struct endpoint *from, const uint8_t *data, size_t len)
{
	struct agent_way *w = arg;

	if (w->paths)
		ice_agent_stray(w->agent, from, data, len);
}

static void open_fast(struct agent_way *w);

static void fast_closed(void *arg)
{
	struct agent_way *w = arg;

	w->channels--;
	w->fast_closing = false;
	w->fast = NULL;
	ice_agent_close_fast(w->agent);
	if (w->paths)
		open_fast(w);
	else
		free_when_unused(w);
}

/* The tunnel follows the channel that the pair now has. */
static void follow_channel(struct agent_way *w)
{
	struct peer_paths *c = w->paths;

	if (c->chosen.kind == PATH_KIND_ICE && c->chosen.generation == w->generation)
		paths_point(c);
}

static void open_fast(struct agent_way *w)
{
	struct channel ch = {.kind = CHANNEL_SOCKET,
			     .engine = w->paths->paths->engine,
			     .peer = w->paths->peer,
			     .path = PATH_KIND_ICE,
			     .generation = w->generation,
			     .remote = w->pair.remote,
			     .stray = stray,
			     .closed = fast_closed,
			     .arg = w};
	struct error e;

	if (w->turn || w->pair.tcp)
		return;
	ch.fd = ice_agent_open_fast(w->agent, &e);
	if (ch.fd < 0)
		return;
	w->fast = channel_open(ch.engine, &ch);
	if (!w->fast) {
		ice_agent_close_fast(w->agent);
		return;
	}
	w->channels++;
	follow_channel(w);
}

/* ---- callbacks of ice/ ---- */

static void on_candidate(void *arg, uint32_t generation, const char *text)
{
	struct agent_way *w = arg;

	(void)generation;
	if (w->candidate_count == AGENT_CANDIDATES_MAX || strlen(text) >= ICE_CANDIDATE_MAX)
		return;
	strcpy(w->candidates[w->candidate_count++], text);
	if (w->paths)
		post(w, PEER_EV_ICE_CANDIDATE, false, w->candidate_count);
}

static void on_gathered(void *arg, uint32_t generation)
{
	struct agent_way *w = arg;

	(void)generation;
	w->gathered = true;
	if (w->paths)
		post(w, PEER_EV_ICE_GATHERED, false, w->candidate_count);
}

static bool same_pair(const struct ice_pair *a, const struct ice_pair *b)
{
	return address_equal(&a->local, &b->local) && address_equal(&a->remote, &b->remote) &&
	       a->tcp == b->tcp;
}

static void on_selected(void *arg, uint32_t generation, const struct ice_pair *pair)
{
	struct agent_way *w = arg;
	bool same = w->selected && same_pair(&w->pair, pair);

	(void)generation;
	if (!w->paths)
		return;
	w->pair = *pair;
	w->turn = pair->local_type == ICE_RELAYED || pair->remote_type == ICE_RELAYED;
	if (w->callback)
		atomic_store_explicit(&w->callback->turn, w->turn, memory_order_relaxed);
	w->selected = true;
	if (!same) {
		if (!w->fast) {
			open_fast(w);
		} else if (!w->fast_closing) {
			w->fast_closing = true;
			channel_close(w->fast);
			follow_channel(w);
		}
	}
	post(w, PEER_EV_ICE_SELECTED, w->turn, 0);
}

static void on_state(void *arg, uint32_t generation, enum ice_state state)
{
	struct agent_way *w = arg;

	(void)generation;
	if (w->paths && state == ICE_FAILED)
		post(w, PEER_EV_ICE_FAILED, false, 0);
}

static void on_datagram(void *arg, uint32_t generation, const uint8_t *data, size_t len,
			const struct ice_pair *pair)
{
	struct agent_way *w = arg;

	(void)generation, (void)pair;
	if (w->paths && w->callback)
		channel_deliver(w->paths->paths->engine, w->callback->id, data, len);
}

static const struct ice_ops agent_ops = {
	.candidate = on_candidate,
	.gathered = on_gathered,
	.selected = on_selected,
	.state = on_state,
	.datagram = on_datagram,
};

/* ---- what controllers order ---- */

void agents_start(struct peer_paths *c, uint32_t generation, const uint8_t session[SIGNAL_SESSION_LEN])
{
	struct paths *s = c->paths;
	struct agent_way *w;
	struct error e;

	if (agent_find(c, generation))
		return;
	w = xcalloc(1, sizeof(*w));
	w->paths = c;
	w->generation = generation;
	memcpy(w->session, session, SIGNAL_SESSION_LEN);
	list_append(&c->agents, &w->link);
	w->callback = open_callback(w);
	if (s->ice && w->callback)
		w->agent = ice_agent_new(s->ice, generation, c->settings.controlling, &agent_ops, w, &e);
	else
		error_set(&e, ENOTSUP, "%s", s->ice ? "no channel is free" : "ICE is off");
	if (w->agent)
		return;
	engine_note(s->engine, c->peer, LOG_WARN, "ice", "no ICE agent: %s", e.text);
	post(w, PEER_EV_ICE_FAILED, false, 0);
	agents_stop(c, generation);
}

static void stop(struct agent_way *w)
{
	struct channel *callback = w->callback, *fast = w->fast_closing ? NULL : w->fast;

	list_remove(&w->link);
	w->paths = NULL;
	w->callback = NULL;
	w->channels++; /* ours, until both are told */
	if (callback)
		channel_close(callback);
	if (fast)
		channel_close(fast);
	w->channels--;
	free_when_unused(w);
}

/* What it leaves for those that ask why; and what our NAT is like will be asked, too. */
static void keep_survey(struct agent_way *w)
{
	struct peer_paths *c = w->paths;
	struct ice_agent_view v;

	if (!w->agent)
		return;
	if (!c->failed)
		c->failed = xmalloc(sizeof(*c->failed));
	ice_agent_survey(w->agent, c->failed);
	ice_agent_look(w->agent, &v);
	c->failed_since = v.since;
	nat_want(c->paths->nat, v.since);
}

void agents_stop(struct peer_paths *c, uint32_t generation)
{
	struct agent_way *w = agent_find(c, generation);

	if (!w)
		return;
	if (!w->selected) {
		c->ice_failed_at = clock_boot_ns();
		keep_survey(w);
	}
	stop(w);
}

void agents_clear(struct peer_paths *c)
{
	while (!list_empty(&c->agents))
		stop(container_of(c->agents.next, struct agent_way, link));
}

static void add_candidates(struct agent_way *w, const char (*candidates)[SIGNAL_CANDIDATE_MAX],
			   unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		ice_agent_add_candidate(w->agent, candidates[i]);
}

void agents_remote(struct peer_paths *c, uint32_t generation, const struct signal_message *m)
{
	struct agent_way *w = agent_find(c, generation);

	if (!w || !w->agent || !(m->has & SIGNAL_HAS_CREDENTIALS))
		return;
	if (ice_agent_set_remote(w->agent, m->ufrag, m->pwd)) {
		engine_note(c->paths->engine, c->peer, LOG_WARN, "ice",
			    "the remote's ICE credentials are not usable");
		return;
	}
	add_candidates(w, m->candidates, m->candidate_count);
	if (c->kept_count && !memcmp(c->kept_session, m->session, SIGNAL_SESSION_LEN) &&
	    clock_boot_ns() - c->kept_at < KEPT_AGE)
		add_candidates(w, (const char(*)[SIGNAL_CANDIDATE_MAX])c->kept, c->kept_count);
	c->kept_count = 0;
}

void agents_candidates(struct peer_paths *c, uint32_t generation, const struct signal_message *m)
{
	struct agent_way *w = agent_find(c, generation);

	if (!w || !w->agent)
		return;
	add_candidates(w, m->candidates, m->candidate_count);
	if (m->type == SIGNAL_END)
		ice_agent_remote_done(w->agent);
}

void agents_keep(struct peer_paths *c, const struct signal_message *m)
{
	if (memcmp(c->kept_session, m->session, SIGNAL_SESSION_LEN)) {
		memcpy(c->kept_session, m->session, SIGNAL_SESSION_LEN);
		c->kept_count = 0;
	}
	if (!c->kept)
		c->kept = xcalloc(KEPT_CANDIDATES_MAX, sizeof(*c->kept));
	c->kept_at = clock_boot_ns();
	for (unsigned i = 0; i < m->candidate_count && c->kept_count < KEPT_CANDIDATES_MAX; i++)
		memcpy(c->kept[c->kept_count++], m->candidates[i], SIGNAL_CANDIDATE_MAX);
}

/* Before libnice's slots for keepalives run out, a new agent is built beside this one. */
void agents_chores(struct peer_paths *c)
{
	list_for_each (pos, &c->agents) {
		struct agent_way *w = container_of(pos, struct agent_way, link);
		struct ice_agent_view v;

		if (!w->agent || !w->selected || w->rebuilt)
			continue;
		ice_agent_look(w->agent, &v);
		if (v.keepalives_unanswered < KEEPALIVES_LOST)
			continue;
		w->rebuilt = true;
		engine_note(c->paths->engine, c->peer, LOG_INFO, "ice",
			    "%u keepalives of the ICE pair went unanswered: a new agent takes over",
			    v.keepalives_unanswered);
		paths_post(c, &(struct peer_event){.type = PEER_EV_COMMAND, .command = PEER_ROTATE});
	}
}

/* ---- all agents ---- */

static void fill_options(const struct paths *s, struct ice_options *o)
{
	const struct engine_network *n = &s->network;

	memset(o, 0, sizeof(*o));
	for (unsigned i = 0; i < s->stun_names && o->stun.sa.sa_family == AF_UNSPEC; i++)
		o->stun = s->names[i].address;
	for (unsigned i = 0; i < n->turn_count; i++) {
		const struct network_name *name = &s->names[s->stun_names + i];
		struct ice_turn *t = &o->turn[o->turn_count];

		if (s->stun_names + i >= s->name_count || name->address.sa.sa_family == AF_UNSPEC)
			continue;
		if (strlen(n->turn[i].user) >= sizeof(t->user) ||
		    strlen(n->turn[i].password) >= sizeof(t->password))
			continue;
		strcpy(t->user, n->turn[i].user);
		strcpy(t->password, n->turn[i].password);
		t->server = name->address;
		t->tcp = n->turn[i].tcp;
		o->turn_count++;
	}
	o->upnp = n->upnp;
	o->tcp = n->ice_tcp;
	o->relay_only = n->turn_only;
	o->no_fast = n->no_fast;
	o->fwmark = s->engine->fwmark;
	o->raw = s->engine->options.raw;
	memcpy(o->own_interface, s->engine->tun.name, sizeof(o->own_interface));
	o->own_interface[sizeof(o->own_interface) - 1] = '\0';
}

void engine_raw_open(int raw[ENGINE_RAW])
{
	ice_raw_open(raw);
	/* Of no protocol: it hears nothing, and costs nothing, until it is bound. */
	raw[2] = socket(AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

void engine_raw_close(int raw[ENGINE_RAW])
{
	ice_raw_close(raw);
	if (raw[2] >= 0)
		close(raw[2]);
	raw[2] = -1;
}

void agents_open(struct paths *s)
{
	struct ice_options o;

	if (s->ice || s->network.ice_off)
		return;
	fill_options(s, &o);
	s->ice = ice_new(s->engine->loop, &o);
	crypto_wipe(&o, sizeof(o));
}

void agents_close(struct paths *s)
{
	struct ice *ice = s->ice;

	s->ice = NULL;
	if (ice)
		ice_free(ice);
}

void agents_options(struct paths *s)
{
	struct ice_options o;

	if (!s->ice)
		return;
	fill_options(s, &o);
	ice_set_options(s->ice, &o);
	crypto_wipe(&o, sizeof(o));
}
