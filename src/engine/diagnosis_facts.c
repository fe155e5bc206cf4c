/* Facts for the rules: what the device and one peer look like, and what was counted in the last minute. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "engine/diagnosis.h"

#define STEP		 (500 * NS_PER_MS) /* of the wall clock: more than anybody slews in a pass */
#define SUSPENDED	 (2 * NS_PER_SEC)
#define COUNT_PEERS	 (2 * NS_PER_SEC)
#define HEARD		 (30 * NS_PER_SEC) /* a persistent keepalive is usually 25 s */
#define TOGETHER	 (30 * NS_PER_SEC)
#define ROUTES_LOOKED_AT 4 /* prefixes of a peer */

/* ---- device ---- */

static void observe_clocks(struct diagnosis_desk *d)
{
	uint64_t suspended = clock_suspended_ns();
	struct instant now = clock_now();
	uint64_t offset = now.wall - now.boot;
	int64_t moved = (int64_t)(offset - d->wall_minus_boot);

	if (d->observed && (moved > (int64_t)STEP || moved < -(int64_t)STEP)) {
		d->clock_stepped_at = now.boot;
		d->clock_step = moved;
	}
	d->wall_minus_boot = offset;
	if (d->observed && (int64_t)(suspended - d->suspended) > (int64_t)SUSPENDED) {
		d->resumed_at = now.boot;
		d->suspended_for = suspended - d->suspended;
	}
	d->suspended = suspended;
	d->observed = true;
}

static void observe_datagrams(struct diagnosis_desk *d, const counter_t *c, uint64_t now)
{
	uint64_t sum = counter_get(&c[WG_COUNT_initiation_received]) +
		       counter_get(&c[WG_COUNT_response_received]) +
		       counter_get(&c[WG_COUNT_cookie_received]) + counter_get(&c[WG_COUNT_data_received]) +
		       counter_get(&c[WG_COUNT_keepalive_received]);

	for (unsigned i = WG_COUNT_reject_malformed; i < WG_COUNT_no_route; i++)
		sum += counter_get(&c[i]);
	if (sum != d->received)
		d->udp_received_at = now;
	d->received = sum;
}

static void sample_device(struct diagnosis_desk *d, const counter_t *c, uint64_t now)
{
	struct device_sample *s = &d->samples[d->next_sample];
	const struct device_sample *last =
		&d->samples[(d->next_sample + DIAGNOSIS_SAMPLES - 1) % DIAGNOSIS_SAMPLES];

	if (d->sample_count && now - last->at < DIAGNOSIS_INTERVAL)
		return;
	s->at = now;
	for (unsigned i = 0; i < WG_COUNTERS; i++)
		s->counters[i] = counter_get(&c[i]);
	d->next_sample = (d->next_sample + 1) % DIAGNOSIS_SAMPLES;
	if (d->sample_count < DIAGNOSIS_SAMPLES)
		d->sample_count++;
}

void diagnosis_observe(struct engine *g, uint64_t now)
{
	const counter_t *c = wg_device_counters(g->wg);

	observe_clocks(g->desk);
	observe_datagrams(g->desk, c, now);
	sample_device(g->desk, c, now);
}

/* Is there an interface besides ours that is up, runs, and has an address that others can know? */
static bool link_lost(struct engine *g)
{
	struct ifaddrs *all;
	bool found = false;

	if (getifaddrs(&all))
		return false;
	for (struct ifaddrs *i = all; i && !found; i = i->ifa_next) {
		const unsigned want = IFF_UP | IFF_RUNNING;

		if (!i->ifa_addr || (i->ifa_flags & want) != want || i->ifa_flags & IFF_LOOPBACK ||
		    !strcmp(i->ifa_name, g->tun.name))
			continue;
		found = i->ifa_addr->sa_family == AF_INET ||
			(i->ifa_addr->sa_family == AF_INET6 &&
			 !IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)(void *)i->ifa_addr)->sin6_addr));
	}
	freeifaddrs(all);
	return !found;
}

/* Without a network nothing arrives that could tell of trouble. */
void diagnosis_network_changed(struct engine *g)
{
	uint64_t now = clock_boot_ns();

	g->desk->network_changed_at = now;
	g->desk->link_looked_at = 0;
	ways_forget(&g->desk->inner_ways);
	if (!link_lost(g))
		return;
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		diagnosis_trouble(p, now);
}

static void count_peers(struct engine *g, struct diagnosis_device *v, uint64_t now)
{
	v->peers_wanted = v->peers_heard = 0;
	list_for_each (pos, &g->peers) {
		struct engine_peer *p = container_of(pos, struct engine_peer, link);
		struct wg_peer_view w;

		wg_peer_look(p->wg, &w, now);
		v->peers_wanted += wg_peer_keepalive(p->wg) || w.staged || w.attempt ||
				   counter_get(&w.counters[WG_COUNT_data_sent]);
		v->peers_heard += (!p->trouble || !p->trouble->stuck) && w.last_received &&
				  now < w.last_received + HEARD;
	}
}

static void count_troubles(struct engine *g, struct diagnosis_device *v, uint64_t now)
{
	uint64_t first = UINT64_MAX, last = 0;

	v->peers_in_trouble = 0;
	list_for_each (pos, &g->desk->troubles) {
		const struct trouble *t = container_of(pos, struct trouble, link);
		struct wg_peer_view w;

		if (!t->stuck)
			continue;
		v->peers_in_trouble++;
		wg_peer_look(t->peer->wg, &w, now);
		first = w.last_received < first ? w.last_received : first;
		last = w.last_received > last ? w.last_received : last;
	}
	/* Idle peers are heard at each keepalive alone, so they fall silent within that time of each other.
	 */
	v->trouble_since = v->peers_in_trouble && first && last - first <= TOGETHER ? last : 0;
}

static void device_window(const struct diagnosis_desk *d, struct diagnosis_device *v)
{
	const struct device_sample *oldest =
		&d->samples[(d->next_sample + DIAGNOSIS_SAMPLES - d->sample_count) % DIAGNOSIS_SAMPLES];

	v->window_since = oldest->at;
	for (unsigned i = 0; i < WG_COUNTERS; i++)
		v->window[i] = v->counters[i] - oldest->counters[i];
}

void diagnosis_device(struct engine *g, uint64_t now)
{
	struct diagnosis_desk *d = g->desk;
	struct diagnosis_device *v = &d->device;
	const counter_t *c = wg_device_counters(g->wg);

	d->device_at = now;
	v->started = g->started_boot;
	v->wall = clock_wall_ns();
	v->clock_stepped_at = d->clock_stepped_at;
	v->clock_step = d->clock_step;
	v->resumed_at = d->resumed_at;
	v->suspended_for = d->suspended_for;
	v->network_changed_at = d->network_changed_at;
	v->udp_received_at = d->udp_received_at;
	v->floor_in_use = wg_clock_is_behind(g->wg, v->wall);
	for (unsigned i = 0; i < WG_COUNTERS; i++)
		v->counters[i] = counter_get(&c[i]);
	device_window(d, v);
	if (!d->peers_counted_at || now - d->peers_counted_at >= COUNT_PEERS) {
		d->peers_counted_at = now;
		count_peers(g, v, now);
	}
	count_troubles(g, v, now);
	if (!d->link_looked_at || now - d->link_looked_at >= COUNT_PEERS) {
		d->link_looked_at = now;
		v->link_lost = link_lost(g);
	}
	d->stranger_count = wg_strangers(g->wg, d->strangers);
	diagnosis_paths_device(g, v, now);
}

/* ---- a peer ---- */

void diagnosis_sample(struct trouble *t, uint64_t now)
{
	const struct peer_sample *last = &t->samples[(t->next + DIAGNOSIS_SAMPLES - 1) % DIAGNOSIS_SAMPLES];
	struct peer_sample *s = &t->samples[t->next];
	struct peer_look look;
	struct wg_peer_view v;

	memset(&look, 0, sizeof(look));
	paths_glance(t->peer, &look);
	t->rotations += t->local_session_since && look.local_session_since != t->local_session_since;
	t->remote_sessions += t->remote_session_since && look.remote_session_since != t->remote_session_since;
	t->local_session_since = look.local_session_since;
	t->remote_session_since = look.remote_session_since;
	if (t->count && now - last->at < DIAGNOSIS_INTERVAL)
		return;
	wg_peer_look(t->peer->wg, &v, now);
	*s = (struct peer_sample){
		.at = now, .rotations = t->rotations, .remote_sessions = t->remote_sessions};
	for (unsigned i = 0; i < WG_COUNTERS; i++)
		s->counters[i] = (uint32_t)counter_get(&v.counters[i]);
	t->next = (t->next + 1) % DIAGNOSIS_SAMPLES;
	if (t->count < DIAGNOSIS_SAMPLES)
		t->count++;
}

static void window(const struct trouble *t, const struct peer_sample *oldest, const struct diagnosis_facts *f,
		   struct diagnosis_window *w)
{
	w->since = oldest->at;
	for (unsigned i = 0; i < WG_COUNTERS; i++)
		w->counters[i] = (uint32_t)((uint32_t)f->counters[i] - oldest->counters[i]);
	w->rotations = t->rotations - oldest->rotations;
	w->remote_sessions = t->remote_sessions - oldest->remote_sessions;
	w->endpoint_changes = (unsigned)w->counters[WG_COUNT_roamed];
}

static bool no_data_since(const struct peer_sample *s, const struct diagnosis_facts *f)
{
	return s->counters[WG_COUNT_data_received] == (uint32_t)f->counters[WG_COUNT_data_received] &&
	       s->counters[WG_COUNT_keepalive_received] == (uint32_t)f->counters[WG_COUNT_keepalive_received];
}

static void windows(const struct trouble *t, struct diagnosis_facts *f)
{
	unsigned first = (t->next + DIAGNOSIS_SAMPLES - t->count) % DIAGNOSIS_SAMPLES;

	window(t, &t->samples[first], f, &f->recent);
	for (unsigned i = 0; i < t->count; i++) {
		const struct peer_sample *s = &t->samples[(first + i) % DIAGNOSIS_SAMPLES];

		if (no_data_since(s, f)) {
			window(t, s, f, &f->deaf);
			return;
		}
	}
}

static void evidence(const struct trouble *t, struct diagnosis_facts *f)
{
	f->last_timestamp_delta = t->timestamp_delta;
	f->last_response_rejected = t->response_rejected;
	f->last_inner_rejected = t->inner_rejected;
	f->stolen_at = t->stolen_at;
	f->remote_restarted_at = t->remote_restarted_at;
	f->we_restarted_at = t->we_restarted_at;
	f->report_before = t->report_before;
	f->report_before_at = t->report_before_at;
}

/* The last stranger of this kind at the peer's address, else the last of all. */
static const struct wg_stranger *stranger(const struct diagnosis_desk *d, enum wg_counter why,
					  const union address *at)
{
	const struct wg_stranger *best = NULL;
	bool near = false;

	for (size_t i = 0; i < d->stranger_count; i++) {
		const struct wg_stranger *s = &d->strangers[i];
		bool same = address_same_host(&s->from.remote, at);

		if (s->why != why || (near && !same) || (best && near == same && s->at < best->at))
			continue;
		best = s;
		near = same;
	}
	return best;
}

static void strangers(struct diagnosis_desk *d, const union address *at)
{
	const struct wg_stranger *unknown = stranger(d, WG_COUNT_reject_unknown_peer, at);
	const struct wg_stranger *mac1 = stranger(d, WG_COUNT_reject_mac1, at);

	d->device.unknown_key_at = unknown ? unknown->at : 0;
	d->device.mac1_at = mac1 ? mac1->at : 0;
	if (unknown) {
		d->device.unknown_key = unknown->key;
		d->device.unknown_from = unknown->from.remote;
	}
	if (mac1)
		d->device.mac1_from = mac1->from.remote;
}

static void prefix_text(char *out, size_t size, int family, const uint8_t *addr, unsigned prefix)
{
	char text[INET6_ADDRSTRLEN] = "";

	inet_ntop(family, addr, text, sizeof(text));
	snprintf(out, size, "%s/%u", text, prefix);
}

static void allowed_ips(struct engine_peer *p, struct diagnosis_facts *f)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct engine_peer *other;
	struct wg_stolen stolen;
	uint8_t source[16];
	struct wg_peer *owner;
	bool v4;

	if (wg_peer_stolen(p->wg, &stolen)) {
		prefix_text(f->stolen_prefix, sizeof(f->stolen_prefix), stolen.family, stolen.addr,
			    stolen.prefix);
		other = engine_find_peer(p->engine, &stolen.by);
		snprintf(f->stolen_by, sizeof(f->stolen_by), "%.31s",
			 other ? timeline_label(other) : "another");
	}
	if (!wg_peer_refused_source(p->wg, source))
		return;
	v4 = !memcmp(source, mapped, sizeof(mapped));
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? source + 12 : source, f->inner_rejected_source,
		  sizeof(f->inner_rejected_source));
	owner = wg_owner_of(p->engine->wg, v4 ? AF_INET : AF_INET6, v4 ? source + 12 : source);
	if (owner && owner != p->wg)
		snprintf(f->inner_rejected_owner, sizeof(f->inner_rejected_owner), "%.31s",
			 timeline_label(peer_of(owner)));
}

struct allowed_look {
	struct engine *engine;
	struct diagnosis_facts *facts;
	unsigned left; /* how many prefixes may be looked at: each is a question to the kernel */
};

/* Does this host route the prefix into the tunnel? Its first address stands for all. None stands for a prefix
 * as wide as the Internet, of which much goes other ways by right. */
static void look_allowed(void *arg, int family, const uint8_t *addr, unsigned prefix)
{
	struct allowed_look *l = arg;
	struct engine *g = l->engine;
	union address to = {.sa.sa_family = (sa_family_t)family};
	uint8_t *bytes = family == AF_INET ? (uint8_t *)&to.in.sin_addr : to.in6.sin6_addr.s6_addr;
	unsigned len = family == AF_INET ? 4 : 16;
	struct way_into into;

	l->facts->has_allowed_ips = true;
	if (!l->left || prefix < 8 || !g->netlink || !g->ifindex || l->facts->route_missing[0])
		return;
	l->left--;
	memcpy(bytes, addr, len);
	if (prefix < len * 8)
		bytes[len - 1] |= 1;
	if (!ways_look(g, &g->desk->inner_ways, 0, &to, &into) || (!into.own && !into.local))
		prefix_text(l->facts->route_missing, sizeof(l->facts->route_missing), family, addr, prefix);
}

void diagnosis_gather(struct engine_peer *p, uint64_t now)
{
	struct diagnosis_desk *d = p->engine->desk;
	struct diagnosis_facts *f = &d->facts;
	struct allowed_look allowed;
	struct wg_peer_view v;

	memset(f, 0, sizeof(*f));
	f->device = &d->device;
	d->device.up = p->engine->up;
	d->device.has_private_key = wg_has_private_key(p->engine->wg);
	word_look(p, &v, &f->word, &f->state, now);
	f->word_since = p->word_since;
	snprintf(f->name, sizeof(f->name), "%s", p->name);
	wg_peer_public_key(p->wg, &f->public_key);
	f->has_psk = wg_peer_has_psk(p->wg);
	f->endpoint = wg_peer_endpoint(p->wg).remote;
	if (f->endpoint.sa.sa_family == AF_UNSPEC)
		f->endpoint = paths_direct(p).remote;
	snprintf(f->host, sizeof(f->host), "%s", p->host ? p->host : "");
	f->send_error = atomic_load_explicit(&p->send_error, memory_order_relaxed);
	f->last_initiation_received = p->heard_initiation;
	for (unsigned i = 0; i < WG_COUNTERS; i++) {
		f->counters[i] = counter_get(&v.counters[i]);
		f->since_handshake[i] = (uint32_t)((uint32_t)f->counters[i] - p->base_counters[i]);
	}
	allowed = (struct allowed_look){p->engine, f, f->state.tunnel == TUNNEL_UP ? ROUTES_LOOKED_AT : 0};
	wg_each_allowed(p->wg, look_allowed, &allowed);
	diagnosis_paths_facts(p, f, now);
	if (p->trouble) {
		windows(p->trouble, f);
		evidence(p->trouble, f);
	}
	allowed_ips(p, f);
	strangers(d, &f->endpoint);
}
