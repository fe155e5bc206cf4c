/*
 * The firewall rules that go with a default route through the tunnel, as wg-quick(8) has them:
 *  - a packet for one of our tunnel addresses that came in elsewhere is dropped, or a neighbour could tell
 * which address we have and meddle with connections in the tunnel (CVE-2019-14899);
 *  - the mark of the engine's packets is kept with their connection and put on the answers, so that strict
 * reverse path filters look them up in the table that they came by.
 */
#ifndef WEIR_SYSTEM_FIREWALL_H
#define WEIR_SYSTEM_FIREWALL_H

#include <stdint.h>

#include "base/error.h"
#include "config/conf.h"
#include "system/journal.h"
#include "system/run.h"

/* By nft(8), else by iptables-restore(8), else a warning. Replaces what it set for the family before. */
int firewall_on(struct journal *j, const struct conf *c, int family, uint32_t mark, struct run_outputs *o,
		struct error *e);

/* Undoes an UNDO_NFT or UNDO_IPTABLES. 0 or -EIO. */
int firewall_off(const struct undo *u, const char *ifname, struct run_outputs *o);

#endif
