#include "config/words.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define WORD_MAX 32

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

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
	unsigned least = a < b ? a : b;

	return least < c ? least : c;
}

/* Optimal string alignment: Levenshtein's table, one more row back for swapped neighbours. */
unsigned word_distance(const char *a, const char *b)
{
	unsigned rows[3][WORD_MAX + 1], *before = rows[0], *last = rows[1], *now = rows[2];
	size_t la = strlen(a), lb = strlen(b);

	if (la > WORD_MAX || lb > WORD_MAX)
		return WORD_MAX + 1;
	for (size_t j = 0; j <= lb; j++)
		last[j] = (unsigned)j;
	for (size_t i = 1; i <= la; i++) {
		unsigned *spare = before;
		int ca = tolower((unsigned char)a[i - 1]);

		now[0] = (unsigned)i;
		for (size_t j = 1; j <= lb; j++) {
			int cb = tolower((unsigned char)b[j - 1]);

			now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + (ca != cb));
			if (i > 1 && j > 1 && ca != cb && ca == tolower((unsigned char)b[j - 2]) &&
			    cb == tolower((unsigned char)a[i - 2]) && before[j - 2] + 1 < now[j])
				now[j] = before[j - 2] + 1;
		}
		before = last;
		last = now;
		now = spare;
	}
	return last[lb];
}

/* One letter and a quarter of the word may be wrong: more is another word, not a slip. */
static bool is_near(unsigned distance, const char *word)
{
	return distance <= 1 + strlen(word) / 4;
}

enum keyword keyword_nearest(enum section s, const char *word)
{
	unsigned best = WORD_MAX;
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
	unsigned best = WORD_MAX;
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
