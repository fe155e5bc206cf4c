/* What the named faults share: stages to set, and ways to measure. */
#ifndef WEIR_TESTS_SIM_STAGE_H
#define WEIR_TESTS_SIM_STAGE_H

#include "tests/sim/sim.h"

#define LONG SECONDS(400) /* longer than any bound: not recovered */

void stage_nats(struct world *w, enum nat_kind a, enum nat_kind b);
void stage_start(struct world *w, enum pattern p); /* all nodes, and traffic between A and B */
void stage_ice(struct world *w);   /* settled on ICE between ordinary NATs, the relay beside it */
void stage_relay(struct world *w); /* settled on the relay, between symmetric NATs */
void stage_run(struct world *w, uint64_t duration);

/* Until payload sent after the fault arrives, from the fault on. */
void recover(struct world *w, struct result *out);
/* Until both ends send on such a path. */
void recover_path(struct world *w, struct result *out, enum path_kind kind);
/* For `duration` payload must not stand still for longer than `most`, and the path not change more than
 * `changes` times. */
void expect_steady(struct world *w, struct result *out, uint64_t duration, uint64_t most, unsigned changes);
void block(struct world *w, unsigned a, unsigned b, bool blocked); /* datagrams, both ways */
void new_address(struct world *w, unsigned node);		   /* of its NAT: all that it had is gone */
void inject_frame(struct world *w, unsigned from, unsigned to, enum signal_type type, const uint8_t *session,
		  uint32_t generation); /* as if `from` had sent it by the relay that both use */
void inject_event(struct world *w, unsigned node, unsigned peer, enum peer_event_type type,
		  struct peer_path_ref path, bool up);
uint64_t longest_gap(struct world *w);
void gap_begins(struct world *w);

extern const struct scenario path_scenarios[], relay_scenarios[], tunnel_scenarios[];
extern const size_t path_scenario_count, relay_scenario_count, tunnel_scenario_count;

#endif
