/*
 * A relay server of a few lines that does what a test tells it, misbehaving included. It runs in a thread of
 * its own on a loopback port that the kernel chooses, and relays, so that two pools can talk through it.
 */
#ifndef WEIR_TESTS_RELAY_SCRIPT_H
#define WEIR_TESTS_RELAY_SCRIPT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/wire.h"

#define SCRIPT_CONNECTIONS 16

struct ssl_st;
struct ssl_ctx_st;

struct script_connection {
	int fd;		    /* -1: free */
	struct ssl_st *tls; /* NULL: plain */
	bool upgraded, logged_in;
	bool ignored;
	struct relay_id id;
	uint8_t in[65536];
	size_t in_len;
};

struct script {
	pthread_t thread;
	pthread_mutex_t lock;
	int listener;
	uint16_t port;
	bool stop;
	struct ssl_ctx_st *tls;
	struct script_connection connections[SCRIPT_CONNECTIONS];

	/* What it does: set under the lock, by script_set. */
	bool refuse_token;	/* closes after Auth without a word */
	bool close_at_login;	/* answers the login and closes */
	bool leave_at_login;	/* the same, with a Close message */
	bool overtake;		/* PeersOnline and a datagram come before the answer to the login */
	bool mute;		/* answers no ping */
	bool deaf;		/* accepts, and says nothing at all */
	bool hang_up;		/* at the first bytes of a client */
	unsigned ignore;	/* so many connections to come are accepted and never answered */
	unsigned ignore_logins; /* so many logins to come are never answered */
	bool fragment;		/* sends each message in two frames */
	int http_status;	/* 0: 101 */
	int proxy_status;	/* what it says to CONNECT; then it plays the server behind */
	int login_delay_ms;

	/* What it saw. */
	unsigned accepted, logins, subscribes, unsubscribes, closes, health_echoes;
	char request[1024];    /* the newest */
	char connect[1024];    /* to a proxy */
	char server_name[256]; /* that TLS was asked for */
	char certificate_file[64];
	uint8_t token[RELAY_AUTH_MAX];
	size_t token_len;
};

struct script *script_new(void);

/* A certificate of its own making, for a name or an IPv4 address, valid between these seconds from now. */
struct script_certificate {
	const char *name, *address; /* NULL: not for one */
	long from, until;
	char file[64]; /* out: in PEM form; removed by script_free */
	char pin[45];  /* out */
};
struct script *script_new_tls(struct script_certificate *c);
void script_free(struct script *s);
void script_url(const struct script *s, char out[RELAY_URL_MAX]);

void script_down(struct script *s); /* stops listening, drops all; the port stays its own */
void script_up(struct script *s);
void script_drop_all(struct script *s);
void script_say_all(struct script *s, const void *message,
		    size_t len); /* one relay message to each that is logged in */
unsigned script_count(struct script *s, const unsigned *counter);
#define script_set(s, member, value)                                                                         \
	do {                                                                                                 \
		pthread_mutex_lock(&(s)->lock);                                                              \
		(s)->member = (value);                                                                       \
		pthread_mutex_unlock(&(s)->lock);                                                            \
	} while (0)

#endif
