/* Files of captures: what lay there before is replaced, and neither written to nor followed. */
#include "test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cmd/capture.h"

#define LINES "LOCAL_STATIC_PRIVATE_KEY = yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"

static char folder[] = "/tmp/weir-capture-XXXXXX";

static char *in_folder(const char *name)
{
	static char paths[4][64];
	static unsigned n;
	char *path = paths[n++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void write_text(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* A capture with keys to this path. */
static void capture_to(const char *path)
{
	const struct capture_plan plan = {
		.path = path,
		.head = {.ifname = "wg0", .hostname = "here", .filter = "", .version = "1", .points = 1}};
	struct error e = {0};
	struct sink *s = sink_open(&plan, &e);

	assert_non_null(s);
	assert_int_equal(sink_keys(s, LINES, strlen(LINES), &e), 0);
	assert_int_equal(sink_close(s, &e), 0);
}

static bool holds_keys(int fd)
{
	char bytes[4096];
	ssize_t n = pread(fd, bytes, sizeof(bytes), 0);

	assert_true(n >= 0);
	return memmem(bytes, (size_t)n, LINES, strlen(LINES)) != NULL;
}

static void expect_private(const char *path)
{
	int fd = open(path, O_RDONLY | O_NOFOLLOW);
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(holds_keys(fd));
	close(fd);
}

/* Who made the file and has it open gets no keys. */
static void test_old_file(void **state)
{
	char *path = in_folder("old.pcapng");
	int spy;

	(void)state;
	write_text(path, "old", 0666);
	spy = open(path, O_RDONLY);
	assert_true(spy >= 0);
	capture_to(path);
	assert_false(holds_keys(spy));
	close(spy);
	expect_private(path);
}

static void test_link(void **state)
{
	char *victim = in_folder("victim"), *path = in_folder("link.pcapng"), text[16] = "";
	struct stat st;
	FILE *f;

	(void)state;
	write_text(victim, "precious", 0644);
	assert_int_equal(symlink("victim", path), 0);
	capture_to(path);
	f = fopen(victim, "r");
	assert_non_null(fgets(text, sizeof(text), f));
	fclose(f);
	assert_string_equal(text, "precious");
	assert_int_equal(stat(victim, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	expect_private(path);
}

/* Wireshark reads such pipes. */
static void test_fifo(void **state)
{
	char *path = in_folder("fifo"), bytes[4096];
	ssize_t n;
	int fd;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	fd = open(path, O_RDONLY | O_NONBLOCK);
	assert_true(fd >= 0);
	capture_to(path);
	n = read(fd, bytes, sizeof(bytes));
	assert_true(n > 0 && memmem(bytes, (size_t)n, LINES, strlen(LINES)));
	close(fd);
}

static void test_nowhere(void **state)
{
	const struct capture_plan plan = {.path = in_folder("no/such/folder.pcapng")};
	struct error e = {0};

	(void)state;
	assert_null(sink_open(&plan, &e));
	assert_non_null(strstr(e.text, "no/such/folder.pcapng"));
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

/* Nothing but what the tests name is left there. */
static int tear_down(void **state)
{
	static const char *const names[] = {"old.pcapng", "victim", "link.pcapng", "fifo"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(in_folder(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_old_file),
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_nowhere),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
