/* The reducer's files among themselves: one per screen, and what all screens have. */
#ifndef WEIR_TUI_MODEL_INTERNAL_H
#define WEIR_TUI_MODEL_INTERNAL_H

#include "tui/model.h"

/* model.c */
size_t moved(size_t at, long by, size_t count); /* the row that `by` rows further is, within count */
void show_screen(struct model *m, const struct data *d, enum screen screen, struct effects *fx);
/* Moves the window of `visible` rows no more than it takes to show `row`. */
size_t scrolled(size_t top, size_t row, size_t count, size_t visible);
void do_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);
void move(struct model *m, const struct data *d, long by, struct effects *fx); /* on any screen, in rows */

/* model_peers.c */
void select_row(struct model *m, const struct data *d, size_t row);
void follow_selected(struct model *m, const struct data *d);
void forget_tags_of_removed(struct model *m, const struct data *d);
void step_problem(struct model *m, const struct data *d, int by, double now);
void peers_sort(struct model *m, const struct data *d, unsigned sort, double now, struct effects *fx);
/* Commands of one screen. True if it was one of its own. */
bool peers_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);

/* model_peer.c */
void fetch_events(struct model *m, const struct data *d, struct effects *fx);
void pane_move(struct model *m, const struct data *d, long by);
bool peer_command(struct model *m, const struct data *d, enum command c);

/* model_packets.c */
/* The engine, for what the screen needs now. */
void packets_ask(struct model *m, const struct data *d, struct effects *fx);
void packets_sync(struct model *m, const struct data *d, struct effects *fx);
void packets_move(struct model *m, const struct data *d, long by, struct effects *fx);
bool packets_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);
void packets_filtered(struct model *m, const struct data *d, struct effects *fx); /* packet_filter changed */
bool packets_tap_command(struct model *m, const struct data *d, enum command c, double now,
			 struct effects *fx);
void packets_set_filter(struct model *m, const struct data *d, const char *text, struct effects *fx);
void packets_points(struct model *m, const struct data *d, uint8_t points, double now, struct effects *fx);
/* The peer is tapped; once more: no longer. */
void packets_tap(struct model *m, const struct data *d, const struct peer *p, double now, struct effects *fx);
void packets_fit(struct model *m);
void packets_reply(struct model *m, const struct reply *r, double now);

/* model_packets_out.c */
void packets_jump_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);

/* model_past.c */
bool past_command(struct model *m, enum command c, double now, struct effects *fx);
void past_refuse(struct model *m, double now); /* to change anything */
/* A key while the past is shown. True: it has been dealt with; else it does what it always does. */
bool past_key(struct model *m, uint32_t code, double now, struct effects *fx);

/* model_log.c */
void log_only(struct model *m, const struct data *d, double now); /* the lines about the selected peer */
void follow_line(struct model *m, const struct data *d);
void line_move(struct model *m, const struct data *d, long by);
void goto_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);
bool log_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);

/* model_filter.c */
char *filter_of_screen(struct model *m, size_t *room);
/* A key into a line of text: letters, Backspace, Ctrl-U. False if it was none of them. */
bool line_edit(char *line, size_t room, uint32_t code);
bool filter_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);
void filter_key(struct model *m, const struct data *d, uint32_t code, struct effects *fx);

/* model_view.c */
void view_interval(struct model *m, unsigned index, double now, struct effects *fx); /* of model_intervals */
bool view_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);

/* model_columns.c */
void columns_key(struct model *m, const struct data *d, uint32_t code, struct effects *fx);

/* actions.c: selects the peer of that name; NULL: it stays. False: there is none, which was said */
bool action_select(struct model *m, const struct data *d, const char *who, double now);

/* model_type.c */
void typed_begin(struct model *m);
void typed_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);

/* model_mouse.c */
void mouse_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);

#endif
