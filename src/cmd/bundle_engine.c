/* What a bundle holds of the engine: all that weir-control(7) tells of it. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "cmd/bundle.h"

#define PEERS_MAX   2000	 /* asked one by one */
#define HISTORY_MAX (256u << 20) /* of lines */

static void add_json(struct bundle *b, const char *name, const char *what, const json_t *o)
{
	char *text = json_dumps(o, JSON_INDENT(1) | JSON_ENCODE_ANY);
	struct strbuf *to = bundle_add(b, name, what);

	strbuf_append(to, text, strlen(text));
	strbuf_append(to, "\n", 1);
	hide_learn(b->hide, text, strlen(text));
	free(text);
}

static void add_line(struct strbuf *to, const json_t *o)
{
	char *text = json_dumps(o, JSON_COMPACT);

	strbuf_append(to, text, strlen(text));
	strbuf_append(to, "\n", 1);
	free(text);
}

/* ---- snapshot, events, reasons ---- */

static void add_peers(struct bundle *b, struct client *c, const json_t *status)
{
	const json_t *peers = json_object_get(status, "peers"), *peer;
	json_t *timelines = json_array(), *reasons = json_array(), *all;
	struct error e = {0};
	bool explains = true;
	size_t i;

	json_array_foreach(peers, i, peer)
	{
		const char *key = json_string_value(json_object_get(peer, "publicKey"));

		if (i == PEERS_MAX)
			break;
		all = client_call(c, "peer", json_pack("{s:s, s:i}", "peer", key ? key : "", "timeline", 64),
				  &e);
		if (all)
			json_array_append(timelines, all);
		json_decref(all);
		all = explains ? client_call(c, "explain", json_pack("{s:s}", "peer", key ? key : ""), &e)
			       : NULL;
		if (all)
			json_array_append_new(
				reasons, json_pack("{s:s, s:O}", "peer", key ? key : "", "explain", all));
		else if (explains)
			bundle_failed(b, "explain.json", "%s", e.text);
		explains = all != NULL;
		json_decref(all);
	}
	if (json_array_size(peers) > PEERS_MAX)
		bundle_failed(b, "timelines.json", "only the first %d of %zu peers are in it", PEERS_MAX,
			      json_array_size(peers));
	add_json(b, "timelines.json", "each peer with its last events", timelines);
	if (json_array_size(reasons))
		add_json(b, "explain.json", "verdicts about each peer and their evidence", reasons);
	json_decref(timelines);
	json_decref(reasons);
}

/* ---- history ---- */

/* A notification of now as a recorded line; true when it is one. */
static bool recorded(json_t *message)
{
	const char *event = json_string_value(json_object_get(message, "event")), *name;
	json_t *line, *value;

	if (!event || !strcmp(event, "hello"))
		return false;
	line = json_object();
	json_object_set_new(line, "past", json_real((double)clock_wall_ns() / 1e9));
	json_object_foreach(message, name, value) json_object_set(line, name, value);
	json_object_clear(message);
	json_object_update(message, line);
	json_decref(line);
	return true;
}

/* The engine may have no room for one more reader of its record. */
static bool is_refusal(struct bundle *b, const json_t *message)
{
	const json_t *error = json_object_get(message, "error");
	const char *why = json_string_value(json_object_get(error, "message"));

	if (error)
		bundle_failed(b, "history.jsonl", "only the present: %s", why ? why : "the engine refused");
	return error != NULL;
}

/*
 * The record, then the present: for so many seconds, or one snapshot of it. Both are asked for at once: the
 * engine answers in turn, and what has no time of recording is of now.
 */
static void take_lines(struct bundle *b, struct client *c, unsigned seconds, struct strbuf *to)
{
	static const char requests[] = "{\"id\":0,\"method\":\"history\"}\n"
				       "{\"id\":0,\"method\":\"subscribe\",\"params\":{\"interval\":1}}\n";
	uint64_t until = clock_boot_ns() + seconds * NS_PER_SEC;
	size_t lines = 0;
	struct error e = {0};
	bool present = false, refused = false;

	if (send(client_fd(c), requests, sizeof(requests) - 1, MSG_NOSIGNAL) !=
	    (ssize_t)sizeof(requests) - 1) {
		bundle_failed(b, "history.jsonl", "the engine takes no requests any more");
		return;
	}
	while (!present || clock_boot_ns() < until) {
		json_t *message = client_next(c, &e);

		if (!message) {
			bundle_failed(b, "history.jsonl", "%s", e.text);
			return;
		}
		refused |= is_refusal(b, message);
		lines += json_object_get(message, "past") != NULL;
		present |= !json_object_get(message, "past") && json_object_get(message, "full");
		if ((json_object_get(message, "past") || recorded(message)) && to->len < HISTORY_MAX)
			add_line(to, message);
		json_decref(message);
	}
	json_decref(client_call(c, "unsubscribe", NULL, &e));
	if (!lines && !refused)
		bundle_failed(b, "history.jsonl",
			      "the engine has recorded nothing: only the present is in it");
}

static void add_history(struct bundle *b, struct client *c, unsigned seconds)
{
	struct strbuf *to = bundle_add(
		b, "history.jsonl",
		"the recorded past, oldest first, as the method history tells it: for weir replay");

	take_lines(b, c, seconds, to);
	hide_learn(b->hide, to->text ? to->text : "", to->len);
}

void bundle_engine(struct bundle *b, struct client *c, unsigned seconds)
{
	struct error e = {0};
	json_t *status, *log;
	const char *path;

	add_history(b, c, seconds);
	status = client_call(c, "status", json_object(), &e);
	if (!status) {
		bundle_failed(b, "status.json", "%s", e.text);
		return;
	}
	add_json(b, "status.json", "a snapshot with all counters", status);
	path = json_string_value(json_object_get(status, "configuration"));
	b->config_path = path ? xstrdup(path) : NULL;
	add_peers(b, c, status);
	log = client_call(c, "log", json_object(), &e);
	if (log)
		add_json(b, "log.json", "the engine's last log lines", log);
	else
		bundle_failed(b, "log.json", "%s", e.text);
	json_decref(log);
	json_decref(status);
}
