/* Shared by serve*.c. */
#ifndef WEIR_CMD_SERVE_INTERNAL_H
#define WEIR_CMD_SERVE_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "cmd/serve.h"
#include "control/control.h"
#include "control/uapi.h"
#include "engine/engine.h"
#include "system/steward.h"
#include "system/system.h"

enum phase { PHASE_STARTING, PHASE_RUNNING, PHASE_STOPPING };

struct serve {
	const struct serve_options *o;
	struct conf *conf; /* what is in force; NULL for weir-wg */
	const char *run_dir;
	char *uapi_dir, *journal;

	int lock_fd;
	int raw[ENGINE_RAW];
	struct steward *steward; /* NULL for weir-wg */
	struct loop_fd *steward_watch;
	struct loop *loop;
	struct engine *engine;
	struct uapi *uapi;
	struct control *control;
	char *metrics;		     /* where the exporter listens; NULL: none */
	pid_t metrics_pid;	     /* the exporter, 0: none */
	int metrics_fd;		     /* its control connection, until it is adopted; or -1 */
	struct loop_timer *beat;     /* watchdog, status, views that left */
	struct loop_timer *patience; /* systemd's, while hooks run */

	enum phase phase;
	unsigned signals;  /* SIGTERM and SIGINT so far */
	bool stop_when_up; /* asked to stop while the hooks of the start run */
	bool reload_when_up;
	bool had_views;
	uint32_t mark;	/* that the configuration wants the sockets to carry */
	uint64_t turns; /* of the loop at the last beat */
	uint64_t alive_interval, alive_due, status_due;

	int code;	    /* exit code */
	struct error error; /* words that go with it */
};

/* Remembers how it ends; the first reason stays. */
void serve_fail(struct serve *s, const struct error *e);

/* Ends in order: drains, runs hooks, removes what was set up. Calls after the first do nothing. */
void serve_stop(struct serve *s, bool drain, const char *who);

/* serve_steward.c */
int host_start(struct serve *s, struct error *e); /* before threads: cleans leftovers, starts the steward */
void host_watch(struct serve *s);		  /* from here on its answers are taken in the loop */
void host_up(struct serve *s);			  /* serve_up follows, or serve_fail and the end */
void host_down(struct serve *s);		  /* the end follows */
void host_leave(struct serve *s);

/* All is set up. */
void serve_up(struct serve *s);

/* serve_reload.c */
int serve_reload(struct serve *s, char **summary, struct error *e);
void serve_hangup(struct serve *s); /* the same for SIGHUP: into the log */

/* serve_metrics.c: the exporter, a process without rights that asks over a control connection of its own. */
int metrics_start(struct serve *s, struct error *e); /* before locks, threads and devices */
int metrics_adopt(struct serve *s);		     /* once the control socket is open */
/* Does a configuration want another place than is served? Only a new start can change it: a process without
 * keys cannot be made of one that has them, and threads. */
bool metrics_differ(const struct serve *s, const struct conf *fresh);

/* serve_beat.c: what happens every now and then. */
void beat_start(struct serve *s);
void beat_stop(struct serve *s);

#endif
