/* The line after ':': what its commands do, what it says of slips, and what it remembers. */
#include "test.h"

#include <stdio.h>
#include <string.h>

#include "tui/verbs.h"
#include "tui_scenario.h"

#define NOW 1768446761.0

struct stage {
	struct data *d;
	struct model m;
	struct effects fx;
};

static void open_stage(struct stage *t)
{
	struct scenario s;

	*t = (struct stage){.d = data_new()};
	model_init(&t->m);
	scenario_load(&s, "twelve");
	scenario_play(&s, t->d);
	scenario_clear(&s);
	model_sync(&t->m, t->d, &t->fx);
	effects_clear(&t->fx);
}

static void close_stage(struct stage *t)
{
	effects_clear(&t->fx);
	model_clear(&t->m);
	data_free(t->d);
}

static void press(struct stage *t, uint32_t code)
{
	model_key(&t->m, t->d, code, NOW, &t->fx);
}

/* Letters are themselves; ^ is Esc, ~ is Enter. */
static void type(struct stage *t, const char *keys)
{
	for (; *keys; keys++)
		press(t, *keys == '^' ? K_ESCAPE : *keys == '~' ? '\r' : (uint32_t)*keys);
}

static void a_line_that_is_wrong_says_what_is_near(void **state)
{
	static const struct {
		const char *keys, *says;
	} cases[] = {
		{":drian~", "drian: no command of the dashboard; did you mean drain?"},
		{":re~", "did you mean reload, report or reset?"},
		{":xyzzy~", "no command of the dashboard; Tab shows them"},
		{":bundle~", "bundle is for a shell: weir bundle wg0"},
		{":path realy~", "\"realy\" is none of auto, relay, relay-only; did you mean relay?"},
		{":path~", "path: what? auto, relay, relay-only"},
		{":sort size~", "none of peer, state"},
		{":quit now~", "quit: a word too many: now"},
		{":probe egde-lon~", "egde-lon: no such peer; did you mean edge-lon?"},
		{":probe xxxxxxxx~", "xxxxxxxx: no such peer"},
		{":trace~", "give one address"},
		{":capture init~", "write \"type init\""},
		{":capture tcp and~", "filter: "},
		{":log nobody~", "nobody: no such peer"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage t;

		open_stage(&t);
		type(&t, cases[i].keys);
		if (!strstr(t.m.message, cases[i].says) || !t.m.message_bad)
			fail_msg("\"%s\": \"%s\" does not say \"%s\"", cases[i].keys, t.m.message,
				 cases[i].says);
		close_stage(&t);
	}
}

static void what_was_typed_comes_back(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t);
	type(&t, ":peers~:log~:log~:help~^:dra");
	press(&t, K_UP);
	assert_string_equal(t.m.typed, "help");
	press(&t, K_UP);
	press(&t, CTRL_('P'));
	assert_string_equal(t.m.typed, "peers"); /* the same twice in a row counts once */
	press(&t, K_UP);
	assert_string_equal(t.m.typed, "peers");
	press(&t, K_DOWN);
	assert_string_equal(t.m.typed, "log");
	press(&t, CTRL_('N'));
	press(&t, K_DOWN);
	assert_string_equal(t.m.typed, "dra"); /* what was being typed */
	press(&t, K_DOWN);
	assert_string_equal(t.m.typed, "dra");
	/* More than are kept: the oldest go. */
	for (int i = 0; i < HISTORY_LINES + 5; i++) {
		char line[32];

		snprintf(line, sizeof(line), "^:filter x%d~", i);
		type(&t, line);
	}
	type(&t, ":");
	for (int i = 0; i < HISTORY_LINES + 5; i++)
		press(&t, K_UP);
	assert_string_equal(t.m.typed, "filter x5");
	close_stage(&t);
}

static void typed_commands_set_what_they_name(void **state)
{
	static const char answer[] =
		"{\"id\":1,\"result\":{\"verdict\":\"sent\",\"why\":\"it would be sent\","
		"\"peer\":{\"publicKey\":\"x\",\"name\":\"lon\"}}}";
	struct reply r;
	char candidates[200];
	struct stage t;

	(void)state;
	open_stage(&t);
	type(&t, ":sort tx~:interval 10~");
	assert_int_equal(t.m.sort, COLUMN_TX);
	assert_true(model_intervals[t.m.interval] == 10);
	type(&t, ":sort worst~:filter edge !lon~");
	assert_int_equal(t.m.sort, SORT_WORST);
	assert_string_equal(t.m.filter, "edge !lon");
	type(&t, ":filter~:points signal~");
	assert_string_equal(t.m.filter, "");
	assert_int_equal(t.m.packets.points, 1 << TAP_SIGNAL);
	type(&t, ":points all~:capture  type init or udp ~");
	assert_int_equal(t.m.packets.points, 0);
	assert_string_equal(t.m.packet_filter, "type init or udp");
	type(&t, ":log warn~");
	assert_int_equal(t.m.log_level, LEVEL_WARN);
	type(&t, ":log edge-sfo~");
	assert_string_equal(t.m.log_peer, "edge-sfo");
	type(&t, ":log all~");
	assert_string_equal(t.m.log_peer, "");
	assert_int_equal(t.m.log_level, LEVEL_DEBUG);
	type(&t, ":explain~");
	assert_int_equal(t.m.pane, PANE_DIAGNOSIS);
	type(&t, ":events~");
	assert_int_equal(t.m.pane, PANE_TIMELINE);
	/* The answer to a trace is what the line was typed for. */
	effects_clear(&t.fx);
	type(&t, ":trace 10.9.0.61~");
	assert_string_equal(t.fx.list[0].name, "address");
	assert_string_equal(t.fx.list[0].text, "10.9.0.61");
	data_line(t.d, answer, strlen(answer), 1, &r);
	r.id = t.fx.list[0].id;
	model_reply(&t.m, &r, NOW);
	assert_string_equal(t.m.message, "trace 10.9.0.61: sent, lon: it would be sent");
	/* Nothing is changed in the past, typed or not. */
	effects_clear(&t.fx);
	t.m.past.on = true;
	type(&t, ":drain edge-lon~");
	assert_int_equal(t.m.mode, MODE_NORMAL);
	assert_non_null(strstr(t.m.message, "nothing can be changed in the past"));
	type(&t, ":past~");
	assert_int_equal(t.fx.count, 1);
	assert_int_equal(t.fx.list[0].move, PAST_LEAVE);
	type(&t, ":path ");
	model_candidates(&t.m, t.d, candidates, sizeof(candidates));
	assert_memory_equal(candidates, "auto relay relay-only all ", 26);
	close_stage(&t);
}

static void a_typed_command_is_for_all_or_for_one(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t);
	type(&t, ":reset all~");
	assert_int_equal(t.m.mode, MODE_CONFIRM);
	assert_int_equal(t.m.prompt.count, 12);
	type(&t, "y");
	assert_int_equal(t.fx.count, 12);
	press(&t, ':');
	press(&t, K_UP);
	assert_string_equal(t.m.typed, "reset all");
	/* Hidden keys are not found either. */
	type(&t, "^P:probe ");
	for (int i = 0; i < 8; i++)
		press(&t, (uint32_t)model_selected(&t.m, t.d)->key[i]);
	effects_clear(&t.fx);
	press(&t, '\r');
	assert_int_equal(t.fx.count, 0);
	close_stage(&t);
}

static void the_manual_has_every_command(void **state)
{
	static char manual[300000];
	FILE *f = fopen(SOURCE_DIR "/man/weir.8", "r");
	const char *from, *to;

	(void)state;
	assert_non_null(f);
	manual[fread(manual, 1, sizeof(manual) - 1, f)] = '\0';
	fclose(f);
	from = strstr(manual, "\n.Ss Commands that are typed");
	assert_non_null(from);
	to = strstr(from + 1, "\n.Ss ");
	assert_non_null(to);
	for (size_t i = 0; i < verbs_count; i++) {
		char word[40];
		const char *at;

		snprintf(word, sizeof(word), " %s", verbs[i].name);
		for (at = from; (at = strstr(at, word)) && strchr(" \n", at[strlen(word)]) == NULL;)
			at++;
		if (!at || at > to)
			fail_msg("weir(8) does not tell of \"%s\"", verbs[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_line_that_is_wrong_says_what_is_near),
		cmocka_unit_test(what_was_typed_comes_back),
		cmocka_unit_test(typed_commands_set_what_they_name),
		cmocka_unit_test(the_manual_has_every_command),
		cmocka_unit_test(a_typed_command_is_for_all_or_for_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
