/* The line after ':': typed, completed by Tab, remembered, and taken apart. */
#include <stdio.h>
#include <string.h>

#include "base/distance.h"
#include "tui/text.h"
#include "tui/verbs.h"

#define WORDS_MAX 4
#define NEAR_MAX  3 /* that are named */

static const struct verb *find_verb(const struct model *m, const char *word)
{
	for (size_t i = 0; i < verbs_count; i++)
		if (strcmp(verbs[i].name, word) == 0 && verb_may(m, &verbs[i]))
			return &verbs[i];
	return NULL;
}

static const struct choice *find_choice(const struct verb *v, const char *word)
{
	for (const struct choice *c = v->choices; c && c->word; c++)
		if (strcmp(c->word, word) == 0)
			return c;
	return NULL;
}

struct words {
	char text[200];
	const char *word[WORDS_MAX];
	int count;
};

static void split(struct words *w, const char *line)
{
	char *save = NULL;

	*w = (struct words){0};
	text_copy(w->text, sizeof(w->text), line);
	for (char *word = strtok_r(w->text, " ", &save); word && w->count < WORDS_MAX;
	     word = strtok_r(NULL, " ", &save))
		w->word[w->count++] = word;
}

/* ---- completion ---- */

struct completion {
	const char *start; /* of the word that is being typed */
	char common[80];   /* what all that fit begin with */
	unsigned count;
	char *list; /* their names, for the screen */
	size_t room;
};

static void offer(struct completion *c, const char *word)
{
	size_t same = 0;

	if (strncmp(word, c->start, strlen(c->start)) != 0)
		return;
	if (!c->count)
		text_copy(c->common, sizeof(c->common), word);
	while (c->common[same] && c->common[same] == word[same])
		same++;
	c->common[same] = '\0';
	if (c->room && strlen(c->list) + strlen(word) + 2 < c->room)
		snprintf(c->list + strlen(c->list), c->room - strlen(c->list), "%s%s", *c->list ? " " : "",
			 word);
	c->count++;
}

/* A name with a blank cannot be a word of the line; it is meant by selecting it. */
static void offer_peers(struct completion *c, const struct model *m, const struct data *d)
{
	char label[LABEL_ROOM];

	for (size_t i = 0; i < d->peers_count; i++) {
		if (!*d->peers[i]->name && !m->private)
			snprintf(label, sizeof(label), "%.8s", d->peers[i]->key);
		else
			peer_label(label, d->peers[i], m->private);
		if (!strchr(label, ' '))
			offer(c, label);
	}
}

static void complete(struct completion *c, const struct model *m, const struct data *d)
{
	const char *last = strrchr(m->typed, ' ');
	const struct verb *v;
	struct words w;
	int at;

	split(&w, m->typed);
	c->start = last ? last + 1 : m->typed;
	at = w.count - (*c->start != '\0');
	v = at > 0 ? find_verb(m, w.word[0]) : NULL;
	for (size_t i = 0; at == 0 && i < verbs_count; i++)
		if (verb_may(m, &verbs[i]))
			offer(c, verbs[i].name);
	/* For the selected peer the choice comes at once. */
	for (const struct choice *o = v && at <= 1 + (v->takes == TAKES_PEER) ? v->choices : NULL;
	     o && o->word && (at == 1 || !find_choice(v, w.word[1])); o++)
		offer(c, o->word);
	if (v && v->takes == TAKES_PEER && at == 1) {
		if (!v->run)
			offer(c, "all");
		offer_peers(c, m, d);
	}
}

void model_candidates(const struct model *m, const struct data *d, char *out, size_t size)
{
	struct completion c = {.list = out, .room = size};

	*out = '\0';
	if (m->mode == MODE_TYPE)
		complete(&c, m, d);
}

static void tab(struct model *m, const struct data *d)
{
	struct completion c = {0};
	size_t at;

	complete(&c, m, d);
	at = (size_t)(c.start - m->typed);
	if (!c.count || strlen(c.common) + at + 2 > sizeof(m->typed))
		return;
	snprintf(m->typed + at, sizeof(m->typed) - at, "%s%s", c.common, c.count == 1 ? " " : "");
}

/* ---- near matches ---- */

struct near {
	const char *word;
	const char *found[NEAR_MAX];
	unsigned distance[NEAR_MAX], count;
};

/* What is typed may be the start of a word, or a slip: one letter and a quarter of it wrong. The nearest come
 * first. */
static void consider(struct near *n, const char *word)
{
	unsigned d = strncmp(word, n->word, strlen(n->word)) == 0 ? 0 : word_distance(word, n->word), at;

	if (d > 1 + strlen(word) / 4 || d >= strlen(word))
		return;
	for (at = n->count; at && n->distance[at - 1] > d; at--)
		if (at < NEAR_MAX) {
			n->found[at] = n->found[at - 1];
			n->distance[at] = n->distance[at - 1];
		}
	if (at == NEAR_MAX)
		return;
	n->found[at] = word;
	n->distance[at] = d;
	n->count += n->count < NEAR_MAX;
}

/* "; did you mean drain?", or `otherwise`. */
static const char *near_text(char out[160], const struct near *n, const char *otherwise)
{
	size_t len = 0;

	if (!n->count)
		return otherwise;
	for (unsigned i = 0; i < n->count; i++)
		len += (size_t)snprintf(out + len, 160 - len, "%s%.32s",
					!i		    ? "; did you mean "
					: i + 1 == n->count ? " or "
							    : ", ",
					n->found[i]);
	snprintf(out + len, 160 - len, "?");
	return out;
}

static void no_such_verb(struct model *m, const struct data *d, const char *word, double now)
{
	struct near n = {.word = word};
	char text[160];

	for (size_t i = 0; i < verbs_count; i++) {
		if (!verb_may(m, &verbs[i]) && strcmp(verbs[i].name, word) == 0) {
			model_say(m, now, true, "%s: this view may only look: it is read-only", word);
			return;
		}
		if (verb_may(m, &verbs[i]))
			consider(&n, verbs[i].name);
	}
	if (verb_is_outside(word))
		model_say(m, now, true, "%s is for a shell: weir %s%s%s", word, word,
			  *d->interface ? " " : "", strcmp(word, "replay") == 0 ? "BUNDLE" : d->interface);
	else
		model_say(m, now, true, "%s: no command of the dashboard%s", word,
			  near_text(text, &n, "; Tab shows them"));
}

static void no_such_choice(struct model *m, const struct verb *v, const char *word, double now)
{
	struct near n = {.word = word};
	char text[160], list[160] = "";

	for (const struct choice *c = v->choices; c->word; c++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", len ? ", " : "", c->word);
		if (*word)
			consider(&n, c->word);
	}
	if (*word)
		model_say(m, now, true, "%s: \"%s\" is none of %s%s", v->name, word, list,
			  near_text(text, &n, ""));
	else
		model_say(m, now, true, "%s: what? %s", v->name, list);
}

/* ---- running ---- */

/* "path edge-fra relay" or, for the selected peer, "path relay". False: it was said what is wrong. */
static bool take_words(struct call *c, const struct words *w)
{
	const struct verb *v = c->verb;
	const char *last = w->count > 1 ? w->word[w->count - 1] : "";
	int most = 1 + (v->takes == TAKES_PEER) + (v->choices != NULL);

	c->choice = find_choice(v, last);
	if (v->choices && !c->choice && !(v->optional && w->count <= 2)) {
		no_such_choice(c->m, v, last, c->now);
		return false;
	}
	if (w->count > most) {
		model_say(c->m, c->now, true, "%s: a word too many: %s", v->name, last);
		return false;
	}
	if (v->takes == TAKES_PEER && w->count > 1 + (c->choice != NULL))
		c->who = w->word[1];
	return true;
}

static void remember(struct model *m)
{
	char *newest = m->history[(m->history_count + HISTORY_LINES - 1) % HISTORY_LINES];

	if (m->history_count && strcmp(newest, m->typed) == 0)
		return;
	text_copy(m->history[m->history_count++ % HISTORY_LINES], sizeof(m->history[0]), m->typed);
}

static void enter(struct model *m, const struct data *d, double now, struct effects *fx)
{
	struct call call = {.m = m, .d = d, .now = now, .fx = fx};
	char line[sizeof(m->typed)];
	struct words w;

	m->mode = MODE_NORMAL;
	split(&w, m->typed);
	if (!w.count)
		return;
	remember(m);
	text_copy(line, sizeof(line), m->typed);
	for (size_t len = strlen(line); len && line[len - 1] == ' ';)
		line[--len] = '\0';
	call.verb = find_verb(m, w.word[0]);
	if (!call.verb) {
		no_such_verb(m, d, w.word[0], now);
		return;
	}
	call.text = line + strspn(line, " ") + strlen(w.word[0]);
	call.text += strspn(call.text, " ");
	if (call.verb->takes == TAKES_TEXT || take_words(&call, &w))
		verb_run(&call);
}

/* ---- keys ---- */

/* Up and down in what was typed before; what is being typed now comes back at the end. */
static void recall(struct model *m, int by)
{
	unsigned kept = m->history_count < HISTORY_LINES ? m->history_count : HISTORY_LINES;
	int to = (int)m->history_back + by;

	if (to < 0 || to > (int)kept)
		return;
	if (!m->history_back)
		text_copy(m->draft, sizeof(m->draft), m->typed);
	m->history_back = (unsigned)to;
	text_copy(m->typed, sizeof(m->typed),
		  to ? m->history[(m->history_count - (unsigned)to) % HISTORY_LINES] : m->draft);
}

void typed_begin(struct model *m)
{
	m->mode = MODE_TYPE;
	*m->typed = '\0';
	m->history_back = 0;
}

void typed_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	if (code == '\r' || code == '\n')
		enter(m, d, now, fx);
	else if (code == K_ESCAPE || code == CTRL_('C') || (code == K_BACKSPACE && !*m->typed))
		m->mode = MODE_NORMAL;
	else if (code == '\t')
		tab(m, d);
	else if (code == K_UP || code == CTRL_('P'))
		recall(m, 1);
	else if (code == K_DOWN || code == CTRL_('N'))
		recall(m, -1);
	else if (line_edit(m->typed, sizeof(m->typed), code))
		m->history_back = 0;
}
