/* The Packets screen: its first lines, the list, and what is typed. The newest packet is the last row. */
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view_packets.h"

#define STALE_S 5 /* a request that waits longer is worth a colour: WireGuard tries again after that time */

const char *packet_label(char out[LABEL_ROOM], const struct scene *s, const struct packet *k)
{
	char key[KEY_BASE64_LEN + 1];
	const struct peer *p;

	if (!k->meta.has_peer) {
		text_copy(out, LABEL_ROOM, "(unknown)");
		return out;
	}
	key_to_base64(key, &k->meta.peer);
	p = data_peer(s->d, key);
	if (p)
		peer_label(out, p, s->m->private);
	else if (s->m->private)
		text_copy(out, LABEL_ROOM, "(removed)");
	else
		snprintf(out, LABEL_ROOM, "%.8s\u2026", key);
	return out;
}

/* "points wire inner relay"; where there is less room "inner only", "wire+inner", or "no signal". */
static const char *points_text(char out[64], uint8_t points, bool wide)
{
	unsigned on = 0, last = 0, off = 0;
	size_t at = (size_t)snprintf(out, 64, "%s", wide ? "points" : "");

	for (unsigned i = 0; i < TAP_POINTS; i++) {
		if (!(points >> i & 1)) {
			off = i;
			continue;
		}
		at += (size_t)snprintf(out + at, 64 - at, "%s%s",
				       wide ? " "
				       : on ? "+"
					    : "",
				       tap_point_name(i));
		last = i;
		on++;
	}
	if (!wide && on == 1)
		snprintf(out, 64, "%s only", tap_point_name(last));
	else if (!wide && on == TAP_POINTS - 1)
		snprintf(out, 64, "no %s", tap_point_name(off));
	return out;
}

/* At the right end, from right to left: what must not be cut comes first. */
static void draw_head(struct grid *g, const struct scene *s)
{
	const struct packet_model *pm = &s->m->packets;
	const struct packets *p = s->d->packets;
	bool wide = g->width >= 100, narrow = g->width < 72;
	struct pen pen = pen_at(g, 0, 1, g->width);
	char text[TEXT_ROOM], points[64];

	part_time(&pen, s);
	pen.limit -= 1;
	pen_right(&pen, pm->free ? STYLE_WARN : STYLE_OK, pm->free ? "PAUSED" : "FOLLOW");
	pen_print(&pen, STYLE_HEAD, "packets");
	pen_print(&pen, STYLE_PLAIN, "%s%llu seen", wide ? "   " : "  ",
		  (unsigned long long)(p ? p->newest : 0));
	/* Nothing is said of nothing where each cell counts. */
	if (!narrow || !pm->points || (p && p->lost))
		pen_print(&pen, p && p->lost ? STYLE_WARN : STYLE_PLAIN, ", %llu missed",
			  (unsigned long long)(p ? p->lost : 0));
	if (wide)
		pen_print(&pen, STYLE_DIM, ", %zu listed", pm->count);
	if (pm->points)
		pen_print(&pen, STYLE_ACCENT, "%s%s", wide ? "   " : "  ",
			  points_text(points, pm->points, wide));
	else if (!narrow)
		pen_print(&pen, STYLE_DIM, "%sall points", wide ? "   " : "  ");
	pen_skip(&pen, wide ? 3 : 2);
	if (*pm->error)
		pen_print(&pen, STYLE_BAD, "filter?");
	else if (*pm->good)
		pen_text(&pen, STYLE_ACCENT, part_text(text, s, pm->good));
	else
		pen_text(&pen, STYLE_DIM, "no filter");
}

struct places {
	int no, no_cells, time, ms, dir, point, peer, peer_cells, proto, length, length_cells, info;
};

static struct places places_for(int width)
{
	if (width >= 100)
		return (struct places){1, 6, 9, 22, 30, 32, 39, 11, 51, 61, 6, 69};
	if (width >= 80)
		return (struct places){0, 6, 7, 0, 14, 16, 18, 10, 29, 37, 5, 43};
	return (struct places){0, 6, 7, 0, 14, 16, 18, 10, 29, 0, 0, 38};
}

static void title(struct grid *g, int col, int cells, const char *text)
{
	struct pen p = pen_at(g, 1, col, g->width);

	if (cells)
		pen_field_right(&p, STYLE_HEAD, cells, text);
	else
		pen_text(&p, STYLE_HEAD, text);
}

static void draw_titles(struct grid *g, struct places at)
{
	title(g, at.no, at.no_cells, "NO");
	title(g, at.time, 0, "TIME");
	if (at.ms) {
		title(g, at.ms, 7, "+ms");
		title(g, at.point, 0, "POINT");
	}
	title(g, at.peer, 0, "PEER");
	title(g, at.proto, 0, "PROTO");
	if (at.length)
		title(g, at.length, at.length_cells, "LEN");
	title(g, at.info, 0, "INFO");
}

static void draw_times(struct grid *g, struct places at, int row, const struct packet *k,
		       const struct packet *before)
{
	struct pen p = pen_at(g, row, at.time, g->width);
	char clock[FORMAT_ROOM], ms[FORMAT_ROOM];

	packet_clock(clock, k);
	pen_text(&p, STYLE_DIM, at.ms ? clock : strlen(clock) > 6 ? clock + strlen(clock) - 6 : clock);
	if (!at.ms || !before)
		return;
	p = pen_at(g, row, at.ms, g->width);
	snprintf(ms, sizeof(ms), "%.1f", ((double)k->meta.at - (double)before->meta.at) / 1e6);
	pen_field_right(&p, STYLE_DIM, 7, ms);
}

static uint8_t info_style(const struct scene *s, const struct packet *k)
{
	if (k->meta.drop != TAP_DROP_none)
		return STYLE_BAD;
	if (k->exchange && !k->answer && !k->partner && s->now - (double)k->meta.at / 1e9 > STALE_S)
		return STYLE_WARN;
	return STYLE_PLAIN;
}

/* Why a packet was dropped, or what it answers, stands at the end of its line, and must not be what is cut.
 */
static void draw_words(struct pen *p, uint8_t style, const char *text)
{
	const char *dropped = strstr(text, ", dropped: "),
		   *end = dropped ? dropped : strstr(text, ", answers ");
	int room = p->limit - p->col, tail = end ? (int)text_cells(end) : 0;
	char head[TEXT_ROOM];

	if (!end || (int)text_cells(text) <= room || tail > room - 4) {
		pen_text(p, style, end && tail > room - 4 ? end + 2 : text);
		return;
	}
	snprintf(head, sizeof(head), "%.*s", (int)(end - text), text);
	pen_field(p, style, room - tail, head);
	pen_text(p, style, end);
}

static void draw_info(struct grid *g, const struct scene *s, struct places at, int row,
		      const struct packet *k)
{
	struct decode d;
	struct pen p = pen_at(g, row, at.proto, at.length ? at.length : at.info - 1);
	char text[TEXT_ROOM], number[32];
	size_t len, shift = s->m->packets.shift;

	decode_brief(&d, &k->meta, k->data, k->captured);
	pen_text(&p, info_style(s, k), d.protocol);
	if (at.length) {
		p = pen_at(g, row, at.length, g->width);
		snprintf(number, sizeof(number), "%u", k->meta.length);
		pen_field_right(&p, STYLE_PLAIN, at.length_cells, number);
	}
	part_text(text, s, d.info);
	len = strlen(text);
	if (k->answer && k->partner && len < sizeof(text))
		snprintf(text + len, sizeof(text) - len, ", answers %llu", (unsigned long long)k->partner);
	p = pen_at(g, row, at.info, g->width - 1);
	draw_words(&p, info_style(s, k), shift < strlen(text) ? text + shift : "");
}

static void draw_row(struct grid *g, const struct scene *s, struct places at, size_t index, int row)
{
	const struct packet_model *pm = &s->m->packets;
	const struct packet *k = packets_get(s->d->packets, pm->rows[index]);
	const struct packet *before = index ? packets_get(s->d->packets, pm->rows[index - 1]) : NULL;
	struct pen p = pen_at(g, row, at.no, g->width);
	char text[LABEL_ROOM];

	if (!k)
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)k->number);
	pen_field_right(&p, STYLE_DIM, at.no_cells, text);
	if (index == pm->row)
		grid_put(g, row, 0, g->width, 0x203a, STYLE_ACCENT);
	draw_times(g, at, row, k, before);
	grid_put(g, row, at.dir, g->width, k->meta.out ? 0x2192 : 0x2190, STYLE_PLAIN);
	p = pen_at(g, row, at.point, at.peer);
	if (at.ms)
		pen_text(&p, STYLE_INFO, tap_point_name(k->meta.point));
	else
		pen_print(&p, STYLE_INFO, "%c", *tap_point_name(k->meta.point));
	p = pen_at(g, row, at.peer, g->width);
	pen_field(&p, k->meta.has_peer ? STYLE_PLAIN : STYLE_DIM, at.peer_cells, packet_label(text, s, k));
	draw_info(g, s, at, row, k);
	if (index == pm->row) {
		grid_select(g, row, 0, g->width);
		g->cursor_row = row;
		g->cursor_col = 0;
	}
}

static void draw_nothing(struct grid *g, const struct scene *s)
{
	const struct packet_model *pm = &s->m->packets;
	const struct packets *p = s->d->packets;
	struct pen pen = pen_at(g, 3, 4, g->width - 1);
	char text[TEXT_ROOM];

	if (s->m->past.bundle)
		pen_text(&pen, STYLE_PLAIN, "a bundle holds no packets: weir capture records them");
	else if (s->m->readonly)
		pen_text(&pen, STYLE_WARN, "this view is read-only: the engine shows it no packets");
	else if (*pm->refused)
		pen_print(&pen, STYLE_BAD, "no packets: %s", part_text(text, s, pm->refused));
	else if (p && p->count)
		pen_print(&pen, STYLE_DIM, "none of %zu packets passes%s", p->count,
			  *pm->good ? " the filter; Esc clears it" : ": o chooses other points");
	else
		pen_text(&pen, STYLE_DIM, "no packets yet");
}

void view_packets(struct grid *g, const struct scene *s)
{
	const struct packet_model *pm = &s->m->packets;
	struct packet_layout l = packet_layout(pm, g->width, g->height);
	struct places at = places_for(g->width);

	draw_head(g, s);
	if (l.list_rows)
		draw_titles(g, at);
	if (!pm->count)
		draw_nothing(g, s);
	for (int i = 0; i < l.list_rows && pm->top + (size_t)i < pm->count; i++)
		draw_row(g, s, at, pm->top + (size_t)i, l.list_row + i);
	if (l.rule_row)
		view_packet_panes(g, s, &l);
}

/* The bottom line while a filter or a place is typed. */
void packets_prompt(struct grid *g, const struct scene *s)
{
	const struct packet_model *pm = &s->m->packets;
	struct pen p = pen_at(g, g->height - 1, 1, g->width - 1);
	const struct packets *k = s->d->packets;
	char text[TEXT_ROOM];

	if (s->m->mode == MODE_JUMP)
		pen_print(&p, STYLE_ACCENT, "# %s", pm->jump);
	else
		pen_print(&p, *pm->error ? STYLE_BAD : STYLE_ACCENT, "/ %s", s->m->packet_filter);
	g->cursor_row = p.row;
	g->cursor_col = p.col < g->width ? p.col : g->width - 1;
	p.col += 2;
	if (s->m->mode == MODE_JUMP) {
		pen_right(&p, STYLE_DIM, "a number, or a time: 03:12:39");
	} else if (*pm->error) {
		pen_text(&p, STYLE_BAD, part_text(text, s, pm->error));
	} else if (pm->names) {
		pen_right(&p, STYLE_WARN, "Enter looks the name up");
	} else {
		snprintf(text, sizeof(text), "%zu of %zu packets", pm->count, k ? k->count : 0);
		pen_right(&p, STYLE_DIM, text);
	}
}
