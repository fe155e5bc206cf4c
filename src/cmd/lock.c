#include "cmd/lock.h"

#include <errno.h>
#include <fcntl.h>
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

#define UNDO_TIME  (10 * NS_PER_SEC)
#define DEATH_TIME (300 * NS_PER_MS) /* a kill -9 takes effect a moment later */
#define PAUSE_US   20000

static char *lock_path(const char *run_dir, const char *ifname)
{
	return xasprintf("%s/%s.lock", run_dir ? run_dir : PATH_RUN, ifname);
}

/*
 * Two locks on one file: flock(2) is shared with the steward, which inherits the descriptor; a record lock
 * belongs to the engine's process alone and ends with it, even while it is a zombie. Pid of the holder of the
 * second, 0: none.
 */
static pid_t living_engine(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid;
}

static int wait_for_undoing(int fd, const char *ifname, struct error *e)
{
	uint64_t start = clock_boot_ns();
	bool told = false;

	while (flock(fd, LOCK_EX | LOCK_NB)) {
		uint64_t waited = clock_boot_ns() - start;
		pid_t pid = living_engine(fd);

		if (errno != EWOULDBLOCK && errno != EINTR)
			return error_set(e, errno, "cannot lock %s: %s", ifname, strerror(errno));
		if (pid && waited > DEATH_TIME)
			return error_set(
				e, EBUSY,
				"%s is already run by the engine with pid %ld: `weir attach %s` shows it, "
				"`weir down %s` ends it",
				ifname, (long)pid, ifname, ifname);
		if (waited > UNDO_TIME)
			return error_set(
				e, EBUSY,
				"%s is still held after its engine died: its hooks may hang (see the process "
				"weir-steward)",
				ifname);
		if (!pid && !told) {
			fprintf(stderr, "weir: waiting until what a killed engine left on %s is undone\n",
				ifname);
			told = true;
		}
		usleep(PAUSE_US);
	}
	return 0;
}

int lock_take(const char *run_dir, const char *ifname, struct error *e)
{
	char *path = lock_path(run_dir, ifname);
	struct flock own = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
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
	if (fcntl(fd, F_SETLK, &own) || ftruncate(fd, 0) || pwrite(fd, text, (size_t)n, 0) != n) {
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
