#include "control/socket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"

#define BACKLOG	     64
#define ACCEPT_BATCH 16
#define ACCEPT_PAUSE NS_PER_SEC /* out of descriptors: accepting again at once would spin */
#define GROUPS_MAX   1024

struct listener {
	struct loop *loop;
	int fd, inotify_fd;
	struct sockaddr_un at; /* empty path: an adopted socket without a file */
	dev_t device;	       /* of the file that we made or found */
	ino_t inode;
	struct loop_fd *watch, *inotify_watch;
	struct loop_timer *pause;
	void (*accepted)(void *arg, int fd);
	void *accepted_arg;
	void (*gone)(void *arg);
	void *gone_arg;
};

/* ---- making the socket ---- */

static int new_socket(struct error *e)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_set(e, errno, "cannot make a Unix socket: %s", strerror(errno));
	/* bind() gives the file the socket's own mode: no moment at which others may connect, and no umask
	 * that the other threads would share. */
	if (fchmod(fd, 0600)) {
		int r = error_set(e, errno, "cannot set the mode of a Unix socket: %s", strerror(errno));

		close(fd);
		return r;
	}
	return fd;
}

/* 0 when the file is a socket that nobody serves. */
static int check_dead(const struct sockaddr_un *at, struct error *e)
{
	struct stat st;
	int fd, r = 0;

	if (lstat(at->sun_path, &st))
		return errno == ENOENT ? 0 : error_set(e, errno, "%s: %s", at->sun_path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return error_set(e, EEXIST, "%s exists and is not a socket: remove it", at->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return error_set(e, errno, "cannot make a Unix socket: %s", strerror(errno));
	/* EAGAIN: somebody listens whose queue is full. */
	if (!connect(fd, (const struct sockaddr *)at, sizeof(*at)) || errno == EAGAIN)
		r = error_set(e, EADDRINUSE, "%s is in use: another process serves this interface",
			      at->sun_path);
	else if (errno != ECONNREFUSED && errno != ENOENT)
		r = error_set(e, errno, "%s: %s", at->sun_path, strerror(errno));
	close(fd);
	return r;
}

static int bind_path(int fd, const struct sockaddr_un *at, struct error *e)
{
	int r;

	if (!bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		return 0;
	if (errno != EADDRINUSE)
		return error_set(e, errno, "cannot bind %s: %s", at->sun_path, strerror(errno));
	r = check_dead(at, e);
	if (r)
		return r;
	if (unlink(at->sun_path) && errno != ENOENT)
		return error_set(e, errno, "cannot remove the dead socket %s: %s", at->sun_path,
				 strerror(errno));
	if (bind(fd, (const struct sockaddr *)at, sizeof(*at)))
		return error_set(e, errno, "cannot bind %s: %s", at->sun_path, strerror(errno));
	return 0;
}

static int make(struct listener *l, const char *folder, const char *ifname, struct error *e)
{
	int n, r;

	l->at.sun_family = AF_UNIX;
	n = snprintf(l->at.sun_path, sizeof(l->at.sun_path), "%s/%s.sock", folder, ifname);
	if (n < 0 || (size_t)n >= sizeof(l->at.sun_path)) {
		l->at.sun_path[0] = '\0';
		return error_set(e, ENAMETOOLONG, "%s/%s.sock is too long for a Unix socket", folder, ifname);
	}
	r = file_make_folder(folder, 0755, e);
	if (r)
		goto nameless;
	l->fd = new_socket(e);
	if (l->fd < 0) {
		r = l->fd;
		goto nameless;
	}
	r = bind_path(l->fd, &l->at, e);
	if (r)
		goto nameless;
	if (listen(l->fd, BACKLOG)) {
		r = error_set(e, errno, "cannot listen on %s: %s", l->at.sun_path, strerror(errno));
		unlink(l->at.sun_path);
		goto nameless;
	}
	return 0;
nameless:
	/* The file, if there is one, is not ours. */
	l->at.sun_path[0] = '\0';
	return r;
}

static int adopt(struct listener *l, int fd, struct error *e)
{
	socklen_t len = sizeof(l->at);
	int listening = 0;
	socklen_t int_len = sizeof(listening);

	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) || !listening)
		return error_set(e, EINVAL, "descriptor %d is not a listening socket", fd);
	memset(&l->at, 0, sizeof(l->at));
	if (getsockname(fd, (struct sockaddr *)&l->at, &len) || l->at.sun_family != AF_UNIX)
		return error_set(e, EINVAL, "descriptor %d is not a Unix socket", fd);
	l->fd = fd;
	return fd_set_nonblocking(fd);
}

/* ---- accepting ---- */

static void on_pause_over(void *arg)
{
	struct listener *l = arg;

	loop_fd_want(l->watch, LOOP_READ);
}

static void on_connection(void *arg, int fd, unsigned events)
{
	struct listener *l = arg;

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client >= 0) {
			l->accepted(l->accepted_arg, client);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN)
			return;
		log_warn("control", "cannot accept a connection on %s: %s", l->at.sun_path, strerror(errno));
		loop_fd_want(l->watch, 0);
		loop_timer_set(l->pause, clock_boot_ns() + ACCEPT_PAUSE);
		return;
	}
}

int listener_open(struct listener **out, struct loop *loop, const char *folder, const char *ifname, int fd,
		  void (*accepted)(void *arg, int fd), void *arg, struct error *e)
{
	struct listener *l = xcalloc(1, sizeof(*l));
	struct stat st;
	int r;

	l->loop = loop;
	l->fd = l->inotify_fd = -1;
	l->accepted = accepted;
	l->accepted_arg = arg;
	r = fd >= 0 ? adopt(l, fd, e) : make(l, folder, ifname, e);
	if (r) {
		listener_close(l);
		return r;
	}
	if (*l->at.sun_path && !lstat(l->at.sun_path, &st)) {
		l->device = st.st_dev;
		l->inode = st.st_ino;
	} else {
		l->at.sun_path[0] = '\0';
	}
	l->watch = loop_fd_add(loop, l->fd, LOOP_READ, on_connection, l);
	l->pause = loop_timer_new(loop, on_pause_over, l);
	*out = l;
	return 0;
}

/* ---- the file ---- */

static bool file_is_ours(const struct listener *l)
{
	struct stat st;

	return !lstat(l->at.sun_path, &st) && st.st_dev == l->device && st.st_ino == l->inode;
}

/* Which event came does not matter: deleting a file whose socket is open shows as a changed link count only.
 */
static void on_file_event(void *arg, int fd, unsigned events)
{
	char buffer[4096];
	struct listener *l = arg;
	void (*gone)(void *) = l->gone;

	(void)events;
	while (read(fd, buffer, sizeof(buffer)) > 0)
		;
	if (file_is_ours(l))
		return;
	loop_fd_remove(l->inotify_watch);
	l->inotify_watch = NULL;
	gone(l->gone_arg);
}

int listener_watch_file(struct listener *l, void (*gone)(void *arg), void *arg, struct error *e)
{
	if (!*l->at.sun_path)
		return 0;
	l->gone = gone;
	l->gone_arg = arg;
	l->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (l->inotify_fd < 0)
		return error_set(e, errno, "cannot watch %s: %s", l->at.sun_path, strerror(errno));
	if (inotify_add_watch(l->inotify_fd, l->at.sun_path, IN_ATTRIB | IN_DELETE_SELF | IN_MOVE_SELF) < 0)
		return error_set(e, errno, "cannot watch %s: %s", l->at.sun_path, strerror(errno));
	l->inotify_watch = loop_fd_add(l->loop, l->inotify_fd, LOOP_READ, on_file_event, l);
	return 0;
}

void listener_close(struct listener *l)
{
	if (!l)
		return;
	loop_fd_remove(l->inotify_watch);
	loop_fd_remove(l->watch);
	if (l->pause)
		loop_timer_free(l->pause);
	if (l->inotify_fd >= 0)
		close(l->inotify_fd);
	if (*l->at.sun_path && file_is_ours(l))
		unlink(l->at.sun_path);
	if (l->fd >= 0)
		close(l->fd);
	free(l);
}

/* ---- who it is ---- */

bool socket_peer_of(int fd, struct socket_peer *out)
{
	struct ucred cred;
	socklen_t len = sizeof(cred);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len))
		return false;
	*out = (struct socket_peer){.uid = cred.uid, .gid = cred.gid, .pid = cred.pid};
	return true;
}

static bool in_group(int fd, const struct socket_peer *who, gid_t group)
{
	gid_t *groups;
	socklen_t len = GROUPS_MAX * sizeof(*groups);
	bool found = who->gid == group;

	if (found)
		return true;
	groups = xmalloc(len);
	if (!getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len))
		for (size_t i = 0; i < len / sizeof(*groups) && !found; i++)
			found = groups[i] == group;
	free(groups);
	return found;
}

bool listener_permits(const struct listener *l, int fd, const struct socket_peer *who)
{
	struct stat st;

	if (who->uid == 0 || who->uid == geteuid())
		return true;
	if (!*l->at.sun_path || lstat(l->at.sun_path, &st))
		return false;
	if (who->uid == st.st_uid && (st.st_mode & S_IWUSR))
		return true;
	if ((st.st_mode & S_IWGRP) && in_group(fd, who, st.st_gid))
		return true;
	return st.st_mode & S_IWOTH;
}
