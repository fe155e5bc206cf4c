/* What the far end's frames say: who it is, whether it restarted, that it goes and comes back. */
#include "peer/internal.h"

#include <string.h>

#define REPLY_INTERVAL 20 /* ms for a token: what a far end may make us answer */
#define REPLY_BURST    64

static bool may_reply(struct step *s)
{
	return bucket_take(&s->m->replies, s->now, ms(s->m, REPLY_INTERVAL), REPLY_BURST);
}

static struct peer_action *reply(struct step *s, enum signal_type type)
{
	struct peer_action *a = act(s, PEER_ACT_SEND);

	a->frame = type;
	a->reply = true;
	a->path = s->ev->path;
	return a;
}

/* Its keys, its session and its ICE agents went with the process that had them (I5, F20). */
static void restarted(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	bool fresh = s->f->last_handshake > m->last_frame && s->now - s->f->last_handshake < ms(m, 5000);

	note(s, LOG_NOTICE, "remote", "the peer restarted: its keys and its session are gone%s",
	     m->away ? ", as it said they would" : "");
	agents_stop_all(s);
	m->remote_generation = 0;
	memset(m->remote_session, 0, sizeof(m->remote_session));
	m->remote_session_since = 0;
	m->remote_no_ice = false;
	m->filter = (struct peer_filter){0};
	m->retry_at = 0;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		struct path *p = &m->paths[i];

		forget_pings(p);
		p->counts_known = false;
		p->filtered = p->convicted = false;
		p->last_pong = 0;
		p->in_growth_at = p->far_grew_at = p->far_received = 0;
		path_leave(s, i);
		if (i != slot && p->state == PATH_UP)
			path_state(s, i, PATH_CHECKING);
	}
	watch_arm(s);
	if (s->f->usable &&
	    !fresh) /* a handshake since its last word may be with the new one: keep those keys */
		act(s, PEER_ACT_DRAIN)->reason = SIGNAL_REASON_remote_restarted;
	m->handshake_at = m->attempt_at = 0;
}

void remote_returned(struct step *s)
{
	s->m->away = s->m->away_restarts = false;
	s->m->back_at = 0;
}

static void new_boot(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	bool known = m->remote_boot != 0;

	if (known && m->remote_boot != s->ev->message->boot)
		restarted(s, slot);
	else if (!m->remote_is_weir)
		note(s, LOG_INFO, "remote", "the peer speaks in frames: it is weir, too");
	m->remote_boot = s->ev->message->boot;
	m->remote_is_weir = true;
	remote_returned(s);
	refill(s);
	if (slot != PEER_NO_SLOT && !s->m->paths[slot].last_pong)
		ping(s, slot, 0);
	absorb_facts(s);
	choose(s);
	if (known || !s->f->usable)
		handshake(s, known ? SIGNAL_REASON_remote_restarted : SIGNAL_REASON_start);
}

static void take_bye(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;
	bool drained = msg->reason == SIGNAL_REASON_drain;

	if (m->bye_at && s->now < m->bye_at + ms(m, 1000))
		return; /* it is said on every path; the keys may be new ones already */
	m->bye_at = s->now;

	act(s, PEER_ACT_DRAIN)->reason = msg->reason;
	if (drained) {
		note(s, LOG_NOTICE, "remote", "the peer drained its keys: ours for it are dropped, too");
		return;
	}
	m->away = true;
	m->away_restarts = msg->flags & SIGNAL_RESTARTS;
	m->away_since = s->now;
	m->back_at = msg->has & SIGNAL_HAS_BACK_IN ? s->now + ms(m, msg->back_in_ms) : 0;
	agents_stop_all(s);
	note(s, LOG_NOTICE, "remote", "the peer says goodbye: %s%s", signal_reason_text(msg->reason),
	     m->away_restarts ? "; it will be back at once" : "");
}

static void take_stale(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;
	const struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];

	if (!c || !(msg->has & SIGNAL_HAS_PATH))
		return;
	bool ice =
		c->ref.kind == PATH_KIND_ICE && (msg->path == PATH_KIND_ICE || msg->path == PATH_KIND_TURN);
	if (!ice && msg->path != c->ref.kind)
		return;
	if (peer_find_slot(m, &s->ev->path) != m->chosen) {
		m->stale_heard = s->now;
		watch_force(s);
	}
}

static void by_type(struct step *s, enum peer_slot slot)
{
	const struct signal_message *msg = s->ev->message;

	switch (msg->type) {
	case SIGNAL_HELLO:
		s->m->remote_no_ice = msg->flags & SIGNAL_NO_ICE;
		if (msg->flags & SIGNAL_ASK && may_reply(s))
			reply(s, SIGNAL_HELLO)->flags = auto_ice(s->m) ? 0 : SIGNAL_NO_ICE;
		break;
	case SIGNAL_PING:
	case SIGNAL_RELAY_OPEN:
		if (!may_reply(s))
			break;
		struct peer_action *a =
			reply(s, msg->type == SIGNAL_PING ? SIGNAL_PONG : SIGNAL_RELAY_OPENED);
		memcpy(a->echo, msg->echo, sizeof(a->echo));
		a->size = msg->has & SIGNAL_HAS_SIZE ? msg->size : 0;
		break;
	case SIGNAL_PONG:
	case SIGNAL_RELAY_OPENED:
		if (slot != PEER_NO_SLOT)
			take_pong(s, slot);
		else
			stale_result(s);
		break;
	case SIGNAL_OFFER:
		take_offer(s);
		break;
	case SIGNAL_ANSWER:
		take_answer(s);
		break;
	case SIGNAL_CANDIDATE:
	case SIGNAL_END:
		take_candidates(s);
		break;
	case SIGNAL_STALE:
		take_stale(s);
		break;
	case SIGNAL_REPORT:
		if (msg->flags & SIGNAL_ASK && may_reply(s))
			reply(s, SIGNAL_REPORT);
		break;
	case SIGNAL_BYE:
		take_bye(s);
		break;
	}
}

void on_frame(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct signal_message *msg = s->ev->message;
	enum peer_slot slot;

	adopt_direct(s, &s->ev->path);
	slot = peer_find_slot(m, &s->ev->path);
	if (slot == PEER_NO_SLOT && s->ev->path.kind == PATH_KIND_RELAY) {
		relay_frame(s);
		slot = peer_find_slot(m, &s->ev->path);
	}
	if (slot != PEER_NO_SLOT) {
		path_proof(s, slot);
		m->paths[slot].hellos = 0;
		take_counts(s, slot);
	}
	if (slot == PEER_NO_SLOT)
		heard_astray(s);
	if (m->away && msg->boot == m->remote_boot && msg->type != SIGNAL_BYE &&
	    s->now > m->away_since + ms(m, 1000)) {
		note(s, LOG_NOTICE, "remote", "the peer is still there");
		remote_returned(s);
	}
	if (s->ev->new_boot || !m->remote_is_weir || msg->boot != m->remote_boot)
		new_boot(s, slot);
	m->last_frame = s->now;
	by_type(s, slot);
}

/* On every way that may reach it: there is no second try. */
void say_bye(struct step *s, enum signal_reason why, bool restarts)
{
	struct peer_machine *m = s->m;

	if (!m->remote_is_weir || m->away)
		return;
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (!m->paths[i].ready || m->paths[i].state == PATH_STALE)
			continue;
		struct peer_action *a = send_on(s, i, SIGNAL_BYE);
		a->reason = why;
		a->flags = restarts ? SIGNAL_RESTARTS : 0;
		a->back_in_ms = restarts ? 1000 : 0;
	}
}
