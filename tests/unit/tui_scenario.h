/*
 * A scene for the dashboard, from a file under tests/golden: the last full snapshot, rates that led to it,
 * events and log lines. It becomes the lines of weir-control(7) that an engine would have sent.
 */
#ifndef WEIR_TESTS_TUI_SCENARIO_H
#define WEIR_TESTS_TUI_SCENARIO_H

#include <jansson.h>

#include "tui/data.h"

struct scenario {
	json_t *root, *packets; /* packets: of NAME.packets.json, or NULL */
	int seconds; /* of history before the snapshot */
};

/* Name without folder and ".json"; looked for in $srcdir/tests/golden. Ends the program if it is not there.
 */
void scenario_load(struct scenario *s, const char *name);
void scenario_clear(struct scenario *s);

/*
 * The snapshot of second `tick`: 0 is the oldest, s->seconds the one of the file, and it goes on after that.
 * All times are moved by `shift` seconds. Caller frees.
 */
char *scenario_snapshot(const struct scenario *s, int tick, double shift);

/* Events (timeline true) or log lines, as notifications; number `n`, NULL after the last. Caller frees. */
char *scenario_entry(const struct scenario *s, bool timeline, size_t n, double shift);

/* The packets of the scene as one notification, NULL if it has none. Caller frees. */
char *scenario_packets(const struct scenario *s, double shift);

/* Events of one peer as the result of the method "peer". Caller frees. */
char *scenario_peer_reply(const struct scenario *s, long id, const char *key, double shift);

/* All of it into d, as if a view had watched from the start. */
void scenario_play(const struct scenario *s, struct data *d);

const char *golden_folder(void);

/*
 * A snapshot of `peers` random peers at second `at`: every word and state, odd names, extreme numbers. The
 * peers' keys depend on their number alone. Caller frees.
 */
char *random_snapshot(size_t peers, double at, unsigned *seed);
/* A notification with random packets of every point and type, some of them of the peers above. Caller frees. */
char *random_packets(size_t count, double at, unsigned *seed);
void random_key(char out[45], size_t n);
unsigned random_below(unsigned *seed, unsigned below);

#endif
