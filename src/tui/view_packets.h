/* The Packets screen's files among themselves. */
#ifndef WEIR_TUI_VIEW_PACKETS_H
#define WEIR_TUI_VIEW_PACKETS_H

#include "tui/view.h"

/* The packet's peer: its name, the start of its key, "(unknown)". */
const char *packet_label(char out[LABEL_ROOM], const struct scene *s, const struct packet *k);

/* Decode and bytes of the selected packet, and what stands below them. */
void view_packet_panes(struct grid *g, const struct scene *s, const struct packet_layout *l);

#endif
