/* STUN (RFC 8489), and what ICE (RFC 8445), TURN (RFC 8656) and NAT discovery (RFC 5780) say with it. */
#include <arpa/inet.h>
#include <stdio.h>

#include "tap/decode_internal.h"

#define FINGERPRINT  0x8028
#define DATA	     0x0013
#define ADDRESS_ROOM (INET6_ADDRSTRLEN + 8)

enum form {
	BYTES,
	ADDRESS,
	XOR_ADDRESS,
	WORDS,
	NUMBER,
	HEX,
	CHANNEL,
	ERROR_CODE,
	TYPES,
	FLAG,
	CHANGE,
	TRANSPORT
};

struct attribute {
	uint16_t type;
	enum form form;
	const char *name;
	const char *say; /* how it begins in the line of the message; NULL: it is not said there */
};

static const struct attribute attributes[] = {
	{0x0001, ADDRESS, "MAPPED-ADDRESS", NULL},
	{0x0003, CHANGE, "CHANGE-REQUEST", NULL},
	{0x0006, WORDS, "USERNAME", "user "},
	{0x0008, BYTES, "MESSAGE-INTEGRITY", NULL},
	{0x0009, ERROR_CODE, "ERROR-CODE", ""},
	{0x000a, TYPES, "UNKNOWN-ATTRIBUTES", NULL},
	{0x000c, CHANNEL, "CHANNEL-NUMBER", "channel "},
	{0x000d, NUMBER, "LIFETIME", "lifetime "},
	{0x0012, XOR_ADDRESS, "XOR-PEER-ADDRESS", "peer "},
	{DATA, BYTES, "DATA", NULL},
	{0x0014, WORDS, "REALM", NULL},
	{0x0015, WORDS, "NONCE", NULL},
	{0x0016, XOR_ADDRESS, "XOR-RELAYED-ADDRESS", "relayed "},
	{0x0017, HEX, "REQUESTED-FAMILY", NULL},
	{0x0018, BYTES, "EVEN-PORT", NULL},
	{0x0019, TRANSPORT, "REQUESTED-TRANSPORT", NULL},
	{0x001a, FLAG, "DONT-FRAGMENT", NULL},
	{0x001c, BYTES, "MESSAGE-INTEGRITY-256", NULL},
	{0x001d, BYTES, "PASSWORD-ALGORITHM", NULL},
	{0x001e, BYTES, "USERHASH", NULL},
	{0x0020, XOR_ADDRESS, "XOR-MAPPED-ADDRESS", "mapped "},
	{0x0022, BYTES, "RESERVATION-TOKEN", NULL},
	{0x0024, NUMBER, "PRIORITY", NULL},
	{0x0025, FLAG, "USE-CANDIDATE", "USE-CANDIDATE"},
	{0x0026, BYTES, "PADDING", NULL},
	{0x0027, CHANNEL, "RESPONSE-PORT", NULL},
	{0x8002, BYTES, "PASSWORD-ALGORITHMS", NULL},
	{0x8003, WORDS, "ALTERNATE-DOMAIN", NULL},
	{0x8022, WORDS, "SOFTWARE", NULL},
	{0x8023, ADDRESS, "ALTERNATE-SERVER", "try instead "},
	{FINGERPRINT, HEX, "FINGERPRINT", NULL},
	{0x8029, HEX, "ICE-CONTROLLED", NULL},
	{0x802a, HEX, "ICE-CONTROLLING", NULL},
	{0x802b, ADDRESS, "RESPONSE-ORIGIN", NULL},
	{0x802c, ADDRESS, "OTHER-ADDRESS", NULL},
	{0xc057, BYTES, "NETWORK-COST", NULL},
};

static const struct attribute *look_up(uint16_t type)
{
	for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
		if (attributes[i].type == type)
			return &attributes[i];
	return NULL;
}

/* RFC 8489, 14.1 and 14.2: the cookie and the transaction hide the address from NATs that rewrite payloads.
 */
static bool address_text(char out[ADDRESS_ROOM], struct cursor *c, const uint8_t mask[16], bool hidden)
{
	uint8_t address[16];
	unsigned family = cursor_16(c) & 0xff, port = cursor_16(c), len = family == 2 ? 16 : 4;
	char text[INET6_ADDRSTRLEN];

	if ((family != 1 && family != 2) || !cursor_read(c, address, len))
		return false;
	for (unsigned i = 0; hidden && i < len; i++)
		address[i] ^= mask[i];
	if (hidden)
		port ^= (unsigned)mask[0] << 8 | mask[1];
	inet_ntop(family == 2 ? AF_INET6 : AF_INET, address, text, sizeof(text));
	snprintf(out, ADDRESS_ROOM, family == 2 ? "[%s]:%u" : "%s:%u", text, port);
	return true;
}

static void types_text(char out[DECODE_TEXT], struct cursor *c)
{
	size_t n = 0;

	out[0] = '\0';
	while (cursor_here(c) >= 2 && n + 8 < DECODE_TEXT)
		n += (size_t)snprintf(out + n, DECODE_TEXT - n, "%s0x%04x", n ? " " : "", cursor_16(c));
}

static void error_text(char out[DECODE_TEXT], struct cursor *c)
{
	uint32_t code = cursor_32(c);
	char reason[DECODE_TEXT];

	decode_text(reason, c, cursor_here(c));
	snprintf(out, DECODE_TEXT, "%u %.80s", (code >> 8 & 7) * 100 + (code & 0xff), reason);
}

/* The value in words; false: it cannot be one of that form. */
static bool value_text(char out[DECODE_TEXT], const struct attribute *a, struct cursor c,
		       const uint8_t mask[16])
{
	char hex[DECODE_HEX];
	unsigned long long n;
	size_t len;

	switch (a ? a->form : BYTES) {
	case ADDRESS:
	case XOR_ADDRESS:
		return address_text(out, &c, mask, a->form == XOR_ADDRESS);
	case WORDS:
		decode_text(out, &c, cursor_here(&c));
		return !cursor_ended(&c);
	case NUMBER:
	case HEX:
		len = cursor_left(&c);
		n = cursor_big(&c, len == 8 ? 8 : 4);
		snprintf(out, DECODE_TEXT, a->form != HEX ? "%llu" : len == 8 ? "0x%016llx" : "0x%08llx", n);
		return !c.bad;
	case CHANNEL:
		snprintf(out, DECODE_TEXT, "0x%04x", cursor_16(&c));
		return !c.bad;
	case ERROR_CODE:
		error_text(out, &c);
		return !c.bad;
	case TYPES:
		types_text(out, &c);
		return true;
	case FLAG:
		out[0] = '\0';
		return !cursor_left(&c);
	case CHANGE: {
		uint32_t flags = cursor_32(&c);

		snprintf(out, DECODE_TEXT, "%s%s%s", flags & 4 ? "address " : "", flags & 2 ? "port" : "",
			 flags & 6 ? "" : "nothing");
		return !c.bad;
	}
	case TRANSPORT: {
		unsigned protocol = cursor_8(&c);

		snprintf(out, DECODE_TEXT, "%u%s", protocol,
			 protocol == 17	 ? " (UDP)"
			 : protocol == 6 ? " (TCP)"
					 : "");
		return !c.bad;
	}
	case BYTES:
		break;
	}
	len = cursor_left(&c);
	decode_hex(hex, &c, cursor_here(&c));
	snprintf(out, DECODE_TEXT, "%zu bytes%s%s", len, *hex ? ": " : "", hex);
	return true;
}

/* ---- fingerprint ---- */

/* CRC-32 (ITU-T V.42) of all before the attribute, and a constant: RFC 8489, 14.7. */
static uint32_t fingerprint(const uint8_t *at, size_t len)
{
	uint32_t crc = 0xffffffff;

	for (size_t i = 0; i < len; i++) {
		crc ^= at[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
	}
	return ~crc ^ 0x5354554e;
}

static void check_fingerprint(struct decoder *d, const struct cursor *message, struct cursor value)
{
	struct cursor all = *message;
	size_t len = value.at - 4 - message->at;
	const uint8_t *bytes = cursor_take(&all, len);
	uint32_t got = cursor_32(&value);

	if (!bytes || cursor_ended(&value))
		return;
	if (fingerprint(bytes, len) == got)
		decode_field(d, value.at - 4, 4, "FINGERPRINT", "0x%08x, right", got);
	else
		decode_wrong(d, value.at - 4, 4, "FINGERPRINT", "0x%08x, wrong: changed on the way", got);
}

/* ---- messages ---- */

static const char *method_name(unsigned method)
{
	static const char *const names[] = {"method 0",		 "binding",	"method 2", "allocate",
					    "refresh",		 "method 5",	"send",	    "data",
					    "create permission", "channel bind"};

	return method < sizeof(names) / sizeof(names[0]) ? names[method] : "unknown method";
}

/* What a Send or Data indication carries is a message of its own. */
static void carried(struct decoder *d, struct cursor value)
{
	if (d->nesting >= DECODE_NESTING)
		return;
	d->nesting++;
	decode_say(d, ": ");
	decode_keep(d);
	decode_datagram(d, value);
}

/* False at the end. */
static bool attribute(struct decoder *d, const struct cursor *message, struct cursor *c,
		      const uint8_t mask[16], struct cursor *data)
{
	uint16_t type = cursor_16(c), len = cursor_16(c);
	const struct attribute *a = look_up(type);
	struct cursor value = cursor_part(c, len);
	size_t padding = (4u - len % 4u) % 4u;
	char text[DECODE_TEXT], name[16];

	if (cursor_ended(c))
		return false;
	cursor_take(c, padding < cursor_left(c) ? padding : cursor_left(c));
	snprintf(name, sizeof(name), "0x%04x", type);
	if (type == DATA)
		*data = value;
	if (type == FINGERPRINT) {
		check_fingerprint(d, message, value);
	} else if (value_text(text, a, value, mask)) {
		decode_field(d, value.at, len, a ? a->name : name, "%s", text);
		if (a && a->say && cursor_here(&value) == len)
			decode_say(d, ", %s%s", a->say, text);
	} else {
		decode_wrong(d, value.at, len, a ? a->name : name, "%u bytes that are none", len);
	}
	return cursor_left(c);
}

void decode_stun(struct decoder *d, struct cursor c)
{
	static const char *const names[] = {"STUN req", "STUN ind", "STUN ok", "STUN err"};
	static const char *const classes[] = {"request", "indication", "success", "error"};
	struct cursor message = c, data = {0};
	size_t at = c.at;
	unsigned type = cursor_16(&c), len = cursor_16(&c);
	/* The bits of class and method are woven: RFC 8489, 5. */
	unsigned class = (type >> 4 & 1) | (type >> 7 & 2);
	unsigned method = (type & 0xf) | (type >> 1 & 0x70) | (type >> 2 & 0xf80);
	uint8_t mask[16];
	char hex[DECODE_HEX];
	struct cursor look = c;

	cursor_read(&c, mask, sizeof(mask));
	decode_name(d, names[class]);
	decode_say(d, "%s", method_name(method));
	decode_layer(d, at, cursor_here(&message), "STUN", "%s %s, %u bytes of attributes",
		     method_name(method), classes[class], len);
	cursor_take(&look, 4);
	/* Not among the arguments: compilers differ in what they look at first. */
	decode_hex(hex, &look, 12);
	decode_field(d, at + 8, 12, "transaction", "%s", hex);
	if (len != cursor_left(&c)) {
		decode_wrong(d, at + 2, 2, "length", "%u, but there are %zu bytes", len, cursor_left(&c));
		decode_say(d, " (length is wrong)");
	}
	while (cursor_left(&c) && attribute(d, &message, &c, mask, &data))
		;
	decode_ended(d, &c);
	if (data.data)
		carried(d, data);
}

/* RFC 8656, 12.4. Over UDP it may be padded. */
void decode_channel(struct decoder *d, struct cursor c)
{
	size_t at = c.at;
	unsigned number = cursor_16(&c), len = cursor_16(&c);
	struct cursor payload = cursor_part(&c, len);

	decode_name(d, "TURN data");
	decode_layer(d, at, 4, "ChannelData", "channel 0x%04x, %u bytes", number, len);
	decode_say(d, "channel 0x%04x", number);
	if (decode_ended(d, &c) || d->nesting >= DECODE_NESTING)
		return;
	d->nesting++;
	decode_say(d, ", ");
	decode_keep(d);
	decode_datagram(d, payload);
}
