/* What the probes share; no other room includes it. */
#ifndef WEIR_REPORT_INTERNAL_H
#define WEIR_REPORT_INTERNAL_H

#include <stddef.h>

#include "net/stun.h"
#include "report/report.h"

#define STUN_WAIT (1200 * NS_PER_MS) /* for an answer: three tries, the last has half of it */
#define TCP_WAIT  (3 * NS_PER_SEC)

/* ---- exchange.c: questions and answers over one UDP socket ---- */

struct question {
	union address to;
	unsigned change; /* enum ask_change */
	unsigned len;	 /* of the request, 0: the shortest */
	/* filled in */
	uint8_t transaction[ASK_TRANSACTION];
	uint64_t sent; /* boot ns of the first try */
	int error;     /* errno of the last try, 0: it went */
	bool answered;
	uint64_t rtt;
	struct stun_reply reply;
};

/* An unconnected UDP socket on a port of its own, marked if that is allowed; -errno. */
int probe_socket(int family, uint32_t fwmark, bool *marked);

/* Asks all at once, again after a quarter and after a half of `wait`, until all are answered or it is over.
 */
void exchange(int fd, struct question *q, unsigned count, uint64_t wait);

/* ---- names.c ---- */

/* Addresses of a host, as many as fit; 0 with words. Gives up after `wait`, whatever the resolver does. */
unsigned names_resolve(const char *host, uint16_t port, union address *out, unsigned max, uint64_t wait,
		       char *error, size_t error_size);
void address_set_port(union address *a, uint16_t port);
uint16_t address_port(const union address *a);

/* ---- probes: each blocks until it is done or late ---- */

struct family_probe {
	int family;
	uint32_t fwmark;
	union address servers[REPORT_SERVERS];
	unsigned indices[REPORT_SERVERS]; /* in the options */
	unsigned count;
	bool marked;
	struct report_family *out;
};
void probe_family(struct family_probe *p);

/* The largest packet that comes through to a server that answers (mtu.c). */
void probe_mtu(struct report_family *out, const union address *server, uint32_t fwmark);

struct relay_probe {
	uint32_t fwmark;
	const char *ca_file;
	struct report_relay *out;
};
void probe_relay(struct relay_probe *p);

struct portal_probe {
	const char *url;
	uint32_t fwmark;
	struct report *out;
};
void probe_portal(struct portal_probe *p);

/* The first two only with a gateway. */
void probe_nat_pmp(struct report_lan *out);
void probe_pcp(struct report_lan *out);
void probe_upnp(struct report_lan *out);

/* ---- tcp.c ---- */

/* Connects within the time; the socket blocks, with time limits for each call. -errno. */
int tcp_connect(const union address *to, uint32_t fwmark, uint64_t wait);

#endif
