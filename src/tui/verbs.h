/* The commands of the line after ':', in the words of weir(8): what they take, and what they do. */
#ifndef WEIR_TUI_VERBS_H
#define WEIR_TUI_VERBS_H

#include "tui/model_internal.h"

enum verb_takes {
	TAKES_NOTHING,
	TAKES_PEER, /* perhaps a peer, else it is the selected one; and perhaps one of the choices */
	TAKES_WORD, /* one of the choices */
	TAKES_TEXT, /* all that stands behind it */
};

struct choice {
	const char *word;
	enum command command; /* what it is; NONE: the verb's own */
	const char *argument;
};

/* One line, taken apart. */
struct call {
	struct model *m;
	const struct data *d;
	const struct verb *verb;
	const struct choice *choice; /* NULL: none was given */
	const char *who;	     /* NULL: nobody was named */
	const char *text;
	double now;
	struct effects *fx;
};

struct verb {
	const char *name;
	enum verb_takes takes;
	enum command command; /* whose flags in the key table say who may; done, unless there is `run` */
	const struct choice *choices; /* NULL: none; a word of NULL ends them */
	bool optional;		      /* a choice need not be given */
	void (*run)(const struct call *c);
};

extern const struct verb verbs[];
extern const size_t verbs_count;

/* A command of weir(8) that only a shell knows. */
bool verb_is_outside(const char *name);

bool verb_may(const struct model *m, const struct verb *v);
void verb_run(const struct call *c);

#endif
