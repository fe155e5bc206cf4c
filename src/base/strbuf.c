#include "base/strbuf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* Room for `more` bytes and the terminator. */
static void reserve(struct strbuf *s, size_t more)
{
	size_t room = s->room ? s->room : 64;

	if (s->room - s->len > more)
		return;
	while (room - s->len <= more)
		room *= 2;
	s->text = xrealloc(s->text, room);
	s->room = room;
}

void strbuf_add(struct strbuf *s, const char *fmt, ...)
{
	va_list ap;
	int n;

	reserve(s, 0);
	va_start(ap, fmt);
	n = vsnprintf(s->text + s->len, s->room - s->len, fmt, ap);
	va_end(ap);
	if (n < 0)
		return; /* only a broken format or wide string does that */
	if ((size_t)n >= s->room - s->len) {
		reserve(s, (size_t)n);
		va_start(ap, fmt);
		vsnprintf(s->text + s->len, s->room - s->len, fmt, ap);
		va_end(ap);
	}
	s->len += (size_t)n;
}

void strbuf_append(struct strbuf *s, const void *bytes, size_t len)
{
	reserve(s, len);
	if (len)
		memcpy(s->text + s->len, bytes, len);
	s->len += len;
	s->text[s->len] = '\0';
}

void strbuf_consume(struct strbuf *s, size_t len)
{
	if (!s->text)
		return;
	if (len > s->len)
		len = s->len;
	memmove(s->text, s->text + len, s->len - len + 1);
	s->len -= len;
}

void strbuf_clear(struct strbuf *s)
{
	free(s->text);
	*s = (struct strbuf){0};
}
