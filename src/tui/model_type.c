/* The line after ':': commands in the words of weir(8), completed by Tab. */
#include <stdio.h>
#include <string.h>

#include "tui/model_internal.h"
#include "tui/text.h"

#define WORDS_MAX 4
#define CHOICES	  6

static const struct verb {
	const char *name;
	bool peer; /* the word after it names one */
	struct {
		const char *word; /* the one after that; NULL: none */
		enum command command;
		const char *argument;
	} choices[CHOICES]; /* without words: one command */
} verbs[] = {
	{"drain", true, {{NULL, COMMAND_DRAIN, NULL}}},
	{"explain", true, {{NULL, COMMAND_OPEN, NULL}}},
	{"handshake", true, {{NULL, COMMAND_HANDSHAKE, NULL}}},
	{"ladder",
	 true,
	 {{"now", COMMAND_LADDER_NOW, NULL},
	  {"skip", COMMAND_LADDER_SKIP, NULL},
	  {"hold", COMMAND_LADDER_HOLD, NULL},
	  {"port", COMMAND_REBIND, NULL},
	  {"reopen", COMMAND_REOPEN, NULL}}},
	{"log", false, {{NULL, COMMAND_LOG, NULL}}},
	{"path",
	 true,
	 {{"auto", COMMAND_PREFER, "auto"},
	  {"relay", COMMAND_PREFER, "relay"},
	  {"relay-only", COMMAND_FORCE, "relay-only"}}},
	{"probe", true, {{NULL, COMMAND_PROBE, NULL}}},
	{"reload", false, {{NULL, COMMAND_RELOAD, NULL}}},
	{"reset", true, {{NULL, COMMAND_RESET, NULL}}},
	{"resolve", true, {{NULL, COMMAND_RESOLVE, NULL}}},
	{"rotate", true, {{NULL, COMMAND_ROTATE, NULL}}},
	{"status", false, {{NULL, COMMAND_PEERS, NULL}}},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

static bool may(const struct model *m, const struct verb *v)
{
	const struct key_entry *e = key_of(v->choices[0].command);

	return !m->readonly || !e || !(e->flags & KEY_CHANGES);
}

static const struct verb *find_verb(const struct model *m, const char *word)
{
	for (size_t i = 0; i < VERBS; i++)
		if (strcmp(verbs[i].name, word) == 0 && may(m, &verbs[i]))
			return &verbs[i];
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

	offer(c, "all");
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
	for (size_t i = 0; at == 0 && i < VERBS; i++)
		if (may(m, &verbs[i]))
			offer(c, verbs[i].name);
	if (v && v->peer && at == 1)
		offer_peers(c, m, d);
	for (int i = 0; v && at == 2 && i < CHOICES && v->choices[i].word; i++)
		offer(c, v->choices[i].word);
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

/* ---- running ---- */

/* "path edge-fra relay" or, for the selected peer, "path relay". */
static void run_verb(struct model *m, const struct data *d, const struct verb *v, const struct words *w,
		     double now, struct effects *fx)
{
	const char *last = w->count > 1 ? w->word[w->count - 1] : "";
	const char *who = v->peer && w->count > 1 ? w->word[1] : NULL;
	int chosen = 0, most = 1 + v->peer + (v->choices[0].word != NULL);

	if (v->choices[0].word) {
		while (chosen < CHOICES && v->choices[chosen].word &&
		       strcmp(v->choices[chosen].word, last) != 0)
			chosen++;
		if (chosen == CHOICES || !v->choices[chosen].word) {
			model_say(m, now, true, "%s: what? Tab shows the words", v->name);
			return;
		}
		if (w->count == 2)
			who = NULL;
	}
	if (w->count > most) {
		model_say(m, now, true, "%s: a word too many: %s", v->name, last);
		return;
	}
	if (action_method(v->choices[chosen].command)) {
		action_ask_for(m, d, v->choices[chosen].command, v->choices[chosen].argument, who, now, fx);
	} else if (v->peer) {
		action_select(m, d, who, now);
		m->pane = PANE_DIAGNOSIS;
		show_screen(m, d, SCREEN_PEER, fx);
	} else {
		do_command(m, d, v->choices[chosen].command, now, fx);
	}
}

static void enter(struct model *m, const struct data *d, double now, struct effects *fx)
{
	const struct verb *v;
	struct words w;

	m->mode = MODE_NORMAL;
	split(&w, m->typed);
	if (!w.count)
		return;
	text_copy(m->typed_before, sizeof(m->typed_before), m->typed);
	v = find_verb(m, w.word[0]);
	if (v)
		run_verb(m, d, v, &w, now, fx);
	else
		model_say(m, now, true, "%s: no command of the dashboard%s; Tab shows them", w.word[0],
			  m->readonly ? " that may be used read-only" : "");
}

void typed_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	if (code == '\r' || code == '\n')
		enter(m, d, now, fx);
	else if (code == K_ESCAPE || code == CTRL_('C') || (code == K_BACKSPACE && !*m->typed))
		m->mode = MODE_NORMAL;
	else if (code == '\t')
		tab(m, d);
	else if (code == K_UP)
		text_copy(m->typed, sizeof(m->typed), m->typed_before);
	else
		line_edit(m->typed, sizeof(m->typed), code);
}
