/* Lines of the control protocol into what the dashboard knows. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui_scenario.h"
#include "wg/events.h"

static enum news take(struct data *d, const char *line)
{
	struct reply reply;

	return data_line(d, line, strlen(line), 1, &reply);
}

static void play_random(struct data *d, size_t peers, double at, unsigned seed)
{
	char *line = random_snapshot(peers, at, &seed);

	assert_int_equal(take(d, line), NEWS_SNAPSHOT);
	free(line);
}

static void every_counter_of_the_protocol_has_a_meaning(void **state)
{
	int n = 0;

	(void)state;
#define X(name, text)                                                                                        \
	assert_int_equal(counter_slot(#name), n);                                                            \
	assert_string_not_equal(counter_meaning(n), #name);                                                  \
	n++;
	WG_COUNTER_TABLE(X)
#undef X
	assert_int_equal(counter_slots(), n);
	/* A newer engine's counter is shown by its name. */
	assert_int_equal(counter_slot("reject_of_tomorrow"), n);
	assert_string_equal(counter_meaning(n), "reject_of_tomorrow");
	assert_true(counter_is_reject(n));
	assert_int_equal(counter_slot("with\033escape"), -1);
}

static void deltas_change_only_what_they_name(void **state)
{
	struct data *d = data_new();
	char key[2][45], line[1024];
	struct peer *p;

	(void)state;
	play_random(d, 5, 1000, 1);
	random_key(key[0], 1);
	random_key(key[1], 3);
	p = data_peer(d, key[0]);
	assert_non_null(p);
	assert_string_equal(p->allowed, "10.0.1.0/24");
	snprintf(line, sizeof(line),
		 "{\"event\":\"snapshot\",\"full\":false,\"at\":1001,\"interface\":\"wg0\",\"peers\":[{"
		 "\"publicKey\":\"%s\","
		 "\"name\":\"new\",\"word\":\"STUCK\"}],\"removed\":[\"%s\"]}",
		 key[0], key[1]);
	take(d, line);
	assert_int_equal(d->peers_count, 4);
	assert_null(data_peer(d, key[1]));
	assert_ptr_equal(data_peer(d, key[0]), p);
	assert_string_equal(p->name, "new");
	assert_string_equal(p->allowed, "10.0.1.0/24"); /* not sent again: unchanged */
	assert_int_equal(d->peers[0]->serial, 1);
	data_free(d);
}

static void a_full_snapshot_replaces_all(void **state)
{
	struct data *d = data_new();
	char key[45];

	(void)state;
	play_random(d, 9, 1000, 1);
	play_random(d, 4, 1001, 2);
	assert_int_equal(d->peers_count, 4);
	random_key(key, 8);
	assert_null(data_peer(d, key));
	data_free(d);
}

static void lines_that_make_no_sense_do_no_harm(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"null",
		"[]",
		"7",
		"\"x\"",
		"{}",
		"{\"event\":7}",
		"{\"event\":\"snapshot\"}",
		"{\"event\":\"snapshot\",\"peers\":{\"a\":1}}",
		"{\"event\":\"snapshot\",\"peers\":[1,null,{}]}",
		"{\"event\":\"snapshot\",\"peers\":[{\"publicKey\":\"short\"}]}",
		"{\"event\":\"snapshot\",\"full\":true,\"peers\":[],\"at\":1e308,\"counters\":{\"x\":\"y\"}}",
		"{\"event\":\"snapshot\",\"removed\":[1,\"x\"]}",
		"{\"event\":\"log\"}",
		"{\"event\":\"timeline\",\"entry\":[]}",
		"{\"id\":\"x\",\"result\":7}",
		"{\"id\":-1,\"error\":7}",
		"{\"event\":\"tomorrow\",\"x\":1}",
	};
	struct data *d = data_new();

	(void)state;
	play_random(d, 3, 1000, 1);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		take(d, lines[i]);
	assert_false(d->gone);
	data_free(d);
}

static void truncated_and_altered_lines_do_no_harm(void **state)
{
	struct data *d = data_new();
	unsigned seed = 5;
	char *line = random_snapshot(4, 1000, &seed);
	size_t len = strlen(line);
	struct reply reply;

	(void)state;
	for (size_t i = 0; i < len; i += 37)
		data_line(d, line, i, 1, &reply);
	for (int i = 0; i < 500; i++) {
		char *copy = strdup(line);

		copy[random_below(&seed, (unsigned)len)] = (char)random_below(&seed, 256);
		data_line(d, copy, len, 1, &reply);
		free(copy);
	}
	free(line);
	data_free(d);
}

static void rates_come_from_differences(void **state)
{
	struct scenario s;
	struct data *d = data_new();
	double fra = 0;

	(void)state;
	scenario_load(&s, "twelve");
	scenario_play(&s, d);
	for (size_t i = 0; i < d->peers_count; i++) {
		if (strcmp(d->peers[i]->name, "edge-fra") == 0)
			fra = d->peers[i]->shown_rx;
		if (strcmp(d->peers[i]->name, "lab-hel") == 0)
			assert_true(d->peers[i]->shown_rx == 0);
	}
	assert_true(fra > 500000 && fra < 1300000);
	assert_int_equal(d->samples, (uint64_t)s.seconds + 1);
	scenario_clear(&s);
	data_free(d);
}

static void an_early_snapshot_makes_no_sample(void **state)
{
	struct data *d = data_new();

	(void)state;
	play_random(d, 3, 1000, 1);
	play_random(d, 3, 1000.1, 1);
	play_random(d, 3, 1000.2, 1);
	assert_int_equal(d->samples, 1);
	play_random(d, 3, 1001, 1);
	assert_int_equal(d->samples, 2);
	play_random(d, 3, 500, 1); /* the clock went back: start anew, no absurd rate */
	assert_int_equal(d->samples, 3);
	data_free(d);
}

static void events_are_kept_in_order_and_once(void **state)
{
	struct data *d = data_new();
	char line[256];

	(void)state;
	for (int i = 0; i < EVENTS_KEPT + 100; i++) {
		snprintf(line, sizeof(line),
			 "{\"event\":\"timeline\",\"entry\":{\"seq\":%d,\"at\":%d,\"text\":\"e\"}}",
			 (i ^ 1) + 1, i);
		take(d, line);
		take(d, line);
	}
	assert_true(d->events_count > EVENTS_KEPT / 2 && d->events_count <= EVENTS_KEPT);
	for (size_t i = 1; i < d->events_count; i++)
		assert_true(d->events[i].seq > d->events[i - 1].seq);
	assert_int_equal(d->events[d->events_count - 1].seq, EVENTS_KEPT + 100);
	data_free(d);
}

static void replies_become_sentences(void **state)
{
	static const struct {
		const char *line;
		bool ok;
		const char *text;
	} cases[] = {
		{"{\"id\":3,\"result\":{\"peers\":1}}", true, ""},
		{"{\"id\":3,\"error\":{\"code\":\"not-found\",\"message\":\"no peer\"}}", false, "no peer"},
		{"{\"id\":3,\"error\":{\"code\":\"config\",\"message\":\"3 "
		 "errors\",\"messages\":[\"a\",\"b\",\"c\"]}}",
		 false, "3 errors; a; b; and more: weir lint shows all"},
		{"{\"id\":3,\"result\":{\"summary\":\"1 changed\"}}", true, "1 changed"},
		{"{\"id\":3,\"result\":{\"peers\":1,\"failed\":[{\"peer\":\"x\",\"error\":\"no "
		 "endpoint\"}]}}",
		 false, "x: no endpoint"},
	};
	struct data *d = data_new();
	struct reply r;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(data_line(d, cases[i].line, strlen(cases[i].line), 1, &r), NEWS_REPLY);
		assert_int_equal(r.id, 3);
		assert_int_equal(r.ok, cases[i].ok);
		assert_string_equal(r.text, cases[i].text);
	}
	data_free(d);
}

static void the_longest_prefix_owns_an_address(void **state)
{
	struct scenario s;
	struct data *d = data_new();
	bool certain;

	(void)state;
	scenario_load(&s, "twelve");
	scenario_play(&s, d);
	assert_string_equal(data_owner(d, "10.9.0.7", &certain)->name, "edge-sfo");
	assert_string_equal(data_owner(d, "10.20.3.4", &certain)->name, "edge-lon");
	assert_string_equal(data_owner(d, "8.8.8.8", &certain)->name, "laptop-ana"); /* 0.0.0.0/0 */
	assert_string_equal(data_owner(d, "fd09::7", &certain)->name, "edge-sfo");
	assert_null(data_owner(d, "fd09::8", &certain));
	assert_null(data_owner(d, "nonsense", &certain));
	assert_true(certain);
	d->peers[0]->allowed_total = 100; /* the list was cut: nobody can be sure */
	data_owner(d, "10.20.3.4", &certain);
	assert_false(certain);
	data_owner(d, "10.9.0.7", &certain); /* a /32: no other can be longer */
	assert_true(certain);
	scenario_clear(&s);
	data_free(d);
}

static void a_clone_stands_still(void **state)
{
	struct data *d = data_new(), *c;
	char before[64];

	(void)state;
	play_random(d, 20, 1000, 3);
	c = data_clone(d);
	snprintf(before, sizeof(before), "%s", c->peers[4]->key);
	play_random(d, 2, 1001, 4);
	assert_int_equal(c->peers_count, 20);
	assert_non_null(data_peer(c, before));
	data_free(d);
	assert_string_equal(c->peers[4]->key, before);
	data_free(c);
}

static void a_diagnosis_comes_and_goes(void **state)
{
	struct data *d = data_new(), *c;
	struct scenario s;
	struct peer *p = NULL;
	const struct finding *found;
	char *line;

	(void)state;
	scenario_load(&s, "paths");
	scenario_play(&s, d);
	for (size_t i = 0; i < d->peers_count; i++)
		if (strcmp(d->peers[i]->name, "edge-sfo") == 0)
			p = d->peers[i];
		else
			assert_null(peer_finding(d->peers[i]));
	assert_non_null(p);
	assert_int_equal(p->findings->count, 2);
	assert_int_equal(p->findings->good_count, 4);
	found = peer_finding(p);
	assert_string_equal(found->rule, "our-key-unknown-there");
	assert_string_equal(found->confidence, "certain");
	assert_int_equal(found->key, 'y');
	assert_int_equal(found->line_count, 3);
	assert_int_equal(found->lines[0].mark, FINDING_BAD);
	assert_int_equal(found->lines[2].mark, FINDING_NOTE);
	c = data_clone(d);
	for (size_t i = 0; i < json_array_size(json_object_get(json_object_get(s.root, "snapshot"), "peers"));
	     i++)
		json_object_del(
			json_array_get(json_object_get(json_object_get(s.root, "snapshot"), "peers"), i),
			"diagnosis");
	line = scenario_snapshot(&s, s.seconds + 1, 0);
	data_line(d, line, strlen(line), 1, NULL);
	free(line);
	assert_null(p->findings);
	assert_int_equal(data_peer(c, p->key)->findings->count, 2);
	/* What was asked for of a peer that is well: for a while. */
	{
		char reply[300];
		struct reply r;

		snprintf(reply, sizeof(reply),
			 "{\"id\":1,\"result\":{\"publicKey\":\"%s\",\"diagnosis\":{\"verdicts\":[],"
			 "\"good\":[{\"mark\":\"good\",\"layer\":\"clock\",\"at\":0,\"text\":\"fine\"}]}}}",
			 p->key);
		assert_null(peer_findings(d, p));
		data_line(d, reply, strlen(reply), 1, &r);
		assert_non_null(peer_findings(d, p));
		assert_null(peer_finding(p));
		assert_string_equal(peer_findings(d, p)->good[0].text, "fine");
		d->at += 60;
		assert_null(peer_findings(d, p));
	}
	scenario_clear(&s);
	data_free(c);
	data_free(d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_counter_of_the_protocol_has_a_meaning),
		cmocka_unit_test(deltas_change_only_what_they_name),
		cmocka_unit_test(a_full_snapshot_replaces_all),
		cmocka_unit_test(lines_that_make_no_sense_do_no_harm),
		cmocka_unit_test(truncated_and_altered_lines_do_no_harm),
		cmocka_unit_test(rates_come_from_differences),
		cmocka_unit_test(an_early_snapshot_makes_no_sample),
		cmocka_unit_test(events_are_kept_in_order_and_once),
		cmocka_unit_test(replies_become_sentences),
		cmocka_unit_test(the_longest_prefix_owns_an_address),
		cmocka_unit_test(a_clone_stands_still),
		cmocka_unit_test(a_diagnosis_comes_and_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
