/* A growing string. */
#ifndef WEIR_BASE_STRBUF_H
#define WEIR_BASE_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *text; /* NUL-terminated once anything was added; NULL before */
	size_t len, room;
};

void strbuf_add(struct strbuf *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void strbuf_append(struct strbuf *s, const void *bytes, size_t len);
void strbuf_consume(struct strbuf *s, size_t len); /* drops the first len bytes */
void strbuf_clear(struct strbuf *s);		    /* frees */

#endif
