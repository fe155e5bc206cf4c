/* Allocation that cannot fail: out of memory ends the process, with a line that says so. */
#ifndef WEIR_BASE_XALLOC_H
#define WEIR_BASE_XALLOC_H

#include <stddef.h>

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
void *xcalloc_aligned(size_t alignment, size_t size); /* alignment: a power of two */
char *xstrdup(const char *text);
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
