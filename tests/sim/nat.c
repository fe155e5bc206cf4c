/* NAT boxes, by how they map and how they filter (RFC 4787's words). */
#include "tests/sim/sim.h"

#include <string.h>

const char *nat_kind_name(enum nat_kind k)
{
	static const char *const names[NAT_KINDS] = {"no NAT", "endpoint-independent", "address-restricted",
						     "port-restricted", "symmetric"};

	return names[k];
}

void nat_flush(struct nat *t)
{
	t->count = 0;
}

static void expire(const struct world *w, struct nat *t)
{
	for (unsigned i = 0; i < t->count;) {
		if (w->now - t->mappings[i].used > t->expiry)
			t->mappings[i] = t->mappings[--t->count];
		else
			i++;
	}
}

static bool port_taken(const struct nat *t, uint16_t port)
{
	for (unsigned i = 0; i < t->count; i++)
		if (t->mappings[i].outer_port == port)
			return true;
	return false;
}

static bool same(const struct place *a, const struct place *b)
{
	return a->host == b->host && a->port == b->port;
}

static struct mapping *map(struct world *w, struct nat *t, const struct place *source,
			   const struct place *target)
{
	struct mapping *m;
	uint16_t port = source->port;

	for (unsigned i = 0; i < t->count; i++) {
		m = &t->mappings[i];
		if (m->inner_host == source->host && m->inner_port == source->port &&
		    (t->kind != NAT_SYMMETRIC || same(&m->target, target)))
			return m;
	}
	if (t->count == MAPPINGS_MAX)
		expire(w, t);
	if (t->count == MAPPINGS_MAX)
		return NULL;
	/* Most boxes keep the port when it is free; symmetric ones do not. */
	while (t->kind == NAT_SYMMETRIC || port_taken(t, port)) {
		port = (uint16_t)random_between(w, 1024, 65535);
		if (!port_taken(t, port))
			break;
	}
	m = &t->mappings[t->count++];
	*m = (struct mapping){.inner_host = source->host,
			      .inner_port = source->port,
			      .outer_port = port,
			      .target = *target};
	return m;
}

static bool allowed(const struct nat *t, const struct mapping *m, const struct place *source)
{
	if (t->kind == NAT_INDEPENDENT)
		return true;
	for (unsigned i = 0; i < ALLOWED_MAX; i++)
		if (m->allowed[i].host == source->host &&
		    (t->kind == NAT_ADDRESS || m->allowed[i].port == source->port))
			return true;
	return false;
}

bool nat_out(struct world *w, struct nat *t, struct place *source, const struct place *target)
{
	struct mapping *m;
	bool known = false;

	expire(w, t);
	m = map(w, t, source, target);
	if (!m)
		return false;
	m->used = w->now;
	for (unsigned i = 0; i < ALLOWED_MAX; i++)
		known = known || same(&m->allowed[i], target);
	if (!known)
		m->allowed[m->allowed_next++ % ALLOWED_MAX] = *target;
	*source = (struct place){.host = t->host, .port = m->outer_port};
	return true;
}

bool nat_in(struct world *w, struct nat *t, const struct place *source, struct place *target)
{
	expire(w, t);
	for (unsigned i = 0; i < t->count; i++) {
		struct mapping *m = &t->mappings[i];

		if (m->outer_port != target->port || !allowed(t, m, source))
			continue;
		/* Only what goes out keeps a mapping alive (RFC 4787, REQ-6 allows no more to be relied
		 * upon). */
		*target = (struct place){.host = m->inner_host, .port = m->inner_port};
		return true;
	}
	return false;
}
