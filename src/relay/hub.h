/*
 * What a relay server decides: who is logged in, who may be told of whom, what waits for whom. Pure: no I/O,
 * and it is told the time; server.c gives it the messages of connections and sends what it queues.
 *
 * A session is one connection. It is anonymous until its Auth message was good; from then on it is the one
 * session of its id, until another logs in with the same id. Everything for a session goes through one queue,
 * in order: so the answer to the login comes before all else, and facts of presence can never overtake each
 * other.
 */
#ifndef WEIR_RELAY_HUB_H
#define WEIR_RELAY_HUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/endpoint.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/log.h"
#include "base/map.h"
#include "relay/wire.h"

/* Why a session ended. */
enum hub_reason {
	HUB_OPEN,
	HUB_BY_CLIENT,
	HUB_LOST,
	HUB_NO_UPGRADE,
	HUB_NO_LOGIN,
	HUB_NOT_LOGGED_IN,
	HUB_TOKEN_MALFORMED,
	HUB_TOKEN_WRONG,
	HUB_TOKEN_EXPIRED,
	HUB_NOT_ALLOWED,
	HUB_FULL,
	HUB_EMPTY,
	HUB_BAD_VERSION,
	HUB_BAD_TYPE,
	HUB_BAD_LENGTH,
	HUB_BAD_MAGIC,
	HUB_TEXT,
	HUB_FRAGMENTED,
	HUB_TOO_LONG,
	HUB_SILENT,
	HUB_NOT_READING,
	HUB_SUBSCRIPTIONS,
	HUB_REPLACED,
	HUB_DRAINED,
	HUB_REASONS
};
const char *hub_reason_name(enum hub_reason r); /* "token_expired", for counters */

struct hub_settings {
	unsigned clients_max;	/* logged in */
	uint64_t rate;		/* bytes a second from one session, 0: not limited */
	size_t queue_bytes;	/* of transport messages for one session */
	size_t memory_bytes;	/* of transport messages for all */
	unsigned subscriptions; /* of one session */
	uint64_t login_ns;	/* from the connection to a good Auth message */
	uint64_t health_ns;	/* between two health checks */
	uint64_t answer_ns;	/* for the answer to one */
};

struct hub_message; /* in a queue */

struct session {
	void *owner; /* the connection */
	uint64_t number;
	char address[ADDRESS_TEXT];
	struct relay_id id;
	bool logged_in;
	bool closing; /* a Close message is the last that it gets */
	bool paused;  /* sends more than its rate: is not read */
	enum hub_reason reason;
	uint64_t since; /* of the connection, then of the login; boot ns */

	struct hub_message *first, *last;
	size_t transport_bytes, control_bytes; /* queued */
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes, dropped;

	struct heap_node timer;
	uint64_t cut_at;      /* no login, no answer, no end of closing; 0: not waited for */
	uint64_t health_next; /* 0: not logged in */
	uint64_t resume_at;   /* while paused */
	int64_t tokens;
	uint64_t tokens_at;

	unsigned replacements; /* of this id, lately: two hosts with one key (F39) */
	uint64_t replaced_at;
	char rival[ADDRESS_TEXT]; /* where the session was that this one replaced */

	struct list link;	   /* in hub.sessions */
	struct list subscriptions; /* of this session */
	unsigned subscription_count;
};

struct hub_counts {
	uint64_t connections, logins, ended[HUB_REASONS];
	uint64_t transport_packets, transport_bytes; /* passed on */
	uint64_t dropped_absent, dropped_queue, dropped_memory;
	uint64_t online_facts, offline_facts;
	uint64_t health_checks, pauses, replaced, duels;
};

struct hub_ops {
	void (*writable)(void *arg, struct session *s);		 /* something is queued */
	void (*close)(void *arg, struct session *s);		 /* end it, not from within this call */
	void (*pause)(void *arg, struct session *s, bool pause); /* its reading */
	void *arg;
};

struct hub {
	struct hub_settings settings;
	struct hub_ops ops;
	struct hub_counts counts;
	struct relay_secret secret;
	struct map *allowed; /* ids; NULL: everybody with a token */
	char url[RELAY_URL_MAX];

	struct list sessions;
	size_t session_count;
	struct map *clients;	   /* id: session */
	struct map *topics;	   /* id: those who want to know about it */
	struct map *subscriptions; /* session number and id */
	struct heap timers;
	uint64_t numbers;
	size_t queued_bytes;
	struct log_limit lines;
};

struct hub *hub_new(const struct hub_settings *settings, const struct hub_ops *ops);
void hub_free(struct hub *h); /* all sessions must be gone */

/* Secret and list are copied, taken over. They count from the next login on. */
void hub_set_secret(struct hub *h, const struct relay_secret *secret);
void hub_set_allowed(struct hub *h, struct map *allowed);
void hub_set_url(struct hub *h, const char *url);

/* A connection came. The address is for people. */
struct session *hub_add(struct hub *h, void *owner, const char *address, uint64_t now);

/* The connection is gone; frees. `reason` counts unless the session had one of its own. */
void hub_remove(struct hub *h, struct session *s, enum hub_reason reason, uint64_t now);

/* One message of a session. False: the connection is to be closed now, s->reason says why. */
bool hub_take(struct hub *h, struct session *s, const uint8_t *message, size_t len, struct instant now);

/* Marks why the connection is about to be closed, for one that the caller will not read any further. */
void hub_fault(struct session *s, enum hub_reason reason);

/* Moves whole messages, as unmasked WebSocket frames (RFC 6455 section 5.2), into out; the bytes written. */
size_t hub_fill(struct hub *h, struct session *s, uint8_t *out, size_t size);
bool hub_waits(const struct session *s); /* there is more to fill */

uint64_t hub_deadline(const struct hub *h); /* 0: none */
void hub_run(struct hub *h, uint64_t now);

/* Close to everyone; each is cut at the deadline if it does not take it. */
void hub_drain(struct hub *h, uint64_t now, uint64_t deadline);

size_t hub_clients(const struct hub *h); /* logged in */

/* ---- between hub.c and hub_presence.c ---- */

bool hub_queue_fact(struct hub *h, struct session *s, enum relay_type type, const struct relay_id *id);
bool hub_subscribe(struct hub *h, struct session *s, const uint8_t *ids, size_t count);
void hub_unsubscribe(struct hub *h, struct session *s, const uint8_t *ids, size_t count);
void hub_forget(struct hub *h, struct session *s); /* all that it subscribed to */
void hub_announce(struct hub *h, const struct relay_id *id, bool online);

#endif
