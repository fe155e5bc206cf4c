/* Lines of the log and of timelines: which are shown, and how. */
#ifndef WEIR_CMD_LINES_H
#define WEIR_CMD_LINES_H

#include <jansson.h>

#include "cmd/command.h"

struct lines {
	bool json, color;
	double since; /* seconds since 1970, 0: all */
	enum log_level level;
	const struct option_list *rooms; /* of the log; of a timeline, its kinds */
	char *name, *key;		 /* of the peer, "" for what it has none of; NULL: all peers */
};

/* Reads the options, and asks the engine who the peer is. */
int lines_begin(struct lines *l, const struct options *o, struct client *c, struct error *e);
void lines_end(struct lines *l);

/* An entry of the log or a timeline, if it is to be shown. */
void lines_print(const struct lines *l, const json_t *entry);

/* "90s", "15m", "2h", "3d", "HH:MM[:SS]", "YYYY-MM-DD[ HH:MM[:SS]]", "@SECONDS". False: none of these. */
bool since_parse(const char *text, double now, double *out);

#endif
