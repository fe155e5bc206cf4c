#include "cmd/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/xalloc.h"
#include "cmd/paths.h"

#define UNDO_TIME (10 * NS_PER_SEC)
#define PAUSE_US  20000

static char *lock_path(const char *run_dir, const char *ifname)
{
	return xasprintf("%s/%s.lock", run_dir ? run_dir : PATH_RUN, ifname);
}

/* The pid in the file, 0 when there is none. */
static pid_t holder(int fd)
{
	char text[24];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return (pid_t)strtol(text, NULL, 10);
}

static bool alive(pid_t pid)
{
	return pid > 0 && (!kill(pid, 0) || errno == EPERM);
}

static int wait_for_undoing(int fd, const char *ifname, struct error *e)
{
	uint64_t end = clock_boot_ns() + UNDO_TIME;
	bool told = false;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		pid_t pid = holder(fd);

		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(e, errno, "cannot lock %s: %s", ifname, strerror(errno));
		if (alive(pid))
			return error_set(
				e, EBUSY,
				"%s is already run by the engine with pid %ld: `weir attach %s` shows it, "
				"`weir down %s` ends it",
				ifname, (long)pid, ifname, ifname);
		if (clock_boot_ns() > end)
			return error_set(
				e, EBUSY,
				"%s is still held after its engine died: its hooks may hang (see the process "
				"weir-steward)",
				ifname);
		if (!told)
			fprintf(stderr, "weir: waiting until what a killed engine left on %s is undone\n",
				ifname);
		told = true;
		usleep(PAUSE_US);
	}
	return 0;
}

int lock_take(const char *run_dir, const char *ifname, struct error *e)
{
	char *path = lock_path(run_dir, ifname);
	char text[24];
	int fd, n, r;

	r = file_make_folder(run_dir ? run_dir : PATH_RUN, 0755, e);
	if (r) {
		free(path);
		return r;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		r = error_set(e, errno, "cannot open %s: %s", path, strerror(errno));
		free(path);
		return r;
	}
	free(path);
	r = wait_for_undoing(fd, ifname, e);
	if (r) {
		close(fd);
		return r;
	}
	n = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
		r = error_set(e, errno, "cannot write the lock of %s: %s", ifname, strerror(errno));
		close(fd);
		return r;
	}
	return fd;
}

int lock_wait(const char *run_dir, const char *ifname, unsigned seconds, struct error *e)
{
	uint64_t end = clock_boot_ns() + seconds * NS_PER_SEC;
	char *path = lock_path(run_dir, ifname);
	int fd = open(path, O_RDONLY | O_CLOEXEC), r = 0;

	free(path);
	if (fd < 0)
		return 0;
	while (!r && flock(fd, LOCK_SH | LOCK_NB)) {
		if (clock_boot_ns() > end)
			r = error_set(e, ETIMEDOUT,
				      "%s is still being taken down after %u s: a hook may hang", ifname,
				      seconds);
		usleep(PAUSE_US);
	}
	close(fd);
	return r;
}
