#include "cmd/launch.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cmd/detach.h"
#include "cmd/sandbox.h"
#include "cmd/text.h"
#include "cmd/view.h"

/* The engine's ends and the view's: the second pair is for the view that follows a crash. */
struct pairs {
	int engine[SERVE_VIEWS_MAX];
	int view[SERVE_VIEWS_MAX];
};

static volatile sig_atomic_t interrupted;
static pid_t engine_pid;

static void on_interrupt(int signo)
{
	interrupted = signo;
	kill(engine_pid, SIGTERM);
}

static int make_pairs(struct pairs *p, struct error *e)
{
	for (int i = 0; i < SERVE_VIEWS_MAX; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
			return error_set(e, errno, "cannot make a socket pair: %s", strerror(errno));
		p->engine[i] = pair[0];
		p->view[i] = pair[1];
	}
	return 0;
}

static void close_all(const int *fds)
{
	for (int i = 0; i < SERVE_VIEWS_MAX; i++)
		close(fds[i]);
}

static int run_engine(struct serve_options *engine, const struct pairs *p, struct detach *d)
{
	struct error e = {0};
	int code;

	close_all(p->view);
	detach_child(d);
	memcpy(engine->views, p->engine, sizeof(engine->views));
	engine->ready = detach_ready;
	engine->ready_arg = d;
	engine->detached = true;
	code = serve(engine, &e);
	if (e.text[0] && d->pipe[1] >= 0)
		text_complain(e.text); /* not ready yet: the user still listens */
	else if (e.text[0])
		log_error("engine", "%s", e.text);
	return code;
}

/*
 * The engine's exit code when it ended before it was ready, or -1. A ^C now is meant for it; a lost terminal
 * is not: bringing up a default route may well have cost us the connection that it is needed for.
 */
static int wait_until_ready(struct detach *d, pid_t pid)
{
	struct sigaction end = {.sa_handler = on_interrupt}, before[2];
	static const int signals[] = {SIGINT, SIGTERM};
	int code;

	engine_pid = pid;
	for (int i = 0; i < 2; i++)
		sigaction(signals[i], &end, &before[i]);
	code = detach_wait(d, pid);
	for (int i = 0; i < 2; i++)
		sigaction(signals[i], &before[i], NULL);
	return interrupted && code == EXIT_OK ? 128 + interrupted : code;
}

/* How the engine ended, if it did: the user should hear it here. */
static int engine_end(pid_t pid, const char *ifname)
{
	int status;

	/* The view may see its socket close before the engine is a zombie. */
	for (int tries = 0; tries < 100; tries++) {
		pid_t done = waitpid(pid, &status, WNOHANG);

		if (done == pid && WIFEXITED(status))
			return WEXITSTATUS(status);
		if (done == pid && WIFSIGNALED(status)) {
			fprintf(stderr,
				"weir: the engine of %s was ended by signal %d (%s); what it had set up is "
				"being removed\n",
				ifname, WTERMSIG(status), strsignal(WTERMSIG(status)));
			return EXIT_FAIL;
		}
		if (done)
			break;
		usleep(50000);
	}
	return EXIT_FAIL;
}

static int run_views(const struct options *o, const struct pairs *p, pid_t pid, const char *ifname)
{
	enum view_end end = view_child(o, p->view[0]);

	close(p->view[0]);
	if (end == VIEW_CRASHED) {
		fprintf(stderr, "weir: the dashboard crashed; here is another one\n");
		end = view_child(o, p->view[1]);
	}
	close(p->view[1]);
	if (end == VIEW_ENGINE_GONE)
		return engine_end(pid, ifname);
	fprintf(stderr, "%sweir: %s keeps running (weir attach %s, weir down %s)\n",
		end == VIEW_CRASHED ? "weir: the dashboard crashed again\n" : "", ifname, ifname, ifname);
	return end == VIEW_LEFT ? EXIT_OK : EXIT_FAIL;
}

int launch(const struct options *o, struct serve_options *engine, struct error *e)
{
	struct pairs p;
	struct detach d;
	pid_t pid;
	int code;

	if (make_pairs(&p, e) || detach_open(&d, e))
		return EXIT_FAIL;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		error_set(e, errno, "cannot start the engine's process: %s", strerror(errno));
		return EXIT_FAIL;
	}
	if (!pid)
		exit(run_engine(engine, &p, &d));
	close_all(p.engine);
	conf_free(engine->conf); /* the keys are the engine's business now */
	code = wait_until_ready(&d, pid);
	if (code >= 0)
		return code;
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	if (sandbox_view(e))
		return EXIT_FAIL;
	return run_views(o, &p, pid, engine->ifname);
}
