#include "tui/view.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"

/* Below 60x16 there is one line, and the keys still work: so a question must show there too. */
static void draw_tiny(struct grid *g, const struct scene *s)
{
	const struct prompt *q = &s->m->prompt;
	struct pen p = pen_at(g, 0, 0, g->width);
	unsigned stuck = s->d->words[WORD_STUCK];
	char label[LABEL_ROOM] = "";
	const struct peer *peer = q->count ? data_peer(s->d, q->targets[0]) : NULL;

	if (s->m->mode == MODE_CONFIRM) {
		if (peer)
			peer_label(label, peer, s->m->private);
		if (*q->expected)
			pen_print(&p, STYLE_BAD, "SSH! type %s to %s: %s", q->expected,
				  action_method(q->command), q->typed);
		else if (q->count > 1)
			pen_print(&p, STYLE_WARN, "%s %zu peers? y n", action_method(q->command), q->count);
		else
			pen_print(&p, STYLE_WARN, "%s %s? y n", action_method(q->command), label);
	} else if (s->m->mode == MODE_TYPE || s->m->mode == MODE_GOTO) {
		pen_print(&p, STYLE_ACCENT, "%c %s", s->m->mode == MODE_TYPE ? ':' : '#', s->m->typed);
	} else if (s->m->mode == MODE_FILTER) {
		pen_print(&p, STYLE_ACCENT, "/ %s", model_filter(s->m));
	} else if (*s->m->message && s->now < s->m->message_until) {
		char text[TEXT_ROOM];

		pen_text(&p, STYLE_ACCENT, part_text(text, s, s->m->message));
	} else if (g->width >= 80) {
		pen_print(&p, STYLE_PLAIN, "weir: %dx%d is too small (needs %dx%d). Engine runs: %zu peers, ",
			  g->width, g->height, MIN_WIDTH, MIN_HEIGHT, s->d->peers_count);
		pen_print(&p, stuck ? STYLE_BAD : STYLE_PLAIN, "%u STUCK", stuck);
		pen_text(&p, STYLE_PLAIN, ".  q leave");
	} else {
		pen_print(&p, STYLE_PLAIN, "weir: needs %dx%d, is %dx%d. ", MIN_WIDTH, MIN_HEIGHT, g->width,
			  g->height);
		pen_print(&p, stuck ? STYLE_BAD : STYLE_PLAIN, "%u STUCK", stuck);
		pen_text(&p, STYLE_PLAIN, ". q");
	}
	g->cursor_row = 0;
	g->cursor_col = p.col < g->width ? p.col : g->width - 1;
}

static void draw_waiting(struct grid *g, const struct scene *s)
{
	struct pen p = pen_at(g, 0, 1, g->width);

	pen_print(&p, STYLE_PLAIN, "waiting for the engine%s%s ...", *s->d->interface ? " of " : "",
		  s->d->interface);
	part_bottom(g, s);
}

void view_draw(struct grid *g, struct scene *s)
{
	grid_blank(g);
	if (g->width < 1 || g->height < 1)
		return;
	s->l = model_layout(s->m, s->d);
	if (s->l.tiny) {
		draw_tiny(g, s);
		return;
	}
	if (!s->d->full) {
		draw_waiting(g, s);
		return;
	}
	if (s->m->mode == MODE_HELP) {
		view_help(g, s);
		return;
	}
	if (s->m->screen == SCREEN_PEERS)
		view_peers(g, s);
	else if (s->m->screen == SCREEN_PEER)
		view_peer(g, s);
	else if (s->m->screen == SCREEN_PACKETS)
		view_packets(g, s);
	else
		view_log(g, s);
	part_bottom(g, s);
	if (s->past)
		view_past(g, s);
	if (s->m->mode == MODE_CONFIRM || s->m->mode == MODE_MENU || s->m->mode == MODE_COLUMNS)
		view_prompt(g, s);
}
