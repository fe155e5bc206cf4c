/*
 * One end of a WireGuard tunnel, as far as a controller can tell: handshakes with their retries and
 * timestamps, keypairs and their ages, and the timers of the paper's section 6.
 */
#include "tests/sim/sim.h"

#include <string.h>

#define REKEY_AFTER	 SECONDS(120)
#define REJECT_AFTER	 SECONDS(180)
#define REKEY_TIMEOUT	 SECONDS(5)
#define KEEPALIVE	 SECONDS(10)
#define ATTEMPT_TIME	 SECONDS(90)
#define SILENCE		 (KEEPALIVE + REKEY_TIMEOUT)
#define FLOOD		 MS(20)
#define ORDER_PAUSE	 MS(30)
#define KEEPALIVE_SIZE	 32
#define DATA_SIZE	 1200
#define PERSISTENT_LEAST SECONDS(1)

static bool young(const struct world *w, const struct keypair *k)
{
	return k->id && w->now - k->birth < REJECT_AFTER;
}

bool tunnel_usable(const struct world *w, const struct remote *r)
{
	return young(w, &r->t.current);
}

static void sent_any(struct world *w, struct remote *r)
{
	r->t.last_sent = w->now;
	r->t.keepalive_due = 0;
}

static void persist(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;

	if (r->node->incarnation != e->a || !r->node->up)
		return;
	if (w->now - r->t.last_sent >= r->t.persistent)
		tunnel_send(w, r, 0);
	world_at(w, w->now + (r->t.persistent > PERSISTENT_LEAST ? r->t.persistent : PERSISTENT_LEAST),
		 persist, r, e->a, 0, 0);
}

static void retry(struct world *w, const struct event *e);

static void send_initiation(struct world *w, struct remote *r)
{
	struct tunnel *t = &r->t;
	struct node *n = r->node;
	uint64_t stamp = (uint64_t)((int64_t)w->now + n->wall_offset);
	struct packet *p;

	if (stamp <= n->stamp_floor)
		stamp = n->stamp_floor + 1;
	n->stamp_floor = stamp;
	t->handshake = w->next_id++;
	t->handshake_at = t->last_initiation = w->now;
	p = packet_new(w, INITIATION, n->number, r->peer, 148);
	p->key = t->handshake;
	p->number = stamp;
	p->psk = t->psk;
	world_at(w, w->now + REKEY_TIMEOUT + random_below(w, MS(334)), retry, r, n->incarnation, t->handshake,
		 0);
	world_say(w, "%c>%c: initiation %llu by %s", node_letter(n->number), node_letter(r->peer),
		  (unsigned long long)t->handshake, path_kind_name(r->route.kind));
	sent_any(w, r);
	remote_send(w, r, &r->route, NULL, p);
}

static bool route_known(const struct remote *r)
{
	return r->route.kind != PATH_KIND_NONE && (r->route.kind != PATH_KIND_DIRECT || r->endpoint_known);
}

void tunnel_initiate(struct world *w, struct remote *r)
{
	r->t.planned = r->t.ordered = 0;
	if (!route_known(r))
		return;
	if (!r->t.attempt) {
		r->t.attempt_began = w->now;
		r->t.attempt = 1;
	}
	send_initiation(w, r);
}

static void planned(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;

	if (!r->node->up || r->node->incarnation != e->a || r->t.planned != e->b)
		return;
	r->t.planned = 0;
	if (!r->t.attempt)
		tunnel_initiate(w, r);
}

static void ordered(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;

	if (r->node->up && r->node->incarnation == e->a && r->t.ordered == e->b)
		tunnel_initiate(w, r);
}

/* As the engine does what a controller orders: not so soon after the last one that the peer would take it for
 * a flood. If the answer to that one comes meanwhile, it was enough. */
void tunnel_order(struct world *w, struct remote *r)
{
	struct tunnel *t = &r->t;
	uint64_t soonest = t->last_initiation + ORDER_PAUSE;

	if (!t->last_initiation || w->now >= soonest) {
		tunnel_initiate(w, r);
		return;
	}
	t->ordered = soonest;
	world_at(w, soonest, ordered, r, r->node->incarnation, soonest, 0);
}

/* Not while an attempt runs, and not within REKEY_TIMEOUT of the last handshake message of ours: then after
 * it. */
static void want_handshake(struct world *w, struct remote *r)
{
	struct tunnel *t = &r->t;
	uint64_t last = t->last_initiation > t->last_answer ? t->last_initiation : t->last_answer;

	if (t->attempt || t->planned)
		return;
	if (!last || w->now - last >= REKEY_TIMEOUT) {
		tunnel_initiate(w, r);
		return;
	}
	t->planned = last + REKEY_TIMEOUT;
	world_at(w, t->planned, planned, r, r->node->incarnation, t->planned, 0);
}

static void retry(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct tunnel *t = &r->t;

	if (!r->node->up || r->node->incarnation != e->a || t->handshake != e->b || !t->attempt)
		return;
	if (w->now - t->attempt_began > ATTEMPT_TIME) {
		t->attempt = 0;
		t->handshake = 0;
		t->staged = 0;
		t->timeouts++;
		world_say(w, "%c>%c: gave up the handshake after 90 s", node_letter(r->node->number),
			  node_letter(r->peer));
		remote_news(w, r, PEER_EV_TUNNEL_TIMEOUT, &r->chosen, false);
		return;
	}
	t->attempt++;
	send_initiation(w, r);
}

static void silence(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;
	struct tunnel *t = &r->t;

	if (!r->node->up || r->node->incarnation != e->a || t->unanswered_since != e->b)
		return;
	t->timeouts++;
	world_say(w, "%c>%c: data unanswered for 15 s", node_letter(r->node->number), node_letter(r->peer));
	want_handshake(w, r);
	world_at(w, w->now + SILENCE, silence, r, e->a, e->b, 0);
	remote_news(w, r, PEER_EV_TUNNEL_TIMEOUT, &r->chosen, false);
}

static void send_data(struct world *w, struct remote *r, const struct peer_path_ref *path, bool keepalive,
		      uint32_t application)
{
	struct tunnel *t = &r->t;
	struct packet *p =
		packet_new(w, DATA, r->node->number, r->peer, keepalive ? KEEPALIVE_SIZE : DATA_SIZE);

	p->key = t->current.id;
	p->number = ++t->counter;
	p->keepalive = keepalive;
	p->application = application;
	t->sent++;
	sent_any(w, r);
	if (!keepalive && !t->unanswered_since) {
		t->unanswered_since = w->now;
		world_at(w, w->now + SILENCE, silence, r, r->node->incarnation, w->now, 0);
	}
	remote_send(w, r, path, NULL, p);
	if (t->current.initiator && w->now - t->current.birth > REKEY_AFTER)
		want_handshake(w, r);
}

void tunnel_keepalive(struct world *w, struct remote *r, const struct peer_path_ref *path)
{
	if (tunnel_usable(w, r))
		send_data(w, r, path, true, 0);
}

/* application 0: a persistent keepalive. */
void tunnel_send(struct world *w, struct remote *r, uint32_t application)
{
	struct peer_path_ref none = {0};

	if (tunnel_usable(w, r)) {
		send_data(w, r, &r->route, !application, application);
	} else {
		if (application) {
			r->t.staged++;
			r->t.staged_application = application;
		}
		want_handshake(w, r);
	}
	if (application && !r->traffic) {
		r->traffic = true;
		remote_news(w, r, PEER_EV_TRAFFIC, &none, false);
	}
}

void tunnel_drain(struct world *w, struct remote *r)
{
	(void)w;
	memset(&r->t.current, 0, sizeof(r->t.current));
	memset(&r->t.previous, 0, sizeof(r->t.previous));
	memset(&r->t.next, 0, sizeof(r->t.next));
	r->t.handshake = 0;
	r->t.attempt = 0;
	r->t.planned = r->t.ordered = 0;
	r->t.unanswered_since = 0;
}

static void send_staged(struct world *w, struct remote *r, bool must)
{
	if (r->t.staged)
		send_data(w, r, &r->route, false, r->t.staged_application);
	else if (must)
		send_data(w, r, &r->route, true, 0);
	r->t.staged = 0;
}

static bool same_path(const struct peer_path_ref *a, const struct peer_path_ref *b)
{
	return a->kind == b->kind && a->id == b->id && a->generation == b->generation;
}

/* Roaming within the path in use; news when packets come in on another. */
static void arrived(struct world *w, struct remote *r, const struct packet *p,
		    const struct peer_path_ref *path)
{
	struct counts *c = remote_counts(r, path);
	struct agent *a = path->kind == PATH_KIND_ICE ? ice_find(r, path->generation) : NULL;

	r->t.last_received = w->now;
	r->t.unanswered_since = 0;
	if (c) {
		c->received++;
		c->last_received = w->now;
	}
	if (path->kind == PATH_KIND_RELAY)
		r->witness.heard_on_relay[path->id] = w->now;
	if (a)
		a->data_target = p->source;
	if (path->kind == PATH_KIND_DIRECT && (!r->endpoint_known || r->endpoint.host != p->source.host ||
					       r->endpoint.port != p->source.port)) {
		r->endpoint = p->source;
		r->endpoint_known = true;
		remote_news(w, r, PEER_EV_ROAMED, path, true);
	}
	if (!route_known(r))
		r->route = *path;
	if (c && !c->arrived && !same_path(path, &r->chosen)) {
		c->arrived = true;
		remote_news(w, r, PEER_EV_ARRIVED, path, true);
	}
}

static void take_initiation(struct world *w, struct remote *r, const struct packet *p,
			    const struct peer_path_ref *path)
{
	struct tunnel *t = &r->t;
	struct packet *answer;

	if (p->number <= t->newest_stamp || (t->last_answer && w->now - t->last_answer < FLOOD)) {
		world_say(w, "%c>%c: initiation %llu refused: %s", node_letter(r->node->number),
			  node_letter(r->peer), (unsigned long long)p->key,
			  p->number <= t->newest_stamp ? "old timestamp" : "too many");
		return;
	}
	t->newest_stamp = p->number;
	t->last_answer = w->now;
	t->next = (struct keypair){.id = p->key, .birth = w->now};
	t->previous.id = 0;
	answer = packet_new(w, RESPONSE, r->node->number, r->peer, 92);
	answer->key = p->key;
	answer->psk = t->psk;
	arrived(w, r, p, path);
	sent_any(w, r);
	remote_send(w, r, path, &p->source, answer);
}

static void completed(struct world *w, struct remote *r, const struct peer_path_ref *path)
{
	r->t.last_handshake = w->now;
	r->t.ordered = 0;
	r->t.handshakes++;
	remote_news(w, r, PEER_EV_HANDSHAKE, path, true);
}

static void take_response(struct world *w, struct remote *r, const struct packet *p,
			  const struct peer_path_ref *path)
{
	struct tunnel *t = &r->t;

	if (!t->handshake || p->key != t->handshake || p->psk != t->psk) {
		world_say(w, "%c>%c: a response that fits no initiation of ours",
			  node_letter(r->node->number), node_letter(r->peer));
		return;
	}
	/* One that the peer began, and has not confirmed yet, stays good for what comes in (as in the
	 * kernel). */
	t->previous = t->next.id ? t->next : t->current;
	t->next.id = 0;
	t->current = (struct keypair){.id = p->key, .birth = w->now, .initiator = true};
	t->handshake = 0;
	t->attempt = 0;
	arrived(w, r, p, path);
	send_staged(w, r, true);
	completed(w, r, path);
}

static bool fresh(struct keypair *k, uint64_t number)
{
	if (number > k->newest) {
		uint64_t shift = number - k->newest;

		k->window = shift < 64 ? k->window << shift | 1 : 1;
		k->newest = number;
		return true;
	}
	if (k->newest - number >= 64 || k->window >> (k->newest - number) & 1)
		return false;
	k->window |= 1ull << (k->newest - number);
	return true;
}

/* Data under keys that we lost: a handshake at once, to where it came from if we know no other
 * place. */
static void unknown_index(struct world *w, struct remote *r, const struct peer_path_ref *path)
{
	if (tunnel_usable(w, r) || (r->t.unknown_told && w->now - r->t.unknown_told < REKEY_TIMEOUT))
		return;
	r->t.unknown_told = w->now;
	if (!route_known(r))
		r->route = *path;
	want_handshake(w, r);
}

static void keepalive_due(struct world *w, const struct event *e)
{
	struct remote *r = e->subject;

	if (r->node->up && r->node->incarnation == e->a && r->t.keepalive_due == e->b)
		tunnel_keepalive(w, r, &r->route);
}

static void take_data(struct world *w, struct remote *r, const struct packet *p,
		      const struct peer_path_ref *path)
{
	struct tunnel *t = &r->t;
	struct keypair *k = NULL, *all[3] = {&t->current, &t->next, &t->previous};

	for (unsigned i = 0; i < 3 && !k; i++)
		if (all[i]->id == p->key && young(w, all[i]))
			k = all[i];
	if (!k) {
		world_say(w, "%c>%c: data under keys that are not ours any more",
			  node_letter(r->node->number), node_letter(r->peer));
		unknown_index(w, r, path);
		return;
	}
	if (!fresh(k, p->number)) {
		world_say(w, "%c>%c: data that was seen before, or is too old", node_letter(r->node->number),
			  node_letter(r->peer));
		return;
	}
	t->received++;
	arrived(w, r, p, path);
	if (k == &t->next) {
		t->previous = t->current;
		t->current = t->next;
		t->next.id = 0;
		t->attempt = 0;
		t->handshake = 0;
		send_staged(w, r, false);
		completed(w, r, path);
	}
	if (!p->keepalive) {
		if (!t->keepalive_due) {
			t->keepalive_due = w->now + KEEPALIVE;
			world_at(w, t->keepalive_due, keepalive_due, r, r->node->incarnation,
				 t->keepalive_due, 0);
		}
		traffic_heard(w, r, p->application);
	}
	if (t->current.initiator && w->now - t->current.birth > REJECT_AFTER - SILENCE)
		want_handshake(w, r);
}

void tunnel_receive(struct world *w, struct remote *r, const struct packet *p,
		    const struct peer_path_ref *path)
{
	if (p->to != r->node->number)
		return;
	if (p->kind == INITIATION)
		take_initiation(w, r, p, path);
	else if (p->kind == RESPONSE)
		take_response(w, r, p, path);
	else
		take_data(w, r, p, path);
}

void tunnel_start(struct world *w, struct remote *r)
{
	if (r->t.persistent)
		world_at(w, w->now + random_below(w, r->t.persistent), persist, r, r->node->incarnation, 0,
			 0);
	if (route_known(r))
		tunnel_initiate(w, r);
}
