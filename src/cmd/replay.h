/* weir replay, in parts that tests can reach. */
#ifndef WEIR_CMD_REPLAY_H
#define WEIR_CMD_REPLAY_H

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/strbuf.h"

struct replay {
	char interface[20], version[32];
	double at;	     /* when the bundle was made */
	char *snapshot;	     /* a notification: how things were then */
	struct strbuf lines; /* recorded ones */
};

/* Checks the files of a bundle: manifest, status, history. */
int replay_open(struct replay *r, const struct strbuf *manifest, const struct strbuf *status,
		const struct strbuf *history, struct error *e);
void replay_close(struct replay *r);

/* Unix seconds of "HH:MM[:SS]" (the last one before `end`), "YYYY-MM-DD HH:MM:SS" or a number; all in UTC. */
int replay_time(const char *text, double end, double *at, struct error *e);

/* Answers as an engine would, as far as a bundle knows, until the client goes. replay_serve.c */
void replay_serve(const struct replay *r, int fd);

#endif
