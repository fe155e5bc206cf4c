/* DNS (RFC 1035), in short: what is asked, and what the answer says. mDNS, too. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/log.h"
#include "tap/decode_internal.h"

#define NAME_ROOM 72
#define JUMPS_MAX 16
#define SHOWN_MAX 12 /* records of a message */
#define TYPE_A	  1
#define TYPE_AAAA 28
#define TYPE_OPT  41

struct record {
	char name[NAME_ROOM], value[DECODE_TEXT];
	unsigned type, class;
	uint32_t ttl;
};

static const char *type_name(char out[12], unsigned type)
{
	static const struct {
		uint16_t type;
		const char *name;
	} types[] = {
		{1, "A"},      {2, "NS"},    {5, "CNAME"},   {6, "SOA"},    {12, "PTR"},   {15, "MX"},
		{16, "TXT"},   {28, "AAAA"}, {33, "SRV"},    {35, "NAPTR"}, {41, "OPT"},   {43, "DS"},
		{46, "RRSIG"}, {47, "NSEC"}, {48, "DNSKEY"}, {64, "SVCB"},  {65, "HTTPS"}, {255, "ANY"},
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].type == type)
			return types[i].name;
	snprintf(out, 12, "TYPE%u", type);
	return out;
}

static const char *code_name(char out[12], unsigned code)
{
	static const char *const names[] = {"NOERROR",	"FORMERR", "SERVFAIL",
					    "NXDOMAIN", "NOTIMP",  "REFUSED"};

	if (code < sizeof(names) / sizeof(names[0]))
		return names[code];
	snprintf(out, 12, "RCODE%u", code);
	return out;
}

static void add_label(char out[NAME_ROOM], struct cursor *c, size_t len)
{
	const uint8_t *label = cursor_take(c, len);
	size_t n = strlen(out);

	if (!label || n + 2 >= NAME_ROOM)
		return;
	if (n)
		out[n++] = '.';
	log_visible(out + n, NAME_ROOM - n, (const char *)label, len);
}

/* A name with its pointers (RFC 1035, 4.1.4), which may only lead back, and not often: a loop ends. */
static void read_name(char out[NAME_ROOM], const struct cursor *message, struct cursor *c)
{
	struct cursor walk = *c;
	size_t total = 0;
	bool jumped = false;

	out[0] = '\0';
	for (unsigned jumps = 0; jumps < JUMPS_MAX;) {
		size_t at = walk.at;
		unsigned len = cursor_8(&walk);

		if (len >= 0xc0) {
			size_t target = message->at + ((len & 0x3f) << 8 | cursor_8(&walk));

			if (!jumped)
				*c = walk;
			jumped = true;
			jumps++;
			if (cursor_ended(&walk) || target >= at)
				break;
			walk = *message;
			walk.at = target;
			continue;
		}
		total += len + 1;
		if (len > 63 || total > 255)
			walk.bad = true; /* RFC 1035, 2.3.4 */
		if (!len || cursor_ended(&walk))
			break;
		add_label(out, &walk, len);
	}
	if (!jumped)
		*c = walk;
	if (!out[0])
		snprintf(out, NAME_ROOM, ".");
}

static void read_value(struct record *r, const struct cursor *message, struct cursor data)
{
	uint8_t address[16];
	char name[NAME_ROOM];
	unsigned first;

	switch (r->type) {
	case TYPE_A:
	case TYPE_AAAA:
		if (cursor_read(&data, address, r->type == TYPE_A ? 4 : 16))
			inet_ntop(r->type == TYPE_A ? AF_INET : AF_INET6, address, r->value,
				  sizeof(r->value));
		return;
	case 2:
	case 5:
	case 6:
	case 12:
		read_name(name, message, &data);
		snprintf(r->value, sizeof(r->value), "%s", name);
		return;
	case 15:
		first = cursor_16(&data);
		read_name(name, message, &data);
		snprintf(r->value, sizeof(r->value), "%u %s", first, name);
		return;
	case 33:
		cursor_32(&data);
		first = cursor_16(&data);
		read_name(name, message, &data);
		snprintf(r->value, sizeof(r->value), "%s:%u", name, first);
		return;
	case 16:
		first = cursor_8(&data);
		decode_text(r->value, &data, first < cursor_here(&data) ? first : cursor_here(&data));
		return;
	default:
		snprintf(r->value, sizeof(r->value), "%zu bytes", cursor_left(&data));
	}
}

static bool read_record(struct record *r, const struct cursor *message, struct cursor *c, bool question)
{
	struct cursor data;

	*r = (struct record){.ttl = 0};
	read_name(r->name, message, c);
	r->type = cursor_16(c);
	r->class = cursor_16(c);
	if (question)
		return !cursor_ended(c);
	r->ttl = cursor_32(c);
	data = cursor_part(c, cursor_16(c));
	read_value(r, message, data);
	return !cursor_ended(c);
}

/* One section. The first record of the questions and of the answers is said in the line of the packet. */
static bool section(struct decoder *d, const struct cursor *message, struct cursor *c, const char *label,
		    unsigned count)
{
	bool question = label[0] == 'q', say = question || !strcmp(label, "answer");
	struct record r;
	char buffer[12];

	for (unsigned i = 0; i < count; i++) {
		size_t at = c->at;

		if (!read_record(&r, message, c, question))
			return false;
		if (i < SHOWN_MAX && r.type != TYPE_OPT) {
			if (question)
				decode_field(d, at, c->at - at, label, "%s %s", type_name(buffer, r.type),
					     r.name);
			else
				decode_field(d, at, c->at - at, label, "%s %s %.40s ttl %u",
					     type_name(buffer, r.type), r.name, r.value, r.ttl);
		}
		if (i || !say)
			continue;
		if (question)
			decode_say(d, " %s %s", type_name(buffer, r.type), r.name);
		else
			decode_say(d, ": %s%s%s",
				   r.type == TYPE_A || r.type == TYPE_AAAA ? "" : type_name(buffer, r.type),
				   r.type == TYPE_A || r.type == TYPE_AAAA ? "" : " ", r.value);
	}
	if (say && !question && count > 1)
		decode_say(d, " +%u", count - 1);
	return true;
}

void decode_dns(struct decoder *d, struct cursor c)
{
	static const char *const sections[] = {"question", "answer", "authority", "additional"};
	struct cursor message = c;
	unsigned id = cursor_16(&c), flags = cursor_16(&c), counts[4];
	char buffer[12];
	bool answer = flags & 0x8000;

	for (unsigned i = 0; i < 4; i++)
		counts[i] = cursor_16(&c);
	decode_layer(d, message.at, cursor_here(&message), "DNS", "%s, id 0x%04x, %u/%u/%u/%u",
		     answer ? code_name(buffer, flags & 0xf) : "query", id, counts[0], counts[1], counts[2],
		     counts[3]);
	if (decode_ended(d, &c))
		return;
	decode_name(d, "DNS");
	decode_say(d, "%s", answer ? "answer" : "query");
	if (answer && flags & 0xf)
		decode_say(d, " %s", code_name(buffer, flags & 0xf));
	decode_field(d, message.at + 2, 2, "flags", "0x%04x%s%s%s%s%s", flags,
		     flags & 0x400 ? " authoritative" : "", flags & 0x200 ? " truncated" : "",
		     flags & 0x100 ? " recursion wanted" : "", flags & 0x80 ? " recursion there" : "",
		     flags & 0x20 ? " authentic" : "");
	for (unsigned i = 0; i < 4; i++)
		if (!section(d, &message, &c, sections[i], counts[i]))
			break;
	decode_ended(d, &c);
}
