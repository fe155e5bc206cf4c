/* The JSON text that we write is read back by a JSON library. */
#include "tests/unit/test.h"

#include <jansson.h>
#include <string.h>

#include "base/clock.h"
#include "control/json_writer.h"

static json_t *read_back(struct strbuf *s)
{
	json_error_t where;
	json_t *root = json_loadb(s->text, s->len, JSON_REJECT_DUPLICATES, &where);

	if (!root)
		fail_msg("%s in %s", where.text, s->text);
	strbuf_clear(s);
	return root;
}

static void check_text(const char *in, const char *out)
{
	struct strbuf s = {0};
	struct writer w = {.to = &s};
	json_t *root;

	writer_open(&w, '[');
	writer_text(&w, in);
	writer_close(&w, ']');
	root = read_back(&s);
	assert_string_equal(json_string_value(json_array_get(root, 0)), out);
	json_decref(root);
}

static void test_text(void **state)
{
	char all[256];

	(void)state;
	check_text("", "");
	check_text("plain", "plain");
	check_text("say \"hi\"\\ \n\t\x1b\x7f", "say \"hi\"\\ \n\t\x1b\x7f");
	check_text("gr\xc3\xbc\xc3\x9f \xe2\x86\x92 \xf0\x9f\xa6\x86",
		   "gr\xc3\xbc\xc3\x9f \xe2\x86\x92 \xf0\x9f\xa6\x86");
	/* alone, cut short, overlong, surrogate, beyond U+10FFFF */
	check_text("a\x80z", "a\xef\xbf\xbdz");
	check_text("a\xc3", "a\xef\xbf\xbd");
	check_text("\xe2\x86", "\xef\xbf\xbd\xef\xbf\xbd");
	check_text("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");
	check_text("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check_text("\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	/* Whatever bytes: the reader gets valid JSON. */
	for (unsigned first = 1; first < 256; first++) {
		struct strbuf s = {0};
		struct writer w = {.to = &s};

		for (unsigned i = 0; i < 255; i++)
			all[i] = (char)(1 + (first + i * 7) % 255);
		all[255] = '\0';
		writer_open(&w, '[');
		writer_text(&w, all);
		writer_close(&w, ']');
		json_decref(read_back(&s));
	}
}

static void test_numbers(void **state)
{
	struct strbuf s = {0};
	struct writer w = {.to = &s};
	json_t *root;

	(void)state;
	writer_open(&w, '{');
	member_count(&w, "zero", 0);
	member_count(&w, "big", 9007199254740993ull);
	member_time(&w, "never", 0);
	member_time(&w, "at", 1700000000ull * NS_PER_SEC + 7 * NS_PER_MS + 999);
	member_duration(&w, "rtt", 31 * NS_PER_MS + 4 * NS_PER_US);
	writer_name(&w, "loss");
	writer_ratio(&w, 1, 4);
	writer_name(&w, "none");
	writer_ratio(&w, 0, 0);
	member_flag(&w, "yes", true);
	writer_close(&w, '}');
	assert_string_equal(s.text, "{\"zero\":0,\"big\":9007199254740993,\"never\":0,\"at\":1700000000.007,"
				    "\"rtt\":0.031004,\"loss\":0.2500,\"none\":0,\"yes\":true}");
	root = read_back(&s);
	assert_true(json_integer_value(json_object_get(root, "big")) == 9007199254740993);
	json_decref(root);
}

static void test_nesting(void **state)
{
	struct strbuf s = {0};
	struct writer w = {.to = &s};

	(void)state;
	writer_open(&w, '{');
	writer_name(&w, "a");
	writer_open(&w, '[');
	writer_open(&w, '{');
	writer_close(&w, '}');
	writer_count(&w, 1);
	writer_open(&w, '[');
	writer_close(&w, ']');
	writer_close(&w, ']');
	member_text(&w, "b", "c");
	writer_close(&w, '}');
	assert_string_equal(s.text, "{\"a\":[{},1,[]],\"b\":\"c\"}");
	strbuf_clear(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_nesting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
