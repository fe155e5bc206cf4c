/* Messages of the relay protocol (relay/wire.h). A transport message is a datagram in an envelope. */
#include "relay/wire.h"
#include "tap/decode_internal.h"

#define SHOWN_MAX 16 /* ids of a list */

static const char *type_name(unsigned type)
{
	static const char *const names[] = {
		[RELAY_HELLO] = "hello",
		[RELAY_HELLO_RESPONSE] = "hello response",
		[RELAY_TRANSPORT] = "transport",
		[RELAY_CLOSE] = "close",
		[RELAY_HEALTH_CHECK] = "health check",
		[RELAY_AUTH] = "login",
		[RELAY_AUTH_RESPONSE] = "login response",
		[RELAY_SUBSCRIBE] = "subscribe",
		[RELAY_UNSUBSCRIBE] = "unsubscribe",
		[RELAY_PEERS_ONLINE] = "peers online",
		[RELAY_PEERS_OFFLINE] = "peers offline",
	};

	return type && type < sizeof(names) / sizeof(names[0]) ? names[type] : "unknown type";
}

static void field_id(struct decoder *d, struct cursor *c, const char *label)
{
	size_t at = c->at;
	struct relay_id id;
	char text[RELAY_ID_TEXT];

	if (!cursor_read(c, id.bytes, sizeof(id.bytes)))
		return;
	relay_id_print(text, &id);
	decode_field(d, at, RELAY_ID_LEN, label, "%s", text);
}

static void list(struct decoder *d, struct cursor *c)
{
	size_t count = cursor_left(c) / RELAY_ID_LEN;

	decode_say(d, ", %zu %s", count, count == 1 ? "peer" : "peers");
	for (size_t i = 0; i < count && i < SHOWN_MAX && cursor_here(c) >= RELAY_ID_LEN; i++)
		field_id(d, c, "peer");
	decode_rest(d, c, "more peers");
	decode_ended(d, c);
}

static void login(struct decoder *d, struct cursor *c)
{
	size_t at = c->at;

	cursor_take(c, 4);
	decode_field(d, at, 4, "magic", "of the relay protocol");
	field_id(d, c, "own id");
	decode_rest(d, c, "token");
}

static void url(struct decoder *d, struct cursor *c)
{
	size_t at = c->at, len = cursor_here(c);
	char text[DECODE_TEXT];

	decode_text(text, c, len);
	decode_field(d, at, len, "instance", "%s", text);
	decode_say(d, " of %s", text);
}

static void transport(struct decoder *d, struct cursor *c)
{
	field_id(d, c, d->meta->out ? "to" : "from");
	decode_say(d, ", ");
	decode_keep(d);
	decode_datagram(d, *c);
}

static void body(struct decoder *d, struct cursor *c, unsigned type)
{
	switch (type) {
	case RELAY_TRANSPORT:
		transport(d, c);
		break;
	case RELAY_AUTH:
		login(d, c);
		break;
	case RELAY_AUTH_RESPONSE:
		url(d, c);
		break;
	case RELAY_SUBSCRIBE:
	case RELAY_UNSUBSCRIBE:
	case RELAY_PEERS_ONLINE:
	case RELAY_PEERS_OFFLINE:
		list(d, c);
		break;
	default:
		decode_rest(d, c, "bytes");
	}
}

void decode_relay(struct decoder *d, struct cursor c)
{
	const struct tap_meta *m = d->meta;
	char server[ADDRESS_TEXT];
	struct relay_message message;
	enum relay_verdict verdict = RELAY_OK;
	size_t at = c.at, here = cursor_here(&c), left = cursor_left(&c);
	unsigned version, type;

	if (here == left)
		verdict = relay_parse(c.data + c.at, left, &message);
	version = cursor_8(&c);
	type = cursor_8(&c);
	decode_name(d, "relay");
	if (m->remote.sa.sa_family != AF_UNSPEC)
		decode_layer(d, 0, 0, "WebSocket", "%s %s", m->out ? "to" : "from",
			     address_format(server, &m->remote));
	decode_layer(d, at, here, "relay", "%s, %zu bytes", type_name(type), left);
	decode_field(d, at, 2, "type", "%u, version %u", type, version);
	decode_say(d, "%s", type == RELAY_TRANSPORT ? "relay" : type_name(type));
	if (type == RELAY_TRANSPORT && m->remote.sa.sa_family != AF_UNSPEC)
		decode_say(d, " %s", server);
	if (verdict != RELAY_OK) {
		decode_wrong(d, at, here, "malformed", "%s", relay_verdict_text(verdict));
		decode_say(d, " (%s)", relay_verdict_text(verdict));
		return;
	}
	body(d, &c, type);
}
