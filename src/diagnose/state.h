/*
 * From numbers to words: how a peer's path and tunnel are, which word the list shows, and why. Pure.
 * Path and tunnel are two facts; the list word is derived, and colour follows the tunnel.
 */
#ifndef WEIR_DIAGNOSE_STATE_H
#define WEIR_DIAGNOSE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/path.h"

enum tunnel_state { TUNNEL_NO_KEYS, TUNNEL_HANDSHAKING, TUNNEL_UP, TUNNEL_SILENT, TUNNEL_EXPIRED };

/* Worst first: the order of the list. */
enum peer_word { WORD_STUCK, WORD_WAIT, WORD_DRAIN, WORD_RELAY, WORD_DIRECT, WORD_IDLE, WORD_DOWN };

const char *tunnel_state_name(enum tunnel_state s); /* "no-keys", "handshaking", "up", "silent", "expired" */
const char *peer_word_name(enum peer_word w);	    /* "STUCK", "WAIT", ... */

struct peer_facts {
	bool device_up, has_private_key;
	bool endpoint_known;
	bool resolving;		   /* a host name is being looked up */
	const char *resolve_error; /* last look-up error in words, or NULL */
	bool draining;
	uint64_t last_handshake, last_received, last_sent, unanswered_since; /* boot ns, 0: never */
	bool keypair_usable;		 /* a confirmed keypair younger than REJECT_AFTER_TIME */
	bool keys_held;			 /* any keypair at all */
	unsigned attempt;		 /* running handshake, 0: none */
	uint64_t initiations_unanswered; /* sent since the last valid response or handshake */
	uint64_t given_up;		 /* handshakes given up since the last completed one */
	unsigned staged;
	const char *send_error; /* why the kernel did not send the last datagram, or NULL */
	bool stuck; /* so it was when it was looked at last, and the tunnel has carried nothing since */

	/* since the last completed handshake */
	uint64_t send_failures;
	uint64_t cookies_received, responses_rejected, timestamps_rejected;
	uint64_t peer_initiations_since; /* valid ones, that we answered */
	uint64_t data_received, inner_sources_rejected;

	/* Paths. Of a peer without a controller only path_kind is set. */
	enum path_kind path_kind; /* that the tunnel sends on; NONE: nowhere */
	bool controlled;
	enum path_state path_state; /* of that path, as the controller has it */
	bool remote_is_weir, remote_away; /* it said that it goes */
	uint64_t remote_back_at;	  /* boot ns, 0: it did not say */
	bool relay_asked;		  /* the relay by somebody's wish */
	bool relay_configured, relay_up, relay_online; /* online: the peer is there */
	char relay_error[160];		  /* why none is up */
	bool ice_off, ice_running;
	uint64_t ice_failed_at, direct_retry_at; /* boot ns, 0: never, none planned */
};

struct peer_state {
	enum path_state path;
	enum path_kind path_kind;
	enum tunnel_state tunnel;
	enum peer_word word;
	char reason[224]; /* one sentence with its evidence, "" when all is well */
};

void peer_state_derive(struct peer_state *out, const struct peer_facts *f, uint64_t now);

#endif
