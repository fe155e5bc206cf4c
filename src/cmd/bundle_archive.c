#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/bundle.h"

#define FILES_MAX 256
#define BYTES_MAX (512u << 20)

/* ---- writing ---- */

static int add_file(struct archive *a, const char *folder, const struct bundle_file *f)
{
	struct archive_entry *entry = archive_entry_new();
	char *name = xasprintf("%s/%s", folder, f->name);
	int r;

	archive_entry_set_pathname(entry, name);
	archive_entry_set_size(entry, (int64_t)f->bytes.len);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0600);
	archive_entry_set_mtime(entry, time(NULL), 0);
	r = archive_write_header(a, entry);
	if (r == ARCHIVE_OK && f->bytes.len &&
	    archive_write_data(a, f->bytes.text, f->bytes.len) != (la_ssize_t)f->bytes.len)
		r = ARCHIVE_FATAL;
	archive_entry_free(entry);
	free(name);
	return r;
}

static int write_all(const struct bundle *b, int fd, const char *folder, struct error *e)
{
	struct archive *a = archive_write_new();
	int r = archive_write_add_filter_gzip(a);

	if (r == ARCHIVE_OK)
		r = archive_write_set_format_pax_restricted(a);
	if (r == ARCHIVE_OK)
		r = archive_write_open_fd(a, fd);
	for (size_t i = 0; i < b->count && r == ARCHIVE_OK; i++)
		r = add_file(a, folder, &b->files[i]);
	if (r == ARCHIVE_OK)
		r = archive_write_close(a);
	if (r != ARCHIVE_OK)
		error_set(e, EIO, "cannot write the archive: %s", archive_error_string(a));
	archive_write_free(a);
	return r == ARCHIVE_OK ? 0 : -EIO;
}

int bundle_write(const struct bundle *b, const char *path, const char *folder, struct error *e)
{
	char *temporary = xasprintf("%s.XXXXXX", path);
	int fd = mkostemp(temporary, O_CLOEXEC), r;

	if (fd < 0) {
		r = error_set(e, errno, "cannot make a file beside %s: %s", path, strerror(errno));
		free(temporary);
		return r;
	}
	r = write_all(b, fd, folder, e);
	if (!r && (fsync(fd) || rename(temporary, path)))
		r = error_set(e, errno, "cannot write %s: %s", path, strerror(errno));
	if (r)
		unlink(temporary);
	close(fd);
	free(temporary);
	return r;
}

/* ---- reading ---- */

static int damaged(struct archive *a, struct error *e)
{
	const char *why = archive_error_string(a);

	return error_exit(
		e, EXIT_USAGE, EINVAL,
		"this is no bundle, or it is damaged: %s: give the whole file that weir bundle wrote",
		why ? why : "not a gzipped tar archive");
}

/* Which of the names an entry has, -1: none. Its folder does not matter: nothing is written. */
static int index_of(struct archive_entry *entry, const char *const *names)
{
	const char *path = archive_entry_pathname(entry);
	const char *slash = path ? strrchr(path, '/') : NULL;

	if (!path || archive_entry_filetype(entry) != AE_IFREG)
		return -1;
	for (int i = 0; names[i]; i++)
		if (!strcmp(slash ? slash + 1 : path, names[i]))
			return i;
	return -1;
}

/* Into `to`; NULL: only counted. What nobody wants is unpacked as well, and may be no less. */
static int read_data(struct archive *a, struct strbuf *to, size_t *total, struct error *e)
{
	static char piece[65536];
	la_ssize_t n;

	while ((n = archive_read_data(a, piece, sizeof(piece))) > 0) {
		*total += (size_t)n;
		if (*total > BYTES_MAX)
			return error_exit(e, EXIT_USAGE, EFBIG, "this bundle unpacks to more than %u MiB",
					  BYTES_MAX >> 20);
		if (to)
			strbuf_append(to, piece, (size_t)n);
	}
	return n < 0 ? damaged(a, e) : 0;
}

static int read_all(struct archive *a, const char *const *names, struct strbuf *files, struct error *e)
{
	struct archive_entry *entry;
	size_t total = 0;
	unsigned count = 0;
	int r;

	while ((r = archive_read_next_header(a, &entry)) == ARCHIVE_OK) {
		int i = index_of(entry, names);

		if (++count > FILES_MAX)
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "this is no bundle: it has more than %d files", FILES_MAX);
		if (i >= 0 && files[i].len)
			return error_exit(e, EXIT_USAGE, EINVAL,
					  "this is no bundle: it has two files named %s", names[i]);
		r = read_data(a, i < 0 ? NULL : &files[i], &total, e);
		if (r)
			return r;
	}
	return r == ARCHIVE_EOF ? 0 : damaged(a, e);
}

/*
 * Gzip once, or not at all: left to itself, libarchive unpacks gzip in gzip in gzip, where a small file can
 * hold any amount of work that leaves no bytes to count.
 */
static struct archive *reader_new(bool packed)
{
	struct archive *a = archive_read_new();

	if (packed)
		archive_read_append_filter(a, ARCHIVE_FILTER_GZIP);
	archive_read_support_format_tar(a);
	return a;
}

static bool is_gzip(const unsigned char *bytes, size_t len)
{
	return len >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b; /* RFC 1952 section 2.3.1 */
}

/* A pipe shows nothing in advance: what weir bundle wrote is gzipped. */
static bool is_packed(int fd)
{
	unsigned char start[2];
	ssize_t n = pread(fd, start, sizeof(start), 0);

	return n < 0 || is_gzip(start, (size_t)n);
}

static int check_size(int fd, struct error *e)
{
	struct stat st;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size <= (off_t)BYTES_MAX)
		return 0;
	return error_exit(e, EXIT_USAGE, EFBIG, "this is no bundle: it is larger than %u MiB",
			  BYTES_MAX >> 20);
}

int bundle_open(const char *path, struct error *e)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), error = errno;
	struct stat st;

	if (fd < 0)
		return error_exit(e, EXIT_USAGE, error, "cannot open %s: %s: %s", path, strerror(error),
				  error == EACCES ? "run this as its owner, or make it readable (chmod)"
						  : "give the file that weir bundle wrote");
	if (fstat(fd, &st) || !S_ISDIR(st.st_mode))
		return fd;
	close(fd);
	return error_exit(e, EXIT_USAGE, EISDIR, "%s is a folder: give the file that weir bundle wrote",
			  path);
}

int bundle_read(int fd, const char *const *names, struct strbuf *files, struct error *e)
{
	struct archive *a = reader_new(is_packed(fd));
	int r = check_size(fd, e);

	if (!r)
		r = archive_read_open_fd(a, fd, 65536) == ARCHIVE_OK ? read_all(a, names, files, e)
								     : damaged(a, e);
	archive_read_free(a);
	close(fd);
	return r;
}

int bundle_read_bytes(const void *bytes, size_t len, const char *const *names, struct strbuf *files,
		      struct error *e)
{
	struct archive *a = reader_new(is_gzip(bytes, len));
	int r = archive_read_open_memory(a, bytes, len) == ARCHIVE_OK ? read_all(a, names, files, e)
								      : damaged(a, e);

	archive_read_free(a);
	return r;
}
