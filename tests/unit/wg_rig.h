/*
 * Two WireGuard devices in virtual time, joined by a wire that tests script: latency, and a filter that sees
 * each datagram and may drop, change or keep it. Nothing here sleeps.
 */
#ifndef WEIR_TESTS_WG_RIG_H
#define WEIR_TESTS_WG_RIG_H

#include "tests/unit/test.h"

#include <stdbool.h>
#include <stdint.h>

#include "wg/messages.h"
#include "wg/wg.h"

#define MS(n)	   ((uint64_t)(n)*NS_PER_MS)
#define SECONDS(n) ((uint64_t)(n)*NS_PER_SEC)
#define PACKETS	   8192 /* ids of inner packets that a rig can tell apart */

struct rig;

struct node {
	struct rig *rig;
	unsigned number; /* 0 or 1; inner address 10.0.0.(1 + number) */
	struct wg_device *d;
	struct wg_peer *peer; /* the other node */
	struct key private_key, public_key;
	union address address; /* where it is on the wire */
	bool knows_ways;       /* ways other than the wire are known to lead to the other node */
	struct epoch_reader *reader;
	struct aead *aead;
	uint64_t floor;	    /* what persist_floor said last */
	unsigned persisted; /* how often */
	unsigned wakes;
	unsigned events[WG_EVENT_TYPES];
	struct wg_event last[WG_EVENT_TYPES];
	enum wg_reason reason;	   /* of the last initiation */
	uint64_t initiations[256]; /* when, the first of them */
	unsigned initiation_count;
	uint64_t keepalive_at; /* when the last empty packet was sent */
	uint8_t came[PACKETS]; /* how often each id was accepted */
	unsigned order[PACKETS], accepted;
	uint8_t last_inner[256];
	size_t last_len;
	unsigned dropped;  /* WG_DROP verdicts */
	uint8_t outer_ecn; /* of datagrams that come in */
};

struct datagram {
	uint64_t due, sequence;
	union address from, to;
	uint32_t via; /* the way that it came by, 0: the wire between addresses */
	uint8_t *data;
	size_t len;
};

struct rig {
	struct instant now;
	struct node n[2];
	uint64_t latency;
	struct datagram *wire;
	size_t wire_count, wire_room;
	uint64_t sequence;
	unsigned next_id;
	unsigned budget;
	/* False: lost. May be NULL. */
	bool (*filter)(struct rig *r, struct node *from, uint8_t *data, size_t len);
	void *filter_arg;
	/* Instead of the filter, for what goes by addresses: may put any number of datagrams on the wire by rig_carry. */
	void (*carrier)(struct rig *r, struct node *from, const union address *to, const uint8_t *data,
			size_t len);
};

struct rig *rig_new(void); /* configured, endpoints known on both sides, down */
void rig_free(struct rig *r);
void rig_up(struct rig *r);
struct rig *rig_connected(void); /* up, with a session, quiet */

/* The device of a node goes and a new one comes, with the same keys; nothing is remembered but the floor. */
void node_kill(struct node *n);
void node_start(struct node *n, bool knows_endpoint);
struct node *node_other(struct node *n);

union address address_of(unsigned last_byte, uint16_t port);
void node_point(struct node *n, const union address *a); /* sets the endpoint of its peer; NULL clears */

/* Lets time pass, in steps from event to event. */
void rig_run(struct rig *r, uint64_t duration);
bool rig_run_until(struct rig *r, uint64_t longest, bool (*done)(struct rig *r));
void rig_carry_by(struct rig *r, uint32_t via, const union address *to, const uint8_t *data, size_t len,
		  uint64_t delay);
void rig_carry(struct rig *r, const union address *from, const union address *to, const uint8_t *data,
	       size_t len, uint64_t delay);

/* An inner packet of len bytes (at least 24) to the other node; its id. From another inner source if wanted.
 */
unsigned node_send(struct node *n, size_t len);
unsigned node_send_from(struct node *n, size_t len, uint8_t source_last, uint8_t ecn);

struct wg_peer_view node_look(struct node *n);
uint64_t node_count(struct node *n, enum wg_counter c); /* the device's */
uint64_t peer_counted(struct node *n, enum wg_counter c);
uint32_t message_type_of(const uint8_t *data);

#endif
