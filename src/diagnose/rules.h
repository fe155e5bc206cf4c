/*
 * Why a peer is stuck: a table of rules over counters, events and what the other end counts. A rule looks at the facts and,
 * when they fit, says so with its evidence; the best verdict comes first, and a cause comes before its symptoms. Pure.
 *
 * A healthy peer gets no verdict. weir(8) DIAGNOSTICS is printed from the same table.
 */
#ifndef WEIR_DIAGNOSE_RULES_H
#define WEIR_DIAGNOSE_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/key.h"
#include "base/path.h"
#include "base/strbuf.h"
#include "diagnose/state.h"
#include "peer/peer.h"
#include "signal/signal.h"
#include "wg/events.h"

/* ---- facts: times are boot ns, 0: never or none ---- */

/* What was counted from `since` to now: the last minute or so, from the engine's samples. */
struct diagnosis_window {
	uint64_t since;
	uint64_t counters[WG_COUNTERS];
	unsigned rotations, remote_sessions, endpoint_changes;
};

struct diagnosis_path {
	struct peer_path_view view;
	bool chosen;
	char remote[ADDRESS_TEXT];
	uint64_t sent, received; /* WireGuard packets in this generation */
	uint64_t last_sent, last_received;
	bool through_tunnel;	 /* the route to remote leads into a tunnel: ours, or (through_other) somebody's */
	bool through_other;
	int send_error;		 /* errno of the last datagram, 0: fine */
	bool fresh_port;	 /* direct: from a source port of this peer's own */
	char through[16];	 /* that tunnel's interface, "" */
};

struct diagnosis_relay {
	char url[128], error[160];
	bool up, home;
	uint64_t since, next_try;
	unsigned connections;	 /* how often it was made */
	uint64_t lifetimes[4];	 /* how long the last connections lived, newest first, 0: none */
	bool refused, bad_token, expired_token, silent_close, replaced; /* how logging in failed, or what ended it */
	bool tls_error, name_error;
	bool check_failed;	 /* the last connection was there and answered nothing any more */
	bool unanswered;	 /* nothing at all comes from there: no answer to a check, nor to dialling */
	unsigned refusals;	 /* in a row */
	uint64_t lost_at;	 /* when the last connection ended, 0: none did */
	char address[ADDRESS_TEXT]; /* where it was dialled, "" */
	bool through_tunnel, through_other; /* the route to address leads into our tunnel, or another VPN's */
	char through[16];
};

/* How a host reaches the Internet by UDP: by asking two STUN servers from one socket. */
enum diagnosis_nat {
	NAT_UNKNOWN,
	NAT_BLOCKED,
	NAT_OPEN,
	NAT_SAME_MAPPING,
	NAT_MAPPING_VARIES,
	NAT_SAME_FOR_PORTS /* of one server: by address the mapping may vary */
};

struct diagnosis_device { /* the same for all peers */
	bool up, has_private_key;
	uint64_t started;	       /* boot ns */
	uint64_t clock_stepped_at;     /* the wall clock was set */
	int64_t clock_step;	       /* by how many ns */
	uint64_t resumed_at, suspended_for;
	uint64_t network_changed_at;   /* addresses, routes or links */
	bool link_lost;		       /* no interface but our own is up, or no default route */
	unsigned peers_in_trouble;
	uint64_t trouble_since;	       /* when the last of them began, if all began within half a minute */
	uint64_t counters[WG_COUNTERS];
	uint64_t window_since;
	uint64_t window[WG_COUNTERS];  /* of the last minute */
	bool stun_answers;	       /* one of the servers that ICE's agents asked */
	uint64_t udp_received_at;      /* anything by UDP from anywhere */
	char mapped[ADDRESS_TEXT];     /* where we are seen from, "" */
	/* of initiations of keys that are not configured, and of bad mac1: the last one */
	struct key unknown_key;
	uint64_t unknown_key_at, mac1_at;
	union address unknown_from, mac1_from;
	unsigned relay_count;
	struct diagnosis_relay relays[4];
	bool relay_configured, ice_off;
	unsigned local_addresses;	/* that are worth a candidate */
	enum diagnosis_nat nat;
	char stun_server[ADDRESS_TEXT]; /* the first of those asked */
	unsigned stun_servers; /* how many were asked */
	bool stun_two_addresses; /* have answered; otherwise the NAT's kind is by the ports of one */
	uint64_t stun_asked_at, stun_answered_at;
	uint64_t nat_at; /* when the questions were asked that told `nat` */
	bool stun_beside_dead; /* all that were asked are on hosts of relays that are not up */
	uint64_t udp_heard_at; /* anything by UDP, not by a relay; known only while no STUN server answers */
	char mapped_before[ADDRESS_TEXT]; /* where we were seen from until mapped_changed_at */
	uint64_t mapped_changed_at;
	unsigned turn_servers;
	bool turn_answers;		/* one of them answers STUN */
	char turn_server[ADDRESS_TEXT];
	char resolver[ADDRESS_TEXT];	/* the first of the name servers */
	bool resolver_through_tunnel;
	bool floor_in_use;	       /* our clock is behind the time stamps that we sent before */
	uint64_t wall;		       /* our wall clock now, ns since 1970 */
	unsigned peers_wanted;	       /* that somebody uses: of those, how many are heard now */
	unsigned peers_heard;
};

/* One change of the chosen path, and on what evidence. */
struct diagnosis_switch {
	uint64_t at;
	char text[160];
};
#define DIAGNOSIS_SWITCHES 4

struct diagnosis_facts { /* one peer */
	const struct diagnosis_device *device;
	struct peer_facts word; /* what the list's word is made of */
	struct peer_state state;
	uint64_t word_since;
	char name[32];
	struct key public_key;
	bool has_psk, has_allowed_ips;
	union address endpoint;
	char host[256];

	uint64_t counters[WG_COUNTERS];	      /* since the start */
	uint64_t since_handshake[WG_COUNTERS]; /* since the last completed one */
	struct diagnosis_window recent;
	struct diagnosis_window deaf; /* the same, but only as long as no data came in, not even a keepalive */
	uint64_t last_timestamp_delta;	/* ns that its clock was behind, of the last old timestamp */
	uint64_t last_initiation_received, last_response_rejected, last_inner_rejected;
	char inner_rejected_source[64], inner_rejected_owner[32]; /* the last one, and whose it is ("" nobody's) */
	char stolen_prefix[64], stolen_by[32];			  /* an allowed IP that another peer took, "" none */
	uint64_t stolen_at;
	char route_missing[64]; /* a configured prefix that the system does not route into the tunnel, "" none */

	bool controlled;
	enum peer_mode mode;
	struct peer_look look;
	unsigned path_count;
	struct diagnosis_path paths[PEER_SLOTS];
	unsigned local_candidates, remote_candidates, pairs, pairs_failed, pairs_succeeded;
	bool ice_running, ice_failed, same_public_address;
	uint64_t ice_since;
	uint16_t device_mtu;
	uint64_t frames_received, frames_rejected[SIGNAL_VERDICTS];
	bool has_report;
	struct signal_report report; /* what they count about us */
	uint64_t report_at;
	struct signal_report report_before; /* the one before, to see what moves; report_before_at 0: none */
	uint64_t report_before_at;

	enum diagnosis_nat remote_nat; /* as it says itself */
	char remote_relay[128]; /* "" not told */
	char observed[ADDRESS_TEXT], observed_before[ADDRESS_TEXT]; /* where the remote sees us; and until then */
	uint64_t observed_changed_at;
	unsigned switch_count; /* changes of the path within the last five minutes */
	struct diagnosis_switch switches[DIAGNOSIS_SWITCHES]; /* newest first */
	bool ice_gathered;     /* local candidates are complete */
	bool local_turn;       /* one of them is of a TURN server */
	char host_pair[2 * ADDRESS_TEXT]; /* of same_public_address: the pair of local addresses, "" none */
	bool host_pair_failed;
	int send_error;		    /* errno of the last datagram that the kernel refused, 0: none */
	uint64_t remote_restarted_at; /* it began anew though it had good keys, or its frames are of a new boot */
	uint64_t we_restarted_at;   /* it used keys that we lost */
	bool endpoint_learned; /* from its packets; none is configured */
	char loop_address[ADDRESS_TEXT]; /* its endpoint, if it is routed into a tunnel; else "" */
	char loop_through[16];
	bool loop_own; /* it is our own tunnel */
};

/* ---- verdicts ---- */

enum diagnosis_confidence { DIAGNOSIS_POSSIBLE, DIAGNOSIS_LIKELY, DIAGNOSIS_CERTAIN };
enum diagnosis_side { SIDE_UNKNOWN, SIDE_HERE, SIDE_BETWEEN, SIDE_THERE };
/* A note hurts nobody yet: it is shown, but it makes no peer stuck, and status --check passes over it. Trouble comes first. */
enum diagnosis_severity { DIAGNOSIS_TROUBLE, DIAGNOSIS_NOTE };
enum diagnosis_mark { MARK_GOOD, MARK_BAD, MARK_NOTE };

struct diagnosis_line {
	enum diagnosis_mark mark;
	const char *layer; /* "signalling", "paths", "relay", "ice", "wireguard", "clock", "routes", "mtu" */
	uint64_t at;	   /* boot ns of what it tells of, 0: now */
	char text[176];
};

#define DIAGNOSIS_LINES	  10
#define DIAGNOSIS_OUT	  6
#define DIAGNOSIS_VERDICTS 4

struct diagnosis_rule;
struct diagnosis {
	const struct diagnosis_rule *rule;
	enum diagnosis_confidence confidence;
	enum diagnosis_side side;
	enum diagnosis_severity severity;
	uint64_t since;	   /* boot ns */
	char verdict[224]; /* one or two sentences, with this peer's numbers */
	unsigned line_count;
	struct diagnosis_line lines[DIAGNOSIS_LINES]; /* evidence */
	char next[200];	   /* what to do, and where */
	char key;	   /* of the dashboard, 0: none helps */
	char command[96];  /* the same as a command, "" */
};

struct diagnosis_rule {
	const char *id;	   /* "psk-differs": stable, for logs and scripts */
	const char *title; /* a few words */
	const char *text;  /* for the manual: what is seen, what it means, what to do. Plain sentences. */
	/* Ids of rules whose verdicts are symptoms of this one: they are dropped when this one holds and is more than
	 * possible. Space-separated; "*": all others. */
	const char *explains;
	/* True when it holds; fills confidence, side, since, verdict, lines, next, key. out->rule is set. */
	bool (*check)(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *out);
};

struct diagnoses {
	unsigned count; /* 0: nothing is wrong with it */
	struct diagnosis items[DIAGNOSIS_VERDICTS]; /* best first */
	unsigned good_count;
	struct diagnosis_line good[DIAGNOSIS_OUT]; /* what works, and what was ruled out */
};

void diagnose_peer(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out);

/* Is the verdict of `symptom` dropped where `cause` holds? */
bool diagnosis_explains(const struct diagnosis_rule *cause, const struct diagnosis_rule *symptom);

/* The tables of rules in the order of the manual, NULL at the end; each ends with an entry without id. */
extern const struct diagnosis_rule *const diagnosis_rules[];

const char *diagnosis_confidence_name(enum diagnosis_confidence c); /* "certain" */
const char *diagnosis_side_name(enum diagnosis_side s);		     /* "here", "between", "there", "" */
const char *diagnosis_severity_name(enum diagnosis_severity s);	     /* "trouble", "note" */
const char *diagnosis_mark_name(enum diagnosis_mark m);		     /* "good", "bad", "note" */

void diagnosis_manual(struct strbuf *out); /* DIAGNOSTICS of weir(8), in mdoc */

#endif
