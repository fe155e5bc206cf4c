/*
 * The relay server (weir-relay(8)): NetBird's relay protocol v1 over WebSocket, plain or TLS, with a STUN
 * responder. One thread; every destination has a bounded queue, so that a slow receiver never stalls a
 * sender.
 */
#ifndef WEIR_RELAY_SERVER_H
#define WEIR_RELAY_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "relay/wire.h"

struct relay_server;

struct relay_server_options {
	const char *listen; /* "0.0.0.0:443", "[::]:443" */
	const char *url;    /* instance URL; NULL: from the listen address */
	const char *secret_file;
	const char *cert_file, *key_file; /* both or neither */
	const char
		*allow_file; /* public keys that may log in, one a line, # comments; NULL: any with a token */
	const char *stun;    /* "ADDRESS:PORT"; NULL: the listen address with port 3478; "off" */
	const char *stun_other_port;	/* NULL: the next one, if it is free; "off" */
	const char *stun_other_address; /* a second one of this host, NULL: none */
	const char
		*status; /* "ADDRESS:PORT" of /metrics, /status.json, /health; NULL: 127.0.0.1:9090; "off" */
	unsigned clients_max;	  /* 0: 20000 */
	unsigned per_address_max; /* connections of one address, 0: 1000 */
	uint64_t rate;		  /* bytes a second that one client may send, 0: not limited */
	size_t queue_bytes;	  /* per destination, 0: 512 KiB */
	bool trust_proxy;	  /* X-Real-Ip of loopback connections counts as the client's address */
	unsigned login_seconds;	  /* from the connection to a good login, 0: 10 */
	unsigned time_divisor;	  /* tests: protocol times divided by this, 0: not */

	/* Called once when all is bound and read, before anybody is served: the place to give up rights. Not
	 * 0: it ends. */
	int (*ready)(void *arg, struct error *e);
	void *arg;
};

/*
 * Serves until SIGTERM or SIGINT, which say Close to all clients and wait for them for a few seconds. SIGHUP
 * reads secret, list and certificates again, SIGUSR1 logs the figures; these four signals are blocked from
 * here on. 0, or the error.
 */
int relay_server_run(const struct relay_server_options *o, struct error *e);

#endif
