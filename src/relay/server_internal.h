/* Between the files of the relay server. */
#ifndef WEIR_RELAY_SERVER_INTERNAL_H
#define WEIR_RELAY_SERVER_INTERNAL_H

#include "base/strbuf.h"
#include "relay/hub.h"
#include "relay/server.h"
#include "relay/stun.h"

struct lws;
struct lws_context;
struct lws_vhost;
struct ssl_ctx_st;

#define SERVER_BATCH 32768 /* bytes of frames that are written, or read, at once */

enum server_refusal {
	SERVER_REFUSED_CLIENTS,	   /* as many connections as there may be */
	SERVER_REFUSED_ADDRESS,	   /* as many of one address */
	SERVER_REFUSED_HANDSHAKES, /* as many that have not logged in */
	SERVER_REFUSED_DESCRIPTORS,
	SERVER_REFUSALS
};

struct stun_counts {
	uint64_t verdicts[STUN_VERDICTS], limited, failed;
};

/* What stands behind a descriptor in the loop begins with this (it is lws's opaque user data): who takes its
 * events. */
struct server_watched {
	int (*callback)(struct lws *wsi, int reason, void *in, size_t len);
};

/* A descriptor that the loop watches for us. */
struct server_descriptor {
	struct server_watched watched;
	struct server *server;
	void (*ready)(struct server *s, int fd);
	int fd; /* -1: none */
	struct lws *wsi;
};

struct server {
	const struct relay_server_options *options;
	struct hub *hub;
	struct lws_context *context;
	struct lws_vhost *vhost;
	struct ssl_ctx_st *tls; /* of the vhost */
	struct server_descriptor listener, status_listener, signals;
	struct server_descriptor stun[STUN_PLACES]; /* by enum stun_place, counted from the first */
	int spare_fd; /* given up for a moment when there are no others */

	unsigned clients_max, per_address_max, handshakes_max;
	union address bound, status_bound, stun_bound[STUN_PLACES];
	struct map *addresses; /* connections of each */
	size_t connections, status_connections;
	bool loop_uv;

	uint64_t started; /* boot ns */
	uint64_t armed;	  /* what the timer is set to */
	uint64_t drain_end;
	bool draining, stopping;
	uint64_t accepted, refused[SERVER_REFUSALS], reloads, reload_failures;
	struct log_limit refusal_lines;

	struct server_timer *timer;
	struct stun_counts stun_counts;
	struct stun_limiter *stun_limiter;
	uint8_t *batch; /* LWS_PRE bytes lead it */
};

/* One TCP connection of a client. */
struct connection {
	struct server_watched watched;
	struct server *server;
	struct session *session; /* NULL: it is over */
	struct lws *wsi;	 /* NULL: it is over */
	uint8_t address[16];	 /* key of server.addresses */
	bool counted;		 /* in there */
	bool local;		 /* from this machine: a proxy may speak for another address */
	bool established;	 /* a WebSocket */
	uint8_t *partial;	 /* a message of which more is to come */
	size_t partial_len;
};

/* ---- server.c ---- */

void server_arm(struct server *s); /* the timer, for the hub's next deadline */

/* ---- server_setup.c ---- */

/* Options to settings, files, sockets and descriptors: all that can fail in words before the loop is there.
 */
int server_set_up(struct server *s, const struct relay_server_options *o, const struct hub_ops *ops,
		  struct error *e);
void server_take_down(struct server *s);
void server_reload(struct server *s);

/* ---- server_files.c: what is read from disk, at the start and at SIGHUP ---- */

int server_read_secret(const char *path, struct relay_secret *secret, struct error *e);
int server_read_allowed(const char *path, struct map **allowed, struct error *e); /* a map of ids */

/* Whether the pair can be used; and puts it into a context that serves already. */
int server_check_tls(const char *cert_file, const char *key_file, struct error *e);
void server_tune_tls(struct ssl_ctx_st *ctx);
int server_use_tls(struct ssl_ctx_st *ctx, const char *cert_file, const char *key_file, struct error *e);

/* ---- server_sockets.c ---- */

int server_listen(const char *text, const char *what, union address *bound, int *fd, struct error *e);
int server_open_stun(const union address *at, const char *what, union address *bound, int *fd,
		     struct error *e);
bool server_parse_address(const char *text, union address *a);
void server_tune(int fd); /* a client's socket */
void server_address_key(const union address *a, uint8_t key[16]);
bool server_address_local(const union address *a);
void server_unmap(union address *a); /* ::ffff:192.0.2.1 becomes 192.0.2.1 */

/* ---- server_stun.c ---- */

struct stun_limiter *stun_limiter_new(void);
void stun_limiter_free(struct stun_limiter *l);
void server_stun_ready(struct server *s, int fd);

/* ---- server_client.c ---- */

void server_accept(struct server *s, int fd);
void server_client_writable(void *server, struct session *session);
void server_client_close(void *server, struct session *session);
void server_client_pause(void *server, struct session *session, bool pause);

/* ---- server_http.c ---- */

void server_accept_status(struct server *s, int fd);

/* ---- server_status.c: texts ---- */

void server_metrics(const struct server *s, struct strbuf *out);
void server_status_json(const struct server *s, uint64_t now, struct strbuf *out);
void server_log_figures(const struct server *s, uint64_t now);

#endif
