/*
 * The engine's tap for those who want to listen (tap/tap.h says what it is): sessions, the ring of the past,
 * and keys. All functions are for the control thread.
 */
#ifndef WEIR_ENGINE_TAP_H
#define WEIR_ENGINE_TAP_H

#include "engine/engine.h"
#include "tap/tap.h"

/* Peers that a filter names, by name or key, into keys. -ENOENT or -ENOTUNIQ with words. */
int engine_tap_resolve(struct engine *g, struct tap_filter *f, struct error *e);

/* As in tap/tap.h. With keys, which are secret, `who` is named in log and timeline, and a handshake begins
 * with each peer that the filter may mean, so that what follows can be opened. */
int engine_tap_stream(struct engine *g, const struct tap_options *o, int fd, const char *who,
		      struct error *e);
struct tap_session *engine_tap_queue(struct engine *g, const struct tap_options *o, size_t bytes,
				     void (*ready)(void *arg), void *arg, struct error *e);
void engine_tap_close(struct engine *g, struct tap_session *s);

/* The ring of the past, as tap_keep and tap_keep_off. */
int engine_keep(struct engine *g, const struct tap_options *o, uint64_t ns, size_t bytes, struct error *e);
void engine_keep_off(struct engine *g);
/* Takes fd. */
int engine_kept(struct engine *g, int fd, uint64_t ns, const void *preface, size_t preface_len, struct error *e);

struct engine_tap_view {
	unsigned sessions;
	uint32_t points; /* bits of enum tap_point: that somebody wants */
	struct tap_counts counts;
	bool stun; /* STUN of the ICE agents can be heard */
	bool keeps;
	uint64_t keep_ns, kept_from; /* wall ns of the oldest, 0: none */
	size_t kept_bytes;
	uint64_t stalled; /* readers of what was kept that were cut off because they read nothing */
};
void engine_look_tap(struct engine *g, struct engine_tap_view *out);

#endif
