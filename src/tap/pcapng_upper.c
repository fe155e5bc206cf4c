/*
 * Messages that are in no datagram of their own, for LINKTYPE_WIRESHARK_UPPER_PDU: tags (type and length of
 * 16 bits, big-endian, as in Wireshark's epan/exported_pdu.h) say which dissector opens them, and between
 * whom they went.
 */
#include <string.h>

#include "relay/wire.h"
#include "signal/signal.h"
#include "tap/decode_internal.h"
#include "tap/pcapng_internal.h"

enum tag {
	TAG_END = 0,
	TAG_DISSECTOR = 12,
	TAG_IPV4_FROM = 20,
	TAG_IPV4_TO = 21,
	TAG_IPV6_FROM = 22,
	TAG_IPV6_TO = 23,
	TAG_PORT_TYPE = 24,
	TAG_PORT_FROM = 25,
	TAG_PORT_TO = 26,
};

#define PORT_TYPE_UDP 3

static void put_tag(struct capture_body *b, enum tag tag, const void *value, size_t len)
{
	uint8_t *at = b->head + b->head_len;
	size_t room = (len + 3) / 4 * 4;

	if (b->head_len + 4 + room > CAPTURE_HEAD_MAX - 4) /* the end of the tags must fit */
		return;
	memset(at, 0, 4 + room);
	at[1] = tag;
	at[3] = (uint8_t)room;
	if (len)
		memcpy(at + 4, value, len);
	b->head_len += 4 + room;
}

static void put_port(struct capture_body *b, enum tag tag, in_port_t port)
{
	uint8_t value[4] = {0};

	memcpy(value + 2, &port, 2);
	put_tag(b, tag, value, 4);
}

static void put_host(struct capture_body *b, bool to, const union address *a)
{
	if (a->sa.sa_family == AF_INET6)
		put_tag(b, to ? TAG_IPV6_TO : TAG_IPV6_FROM, &a->in6.sin6_addr, 16);
	else
		put_tag(b, to ? TAG_IPV4_TO : TAG_IPV4_FROM, &a->in.sin_addr, 4);
}

/* WireGuard's dissector follows sessions by addresses: the server's stands for the peer behind it. */
static void put_ends(struct capture_body *b, const struct tap_meta *m)
{
	static const uint8_t udp[4] = {0, 0, 0, PORT_TYPE_UDP};
	union address local = {.in6 = {.sin6_family = m->remote.sa.sa_family}};

	if (m->remote.sa.sa_family == AF_UNSPEC)
		return;
	if (m->local.sa.sa_family == m->remote.sa.sa_family)
		local = m->local;
	put_host(b, false, m->out ? &local : &m->remote);
	put_host(b, true, m->out ? &m->remote : &local);
	put_tag(b, TAG_PORT_TYPE, udp, 4);
	put_port(b, TAG_PORT_FROM, m->out ? local.in.sin_port : m->remote.in.sin_port);
	put_port(b, TAG_PORT_TO, m->out ? m->remote.in.sin_port : local.in.sin_port);
}

static void finish(struct capture_body *b, const struct tap_meta *m, const char *dissector)
{
	put_tag(b, TAG_DISSECTOR, dissector, strlen(dissector));
	put_ends(b, m);
	memset(b->head + b->head_len, 0, 4);
	b->head_len += 4;
}

/* ---- relay ---- */

/* A transport message's payload stands alone where it is WireGuard; all else is bytes. */
static const char *relay(struct capture_body *b)
{
	struct cursor c;

	if (b->len <= RELAY_TRANSPORT_LEN || b->data[1] != RELAY_TRANSPORT)
		return "data";
	c = cursor_of(b->data + RELAY_TRANSPORT_LEN, b->len - RELAY_TRANSPORT_LEN,
		      b->whole - RELAY_TRANSPORT_LEN);
	if (decode_datagram_kind(&c) != DATAGRAM_WIREGUARD)
		return "data";
	b->data += RELAY_TRANSPORT_LEN;
	b->len -= RELAY_TRANSPORT_LEN;
	b->whole -= RELAY_TRANSPORT_LEN;
	return "wg";
}

/* ---- signal ---- */

static void add_text(struct strbuf *s, const char *name, const char *text)
{
	strbuf_add(s, ",\"%s\":\"", name);
	for (; *text; text++) /* printable ASCII: signal_decode takes nothing else */
		strbuf_add(s, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
	strbuf_add(s, "\"");
}

static void add_hex(struct strbuf *s, const char *name, const uint8_t *bytes, size_t len)
{
	strbuf_add(s, ",\"%s\":\"", name);
	for (size_t i = 0; i < len; i++)
		strbuf_add(s, "%02x", bytes[i]);
	strbuf_add(s, "\"");
}

static void add_number(struct strbuf *s, const char *name, uint64_t n)
{
	strbuf_add(s, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void add_report(struct strbuf *s, const struct signal_report *r)
{
	strbuf_add(s, ",\"report\":{\"wall\":%llu", (unsigned long long)r->wall);
	add_number(s, "initiationsSent", r->initiations_sent);
	add_number(s, "initiationsReceived", r->initiations_received);
	add_number(s, "responsesSent", r->responses_sent);
	add_number(s, "responsesReceived", r->responses_received);
	add_number(s, "handshakes", r->handshakes);
	add_number(s, "dataSent", r->data_sent);
	add_number(s, "dataReceived", r->data_received);
	add_number(s, "rejectedMac1", r->rejected_mac1);
	add_number(s, "rejectedTimestamp", r->rejected_timestamp);
	add_number(s, "rejectedResponse", r->rejected_response);
	add_number(s, "rejectedUnknownIndex", r->rejected_unknown_index);
	add_number(s, "rejectedUndecryptable", r->rejected_undecryptable);
	add_number(s, "rejectedSource", r->rejected_source);
	add_number(s, "rejectedOther", r->rejected_other);
	add_number(s, "packetsLost", r->packets_lost);
	add_number(s, "mtu", r->mtu);
	if (r->path < PATH_KINDS)
		add_text(s, "path", path_kind_name(r->path));
	strbuf_add(s, "}");
}

static void add_optional(struct strbuf *s, const struct signal_message *m)
{
	char address[ADDRESS_TEXT];

	if (m->has & SIGNAL_HAS_REASON)
		add_text(s, "reason", signal_reason_name(m->reason));
	if (m->has & SIGNAL_HAS_CREDENTIALS)
		add_text(s, "ufrag", m->ufrag); /* the password never */
	if (m->has & SIGNAL_HAS_RELAY)
		add_text(s, "relay", m->relay);
	if (m->has & SIGNAL_HAS_ANSWERED)
		add_hex(s, "answered", m->answered, sizeof(m->answered));
	if (m->has & SIGNAL_HAS_ECHO)
		add_hex(s, "echo", m->echo, sizeof(m->echo));
	if (m->has & SIGNAL_HAS_OBSERVED)
		add_text(s, "observed", address_format(address, &m->observed));
	if (m->has & SIGNAL_HAS_SIZE)
		add_number(s, "size", m->size);
	if (m->has & SIGNAL_HAS_COUNTS) {
		add_number(s, "dataSent", m->data_sent);
		add_number(s, "dataReceived", m->data_received);
	}
	if (m->has & SIGNAL_HAS_BACK_IN)
		add_number(s, "backInMs", m->back_in_ms);
	if (m->has & SIGNAL_HAS_PATH && m->path < PATH_KINDS)
		add_text(s, "path", path_kind_name(m->path));
	if (m->has & SIGNAL_HAS_VERSION)
		add_text(s, "version", m->version);
	if (m->has & SIGNAL_HAS_REPORT)
		add_report(s, &m->report);
}

static const char *signal_json(struct capture_body *b)
{
	struct signal_message m;
	struct strbuf *s = &b->made;

	if (b->len < b->whole || signal_decode(b->data, b->len, &m))
		return "data";
	strbuf_add(s, "{\"type\":\"%s\"", signal_type_name(m.type));
	strbuf_add(s, ",\"ask\":%s,\"noIce\":%s,\"restarts\":%s", m.flags & SIGNAL_ASK ? "true" : "false",
		   m.flags & SIGNAL_NO_ICE ? "true" : "false", m.flags & SIGNAL_RESTARTS ? "true" : "false");
	strbuf_add(s, ",\"boot\":\"%016llx\"", (unsigned long long)m.boot);
	add_number(s, "sequence", m.sequence);
	add_hex(s, "session", m.session, sizeof(m.session));
	add_number(s, "generation", m.generation);
	add_optional(s, &m);
	for (unsigned i = 0; i < m.candidate_count; i++) {
		strbuf_add(s, "%s{\"n\":%u", i ? "," : ",\"candidates\":[", i + 1);
		add_text(s, "sdp", m.candidates[i]);
		strbuf_add(s, "}");
	}
	strbuf_add(s, m.candidate_count ? "]}" : "}");
	b->data = (const uint8_t *)s->text;
	b->len = b->whole = s->len;
	return "json";
}

void capture_upper(struct capture_body *b, const struct tap_meta *m)
{
	finish(b, m, m->point == TAP_RELAY ? relay(b) : signal_json(b));
}
