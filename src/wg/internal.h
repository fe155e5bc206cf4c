/*
 * What the files of wg/ share. Who may touch what:
 *   [control] only the control thread; [shared] atomics, any thread; [locked] under the lock beside it;
 *   [fixed] never changes after the object was published.
 */
#ifndef WEIR_WG_INTERNAL_H
#define WEIR_WG_INTERNAL_H

#include <stdatomic.h>

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/spin.h"
#include "wg/allowedips.h"
#include "wg/cookie.h"
#include "wg/index.h"
#include "wg/messages.h"
#include "wg/noise.h"
#include "wg/ratelimiter.h"
#include "wg/replay.h"
#include "wg/wg.h"

/* Facts that workers report, besides the times below. */
enum fact {
	FACT_CONFIRMED = 1, /* data came under the next keypair */
	FACT_STAGED = 2,    /* a packet waits for a key */
	FACT_REKEY = 4,	    /* the sending key is due for renewal */
	FACT_ROAMED = 8,    /* the mailbox holds a new source */
	FACT_LOOK = 16,	    /* a time below needs a timer earlier than the next look */
};

struct wg_keypair {
	struct key send, receive;	      /* [fixed] */
	struct wg_peer *peer;		      /* [fixed] */
	uint32_t local_index, remote_index;   /* [fixed] */
	uint64_t created;		      /* [fixed] boot ns */
	bool initiator;			      /* [fixed] */
	bool expiry_told;		      /* [control] */
	counter_t counter;		      /* [shared] next to send */
	atomic_bool confirm_told, rekey_told; /* [shared] a fact is reported once */
	struct spin lock;
	struct replay replay; /* [locked] */
};

struct staged {
	struct staged *next;
	size_t len;
	uint8_t ecn;
	uint8_t packet[];
};

struct stage {
	struct spin lock;
	struct staged *first, **last; /* [locked] */
	unsigned count;		      /* [locked] */
};

struct rejection {
	enum wg_counter reason;
	uint32_t count;
	uint64_t told;
};

struct wg_peer {
	struct wg_device *device; /* [fixed] */
	struct key public_key;	  /* [fixed] */
	_Atomic(void *) owner;	  /* [shared] */
	struct list link;	  /* [control] */
	struct list allowed;	  /* [control] */
	bool removed;		  /* [control] */

	_Atomic(struct wg_keypair *) slots[WG_SLOTS]; /* [shared] written by control */
	_Atomic(struct endpoint *) endpoint; /* [shared] immutable object, NULL: none; written by control */
	counter_t counters[WG_COUNTERS];

	/* times, boot ns, 0: never or none [shared] */
	counter_t last_sent, last_received;
	counter_t unanswered_since; /* first data sent since anything came in */
	counter_t unreplied_since;  /* first data received since anything went out */
	counter_t next_look;	    /* control looks at these times no later than this; 0: only when woken */
	counter_t tx_bytes, rx_bytes;
	atomic_bool handshaking; /* an attempt runs: no need to ask for one */
	atomic_bool fresh_data;	 /* data was staged since the last initiation: do not give up */

	atomic_uint facts;	    /* [shared] */
	atomic_bool woken;	    /* [shared] on the device's stack */
	struct wg_peer *next_woken; /* owned by whoever set woken, then by control */
	struct spin roam_lock;
	struct endpoint roam; /* [locked] */
	struct stage stage;

	/* decisions [control] */
	struct handshake handshake;
	struct cookie_maker cookie;
	struct heap_node timer;
	uint64_t last_initiation; /* boot ns of the last that we sent */
	uint64_t retry_at, zero_at, up_at;
	uint64_t silence_jitter;
	uint64_t keepalive_from; /* persistent keepalives are counted from here at the earliest */
	unsigned attempt;	 /* tries of this run */
	unsigned tries;		 /* of which count towards giving up */
	enum wg_reason attempt_reason;
	uint64_t last_handshake_boot, last_handshake_wall, handshake_rtt;
	uint16_t keepalive;
	bool draining;
	struct rejection rejection;
};

#define ADDRESS_KEY_LEN	  19
#define UNKNOWN_INDEX_BOX 16

struct unknown_index {
	uint32_t index;
	struct endpoint from;
};

struct wg_device {
	const struct wg_ops *ops;
	void *ctx;
	struct epoch *epoch;
	struct index_table *indices;
	struct allowedips *allowed;
	struct aead *aead; /* [control] for staged packets and keepalives */
	struct noise_identity identity;
	struct cookie_checker checker;
	struct ratelimiter *limiter;
	struct map *by_key, *by_address;
	struct list peers;
	size_t peer_count;
	struct heap timers;
	bool up, dying;
	uint64_t up_since;
	unsigned divisor;
	uint64_t load_until;
	uint64_t last_stamp, floor; /* ns since 1970 */
	uint64_t unknown_window;    /* global limit of unknown-index handshakes */
	unsigned unknown_used;
	struct rejection rejection;
	uint8_t *scratch; /* one sealed packet */

	atomic_uint mtu;
	counter_t counters[WG_COUNTERS];
	counter_t staged_bytes;
	_Atomic(struct wg_peer *) woken;
	struct spin unknown_lock;
	struct unknown_index unknown[UNKNOWN_INDEX_BOX]; /* [locked] */
	atomic_uint unknown_count;
};

/* Protocol durations go through this, so that tests can run faster. */
static inline uint64_t span(const struct wg_device *d, uint64_t ns)
{
	return ns / d->divisor;
}

static inline void count(struct wg_peer *p, enum wg_counter c, uint64_t n)
{
	counter_add(&p->counters[c], n);
	counter_add(&p->device->counters[c], n);
}

/* peer.c */
void peer_use_endpoint(struct wg_peer *p, const struct endpoint *e); /* publishes, keeps the address map */
void peer_wake(struct wg_peer *p, enum fact fact);		     /* [worker] */
void peer_forget_source(struct wg_peer *p);
struct wg_peer *peer_at_address(struct wg_device *d, const union address *a);

/* device.c */
void device_emit(struct wg_device *d, struct wg_peer *p, struct wg_event ev, struct instant now);
void device_reject(struct wg_device *d, struct wg_peer *p, enum wg_counter why, const struct endpoint *from,
	    struct wg_event details, struct instant now);

/* session.c */
struct wg_keypair *keypair_new(struct wg_peer *p, const struct noise_session *s, uint64_t now);
void session_install(struct wg_peer *p, struct wg_keypair *k);
void session_confirm(struct wg_peer *p, struct instant now);
void session_drop_all(struct wg_peer *p);
bool session_usable(const struct wg_peer *p, uint64_t now);
void handshake_forget(struct wg_peer *p);
void session_done(struct wg_peer *p, struct wg_keypair *k, uint64_t rtt, struct instant now);
void stage_flush(struct wg_peer *p, struct instant now); /* sends what waits; a keepalive if nothing does */
unsigned stage_drop(struct wg_peer *p);
int send_keepalive(struct wg_peer *p, struct instant now);

/* timers.c */
int handshake_start(struct wg_peer *p, struct instant now, enum wg_reason why, bool force);
void handshake_stop(struct wg_peer *p);
void peer_schedule(struct wg_peer *p); /* after any change: when must we look at it next? */
void peer_deadlines(struct wg_peer *p, uint64_t due[WG_TIMERS]);

/* data.c: RFC 6040, for its tests */
bool ecn_combine(uint8_t outer, uint8_t inner, uint8_t *result);

/* receive.c */
void unknown_indices_serve(struct wg_device *d, struct instant now, unsigned *budget);

#endif
