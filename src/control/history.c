#include "control/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "control/record.h"

#define SLOW	    (10 * NS_PER_SEC)  /* between looks at everybody */
#define FAST	    NS_PER_SEC	       /* between looks at those that are in trouble */
#define FAST_FOR    (300 * NS_PER_SEC) /* after its word has changed; then its trouble is no news */
#define FAST_PEERS  32
#define PIECE	    (2 * NS_PER_MS)	/* CPU time, in one turn */
#define BREATH	    (20 * NS_PER_MS)	/* between turns, for the packets' sake */
#define REACH	    (3600 * NS_PER_SEC) /* what the ring is to hold at least */
#define CPU_SHARE   100			/* one in so many */
#define RATIO	    8			/* how much deflating gains, roughly and on the safe side */
#define LOG_BATCH   64
#define LATER_MAX   (1u << 20)
#define PATIENCE    (30 * NS_PER_SEC) /* with a reader that reads nothing */
#define CHUNK_TIME  (600 * NS_PER_SEC)
#define CHUNK_SHARE 8 /* a chunk is about this part of the ring */

struct history {
	struct control *control;
	struct record *record;
	struct loop_timer *tick;
	size_t max;
	uint64_t version; /* what is recorded of `changes` */
	uint64_t slow_due, began_at, log_next;
	bool sweeping;

	/* The line that is being written. */
	bool writing, full, fast;
	struct key *keys;
	size_t count, next;
	bool comma;
	uint64_t spent, bytes; /* CPU time, and undeflated bytes, of it */
	struct strbuf later;   /* lines that wait for its end */
	struct strbuf text;

	size_t full_size, since_full; /* undeflated: of the last full snapshot, and what came after it */
	struct key hot[FAST_PEERS];   /* peers that are in trouble, or were touched */
	size_t hot_count;
	uint64_t allowance, refilled; /* undeflated bytes that routine events and fast looks may still use */
	uint64_t left_out;
	bool too_small;
	uint64_t patience;
	uint64_t stalled; /* readers that were cut off */
};

/* ---- lines ---- */

static void put(struct history *h, const char *bytes, size_t len)
{
	record_put(h->record, bytes, len);
	h->bytes += len;
	h->since_full += len;
}

/* {"event":...} with the time of its recording in front. */
static void add_line(struct history *h, uint64_t at, const char *line, size_t len)
{
	struct strbuf head = {0};
	struct writer w = {.to = &head};

	writer_open(&w, '{');
	member_time(&w, "past", at);
	strbuf_append(&head, ",", 1);
	strbuf_append(&head, line + 1, len - 1);
	strbuf_append(&head, "\n", 1);
	if (!h->writing)
		put(h, head.text, head.len);
	else if (h->later.len + head.len < LATER_MAX)
		strbuf_append(&h->later, head.text, head.len);
	else
		h->left_out++;
	strbuf_clear(&head);
}

static void take_log(struct history *h)
{
	struct log_record records[LOG_BATCH];
	struct strbuf line = {0};
	size_t n;

	while ((n = log_read(h->log_next, records, LOG_BATCH))) {
		for (size_t i = 0; i < n; i++) {
			struct writer w = {.to = &line};

			h->log_next = records[i].sequence + 1;
			if (records[i].level > LOG_INFO)
				continue;
			line.len = 0;
			writer_open(&w, '{');
			member_text(&w, "event", "log");
			writer_name(&w, "entry");
			snapshot_log(&w, &records[i]);
			writer_close(&w, '}');
			add_line(h, records[i].wall_ns, line.text, line.len);
		}
	}
	strbuf_clear(&line);
}

/* ---- how much may be spent ---- */

/* Routine may use up half of a ring in the time that it is to reach back, and a twelfth of that at once. */
static bool allowed(struct history *h, size_t bytes)
{
	uint64_t now = clock_boot_ns(), most = (uint64_t)h->max * RATIO / 24;
	uint64_t gained =
		(now - h->refilled) / NS_PER_MS * ((uint64_t)h->max * RATIO / 2) / (REACH / NS_PER_MS);

	if (gained) {
		h->allowance = h->allowance + gained > most ? most : h->allowance + gained;
		h->refilled = now;
	}
	if (h->allowance < bytes)
		return false;
	h->allowance -= bytes;
	return true;
}

static uint64_t until_next(const struct history *h)
{
	uint64_t wait = SLOW, by_time = h->spent * CPU_SHARE;
	uint64_t by_size = h->bytes / RATIO * (REACH / NS_PER_MS) / h->max * NS_PER_MS;

	/* A full snapshot is paid for by the chunk it begins: its size is no reason to wait. */
	if (!h->full && by_size > wait)
		wait = by_size;
	return by_time > wait ? by_time : wait;
}

/* ---- peers in trouble ---- */

static size_t find_hot(const struct history *h, const struct key *key)
{
	size_t i = 0;

	while (i < h->hot_count && memcmp(&h->hot[i], key, sizeof(*key)) != 0)
		i++;
	return i;
}

static void heat(struct history *h, const struct key *key)
{
	if (h->hot_count < FAST_PEERS && find_hot(h, key) == h->hot_count)
		h->hot[h->hot_count++] = *key;
}

static void cool(struct history *h, const struct key *key)
{
	size_t i = find_hot(h, key);

	if (i < h->hot_count)
		h->hot[i] = h->hot[--h->hot_count];
}

static bool in_trouble(const struct engine_peer_view *v, uint64_t now)
{
	return (v->state.word == WORD_STUCK || v->state.word == WORD_WAIT) && now - v->state_since < FAST_FOR;
}

/* ---- a snapshot, written in turns ---- */

static void write_peer(struct history *h, const struct key *key)
{
	struct control *c = h->control;
	struct engine_peer *p = engine_find_peer(c->engine, key);
	struct writer w = {.to = &h->text};
	struct engine_peer_view view;

	cool(h, key);
	if (!p)
		return;
	h->text.len = 0;
	if (h->comma)
		strbuf_append(&h->text, ",", 1);
	engine_look_peer(p, &view);
	control_peer(c, &w, p, SNAPSHOT_ALLOWED);
	if (!h->fast)
		changes_sent(c->changes, key, h->text.text + h->comma, h->text.len - h->comma);
	if (in_trouble(&view, clock_boot_ns()))
		heat(h, key);
	put(h, h->text.text, h->text.len);
	h->comma = true;
}

static void end_snapshot(struct history *h)
{
	put(h, "]}\n", 3);
	free(h->keys);
	h->keys = NULL;
	h->writing = false;
	if (h->full) {
		h->full_size = h->bytes;
		h->since_full = 0;
	}
	if (h->later.len) {
		put(h, h->later.text, h->later.len);
		h->later.len = 0;
	}
	if (!h->fast)
		h->slow_due = clock_boot_ns() + until_next(h);
}

/* A network too large for the ring: its full snapshot alone does not fit. */
static void give_up(struct history *h)
{
	free(h->keys);
	h->keys = NULL;
	h->writing = false;
	h->later.len = 0;
	if (!h->full)
		return; /* the next chunk begins with the next look */
	h->too_small = true;
	log_warn("control",
		 "no history: one snapshot of all peers takes more than the %zu KiB for it (--history)",
		 h->max >> 10);
}

static void continue_snapshot(struct history *h)
{
	uint64_t began = clock_work_ns(), spent = 0;

	while (h->next < h->count && spent < PIECE) {
		write_peer(h, &h->keys[h->next++]);
		spent = clock_work_ns() - began;
	}
	h->spent += spent;
	if (record_overflown(h->record))
		give_up(h);
	else if (h->next == h->count)
		end_snapshot(h);
}

/* keys of peers are taken; those of removed ones are not. */
static void begin_snapshot(struct history *h, struct key *keys, size_t count, const struct key *gone,
			   size_t gone_count)
{
	struct writer w = {.to = &h->text};

	h->keys = keys;
	h->count = count;
	h->next = 0;
	h->comma = false;
	h->bytes = 0;
	h->writing = true;
	h->text.len = 0;
	writer_open(&w, '{');
	member_time(&w, "past", clock_wall_ns());
	control_snapshot(h->control, &w, h->full, 0, gone, gone_count);
	put(h, h->text.text, h->text.len);
	continue_snapshot(h);
}

static bool chunk_is_done(const struct history *h, uint64_t now)
{
	size_t grown = record_newest(h->record);

	if (!record_chunks(h->record))
		return true;
	if (grown > h->max / 2)
		return true;
	/* A full snapshot costs as much as what is recorded after it, at most. */
	if (h->since_full < h->full_size)
		return false;
	return grown > h->max / CHUNK_SHARE || now - h->began_at > CHUNK_TIME;
}

static void begin_full(struct history *h, uint64_t now)
{
	struct key *keys;
	size_t count;

	h->full = true;
	h->fast = false;
	h->began_at = now;
	h->version = changes_version(h->control->changes);
	record_begin(h->record, clock_wall_ns());
	keys = control_keys(h->control->engine, &count);
	begin_snapshot(h, keys, count, NULL, 0);
}

static void begin_delta(struct history *h, uint64_t now)
{
	struct changes *changes = h->control->changes;
	struct key *gone, *keys;
	size_t gone_count, count;

	if (!changes_removed_since(changes, h->version, &gone, &gone_count)) {
		begin_full(h, now);
		return;
	}
	h->full = h->fast = false;
	count = changes_since(changes, h->version, &keys);
	h->version = changes_version(changes);
	begin_snapshot(h, keys, count, gone, gone_count);
	free(gone);
}

/* Only peers in trouble, and those to which something has just happened. */
static void begin_fast(struct history *h)
{
	struct key *keys;

	if (!h->hot_count || !allowed(h, h->hot_count * 2048 + 4096))
		return;
	keys = xmalloc(sizeof(h->hot));
	memcpy(keys, h->hot, sizeof(h->hot));
	h->full = false;
	h->fast = true;
	begin_snapshot(h, keys, h->hot_count, NULL, 0);
}

/* ---- readers ---- */

static void cut_off(struct history *h, struct control_client *c)
{
	h->stalled++;
	log_warn("control",
		 "%s asked for the history and has read nothing for %llu s: its connection is closed", c->who,
		 (unsigned long long)(h->patience / NS_PER_SEC));
	c->unheard = c->closing = true;
	output_clear(c);
	client_turn_soon(c);
}

static void end_stalled(struct history *h)
{
	uint64_t now = clock_boot_ns();

	list_for_each (pos, &h->control->clients) {
		struct control_client *c = container_of(pos, struct control_client, link);

		if (c->stream.reader && now >= c->moved + h->patience)
			cut_off(h, c);
	}
}

bool history_busy(struct history *h)
{
	if (record_held(h->record) > h->max / 2)
		end_stalled(h);
	return record_held(h->record) > h->max / 2;
}

void history_patience(struct history *h, uint64_t ns)
{
	h->patience = ns;
}

/* ---- when ---- */

static void look_at_everybody(struct history *h, struct instant now)
{
	uint64_t began = clock_work_ns();
	struct control *c = h->control;

	if (!h->sweeping) {
		h->spent = 0;
		if (time_base_follow(&c->time_base, now))
			changes_all_touched(c->changes);
	}
	h->sweeping = changes_sweep(c->changes, now, !h->sweeping);
	h->spent += clock_work_ns() - began;
	if (!h->sweeping)
		begin_delta(h, now.boot);
}

static void on_tick(void *arg)
{
	struct history *h = arg;
	struct instant now = clock_now();

	end_stalled(h);
	if (h->too_small)
		return;
	if (h->writing) {
		continue_snapshot(h);
	} else {
		take_log(h);
		if (chunk_is_done(h, now.boot)) {
			h->spent = 0;
			begin_full(h, now.boot);
		} else if (h->sweeping || now.boot >= h->slow_due) {
			look_at_everybody(h, now);
		} else {
			begin_fast(h);
		}
	}
	now.boot = clock_boot_ns();
	if (h->writing || h->sweeping)
		loop_timer_set(h->tick, now.boot + BREATH);
	else
		loop_timer_set(h->tick,
			       h->hot_count && now.boot + FAST < h->slow_due ? now.boot + FAST : h->slow_due);
}

/* What comes every two minutes of every healthy peer is worth less than an hour of the rest. */
static bool routine(const struct engine_peer *p, const struct timeline_event *ev)
{
	return p && ev->level > LOG_NOTICE && strcmp(ev->kind, "state") != 0;
}

void history_event(struct history *h, struct engine_peer *p, const struct timeline_event *ev,
		   const struct strbuf *line)
{
	uint64_t now = clock_boot_ns();
	struct key key;
	bool touched;

	if (h->too_small || !record_chunks(h->record))
		return;
	if (routine(p, ev) && !allowed(h, line->len)) {
		h->left_out++;
		return;
	}
	add_line(h, ev->at_wall, line->text, line->len);
	touched = p && !routine(p, ev);
	if (touched) {
		wg_peer_public_key(engine_peer_wg(p), &key);
		heat(h, &key);
	}
	if (h->writing || h->sweeping)
		return;
	/* A storm of events must not make one chunk of the whole ring. */
	if (chunk_is_done(h, now))
		loop_timer_set(h->tick, now);
	else if (touched && now + FAST < h->slow_due)
		loop_timer_set(h->tick, now + FAST / 4);
}

void history_members(const struct history *h, struct writer *w)
{
	writer_name(w, "history");
	writer_open(w, '{');
	member_count(w, "size", h ? h->max : 0);
	member_count(w, "used", h ? record_bytes(h->record) : 0);
	member_time(w, "oldestAt", h ? record_oldest(h->record) : 0);
	member_count(w, "leftOut", h ? h->left_out : 0);
	member_count(w, "stalled", h ? h->stalled : 0);
	writer_close(w, '}');
}

struct record_reader *history_read(struct history *h, uint64_t from, uint64_t to)
{
	if (h->writing) {
		continue_snapshot(h);
		return NULL;
	}
	take_log(h);
	return record_read(h->record, from, to);
}

/* ---- life ---- */

struct history *history_new(struct control *control, size_t max_bytes)
{
	struct history *h = xcalloc(1, sizeof(*h));

	h->control = control;
	h->max = max_bytes;
	h->patience = PATIENCE;
	h->record = record_new(max_bytes);
	h->refilled = clock_boot_ns();
	h->allowance = (uint64_t)max_bytes * RATIO / 24;
	if (!control->subscriber_count++)
		control->changes = changes_new(control->engine, &control->time_base);
	h->tick = loop_timer_new(engine_loop(control->engine), on_tick, h);
	loop_timer_set(h->tick, clock_boot_ns());
	return h;
}

void history_free(struct history *h)
{
	if (!h)
		return;
	if (!--h->control->subscriber_count) {
		changes_free(h->control->changes);
		h->control->changes = NULL;
	}
	loop_timer_free(h->tick);
	record_free(h->record);
	free(h->keys);
	strbuf_clear(&h->later);
	strbuf_clear(&h->text);
	free(h);
}
