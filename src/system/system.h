/*
 * What weir changes in the host beside its own interface's packets: addresses, MTU, routes, policy rules,
 * firewall rule, DNS, hooks. Everything that outlives the interface is written to a journal
 * (/run/weir/IFACE.undo) before it is done, so that a crash can be cleaned up at the next start.
 */
#ifndef WEIR_SYSTEM_SYSTEM_H
#define WEIR_SYSTEM_SYSTEM_H

#include "base/error.h"
#include "config/conf.h"

struct system;

/* journal: path of the undo journal. ifindex: the interface, which exists and is down. */
struct system *system_new(const char *ifname, int ifindex, const char *journal);
void system_free(struct system *s); /* changes nothing */

/* Undoes what the journal of a crashed run lists, hooks excepted. Number of things undone, or -errno. */
int system_clean_leftovers(const char *journal, struct error *e);

/*
 * The mark that the engine's sockets are to carry: FwMark, or for a default route by policy routing `current`
 * if that is not 0, else the first number from 51820 that no routing table has. Needs no privilege. The
 * engine sets it before system_up, or its own packets would go into the tunnel until it does, and hooks would
 * not see it.
 */
int system_choose_fwmark(const struct conf *c, uint32_t current, uint32_t *mark, struct error *e);

/* PreUp, addresses, MTU, link up, DNS, routes, PostUp: the order of wg-quick(8). Undone in reverse on
 * failure, then without hooks. used_fwmark gets the mark that the engine's sockets are to carry (0: none). */
int system_up(struct system *s, const struct conf *c, uint32_t *used_fwmark, struct error *e);

/* The difference only: addresses, MTU, routes and DNS that changed. Hooks do not run. On failure all is as in
 * old. */
int system_change(struct system *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		  struct error *e);

/* PreDown, everything off again, PostDown. Goes on past errors, and says at the end if there were any. The
 * interface may be gone already. */
int system_down(struct system *s, const struct conf *c, struct error *e);

/* Output of what hooks left running in the background: to be read while it comes. */
struct run_outputs;
struct run_outputs *system_outputs(struct system *s);

#endif
