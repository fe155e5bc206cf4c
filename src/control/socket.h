/* Listening Unix sockets named after an interface: where they are made, who may come in, when they are gone.
 */
#ifndef WEIR_CONTROL_SOCKET_H
#define WEIR_CONTROL_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/loop.h"

struct listener;

/*
 * Listens on folder/IFACE.sock, mode 0600; the folder is made with 0755. A socket that nobody serves is
 * replaced, a live one is an error (EADDRINUSE). With fd >= 0 that listening socket is taken over instead.
 * accepted gets each connection, non-blocking, and owns it.
 */
int listener_open(struct listener **out, struct loop *loop, const char *folder, const char *ifname, int fd,
		  void (*accepted)(void *arg, int fd), void *arg, struct error *e);

/* Calls gone once when the socket's file is deleted or replaced. */
int listener_watch_file(struct listener *l, void (*gone)(void *arg), void *arg, struct error *e);

/* Unlinks the file unless somebody else's has taken its place. NULL is allowed. */
void listener_close(struct listener *l);

/* What the other end is; false when the kernel does not say. */
struct socket_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
};
bool socket_peer_of(int fd, struct socket_peer *out);

/* Root, the engine's own user, and whom the mode of the socket's file lets write: its group, or everybody. */
bool listener_permits(const struct listener *l, int fd, const struct socket_peer *who);

#endif
