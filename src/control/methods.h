/* What files with methods share: the request, its parameters, its answer. Each handler answers exactly once.
 */
#ifndef WEIR_CONTROL_METHODS_H
#define WEIR_CONTROL_METHODS_H

#include <jansson.h>

#include "control/internal.h"

struct request {
	struct control_client *client;
	json_t *params; /* borrowed, an object or NULL */
	char *id;	/* JSON text; handlers may take it and leave NULL */
};

/* ---- answers: open, write the result, close ---- */

void reply_open(struct writer *w, struct strbuf *to, const char *id);
void reply_close(struct control_client *c, struct strbuf *line);
void reply_empty(struct request *r);
/* messages: the lines of the text one by one, for errors of a configuration. */
void reply_error(struct request *r, const char *code, const char *message, bool messages);
void reply_bad(struct request *r, const char *message);

/* ---- parameters: absent ones keep the default; false after an answer was given ---- */

bool param_flag(struct request *r, const char *name, bool *out);
bool param_number(struct request *r, const char *name, double low, double high, double *out);
/* *p NULL with true: "all", where that is allowed. */
bool param_peer(struct request *r, bool or_all, struct engine_peer **p);

/* ---- handlers of other files ---- */

void method_events(struct request *r);
void method_metrics(struct request *r);
void method_trace(struct request *r);
void method_explain(struct request *r);

#endif
