/*
 * Where packets meet the tap. Each hook looks at the tap's switch first: while nobody listens, that is all it
 * does. Producers of the tap: the workers by their ids, the control thread, and the relay pool's thread.
 */
#ifndef WEIR_ENGINE_TAP_HOOKS_H
#define WEIR_ENGINE_TAP_HOOKS_H

#include "engine/internal.h"
#include "net/segment.h"
#include "tap/tap.h"

struct taps; /* tap.c: what the control thread keeps */

/* Outer datagrams are for the point wire, or where a relay carries them, for relay. */
#define TAP_OUTER (1u << TAP_WIRE | 1u << TAP_RELAY)

/* [any thread] Bits of the points that somebody wants. */
static inline uint32_t tap_points(const struct engine *g)
{
	return atomic_load_explicit(&g->tapped->points, memory_order_relaxed);
}

/* tap.c */
void taps_open(struct engine *g);
void taps_close(struct engine *g);
void taps_turn(struct engine *g); /* in each turn of the control thread: sessions that ended */
void tap_ephemeral(struct engine *g, struct wg_peer *wg, const struct key *private_key);

/* tap_hooks.c. [worker] Opening is in place: what the point may want of the datagrams is put aside before. */
void tap_before_open(struct worker *w, const struct wg_incoming *in, unsigned count,
		     const struct endpoint *from);
void tap_opened(struct worker *w, const struct wg_incoming *in, unsigned count, const struct endpoint *from);
void tap_trains(struct worker *w, const struct udp_train *sent);
/* Packets from the TUN one by one, as they are cut to be sealed; *m is then the caller's, who counts the
 * counter on. */
void tap_inner_begin(struct worker *w, struct wg_peer *peer, const struct wg_keypair *k, uint64_t counter,
		     struct tap_meta *m);
void tap_inner_put(struct worker *w, struct tap_meta *m, const uint8_t *packet, size_t len);
/* Those that are not sealed now. */
void tap_inner_all(struct worker *w, const struct segmenter *s, struct wg_peer *peer, enum tap_drop drop);
/* A datagram that goes no further: the control thread was behind, or it is nothing that we know. [any thread]
 */
void tap_refused(struct engine *g, unsigned producer, const struct endpoint *from, const void *data,
		 size_t len, enum tap_drop drop);

/* tap_control.c, in the control thread. Of one datagram, after it was sent; error: 0 or -errno. */
void tap_sent(struct engine *g, struct engine_peer *p, const struct endpoint *to, const void *data,
	      size_t len, int error);
/* A handshake message, after what came of it. What is sent meanwhile waits, so that cause comes before
 * effect. */
void tap_handshake_begins(struct engine *g);
void tap_handshake_ends(struct engine *g, const struct handshake_slot *s, struct wg_peer *proven);
/* A sealed frame that came, and its body; m NULL: it was not opened. */
void tap_frame_in(struct engine *g, struct engine_peer *p, const struct endpoint *from, const void *frame,
		  size_t len, const struct signal_message *m, enum tap_drop drop);
/* One that goes out by `to`, after it was sent. */
void tap_frame_out(struct engine *g, struct engine_peer *p, const struct endpoint *to, const void *frame,
		   size_t len, const struct signal_message *m, int error);
/* [any thread] A message with a relay server that carries no datagram. */
void tap_relay_message(struct engine *g, bool out, const union address *server, const uint8_t *message,
		       size_t len);

/* What the hooks share: tap_hooks.c */
struct tap_place { /* how a datagram goes */
	bool relay;
	uint8_t header[RELAY_TRANSPORT_LEN];
	uint8_t path;
	uint32_t generation;
	union address local, remote;
};
void tap_place_of(struct engine *g, const struct endpoint *e, struct tap_place *out);
unsigned tap_producer_here(const struct engine *g); /* of threads that are no workers */
/* One outer datagram at its point; *m has what is known of it beside its way. */
void tap_outer(struct engine *g, unsigned producer, const struct tap_place *place, struct tap_meta *m,
	       const void *data, size_t len);
/* Whose it is, and the generation of its direct path: the device's sockets carry those of all peers. */
void tap_set_peer(struct tap_meta *m, const struct wg_peer *peer);
void tap_set_way(struct tap_meta *m, const struct tap_place *place); /* after the peer */
enum tap_drop tap_drop_of(enum wg_counter why);
void tap_describe(struct tap_meta *m, const uint8_t *data, size_t len); /* type, length, index, counter */

#endif
