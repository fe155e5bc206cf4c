/* A peer of which all is known, for the rules about the network: how it can stand, and what is asserted of
 * each rule. */
#ifndef WEIR_TEST_RULES_RIG_H
#define WEIR_TEST_RULES_RIG_H

#include "tests/unit/test.h"

#include "base/clock.h"
#include "diagnose/rules_internal.h"

#define NOW	 (10000 * NS_PER_SEC)
#define AGO(s)	 (NOW - (s)*NS_PER_SEC)
#define AHEAD(s) (NOW + (s)*NS_PER_SEC)

struct rules_world {
	struct diagnosis_device device;
	struct diagnosis_facts f;
};
extern struct rules_world w;
extern struct diagnoses found; /* of the last look */

struct diagnosis_relay *relay(void); /* the only one */
struct diagnosis_path *add_path(enum path_kind kind, enum path_state state, const char *remote);

/* Each begins anew. */
void direct(void);     /* with a relay that stands by: a healthy peer */
void relayed(void);    /* healthy, too */
void ice_failed(void); /* it is at a relay, by the way of which the last try for a direct path failed */
void stuck(void);      /* handshakes go unanswered; no path, and nobody at the relay */
void no_relay(void);   /* and the relay is not reached */

struct rule_case {
	const char *id;
	void (*fits)(void),
		(*near)(void); /* facts of which it is the first verdict; the nearest of which it is none */
	bool note;	       /* it hurts nobody, and must not be called trouble */
};

void each_fault_is_the_first_verdict(const struct rule_case *cases, size_t count);
void nearest_facts_have_another_verdict(const struct rule_case *cases, size_t count);
void every_rule_has_a_case(const struct diagnosis_rule *rules, const struct rule_case *cases, size_t count);

#endif
