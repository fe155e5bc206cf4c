/* The diagnosis pane of the Peer screen: what works, what does not, what that leaves, and the next step. */
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

#define ITEMS_MAX  40
#define LAYER	   13 /* cells of the column with the layer's name */
#define PAIR_WIDTH 76 /* from here on two short lines share a row */

enum rank { RANK_VERDICT, RANK_NEXT, RANK_BAD, RANK_ENDS, RANK_OTHER, RANK_NOTE, RANK_GOOD };

struct item {
	enum rank rank;
	uint32_t glyph;
	uint8_t glyph_style, style;
	char layer[16], text[800];
	int rows;
	bool shares, left_out; /* shares the row of the item before it */
};

struct diagnosis_pane {
	const struct scene *s;
	int limit;
	bool whole; /* every line in full */
	int count;
	struct item items[ITEMS_MAX];
};

static struct item *add(struct diagnosis_pane *d, enum rank rank, uint32_t glyph, uint8_t glyph_style,
			const char *layer)
{
	static struct item nowhere;
	struct item *it = d->count < ITEMS_MAX ? &d->items[d->count++] : &nowhere;

	*it = (struct item){.rank = rank, .glyph = glyph, .glyph_style = glyph_style, .style = STYLE_PLAIN};
	text_copy(it->layer, sizeof(it->layer), layer);
	return it;
}

static void add_line(struct diagnosis_pane *d, const struct finding_line *line)
{
	static const struct {
		enum rank rank;
		uint32_t glyph;
		uint8_t style;
	} marks[] = {[FINDING_GOOD] = {RANK_GOOD, 0x2713, STYLE_OK},
		     [FINDING_BAD] = {RANK_BAD, 0x2717, STYLE_BAD},
		     [FINDING_NOTE] = {RANK_NOTE, 0xb7, STYLE_DIM}};
	struct item *it =
		add(d, marks[line->mark].rank, marks[line->mark].glyph, marks[line->mark].style, line->layer);
	char text[TEXT_ROOM], ago[FORMAT_ROOM];

	part_text(text, d->s, line->text);
	/* What is so now, and what says its age itself, needs no time. */
	if (line->at > 0 && d->s->now - line->at >= 5 && !strstr(text, " ago"))
		snprintf(it->text, sizeof(it->text), "%s, %s", text, part_ago(ago, d->s, line->at));
	else
		snprintf(it->text, sizeof(it->text), "%s", text);
}

/* Both ends' counts on one line: who did not hear whom. */
static void add_ends(struct diagnosis_pane *d, const struct peer *p)
{
	const struct network *n = p->network;
	char ago[FORMAT_ROOM];
	struct item *it;

	if (!n || !n->has_report || !p->initiations)
		return;
	it = add(d, RANK_ENDS,
		 n->report.initiations_received < p->initiations && p->unanswered ? 0x2717 : 0xb7,
		 p->unanswered ? STYLE_WARN : STYLE_DIM, "both ends");
	snprintf(it->text, sizeof(it->text),
		 "they received %llu of our %llu initiations and answered %llu; they sent %llu packets, "
		 "received %llu (told %s)",
		 (unsigned long long)n->report.initiations_received, (unsigned long long)p->initiations,
		 (unsigned long long)n->report.responses_sent, (unsigned long long)n->report.data_sent,
		 (unsigned long long)n->report.data_received, part_ago(ago, d->s, n->report.at));
}

/* The key that is told to help: of this screen, or after x where the letter moves about here. */
static const struct key_entry *helping_key(const struct diagnosis_pane *d, uint32_t code, char shown[16])
{
	bool readonly = d->s->m->readonly;
	const struct key_entry *e = code ? key_find(code, WHERE_PEER, readonly) : NULL;
	char name[16];

	snprintf(shown, 16, "%s", code ? key_name(name, code) : "");
	if (e && e->command == COMMAND_COPY)
		return key_of(COMMAND_OUR_KEY);
	if (!code || (e && e->group != GROUP_MOVE))
		return e;
	snprintf(shown, 16, "x %.12s", name);
	return key_find(code, WHERE_MENU, readonly);
}

static void add_next(struct diagnosis_pane *d, const struct finding *f)
{
	struct item *it;
	char text[TEXT_ROOM], command[TEXT_ROOM], shown[16];
	const struct key_entry *e = helping_key(d, f->key, shown);

	if (!*f->next && !*f->command)
		return;
	it = add(d, RANK_NEXT, ' ', STYLE_PLAIN, "next step");
	it->style = STYLE_ACCENT;
	part_text(text, d->s, f->next);
	part_text(command, d->s, f->command);
	snprintf(it->text, sizeof(it->text), "%s%s%s%s%s%s%s", text, e ? "  Key " : "", e ? shown : "",
		 e ? ": " : "", e ? e->text : "", *f->command ? "   " : "", command);
}

static const char *side_words(const char *side)
{
	return strcmp(side, "here") == 0      ? ", at this end"
	       : strcmp(side, "there") == 0   ? ", at the other end"
	       : strcmp(side, "between") == 0 ? ", between the ends"
					      : "";
}

static void collect(struct diagnosis_pane *d, const struct peer *p)
{
	const struct findings *all = peer_findings(d->s->d, p);
	const struct finding *f = all->count ? &all->items[0] : NULL;
	char text[TEXT_ROOM], title[TEXT_ROOM];
	struct item *it;

	for (unsigned i = 0; i < all->good_count; i++)
		add_line(d, &all->good[i]);
	for (int mark = FINDING_GOOD; f && mark <= FINDING_NOTE; mark += FINDING_NOTE)
		for (unsigned i = 0; i < f->line_count; i++)
			if ((int)f->lines[i].mark == mark)
				add_line(d, &f->lines[i]);
	for (unsigned i = 0; f && i < f->line_count; i++)
		if (f->lines[i].mark == FINDING_BAD)
			add_line(d, &f->lines[i]);
	add_ends(d, p);
	if (!f)
		return;
	it = add(d, RANK_VERDICT, 0x21d2, f->note ? STYLE_INFO : STYLE_BAD, "");
	it->style = STYLE_ACCENT;
	snprintf(it->text, sizeof(it->text), "%s", part_text(text, d->s, f->verdict));
	add_next(d, f);
	for (unsigned i = 1; i < all->count; i++) {
		it = add(d, RANK_OTHER, 0x21d2, STYLE_WARN, all->items[i].confidence);
		snprintf(it->text, sizeof(it->text), "%s: %s", part_text(title, d->s, all->items[i].title),
			 part_text(text, d->s, all->items[i].verdict));
	}
}

static int text_col(const struct item *it)
{
	return *it->layer ? 3 + LAYER : 3;
}

/* How many rows each takes, and which two share one. */
static void measure(struct diagnosis_pane *d)
{
	struct grid nowhere = {.width = d->limit};
	int half = d->limit / 2;

	for (int i = 0; i < d->count; i++) {
		struct item *it = &d->items[i], *before = i ? it - 1 : NULL;
		int most = d->whole ? 6 : it->rank <= RANK_NEXT ? 3 : 1;

		it->rows = draw_wrapped(&nowhere, 0, most, text_col(it), d->limit - 1, 0, it->text);
		if (!it->rows)
			it->rows = 1;
		if (it->rank != RANK_GOOD || !before || before->rank != RANK_GOOD || before->shares ||
		    d->limit < PAIR_WIDTH || (int)text_cells(it->text) + text_col(it) + 1 > half ||
		    (int)text_cells(before->text) + text_col(before) + 1 > half)
			continue;
		it->shares = true;
		it->rows = 0;
	}
}

static int total(const struct diagnosis_pane *d)
{
	int rows = 0;

	for (int i = 0; i < d->count; i++)
		rows += d->items[i].left_out ? 0 : d->items[i].rows;
	return rows;
}

/* The last of a rank go first; the first ones, as many as are kept, stay. */
static void leave_out(struct diagnosis_pane *d, enum rank rank, int keep, int rows)
{
	int left = 0;

	for (int i = 0; i < d->count; i++)
		left += d->items[i].rank == rank && !d->items[i].left_out;
	for (int i = d->count; i-- > 0 && left > keep && total(d) > rows;)
		if (d->items[i].rank == rank && !d->items[i].left_out) {
			d->items[i].left_out = true;
			left--;
		}
}

static void shorten(struct diagnosis_pane *d, enum rank rank, int rows)
{
	for (int i = 0; i < d->count; i++)
		while (d->items[i].rank == rank && d->items[i].rows > 1 && total(d) > rows)
			d->items[i].rows--;
}

/* What matters least goes first, until the rest fits. */
static void reduce(struct diagnosis_pane *d, int rows)
{
	leave_out(d, RANK_GOOD, 0, rows);
	leave_out(d, RANK_NOTE, 0, rows);
	leave_out(d, RANK_OTHER, 0, rows);
	leave_out(d, RANK_ENDS, 0, rows);
	leave_out(d, RANK_BAD, 1, rows);
	shorten(d, RANK_NEXT, rows);
	leave_out(d, RANK_BAD, 0, rows);
	shorten(d, RANK_VERDICT, rows);
	leave_out(d, RANK_NEXT, 0, rows);
}

static void draw_item(struct grid *g, const struct item *it, int row, int end, int col, int limit)
{
	struct pen p = pen_at(g, row, col + 1, limit);
	int rows = it->rows < end - row ? it->rows : end - row;

	grid_put(g, row, p.col, limit, it->glyph, it->glyph_style);
	pen_skip(&p, 2);
	if (*it->layer)
		pen_field(&p, it->rank == RANK_BAD ? STYLE_BAD : STYLE_DIM, LAYER, it->layer);
	draw_wrapped(g, row, rows > 1 ? rows : 1, p.col, limit - 1, it->style, it->text);
}

static void prepare(struct diagnosis_pane *d, const struct scene *s, const struct peer *p, int limit)
{
	*d = (struct diagnosis_pane){
		.s = s, .limit = limit, .whole = s->m->pane == PANE_DIAGNOSIS && s->m->pane_whole};
	collect(d, p);
	measure(d);
}

int view_diagnosis_rows(const struct scene *s, const struct peer *p, int limit)
{
	struct diagnosis_pane d;

	if (!peer_findings(s->d, p))
		return 0;
	prepare(&d, s, p, limit);
	return d.count ? 1 + total(&d) : 0;
}

/* From the first row that is not above the pane's top. Rows used. */
static int draw_items(struct grid *g, const struct diagnosis_pane *d, int row, int end, int skip)
{
	int at = row;

	for (int i = 0; i < d->count && at < end; i++) {
		const struct item *it = &d->items[i];
		bool pair = i + 1 < d->count && d->items[i + 1].shares && !d->items[i + 1].left_out;

		if (it->left_out || it->shares)
			continue;
		if (skip > 0) {
			skip -= it->rows;
			continue;
		}
		draw_item(g, it, at, end, 0, pair ? d->limit / 2 : d->limit);
		if (pair)
			draw_item(g, it + 1, at, end, d->limit / 2, d->limit);
		at += it->rows;
	}
	return at < end ? at - row : end - row;
}

int view_diagnosis(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows, int limit)
{
	const struct finding *f = peer_finding(p);
	struct diagnosis_pane d;
	struct pen rule = pen_at(g, row, 0, limit);
	bool focus = s->m->pane == PANE_DIAGNOSIS, scrolled;
	int skip = 0;
	char note[96];

	if (!peer_findings(s->d, p) || rows < 2)
		return 0;
	prepare(&d, s, p, limit);
	/* What matters most comes first; the first key down goes to the first line of all. */
	scrolled = focus && total(&d) > rows - 1 && s->m->pane_top[PANE_DIAGNOSIS] > 0;
	snprintf(note, sizeof(note), "%s%s%s%s",
		 !f	   ? "what works"
		 : f->note ? "a note"
			   : f->confidence,
		 f ? side_words(f->side) : "", focus && total(&d) > rows - 1 ? "  j k: all" : "",
		 focus ? "  Tab" : "");
	draw_rule(&rule, "diagnosis", note);
	if (scrolled) {
		int most = total(&d) - (rows - 1);

		skip = s->m->pane_top[PANE_DIAGNOSIS] - 1 < most ? s->m->pane_top[PANE_DIAGNOSIS] - 1 : most;
	} else {
		reduce(&d, rows - 1);
	}
	return 1 + draw_items(g, &d, row + 1, row + rows, skip);
}

int view_diagnosis_brief(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows,
			 int limit)
{
	struct diagnosis_pane d;

	if (!p->findings || rows < 1)
		return 0;
	prepare(&d, s, p, limit);
	reduce(&d, rows);
	return draw_items(g, &d, row, row + rows, 0);
}

const char *part_verdict(char out[TEXT_ROOM], const struct scene *s, const struct peer *p)
{
	const struct finding *f = peer_finding(p);

	return part_text(out, s, f ? f->verdict : p->reason);
}
