/* A network report as text and as JSON. */
#ifndef WEIR_CMD_NETREPORT_H
#define WEIR_CMD_NETREPORT_H

#include <jansson.h>

#include "report/report.h"

#define NETREPORT_SCHEMA 1

/* engine: the answer to `status`, or NULL; what it tells of the same relays is shown beside. New reference. */
json_t *netreport_json(const struct report_options *o, const struct report *r, const json_t *engine);
void netreport_print(const json_t *report, bool color);

#endif
