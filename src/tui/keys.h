/* Key codes and the key table (keys.def). */
#ifndef WEIR_TUI_KEYS_H
#define WEIR_TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A key is a Unicode code point, a control character, or one of these. */
enum key_code {
	K_NONE = 0,
	K_ESCAPE = 27,
	K_UP = 0x110000,
	K_DOWN,
	K_LEFT,
	K_RIGHT,
	K_PAGE_UP,
	K_PAGE_DOWN,
	K_HOME,
	K_END,
	K_BACK_TAB,
	K_BACKSPACE,
	K_DELETE,
	K_F0, /* K_F(1) is K_F0 + 1 */
	K_LAST = K_F0 + 12,
};
/* A mouse event: what happened (enum mouse), row and column. */
#define K_MOUSE 0x40000000u
#define MOUSE_CODE(what, row, col)                                                                           \
	(K_MOUSE | (uint32_t)(what) << 24 | (uint32_t)(row) << 12 | (uint32_t)(col))
#define MOUSE_WHAT(code) ((code) >> 24 & 3)
#define MOUSE_ROW(code)	 ((int)((code) >> 12 & 0xfff))
#define MOUSE_COL(code)	 ((int)((code)&0xfff))
enum mouse { MOUSE_CLICK, MOUSE_WHEEL_UP, MOUSE_WHEEL_DOWN };

#define K_F(n)	 (K_F0 + (n))
#define CTRL_(c) ((c)&0x1f)

enum where {
	WHERE_PEERS = 1,
	WHERE_PEER = 2,
	WHERE_LOG = 4,
	WHERE_MENU = 8,
	WHERE_PACKETS = 16,
	WHERE_ALL = 23
};
enum key_flags { KEY_CHANGES = 1, KEY_ASKS = 2 };
enum key_group {
	GROUP_MOVE,
	GROUP_FIND,
	GROUP_VIEW,
	GROUP_ACT,
	GROUP_PACKETS,
	GROUP_LOGS,
	GROUP_EVERYWHERE,
	GROUPS
};

#define KEY(command, ...) COMMAND_##command,
enum command {
	COMMAND_NONE,
#include "tui/keys.def"
	COMMANDS
};
#undef KEY

#define KEY_CODES_MAX 4

struct key_entry {
	enum command command;
	uint8_t where, flags;
	uint32_t codes[KEY_CODES_MAX];
	enum key_group group;
	const char *shown, *hint;
	unsigned rank;
	const char *text, *about;
};

extern const struct key_entry key_table[];
extern const size_t key_table_size;

/* The entry of a key on a screen, NULL if it does nothing there. */
const struct key_entry *key_find(uint32_t code, enum where where, bool readonly);
const struct key_entry *key_of(enum command command);

/* "j", "Down", "Ctrl-L", "F1", "Enter". out has 16 bytes. */
const char *key_name(char out[16], uint32_t code);

/* Title of a group on the help page. */
const char *key_group_title(enum key_group group);

/* The bottom line for a screen: as many hints as fit into `width` cells, the least important left out. */
/* The command of the hint that covers `cell` of that line, NONE if none does. */
enum command key_hint_at(enum where where, bool readonly, int width, int cell);
void key_hints(char *out, size_t size, enum where where, bool readonly, int width);

#endif
