/* Shared by the files of the pool: pool.c (what its owner calls, home), pool_server.c (one server's life),
 * inbox.c. */
#ifndef WEIR_RELAY_POOL_INTERNAL_H
#define WEIR_RELAY_POOL_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "base/map.h"
#include "base/resolve.h"
#include "relay/dial.h"
#include "relay/pool.h"
#include "relay/queue.h"
#include "relay/transport.h"

/* What the I/O thread tells the control thread. */
enum event_kind { EVENT_OPENED, EVENT_MESSAGE, EVENT_PONG, EVENT_CLOSED };

struct event {
	struct list link;
	enum event_kind kind;
	struct relay_session *session;
	uint64_t rtt;
	size_t len;
	uint8_t bytes[];
};

struct inbox {
	pthread_mutex_t lock;
	struct list events;
	unsigned count;
	int fd;
	struct loop_fd *watch;
};

struct subscription {
	struct relay_id id;
	unsigned count;
	bool online;
	struct list link;
};

struct server {
	struct relay_pool *pool;
	uint32_t index;
	bool used; /* else the place is free */
	bool configured;
	bool foreign; /* named by a peer alone */
	unsigned holders;
	char name[RELAY_URL_MAX];
	struct relay_url url;
	char instance[RELAY_URL_MAX];
	struct map *subscriptions;
	struct list subscription_list;

	enum relay_state state;
	uint64_t since, next_try;
	uint64_t deadline; /* of the state: handshake, login, the server's next health check */
	uint64_t idle_deadline;
	struct loop_timer *timer;
	uint32_t logins;
	unsigned opened, failures, refusals, short_lives;
	enum relay_failure failure, lost;
	uint64_t lost_at, lifetimes[RELAY_LIFETIMES];
	unsigned slow; /* tries in a row that were given up because an answer was late */
	char error[160], certificate[TLS_PIN_TEXT];
	bool changed; /* its owner is to be told */

	struct dial *dial;
	uint64_t dial_started;
	bool proxied;
	union address last_good,
		dialled;     /* dialled: where the socket leads; last_good once a login came of it */
	union address local; /* where it comes from */
	struct relay_session *session;
	uint64_t check_deadline; /* 0: no check runs */
	uint64_t rtt;
	struct relay_queue queue;
	counter_t rx_packets, rx_bytes;
	_Atomic uint32_t generation; /* of the queue's session */
};

struct relay_pool {
	struct loop *loop;
	struct resolver *resolver;
	struct transport *transport;
	struct relay_pool_ops ops;
	struct relay_pool_options options;
	struct relay_id own_id;
	struct inbox inbox;
	struct loop_timer *flush;
	uint32_t home;
	uint32_t serial;
	_Atomic uint32_t count; /* servers that were ever used */
	struct server *servers[RELAY_SERVERS_MAX];
};

/* inbox.c */
int inbox_open(struct relay_pool *p);
void inbox_close(struct relay_pool *p);
extern const struct transport_ops inbox_transport_ops;
/* [any thread] Tells the owner of a message that is no datagram. */
void inbox_seen(const struct relay_session *s, bool out, const uint8_t *message, size_t len);

/* pool_server.c */
struct server *pool_server_new(struct relay_pool *p, uint32_t index);
void pool_server_free(struct server *s);
void pool_server_handle(struct server *s, const struct event *e);
void pool_server_rethink(struct server *s); /* who wants it may have changed */
void pool_server_dial(struct server *s);
void pool_server_drop(struct server *s, const char *why); /* what is up or being made, without a new try */
void pool_server_restart(struct server *s, enum relay_failure how,
			 const char *why); /* and a new one at once */
void pool_server_check(struct server *s, uint64_t timeout);
void pool_server_subscribe(struct server *s, enum relay_type type, const struct relay_id *id);
void pool_server_status(const struct server *s, struct relay_status *out);

/* pool.c: home, and telling the owner */
bool pool_wants(const struct server *s);
void pool_logged_in(struct server *s);
void pool_lost(struct server *s);
void pool_changed(struct server *s);
void pool_tell(struct relay_pool *p);
int pool_token(const struct relay_pool *p, uint8_t out[RELAY_TOKEN_MAX]);

#endif
