/*
 * Subscriptions: snapshots by interval and at once after a change, timeline entries as they happen, log
 * lines. A client that is still busy with one snapshot gets no other meanwhile: what it misses is in the next
 * one, because versions say what it has.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/history.h"
#include "control/internal.h"

#define LOG_BATCH 64

/* ---- when ---- */

static bool busy(const struct control_client *c)
{
	return c->stream.active || output_unread(c) > OUT_BACKLOG;
}

static void arm(struct control *control)
{
	uint64_t due = 0;

	list_for_each (pos, &control->clients) {
		const struct subscription *s = &container_of(pos, struct control_client, link)->subscription;

		if (s->on && (!due || s->due < due))
			due = s->due;
	}
	loop_timer_set(control->tick, due);
}

static void soon(struct subscription *s, uint64_t now)
{
	uint64_t due = s->last + SNAPSHOT_GAP;

	if (due < now)
		due = now;
	if (due < s->due)
		s->due = due;
}

void subscriptions_soon(struct control *control)
{
	uint64_t now = clock_boot_ns();

	if (!control->subscriber_count)
		return;
	list_for_each (pos, &control->clients)
		soon(&container_of(pos, struct control_client, link)->subscription, now);
	arm(control);
}

/* ---- snapshots ---- */

void control_snapshot(struct control *c, struct writer *w, bool full, uint64_t dropped,
		      const struct key *gone, size_t gone_count)
{
	char base64[KEY_BASE64_LEN + 1];

	member_text(w, "event", "snapshot");
	member_flag(w, "full", full);
	control_device(c, w, dropped);
	writer_name(w, "removed");
	writer_open(w, '[');
	for (size_t i = 0; i < gone_count; i++) {
		key_to_base64(base64, &gone[i]);
		writer_text(w, base64);
	}
	writer_close(w, ']');
	writer_name(w, "peers");
	writer_open(w, '[');
}

static void send_snapshot(struct control_client *c)
{
	struct subscription *s = &c->subscription;
	struct changes *changes = c->control->changes;
	struct strbuf head = {0};
	struct writer w = {.to = &head};
	struct key *gone = NULL, *keys;
	size_t gone_count = 0, count;
	bool full = s->fresh || !changes_removed_since(changes, s->version, &gone, &gone_count);

	keys = NULL;
	if (full)
		keys = control_keys(c->control->engine, &count);
	else
		count = changes_since(changes, s->version, &keys);
	s->version = changes_version(changes);
	s->fresh = false;
	writer_open(&w, '{');
	control_snapshot(c->control, &w, full, c->dropped, gone, gone_count);
	output_stream(c, &head, keys, count, "]}", true);
	strbuf_clear(&head);
	free(gone);
}

static void on_tick(void *arg)
{
	struct control *control = arg;
	struct instant now = clock_now();
	bool everybody = false, any = false, left;

	if (!control->changes)
		return;
	list_for_each (pos, &control->clients) {
		struct control_client *c = container_of(pos, struct control_client, link);
		struct subscription *s = &c->subscription;

		if (!s->on || s->due > now.boot)
			continue;
		any = any || !busy(c);
		everybody = everybody || (s->regular <= now.boot && !busy(c));
	}
	if (time_base_follow(&control->time_base, now))
		changes_all_touched(control->changes);
	left = any && changes_sweep(control->changes, now, everybody);
	list_for_each (pos, &control->clients) {
		struct control_client *c = container_of(pos, struct control_client, link);
		struct subscription *s = &c->subscription;

		if (!s->on || s->due > now.boot)
			continue;
		if (busy(c)) {
			s->due = now.boot + SNAPSHOT_GAP;
			continue;
		}
		/* In step with all others of this interval, so that one sweep serves them. */
		if (s->regular <= now.boot)
			s->regular = now.boot - now.boot % s->interval + s->interval;
		s->due = s->regular;
		s->last = now.boot;
		send_snapshot(c);
		if (left)
			soon(s, now.boot);
	}
	arm(control);
}

/* ---- timeline ---- */

/* Events of the interface after which any peer may look different. */
static bool concerns_everybody(const char *kind)
{
	static const char *const kinds[] = {"up", "down", "drain", "drained", "reload"};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kind, kinds[i]))
			return true;
	return false;
}

static void on_event(void *arg, struct engine_peer *p, const struct timeline_event *ev)
{
	struct control *control = arg;
	char base64[KEY_BASE64_LEN + 1] = "";
	struct strbuf line = {0};
	struct writer w = {.to = &line};
	struct key key;

	if (!control->subscriber_count)
		return;
	if (p) {
		wg_peer_public_key(engine_peer_wg(p), &key);
		key_to_base64(base64, &key);
		changes_peer_touched(control->changes, p);
	} else if (concerns_everybody(ev->kind)) {
		changes_all_touched(control->changes);
	}
	writer_open(&w, '{');
	member_text(&w, "event", "timeline");
	writer_name(&w, "entry");
	snapshot_event(&w, ev, base64, p ? engine_peer_name(p) : "");
	writer_close(&w, '}');
	list_for_each (pos, &control->clients) {
		struct control_client *c = container_of(pos, struct control_client, link);

		if (c->subscription.on)
			output_notify(c, line.text, line.len);
	}
	if (control->history)
		history_event(control->history, p, ev, &line);
	strbuf_clear(&line);
	/* Rekeys and retries can wait for the interval; what a person waits for cannot. */
	if (!p || ev->level <= LOG_NOTICE || !strcmp(ev->kind, "state") || !strcmp(ev->kind, "roamed"))
		subscriptions_soon(control);
}

static void on_peer_added(void *arg, struct engine_peer *p)
{
	struct control *control = arg;

	if (!control->changes)
		return;
	changes_peer_added(control->changes, p);
	subscriptions_soon(control);
}

static void on_peer_removed(void *arg, const struct key *public_key)
{
	struct control *control = arg;

	if (!control->changes)
		return;
	changes_peer_removed(control->changes, public_key);
	subscriptions_soon(control);
}

/* ---- log ---- */

static void send_log(struct control_client *c)
{
	struct subscription *s = &c->subscription;
	struct log_record records[LOG_BATCH];
	struct strbuf line = {0};
	size_t n;

	while ((n = log_read(s->log_next, records, LOG_BATCH))) {
		for (size_t i = 0; i < n; i++) {
			struct writer w = {.to = &line};

			/* The ring went round before we came to look. */
			if (s->log_next)
				c->dropped += records[i].sequence - s->log_next;
			s->log_next = records[i].sequence + 1;
			if (records[i].level > s->level)
				continue;
			line.len = 0;
			writer_open(&w, '{');
			member_text(&w, "event", "log");
			writer_name(&w, "entry");
			snapshot_log(&w, &records[i]);
			writer_close(&w, '}');
			output_notify(c, line.text, line.len);
		}
	}
	strbuf_clear(&line);
}

/* Any thread, under the log's lock: only tell the loop, once until it has looked. */
static void log_sink(void *arg, const struct log_record *record)
{
	struct control *control = arg;
	uint64_t one = 1;

	(void)record;
	if (atomic_exchange(&control->log_told, true))
		return;
	while (write(control->log_fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

static void on_log(void *arg, int fd, unsigned events)
{
	struct control *control = arg;
	uint64_t count;

	(void)events;
	while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR)
		;
	atomic_store(&control->log_told, false);
	list_for_each (pos, &control->clients) {
		struct control_client *c = container_of(pos, struct control_client, link);

		if (c->subscription.on && c->subscription.log)
			send_log(c);
	}
}

/* ---- life ---- */

void subscription_start(struct control_client *c)
{
	struct control *control = c->control;
	struct subscription *s = &c->subscription;
	uint64_t now = clock_boot_ns();

	if (!s->on) {
		s->on = s->fresh = true;
		if (!control->subscriber_count++)
			control->changes = changes_new(control->engine, &control->time_base);
	}
	s->due = s->regular = now;
	if (s->log) {
		log_set_sink(log_sink, control);
		send_log(c);
	}
	arm(control);
}

static bool anybody_logs(const struct control *control)
{
	list_for_each (pos, &control->clients) {
		const struct subscription *s = &container_of(pos, struct control_client, link)->subscription;

		if (s->on && s->log)
			return true;
	}
	return false;
}

void subscription_stop(struct control_client *c)
{
	struct control *control = c->control;

	if (!c->subscription.on)
		return;
	c->subscription = (struct subscription){0};
	if (!--control->subscriber_count) {
		changes_free(control->changes);
		control->changes = NULL;
	}
	if (!anybody_logs(control))
		log_set_sink(NULL, NULL);
	arm(control);
}

int subscriptions_open(struct control *control, struct error *e)
{
	control->tick = loop_timer_new(engine_loop(control->engine), on_tick, control);
	control->observer = (struct engine_observer){.event = on_event,
						     .peer_added = on_peer_added,
						     .peer_removed = on_peer_removed,
						     .arg = control};
	engine_observe(control->engine, &control->observer);
	control->log_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (control->log_fd < 0)
		return error_set(e, errno, "cannot make an eventfd: %s", strerror(errno));
	control->log_watch =
		loop_fd_add(engine_loop(control->engine), control->log_fd, LOOP_READ, on_log, control);
	return 0;
}

void subscriptions_close(struct control *control)
{
	engine_unobserve(control->engine, &control->observer);
	loop_timer_free(control->tick);
	loop_fd_remove(control->log_watch);
	if (control->log_fd >= 0)
		close(control->log_fd);
}
