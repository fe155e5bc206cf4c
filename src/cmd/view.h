/* The dashboard as a process without rights. */
#ifndef WEIR_CMD_VIEW_H
#define WEIR_CMD_VIEW_H

#include "base/error.h"
#include "cmd/options.h"

/* EXIT_USAGE with words unless stdin and stdout are a terminal that can be drawn on. */
int view_possible(struct error *e);

/* Gives up all rights and draws in this very process. fd: a connected control socket, taken. Exit code. */
int view_run(const struct options *o, int fd, struct error *e);

/* The same on a bundle, whose server listens on fd, from a moment on (Unix seconds, 0: its end). */
int view_replay(const struct options *o, int fd, double at, struct error *e);

/* How a view in a child of its own ended. */
enum view_end { VIEW_LEFT, VIEW_ENGINE_GONE, VIEW_FAILED, VIEW_CRASHED };

/* The same in a child; if it crashes, the terminal is put in order again. fd stays open here. */
enum view_end view_child(const struct options *o, int fd);

#endif
