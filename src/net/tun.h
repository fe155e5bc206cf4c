/* The TUN device: queues, offloads, and what the kernel says of it. */
#ifndef WEIR_NET_TUN_H
#define WEIR_NET_TUN_H

#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

#include "base/error.h"

#define TUN_QUEUES_MAX 8
#define TUN_READ_MAX   (65535 + sizeof(struct virtio_net_hdr))

struct tun {
	char name[IFNAMSIZ];
	int fds[TUN_QUEUES_MAX]; /* non-blocking; the struct owns them */
	unsigned queues;
	bool vnet_hdr; /* each read and write carries a struct virtio_net_hdr */
	bool tso, uso; /* segmentation offloads that the kernel granted */
};

/* Makes the device (not persistent: it goes with its last fd). `plain` asks for no offloads.
 * Errors say whether /dev/net/tun is missing, the privilege, or the name is taken. */
int tun_open(struct tun *t, const char *name, unsigned queues, bool plain, struct error *e);

/* Takes over one open queue (WG_TUN_FD); reads name and flags from it. */
int tun_adopt(struct tun *t, int fd, struct error *e);
void tun_close(struct tun *t);

/* The kernel's idea of name and MTU, wherever the device lives now: it may have moved to another network
 * namespace or been renamed (TUNGETDEVNETNS, TUNGETIFF). -ENODEV once it is gone. */
int tun_refresh_name(struct tun *t);
int tun_get_mtu(struct tun *t);

/* True once the device was deleted: its fds answer EBADFD. */
bool tun_is_gone(struct tun *t);

/* One packet or super-packet; header is zeroed when the device has none. Bytes behind the header, 0 when nothing
 * waits, or -errno (-EBADFD: deleted; -EIO: the device is down). [worker] */
ssize_t tun_read(const struct tun *t, unsigned queue, struct virtio_net_hdr *header, void *packet, size_t room);

/* iov[0] is left for the header: the packet starts at iov[1]. [worker] */
int tun_write(const struct tun *t, unsigned queue, const struct virtio_net_hdr *header, struct iovec *iov,
	      unsigned count);

#endif
