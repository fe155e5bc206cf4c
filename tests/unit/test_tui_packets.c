/* The Packets screen: the ring, the keys, and what the engine is asked for. */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/model.h"
#include "tui/text.h"
#include "tui_scenario.h"

#define NOW 1768446761.0

struct stage {
	struct data *d;
	struct model m;
	struct effects fx;
};

static void take(struct stage *t, char *line)
{
	struct reply reply;

	data_line(t->d, line, strlen(line), 1, &reply);
	free(line);
}

static void open_stage(struct stage *t, const char *scene)
{
	struct scenario s;

	*t = (struct stage){.d = data_new()};
	model_init(&t->m);
	scenario_load(&s, scene);
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

/* Letters are themselves; ^ is Esc, ~ is Enter. */
static void type(struct stage *t, const char *keys)
{
	for (; *keys; keys++)
		model_key(&t->m, t->d,
			  *keys == '^'	 ? K_ESCAPE
			  : *keys == '~' ? '\r'
					 : (uint32_t)*keys,
			  NOW, &t->fx);
}

static uint64_t selected(const struct stage *t)
{
	const struct packet *k = packets_selected(&t->m.packets, t->d->packets);

	return k ? k->number : 0;
}

/* "tap untap copy": what would be done. */
static const char *effects_text(const struct stage *t)
{
	static char out[256];

	*out = '\0';
	for (size_t i = 0; i < t->fx.count; i++) {
		const struct effect *e = &t->fx.list[i];

		snprintf(out + strlen(out), sizeof(out) - strlen(out), "%s%s", i ? " " : "",
			 e->kind == EFFECT_REQUEST ? e->method
			 : e->kind == EFFECT_COPY  ? "copy"
			 : e->kind == EFFECT_WRITE ? "write"
						   : "other");
	}
	return out;
}

/* ---- the ring ---- */

static void put(struct packets *p, uint64_t at_ms, size_t len)
{
	struct tap_meta m = {.at = at_ms * 1000000u, .point = TAP_WIRE, .length = (uint32_t)len};
	uint8_t *data = calloc(1, len);

	packets_add(p, &m, data, len);
	free(data);
}

static void the_ring_keeps_the_newest(void **state)
{
	struct packets *p = packets_new();

	(void)state;
	assert_null(packets_get(p, 1));
	for (uint64_t i = 1; i <= PACKETS_KEPT + 10; i++)
		put(p, i, 20);
	assert_int_equal(p->newest, PACKETS_KEPT + 10);
	assert_int_equal(packets_oldest(p), 11);
	assert_null(packets_get(p, 10));
	assert_int_equal(packets_get(p, 11)->meta.at, 11000000);
	assert_null(packets_get(p, PACKETS_KEPT + 11));
	packets_free(p);
}

static void the_ring_is_bounded_in_bytes(void **state)
{
	struct packets *p = packets_new(), *c;

	(void)state;
	for (uint64_t i = 1; i <= 600; i++)
		put(p, i, 65000);
	assert_true(p->bytes <= PACKETS_BYTES);
	assert_in_range(p->count, 200, 300);
	assert_non_null(packets_get(p, 600));
	c = packets_clone(p);
	put(p, 601, 1);
	assert_int_equal(c->newest, 600);
	assert_int_equal(packets_get(c, 600)->captured, 65000);
	packets_free(c);
	packets_free(p);
}

static void lost_packets_add_up_over_taps(void **state)
{
	struct packets *p = packets_new();

	(void)state;
	packets_lost(p, 5);
	packets_lost(p, 9);
	packets_lost(p, 9);
	packets_lost(p, 2); /* another tap began */
	assert_int_equal(p->lost, 11);
	packets_free(p);
}

/* ---- what answers what ---- */

static void requests_and_answers_find_each_other(void **state)
{
	struct stage t;
	struct packets_like like;
	const struct packet *ping, *check, *init;
	char text[200];

	(void)state;
	open_stage(&t, "twelve");
	ping = packets_get(t.d->packets, 5);
	check = packets_get(t.d->packets, 12);
	init = packets_get(t.d->packets, 16);
	assert_int_equal(ping->partner, 11);
	assert_int_equal(packets_get(t.d->packets, 11)->partner, 5);
	assert_int_equal(check->partner, 13);
	assert_int_equal(init->partner, 0);
	like = packets_like(t.d->packets, init);
	assert_int_equal(like.earlier, 1);
	assert_int_equal(like.answered, 0);
	packets_verdict(text, sizeof(text), t.d->packets, init, (double)init->meta.at / 1e9 + 5);
	assert_string_equal(text, "answer: none (5.0s); 1 earlier like it, 0 answered");
	packets_verdict(text, sizeof(text), t.d->packets, check, NOW);
	assert_string_equal(text, "answer: 13, after 31.0 ms; 0 earlier like it, 0 answered");
	packets_verdict(text, sizeof(text), t.d->packets, packets_get(t.d->packets, 6), NOW);
	assert_non_null(strstr(text, "mac1"));
	close_stage(&t);
}

static void the_tree_says_what_the_engine_knows(void **state)
{
	struct stage t;
	struct decode d;
	bool peer = false, tries = false, answer = false;

	(void)state;
	open_stage(&t, "twelve");
	packets_decode(&d, t.d->packets, packets_get(t.d->packets, 16), "edge-sfo", NOW);
	for (unsigned i = 0; i < d.count; i++) {
		const struct decode_line *l = &d.lines[i];

		peer |= strcmp(l->label, "peer") == 0 && strcmp(l->value, "edge-sfo") == 0;
		tries |= strcmp(l->label, "try") == 0 && strcmp(l->value, "7 of 20") == 0;
		answer |= strcmp(l->label, "answer") == 0 && strncmp(l->value, "none", 4) == 0;
	}
	assert_true(peer && tries && answer);
	close_stage(&t);
}

/* ---- keys ---- */

static void keys_do_what_the_table_says(void **state)
{
	static const struct {
		const char *keys, *effects;
		uint64_t selected;
		enum packet_pane pane;
		bool free;
	} cases[] = {
		{"3", "tap", 18, PACKET_LIST, false},
		{"3k", "tap", 17, PACKET_LIST, true},
		{"3kj", "tap", 18, PACKET_LIST, false}, /* at the newest again: it follows */
		{"3F", "tap", 18, PACKET_LIST, true},
		{"3kkF", "tap", 18, PACKET_LIST, false},
		{"3g", "tap", 1, PACKET_LIST, true},
		{"3gG", "tap", 18, PACKET_LIST, false},
		{"3^", "tap untap", 18, PACKET_LIST, false},
		{"31", "tap untap", 18, PACKET_LIST, false},
		{"3o", "tap tap", 17, PACKET_LIST, false}, /* wire */
		{"3oo", "tap tap tap", 18, PACKET_LIST, false},
		{"3oooooo", "tap tap tap tap tap tap tap", 18, PACKET_LIST, false}, /* all again */
		{"3kk[", "tap", 1, PACKET_LIST, true},				    /* the handshake before */
		{"3kk[]", "tap", 16, PACKET_LIST, true},
		{"3#5~]", "tap", 11, PACKET_LIST, true}, /* the answer of the ping */
		{"3#7~", "tap", 7, PACKET_LIST, true},
		{"3#07~", "tap", 7, PACKET_LIST, true},
		{"3#9999~", "tap", 18, PACKET_LIST, false},
		{"3#03:12:36.118~", "tap", 8, PACKET_LIST, true},
		{"3#03:12:37~", "tap", 12, PACKET_LIST, true},
		{"3#3:12~", "tap", 1, PACKET_LIST, true},
		{"3#xyz~", "tap", 18, PACKET_LIST, false},
		{"3#5^", "tap", 18, PACKET_LIST, false},
		{"3\t", "tap", 18, PACKET_TREE, false},
		{"3\t\t", "tap", 18, PACKET_BYTES, false},
		{"3\t\t\t", "tap", 18, PACKET_LIST, false},
		{"3~", "tap", 18, PACKET_TREE, false},
		{"3~j^", "tap", 18, PACKET_LIST, false}, /* keys of the tree leave the list alone */
		{"3y", "tap copy", 18, PACKET_LIST, false},
		{"3\ty", "tap copy", 18, PACKET_TREE, false},
		{"3w", "tap write", 18, PACKET_LIST, false},
		{"3/icmp~w", "tap tap write", 11, PACKET_LIST, false},
		{"3/icmp~", "tap tap", 11, PACKET_LIST, false},
		{"3/icmp~^", "tap tap tap", 18, PACKET_LIST, false},
		{"3/icmp~^gn", "tap tap tap", 5, PACKET_LIST, true}, /* its words stay */
		{"3/icmp~^gnn", "tap tap tap", 11, PACKET_LIST, true},
		{"3/icmp~^N", "tap tap tap", 11, PACKET_LIST, true},
		{"3n", "tap", 18, PACKET_LIST, false},
		{"3/nonsense~", "tap", 18, PACKET_LIST, false}, /* nothing is sent until it parses */
		{"3/peer nobody~", "tap", 18, PACKET_LIST, false},
		{"3/peer db-ams~", "tap tap", 10, PACKET_LIST, false},
		{"3/type stun~", "tap tap", 13, PACKET_LIST, false},
		{"3/dropped~", "tap tap", 6, PACKET_LIST, false},
		{"3/host exam", "tap", 18, PACKET_LIST, false}, /* no resolver is asked while it is typed */
		{"3/icmp^", "tap", 18, PACKET_LIST, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stage t;

		open_stage(&t, "twelve");
		type(&t, cases[i].keys);
		if (selected(&t) != cases[i].selected || t.m.packets.pane != cases[i].pane ||
		    t.m.packets.free != cases[i].free || strcmp(effects_text(&t), cases[i].effects) != 0)
			fail_msg("keys \"%s\": effects \"%s\", selected %llu, pane %d, free %d",
				 cases[i].keys, effects_text(&t), (unsigned long long)selected(&t),
				 (int)t.m.packets.pane, (int)t.m.packets.free);
		close_stage(&t);
	}
}

static void without_packets_no_key_does_harm(void **state)
{
	static const char keys[] = "3kjgGFod][nN#1~yw\t\t~\\jk\\^T/icmp~^^3";
	struct stage t;

	(void)state;
	open_stage(&t, "healthy");
	type(&t, keys);
	assert_int_equal(selected(&t), 0);
	for (size_t i = 0; i < t.fx.count; i++)
		assert_int_equal(t.fx.list[i].kind, EFFECT_REQUEST);
	close_stage(&t);
}

static void new_packets_do_not_move_what_is_read(void **state)
{
	struct stage t;
	unsigned seed = 5;
	size_t top;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3#6~");
	top = t.m.packets.top;
	take(&t, random_packets(500, NOW, &seed));
	model_sync(&t.m, t.d, &t.fx);
	assert_int_equal(selected(&t), 6);
	assert_int_equal(t.m.packets.top, top);
	assert_int_equal(t.m.packets.count, 518);
	type(&t, "F");
	assert_int_equal(selected(&t), 518);
	/* The ring drops the oldest: the list does too. */
	type(&t, "#100~");
	for (int i = 0; i < 17; i++)
		take(&t, random_packets(500, NOW, &seed));
	model_sync(&t.m, t.d, &t.fx);
	assert_int_equal(t.m.packets.count, PACKETS_KEPT);
	assert_int_equal(selected(&t), packets_oldest(t.d->packets));
	close_stage(&t);
}

/* What is typed acts on the list at once; the engine is asked when it is taken, or the screen refreshed. */
static void the_engine_is_not_asked_for_each_letter(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3/icmp");
	assert_int_equal(t.m.packets.count, 2);
	assert_string_equal(effects_text(&t), "tap");
	t.d->at += 1;
	model_sync(&t.m, t.d, &t.fx);
	assert_string_equal(effects_text(&t), "tap tap");
	type(&t, "~");
	assert_string_equal(effects_text(&t), "tap tap");
	close_stage(&t);
}

static void a_filter_picks_the_packets_that_come(void **state)
{
	struct stage t;
	unsigned seed = 9;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3/type init and out~");
	assert_int_equal(t.m.packets.count, 2);
	take(&t, random_packets(300, NOW, &seed));
	model_sync(&t.m, t.d, &t.fx);
	assert_in_range(t.m.packets.count, 3, 100);
	for (size_t i = 0; i < t.m.packets.count; i++) {
		const struct packet *k = packets_get(t.d->packets, t.m.packets.rows[i]);

		assert_int_equal(k->meta.type, TAP_INITIATION);
		assert_true(k->meta.out);
	}
	close_stage(&t);
}

static void t_taps_a_peer_on_every_screen(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "T"); /* edge-sfo, the worst, is selected */
	assert_int_equal(t.m.screen, SCREEN_PACKETS);
	assert_string_equal(t.m.packet_filter, "peer edge-sfo");
	assert_int_equal(t.m.packets.count, 4);
	type(&t, "1");
	assert_string_equal(effects_text(&t), "tap"); /* it goes on */
	type(&t, "T");
	assert_string_equal(effects_text(&t), "tap untap");
	assert_string_equal(t.m.packet_filter, "");
	type(&t, "T");
	type(&t, "T"); /* on its own screen it shows all again */
	assert_string_equal(t.m.packets.tapped_peer, "");
	assert_int_equal(t.m.packets.count, 18);
	type(&t, "1");
	assert_false(t.m.packets.tapping);
	/* A filter that is typed ends it as well. */
	type(&t, "T/icmp~1");
	assert_false(t.m.packets.tapping);
	close_stage(&t);
}

static void a_read_only_view_taps_nothing(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve");
	t.m.readonly = true;
	type(&t, "3T1T");
	assert_int_equal(t.fx.count, 0);
	close_stage(&t);
}

static void a_refusal_is_told_and_not_repeated(void **state)
{
	struct stage t;
	struct reply r = {.ok = false, .text = "too many taps"};

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3");
	r.id = t.fx.list[0].id;
	model_reply(&t.m, &r, NOW);
	assert_string_equal(t.m.message, "no packets: too many taps");
	type(&t, "jkjk");
	assert_string_equal(effects_text(&t), "tap");
	close_stage(&t);
}

static void what_is_copied(void **state)
{
	struct stage t;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3#14~y\t\ty");
	assert_int_equal(t.fx.count, 3);
	assert_string_equal(t.fx.list[1].bytes.text,
			    "14 03:12:38.002Z out wire nas-home WG keep 32 idx 5b20ee41 ctr 77");
	assert_memory_equal(t.fx.list[2].bytes.text, "04 00 00 00 41 ee 20 5b 4d 00 00 00 00 00 00 00\n", 48);
	close_stage(&t);
}

static void what_is_saved(void **state)
{
	struct stage t;
	const struct effect *e;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3/icmp~w");
	e = &t.fx.list[t.fx.count - 1];
	assert_int_equal(e->kind, EFFECT_WRITE);
	assert_string_equal(e->text, "weir-wg0-20260115-031241.pcapng");
	assert_string_equal(e->label, "2 packets");
	assert_memory_equal(e->bytes.text, "\x0a\x0d\x0d\x0a", 4); /* a section header block */
	assert_true(e->bytes.len > 2 * 84);
	close_stage(&t);
}

/* ---- the request ---- */

static void the_request_has_filter_and_points(void **state)
{
	struct stage t;
	json_t *params = json_object(), *filter;

	(void)state;
	open_stage(&t, "twelve");
	type(&t, "3/peer edge-sfo and type init~o");
	packets_request(params, &t.m.packets);
	filter = json_object_get(params, "filter");
	assert_int_equal(json_array_size(filter), 3);
	assert_string_equal(json_string_value(json_object_get(json_array_get(filter, 0), "peer")),
			    "S+G8XdK/NonJP9vJWhJoPCqytxUOpoG/QfaHAw0NQtw=");
	assert_string_equal(json_string_value(json_object_get(json_array_get(filter, 1), "value")), "init");
	assert_string_equal(json_string_value(json_object_get(json_array_get(filter, 2), "op")), "and");
	assert_int_equal(json_array_size(json_object_get(params, "points")), 1);
	json_decref(params);
	close_stage(&t);
}

static void odd_notifications_do_no_harm(void **state)
{
	static const char *const lines[] = {
		"{\"event\":\"packets\"}",
		"{\"event\":\"packets\",\"packets\":7,\"lost\":-1}",
		"{\"event\":\"packets\",\"packets\":[7,{},{\"data\":7},{\"data\":\"????\",\"length\":-3}]}",
		("{\"event\":\"packets\",\"packets\":[{\"at\":1e300,\"point\":\"no\",\"peer\":\"no\","
		 "\"local\":\"no\"}]}"),
	};
	struct stage t;

	(void)state;
	open_stage(&t, "healthy");
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		take(&t, strdup(lines[i]));
	model_sync(&t.m, t.d, &t.fx);
	type(&t, "3kkk\t\tjj");
	assert_int_equal(t.d->packets->newest, 4);
	close_stage(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_ring_keeps_the_newest),
		cmocka_unit_test(the_ring_is_bounded_in_bytes),
		cmocka_unit_test(lost_packets_add_up_over_taps),
		cmocka_unit_test(requests_and_answers_find_each_other),
		cmocka_unit_test(the_tree_says_what_the_engine_knows),
		cmocka_unit_test(keys_do_what_the_table_says),
		cmocka_unit_test(without_packets_no_key_does_harm),
		cmocka_unit_test(new_packets_do_not_move_what_is_read),
		cmocka_unit_test(the_engine_is_not_asked_for_each_letter),
		cmocka_unit_test(a_filter_picks_the_packets_that_come),
		cmocka_unit_test(t_taps_a_peer_on_every_screen),
		cmocka_unit_test(a_read_only_view_taps_nothing),
		cmocka_unit_test(a_refusal_is_told_and_not_repeated),
		cmocka_unit_test(what_is_copied),
		cmocka_unit_test(what_is_saved),
		cmocka_unit_test(the_request_has_filter_and_points),
		cmocka_unit_test(odd_notifications_do_no_harm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
