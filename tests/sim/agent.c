/*
 * An ICE agent (RFC 8445) as libnice shows itself: it gathers, checks each remote candidate by datagrams
 * through the real NAT models, connects by aggressive nomination, and never takes back a pair by itself (no
 * consent freshness).
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define CHECKS_MOST  7
#define CHECK_FIRST  MS(200)
#define KEEPALIVE_AT SECONDS(2)
#define STUN_TRIES   4
#define GIVE_UP	     SECONDS(9)

static void check(struct world *w, const struct event *e);

struct agent *ice_find(struct remote *r, uint32_t generation)
{
	for (unsigned i = 0; i < AGENTS_MAX; i++)
		if (r->agents[i].id && r->agents[i].generation == generation)
			return &r->agents[i];
	return NULL;
}

static struct agent *alive(const struct event *e)
{
	struct remote *r = e->subject;

	for (unsigned i = 0; i < AGENTS_MAX; i++)
		if (r->node->up && r->agents[i].id == e->a)
			return &r->agents[i];
	return NULL;
}

static void say(struct world *w, struct remote *r, const struct agent *a, enum peer_event_type type)
{
	struct peer_event ev = {.type = type, .path = {PATH_KIND_ICE, 0, a->generation}, .count = a->locals};

	ev.turn = a->selected && a->pairs[a->chosen].type == RELAYED_CANDIDATE;

	remote_event(w, r, &ev, NULL, NULL);
}

/* A callback that was on its way when its agent was stopped. */
static void late(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct peer_event ev = {
		.type = (enum peer_event_type)e->b, .path = {PATH_KIND_ICE, 0, (uint32_t)e->c}, .count = 2};

	if (r->node->up && r->node->incarnation == e->a)
		remote_event(w, r, &ev, NULL, NULL);
}

static uint64_t check_delay(unsigned tries)
{
	return CHECK_FIRST << (tries < 4 ? tries : 4);
}

static void add_local(struct world *w, struct remote *r, struct agent *a, struct place where,
		      enum candidate_type type)
{
	if (a->locals == sizeof(a->local) / sizeof(a->local[0]))
		return;
	a->local[a->locals] = where;
	a->local_type[a->locals++] = type;
	say(w, r, a, PEER_EV_ICE_CANDIDATE);
}

static void gathered(struct world *w, struct remote *r, struct agent *a)
{
	uint64_t id = a->id;

	if (a->gathered)
		return;
	if (w->turn)
		add_local(w, r, a, (struct place){.host = TURN_HOST + r->node->number, .port = a->port},
			  RELAYED_CANDIDATE);
	if (a->id != id)
		return;
	a->gathered = true;
	say(w, r, a, PEER_EV_ICE_GATHERED);
}

static void ask_stun(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct agent *a = alive(e);
	struct packet *p;
	uint32_t server = r->node->home == PEER_NO_SERVER ? 0 : r->node->home;

	if (!a || a->gathered)
		return;
	if (a->stun_tries++ == STUN_TRIES) {
		gathered(w, r, a);
		return;
	}
	p = packet_new(w, STUN_ASK, r->node->number, r->node->number, 48);
	p->number = a->id;
	udp_send(w, r->node, a->port, (struct place){.host = w->server[server].host, .port = STUN_PORT}, p);
	world_at(w, w->now + check_delay(a->stun_tries - 1), ask_stun, r, a->id, 0, 0);
}

static void gather(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct agent *a = alive(e);

	if (!a)
		return;
	if (!r->node->down)
		add_local(w, r, a, (struct place){.host = r->node->lan_host, .port = a->port},
			  HOST_CANDIDATE);
	/* The callback may have ended the agent. */
	if (a->id == e->a)
		ask_stun(w, e);
}

static void give_up(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct agent *a = alive(e);

	if (!a || a->selected || a->failed)
		return;
	a->failed = true;
	say(w, r, a, PEER_EV_ICE_FAILED);
}

void ice_start(struct world *w, struct remote *r, uint32_t generation, const uint8_t *session)
{
	struct agent *a = NULL;

	if (ice_find(r, generation)) {
		world_fail(w, "%c>%c: agent generation %u started twice", node_letter(r->node->number),
			   node_letter(r->peer), generation);
		return;
	}
	for (unsigned i = 0; i < AGENTS_MAX && !a; i++)
		if (!r->agents[i].id) {
			a = &r->agents[i];
			memset(&r->ice[i], 0, sizeof(r->ice[i]));
		}
	if (!a) {
		world_fail(w, "%c>%c: more than %d agents at a time", node_letter(r->node->number),
			   node_letter(r->peer), AGENTS_MAX);
		return;
	}
	*a = (struct agent){.id = w->next_id++,
			    .generation = generation,
			    .controlling = r->settings.controlling,
			    .started = w->now};
	memcpy(a->session, session, sizeof(a->session));
	a->port = r->node->next_port++;
	r->agents_started++;
	world_at(w, w->now + MS(random_between(w, 1, 8)), gather, r, a->id, 0, 0);
}

void ice_stop(struct world *w, struct remote *r, uint32_t generation)
{
	static const enum peer_event_type types[] = {PEER_EV_ICE_FAILED, PEER_EV_ICE_SELECTED,
						     PEER_EV_ICE_CANDIDATE, PEER_EV_ICE_GATHERED};
	struct agent *a = ice_find(r, generation);

	if (!a)
		return;
	a->id = 0;
	while (chance(w, w->late_callbacks))
		world_at(w, w->now + random_below(w, SECONDS(5)), late, r, r->node->incarnation,
			 types[random_below(w, 4)], generation);
}

static const char *type_name(enum candidate_type t)
{
	return t == HOST_CANDIDATE ? "host" : t == RELAYED_CANDIDATE ? "relay" : "srflx";
}

void ice_describe(const struct agent *a, struct signal_message *m, unsigned first, unsigned count)
{
	m->has |= SIGNAL_HAS_CREDENTIALS;
	snprintf(m->ufrag, sizeof(m->ufrag), "%llx", (unsigned long long)a->id);
	snprintf(m->pwd, sizeof(m->pwd), "p%llx", (unsigned long long)a->id);
	m->candidate_count = 0;
	for (unsigned i = first; i < first + count && i < a->locals && m->candidate_count < SIGNAL_CANDIDATES;
	     i++)
		snprintf(m->candidates[m->candidate_count++], SIGNAL_CANDIDATE_MAX,
			 "%u 1 udp %u %u %u typ %s", i + 1,
			 a->local_type[i] == HOST_CANDIDATE ? 2130706431u : 1694498815u, a->local[i].host,
			 a->local[i].port, type_name(a->local_type[i]));
}

static struct pair *add_pair(struct world *w, struct remote *r, struct agent *a, struct place target,
			     enum candidate_type type)
{
	struct pair *p;

	for (unsigned i = 0; i < a->count; i++)
		if (a->pairs[i].target.host == target.host && a->pairs[i].target.port == target.port &&
		    a->pairs[i].target.turned == target.turned)
			return &a->pairs[i];
	if (a->count == PAIRS_MAX)
		return NULL;
	p = &a->pairs[a->count++];
	*p = (struct pair){.target = target, .type = type};
	if (a->other)
		world_at(w, w->now + MS(20) * a->count, check, r, a->id, a->count - 1, 0);
	return p;
}

void ice_set_remote(struct world *w, struct remote *r, struct agent *a, const struct signal_message *m)
{
	unsigned long long other = 0;

	if (a->other || !(m->has & SIGNAL_HAS_CREDENTIALS) || sscanf(m->ufrag, "%llx", &other) != 1)
		return;
	a->other = other;
	for (unsigned i = 0; i < a->count; i++)
		world_at(w, w->now + MS(20) * i, check, r, a->id, i, 0);
	world_at(w, w->now + GIVE_UP, give_up, r, a->id, 0, 0);
	ice_add_candidates(w, r, a, m);
}

void ice_add_candidates(struct world *w, struct remote *r, struct agent *a, const struct signal_message *m)
{
	for (unsigned i = 0; i < m->candidate_count; i++) {
		unsigned host, port;
		char type[8];

		if (sscanf(m->candidates[i], "%*u 1 udp %*u %u %u typ %7s", &host, &port, type) == 3)
			add_pair(w, r, a, (struct place){.host = host, .port = (uint16_t)port},
				 type[0] == 'h'	  ? HOST_CANDIDATE
				 : type[0] == 'r' ? RELAYED_CANDIDATE
						  : REFLEXIVE_CANDIDATE);
	}
}

static void send_check(struct world *w, struct remote *r, struct agent *a, struct pair *p)
{
	struct packet *ask = packet_new(w, CHECK, r->node->number, r->peer, 120);

	ask->key = a->other;
	ask->maker = a->id;
	ask->number = p->transaction = w->next_id++;
	ask->nominate = a->controlling;
	p->sent_at = w->now;
	udp_send(w, r->node, a->port, p->target, ask);
}

static void check(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct agent *a = alive(e);
	struct pair *p;

	if (!a || e->b >= a->count)
		return;
	p = &a->pairs[e->b];
	if (p->succeeded || p->failed)
		return;
	if (p->tries++ == CHECKS_MOST) {
		p->failed = true;
		return;
	}
	send_check(w, r, a, p);
	world_at(w, w->now + check_delay(p->tries - 1), check, r, a->id, e->b, 0);
}

/* Checks of the pair in use keep its mappings; nothing comes of their silence. */
static void keep(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct agent *a = alive(e);

	if (!a || !a->selected)
		return;
	send_check(w, r, a, &a->pairs[a->chosen]);
	world_at(w, w->now + KEEPALIVE_AT, keep, r, a->id, 0, 0);
}

static void choose_pair(struct world *w, struct remote *r, struct agent *a)
{
	unsigned best = a->count;

	for (unsigned i = 0; i < a->count; i++)
		if (a->pairs[i].succeeded && a->pairs[i].nominated &&
		    (best == a->count || a->pairs[i].type < a->pairs[best].type))
			best = i;
	if (best == a->count ||
	    (a->selected && (a->chosen == best || a->pairs[a->chosen].type <= a->pairs[best].type)))
		return;
	if (!a->selected)
		world_at(w, w->now + KEEPALIVE_AT, keep, r, a->id, 0, 0);
	a->selected = true;
	a->failed = false;
	a->chosen = best;
	a->data_target = a->pairs[best].target;
	world_say(w, "%c>%c: ICE agent %u connected (%s pair)", node_letter(r->node->number),
		  node_letter(r->peer), a->generation,
		  a->pairs[best].type == HOST_CANDIDATE	     ? "host"
		  : a->pairs[best].type == RELAYED_CANDIDATE ? "TURN"
							     : "reflexive");
	say(w, r, a, PEER_EV_ICE_SELECTED);
}

static void take_check(struct world *w, struct remote *r, struct agent *a, const struct packet *p)
{
	struct packet *reply;
	struct pair *pair;

	if (p->key != a->id || (a->other && p->maker != a->other))
		return;
	reply = packet_new(w, CHECK_REPLY, r->node->number, r->peer, 90);
	reply->key = p->maker;
	reply->maker = a->id;
	reply->number = p->number;
	udp_send(w, r->node, a->port, p->source, reply);
	pair = add_pair(w, r, a, p->source, p->source.turned ? RELAYED_CANDIDATE : PEER_CANDIDATE);
	if (!pair || !a->other)
		return;
	if (p->nominate && !a->controlling)
		pair->nominated = true;
	if (!pair->succeeded && w->now - pair->sent_at > CHECK_FIRST / 2) {
		pair->failed = false;
		if (pair->tries > 2)
			pair->tries = 2; /* a triggered check, RFC 8445 section 7.3.1.4 */
		send_check(w, r, a, pair);
	}
	choose_pair(w, r, a);
}

void ice_receive(struct world *w, struct remote *r, struct agent *a, const struct packet *p)
{
	if (p->kind == STUN_REPLY && p->number == a->id) {
		uint64_t id = a->id;

		if (a->gathered)
			return;
		if (p->mapped.host != r->node->lan_host)
			add_local(w, r, a, p->mapped, REFLEXIVE_CANDIDATE);
		if (a->id == id)
			gathered(w, r, a);
	} else if (p->kind == CHECK) {
		take_check(w, r, a, p);
	} else if (p->kind == CHECK_REPLY && p->key == a->id) {
		for (unsigned i = 0; i < a->count; i++)
			if (a->pairs[i].transaction == p->number) {
				a->pairs[i].succeeded = true;
				if (a->controlling)
					a->pairs[i].nominated = true;
				choose_pair(w, r, a);
				return;
			}
	}
}
