/* Keys in, model and effects out. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/map.h"
#include "tui/model.h"
#include "tui/settings.h"
#include "tui/tui.h"
#include "tui_scenario.h"

#define NOW 1768446761.0

struct stage {
	struct data *d;
	struct model m;
	struct effects fx;
};

static void open_stage(struct stage *t, const char *scene, size_t random_peers)
{
	struct scenario s;
	struct reply reply;
	unsigned seed = 11;

	*t = (struct stage){.d = data_new()};
	model_init(&t->m);
	if (scene) {
		scenario_load(&s, scene);
		scenario_play(&s, t->d);
		scenario_clear(&s);
	} else {
		char *line = random_snapshot(random_peers, NOW, &seed);

		data_line(t->d, line, strlen(line), 1, &reply);
		free(line);
	}
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

/* Letters are themselves; ^ is Esc, ~ is Enter, _ is the down arrow. */
static void type(struct stage *t, const char *keys)
{
	for (; *keys; keys++)
		press(t, *keys == '^'	? K_ESCAPE
			 : *keys == '~' ? '\r'
			 : *keys == '_' ? K_DOWN
					: (uint32_t)*keys);
}

static const char *selected_name(const struct stage *t)
{
	const struct peer *p = model_selected(&t->m, t->d);

	return p ? p->name : "";
}

/* "drain edge-fra; subscribe; quit": what would be done. */
static const char *effects_text(const struct stage *t)
{
	static const char *const names[] = {"request", "subscribe", "copy",    "write",	    "freeze",
					    "thaw",    "redraw",    "suspend", "settings",  "mouse",
					    "slow",    "report",    "quit",    "quit-keep", "past"};
	static char out[1024];

	*out = '\0';
	for (size_t i = 0; i < t->fx.count; i++) {
		const struct effect *e = &t->fx.list[i];
		const struct peer *p = data_peer(t->d, e->key);
		size_t len = strlen(out);

		snprintf(out + len, sizeof(out) - len, "%s%s%s%s%s%s%s%s", len ? "; " : "",
			 e->kind == EFFECT_REQUEST ? e->method : names[e->kind], p ? " " : "",
			 p ? p->name : "", e->value ? " " : "", e->value ? e->name : "", e->value ? "=" : "",
			 e->value ? e->value : "");
	}
	return out;
}

static void keys_do_what_the_table_says(void **state)
{
	static const struct {
		const char *keys, *effects, *selected;
		enum screen screen;
		enum mode mode;
	} cases[] = {
		{"", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* the worst is selected first */
		{"j", "", "lab-hel", SCREEN_PEERS, MODE_NORMAL},
		{"_k", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"G", "", "branch-lis", SCREEN_PEERS, MODE_NORMAL},
		{"Gg", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"]", "", "lab-hel", SCREEN_PEERS, MODE_NORMAL},
		{"]]", "", "vpn-tyo", SCREEN_PEERS, MODE_NORMAL},
		{"]]]", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"[", "", "vpn-tyo", SCREEN_PEERS, MODE_NORMAL},
		{"~", "peer edge-sfo; explain edge-sfo", "edge-sfo", SCREEN_PEER, MODE_NORMAL},
		{"2l", "peer edge-sfo; explain edge-sfo; peer lab-hel; explain lab-hel", "lab-hel",
		 SCREEN_PEER, MODE_NORMAL},
		{"2^", "peer edge-sfo; explain edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"4", "", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
		{"4~", "peer edge-sfo; explain edge-sfo", "edge-sfo", SCREEN_PEER, MODE_NORMAL},
		{"4~^", "peer edge-sfo; explain edge-sfo", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
		{"3", "tap", "edge-sfo", SCREEN_PACKETS, MODE_NORMAL},
		{"3^", "tap; untap", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"jT", "tap", "lab-hel", SCREEN_PACKETS, MODE_NORMAL},
		{"w", "report edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"4w", "report", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
		{"M", "mouse; settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"c", "", "edge-sfo", SCREEN_PEERS, MODE_COLUMNS},
		{"cjjj k", "settings", "edge-sfo", SCREEN_PEERS, MODE_COLUMNS},
		{"cq", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"2\\^", "peer edge-sfo; explain edge-sfo", "edge-sfo", SCREEN_PEER, MODE_NORMAL},
		{"xb", "ladder edge-sfo step=port", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xo", "", "edge-sfo", SCREEN_PEERS, MODE_CONFIRM},
		{"xoy", "ladder edge-sfo step=reopen", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xr", "resolve edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xy", "copy", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":", "", "edge-sfo", SCREEN_PEERS, MODE_TYPE},
		{":q", "", "edge-sfo", SCREEN_PEERS, MODE_TYPE},
		{":q^", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":probe~", "probe edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":probe edge-lon~", "probe edge-lon", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":drain edge-lon~", "", "edge-sfo", SCREEN_PEERS, MODE_CONFIRM},
		{":drain edge-lon~y", "drain edge-lon", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":drain edge~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* which? */
		{":drain nobody~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":drain edge-lon now~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":pat\tedge-l\trel\t~", "path edge-lon prefer=relay", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":path auto~", "path edge-sfo prefer=auto", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":path~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":ladder port~", "ladder edge-sfo step=port", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":ladder db-ams hold~", "ladder db-ams step=hold", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":explain lab-hel~", "peer lab-hel; explain lab-hel", "lab-hel", SCREEN_PEER, MODE_NORMAL},
		{":log~", "", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
		{":reload~y", "reload", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":pat\trelay~", "path edge-sfo prefer=relay", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":events lab-hel~", "peer lab-hel; explain lab-hel", "lab-hel", SCREEN_PEER, MODE_NORMAL},
		{":peer nobody~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":log db-ams warn~", "", "db-ams", SCREEN_LOG, MODE_NORMAL},
		{":packets~", "tap", "edge-sfo", SCREEN_PACKETS, MODE_NORMAL},
		{":capture udp~", "tap", "edge-sfo", SCREEN_PACKETS, MODE_NORMAL},
		{":tap lab-hel~", "tap", "lab-hel", SCREEN_PACKETS, MODE_NORMAL},
		{":trace 10.9.0.2~", "trace", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":trace~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":report~", "report edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":interval 10~", "subscribe; settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":interval 3~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":sort peer~", "settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":sort worst ~", "settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"4:columns~", "", "edge-sfo", SCREEN_PEERS, MODE_COLUMNS},
		{":past~", "past", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":filter lon~", "", "edge-lon", SCREEN_PEERS, MODE_NORMAL},
		{":our-key~", "copy", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":help~", "", "edge-sfo", SCREEN_PEERS, MODE_HELP},
		{":quit~", "quit", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":shutdown~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"p", "probe edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"f", "path edge-sfo prefer=relay", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"S", "", "edge-sfo", SCREEN_PEERS, MODE_CONFIRM},
		{"Sy", "rotate edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xFy", "path edge-sfo prefer=relay-only", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xn", "ladder edge-sfo step=now", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xk", "ladder edge-sfo step=skip", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xw", "ladder edge-sfo step=hold", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{":ladder resume~", "ladder edge-sfo step=resume", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"?", "", "edge-sfo", SCREEN_PEERS, MODE_HELP},
		{"?q", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* any key closes, and does nothing else */
		{"?jjk", "", "edge-sfo", SCREEN_PEERS, MODE_HELP},
		{"q", "quit", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"4Q", "quit-keep", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
		{"\003", "quit", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"\032", "suspend", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"\014", "redraw", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"/lon", "", "edge-lon", SCREEN_PEERS, MODE_FILTER},
		{"/lon\032", "suspend", "edge-lon", SCREEN_PEERS, MODE_FILTER},
		{"/lon~", "", "edge-lon", SCREEN_PEERS, MODE_NORMAL},
		{"/quDx^", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* letters are text there */
		{"/lon~^", "", "edge-lon", SCREEN_PEERS, MODE_NORMAL},
		{"z", "freeze", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"zz", "freeze; thaw", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"+", "subscribe; settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"--", "subscribe; settings", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* 0.5 s is the least */
		{"y", "copy", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"D", "", "edge-sfo", SCREEN_PEERS, MODE_CONFIRM},
		{"Dy", "drain edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"D~", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* the default is no */
		{"D^", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"Dq", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL}, /* a slip neither drains nor quits */
		{"jEy", "reset lab-hel", "lab-hel", SCREEN_PEERS, MODE_NORMAL},
		{"x", "", "edge-sfo", SCREEN_PEERS, MODE_MENU},
		{"xh", "handshake edge-sfo", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xq", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xD", "", "edge-sfo", SCREEN_PEERS, MODE_CONFIRM},
		{"xRy", "reload", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"xRn", "", "edge-sfo", SCREEN_PEERS, MODE_NORMAL},
		{"  Dy", "drain lab-hel; drain edge-sfo", "vpn-tyo", SCREEN_PEERS, MODE_NORMAL},
		{"  UDy", "drain vpn-tyo", "vpn-tyo", SCREEN_PEERS, MODE_NORMAL},
		{"  /lon~xh", "handshake lab-hel; handshake edge-sfo", "edge-lon", SCREEN_PEERS, MODE_NORMAL},
		{"4D", "", "edge-sfo", SCREEN_LOG, MODE_NORMAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage t;

		open_stage(&t, "twelve", 0);
		type(&t, cases[i].keys);
		if (strcmp(effects_text(&t), cases[i].effects) != 0 ||
		    strcmp(selected_name(&t), cases[i].selected) != 0 || t.m.screen != cases[i].screen ||
		    t.m.mode != cases[i].mode)
			fail_msg("keys \"%s\": effects \"%s\", selected %s, screen %d, mode %d",
				 cases[i].keys, effects_text(&t), selected_name(&t), (int)t.m.screen,
				 (int)t.m.mode);
		close_stage(&t);
	}
}

static void readonly_has_no_key_that_changes(void **state)
{
	struct stage t;
	char hints[400];

	(void)state;
	open_stage(&t, "twelve", 0);
	t.m.readonly = true;
	type(&t, "DExRD");
	assert_int_equal(t.fx.count, 0);
	assert_int_equal(t.m.mode, MODE_NORMAL);
	assert_non_null(strstr(t.m.message, "--readonly")); /* and it says why nothing happens */
	key_hints(hints, sizeof(hints), WHERE_PEERS, true, 300);
	assert_null(strstr(hints, "drain"));
	assert_null(strstr(hints, "actions"));
	key_hints(hints, sizeof(hints), WHERE_PEERS, false, 300);
	assert_non_null(strstr(hints, "drain"));
	close_stage(&t);
}

static void readonly_types_no_command_that_changes(void **state)
{
	char candidates[200];
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	t.m.readonly = true;
	type(&t, ":drain edge-lon~:probe~");
	assert_int_equal(t.fx.count, 0);
	type(&t, ":");
	model_candidates(&t.m, t.d, candidates, sizeof(candidates));
	assert_null(strstr(candidates, "drain"));
	assert_null(strstr(candidates, "tap"));
	assert_memory_equal(candidates, "ages bits capture columns copy events explain filter", 52);
	type(&t, "^:drain~");
	assert_non_null(strstr(t.m.message, "read-only"));
	close_stage(&t);
}

static void click(struct stage *t, int row, int col)
{
	press(t, MOUSE_CODE(MOUSE_CLICK, row, col));
}

static void the_mouse_chooses_what_is_under_it(void **state)
{
	struct layout l;
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	model_resize(&t.m, t.d, 120, 40);
	l = model_layout(&t.m, t.d);
	click(&t, l.table_row + 2, 10);
	assert_string_equal(selected_name(&t), "edge-sfo"); /* it is off */
	type(&t, "M");
	click(&t, l.table_row + 2, 10);
	assert_string_equal(selected_name(&t), "vpn-tyo");
	assert_int_equal(t.m.screen, SCREEN_PEERS);
	click(&t, l.table_row + 2, 10);
	assert_int_equal(t.m.screen, SCREEN_PEER); /* the selected one again: opened */
	type(&t, "^");
	click(&t, l.table_row - 1, l.column_at[COLUMN_TX]);
	assert_int_equal(t.m.sort, COLUMN_TX);
	click(&t, l.table_row - 1, l.column_at[COLUMN_TX]);
	assert_true(t.m.inverted);
	press(&t, MOUSE_CODE(MOUSE_WHEEL_UP, 20, 20));
	press(&t, MOUSE_CODE(MOUSE_WHEEL_UP, 20, 20));
	press(&t, MOUSE_CODE(MOUSE_WHEEL_UP, 20, 20));
	press(&t, MOUSE_CODE(MOUSE_WHEEL_UP, 20, 20));
	assert_int_equal(t.m.row, 0);
	press(&t, MOUSE_CODE(MOUSE_WHEEL_DOWN, 20, 20));
	assert_int_equal(t.m.row, 3);
	click(&t, 39, 2); /* "1Peers  2Peer  3Packets  4Log" */
	assert_int_equal(t.m.screen, SCREEN_PEERS);
	click(&t, 39, 26);
	assert_int_equal(t.m.screen, SCREEN_LOG);
	click(&t, LOG_FIRST_ROW + 3, 30);
	assert_int_equal(t.m.line, 3);
	type(&t, "3");
	assert_true(t.m.packets.count > 5);
	click(&t, 2 + 3, 30);
	assert_int_equal(t.m.packets.row, t.m.packets.top + 3);
	type(&t, "4");
	click(&t, 4000, 4000);
	type(&t, "D");
	click(&t, 39, 2); /* a question is not answered by a slip of the hand */
	close_stage(&t);
}

static void a_slow_terminal_is_spared(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	model_slow(&t.m, NOW, &t.fx);
	assert_string_equal(effects_text(&t), "slow; subscribe");
	assert_true(t.m.slow && model_intervals[t.m.interval] == 5);
	assert_non_null(strstr(t.m.message, "slow"));
	effects_clear(&t.fx);
	model_slow(&t.m, NOW, &t.fx); /* once is enough */
	assert_int_equal(t.fx.count, 0);
	type(&t, "+");
	assert_string_equal(effects_text(&t), "slow; subscribe");
	assert_true(!t.m.slow && t.m.interval == t.m.interval_default);
	close_stage(&t);
}

static void a_time_of_the_log_is_found(void **state)
{
	struct stage t;
	double at;

	(void)state;
	open_stage(&t, "twelve", 0);
	assert_true(t.m.lines.count > 3);
	at = t.d->log[t.m.lines.index[2]].at;
	{
		char text[40];
		time_t seconds = (time_t)at;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		snprintf(text, sizeof(text), "4#%02d:%02d:%02d~", tm.tm_hour, tm.tm_min, tm.tm_sec);
		type(&t, text);
	}
	assert_int_equal(t.m.mode, MODE_NORMAL);
	assert_int_equal((long)t.d->log[t.m.lines.index[t.m.line]].at, (long)at);
	assert_false(t.m.follow);
	type(&t, "#nonsense~");
	assert_true(t.m.message_bad);
	type(&t, "#0~");
	assert_int_equal(t.m.line, 0);
	type(&t, "#99h~");
	assert_int_equal(t.m.line, t.m.lines.count - 1);
	close_stage(&t);
}

static void columns_come_and_go(void **state)
{
	struct layout l;
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	l = model_layout(&t.m, t.d);
	assert_true(l.column_width[COLUMN_RTT] > 0 && l.column_width[COLUMN_LOSS] == 0);
	type(&t, "c");
	while (t.m.column_row != COLUMN_LOSS)
		type(&t, "j");
	type(&t, " ");
	while (t.m.column_row != COLUMN_RTT)
		type(&t, "k");
	type(&t, "  ");
	l = model_layout(&t.m, t.d);
	assert_true(l.column_width[COLUMN_RTT] == 0 && l.column_width[COLUMN_LOSS] > 0);
	type(&t, "g ");
	t.m.column_row = COLUMN_PEER;
	type(&t, "q");
	l = model_layout(&t.m, t.d);
	assert_true(l.column_width[COLUMN_PEER] > 0);
	type(&t, "c=");
	assert_int_equal(t.m.columns.on | t.m.columns.off, 0);
	close_stage(&t);
}

static void the_ssh_session_asks_for_a_name(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	strcpy(t.m.ssh_client, "10.9.0.61"); /* edge-lon's */
	type(&t, "Dy");			     /* edge-sfo: another peer, y is enough */
	assert_string_equal(effects_text(&t), "drain edge-sfo");
	effects_clear(&t.fx);
	type(&t, "/edge-lon~D");
	assert_int_equal(t.m.prompt.route, SSH_THROUGH);
	type(&t, "y~");
	assert_string_equal(effects_text(&t), "");
	assert_int_equal(t.m.mode, MODE_NORMAL);
	type(&t, "Dedge-lo");
	press(&t, K_BACKSPACE);
	type(&t, "on~");
	assert_string_equal(effects_text(&t), "drain edge-lon");
	effects_clear(&t.fx);
	/* Among tagged ones it counts as well. */
	type(&t, "^Ug /edge-lon~ ^E");
	assert_int_equal(t.m.prompt.count, 2);
	assert_int_equal(t.m.prompt.route, SSH_THROUGH);
	assert_string_equal(t.m.prompt.expected, "edge-lon");
	close_stage(&t);
}

static void a_cut_list_of_allowed_ips_is_not_trusted(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	strcpy(t.m.ssh_client, "10.20.0.1");
	t.d->peers[0]->allowed_total = 1000;
	type(&t, "Dy");
	assert_int_equal(t.fx.count, 0);
	assert_int_equal(t.m.prompt.route, SSH_UNCERTAIN);
	close_stage(&t);
}

static void the_selected_peer_is_held_while_rows_move(void **state)
{
	struct stage t;
	struct peer *p;

	(void)state;
	open_stage(&t, "twelve", 0);
	type(&t, "G");
	assert_string_equal(selected_name(&t), "branch-lis");
	p = data_peer(t.d, t.m.selected);
	p->word = WORD_STUCK;
	model_sync(&t.m, t.d, &t.fx);
	assert_string_equal(selected_name(&t), "branch-lis");
	assert_in_range(t.m.row, 0, 1);
	close_stage(&t);
}

static void the_prompt_keeps_its_peer_when_it_goes(void **state)
{
	struct stage t;
	struct reply reply;
	unsigned seed = 3;
	char *line;

	(void)state;
	open_stage(&t, NULL, 5);
	type(&t, "D");
	line = random_snapshot(0, NOW + 1, &seed);
	data_line(t.d, line, strlen(line), 1, &reply);
	free(line);
	model_sync(&t.m, t.d, &t.fx);
	type(&t, "y");
	assert_int_equal(t.fx.count, 0); /* not another one instead */
	close_stage(&t);
}

static void a_page_does_not_turn_into_another_peers(void **state)
{
	struct stage t;
	struct reply reply;
	char key[45], line[256];

	(void)state;
	open_stage(&t, NULL, 5);
	type(&t, "2");
	assert_int_equal(t.m.screen, SCREEN_PEER);
	strcpy(key, t.m.selected);
	snprintf(line, sizeof(line), "{\"event\":\"snapshot\",\"at\":7,\"removed\":[\"%s\"]}", key);
	data_line(t.d, line, strlen(line), 1, &reply);
	model_sync(&t.m, t.d, &t.fx);
	assert_int_equal(t.d->peers_count, 4);
	assert_int_equal(t.m.screen, SCREEN_PEERS);
	assert_string_not_equal(t.m.selected, key);
	close_stage(&t);
}

static void panes_scroll_no_further_than_they_are_long(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	type(&t, "2");
	for (int i = 0; i < 100; i++)
		type(&t, "j");
	assert_int_equal(t.m.pane_top[PANE_TIMELINE], 7); /* eight events of edge-sfo */
	type(&t, "gl");
	assert_int_equal(t.m.pane_top[PANE_TIMELINE], 0);
	close_stage(&t);
}

static void sorting_goes_round_and_comes_back(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	for (int i = 0; i <= COLUMNS; i++)
		type(&t, ">");
	assert_int_equal(t.m.sort, SORT_WORST);
	while (t.m.sort != COLUMN_RX)
		type(&t, ">");
	type(&t, "g");
	assert_string_equal(selected_name(&t), "db-ams");
	type(&t, "Ig");
	assert_int_not_equal(strcmp(selected_name(&t), "db-ams"), 0);
	type(&t, "=g");
	assert_string_equal(selected_name(&t), "edge-sfo");
	close_stage(&t);
}

static void filters_take_words(void **state)
{
	static const struct {
		const char *filter;
		size_t rows;
	} cases[] = {{"edge", 4},     {"EDGE !lon", 3},	      {"stuck", 1},
		     {"10.9.0.7", 1}, {"nothing like it", 0}, {"!edge", 8}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage t;

		open_stage(&t, "twelve", 0);
		type(&t, "/");
		type(&t, cases[i].filter);
		assert_int_equal(t.m.rows.count, cases[i].rows);
		close_stage(&t);
	}
}

static void matches_are_stepped_through(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve", 0);
	type(&t, "/edge~^g"); /* the filter goes, its words stay */
	assert_int_equal(t.m.rows.count, 12);
	type(&t, "n");
	assert_string_equal(selected_name(&t), "edge-fra");
	type(&t, "nN");
	assert_string_equal(selected_name(&t), "edge-fra");
	close_stage(&t);
}

#define LATER                                                                                                \
	"{\"event\":\"log\",\"entry\":{\"at\":1,\"seq\":9999,\"level\":\"info\",\"room\":\"wg\",\"peer\":"   \
	"\"edge-sfo\"}}"

static void log_keys_filter_lines(void **state)
{
	struct stage t;
	struct reply reply;
	size_t all;

	(void)state;
	open_stage(&t, "twelve", 0);
	type(&t, "4");
	all = t.m.lines.count;
	type(&t, "v");
	assert_int_equal(t.m.lines.count, all - 2); /* debug lines */
	type(&t, "vvv");
	assert_int_equal(t.m.lines.count, 1);
	type(&t, "v");
	assert_int_equal(t.m.lines.count, all);
	type(&t, "s");
	assert_string_equal(t.m.log_room, "ctl");
	assert_int_equal(t.m.lines.count, 1);
	type(&t, "sss");
	assert_string_equal(t.m.log_room, "");
	type(&t, "p");
	assert_string_equal(t.m.log_peer, "edge-sfo");
	assert_true(t.m.follow);
	type(&t, "j");
	assert_false(t.m.follow);
	data_line(t.d, LATER, strlen(LATER), 1, &reply);
	model_sync(&t.m, t.d, &t.fx);
	assert_int_equal(t.m.line, 2); /* the same line */
	type(&t, "F");
	assert_true(t.m.follow);
	close_stage(&t);
}

static void answers_are_told(void **state)
{
	struct stage t;
	struct reply r = {.ok = true};

	(void)state;
	open_stage(&t, "twelve", 0);
	type(&t, "Dy");
	r.id = t.fx.list[0].id;
	model_reply(&t.m, &r, NOW);
	assert_string_equal(t.m.message, "edge-sfo drained: the next packet starts a handshake");
	type(&t, "Ey");
	r = (struct reply){.id = t.fx.list[1].id, .ok = false};
	strcpy(r.text, "no configured endpoint");
	model_reply(&t.m, &r, NOW);
	assert_string_equal(t.m.message, "reset edge-sfo: no configured endpoint");
	assert_true(t.m.message_bad);
	r.id = 9999;
	model_reply(&t.m, &r, NOW); /* nobody asked */
	close_stage(&t);
}

static void every_key_on_every_screen_with_any_number_of_peers(void **state)
{
	static const size_t counts[] = {0, 1, 12, 2000};

	(void)state;
	for (size_t n = 0; n < 4; n++) {
		struct stage t;

		open_stage(&t, NULL, counts[n]);
		for (char screen = '1'; screen <= '4'; screen++)
			for (size_t i = 0; i < key_table_size; i++)
				for (int k = 0; k < KEY_CODES_MAX && key_table[i].codes[k]; k++) {
					press(&t, (uint32_t)screen);
					press(&t, key_table[i].codes[k]);
					press(&t, 'y');
					press(&t, K_ESCAPE);
					press(&t, K_ESCAPE);
					effects_clear(&t.fx);
					assert_true(t.m.row < t.m.rows.count || !t.m.rows.count);
					assert_true(t.m.top <= t.m.row);
				}
		close_stage(&t);
	}
}

static void no_key_has_two_meanings(void **state)
{
	static const enum where places[] = {WHERE_PEERS, WHERE_PEER, WHERE_PACKETS, WHERE_LOG, WHERE_MENU};

	(void)state;
	for (int w = 0; w < 5; w++)
		for (size_t i = 0; i < key_table_size; i++)
			for (int k = 0; k < KEY_CODES_MAX && key_table[i].codes[k]; k++)
				if (key_table[i].where & places[w])
					assert_ptr_equal(key_find(key_table[i].codes[k], places[w], false),
							 &key_table[i]);
	for (size_t i = 0; i < key_table_size; i++)
		if (key_table[i].flags & KEY_ASKS)
			assert_true(key_table[i].flags & KEY_CHANGES);
}

static void the_manual_has_every_key(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	(void)state;
	tui_keys_mdoc(f);
	fclose(f);
	for (size_t i = 0; i < key_table_size; i++)
		if (key_table[i].about) {
			char start[16];

			snprintf(start, sizeof(start), "\n%.12s", key_table[i].about);
			assert_non_null(strstr(text, start));
		}
	assert_non_null(strstr(text, ".It Ic j , Down , k , Up\n"));
	free(text);
}

static void settings_hold_only_what_changed(void **state)
{
	char folder[] = "/tmp/weir-test-view-XXXXXX", path[64], text[512] = "";
	struct stage t, back;
	struct error e = {0};
	FILE *f;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/config/weir/view.conf", folder);
	open_stage(&t, "twelve", 0);
	assert_int_equal(settings_save(&t.m, path, &e), 0);
	f = fopen(path, "r");
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	fclose(f);
	assert_null(strchr(strchr(text, '\n') + 1, '\n')); /* the comment alone */
	type(&t, "+aPMcjjj  q");			   /* without the column of sessions */
	while (t.m.sort != COLUMN_TX)
		type(&t, ">");
	assert_int_equal(settings_save(&t.m, path, &e), 0);
	open_stage(&back, "twelve", 0);
	settings_load(&back.m, path);
	assert_int_equal(back.m.interval, t.m.interval);
	assert_true(back.m.clock_times && back.m.private && !back.m.bits);
	assert_int_equal(back.m.sort, COLUMN_TX);
	assert_true(back.m.mouse);
	assert_int_equal(back.m.columns.off, 1u << COLUMN_SESSION);
	assert_int_equal(back.m.columns.on, 0);
	close_stage(&t);
	close_stage(&back);
	f = fopen(path, "w");
	fputs("interval 77\nsort nonsense\n\nbits\n\x01\x02 yes\nhide-keys yes\n", f);
	fclose(f);
	open_stage(&back, "twelve", 0);
	settings_load(&back.m, path);
	assert_int_equal(back.m.interval, back.m.interval_default);
	assert_true(back.m.private);
	close_stage(&back);
	unlink(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	*strrchr(path, '/') = '\0';
	rmdir(path);
	assert_int_equal(rmdir(folder), 0); /* nothing else was left there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_do_what_the_table_says),
		cmocka_unit_test(readonly_has_no_key_that_changes),
		cmocka_unit_test(readonly_types_no_command_that_changes),
		cmocka_unit_test(the_mouse_chooses_what_is_under_it),
		cmocka_unit_test(a_slow_terminal_is_spared),
		cmocka_unit_test(a_time_of_the_log_is_found),
		cmocka_unit_test(columns_come_and_go),
		cmocka_unit_test(the_ssh_session_asks_for_a_name),
		cmocka_unit_test(a_cut_list_of_allowed_ips_is_not_trusted),
		cmocka_unit_test(the_selected_peer_is_held_while_rows_move),
		cmocka_unit_test(the_prompt_keeps_its_peer_when_it_goes),
		cmocka_unit_test(a_page_does_not_turn_into_another_peers),
		cmocka_unit_test(panes_scroll_no_further_than_they_are_long),
		cmocka_unit_test(sorting_goes_round_and_comes_back),
		cmocka_unit_test(filters_take_words),
		cmocka_unit_test(matches_are_stepped_through),
		cmocka_unit_test(log_keys_filter_lines),
		cmocka_unit_test(answers_are_told),
		cmocka_unit_test(every_key_on_every_screen_with_any_number_of_peers),
		cmocka_unit_test(no_key_has_two_meanings),
		cmocka_unit_test(the_manual_has_every_key),
		cmocka_unit_test(settings_hold_only_what_changed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
