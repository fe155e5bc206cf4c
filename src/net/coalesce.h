/*
 * The other way: joins consecutive packets of a flow into super-packets for the TUN, without copying payload.
 *
 * TCP: same addresses, ports, ack, options; consecutive sequence numbers; no SYN, FIN, RST, URG; PSH ends a group.
 * UDP: same addresses and ports, equal lengths (a shorter one ends a group), only where the TUN has USO.
 * Checksums of joined packets are verified first, because the kernel will not look at them again. Packets of one
 * flow are never reordered.
 */
#ifndef WEIR_NET_COALESCE_H
#define WEIR_NET_COALESCE_H

#include <stddef.h>
#include <stdint.h>

#include "net/tun.h"

struct coalescer;

struct coalescer *coalescer_new(const struct tun *t, unsigned queue);
void coalescer_free(struct coalescer *c);

/* Takes a packet by reference: it must stay (writable) until coalescer_flush. */
void coalescer_add(struct coalescer *c, uint8_t *packet, size_t len);

/* Writes all out. Number of packets that the kernel did not take; *error_out (may be NULL) gets the last errno. */
unsigned coalescer_flush(struct coalescer *c, int *error_out);

#endif
