/*
 * JSON text straight into a string buffer: snapshots of thousands of peers need no tree of objects. The
 * caller nests correctly; commas come by themselves.
 */
#ifndef WEIR_CONTROL_JSON_WRITER_H
#define WEIR_CONTROL_JSON_WRITER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"

struct writer {
	struct strbuf *to;
	bool comma; /* a member or element came before at this level */
};

void writer_open(struct writer *w, char bracket);     /* '{' or '[' */
void writer_close(struct writer *w, char bracket);    /* '}' or ']' */
void writer_name(struct writer *w, const char *name); /* plain ASCII, not escaped */

/* Bytes that are not UTF-8 become U+FFFD; control characters are escaped. */
void writer_text(struct writer *w, const char *text);
void writer_count(struct writer *w, uint64_t value);
void writer_flag(struct writer *w, bool value);

/* Nanoseconds as seconds with three decimals (times) or six (durations). */
void writer_time(struct writer *w, uint64_t ns);
void writer_duration(struct writer *w, uint64_t ns);

/* part of whole with four decimals, 0 when there is no whole. */
void writer_ratio(struct writer *w, uint64_t part, uint64_t whole);

/* Name and value. */
void member_text(struct writer *w, const char *name, const char *text);
void member_count(struct writer *w, const char *name, uint64_t value);
void member_flag(struct writer *w, const char *name, bool value);
void member_time(struct writer *w, const char *name, uint64_t ns);
void member_duration(struct writer *w, const char *name, uint64_t ns);

#endif
