/* Members of JSON objects, checked: a member of the wrong type counts as missing. For json*.c alone. */
#ifndef WEIR_TUI_JSON_GET_H
#define WEIR_TUI_JSON_GET_H

#include <jansson.h>

#include "tui/data_internal.h"

void get_text(const json_t *o, const char *name, char *dst, size_t size);
double get_number(const json_t *o, const char *name);
uint64_t get_count(const json_t *o, const char *name);
unsigned get_unsigned(const json_t *o, const char *name);
bool get_bool(const json_t *o, const char *name);

#define TEXT(o, name, field) get_text(o, name, field, sizeof(field))

/* json_network.c */
void json_network(struct peer *p, const json_t *o); /* not an object: the peer has no such thing */
void json_relays(struct data *d, const json_t *list);

/* json_diagnosis.c */
void json_diagnosis(struct peer *p, const json_t *o); /* not an object: nothing is wrong */
void json_explained(struct data *d,
		    const json_t *result); /* what the method "explain" answered, if it is that */

/* json_packets.c */
void json_packets(struct data *d, const json_t *o);

#endif
