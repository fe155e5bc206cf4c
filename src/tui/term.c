#include "tui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#include <wchar.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tui/frame.h"
#include "tui/input.h"
#include "tui/keys.h"
#include "tui/style.h"
#include "tui/term_curses.h"
#include "tui/text.h"
#include "tui/tui.h"

#define RESTORE_WAIT_NS (500 * NS_PER_MS)

struct term {
	int fd;
	bool shared_fd; /* fd is a dup: O_NONBLOCK is visible to others and is taken back */
	struct term_options options;
	bool ascii, started, gone, mouse;
	struct termios saved;
	struct frame_caps caps;
	char styles[32][48], moved[32], clear[32], clear_eol[32];
	struct grid shown;
	bool known; /* shown is what the terminal shows */
	struct strbuf out;
	struct input input;
};

static const char *move_to(void *arg, int row, int col)
{
	struct term *t = arg;

	terminfo_filled(t->moved, sizeof(t->moved), "cup", row, col);
	return t->moved;
}

static void ansi_style(char *out, size_t size, struct style_look look, enum style_palette palette)
{
	int at = snprintf(out, size, "\033[");
	bool any = look.bold || look.underline || look.reverse || look.colour >= 0;

	if (any)
		at += snprintf(out + at, size - (size_t)at, "0%s%s%s", look.bold ? ";1" : "",
			       look.underline ? ";4" : "", look.reverse ? ";7" : "");
	if (look.colour >= 0 && palette == PALETTE_256)
		at += snprintf(out + at, size - (size_t)at, ";38;5;%d", look.colour);
	else if (look.colour >= 0)
		at += snprintf(out + at, size - (size_t)at, ";3%d", look.colour);
	snprintf(out + at, size - (size_t)at, "m");
}

static void terminfo_style(char *out, size_t size, struct style_look look)
{
	char piece[48];
	const char *parts[] = {"sgr0", look.bold ? "bold" : NULL, look.underline ? "smul" : NULL,
			       look.reverse ? "rev" : NULL};

	*out = '\0';
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (!parts[i])
			continue;
		terminfo_string(piece, sizeof(piece), parts[i]);
		snprintf(out + strlen(out), size - strlen(out), "%s", piece);
	}
	if (look.colour >= 0 && terminfo_has("setaf")) {
		terminfo_filled(piece, sizeof(piece), "setaf", look.colour, 0);
		snprintf(out + strlen(out), size - strlen(out), "%s", piece);
	}
}

static enum style_palette choose_palette(const struct term_options *o)
{
	const char *no_color = getenv("NO_COLOR");
	int colors = terminfo_number("colors");

	if (o->mono || o->color == TUI_COLOR_NEVER || (o->color == TUI_COLOR_AUTO && no_color && *no_color))
		return PALETTE_MONO;
	if (colors >= 256)
		return PALETTE_256;
	return colors >= 8 || o->color == TUI_COLOR_ALWAYS ? PALETTE_16 : PALETTE_MONO;
}

static void make_caps(struct term *t, const struct term_options *o)
{
	enum style_palette palette = choose_palette(o);
	char bold[32];
	bool ansi;

	terminfo_string(bold, sizeof(bold), "bold");
	ansi = strncmp(bold, "\033[1m", 4) == 0;
	for (int style = 0; style < 32; style++) {
		struct style_look look = style_look((uint8_t)style, palette);

		if (ansi)
			ansi_style(t->styles[style], sizeof(t->styles[style]), look, palette);
		else
			terminfo_style(t->styles[style], sizeof(t->styles[style]), look);
		t->caps.styles[style] = t->styles[style];
	}
	terminfo_string(t->clear, sizeof(t->clear), "clear");
	terminfo_string(t->clear_eol, sizeof(t->clear_eol), "el");
	t->caps.move = move_to;
	t->caps.arg = t;
	t->caps.clear = t->clear;
	t->caps.clear_eol = *t->clear_eol ? t->clear_eol : NULL;
	t->caps.last_cell = !terminfo_flag("am") || terminfo_flag("xenl") || terminfo_has("rmam");
}

static void make_keys(struct term *t)
{
	static const struct {
		const char *name;
		uint32_t code;
	} keys[] = {{"kcuu1", K_UP},	  {"kcud1", K_DOWN},	{"kcub1", K_LEFT}, {"kcuf1", K_RIGHT},
		    {"kpp", K_PAGE_UP},	  {"knp", K_PAGE_DOWN}, {"khome", K_HOME}, {"kend", K_END},
		    {"kcbt", K_BACK_TAB}, {"kf1", K_F(1)},	{"kf2", K_F(2)},   {"kf3", K_F(3)},
		    {"kf4", K_F(4)},	  {"kf6", K_F(6)},	{"kf9", K_F(9)},   {"kf10", K_F(10)},
		    {"kdch1", K_DELETE}};

	char bytes[32];

	input_init(&t->input);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		terminfo_string(bytes, sizeof(bytes), keys[i].name);
		input_add(&t->input, bytes, keys[i].code);
	}
}

/* UTF-8 needs the locale's word, and each glyph of ours one cell wide there (East Asian locales differ). */
static bool utf8_works(void)
{
	if (strcasecmp(nl_langinfo(CODESET), "UTF-8") != 0)
		return false;
	for (const uint32_t *g = style_glyphs; *g; g++)
		if (wcwidth((wchar_t)*g) != 1)
			return false;
	return true;
}

/*
 * A description of our own, so that O_NONBLOCK is not forced upon the shell that has the same terminal open.
 */
static int open_own(struct term *t)
{
	const char *name;

	t->fd = open("/dev/tty", O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (t->fd < 0 && (name = ttyname(STDOUT_FILENO)) != NULL)
		t->fd = open(name, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (t->fd < 0) {
		t->fd = dup(STDOUT_FILENO);
		t->shared_fd = true;
		if (t->fd >= 0)
			fd_set_nonblocking(t->fd);
	}
	return t->fd;
}

struct term *term_open(const struct term_options *o, struct error *e)
{
	const char *name = getenv("TERM");
	struct term *t;

	if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO)) {
		error_set(
			e, ENOTTY,
			"the dashboard needs a terminal on its input and output; weir status prints the same "
			"facts as lines");
		return NULL;
	}
	if (!name || !*name || !terminfo_load(name, STDOUT_FILENO)) {
		error_set(e, EINVAL,
			  "TERM=%s: this kind of terminal is not known here; set TERM to one that is, for "
			  "instance xterm, or use weir status",
			  name ? name : "");
		return NULL;
	}
	if (!terminfo_has("cup") || !terminfo_has("clear")) {
		error_set(e, EINVAL,
			  "TERM=%s: this kind of terminal cannot place its cursor; use weir status, or set "
			  "TERM "
			  "to what it really is",
			  name);
		terminfo_unload();
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	if (open_own(t) < 0) {
		error_set(e, errno, "cannot open the terminal: %s; use weir status", strerror(errno));
		terminfo_unload();
		free(t);
		return NULL;
	}
	t->options = *o;
	t->ascii = o->ascii || !utf8_works();
	make_caps(t, o);
	make_keys(t);
	return t;
}

void term_close(struct term *t)
{
	if (!t)
		return;
	if (t->shared_fd) {
		int flags = fcntl(t->fd, F_GETFL);

		fcntl(t->fd, F_SETFL, flags & ~O_NONBLOCK);
	}
	close(t->fd);
	terminfo_unload();
	grid_clear(&t->shown);
	strbuf_clear(&t->out);
	free(t);
}

static void put_capability(struct term *t, const char *name)
{
	char plain[64];

	terminfo_string(plain, sizeof(plain), name);
	strbuf_append(&t->out, plain, strlen(plain));
}

/* Buttons and wheel (1000) in decimal numbers (1006): what every emulator of the last decade knows. */
static void put_mouse(struct term *t, bool on)
{
	strbuf_add(&t->out, "\033[?1000%c\033[?1006%c", on ? 'h' : 'l', on ? 'h' : 'l');
}

void term_start(struct term *t)
{
	struct termios raw;

	if (tcgetattr(t->fd, &t->saved) == 0) {
		raw = t->saved;
		/* Signals by key would reach the engine too, which shares the process group: ^C and ^Z are
		 * keys here. Flow control stays the terminal's. */
		raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO | ISIG | IEXTEN);
		raw.c_iflag &= (tcflag_t) ~(ICRNL | INLCR | IGNCR | ISTRIP);
		raw.c_oflag &= (tcflag_t)~OPOST;
		raw.c_cc[VMIN] = 1;
		raw.c_cc[VTIME] = 0;
		tcsetattr(t->fd, TCSANOW, &raw);
	}
	put_capability(t, "smcup");
	put_capability(t, "smkx");
	put_capability(t, "rmam");
	if (t->mouse)
		put_mouse(t, true);
	t->known = false;
	t->started = true;
}

bool term_flush(struct term *t)
{
	while (t->out.len && !t->gone) {
		ssize_t n = write(t->fd, t->out.text, t->out.len);

		if (n > 0)
			strbuf_consume(&t->out, (size_t)n);
		else if (n == 0 || errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			t->gone = true;
	}
	return !t->gone;
}

/* Writes all of it, waiting for a slow terminal until the deadline. */
static bool drain(struct term *t, uint64_t deadline)
{
	while (t->out.len && term_flush(t) && t->out.len) {
		struct pollfd p = {.fd = t->fd, .events = POLLOUT};
		uint64_t now = clock_boot_ns();

		if (now >= deadline)
			return false;
		poll(&p, 1, (int)((deadline - now) / NS_PER_MS) + 1);
		if (p.revents & (POLLERR | POLLNVAL))
			return false;
	}
	return !t->gone;
}

static void restore_strings(struct term *t)
{
	strbuf_append(&t->out, t->styles[STYLE_PLAIN], strlen(t->styles[STYLE_PLAIN]));
	if (t->mouse)
		put_mouse(t, false);
	put_capability(t, "smam");
	put_capability(t, "rmkx");
	if (t->shown.height) {
		const char *end = move_to(t, t->shown.height - 1, 0);

		strbuf_append(&t->out, end, strlen(end));
	}
	if (terminfo_has("rmcup"))
		put_capability(t, "rmcup");
	else
		strbuf_append(&t->out, "\r\n", 2);
}

void term_stop(struct term *t)
{
	if (!t->started)
		return;
	t->started = false;
	restore_strings(t);
	if (!drain(t, clock_boot_ns() + RESTORE_WAIT_NS) && !t->gone) {
		/* Nobody reads: what is queued is thrown away, so that leaving does not hang either. */
		tcflush(t->fd, TCOFLUSH);
		strbuf_consume(&t->out, t->out.len);
		restore_strings(t);
		term_flush(t);
	}
	strbuf_consume(&t->out, t->out.len);
	tcsetattr(t->fd, TCSANOW, &t->saved);
	t->known = false;
}

int term_fd(const struct term *t)
{
	return t->fd;
}

bool term_ascii(const struct term *t)
{
	return t->ascii;
}

void term_size(const struct term *t, int *width, int *height)
{
	struct winsize size = {0};

	if (ioctl(t->fd, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row) {
		size.ws_col = 80;
		size.ws_row = 24;
	}
	*width = size.ws_col < 1000 ? size.ws_col : 1000;
	*height = size.ws_row < 500 ? size.ws_row : 500;
}

void term_draw(struct term *t, const struct grid *g)
{
	frame_diff(&t->out, t->known ? &t->shown : NULL, g, &t->caps);
	if (t->shown.width != g->width || t->shown.height != g->height) {
		grid_clear(&t->shown);
		grid_init(&t->shown, g->width, g->height, g->ascii);
	}
	memcpy(t->shown.cells, g->cells, (size_t)(g->width * g->height) * sizeof(*g->cells));
	t->shown.cursor_row = g->cursor_row;
	t->shown.cursor_col = g->cursor_col;
	t->known = true;
}

void term_forget(struct term *t)
{
	t->known = false;
}

void term_mouse(struct term *t, bool on)
{
	if (t->mouse != on && t->started)
		put_mouse(t, on);
	t->mouse = on;
}

void term_plain(struct term *t, bool on)
{
	struct term_options o = t->options;

	o.mono |= on;
	t->ascii = on || o.ascii || !utf8_works();
	make_caps(t, &o);
	t->known = false;
}

void term_copy(struct term *t, const char *text)
{
	size_t len = strlen(text);
	char *encoded = xmalloc(TEXT_BASE64_ROOM(len));

	text_base64(encoded, text, len);
	strbuf_add(&t->out, "\033]52;c;%s\a", encoded);
	free(encoded);
}

bool term_busy(const struct term *t)
{
	return t->out.len > 0;
}

bool term_read(struct term *t)
{
	char bytes[128];
	ssize_t n = read(t->fd, bytes, sizeof(bytes));

	if (n > 0)
		input_feed(&t->input, bytes, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
		t->gone = true;
	return !t->gone;
}

uint32_t term_key(struct term *t, bool late, bool *wait)
{
	uint32_t code = input_next(&t->input, late);

	*wait = !code && t->input.len > 0;
	return code;
}

void term_say(struct term *t, const char *text)
{
	strbuf_add(&t->out, "weir: %s\n", text);
	drain(t, clock_boot_ns() + RESTORE_WAIT_NS);
}

void term_leave_picture(struct term *t, const struct grid *g)
{
	struct strbuf text = {0};

	grid_text(g, &text);
	for (size_t start = 0; start < text.len;) {
		const char *line = text.text + start, *end = memchr(line, '\n', text.len - start);
		size_t len = end ? (size_t)(end - line) : text.len - start, trimmed = len;

		while (trimmed && line[trimmed - 1] == ' ')
			trimmed--;
		strbuf_append(&t->out, line, trimmed);
		strbuf_append(&t->out, "\n", 1);
		start += len + 1;
	}
	drain(t, clock_boot_ns() + RESTORE_WAIT_NS);
	strbuf_clear(&text);
}
