/*
 * The relay wire format: NetBird's relay protocol v1, one message per WebSocket binary message. Pure: no I/O, no clock.
 * Every message begins with version 1 and a type; byte strings are raw and there are no integers wider than a byte.
 * Shared by the client and the server. Vectors: tests/unit/test_relay_wire.c.
 */
#ifndef WEIR_RELAY_WIRE_H
#define WEIR_RELAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"

#define RELAY_VERSION	      1
#define RELAY_ID_LEN	      36
#define RELAY_ID_TEXT	      49 /* "sha-" and base64 of the hash, with the terminator */
#define RELAY_MESSAGE_MAX     8820 /* of any type; shorter are: */
#define RELAY_AUTH_MAX	      212
#define RELAY_RESPONSE_MAX    8192
#define RELAY_LIST_MAX	      244 /* ids in one list message */
#define RELAY_TRANSPORT_LEN   38  /* header of a Transport message; the payload follows */
#define RELAY_PAYLOAD_MAX     (RELAY_MESSAGE_MAX - RELAY_TRANSPORT_LEN)
#define RELAY_TOKEN_MAX	      64

enum relay_type {
	RELAY_HELLO = 1, /* reserved, rejected */
	RELAY_HELLO_RESPONSE = 2,
	RELAY_TRANSPORT = 3,
	RELAY_CLOSE = 4,
	RELAY_HEALTH_CHECK = 5,
	RELAY_AUTH = 6,
	RELAY_AUTH_RESPONSE = 7,
	RELAY_SUBSCRIBE = 8,
	RELAY_UNSUBSCRIBE = 9,
	RELAY_PEERS_ONLINE = 10,
	RELAY_PEERS_OFFLINE = 11,
};

struct relay_id {
	uint8_t bytes[RELAY_ID_LEN];
};
void relay_id_of(struct relay_id *id, const struct key *public_key); /* "sha-" and SHA-256 of the base64 text */
void relay_id_of_text(struct relay_id *id, const char *text);
void relay_id_print(char out[RELAY_ID_TEXT], const struct relay_id *id);

/* Writers: the length, or -EMSGSIZE. */
int relay_put_auth(uint8_t *out, size_t size, const struct relay_id *own, const uint8_t *token, size_t token_len);
int relay_put_auth_response(uint8_t *out, size_t size, const char *instance_url);
int relay_put_simple(uint8_t *out, size_t size, enum relay_type type); /* CLOSE, HEALTH_CHECK */
int relay_put_list(uint8_t *out, size_t size, enum relay_type type, const struct relay_id *ids, size_t count);
void relay_put_transport(uint8_t out[RELAY_TRANSPORT_LEN], const struct relay_id *id); /* the payload goes behind it */

/* Reader of any message: pointers lead into it. */
struct relay_message {
	enum relay_type type;
	const uint8_t *id; /* TRANSPORT: other end; AUTH: own; RELAY_ID_LEN bytes */
	const uint8_t *data; /* payload, token, URL (no terminator) or ids */
	size_t len;
	size_t count; /* ids in a list */
};
enum relay_verdict {
	RELAY_OK,
	RELAY_EMPTY,
	RELAY_BAD_VERSION,
	RELAY_BAD_TYPE,
	RELAY_BAD_LENGTH,
	RELAY_BAD_MAGIC, /* of AUTH */
	RELAY_VERDICTS
};
const char *relay_verdict_text(enum relay_verdict v);
enum relay_verdict relay_parse(const uint8_t *message, size_t len, struct relay_message *out);

/* ---- tokens: 01, HMAC-SHA256 over the payload under SHA-256(secret), payload = decimal unix seconds of expiry ---- */

struct relay_secret {
	uint8_t key[32]; /* SHA-256 of the text; wiped by its owner */
};
void relay_secret_set(struct relay_secret *s, const char *text, size_t len);
int relay_token_make(const struct relay_secret *s, uint64_t expiry_seconds, uint8_t out[RELAY_TOKEN_MAX]); /* length */
enum relay_token { RELAY_TOKEN_GOOD, RELAY_TOKEN_MALFORMED, RELAY_TOKEN_WRONG, RELAY_TOKEN_EXPIRED };
enum relay_token relay_token_check(const struct relay_secret *s, const uint8_t *token, size_t len, uint64_t now_seconds,
				   uint64_t *expiry_seconds);

/* ---- URLs: rel://HOST[:PORT], rels://HOST[:PORT]; any path is replaced by /relay ---- */

#define RELAY_URL_MAX 256
struct relay_url {
	bool tls;
	char host[200]; /* without brackets */
	uint16_t port;	/* 80, 443 by default */
};
bool relay_url_parse(struct relay_url *u, const char *text);

#endif
