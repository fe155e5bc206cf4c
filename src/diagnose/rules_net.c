#include "diagnose/rules_net.h"

#include <stdio.h>

#define SOON (5 * NS_PER_SEC)

const struct diagnosis_path *net_chosen(const struct diagnosis_facts *f)
{
	for (unsigned i = 0; i < f->path_count; i++)
		if (f->paths[i].chosen)
			return &f->paths[i];
	return NULL;
}

bool net_in_trouble(const struct diagnosis_facts *f, uint64_t now)
{
	if (f->state.word == WORD_STUCK || f->state.tunnel == TUNNEL_SILENT)
		return true;
	return f->state.word == WORD_WAIT && f->word_since && now >= f->word_since + SOON;
}

bool net_relayed(const struct diagnosis_facts *f)
{
	return f->state.tunnel == TUNNEL_UP &&
	       (f->state.path_kind == PATH_KIND_RELAY || f->state.path_kind == PATH_KIND_TURN);
}

bool net_direct(const struct diagnosis_facts *f)
{
	return f->state.tunnel == TUNNEL_UP && f->state.path == PATH_UP && !net_relayed(f) &&
	       f->state.path_kind != PATH_KIND_NONE && f->state.word != WORD_STUCK;
}

bool net_wants_direct(const struct diagnosis_facts *f)
{
	return f->controlled && f->mode == PEER_AUTO && !f->device->ice_off &&
	       f->look.preference == PEER_PREFER_AUTO && !f->look.remote_away;
}

bool net_over_udp(const struct diagnosis_path *p)
{
	return p->view.ref.kind == PATH_KIND_DIRECT || p->view.ref.kind == PATH_KIND_ICE;
}

void net_severity(struct diagnosis *d, const struct diagnosis_facts *f, uint64_t now)
{
	d->severity = net_in_trouble(f, now) ? DIAGNOSIS_TROUBLE : DIAGNOSIS_NOTE;
}

const char *net_next_try(char out[48], const struct diagnosis_facts *f, uint64_t now)
{
	uint64_t at = f->look.direct_retry_at;
	char age[DIAGNOSIS_AGE];

	out[0] = '\0';
	if (at > now + NS_PER_SEC)
		snprintf(out, 48, " Tried again in %s.", diagnosis_age(age, at - now));
	return out;
}

bool net_announced(const struct diagnosis_facts *f)
{
	for (unsigned i = 0; i < f->path_count; i++)
		if (f->paths[i].view.peer_online)
			return true;
	return false;
}
