/*
 * ICE by libnice, one agent per peer and generation. All functions and callbacks are for the control thread; only this
 * room knows libnice. How libnice is used, and which of its habits are avoided, is said in agent.c.
 *
 * Two ways for data over the selected pair:
 *  - the fast socket: libnice's socket A keeps STUN and control frames, our socket B on the same address and port takes
 *    WireGuard (SO_REUSEPORT and a classic BPF filter). B is for packet workers: GSO, GRO, batches.
 *  - through libnice (ice_agent_send and the datagram callback): always correct, and the only way for TURN, TCP and
 *    wherever B cannot be made.
 */
#ifndef WEIR_ICE_ICE_H
#define WEIR_ICE_ICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/loop.h"
#include "base/path.h"

struct ice; /* what all agents share */
struct ice_agent;

#define ICE_CREDENTIAL_MAX 64
#define ICE_CANDIDATE_MAX  160
#define ICE_TURN_MAX	   8
#define ICE_ADDRESSES_MAX  16

struct ice_turn {
	char user[128], password[128];
	union address server; /* numeric: the owner resolves names */
	bool tcp;
};

struct ice_options {
	union address stun; /* AF_UNSPEC: none; left unset in libnice when TURN is given (2 s gathering bug) */
	struct ice_turn turn[ICE_TURN_MAX];
	unsigned turn_count;
	bool upnp, tcp;	   /* both off by default */
	bool relay_only;   /* TURN candidates alone: for tests and for hiding addresses */
	bool no_fast;	   /* never make socket B */
	uint32_t fwmark;   /* on every socket */
	char own_interface[16]; /* our tunnel: its addresses are never candidates */
	const int *raw;	   /* of ice_raw_open; the owner's, open until ice_free. NULL: ice_new tries for itself */
};

/*
 * Two sockets, for IPv4 and IPv6, that can send any packet and receive none: see ice_agent_stray. They take CAP_NET_RAW,
 * so a process that gives up its rights opens them before. -1 where that is not allowed.
 */
void ice_raw_open(int raw[2]);
void ice_raw_close(int raw[2]);

struct ice *ice_new(struct loop *loop, const struct ice_options *o);
void ice_set_options(struct ice *i, const struct ice_options *o); /* for agents made from now on */
void ice_free(struct ice *i);					     /* its agents must be gone */

/* Our addresses that are worth a candidate: up, global or link-local IPv6 or private, of interfaces that are not tunnels
 * (TUN/TAP, WireGuard, point-to-point without broadcast; PPP is a line) and not loopback unless nothing else is there.
 * Global ones first. Number written. */
size_t ice_local_addresses(const struct ice *i, union address *out, size_t max);

/* Checks go to whatever a peer calls its address: but not to this machine itself, through our own tunnel, or to everybody
 * on a link. */
bool ice_may_send_to(const struct ice *i, const union address *to);

/* Is it a tunnel (TUN/TAP, WireGuard, GRE...)? By name; false also when there is none of that name. */
bool ice_interface_is_tunnel(const char *name);

enum ice_state { ICE_GATHERING, ICE_CONNECTING, ICE_CONNECTED, ICE_READY, ICE_FAILED };
const char *ice_state_name(enum ice_state s);

enum ice_candidate_type { ICE_HOST, ICE_SERVER_REFLEXIVE, ICE_PEER_REFLEXIVE, ICE_RELAYED };
const char *ice_candidate_type_name(enum ice_candidate_type t); /* "host", "srflx", "prflx", "relay" */

struct ice_pair {
	union address local, remote;
	enum ice_candidate_type local_type, remote_type;
	bool tcp;
};

struct ice_ops {
	/* A local candidate, as an SDP attribute value without "candidate:". */
	void (*candidate)(void *arg, uint32_t generation, const char *text);
	void (*gathered)(void *arg, uint32_t generation);
	/* Data can flow over this pair; again when another pair is selected. */
	void (*selected)(void *arg, uint32_t generation, const struct ice_pair *pair);
	void (*state)(void *arg, uint32_t generation, enum ice_state s);
	/* What libnice handed up: control frames, and all data where there is no fast socket. */
	void (*datagram)(void *arg, uint32_t generation, const uint8_t *data, size_t len, const struct ice_pair *pair);
};

/* Makes an agent and begins to gather; callbacks come from the loop, never from within a call of this header, and may free
 * the agent. controlling: by the order of the public keys. NULL with *e. */
struct ice_agent *ice_agent_new(struct ice *i, uint32_t generation, bool controlling, const struct ice_ops *ops, void *arg,
				struct error *e);
/* No callback comes after this. TURN allocations are given back in the background; the fast socket is closed. */
void ice_agent_free(struct ice_agent *a);

void ice_agent_credentials(const struct ice_agent *a, char ufrag[ICE_CREDENTIAL_MAX], char pwd[ICE_CREDENTIAL_MAX]);

/* The remote's session: credentials once, then candidates as they come (also again: a known one is a no-op; so is one
 * more than 48 of them). -EINVAL. */
int ice_agent_set_remote(struct ice_agent *a, const char *ufrag, const char *pwd);
int ice_agent_add_candidate(struct ice_agent *a, const char *text);
void ice_agent_remote_done(struct ice_agent *a);

/* Through libnice: control frames always, data where there is no fast socket. 0 or -errno. */
int ice_agent_send(struct ice_agent *a, const void *data, size_t len);
/* The same with DF set, not fragmented: a probe of the path's MTU. -EMSGSIZE: our own link is smaller. */
int ice_agent_send_probe(struct ice_agent *a, const void *data, size_t len);

/* The fast socket of the selected pair: a new fd that the agent owns (closed by ice_agent_close_fast or free), bound
 * beside libnice's. -ENOTSUP for TURN and TCP pairs and whenever a step fails (*e says which): use the callback path.
 * Open already: the same fd, if the pair now selected leaves from the same address; else -EBUSY, close the old one first. */
int ice_agent_open_fast(struct ice_agent *a, struct error *e);
void ice_agent_close_fast(struct ice_agent *a);

/* One datagram that strayed to the fast socket (STUN, a control frame): back to libnice (raw socket), and UDP_GRO off on A
 * from then on. Without raw sockets the datagram is lost. */
void ice_agent_stray(struct ice_agent *a, const struct endpoint *from, const uint8_t *data, size_t len);

/* What the dashboard shows. State, RTT and priority come from libnice's debug lines; unknown ones degrade to candidates. */
enum ice_pair_state {
	ICE_PAIR_FROZEN,
	ICE_PAIR_WAITING,
	ICE_PAIR_IN_PROGRESS,
	ICE_PAIR_SUCCEEDED,
	ICE_PAIR_FAILED,
	ICE_PAIR_DISCOVERED,
	ICE_PAIR_UNKNOWN,
};
const char *ice_pair_state_name(enum ice_pair_state s); /* "frozen", ... "?" */

struct ice_pair_view {
	struct ice_pair pair;
	enum ice_pair_state state;
	uint64_t priority;
	uint64_t rtt; /* ns, 0: not known */
	unsigned requests, answers; /* checks sent, answered */
	bool nominated, selected;
};
size_t ice_agent_pairs(const struct ice_agent *a, struct ice_pair_view *out, size_t max); /* best first */

/* What became of an agent's negotiation, for those that ask why no pair was found. */
struct ice_survey {
	unsigned local, remote; /* candidates */
	unsigned pairs, failed, succeeded;
	bool turn;		  /* one of ours is of a TURN server */
	bool same_public_address; /* both ends are seen at the same address of a NAT */
	bool host_pair, host_pair_failed; /* of local addresses of one family; all that there are failed */
	union address host_local, host_remote;
};
void ice_agent_survey(const struct ice_agent *a, struct ice_survey *out);

struct ice_agent_view {
	enum ice_state state;
	bool controlling;
	uint64_t since;
	unsigned local_candidates, remote_candidates;
	bool fast;			 /* socket B is open */
	uint64_t strays;		 /* STUN seen on B */
	unsigned keepalives_unanswered; /* near 200 libnice falls silent for good: rebuild at 100 */
	char fast_error[120];		 /* why there is no fast socket */
};
void ice_agent_look(const struct ice_agent *a, struct ice_agent_view *out);

#endif
