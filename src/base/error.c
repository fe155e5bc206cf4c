#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static int fill(struct error *e, enum exit_code exit, int code, const char *fmt, va_list ap)
{
	if (e) {
		char text[sizeof(e->text)]; /* the arguments may point into e->text */

		vsnprintf(text, sizeof(text), fmt, ap);
		snprintf(e->text, sizeof(e->text), "%s", text);
		e->code = code;
		e->exit = exit;
	}
	return code ? -code : -EINVAL;
}

int error_set(struct error *e, int code, const char *fmt, ...)
{
	enum exit_code exit = code == EPERM || code == EACCES ? EXIT_NOT_PERMITTED : EXIT_FAIL;
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = fill(e, exit, code, fmt, ap);
	va_end(ap);
	return ret;
}

int error_exit(struct error *e, enum exit_code exit, int code, const char *fmt, ...)
{
	va_list ap;
	int ret;

	va_start(ap, fmt);
	ret = fill(e, exit, code, fmt, ap);
	va_end(ap);
	return ret;
}
