/* What a bundle must have to be replayed, and the times that people write. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cmd/bundle.h"
#include "cmd/replay.h"

/* Parsed, text takes some dozen times its size. Ten thousand peers are nine megabytes. */
#define MANIFEST_MAX (1u << 20)
#define STATUS_MAX   (64u << 20)
/* Of ten thousand peers there are half a million values, nested five deep. An empty object is three bytes of
 * text, and a hundred times as much when it is parsed. */
#define VALUES_MAX 2000000
#define DEPTH_MAX  32
#define LINES_MAX  2000000

static int foreign(struct error *e, const char *why)
{
	return error_exit(e, EXIT_USAGE, EINVAL, "this is no bundle that can be replayed: %s", why);
}

static json_t *parse(const struct strbuf *file)
{
	json_t *o = file->len ? json_loadb(file->text, file->len, JSON_REJECT_DUPLICATES, NULL) : NULL;

	if (o && !json_is_object(o)) {
		json_decref(o);
		o = NULL;
	}
	return o;
}

/* A status as the notification that a subscriber would get; `past`: as a recorded line. */
static char *snapshot_line(const json_t *status, double at, bool past)
{
	json_t *line = json_object(), *value;
	const char *name;
	char *text;

	if (past)
		json_object_set_new(line, "past", json_real(at));
	json_object_set_new(line, "event", json_string("snapshot"));
	json_object_set_new(line, "full", json_true());
	json_object_set_new(line, "at", json_real(at));
	json_object_set_new(line, "peers", json_array());
	json_object_foreach((json_t *)status, name, value)
	{
		if (strcmp(name, "event") != 0 && strcmp(name, "full") != 0 && strcmp(name, "past") != 0)
			json_object_set(line, name, value);
	}
	text = json_dumps(line, JSON_COMPACT);
	json_decref(line);
	return text;
}

static int read_manifest(struct replay *r, const struct strbuf *file, struct error *e)
{
	json_t *o = parse(file);
	const char *kind = json_string_value(json_object_get(o, "kind"));
	const char *interface = json_string_value(json_object_get(o, "interface"));
	const char *version = json_string_value(json_object_get(o, "version"));
	json_int_t schema = json_integer_value(json_object_get(o, "schema"));
	int code = 0;

	r->at = json_number_value(json_object_get(o, "at"));
	snprintf(r->interface, sizeof(r->interface), "%s", interface ? interface : "");
	snprintf(r->version, sizeof(r->version), "%s", version ? version : "");
	if (!o)
		code = foreign(e, "it has no MANIFEST.json, as what weir bundle writes has");
	else if (!kind || strcmp(kind, BUNDLE_KIND) != 0)
		code = foreign(e, "its MANIFEST.json is of something else");
	else if (schema < 1 || schema > BUNDLE_SCHEMA)
		code = error_exit(e, EXIT_USAGE, EINVAL,
				  "this bundle has schema %lld and this weir knows %d: use a newer weir",
				  (long long)schema, BUNDLE_SCHEMA);
	else if (!(r->at > 0 && r->at < 1e11))
		code = foreign(e, "its MANIFEST.json does not say when it was made");
	json_decref(o);
	return code;
}

/* How deep it goes and how many values there are, at least, without parsing it: it need not even be JSON. */
static const char *too_much(const char *text, size_t len)
{
	size_t values = 0, depth = 0;
	bool quoted = false;

	if (len > STATUS_MAX)
		return "is too large";
	for (size_t i = 0; i < len; i++) {
		char c = text[i];

		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
			continue;
		}
		quoted = c == '"';
		values += c == ',' || c == '{' || c == '[';
		if ((c == '{' || c == '[') && ++depth > DEPTH_MAX)
			return "is nested too deeply";
		if ((c == '}' || c == ']') && depth)
			depth--;
		if (values > VALUES_MAX)
			return "has too many values";
	}
	return NULL;
}

static int check_file(const char *name, const struct strbuf *file, struct error *e)
{
	const char *why = too_much(file->text, file->len);
	char text[100];

	snprintf(text, sizeof(text), "its %s %s", name, why ? why : "");
	return why ? foreign(e, text) : 0;
}

static int check_lines(const struct strbuf *file, struct error *e)
{
	size_t number = 0, at = 0, len;
	char text[100];

	for (; at < file->len; at += len + 1) {
		const char *newline = memchr(file->text + at, '\n', file->len - at);
		const char *why;

		len = newline ? (size_t)(newline - file->text) - at : file->len - at;
		why = ++number > LINES_MAX ? "is one too many" : too_much(file->text + at, len);
		snprintf(text, sizeof(text), "line %zu of its history.jsonl %s", number, why ? why : "");
		if (why)
			return foreign(e, text);
	}
	return 0;
}

int replay_open(struct replay *r, const struct strbuf *manifest, const struct strbuf *status,
		const struct strbuf *history, struct error *e)
{
	json_t *o;
	int code;

	*r = (struct replay){0};
	if (manifest->len > MANIFEST_MAX)
		return foreign(e, "its MANIFEST.json is too large");
	code = check_file("MANIFEST.json", manifest, e);
	if (!code)
		code = check_file("status.json", status, e);
	if (!code)
		code = check_lines(history, e);
	if (!code)
		code = read_manifest(r, manifest, e);
	if (code)
		return code;
	o = parse(status);
	if (status->len && !o)
		return foreign(e, "its status.json is no JSON");
	if (!o && !history->len)
		return foreign(e,
			       "no engine ran when it was made: it only holds files to be read (tar -xzf)");
	r->snapshot = snapshot_line(o, r->at, false);
	if (history->len) {
		strbuf_append(&r->lines, history->text, history->len);
		if (history->text[history->len - 1] != '\n')
			strbuf_append(&r->lines, "\n", 1);
	} else {
		char *line = snapshot_line(o, r->at, true);

		strbuf_add(&r->lines, "%s\n", line);
		free(line);
	}
	json_decref(o);
	return 0;
}

void replay_close(struct replay *r)
{
	free(r->snapshot);
	strbuf_clear(&r->lines);
}

/* ---- times ---- */

static bool whole(const char *text, const char *format, struct tm *tm)
{
	const char *end;

	*tm = (struct tm){0};
	end = strptime(text, format, tm);
	return end && (!*end || !strcmp(end, "Z"));
}

int replay_time(const char *text, double end, double *at, struct error *e)
{
	static const char *const full[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M",
					   "%Y-%m-%dT%H:%M"};
	time_t day = (time_t)end;
	struct tm tm, then;
	char *rest;

	for (size_t i = 0; i < sizeof(full) / sizeof(full[0]); i++)
		if (whole(text, full[i], &tm)) {
			*at = (double)timegm(&tm);
			return 0;
		}
	if (whole(text, "%H:%M:%S", &tm) || whole(text, "%H:%M", &tm)) {
		gmtime_r(&day, &then);
		then.tm_hour = tm.tm_hour;
		then.tm_min = tm.tm_min;
		then.tm_sec = tm.tm_sec;
		*at = (double)timegm(&then);
		if (*at > end)
			*at -= 86400;
		return 0;
	}
	*at = strtod(text, &rest);
	if (*text >= '0' && *text <= '9' && !*rest && *at > 0 && *at < 1e11)
		return 0;
	return error_exit(e, EXIT_USAGE, EINVAL,
			  "--at %s: give HH:MM:SS, YYYY-MM-DDTHH:MM:SS (both UTC) or Unix seconds", text);
}
