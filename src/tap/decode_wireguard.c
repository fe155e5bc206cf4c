/* WireGuard's four messages (paper 5.4). */
#include "tap/decode_internal.h"
#include "wg/messages.h"

/* A tunnel inside ours: what the engine knows is not about these messages. */
static bool foreign(const struct decoder *d)
{
	return d->meta->point == TAP_INNER;
}

static void field_index(struct decoder *d, struct cursor *c, const char *label, bool ours)
{
	size_t at = c->at;
	uint32_t index = (uint32_t)cursor_little(c, 4);

	decode_field(d, at, 4, label, "%08x%s", index, foreign(d) ? "" : ours ? "  ours" : "  theirs");
}

static void field_key(struct decoder *d, struct cursor *c)
{
	char hex[DECODE_HEX];
	size_t at = c->at;

	decode_hex(hex, c, KEY_LEN);
	if (!cursor_ended(c))
		decode_field(d, at, KEY_LEN, "ephemeral", "%s", hex);
}

static void field_sealed(struct decoder *d, struct cursor *c, const char *label, size_t len)
{
	size_t at = c->at;

	cursor_take(c, len);
	if (at < c->end)
		decode_field(d, at, len, label, "sealed, %zu bytes", len);
}

static void field_mac1(struct decoder *d, struct cursor *c)
{
	const struct tap_meta *m = d->meta;
	char hex[DECODE_HEX];
	size_t at = c->at;

	decode_hex(hex, c, MAC_LEN);
	if (cursor_ended(c))
		return;
	if (foreign(d) || m->drop == TAP_DROP_malformed)
		decode_field(d, at, MAC_LEN, "mac1", "%s", hex);
	else if (m->drop == TAP_DROP_mac1)
		decode_wrong(d, at, MAC_LEN, "mac1", "not made for our key");
	else
		decode_field(d, at, MAC_LEN, "mac1", "%s",
			     m->out ? "made for the peer's key" : "valid for our key");
}

static void field_mac2(struct decoder *d, struct cursor *c)
{
	static const uint8_t zero[MAC_LEN];
	size_t at = c->at;
	uint8_t mac[MAC_LEN];

	if (!cursor_read(c, mac, sizeof(mac)))
		return;
	if (!memcmp(mac, zero, sizeof(mac)))
		decode_field(d, at, MAC_LEN, "mac2", "zero: no cookie%s",
			     d->meta->out && !foreign(d) ? " was held" : "");
	else if (d->meta->drop == TAP_DROP_mac2 && !foreign(d))
		decode_wrong(d, at, MAC_LEN, "mac2", "of no cookie that is valid now");
	else
		decode_field(d, at, MAC_LEN, "mac2", "made with a cookie");
}

/* Longer than the protocol says: nobody takes it. */
static void check_length(struct decoder *d, const struct cursor *c)
{
	if (!decode_ended(d, c) && cursor_left(c)) {
		decode_wrong(d, c->at, cursor_here(c), "trailing", "%zu bytes too many", cursor_left(c));
		decode_say(d, " (%zu bytes too many)", cursor_left(c));
	}
}

static void initiation(struct decoder *d, struct cursor *c)
{
	struct cursor look = *c;
	const struct tap_meta *m = d->meta;

	decode_name(d, "WG init");
	decode_say(d, "idx %08x", (uint32_t)cursor_little(&look, 4));
	if (m->attempts && !foreign(d))
		decode_say(d, ", try %u of %u", m->attempt, m->attempts);
	field_index(d, c, "sender index", m->out);
	field_key(d, c);
	field_sealed(d, c, "static", KEY_LEN + AEAD_TAG_LEN);
	field_sealed(d, c, "timestamp", TAI64N_LEN + AEAD_TAG_LEN);
	field_mac1(d, c);
	field_mac2(d, c);
	check_length(d, c);
}

static void response(struct decoder *d, struct cursor *c)
{
	struct cursor look = *c;
	uint32_t sender = (uint32_t)cursor_little(&look, 4), receiver = (uint32_t)cursor_little(&look, 4);

	decode_name(d, "WG resp");
	decode_say(d, "idx %08x, answers %08x", sender, receiver);
	field_index(d, c, "sender index", d->meta->out);
	field_index(d, c, "receiver index", !d->meta->out);
	field_key(d, c);
	field_sealed(d, c, "empty", AEAD_TAG_LEN);
	field_mac1(d, c);
	field_mac2(d, c);
	check_length(d, c);
}

static void cookie(struct decoder *d, struct cursor *c)
{
	struct cursor look = *c;
	char hex[DECODE_HEX];
	size_t at;

	decode_name(d, "WG cookie");
	decode_say(d, "for %08x", (uint32_t)cursor_little(&look, 4));
	field_index(d, c, "receiver index", !d->meta->out);
	at = c->at;
	decode_field(d, at, XAEAD_NONCE_LEN, "nonce", "%s", decode_hex(hex, c, XAEAD_NONCE_LEN));
	field_sealed(d, c, "cookie", COOKIE_LEN + AEAD_TAG_LEN);
	check_length(d, c);
}

static void data(struct decoder *d, struct cursor *c)
{
	struct cursor look = *c;
	uint32_t index = (uint32_t)cursor_little(&look, 4);
	uint64_t counter = cursor_little(&look, 8);
	size_t at;

	decode_name(d, cursor_left(&look) == AEAD_TAG_LEN ? "WG keep" : "WG data");
	decode_say(d, "idx %08x ctr %llu", index, (unsigned long long)counter);
	field_index(d, c, "receiver index", !d->meta->out);
	at = c->at;
	cursor_little(c, 8);
	decode_field(d, at, 8, "counter", "%llu", (unsigned long long)counter);
	if (cursor_left(c) < AEAD_TAG_LEN) {
		decode_wrong(d, c->at, cursor_here(c), "tag", "%zu bytes: no room for one", cursor_left(c));
		decode_say(d, " (too short)");
		return;
	}
	if (cursor_left(c) > AEAD_TAG_LEN)
		field_sealed(d, c, "packet", cursor_left(c) - AEAD_TAG_LEN);
	field_sealed(d, c, "tag", AEAD_TAG_LEN);
	decode_ended(d, c);
}

static const char *kind(unsigned type, size_t left)
{
	static const char *const names[] = {"handshake initiation", "handshake response", "cookie reply"};

	if (type < MESSAGE_DATA)
		return names[type - 1];
	return left == DATA_OVERHEAD ? "keepalive" : "data";
}

void decode_wireguard(struct decoder *d, struct cursor c)
{
	size_t at = c.at, left = cursor_left(&c), here = cursor_here(&c);
	unsigned type = cursor_8(&c);
	uint32_t reserved = (uint32_t)cursor_big(&c, 3);

	decode_layer(d, at, here, "WireGuard", "%s, %zu bytes", kind(type, left), left);
	if (reserved)
		decode_wrong(d, at, 4, "type", "%u, reserved bytes %06x, not zero", type, reserved);
	else
		decode_field(d, at, 4, "type", "%u, reserved 0", type);
	switch (type) {
	case MESSAGE_INITIATION:
		initiation(d, &c);
		break;
	case MESSAGE_RESPONSE:
		response(d, &c);
		break;
	case MESSAGE_COOKIE:
		cookie(d, &c);
		break;
	default:
		data(d, &c);
	}
	if (reserved)
		decode_say(d, " (reserved %06x)", reserved);
}
