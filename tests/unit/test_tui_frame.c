/* Grid and frame: what is emitted, interpreted by a small terminal, must give the new grid. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/draw.h"
#include "tui/frame.h"
#include "tui/grid.h"
#include "tui/text.h"

static char moved[32], style_texts[32][16];

static const char *move_to(void *arg, int row, int col)
{
	(void)arg;
	snprintf(moved, sizeof(moved), "\033[%d;%dH", row + 1, col + 1);
	return moved;
}

static struct frame_caps caps_of(bool clear_eol, bool last_cell)
{
	struct frame_caps c = {.move = move_to,
			       .clear = "\033[2J",
			       .clear_eol = clear_eol ? "\033[K" : NULL,
			       .last_cell = last_cell};

	for (int i = 0; i < 32; i++) {
		snprintf(style_texts[i], sizeof(style_texts[i]), "\033[%dm", i);
		c.styles[i] = style_texts[i];
	}
	return c;
}

/* A terminal that knows four sequences; it fails when a character would wrap or scroll. */
static void interpret(struct grid *screen, const char *s, size_t len)
{
	int row = 0, col = 0, a, b;
	uint8_t style = 0;
	const char *end = s + len;

	while (s < end) {
		uint32_t ch;

		if (*s != '\033') {
			s += text_decode(s, &ch);
			assert_in_range(row, 0, screen->height - 1);
			assert_in_range(col, 0, screen->width - 1);
			grid_at(screen, row, col)[0] = (struct cell){ch, style};
			if (text_width(ch) == 2) {
				assert_in_range(col + 1, 1, screen->width - 1);
				grid_at(screen, row, col + 1)[0] = (struct cell){0, style};
			}
			col += text_width(ch);
			continue;
		}
		if (strncmp(s, "\033[2J", 4) == 0) {
			grid_blank(screen);
			row = col = 0;
			s += 4;
		} else if (strncmp(s, "\033[K", 3) == 0) {
			assert_int_equal(style, 0); /* or the blanks would take its colour */
			for (int c = col; c < screen->width; c++)
				*grid_at(screen, row, c) = (struct cell){' ', 0};
			s += 3;
		} else if (sscanf(s, "\033[%d;%dH", &a, &b) == 2) {
			row = a - 1;
			col = b - 1;
			s = strchr(s, 'H') + 1;
		} else if (sscanf(s, "\033[%d", &a) == 1) {
			style = (uint8_t)a;
			s = strchr(s, 'm') + 1;
		} else {
			fail_msg("unknown sequence");
		}
	}
	assert_int_equal(style, 0);
	screen->cursor_row = row;
	screen->cursor_col = col;
}

/* but_last: the terminal cannot take the last cell, nor a wide character that ends there. */
static void same_cells(const struct grid *a, const struct grid *b, bool but_last)
{
	int count = a->width * a->height - 2 * but_last;

	for (int i = 0; i < count; i++) {
		assert_int_equal(a->cells[i].ch, b->cells[i].ch);
		assert_int_equal(a->cells[i].style, b->cells[i].style);
	}
}

static unsigned pick(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 16) % below;
}

static void scribble(struct grid *g, unsigned *seed, int strokes)
{
	static const uint32_t letters[] = {'a', 'b', ' ', ' ', ' ', 0x25cf, 0x65e5, 0x2500, 0xf6};

	for (int i = 0; i < strokes; i++) {
		int row = (int)pick(seed, (unsigned)g->height), col = (int)pick(seed, (unsigned)g->width);
		int run = (int)pick(seed, 12);
		uint8_t style = (uint8_t)(pick(seed, 3) ? 0 : pick(seed, 32));
		uint32_t ch = letters[pick(seed, 9)];

		while (run-- > 0 && col < g->width)
			col += grid_put(g, row, col, g->width, ch, style) ? text_width(ch) : g->width;
	}
	g->cursor_row = (int)pick(seed, (unsigned)g->height);
	g->cursor_col = (int)pick(seed, (unsigned)g->width);
}

static void no_half_characters(const struct grid *g)
{
	for (int row = 0; row < g->height; row++)
		for (int col = 0; col < g->width; col++) {
			uint32_t ch = grid_at(g, row, col)->ch,
				 next = col + 1 < g->width ? grid_at(g, row, col + 1)->ch : 1;

			assert_true(ch == 0 || text_width(ch));
			if (ch == 0)
				assert_true(col > 0 && text_width(grid_at(g, row, col - 1)->ch) == 2);
			else
				assert_int_equal(text_width(ch) == 2, next == 0);
		}
}

static void differences_arrive(void **state)
{
	unsigned seed = 1;

	(void)state;
	for (int round = 0; round < 300; round++) {
		int width = 1 + (int)pick(&seed, 40), height = 1 + (int)pick(&seed, 12);
		struct frame_caps caps = caps_of(round & 1, round & 2);
		struct grid screen, before, after;
		struct strbuf out = {0};

		grid_init(&screen, width, height, false);
		grid_init(&before, width, height, false);
		grid_init(&after, width, height, false);
		scribble(&before, &seed, 20);
		frame_diff(&out, NULL, &before, &caps);
		interpret(&screen, out.text, out.len);
		same_cells(&screen, &before, !caps.last_cell);
		memcpy(after.cells, before.cells, (size_t)(width * height) * sizeof(*after.cells));
		scribble(&after, &seed, (int)pick(&seed, 10));
		no_half_characters(&after);
		strbuf_consume(&out, out.len);
		frame_diff(&out, &before, &after, &caps);
		interpret(&screen, out.text ? out.text : "", out.len);
		same_cells(&screen, &after, !caps.last_cell);
		if (out.len) {
			assert_int_equal(screen.cursor_row, after.cursor_row);
			assert_int_equal(screen.cursor_col, after.cursor_col);
		}
		strbuf_clear(&out);
		grid_clear(&screen);
		grid_clear(&before);
		grid_clear(&after);
	}
}

static void nothing_new_costs_nothing(void **state)
{
	struct frame_caps caps = caps_of(true, true);
	struct grid a, b;
	struct strbuf out = {0};
	unsigned seed = 7;

	(void)state;
	grid_init(&a, 80, 24, false);
	grid_init(&b, 80, 24, false);
	scribble(&a, &seed, 100);
	memcpy(b.cells, a.cells, 80 * 24 * sizeof(*a.cells));
	b.cursor_row = a.cursor_row;
	b.cursor_col = a.cursor_col;
	frame_diff(&out, &a, &b, &caps);
	assert_int_equal(out.len, 0);
	grid_at(&b, 3, 3)->ch = 'z';
	frame_diff(&out, &a, &b, &caps);
	assert_in_range(out.len, 1, 40);
	strbuf_clear(&out);
	grid_clear(&a);
	grid_clear(&b);
}

static void text_is_cut_where_it_must(void **state)
{
	struct grid g;
	struct pen p;
	struct strbuf out = {0};

	(void)state;
	grid_init(&g, 8, 4, false);
	p = pen_at(&g, 0, 0, 8);
	pen_text(&p, 0, "123456789");
	p = pen_at(&g, 1, 0, 5);
	pen_text(&p, 0, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e");
	p = pen_at(&g, 2, 0, 8);
	pen_field_right(&p, 0, 6, "42");
	pen_text(&p, 0, "x");
	assert_int_equal(draw_wrapped(&g, 3, 1, 0, 8, 0, "one two three"), 1);
	grid_text(&g, &out);
	assert_string_equal(out.text, "1234567\xe2\x80\xa6\n\xe6\x97\xa5\xe6\x9c\xac\xe2\x80\xa6   \n    42x "
				      "\none two\xe2\x80\xa6\n");
	strbuf_clear(&out);
	grid_blank(&g);
	assert_int_equal(draw_wrapped(&g, 0, 4, 0, 8, 0, "one two three"), 2);
	grid_text(&g, &out);
	assert_string_equal(out.text, "one two \nthree   \n        \n        \n");
	strbuf_clear(&out);
	grid_clear(&g);
}

static void ascii_is_a_swap(void **state)
{
	static const char *const texts[] = {"\u25cf edge \u2192 x", "\u65e5\u672c wide", "K\u00f6ln \u2026",
					    "\u2581\u2588"};
	struct grid u, a;

	(void)state;
	grid_init(&u, 30, 4, false);
	grid_init(&a, 30, 4, true);
	for (int i = 0; i < 4; i++) {
		struct pen p = pen_at(&u, i, 0, 30), q = pen_at(&a, i, 0, 30);

		pen_text(&p, (uint8_t)i, texts[i]);
		pen_text(&q, (uint8_t)i, texts[i]);
		assert_int_equal(p.col, q.col);
	}
	for (int i = 0; i < 120; i++) {
		assert_in_range(a.cells[i].ch, 0x20, 0x7e);
		assert_int_equal(a.cells[i].ch == ' ', u.cells[i].ch == ' ');
		assert_int_equal(a.cells[i].style, u.cells[i].style);
	}
	assert_int_equal(grid_at(&a, 0, 0)->ch, '*');
	assert_int_equal(grid_at(&a, 1, 1)->ch, '?');
	grid_clear(&u);
	grid_clear(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(differences_arrive),
		cmocka_unit_test(nothing_new_costs_nothing),
		cmocka_unit_test(text_is_cut_where_it_must),
		cmocka_unit_test(ascii_is_a_swap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
