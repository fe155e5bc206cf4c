/*
 * Text into a filter. Our words are looked for where a term may begin: at the start, behind "(", and, or,
 * not. All that lies between them is libpcap's, and goes there as it stands, with its parentheses, its
 * arithmetic and its way to leave a qualifier out the second time ("port 80 or 443").
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tap/filter_internal.h"

#define TEXT_MAX   8192
#define TOKENS_MAX 1024
#define DEPTH_MAX  32

enum token_kind { TOKEN_WORD, TOKEN_AND, TOKEN_OR, TOKEN_NOT, TOKEN_OPEN, TOKEN_CLOSE, TOKEN_END };

struct token {
	enum token_kind kind;
	const char *at;
	unsigned len;
};

struct parser {
	const char *text;
	struct token tokens[TOKENS_MAX + 1]; /* the last is TOKEN_END */
	unsigned now, depth;
	struct tap_filter *out;
	struct error *error;
	bool failed;
};

static void fail(struct parser *p, const struct token *t, const char *what)
{
	char near[64], why[FILTER_WHY];

	if (p->failed)
		return;
	p->failed = true;
	log_visible(near, sizeof(near), t->at, strlen(t->at));
	/* libpcap repeats what it does not know as it is. */
	log_visible(why, sizeof(why), what, strlen(what));
	if (*t->at)
		error_exit(p->error, EXIT_USAGE, EINVAL, "filter, column %zu, at \"%s\": %s",
			   (size_t)(t->at - p->text) + 1, near, why);
	else
		error_exit(p->error, EXIT_USAGE, EINVAL, "filter, at its end: %s", why);
}

/* ---- tokens ---- */

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* An operator at s, of `*len` characters; TOKEN_WORD: none. "!=" and "&", "|" are arithmetic. */
static enum token_kind symbol(const char *s, unsigned *len)
{
	*len = 1;
	if (*s == '(')
		return TOKEN_OPEN;
	if (*s == ')')
		return TOKEN_CLOSE;
	if (*s == '!' && s[1] != '=')
		return TOKEN_NOT;
	*len = 2;
	if (s[0] == '&' && s[1] == '&')
		return TOKEN_AND;
	if (s[0] == '|' && s[1] == '|')
		return TOKEN_OR;
	return TOKEN_WORD;
}

static unsigned word_len(const char *s)
{
	unsigned n = 0, len;

	if (*s == '"') {
		const char *end = strchr(s + 1, '"');

		return end ? (unsigned)(end - s) + 1 : (unsigned)strlen(s);
	}
	while (s[n] && !is_space(s[n]) && symbol(s + n, &len) == TOKEN_WORD)
		n++;
	return n;
}

static bool token_is(const struct token *t, const char *word)
{
	return t->kind == TOKEN_WORD && strlen(word) == t->len && !memcmp(t->at, word, t->len);
}

static void tokenize(struct parser *p)
{
	const char *s = p->text;
	unsigned count = 0;

	for (;;) {
		struct token *t = &p->tokens[count];

		while (is_space(*s))
			s++;
		*t = (struct token){.kind = TOKEN_END, .at = s};
		if (!*s)
			return;
		if (count++ == TOKENS_MAX) {
			fail(p, t, "too long");
			return;
		}
		t->kind = symbol(s, &t->len);
		if (t->kind == TOKEN_WORD)
			t->len = word_len(s);
		if (token_is(t, "and"))
			t->kind = TOKEN_AND;
		else if (token_is(t, "or"))
			t->kind = TOKEN_OR;
		else if (token_is(t, "not"))
			t->kind = TOKEN_NOT;
		s += t->len;
	}
}

/* ---- our words ---- */

static const char *point_name(unsigned i)
{
	return tap_point_name(i);
}

static const char *type_name(unsigned i)
{
	return tap_type_name(i);
}

static const char *path_name(unsigned i)
{
	return path_kind_name(i);
}

static const struct word {
	const char *name;
	enum tap_node_kind kind;
	const char *(*value)(unsigned i); /* the words that may follow, NULL: none, or a name */
	unsigned first, count;
	const char *wants;
} words[] = {
	{"peer", TAP_NODE_PEER, NULL, 0, 0, "the name or the public key of a peer must follow"},
	{"point", TAP_NODE_POINT, point_name, 0, TAP_POINTS, "wire, inner, relay or signal must follow"},
	{"type", TAP_NODE_TYPE, type_name, 0, TAP_TYPES,
	 "init, resp, cookie, data, keep, stun, frame, relay, ip or other must follow"},
	{"path", TAP_NODE_PATH, path_name, PATH_KIND_RELAY, PATH_KINDS,
	 "direct, ice, turn or relay must follow"},
	{"in", TAP_NODE_IN, NULL, 0, 0, NULL},
	{"out", TAP_NODE_OUT, NULL, 0, 0, NULL},
	{"dropped", TAP_NODE_DROPPED, NULL, 0, 0, NULL},
};

static const struct word *our_word(const struct token *t)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (token_is(t, words[i].name))
			return &words[i];
	return NULL;
}

/* May a term begin at token i? The first of the text has nothing before it. */
static bool begins(const struct parser *p, unsigned i)
{
	return !i || (p->tokens[i - 1].kind != TOKEN_WORD && p->tokens[i - 1].kind != TOKEN_CLOSE);
}

/* Is the term that begins at token i ours: one of our words, or a parenthesis with one in it? */
static bool ours(const struct parser *p, unsigned i)
{
	unsigned depth = 0;

	while (p->tokens[i].kind == TOKEN_NOT)
		i++;
	if (p->tokens[i].kind != TOKEN_OPEN)
		return our_word(&p->tokens[i]);
	for (; p->tokens[i].kind != TOKEN_END; i++) {
		if (p->tokens[i].kind == TOKEN_OPEN)
			depth++;
		else if (p->tokens[i].kind == TOKEN_CLOSE && !--depth)
			return false;
		else if (begins(p, i) && our_word(&p->tokens[i]))
			return true;
	}
	return false;
}

/* ---- nodes ---- */

static struct tap_node *add(struct parser *p, enum tap_node_kind kind)
{
	struct tap_node *n;

	if (p->out->count == TAP_NODES_MAX) {
		fail(p, &p->tokens[p->now], "too many words and operators before this; make it simpler");
		return NULL;
	}
	n = &p->out->nodes[p->out->count++];
	*n = (struct tap_node){.kind = kind};
	return n;
}

/* "type init": what a value needs before it, once for each of our words that take it. False: it is no value.
 */
static bool lacks_word(const struct token *t, char *out, size_t size)
{
	size_t len = 0;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (unsigned v = words[i].first; words[i].value && v < words[i].count; v++)
			if (token_is(t, words[i].value(v)) && len < size)
				len += (size_t)snprintf(out + len, size - len, "%s\"%s %s\"",
							len ? " or " : "", words[i].name, words[i].value(v));
	return len;
}

/* libpcap says what is wrong, but not where. A word of ours in the middle of a term, or the value of one
 * where a term begins, is most likely what it chokes on. */
static void complain(struct parser *p, const struct token *first, const char *why)
{
	static const char *const takes_name[] = {"host", "net",	    "port",	 "src",
						 "dst",	 "gateway", "portrange", "proto"};
	char meant[128], text[FILTER_WHY];

	for (const struct token *t = first; t < &p->tokens[p->now]; t++)
		if (begins(p, (unsigned)(t - p->tokens)) && t[1].kind != TOKEN_WORD &&
		    lacks_word(t, meant, sizeof(meant))) {
			snprintf(text, sizeof(text),
				 "\"%.*s\" alone is no primitive of pcap-filter(7); write %s", (int)t->len,
				 t->at, meant);
			fail(p, t, text);
		}
	for (const struct token *t = first + 1; t < &p->tokens[p->now]; t++) {
		bool named = false;

		for (size_t i = 0; i < sizeof(takes_name) / sizeof(takes_name[0]); i++)
			named |= token_is(&t[-1], takes_name[i]);
		if (t[-1].kind == TOKEN_WORD && !named && our_word(t))
			fail(p, t, "\"and\" or \"or\" must stand before this");
	}
	fail(p, first, why);
}

static void add_program(struct parser *p, const struct token *first, const char *text)
{
	struct tap_node compiled, *n;
	char why[FILTER_WHY];

	if (p->failed)
		return;
	if (!filter_compile(&compiled, text, why)) {
		complain(p, first, why);
		return;
	}
	n = add(p, TAP_NODE_BPF);
	if (n)
		*n = compiled;
	else
		free(compiled.code);
}

static void take_name(struct parser *p, struct tap_node *n, const struct token *t)
{
	const char *from = t->at;
	unsigned len = t->len;

	if (*from == '"' && len >= 2 && from[len - 1] == '"') {
		from++;
		len -= 2;
	}
	if (!len || len >= sizeof(n->peer))
		fail(p, t, "no peer has such a name");
	else
		memcpy(n->peer, from, len); /* the node was cleared */
}

static void take_value(struct parser *p, struct tap_node *n, const struct word *w, const struct token *t)
{
	for (unsigned i = w->first; i < w->count; i++)
		if (token_is(t, w->value(i))) {
			n->value = (uint8_t)i;
			return;
		}
	fail(p, t, w->wants);
}

static void parse_word(struct parser *p)
{
	const struct word *w = our_word(&p->tokens[p->now]);
	struct tap_node *n = add(p, w->kind);
	const struct token *value = &p->tokens[++p->now];

	if (!n || !w->wants)
		return;
	if (value->kind != TOKEN_WORD) {
		fail(p, value, w->wants);
		return; /* it may be the end */
	}
	if (w->value)
		take_value(p, n, w, value);
	else
		take_name(p, n, value);
	p->now++;
}

/* ---- what is libpcap's ---- */

/* One term: up to the next operator of this level, or its end. */
static void skip_term(struct parser *p)
{
	unsigned depth = 0;

	while (p->tokens[p->now].kind == TOKEN_NOT)
		p->now++;
	for (;; p->now++) {
		const struct token *t = &p->tokens[p->now];

		if (t->kind == TOKEN_END ||
		    (!depth && t->kind != TOKEN_WORD && t->kind != TOKEN_OPEN && t->kind != TOKEN_NOT))
			return;
		if (t->kind == TOKEN_OPEN)
			depth++;
		else if (t->kind == TOKEN_CLOSE)
			depth--;
	}
}

static bool joins(const struct token *t)
{
	return t->kind == TOKEN_AND || t->kind == TOKEN_OR;
}

/*
 * Terms of libpcap in a row, behind `before` if not NULL: the operator that joins them to what is on the left
 * (X).
 *
 * and and or bind alike, from the left: "X or a and b" is (X or a) and b, which cannot be split at X when the
 * operators differ; and it must not be split between a and b, since b may lean on a's qualifiers. But it is a
 * monotone function F of X, so it is X and F(true) or F(false), and both are whole expressions of libpcap. A
 * length that no packet has makes a false that its optimizer cannot see through.
 */
static void parse_theirs(struct parser *p, const struct token *before)
{
	const struct token *first = &p->tokens[p->now];
	bool mixed = false;
	char *run, *text;

	for (;;) {
		skip_term(p);
		if (!joins(&p->tokens[p->now]) || ours(p, p->now + 1))
			break;
		mixed |= before && p->tokens[p->now].kind != before->kind;
		p->now++;
	}
	if (p->tokens[p->now].at == first->at) {
		fail(p, first, "a primitive of pcap-filter(7) or a word of weir must stand here");
		return;
	}
	run = xasprintf("%.*s", (int)(p->tokens[p->now].at - first->at), first->at);
	if (!mixed) {
		add_program(p, first, run);
		if (before)
			add(p, before->kind == TOKEN_AND ? TAP_NODE_AND : TAP_NODE_OR);
		free(run);
		return;
	}
	for (unsigned i = 0; i < 2; i++) {
		text = xasprintf("len %s 4294967295 %s %s",
				 i ? "=" : "!=", before->kind == TOKEN_AND ? "and" : "or", run);
		add_program(p, first, text);
		add(p, i ? TAP_NODE_OR : TAP_NODE_AND);
		free(text);
	}
	free(run);
}

/* ---- the grammar ---- */

static void parse_level(struct parser *p);

static void parse_ours(struct parser *p)
{
	bool negated = false;

	for (; p->tokens[p->now].kind == TOKEN_NOT; p->now++)
		negated = !negated;
	if (p->tokens[p->now].kind == TOKEN_OPEN) {
		const struct token *open = &p->tokens[p->now++];

		if (++p->depth > DEPTH_MAX)
			fail(p, open, "too many parentheses");
		else
			parse_level(p);
		p->depth--;
		if (p->tokens[p->now].kind != TOKEN_CLOSE)
			fail(p, open, "this parenthesis is never closed");
		else
			p->now++;
	} else {
		parse_word(p);
	}
	if (negated)
		add(p, TAP_NODE_NOT);
}

static void parse_level(struct parser *p)
{
	const struct token *before = NULL;

	while (!p->failed) {
		if (ours(p, p->now)) {
			parse_ours(p);
			if (before)
				add(p, before->kind == TOKEN_AND ? TAP_NODE_AND : TAP_NODE_OR);
		} else {
			parse_theirs(p, before);
		}
		before = &p->tokens[p->now];
		if (before->kind == TOKEN_END || before->kind == TOKEN_CLOSE)
			return;
		if (!joins(before))
			fail(p, before, "\"and\" or \"or\" must stand before this");
		p->now++;
	}
}

int tap_filter_parse(struct tap_filter **out, const char *text, struct error *e)
{
	struct parser *p;
	int r = 0;

	if (strlen(text) > TEXT_MAX)
		return error_exit(e, EXIT_USAGE, EINVAL, "filter: longer than %d characters", TEXT_MAX);
	p = xcalloc(1, sizeof(*p));
	p->text = text;
	p->error = e;
	p->out = xcalloc(1, sizeof(*p->out));
	tokenize(p);
	if (!p->failed && p->tokens[0].kind != TOKEN_END) {
		parse_level(p);
		if (p->tokens[p->now].kind == TOKEN_CLOSE)
			fail(p, &p->tokens[p->now], "this parenthesis was never opened");
	}
	if (p->failed) {
		tap_filter_free(p->out);
		r = -EINVAL;
	} else {
		*out = p->out;
	}
	free(p);
	return r;
}
