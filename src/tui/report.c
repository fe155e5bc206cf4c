#include "tui/report.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tui/text.h"

#define REPORT_WIDTH  110
#define REPORT_HEIGHT 160

/* Rows without the blanks at their ends; of blank rows in a row only one stays. */
static void add_rows(struct strbuf *out, const struct grid *g, int first)
{
	struct strbuf text = {0};
	char *save = NULL;
	bool blank = true;
	int row = 0;

	grid_text(g, &text);
	for (char *line = text.text; line && row < g->height - 1; row++) {
		size_t len = strcspn(line, "\n");

		save = line + len + (line[len] == '\n');
		while (len && line[len - 1] == ' ')
			len--;
		if (row >= first && (len || !blank)) {
			strbuf_append(out, line, len);
			strbuf_append(out, "\n", 1);
			blank = !len;
		}
		line = save;
	}
	strbuf_clear(&text);
}

/* The Peer screen, pane by pane, as privacy mode shows it: what it hides no report tells. */
void report_peer(struct strbuf *out, const struct scene *s, const struct peer *p)
{
	static const enum pane panes[] = {PANE_DIAGNOSIS, PANE_SESSIONS, PANE_NETWORK, PANE_COUNTERS,
					  PANE_TIMELINE};
	struct model m = *s->m;
	struct scene scene = {.d = s->d, .m = &m, .now = s->now};
	bool head = true;

	m.screen = SCREEN_PEER;
	m.mode = MODE_NORMAL;
	m.private = m.clock_times = m.pane_whole = true;
	m.slow = false;
	m.width = REPORT_WIDTH;
	m.height = REPORT_HEIGHT;
	*m.message = '\0';
	memset(m.pane_top, 0, sizeof(m.pane_top));
	text_copy(m.selected, sizeof(m.selected), p->key);
	strbuf_add(out, "weir %s: what the dashboard knows of a peer. Keys and addresses are left out.\n\n",
		   s->d->version);
	for (size_t i = 0; i < sizeof(panes) / sizeof(panes[0]); i++) {
		struct grid g;

		if ((panes[i] == PANE_DIAGNOSIS && !peer_findings(s->d, p)) ||
		    (panes[i] == PANE_NETWORK && !p->network))
			continue;
		m.pane = panes[i];
		grid_init(&g, REPORT_WIDTH, REPORT_HEIGHT, false);
		view_draw(&g, &scene);
		add_rows(out, &g, head ? 0 : 2);
		grid_clear(&g);
		head = false;
	}
}

void report_log(struct strbuf *out, const struct scene *s)
{
	char clock[FORMAT_ROOM], text[TEXT_ROOM], peer[LABEL_ROOM];

	for (size_t i = s->m->lines.count; i-- > 0;) {
		const struct log_line *line = &s->d->log[s->m->lines.index[i]];

		strbuf_add(out, "%sZ %-6s %-8s %-12s %s\n", format_clock(clock, line->at, true),
			   level_name(line->level), line->room, line_peer(peer, s->m, s->d, line->peer),
			   part_text(text, s, line->text));
	}
}

void report_name(char *out, size_t size, const struct scene *s, const struct peer *p)
{
	char label[LABEL_ROOM] = "log", stamp[32] = "";
	time_t at = s->now > 0 && s->now < 1e11 ? (time_t)s->now : 0;
	struct tm tm;

	/* A key's start would tell who: in a file name as little as in the text. */
	if (p)
		peer_label(label, p, true);
	if (gmtime_r(&at, &tm))
		strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &tm);
	snprintf(out, size, "weir-%s-%s-%s.txt", s->d->interface, label, stamp);
	for (char *c = out; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
			*c = '_';
}

/* A second one of the same name gets a number: "weir-2.txt". */
static int create(char *path, size_t size, const char *folder, const char *name)
{
	const char *end = strrchr(name, '.');
	int fd = -1, len = end ? (int)(end - name) : (int)strlen(name);

	for (int n = 1; n < 10 && fd < 0; n++) {
		char again[8] = "";

		if (n > 1)
			snprintf(again, sizeof(again), "-%d", n);
		if ((size_t)snprintf(path, size, "%s/%.*s%s%s", folder, len, name, again, end ? end : "") >=
		    size) {
			errno = ENAMETOOLONG;
			return -1;
		}
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -1;
	}
	return fd;
}

int report_write(const char *name, const struct strbuf *text, char *path, size_t size, struct error *e)
{
	const char *temporary = getenv("TMPDIR"),
		   *folders[] = {"", getenv("HOME"), temporary ? temporary : "/tmp"};
	char here[512];
	int fd = -1;

	folders[0] = getcwd(here, sizeof(here)) ? here : NULL;
	for (size_t i = 0; i < 3 && fd < 0; i++)
		if (folders[i] && *folders[i])
			fd = create(path, size, folders[i], name);
	if (fd < 0)
		return error_set(e, errno, "no file can be written here, at home or in %s: %s", folders[2],
				 strerror(errno));
	for (size_t at = 0; at < text->len;) {
		ssize_t n = write(fd, text->text + at, text->len - at);

		if (n <= 0) {
			error_set(e, errno, "cannot write %s: %s", path, strerror(errno));
			close(fd);
			unlink(path);
			return -1;
		}
		at += (size_t)n;
	}
	if (close(fd) < 0)
		return error_set(e, errno, "cannot write %s: %s", path, strerror(errno));
	return 0;
}
