#include "cmd/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

#define LINE_LONGEST 1024

struct output {
	int pipe[2];
	int saved[2];
	struct loop_fd *watch;
	struct strbuf in;
};

struct output *output_divert(struct error *e)
{
	struct output *out = xcalloc(1, sizeof(*out));

	/*
	 * Not blocking, at both ends: after a kill -9 nobody reads any more, and hooks must still run to
	 * their end. The steward inherits the reading end too, so that they are not ended by SIGPIPE either.
	 */
	if (pipe2(out->pipe, O_CLOEXEC | O_NONBLOCK)) {
		error_set(e, errno, "cannot make a pipe: %s", strerror(errno));
		free(out);
		return NULL;
	}
	for (int i = 0; i < 2; i++) {
		out->saved[i] = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
		dup2(out->pipe[1], i + 1);
	}
	return out;
}

void output_restore(struct output *out)
{
	for (int i = 0; i < 2; i++) {
		if (out->saved[i] < 0)
			continue;
		dup2(out->saved[i], i + 1);
		close(out->saved[i]);
	}
	close(out->pipe[1]);
}

/* "<6>system: text" is a log line of the steward (sd-daemon(3) levels), anything else a hook's. */
static void log_line(char *line)
{
	char *colon;

	if (!*line)
		return;
	if (line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>' &&
	    (colon = strstr(line, ": "))) {
		int level = line[1] - '3';

		*colon = '\0';
		log_write(level < 0 ? LOG_ERROR : (enum log_level)level, line + 3, NULL, "%s", colon + 2);
	} else {
		log_info("hook", "%s", line);
	}
}

static void log_lines(struct output *out, bool rest)
{
	char *newline;

	while (out->in.len && (newline = memchr(out->in.text, '\n', out->in.len))) {
		*newline = '\0';
		log_line(out->in.text);
		strbuf_consume(&out->in, (size_t)(newline - out->in.text) + 1);
	}
	if (out->in.len && (rest || out->in.len > LINE_LONGEST)) {
		log_line(out->in.text);
		strbuf_consume(&out->in, out->in.len);
	}
}

static void on_output(void *arg, int fd, unsigned events)
{
	struct output *out = arg;
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	(void)events;
	if (n > 0) {
		strbuf_append(&out->in, buffer, (size_t)n);
		log_lines(out, false);
	} else if (!n || (errno != EAGAIN && errno != EINTR)) {
		loop_fd_remove(out->watch);
		out->watch = NULL;
	}
}

void output_watch(struct output *out, struct loop *loop)
{
	out->watch = loop_fd_add(loop, out->pipe[0], LOOP_READ, on_output, out);
}

void output_free(struct output *out)
{
	char buffer[4096];
	ssize_t n;

	if (!out)
		return;
	loop_fd_remove(out->watch);
	while ((n = read(out->pipe[0], buffer, sizeof(buffer))) > 0)
		strbuf_append(&out->in, buffer, (size_t)n);
	log_lines(out, true);
	strbuf_clear(&out->in);
	close(out->pipe[0]);
	free(out);
}
