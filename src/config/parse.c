/*
 * Lines, sections and keywords of a configuration file. The grammar is that of wg(8) and wg-quick(8): INI,
 * keywords in any case, blanks mean nothing, # begins a comment except in a hook: a hook is taken to the end
 * of its line. Everything wrong is told, and one wrong thing fails the file.
 */
#include "config/parse.h"

#include <ctype.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "base/xalloc.h"

static bool is_hook(enum keyword k)
{
	return k == KEYWORD_PreUp || k == KEYWORD_PostUp || k == KEYWORD_PreDown || k == KEYWORD_PostDown;
}

/* Without the blanks around it; in place. */
static char *trim(char *text)
{
	size_t len;

	while (isspace((unsigned char)*text))
		text++;
	len = strlen(text);
	while (len && isspace((unsigned char)text[len - 1]))
		text[--len] = '\0';
	return text;
}

void text_compact(char *text)
{
	char *to = text;

	for (; *text; text++)
		if (!isspace((unsigned char)*text))
			*to++ = *text;
	*to = '\0';
}

/* ---- sections ---- */

/* The array holds secrets: the old place is wiped when it moves. */
static void grow_peers(struct parser *p)
{
	struct conf *c = p->c;
	struct conf_peer *old = c->peers;
	size_t room = p->peer_room ? 2 * p->peer_room : 4;

	if (c->peer_count < p->peer_room)
		return;
	c->peers = xcalloc(room, sizeof(*c->peers));
	if (old) {
		memcpy(c->peers, old, c->peer_count * sizeof(*old));
		sodium_memzero(old, c->peer_count * sizeof(*old));
		free(old);
	}
	p->peer_room = room;
}

static void finish_section(struct parser *p)
{
	if (p->section == SECTION_PEER && !p->seen[KEYWORD_PublicKey]) {
		conf_complain(p->m, CONF_ERROR, p->peer->line, 1,
			      "`wg show IFACE public-key` on the peer prints it",
			      "this [Peer] has no PublicKey");
	}
}

static void begin_section(struct parser *p, char *text)
{
	char shown[QUOTE_MAX];

	finish_section(p);
	p->comment_names = false;
	text_compact(text);
	p->section = section_find(text);
	if (p->section == SECTION_UNKNOWN) {
		enum section near = section_nearest(text);
		char hint[80];

		if (near != SECTION_UNKNOWN)
			snprintf(hint, sizeof(hint), "did you mean %s?", section_name(near));
		else
			snprintf(hint, sizeof(hint),
				 "the sections are [Interface], [Relay], [Ice] and [Peer]");
		bad(p, hint, "unknown section \"%s\"", quote(shown, text));
		return;
	}
	for (int i = 0; i < KEYWORDS; i++)
		if (keyword_table[i].section == SECTION_PEER)
			p->seen[i] = 0;
	if (p->section != SECTION_PEER) {
		int *line = p->section == SECTION_INTERFACE ? &p->interface_line
			    : p->section == SECTION_RELAY   ? &p->c->lines.relay
							    : &p->c->lines.ice;

		if (!*line)
			*line = p->line;
		return;
	}
	grow_peers(p);
	p->peer = &p->c->peers[p->c->peer_count++];
	p->peer->line = p->line;
	p->named = false;
	p->comment_names = true;
}

/* ---- keywords ---- */

/* A key that slipped to the left of the = must not come out in a message: only what looks like a word does.
 */
static bool is_word(const char *text)
{
	size_t len = strlen(text);

	return len && len <= 24 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == len;
}

static void unknown_keyword(struct parser *p, const char *word)
{
	const char *here = section_name(p->section);
	enum keyword elsewhere = keyword_find(SECTION_NONE, word), near;
	char hint[80] = "weir.conf(5) lists them all";

	if (elsewhere != KEYWORDS) {
		snprintf(hint, sizeof(hint), "it belongs in %s",
			 section_name(keyword_table[elsewhere].section));
		bad(p, hint, "%s is not for %s", keyword_table[elsewhere].name, here);
		return;
	}
	if (!is_word(word)) {
		bad(p, "a line is \"Keyword = value\", \"[Section]\" or \"# comment\"",
		    "this line has no keyword");
		return;
	}
	near = keyword_nearest(p->section, word);
	if (near == KEYWORDS)
		near = keyword_nearest(SECTION_NONE, word);
	if (near != KEYWORDS && keyword_table[near].section == p->section)
		snprintf(hint, sizeof(hint), "did you mean \"%s\"?", keyword_table[near].name);
	else if (near != KEYWORDS)
		snprintf(hint, sizeof(hint), "did you mean \"%s\" of %s?", keyword_table[near].name,
			 section_name(keyword_table[near].section));
	bad(p, hint, "unknown keyword \"%s\" in %s", word, here);
}

/* "ListenPort 51820", "PrivateKey: ...": the keyword is told, the rest may be a secret. */
static void missing_equals(struct parser *p, const char *text)
{
	size_t len = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
	char word[32] = "";
	enum keyword k;

	if (len < sizeof(word))
		memcpy(word, text, len);
	k = keyword_find(SECTION_NONE, word);
	if (k != KEYWORDS)
		bad(p, "a line is \"Keyword = value\"", "no = behind %s", keyword_table[k].name);
	else
		bad(p, "a line is \"Keyword = value\", \"[Section]\" or \"# comment\"",
		    "this is neither a section nor a keyword with a value");
}

static void check_repeated(struct parser *p)
{
	enum keyword k = p->keyword;

	if (p->seen[k] && !keyword_table[k].adds)
		doubtful(p, "keep one of them", "%s stands on line %d too: this one counts",
			 keyword_table[k].name, p->seen[k]);
	p->seen[k] = p->line;
}

/* begin is the line, cut at its comment; whole is the line with it, for hooks. */
static void read_assignment(struct parser *p, char *begin, char *whole)
{
	char *equals = strchr(begin, '='), *value;
	size_t before;

	p->column = 1 + (int)strspn(begin, " \t\r\f\v");
	if (!equals) {
		missing_equals(p, trim(begin));
		return;
	}
	before = (size_t)(equals - begin);
	*equals = '\0';
	text_compact(begin);
	p->keyword = keyword_find(p->section, begin);
	if (p->section == SECTION_NONE) {
		bad(p, "begin the file with [Interface]", "this line stands before the first section");
		return;
	}
	if (p->section == SECTION_UNKNOWN)
		return; /* told once, at its head */
	if (p->keyword == KEYWORDS) {
		unknown_keyword(p, begin);
		return;
	}
	value = (is_hook(p->keyword) ? whole : begin) + before + 1;
	p->column = (int)(before + 2 + strspn(value, " \t\r\f\v"));
	check_repeated(p);
	value_read(p, trim(value));
}

/* ---- comments that name a peer ---- */

/*
 * "# friendly_name = X" as exporters of metrics read it, and "# Name = X". Only in the block of lines that
 * [Peer] begins: behind an empty line it may be meant for the next peer.
 */
static void read_comment(struct parser *p, char *text)
{
	static const char *const words[] = {"friendly_name", "Name"};
	char *equals = strchr(text, '=');

	if (!equals || !p->comment_names || p->named || p->peer->name)
		return;
	*equals = '\0';
	text = trim(text);
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (!strcasecmp(text, words[i])) {
			p->column = 1;
			value_name(p, trim(equals + 1), true);
		}
	}
}

/* ---- lines ---- */

static bool is_blank(const char *text)
{
	return !text[strspn(text, " \t\r\f\v")];
}

static void read_line(struct parser *p, const char *text, size_t len)
{
	char *whole, *line, *hash;

	p->line++;
	p->column = 1;
	if (memchr(text, '\0', len)) {
		bad(p, "is this a text file?", "a NUL byte stands in this line");
		return;
	}
	whole = xmalloc(2 * (len + 1));
	line = whole + len + 1;
	memcpy(whole, text, len);
	whole[len] = '\0';
	memcpy(line, whole, len + 1);
	hash = strchr(line, '#');
	if (hash)
		*hash = '\0';
	if (!is_blank(line)) {
		if (line[strspn(line, " \t\r\f\v")] == '[')
			begin_section(p, line);
		else
			read_assignment(p, line, whole);
	} else if (!hash) {
		p->comment_names = false;
	}
	if (hash && p->section == SECTION_PEER)
		read_comment(p, hash + 1);
	sodium_memzero(whole, 2 * (len + 1));
	free(whole);
}

/* Without a private key nothing can be shaken, unless a hook sets it, as the manual of wg-quick(8) shows. */
static void find_private_key(struct parser *p)
{
	struct conf *c = p->c;
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	const char *const names[] = {c->ifname, "private"};
	int line = p->interface_line ? p->interface_line : 1;

	p->line = p->column = 0;
	if (p->seen[KEYWORD_PrivateKey] || p->seen[KEYWORD_PrivateKeyFile])
		return;
	for (size_t i = 0; p->path && folder && i < 2; i++) {
		char *path = xasprintf("%s/%s.key", folder, names[i]);
		bool there = !access(path, F_OK);

		if (there)
			c->has_private_key = value_key_file(p, "credential", path, &c->private_key);
		free(path);
		if (there)
			return;
	}
	if (c->pre_up.count + c->post_up.count)
		conf_complain(p->m, CONF_WARNING, line, 1, NULL,
			      "no PrivateKey: until a hook sets one, no handshake can begin");
	else
		conf_complain(p->m, CONF_ERROR, line, 1,
			      "`wg genkey` makes one; PrivateKeyFile or a systemd credential can hold it",
			      "[Interface] has no PrivateKey");
}

static void finish(struct parser *p)
{
	finish_section(p);
	if (!p->interface_line) {
		conf_complain(p->m, CONF_ERROR, 0, 0,
			      "a configuration has one [Interface] and a [Peer] for each peer",
			      "there is no [Interface] section");
		return;
	}
	if (p->seen[KEYWORD_PrivateKey] && p->seen[KEYWORD_PrivateKeyFile])
		conf_complain(p->m, CONF_ERROR, p->seen[KEYWORD_PrivateKeyFile], 1, "keep one of them",
			      "PrivateKey and PrivateKeyFile are both given");
	find_private_key(p);
}

struct conf *conf_parse(const char *text, size_t len, const char *path, const char *ifname,
			struct conf_messages *m)
{
	struct parser p = {.m = m, .path = path, .keyword = KEYWORDS};
	size_t errors_before = m->errors;
	const char *end = text + len;

	p.c = xcalloc(1, sizeof(*p.c));
	p.c->path = xstrdup(path ? path : "");
	snprintf(p.c->ifname, sizeof(p.c->ifname), "%s", ifname);
	p.by_key = map_new(KEY_LEN);
	if (len >= 3 && !memcmp(text, "\xef\xbb\xbf", 3))
		text += 3; /* some editors put a byte order mark before UTF-8 */
	while (text < end) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		read_line(&p, text, (size_t)(stop - text));
		text = stop + 1;
	}
	finish(&p);
	map_free(p.by_key);
	if (m->errors == errors_before)
		return p.c;
	conf_free(p.c);
	return NULL;
}
