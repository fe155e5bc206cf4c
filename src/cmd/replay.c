/* weir replay: the dashboard on a bundle. What an engine would tell comes from the archive. */
#include "cmd/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/bundle.h"
#include "cmd/command.h"
#include "cmd/sandbox.h"
#include "cmd/view.h"

static int read_bundle(struct replay *r, const char *path, struct error *e)
{
	static const char *const names[] = {"MANIFEST.json", "status.json", "history.jsonl", NULL};
	struct strbuf files[3] = {0};
	int fd = bundle_open(path, e), code = fd < 0 ? fd : sandbox_view(e);

	/* Bundles come from strangers: whoever reads one as root gives up all rights before a look at it. */
	if (code) {
		if (fd >= 0)
			close(fd);
		return code;
	}
	code = bundle_read(fd, names, files, e);
	if (!code)
		code = replay_open(r, &files[0], &files[1], &files[2], e);
	if (code)
		code = error_exit(e, e->exit, e->code, "%s: %s", path, e->text);
	for (size_t i = 0; i < 3; i++)
		strbuf_clear(&files[i]);
	return code;
}

static int show(const struct options *o, const struct replay *r, double at, struct error *e)
{
	int fds[2], code;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return command_failed((error_set(e, errno, "no socket pair: %s", strerror(errno)), e));
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		close(fds[0]);
		close(fds[1]);
		return command_failed((error_set(e, errno, "cannot fork: %s", strerror(errno)), e));
	}
	if (!pid) {
		/* Keys of the terminal are for the view: when it goes, so does its connection. */
		setpgid(0, 0);
		close(fds[0]);
		replay_serve(r, fds[1]);
		_exit(0);
	}
	close(fds[1]);
	code = view_replay(o, fds[0], at, e);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return code;
}

int replay_main(const struct options *o, int count, char **words, struct error *e)
{
	struct replay r = {0};
	double at = 0;
	int code;

	(void)count;
	/* What is wrong with the file is told wherever this runs, before a terminal is asked for. */
	code = read_bundle(&r, words[0], e);
	if (!code)
		code = view_possible(e);
	if (!code && o->at)
		code = replay_time(o->at, r.at, &at, e);
	code = code ? command_failed(e) : show(o, &r, at, e);
	replay_close(&r);
	return code;
}
