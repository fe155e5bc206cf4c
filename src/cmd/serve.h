/* The engine process: from configuration to a running tunnel, and back. Used by weir and weir-wg. */
#ifndef WEIR_CMD_SERVE_H
#define WEIR_CMD_SERVE_H

#include <stdbool.h>

#include "base/error.h"
#include "config/conf.h"

#define SERVE_VIEWS_MAX 2

struct serve_options {
	const char *ifname;
	struct conf *conf;     /* taken; NULL: weir-wg, which others configure */
	const char *run_dir;   /* NULL: /run/weir; else UAPI sockets are in run_dir/wireguard */
	const char *state_dir; /* NULL: /var/lib/weir */
	unsigned workers, time_divisor;
	unsigned history;    /* MiB of the recorded past, 0: none */
	const char *metrics; /* ADDRESS:PORT, unix:PATH or "off"; NULL: as the configuration says */
	bool plain_io, no_sandbox;
	int tun_fd, uapi_fd;	    /* -1: make them */
	int views[SERVE_VIEWS_MAX]; /* dashboards that are connected already, -1: none; taken */
	bool readonly;		    /* these views may only look */
	void (*ready)(void *arg);   /* called once when all is up; may be NULL */
	void *ready_arg;
	bool silent;   /* no log lines on stderr */
	bool detached; /* the terminal is left once it is ready */
};

/* Runs until it is told to end. EXIT_OK after an orderly end, else an exit code with words. */
int serve(const struct serve_options *o, struct error *e);

#endif
