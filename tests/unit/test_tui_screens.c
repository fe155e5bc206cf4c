/*
 * Screens: golden ones from scenes (GOLDEN=1 make check writes them anew; the difference is the review), and
 * what must hold for every size, key and snapshot.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tui/frame.h"
#include "tui/report.h"
#include "tui/text.h"
#include "tui/view.h"
#include "tui_scenario.h"

struct stage {
	struct data *d;
	struct model m;
};

static void open_stage(struct stage *t, int width, int height)
{
	t->d = data_new();
	model_init(&t->m);
	model_resize(&t->m, t->d, width, height);
}

static void close_stage(struct stage *t)
{
	model_clear(&t->m);
	data_free(t->d);
}

static void settle(struct stage *t)
{
	struct effects fx = {0};

	model_sync(&t->m, t->d, &fx);
	effects_clear(&fx);
}

static void press(struct stage *t, uint32_t code)
{
	struct effects fx = {0};

	model_key(&t->m, t->d, code, t->d->at, &fx);
	effects_clear(&fx);
}

static void draw(struct stage *t, struct grid *g, bool ascii)
{
	struct scene s = {.d = t->d, .m = &t->m, .now = t->m.frozen ? t->d->at : t->d->at + 0.4};

	grid_init(g, t->m.width, t->m.height, ascii);
	view_draw(g, &s);
}

/* ---- golden screens ---- */

static const struct {
	const char *name, *scene, *keys; /* ^ is Esc, ~ is Enter, \t Tab */
	const char *ssh;
	const char *sizes; /* of "80x24", "120x40", "60x16", "40x10", each perhaps followed by a */
} golden[] = {
	{"peers", "twelve", "", "", "80x24 80x24a 120x40 120x40a 60x16 60x16a 40x10"},
	{"healthy", "healthy", "", "", "80x24 120x40 60x16"},
	{"stuck", "stuck", "", "", "60x16 80x24 80x24a 120x40"},
	{"waiting", "waiting", "", "", "80x24 60x16"},
	{"drain", "drain", "", "", "80x24"},
	{"empty", "empty", "", "", "80x24 60x16 40x10"},
	{"odd", "odd", "", "", "80x24 80x24a"},
	{"peers-private", "twelve", "P", "", "80x24 120x40"},
	{"peers-clock-bits", "twelve", "au", "", "80x24"},
	{"peers-frozen", "twelve", "z", "", "80x24"},
	{"peers-filter", "twelve", "/edge !lon", "", "80x24"},
	{"peers-tagged", "twelve", "  ~", "", "80x24"},
	{"peer", "twelve", "2", "", "80x24 80x24a 120x40 60x16"},
	{"peer-healthy", "healthy", "2", "", "80x24 120x40"},
	{"peer-counters", "twelve", "2\t\t", "", "80x24 60x16"},
	{"peer-private", "twelve", "2P", "", "120x40"},
	{"paths", "paths", "", "", "80x24 120x40 60x16"},
	{"paths-peer", "paths", "2", "", "80x24 120x40 120x40a"},
	{"paths-diagnosis", "paths", "2\t\t\t\t", "", "80x24 60x16"},
	{"paths-whole", "paths", "2\t\t\t\t\\", "", "80x24 80x24a"},
	{"stuck-peer", "stuck", "2", "", "80x24 120x40"},
	{"stuck-private", "stuck", "2P", "", "120x40"},
	{"timeline-whole", "twelve", "2\\", "", "80x24"},
	{"paths-network", "paths", "2\t\t\t", "", "80x24 80x24a 120x40 60x16"},
	{"paths-relayed", "paths", "/fra~2\t\t\t", "", "80x24"},
	{"paths-turn", "paths", "/lon~2\t\t\t", "", "80x24 120x40"},
	{"paths-private", "paths", "2P\t\t\t", "", "120x40"},
	{"peer-waiting", "waiting", "2", "", "80x24"},
	{"log", "twelve", "4", "", "80x24 80x24a 120x40 60x16"},
	{"log-private", "twelve", "4P", "", "80x24"},
	{"log-odd", "odd", "4", "", "80x24"},
	{"packets", "twelve", "3kk", "", "80x24 80x24a 120x40 120x40a 60x16 60x16a 100x30 40x10"},
	{"packets-follow", "twelve", "3", "", "80x24 60x16"},
	{"packets-tree", "twelve", "3kk~jj", "", "80x24 120x40 60x16"},
	{"packets-closed", "twelve", "3kk~~", "", "120x40"},
	{"packets-bytes", "twelve", "3kk\t\t", "", "80x24 120x40 60x16"},
	{"packets-whole", "twelve", "3kk\t\\", "", "80x24 60x16"},
	{"packets-list", "twelve", "3d", "", "80x24"},
	{"packets-private", "twelve", "3kkP", "", "80x24 120x40"},
	{"packets-dropped", "twelve", "3#6~", "", "80x24 120x40"},
	{"packets-answered", "twelve", "3#13~", "", "80x24"},
	{"packets-points", "twelve", "3o", "", "100x30 80x24 60x16"},
	{"packets-filter", "twelve", "3/icmp", "", "80x24"},
	{"packets-filter-bad", "twelve", "3/icmp or tc", "", "80x24 80x24a 120x40"},
	{"packets-filter-name", "twelve", "3/host gw", "", "80x24"},
	{"packets-filter-none", "twelve", "3/tcp port 7~", "", "80x24"},
	{"packets-tap", "twelve", "T", "", "80x24"},
	{"packets-jump", "twelve", "3#03:12", "", "80x24"},
	{"packets-empty", "healthy", "3", "", "80x24 120x40 60x16"},
	{"help-packets", "twelve", "3?", "", "80x24 120x40"},
	{"help", "twelve", "?", "", "80x24 80x24a 120x40 60x16"},
	{"help-peer", "twelve", "2?", "", "80x24 60x16"},
	{"help-log", "twelve", "4?", "", "80x24"},
	{"columns", "twelve", "cjjj ", "", "80x24 60x16"},
	{"type", "twelve", ":path edge-", "", "80x24 60x16 40x10"},
	{"goto", "twelve", "4#03:1", "", "80x24"},
	{"menu", "twelve", "x", "", "80x24 60x16"},
	{"prompt-drain", "twelve", "D", "10.9.0.61", "80x24 60x16 40x10"},
	{"prompt-ssh", "twelve", "/edge-lon~Dedge-", "10.9.0.61", "80x24 60x16 40x10"},
	{"prompt-tagged", "twelve", "  E", "", "80x24"},
	{"prompt-reload", "twelve", "xR", "10.9.0.61", "80x24"},
};

static char *golden_text(const char *scene, const char *keys, const char *ssh, int width, int height,
			 bool ascii)
{
	struct scenario s;
	struct stage t;
	struct grid g;
	struct strbuf out = {0};

	open_stage(&t, width, height);
	scenario_load(&s, scene);
	scenario_play(&s, t.d);
	scenario_clear(&s);
	text_copy(t.m.ssh_client, sizeof(t.m.ssh_client), ssh);
	settle(&t);
	for (; *keys; keys++)
		press(&t, *keys == '^' ? K_ESCAPE : *keys == '~' ? '\r' : (uint32_t)*keys);
	draw(&t, &g, ascii);
	grid_text(&g, &out);
	strbuf_add(&out, "%s\n", "---- styles ----");
	grid_letters(&g, &out);
	grid_clear(&g);
	close_stage(&t);
	return out.text;
}

static char *file_text(const char *path)
{
	static char text[65536];
	FILE *f = fopen(path, "r");
	size_t n;

	if (!f)
		return NULL;
	n = fread(text, 1, sizeof(text) - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

static bool golden_case(const char *path, const char *text)
{
	const char *want;

	if (getenv("GOLDEN")) {
		FILE *f = fopen(path, "w");

		assert_non_null(f);
		fputs(text, f);
		fclose(f);
		return true;
	}
	want = file_text(path);
	if (want && strcmp(want, text) == 0)
		return true;
	print_message("%s differs; it is now:\n%s", path, text);
	return false;
}

static void golden_screens(void **state)
{
	bool good = true;

	(void)state;
	for (size_t i = 0; i < sizeof(golden) / sizeof(golden[0]); i++) {
		char sizes[64], *save = NULL, path[768];

		snprintf(sizes, sizeof(sizes), "%s", golden[i].sizes);
		for (char *size = strtok_r(sizes, " ", &save); size; size = strtok_r(NULL, " ", &save)) {
			bool ascii = size[strlen(size) - 1] == 'a';
			int width = 0, height = 0;
			char *text;

			assert_int_equal(sscanf(size, "%dx%d", &width, &height), 2);
			text = golden_text(golden[i].scene, golden[i].keys, golden[i].ssh, width, height,
					   ascii);
			snprintf(path, sizeof(path), "%s/%s-%dx%d-%s.txt", golden_folder(), golden[i].name,
				 width, height, ascii ? "ascii" : "utf8");
			good &= golden_case(path, text);
			free(text);
		}
	}
	assert_true(good);
}

/* The first snapshot tells amounts; a rate is the difference of two. */
static void rates_are_unknown_at_first(void **state)
{
	static const char *const unknown[] = {"rx –", "tx –", "hs –/min"};
	struct scenario s;
	struct stage t;
	struct grid g;

	(void)state;
	scenario_load(&s, "twelve");
	open_stage(&t, 80, 24);
	for (int tick = 0; tick < 2; tick++) {
		struct strbuf text = {0};
		struct reply reply;
		char *line = scenario_snapshot(&s, tick, 0);

		data_line(t.d, line, strlen(line), 1, &reply);
		free(line);
		settle(&t);
		draw(&t, &g, false);
		grid_text(&g, &text);
		for (size_t i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++)
			if ((strstr(text.text, unknown[i]) == NULL) != (tick == 1))
				fail_msg("\"%s\" at sample %d:\n%s", unknown[i], tick, text.text);
		strbuf_clear(&text);
		grid_clear(&g);
	}
	scenario_clear(&s);
	close_stage(&t);
}

static void all_paths_stale(struct data *d)
{
	for (size_t i = 0; i < d->peers_count; i++)
		for (unsigned k = 0; d->peers[i]->network && k < d->peers[i]->network->path_count; k++)
			text_copy(d->peers[i]->network->paths[k].state,
				  sizeof(d->peers[i]->network->paths[k].state), "stale");
}

/* Each kind of NAT has its words in the head line, and nothing is there while it is not known. That UDP is
 * blocked is not said beside a path by UDP that is up. */
static void the_head_line_tells_the_nat(void **state)
{
	static const char *const kinds[][2] = {
		{"none", " no nat "},
		{"endpoint-independent", " nat eim "},
		{"port-independent", " nat eim/adm "},
		{"symmetric", " nat symmetric "},
		{"blocked", " no UDP "},
	};
	struct scenario s;

	(void)state;
	scenario_load(&s, "paths");
	for (size_t i = 0; i <= sizeof(kinds) / sizeof(kinds[0]); i++) {
		bool known = i < sizeof(kinds) / sizeof(kinds[0]);
		struct strbuf text = {0};
		struct stage t;
		struct grid g;

		open_stage(&t, 80, 24);
		scenario_play(&s, t.d);
		text_copy(t.d->nat, sizeof(t.d->nat), known ? kinds[i][0] : "");
		settle(&t);
		draw(&t, &g, false);
		grid_text(&g, &text);
		if (known && strcmp(kinds[i][0], "blocked") == 0) {
			assert_null(strstr(text.text, kinds[i][1]));
			all_paths_stale(t.d);
			strbuf_clear(&text);
			grid_clear(&g);
			draw(&t, &g, false);
			grid_text(&g, &text);
		}
		if (known ? !strstr(text.text, kinds[i][1]) : strstr(text.text, " nat ") != NULL)
			fail_msg("\"%s\" is not there:\n%s", known ? kinds[i][1] : "nothing", text.text);
		strbuf_clear(&text);
		grid_clear(&g);
		close_stage(&t);
	}
	scenario_clear(&s);
}

/* ---- invariants ---- */

static void check_cells(const struct grid *u, const struct grid *a)
{
	for (int row = 0; row < u->height; row++)
		for (int col = 0; col < u->width; col++) {
			uint32_t ch = grid_at(u, row, col)->ch, ascii = grid_at(a, row, col)->ch;
			const struct cell *next = grid_at(u, row, col + 1);

			assert_true(ch ? text_width(ch) > 0 : col > 0);
			if (ch)
				assert_int_equal(text_width(ch) == 2, next && !next->ch);
			assert_in_range(ascii, 0x20, 0x7e);
			if (ch && ch < 0x7f)
				assert_int_equal(ch, ascii);
			assert_int_equal(grid_at(u, row, col)->style, grid_at(a, row, col)->style);
		}
	assert_in_range(u->cursor_row, 0, u->height - 1);
	assert_in_range(u->cursor_col, 0, u->width - 1);
}

static bool selection_shows(const struct grid *g)
{
	for (int i = 0; i < g->width * g->height; i++)
		if (g->cells[i].style & STYLE_SELECT)
			return true;
	return false;
}

static void check_privacy(const struct stage *t, const char *text)
{
	static const char *const secrets[] = {"198.51.100", "2001:db8", "203.0.113", "gw.example", "10.0."};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (strstr(text, secrets[i]))
			fail_msg("\"%s\" shows:\n%s", secrets[i], text);
	for (size_t i = 0; i < t->d->peers_count; i++) {
		char start[7];

		memcpy(start, t->d->peers[i]->key, 6);
		start[6] = '\0';
		assert_null(strstr(text, start));
	}
}

static void check_screen(struct stage *t)
{
	struct grid u, a;
	struct strbuf text = {0};
	struct layout l = model_layout(&t->m, t->d);

	draw(t, &u, false);
	draw(t, &a, true);
	check_cells(&u, &a);
	grid_text(&u, &text);
	if (t->m.screen == SCREEN_PEERS && !l.tiny && t->m.mode != MODE_HELP && t->m.rows.count)
		assert_true(selection_shows(&u));
	if (t->m.screen == SCREEN_PEERS && t->m.mode != MODE_HELP && t->d->words[WORD_STUCK] &&
	    t->m.width >= 40 && !*t->m.message && (t->m.mode == MODE_NORMAL || !l.tiny))
		assert_non_null(strstr(text.text, "STUCK"));
	if (t->m.screen == SCREEN_PACKETS && t->d->full && !l.tiny && t->m.mode != MODE_HELP &&
	    t->m.packets.count && !t->m.packets.whole)
		assert_true(selection_shows(&u));
	/* What the user types into the filter is the user's. */
	if (t->m.private && !*t->m.filter && !*t->m.log_filter && !*t->m.packet_filter &&
	    t->m.mode != MODE_FILTER)
		check_privacy(t, text.text);
	strbuf_clear(&text);
	grid_clear(&u);
	grid_clear(&a);
}

static void take(struct stage *t, char *line)
{
	struct reply reply;

	data_line(t->d, line, strlen(line), 1, &reply);
	free(line);
}

static void add_lines(struct stage *t)
{
	static const char *const lines[] = {
		"{\"event\":\"log\",\"entry\":{\"at\":1000,\"seq\":1,\"level\":\"warn\",\"room\":\"wg\","
		"\"peer\":\"\","
		"\"text\":\"from 198.51.100.66:9001 \\u65e5\\u672c\\u001b[2J\"}}",
		"{\"event\":\"timeline\",\"entry\":{\"at\":1000,\"seq\":2,\"peer\":\"\",\"level\":\"error\","
		"\"text\":\"gw.example.net "
		"[2001:db8::1]:5\"}}",
	};

	for (size_t i = 0; i < 2; i++)
		take(t, strdup(lines[i]));
}

static void every_size_keeps_the_invariants(void **state)
{
	static const char *const keys[] = {
		"",	   "2",		"4",   "?",	 "D",	    "x",	"2?",  "4/x", "E",
		"2\t",	   "2\t\t\t\t", "2\\", "c",	 ":dr",	    "3",	"4#1", "xo",  "c   ",
		"2\t\t\\", ":path ",	"3kk", "3gjj\t", "3G\t\tj", "3kP\rj\r", "3d"};
	unsigned seed = 42;

	(void)state;
	for (int width = 1; width <= 200; width++) {
		struct stage t;

		open_stage(&t, width, 24);
		take(&t, random_snapshot(random_below(&seed, 60), 1000, &seed));
		take(&t, random_packets(random_below(&seed, 80), 1000, &seed));
		add_lines(&t);
		settle(&t);
		for (int height = 1; height <= 60; height += width % 3 ? 5 : 1) {
			const char *k = keys[random_below(&seed, sizeof(keys) / sizeof(keys[0]))];

			model_resize(&t.m, t.d, width, height);
			for (unsigned i = random_below(&seed, 60); i; i--)
				press(&t, i % 5 ? 'j' : 'k');
			if (random_below(&seed, 2))
				press(&t, 'P');
			for (; *k; k++)
				press(&t, (uint32_t)*k);
			check_screen(&t);
			for (int i = 0; i < 3; i++)
				press(&t, K_ESCAPE);
			press(&t, '1');
		}
		close_stage(&t);
	}
}

static uint32_t random_key_code(unsigned *seed)
{
	const struct key_entry *e = &key_table[random_below(seed, (unsigned)key_table_size)];

	if (!random_below(seed, 8))
		return random_below(seed, 0x3000);
	if (!random_below(seed, 8))
		return MOUSE_CODE(random_below(seed, 4), random_below(seed, 70), random_below(seed, 220));
	return e->codes[random_below(seed, 2)];
}

static void any_keys_any_sizes_any_snapshots(void **state)
{
	unsigned seed = 4711;

	(void)state;
	for (int round = 0; round < 25; round++) {
		struct stage t;
		double at = 1000;

		open_stage(&t, 80, 24);
		add_lines(&t);
		for (int step = 0; step < 120; step++) {
			unsigned what = random_below(&seed, 12);

			if (what == 0)
				model_resize(&t.m, t.d, 1 + (int)random_below(&seed, 200),
					     1 + (int)random_below(&seed, 60));
			else if (what == 1)
				take(&t, random_snapshot(random_below(&seed, 30), at++, &seed));
			else if (what == 2)
				take(&t, random_packets(random_below(&seed, 60), at, &seed));
			else
				press(&t, random_key_code(&seed));
			settle(&t);
			check_screen(&t);
		}
		close_stage(&t);
	}
}

/* ---- files ---- */

static void a_report_tells_all_but_who_and_where(void **state)
{
	static const char *const scenes[] = {"twelve", "paths", "stuck"};
	char folder[] = "/tmp/weir-test-report-XXXXXX", before[512], path[700], name[160];

	(void)state;
	assert_non_null(getcwd(before, sizeof(before)));
	assert_non_null(mkdtemp(folder));
	assert_int_equal(chdir(folder), 0);
	for (size_t i = 0; i < 3; i++) {
		struct scenario s;
		struct stage t;
		struct strbuf text = {0};
		struct error e = {0};
		struct stat st;

		open_stage(&t, 80, 24);
		assert_int_equal(chdir(before), 0); /* scenes are found from there */
		scenario_load(&s, scenes[i]);
		scenario_play(&s, t.d);
		scenario_clear(&s);
		settle(&t);
		assert_int_equal(chdir(folder), 0);
		{
			struct scene scene = {.d = t.d, .m = &t.m, .now = t.d->at};
			const struct peer *p = model_selected(&t.m, t.d);

			report_peer(&text, &scene, p);
			report_name(name, sizeof(name), &scene, p);
		}
		check_privacy(&t, text.text);
		assert_non_null(strstr(text.text, "edge-sfo"));
		assert_non_null(strstr(text.text, "wireguard sessions"));
		assert_non_null(strstr(text.text, "counters"));
		assert_non_null(strstr(text.text, "initiation 27 sent"));
		if (i)
			assert_non_null(strstr(text.text, "diagnosis"));
		assert_string_equal(name, "weir-wg0-edge-sfo-20260115T031241Z.txt");
		assert_int_equal(report_write(name, &text, path, sizeof(path), &e), 0);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_equal(st.st_size, text.len);
		strbuf_clear(&text);
		close_stage(&t);
	}
	/* Three of the same second: none was written over. */
	for (int i = 1; i <= 3; i++) {
		if (i > 1)
			snprintf(path, sizeof(path), "%.*s-%d.txt", (int)strlen(name) - 4, name, i);
		else
			snprintf(path, sizeof(path), "%s", name);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(chdir(before), 0);
	assert_int_equal(rmdir(folder), 0);
}

/* ---- bytes ---- */

static const char *move_to(void *arg, int row, int col)
{
	static char out[32];

	(void)arg;
	snprintf(out, sizeof(out), "\033[%d;%dH", row + 1, col + 1);
	return out;
}

/* Bytes a second on a 256 colour terminal, over a minute of snapshots. */
static unsigned bytes_per_second(const char *scene, const char *keys, int width, int height, bool traffic,
				 unsigned packets, bool slow)
{
	static char styles[32][24];
	struct frame_caps caps = {
		.move = move_to, .clear = "\033[H\033[2J", .clear_eol = "\033[K", .last_cell = true};
	struct stage t;
	struct scenario s;
	struct grid before = {0}, after;
	struct strbuf out = {0};
	unsigned seed = 8;
	size_t sum = 0;

	for (int i = 0; i < 32; i++) {
		snprintf(styles[i], sizeof(styles[i]), i && !slow ? "\033[0;1;38;5;172m" : "\033[m");
		caps.styles[i] = styles[i];
	}
	open_stage(&t, width, height);
	scenario_load(&s, scene);
	if (!traffic)
		json_object_clear(json_object_get(s.root, "rates"));
	scenario_play(&s, t.d);
	t.m.no_sparks = slow;
	settle(&t);
	for (; *keys; keys++)
		press(&t, (uint32_t)*keys);
	for (int second = 0; second <= 60; second++) {
		take(&t, scenario_snapshot(&s, s.seconds + second, 0));
		if (packets)
			take(&t, random_packets(packets, t.d->at, &seed));
		settle(&t);
		if (slow && second % 5)
			continue;
		draw(&t, &after, slow);
		frame_diff(&out, second ? &before : NULL, &after, &caps);
		sum += second ? out.len : 0;
		strbuf_consume(&out, out.len);
		grid_clear(&before);
		before = after;
	}
	strbuf_clear(&out);
	grid_clear(&before);
	scenario_clear(&s);
	close_stage(&t);
	return (unsigned)(sum / 60);
}

static void a_quiet_screen_is_cheap(void **state)
{
	static const struct {
		int width, height;
	} sizes[] = {{80, 24}, {120, 40}, {60, 16}};
	static const char *const screens[] = {"", "2", "3", "4"};

	(void)state;
	for (int z = 0; z < 3; z++)
		for (int k = 0; k < 4; k++) {
			unsigned quiet = bytes_per_second("twelve", screens[k], sizes[z].width,
							  sizes[z].height, false, 0, false);
			unsigned busy = bytes_per_second("twelve", screens[k], sizes[z].width,
							 sizes[z].height, true, 0, false);

			print_message("%dx%d screen \"%s\": %u B/s, with traffic %u B/s\n", sizes[z].width,
				      sizes[z].height, screens[k], quiet, busy);
			assert_in_range(quiet, 1, 1024);
		}
	/* With --slow, under traffic: a modem could carry it. */
	assert_in_range(bytes_per_second("twelve", "", 80, 24, true, 0, true), 1, 60);
	/* The healthy case, which is what a dashboard shows for weeks. */
	assert_in_range(bytes_per_second("healthy", "", 80, 24, false, 0, false), 1, 200);
}

/* What the engine may send at most; each refresh shows other rows, so this is about whole screens. */
static void a_stream_of_packets_has_its_price(void **state)
{
	(void)state;
	assert_in_range(bytes_per_second("twelve", "3", 80, 24, false, 2000, false), 1, 3000);
	assert_in_range(bytes_per_second("twelve", "3", 120, 40, false, 2000, false), 1, 7000);
	/* Paused, nothing of it shows but the count. */
	assert_in_range(bytes_per_second("twelve", "3k", 80, 24, false, 100, false), 1, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(golden_screens),
		cmocka_unit_test(rates_are_unknown_at_first),
		cmocka_unit_test(the_head_line_tells_the_nat),
		cmocka_unit_test(every_size_keeps_the_invariants),
		cmocka_unit_test(any_keys_any_sizes_any_snapshots),
		cmocka_unit_test(a_report_tells_all_but_who_and_where),
		cmocka_unit_test(a_quiet_screen_is_cheap),
		cmocka_unit_test(a_stream_of_packets_has_its_price),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
