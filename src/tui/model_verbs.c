/* What the commands of the line after ':' do. Most of them are keys, too. */
#include "tui/verbs.h"

#include <stdio.h>
#include <string.h>

#include "tui/text.h"

/* ---- what takes more than a key ---- */

/* False: there is no such peer, which was said. */
static bool choose(const struct call *c)
{
	if (!action_select(c->m, c->d, c->who, c->now))
		return false;
	if (model_selected(c->m, c->d))
		return true;
	model_say(c->m, c->now, false, "%s: there is no peer", c->verb->name);
	return false;
}

static void run_peer(const struct call *c)
{
	if (choose(c))
		show_screen(c->m, c->d, SCREEN_PEER, c->fx);
}

static void show_pane(const struct call *c, enum pane pane)
{
	if (!choose(c))
		return;
	c->m->pane = pane;
	c->m->pane_whole = false;
	show_screen(c->m, c->d, SCREEN_PEER, c->fx);
}

static void run_explain(const struct call *c)
{
	show_pane(c, PANE_DIAGNOSIS);
}

static void run_events(const struct call *c)
{
	show_pane(c, PANE_TIMELINE);
}

static const struct choice levels[] = {{.word = "error"}, {.word = "warn"},  {.word = "notice"},
				       {.word = "info"},  {.word = "debug"}, {.word = "all"},
				       {.word = NULL}};

static void run_log(const struct call *c)
{
	struct model *m = c->m;

	if (c->who && !action_select(m, c->d, c->who, c->now))
		return;
	if (c->choice && c->choice - levels < LEVELS) {
		m->log_level = (enum level)(c->choice - levels);
	} else if (c->choice) {
		m->log_level = LEVEL_DEBUG;
		*m->log_room = *m->log_peer = '\0';
	}
	if (c->who)
		log_only(m, c->d, c->now);
	show_screen(m, c->d, SCREEN_LOG, c->fx);
	model_sync(m, c->d, c->fx);
}

static void run_capture(const struct call *c)
{
	struct model *m = c->m;

	if (*c->text)
		packets_set_filter(m, c->d, c->text, c->fx);
	show_screen(m, c->d, SCREEN_PACKETS, c->fx);
	packets_ask(m, c->d, c->fx);
	if (*c->text && *m->packets.error)
		model_say(m, c->now, true, "filter: %s", m->packets.error);
}

static void run_filter(const struct call *c)
{
	struct model *m = c->m;
	size_t room;
	char *filter;

	if (m->screen == SCREEN_PACKETS && *c->text) {
		run_capture(c);
		return;
	}
	if (m->screen == SCREEN_PEER)
		show_screen(m, c->d, SCREEN_PEERS, c->fx);
	filter = filter_of_screen(m, &room);
	if (strlen(c->text) >= room) {
		model_say(m, c->now, true, "filter: more than %zu characters", room - 1);
		return;
	}
	text_copy(filter, room, c->text);
	if (m->screen == SCREEN_PACKETS)
		packets_filtered(m, c->d, c->fx);
	else
		text_copy(m->pattern, sizeof(m->pattern), c->text);
	model_sync(m, c->d, c->fx);
}

/* As model_intervals has them. */
static const struct choice intervals[] = {{.word = "0.5"}, {.word = "1"},  {.word = "2"},
					  {.word = "5"},   {.word = "10"}, {.word = NULL}};

static void run_interval(const struct call *c)
{
	view_interval(c->m, (unsigned)(c->choice - intervals), c->now, c->fx);
}

/* In the order of enum column; the last is SORT_WORST. */
static const struct choice orders[] = {
	{.word = "peer"},      {.word = "state"}, {.word = "path"}, {.word = "session"}, {.word = "key"},
	{.word = "handshake"}, {.word = "rtt"},	  {.word = "loss"}, {.word = "rx"},	 {.word = "tx"},
	{.word = "last"},      {.word = "worst"}, {.word = NULL}};
_Static_assert(sizeof(orders) / sizeof(orders[0]) == COLUMNS + 2, "each column can be sorted by");

static void run_sort(const struct call *c)
{
	show_screen(c->m, c->d, SCREEN_PEERS, c->fx);
	peers_sort(c->m, c->d, (unsigned)(c->choice - orders), c->now, c->fx);
}

/* Points of the tap in their order; the last is all of them. */
static const struct choice points[] = {{.word = "wire"},   {.word = "inner"}, {.word = "relay"},
				       {.word = "signal"}, {.word = "all"},   {.word = NULL}};
_Static_assert(sizeof(points) / sizeof(points[0]) == TAP_POINTS + 2, "each point can be chosen");

static void run_points(const struct call *c)
{
	size_t point = (size_t)(c->choice - points);

	show_screen(c->m, c->d, SCREEN_PACKETS, c->fx);
	packets_points(c->m, c->d, point < TAP_POINTS ? (uint8_t)(1u << point) : 0, c->now, c->fx);
}

static void run_tap(const struct call *c)
{
	if (choose(c))
		packets_tap(c->m, c->d, model_selected(c->m, c->d), c->now, c->fx);
}

static void run_report(const struct call *c)
{
	if (c->who || c->m->screen != SCREEN_LOG) {
		if (!choose(c))
			return;
		if (c->m->screen == SCREEN_LOG)
			show_screen(c->m, c->d, SCREEN_PEER, c->fx);
	}
	do_command(c->m, c->d, COMMAND_WRITE, c->now, c->fx);
}

static void run_past(const struct call *c)
{
	if (c->m->past.on)
		past_key(c->m, K_ESCAPE, c->now, c->fx);
	else
		do_command(c->m, c->d, COMMAND_PAST, c->now, c->fx);
}

/* The answer comes later (model_reply). */
static void run_trace(const struct call *c)
{
	char label[LABEL_ROOM];
	struct effect *e;

	if (!*c->text || strchr(c->text, ' ')) {
		model_say(c->m, c->now, true,
			  "trace: give one address; names are for a shell: weir trace HOST");
		return;
	}
	snprintf(label, sizeof(label), "trace %.60s", c->text);
	e = effect_add(c->fx, EFFECT_REQUEST);
	e->method = "trace";
	e->name = "address";
	text_copy(e->text, sizeof(e->text), c->text);
	e->id = model_expect(c->m, COMMAND_TYPE, label);
}

/* ---- the table ---- */

static const struct choice steps[] = {{"now", COMMAND_LADDER_NOW, NULL},
				      {"skip", COMMAND_LADDER_SKIP, NULL},
				      {"hold", COMMAND_LADDER_HOLD, "hold"},
				      {"resume", COMMAND_LADDER_HOLD, "resume"},
				      {"port", COMMAND_REBIND, NULL},
				      {"reopen", COMMAND_REOPEN, NULL},
				      {.word = NULL}};
static const struct choice paths[] = {{"auto", COMMAND_PREFER, "auto"},
				      {"relay", COMMAND_PREFER, "relay"},
				      {"relay-only", COMMAND_FORCE, "relay-only"},
				      {.word = NULL}};

const struct verb verbs[] = {
	{.name = "ages", .command = COMMAND_AGES},
	{.name = "bits", .command = COMMAND_UNITS},
	{.name = "capture", .takes = TAKES_TEXT, .command = COMMAND_PACKETS, .run = run_capture},
	{.name = "columns", .command = COMMAND_COLUMNS},
	{.name = "copy", .command = COMMAND_COPY},
	{.name = "drain", .takes = TAKES_PEER, .command = COMMAND_DRAIN},
	{.name = "events", .takes = TAKES_PEER, .command = COMMAND_PEER, .run = run_events},
	{.name = "explain", .takes = TAKES_PEER, .command = COMMAND_PEER, .run = run_explain},
	{.name = "filter", .takes = TAKES_TEXT, .command = COMMAND_FILTER, .run = run_filter},
	{.name = "freeze", .command = COMMAND_FREEZE},
	{.name = "handshake", .takes = TAKES_PEER, .command = COMMAND_HANDSHAKE},
	{.name = "help", .command = COMMAND_HELP},
	{.name = "interval",
	 .takes = TAKES_WORD,
	 .command = COMMAND_SLOWER,
	 .choices = intervals,
	 .run = run_interval},
	{.name = "ladder", .takes = TAKES_PEER, .command = COMMAND_LADDER_NOW, .choices = steps},
	{.name = "log",
	 .takes = TAKES_PEER,
	 .command = COMMAND_LOG,
	 .choices = levels,
	 .optional = true,
	 .run = run_log},
	{.name = "mouse", .command = COMMAND_MOUSE},
	{.name = "our-key", .command = COMMAND_OUR_KEY},
	{.name = "packets", .command = COMMAND_PACKETS},
	{.name = "past", .command = COMMAND_PAST, .run = run_past},
	{.name = "path", .takes = TAKES_PEER, .command = COMMAND_PREFER, .choices = paths},
	{.name = "peer", .takes = TAKES_PEER, .command = COMMAND_PEER, .run = run_peer},
	{.name = "peers", .command = COMMAND_PEERS},
	{.name = "points",
	 .takes = TAKES_WORD,
	 .command = COMMAND_PACKET_POINTS,
	 .choices = points,
	 .run = run_points},
	{.name = "privacy", .command = COMMAND_PRIVACY},
	{.name = "probe", .takes = TAKES_PEER, .command = COMMAND_PROBE},
	{.name = "quit", .command = COMMAND_QUIT},
	{.name = "reload", .command = COMMAND_RELOAD},
	{.name = "report", .takes = TAKES_PEER, .command = COMMAND_WRITE, .run = run_report},
	{.name = "reset", .takes = TAKES_PEER, .command = COMMAND_RESET},
	{.name = "resolve", .takes = TAKES_PEER, .command = COMMAND_RESOLVE},
	{.name = "rotate", .takes = TAKES_PEER, .command = COMMAND_ROTATE},
	{.name = "save", .command = COMMAND_PACKET_SAVE},
	{.name = "sort",
	 .takes = TAKES_WORD,
	 .command = COMMAND_SORT_LEFT,
	 .choices = orders,
	 .run = run_sort},
	{.name = "status", .command = COMMAND_PEERS},
	{.name = "tap", .takes = TAKES_PEER, .command = COMMAND_TAP, .run = run_tap},
	{.name = "top", .command = COMMAND_PEERS},
	{.name = "trace", .takes = TAKES_TEXT, .run = run_trace},
};
const size_t verbs_count = sizeof(verbs) / sizeof(verbs[0]);

bool verb_is_outside(const char *name)
{
	static const char *const outside[] = {"attach",	 "bundle",    "completion", "debug",  "down",  "lint",
					      "metrics", "netreport", "relay",	    "replay", "strip", "up"};

	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++)
		if (strcmp(outside[i], name) == 0)
			return true;
	return false;
}

static bool changes(const struct verb *v)
{
	const struct key_entry *e = key_of(v->command);

	return e && e->flags & KEY_CHANGES;
}

bool verb_may(const struct model *m, const struct verb *v)
{
	return !m->readonly || !changes(v);
}

/* A key that only some screens have takes us to one of them. */
static void go_where_it_works(const struct call *c)
{
	const struct key_entry *e = key_of(c->verb->command);

	if (!e || e->where & model_where(c->m))
		return;
	if (e->where & WHERE_PEERS)
		show_screen(c->m, c->d, SCREEN_PEERS, c->fx);
	else if (e->where & WHERE_PACKETS)
		show_screen(c->m, c->d, SCREEN_PACKETS, c->fx);
}

void verb_run(const struct call *c)
{
	enum command command = c->choice && c->choice->command ? c->choice->command : c->verb->command;

	if (c->m->past.on && changes(c->verb)) {
		past_refuse(c->m, c->now);
	} else if (c->verb->run) {
		c->verb->run(c);
	} else if (action_method(command)) {
		action_ask_for(c->m, c->d, command, c->choice ? c->choice->argument : NULL, c->who, c->now,
			       c->fx);
	} else {
		go_where_it_works(c);
		do_command(c->m, c->d, command, c->now, c->fx);
	}
}
