#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"

/* Reads until the end; one byte more than max tells "too long" from "just fits". */
static int read_all(int fd, char **text, size_t *len, size_t max)
{
	size_t room = 4096 < max ? 4096 : max;
	char *buf = xmalloc(room + 1);
	size_t used = 0;
	ssize_t n;

	for (;;) {
		if (used > room) {
			free(buf);
			return -EFBIG;
		}
		n = read(fd, buf + used, room + 1 - used);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		used += (size_t)n;
		if (used > room && room < max) {
			room = max / 2 < room ? max : 2 * room;
			buf = xrealloc(buf, room + 1);
		}
	}
	if (n < 0) {
		int err = errno;

		free(buf);
		return -err;
	}
	buf[used] = '\0';
	*text = buf;
	*len = used;
	return 0;
}

int file_read(const char *path, char **text, size_t *len, size_t max, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return error_set(e, errno, "cannot open %s: %s", path, strerror(errno));
	ret = read_all(fd, text, len, max);
	close(fd);
	if (ret == -EFBIG)
		return error_set(e, EFBIG, "%s is too long: at most %zu bytes are read", path, max);
	if (ret < 0)
		return error_set(e, -ret, "cannot read %s: %s", path, strerror(-ret));
	return 0;
}

static int write_all(int fd, const char *bytes, size_t len)
{
	while (len) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		bytes += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Makes a rename durable: the entry lives in the folder (fsync(2), NOTES). */
static int sync_folder(const char *path)
{
	char *folder = xstrdup(path), *slash = strrchr(folder, '/');
	int fd, ret = 0;

	if (slash)
		slash[slash == folder] = '\0';
	fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(folder);
	if (fd < 0)
		return -errno;
	/* Some file systems cannot do that for folders, and say EINVAL. */
	if (fsync(fd) < 0 && errno != EINVAL)
		ret = -errno;
	close(fd);
	return ret;
}

int file_replace(const char *path, const void *bytes, size_t len, mode_t mode, struct error *e)
{
	char *beside = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(beside, O_CLOEXEC), ret;

	if (fd < 0) {
		ret = error_set(e, errno, "cannot make a file beside %s: %s", path, strerror(errno));
		free(beside);
		return ret;
	}
	ret = write_all(fd, bytes, len);
	if (!ret && (fchmod(fd, mode) < 0 || fsync(fd) < 0))
		ret = -errno;
	if (close(fd) < 0 && !ret)
		ret = -errno;
	if (!ret && rename(beside, path) < 0)
		ret = -errno;
	if (ret)
		unlink(beside);
	else
		ret = sync_folder(path);
	free(beside);
	return ret ? error_set(e, -ret, "cannot write %s: %s", path, strerror(-ret)) : 0;
}

int file_make_folder(const char *path, mode_t mode, struct error *e)
{
	struct stat st;
	char *slash, *above;
	int ret = 0;

	if (mkdir(path, mode) == 0)
		return 0;
	if (errno == ENOENT) {
		above = xstrdup(path);
		slash = strrchr(above, '/');
		if (slash && slash != above) {
			*slash = '\0';
			if (mkdir(above, 0755) == 0 || errno == EEXIST)
				ret = mkdir(path, mode);
			else
				ret = -1;
		} else {
			ret = -1;
		}
		free(above);
		if (ret == 0)
			return 0;
	}
	if (errno == EEXIST && stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return 0;
		return error_set(e, ENOTDIR, "%s is in the way: it is not a folder", path);
	}
	return error_set(e, errno, "cannot make the folder %s: %s", path, strerror(errno));
}

int fd_set_nonblocking(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}
