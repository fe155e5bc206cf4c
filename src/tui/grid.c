#include "tui/grid.h"

#include <stdlib.h>

#include "base/xalloc.h"
#include "tui/style.h"
#include "tui/text.h"

void grid_init(struct grid *g, int width, int height, bool ascii)
{
	*g = (struct grid){.width = width, .height = height, .ascii = ascii};
	g->cells = xcalloc((size_t)width * (size_t)height + 1, sizeof(*g->cells));
	grid_blank(g);
}

void grid_clear(struct grid *g)
{
	free(g->cells);
	*g = (struct grid){0};
}

void grid_blank(struct grid *g)
{
	for (int i = 0; i < g->width * g->height; i++)
		g->cells[i] = (struct cell){' ', STYLE_PLAIN};
	g->cursor_row = g->cursor_col = 0;
}

struct cell *grid_at(const struct grid *g, int row, int col)
{
	if (row < 0 || col < 0 || row >= g->height || col >= g->width)
		return NULL;
	return &g->cells[row * g->width + col];
}

/* A cell is about to be overwritten: the other half of a wide character there becomes a blank. */
static void break_wide(struct grid *g, int row, int col)
{
	struct cell *here = grid_at(g, row, col), *left = grid_at(g, row, col - 1),
		    *right = grid_at(g, row, col + 1);

	if (here && !here->ch && left)
		left->ch = ' ';
	if (right && !right->ch)
		right->ch = ' ';
}

int grid_put(struct grid *g, int row, int col, int limit, uint32_t ch, uint8_t style)
{
	int width = text_width(ch);
	struct cell *c = grid_at(g, row, col);

	if (limit > g->width)
		limit = g->width;
	if (!width) {
		ch = '?';
		width = 1;
	}
	if (!c || col + width > limit)
		return 0;
	if (g->ascii && ch > 0x7e) {
		char ascii = style_ascii(ch);

		ch = ascii ? (uint32_t)ascii : '?';
	}
	break_wide(g, row, col);
	if (width == 2) {
		break_wide(g, row, col + 1);
		c[1] = (struct cell){g->ascii ? '?' : 0, style};
	}
	c[0] = (struct cell){ch, style};
	return width;
}

void grid_select(struct grid *g, int row, int col, int limit)
{
	for (; col < limit; col++) {
		struct cell *c = grid_at(g, row, col);

		if (c)
			c->style |= STYLE_SELECT;
	}
}

void grid_text(const struct grid *g, struct strbuf *out)
{
	char utf8[4];

	for (int row = 0; row < g->height; row++) {
		for (int col = 0; col < g->width; col++) {
			uint32_t ch = grid_at(g, row, col)->ch;

			if (ch)
				strbuf_append(out, utf8, text_encode(utf8, ch));
		}
		strbuf_append(out, "\n", 1);
	}
}

void grid_letters(const struct grid *g, struct strbuf *out)
{
	for (int row = 0; row < g->height; row++) {
		for (int col = 0; col < g->width; col++) {
			char c = style_letter(grid_at(g, row, col)->style);

			strbuf_append(out, &c, 1);
		}
		strbuf_append(out, "\n", 1);
	}
}
