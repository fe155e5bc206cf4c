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
	FACT_REJECTED = 32, /* something was refused */
};

/* What control tells once it knows the time: setters do not get it. */
enum tell {
	TELL_ENDPOINT = 1,
	TELL_STOLEN = 2,
};

#define REJECT_FIRST WG_COUNT_reject_malformed
#define REJECTS	     (WG_COUNT_reject_ecn - REJECT_FIRST + 1)

/* Lines of their own for what nobody writes, what senders write, and what receivers write. */
struct wg_keypair {
	struct key send, receive;	    /* [fixed] */
	struct wg_peer *peer;		    /* [fixed] */
	uint32_t local_index, remote_index; /* [fixed] */
	uint64_t created;		    /* [fixed] boot ns */
	bool initiator;			    /* [fixed] */
	bool expiry_told;		    /* [control] */
	_Alignas(64) counter_t counter;	    /* [shared] next to send */
	_Alignas(64) struct spin lock;
	atomic_bool confirm_told; /* [shared] reported once */
	struct replay replay;	  /* [locked] */
};

struct staged; /* device.c: for a key log */
void peer_tell_ephemeral(struct wg_peer *p, const struct handshake *h);

/* session.c */

struct stage {
	struct spin lock;
	struct staged *first, **last; /* [locked] */
	unsigned count;		      /* [locked] */
	uint64_t told;		      /* [locked] when control heard of it last */
	bool closed;		      /* [locked] nothing is added any more */
};

/* What of each kind of refusal has been told, and when (report.c). */
struct reject_log {
	uint64_t told[REJECTS], told_at[REJECTS];
};

struct wg_peer {
	struct wg_device *device;		      /* [fixed] */
	struct key public_key;			      /* [fixed] */
	_Atomic(void *) owner;			      /* [shared] */
	_Atomic(struct wg_keypair *) slots[WG_SLOTS]; /* [shared] written by control */
	_Atomic(struct endpoint *) endpoint; /* [shared] immutable object, NULL: none; written by control */
	counter_t next_look;	 /* [shared] control looks at the times below no later; 0: only when woken */
	counter_t reject_quiet;	 /* [shared] refusals before this time are not reported */
	atomic_bool handshaking; /* [shared] an attempt runs or is planned: no need to ask for one */
	atomic_bool shy;	 /* [shared] it is not spoken to by the device's own sockets */
	atomic_bool pinned;	 /* [shared] its owner chooses the way; it roams within that alone */

	/* from workers to control [shared] */
	_Alignas(64) atomic_uint facts;
	atomic_bool woken;	    /* on the device's stack, or about to be */
	struct wg_peer *next_woken; /* owned by whoever set woken, then by control */
	struct spin roam_lock;
	struct endpoint roam; /* [locked] */
	atomic_bool roaming;  /* roam is newer than endpoint */
	struct stage stage;

	/* times, boot ns, 0: never or none [shared]; senders' and receivers' apart */
	_Alignas(64) counter_t last_sent;
	counter_t unanswered_since; /* first data sent since anything came in */
	counter_t silence_from;	    /* the same, but the silence timer starts it anew */
	counter_t tx_bytes;
	_Alignas(64) counter_t last_received;
	counter_t unreplied_since; /* first data received since anything went out */
	counter_t rx_bytes;
	counter_t refused_source[2]; /* the last inner one, as bytes of an IPv6 address; halves of two may meet */
	_Alignas(64) counter_t counters[WG_COUNTERS];

	/* decisions [control] */
	struct list link;
	struct list allowed;
	struct list homeless;	   /* in the device's list while no endpoint is known */
	struct list same_endpoint; /* ring of the peers at this address */
	bool removed;
	bool own; /* has our own key: ignored */
	bool draining;
	uint16_t keepalive;
	unsigned tell;
	struct handshake handshake;
	struct cookie_maker cookie;
	struct heap_node timer;

	uint64_t start_at; /* an initiation is planned for then, 0: none */
	enum wg_reason start_reason;
	bool start_forced; /* even if a handshake message went out just now */
	uint64_t retry_at; /* of the attempt that runs */
	unsigned attempt;  /* tries of this run, 0: none runs */
	unsigned tries;	   /* of which count towards giving up */
	enum wg_reason attempt_reason;
	uint64_t last_initiation;     /* boot ns of the last that we sent */
	uint64_t last_handshake_sent; /* initiation or response; 0: the next need not wait */
	uint64_t last_stamp;	      /* of the last initiation */
	uint64_t guess_full;	      /* bucket of guesses (unknown.c) */
	struct endpoint guessed;

	uint64_t zero_at, purge_at, reject_at;
	uint64_t silence_jitter;
	uint64_t keepalive_from; /* persistent keepalives are counted from here at the earliest */
	uint64_t last_handshake_boot, last_handshake_wall, handshake_rtt;
	struct reject_log *rejects; /* from the first refusal on */
	struct wg_stolen *stolen;   /* NULL: no allowed IP was ever taken from it */
};

#define ADDRESS_KEY_LEN	  27
#define UNKNOWN_INDEX_BOX 16
#define UNKNOWN_SEEN	  64

struct unknown_index {
	uint32_t index;
	struct endpoint from;
};

/* Protocol durations after the divisor. Constant while workers run. */
struct durations {
	uint64_t rekey_after, renew_receive, reject_after, rekey_timeout, rekey_jitter, keepalive, zero,
		attempt;
	unsigned divisor;
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
	struct list peers, homeless;
	size_t peer_count;
	struct heap timers;
	bool up;
	struct durations t; /* [fixed] while workers run */
	uint64_t load_until;
	uint64_t last_stamp, floor, reserved; /* ns since 1970: newest sent, lowest allowed, persisted */
	uint64_t unknown_full, guess_full;    /* buckets (unknown.c) */
	struct reject_log rejects;
	uint64_t reject_at;
	struct wg_stranger strangers[WG_STRANGERS];
	struct wg_refusal refusal; /* of the handshake message that came last */
	bool tells_ephemerals;

	/* [shared] */
	atomic_uint mtu;
	counter_t staged_bytes;
	counter_t reject_quiet;
	_Alignas(64) counter_t counters[WG_COUNTERS];
	counter_t anonymous[REJECTS]; /* refusals that belong to no peer */
	_Alignas(64) _Atomic(struct wg_peer *) woken;
	atomic_bool wake_told; /* control was woken and has not served yet */
	atomic_bool rejected;
	counter_t unknown_seen[UNKNOWN_SEEN]; /* sources told lately: hash and time */
	struct spin unknown_lock;
	struct unknown_index unknown[UNKNOWN_INDEX_BOX]; /* [locked] */
	atomic_uint unknown_count;
};

/* A worker's `now` can be older than a key that control has just made. */
static inline uint64_t keypair_age(const struct wg_keypair *k, uint64_t now)
{
	return now > k->created ? now - k->created : 0;
}

static inline bool is_due(uint64_t at, uint64_t now)
{
	return at && at <= now;
}

/* Address and way; which source address of ours is used makes no difference to where the peer is. */
static inline bool same_place(const struct endpoint *a, const struct endpoint *b)
{
	return a->via == b->via && address_equal(&a->remote, &b->remote);
}

static inline bool peer_may_use(const struct wg_peer *p, const struct endpoint *e)
{
	return e->via || !atomic_load_explicit(&p->shy, memory_order_relaxed);
}

/* May a packet that came from there move the endpoint? A pinned peer leaves no way that it is known on. */
static inline bool may_move(const struct wg_peer *p, const struct endpoint *known, const struct endpoint *from)
{
	if (!peer_may_use(p, from))
		return false;
	return !atomic_load_explicit(&p->pinned, memory_order_relaxed) || known->via == from->via ||
	       !endpoint_known(known);
}

static inline void count(struct wg_peer *p, enum wg_counter c, uint64_t n)
{
	counter_add(&p->counters[c], n);
	counter_add(&p->device->counters[c], n);
}

/* peer.c */
void peer_use_endpoint(struct wg_peer *p, const struct endpoint *e); /* publishes, keeps the address map */
void peer_learn_endpoint(struct wg_peer *p, const struct endpoint *from, struct instant now);
void peer_wake(struct wg_peer *p, enum fact fact); /* [worker] */
void peer_collect_woken(struct wg_device *d);
void peer_forget_source(struct wg_peer *p);
struct wg_peer *peer_at(struct wg_device *d, const struct endpoint *e); /* one of the ring */

/* device.c */
void device_wake(struct wg_device *d); /* [worker] */

/* report.c: events, and refusals, told now and then so that a flood does not become a flood of events */
void device_emit(struct wg_device *d, struct wg_peer *p, struct wg_event ev, struct instant now);
void device_reject(struct wg_device *d, struct wg_peer *p, enum wg_counter why, const struct endpoint *from,
		   struct wg_event details, struct instant now);
void reject_counted(struct wg_peer *p, enum wg_counter why, unsigned n, uint64_t now);	   /* [worker] */
void reject_anonymous(struct wg_device *d, enum wg_counter why, unsigned n, uint64_t now); /* [worker] */
void peer_tell_rejects(struct wg_peer *p, struct instant now);
void device_tell_rejects(struct wg_device *d, struct instant now);

/* session.c */
struct wg_keypair *session_begin(struct wg_peer *p, struct handshake *h, uint64_t now);
void session_install(struct wg_peer *p, struct wg_keypair *k, struct instant now);
void session_confirm(struct wg_peer *p, struct instant now);
void session_drop_all(struct wg_peer *p);
bool session_any(const struct wg_peer *p); /* any key at all */
bool session_usable(const struct wg_peer *p, uint64_t now);
void handshake_forget(struct wg_peer *p);
void session_done(struct wg_peer *p, struct wg_keypair *k, uint64_t rtt, struct instant now);
void stage_init(struct wg_peer *p);
unsigned stage_flush(struct wg_peer *p, struct wg_keypair *k, uint64_t now); /* packets sent */
unsigned stage_drop(struct wg_peer *p);					     /* counted */
void stage_close(struct wg_peer *p);
unsigned stage_count(struct wg_peer *p);
int send_empty_to(struct wg_peer *p, const struct endpoint *to, uint64_t now); /* -ENOKEY */
void send_keepalive(struct wg_peer *p, struct instant now); /* plans a handshake when there is no key */

/* timers.c */
bool handshake_possible(const struct wg_peer *p);
void handshake_plan(struct wg_peer *p, uint64_t at, enum wg_reason why, bool force);
void handshake_guess(struct wg_peer *p, const struct endpoint *to, struct instant now);
void handshake_stop(struct wg_peer *p);
void peer_schedule(struct wg_peer *p); /* after any change: when must we look at it next? */
void peer_deadlines(struct wg_peer *p, uint64_t due[WG_TIMERS]);
uint64_t rekey_jitter(const struct wg_device *d);

/* data.c: RFC 6040, for its tests */
bool ecn_combine(uint8_t outer, uint8_t inner, uint8_t *result);

/* unknown.c */
void unknown_index_report(struct wg_device *d, uint32_t index, const struct endpoint *from,
			  uint64_t now); /* [worker] */
void unknown_indices_serve(struct wg_device *d, struct instant now);

#endif
