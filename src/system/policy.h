/* Policy routing of a default route: mark, rules, sysctl and firewall, each journaled, and their undoing. */
#ifndef WEIR_SYSTEM_POLICY_H
#define WEIR_SYSTEM_POLICY_H

#include "base/error.h"
#include "config/conf.h"
#include "net/netlink.h"
#include "system/journal.h"
#include "system/run.h"

/* FwMark of the file, or the first number from 51820 that no routing table has; it names mark and table. */
uint32_t policy_choose_mark(struct netlink *n, const struct conf *c);

/* Everything but the route itself. */
int policy_on(struct netlink *n, struct journal *j, const struct conf *c, int family, uint32_t mark,
	      struct run_outputs *o, struct error *e);

/* Undoes one thing of the journal, of whatever kind. What is not there any more counts as undone. */
int undo_one(struct netlink *n, const struct journal *j, const struct undo *u, struct run_outputs *o);

/* Undoes the items that `wanted` picks (NULL: all), newest first, and forgets them. Number of those that
 * failed. */
unsigned undo_all(struct netlink *n, struct journal *j, bool (*wanted)(const struct undo *u, int family),
		  int family, struct run_outputs *o);
bool undo_is_policy(const struct undo *u, int family);
bool undo_is_dns(const struct undo *u, int family);

#endif
