#include "tui/model_internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/xalloc.h"
#include "tui/text.h"

const double model_intervals[INTERVALS] = {0.5, 1, 2, 5, 10};

struct effect *effect_add(struct effects *fx, enum effect_kind kind)
{
	if (fx->count == fx->room) {
		fx->room = fx->room ? 2 * fx->room : 8;
		fx->list = xrealloc(fx->list, fx->room * sizeof(*fx->list));
	}
	fx->list[fx->count] = (struct effect){.kind = kind};
	return &fx->list[fx->count++];
}

void effects_clear(struct effects *fx)
{
	for (size_t i = 0; i < fx->count; i++)
		strbuf_clear(&fx->list[i].bytes);
	free(fx->list);
	*fx = (struct effects){0};
}

void model_init(struct model *m)
{
	*m = (struct model){.sort = SORT_WORST,
			    .interval = 1,
			    .interval_default = 1,
			    .follow = true,
			    .log_level = LEVEL_DEBUG};
	m->pane = PANE_TIMELINE;
	m->packets.line = PACKET_NO_LINE;
	m->width = 80;
	m->height = 24;
	m->tags = map_new(KEY_BASE64_LEN);
}

void model_clear(struct model *m)
{
	free(m->rows.index);
	free(m->lines.index);
	map_free(m->tags);
	prompt_clear(&m->prompt);
	packet_model_clear(&m->packets);
	*m = (struct model){0};
}

void model_say(struct model *m, double now, bool bad, const char *fmt, ...)
{
	char text[sizeof(m->message)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_copy(m->message, sizeof(m->message), text);
	m->message_bad = bad;
	m->message_until = now + (bad ? 12 : 6);
}

enum where model_where(const struct model *m)
{
	return m->screen == SCREEN_PEERS     ? WHERE_PEERS
	       : m->screen == SCREEN_PEER    ? WHERE_PEER
	       : m->screen == SCREEN_PACKETS ? WHERE_PACKETS
					     : WHERE_LOG;
}

const struct peer *model_selected(const struct model *m, const struct data *d)
{
	return data_peer(d, m->selected);
}

bool model_tagged(const struct model *m, const struct peer *p)
{
	return map_count(m->tags) && map_get(m->tags, p->key) != NULL;
}

bool peer_in_trouble(const struct peer *p)
{
	const struct finding *f = peer_finding(p);

	return f && !f->note && strcmp(f->confidence, "possible") != 0;
}

bool peer_is_problem(const struct peer *p)
{
	if (peer_in_trouble(p))
		return true;
	/* A tunnel that is up and has a reason all the same: what comes through it is thrown away. */
	return p->word == WORD_STUCK || p->word == WORD_WAIT || p->shown_loss >= 0.01 ||
	       (p->word == WORD_DIRECT && *p->reason);
}

int model_overlay_rows(const struct model *m)
{
	int entries = 0;

	if (m->mode == MODE_CONFIRM)
		return 5;
	if (m->mode == MODE_COLUMNS)
		return (COLUMNS + 1) / 2 + 2;
	if (m->mode != MODE_MENU)
		return 0;
	for (size_t i = 0; i < key_table_size; i++)
		entries += (key_table[i].where & WHERE_MENU) != 0;
	return (entries + 1) / 2 + 2; /* two columns, a rule and a last line */
}

struct layout model_layout(const struct model *m, const struct data *d)
{
	int alerts = (int)d->words[WORD_STUCK];
	bool sessions = false;

	for (size_t i = 0; i < d->peers_count && alerts < 3; i++)
		alerts += d->peers[i]->word != WORD_STUCK && peer_is_problem(d->peers[i]);
	for (size_t i = 0; i < d->peers_count && !sessions; i++)
		sessions = d->peers[i]->network && *d->peers[i]->network->local_session;
	return layout_make(m->width, m->height, model_overlay_rows(m), alerts, (int)d->peers_count, sessions,
			   m->columns);
}

size_t scrolled(size_t top, size_t row, size_t count, size_t visible)
{
	if (row < top)
		top = row;
	if (row >= top + visible)
		top = row - visible + 1;
	if (top + visible > count)
		top = count > visible ? count - visible : 0;
	return top;
}

static void fit(struct model *m, const struct data *d)
{
	struct layout l = model_layout(m, d);

	packets_fit(m);
	if (l.tiny)
		return;
	m->top = scrolled(m->top, m->row, m->rows.count, (size_t)l.table_rows);
	m->line_top =
		scrolled(m->line_top, m->line, m->lines.count, (size_t)(l.log_rows > 0 ? l.log_rows : 1));
}

long model_expect(struct model *m, enum command c, const char *label)
{
	struct pending *p = &m->pending[++m->last_id % (long)(sizeof(m->pending) / sizeof(m->pending[0]))];

	*p = (struct pending){.id = m->last_id, .command = c};
	text_copy(p->label, sizeof(p->label), label);
	return p->id;
}

void model_sync(struct model *m, const struct data *d, struct effects *fx)
{
	rows_peers(m, d);
	rows_log(m, d);
	/* The page of a peer that is gone does not turn into that of another. */
	if (m->screen == SCREEN_PEER && !model_selected(m, d))
		m->screen = SCREEN_PEERS;
	follow_selected(m, d);
	follow_line(m, d);
	forget_tags_of_removed(m, d);
	packets_sync(m, d, fx);
	fit(m, d);
	fetch_events(m, d, fx);
}

void model_resize(struct model *m, const struct data *d, int width, int height)
{
	m->width = width;
	m->height = height;
	fit(m, d);
}

/* ---- keys ---- */

size_t moved(size_t at, long by, size_t count)
{
	long to = (long)at + by;

	return to < 0 || !count ? 0 : (size_t)to >= count ? count - 1 : (size_t)to;
}

#define FAR (1l << 30) /* more rows than there can be: to the end */

void move(struct model *m, const struct data *d, long by, struct effects *fx)
{
	if (m->screen == SCREEN_PEERS)
		select_row(m, d, moved(m->row, by, m->rows.count));
	else if (m->screen == SCREEN_LOG)
		line_move(m, d, by);
	else if (m->screen == SCREEN_PACKETS)
		packets_move(m, d, by, fx);
	else
		pane_move(m, d, by);
}

static long page(const struct model *m, const struct data *d)
{
	struct layout l = model_layout(m, d);
	int rows = m->screen == SCREEN_LOG     ? l.log_rows
		   : m->screen == SCREEN_PEERS ? l.table_rows
					       : m->height / 3;

	return rows > 1 ? rows - 1 : 1;
}

void show_screen(struct model *m, const struct data *d, enum screen screen, struct effects *fx)
{
	if ((screen == SCREEN_PEER && !model_selected(m, d)) || m->screen == screen)
		return;
	m->came_from = m->screen;
	m->screen = screen;
	packets_ask(m, d, fx);
}

static void back(struct model *m, const struct data *d, struct effects *fx)
{
	size_t room;
	char *filter = filter_of_screen(m, &room);

	if (m->screen == SCREEN_PEER && m->pane_whole) {
		m->pane_whole = false;
	} else if (m->screen != SCREEN_PEER && *filter) {
		*filter = '\0';
		if (m->screen == SCREEN_PACKETS)
			packets_filtered(m, d, fx);
		model_sync(m, d, fx);
	} else if (m->screen == SCREEN_LOG && *m->log_peer) {
		*m->log_peer = '\0';
		model_sync(m, d, fx);
	} else if (m->screen != SCREEN_PEERS) {
		show_screen(m, d, m->came_from != m->screen ? m->came_from : SCREEN_PEERS, fx);
		m->came_from = SCREEN_PEERS;
	}
}

/* Movement, and from screen to screen. True if it was one of those. */
static bool navigate(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_PEERS:
		show_screen(m, d, SCREEN_PEERS, fx);
		break;
	case COMMAND_PEER:
		show_screen(m, d, SCREEN_PEER, fx);
		break;
	case COMMAND_PACKETS:
		show_screen(m, d, SCREEN_PACKETS, fx);
		break;
	case COMMAND_LOG:
		show_screen(m, d, SCREEN_LOG, fx);
		break;
	case COMMAND_DOWN:
	case COMMAND_UP:
		move(m, d, c == COMMAND_DOWN ? 1 : -1, fx);
		break;
	case COMMAND_PAGE_DOWN:
	case COMMAND_PAGE_UP:
		move(m, d, c == COMMAND_PAGE_DOWN ? page(m, d) : -page(m, d), fx);
		break;
	case COMMAND_FIRST:
	case COMMAND_LAST:
		move(m, d, c == COMMAND_LAST ? FAR : -FAR, fx);
		break;
	case COMMAND_NEXT_PROBLEM:
	case COMMAND_PREVIOUS_PROBLEM:
		step_problem(m, d, c == COMMAND_NEXT_PROBLEM ? 1 : -1, now);
		break;
	case COMMAND_BACK:
		back(m, d, fx);
		break;
	default:
		return false;
	}
	return true;
}

/* What only the screen that is up knows. True if it was that. */
static bool screen_command(struct model *m, const struct data *d, enum command c, double now,
			   struct effects *fx)
{
	switch (m->screen) {
	case SCREEN_PEERS:
		return peers_command(m, d, c, now, fx);
	case SCREEN_PEER:
		return peer_command(m, d, c);
	case SCREEN_PACKETS:
		return packets_command(m, d, c, now, fx);
	case SCREEN_LOG:
		return log_command(m, d, c, now, fx);
	}
	return false;
}

void do_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	if (packets_tap_command(m, d, c, now, fx) || screen_command(m, d, c, now, fx) ||
	    navigate(m, d, c, now, fx) || filter_command(m, d, c, now, fx) ||
	    view_command(m, d, c, now, fx) || past_command(m, c, now, fx))
		return;
	switch (c) {
	case COMMAND_HELP:
		m->mode = MODE_HELP;
		m->help_top = 0;
		break;
	case COMMAND_MENU:
		m->mode = MODE_MENU;
		break;
	case COMMAND_COLUMNS:
		m->mode = MODE_COLUMNS;
		break;
	case COMMAND_TYPE:
		typed_begin(m);
		break;
	case COMMAND_GOTO:
		m->mode = MODE_GOTO;
		*m->typed = '\0';
		break;
	case COMMAND_REDRAW:
		effect_add(fx, EFFECT_REDRAW);
		break;
	case COMMAND_SUSPEND:
		effect_add(fx, EFFECT_SUSPEND);
		break;
	case COMMAND_QUIT:
	case COMMAND_QUIT_KEEP:
		effect_add(fx, c == COMMAND_QUIT_KEEP ? EFFECT_QUIT_KEEP : EFFECT_QUIT);
		break;
	default:
		if (action_method(c))
			action_ask(m, d, c, now, fx);
	}
}

/* The help page scrolls; any other key closes it. */
static void help_key(struct model *m, uint32_t code)
{
	const struct key_entry *e = key_find(code, WHERE_ALL, false);
	int step = m->height > 6 ? m->height - 4 : 1;

	switch (e ? e->command : COMMAND_NONE) {
	case COMMAND_DOWN:
		m->help_top++;
		break;
	case COMMAND_UP:
		m->help_top--;
		break;
	case COMMAND_PAGE_DOWN:
		m->help_top += step;
		break;
	case COMMAND_PAGE_UP:
		m->help_top -= step;
		break;
	default:
		m->mode = MODE_NORMAL;
	}
	if (m->help_top < 0)
		m->help_top = 0;
	if (m->help_top > (int)key_table_size)
		m->help_top = (int)key_table_size;
}

void model_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	const struct key_entry *e = key_find(code, model_where(m), m->readonly);
	bool always = e && (e->command == COMMAND_REDRAW || e->command == COMMAND_SUSPEND);

	if (code == K_NONE)
		return;
	*m->message = '\0';
	if (always)
		do_command(m, d, e->command, now, fx);
	else if (m->mode == MODE_FILTER)
		filter_key(m, d, code, fx);
	else if (m->mode == MODE_JUMP)
		packets_jump_key(m, d, code, now, fx);
	else if (m->mode == MODE_HELP)
		help_key(m, code);
	else if (m->mode == MODE_CONFIRM)
		action_key(m, d, code, now, fx);
	else if (m->mode == MODE_MENU)
		action_menu_key(m, d, code, now, fx);
	else if (m->mode == MODE_COLUMNS)
		columns_key(m, d, code, fx);
	else if (m->mode == MODE_TYPE)
		typed_key(m, d, code, now, fx);
	else if (m->mode == MODE_GOTO)
		goto_key(m, d, code, now, fx);
	else if (m->past.on && past_key(m, code, now, fx))
		;
	else if (code & K_MOUSE)
		mouse_key(m, d, code, now, fx);
	else if (e)
		do_command(m, d, e->command, now, fx);
	else if (m->readonly && key_find(code, model_where(m), false))
		model_say(m, now, true, "this dashboard only shows (--readonly)");
	fit(m, d);
	fetch_events(m, d, fx);
}
