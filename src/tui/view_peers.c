/* The Peers screen: summary, what is wrong, the table, and below it the selected peer and the newest events.
 */
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "tui/text.h"
#include "tui/view.h"

struct word_count {
	enum word word;
	const char *name;
	uint8_t style;
};

static const struct word_count word_counts[WORDS] = {
	{WORD_DIRECT, "direct", STYLE_PLAIN}, {WORD_RELAY, "relay", STYLE_PLAIN},
	{WORD_IDLE, "idle", STYLE_DIM},	      {WORD_DOWN, "down", STYLE_DIM},
	{WORD_WAIT, "wait", STYLE_WARN},      {WORD_DRAIN, "drain", STYLE_INFO},
	{WORD_STUCK, "STUCK", STYLE_BAD},
};

/* "7 direct 1 wait 1 STUCK of 9"; brief: "7d 1w 1 STUCK". With draw false only the cells are counted. */
static int draw_words(struct pen *p, const struct scene *s, bool brief, bool draw)
{
	int cells = 0;
	char text[48];

	for (int i = 0; i < WORDS; i++) {
		const struct word_count *w = &word_counts[i];
		unsigned n = s->d->words[w->word];

		if (!n)
			continue;
		if (brief && w->word != WORD_STUCK)
			snprintf(text, sizeof(text), "%u%c ", n, w->name[0]);
		else
			snprintf(text, sizeof(text), "%u %s ", n, w->name);
		cells += (int)strlen(text);
		if (draw)
			pen_text(p, w->style, text);
	}
	snprintf(text, sizeof(text), s->d->peers_count ? " of %zu" : "no peers", s->d->peers_count);
	if (brief)
		return cells;
	if (draw)
		pen_text(p, STYLE_PLAIN, text);
	return cells + (int)strlen(text);
}

/* The counts tell most: a long host name gives way to them. */
static void draw_first_line(struct grid *g, const struct scene *s)
{
	const struct data *d = s->d;
	struct pen p = pen_at(g, 0, 1, g->width), words;
	bool brief = g->width < 80;
	char span[FORMAT_ROOM];
	int cells;

	part_time(&p, s);
	cells = draw_words(&p, s, brief, false);
	words = p;
	if (g->width >= 100 && p.limit - cells - 3 > p.col)
		words.col = p.limit - cells - 3;
	p.limit = g->width >= 100 ? words.col - 1 : p.limit - cells - 2;
	pen_text(&p, STYLE_HEAD, *d->hostname ? d->hostname : "weir");
	pen_print(&p, STYLE_PLAIN, " %s", d->interface);
	if (!brief && p.limit - p.col >= 6)
		pen_print(&p, STYLE_PLAIN, ":%u", d->listen_port);
	if (!d->up)
		pen_text(&p, STYLE_BAD, " DOWN");
	if (g->width >= 100)
		pen_print(&p, STYLE_PLAIN, "  up %s  engine pid %ld",
			  format_span(span, s->now - d->started_at), d->pid);
	if (g->width < 100)
		words.col = p.col + 2;
	draw_words(&words, s, brief, true);
}

static uint64_t count_of(const struct data *d, const char *name)
{
	return d->counters[counter_slot(name)];
}

/* "signal ok 4s ago by ice": frames between the ends, and the age of the last that was answered; "silent"
 * once the path that it came by is not up any more. */
static void draw_signal(struct pen *p, const struct scene *s)
{
	const struct net_path *newest = NULL;
	bool any = false;
	char span[FORMAT_ROOM];

	for (size_t i = 0; i < s->d->peers_count; i++) {
		const struct network *n = s->d->peers[i]->network;

		any |= n && n->remote_is_weir;
		for (unsigned k = 0; n && k < n->path_count; k++)
			if (!newest || n->paths[k].last_proof > newest->last_proof)
				newest = &n->paths[k];
	}
	if (!any)
		return;
	pen_text(p, STYLE_PLAIN, "signal ");
	if (!newest || !(newest->last_proof > 0)) {
		pen_text(p, STYLE_WARN, "nothing yet   ");
		return;
	}
	if (strcmp(newest->state, "up") == 0)
		pen_text(p, STYLE_OK, "ok ");
	else
		pen_text(p, STYLE_BAD, "silent ");
	if (p->grid->width >= 100)
		pen_print(p, STYLE_PLAIN, "%s ago by %s", format_age(span, s->now - newest->last_proof),
			  newest->kind);
	else
		pen_print(p, STYLE_PLAIN, "%s", format_age(span, s->now - newest->last_proof));
	pen_skip(p, 3);
}

/* "relay fra1 ok 22ms, 1 standby": the home relay, and how many more are up. */
static void draw_relays(struct pen *p, const struct scene *s)
{
	unsigned others = 0;
	char text[FORMAT_ROOM];

	for (unsigned i = 0; i < s->d->relays_count; i++) {
		const struct net_relay *r = &s->d->relays[i];
		bool up = strcmp(r->state, "up") == 0;

		if (strcmp(r->role, "home") != 0 && i) {
			others += up;
			continue;
		}
		pen_print(p, STYLE_PLAIN, "relay %s ", part_relay(text, s, r->url));
		if (up && r->rtt > 0)
			pen_print(p, STYLE_OK, "ok %.*fms", r->rtt < 0.00995 ? 1 : 0, r->rtt * 1000);
		else
			pen_text(p, up ? STYLE_OK : STYLE_BAD, up ? "ok" : r->state);
	}
	if (others)
		pen_print(p, STYLE_DIM, ", %u standby", others);
	if (s->d->relays_count)
		pen_skip(p, 3);
}

/* A path by UDP that is up proves more than servers that did not answer when they were asked. */
static bool udp_passes(const struct data *d)
{
	for (size_t i = 0; i < d->peers_count; i++) {
		const struct network *n = d->peers[i]->network;

		for (unsigned k = 0; n && k < n->path_count; k++)
			if (strcmp(n->paths[k].kind, "relay") != 0 && strcmp(n->paths[k].kind, "turn") != 0 &&
			    strcmp(n->paths[k].state, "up") == 0)
				return true;
	}
	return false;
}

/* Known once a direct path was sought in vain: which NATs a tunnel gets through depends on it. */
static void draw_nat(struct pen *p, const struct data *d)
{
	static const struct {
		const char *word, *shown;
		enum style style;
	} nats[] = {
		{"none", "no nat", STYLE_OK},
		{"endpoint-independent", "nat eim", STYLE_PLAIN},
		{"port-independent", "nat eim/adm", STYLE_PLAIN}, /* RFC 4787: either, never by port */
		{"symmetric", "nat symmetric", STYLE_WARN},
		{"blocked", "no UDP", STYLE_BAD},
	};

	for (unsigned i = 0; i < sizeof(nats) / sizeof(nats[0]); i++)
		if (strcmp(d->nat, nats[i].word) == 0 && (strcmp(d->nat, "blocked") != 0 || !udp_passes(d))) {
			pen_text(p, nats[i].style, nats[i].shown);
			pen_skip(p, 3);
		}
}

static void draw_engine(struct pen *p, const struct data *d)
{
	char text[128];

	snprintf(text, sizeof(text), "%u worker%s, %s, tun%s%s%s, udp%s%s%s", d->workers,
		 d->workers == 1 ? "" : "s", d->aead, d->tun_vnet ? " vnet" : " plain",
		 d->tun_tso ? " tso" : "", d->tun_uso ? " uso" : "", d->udp_gso ? " gso" : "",
		 d->udp_gro ? " gro" : "", d->udp_gso || d->udp_gro ? "" : " plain");
	if ((int)strlen(text) <= p->limit - p->col)
		pen_text(p, STYLE_DIM, text);
}

/* Whole or not at all: half a number is a wrong one. */
static void draw_count(struct pen *p, const char *name, uint64_t count)
{
	char text[FORMAT_ROOM];

	format_count(text, count);
	if ((int)(strlen(name) + 1 + strlen(text)) > p->limit - p->col)
		return;
	pen_print(p, count ? STYLE_WARN : STYLE_PLAIN, "%s %s", name, text);
	pen_skip(p, 3);
}

static void draw_numbers(struct grid *g, const struct scene *s, int row, bool rates)
{
	const struct data *d = s->d;
	struct pen p = pen_at(g, row, 1, g->width - 1);
	char text[96];
	uint64_t rejected = counter_sum_rejects(d->counters);
	uint64_t dropped = count_of(d, "staged_dropped") + count_of(d, "no_route") +
			   count_of(d, "no_endpoint") + count_of(d, "send_failed");

	if (*s->m->filter) {
		snprintf(text, sizeof(text), "\"%s\": %zu of %zu", s->m->filter, s->m->rows.count,
			 d->peers_count);
		pen_right(&p, STYLE_ACCENT, text);
	}
	if (d->under_load)
		pen_text(&p, STYLE_BAD, "UNDER LOAD   ");
	draw_signal(&p, s);
	draw_relays(&p, s);
	draw_nat(&p, d);
	if (rates) {
		pen_print(&p, STYLE_PLAIN, "rx %s", format_rate(text, data_rate(d, d->shown_rx), s->m->bits));
		pen_print(&p, STYLE_PLAIN, " tx %s   ",
			  format_rate(text, data_rate(d, d->shown_tx), s->m->bits));
	}
	draw_count(&p, "rejected", rejected);
	draw_count(&p, "dropped", dropped);
	if (d->samples < 2)
		snprintf(text, sizeof(text), "hs \u2013/min");
	else
		snprintf(text, sizeof(text), "hs %u/min", data_handshakes_per_minute(d));
	if ((int)text_cells(text) <= p.limit - p.col)
		pen_text(&p, STYLE_PLAIN, text);
	pen_skip(&p, 3);
	if (!rates)
		draw_engine(&p, d);
}

static void draw_traffic(struct grid *g, const struct scene *s, int row, bool rx)
{
	const struct data *d = s->d;
	const float *history = rx ? d->history_rx : d->history_tx;
	struct pen p = pen_at(g, row, 1, g->width - 1);
	char text[48], peak_text[FORMAT_ROOM];
	double peak = 0;

	for (int i = 0; i < HISTORY; i++)
		peak = history[i] > peak ? (double)history[i] : peak;
	snprintf(text, sizeof(text), "peak %5s", format_rate(peak_text, data_rate(d, peak), s->m->bits));
	pen_right(&p, STYLE_DIM, text);
	pen_text(&p, STYLE_PLAIN, rx ? "rx " : "tx ");
	pen_field_right(&p, STYLE_ACCENT, 9,
			format_rate_unit(text, data_rate(d, rx ? d->shown_rx : d->shown_tx), s->m->bits));
	pen_skip(&p, 1);
	part_spark(&p, s, history, NULL, p.limit - p.col - 1, true);
}

static void draw_alert(struct grid *g, const struct scene *s, int row, const struct peer *p)
{
	struct pen pen = pen_at(g, row, 1, g->width - 1);
	const struct finding *f = peer_finding(p);
	char label[LABEL_ROOM], age[FORMAT_ROOM], text[TEXT_ROOM];
	bool stuck = p->word == WORD_STUCK, up = !stuck && p->word != WORD_WAIT,
	     loss = up && !*p->reason && !peer_finding(p);
	uint8_t style = stuck ? STYLE_BAD : STYLE_WARN;

	grid_put(g, row, pen.col, pen.limit, up ? '!' : part_glyph(p->word), style);
	pen_skip(&pen, 2);
	pen_text(&pen, style, peer_label(label, p, s->m->private));
	if (loss) {
		pen_print(&pen, STYLE_PLAIN,
			  ": %.1f %% of its packets do not arrive here (gaps in its counters)",
			  p->shown_loss * 100);
		return;
	}
	pen_print(&pen, style, " %s %s", word_name(p->word),
		  g->width < 80 ? format_age(age, s->now - p->word_since)
				: format_span(age, s->now - p->word_since));
	if (f && g->width < 80)
		pen_print(&pen, STYLE_PLAIN, ": %s", part_text(text, s, f->title));
	else if (f || *p->reason)
		pen_print(&pen, STYLE_PLAIN, ": %s", part_verdict(text, s, p));
}

/* The worst peers: stuck ones, then waiting ones, then those that lose packets; each as long as it has been.
 */
static void draw_alerts(struct grid *g, const struct scene *s)
{
	const struct peer *told[4] = {0};

	for (int n = 0; n < s->l.alert_rows; n++) {
		const struct peer *worst = NULL;

		for (size_t i = 0; i < s->d->peers_count; i++) {
			const struct peer *p = s->d->peers[i];

			if (!peer_is_problem(p) || p == told[0] || p == told[1] || p == told[2])
				continue;
			if (!worst || p->word < worst->word ||
			    (p->word == worst->word && p->word_since < worst->word_since))
				worst = p;
		}
		if (!worst)
			return;
		told[n] = worst;
		draw_alert(g, s, s->l.alert_row + n, worst);
	}
}

static void draw_titles(struct grid *g, const struct scene *s)
{
	const struct layout *l = &s->l;
	unsigned marked = s->m->sort == SORT_WORST ? COLUMN_STATE : s->m->sort;
	char title[48], span[FORMAT_ROOM];

	for (int c = 0; c < COLUMNS; c++) {
		struct pen p =
			pen_at(g, l->table_row - 1, l->column_at[c], l->column_at[c] + l->column_width[c]);
		int width = l->column_width[c];

		if (!width)
			continue;
		snprintf(title, sizeof(title), "%s", column_title(c, width));
		if (c == COLUMN_LAST)
			snprintf(title, sizeof(title), "LAST %s",
				 format_span(span, width * model_intervals[s->m->interval]));
		if ((unsigned)c == marked && (int)strlen(title) >= width)
			title[width - 1] = '\0';
		if ((unsigned)c == marked)
			snprintf(title + strlen(title), 8, "%s", s->m->inverted ? "\u25b4" : "\u25be");
		if (column_is_number(c))
			pen_field_right(&p, STYLE_HEAD, width, title);
		else
			pen_field(&p, STYLE_HEAD, width, title);
	}
}

static void draw_key(struct pen *pen, const struct scene *s, const struct peer *p, int width)
{
	const struct keypair *k = part_keypair(p, "current");

	if (!k)
		pen_field(pen, STYLE_DIM, width, "\u2013");
	else if (s->now >= k->expires_at)
		pen_field(pen, STYLE_BAD, width, "EXPIRED");
	else
		draw_bar(pen, STYLE_OK, width,
			 (s->now - k->created_at) /
				 (k->expires_at > k->created_at ? k->expires_at - k->created_at : 180));
}

static const char *handshake_age(char out[FORMAT_ROOM], const struct scene *s, const struct peer *p)
{
	char clock[FORMAT_ROOM];

	if (!(p->latest_handshake > 0))
		snprintf(out, FORMAT_ROOM, "\u2013");
	else if (s->m->clock_times)
		snprintf(out, FORMAT_ROOM, "%.5s", format_clock(clock, p->latest_handshake, false));
	else
		format_age(out, s->now - p->latest_handshake);
	return out;
}

static void draw_number(struct pen *p, const struct scene *s, const struct peer *peer, enum column c,
			int width)
{
	const struct net_path *path = network_chosen(peer->network);
	double rtt =
		path && path->rtt > 0 ? path->rtt : peer->shown_rtt; /* of a ping, or of the last handshake */
	char text[FORMAT_ROOM];
	uint8_t style = STYLE_PLAIN;

	switch (c) {
	case COLUMN_HS:
		handshake_age(text, s, peer);
		break;
	case COLUMN_RTT:
		if (rtt > 0)
			snprintf(text, sizeof(text), "%.*f", rtt < 0.00995 ? 1 : 0, rtt * 1000);
		else
			snprintf(text, sizeof(text), "\u2013");
		break;
	case COLUMN_LOSS:
		if (peer->keypairs_count)
			snprintf(text, sizeof(text), "%.1f", peer->shown_loss * 100);
		else
			snprintf(text, sizeof(text), "\u2013");
		style = peer->shown_loss >= 0.01 ? STYLE_WARN : STYLE_PLAIN;
		break;
	default:
		format_rate(text, data_rate(s->d, c == COLUMN_RX ? peer->shown_rx : peer->shown_tx),
			    s->m->bits);
	}
	pen_field_right(p, style, width, text);
}

/* The first digits of ours and theirs, by which the two ends' screens and logs are compared. */
static void draw_session(struct pen *pen, const struct peer *p, int width)
{
	char text[48];
	bool any = p->network && (*p->network->local_session || *p->network->remote_session);

	if (any)
		snprintf(text, sizeof(text), "%.6s/%.6s",
			 *p->network->local_session ? p->network->local_session : "\u2013",
			 *p->network->remote_session ? p->network->remote_session : "\u2013");
	pen_field(pen, any ? STYLE_PLAIN : STYLE_DIM, width, any ? text : p->network ? "\u2013" : "no ice");
}

static void draw_row(struct grid *g, const struct scene *s, size_t index, int row)
{
	const struct peer *p = s->d->peers[s->m->rows.index[index]];
	const struct layout *l = &s->l;
	uint8_t style = part_style(p);
	char label[LABEL_ROOM], path[TEXT_ROOM];
	bool selected = index == s->m->row && strcmp(p->key, s->m->selected) == 0;

	if (selected)
		grid_put(g, row, 0, g->width, 0x203a, STYLE_ACCENT);
	if (model_tagged(s->m, p))
		grid_put(g, row, 1, g->width, '+', STYLE_ACCENT);
	/* Up, and of no use all the same. */
	grid_put(g, row, 2, g->width,
		 (p->word == WORD_DIRECT || p->word == WORD_RELAY) && peer_in_trouble(p)
			 ? '!'
			 : part_glyph(p->word),
		 style);
	for (int c = 0; c < COLUMNS; c++) {
		int width = l->column_width[c];
		struct pen pen = pen_at(g, row, l->column_at[c], l->column_at[c] + width);

		if (!width)
			continue;
		if (column_is_number(c))
			draw_number(&pen, s, p, c, width);
		else if (c == COLUMN_PEER)
			pen_field(&pen, STYLE_PLAIN, width, peer_label(label, p, s->m->private));
		else if (c == COLUMN_STATE)
			pen_field(&pen, style, width, word_name(p->word));
		else if (c == COLUMN_PATH)
			pen_field(&pen, STYLE_PLAIN, width, part_path(path, s, p, width));
		else if (c == COLUMN_SESSION)
			draw_session(&pen, p, width);
		else if (c == COLUMN_KEY)
			draw_key(&pen, s, p, width);
		else
			part_spark(&pen, s, p->history_rx, p->history_tx, width, g->width >= 120);
	}
	if (selected) {
		grid_select(g, row, 0, g->width);
		g->cursor_row = row;
		g->cursor_col = 0;
	}
}

static void draw_empty(struct grid *g, const struct scene *s)
{
	const char *text = *s->m->filter ? "no peer has these words; Esc clears the filter"
					 : "This interface has no peers yet. Add them with wg set, or in its "
					   "configuration and reload.";

	draw_wrapped(g, s->l.table_row + (s->l.table_rows > 3), s->l.table_rows > 1 ? 2 : 1, 4, g->width - 4,
		     STYLE_DIM, text);
}

static void draw_status(struct grid *g, const struct scene *s)
{
	struct pen p = pen_at(g, s->l.status_row, 1, g->width - 1);
	char text[48];

	if (g->width >= 80)
		pen_skip(&p, 3);
	if (s->m->rows.count > (size_t)s->l.table_rows)
		pen_print(&p, STYLE_DIM, "%zu to %zu of ", s->m->top + 1,
			  s->m->top + (size_t)s->l.table_rows);
	if (s->m->rows.count == s->d->peers_count)
		pen_print(&p, STYLE_DIM, "%zu peer%s", s->d->peers_count, s->d->peers_count == 1 ? "" : "s");
	else
		pen_print(&p, STYLE_DIM, "%zu of %zu peers match", s->m->rows.count, s->d->peers_count);
	if (s->m->sort == SORT_WORST)
		pen_print(&p, STYLE_DIM, ", %s first", s->m->inverted ? "best" : "worst");
	if (map_count(s->m->tags)) {
		snprintf(text, sizeof(text), "      %zu tagged (+)", map_count(s->m->tags));
		pen_text(&p, STYLE_ACCENT, text);
	}
}

/* Below a short list on a low screen: what recovery does next, the evidence, the verdict and what helps. */
static bool draw_below(struct grid *g, const struct scene *s, const struct peer *p, int row)
{
	struct pen rule = pen_at(g, row, 0, g->width), pen = pen_at(g, row + 1, 1, g->width - 1);
	char label[LABEL_ROOM];

	if (!p || !p->findings || s->l.status_row - row < 3)
		return false;
	draw_rule(&rule, peer_label(label, p, s->m->private), "Enter: all");
	row++;
	if (p->network && *p->network->rung_text) {
		pen_field(&pen, STYLE_DIM, 5, "next");
		part_recovery(&pen, s, p);
		row++;
	}
	view_diagnosis_brief(g, s, p, row, s->l.status_row - row + 1, g->width - 1);
	return true;
}

/* On the smallest screen the reason of the selected peer has the status line, and free rows above it. */
static void draw_why(struct grid *g, const struct scene *s)
{
	const struct peer *p = model_selected(s->m, s->d);
	struct pen pen = pen_at(g, s->l.status_row, 1, g->width - 1);
	int spare = s->l.table_rows - (int)s->m->rows.count, rows;
	struct grid nowhere = {.width = g->width};
	char text[TEXT_ROOM];

	if (draw_below(g, s, p, s->l.status_row - spare + 1))
		return;
	if (s->m->rows.count > (size_t)s->l.table_rows) {
		snprintf(text, sizeof(text), "%zu peers", s->m->rows.count);
		pen_right(&pen, STYLE_DIM, text);
	}
	if (p && *part_verdict(text, s, p)) {
		rows = draw_wrapped(&nowhere, 0,
				    spare > 2	? 3
				    : spare > 0 ? spare + 1
						: 1,
				    6, pen.limit, STYLE_PLAIN, text);
		pen.row = s->l.status_row - rows + 1;
		pen_text(&pen, STYLE_PLAIN, "why: ");
		draw_wrapped(g, s->l.status_row - rows + 1, rows, pen.col, pen.limit, STYLE_PLAIN, text);
	} else if (p)
		pen_print(&pen, STYLE_DIM, "hs %s", part_handshake(text, s, p));
}

void view_peers(struct grid *g, const struct scene *s)
{
	const struct layout *l = &s->l;

	draw_first_line(g, s);
	if (l->alert_row >= 2)
		draw_numbers(g, s, 1, l->alert_row < 4);
	if (l->alert_row >= 4) {
		draw_traffic(g, s, 2, true);
		draw_traffic(g, s, 3, false);
	}
	draw_alerts(g, s);
	draw_titles(g, s);
	if (!s->m->rows.count)
		draw_empty(g, s);
	for (int i = 0; i < l->table_rows && s->m->top + (size_t)i < s->m->rows.count; i++)
		draw_row(g, s, s->m->top + (size_t)i, l->table_row + i);
	if (l->status_row >= 0 && g->height < 24)
		draw_why(g, s);
	else if (l->status_row >= 0)
		draw_status(g, s);
	if (l->detail_rows)
		view_detail(g, s);
}
