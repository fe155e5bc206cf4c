/* What verdicts show: the evidence of one, and what works or was ruled out, say nothing twice. */
#ifndef WEIR_TESTS_RULES_LINES_H
#define WEIR_TESTS_RULES_LINES_H

#include "tests/unit/test.h"

#include <string.h>

#include "diagnose/rules.h"

#define SAME_WORDS 4 /* in a row; an address or a URL is one */

/* The length of the first few words, 0: there are fewer. */
static inline size_t first_words(const char *text)
{
	size_t len = 0;

	for (unsigned i = 0; i < SAME_WORDS; i++) {
		if (!text[len])
			return 0;
		len += strcspn(text + len + 1, " ") + 1;
	}
	return len;
}

static inline bool lines_repeat(const char *a, const char *b)
{
	for (; a; a = strchr(a, ' ') ? strchr(a, ' ') + 1 : NULL) {
		size_t len = first_words(a);

		for (const char *at = b; len && (at = strstr(at, " ")); at++)
			if (!strncmp(a, at + 1, len))
				return true;
		if (len && !strncmp(a, b, len))
			return true;
	}
	return false;
}

static inline void nothing_is_shown_twice(const struct diagnoses *all)
{
	for (unsigned v = 0; v < all->count; v++)
		for (unsigned i = 0; i < all->items[v].line_count; i++)
			for (unsigned k = 0; k < all->good_count; k++)
				if (lines_repeat(all->items[v].lines[i].text, all->good[k].text))
					fail_msg("%s: twice: %s / %s", all->items[v].rule->id,
						 all->items[v].lines[i].text, all->good[k].text);
}

#endif
