/*
 * Inside the peer controller. One struct per machine, of fixed size: nothing is allocated in a step.
 *
 * A step is: the handler of (stage, event) takes in what happened; then settle() lets each part look at the
 * state and the facts and do what is due. Every part keeps the times at which it wants to be asked again in
 * the machine; the deadline is the earliest of them. So a lost or doubled timer, or one of another part, can
 * do no harm.
 */
#ifndef WEIR_PEER_INTERNAL_H
#define WEIR_PEER_INTERNAL_H

#include "peer/peer.h"

#include "base/clock.h"

#define PINGS_OPEN   8
#define RELAYS_KNOWN (PEER_RELAYS_MAX + 2) /* ours, our home, the remote's home */

enum stage { STAGE_DOWN, STAGE_SEEKING, STAGE_RELAYED, STAGE_DIRECT, STAGE_LOST, STAGE_AWAY, STAGES };

/* Generic cell rate: one number holds how far ahead of its rate a bucket has been emptied. */
struct bucket {
	uint64_t ahead;
};

struct ping {
	uint64_t sent_at;
	uint32_t number;  /* 0: no ping */
	uint16_t size;	  /* of an MTU probe; 0: small */
	uint16_t history; /* place in path.history when it was sent: low bits of path.pings */
};

struct mtu {
	uint64_t next;	    /* when to look again, 0: never (not proven yet, or a relay) */
	uint64_t top;	    /* when to search from the top again */
	uint64_t searched;  /* when the last search or confirmation ended */
	uint64_t narrowed;  /* when less was told than before */
	uint64_t sent_mark; /* packets sent on the path until then */
	uint16_t limit;	    /* what was told last, 0: nothing yet */
	uint16_t proven;    /* largest that was answered */
	uint16_t failed;    /* smallest that was not, 0: none */
	uint16_t size;	    /* being probed, 0: none */
	uint8_t tries;
	bool confirming; /* whether what had passed still does */
};

struct path {
	struct peer_path_ref ref; /* kind NONE: the slot is empty */
	uint8_t state;		  /* enum path_state */
	bool ready; /* datagrams can be handed to it: endpoint known, pair selected, relay up and peer online
		     */
	bool turn;
	bool counts_known; /* the remote has told its counts of this path */
	bool filtered; /* pings pass and WireGuard did not, here or on those before it: no path to rely on */
	bool convicted; /* it was this one */
	uint64_t since, last_proof, last_pong, last_tunnel;
	uint64_t rtt, rtt_var;
	uint32_t pings, pongs, history;

	uint32_t unanswered;	  /* small pings since the last pong */
	uint64_t unanswered_from; /* when the first of them was sent */
	uint32_t mute;		  /* the same, but whatever begins anew: it ends by a pong alone */
	uint64_t mute_received;	  /* data packets that had come in when that was no accident any more */
	struct ping open[PINGS_OPEN];
	uint64_t next_ping; /* 0: at once */
	uint8_t checks;	    /* pings in this state, for the back-off */

	uint8_t hellos; /* to a remote that has not spoken yet */
	uint64_t hello_at;

	/* taking over from a working path: wanted is an authenticated packet each way, later than
	 * `tunnel_since` */
	uint64_t tunnel_since, keepalive_at, far_grew_at;
	uint8_t keepalives;

	uint64_t far_received, far_sent; /* the remote's counts, as last told */
	uint64_t counts_at;
	uint64_t stale_noted;
	uint64_t in_seen, in_seen_at, in_growth_at,
		far_sent_mark;		  /* theirs that do not arrive: see take_counts() */
	uint64_t out_growth_at, out_mark; /* ours that do not */
	uint64_t sent_mark;		  /* our packets on it when something last came in on it */

	struct mtu mtu;
};

struct agent {
	uint32_t generation; /* 0: none */
	uint8_t session[SIGNAL_SESSION_LEN], remote[SIGNAL_SESSION_LEN];
	bool paired, connected, failed, gathered, retry;
	uint8_t offers, resends;
	uint16_t candidates, told;
	uint64_t started, paired_at, offer_at, resend_at;
};

struct relay {
	uint32_t server, generation;
	bool used, held, up, online, alive;
	uint64_t held_at, online_at, check_at, checked_at, reopened_at;
};

struct watcher {
	uint8_t state;	     /* enum peer_watch */
	uint64_t armed;	     /* on the chosen path, since */
	uint64_t doubt;	     /* when the evidence began, 0: none */
	uint64_t probe_from; /* first ping of this doubt */
	uint64_t forced;     /* doubt of another kind (network event, STALE): until then */
	uint64_t fires_at;
	uint64_t packets;  /* sent without an answer, for the words */
	uint64_t shook_at; /* new keys were tried, 0: not in this doubt */
};

struct ladder {
	uint8_t next; /* enum peer_rung */
	bool held;
	uint64_t trouble_since, next_at, refill_at, last_at;
	uint8_t budget[PEER_RUNGS];
	uint64_t taken_at[PEER_RUNGS];
	uint32_t taken[PEER_RUNGS];
};

struct peer_machine {
	struct peer_settings settings;
	uint64_t random;
	unsigned divisor;
	uint64_t now, deadline;
	bool started;
	uint8_t stage;

	struct path paths[PEER_SLOTS];
	uint8_t chosen; /* enum peer_slot */
	uint64_t chosen_since;
	uint8_t preference; /* enum peer_command */
	uint8_t left;	    /* the slot that was chosen before, for late packets */
	uint64_t left_at;
	uint64_t ahead_since; /* tunnel packets come in elsewhere, and not here, since */
	uint64_t stale_heard; /* the remote said STALE about the chosen path */
	uint64_t hold_choice; /* an unproven choice of the ladder's is left alone until then */
	bool sending;	      /* the last CHOOSE named a path */
	unsigned path_changes;
	uint64_t stale_results;
	uint32_t ping_number;

	bool remote_is_weir, remote_no_ice, away, away_restarts;
	uint64_t remote_boot, away_since, back_at, last_frame, bye_at;
	uint32_t remote_relay;

	uint8_t session[SIGNAL_SESSION_LEN]; /* of the next agent, or of the newest */
	bool session_used;
	uint8_t session_reason;
	uint64_t session_since, remote_session_since;
	uint8_t remote_session[SIGNAL_SESSION_LEN];
	uint32_t agent_generation, remote_generation;
	struct agent agents[2]; /* of PEER_ICE and PEER_ICE_NEXT */
	struct bucket offers, answers, agents_made, replies;
	unsigned offers_sent, offers_received, answers_sent, answers_received;
	unsigned answers_astray, candidates_astray; /* of sessions that are not at hand */
	uint64_t astray_at;
	uint8_t astray_session[SIGNAL_SESSION_LEN];
	uint64_t retry_at; /* next try for a direct path */
	uint8_t retries;
	uint64_t network_at; /* network event: what any path proved before it is in doubt */

	struct relay relays[RELAYS_KNOWN];
	uint64_t search_at; /* when other servers than the home are held too; 0: they are, or need not be */

	struct watcher watch;
	struct peer_filter filter;
	struct ladder ladder;
	uint64_t handshake_at;	  /* last HANDSHAKE action */
	unsigned attempt;	  /* facts.attempt of the last step */
	uint64_t attempt_at;	  /* when it became that: WireGuard has just sent an initiation itself */
	uint64_t handshake_retry; /* the next one while a proven path waits for keys */
	uint8_t handshake_tries, attempt_tries;
	uint64_t report_at;
	bool overflow;	     /* an action found no room: peer_check() complains */
	bool wanted, works;  /* as of the last step */
	bool fresh_port;     /* the direct path goes by a fresh port, and has not answered a ping yet */
	uint32_t fresh_from; /* generation of the direct path before that */
	uint64_t fresh_at;   /* since then */
	bool old_port_heard; /* meanwhile something came to the old one */
	uint64_t wanted_at;  /* when data, a keepalive or a handshake last wanted it */
};

/* One step: what every part is given. */
struct step {
	struct peer_machine *m;
	const struct peer_event *ev;
	const struct tunnel_facts *f;
	uint64_t now;
	struct peer_actions *out;
	uint64_t deadline; /* collected by want_turn() */
};

/* machine.c */
uint64_t ms(const struct peer_machine *m, uint64_t milliseconds); /* by the time divisor */
uint64_t shown_ms(uint64_t ns);					  /* rounded, for people */
uint64_t random_next(struct peer_machine *m);
uint64_t jitter(struct peer_machine *m, uint64_t ns); /* ns, up to a tenth less or more */
bool bucket_take(struct bucket *b, uint64_t now, uint64_t interval, unsigned burst);
struct peer_action *act(struct step *s, enum peer_action_type type);
void act_on(struct step *s, enum peer_action_type type, const struct peer_path_ref *path);
void note(struct step *s, enum log_level level, const char *kind, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
void want_turn(struct step *s, uint64_t at);
bool handshake(struct step *s, enum signal_reason why); /* false: one began less than a second ago */
void refill(struct step *s);				/* I11: budgets and retries begin anew */
void stale_result(struct step *s);
bool newer(uint32_t a, uint32_t b);
bool auto_ice(const struct peer_machine *m); /* ICE may be used by us now */

/* paths.c */
const char *path_word(const struct path *p);
bool same_ref(const struct peer_path_ref *a, const struct peer_path_ref *b);
const struct tunnel_path_facts *facts_of(const struct step *s, enum peer_slot slot);
void path_begin(struct step *s, enum peer_slot slot, const struct peer_path_ref *ref);
void path_clear(struct step *s, enum peer_slot slot);
void path_state(struct step *s, enum peer_slot slot, enum path_state state);
void path_proof(struct step *s, enum peer_slot slot); /* something of the far end came in on it */
void path_leave(struct step *s, enum peer_slot slot); /* given up: it has to prove the tunnel again */
void path_promote(struct step *s, enum peer_slot from, enum peer_slot to);
bool path_allowed(const struct peer_machine *m, enum peer_slot slot);
bool direct_is_up(const struct peer_machine *m); /* a direct or ICE path without a relay of any kind */
unsigned path_rank(const struct peer_machine *m, enum peer_slot slot);
enum peer_slot path_best(const struct step *s, enum peer_slot but);
bool path_over_udp(const struct path *p); /* and by no TURN server */
void path_filtered(struct step *s, enum peer_slot slot, uint64_t ours, uint64_t theirs); /* packets lost */
void path_switch(struct step *s, enum peer_slot slot, enum log_level level, const char *why);
void absorb_facts(struct step *s);
void follow(struct step *s);
void choose(struct step *s);
enum peer_slot carrier(const struct step *s, unsigned nth); /* where a frame goes; PEER_NO_SLOT: nowhere */
struct peer_action *send_on(struct step *s, enum peer_slot slot, enum signal_type type);
void adopt_direct(struct step *s, const struct peer_path_ref *ref);

/* probe.c */
void ping(struct step *s, enum peer_slot slot, uint16_t size);
void ping_all(struct step *s);
void forget_pings(struct path *p);
bool path_is_mute(const struct step *s, const struct path *p);
void take_pong(struct step *s, enum peer_slot slot);
void take_counts(struct step *s, enum peer_slot slot);
void probe(struct step *s); /* pings and hellos that are due */
unsigned loss_permille(const struct peer_machine *m, const struct path *p);
uint64_t patience(const struct peer_machine *m,
		  const struct path *p); /* how long three pings may stay unanswered */

/* watcher.c */
void watch_arm(struct step *s);
void report_wanted(struct step *s);
void watch_force(struct step *s);
void watch(struct step *s);
void watch_explain(const struct peer_machine *m, char out[PEER_NOTE_MAX]);

/* mtu.c */
void mtu_begin(struct step *s, enum peer_slot slot);
void mtu_pong(struct step *s, enum peer_slot slot, uint16_t size);
void mtu_run(struct step *s);
void mtu_restart(struct step *s, enum peer_slot slot);
void mtu_doubt(struct step *s, enum peer_slot slot);
bool mtu_searching(const struct peer_machine *m, enum peer_slot slot);

/* session.c */
void rotate(struct step *s, enum signal_reason why);
void tunnel_timed_out(struct step *s); /* I4 */
void agent_stop(struct step *s, enum peer_slot slot);
void agents_stop_all(struct step *s);
void ice_soon(struct step *s, enum signal_reason why, uint64_t delay);
void agent_offer(struct step *s, enum signal_reason why);
void take_offer(struct step *s);
void take_answer(struct step *s);
void take_candidates(struct step *s);
void on_candidate(struct step *s);
void on_gathered(struct step *s);
void on_selected(struct step *s);
void on_ice_failed(struct step *s);
void sessions(struct step *s);
bool agent_busy(const struct peer_machine *m); /* one is being negotiated */

/* relays.c */
void relays_start(struct step *s);
void relays_stop(struct step *s);
void relays_search(struct step *s, uint64_t delay);
void on_relay(struct step *s);
void on_presence(struct step *s);
void on_checked(struct step *s);
void on_remote_relay(struct step *s);
void relay_doubt(struct step *s, enum peer_slot slot); /* ask the server before anything else */
void relays_network(struct step *s);		       /* our addresses changed */
void relay_frame(struct step *s);		       /* a frame came in over a server that is in no slot */
struct relay *relay_find(struct peer_machine *m, uint32_t server);
bool relay_next(struct step *s, bool only_look); /* another server for the RELAY_NEXT slot */
void relays(struct step *s);

/* ladder.c */
void ladder_reset(struct step *s);
void ladder_command(struct step *s, enum peer_command c);
void ladder_take(struct step *s, enum peer_rung r); /* at once, because the user says so */
void ladder(struct step *s);
void heard_astray(struct step *s); /* something came by a way that is not in use, the old port perhaps */
void ladder_explain(const struct peer_machine *m, char out[PEER_NOTE_MAX]);

/* remote.c */
void on_frame(struct step *s);
void say_bye(struct step *s, enum signal_reason why, bool restarts);
void remote_returned(struct step *s);

/* table.c */
void table_step(struct step *s);

#endif
