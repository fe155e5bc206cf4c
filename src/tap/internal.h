/* What the files of the tap's engine side share; no other room includes it. */
#ifndef WEIR_TAP_INTERNAL_H
#define WEIR_TAP_INTERNAL_H

#include <pthread.h>

#include "base/counter.h"
#include "base/list.h"
#include "tap/stream.h"
#include "tap/tap.h"

#define TAP_RING_SIZE (4u << 20) /* of each producer; a power of two */
#define TAP_KEEP_SLOT TAP_SESSIONS
#define TAP_SLOTS     (TAP_SESSIONS + 1)
#define TAP_CHUNK     (256u << 10)

/* ---- ring.c: one producer, one consumer, entries of any size that lie in one piece ---- */

struct tap_entry {
	uint32_t size;	   /* of the whole entry, a multiple of 8 */
	uint16_t sessions; /* bits of slots; 0: filler before the end of the ring */
	uint16_t kind;	   /* enum tap_record_kind */
	/* a filler ends here */
	uint64_t order; /* boot ns when it was put */
	uint32_t captured;
	struct tap_meta meta;
	uint8_t data[];
};

struct tap_ring {
	uint8_t *bytes;
	size_t size;
	_Alignas(64) _Atomic uint64_t head; /* written by the producer */
	uint64_t reserved, tail_seen;	    /* [producer] */
	_Alignas(64) _Atomic uint64_t tail; /* written by the consumer */
};

void tap_ring_init(struct tap_ring *r, size_t size);
void tap_ring_clear(struct tap_ring *r);
/* [producer] Room for an entry with so many bytes of data, NULL: full. It is seen after the commit. */
struct tap_entry *tap_ring_reserve(struct tap_ring *r, size_t data);
void tap_ring_commit(struct tap_ring *r);
/* [consumer] The oldest entry and its place, or NULL. */
struct tap_entry *tap_ring_peek(struct tap_ring *r, uint64_t *at);
void tap_ring_pop(struct tap_ring *r, const struct tap_entry *e);
bool tap_ring_empty(const struct tap_ring *r);

/* ---- buffer.c: records in chunks that several readers can hold; all of it under the tap's lock ---- */

struct tap_chunk {
	unsigned holders;
	bool secret; /* keys are in it: wiped in the end */
	size_t used, room;
	uint64_t last_at; /* boot ns when its newest record was added */
	uint8_t bytes[];
};

struct tap_piece { /* a chunk in a buffer */
	struct list link;
	struct tap_chunk *chunk;
	size_t end; /* no further than this; 0: as far as it grows */
};

struct tap_buffer {
	struct list pieces;
	size_t bytes, limit; /* memory of its chunks */
	size_t at;	     /* consumed of the first */
};

void tap_buffer_init(struct tap_buffer *b, size_t limit);
void tap_buffer_clear(struct tap_buffer *b);
/* Room for one record of so many bytes at the end, NULL when the limit is reached. */
uint8_t *tap_buffer_add(struct tap_buffer *b, size_t len, uint64_t now, bool secret);
size_t tap_buffer_front(const struct tap_buffer *b, const uint8_t **bytes);
void tap_buffer_consume(struct tap_buffer *b, size_t len); /* of the front */
bool tap_buffer_drop_oldest(struct tap_buffer *b);
bool tap_buffer_drop_before(struct tap_buffer *b, uint64_t boot);
/* `to` reads what `from` holds now, from its oldest record on; nothing is copied. */
void tap_buffer_share(struct tap_buffer *to, const struct tap_buffer *from);

/* ---- sessions ---- */

enum tap_session_kind { TAP_STREAM, TAP_QUEUE, TAP_KEEP, TAP_DUMP };

struct tap_session {
	struct tap *tap;
	enum tap_session_kind kind;
	unsigned slot; /* TAP_SLOTS: none, it gets nothing new */
	uint64_t serial;
	struct tap_options options;
	int fd;
	bool ended; /* its reader went away */
	bool early; /* its filter asks neither for peers nor for drops */
	struct list link;

	_Atomic int64_t tokens; /* of options.rate */
	uint64_t refilled;	/* boot ns */

	uint8_t *preface; /* goes before all records */
	size_t preface_len, preface_at;
	struct tap_buffer buffer;
	uint64_t keep_ns;
	uint64_t lost, lost_told; /* to a slow reader; of all, what the reader was told */
	uint64_t skip_before;	  /* wall ns: DUMP leaves older records out */
	uint64_t moved;		  /* boot ns when its descriptor last took something */
	struct tap_counts base;	  /* of the slot's counts when it began */
	uint64_t *from;		  /* places in the rings before which nothing is for it */
	bool told;		  /* ready was called, and nothing has been read since */
	void (*ready)(void *arg);
	void *arg;
};

struct tap_producer {
	_Alignas(64) struct tap_ring ring;
	_Alignas(64) atomic_bool inside; /* it looks at the sessions */
	unsigned depth;			 /* [producer] of tap_enter */
	counter_t seen[TAP_SLOTS], matched[TAP_SLOTS], lost[TAP_SLOTS];
};

struct tap {
	struct tap_switch wanted;
	_Atomic uint32_t active; /* bits of slots in use */
	_Atomic(struct tap_session *) slots[TAP_SLOTS];
	struct tap_producer *producers;
	unsigned count;
	bool rings;

	pthread_mutex_t lock; /* sessions and their buffers: control thread and tap thread */
	atomic_uint waiting;  /* for the lock, in the control thread */
	struct list sessions;
	uint64_t number, serial;
	uint64_t patience; /* ns that a DUMP may stand still */
	counter_t stalled; /* of them, ended for that */
	void (*on_end)(void *arg);
	void *on_end_arg;

	bool running;
	pthread_t thread;
	int wake_fd;
	atomic_bool stop, sleeping;
};

/* session.c, under the lock */
void tap_session_take(struct tap_session *s, const struct tap_entry *e, uint64_t number, uint64_t now);
void tap_session_serve(struct tap_session *s, uint64_t now); /* rate, lost, output, age */
bool tap_session_owes(const struct tap_session *s);	     /* it has output for a descriptor */
void tap_session_end(struct tap_session *s);		     /* its reader went away */
void tap_session_free(struct tap_session *s);
void tap_session_base(struct tap_session *s);
void tap_session_counts(const struct tap_session *s, struct tap_counts *out);

/* thread.c */
int tap_thread_start(struct tap *t);
void tap_thread_stop(struct tap *t);
void tap_wake(struct tap *t); /* if it sleeps */
void tap_kick(struct tap *t);

#endif
