/* Time travel: its keys, and what may not be done there. */
#include "tui/model_internal.h"

static void move_past(struct effects *fx, enum past_move move)
{
	effect_add(fx, EFFECT_PAST)->move = move;
}

bool past_command(struct model *m, enum command c, double now, struct effects *fx)
{
	if (c == COMMAND_PAST)
		move_past(fx, PAST_ENTER);
	else if (c == COMMAND_PAST_MINUTE_BACK)
		move_past(fx, PAST_ENTER_MINUTE);
	else if (c == COMMAND_PAST_MINUTE_FORTH)
		model_say(m, now, false, "this is now: { goes a minute back, t to the recorded past");
	else
		return false;
	return true;
}

static void leave(struct model *m, double now, struct effects *fx)
{
	if (m->past.bundle)
		model_say(m, now, false, "there is no now behind a bundle: q leaves");
	else
		move_past(fx, PAST_LEAVE);
}

/* Lists that scroll keep their keys for that. */
static bool scrolls(const struct model *m)
{
	return m->screen == SCREEN_LOG || m->screen == SCREEN_PACKETS;
}

static bool moved_past(const struct model *m, uint32_t code, enum past_move *move)
{
	switch (code) {
	case K_LEFT:
		*move = PAST_BACK;
		return true;
	case K_RIGHT:
		*move = PAST_FORTH;
		return true;
	case '{':
	case '}':
		*move = code == '{' ? PAST_MINUTE_BACK : PAST_MINUTE_FORTH;
		return true;
	case K_PAGE_UP:
	case K_PAGE_DOWN:
		*move = code == K_PAGE_UP ? PAST_MINUTE_BACK : PAST_MINUTE_FORTH;
		return !scrolls(m);
	case K_HOME:
	case K_END:
		*move = code == K_HOME ? PAST_OLDEST : PAST_NEWEST;
		return !scrolls(m);
	default:
		return false;
	}
}

void past_refuse(struct model *m, double now)
{
	model_say(m, now, true,
		  m->past.bundle ? "nothing can be changed here: this is a bundle, not an engine"
				 : "nothing can be changed in the past: Esc returns to now");
}

bool past_key(struct model *m, uint32_t code, double now, struct effects *fx)
{
	const struct key_entry *e = key_find(code, model_where(m), false);
	enum past_move move;

	if (moved_past(m, code, &move)) {
		move_past(fx, move);
	} else if (code == K_ESCAPE || (e && e->command == COMMAND_PAST)) {
		leave(m, now, fx);
	} else if (e && e->flags & KEY_CHANGES) {
		past_refuse(m, now);
	} else if (e && e->command == COMMAND_FREEZE) {
		model_say(m, now, false, "the past stands still already");
	} else {
		return false;
	}
	return true;
}
