/* Over the bottom of the screen: the question before an action, and the menu of actions. */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "tui/text.h"
#include "tui/view.h"

static void clear_rows(struct grid *g, int from)
{
	for (int row = from; row < g->height; row++)
		for (int col = 0; col < g->width; col++)
			grid_put(g, row, col, g->width, ' ', STYLE_PLAIN);
}

static const char *question(enum command c)
{
	return c == COMMAND_DRAIN    ? "Drain"
	       : c == COMMAND_RESET  ? "Reset the endpoint of"
	       : c == COMMAND_ROTATE ? "Begin a new session with"
	       : c == COMMAND_REOPEN ? "Dial the relay anew of"
	       : c == COMMAND_FORCE  ? "Only the relay, on or off, for"
				     : "Reload the configuration";
}

static const char *consequence(enum command c)
{
	switch (c) {
	case COMMAND_DRAIN:
		return "Its keys expire now; the next packet handshakes.";
	case COMMAND_RESET:
		return "Back to the configured endpoint, new handshake.";
	case COMMAND_ROTATE:
		return "ICE starts over at both ends; the path in use stays.";
	case COMMAND_REOPEN:
		return "Who is reached by it is cut off for a moment.";
	case COMMAND_FORCE:
		return "Direct paths are left; the tunnel goes by the relay.";
	default:
		return "Applies what changed in the file; other sessions stay.";
	}
}

/* What it will cost: the traffic now, and how long the key has lived. */
static void draw_cost(struct pen *p, const struct scene *s, const struct prompt *q)
{
	char label[LABEL_ROOM], a[FORMAT_ROOM], b[FORMAT_ROOM];
	double rx = 0, tx = 0;
	const struct peer *peer = NULL;

	for (size_t i = 0; i < q->count; i++) {
		peer = data_peer(s->d, q->targets[i]);
		rx += peer ? peer->shown_rx : 0;
		tx += peer ? peer->shown_tx : 0;
	}
	if (q->count == 1 && peer)
		pen_print(p, STYLE_ACCENT, "%s %s?", question(q->command),
			  peer_label(label, peer, s->m->private));
	else if (q->count)
		pen_print(p, STYLE_ACCENT, "%s %zu tagged peers?", question(q->command), q->count);
	else
		pen_print(p, STYLE_ACCENT, "%s of %s?", question(q->command), s->d->interface);
	if (!q->count)
		return;
	pen_print(p, STYLE_PLAIN, "  rx %s, tx %s now", format_rate_unit(a, data_rate(s->d, rx), s->m->bits),
		  format_rate_unit(b, data_rate(s->d, tx), s->m->bits));
	if (q->count == 1 && peer) {
		const struct keypair *k = part_keypair(peer, "current");

		if (k && s->now < k->expires_at)
			pen_print(p, STYLE_PLAIN, ", key %s old", format_span(a, s->now - k->created_at));
		else
			pen_text(p, STYLE_PLAIN, ", no live key");
	}
}

static void draw_route(struct pen *p, const struct scene *s, const struct prompt *q)
{
	const char *client = s->m->private ? "(hidden)" : s->m->ssh_client;

	switch (q->route) {
	case SSH_THROUGH:
		pen_print(p, STYLE_BAD, "! THIS SSH SESSION (%s) RUNS THROUGH %s.", client, q->through);
		break;
	case SSH_ELSEWHERE:
		pen_print(p, q->count ? STYLE_PLAIN : STYLE_WARN, "this SSH session (%s) runs through %s%s",
			  client, q->through,
			  q->count == 1 ? ", not this peer"
			  : q->count	? ", none of these"
					: "");
		break;
	case SSH_UNCERTAIN:
		pen_print(p, STYLE_WARN,
			  "! Whether this SSH session (%s) runs through it cannot be told:"
			  " too many allowed IPs.",
			  client);
		break;
	default:
		if (*s->m->ssh_client)
			pen_print(p, STYLE_DIM, "this SSH session (%s) runs through no peer of %s", client,
				  s->d->interface);
		else
			pen_text(p, STYLE_DIM, "this terminal is not an SSH session");
	}
}

/* The same from a shell. */
static void draw_command(struct pen *p, const struct scene *s, const struct prompt *q)
{
	char label[LABEL_ROOM], text[200];
	const struct peer *peer = q->count ? data_peer(s->d, q->targets[0]) : NULL;
	const char *name, *argument = action_argument(q, peer, &name);

	if (!q->count)
		snprintf(text, sizeof(text), "weir %s %s", action_method(q->command), s->d->interface);
	else if (!peer)
		return;
	else if (*peer->name || s->m->private)
		snprintf(text, sizeof(text), "weir %s -i %s %s%s%s%s", action_method(q->command),
			 s->d->interface, peer_label(label, peer, s->m->private), argument ? " " : "",
			 argument ? argument : "", q->count > 1 ? " ..." : "");
	else
		snprintf(text, sizeof(text), "weir %s -i %s %.8s%s%s%s", action_method(q->command),
			 s->d->interface, peer->key, argument ? " " : "", argument ? argument : "",
			 q->count > 1 ? " ..." : "");
	pen_right(p, STYLE_INFO, text);
}

static void draw_question(struct grid *g, const struct scene *s)
{
	const struct prompt *q = &s->m->prompt;
	int row = g->height - 5;
	struct pen p = pen_at(g, row, 0, g->width);

	clear_rows(g, row);
	draw_rule(&p, "confirm", "");
	p = pen_at(g, row + 1, 1, g->width - 1);
	draw_cost(&p, s, q);
	p = pen_at(g, row + 2, 1, g->width - 1);
	draw_route(&p, s, q);
	p = pen_at(g, row + 3, 1, g->width - 1);
	if (g->width >= 80)
		draw_command(&p, s, q);
	pen_text(&p, STYLE_PLAIN, consequence(q->command));
	p = pen_at(g, row + 4, 1, g->width - 1);
	if (*q->expected) {
		pen_print(&p, STYLE_ACCENT, "Type %s to go on, Esc to leave it: ", q->expected);
		pen_text(&p, STYLE_PLAIN, q->typed);
	} else {
		pen_print(&p, STYLE_ACCENT, "[y] %s   [n] leave it%s", action_method(q->command),
			  g->width < 80 ? " " : " (Enter) ");
		if (g->width < 80)
			draw_command(&p, s, q);
	}
	g->cursor_row = p.row;
	g->cursor_col = p.col < g->width ? p.col : g->width - 1;
}

static void draw_menu(struct grid *g, const struct scene *s)
{
	int row = g->height - s->l.overlay, rows = s->l.overlay - 2, n = 0;
	struct pen p = pen_at(g, row, 0, g->width);
	char title[96], label[LABEL_ROOM], name[16];
	const struct peer *peer = model_selected(s->m, s->d);

	clear_rows(g, row);
	if (map_count(s->m->tags))
		snprintf(title, sizeof(title), "actions on %zu tagged peer%s", map_count(s->m->tags),
			 map_count(s->m->tags) == 1 ? "" : "s");
	else
		snprintf(title, sizeof(title), "actions on %s",
			 peer ? peer_label(label, peer, s->m->private) : "no peer");
	draw_rule(&p, title, "");
	for (size_t i = 0; i < key_table_size; i++) {
		const struct key_entry *e = &key_table[i];

		if (!(e->where & WHERE_MENU) || (s->m->readonly && (e->flags & KEY_CHANGES)))
			continue;
		p = pen_at(g, row + 1 + n % rows, n < rows ? 3 : g->width / 2,
			   n < rows ? g->width / 2 - 1 : g->width - 1);
		n++;
		pen_field(&p, STYLE_ACCENT, 3, key_name(name, e->codes[0]));
		pen_text(&p, STYLE_PLAIN, e->text);
		pen_text(&p, STYLE_WARN, e->flags & KEY_ASKS ? " !" : "");
	}
	row = g->height - 1;
	p = pen_at(g, row, 3, g->width - 1);
	pen_text(&p, STYLE_DIM, "! asks first   any other key: nothing");
	g->cursor_row = row;
	g->cursor_col = 1;
}

static void draw_columns(struct grid *g, const struct scene *s)
{
	const struct column_choice *choice = &s->m->columns;
	int row = g->height - s->l.overlay, rows = s->l.overlay - 2;
	struct pen p = pen_at(g, row, 0, g->width);

	clear_rows(g, row);
	draw_rule(&p, "columns", "");
	g->cursor_row = row;
	for (int c = 0; c < COLUMNS; c++) {
		bool on = choice->on >> c & 1, off = choice->off >> c & 1, here = c == s->m->column_row;

		p = pen_at(g, row + 1 + c % rows, c < rows ? 1 : g->width / 2,
			   c < rows ? g->width / 2 - 1 : g->width - 1);
		if (here) {
			g->cursor_row = p.row;
			g->cursor_col = p.col;
		}
		pen_field(&p, STYLE_ACCENT, 2, here ? "\u203a" : "");
		pen_field(&p, here ? STYLE_ACCENT : STYLE_PLAIN, 13, column_title((enum column)c, 80));
		pen_text(&p,
			 off  ? STYLE_DIM
			 : on ? STYLE_OK
			      : STYLE_PLAIN,
			 c <= COLUMN_STATE	? "always"
			 : off			? "never"
			 : on			? "before others"
			 : s->l.column_width[c] ? "shown"
						: "no room");
	}
	p = pen_at(g, g->height - 1, 1, g->width - 1);
	pen_text(&p, STYLE_DIM, "j k column   Space change   = default   other key: done");
}

void view_prompt(struct grid *g, const struct scene *s)
{
	if (s->m->mode == MODE_CONFIRM)
		draw_question(g, s);
	else if (s->m->mode == MODE_COLUMNS)
		draw_columns(g, s);
	else
		draw_menu(g, s);
}
