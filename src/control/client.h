/* The other side of weir-control(7), blocking: for commands. The dashboard reads the same lines in its own loop. */
#ifndef WEIR_CONTROL_CLIENT_H
#define WEIR_CONTROL_CLIENT_H

#include <jansson.h>

#include "base/error.h"
#include "base/strbuf.h"

struct client;

/* folder NULL: /run/weir. EXIT_NOT_RUNNING and a hint when nothing listens, EXIT_NOT_PERMITTED without the right. */
struct client *client_connect(const char *folder, const char *ifname, struct error *e);
struct client *client_adopt(int fd);
void client_close(struct client *c);
int client_fd(const struct client *c);

/* Ends the client, but not its connection: behind the answer of `capture` and `kept` come records, not lines. The descriptor,
 * and what of the records was read already (both the caller's). */
int client_release(struct client *c, struct strbuf *rest);

/* Sends a request and waits for its result (new reference); notifications that come first are dropped. */
json_t *client_call(struct client *c, const char *method, json_t *params /* stolen, may be NULL */,
		    struct error *e);

/* Next notification (new reference); NULL at the end of the connection. */
json_t *client_next(struct client *c, struct error *e);

/* Interfaces with a live control socket, for commands without an argument. Count; names are the caller's. */
size_t client_interfaces(const char *folder, char (**names)[16]);

#endif
