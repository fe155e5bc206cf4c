/* Between the parser of filters and libpcap's compiler. */
#ifndef WEIR_TAP_FILTER_INTERNAL_H
#define WEIR_TAP_FILTER_INTERNAL_H

#include "tap/filter.h"

#define FILTER_WHY 256

/* Makes a BPF node of an expression of pcap-filter(7). False with libpcap's words in why. */
bool filter_compile(struct tap_node *node, const char *text, char why[FILTER_WHY]);

#endif
