/*
 * The engine's second door: relays, ICE, sessions and paths. Control thread, never blocks.
 * A peer in mode auto or relay-only has a controller (peer/peer.h), whose decisions the engine performs.
 */
#ifndef WEIR_ENGINE_NETWORK_H
#define WEIR_ENGINE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "ice/ice.h"
#include "peer/peer.h"
#include "relay/pool.h"

/* ---- settings (of [Relay], [Ice] and [Peer]) ---- */

#define ENGINE_RELAYS_MAX 8
#define ENGINE_STUN_MAX	  4

struct engine_turn {
	char *host, *port, *user, *password;
	bool tcp;
};

struct engine_network {
	/* [Relay]; url_count 0: no relay */
	char *urls[ENGINE_RELAYS_MAX];
	unsigned url_count;
	struct relay_secret secret;
	bool has_secret;
	uint8_t token[RELAY_TOKEN_MAX];
	size_t token_len;
	char *ca_file, *pin, *proxy; /* NULL: none */

	/* [Ice]; ice_off: no ICE at all. Without Stun the relay's host is asked on port 3478. */
	bool ice_off;
	char *stun[ENGINE_STUN_MAX]; /* HOST:PORT */
	unsigned stun_count;
	struct engine_turn turn[ICE_TURN_MAX];
	unsigned turn_count;
	bool upnp, ice_tcp, no_fast, turn_only;
};
void engine_network_clear(struct engine_network *n); /* frees and wipes what it points to */
bool engine_network_equal(const struct engine_network *a, const struct engine_network *b);

/* Copies *n. What did not change is not touched: a reload with the same text closes nothing. */
int engine_set_network(struct engine *g, const struct engine_network *n, struct error *e);

void engine_peer_set_mode(struct engine_peer *p, enum peer_mode mode); /* auto by default */
void engine_peer_set_relay(struct engine_peer *p, const char *url);    /* where it is looked for first; NULL: none */

/* ---- actions behind keys, commands and control methods; `who` is for the timeline ---- */

/* ROTATE, PROBE, PREFER_*, FORCE_RELAY, LADDER_*: -ENOTSUP for a plain peer, with words. (Drain, reset and handshake stay
 * engine_peer_drain, _reset and _handshake, which tell the controller.) */
int engine_peer_command(struct engine_peer *p, enum peer_command c, const char *who, struct error *e);

/* Somebody looks at the peer: the other end is asked what it counts about us, if its last report is older than 10 s. Few
 * are asked in a second, however many peers are looked at. */
void engine_peer_looked_at(struct engine_peer *p);

/* An orderly end (stop, drain of all, restart): BYE to every weir peer that is reached. */
void engine_say_bye(struct engine *g, enum signal_reason why, bool restarts);

/* ---- looking ---- */

struct engine_path_view {
	struct peer_path_view path;
	bool chosen;
	char local[ADDRESS_TEXT], remote[ADDRESS_TEXT]; /* "" where not known; a relay: its URL in remote */
	char local_type[8], remote_type[8];		/* "host", "srflx", "prflx", "relay", "" */
	const char *carrier; /* "udp", "fast socket", "libnice", "relay" */
	uint64_t sent, received, sent_bytes, received_bytes;
	uint64_t last_sent, last_received; /* WireGuard packets; boot ns */
};

struct engine_network_view { /* of one peer */
	bool has_controller;
	enum peer_mode mode;
	bool controlling;
	struct peer_look look;
	unsigned path_count;
	struct engine_path_view paths[PEER_SLOTS];
	bool has_agent;
	struct ice_agent_view agent; /* of the pair in use, or of the one being built */
	bool has_report;
	struct signal_report report; /* what the remote counts about us */
	uint64_t report_at;	     /* boot ns */
	uint16_t inner_mtu;	     /* largest inner packet that the chosen path carries, 0: not limited */
	uint64_t frames_sent, frames_received, frames_rejected[SIGNAL_VERDICTS];
	char remote_version[32];
	char remote_relay[RELAY_URL_MAX];
	char observed[ADDRESS_TEXT]; /* where the remote sees us, "" */
};
void engine_look_network(struct engine_peer *p, struct engine_network_view *out);

/* ICE pairs of the agent in use and of the one being built, best first. Number written. */
size_t engine_look_pairs(struct engine_peer *p, struct ice_pair_view *out, size_t max);

/* Who answers STUN, HOST:PORT: the servers that ICE asks (where none are configured, that of the relay), then the TURN
 * servers that take UDP. Number written. */
#define ENGINE_STUN_TEXT 280
size_t engine_look_stun(struct engine *g, char out[][ENGINE_STUN_TEXT], size_t max);

/* Relay servers of the engine. role: "home", "foreign" or "standby" (connected, used by no tunnel now). */
struct engine_relay_view {
	struct relay_status status;
	const char *role;
	unsigned peers_using; /* tunnels that send through it now */
};
size_t engine_look_relays(struct engine *g, struct engine_relay_view *out, size_t max);

#endif
