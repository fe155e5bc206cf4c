/*
 * The only file that knows curses, and it uses terminfo alone: drawing with curses is out of the question,
 * since refresh() blocks on a terminal that does not read.
 */
#include "tui/term_curses.h"

#include <string.h>

#include <curses.h>
#include <term.h>

bool terminfo_load(const char *name, int fd)
{
	int status;

	return setupterm((char *)name, fd, &status) != ERR;
}

void terminfo_unload(void)
{
	del_curterm(cur_term);
}

static const char *capability(const char *name)
{
	const char *s = tigetstr((char *)name);

	return s && s != (char *)-1 ? s : NULL;
}

/* Old entries ask for pauses, "$<5>", which nothing needs that is reached over a network. */
static void without_padding(char *dst, size_t size, const char *s)
{
	size_t at = 0;

	while (s && *s && at + 1 < size) {
		const char *end = s[0] == '$' && s[1] == '<' ? strchr(s, '>') : NULL;

		if (end)
			s = end + 1;
		else
			dst[at++] = *s++;
	}
	dst[at] = '\0';
}

void terminfo_string(char *out, size_t size, const char *name)
{
	without_padding(out, size, capability(name));
}

void terminfo_filled(char *out, size_t size, const char *name, int a, int b)
{
	const char *s = capability(name);

	without_padding(out, size, s ? tparm((char *)s, a, b) : NULL);
}

bool terminfo_has(const char *name)
{
	return capability(name) != NULL;
}

bool terminfo_flag(const char *name)
{
	return tigetflag((char *)name) == 1;
}

int terminfo_number(const char *name)
{
	return tigetnum((char *)name);
}
