/* The Peer screen: one peer, everything that the engine knows about its tunnel. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

#define NARROW 72 /* below, the packet counts of a session have no room */

static void draw_head(struct grid *g, const struct scene *s, const struct peer *p)
{
	struct pen pen = pen_at(g, 0, 1, g->width);
	char text[TEXT_ROOM], a[FORMAT_ROOM];
	bool hide = s->m->private;

	part_time(&pen, s);
	snprintf(text, sizeof(text), "peer %zu of %zu%s", s->m->row + 1, s->m->rows.count,
		 g->width >= 100 ? " (h l)" : "");
	pen_right(&pen, STYLE_DIM, text);
	pen_text(&pen, STYLE_HEAD, peer_label(text, p, hide));
	pen_skip(&pen, 2);
	pen.col += grid_put(g, 0, pen.col, pen.limit, part_glyph(p->word), part_style(p));
	pen_print(&pen, part_style(p), " %s", word_name(p->word));
	if (p->word_since > 0)
		pen_print(&pen, part_style(p), " %s", format_span(a, s->now - p->word_since));
	pen_skip(&pen, 3);
	if (g->width < 80)
		pen.limit = pen.col; /* no room that would show more than the start of them */
	pen_text(&pen, STYLE_PLAIN, hide ? "(hidden)" : *p->allowed ? p->allowed : "no allowed IPs");
	if (p->allowed_total > p->prefixes_count && !hide)
		pen_print(&pen, STYLE_DIM, " and %zu more", p->allowed_total - p->prefixes_count);

	pen = pen_at(g, 1, 1, g->width - 1);
	pen_text(&pen, STYLE_PLAIN, hide ? "(hidden)" : p->key);
	pen_print(&pen, STYLE_DIM, "   psk %s", p->psk ? "yes" : "no");
	if (g->width < NARROW)
		return;
	pen_text(&pen, STYLE_DIM, "   keepalive ");
	if (p->keepalive)
		pen_print(&pen, STYLE_DIM, "%us", p->keepalive);
	else
		pen_text(&pen, STYLE_DIM, "off");
}

enum phase {
	PHASE_IDLE,
	PHASE_OFFER,
	PHASE_CHECK,
	PHASE_RELAY,
	PHASE_DIRECT,
	PHASE_HOLD,
	PHASE_DRAIN,
	PHASE_DOWN,
	PHASES
};

/* How far the way to a peer has come. It is the path alone: what the tunnel makes of it is told below. */
static enum phase phase_of(const struct peer *p)
{
	const struct network *n = p->network;

	if (p->word == WORD_DOWN)
		return PHASE_DOWN;
	if (p->draining)
		return PHASE_DRAIN;
	if (n->ladder_held && *n->rung_text)
		return PHASE_HOLD;
	if (strcmp(p->path_kind, "relay") == 0 || strcmp(p->path_kind, "turn") == 0)
		return PHASE_RELAY;
	if (*p->path_kind && strcmp(p->path_kind, "none") != 0)
		return PHASE_DIRECT;
	if (strcmp(n->ice, "connecting") == 0 || strcmp(n->ice, "gathering") == 0)
		return PHASE_CHECK;
	return n->offers_sent > n->answers_received ? PHASE_OFFER : PHASE_IDLE;
}

/* "IDLE ─ OFFER ─ CHECK ─ RELAY ─ [DIRECT] ─ HOLD   DRAIN   DOWN   49s, 3 changes" */
static int draw_phases(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	static const char *const names[PHASES] = {"IDLE",   "OFFER", "CHECK", "RELAY",
						  "DIRECT", "HOLD",  "DRAIN", "DOWN"};
	struct pen pen = pen_at(g, row, 1, g->width - 1);
	const struct network *n = p->network;
	enum phase now;
	char text[96], span[FORMAT_ROOM];

	if (!n || g->height < 24)
		return 0;
	now = phase_of(p);
	for (int i = 0; i < PHASES; i++) {
		uint8_t style = i != (int)now			   ? STYLE_DIM
				: strcmp(p->path_state, "up") == 0 ? STYLE_OK
								   : STYLE_WARN;

		if (i)
			pen_text(&pen, STYLE_DIM,
				 i > PHASE_HOLD	   ? "  "
				 : g->width >= 100 ? " \u2500\u2500\u2192 "
						   : " \u2500 ");
		pen_print(&pen, style, i == (int)now ? "[%s]" : "%s", names[i]);
	}
	if (n->chosen_since > 0)
		snprintf(text, sizeof(text), "%s, %u change%s", format_span(span, s->now - n->chosen_since),
			 n->path_changes, n->path_changes == 1 ? "" : "s");
	else
		snprintf(text, sizeof(text), "%u change%s", n->path_changes, n->path_changes == 1 ? "" : "s");
	pen_right(&pen, STYLE_PLAIN, text);
	return 1;
}

static int draw_path(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	struct pen pen = pen_at(g, row, 1, g->width - 1);
	bool hide = s->m->private;
	char text[TEXT_ROOM];

	pen_field(&pen, STYLE_DIM, 7, "path");
	part_path_state(&pen, p);
	if (part_carried(p))
		pen_print(&pen, STYLE_PLAIN, "   %s", part_path(text, s, p, 60));
	else if (*p->endpoint)
		pen_print(&pen, STYLE_PLAIN, "   endpoint %s %s", part_endpoint(s, p), p->origin);
	else
		pen_print(&pen, STYLE_WARN, "   %s", *p->host ? "no endpoint yet" : "no endpoint");
	if (*p->host)
		pen_print(&pen, STYLE_DIM, " from %s", hide ? "(hidden)" : p->host);
	if (*p->resolve_error)
		pen_print(&pen, STYLE_WARN, ": %s", part_text(text, s, p->resolve_error));
	if (*p->source)
		pen_print(&pen, STYLE_DIM, "   we use %s", hide ? "(hidden)" : p->source);
	return 1;
}

static int draw_tunnel(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	struct pen pen = pen_at(g, row, 1, g->width - 1);
	char a[FORMAT_ROOM];

	pen_field(&pen, STYLE_DIM, 7, "tunnel");
	pen_text(&pen, part_style(p), p->tunnel);
	if (p->draining)
		pen_text(&pen, STYLE_INFO, ", draining");
	if (p->unanswered_since > 0)
		pen_print(&pen, STYLE_WARN, ", unanswered for %s",
			  format_span(a, s->now - p->unanswered_since));
	pen_print(&pen, STYLE_PLAIN, "   rx %s", format_bytes(a, (double)p->rx, s->m->bits));
	pen_print(&pen, STYLE_DIM, " %s", part_ago(a, s, p->last_received));
	pen_print(&pen, STYLE_PLAIN, "   tx %s", format_bytes(a, (double)p->tx, s->m->bits));
	pen_print(&pen, STYLE_DIM, " %s", part_ago(a, s, p->last_sent));
	return 1;
}

/* What recovery does next by itself, only while there is something to recover. */
static int draw_next(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	struct pen pen = pen_at(g, row, 1, g->width - 1);

	if (!p->network || !*p->network->rung_text)
		return 0;
	pen_field(&pen, STYLE_DIM, 7, "next");
	part_recovery(&pen, s, p);
	return 1;
}

/* Why it is as it is, where no diagnosis says more: the whole sentence, unless a pane was chosen that wants
 * the rows. */
static int draw_why(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	struct pen pen = pen_at(g, row, 1, g->width - 1);
	int rows = g->height >= 24								 ? 2
		   : p->findings && (s->m->pane == PANE_SESSIONS || s->m->pane == PANE_TIMELINE) ? 3
												 : 1;
	char text[TEXT_ROOM];

	if (p->findings && (g->height >= 24 || s->m->pane == PANE_DIAGNOSIS))
		return 0;
	pen_field(&pen, STYLE_DIM, 7, "why");
	if (*part_verdict(text, s, p))
		return draw_wrapped(g, row, rows, pen.col, pen.limit, part_style(p), text);
	pen_text(&pen, STYLE_DIM, "nothing is wrong that can be seen from here");
	return 1;
}

/* ---- wireguard sessions ---- */

static void draw_slot(struct grid *g, const struct scene *s, const struct keypair *k, const char *slot,
		      int row, int limit)
{
	struct pen p = pen_at(g, row, 1, limit);
	double received = k ? (double)k->received : 0, lost = k ? (double)k->lost : 0;
	char a[FORMAT_ROOM], text[64];

	pen_field(&p, STYLE_PLAIN, 6, slot);
	if (!k) {
		pen_text(&p, STYLE_DIM, "\u2013");
		return;
	}
	snprintf(text, sizeof(text), "%s/%s", k->local_index, k->remote_index);
	pen_field(&p, STYLE_PLAIN, 19, text);
	if (s->m->clock_times)
		pen_field(&p, STYLE_PLAIN, 8, format_clock(a, k->created_at, false));
	else
		pen_field(&p, STYLE_PLAIN, 8, format_span(a, s->now - k->created_at));
	pen_field(&p, STYLE_PLAIN, 5, k->initiator ? "init" : "resp");
	if (limit >= NARROW) {
		pen_field(&p, STYLE_PLAIN, 8, format_count(a, k->sent));
		pen_field(&p, STYLE_PLAIN, 8, format_count(a, k->received));
	}
	snprintf(text, sizeof(text), "%.1f%%", received + lost > 0 ? 100 * lost / (received + lost) : 0);
	pen_field(&p, lost > 0 ? STYLE_WARN : STYLE_PLAIN, 6, text);
	if (s->now >= k->expires_at)
		pen_print(&p, STYLE_BAD, "EXPIRED %s", format_span(a, s->now - k->expires_at));
	else if (!k->confirmed)
		pen_text(&p, STYLE_INFO, "unconfirmed");
	else if (strcmp(slot, "cur") == 0)
		pen_text(&p, STYLE_OK, "in use");
	else
		pen_text(&p, STYLE_DIM, "receives");
}

/* Rows used: 6, or 5 on a low screen while no next key waits. */
static int draw_sessions(struct grid *g, const struct scene *s, const struct peer *p, int row, int limit)
{
	struct pen pen = pen_at(g, row, 0, limit);
	char text[TEXT_ROOM], note[64];
	int top = row++;

	snprintf(note, sizeof(note), "local/remote index");
	if (p->staged)
		snprintf(note, sizeof(note), "%u staged   local/remote index", p->staged);
	draw_rule(&pen, "wireguard sessions", note);
	pen = pen_at(g, row++, 1, limit);
	pen_text(&pen, STYLE_HEAD, "slot  index              age     as   ");
	pen_text(&pen, STYLE_HEAD, limit >= NARROW ? "tx      rx      lost  state" : "lost  state");
	if (part_keypair(p, "next") || g->height >= 30)
		draw_slot(g, s, part_keypair(p, "next"), "next", row++, limit);
	draw_slot(g, s, part_keypair(p, "current"), "cur", row++, limit);
	draw_slot(g, s, part_keypair(p, "previous"), "prev", row++, limit);
	pen = pen_at(g, row++, 1, limit);
	pen_field(&pen, STYLE_PLAIN, 6, "hs");
	pen_text(&pen, p->unanswered ? STYLE_WARN : STYLE_PLAIN, part_handshake(text, s, p));
	if (p->given_up)
		pen_print(&pen, STYLE_WARN, ", %llu given up", (unsigned long long)p->given_up);
	return row - top;
}

/* ---- timers ---- */

struct countdown {
	const char *name;
	double due, period; /* due 0: not running */
	const char *note;   /* what it is for, or why it does not run */
};

#define COUNTDOWNS 7

/* The protocol's timers, and the two ages of the sending key that act like timers. */
static void list_countdowns(const struct peer *p, double now, struct countdown out[COUNTDOWNS])
{
	static const struct {
		const char *timer, *name, *note;
	} names[] = {
		{"retry", "handshake retry", "5 s apart, 18 tries"},
		{"keepalive", "keepalive", "data came, none sent"},
		{"silence", "new handshake", "data sent, none came"},
		{"persistent-keepalive", "persistent", "the configured period"},
		{"zero-keys", "zero keys", "540 s after last key"},
	};
	const struct keypair *k = part_keypair(p, "current");
	int n = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const struct timer *t = part_timer(p, names[i].timer);

		out[n++] = (struct countdown){names[i].name, t ? t->due_at : 0, t ? t->period : 0,
					      names[i].note};
	}
	out[n++] = (struct countdown){"rekey", k && now < k->expires_at ? k->rekey_at : 0,
				      k ? k->rekey_at - k->created_at : 0, "initiator, at 120 s"};
	out[n++] = (struct countdown){"key expires", k ? k->expires_at : 0,
				      k ? k->expires_at - k->created_at : 0, "180 s after handshake"};
}

static void draw_countdown(struct grid *g, const struct scene *s, const struct countdown *c, int row, int col,
			   int limit)
{
	struct pen p = pen_at(g, row, col, limit);
	int bar = limit - col >= 66 ? 24 : limit - col >= 36 ? 8 : 0;
	double left = c->due - s->now;
	char span[FORMAT_ROOM];

	pen_field(&p, STYLE_PLAIN, 16, c->name);
	if (!(c->due > 0)) {
		pen_field(&p, STYLE_DIM, 10, "off");
	} else if (s->m->clock_times) {
		pen_field(&p, STYLE_PLAIN, 10, format_clock(span, c->due, false));
	} else if (left <= 0) {
		pen_field(&p, STYLE_WARN, 10, strcmp(c->name, "key expires") == 0 ? "expired" : "due");
	} else {
		pen_text(&p, STYLE_PLAIN, "in ");
		pen_field(&p, STYLE_PLAIN, 7, format_span(span, ceil(left)));
	}
	if (c->due > 0 && bar)
		draw_bar(&p, left > 0 ? STYLE_INFO : STYLE_WARN, bar,
			 c->period > 0 ? 1 - left / c->period : left <= 0);
	else
		pen_skip(&p, bar);
	pen_skip(&p, 2);
	if (bar > 8)
		pen_text(&p, STYLE_DIM, c->note);
}

static int draw_timers(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows,
		       int limit)
{
	struct countdown list[COUNTDOWNS];
	struct pen rule = pen_at(g, row, 0, limit);
	int columns = rows - 1 >= COUNTDOWNS ? 1 : 2, per = (COUNTDOWNS + columns - 1) / columns;
	bool focus = s->m->pane == PANE_SESSIONS;

	list_countdowns(p, s->now, list);
	draw_rule(&rule, "timers", focus ? "Tab" : "");
	for (int i = 0; i < COUNTDOWNS; i++) {
		int col = i / per, at = 1 + col * (limit / 2);

		if (i % per < rows - 1)
			draw_countdown(g, s, &list[i], row + 1 + i % per, at,
				       columns == 2 && !col ? limit / 2 : limit);
	}
	return rows;
}

/* ---- counters and reject reasons ---- */

static int clamp_top(int top, int count, int visible)
{
	return top + visible <= count ? top : count > visible ? count - visible : 0;
}

static int draw_counters(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows,
			 int limit)
{
	int shown[COUNTERS_MAX], count = 0, lines, top;
	/* Two short columns where rows are few; with the focus on it, one with room for the words. */
	int columns = rows < 8 && s->m->pane != PANE_COUNTERS ? 2 : 1;
	struct pen rule = pen_at(g, row, 0, limit);
	char note[64];

	/* What was refused tells more than what went well: first. */
	for (int reject = 1; reject >= 0; reject--)
		for (int i = 0; i < counter_slots(); i++)
			if (p->counters[i] && counter_is_reject(i) == (reject == 1))
				shown[count++] = i;
	lines = (count + columns - 1) / columns;
	top = clamp_top(s->m->pane_top[PANE_COUNTERS], lines, rows - 1);
	snprintf(note, sizeof(note), "%s%d of %d%s", lines > rows - 1 ? "" : "all ",
		 lines > rows - 1 ? (rows - 1) * columns : count, count,
		 s->m->pane == PANE_COUNTERS ? "  Tab" : "");
	draw_rule(&rule, "counters", count ? note : "none yet");
	for (int i = 0; i < rows - 1 && top + i < lines; i++)
		for (int c = 0; c < columns; c++) {
			int n = (top + i) * columns + c;
			int col = 1 + c * (limit / 2);
			struct pen pen =
				pen_at(g, row + 1 + i, col, c + 1 < columns ? limit / 2 - 1 : limit - 1);
			char text[FORMAT_ROOM];

			if (n >= count)
				continue;
			pen_field_right(&pen, counter_is_reject(shown[n]) ? STYLE_WARN : STYLE_PLAIN, 7,
					format_count(text, p->counters[shown[n]]));
			pen_skip(&pen, 1);
			pen_text(&pen, STYLE_PLAIN, counter_meaning(shown[n]));
		}
	return rows;
}

/* ---- timeline and traffic ---- */

/* One event; what is too long for its row goes on in the next, below its text. Rows used. */
static int draw_entry(struct grid *g, const struct scene *s, const struct event *ev, int row, int rows,
		      int col, int limit)
{
	struct pen pen = pen_at(g, row, col, limit);
	struct event time_only = *ev;
	char text[TEXT_ROOM];
	uint8_t style = ev->level == LEVEL_ERROR  ? STYLE_BAD
			: ev->level == LEVEL_WARN ? STYLE_WARN
						  : STYLE_PLAIN;
	int used;

	*time_only.text = '\0';
	part_event(&pen, s, &time_only, false);
	used = draw_wrapped(g, row, rows < 3 ? rows : 3, pen.col, limit - 1, style,
			    part_text(text, s, ev->text));
	return used ? used : 1;
}

static void draw_timeline(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows,
			  int col, int limit)
{
	const struct data *d = s->d;
	struct pen rule = pen_at(g, row, col, limit);
	int count = 0, skip;

	for (size_t i = 0; i < d->events_count; i++)
		count += strcmp(d->events[i].key, p->key) == 0;
	skip = clamp_top(s->m->pane_top[PANE_TIMELINE], count, rows - 1);
	draw_rule(&rule, "timeline", s->m->pane == PANE_TIMELINE ? "newest first  Tab" : "newest first");
	for (size_t i = d->events_count; i-- > 0 && rows > 1;) {
		const struct event *ev = &d->events[i];
		int used;

		if (strcmp(ev->key, p->key) != 0 || skip-- > 0)
			continue;
		used = draw_entry(g, s, ev, row + 1, rows - 1, col + 1, limit);
		row += used;
		rows -= used;
	}
}

static void draw_traffic(struct grid *g, const struct scene *s, const struct peer *p, int row, int col,
			 int limit)
{
	struct pen pen = pen_at(g, row, col, limit);
	char text[TEXT_ROOM], a[FORMAT_ROOM];

	snprintf(text, sizeof(text), "%g s per cell", model_intervals[s->m->interval]);
	draw_rule(&pen, "traffic", text);
	for (int i = 0; i < 2; i++) {
		pen = pen_at(g, row + 1 + i, col + 1, limit);
		pen_print(&pen, STYLE_PLAIN, "%s ", i ? "tx" : "rx");
		pen_field_right(
			&pen, STYLE_ACCENT, 9,
			format_rate_unit(a, data_rate(s->d, i ? p->shown_tx : p->shown_rx), s->m->bits));
		pen_skip(&pen, 1);
		part_spark(&pen, s, i ? p->history_tx : p->history_rx, NULL, pen.limit - pen.col - 1, true);
	}
}

/* Side by side on a wide screen, the timeline on the right; the diagnosis below both. */
static void draw_wide(struct grid *g, const struct scene *s, const struct peer *p, int top)
{
	int side = g->width >= 160 ? g->width * 2 / 5 : 45;
	int split = g->width - side > 76 ? g->width - side : 76, end = g->height - 1, row = top;
	int wanted = view_diagnosis_rows(s, p, g->width), most = s->m->pane == PANE_DIAGNOSIS ? 16 : 9;

	if (wanted) {
		end -= wanted < most ? wanted : most;
		view_diagnosis(g, s, p, end, g->height - 1 - end, g->width);
	}
	for (int r = top; r < end; r++)
		grid_put(g, r, split, g->width, 0x2502, STYLE_DIM);
	row += draw_sessions(g, s, p, row, split);
	row += draw_timers(g, s, p, row, !p->network && end - row >= COUNTDOWNS + 4 ? COUNTDOWNS + 1 : 5,
			   split);
	if (p->network) {
		most = end - row - (s->m->pane == PANE_NETWORK ? 0 : s->m->pane == PANE_COUNTERS ? 12 : 4);
		row += view_network(g, s, p, row, most, split);
	}
	if (end - row > 1)
		draw_counters(g, s, p, row, end - row, split);
	draw_timeline(g, s, p, top, end - top - 3, split + 1, g->width);
	draw_traffic(g, s, p, end - 3, split + 1, g->width);
	grid_put(g, top, split, g->width, 0x252c, STYLE_DIM);
	if (wanted)
		grid_put(g, end, split, g->width, 0x2534, STYLE_DIM);
}

/* The pane of the focus, in all the rows that there are. */
static void draw_focus(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows)
{
	if (s->m->pane == PANE_SESSIONS)
		draw_timers(g, s, p, row, rows, g->width);
	else if (s->m->pane == PANE_COUNTERS)
		draw_counters(g, s, p, row, rows, g->width);
	else if (s->m->pane == PANE_NETWORK && p->network)
		view_network(g, s, p, row, rows, g->width);
	else if (s->m->pane == PANE_DIAGNOSIS && peer_findings(s->d, p))
		view_diagnosis(g, s, p, row, rows, g->width);
	else
		draw_timeline(g, s, p, row, rows, 0, g->width);
}

static void draw_whole(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	int end = g->height - 1;

	if (s->m->pane == PANE_SESSIONS)
		row += draw_sessions(g, s, p, row, g->width);
	if (s->m->pane == PANE_TIMELINE && end - row > 8) {
		end -= 3;
		draw_traffic(g, s, p, end, 0, g->width);
	}
	if (end - row > 1)
		draw_focus(g, s, p, row, end - row);
}

/* One below the other; where rows are few, only the pane that has the focus. */
static void draw_stacked(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	int end = g->height - 1, left, wanted = view_diagnosis_rows(s, p, g->width);
	int most = g->height >= 30 ? 10 : 8;

	/* What works all the same has to leave the room to the rest. */
	if (wanted && g->height >= (p->findings ? 24 : 40) && s->m->pane != PANE_DIAGNOSIS)
		row += view_diagnosis(g, s, p, row, wanted < most ? wanted : most, g->width);
	/* Whoever chose it wants to read it, from the first line to the next step. */
	if (wanted && s->m->pane == PANE_DIAGNOSIS && wanted > end - row - 6 - 11) {
		row += view_diagnosis(g, s, p, row, end - row, g->width);
		if (end - row >= 6)
			row += draw_sessions(g, s, p, row, g->width);
		return;
	}
	row += draw_sessions(g, s, p, row, g->width);
	left = end - row;
	if (left < 11 ||
	    (s->m->pane == PANE_NETWORK && p->network && left < view_network_lines(s, p, g->width) + 5)) {
		draw_focus(g, s, p, row, left);
		return;
	}
	row += draw_timers(g, s, p, row, left >= 24 ? COUNTDOWNS + 1 : 5, g->width);
	left = end - row;
	if (s->m->pane == PANE_DIAGNOSIS && peer_findings(s->d, p)) {
		row += view_diagnosis(g, s, p, row, wanted < left - 4 ? wanted : left, g->width);
		left = end - row;
	}
	if (p->network && left > 1) {
		row += view_network(g, s, p, row, s->m->pane == PANE_NETWORK ? left : left / 2, g->width);
		left = end - row;
	}
	if (left < 4)
		return;
	row += draw_counters(g, s, p, row, s->m->pane == PANE_COUNTERS ? left - 3 : (left + 1) / 3 + 1,
			     g->width);
	draw_timeline(g, s, p, row, end - row, 0, g->width);
}

void view_peer(struct grid *g, const struct scene *s)
{
	const struct peer *p = model_selected(s->m, s->d);
	int row = 2;

	if (!p)
		return;
	draw_head(g, s, p);
	if (s->m->pane_whole) {
		draw_whole(g, s, p, row);
	} else {
		row += draw_phases(g, s, p, row);
		row += draw_path(g, s, p, row);
		row += draw_tunnel(g, s, p, row);
		row += draw_next(g, s, p, row);
		row += draw_why(g, s, p, row);
		if (g->width >= 120)
			draw_wide(g, s, p, row);
		else
			draw_stacked(g, s, p, row);
	}
	g->cursor_row = 0;
	g->cursor_col = 1;
}
