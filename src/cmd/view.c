#include "cmd/view.h"

#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <term.h>
#include <termios.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/sandbox.h"
#include "cmd/text.h"

/* Exit codes of the child, which nothing else uses. */
#define CHILD_ENGINE_GONE 101
#define CHILD_FAILED	  102

int view_possible(struct error *e)
{
	const char *term = getenv("TERM");
	int known;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		return error_exit(e, EXIT_USAGE, ENOTTY,
				  "the dashboard needs a terminal, and %s is none: weir status prints what "
				  "is known, and "
				  "--headless runs an engine without one",
				  isatty(STDIN_FILENO) ? "stdout" : "stdin");
	if (setupterm(NULL, STDOUT_FILENO, &known) != OK)
		return error_exit(e, EXIT_USAGE, EINVAL,
				  "the terminal type \"%s\" is unknown here: set TERM to another (try "
				  "xterm or vt100), or use --headless",
				  term ? term : "");
	if (!cursor_address)
		return error_exit(
			e, EXIT_USAGE, EINVAL,
			"a terminal of type \"%s\" cannot be drawn on: use another one, or --headless",
			term ? term : "");
	return 0;
}

/* What the view remembers is in the home of whom it runs as; nobody has none. */
static char *settings_path(void)
{
	const char *folder = getenv("XDG_CONFIG_HOME");
	const struct passwd *account = getpwuid(geteuid());

	if (folder && *folder == '/' && !access(folder, W_OK))
		return xasprintf("%s/weir/view.conf", folder);
	if (account && !access(account->pw_dir, W_OK))
		return xasprintf("%s/.config/weir/view.conf", account->pw_dir);
	return NULL;
}

static enum tui_end draw_past(const struct options *o, int fd, bool bundle, double at, struct error *e)
{
	struct tui_options view = {.fd = fd,
				   .readonly = o->readonly,
				   .ascii = o->ascii,
				   .slow = o->slow,
				   .color = o->color,
				   .bundle = bundle,
				   .past_at = at};
	char *settings;
	enum tui_end end;

	/* The name by which ps(1) tells it from the engine. */
	prctl(PR_SET_NAME, "weir-view");
	if (sandbox_view(e))
		return TUI_FAILED;
	view.settings = settings = settings_path();
	end = tui_run(&view, e);
	free(settings);
	return end;
}

static enum tui_end draw(const struct options *o, int fd, struct error *e)
{
	return draw_past(o, fd, false, 0, e);
}

int view_replay(const struct options *o, int fd, double at, struct error *e)
{
	return draw_past(o, fd, true, at, e) == TUI_QUIT ? EXIT_OK
	       : e->exit == EXIT_OK			 ? EXIT_FAIL
							 : (int)e->exit;
}

int view_run(const struct options *o, int fd, struct error *e)
{
	enum tui_end end = draw(o, fd, e);

	if (end == TUI_ENGINE_GONE)
		e->text[0] = '\0'; /* the view has said it */
	return end == TUI_QUIT ? EXIT_OK : e->exit == EXIT_OK ? EXIT_FAIL : (int)e->exit;
}

static int child(const struct options *o, int fd)
{
	struct error e = {0};
	enum tui_end end = draw(o, fd, &e);

	if (end == TUI_FAILED && e.text[0])
		text_complain(e.text);
	return end == TUI_ENGINE_GONE ? CHILD_ENGINE_GONE : end == TUI_FAILED ? CHILD_FAILED : 0;
}

static pid_t view_pid;

/* The view puts its terminal in order and leaves; we follow. */
static void pass_on(int signo)
{
	if (view_pid > 0)
		kill(view_pid, signo);
}

/* What a view that crashed left behind: raw mode, the alternate screen, no cursor, odd colours. */
static void repair_terminal(const struct termios *before)
{
	tcsetattr(STDIN_FILENO, TCSADRAIN, before);
	if (exit_attribute_mode)
		putp(exit_attribute_mode);
	if (exit_ca_mode)
		putp(exit_ca_mode);
	if (cursor_normal)
		putp(cursor_normal);
	fflush(stdout);
}

/* A view that stops (^Z) is to look like a job that stops: we stop too, and fg wakes both. */
static int wait_for(pid_t pid)
{
	int status;

	for (;;) {
		if (waitpid(pid, &status, WUNTRACED) < 0) {
			if (errno == EINTR)
				continue;
			return 0;
		}
		if (!WIFSTOPPED(status))
			return status;
		raise(SIGSTOP);
		kill(pid, SIGCONT);
	}
}

enum view_end view_child(const struct options *o, int fd)
{
	struct sigaction pass = {.sa_handler = pass_on}, term_before;
	struct termios before;
	int status, own = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	pid_t pid;

	tcgetattr(STDIN_FILENO, &before);
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return VIEW_FAILED;
	if (!pid) {
		close(fd);
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		_exit(child(o, own));
	}
	close(own);
	view_pid = pid;
	sigaction(SIGTERM, &pass, &term_before);
	status = wait_for(pid);
	view_pid = 0;
	sigaction(SIGTERM, &term_before, NULL);
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGTERM || WTERMSIG(status) == SIGHUP))
		return VIEW_LEFT;
	switch (WIFEXITED(status) ? WEXITSTATUS(status) : -1) {
	case 0:
		return VIEW_LEFT;
	case CHILD_ENGINE_GONE:
		return VIEW_ENGINE_GONE;
	case CHILD_FAILED:
		return VIEW_FAILED;
	default: /* a sanitizer turns the signal into an exit code of its own */
		repair_terminal(&before);
		return VIEW_CRASHED;
	}
}
