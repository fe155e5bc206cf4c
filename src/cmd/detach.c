#include "cmd/detach.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/notify.h"

int detach_open(struct detach *d, struct error *e)
{
	*d = (struct detach){0};
	if (pipe2(d->pipe, O_CLOEXEC))
		return error_set(e, errno, "cannot make a pipe: %s", strerror(errno));
	return 0;
}

static void replace(int fd, int with, bool write)
{
	int null = with >= 0 ? with : open("/dev/null", (write ? O_WRONLY : O_RDONLY) | O_CLOEXEC);

	if (null < 0)
		return;
	dup2(null, fd);
	if (with < 0)
		close(null);
}

void detach_child(struct detach *d)
{
	close(d->pipe[0]);
	setsid();
	replace(STDIN_FILENO, -1, false);
	if (chdir("/")) /* keep no file system busy; harmless if it fails */
		log_debug("engine", "cannot change to /: %s", strerror(errno));
}

/* True when a journal takes them. */
static bool send_output_away(void)
{
	int journal = notify_journal_stream();

	replace(STDOUT_FILENO, journal, true);
	replace(STDERR_FILENO, journal, true);
	if (journal >= 0)
		close(journal);
	return journal >= 0;
}

void divert_output(struct diversion *d)
{
	for (int i = 0; i < 2; i++)
		d->saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
	send_output_away();
}

void restore_output(struct diversion *d)
{
	for (int i = 0; i < 2; i++) {
		if (d->saved[i] < 0)
			continue;
		dup2(d->saved[i], i + 1);
		close(d->saved[i]);
	}
}

void detach_ready(void *arg)
{
	struct detach *d = arg;

	if (d->keep_stderr) {
		/* Nothing is said there, and whoever reads it to its end would wait for ours. */
		replace(STDOUT_FILENO, -1, true);
	} else {
		bool journal = send_output_away();

		log_to_stderr(journal, journal);
	}
	while (write(d->pipe[1], "r", 1) < 0 && errno == EINTR)
		;
	close(d->pipe[1]);
	d->pipe[1] = -1;
}

int detach_wait(struct detach *d, pid_t child)
{
	char byte;
	ssize_t n;
	int status;

	close(d->pipe[1]);
	do
		n = read(d->pipe[0], &byte, 1);
	while (n < 0 && errno == EINTR);
	close(d->pipe[0]);
	if (n == 1)
		return -1;
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAIL;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
