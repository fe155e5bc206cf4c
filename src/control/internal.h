/* What the files of the control socket share; no other room includes it. */
#ifndef WEIR_CONTROL_INTERNAL_H
#define WEIR_CONTROL_INTERNAL_H

#include <jansson.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "control/changes.h"
#include "control/control.h"
#include "control/json_writer.h"
#include "control/record.h"
#include "control/snapshot.h"
#include "control/socket.h"

#define CLIENTS_MAX  64
#define REQUEST_MAX  (1u << 20)	     /* longest request line */
#define OUT_MAX	     (4u << 20)	     /* unread output beyond which notifications are dropped */
#define OUT_CHUNK    (128u << 10)    /* a streamed line grows to this, then waits for the socket */
#define OUT_BACKLOG  (256u << 10)    /* unread output beyond which no request is read */
#define TURN_TIME    (4 * NS_PER_MS) /* CPU time of all clients together, in one turn of the loop */
#define SNAPSHOT_GAP (100 * NS_PER_MS)

/* A line with many peers in it, written as the client reads it. */
struct stream {
	bool active;
	bool compare; /* tell `changes` what was sent */
	bool brief;   /* only what a list needs */
	bool explain; /* verdicts of those that have one */
	bool unhealthy;
	bool history; /* recorded lines instead of peers, up to the end line */
	uint64_t from, to;
	struct record_reader *reader;
	char *reply; /* the end line of a history */
	struct key *keys;
	size_t count, next;
	bool comma;
	const char *end;
};

/* An action on many peers, some per turn: each handshake costs a tenth of a millisecond. */
struct job {
	int (*act)(struct engine_peer *p, int what, const char *who, struct error *e); /* NULL: no job */
	int what; /* the action's own number */
	char *id;
	struct key *keys;
	size_t count, next, done;
	struct strbuf failed; /* elements of the array */
	size_t failed_count;
};

struct subscription {
	bool on, log;
	bool fresh; /* the next snapshot is a full one */
	enum log_level level;
	uint64_t interval; /* ns */
	uint64_t due;	   /* boot ns of the next snapshot */
	uint64_t regular;  /* boot ns of the next one by interval */
	uint64_t last;	   /* boot ns of the last one */
	uint64_t version;  /* what it has of `changes` */
	uint64_t log_next; /* sequence */
};

struct control_client {
	struct list link;
	struct control *control;
	int fd;
	struct loop_fd *watch;
	struct list work; /* in the control's, if it waits for a turn */
	bool waiting;
	bool readonly, view;
	bool ended;   /* no more requests will come */
	bool closing; /* to be freed once its output is gone */
	bool unheard; /* nobody reads any more: output is thrown away */
	char who[24]; /* for the timeline: "uid 1000" */
	bool has_uid; /* it came by the socket's file */
	uid_t uid;
	struct control_tap *tap; /* packets that it gets, or NULL */
	struct strbuf in;
	size_t in_scanned; /* no newline before this */
	struct strbuf out;
	size_t out_start;
	uint64_t moved; /* boot ns when its socket last took something */
	struct strbuf later; /* whole lines that wait for the streamed one to end */
	uint64_t dropped;
	struct stream stream;
	struct job job;
	struct subscription subscription;
};

struct history;

struct control {
	struct engine *engine;
	struct control_ops ops;
	struct listener *listener;
	struct list clients;
	struct list work; /* clients that wait for a turn, served one after another */
	struct loop_timer *work_timer;
	uint64_t until; /* by clock_work_ns: then the turn that runs is to end */
	unsigned client_count, subscriber_count;
	char hostname[65];
	char *configuration; /* NULL: none */
	struct time_base time_base;
	struct allowed_list allowed;
	struct snapshot_paths paths;
	struct diagnoses diagnoses;
	struct engine_observer observer;
	struct changes *changes; /* while there are subscribers */
	struct loop_timer *tick;
	struct loop_timer *down; /* ops.down is called from here, after the reply went out */
	bool down_drain;
	int tap_fd; /* eventfd: there are packets for a client */
	struct loop_fd *tap_watch;
	int log_fd; /* eventfd: there are new log lines */
	struct loop_fd *log_watch;
	atomic_bool log_told;
	struct history *history; /* NULL: nothing is recorded */
};

/* ---- control.c ---- */

/* Does what a client waits for, soon: requests, the streamed line, the socket. Frees it when it is at its end. */
void client_turn_soon(struct control_client *c);
bool turn_is_over(const struct control *c); /* to be asked after each piece of work */

/* ---- output.c ---- */

size_t output_unread(const struct control_client *c);
void output_reply(struct control_client *c, const char *line, size_t len);
/* A notification: dropped and counted when the client does not read. */
void output_notify(struct control_client *c, const char *line, size_t len);
/* Begins a streamed line: head, then an object per key, then end. keys is consumed. */
void output_stream(struct control_client *c, const struct strbuf *head, struct key *keys, size_t count,
		   const char *end, bool compare);
/* Begins to send what is recorded, then the reply, which is taken. */
void output_history(struct control_client *c, uint64_t from, uint64_t to, char *reply);
void output_continue(struct control_client *c); /* writes on at the streamed line, up to a chunk */
void output_flush(struct control_client *c);	/* to the socket, as much as it takes */
void output_clear(struct control_client *c);

/* ---- methods.c ---- */

void methods_line(struct control_client *c, char *line, size_t len);
void methods_job(struct control_client *c); /* some more of it */
void job_clear(struct job *j);
void control_device(struct control *c, struct writer *w, uint64_t dropped); /* members of a snapshot */
struct key *control_keys(struct engine *g, size_t *count);		    /* of all peers; caller frees */
void control_peer(struct control *c, struct writer *w, struct engine_peer *p, size_t max_allowed);
void control_peer_brief(struct writer *w, struct engine_peer *p);

/* ---- diagnosis.c ---- */

/* An object with the peer's verdicts; false: it has none, and nothing was written. */
bool control_peer_explained(struct control *c, struct writer *w, struct engine_peer *p, bool *unhealthy);

/* ---- subscribe.c ---- */

/* The members of a notification "snapshot" up to the first peer; what was removed is listed in it. */
void control_snapshot(struct control *c, struct writer *w, bool full, uint64_t dropped,
		      const struct key *gone, size_t gone_count);
void subscription_start(struct control_client *c);
void subscription_stop(struct control_client *c);
void subscriptions_soon(struct control *c); /* an immediate snapshot for everyone */
int subscriptions_open(struct control *c, struct error *e);
void subscriptions_close(struct control *c);

#endif
