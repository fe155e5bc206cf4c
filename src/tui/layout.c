#include "tui/layout.h"

#include <stdio.h>

/* Narrow screens lose columns from the highest rank down; what is left over widens the ones that can use it.
 */
static const struct {
	const char *title, *narrow;
	int min, max, rank;
	bool number;
} columns[COLUMNS] = {
	[COLUMN_PEER] = {"PEER", "PEER", 12, 28, 0, false},
	[COLUMN_STATE] = {"STATE", "STATE", 6, 6, 0, false},
	[COLUMN_PATH] = {"PATH", "PATH", 9, 46, 0, false},
	[COLUMN_SESSION] = {"ICE SESSION", "SESSION", 13, 13, 5, false},
	[COLUMN_KEY] = {"KEY 180s", "KEY", 8, 8, 3, false},
	[COLUMN_HS] = {"HS", "HS", 5, 5, 0, true},
	[COLUMN_RTT] = {"RTT ms", "RTT", 5, 6, 1, true},
	[COLUMN_LOSS] = {"LOSS%", "LOSS%", 5, 5, 4, true},
	[COLUMN_RX] = {"RX/s", "RX/s", 5, 7, 0, true},
	[COLUMN_TX] = {"TX/s", "TX/s", 5, 7, 0, true},
	[COLUMN_LAST] = {"LAST", "LAST", 7, 30, 2, false},
};

#define MARKS 4 /* selection, tag, glyph, blank */

const char *column_title(enum column c, int width)
{
	return width >= columns[c].max || (c != COLUMN_KEY && c != COLUMN_RTT) ? columns[c].title
									       : columns[c].narrow;
}

bool column_is_number(enum column c)
{
	return columns[c].number;
}

static int widen(struct layout *l, enum column c, int left, int to)
{
	int more = to - l->column_width[c];

	if (!l->column_width[c] || more <= 0 || left <= 0)
		return left;
	if (more > left)
		more = left;
	l->column_width[c] += more;
	return left - more;
}

/* A column that was chosen comes with the first; one that was not is never there. */
static int rank_of(enum column c, bool sessions, struct column_choice choice)
{
	if (c > COLUMN_STATE && (choice.off >> c & 1))
		return -1;
	if (choice.on >> c & 1)
		return 1;
	return c == COLUMN_SESSION && !sessions ? -1 : columns[c].rank;
}

static void fit_columns(struct layout *l, bool sessions, struct column_choice choice)
{
	static const struct {
		enum column column;
		int to;
	} wishes[] = {
		{COLUMN_PATH, 22}, {COLUMN_RTT, 6},   {COLUMN_RX, 6},	 {COLUMN_TX, 6},
		{COLUMN_PATH, 26}, {COLUMN_LAST, 13}, {COLUMN_PEER, 16}, {COLUMN_PATH, 34},
		{COLUMN_PEER, 28}, {COLUMN_LAST, 30}, {COLUMN_PATH, 46},
	};
	int left = l->width - MARKS, at = MARKS;

	for (int rank = 0; rank <= 5; rank++)
		for (int c = 0; c < COLUMNS; c++) {
			/* The path needs room for an address before the columns of detail come. */
			int reserve = rank >= 5 ? 17 : rank >= 2 ? 12 : 0;

			if (rank_of((enum column)c, sessions, choice) != rank ||
			    left < columns[c].min + 1 + reserve)
				continue;
			l->column_width[c] = columns[c].min;
			left -= columns[c].min + 1;
		}
	left++; /* no blank after the last one */
	for (unsigned i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
		left = widen(l, wishes[i].column, left, wishes[i].to);
	for (int c = 0; c < COLUMNS; c++) {
		l->column_at[c] = at;
		if (l->column_width[c])
			at += l->column_width[c] + 1;
	}
}

/* Rows that a short list leaves empty go to the selected peer, who has more to tell than fits otherwise. */
#define DETAIL_MOST 20
#define LIST_SPARE  2

static void fit_peers(struct layout *l, int alerts, int peers)
{
	int head = l->height >= 40 && l->width >= 100 ? 4 : l->height >= 24 && l->width >= 80 ? 2 : 1;
	int bottom = l->height - 1, want = 0, max_alerts = l->height >= 40 ? 3 : 1;
	int events = l->width >= 160 ? l->width * 2 / 5 : 46;

	l->alert_row = head;
	l->alert_rows = alerts < max_alerts ? alerts : max_alerts;
	l->table_row = head + l->alert_rows + 1;
	l->status_row = -1;
	if (l->height >= 24 && l->width >= 80) {
		int spare;

		want = l->height >= 36 ? 15 : l->height >= 30 ? 10 : 6;
		spare = bottom - want - (l->height >= 30 ? 2 : 1) - l->table_row - LIST_SPARE - peers;
		if (spare > 0)
			want = want + spare < DETAIL_MOST ? want + spare : DETAIL_MOST;
		l->detail_rows = want;
		l->detail_row = bottom - want;
		bottom = l->detail_row - 1;
		if (l->width >= 110)
			l->split = l->width - events > 74 ? l->width - events : 74;
	}
	if (l->height >= 30 || l->height < 24)
		l->status_row = --bottom;
	l->table_rows = bottom - l->table_row;
	if (l->overlay && l->height - l->overlay < l->table_row + l->table_rows)
		l->table_rows = l->height - l->overlay - l->table_row;
	if (l->table_rows < 1)
		l->table_rows = 1;
}

struct layout layout_make(int width, int height, int overlay, int alerts, int peers, bool sessions,
			  struct column_choice choice)
{
	struct layout l = {.width = width, .height = height, .overlay = overlay};

	l.tiny = width < MIN_WIDTH || height < MIN_HEIGHT;
	if (l.tiny)
		return l;
	fit_columns(&l, sessions, choice);
	fit_peers(&l, alerts, peers);
	l.log_detail_row = height >= 20 ? height - 1 - (height >= 30 ? 4 : 3) : -1;
	l.log_rows = (l.log_detail_row > 0 ? l.log_detail_row : height - 1) - 2;
	if (overlay && height - overlay - 2 < l.log_rows)
		l.log_rows = height - overlay - 2;
	return l;
}
