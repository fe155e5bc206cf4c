#include "tests/unit/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

static char folder[] = "test_file.XXXXXX";

static char *in_folder(const char *name)
{
	return xasprintf("%s/%s", folder, name);
}

/* Names in the folder but . and .. */
static int count_entries(void)
{
	DIR *d = opendir(folder);
	int n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void assert_content(const char *path, const void *want, size_t want_len)
{
	char *text;
	size_t len;

	assert_int_equal(file_read(path, &text, &len, 1 << 24, NULL), 0);
	assert_int_equal(len, want_len);
	assert_memory_equal(text, want, len);
	assert_int_equal(text[len], '\0');
	free(text);
}

static void test_replace(void **state)
{
	char *path = in_folder("a"), *big = xcalloc(1, 3 << 20);
	struct stat st;

	(void)state;
	assert_int_equal(file_replace(path, "first", 5, 0600, NULL), 0);
	assert_content(path, "first", 5);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	memset(big, 'b', 3 << 20);
	assert_int_equal(file_replace(path, big, 3 << 20, 0644, NULL), 0);
	assert_content(path, big, 3 << 20);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(file_replace(path, "", 0, 0600, NULL), 0);
	assert_content(path, "", 0);
	assert_int_equal(count_entries(), 1); /* nothing left beside it */
	unlink(path);
	free(path);
	free(big);
}

static void test_replace_fails(void **state)
{
	char *path = in_folder("in/the/way"), *dir = in_folder("dir");
	struct error e;

	(void)state;
	assert_int_equal(file_replace(path, "x", 1, 0600, &e), -ENOENT);
	assert_int_equal(e.code, ENOENT);
	assert_int_equal(e.exit, EXIT_FAIL);
	assert_non_null(strstr(e.text, path));
	/* A folder cannot be replaced: it stays, and the temporary file goes. */
	assert_int_equal(mkdir(dir, 0700), 0);
	assert_true(file_replace(dir, "x", 1, 0600, &e) < 0);
	assert_non_null(strstr(e.text, dir));
	assert_int_equal(count_entries(), 1);
	rmdir(dir);
	free(path);
	free(dir);
}

static void test_read(void **state)
{
	char *path = in_folder("r"), *text = NULL, bytes[9000];
	struct error e;
	size_t len = 77;

	(void)state;
	assert_int_equal(file_read(path, &text, &len, 100, &e), -ENOENT);
	assert_non_null(strstr(e.text, path));
	assert_int_equal(file_read(folder, &text, &len, 100, &e), -EISDIR);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (char)(i % 251);
	assert_int_equal(file_replace(path, bytes, sizeof(bytes), 0600, NULL), 0);
	assert_int_equal(file_read(path, &text, &len, sizeof(bytes) - 1, &e), -EFBIG);
	assert_int_equal(file_read(path, &text, &len, 100, &e), -EFBIG);
	assert_non_null(strstr(e.text, "100"));
	assert_null(text);
	assert_int_equal(len, 77);
	assert_int_equal(file_read(path, &text, &len, sizeof(bytes), &e), 0);
	assert_int_equal(len, sizeof(bytes));
	assert_memory_equal(text, bytes, len);
	free(text);
	unlink(path);
	free(path);
}

static void test_folders(void **state)
{
	char *a = in_folder("one/two"), *one = in_folder("one"), *deep = in_folder("x/y/z"),
	     *file = in_folder("f");
	char *below_file = in_folder("f/g");
	struct error e;
	struct stat st;

	(void)state;
	assert_int_equal(file_make_folder(a, 0700, &e), 0);
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(file_make_folder(a, 0755, &e), 0); /* there already: fine, and as it was */
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(file_make_folder(deep, 0700, &e), -ENOENT);
	assert_int_equal(file_replace(file, "x", 1, 0600, &e), 0);
	assert_int_equal(file_make_folder(file, 0700, &e), -ENOTDIR);
	assert_non_null(strstr(e.text, file));
	assert_int_equal(file_make_folder(below_file, 0700, &e), -ENOTDIR);
	rmdir(a);
	rmdir(one);
	unlink(file);
	assert_int_equal(count_entries(), 0);
	free(a);
	free(one);
	free(deep);
	free(file);
	free(below_file);
}

static void test_nonblocking(void **state)
{
	int ends[2];
	char c;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(fd_set_nonblocking(ends[0]), 0);
	assert_int_equal(read(ends[0], &c, 1), -1);
	assert_int_equal(errno, EAGAIN);
	close(ends[0]);
	close(ends[1]);
	assert_int_equal(fd_set_nonblocking(ends[0]), -EBADF);
}

static void test_error(void **state)
{
	struct error e;

	(void)state;
	assert_int_equal(error_set(&e, EACCES, "no %d", 1), -EACCES);
	assert_int_equal(e.exit, EXIT_NOT_PERMITTED);
	assert_int_equal(error_set(&e, EPERM, "again: %s", e.text),
			 -EPERM); /* a text may hold the one before */
	assert_string_equal(e.text, "again: no 1");
	assert_int_equal(e.exit, EXIT_NOT_PERMITTED);
	assert_int_equal(error_set(&e, EIO, "x"), -EIO);
	assert_int_equal(e.exit, EXIT_FAIL);
	assert_int_equal(e.code, EIO);
	assert_int_equal(error_set(&e, 0, "x"), -EINVAL);
	assert_int_equal(e.code, 0);
	assert_int_equal(error_exit(&e, EXIT_CONFIG, 0, "%0600d", 5), -EINVAL);
	assert_int_equal(e.exit, EXIT_CONFIG);
	assert_int_equal(strlen(e.text), sizeof(e.text) - 1);
	assert_int_equal(error_set(NULL, ENOENT, "nobody listens"), -ENOENT);
}

static void test_strbuf(void **state)
{
	struct strbuf s = {0};

	(void)state;
	strbuf_consume(&s, 5);
	assert_null(s.text);
	strbuf_add(&s, "%s", "");
	assert_string_equal(s.text, "");
	for (int i = 0; i < 1000; i++)
		strbuf_add(&s, "%d,", i);
	assert_int_equal(s.len, 10 * 2 + 90 * 3 + 900 * 4);
	assert_int_equal(strlen(s.text), s.len);
	strbuf_consume(&s, 4);
	assert_int_equal(strncmp(s.text, "2,3,", 4), 0);
	strbuf_append(&s, "\0z", 2);
	assert_memory_equal(s.text + s.len - 2, "\0z", 3);
	strbuf_consume(&s, SIZE_MAX);
	assert_int_equal(s.len, 0);
	assert_string_equal(s.text, "");
	strbuf_append(&s, NULL, 0);
	strbuf_add(&s, "%0*d", 63, 1); /* exactly what fits, and one more */
	strbuf_add(&s, "%0*d", 5000, 1);
	assert_int_equal(strlen(s.text), 5063);
	strbuf_clear(&s);
	assert_null(s.text);
	assert_int_equal(s.len, 0);
}

static int start(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_replace),	    cmocka_unit_test(test_replace_fails),
		cmocka_unit_test(test_read),	    cmocka_unit_test(test_folders),
		cmocka_unit_test(test_nonblocking), cmocka_unit_test(test_error),
		cmocka_unit_test(test_strbuf),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
