/* Clients of the control socket for tests: JSON lines in and out while the loop turns. */
#ifndef WEIR_TESTS_CONTROL_TALK_H
#define WEIR_TESTS_CONTROL_TALK_H

#include <jansson.h>
#include <stdbool.h>

#include "control/control.h"
#include "tests/unit/control_rig.h"

/* An engine with its control socket, and what its operations were asked to do. */
struct test {
	struct rig rig;
	struct control *control;
	unsigned downs, reloads;
	bool drained;
	struct error reload_error; /* what reload is to fail with; text empty: succeed */
};

int talk_set_up(void **state);
int talk_tear_down(void **state);

struct engine_peer *add_peer(struct test *t, unsigned n, const char *name);
void allow(struct engine_peer *p, uint8_t a, uint8_t b); /* 10.a.b.0/24 */
void point(struct engine_peer *p, uint16_t port);	 /* at 127.0.0.1 */

struct talk {
	struct test *t;
	int fd;
	struct strbuf in;
	size_t bytes; /* read in all */
};

void talk_open(struct talk *k, struct test *t);
void talk_adopted(struct talk *k, struct test *t, bool readonly);
void talk_close(struct talk *k);

/* The next message, or notification (new reference); NULL at the end of the connection. */
json_t *hear(struct talk *k);
json_t *hear_event(struct talk *k, const char *event);
void say(struct talk *k, const char *line);

/* A request and its reply, its error, its result. */
json_t *ask(struct talk *k, const char *line);
void expect_error(struct talk *k, const char *line, const char *code);
json_t *expect_result(struct talk *k, const char *line);
void subscribe(struct talk *k, const char *params);

const char *text_of(json_t *object, const char *name); /* "" if there is none */
json_int_t count_of(json_t *object, const char *name);
bool is_event(json_t *message, const char *event);
json_t *peers_of(json_t *snapshot);

/* Members of an object, with their types. */
struct field {
	const char *name;
	json_type type;
};
#define NUMBER ((json_type)-1) /* integer or real */
#define FLAG   ((json_type)-2)
extern const struct field event_fields[], log_fields[];
void check_fields(json_t *object, const struct field *fields, const char *what);

#endif
