/* IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers, fragments, and IP in IP. */
#include <arpa/inet.h>
#include <stdio.h>

#include "tap/decode_internal.h"

#define EXTENSIONS_MAX 8

enum protocol {
	HOP_BY_HOP = 0,
	ICMP = 1,
	IPV4 = 4,
	TCP = 6,
	UDP = 17,
	IPV6 = 41,
	ROUTING = 43,
	FRAGMENT = 44,
	ESP = 50,
	AH = 51,
	ICMP6 = 58,
	NOTHING = 59,
	OPTIONS = 60,
	MOBILITY = 135,
};

static const char *protocol_name(unsigned protocol)
{
	static const struct {
		uint8_t number;
		const char *name;
	} names[] = {
		{ICMP, "ICMP"},
		{2, "IGMP"},
		{IPV4, "IPv4"},
		{TCP, "TCP"},
		{UDP, "UDP"},
		{IPV6, "IPv6"},
		{47, "GRE"},
		{ESP, "ESP"},
		{AH, "AH"},
		{ICMP6, "ICMPv6"},
		{89, "OSPF"},
		{103, "PIM"},
		{112, "VRRP"},
		{132, "SCTP"},
		{HOP_BY_HOP, "options"},
		{ROUTING, "routing"},
		{FRAGMENT, "fragment"},
		{NOTHING, "nothing"},
		{OPTIONS, "options"},
		{MOBILITY, "mobility"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].number == protocol)
			return names[i].name;
	return "IP";
}

/* The traffic class: DSCP by its name (RFC 2474, 2597, 3246), and ECN (RFC 3168). */
static const char *class_name(char out[24], unsigned tos)
{
	static const char *const ecn[] = {"", " ECT(1)", " ECT(0)", " CE"};
	unsigned dscp = tos >> 2;

	if (dscp == 46)
		snprintf(out, 24, " (EF)%s", ecn[tos & 3]);
	else if (dscp && dscp % 8 == 0)
		snprintf(out, 24, " (CS%u)%s", dscp / 8, ecn[tos & 3]);
	else if (dscp >= 10 && dscp <= 38 && dscp % 2 == 0)
		snprintf(out, 24, " (AF%u%u)%s", dscp / 8, dscp % 8 / 2, ecn[tos & 3]);
	else
		snprintf(out, 24, "%s", ecn[tos & 3]);
	return out;
}

static void upper(struct decoder *d, struct cursor c, unsigned protocol)
{
	switch (protocol) {
	case TCP:
		decode_tcp(d, c);
		return;
	case UDP:
		decode_udp(d, c);
		return;
	case ICMP:
		decode_icmp(d, c);
		return;
	case ICMP6:
		decode_icmp6(d, c);
		return;
	case IPV4:
	case IPV6:
		if (d->nesting++ >= DECODE_NESTING)
			break;
		decode_say(d, "%s > %s: ", d->from, d->to);
		decode_keep(d);
		decode_ip(d, c);
		return;
	default:
		break;
	}
	decode_name(d, protocol_name(protocol));
	decode_say(d, "%s > %s protocol %u, %zu bytes", d->from, d->to, protocol, cursor_left(&c));
	decode_rest(d, &c, "payload");
}

/* Not the first piece: what is in it has no header. */
static void piece(struct decoder *d, struct cursor c, unsigned protocol, unsigned offset, uint32_t id)
{
	decode_name(d, protocol_name(protocol));
	decode_say(d, "%s > %s fragment at %u, id 0x%04x, %zu bytes", d->from, d->to, offset, id,
		   cursor_left(&c));
	decode_rest(d, &c, "fragment");
}

/* ---- IPv4 ---- */

static void check_sum(struct decoder *d, struct cursor header)
{
	size_t at = header.at + 10;
	uint32_t sum = 0;
	uint16_t got = 0;

	for (unsigned i = 0; cursor_here(&header) >= 2; i++) {
		uint16_t word = cursor_16(&header);

		got = i == 5 ? word : got;
		sum += word;
	}
	if (cursor_left(&header)) /* not all of it was recorded */
		return;
	sum = (sum & 0xffff) + (sum >> 16);
	sum += sum >> 16;
	if ((sum & 0xffff) == 0xffff)
		decode_field(d, at, 2, "checksum", "0x%04x, right", got);
	else if (d->quoted) /* routers change what they quote */
		decode_field(d, at, 2, "checksum", "0x%04x", got);
	else
		decode_wrong(d, at, 2, "checksum", "0x%04x, wrong", got);
}

/* The rest of the packet behind its header, as long as the header says. */
static struct cursor payload_of(struct decoder *d, struct cursor *c, size_t at, size_t says)
{
	size_t there = cursor_left(c);

	if (says > there && !d->quoted) {
		decode_wrong(d, at, 2, "length", "%zu bytes are missing", says - there);
		decode_say(d, "(%zu bytes missing) ", says - there);
	} else if (says < there) {
		decode_field(d, at, 2, "trailing", "%zu bytes behind the packet", there - says);
	}
	return cursor_part(c, says < there ? says : there);
}

static void ipv4(struct decoder *d, struct cursor c)
{
	struct cursor header = c, payload;
	size_t at = c.at;
	unsigned head = (cursor_8(&c) & 0xf) * 4u, tos = cursor_8(&c), total = cursor_16(&c),
		 id = cursor_16(&c);
	unsigned piece_of = cursor_16(&c), ttl = cursor_8(&c), protocol = cursor_8(&c),
		 offset = (piece_of & 0x1fff) * 8;
	uint8_t from[4], to[4];
	char class[24];

	cursor_16(&c);
	cursor_read(&c, from, 4);
	cursor_read(&c, to, 4);
	inet_ntop(AF_INET, from, d->from, sizeof(d->from));
	inet_ntop(AF_INET, to, d->to, sizeof(d->to));
	decode_name(d, "IPv4");
	if (cursor_ended(&c)) {
		decode_layer(d, at, c.end - at, "IPv4", "%zu bytes", c.whole - at);
		decode_say(d, "without a whole header");
		decode_ended(d, &c);
		return;
	}
	decode_layer(d, at, head, "IPv4", "%s > %s, %u bytes", d->from, d->to, total);
	decode_field(d, at + 1, 8, "ttl", "%u  tos 0x%02x%s  id 0x%04x%s%s%s", ttl, tos,
		     class_name(class, tos), id, piece_of & 0x4000 ? "  df" : "",
		     piece_of & 0x2000 ? "  mf" : "", piece_of & 0x8000 ? "  evil" : "");
	if (offset || piece_of & 0x2000)
		decode_field(d, at + 6, 2, "fragment", "at %u%s", offset,
			     piece_of & 0x2000 ? ", more follow" : ", the last");
	decode_field(d, at + 9, 1, "protocol", "%u, %s", protocol, protocol_name(protocol));
	if (head < 20 || total < head) {
		decode_wrong(d, at, 4, "length", "header %u, packet %u: impossible", head, total);
		decode_say(d, "%s > %s (impossible lengths)", d->from, d->to);
		return;
	}
	check_sum(d, cursor_part(&header, head));
	if (head > 20) {
		decode_field(d, c.at, head - 20, "options", "%u bytes", head - 20);
		cursor_take(&c, head - 20);
	}
	if (decode_ended(d, &c))
		return;
	payload = payload_of(d, &c, at + 2, total - head);
	if (offset)
		piece(d, payload, protocol, offset, id);
	else
		upper(d, payload, protocol);
}

/* ---- IPv6 ---- */

/* One extension header; false when what follows is no more of them. */
static bool extension(struct decoder *d, struct cursor *c, unsigned *protocol)
{
	size_t at = c->at, len;
	unsigned kind = *protocol;

	if (kind != HOP_BY_HOP && kind != ROUTING && kind != OPTIONS && kind != MOBILITY && kind != AH)
		return false;
	*protocol = cursor_8(c);
	len = cursor_8(c);
	len = kind == AH ? (len + 2) * 4 : (len + 1) * 8; /* RFC 4302 counts in another way than RFC 8200 */
	cursor_take(c, len - 2);
	decode_field(d, at, len, "extension", "%s, %zu bytes, then %s", protocol_name(kind), len,
		     protocol_name(*protocol));
	return !cursor_ended(c);
}

static void fragment6(struct decoder *d, struct cursor *c)
{
	size_t at = c->at;
	unsigned protocol = cursor_8(c), offset;
	uint32_t id;

	cursor_8(c);
	offset = cursor_16(c);
	id = cursor_32(c);
	decode_field(d, at, 8, "fragment", "at %u%s, id 0x%08x, then %s", offset & 0xfff8,
		     offset & 1 ? ", more follow" : ", the last", id, protocol_name(protocol));
	if (decode_ended(d, c))
		return;
	if (offset & 0xfff8)
		piece(d, *c, protocol, offset & 0xfff8, id);
	else
		upper(d, *c, protocol);
}

static void ipv6(struct decoder *d, struct cursor c)
{
	struct cursor payload;
	size_t at = c.at;
	uint32_t first = cursor_32(&c);
	unsigned len = cursor_16(&c), protocol = cursor_8(&c), hops = cursor_8(&c), tos = first >> 20 & 0xff;
	uint8_t from[16], to[16];
	char class[24];

	cursor_read(&c, from, 16);
	cursor_read(&c, to, 16);
	inet_ntop(AF_INET6, from, d->from, sizeof(d->from));
	inet_ntop(AF_INET6, to, d->to, sizeof(d->to));
	decode_name(d, "IPv6");
	if (cursor_ended(&c)) {
		decode_layer(d, at, c.end - at, "IPv6", "%zu bytes", c.whole - at);
		decode_say(d, "without a whole header");
		decode_ended(d, &c);
		return;
	}
	decode_layer(d, at, 40, "IPv6", "%s > %s, %u bytes", d->from, d->to, len + 40);
	decode_field(d, at, 8, "hop limit", "%u  class 0x%02x%s  flow 0x%05x", hops, tos,
		     class_name(class, tos), first & 0xfffff);
	decode_field(d, at + 6, 1, "next", "%u, %s", protocol, protocol_name(protocol));
	payload = payload_of(d, &c, at + 4, len);
	for (unsigned i = 0; i < EXTENSIONS_MAX && extension(d, &payload, &protocol); i++)
		;
	if (decode_ended(d, &payload))
		return;
	if (protocol == FRAGMENT)
		fragment6(d, &payload);
	else
		upper(d, payload, protocol);
}

void decode_ip(struct decoder *d, struct cursor c)
{
	struct cursor look = c;
	unsigned version = cursor_8(&look) >> 4;

	if (version == 4) {
		ipv4(d, c);
		return;
	}
	if (version == 6) {
		ipv6(d, c);
		return;
	}
	decode_name(d, "IP");
	decode_layer(d, c.at, cursor_here(&c), "IP", "%zu bytes", cursor_left(&c));
	if (!decode_ended(d, &look)) {
		decode_wrong(d, c.at, 1, "version", "%u: no IP packet", version);
		decode_say(d, "no IP packet: version %u", version);
	}
}
