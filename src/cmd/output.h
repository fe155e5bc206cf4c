/*
 * What the steward and its hooks print. They outlive the terminal's peace: a hook that writes onto the
 * dashboard would spoil it. So their stdout and stderr are a pipe, and its lines go to the engine's log.
 */
#ifndef WEIR_CMD_OUTPUT_H
#define WEIR_CMD_OUTPUT_H

#include "base/error.h"
#include "base/loop.h"

struct output;

/* From here until output_restore, stdout and stderr are the pipe: whoever is forked in between keeps it. */
struct output *output_divert(struct error *e);
void output_restore(struct output *out);

void output_watch(struct output *out, struct loop *loop);
void output_free(struct output *out); /* logs what is left; before the loop goes */

#endif
