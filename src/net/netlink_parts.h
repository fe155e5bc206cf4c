/* Shared by netlink.c and netlink_monitor.c alone. */
#ifndef WEIR_NET_NETLINK_PARTS_H
#define WEIR_NET_NETLINK_PARTS_H

#include <linux/netlink.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Calls fn for each message in buf that answers request seq (0: every message). 1: more is to come, 0: the answer is
 * complete, -errno: the kernel refuses. Unlike mnl_cb_run this goes on through a dump that was interrupted by a
 * change (NLM_F_DUMP_INTR): its end must be seen, or the reader would wait for ever.
 */
int netlink_each(const void *buf, size_t len, uint32_t seq, void (*fn)(const struct nlmsghdr *nlh, void *arg),
		 void *arg);

#endif
