/* Drawing into a grid: text that is cut with an ellipsis, rules, bars, sparklines. */
#ifndef WEIR_TUI_DRAW_H
#define WEIR_TUI_DRAW_H

#include <stddef.h>

#include "tui/grid.h"
#include "tui/style.h"

/* A place to write: one row from col up to (not including) limit; what was written moves col. */
struct pen {
	struct grid *grid;
	int row, col, limit;
};

struct pen pen_at(struct grid *g, int row, int col, int limit);

/* Writes clean UTF-8; what does not fit is cut, and the last cell says so with an ellipsis. */
void pen_text(struct pen *p, uint8_t style, const char *text);
void pen_print(struct pen *p, uint8_t style, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same in a field of exactly `width` cells, the rest blank; numbers go right. */
void pen_field(struct pen *p, uint8_t style, int width, const char *text);
void pen_field_right(struct pen *p, uint8_t style, int width, const char *text);
void pen_skip(struct pen *p, int cells);
void pen_goto(struct pen *p, int col);

/* Text that ends at the row's limit; nothing when it would touch what is there before it. */
void pen_right(struct pen *p, uint8_t style, const char *text);

/* "── title ──────── note ──" over the whole row of the pen. */
void draw_rule(struct pen *p, const char *title, const char *note);

/* A bar of `width` cells, `part` (0..1) of it full. */
void draw_bar(struct pen *p, uint8_t style, int width, double part);

/* Text over several rows of a region, broken at blanks; rows used, at most `rows`. */
int draw_wrapped(struct grid *g, int row, int rows, int col, int limit, uint8_t style, const char *text);

#endif
