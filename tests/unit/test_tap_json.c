/* Filters as JSON: what the client writes the engine reads; anything else is refused, and harmless. */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tap/filter_json.h"
#include "tests/unit/seeded.h"
#include "tests/unit/test.h"

static struct tap_filter *parse(const char *text)
{
	struct tap_filter *f;
	struct error e;

	assert_int_equal(tap_filter_parse(&f, text, &e), 0);
	return f;
}

static void assert_same(const struct tap_filter *a, const struct tap_filter *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		const struct tap_node *x = &a->nodes[i], *y = &b->nodes[i];

		assert_int_equal(x->kind, y->kind);
		assert_int_equal(x->value, y->value);
		assert_string_equal(x->peer, y->peer);
		assert_int_equal(x->count, y->count);
		if (x->count)
			assert_memory_equal(x->code, y->code, x->count * sizeof(*x->code));
	}
}

/* The words of drops are those of their table, with dashes. */
static void test_drop_names(void **state)
{
	static const char *const table[] = {
#define X(name, text) #name,
		TAP_DROP_TABLE(X)
#undef X
	};

	(void)state;
	assert_string_equal(tap_drop_name(TAP_DROP_none), "");
	for (unsigned i = 1; i < TAP_DROPS; i++) {
		char word[32];

		assert_true(strlen(table[i]) < sizeof(word));
		strcpy(word, table[i]);
		for (char *c = word; *c; c++)
			*c = *c == '_' ? '-' : *c;
		assert_string_equal(tap_drop_name((enum tap_drop)i), word);
	}
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"",
		"tcp port 443",
		"peer alice and (point wire or point signal) and not type keep",
		"path relay or path direct and in and dropped or out",
		"host 10.9.0.1 and icmp and peer alice",
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct tap_filter *f = parse(texts[i]), *back;
		json_t *nodes = tap_filter_to_json(f);
		char *line = json_dumps(nodes, 0);
		json_t *read = json_loads(line, 0, NULL);
		struct error e;

		assert_int_equal(tap_filter_from_json(&back, read, &e), 0);
		assert_same(f, back);
		tap_filter_free(back);
		tap_filter_free(f);
		json_decref(read);
		json_decref(nodes);
		free(line);
	}
}

static void test_refused(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[{}]",
		"[1]",
		"[{\"op\":\"xor\"}]",
		"[{\"op\":\"and\"}]",
		"[{\"op\":\"in\"},{\"op\":\"out\"}]",
		"[{\"op\":\"point\",\"value\":\"moon\"}]",
		"[{\"op\":\"peer\"}]",
		("[{\"op\":\"peer\",\"peer\":"
		 "\"0123456789012345678901234567890123456789012345678901234567890123456789\"}]"),
		"[{\"op\":\"bpf\",\"code\":[]}]",
		"[{\"op\":\"bpf\",\"code\":[[6,0,0]]}]",
		"[{\"op\":\"bpf\",\"code\":[[6,0,0,4294967296]]}]",
		"[{\"op\":\"bpf\",\"code\":[[6,256,0,1]]}]",
		"[{\"op\":\"bpf\",\"code\":[[5,0,0,7],[6,0,0,1]]}]",	      /* jumps out of it */
		"[{\"op\":\"bpf\",\"code\":[[5,0,0,4294967295],[6,0,0,1]]}]", /* back: for ever */
		"[{\"op\":\"bpf\",\"code\":[[0,0,0,1]]}]",		      /* does not end */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		json_t *nodes = json_loads(bad[i], 0, NULL);
		struct tap_filter *f;
		struct error e = {0};

		assert_non_null(nodes);
		assert_int_equal(tap_filter_from_json(&f, nodes, &e), -22);
		assert_null(f);
		assert_true(e.text[0] != '\0');
		json_decref(nodes);
	}
}

/* A program with something changed in it: refused, or it ends on every packet without looking beyond it. */
static void test_noise(void **state)
{
	struct tap_filter *f = parse("peer alice and tcp port 443 or type init and (udp[8:4] = 1 or ip6)");
	uint8_t *packet = xmalloc(40);

	(void)state;
	seeded_start("filters");
	for (unsigned i = 0; i < 20000; i++) {
		struct tap_meta m = {.point = (uint8_t)seeded_below(TAP_POINTS), .length = 1500};
		json_t *nodes = tap_filter_to_json(f), *code, *c;
		struct tap_filter *back;
		struct error e;

		for (unsigned k = 0; k < 40; k++)
			packet[k] = (uint8_t)seeded_next();
		packet[0] = seeded_below(2) ? 0x45 : 0x60;
		do
			code = json_object_get(json_array_get(nodes, seeded_below(json_array_size(nodes))),
					       "code");
		while (!code);
		for (unsigned k = 0; k < 1 + seeded_below(3); k++) {
			c = json_array_get(code, seeded_below(json_array_size(code)));
			json_array_set_new(c, seeded_below(4),
					   json_integer((json_int_t)(seeded_next() >> seeded_below(64))));
		}
		if (!tap_filter_from_json(&back, nodes, &e)) {
			tap_filter_match(back, &m, packet, seeded_below(41));
			tap_filter_free(back);
		}
		json_decref(nodes);
	}
	free(packet);
	tap_filter_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_names),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
