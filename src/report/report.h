/*
 * The network report: what of the network a tunnel would have to live with, measured from this host. Sends to
 * the servers that it is given and to nobody else (the LAN only if asked to). Blocks for a few seconds at
 * most; the probes run side by side, each in a thread with a deadline.
 */
#ifndef WEIR_REPORT_REPORT_H
#define WEIR_REPORT_REPORT_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "report/judge.h"

#define REPORT_SERVERS 8
#define REPORT_HOST    200

struct report_target {		/* a STUN server */
	char host[REPORT_HOST]; /* without brackets */
	uint16_t port;
};

struct report_options {
	struct report_target stun[REPORT_SERVERS];
	unsigned stun_count;
	char relays[REPORT_SERVERS][256]; /* URLs */
	unsigned relay_count;
	const char *ca_file;	/* whom to trust besides, NULL: the system's authorities */
	const char *portal_url; /* http://..., NULL: not asked */
	bool lan;		/* ask the gateway, and by multicast the LAN, for port mappings */
	uint32_t fwmark;	/* of the tunnel's own packets, 0: none */
};

enum report_tri { REPORT_UNKNOWN, REPORT_NO, REPORT_YES };

struct report_answer {	 /* of one STUN server, by one IP version */
	unsigned server; /* in options.stun, or REPORT_SERVERS and more: its other addresses */
	union address to;
	bool answered;
	union address mapped; /* how it sees us */
	bool behaviour;	      /* it has another port or address, which helps to find out more (RFC 5780) */
	uint64_t rtt;	      /* ns */
	int error;	      /* errno of sending, 0: none */
};
#define REPORT_OTHERS  3 /* places where one of them can be asked besides */
#define REPORT_ANSWERS (REPORT_SERVERS + REPORT_OTHERS)

struct report_family {
	bool asked;	 /* there are servers of this IP version */
	int route_error; /* positive errno: no way to the first server */
	char ifname[IFNAMSIZ];
	union address source, gateway; /* AF_UNSPEC: not known; without a port */
	struct report_answer answers[REPORT_ANSWERS];
	unsigned answer_count;
	unsigned answered;
	bool nat; /* the mapped address is not our own */
	enum nat_mapping mapping;
	enum nat_filtering filtering;
	enum report_tri port_kept, hairpin;
	unsigned link_mtu; /* of the route, 0: not known */
	unsigned path_mtu; /* largest packet (with IP header) that came through, 0: not known */
	bool black_hole;   /* larger ones vanish without a word */
};

struct report_relay {
	char url[256];
	union address to;
	bool tls;
	uint64_t connect, handshake, upgrade; /* ns each took, 0: it did not come to that */
	char error[200];		      /* "": it took the upgrade to WebSocket */
};

struct report_name {
	char host[REPORT_HOST];
	uint64_t took; /* ns */
	unsigned found;
	char error[100]; /* "": it resolves */
};
#define REPORT_NAMES (2 * REPORT_SERVERS)

enum report_portal { PORTAL_NOT_ASKED, PORTAL_NONE, PORTAL_CAPTIVE, PORTAL_UNCLEAR, PORTAL_UNREACHABLE };

struct report_lan {
	bool asked;
	union address gateway;
	enum report_tri nat_pmp, pcp, upnp;
	union address nat_pmp_address; /* the public one that the gateway tells */
	char upnp_location[200];
};

struct report {
	uint64_t at_wall, took; /* ns */
	bool marked;		/* the firewall mark could be set */
	struct report_family four, six;
	struct report_relay relays[REPORT_SERVERS];
	unsigned relay_count;
	struct report_name names[REPORT_NAMES]; /* those that are no addresses */
	unsigned name_count;
	enum report_portal portal;
	unsigned portal_status;
	char portal_text[200]; /* where it leads to, or what went wrong */
	struct report_lan lan;
};

/* Fills *out anew. It does not fail: what cannot be found out says so in its member. Strings of *o stay the caller's. */
void report_run(const struct report_options *o, struct report *out);

/* ---- what it means, in sentences; pure ---- */

enum report_level { REPORT_GOOD, REPORT_NOTE, REPORT_BAD };

struct report_verdict {
	enum report_level level;
	char text[320];
};
#define REPORT_VERDICTS 48
/* How many there are: each IP version with its NAT and MTU, relays, names, the portal, the LAN. */
unsigned report_verdicts(const struct report *r, struct report_verdict out[REPORT_VERDICTS]);

#endif
