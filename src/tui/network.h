/* What the engine says of a peer's paths, sessions, ICE and recovery, and of relays (weir-control(7),
 * "network"). */
#ifndef WEIR_TUI_NETWORK_H
#define WEIR_TUI_NETWORK_H

#include <stdbool.h>
#include <stdint.h>

#define NETWORK_PATHS 5
#define NETWORK_PAIRS 24
#define NETWORK_LINES 16 /* of the pane, besides those of paths, pairs and relays: at most */

/* Times are Unix seconds, durations seconds; 0: none, not known. */
struct net_path {
	char kind[8], state[10], local[64], local_type[8], remote[272], remote_type[8], carrier[12];
	bool chosen, peer_online;
	double since, rtt, loss, last_proof, last_tunnel;
	unsigned generation, mtu, mtu_failed, pings, pongs;
	uint64_t sent, received;
};

struct net_pair {
	char local[64], local_type[8], remote[64], remote_type[8], state[16];
	bool nominated, selected, tcp;
	double rtt;
	unsigned requests, answers;
};

/* What the other end counts about us. */
struct net_report {
	double at, clock, last_received_age; /* age -1: never */
	char path[8];
	uint64_t initiations_received, responses_sent, handshakes, data_sent, data_received;
	uint64_t rejected_mac1, rejected_timestamp, rejected_response, rejected_unknown_index,
		rejected_source;
};

struct network {
	char mode[12], preference[12], version[32], remote_relay[256], observed[64];
	bool remote_is_weir, remote_away;
	double remote_back, chosen_since;
	unsigned path_changes, inner_mtu;

	struct net_path paths[NETWORK_PATHS];
	unsigned path_count;

	char local_session[20], remote_session[20], session_why[64];
	double local_session_since, remote_session_since, next_offer;
	unsigned offers_sent, offers_received, answers_sent, answers_received;

	char watch[12], watch_path[12], watch_why[204];
	double watch_fires;

	char rung[12], rung_text[64], rung_why[204];
	double rung_due;
	bool ladder_held;

	char ice[16], fast_error[124];
	bool controlling, fast;
	double ice_since, ice_retry;
	unsigned local_candidates, remote_candidates;
	struct net_pair pairs[NETWORK_PAIRS];
	unsigned pair_count, pair_total;

	bool has_report;
	struct net_report report;
};

struct net_relay {
	char url[256], role[12], state[16], error[164];
	double since, next_try, rtt;
	unsigned generation, peers_using, connections;
	uint64_t dropped;
	bool tls;
};

/* The path in use, NULL if none is. */
const struct net_path *network_chosen(const struct network *n);

#endif
