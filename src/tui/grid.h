/*
 * The screen as data: width times height cells. Views write here and nowhere else; frame.h turns the
 * difference of two grids into bytes.
 *
 * Invariants: nothing is written outside; a wide character always has both of its cells (the right one has
 * ch 0); every code point in a cell is drawable; an ASCII grid holds ASCII only, in the same cells.
 */
#ifndef WEIR_TUI_GRID_H
#define WEIR_TUI_GRID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct cell {
	uint32_t ch; /* 0: right half of the wide character to the left */
	uint8_t style;
};

struct grid {
	int width, height;
	bool ascii;
	int cursor_row, cursor_col;
	struct cell *cells;
};

void grid_init(struct grid *g, int width, int height, bool ascii); /* blank */
void grid_clear(struct grid *g);				   /* frees */
void grid_blank(struct grid *g);
struct cell *grid_at(const struct grid *g, int row, int col); /* NULL outside */

/* Writes one code point; a wide one only if both cells are left of limit. Cells used, 0 if it did not fit. */
int grid_put(struct grid *g, int row, int col, int limit, uint32_t ch, uint8_t style);

/* Ors STYLE_SELECT into a row from col up to limit. */
void grid_select(struct grid *g, int row, int col, int limit);

/* The text of all rows, each ended by a newline; and the letters of all styles. */
void grid_text(const struct grid *g, struct strbuf *out);
void grid_letters(const struct grid *g, struct strbuf *out);

#endif
