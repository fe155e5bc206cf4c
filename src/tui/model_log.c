/* The Log screen: the line that is selected, and what is shown. */
#include "tui/model_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "tui/text.h"

void follow_line(struct model *m, const struct data *d)
{
	if (m->follow || !m->lines.count) {
		m->line = m->line_top = 0;
	} else {
		size_t i = 0;

		while (i + 1 < m->lines.count && d->log[m->lines.index[i]].seq > m->line_selected)
			i++;
		/* It stays where it is on the screen while newer ones come in above. */
		if (i > m->line)
			m->line_top += i - m->line;
		m->line = i;
	}
	if (m->lines.count)
		m->line_selected = d->log[m->lines.index[m->line]].seq;
}

/* Lines name a peer by its name, or by the start of its key. */
static bool is_about(const char *line_peer, const struct peer *p)
{
	size_t start = strspn(line_peer, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");

	return strcmp(p->name, line_peer) == 0 ||
	       (!*p->name && start >= 4 && strncmp(p->key, line_peer, start) == 0);
}

void log_only(struct model *m, const struct data *d, double now)
{
	const struct peer *p = model_selected(m, d);
	char label[LABEL_ROOM];

	for (size_t i = d->log_count; p && i--;)
		if (*d->log[i].peer && is_about(d->log[i].peer, p)) {
			text_copy(m->log_peer, sizeof(m->log_peer), d->log[i].peer);
			return;
		}
	*m->log_peer = '\0';
	model_say(m, now, false, "no line is about %s", p ? peer_label(label, p, m->private) : "it");
}

static void open_line(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const char *peer = m->lines.count ? d->log[m->lines.index[m->line]].peer : "";

	for (size_t i = 0; *peer && i < d->peers_count; i++) {
		const struct peer *p = d->peers[i];

		if (is_about(peer, p)) {
			text_copy(m->selected, sizeof(m->selected), p->key);
			follow_selected(m, d);
			show_screen(m, d, SCREEN_PEER, fx);
			return;
		}
	}
	model_say(m, now, false, *peer ? "that peer is gone" : "this line is about no peer");
}

static void next_room(struct model *m, const struct data *d)
{
	const char *best = NULL;

	/* The next one by name among those that were seen; after the last, all again. */
	for (size_t i = 0; i < d->log_count; i++) {
		const char *room = d->log[i].room;

		if (strcmp(room, m->log_room) > 0 && (!best || strcmp(room, best) < 0))
			best = room;
	}
	text_copy(m->log_room, sizeof(m->log_room), best ? best : "");
}

static void only_peer(struct model *m, const struct data *d, double now)
{
	const char *peer = m->lines.count ? d->log[m->lines.index[m->line]].peer : "";

	if (*m->log_peer)
		*m->log_peer = '\0';
	else if (*peer)
		text_copy(m->log_peer, sizeof(m->log_peer), peer);
	else
		model_say(m, now, false, "this line is about no peer");
}

void line_move(struct model *m, const struct data *d, long by)
{
	m->line = moved(m->line, by, m->lines.count);
	m->follow = m->line == 0 && by < 0;
	if (m->lines.count)
		m->line_selected = d->log[m->lines.index[m->line]].seq;
}

/* "03:12", "03:12:41": the last time that it was so late; "5m", "90", "2h": so long before now. 0: neither.
 */
static double wanted_time(const char *text, double now)
{
	unsigned h, m, s = 0;
	double at, n;
	char unit = 's', rest;

	if (strchr(text, ':')) {
		int fields = sscanf(text, "%2u:%2u:%2u%c", &h, &m, &s, &rest);

		if (fields < 2 || fields > 3 || h > 23 || m > 59 || s > 59)
			return 0;
		at = floor(now / 86400) * 86400 + h * 3600 + m * 60 + s;
		return at > now ? at - 86400 : at;
	}
	text += *text == '-';
	if (sscanf(text, "%6lf%c%c", &n, &unit, &rest) > 2 || sscanf(text, "%6lf", &n) != 1 || !(n >= 0))
		return 0;
	return unit == 's' ? now - n : unit == 'm' ? now - 60 * n : unit == 'h' ? now - 3600 * n : 0;
}

/* To the newest line that is no newer than that. */
static void go_to(struct model *m, const struct data *d, double now)
{
	double at = wanted_time(m->typed, now);
	size_t i = 0;

	if (!(at > 0)) {
		model_say(m, now, true, "%s is no time: 03:12, 03:12:41, 90s, 5m, 2h", m->typed);
		return;
	}
	/* A minute without seconds is all of it. */
	if (strchr(m->typed, ':') && strchr(m->typed, ':') == strrchr(m->typed, ':'))
		at += 59;
	while (i + 1 < m->lines.count && d->log[m->lines.index[i]].at >= at + 1)
		i++;
	m->follow = false;
	line_move(m, d, (long)i - (long)m->line);
	m->follow = false;
}

void goto_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	if (code == '\r' || code == '\n') {
		m->mode = MODE_NORMAL;
		go_to(m, d, now);
		model_sync(m, d, fx);
	} else if (code == K_ESCAPE || code == CTRL_('C')) {
		m->mode = MODE_NORMAL;
	} else {
		line_edit(m->typed, sizeof(m->typed), code);
	}
}

bool log_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_LEVEL:
		m->log_level = m->log_level == LEVEL_ERROR ? LEVEL_DEBUG : m->log_level - 1;
		break;
	case COMMAND_ROOM:
		next_room(m, d);
		break;
	case COMMAND_ONLY_PEER:
		only_peer(m, d, now);
		break;
	case COMMAND_FOLLOW:
		m->follow = !m->follow;
		break;
	case COMMAND_OPEN:
		open_line(m, d, now, fx);
		return true;
	default:
		return false;
	}
	model_sync(m, d, fx);
	return true;
}
