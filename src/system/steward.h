/*
 * The steward: a small process that keeps full privileges when the engine gives them up, and does only what
 * system.h offers: up, change and down of one interface. If the engine dies without a word (kill -9), the
 * steward undoes everything, hooks included, and leaves.
 *
 * The engine talks to the network, so the steward believes it only once: the configuration of the first up is
 * taken as it comes, before any packet was. From then on hooks and addresses come from files that the steward
 * read itself, and from one path only.
 */
#ifndef WEIR_SYSTEM_STEWARD_H
#define WEIR_SYSTEM_STEWARD_H

#include "base/error.h"
#include "config/conf.h"

struct steward;

/*
 * Forks it. Call before threads exist and before privileges are dropped. lock_fd (or -1) stays open in it, so
 * that the interface's lock is held until the undoing is over. All other fds are closed in the child, stderr
 * excepted. The interface must exist when up is asked for, not yet here. `inherited` is the configuration
 * that the caller has read already, or NULL: the child wipes its copy of the keys.
 */
struct steward *steward_start(const char *ifname, const char *journal, int lock_fd, struct conf *inherited,
			      struct error *e);

/*
 * Requests, one at a time (-EBUSY). Hooks run inside of them, take as long as they like, and may talk to the
 * engine (`wg set %i ...` in PostUp): so the control thread asks, goes on with its loop, and takes the reply
 * when steward_fd is readable.
 */
int steward_ask_up(struct steward *s, const struct conf *c, struct error *e); /* once in its life */
int steward_ask_config(struct steward *s, const char *path, struct error *e);
int steward_ask_change(struct steward *s, struct error *e); /* to the configuration of the last ask_config */
int steward_ask_down(struct steward *s, struct error *e);

struct steward_reply {
	uint32_t fwmark;	       /* of up and change: see system_up */
	struct conf *conf;	       /* of ask_config: NULL when it has errors; the caller's to free */
	struct conf_messages messages; /* of ask_config: the caller's to clear */
};

/* Result of the request: 0 or -errno with words. -EAGAIN: it is not done yet (log lines came). -EPIPE: the
 * steward has died, and what it did stays until the next start cleans up. */
int steward_take(struct steward *s, struct steward_reply *reply, struct error *e);
int steward_fd(
	const struct steward *s); /* readable: steward_take has something; also log lines without a request */
bool steward_is_busy(const struct steward *s);

/* Ask and wait. Only where nothing else is to be served meanwhile, as hooks may need us. */
int steward_change(struct steward *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		   struct error *e);

/* Reads IFACE's configuration again with full privileges (the engine may not be able to), and checks it. */
struct conf *steward_read_config(struct steward *s, const char *path, struct conf_messages *m);

/* Asks it to leave (after the reply to steward_ask_down, or leaving everything in place when `undo` is
 * false), waits, and frees s. */
void steward_stop(struct steward *s, bool undo);

#endif
