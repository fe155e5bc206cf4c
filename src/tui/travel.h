/*
 * Time travel as the view's process sees it: what it has seen itself, what the engine recorded before, and
 * which moment is shown. Requests are left to the caller.
 */
#ifndef WEIR_TUI_TRAVEL_H
#define WEIR_TUI_TRAVEL_H

#include "tui/model.h"
#include "tui/past.h"

struct travel {
	struct past *seen; /* by this view, since it came or for its last MiBs; NULL: too much to be kept */
	bool overflown;
	struct past *shown; /* NULL: now is shown */
	double wanted;	    /* when it has been loaded: a time; < 0: so long before its end */
	long asked;	    /* the request for the engine's record, 0: none */
	bool busy;	    /* there is more to be done for what is shown: travel_work */
};

void travel_start(struct travel *t); /* *t need not be initialised; it keeps what it sees from here on */
void travel_clear(struct travel *t);

/* A line that the engine sent now. True: another full snapshot is due, so that older lines can go. */
bool travel_saw(struct travel *t, const char *line, size_t len, double at);

/* A recorded line: taken, if the past is being loaded. False: it is none. */
bool travel_takes(struct travel *t, const char *line, size_t len);

/* True: the engine's record is to be asked for, by a request with the id t->asked. */
bool travel_move(struct travel *t, struct model *m, enum past_move move, double now);

/* The engine has sent all, or said why not. */
void travel_loaded(struct travel *t, struct model *m, const struct reply *r, double now);

/*
 * A piece of the work that the record's lines and the last key have left: some ten milliseconds, or one line. Playing
 * the record of a large network takes seconds, in which keys are answered.
 */
void travel_work(struct travel *t);

/* What is shown, NULL: now. Brings m->past up to date. While there is work left, an earlier picture. */
const struct data *travel_data(struct travel *t, struct model *m);

#endif
