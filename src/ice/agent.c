/*
 * Agents: life, gathering, credentials, candidates. How libnice (0.1.21) is used, and why:
 *
 *  - RFC 5245 mode with trickle and aggressive nomination: regular nomination settles for a relay where a
 * direct pair would have come a moment later.
 *  - No consent freshness: its 10 s and unrepeated checks fail healthy pairs at 1 % loss, and a peer's 403
 * crashes the process. keepalive-conncheck instead (50 s), and liveness is measured above, in the tunnel.
 * FAILED is a hint.
 *  - Local addresses are given explicitly: libnice would take our own tunnel's, too.
 *  - No restart: it never gathers again. A new attempt is a new agent, which costs as little.
 *  - The STUN server stays unset when there is a TURN server: 0.1.21 drops the server-reflexive answer then
 * and gathers for two seconds. The Allocate answer brings the same candidate.
 *  - Unanswered keepalives are counted: each takes a slot of 200 for good, then libnice falls silent.
 *  - Signals can be emitted from within any call into libnice. They are queued here and delivered in the
 * loop's next turn, so no callback of ours runs inside a call of the owner's, and freeing inside a callback
 * is allowed.
 */
#include <gio/gio.h>
#include <glib.h>
#include <nice/agent.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "ice/internal.h"

#define COMPONENT     1
#define PACING_MS     10 /* between checks; at least 5 (RFC 8445 section 14.2) */
#define ADDRESSES_MAX 8	 /* libnice's work grows with the square of the sockets */
#define UFRAG_MIN     4	 /* RFC 8839 section 5.4 */
#define PWD_MIN	      22

enum event_kind { EVENT_CANDIDATE, EVENT_GATHERED, EVENT_SELECTED, EVENT_STATE };

struct event {
	struct list link;
	enum event_kind kind;
	union {
		char text[ICE_CANDIDATE_MAX];
		struct ice_pair pair;
		enum ice_state state;
	};
};

/* libnice's agent after ours is gone. */
struct dying {
	struct list link;
	NiceAgent *nice;
	bool turn;
};

static void *context_of(const struct ice *i)
{
	return loop_native(i->loop);
}

static struct event *event_add(struct ice_agent *a, enum event_kind kind)
{
	struct event *e = xcalloc(1, sizeof(*e));

	e->kind = kind;
	list_append(&a->events, &e->link);
	if (list_empty(&a->busy)) {
		list_append(&a->ice->busy, &a->busy);
		ice_plan(a->ice);
	}
	return e;
}

static void deliver(struct ice_agent *a, const struct event *e)
{
	switch (e->kind) {
	case EVENT_CANDIDATE:
		a->ops->candidate(a->arg, a->generation, e->text);
		break;
	case EVENT_GATHERED:
		a->ops->gathered(a->arg, a->generation);
		break;
	case EVENT_SELECTED:
		a->ops->selected(a->arg, a->generation, &e->pair);
		break;
	case EVENT_STATE:
		a->ops->state(a->arg, a->generation, e->state);
		break;
	}
}

/* Delivers what waits. False: a callback has freed the agent. */
static bool serve(struct ice_agent *a)
{
	struct ice *i = a->ice;

	i->serving = a;
	while (i->serving && !list_empty(&a->events)) {
		struct event *e = container_of(a->events.next, struct event, link);

		list_remove(&e->link);
		deliver(a, e);
		free(e);
	}
	if (!i->serving)
		return false;
	i->serving = NULL;
	list_remove(&a->busy);
	return true;
}

static void on_closed(GObject *object, GAsyncResult *result, gpointer data)
{
	struct dying *d = data;

	(void)object, (void)result;
	list_remove(&d->link);
	g_object_unref(d->nice);
	free(d);
}

/* Gives back what the agents of the dead still hold. Not from within libnice. */
static void reap(struct ice *i)
{
	while (!list_empty(&i->dying)) {
		struct dying *d = container_of(i->dying.next, struct dying, link);

		list_remove(&d->link);
		if (d->turn) {
			list_append(&i->closing, &d->link);
			g_main_context_push_thread_default(context_of(i));
			nice_agent_close_async(d->nice, on_closed, d);
			g_main_context_pop_thread_default(context_of(i));
		} else {
			g_object_unref(d->nice);
			free(d);
		}
	}
}

void ice_plan(struct ice *i)
{
	uint64_t deadline = 0;

	list_for_each (at, &i->agents)
		deadline = earlier(deadline, container_of(at, struct ice_agent, link)->gro_at);
	loop_timer_set(i->timer, !list_empty(&i->busy) || !list_empty(&i->dying) ? 1 : deadline);
}

static void on_turn(void *arg)
{
	struct ice *i = arg;
	uint64_t now = clock_boot_ns();

	reap(i);
	while (!list_empty(&i->busy))
		serve(container_of(i->busy.next, struct ice_agent, busy));
	list_for_each (at, &i->agents)
		fast_turn(container_of(at, struct ice_agent, link), now);
	ice_plan(i);
}

struct ice *ice_new(struct loop *loop, const struct ice_options *o)
{
	struct ice *i = xcalloc(1, sizeof(*i));

	i->loop = loop;
	i->options = *o;
	list_init(&i->agents);
	list_init(&i->busy);
	list_init(&i->dying);
	list_init(&i->closing);
	i->timer = loop_timer_new(loop, on_turn, i);
	i->own_raw = !o->raw;
	if (i->own_raw)
		ice_raw_open(i->raw);
	else
		memcpy(i->raw, o->raw, sizeof(i->raw));
	return i;
}

void ice_set_options(struct ice *i, const struct ice_options *o)
{
	explicit_bzero(&i->options, sizeof(i->options));
	i->options = *o;
}

void ice_free(struct ice *i)
{
	if (!i)
		return;
	reap(i);
	list_for_each_safe (at, &i->closing)
		list_remove(at); /* each frees itself when its server has answered or not */
	loop_timer_free(i->timer);
	if (i->own_raw)
		ice_raw_close(i->raw);
	explicit_bzero(&i->options, sizeof(i->options));
	free(i);
}

/* Remembers a candidate; false when it is known or there is no room. */
static bool remember(struct candidate *list, unsigned *count, const struct candidate *c)
{
	for (unsigned n = 0; n < *count; n++)
		if (candidate_same(&list[n], c))
			return false;
	if (*count == ICE_KNOWN_MAX)
		return false;
	list[(*count)++] = *c;
	return true;
}

static union address address_of(const NiceAddress *n)
{
	union address out = {0};

	if (nice_address_is_valid(n))
		nice_address_copy_to_sockaddr(n, &out.sa);
	return out;
}

static enum ice_candidate_type type_of(NiceCandidateType t)
{
	switch (t) {
	case NICE_CANDIDATE_TYPE_SERVER_REFLEXIVE:
		return ICE_SERVER_REFLEXIVE;
	case NICE_CANDIDATE_TYPE_PEER_REFLEXIVE:
		return ICE_PEER_REFLEXIVE;
	case NICE_CANDIDATE_TYPE_RELAYED:
		return ICE_RELAYED;
	default:
		return ICE_HOST;
	}
}

static struct candidate candidate_of(const NiceCandidate *n)
{
	return (struct candidate){.address = address_of(&n->addr),
				  .type = type_of(n->type),
				  .priority = n->priority,
				  .tcp = n->transport != NICE_CANDIDATE_TRANSPORT_UDP};
}

static void on_candidate(NiceAgent *nice, NiceCandidate *n, gpointer data)
{
	static const char prefix[] = "a=candidate:";
	struct ice_agent *a = data;
	struct candidate c = candidate_of(n);
	char *text = nice_agent_generate_local_candidate_sdp(nice, n);
	size_t skip = sizeof(prefix) - 1;

	if (text && strncmp(text, prefix, skip) == 0 && strlen(text + skip) < ICE_CANDIDATE_MAX &&
	    remember(a->local, &a->local_count, &c))
		strcpy(event_add(a, EVENT_CANDIDATE)->text, text + skip);
	g_free(text);
}

/* A remote candidate that its checks told us, not its owner. */
static void on_remote_candidate(NiceAgent *nice, NiceCandidate *n, gpointer data)
{
	struct ice_agent *a = data;
	struct candidate c = candidate_of(n);

	(void)nice;
	remember(a->remote, &a->remote_count, &c);
}

static void on_gathered(NiceAgent *nice, guint stream, gpointer data)
{
	(void)nice, (void)stream;
	event_add(data, EVENT_GATHERED);
}

static bool is_connected(enum ice_state s)
{
	return s == ICE_CONNECTED || s == ICE_READY;
}

static void on_selected(NiceAgent *nice, guint stream, guint component, NiceCandidate *local,
			NiceCandidate *remote, gpointer data)
{
	struct ice_agent *a = data;

	(void)nice, (void)stream, (void)component;
	a->pair = (struct ice_pair){.local = address_of(&local->addr),
				    .remote = address_of(&remote->addr),
				    .local_type = type_of(local->type),
				    .remote_type = type_of(remote->type),
				    .tcp = local->transport != NICE_CANDIDATE_TRANSPORT_UDP};
	/* Candidates carry no scope; the link is ours. */
	if (a->pair.remote.sa.sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&a->pair.remote.in6.sin6_addr))
		a->pair.remote.in6.sin6_scope_id = a->pair.local.in6.sin6_scope_id;
	a->base = address_of(&local->base_addr);
	a->selected = true;
	/* Before that libnice refuses to send: the state's own event brings the pair then. */
	if (is_connected(a->state))
		event_add(a, EVENT_SELECTED)->pair = a->pair;
}

static enum ice_state state_of(guint n)
{
	switch (n) {
	case NICE_COMPONENT_STATE_CONNECTING:
		return ICE_CONNECTING;
	case NICE_COMPONENT_STATE_CONNECTED:
		return ICE_CONNECTED;
	case NICE_COMPONENT_STATE_READY:
		return ICE_READY;
	case NICE_COMPONENT_STATE_FAILED:
		return ICE_FAILED;
	default:
		return ICE_GATHERING;
	}
}

static void on_state(NiceAgent *nice, guint stream, guint component, guint n, gpointer data)
{
	struct ice_agent *a = data;
	enum ice_state was = a->state, s = state_of(n);

	(void)nice, (void)stream, (void)component;
	if (s == was)
		return;
	a->state = s;
	a->since = clock_boot_ns();
	event_add(a, EVENT_STATE)->state = s;
	if (is_connected(s) && !is_connected(was) && a->selected)
		event_add(a, EVENT_SELECTED)->pair = a->pair;
}

/*
 * Where the kernel glued datagrams to A's (UDP_GRO, fast.c) they begin alike: a control frame's first 16
 * bytes name its pair of keys, and nothing else in a sealed frame repeats them.
 */
static size_t first_of_glued(const struct ice_agent *a, const uint8_t *data, size_t len)
{
	const size_t head = 16;
	const uint8_t *next;

	if (!a->gro || len < 2 * head)
		return len;
	next = memmem(data + head, len - head, data, head);
	return next ? (size_t)(next - data) : len;
}

static void on_datagram(NiceAgent *nice, guint stream, guint component, guint len, gchar *buf, gpointer data)
{
	struct ice_agent *a = data;
	struct ice *i = a->ice;
	const uint8_t *at = (const uint8_t *)buf;

	(void)nice, (void)stream, (void)component;
	if (!serve(a))
		return;
	if (a->gro && fast_is_stun(at, len))
		fast_glued(a);
	i->serving = a;
	while (len && i->serving) {
		size_t n = first_of_glued(a, at, len);

		a->ops->datagram(a->arg, a->generation, at, n, &a->pair);
		at += n;
		len -= (guint)n;
	}
	i->serving = NULL;
}

static void add_turn(struct ice_agent *a, const struct ice_turn *t)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool six = t->server.sa.sa_family == AF_INET6;
	guint port = ntohs(six ? t->server.in6.sin6_port : t->server.in.sin_port);

	inet_ntop(t->server.sa.sa_family,
		  six ? (const void *)&t->server.in6.sin6_addr : (const void *)&t->server.in.sin_addr, ip,
		  sizeof(ip));
	if (!nice_agent_set_relay_info(a->nice, a->stream, COMPONENT, ip, port, t->user, t->password,
				       t->tcp ? NICE_RELAY_TYPE_TURN_TCP : NICE_RELAY_TYPE_TURN_UDP))
		log_warn("ice", "TURN server %s is not usable", ip);
}

static void add_servers(struct ice_agent *a, const struct ice_options *o)
{
	char ip[INET6_ADDRSTRLEN] = "";
	bool six = o->stun.sa.sa_family == AF_INET6;

	for (unsigned n = 0; n < o->turn_count && n < ICE_TURN_MAX; n++)
		add_turn(a, &o->turn[n]);
	if (o->turn_count || o->stun.sa.sa_family == AF_UNSPEC)
		return;
	inet_ntop(o->stun.sa.sa_family,
		  six ? (const void *)&o->stun.in6.sin6_addr : (const void *)&o->stun.in.sin_addr, ip,
		  sizeof(ip));
	g_object_set(a->nice, "stun-server", ip, "stun-server-port",
		     (guint)ntohs(six ? o->stun.in6.sin6_port : o->stun.in.sin_port), NULL);
}

static void add_address(struct ice_agent *a, const union address *at)
{
	NiceAddress address;

	nice_address_init(&address);
	nice_address_set_from_sockaddr(&address, &at->sa);
	nice_agent_add_local_address(a->nice, &address);
}

/* The best of both families, by turns: a machine with many bridges must not lose its IPv6. */
static void add_addresses(struct ice_agent *a)
{
	union address all[ICE_ADDRESSES_MAX];
	size_t count = ice_local_addresses(a->ice, all, ICE_ADDRESSES_MAX), added = 0;
	size_t next[2] = {0, 0}; /* IPv4, IPv6 */

	while (added < ADDRESSES_MAX && (next[0] < count || next[1] < count))
		for (int six = 0; six < 2 && added < ADDRESSES_MAX; six++) {
			while (next[six] < count && (all[next[six]].sa.sa_family == AF_INET6) != six)
				next[six]++;
			if (next[six] == count)
				continue;
			add_address(a, &all[next[six]++]);
			added++;
		}
}

static void connect_signals(struct ice_agent *a)
{
	g_signal_connect(a->nice, "new-candidate-full", G_CALLBACK(on_candidate), a);
	g_signal_connect(a->nice, "new-remote-candidate-full", G_CALLBACK(on_remote_candidate), a);
	g_signal_connect(a->nice, "candidate-gathering-done", G_CALLBACK(on_gathered), a);
	g_signal_connect(a->nice, "new-selected-pair-full", G_CALLBACK(on_selected), a);
	g_signal_connect(a->nice, "component-state-changed", G_CALLBACK(on_state), a);
}

static void mark_sockets(struct ice_agent *a)
{
	GPtrArray *sockets = nice_agent_get_sockets(a->nice, a->stream, COMPONENT);

	for (guint n = 0; sockets && n < sockets->len; n++)
		fast_mark_library_socket(a, g_socket_get_fd(sockets->pdata[n]));
	if (sockets)
		g_ptr_array_unref(sockets);
}

static int gather(struct ice_agent *a, struct error *e)
{
	gboolean began;

	g_main_context_push_thread_default(context_of(a->ice)); /* libnice resolves server names in it */
	began = nice_agent_gather_candidates(a->nice, a->stream);
	g_main_context_pop_thread_default(context_of(a->ice));
	if (!began)
		return error_set(e, EADDRNOTAVAIL,
				 "ICE: no address of this machine can be used: is any interface up?");
	mark_sockets(a);
	return 0;
}

static void take_credentials(struct ice_agent *a)
{
	gchar *ufrag = NULL, *pwd = NULL;

	if (nice_agent_get_local_credentials(a->nice, a->stream, &ufrag, &pwd)) {
		g_strlcpy(a->local_ufrag, ufrag, sizeof(a->local_ufrag));
		g_strlcpy(a->local_pwd, pwd, sizeof(a->local_pwd));
		explicit_bzero(pwd, strlen(pwd));
	}
	g_free(ufrag);
	g_free(pwd);
}

struct ice_agent *ice_agent_new(struct ice *i, uint32_t generation, bool controlling,
				const struct ice_ops *ops, void *arg, struct error *e)
{
	const struct ice_options *o = &i->options;
	struct ice_agent *a = xcalloc(1, sizeof(*a));

	a->ice = i;
	a->generation = generation;
	a->controlling = controlling;
	a->turn = o->turn_count > 0;
	a->no_fast = o->no_fast;
	a->ops = ops;
	a->arg = arg;
	a->since = clock_boot_ns();
	a->fast = a->beside = -1;
	list_init(&a->events);
	list_init(&a->busy);
	list_append(&i->agents, &a->link);
	a->nice =
		nice_agent_new_full(context_of(i), NICE_COMPATIBILITY_RFC5245, NICE_AGENT_OPTION_ICE_TRICKLE);
	lines_start(a);
	g_object_set(a->nice, "upnp", (gboolean)o->upnp, "ice-tcp", (gboolean)o->tcp, "keepalive-conncheck",
		     TRUE, "controlling-mode", (gboolean)controlling, "force-relay", (gboolean)o->relay_only,
		     "stun-pacing-timer", PACING_MS, NULL);
	add_addresses(a);
	a->stream = nice_agent_add_stream(a->nice, 1);
	take_credentials(a);
	add_servers(a, o);
	nice_agent_attach_recv(a->nice, a->stream, COMPONENT, context_of(i), on_datagram, a);
	connect_signals(a);
	if (gather(a, e)) {
		ice_agent_free(a);
		return NULL;
	}
	return a;
}

void ice_agent_free(struct ice_agent *a)
{
	struct dying *d;

	if (!a)
		return;
	if (a->ice->serving == a)
		a->ice->serving = NULL;
	ice_agent_close_fast(a);
	g_signal_handlers_disconnect_by_data(a->nice, a);
	nice_agent_attach_recv(a->nice, a->stream, COMPONENT, context_of(a->ice), NULL, NULL);
	lines_stop(a);
	/* We may be in a callback that libnice called, which still uses its agent. */
	d = xcalloc(1, sizeof(*d));
	d->nice = a->nice;
	d->turn = a->turn;
	list_append(&a->ice->dying, &d->link);
	list_for_each_safe (at, &a->events)
		free(container_of(at, struct event, link));
	list_remove(&a->busy);
	list_remove(&a->link);
	ice_plan(a->ice);
	explicit_bzero(a, sizeof(*a));
	free(a);
}

void ice_agent_credentials(const struct ice_agent *a, char ufrag[ICE_CREDENTIAL_MAX],
			   char pwd[ICE_CREDENTIAL_MAX])
{
	memcpy(ufrag, a->local_ufrag, ICE_CREDENTIAL_MAX);
	memcpy(pwd, a->local_pwd, ICE_CREDENTIAL_MAX);
}

int ice_agent_set_remote(struct ice_agent *a, const char *ufrag, const char *pwd)
{
	if (!credential_valid(ufrag, UFRAG_MIN) || !credential_valid(pwd, PWD_MIN))
		return -EINVAL;
	if (a->remote_ufrag[0])
		return strcmp(a->remote_ufrag, ufrag) || strcmp(a->remote_pwd, pwd) ? -EINVAL : 0;
	strcpy(a->remote_ufrag, ufrag);
	strcpy(a->remote_pwd, pwd);
	return nice_agent_set_remote_credentials(a->nice, a->stream, ufrag, pwd) ? 0 : -EINVAL;
}

int ice_agent_add_candidate(struct ice_agent *a, const char *text)
{
	struct candidate c;
	NiceCandidate *n;
	GSList one = {0};
	char *line;
	int r = candidate_parse(&c, text);

	if (r || !a->remote_ufrag[0])
		return -EINVAL;
	if (!ice_may_send_to(a->ice, &c.address))
		return -EACCES;
	if (!remember(a->remote, &a->remote_count, &c))
		return 0;
	line = xasprintf("a=candidate:%s", text);
	n = nice_agent_parse_remote_candidate_sdp(a->nice, a->stream, line);
	free(line);
	if (!n)
		return -EINVAL;
	one.data = n;
	if (nice_agent_set_remote_candidates(a->nice, a->stream, COMPONENT, &one) < 0)
		r = -EINVAL;
	nice_candidate_free(n);
	return r;
}

void ice_agent_remote_done(struct ice_agent *a)
{
	nice_agent_peer_candidate_gathering_done(a->nice, a->stream);
}
