/*
 * The view's process: one poll() over terminal, control connection and signals. A terminal that stops reading
 * costs frames; it stops neither this loop nor the engine.
 */
#include "tui/tui.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>
#include <utmpx.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/strbuf.h"
#include "tui/report.h"
#include "tui/settings.h"
#include "tui/term.h"
#include "tui/text.h"
#include "tui/travel.h"
#include "tui/view.h"

#define LINE_MAX_BYTES	(64u << 20)
#define FRAME_NS	(100 * NS_PER_MS) /* at most ten frames a second, but at once after a key */
#define ESCAPE_NS	(25 * NS_PER_MS)
#define FIRST_TIMELINES 16
#define MISSED_MOST	2 /* refreshes */

struct tui {
	const struct tui_options *options;
	struct term *term;
	struct data *live, *frozen; /* frozen: the picture that stands still, or NULL */
	struct model model;
	struct travel travel;
	const struct data *past; /* the picture of the past that is shown, or NULL */
	struct grid grid;
	struct strbuf in, out;
	size_t scanned; /* bytes of `in` without a newline */
	int signals;
	uint64_t heard_ns;			 /* boot time of the last snapshot */
	uint64_t drawn_ns, escape_ns, missed_ns; /* missed: the last refresh that a busy terminal cost */
	unsigned missed;			 /* in a row */
	bool dirty, urgent, changed, greeted_peers;
	bool quit, keep;
	enum tui_end end;
	struct error *error;
};

static const struct data *shown(const struct tui *t)
{
	return t->past ? t->past : t->frozen ? t->frozen : t->live;
}

/* The engine's clock: its last word, and what has passed here since. */
static double live_now(const struct tui *t)
{
	return t->live->at + (t->heard_ns ? (double)(clock_boot_ns() - t->heard_ns) / 1e9 : 0);
}

static double engine_now(const struct tui *t)
{
	if (t->past)
		return t->model.past.at;
	return t->frozen ? t->frozen->at : live_now(t);
}

static void finish(struct tui *t, enum tui_end end)
{
	t->quit = true;
	t->end = end;
}

/* ---- to the engine ---- */

static void send_request(struct tui *t, long id, const char *method, json_t *params)
{
	json_t *o = json_pack("{s:I, s:s, s:o}", "id", (json_int_t)id, "method", method, "params", params);
	char *text = json_dumps(o, JSON_COMPACT);

	strbuf_append(&t->out, text, strlen(text));
	strbuf_append(&t->out, "\n", 1);
	free(text);
	json_decref(o);
}

static void subscribe(struct tui *t)
{
	send_request(t, model_expect(&t->model, COMMAND_NONE, ""), "subscribe",
		     json_pack("{s:f, s:b, s:s, s:b, s:b}", "interval", model_intervals[t->model.interval],
			       "log", 1, "logLevel", "debug", "view", 1, "readonly", t->options->readonly));
}

static void request(struct tui *t, const struct effect *fx)
{
	json_t *params = json_object();

	if (*fx->key)
		json_object_set_new(params, "peer", json_string(fx->key));
	if (fx->name && (fx->value || *fx->text))
		json_object_set_new(params, fx->name, json_string(fx->value ? fx->value : fx->text));
	if (strcmp(fx->method, "tap") == 0)
		packets_request(params, &t->model.packets);
	if (strcmp(fx->method, "peer") == 0)
		json_object_set_new(params, "timeline", json_integer(60));
	send_request(t, fx->id, fx->method, params);
}

static void suspend(struct tui *t)
{
	sigset_t set;

	term_stop(t->term);
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	/* Unblocked for the moment, so that the default action, stopping this process, happens. */
	raise(SIGTSTP);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	sigprocmask(SIG_BLOCK, &set, NULL);
	term_start(t->term);
	t->dirty = t->urgent = true;
}

static void save_settings(struct tui *t)
{
	struct error e = {0};

	if (t->options->settings && settings_save(&t->model, t->options->settings, &e) < 0)
		model_say(&t->model, engine_now(t), true, "%s", e.text);
}

static void move_past(struct tui *t, enum past_move move)
{
	if (travel_move(&t->travel, &t->model, move, engine_now(t)))
		send_request(t, t->travel.asked, "history", json_object());
	data_free(t->frozen);
	t->frozen = NULL;
	t->past = travel_data(&t->travel, &t->model);
	t->changed = t->dirty = true;
}

/* Between two looks at the keys. */
static void work_on_past(struct tui *t)
{
	if (!t->travel.busy)
		return;
	travel_work(&t->travel);
	t->past = travel_data(&t->travel, &t->model);
	t->changed |= t->past != NULL;
	t->dirty = true;
}

/* What this view keeps of its own stays bounded: it begins anew now and then. */
static void begin_anew(struct tui *t)
{
	send_request(t, model_expect(&t->model, COMMAND_NONE, ""), "unsubscribe", json_object());
	subscribe(t);
}

static void write_file(struct tui *t, const char *name, const struct strbuf *bytes, const char *label)
{
	struct error e = {0};
	char path[PATH_MAX];

	if (report_write(name, bytes, path, sizeof(path), &e) < 0)
		model_say(&t->model, engine_now(t), true, "%s", e.text);
	else
		model_say(&t->model, engine_now(t), false, "%s saved: %s", label, path);
}

static void freeze(struct tui *t)
{
	t->frozen = data_clone(t->live);
	if (t->live->packets)
		t->frozen->packets = packets_clone(t->live->packets);
}

static void write_report(struct tui *t, const char *key)
{
	struct scene scene = {.d = shown(t), .m = &t->model, .now = engine_now(t)};
	const struct peer *p = *key ? data_peer(scene.d, key) : NULL;
	struct strbuf text = {0};
	char name[160];

	report_name(name, sizeof(name), &scene, p);
	if (p)
		report_peer(&text, &scene, p);
	else
		report_log(&text, &scene);
	write_file(t, name, &text, p ? "report" : "log");
	strbuf_clear(&text);
}

/* Of the size that the old one had, with the letters that the terminal has now. */
static void new_grid(struct tui *t)
{
	int width = t->grid.width, height = t->grid.height;

	grid_clear(&t->grid);
	grid_init(&t->grid, width, height, term_ascii(t->term));
	t->dirty = t->urgent = true;
}

static void perform(struct tui *t, struct effects *fx)
{
	for (size_t i = 0; i < fx->count; i++) {
		const struct effect *e = &fx->list[i];

		switch (e->kind) {
		case EFFECT_REQUEST:
			request(t, e);
			break;
		case EFFECT_SUBSCRIBE:
			subscribe(t);
			break;
		case EFFECT_COPY:
			term_copy(t->term, e->bytes.text ? e->bytes.text : e->text);
			break;
		case EFFECT_WRITE:
			write_file(t, e->text, &e->bytes, e->label);
			break;
		case EFFECT_FREEZE:
			freeze(t);
			break;
		case EFFECT_THAW:
			data_free(t->frozen);
			t->frozen = NULL;
			t->changed = true;
			break;
		case EFFECT_REDRAW:
			term_forget(t->term);
			break;
		case EFFECT_SUSPEND:
			suspend(t);
			break;
		case EFFECT_SETTINGS:
			save_settings(t);
			break;
		case EFFECT_PAST:
			move_past(t, e->move);
			break;
		case EFFECT_MOUSE:
			term_mouse(t->term, t->model.mouse);
			break;
		case EFFECT_SLOW:
			term_plain(t->term, t->model.slow);
			new_grid(t);
			break;
		case EFFECT_REPORT:
			write_report(t, e->key);
			break;
		case EFFECT_QUIT:
		case EFFECT_QUIT_KEEP:
			t->keep = e->kind == EFFECT_QUIT_KEEP;
			finish(t, TUI_QUIT);
			break;
		}
	}
	effects_clear(fx);
}

/* ---- from the engine ---- */

/* A bundle is nothing but the past. */
static void enter_bundle(struct tui *t)
{
	move_past(t, PAST_ENTER);
	if (t->options->past_at > 0)
		t->travel.wanted = t->options->past_at;
}

/* What happened to the worst peers before this view came, for the events pane. */
static void ask_timelines(struct tui *t)
{
	if (t->greeted_peers || t->options->bundle)
		return;
	t->greeted_peers = true;
	rows_peers(&t->model, t->live);
	for (size_t i = 0; i < t->model.rows.count && i < FIRST_TIMELINES; i++) {
		const char *key = t->live->peers[t->model.rows.index[i]]->key;

		send_request(t, model_expect(&t->model, COMMAND_NONE, ""), "peer",
			     json_pack("{s:s, s:i}", "peer", key, "timeline", 20));
	}
}

static void take_reply(struct tui *t, const struct reply *reply)
{
	if (!t->travel.asked || reply->id != t->travel.asked) {
		model_reply(&t->model, reply, engine_now(t));
		return;
	}
	travel_loaded(&t->travel, &t->model, reply, engine_now(t));
	t->past = travel_data(&t->travel, &t->model);
}

static void take_line(struct tui *t, const char *line, size_t len)
{
	struct reply reply;

	if (travel_takes(&t->travel, line, len)) {
		t->dirty = true;
		return;
	}
	switch (data_line(t->live, line, len, model_intervals[t->model.interval], &reply)) {
	case NEWS_SNAPSHOT:
		t->heard_ns = clock_boot_ns();
		t->model.readonly |= t->live->readonly;
		if (travel_saw(&t->travel, line, len, t->live->at))
			begin_anew(t);
		ask_timelines(t);
		if (t->options->bundle && !t->model.past.on)
			enter_bundle(t);
		break;
	case NEWS_EVENT:
	case NEWS_LOG:
		travel_saw(&t->travel, line, len, live_now(t));
		break;
	case NEWS_REPLY:
		take_reply(t, &reply);
		break;
	case NEWS_BYE:
		finish(t, TUI_ENGINE_GONE);
		break;
	case NEWS_PACKETS:
		/* They come faster than anybody reads: the next refresh shows them. */
		t->changed = true;
		return;
	default:
		break;
	}
	t->dirty = t->changed = true;
}

static void take_lines(struct tui *t)
{
	size_t start = 0;
	char *end;

	while (!t->quit && t->scanned < t->in.len &&
	       (end = memchr(t->in.text + t->scanned, '\n', t->in.len - t->scanned)) != NULL) {
		size_t at = (size_t)(end - t->in.text);

		take_line(t, t->in.text + start, at - start);
		start = t->scanned = at + 1;
	}
	strbuf_consume(&t->in, start);
	t->scanned = t->in.len;
	if (t->in.len > LINE_MAX_BYTES) {
		error_set(t->error, EPROTO, "the engine sent a line of more than %u MiB",
			  LINE_MAX_BYTES >> 20);
		finish(t, TUI_FAILED);
	}
}

static void read_engine(struct tui *t)
{
	static char bytes[65536];
	ssize_t n = read(t->options->fd, bytes, sizeof(bytes));

	if (n > 0) {
		strbuf_append(&t->in, bytes, (size_t)n);
		take_lines(t);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		finish(t, TUI_ENGINE_GONE);
	}
}

static void write_engine(struct tui *t)
{
	ssize_t n = send(t->options->fd, t->out.text, t->out.len, MSG_NOSIGNAL);

	if (n > 0)
		strbuf_consume(&t->out, (size_t)n);
	/* A connection that is gone is noticed when reading: the last words may still be there. */
}

/* ---- the terminal ---- */

static void resize(struct tui *t)
{
	int width, height;

	term_size(t->term, &width, &height);
	if (width == t->grid.width && height == t->grid.height)
		return;
	grid_clear(&t->grid);
	grid_init(&t->grid, width, height, term_ascii(t->term));
	model_resize(&t->model, shown(t), width, height);
	t->dirty = t->urgent = true;
}

/* Rows point into the data: they are made anew before anything looks at them again. */
static void catch_up(struct tui *t)
{
	struct effects fx = {0};

	if (!t->changed)
		return;
	t->changed = false;
	model_sync(&t->model, shown(t), &fx);
	perform(t, &fx);
}

static void take_keys(struct tui *t, bool late)
{
	struct effects fx = {0};
	bool wait = false;
	uint32_t code;

	while (!t->quit && (code = term_key(t->term, late, &wait)) != 0) {
		catch_up(t);
		model_key(&t->model, shown(t), code, engine_now(t), &fx);
		perform(t, &fx);
		t->dirty = t->urgent = true;
		late = false;
	}
	t->escape_ns = wait ? clock_boot_ns() + ESCAPE_NS : 0;
}

static void take_signals(struct tui *t)
{
	struct signalfd_siginfo info;

	while (read(t->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGWINCH)
			resize(t);
		else if (info.ssi_signo == SIGTSTP)
			suspend(t);
		else if (info.ssi_signo == SIGHUP)
			finish(t, TUI_TERMINAL_GONE);
		else if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT)
			finish(t, TUI_QUIT);
	}
}

/* The screen as it should be now, into the grid. */
static void compose(struct tui *t)
{
	struct scene scene = {.d = shown(t),
			      .m = &t->model,
			      .now = engine_now(t),
			      .past = t->travel.shown,
			      .present = t->options->bundle && t->past ? past_last(t->travel.shown)
								       : live_now(t)};

	catch_up(t);
	view_draw(&t->grid, &scene);
}

/* Two refreshes in a row that found the terminal still busy with the last one: it gets less to write. */
static void count_missed(struct tui *t, uint64_t now)
{
	uint64_t interval = (uint64_t)(model_intervals[t->model.interval] * 1e9);
	struct effects fx = {0};

	if (!term_busy(t->term) || now < t->drawn_ns + interval || now < t->missed_ns + interval)
		return;
	t->missed_ns = now;
	if (++t->missed < MISSED_MOST || t->options->slow)
		return;
	model_slow(&t->model, engine_now(t), &fx);
	perform(t, &fx);
}

static void draw(struct tui *t)
{
	compose(t);
	term_draw(t->term, &t->grid);
	t->missed = 0;
	t->drawn_ns = clock_boot_ns();
	t->dirty = t->urgent = false;
}

/* Milliseconds until something is to be done without an event. */
static int wait_time(const struct tui *t, uint64_t now)
{
	uint64_t tick = t->drawn_ns + (uint64_t)(model_intervals[t->model.interval] * 1e9) + FRAME_NS;

	if (term_busy(t->term))
		tick = now + NS_PER_SEC; /* nothing can be drawn: poll says when the terminal reads again */
	else if (t->dirty)
		tick = t->urgent ? now : t->drawn_ns + FRAME_NS;
	if (t->escape_ns && t->escape_ns < tick)
		tick = t->escape_ns;
	if (t->travel.busy)
		tick = now;
	return tick <= now ? 0 : (int)((tick - now + NS_PER_MS - 1) / NS_PER_MS);
}

static void loop(struct tui *t)
{
	while (!t->quit) {
		struct pollfd fds[] = {
			{.fd = term_fd(t->term),
			 .events = (short)(POLLIN | (term_busy(t->term) ? POLLOUT : 0))},
			{.fd = t->options->fd, .events = (short)(POLLIN | (t->out.len ? POLLOUT : 0))},
			{.fd = t->signals, .events = POLLIN},
		};
		uint64_t now;

		if (poll(fds, 3, wait_time(t, clock_boot_ns())) < 0 && errno != EINTR)
			break;
		now = clock_boot_ns();
		if (fds[2].revents)
			take_signals(t);
		if (fds[1].revents & POLLOUT)
			write_engine(t);
		if (fds[1].revents & (POLLIN | POLLHUP | POLLERR))
			read_engine(t);
		if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) && !term_read(t->term))
			finish(t, TUI_TERMINAL_GONE);
		take_keys(t, t->escape_ns && now >= t->escape_ns);
		work_on_past(t);
		/* Ages move even when the engine says nothing. */
		if (now >= t->drawn_ns + (uint64_t)(model_intervals[t->model.interval] * 1e9) + FRAME_NS)
			t->dirty = true;
		if (!t->quit && t->dirty && !term_busy(t->term) &&
		    (t->urgent || now >= t->drawn_ns + FRAME_NS))
			draw(t);
		count_missed(t, now);
		if (term_busy(t->term) && !term_flush(t->term))
			finish(t, TUI_TERMINAL_GONE);
	}
}

/* ---- start and end ---- */

/* Where this session comes from: what sshd said, or, when sudo dropped that, the login record of the
 * terminal. */
static void find_ssh_client(struct model *m)
{
	const char *connection = getenv("SSH_CONNECTION"), *tty = ttyname(STDIN_FILENO);
	struct utmpx wanted = {0}, *found;

	if (connection) {
		size_t len = strcspn(connection, " %");

		if (len < sizeof(m->ssh_client)) {
			memcpy(m->ssh_client, connection, len);
			m->ssh_client[len] = '\0';
		}
		return;
	}
	if (!tty || strncmp(tty, "/dev/", 5) != 0 || strlen(tty + 5) >= sizeof(wanted.ut_line))
		return;
	memcpy(wanted.ut_line, tty + 5, strlen(tty + 5));
	setutxent();
	found = getutxline(&wanted);
	if (found && found->ut_addr_v6[0])
		inet_ntop(found->ut_addr_v6[1] || found->ut_addr_v6[2] || found->ut_addr_v6[3] ? AF_INET6
											       : AF_INET,
			  found->ut_addr_v6, m->ssh_client, sizeof(m->ssh_client));
	endutxent();
}

static void set_up(struct tui *t)
{
	const struct tui_options *o = t->options;

	model_init(&t->model);
	t->model.readonly = o->readonly;
	if (o->slow)
		t->model.interval = t->model.interval_default = 3;
	t->model.no_sparks = o->slow;
	settings_load(&t->model, o->settings);
	find_ssh_client(&t->model);
	t->model.past.bundle = o->bundle;
	travel_start(&t->travel);
	t->live = data_new();
	fd_set_nonblocking(o->fd);
	subscribe(t);
	term_mouse(t->term, t->model.mouse);
	term_start(t->term);
	resize(t);
}

static void tell_end(const struct tui *t)
{
	const char *name = *t->live->interface ? t->live->interface : "this interface";

	if (t->end == TUI_ENGINE_GONE && t->live->gone)
		error_exit(t->error, EXIT_NOT_RUNNING, 0, "the engine of %s has ended: %s", name,
			   *t->live->gone_reason ? t->live->gone_reason : "no reason given");
	else if (t->end == TUI_ENGINE_GONE)
		error_exit(t->error, EXIT_NOT_RUNNING, 0,
			   "the engine of %s is gone without a word; its log may say why", name);
	else if (t->end == TUI_TERMINAL_GONE)
		error_set(t->error, EIO, "the terminal is gone; the engine of %s keeps running", name);
}

static void tear_down(struct tui *t)
{
	if (t->keep)
		compose(t);
	term_stop(t->term);
	if (t->keep)
		term_leave_picture(t->term, &t->grid);
	tell_end(t);
	if (t->end == TUI_ENGINE_GONE)
		term_say(t->term, t->error->text);
	term_close(t->term);
	travel_clear(&t->travel);
	data_free(t->live);
	data_free(t->frozen);
	model_clear(&t->model);
	grid_clear(&t->grid);
	strbuf_clear(&t->in);
	strbuf_clear(&t->out);
}

enum tui_end tui_run(const struct tui_options *o, struct error *e)
{
	struct term_options wanted = {.ascii = o->ascii || o->slow, .color = o->color, .mono = o->slow};
	struct error ignored = {0};
	struct tui t = {.options = o, .end = TUI_QUIT, .error = e ? e : &ignored};
	sigset_t set, before;

	setlocale(LC_CTYPE, "");
	t.term = term_open(&wanted, t.error);
	if (!t.term) {
		close(o->fd);
		return TUI_FAILED;
	}
	sigemptyset(&set);
	for (size_t i = 0; i < 5; i++)
		sigaddset(&set, (const int[]){SIGWINCH, SIGTSTP, SIGHUP, SIGTERM, SIGINT}[i]);
	sigprocmask(SIG_BLOCK, &set, &before);
	t.signals = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	set_up(&t);
	loop(&t);
	tear_down(&t);
	close(t.signals);
	close(o->fd);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return t.end;
}
