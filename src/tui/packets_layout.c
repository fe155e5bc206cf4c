/* Where things are on the Packets screen, and which lines of a tree show. */
#include "tui/packets.h"

static struct packet_layout all_list(int height)
{
	return (struct packet_layout){.list_row = 2, .list_rows = height - 3};
}

/* One above the other; on a low screen only the pane that is chosen. */
static void stack(struct packet_layout *l, const struct packet_model *pm, int height)
{
	int bottom = height - 1, rows;

	if (height >= 20) {
		rows = height >= 36 ? 15 : height >= 30 ? 12 : 9; /* decode, rule, bytes */
		l->status_row = --bottom;
		l->rule_row = bottom - rows - 1;
		l->tree_row = l->rule_row + 1;
		l->tree_rows = rows * 5 / 9;
		l->bytes_rule = l->tree_row + l->tree_rows;
		l->bytes_row = l->bytes_rule + 1;
		l->bytes_rows = bottom - l->bytes_row;
	} else {
		rows = 4;
		l->rule_row = bottom - rows - 1;
		if (pm->pane == PACKET_BYTES) {
			l->bytes_row = l->rule_row + 1;
			l->bytes_rows = rows;
		} else {
			l->tree_row = l->rule_row + 1;
			l->tree_rows = rows;
		}
	}
}

struct packet_layout packet_layout(const struct packet_model *pm, int width, int height)
{
	struct packet_layout l = all_list(height);
	int bottom = height - 1;

	if (pm->panes_off || (pm->whole && pm->pane == PACKET_LIST))
		return l;
	if (pm->whole) {
		l = (struct packet_layout){.rule_row = 1};
		*(pm->pane == PACKET_TREE ? &l.tree_row : &l.bytes_row) = 2;
		*(pm->pane == PACKET_TREE ? &l.tree_rows : &l.bytes_rows) = height - 3;
		return l;
	}
	if (width >= 110 && height >= 30) {
		/* The rule below the panes, and two lines that say what a filter may be. */
		int rows = height >= 40 ? 17 : 11;

		l.help_row = bottom - 3;
		l.rule_row = l.help_row - rows - 1;
		l.tree_row = l.bytes_row = l.rule_row + 1;
		l.tree_rows = l.bytes_rows = rows;
		l.split = width - 74;
	} else {
		stack(&l, pm, height);
	}
	l.list_rows = l.rule_row - l.list_row;
	return l;
}

unsigned packet_tree(const struct packet_model *pm, const struct decode *d, uint8_t shown[DECODE_LINES])
{
	unsigned count = 0, layer = 0;
	bool closed = false;

	for (unsigned i = 0; i < d->count; i++) {
		if (!d->lines[i].depth) {
			closed = layer < PACKET_LAYERS && pm->closed >> layer & 1;
			layer++;
			shown[count++] = (uint8_t)i;
		} else if (!closed) {
			shown[count++] = (uint8_t)i;
		}
	}
	return count;
}

unsigned packet_main_line(const struct packet_model *pm, const struct decode *d)
{
	uint8_t shown[DECODE_LINES];
	unsigned count = packet_tree(pm, d, shown), at = 0;

	for (unsigned i = 0; i < count; i++)
		if (!d->lines[shown[i]].depth && d->lines[shown[i]].length)
			at = i;
	return at;
}
