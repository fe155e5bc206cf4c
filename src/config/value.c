/* What stands behind the = of each keyword: read, checked, and told in words when it is wrong. */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/file.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "config/parse.h"
#include "engine/engine.h"

#define BASE64 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

/* A key that stands in the wrong place is still a key. */
static bool holds_key(const char *text)
{
	for (size_t run; *text; text += run ? run : 1) {
		run = strspn(text, BASE64);
		if (run >= 40)
			return true;
	}
	return false;
}

const char *quote(char out[QUOTE_MAX], const char *text)
{
	size_t len = strlen(text);

	if (holds_key(text)) {
		snprintf(out, QUOTE_MAX, "(%zu characters that look like a key)", len);
		return out;
	}
	log_visible(out, QUOTE_MAX - 3, text, len);
	if (strlen(out) >= QUOTE_MAX - 4)
		strcat(out, "...");
	return out;
}

/* ---- numbers ---- */

/* Decimal digits, or hexadecimal ones behind 0x. */
static bool number(const char *text, uint64_t max, uint64_t *out)
{
	int base = text[0] == '0' && (text[1] == 'x' || text[1] == 'X') ? 16 : 10;
	const char *digits = base == 16 ? text + 2 : text;
	char *end;
	unsigned long long n;

	if (!isxdigit((unsigned char)*digits))
		return false;
	errno = 0;
	n = strtoull(digits, &end, base);
	if (errno || *end || n > max)
		return false;
	*out = n;
	return true;
}

static bool decimal(const char *text, uint64_t max, uint64_t *out)
{
	return text[0] && strspn(text, "0123456789") == strlen(text) && number(text, max, out);
}

static void read_listen_port(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];
	uint64_t n;

	if (decimal(text, UINT16_MAX, &n))
		p->c->listen_port = (uint16_t)n;
	else
		bad(p, "give 0 to 65535; 0, or no ListenPort, lets the kernel choose", "\"%s\" is no port",
		    quote(shown, text));
}

static void read_fwmark(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];
	uint64_t n = 0;

	if (strcasecmp(text, "off") && !number(text, UINT32_MAX, &n)) {
		bad(p, "give off, or 1 to 0xffffffff in decimal or 0x form", "\"%s\" is no firewall mark",
		    quote(shown, text));
		return;
	}
	p->c->fwmark = (uint32_t)n;
	p->c->has_fwmark = n != 0;
}

static void read_mtu(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];
	uint64_t n;

	p->c->mtu_line = p->line;
	if (decimal(text, 65535, &n) && n >= 68)
		p->c->mtu = (int)n;
	else
		bad(p, "give 68 to 65535 bytes, or leave MTU out to have it found", "\"%s\" is no MTU",
		    quote(shown, text));
}

static void read_table(struct parser *p, const char *text)
{
	static const struct {
		const char *name;
		uint32_t number;
	} known[] = {{"default", 253}, {"main", 254}, {"local", 255}};
	char shown[QUOTE_MAX];
	uint64_t n;

	p->c->table = TABLE_NUMBER;
	if (!strcasecmp(text, "auto")) {
		p->c->table = TABLE_AUTO;
		return;
	}
	if (!strcasecmp(text, "off")) {
		p->c->table = TABLE_OFF;
		return;
	}
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (!strcmp(text, known[i].name)) {
			p->c->table_number = known[i].number;
			return;
		}
	}
	if (number(text, UINT32_MAX, &n) && n)
		p->c->table_number = (uint32_t)n;
	else
		bad(p, "give auto, off, main, or the number of a routing table", "\"%s\" is no routing table",
		    quote(shown, text));
}

static void read_keepalive(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];
	uint64_t n = 0;

	if (!strcasecmp(text, "off") || decimal(text, UINT16_MAX, &n))
		p->peer->keepalive = (uint16_t)n;
	else
		bad(p, "give off, or 1 to 65535 seconds; 25 keeps most NATs open",
		    "\"%s\" is no keepalive interval", quote(shown, text));
}

static void read_save_config(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];

	if (!strcasecmp(text, "true"))
		bad(p, "remove the line; `wg showconf IFACE` prints what runs, to be merged by hand",
		    "SaveConfig = true is not supported: weir never writes your configuration");
	else if (strcasecmp(text, "false"))
		bad(p, "only false is accepted", "\"%s\" is neither true nor false", quote(shown, text));
}

/* ---- keys: never a byte of one in a message ---- */

static bool key_text(struct parser *p, const char *what, const char *text, struct key *out)
{
	size_t len = strlen(text), good = strspn(text, BASE64);

	if (len == KEY_BASE64_LEN && good < len - 1)
		bad(p, NULL, "character %zu of %s is not base64", good + 1, what);
	else if (len != KEY_BASE64_LEN)
		bad(p, NULL, "%s has %zu character%s: a key has 44 (32 bytes in base64)", what, len,
		    len == 1 ? "" : "s");
	else if (text[len - 1] != '=')
		bad(p, NULL, "%s does not end in =: it is not 32 bytes in base64", what);
	else if (!key_from_base64(out, text))
		bad(p, "was a character lost or changed in copying?", "%s is not 32 bytes in base64", what);
	else if (key_is_zero(out) && p->keyword != KEYWORD_PresharedKey &&
		 p->keyword != KEYWORD_PresharedKeyFile)
		bad(p, NULL, "%s is all zeros", what);
	else
		return true;
	return false;
}

char *value_text_file(struct parser *p, const char *what, const char *path, const char *noun, size_t *len)
{
	struct error e = {0};
	struct stat st;
	char *text, *begin, *end;
	size_t whole;

	if (stat(path, &st)) {
		bad(p, NULL, "%s %s: %s", what, path, strerror(errno));
		return NULL;
	}
	if (!S_ISREG(st.st_mode)) {
		bad(p, NULL, "%s %s is not a regular file", what, path);
		return NULL;
	}
	if (file_read(path, &text, &whole, 4096, &e)) {
		bad(p, NULL, "%s", e.text);
		return NULL;
	}
	if (open_to_all(path, &st))
		doubtful(p, "chmod o= takes that from them", "every user may read the %s in %s", noun, path);
	for (begin = text; isspace((unsigned char)*begin); begin++)
		;
	for (end = begin + strlen(begin); end > begin && isspace((unsigned char)end[-1]); end--)
		;
	*len = (size_t)(end - begin);
	memmove(text, begin, *len);
	sodium_memzero(text + *len, whole - *len);
	return text;
}

bool value_key_file(struct parser *p, const char *what, const char *path, struct key *out)
{
	size_t len;
	char *text = value_text_file(p, what, path, "key", &len);
	bool good;

	if (!text)
		return false;
	good = key_text(p, path, text, out);
	sodium_memzero(text, len);
	free(text);
	return good;
}

char *value_path(struct parser *p, const char *text)
{
	const char *name = keyword_table[p->keyword].name;
	const char *slash = p->path ? strrchr(p->path, '/') : NULL;

	if (!p->path) {
		bad(p, "give the key itself", "%s is not read here", name);
		return NULL;
	}
	if (!*text) {
		bad(p, NULL, "%s is empty: a path is missing", name);
		return NULL;
	}
	if (*text == '/' || !slash)
		return xstrdup(text);
	return xasprintf("%.*s/%s", (int)(slash - p->path), p->path, text);
}

static bool key_in_file(struct parser *p, const char *text, struct key *out)
{
	char *path = value_path(p, text);
	bool good = path && value_key_file(p, keyword_table[p->keyword].name, path, out);

	free(path);
	return good;
}

static void read_public_key(struct parser *p, const char *text)
{
	struct key *key = &p->peer->public_key;
	uintptr_t line;

	if (!key_text(p, "PublicKey", text, key))
		return;
	line = (uintptr_t)map_get(p->by_key, key);
	if (line)
		bad(p, "put all of this peer into one [Peer]", "this PublicKey stands on line %u already",
		    (unsigned)line);
	else
		map_put(p->by_key, key, (void *)(uintptr_t)p->line);
}

static void read_psk(struct parser *p, const char *text)
{
	bool file = p->keyword == KEYWORD_PresharedKeyFile;
	int other = p->seen[file ? KEYWORD_PresharedKey : KEYWORD_PresharedKeyFile];
	bool good;

	if (other)
		bad(p, "keep one of them",
		    "PresharedKey and PresharedKeyFile are both given, the other on line %d", other);
	good = file ? key_in_file(p, text, &p->peer->psk) : key_text(p, "PresharedKey", text, &p->peer->psk);
	p->peer->has_psk = good && !key_is_zero(&p->peer->psk);
}

/* ---- addresses ---- */

/* "ADDRESS" or "ADDRESS/LENGTH"; without a length it is one host. */
static bool read_prefix(struct parser *p, const char *text, struct conf_prefix *out)
{
	char address[INET6_ADDRSTRLEN + 1] = "", shown[QUOTE_MAX];
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	uint64_t n;

	*out = (struct conf_prefix){.line = p->line, .column = p->column};
	if (len < sizeof(address))
		memcpy(address, text, len);
	if (inet_pton(AF_INET, address, out->addr) == 1)
		out->family = AF_INET;
	else if (inet_pton(AF_INET6, address, out->addr) == 1)
		out->family = AF_INET6;
	if (!out->family) {
		bad(p, "give one like 10.0.0.0/24 or fd00::/64, several with commas between them",
		    "\"%s\" is no IP address", quote(shown, text));
		return false;
	}
	n = out->family == AF_INET ? 32 : 128;
	if (slash && !decimal(slash + 1, n, &n)) {
		bad(p, out->family == AF_INET ? "give 0 to 32" : "give 0 to 128",
		    "\"%s\" has no good prefix length", quote(shown, text));
		return false;
	}
	out->len = (uint8_t)n;
	return true;
}

static void read_address(struct parser *p, const char *text)
{
	struct conf *c = p->c;
	struct conf_prefix prefix;

	if (!read_prefix(p, text, &prefix))
		return;
	c->addresses = conf_grow(c->addresses, c->address_count, sizeof(prefix));
	c->addresses[c->address_count++] = prefix;
}

static void read_allowed(struct parser *p, const char *text)
{
	struct conf_peer *peer = p->peer;
	struct conf_prefix prefix;

	if (*text == '-') {
		bad(p, "leave out what the peer must not have",
		    "-ADDRESS takes away, which means nothing in a file");
		return;
	}
	if (!read_prefix(p, *text == '+' ? text + 1 : text, &prefix))
		return;
	peer->allowed = conf_grow(peer->allowed, peer->allowed_count, sizeof(prefix));
	peer->allowed[peer->allowed_count++] = prefix;
}

/* Letters of host names; the underscore is not of DNS but of many who run one. */
static bool is_host_name(const char *text)
{
	return *text && *text != '-' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") ==
		       strlen(text);
}

static void read_dns(struct parser *p, const char *text)
{
	char shown[QUOTE_MAX];
	uint8_t addr[16];

	p->c->dns_line = p->line;
	if (inet_pton(AF_INET, text, addr) == 1 || inet_pton(AF_INET6, text, addr) == 1)
		conf_list_add(&p->c->dns_servers, text);
	else if (strspn(text, "0123456789.") == strlen(text) || strchr(text, ':'))
		bad(p, "give the IP address of a server, or a search domain", "\"%s\" is no IP address",
		    quote(shown, text));
	else if (is_host_name(*text == '~' ? text + 1 : text) || !strcmp(text, "~."))
		conf_list_add(&p->c->dns_search, text);
	else
		bad(p, "give the IP address of a server, or a search domain",
		    "\"%s\" is neither address nor domain", quote(shown, text));
}

static const char *host_fault(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');
	struct in6_addr six;

	*host = text;
	if (*text == '[') {
		char *close = strchr(text, ']');

		if (!close)
			return "has no ] behind its address";
		if (close[1] != ':')
			return "has no port behind its ]";
		*close = '\0';
		*host = text + 1;
		colon = close + 1;
		*port = colon + 1;
		if (strcspn(*host, "%") >= INET6_ADDRSTRLEN)
			return "has no IPv6 address in its brackets";
		close = strchr(*host, '%');
		if (close)
			*close = '\0';
		if (inet_pton(AF_INET6, *host, &six) != 1)
			return "has no IPv6 address in its brackets";
		if (close)
			*close = '%';
		return NULL;
	}
	if (!colon)
		return "has no port";
	if (strchr(text, ':') != colon)
		return "is an IPv6 address without brackets";
	*colon = '\0';
	*port = colon + 1;
	if (!is_host_name(text))
		return "has no good host name";
	if (strspn(text, "0123456789.") == strlen(text) && inet_pton(AF_INET, text, &six) != 1)
		return "has no good IPv4 address";
	return NULL;
}

const char *endpoint_fault(char *text, char **host, char **port)
{
	const char *fault = host_fault(text, host, port);
	uint64_t n;

	if (!fault && (!decimal(*port, UINT16_MAX, &n) || !n))
		return "has no port from 1 to 65535";
	return fault;
}

static void read_endpoint(struct parser *p, const char *text)
{
	struct conf_peer *peer = p->peer;
	char *copy = xstrdup(text), *host = NULL, *port = NULL, shown[QUOTE_MAX];
	const char *fault = endpoint_fault(copy, &host, &port);

	if (!fault) {
		free(peer->host);
		free(peer->port);
		peer->host = xstrdup(host);
		peer->port = xstrdup(port);
		peer->endpoint_line = p->line;
		/* What is no number is a name; an address with an interface that is not there yet waits like
		 * one. */
		if (!address_parse(&peer->endpoint, text))
			memset(&peer->endpoint, 0, sizeof(peer->endpoint));
	} else {
		bad(p, "give HOST:PORT, 192.0.2.1:51820 or [2001:db8::1]:51820", "endpoint \"%s\" %s",
		    quote(shown, text), fault);
	}
	free(copy);
}

/* ---- names ---- */

static bool has_control(const char *text)
{
	for (; *text; text++)
		if (iscntrl((unsigned char)*text))
			return true;
	return false;
}

void value_name(struct parser *p, const char *text, bool from_comment)
{
	enum conf_severity severity = from_comment ? CONF_WARNING : CONF_ERROR;
	const char *fault = NULL;
	char shown[QUOTE_MAX];
	struct key key;

	if (!*text)
		fault = "is empty";
	else if (strlen(text) >= PEER_NAME_MAX)
		fault = "is longer than 31 bytes";
	else if (has_control(text))
		fault = "has control characters";
	else if (!strcasecmp(text, "all"))
		fault = "means every peer in commands";
	else if (key_from_base64(&key, text))
		fault = "is a key";
	if (fault) {
		conf_complain(p->m, severity, p->line, p->column, "give 1 to 31 printable bytes",
			      "the name \"%s\" %s", quote(shown, text), fault);
		return;
	}
	free(p->peer->name);
	p->peer->name = xstrdup(text);
	p->named = !from_comment;
}

/* ---- hooks ---- */

static void read_hook(struct parser *p, const char *text, struct conf_list *list)
{
	const char *name = p->c->ifname, *at;
	size_t count = 0;
	char *command, *to;

	if (!*text)
		return;
	for (at = text; (at = strstr(at, "%i")); at += 2)
		count++;
	command = to = xmalloc(strlen(text) + count * strlen(name) + 1);
	while ((at = strstr(text, "%i"))) {
		to = mempcpy(to, text, (size_t)(at - text));
		to = stpcpy(to, name);
		text = at + 2;
	}
	strcpy(to, text);
	list->items = conf_grow(list->items, list->count, sizeof(*list->items));
	list->items[list->count++] = command;
}

/* ---- lists ---- */

void each_item(struct parser *p, char *text, bool blanks_part, void (*read)(struct parser *, const char *))
{
	int column = p->column;
	char *at = text;

	while (*at) {
		char *item;
		size_t len = strcspn(at, blanks_part ? ", \t\r\f\v" : ",");
		char ended = at[len];

		at[len] = '\0';
		item = at + strspn(at, " \t\r\f\v");
		p->column = column + (int)(item - text);
		at += len + (ended != '\0');
		text_compact(item);
		if (*item)
			read(p, item);
	}
}

/* As --metrics takes it; a relative path of a socket starts at the configuration's folder. */
static void read_metrics(struct parser *p, const char *text)
{
	char *path = NULL, shown[QUOTE_MAX];
	union address at;

	p->c->metrics_line = p->line;
	free(p->c->metrics);
	p->c->metrics = NULL;
	if (!strcasecmp(text, "off"))
		return;
	if (strncmp(text, "unix:", 5)) {
		if (address_parse(&at, text))
			p->c->metrics = xstrdup(text);
		else
			bad(p, "give ADDRESS:PORT with the address in numbers, unix:PATH, or off",
			    "metrics cannot be served at \"%s\"", quote(shown, text));
		return;
	}
	path = text[5] && text[5] != '/' && p->path ? value_path(p, text + 5) : xstrdup(text + 5);
	if (!*path || strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path))
		bad(p, "give a shorter one", "a socket's path has 1 to %zu characters, not %zu",
		    sizeof(((struct sockaddr_un *)0)->sun_path) - 1, strlen(path));
	else
		p->c->metrics = xasprintf("unix:%s", path);
	free(path);
}

/* ---- all of them ---- */

static void read_interface_value(struct parser *p, char *text)
{
	struct conf *c = p->c;

	switch (p->keyword) {
	case KEYWORD_PrivateKey:
		c->has_private_key = key_text(p, "PrivateKey", text, &c->private_key);
		break;
	case KEYWORD_PrivateKeyFile:
		c->has_private_key = key_in_file(p, text, &c->private_key);
		break;
	case KEYWORD_ListenPort:
		read_listen_port(p, text);
		break;
	case KEYWORD_FwMark:
		read_fwmark(p, text);
		break;
	case KEYWORD_MTU:
		read_mtu(p, text);
		break;
	case KEYWORD_Table:
		read_table(p, text);
		break;
	case KEYWORD_Metrics:
		read_metrics(p, text);
		break;
	default:
		read_save_config(p, text);
		break;
	}
}

void value_read(struct parser *p, char *text)
{
	struct conf *c = p->c;
	enum section s = keyword_table[p->keyword].section;

	if (s == SECTION_RELAY || s == SECTION_ICE || p->keyword == KEYWORD_Relay ||
	    p->keyword == KEYWORD_Mode) {
		network_value_read(p, text);
		return;
	}
	switch (p->keyword) {
	case KEYWORD_PreUp:
		read_hook(p, text, &c->pre_up);
		return;
	case KEYWORD_PostUp:
		read_hook(p, text, &c->post_up);
		return;
	case KEYWORD_PreDown:
		read_hook(p, text, &c->pre_down);
		return;
	case KEYWORD_PostDown:
		read_hook(p, text, &c->post_down);
		return;
	case KEYWORD_Address:
		each_item(p, text, true, read_address);
		return;
	case KEYWORD_DNS:
		each_item(p, text, true, read_dns);
		return;
	case KEYWORD_AllowedIPs:
		each_item(p, text, false, read_allowed);
		return;
	case KEYWORD_Name:
		value_name(p, text, false);
		return;
	case KEYWORD_PrivateKeyFile:
	case KEYWORD_PresharedKeyFile:
	case KEYWORD_Metrics:
		break; /* a path may have blanks */
	default:
		text_compact(text);
		break;
	}
	switch (p->keyword) {
	case KEYWORD_PublicKey:
		read_public_key(p, text);
		break;
	case KEYWORD_PresharedKey:
	case KEYWORD_PresharedKeyFile:
		read_psk(p, text);
		break;
	case KEYWORD_Endpoint:
		read_endpoint(p, text);
		break;
	case KEYWORD_PersistentKeepalive:
		read_keepalive(p, text);
		break;
	default:
		read_interface_value(p, text);
		break;
	}
}
