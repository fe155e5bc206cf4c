/*
 * One peer machine under virtual time, and a far end that is a puppet: it answers pings on ways that live,
 * keeps WireGuard counts per way, and sends tunnel packets when told. Every step is followed by peer_check().
 */
#ifndef WEIR_TESTS_PEER_RIG_H
#define WEIR_TESTS_PEER_RIG_H

#include <stdbool.h>

#include "base/clock.h"
#include "peer/peer.h"

#define RIG_WAYS  8
#define RIG_QUEUE 512

struct rig_way {
	struct peer_path_ref ref; /* kind NONE: unused */
	bool alive;		  /* frames pass both ways */
	bool out, in;		  /* WireGuard passes */
	uint64_t rtt;
	uint16_t mtu; /* 0: any */
	uint64_t sent, received, last_sent, last_received, far_sent, far_received;
};

struct rig_queued {
	uint64_t at;
	struct peer_path_ref path;
	struct signal_message *message; /* NULL: a tunnel packet */
};

struct rig {
	struct peer_machine *m;
	struct peer_settings settings;
	struct tunnel_facts facts;
	uint64_t now;
	struct rig_way ways[RIG_WAYS];
	struct rig_queued queue[RIG_QUEUE];
	unsigned queued;
	uint64_t boot;
	uint32_t remote_generation;
	struct peer_path_ref chosen;

	uint64_t traffic; /* ns between data packets of ours, 0: none */
	uint64_t next_data;
	bool one_way; /* the far end has nothing to say */
	bool courts;  /* it sends a keepalive wherever we do */
	bool counts;  /* its pings and pongs carry counts */

	unsigned acts[PEER_ACTIONS], frames[16];
	struct peer_action last[PEER_ACTIONS], last_frame[16];
	char notes[65536]; /* all of them, one a line */
	size_t notes_len;
	unsigned most_actions, changes_before;
};

extern const struct peer_path_ref rig_direct; /* generation 1 */

struct rig *rig_new(enum peer_mode mode, bool controlling);
void rig_free(struct rig *r);
int rig_setup(void **state); /* auto, controlling, started; home relay 0, second server 1 */
int rig_teardown(void **state);

struct rig_way *rig_way(struct rig *r, struct peer_path_ref ref); /* adds it, alive, 20 ms */
struct peer_path_ref rig_relay(uint32_t server, uint32_t generation);
struct peer_path_ref rig_ice(uint32_t generation);

void rig_step(struct rig *r, struct peer_event ev);
void rig_event(struct rig *r, enum peer_event_type type, struct peer_path_ref path, bool up);
void rig_command(struct rig *r, enum peer_command c);
struct signal_message rig_message(struct rig *r, enum signal_type type);
void rig_frame(struct rig *r, struct peer_path_ref path, struct signal_message *m, bool new_boot);
void rig_hello(struct rig *r, struct peer_path_ref path); /* the remote's first frame */
void rig_packet(struct rig *r,
		struct peer_path_ref path); /* a tunnel packet comes in now, ARRIVED or a plain fact */
void rig_run(struct rig *r, uint64_t milliseconds);
bool rig_until_chosen(struct rig *r, struct peer_path_ref path, uint64_t milliseconds);
void rig_relay_up(struct rig *r, uint32_t server, uint32_t generation); /* and the peer online there */
void rig_tunnel(struct rig *r);						/* keys are usable from now on */
struct peer_look rig_look(const struct rig *r);
void rig_forget(struct rig *r);		   /* counts of actions and notes begin anew */
unsigned rig_changes(const struct rig *r); /* of path, since rig_forget() */
bool rig_noted(const struct rig *r, const char *text);

#endif
