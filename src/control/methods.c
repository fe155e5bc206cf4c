/* Requests: one row per method. Each handler answers exactly once, at once or when its job is done. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "control/history.h"
#include "control/internal.h"
#include "control/methods.h"
#include "control/snapshot_network.h"
#include "control/tap.h"

#define TIMELINE_REPLY_MAX 64
#define FAILED_MAX	   256 /* failures named in a reply; the rest are counted only */

/* ---- replies ---- */

void reply_open(struct writer *w, struct strbuf *to, const char *id)
{
	w->to = to;
	w->comma = false;
	strbuf_append(to, "{\"id\":", 6);
	strbuf_append(to, id, strlen(id));
	strbuf_append(to, ",\"result\":", 10);
}

void reply_close(struct control_client *c, struct strbuf *line)
{
	strbuf_append(line, "}", 1);
	output_reply(c, line->text, line->len);
	strbuf_clear(line);
}

void reply_empty(struct request *r)
{
	struct strbuf line = {0};
	struct writer w;

	reply_open(&w, &line, r->id);
	strbuf_append(&line, "{}", 2);
	reply_close(r->client, &line);
}

void reply_error(struct request *r, const char *code, const char *message, bool messages)
{
	struct strbuf line = {0};
	struct writer w = {.to = &line};

	strbuf_append(&line, "{\"id\":", 6);
	strbuf_append(&line, r->id, strlen(r->id));
	strbuf_append(&line, ",\"error\":", 9);
	writer_open(&w, '{');
	member_text(&w, "code", code);
	member_text(&w, "message", message);
	if (messages) {
		char *copy = xstrdup(message), *save = NULL;

		writer_name(&w, "messages");
		writer_open(&w, '[');
		for (char *m = strtok_r(copy, "\n", &save); m; m = strtok_r(NULL, "\n", &save))
			writer_text(&w, m);
		writer_close(&w, ']');
		free(copy);
	}
	writer_close(&w, '}');
	reply_close(r->client, &line);
}

void reply_bad(struct request *r, const char *message)
{
	reply_error(r, "bad-request", message, false);
}

/* ---- parameters ---- */

bool param_flag(struct request *r, const char *name, bool *out)
{
	json_t *v = json_object_get(r->params, name);

	if (v && !json_is_boolean(v)) {
		char *m = xasprintf("parameter \"%s\" must be true or false", name);

		reply_bad(r, m);
		free(m);
		return false;
	}
	if (v)
		*out = json_boolean_value(v);
	return true;
}

bool param_number(struct request *r, const char *name, double low, double high, double *out)
{
	json_t *v = json_object_get(r->params, name);

	if (!v)
		return true;
	if (!json_is_number(v) || !(json_number_value(v) >= low && json_number_value(v) <= high)) {
		char *m = xasprintf("parameter \"%s\" must be a number from %g to %g", name, low, high);

		reply_bad(r, m);
		free(m);
		return false;
	}
	*out = json_number_value(v);
	return true;
}

static bool param_level(struct request *r, const char *name, enum log_level *out)
{
	json_t *v = json_object_get(r->params, name);

	if (!v)
		return true;
	if (!json_is_string(v) || !log_level_parse(json_string_value(v), out)) {
		char *m = xasprintf("parameter \"%s\" must be error, warn, notice, info or debug", name);

		reply_bad(r, m);
		free(m);
		return false;
	}
	return true;
}

bool param_peer(struct request *r, bool or_all, struct engine_peer **p)
{
	const char *text = json_string_value(json_object_get(r->params, "peer"));
	struct error e = {0};
	int n;

	*p = NULL;
	if (!text) {
		reply_bad(r,
			  or_all ? "parameter \"peer\" must be a key, a name, the start of a key, or \"all\""
				 : "parameter \"peer\" must be a key, a name or the start of a key");
		return false;
	}
	if (or_all && !strcmp(text, "all"))
		return true;
	n = engine_pick_peer(r->client->control->engine, text, p, &e);
	if (!n)
		return true;
	reply_error(r, n == -ENOENT ? "not-found" : n == -ENOTUNIQ ? "ambiguous" : "failed", e.text, false);
	return false;
}

/* ---- looking ---- */

static void stun_servers(struct engine *g, struct writer *w)
{
	char servers[ENGINE_STUN_MAX + ICE_TURN_MAX][ENGINE_STUN_TEXT];
	size_t count = engine_look_stun(g, servers, ENGINE_STUN_MAX + ICE_TURN_MAX);

	writer_name(w, "stunServers");
	writer_open(w, '[');
	for (size_t i = 0; i < count; i++)
		writer_text(w, servers[i]);
	writer_close(w, ']');
}

void control_device(struct control *c, struct writer *w, uint64_t dropped)
{
	struct snapshot_host host = {.hostname = c->hostname,
				     .configuration = c->configuration,
				     .now = clock_now(),
				     .dropped = dropped};
	struct wg_device *wg = engine_wg(c->engine);
	struct engine_relay_view *relays;
	struct engine_view view;
	struct key public_key;

	if (time_base_follow(&c->time_base, host.now) && c->changes)
		changes_all_touched(c->changes);
	engine_look(c->engine, &view);
	wg_get_public_key(wg, &public_key);
	snapshot_device(w, &view, wg_has_private_key(wg) ? &public_key : NULL, &c->time_base, &host);
	relays = xcalloc(SNAPSHOT_RELAYS, sizeof(*relays));
	snapshot_relays(w, relays, engine_look_relays(c->engine, relays, SNAPSHOT_RELAYS), &c->time_base);
	free(relays);
	history_members(c->history, w);
	stun_servers(c->engine, w);
	control_tap_members(c, w);
}

void control_peer(struct control *c, struct writer *w, struct engine_peer *p, size_t max_allowed)
{
	struct engine_peer_view view;

	engine_look_peer(p, &view);
	allowed_list_take(&c->allowed, engine_peer_wg(p));
	snapshot_peer(w, &view, &c->allowed, max_allowed, snapshot_paths_take(&c->paths, p),
		      snapshot_diagnosis_take(&c->diagnoses, p), &c->time_base);
}

void control_peer_brief(struct writer *w, struct engine_peer *p)
{
	struct engine_network_view network;
	struct engine_peer_view view;

	engine_look_peer(p, &view);
	engine_look_network(p, &network);
	snapshot_peer_brief(w, &view, network.has_controller ? &network : NULL);
}

struct key *control_keys(struct engine *g, size_t *count)
{
	struct key *keys = xmalloc((engine_peer_count(g) + 1) * sizeof(*keys));

	*count = 0;
	for (struct engine_peer *p = engine_first_peer(g); p; p = engine_next_peer(p))
		wg_peer_public_key(engine_peer_wg(p), &keys[(*count)++]);
	return keys;
}

static void method_status(struct request *r)
{
	struct control *control = r->client->control;
	struct strbuf line = {0};
	struct writer w;
	struct key *keys;
	bool peers = true, brief = false;
	size_t count;

	if (!param_flag(r, "peers", &peers) || !param_flag(r, "brief", &brief))
		return;
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	control_device(control, &w, r->client->dropped);
	if (!peers) {
		writer_close(&w, '}');
		reply_close(r->client, &line);
		return;
	}
	writer_name(&w, "peers");
	writer_open(&w, '[');
	keys = control_keys(control->engine, &count);
	output_stream(r->client, &line, keys, count, "]}}", false);
	r->client->stream.brief = brief;
	strbuf_clear(&line);
}

static void timeline(struct writer *w, struct engine_peer *p, size_t max)
{
	struct timeline_event *events = xmalloc(TIMELINE_REPLY_MAX * sizeof(*events));
	size_t n = engine_timeline(p, events, max);
	char base64[KEY_BASE64_LEN + 1];
	struct key key;

	wg_peer_public_key(engine_peer_wg(p), &key);
	key_to_base64(base64, &key);
	writer_name(w, "timeline");
	writer_open(w, '[');
	for (size_t i = 0; i < n; i++)
		snapshot_event(w, &events[i], base64, engine_peer_name(p));
	writer_close(w, ']');
	free(events);
}

static void method_peer(struct request *r)
{
	double max = TIMELINE_REPLY_MAX;
	struct strbuf line = {0};
	struct engine_peer *p;
	struct writer w;

	if (!param_peer(r, false, &p) || !param_number(r, "timeline", 0, 1e9, &max))
		return;
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	writer_name(&w, "peer");
	control_peer(r->client->control, &w, p, PEER_ALLOWED);
	timeline(&w, p, max < TIMELINE_REPLY_MAX ? (size_t)max : TIMELINE_REPLY_MAX);
	writer_close(&w, '}');
	reply_close(r->client, &line);
}

static void method_log(struct request *r)
{
	struct log_record *records;
	enum log_level level = LOG_DEBUG;
	struct strbuf line = {0};
	struct writer w;
	double since = 0;
	size_t n;

	if (!param_number(r, "since", 0, 9e15, &since) || !param_level(r, "level", &level))
		return;
	records = xmalloc(LOG_RING * sizeof(*records));
	n = log_read((uint64_t)since, records, LOG_RING);
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	writer_name(&w, "entries");
	writer_open(&w, '[');
	for (size_t i = 0; i < n; i++)
		if (records[i].level <= level)
			snapshot_log(&w, &records[i]);
	writer_close(&w, ']');
	writer_close(&w, '}');
	reply_close(r->client, &line);
	free(records);
}

static void method_history(struct request *r)
{
	struct history *history = r->client->control->history;
	double from = 0, to = 0;
	struct strbuf line = {0};
	struct writer w;

	if (!param_number(r, "from", 0, 9e9, &from) || !param_number(r, "to", 0, 9e9, &to))
		return;
	if (!history) {
		reply_error(r, "failed", "this engine records no history (--history 0)", false);
		return;
	}
	if (history_busy(history)) {
		reply_error(r, "busy",
			    "clients that read the history too slowly hold all the memory there is for it: "
			    "try again in half a minute",
			    false);
		return;
	}
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	history_members(history, &w);
	writer_close(&w, '}');
	strbuf_append(&line, "}", 1);
	output_history(r->client, (uint64_t)(from * NS_PER_SEC), (uint64_t)(to * NS_PER_SEC), line.text);
}

/* ---- subscriptions ---- */

static void method_subscribe(struct request *r)
{
	struct control_client *c = r->client;
	struct subscription *s = &c->subscription;
	double interval = s->on ? (double)s->interval / NS_PER_SEC : 1;
	enum log_level level = s->on ? s->level : LOG_INFO;
	bool log = s->log, view = c->view, readonly = false;

	if (!param_number(r, "interval", 0.1, 3600, &interval) || !param_flag(r, "log", &log) ||
	    !param_level(r, "logLevel", &level) || !param_flag(r, "view", &view) ||
	    !param_flag(r, "readonly", &readonly))
		return;
	/* Rights can be given up, never taken back. */
	c->readonly |= readonly;
	c->view = view;
	if (log && !s->log)
		s->log_next = 0; /* what is in the ring comes first */
	s->interval = (uint64_t)(interval * NS_PER_SEC);
	s->log = log;
	s->level = level;
	reply_empty(r);
	subscription_start(c);
}

static void method_unsubscribe(struct request *r)
{
	bool readonly = false;

	if (!param_flag(r, "readonly", &readonly))
		return;
	r->client->readonly |= readonly;
	subscription_stop(r->client);
	r->client->view = false;
	reply_empty(r);
}

/* ---- actions ---- */

static void reply_count(struct request *r, size_t peers)
{
	struct strbuf line = {0};
	struct writer w;

	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	member_count(&w, "peers", peers);
	writer_close(&w, '}');
	reply_close(r->client, &line);
	subscriptions_soon(r->client->control);
}

static void method_drain(struct request *r)
{
	struct engine *g = r->client->control->engine;
	struct engine_peer *p;
	int n;

	if (!param_peer(r, true, &p))
		return;
	if (!p) {
		engine_drain_all(g, WG_REASON_drain, r->client->who);
		reply_count(r, engine_peer_count(g));
		return;
	}
	n = engine_peer_drain(p, r->client->who);
	if (n)
		reply_error(r, "failed", strerror(-n), false);
	else
		reply_count(r, 1);
}

/* An action on one peer that fails is an error; on all, each failure is an element of "failed". */
static void start_job(struct request *r,
		      int (*act)(struct engine_peer *p, int what, const char *who, struct error *e), int what)
{
	struct job *job = &r->client->job;
	struct engine_peer *p;
	struct error e = {0};

	if (!param_peer(r, true, &p))
		return;
	if (p) {
		if (act(p, what, r->client->who, &e))
			reply_error(r, "failed", e.text, false);
		else
			reply_count(r, 1);
		return;
	}
	*job = (struct job){.act = act, .what = what, .id = r->id};
	r->id = NULL;
	job->keys = control_keys(r->client->control->engine, &job->count);
}

static void job_failed(struct job *job, struct engine_peer *p, const struct key *key, const struct error *e)
{
	struct writer w = {.to = &job->failed, .comma = job->failed.len > 0};
	char base64[KEY_BASE64_LEN + 1];

	if (job->failed_count++ >= FAILED_MAX)
		return;
	key_to_base64(base64, key);
	writer_open(&w, '{');
	member_text(&w, "peer", *engine_peer_name(p) ? engine_peer_name(p) : base64);
	member_text(&w, "error", e->text);
	writer_close(&w, '}');
}

static void job_done(struct control_client *c)
{
	struct job *job = &c->job;
	struct strbuf line = {0};
	struct writer w;

	reply_open(&w, &line, job->id);
	writer_open(&w, '{');
	member_count(&w, "peers", job->done);
	member_count(&w, "failedTotal", job->failed_count);
	writer_name(&w, "failed");
	writer_open(&w, '[');
	if (job->failed.len)
		strbuf_append(&line, job->failed.text, job->failed.len);
	writer_close(&w, ']');
	writer_close(&w, '}');
	job_clear(job);
	reply_close(c, &line);
	subscriptions_soon(c->control);
}

void methods_job(struct control_client *c)
{
	struct job *job = &c->job;

	if (!job->act)
		return;
	while (job->next < job->count) {
		const struct key *key = &job->keys[job->next++];
		struct engine_peer *p = engine_find_peer(c->control->engine, key);
		struct error e = {0};

		if (!p)
			continue;
		if (job->act(p, job->what, c->who, &e))
			job_failed(job, p, key, &e);
		else
			job->done++;
		if (turn_is_over(c->control))
			return;
	}
	job_done(c);
}

void job_clear(struct job *j)
{
	free(j->id);
	free(j->keys);
	strbuf_clear(&j->failed);
	*j = (struct job){0};
}

static int act_handshake(struct engine_peer *p, int what, const char *who, struct error *e)
{
	(void)what;
	return engine_peer_handshake(p, who, e);
}

static void method_handshake(struct request *r)
{
	start_job(r, act_handshake, 0);
}

static int act_reset(struct engine_peer *p, int what, const char *who, struct error *e)
{
	(void)what;
	return engine_peer_reset(p, who, e);
}

static void method_reset(struct request *r)
{
	start_job(r, act_reset, 0);
}

static int act_command(struct engine_peer *p, int what, const char *who, struct error *e)
{
	return engine_peer_command(p, (enum peer_command)what, who, e);
}

static int act_resolve(struct engine_peer *p, int what, const char *who, struct error *e)
{
	(void)what;
	return engine_peer_resolve(p, who, e);
}

static void method_resolve(struct request *r)
{
	start_job(r, act_resolve, 0);
}

static void method_rotate(struct request *r)
{
	start_job(r, act_command, PEER_ROTATE);
}

static void method_probe(struct request *r)
{
	start_job(r, act_command, PEER_PROBE);
}

/* One of a parameter's words, or an answer that lists them. */
static bool param_word(struct request *r, const char *name, const char *const *words, unsigned count,
		       unsigned *out)
{
	const char *text = json_string_value(json_object_get(r->params, name));
	struct strbuf list = {0};

	for (*out = 0; *out < count; ++*out)
		if (text && !strcmp(text, words[*out]))
			return true;
	for (unsigned i = 0; i < count; i++)
		strbuf_add(&list, "%s%s", !i ? "" : i + 1 < count ? ", " : " or ", words[i]);
	text = xasprintf("parameter \"%s\" must be %s", name, list.text);
	reply_bad(r, text);
	free((char *)text);
	strbuf_clear(&list);
	return false;
}

static void method_path(struct request *r)
{
	static const char *const words[] = {"auto", "relay", "relay-only"};
	static const enum peer_command commands[] = {PEER_PREFER_AUTO, PEER_PREFER_RELAY, PEER_FORCE_RELAY};
	unsigned i;

	if (param_word(r, "prefer", words, 3, &i))
		start_job(r, act_command, (int)commands[i]);
}

static void method_ladder(struct request *r)
{
	static const char *const words[] = {"now", "skip", "hold", "resume", "port", "reopen"};
	static const enum peer_command commands[] = {PEER_LADDER_NOW,	 PEER_LADDER_SKIP, PEER_LADDER_HOLD,
						     PEER_LADDER_RESUME, PEER_FRESH_PORT,  PEER_REOPEN_RELAY};
	unsigned i;

	if (param_word(r, "step", words, 6, &i))
		start_job(r, act_command, (int)commands[i]);
}

static void method_reload(struct request *r)
{
	const struct control_ops *ops = &r->client->control->ops;
	struct error e = {0};
	struct strbuf line = {0};
	char *summary = NULL;
	struct writer w;

	if (!ops->reload) {
		reply_error(r, "failed", "this engine was started without a configuration file", false);
		return;
	}
	log_notice("control", "reload by %s", r->client->who);
	if (ops->reload(ops->ctx, &summary, &e)) {
		bool config = e.exit == EXIT_CONFIG;

		reply_error(r, config ? "config" : "failed", e.text, config);
	} else {
		reply_open(&w, &line, r->id);
		writer_open(&w, '{');
		member_text(&w, "summary", summary ? summary : "");
		writer_close(&w, '}');
		reply_close(r->client, &line);
	}
	free(summary);
	subscriptions_soon(r->client->control);
}

static void method_down(struct request *r)
{
	struct control *control = r->client->control;
	bool drain = true;

	if (!param_flag(r, "drain", &drain))
		return;
	if (!control->ops.down) {
		reply_error(r, "failed", "this engine cannot be ended over the control socket", false);
		return;
	}
	log_notice("control", "down by %s", r->client->who);
	reply_empty(r);
	control->down_drain = drain;
	loop_timer_set(control->down, clock_boot_ns() + NS_PER_MS);
}

/* ---- dispatch ---- */

static const struct method {
	const char *name;
	bool changes; /* not for clients that may only look */
	void (*run)(struct request *r);
} methods[] = {
	{"status", false, method_status},
	{"peer", false, method_peer},
	{"subscribe", false, method_subscribe},
	{"unsubscribe", false, method_unsubscribe},
	{"log", false, method_log},
	{"events", false, method_events},
	{"metrics", false, method_metrics},
	{"trace", false, method_trace},
	{"explain", false, method_explain},
	{"history", false, method_history},
	{"tap", true, method_tap},
	{"untap", true, method_untap},
	{"capture", true, method_capture},
	{"keep", true, method_keep},
	{"kept", true, method_kept},
	{"drain", true, method_drain},
	{"handshake", true, method_handshake},
	{"reset", true, method_reset},
	{"resolve", true, method_resolve},
	{"rotate", true, method_rotate},
	{"probe", true, method_probe},
	{"path", true, method_path},
	{"ladder", true, method_ladder},
	{"reload", true, method_reload},
	{"down", true, method_down},
};

static void run(struct request *r, const char *name)
{
	char *m;

	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		if (strcmp(name, methods[i].name))
			continue;
		if (methods[i].changes && r->client->readonly)
			reply_error(r, "not-permitted", "this client may only look", false);
		else
			methods[i].run(r);
		return;
	}
	m = xasprintf("no method \"%.64s\"", name);
	reply_error(r, "unknown-method", m, false);
	free(m);
}

/* The id as it is to be repeated: a scalar, else null. */
static char *id_text(json_t *id)
{
	char *text = NULL;

	if (id && !json_is_object(id) && !json_is_array(id))
		text = json_dumps(id, JSON_ENCODE_ANY | JSON_COMPACT);
	return text ? text : xstrdup("null");
}

void methods_line(struct control_client *c, char *line, size_t len)
{
	struct request r = {.client = c};
	json_error_t where;
	const char *name;
	json_t *root;
	char *m;

	if (len == strspn(line, " \t\r"))
		return;
	root = json_loadb(line, len, JSON_REJECT_DUPLICATES, &where);
	name = json_string_value(json_object_get(root, "method"));
	r.id = id_text(json_object_get(root, "id"));
	r.params = json_object_get(root, "params");
	if (!root) {
		m = xasprintf("not JSON: %.160s at byte %d", where.text, where.position);
		reply_bad(&r, m);
		free(m);
	} else if (!name) {
		reply_bad(&r, "a request is an object with a \"method\" that is a string");
	} else if (r.params && !json_is_object(r.params)) {
		reply_bad(&r, "\"params\" must be an object");
	} else {
		run(&r, name);
	}
	free(r.id);
	json_decref(root);
}
