#include "cmd/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/xalloc.h"
#include "cmd/lock.h"
#include "cmd/notify.h"
#include "cmd/paths.h"
#include "cmd/sandbox.h"
#include "cmd/serve_internal.h"
#include "net/udp.h"

/* ---- ending ---- */

void serve_fail(struct serve *s, const struct error *e)
{
	if (s->code != EXIT_OK)
		return;
	s->error = *e;
	s->code = e->exit == EXIT_OK ? EXIT_FAIL : (int)e->exit;
}

void serve_stop(struct serve *s, bool drain, const char *who)
{
	if (s->phase == PHASE_STOPPING)
		return;
	if (s->phase == PHASE_STARTING && s->steward) {
		log_notice("engine", "%s: stopping as soon as the hooks of the start are done", who);
		s->stop_when_up = true;
		return;
	}
	s->phase = PHASE_STOPPING;
	notify_stopping();
	log_notice("engine", "%s goes down: %s", engine_ifname(s->engine), who);
	if (drain)
		engine_drain_all(s->engine, WG_REASON_shutdown, who);
	host_down(s);
}

static void on_end(void *arg, int signo)
{
	struct serve *s = arg;

	if (++s->signals == 1)
		serve_stop(s, true, signo == SIGINT ? "SIGINT" : "SIGTERM");
	else
		loop_quit(s->loop);
}

static void on_gone(void *arg, const char *why)
{
	serve_stop(arg, false, why);
}

static void on_socket_gone(void *arg)
{
	serve_stop(arg, true, "its UAPI socket was deleted");
}

/* ---- requests ---- */

static int on_reload(void *ctx, char **summary, struct error *e)
{
	return serve_reload(ctx, summary, e);
}

static void on_down(void *ctx, bool drain)
{
	serve_stop(ctx, drain, "weir down");
}

static void on_hangup(void *arg, int signo)
{
	(void)signo;
	serve_hangup(arg);
}

static void on_drain(void *arg, int signo)
{
	struct serve *s = arg;

	(void)signo;
	if (s->phase == PHASE_RUNNING)
		engine_drain_all(s->engine, WG_REASON_user, "SIGUSR1");
}

void serve_up(struct serve *s)
{
	s->phase = PHASE_RUNNING;
	log_notice("engine", "%s runs%s%s", engine_ifname(s->engine), s->conf ? ", configured by " : "",
		   s->conf ? s->conf->path : "");
	notify_ready();
	if (s->o->ready)
		s->o->ready(s->o->ready_arg);
	if (s->reload_when_up)
		serve_hangup(s);
}

/* ---- setting up ---- */

/* Better told before addresses and routes change than after. */
static int port_is_free(const struct conf *c, struct error *e)
{
	struct udp probe;
	int r;

	if (!c || !c->listen_port)
		return 0;
	r = udp_open(&probe, c->listen_port, 1, 0, true, e);
	if (!r)
		udp_close(&probe);
	return r;
}

static const char *state_folder(const struct serve *s)
{
	return s->o->state_dir ? s->o->state_dir : PATH_STATE;
}

static int make_folders(struct serve *s, struct error *e)
{
	struct error ignored;

	/* Without a state folder all works but what restarts remember. */
	if (file_make_folder(state_folder(s), 0700, &ignored))
		log_warn("engine", "nothing will be remembered over a restart: %s", ignored.text);
	return file_make_folder(s->uapi_dir, 0755, e);
}

static int give_up_rights(struct serve *s, struct error *e)
{
	const char *const folders[] = {s->run_dir, s->uapi_dir, state_folder(s), NULL};

	return s->o->no_sandbox ? 0 : sandbox_engine(folders, e);
}

static int make_engine(struct serve *s, struct error *e)
{
	const struct engine_options options = {
		.ifname = s->o->ifname,
		.tun_fd = s->o->tun_fd,
		.workers = s->o->workers,
		.raw = s->raw,
		.plain_io = s->o->plain_io,
		.state_dir = state_folder(s),
		.time_divisor = s->o->time_divisor,
	};
	int r = engine_new(&s->engine, s->loop, &options, e);

	if (r)
		return r;
	engine_on_gone(s->engine, on_gone, s);
	if (!s->conf)
		return 0;
	return conf_apply(s->engine, NULL, s->conf, NULL, e);
}

static int open_sockets(struct serve *s, struct error *e)
{
	const struct control_ops ops = {.reload = on_reload,
					.down = on_down,
					.ctx = s,
					.configuration = s->conf ? s->conf->path : NULL};
	int r = uapi_open(&s->uapi, s->engine, s->uapi_dir, s->o->uapi_fd, on_socket_gone, s, e);

	if (!r)
		r = control_open(&s->control, s->engine, s->run_dir, &ops, e);
	if (!r)
		control_record(s->control, (size_t)s->o->history << 20);
	for (unsigned i = 0; !r && i < SERVE_VIEWS_MAX; i++)
		if (s->o->views[i] >= 0)
			r = control_adopt(s->control, s->o->views[i], s->o->readonly);
	return r ? r : metrics_adopt(s);
}

static int set_up(struct serve *s, struct error *e)
{
	int r;

	signal(SIGPIPE, SIG_IGN);
	if (s->o->tun_fd < 0 && !sandbox_may_run_engine())
		return error_exit(e, EXIT_NOT_PERMITTED, EPERM,
				  "no permission to make %s: become root, or get CAP_NET_ADMIN",
				  s->o->ifname);
	r = metrics_start(s, e);
	if (r)
		return r;
	s->lock_fd = lock_take(s->run_dir, s->o->ifname, e);
	if (s->lock_fd < 0)
		return s->lock_fd;
	r = port_is_free(s->conf, e);
	if (!r)
		r = make_folders(s, e);
	if (!r)
		r = host_start(s, e);
	/* weir-wg has no ICE. */
	if (!r && s->conf)
		engine_raw_open(s->raw);
	if (!r)
		r = give_up_rights(s, e);
	if (r)
		return r;
	s->loop = loop_new();
	loop_signal(s->loop, SIGTERM, on_end, s);
	loop_signal(s->loop, SIGINT, on_end, s);
	loop_signal(s->loop, SIGHUP, on_hangup, s);
	loop_signal(s->loop, SIGUSR1, on_drain, s);
	host_watch(s);
	r = make_engine(s, e);
	return r ? r : open_sockets(s, e);
}

static void take_down(struct serve *s)
{
	host_leave(s);
	if (s->control)
		control_close(s->control);
	if (s->uapi)
		uapi_close(s->uapi);
	engine_free(s->engine);
	engine_raw_close(s->raw);
	beat_stop(s);
	loop_free(s->loop);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	conf_free(s->conf);
	free(s->metrics);
	free(s->uapi_dir);
	free(s->journal);
}

int serve(const struct serve_options *o, struct error *e)
{
	struct serve *s = xcalloc(1, sizeof(*s));
	int code;

	s->o = o;
	s->conf = o->conf;
	s->lock_fd = s->metrics_fd = -1;
	s->raw[0] = s->raw[1] = s->raw[2] = -1;
	s->run_dir = o->run_dir ? o->run_dir : PATH_RUN;
	s->uapi_dir = o->run_dir ? xasprintf("%s/wireguard", o->run_dir) : xstrdup(PATH_UAPI);
	s->journal = xasprintf("%s/%s.undo", s->run_dir, o->ifname);
	log_to_stderr(!o->silent, notify_journal());
	if (set_up(s, e)) {
		serve_fail(s, e);
	} else {
		beat_start(s);
		if (s->steward)
			host_up(s);
		else
			serve_up(s);
		loop_run(s->loop);
	}
	take_down(s);
	*e = s->error;
	code = s->code;
	free(s);
	return code;
}
