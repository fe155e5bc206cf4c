/*
 * The simulator: two to five engines with real peer controllers (src/peer), relay servers, NATs and a hostile
 * network under virtual time. Everything random comes from one seed, so a schedule that fails is repeated by
 * its number. WireGuard, ICE and the relay are models: they keep the timers and the habits that the
 * controller depends on.
 */
#ifndef WEIR_TESTS_SIM_H
#define WEIR_TESTS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/path.h"
#include "peer/peer.h"
#include "signal/signal.h"

#define MS(n)	   ((uint64_t)(n)*1000000ull)
#define SECONDS(n) ((uint64_t)(n)*1000000000ull)

#define NODES_MAX   5
#define SERVERS_MAX 3
#define AGENTS_MAX  6
#define MAIN_PORT   51820
#define STUN_PORT   3478
#define TURN_HOST   400 /* of the relayed addresses of node 0; the next ones' are above */

struct world;
struct node;
struct remote;
struct stream;
struct server;

/* ---- world.c: virtual time ---- */

struct event {
	uint64_t at, order;
	void (*run)(struct world *w, const struct event *e);
	void *subject;
	uint64_t a, b, c;
};

void world_at(struct world *w, uint64_t at, void (*run)(struct world *, const struct event *), void *subject,
	      uint64_t a, uint64_t b, uint64_t c);
void world_run(struct world *w, uint64_t until); /* stops early when an invariant broke */
uint64_t random_u64(struct world *w);
uint64_t random_below(struct world *w, uint64_t limit);
uint64_t random_between(struct world *w, uint64_t low, uint64_t high);
bool chance(struct world *w, unsigned per_mille);
void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Keeps the first breach; the schedule ends there. */
void world_fail(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- packets ---- */

struct place {
	uint32_t host; /* 0: none */
	uint16_t port;
	bool turned; /* by way of our own allocation at a TURN server */
};

enum payload { INITIATION, RESPONSE, DATA, FRAME, STUN_ASK, STUN_REPLY, CHECK, CHECK_REPLY };

struct message {
	unsigned users;
	struct message *next_free;
	struct signal_message m;
};

struct packet {
	struct packet *next_free;
	enum payload kind;
	uint8_t from, to; /* nodes: whose static key made it, and for whose it is */
	uint16_t size;
	bool whole; /* don't fragment */
	struct place source, target;
	uint64_t key;	 /* handshake or keypair; ICE: the agent meant */
	uint64_t number; /* initiation: timestamp; data: counter; ICE and STUN: transaction */
	uint64_t psk;
	bool keepalive, nominate;
	uint32_t application; /* 0: nothing; else the number of a request, its answer has the high bit */
	uint64_t maker;	      /* ICE: the agent that sent it */
	struct place mapped;
	struct message *message; /* FRAME */
};

struct packet *packet_new(struct world *w, enum payload kind, unsigned from, unsigned to, unsigned size);
struct packet *packet_copy(struct world *w, const struct packet *p);
void packet_free(struct world *w, struct packet *p);
struct message *message_new(struct world *w);
void message_drop(struct world *w, struct message *m);

/* ---- network.c ---- */

/* How datagrams fare from one node to another. */
struct way {
	unsigned loss, doubled, late; /* per mille */
	uint64_t delay, jitter, lateness;
	bool blocked, no_wireguard, no_initiations;
	bool no_candidates; /* those of its offers and answers are lost */
	unsigned no_stun; /* per mille of ICE checks lost */
	unsigned limit;	  /* larger datagrams vanish, 0: none */
};

void udp_send(struct world *w, struct node *n, uint16_t port, struct place to, struct packet *p);
bool node_reaches(const struct world *w, unsigned node, unsigned server); /* TCP packets pass */

/* ---- nat.c ---- */

enum nat_kind { NAT_NONE, NAT_INDEPENDENT, NAT_ADDRESS, NAT_PORT, NAT_SYMMETRIC, NAT_KINDS };
const char *nat_kind_name(enum nat_kind k);

#define MAPPINGS_MAX 64
#define ALLOWED_MAX  12

struct mapping {
	uint32_t inner_host;
	uint16_t inner_port, outer_port;
	struct place target; /* SYMMETRIC */
	uint64_t used;
	struct place allowed[ALLOWED_MAX];
	unsigned allowed_next;
};

struct nat {
	enum nat_kind kind;
	uint32_t host; /* public address now */
	bool hairpin;
	uint64_t expiry;
	unsigned count;
	struct mapping mappings[MAPPINGS_MAX];
};

bool nat_out(struct world *w, struct nat *t, struct place *source, const struct place *target);
bool nat_in(struct world *w, struct nat *t, const struct place *source, struct place *target);
void nat_flush(struct nat *t);

/* ---- relay.c: the server, and TCP streams to it ---- */

enum item_kind {
	ITEM_LOGIN,
	ITEM_WELCOME,
	ITEM_REFUSED,
	ITEM_TRANSPORT,
	ITEM_SUBSCRIBE,
	ITEM_ONLINE,
	ITEM_OFFLINE,
	ITEM_PING,
	ITEM_PONG,
	ITEM_HEALTH,
	ITEM_HEALTHY,
	ITEM_CLOSE,
};

struct item {
	uint64_t ready;
	enum item_kind kind;
	unsigned peer; /* to or from whom */
	uint64_t number;
	struct packet *packet;
};

#define STREAM_ROOM 96

struct stream_way {
	struct item items[STREAM_ROOM];
	unsigned head, count;
	uint64_t last_ready, retry; /* retry: retransmission timeout now */
	bool pumping;
};

/* A TCP connection with all above it. Both ends let go of it before its place is used again. */
struct stream {
	bool used, client, server; /* which ends still hold it */
	bool dead;		   /* its packets reach nobody any more: address gone, mapping lost */
	uint64_t id;
	unsigned node, number; /* of the server */
	struct stream_way up, down;
	uint64_t last_heard; /* by the server */
};

#define STREAMS_MAX 96

struct server {
	bool listening, absent; /* absent: not even a reset comes back */
	uint32_t host;
	uint64_t incarnation;
	struct stream *session[NODES_MAX];
	bool subscribed[NODES_MAX][NODES_MAX]; /* [who][whom] */
	bool refuses[NODES_MAX];	       /* token expired or wrong */
	bool disorder;			       /* presence: "online" overtakes "offline" (F34) */
	bool slow[NODES_MAX];		       /* that client does not read */
	bool deaf_to[NODES_MAX];	       /* datagrams of that client are lost in it */
	bool deaf;			       /* datagrams are lost in it */
	uint64_t delay;
	unsigned resets; /* connections that clients closed or reopened while both ends were well */
};

void stream_send(struct world *w, struct stream *s, bool up, struct item item);
struct stream *stream_open(struct world *w, unsigned node, unsigned server);
void stream_leave(struct world *w, struct stream *s); /* the client lets go */
void server_start(struct world *w, unsigned server);
void server_stop(struct world *w, unsigned server, bool silently);
/* Throws the node's session out, as a login of another engine with its key does. */
void server_kick(struct world *w, unsigned server, unsigned node);
void streams_die(struct world *w, unsigned node, unsigned server); /* server SERVERS_MAX: all */

/* ---- pool.c: the relay client of one node ---- */

enum line_state { LINE_IDLE, LINE_WAITING, LINE_DIALLING, LINE_LOGGING_IN, LINE_UP };

struct line {
	enum line_state state;
	uint32_t generation;
	unsigned failures, slow, holders, turn; /* slow: tries in a row without an answer; turn: of the state,
						   so that late events are known */
	bool refused, checking;
	uint64_t check, last_heard, dialled, since;
	struct stream *stream;
	bool online[NODES_MAX];
};

void pool_start(struct world *w, struct node *n);
void pool_stop(struct world *w, struct node *n);
void pool_hold(struct world *w, struct node *n, unsigned server, unsigned peer);
void pool_release(struct world *w, struct node *n, unsigned server, unsigned peer);
void pool_check(struct world *w, struct node *n, unsigned server);
void pool_reopen(struct world *w, struct node *n, unsigned server, uint32_t generation);
/* The engine was given another token by a reload: dialled again with it. */
void pool_new_token(struct world *w, struct node *n, unsigned server);
void pool_network_changed(struct world *w, struct node *n);
bool pool_send(struct world *w, struct node *n, unsigned server, struct packet *p); /* takes the packet */
/* called by streams */
void pool_take(struct world *w, struct node *n, struct stream *s, const struct item *item);
void pool_closed(struct world *w, struct node *n, struct stream *s);

/* ---- wireguard.c: one end of a tunnel ---- */

struct keypair {
	uint64_t id, birth;
	bool initiator;
	uint64_t newest, window; /* replay */
};

struct tunnel {
	struct keypair current, previous, next;
	uint64_t handshake, handshake_at; /* the initiation that is outstanding */
	unsigned attempt;
	uint64_t attempt_began, last_initiation, newest_stamp, last_answer;
	unsigned staged;
	uint32_t staged_application;
	uint64_t last_received, last_sent, last_handshake, unanswered_since;
	uint64_t sent, received, counter;
	uint64_t keepalive_due, persistent;  /* persistent: interval, 0: none */
	uint64_t psk, unknown_told, planned; /* planned: a handshake that has to wait for its turn */
	uint64_t ordered;		     /* the same, by the controller's order */
	unsigned timeouts, handshakes;
};

void tunnel_send(struct world *w, struct remote *r, uint32_t application);
void tunnel_receive(struct world *w, struct remote *r, const struct packet *p,
		    const struct peer_path_ref *path);
void tunnel_keepalive(struct world *w, struct remote *r, const struct peer_path_ref *path);
void tunnel_initiate(struct world *w, struct remote *r);
void tunnel_order(struct world *w, struct remote *r); /* the controller's HANDSHAKE */
void tunnel_start(struct world *w, struct remote *r);
void tunnel_drain(struct world *w, struct remote *r);
bool tunnel_usable(const struct world *w, const struct remote *r);

/* ---- agent.c: ICE ---- */

#define PAIRS_MAX 12

enum candidate_type { HOST_CANDIDATE, REFLEXIVE_CANDIDATE, PEER_CANDIDATE, RELAYED_CANDIDATE };

struct pair {
	struct place target;
	enum candidate_type type;
	bool succeeded, nominated, failed;
	unsigned tries;
	uint64_t transaction, sent_at;
};

struct agent {
	uint64_t id; /* 0: free place; unique in the world */
	uint32_t generation;
	uint8_t session[SIGNAL_SESSION_LEN];
	bool controlling, gathered, selected, failed;
	uint16_t port;
	struct place local[3];
	enum candidate_type local_type[3];
	unsigned locals;
	uint64_t other; /* the remote's agent, by its credentials */
	struct pair pairs[PAIRS_MAX];
	unsigned count, chosen;
	struct place data_target; /* roams with the tunnel's packets */
	uint64_t stun_transaction, started;
	unsigned stun_tries;
};

void ice_start(struct world *w, struct remote *r, uint32_t generation, const uint8_t *session);
void ice_stop(struct world *w, struct remote *r, uint32_t generation);
struct agent *ice_find(struct remote *r, uint32_t generation);
void ice_set_remote(struct world *w, struct remote *r, struct agent *a, const struct signal_message *m);
void ice_add_candidates(struct world *w, struct remote *r, struct agent *a, const struct signal_message *m);
void ice_describe(const struct agent *a, struct signal_message *m, unsigned first, unsigned count);
void ice_receive(struct world *w, struct remote *r, struct agent *a, const struct packet *p);

/* ---- node.c: an engine ---- */

struct counts {
	uint64_t last_received, last_sent, received, sent;
	bool arrived;
};

struct guard {
	uint64_t boot, started, newest, window[4];
};

/* What the invariants remember of one machine. */
struct witness {
	uint64_t offers[32];
	unsigned offer_count;
	uint64_t offers_from; /* budget refilled: network event or key press */
	bool other_cause;     /* something else happened since, which an offer may name instead */
	bool rotate;	      /* the tunnel timed out: next offer has another session, and says why */
	uint8_t dead_session[SIGNAL_SESSION_LEN];
	uint64_t restarted_at; /* a remote that was known has a new boot: handshake due */
	uint64_t steps_from;
	unsigned steps, timers_now;
	uint64_t timer_now;
	uint64_t check_answered[SERVERS_MAX];
	uint64_t heard_on_relay[SERVERS_MAX]; /* frames and tunnel packets, by the simulator's own count */
	uint64_t network_at;
};

struct remote {
	struct node *node;
	unsigned peer;
	struct peer_machine *m;
	struct peer_settings settings;
	struct tunnel t;
	struct guard guard;
	bool endpoint_known, configured;
	struct place endpoint, configured_endpoint;
	uint32_t endpoint_generation;
	uint16_t port, heard_on; /* that we send from; that the packet at hand came to */
	struct peer_path_ref chosen,
		route; /* route: where the tunnel sends, which may be learned while nothing is chosen */
	struct counts direct, relay[SERVERS_MAX];
	struct counts ice[AGENTS_MAX];
	struct agent agents[AGENTS_MAX];
	bool held[SERVERS_MAX];
	uint32_t remote_relay;
	bool traffic;
	unsigned kept;
	struct {
		uint8_t session[SIGNAL_SESSION_LEN];
		struct message *message;
		uint64_t at;
	} keep[4];
	uint64_t timer_at;
	unsigned timer;
	struct witness witness;
	/* application: what the schedule looks at */
	uint64_t heard_at, heard, answered;
	uint64_t gap_from, longest_gap;
	unsigned chooses, agents_started, reopens;
};

struct node {
	struct world *world;
	unsigned number;
	bool up;
	uint64_t incarnation, boot, started, started_floor, stamp_floor;
	int64_t wall_offset;
	uint32_t lan_host; /* its own address; public when it has no NAT */
	struct nat *nat;
	bool down, no_udp, suspended;
	uint64_t sequence[NODES_MAX];
	uint16_t next_port;
	struct line lines[SERVERS_MAX];
	uint32_t home;
	struct remote remote[NODES_MAX];
	uint64_t woken_at;
};

void node_start(struct world *w, struct node *n, bool remembers);
void node_crash(struct world *w, struct node *n);
void node_stop(struct world *w, struct node *n, bool restarts); /* orderly: BYE */
void node_network_changed(struct world *w, struct node *n);
void node_receive(struct world *w, struct node *n, uint16_t port, struct packet *p); /* takes the packet */
void node_suspend(struct world *w, struct node *n, uint64_t duration);
void remote_command(struct world *w, struct remote *r, enum peer_command c);

/* Steps the machine, now or (from within a step) right after. message is kept as long as needed. */
void remote_event(struct world *w, struct remote *r, const struct peer_event *ev, struct message *message,
		  const struct place *source);
void remote_news(struct world *w, struct remote *r, enum peer_event_type type,
		 const struct peer_path_ref *path, bool up);
void remote_settings(struct world *w, struct remote *r);
void remote_take_frame(struct world *w, struct remote *r, struct packet *p, const struct peer_path_ref *path);
bool remote_send(struct world *w, struct remote *r, const struct peer_path_ref *path, const struct place *to,
		 struct packet *p); /* takes the packet */
struct counts *remote_counts(struct remote *r, const struct peer_path_ref *path);
struct remote *remote_of(struct world *w, unsigned node, unsigned peer);
void remote_facts(struct world *w, struct remote *r, struct tunnel_facts *f);
void remote_perform(struct world *w, struct remote *r, const struct peer_action *a,
		    const struct peer_event *ev, const struct place *source);
char node_letter(unsigned node);
void remote_refresh_timer(struct world *w, struct remote *r);

/* ---- invariants.c ---- */

/* Of an agent that was stopped, or of a connection that another has replaced. */
bool event_is_stale(const struct remote *r, const struct peer_event *ev);
bool event_negotiates(const struct peer_event *ev); /* an offer, or what belongs to one */
void invariants_before(struct world *w, struct remote *r, const struct peer_event *ev,
		       const struct tunnel_facts *f);
void invariants_after(struct world *w, struct remote *r, const struct peer_event *ev,
		      const struct tunnel_facts *f, const struct peer_actions *out);

/* ---- traffic.c ---- */

enum pattern { TRAFFIC_NONE, TRAFFIC_BOTH, TRAFFIC_ONE_WAY, TRAFFIC_REQUESTS, TRAFFIC_PATTERNS };
const char *pattern_name(enum pattern p);
void traffic_set(struct world *w, unsigned a, unsigned b, enum pattern p);
void traffic_heard(struct world *w, struct remote *r, uint32_t application);
/* Did payload come through since `since`, wherever the pattern wants it? */
bool traffic_flows(const struct world *w, unsigned a, unsigned b, uint64_t since);

/* ---- chaos.c, scenarios.c ---- */

struct flow {
	enum pattern pattern;
	unsigned turn;
	uint32_t request;
};

struct result {
	bool failed;
	uint64_t recovered; /* ns, of the scenario's own measure; UINT64_MAX: none */
	uint64_t healed;    /* chaos: ns until the tunnel was up after everything healed */
	uint64_t standby; /* chaos: outage when the path in use died and another lived; UINT64_MAX: not tried
			   */
	char evidence[PEER_NOTE_MAX];
	char failure[512];
};

struct world {
	uint64_t now, seed, order;
	uint64_t random[4];
	bool verbose, failed;
	char failure[400];
	struct event *events;
	size_t event_count, event_room;
	unsigned nodes, servers;
	struct node node[NODES_MAX];
	struct nat nat[NODES_MAX];
	struct server server[SERVERS_MAX];
	bool cut[NODES_MAX][SERVERS_MAX];
	struct way way[NODES_MAX][NODES_MAX];
	struct stream streams[STREAMS_MAX];
	struct flow flow[NODES_MAX][NODES_MAX];
	unsigned late_callbacks; /* per mille of agents and relays whose callbacks come after their end */
	bool ice, turn;		 /* turn: there is a TURN server, and everybody may use it */
	uint64_t next_id;
	struct packet *free_packets;
	struct message *free_messages;
	/* evidence: the first telling note since the fault */
	uint64_t fault_at;
	char evidence[PEER_NOTE_MAX];
	const char *evidence_kind;
	uint64_t steps, packets;
	/* events that wait for the running step */
	bool stepping, ahead; /* ahead: a timer's step that the machine did not ask for */
	unsigned pending_count;
};

struct world *world_new(uint64_t seed, unsigned nodes, unsigned servers, bool verbose);
void world_free(struct world *w);
/* Topology by hand, or random; then start everything. */
void world_nat(struct world *w, unsigned node, enum nat_kind kind, bool shared);
void world_start(struct world *w);
void world_fault(struct world *w, const char *what); /* marks the time, for evidence */
/* Runs until payload flows between a and b, sent after now; ns, or UINT64_MAX when `limit` has passed. */
uint64_t world_until_flows(struct world *w, unsigned a, unsigned b, uint64_t limit);

int verdicts_run(void); /* verdicts.c: rows of a table; 1: one did not come */
void chaos_run(uint64_t seed, unsigned peers, bool verbose, struct result *out);

struct scenario {
	const char *id, *what;
	uint64_t bound; /* ns of virtual time within which it recovers */
	void (*run)(struct world *w, struct result *out);
	unsigned nodes, servers;
};
const struct scenario *scenario_at(size_t i); /* NULL: there are no more */
const struct scenario *scenario_find(const char *id);
void scenario_run(const struct scenario *s, uint64_t seed, bool verbose, struct result *out);

#endif
