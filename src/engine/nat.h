/*
 * What our NAT does with UDP, by asking STUN servers from one socket of our own (the ways of RFC 5780 4.3):
 * only while somebody wants to know, because a direct path was not found. The servers are those that ICE
 * asks; the same ones whether they are for STUN or TURN. When one alone answers, it is asked at its other
 * port and address too, if it has such. Control thread.
 */
#ifndef WEIR_ENGINE_NAT_H
#define WEIR_ENGINE_NAT_H

#include "base/endpoint.h"
#include "base/loop.h"
#include "net/stun.h"
#include "signal/signal.h"

struct paths;

#define NAT_SERVERS_MAX 6
#define NAT_ASKED_MAX	(NAT_SERVERS_MAX + 3)

struct nat_question {
	union address to, mapped; /* mapped AF_UNSPEC: no answer */
	union address other;	  /* where else the server could be asked */
	uint8_t transaction[ASK_TRANSACTION];
	enum ask_change change;
	bool answered;
	bool other_address; /* other is no mere port of the same one */
	bool turn;	    /* a TURN server's address */
};

struct nat_view {
	enum signal_nat kind; /* of the last time that all was asked */
	unsigned servers;     /* that were asked */
	bool two_addresses;   /* have answered: otherwise the kind is that of the ports of one */
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
	uint64_t ask_at; /* not again before */
};

struct nat *nat_new(struct paths *s);
void nat_free(struct nat *n);

/* Somebody wants to know. Asks if that was long ago, if something broke since, or the network has changed. */
void nat_want(struct nat *n, uint64_t broke_at);
void nat_network_changed(struct nat *n);
bool nat_address_is_ours(const union address *a); /* no NAT stands before it */

/* What the answers to these questions tell. two_addresses: servers at two of them have answered. sent,
 * refused: as in struct nat, when there is no answer at all. Pure but for our own addresses. */
enum signal_nat nat_judge(const struct nat_question *q, unsigned count, bool sent, bool refused,
			  bool *two_addresses);

/* What was found last, for people: "none", "blocked", "endpoint-independent", "port-independent" (the same
 * for the ports of one server, and no other has answered), "symmetric"; NULL: not known. */
const char *nat_word(const struct nat *n);

#endif
