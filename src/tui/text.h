/*
 * Text for cells. What the engine sends (names, reasons, log lines) is untrusted: text_clean makes it
 * harmless once, on arrival; everything after that may rely on it.
 */
#ifndef WEIR_TUI_TEXT_H
#define WEIR_TUI_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decodes one code point of s (not empty) into *ch. Bytes used, at least 1; malformed bytes give U+FFFD. */
size_t text_decode(const char *s, uint32_t *ch);

/* Encodes ch as UTF-8. Bytes written, at most 4; not terminated. */
size_t text_encode(char out[4], uint32_t ch);

/*
 * Cells that ch takes: 1 or 2; 0 for what must not reach a terminal. It is a table of ours and not wcwidth(),
 * so that a code point whose width terminals disagree about (emoji, combining marks) is never drawn at all.
 */
int text_width(uint32_t ch);

/*
 * Copies src into dst (size bytes, always terminated): control bytes become \xNN, undrawable code points '?',
 * runs of blanks stay. Never splits a code point.
 */
void text_clean(char *dst, size_t size, const char *src);

/* Cells of a clean string. */
size_t text_cells(const char *s);

/* Copies src without what tells who or where: addresses, host names, keys and starts of keys. For privacy
 * mode. */
void text_scrub(char *dst, size_t size, const char *src);

/* True if needle is somewhere in hay, ASCII letters of either case. */
bool text_contains(const char *hay, const char *needle);

/* Copies at most size - 1 bytes of a clean string, never splitting a code point. */
void text_copy(char *dst, size_t size, const char *src);

#define TEXT_BASE64_ROOM(n) (((n) + 2) / 3 * 4 + 1)
void text_base64(char *out, const void *bytes, size_t len); /* TEXT_BASE64_ROOM(len) bytes */

#endif
