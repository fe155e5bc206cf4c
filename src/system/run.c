#include "system/run.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/key.h"
#include "base/log.h"

#define LINE_MAX_LOGGED 200

/* ---- output ---- */

void run_mask_keys(char *text)
{
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	while (*text) {
		size_t run = strspn(text, base64);

		if (run >= KEY_BASE64_LEN - 1 && text[run] == '=')
			memset(text + run - (KEY_BASE64_LEN - 1), '*', KEY_BASE64_LEN);
		text += run ? run : 1;
	}
}

static void log_lines(struct run_output *o, bool all)
{
	for (;;) {
		char *end = o->line.text ? memchr(o->line.text, '\n', o->line.len) : NULL;
		size_t len = end ? (size_t)(end - o->line.text) : o->line.len;
		char shown[LINE_MAX_LOGGED + 4];

		/* Half a line waits for the rest, unless it is too long for the log anyway. */
		if (!len && !end)
			return;
		if (!end && !all && len < LINE_MAX_LOGGED)
			return;
		log_visible(shown, sizeof(shown), o->line.text, len);
		run_mask_keys(shown);
		if (len)
			log_info("system", "%s: %s", o->tag, shown);
		strbuf_consume(&o->line, end ? len + 1 : len);
	}
}

/* False once the writers are gone. */
static bool read_output(struct run_output *o)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(o->fd, buf, sizeof(buf))) > 0) {
		strbuf_append(&o->line, buf, (size_t)n);
		log_lines(o, false);
	}
	return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void close_output(struct run_output *o)
{
	log_lines(o, true);
	close(o->fd);
	strbuf_clear(&o->line);
}

void run_outputs_read(struct run_outputs *o, unsigned index)
{
	if (read_output(&o->items[index]))
		return;
	close_output(&o->items[index]);
	o->items[index] = o->items[--o->count];
}

void run_outputs_close(struct run_outputs *o)
{
	while (o->count)
		close_output(&o->items[--o->count]);
}

static void keep_output(struct run_outputs *o, struct run_output *output)
{
	log_lines(output, true);
	if (o->count == RUN_OUTPUTS_MAX) {
		close_output(&o->items[0]);
		o->items[0] = o->items[--o->count];
	}
	o->items[o->count++] = *output;
}

/* ---- starting ---- */

/* Signals that we ignore or block would stay so in the program: it must start like any other. */
static void default_signals(void)
{
	sigset_t none;

	for (int s = 1; s < NSIG; s++)
		signal(s, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(const char *const argv[], int input, int output, const char *ifname)
{
	default_signals();
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		_exit(126);
	close_range(3, ~0u, 0);
	setenv("WEIR_INTERFACE", ifname, 1);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	execvp(argv[0], (char *const *)argv);
	dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* A file in memory, so that a program that does not read cannot make us wait. */
static int open_input(const char *input)
{
	size_t len = input ? strlen(input) : 0;
	int fd = input ? memfd_create("input", MFD_CLOEXEC) : open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !input)
		return fd < 0 ? -errno : fd;
	while (len) {
		ssize_t n = write(fd, input, len);

		if (n < 0 && errno != EINTR) {
			int err = errno;

			close(fd);
			return -err;
		}
		if (n > 0) {
			input += n;
			len -= (size_t)n;
		}
	}
	lseek(fd, 0, SEEK_SET);
	return fd;
}

/* Reads output until the program itself has ended, whatever it left behind. */
static int wait_for(pid_t pid, struct run_output *output, bool *open)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), status;
	struct pollfd fds[2] = {{.fd = output->fd, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};

	*open = true;
	while (*open || pidfd >= 0) {
		fds[0].fd = *open ? output->fd : -1;
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			break;
		if (fds[0].revents)
			*open = read_output(output);
		if (fds[1].revents)
			break;
	}
	if (pidfd >= 0)
		close(pidfd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (*open)
		*open = read_output(output);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

int run_program(const char *const argv[], const char *input, const char *ifname, const char *tag,
		struct run_outputs *o)
{
	struct run_output output = {0};
	int in = open_input(input), out[2], status;
	bool open;
	pid_t pid;

	if (in < 0)
		return in;
	if (pipe2(out, O_CLOEXEC) < 0) {
		status = -errno;
		close(in);
		return status;
	}
	snprintf(output.tag, sizeof(output.tag), "%s", tag);
	output.fd = out[0];
	fd_set_nonblocking(out[0]);
	pid = fork();
	if (pid == 0)
		become(argv, in, out[1], ifname);
	status = pid < 0 ? -errno : 0;
	close(in);
	close(out[1]);
	if (pid < 0) {
		close(out[0]);
		return status;
	}
	status = wait_for(pid, &output, &open);
	if (open && o)
		keep_output(o, &output);
	else
		close_output(&output);
	return status;
}

int run_command(const char *command, const char *ifname, const char *tag, struct run_outputs *o)
{
	const char *const argv[] = {run_find("bash", NULL, 0) ? "bash" : "sh", "-c", command, NULL};

	return run_program(argv, NULL, ifname, tag, o);
}

bool run_find(const char *program, char *path, size_t size)
{
	const char *at = getenv("PATH");
	char try[PATH_MAX];

	if (!at)
		at = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	for (; *at; at += *at == ':') {
		size_t len = strcspn(at, ":");

		if (snprintf(try, sizeof(try), "%.*s/%s", (int)len, at, program) < (int)sizeof(try) &&
		    !access(try, X_OK)) {
			if (path)
				snprintf(path, size, "%s", try);
			return true;
		}
		at += len;
	}
	return false;
}
