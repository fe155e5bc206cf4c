/* Runs other programs: hooks, nft, resolvconf. Their output becomes log lines. */
#ifndef WEIR_SYSTEM_RUN_H
#define WEIR_SYSTEM_RUN_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/strbuf.h"

/* Output of a program that ended while something that it started in the background can still write: closing
 * it would kill that with SIGPIPE. */
#define RUN_OUTPUTS_MAX 16
struct run_output {
	int fd;
	char tag[24];
	struct strbuf line;
};
struct run_outputs {
	struct run_output items[RUN_OUTPUTS_MAX];
	unsigned count;
};

/* Logs what waits in one of them; it goes when its writers have gone. */
void run_outputs_read(struct run_outputs *o, unsigned index);
void run_outputs_close(struct run_outputs *o);

/*
 * Waits for argv[0] (found in PATH) to end. input (NULL: none) is its standard input; WEIR_INTERFACE is in
 * its environment; each line that it prints is logged behind `tag`. Its exit status, 128 + N when signal N
 * ended it, or -errno when it could not be started.
 */
int run_program(const char *const argv[], const char *input, const char *ifname, const char *tag,
		struct run_outputs *o);

/* A command line of the configuration, by bash (by sh where there is none). The same results. */
int run_command(const char *command, const char *ifname, const char *tag, struct run_outputs *o);

/* Puts stars over what has the form of a key, in place: commands and their output go to the log. */
void run_mask_keys(char *text);

/* Is there such a program in PATH? path (may be NULL) gets where. */
bool run_find(const char *program, char *path, size_t size);

#endif
