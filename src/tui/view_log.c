/* The Log screen: the newest line on top. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

static const uint8_t level_styles[LEVELS] = {STYLE_BAD, STYLE_WARN, STYLE_ACCENT, STYLE_PLAIN, STYLE_DIM};

static void draw_head(struct grid *g, const struct scene *s)
{
	const struct model *m = s->m;
	struct pen p = pen_at(g, 0, 1, g->width);
	char text[96], peer[LABEL_ROOM];

	part_time(&p, s);
	p.limit -= 2;
	pen_right(&p, m->follow ? STYLE_OK : STYLE_DIM, m->follow ? "FOLLOW" : "      ");
	p.limit -= 2;
	snprintf(text, sizeof(text), "%zu of %zu", m->lines.count, s->d->log_count);
	pen_right(&p, STYLE_DIM, text);
	pen_text(&p, STYLE_HEAD, "log");
	pen_print(&p, STYLE_PLAIN, "  level %s%s", level_name(m->log_level), m->log_level ? "+" : "");
	pen_print(&p, *m->log_room ? STYLE_ACCENT : STYLE_PLAIN, "  subsystem %s",
		  *m->log_room ? m->log_room : "all");
	pen_print(&p, *m->log_peer ? STYLE_ACCENT : STYLE_PLAIN, "  peer %s",
		  *m->log_peer ? line_peer(peer, m, s->d, m->log_peer) : "all");
	if (*m->log_filter)
		pen_print(&p, STYLE_ACCENT, "  \"%s\"", m->log_filter);
}

struct places {
	int level, room, peer, text;
};

static struct places places_for(int width)
{
	if (width >= 100)
		return (struct places){14, 21, 29, 46};
	if (width >= 80)
		return (struct places){10, 12, 19, 30};
	return (struct places){10, 12, 19, 19}; /* no peer column: the text says it mostly */
}

static void draw_titles(struct grid *g, struct places at)
{
	struct pen p = pen_at(g, 1, 1, g->width);

	pen_text(&p, STYLE_HEAD, "TIME");
	pen_goto(&p, at.level);
	pen_text(&p, STYLE_HEAD, at.room - at.level > 3 ? "LEVEL" : "L");
	pen_goto(&p, at.room);
	pen_text(&p, STYLE_HEAD, "FROM");
	if (at.text > at.peer) {
		pen_goto(&p, at.peer);
		pen_text(&p, STYLE_HEAD, "PEER");
	}
	pen_goto(&p, at.text);
	pen_text(&p, STYLE_HEAD, "MESSAGE");
}

static void draw_line(struct grid *g, const struct scene *s, struct places at, size_t index, int row)
{
	const struct log_line *line = &s->d->log[s->m->lines.index[index]];
	struct pen p = pen_at(g, row, 1, g->width - 1);
	char text[TEXT_ROOM], clock[FORMAT_ROOM], peer[LABEL_ROOM];
	uint8_t style = level_styles[line->level];

	if (index == s->m->line)
		grid_put(g, row, 0, g->width, 0x203a, STYLE_ACCENT);
	pen_text(&p, STYLE_DIM, format_clock(clock, line->at, at.level > 12));
	pen_goto(&p, at.level);
	if (at.room - at.level > 3)
		pen_field(&p, style, at.room - at.level - 1, level_name(line->level));
	else
		pen_print(&p, style, "%c", toupper((unsigned char)*level_name(line->level)));
	pen_goto(&p, at.room);
	pen_field(&p, STYLE_PLAIN, at.peer - at.room - 1, line->room);
	if (at.text > at.peer) {
		pen_goto(&p, at.peer);
		line_peer(peer, s->m, s->d, line->peer);
		pen_field(&p, STYLE_PLAIN, at.text - at.peer - 1, *peer ? peer : "\u2013");
	}
	pen_goto(&p, at.text);
	pen_text(&p, line->level <= LEVEL_WARN ? style : STYLE_PLAIN, part_text(text, s, line->text));
	if (index == s->m->line) {
		grid_select(g, row, 0, g->width);
		g->cursor_row = row;
		g->cursor_col = 0;
	}
}

/* The selected line in full: it may have been too long for its row. */
static void draw_detail(struct grid *g, const struct scene *s)
{
	int row = s->l.log_detail_row, rows = g->height - 1 - row;
	const struct log_line *line = &s->d->log[s->m->lines.index[s->m->line]];
	struct pen rule = pen_at(g, row, 0, g->width), p;
	char text[TEXT_ROOM], title[32], clock[FORMAT_ROOM], peer[LABEL_ROOM];

	snprintf(title, sizeof(title), "line %llu", (unsigned long long)line->seq);
	draw_rule(&rule, title, rows >= 4 ? "Enter: its peer" : "");
	if (rows >= 4) {
		p = pen_at(g, row + 1, 1, g->width - 1);
		pen_print(&p, STYLE_PLAIN, "%sZ  ", format_clock(clock, line->at, true));
		pen_print(&p, level_styles[line->level], "%s", level_name(line->level));
		pen_print(&p, STYLE_PLAIN, "  %s  %s", line->room, line_peer(peer, s->m, s->d, line->peer));
		draw_wrapped(g, row + 2, rows - 2, 1, g->width - 1, STYLE_PLAIN,
			     part_text(text, s, line->text));
	} else {
		draw_wrapped(g, row + 1, rows - 1, 1, g->width - 1, STYLE_PLAIN,
			     part_text(text, s, line->text));
	}
}

void view_log(struct grid *g, const struct scene *s)
{
	const struct model *m = s->m;
	struct places at = places_for(g->width);

	draw_head(g, s);
	draw_titles(g, at);
	if (!m->lines.count) {
		struct pen p = pen_at(g, 3, 4, g->width);

		pen_text(&p, STYLE_DIM,
			 s->d->log_count ? "no line passes these filters; Esc clears" : "no lines yet");
		return;
	}
	for (int i = 0; i < s->l.log_rows && m->line_top + (size_t)i < m->lines.count; i++)
		draw_line(g, s, at, m->line_top + (size_t)i, LOG_FIRST_ROW + i);
	if (s->l.log_detail_row > 0)
		draw_detail(g, s);
}
