/* What the files of the UAPI share. */
#ifndef WEIR_CONTROL_UAPI_INTERNAL_H
#define WEIR_CONTROL_UAPI_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "control/uapi_parse.h"
#include "engine/engine.h"

/* ---- uapi_set.c: applies a set request line by line, over as many turns of the loop as it takes ---- */

struct uapi_set {
	struct engine *engine;
	char who[24];  /* for the timeline: "uid 0" */
	unsigned line; /* for messages */
	bool peer_scope;

	/* The section at hand. The peer is looked up again each turn: others may remove it in between. */
	struct key public_key;
	struct engine_peer *peer; /* NULL: the section's lines are read and ignored */
	bool to_create;		  /* new, and not made yet: update_only or remove may follow */
	bool created;
	bool keepalive_set;
	uint16_t keepalive;
	unsigned changes; /* of an existing peer, for its timeline */
};

void uapi_set_begin(struct uapi_set *s, struct engine *g, const char *who);
void uapi_set_resume(struct uapi_set *s); /* at the start of each turn */

/* One line without its newline; line[len] must be writable. 0 or -errno: then the request is over
 * (uapi_set_end). */
int uapi_set_line(struct uapi_set *s, char *line, size_t len);
void uapi_set_end(struct uapi_set *s);

/* ---- uapi_get.c: the reply to a get request, piece by piece ---- */

struct uapi_get;

/* A piece never is longer than this. */
#define UAPI_PIECE_MAX 512

struct uapi_get *uapi_get_new(struct engine *g);
void uapi_get_free(struct uapi_get *get);

/* Writes the next piece (no terminator) and returns its length, 0 at the end. */
size_t uapi_get_next(struct uapi_get *get, char out[UAPI_PIECE_MAX]);

#endif
