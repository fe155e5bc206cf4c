/* The help page: the key table in columns, then what the words and columns mean. */
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

#define LINES_MAX 96

struct help_line {
	const char *title; /* of a group; or */
	const struct key_entry *key;
};

/* The groups in the order of the page; those of other screens are left out. */
static int list_lines(const struct scene *s, struct help_line out[LINES_MAX])
{
	static const enum key_group order[GROUPS] = {GROUP_MOVE,    GROUP_FIND, GROUP_VIEW,	 GROUP_ACT,
						     GROUP_PACKETS, GROUP_LOGS, GROUP_EVERYWHERE};
	unsigned where =
		model_where(s->m) | (model_where(s->m) & (WHERE_PEERS | WHERE_PEER) ? WHERE_MENU : 0);
	int count = 0;

	for (int i = 0; i < GROUPS; i++) {
		int before = count;

		for (size_t k = 0; k < key_table_size && count < LINES_MAX - 2; k++) {
			const struct key_entry *e = &key_table[k];

			if (e->group != order[i] || !e->shown || !(e->where & where) ||
			    (s->m->readonly && (e->flags & KEY_CHANGES)))
				continue;
			if (count == before) {
				if (count)
					out[count++] = (struct help_line){0};
				out[count++] = (struct help_line){.title = key_group_title(order[i])};
			}
			out[count++] = (struct help_line){.key = e};
		}
	}
	return count;
}

static void draw_key(struct grid *g, const struct help_line *line, int row, int col, int limit)
{
	struct pen p = pen_at(g, row, col, limit);

	if (line->title) {
		pen_text(&p, STYLE_HEAD, line->title);
	} else if (line->key) {
		pen_field(&p, STYLE_ACCENT, 11, line->key->shown);
		pen_skip(&p, 1);
		if (line->key->flags & KEY_ASKS)
			pen_right(&p, STYLE_WARN, "!");
		pen_text(&p, STYLE_PLAIN, line->key->text);
	}
}

static const char *const legend[] = {
	"Words: DIRECT no relay between, RELAY through a relay or TURN, IDLE nothing was due, WAIT no key "
	"yet or no way to it,",
	"STUCK handshakes go unanswered, DRAIN keys expired on request until the next handshake, DOWN the "
	"interface is down.",
	"Path letters: e configured endpoint, n from its host name, m moved (roamed), d remembered from the "
	"last run;",
	"found by ICE: h in its network, s and p through its NAT, t by TURN; r relay.",
	"Path and tunnel are two facts. Colour follows the tunnel.",
	"HS age of the last handshake. A key lives 180 s; rekey starts at 120 s. KEY 180s: how much of it is "
	"used.",
	"ICE SESSION, on wide screens: the first digits of ours and theirs; the other end shows them the "
	"other way round.",
	"LOSS gaps in the peer's counters: loss towards us. The other direction shows on the other side.",
	"LAST rx and tx together; from 120 columns on it sweeps: the gap is now, right of it lies what is "
	"oldest.",
	"! asks first; --readonly removes those keys. The view is a process of its own: q ends it, weir down "
	"stops tunnels.",
};

static void draw_legend(struct grid *g, int row, int end)
{
	struct pen rule = pen_at(g, row++, 0, g->width);
	char text[1600] = "";

	draw_rule(&rule, "what the words mean", "");
	if (g->width >= 118) {
		for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]) && row < end; i++, row++)
			draw_wrapped(g, row, 1, 1, g->width - 1, STYLE_PLAIN, legend[i]);
		return;
	}
	for (size_t i = 0; i < sizeof(legend) / sizeof(legend[0]); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s ", legend[i]);
	draw_wrapped(g, row, end - row, 1, g->width - 1, STYLE_PLAIN, text);
}

static void draw_states(struct grid *g, int row)
{
	static const enum word words[] = {WORD_DIRECT, WORD_RELAY, WORD_IDLE, WORD_WAIT,
					  WORD_STUCK,  WORD_DRAIN, WORD_DOWN};
	struct pen p = pen_at(g, row, 1, g->width - 1);

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		p.col += grid_put(g, row, p.col, p.limit, part_glyph(words[i]), STYLE_ACCENT);
		pen_print(&p, STYLE_PLAIN, " %s   ", word_name(words[i]));
	}
}

/* A line where a column may end: a blank one before a title. */
static int column_break(const struct help_line *lines, int from, int count, int rows)
{
	int at = from + rows;

	if (at >= count)
		return count;
	while (at > from + rows / 2 && (lines[at].title || lines[at].key))
		at--;
	return at > from + rows / 2 ? at : from + rows;
}

/* The path's letters, above the states. */
static void draw_letters(struct grid *g, int row)
{
	struct pen p = pen_at(g, row, 1, g->width - 1);

	pen_text(&p, STYLE_PLAIN,
		 "path: e set  n named  m moved  d kept  h s p ICE  t TURN  r relay  ! asks");
}

struct split {
	int columns, from[3], end[3], rows; /* rows: of the longest column */
};

static struct split split_lines(const struct help_line *lines, int count, int columns)
{
	struct split c = {.columns = columns};
	int per = (count + columns - 1) / columns + (columns > 1 ? 3 : 0), from = 0;

	for (int i = 0; i < columns; i++) {
		c.from[i] = from;
		c.end[i] = i + 1 == columns ? count : column_break(lines, from, count, per);
		if (c.end[i] - from > c.rows)
			c.rows = c.end[i] - from;
		from = c.end[i];
		while (from < count && !lines[from].title && !lines[from].key)
			from++;
	}
	return c;
}

void view_help(struct grid *g, const struct scene *s)
{
	static const char *const screens[] = {"Peers", "Peer", "Packets", "Log"};
	struct help_line lines[LINES_MAX];
	int count = list_lines(s, lines);
	struct split c = split_lines(lines, count, g->width >= 118 ? 3 : g->width >= 76 ? 2 : 1);
	int room = g->height - 3, span = (g->width - 2) / c.columns;
	int last = c.rows > room ? c.rows - room : 0, top = s->m->help_top < last ? s->m->help_top : last;
	struct pen p = pen_at(g, 0, 1, g->width - 1);

	pen_right(&p, STYLE_DIM, last ? "j k scroll, others close" : "any key closes");
	pen_print(&p, STYLE_HEAD, "help");
	pen_print(&p, STYLE_PLAIN, "  keys for %s", screens[s->m->screen]);
	pen_print(&p, STYLE_DIM, "  weir %s  man weir(8)", s->d->version);
	for (int k = 0; k < c.columns; k++)
		for (int i = c.from[k]; i < c.end[k]; i++) {
			int row = 1 + i - c.from[k] - top;

			if (row >= 1 && row < 1 + room)
				draw_key(g, &lines[i], row, 1 + k * span, 1 + (k + 1) * span - 2);
		}
	draw_letters(g, g->height - 2);
	draw_states(g, g->height - 1);
	if (room - c.rows > 4)
		draw_legend(g, 2 + c.rows, g->height - 2);
	g->cursor_row = 0;
	g->cursor_col = 1;
}
