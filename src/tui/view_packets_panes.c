/* Below the list of packets: the selected one as a tree of fields, and as bytes. */
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view_packets.h"

struct panes {
	const struct packet *k; /* NULL: none is selected */
	struct decode d;
	uint8_t shown[DECODE_LINES];
	unsigned count, line; /* lines of the tree, and the one that it is about */
	bool chosen;
};

static void prepare(struct panes *out, const struct scene *s)
{
	const struct packet_model *pm = &s->m->packets;
	char label[LABEL_ROOM];

	out->k = packets_selected(pm, s->d->packets);
	out->count = out->line = 0;
	out->chosen = false;
	if (!out->k)
		return;
	packets_decode(&out->d, s->d->packets, out->k, packet_label(label, s, out->k), s->now);
	out->count = packet_tree(pm, &out->d, out->shown);
	out->chosen = pm->line != PACKET_NO_LINE || pm->pane == PACKET_TREE;
	out->line = pm->line == PACKET_NO_LINE ? packet_main_line(pm, &out->d) : pm->line;
	if (out->line >= out->count)
		out->line = out->count ? out->count - 1 : 0;
}

/* Nothing is marked until somebody goes into the tree. */
static const struct decode_line *marked(const struct panes *p)
{
	return p->chosen && p->count ? &p->d.lines[p->shown[p->line]] : NULL;
}

/* A layer whose first field does not show. */
static bool is_closed(const struct panes *p, unsigned at)
{
	unsigned first = p->shown[at] + 1u;

	return first < p->d.count && p->d.lines[first].depth &&
	       (at + 1 == p->count || p->shown[at + 1] != first);
}

/* A key in hex is a key. */
static bool is_long_hex(const char *value)
{
	return strspn(value, "0123456789abcdef") >= 2 * KEY_LEN - 16;
}

static void draw_tree_line(struct grid *g, const struct scene *s, const struct panes *p, unsigned at, int row,
			   int limit)
{
	const struct decode_line *line = &p->d.lines[p->shown[at]];
	struct pen pen = pen_at(g, row, line->depth ? 3 + 2 * line->depth : 3, limit);
	uint8_t style = line->bad ? STYLE_BAD : STYLE_PLAIN;
	char text[TEXT_ROOM];

	if (line == marked(p))
		grid_put(g, row, 0, limit, 0x203a, STYLE_ACCENT);
	if (!line->depth) {
		grid_put(g, row, 1, limit, is_closed(p, at) ? 0x25b8 : 0x25be, STYLE_ACCENT);
		pen_text(&pen, line->bad ? STYLE_BAD : STYLE_ACCENT, line->label);
		pen_skip(&pen, 2);
	} else {
		pen_field(&pen, line->bad ? STYLE_BAD : STYLE_DIM, text_cells(line->label) > 13 ? 24 : 13,
			  line->label);
		pen_skip(&pen, 1);
	}
	if (s->m->private && is_long_hex(line->value))
		pen_text(&pen, style, "(hidden)");
	else
		pen_text(&pen, style, part_text(text, s, line->value));
	if (at == p->line && s->m->packets.pane == PACKET_TREE) {
		grid_select(g, row, 0, limit);
		g->cursor_row = row;
		g->cursor_col = 0;
	}
}

static void draw_tree(struct grid *g, const struct scene *s, const struct panes *p,
		      const struct packet_layout *l)
{
	int limit = l->split ? l->split : g->width;
	unsigned rows = (unsigned)l->tree_rows, last = p->count > rows ? p->count - rows : 0, top = p->line;

	/* Until somebody moves in it, the tree begins with its innermost layer. */
	if (s->m->packets.line != PACKET_NO_LINE)
		top = p->line > rows / 2 ? p->line - rows / 2 : 0;
	if (top > last)
		top = last;
	for (unsigned i = 0; i < rows && top + i < p->count; i++)
		draw_tree_line(g, s, p, top + i, l->tree_row + (int)i, limit);
}

/* ---- bytes ---- */

struct span {
	unsigned from, end; /* bytes that the marked line stands for */
};

static struct span marked_bytes(const struct panes *p)
{
	const struct decode_line *line = marked(p);

	if (!line || !line->length || line->offset >= p->k->captured)
		return (struct span){0, 0};
	return (struct span){line->offset, line->offset + (line->length < p->k->captured - line->offset
								   ? line->length
								   : p->k->captured - line->offset)};
}

static void draw_hex_line(struct grid *g, const struct panes *p, struct span span, int row, int col,
			  unsigned from, unsigned per)
{
	struct pen pen = pen_at(g, row, col, g->width);

	pen_print(&pen, STYLE_DIM, "%04x", from);
	for (unsigned i = 0; i < per && from + i < p->k->captured; i++) {
		unsigned at = from + i;
		uint8_t byte = p->k->data[at],
			style = at >= span.from && at < span.end ? STYLE_SELECT : STYLE_PLAIN;
		int hex = col + 6 + 3 * (int)i + (i >= 8),
		    text = col + 6 + 3 * (int)per + (per > 8) + 1 + (int)i;

		pen = pen_at(g, row, hex, g->width);
		pen_print(&pen, style, "%02x", byte);
		/* Between two marked bytes the mark goes on. */
		if (at + 1 < span.end && at >= span.from && i + 1 < per && i != 7)
			grid_put(g, row, hex + 2, g->width, ' ', style);
		grid_put(g, row, text, g->width, byte >= 0x20 && byte < 0x7f ? byte : '.', style);
	}
}

static void draw_bytes(struct grid *g, const struct scene *s, const struct panes *p,
		       const struct packet_layout *l)
{
	int col = l->split ? l->split + 2 : 1;
	unsigned per = g->width - col >= 72 ? 16 : 8, rows = (unsigned)l->bytes_rows;
	unsigned lines = (p->k->captured + per - 1) / per, top = s->m->packets.bytes_top * 16 / per;
	struct span span = marked_bytes(p);
	struct pen pen = pen_at(g, l->bytes_row, col, g->width);

	if (s->m->private) {
		pen_text(&pen, STYLE_DIM, "bytes are hidden: they have addresses and keys in them (P)");
		return;
	}
	if (s->m->packets.pane != PACKET_BYTES && span.end && span.from / per >= top + rows)
		top = span.from / per;
	if (top + rows > lines)
		top = lines > rows ? lines - rows : 0;
	for (unsigned i = 0; i < rows && top + i < lines; i++)
		draw_hex_line(g, p, span, l->bytes_row + (int)i, col, (top + i) * per, per);
	if (s->m->packets.pane == PACKET_BYTES) {
		g->cursor_row = l->bytes_row;
		g->cursor_col = col;
	}
	if (l->split && span.end && lines + 2 <= rows) {
		pen = pen_at(g, l->bytes_row + (int)lines + 1, col, g->width);
		pen_print(&pen, STYLE_DIM, "highlighted: %s, bytes %u to %u", marked(p)->label, span.from,
			  span.end - 1);
	}
}

/* ---- rules ---- */

static const char *which(char out[128], const struct scene *s, const struct panes *p)
{
	char label[LABEL_ROOM];

	*out = '\0';
	if (p->k)
		snprintf(out, 128, "%llu %s %s, %s", (unsigned long long)p->k->number,
			 p->k->meta.out ? "\u2192" : "\u2190", tap_point_name(p->k->meta.point),
			 packet_label(label, s, p->k));
	return out;
}

/* The pane that the keys are for has its title between angle marks. */
static const char *pane_title(const struct scene *s, enum packet_pane pane)
{
	static const char *const titles[PACKET_PANES][2] = {
		{"", ""}, {"decode", "\u203a decode"}, {"bytes", "\u203a bytes"}};

	return titles[pane][s->m->packets.pane == pane];
}

static void draw_split(struct grid *g, const struct scene *s, const struct panes *p,
		       const struct packet_layout *l)
{
	struct pen left = pen_at(g, l->rule_row, 0, l->split),
		   right = pen_at(g, l->rule_row, l->split + 1, g->width);
	char note[128];
	struct pen pen;

	draw_rule(&left, pane_title(s, PACKET_TREE), "");
	draw_rule(&right, pane_title(s, PACKET_BYTES), which(note, s, p));
	grid_put(g, l->rule_row, l->split, g->width, 0x252c, STYLE_DIM);
	for (int row = l->tree_row; row < l->tree_row + l->tree_rows; row++)
		grid_put(g, row, l->split, g->width, 0x2502, STYLE_DIM);
	pen = pen_at(g, l->help_row, 0, g->width);
	draw_rule(&pen, "", "");
	grid_put(g, l->help_row, l->split, g->width, 0x2534, STYLE_DIM);
	pen = pen_at(g, l->help_row + 1, 1, g->width - 1);
	pen_text(&pen, STYLE_DIM,
		 "filter: pcap-filter(7), and  peer NAME  point wire|inner|relay|signal  "
		 "type init|resp|cookie|data|keep|stun|frame|ip");
	pen = pen_at(g, l->help_row + 2, 1, g->width - 1);
	pen_text(&pen, STYLE_DIM,
		 "path direct|ice|turn|relay  in  out  dropped,  joined by and, or, not, ( );  "
		 "weir capture takes the same words");
}

static void draw_stacked(struct grid *g, const struct scene *s, const struct panes *p,
			 const struct packet_layout *l)
{
	struct pen pen = pen_at(g, l->rule_row, 0, g->width);
	struct span span = p->k ? marked_bytes(p) : (struct span){0, 0};
	const struct decode_line *line = marked(p);
	char note[128], text[TEXT_ROOM], verdict[TEXT_ROOM];

	draw_rule(&pen, pane_title(s, l->tree_rows ? PACKET_TREE : PACKET_BYTES), which(note, s, p));
	if (l->bytes_rule) {
		*note = '\0';
		if (span.end)
			snprintf(note, sizeof(note), "%s: %u to %u", line->label, span.from, span.end - 1);
		pen = pen_at(g, l->bytes_rule, 0, g->width);
		draw_rule(&pen, pane_title(s, PACKET_BYTES), note);
	}
	if (l->status_row && p->k) {
		packets_verdict(verdict, sizeof(verdict), s->d->packets, p->k, s->now);
		pen = pen_at(g, l->status_row, 1, g->width - 1);
		pen_text(&pen, p->k->meta.drop ? STYLE_BAD : STYLE_PLAIN, part_text(text, s, verdict));
	}
}

void view_packet_panes(struct grid *g, const struct scene *s, const struct packet_layout *l)
{
	struct panes p;

	prepare(&p, s);
	if (l->split)
		draw_split(g, s, &p, l);
	else
		draw_stacked(g, s, &p, l);
	if (!p.k)
		return;
	if (l->tree_rows)
		draw_tree(g, s, &p, l);
	if (l->bytes_rows)
		draw_bytes(g, s, &p, l);
}
