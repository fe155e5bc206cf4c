/*
 * Rules about WireGuard's own phases: which message was the last that got through, and what the counters at
 * one end or both leave as its cause. What each end can see is the table of the paper's phases: an initiation
 * that fails is judged by the responder, a response that fails by the initiator, and nobody answers a message
 * that he rejects.
 */
#include <inttypes.h>
#include <string.h>

#include "diagnose/rules_internal.h"

#define SOME 5

/* ---- keys ---- */

/* Who began can read in its own rejects that a response would not open; whose responses do not open elsewhere
 * sees initiations again and again. The other end's word makes the second sure. */
static bool check_psk(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t rejected = diagnosis_since(f, WG_COUNT_reject_response),
		 begun = diagnosis_since(f, WG_COUNT_initiation_received);
	bool told = diagnosis_report_is_new(f, now) && f->report_before_at &&
		    f->report.rejected_response > f->report_before.rejected_response;

	if (diagnosis_tunnel_works(f, now) && !diagnosis_recent(f, WG_COUNT_reject_response))
		return false;
	if (rejected >= 2) {
		diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_UNKNOWN, f->word_since);
		diagnosis_says(
			d,
			"The preshared keys differ: it answers our initiations, and no answer opens (%" PRIu64
			").",
			rejected);
		diagnosis_shows(d, MARK_BAD, "wireguard", f->last_response_rejected,
				"%" PRIu64 " responses came to handshakes of ours and would not open",
				rejected);
		diagnosis_shows(d, MARK_GOOD, "wireguard", 0,
				"it reads our initiations: both public keys are right");
	} else if (begun >= DIAGNOSIS_TRIES && !diagnosis_tries(f) &&
		   !diagnosis_since(f, WG_COUNT_data_received) && !diagnosis_tunnel_works(f, now) &&
		   (told || f->has_psk || !f->word.last_handshake)) {
		diagnosis_holds(d, told ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_UNKNOWN, f->word_since);
		diagnosis_says(d,
			       "It begins a handshake again and again (%" PRIu64
			       " times), and takes none of our answers: the "
			       "preshared keys differ.",
			       begun);
		diagnosis_shows(d, MARK_BAD, "wireguard", f->last_initiation_received,
				"%" PRIu64 " initiations of it were valid and answered, no data followed",
				begun);
		if (told)
			diagnosis_shows(d, MARK_BAD, "signalling", f->report_at,
					"it rejected %" PRIu64 " responses of ours",
					f->report.rejected_response);
	} else {
		return false;
	}
	diagnosis_shows(d, MARK_NOTE, "wireguard", 0, "a preshared key is %s here",
			f->has_psk ? "set" : "not set");
	diagnosis_helps(d, 0, "Compare PresharedKey in both configurations; no key of the dashboard helps.");
	return true;
}

/* From its address somebody calls whose key is not configured: either the key here is wrong, or that is
 * another host. */
static bool check_unknown_key(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	char key[KEY_BASE64_LEN + 1], from[ADDRESS_TEXT];
	bool same_port;

	if (!diagnosis_lately(v->unknown_key_at, now, 2 * DIAGNOSIS_LATELY) ||
	    diagnosis_tunnel_works(f, now) ||
	    (f->word.last_handshake && f->word.last_handshake > v->unknown_key_at) ||
	    !address_same_host(&v->unknown_from, &f->endpoint))
		return false;
	same_port = address_equal(&v->unknown_from, &f->endpoint);
	key_to_base64(key, &v->unknown_key);
	address_format(from, &v->unknown_from);
	diagnosis_holds(d, same_port ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_HERE, v->unknown_key_at);
	diagnosis_says(
		d, "Whoever is at its address calls us with a public key that is not configured here: %s.",
		key);
	diagnosis_shows(d, MARK_BAD, "wireguard", v->unknown_key_at, "initiation of %s from %s", key, from);
	if (diagnosis_tries(f))
		diagnosis_show_tries(f, now, d);
	diagnosis_helps(d, 0,
			"If that is the peer, its new key belongs into PublicKey here; if not, the Endpoint "
			"is wrong.");
	return true;
}

static bool check_wrong_key_for_us(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	char from[ADDRESS_TEXT];
	bool same_port;

	if (!diagnosis_lately(v->mac1_at, now, 2 * DIAGNOSIS_LATELY) || diagnosis_tunnel_works(f, now) ||
	    (f->word.last_handshake && f->word.last_handshake > v->mac1_at) ||
	    !address_same_host(&v->mac1_from, &f->endpoint))
		return false;
	same_port = address_equal(&v->mac1_from, &f->endpoint);
	address_format(from, &v->mac1_from);
	diagnosis_holds(d, same_port ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_THERE, v->mac1_at);
	diagnosis_says(d, "It calls us under a public key that is not ours: its configuration has the wrong "
			  "PublicKey for us.");
	diagnosis_shows(d, MARK_BAD, "wireguard", v->mac1_at,
			"handshake messages from %s with a mac1 for another key: %" PRIu64, from,
			v->counters[WG_COUNT_reject_mac1]);
	diagnosis_helps(d, 'y', "Put our public key into its configuration: weir status shows it.");
	diagnosis_command(d, NULL, "status");
	return true;
}

/* The mock-up's story: ways to it live, frames and relays say so, and it reads no initiation. */
static bool check_lacks_our_key(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	unsigned alive = 0;

	if (!diagnosis_unanswered(f) || diagnosis_tries(f) < SOME || diagnosis_tunnel_works(f, now) ||
	    diagnosis_since(f, WG_COUNT_reject_response) || diagnosis_since(f, WG_COUNT_cookie_received) ||
	    diagnosis_since(f, WG_COUNT_initiation_received) ||
	    (f->word.keypair_usable && diagnosis_lately(f->word.last_received, now, DIAGNOSIS_HEARD)))
		return false;
	for (unsigned i = 0; i < f->path_count; i++) {
		const struct diagnosis_path *p = &f->paths[i];
		bool relay = p->view.ref.kind == PATH_KIND_RELAY;

		if (relay ? !p->view.peer_online
			  : !diagnosis_lately(p->view.last_proof, now, DIAGNOSIS_HEARD))
			continue;
		alive++;
		diagnosis_shows(d, MARK_GOOD, relay ? "relay" : "paths", p->view.last_proof, "%s %.80s",
				relay ? "it is online at" : "it answers on the path to", p->remote);
	}
	if (!alive)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->word_since);
	diagnosis_says(d,
		       "It is alive on %u path%s and ignores our handshakes (%" PRIu64 " of %" PRIu64
		       "): our key is gone there, or it hangs.",
		       alive, alive == 1 ? "" : "s", diagnosis_tries(f), diagnosis_tries(f));
	diagnosis_show_tries(f, now, d);
	diagnosis_helps(
		d, 'y',
		"Look there whether our public key is still configured. Nothing from here will help.");
	diagnosis_command(d, NULL, "status");
	return true;
}

/* ---- one direction ---- */

static bool check_return_blocked(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t got = f->report.initiations_received - f->report_before.initiations_received;
	uint64_t answered = f->report.responses_sent - f->report_before.responses_sent;
	/* Data under the old keys may come in all the same. */
	bool data = f->word.keypair_usable && diagnosis_lately(f->word.last_received, now, DIAGNOSIS_HEARD);

	if (!diagnosis_unanswered(f) || !diagnosis_report_is_new(f, now) || !f->report_before_at ||
	    diagnosis_tunnel_works(f, now) ||
	    /* Both are of the time since it fell silent: what it heard before is no wonder. */
	    f->report_before_at <= (data ? f->word.last_handshake : f->word.last_received) ||
	    f->report.initiations_received <= f->report_before.initiations_received || !answered ||
	    diagnosis_since(f, WG_COUNT_reject_response) || diagnosis_since(f, WG_COUNT_initiation_received))
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_BETWEEN, f->word_since);
	diagnosis_says(d, "It hears us and answers, and no answer arrives: the way back to us is blocked.");
	diagnosis_shows(d, MARK_BAD, "signalling", f->report_at,
			"lately it received %" PRIu64 " initiations of ours and sent %" PRIu64 " responses",
			got, answered);
	diagnosis_show_tries(f, now, d);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0, "not one response arrived here, readable or not");
	diagnosis_helps(d, 'p',
			"Look at firewalls on the way to us, at this host's input rules first. A probe tries "
			"all paths.");
	diagnosis_command(d, f, "probe");
	return true;
}

/* What it sends arrives, what we send does not: were our initiations read, there would be answers, good or
 * bad. */
static bool check_outbound_blocked(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	uint64_t begun = diagnosis_since(f, WG_COUNT_initiation_received);
	bool told = diagnosis_report_is_new(f, now) && f->report_before_at && diagnosis_unanswered(f) &&
		    f->report.initiations_received == f->report_before.initiations_received &&
		    f->report_at > f->report_before_at;

	if (diagnosis_tunnel_works(f, now) || diagnosis_since(f, WG_COUNT_reject_response) ||
	    diagnosis_since(f, WG_COUNT_cookie_received) || diagnosis_since(f, WG_COUNT_data_received))
		return false;
	if (begun >= DIAGNOSIS_TRIES && diagnosis_tries(f) >= DIAGNOSIS_TRIES)
		diagnosis_holds(d, told ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_BETWEEN, f->word_since);
	else if (begun >= DIAGNOSIS_TRIES && f->word.last_handshake && !f->has_psk)
		diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_BETWEEN, f->word_since);
	else
		return false;
	diagnosis_says(d,
		       "What it sends arrives, what we send does not: %" PRIu64
		       " initiations of it came and were answered, and "
		       "it never heard.",
		       begun);
	diagnosis_shows(d, MARK_GOOD, "paths", f->last_initiation_received,
			"%" PRIu64 " valid initiations of it came in", begun);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0, "%" PRIu64 " responses sent, and no data followed",
			diagnosis_since(f, WG_COUNT_response_sent));
	if (diagnosis_tries(f))
		diagnosis_show_tries(f, now, d);
	if (told)
		diagnosis_shows(d, MARK_BAD, "signalling", f->report_at,
				"it counts no initiation of ours in that time");
	diagnosis_helps(
		d, 'p',
		"Look at firewalls on the way to it, its own input rules first. A probe tries all paths.");
	diagnosis_command(d, f, "probe");
	return true;
}

/* ---- what is left when nothing else is known ---- */

/* Other peers that are heard show the same, and are told among what works. */
static void show_udp(const struct diagnosis_facts *f, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;

	if (!v->peers_heard && v->stun_answers)
		diagnosis_shows(d, MARK_GOOD, "paths", 0, "STUN servers answer: UDP works here");
}

static bool check_no_answer(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char to[ADDRESS_TEXT] = "its endpoint";
	bool works = f->device->peers_heard || f->device->stun_answers;

	if (!diagnosis_unanswered(f) || f->word.last_received || diagnosis_tunnel_works(f, now) ||
	    diagnosis_since(f, WG_COUNT_initiation_received) ||
	    diagnosis_since(f, WG_COUNT_cookie_received) || diagnosis_since(f, WG_COUNT_reject_response))
		return false;
	if (f->endpoint.sa.sa_family != AF_UNSPEC)
		address_format(to, &f->endpoint);
	diagnosis_holds(d, works ? DIAGNOSIS_LIKELY : DIAGNOSIS_POSSIBLE, works ? SIDE_THERE : SIDE_UNKNOWN,
			f->word_since);
	diagnosis_says(d,
		       "Nobody has ever answered at %s (%" PRIu64
		       " initiations): a wrong Endpoint, nobody listens there, or one of the two public keys "
		       "is wrong.",
		       to, diagnosis_tries(f));
	diagnosis_show_tries(f, now, d);
	diagnosis_shows(d, MARK_BAD, "wireguard", 0, "nothing at all has come from it since the start");
	show_udp(f, d);
	diagnosis_helps(d, 0,
			"Look there: does weir or wg run, on that port, with our public key? Its rejects "
			"tell which it is.");
	return true;
}

static bool check_stopped(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ago[DIAGNOSIS_AGE];

	if (!diagnosis_unanswered(f) || !f->word.last_received || diagnosis_tunnel_works(f, now) ||
	    diagnosis_since(f, WG_COUNT_initiation_received) ||
	    diagnosis_since(f, WG_COUNT_cookie_received) || diagnosis_since(f, WG_COUNT_reject_response) ||
	    diagnosis_lately(f->word.last_received, now, 5 * NS_PER_SEC))
		return false;
	diagnosis_holds(d, f->device->peers_heard ? DIAGNOSIS_LIKELY : DIAGNOSIS_POSSIBLE,
			f->device->peers_heard ? SIDE_THERE : SIDE_UNKNOWN, f->word.last_received);
	diagnosis_says(d,
		       "It was heard %s ago and then no more: it is down, its address changed, or its way to "
		       "us is cut.",
		       diagnosis_for(ago, f->word.last_received, now));
	diagnosis_show_tries(f, now, d);
	diagnosis_shows(d, MARK_BAD, "paths", f->word.last_received, "nothing came in for %s", ago);
	show_udp(f, d);
	diagnosis_helps(d, 'E',
			"Is it up? A reset goes back to the configured endpoint and asks its name again.");
	diagnosis_command(d, f, "reset");
	return true;
}

/* Each handshake ends the silence, and what follows it has no answer again. */
static bool only_handshakes(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const uint64_t *sent = &f->deaf.counters[WG_COUNT_data_sent];
	const uint64_t *handshakes = &f->deaf.counters[WG_COUNT_handshake_done];
	char age[DIAGNOSIS_AGE];

	if (!f->deaf.since || now < f->deaf.since + DIAGNOSIS_HEARD || *handshakes < 2 || *sent < SOME)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_BETWEEN, f->deaf.since);
	diagnosis_says(d,
		       "Handshakes pass and data does not: none of our %" PRIu64
		       " packets of the last %s had "
		       "an answer, yet %" PRIu64 " handshakes did.",
		       *sent, diagnosis_for(age, f->deaf.since, now), *handshakes);
	diagnosis_shows(d, MARK_BAD, "wireguard", f->deaf.since,
			"%" PRIu64 " data packets sent, none received, not even a keepalive", *sent);
	diagnosis_shows(d, MARK_GOOD, "wireguard", f->word.last_handshake,
			"%" PRIu64 " handshakes done: keys and addresses are right", *handshakes);
	diagnosis_helps(d, 'p',
			"A filter on the way knows WireGuard's data, or drops packets that are large: "
			"look there. A probe asks on all paths now.");
	diagnosis_command(d, f, "probe");
	return true;
}

static bool check_data_unanswered(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char age[DIAGNOSIS_AGE];

	if (only_handshakes(f, now, d))
		return true;
	if (f->state.tunnel != TUNNEL_SILENT || diagnosis_tries(f) >= DIAGNOSIS_TRIES)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_UNKNOWN, f->word.unanswered_since);
	diagnosis_says(
		d, "The keys are good, and our data has no answer for %s: the path died, or the peer did.",
		diagnosis_for(age, f->word.unanswered_since, now));
	diagnosis_shows(d, MARK_BAD, "paths", f->word.unanswered_since,
			"nothing came in since our data went out, not even a keepalive");
	diagnosis_shows(d, MARK_GOOD, "wireguard", f->word.last_handshake,
			"the keys of the last handshake are valid still");
	diagnosis_helps(d, 'p', "A handshake is tried by itself. A probe asks on all paths now.");
	diagnosis_command(d, f, "probe");
	return true;
}

const struct diagnosis_rule rules_wg[] = {
	{"psk-differs", "preshared keys differ",
	 "The preshared key enters a handshake with its response: the initiation is read and answered, and "
	 "the response does not "
	 "open. Who begins sees responses that fail; who answers sees initiations again and again. Compare "
	 "PresharedKey at both "
	 "ends.",
	 DIAGNOSIS_UNANSWERED " outbound-blocked return-path-blocked duplicate-key", check_psk},
	{"unknown-key", "its address uses a key that is not configured",
	 "Initiations come from the peer's address under a public key that no peer here has. Either its key "
	 "was changed, and the "
	 "one here is old, or somebody else is at that address. The verdict shows the key.",
	 DIAGNOSIS_UNANSWERED " wrong-key-for-us", check_unknown_key},
	{"wrong-key-for-us", "it has the wrong key for us",
	 "Handshake messages come from the peer's address whose mac1 was made for another public key than "
	 "ours. Its "
	 "configuration names the wrong PublicKey for us, or it means another host.",
	 DIAGNOSIS_UNANSWERED, check_wrong_key_for_us},
	{"return-path-blocked", "its answers do not reach us",
	 "The peer counts our initiations and has answered them; no answer arrives. A firewall or a NAT on "
	 "the way to us drops "
	 "them. Known only when the peer is a weir that is still reached by another path.",
	 DIAGNOSIS_UNANSWERED " outbound-blocked", check_return_blocked},
	{"outbound-blocked", "what we send does not reach it",
	 "Its initiations come in and are answered, and neither our answers nor our own initiations are "
	 "heard there: the way from "
	 "us to it is blocked. Seen from there it is the return path that is blocked.",
	 DIAGNOSIS_UNANSWERED, check_outbound_blocked},
	{"peer-lacks-our-key", "it is alive and ignores our handshakes",
	 "Paths to the peer live, by frames or by a relay that has it, and no initiation is answered, not "
	 "even with a cookie. "
	 "Our key was removed there, or the engine there hangs.",
	 "path-died no-answer stopped-answering data-unanswered", check_lacks_our_key},
	{"no-answer", "nobody answers at its endpoint",
	 "Nothing has ever come from the peer. The endpoint is wrong, nobody listens there, UDP is dropped "
	 "on the way, or one of "
	 "the two public keys is wrong: then the other end counts rejects.",
	 NULL, check_no_answer},
	{"stopped-answering", "it stopped answering",
	 "The peer was heard before, and initiations have gone unanswered since. It is down, its address "
	 "changed, or the way is "
	 "cut.",
	 NULL, check_stopped},
	{"data-unanswered", "our data has no answer",
	 "Keys are good and data goes out, and nothing has come in for 15 seconds or longer. Handshakes may "
	 "pass all the same: "
	 "then something on the way drops data alone.",
	 NULL, check_data_unanswered},
	{0},
};
