/*
 * The steward: a small process that keeps full privileges when the engine gives them up, and does only what
 * system.h offers: up, change and down of one interface. If the engine dies without a word (kill -9), the steward
 * undoes everything and leaves.
 */
#ifndef WEIR_SYSTEM_STEWARD_H
#define WEIR_SYSTEM_STEWARD_H

#include "base/error.h"
#include "config/conf.h"

struct steward;

/* Forks it. Call before threads exist and before privileges are dropped. lock_fd (or -1) stays open in it, so that
 * the interface's lock is held until the undoing is over. Fds in keep_out (TUN, sockets) are closed in the child. */
struct steward *steward_start(const char *ifname, const char *journal, int lock_fd, const int *keep_out,
			      unsigned keep_out_count, struct error *e);

/* Requests; each waits for the steward's answer (they run hooks, so they may take as long as those do). */
int steward_up(struct steward *s, const struct conf *c, uint32_t *used_fwmark, struct error *e);
int steward_change(struct steward *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		   struct error *e);
int steward_down(struct steward *s, struct error *e);

/* Reads IFACE's configuration again with full privileges (the engine may not be able to), and checks it. */
struct conf *steward_read_config(struct steward *s, const char *path, struct conf_messages *m);

/* Asks it to leave (after steward_down, or leaving everything in place when `undo` is false) and waits. */
void steward_stop(struct steward *s, bool undo);

/* Asynchronous form for the control thread: readable when an answer is there. */
int steward_fd(const struct steward *s);

#endif
