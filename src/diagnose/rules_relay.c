/*
 * Rules about relays: why none is up, why one that is up ends again and again, and why the peer is not at it.
 * They speak only for peers that need a relay: one that is reached directly misses nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "diagnose/rules_net.h"

#define ABSENT	   (30 * NS_PER_SEC)
#define CUT_WITHIN (70 * NS_PER_SEC) /* proxies' usual limit of a minute, and some lateness */
#define CUT_ALIKE  (3 * NS_PER_SEC)
#define CUTS	   3
#define SHORT	   (10 * NS_PER_SEC) /* lives that are shorter tell of a crash or of a second host instead */
#define LIVES	   (sizeof(((struct diagnosis_relay *)NULL)->lifetimes) / sizeof(uint64_t))

/* What hangs on a relay that is not there. */
#define WITHOUT_RELAY NO_WAY " relay-peer-absent no-common-relay relay-unreachable"

static bool needs_relay(const struct diagnosis_facts *f, uint64_t now)
{
	if (!f->controlled || !f->device->relay_configured || f->word.remote_away || net_direct(f))
		return false;
	return net_relayed(f) || net_in_trouble(f, now) || f->state.tunnel != TUNNEL_UP;
}

/* A server that is down for this kind of failure, while the peer is at none that is up. */
static const struct diagnosis_relay *down(const struct diagnosis_facts *f, uint64_t now,
					  bool (*is)(const struct diagnosis_relay *r))
{
	const struct diagnosis_device *v = f->device;
	const struct diagnosis_relay *found = NULL;

	if (!needs_relay(f, now) || net_relayed(f) || net_announced(f))
		return NULL;
	for (unsigned i = 0; i < v->relay_count; i++)
		if (!v->relays[i].up && is(&v->relays[i]) && (!found || v->relays[i].home))
			found = &v->relays[i];
	return found;
}

static bool any_up(const struct diagnosis_facts *f)
{
	bool up = false;

	for (unsigned i = 0; i < f->device->relay_count; i++)
		up |= f->device->relays[i].up;
	return up;
}

static void holds(const struct diagnosis_facts *f, uint64_t now, const struct diagnosis_relay *r,
		  struct diagnosis *d, enum diagnosis_confidence c, enum diagnosis_side side)
{
	/* With another relay up it is one cause among others that the peer is not reached. */
	diagnosis_holds(d, any_up(f) && c == DIAGNOSIS_CERTAIN ? DIAGNOSIS_LIKELY : c, side,
			r->lost_at ? r->lost_at : r->since);
	net_severity(d, f, now);
	if (r->error[0])
		diagnosis_shows(d, MARK_BAD, "relay", r->since, "%.60s: %.100s", r->url, r->error);
}

static void show_next(const struct diagnosis_relay *r, uint64_t now, struct diagnosis *d)
{
	char age[DIAGNOSIS_AGE];

	if (r->next_try > now)
		diagnosis_shows(d, MARK_NOTE, "relay", 0, "tried again in %s",
				diagnosis_age(age, r->next_try - now));
}

static void show_lives(const struct diagnosis_relay *r, struct diagnosis *d)
{
	for (unsigned i = 0; i < LIVES && r->lifetimes[i]; i++)
		diagnosis_shows(d, MARK_BAD, "relay", i ? 0 : r->lost_at,
				"a connection that lived %llu.%llu s", r->lifetimes[i] / NS_PER_SEC,
				r->lifetimes[i] / (NS_PER_SEC / 10) % 10);
}

/* A server whose connection ended within that time, and for which `is` holds. */
static const struct diagnosis_relay *lost(const struct diagnosis_facts *f, uint64_t now, uint64_t within,
					  bool (*is)(const struct diagnosis_relay *r))
{
	const struct diagnosis_device *v = f->device;

	for (unsigned i = 0; i < v->relay_count && needs_relay(f, now); i++)
		if (is(&v->relays[i]) && diagnosis_lately(v->relays[i].lost_at, now, within))
			return &v->relays[i];
	return NULL;
}

/* ---- logging in ---- */

/* The server closes after the login without a word; note: what else is known, or NULL. */
static void login_refused(const struct diagnosis_facts *f, uint64_t now, const struct diagnosis_relay *r,
			  struct diagnosis *d, const char *note, const char *help)
{
	holds(f, now, r, d, DIAGNOSIS_CERTAIN, SIDE_HERE);
	diagnosis_shows(d, MARK_GOOD, "relay", 0, "network and TLS work up to the login");
	if (note)
		diagnosis_shows(d, MARK_NOTE, "clock", 0, "%s", note);
	show_next(r, now, d);
	diagnosis_helps(d, 0, "%s", help);
	diagnosis_command(d, NULL, "reload");
}

static bool is_expired(const struct diagnosis_relay *r)
{
	return r->expired_token;
}

static bool check_expired(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_expired);

	if (!r)
		return false;
	diagnosis_says(d, "The token for the relay %.80s has expired: the server closes after the login.",
		       r->url);
	login_refused(f, now, r, d, NULL,
		      "Put a new Token, or the Secret, into [Relay] and reload. If the token is new, look at "
		      "this host's clock.");
	return true;
}

static bool is_bad_token(const struct diagnosis_relay *r)
{
	return r->bad_token;
}

static bool check_bad_token(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_bad_token);

	if (!r)
		return false;
	diagnosis_says(d,
		       "The relay %.80s does not take our token: it closes after the login without a word.",
		       r->url);
	login_refused(
		f, now, r, d, "by our clock the token is valid still",
		"The token is of another server, or damaged. Put the right Token or Secret into [Relay] "
		"and reload.");
	return true;
}

static bool is_wrong_secret(const struct diagnosis_relay *r)
{
	return r->silent_close && !r->bad_token && !r->expired_token;
}

static bool check_wrong_secret(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_wrong_secret);

	if (!r)
		return false;
	diagnosis_says(d,
		       "The relay %.80s closes after our login without a word (%u times): the secret here is "
		       "not the server's.",
		       r->url, r->refusals);
	login_refused(f, now, r, d,
		      "a clock that is off by more than 12 hours, here or there, looks the same",
		      "Compare Secret or SecretFile in [Relay] with the server's, then reload.");
	return true;
}

static bool check_replaced(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	const struct diagnosis_relay *r = NULL;

	if (!needs_relay(f, now))
		return false;
	for (unsigned i = 0; i < v->relay_count && !r; i++)
		if (v->relays[i].replaced)
			r = &v->relays[i];
	if (!r)
		return false;
	holds(f, now, r, d, DIAGNOSIS_LIKELY, SIDE_HERE);
	diagnosis_says(
		d,
		"Another host logs in at the relay %.80s with this host's key: each login there ends ours.",
		r->url);
	show_lives(r, d);
	show_next(r, now, d);
	diagnosis_helps(d, 0,
			"A configuration was copied: give each host a PrivateKey of its own. The server's "
			"log has both addresses.");
	return true;
}

/* ---- reaching it ---- */

static bool is_tls(const struct diagnosis_relay *r)
{
	return r->tls_error;
}

static bool check_tls(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_tls);

	if (!r)
		return false;
	holds(f, now, r, d, DIAGNOSIS_CERTAIN, SIDE_UNKNOWN);
	diagnosis_says(d, "TLS with the relay %.60s fails: %.100s", r->url, r->error);
	show_next(r, now, d);
	diagnosis_helps(d, 0,
			"Certificate, its name and end, CaFile or Pin in [Relay], and this host's clock must "
			"go together. rel:// "
			"is without TLS, rels:// with it.");
	return true;
}

static bool is_name(const struct diagnosis_relay *r)
{
	return r->name_error;
}

static bool check_name_loop(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_name);

	if (!r || !f->device->resolver_through_tunnel)
		return false;
	holds(f, now, r, d, DIAGNOSIS_CERTAIN, SIDE_HERE);
	diagnosis_says(d,
		       "The relay's name is asked of %s, which is reached through this tunnel, which needs "
		       "the relay.",
		       f->device->resolver);
	diagnosis_shows(d, MARK_BAD, "routes", 0, "the way to the name server %s leads into the tunnel",
			f->device->resolver);
	diagnosis_helps(d, 0,
			"Write the relay's address into Url, or into /etc/hosts, or use a name server "
			"outside of the tunnel.");
	return true;
}

static bool check_name(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_name);

	if (!r || f->device->resolver_through_tunnel)
		return false;
	holds(f, now, r, d, DIAGNOSIS_CERTAIN, SIDE_HERE);
	diagnosis_says(d, "The name of the relay %.80s does not resolve: %.90s", r->url, r->error);
	if (f->device->resolver[0])
		diagnosis_shows(d, MARK_NOTE, "relay", 0, "names are asked of %s", f->device->resolver);
	show_next(r, now, d);
	diagnosis_helps(d, 0, "Is the name right, and does the name server answer? getent hosts asks it.");
	return true;
}

static bool is_loop(const struct diagnosis_relay *r)
{
	return r->through_tunnel;
}

static bool check_loop(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_loop);

	if (!r)
		return false;
	holds(f, now, r, d, DIAGNOSIS_CERTAIN, SIDE_HERE);
	diagnosis_says(d, "This host routes the relay %.80s into the tunnel itself, which needs the relay.",
		       r->url);
	if (r->address[0])
		diagnosis_shows(d, MARK_BAD, "routes", 0, "ip route get %s: dev %s", r->address, r->through);
	diagnosis_helps(d, 0,
			"Take the relay's address out of AllowedIPs, or give it a route of its own by the "
			"real interface.");
	return true;
}

static bool is_unreachable(const struct diagnosis_relay *r)
{
	return r->error[0] && !r->silent_close && !r->bad_token && !r->expired_token && !r->tls_error &&
	       !r->name_error && !r->through_tunnel && !r->replaced;
}

static bool check_unreachable(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = down(f, now, is_unreachable);
	char ago[DIAGNOSIS_AGE];

	if (!r)
		return false;
	holds(f, now, r, d, r->refused ? DIAGNOSIS_CERTAIN : DIAGNOSIS_LIKELY, SIDE_UNKNOWN);
	diagnosis_says(d, "The relay %.70s %s: %.90s", r->url, r->refused ? "refuses us" : "is not reached",
		       r->error);
	if (r->lost_at)
		diagnosis_shows(d, MARK_NOTE, "relay", r->lost_at, "it was up until %s, %u logins so far",
				diagnosis_ago(ago, r->lost_at, now), r->connections);
	else
		diagnosis_shows(d, MARK_NOTE, "relay", 0, "it has never been up since the start");
	if (r->through_other)
		diagnosis_shows(d, MARK_NOTE, "routes", 0, "the way to it leads into %s, another VPN's",
				r->through);
	if (diagnosis_lately(f->device->udp_received_at, now, A_MINUTE))
		diagnosis_shows(d, MARK_GOOD, "paths", f->device->udp_received_at,
				"this host has a network: UDP comes in");
	show_next(r, now, d);
	diagnosis_helps(d, 0,
			"Does the server run, on that port? Does a firewall let TCP out to it? The address "
			"in Url must be right.");
	return true;
}

/* ---- connections that end ---- */

/* Proxies and firewalls end connections that seem idle after a fixed time: lives that are alike, by nobody's
 * word. */
static bool is_cut(const struct diagnosis_relay *r)
{
	uint64_t least = UINT64_MAX, most = 0;
	unsigned n = 0;

	for (; n < LIVES && r->lifetimes[n]; n++) {
		least = r->lifetimes[n] < least ? r->lifetimes[n] : least;
		most = r->lifetimes[n] > most ? r->lifetimes[n] : most;
	}
	return n >= CUTS && least >= SHORT && most <= CUT_WITHIN && most - least <= CUT_ALIKE && !r->replaced;
}

static bool check_cut(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = lost(f, now, 2 * CUT_WITHIN, is_cut);
	char age[DIAGNOSIS_AGE];

	if (!r)
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_BETWEEN, r->lost_at);
	net_severity(d, f, now);
	diagnosis_says(d, "Something on the way to the relay %.80s ends each connection after about %s.",
		       r->url, diagnosis_age(age, r->lifetimes[0]));
	show_lives(r, d);
	diagnosis_helps(d, 0,
			"Raise the idle or read timeout of the proxy before the relay (WebSocket, over 60 "
			"s), or go around it.");
	return true;
}

static bool is_stale(const struct diagnosis_relay *r)
{
	return r->up && r->check_failed;
}

/* It seemed to be up and was not, as a new connection shows that came up: told for a while. Without one the
 * server or the network is gone, and that is another verdict. */
static bool check_stale(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_relay *r = lost(f, now, A_MINUTE, is_stale);
	char ago[DIAGNOSIS_AGE];

	if (!r)
		return false;
	diagnosis_holds(d, DIAGNOSIS_CERTAIN, SIDE_BETWEEN, r->lost_at);
	net_severity(d, f, now);
	diagnosis_says(d,
		       "The connection to the relay %.80s was dead though nobody had closed it; it was given "
		       "up %s and is up again.",
		       r->url, diagnosis_ago(ago, r->lost_at, now));
	diagnosis_shows(d, MARK_BAD, "relay", r->lost_at, "a check over it had no answer");
	diagnosis_shows(d, MARK_GOOD, "relay", r->since, "a new connection is up, the %uth", r->connections);
	diagnosis_helps(d, 0,
			"A NAT or firewall on the way forgot the connection. Nothing needs to be done if it "
			"stays rare.");
	return true;
}

/* ---- the peer is not there ---- */

static bool check_absent(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	const struct diagnosis_relay *r = NULL;
	bool ghost = false;

	if (!needs_relay(f, now) || net_relayed(f) || !net_in_trouble(f, now))
		return false;
	for (unsigned i = 0; i < f->path_count; i++)
		if (net_over_udp(&f->paths[i]) && diagnosis_lately(f->paths[i].view.last_proof, now, ABSENT))
			return false;
	for (unsigned i = 0; i < v->relay_count; i++)
		if (v->relays[i].up && (!r || v->relays[i].home))
			r = &v->relays[i];
	for (unsigned i = 0; i < f->path_count; i++)
		ghost |= f->paths[i].view.peer_online && f->paths[i].view.pings >= 3 &&
			 !diagnosis_lately(f->paths[i].view.last_proof, now, ABSENT) &&
			 now > f->paths[i].view.since + ABSENT;
	if (!r || now < r->since + ABSENT || (net_announced(f) && !ghost))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_THERE, f->word_since > r->since ? f->word_since : r->since);
	if (ghost)
		diagnosis_says(d,
			       "The relay %.80s has the peer as online, and nothing sent to it there comes "
			       "back: a connection of it "
			       "that is dead, or other servers behind the same name.",
			       r->url);
	else if (f->remote_relay[0] && strcmp(f->remote_relay, r->url) != 0)
		diagnosis_says(d,
			       "The peer is not at the relay %.70s; it named %.70s as its own, and is not "
			       "met there.",
			       r->url, f->remote_relay);
	else
		diagnosis_says(d,
			       "The relay %.80s is up, and the peer is not there: it is down, without "
			       "network, or at another server.",
			       r->url);
	diagnosis_shows(d, MARK_GOOD, "relay", r->since, "%.80s is up", r->url);
	diagnosis_shows(d, MARK_BAD, "relay", r->since,
			ghost ? "it announces the peer, pings to it are unanswered"
			      : "it has not announced the peer");
	if (!f->look.remote_is_weir)
		diagnosis_shows(d, MARK_NOTE, "signalling", 0,
				"the peer has never spoken in frames: is it weir, with [Relay]?");
	diagnosis_helps(d, 0,
			"Look there: does weir run, with the same relay in [Relay] and its public key as it "
			"is known here?");
	return true;
}

static bool check_no_common(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	const struct diagnosis_device *v = f->device;
	const char *theirs = f->remote_relay;
	const struct diagnosis_relay *r = NULL;

	if (!needs_relay(f, now) || net_relayed(f) || !*theirs || net_announced(f) ||
	    (f->mode != PEER_RELAY_ONLY && !net_in_trouble(f, now) && f->state.tunnel == TUNNEL_UP))
		return false;
	for (unsigned i = 0; i < v->relay_count; i++) {
		if (strcmp(v->relays[i].url, theirs))
			continue;
		r = &v->relays[i];
	}
	if (!any_up(f) || (r && r->up) || (r && !r->error[0]))
		return false;
	diagnosis_holds(d, DIAGNOSIS_LIKELY, SIDE_UNKNOWN, f->word_since);
	diagnosis_says(d,
		       "The ends have no relay in common: the peer's is %.70s, which is not reached from "
		       "here, and it is at none of "
		       "ours.",
		       theirs);
	diagnosis_shows(d, MARK_BAD, "relay", r ? r->since : 0, "%.70s: %.90s", theirs,
			r ? r->error : "not dialled here");
	for (unsigned i = 0; i < v->relay_count; i++)
		if (v->relays[i].up)
			diagnosis_shows(d, MARK_NOTE, "relay", v->relays[i].since,
					"%.80s is up, without the peer", v->relays[i].url);
	diagnosis_helps(d, 0, "Give both ends one Url in [Relay] that both can reach.");
	return true;
}

const struct diagnosis_rule rules_relay[] = {
	{"relay-loop", "the relay is routed into the tunnel",
	 "The kernel's route to the relay server leads into the tunnel that needs the relay. weir does not "
	 "dial that way.",
	 WITHOUT_RELAY " relay-name relay-name-loop", check_loop},
	{"relay-name-loop", "the relay's name is asked through the tunnel",
	 "The relay's name does not resolve, and the name server is reached through the tunnel that needs "
	 "the relay.",
	 WITHOUT_RELAY, check_name_loop},
	{"relay-name", "the relay's name does not resolve",
	 "The host name in Url of [Relay] has no answer from DNS.", WITHOUT_RELAY, check_name},
	{"relay-tls", "TLS with the relay fails",
	 "The relay's certificate is not trusted, is for another name, is past its end, has another key than "
	 "Pin, or the server "
	 "speaks no TLS on that port.",
	 WITHOUT_RELAY, check_tls},
	{"relay-token-expired", "the relay's token has expired",
	 "Tokens end. The server closes after the login without a word, and the token here is past its end.",
	 WITHOUT_RELAY, check_expired},
	{"relay-bad-token", "the relay refuses our token",
	 "The server closes after the login without a word, and the token here is not past its end: it is "
	 "another server's.",
	 WITHOUT_RELAY, check_bad_token},
	{"relay-wrong-secret", "the secret is not the relay's",
	 "Tokens are made here of the secret, so they are never old; the server closes after the login "
	 "without a word.",
	 WITHOUT_RELAY, check_wrong_secret},
	{"relay-duplicate", "another host has our key at the relay",
	 "A relay keeps one connection of each key. Ours is closed within seconds of each login, again and "
	 "again: another host "
	 "logs in with the same key.",
	 WITHOUT_RELAY " duplicate-key relay-stale relay-cut", check_replaced},
	{"relay-cut", "connections to the relay are cut",
	 "Connections to the relay end after the same time again and again, within about a minute: a proxy "
	 "or firewall on the way "
	 "ends what it takes for idle.",
	 "relay-stale relay-unreachable", check_cut},
	{"relay-stale", "the relay's connection had died",
	 "The connection to the relay seemed to be open, and what was sent on it went nowhere; a check found "
	 "out. Shown for a "
	 "minute.",
	 "relay-unreachable " NO_WAY, check_stale},
	{"no-common-relay", "no relay that both ends reach",
	 "The peer named its relay, this host does not reach it, and the peer is at none of ours.",
	 NO_WAY " relay-peer-absent", check_no_common},
	{"relay-peer-absent", "the peer is not at the relay",
	 "The relay is up and does not announce the peer for half a minute, or announces it and nothing "
	 "comes back. The peer is "
	 "down, or at another server; servers that share one name must share their clients, too.",
	 NO_WAY, check_absent},
	{"relay-unreachable", "the relay is not reached",
	 "No connection to the relay server comes up, and the peer has no other way.", NO_WAY,
	 check_unreachable},
	{0},
};
