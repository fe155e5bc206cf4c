#include "tui/model.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/xalloc.h"
#include "tui/text.h"

const double model_intervals[INTERVALS] = {0.5, 1, 2, 5, 10};

#define EVENTS_ASKED 60 /* what the engine keeps of a peer */

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
	return m->screen == SCREEN_PEERS ? WHERE_PEERS : m->screen == SCREEN_PEER ? WHERE_PEER : WHERE_LOG;
}

const struct peer *model_selected(const struct model *m, const struct data *d)
{
	return data_peer(d, m->selected);
}

bool model_tagged(const struct model *m, const struct peer *p)
{
	return map_count(m->tags) && map_get(m->tags, p->key) != NULL;
}

bool peer_is_problem(const struct peer *p)
{
	/* A tunnel that is up and has a reason all the same: what comes through it is thrown away. */
	return p->word == WORD_STUCK || p->word == WORD_WAIT || p->shown_loss >= 0.01 ||
	       (p->word == WORD_DIRECT && *p->reason);
}

int model_overlay_rows(const struct model *m)
{
	int entries = 0;

	if (m->mode == MODE_CONFIRM)
		return 5;
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
	return layout_make(m->width, m->height, model_overlay_rows(m), alerts, sessions);
}

/* Moves the window of `visible` rows no more than it takes to show `row`. */
static size_t scrolled(size_t top, size_t row, size_t count, size_t visible)
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

	if (l.tiny)
		return;
	m->top = scrolled(m->top, m->row, m->rows.count, (size_t)l.table_rows);
	m->line_top =
		scrolled(m->line_top, m->line, m->lines.count, (size_t)(l.log_rows > 0 ? l.log_rows : 1));
}

static void select_row(struct model *m, const struct data *d, size_t row)
{
	if (!m->rows.count) {
		m->row = 0;
		return;
	}
	m->row = row < m->rows.count ? row : m->rows.count - 1;
	text_copy(m->selected, sizeof(m->selected), d->peers[m->rows.index[m->row]]->key);
}

/* The selected peer keeps being selected, wherever it has moved; if it is gone, the row stays. */
static void follow_selected(struct model *m, const struct data *d)
{
	const struct peer *p = model_selected(m, d);

	for (size_t i = 0; p && i < m->rows.count; i++)
		if (d->peers[m->rows.index[i]] == p) {
			m->row = i;
			return;
		}
	/* On its own screen a peer stays even when the filter hides its row. */
	if (!p || m->screen != SCREEN_PEER)
		select_row(m, d, m->row);
}

static void follow_line(struct model *m, const struct data *d)
{
	if (m->follow || !m->lines.count) {
		m->line = m->line_top = 0;
	} else {
		size_t i = 0;

		while (i + 1 < m->lines.count && d->log[m->lines.index[i]].seq > m->line_selected)
			i++;
		/* It stays where it is on the screen while newer ones come in above. */
		if (i > m->line)
			m->line_top += i - m->line;
		m->line = i;
	}
	if (m->lines.count)
		m->line_selected = d->log[m->lines.index[m->line]].seq;
}

static void forget_tags_of_removed(struct model *m, const struct data *d)
{
	size_t tagged = 0;
	struct map *kept;

	if (!map_count(m->tags))
		return;
	for (size_t i = 0; i < d->peers_count; i++)
		tagged += model_tagged(m, d->peers[i]);
	if (tagged == map_count(m->tags))
		return;
	kept = map_new(KEY_BASE64_LEN);
	for (size_t i = 0; i < d->peers_count; i++)
		if (model_tagged(m, d->peers[i]))
			map_put(kept, d->peers[i]->key, m);
	map_free(m->tags);
	m->tags = kept;
}

long model_expect(struct model *m, enum command c, const char *label)
{
	struct pending *p = &m->pending[++m->last_id % (long)(sizeof(m->pending) / sizeof(m->pending[0]))];

	*p = (struct pending){.id = m->last_id, .command = c};
	text_copy(p->label, sizeof(p->label), label);
	return p->id;
}

/* Events of a peer from before this view came are asked for once, when its page opens. */
static void fetch_events(struct model *m, const struct data *d, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);
	struct effect *e;

	if (m->screen != SCREEN_PEER || !p || strcmp(m->fetched, p->key) == 0)
		return;
	text_copy(m->fetched, sizeof(m->fetched), p->key);
	e = effect_add(fx, EFFECT_REQUEST);
	e->method = "peer";
	text_copy(e->key, sizeof(e->key), p->key);
	e->id = model_expect(m, COMMAND_NONE, "");
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

static size_t moved(size_t at, long by, size_t count)
{
	long to = (long)at + by;

	return to < 0 || !count ? 0 : (size_t)to >= count ? count - 1 : (size_t)to;
}

/* A peer that has nothing but its endpoint has no network pane. */
static void step_pane(struct model *m, const struct data *d, int by)
{
	const struct peer *p = model_selected(m, d);

	m->pane = (m->pane + by) % PANES;
	if (m->pane == PANE_NETWORK && p && !p->network)
		m->pane = (m->pane + by) % PANES;
}

/* Lines of the pane that the movement keys scroll. */
static size_t pane_length(const struct model *m, const struct data *d)
{
	const struct peer *p = model_selected(m, d);
	size_t length = 0;

	if (p && m->pane == PANE_COUNTERS)
		for (int i = 0; i < counter_slots(); i++)
			length += p->counters[i] > 0;
	if (p && m->pane == PANE_NETWORK && p->network)
		length =
			NETWORK_LINES + p->network->path_count + p->network->pair_count + 2 * d->relays_count;
	if (p && m->pane == PANE_TIMELINE)
		for (size_t i = 0; i < d->events_count; i++)
			length += strcmp(d->events[i].key, p->key) == 0;
	return length;
}

#define FAR (1l << 30) /* more rows than there can be: to the end */

/* Movement on the screen that is up, in rows. */
static void move(struct model *m, const struct data *d, long by)
{
	if (m->screen == SCREEN_PEERS) {
		select_row(m, d, moved(m->row, by, m->rows.count));
	} else if (m->screen == SCREEN_LOG) {
		m->line = moved(m->line, by, m->lines.count);
		m->follow = m->line == 0 && by < 0;
		if (m->lines.count)
			m->line_selected = d->log[m->lines.index[m->line]].seq;
	} else {
		/* The view, which knows how many rows it has, stops at the last page. */
		m->pane_top[m->pane] = (int)moved((size_t)m->pane_top[m->pane], by, pane_length(m, d));
	}
}

static long page(const struct model *m, const struct data *d)
{
	struct layout l = model_layout(m, d);
	int rows = m->screen == SCREEN_LOG     ? l.log_rows
		   : m->screen == SCREEN_PEERS ? l.table_rows
					       : m->height / 3;

	return rows > 1 ? rows - 1 : 1;
}

static void step_peer(struct model *m, const struct data *d, long by)
{
	select_row(m, d, moved(m->row, by, m->rows.count));
	memset(m->pane_top, 0, sizeof(m->pane_top));
}

static void step_problem(struct model *m, const struct data *d, int by, double now)
{
	size_t n = m->rows.count;

	for (size_t i = 1; i <= n; i++) {
		size_t row = (m->row + (by > 0 ? i : n - i % n)) % n;

		if (!peer_is_problem(d->peers[m->rows.index[row]]))
			continue;
		if (row == m->row && i == n)
			break;
		select_row(m, d, row);
		memset(m->pane_top, 0, sizeof(m->pane_top));
		return;
	}
	model_say(m, now, false, "no other peer has a problem");
}

static bool row_matches(const struct model *m, const struct data *d, size_t row)
{
	if (m->screen == SCREEN_PEERS)
		return row_matches_peer(m, d->peers[m->rows.index[row]], m->pattern);
	return row_matches_line(&d->log[m->lines.index[row]], m->pattern);
}

static void step_match(struct model *m, const struct data *d, int by, double now)
{
	size_t n = m->screen == SCREEN_PEERS ? m->rows.count : m->lines.count;
	size_t at = m->screen == SCREEN_PEERS ? m->row : m->line;

	if (!*m->pattern) {
		model_say(m, now, false, "nothing to look for yet: / takes the words");
		return;
	}
	for (size_t i = 1; i < n; i++) {
		size_t row = (at + (by > 0 ? i : n - i)) % n;

		if (row_matches(m, d, row)) {
			move(m, d, (long)row - (long)at);
			return;
		}
	}
	model_say(m, now, false, "no other row with \"%s\"", m->pattern);
}

static void step_sort(struct model *m, const struct data *d, int by, double now, struct effects *fx)
{
	m->sort = (unsigned)((int)m->sort + by + COLUMNS + 1) % (COLUMNS + 1);
	m->inverted = false;
	if (m->sort == SORT_WORST)
		model_say(m, now, false, "sorted: worst first");
	else
		model_say(m, now, false, "sorted by %s", column_title((enum column)m->sort, 8));
	effect_add(fx, EFFECT_SETTINGS);
	model_sync(m, d, fx);
}

static void toggle_tag(struct model *m, const struct data *d)
{
	const struct peer *p = model_selected(m, d);

	if (!p)
		return;
	if (map_get(m->tags, p->key))
		map_remove(m->tags, p->key);
	else
		map_put(m->tags, p->key, m);
	move(m, d, 1);
}

static void untag_all(struct model *m)
{
	map_free(m->tags);
	m->tags = map_new(KEY_BASE64_LEN);
}

static void set_interval(struct model *m, int by, double now, struct effects *fx)
{
	int to = (int)m->interval + by;

	if (to >= 0 && to < INTERVALS) {
		m->interval = (unsigned)to;
		effect_add(fx, EFFECT_SUBSCRIBE);
		effect_add(fx, EFFECT_SETTINGS);
	}
	model_say(m, now, false, "refresh every %g s", model_intervals[m->interval]);
}

static void freeze(struct model *m, double now, struct effects *fx)
{
	m->frozen = !m->frozen;
	m->frozen_at = now;
	effect_add(fx, m->frozen ? EFFECT_FREEZE : EFFECT_THAW);
}

static void show_screen(struct model *m, const struct data *d, enum screen screen)
{
	if (screen == SCREEN_PEER && !model_selected(m, d))
		return;
	if (m->screen != screen)
		m->came_from = m->screen;
	m->screen = screen;
}

static void open_line(struct model *m, const struct data *d, double now)
{
	const char *peer = m->lines.count ? d->log[m->lines.index[m->line]].peer : "";
	size_t start = strspn(peer, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");

	for (size_t i = 0; *peer && i < d->peers_count; i++) {
		const struct peer *p = d->peers[i];

		if (strcmp(p->name, peer) == 0 ||
		    (!*p->name && start >= 4 && strncmp(p->key, peer, start) == 0)) {
			text_copy(m->selected, sizeof(m->selected), p->key);
			follow_selected(m, d);
			show_screen(m, d, SCREEN_PEER);
			return;
		}
	}
	model_say(m, now, false, *peer ? "that peer is gone" : "this line is about no peer");
}

static void back(struct model *m, const struct data *d, struct effects *fx)
{
	char *filter = m->screen == SCREEN_LOG ? m->log_filter : m->filter;

	if (m->screen != SCREEN_PEER && *filter) {
		*filter = '\0';
		model_sync(m, d, fx);
	} else if (m->screen == SCREEN_LOG && *m->log_peer) {
		*m->log_peer = '\0';
		model_sync(m, d, fx);
	} else if (m->screen != SCREEN_PEERS) {
		show_screen(m, d, m->came_from != m->screen ? m->came_from : SCREEN_PEERS);
		m->came_from = SCREEN_PEERS;
	}
}

static void copy(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);
	struct effect *e;

	if (m->screen == SCREEN_LOG) {
		const struct log_line *line;

		if (!m->lines.count)
			return;
		line = &d->log[m->lines.index[m->line]];
		e = effect_add(fx, EFFECT_COPY);
		snprintf(e->text, sizeof(e->text), "%s %s %s", line->room, line->peer, line->text);
		model_say(m, now, false, "line copied, if the terminal allows it (OSC 52)");
	} else if (p) {
		e = effect_add(fx, EFFECT_COPY);
		text_copy(e->text, sizeof(e->text), p->key);
		model_say(m, now, false, "copied, if the terminal allows it: %s",
			  m->private ? "the public key" : p->key);
	}
}

static void next_room(struct model *m, const struct data *d)
{
	const char *best = NULL;

	/* The next one by name among those that were seen; after the last, all again. */
	for (size_t i = 0; i < d->log_count; i++) {
		const char *room = d->log[i].room;

		if (strcmp(room, m->log_room) > 0 && (!best || strcmp(room, best) < 0))
			best = room;
	}
	text_copy(m->log_room, sizeof(m->log_room), best ? best : "");
}

static void only_peer(struct model *m, const struct data *d, double now)
{
	const char *peer = m->lines.count ? d->log[m->lines.index[m->line]].peer : "";

	if (*m->log_peer)
		*m->log_peer = '\0';
	else if (*peer)
		text_copy(m->log_peer, sizeof(m->log_peer), peer);
	else
		model_say(m, now, false, "this line is about no peer");
}

static void log_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	if (c == COMMAND_LEVEL)
		m->log_level = m->log_level == LEVEL_ERROR ? LEVEL_DEBUG : m->log_level - 1;
	else if (c == COMMAND_ROOM)
		next_room(m, d);
	else if (c == COMMAND_ONLY_PEER)
		only_peer(m, d, now);
	else if (c == COMMAND_FOLLOW)
		m->follow = !m->follow;
	model_sync(m, d, fx);
}

static void setting(struct model *m, enum command c, double now, struct effects *fx)
{
	if (c == COMMAND_AGES) {
		m->clock_times = !m->clock_times;
		model_say(m, now, false, m->clock_times ? "clock times (UTC)" : "ages");
	} else if (c == COMMAND_UNITS) {
		m->bits = !m->bits;
		model_say(m, now, false, m->bits ? "bits per second" : "bytes per second");
	} else {
		m->private = !m->private;
		model_say(m, now, false,
			  m->private ? "keys and addresses are hidden" : "keys and addresses are shown");
	}
	effect_add(fx, EFFECT_SETTINGS);
}

static void start_filter(struct model *m)
{
	m->mode = MODE_FILTER;
	text_copy(m->filter_before, FILTER_ROOM, m->screen == SCREEN_LOG ? m->log_filter : m->filter);
	text_copy(m->selected_before, sizeof(m->selected_before), m->selected);
}

static void leave(struct effects *fx, bool keep)
{
	effect_add(fx, keep ? EFFECT_QUIT_KEEP : EFFECT_QUIT);
}

/* Movement, and what opens and closes. True if it was one of those. */
static bool navigate(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_PEERS:
		show_screen(m, d, SCREEN_PEERS);
		break;
	case COMMAND_PEER:
		show_screen(m, d, SCREEN_PEER);
		break;
	case COMMAND_LOG:
		show_screen(m, d, SCREEN_LOG);
		break;
	case COMMAND_DOWN:
	case COMMAND_UP:
		move(m, d, c == COMMAND_DOWN ? 1 : -1);
		break;
	case COMMAND_PAGE_DOWN:
	case COMMAND_PAGE_UP:
		move(m, d, c == COMMAND_PAGE_DOWN ? page(m, d) : -page(m, d));
		break;
	case COMMAND_FIRST:
	case COMMAND_LAST:
		move(m, d, c == COMMAND_LAST ? FAR : -FAR);
		break;
	case COMMAND_LEFT:
	case COMMAND_RIGHT:
		if (m->screen == SCREEN_PEER)
			step_peer(m, d, c == COMMAND_RIGHT ? 1 : -1);
		else
			step_sort(m, d, c == COMMAND_RIGHT ? 1 : -1, now, fx);
		break;
	case COMMAND_NEXT_PROBLEM:
	case COMMAND_PREVIOUS_PROBLEM:
		step_problem(m, d, c == COMMAND_NEXT_PROBLEM ? 1 : -1, now);
		break;
	case COMMAND_OPEN:
		if (m->screen == SCREEN_LOG)
			open_line(m, d, now);
		else
			show_screen(m, d, SCREEN_PEER);
		break;
	case COMMAND_BACK:
		back(m, d, fx);
		break;
	case COMMAND_NEXT_PANE:
	case COMMAND_PREVIOUS_PANE:
		step_pane(m, d, c == COMMAND_NEXT_PANE ? 1 : PANES - 1);
		break;
	default:
		return false;
	}
	return true;
}

static void run(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_HELP:
		m->mode = MODE_HELP;
		m->help_top = 0;
		break;
	case COMMAND_FILTER:
		start_filter(m);
		break;
	case COMMAND_NEXT_MATCH:
	case COMMAND_PREVIOUS_MATCH:
		step_match(m, d, c == COMMAND_NEXT_MATCH ? 1 : -1, now);
		break;
	case COMMAND_SORT_LEFT:
	case COMMAND_SORT_RIGHT:
		step_sort(m, d, c == COMMAND_SORT_RIGHT ? 1 : -1, now, fx);
		break;
	case COMMAND_INVERT:
		m->inverted = !m->inverted;
		effect_add(fx, EFFECT_SETTINGS);
		model_sync(m, d, fx);
		break;
	case COMMAND_WORST_FIRST:
		m->sort = SORT_WORST - 1;
		step_sort(m, d, 1, now, fx);
		break;
	case COMMAND_FREEZE:
		freeze(m, now, fx);
		break;
	case COMMAND_SLOWER:
	case COMMAND_FASTER:
		set_interval(m, c == COMMAND_SLOWER ? 1 : -1, now, fx);
		break;
	case COMMAND_AGES:
	case COMMAND_UNITS:
	case COMMAND_PRIVACY:
		setting(m, c, now, fx);
		break;
	case COMMAND_TAG:
		toggle_tag(m, d);
		break;
	case COMMAND_UNTAG:
		untag_all(m);
		break;
	case COMMAND_MENU:
		m->mode = MODE_MENU;
		break;
	case COMMAND_DRAIN:
	case COMMAND_RESET:
	case COMMAND_HANDSHAKE:
	case COMMAND_ROTATE:
	case COMMAND_PROBE:
	case COMMAND_PREFER:
	case COMMAND_FORCE:
	case COMMAND_LADDER_NOW:
	case COMMAND_LADDER_SKIP:
	case COMMAND_LADDER_HOLD:
	case COMMAND_RELOAD:
		action_ask(m, d, c, now, fx);
		break;
	case COMMAND_COPY:
		copy(m, d, now, fx);
		break;
	case COMMAND_REDRAW:
		effect_add(fx, EFFECT_REDRAW);
		break;
	case COMMAND_SUSPEND:
		effect_add(fx, EFFECT_SUSPEND);
		break;
	case COMMAND_QUIT:
	case COMMAND_QUIT_KEEP:
		leave(fx, c == COMMAND_QUIT_KEEP);
		break;
	default:
		log_command(m, d, c, now, fx);
	}
}

/* Typing after '/': every change filters at once. */
static void filter_key(struct model *m, const struct data *d, uint32_t code, struct effects *fx)
{
	char *filter = m->screen == SCREEN_LOG ? m->log_filter : m->filter;
	size_t len = strlen(filter);
	char utf8[4];

	if (code == '\r' || code == '\n') {
		m->mode = MODE_NORMAL;
		text_copy(m->pattern, FILTER_ROOM, filter);
	} else if (code == K_ESCAPE || code == CTRL_('C')) {
		m->mode = MODE_NORMAL;
		text_copy(filter, FILTER_ROOM, m->filter_before);
	} else if (code == K_BACKSPACE || code == 8) {
		while (len && ((unsigned char)filter[len - 1] & 0xc0) == 0x80)
			len--;
		filter[len ? len - 1 : 0] = '\0';
	} else if (code == CTRL_('U')) {
		*filter = '\0';
	} else if (code >= ' ' && code < 0x110000 && text_width(code)) {
		size_t used = text_encode(utf8, code);

		if (len + used < FILTER_ROOM) {
			memcpy(filter + len, utf8, used);
			filter[len + used] = '\0';
		}
	}
	/* The peer that was selected comes back as soon as the filter lets it. */
	text_copy(m->selected, sizeof(m->selected), m->selected_before);
	model_sync(m, d, fx);
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
		run(m, d, e->command, now, fx);
	else if (m->mode == MODE_FILTER)
		filter_key(m, d, code, fx);
	else if (m->mode == MODE_HELP)
		help_key(m, code);
	else if (m->mode == MODE_CONFIRM)
		action_key(m, d, code, now, fx);
	else if (m->mode == MODE_MENU)
		action_menu_key(m, d, code, now, fx);
	else if (e && !navigate(m, d, e->command, now, fx))
		run(m, d, e->command, now, fx);
	fit(m, d);
	fetch_events(m, d, fx);
}
