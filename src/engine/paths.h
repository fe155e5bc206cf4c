/*
 * Shared by the control side of paths: paths.c (controllers, events, deadlines), paths_act.c (what they
 * order), paths_view.c, frames.c, relays.c, agents.c, network.c. All of it is for the control thread, but for
 * what relays.c does in the relay pool's I/O thread.
 *
 * Events are never handled where they arise: WireGuard, libnice and the relay pool call us from the middle of
 * their own work. paths_post queues; paths_run handles what is queued, one event at a time, each with all its
 * actions.
 */
#ifndef WEIR_ENGINE_PATHS_H
#define WEIR_ENGINE_PATHS_H

#include <pthread.h>

#include "engine/channel.h"
#include "engine/internal.h"
#include "engine/nat.h"
#include "engine/network.h"
#include "engine/ways.h"

#define AGENT_CANDIDATES_MAX 32
#define KEPT_CANDIDATES_MAX  SIGNAL_CANDIDATES
#define CONTACT_WAYS_MAX     8

/* A peer at one relay server. */
struct relay_way {
	struct list link;
	struct peer_paths *paths;
	uint32_t server;
	struct channel *channel;
	bool up; /* as last told to the controller */
	uint32_t generation;
	bool held;     /* in the pool, and subscribed */
	bool checking; /* it waits for PEER_EV_RELAY_CHECKED */
};

/* What the relay's I/O thread knows of a peer; guarded by relays.lock. */
struct relay_contact {
	struct relay_id id;
	struct {
		uint32_t server, channel; /* channel 0: unused */
	} ways[CONTACT_WAYS_MAX];
	/* One message that came before its channel: the newest, for a few seconds. */
	uint8_t *early;
	size_t early_len;
	uint32_t early_server;
	uint64_t early_at;
	struct list heard; /* in relays.heard until the controller has been told */
};

/* One ICE agent of a peer. It outlives its end in `agents` until no worker uses its channels. */
struct agent_way {
	struct list link;
	struct peer_paths *paths; /* NULL: stopped */
	struct ice_agent *agent;
	uint32_t generation;
	uint8_t session[SIGNAL_SESSION_LEN];
	struct channel *callback, *fast;
	unsigned channels; /* that still call us when they are closed */
	bool selected, turn, fast_closing, rebuilt, gathered;
	struct ice_pair pair;
	char candidates[AGENT_CANDIDATES_MAX][ICE_CANDIDATE_MAX];
	unsigned candidate_count;
};

/* A socket with a source port of the peer's own. It closes itself when no worker uses it any more. */
struct fresh_port {
	struct udp udp;
	struct channel *channel;
};

/* What a weir says of itself: most of ten thousand peers may be plain, or away. */
struct remote_words {
	char version[32];
	char relay[RELAY_URL_MAX];
};

struct peer_paths {
	struct list link; /* in paths.all */
	struct engine_peer *peer;
	struct paths *paths;
	struct peer_machine *machine; /* NULL while the device is down */
	struct peer_settings settings;
	struct heap_node due;
	unsigned queued; /* events that wait */
	struct signal_pair pair;
	struct relay_contact contact;

	struct endpoint
		direct; /* AF_UNSPEC: none known. While the direct path is chosen, the tunnel's is newer. */
	uint32_t direct_generation;
	struct fresh_port *fresh;
	struct peer_path_ref chosen;
	uint16_t direct_size; /* UDP payload that it carries, 0: not known */
	struct list relays;   /* struct relay_way */
	struct list agents;   /* struct agent_way, newest last */
	uint16_t agent_size;
	uint32_t agent_size_generation;

	uint8_t kept_session[SIGNAL_SESSION_LEN];
	unsigned kept_count;
	uint64_t kept_at;
	char (*kept)[SIGNAL_CANDIDATE_MAX]; /* candidates of a session that is not known yet */

	uint64_t traffic_at; /* last PEER_EV_TRAFFIC */
	bool traffic_told;   /* of the peer's flag as it is set now */
	uint64_t ice_failed_at;
	uint64_t initiation_at;	      /* the last that was sent */
	union address observed, seen; /* where the remote sees us; where we saw its last datagram come from */
	/* A NAT that gave us another address: seen at the direct path, port and all; elsewhere the address alone. */
	union address observed_before, observed_direct;
	uint64_t observed_changed_at;
	uint8_t remote_nat;	   /* enum signal_nat, as it says */
	struct ice_survey *failed; /* of the last agent that found no pair, NULL: none yet */
	uint64_t failed_since;	   /* when it began */
	struct signal_report *report;
	uint64_t report_at;
	uint64_t frames_sent, frames_received, frames_rejected[SIGNAL_VERDICTS];
	struct remote_words *words; /* NULL: it has not spoken yet */
	struct log_limit relays_named;
};

struct queued_event {
	struct peer_paths *to; /* NULL: taken back */
	struct peer_event event;
};

/* A name whose address the ICE agents need; the last good answer stays in use. */
struct network_name {
	struct paths *paths;
	char *host, *port;
	struct resolve_query *query;
	union address address; /* AF_UNSPEC: never answered */
	bool asked;	       /* an answer, good or bad, has come */
	unsigned tries;
	uint64_t due; /* of the next look-up, 0: none planned */
};

#define NETWORK_NAMES_MAX (ENGINE_STUN_MAX + ICE_TURN_MAX)

struct frame_at_hand {
	const struct signal_message *message; /* NULL: the event is no frame */
	struct endpoint from;
	size_t len;
};

/* Of a server's status, what peers are told of. */
struct relay_told {
	bool known, home;
	enum relay_state state;
	uint32_t generation;
	char error[sizeof(((struct relay_status *)0)->error)];
};

struct relays {
	pthread_mutex_t lock;
	struct map *contacts; /* relay id to struct relay_contact */
	struct list heard;    /* contacts that spoke before their channel was there */
	atomic_bool any_heard;
};

struct paths {
	struct engine *engine;
	bool up, said_bye;
	struct engine_network network;
	uint64_t boot, started; /* of this start, for the frames */
	struct list all;
	struct map *by_pair, *by_relay_id; /* to struct peer_paths */

	struct heap due;
	struct loop_timer *timer;
	uint64_t timer_at;
	uint64_t chores_due; /* keepalives of agents, early messages, suspend */
	uint64_t suspended;  /* boot time minus monotonic time */
	struct log_limit reports_asked; /* by views */

	struct queued_event *queue;
	unsigned first, count, room; /* a ring */
	bool running;
	struct frame_at_hand hand;
	struct signal_message in, out;
	struct peer_actions actions;

	struct relay_pool *pool; /* NULL: no relay configured, or down */
	char *pool_error;
	struct relays relays;
	uint32_t home;
	struct relay_told told[RELAY_SERVERS_MAX];

	struct ice *ice;
	struct nat *nat;
	struct ways ways;
	struct network_name names[NETWORK_NAMES_MAX]; /* [Ice] Stun (or the home relay), then Turn */
	unsigned stun_names, name_count;
	uint64_t names_patience; /* ICE waits for its names until then */
	bool names_ready;	 /* it has waited */

	uint64_t shared_socket_at;
	struct engine_peer *heard_first, *heard_second; /* who was heard last on the main socket */
	uint64_t heard_first_at, heard_second_at;
	uint64_t frames_unknown;
	struct log_limit unknown_limit;
};

/* paths.c */
void paths_post(struct peer_paths *c, const struct peer_event *ev);
void paths_post_all(struct paths *s, const struct peer_event *ev);
void paths_run(struct paths *s);
bool paths_direct_allowed(const struct peer_paths *c); /* else nothing goes by the device's own sockets */
void paths_step_frame(struct peer_paths *c, const struct peer_event *ev, const struct frame_at_hand *hand);
void paths_settings(struct paths *s); /* gathers each peer's settings anew and tells those that changed */
void paths_wake_at(struct paths *s, uint64_t due);

/* paths_ref.c: which path is meant, and how datagrams get there */
struct peer_path_ref paths_ref_direct(const struct peer_paths *c);
uint32_t paths_main_generation(const struct peer_paths *c); /* of the direct path by the device's sockets */
struct peer_path_ref paths_ref_of(struct peer_paths *c, const struct endpoint *e); /* kind NONE: unknown */
struct endpoint paths_endpoint(struct peer_paths *c, const struct peer_path_ref *ref);
bool paths_counts(struct peer_paths *c, const struct peer_path_ref *ref, struct tunnel_path_facts *out);
uint64_t paths_chosen(const struct engine_peer *p); /* tells one path from another, 0: none */
enum path_kind paths_shown(struct peer_paths *c); /* kind of the chosen path; TURN told apart */
bool paths_same(const struct peer_path_ref *a, const struct peer_path_ref *b);
struct agent_way *agent_find(struct peer_paths *c, uint32_t generation);
struct relay_way *relay_way_find(struct peer_paths *c, uint32_t server);
void paths_facts(struct peer_paths *c, struct tunnel_facts *f, uint64_t now);

/* paths_act.c */
void paths_perform(struct peer_paths *c, const struct peer_actions *actions);
void paths_point(struct peer_paths *c); /* the tunnel to the chosen path, as it leads now */
void fresh_close(struct peer_paths *c);

/* frames.c */
bool frames_init(struct peer_paths *c); /* keys of the pair; false: no private key */
void frames_forget(struct peer_paths *c);
void frames_send(struct peer_paths *c, const struct peer_action *a);

/* relays.c */
void relays_open(struct paths *s);
void relays_close(struct paths *s);
void relays_options(struct paths *s, bool urls_changed);
bool relays_used(const struct paths *s); /* some are configured, and can be talked to */
void relays_rest(struct paths *s);	 /* none is configured any more */
void relays_return(struct paths *s);	 /* there are some again */
void relays_hold(struct peer_paths *c, uint32_t server);
void relays_release(struct peer_paths *c, uint32_t server);
void relays_check(struct peer_paths *c, uint32_t server);
void relays_meet(struct peer_paths *c); /* it may be heard from now on */
void relays_forget(struct peer_paths *c);
void relays_news(struct paths *s); /* in each turn of the control thread */
void relays_chores(struct paths *s, uint64_t now);

/* agents.c */
void agents_open(struct paths *s);
void agents_close(struct paths *s);
void agents_options(struct paths *s);
void agents_start(struct peer_paths *c, uint32_t generation, const uint8_t session[SIGNAL_SESSION_LEN]);
void agents_stop(struct peer_paths *c, uint32_t generation);
void agents_clear(struct peer_paths *c);
void agents_remote(struct peer_paths *c, uint32_t generation, const struct signal_message *m);
void agents_candidates(struct peer_paths *c, uint32_t generation, const struct signal_message *m);
void agents_keep(struct peer_paths *c, const struct signal_message *m);
void agents_chores(struct peer_paths *c);

/* settings.c */
void engine_network_copy(struct engine_network *to, const struct engine_network *n);
bool engine_network_same_urls(const struct engine_network *a, const struct engine_network *b);
bool engine_network_same_relay(const struct engine_network *a, const struct engine_network *b);

/* network.c */
void network_names_start(struct paths *s);
void network_names_stop(struct paths *s);
uint64_t network_names_service(struct paths *s, uint64_t now);
void network_names_again(struct paths *s); /* the network changed */
bool network_names_settled(struct paths *s, uint64_t now);

#endif
