/* Rules about this host: its interface, clock, network, configuration, and what it may send. */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/rules_internal.h"

#define LATELY	    (60 * NS_PER_SEC)
#define WAITED_LONG (10 * NS_PER_SEC) /* a handshake takes two tries at most on a path that works */
#define SLEPT	    (2 * NS_PER_SEC)  /* less is the reading of two clocks */
#define A_MOMENT    (3 * NS_PER_SEC)
#define SANE_WALL   (1735689600ull * NS_PER_SEC) /* 2025: no clock that was set shows less */

#define SILENT_ALL                                                                                           \
	"no-answer stopped-answering data-unanswered outbound-blocked return-path-blocked peer-restarted"

static bool in_trouble(const struct diagnosis_facts *f, uint64_t now)
{
	if (f->state.word == WORD_STUCK || f->state.tunnel == TUNNEL_SILENT)
		return true;
	return f->state.word == WORD_WAIT && f->word_since && now > f->word_since + WAITED_LONG;
}

static bool check_down(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	(void)now;
	if (f->device->up)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->word_since);
	diagnosis_says(d, "The interface is down: nothing is sent or received.");
	diagnosis_shows(d, MARK_BAD, "routes", 0, "the link is not set up");
	diagnosis_helps(d, 0, "Set it up: ip link set the interface up.");
	return true;
}

static bool check_no_private_key(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	(void)now;
	if (!f->device->up || f->device->has_private_key)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->word_since);
	diagnosis_says(d, "The interface has no private key: no peer can be called, and none is answered.");
	diagnosis_shows(d, MARK_BAD, "wireguard", 0, "no private key is set");
	diagnosis_helps(d, 0, "Give the configuration a PrivateKey and reload it.");
	diagnosis_command(d, NULL, "reload");
	return true;
}

static bool check_away(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char back[DIAGNOSIS_AGE];

	if (!f->word.remote_away || diagnosis_tunnel_works(f, now))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_THERE, f->word.last_received);
	if (f->word.remote_back_at > now)
		diagnosis_says(d, "It said goodbye, and means to be back in about %s.",
			       diagnosis_age(back, f->word.remote_back_at - now));
	else
		diagnosis_says(d, "It said goodbye: its interface went down, or its engine was ended.");
	diagnosis_shows(d, MARK_NOTE, "signalling", f->word.last_received, "its last word was a goodbye");
	diagnosis_helps(d, 0, "Start it again there. It says by itself when it is back.");
	return true;
}

static bool check_link_lost(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	(void)now;
	if (!v->link_lost)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE,
			v->network_changed_at ? v->network_changed_at : f->word_since);
	diagnosis_says(d, "This host has no network: no interface but the tunnel's is up with an address.");
	diagnosis_shows(d, MARK_BAD, "routes", v->network_changed_at,
			"links and addresses of this host: none that is up");
	if (f->send_error)
		diagnosis_shows(d, MARK_BAD, "paths", 0, "the kernel's word on the last datagram: %s",
				f->word.send_error);
	diagnosis_helps(d, 0, "Look at the cable, the radio or the address of this host: ip -br addr.");
	return true;
}

static const char *error_means(int error)
{
	switch (error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
		return "no route leads there, or a neighbour does not answer: ip route get its address";
	case EPERM:
	case EACCES:
		return "a firewall on this host refuses it: nft list ruleset, look at output";
	case EADDRNOTAVAIL:
	case EINVAL:
		return "the source address is gone, or of the wrong kind: ip -br addr";
	case ENOBUFS:
	case ENOMEM:
	case EAGAIN:
		return "the sending queue of the link is full: tc -s qdisc";
	case ENETDOWN:
	case ENODEV:
		return "the link that it would leave by is down: ip -br link";
	default:
		return "look at routes, addresses and firewall of this host";
	}
}

static bool check_send_refused(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t failed = f->word.send_failures;

	if (!f->word.send_error || failed < 3 || diagnosis_tunnel_works(f, now))
		return false;
	/* Those of minutes ago are not what keeps it from answering now. */
	if (f->recent.since && !f->recent.counters[WG_COUNT_send_failed] &&
	    f->recent.counters[WG_COUNT_initiation_sent])
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->word_since);
	diagnosis_says(d, "This host's kernel refuses to send to it: %s (%" PRIu64 " times).",
		       f->word.send_error, failed);
	diagnosis_shows(d, MARK_BAD, "routes", 0,
			"%" PRIu64 " datagrams refused since the last handshake: %s", failed,
			f->word.send_error);
	diagnosis_shows(d, MARK_NOTE, "wireguard", 0,
			"%" PRIu64 " initiations tried, none can have left this host", diagnosis_tries(f));
	diagnosis_helps(d, 0, "This is a matter of this host: %s.", error_means(f->send_error));
	return true;
}

static bool check_name(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (!f->word.resolve_error || diagnosis_tunnel_works(f, now))
		return false;
	diagnosis_holds(d, f->word.endpoint_known ? DIAGNOSIS_LIKELY : DIAGNOSIS_CERTAIN, SIDE_HERE,
			f->word_since);
	if (f->word.endpoint_known)
		diagnosis_says(
			d, "Its name %.60s does not resolve (%.60s), and the old address does not answer.",
			f->host, f->word.resolve_error);
	else
		diagnosis_says(d, "Its name %.60s does not resolve: %.80s.", f->host, f->word.resolve_error);
	diagnosis_shows(d, MARK_BAD, "paths", 0, "look-up of %.80s: %.60s", f->host, f->word.resolve_error);
	diagnosis_helps(
		d, 'E',
		"Check the name, and that this host can ask DNS without the tunnel. It is asked again by "
		"itself; a reset asks now.");
	diagnosis_command(d, f, "reset");
	return true;
}

/* Its packets wait a while and are dropped, again and again: the word comes and goes with them. */
static bool check_no_endpoint(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t dropped = f->counters[WG_COUNT_no_endpoint] + f->counters[WG_COUNT_staged_dropped];

	(void)now;
	if (f->word.endpoint_known || f->word.resolving || f->word.resolve_error || *f->host ||
	    f->word.relay_configured || f->state.word != WORD_WAIT || !(f->word.staged || dropped))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->word_since);
	diagnosis_says(d, "Packets wait for it, but it has no endpoint here and has not called us: nobody "
			  "knows where it is.");
	diagnosis_shows(d, MARK_BAD, "paths", 0,
			"no Endpoint is configured, none was learned, and no relay is configured");
	diagnosis_shows(d, MARK_NOTE, "wireguard", 0, "%u packets wait, %" PRIu64 " were dropped",
			f->word.staged, dropped);
	diagnosis_helps(
		d, 0,
		"Give it an Endpoint or a relay here, or a PersistentKeepalive and our Endpoint there.");
	return true;
}

/* ---- clocks, suspend, everything at once ---- */

static bool check_our_clock(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	const struct signal_report *r = &f->report, *before = &f->report_before;
	bool told =
		f->has_report && f->report_before_at && r->rejected_timestamp > before->rejected_timestamp;
	char by[DIAGNOSIS_AGE];

	if (diagnosis_tunnel_works(f, now) || diagnosis_tries(f) < 3)
		return false;
	if (!told && v->wall >= SANE_WALL)
		return false;
	diagnosis_holds(d, told ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE,
			v->clock_stepped_at ? v->clock_stepped_at : f->word_since);
	diagnosis_says(d, "This host's clock is behind the time stamps that it sent before: the peer takes "
			  "our initiations "
			  "for replays.");
	if (told)
		diagnosis_shows(d, MARK_BAD, "clock", f->report_at,
				"it rejected %" PRIu64 " initiations of ours for an old time",
				r->rejected_timestamp);
	if (v->clock_step < 0)
		diagnosis_shows(d, MARK_BAD, "clock", v->clock_stepped_at, "our clock was set back by %s",
				diagnosis_age(by, (uint64_t)-v->clock_step));
	if (v->wall < SANE_WALL)
		diagnosis_shows(d, MARK_BAD, "clock", 0, "our clock shows a time before 2025");
	diagnosis_shows(d, MARK_NOTE, "clock", 0, "%s",
			v->floor_in_use ? "stamps go on from the last one that was kept"
					: "no earlier stamp was kept here");
	diagnosis_helps(
		d, 0, "Set the clock of this host, or remove and add us there: that forgets the last stamp.");
	return true;
}

static bool check_suspended(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	char age[DIAGNOSIS_AGE], ago[DIAGNOSIS_AGE];

	if (v->suspended_for < SLEPT || !diagnosis_lately(v->resumed_at, now, LATELY) || !in_trouble(f, now))
		return false;
	if (f->word.last_received > v->resumed_at)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, v->resumed_at);
	diagnosis_says(d,
		       "This host slept for %s: what its peers and the NATs between knew of it has run out.",
		       diagnosis_age(age, v->suspended_for));
	diagnosis_shows(d, MARK_NOTE, "clock", v->resumed_at, "it woke up %s",
			diagnosis_ago(ago, v->resumed_at, now));
	diagnosis_shows(d, MARK_NOTE, "paths", 0, "%u of %u peers that are in use are in trouble",
			v->peers_in_trouble, v->peers_wanted);
	diagnosis_helps(d, 'p', "All paths are tried anew by themselves; a probe asks now.");
	diagnosis_command(d, f, "probe");
	return true;
}

/* Hosts that have nothing to do with each other and are all silent. */
struct silence {
	union address hosts[8];
	unsigned count;
};

static void add_silent(struct silence *s, const char *text)
{
	union address a;

	if (s->count == sizeof(s->hosts) / sizeof(s->hosts[0]) || !address_parse(&a, text))
		return;
	for (unsigned i = 0; i < s->count; i++)
		if (address_same_host(&s->hosts[i], &a))
			return;
	s->hosts[s->count++] = a;
}

/* False: one of the relays is up, or says something, if only no. */
static bool relays_silent(const struct diagnosis_device *v, struct silence *s)
{
	for (unsigned i = 0; i < v->relay_count; i++) {
		if (v->relays[i].up || !v->relays[i].unanswered)
			return false;
		add_silent(s, v->relays[i].address);
	}
	return v->relay_count > 0;
}

static void show_silent(const struct diagnosis_facts *f, bool stun, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	for (unsigned i = 0; i < v->relay_count && i < 2; i++)
		diagnosis_shows(d, MARK_BAD, "relay", v->relays[i].lost_at, "%.80s answers nothing: %.60s",
				v->relays[i].url,
				v->relays[i].error[0] ? v->relays[i].error : "it is dialled anew");
	if (stun)
		diagnosis_shows(d, MARK_BAD, "paths", v->nat_at, "STUN requests to %s have no answer",
				v->stun_server);
	for (unsigned i = 0; i < f->path_count && i < 3; i++)
		if (f->paths[i].view.ref.kind != PATH_KIND_RELAY)
			diagnosis_shows(d, MARK_BAD, "paths", f->paths[i].view.last_proof,
					"nothing comes by the path to %.80s", f->paths[i].remote);
	diagnosis_shows(d, MARK_NOTE, "paths", v->udp_received_at,
			v->udp_received_at ? "the last packet of any peer"
					   : "no packet of any peer since the start");
}

/* TCP and UDP, whoever is asked: what all ways have in common is this end of them. */
static bool check_nothing_out(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	bool stun = v->nat == NAT_BLOCKED;
	struct silence s = {.count = 0};
	char age[DIAGNOSIS_AGE];
	bool relays = relays_silent(v, &s);
	uint64_t since = v->udp_received_at;

	if (!relays || (f->state.word != WORD_WAIT && f->state.word != WORD_STUCK) ||
	    (f->state.word == WORD_WAIT && now < f->word_since + A_MOMENT) ||
	    diagnosis_lately(since, now, A_MOMENT) || v->link_lost || (stun && v->udp_heard_at >= v->nat_at))
		return false;
	if (stun)
		add_silent(&s, v->stun_server);
	for (unsigned i = 0; i < f->path_count; i++)
		if (f->paths[i].view.last_proof &&
		    !diagnosis_lately(f->paths[i].view.last_proof, now, A_MOMENT))
			add_silent(&s, f->paths[i].remote);
	if (s.count + (v->peers_in_trouble > 1) < 2)
		return false;
	if (!since)
		since = v->relays[0].lost_at ? v->relays[0].lost_at : f->word_since;
	diagnosis_holds(d, stun && s.count > 1 ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE, since);
	diagnosis_says(d,
		       "Nothing gets out of this host's network or in, by TCP or UDP, for %s: relay%s%s and "
		       "peer%s are silent together.",
		       diagnosis_for(age, since, now), v->relay_count > 1 ? "s" : "", stun ? ", STUN" : "",
		       v->peers_in_trouble > 1 ? "s" : "");
	show_silent(f, stun, d);
	diagnosis_helps(
		d, 0,
		"Look at this host's router and its line, then at its firewall: ping the default gateway, "
		"nft list ruleset.");
	return true;
}

/* Its tunnel broke in the same moment as those of all others: the cause is one, and near. */
static bool check_all_at_once(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	uint64_t began = v->trouble_since;
	char at[DIAGNOSIS_AGE];

	if (!in_trouble(f, now) || v->peers_in_trouble < 3 || v->peers_heard || !began ||
	    !f->word.last_received)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, began);
	diagnosis_says(
		d,
		"All %u peers in use fell silent at the same time: the cause is on this host or its way "
		"out, not at each peer.",
		v->peers_in_trouble);
	diagnosis_shows(d, MARK_BAD, "paths", began, "%u of %u peers in use went silent %s, none is heard",
			v->peers_in_trouble, v->peers_wanted, diagnosis_ago(at, began, now));
	if (diagnosis_lately(v->clock_stepped_at, began, LATELY))
		diagnosis_shows(d, MARK_BAD, "clock", v->clock_stepped_at, "the clock was set just before");
	if (diagnosis_lately(v->network_changed_at, began, LATELY))
		diagnosis_shows(d, MARK_BAD, "routes", v->network_changed_at,
				"addresses, routes or links changed just before");
	if (diagnosis_lately(v->resumed_at, began, LATELY))
		diagnosis_shows(d, MARK_BAD, "clock", v->resumed_at,
				"this host woke from suspend just before");
	diagnosis_helps(d, 0,
			"Look at this host's network first: ip -br addr, ip route, nft list ruleset, and its "
			"router.");
	return true;
}

/* Not one of several has ever answered: nothing that is common to them works. */
static bool check_all_silent(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	if (f->state.word != WORD_STUCK || v->peers_in_trouble < 3 || v->peers_heard ||
	    v->peers_in_trouble < v->peers_wanted || diagnosis_lately(v->udp_received_at, now, LATELY))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, f->word_since);
	diagnosis_says(d,
		       "None of the %u peers in use is heard, and nothing at all comes in by UDP: look at "
		       "this host and its way "
		       "out, not at one peer.",
		       v->peers_wanted);
	diagnosis_shows(d, MARK_BAD, "paths", v->udp_received_at,
			"%s datagram of anybody came in for a minute",
			v->udp_received_at ? "no further" : "no");
	diagnosis_shows(d, MARK_BAD, "wireguard", 0,
			"%" PRIu64 " of %" PRIu64 " initiations to this peer unanswered", diagnosis_tries(f),
			diagnosis_tries(f));
	diagnosis_helps(d, 0, "Is UDP blocked on this network? A relay (TCP 443) works where UDP does not.");
	return true;
}

/* ---- allowed IPs and routes ---- */

static bool check_stolen(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	(void)now;
	if (!*f->stolen_prefix)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->stolen_at);
	diagnosis_says(d,
		       "%s was taken from it by %s, which lists it too: what is sent there goes to %s, and "
		       "what comes "
		       "from there is refused.",
		       f->stolen_prefix, f->stolen_by, f->stolen_by);
	diagnosis_shows(d, MARK_BAD, "wireguard", f->stolen_at,
			"%s is in AllowedIPs of two peers; it is now %s's", f->stolen_prefix, f->stolen_by);
	if (f->recent.counters[WG_COUNT_reject_inner_source])
		diagnosis_shows(d, MARK_BAD, "wireguard", 0,
				"%" PRIu64 " of its packets refused for their inner source lately",
				f->recent.counters[WG_COUNT_reject_inner_source]);
	diagnosis_helps(d, 0, "Give the prefix to one peer alone, and reload.");
	diagnosis_command(d, NULL, "reload");
	return true;
}

static bool check_no_allowed_ips(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t refused = f->since_handshake[WG_COUNT_reject_inner_source];

	(void)now;
	if (f->has_allowed_ips || (!refused && !f->word.last_handshake))
		return false;
	diagnosis_holds(d, refused ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE, f->word.last_handshake);
	diagnosis_says(d,
		       "It has no AllowedIPs here: the tunnel stands, but no packet may go in or come out.");
	diagnosis_shows(d, MARK_BAD, "wireguard", 0,
			"no prefix is allowed; %" PRIu64 " packets of it were refused", refused);
	diagnosis_helps(d, 0, "Give it AllowedIPs, and reload.");
	diagnosis_command(d, NULL, "reload");
	return true;
}

static bool check_route_missing(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (!*f->route_missing || !diagnosis_tunnel_works(f, now))
		return false;
	/* Whoever sets Table = off routes as he likes: the tunnel itself is well. */
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_holds(d, f->counters[WG_COUNT_data_sent] ? DIAGNOSIS_POSSIBLE : DIAGNOSIS_LIKELY, SIDE_HERE,
			0);
	diagnosis_says(d, "This host does not route %s into the tunnel, though it is in its AllowedIPs.",
		       f->route_missing);
	diagnosis_shows(d, MARK_BAD, "routes", 0, "%s: the route leads elsewhere, or there is none",
			f->route_missing);
	diagnosis_helps(
		d, 0, "Add the route, or leave Table at auto. See what wins: ip route get an address in it.");
	return true;
}

/* ---- what was asked for ---- */

static bool check_held(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (!f->controlled || !f->look.ladder_held || !in_trouble(f, now))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->word_since);
	diagnosis_says(d, "Its recovery is on hold, as somebody asked: nothing but handshakes is tried until "
			  "that is taken back.");
	diagnosis_shows(d, MARK_BAD, "paths", 0, "ladder held; next step would be: %s",
			f->look.next_rung != PEER_RUNG_NONE ? peer_rung_text(f->look.next_rung) : "none");
	diagnosis_helps(d, 0, "Let it go on (x, then w), or take the next step (x, then n).");
	diagnosis_command(d, f, "ladder resume");
	return true;
}

static bool check_parked(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	bool relayed = f->word.path_kind == PATH_KIND_RELAY || f->word.path_kind == PATH_KIND_TURN;
	char wait[DIAGNOSIS_AGE];

	if (!relayed || f->word.relay_asked || f->word.ice_off || !diagnosis_parked(f))
		return false;
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_UNKNOWN, f->word.ice_failed_at);
	if (f->word.direct_retry_at > now)
		diagnosis_says(d, "It works over a relay, and the next try for a direct path is %s ahead.",
			       diagnosis_age(wait, f->word.direct_retry_at - now));
	else
		diagnosis_says(d, "It works over a relay; a direct path is tried now, as seldom as it failed "
				  "before.");
	diagnosis_shows(d, MARK_NOTE, "ice", f->word.ice_failed_at,
			"the last try failed; tries become rarer each time");
	diagnosis_helps(d, 'p', "A probe tries now.");
	diagnosis_command(d, f, "probe");
	return true;
}

const struct diagnosis_rule rules_local[] = {
	{"device-down", "interface is down",
	 "The interface is not set up, so no peer is reached. Set it up with ip link.", "*", check_down},
	{"no-private-key", "no private key here",
	 "The interface has no private key. Nothing can be sent, and nothing that comes in can be read.", "*",
	 check_no_private_key},
	{"link-lost", "this host has no network",
	 "No interface but the tunnel's own is up with an address of more than this host. All peers are out "
	 "of reach until "
	 "there is a network again; they are called by themselves then.",
	 "*", check_link_lost},
	{"peer-away", "peer said goodbye",
	 "The other weir said that it goes down, so that nobody has to guess. It calls by itself when it is "
	 "back.",
	 "*", check_away},
	{"send-refused", "this host's kernel refuses to send",
	 "Datagrams to the peer do not leave this host: the kernel refuses them, for want of a route, by a "
	 "firewall, or because "
	 "an address is gone. The verdict has the kernel's word.",
	 "nothing-gets-out all-at-once all-silent relay-unreachable " SILENT_ALL, check_send_refused},
	{"nothing-gets-out", "nothing gets out of this network or in",
	 "Paths to peers, every relay and the STUN servers fell silent together, though this host has an "
	 "address and its "
	 "kernel sends. What they have in common is this end: the router, the line behind it, or a firewall "
	 "that drops all.",
	 "all-at-once all-silent name-unresolved path-died path-flaps udp-blocked wireguard-filtered "
	 "nat-mapping-lost hairpin "
	 "turn-unreachable turn-refused candidates-lost symmetric-nats no-direct-path retry-parked "
	 "relay-unreachable "
	 "relay-stale relay-cut relay-name relay-peer-absent no-common-relay mtu-black-hole "
	 "peer-lacks-our-key " SILENT_ALL,
	 check_nothing_out},
	{"name-unresolved", "endpoint's name does not resolve",
	 "The host name of the endpoint has no answer from DNS. It is asked for again and again; until then "
	 "there is nowhere to "
	 "send to, or only an address of before.",
	 SILENT_ALL, check_name},
	{"no-endpoint", "nobody knows where the peer is",
	 "Packets wait for a peer that has no endpoint, has not called, and can be met at no relay.",
	 SILENT_ALL, check_no_endpoint},
	{"recovery-held", "recovery is on hold",
	 "Somebody asked for the ladder of recovery to wait, and the tunnel is in trouble. Only handshakes "
	 "are tried until the "
	 "hold is taken back.",
	 SILENT_ALL " retry-parked", check_held},
	{"our-clock-back", "our clock is behind our own time stamps",
	 "A peer accepts an initiation only if its time is later than that of the one before. Our clock went "
	 "back further than "
	 "what we remember of our own stamps, so the peer takes each initiation for a replay.",
	 SILENT_ALL " all-at-once peer-lacks-our-key wireguard-filtered", check_our_clock},
	{"suspended", "this host slept",
	 "This host was suspended, and tunnels have not come back yet: keys and NAT mappings ran out "
	 "meanwhile.",
	 SILENT_ALL " nothing-gets-out all-at-once all-silent", check_suspended},
	{"all-at-once", "all peers fell silent in one moment",
	 "All tunnels fell silent at the same time, as far as keepalives can tell. Peers do not fail "
	 "together: this host, its network or its "
	 "clock did.",
	 SILENT_ALL, check_all_at_once},
	{"all-silent", "nothing comes in at all",
	 "Several peers are called, none answers, and no datagram of anybody comes in. UDP is blocked on "
	 "this network, or this "
	 "host's firewall drops it.",
	 SILENT_ALL, check_all_silent},
	{"prefix-stolen", "two peers list the same prefix",
	 "An inner prefix can belong to one peer alone. Another peer that lists the same one has taken it.",
	 "allowed-ip-in", check_stolen},
	{"no-allowed-ips", "peer has no AllowedIPs",
	 "Without AllowedIPs nothing is sent to the peer, and all that it sends is refused after it was "
	 "opened.",
	 "allowed-ip-in", check_no_allowed_ips},
	{"route-missing", "prefix is not routed into the tunnel",
	 "A prefix of the peer's AllowedIPs is routed elsewhere by this host, so its packets never come to "
	 "the tunnel.",
	 NULL, check_route_missing},
	{"retry-parked", "next direct try is far ahead",
	 "The tunnel works over a relay. Tries for a direct path become rarer as they fail; the next is more "
	 "than a minute "
	 "ahead. A probe tries at once.",
	 NULL, check_parked},
	{0},
};
