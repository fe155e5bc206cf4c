/* The Packets screen: what goes into a file. */
#include <stdio.h>
#include <time.h>

#include "tui/packets_internal.h"

void packets_save(struct model *m, const struct data *d, double now, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	time_t seconds = (time_t)now;
	struct effect *e;
	struct tm at;

	if (!pm->count) {
		model_say(m, now, false, "no packet is listed: nothing to save");
		return;
	}
	e = effect_add(fx, EFFECT_WRITE);
	gmtime_r(&seconds, &at);
	snprintf(e->text, sizeof(e->text), "weir-%s-%04d%02d%02d-%02d%02d%02d.pcapng", d->interface,
		 at.tm_year + 1900, at.tm_mon + 1, at.tm_mday, at.tm_hour, at.tm_min, at.tm_sec);
	packets_file(&e->bytes, d->packets, pm, d->interface, d->hostname, d->version, packets_peer,
		     (void *)d);
	snprintf(e->label, sizeof(e->label), "%zu packets", pm->count);
}
