/* What the files of this room share. */
#ifndef WEIR_ICE_INTERNAL_H
#define WEIR_ICE_INTERNAL_H

#include "base/list.h"
#include "ice/candidate.h"
#include "ice/ice.h"
#include "ice/pairs.h"

#define ICE_KNOWN_MAX 48 /* candidates of one side that are kept; more are refused */

struct _NiceAgent; /* the library's, for agent.c and send.c alone; lines.c uses it as a name */

struct ice {
	struct loop *loop;
	struct ice_options options;
	struct list agents;
	struct list busy;    /* agents that have events to deliver */
	struct list dying;   /* libnice's agents whose owners are gone: see ice_agent_free */
	struct list closing; /* of those, the ones that still give back TURN allocations */
	struct loop_timer *timer;
	struct ice_agent *serving; /* whose callback runs now; NULL: freed meanwhile */
	int raw[2];		   /* IPv4, IPv6: for strays; -1: not allowed */
	bool own_raw;		   /* closed with us */
};

struct ice_agent {
	struct list link, busy;
	struct ice *ice;
	struct _NiceAgent *nice;
	unsigned stream;
	uint32_t generation;
	bool controlling, turn, no_fast;
	const struct ice_ops *ops;
	void *arg;

	enum ice_state state;
	uint64_t since;
	struct list events; /* what libnice said, until the loop's next turn */
	char local_ufrag[ICE_CREDENTIAL_MAX], local_pwd[ICE_CREDENTIAL_MAX];
	char remote_ufrag[ICE_CREDENTIAL_MAX], remote_pwd[ICE_CREDENTIAL_MAX]; /* "": not known yet */
	struct candidate local[ICE_KNOWN_MAX], remote[ICE_KNOWN_MAX];
	unsigned local_count, remote_count;

	bool selected;
	struct ice_pair pair; /* the selected one */
	union address base;   /* where its packets leave from: the local address, or that of a TURN client */

	int fast;	      /* socket B, -1 */
	int beside;	      /* A's descriptor while B is open, -1; libnice owns it */
	uint64_t gro_at;      /* when A gets UDP_GRO, 0: not planned */
	bool gro, gro_spoilt; /* on A now; never again, STUN was glued */
	uint64_t strays;
	char fast_error[120];

	struct ice_pairs pairs; /* under lines.c's lock */
};

/* lines.c: from now on, libnice's debug lines about this agent fill its pair table. */
void lines_start(struct ice_agent *a);
void lines_stop(struct ice_agent *a);
size_t lines_look(const struct ice_agent *a, struct ice_known_pair *out, size_t max,
		  struct ice_keepalives *k);

/* send.c: the descriptor that the selected pair's packets leave from, -1. libnice owns it. */
int agent_socket(const struct ice_agent *a);

/* fast.c */
void fast_mark_library_socket(const struct ice_agent *a, int fd);
void fast_turn(struct ice_agent *a, uint64_t now);
void fast_glued(struct ice_agent *a);
bool fast_is_stun(const uint8_t *data, size_t len);

/* agent.c: the timer of all agents, moved to the next thing that one of them waits for. */
void ice_plan(struct ice *i);

#endif
