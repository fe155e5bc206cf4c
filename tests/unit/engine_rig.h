/*
 * Two engines in one process, each with two workers, on real TUN devices and sockets: the second device lives
 * in a namespace of its own, so packets really cross. Runs under ThreadSanitizer as it is.
 */
#ifndef WEIR_TESTS_ENGINE_RIG_H
#define WEIR_TESTS_ENGINE_RIG_H

#include "tests/unit/test.h"

#include <stdbool.h>
#include <sys/types.h>

#include "base/clock.h"
#include "engine/engine.h"
#include "engine/internal.h"

struct pair {
	struct loop *loop;
	struct engine *a, *b;
	struct engine_peer *a_to_b, *b_to_a;
	struct key a_private, a_public, b_private, b_public;
	pid_t holder; /* keeps the second namespace */
	char state_dir[32];
};

/* A network namespace of our own, as an ordinary user too; false where that, or a TUN device, is not allowed.
 */
bool isolate(void);

int set_up(void **state); /* addresses 10.9.0.1 and 10.9.0.2; endpoints not known */
int tear_down(void **state);

void must(const char *command);
struct engine *make(struct pair *t, const char *ifname, const char *state_dir);
struct engine_peer *introduce(struct engine *g, const struct key *peer, const char *name,
			      const char *address);
void point(struct engine_peer *p, uint16_t port);

/* Runs the loop until the condition holds; false when that takes too long. */
bool run_until(struct pair *t, bool (*done)(struct pair *t));
bool both_up(struct pair *t);
bool tunnel_up(struct pair *t);
void connect_pair(struct pair *t); /* by loopback addresses */

pid_t background(const char *command);
bool background_done(struct pair *t); /* the last one */
void run_ping(struct pair *t, const char *command); /* must succeed */

#endif
