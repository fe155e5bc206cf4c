/* What the dashboard shows of an agent: libnice's check list where its lines told it, and what is known
 * anyway. */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "ice/internal.h"

/* The lines say no scope. */
static bool same_place(const union address *a, const union address *b)
{
	union address x = *a, y = *b;

	if (x.sa.sa_family == AF_INET6)
		x.in6.sin6_scope_id = 0;
	if (y.sa.sa_family == AF_INET6)
		y.in6.sin6_scope_id = 0;
	return address_equal(&x, &y);
}

/* An address that nobody announced was discovered by a check (RFC 8445 section 7.3.1.3). */
static const struct candidate *find(const struct candidate *list, unsigned count, const union address *at)
{
	for (unsigned n = 0; n < count; n++)
		if (same_place(&list[n].address, at))
			return &list[n];
	return NULL;
}

/* RFC 8445 section 6.1.2.3; 0 when one side's priority is not known. */
static uint64_t pair_priority(const struct ice_agent *a, const struct candidate *local,
			      const struct candidate *remote)
{
	uint64_t g, d;

	if (!local || !remote)
		return 0;
	g = a->controlling ? local->priority : remote->priority;
	d = a->controlling ? remote->priority : local->priority;
	return ((g < d ? g : d) << 32) + 2 * (g > d ? g : d) + (g > d ? 1 : 0);
}

static void fill(const struct ice_agent *a, struct ice_pair_view *v, const union address *local,
		 const union address *remote)
{
	const struct candidate *l = find(a->local, a->local_count, local);
	const struct candidate *r = find(a->remote, a->remote_count, remote);

	memset(v, 0, sizeof(*v));
	v->pair.local = *local;
	v->pair.remote = *remote;
	v->pair.local_type = l ? l->type : ICE_PEER_REFLEXIVE;
	v->pair.remote_type = r ? r->type : ICE_PEER_REFLEXIVE;
	v->pair.tcp = l && l->tcp;
	v->state = ICE_PAIR_UNKNOWN;
	v->priority = pair_priority(a, l, r);
	v->selected = a->selected && same_place(local, &a->pair.local) && same_place(remote, &a->pair.remote);
	if (v->selected)
		v->pair = a->pair;
}

static bool shown(const struct ice_pair_view *out, size_t count, const struct ice_pair_view *v)
{
	for (size_t n = 0; n < count; n++)
		if (same_place(&out[n].pair.local, &v->pair.local) &&
		    same_place(&out[n].pair.remote, &v->pair.remote))
			return true;
	return false;
}

/* From the lines. */
static size_t from_lines(const struct ice_agent *a, struct ice_pair_view *out, size_t max)
{
	struct ice_known_pair *known = xcalloc(ICE_PAIRS_MAX, sizeof(*known));
	struct ice_keepalives keepalives;
	size_t count = lines_look(a, known, ICE_PAIRS_MAX, &keepalives), used = 0;

	for (size_t n = 0; n < count && used < max; n++) {
		const struct ice_known_pair *k = &known[n];
		struct ice_pair_view *v = &out[used];

		if (k->local.sa.sa_family == AF_UNSPEC)
			continue;
		fill(a, v, &k->local, &k->remote);
		if (shown(out, used, v))
			continue;
		v->state = k->state;
		v->rtt = v->selected && keepalives.rtt ? keepalives.rtt : k->rtt;
		v->requests = k->requests;
		v->answers = k->answers;
		v->nominated = k->nominated;
		used++;
	}
	free(known);
	return used;
}

/* Where the lines tell nothing: each of our candidates with each of theirs (RFC 8445 section 6.1.2.2). */
static size_t from_candidates(const struct ice_agent *a, struct ice_pair_view *out, size_t max)
{
	size_t used = 0;

	for (unsigned l = 0; l < a->local_count; l++)
		for (unsigned r = 0; r < a->remote_count && used < max; r++) {
			const struct candidate *local = &a->local[l], *remote = &a->remote[r];

			/* a server-reflexive one is checked from its base, which is in the list, too */
			if (local->type == ICE_SERVER_REFLEXIVE || local->tcp != remote->tcp ||
			    local->address.sa.sa_family != remote->address.sa.sa_family)
				continue;
			fill(a, &out[used], &local->address, &remote->address);
			used++;
		}
	return used;
}

static int better(const void *x, const void *y)
{
	const struct ice_pair_view *a = x, *b = y;

	if (a->selected != b->selected)
		return a->selected ? -1 : 1;
	return a->priority > b->priority ? -1 : a->priority < b->priority;
}

size_t ice_agent_pairs(const struct ice_agent *a, struct ice_pair_view *out, size_t max)
{
	size_t used = from_lines(a, out, max);
	bool selected = false;

	if (!used)
		used = from_candidates(a, out, max);
	for (size_t n = 0; n < used; n++)
		selected |= out[n].selected;
	if (a->selected && !selected && max) {
		if (used == max)
			used--;
		fill(a, &out[used++], &a->pair.local, &a->pair.remote);
	}
	qsort(out, used, sizeof(*out), better);
	return used;
}

void ice_agent_look(const struct ice_agent *a, struct ice_agent_view *out)
{
	struct ice_keepalives keepalives;

	lines_look(a, NULL, 0, &keepalives);
	memset(out, 0, sizeof(*out));
	out->state = a->state;
	out->controlling = a->controlling;
	out->since = a->since;
	out->local_candidates = a->local_count;
	out->remote_candidates = a->remote_count;
	out->fast = a->fast >= 0;
	out->strays = a->strays;
	out->keepalives_unanswered = keepalives.unanswered;
	memcpy(out->fast_error, a->fast_error, sizeof(out->fast_error));
}

static void survey_pairs(const struct ice_agent *a, struct ice_survey *out)
{
	struct ice_pair_view *pairs = xcalloc(ICE_PAIRS_MAX, sizeof(*pairs));

	out->pairs = (unsigned)ice_agent_pairs(a, pairs, ICE_PAIRS_MAX);
	for (unsigned n = 0; n < out->pairs; n++) {
		const struct ice_pair_view *v = &pairs[n];

		out->failed += v->state == ICE_PAIR_FAILED;
		out->succeeded += v->state == ICE_PAIR_SUCCEEDED;
		if (v->pair.local_type != ICE_HOST || v->pair.remote_type != ICE_HOST)
			continue;
		if (!out->host_pair) {
			out->host_local = v->pair.local;
			out->host_remote = v->pair.remote;
		}
		out->host_pair_failed =
			v->state == ICE_PAIR_FAILED && (!out->host_pair || out->host_pair_failed);
		out->host_pair = true;
	}
	free(pairs);
}

void ice_agent_survey(const struct ice_agent *a, struct ice_survey *out)
{
	memset(out, 0, sizeof(*out));
	out->local = a->local_count;
	out->remote = a->remote_count;
	for (unsigned l = 0; l < a->local_count; l++) {
		const struct candidate *local = &a->local[l];

		out->turn |= local->type == ICE_RELAYED;
		for (unsigned r = 0; r < a->remote_count && local->type == ICE_SERVER_REFLEXIVE; r++)
			out->same_public_address |= a->remote[r].type == ICE_SERVER_REFLEXIVE &&
						    address_same_host(&local->address, &a->remote[r].address);
	}
	survey_pairs(a, out);
}
