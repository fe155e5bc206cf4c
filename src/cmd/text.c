#include "cmd/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/options.h"

const char *text_age(char out[TEXT_FIGURE], double seconds)
{
	unsigned long s = seconds > 0 ? (unsigned long)seconds : 0;
	unsigned long minutes = s / 60, hours = s / 3600, days = s / 86400;

	if (s < 120)
		snprintf(out, TEXT_FIGURE, "%lu s", s);
	else if (hours < 1)
		snprintf(out, TEXT_FIGURE, "%lu min", minutes);
	else if (days < 1)
		snprintf(out, TEXT_FIGURE, "%lu h %lu min", hours, minutes % 60);
	else
		snprintf(out, TEXT_FIGURE, "%lu d %lu h", days, hours % 24);
	return out;
}

const char *text_bytes(char out[TEXT_FIGURE], double bytes)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	unsigned unit = 0;

	while (bytes >= 1024 && unit < 5) {
		bytes /= 1024;
		unit++;
	}
	snprintf(out, TEXT_FIGURE, "%.*f %s", unit && bytes < 1000, bytes, units[unit]);
	return out;
}

char *text_tame(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c; c++) {
		bool c1 = c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0;

		if (*c < 0x20 || *c == 0x7f)
			*c = '?';
		if (c1)
			c[0] = c[1] = '?';
	}
	return text;
}

void text_complain(const char *text)
{
	char *copy = xstrdup(text), *save = NULL;
	const char *before = "weir: ";

	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		fprintf(stderr, "%s%s\n", before, text_tame(line));
		before = "";
	}
	free(copy);
}

bool text_colored(const struct options *o, int fd)
{
	const char *term = getenv("TERM");

	if (o->color != TUI_COLOR_AUTO)
		return o->color == TUI_COLOR_ALWAYS;
	return isatty(fd) && term && strcmp(term, "dumb") != 0;
}
