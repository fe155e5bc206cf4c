/* The member "diagnosis" of a peer into the view's struct. */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tui/json_get.h"
#include "tui/text.h"

static enum finding_mark get_mark(const json_t *o)
{
	const char *mark = json_string_value(json_object_get(o, "mark"));

	return mark && strcmp(mark, "good") == 0  ? FINDING_GOOD
	       : mark && strcmp(mark, "bad") == 0 ? FINDING_BAD
						  : FINDING_NOTE;
}

static unsigned get_lines(struct finding_line *lines, unsigned max, const json_t *list, bool good)
{
	unsigned count = 0;
	size_t i;
	json_t *o;

	json_array_foreach((json_t *)list, i, o)
	{
		if (count == max)
			break;
		lines[count].mark = good ? FINDING_GOOD : get_mark(o);
		lines[count].at = get_number(o, "at");
		TEXT(o, "layer", lines[count].layer);
		TEXT(o, "text", lines[count].text);
		count++;
	}
	return count;
}

static void get_finding(struct finding *f, const json_t *o)
{
	char key[8], severity[12];

	TEXT(o, "rule", f->rule);
	TEXT(o, "title", f->title);
	TEXT(o, "confidence", f->confidence);
	TEXT(o, "side", f->side);
	TEXT(o, "verdict", f->verdict);
	TEXT(o, "next", f->next);
	TEXT(o, "command", f->command);
	TEXT(o, "key", key);
	TEXT(o, "severity", severity);
	f->note = strcmp(severity, "note") == 0;
	if (*key)
		text_decode(key, &f->key);
	f->since = get_number(o, "sinceAt");
	f->line_count = get_lines(f->lines, FINDING_LINES, json_object_get(o, "evidence"), false);
}

static void get_findings(struct findings **found, const json_t *o)
{
	size_t i;
	json_t *item;

	if (!json_is_object(o)) {
		free(*found);
		*found = NULL;
		return;
	}
	if (!*found)
		*found = xmalloc(sizeof(**found));
	memset(*found, 0, sizeof(**found));
	json_array_foreach(json_object_get(o, "verdicts"), i, item)
	{
		if ((*found)->count == FINDINGS)
			break;
		get_finding(&(*found)->items[(*found)->count++], item);
	}
	(*found)->good_count = get_lines((*found)->good, FINDINGS_GOOD, json_object_get(o, "good"), true);
}

void json_diagnosis(struct peer *p, const json_t *o)
{
	get_findings(&p->findings, o);
}

void json_explained(struct data *d, const json_t *result)
{
	const char *key = json_string_value(json_object_get(result, "publicKey"));
	struct peer *p = key ? data_peer(d, key) : NULL;

	if (!p)
		return;
	get_findings(&p->explained, json_object_get(result, "diagnosis"));
	p->explained_at = d->at;
}
