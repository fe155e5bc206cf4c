/* What fits: which columns and which panes a screen of a size has. 80x24 is the design size. */
#ifndef WEIR_TUI_LAYOUT_H
#define WEIR_TUI_LAYOUT_H

#include <stdbool.h>

#define MIN_WIDTH  60
#define MIN_HEIGHT 16

#define LOG_FIRST_ROW 2

enum column {
	COLUMN_PEER,
	COLUMN_STATE,
	COLUMN_PATH,
	COLUMN_SESSION,
	COLUMN_KEY,
	COLUMN_HS,
	COLUMN_RTT,
	COLUMN_LOSS,
	COLUMN_RX,
	COLUMN_TX,
	COLUMN_LAST,
	COLUMNS
};

struct layout {
	int width, height;
	bool tiny;   /* too small for a screen: one line of text */
	int overlay; /* rows at the bottom that a prompt or the menu takes */

	/* Peers */
	int column_at[COLUMNS], column_width[COLUMNS]; /* width 0: left out */
	int alert_row, alert_rows;
	int table_row, table_rows; /* peers; the column titles are one row above */
	int status_row;		   /* -1: none */
	int detail_row, detail_rows;
	int split; /* column of the line between detail and events, 0: no events pane */

	/* Log */
	int log_rows, log_detail_row; /* rows of lines from row 2 on; -1: no detail */
};

/* What was chosen with `c`: bits by column; the rest comes as the width allows. */
struct column_choice {
	unsigned on, off;
};

/* overlay: rows that a prompt takes, 0 for none. alerts: how many there are to tell. peers: all there are. */
struct layout layout_make(int width, int height, int overlay, int alerts, int peers, bool sessions,
			  struct column_choice choice);

const char *column_title(enum column c, int width);
bool column_is_number(enum column c);

#endif
