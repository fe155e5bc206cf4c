/* The objects of weir-control(7), written from the engine's views. No I/O, no clock. */
#ifndef WEIR_CONTROL_SNAPSHOT_H
#define WEIR_CONTROL_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/json_writer.h"
#include "diagnose/rules.h"
#include "engine/network.h"

#define CONTROL_SCHEMA 1

/* Allowed IPs of a peer that a snapshot shows, and that the "peer" method shows. */
#define SNAPSHOT_ALLOWED 64
#define PEER_ALLOWED	 1024

/*
 * Boot times become wall times by an offset that stands still: taking it anew each time would let every time
 * of every idle peer jitter. It follows the wall clock when that was set.
 */
struct time_base {
	uint64_t wall_minus_boot;
};
bool time_base_follow(struct time_base *t, struct instant now);	      /* true when the wall clock was set */
uint64_t time_base_wall(const struct time_base *t, uint64_t boot_ns); /* 0 stays 0 */

/* What of an object does not come from the engine. */
struct snapshot_host {
	const char *hostname;
	const char *configuration; /* path, NULL: none */
	struct instant now;
	uint64_t dropped; /* lines that the receiver was too slow for */
};

/* The members of a snapshot up to, not including, "peers". */
void snapshot_device(struct writer *w, const struct engine_view *v, const struct key *public_key,
		     const struct time_base *t, const struct snapshot_host *host);

struct allowed_list {
	size_t total, count;
	struct {
		uint8_t family, len;
		uint8_t addr[16];
	} items[PEER_ALLOWED];
};
void allowed_list_take(struct allowed_list *a, const struct wg_peer *p);

/* What the engine tells of a peer's paths. */
#define SNAPSHOT_PAIRS 64
struct snapshot_paths {
	struct engine_network_view view;
	struct ice_pair_view pairs[SNAPSHOT_PAIRS];
	size_t pair_count;
};
/* NULL: the peer has no controller; else p. */
const struct snapshot_paths *snapshot_paths_take(struct snapshot_paths *s, struct engine_peer *p);

/* What is wrong with a peer; NULL: nothing that is known. room takes it. */
const struct diagnoses *snapshot_diagnosis_take(struct diagnoses *room, struct engine_peer *p);
void snapshot_diagnosis(struct writer *w, const struct diagnoses *d,
			const struct time_base *t); /* the member */

/* One peer object with at most max_allowed allowed IPs; paths and diagnosis may be NULL. */
void snapshot_peer(struct writer *w, const struct engine_peer_view *v, const struct allowed_list *allowed,
		   size_t max_allowed, const struct snapshot_paths *paths, const struct diagnoses *diagnosis,
		   const struct time_base *t);

/* The members that a list of all peers needs: a quarter of the bytes, for `weir status` with many peers. */
void snapshot_peer_brief(struct writer *w, const struct engine_peer_view *v,
			 const struct engine_network_view *network); /* NULL: no controller */

/* The members that metrics are made of, but for those of the network. */
void snapshot_metrics(struct writer *w, const struct engine_peer_view *v, const struct allowed_list *allowed);

/* peer_key "" for events of the device. */
void snapshot_event(struct writer *w, const struct timeline_event *ev, const char *peer_key,
		    const char *peer_name);
void snapshot_log(struct writer *w, const struct log_record *r);

#endif
