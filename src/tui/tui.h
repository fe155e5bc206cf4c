/* The dashboard: a client of weir-control(7) with a curses screen. It holds no key and no privilege. */
#ifndef WEIR_TUI_TUI_H
#define WEIR_TUI_TUI_H

#include <stdbool.h>
#include <stdio.h>

#include "base/error.h"

enum tui_color { TUI_COLOR_AUTO, TUI_COLOR_ALWAYS, TUI_COLOR_NEVER };

struct tui_options {
	int fd;	       /* connected control socket; tui_run takes it */
	bool readonly; /* no key that changes anything */
	bool ascii;    /* no UTF-8 even if the locale has it */
	bool slow;     /* mono, ASCII, every 5 s */
	enum tui_color color;
	bool bundle;	      /* nothing but the past: it is shown at once, and there is no way back to now */
	double past_at;	      /* the moment shown first (Unix seconds), 0: the last one */
	const char *settings; /* path of view.conf, NULL: none */
};

/* How the view ended. */
enum tui_end { TUI_QUIT, TUI_ENGINE_GONE, TUI_TERMINAL_GONE, TUI_FAILED };

/*
 * Runs until the user leaves; needs stdin and stdout on a terminal. For every end but TUI_QUIT *e says in one
 * sentence what happened; the terminal is as it was before. The end of the engine has been told on the
 * terminal then; the rest is for the caller to print. No terminal, or one that cannot be drawn on: TUI_FAILED
 * before anything is drawn.
 */
enum tui_end tui_run(const struct tui_options *o, struct error *e);

/* The list of keys in mdoc, from the table that the view itself uses: the KEYS section of weir(8). */
void tui_keys_mdoc(FILE *f);

#endif
