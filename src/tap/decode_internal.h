/* What the decoders of all families share. */
#ifndef WEIR_TAP_DECODE_INTERNAL_H
#define WEIR_TAP_DECODE_INTERNAL_H

#include "tap/decode.h"
#include "tap/decode_cursor.h"

#define DECODE_NESTING 4 /* tunnels in tunnels, data in channels: deeper ones stay bytes */
#define STUN_COOKIE    0x2112a442u

struct decoder {
	struct decode *out;
	const struct tap_meta *meta;
	size_t captured; /* bytes of the record: no line points past them */
	bool full;	 /* lines are wanted, too */
	bool quoted;   /* inside an ICMP error: what is there is a piece of a packet, and that is not wrong */
	size_t prefix; /* of info, which a protocol inside another keeps */
	unsigned nesting;
	char from[64], to[64]; /* of the innermost IP header */
};

/* The protocol so far; the words of the one around it go, but for the prefix. */
void decode_name(struct decoder *d, const char *protocol);
void decode_say(struct decoder *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void decode_keep(struct decoder *d); /* what was said so far is a prefix from here on */

/* Lines: at and len are those of the record. */
void decode_layer(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void decode_field(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void decode_detail(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void decode_wrong(struct decoder *d, size_t at, size_t len, const char *label, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

/* Says that c ran out, if it did. True then. */
bool decode_ended(struct decoder *d, const struct cursor *c);

/* What is left of c, as so many bytes. */
void decode_rest(struct decoder *d, const struct cursor *c, const char *label);

/* The next len bytes in hexadecimal, cut to what a line holds. */
#define DECODE_HEX 56
const char *decode_hex(char out[DECODE_HEX], struct cursor *c, size_t len);

/* The same as text; what is not printable ASCII is made visible. */
#define DECODE_TEXT 96
const char *decode_text(char out[DECODE_TEXT], struct cursor *c, size_t len);

/* Families. Each takes the bytes of one message. */
void decode_ip(struct decoder *d, struct cursor c);
void decode_tcp(struct decoder *d, struct cursor c);
void decode_udp(struct decoder *d, struct cursor c);
void decode_icmp(struct decoder *d, struct cursor c);
void decode_icmp6(struct decoder *d, struct cursor c);
void decode_dns(struct decoder *d, struct cursor c);
void decode_datagram(struct decoder *d,
		     struct cursor c); /* by its first bytes: WireGuard, STUN, ChannelData, frame */
void decode_wireguard(struct decoder *d, struct cursor c);
void decode_stun(struct decoder *d, struct cursor c);
void decode_channel(struct decoder *d, struct cursor c);
void decode_relay(struct decoder *d, struct cursor c);
void decode_frame(struct decoder *d, struct cursor c);	/* sealed */
void decode_signal(struct decoder *d, struct cursor c); /* its body */

enum datagram { DATAGRAM_OTHER, DATAGRAM_WIREGUARD, DATAGRAM_STUN, DATAGRAM_CHANNEL, DATAGRAM_FRAME };
enum datagram decode_datagram_kind(const struct cursor *c);

#endif
