/*
 * Rules about ways that should carry the tunnel and do not: UDP that does not pass, NATs that forget, filters
 * that know WireGuard, routes that lead into tunnels. Whoever can ask by another way asks: pongs on the same
 * path carry what the other end counts there.
 */
#include <inttypes.h>
#include <string.h>

#include "diagnose/rules_net.h"

#define FRESH	      (15 * NS_PER_SEC) /* a path that is in doubt is pinged several times in it */
#define TRIES	      3
#define FIVE_MIN      (300 * NS_PER_SEC)
#define FLAPS	      3
#define UNPROVEN      (4 * NS_PER_SEC)
#define COURTED	      (50 * NS_PER_SEC)	 /* one that is asked for a proof, in vain, is pinged every 30 s */
#define REMEMBERED    (400 * NS_PER_SEC) /* a new pair is tried at least every 330 s */
#define RELAY_CHECKED (10 * NS_PER_SEC)
#define IDLE_LIMIT                                                                                           \
	(20 *                                                                                                \
	 NS_PER_SEC) /* the shortest that NATs remember: RFC 4787 REQ-5 wants two minutes, many have 30 s */

/* ---- UDP is blocked ---- */

static void show_udp(const struct diagnosis_facts *f, bool here, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	if (here)
		diagnosis_shows(d, MARK_BAD, "paths", v->nat_at,
				"STUN requests to %s have no answer, and nothing else comes in by UDP",
				v->stun_server);
	else
		diagnosis_shows(d, MARK_BAD, "signalling", f->report_at,
				"it says itself that it has no answer to STUN, and nothing by UDP");
	for (unsigned i = 0; i < v->relay_count; i++)
		if (v->relays[i].up)
			diagnosis_shows(d, MARK_GOOD, "relay", v->relays[i].since,
					"the relay %.80s is up, by TCP: this host has a network",
					v->relays[i].url);
}

/* STUN has no answer. What came by UDP before it was asked says nothing, if this peer's own path went with
 * it. */
static bool blocked_here(const struct diagnosis_facts *f, uint64_t now)
{
	const struct diagnosis_device *v = f->device;

	if (v->nat != NAT_BLOCKED || v->udp_heard_at >= v->nat_at)
		return false;
	/* One server that is down is not the network. */
	if (v->stun_beside_dead)
		return false;
	return f->switch_count || !diagnosis_lately(v->udp_heard_at, now, A_MINUTE);
}

static bool check_udp_blocked(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	bool here = blocked_here(f, now), there = f->remote_nat == NAT_BLOCKED, relay = false;

	if ((!here && !there) || net_direct(f) || (!net_relayed(f) && !net_in_trouble(f, now)))
		return false;
	for (unsigned i = 0; i < v->relay_count; i++)
		relay |= v->relays[i].up;
	/* A relay that seems to be up may be as dead as UDP: a check of it takes some seconds. */
	if (here && relay && !net_relayed(f) && now < f->word_since + RELAY_CHECKED)
		return false;
	diagnosis_holds(d, (relay && v->stun_servers > 1) || there ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY,
			here ? SIDE_HERE : SIDE_THERE, here ? v->nat_at : f->report_at);
	net_severity(d, f, now);
	if (here)
		diagnosis_says(d, "UDP does not pass on this host's network: STUN at %s has no answer%s.%s",
			       v->stun_server, relay ? ", while TCP to the relay works" : "",
			       net_relayed(f) ? " The tunnel goes by the relay." : "");
	else
		diagnosis_says(d, "UDP does not pass on the peer's network, as it says itself.%s",
			       net_relayed(f) ? " The tunnel goes by the relay." : "");
	show_udp(f, here, d);
	diagnosis_helps(d, 0, "Let UDP out in the firewall %s; a relay by TCP works meanwhile.",
			here ? "here, and of the network that this host is in" : "at the other end");
	return true;
}

/* ---- NATs ---- */

static bool moved(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	bool told = diagnosis_lately(f->observed_changed_at, now, FIVE_MIN) && f->observed_before[0];
	const char *before = told ? f->observed_before : v->mapped_before;
	const char *after = told ? f->observed : v->mapped;
	uint64_t at = told ? f->observed_changed_at : v->mapped_changed_at;

	if (!told && (!diagnosis_lately(v->mapped_changed_at, now, FIVE_MIN) || !v->mapped_before[0]))
		return false;
	if (!f->controlled || net_direct(f) || (!net_relayed(f) && !net_in_trouble(f, now)))
		return false;
	diagnosis_holds(d, told ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE, at);
	net_severity(d, f, now);
	diagnosis_says(
		d,
		"The NAT here gave us another address: %s was %s before. What knew the old one is cut off.",
		after, before);
	diagnosis_shows(d, MARK_BAD, "paths", at, "seen from outside we are %s, until then %s", after,
			before);
	diagnosis_shows(d, MARK_NOTE, "paths", 0, "%s",
			told ? "the peer told it: it sees where our packets come from"
			     : "a STUN server told it");
	diagnosis_helps(d, 'S', "A new session makes both ends find each other anew.");
	diagnosis_command(d, f, "rotate");
	return true;
}

/* Its address was learned, it was quiet for longer than NATs remember, and nothing gets through to it: only
 * it can open the way again. */
static bool forgotten(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t quiet = f->word.last_received, asked = f->word.unanswered_since;
	char to[ADDRESS_TEXT], age[DIAGNOSIS_AGE];

	if (!f->endpoint_learned || !net_in_trouble(f, now) || !quiet ||
	    f->state.path_kind != PATH_KIND_DIRECT)
		return false;
	if (!asked)
		asked = now;
	if (asked < quiet + IDLE_LIMIT)
		return false;
	address_format(to, &f->endpoint);
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, asked);
	diagnosis_says(d,
		       "The NAT before the peer has forgotten it: it was quiet for %s, and %s, where it was, "
		       "is gone.",
		       diagnosis_age(age, asked - quiet), to);
	diagnosis_shows(d, MARK_BAD, "paths", asked, "nothing comes back from %s since we sent again", to);
	diagnosis_shows(d, MARK_NOTE, "paths", quiet,
			"its last packet; nothing kept the way open after that");
	diagnosis_shows(d, MARK_NOTE, "paths", 0,
			"its address was learned from its packets, none is configured here");
	diagnosis_helps(
		d, 0,
		"Only it can open the way again. Set PersistentKeepalive = 25 for us at the other end.");
	return true;
}

static bool check_mapping_lost(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	return moved(f, now, d) || forgotten(f, now, d);
}

static bool check_poisoned(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_path *p = net_chosen(f);
	uint64_t at = f->look.chosen_since;

	(void)now;
	if (!p || p->view.ref.kind != PATH_KIND_DIRECT || !p->fresh_port || p->view.state != PATH_UP ||
	    f->state.tunnel != TUNNEL_UP || !f->look.rungs_taken[PEER_RUNG_PORT])
		return false;
	/* Who was simply not there before has no entry anywhere that could be stuck. */
	if (f->counters[WG_COUNT_handshake_done] < 2)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_BETWEEN, at);
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_says(d, "A NAT or firewall entry on the way held this peer's flow fast; a new source port "
			  "got past it.");
	diagnosis_shows(d, MARK_BAD, "paths", 0,
			"from the shared port nothing came back, though a tunnel had stood there");
	diagnosis_shows(d, MARK_GOOD, "paths", p->view.last_proof, "from a port of its own it answers at %s",
			p->remote);
	diagnosis_helps(d, 0, "Nothing needs to be done. conntrack -L on the boxes between shows the entry.");
	return true;
}

/* Both ends are behind one NAT, which sends nothing back inside that came from inside (RFC 4787 REQ-9). */
static bool check_hairpin(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (!net_wants_direct(f) || !f->same_public_address || net_direct(f) ||
	    (!f->ice_failed && !f->word.ice_failed_at) || (!net_relayed(f) && !net_in_trouble(f, now)))
		return false;
	diagnosis_holds(d, f->host_pair_failed ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_BETWEEN,
			f->word.ice_failed_at);
	net_severity(d, f, now);
	diagnosis_says(d, "Both ends are behind the same public address, and neither its NAT nor their local "
			  "network lets "
			  "them meet.");
	diagnosis_shows(
		d, MARK_BAD, "ice", f->word.ice_failed_at,
		"the pair of public addresses failed: the NAT sends nothing back inside (no hairpin)");
	if (f->host_pair[0])
		diagnosis_shows(d, f->host_pair_failed ? MARK_BAD : MARK_NOTE, "ice", f->word.ice_failed_at,
				"the pair of local addresses %.100s %s", f->host_pair,
				f->host_pair_failed ? "failed too" : "was not tried to its end");
	else
		diagnosis_shows(d, MARK_NOTE, "ice", 0, "no pair of local addresses was there to be tried");
	diagnosis_helps(
		d, 0,
		"Let the two reach each other inside (guest networks and access points often isolate their "
		"clients).");
	return true;
}

/* ---- WireGuard alone is lost ---- */

/* Which way: what we sent and it did not count, or what it sent and we did not. */
static bool outward(const struct diagnosis_path *p)
{
	return p->sent > p->view.far_received && p->sent - p->view.far_received >= TRIES;
}

static bool is_filtered(const struct diagnosis_facts *f, const struct diagnosis_path *p, uint64_t now)
{
	/* better than the relay that is in use, and it cannot prove itself by tunnel packets */
	bool waits = net_relayed(f) && net_wants_direct(f) && !p->chosen && now > p->view.since + UNPROVEN;

	if (!net_over_udp(p))
		return false;
	if (p->view.filtered)
		return (p->chosen || !net_direct(f)) && diagnosis_lately(p->view.last_proof, now, COURTED);
	if (!diagnosis_lately(p->view.last_proof, now, FRESH))
		return false;
	if (waits && p->view.counts_at > p->view.since + UNPROVEN / 2)
		return (p->sent && !p->view.far_received) || (p->view.far_sent && !p->received);
	/* what comes under keys that we have lost did arrive, though it counts for nothing */
	bool deaf = !p->received && !diagnosis_lately(f->we_restarted_at, now, DIAGNOSIS_LATELY);
	/* never a tunnel on it, and pings tell that what was sent did not come */
	return f->word.initiations_unanswered >= TRIES && diagnosis_lately(p->view.counts_at, now, FRESH) &&
	       ((!p->view.far_received && p->sent >= TRIES) || (deaf && p->view.far_sent >= TRIES));
}

/* Pairs are replaced, each with its counts: what the controller found on those before is known as long as
 * others are tried. */
static bool was_filtered(const struct diagnosis_facts *f, uint64_t now)
{
	return f->look.filter.paths && net_relayed(f) && net_wants_direct(f) &&
	       diagnosis_lately(f->look.filter.at, now, REMEMBERED);
}

static void show_filtered(const struct diagnosis_facts *f, const struct diagnosis_path *p, bool out,
			  struct diagnosis *d)
{
	const struct peer_filter *x = &f->look.filter;

	if (x->paths)
		diagnosis_shows(d, MARK_BAD, "wireguard", x->at,
				"direct paths tried so far: %u; pings pass, and of WireGuard %" PRIu64
				" packets of ours and %" PRIu64 " of theirs did not arrive",
				x->paths, x->ours, x->theirs);
	if (!p)
		return;
	diagnosis_shows(d, MARK_GOOD, "paths", p->view.last_proof, "the %s path answers pings",
			path_kind_name(p->view.ref.kind));
	if (!p->view.counts_at)
		return;
	diagnosis_shows(d, out ? MARK_BAD : MARK_NOTE, "wireguard", p->view.counts_at,
			"%" PRIu64 " WireGuard packets sent on it, %" PRIu64 " arrived there", p->sent,
			p->view.far_received);
	diagnosis_shows(d, out ? MARK_NOTE : MARK_BAD, "wireguard", p->view.counts_at,
			"%" PRIu64 " sent there on it, %" PRIu64 " arrived here", p->view.far_sent,
			p->received);
}

static bool check_filtered(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_path *p = NULL;
	const struct peer_filter *x = &f->look.filter;
	bool out = x->ours >= x->theirs;

	for (unsigned i = 0; i < f->path_count && !p; i++)
		if (is_filtered(f, &f->paths[i], now))
			p = &f->paths[i];
	if (!p && !was_filtered(f, now))
		return false;
	if (!x->paths)
		out = outward(p);
	diagnosis_holds(d, x->paths || p->view.counts_at ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_BETWEEN,
			x->paths	      ? x->since
			: p->view.last_tunnel ? p->view.last_tunnel
					      : p->view.since);
	net_severity(d, f, now);
	diagnosis_says(d, "Something on the way to %s passes STUN and pings and drops WireGuard: %s.",
		       p ? p->remote : "the peer",
		       out ? "our packets do not arrive, theirs may"
			   : "the peer's packets do not arrive here");
	show_filtered(f, p, out, d);
	if (net_relayed(f))
		diagnosis_shows(d, MARK_GOOD, "relay", 0, "the tunnel works over the relay meanwhile");
	diagnosis_helps(
		d, net_relayed(f) ? 0 : 'f',
		"Look for a firewall with deep inspection between the ends. A relay with TLS gets past it.");
	if (!net_relayed(f))
		diagnosis_command(d, f, "path relay");
	return true;
}

/* ---- a path that died ---- */

static bool check_died(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_path *p = net_chosen(f), *worked = NULL;
	char ago[DIAGNOSIS_AGE];

	if (!f->controlled || !net_in_trouble(f, now) || f->word.remote_away || !f->word.last_received)
		return false;
	for (unsigned i = 0; i < f->path_count; i++) {
		const struct diagnosis_path *x = &f->paths[i];

		if (x->view.state == PATH_UP && diagnosis_lately(x->view.last_proof, now, FRESH))
			return false;
		if (x->view.last_proof && (!worked || x->view.last_proof > worked->view.last_proof))
			worked = x;
	}
	p = p && p->view.last_proof ? p : worked;
	if (!p || diagnosis_lately(p->view.last_proof, now, 5 * NS_PER_SEC))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_UNKNOWN, p->view.last_proof);
	diagnosis_says(d,
		       "The %s path died without a word: nothing has come from %.80s for %s, and no other "
		       "path answers.",
		       path_kind_name(p->view.ref.kind), p->remote,
		       diagnosis_for(ago, p->view.last_proof, now));
	diagnosis_shows(d, MARK_BAD, "paths", p->view.last_proof,
			"its last sign of life; %u of %u pings were answered", p->view.pongs, p->view.pings);
	if (f->look.watch_why[0])
		diagnosis_shows(d, MARK_BAD, "paths", 0, "%.170s", f->look.watch_why);
	for (unsigned i = 0; i < f->path_count; i++)
		if (&f->paths[i] != p)
			diagnosis_shows(d, MARK_BAD, "paths", f->paths[i].view.last_proof, "%s %.80s: %s",
					path_kind_name(f->paths[i].view.ref.kind), f->paths[i].remote,
					path_state_name(f->paths[i].view.state));
	if (f->look.next_rung != PEER_RUNG_NONE)
		diagnosis_shows(d, MARK_NOTE, "paths", 0, "recovery goes on: %s is next",
				peer_rung_text(f->look.next_rung));
	diagnosis_helps(d, 'p', "Is the peer up, and on a network? A probe asks on all paths now.");
	diagnosis_command(d, f, "probe");
	return true;
}

static bool check_flaps(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (f->switch_count < FLAPS)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_UNKNOWN, f->switches[DIAGNOSIS_SWITCHES - 1].at);
	net_severity(d, f, now);
	diagnosis_says(
		d,
		"The tunnel lost its path %u times within five minutes, each time on the evidence that is "
		"shown.",
		f->switch_count);
	for (unsigned i = 0; i < DIAGNOSIS_SWITCHES && f->switches[i].at; i++)
		diagnosis_shows(d, MARK_BAD, "paths", f->switches[i].at, "%s", f->switches[i].text);
	diagnosis_helps(d, 'f',
			"If it is always the same path, keep to the relay until that network is mended.");
	diagnosis_command(d, f, "path relay");
	return true;
}

/* ---- tunnel in tunnel ---- */

static bool check_route(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const char *to = f->loop_address, *into = f->loop_through;
	bool own = f->loop_own;

	if (net_direct(f) || (!net_relayed(f) && !net_in_trouble(f, now)))
		return false;
	if (!*to)
		return false;
	diagnosis_holds(d, own ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE, f->word_since);
	net_severity(d, f, now);
	diagnosis_says(d, "This host routes %s into %s, %s: the tunnel's own packets cannot go that way.", to,
		       into, own ? "the tunnel itself" : "another VPN's tunnel");
	diagnosis_shows(d, MARK_BAD, "routes", 0, "ip route get %s: dev %s", to, into);
	if (own)
		diagnosis_shows(
			d, MARK_NOTE, "routes", 0,
			"an AllowedIPs entry, here or of another peer, holds the peer's outer address");
	diagnosis_helps(d, 0,
			"Take that address out of %s, or give it a route of its own by the real interface.",
			own ? "AllowedIPs" : "the other VPN");
	return true;
}

const struct diagnosis_rule rules_path[] = {
	{"tunnel-in-tunnel", "the route to the peer leads into a tunnel",
	 "The kernel routes the endpoint of the peer into the tunnel itself or "
	 "into another "
	 "VPN's. Packets of the tunnel would go round in it. Known by asking the kernel for the route.",
	 NO_WAY " udp-blocked nat-mapping-lost hairpin symmetric-nats " NOT_DIRECT, check_route},
	{"udp-blocked", "UDP is blocked",
	 "STUN servers do not answer, nothing comes in by UDP at all, and a relay by TCP works. The other "
	 "end says of itself "
	 "whether it is so there. The tunnel works over the relay, if there is one.",
	 NO_WAY " all-silent symmetric-nats hairpin turn-unreachable candidates-lost nat-mapping-lost "
		"path-flaps " NOT_DIRECT,
	 check_udp_blocked},
	{"nat-mapping-lost", "a NAT has forgotten the tunnel",
	 "A NAT keeps the way back open for a while after each packet from inside. It was rebooted, or the "
	 "tunnel was quiet "
	 "for too long, and what comes from outside is dropped. Seen by an address of ours that changed, or "
	 "by a peer whose "
	 "address was learned and that is silent after a pause.",
	 NO_WAY " peer-restarted " NOT_DIRECT, check_mapping_lost},
	{"poisoned-mapping", "a stuck NAT entry was passed by",
	 "Packets from the shared port vanished for this peer alone: an entry of a NAT or a firewall on the "
	 "way held the flow "
	 "fast. The recovery took a new source port, and the peer answers.",
	 NULL, check_poisoned},
	{"hairpin", "both ends are behind one NAT",
	 "Both ends are seen at the same public address. Their NAT does not send packets back inside, and "
	 "the local addresses "
	 "do not reach each other either. The tunnel goes over a relay.",
	 "symmetric-nats " NOT_DIRECT, check_hairpin},
	{"wireguard-filtered", "WireGuard is filtered on the way",
	 "Pings of weir and STUN pass on a path and WireGuard's packets do not, as the counts of both ends "
	 "show. A firewall "
	 "that knows the protocol drops them, in one direction or in both. Where a relay carries the tunnel, "
	 "other pairs are tried ever more rarely, and what was found on those before still counts; the "
	 "verdict ends when the tunnel goes both ways on one.",
	 NO_WAY " session-storm path-flaps " NOT_DIRECT, check_filtered},
	{"path-died", "the path died silently",
	 "A path that worked answers nothing any more, neither data nor pings, and no other path answers. "
	 "The peer is gone, or "
	 "its network is.",
	 "no-answer stopped-answering data-unanswered", check_died},
	{"path-flaps", "the path changes again and again",
	 "The tunnel left its path three times or more within five minutes. The verdict shows on which "
	 "evidence each time.",
	 NULL, check_flaps},
	{0},
};
