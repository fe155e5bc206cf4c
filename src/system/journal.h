/*
 * What is to be undone although the interface is gone. Each thing is written, and on its way to the disk,
 * before it is done; a crash between the two means that something is undone that never was, which does no
 * harm.
 *
 * The file has one JSON object on a line: {"journal":1,"interface":"wg0"}, then {"id":N,"undo":KIND,...} for
 * each thing and {"undone":N} when it is off again.
 */
#ifndef WEIR_SYSTEM_JOURNAL_H
#define WEIR_SYSTEM_JOURNAL_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

enum undo_kind {
	UNDO_RULE,     /* family, mark, table: "not fwmark M lookup T" */
	UNDO_SUPPRESS, /* family: "lookup main suppress_prefixlength 0" */
	UNDO_NFT,      /* family, text: name of the table */
	UNDO_IPTABLES, /* family, text: input for iptables-restore that takes our rules out */
	UNDO_DNS,      /* text: "resolvconf NAME" or "resolvectl IFACE" */
	UNDO_SYSCTL,   /* name: path below /proc/sys, text: the old value */
	UNDO_KINDS
};

struct undo {
	unsigned id;
	enum undo_kind kind;
	int family; /* AF_INET, AF_INET6 */
	uint32_t mark, table;
	char *name, *text; /* NULL: none */
};

struct journal {
	char *path;
	int fd; /* -1 while nothing was written */
	char ifname[IFNAMSIZ];
	unsigned next_id;
	struct undo *items; /* not yet undone, oldest first */
	unsigned count;
};

void journal_init(struct journal *j, const char *path, const char *ifname);

/* Reads what a crashed run left. 0 with no items when there is no file. A last line that is cut is ignored.
 */
int journal_load(struct journal *j, const char *path, struct error *e);

/* Before the act. Copies u; its id is chosen. */
int journal_add(struct journal *j, const struct undo *u, struct error *e);

/* After it is off again: forgets items[index]. The file goes with the last one. */
void journal_done(struct journal *j, unsigned index);

void journal_clear(struct journal *j); /* frees memory, leaves the file */

#endif
