/*
 * Counter names as weir-control(7) has them, and what they mean in few words. A test compares the list with
 * the protocol's own table; a name that is not here (a newer engine) is shown as it came.
 */
#include <string.h>

#include "tui/data.h"
#include "tui/text.h"

static const struct {
	const char *name, *meaning;
} known[] = {
	{"initiation_sent", "initiations sent"},
	{"initiation_received", "initiations received, valid"},
	{"response_sent", "responses sent"},
	{"response_received", "responses received, valid"},
	{"cookie_sent", "cookie replies sent: we were under load"},
	{"cookie_received", "cookie replies received: they are under load"},
	{"handshake_done", "handshakes completed"},
	{"handshake_given_up", "handshakes given up after 90 s"},
	{"data_sent", "data packets sent"},
	{"data_received", "data packets received"},
	{"keepalive_sent", "keepalives sent"},
	{"keepalive_received", "keepalives received"},
	{"packet_lost", "their packets that never came (counter gaps)"},
	{"staged_dropped", "dropped while waiting for a handshake"},
	{"roamed", "endpoint changes learned from packets"},
	{"drained", "drains"},
	{"unknown_index_rehandshake", "handshakes because they use keys that we lost"},
	{"reject_malformed", "no known type or length"},
	{"reject_mac1", "bad mac1: not meant for our key"},
	{"reject_mac2", "under load and no valid cookie"},
	{"reject_rate", "over the rate limit of their source"},
	{"reject_queue_full", "handshakes dropped unread: too many waited"},
	{"reject_undecryptable", "initiation: static key would not open"},
	{"reject_unknown_peer", "initiation of a key not configured here"},
	{"reject_replayed_timestamp", "initiation with an old stamp: their clock went back?"},
	{"reject_flood", "initiations too fast after one another"},
	{"reject_unexpected_response", "response to no handshake of ours"},
	{"reject_response", "response would not open: preshared keys differ?"},
	{"reject_cookie", "cookie reply would not open"},
	{"reject_unknown_index", "data with an index that we do not know"},
	{"reject_expired", "data for a keypair past its life"},
	{"reject_undecryptable_data", "data that would not open"},
	{"reject_replayed_counter", "data with a counter seen before, or too old"},
	{"reject_inner_malformed", "inside: not an IP packet"},
	{"reject_inner_source", "inside: source not in this peer's allowed IPs"},
	{"reject_ecn", "congestion mark that cannot be told inside"},
	{"no_route", "from the TUN: in no peer's allowed IPs"},
	{"no_endpoint", "dropped: no endpoint known"},
	{"send_failed", "the kernel would not send"},
	{"too_big", "too big for the path; the sender was told"},
};

#define KNOWN ((int)(sizeof(known) / sizeof(known[0])))

/* Names of newer engines; one view talks to one engine, so one table is enough. */
static char added[COUNTERS_MAX][40];
static int added_count;

int counter_slots(void)
{
	return KNOWN + added_count;
}

int counter_slot(const char *name)
{
	for (int i = 0; i < KNOWN; i++)
		if (strcmp(known[i].name, name) == 0)
			return i;
	for (int i = 0; i < added_count; i++)
		if (strcmp(added[i], name) == 0)
			return KNOWN + i;
	if (KNOWN + added_count >= COUNTERS_MAX || strlen(name) >= sizeof(added[0]))
		return -1;
	text_clean(added[added_count], sizeof(added[0]), name);
	if (strcmp(added[added_count], name) != 0)
		return -1;
	return KNOWN + added_count++;
}

const char *counter_name(int slot)
{
	return slot < KNOWN ? known[slot].name : added[slot - KNOWN];
}

const char *counter_meaning(int slot)
{
	return slot < KNOWN ? known[slot].meaning : added[slot - KNOWN];
}

bool counter_is_reject(int slot)
{
	return strncmp(counter_name(slot), "reject_", 7) == 0;
}

uint64_t counter_sum_rejects(const uint64_t counters[COUNTERS_MAX])
{
	uint64_t sum = 0;

	for (int i = 0; i < counter_slots(); i++)
		if (counter_is_reject(i))
			sum += counters[i];
	return sum;
}
