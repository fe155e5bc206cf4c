/* What a machine orders, done by the model of an engine. */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <string.h>

#define KEPT_FOR SECONDS(10)

static void say_note(struct world *w, struct remote *r, const struct peer_action *a)
{
	world_say(w, "%c>%c: [%s] %s", node_letter(r->node->number), node_letter(r->peer), a->kind, a->text);
	if (!w->fault_at || w->evidence[0] || a->level > LOG_NOTICE || !strcmp(a->kind, "mtu"))
		return;
	snprintf(w->evidence, sizeof(w->evidence), "%s", a->text);
	w->evidence_kind = a->kind;
}

/* What the engine adds to a frame: what it knows and the machine does not. */
static void fill(struct remote *r, const struct peer_action *a, const struct peer_path_ref *path,
		 struct signal_message *m)
{
	struct node *n = r->node;
	struct counts *c = remote_counts(r, path);
	struct agent *agent = ice_find(r, a->agent);

	m->type = a->frame;
	m->flags = a->flags;
	m->boot = n->boot;
	m->started = n->started;
	m->sequence = ++n->sequence[r->peer];
	memcpy(m->session, a->session, sizeof(m->session));
	m->generation = a->agent ? a->agent : a->path.generation;
	m->reason = a->reason;
	if (a->reason)
		m->has |= SIGNAL_HAS_REASON;
	switch (a->frame) {
	case SIGNAL_OFFER:
	case SIGNAL_ANSWER:
	case SIGNAL_CANDIDATE:
		if (agent)
			ice_describe(agent, m, a->first, a->count);
		memcpy(m->answered, a->answered, sizeof(m->answered));
		m->has |= SIGNAL_HAS_ANSWERED;
		break;
	case SIGNAL_PING:
	case SIGNAL_PONG:
		m->has |= SIGNAL_HAS_ECHO | SIGNAL_HAS_COUNTS | SIGNAL_HAS_SIZE;
		m->size = a->size;
		if (c) {
			m->data_sent = c->sent;
			m->data_received = c->received;
		}
		break;
	case SIGNAL_RELAY_OPEN:
	case SIGNAL_RELAY_OPENED:
		m->has |= SIGNAL_HAS_ECHO | SIGNAL_HAS_RELAY;
		snprintf(m->relay, sizeof(m->relay), "rel://%u", path->id);
		break;
	case SIGNAL_BYE:
		m->has |= SIGNAL_HAS_BACK_IN;
		m->back_in_ms = a->back_in_ms;
		break;
	case SIGNAL_STALE:
		m->has |= SIGNAL_HAS_PATH;
		m->path = (uint8_t)a->about;
		break;
	default:
		break;
	}
	memcpy(m->echo, a->echo, sizeof(m->echo));
	if ((a->frame == SIGNAL_HELLO || a->frame == SIGNAL_OFFER || a->frame == SIGNAL_ANSWER) &&
	    n->home != PEER_NO_SERVER) {
		m->has |= SIGNAL_HAS_RELAY;
		snprintf(m->relay, sizeof(m->relay), "rel://%u", n->home);
	}
}

static void send_frame(struct world *w, struct remote *r, const struct peer_action *a,
		       const struct peer_event *ev, const struct place *source)
{
	bool reply = a->reply && ev->type == PEER_EV_FRAME;
	const struct peer_path_ref *path = reply ? &ev->path : &a->path;
	struct packet *p = packet_new(w, FRAME, r->node->number, r->peer,
				      a->size && a->frame == SIGNAL_PING ? a->size : 300);

	p->message = message_new(w);
	p->whole = a->frame == SIGNAL_PING && a->size;
	fill(r, a, path, &p->message->m);
	if (w->way[r->node->number][r->peer].no_candidates) {
		p->message->m.candidate_count = 0;
		if (a->frame == SIGNAL_CANDIDATE) {
			packet_free(w, p);
			return;
		}
	}
	world_say(w, "%c>%c: sends %s by %s %u/%u%s%s", node_letter(r->node->number), node_letter(r->peer),
		  signal_type_name(a->frame), path_kind_name(path->kind), path->id, path->generation,
		  a->reason ? ": " : "", a->reason ? signal_reason_text(a->reason) : "");
	/* An ICE agent sends to its pair alone, wherever a frame came from. */
	remote_send(w, r, path, reply && path->kind == PATH_KIND_DIRECT ? source : NULL, p);
}

static void choose(struct world *w, struct remote *r, const struct peer_path_ref *path)
{
	r->chosen = r->route = *path;
	r->chooses++;
	world_say(w, "%c>%c: sends on %s %u/%u", node_letter(r->node->number), node_letter(r->peer),
		  path_kind_name(path->kind), path->id, path->generation);
}

static void endpoint_news(struct world *w, struct remote *r)
{
	struct peer_path_ref path;

	r->endpoint_generation++;
	memset(&r->direct, 0, sizeof(r->direct));
	path = (struct peer_path_ref){PATH_KIND_DIRECT, 0, r->endpoint_generation};
	remote_news(w, r, PEER_EV_ENDPOINT, &path, r->endpoint_known);
}

static void reset_endpoint(struct world *w, struct remote *r)
{
	bool same = r->endpoint.host == r->configured_endpoint.host &&
		    r->endpoint.port == r->configured_endpoint.port;

	/* A port of its own is given up in any case. */
	if ((!r->configured || same) && r->port == MAIN_PORT)
		return;
	if (r->configured) {
		r->endpoint = r->configured_endpoint;
		r->endpoint_known = true;
	}
	r->port = MAIN_PORT;
	endpoint_news(w, r);
}

static void fresh_port(struct world *w, struct remote *r)
{
	r->port = r->node->next_port++;
	world_say(w, "%c>%c: fresh port %u", node_letter(r->node->number), node_letter(r->peer), r->port);
	endpoint_news(w, r);
}

static void keep_candidates(struct world *w, struct remote *r, struct message *m)
{
	unsigned at = r->kept++ % 4;

	if (r->keep[at].message)
		message_drop(w, r->keep[at].message);
	memcpy(r->keep[at].session, m->m.session, SIGNAL_SESSION_LEN);
	r->keep[at].message = m;
	r->keep[at].at = w->now;
	m->users++;
}

static void give_remote(struct world *w, struct remote *r, struct agent *a, const struct signal_message *m)
{
	uint64_t id = a->id;

	ice_set_remote(w, r, a, m);
	for (unsigned i = 0; i < 4 && a->id == id; i++)
		if (r->keep[i].message && w->now - r->keep[i].at < KEPT_FOR &&
		    !memcmp(r->keep[i].session, m->session, SIGNAL_SESSION_LEN))
			ice_add_candidates(w, r, a, &r->keep[i].message->m);
}

static void perform_agent(struct world *w, struct remote *r, const struct peer_action *a,
			  const struct peer_event *ev)
{
	struct agent *agent = ice_find(r, a->path.generation);
	const struct signal_message *m = ev->type == PEER_EV_FRAME ? ev->message : NULL;

	switch (a->type) {
	case PEER_ACT_AGENT_START:
		world_say(w, "%c>%c: starts ICE agent %u", node_letter(r->node->number), node_letter(r->peer),
			  a->path.generation);
		ice_start(w, r, a->path.generation, a->session);
		break;
	case PEER_ACT_AGENT_STOP:
		world_say(w, "%c>%c: stops ICE agent %u", node_letter(r->node->number), node_letter(r->peer),
			  a->path.generation);
		ice_stop(w, r, a->path.generation);
		break;
	case PEER_ACT_AGENT_REMOTE:
		if (agent && m)
			give_remote(w, r, agent, m);
		break;
	case PEER_ACT_AGENT_CANDIDATES:
		if (agent && m)
			ice_add_candidates(w, r, agent, m);
		break;
	default:
		if (m)
			keep_candidates(
				w, r, (struct message *)((char *)(uintptr_t)m - offsetof(struct message, m)));
		break;
	}
}

static void perform_relay(struct world *w, struct remote *r, const struct peer_action *a)
{
	struct node *n = r->node;

	world_say(w, "%c>%c: %s server %u/%u", node_letter(n->number), node_letter(r->peer),
		  peer_action_name(a->type), a->path.id, a->path.generation);
	switch (a->type) {
	case PEER_ACT_RELAY_HOLD:
		pool_hold(w, n, a->path.id, r->peer);
		break;
	case PEER_ACT_RELAY_RELEASE:
		pool_release(w, n, a->path.id, r->peer);
		break;
	case PEER_ACT_RELAY_CHECK:
		pool_check(w, n, a->path.id);
		break;
	default:
		r->reopens++;
		pool_reopen(w, n, a->path.id, a->path.generation);
		break;
	}
}

void remote_perform(struct world *w, struct remote *r, const struct peer_action *a,
		    const struct peer_event *ev, const struct place *source)
{
	switch (a->type) {
	case PEER_ACT_SEND:
		send_frame(w, r, a, ev, source);
		break;
	case PEER_ACT_CHOOSE:
		choose(w, r, &a->path);
		break;
	case PEER_ACT_KEEPALIVE:
		tunnel_keepalive(w, r, &a->path);
		break;
	case PEER_ACT_HANDSHAKE:
		world_say(w, "%c>%c: handshake now: %s", node_letter(r->node->number), node_letter(r->peer),
			  signal_reason_text(a->reason));
		tunnel_order(w, r);
		break;
	case PEER_ACT_DRAIN:
		tunnel_drain(w, r);
		break;
	case PEER_ACT_RESET_ENDPOINT:
		reset_endpoint(w, r);
		break;
	case PEER_ACT_FRESH_PORT:
		fresh_port(w, r);
		break;
	case PEER_ACT_AGENT_START:
	case PEER_ACT_AGENT_REMOTE:
	case PEER_ACT_AGENT_CANDIDATES:
	case PEER_ACT_KEEP_CANDIDATES:
	case PEER_ACT_AGENT_STOP:
		perform_agent(w, r, a, ev);
		break;
	case PEER_ACT_RELAY_HOLD:
	case PEER_ACT_RELAY_RELEASE:
	case PEER_ACT_RELAY_CHECK:
	case PEER_ACT_RELAY_REOPEN:
		perform_relay(w, r, a);
		break;
	case PEER_ACT_MTU:
		break;
	case PEER_ACT_NOTE:
		say_note(w, r, a);
		break;
	default:
		world_fail(w, "action %d is unknown", a->type);
		break;
	}
}
