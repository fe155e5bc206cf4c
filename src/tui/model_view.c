/* How the picture is shown, on every screen: refresh, freezing, units, what is copied. */
#include "tui/model_internal.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"

#define SLOW_INTERVAL 3 /* index of model_intervals: 5 s */

static void leave_slow(struct model *m, double now, struct effects *fx)
{
	m->slow = false;
	m->interval = m->interval_before;
	effect_add(fx, EFFECT_SLOW);
	effect_add(fx, EFFECT_SUBSCRIBE);
	model_say(m, now, false, "as before: refresh every %g s", model_intervals[m->interval]);
}

void model_slow(struct model *m, double now, struct effects *fx)
{
	if (m->slow)
		return;
	m->slow = true;
	m->interval_before = m->interval;
	if (m->interval < SLOW_INTERVAL)
		m->interval = SLOW_INTERVAL;
	effect_add(fx, EFFECT_SLOW);
	effect_add(fx, EFFECT_SUBSCRIBE);
	model_say(m, now, false, "the terminal is slow: plain from now on, every %g s; + or - takes it back",
		  model_intervals[m->interval]);
}

void view_interval(struct model *m, unsigned index, double now, struct effects *fx)
{
	if (m->slow)
		leave_slow(m, now, fx);
	m->interval = index;
	effect_add(fx, EFFECT_SUBSCRIBE);
	effect_add(fx, EFFECT_SETTINGS);
	model_say(m, now, false, "refresh every %g s", model_intervals[m->interval]);
}

static void set_interval(struct model *m, int by, double now, struct effects *fx)
{
	int to = (int)m->interval + by;

	if (m->slow) {
		leave_slow(m, now, fx);
		return;
	}

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

static void copy_ours(struct model *m, const struct data *d, double now, struct effects *fx)
{
	struct effect *e = effect_add(fx, EFFECT_COPY);

	text_copy(e->text, sizeof(e->text), d->public_key);
	model_say(m, now, false, "our public key is copied, if the terminal allows it: %s",
		  m->private ? "(hidden)" : d->public_key);
}

static void copy(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);
	const struct finding *f = p ? peer_finding(p) : NULL;
	struct effect *e;

	if (m->screen == SCREEN_LOG) {
		const struct log_line *line;

		if (!m->lines.count)
			return;
		line = &d->log[m->lines.index[m->line]];
		e = effect_add(fx, EFFECT_COPY);
		snprintf(e->text, sizeof(e->text), "%s %s %s", line->room, line->peer, line->text);
		model_say(m, now, false, "line copied, if the terminal allows it (OSC 52)");
	} else if (m->screen == SCREEN_PEER && f && f->key == 'y') {
		/* What is to be compared at the other end. */
		copy_ours(m, d, now, fx);
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

static void write_file(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const struct peer *p = m->screen == SCREEN_LOG ? NULL : model_selected(m, d);
	struct effect *e;

	if (!p && m->screen != SCREEN_LOG) {
		model_say(m, now, false, "there is no peer to write about");
		return;
	}
	e = effect_add(fx, EFFECT_REPORT);
	text_copy(e->key, sizeof(e->key), p ? p->key : "");
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
	case COMMAND_MOUSE:
		m->mouse = !m->mouse;
		effect_add(fx, EFFECT_MOUSE);
		effect_add(fx, EFFECT_SETTINGS);
		model_say(m, now, false,
			  m->mouse ? "the mouse chooses rows, columns and keys" : "the mouse selects text");
		break;
	case COMMAND_WRITE:
		write_file(m, d, now, fx);
		break;
	case COMMAND_OUR_KEY:
		copy_ours(m, d, now, fx);
		break;
	default:
		return false;
	}
	return true;
}
