/*
 * What weir changes in the host beside its own interface's packets: addresses, MTU, routes, policy rules, firewall
 * rule, DNS, hooks. Everything that outlives the interface is written to a journal (/run/weir/IFACE.undo) before it
 * is done, so that a crash can be cleaned up at the next start.
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

/* PreUp, addresses, MTU, link up, routes, DNS, PostUp: the order of wg-quick(8). Undone in reverse on failure.
 * used_fwmark gets the mark that policy routing needs the engine's sockets to carry (0: none). */
int system_up(struct system *s, const struct conf *c, uint32_t *used_fwmark, struct error *e);

/* The difference only: addresses, MTU, routes and DNS that changed. Hooks do not run. */
int system_change(struct system *s, const struct conf *old, const struct conf *new, uint32_t *used_fwmark,
		  struct error *e);

/* PreDown, everything off again, PostDown. Goes on past errors; the first is reported. */
int system_down(struct system *s, const struct conf *c, struct error *e);

#endif
