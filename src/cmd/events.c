/* weir events: what the timelines of the interface and of the peers hold, in the order in which it happened.
 */
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/lines.h"

static double sequence_of(const json_t *entry)
{
	return json_number_value(json_object_get(entry, "seq"));
}

static int compare(const void *a, const void *b)
{
	double left = sequence_of(*(json_t *const *)a), right = sequence_of(*(json_t *const *)b);

	return left < right ? -1 : left > right;
}

/* All pages in one array, which the caller owns; NULL with words. */
static json_t *collect(struct client *c, const struct lines *l, struct error *e)
{
	json_t *all = json_array();
	json_int_t next = 0;

	do {
		json_t *params = json_pack("{s:I, s:f}", "from", next, "since", l->since), *page;

		if (l->key)
			json_object_set_new(params, "peer", json_string(l->key));
		page = client_call(c, "events", params, e);
		if (!page) {
			json_decref(all);
			return NULL;
		}
		json_array_extend(all, json_object_get(page, "entries"));
		next = json_integer_value(json_object_get(page, "next"));
		json_decref(page);
	} while (next);
	return all;
}

/* Prints what there is; the sequence number of the newest, or -1 with words. */
static double print_past(struct client *c, const struct lines *l, struct error *e)
{
	json_t *all = collect(c, l, e), **sorted;
	size_t count = json_array_size(all);
	double last = 0;

	if (!all)
		return -1;
	sorted = xcalloc(count + 1, sizeof(*sorted));
	for (size_t i = 0; i < count; i++)
		sorted[i] = json_array_get(all, i);
	qsort(sorted, count, sizeof(*sorted), compare);
	for (size_t i = 0; i < count; i++) {
		lines_print(l, sorted[i]);
		last = sequence_of(sorted[i]);
	}
	free(sorted);
	json_decref(all);
	return last;
}

/* `live` has been subscribed before the past was read: what came in both is printed once. */
static int follow(struct client *live, const struct lines *l, double last, struct error *e)
{
	json_t *message;

	fflush(stdout);
	while ((message = client_next(live, e))) {
		const char *event = json_string_value(json_object_get(message, "event"));
		const json_t *entry = json_object_get(message, "entry");
		bool bye = event && !strcmp(event, "bye");

		if (event && !strcmp(event, "timeline") && sequence_of(entry) > last) {
			lines_print(l, entry);
			fflush(stdout);
		}
		json_decref(message);
		if (bye)
			return EXIT_OK;
	}
	return EXIT_FAIL;
}

static int run(const struct options *o, struct client *c, const char *word, const struct lines *l,
	       struct error *e)
{
	struct client *live = o->follow ? command_connect(o, word, NULL, e) : NULL;
	json_t *answer;
	double last;
	int code = EXIT_OK;

	if (o->follow) {
		if (!live)
			return command_failed(e);
		answer = client_call(live, "subscribe", json_pack("{s:f}", "interval", 3600.0), e);
		json_decref(answer);
		if (!answer)
			code = command_failed(e);
	}
	last = code == EXIT_OK ? print_past(c, l, e) : -1;
	if (last < 0)
		code = command_failed(e);
	else if (o->follow)
		code = follow(live, l, last, e);
	client_close(live);
	return code;
}

int events_main(const struct options *o, int count, char **words, struct error *e)
{
	const char *word = count ? words[0] : NULL;
	struct client *c = command_connect(o, word, NULL, e);
	struct lines l;
	int code;

	if (!c)
		return command_failed(e);
	code = lines_begin(&l, o, c, e) ? command_failed(e) : run(o, c, word, &l, e);
	lines_end(&l);
	client_close(c);
	return code;
}
