#include "tui/frame.h"

#include <string.h>

#include "tui/style.h"
#include "tui/text.h"

/* A cursor address costs about eight bytes: shorter gaps of the same style are written over. */
#define GAP_MAX 6

struct writer {
	struct strbuf *out;
	const struct frame_caps *caps;
	const struct grid *before, *after;
	int row, col; /* where the terminal's cursor is; -1: not known */
	uint8_t style;
};

static void put_string(struct writer *w, const char *s)
{
	if (s)
		strbuf_append(w->out, s, strlen(s));
}

static void set_style(struct writer *w, uint8_t style)
{
	if (w->style == style)
		return;
	put_string(w, w->caps->styles[style & 31]);
	w->style = style;
}

static bool same(const struct writer *w, int row, int col)
{
	const struct cell *a = grid_at(w->after, row, col), *b;

	if (!w->before)
		return a->ch == ' ' && a->style == STYLE_PLAIN;
	b = grid_at(w->before, row, col);
	return a->ch == b->ch && a->style == b->style;
}

/* The gap from the cursor to col may be written over: short, and in the style that is set. */
static bool bridge(const struct writer *w, int row, int col)
{
	if (w->row != row || w->col < 0 || col < w->col || col - w->col > GAP_MAX)
		return false;
	for (int i = w->col; i < col; i++) {
		const struct cell *c = grid_at(w->after, row, i);

		if (c->style != w->style || c->ch < ' ' || c->ch > 0x7e)
			return false;
	}
	return true;
}

static void put_cell(struct writer *w, int row, int col)
{
	const struct cell *c = grid_at(w->after, row, col);
	char utf8[4];

	set_style(w, c->style);
	strbuf_append(w->out, utf8, text_encode(utf8, c->ch));
	w->col = col + text_width(c->ch);
	w->row = row;
	if (w->col >= w->after->width)
		w->row = w->col = -1; /* terminals differ about where it is now */
}

static void go(struct writer *w, int row, int col)
{
	if (w->row == row && w->col == col)
		return;
	if (bridge(w, row, col)) {
		for (int i = w->col; i < col; i++)
			put_cell(w, row, i);
		return;
	}
	put_string(w, w->caps->move(w->caps->arg, row, col));
	w->row = row;
	w->col = col;
}

/* From here on the row is blank in the new grid. */
static int blank_from(const struct writer *w, int row)
{
	int col = w->after->width;

	while (col > 0) {
		const struct cell *c = grid_at(w->after, row, col - 1);

		if (c->ch != ' ' || c->style != STYLE_PLAIN)
			break;
		col--;
	}
	return col;
}

static void put_row(struct writer *w, int row)
{
	int blank = w->caps->clear_eol ? blank_from(w, row) : w->after->width;

	for (int col = 0; col < w->after->width; col++) {
		if (same(w, row, col))
			continue;
		if (col >= blank && w->after->width - col > 3) {
			go(w, row, col);
			set_style(w, STYLE_PLAIN);
			put_string(w, w->caps->clear_eol);
			return;
		}
		if (!grid_at(w->after, row, col)->ch)
			continue; /* written with its left half */
		if (row == w->after->height - 1 &&
		    col + text_width(grid_at(w->after, row, col)->ch) == w->after->width &&
		    !w->caps->last_cell)
			continue;
		go(w, row, col);
		put_cell(w, row, col);
	}
}

void frame_diff(struct strbuf *out, const struct grid *before, const struct grid *after,
		const struct frame_caps *caps)
{
	struct writer w = {.out = out, .caps = caps, .before = before, .after = after, .row = -1, .col = -1};
	size_t start = out->len;

	if (before && (before->width != after->width || before->height != after->height))
		w.before = NULL;
	if (!w.before) {
		put_string(&w, caps->styles[STYLE_PLAIN]);
		put_string(&w, caps->clear);
		w.row = w.col = 0;
	}
	for (int row = 0; row < after->height; row++)
		put_row(&w, row);
	set_style(&w, STYLE_PLAIN);
	if (out->len != start || (w.before && (before->cursor_row != after->cursor_row ||
					       before->cursor_col != after->cursor_col)))
		go(&w, after->cursor_row, after->cursor_col);
}
