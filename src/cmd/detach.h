/* A child that leaves the terminal, but reports to it until it is ready. For `weir IFACE` and weir-wg. */
#ifndef WEIR_CMD_DETACH_H
#define WEIR_CMD_DETACH_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

struct detach {
	int pipe[2];	  /* the child writes one byte when it is ready */
	bool keep_stderr; /* weir-wg with LOG_LEVEL */
};

int detach_open(struct detach *d, struct error *e);

/* In the child: a session of its own, stdin from nowhere. */
void detach_child(struct detach *d);

/* In the child, a struct detach *: tells the parent and lets go of the terminal; log lines go to the journal
 * from here on, or only into the ring. */
void detach_ready(void *arg);

/* In the parent: -1 once the child is ready, else its exit code (128 + n after signal n). */
int detach_wait(struct detach *d, pid_t child);

/* Standard output and error towards the journal, or nowhere, for a child that is forked in between. */
struct diversion {
	int saved[2];
};
void divert_output(struct diversion *d);
void restore_output(struct diversion *d);

#endif
