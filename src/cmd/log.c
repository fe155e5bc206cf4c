/* weir log: the ring of the engine's last lines; with --follow also those to come. */
#include <string.h>

#include "cmd/command.h"
#include "cmd/lines.h"

static int print_past(struct client *c, const struct lines *l, struct error *e)
{
	json_t *result = client_call(c, "log", json_pack("{s:s}", "level", log_level_name(l->level)), e);
	const json_t *entry;
	size_t i;

	if (!result)
		return command_failed(e);
	json_array_foreach(json_object_get(result, "entries"), i, entry) lines_print(l, entry);
	json_decref(result);
	return EXIT_OK;
}

/* The subscription begins with the ring, so nothing falls between past and future. */
static int follow(struct client *c, const struct lines *l, struct error *e)
{
	json_t *message = client_call(c, "subscribe",
				      json_pack("{s:f, s:b, s:s}", "interval", 3600.0, "log", 1, "logLevel",
						log_level_name(l->level)),
				      e);
	int code = EXIT_FAIL;

	while (message) {
		const char *event = json_string_value(json_object_get(message, "event"));

		if (event && !strcmp(event, "log"))
			lines_print(l, json_object_get(message, "entry"));
		if (event && !strcmp(event, "bye"))
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
	struct lines l;
	int code;

	if (!c)
		return command_failed(e);
	if (lines_begin(&l, o, c, e))
		code = command_failed(e);
	else
		code = o->follow ? follow(c, &l, e) : print_past(c, &l, e);
	lines_end(&l);
	client_close(c);
	return code;
}
