/* The control socket: JSON lines, weir-control(7). The dashboard, `weir status` and the rest are its clients.
 */
#ifndef WEIR_CONTROL_CONTROL_H
#define WEIR_CONTROL_CONTROL_H

#include <stdbool.h>

#include "base/error.h"
#include "engine/engine.h"

struct control;

/* What the program behind the engine can do, for requests that are not the engine's own. */
struct control_ops {
	/* Reads the configuration again and applies the difference; *summary (caller frees) says what
	 * changed. */
	int (*reload)(void *ctx, char **summary, struct error *e);
	void (*down)(void *ctx, bool drain);
	void *ctx;
	const char *configuration; /* path of what reload reads, absolute; NULL: nothing. Copied */
};

/* Listens on folder/IFACE.sock (folder NULL: /run/weir), mode 0600. A live socket there is an error. */
int control_open(struct control **out, struct engine *g, const char *folder, const struct control_ops *ops,
		 struct error *e);
/* Records the past in so many bytes of memory; for the method "history". Once, after control_open. */
void control_record(struct control *c, size_t bytes);
void control_close(struct control *c); /* tells clients "bye", unlinks the socket */

/* Serves one more client on a connected fd (the dashboard's socketpair); takes the fd. */
int control_adopt(struct control *c, int fd, bool readonly);

/* Clients that are dashboards right now: for the log line when the last one leaves. */
unsigned control_views(const struct control *c);

#endif
