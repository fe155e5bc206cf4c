/* The steward as the engine sees it, and what it does when the engine is no more. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "crypto/primitives.h"
#include "net/tun.h"
#include "system/run.h"
#include "system/steward.h"
#include "tests/unit/netspace.h"
#include "tests/unit/test.h"

#define IFNAME "wt1"
#define HEAD   "[Interface]\nPrivateKey = oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM=\n"
#define PEER   "[Peer]\nPublicKey = GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=\n"
#define FULL   HEAD "Address = 10.0.0.1/24\n" PEER "AllowedIPs = 0.0.0.0/0\n"

static struct tun tun;
static char folder[64], *journal, *path;

static void write_conf(const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, 0600);
}

static struct conf *read_conf(void)
{
	struct conf_messages m = {0};
	struct conf *c = conf_read(path, IFNAME, &m);

	if (!c)
		conf_messages_print(&m, path, stderr);
	assert_non_null(c);
	conf_messages_clear(&m);
	return c;
}

static struct steward *start(int lock)
{
	struct error e = {0};
	struct steward *s = steward_start(IFNAME, journal, lock, NULL, &e);

	assert_non_null(s);
	return s;
}

static int setup(void **state)
{
	struct error e = {0};

	(void)state;
	strcpy(folder, "/tmp/weir-steward-XXXXXX");
	if (!mkdtemp(folder) || tun_open(&tun, IFNAME, 1, true, &e))
		return -1;
	journal = xasprintf("%s/" IFNAME ".undo", folder);
	path = xasprintf("%s/" IFNAME ".conf", folder);
	return 0;
}

static int teardown(void **state)
{
	char *command = xasprintf("rm -r '%s'", folder);
	int r = system(command);

	(void)state;
	tun_close(&tun);
	free(command);
	free(journal);
	free(path);
	return r;
}

/* As the engine's control thread does, but for the loop between. */
static int wait_for_it(struct steward *s, int asked, uint32_t *mark, struct error *e)
{
	struct steward_reply reply = {0};
	int r = asked ? asked : -EAGAIN;

	while (r == -EAGAIN && !asked) {
		poll(&(struct pollfd){.fd = steward_fd(s), .events = POLLIN}, 1, -1);
		r = steward_take(s, &reply, e);
	}
	*mark = reply.fwmark;
	return r;
}

static int up(struct steward *s, const struct conf *c, uint32_t *mark, struct error *e)
{
	return wait_for_it(s, steward_ask_up(s, c, e), mark, e);
}

static int down(struct steward *s, struct error *e)
{
	uint32_t mark;

	return wait_for_it(s, steward_ask_down(s, e), &mark, e);
}

static void up_change_down(void **state)
{
	struct steward *s = start(-1);
	struct conf_messages m = {0};
	struct conf *c, *next, *stranger;
	struct error e = {0};
	uint32_t mark = 0;

	(void)state;
	write_conf(FULL);
	c = read_conf();
	assert_int_equal(up(s, c, &mark, &e), 0);
	assert_int_equal(mark, 51820);
	assert_true(netspace_says("ip address show dev " IFNAME, "10.0.0.1/24"));
	assert_true(netspace_says("ip rule", "51820"));

	write_conf(HEAD "Address = 10.0.5.1/24\nPersistentKeepalive = 1\n");
	assert_null(steward_read_config(s, path, &m));
	assert_int_equal(m.errors, 1);
	assert_int_equal(m.items[0].line, 4);
	assert_non_null(strstr(m.items[0].hint, "[Peer]"));
	conf_messages_clear(&m);

	write_conf(HEAD "Address = 10.0.5.1/24\n" PEER "Name = z\n");
	next = steward_read_config(s, path, &m);
	assert_non_null(next);
	assert_string_equal(next->peers[0].name, "z");
	assert_int_equal(steward_change(s, c, next, &mark, &e), 0);
	assert_int_equal(mark, 0);
	assert_true(netspace_says("ip address show dev " IFNAME, "10.0.5.1/24"));
	assert_false(netspace_says("ip rule", "51820"));

	/* Only what it read itself, and from the one path. */
	stranger = read_conf();
	assert_int_equal(steward_change(s, next, stranger, &mark, &e), -EINVAL);
	assert_null(steward_read_config(s, "/etc/passwd", &m));
	assert_non_null(strstr(m.items[0].text, path));
	assert_int_equal(up(s, c, &mark, &e), -EPERM);

	assert_int_equal(down(s, &e), 0);
	assert_false(netspace_says("ip address show dev " IFNAME, "10."));
	assert_int_equal(up(s, c, &mark, &e), -EPERM);
	steward_stop(s, true);
	conf_messages_clear(&m);
	conf_free(c);
	conf_free(next);
	conf_free(stranger);
}

static void failure_comes_back_in_words(void **state)
{
	struct steward *s = start(-1);
	struct error e = {0};
	struct conf *c;
	uint32_t mark;

	(void)state;
	write_conf(HEAD "PostUp = exit 7\n");
	c = read_conf();
	assert_true(up(s, c, &mark, &e) < 0);
	assert_string_equal(e.text, "PostUp failed (status 7): exit 7");
	assert_false(netspace_says("ip link show dev " IFNAME, ",UP"));
	steward_stop(s, true);
	conf_free(c);
}

static char heard[8192];

static void hear(void *arg, const struct log_record *r)
{
	(void)arg;
	if (strlen(heard) + strlen(r->text) + 2 < sizeof(heard))
		strcat(strcat(heard, r->text), "\n");
}

/* The engine goes on while a hook runs, and the hook may wait for it. */
static void asks_without_waiting(void **state)
{
	char *text = xasprintf(HEAD "PostUp = echo before; read x < %s/fifo; echo after $x\n", folder);
	char *fifo = xasprintf("%s/fifo", folder);
	struct steward *s = start(-1);
	struct steward_reply reply;
	struct error e = {0};
	struct conf *c;
	int f, r;

	(void)state;
	assert_int_equal(mkfifo(fifo, 0600), 0);
	write_conf(text);
	c = read_conf();
	heard[0] = '\0';
	log_set_sink(hear, NULL);
	assert_int_equal(steward_ask_up(s, c, &e), 0);
	assert_true(steward_is_busy(s));
	assert_int_equal(steward_ask_down(s, &e), -EBUSY);
	/* Its opening for reading is what lets ours return: the hook is at work. */
	f = open(fifo, O_WRONLY);
	assert_int_equal(steward_take(s, &reply, &e), -EAGAIN);
	assert_int_equal(write(f, "42\n", 3), 3);
	close(f);
	do {
		struct pollfd p = {.fd = steward_fd(s), .events = POLLIN};

		poll(&p, 1, -1);
		r = steward_take(s, &reply, &e);
	} while (r == -EAGAIN);
	assert_int_equal(r, 0);
	assert_false(steward_is_busy(s));
	assert_non_null(strstr(heard, "PostUp: before\n"));
	assert_non_null(strstr(heard, "PostUp: after 42\n"));
	log_set_sink(NULL, NULL);
	steward_stop(s, true);
	conf_free(c);
	free(fifo);
	free(text);
}

/* Until the other end of the lock is free, that is, until the steward has left. */
static void wait_for_lock(const char *lock_path)
{
	int fd = open(lock_path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	alarm(60);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	alarm(0);
	close(fd);
}

/* An engine that is killed: its steward undoes, runs the hooks, and holds the lock as long as that takes. */
static void engine_is_killed(void **state)
{
	char *text = xasprintf(HEAD "Address = 10.0.0.1/24\nPreDown = echo predown >> %s/log\n"
				    "PostDown = ip rule | grep -c 51820 >> %s/log\n" PEER
				    "AllowedIPs = 0.0.0.0/0\n",
			       folder, folder);
	char *lock_path = xasprintf("%s/lock", folder), *log = xasprintf("cat %s/log", folder);
	int ready[2], status;
	struct conf *c;
	char byte;
	pid_t pid;

	(void)state;
	write_conf(text);
	c = read_conf();
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		struct error e = {0};
		uint32_t mark;
		int lock = open(lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		struct steward *s;

		if (setpgid(0, 0) || lock < 0 || flock(lock, LOCK_EX))
			_exit(1);
		close(ready[0]);
		s = steward_start(IFNAME, journal, lock, NULL, &e);
		if (!s || up(s, c, &mark, &e))
			_exit(2);
		(void)!write(ready[1], "x", 1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_true(netspace_says("ip rule", "51820"));
	/* A signal to the whole group leaves the steward at its post. */
	kill(-pid, SIGTERM);
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	wait_for_lock(lock_path);
	assert_false(netspace_says("ip rule", "51820"));
	assert_int_not_equal(access(journal, F_OK), 0);
	free(text);
	text = netspace_ask(log);
	assert_string_equal(text, "predown\n0\n");
	close(ready[0]);
	free(text);
	free(log);
	free(lock_path);
	conf_free(c);
}

/* The engine's TUN and sockets must not live on in the steward. */
static void steward_keeps_no_fds(void **state)
{
	struct steward *s;
	int left[2];
	char byte;

	(void)state;
	assert_int_equal(pipe(left), 0);
	s = start(-1);
	close(left[1]);
	alarm(60);
	assert_int_equal(read(left[0], &byte, 1), 0); /* nobody else holds the writing end */
	alarm(0);
	close(left[0]);
	steward_stop(s, false);
}

static void steward_is_killed(void **state)
{
	struct steward *s = start(-1);
	struct steward_reply reply;
	struct error e = {0};
	struct conf *c;

	(void)state;
	write_conf(HEAD "PostUp = kill -9 $PPID\n");
	c = read_conf();
	assert_int_equal(steward_ask_up(s, c, &e), 0);
	while (steward_take(s, &reply, &e) == -EAGAIN) {
		struct pollfd p = {.fd = steward_fd(s), .events = POLLIN};

		poll(&p, 1, -1);
	}
	assert_int_equal(e.code, EPIPE);
	assert_non_null(strstr(e.text, "the steward process has died"));
	assert_int_equal(steward_ask_down(s, &e), -EPIPE);
	steward_stop(s, true);
	conf_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(up_change_down),	TEST(failure_comes_back_in_words), TEST(asks_without_waiting),
		TEST(engine_is_killed), TEST(steward_keeps_no_fds),	   TEST(steward_is_killed),
	};

	crypto_init();
	log_to_stderr(false, false);
	if (!run_find("ip", NULL, 0) || !netspace_enter())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
