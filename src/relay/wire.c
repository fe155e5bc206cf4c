/*
 * NetBird's relay protocol v1 as bytes. Sizes and types are those of its published messages; everything that
 * comes in is a stranger's and is measured before it is looked at.
 */
#include "relay/wire.h"

#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "crypto/primitives.h"

#define HEADER_LEN     2
#define MAGIC_LEN      4
#define AUTH_TOKEN_AT  (HEADER_LEN + MAGIC_LEN + RELAY_ID_LEN)
#define TOKEN_ALGO     1 /* HMAC-SHA256, the only one that is defined */
#define TOKEN_PAYLOAD  (1 + HASH_LEN)
#define EXPIRY_MIN_LEN 10 /* digits: today's unix seconds */
#define EXPIRY_MAX_LEN 20

static const char id_prefix[4] = {'s', 'h', 'a', '-'};
static const uint8_t auth_magic[MAGIC_LEN] = {0x21, 0x12, 0xa4, 0x42};

/* ---- ids ---- */

void relay_id_of_text(struct relay_id *id, const char *text)
{
	memcpy(id->bytes, id_prefix, sizeof(id_prefix));
	sha256(id->bytes + sizeof(id_prefix), text, strlen(text));
}

void relay_id_of(struct relay_id *id, const struct key *public_key)
{
	char text[KEY_BASE64_LEN + 1];

	key_to_base64(text, public_key);
	relay_id_of_text(id, text);
}

void relay_id_print(char out[RELAY_ID_TEXT], const struct relay_id *id)
{
	memcpy(out, id_prefix, sizeof(id_prefix));
	sodium_bin2base64(out + sizeof(id_prefix), RELAY_ID_TEXT - sizeof(id_prefix),
			  id->bytes + sizeof(id_prefix), RELAY_ID_LEN - sizeof(id_prefix),
			  sodium_base64_VARIANT_ORIGINAL);
}

/* ---- writers ---- */

static void put_header(uint8_t *out, enum relay_type type)
{
	out[0] = RELAY_VERSION;
	out[1] = (uint8_t)type;
}

int relay_put_auth(uint8_t *out, size_t size, const struct relay_id *own, const uint8_t *token,
		   size_t token_len)
{
	if (token_len > RELAY_AUTH_MAX - AUTH_TOKEN_AT || size < AUTH_TOKEN_AT + token_len)
		return -EMSGSIZE;
	put_header(out, RELAY_AUTH);
	memcpy(out + HEADER_LEN, auth_magic, MAGIC_LEN);
	memcpy(out + HEADER_LEN + MAGIC_LEN, own->bytes, RELAY_ID_LEN);
	if (token_len)
		memcpy(out + AUTH_TOKEN_AT, token, token_len);
	return (int)(AUTH_TOKEN_AT + token_len);
}

int relay_put_auth_response(uint8_t *out, size_t size, const char *instance_url)
{
	size_t len = strlen(instance_url);

	if (!len || len > RELAY_RESPONSE_MAX - HEADER_LEN || size < HEADER_LEN + len)
		return -EMSGSIZE;
	put_header(out, RELAY_AUTH_RESPONSE);
	memcpy(out + HEADER_LEN, instance_url, len);
	return (int)(HEADER_LEN + len);
}

int relay_put_simple(uint8_t *out, size_t size, enum relay_type type)
{
	if (size < HEADER_LEN)
		return -EMSGSIZE;
	put_header(out, type);
	return HEADER_LEN;
}

int relay_put_list(uint8_t *out, size_t size, enum relay_type type, const struct relay_id *ids, size_t count)
{
	if (!count || count > RELAY_LIST_MAX || size < HEADER_LEN + count * RELAY_ID_LEN)
		return -EMSGSIZE;
	put_header(out, type);
	memcpy(out + HEADER_LEN, ids, count * RELAY_ID_LEN);
	return (int)(HEADER_LEN + count * RELAY_ID_LEN);
}

void relay_put_transport(uint8_t out[RELAY_TRANSPORT_LEN], const struct relay_id *id)
{
	put_header(out, RELAY_TRANSPORT);
	memcpy(out + HEADER_LEN, id->bytes, RELAY_ID_LEN);
}

/* ---- reader ---- */

const char *relay_verdict_text(enum relay_verdict v)
{
	static const char *const texts[RELAY_VERDICTS] = {
		[RELAY_OK] = "ok",
		[RELAY_EMPTY] = "empty message",
		[RELAY_BAD_VERSION] = "another protocol version",
		[RELAY_BAD_TYPE] = "unknown message type",
		[RELAY_BAD_LENGTH] = "wrong length for its type",
		[RELAY_BAD_MAGIC] = "wrong magic in the login",
	};

	return texts[v];
}

static enum relay_verdict parse_auth(const uint8_t *message, size_t len, struct relay_message *out)
{
	if (len <= AUTH_TOKEN_AT || len > RELAY_AUTH_MAX)
		return RELAY_BAD_LENGTH;
	if (memcmp(message + HEADER_LEN, auth_magic, MAGIC_LEN) != 0)
		return RELAY_BAD_MAGIC;
	out->id = message + HEADER_LEN + MAGIC_LEN;
	out->data = message + AUTH_TOKEN_AT;
	out->len = len - AUTH_TOKEN_AT;
	return RELAY_OK;
}

enum relay_verdict relay_parse(const uint8_t *message, size_t len, struct relay_message *out)
{
	if (!len)
		return RELAY_EMPTY;
	if (message[0] != RELAY_VERSION)
		return RELAY_BAD_VERSION;
	if (len < HEADER_LEN || len > RELAY_MESSAGE_MAX)
		return RELAY_BAD_LENGTH;
	*out = (struct relay_message){
		.type = message[1],
		.data = message + HEADER_LEN,
		.len = len - HEADER_LEN,
	};
	switch (out->type) {
	case RELAY_TRANSPORT:
		if (len < RELAY_TRANSPORT_LEN)
			return RELAY_BAD_LENGTH;
		out->id = message + HEADER_LEN;
		out->data = message + RELAY_TRANSPORT_LEN;
		out->len = len - RELAY_TRANSPORT_LEN;
		return RELAY_OK;
	case RELAY_CLOSE:
	case RELAY_HEALTH_CHECK:
		return RELAY_OK; /* empty today; what a later version adds is not ours to judge */
	case RELAY_AUTH:
		return parse_auth(message, len, out);
	case RELAY_AUTH_RESPONSE:
		return out->len && len <= RELAY_RESPONSE_MAX ? RELAY_OK : RELAY_BAD_LENGTH;
	case RELAY_SUBSCRIBE:
	case RELAY_UNSUBSCRIBE:
	case RELAY_PEERS_ONLINE:
	case RELAY_PEERS_OFFLINE:
		out->count = out->len / RELAY_ID_LEN;
		return out->count && out->len % RELAY_ID_LEN == 0 ? RELAY_OK : RELAY_BAD_LENGTH;
	case RELAY_HELLO:
	case RELAY_HELLO_RESPONSE:
		break;
	}
	return RELAY_BAD_TYPE;
}

/* ---- tokens ---- */

void relay_secret_set(struct relay_secret *s, const char *text, size_t len)
{
	sha256(s->key, text, len);
}

int relay_token_make(const struct relay_secret *s, uint64_t expiry_seconds, uint8_t out[RELAY_TOKEN_MAX])
{
	char payload[EXPIRY_MAX_LEN + 1];
	int len = snprintf(payload, sizeof(payload), "%010llu", (unsigned long long)expiry_seconds);

	out[0] = TOKEN_ALGO;
	hmac_sha256(out + 1, s->key, payload, (size_t)len);
	memcpy(out + TOKEN_PAYLOAD, payload, (size_t)len);
	return TOKEN_PAYLOAD + len;
}

static bool read_expiry(const uint8_t *text, size_t len, uint64_t *out)
{
	uint64_t value = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9' || __builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, text[i] - '0', &value))
			return false;
	}
	*out = value;
	return true;
}

enum relay_token relay_token_check(const struct relay_secret *s, const uint8_t *token, size_t len,
				   uint64_t now_seconds, uint64_t *expiry_seconds)
{
	uint8_t mac[HASH_LEN];
	bool right;

	if (len < TOKEN_PAYLOAD + EXPIRY_MIN_LEN || len > TOKEN_PAYLOAD + EXPIRY_MAX_LEN ||
	    token[0] != TOKEN_ALGO ||
	    !read_expiry(token + TOKEN_PAYLOAD, len - TOKEN_PAYLOAD, expiry_seconds))
		return RELAY_TOKEN_MALFORMED;
	hmac_sha256(mac, s->key, token + TOKEN_PAYLOAD, len - TOKEN_PAYLOAD);
	right = crypto_equal(mac, token + 1, HASH_LEN);
	crypto_wipe(mac, sizeof(mac));
	if (!right)
		return RELAY_TOKEN_WRONG;
	return now_seconds <= *expiry_seconds ? RELAY_TOKEN_GOOD : RELAY_TOKEN_EXPIRED;
}

/* ---- URLs ---- */

static bool read_port(const char *text, size_t len, uint16_t *port)
{
	unsigned value = 0;

	if (!len || len > 5)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		value = value * 10 + (unsigned)(text[i] - '0');
	}
	*port = (uint16_t)value;
	return value > 0 && value <= UINT16_MAX;
}

/* Letters, digits and what host names are made of; with colons (and a zone) only inside of brackets. */
static bool read_host(char *out, size_t size, const char *text, size_t len, bool bracketed)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";

	if (!len || len >= size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (!memchr(letters, text[i], sizeof(letters) - 1) &&
		    !(bracketed && (text[i] == ':' || text[i] == '%')))
			return false;
	memcpy(out, text, len);
	out[len] = '\0';
	return true;
}

bool relay_url_parse(struct relay_url *u, const char *text)
{
	struct relay_url url = {0};
	const char *host, *port;
	size_t len, host_len;
	bool bracketed;

	len = strlen(text);
	if (len >= RELAY_URL_MAX)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	if (!strncasecmp(text, "rels://", 7))
		url.tls = true;
	else if (strncasecmp(text, "rel://", 6) != 0)
		return false;
	text += url.tls ? 7 : 6;
	len = strcspn(text, "/?#");
	bracketed = *text == '[';
	host = text + bracketed;
	port = memchr(text, bracketed ? ']' : ':', len);
	if (bracketed && !port)
		return false;
	host_len = port ? (size_t)(port - host) : len;
	if (!read_host(url.host, sizeof(url.host), host, host_len, bracketed))
		return false;
	url.port = url.tls ? 443 : 80;
	if (port) {
		port += bracketed;
		if (port != text + len &&
		    (*port != ':' || !read_port(port + 1, (size_t)(text + len - port - 1), &url.port)))
			return false;
	}
	*u = url;
	return true;
}
