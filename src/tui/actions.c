/* What changes the engine: the menu, the prompt that asks first, and what the engine answers. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/distance.h"
#include "base/map.h"
#include "base/xalloc.h"
#include "tui/model_internal.h"
#include "tui/text.h"

const char *action_method(enum command c)
{
	switch (c) {
	case COMMAND_HANDSHAKE:
		return "handshake";
	case COMMAND_DRAIN:
		return "drain";
	case COMMAND_RESET:
		return "reset";
	case COMMAND_ROTATE:
		return "rotate";
	case COMMAND_PROBE:
		return "probe";
	case COMMAND_PREFER:
	case COMMAND_FORCE:
		return "path";
	case COMMAND_LADDER_NOW:
	case COMMAND_LADDER_SKIP:
	case COMMAND_LADDER_HOLD:
		return "ladder";
	case COMMAND_REBIND:
	case COMMAND_REOPEN:
		return "ladder";
	case COMMAND_RESOLVE:
		return "resolve";
	case COMMAND_RELOAD:
		return "reload";
	default:
		return NULL;
	}
}

const char *action_argument(const struct prompt *q, const struct peer *p, const char **name)
{
	const char *now = p && p->network ? p->network->preference : "auto";

	*name = "step";
	switch (q->command) {
	case COMMAND_REBIND:
		return "port";
	case COMMAND_REOPEN:
		return "reopen";
	case COMMAND_LADDER_NOW:
		return "now";
	case COMMAND_LADDER_SKIP:
		return "skip";
	case COMMAND_LADDER_HOLD:
		return q->argument				    ? q->argument
		       : p && p->network && p->network->ladder_held ? "resume"
								    : "hold";
	case COMMAND_PREFER:
		*name = "prefer";
		return q->argument ? q->argument : strcmp(now, "auto") == 0 ? "relay" : "auto";
	case COMMAND_FORCE:
		*name = "prefer";
		return q->argument ? q->argument : strcmp(now, "relay-only") == 0 ? "auto" : "relay-only";
	default:
		*name = NULL;
		return NULL;
	}
}

void prompt_clear(struct prompt *p)
{
	free(p->targets);
	*p = (struct prompt){0};
}

static void add_target(struct prompt *p, const struct peer *peer)
{
	text_copy(p->targets[p->count++], sizeof(p->targets[0]), peer->key);
}

/* The tagged peers, or the selected one. They are held by key: the list may move while the question stands.
 */
static void take_targets(struct model *m, const struct data *d)
{
	struct prompt *p = &m->prompt;
	const struct peer *selected = model_selected(m, d);

	p->targets = xcalloc(map_count(m->tags) + 1, sizeof(p->targets[0]));
	if (!map_count(m->tags)) {
		if (selected)
			add_target(p, selected);
		return;
	}
	/* Tagged peers that a filter hides are meant too: the prompt says how many. */
	for (size_t i = 0; i < d->peers_count && p->count < map_count(m->tags); i++)
		if (model_tagged(m, d->peers[i]))
			add_target(p, d->peers[i]);
}

/* Whose tunnel carries this SSH session, and whether the question is about that one. */
static void find_route(struct model *m, const struct data *d)
{
	struct prompt *p = &m->prompt;
	const struct peer *owner;
	bool certain;

	p->route = SSH_NONE;
	if (!*m->ssh_client)
		return;
	owner = data_owner(d, m->ssh_client, &certain);
	if (owner) {
		peer_label(p->through, owner, m->private);
		p->route = SSH_ELSEWHERE;
		for (size_t i = 0; i < p->count; i++)
			if (strcmp(p->targets[i], owner->key) == 0)
				p->route = SSH_THROUGH;
	}
	if (!certain && p->route != SSH_THROUGH)
		p->route = SSH_UNCERTAIN;
	if (!p->count || (p->route != SSH_THROUGH && p->route != SSH_UNCERTAIN))
		return;
	/* A name that nobody types by accident: that of the peer at stake. */
	if (p->route == SSH_UNCERTAIN)
		owner = data_peer(d, p->targets[0]);
	if (!owner)
		return;
	if (*owner->name || m->private)
		peer_label(p->expected, owner, m->private);
	else
		snprintf(p->expected, sizeof(p->expected), "%.8s", owner->key);
}

static void send_one(struct model *m, const struct peer *p, const char *label, struct effects *fx)
{
	enum command c = m->prompt.command;
	struct effect *e = effect_add(fx, EFFECT_REQUEST);

	e->method = action_method(c);
	text_copy(e->key, sizeof(e->key), p ? p->key : "");
	e->value = action_argument(&m->prompt, p, &e->name);
	e->id = model_expect(m, c, label);
	m->pending[(size_t)e->id % (sizeof(m->pending) / sizeof(m->pending[0]))].value = e->value;
}

static void perform(struct model *m, const struct data *d, double now, struct effects *fx)
{
	struct prompt *p = &m->prompt;
	char label[LABEL_ROOM];

	if (p->command == COMMAND_RELOAD)
		send_one(m, NULL, "", fx);
	for (size_t i = 0; i < p->count; i++) {
		const struct peer *peer = data_peer(d, p->targets[i]);

		if (peer)
			send_one(m, peer, peer_label(label, peer, m->private), fx);
	}
	if (p->count > 1)
		model_say(m, now, false, "%s: asked for %zu peers", action_method(p->command), p->count);
	m->mode = MODE_NORMAL;
	prompt_clear(p);
}

/* One letter and a quarter of a name may be wrong: more is another name, not a slip. */
static void say_nearest(struct model *m, const struct data *d, const char *who, double now)
{
	char label[LABEL_ROOM], nearest[LABEL_ROOM] = "";
	unsigned best = 2 + (unsigned)strlen(who) / 4;

	for (size_t i = 0; i < d->peers_count; i++) {
		unsigned n = word_distance(who, peer_label(label, d->peers[i], m->private));

		if (n < best) {
			best = n;
			text_copy(nearest, sizeof(nearest), label);
		}
	}
	model_say(m, now, true, "%s: no such peer%s%s%s", who, *nearest ? "; did you mean " : "", nearest,
		  *nearest ? "?" : "");
}

static bool find_peer(struct model *m, const struct data *d, const char *who, double now)
{
	struct prompt *p = &m->prompt;
	const struct peer *found = NULL;
	size_t exact = 0, close = 0, len = strlen(who);
	char label[LABEL_ROOM];

	for (size_t i = 0; i < d->peers_count; i++) {
		const struct peer *peer = d->peers[i];

		peer_label(label, peer, m->private);
		if (strcmp(label, who) == 0 || strcmp(peer->key, who) == 0) {
			found = exact++ ? found : peer;
		} else if (!exact && (strncmp(label, who, len) == 0 ||
				      (!m->private && len >= 4 && strncmp(peer->key, who, len) == 0))) {
			found = peer;
			close++;
		}
	}
	if (exact > 1 || (!exact && close > 1)) {
		model_say(m, now, true, "%s: more than one peer is called so", who);
		return false;
	}
	if (!found) {
		say_nearest(m, d, who, now);
		return false;
	}
	add_target(p, found);
	return true;
}

bool action_select(struct model *m, const struct data *d, const char *who, double now)
{
	bool found;

	if (!who)
		return true;
	prompt_clear(&m->prompt);
	m->prompt.targets = xcalloc(1, sizeof(m->prompt.targets[0]));
	found = find_peer(m, d, who, now);
	if (found) {
		text_copy(m->selected, sizeof(m->selected), m->prompt.targets[0]);
		follow_selected(m, d);
	}
	prompt_clear(&m->prompt);
	return found;
}

/* Fills the targets; says why there are none. */
static bool choose_targets(struct model *m, const struct data *d, const char *who, double now)
{
	struct prompt *p = &m->prompt;

	if (!who) {
		take_targets(m, d);
		if (!p->count)
			model_say(m, now, false, "there is no peer to act on");
		return p->count > 0;
	}
	p->targets = xcalloc(d->peers_count + 1, sizeof(p->targets[0]));
	if (strcmp(who, "all") != 0)
		return find_peer(m, d, who, now);
	for (size_t i = 0; i < d->peers_count; i++)
		add_target(p, d->peers[i]);
	if (!p->count)
		model_say(m, now, false, "there is no peer to act on");
	return p->count > 0;
}

void action_ask_for(struct model *m, const struct data *d, enum command c, const char *argument,
		    const char *who, double now, struct effects *fx)
{
	const struct key_entry *e = key_of(c);

	prompt_clear(&m->prompt);
	m->prompt.command = c;
	m->prompt.argument = argument;
	m->mode = MODE_NORMAL;
	if (c != COMMAND_RELOAD && !choose_targets(m, d, who, now)) {
		prompt_clear(&m->prompt);
		return;
	}
	if (e->flags & KEY_ASKS) {
		find_route(m, d);
		m->mode = MODE_CONFIRM;
	} else {
		perform(m, d, now, fx);
	}
}

void action_ask(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	action_ask_for(m, d, c, NULL, NULL, now, fx);
}

static void cancel(struct model *m, double now)
{
	m->mode = MODE_NORMAL;
	prompt_clear(&m->prompt);
	model_say(m, now, false, "nothing changed");
}

void action_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	struct prompt *p = &m->prompt;

	if (!*p->expected) {
		if (code == 'y' || code == 'Y')
			perform(m, d, now, fx);
		else
			cancel(m, now);
		return;
	}
	if (code == '\r' || code == '\n') {
		if (strcmp(p->typed, p->expected) == 0)
			perform(m, d, now, fx);
		else
			cancel(m, now);
	} else if (code == K_ESCAPE || code == CTRL_('C')) {
		cancel(m, now);
	} else {
		line_edit(p->typed, sizeof(p->typed), code);
	}
}

void action_menu_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx)
{
	const struct key_entry *e = key_find(code, WHERE_MENU, m->readonly);

	m->mode = MODE_NORMAL;
	if (e)
		do_command(m, d, e->command, now, fx);
}

void model_reply(struct model *m, const struct reply *r, double now)
{
	size_t slots = sizeof(m->pending) / sizeof(m->pending[0]);
	const struct pending *p = r->id > 0 ? &m->pending[(size_t)r->id % slots] : NULL;
	const char *verb;

	if (!p || p->id != r->id)
		return;
	/* One of several that failed is told, whatever the others say after it. */
	if (r->ok && *m->message && m->message_bad && now < m->message_until)
		return;
	if (p->command == COMMAND_PACKETS) {
		packets_reply(m, r, now);
		return;
	}
	verb = action_method(p->command);
	if (!r->ok && p->quiet)
		return;
	if (p->command == COMMAND_TYPE) {
		model_say(m, now, !r->ok, "%s: %s", p->label, *r->text ? r->text : "failed");
		return;
	}
	if (!r->ok)
		model_say(m, now, true, "%s%s%s: %s", verb ? verb : "request", *p->label ? " " : "", p->label,
			  *r->text ? r->text : "failed");
	else if (p->command == COMMAND_RELOAD)
		model_say(m, now, false, "configuration reloaded: %s", *r->text ? r->text : "done");
	else if (p->command == COMMAND_DRAIN)
		model_say(m, now, false, "%s drained: the next packet starts a handshake", p->label);
	else if (p->command == COMMAND_RESET)
		model_say(m, now, false, "endpoint of %s reset", p->label);
	else if (p->command == COMMAND_HANDSHAKE)
		model_say(m, now, false, "handshake with %s started", p->label);
	else if (p->command == COMMAND_ROTATE)
		model_say(m, now, false, "%s: a new session begins", p->label);
	else if (p->command == COMMAND_PROBE)
		model_say(m, now, false, "%s: every path is being asked", p->label);
	else if (p->command == COMMAND_PREFER || p->command == COMMAND_FORCE)
		model_say(m, now, false, "%s: path preference is %s now", p->label,
			  p->value ? p->value : "changed");
	else if (p->command == COMMAND_REBIND)
		model_say(m, now, false, "%s: a fresh source port was asked for", p->label);
	else if (p->command == COMMAND_REOPEN)
		model_say(m, now, false, "%s: its relay is dialled anew", p->label);
	else if (p->command == COMMAND_RESOLVE)
		model_say(m, now, false, "%s: its name is looked up again", p->label);
	else if (p->command == COMMAND_LADDER_NOW)
		model_say(m, now, false, "%s: the next step of recovery is taken", p->label);
	else if (p->command == COMMAND_LADDER_SKIP)
		model_say(m, now, false, "%s: a step of recovery is left out", p->label);
	else if (p->command == COMMAND_LADDER_HOLD)
		model_say(m, now, false, "%s: recovery %s", p->label,
			  p->value && strcmp(p->value, "resume") == 0
				  ? "goes on"
				  : "is held until x w, or weir ladder resume");
}
