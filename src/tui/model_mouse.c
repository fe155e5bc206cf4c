/* The mouse, when it is on: rows, column titles, the keys of the bottom line, the wheel. */
#include "tui/model_internal.h"

#define WHEEL_ROWS 3

/* The title of a column sorts by it; once more turns the order round. */
static void click_title(struct model *m, const struct data *d, const struct layout *l, int col,
			struct effects *fx)
{
	for (unsigned c = 0; c < COLUMNS; c++) {
		if (col < l->column_at[c] || col >= l->column_at[c] + l->column_width[c])
			continue;
		m->inverted = m->sort == c && !m->inverted;
		m->sort = c;
		effect_add(fx, EFFECT_SETTINGS);
		model_sync(m, d, fx);
	}
}

static void click_row(struct model *m, const struct data *d, size_t row, struct effects *fx)
{
	bool again = row == m->row;

	if (row >= m->rows.count)
		return;
	select_row(m, d, row);
	if (again)
		show_screen(m, d, SCREEN_PEER, fx);
}

static void click_packet(struct model *m, const struct data *d, int row, struct effects *fx)
{
	struct packet_layout l = packet_layout(&m->packets, m->width, m->height);

	if (row < l.list_row || row >= l.list_row + l.list_rows)
		return;
	m->packets.pane = PACKET_LIST;
	packets_move(m, d, (long)m->packets.top + row - l.list_row - (long)m->packets.row, fx);
}

static void click(struct model *m, const struct data *d, int row, int col, double now, struct effects *fx)
{
	struct layout l = model_layout(m, d);
	enum command c;

	if (l.tiny)
		return;
	if (row == m->height - 1) {
		c = key_hint_at(model_where(m), m->readonly, m->width - 2, col - 1);
		if (c)
			do_command(m, d, c, now, fx);
	} else if (m->screen == SCREEN_PEERS && row == l.table_row - 1) {
		click_title(m, d, &l, col, fx);
	} else if (m->screen == SCREEN_PEERS && row >= l.table_row && row < l.table_row + l.table_rows) {
		click_row(m, d, m->top + (size_t)(row - l.table_row), fx);
	} else if (m->screen == SCREEN_PACKETS) {
		click_packet(m, d, row, fx);
	} else if (m->screen == SCREEN_LOG && row >= LOG_FIRST_ROW && row < LOG_FIRST_ROW + l.log_rows) {
		line_move(m, d, (long)m->line_top + row - LOG_FIRST_ROW - (long)m->line);
	}
}

void mouse_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	if (!m->mouse)
		return;
	if (MOUSE_WHAT(code) == MOUSE_CLICK)
		click(m, d, MOUSE_ROW(code), MOUSE_COL(code), now, fx);
	else
		move(m, d, MOUSE_WHAT(code) == MOUSE_WHEEL_UP ? -WHEEL_ROWS : WHEEL_ROWS, fx);
}
