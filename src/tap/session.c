/* Sessions: what each gets, where it goes, and what is lost on the way. Everything here is under the tap's
 * lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/xalloc.h"
#include "tap/internal.h"

#define BURST_PART 4 /* of a second's packets that may come at once */

/* ---- counts ---- */

static void slot_counts(const struct tap_session *s, struct tap_counts *out)
{
	const struct tap *t = s->tap;

	*out = (struct tap_counts){0};
	if (s->slot == TAP_SLOTS)
		return;
	for (unsigned i = 0; i < t->count; i++) {
		const struct tap_producer *p = &t->producers[i];

		out->seen += counter_get(&p->seen[s->slot]);
		out->matched += counter_get(&p->matched[s->slot]);
		out->lost += counter_get(&p->lost[s->slot]);
	}
}

void tap_session_base(struct tap_session *s)
{
	slot_counts(s, &s->base);
}

void tap_session_counts(const struct tap_session *s, struct tap_counts *out)
{
	slot_counts(s, out);
	out->seen -= s->base.seen;
	out->matched -= s->base.matched;
	out->lost += s->lost - s->base.lost;
}

static uint64_t all_lost(const struct tap_session *s)
{
	uint64_t n = s->lost - s->base.lost;

	if (s->slot == TAP_SLOTS)
		return n;
	for (unsigned i = 0; i < s->tap->count; i++)
		n += counter_get(&s->tap->producers[i].lost[s->slot]);
	return n;
}

/* ---- records into the buffer ---- */

static void news(struct tap_session *s)
{
	if (s->kind != TAP_QUEUE || s->told)
		return;
	s->told = true;
	s->ready(s->arg);
}

static uint8_t *room_for(struct tap_session *s, size_t len, uint64_t now, bool secret)
{
	uint8_t *at;

	while (!(at = tap_buffer_add(&s->buffer, len, now, secret)))
		if (s->kind != TAP_KEEP || !tap_buffer_drop_oldest(&s->buffer))
			return NULL;
	return at;
}

/* The reader hears of a loss before what came after it. */
static bool tell_lost(struct tap_session *s, uint64_t now)
{
	uint64_t lost = all_lost(s);
	struct tap_meta m = {.counter = lost};
	uint8_t *at;

	if (lost == s->lost_told || s->kind == TAP_KEEP)
		return true;
	at = room_for(s, TAP_RECORD_HEADER, now, false);
	if (!at)
		return false;
	m.at = clock_wall_ns();
	tap_record_encode(at, TAP_RECORD_LOST, &m, 0);
	s->lost_told = lost;
	news(s);
	return true;
}

static size_t cut(const struct tap_session *s, const struct tap_entry *e)
{
	return e->kind == TAP_RECORD_PACKET && e->captured > s->options.snaplen ? s->options.snaplen
										: e->captured;
}

void tap_session_take(struct tap_session *s, const struct tap_entry *e, uint64_t number, uint64_t now)
{
	size_t captured = cut(s, e);
	struct tap_meta m = e->meta;
	uint8_t *at = NULL;

	if (s->ended)
		return;
	if (tell_lost(s, now))
		at = room_for(s, TAP_RECORD_HEADER + captured, now, e->kind == TAP_RECORD_KEYS);
	if (!at) {
		s->lost += e->kind == TAP_RECORD_PACKET;
		return;
	}
	m.number = number;
	tap_record_encode(at, (enum tap_record_kind)e->kind, &m, captured);
	memcpy(at + TAP_RECORD_HEADER, e->data, captured);
	news(s);
}

/* ---- output ---- */

void tap_session_end(struct tap_session *s)
{
	if (s->ended)
		return;
	s->ended = true;
	tap_buffer_clear(&s->buffer);
	close(s->fd);
	s->fd = -1;
	if (s->slot != TAP_SLOTS)
		atomic_fetch_and(&s->tap->active, ~(1u << s->slot));
	if (s->tap->on_end)
		s->tap->on_end(s->tap->on_end_arg);
}

/* Records that are older than what was asked for, at the front. */
static void skip_old(struct tap_session *s)
{
	enum tap_record_kind kind;
	const uint8_t *bytes, *data;
	struct tap_meta m;
	size_t captured, len;
	long n;

	while (s->skip_before && (len = tap_buffer_front(&s->buffer, &bytes))) {
		n = tap_record_decode(bytes, len, &kind, &m, &data, &captured);
		if (n <= 0 || m.at >= s->skip_before)
			s->skip_before = 0;
		else
			tap_buffer_consume(&s->buffer, (size_t)n);
	}
}

/* What is to be written next. */
static size_t next_bytes(const struct tap_session *s, const uint8_t **bytes)
{
	if (s->preface_at == s->preface_len)
		return tap_buffer_front(&s->buffer, bytes);
	*bytes = s->preface + s->preface_at;
	return s->preface_len - s->preface_at;
}

/* It holds all that was kept when it came, which may be a gigabyte that the ring has long given up. */
static void end_stalled(struct tap_session *s, uint64_t now)
{
	struct tap *t = s->tap;

	if (s->kind != TAP_DUMP || now < s->moved + t->patience)
		return;
	counter_add(&t->stalled, 1);
	log_warn("tap",
		 "a client that asked for the packets kept has read nothing for %llu s: its connection is "
		 "closed, %zu KiB of them unread",
		 (unsigned long long)(t->patience / NS_PER_SEC), s->buffer.bytes >> 10);
	tap_session_end(s);
}

static void write_out(struct tap_session *s, uint64_t now)
{
	const uint8_t *bytes;
	size_t len;

	skip_old(s);
	while ((len = next_bytes(s, &bytes))) {
		ssize_t n = write(s->fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != EAGAIN)
			tap_session_end(s);
		else if (n <= 0)
			end_stalled(s, now);
		if (n <= 0)
			return;
		s->moved = now;
		if (s->preface_at < s->preface_len)
			s->preface_at += (size_t)n;
		else
			tap_buffer_consume(&s->buffer, (size_t)n);
	}
	if (s->kind == TAP_DUMP)
		tap_session_end(s);
}

static void refill(struct tap_session *s, uint64_t now)
{
	uint64_t rate = s->options.rate, most = rate / BURST_PART + 1;
	uint64_t fresh = (now - s->refilled) * rate / NS_PER_SEC;
	int64_t have = atomic_load_explicit(&s->tokens, memory_order_relaxed);

	if (!rate || !fresh)
		return;
	s->refilled = now;
	/* Producers that take one meanwhile take it from the next refill: nothing depends on a single packet.
	 */
	have = (have < 0 ? 0 : have) + (int64_t)(fresh < most ? fresh : most);
	atomic_store_explicit(&s->tokens, have < (int64_t)most ? have : (int64_t)most, memory_order_relaxed);
}

void tap_session_serve(struct tap_session *s, uint64_t now)
{
	if (s->ended)
		return;
	refill(s, now);
	if (s->kind == TAP_KEEP) {
		while (now > s->keep_ns && tap_buffer_drop_before(&s->buffer, now - s->keep_ns))
			;
		return;
	}
	tell_lost(s, now);
	if (s->kind != TAP_QUEUE)
		write_out(s, now);
}

bool tap_session_owes(const struct tap_session *s)
{
	const uint8_t *bytes;

	return (s->kind == TAP_STREAM || s->kind == TAP_DUMP) && next_bytes(s, &bytes);
}

void tap_session_free(struct tap_session *s)
{
	list_remove(&s->link);
	tap_buffer_clear(&s->buffer);
	tap_filter_free(s->options.filter);
	if (s->fd >= 0)
		close(s->fd);
	free(s->from);
	free(s->preface);
	free(s);
}
