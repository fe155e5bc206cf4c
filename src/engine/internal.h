/* What the files of the engine share; no other room includes it. */
#ifndef WEIR_ENGINE_INTERNAL_H
#define WEIR_ENGINE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/resolve.h"
#include "engine/channel.h"
#include "engine/engine.h"
#include "engine/worker.h"
#include "net/netlink.h"
#include "net/tun.h"
#include "net/udp.h"

#define TIMELINE_MAX	48 /* events kept per peer */
#define SERVICE_BUDGET	32 /* initiations per turn of the loop: 32 take about 5 ms */
#define HANDSHAKE_BATCH 32 /* handshake messages per turn */

struct timeline_record {
	uint64_t at_boot, at_wall, sequence;
	const char *kind;
	char *text; /* owned */
	enum log_level level;
};

struct timeline {
	struct timeline_record *ring; /* grows to TIMELINE_MAX */
	unsigned count, room, next;
};

struct persist;
struct trouble;
struct diagnosis_desk;
struct signal_report;
struct paths;
struct peer_look;
struct peer_paths;

struct engine_peer {
	struct list link;
	struct engine *engine;
	struct wg_peer *wg;
	char name[PEER_NAME_MAX];
	char short_key[9];
	enum endpoint_origin origin;
	union address configured; /* numeric endpoint of the configuration, else AF_UNSPEC */
	struct timeline timeline;

	/* endpoint name */
	char *host, *port;
	struct resolve_query *query;
	char *resolve_error;
	unsigned resolve_tries;
	struct heap_node resolve_due; /* in engine.names while a look-up is to come */
	union address resolved;	      /* last answer */
	uint64_t resolved_last;	      /* boot ns of the last answer, 0: none */

	/* list word */
	struct list watch; /* in engine.watched while the word can change by time alone */
	enum peer_word word;
	uint64_t word_since;

	/* counters at the last completed handshake */
	uint64_t base_handshake, base_sent, base_given_up, base_received, base_rejected, base_timestamps;
	uint64_t base_heard, base_path; /* last_received and the chosen path as of the last look; while stuck, before */
	uint64_t base_passed;		/* packets of the tunnel that had come by then */
	bool stuck;			/* as of the last look */
	uint64_t base_cookies, base_failures, base_data, base_inner;

	/* diagnosis.c: all counters then, as their low halves */
	uint32_t base_counters[WG_COUNTERS];
	uint64_t heard_initiation; /* boot ns of its last valid one */
	struct trouble *trouble;   /* NULL: it is well, and nobody looks */

	bool handshake_wanted;	  /* a new endpoint: begin in the next turn */
	uint8_t mode;		  /* enum peer_mode */
	char *relay;		  /* where it is looked for first, or NULL */
	struct peer_paths *paths; /* its controller and ways; NULL: plain, or the device was never up */
	atomic_bool source_lost; /* [worker] the kernel refused its source address */
	atomic_int send_error;	 /* [worker] errno of the last datagram that the kernel did not send */

	atomic_bool traffic;	       /* [worker] data goes out; cleared by control when it wants to hear of more */
	atomic_bool direct_arrived;    /* [worker] as a channel's arrived, for the device's sockets */
	atomic_bool has_news;	       /* [worker] it is in engine.news, or being put there */
	struct engine_peer *news_next; /* whose has_news was set last before, in engine.news */
	_Atomic uint32_t direct_generation; /* for the tap: the controller's, of the path by the device's sockets; 0: none */
	_Atomic uint16_t inner_limit;  /* largest inner packet for the chosen path, 0: no less than the device's MTU */
	_Atomic uint64_t too_big_told; /* [worker] boot ns of the last ICMP about that */
	struct path_counts direct;     /* [worker] by the device's sockets; last, for its cache lines */
};

struct engine {
	struct loop *loop;
	struct engine_options options;
	struct wg_device *wg;
	struct tun tun;
	struct udp udp;
	bool udp_open, up, follow, gone;
	uint16_t port;
	_Atomic uint32_t fwmark; /* [worker] the tap asks for routes with it */
	int mtu, ifindex;
	uint64_t started_boot, started_wall;

	struct worker *workers[UDP_SOCKETS_MAX];
	unsigned worker_count;
	unsigned next_ring; /* the handshake ring to serve next */
	int wake_fd;	    /* eventfd: workers to control */
	atomic_bool woken;
	atomic_bool any_source_lost, tun_failed;
	_Atomic(struct engine_peer *) news; /* [worker] peers with traffic, direct_arrived, or a channel's arrived */
	struct channel_table *channels;
	/* Set by the control side of paths; NULL: nobody listens. relay_send is relay_pool_send. */
	void (*on_frame)(struct engine *g, const struct endpoint *from, uint8_t *frame, size_t len);
	void (*on_path_news)(struct engine *g, struct engine_peer *p);
	int (*relay_send)(struct relay_pool *p, uint32_t server, const struct relay_id *to, const void *data, size_t len,
			  size_t segment);
	struct loop_fd *wake_watch;
	struct loop_timer *timer; /* protocol deadline, reclaim, names, words */
	uint64_t words_due;
	struct heap names; /* peers by the time of their next look-up */
	bool wanted; /* some peer has handshake_wanted */

	struct list peers;
	struct list watched;
	size_t peer_count;
	struct resolver *resolver;
	struct persist *persist;
	uint64_t persist_due;

	struct tap *tap;
	struct tap_switch *tapped; /* of the tap: what the hooks look at */
	struct taps *taps;
	pthread_t control_thread;

	struct paths *paths;
	struct diagnosis_desk *desk;
	struct netlink *netlink;
	struct netlink_monitor *monitor;
	struct loop_fd *monitor_watch;
	struct loop_timer *link_timer;
	bool link_away;	    /* the device lives in another network namespace */
	bool sources_stale; /* our addresses or routes changed: forget sticky sources soon */

	void (*on_gone)(void *arg, const char *why);
	void *on_gone_arg;

	struct engine_observer *observers;
	struct timeline timeline;
	uint64_t event_sequence;
	uint64_t removed_rx, removed_tx; /* bytes of peers that are gone */
	counter_t tun_rx_packets, tun_tx_packets, tun_write_errors;
};

/* engine.c: asks for a turn of service soon (coalesced); to be called after every change. */
void engine_kick(struct engine *g);

/* peers.c */
struct engine_peer *peer_of(struct wg_peer *wg);
void peer_point_at(struct engine_peer *p, const union address *a, enum endpoint_origin origin);

/* names.c */
void names_forget(struct engine_peer *p);
void names_silent(struct engine_peer *p, uint64_t now); /* the tunnel has gone silent: look again */
uint64_t names_service(struct engine *g, uint64_t now); /* next due, 0: none */

/* timeline.c */
void timeline_wg_event(struct engine *g, struct engine_peer *p, const struct wg_event *ev);
void timeline_clear(struct timeline *t);
const char *timeline_label(struct engine_peer *p); /* its name, or the start of its key */

/* view.c */
void word_look(struct engine_peer *p, struct wg_peer_view *wg, struct peer_facts *facts, struct peer_state *state,
	       uint64_t now);
void word_update(struct engine_peer *p, uint64_t now);
void words_update(struct engine *g); /* the device went up or down: all of them */
void words_service(struct engine *g, uint64_t now);

/* persist.c: floor and endpoints in state_dir/IFACE.state, written by a thread of its own. */
struct persist *persist_open(const char *folder, const char *ifname);
void persist_close(struct persist *s); /* waits for the last write */
uint64_t persist_floor(const struct persist *s);
bool persist_endpoint(const struct persist *s, const struct key *public_key, union address *out);
void persist_set_floor(struct persist *s, uint64_t floor_ns);
void persist_save(struct persist *s, struct engine *g);

/* paths.c: the controllers of peers that are not plain. */
void paths_open(struct engine *g);
void paths_close(struct engine *g);
void paths_up(struct engine *g);
void paths_stop(struct engine *g); /* the last words, while the sockets are open */
void paths_down(struct engine *g); /* after the workers */
void paths_add(struct engine_peer *p);	  /* if the device is up and the peer not plain */
void paths_remove(struct engine_peer *p);
void paths_settings_changed(struct engine *g);

/* paths_events.c */
bool paths_take_endpoint(struct engine_peer *p, const union address *a); /* true: the tunnel shall use it now */
struct endpoint paths_direct(struct engine_peer *p);	/* where the peer is without relay and ICE */
bool paths_direct_chosen(struct engine_peer *p);
void paths_forget_source(struct engine_peer *p);
void paths_wg_event(struct engine_peer *p, const struct wg_event *ev);
void paths_network_changed(struct engine *g);
void paths_mark_changed(struct engine *g);
void paths_turn(struct engine *g); /* events that came up in this turn */
void paths_command(struct engine_peer *p, int command); /* enum peer_command */

/* paths_view.c */
void paths_word_facts(struct engine_peer *p, struct peer_facts *f);

void paths_glance(struct engine_peer *p, struct peer_look *out); /* untouched without a controller */

/* diagnosis.c */
void diagnosis_event(struct engine_peer *p, const struct wg_event *ev);
void diagnosis_word(struct engine_peer *p, const struct peer_facts *f, const struct peer_state *s, uint64_t now);
void diagnosis_reason(const struct engine_peer *p, struct peer_state *s);
void diagnosis_remote_restarted(struct engine_peer *p, uint64_t now);
void diagnosis_report_came(struct engine_peer *p, const struct signal_report *after, const struct signal_report *before,
			   uint64_t before_at); /* NULL: the first */
void diagnosis_forget(struct engine_peer *p);
void diagnosis_network_changed(struct engine *g);
uint64_t diagnosis_service(struct engine *g, uint64_t now); /* when it is due again */

/* link.c */
int link_open(struct engine *g, struct error *e);
void link_close(struct engine *g);

#endif
