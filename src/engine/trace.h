/* What would become of a packet to an address, step by step. Control thread. */
#ifndef WEIR_ENGINE_TRACE_H
#define WEIR_ENGINE_TRACE_H

#include <netinet/in.h>

#include "engine/network.h"

#define TRACE_COVERS 8
#define TRACE_NEAR   4

enum trace_verdict {
	TRACE_SENT,	   /* it would be sent now */
	TRACE_WAITS,	   /* it would wait for a handshake that runs or begins with it */
	TRACE_DOWN,	   /* the interface is down, or has no private key */
	TRACE_NOT_ROUTED,  /* the system does not route it into the interface */
	TRACE_NO_PEER,	   /* it is in no peer's allowed IPs */
	TRACE_NO_ENDPOINT, /* nobody knows where the peer is */
	TRACE_TOO_BIG,	   /* more than the path or the interface carries in one piece */
	TRACE_UNREACHABLE, /* there is no way to the peer's endpoint */
	TRACE_LOOP,	   /* the way to the peer's endpoint leads into the tunnel itself */
	TRACE_VERDICTS
};
const char *trace_verdict_name(enum trace_verdict v); /* "sent", "waits", "not-routed"... */

struct trace_route {
	bool asked;		 /* false: there was nothing to ask for */
	int error;		 /* positive errno of the kernel's refusal, 0: there is a way */
	bool local, into_tunnel; /* the address is this host's own; it leads into our interface */
	char ifname[IFNAMSIZ];
	char source[INET6_ADDRSTRLEN], gateway[INET6_ADDRSTRLEN]; /* "" when not given */
	uint32_t table;
	int mtu;
};

struct trace_prefix {
	struct engine_peer *peer;
	uint8_t addr[16], len;
};

struct engine_trace {
	int family;
	uint8_t addr[16];
	unsigned size; /* bytes of the inner packet, 0: not asked about */

	bool elsewhere; /* the interface is in another network namespace: its routes are not ours to ask */
	struct trace_route route;
	unsigned covers_count, near_count;
	struct trace_prefix covers[TRACE_COVERS]; /* shortest first; the last one decides */
	struct trace_prefix near[TRACE_NEAR];
	unsigned lost_count;
	struct trace_prefix lost[TRACE_NEAR]; /* had it until another peer was given the same prefix */
	struct engine_peer *peer; /* whom it is for, NULL: nobody */

	struct engine_peer_view view; /* of the peer */
	bool has_key;		      /* data may be sealed under its current keypair */
	const char *path;	      /* "direct", "ice", "relay"... or "none" */
	char path_remote[ADDRESS_TEXT];
	struct trace_route outer; /* to the endpoint; not asked for relays */

	int mtu;	    /* of the interface */
	unsigned inner_mtu; /* largest packet that goes in one piece */

	enum trace_verdict verdict;
	char why[256]; /* one sentence */
};

/* addr: 4 or 16 bytes. size 0: a small packet. */
void engine_trace(struct engine *g, int family, const void *addr, unsigned size, struct engine_trace *out);

#endif
