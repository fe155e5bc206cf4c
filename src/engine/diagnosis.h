/*
 * How the engine keeps what rules need (diagnose/rules.h): of a peer that is well, nothing but its counters
 * at the last handshake; of one that is not well, or looked at, samples of a minute and the times of what
 * happened. Control thread.
 */
#ifndef WEIR_ENGINE_DIAGNOSIS_H
#define WEIR_ENGINE_DIAGNOSIS_H

#include "diagnose/told.h"
#include "engine/internal.h"
#include "engine/ways.h"

#define DIAGNOSIS_SAMPLES  7
#define DIAGNOSIS_INTERVAL (10 * NS_PER_SEC) /* between samples: they reach back a minute */

struct peer_sample {
	uint64_t at;
	uint32_t counters[WG_COUNTERS]; /* low halves: differences of a minute fit */
	unsigned rotations, remote_sessions;
};

/* A peer that is not well, or was looked at lately. */
struct trouble {
	struct list link; /* in the desk's list, longest not looked at first */
	struct engine_peer *peer;
	uint64_t until; /* boot ns: nothing is wrong and nobody asks by then: forgotten */
	bool stuck;	/* of those that are counted, with the time when it was heard last */

	struct peer_sample samples[DIAGNOSIS_SAMPLES]; /* a ring */
	unsigned count, next;
	unsigned rotations, remote_sessions; /* seen since the trouble began */
	uint64_t local_session_since, remote_session_since;

	uint64_t timestamp_delta, response_rejected, inner_rejected, stolen_at, remote_restarted_at, we_restarted_at,
		initiation_received;

	struct signal_report report_before;
	uint64_t report_before_at;

	struct diagnosis_told told;
};

struct device_sample {
	uint64_t at;
	uint64_t counters[WG_COUNTERS];
};

struct diagnosis_desk {
	struct list troubles;
	unsigned count;
	uint64_t due;  /* boot ns */
	bool observed; /* what follows was looked at before */
	uint64_t wall_minus_boot, suspended;
	uint64_t clock_stepped_at, resumed_at, suspended_for, network_changed_at, udp_received_at;
	int64_t clock_step;
	uint64_t received; /* datagrams that were counted so far, good or bad */
	struct device_sample samples[DIAGNOSIS_SAMPLES];
	unsigned sample_count, next_sample;
	uint64_t peers_counted_at, link_looked_at, host_looked_at;
	struct diagnosis_device device;
	uint64_t device_at;
	struct diagnosis_facts facts; /* room for one peer's */
	struct diagnoses found;
	struct wg_stranger strangers[WG_STRANGERS];
	size_t stranger_count;
	struct ways inner_ways; /* of this host's packets into the tunnels */
};

/* diagnosis.c */
void diagnosis_open(struct engine *g);
void diagnosis_close(struct engine *g);
struct trouble *diagnosis_trouble(struct engine_peer *p, uint64_t now); /* NULL: too many have some */

/* diagnosis_facts.c */
void diagnosis_observe(struct engine *g, uint64_t now); /* clocks and device, in each pass */
void diagnosis_sample(struct trouble *t, uint64_t now);
void diagnosis_device(struct engine *g, uint64_t now);
void diagnosis_gather(struct engine_peer *p, uint64_t now); /* into desk->facts; desk->device is new enough */

/* diagnosis_net.c: relays, NAT, name server and addresses of this host */
void diagnosis_paths_device(struct engine *g, struct diagnosis_device *v, uint64_t now);
enum diagnosis_nat diagnosis_remote_nat(uint8_t kind); /* enum signal_nat, as a peer tells it */

/* diagnosis_paths.c: facts of one peer's paths, ICE and routes */
void diagnosis_paths_facts(struct engine_peer *p, struct diagnosis_facts *f, uint64_t now);

#endif
