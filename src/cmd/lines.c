#include "cmd/lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "cmd/text.h"

#define LINES_SCHEMA 1 /* of the objects of weir-control(7), Event and Log line */

static const char *member(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

/* ---- since ---- */

static bool parse_age(const char *text, double now, double *out)
{
	static const struct {
		char unit;
		double seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	char *end;
	double n = strtod(text, &end);

	if (end == text || !(n >= 0 && n < 1e9) || !*end || end[1])
		return false;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].unit == *end) {
			*out = now - n * units[i].seconds;
			return true;
		}
	return false;
}

static bool parse_clock(const char *text, double now, double *out)
{
	static const char *const days[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
					   "%Y-%m-%dT%H:%M", "%Y-%m-%d"};
	static const char *const hours[] = {"%H:%M:%S", "%H:%M"};
	time_t seconds = (time_t)now;
	const char *end;

	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		struct tm tm = {.tm_isdst = -1};

		end = strptime(text, days[i], &tm);
		if (end && !*end) {
			*out = (double)mktime(&tm);
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(hours) / sizeof(hours[0]); i++) {
		struct tm tm;

		localtime_r(&seconds, &tm);
		tm.tm_sec = 0;
		tm.tm_isdst = -1;
		end = strptime(text, hours[i], &tm);
		if (!end || *end)
			continue;
		/* 23:50, asked for at ten past midnight, was yesterday. */
		if (mktime(&tm) > seconds)
			tm.tm_mday--;
		tm.tm_isdst = -1;
		*out = (double)mktime(&tm);
		return true;
	}
	return false;
}

bool since_parse(const char *text, double now, double *out)
{
	char *end;

	if (*text == '@') {
		*out = strtod(text + 1, &end);
		return end != text + 1 && !*end && *out >= 0;
	}
	return parse_age(text, now, out) || parse_clock(text, now, out);
}

/* ---- which, and how ---- */

int lines_begin(struct lines *l, const struct options *o, struct client *c, struct error *e)
{
	json_t *reply, *peer;

	*l = (struct lines){.json = o->json,
			    .color = !o->json && text_colored(o, STDOUT_FILENO),
			    .level = o->log_level,
			    .rooms = &o->rooms};
	if (o->since && !since_parse(o->since, (double)clock_wall_ns() / NS_PER_SEC, &l->since))
		return error_exit(
			e, EXIT_USAGE, EINVAL,
			"--since %s: give an age such as 90s, 15m, 2h or 3d, a time, a date and a time, or "
			"@SECONDS",
			o->since);
	if (!o->peer)
		return 0;
	reply = client_call(c, "peer", json_pack("{s:s, s:i}", "peer", o->peer, "timeline", 0), e);
	if (!reply)
		return -(e->code ? e->code : EINVAL);
	peer = json_object_get(reply, "peer");
	l->name = xstrdup(member(peer, "name"));
	l->key = xstrdup(member(peer, "publicKey"));
	json_decref(reply);
	return 0;
}

void lines_end(struct lines *l)
{
	free(l->name);
	free(l->key);
}

/* The log knows a peer by its name, or by the start of its key; a timeline has the whole key. */
static bool is_of_peer(const struct lines *l, const char *peer)
{
	size_t len = strlen(peer);

	if (!l->key)
		return true;
	if (!len)
		return false;
	return (*l->name && !strcmp(peer, l->name)) || (len >= 8 && !strncmp(peer, l->key, len));
}

static bool is_of_room(const struct lines *l, const char *room)
{
	for (unsigned i = 0; i < l->rooms->count; i++)
		if (!strcmp(room, l->rooms->items[i]))
			return true;
	return !l->rooms->count;
}

static const char *color_of(const char *level)
{
	return !strcmp(level, "error")	 ? "\033[1;31m"
	       : !strcmp(level, "warn")	 ? "\033[33m"
	       : !strcmp(level, "debug") ? "\033[2m"
					 : "";
}

void lines_print(const struct lines *l, const json_t *entry)
{
	bool is_log = json_object_get(entry, "room");
	const char *room = member(entry, is_log ? "room" : "kind"), *peer = member(entry, "peer"),
		   *who = is_log || !*member(entry, "name") ? peer : member(entry, "name"),
		   *color = l->color ? color_of(member(entry, "level")) : "";
	double at = json_number_value(json_object_get(entry, "at"));
	time_t seconds = (time_t)at;
	enum log_level level = LOG_INFO;
	char day[32], *line;
	struct tm tm;

	log_level_parse(member(entry, "level"), &level);
	if (at < l->since || level > l->level || !is_of_peer(l, peer) || !is_of_room(l, room))
		return;
	if (l->json) {
		json_t *copy = json_pack("{s:i}", "schema", LINES_SCHEMA);

		json_object_update(copy, (json_t *)entry);
		json_dumpf(copy, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
		putchar('\n');
		json_decref(copy);
		return;
	}
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
	line = xasprintf("%s.%03u %-6s %s: %.*s%s%s", day, (unsigned)((at - (double)seconds) * 1000),
			 member(entry, "level"), room, is_log || *member(entry, "name") ? 64 : 8, who,
			 *who ? ": " : "", member(entry, "text"));
	printf("%s%s%s\n", color, text_tame(line), *color ? "\033[0m" : "");
	free(line);
}
