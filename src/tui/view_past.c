/* Time travel: the first line says which moment is shown and where it lies; the last one has its keys. */
#include "tui/view.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define BAR_MAX	   400
#define NAME_CELLS 24

/* "03:10:50Z", with the day when that is another than the present one. */
static void moment(char *out, size_t size, double at, double present)
{
	char clock[FORMAT_ROOM], day[16] = "";
	time_t then = (time_t)at, now = (time_t)present;
	struct tm a, b;

	gmtime_r(&then, &a);
	gmtime_r(&now, &b);
	if (a.tm_yday != b.tm_yday || a.tm_year != b.tm_year)
		strftime(day, sizeof(day), "%m-%d ", &a);
	snprintf(out, size, "%s%sZ", day, format_clock(clock, at, false));
}

static void draw_mark(struct pen *p, uint8_t level, bool here)
{
	if (here)
		pen_text(p, STYLE_ACCENT | STYLE_SELECT, "#");
	else if (level <= LEVEL_WARN)
		pen_text(p, STYLE_BAD, "!");
	else if (level == LEVEL_NOTICE)
		pen_text(p, STYLE_INFO, "+");
	else if (level < LEVELS)
		pen_text(p, STYLE_PLAIN, "\u00b7");
	else
		pen_text(p, STYLE_DIM, "\u2500");
}

static void draw_scale(struct pen *p, const struct scene *s)
{
	int cells = p->limit - p->col - 2, here;
	double first = past_first(s->past), span = past_last(s->past) - first;
	uint8_t marks[BAR_MAX];

	cells = cells > BAR_MAX ? BAR_MAX : cells;
	if (cells < 6)
		return;
	past_marks(s->past, marks, cells);
	here = span > 0 ? (int)((s->now - first) / span * cells) : cells - 1;
	here = here < 0 ? 0 : here < cells ? here : cells - 1;
	pen_text(p, STYLE_DIM, "[");
	for (int i = 0; i < cells; i++)
		draw_mark(p, marks[i], i == here);
	pen_text(p, STYLE_DIM, "]");
}

static void blank_row(struct grid *g, int row)
{
	for (int col = 0; col < g->width; col++)
		*grid_at(g, row, col) = (struct cell){.ch = ' '};
}

/* Whose screen it is, and how that peer was. */
static void draw_name(struct pen *p, const struct scene *s)
{
	const struct peer *peer = s->m->screen == SCREEN_PEER ? model_selected(s->m, s->d) : NULL;
	char label[LABEL_ROOM];
	struct pen name = *p;

	if (!peer) {
		pen_print(p, STYLE_HEAD, "%s ", s->d->interface);
		return;
	}
	if (name.limit > name.col + NAME_CELLS)
		name.limit = name.col + NAME_CELLS;
	pen_text(&name, STYLE_HEAD, peer_label(label, peer, s->m->private));
	p->col = name.col;
	pen_text(p, STYLE_PLAIN, " ");
	pen_print(p, part_style(peer), "%s ", word_name(peer->word));
}

static void draw_head(struct grid *g, const struct scene *s)
{
	struct pen p = pen_at(g, 0, 1, g->width - 1);
	char clock[64], span[FORMAT_ROOM];

	blank_row(g, 0);
	draw_name(&p, s);
	if (s->m->past.loading && !past_lines(s->past)) {
		pen_text(&p, STYLE_WARN, "PAST: asking the engine for its record ...");
		return;
	}
	moment(clock, sizeof(clock), s->now, s->present);
	pen_print(&p, STYLE_WARN, "PAST %s", clock);
	if (s->m->past.loading)
		pen_text(&p, STYLE_DIM, " loading ");
	else if (s->present - s->now >= 1)
		pen_print(&p, STYLE_PLAIN, " (-%s) ", format_span(span, s->present - s->now));
	else
		pen_text(&p, STYLE_PLAIN, s->m->past.bundle ? " (its end) " : " (now) ");
	draw_scale(&p, s);
}

static void draw_keys(struct grid *g, const struct scene *s)
{
	struct pen p = pen_at(g, g->height - 1, 1, g->width - 1);
	bool wide = g->width >= 80;

	if (s->m->mode != MODE_NORMAL || (*s->m->message && s->now < s->m->message_until))
		return;
	blank_row(g, g->height - 1);
	pen_print(&p, STYLE_DIM, "\u2190 \u2192 event   { } minute   Home End%s   %s",
		  wide ? " oldest, newest" : "", s->m->past.bundle ? "? Help  q quit" : "Esc now   q quit");
}

void view_past(struct grid *g, const struct scene *s)
{
	draw_head(g, s);
	draw_keys(g, s);
}
