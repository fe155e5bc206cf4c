/*
 * The peer controller: a pure state machine that decides which path a peer's tunnel uses, when a path is dead, when an ICE
 * session starts over, which relay is used, and what is tried next when nothing works.
 *
 * peer_step(machine, event, facts, now) -> actions. No I/O, no clock, no allocation; the same inputs give the same
 * outputs (its jitter and its session ids come from the seed). The engine performs the actions in their order, in the
 * control thread, before the next step; the simulator (tests/sim) does the same with a hostile network.
 *
 * Everything asynchronous carries a generation: a result of an older one changes nothing but a counter (I1).
 */
#ifndef WEIR_PEER_PEER_H
#define WEIR_PEER_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "signal/signal.h" /* message types only: the machine never seals */

struct peer_machine;

/* ---- names of paths ---- */

/* kind DIRECT: id 0, generation of the endpoint (set, cleared or given a fresh port: a new one; roaming keeps it).
 * kind ICE (TURN pairs too): id 0, generation of the agent. kind RELAY: id = server number in the pool, generation of the
 * connection to it. */
struct peer_path_ref {
	enum path_kind kind;
	uint32_t id, generation;
};

/* The places that a path can have. NEXT ones are built beside the working one and take over when proven (I2, I3). */
enum peer_slot { PEER_DIRECT, PEER_ICE, PEER_ICE_NEXT, PEER_RELAY, PEER_RELAY_NEXT, PEER_SLOTS };
#define PEER_NO_SLOT PEER_SLOTS
const char *peer_slot_name(enum peer_slot s); /* "direct", "ice", "ice-next", "relay", "relay-next" */

/* ---- settings ---- */

enum peer_mode { PEER_AUTO, PEER_PLAIN, PEER_RELAY_ONLY }; /* [Peer] Mode =; a plain peer has no frames, relay or ICE */
const char *peer_mode_name(enum peer_mode m);		    /* "auto", "plain", "relay-only" */

#define PEER_RELAYS_MAX 4 /* servers that one peer may be looked for at */
#define PEER_NO_SERVER	UINT32_MAX

struct peer_settings {
	enum peer_mode mode;
	bool controlling; /* our base64 public key is the larger one */
	bool ice;	  /* ICE may be used (it is not without any signalling path) */
	uint32_t servers[PEER_RELAYS_MAX]; /* ours, the peer's configured one first; rest PEER_NO_SERVER */
	uint32_t home;	  /* our home relay now, PEER_NO_SERVER */
	uint16_t full_size; /* UDP payload of a full inner packet (TUN MTU + 32): what a path should carry; 0: not tried */
};

/* ---- what comes in ---- */

enum peer_command {
	PEER_ROTATE,	   /* S: new session id, ICE anew */
	PEER_RESET,	   /* E: forget endpoint and source, handshake now */
	PEER_PROBE,	   /* p: ping every path now, retry direct now */
	PEER_PREFER_RELAY, /* f: send by the relay as long as it is up */
	PEER_FORCE_RELAY,  /* only by the relay */
	PEER_PREFER_AUTO,  /* best path again */
	PEER_LADDER_NOW,   /* take the next rung */
	PEER_LADDER_SKIP,  /* pass over it */
	PEER_LADDER_HOLD,  /* no rung until told */
	PEER_FRESH_PORT,   /* the rung of that name at once, whatever the ladder is at: a port of its own */
	PEER_REOPEN_RELAY, /* the rung of that name at once: the relay in use is dialled anew */
	PEER_DRAIN,	   /* keys were dropped by us: tell the peer (BYE, drain) */
	PEER_HANDSHAKE,	   /* h */
	PEER_LADDER_RESUME, /* go on after a hold */
	PEER_LOOK,	   /* somebody looks: ask the remote what it counts (at most every 5 s) */
};

enum peer_event_type {
	PEER_EV_START,	     /* the device is up */
	PEER_EV_STOP,	     /* it goes down; restarts: will be back at once */
	PEER_EV_TIMER,	     /* peer_deadline has come; may also be sent at any other time: it only means "look" */
	PEER_EV_SETTINGS,    /* settings changed; settings */
	PEER_EV_ENDPOINT,    /* direct endpoint set or cleared, by configuration, name or persisted state; known */
	PEER_EV_ROAMED,	     /* an authenticated packet came from a new address; path: on which path */
	PEER_EV_ARRIVED,     /* tunnel packets come in on a path other than the one in use; path. Again as long as it
			      * goes on (a few times a second is enough): the machine looks at the facts for how long */
	PEER_EV_TRAFFIC,     /* data begins to flow out after a pause: the watcher has to look again */
	PEER_EV_HANDSHAKE,   /* a WireGuard handshake was completed; path: on which path */
	PEER_EV_TUNNEL_TIMEOUT, /* WireGuard gave up waiting: data unanswered for 15 s, or 90 s of initiations */
	PEER_EV_FRAME,	     /* message, path (on which it came), new_boot */
	PEER_EV_RELAY,	     /* path.id = server, path.generation; up; same_as_remote: it is the remote's home */
	PEER_EV_PRESENCE,    /* path.id, path.generation; up: the peer is online there */
	PEER_EV_RELAY_CHECKED, /* path.id, path.generation; up: it answered */
	PEER_EV_REMOTE_RELAY, /* the remote named its home relay (HELLO, OFFER...): path.id is its number in the pool */
	PEER_EV_ICE_CANDIDATE, /* path.generation: one more local candidate; count: how many now */
	PEER_EV_ICE_GATHERED,
	PEER_EV_ICE_SELECTED, /* data can flow; turn: the pair has a TURN candidate */
	PEER_EV_ICE_FAILED,   /* libnice says so (a hint), or the agent could not be made */
	PEER_EV_NETWORK,      /* our addresses, routes or links changed, or we were suspended */
	PEER_EV_COMMAND,      /* command */
	PEER_EVENTS
};
const char *peer_event_name(enum peer_event_type t); /* "frame" */

struct peer_event {
	enum peer_event_type type;
	struct peer_path_ref path;
	bool up, known, turn, restarts, new_boot;
	unsigned count;
	enum peer_command command;
	const struct peer_settings *settings;
	const struct signal_message *message; /* FRAME: opened and replay-guarded already */
};

/* What the tunnel and its packets look like now; gathered for each step. Times are boot ns, 0: never. */
struct tunnel_path_facts {
	struct peer_path_ref ref; /* kind NONE: unused entry */
	uint64_t last_received;	  /* authenticated WireGuard packet on this path */
	uint64_t last_sent;	  /* WireGuard packet on this path */
	uint64_t received, sent;  /* packets */
};

struct tunnel_facts {
	bool device_up;
	bool usable;	    /* a confirmed keypair that may seal */
	unsigned attempt;   /* tries of the running handshake, 0: none */
	uint64_t last_received, last_sent, last_handshake;
	uint64_t unanswered_since; /* first data sent since anything authenticated came in, 0: all answered */
	uint64_t sent, received;   /* WireGuard data packets and keepalives */
	bool wants; /* packets are staged, or a keepalive is configured: somebody needs this tunnel */
	bool shared_socket_works; /* other peers on our main UDP socket hear theirs: then it is this peer's flow that is stuck
				   * (a NAT mapping, a conntrack entry), and a port of its own is worth a try */
	struct tunnel_path_facts paths[PEER_SLOTS];
};

/* ---- what goes out ---- */

enum peer_action_type {
	PEER_ACT_SEND,		/* a frame: see below */
	PEER_ACT_CHOOSE,	/* the tunnel sends on `path` from now on (kind NONE: on nothing) */
	PEER_ACT_KEEPALIVE,	/* one WireGuard keepalive on `path`, whatever is chosen: proves the tunnel there */
	PEER_ACT_HANDSHAKE,	/* begin a WireGuard handshake now, on the chosen path (reason) */
	PEER_ACT_DRAIN,		/* drop all keypairs: the remote cannot use them any more (reason) */
	PEER_ACT_RESET_ENDPOINT, /* direct: forget source address and what was learned; back to configuration or name */
	PEER_ACT_FRESH_PORT,	/* direct: send from a new UDP port of this peer's own. After this and RESET_ENDPOINT the owner
				 * gives the path a new generation and says so with PEER_EV_ENDPOINT */
	PEER_ACT_AGENT_START,	/* a new ICE agent: path.generation, session; controlling is settings' */
	PEER_ACT_AGENT_REMOTE,	/* give it the credentials and candidates of the frame at hand (FRAME only) and those kept */
	PEER_ACT_AGENT_CANDIDATES, /* give it the candidates of the frame at hand (END: there will be no more) */
	PEER_ACT_KEEP_CANDIDATES,  /* session not known yet: keep the frame's candidates (few, for 10 s) */
	PEER_ACT_AGENT_STOP,	/* path.generation */
	PEER_ACT_RELAY_HOLD,	/* path.id: hold the server and subscribe to the peer there */
	PEER_ACT_RELAY_RELEASE,
	PEER_ACT_RELAY_CHECK,	/* path.id: is the connection alive? -> RELAY_CHECKED */
	PEER_ACT_RELAY_REOPEN,	/* path.id, path.generation: evidence says that it is dead */
	PEER_ACT_MTU,		/* path carries datagrams of `size` bytes of UDP payload, no more (0: not known) */
	PEER_ACT_NOTE,		/* a line of the timeline: why something happened, with its evidence */
	PEER_ACTIONS
};
const char *peer_action_name(enum peer_action_type t);

#define PEER_NOTE_MAX 200
struct peer_action {
	enum peer_action_type type;
	struct peer_path_ref path;
	enum signal_reason reason;

	/* SEND. The engine adds what it knows: boot, credentials and candidates of the agent named by `agent`, home relay,
	 * observed address, counts, report. */
	enum signal_type frame;
	uint8_t flags;
	bool reply;	    /* to where the frame at hand came from, else on `path` */
	uint32_t agent;	    /* OFFER, ANSWER, CANDIDATE, END: generation of our agent */
	uint8_t session[SIGNAL_SESSION_LEN];  /* ours */
	uint8_t answered[SIGNAL_SESSION_LEN]; /* theirs, ANSWER; zero: none */
	uint8_t echo[16];   /* PING, RELAY_OPEN: ours; PONG, RELAY_OPENED: theirs */
	uint16_t size;	    /* PING: pad to this and do not fragment (0: small); PONG: size seen, 0: the owner knows; MTU */
	unsigned first, count; /* CANDIDATE: of the agent's local candidates; OFFER, ANSWER: all so far */
	uint32_t back_in_ms; /* BYE */
	enum path_kind about; /* STALE: the kind of path that we left (goes out as SIGNAL_HAS_PATH, with the reason) */

	/* NOTE */
	enum log_level level;
	const char *kind; /* static: "path", "watcher", "ladder", "session", "relay", "ice", "remote", "mtu" */
	char text[PEER_NOTE_MAX];
};

#define PEER_ACTIONS_MAX 48
struct peer_actions {
	unsigned count;
	struct peer_action items[PEER_ACTIONS_MAX];
};

/* ---- the machine ---- */

struct peer_machine *peer_machine_new(const struct peer_settings *s, uint64_t seed, unsigned time_divisor);
void peer_machine_free(struct peer_machine *m);

/*
 * out->count is set to 0 first. `now` never goes back. AGENT_ actions name their agent by path.generation. A step that comes
 * more than 3 s after the deadline means that nobody was running: what was unanswered before is then no evidence.
 * The counts in facts.paths[] and those in PING and PONG are of the same things: WireGuard packets on that path, counted since
 * the path's generation began or from any earlier time, but never going back within a generation.
 */
void peer_step(struct peer_machine *m, const struct peer_event *ev, const struct tunnel_facts *f, uint64_t now,
	       struct peer_actions *out);
uint64_t peer_deadline(const struct peer_machine *m); /* boot ns of the next PEER_EV_TIMER, 0: none */

/* Which slot a path is in now; PEER_NO_SLOT: it is of an older generation, or unknown. */
enum peer_slot peer_find_slot(const struct peer_machine *m, const struct peer_path_ref *r);

/* ---- looking ---- */

enum peer_rung {
	PEER_RUNG_NONE,
	PEER_RUNG_HANDSHAKE, /* handshake now */
	PEER_RUNG_ENDPOINT,  /* clear source address and endpoint */
	PEER_RUNG_PATH,	     /* next pair or standby path */
	PEER_RUNG_PORT,	     /* fresh source port */
	PEER_RUNG_SESSION,   /* rotate session, restart ICE */
	PEER_RUNG_REOPEN,    /* reopen the relay */
	PEER_RUNG_RELAY,     /* next relay */
	PEER_RUNGS
};
const char *peer_rung_name(enum peer_rung r); /* "handshake" */
const char *peer_rung_text(enum peer_rung r); /* "handshake now" */

enum peer_watch { PEER_WATCH_OFF, PEER_WATCH_RESTING, PEER_WATCH_WAITING, PEER_WATCH_PROBING, PEER_WATCH_FIRED };
const char *peer_watch_name(enum peer_watch w);

struct peer_path_view {
	struct peer_path_ref ref; /* kind TURN is shown for a TURN pair */
	enum path_state state;
	uint64_t since;		/* boot ns of this state */
	uint64_t last_proof;	/* last pong, frame or tunnel packet that came in on it */
	uint64_t last_tunnel;	/* last authenticated WireGuard packet on it */
	uint64_t rtt;		/* smoothed, ns, 0: not known */
	unsigned pings, pongs;	/* of this generation */
	unsigned loss_permille; /* of the last 32 pings */
	uint16_t mtu;		/* UDP payload proven, 0: not known */
	uint16_t mtu_failed;	/* smallest size that did not get through, 0: none */
	bool peer_online;	/* relay: the server says so */
	bool filtered;		/* given up, or in doubt, because pings pass and WireGuard does not */
	uint64_t counts_at;	/* the remote's counts of this path, as its last pong told; 0: it did not */
	uint64_t far_sent, far_received;
};

/*
 * Paths by UDP on which pings pass and WireGuard does not. They come and go with their sessions; this stays until the tunnel
 * went both ways on one, or no pair is found any more.
 */
struct peer_filter {
	unsigned paths;	       /* that were found so, 0: none */
	uint64_t since, at;    /* boot ns when the first was found; when the last was, or answered a ping after that */
	uint64_t ours, theirs; /* packets that did not arrive */
};

struct peer_look {
	enum peer_slot chosen; /* PEER_NO_SLOT: none */
	uint64_t chosen_since;
	enum peer_command preference; /* PREFER_AUTO, PREFER_RELAY or FORCE_RELAY */
	struct peer_path_view paths[PEER_SLOTS];
	bool remote_is_weir;	/* it has spoken to us in frames */
	uint64_t remote_boot;
	bool remote_away;	/* it said BYE */
	uint64_t remote_back_at; /* boot ns when it expects to be back, 0: it did not say */
	uint8_t local_session[SIGNAL_SESSION_LEN], remote_session[SIGNAL_SESSION_LEN]; /* zero: none */
	uint64_t local_session_since, remote_session_since;
	enum signal_reason session_reason; /* why ours is as it is */
	uint64_t offer_next;	/* boot ns of the next offer, 0: none planned */
	unsigned offers_sent, offers_received, answers_sent, answers_received;
	bool remote_no_ice;	/* it does no ICE with us now */
	unsigned answers_astray, candidates_astray; /* to or of sessions that are not the ones at hand */
	uint64_t astray_at;
	uint8_t astray_session[SIGNAL_SESSION_LEN]; /* that the last such answer was to */
	uint64_t direct_retry_at; /* next try for a direct path while relayed, 0: none */
	uint32_t remote_relay;	/* server number of the remote's home, PEER_NO_SERVER */

	struct peer_filter filter;

	enum peer_watch watch;
	enum peer_slot watch_slot;
	uint64_t watch_fires_at; /* boot ns, 0: not counting */
	char watch_why[PEER_NOTE_MAX];

	enum peer_rung next_rung; /* NONE: nothing to recover */
	uint64_t next_rung_at;
	bool ladder_held;
	char rung_why[PEER_NOTE_MAX];
	unsigned rungs_taken[PEER_RUNGS];

	uint64_t stale_results; /* I1: results of older generations that were ignored */
	unsigned path_changes;
};
void peer_look(const struct peer_machine *m, struct peer_look *out);
void peer_glance(const struct peer_machine *m, struct peer_look *out); /* without watch_why and rung_why */

/* The table of states, events and what is done about them, for `weir debug fsm` and the man page. */
void peer_table_print(struct strbuf *out);

/* Asserts what must always hold of one machine; the text of the first breach or NULL. For the simulator and tests. */
const char *peer_check(const struct peer_machine *m);

#endif
