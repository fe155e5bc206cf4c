/* Through libnice: what always works. */
#include <gio/gio.h>
#include <glib.h>
#include <nice/agent.h>

#include <errno.h>
#include <sys/socket.h>

#include "ice/internal.h"

#define COMPONENT 1

static bool is_bound_to(int fd, const union address *base)
{
	union address at = {0};
	socklen_t len = sizeof(at);

	return getsockname(fd, &at.sa, &len) == 0 && address_equal(&at, base);
}

int agent_socket(const struct ice_agent *a)
{
	GSocket *one = nice_agent_get_selected_socket(a->nice, a->stream, COMPONENT);
	GPtrArray *all;
	int fd = -1;

	if (one)
		return g_socket_get_fd(one);
	/* A relayed pair leaves from the socket that its TURN client is bound to. */
	all = nice_agent_get_sockets(a->nice, a->stream, COMPONENT);
	for (guint n = 0; all && n < all->len && fd < 0; n++) {
		int candidate = g_socket_get_fd(all->pdata[n]);

		if (is_bound_to(candidate, &a->base))
			fd = candidate;
	}
	if (all)
		g_ptr_array_unref(all);
	return fd;
}

int ice_agent_send(struct ice_agent *a, const void *data, size_t len)
{
	GOutputVector vector = {.buffer = data, .size = len};
	NiceOutputMessage message = {.buffers = &vector, .n_buffers = 1};
	GError *failed = NULL;
	int sent, r;

	if (!a->selected)
		return -ENOTCONN;
	errno = 0;
	sent = nice_agent_send_messages_nonblocking(a->nice, a->stream, COMPONENT, &message, 1, NULL,
						    &failed);
	if (sent == 1)
		return 0;
	if (!failed)
		r = -EAGAIN;
	else if (g_error_matches(failed, G_IO_ERROR, G_IO_ERROR_BROKEN_PIPE))
		r = -ENOTCONN;
	else if (g_error_matches(failed, G_IO_ERROR, G_IO_ERROR_WOULD_BLOCK))
		r = -EAGAIN;
	else
		r = errno == EMSGSIZE ? -EMSGSIZE : -EIO; /* libnice itself says only that it failed */
	g_clear_error(&failed);
	return r;
}

/* Ours, not the library's: PROBE sets DF and does not believe what is known about the path (ip(7)). */
static int set_discovery(int fd, int family, int *value)
{
	int level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int option = family == AF_INET6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER;
	int old = 0;
	socklen_t len = sizeof(old);

	if (getsockopt(fd, level, option, &old, &len) || setsockopt(fd, level, option, value, sizeof(*value)))
		return -errno;
	*value = old;
	return 0;
}

int ice_agent_send_probe(struct ice_agent *a, const void *data, size_t len)
{
	int family = a->base.sa.sa_family, r, fd = a->selected ? agent_socket(a) : -1;
	int mode = family == AF_INET6 ? IPV6_PMTUDISC_PROBE : IP_PMTUDISC_PROBE;

	if (fd < 0)
		return a->selected ? -ENOTSUP : -ENOTCONN;
	r = set_discovery(fd, family, &mode);
	if (r)
		return r;
	r = ice_agent_send(a, data, len);
	set_discovery(fd, family, &mode);
	return r;
}
