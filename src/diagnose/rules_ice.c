/*
 * Rules about sessions, candidates and NATs: why no direct path is found. Where the tunnel works over a relay
 * they are notes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/rules_net.h"

#define GIVEN	   (3 * NS_PER_SEC) /* for what is under way: candidates are told within a second */
#define STORM	   3		    /* sessions of one end within a minute (F13) */
#define PAIR_HEARD (10 * NS_PER_SEC)
#define REJECTED   3

/* No direct path, though one is wanted; and not in the first moments of a session. */
static bool not_direct(const struct diagnosis_facts *f, uint64_t now)
{
	if (!net_wants_direct(f) || net_direct(f))
		return false;
	return net_relayed(f) || net_in_trouble(f, now);
}

static bool ice_has_failed(const struct diagnosis_facts *f)
{
	return f->ice_failed || f->word.ice_failed_at;
}

static const char *hex(char out[24], const uint8_t *session)
{
	static const uint8_t none[SIGNAL_SESSION_LEN];

	if (!memcmp(session, none, SIGNAL_SESSION_LEN))
		return strcpy(out, "none");
	for (unsigned i = 0; i < 4; i++)
		snprintf(out + 2 * i, 3, "%02x", session[i]);
	return out;
}

static void show_pairs(const struct diagnosis_facts *f, struct diagnosis *d)
{
	if (f->pairs)
		diagnosis_shows(d, f->pairs_succeeded ? MARK_NOTE : MARK_BAD, "ice", f->ice_since,
				"%u of %u pairs of candidates failed, %u succeeded", f->pairs_failed,
				f->pairs, f->pairs_succeeded);
	else if (f->word.ice_failed_at)
		diagnosis_shows(d, MARK_BAD, "ice", f->word.ice_failed_at,
				"the last try ended without a pair");
}

/* ---- NATs ---- */

static const char *nat_is(enum diagnosis_nat n)
{
	switch (n) {
	case NAT_MAPPING_VARIES:
		return "another port for each destination (symmetric)";
	case NAT_SAME_MAPPING:
		return "one port for all destinations";
	case NAT_SAME_FOR_PORTS:
		return "one port for two ports of a server (no second address told more)";
	case NAT_OPEN:
		return "no NAT";
	case NAT_BLOCKED:
		return "no UDP";
	case NAT_UNKNOWN:
		break;
	}
	return "not known";
}

static bool keeps_port(enum diagnosis_nat n)
{
	return n == NAT_SAME_MAPPING || n == NAT_SAME_FOR_PORTS;
}

/* There is no direct path to it: a NAT that takes one port for all must be one that filters by port, then. */
static const char *why_not(enum diagnosis_nat n)
{
	return n == NAT_SAME_MAPPING ? "lets only known ports in"
				     : "lets only known ports in, or takes another for each address";
}

static bool check_symmetric(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	enum diagnosis_nat here = f->device->nat, there = f->remote_nat;
	bool both = here == NAT_MAPPING_VARIES && there == NAT_MAPPING_VARIES;
	bool one = (here == NAT_MAPPING_VARIES && keeps_port(there)) ||
		   (there == NAT_MAPPING_VARIES && keeps_port(here));
	char next[48];

	if (!not_direct(f, now) || !ice_has_failed(f) || (!both && !one))
		return false;
	diagnosis_holds(d, both ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_BETWEEN, f->word.ice_failed_at);
	net_severity(d, f, now);
	if (both)
		diagnosis_says(d,
			       "Both ends are behind NATs that take another port for each destination: no "
			       "direct path "
			       "can be found.%s",
			       net_next_try(next, f, now));
	else
		diagnosis_says(d,
			       "The NAT %s takes another port for each destination, and the one %s %s: no "
			       "direct path.%s",
			       here == NAT_MAPPING_VARIES ? "here" : "there",
			       here == NAT_MAPPING_VARIES ? "there" : "here",
			       why_not(here == NAT_MAPPING_VARIES ? there : here), net_next_try(next, f, now));
	diagnosis_shows(d, here == NAT_MAPPING_VARIES ? MARK_BAD : MARK_NOTE, "ice",
			f->device->stun_answered_at, "here: %s, as %s see it", nat_is(here),
			f->device->stun_two_addresses ? "two STUN servers" : "two ports of a STUN server");
	diagnosis_shows(d, there == NAT_MAPPING_VARIES ? MARK_BAD : MARK_NOTE, "ice", f->report_at,
			"there: %s, as it says itself", nat_is(there));
	show_pairs(f, d);
	diagnosis_helps(
		d, 0,
		"Forward a UDP port to one end and give the other its Endpoint, or use IPv6, UPnP or TURN.");
	return true;
}

/* The plain truth for a peer that is relayed, when nothing better is known. */
static bool check_no_direct(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ago[DIAGNOSIS_AGE], next[48];

	if (!net_relayed(f) || !not_direct(f, now) || !ice_has_failed(f) || diagnosis_parked(f))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_BETWEEN, f->word.ice_failed_at);
	d->severity = DIAGNOSIS_NOTE;
	if (f->look.remote_no_ice)
		diagnosis_says(d, "It is relayed because the peer does no ICE with us (Mode = relay-only, or "
				  "ICE is off).");
	else
		diagnosis_says(d, "It is relayed because no direct path was found: the last try failed %s.%s",
			       diagnosis_ago(ago, f->word.ice_failed_at, now), net_next_try(next, f, now));
	show_pairs(f, d);
	diagnosis_shows(d, MARK_NOTE, "ice", f->device->nat_at, "NAT here: %s; there: %s",
			nat_is(f->device->nat), nat_is(f->remote_nat));
	diagnosis_helps(d, 'p',
			"A probe tries for a direct path now. Firewalls at both ends must let UDP out.");
	diagnosis_command(d, f, "probe");
	return true;
}

/* ---- candidates ---- */

static bool check_no_candidates(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	bool none = !f->device->local_addresses;

	if (!not_direct(f, now) || (!none && !(f->ice_gathered && !f->local_candidates)))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->ice_since);
	net_severity(d, f, now);
	diagnosis_says(d, "This host has no address to offer for a direct path%s.",
		       none ? ": no interface is up with one, but for tunnels"
			    : ": gathering candidates found none");
	diagnosis_shows(d, MARK_BAD, "ice", f->ice_since,
			"%u addresses of this host are worth a candidate, %u were gathered",
			f->device->local_addresses, f->local_candidates);
	diagnosis_helps(d, 0,
			"Look at ip -br addr: addresses of tunnels and of links that are down do not count.");
	return true;
}

static bool check_candidates_lost(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t since = f->look.remote_session_since;

	if (!not_direct(f, now) || !(f->ice_running || f->ice_failed) || !f->local_candidates ||
	    f->remote_candidates || !since || now < since + GIVEN || since < f->ice_since ||
	    !(f->look.answers_received || f->look.offers_received))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, f->look.candidates_astray ? SIDE_BETWEEN : SIDE_THERE, since);
	net_severity(d, f, now);
	diagnosis_says(
		d,
		"The peer agreed to a session and none of its candidates came: there is nothing to check.");
	diagnosis_shows(d, MARK_GOOD, "signalling", since, "offers received: %u, answers received: %u",
			f->look.offers_received, f->look.answers_received);
	diagnosis_shows(d, MARK_BAD, "ice", since, "0 candidates of the peer, %u of ours",
			f->local_candidates);
	if (f->look.candidates_astray)
		diagnosis_shows(d, MARK_BAD, "signalling", 0,
				"%u messages with candidates were of another session",
				f->look.candidates_astray);
	diagnosis_helps(d, 'S',
			"A new session sends them all once more. See there if it has an address to offer.");
	diagnosis_command(d, f, "rotate");
	return true;
}

static bool check_turn_refused(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	if (!v->turn_servers || !v->turn_answers || !f->ice_gathered || f->local_turn || !not_direct(f, now))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, f->ice_since);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "The TURN server %s is there and gives us no address: it refuses user or password, or "
		       "has none left.",
		       v->turn_server);
	diagnosis_shows(d, MARK_GOOD, "ice", v->stun_answered_at, "it answers STUN");
	diagnosis_shows(d, MARK_BAD, "ice", f->ice_since, "candidates are gathered, and none is of TURN");
	diagnosis_helps(d, 0,
			"Compare Turn in [Ice] with the server's users and realm; its log names the reason.");
	return true;
}

static bool check_turn_unreachable(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	if (!v->turn_servers || v->turn_answers || !f->ice_gathered || f->local_turn || !not_direct(f, now) ||
	    !v->stun_asked_at || now < v->stun_asked_at + GIVEN)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_UNKNOWN, v->stun_asked_at);
	net_severity(d, f, now);
	diagnosis_says(d, "The TURN server %s does not answer.",
		       v->turn_server[0] ? v->turn_server : "(no address)");
	diagnosis_shows(d, MARK_BAD, "ice", v->stun_asked_at,
			"no answer to STUN from it, and no candidate of TURN");
	if (v->stun_answered_at)
		diagnosis_shows(d, MARK_GOOD, "ice", v->stun_answered_at,
				"other STUN servers answer: UDP passes");
	diagnosis_helps(
		d, 0,
		"Is the address in Turn of [Ice] right, does the server run, does a firewall let UDP to it?");
	return true;
}

/* ---- sessions ---- */

static bool check_disagree(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ours[24], theirs[24];

	if (!not_direct(f, now) || f->look.answers_astray < 2 ||
	    !diagnosis_lately(f->look.astray_at, now, A_MINUTE))
		return false;
	hex(ours, f->look.local_session);
	hex(theirs, f->look.astray_session);
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->look.astray_at);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "The peer answers to a session that is not ours (%s; ours is %s): its answers are "
		       "old, or meant for "
		       "another host with our key.",
		       theirs, ours);
	diagnosis_shows(d, MARK_BAD, "signalling", f->look.astray_at,
			"%u answers were to sessions that we do not have", f->look.answers_astray);
	diagnosis_shows(d, MARK_NOTE, "signalling", f->look.local_session_since, "our session is %s: %s",
			ours, signal_reason_text(f->look.session_reason));
	diagnosis_shows(d, MARK_NOTE, "signalling", f->look.remote_session_since, "the peer's is %s",
			hex(theirs, f->look.remote_session));
	diagnosis_helps(d, 'S', "A new session sets both right. Is this host's key on another host, too?");
	diagnosis_command(d, f, "rotate");
	return true;
}

static bool check_storm(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	unsigned ours = f->recent.rotations, theirs = f->recent.remote_sessions;

	/* Where nothing answers, new sessions are what recovery tries, and no cause. */
	if (!net_wants_direct(f) || !net_relayed(f) || (ours <= STORM && theirs <= STORM) || !f->recent.since)
		return false;
	/* Some did come to an end, and their pairs answer: what breaks them is something else. */
	for (unsigned i = 0; i < f->path_count; i++) {
		const struct peer_path_view *v = &f->paths[i].view;

		if ((v->ref.kind == PATH_KIND_ICE || v->ref.kind == PATH_KIND_TURN) &&
		    diagnosis_lately(v->last_proof, now, PAIR_HEARD))
			return false;
	}
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_UNKNOWN, f->recent.since);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "Sessions follow each other too fast for any to come to an end: %u of ours and %u of "
		       "the peer's within "
		       "%" PRIu64 " s.",
		       ours, theirs, (uint64_t)((now - f->recent.since) / NS_PER_SEC));
	diagnosis_shows(d, MARK_BAD, "signalling", f->look.local_session_since, "our newest session: %s",
			signal_reason_text(f->look.session_reason));
	diagnosis_shows(d, MARK_NOTE, "signalling", f->look.remote_session_since,
			"offers: %u sent, %u received; answers: %u sent, "
			"%u received",
			f->look.offers_sent, f->look.offers_received, f->look.answers_sent,
			f->look.answers_received);
	diagnosis_helps(
		d, 'f',
		"Keep to the relay until it is quiet: then see what makes the sessions of one end break.");
	diagnosis_command(d, f, "path relay");
	return true;
}

/* ---- frames ---- */

static bool check_forged(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t n = f->frames_rejected[SIGNAL_FORGED] + f->frames_rejected[SIGNAL_MALFORMED];

	if (n < REJECTED || n <= f->frames_received / 10)
		return false;
	diagnosis_holds(d, f->frames_received ? DIAGNOSIS_POSSIBLE : DIAGNOSIS_LIKELY, SIDE_BETWEEN,
			f->word_since);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "%" PRIu64 " control frames of the peer would not open: they were changed on the way, "
		       "or somebody forges "
		       "them.",
		       n);
	diagnosis_shows(d, MARK_BAD, "signalling", 0, "%" PRIu64 " forged or cut, %" PRIu64 " good", n,
			f->frames_received);
	diagnosis_helps(d, 0,
			"Each end must have the other's PublicKey. If both are right, find who sends them: "
			"weir capture.");
	return true;
}

static bool check_old_boot(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t n = f->frames_rejected[SIGNAL_OLD_BOOT];

	if (n < REJECTED || net_direct(f) || (!net_relayed(f) && !net_in_trouble(f, now)))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->word_since);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "%" PRIu64 " control frames come from a start of the peer that is over by its own "
		       "clock: two hosts have its "
		       "key, or its clock went back between two starts.",
		       n);
	diagnosis_shows(d, MARK_BAD, "signalling", 0,
			"%" PRIu64 " frames of an old start, %" PRIu64 " good ones", n, f->frames_received);
	diagnosis_helps(d, 0, "Look for a second host with that key, then at the clock there.");
	return true;
}

static bool check_version(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t n = f->frames_rejected[SIGNAL_VERSION];

	if (!n || f->look.remote_is_weir || net_direct(f))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_UNKNOWN, f->word_since);
	net_severity(d, f, now);
	diagnosis_says(d, "The peer speaks another version of weir's protocol: its control frames are not "
			  "understood here.");
	diagnosis_shows(d, MARK_BAD, "signalling", 0, "%" PRIu64 " frames of a version that is not known", n);
	diagnosis_helps(
		d, 0,
		"Bring both ends to versions that go together. Until then they are plain WireGuard peers.");
	return true;
}

static bool check_relay_only_plain(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	if (f->mode != PEER_RELAY_ONLY || f->look.remote_is_weir || f->frames_received ||
	    !(f->word.initiations_unanswered >= REJECTED || net_in_trouble(f, now)) ||
	    !f->device->relay_configured || net_announced(f))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, f->word_since);
	diagnosis_says(d, "Mode = relay-only is set for a peer that has never been at a relay: a plain "
			  "WireGuard peer, or an older "
			  "weir, cannot be reached so.");
	diagnosis_shows(d, MARK_BAD, "signalling", 0, "no control frame of it has ever come");
	diagnosis_shows(d, MARK_BAD, "relay", 0, "no relay has ever announced it");
	if (f->endpoint.sa.sa_family != AF_UNSPEC) {
		char at[ADDRESS_TEXT];

		diagnosis_shows(d, MARK_NOTE, "paths", 0, "its endpoint %s is known, and may not be used",
				address_format(at, &f->endpoint));
	}
	diagnosis_helps(d, 0, "Set Mode = auto for it, or give it a weir with a [Relay] of the same server.");
	return true;
}

const struct diagnosis_rule rules_ice[] = {
	{"relay-only-plain", "relay-only for a peer without relay",
	 "The configuration allows only the relay for the peer, and the peer is at no relay and speaks no "
	 "frames: it is plain "
	 "WireGuard or an old version.",
	 NO_WAY " relay-peer-absent", check_relay_only_plain},
	{"symmetric-nats", "the NATs of both ends change ports",
	 "A NAT that takes another port for each destination cannot be met at a port that is known before. "
	 "With one such NAT at "
	 "each end, or one against a NAT that filters by port, there is no direct path. Each end finds its "
	 "own kind by asking a "
	 "STUN server at two ports or addresses, and tells the other.",
	 NOT_DIRECT, check_symmetric},
	{"no-local-candidates", "no local address to offer",
	 "ICE found no address of this host that the peer could try: links are down, or only tunnels have "
	 "addresses.",
	 "candidates-lost turn-refused turn-unreachable symmetric-nats " NOT_DIRECT, check_no_candidates},
	{"candidates-lost", "the peer's candidates did not come",
	 "The peer has answered our offer, and none of its candidates arrived, or they were of another "
	 "session. Without them "
	 "there is nothing to check.",
	 NOT_DIRECT, check_candidates_lost},
	{"turn-refused", "the TURN server refuses us",
	 "The TURN server of [Ice] answers STUN requests, but gathering got no address from it: mostly user "
	 "or password are "
	 "wrong.",
	 NOT_DIRECT, check_turn_refused},
	{"turn-unreachable", "the TURN server does not answer",
	 "Nothing comes from the TURN server of [Ice], not even an answer to STUN.", NOT_DIRECT,
	 check_turn_unreachable},
	{"sessions-disagree", "the ends mean different sessions",
	 "Answers of the peer name a session that is not ours. They are old, or meant for another host that "
	 "uses our key. The "
	 "verdict shows both ids.",
	 "session-storm candidates-lost " NOT_DIRECT, check_disagree},
	{"session-storm", "sessions chase each other",
	 "One end begins new ICE sessions faster than they can be negotiated, more than three within a "
	 "minute. Each ends the one "
	 "before.",
	 NOT_DIRECT, check_storm},
	{"frames-of-old-start", "control frames of a start that is over",
	 "Each start of weir signs its frames with its time. Frames of an earlier one are refused: another "
	 "host has the same key, "
	 "or the clock there went back between two starts.",
	 "sessions-disagree forged-frames", check_old_boot},
	{"frames-of-other-version", "another version of the protocol",
	 "The peer's control frames are of a version that this weir does not know.", NULL, check_version},
	{"forged-frames", "control frames do not open",
	 "Frames that name this pair of keys do not open under them: they were damaged on the way, or "
	 "forged.",
	 NULL, check_forged},
	{"no-direct-path", "relayed, and no direct path found",
	 "The tunnel works over a relay, and the last try for a direct path failed. It is tried again at "
	 "growing distances, for "
	 "ever. This is a note.",
	 NULL, check_no_direct},
	{0},
};
