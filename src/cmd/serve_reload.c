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
	size_t i, told = 0;

	for (i = 0; i < m->count; i++) {
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

static int apply(struct serve *s, struct conf *fresh, char **summary, struct error *e)
{
	struct conf_changes c = {0};
	uint32_t mark = 0;
	int r = conf_apply(s->engine, s->conf, fresh, &c, e);

	if (r) {
		conf_free(fresh);
		return r;
	}
	r = steward_change(s->steward, s->conf, fresh, &mark, e);
	if (!r && (mark || (s->auto_mark && !fresh->has_fwmark)))
		r = engine_set_fwmark(s->engine, mark, e);
	s->auto_mark = !fresh->has_fwmark && mark;
	conf_free(s->conf);
	s->conf = fresh;
	if (r)
		return r;
	*summary = xasprintf("%u peers added, %u changed, %u removed; %u sessions kept", c.peers_added,
			     c.peers_changed, c.peers_removed, c.sessions_kept);
	engine_note(s->engine, NULL, LOG_NOTICE, "reload", "reloaded: %s", *summary);
	return 0;
}

int serve_reload(struct serve *s, char **summary, struct error *e)
{
	struct conf_messages m = {0};
	struct conf *fresh;
	int r;

	if (!s->conf)
		return error_set(e, EINVAL, "this engine was started without a configuration file");
	if (s->phase == PHASE_STARTING || s->job_runs)
		return error_set(e, EBUSY, "the engine is still %s: hooks run",
				 s->phase == PHASE_STARTING ? "starting" : "stopping");
	notify_reloading();
	fresh = steward_read_config(s->steward, s->conf->path, &m);
	r = fresh ? apply(s, fresh, summary, e) : tell_complaints(s->conf, &m, e);
	conf_messages_clear(&m);
	notify_ready();
	return r;
}
