/*
 * Rules about sessions that stand, or stood: time stamps and replays, load, restarts, a key on two hosts, and
 * what comes out of the tunnel and is refused.
 */
#include <inttypes.h>

#include "diagnose/rules_internal.h"

#define SOME 5

/* ---- time stamps, load ---- */

#define RESTARTING    (10 * NS_PER_SEC)
#define REPLAY_WITHIN (180 * NS_PER_SEC) /* a copy is as old as the last handshake, not older */

/* A tunnel that stands nevertheless was begun by us, or is about to end. */
static bool check_their_clock(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t n = diagnosis_since(f, WG_COUNT_reject_replayed_timestamp);
	bool works = diagnosis_tunnel_works(f, now);
	char by[DIAGNOSIS_AGE];

	if (f->recent.since && f->recent.counters[WG_COUNT_reject_replayed_timestamp] > n)
		n = f->recent.counters[WG_COUNT_reject_replayed_timestamp];
	if (n < 2 || f->last_timestamp_delta < NS_PER_SEC ||
	    !diagnosis_recent(f, WG_COUNT_reject_replayed_timestamp))
		return false;
	if (works && (f->last_timestamp_delta < REPLAY_WITHIN ||
		      diagnosis_lately(f->last_initiation_received, now, DIAGNOSIS_HEARD)))
		return false;
	d->severity = works ? DIAGNOSIS_NOTE : DIAGNOSIS_TROUBLE;
	diagnosis_holds(d, works ? DIAGNOSIS_LIKELY : DIAGNOSIS_CERTAIN, SIDE_THERE, f->word_since);
	diagnosis_says(d,
		       "Its clock went back by %s: %" PRIu64
		       " of its initiations are older than one that we accepted%s.",
		       diagnosis_age(by, f->last_timestamp_delta), n,
		       works ? "; the tunnel lives by ours alone" : "");
	diagnosis_shows(d, MARK_BAD, "clock", 0, "its last initiation is %s behind the newest that we know",
			by);
	diagnosis_shows(d, MARK_NOTE, "wireguard", 0, "%" PRIu64 " initiations rejected for their time stamp",
			n);
	diagnosis_helps(
		d, 'h',
		"Set the clock there. A handshake from here (x, then h) brings the tunnel back meanwhile.");
	diagnosis_command(d, f, "handshake");
	return true;
}

/* A clock that went back breaks the tunnel. Where it stands, old initiations are copies. */
static bool check_replayed(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t stamps = diagnosis_recent(f, WG_COUNT_reject_replayed_timestamp),
		 data = diagnosis_recent(f, WG_COUNT_reject_replayed_counter);

	/* One old initiation beside handshakes that are done is one that was late. */
	bool copies = stamps >= 2 && f->recent.counters[WG_COUNT_handshake_done] <= stamps;

	if (!diagnosis_tunnel_works(f, now) || !f->recent.since || (!copies && data < 20))
		return false;
	/* Two hosts with one key are behind each other, too: then the endpoint moves. */
	if (f->recent.endpoint_changes > 2)
		return false;
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_BETWEEN, f->recent.since);
	diagnosis_says(d,
		       "Copies of its packets come in: %" PRIu64 " old initiations and %" PRIu64
		       " data packets seen before, all refused. The tunnel is not harmed.",
		       stamps, data);
	diagnosis_shows(d, MARK_NOTE, "wireguard", 0,
			"in the last minute: %" PRIu64 " initiations with an old stamp, %" PRIu64
			" counters seen before",
			stamps, data);
	diagnosis_shows(d, MARK_GOOD, "wireguard", f->word.last_received,
			"the tunnel stands: its clock is right");
	diagnosis_helps(d, 'T', "Somebody on the way repeats packets: a capture shows from where they come.");
	return true;
}

static bool check_load_there(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t cookies = diagnosis_since(f, WG_COUNT_cookie_received);

	if (!cookies || diagnosis_tries(f) < 2 || diagnosis_tunnel_works(f, now) ||
	    diagnosis_since(f, WG_COUNT_reject_response) || !diagnosis_recent(f, WG_COUNT_cookie_received))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_THERE, f->word_since);
	diagnosis_says(d,
		       "It is under load: it answers our %" PRIu64 " initiations with cookies (%" PRIu64
		       ") and no response.",
		       diagnosis_tries(f), cookies);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0,
			"%" PRIu64 " cookie replies received, which it sends only under load", cookies);
	diagnosis_shows(d, MARK_GOOD, "paths", 0, "the path works in both directions: cookies come back");
	diagnosis_helps(d, 0,
			"Look there for a flood of handshakes (its dashboard says from where), or a host too "
			"slow for its peers.");
	return true;
}

static bool check_load_here(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	uint64_t unread = v->window[WG_COUNT_reject_queue_full];
	uint64_t refused = v->window[WG_COUNT_reject_mac2] + v->window[WG_COUNT_reject_rate] + unread;

	if (!v->window_since || refused < 50 || diagnosis_tunnel_works(f, now) || f->state.word == WORD_IDLE)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_HERE, v->window_since);
	diagnosis_says(d,
		       "This host is flooded with handshake messages: %" PRIu64
		       " were turned away with cookies or for their rate, or "
		       "dropped unread, in the last minute.",
		       refused);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0,
			"%" PRIu64 " cookies sent, %" PRIu64 " messages over the rate of their source",
			v->window[WG_COUNT_cookie_sent], v->window[WG_COUNT_reject_rate]);
	if (unread)
		diagnosis_shows(d, MARK_BAD, "wireguard", 0, "%" PRIu64 " dropped unread: too many waited",
				unread);
	diagnosis_helps(d, 0, "Drop the flood's source in the firewall: the log names it.");
	return true;
}

static bool check_flood(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t n = f->recent.since ? f->recent.counters[WG_COUNT_reject_flood] : 0;

	(void)now;
	if (n < SOME)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_THERE, f->recent.since);
	diagnosis_says(d,
		       "It begins handshakes faster than 50 in a second: %" PRIu64
		       " were refused in the last minute.",
		       n);
	diagnosis_shows(d, MARK_BAD, "wireguard", f->last_initiation_received,
			"%" PRIu64 " initiations less than 20 ms after another", n);
	diagnosis_helps(d, 0,
			"Nobody should call so often: look there for a program in a loop, or a second host "
			"with its key.");
	return true;
}

/* ---- restarts ---- */

static bool check_peer_restarted(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ago[DIAGNOSIS_AGE];

	if (!diagnosis_lately(f->remote_restarted_at, now, DIAGNOSIS_LATELY))
		return false;
	/* Nothing came of it: who restarted makes a session at once. It was a guess, and something else is
	 * wrong. */
	if (f->word.last_handshake < f->remote_restarted_at && now > f->remote_restarted_at + RESTARTING)
		return false;
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->remote_restarted_at);
	diagnosis_says(d, "It restarted %s: it had lost the keys of the session and %s.",
		       diagnosis_ago(ago, f->remote_restarted_at, now),
		       f->word.last_handshake >= f->remote_restarted_at ? "a new one stands"
									: "is making a new one");
	diagnosis_shows(d, MARK_NOTE, "wireguard", f->remote_restarted_at, "%s",
			f->look.remote_is_weir
				? "its frames are of a new start"
				: "it began a handshake though the key was good, after a silence");
	diagnosis_helps(d, 0, "Nothing to do here. If it happens again and again, look why it ends there.");
	return true;
}

static bool check_we_restarted(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ago[DIAGNOSIS_AGE];

	if (!diagnosis_lately(f->we_restarted_at, now, DIAGNOSIS_LATELY))
		return false;
	d->severity = DIAGNOSIS_NOTE;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->we_restarted_at);
	diagnosis_says(d,
		       "This engine restarted and lost the session's keys, which the peer went on using; %s.",
		       f->word.last_handshake >= f->we_restarted_at ? "a handshake made new ones at once"
								    : "a handshake is under way");
	diagnosis_shows(d, MARK_NOTE, "wireguard", f->we_restarted_at,
			"data under a key that we lost; we began a handshake at once");
	diagnosis_shows(d, MARK_NOTE, "wireguard", f->device->started, "this engine started %s",
			diagnosis_ago(ago, f->device->started, now));
	diagnosis_helps(d, 0, "Nothing to do. weir down ends an engine so that its peers know.");
	return true;
}

static bool check_duplicate(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t handshakes = diagnosis_recent(f, WG_COUNT_handshake_done);
	unsigned changes = f->recent.endpoint_changes;

	(void)now;
	/* Both sessions of two hosts fit into the slots for keys: the address alone may tell. */
	if (!f->recent.since || changes < 4 || (changes < 8 && handshakes < 3))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->recent.since);
	diagnosis_says(d,
		       "Two hosts seem to have its private key: its address changed %u times in a minute, "
		       "with %" PRIu64 " handshakes.",
		       f->recent.endpoint_changes, handshakes);
	diagnosis_shows(d, MARK_BAD, "paths", 0,
			"%u changes of its endpoint, each learned from packets that its key opened",
			f->recent.endpoint_changes);
	diagnosis_shows(d, MARK_BAD, "wireguard", f->word.last_handshake,
			"%" PRIu64 " handshakes, where one in two minutes is usual", handshakes);
	diagnosis_helps(d, 0,
			"Find the copy of its configuration (a cloned machine, a restored image), and give "
			"it a key of its own.");
	return true;
}

/* ---- inside the tunnel ---- */

static bool check_allowed_in(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	/* A handshake is no fresh start for what is inside the tunnel. */
	bool samples = diagnosis_recent(f, WG_COUNT_reject_inner_source) >
		       diagnosis_since(f, WG_COUNT_reject_inner_source);
	uint64_t refused = samples ? diagnosis_recent(f, WG_COUNT_reject_inner_source)
				   : diagnosis_since(f, WG_COUNT_reject_inner_source);
	uint64_t all = samples ? diagnosis_recent(f, WG_COUNT_data_received)
			       : diagnosis_since(f, WG_COUNT_data_received);

	(void)now;
	/* Stray packets of another address, router solicitations for one, are usual. */
	if (refused < SOME || refused <= all / 2)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_HERE, f->last_inner_rejected);
	if (*f->inner_rejected_source && *f->inner_rejected_owner)
		diagnosis_says(
			d,
			"What it sends from %s is refused here: that address is %s's by AllowedIPs (%" PRIu64
			" packets).",
			f->inner_rejected_source, f->inner_rejected_owner, refused);
	else if (*f->inner_rejected_source)
		diagnosis_says(
			d,
			"What it sends from %s is refused here: no AllowedIPs has that address (%" PRIu64
			" packets).",
			f->inner_rejected_source, refused);
	else
		diagnosis_says(d,
			       "%" PRIu64
			       " of its packets are refused here: their source is not in its AllowedIPs.",
			       refused);
	diagnosis_shows(d, MARK_BAD, "wireguard", f->last_inner_rejected,
			"%" PRIu64 " of %" PRIu64
			" data packets opened well and had a source that is not its own here",
			refused, all);
	diagnosis_shows(d, MARK_GOOD, "wireguard", f->word.last_handshake, "the tunnel itself stands");
	diagnosis_helps(d, 0,
			"Put that source into its AllowedIPs here, or give it the right Address there.");
	return true;
}

static bool check_allowed_out(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t refused = f->report.rejected_source, all = f->report.data_received;

	if (!diagnosis_report_is_new(f, now) || !f->report_before_at)
		return false;
	if (refused < f->report_before.rejected_source || all < f->report_before.data_received)
		return false;
	refused -= f->report_before.rejected_source;
	all -= f->report_before.data_received;
	if (refused < SOME || refused <= all / 2)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_THERE, f->report_before_at);
	diagnosis_says(d,
		       "It refuses what we send: %" PRIu64 " of %" PRIu64
		       " packets had a source that its AllowedIPs for us do not have.",
		       refused, all);
	diagnosis_shows(d, MARK_BAD, "signalling", f->report_at,
			"it rejected %" PRIu64 " packets for their inner source since its report before",
			refused);
	diagnosis_shows(d, MARK_GOOD, "wireguard", f->word.last_handshake,
			"the tunnel itself stands, and our packets arrive");
	diagnosis_helps(
		d, 0, "Put our address into AllowedIPs there, or use one here that is in them: ip -br addr.");
	return true;
}

static bool check_corrupted(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t bad = f->recent.since ? f->recent.counters[WG_COUNT_reject_undecryptable_data] : 0;

	(void)now;
	if (bad < 2 * SOME)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_BETWEEN, f->recent.since);
	diagnosis_says(d,
		       "%" PRIu64 " of its data packets would not open in the last minute: something on the "
		       "way changes them, or "
		       "somebody forges.",
		       bad);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0,
			"%" PRIu64 " packets under a good key failed their authentication, %" PRIu64
			" opened",
			bad, f->recent.counters[WG_COUNT_data_received]);
	diagnosis_helps(d, 'f',
			"Try the relay: if they open there, a device on the direct path is to blame.");
	diagnosis_command(d, f, "path relay");
	return true;
}

const struct diagnosis_rule rules_session[] = {
	{"peer-clock-back", "its clock went back",
	 "Each initiation must have a later time stamp than the one before. Those of the peer are older than "
	 "one that was "
	 "accepted: its clock was set back, or it booted without one.",
	 DIAGNOSIS_UNANSWERED " outbound-blocked replayed", check_their_clock},
	{"load-there", "the peer is under load",
	 "The peer answers initiations with cookies and no response: it is flooded, or limits our rate.",
	 DIAGNOSIS_UNANSWERED, check_load_there},
	{"load-here", "this host is flooded",
	 "So many handshake messages come in that cookies are asked for, and handshakes of real peers take "
	 "longer or fail.",
	 DIAGNOSIS_UNANSWERED, check_load_here},
	{"duplicate-key", "two hosts with one key",
	 "The peer's address changes again and again, each time with a new handshake: two hosts have the "
	 "same private key and "
	 "take the session from each other.",
	 DIAGNOSIS_UNANSWERED " flood replayed peer-restarted", check_duplicate},
	{"flood", "it begins handshakes too fast",
	 "Initiations of the peer come less than 20 ms after one another, and are refused unread.", NULL,
	 check_flood},
	{"replayed", "old packets come in again",
	 "The tunnel stands, and copies of packets that were accepted before come in. They are refused. "
	 "Somebody on the way "
	 "records and repeats them, or the network doubles packets.",
	 NULL, check_replayed},
	{"we-restarted", "this engine restarted",
	 "The peer went on sending under keys that were lost with our last run; a handshake was begun at "
	 "once. The verdict goes "
	 "away after a minute.",
	 "data-unanswered stopped-answering peer-restarted", check_we_restarted},
	{"peer-restarted", "the peer restarted",
	 "The peer began a new session though the old keys were good, or its frames come from a new start. "
	 "The verdict goes away "
	 "after a minute.",
	 "data-unanswered", check_peer_restarted},
	{"allowed-ip-in", "its packets have a source that is not allowed here",
	 "The peer's packets open well and are dropped then: their inner source is not in its AllowedIPs "
	 "here, or is another "
	 "peer's. The verdict names the source and its owner.",
	 NULL, check_allowed_in},
	{"allowed-ip-out", "it refuses the source of our packets",
	 "The peer opens our packets and drops them: their inner source is not in its AllowedIPs for us. "
	 "Known from its report.",
	 "data-unanswered", check_allowed_out},
	{"corrupted", "its data does not open",
	 "Packets under a good key fail their authentication: a device on the way changes them, or they are "
	 "forged.",
	 NULL, check_corrupted},
	{0},
};
