#include "tui_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *golden_folder(void)
{
	static char path[512];
	const char *srcdir = getenv("srcdir");

	snprintf(path, sizeof(path), "%s/tests/golden", srcdir ? srcdir : ".");
	return path;
}

void scenario_load(struct scenario *s, const char *name)
{
	char path[768];
	json_error_t e;

	snprintf(path, sizeof(path), "%s/%s.json", golden_folder(), name);
	s->root = json_load_file(path, 0, &e);
	if (!s->root) {
		fprintf(stderr, "%s: %s\n", path, e.text);
		exit(1);
	}
	s->seconds = (int)json_integer_value(json_object_get(s->root, "seconds"));
}

void scenario_clear(struct scenario *s)
{
	json_decref(s->root);
}

/* Members that are points in time, by their names (weir-control(7)). */
static bool is_time(const char *name)
{
	size_t len = strlen(name);

	return strcmp(name, "at") == 0 || strcmp(name, "latestHandshake") == 0 ||
	       (len > 2 && strcmp(name + len - 2, "At") == 0);
}

static void shift_times(json_t *o, double shift)
{
	const char *name;
	json_t *value;
	size_t i;

	json_array_foreach(o, i, value)
		shift_times(value, shift);
	json_object_foreach(o, name, value) {
		if (json_is_number(value) && is_time(name) && json_number_value(value) > 0)
			json_object_set_new(o, name, json_real(json_number_value(value) + shift));
		else
			shift_times(value, shift);
	}
}

/* Bytes of second `tick` at a rate: it wavers between 60 and 100 percent, the same way each time. */
static double bytes_in(double rate, int tick, size_t peer)
{
	unsigned x = (unsigned)(tick * 2654435761u) ^ (unsigned)(peer * 40503u);

	x ^= x >> 13;
	x *= 0x5bd1e995u;
	x ^= x >> 15;
	return rate * (0.6 + (x % 100) / 250.0);
}

static double sum(const struct scenario *s, double rate, int tick, size_t peer)
{
	double bytes = 0;

	for (int i = tick + 1; i <= s->seconds; i++)
		bytes -= bytes_in(rate, i, peer);
	for (int i = s->seconds + 1; i <= tick; i++)
		bytes += bytes_in(rate, i, peer);
	return bytes;
}

static double add(json_t *o, const char *name, double more)
{
	double v = json_number_value(json_object_get(o, name)) + more;

	json_object_set_new(o, name, json_integer((json_int_t)(v > 0 ? v : 0)));
	return more;
}

char *scenario_snapshot(const struct scenario *s, int tick, double shift)
{
	json_t *o = json_deep_copy(json_object_get(s->root, "snapshot")), *peer;
	double back = tick - s->seconds, rx = 0, tx = 0;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(o, "peers"), i, peer) {
		const char *name = json_string_value(json_object_get(peer, "name"));
		const json_t *rates = json_object_get(json_object_get(s->root, "rates"), name);

		rx += add(peer, "transferRx", sum(s, json_number_value(json_array_get(rates, 0)), tick, i));
		tx += add(peer, "transferTx", sum(s, json_number_value(json_array_get(rates, 1)), tick, i));
	}
	add(o, "transferRx", rx);
	add(o, "transferTx", tx);
	shift_times(o, shift);
	json_object_set_new(o, "at", json_real(json_number_value(json_object_get(o, "at")) + back));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *scenario_entry(const struct scenario *s, bool timeline, size_t n, double shift)
{
	const json_t *list = json_object_get(s->root, timeline ? "timeline" : "log");
	json_t *entry = json_deep_copy(json_array_get(list, n)), *o;
	char *text;

	if (!entry)
		return NULL;
	shift_times(entry, shift);
	o = json_pack("{s:s, s:o}", "event", timeline ? "timeline" : "log", "entry", entry);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *scenario_peer_reply(const struct scenario *s, long id, const char *key, double shift)
{
	json_t *events = json_array(), *entry, *o;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(s->root, "timeline"), i, entry) {
		const char *peer = json_string_value(json_object_get(entry, "peer"));

		if (peer && strcmp(peer, key) == 0)
			json_array_append_new(events, json_deep_copy(entry));
	}
	shift_times(events, shift);
	o = json_pack("{s:I, s:{s:o}}", "id", (json_int_t)id, "result", "timeline", events);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static void take(struct data *d, char *line)
{
	struct reply reply;

	data_line(d, line, strlen(line), 1, &reply);
	free(line);
}

void scenario_play(const struct scenario *s, struct data *d)
{
	char *line;

	for (int tick = 0; tick <= s->seconds; tick++)
		take(d, scenario_snapshot(s, tick, 0));
	for (int timeline = 0; timeline < 2; timeline++)
		for (size_t i = 0; (line = scenario_entry(s, timeline, i, 0)) != NULL; i++)
			take(d, line);
}
