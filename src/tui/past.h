/*
 * The past of a network: the lines that told it, and the picture that a view would have had at any moment of
 * it. Pictures are made by playing lines from the nearest one that was kept. No clock, no I/O.
 */
#ifndef WEIR_TUI_PAST_H
#define WEIR_TUI_PAST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/data.h"

struct past;

struct past *past_new(double interval); /* s, for rates: as with data_line */
void past_free(struct past *p);

/*
 * Takes in one line, in the order of time. Recorded lines carry their time (`at` 0); of others the caller
 * says it. False: it tells nothing of the past, or comes before the first full snapshot.
 */
bool past_line(struct past *p, const char *line, size_t len, double at);

/* When a recorded line was recorded, 0 if this is none. Of the text alone: the line need not be JSON. */
double past_line_at(const char *line, size_t len);

/* The lines of another past that are later than all of this one. */
void past_append(struct past *p, const struct past *from);

/* Drops all that comes before the last but `keep` full snapshots. */
void past_trim(struct past *p, unsigned keep);

size_t past_lines(const struct past *p);
size_t past_since_full(const struct past *p); /* of the last full snapshot and what came after it */
double past_first(const struct past *p);      /* 0: nothing there */
double past_last(const struct past *p);

/* Makes pictures ahead, for at most about this many bytes of lines. True when all are made. */
bool past_prepare(struct past *p, size_t bytes);

/* ---- a moment: after a snapshot or an event ---- */

void past_seek(struct past *p, double at); /* the last moment that is not later; else the first */
void past_step(struct past *p, int by);	   /* so many moments further */
double past_at(const struct past *p);
const struct data *past_data(struct past *p); /* the picture; until the next call. NULL: there is none */

/* The same in pieces: plays at most about so many bytes of lines towards it. True when it is made. */
bool past_work(struct past *p, size_t bytes);
const struct data *past_shown(const struct past *p); /* as far as it is made, or the last one. NULL: none */

/* The worst level of an event in each of `cells` equal spans from first to last; LEVELS: none. */
void past_marks(const struct past *p, uint8_t *levels, int cells);

#endif
