/*
 * What our NAT does with UDP, by asking STUN servers from one socket of our own (the ways of RFC 5780 4.3):
 * only while somebody wants to know, because a direct path was not found. The servers are those that ICE
 * asks; the same ones whether they are for STUN or TURN. Control thread.
 */
#ifndef WEIR_ENGINE_NAT_H
#define WEIR_ENGINE_NAT_H

#include "base/endpoint.h"
#include "base/loop.h"
#include "net/stun.h"
#include "signal/signal.h"

struct paths;

#define NAT_ASKED_MAX 6

struct nat_question {
	union address to, mapped; /* mapped AF_UNSPEC: no answer */
	uint8_t transaction[ASK_TRANSACTION];
	bool turn; /* a TURN server's address */
};

struct nat_view {
	enum signal_nat kind; /* of the last time that all was asked */
	unsigned servers;     /* that were asked */
	union address server, mapped,
		mapped_before; /* addresses of the NAT; ports are those of this socket */
	uint64_t asked_at, answered_at, mapped_changed_at; /* boot ns, 0: never */
	uint64_t judged_at; /* when the questions were sent that tell the kind */
	bool turn_answers;
	union address turn; /* the first TURN server that was asked */
};

struct nat {
	struct paths *paths;
	struct nat_view view;
	int fd; /* -1: nothing is being asked */
	struct loop_fd *watch;
	struct loop_timer *timer;
	struct nat_question asked[NAT_ASKED_MAX];
	unsigned count, tries;
	bool sent;	 /* the kernel took a request */
	bool refused;	 /* ICMP came back */
	bool other;	 /* the server's second address is asked, too */
	uint64_t ask_at; /* not again before */
};

struct nat *nat_new(struct paths *s);
void nat_free(struct nat *n);

/* Somebody wants to know. Asks if that was long ago, if something broke since, or the network has changed. */
void nat_want(struct nat *n, uint64_t broke_at);
void nat_network_changed(struct nat *n);
bool nat_address_is_ours(const union address *a); /* no NAT stands before it */

/* What was found last, for people: "none", "blocked", "endpoint-independent", "symmetric"; NULL: not known. */
const char *nat_word(const struct nat *n);

#endif
