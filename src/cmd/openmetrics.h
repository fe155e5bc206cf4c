/* What an engine counts, in the text form of OpenMetrics 1.0. */
#ifndef WEIR_CMD_OPENMETRICS_H
#define WEIR_CMD_OPENMETRICS_H

#include "base/strbuf.h"
#include "control/client.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Asks the engine page by page. 0 or -errno with words. */
int openmetrics_render(struct client *c, struct strbuf *out, struct error *e);

#endif
