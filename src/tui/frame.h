/* From one grid to the next in few bytes. What a terminal understands comes in as strings; nothing is
 * written. */
#ifndef WEIR_TUI_FRAME_H
#define WEIR_TUI_FRAME_H

#include "base/strbuf.h"
#include "tui/grid.h"

struct frame_caps {
	/* Cursor to a cell, both from 0. The string is valid until the next call. */
	const char *(*move)(void *arg, int row, int col);
	void *arg;
	const char *clear;	/* whole screen, cursor to the first cell */
	const char *clear_eol;	/* to the end of the line; NULL if there is none */
	const char *styles[32]; /* by style byte: from whatever was set to exactly this */
	bool last_cell;		/* the last cell of the last row can be written without scrolling */
};

/*
 * Appends what turns `before` into `after`; with before NULL, or of another size, the screen is cleared
 * first. Nothing is appended when both are the same. The style is plain before and after.
 */
void frame_diff(struct strbuf *out, const struct grid *before, const struct grid *after,
		const struct frame_caps *caps);

#endif
