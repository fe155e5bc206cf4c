/* weir IFACE|FILE: reads the configuration, then runs the engine here (--headless) or beside a dashboard. */
#include <stdlib.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/launch.h"
#include "cmd/serve.h"
#include "cmd/view.h"
#include "config/conf.h"

static struct conf *read_conf(const char *path, const char *ifname)
{
	struct conf_messages messages = {0};
	struct conf *conf = conf_read(path, ifname, &messages);

	conf_messages_print(&messages, path, stderr);
	conf_messages_clear(&messages);
	return conf;
}

/* The engine that runs already is better met by `attach` than by an error about a lock. */
static int not_running(const struct options *o, const char *ifname, struct error *e)
{
	struct error none;
	struct client *c = client_connect(o->run_dir, ifname, &none);

	if (!c)
		return 0;
	client_close(c);
	return error_set(e, 0,
			 "an engine runs on %s already: `weir attach %s` shows it, `weir down %s` ends it",
			 ifname, ifname, ifname);
}

/* The engine's process changes its folder: what it is told must not depend on that. */
static const char *absolute(const char *path)
{
	char *folder, *full;

	if (!path || path[0] == '/')
		return path;
	folder = getcwd(NULL, 0);
	full = xasprintf("%s/%s", folder ? folder : "", path);
	free(folder);
	return full; /* until the process ends */
}

int up_main(const struct options *o, int count, char **words, struct error *e)
{
	struct serve_options engine = {
		.run_dir = absolute(o->run_dir),
		.state_dir = absolute(o->state_dir),
		.workers = o->workers,
		.time_divisor = o->time_divisor,
		.history = o->history,
		.metrics = o->metrics,
		.plain_io = o->plain_io,
		.no_sandbox = o->no_sandbox,
		.tun_fd = -1,
		.uapi_fd = -1,
		.views = {-1, -1},
		.readonly = o->readonly,
	};
	char ifname[IFNAMSIZ], *path;
	int code;

	(void)count;
	if (!o->headless && view_possible(e))
		return command_failed(e);
	if (conf_locate(words[0], &path, ifname, e))
		return command_failed(e);
	if (!o->headless && not_running(o, ifname, e)) {
		free(path);
		return command_failed(e);
	}
	engine.ifname = ifname;
	engine.conf = read_conf(path, ifname);
	free(path);
	if (!engine.conf)
		return EXIT_CONFIG;
	code = o->headless ? serve(&engine, e) : launch(o, &engine, e);
	return code;
}
