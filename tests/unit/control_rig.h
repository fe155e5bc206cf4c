/* What the tests of the control room share: an engine on a real TUN device in a namespace of its own, and
 * clients that talk to it from the same thread while the loop turns. */
#ifndef WEIR_TESTS_CONTROL_RIG_H
#define WEIR_TESTS_CONTROL_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "base/key.h"
#include "base/loop.h"
#include "base/strbuf.h"
#include "engine/engine.h"

#define RIG_IFNAME   "weirc0"
#define RIG_PATIENCE (60 * NS_PER_SEC) /* ends hope, not waiting */

struct rig {
	struct loop *loop;
	struct engine *engine;
	char folder[32]; /* for sockets */
	char path[64];	 /* folder/IFNAME.sock */
};

/* False where namespaces or TUN devices are not allowed: the test is to be skipped (77). */
bool rig_possible(void);

void rig_open(struct rig *r);
void rig_close(struct rig *r);

/* A connection to the socket, non-blocking. -errno when refused. */
int rig_connect(const struct rig *r);

/* Turns the loop a few times. */
void rig_turn(struct rig *r, unsigned times);

/* Sends all of the text while the loop turns. */
void rig_send(struct rig *r, int fd, const char *text, size_t len);

/* Reads into `in` until done(in) says so, or the end of the connection (false). */
bool rig_read(struct rig *r, int fd, struct strbuf *in, bool (*done)(const struct strbuf *in, void *arg),
	      void *arg);

/* Key number n: fixed bytes, base64 and hex. */
struct key rig_key(unsigned n);
const char *rig_hex(unsigned n);    /* one of four static buffers */
const char *rig_base64(unsigned n); /* the same */

#endif
