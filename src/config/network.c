/* The values of [Relay] and [Ice], and of Relay and Mode of a [Peer]. None of the secrets is ever in a
 * message. */
#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "config/parse.h"
#include "relay/wire.h"

#define TOKEN_HINT    "a token is base64 of 1, 32 bytes of HMAC and the time when it ends (weir-protocol(7))"
#define TURN_TEXT_MAX 127 /* of user and password */

static const char *keyword_name(const struct parser *p)
{
	return keyword_table[p->keyword].name;
}

static void set_text(char **where, const char *text)
{
	free(*where);
	*where = xstrdup(text);
}

static bool read_yes(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];

	if (!strcasecmp(text, "yes"))
		return true;
	if (strcasecmp(text, "no"))
		bad(p, "give yes or no", "%s is \"%s\"", keyword_name(p), quote(shown, text));
	return false;
}

/* ---- relays ---- */

static bool url_is_good(struct parser *p, const char *text)
{
	static const char *const other[] = {"http://", "https://", "ws://", "wss://"};
	const char *hint = "give rels://HOST[:PORT], or rel://HOST[:PORT] without TLS";
	char shown[QUOTE_MAX];
	struct relay_url url;

	if (relay_url_parse(&url, text))
		return true;
	for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++)
		if (!strncasecmp(text, other[i], strlen(other[i])))
			hint = i & 1 ? "write rels:// for a relay with TLS"
				     : "write rel:// for a relay without TLS";
	bad(p, hint, "\"%s\" is no URL of a relay", quote(shown, text));
	return false;
}

static void read_url(struct parser *p, const char *text)
{
	struct engine_network *n = &p->c->network;

	if (!url_is_good(p, text))
		return;
	if (n->url_count == ENGINE_RELAYS_MAX) {
		bad(p, "peers that are at other relays are met there all the same", "more than %d relays",
		    ENGINE_RELAYS_MAX);
		return;
	}
	p->c->lines.urls[n->url_count] = p->line;
	n->urls[n->url_count++] = xstrdup(text);
}

/* Secret, SecretFile, Token and TokenFile are four ways to log in, of which there is one. */
static bool is_only_login(struct parser *p)
{
	static const enum keyword ways[] = {KEYWORD_Secret, KEYWORD_SecretFile, KEYWORD_Token,
					    KEYWORD_TokenFile};

	for (size_t i = 0; i < sizeof(ways) / sizeof(*ways); i++) {
		if (ways[i] == p->keyword || !p->seen[ways[i]])
			continue;
		bad(p, "keep one of them", "%s and %s are both given, the other on line %d",
		    keyword_table[ways[i]].name, keyword_name(p), p->seen[ways[i]]);
		return false;
	}
	return true;
}

static void read_secret(struct parser *p, const char *text, size_t len)
{
	if (!len) {
		bad(p, "it is the --auth-secret of a NetBird relay, the secret of `weir relay`",
		    "%s is empty", keyword_name(p));
		return;
	}
	relay_secret_set(&p->c->network.secret, text, len);
	p->c->network.has_secret = true;
}

static bool token_is_good(const uint8_t *token, size_t len)
{
	const size_t head = 1 + 32;

	if (len <= head || token[0] != 1)
		return false;
	for (size_t i = head; i < len; i++)
		if (!isdigit(token[i]))
			return false;
	return true;
}

static void read_token(struct parser *p, const char *text, size_t len)
{
	struct engine_network *n = &p->c->network;

	if (sodium_base642bin(n->token, sizeof(n->token), text, len, " \t\r\n", &n->token_len, NULL,
			      sodium_base64_VARIANT_ORIGINAL) ||
	    !token_is_good(n->token, n->token_len)) {
		n->token_len = 0;
		bad(p, TOKEN_HINT, "%s holds no relay token", keyword_name(p));
	}
}

/* What `read` takes, from the file that text names. */
static void read_file(struct parser *p, const char *text, const char *noun,
		      void (*read)(struct parser *, const char *, size_t))
{
	char *path = value_path(p, text);
	size_t len;
	char *inside = path ? value_text_file(p, keyword_name(p), path, noun, &len) : NULL;

	if (inside) {
		read(p, inside, len);
		sodium_memzero(inside, len);
	}
	free(inside);
	free(path);
}

static void read_login(struct parser *p, const char *text)
{
	p->c->lines.secret = p->line;
	if (!is_only_login(p))
		return;
	switch (p->keyword) {
	case KEYWORD_Secret:
		read_secret(p, text, strlen(text));
		break;
	case KEYWORD_SecretFile:
		read_file(p, text, "secret", read_secret);
		break;
	case KEYWORD_Token:
		read_token(p, text, strlen(text));
		break;
	default:
		read_file(p, text, "token", read_token);
		break;
	}
}

/* It is read again by whoever dials; here a slip is told before anything depends on it. */
static void read_ca_file(struct parser *p, const char *text)
{
	char *path = value_path(p, text);
	struct stat st;

	p->c->lines.ca_file = p->line;
	if (!path)
		return;
	if (stat(path, &st))
		bad(p, NULL, "CaFile %s: %s", path, strerror(errno));
	else if (!S_ISREG(st.st_mode))
		bad(p, "give a file of certificates in PEM", "CaFile %s is not a regular file", path);
	else
		set_text(&p->c->network.ca_file, path);
	free(path);
}

static void read_pin(struct parser *p, const char *text)
{
	struct key hash;

	p->c->lines.pin = p->line;
	if (key_from_base64(&hash, text))
		set_text(&p->c->network.pin, text);
	else
		bad(p, "give the SHA-256 of the server's public key (SPKI), 44 characters of base64",
		    "Pin is not 32 bytes in base64");
}

static void read_proxy(struct parser *p, const char *text)
{
	const char *scheme = "http://", *rest = text;
	char *copy, *host = NULL, *port = NULL, shown[QUOTE_MAX];
	const char *fault;

	if (!strncasecmp(text, scheme, strlen(scheme)))
		rest += strlen(scheme);
	copy = xstrdup(rest);
	fault = endpoint_fault(copy, &host, &port);
	free(copy);
	/* Whoever writes user:password@ there must not find it in a log. */
	if (strchr(rest, '@'))
		bad(p, "give HOST:PORT of a proxy that asks for none",
		    "Proxy has a user or a password in it");
	else if (fault)
		bad(p, "give HOST:PORT or http://HOST:PORT", "proxy \"%s\" %s", quote(shown, text), fault);
	else
		set_text(&p->c->network.proxy, text);
}

/* ---- STUN and TURN ---- */

/* HOST:PORT, taken apart where that is wanted. */
static bool server_is_good(struct parser *p, const char *text, char **host_out, char **port_out)
{
	char *copy = xstrdup(text), *host = NULL, *port = NULL, shown[QUOTE_MAX];
	const char *fault = endpoint_fault(copy, &host, &port);

	if (fault) {
		bad(p, "give HOST:PORT; most servers have port 3478", "server \"%s\" %s", quote(shown, text),
		    fault);
	} else if (host_out) {
		*host_out = xstrdup(host);
		*port_out = xstrdup(port);
	}
	free(copy);
	return !fault;
}

static void read_stun(struct parser *p, const char *text)
{
	struct engine_network *n = &p->c->network;

	p->c->lines.stun = p->line;
	if (!server_is_good(p, text, NULL, NULL))
		return;
	if (n->stun_count == ENGINE_STUN_MAX)
		bad(p, "one that answers is enough", "more than %d STUN servers", ENGINE_STUN_MAX);
	else
		n->stun[n->stun_count++] = xstrdup(text);
}

/* The Turn... lines below a Turn are its own: another Turn begins anew. */
static void read_turn(struct parser *p, const char *text)
{
	static const enum keyword own[] = {KEYWORD_TurnUser, KEYWORD_TurnPassword, KEYWORD_TurnPasswordFile,
					   KEYWORD_TurnTransport};
	struct engine_network *n = &p->c->network;
	struct engine_turn turn = {0};

	for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
		p->seen[own[i]] = 0;
	p->turn_bad = true;
	if (strchr(text, ',')) {
		bad(p, "give each its own line, with its TurnUser and TurnPassword below",
		    "Turn is one server, and this is a list");
		return;
	}
	if (!server_is_good(p, text, &turn.host, &turn.port))
		return;
	if (n->turn_count == ICE_TURN_MAX) {
		bad(p, NULL, "more than %d TURN servers", ICE_TURN_MAX);
		free(turn.host);
		free(turn.port);
		return;
	}
	p->turn_bad = false;
	p->c->lines.turn[n->turn_count] = p->line;
	n->turn[n->turn_count++] = turn;
}

/* The Turn that a line is about; NULL: there is none, or its own line was wrong and that was told. */
static struct engine_turn *turn_in_hand(struct parser *p)
{
	struct engine_network *n = &p->c->network;

	if (p->turn_bad)
		return NULL;
	if (n->turn_count)
		return &n->turn[n->turn_count - 1];
	bad(p, "write Turn = HOST:PORT first; these lines are about the Turn above them",
	    "no Turn stands above %s", keyword_name(p));
	return NULL;
}

static bool turn_text_is_good(struct parser *p, const char *text, size_t len)
{
	if (len && len <= TURN_TEXT_MAX && strlen(text) == len)
		return true;
	bad(p, "give 1 to 127 characters", "%s has %zu", keyword_name(p), len);
	return false;
}

static void read_turn_password(struct parser *p, const char *text, size_t len)
{
	struct engine_turn *turn = turn_in_hand(p);
	enum keyword other =
		p->keyword == KEYWORD_TurnPassword ? KEYWORD_TurnPasswordFile : KEYWORD_TurnPassword;

	if (!turn || !turn_text_is_good(p, text, len))
		return;
	if (p->seen[other])
		bad(p, "keep one of them",
		    "TurnPassword and TurnPasswordFile are both given, the other on line %d", p->seen[other]);
	if (turn->password)
		sodium_memzero(turn->password, strlen(turn->password));
	set_text(&turn->password, text);
}

static void read_turn_user(struct parser *p, const char *text)
{
	struct engine_turn *turn = turn_in_hand(p);

	if (turn && turn_text_is_good(p, text, strlen(text)))
		set_text(&turn->user, text);
}

static void read_turn_transport(struct parser *p, const char *text)
{
	struct engine_turn *turn = turn_in_hand(p);
	char shown[QUOTE_MAX];

	if (!turn)
		return;
	turn->tcp = !strcasecmp(text, "tcp");
	if (!turn->tcp && strcasecmp(text, "udp"))
		bad(p, "give udp or tcp", "\"%s\" is no transport of TURN", quote(shown, text));
}

/* ---- peers ---- */

static void read_peer_relay(struct parser *p, const char *text)
{
	p->peer->relay_line = p->line;
	if (url_is_good(p, text))
		set_text(&p->peer->relay, text);
}

static void read_mode(struct parser *p, const char *text)
{
	static const char *const names[] = {
		[PEER_AUTO] = "auto", [PEER_PLAIN] = "plain", [PEER_RELAY_ONLY] = "relay-only"};
	char shown[QUOTE_MAX];

	p->peer->mode_line = p->line;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (!strcasecmp(text, names[i])) {
			p->peer->mode = (enum peer_mode)i;
			return;
		}
	}
	bad(p, "give auto, plain or relay-only", "\"%s\" is no mode of a peer", quote(shown, text));
}

/* ---- all of them ---- */

static void read_ice_switch(struct parser *p, const char *text)
{
	struct engine_network *n = &p->c->network;
	bool yes = read_yes(p, text);

	switch (p->keyword) {
	case KEYWORD_Enable:
		p->c->lines.enable = p->line;
		n->ice_off = !yes;
		break;
	case KEYWORD_TurnOnly:
		p->c->lines.turn_only = p->line;
		n->turn_only = yes;
		break;
	case KEYWORD_Upnp:
		n->upnp = yes;
		break;
	case KEYWORD_Tcp:
		n->ice_tcp = yes;
		break;
	default: /* FastSocket */
		n->no_fast = !yes;
		break;
	}
}

/* Paths, users and secrets: blanks inside them stay. */
static bool read_as_it_is(struct parser *p, char *text)
{
	switch (p->keyword) {
	case KEYWORD_Secret:
	case KEYWORD_SecretFile:
	case KEYWORD_Token:
	case KEYWORD_TokenFile:
		read_login(p, text);
		return true;
	case KEYWORD_CaFile:
		read_ca_file(p, text);
		return true;
	case KEYWORD_TurnUser:
		read_turn_user(p, text);
		return true;
	case KEYWORD_TurnPassword:
		read_turn_password(p, text, strlen(text));
		return true;
	case KEYWORD_TurnPasswordFile:
		read_file(p, text, "password", read_turn_password);
		return true;
	case KEYWORD_Url:
		each_item(p, text, false, read_url);
		return true;
	case KEYWORD_Stun:
		each_item(p, text, false, read_stun);
		return true;
	default:
		return false;
	}
}

void network_value_read(struct parser *p, char *text)
{
	if (read_as_it_is(p, text))
		return;
	text_compact(text);
	switch (p->keyword) {
	case KEYWORD_Pin:
		read_pin(p, text);
		break;
	case KEYWORD_Proxy:
		read_proxy(p, text);
		break;
	case KEYWORD_Turn:
		read_turn(p, text);
		break;
	case KEYWORD_TurnTransport:
		read_turn_transport(p, text);
		break;
	case KEYWORD_Relay:
		read_peer_relay(p, text);
		break;
	case KEYWORD_Mode:
		read_mode(p, text);
		break;
	default:
		read_ice_switch(p, text);
		break;
	}
}
