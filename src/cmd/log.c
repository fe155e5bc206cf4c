/* weir log: the ring of the engine's last lines; with --follow also those to come. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/text.h"

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void print_entry(const json_t *entry, bool as_json)
{
	double at = json_number_value(json_object_get(entry, "at"));
	time_t seconds = (time_t)at;
	char day[32], *line;
	struct tm tm;

	if (as_json) {
		json_dumpf(entry, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
	line = xasprintf("%s.%03u %-6s %s: %s%s%s", day, (unsigned)((at - (double)seconds) * 1000),
			 member(entry, "level"), member(entry, "room"), member(entry, "peer"),
			 *member(entry, "peer") ? ": " : "", member(entry, "text"));
	puts(text_tame(line));
	free(line);
}

static int print_past(struct client *c, const struct options *o, struct error *e)
{
	json_t *result = client_call(c, "log", json_pack("{s:s}", "level", log_level_name(o->log_level)), e);
	const json_t *entry;
	size_t i;

	if (!result)
		return command_failed(e);
	json_array_foreach(json_object_get(result, "entries"), i, entry) print_entry(entry, o->json);
	json_decref(result);
	return EXIT_OK;
}

/* The subscription begins with the ring, so nothing falls between past and future. */
static int follow(struct client *c, const struct options *o, struct error *e)
{
	json_t *message = client_call(c, "subscribe",
				      json_pack("{s:f, s:b, s:s}", "interval", 3600.0, "log", 1, "logLevel",
						log_level_name(o->log_level)),
				      e);
	int code = EXIT_FAIL;

	while (message) {
		const char *event = member(message, "event");

		if (!strcmp(event, "log"))
			print_entry(json_object_get(message, "entry"), o->json);
		if (!strcmp(event, "bye"))
			code = EXIT_OK;
		fflush(stdout);
		json_decref(message);
		message = code == EXIT_OK ? NULL : client_next(c, e);
	}
	return code;
}

int log_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c = command_connect(o, count ? words[0] : NULL, NULL, e);
	int code;

	if (!c)
		return command_failed(e);
	code = o->follow ? follow(c, o, e) : print_past(c, o, e);
	client_close(c);
	return code;
}
