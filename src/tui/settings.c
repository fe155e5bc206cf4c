#include "tui/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "base/xalloc.h"

static const char *const sort_names[COLUMNS] = {"peer", "state", "path", "session", "key",    "handshake",
						"rtt",	"loss",	 "rx",	 "tx",	    "traffic"};

static void apply(struct model *m, const char *word, const char *value)
{
	bool yes = strcmp(value, "yes") == 0;

	if (strcmp(word, "interval") == 0) {
		for (unsigned i = 0; i < INTERVALS; i++)
			if (strtod(value, NULL) == model_intervals[i])
				m->interval = i;
	} else if (strcmp(word, "sort") == 0) {
		for (unsigned i = 0; i < COLUMNS; i++)
			if (strcmp(value, sort_names[i]) == 0)
				m->sort = i;
	} else if (strcmp(word, "invert") == 0) {
		m->inverted = yes;
	} else if (strcmp(word, "clock-times") == 0) {
		m->clock_times = yes;
	} else if (strcmp(word, "bits") == 0) {
		m->bits = yes;
	} else if (strcmp(word, "mouse") == 0) {
		m->mouse = yes;
	} else if (strcmp(word, "column") == 0 || strcmp(word, "no-column") == 0) {
		for (unsigned i = COLUMN_STATE + 1; i < COLUMNS; i++)
			if (strcmp(value, sort_names[i]) == 0)
				*(*word == 'c' ? &m->columns.on : &m->columns.off) |= 1u << i;
	} else if (strcmp(word, "hide-keys") == 0) {
		m->private = yes;
	}
}

void settings_load(struct model *m, const char *path)
{
	char *text = NULL, *save = NULL;
	size_t len;

	if (!path || file_read(path, &text, &len, 65536, NULL) < 0)
		return;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char word[32], value[32];

		if (sscanf(line, "%31s %31s", word, value) == 2 && *word != '#')
			apply(m, word, value);
	}
	free(text);
}

/* ~/.config and ~/.config/weir may not be there yet; if they cannot be made, writing says why. */
static void make_folders(const char *path)
{
	char *folder = xstrdup(path), *slash = strrchr(folder, '/'), *above;

	if (slash && slash != folder) {
		*slash = '\0';
		above = strrchr(folder, '/');
		if (above && above != folder) {
			*above = '\0';
			file_make_folder(folder, 0700, NULL);
			*above = '/';
		}
		file_make_folder(folder, 0700, NULL);
	}
	free(folder);
}

int settings_save(const struct model *m, const char *path, struct error *e)
{
	/* What a slow terminal made necessary is no setting. */
	unsigned interval = m->slow ? m->interval_before : m->interval;
	struct strbuf text = {0};
	int r;

	strbuf_add(&text,
		   "# What was changed in the dashboard of weir(8); it is written again at each change.\n");
	if (interval != m->interval_default)
		strbuf_add(&text, "interval %g\n", model_intervals[interval]);
	if (m->sort != SORT_WORST)
		strbuf_add(&text, "sort %s\n", sort_names[m->sort]);
	if (m->inverted)
		strbuf_add(&text, "invert yes\n");
	if (m->clock_times)
		strbuf_add(&text, "clock-times yes\n");
	if (m->bits)
		strbuf_add(&text, "bits yes\n");
	if (m->private)
		strbuf_add(&text, "hide-keys yes\n");
	if (m->mouse)
		strbuf_add(&text, "mouse yes\n");
	for (unsigned i = 0; i < COLUMNS; i++)
		if ((m->columns.on | m->columns.off) >> i & 1)
			strbuf_add(&text, "%scolumn %s\n", m->columns.on >> i & 1 ? "" : "no-",
				   sort_names[i]);
	make_folders(path);
	r = file_replace(path, text.text, text.len, 0600, e);
	strbuf_clear(&text);
	return r;
}
