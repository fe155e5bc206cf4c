/*
 * Time travel: what is shown of a moment is what a view saw at that moment, however one gets there. And the
 * screens of it (GOLDEN=1 writes them anew).
 */
#include "test.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tui/text.h"
#include "tui/travel.h"
#include "tui/view.h"
#include "tui_scenario.h"

#define START 1790000000.0

/* ---- a story, and what a view saw of it ---- */

struct story {
	char **lines;
	double *at;
	struct data **seen; /* after each line */
	size_t count;
};

static char *change(size_t peers, double at, unsigned *seed)
{
	char *text = random_snapshot(peers, at, seed);
	json_t *o = json_loads(text, 0, NULL), *list = json_object_get(o, "peers"), *removed = json_array();

	free(text);
	json_object_set_new(o, "full", json_false());
	for (size_t i = json_array_size(list); i-- > 0;) {
		if (random_below(seed, 12) == 0)
			json_array_append(removed, json_object_get(json_array_get(list, i), "publicKey"));
		if (random_below(seed, 3))
			json_array_remove(list, i);
	}
	json_object_set_new(o, "removed", removed);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static char *entry(const char *event, size_t n, double at, unsigned *seed)
{
	static const char *const levels[] = {"error", "warn", "notice", "info"};
	char key[45];
	json_t *o;
	char *text;

	random_key(key, random_below(seed, 8));
	o = json_pack("{s:s,s:{s:f,s:I,s:s,s:s,s:s,s:s}}", "event", event, "entry", "at", at, "seq",
		      (json_int_t)n + 1, "peer", key, "name", "", "level", levels[random_below(seed, 4)],
		      "text", "something happened");
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static void tell(struct story *s, size_t count, size_t peers, unsigned seed)
{
	struct data *d = data_new();
	struct reply ignored;
	double at = START;

	*s = (struct story){.lines = xcalloc(count, sizeof(char *)),
			    .at = xcalloc(count, sizeof(double)),
			    .seen = xcalloc(count, sizeof(struct data *)),
			    .count = count};
	for (size_t i = 0; i < count; i++) {
		unsigned what = i ? random_below(&seed, 10) : 0;

		at += 0.25 + random_below(&seed, 40) / 10.0;
		if (!i || what == 0)
			s->lines[i] = random_snapshot(peers, at, &seed);
		else if (what < 6)
			s->lines[i] = change(peers, at, &seed);
		else
			s->lines[i] = entry(what < 9 ? "timeline" : "log", i, at, &seed);
		s->at[i] = at;
		data_line(d, s->lines[i], strlen(s->lines[i]), 1, &ignored);
		s->seen[i] = data_clone(d);
	}
	data_free(d);
}

static void forget(struct story *s)
{
	for (size_t i = 0; i < s->count; i++) {
		free(s->lines[i]);
		data_free(s->seen[i]);
	}
	free(s->lines);
	free(s->at);
	free(s->seen);
}

static void same_peer(const struct peer *a, const struct peer *b)
{
	struct peer x = *a, y = *b;

	assert_string_equal(a->allowed, b->allowed);
	assert_int_equal(a->prefixes_count, b->prefixes_count);
	assert_int_equal(!a->network, !b->network);
	if (a->network)
		assert_memory_equal(a->network, b->network, sizeof(*a->network));
	assert_string_equal(a->name, b->name);
	assert_int_equal(a->word, b->word);
	assert_true(a->rx == b->rx && a->tx == b->tx && a->shown_rx == b->shown_rx);
	assert_memory_equal(x.history_rx, y.history_rx, sizeof(x.history_rx));
	assert_memory_equal(x.counters, y.counters, sizeof(x.counters));
}

static void same_data(const struct data *a, const struct data *b)
{
	assert_true(a->at == b->at);
	assert_int_equal(a->peers_count, b->peers_count);
	for (size_t i = 0; i < a->peers_count; i++) {
		assert_string_equal(a->peers[i]->key, b->peers[i]->key);
		same_peer(a->peers[i], b->peers[i]);
	}
	assert_memory_equal(a->words, b->words, sizeof(a->words));
	assert_int_equal(a->samples, b->samples);
	assert_memory_equal(a->history_rx, b->history_rx, sizeof(a->history_rx));
	assert_int_equal(a->events_count, b->events_count);
	if (a->events_count)
		assert_memory_equal(a->events, b->events, a->events_count * sizeof(*a->events));
	assert_int_equal(a->log_count, b->log_count);
}

/* With recorded lines, which carry their time, and with lines that a view was sent. */
static void fill(struct past *p, const struct story *s, bool recorded)
{
	for (size_t i = 0; i < s->count; i++) {
		struct strbuf line = {0};

		if (recorded)
			strbuf_add(&line, "{\"past\":%.3f,%s", s->at[i], s->lines[i] + 1);
		else
			strbuf_add(&line, "%s", s->lines[i]);
		assert_true(past_line(p, line.text, line.len, recorded ? 0 : s->at[i]));
		strbuf_clear(&line);
	}
}

static void test_a_moment_is_what_was_seen(void **unused)
{
	(void)unused;
	for (unsigned seed = 1; seed <= 6; seed++) {
		struct past *p = past_new(1);
		struct story s;
		unsigned random = seed * 77;

		tell(&s, 150, seed * 6, seed);
		fill(p, &s, seed % 2);
		for (unsigned n = 0; n < 120; n++) {
			size_t i = random_below(&random, (unsigned)s.count);

			past_seek(p, s.at[i] + 0.1);
			assert_true(past_at(p) > s.at[i] - 0.01 && past_at(p) < s.at[i] + 0.01);
			same_data(past_data(p), s.seen[i]);
		}
		past_free(p);
		forget(&s);
	}
}

/* In pieces, between which keys are answered: no piece plays more than a line, and the picture is the same.
 */
static void test_pieces_make_the_same(void **unused)
{
	struct past *p = past_new(1);
	unsigned random = 3, most = 0;
	struct story s;

	(void)unused;
	tell(&s, 100, 20, 4);
	fill(p, &s, true);
	for (unsigned n = 0; n < 60; n++) {
		size_t i = n ? random_below(&random, (unsigned)s.count) : s.count - 1;
		unsigned pieces = 1;

		past_seek(p, s.at[i] + 0.1);
		while (!past_work(p, 1)) {
			assert_true(!past_shown(p) || past_shown(p)->at <= past_last(p));
			pieces++;
		}
		if (!n)
			assert_true(pieces >= s.count);
		most = n && pieces > most ? pieces : most;
		same_data(past_shown(p), s.seen[i]);
		/* A key that comes before the picture is made goes on from there. */
		past_seek(p, s.at[0] + 0.1);
		past_work(p, 1);
	}
	assert_true(most > 1);
	past_free(p);
	forget(&s);
}

/* The view's side of it: keys are taken while the record is played, and the screen says that it is. */
static void test_travel_works_in_pieces(void **unused)
{
	struct reply reply = {.ok = true};
	struct travel t;
	struct story s;
	struct model m;
	size_t pieces = 0;

	(void)unused;
	tell(&s, 400, 60, 8);
	model_init(&m);
	travel_start(&t);
	assert_true(travel_move(&t, &m, PAST_ENTER, s.at[s.count - 1]));
	for (size_t i = 0; i < s.count; i++) {
		struct strbuf line = {0};

		strbuf_add(&line, "{\"past\":%.3f,%s", s.at[i], s.lines[i] + 1);
		assert_true(travel_takes(&t, line.text, line.len));
		strbuf_clear(&line);
	}
	assert_true(t.busy);
	travel_loaded(&t, &m, &reply, s.at[s.count - 1]);
	assert_null(travel_data(&t, &m));
	assert_true(m.past.loading);
	assert_false(travel_move(&t, &m, PAST_BACK, s.at[s.count - 1]));
	while (t.busy) {
		travel_work(&t);
		travel_data(&t, &m);
		pieces++;
	}
	assert_true(pieces > 3);
	assert_false(m.past.loading);
	assert_true(m.past.at > s.at[s.count - 1] - 10);
	same_data(travel_data(&t, &m), past_data(t.shown));
	travel_move(&t, &m, PAST_LEAVE, 0);
	assert_null(travel_data(&t, &m));
	assert_false(t.busy || m.past.loading);
	travel_clear(&t);
	model_clear(&m);
	forget(&s);
}

static void test_steps_visit_every_moment(void **unused)
{
	struct past *p = past_new(1);
	struct story s;
	size_t i, moments = 0;

	(void)unused;
	tell(&s, 120, 10, 5);
	fill(p, &s, true);
	past_seek(p, 1e12);
	/* Back to the first, over all that are no log lines, then on again. */
	for (i = s.count; i-- > 0;) {
		if (strncmp(s.lines[i], "{\"event\":\"log\"", 14) == 0 && i + 1 < s.count)
			continue;
		same_data(past_data(p), s.seen[i]);
		past_step(p, -1);
		moments++;
	}
	assert_true(past_at(p) == past_first(p));
	past_step(p, -1);
	same_data(past_data(p), s.seen[0]);
	past_step(p, (int)moments);
	assert_true(past_last(p) - past_at(p) < 10);
	past_seek(p, 0);
	same_data(past_data(p), s.seen[0]);
	past_free(p);
	forget(&s);
}

/* A past that went over its bounds, or was trimmed, begins with a full snapshot and is right from there on.
 */
static void test_trimmed(void **unused)
{
	struct past *p = past_new(1), *more = past_new(1);
	struct story s;
	size_t lines;

	(void)unused;
	tell(&s, 150, 5, 9);
	fill(p, &s, false);
	lines = past_lines(p);
	past_trim(p, 1);
	assert_true(past_lines(p) < lines);
	past_seek(p, past_last(p));
	assert_int_equal(past_data(p)->peers_count, s.seen[s.count - 1]->peers_count);
	/* Their order is that in which they were seen first. */
	for (size_t i = 0; i < past_data(p)->peers_count; i++) {
		const struct peer *was = s.seen[s.count - 1]->peers[i];

		assert_non_null(data_peer(past_data(p), was->key));
		assert_string_equal(data_peer(past_data(p), was->key)->name, was->name);
	}

	/* Joined to what came before it, all is there again. */
	for (size_t i = 0; i < s.count && s.at[i] < past_first(p) - 0.01; i++)
		past_line(more, s.lines[i], strlen(s.lines[i]), s.at[i]);
	past_append(more, p);
	assert_int_equal(past_lines(more), lines);
	past_seek(more, 1e12);
	same_data(past_data(more), s.seen[s.count - 1]);
	past_free(more);
	past_free(p);
	forget(&s);
}

static void test_strange_lines(void **unused)
{
	static const char *const lines[] = {"",
					    "{",
					    "{}",
					    "[]",
					    "{\"past\":",
					    "{\"past\":1",
					    "{\"past\":1}",
					    "{\"past\":12.5,\"event\":\"hello\"}",
					    "{\"past\":-1,\"event\":\"log\"}",
					    "{\"past\":5,\"event\":\"timeline\",\"entry\":{}}"};
	struct past *p = past_new(1);

	(void)unused;
	/* No line without a full snapshot before it, and none that tells nothing. */
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		assert_false(past_line(p, lines[i], strlen(lines[i]), 0));
	assert_int_equal(past_lines(p), 0);
	assert_null(past_data(p));
	past_step(p, -1);
	past_seek(p, 5);
	past_free(p);
}

/* ---- keys ---- */

static unsigned pressed(struct model *m, const struct data *d, uint32_t code, enum past_move *move)
{
	struct effects fx = {0};
	unsigned requests = 0;

	model_key(m, d, code, d->at, &fx);
	*move = PAST_NEWEST + 1;
	for (size_t i = 0; i < fx.count; i++) {
		if (fx.list[i].kind == EFFECT_PAST)
			*move = fx.list[i].move;
		requests += fx.list[i].kind == EFFECT_REQUEST;
	}
	effects_clear(&fx);
	return requests;
}

static void test_keys(void **unused)
{
	static const struct {
		uint32_t code;
		enum past_move move;
	} keys[] = {{K_LEFT, PAST_BACK},     {K_RIGHT, PAST_FORTH},
		    {'{', PAST_MINUTE_BACK}, {K_PAGE_DOWN, PAST_MINUTE_FORTH},
		    {K_HOME, PAST_OLDEST},   {K_END, PAST_NEWEST},
		    {K_ESCAPE, PAST_LEAVE},  {'t', PAST_LEAVE}};
	struct scenario s;
	struct data *d = data_new();
	struct effects fx = {0};
	enum past_move move;
	struct model m;

	(void)unused;
	scenario_load(&s, "stuck");
	scenario_play(&s, d);
	scenario_clear(&s);
	model_init(&m);
	model_sync(&m, d, &fx);
	effects_clear(&fx);
	pressed(&m, d, 't', &move);
	assert_int_equal(move, PAST_ENTER);
	m.past.on = true;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		pressed(&m, d, keys[i].code, &move);
		assert_int_equal(move, keys[i].move);
	}
	/* Nothing is asked of the engine there, and it is said why. */
	for (const char *at = "xpfDESz"; *at; at++) {
		assert_int_equal(pressed(&m, d, (uint32_t)*at, &move), 0);
		assert_int_equal(m.mode, MODE_NORMAL);
		assert_string_not_equal(m.message, "");
	}
	assert_false(m.frozen);
	m.past.bundle = true;
	pressed(&m, d, K_ESCAPE, &move);
	assert_int_equal(move, PAST_NEWEST + 1);
	assert_non_null(strstr(m.message, "bundle"));
	model_clear(&m);
	data_free(d);
}

/* ---- screens ---- */

/* The story of a scene: half a minute without its events, then they come one by one. */
static struct past *past_of(const char *scene)
{
	struct past *p = past_new(1);
	struct scenario s;
	double at = START;
	char *line;

	scenario_load(&s, scene);
	for (int tick = 0; tick <= s.seconds; tick++) {
		json_t *o;

		line = scenario_snapshot(&s, tick, 0);
		o = json_loads(line, 0, NULL);
		at = json_number_value(json_object_get(o, "at"));
		json_decref(o);
		past_line(p, line, strlen(line), at);
		free(line);
	}
	for (size_t i = 0; (line = scenario_entry(&s, true, i, 0)); i++) {
		past_line(p, line, strlen(line), at += 2);
		free(line);
	}
	scenario_clear(&s);
	return p;
}

static char *screen_text(const char *scene, bool page, double back, bool bundle, int width, int height)
{
	struct past *p = past_of(scene);
	struct strbuf out = {0};
	struct effects fx = {0};
	const struct data *d;
	struct model m;
	struct grid g;

	model_init(&m);
	m.past = (struct model_past){.on = true, .bundle = bundle};
	past_seek(p, past_last(p) - back);
	d = past_data(p);
	model_resize(&m, d, width, height);
	model_sync(&m, d, &fx);
	if (page)
		model_key(&m, d, '2', d->at, &fx);
	effects_clear(&fx);
	grid_init(&g, width, height, false);
	view_draw(&g,
		  &(struct scene){.d = d, .m = &m, .now = past_at(p), .past = p, .present = past_last(p)});
	grid_text(&g, &out);
	strbuf_add(&out, "%s\n", "---- styles ----");
	grid_letters(&g, &out);
	grid_clear(&g);
	model_clear(&m);
	past_free(p);
	return out.text;
}

static bool golden_case(const char *path, const char *text)
{
	FILE *f = fopen(path, getenv("GOLDEN") ? "w" : "r");
	static char want[65536];
	size_t n;

	if (f && getenv("GOLDEN")) {
		fputs(text, f);
		fclose(f);
		return true;
	}
	n = f ? fread(want, 1, sizeof(want) - 1, f) : 0;
	want[n] = '\0';
	if (f)
		fclose(f);
	if (n && strcmp(want, text) == 0)
		return true;
	print_message("%s differs; it is now:\n%s", path, text);
	return false;
}

static void test_golden_screens(void **unused)
{
	static const struct {
		const char *name, *scene;
		bool page, bundle;
		double back;
	} screens[] = {{"past-peers", "twelve", false, false, 9},
		       {"past-peer", "twelve", true, false, 9},
		       {"past-bundle", "stuck", true, true, 0}};
	static const int sizes[][2] = {{120, 40}, {80, 24}, {60, 16}};
	bool good = true;

	(void)unused;
	for (size_t i = 0; i < 3; i++)
		for (size_t k = 0; k < 3; k++) {
			char path[768];
			char *text = screen_text(screens[i].scene, screens[i].page, screens[i].back,
						 screens[i].bundle, sizes[k][0], sizes[k][1]);

			snprintf(path, sizeof(path), "%s/%s-%dx%d-utf8.txt", golden_folder(), screens[i].name,
				 sizes[k][0], sizes[k][1]);
			good &= golden_case(path, text);
			free(text);
		}
	assert_true(good);
}

/* Every size, and every moment of a random story: nothing may be written outside, nothing may crash. */
static void test_all_sizes(void **unused)
{
	struct past *p = past_new(1);
	struct story s;
	unsigned seed = 3;

	(void)unused;
	tell(&s, 60, 12, 4);
	fill(p, &s, true);
	for (unsigned n = 0; n < 400; n++) {
		struct effects fx = {0};
		struct model m;
		struct grid g;
		const struct data *d;

		past_seek(p, s.at[random_below(&seed, 60)]);
		d = past_data(p);
		model_init(&m);
		m.past.on = true;
		model_resize(&m, d, 1 + (int)random_below(&seed, 200), 1 + (int)random_below(&seed, 60));
		model_sync(&m, d, &fx);
		effects_clear(&fx);
		grid_init(&g, m.width, m.height, n % 2);
		view_draw(&g,
			  &(struct scene){
				  .d = d, .m = &m, .now = past_at(p), .past = p, .present = past_last(p)});
		grid_clear(&g);
		model_clear(&m);
	}
	past_free(p);
	forget(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_moment_is_what_was_seen),
		cmocka_unit_test(test_steps_visit_every_moment),
		cmocka_unit_test(test_pieces_make_the_same),
		cmocka_unit_test(test_travel_works_in_pieces),
		cmocka_unit_test(test_trimmed),
		cmocka_unit_test(test_strange_lines),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_golden_screens),
		cmocka_unit_test(test_all_sizes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
