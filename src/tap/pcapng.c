/*
 * Capture files. pcapng: draft-ietf-opsawg-pcapng, sections 4.1 (SHB), 4.2 (IDB), 4.3 (EPB), 4.6 (ISB), 4.7
 * (DSB). Written little-endian whatever the machine. A block is in the file whole or not at all as long as
 * its writer does so: a file that was cut is readable up to the cut.
 */
#include "tap/pcapng.h"

#include <string.h>
#include <sys/utsname.h>

#include "tap/pcapng_internal.h"

#define LINKTYPE_RAW	   101
#define LINKTYPE_UPPER_PDU 252

#define BLOCK_SECTION	  0x0a0d0d0a
#define BLOCK_INTERFACE	  1
#define BLOCK_STATS	  5
#define BLOCK_PACKET	  6
#define BLOCK_SECRETS	  0x0a
#define SECRETS_WIREGUARD 0x57474b4c

/* Options; their meaning depends on the block. */
enum {
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	SECTION_HARDWARE = 2,
	SECTION_OS = 3,
	SECTION_PROGRAM = 4,
	INTERFACE_NAME = 2,
	INTERFACE_DESCRIPTION = 3,
	INTERFACE_TSRESOL = 9,
	INTERFACE_FILTER = 11,
	PACKET_FLAGS = 2,
	PACKET_DROPS = 4,
	PACKET_ID = 5,
	STATS_RECEIVED = 4,
	STATS_LOST = 5,
};

/* ---- numbers, blocks, options ---- */

static void put(struct strbuf *s, uint64_t value, unsigned bytes)
{
	uint8_t out[8];

	for (unsigned i = 0; i < bytes; i++)
		out[i] = (uint8_t)(value >> 8 * i);
	strbuf_append(s, out, bytes);
}

static void pad(struct strbuf *s, size_t len)
{
	strbuf_append(s, "\0\0\0", (4 - len % 4) % 4);
}

static size_t begin(struct strbuf *s, uint32_t type)
{
	put(s, type, 4);
	put(s, 0, 4); /* the length, by end */
	return s->len - 8;
}

static void end(struct strbuf *s, size_t start)
{
	size_t len = s->len + 4 - start;

	put(s, len, 4);
	for (unsigned i = 0; i < 4; i++)
		s->text[start + 4 + i] = (char)(len >> 8 * i);
}

static void option(struct strbuf *s, unsigned code, const void *value, size_t len)
{
	put(s, code, 2);
	put(s, len, 2);
	strbuf_append(s, value, len);
	pad(s, len);
}

static void option_text(struct strbuf *s, unsigned code, const char *text)
{
	size_t len = strlen(text);

	if (len)
		option(s, code, text, len < 4096 ? len : 4096);
}

static void option_number(struct strbuf *s, unsigned code, uint64_t value, unsigned bytes)
{
	put(s, code, 2);
	put(s, bytes, 2);
	put(s, value, bytes);
}

static void put_time(struct strbuf *s, uint64_t at)
{
	put(s, at >> 32, 4);
	put(s, at & 0xffffffff, 4);
}

/* ---- the start ---- */

static const char *const point_texts[TAP_POINTS] = {
	"outer datagrams; their IP and UDP headers are made up of the addresses",
	"IP packets inside the tunnel",
	"messages to and from relays; WireGuard in them stands alone",
	"opened control frames of weir, as JSON",
};

static void section(struct strbuf *out, const struct capture_head *h)
{
	size_t start = begin(out, BLOCK_SECTION);
	struct strbuf text = {0};
	struct utsname u;

	put(out, 0x1a2b3c4d, 4);
	put(out, 1, 2);
	put(out, 0, 2);
	put(out, UINT64_MAX, 8); /* length of the section: not known */
	strbuf_add(&text, "weir on %s, interface %s", h->hostname, h->ifname);
	if (*h->filter)
		strbuf_add(&text, ", filter: %s", h->filter);
	option_text(out, OPTION_COMMENT, text.text);
	strbuf_clear(&text);
	if (!uname(&u)) {
		option_text(out, SECTION_HARDWARE, u.machine);
		strbuf_add(&text, "%s %s", u.sysname, u.release);
		option_text(out, SECTION_OS, text.text);
		strbuf_clear(&text);
	}
	strbuf_add(&text, "weir %s", h->version);
	option_text(out, SECTION_PROGRAM, text.text);
	strbuf_clear(&text);
	put(out, OPTION_END, 4);
	end(out, start);
}

static void interface(struct strbuf *out, const struct capture_head *h, enum tap_point p)
{
	size_t start = begin(out, BLOCK_INTERFACE);
	bool ip = p == TAP_WIRE || p == TAP_INNER;
	struct strbuf text = {0};

	put(out, ip ? LINKTYPE_RAW : LINKTYPE_UPPER_PDU, 2);
	put(out, 0, 2);
	/* Headers and tags come before what the limit is for. */
	put(out, h->snaplen ? h->snaplen + CAPTURE_HEAD_MAX : 0, 4);
	strbuf_add(&text, "%s-%s", h->ifname, tap_point_name(p));
	option_text(out, INTERFACE_NAME, text.text);
	strbuf_clear(&text);
	option_text(out, INTERFACE_DESCRIPTION, point_texts[p]);
	option(out, INTERFACE_TSRESOL, "\x09", 1);
	if (*h->filter) {
		strbuf_append(&text, "\0", 1); /* a text, not a program */
		strbuf_append(&text, h->filter, strlen(h->filter));
		option(out, INTERFACE_FILTER, text.text, text.len);
		strbuf_clear(&text);
	}
	put(out, OPTION_END, 4);
	end(out, start);
}

static bool has_point(const struct capture_head *h, unsigned p)
{
	return h->points >> p & 1;
}

static unsigned interface_of(const struct capture_head *h, unsigned point)
{
	unsigned n = 0;

	for (unsigned p = 0; p < point; p++)
		n += has_point(h, p);
	return n;
}

void capture_begin(struct strbuf *out, const struct capture_head *h)
{
	if (h->format == CAPTURE_PCAP) {
		put(out, 0xa1b23c4d, 4); /* nanoseconds */
		put(out, 2, 2);
		put(out, 4, 2);
		put(out, 0, 8);
		put(out, 65535 + CAPTURE_HEAD_MAX, 4);
		put(out, LINKTYPE_RAW, 4);
		return;
	}
	section(out, h);
	for (unsigned p = 0; p < TAP_POINTS; p++)
		if (has_point(h, p))
			interface(out, h, p);
}

/* ---- packets ---- */

/* RFC 768, over the pseudo-header of either family. */
static void put_udp_checksum(uint8_t *head, size_t headers, const uint8_t *data, size_t len)
{
	uint8_t *udp = head + headers - 8;
	size_t addresses = headers == 28 ? 8 : 32;
	uint64_t sum = 17 + len + 8;

	for (size_t i = 0; i < addresses + 8; i += 2) /* the addresses end where UDP begins */
		sum += (uint64_t)head[headers - 8 - addresses + i] << 8 |
		       head[headers - 8 - addresses + i + 1];
	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint64_t)data[i] << 8 | data[i + 1];
	sum += len & 1 ? (uint64_t)data[len - 1] << 8 : 0;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	sum = sum == 0xffff ? sum : ~sum & 0xffff;
	udp[6] = (uint8_t)(sum >> 8);
	udp[7] = (uint8_t)sum;
}

/* What stands in the file before the packet's own bytes; its length. */
static size_t wire_head(uint8_t out[CAPTURE_HEAD_MAX], const struct tap_meta *m, const uint8_t *data,
			size_t captured)
{
	struct tap_meta nowhere;
	size_t len = tap_outer_headers(out, m);

	if (!len) {
		nowhere = *m;
		nowhere.remote.sa.sa_family = AF_INET;
		nowhere.remote.in.sin_addr.s_addr = 0;
		nowhere.remote.in.sin_port = 0;
		len = tap_outer_headers(out, &nowhere);
	}
	if (captured == m->length)
		put_udp_checksum(out, len, data, captured);
	return len;
}

static void comment(struct strbuf *s, const struct tap_meta *m, const char *label)
{
	char key[KEY_BASE64_LEN + 1];

	if (m->has_peer && label && *label) {
		strbuf_add(s, "peer=%s", label);
		for (char *c = s->text; *c; c++)
			if ((unsigned char)*c < ' ' || *c == 0x7f)
				*c = '?';
	} else if (m->has_peer) {
		key_to_base64(key, &m->peer);
		strbuf_add(s, "peer=%s", key);
	}
	if (m->path)
		strbuf_add(s, "%spath=%s", s->len ? " " : "", path_kind_name(m->path));
	if (m->path && m->generation)
		strbuf_add(s, " generation=%u", m->generation);
	if (m->attempts)
		strbuf_add(s, "%stry=%u/%u", s->len ? " " : "", m->attempt, m->attempts);
	if (m->drop)
		strbuf_add(s, "%sdrop=%s: %s", s->len ? " " : "", tap_drop_name(m->drop),
			   tap_drop_text(m->drop));
}

static void packet_options(struct strbuf *out, const struct tap_meta *m, const char *label,
			   uint64_t lost_before)
{
	struct strbuf text = {0};

	comment(&text, m, label);
	if (text.len)
		option_text(out, OPTION_COMMENT, text.text);
	strbuf_clear(&text);
	option_number(out, PACKET_FLAGS, m->out ? 2 : 1, 4);
	if (lost_before)
		option_number(out, PACKET_DROPS, lost_before, 8);
	option_number(out, PACKET_ID, m->number, 8);
	put(out, OPTION_END, 4);
}

static bool pcap_packet(struct strbuf *out, const struct tap_meta *m, const struct capture_body *b)
{
	put(out, m->at / 1000000000, 4);
	put(out, m->at % 1000000000, 4);
	put(out, b->head_len + b->len, 4);
	put(out, b->head_len + b->whole, 4);
	strbuf_append(out, b->head, b->head_len);
	strbuf_append(out, b->data, b->len);
	return true;
}

bool capture_packet(struct strbuf *out, const struct capture_head *h, const struct tap_meta *m,
		    const void *data, size_t captured, const char *label, uint64_t lost_before)
{
	struct capture_body b = {.data = data, .len = captured, .whole = m->length};
	size_t start;

	if (!has_point(h, m->point) ||
	    (h->format == CAPTURE_PCAP && m->point != TAP_WIRE && m->point != TAP_INNER))
		return false;
	if (m->point == TAP_WIRE)
		b.head_len = wire_head(b.head, m, data, captured);
	else if (m->point != TAP_INNER)
		capture_upper(&b, m);
	if (h->format == CAPTURE_PCAP)
		return pcap_packet(out, m, &b);
	start = begin(out, BLOCK_PACKET);
	put(out, interface_of(h, m->point), 4);
	put_time(out, m->at);
	put(out, b.head_len + b.len, 4);
	put(out, b.head_len + b.whole, 4);
	strbuf_append(out, b.head, b.head_len);
	strbuf_append(out, b.data, b.len);
	pad(out, b.head_len + b.len);
	packet_options(out, m, label, lost_before);
	end(out, start);
	strbuf_clear(&b.made);
	return true;
}

/* ---- keys, and the end ---- */

void capture_keys(struct strbuf *out, const char *lines, size_t len)
{
	size_t start = begin(out, BLOCK_SECRETS);

	put(out, SECRETS_WIREGUARD, 4);
	put(out, len, 4);
	strbuf_append(out, lines, len);
	pad(out, len);
	end(out, start);
}

void capture_end(struct strbuf *out, const struct capture_head *h, const uint64_t packets[TAP_POINTS],
		 uint64_t lost, uint64_t at)
{
	bool first = true;

	for (unsigned p = 0; p < TAP_POINTS && h->format == CAPTURE_PCAPNG; p++) {
		size_t start;

		if (!has_point(h, p))
			continue;
		start = begin(out, BLOCK_STATS);
		put(out, interface_of(h, p), 4);
		put_time(out, at);
		/* What is lost is counted for all points together. */
		if (first && lost)
			option_text(out, OPTION_COMMENT, "the loss is that of all interfaces together");
		option_number(out, STATS_RECEIVED, packets[p], 8);
		option_number(out, STATS_LOST, first ? lost : 0, 8);
		put(out, OPTION_END, 4);
		end(out, start);
		first = false;
	}
}
