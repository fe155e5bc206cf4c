/*
 * The dashboard on a scene instead of an engine: tui_serve [--ascii] [--slow] [--readonly] [--mono]
 * [--settings FILE]
 * [--gone SECONDS] SCENE. To look at screens by hand, and for scripts that drive a terminal.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tui/tui.h"
#include "tui_scenario.h"

static double wall(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void say(FILE *f, char *line)
{
	if (line)
		fprintf(f, "%s\n", line);
	free(line);
}

static void answer(FILE *out, const struct scenario *s, const char *line, double shift)
{
	json_t *o = json_loads(line, 0, NULL), *params = json_object_get(o, "params");
	const char *method = json_string_value(json_object_get(o, "method"));
	const char *peer = json_string_value(json_object_get(params, "peer"));
	long id = (long)json_integer_value(json_object_get(o, "id"));

	if (method && peer && strcmp(method, "peer") == 0)
		say(out, scenario_peer_reply(s, id, peer, shift));
	else if (method && strcmp(method, "reset") == 0)
		fprintf(out,
			"{\"id\":%ld,\"error\":{\"code\":\"failed\",\"message\":\"no configured endpoint to "
			"go back "
			"to\"}}\n",
			id);
	else if (method && strcmp(method, "reload") == 0)
		fprintf(out,
			"{\"id\":%ld,\"result\":{\"summary\":\"2 peers added, 1 changed, 0 removed; 9 "
			"sessions kept\"}}\n",
			id);
	else
		fprintf(out, "{\"id\":%ld,\"result\":{\"peers\":1}}\n", id);
	if (method && strcmp(method, "tap") == 0)
		say(out, scenario_packets(s, shift));
	json_decref(o);
}

static int serve(int fd, const char *scene, int gone)
{
	struct scenario s;
	double shift;
	FILE *in = fdopen(fd, "r"), *out = fdopen(dup(fd), "w");
	char line[65536], *entry;
	int tick = 0;

	setvbuf(in, NULL, _IONBF, 0); /* or poll would not see lines that stdio has read ahead */
	scenario_load(&s, scene);
	shift = wall() - json_number_value(json_object_get(json_object_get(s.root, "snapshot"), "at")) -
		s.seconds;
	fprintf(out,
		"{\"event\":\"hello\",\"schema\":1,\"version\":\"0.1.0\",\"interface\":\"wg0\",\"pid\":1}\n");
	for (; tick < s.seconds; tick++)
		say(out, scenario_snapshot(&s, tick, shift));
	for (size_t i = 0; (entry = scenario_entry(&s, false, i, shift + s.seconds)) != NULL; i++)
		say(out, entry);
	for (;; tick++) {
		struct pollfd p = {.fd = fd, .events = POLLIN};
		double until = wall() + 1;

		say(out, scenario_snapshot(&s, tick, shift + s.seconds));
		if (gone && tick - s.seconds == gone) {
			fprintf(out, "{\"event\":\"bye\",\"reason\":\"shutting down\"}\n");
			return fclose(out);
		}
		if (fflush(out) != 0)
			return 0;
		while (wall() < until)
			if (poll(&p, 1, (int)((until - wall()) * 1000) + 1) > 0) {
				if (!fgets(line, sizeof(line), in))
					return 0;
				answer(out, &s, line, shift + s.seconds);
				fflush(out);
			}
	}
}

int main(int argc, char **argv)
{
	struct tui_options o = {0};
	const char *scene = "twelve";
	struct error e = {0};
	enum tui_end end;
	int pair[2], gone = 0;
	pid_t child;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--ascii") == 0)
			o.ascii = true;
		else if (strcmp(argv[i], "--slow") == 0)
			o.slow = true;
		else if (strcmp(argv[i], "--readonly") == 0)
			o.readonly = true;
		else if (strcmp(argv[i], "--mono") == 0)
			o.color = TUI_COLOR_NEVER;
		else if (strcmp(argv[i], "--settings") == 0 && i + 1 < argc)
			o.settings = argv[++i];
		else if (strcmp(argv[i], "--gone") == 0 && i + 1 < argc)
			gone = atoi(argv[++i]);
		else
			scene = argv[i];
	}
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 1;
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(pair[0]);
		return serve(pair[1], scene, gone);
	}
	close(pair[1]);
	o.fd = pair[0];
	end = tui_run(&o, &e);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	if (*e.text)
		fprintf(stderr, "%s\n", e.text);
	printf("end %d\n", (int)end);
	return end == TUI_QUIT ? 0 : e.exit ? (int)e.exit : 1;
}
