#include "tui/travel.h"

#define SEEN_STEP  (16u << 20)	/* bytes of lines after which another full snapshot is worth its price */
#define FULL_MAX   (8u << 20)	/* a larger full snapshot is left to the engine's record */
#define PIECE	   (256u << 10) /* bytes of lines played at a time */
#define MINUTE	   60
#define INTERVAL_S 1 /* what rates are taken over, at least */

void travel_start(struct travel *t)
{
	*t = (struct travel){.seen = past_new(INTERVAL_S)};
}

void travel_clear(struct travel *t)
{
	past_free(t->seen);
	past_free(t->shown);
	*t = (struct travel){0};
}

bool travel_saw(struct travel *t, const char *line, size_t len, double at)
{
	size_t before;

	if (!t->seen)
		return false;
	if (len > FULL_MAX) {
		past_free(t->seen);
		t->seen = NULL;
		return false;
	}
	before = past_since_full(t->seen);
	past_line(t->seen, line, len, at);
	if (past_since_full(t->seen) < before) {
		past_trim(t->seen, 1);
		t->overflown = false;
	}
	if (t->overflown || past_since_full(t->seen) < SEEN_STEP)
		return false;
	t->overflown = true;
	return true;
}

bool travel_takes(struct travel *t, const char *line, size_t len)
{
	double at = past_line_at(line, len);

	if (at <= 0)
		return false;
	/* From where this view has seen more than the engine recorded, its own lines count. */
	if (!t->shown || !t->asked || (t->seen && past_lines(t->seen) && at >= past_first(t->seen)))
		return true;
	past_line(t->shown, line, len, 0);
	t->busy = true;
	return true;
}

static void leave(struct travel *t, struct model *m)
{
	past_free(t->shown);
	t->shown = NULL;
	t->asked = 0;
	t->busy = false;
	m->past = (struct model_past){.bundle = m->past.bundle};
}

static bool enter(struct travel *t, struct model *m, double wanted)
{
	t->shown = past_new(INTERVAL_S);
	t->wanted = wanted;
	t->asked = model_expect(m, COMMAND_NONE, "");
	m->past.on = m->past.loading = true;
	m->frozen = false;
	return true;
}

bool travel_move(struct travel *t, struct model *m, enum past_move move, double now)
{
	double at = t->shown ? past_at(t->shown) : 0;

	if (!t->shown)
		return (move == PAST_ENTER || move == PAST_ENTER_MINUTE) &&
		       enter(t, m, move == PAST_ENTER ? now : now - MINUTE);
	if (move == PAST_LEAVE) {
		leave(t, m);
	} else if (t->asked) {
		model_say(m, now, false, "the record is still being loaded");
	} else if (move == PAST_BACK || move == PAST_FORTH) {
		past_step(t->shown, move == PAST_BACK ? -1 : 1);
	} else if (move == PAST_MINUTE_BACK || move == PAST_MINUTE_FORTH) {
		past_seek(t->shown, move == PAST_MINUTE_BACK ? at - MINUTE : at + MINUTE);
	} else {
		past_seek(t->shown, move == PAST_OLDEST ? 0 : past_last(t->shown));
	}
	travel_work(t);
	return false;
}

void travel_loaded(struct travel *t, struct model *m, const struct reply *r, double now)
{
	t->asked = 0;
	if (!t->shown)
		return;
	if (t->seen)
		past_append(t->shown, t->seen);
	if (!past_lines(t->shown)) {
		leave(t, m);
		model_say(m, now, true, "nothing is recorded: %s", *r->text ? r->text : "it has just begun");
		return;
	}
	past_seek(t->shown, t->wanted);
	travel_work(t);
	if (!r->ok)
		model_say(m, past_at(t->shown), false, "only what this view has seen: %s", r->text);
}

void travel_work(struct travel *t)
{
	if (!t->shown)
		t->busy = false;
	else
		t->busy = !(t->asked ? past_prepare(t->shown, PIECE) : past_work(t->shown, PIECE));
}

const struct data *travel_data(struct travel *t, struct model *m)
{
	const struct data *d = t->shown && !t->asked ? past_shown(t->shown) : NULL;

	m->past.at = d ? past_at(t->shown) : 0;
	m->past.loading = t->shown && (t->asked || t->busy);
	return d;
}
