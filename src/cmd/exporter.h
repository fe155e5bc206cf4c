/* OpenMetrics over HTTP: one page, /metrics, made when it is asked for and at most once a second. */
#ifndef WEIR_CMD_EXPORTER_H
#define WEIR_CMD_EXPORTER_H

#include "control/client.h"

/* A socket that listens at ADDRESS:PORT or unix:PATH; -errno with words. */
int exporter_listen(const char *where, struct error *e);

/* Serves until the engine hangs up. Takes both. An exit code. */
int exporter_run(struct client *c, int listen_fd, struct error *e);

#endif
