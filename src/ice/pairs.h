/*
 * The check list, as libnice's debug lines tell it: 0.1.21 has no API for it. A parser for the lines (pure,
 * pinned by fixtures in tests/unit) and the table that they fill. A line that is not known changes nothing.
 */
#ifndef WEIR_ICE_PAIRS_H
#define WEIR_ICE_PAIRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "ice/ice.h"

enum ice_line_kind {
	ICE_LINE_OTHER, /* about an agent, and nothing that we need */
	ICE_LINE_PAIR,	/* a pair came: local, remote */
	ICE_LINE_STATE,
	ICE_LINE_REMOVED,
	ICE_LINE_NOMINATED,
	ICE_LINE_REQUEST, /* a check was sent */
	ICE_LINE_RETRANSMITTED,
	ICE_LINE_ANSWER,    /* to a check: success says how it ended */
	ICE_LINE_KEEPALIVE, /* a check of the selected pair was sent */
	ICE_LINE_KEEPALIVE_ANSWER,
	ICE_LINE_CLEARED, /* the whole list went */
};

struct ice_line {
	enum ice_line_kind kind;
	uintptr_t agent, pair; /* libnice's pointers, used as names only */
	enum ice_pair_state state;
	union address local, remote;
	bool success;
};

/* False: the line is not about an agent. Lines hold passwords: they are read here and go nowhere else. */
bool ice_line_parse(struct ice_line *out, const char *text);

struct ice_known_pair {
	uintptr_t id;
	union address local, remote; /* IPv6 without scope: the lines do not say it */
	enum ice_pair_state state;
	uint64_t sent_at; /* the check that is under way, 0: none, or one that was repeated: its answer would
			     be ambiguous */
	uint64_t rtt;
	unsigned requests, answers;
	bool nominated;
};

#define ICE_PAIRS_MAX 128 /* libnice keeps at most 100 */

struct ice_pairs {
	struct ice_known_pair *pair; /* grows as needed */
	unsigned count, room;
	unsigned keepalives, keepalives_answered;
	uint64_t keepalive_at, keepalive_rtt;
};

void ice_pairs_take(struct ice_pairs *p, const struct ice_line *line, uint64_t now);
void ice_pairs_clear(struct ice_pairs *p);

struct ice_keepalives {
	unsigned unanswered; /* since the agent was made; one that is under way does not count */
	uint64_t rtt;	     /* of the selected pair, 0: not known */
};
struct ice_keepalives ice_pairs_keepalives(const struct ice_pairs *p);

#endif
