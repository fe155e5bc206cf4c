/* TCP (RFC 9293), UDP (RFC 768), ICMP (RFC 792) and ICMPv6 (RFC 4443, 4861). */
#include <arpa/inet.h>
#include <stdio.h>

#include "tap/decode_internal.h"

#define DNS_PORT  53
#define MDNS_PORT 5353

/* ---- TCP ---- */

static const char *flags_text(char out[12], unsigned flags)
{
	static const char letters[] = "FSRPAUEC";
	size_t n = 0;

	for (unsigned i = 0; i < 8; i++)
		if (flags >> i & 1)
			out[n++] = letters[i];
	out[n] = '\0';
	return n ? out : "none";
}

/* One option. False at the end of them. */
static bool tcp_option(struct decoder *d, struct cursor *c)
{
	size_t at = c->at;
	unsigned kind = cursor_8(c), len;
	uint32_t first, second;
	struct cursor value;

	if (kind == 0 || cursor_ended(c))
		return false;
	if (kind == 1)
		return true;
	len = cursor_8(c);
	if (cursor_ended(c))
		return false;
	if (len < 2) {
		decode_wrong(d, at, 2, "option", "%u of length %u", kind, len);
		return false;
	}
	value = cursor_part(c, len - 2);
	if (cursor_ended(c))
		return false;
	first = len == 4    ? cursor_16(&value)
		: len == 3  ? cursor_8(&value)
		: len >= 10 ? cursor_32(&value)
			    : 0;
	second = len >= 10 ? cursor_32(&value) : 0;
	if (kind == 2 && len == 4)
		decode_detail(d, at, len, "MSS", "%u", first);
	else if (kind == 3 && len == 3)
		decode_detail(d, at, len, "window scale", "%u", first);
	else if (kind == 4 && len == 2)
		decode_detail(d, at, len, "SACK", "permitted");
	else if (kind == 5 && len >= 10)
		decode_detail(d, at, len, "SACK", "%u to %u%s", first, second, len > 10 ? ", and more" : "");
	else if (kind == 8 && len == 10)
		decode_detail(d, at, len, "timestamps", "%u echo %u", first, second);
	else
		decode_detail(d, at, len, "option", "%u, %u bytes", kind, len);
	return true;
}

static void tcp_fields(struct decoder *d, struct cursor *c, size_t at, unsigned head)
{
	struct cursor options;

	if (head < 20) {
		decode_wrong(d, at + 12, 1, "header", "%u bytes: impossible", head);
		decode_say(d, " (impossible header)");
		return;
	}
	options = cursor_part(c, head - 20);
	if (head > 20)
		decode_field(d, at + 20, head - 20, "options", "%u bytes", head - 20);
	while (cursor_left(&options) && tcp_option(d, &options))
		;
	if (options.bad)
		decode_wrong(d, at + 20, head - 20, "options", "one is longer than they all");
}

void decode_tcp(struct decoder *d, struct cursor c)
{
	size_t at = c.at;
	unsigned from = cursor_16(&c), to = cursor_16(&c);
	uint32_t seq = cursor_32(&c), ack = cursor_32(&c);
	unsigned bits = cursor_16(&c), window = cursor_16(&c), sum = cursor_16(&c), urgent = cursor_16(&c);
	char flags[12];

	decode_name(d, "TCP");
	decode_say(d, "%s:%u > %s:%u", d->from, from, d->to, to);
	decode_layer(d, at, (bits >> 12) * 4, "TCP", "%u > %u", from, to);
	if (decode_ended(d, &c))
		return;
	decode_say(d, " %s seq %u", flags_text(flags, bits & 0xff), seq);
	if (bits & 0x10)
		decode_say(d, " ack %u", ack);
	decode_field(d, at + 13, 1, "flags", "%s", flags_text(flags, bits & 0xff));
	decode_field(d, at + 4, 4, "sequence", "%u", seq);
	decode_field(d, at + 8, 4, "acknowledges", "%u", ack);
	decode_field(d, at + 14, 2, "window", "%u", window);
	decode_field(d, at + 16, 2, "checksum", "0x%04x", sum);
	if (bits & 0x20)
		decode_field(d, at + 18, 2, "urgent", "%u", urgent);
	tcp_fields(d, &c, at, (bits >> 12) * 4);
	if (cursor_left(&c))
		decode_say(d, " len %zu", cursor_left(&c));
	decode_rest(d, &c, "payload");
	if ((from == DNS_PORT || to == DNS_PORT) && cursor_here(&c) > 14) {
		cursor_16(&c); /* its length: RFC 1035, 4.2.2 */
		decode_say(d, ", ");
		decode_keep(d);
		decode_dns(d, c);
	}
}

/* ---- UDP ---- */

static void udp_payload(struct decoder *d, struct cursor c, unsigned from, unsigned to)
{
	size_t len = cursor_left(&c);
	enum datagram kind = len ? decode_datagram_kind(&c) : DATAGRAM_OTHER;

	/* A tunnel in ours, or a call: only what is unlike anything else, since the ports say nothing. */
	bool sure = kind == DATAGRAM_STUN ||
		    (kind == DATAGRAM_WIREGUARD &&
		     (len == 148 || len == 92 || len == 64 || (len >= 32 && len % 16 == 0)));

	if (from == DNS_PORT || to == DNS_PORT || from == MDNS_PORT || to == MDNS_PORT) {
		decode_dns(d, c);
	} else if (sure && d->nesting < DECODE_NESTING) {
		d->nesting++;
		decode_datagram(d, c);
	} else {
		decode_say(d, "%zu bytes", len);
		decode_rest(d, &c, "payload");
	}
}

void decode_udp(struct decoder *d, struct cursor c)
{
	struct cursor payload;
	size_t at = c.at;
	unsigned from = cursor_16(&c), to = cursor_16(&c), len = cursor_16(&c), sum = cursor_16(&c);
	size_t there = cursor_left(&c);

	decode_name(d, "UDP");
	decode_say(d, "%s:%u > %s:%u ", d->from, from, d->to, to);
	decode_keep(d);
	decode_layer(d, at, 8, "UDP", "%u > %u, %u bytes", from, to, len);
	if (decode_ended(d, &c))
		return;
	decode_field(d, at + 6, 2, "checksum", "0x%04x%s", sum, sum ? "" : ", none");
	if (d->quoted)
		return;
	/* The first of several fragments ends earlier than it says. */
	if (len < 8) {
		decode_wrong(d, at + 4, 2, "length", "%u: impossible", len);
		decode_say(d, "(impossible length)");
		return;
	}
	payload = cursor_part(&c, len - 8u < there ? len - 8u : there);
	udp_payload(d, payload, from, to);
}

/* ---- ICMP ---- */

/* An error quotes the packet that it is about (its header and a bit): "..., about 10.9.0.1:443
 * > 10.9.0.21:51514". */
static void quote(struct decoder *d, struct cursor c)
{
	char mine[sizeof(d->out->info)], theirs[sizeof(d->out->info)], protocol[sizeof(d->out->protocol)];
	size_t prefix = d->prefix;

	if (d->nesting++ >= DECODE_NESTING || !cursor_left(&c))
		return;
	memcpy(mine, d->out->info, sizeof(mine));
	memcpy(protocol, d->out->protocol, sizeof(protocol));
	d->quoted = true;
	d->prefix = 0;
	decode_ip(d, c);
	d->prefix = prefix;
	memcpy(theirs, d->out->info, sizeof(theirs));
	snprintf(d->out->info, sizeof(d->out->info), "%.110s, about %.80s", mine, theirs);
	memcpy(d->out->protocol, protocol, sizeof(protocol));
}

struct icmp_type {
	uint8_t type;
	const char *name;
	bool error; /* it quotes a packet */
};

static const struct icmp_type types4[] = {
	{0, "echo reply", false},	    {3, "unreachable", true},
	{4, "source quench", true},	    {5, "redirect", true},
	{8, "echo request", false},	    {9, "router advertisement", false},
	{10, "router solicitation", false}, {11, "time exceeded", true},
	{12, "parameter problem", true},    {13, "timestamp", false},
	{14, "timestamp reply", false},
};

static const struct icmp_type types6[] = {
	{1, "unreachable", true},
	{2, "packet too big", true},
	{3, "time exceeded", true},
	{4, "parameter problem", true},
	{128, "echo request", false},
	{129, "echo reply", false},
	{130, "listener query", false},
	{131, "listener report", false},
	{132, "listener done", false},
	{133, "router solicitation", false},
	{134, "router advertisement", false},
	{135, "neighbour solicitation", false},
	{136, "neighbour advertisement", false},
	{137, "redirect", false},
	{143, "listener report", false},
};

static const char *const unreachable4[] = {
	"network unreachable",	    "host unreachable",	     "protocol unreachable",
	"port unreachable",	    "fragmentation needed",  "source route failed",
	"network unknown",	    "host unknown",	     "host isolated",
	"network forbidden",	    "host forbidden",	     "network unreachable for TOS",
	"host unreachable for TOS", "forbidden by a filter", "host precedence",
	"precedence too low",
};

static const char *const unreachable6[] = {
	"no route",	    "forbidden by a filter", "beyond scope",   "address unreachable",
	"port unreachable", "source forbidden",	     "route rejected",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct icmp_type *icmp_type(const struct icmp_type *types, size_t count, unsigned type)
{
	static const struct icmp_type other = {0, "ICMP", false};

	for (size_t i = 0; i < count; i++)
		if (types[i].type == type)
			return &types[i];
	return &other;
}

static const char *icmp_words(const struct icmp_type *t, unsigned type, unsigned code, bool six)
{
	if (!six && type == 3 && code < COUNT(unreachable4))
		return unreachable4[code];
	if (six && type == 1 && code < COUNT(unreachable6))
		return unreachable6[code];
	return t->name;
}

static void icmp_neighbour(struct decoder *d, struct cursor *c)
{
	uint8_t target[16];
	char text[INET6_ADDRSTRLEN];
	size_t at;

	cursor_32(c);
	at = c->at;
	if (!cursor_read(c, target, sizeof(target)))
		return;
	inet_ntop(AF_INET6, target, text, sizeof(text));
	decode_field(d, at, 16, "target", "%s", text);
	decode_say(d, " of %s", text);
}

static void icmp_body(struct decoder *d, struct cursor *c, const struct icmp_type *t, unsigned type,
		      unsigned code, bool six)
{
	size_t at = c->at;
	bool echo = six ? type == 128 || type == 129 : type == 0 || type == 8;
	unsigned first, second;

	if (six && (type == 135 || type == 136)) {
		icmp_neighbour(d, c);
		return;
	}
	first = cursor_16(c);
	second = cursor_16(c);
	if (cursor_ended(c))
		return;
	if (echo) {
		decode_field(d, at, 4, "echo", "id %u, sequence %u", first, second);
		decode_say(d, " id %u seq %u", first, second);
	} else if (six ? type == 2 : type == 3 && code == 4) {
		second |= six ? first << 16 : 0;
		decode_field(d, at, 4, "MTU", "%u", second);
		decode_say(d, ", MTU %u", second);
	}
	if (t->error)
		quote(d, *c);
	else
		decode_rest(d, c, "payload");
}

static void icmp(struct decoder *d, struct cursor c, bool six)
{
	size_t at = c.at;
	unsigned type = cursor_8(&c), code = cursor_8(&c), sum = cursor_16(&c);
	const struct icmp_type *t =
		six ? icmp_type(types6, COUNT(types6), type) : icmp_type(types4, COUNT(types4), type);
	const char *words = icmp_words(t, type, code, six);

	decode_name(d, six ? "ICMPv6" : "ICMP");
	decode_say(d, "%s > %s %s", d->from, d->to, words);
	decode_layer(d, at, 8, six ? "ICMPv6" : "ICMP", "%s, type %u code %u", words, type, code);
	decode_field(d, at + 2, 2, "checksum", "0x%04x", sum);
	icmp_body(d, &c, t, type, code, six);
	decode_ended(d, &c);
}

void decode_icmp(struct decoder *d, struct cursor c)
{
	icmp(d, c, false);
}

void decode_icmp6(struct decoder *d, struct cursor c)
{
	icmp(d, c, true);
}
