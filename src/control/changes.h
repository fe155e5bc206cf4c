/*
 * Which peers look different from before. Each peer that is watched costs a look at its counters per sweep;
 * only when those moved, or an event touched it, is its object written and compared by hash. A change gives
 * the peer a new version, so any number of readers, fast or slow, can ask "what is newer than what I have".
 */
#ifndef WEIR_CONTROL_CHANGES_H
#define WEIR_CONTROL_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/snapshot.h"
#include "engine/engine.h"

struct changes;

struct changes *changes_new(struct engine *g, const struct time_base *t); /* t is borrowed */
void changes_free(struct changes *c);

/* Facts, from the engine's observers. */
void changes_peer_added(struct changes *c, struct engine_peer *p);
void changes_peer_removed(struct changes *c, const struct key *public_key);
void changes_peer_touched(struct changes *c, struct engine_peer *p);
void changes_all_touched(struct changes *c);

/* Looks at the touched peers, and with `everybody` at all. Takes at most about 10 ms: true when some are
 * left. */
bool changes_sweep(struct changes *c, struct instant now, bool everybody);

uint64_t changes_version(const struct changes *c);

/* Keys of peers newer than a version (caller frees). */
size_t changes_since(const struct changes *c, uint64_t version, struct key **keys);

/* Keys removed after a version (caller frees). False: too long ago to know; begin with everything again. */
bool changes_removed_since(const struct changes *c, uint64_t version, struct key **keys, size_t *count);

/* A reader is about to be sent this object of the peer. */
void changes_sent(struct changes *c, const struct key *public_key, const char *object, size_t len);

#endif
