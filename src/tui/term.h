/*
 * The terminal: modes, size, keys in, frames out. Writing never blocks: a frame that was begun is finished
 * when the terminal reads again, and while it does not, no other is begun (term_busy), so frames get lost and
 * bytes do not.
 */
#ifndef WEIR_TUI_TERM_H
#define WEIR_TUI_TERM_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "tui/grid.h"

struct term;

struct term_options {
	bool ascii; /* whatever the locale says */
	int color;  /* enum tui_color */
	bool mono;  /* whatever else says */
};

/* Looks at the terminal without changing it. An error says why it cannot be drawn on, and what to do instead.
 */
struct term *term_open(const struct term_options *o, struct error *e);
void term_close(struct term *t); /* after term_stop */

/* Takes the screen, gives it back. Giving back waits half a second at most for a terminal that does not read.
 */
void term_start(struct term *t);
void term_stop(struct term *t);

int term_fd(const struct term *t);
bool term_ascii(const struct term *t);
void term_size(const struct term *t, int *width, int *height);

/* Turns what the terminal shows into `g`; the first frame after term_start or term_forget clears the screen.
 */
void term_draw(struct term *t, const struct grid *g);
void term_mouse(struct term *t, bool on); /* reports clicks and the wheel as keys (keys.h) */
void term_plain(struct term *t, bool on); /* mono and ASCII, or as it was opened; the next frame is whole */
void term_forget(struct term *t);
void term_copy(struct term *t, const char *text); /* to the clipboard, OSC 52 */

bool term_busy(const struct term *t); /* bytes wait to be written */
bool term_flush(struct term *t);      /* writes what it can; false: the terminal is gone */
bool term_read(struct term *t);	      /* takes in bytes of keys; false: the terminal is gone */

/* Next key, 0 if none. *wait is set when one is half there: call again with late after 25 ms. */
uint32_t term_key(struct term *t, bool late, bool *wait);

/* After term_stop: a line of text. */
void term_say(struct term *t, const char *text);

/* After term_stop: the last screen as plain lines, for the scrollback. */
void term_leave_picture(struct term *t, const struct grid *g);

#endif
