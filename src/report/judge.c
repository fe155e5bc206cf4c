#include "report/judge.h"

#include <string.h>

const char *nat_mapping_name(enum nat_mapping m)
{
	static const char *const names[] = {
		[MAPPING_UNKNOWN] = "unknown",
		[MAPPING_NONE] = "none",
		[MAPPING_ENDPOINT_INDEPENDENT] = "endpoint-independent",
		[MAPPING_ADDRESS_DEPENDENT] = "address-dependent",
		[MAPPING_ADDRESS_PORT_DEPENDENT] = "address-and-port-dependent",
		[MAPPING_DEPENDENT] = "dependent",
		[MAPPING_PORT_INDEPENDENT] = "port-independent",
	};

	return names[m];
}

const char *nat_filtering_name(enum nat_filtering f)
{
	static const char *const names[] = {
		[FILTERING_UNKNOWN] = "unknown",
		[FILTERING_ENDPOINT_INDEPENDENT] = "endpoint-independent",
		[FILTERING_ADDRESS_DEPENDENT] = "address-dependent",
		[FILTERING_ADDRESS_PORT_DEPENDENT] = "address-and-port-dependent",
		[FILTERING_PORT_INDEPENDENT] = "port-independent",
	};

	return names[f];
}

/* RFC 5780 section 4.3 compares three answers; here any number of servers may have answered. */
enum nat_mapping nat_judge_mapping(const struct nat_sight *sights, size_t count, const union address *own)
{
	bool two_addresses = false, two_ports = false, differs = false, differs_by_port = false;

	if (!count)
		return MAPPING_UNKNOWN;
	for (size_t i = 0; i < count; i++)
		for (size_t k = i + 1; k < count; k++) {
			bool same_host = address_same_host(&sights[i].to, &sights[k].to);
			bool same = address_equal(&sights[i].mapped, &sights[k].mapped);

			if (same_host && address_equal(&sights[i].to, &sights[k].to))
				continue;
			two_addresses |= !same_host;
			two_ports |= same_host;
			differs |= !same;
			differs_by_port |= same_host && !same;
		}
	if (differs_by_port)
		return MAPPING_ADDRESS_PORT_DEPENDENT;
	if (differs)
		return two_ports ? MAPPING_ADDRESS_DEPENDENT : MAPPING_DEPENDENT;
	if (own->sa.sa_family != AF_UNSPEC && address_equal(&sights[0].mapped, own))
		return MAPPING_NONE;
	if (two_addresses)
		return MAPPING_ENDPOINT_INDEPENDENT;
	return two_ports ? MAPPING_PORT_INDEPENDENT : MAPPING_UNKNOWN;
}

/* RFC 5780 section 4.4; a server with one address alone can try no more than the port. */
enum nat_filtering nat_judge_filtering(enum nat_reply from_other_address, enum nat_reply from_other_port)
{
	if (from_other_address == NAT_REPLY_CAME)
		return FILTERING_ENDPOINT_INDEPENDENT;
	if (from_other_port == NAT_REPLY_REFUSED)
		return FILTERING_UNKNOWN;
	if (from_other_port == NAT_REPLY_NONE)
		return FILTERING_ADDRESS_PORT_DEPENDENT;
	return from_other_address == NAT_REPLY_REFUSED ? FILTERING_PORT_INDEPENDENT
						       : FILTERING_ADDRESS_DEPENDENT;
}
