/*
 * The engine: a WireGuard device put together. One control thread (the loop's), packet workers, a TUN device,
 * UDP sockets, endpoint names, persisted state. All functions are for the control thread and do not block.
 *
 * Setters take effect at once. They return 0 or -errno; where a struct error is taken, it says why in words.
 */
#ifndef WEIR_ENGINE_ENGINE_H
#define WEIR_ENGINE_ENGINE_H

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/key.h"
#include "base/log.h"
#include "base/loop.h"
#include "diagnose/state.h"
#include "wg/wg.h"

struct engine;
struct engine_peer;

#define PEER_NAME_MAX 32

struct engine_options {
	const char *ifname;
	int tun_fd;		/* adopt this queue instead of making a device; -1: make one */
	unsigned workers;	/* 0: one per core, at most 8 */
	bool plain_io;		/* no offloads at all: for tests and for kernels that lie */
	const char *state_dir;	/* floor and endpoints persist here; NULL: nothing persists */
	const int *raw;		/* of engine_raw_open; must outlive the engine. Or NULL */
	unsigned time_divisor;	/* tests only: protocol times divided by this; 0 or 1: real */
};

/* Two sockets that ICE needs now and then (ice/ice.h), and one by which the tap hears STUN; whoever gives up CAP_NET_RAW
 * opens them before. */
#define ENGINE_RAW 3
void engine_raw_open(int raw[ENGINE_RAW]);
void engine_raw_close(int raw[ENGINE_RAW]);

/* Makes the TUN device and the device state. Nothing is bound or sent before engine_up. */
int engine_new(struct engine **out, struct loop *loop, const struct engine_options *o, struct error *e);

/* Stops workers, closes sockets and the TUN device, frees. Does not drain: call engine_drain_all first. */
void engine_free(struct engine *g);

/*
 * Starts the workers: binds the port (0: any) and begins to move packets. Called by itself when the link goes up
 * unless engine_follow_link(false). Going up starts handshakes with every peer whose endpoint is known.
 */
int engine_up(struct engine *g, struct error *e);
void engine_down(struct engine *g);
bool engine_is_up(const struct engine *g);

/* False if a packet worker is still in the batch that it was in at the last call: for a watchdog, every few seconds. */
bool engine_makes_progress(struct engine *g);

/* Up and down follow the link's IFF_UP (the default, as wg-quick expects). */
void engine_follow_link(struct engine *g, bool on);

/* Called once when the TUN device is deleted under us, or when the last fd fails for good. */
void engine_on_gone(struct engine *g, void (*fn)(void *arg, const char *why), void *arg);

const char *engine_ifname(struct engine *g); /* follows renames */
struct loop *engine_loop(struct engine *g);
struct wg_device *engine_wg(struct engine *g); /* for private_key and public key getters */

int engine_set_private_key(struct engine *g, const struct key *private_key);
int engine_set_listen_port(struct engine *g, uint16_t port, struct error *e); /* rebinds at once */
uint16_t engine_listen_port(const struct engine *g); /* the real one once bound */
int engine_set_fwmark(struct engine *g, uint32_t fwmark, struct error *e);
uint32_t engine_fwmark(const struct engine *g);

/* ---- peers ---- */

struct engine_peer *engine_find_peer(struct engine *g, const struct key *public_key);
struct engine_peer *engine_add_peer(struct engine *g, const struct key *public_key); /* NULL: our own key */
void engine_remove_peer(struct engine_peer *p);
void engine_remove_all_peers(struct engine *g);
struct engine_peer *engine_first_peer(struct engine *g);
struct engine_peer *engine_next_peer(struct engine_peer *p);
size_t engine_peer_count(const struct engine *g);
struct wg_peer *engine_peer_wg(struct engine_peer *p); /* psk, keepalive, allowed IPs: use wg.h on it */

/* By full base64 key, by name, or by an unambiguous start of the key (>= 4 characters).
 * -ENOENT, -ENOTUNIQ; the error says what is near. */
int engine_pick_peer(struct engine *g, const char *text, struct engine_peer **out, struct error *e);

void engine_peer_set_name(struct engine_peer *p, const char *name);
const char *engine_peer_name(const struct engine_peer *p); /* "" if none */

/* A numeric endpoint from configuration or UAPI; NULL clears. Starts a handshake if one is due. */
void engine_peer_set_endpoint(struct engine_peer *p, const union address *a);

/* A host name: looked up without blocking, retried for ever, again when the tunnel has gone silent. */
void engine_peer_set_endpoint_host(struct engine_peer *p, const char *host, const char *port);

/* The actions behind keys, commands and UAPI. `who` is for the timeline ("uid 1000", "wg set"). */
int engine_peer_drain(struct engine_peer *p, const char *who);
void engine_drain_all(struct engine *g, enum wg_reason why, const char *who);
/* Looks its endpoint's name up again. */
int engine_peer_resolve(struct engine_peer *p, const char *who, struct error *e);
int engine_peer_handshake(struct engine_peer *p, const char *who, struct error *e);
int engine_peer_reset(struct engine_peer *p, const char *who, struct error *e);

/* ---- looking ---- */

enum endpoint_origin { ORIGIN_NONE, ORIGIN_CONFIGURED, ORIGIN_RESOLVED, ORIGIN_ROAMED, ORIGIN_PERSISTED };
const char *endpoint_origin_name(enum endpoint_origin o);

struct engine_peer_view {
	struct key public_key;
	const char *name;
	bool has_psk;
	uint16_t keepalive;
	union address endpoint;
	struct endpoint used; /* with the source address in use */
	enum endpoint_origin origin;
	const char *host, *port; /* configured endpoint name, or NULL */
	const char *resolve_error;
	struct wg_peer_view wg;
	struct peer_state state;
	uint64_t state_since; /* boot ns: the list word has been this since */
	uint64_t initiations_unanswered;
};
void engine_look_peer(struct engine_peer *p, struct engine_peer_view *out);

struct engine_view {
	char ifname[IFNAMSIZ];
	bool up;
	uint64_t started_boot, started_wall;
	uint16_t listen_port;
	uint32_t fwmark;
	int mtu;
	unsigned workers;
	const char *aead;
	const char *nat; /* what our NAT does with UDP, in one word; NULL: not known */
	bool tun_vnet, tun_tso, tun_uso, udp_gso, udp_gro;
	bool under_load;
	uint64_t rx_bytes, tx_bytes; /* sums over all peers, removed ones too */
	uint64_t tun_rx_packets, tun_tx_packets, tun_write_errors;
	const counter_t *counters;
};
void engine_look(struct engine *g, struct engine_view *out);

/* ---- diagnosis ---- */

/* Runs the rules over one peer now. From then on it is watched for a while, so that a second look knows more. */
struct diagnoses;
void engine_diagnose(struct engine_peer *p, struct diagnoses *out);
bool engine_has_diagnosis(const struct engine_peer *p); /* cheap: a verdict was told, and holds */

/* Who was refused and is no peer: see wg.h. */
size_t engine_strangers(struct engine *g, struct wg_stranger out[WG_STRANGERS]);

/* ---- timeline ---- */

#define TIMELINE_TEXT 256
struct timeline_event {
	uint64_t at_boot, at_wall; /* ns */
	uint64_t sequence;	   /* device-wide, grows */
	enum log_level level;
	const char *kind; /* stable word: "handshake-done", "roamed", "state"... */
	char text[TIMELINE_TEXT];
};

/* Newest first. Number written. The engine keeps about the last 60 events of a peer. */
size_t engine_timeline(struct engine_peer *p, struct timeline_event *out, size_t max);
size_t engine_own_timeline(struct engine *g, struct timeline_event *out, size_t max); /* of the interface */

/* Observers see each event as it happens. peer NULL: device-wide. */
struct engine_observer {
	struct engine_observer *next; /* private */
	void (*event)(void *arg, struct engine_peer *peer, const struct timeline_event *ev);
	void (*peer_added)(void *arg, struct engine_peer *peer);
	void (*peer_removed)(void *arg, const struct key *public_key);
	void *arg;
};
void engine_observe(struct engine *g, struct engine_observer *o);
void engine_unobserve(struct engine *g, struct engine_observer *o);

/* Adds a line to a peer's or the device's timeline from outside (configuration applied, hook ran...). */
void engine_note(struct engine *g, struct engine_peer *p, enum log_level level, const char *kind, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));

#endif
