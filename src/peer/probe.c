/* Pings: when they are due, what their answers say, and what both ends count on a path. */
#include "peer/internal.h"

#include <string.h>

#define STANDBY_BUSY 30000  /* ms between pings of a path that is up, while there is traffic */
#define STANDBY_IDLE 300000 /* and without */
#define HELLO_MAX    3	    /* to a remote that never answers: it is a plain WireGuard peer */
#define MUTE	     6	    /* unanswered pings */

uint64_t patience(const struct peer_machine *m, const struct path *p)
{
	uint64_t three = p->rtt ? 3 * p->rtt : ms(m, 1000), spread = p->rtt + 4 * p->rtt_var;
	uint64_t least = ms(m, 300);

	if (three < spread)
		three = spread;
	return three < least ? least : three;
}

void forget_pings(struct path *p)
{
	memset(p->open, 0, sizeof(p->open));
	p->unanswered = 0;
	p->unanswered_from = 0;
	p->mute = 0;
}

/*
 * A long row of pings without an answer, and no data either: what does come in (handshakes, frames) shows
 * that the way to us works, and nothing about our way out.
 */
bool path_is_mute(const struct step *s, const struct path *p)
{
	return s->m->remote_is_weir && p->mute >= MUTE &&
	       (s->f->received == p->mute_received || p->out_growth_at);
}

static void write_echo(uint8_t echo[16], uint32_t number, const struct peer_path_ref *ref)
{
	memcpy(echo, &number, 4);
	memcpy(echo + 4, &ref->generation, 4);
	memcpy(echo + 8, &ref->id, 4);
}

/* Over a relay that is not proven yet the ping is a RELAY_OPEN: its echo is answered in the same way. */
void ping(struct step *s, enum peer_slot slot, uint16_t size)
{
	struct peer_machine *m = s->m;
	struct path *p = &m->paths[slot];

	if (!p->ready)
		return;
	bool open = p->ref.kind == PATH_KIND_RELAY && p->state != PATH_UP && !p->last_pong;
	struct peer_action *a = send_on(s, slot, open ? SIGNAL_RELAY_OPEN : SIGNAL_PING);
	struct ping *slow = &p->open[p->pings % PINGS_OPEN];

	if (!++m->ping_number)
		m->ping_number = 1;
	write_echo(a->echo, m->ping_number, &p->ref);
	a->size = size;
	*slow = (struct ping){.sent_at = s->now, .number = m->ping_number, .size = size, .history = p->pings};
	p->pings++;
	p->history <<= 1;
	if (size) {
		p->history |= 1; /* a probe of the size says nothing about loss */
		return;
	}
	if (!p->unanswered++)
		p->unanswered_from = s->now;
	if (++p->mute <= MUTE / 2)
		p->mute_received = s->f->received;
	p->checks += p->checks < 255;
}

void ping_all(struct step *s)
{
	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		if (s->m->paths[i].ready && s->m->remote_is_weir)
			ping(s, i, 0);
	}
}

static void measure(struct path *p, uint64_t rtt)
{
	if (!rtt)
		rtt = 1;
	if (!p->rtt) { /* RFC 6298 2.2, 2.3 */
		p->rtt = rtt;
		p->rtt_var = rtt / 2;
		return;
	}
	uint64_t off = rtt > p->rtt ? rtt - p->rtt : p->rtt - rtt;
	p->rtt_var = (3 * p->rtt_var + off) / 4;
	p->rtt = (7 * p->rtt + rtt) / 8;
}

void take_pong(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];
	const struct signal_message *msg = s->ev->message;
	uint32_t number;

	memcpy(&number, msg->echo, 4);
	for (unsigned i = 0; i < PINGS_OPEN && number && (msg->has & SIGNAL_HAS_ECHO); i++) {
		struct ping *o = &p->open[i];
		uint8_t echo[16] = {0};

		write_echo(echo, o->number, &p->ref);
		if (o->number != number || memcmp(echo, msg->echo, sizeof(echo)) != 0)
			continue;
		uint16_t behind = (uint16_t)(p->pings - 1 - o->history);
		if (behind < 32)
			p->history |= 1u << behind;
		p->pongs++;
		p->last_pong = s->now;
		p->unanswered = p->mute = 0;
		measure(p, s->now - o->sent_at);
		mtu_pong(s, slot, o->size);
		o->number = 0;
		return;
	}
	stale_result(s);
}

/*
 * The remote tells how many WireGuard packets it sent and received on this path. far_grew_at: ours arrive.
 * in_growth_at: since when it sends and we receive none of it; out_growth_at: since when it receives none of
 * ours.
 */
void take_counts(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];
	const struct signal_message *msg = s->ev->message;
	uint64_t received = facts_of(s, slot)->received, sent = facts_of(s, slot)->sent;

	if (!(msg->has & SIGNAL_HAS_COUNTS))
		return;
	if (p->counts_known && msg->data_received > p->far_received)
		p->far_grew_at = s->now;
	/* A frame waits longer here than a packet: what came in just before may be newer than what it tells.
	 */
	if (received != p->in_seen)
		p->in_seen_at = s->now;
	if (!p->counts_known || s->now < p->in_seen_at + ms(s->m, 200) + p->rtt ||
	    msg->data_sent < p->far_sent_mark) {
		p->in_seen = received;
		p->far_sent_mark = msg->data_sent;
		p->in_growth_at = 0;
	} else if (msg->data_sent >= p->far_sent_mark + 2 && !p->in_growth_at) {
		p->in_growth_at = s->now;
	}
	if (!p->counts_known || msg->data_received != p->far_received || sent < p->out_mark) {
		p->out_mark = sent;
		p->out_growth_at = 0;
	} else if (sent >= p->out_mark + 3 && !p->out_growth_at) {
		p->out_growth_at = s->now;
	}
	p->far_received = msg->data_received;
	p->far_sent = msg->data_sent;
	p->counts_at = s->now;
	p->counts_known = true;
}

unsigned loss_permille(const struct peer_machine *m, const struct path *p)
{
	unsigned known = p->pings < 32 ? p->pings : 32, lost = 0, settled = 0;

	for (unsigned i = 0; i < known; i++) {
		bool young = false;

		for (unsigned k = 0; k < PINGS_OPEN; k++) {
			young |= p->open[k].number && p->open[k].history == (uint16_t)(p->pings - 1 - i) &&
				 m->now - p->open[k].sent_at < ms(m, 1000);
		}
		if (young)
			continue;
		settled++;
		lost += !(p->history >> i & 1);
	}
	return settled ? lost * 1000 / settled : 0;
}

static uint64_t back_off(const struct path *p, uint64_t first, uint64_t most)
{
	uint64_t pause = first << (p->checks > 8 ? 8 : p->checks ? p->checks - 1 : 0);

	return pause < most ? pause : most;
}

/* The pause after the newest ping of a path, in ms; 0: none is due by time. */
static uint64_t pause(const struct step *s, enum peer_slot slot)
{
	const struct peer_machine *m = s->m;
	const struct path *p = &m->paths[slot];
	uint64_t quiet =
		s->now - (s->f->last_sent > s->f->last_received ? s->f->last_sent : s->f->last_received);
	bool busy = (s->f->last_sent || s->f->last_received) && quiet < ms(m, STANDBY_BUSY);
	bool stuck = m->ladder.trouble_since && m->wanted;
	uint64_t slow = stuck ? (s->now - m->ladder.trouble_since < ms(m, 60000) ? 500 : 1000) : 30000;

	if (m->away) /* it says that it will be back at once: be there */
		return m->away_restarts && s->now < m->away_since + ms(m, 30000) ? 200 : 0;
	if (m->watch.state == PEER_WATCH_PROBING || m->watch.state == PEER_WATCH_FIRED) {
		bool answers =
			m->chosen != PEER_NO_SLOT && m->paths[m->chosen].last_pong >= m->watch.probe_from;

		if (!answers)
			return p->checks < 6 ? 100 : p->checks < 12 ? 250 : stuck ? 500 : 1000;
		if (slot == m->chosen) /* quick as long as it may be that only WireGuard is filtered */
			return s->now < m->watch.probe_from + ms(m, 4000) ? 300 : 700;
	}
	if (p->unanswered && p->state == PATH_UP)
		return 1000;
	switch ((enum path_state)p->state) {
	case PATH_CHECKING:
		return back_off(p, 150, slow);
	case PATH_STALE:
		return back_off(p, 1000, slow);
	case PATH_UP:
		if (slot == m->chosen && !busy)
			return 0;
		return busy ? STANDBY_BUSY : STANDBY_IDLE;
	default:
		return 0;
	}
}

static uint64_t newest_ping(const struct path *p)
{
	uint64_t at = 0;

	for (unsigned i = 0; i < PINGS_OPEN; i++) {
		if (p->open[i].sent_at > at && !p->open[i].size)
			at = p->open[i].sent_at;
	}
	return at;
}

/* A standby path that stays silent is stale: so that falling back to it is never a hope (F10). */
static void judge_standby(struct step *s, enum peer_slot slot)
{
	struct peer_machine *m = s->m;
	struct path *p = &m->paths[slot];

	if (p->state != PATH_UP || p->unanswered < 3 || p->last_tunnel > p->unanswered_from)
		return;
	uint64_t at = p->unanswered_from + patience(m, p);
	if (s->now < at) {
		want_turn(s, at);
		return;
	}
	if (slot ==
	    m->chosen) { /* no data is in doubt, but the path is: the watcher's business, and the relay's */
		if (m->watch.state == PEER_WATCH_RESTING)
			watch_force(s);
		if (p->ref.kind == PATH_KIND_RELAY)
			relay_doubt(s, slot);
		return;
	}
	if (!p->stale_noted || p->last_pong > p->stale_noted) { /* once, though theirs may still come in */
		note(s, LOG_NOTICE, "path", "standby %s is stale: %u pings unanswered for %llu ms",
		     path_word(p), p->unanswered, (unsigned long long)shown_ms(s->now - p->unanswered_from));
		p->stale_noted = s->now;
	}
	path_state(s, slot, PATH_STALE);
	if (p->ref.kind == PATH_KIND_RELAY)
		relay_doubt(s, slot);
}

/* To a remote that has not spoken in frames: few, because a plain WireGuard peer must not be pestered. */
static void hello(struct step *s, enum peer_slot slot)
{
	struct path *p = &s->m->paths[slot];

	if (p->ref.kind == PATH_KIND_DIRECT && !s->f->attempt && !s->f->usable)
		return;
	if (p->hellos >= HELLO_MAX) {
		if (s->now < p->hello_at)
			return want_turn(s, p->hello_at);
		p->hellos = 0;
	}
	if (s->now >= p->hello_at) {
		struct peer_action *a = send_on(s, slot, SIGNAL_HELLO);

		a->flags = SIGNAL_ASK | (auto_ice(s->m) ? 0 : SIGNAL_NO_ICE);
		p->hellos++;
		p->hello_at = s->now + ms(s->m, p->hellos >= HELLO_MAX ? 600000
						: p->hellos == 1       ? 1000
								       : 3000);
	}
	want_turn(s, p->hello_at);
}

void probe(struct step *s)
{
	struct peer_machine *m = s->m;

	for (unsigned i = 0; i < PEER_SLOTS; i++) {
		struct path *p = &m->paths[i];

		if (!p->ready || !path_allowed(m, i))
			continue;
		if (!m->remote_is_weir) {
			if (!m->away)
				hello(s, i);
			continue;
		}
		uint64_t wait = pause(s, i), last = newest_ping(p);

		if (!wait)
			continue;
		wait = ms(m, wait);
		if (p->rtt > wait * 4 &&
		    wait < ms(m, 500)) /* a slow path: more pings in flight say nothing more */
			wait = p->rtt / 4;
		if (wait > ms(m, 20000))
			wait -= wait / 20 * (m->random >> 32 & 1); /* peers of one engine drift apart */
		uint64_t at = last ? last + wait : s->now;
		if (!p->next_ping && !p->pings)
			at = s->now;
		if (s->now >= at) {
			ping(s, i, 0);
			at = s->now + wait;
		}
		p->next_ping = at;
		want_turn(s, at);
		judge_standby(s, i);
	}
}
