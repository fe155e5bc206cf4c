/*
 * What is told of a peer's verdicts from one look to the next: not each of them, for tries that come and go would
 * fill the timeline. Pure.
 */
#ifndef WEIR_DIAGNOSE_TOLD_H
#define WEIR_DIAGNOSE_TOLD_H

#include "diagnose/rules.h"

/* All zero: nothing was looked at yet. */
struct diagnosis_told {
	const struct diagnosis_rule *rule;	/* NULL: nothing is wrong with it */
	const struct diagnosis_rule *candidate; /* of the last look */
	enum diagnosis_confidence confidence;
	enum diagnosis_severity severity;
	enum peer_word word;	 /* when it was seen last */
	uint64_t since, seen_at; /* it was first in a look */
	char verdict[sizeof(((struct diagnosis *)0)->verdict)];
};

/* After each look, one a second or so. True: what is to be told of the peer is another now. */
bool diagnosis_tell(struct diagnosis_told *t, const struct diagnoses *found, enum peer_word word, uint64_t now);

#endif
