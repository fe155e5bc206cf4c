/* Facts about this host's ways to the Internet, the same for all peers: relays, NAT, name server, addresses.
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/diagnosis.h"
#include "engine/paths.h"

#define LOOK_EVERY (10 * NS_PER_SEC)

/* ---- relays ---- */

static void relay_failure(const struct relay_status *st, struct diagnosis_relay *r, bool token)
{
	r->refused = st->failure == RELAY_FAILURE_HTTP || st->failure == RELAY_FAILURE_CREDENTIALS;
	r->silent_close = st->failure == RELAY_FAILURE_LOGIN || st->failure == RELAY_FAILURE_EXPIRED;
	r->bad_token = st->failure == RELAY_FAILURE_LOGIN && token;
	r->expired_token = st->failure == RELAY_FAILURE_EXPIRED;
	r->tls_error = st->failure == RELAY_FAILURE_TLS;
	r->name_error = st->failure == RELAY_FAILURE_NAME;
	r->through_tunnel = st->failure == RELAY_FAILURE_TUNNEL;
	r->replaced = st->failure == RELAY_FAILURE_REPLACED;
	r->check_failed = st->lost == RELAY_FAILURE_SILENT;
	/* A name that is not found is no other fault when the connection fell silent before. */
	r->unanswered = st->failure == RELAY_FAILURE_SILENT || st->failure == RELAY_FAILURE_UNANSWERED ||
			(r->name_error && r->check_failed);
}

static void relay_facts(struct engine *g, const struct engine_relay_view *from, struct diagnosis_relay *r)
{
	const struct engine_network *n = &g->paths->network;
	const struct relay_status *st = &from->status;
	struct way_into into;

	memset(r, 0, sizeof(*r));
	snprintf(r->url, sizeof(r->url), "%.127s", st->url);
	r->up = st->state == RELAY_UP;
	snprintf(r->error, sizeof(r->error), "%s", r->up ? "" : st->error);
	r->home = st->home;
	r->since = st->since;
	r->next_try = st->next_try;
	r->connections = st->opened;
	r->refusals = st->refusals;
	r->lost_at = st->lost_at;
	_Static_assert(sizeof(r->lifetimes) == sizeof(st->lifetimes), "as many lives as the pool keeps");
	memcpy(r->lifetimes, st->lifetimes, sizeof(r->lifetimes));
	relay_failure(st, r, !n->has_secret && n->token_len);
	if (st->address.sa.sa_family == AF_UNSPEC)
		return;
	address_format(r->address, &st->address);
	if (!ways_look(g, &g->paths->ways, g->fwmark, &st->address, &into))
		return;
	memcpy(r->through, into.interface, sizeof(r->through));
	r->through_other = into.tunnel;
}

/* Those that rules look at: the ones that are wanted, the home first. */
static void relays_facts(struct engine *g, struct diagnosis_device *v)
{
	struct engine_relay_view views[RELAY_SERVERS_MAX];
	size_t count = engine_look_relays(g, views, RELAY_SERVERS_MAX);
	const unsigned most = sizeof(v->relays) / sizeof(v->relays[0]);

	v->relay_count = 0;
	for (int home = 1; home >= 0; home--)
		for (size_t i = 0; i < count && v->relay_count < most; i++)
			if (views[i].status.home == (home == 1) && views[i].status.state != RELAY_IDLE)
				relay_facts(g, &views[i], &v->relays[v->relay_count++]);
}

/* ---- NAT ---- */

static enum diagnosis_nat nat_fact(enum signal_nat kind)
{
	static const enum diagnosis_nat facts[SIGNAL_NATS] = {
		[SIGNAL_NAT_UNKNOWN] = NAT_UNKNOWN,
		[SIGNAL_NAT_BLOCKED] = NAT_BLOCKED,
		[SIGNAL_NAT_OPEN] = NAT_OPEN,
		[SIGNAL_NAT_SAME] = NAT_SAME_MAPPING,
		[SIGNAL_NAT_VARIES] = NAT_MAPPING_VARIES,
		[SIGNAL_NAT_SAME_PORTS] = NAT_SAME_FOR_PORTS,
	};

	return (unsigned)kind < SIGNAL_NATS ? facts[kind] : NAT_UNKNOWN;
}

enum diagnosis_nat diagnosis_remote_nat(uint8_t kind)
{
	return nat_fact((enum signal_nat)kind);
}

static void put(char out[ADDRESS_TEXT], const union address *a)
{
	out[0] = '\0';
	if (a->sa.sa_family != AF_UNSPEC)
		address_format(out, a);
}

/* A STUN server that is down with the relay on its host, or alive beside one that is up. */
static bool all_beside_dead(struct engine *g, const struct nat *n)
{
	struct engine_relay_view views[RELAY_SERVERS_MAX];
	size_t count = engine_look_relays(g, views, RELAY_SERVERS_MAX);
	unsigned dead = 0;

	for (unsigned i = 0; i < n->count; i++) {
		bool beside = false;

		for (size_t k = 0; k < count; k++) {
			const struct relay_status *st = &views[k].status;

			if (!address_same_host(&st->address, &n->asked[i].to))
				continue;
			if (st->state == RELAY_UP)
				return false;
			beside = true;
		}
		dead += beside;
	}
	return n->count && dead == n->count;
}

static void nat_facts(struct engine *g, struct diagnosis_device *v)
{
	const struct nat_view *n = &g->paths->nat->view;

	v->nat = nat_fact(n->kind);
	v->stun_answers = n->answered_at && n->answered_at >= n->asked_at;
	v->stun_servers = n->servers;
	v->stun_two_addresses = n->two_addresses;
	v->stun_asked_at = n->asked_at;
	v->nat_at = n->judged_at;
	v->stun_beside_dead = all_beside_dead(g, g->paths->nat);
	v->stun_answered_at = n->answered_at;
	v->mapped_changed_at = n->mapped_changed_at;
	put(v->stun_server, &n->server);
	put(v->mapped, &n->mapped);
	put(v->mapped_before, &n->mapped_before);
	put(v->turn_server, &n->turn);
	v->turn_servers = g->paths->network.turn_count;
	v->turn_answers = n->turn_answers;
}

/* Anything that came by UDP: on the shared socket, or on a path of any peer but over relays. */
static uint64_t udp_heard(const struct engine *g)
{
	uint64_t at = 0;

	list_for_each (pos, &g->peers) {
		uint64_t heard = atomic_load_explicit(
			&container_of(pos, struct engine_peer, link)->direct.last_received,
			memory_order_relaxed);

		at = heard > at ? heard : at;
	}
	list_for_each (pos, &g->paths->all) {
		const struct peer_paths *c = container_of(pos, struct peer_paths, link);
		struct peer_look look;

		if (!c->machine)
			continue;
		peer_glance(c->machine, &look);
		for (unsigned i = PEER_DIRECT; i <= PEER_ICE_NEXT; i++)
			if (look.paths[i].last_proof > at && look.paths[i].ref.kind != PATH_KIND_TURN)
				at = look.paths[i].last_proof;
	}
	return at;
}

/* ---- names ---- */

static void resolver_facts(struct engine *g, struct diagnosis_device *v)
{
	FILE *f = fopen("/etc/resolv.conf", "re");
	char line[256], text[64];
	struct way_into into;
	union address a;

	v->resolver[0] = '\0';
	v->resolver_through_tunnel = false;
	while (f && fgets(line, sizeof(line), f) && !v->resolver[0]) {
		char with_port[72];

		if (sscanf(line, " nameserver %63s", text) != 1)
			continue;
		snprintf(with_port, sizeof(with_port), strchr(text, ':') ? "[%s]:53" : "%s:53", text);
		if (!address_parse(&a, with_port))
			continue;
		snprintf(v->resolver, sizeof(v->resolver), "%s", text);
		/* its own sockets have no mark; but which route they take differs seldom, and never for the
		 * better */
		v->resolver_through_tunnel = ways_look(g, &g->paths->ways, g->fwmark, &a, &into) && into.own;
	}
	if (f)
		fclose(f);
}

static bool relay_is_here(struct engine *g)
{
	struct engine_relay_view views[RELAY_SERVERS_MAX];
	size_t count = engine_look_relays(g, views, RELAY_SERVERS_MAX);
	bool here = !count;

	for (size_t i = 0; i < count; i++)
		here |= address_is_loopback(&views[i].status.address);
	return here;
}

void diagnosis_paths_device(struct engine *g, struct diagnosis_device *v, uint64_t now)
{
	struct paths *s = g->paths;
	union address own[ICE_ADDRESSES_MAX];
	bool name_error = false;

	v->relay_configured = s->network.url_count > 0;
	v->ice_off = s->network.ice_off;
	relays_facts(g, v);
	for (unsigned i = 0; i < v->relay_count; i++)
		name_error |= v->relays[i].name_error;
	nat_facts(g, v);
	if (v->nat == NAT_BLOCKED)
		v->udp_heard_at = udp_heard(g);
	if (g->desk->host_looked_at && now - g->desk->host_looked_at < LOOK_EVERY &&
	    (!name_error || v->resolver[0]))
		return;
	g->desk->host_looked_at = now;
	v->local_addresses = s->ice ? (unsigned)ice_local_addresses(s->ice, own, ICE_ADDRESSES_MAX) : 1;
	/* Those of this host alone are offered for want of others: worth something if the relay is on this
	 * host, too. */
	if (s->ice && v->local_addresses && address_is_loopback(&own[0]) && !relay_is_here(g))
		v->local_addresses = 0;
	if (name_error)
		resolver_facts(g, v);
}
