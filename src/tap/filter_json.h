/* Filters of the tap as JSON (weir-control(7), tap): for clients that parse them, and for the engine that
 * gets them. */
#ifndef WEIR_TAP_FILTER_JSON_H
#define WEIR_TAP_FILTER_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "tap/filter.h"

/* New reference. NULL is a filter that matches everything. */
json_t *tap_filter_to_json(const struct tap_filter *f);

/* A filter that tap_filter_valid accepts; the caller's. 0 or -EINVAL with words. */
int tap_filter_from_json(struct tap_filter **out, const json_t *nodes, struct error *e);

#endif
