#include "config/words.h"

#include <limits.h>
#include <string.h>
#include <strings.h>

#include "base/distance.h"

const struct keyword_info keyword_table[KEYWORDS] = {
#define X(section, name, adds) {#name, SECTION_##section, adds},
	KEYWORD_TABLE(X)
#undef X
};

static const char *const section_names[] = {
	[SECTION_NONE] = "",	 [SECTION_INTERFACE] = "[Interface]", [SECTION_RELAY] = "[Relay]",
	[SECTION_ICE] = "[Ice]", [SECTION_PEER] = "[Peer]",	      [SECTION_UNKNOWN] = "",
};

const char *section_name(enum section s)
{
	return section_names[s];
}

enum keyword keyword_find(enum section s, const char *word)
{
	for (int i = 0; i < KEYWORDS; i++)
		if ((s == SECTION_NONE || keyword_table[i].section == s) &&
		    !strcasecmp(keyword_table[i].name, word))
			return i;
	return KEYWORDS;
}

enum section section_find(const char *word)
{
	for (enum section s = SECTION_INTERFACE; s < SECTION_UNKNOWN; s++)
		if (!strcasecmp(word, section_names[s]))
			return s;
	return SECTION_UNKNOWN;
}

/* One letter and a quarter of the word may be wrong: more is another word, not a slip. */
static bool is_near(unsigned distance, const char *word)
{
	return distance <= 1 + strlen(word) / 4;
}

enum keyword keyword_nearest(enum section s, const char *word)
{
	unsigned best = UINT_MAX;
	enum keyword found = KEYWORDS;

	for (int i = 0; i < KEYWORDS; i++) {
		unsigned d;

		if (s != SECTION_NONE && keyword_table[i].section != s)
			continue;
		d = word_distance(keyword_table[i].name, word);
		if (d < best) {
			best = d;
			found = i;
		}
	}
	return found != KEYWORDS && is_near(best, keyword_table[found].name) ? found : KEYWORDS;
}

enum section section_nearest(const char *word)
{
	unsigned best = UINT_MAX;
	enum section found = SECTION_UNKNOWN;

	for (enum section s = SECTION_INTERFACE; s < SECTION_UNKNOWN; s++) {
		unsigned d = word_distance(section_names[s], word);

		if (d < best) {
			best = d;
			found = s;
		}
	}
	return is_near(best, section_names[found]) ? found : SECTION_UNKNOWN;
}
