/*
 * WebSocket sessions with relay servers, in one I/O thread: TLS, upgrade, frames. What is said in them is not
 * known here, and no clock runs here: the control thread gives deadlines and closes what is late.
 *
 * A session is handed over with a connected socket (dial.h). From then on the I/O thread owns it, until it
 * has said `closed` and was told to forget it.
 */
#ifndef WEIR_RELAY_TRANSPORT_H
#define WEIR_RELAY_TRANSPORT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/error.h"
#include "base/list.h"
#include "relay/failure.h"
#include "relay/queue.h"
#include "relay/tls.h"
#include "relay/wire.h"

struct transport;
struct lws;

struct relay_session {
	/* Set before it is handed over, and constant. */
	uint32_t server, generation, serial;
	int fd; /* connected; the session's own */
	struct relay_url url;
	char pin[TLS_PIN_TEXT];
	union address remote; /* where it is connected to: the server, or a proxy */
	struct relay_queue *queue;
	void *arg;

	/* The I/O thread's; what is marked with * may be read when `closed` or `opened` was called. */
	struct list link;
	struct transport *transport;
	struct lws *wsi;
	struct list outbox;
	struct relay_batch batch;
	uint8_t *partial;
	size_t partial_len;
	bool skipping; /* a message that is too long to be one of the protocol */
	bool open, ended;
	bool logged_in;	   /* of the layer above */
	struct list early; /* its too: messages that came before the login's answer */
	unsigned early_count;
	uint64_t ping_sent;
	struct relay_tls_check tls; /* * */
	char error[160];	    /* * why it ended, in words */
	enum relay_failure failure; /* * */
	bool refused; /* * the server does not want us, or we do not want it: trying again soon is useless */
	bool said_close; /* * it took leave */

	/* Both threads. */
	atomic_bool dropped; /* the control thread has given it up: nothing of it counts any more */
	counter_t rx_packets, rx_bytes;
};

struct transport_ops { /* [io thread] */
	void (*opened)(struct relay_session *s);
	void (*message)(struct relay_session *s, uint8_t *data, size_t len);
	void (*pong)(struct relay_session *s, uint64_t rtt);
	void (*closed)(struct relay_session *s); /* exactly once */
	void (*freed)(struct relay_session *s);	 /* the last that is heard of it */
};

struct transport *transport_new(const struct transport_ops *ops, const char *ca_file, struct error *e);
void transport_free(struct transport *t); /* ends the sessions, joins the thread */

/* Trust for sessions that begin from now on. 0, or -errno with *e: then the old trust stays. */
int transport_trust(struct transport *t, const char *ca_file, struct error *e);

void transport_start(struct transport *t, struct relay_session *s);
void transport_send(struct transport *t, struct relay_session *s, const void *message, size_t len);
void transport_ping(struct transport *t, struct relay_session *s);
void transport_close(struct transport *t,
		     struct relay_session *s); /* with a Close message where that is possible */
void transport_forget(struct transport *t, struct relay_session *s); /* after `closed`: frees it */
void transport_wake(struct transport *t);			     /* [any] its queue has something */

/* [io thread] Queues a message before all bulk data. */
void transport_say(struct relay_session *s, const void *message, size_t len);
/* [io thread] Ends it with these words. Not from inside of `closed`. */
void transport_abort(struct relay_session *s, const char *why);

#endif
