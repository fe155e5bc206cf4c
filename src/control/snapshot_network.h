/* Paths, ICE, sessions and relays in the objects of weir-control(7). */
#ifndef WEIR_CONTROL_SNAPSHOT_NETWORK_H
#define WEIR_CONTROL_SNAPSHOT_NETWORK_H

#include "control/json_writer.h"
#include "control/snapshot.h"
#include "engine/network.h"

#define SNAPSHOT_RELAYS 64

/* The member "network" of a peer that has a controller. */
void snapshot_network(struct writer *w, const struct engine_network_view *v,
		      const struct ice_pair_view *pairs, size_t pair_count, const struct time_base *t);

/* The member "relays" of the device. */
void snapshot_relays(struct writer *w, const struct engine_relay_view *relays, size_t count,
		     const struct time_base *t);

#endif
