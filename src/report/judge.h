/* From what STUN servers saw to the behaviour of the NATs between, in the words of RFC 4787. Pure. */
#ifndef WEIR_REPORT_JUDGE_H
#define WEIR_REPORT_JUDGE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/endpoint.h"

enum nat_mapping {
	MAPPING_UNKNOWN,
	MAPPING_NONE, /* no NAT: servers see our own address and port */
	MAPPING_ENDPOINT_INDEPENDENT,
	MAPPING_ADDRESS_DEPENDENT,
	MAPPING_ADDRESS_PORT_DEPENDENT,
	MAPPING_DEPENDENT, /* by address, perhaps by port as well: no two ports of one address answered */
	MAPPING_PORT_INDEPENDENT, /* the same for two ports of one address; no second address answered */
};
const char *nat_mapping_name(enum nat_mapping m); /* "endpoint-independent"... */

enum nat_filtering {
	FILTERING_UNKNOWN,
	FILTERING_ENDPOINT_INDEPENDENT,
	FILTERING_ADDRESS_DEPENDENT,
	FILTERING_ADDRESS_PORT_DEPENDENT,
	FILTERING_PORT_INDEPENDENT, /* another port of the same address gets in; no other address tried */
};
const char *nat_filtering_name(enum nat_filtering f);

/* One socket of ours, as the server at `to` saw it. */
struct nat_sight {
	union address to, mapped;
};

/* own: our address and port, AF_UNSPEC if not known. */
enum nat_mapping nat_judge_mapping(const struct nat_sight *sights, size_t count, const union address *own);

/* A request that the answer come from elsewhere: it came; or it did not; or the server says that it cannot.
 */
enum nat_reply { NAT_REPLY_NONE, NAT_REPLY_CAME, NAT_REPLY_REFUSED };

/* What came back to a socket that had spoken to one server: from another address and port, and from another
 * port of the same address. */
enum nat_filtering nat_judge_filtering(enum nat_reply from_other_address, enum nat_reply from_other_port);

#endif
