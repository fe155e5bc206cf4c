/* Lint of relays, ICE, and what peers want of them. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "config/lint.h"
#include "relay/wire.h"

static bool ends_in(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && !strcasecmp(text + len - end_len, end);
}

/* Private and link-local networks, loopback, shared address space (RFC 1918, 3927, 4193, 4291, 6598). */
static bool is_near_v4(const uint8_t a[4])
{
	return a[0] == 10 || a[0] == 127 || (a[0] == 172 && (a[1] & 0xf0) == 16) ||
	       (a[0] == 192 && a[1] == 168) || (a[0] == 169 && a[1] == 254) ||
	       (a[0] == 100 && (a[1] & 0xc0) == 64);
}

static bool is_near_v6(const uint8_t a[16])
{
	static const uint8_t loopback[16] = {[15] = 1};

	return (a[0] & 0xfe) == 0xfc || (a[0] == 0xfe && (a[1] & 0xc0) == 0x80) || !memcmp(a, loopback, 16);
}

/* Is that host on our own network, as far as its name tells? */
static bool is_near(const char *host)
{
	static const char *const own[] = {".local", ".lan", ".internal", ".home.arpa", ".localhost"};
	uint8_t a[16];

	if (inet_pton(AF_INET, host, a) == 1)
		return is_near_v4(a);
	if (strchr(host, ':'))
		return inet_pton(AF_INET6, host, a) != 1 || is_near_v6(a);
	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		if (ends_in(host, own[i]))
			return true;
	return !strchr(host, '.');
}

static void lint_url(const char *text, int line, struct conf_messages *m)
{
	struct relay_url url;

	if (relay_url_parse(&url, text) && !url.tls && !is_near(url.host))
		warn(m, line, 1, "use rels://",
		     "%s has no TLS: on its way everybody sees who talks to whom, and may take the token",
		     text);
}

static bool has_tls(const struct engine_network *n)
{
	struct relay_url url;

	for (unsigned i = 0; i < n->url_count; i++)
		if (relay_url_parse(&url, n->urls[i]) && url.tls)
			return true;
	return false;
}

/* The end of a token's life: decimal seconds behind its first 33 bytes. */
static void lint_token(const struct conf *c, struct conf_messages *m)
{
	const struct engine_network *n = &c->network;
	char digits[RELAY_TOKEN_MAX + 1] = "";
	uint64_t now = clock_wall_ns() / NS_PER_SEC, end;

	if (n->token_len <= 33)
		return;
	memcpy(digits, n->token + 33, n->token_len - 33);
	end = strtoull(digits, NULL, 10);
	if (end < now)
		warn(m, c->lines.secret, 1, "get a new one, or give the Secret that they are made of",
		     "this token ended %llu hours ago: no relay takes it",
		     (unsigned long long)((now - end) / 3600));
}

static void lint_relay(const struct conf *c, struct conf_messages *m)
{
	const struct engine_network *n = &c->network;

	for (unsigned i = 0; i < n->url_count; i++) {
		lint_url(n->urls[i], c->lines.urls[i], m);
		for (unsigned j = 0; j < i; j++)
			if (!strcasecmp(n->urls[i], n->urls[j]))
				warn(m, c->lines.urls[i], 1, "remove one of them", "%s stands on line %d too",
				     n->urls[i], c->lines.urls[j]);
	}
	if (c->lines.relay && !n->url_count)
		warn(m, c->lines.relay, 1, "add Url = rels://HOST",
		     "[Relay] has no Url: peers will not find us at any relay");
	if (n->url_count && !n->has_secret && !n->token_len)
		warn(m, c->lines.relay, 1, "add SecretFile or TokenFile",
		     "[Relay] has neither a secret nor a token: most relays will refuse us");
	lint_token(c, m);
	if (n->ca_file && n->url_count && !has_tls(n))
		warn(m, c->lines.ca_file, 1, NULL, "CaFile changes nothing: no relay has rels://");
	if (n->pin && n->url_count && !has_tls(n))
		warn(m, c->lines.pin, 1, NULL, "Pin changes nothing: no relay has rels://");
	if (n->pin && n->ca_file)
		warn(m, c->lines.ca_file, 1, "keep one of them",
		     "CaFile changes nothing: with a Pin no certificate is verified");
}

static void lint_ice(const struct conf *c, struct conf_messages *m)
{
	const struct engine_network *n = &c->network;

	for (unsigned i = 0; i < n->turn_count; i++) {
		const struct engine_turn *t = &n->turn[i];

		if (!t->user || !t->password)
			warn(m, c->lines.turn[i], 1, "add TurnUser and TurnPasswordFile below it",
			     "the TURN server %s has no %s: it will refuse us", t->host,
			     t->user ? "password" : "user");
	}
	if (n->turn_only && !n->turn_count && !n->ice_off)
		warn(m, c->lines.turn_only, 1, "add Turn = HOST:PORT",
		     "TurnOnly without a Turn: ICE will have no candidate at all");
	if (n->turn_only && n->stun_count)
		warn(m, c->lines.stun, 1, NULL, "Stun changes nothing: with TurnOnly only TURN is used");
	if (n->ice_off && (n->stun_count || n->turn_count))
		warn(m, c->lines.enable, 1, "remove them, or Enable = yes",
		     "ICE is off: Stun and Turn change nothing");
}

static void lint_peer_network(const struct conf *c, const struct conf_peer *p, struct conf_messages *m)
{
	const struct engine_network *n = &c->network;

	if (p->relay)
		lint_url(p->relay, p->relay_line, m);
	if (p->relay && p->mode == PEER_PLAIN)
		warn(m, p->relay_line, 1, "Mode = auto", "a plain peer uses no relay");
	else if (p->relay && !c->lines.relay)
		warn(m, p->relay_line, 1, "add [Relay] with SecretFile or TokenFile",
		     "there is no [Relay] section: we cannot log in at the peer's relay");
	if (p->mode != PEER_RELAY_ONLY)
		return;
	if (!n->url_count && !p->relay)
		warn(m, p->mode_line, 1, "add [Relay] with a Url",
		     "the peer is relay-only and there is no relay: it cannot be reached");
	if (p->host)
		warn(m, p->endpoint_line, 1, "remove it, or Mode = auto",
		     "Endpoint changes nothing: the peer is relay-only");
}

void lint_network(const struct conf *c, struct conf_messages *m)
{
	lint_relay(c, m);
	lint_ice(c, m);
	for (size_t i = 0; i < c->peer_count; i++)
		lint_peer_network(c, &c->peers[i], m);
}
