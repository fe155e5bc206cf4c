/* One engine for each interface: RUN_DIR/IFACE.lock, held by flock(2) and holding the pid of the engine. */
#ifndef WEIR_CMD_LOCK_H
#define WEIR_CMD_LOCK_H

#include "base/error.h"

/*
 * Takes the lock and returns its descriptor, or -errno. An engine that lives is an error with its pid. One
 * that was killed leaves a steward behind that holds the lock until all is undone: that is waited for, up to
 * 10 seconds. run_dir NULL: /run/weir; the folder is made if missing.
 */
int lock_take(const char *run_dir, const char *ifname, struct error *e);

/* Waits until nobody holds the lock. -ETIMEDOUT after so many seconds. */
int lock_wait(const char *run_dir, const char *ifname, unsigned seconds, struct error *e);

#endif
