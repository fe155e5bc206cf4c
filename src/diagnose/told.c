#include "diagnose/told.h"

#include <stdio.h>

#include "base/clock.h"

#define HELD (20 * NS_PER_SEC) /* what comes and goes with each try is told once */

static bool is_trouble(enum peer_word word)
{
	return word == WORD_WAIT || word == WORD_STUCK;
}

/* Tries that are under way hide for some seconds what they failed of before. As long as the peer stands as it
 * did, the verdict stays, and neither its symptom nor a note takes its place. Another cause is told at once,
 * and so is that a tunnel is well. */
static bool is_held(const struct diagnosis_told *t, const struct diagnosis *first, enum peer_word word,
		    uint64_t now)
{
	bool same = t->word == word || (is_trouble(t->word) && is_trouble(word));

	if (!t->rule || !same || word == WORD_DIRECT || word == WORD_IDLE || now >= t->seen_at + HELD)
		return false;
	return !first || diagnosis_explains(t->rule, first->rule) ||
	       (t->severity == DIAGNOSIS_TROUBLE && first->severity == DIAGNOSIS_NOTE);
}

/* Two looks in a row must agree before a verdict is told or taken back. */
bool diagnosis_tell(struct diagnosis_told *t, const struct diagnoses *found, enum peer_word word,
		    uint64_t now)
{
	const struct diagnosis *first = found->count ? &found->items[0] : NULL;
	const struct diagnosis_rule *rule = first ? first->rule : NULL;
	bool changes = rule != t->rule && rule == t->candidate && !is_held(t, first, word, now);

	if (changes) {
		t->rule = rule;
		t->since = first && first->since && first->since < now ? first->since : now;
	}
	t->candidate = rule;
	if (!first || rule != t->rule)
		return changes;
	t->seen_at = now;
	t->word = word;
	t->confidence = first->confidence;
	t->severity = first->severity;
	snprintf(t->verdict, sizeof(t->verdict), "%s", first->verdict);
	return changes;
}
