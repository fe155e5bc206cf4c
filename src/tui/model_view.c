/* How the picture is shown, on every screen: refresh, freezing, units, what is copied. */
#include "tui/model_internal.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"

static void set_interval(struct model *m, int by, double now, struct effects *fx)
{
	int to = (int)m->interval + by;

	if (to >= 0 && to < INTERVALS) {
		m->interval = (unsigned)to;
		effect_add(fx, EFFECT_SUBSCRIBE);
		effect_add(fx, EFFECT_SETTINGS);
	}
	model_say(m, now, false, "refresh every %g s", model_intervals[m->interval]);
}

static void freeze(struct model *m, double now, struct effects *fx)
{
	m->frozen = !m->frozen;
	m->frozen_at = now;
	effect_add(fx, m->frozen ? EFFECT_FREEZE : EFFECT_THAW);
}

static void copy(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);
	struct effect *e;

	if (m->screen == SCREEN_LOG) {
		const struct log_line *line;

		if (!m->lines.count)
			return;
		line = &d->log[m->lines.index[m->line]];
		e = effect_add(fx, EFFECT_COPY);
		snprintf(e->text, sizeof(e->text), "%s %s %s", line->room, line->peer, line->text);
		model_say(m, now, false, "line copied, if the terminal allows it (OSC 52)");
	} else if (p) {
		e = effect_add(fx, EFFECT_COPY);
		text_copy(e->text, sizeof(e->text), p->key);
		model_say(m, now, false, "copied, if the terminal allows it: %s",
			  m->private ? "the public key" : p->key);
	}
}

static void setting(struct model *m, enum command c, double now, struct effects *fx)
{
	if (c == COMMAND_AGES) {
		m->clock_times = !m->clock_times;
		model_say(m, now, false, m->clock_times ? "clock times (UTC)" : "ages");
	} else if (c == COMMAND_UNITS) {
		m->bits = !m->bits;
		model_say(m, now, false, m->bits ? "bits per second" : "bytes per second");
	} else {
		m->private = !m->private;
		model_say(m, now, false,
			  m->private ? "keys and addresses are hidden" : "keys and addresses are shown");
	}
	effect_add(fx, EFFECT_SETTINGS);
}

bool view_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_FREEZE:
		freeze(m, now, fx);
		break;
	case COMMAND_SLOWER:
	case COMMAND_FASTER:
		set_interval(m, c == COMMAND_SLOWER ? 1 : -1, now, fx);
		break;
	case COMMAND_AGES:
	case COMMAND_UNITS:
	case COMMAND_PRIVACY:
		setting(m, c, now, fx);
		break;
	case COMMAND_COPY:
		copy(m, d, now, fx);
		break;
	default:
		return false;
	}
	return true;
}
