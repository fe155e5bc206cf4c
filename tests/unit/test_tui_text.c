/* Text, numbers, keys of a terminal: the pure parts below the dashboard. */
#include "test.h"

#include <string.h>

#include "tui/format.h"
#include "tui/input.h"
#include "tui/keys.h"
#include "tui/style.h"
#include "tui/text.h"

static void cleaning_shows_what_is_hidden(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"edge-sfo", "edge-sfo"},
		{"a\tb\033[31m", "a\\x09b\\x1b[31m"},
		{"\177", "\\x7f"},
		{"\xc2\x9b"
		 "31m",
		 "\\x9b31m"},	     /* CSI in one code point */
		{"e\xcc\x81", "e?"}, /* combining accent */
		{"\xe2\x80\xae"
		 "evil",
		 "?evil"},			  /* right-to-left override */
		{"\xf0\x9f\x98\x80", "?"},	  /* emoji: terminals disagree about its width */
		{"\xe6\x97\xa5", "\xe6\x97\xa5"}, /* wide, and all agree */
		{"\xff\xc0\x80x", "???x"},	  /* malformed, overlong */
		{"\xed\xa0\x80", "?"},		  /* surrogate */
		{"K\xc3\xb6ln", "K\xc3\xb6ln"},
	};
	char out[64];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_clean(out, sizeof(out), cases[i].in);
		assert_string_equal(out, cases[i].out);
	}
	text_clean(out, 4, "ab\001cd");
	assert_string_equal(out, "ab"); /* no half escape */
	text_clean(out, 3, "\xe6\x97\xa5");
	assert_string_equal(out, "");
	assert_int_equal(text_cells("a\xe6\x97\xa5"), 3);
}

static void every_code_point_survives_a_round_trip(void **state)
{
	char utf8[5];
	uint32_t back;

	(void)state;
	for (uint32_t ch = 1; ch < 0x110000; ch += ch < 0x3000 ? 1 : 97) {
		size_t len = text_encode(utf8, ch);

		utf8[len] = '\0';
		assert_int_equal(text_decode(utf8, &back), len);
		assert_int_equal(back, ch >= 0xd800 && ch < 0xe000 ? 0xfffd : ch);
	}
	for (const uint32_t *g = style_glyphs; *g; g++) {
		assert_int_equal(text_width(*g), 1);
		assert_int_not_equal(style_ascii(*g), 0);
	}
}

static void mono_says_it_without_colour(void **state)
{
	(void)state;
	for (int style = 0; style < 32; style++) {
		struct style_look mono = style_look((uint8_t)style, PALETTE_MONO);

		assert_int_equal(mono.colour, -1);
		assert_int_equal(mono.reverse, (style & STYLE_SELECT) || (style & 7) == STYLE_BAD);
		assert_true(style_look((uint8_t)style, PALETTE_16).colour < 8);
	}
	assert_true(style_look(STYLE_WARN, PALETTE_MONO).underline);
	assert_true(style_look(STYLE_ACCENT, PALETTE_MONO).bold);
}

static void privacy_takes_out_addresses_names_and_keys(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{"from 198.51.100.66:9001: bad mac1", "from (hidden) bad mac1"},
		{"roamed to [2001:db8::1]:51820, fine", "roamed to (hidden), fine"},
		{"fd09::7/128 and 10.9.0.7/32", "(hidden) and (hidden)"},
		{"gw.example.net:51820 does not resolve", "(hidden) does not resolve"},
		{"key S+G8XdK/NonJP9vJWhJoPCqytxUOpoG/QfaHAw0NQtw=", "key (hidden)"},
		{"S+G8XdK/\xe2\x80\xa6 stuck", "(hidden) stuck"},
		{"done in 0.6 ms at 03:12:41, 7c21a0e4/51d3f00b",
		 "done in 0.6 ms at 03:12:41, 7c21a0e4/51d3f00b"},
		{"27 of 27 unanswered. Is our key there?", "27 of 27 unanswered. Is our key there?"},
	};
	char out[128];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_scrub(out, sizeof(out), cases[i].in);
		assert_string_equal(out, cases[i].out);
	}
}

static void ages_move_in_steps(void **state)
{
	char out[FORMAT_ROOM];

	(void)state;
	assert_string_equal(format_age(out, -3), "<5s");
	assert_string_equal(format_age(out, 4.9), "<5s");
	assert_string_equal(format_age(out, 9.9), "5s");
	assert_string_equal(format_age(out, 59), "55s");
	assert_string_equal(format_age(out, 179), "2m");
	assert_string_equal(format_age(out, 7200), "2h");
	assert_string_equal(format_age(out, 1e300), "99999d");
	assert_string_equal(format_span(out, 271), "4m31s");
	assert_string_equal(format_span(out, 3 * 86400 + 4 * 3600), "3d04h");
	assert_string_equal(format_clock(out, 1768446761.25, true), "03:12:41.250");
	assert_string_equal(format_clock(out, 0, false), "-");
	assert_string_equal(format_clock(out, 1e300, false), "-");
}

static void rates_fit_five_cells(void **state)
{
	char out[FORMAT_ROOM];

	(void)state;
	for (double v = 0; v < 1e18; v = v * 1.07 + 0.3) {
		assert_true(strlen(format_rate(out, v, false)) <= 5);
		assert_true(strlen(format_rate(out, v, true)) <= 5);
		assert_true(strlen(format_count(out, (uint64_t)v)) <= 6);
	}
	assert_string_equal(format_rate(out, -1, false), "\u2013");
	assert_string_equal(format_rate_unit(out, -1, true), "\u2013");
	assert_string_equal(format_rate_unit(out, 0, false), "0 B/s");
	assert_string_equal(format_rate(out, 4100, false), "4.1k");
	assert_string_equal(format_rate(out, 4100, true), "33k");
	assert_string_equal(format_rate(out, 999.7, false), "1.0k");
	assert_string_equal(format_rate_unit(out, 12200000, false), "12.2 MB/s");
	assert_string_equal(format_bytes(out, 404e6, false), "404 MB");
}

static void base64_as_in_rfc_4648(void **state)
{
	static const char *const cases[][2] = {
		{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};
	char out[TEXT_BASE64_ROOM(8)];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		text_base64(out, cases[i][0], strlen(cases[i][0]));
		assert_string_equal(out, cases[i][1]);
	}
}

/* Feeds bytes one by one: the outcome must not depend on how a network cuts them. */
static size_t keys_of(const char *bytes, uint32_t *codes, size_t max)
{
	struct input in;
	size_t n = 0;
	uint32_t code;

	input_init(&in);
	for (const char *s = bytes; *s; s++) {
		input_feed(&in, s, 1);
		while ((code = input_next(&in, false)) != 0 && n < max)
			codes[n++] = code;
	}
	while ((code = input_next(&in, true)) != 0 && n < max)
		codes[n++] = code;
	return n;
}

static void terminals_keys_are_understood(void **state)
{
	static const struct {
		const char *bytes;
		uint32_t codes[5];
	} cases[] = {
		{"q", {'q'}},
		{"\033[A\033OBx", {K_UP, K_DOWN, 'x'}},
		{"\033", {K_ESCAPE}},
		{"\033q", {K_ESCAPE, 'q'}},
		{"\033[5~\033[Z", {K_PAGE_UP, K_BACK_TAB}},
		{"\033[1;5Cq", {'q'}}, /* unknown: swallowed whole */
		{"\033[<0;10;12M\033[<0;10;12mq", {MOUSE_CODE(MOUSE_CLICK, 11, 9), 'q'}}, /* down, up */
		{"\033[<64;1;1M\033[<65;200;60M",
		 {MOUSE_CODE(MOUSE_WHEEL_UP, 0, 0), MOUSE_CODE(MOUSE_WHEEL_DOWN, 59, 199)}},
		{"\033[<2;3;4M\033[<0;0;4M\033[<0;99999;4M\033[<0;4M\033[<;;Mq", {'q'}},
		{"\177\033OP", {K_BACKSPACE, K_F(1)}},
		{"\xc3\xb6", {0xf6}},
		{"\xff"
		 "q",
		 {'q'}},
	};
	uint32_t codes[8];

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t want = 0, n = keys_of(cases[i].bytes, codes, 8);

		while (want < 5 && cases[i].codes[want])
			want++;
		assert_int_equal(n, want);
		for (size_t k = 0; k < n; k++)
			assert_int_equal(codes[k], cases[i].codes[k]);
	}
}

static void an_endless_sequence_does_not_block(void **state)
{
	struct input in;
	char junk[2000];

	(void)state;
	memset(junk, '1', sizeof(junk));
	input_init(&in);
	input_feed(&in, "\033[", 2);
	input_feed(&in, junk, sizeof(junk));
	assert_int_equal(input_next(&in, false), 0);
	assert_int_equal(input_next(&in, true), K_ESCAPE);
	assert_int_equal(input_next(&in, true), '[');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleaning_shows_what_is_hidden),
		cmocka_unit_test(every_code_point_survives_a_round_trip),
		cmocka_unit_test(mono_says_it_without_colour),
		cmocka_unit_test(privacy_takes_out_addresses_names_and_keys),
		cmocka_unit_test(ages_move_in_steps),
		cmocka_unit_test(rates_fit_five_cells),
		cmocka_unit_test(base64_as_in_rfc_4648),
		cmocka_unit_test(terminals_keys_are_understood),
		cmocka_unit_test(an_endless_sequence_does_not_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
