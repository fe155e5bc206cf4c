/* The words after '/', and the steps between the rows that have them. */
#include "tui/model_internal.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"

bool line_edit(char *line, size_t room, uint32_t code)
{
	size_t len = strlen(line);
	char utf8[4];

	if (code == K_BACKSPACE || code == 8) {
		while (len && ((unsigned char)line[len - 1] & 0xc0) == 0x80)
			len--;
		line[len ? len - 1 : 0] = '\0';
	} else if (code == CTRL_('U')) {
		*line = '\0';
	} else if (code >= ' ' && code < 0x110000 && text_width(code)) {
		size_t used = text_encode(utf8, code);

		if (len + used < room) {
			memcpy(line + len, utf8, used);
			line[len + used] = '\0';
		}
	} else {
		return false;
	}
	return true;
}

const char *model_filter(const struct model *m)
{
	return m->screen == SCREEN_LOG	     ? m->log_filter
	       : m->screen == SCREEN_PACKETS ? m->packet_filter
					     : m->filter;
}

char *filter_of_screen(struct model *m, size_t *room)
{
	*room = m->screen == SCREEN_PACKETS ? PACKET_FILTER_ROOM : FILTER_ROOM;
	return m->screen == SCREEN_LOG	     ? m->log_filter
	       : m->screen == SCREEN_PACKETS ? m->packet_filter
					     : m->filter;
}

static bool row_matches(const struct model *m, const struct data *d, size_t row)
{
	if (m->screen == SCREEN_PEERS)
		return row_matches_peer(m, d->peers[m->rows.index[row]], m->pattern);
	return row_matches_line(&d->log[m->lines.index[row]], m->pattern);
}

static void step_match(struct model *m, const struct data *d, int by, double now, struct effects *fx)
{
	size_t n = m->screen == SCREEN_PEERS ? m->rows.count : m->lines.count;
	size_t at = m->screen == SCREEN_PEERS ? m->row : m->line;

	if (!*m->pattern) {
		model_say(m, now, false, "nothing to look for yet: / takes the words");
		return;
	}
	for (size_t i = 1; i < n; i++) {
		size_t row = (at + (by > 0 ? i : n - i)) % n;

		if (row_matches(m, d, row)) {
			move(m, d, (long)row - (long)at, fx);
			return;
		}
	}
	model_say(m, now, false, "no other row with \"%s\"", m->pattern);
}

static void start_filter(struct model *m)
{
	size_t room;

	m->mode = MODE_FILTER;
	text_copy(m->filter_before, sizeof(m->filter_before), filter_of_screen(m, &room));
	text_copy(m->selected_before, sizeof(m->selected_before), m->selected);
}

bool filter_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_FILTER:
		start_filter(m);
		break;
	case COMMAND_NEXT_MATCH:
	case COMMAND_PREVIOUS_MATCH:
		step_match(m, d, c == COMMAND_NEXT_MATCH ? 1 : -1, now, fx);
		break;
	default:
		return false;
	}
	return true;
}

/* Typing after '/': every change filters at once. */
void filter_key(struct model *m, const struct data *d, uint32_t code, struct effects *fx)
{
	size_t room;
	char *filter = filter_of_screen(m, &room);

	if (code == '\r' || code == '\n') {
		m->mode = MODE_NORMAL;
		text_copy(m->pattern, FILTER_ROOM, filter);
	} else if (code == K_ESCAPE || code == CTRL_('C')) {
		m->mode = MODE_NORMAL;
		text_copy(filter, room, m->filter_before);
	} else {
		line_edit(filter, room, code);
	}
	/* The peer that was selected comes back as soon as the filter lets it. */
	text_copy(m->selected, sizeof(m->selected), m->selected_before);
	if (m->screen == SCREEN_PACKETS)
		packets_filtered(m, d, fx);
	model_sync(m, d, fx);
}
