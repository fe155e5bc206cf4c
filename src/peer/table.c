/* The table: what each event does in each stage. The first row that fits is taken; peer_table_print() prints
 * the same. */
#include "peer/internal.h"

#include <stdio.h>
#include <string.h>

#define IN(stage) (1u << STAGE_##stage)
#define ANY	  (IN(DOWN) | IN(SEEKING) | IN(RELAYED) | IN(DIRECT) | IN(LOST) | IN(AWAY))
#define RUNNING	  (ANY & ~IN(DOWN))

static void start(struct step *s)
{
	struct peer_machine *m = s->m;

	m->started = true;
	remote_returned(s);
	ladder_reset(s);
	if (m->settings.mode != PEER_PLAIN)
		relays_start(s);
}

static void stop(struct step *s)
{
	struct peer_machine *m = s->m;

	say_bye(s, s->ev->restarts ? SIGNAL_REASON_restart : SIGNAL_REASON_shutdown, s->ev->restarts);
	agents_stop_all(s);
	relays_stop(s);
	m->started = false;
	m->retry_at = m->search_at = 0;
	watch_arm(s);
}

/* Until the device is down, a packet of theirs can begin a handshake: then they took us for being back. */
static void stop_again(struct step *s)
{
	if (s->f->usable)
		say_bye(s, SIGNAL_REASON_shutdown, false);
}

static void take_settings(struct step *s)
{
	struct peer_machine *m = s->m;
	enum peer_mode old = m->settings.mode;

	if (!s->ev->settings)
		return;
	m->settings = *s->ev->settings;
	if (!m->started)
		return;
	if (m->settings.mode == PEER_PLAIN) {
		if (old != PEER_PLAIN) {
			agents_stop_all(s);
			relays_stop(s);
			if (m->paths[PEER_DIRECT].ready && m->chosen != PEER_DIRECT)
				path_switch(s, PEER_DIRECT, LOG_NOTICE, "the peer is plain WireGuard now");
		}
		return;
	}
	relays_start(s);
	if (old != m->settings.mode)
		refill(s);
}

static void take_endpoint(struct step *s)
{
	struct peer_machine *m = s->m;
	const struct peer_path_ref ref = {.kind = PATH_KIND_DIRECT, .generation = s->ev->path.generation};
	const struct path *d = &m->paths[PEER_DIRECT];

	if (d->ref.kind != PATH_KIND_NONE && newer(d->ref.generation, ref.generation)) {
		stale_result(s);
		return;
	}
	if (!s->ev->known) {
		if (d->ref.kind != PATH_KIND_NONE)
			path_clear(s, PEER_DIRECT);
		return;
	}
	if (d->ref.kind != PATH_KIND_NONE && same_ref(&d->ref, &ref) && d->ready)
		return;
	path_begin(s, PEER_DIRECT, &ref);
	m->paths[PEER_DIRECT].ready = true;
	if (m->remote_is_weir && m->started && !m->away && m->settings.mode != PEER_PLAIN)
		ping(s, PEER_DIRECT, 0);
}

/* Tunnel packets came in on a path: proof, whether we knew the path or not. */
static void take_packets(struct step *s)
{
	adopt_direct(s, &s->ev->path);
	enum peer_slot slot = peer_find_slot(s->m, &s->ev->path);

	if (slot == PEER_NO_SLOT) {
		heard_astray(s);
		relay_frame(s);
		slot = peer_find_slot(s->m, &s->ev->path);
	}
	if (slot == PEER_NO_SLOT) {
		stale_result(s);
		return;
	}
	path_proof(s, slot);
}

static void take_roamed(struct step *s)
{
	take_packets(s);
	enum peer_slot slot = peer_find_slot(s->m, &s->ev->path);

	if (slot != PEER_NO_SLOT && s->m->remote_is_weir) {
		s->m->paths[slot].rtt = 0; /* another way: what was known of it is of the old one */
		mtu_restart(s, slot);
		ping(s, slot, 0);
	}
}

static void take_handshake(struct step *s)
{
	struct peer_machine *m = s->m;

	take_packets(s);
	/* While it goes down it still answers; one that was started again says so in its frames. */
	bool leaving = m->away && !m->away_restarts && s->now < m->away_since + ms(m, 1000);
	if (m->away && !leaving)
		note(s, LOG_NOTICE, "remote", "the peer is back: a handshake was completed");
	if (!leaving)
		remote_returned(s);
	ladder_reset(s);
	m->handshake_tries = 0;
	enum peer_slot slot = peer_find_slot(m, &s->ev->path);
	if (slot != PEER_NO_SLOT && !m->remote_is_weir && m->paths[slot].hellos < 3)
		m->paths[slot].hello_at = 0;
}

static void take_timeout(struct step *s)
{
	struct peer_machine *m = s->m;
	struct path *c = m->chosen == PEER_NO_SLOT ? NULL : &m->paths[m->chosen];

	tunnel_timed_out(s);
	note(s, LOG_WARN, "watcher", "the tunnel timed out on %s", c ? path_word(c) : "no path");
	if (c && m->remote_is_weir && (!c->last_pong || s->now > c->last_pong + ms(m, 3000))) {
		path_leave(s, m->chosen);
		path_state(s, m->chosen, PATH_STALE);
		if (c->ref.kind == PATH_KIND_RELAY)
			relay_doubt(s, m->chosen);
	}
	if (m->remote_is_weir && !m->away)
		ping_all(s);
	if (!direct_is_up(m) || (c && c->ref.kind == PATH_KIND_ICE))
		ice_soon(s, SIGNAL_REASON_tunnel_timeout, ms(m, 100));
}

static void take_network(struct step *s)
{
	struct peer_machine *m = s->m;

	refill(s);
	for (unsigned i = 0; i < PEER_SLOTS; i++)
		forget_pings(&m->paths[i]);
	m->network_at = s->now;
	watch_force(s);
	if (m->remote_is_weir && !m->away) {
		ping_all(s);
		ice_soon(s, SIGNAL_REASON_network_change, ms(m, 300));
	}
	if (m->chosen != PEER_NO_SLOT && s->f->usable && !m->away)
		act_on(s, PEER_ACT_KEEPALIVE, &m->paths[m->chosen].ref);
	relays_network(s);
	relays_search(s, ms(m, 1000));
}

static void take_network_down(struct step *s)
{
	refill(s);
}

static void prefer(struct step *s, enum peer_command c)
{
	struct peer_machine *m = s->m;

	m->preference = c;
	note(s, LOG_NOTICE, "path", "the user wants %s",
	     c == PEER_FORCE_RELAY    ? "the relay only"
	     : c == PEER_PREFER_RELAY ? "the relay while it is up"
				      : "the best path");
	refill(s);
}

static void take_command(struct step *s)
{
	struct peer_machine *m = s->m;

	switch (s->ev->command) {
	case PEER_ROTATE:
		refill(s);
		rotate(s, SIGNAL_REASON_user);
		note(s, LOG_NOTICE, "session", "the user rotates the session");
		if (auto_ice(m) && m->remote_is_weir && !m->remote_no_ice && carrier(s, 0) != PEER_NO_SLOT)
			agent_offer(s, SIGNAL_REASON_user);
		break;
	case PEER_RESET:
		refill(s);
		act_on(s, PEER_ACT_RESET_ENDPOINT, &m->paths[PEER_DIRECT].ref);
		handshake(s, SIGNAL_REASON_user);
		break;
	case PEER_PROBE:
		refill(s);
		ping_all(s);
		m->retry_at = s->now;
		break;
	case PEER_PREFER_RELAY:
	case PEER_FORCE_RELAY:
	case PEER_PREFER_AUTO:
		prefer(s, s->ev->command);
		break;
	case PEER_LADDER_NOW:
	case PEER_LADDER_SKIP:
	case PEER_LADDER_HOLD:
	case PEER_LADDER_RESUME:
		ladder_command(s, s->ev->command);
		break;
	case PEER_FRESH_PORT:
		ladder_take(s, PEER_RUNG_PORT);
		break;
	case PEER_REOPEN_RELAY:
		ladder_take(s, PEER_RUNG_REOPEN);
		break;
	case PEER_DRAIN:
		say_bye(s, SIGNAL_REASON_drain, false);
		break;
	case PEER_HANDSHAKE:
		refill(s);
		m->handshake_at = m->attempt_at = 0;
		handshake(s, SIGNAL_REASON_user);
		break;
	case PEER_LOOK:
		report_wanted(s);
		break;
	}
}

static void command_down(struct step *s)
{
	enum peer_command c = s->ev->command;

	if (c == PEER_PREFER_RELAY || c == PEER_FORCE_RELAY || c == PEER_PREFER_AUTO)
		s->m->preference = c;
}

static void look_again(struct step *s)
{
	(void)s; /* settle() does it, as after every event */
}

static void ignore(struct step *s)
{
	stale_result(s);
}

static const struct row {
	unsigned stages;
	enum peer_event_type event;
	void (*handle)(struct step *s);
	const char *text;
} table[] = {
	{IN(DOWN), PEER_EV_START, start, "hold the home relay, choose a first path, begin a handshake on it"},
	{RUNNING, PEER_EV_START, look_again, "already running"},
	{IN(DOWN), PEER_EV_STOP, stop_again, "BYE once more where a tunnel was made since the last one"},
	{RUNNING, PEER_EV_STOP, stop, "BYE on every path, agents and relays let go"},
	{RUNNING, PEER_EV_TIMER, look_again, "do what is due: watcher, choice, ladder, sessions, pings, MTU"},
	{IN(DOWN), PEER_EV_TIMER, ignore, "counted"},
	{ANY, PEER_EV_SETTINGS, take_settings, "take them over; hold and release relays accordingly"},
	{ANY, PEER_EV_ENDPOINT, take_endpoint, "direct path of this generation, checking; or cleared"},
	{RUNNING, PEER_EV_ROAMED, take_roamed, "direct path is proven at its new address; ping, MTU anew"},
	{RUNNING, PEER_EV_ARRIVED, take_packets,
	 "proof of that path; follow the peer if it means to be there"},
	{RUNNING, PEER_EV_TRAFFIC, look_again, "the watcher waits 200 ms for an answer"},
	{IN(AWAY), PEER_EV_HANDSHAKE, take_handshake, "the peer is back"},
	{RUNNING, PEER_EV_HANDSHAKE, take_handshake,
	 "proof of that path; budgets refilled; HELLO if it never spoke"},
	{RUNNING, PEER_EV_TUNNEL_TIMEOUT, take_timeout, "rotate the session, ping everything, offer anew"},
	{RUNNING, PEER_EV_FRAME, on_frame,
	 "proof of that path; by type; a new boot: drain and handshake at once"},
	{RUNNING, PEER_EV_RELAY, on_relay,
	 "a newer connection replaces, the same is a no-op, a lost one is cleared"},
	{RUNNING, PEER_EV_PRESENCE, on_presence,
	 "online: RELAY-OPEN or HELLO there; gone: stale, look elsewhere"},
	{RUNNING, PEER_EV_RELAY_CHECKED, on_checked,
	 "alive and the peer silent: look elsewhere; dead: the pool dials"},
	{RUNNING, PEER_EV_REMOTE_RELAY, on_remote_relay, "hold it if no relay path is up"},
	{RUNNING, PEER_EV_ICE_CANDIDATE, on_candidate, "trickle it"},
	{RUNNING, PEER_EV_ICE_GATHERED, on_gathered, "END; all candidates again after 1 s and 3 s"},
	{RUNNING, PEER_EV_ICE_SELECTED, on_selected,
	 "ping it: it takes over when the tunnel went both ways on it"},
	{RUNNING, PEER_EV_ICE_FAILED, on_ice_failed, "a hint: ping it, or give it up after 5 s"},
	{RUNNING, PEER_EV_NETWORK, take_network,
	 "refill budgets, ping everything, a new session in 300 ms if need be"},
	{IN(DOWN), PEER_EV_NETWORK, take_network_down, "refill budgets"},
	{RUNNING, PEER_EV_COMMAND, take_command, "do it; a key press refills the budgets"},
	{IN(DOWN), PEER_EV_COMMAND, command_down, "only the preference is kept"},
};

static const char *stage_name(enum stage stage)
{
	static const char *const names[] = {"down", "seeking", "relayed", "direct", "lost", "away"};

	return (unsigned)stage < STAGES ? names[stage] : "?";
}

static const struct row *row_of(enum stage stage, enum peer_event_type event)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		if (table[i].event == event && table[i].stages >> stage & 1)
			return &table[i];
	}
	return NULL;
}

void table_step(struct step *s)
{
	const struct row *r = row_of(s->m->stage, s->ev->type);

	if (r)
		r->handle(s);
	else
		ignore(s); /* DOWN: results of what was let go */
}

static void stages_text(unsigned stages, char out[64])
{
	out[0] = '\0';
	if (stages == RUNNING || stages == ANY) {
		snprintf(out, 64, "%s", stages == ANY ? "any" : "running");
		return;
	}
	for (unsigned i = 0; i < STAGES; i++) {
		if (stages >> i & 1)
			snprintf(out + strlen(out), 64 - strlen(out), "%s%s", *out ? "," : "", stage_name(i));
	}
}

void peer_table_print(struct strbuf *out)
{
	strbuf_add(out,
		   "Stages of a peer\n"
		   "  down     the device is not up, or the peer is plain WireGuard\n"
		   "  seeking  no path is proven: the most hopeful one is tried\n"
		   "  relayed  the path in use is a relay (or TURN); a direct one is tried for\n"
		   "  direct   the path in use is direct or an ICE pair\n"
		   "  lost     it worked and does not, and it is wanted: the ladder is climbed\n"
		   "  away     the peer said goodbye; its next frame or handshake ends this\n"
		   "running is every stage but down. What is in no row changes only a counter.\n\n"
		   "%-8s %-15s %s\n",
		   "stage", "event", "what is done");
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		char stages[64];

		stages_text(table[i].stages, stages);
		strbuf_add(out, "%-8s %-15s ", stages, peer_event_name(table[i].event));
		const char *text = table[i].text;
		while (strlen(text) > 54) { /* 80 columns */
			int cut = 54;

			while (cut && text[cut] != ' ')
				cut--;
			strbuf_add(out, "%.*s\n%25s", cut, text, "");
			text += cut + 1;
		}
		strbuf_add(out, "%s\n", text);
	}
	strbuf_add(out, "\nRungs of the ladder, in order\n");
	for (unsigned r = PEER_RUNG_HANDSHAKE; r < PEER_RUNGS; r++)
		strbuf_add(out, "  %-10s %s\n", peer_rung_name(r), peer_rung_text(r));
}
