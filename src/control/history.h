/*
 * The recorded past: snapshots, events and log lines as subscribers get them, deflated in a ring of a fixed
 * size. Fine where something is wrong, coarse where nothing is: the ring is to reach back an hour at least,
 * and the recording to stay under one percent of a core, whatever the number of peers.
 */
#ifndef WEIR_CONTROL_HISTORY_H
#define WEIR_CONTROL_HISTORY_H

#include "control/internal.h"

struct history;

struct history *history_new(struct control *control, size_t max_bytes);
void history_free(struct history *h); /* NULL is allowed */

/* From the engine's observer: the line as subscribers get it. */
void history_event(struct history *h, struct engine_peer *p, const struct timeline_event *ev,
		   const struct strbuf *line);

/*
 * Is there no room for another reader? Those that stand still hold what the ring has given up; whoever takes
 * nothing for a time is cut off. ns: for how long, 30 s if never set.
 */
bool history_busy(struct history *h);
void history_patience(struct history *h, uint64_t ns);

/* Members of the device's object. NULL: recording is off. */
void history_members(const struct history *h, struct writer *w);

/*
 * What is recorded, in lines. A line that is being written is finished first, some more of it with each call:
 * NULL as long as it is not.
 */
struct record_reader *history_read(struct history *h, uint64_t from, uint64_t to);

#endif
