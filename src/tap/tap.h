/*
 * The tap itself: packets go from any thread into rings, and from there to sessions. Off, it costs a branch for each
 * batch. On, a full ring or a slow reader loses packets and counts them; nobody ever waits.
 *
 * Each producer (a packet worker, the control thread, the relay's thread) has a ring of its own. Filters run where the
 * packet is, before it is copied. A thread of the tap's own, which lives as long as there are sessions, takes the rings
 * in the order of time and serves the sessions: a stream to a file descriptor, or a queue for the control thread, or
 * the ring of the past.
 */
#ifndef WEIR_TAP_TAP_H
#define WEIR_TAP_TAP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tap/filter.h"
#include "tap/packet.h"

#define TAP_SESSIONS 8
#define TAP_DUMPS    4 /* clients that read what was kept, at once */

struct tap;
struct tap_session;

/* What producers look at first: which points somebody wants. */
struct tap_switch {
	_Atomic uint32_t points; /* bits of enum tap_point */
	_Atomic uint32_t bytes;	 /* so many of a packet, at most */
	atomic_bool keys;	 /* somebody wants key log lines */
};

/* For producers 0 to producers - 1, each of which is one thread. Rings and a thread are made with the first session. */
struct tap *tap_new(unsigned producers);
void tap_free(struct tap *t); /* ends all sessions */
struct tap_switch *tap_get_switch(struct tap *t);

/* [any thread] */
static inline bool tap_wanted(const struct tap_switch *s, enum tap_point p)
{
	return __builtin_expect(atomic_load_explicit(&s->points, memory_order_relaxed) >> p & 1, 0);
}

/* [the producer's thread] Around many calls of the two below, for speed: sessions stay as they are. Short, please. */
void tap_enter(struct tap *t, unsigned producer);
void tap_leave(struct tap *t, unsigned producer);

/*
 * [the producer's thread] Before the packet's peer and drop are known: may somebody want it? False: it has been counted as
 * seen, and nobody needs to be told more of it.
 */
bool tap_may_want(struct tap *t, unsigned producer, const struct tap_meta *m, const void *data, size_t len);

/* [the producer's thread] meta->number is filled by the tap; meta->at 0: now. */
void tap_put(struct tap *t, unsigned producer, const struct tap_meta *m, const void *data, size_t len);

/* [the producer's thread] Lines for a WireGuard key log, to the sessions that asked for keys; before the packets. */
void tap_put_keys(struct tap *t, unsigned producer, const struct key *peer, const char *lines, size_t len);

/* False: nothing that it matches can be of this peer; by its peer words alone. */
bool tap_filter_may_mean(const struct tap_filter *f, const struct key *peer);

struct tap_options {
	struct tap_filter *filter; /* taken over, also when opening fails; NULL: everything */
	uint8_t points;		   /* bits; 0: all */
	uint32_t snaplen;	   /* 0: whole packets */
	uint32_t rate;		   /* packets a second, more are lost; 0: all */
	bool keys;		   /* it gets key log lines as well */
	const void *preface;	   /* of a stream: bytes that go before the records; copied */
	size_t preface_len;
};

/* Control thread. NULL with words: too many sessions, no memory for a thread. A stream ends by itself when its reader goes;
 * then on_end is called, and tap_reap frees it. */
struct tap_session *tap_open_stream(struct tap *t, const struct tap_options *o, int fd, struct error *e); /* takes fd */
struct tap_session *tap_open_queue(struct tap *t, const struct tap_options *o, size_t bytes,
				   void (*ready)(void *arg), void *arg, /* [tap's thread] at most once per read */
				   struct error *e);
void tap_close(struct tap_session *s);
void tap_on_end(struct tap *t, void (*fn)(void *arg), void *arg); /* [tap's thread] */
void tap_reap(struct tap *t);
unsigned tap_sessions(const struct tap *t); /* that are open, but for the ring of the past */

/* Takes whole records (tap/stream.h) out of a queue; number of bytes. */
size_t tap_read(struct tap_session *s, uint8_t *buf, size_t size);

/* Of all sessions that are open, together: packets at points that they are for, those of them that match, and those that
 * were lost on the way. */
struct tap_counts {
	uint64_t seen, matched, lost;
};
void tap_look(struct tap *t, struct tap_counts *out);

/*
 * The ring of the past: keeps what matches for a time, within a size, until it is asked for: "save the last 30 seconds".
 * One per tap; opening it again replaces its filter and keeps what it holds.
 */
int tap_keep(struct tap *t, const struct tap_options *o, uint64_t ns, size_t bytes, struct error *e);
void tap_keep_off(struct tap *t);
bool tap_keeps(const struct tap *t, uint64_t *ns, size_t *used, uint64_t *oldest_wall);
/* Sends what it holds of the last ns (0: all), then closes fd, which it takes. -ENOENT: nothing is kept; -EBUSY: as many as may read it at once. */
int tap_keep_send(struct tap *t, int fd, uint64_t ns, const void *preface, size_t preface_len, struct error *e);
/* Who takes nothing of it for so long is cut off: what it was to get is memory. 30 s if never set. */
void tap_keep_patience(struct tap *t, uint64_t ns);
uint64_t tap_keep_stalled(const struct tap *t); /* readers that were cut off so far */

#endif
