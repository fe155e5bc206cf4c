/* Shared by serve*.c. */
#ifndef WEIR_CMD_SERVE_INTERNAL_H
#define WEIR_CMD_SERVE_INTERNAL_H

#include <pthread.h>
#include <stdbool.h>

#include "cmd/output.h"
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
	char *uapi_dir, *journal; /* uapi_dir NULL: the usual */

	int lock_fd;
	struct output *output;
	struct steward *steward;
	struct loop *loop;
	struct engine *engine;
	struct uapi *uapi;
	struct control *control;
	struct loop_timer *beat; /* watchdog, status, views that left */
	struct loop_timer *patience;

	enum phase phase;
	unsigned signals;  /* SIGTERM and SIGINT so far */
	bool stop_when_up; /* asked to stop while hooks still run */
	bool reload_when_up;
	bool had_views;
	bool auto_mark; /* the fwmark is ours, not the file's */
	uint64_t turns; /* of the loop at the last beat */
	uint64_t alive_due, alive_interval;

	bool job_runs; /* a thread waits for the steward: nobody else may talk to it */
	pthread_t job;
	int (*job_fn)(struct serve *s);
	void (*job_done)(struct serve *s);
	int job_result;
	struct error job_error;
	uint32_t job_fwmark;

	int code;	    /* exit code */
	struct error error; /* words that go with it */
};

/* serve_steward.c: requests to the steward that run hooks and so take their time, off the control thread. */
void steward_job(struct serve *s, int (*fn)(struct serve *s), void (*done)(struct serve *s));

/* serve_reload.c */
int serve_reload(struct serve *s, char **summary, struct error *e);

/* serve_beat.c: what happens every now and then. */
void beat_start(struct serve *s);
void beat_stop(struct serve *s);

#endif
