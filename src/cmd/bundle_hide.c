#include "cmd/bundle_hide.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/key.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"

#define TOKEN_MAX  63 /* longer ones are not remembered */
#define SECRET_MIN 4
#define HIDDEN	   "(hidden)"

struct word { /* a text and what it is replaced by */
	char *text, *with;
	size_t len;
	struct word *next;
};

struct hide {
	bool anonymise;
	struct addresses addresses;
	struct word *secrets;  /* with: NULL */
	struct word *words;    /* all that have pseudonyms, for freeing */
	struct word *odd[256]; /* names that are not one token, by their first byte */
	struct map *tokens;    /* of TOKEN_MAX bytes, zero-padded: struct word */
	struct map *keys;      /* public keys, base64 */
	struct map *starts;    /* their first eight characters: struct word of the key */
	unsigned peers, hosts, folders;
};

/* Words of our own, which a peer may be called by, too: they are replaced only where a name must be. */
static const char *const vocabulary[] = {
	"STUCK", "WAIT",   "DRAIN", "RELAY", "DIRECT", "IDLE", "DOWN", "direct", "relay", "none",
	"up",	 "down",   "stale", "auto",  "peer",   "ice",  "turn", "host",	 "named", "error",
	"warn",	 "notice", "info",  "debug", "state",  "wg",   "true", "false",	 "null",  "hello"};

struct hide *hide_new(bool anonymise)
{
	struct hide *h = xcalloc(1, sizeof(*h));

	h->anonymise = anonymise;
	crypto_random(h->addresses.salt, sizeof(h->addresses.salt));
	h->tokens = map_new(TOKEN_MAX);
	h->keys = map_new(KEY_BASE64_LEN);
	h->starts = map_new(8);
	return h;
}

static void free_words(struct word *w)
{
	while (w) {
		struct word *next = w->next;

		crypto_wipe(w->text, w->len);
		free(w->text);
		free(w->with);
		free(w);
		w = next;
	}
}

void hide_free(struct hide *h)
{
	if (!h)
		return;
	free_words(h->secrets);
	free_words(h->words);
	for (size_t i = 0; i < 256; i++)
		free_words(h->odd[i]);
	map_free(h->tokens);
	map_free(h->keys);
	map_free(h->starts);
	crypto_wipe(h, sizeof(*h));
	free(h);
}

static struct word *word_new(struct word **list, const char *text, size_t len, char *with)
{
	struct word *w = xcalloc(1, sizeof(*w));

	w->text = xmalloc(len + 1);
	memcpy(w->text, text, len);
	w->text[len] = '\0';
	w->len = len;
	w->with = with;
	w->next = *list;
	*list = w;
	return w;
}

/* ---- secrets ---- */

static void add_secret(struct hide *h, const char *text, size_t len)
{
	if (len >= SECRET_MIN)
		word_new(&h->secrets, text, len, NULL);
}

/* As JSON would have it, where that differs. */
static void add_json_form(struct hide *h, const uint8_t *bytes, size_t len)
{
	char *text = xmalloc(2 * len);
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (bytes[i] == '"' || bytes[i] == '\\')
			text[n++] = '\\';
		text[n++] = (char)bytes[i];
	}
	if (n > len)
		add_secret(h, text, n);
	crypto_wipe(text, 2 * len);
	free(text);
}

static void add_forms(struct hide *h, const uint8_t *bytes, size_t len)
{
	size_t room = sodium_base64_encoded_len(len, sodium_base64_VARIANT_ORIGINAL);
	char *text = xmalloc(room > 2 * len + 1 ? room : 2 * len + 1);

	add_secret(h, (const char *)bytes, len);
	add_json_form(h, bytes, len);
	sodium_bin2base64(text, room, bytes, len, sodium_base64_VARIANT_ORIGINAL);
	/* Inside of something longer it stands without its padding. */
	text[strcspn(text, "=")] = '\0';
	add_secret(h, text, strlen(text));
	sodium_bin2hex(text, 2 * len + 1, bytes, len);
	add_secret(h, text, 2 * len);
	for (char *at = text; *at; at++)
		*at = (char)toupper((unsigned char)*at);
	add_secret(h, text, 2 * len);
	crypto_wipe(text, room);
	free(text);
}

void hide_secret(struct hide *h, const void *secret, size_t len)
{
	char text[KEY_BASE64_LEN + 1] = "";
	struct key key;

	if (len < SECRET_MIN)
		return;
	add_forms(h, secret, len);
	if (len != KEY_BASE64_LEN)
		return;
	memcpy(text, secret, len);
	if (key_from_base64(&key, text))
		add_forms(h, key.bytes, KEY_LEN);
	key_wipe(&key);
	crypto_wipe(text, sizeof(text));
}

bool hide_leaks(const struct hide *h, const char *text, size_t len)
{
	for (const struct word *w = h->secrets; w; w = w->next)
		if (memmem(text, len, w->text, w->len))
			return true;
	return false;
}

static void without_secrets(const struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	while (len) {
		const char *first = NULL;
		size_t first_len = 0;

		for (const struct word *w = h->secrets; w; w = w->next) {
			const char *at = memmem(text, len, w->text, w->len);

			if (at && (!first || at < first || (at == first && w->len > first_len))) {
				first = at;
				first_len = w->len;
			}
		}
		if (!first)
			break;
		strbuf_append(out, text, (size_t)(first - text));
		strbuf_append(out, HIDDEN, strlen(HIDDEN));
		len -= (size_t)(first + first_len - text);
		text = first + first_len;
	}
	strbuf_append(out, text, len);
}

/* ---- names and keys ---- */

static bool token_key(char key[TOKEN_MAX], const char *text, size_t len)
{
	if (!len || len > TOKEN_MAX)
		return false;
	memset(key, 0, TOKEN_MAX);
	memcpy(key, text, len);
	return true;
}

static bool is_token(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("._-", text[i]))
			return false;
	return len && len <= TOKEN_MAX;
}

static bool in_vocabulary(const char *text, size_t len)
{
	for (size_t i = 0; i < sizeof(vocabulary) / sizeof(vocabulary[0]); i++)
		if (strlen(vocabulary[i]) == len && !memcmp(vocabulary[i], text, len))
			return true;
	return false;
}

static const struct word *find_token(const struct hide *h, const char *text, size_t len)
{
	char key[TOKEN_MAX];

	return token_key(key, text, len) ? map_get(h->tokens, key) : NULL;
}

/* The longest that the text begins with and that ends there: one name may be the start of another. */
static const struct word *find_odd(const struct hide *h, const char *text, size_t len)
{
	const struct word *best = NULL;

	for (const struct word *w = h->odd[(unsigned char)*text]; w; w = w->next)
		if (w->len <= len && (!best || w->len > best->len) && !memcmp(w->text, text, w->len) &&
		    (w->len == len || !isalnum((unsigned char)text[w->len])))
			best = w;
	return best;
}

static void add_name(struct hide *h, const char *text, size_t len, char *with)
{
	char key[TOKEN_MAX];

	if (is_token(text, len) && token_key(key, text, len))
		map_put(h->tokens, key, word_new(&h->words, text, len, with));
	else
		word_new(&h->odd[(unsigned char)*text], text, len, with);
}

static bool known(const struct hide *h, const char *text, size_t len)
{
	const struct word *odd = find_odd(h, text, len);

	return find_token(h, text, len) || (odd && odd->len == len);
}

static void add_peer_name(struct hide *h, const char *text, size_t len)
{
	if (h->anonymise && len && !known(h, text, len))
		add_name(h, text, len, xasprintf("peer-%u", ++h->peers));
}

static bool is_address(const char *text, size_t len)
{
	char copy[64];
	uint8_t bytes[16];

	if (len >= sizeof(copy))
		return false;
	memcpy(copy, text, len);
	copy[len] = '\0';
	return inet_pton(AF_INET, copy, bytes) == 1 || inet_pton(AF_INET6, copy, bytes) == 1;
}

static void add_host_name(struct hide *h, const char *text, size_t len)
{
	const char *colon = memchr(text, ':', len);

	if (colon)
		len = (size_t)(colon - text);
	if (!h->anonymise || !len || *text == '[' || is_address(text, len) || known(h, text, len) ||
	    !strncmp(text, "localhost", len))
		return;
	h->hosts++;
	add_name(h, text, len,
		 memchr(text, '.', len) ? xasprintf("host-%u.example", h->hosts)
					: xasprintf("host-%u", h->hosts));
}

void hide_peer_name(struct hide *h, const char *name)
{
	add_peer_name(h, name, strlen(name));
}

void hide_host_name(struct hide *h, const char *name)
{
	add_host_name(h, name, strlen(name));
}

void hide_public_key(struct hide *h, const char *base64)
{
	char pseudonym[KEY_BASE64_LEN + 1];
	uint8_t mac[HASH_LEN];
	struct word *w;
	struct key key;

	if (strlen(base64) != KEY_BASE64_LEN || !key_from_base64(&key, base64) || map_get(h->keys, base64))
		return;
	blake2s_256(mac, h->addresses.salt, sizeof(h->addresses.salt), key.bytes, KEY_LEN);
	memcpy(key.bytes, mac, KEY_LEN);
	key_to_base64(pseudonym, &key);
	w = word_new(&h->words, base64, KEY_BASE64_LEN, xstrdup(h->anonymise ? pseudonym : base64));
	map_put(h->keys, base64, w);
	map_put(h->starts, base64, w);
}

/* ---- learning ---- */

/* A name as JSON has it, with a backslash before quotes and backslashes; other files have it without. */
static void add_json_name(struct hide *h, const char *text, size_t len)
{
	const struct word *w;
	char plain[TOKEN_MAX];
	size_t n = 0;

	if (!memchr(text, '\\', len)) {
		add_peer_name(h, text, len);
		return;
	}
	for (size_t i = 0; i < len && n < sizeof(plain); i++) {
		i += text[i] == '\\' && i + 1 < len;
		plain[n++] = text[i];
	}
	add_peer_name(h, plain, n);
	w = find_odd(h, plain, n);
	if (w && w->len == n && !known(h, text, len))
		add_name(h, text, len, xstrdup(w->with));
}

/* The quote that ends a string, NULL: none does. */
static const char *string_end(const char *from, const char *end)
{
	while (from < end && *from != '"')
		from += *from == '\\' ? 2 : 1;
	return from < end ? from : NULL;
}

/* The value of each "member":"..." of that name, as it stands. */
static void learn_member(struct hide *h, const char *json, size_t len, const char *member,
			 void (*add)(struct hide *, const char *, size_t))
{
	size_t member_len = strlen(member);
	const char *end = json + len, *at = json;

	while ((at = memmem(at, (size_t)(end - at), member, member_len))) {
		const char *from = at + member_len, *to;

		at = from;
		while (from < end && (*from == ' ' || *from == ':'))
			from++;
		if (from == at || from >= end || *from++ != '"')
			continue;
		to = string_end(from, end);
		if (!to)
			return;
		add(h, from, (size_t)(to - from));
		at = to;
	}
}

static void add_key(struct hide *h, const char *text, size_t len)
{
	char copy[KEY_BASE64_LEN + 1] = "";

	if (len != KEY_BASE64_LEN)
		return;
	memcpy(copy, text, len);
	hide_public_key(h, copy);
}

/* A folder may be called after people and hosts. Those of the system say nothing; files keep their names,
 * which are those of interfaces. */
static void add_folder(struct hide *h, const char *text, size_t len)
{
	const char *slash = memrchr(text, '/', len);

	len = slash ? (size_t)(slash - text) : 0;
	if (h->anonymise && len && strncmp(text, "/etc/", 5) != 0 && strncmp(text, "/usr/", 5) != 0 &&
	    !known(h, text, len))
		add_name(h, text, len, xasprintf("/folder-%u", ++h->folders));
}

/* Hosts of URLs. */
static void learn_urls(struct hide *h, const char *text, size_t len)
{
	const char *end = text + len, *at = text;

	while ((at = memmem(at, (size_t)(end - at), "://", 3))) {
		size_t n = 0;

		at += 3;
		while (at + n < end && (isalnum((unsigned char)at[n]) || strchr("._-", at[n])) && at[n])
			n++;
		add_host_name(h, at, n);
	}
}

void hide_learn(struct hide *h, const char *json, size_t len)
{
	learn_member(h, json, len, "\"publicKey\"", add_key);
	learn_member(h, json, len, "\"name\"", add_json_name);
	learn_member(h, json, len, "\"hostname\"", add_host_name);
	learn_member(h, json, len, "\"endpointHost\"", add_host_name);
	learn_member(h, json, len, "\"configuration\"", add_folder);
	learn_urls(h, json, len);
}

/* ---- replacing ---- */

static bool is_base64(char c)
{
	return isalnum((unsigned char)c) || c == '+' || c == '/';
}

/* Bytes used, 0: no key here. */
static size_t replace_key(const struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	char copy[KEY_BASE64_LEN + 1];
	const struct word *w;
	struct key key;
	size_t n = 0;

	while (n < len && n <= KEY_BASE64_LEN && is_base64(text[n]))
		n++;
	if (n == KEY_BASE64_LEN - 1 && n < len && text[n] == '=') {
		memcpy(copy, text, KEY_BASE64_LEN);
		copy[KEY_BASE64_LEN] = '\0';
		w = map_get(h->keys, copy);
		if (!w && !key_from_base64(&key, copy))
			return 0;
		strbuf_add(out, "%s", w ? w->with : "(hidden key)");
		return KEY_BASE64_LEN;
	}
	/* The start of a known one, as people and logs write it. */
	w = h->anonymise && n >= 8 && n < KEY_BASE64_LEN ? map_get(h->starts, text) : NULL;
	if (!w || memcmp(w->text, text, n) != 0)
		return 0;
	strbuf_append(out, w->with, n);
	return n;
}

/* 64 hexadecimal digits are a key, too. */
static size_t replace_hex(const char *text, size_t len, struct strbuf *out)
{
	size_t n = 0;

	while (n < len && isxdigit((unsigned char)text[n]))
		n++;
	if (n != KEY_HEX_LEN || (n < len && isalnum((unsigned char)text[n])))
		return 0;
	strbuf_add(out, "%s", "(hidden key)");
	return n;
}

/* The length of a prefix that follows an address, and the characters that say it; else all bits. */
static unsigned prefix_after(const char *text, size_t len, unsigned bits)
{
	unsigned value = 0;
	size_t n = 1;

	if (len < 2 || text[0] != '/' || !isdigit((unsigned char)text[1]))
		return bits;
	for (; n < len && n < 4 && isdigit((unsigned char)text[n]); n++)
		value = value * 10 + (unsigned)(text[n] - '0');
	return value < bits ? value : bits;
}

/* A network keeps its zeros; an address within a network is changed as a whole. */
static unsigned bits_that_count(const uint8_t *bytes, unsigned bits, unsigned prefix)
{
	for (unsigned i = prefix; i < bits; i++)
		if (bytes[i / 8] & (0x80 >> i % 8))
			return bits;
	return prefix;
}

static size_t replace_address(struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	char copy[INET6_ADDRSTRLEN] = "", shown[INET6_ADDRSTRLEN];
	uint8_t bytes[16];
	size_t n = 0;
	unsigned bits;

	while (n < len && n + 1 < sizeof(copy) &&
	       (isxdigit((unsigned char)text[n]) || strchr(".:", text[n])) && text[n])
		n++;
	/* "1.2.3.4:51820": the port is none of it. And sentences end. */
	for (size_t cut = n; cut; cut--) {
		int family = memchr(text, ':', cut) ? AF_INET6 : AF_INET;

		if (cut < n && !strchr(".:", text[cut]))
			continue;
		memcpy(copy, text, cut);
		copy[cut] = '\0';
		if (inet_pton(family, copy, bytes) != 1)
			continue;
		bits = family == AF_INET ? 32 : 128;
		bits = bits_that_count(bytes, bits, prefix_after(text + cut, len - cut, bits));
		address_pseudonym(&h->addresses, bytes, family == AF_INET ? 4 : 16, bits);
		strbuf_add(out, "%s", inet_ntop(family, bytes, shown, sizeof(shown)));
		return cut;
	}
	return 0;
}

static size_t replace_mac(const struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	uint8_t mac[MAC_LEN];

	if (len < 17 || (len > 17 && (isxdigit((unsigned char)text[17]) || text[17] == ':')))
		return 0;
	for (size_t i = 0; i < 17; i++)
		if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
			return 0;
	blake2s_mac(mac, h->addresses.salt, sizeof(h->addresses.salt), text, 17);
	strbuf_add(out, "02:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4]);
	return 17;
}

/* "gw.example.net": labels, the last one of letters, and no file of ours. */
static bool is_domain(const char *text, size_t len)
{
	static const char *const files[] = {"conf", "sock", "json",    "jsonl", "txt",	  "log",
					    "key",  "pem",  "service", "so",	"example"};
	const char *dot = memrchr(text, '.', len);
	size_t last = dot ? (size_t)(text + len - dot - 1) : 0;

	if (last < 2 || dot == text)
		return false;
	for (size_t i = 1; i <= last; i++)
		if (!isalpha((unsigned char)dot[i]))
			return false;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (strlen(files[i]) == last && !memcmp(files[i], dot + 1, last))
			return false;
	return true;
}

/* Does a name of a peer or a host belong here, whatever it says? */
static bool name_is_due(const struct strbuf *out)
{
	static const char *const before[] = {"\"name\":\"",  "\"name\": \"",	"\"peer\":\"",
					     "\"peer\": \"", "\"hostname\":\"", "\"hostname\": \""};

	for (size_t i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		size_t n = strlen(before[i]);

		if (out->len >= n && !memcmp(out->text + out->len - n, before[i], n))
			return true;
	}
	return false;
}

static size_t replace_name(struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	const struct word *w = find_odd(h, text, len);
	size_t n = 0;

	if (w) {
		strbuf_add(out, "%s", w->with);
		return w->len;
	}
	while (n < len &&
	       (isalnum((unsigned char)text[n]) || text[n] == '-' || text[n] == '_' || text[n] == '.'))
		n++;
	/* A sentence may end behind a name. */
	while (n && (text[n - 1] == '.' || text[n - 1] == '-'))
		n--;
	if (!n)
		return 0;
	w = find_token(h, text, n);
	if (!w && is_domain(text, n)) {
		add_host_name(h, text, n);
		w = find_token(h, text, n);
	}
	if (w && (name_is_due(out) || !in_vocabulary(text, n)))
		strbuf_add(out, "%s", w->with);
	else
		strbuf_append(out, text, n);
	return n;
}

static size_t replace(struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	size_t n = replace_key(h, text, len, out);

	if (!n)
		n = replace_hex(text, len, out);
	if (n || !h->anonymise)
		return n;
	n = replace_mac(h, text, len, out);
	if (!n && (isxdigit((unsigned char)*text) || *text == ':'))
		n = replace_address(h, text, len, out);
	return n ? n : replace_name(h, text, len, out);
}

void hide_text(struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	struct strbuf clean = {0};
	char before = ' ';

	without_secrets(h, text, len, &clean);
	for (size_t i = 0; i < clean.len;) {
		size_t n =
			isalnum((unsigned char)before) ? 0 : replace(h, clean.text + i, clean.len - i, out);

		if (!n) {
			strbuf_append(out, clean.text + i, 1);
			n = 1;
		}
		i += n;
		before = clean.text[i - 1];
	}
	crypto_wipe(clean.text, clean.len);
	strbuf_clear(&clean);
}

/* ---- configurations ---- */

static bool has_part(const char *keyword, const char *part)
{
	return strcasestr(keyword, part) != NULL;
}

static bool is_secret_keyword(const char *keyword)
{
	size_t len = strlen(keyword);

	if (len > 4 && !strcasecmp(keyword + len - 4, "File"))
		return false;
	return has_part(keyword, "private") || has_part(keyword, "shared") || has_part(keyword, "psk") ||
	       has_part(keyword, "secret") || has_part(keyword, "token") || has_part(keyword, "passw");
}

/* USER:PASSWORD before an at sign, as people write it for proxies and servers, though the file may not have
 * it. */
static void learn_login(struct hide *h, const char *value, size_t len)
{
	const char *at = memrchr(value, '@', len), *scheme = memmem(value, len, "://", 3), *colon;

	if (!at)
		return;
	if (scheme && scheme < at)
		value = scheme + 3;
	colon = memchr(value, ':', (size_t)(at - value));
	if (!colon)
		return;
	hide_secret(h, value, (size_t)(at - value));
	hide_secret(h, colon + 1, (size_t)(at - colon - 1));
}

/* What else a line of a configuration tells us. */
static void learn_line(struct hide *h, const char *keyword, const char *value, size_t len)
{
	if (!strcasecmp(keyword, "PublicKey"))
		add_key(h, value, len);
	else if (!strcasecmp(keyword, "Name"))
		add_peer_name(h, value, len);
	else if (!strcasecmp(keyword, "Endpoint") || !strcasecmp(keyword, "Stun") ||
		 !strcasecmp(keyword, "Turn"))
		add_host_name(h, value, len);
	if (has_part(keyword, "proxy") || has_part(keyword, "url") || has_part(keyword, "turn"))
		learn_login(h, value, len);
	learn_urls(h, value, len);
}

static size_t trimmed(const char **from, const char *to)
{
	while (*from < to && isspace((unsigned char)**from))
		(*from)++;
	while (to > *from && isspace((unsigned char)to[-1]))
		to--;
	return (size_t)(to - *from);
}

/* A line without its end. With `out` it is written; without, only learnt from. */
static void config_line(struct hide *h, const char *line, size_t len, struct strbuf *out)
{
	const char *equals = memchr(line, '=', len), *word = line, *value = equals ? equals + 1 : NULL;
	char keyword[64] = "";
	size_t n, value_len;

	while (word < line + len && (isspace((unsigned char)*word) || *word == '#' || *word == ';'))
		word++;
	n = equals && equals > word ? trimmed(&word, equals) : 0;
	if (n && n < sizeof(keyword))
		memcpy(keyword, word, n);
	value_len = value ? trimmed(&value, line + len) : 0;
	if (is_secret_keyword(keyword) && value_len) {
		if (!out) {
			hide_secret(h, value, value_len);
			return;
		}
		strbuf_append(out, line, (size_t)(equals + 1 - line));
		strbuf_add(out, " %s", HIDDEN);
		return;
	}
	if (out)
		strbuf_append(out, line, len);
	else if (value_len)
		learn_line(h, keyword, value, value_len);
}

void hide_config(struct hide *h, const char *text, size_t len, struct strbuf *out)
{
	for (unsigned pass = 0; pass < 2; pass++)
		for (const char *at = text, *end = text + len; at < end;) {
			const char *newline = memchr(at, '\n', (size_t)(end - at));
			const char *to = newline ? newline : end;

			config_line(h, at, (size_t)(to - at), pass ? out : NULL);
			if (pass && newline)
				strbuf_append(out, "\n", 1);
			at = newline ? newline + 1 : end;
		}
}
