/*
 * Events for people, and refusals. Every refusal is counted. The first of a kind is told at once, and those
 * that follow within an interval are told together at its end.
 */
#include <string.h>

#include "base/xalloc.h"
#include "wg/internal.h"

#define PEER_INTERVAL	(10 * NS_PER_SEC)
#define DEVICE_INTERVAL (60 * NS_PER_SEC) /* the internet knocks all day */

void device_emit(struct wg_device *d, struct wg_peer *p, struct wg_event ev, struct instant now)
{
	ev.at_boot = now.boot;
	ev.at_wall = now.wall;
	if (d->ops->event)
		d->ops->event(d->ctx, p, &ev);
}

void reject_counted(struct wg_peer *p, enum wg_counter why, unsigned n, uint64_t now)
{
	count(p, why, n);
	if (now >= counter_get(&p->reject_quiet))
		peer_wake(p, FACT_REJECTED);
}

void reject_anonymous(struct wg_device *d, enum wg_counter why, unsigned n, uint64_t now)
{
	counter_add(&d->counters[why], n);
	counter_add(&d->anonymous[why - REJECT_FIRST], n);
	if (now >= counter_get(&d->reject_quiet) && !atomic_exchange(&d->rejected, true))
		device_wake(d);
}

/* Tells what came since it was told last. False: nothing, or it is too early; then *at says when it is not.
 */
static bool tell(struct wg_device *d, struct wg_peer *p, unsigned i, struct wg_event ev, struct instant now,
		 uint64_t *at)
{
	struct reject_log *log = p ? p->rejects : &d->rejects;
	uint64_t fresh = counter_get(p ? &p->counters[REJECT_FIRST + i] : &d->anonymous[i]) - log->told[i];
	uint64_t interval = p ? PEER_INTERVAL : DEVICE_INTERVAL;

	if (!fresh)
		return false;
	if (log->told_at[i] && now.boot - log->told_at[i] < interval) {
		*at = earlier(*at, log->told_at[i] + interval);
		return false;
	}
	log->told[i] += fresh;
	log->told_at[i] = now.boot;
	ev.type = WG_EVENT_REJECTED;
	ev.a = REJECT_FIRST + i;
	ev.b = fresh < UINT32_MAX ? (uint32_t)fresh : UINT32_MAX;
	device_emit(d, p, ev, now);
	return true;
}

static void have_log(struct wg_peer *p)
{
	if (!p->rejects)
		p->rejects = xcalloc(1, sizeof(*p->rejects));
}

/* The slot of this kind and source, else that of who was silent for longest. */
static void remember_stranger(struct wg_device *d, enum wg_counter why, const struct endpoint *from,
			      const uint8_t *key, uint64_t now)
{
	struct wg_stranger *oldest = &d->strangers[0], *at = NULL;

	for (unsigned i = 0; i < WG_STRANGERS && !at; i++) {
		struct wg_stranger *s = &d->strangers[i];

		if (s->messages && s->why == why && same_place(&s->from, from) &&
		    (!key || !memcmp(s->key.bytes, key, KEY_LEN)))
			at = s;
		else if (s->at < oldest->at)
			oldest = s;
	}
	if (!at) {
		at = oldest;
		*at = (struct wg_stranger){.why = why, .from = *from};
		if (key)
			memcpy(at->key.bytes, key, KEY_LEN);
	}
	at->at = now;
	at->messages++;
}

size_t wg_strangers(const struct wg_device *d, struct wg_stranger out[WG_STRANGERS])
{
	size_t n = 0;

	for (unsigned i = 0; i < WG_STRANGERS; i++)
		if (d->strangers[i].messages)
			out[n++] = d->strangers[i];
	return n;
}

void device_reject(struct wg_device *d, struct wg_peer *p, enum wg_counter why, const struct endpoint *from,
		   struct wg_event details, struct instant now)
{
	unsigned i = why - REJECT_FIRST;

	d->refusal = (struct wg_refusal){.refused = true, .why = why, .peer = p};
	details.from = from;
	if (p) {
		have_log(p);
		count(p, why, 1);
		tell(d, p, i, details, now, &p->reject_at);
		peer_schedule(p);
	} else {
		counter_add(&d->counters[why], 1);
		counter_add(&d->anonymous[i], 1);
		remember_stranger(d, why, from, details.key, now.boot);
		tell(d, NULL, i, details, now, &d->reject_at);
	}
}

/* Workers stay quiet until the next look, an interval later if there was anything. */
static void tell_all(struct wg_device *d, struct wg_peer *p, struct instant now, uint64_t *at,
		     counter_t *quiet)
{
	uint64_t interval = p ? PEER_INTERVAL : DEVICE_INTERVAL;
	bool told = false;

	*at = 0;
	for (unsigned i = 0; i < REJECTS; i++)
		told |= tell(d, p, i, (struct wg_event){0}, now, at);
	if (told)
		*at = earlier(*at, now.boot + interval);
	counter_set(quiet, *at);
}

void peer_tell_rejects(struct wg_peer *p, struct instant now)
{
	have_log(p);
	tell_all(p->device, p, now, &p->reject_at, &p->reject_quiet);
}

void device_tell_rejects(struct wg_device *d, struct instant now)
{
	bool rejected = atomic_exchange(&d->rejected, false);

	if (rejected || is_due(d->reject_at, now.boot))
		tell_all(d, NULL, now, &d->reject_at, &d->reject_quiet);
}
