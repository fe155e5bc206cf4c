/* The reducer of the Packets screen: its files among themselves. */
#ifndef WEIR_TUI_PACKETS_INTERNAL_H
#define WEIR_TUI_PACKETS_INTERNAL_H

#include "tui/model_internal.h"

/* model_packets.c */
void packets_list(struct packet_model *pm, const struct packets *p);
size_t packets_row_from(const struct packet_model *pm,
			uint64_t number); /* first row of that number or a later one */
void packets_go(struct model *m, size_t row);

/* model_packets_save.c */
void packets_save(struct model *m, const struct data *d, double now, struct effects *fx);

/* model_packets_out.c: what is copied and typed */
const char *packets_peer(void *data, const struct key *key); /* the name of a peer, "" if it has none */
void packets_copy(struct model *m, const struct data *d, double now, struct effects *fx);

/* Would libpcap ask a resolver about a word of this text? Then nobody waits for it while more is typed. */
bool packet_filter_asks_names(const char *text);

#endif
