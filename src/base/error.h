/* One error, in words that name what, where and what to do. */
#ifndef WEIR_BASE_ERROR_H
#define WEIR_BASE_ERROR_H

#include <stdbool.h>

/* Exit codes of every command (weir(8), EXIT STATUS). */
enum exit_code {
	EXIT_OK = 0,
	EXIT_FAIL = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_UNHEALTHY = 4,
	EXIT_NOT_PERMITTED = 77,
	EXIT_CONFIG = 78,
};

struct error {
	int code;	    /* positive errno value, 0 if none applies */
	enum exit_code exit; /* what the program should exit with; EXIT_FAIL unless said otherwise */
	char text[512];
};

/* Fills *e (which may be NULL) and returns -code, or -EINVAL when code is 0. */
int error_set(struct error *e, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The same with an exit code of its own. */
int error_exit(struct error *e, enum exit_code exit, int code, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
