/* The order of the rules is the order of what helps: the first that fits gives the word and the sentence. */
#include "diagnose/state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

#define SILENT_AFTER (15 * NS_PER_SEC) /* data without any answer: KEEPALIVE_TIMEOUT + REKEY_TIMEOUT */
#define STUCK_TRIES  3		       /* initiations without an answer before a peer is called stuck */
#define HEARD_JUST   (5 * NS_PER_SEC)  /* REKEY_TIMEOUT: one try of a handshake */
#define REFUSED_SOME 5		       /* packets with a foreign inner source that are worth a word */
#define KEY_LIFE     (180 * NS_PER_SEC)

const char *tunnel_state_name(enum tunnel_state s)
{
	static const char *const names[] = {"no-keys", "handshaking", "up", "silent", "expired"};

	return names[s];
}

const char *peer_word_name(enum peer_word w)
{
	static const char *const names[] = {"STUCK", "WAIT", "DRAIN", "RELAY", "DIRECT", "IDLE", "DOWN"};

	return names[w];
}

static bool silent(const struct peer_facts *f, uint64_t now)
{
	return f->unanswered_since && now > f->unanswered_since && now - f->unanswered_since >= SILENT_AFTER;
}

/* Keys work and packets come in: it is no silence that leaves initiations unanswered. */
static bool heard_just_now(const struct peer_facts *f, uint64_t now)
{
	return f->keypair_usable && f->last_received && now < f->last_received + HEARD_JUST;
}

static enum tunnel_state derive_tunnel(const struct peer_facts *f, uint64_t now)
{
	if (f->keypair_usable)
		return silent(f, now) ? TUNNEL_SILENT : TUNNEL_UP;
	if (f->attempt)
		return TUNNEL_HANDSHAKING;
	return f->keys_held || (f->last_handshake && !f->draining) ? TUNNEL_EXPIRED : TUNNEL_NO_KEYS;
}

/* The path is known by what came over it: nothing of our own sending makes it up. */
static enum path_state derive_path(const struct peer_facts *f, enum tunnel_state tunnel, uint64_t now)
{
	if (!f->endpoint_known)
		return PATH_NONE;
	/* Other ways than the plain one are proven by the controller. */
	if (f->controlled && f->path_kind != PATH_KIND_DIRECT)
		return f->path_state;
	if (tunnel == TUNNEL_SILENT || f->initiations_unanswered >= STUCK_TRIES)
		return PATH_STALE;
	if (f->last_received && now - f->last_received < KEY_LIFE)
		return PATH_UP;
	return f->attempt ? PATH_CHECKING : f->last_received ? PATH_UP : PATH_NONE;
}

static void age(char *out, size_t size, uint64_t ns)
{
	uint64_t s = ns / NS_PER_SEC;

	if (s < 120)
		snprintf(out, size, "%" PRIu64 " s", s);
	else if (s < 7200)
		snprintf(out, size, "%" PRIu64 " min", s / 60);
	else
		snprintf(out, size, "%" PRIu64 " h", s / 3600);
}

static void explain_unsent(char *out, size_t size, const struct peer_facts *f)
{
	snprintf(out, size, "the kernel cannot send to it: %s (%" PRIu64 " times): routes or firewall here",
		 f->send_error, f->send_failures);
}

/* Why a handshake that goes unanswered may do so: what the counters leave. */
static void explain_unanswered(char *out, size_t size, const struct peer_facts *f, uint64_t now)
{
	uint64_t n = f->initiations_unanswered;
	char heard[24];

	if (f->responses_rejected) {
		snprintf(out, size,
			 "%" PRIu64 " responses came but would not open: the preshared keys differ",
			 f->responses_rejected);
	} else if (f->send_failures && f->send_error) {
		explain_unsent(out, size, f);
	} else if (f->cookies_received) {
		snprintf(out, size,
			 "%" PRIu64 " initiations got %" PRIu64
			 " cookie replies and no response: it is under load, or limits our rate",
			 n, f->cookies_received);
	} else if (f->peer_initiations_since) {
		snprintf(out, size,
			 "%" PRIu64 " initiations unanswered, yet %" PRIu64
			 " of theirs came in: our packets do not reach them, or theirs answer elsewhere",
			 n, f->peer_initiations_since);
	} else if (f->resolve_error) {
		snprintf(out, size,
			 "%" PRIu64
			 " initiations unanswered; its address is old, its name does not resolve: %s",
			 n, f->resolve_error);
	} else if (heard_just_now(f, now)) {
		snprintf(out, size,
			 "%" PRIu64 " initiations unanswered, though its data comes in: when these keys end, "
			 "so does the tunnel",
			 n);
	} else if (f->last_received && f->controlled && f->relay_up) {
		age(heard, sizeof(heard), now - f->last_received);
		snprintf(out, size,
			 "%" PRIu64 " of %" PRIu64 " initiations unanswered, nothing heard for %s; %s", n, n,
			 heard,
			 f->relay_online ? "a relay still has it: it hangs, or it forgot our key"
					 : "it is online at no relay: it is down, or has no network");
	} else if (f->last_received) {
		age(heard, sizeof(heard), now - f->last_received);
		snprintf(out, size,
			 "%" PRIu64 " of %" PRIu64
			 " initiations unanswered, nothing heard for %s: it is down, "
			 "its address changed, UDP is blocked, or it forgot our key",
			 n, n, heard);
	} else {
		snprintf(out, size,
			 "%" PRIu64 " of %" PRIu64
			 " initiations unanswered, never heard: UDP blocked, wrong endpoint, "
			 "a wrong public key here, or ours is not known there",
			 n, n);
	}
}

/* They begin, and nothing comes of it: that is stuck as well, though we send no initiations. */
static bool explain_unfinished(char *out, size_t size, const struct peer_facts *f)
{
	if (f->timestamps_rejected >= STUCK_TRIES) {
		snprintf(out, size,
			 "%" PRIu64
			 " of its initiations carry an old time: its clock went back; set it right there, "
			 "or begin from here (handshake)",
			 f->timestamps_rejected);
		return true;
	}
	if (f->peer_initiations_since >= STUCK_TRIES && f->send_failures && f->send_error) {
		explain_unsent(out, size, f);
		return true;
	}
	if (f->peer_initiations_since >= STUCK_TRIES) {
		snprintf(out, size,
			 "%" PRIu64 " initiations came and were answered, but no data followed: "
			 "our responses do not reach it, or the preshared keys differ",
			 f->peer_initiations_since);
		return true;
	}
	return false;
}

/* The tunnel stands, and what comes through it is thrown away. Stray packets of another address (router
 * solicitations) are usual: only when most are refused does it say that the allowed IPs do not match. */
static void explain_refused(char *out, size_t size, const struct peer_facts *f)
{
	uint64_t refused = f->inner_sources_rejected;

	if (refused >= REFUSED_SOME && refused > f->data_received / 2)
		snprintf(out, size,
			 "%" PRIu64
			 " of its packets dropped: their inner source is not in its AllowedIPs here",
			 refused);
}

/* The keys are good and nothing comes back: the controller tries what it can. */
static void explain_silent(char *out, size_t size, const struct peer_facts *f, uint64_t now)
{
	char text[24];

	age(text, sizeof(text), now > f->unanswered_since ? now - f->unanswered_since : 0);
	snprintf(out, size, "no answer to our data%s%s, on this path or any other%s%.100s",
		 text[0] == '0' ? "" : " for ", text[0] == '0' ? "" : text,
		 f->relay_configured && !f->relay_up ? "; no relay is up: " : "",
		 f->relay_configured && !f->relay_up ? f->relay_error : "");
}

/* Why it is relayed and not direct, and when that is tried again. */
static void explain_relayed(char *out, size_t size, const struct peer_facts *f, uint64_t now)
{
	const char *how = f->path_kind == PATH_KIND_TURN ? "through TURN" : "relayed";
	char failed[40], next[24];

	if (f->relay_asked) {
		snprintf(out, size, "%s: asked for", how);
		return;
	}
	if (f->ice_off) {
		snprintf(out, size, "%s: ICE is off, and no endpoint works", how);
		return;
	}
	if (f->ice_running && f->path_kind == PATH_KIND_RELAY) {
		snprintf(out, size, "%s: a direct path is being tried", how);
		return;
	}
	if (!f->ice_failed_at) {
		snprintf(out, size, "%s: no direct path yet", how);
		return;
	}
	if (f->ice_failed_at + NS_PER_SEC > now) {
		snprintf(failed, sizeof(failed), "just now");
	} else {
		age(failed, 24, now - f->ice_failed_at);
		strcat(failed, " ago");
	}
	if (f->direct_retry_at >= now + NS_PER_SEC) {
		age(next, sizeof(next), f->direct_retry_at - now);
		snprintf(out, size, "%s: ICE failed %s, next try in %s", how, failed, next);
	} else {
		snprintf(out, size, "%s: ICE failed %s", how, failed);
	}
}

/* It said goodbye: what goes unanswered needs no other cause. */
static void explain_away(char *out, size_t size, const struct peer_facts *f, uint64_t now)
{
	char back[24];

	if (f->remote_back_at > now) {
		age(back, sizeof(back), f->remote_back_at - now);
		snprintf(out, size, "it said that it goes down, and is back in about %s", back);
	} else {
		snprintf(out, size, "it said that it goes down");
	}
}

/* There is no way to it: which of the ways is missing what. */
static void explain_no_way(char *out, size_t size, const struct peer_facts *f)
{
	int n = 0;

	if (f->staged)
		n = snprintf(out, size, "%u packet%s, but ", f->staged, f->staged == 1 ? " waits" : "s wait");
	if (n < 0 || (size_t)n >= size)
		return;
	if (!f->controlled || !f->relay_configured)
		snprintf(out + n, size - (size_t)n,
			 f->staged ? "no endpoint is known" : "no endpoint: the peer must come to us");
	else if (!f->relay_up)
		snprintf(out + n, size - (size_t)n, "no endpoint is known, and no relay is up: %s",
			 f->relay_error);
	else
		snprintf(out + n, size - (size_t)n,
			 "no endpoint is known, and it is online at no relay: is it running, and at the same "
			 "relay?");
}

/* Its keys work, and what we send is answered as far as is known. */
static void derive_up(struct peer_state *out, const struct peer_facts *f, uint64_t now)
{
	bool relayed = f->path_kind == PATH_KIND_RELAY || f->path_kind == PATH_KIND_TURN;

	out->word = WORD_WAIT;
	if (f->controlled && !f->endpoint_known) {
		explain_no_way(out->reason, sizeof(out->reason), f);
	} else if (f->controlled && f->path_state == PATH_STALE && f->unanswered_since) {
		explain_silent(out->reason, sizeof(out->reason), f, now);
	} else if (f->controlled && f->remote_is_weir && f->path_state == PATH_CHECKING) {
		snprintf(out->reason, sizeof(out->reason), "the path is lost, and another is not proven yet");
	} else {
		out->word = relayed ? WORD_RELAY : WORD_DIRECT;
		explain_refused(out->reason, sizeof(out->reason), f);
		if (relayed && !*out->reason)
			explain_relayed(out->reason, sizeof(out->reason), f, now);
	}
}

/* Stuck is stuck until the tunnel carries something, or nobody wants it to: a path that is tried, or one that
 * is gone, is no better news of a peer that does not answer. */
static void stay_stuck(struct peer_state *out, const struct peer_facts *f, uint64_t now)
{
	if (!f->stuck || f->remote_away || out->word == WORD_STUCK || out->word == WORD_DRAIN ||
	    out->word == WORD_IDLE || out->word == WORD_DOWN)
		return;
	out->word = WORD_STUCK;
	if (f->endpoint_known && f->initiations_unanswered >= STUCK_TRIES)
		explain_unanswered(out->reason, sizeof(out->reason), f, now);
}

void peer_state_derive(struct peer_state *out, const struct peer_facts *f, uint64_t now)
{
	char text[24];

	memset(out, 0, sizeof(*out));
	out->tunnel = derive_tunnel(f, now);
	out->path = derive_path(f, out->tunnel, now);
	out->path_kind = f->path_kind;
	if (!f->device_up) {
		out->word = WORD_DOWN;
		snprintf(out->reason, sizeof(out->reason), "the interface is down: ip link sets it up");
	} else if (!f->has_private_key) {
		out->word = WORD_DOWN;
		snprintf(out->reason, sizeof(out->reason), "the interface has no private key");
	} else if (!f->endpoint_known && f->resolve_error) {
		out->word = WORD_WAIT;
		snprintf(out->reason, sizeof(out->reason), "its name does not resolve: %s", f->resolve_error);
	} else if (!f->endpoint_known && f->resolving) {
		out->word = WORD_WAIT;
		snprintf(out->reason, sizeof(out->reason), "its name is being resolved");
	} else if (f->remote_away && out->tunnel != TUNNEL_UP) {
		out->word = f->staged || f->attempt ? WORD_WAIT : WORD_IDLE;
		explain_away(out->reason, sizeof(out->reason), f, now);
	} else if (f->endpoint_known && f->initiations_unanswered >= STUCK_TRIES &&
		   (f->attempt || f->given_up || out->tunnel != TUNNEL_UP)) {
		out->word = WORD_STUCK;
		explain_unanswered(out->reason, sizeof(out->reason), f, now);
	} else if (explain_unfinished(out->reason, sizeof(out->reason), f)) {
		out->word = WORD_STUCK;
	} else if (f->draining) {
		out->word = WORD_DRAIN;
		snprintf(out->reason, sizeof(out->reason), "drained: the next packet starts a handshake");
	} else if (out->tunnel == TUNNEL_SILENT) {
		out->word = WORD_WAIT;
		age(text, sizeof(text), now - f->unanswered_since);
		snprintf(out->reason, sizeof(out->reason), "no answer to our data for %s", text);
	} else if (out->tunnel == TUNNEL_UP) {
		derive_up(out, f, now);
	} else if (f->attempt) {
		out->word = WORD_WAIT;
		snprintf(out->reason, sizeof(out->reason), "handshake under way, try %u", f->attempt);
	} else if (!f->endpoint_known && f->staged) {
		out->word = WORD_WAIT;
		explain_no_way(out->reason, sizeof(out->reason), f);
	} else {
		out->word = WORD_IDLE;
		if (!f->endpoint_known)
			explain_no_way(out->reason, sizeof(out->reason), f);
	}
	stay_stuck(out, f, now);
}
