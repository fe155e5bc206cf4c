/* What terminfo knows about this terminal; curses stays behind this door. */
#ifndef WEIR_TUI_TERM_CURSES_H
#define WEIR_TUI_TERM_CURSES_H

#include <stdbool.h>
#include <stddef.h>

/* Loads the entry of a terminal type; false if there is none. */
bool terminfo_load(const char *name, int fd);
void terminfo_unload(void);

/* A string capability by its terminfo name, without padding; "" if the terminal lacks it. */
void terminfo_string(char *out, size_t size, const char *name);

/* The same with up to two parameters filled in. */
void terminfo_filled(char *out, size_t size, const char *name, int a, int b);

bool terminfo_has(const char *name);
bool terminfo_flag(const char *name);
int terminfo_number(const char *name);

#endif
