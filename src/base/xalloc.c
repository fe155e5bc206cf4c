#include "base/xalloc.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* No stdio here: it may want memory itself. */
static void *need(void *ptr)
{
	static const char line[] = "weir: out of memory\n";

	if (ptr)
		return ptr;
	if (write(STDERR_FILENO, line, sizeof(line) - 1) < 0)
		abort();
	abort();
}

void *xmalloc(size_t size)
{
	return need(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return need(count && size ? calloc(count, size) : calloc(1, 1));
}

void *xrealloc(void *ptr, size_t size)
{
	return need(realloc(ptr, size ? size : 1));
}

void *xcalloc_aligned(size_t alignment, size_t size)
{
	size_t whole = (size + alignment - 1) / alignment * alignment;
	void *ptr = need(aligned_alloc(alignment, whole));

	memset(ptr, 0, whole);
	return ptr;
}

char *xstrdup(const char *text)
{
	return need(strdup(text));
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	return need(n < 0 ? NULL : text);
}
