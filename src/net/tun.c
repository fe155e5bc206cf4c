#include "net/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/netlink.h"

/* Linux 6.2; older headers lack them. */
#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

#define DEVICE "/dev/net/tun"

static bool name_is_valid(const char *name)
{
	size_t len = strlen(name);

	/* The kernel's rules, and no '%': it would take that for a pattern. */
	return len > 0 && len < IFNAMSIZ && strcmp(name, ".") && strcmp(name, "..") &&
	       !strpbrk(name, "/: \t\n\v\f\r%");
}

static int open_device(struct error *e)
{
	int fd = open(DEVICE, O_RDWR | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	switch (errno) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return error_set(
			e, errno,
			DEVICE " is missing: load the module with 'modprobe tun'; a container must be given "
			       "the device (docker: --device " DEVICE ")");
	case EPERM:
	case EACCES:
		return error_set(e, errno,
				 "cannot open " DEVICE
				 ": run as root, or with CAP_NET_ADMIN and access to it");
	default:
		return error_set(e, errno, "cannot open " DEVICE ": %s", strerror(errno));
	}
}

static int attach_error(struct error *e, const char *name, int code)
{
	switch (code) {
	case EPERM:
		return error_set(e, code,
				 "cannot create %s: needs root or CAP_NET_ADMIN in this network namespace",
				 name);
	case EBUSY:
	case EEXIST:
		return error_set(e, EBUSY, "the name %s is taken by another interface: see 'ip link show %s'",
				 name, name);
	case ENOTTY:
		return error_set(e, code,
				 DEVICE " is not the TUN device: make it with 'mknod " DEVICE
					" c 10 200', or remove it and load the module with 'modprobe tun'");
	default:
		return error_set(e, code, "cannot create %s: %s", name, strerror(code));
	}
}

/* One queue. IFF_TUN_EXCL keeps us from joining a device that someone else runs. */
static int attach_queue(struct tun *t, const char *name, short flags, struct error *e)
{
	struct ifreq ifr = {.ifr_flags = flags};
	int fd = open_device(e);

	if (fd < 0)
		return fd;
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	if (ioctl(fd, TUNSETIFF, &ifr)) {
		/* EINVAL: a device of that name exists and is not a TUN. */
		int code = errno == EINVAL && if_nametoindex(name) ? EBUSY : errno;

		close(fd);
		return attach_error(e, name, code);
	}
	t->fds[t->queues++] = fd;
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

/* Asks for all that the kernel can leave to us, then for less. The offloads belong to the device, not the
 * queue. */
static void negotiate_offloads(struct tun *t)
{
	static const unsigned tries[] = {
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN | TUN_F_USO4 | TUN_F_USO6,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
		TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
		TUN_F_CSUM,
		0,
	};

	t->tso = t->uso = false;
	for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
		if (ioctl(t->fds[0], TUNSETOFFLOAD, (unsigned long)tries[i]))
			continue;
		t->tso = tries[i] & TUN_F_TSO4;
		t->uso = tries[i] & TUN_F_USO4;
		return;
	}
}

static int set_header_size(int fd)
{
	int size = sizeof(struct virtio_net_hdr);

	return ioctl(fd, TUNSETVNETHDRSZ, &size) ? -errno : 0;
}

static void clear(struct tun *t)
{
	memset(t, 0, sizeof(*t));
	for (unsigned i = 0; i < TUN_QUEUES_MAX; i++)
		t->fds[i] = -1;
}

int tun_open(struct tun *t, const char *name, unsigned queues, bool plain, struct error *e)
{
	short flags = IFF_TUN | IFF_NO_PI;
	int r;

	clear(t);
	if (!name_is_valid(name))
		return error_set(
			e, EINVAL,
			"'%s' is not an interface name: 1 to %d characters, no spaces, '/', ':' or '%%'",
			name, IFNAMSIZ - 1);
	if (queues < 1 || queues > TUN_QUEUES_MAX)
		return error_set(e, EINVAL, "%u queues: 1 to %d are possible", queues, TUN_QUEUES_MAX);
	if (!plain)
		flags |= IFF_VNET_HDR;
	if (queues > 1)
		flags |= IFF_MULTI_QUEUE;
	r = attach_queue(t, name, (short)(flags | IFF_TUN_EXCL), e);
	while (!r && t->queues < queues)
		r = attach_queue(t, name, flags, e);
	if (!r && !plain) {
		r = set_header_size(t->fds[0]);
		if (r)
			error_set(e, -r, "%s does not take offload headers: %s", name, strerror(-r));
	}
	if (r) {
		tun_close(t);
		return r;
	}
	t->vnet_hdr = !plain;
	if (t->vnet_hdr)
		negotiate_offloads(t);
	return 0;
}

int tun_adopt(struct tun *t, int fd, struct error *e)
{
	struct ifreq ifr = {0};
	int flags = fcntl(fd, F_GETFL), r;

	clear(t);
	if (flags < 0 || ioctl(fd, TUNGETIFF, &ifr))
		return error_set(e, errno, "file descriptor %d is not an open TUN device: %s", fd,
				 strerror(errno));
	/* Whether it was opened with IFF_NO_PI cannot be told: Linux 6.18 reports the flag either way. */
	if (!(ifr.ifr_flags & IFF_TUN))
		return error_set(e, EINVAL, "file descriptor %d (%s) must be a TUN device, not a TAP", fd,
				 ifr.ifr_name);
	if (ifr.ifr_flags & IFF_VNET_HDR) {
		r = set_header_size(fd);
		if (r)
			return error_set(e, -r, "%s does not take offload headers: %s", ifr.ifr_name,
					 strerror(-r));
		t->vnet_hdr = true;
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return error_set(e, errno, "file descriptor %d (%s): %s", fd, ifr.ifr_name, strerror(errno));
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	t->fds[0] = fd;
	t->queues = 1;
	if (t->vnet_hdr)
		negotiate_offloads(t);
	return 0;
}

void tun_close(struct tun *t)
{
	for (unsigned i = 0; i < t->queues; i++)
		close(t->fds[i]);
	clear(t);
}

/* TUNGETIFF reports the current name wherever the device lives; EBADFD once it was deleted. */
int tun_refresh_name(struct tun *t)
{
	struct ifreq ifr = {0};

	if (!t->queues)
		return -ENODEV;
	if (ioctl(t->fds[0], TUNGETIFF, &ifr))
		return errno == EBADFD ? -ENODEV : -errno;
	memcpy(t->name, ifr.ifr_name, IFNAMSIZ);
	return 0;
}

bool tun_is_gone(struct tun *t)
{
	struct ifreq ifr = {0};

	return !t->queues || (ioctl(t->fds[0], TUNGETIFF, &ifr) && errno == EBADFD);
}

static bool same_file(int a, int b)
{
	struct stat x, y;

	return !fstat(a, &x) && !fstat(b, &y) && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

static int local_mtu(int sock, const char *name)
{
	struct ifreq ifr = {0};

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	if (ioctl(sock, SIOCGIFMTU, &ifr))
		return -errno;
	return ifr.ifr_mtu;
}

static int foreign_mtu(int namespace_fd, const char *name)
{
	struct error e;
	struct netlink *n = netlink_open(&e);
	int r = n ? netlink_foreign_mtu(n, namespace_fd, name) : -e.code;

	netlink_close(n);
	return r;
}

int tun_get_mtu(struct tun *t)
{
	int sock, ns, own, r = tun_refresh_name(t);

	if (r)
		return r;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		sock = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return -errno;
	/* Without TUNGETDEVNETNS (before Linux 5.2) a device that moved away is not found, or mistaken for a
	 * namesake. */
	ns = ioctl(t->fds[0], TUNGETDEVNETNS);
	own = ns < 0 ? -1 : ioctl(sock, SIOCGSKNS);
	if (ns < 0 || (own >= 0 && same_file(ns, own)))
		r = local_mtu(sock, t->name);
	else
		r = foreign_mtu(ns, t->name);
	if (own >= 0)
		close(own);
	if (ns >= 0)
		close(ns);
	close(sock);
	return r;
}

ssize_t tun_read(const struct tun *t, unsigned queue, struct virtio_net_hdr *header, void *packet,
		 size_t room)
{
	struct iovec iov[2] = {
		{.iov_base = header, .iov_len = sizeof(*header)},
		{.iov_base = packet, .iov_len = room},
	};
	size_t skip = t->vnet_hdr ? sizeof(*header) : 0;
	ssize_t n;

	do
		n = t->vnet_hdr ? readv(t->fds[queue], iov, 2) : read(t->fds[queue], packet, room);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (!t->vnet_hdr)
		memset(header, 0, sizeof(*header));
	return n > (ssize_t)skip ? n - (ssize_t)skip : -EIO;
}

int tun_write(const struct tun *t, unsigned queue, const struct virtio_net_hdr *header, struct iovec *iov,
	      unsigned count)
{
	ssize_t n;

	iov[0].iov_base = (void *)(uintptr_t)header;
	iov[0].iov_len = sizeof(*header);
	do
		n = t->vnet_hdr ? writev(t->fds[queue], iov, (int)count)
				: writev(t->fds[queue], iov + 1, (int)count - 1);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
