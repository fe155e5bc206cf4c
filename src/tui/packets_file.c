/* Packets that leave the screen as a file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tap/pcapng.h"
#include "tui/packets.h"

/* How the file's comments name a packet's fate are pcapng.c's words; the peer's name is ours. */
void packets_file(struct strbuf *out, const struct packets *p, const struct packet_model *pm,
		  const char *interface, const char *hostname, const char *version,
		  const char *(*label)(void *arg, const struct key *k), void *arg)
{
	struct capture_head head = {.format = CAPTURE_PCAPNG,
				    .ifname = interface,
				    .hostname = hostname,
				    .filter = pm->good,
				    .version = version,
				    .points = (1 << TAP_POINTS) - 1};
	uint64_t counts[TAP_POINTS] = {0}, last = 0;

	capture_begin(out, &head);
	for (size_t i = 0; i < pm->count; i++) {
		const struct packet *k = packets_get(p, pm->rows[i]);

		if (!k)
			continue;
		counts[k->meta.point]++;
		last = k->meta.at;
		capture_packet(out, &head, &k->meta, k->data, k->captured,
			       k->meta.has_peer ? label(arg, &k->meta.peer) : "", 0);
	}
	capture_end(out, &head, counts, p ? p->lost : 0, last);
}
