#include "tui/draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "tui/text.h"

#define RULE	 0x2500
#define ELLIPSIS 0x2026

struct pen pen_at(struct grid *g, int row, int col, int limit)
{
	return (struct pen){g, row, col, limit < g->width ? limit : g->width};
}

void pen_text(struct pen *p, uint8_t style, const char *text)
{
	int room = p->limit - p->col;
	bool cut = room > 0 && text_cells(text) > (size_t)room;
	int limit = cut ? p->limit - 1 : p->limit;
	uint32_t ch;

	if (room <= 0)
		return;
	while (*text) {
		int used;

		text += text_decode(text, &ch);
		used = grid_put(p->grid, p->row, p->col, limit, ch, style);
		if (!used)
			break;
		p->col += used;
	}
	if (cut) {
		while (p->col < p->limit) /* a wide character may have left two cells */
			p->col += grid_put(p->grid, p->row, p->col, p->limit, ELLIPSIS, style) ? 1 : p->limit;
		p->col = p->limit;
	}
}

void pen_print(struct pen *p, uint8_t style, const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	pen_text(p, style, text);
}

void pen_field(struct pen *p, uint8_t style, int width, const char *text)
{
	struct pen field = *p;
	int end = p->col + width;

	if (end > p->limit)
		end = p->limit;
	field.limit = end;
	pen_text(&field, style, text);
	p->col = end;
}

void pen_field_right(struct pen *p, uint8_t style, int width, const char *text)
{
	int cells = (int)text_cells(text), end = p->col + width;
	struct pen field = *p;

	if (cells < width)
		field.col += width - cells;
	if (end < field.limit)
		field.limit = end;
	pen_text(&field, style, text);
	p->col = end < p->limit ? end : p->limit;
}

void pen_skip(struct pen *p, int cells)
{
	p->col += cells;
}

void pen_goto(struct pen *p, int col)
{
	if (p->col < col)
		p->col = col;
}

void pen_right(struct pen *p, uint8_t style, const char *text)
{
	int start = p->limit - (int)text_cells(text);
	struct pen end = *p;

	if (start <= p->col)
		return;
	end.col = start;
	pen_text(&end, style, text);
	p->limit = start - 1;
}

static void rule_cells(struct pen *p, int until)
{
	while (p->col < until && p->col < p->limit)
		p->col += grid_put(p->grid, p->row, p->col, p->limit, RULE, STYLE_DIM) ? 1 : p->limit;
}

void draw_rule(struct pen *p, const char *title, const char *note)
{
	int left = p->limit - p->col, note_cells = (int)text_cells(note);

	rule_cells(p, p->col + 2);
	if (*title) {
		struct pen words = *p;

		words.limit -= 3;
		pen_text(&words, STYLE_PLAIN, " ");
		pen_text(&words, STYLE_HEAD, title);
		pen_text(&words, STYLE_PLAIN, " ");
		p->col = words.col > p->col ? words.col : p->col;
	}
	if (*note && p->col + note_cells + 6 < p->limit && note_cells < left) {
		rule_cells(p, p->limit - note_cells - 4);
		pen_print(p, STYLE_DIM, " %s ", note);
	}
	rule_cells(p, p->limit);
}

void draw_bar(struct pen *p, uint8_t style, int width, double part)
{
	int full = (int)floor(fmax(0, fmin(1, part)) * width + 0.5);

	for (int i = 0; i < width && p->col < p->limit; i++)
		p->col += grid_put(p->grid, p->row, p->col, p->limit, i < full ? 0x2588 : 0xb7,
				   i < full ? style : STYLE_DIM)
				  ? 1
				  : p->limit;
}

/* Bytes of text that fit into `cells`, at a blank when there is one; *next is where to go on. */
static size_t line_break(const char *text, int cells, const char **next)
{
	const char *s = text, *blank = NULL;
	uint32_t ch;

	while (*s) {
		size_t used = text_decode(s, &ch);

		if (text_width(ch) > cells)
			break;
		if (ch == ' ')
			blank = s;
		cells -= text_width(ch);
		s += used;
	}
	if (*s && *s != ' ' && blank && blank > text)
		s = blank;
	*next = s;
	while (**next == ' ')
		(*next)++;
	return (size_t)(s - text);
}

int draw_wrapped(struct grid *g, int row, int rows, int col, int limit, uint8_t style, const char *text)
{
	int used = 0;

	while (*text && used < rows && limit > col) {
		struct pen p = pen_at(g, row + used, col, limit);
		const char *next;
		size_t len = line_break(text, p.limit - p.col, &next);
		char line[512];

		if (used + 1 == rows || !len) {
			pen_text(&p, style, text);
			return used + 1;
		}
		if (len >= sizeof(line))
			len = sizeof(line) - 1;
		memcpy(line, text, len);
		line[len] = '\0';
		pen_text(&p, style, line);
		text = next;
		used++;
	}
	return used;
}
