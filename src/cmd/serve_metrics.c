/*
 * The exporter of an engine: HTTP is spoken by a process that has no keys, no rights and no way to the engine
 * but a control connection that may only look. Whatever is wrong with it, the tunnel does not notice.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/detach.h"
#include "cmd/exporter.h"
#include "cmd/sandbox.h"
#include "cmd/serve_internal.h"

/* Descriptors 3 and 4 stay, and nothing that is the engine's. */
static int keep_two(int listen_fd, int control_fd)
{
	int high_listen = fcntl(listen_fd, F_DUPFD_CLOEXEC, 10),
	    high_control = fcntl(control_fd, F_DUPFD_CLOEXEC, 10);

	if (high_listen < 0 || high_control < 0 || dup2(high_listen, 3) < 0 || dup2(high_control, 4) < 0)
		return -errno;
	close_range(5, ~0u, 0);
	return 0;
}

static int child(struct serve *s, int listen_fd, int control_fd)
{
	static const int not_for_us[] = {SIGINT, SIGHUP, SIGUSR1, SIGPIPE};
	struct error e = {0};
	int code = EXIT_FAIL;

	for (size_t i = 0; i < sizeof(not_for_us) / sizeof(not_for_us[0]); i++)
		signal(not_for_us[i], SIG_IGN);
	prctl(PR_SET_NAME, "weir-metrics");
	conf_free(s->conf); /* keys are none of its business */
	if (!keep_two(listen_fd, control_fd) && (s->o->no_sandbox || !sandbox_relay(NULL, &e)))
		code = exporter_run(client_adopt(4), 3, &e);
	if (code != EXIT_OK)
		log_error("engine", "%s", e.text[0] ? e.text : "metrics: the exporter could not be set up");
	return code;
}

/* The option wins over the configuration, in that it turns off, too. */
static char *place(const struct serve *s, const struct conf *c)
{
	const char *where = s->o->metrics ? s->o->metrics : c ? c->metrics : NULL;

	return where && strcmp(where, "off") != 0 ? xstrdup(where) : NULL;
}

bool metrics_differ(const struct serve *s, const struct conf *fresh)
{
	char *wanted = place(s, fresh);
	bool differ = wanted && s->metrics ? strcmp(wanted, s->metrics) != 0 : wanted || s->metrics;

	free(wanted);
	return differ;
}

int metrics_start(struct serve *s, struct error *e)
{
	struct diversion diversion;
	int pair[2], fd;

	s->metrics = place(s, s->conf);
	if (!s->metrics)
		return 0;
	fd = exporter_listen(s->metrics, e);
	if (fd < 0)
		return fd;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair)) {
		close(fd);
		return error_set(e, errno, "metrics: no socket pair: %s", strerror(errno));
	}
	fflush(NULL);
	/* It writes to the log for as long as the engine runs, not to a terminal that is left. */
	if (s->o->detached)
		divert_output(&diversion);
	s->metrics_pid = fork();
	if (!s->metrics_pid)
		_exit(child(s, fd, pair[1]));
	if (s->o->detached)
		restore_output(&diversion);
	close(fd);
	close(pair[1]);
	s->metrics_fd = pair[0];
	if (s->metrics_pid > 0)
		return 0;
	s->metrics_pid = 0;
	return error_set(e, EAGAIN, "metrics: no process for the exporter");
}

static void on_child(void *arg, int signo)
{
	struct serve *s = arg;
	int status;

	(void)signo;
	if (!s->metrics_pid || waitpid(s->metrics_pid, &status, WNOHANG) != s->metrics_pid)
		return;
	s->metrics_pid = 0;
	if (s->phase != PHASE_STOPPING)
		log_error("engine",
			  "the metrics exporter has ended (%s %d): weir metrics --listen can take its place",
			  WIFSIGNALED(status) ? "signal" : "exit code",
			  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
}

int metrics_adopt(struct serve *s)
{
	int fd = s->metrics_fd;

	if (fd < 0)
		return 0;
	s->metrics_fd = -1;
	loop_signal(s->loop, SIGCHLD, on_child, s);
	log_info("engine", "metrics are served at %s", s->metrics);
	return control_adopt(s->control, fd, true);
}
