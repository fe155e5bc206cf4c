/* Reading the configuration again: all of it applies, or none. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "cmd/notify.h"
#include "cmd/serve_internal.h"

/* One line for each complaint, as many as fit. */
static int tell_complaints(const struct conf *old, const struct conf_messages *m, struct error *e)
{
	struct strbuf text = {0};
	size_t told = 0;

	for (size_t i = 0; i < m->count; i++) {
		char *line;

		if (m->items[i].severity != CONF_ERROR)
			continue;
		line = conf_message_line(&m->items[i], old->path);
		if (text.len + strlen(line) + 32 < sizeof(e->text)) {
			strbuf_add(&text, "%s%s", text.len ? "\n" : "", line);
			told++;
		}
		free(line);
	}
	if (told < m->errors)
		strbuf_add(&text, "%s%zu more errors", text.len ? "\n" : "", m->errors - told);
	error_exit(e, EXIT_CONFIG, EINVAL, "%s", text.text ? text.text : "the file could not be read");
	strbuf_clear(&text);
	return -EINVAL;
}

/* The engine's half and the host's half; when the second fails, the first is taken back. */
static int change(struct serve *s, const struct conf *fresh, struct conf_changes *changes, struct error *e)
{
	struct conf_changes back;
	struct error ignored;
	uint32_t mark = s->mark;
	int r = conf_apply(s->engine, s->conf, fresh, changes, e);

	if (r)
		return r;
	/* A default route that comes now must find the mark in place. */
	r = system_choose_fwmark(fresh, s->mark, &mark, e);
	if (!r && mark && mark != s->mark)
		r = engine_set_fwmark(s->engine, mark, e);
	if (!r)
		r = steward_change(s->steward, s->conf, fresh, &mark, e);
	if (r) {
		conf_apply(s->engine, fresh, s->conf, &back, &ignored);
		engine_set_fwmark(s->engine, s->mark, &ignored);
		return r;
	}
	if (mark != s->mark)
		r = engine_set_fwmark(s->engine, mark, e);
	s->mark = mark;
	return r;
}

int serve_reload(struct serve *s, char **summary, struct error *e)
{
	struct conf_messages m = {0};
	struct conf_changes c = {0};
	struct conf *fresh;
	int r;

	if (!s->conf)
		return error_set(e, EINVAL, "this engine was started without a configuration file");
	if (s->phase != PHASE_RUNNING)
		return error_set(e, EBUSY, "the engine is still %s: hooks run",
				 s->phase == PHASE_STARTING ? "starting" : "stopping");
	notify_reloading();
	fresh = steward_read_config(s->steward, s->conf->path, &m);
	r = fresh ? change(s, fresh, &c, e) : tell_complaints(s->conf, &m, e);
	conf_messages_clear(&m);
	if (!r) {
		conf_free(s->conf);
		s->conf = fresh;
		*summary =
			xasprintf("%u %s added, %u changed, %u removed; %u %s kept%s", c.peers_added,
				  c.peers_added == 1 ? "peer" : "peers", c.peers_changed, c.peers_removed,
				  c.sessions_kept, c.sessions_kept == 1 ? "session" : "sessions",
				  metrics_differ(s, fresh) ? "; Metrics is changed by a new start only" : "");
		engine_note(s->engine, NULL, LOG_NOTICE, "reload", "reloaded: %s", *summary);
	} else {
		conf_free(fresh);
	}
	notify_ready();
	return r;
}

void serve_hangup(struct serve *s)
{
	char *summary = NULL, *save = NULL;
	struct error e = {0};

	if (s->phase == PHASE_STARTING) {
		s->reload_when_up = true;
		return;
	}
	if (serve_reload(s, &summary, &e))
		for (char *line = strtok_r(e.text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
			log_error("config", "not reloaded: %s", line);
	free(summary);
}
