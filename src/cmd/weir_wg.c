/*
 * weir-wg: the engine without a configuration file, as wg-quick(8) expects of
 * WG_QUICK_USERSPACE_IMPLEMENTATION: makes the interface and its UAPI socket, and returns once both are
 * there.
 */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cmd/detach.h"
#include "cmd/serve.h"

static int usage(FILE *to, int code)
{
	fprintf(to, "usage: weir-wg [-f|--foreground] IFACE\n"
		    "       weir-wg --version\n"
		    "Makes the WireGuard interface IFACE, to be configured by wg(8) or wg-quick(8). See "
		    "weir-wg(8).\n");
	return code;
}

static int wrong(const char *fmt, const char *what)
{
	fprintf(stderr, "weir-wg: ");
	fprintf(stderr, fmt, what);
	fputc('\n', stderr);
	return usage(stderr, EXIT_USAGE);
}

/* A descriptor number from the environment; -1 when unset, -2 when it is none. */
static int fd_from(const char *name)
{
	const char *text = getenv(name);
	char *end;
	long fd;

	if (!text || !*text)
		return -1;
	fd = strtol(text, &end, 10);
	return *end || fd < 0 || fd > 1 << 20 ? -2 : (int)fd;
}

/* wireguard-go's words; false for silence. */
static bool set_log_level(const char *word)
{
	log_set_level(word && (!strcmp(word, "verbose") || !strcmp(word, "debug")) ? LOG_DEBUG : LOG_ERROR);
	return !word || strcmp(word, "silent") != 0;
}

static int run(struct serve_options *o, bool speaks)
{
	struct error e = {0};
	int code;

	o->silent = !speaks;
	code = serve(o, &e);
	if (e.text[0])
		fprintf(stderr, "weir-wg: %s\n", e.text);
	return code == EXIT_OK ? EXIT_OK : EXIT_FAIL;
}

static int run_detached(struct serve_options *o, bool speaks)
{
	struct detach d;
	struct error e;
	pid_t pid;
	int code;

	if (detach_open(&d, &e)) {
		fprintf(stderr, "weir-wg: %s\n", e.text);
		return EXIT_FAIL;
	}
	d.keep_stderr = speaks && getenv("LOG_LEVEL") && *getenv("LOG_LEVEL");
	pid = fork();
	if (pid < 0) {
		fprintf(stderr, "weir-wg: cannot fork: %s\n", strerror(errno));
		return EXIT_FAIL;
	}
	if (pid) {
		code = detach_wait(&d, pid);
		return code < 0 ? EXIT_OK : code;
	}
	detach_child(&d);
	o->ready = detach_ready;
	o->ready_arg = &d;
	o->detached = true;
	exit(run(o, speaks));
}

int main(int argc, char **argv)
{
	struct serve_options o = {.tun_fd = fd_from("WG_TUN_FD"),
				  .uapi_fd = fd_from("WG_UAPI_FD"),
				  .views = {-1, -1},
				  .history = 8};
	const char *in_foreground = getenv("WG_PROCESS_FOREGROUND");
	bool foreground = in_foreground && !strcmp(in_foreground, "1");
	bool speaks = set_log_level(getenv("LOG_LEVEL"));

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--version")) {
			printf("weir-wg %s\n", VERSION);
			return EXIT_OK;
		}
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h"))
			return usage(stdout, EXIT_OK);
		if (!strcmp(argv[i], "-f") || !strcmp(argv[i], "--foreground"))
			foreground = true;
		else if (argv[i][0] == '-')
			return wrong("unknown option \"%s\"", argv[i]);
		else if (o.ifname)
			return wrong("one interface only, not \"%s\" as well", argv[i]);
		else
			o.ifname = argv[i];
	}
	if (!o.ifname)
		return usage(stderr, EXIT_USAGE);
	if (!conf_name_is_good(o.ifname))
		return wrong("\"%s\" is not an interface name: 1 to 15 of a-z A-Z 0-9 _ = + . -", o.ifname);
	if (o.tun_fd < -1 || o.uapi_fd < -1)
		return wrong("%s must be the number of a file descriptor",
			     o.tun_fd < -1 ? "WG_TUN_FD" : "WG_UAPI_FD");
	return foreground ? run(&o, speaks) : run_detached(&o, speaks);
}
