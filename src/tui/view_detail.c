/* Below the table: the selected peer in a few lines, and beside it, on wide screens, the newest events of
 * all. */
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

struct detail {
	struct grid *grid;
	const struct scene *s;
	const struct peer *p;
	int row, end, limit;
};

static struct pen line(struct detail *t, const char *word)
{
	struct pen p = pen_at(t->grid, t->row < t->end ? t->row : -1, 1, t->limit);

	t->row++;
	pen_field(&p, STYLE_DIM, 7, word);
	return p;
}

static void draw_path(struct detail *t)
{
	const struct peer *p = t->p;
	struct pen pen = line(t, "path");
	char text[TEXT_ROOM];

	part_path_state(&pen, p);
	if (part_carried(p)) {
		pen_print(&pen, STYLE_PLAIN, "   %s", part_path(text, t->s, p, 60));
		if (p->network && *p->network->local_session)
			pen_print(&pen, STYLE_DIM, "   session %.6s/%.6s", p->network->local_session,
				  *p->network->remote_session ? p->network->remote_session : "\u2013");
		return;
	}
	if (*p->endpoint) {
		pen_print(&pen, STYLE_PLAIN, "   %s", part_endpoint(t->s, p));
		pen_print(&pen, STYLE_DIM, " %s", p->origin);
	} else {
		pen_print(&pen, STYLE_WARN, "   %s", part_path(text, t->s, p, 60));
	}
	if (*p->host)
		pen_print(&pen, STYLE_DIM, " from %s", t->s->m->private ? "(hidden)" : p->host);
	if (*p->source)
		pen_print(&pen, STYLE_DIM, "   we use %s", t->s->m->private ? "(hidden)" : p->source);
}

static void draw_tunnel(struct detail *t)
{
	const struct peer *p = t->p;
	const struct keypair *k = part_keypair(p, "current");
	struct pen pen = line(t, "tunnel");
	char age[FORMAT_ROOM];

	pen_text(&pen, part_style(p), p->tunnel);
	if (!k) {
		pen_text(&pen, STYLE_PLAIN, "   no key");
	} else {
		pen_print(&pen, STYLE_PLAIN, "   key %s/%s ", k->local_index, k->remote_index);
		if (t->s->now >= k->expires_at)
			pen_print(&pen, STYLE_BAD, "EXPIRED %s ago",
				  format_age(age, t->s->now - k->expires_at));
		else
			pen_print(&pen, STYLE_PLAIN, "%s old", format_age(age, t->s->now - k->created_at));
	}
	if (p->draining)
		pen_text(&pen, STYLE_INFO, "   draining");
	if (p->staged)
		pen_print(&pen, STYLE_WARN, "   %u staged", p->staged);
}

static void draw_data(struct detail *t)
{
	const struct peer *p = t->p;
	struct pen pen = line(t, "data");
	char a[FORMAT_ROOM];

	pen_print(&pen, STYLE_PLAIN, "rx %s", format_bytes(a, (double)p->rx, t->s->m->bits));
	pen_print(&pen, STYLE_PLAIN, ", last %s", part_ago(a, t->s, p->last_received));
	pen_print(&pen, STYLE_PLAIN, "   tx %s", format_bytes(a, (double)p->tx, t->s->m->bits));
	pen_print(&pen, STYLE_PLAIN, ", last %s", part_ago(a, t->s, p->last_sent));
	if (p->keypairs_count)
		pen_print(&pen, p->shown_loss >= 0.01 ? STYLE_WARN : STYLE_PLAIN, "   lost %.1f %%",
			  p->shown_loss * 100);
}

static void draw_why(struct detail *t)
{
	struct pen pen;
	char text[TEXT_ROOM];

	if (t->p->findings && t->end - t->row >= 4) {
		t->row += view_diagnosis_brief(t->grid, t->s, t->p, t->row, t->end - t->row, t->limit);
		return;
	}
	pen = line(t, "why");

	if (!*part_verdict(text, t->s, t->p))
		pen_text(&pen, STYLE_DIM, "nothing is wrong that can be seen from here");
	else
		t->row += draw_wrapped(t->grid, pen.row, 2, pen.col, t->limit, part_style(t->p), text) - 1;
}

static void draw_identity(struct detail *t)
{
	const struct peer *p = t->p;
	bool hide = t->s->m->private;
	struct pen pen = line(t, "key");

	pen_text(&pen, STYLE_PLAIN, hide ? "(hidden)" : p->key);
	pen = line(t, "allow");
	pen_text(&pen, STYLE_PLAIN, hide ? "(hidden)" : *p->allowed ? p->allowed : "nothing");
	pen = line(t, "");
	pen_text(&pen, STYLE_PLAIN, "keepalive ");
	if (p->keepalive)
		pen_print(&pen, STYLE_PLAIN, "%us", p->keepalive);
	else
		pen_text(&pen, STYLE_PLAIN, "off");
	pen_print(&pen, STYLE_PLAIN, "   preshared key %s", p->psk ? "yes" : "no");
}

static void draw_keypairs(struct detail *t)
{
	static const char *const slots[] = {"next", "current", "previous"};

	for (int i = 0; i < 3; i++) {
		const struct keypair *k = part_keypair(t->p, slots[i]);
		char a[FORMAT_ROOM], b[FORMAT_ROOM], c[FORMAT_ROOM];
		struct pen pen;

		if (!k)
			continue;
		pen = line(t, i == 2 ? "prev" : i == 1 ? "cur" : "next");
		pen_print(&pen, STYLE_PLAIN, "%s/%s %s  tx %s  rx %s", k->local_index, k->remote_index,
			  k->initiator ? "init" : "resp", format_count(a, k->sent),
			  format_count(b, k->received));
		if (t->s->now >= k->expires_at)
			pen_text(&pen, STYLE_BAD, "  EXPIRED");
		else
			pen_print(&pen, STYLE_PLAIN, "  ends in %s",
				  format_age(c, k->expires_at - t->s->now));
	}
}

static void draw_handshake(struct detail *t)
{
	struct pen pen = line(t, "hs");
	char text[TEXT_ROOM];

	pen_text(&pen, STYLE_PLAIN, part_handshake(text, t->s, t->p));
	if (t->p->given_up)
		pen_print(&pen, STYLE_WARN, ", %llu given up", (unsigned long long)t->p->given_up);
}

/* The next step of recovery. Where rows are few it takes the place of the byte counts. */
static void draw_data_or_next(struct detail *t)
{
	struct pen pen;
	bool next = t->p->network && *t->p->network->rung_text;

	if (next) {
		pen = line(t, "next");
		part_recovery(&pen, t->s, t->p);
	}
	if (!next || t->s->l.detail_rows > 6)
		draw_data(t);
}

/* Events of this peer, newest first, in the rows that are left. */
static void draw_last_events(struct detail *t)
{
	const struct data *d = t->s->d;

	for (size_t i = d->events_count; i-- > 0 && t->row < t->end;) {
		struct pen p = pen_at(t->grid, t->row, 1, t->limit);

		if (strcmp(d->events[i].key, t->p->key) != 0)
			continue;
		part_event(&p, t->s, &d->events[i], false);
		t->row++;
	}
}

static void draw_events(struct grid *g, const struct scene *s, int row, int end, int col)
{
	const struct data *d = s->d;
	struct pen rule = pen_at(g, row - 1, col + 1, g->width);

	draw_rule(&rule, "events", "4: log");
	grid_put(g, row - 1, col, g->width, 0x252c, STYLE_DIM);
	for (size_t i = d->events_count; row < end; row++) {
		struct pen p = pen_at(g, row, col + 2, g->width);

		grid_put(g, row, col, g->width, 0x2502, STYLE_DIM);
		if (i > 0)
			part_event(&p, s, &d->events[--i], true);
	}
}

void view_detail(struct grid *g, const struct scene *s)
{
	const struct layout *l = &s->l;
	const struct peer *p = model_selected(s->m, s->d);
	struct detail t = {
		g, s, p, l->detail_row, l->detail_row + l->detail_rows, l->split ? l->split : g->width - 1};
	struct pen rule = pen_at(g, l->detail_row - 1, 0, l->split ? l->split : g->width);
	bool tall = l->detail_rows >= 10;
	char label[LABEL_ROOM];

	draw_rule(&rule, p ? peer_label(label, p, s->m->private) : "no peer", p ? "Enter: all" : "");
	if (l->split)
		draw_events(g, s, l->detail_row, t.end, l->split);
	if (!p)
		return;
	if (tall)
		draw_identity(&t);
	draw_path(&t);
	draw_tunnel(&t);
	if (l->detail_rows >= 15)
		draw_keypairs(&t);
	draw_handshake(&t);
	draw_data_or_next(&t);
	draw_why(&t);
	draw_last_events(&t);
}
