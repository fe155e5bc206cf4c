/* Processes: the lock, the child that detaches, and what is given up. */
#include "config.h"

#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/detach.h"
#include "cmd/lock.h"
#include "cmd/sandbox.h"
#include "cmd/text.h"

static char folder[] = "/tmp/weir-test-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	char path[64];

	(void)state;
	snprintf(path, sizeof(path), "%s/wg0.lock", folder);
	unlink(path);
	return rmdir(folder);
}

/* Exit code of a child, or 1000 + signal. */
static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs until the gate is closed; what it took goes with it. */
static pid_t start_engine(const int gate[2])
{
	pid_t pid = fork();

	if (!pid) {
		struct error e;
		char byte;
		int ready = lock_take(folder, "wg0", &e);

		close(gate[1]);
		_exit(ready < 0 || read(gate[0], &byte, 1));
	}
	return pid;
}

static void test_lock(void **state)
{
	struct error e = {0};
	char words[32];
	int gate[2], fd;
	pid_t engine;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	assert_int_equal(lock_wait(folder, "wg0", 0, &e), 0);
	engine = start_engine(gate);
	while (!lock_wait(folder, "wg0", 0, &e))
		usleep(1000);
	assert_int_equal(lock_take(folder, "wg0", &e), -EBUSY);
	snprintf(words, sizeof(words), "pid %ld:", (long)engine);
	assert_non_null(strstr(e.text, words));
	assert_int_equal(lock_wait(folder, "wg0", 0, &e), -ETIMEDOUT);
	/* dead, but not waited for by its parent: it holds nothing */
	kill(engine, SIGKILL);
	fd = lock_take(folder, "wg0", &e);
	assert_true(fd >= 0);
	assert_int_equal(wait_for(engine), 1000 + SIGKILL);
	close(fd);
	close(gate[0]);
	close(gate[1]);
	assert_int_equal(lock_wait(folder, "wg0", 0, &e), 0);
	assert_int_equal(lock_wait(folder, "never", 0, &e), 0);
}

/* An engine that died, and its steward that holds the lock a moment longer. */
static void test_lock_is_waited_for(void **state)
{
	struct error e = {0};
	int gate[2], fd;
	pid_t engine;

	(void)state;
	assert_int_equal(pipe(gate), 0);
	engine = fork();
	if (!engine) {
		fd = lock_take(folder, "wg0", &e);
		if (!fork()) {
			char byte;

			close(gate[1]);
			if (read(gate[0], &byte, 1) == 0) /* until the test is about to wait */
				usleep(100000);
			_exit(0);
		}
		_exit(fd >= 0 ? 0 : 1);
	}
	close(gate[0]);
	assert_int_equal(wait_for(engine), 0);
	assert_int_equal(lock_wait(folder, "wg0", 0, &e), -ETIMEDOUT);
	close(gate[1]);
	fd = lock_take(folder, "wg0", &e);
	assert_true(fd >= 0);
	close(fd);
}

static int detached(int code, bool ready)
{
	struct detach d;
	struct error e;
	pid_t pid;
	int r;

	assert_int_equal(detach_open(&d, &e), 0);
	pid = fork();
	if (!pid) {
		detach_child(&d);
		if (getsid(0) != getpid())
			_exit(99);
		if (ready)
			detach_ready(&d);
		_exit(code);
	}
	r = detach_wait(&d, pid);
	if (r == -1)
		assert_int_equal(wait_for(pid), code);
	return r;
}

static void test_detach(void **state)
{
	(void)state;
	assert_int_equal(detached(0, true), -1);
	assert_int_equal(detached(78, false), 78);
	assert_int_equal(detached(0, false), 0);
}

static int has_capability(unsigned capability)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &header, data))
		return -1;
	return !!(data[capability / 32].permitted & 1u << capability % 32);
}

static int to_engine(struct error *e)
{
	const char *const folders[] = {folder, "/nowhere", NULL};

	return sandbox_engine(folders, e);
}

static int in_sandbox(int (*enter)(struct error *e), int (*fn)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		struct error e = {0};

		if (enter(&e)) {
			fprintf(stderr, "%s\n", e.text);
			_exit(100);
		}
		_exit(fn());
	}
	return wait_for(pid);
}

static int run_program(void)
{
	execl("/bin/true", "true", (char *)NULL);
	return 1;
}

static int leave_namespace(void)
{
	return unshare(0) == 0 || errno != EPERM;
}

static int look(void)
{
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
		return 1;
	if (!geteuid() && has_capability(CAP_NET_ADMIN) != 1)
		return 2;
	if (has_capability(CAP_SYS_ADMIN) || has_capability(CAP_DAC_OVERRIDE) || has_capability(CAP_SETUID))
		return 3;
	return socket(AF_INET, SOCK_DGRAM, 0) < 0 ? 4 : 0;
}

/* Files can be made, replaced and removed in the folder alone; other files can be read, and no more. */
static int write_files(void)
{
	char here[64], there[64];
	int fd;

	snprintf(here, sizeof(here), "%s/a", folder);
	snprintf(there, sizeof(there), "%s/b", folder);
	fd = open(here, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0 || write(fd, "x", 1) != 1 || rename(here, there) || unlink(there))
		return 1;
	if (open("/dev/null", O_WRONLY) < 0)
		return 2;
	if (open("/etc/passwd", O_RDONLY) < 0)
		return 3;
	snprintf(here, sizeof(here), "%s-outside", folder);
	return open(here, O_CREAT | O_WRONLY, 0600) >= 0 || errno != EACCES ? 4 : 0;
}

static int look_at_view(void)
{
	for (unsigned c = 0; c <= CAP_NET_RAW; c++)
		if (has_capability(c))
			return 1;
	return geteuid() ? 0 : 2;
}

static void test_engine_sandbox(void **state)
{
	(void)state;
#ifdef WEIR_SANITIZED
	skip();
#endif
	assert_int_equal(in_sandbox(to_engine, look), 0);
	assert_int_equal(in_sandbox(to_engine, run_program), 1000 + SIGSYS);
	assert_int_equal(in_sandbox(to_engine, leave_namespace), 0);
	if (syscall(SYS_landlock_create_ruleset, NULL, 0, 1) > 0)
		assert_int_equal(in_sandbox(to_engine, write_files), 0);
}

static void test_view_sandbox(void **state)
{
	(void)state;
	assert_int_equal(in_sandbox(sandbox_view, look_at_view), 0);
	setenv("SUDO_UID", "0", 1); /* no way to stay root */
	setenv("SUDO_GID", "0", 1);
	assert_int_equal(in_sandbox(sandbox_view, look_at_view), 0);
	unsetenv("SUDO_UID");
	unsetenv("SUDO_GID");
}

/* What others said ends up in errors: it must not reach the terminal as it is. */
static void test_errors_are_tame(void **state)
{
	char said[200] = "";
	int pipes[2], before = dup(STDERR_FILENO);

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	dup2(pipes[1], STDERR_FILENO);
	text_complain("two lines, \033[31m red\n\302\233 and so on \177");
	dup2(before, STDERR_FILENO);
	close(before);
	close(pipes[1]);
	assert_true(read(pipes[0], said, sizeof(said) - 1) > 0);
	close(pipes[0]);
	assert_string_equal(said, "weir: two lines, ?[31m red\n?? and so on ?\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lock),	     cmocka_unit_test(test_lock_is_waited_for),
		cmocka_unit_test(test_detach),	     cmocka_unit_test(test_engine_sandbox),
		cmocka_unit_test(test_view_sandbox), cmocka_unit_test(test_errors_are_tame),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
