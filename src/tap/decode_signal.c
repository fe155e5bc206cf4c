/* Control frames between engines: sealed as they travel, and their bodies as the engine opened or made them.
 */
#include <stdio.h>

#include "signal/signal.h"
#include "tap/decode_internal.h"

#define MAGIC_LEN 4
#define NONCE_LEN 24

void decode_frame(struct decoder *d, struct cursor c)
{
	size_t at = c.at, here = cursor_here(&c), left = cursor_left(&c);
	char hex[DECODE_HEX];
	unsigned version;

	cursor_take(&c, MAGIC_LEN);
	version = cursor_8(&c);
	cursor_take(&c, 3);
	decode_name(d, "frame");
	decode_layer(d, at, here, "weir frame", "sealed, %zu bytes", left);
	decode_field(d, at + MAGIC_LEN, 1, "version", "%u", version);
	decode_hex(hex, &c, SIGNAL_PAIR_LEN);
	decode_field(d, c.at - SIGNAL_PAIR_LEN, SIGNAL_PAIR_LEN, "pair", "%s", hex);
	decode_say(d, "%s, %zu bytes sealed", hex, left > SIGNAL_HEADER_LEN ? left - SIGNAL_HEADER_LEN : 0);
	if (left < SIGNAL_HEADER_LEN + SIGNAL_TAG_LEN)
		c.bad = true;
	if (decode_ended(d, &c))
		return;
	decode_hex(hex, &c, NONCE_LEN);
	decode_field(d, c.at - NONCE_LEN, NONCE_LEN, "nonce", "%s", hex);
	decode_field(d, c.at, cursor_here(&c), "body", "sealed, %zu bytes; its content is at point signal",
		     cursor_left(&c));
}

/* ---- the body ---- */

static void hex_of(char out[DECODE_HEX], const uint8_t *bytes, size_t len)
{
	struct cursor c = cursor_of(bytes, len, len);

	decode_hex(out, &c, len);
}

/* Ages that nobody has are said as such. */
static void age(char out[32], uint64_t ns)
{
	if (ns == UINT64_MAX)
		snprintf(out, 32, "never");
	else
		snprintf(out, 32, "%.1f s ago", (double)ns / 1e9);
}

static void report(struct decoder *d, const struct signal_report *r)
{
	char received[32], handshake[32];

	age(received, r->last_received_age);
	age(handshake, r->last_handshake_age);
	decode_say(d, "; last heard %s", received);
	decode_field(d, 0, 0, "initiations", "%llu sent, %llu received",
		     (unsigned long long)r->initiations_sent, (unsigned long long)r->initiations_received);
	decode_field(d, 0, 0, "responses", "%llu sent, %llu received", (unsigned long long)r->responses_sent,
		     (unsigned long long)r->responses_received);
	decode_field(d, 0, 0, "handshakes", "%llu, the last %s", (unsigned long long)r->handshakes,
		     handshake);
	decode_field(d, 0, 0, "data", "%llu sent, %llu received, %llu lost, heard %s",
		     (unsigned long long)r->data_sent, (unsigned long long)r->data_received,
		     (unsigned long long)r->packets_lost, received);
	decode_field(d, 0, 0, "refused", "mac1 %llu, timestamp %llu, response %llu, index %llu",
		     (unsigned long long)r->rejected_mac1, (unsigned long long)r->rejected_timestamp,
		     (unsigned long long)r->rejected_response, (unsigned long long)r->rejected_unknown_index);
	decode_field(d, 0, 0, "refused", "undecryptable %llu, source %llu, other %llu",
		     (unsigned long long)r->rejected_undecryptable, (unsigned long long)r->rejected_source,
		     (unsigned long long)r->rejected_other);
	decode_field(d, 0, 0, "sends on", "%s, MTU %u",
		     r->path < PATH_KINDS ? path_kind_name(r->path) : "unknown path", r->mtu);
}

/* The words of weir-protocol(7), short enough for a line. */
static void nat(struct decoder *d, unsigned kind)
{
	static const char *const texts[SIGNAL_NATS] = {
		[SIGNAL_NAT_UNKNOWN] = "not known",
		[SIGNAL_NAT_BLOCKED] = "no STUN server answers",
		[SIGNAL_NAT_OPEN] = "none",
		[SIGNAL_NAT_SAME] = "one port for all destinations",
		[SIGNAL_NAT_VARIES] = "another port for each destination",
		[SIGNAL_NAT_SAME_PORTS] = "one port for two ports of a server",
	};
	const char *text = texts[kind < SIGNAL_NATS ? kind : SIGNAL_NAT_UNKNOWN];

	decode_field(d, 0, 0, "nat", "%u, %s", kind, text);
	decode_say(d, ", NAT: %s", text);
}

static void texts(struct decoder *d, const struct signal_message *m)
{
	char address[ADDRESS_TEXT];

	if (m->has & SIGNAL_HAS_REASON) {
		decode_field(d, 0, 0, "reason", "%s", signal_reason_text(m->reason));
		decode_say(d, ", %s", signal_reason_text(m->reason));
	}
	if (m->has & SIGNAL_HAS_RELAY) {
		decode_field(d, 0, 0, "relay", "%s", m->relay);
		decode_say(d, ", relay %s", m->relay);
	}
	if (m->has & SIGNAL_HAS_CREDENTIALS)
		decode_field(d, 0, 0, "credentials", "user %s", m->ufrag); /* the password is never shown */
	if (m->has & SIGNAL_HAS_OBSERVED) {
		address_format(address, &m->observed);
		decode_field(d, 0, 0, "observed", "%s", address);
		decode_say(d, ", you are seen at %s", address);
	}
	if (m->has & SIGNAL_HAS_PATH)
		decode_field(d, 0, 0, "path", "%s",
			     m->path < PATH_KINDS ? path_kind_name(m->path) : "unknown");
	if (m->has & SIGNAL_HAS_VERSION)
		decode_field(d, 0, 0, "version", "%s", m->version);
	if (m->has & SIGNAL_HAS_NAT)
		nat(d, m->nat);
}

static void numbers(struct decoder *d, const struct signal_message *m)
{
	char hex[DECODE_HEX];

	if (m->has & SIGNAL_HAS_ANSWERED) {
		hex_of(hex, m->answered, sizeof(m->answered));
		decode_field(d, 0, 0, "answers", "session %s", hex);
		decode_say(d, ", answers %s", hex);
	}
	if (m->has & SIGNAL_HAS_ECHO) {
		hex_of(hex, m->echo, sizeof(m->echo));
		decode_field(d, 0, 0, "echo", "%s", hex);
	}
	if (m->has & SIGNAL_HAS_SIZE)
		decode_field(d, 0, 0, "size", "%u bytes arrived", m->size);
	if (m->has & SIGNAL_HAS_COUNTS)
		decode_field(d, 0, 0, "counts", "%llu sent, %llu received", (unsigned long long)m->data_sent,
			     (unsigned long long)m->data_received);
	if (m->has & SIGNAL_HAS_BACK_IN) {
		decode_field(d, 0, 0, "back in", "%u ms", m->back_in_ms);
		decode_say(d, ", back in %u ms", m->back_in_ms);
	}
}

static void flags_text(char out[64], unsigned flags)
{
	snprintf(out, 64, "%s%s%s", flags & SIGNAL_ASK ? ", asks for an answer" : "",
		 flags & SIGNAL_NO_ICE ? ", does no ICE" : "", flags & SIGNAL_RESTARTS ? ", restarts" : "");
}

/* The first part has its place in every body; signal.h describes it. */
static void head(struct decoder *d, struct cursor *c, const struct signal_message *m)
{
	static const uint8_t none[SIGNAL_SESSION_LEN];
	char hex[DECODE_HEX], flags[64];
	size_t at = c->at;

	flags_text(flags, m->flags);
	decode_field(d, at, 2, "type", "%u, %s%s", m->type, signal_type_name(m->type), flags);
	decode_field(d, at + 4, 8, "boot", "%016llx", (unsigned long long)m->boot);
	decode_field(d, at + 12, 8, "started", "%llu.%03llu", (unsigned long long)(m->started / 1000000000),
		     (unsigned long long)(m->started / 1000000 % 1000));
	decode_field(d, at + 20, 8, "sequence", "%llu", (unsigned long long)m->sequence);
	hex_of(hex, m->session, sizeof(m->session));
	if (memcmp(m->session, none, sizeof(none))) {
		decode_field(d, at + 28, 8, "session", "%s", hex);
		decode_say(d, ", session %.6s", hex);
	}
	decode_field(d, at + 36, 4, "generation", "%u", m->generation);
	decode_say(d, "%s", flags);
}

void decode_signal(struct decoder *d, struct cursor c)
{
	struct signal_message m;
	size_t here = cursor_here(&c);

	decode_name(d, "signal");
	if (here < cursor_left(&c)) {
		decode_layer(d, c.at, here, "weir message", "%zu bytes", cursor_left(&c));
		decode_say(d, "%zu bytes, recorded in part", cursor_left(&c));
		return;
	}
	if (signal_decode(c.data + c.at, here, &m)) {
		decode_layer(d, c.at, here, "weir message", "%zu bytes", here);
		decode_wrong(d, c.at, here, "malformed", "no message of this version");
		decode_say(d, "malformed, %zu bytes", here);
		return;
	}
	decode_layer(d, c.at, here, "weir message", "%s, %zu bytes", signal_type_name(m.type), here);
	decode_say(d, "%s", signal_type_name(m.type));
	head(d, &c, &m);
	texts(d, &m);
	numbers(d, &m);
	for (unsigned i = 0; i < m.candidate_count; i++)
		decode_field(d, 0, 0, "candidate", "%s", m.candidates[i]);
	if (m.candidate_count)
		decode_say(d, ", %u %s", m.candidate_count,
			   m.candidate_count == 1 ? "candidate" : "candidates");
	if (m.has & SIGNAL_HAS_REPORT)
		report(d, &m.report);
}
