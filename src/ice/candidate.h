/* One candidate's text, read strictly: what comes from the remote is checked here before libnice sees it.
 * Pure. */
#ifndef WEIR_ICE_CANDIDATE_H
#define WEIR_ICE_CANDIDATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "ice/ice.h"

struct candidate {
	union address address;
	enum ice_candidate_type type;
	uint32_t priority;
	bool tcp;
};

/* An SDP attribute value (RFC 8839 section 5.1) of component 1, without "candidate:". 0 or -EINVAL. */
int candidate_parse(struct candidate *out, const char *text);

/* The same place by the same kind of way, whatever the priority. */
bool candidate_same(const struct candidate *a, const struct candidate *b);

/* ice-char of RFC 8839: letters, digits, + and /; at least min of them. */
bool credential_valid(const char *text, unsigned min);

#endif
