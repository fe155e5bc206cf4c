/* Runs the rules, and orders what they find: causes before their symptoms, the surest first. */
#include "diagnose/rules.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "diagnose/rules_internal.h"

const struct diagnosis_rule *const diagnosis_rules[] = {
	rules_local, rules_wg, rules_session, rules_path, rules_relay, rules_ice, rules_mtu, NULL,
};

const char *diagnosis_confidence_name(enum diagnosis_confidence c)
{
	static const char *const names[] = {"possible", "likely", "certain"};

	return names[c];
}

const char *diagnosis_side_name(enum diagnosis_side s)
{
	static const char *const names[] = {"", "here", "between", "there"};

	return names[s];
}

const char *diagnosis_severity_name(enum diagnosis_severity s)
{
	static const char *const names[] = {"trouble", "note"};

	return names[s];
}

const char *diagnosis_mark_name(enum diagnosis_mark m)
{
	static const char *const names[] = {"good", "bad", "note"};

	return names[m];
}

/* ---- for the rules ---- */

#define JUST_NOW (2 * NS_PER_SEC)

void diagnosis_holds(struct diagnosis *d, enum diagnosis_confidence c, enum diagnosis_side side,
		     uint64_t since)
{
	d->confidence = c;
	d->side = side;
	d->since = since;
}

void diagnosis_says(struct diagnosis *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->verdict, sizeof(d->verdict), fmt, ap);
	va_end(ap);
}

static void fill_line(struct diagnosis_line *l, enum diagnosis_mark mark, const char *layer, uint64_t at,
		      const char *fmt, va_list ap)
{
	l->mark = mark;
	l->layer = layer;
	l->at = at;
	vsnprintf(l->text, sizeof(l->text), fmt, ap);
}

void diagnosis_shows(struct diagnosis *d, enum diagnosis_mark mark, const char *layer, uint64_t at,
		     const char *fmt, ...)
{
	va_list ap;

	if (d->line_count == DIAGNOSIS_LINES)
		return;
	va_start(ap, fmt);
	fill_line(&d->lines[d->line_count++], mark, layer, at, fmt, ap);
	va_end(ap);
}

void diagnosis_works(struct diagnoses *out, const char *layer, uint64_t at, const char *fmt, ...)
{
	va_list ap;

	if (out->good_count == DIAGNOSIS_OUT)
		return;
	va_start(ap, fmt);
	fill_line(&out->good[out->good_count++], MARK_GOOD, layer, at, fmt, ap);
	va_end(ap);
}

void diagnosis_helps(struct diagnosis *d, char key, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(d->next, sizeof(d->next), fmt, ap);
	va_end(ap);
	d->key = key;
}

void diagnosis_peer_name(char out[KEY_BASE64_LEN + 1], const struct diagnosis_facts *f)
{
	if (*f->name) {
		snprintf(out, KEY_BASE64_LEN + 1, "%s", f->name);
		return;
	}
	key_to_base64(out, &f->public_key);
	out[8] = '\0';
}

/* As a shell takes it for one word; a name that would need more than quotes gives way to the key's start. */
static void peer_word(char out[KEY_BASE64_LEN + 1], const struct diagnosis_facts *f)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.:,@%+/-";

	if (!*f->name || *f->name == '-' || strchr(f->name, '\'')) {
		key_to_base64(out, &f->public_key);
		out[8] = '\0';
	} else {
		bool odd = f->name[strspn(f->name, plain)];

		snprintf(out, KEY_BASE64_LEN + 1, "%s%s%s", odd ? "'" : "", f->name, odd ? "'" : "");
	}
}

void diagnosis_command(struct diagnosis *d, const struct diagnosis_facts *f, const char *words)
{
	int verb = (int)strcspn(words, " ");
	char peer[KEY_BASE64_LEN + 1];

	if (f)
		peer_word(peer, f);
	snprintf(d->command, sizeof(d->command), "weir %.*s%s%s%s", verb, words, f ? " " : "", f ? peer : "",
		 words + verb);
}

const char *diagnosis_age(char out[DIAGNOSIS_AGE], uint64_t ns)
{
	uint64_t s = ns / NS_PER_SEC;

	if (s < 120)
		snprintf(out, DIAGNOSIS_AGE, "%" PRIu64 " s", s);
	else if (s < 7200)
		snprintf(out, DIAGNOSIS_AGE, "%" PRIu64 " min", s / 60);
	else if (s < 48 * 3600)
		snprintf(out, DIAGNOSIS_AGE, "%" PRIu64 " h", s / 3600);
	else
		snprintf(out, DIAGNOSIS_AGE, "%" PRIu64 " days", s / 86400);
	return out;
}

const char *diagnosis_for(char out[DIAGNOSIS_AGE], uint64_t since, uint64_t now)
{
	return diagnosis_age(out, now > since ? now - since : 0);
}

const char *diagnosis_ago(char out[DIAGNOSIS_AGE], uint64_t at, uint64_t now)
{
	if (now < at + JUST_NOW)
		return strcpy(out, "just now");
	diagnosis_for(out, at, now);
	return strcat(out, " ago");
}

/* ---- how rules look at the facts ---- */

#define REPORT_OLD (90 * NS_PER_SEC)

/* The word's count begins anew on each path; those of all paths are evidence, as long as none was answered.
 */
uint64_t diagnosis_tries(const struct diagnosis_facts *f)
{
	uint64_t all = f->since_handshake[WG_COUNT_initiation_sent];

	return all > f->word.initiations_unanswered ? all : f->word.initiations_unanswered;
}

/* Nothing that comes of a handshake of ours, though we try. */
bool diagnosis_unanswered(const struct diagnosis_facts *f)
{
	return diagnosis_tries(f) >= DIAGNOSIS_TRIES && f->word.endpoint_known && !f->word.remote_away;
}

/* The report tells of the time that is judged, not of an earlier one. */
bool diagnosis_report_is_new(const struct diagnosis_facts *f, uint64_t now)
{
	return f->has_report && diagnosis_lately(f->report_at, now, REPORT_OLD);
}

uint64_t diagnosis_since(const struct diagnosis_facts *f, enum wg_counter c)
{
	return f->since_handshake[c];
}

/* The last minute's, or before there are samples all since the last handshake. */
uint64_t diagnosis_recent(const struct diagnosis_facts *f, enum wg_counter c)
{
	return f->recent.since ? f->recent.counters[c] : f->since_handshake[c];
}

bool diagnosis_tunnel_works(const struct diagnosis_facts *f, uint64_t now)
{
	if (f->state.tunnel != TUNNEL_UP || f->state.word == WORD_STUCK)
		return false;
	return f->state.word != WORD_WAIT || diagnosis_lately(f->word.last_received, now, DIAGNOSIS_HEARD);
}

#define PARKED (60 * NS_PER_SEC)

bool diagnosis_parked(const struct diagnosis_facts *f)
{
	uint64_t next = f->word.direct_retry_at;

	if (!next && f->ice_running)
		next = f->ice_since;
	return f->word.ice_failed_at && next > f->word.ice_failed_at + PARKED;
}

void diagnosis_show_tries(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d)
{
	char ago[DIAGNOSIS_AGE];

	diagnosis_shows(d, MARK_BAD, "wireguard", f->word.last_sent,
			"%" PRIu64 " of %" PRIu64 " initiations unanswered", diagnosis_tries(f),
			diagnosis_tries(f));
	if (f->word.last_handshake)
		diagnosis_shows(d, MARK_NOTE, "wireguard", f->word.last_handshake,
				"the last handshake was %s", diagnosis_ago(ago, f->word.last_handshake, now));
}

/* ---- the verdicts ---- */

/* Is `id` one of the space-separated words? "*": all others. */
bool diagnosis_explains(const struct diagnosis_rule *cause, const struct diagnosis_rule *symptom)
{
	const char *at = cause->explains;
	size_t len = strlen(symptom->id);

	if (!at || cause == symptom)
		return false;
	if (!strcmp(at, "*"))
		return true;
	while ((at = strstr(at, symptom->id))) {
		if ((at == cause->explains || at[-1] == ' ') && (at[len] == ' ' || !at[len]))
			return true;
		at += len;
	}
	return false;
}

#define FOUND_MAX 24
#define RANKS	  6

struct found {
	unsigned count;
	const struct diagnosis_rule *rules[FOUND_MAX];
	bool sure[FOUND_MAX]; /* more than possible */
	int ranks[FOUND_MAX];
};

/* 0 comes first. */
static int rank(const struct diagnosis *d)
{
	return (d->severity == DIAGNOSIS_NOTE ? 3 : 0) + (int)DIAGNOSIS_CERTAIN - (int)d->confidence;
}

/* What only may be the cause hides nothing. Of two that explain each other the first of the tables stays. */
static bool explained(const struct found *all, unsigned i)
{
	for (unsigned n = 0; n < all->count; n++)
		if (all->sure[n] && diagnosis_explains(all->rules[n], all->rules[i]) &&
		    (n < i || !all->sure[i] || !diagnosis_explains(all->rules[i], all->rules[n])))
			return true;
	return false;
}

/* Fills *d anew: the table is the only source of the rule. */
static bool check(const struct diagnosis_rule *r, const struct diagnosis_facts *f, uint64_t now,
		  struct diagnosis *d)
{
	memset(d, 0, sizeof(*d));
	d->rule = r;
	return r->check(f, now, d);
}

static void find(const struct diagnosis_facts *f, uint64_t now, struct found *all, struct diagnosis *room)
{
	all->count = 0;
	for (unsigned t = 0; diagnosis_rules[t]; t++) {
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++) {
			if (all->count == FOUND_MAX)
				return;
			if (!check(r, f, now, room))
				continue;
			all->rules[all->count] = r;
			all->sure[all->count] = room->confidence != DIAGNOSIS_POSSIBLE;
			all->ranks[all->count++] = rank(room);
		}
	}
}

void diagnose_peer(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out)
{
	struct found all;

	memset(out, 0, sizeof(*out));
	find(f, now, &all, &out->items[0]);
	memset(&out->items[0], 0, sizeof(out->items[0]));
	/* Texts are written for those that stay: trouble first, the surest first, then as the tables have it.
	 */
	for (int rank = 0; rank < RANKS; rank++)
		for (unsigned i = 0; i < all.count; i++)
			if (all.ranks[i] == rank && out->count < DIAGNOSIS_VERDICTS && !explained(&all, i))
				check(all.rules[i], f, now, &out->items[out->count++]);
	diagnosis_good(f, now, out);
}

/* ---- the manual ---- */

#define MANUAL_WIDTH 78

/* mdoc takes a dot or an apostrophe at the start of a line, and every backslash, for its own. */
static size_t mdoc_word(struct strbuf *out, const char *word, size_t len, bool first)
{
	size_t from = out->len;

	if (first && (*word == '.' || *word == '\''))
		strbuf_append(out, "\\&", 2);
	for (size_t i = 0; i < len; i++)
		strbuf_append(out, word[i] == '\\' ? "\\e" : &word[i], word[i] == '\\' ? 2 : 1);
	return out->len - from;
}

/* Each sentence begins a line, and none is too long for the manuals' checks. */
static void mdoc_text(struct strbuf *out, const char *text)
{
	size_t column = 0;
	bool sentence = false;

	while (*text) {
		const char *end = strchr(text, ' ');
		size_t len = end ? (size_t)(end - text) : strlen(text);

		if (column && (sentence || column + 1 + len > MANUAL_WIDTH)) {
			strbuf_append(out, "\n", 1);
			column = 0;
		} else if (column) {
			strbuf_append(out, " ", 1);
			column++;
		}
		column += mdoc_word(out, text, len, !column);
		sentence = len && text[len - 1] == '.';
		text += len + (end != NULL);
	}
	strbuf_append(out, "\n", 1);
}

void diagnosis_manual(struct strbuf *out)
{
	strbuf_add(out, ".Bl -tag -width Ds\n");
	for (unsigned t = 0; diagnosis_rules[t]; t++) {
		for (const struct diagnosis_rule *r = diagnosis_rules[t]; r->id; r++) {
			strbuf_add(out, ".It Cm %s\n", r->id);
			mdoc_text(out, r->text);
		}
	}
	strbuf_add(out, ".El\n");
}
