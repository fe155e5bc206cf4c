/* Between data.c (keeping) and json.c (reading). */
#ifndef WEIR_TUI_DATA_INTERNAL_H
#define WEIR_TUI_DATA_INTERNAL_H

#include "tui/data.h"

struct peer *data_add_peer(struct data *d, const char *key);
void data_remove_peers(struct data *d, bool (*gone)(const struct peer *p, const void *arg), const void *arg);
void data_sample(struct data *d, double interval);
void data_add_event(struct data *d, const struct event *ev);
void data_add_log(struct data *d, const struct log_line *line);

#endif
