/*
 * The manual and --help say the same: weir(8) against the tables of commands, options, keys, counters and
 * words. With WEIR_UPDATE_MANUAL=1 the key section is written anew instead of compared.
 */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "cmd/command.h"
#include "diagnose/rules.h"
#include "diagnose/state.h"
#include "peer/peer.h"
#include "wg/events.h"

/* The program's own table stays in main.c. */
#define main weir_main
int weir_main(int argc, char **argv);
#include "cmd/main.c"
#undef main

#define KEYS_BEGIN  ".\\\" From here to \"end of keys\""
#define KEYS_END    ".\\\" end of keys"
#define TABLE_BEGIN ".\\\" From here to \"end of the table\""
#define RULES_BEGIN ".\\\" From here to \"end of the rules\""
#define RULES_END   ".\\\" end of the rules"
#define TABLE_END   ".\\\" end of the table"

static char *manual, *relay_manual;
static char path[4096];

static int load(void **state)
{
	const char *folder = getenv("WEIR_SRCDIR");
	struct error e;
	size_t len;

	(void)state;
	snprintf(path, sizeof(path), "%s/man/weir-relay.8", folder ? folder : ".");
	if (file_read(path, &relay_manual, &len, 1 << 20, &e))
		return -1;
	snprintf(path, sizeof(path), "%s/man/weir.8", folder ? folder : ".");
	return file_read(path, &manual, &len, 1 << 20, &e);
}

static int unload(void **state)
{
	(void)state;
	free(manual);
	free(relay_manual);
	return 0;
}

/* The text of one section. */
static char *section(const char *title)
{
	char *head = xasprintf(".Sh %s\n", title);
	char *from = strstr(manual, head), *to, *text;

	assert_non_null(from);
	from += strlen(head);
	to = strstr(from, "\n.Sh ");
	text = xstrdup(from);
	if (to)
		text[to - from] = '\0';
	free(head);
	return text;
}

static void expect(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("weir(8) does not have: %s", what);
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, what)); at++)
		n++;
	return n;
}

static void test_commands(void **state)
{
	char *text = section("COMMANDS");
	unsigned known = 1; /* help */

	(void)state;
	for (const struct command *c = commands; c->name; c++, known++) {
		char *item = xasprintf(".It Ic %s ", c->name);

		expect(text, item);
		free(item);
	}
	expect(text, ".It Ic help ");
	assert_int_equal(count_of(text, ".It Ic "), known);
	free(text);
}

/* The relay server has a manual of its own. */
static bool for_relay_alone(const struct option_entry *o)
{
	for (const struct command *c = commands; c->name; c++)
		if (strcmp(c->name, "relay") && option_allowed(o, c->options))
			return false;
	return true;
}

static void test_options(void **state)
{
	char *text = section("OPTIONS");
	size_t here = 0;

	(void)state;
	for (size_t i = 0; i < option_table_size; i++) {
		const struct option_entry *o = &option_table[i];
		char *item = o->letter ? xasprintf("\n.It Fl %c , Fl -%s", o->letter, o->name)
				       : xasprintf("\n.It Fl -%s", o->name);
		struct strbuf whole = {0};

		strbuf_add(&whole, "%s%s%s\n", item, o->value ? " Ar " : "", o->value ? o->value : "");
		if (!for_relay_alone(o)) {
			expect(text, whole.text);
			here++;
		} else if (!strstr(relay_manual, strstr(item, "Fl -"))) {
			fail_msg("weir-relay(8) does not have: %s", item);
		}
		strbuf_clear(&whole);
		free(item);
	}
	assert_int_equal(count_of(text, "\n.It Fl "), here);
	free(text);
}

/* Every option is taken by some command, and every name in a command's list is an option. */
static void test_option_lists(void **state)
{
	(void)state;
	for (size_t i = 0; i < option_table_size; i++) {
		bool used = false;

		for (const struct command *c = commands; c->name; c++)
			used |= option_allowed(&option_table[i], c->options);
		if (!used)
			fail_msg("no command takes --%s", option_table[i].name);
	}
	for (const struct command *c = commands; c->name; c++) {
		char *list = xstrdup(c->options), *save = NULL;

		for (char *word = strtok_r(list, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
			bool known = false;

			for (size_t i = 0; i < option_table_size; i++)
				known |= !strcmp(option_table[i].name, word);
			if (!known)
				fail_msg("%s lists the unknown option %s", c->name, word);
		}
		free(list);
	}
}

/* What a command prints as help names its options, and no other. */
static void test_help(void **state)
{
	(void)state;
	for (const struct command *c = commands; c->name; c++) {
		char *text = NULL;
		size_t len;
		FILE *f = open_memstream(&text, &len);

		command_help(c, f);
		fclose(f);
		assert_non_null(strstr(text, c->help));
		for (size_t i = 0; i < option_table_size; i++) {
			char *spelled = xasprintf(" --%s ", option_table[i].name);

			assert_int_equal(strstr(text, spelled) != NULL,
					 option_allowed(&option_table[i], c->options));
			free(spelled);
		}
		free(text);
	}
}

static void replace(const char *from, const char *to, const char *text, size_t len)
{
	struct strbuf fresh = {0};
	struct error e;

	strbuf_append(&fresh, manual, (size_t)(from - manual));
	strbuf_append(&fresh, text, len);
	strbuf_append(&fresh, to, strlen(to));
	assert_int_equal(file_replace(path, fresh.text, fresh.len, 0644, &e), 0);
	free(manual);
	manual = xstrdup(fresh.text);
	strbuf_clear(&fresh);
}

/* What stands between two comments is printed by the program. */
static void printed(const char *begin, const char *end, const char *text, size_t len, const char *source)
{
	char *from = strstr(manual, begin), *to = strstr(manual, end);

	assert_non_null(from);
	assert_non_null(to);
	from = strchr(from, '\n') + 1;
	if (getenv("WEIR_UPDATE_MANUAL"))
		replace(from, to, text, len);
	else if ((size_t)(to - from) != len || memcmp(from, text, len) != 0)
		fail_msg("weir(8) differs from %s: run this test with WEIR_UPDATE_MANUAL=1", source);
}

static void test_keys(void **state)
{
	char *keys = NULL;
	size_t len;
	FILE *f = open_memstream(&keys, &len);

	(void)state;
	tui_keys_mdoc(f);
	fclose(f);
	printed(KEYS_BEGIN, KEYS_END, keys, len, "src/tui/keys.def");
	free(keys);
}

static void test_controller(void **state)
{
	struct strbuf table = {0};

	(void)state;
	peer_table_print(&table);
	printed(TABLE_BEGIN, TABLE_END, table.text, table.len, "the controller's table");
	strbuf_clear(&table);
}

static void test_rules(void **state)
{
	struct strbuf table = {0};

	(void)state;
	diagnosis_manual(&table);
	printed(RULES_BEGIN, RULES_END, table.text, table.len, "the table of the rules");
	strbuf_clear(&table);
}

static void test_counters(void **state)
{
	char *text = section("DIAGNOSTICS");

	(void)state;
	for (char *c = text; *c; c++) /* long sentences are broken */
		*c = *c == '\n' ? ' ' : *c;
	for (int i = 0; i < WG_COUNTERS; i++) {
		char *sentence = xstrdup(wg_counter_text((enum wg_counter)i)), *item;

		if (sentence[0] >= 'a' && sentence[0] <= 'z')
			sentence[0] = (char)(sentence[0] - 'a' + 'A');
		item = xasprintf(".It Va %s %s. ", wg_counter_name((enum wg_counter)i), sentence);
		expect(text, item);
		free(item);
		free(sentence);
	}
	assert_int_equal(count_of(text, ".It Va "), WG_COUNTERS);
	free(text);
}

static void test_words(void **state)
{
	char *text = section("SCREENS");

	(void)state;
	for (int word = WORD_STUCK; word <= WORD_DOWN; word++) {
		char *item = xasprintf("\n.It %s\n", peer_word_name((enum peer_word)word));

		expect(text, item);
		free(item);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),     cmocka_unit_test(test_options),
		cmocka_unit_test(test_option_lists), cmocka_unit_test(test_help),
		cmocka_unit_test(test_keys),	     cmocka_unit_test(test_controller),
		cmocka_unit_test(test_rules),	     cmocka_unit_test(test_counters),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, load, unload);
}
