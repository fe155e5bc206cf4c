/* Figures and foreign words, for people. */
#ifndef WEIR_CMD_TEXT_H
#define WEIR_CMD_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_FIGURE 32

const char *text_age(char out[TEXT_FIGURE], double seconds); /* "25 s", "4 min", "3 h 12 min", "5 d 2 h" */
const char *text_bytes(char out[TEXT_FIGURE], double bytes); /* "148 B", "12.2 MiB" */

/* Makes control characters (C0, DEL and C1 as UTF-8) harmless, in place. */
char *text_tame(char *text);

/* "weir: ..." on standard error, tame: what a file, an archive or another host said may be in it. Lines stay lines. */
void text_complain(const char *text);

/* Colour for a stream by --color, the environment and whether it is a terminal. */
struct options;
bool text_colored(const struct options *o, int fd);

#endif
