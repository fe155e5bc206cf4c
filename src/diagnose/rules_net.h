/* What the rules about paths, relays and ICE ask alike. */
#ifndef WEIR_DIAGNOSE_RULES_NET_H
#define WEIR_DIAGNOSE_RULES_NET_H

#include "diagnose/rules_internal.h"

#define A_MINUTE (60 * NS_PER_SEC)

/* What follows from a tunnel that has no way. */
#define NO_WAY                                                                                               \
	"no-answer stopped-answering data-unanswered outbound-blocked return-path-blocked "                  \
	"peer-lacks-our-key no-endpoint path-died"
/* And from a direct path that is not found, while a relay does. */
#define NOT_DIRECT "no-direct-path retry-parked"

const struct diagnosis_path *net_chosen(const struct diagnosis_facts *f); /* NULL: none */
bool net_in_trouble(const struct diagnosis_facts *f, uint64_t now);	  /* longer than a recovery takes */
bool net_relayed(const struct diagnosis_facts *f);	/* the tunnel works, over a relay or TURN */
bool net_direct(const struct diagnosis_facts *f);	/* it works without */
bool net_wants_direct(const struct diagnosis_facts *f); /* nobody asked for the relay, and ICE may be used */
bool net_over_udp(const struct diagnosis_path *p);
bool net_announced(const struct diagnosis_facts *f); /* some relay has the peer online */

/* Trouble, or a note when the tunnel works all the same. */
void net_severity(struct diagnosis *d, const struct diagnosis_facts *f, uint64_t now);

/* When it is tried again, for the end of a sentence: " Tried again in 25 s." or "". */
const char *net_next_try(char out[48], const struct diagnosis_facts *f, uint64_t now);

#endif
