#include "control/uapi_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* Digits only: no sign, no space, no base prefix (Go's ParseUint with base 10). */
static bool parse_number(const char *text, uint32_t max, uint32_t *out)
{
	uint64_t v = 0;

	if (!*text)
		return false;
	for (; *text; text++) {
		if (*text < '0' || *text > '9')
			return false;
		v = v * 10 + (uint64_t)(*text - '0');
		if (v > max)
			return false;
	}
	*out = (uint32_t)v;
	return true;
}

static bool parse_u16(const char *text, struct uapi_item *out)
{
	return parse_number(text, UINT16_MAX, &out->value.number);
}

static bool parse_u32(const char *text, struct uapi_item *out)
{
	return parse_number(text, UINT32_MAX, &out->value.number);
}

static bool parse_key(const char *text, struct uapi_item *out)
{
	return strlen(text) == KEY_HEX_LEN && key_from_hex(&out->value.bytes, text);
}

static bool parse_true(const char *text, struct uapi_item *out)
{
	(void)out;
	return !strcmp(text, "true");
}

static bool parse_version(const char *text, struct uapi_item *out)
{
	(void)out;
	return !strcmp(text, "1");
}

/* An IPv4 address in IPv6 clothes can only be reached through an IPv4 socket. */
static void unmap(union address *a)
{
	struct sockaddr_in in = {.sin_family = AF_INET};

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return;
	in.sin_port = a->in6.sin6_port;
	memcpy(&in.sin_addr, &a->in6.sin6_addr.s6_addr[12], 4);
	memset(a, 0, sizeof(*a));
	a->in = in;
}

static bool parse_endpoint(const char *text, struct uapi_item *out)
{
	memset(&out->value.endpoint, 0, sizeof(out->value.endpoint));
	if (!address_parse(&out->value.endpoint, text))
		return false;
	unmap(&out->value.endpoint);
	return out->value.endpoint.sa.sa_family != AF_UNSPEC;
}

bool uapi_parse_prefix(const char *text, struct uapi_prefix *out)
{
	char address[INET6_ADDRSTRLEN];
	const char *slash = strchr(text, '/');
	uint32_t bits;

	memset(out, 0, sizeof(*out));
	if (*text == '-') {
		out->remove = true;
		text++;
	}
	if (!slash || slash < text || (size_t)(slash - text) >= sizeof(address))
		return false;
	memcpy(address, text, (size_t)(slash - text));
	address[slash - text] = '\0';
	out->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	if (inet_pton(out->family, address, out->addr) != 1)
		return false;
	/* "/08" is an error there too. */
	if (slash[1] == '0' && slash[2])
		return false;
	if (!parse_number(slash + 1, out->family == AF_INET ? 32 : 128, &bits))
		return false;
	out->len = (uint8_t)bits;
	return true;
}

static bool parse_allowed_ip(const char *text, struct uapi_item *out)
{
	return uapi_parse_prefix(text, &out->value.prefix);
}

enum scope { DEVICE = 1, PEER = 2 };

struct word {
	const char *name;
	enum scope scope;
	enum uapi_key key;
	bool (*parse)(const char *text, struct uapi_item *out);
};

static const struct word words[] = {
	{"allowed_ip", PEER, UAPI_ALLOWED_IP, parse_allowed_ip}, /* first: there may be 100,000 of them */
	{"public_key", DEVICE | PEER, UAPI_PUBLIC_KEY, parse_key},
	{"private_key", DEVICE, UAPI_PRIVATE_KEY, parse_key},
	{"listen_port", DEVICE, UAPI_LISTEN_PORT, parse_u16},
	{"fwmark", DEVICE, UAPI_FWMARK, parse_u32},
	{"replace_peers", DEVICE, UAPI_REPLACE_PEERS, parse_true},
	{"drain", DEVICE, UAPI_DRAIN_ALL, parse_true},
	{"update_only", PEER, UAPI_UPDATE_ONLY, parse_true},
	{"remove", PEER, UAPI_REMOVE, parse_true},
	{"preshared_key", PEER, UAPI_PRESHARED_KEY, parse_key},
	{"endpoint", PEER, UAPI_ENDPOINT, parse_endpoint},
	{"persistent_keepalive_interval", PEER, UAPI_KEEPALIVE, parse_u16},
	{"replace_allowed_ips", PEER, UAPI_REPLACE_ALLOWED_IPS, parse_true},
	{"protocol_version", PEER, UAPI_PROTOCOL_VERSION, parse_version},
	{"drain", PEER, UAPI_DRAIN, parse_true},
};

int uapi_parse(char *line, size_t len, bool peer_scope, struct uapi_item *out, const char **name)
{
	enum scope scope = peer_scope ? PEER : DEVICE;
	char *equals = memchr(line, '=', len);

	if (!equals)
		return -EPROTO;
	*equals = '\0';
	line[len] = '\0';
	*name = line;
	/* A NUL inside would hide the rest from the comparisons below. */
	if (strlen(line) != (size_t)(equals - line) ||
	    strlen(equals + 1) != len - (size_t)(equals - line) - 1)
		return -EINVAL;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!(words[i].scope & scope) || strcmp(line, words[i].name))
			continue;
		out->key = words[i].key;
		return words[i].parse(equals + 1, out) ? 0 : -EINVAL;
	}
	return -EINVAL;
}
