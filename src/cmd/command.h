/* What main.c's table holds, and what the commands share. */
#ifndef WEIR_CMD_COMMAND_H
#define WEIR_CMD_COMMAND_H

#include <net/if.h>
#include <stdio.h>

#include "base/error.h"
#include "cmd/options.h"
#include "control/client.h"

struct command {
	const char *name;
	/* words: what is left after the options. Returns an exit code; *e holds the words when it is not
	 * EXIT_OK. */
	int (*run)(const struct options *o, int count, char **words, struct error *e);
	const char *words;   /* as the synopsis shows them: "PEER|all" */
	int min, max;	     /* how many of them */
	const char *options; /* names out of option_table */
	const char *help;    /* one line */
};

extern const struct command commands[]; /* ends with an entry without a name */

/* Finds the command of argv, reads its options and runs it; prints errors. Returns the exit code of the
 * process. */
int command_run(int argc, char **argv);
void command_help(const struct command *c, FILE *to); /* NULL: of the program */

int up_main(const struct options *o, int count, char **words, struct error *e);
int attach_main(const struct options *o, int count, char **words, struct error *e);
int status_main(const struct options *o, int count, char **words, struct error *e);
int down_main(const struct options *o, int count, char **words, struct error *e);
int drain_main(const struct options *o, int count, char **words, struct error *e);
int handshake_main(const struct options *o, int count, char **words, struct error *e);
int reset_main(const struct options *o, int count, char **words, struct error *e);
int relay_main(const struct options *o, int count, char **words, struct error *e);
int rotate_main(const struct options *o, int count, char **words, struct error *e);
int probe_main(const struct options *o, int count, char **words, struct error *e);
int path_main(const struct options *o, int count, char **words, struct error *e);
int resolve_main(const struct options *o, int count, char **words, struct error *e);
int ladder_main(const struct options *o, int count, char **words, struct error *e);
int debug_main(const struct options *o, int count, char **words, struct error *e);
int reload_main(const struct options *o, int count, char **words, struct error *e);
int capture_main(const struct options *o, int count, char **words, struct error *e);
int log_main(const struct options *o, int count, char **words, struct error *e);
int events_main(const struct options *o, int count, char **words, struct error *e);
int top_main(const struct options *o, int count, char **words, struct error *e);
int completion_main(const struct options *o, int count, char **words, struct error *e);
int metrics_main(const struct options *o, int count, char **words, struct error *e);
int netreport_main(const struct options *o, int count, char **words, struct error *e);
int explain_main(const struct options *o, int count, char **words, struct error *e);
int trace_main(const struct options *o, int count, char **words, struct error *e);
int bundle_main(const struct options *o, int count, char **words, struct error *e);
int replay_main(const struct options *o, int count, char **words, struct error *e);
int lint_main(const struct options *o, int count, char **words, struct error *e);
int strip_main(const struct options *o, int count, char **words, struct error *e);

/* The interface that a word (a name or a configuration file, may be NULL) or --interface means, or else the
 * only one that runs. -errno and words when there is none, or more than one. */
int command_interface(const struct options *o, const char *word, char ifname[IFNAMSIZ], struct error *e);

/* command_interface and client_connect. ifname may be NULL. NULL on errors. */
struct client *command_connect(const struct options *o, const char *word, char ifname[IFNAMSIZ],
			       struct error *e);

/* e->exit of an error, but never EXIT_OK. */
int command_failed(const struct error *e);

#endif
