/* What the engine and the view give up. */
#ifndef WEIR_CMD_SANDBOX_H
#define WEIR_CMD_SANDBOX_H

#include <stdbool.h>

#include "base/error.h"

/*
 * For the engine, before it has threads: keeps CAP_NET_ADMIN (TUN, SO_MARK, a changed fwmark) and
 * CAP_NET_BIND_SERVICE (a ListenPort below 1024), forbids everything that leads to other programs or kernel
 * interfaces (seccomp), writing outside of these folders (Landlock; ends with NULL), core dumps and ptrace.
 * Kept by all threads to come, and for good. Built with a sanitizer, it does nothing: those need what is
 * forbidden here.
 */
int sandbox_engine(const char *const *folders, struct error *e);

/* True with CAP_NET_ADMIN, without which there is no interface. */
bool sandbox_may_run_engine(void);

/*
 * For the relay server, once its sockets are bound: root becomes this user (NULL: nobody), nobody keeps a capability, and
 * what leads to other programs is forbidden as for the engine. Built with a sanitizer, it forbids nothing.
 */
int sandbox_relay(const char *user, struct error *e);

/*
 * For the network report, before it has threads: what strangers answer is parsed without rights. Root becomes nobody,
 * keeps CAP_NET_ADMIN alone (SO_MARK), and gains nothing by running programs. `keep_user`: it stays root, without
 * capabilities, for there are files that nobody may not read.
 */
int sandbox_probe(bool keep_user, struct error *e);

/* For a view: becomes the user behind sudo, or else nobody, without any capability. */
int sandbox_view(struct error *e);

#endif
