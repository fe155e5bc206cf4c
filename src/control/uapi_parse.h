/*
 * Lines of a UAPI "set" request to typed items. Pure: it knows the grammar, not the engine.
 * What is accepted is what wireguard-go accepts, and "drain=true" at both scopes.
 */
#ifndef WEIR_CONTROL_UAPI_PARSE_H
#define WEIR_CONTROL_UAPI_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/endpoint.h"
#include "base/key.h"

/* Longest line, terminator included: the limit of wireguard-go's scanner. */
#define UAPI_LINE_MAX 65536

enum uapi_key {
	/* device scope: before the first public_key */
	UAPI_PRIVATE_KEY,
	UAPI_LISTEN_PORT,
	UAPI_FWMARK,
	UAPI_REPLACE_PEERS,
	UAPI_DRAIN_ALL,
	/* both: begins a peer section */
	UAPI_PUBLIC_KEY,
	/* peer scope */
	UAPI_UPDATE_ONLY,
	UAPI_REMOVE,
	UAPI_PRESHARED_KEY,
	UAPI_ENDPOINT,
	UAPI_KEEPALIVE,
	UAPI_REPLACE_ALLOWED_IPS,
	UAPI_ALLOWED_IP,
	UAPI_PROTOCOL_VERSION,
	UAPI_DRAIN,
};

struct uapi_prefix {
	bool remove; /* the text began with '-' */
	int family;
	uint8_t addr[16];
	uint8_t len;
};

struct uapi_item {
	enum uapi_key key;
	union {
		struct key bytes; /* wipe after use: it may be a secret */
		uint32_t number;
		union address endpoint;
		struct uapi_prefix prefix;
	} value;
};

/* Splits "key=value" in place. 0, -EPROTO without '=', -EINVAL for an unknown key or a value that will not
 * do. *name is the key's text for messages whenever there is a '='. line[len] must be writable. */
int uapi_parse(char *line, size_t len, bool peer_scope, struct uapi_item *out, const char **name);

/* "10.0.0.0/8", "fd00::/8", each with an optional '-' before it. */
bool uapi_parse_prefix(const char *text, struct uapi_prefix *out);

#endif
