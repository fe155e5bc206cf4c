#include "tui/keys.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/tui.h"

#define PEERS	WHERE_PEERS
#define PEER	WHERE_PEER
#define LOG	WHERE_LOG
#define MENU	WHERE_MENU
#define PACKETS WHERE_PACKETS
#define ALL	WHERE_ALL
#define CHANGES KEY_CHANGES
#define ASKS	KEY_ASKS
#define CODES(...)                                                                                           \
	{                                                                                                    \
		__VA_ARGS__                                                                                  \
	}
#define KEY(command, where, flags, codes, group, shown, hint, rank, text, about)                             \
	{COMMAND_##command, where, flags, codes, GROUP_##group, shown, hint, rank, text, about},

const struct key_entry key_table[] = {
#include "tui/keys.def"
};
const size_t key_table_size = sizeof(key_table) / sizeof(key_table[0]);

#undef KEY

const struct key_entry *key_find(uint32_t code, enum where where, bool readonly)
{
	for (size_t i = 0; code && i < key_table_size; i++) {
		const struct key_entry *e = &key_table[i];

		if (!(e->where & where) || (readonly && (e->flags & KEY_CHANGES)))
			continue;
		for (int k = 0; k < KEY_CODES_MAX; k++)
			if (e->codes[k] == code)
				return e;
	}
	return NULL;
}

const struct key_entry *key_of(enum command command)
{
	for (size_t i = 0; i < key_table_size; i++)
		if (key_table[i].command == command)
			return &key_table[i];
	return NULL;
}

const char *key_name(char out[16], uint32_t code)
{
	static const char *const names[] = {"Up",   "Down", "Left",  "Right",	  "PageUp", "PageDown",
					    "Home", "End",  "S-Tab", "Backspace", "Delete"};

	if (code >= K_UP && code < K_F0)
		snprintf(out, 16, "%s", names[code - K_UP]);
	else if (code > K_F0)
		snprintf(out, 16, "F%u", (unsigned)(code - K_F0));
	else if (code == K_ESCAPE)
		snprintf(out, 16, "Esc");
	else if (code == '\r' || code == '\n')
		snprintf(out, 16, "Enter");
	else if (code == '\t')
		snprintf(out, 16, "Tab");
	else if (code == ' ')
		snprintf(out, 16, "Space");
	else if (code < 0x20)
		snprintf(out, 16, "Ctrl-%c", (int)code + '@');
	else
		out[text_encode(out, code)] = '\0';
	return out;
}

const char *key_group_title(enum key_group group)
{
	static const char *const titles[GROUPS] = {
		"MOVE",	   "FIND AND SORT", "VIEW",	 "ACT ON A PEER, OR ON ALL TAGGED",
		"PACKETS", "LOG",	    "EVERYWHERE"};

	return titles[group];
}

#define GAP 2

static bool hinted(const struct key_entry *e, enum where where, bool readonly, unsigned limit)
{
	return *e->hint && e->rank <= limit && (e->where & where) && !(readonly && (e->flags & KEY_CHANGES));
}

/* The highest rank at which everything up to it fits. */
static unsigned hint_limit(enum where where, bool readonly, int width)
{
	unsigned limit = 0;

	for (unsigned rank = 1; rank < 32; rank++) {
		int cells = 0;

		for (size_t i = 0; i < key_table_size; i++)
			if (hinted(&key_table[i], where, readonly, rank))
				cells += (int)text_cells(key_table[i].hint) + GAP;
		if (cells - GAP > width)
			break;
		limit = rank;
	}
	return limit;
}

void key_hints(char *out, size_t size, enum where where, bool readonly, int width)
{
	unsigned limit = hint_limit(where, readonly, width);
	size_t at = 0;

	*out = '\0';
	for (size_t i = 0; i < key_table_size; i++)
		if (hinted(&key_table[i], where, readonly, limit))
			at += (size_t)snprintf(out + at, at < size ? size - at : 0, "%s%s", at ? "  " : "",
					       key_table[i].hint);
}

enum command key_hint_at(enum where where, bool readonly, int width, int cell)
{
	unsigned limit = hint_limit(where, readonly, width);
	int at = 0;

	for (size_t i = 0; i < key_table_size; i++) {
		int cells = (int)text_cells(key_table[i].hint);

		if (!hinted(&key_table[i], where, readonly, limit))
			continue;
		if (cell >= at && cell < at + cells)
			return key_table[i].command;
		at += cells + GAP;
	}
	return COMMAND_NONE;
}

/* mdoc wants some characters spelled. */
static void put_key(FILE *f, uint32_t code, bool first)
{
	char name[16];

	key_name(name, code);
	fprintf(f, "%s", first ? " " : " , ");
	if (strcmp(name, "\\") == 0)
		fputs("\\e", f);
	else if (strlen(name) == 1 && strchr("[]()<>=?!|.,:;/+-'\"`^~", name[0]))
		fprintf(f, "\\&%s", name);
	else
		fputs(name, f);
}

/* Each sentence on a line of its own, and no line longer than 78, as mdoc wants it. */
static void put_about(FILE *f, const struct key_entry *e)
{
	size_t column = 0;

	fputc('\n', f);
	for (const char *s = e->about; *s; s++) {
		bool sentence = s > e->about && s[-1] == '.';

		if (*s == ' ' && (sentence || column + 1 + strcspn(s + 1, " ") > 78)) {
			fputc('\n', f);
			column = 0;
		} else {
			fputc(*s, f);
			column++;
		}
	}
	fputs(e->flags & KEY_ASKS ? "\nAsks first.\n" : "\n", f);
}

static bool group_has_keys(enum key_group group)
{
	for (size_t i = 0; i < key_table_size; i++)
		if (key_table[i].group == group)
			return true;
	return false;
}

void tui_keys_mdoc(FILE *f)
{
	for (int group = 0; group < GROUPS; group++) {
		const struct key_entry *open = NULL;

		if (!group_has_keys((enum key_group)group))
			continue;
		fprintf(f, ".Ss %s\n.Bl -tag -width Ds\n", key_group_title(group));
		for (size_t i = 0; i < key_table_size; i++) {
			const struct key_entry *e = &key_table[i];

			if (e->group != (enum key_group)group)
				continue;
			if (e->shown) {
				if (open)
					put_about(f, open);
				open = e;
				fputs(".It Ic", f);
				/* Keys of the menu come after the one that opens it. */
				if (e->where == WHERE_MENU)
					fputs(" x", f);
				put_key(f, e->codes[0], true);
			} else {
				put_key(f, e->codes[0], false);
			}
			for (int k = 1; k < KEY_CODES_MAX && e->codes[k]; k++)
				if (e->codes[k] != '\n')
					put_key(f, e->codes[k], false);
		}
		if (open)
			put_about(f, open);
		fputs(".El\n", f);
	}
}
