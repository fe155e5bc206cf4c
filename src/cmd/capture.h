/* Where `weir capture` puts packets: a file, several in turn, a pipe, or lines on standard output. */
#ifndef WEIR_CMD_CAPTURE_H
#define WEIR_CMD_CAPTURE_H

#include "base/error.h"
#include "tap/packet.h"
#include "tap/pcapng.h"

struct capture_plan {
	const char *path; /* "-": standard output; NULL: lines */
	struct capture_head head;
	uint64_t rotate_bytes; /* 0: one file */
	unsigned rotate_seconds, files;
	const char *(*label)(void *arg, const struct key *peer); /* NULL: it has no name */
	void *label_arg;
};

struct sink;

struct sink *sink_open(const struct capture_plan *plan,
		       struct error *e); /* plan stays the caller's, and must outlive it */

/* Errors of writing; -EPIPE with no words when a reader has gone. A packet that the format cannot hold is
 * passed over. */
int sink_packet(struct sink *s, const struct tap_meta *m, const uint8_t *data, size_t captured,
		struct error *e);
int sink_keys(struct sink *s, const char *lines, size_t len, struct error *e);
void sink_lost(struct sink *s, uint64_t lost); /* since the start */
int sink_flush(struct sink *s,
	       struct error *e); /* what waits is written; a file whose time is over is closed */
uint64_t sink_count(const struct sink *s);
int sink_close(struct sink *s, struct error *e); /* the end of the file, too */

#endif
