/* Which verdicts are told: looks of a second each, at a peer whose facts come and go. */
#include "tests/unit/test.h"

#include <string.h>

#include "base/clock.h"
#include "diagnose/told.h"

static const struct diagnosis_rule cause = {.id = "cause", .title = "the cause", .explains = "symptom"};
static const struct diagnosis_rule symptom = {.id = "symptom", .title = "what it does"};
static const struct diagnosis_rule other = {.id = "other", .title = "another cause"};
static const struct diagnosis_rule remark = {.id = "remark", .title = "a note"};

static struct diagnosis_told told;
static uint64_t now;

static int begin(void **state)
{
	(void)state;
	memset(&told, 0, sizeof(told));
	now = 1000 * NS_PER_SEC;
	return 0;
}

/* One second later; NULL: nothing is wrong. True: something is told. */
static bool look(const struct diagnosis_rule *rule, enum peer_word word)
{
	static struct diagnoses found;

	memset(&found, 0, sizeof(found));
	if (rule) {
		found.count = 1;
		found.items[0] = (struct diagnosis){
			.rule = rule,
			.confidence = DIAGNOSIS_CERTAIN,
			.severity = rule == &remark ? DIAGNOSIS_NOTE : DIAGNOSIS_TROUBLE,
			.since = now - 5 * NS_PER_SEC,
		};
		strcpy(found.items[0].verdict, rule->title);
	}
	now += NS_PER_SEC;
	return diagnosis_tell(&told, &found, word, now);
}

static void tell_cause(enum peer_word word)
{
	assert_false(look(&cause, word));
	assert_true(look(&cause, word));
	assert_ptr_equal(told.rule, &cause);
}

static void two_looks_that_agree_are_told_once(void **state)
{
	(void)state;
	assert_false(look(NULL, WORD_DIRECT));
	assert_false(look(&cause, WORD_STUCK));
	assert_null(told.rule);
	assert_true(look(&cause, WORD_STUCK));
	assert_ptr_equal(told.rule, &cause);
	assert_string_equal(told.verdict, "the cause");
	assert_int_equal(told.confidence, DIAGNOSIS_CERTAIN);
	assert_int_equal(told.since, now - 6 * NS_PER_SEC); /* as the rule has it, not since it is told */
	for (int i = 0; i < 5; i++)
		assert_false(look(&cause, WORD_STUCK));
}

static void what_shows_once_is_not_told(void **state)
{
	(void)state;
	assert_false(look(&cause, WORD_STUCK));
	assert_false(look(&other, WORD_STUCK));
	assert_false(look(&cause, WORD_STUCK));
	assert_false(look(NULL, WORD_STUCK));
	assert_null(told.rule);
	tell_cause(WORD_STUCK);
	assert_false(look(&other, WORD_STUCK));
	assert_ptr_equal(told.rule, &cause);
	assert_string_equal(told.verdict, "the cause");
	assert_false(look(&cause, WORD_STUCK));
	assert_false(look(NULL, WORD_DIRECT)); /* not even that it is well */
	assert_false(look(&cause, WORD_STUCK));
	assert_ptr_equal(told.rule, &cause);
}

static void another_cause_that_lasts_is_told(void **state)
{
	(void)state;
	tell_cause(WORD_STUCK);
	assert_false(look(&other, WORD_STUCK));
	assert_true(look(&other, WORD_STUCK));
	assert_ptr_equal(told.rule, &other);
	assert_string_equal(told.verdict, "another cause");
	assert_false(look(&other, WORD_STUCK));
}

/* A tunnel that works, or that nobody wants, has no trouble left. */
static void well_is_told_at_once(void **state)
{
	static const enum peer_word words[] = {WORD_DIRECT, WORD_IDLE, WORD_RELAY};

	for (unsigned i = 0; i < 3; i++) {
		begin(state);
		tell_cause(WORD_STUCK);
		assert_false(look(NULL, words[i]));
		assert_true(look(NULL, words[i]));
		assert_null(told.rule);
		assert_false(look(NULL, words[i]));
	}
}

/* How many looks pass until something else than the cause is told. */
static unsigned looks_until_told(const struct diagnosis_rule *rule, enum peer_word word)
{
	unsigned n = 1;

	while (!look(rule, word) && n < 100)
		n++;
	assert_ptr_equal(told.rule, rule);
	return n;
}

/* A try that is under way hides its cause; it is as stuck as before for 20 s. */
static void as_long_as_it_is_stuck_the_cause_is_held(void **state)
{
	static const struct diagnosis_rule *const rules[] = {NULL, &symptom, &remark};

	for (unsigned i = 0; i < 3; i++) {
		begin(state);
		tell_cause(WORD_STUCK);
		assert_int_equal(looks_until_told(rules[i], WORD_WAIT), 20);
		begin(state);
		tell_cause(WORD_RELAY); /* e.g. why it is not direct */
		assert_int_equal(looks_until_told(rules[i], WORD_RELAY), 20);
		begin(state);
		tell_cause(WORD_RELAY);
		assert_int_equal(looks_until_told(rules[i], WORD_STUCK), 2);
		begin(state);
		tell_cause(WORD_DIRECT);
		assert_int_equal(looks_until_told(rules[i], WORD_DIRECT), 2);
		begin(state);
		tell_cause(WORD_IDLE);
		assert_int_equal(looks_until_told(rules[i], WORD_IDLE), 2);
	}
	/* Each time that it is seen again it is held anew. */
	begin(state);
	tell_cause(WORD_STUCK);
	for (int i = 0; i < 15; i++)
		assert_false(look(NULL, WORD_WAIT));
	assert_false(look(&cause, WORD_STUCK));
	assert_int_equal(looks_until_told(NULL, WORD_STUCK), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(two_looks_that_agree_are_told_once, begin),
		cmocka_unit_test_setup(what_shows_once_is_not_told, begin),
		cmocka_unit_test_setup(another_cause_that_lasts_is_told, begin),
		cmocka_unit_test_setup(well_is_told_at_once, begin),
		cmocka_unit_test_setup(as_long_as_it_is_stuck_the_cause_is_held, begin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
