/* The host's resolver: by resolvconf(8) as wg-quick(8) does, else by resolvectl(1). */
#ifndef WEIR_SYSTEM_DNS_H
#define WEIR_SYSTEM_DNS_H

#include "base/error.h"
#include "config/conf.h"
#include "system/journal.h"
#include "system/run.h"

/* Sets servers and search domains for the interface; nothing without servers. Journaled. */
int dns_set(struct journal *j, const struct conf *c, struct run_outputs *o, struct error *e);

/* Takes them away: text of an UNDO_DNS. 0 or -EIO. */
int dns_unset(const char *text, const char *ifname, struct run_outputs *o);

#endif
