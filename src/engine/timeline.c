/* What happened, in words: a small ring per peer and one for the device, told to observers as it happens. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "engine/internal.h"

/* Until the ring has its full size it has never wrapped, so growing it keeps the order. */
static void ring_add(struct timeline *t, const struct timeline_record *r)
{
	if (t->count == t->room && t->room < TIMELINE_MAX) {
		unsigned room = t->room ? t->room * 2 : 4;

		t->room = room < TIMELINE_MAX ? room : TIMELINE_MAX;
		t->ring = xrealloc(t->ring, t->room * sizeof(*t->ring));
		t->next = t->count;
	}
	if (t->count == t->room)
		free(t->ring[t->next].text);
	else
		t->count++;
	t->ring[t->next] = *r;
	t->next = (t->next + 1) % t->room;
}

void timeline_clear(struct timeline *t)
{
	for (unsigned i = 0; i < t->count; i++)
		free(t->ring[i].text);
	free(t->ring);
	memset(t, 0, sizeof(*t));
}

const char *timeline_label(struct engine_peer *p)
{
	if (*p->name)
		return p->name;
	if (!*p->short_key) {
		char base64[KEY_BASE64_LEN + 1];
		struct key key;

		wg_peer_public_key(p->wg, &key);
		key_to_base64(base64, &key);
		snprintf(p->short_key, sizeof(p->short_key), "%.8s", base64);
	}
	return p->short_key;
}

/* The room of the log that an event belongs to, by its kind; what is not listed is of handshakes and keys. */
static const char *room_of(const char *kind)
{
	static const struct {
		const char *kind, *room;
	} rooms[] = {{"path", "path"},	   {"watcher", "path"},	     {"ladder", "path"},
		     {"port", "path"},	   {"mtu", "path"},	     {"state", "state"},
		     {"ice", "ice"},	   {"session", "ice"},	     {"relay", "relay"},
		     {"remote", "signal"}, {"diagnosis", "diag"},    {"up", "engine"},
		     {"down", "engine"},   {"configured", "engine"}, {"name", "engine"},
		     {"reload", "engine"}, {"suspend", "engine"},    {"command", "control"}};

	for (size_t i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++)
		if (!strcmp(kind, rooms[i].kind))
			return rooms[i].room;
	return "wg";
}

static void add(struct engine *g, struct engine_peer *p, uint64_t boot, uint64_t wall, enum log_level level,
		const char *kind, const char *text)
{
	struct timeline_record r = {.at_boot = boot,
				    .at_wall = wall,
				    .sequence = ++g->event_sequence,
				    .kind = kind,
				    .text = xstrdup(text),
				    .level = level};
	struct timeline_event ev = {
		.at_boot = boot, .at_wall = wall, .sequence = r.sequence, .level = level, .kind = kind};

	snprintf(ev.text, sizeof(ev.text), "%s", text);
	ring_add(p ? &p->timeline : &g->timeline, &r);
	log_write(level, room_of(kind), p ? timeline_label(p) : NULL, "%s", text);
	for (struct engine_observer *o = g->observers; o; o = o->next)
		if (o->event)
			o->event(o->arg, p, &ev);
}

void engine_note(struct engine *g, struct engine_peer *p, enum log_level level, const char *kind,
		 const char *fmt, ...)
{
	struct instant now = clock_now();
	char text[TIMELINE_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(g, p, now.boot, now.wall, level, kind, text);
}

static size_t copy(const struct timeline *t, struct timeline_event *out, size_t max)
{
	size_t n = t->count < max ? t->count : max;

	for (size_t i = 0; i < n; i++) {
		/* The newest lies just before `next`. */
		const struct timeline_record *r = &t->ring[(t->next + t->room - 1 - i) % t->room];

		out[i] = (struct timeline_event){.at_boot = r->at_boot,
						 .at_wall = r->at_wall,
						 .sequence = r->sequence,
						 .level = r->level,
						 .kind = r->kind};
		snprintf(out[i].text, sizeof(out[i].text), "%s", r->text);
	}
	return n;
}

size_t engine_timeline(struct engine_peer *p, struct timeline_event *out, size_t max)
{
	return copy(&p->timeline, out, max);
}

size_t engine_own_timeline(struct engine *g, struct timeline_event *out, size_t max)
{
	return copy(&g->timeline, out, max);
}

void engine_observe(struct engine *g, struct engine_observer *o)
{
	o->next = g->observers;
	g->observers = o;
}

void engine_unobserve(struct engine *g, struct engine_observer *o)
{
	for (struct engine_observer **at = &g->observers; *at; at = &(*at)->next) {
		if (*at != o)
			continue;
		*at = o->next;
		return;
	}
}

/* ---- the protocol's events in words ---- */

static void milliseconds(char *out, size_t size, uint64_t ns)
{
	if (ns < 10 * NS_PER_MS)
		snprintf(out, size, "%.1f ms", (double)ns / NS_PER_MS);
	else
		snprintf(out, size, "%llu ms", (unsigned long long)(ns / NS_PER_MS));
}

static void rejected_words(char *text, size_t size, const struct wg_event *ev, const char *from)
{
	int n = snprintf(text, size, "%s", wg_counter_text((enum wg_counter)ev->a));

	if (n < 0 || (size_t)n >= size)
		return;
	if (ev->a == WG_COUNT_reject_replayed_timestamp && ev->ns)
		n += snprintf(text + n, size - (size_t)n, " (%llu s behind)",
			      (unsigned long long)(ev->ns / NS_PER_SEC));
	if (ev->key && (size_t)n < size) {
		char base64[KEY_BASE64_LEN + 1];
		struct key key;

		memcpy(key.bytes, ev->key, KEY_LEN);
		key_to_base64(base64, &key);
		n += snprintf(text + n, size - (size_t)n, ": %s", base64);
	}
	if (*from && (size_t)n < size)
		n += snprintf(text + n, size - (size_t)n, ", from %s", from);
	if (ev->b > 1 && (size_t)n < size)
		snprintf(text + n, size - (size_t)n, " (x%u)", ev->b);
}

struct words {
	enum log_level level;
	const char *kind;
};

static const struct words words[WG_EVENT_TYPES] = {
	[WG_EVENT_INITIATION_SENT] = {LOG_DEBUG, "initiation-sent"},
	[WG_EVENT_INITIATION_RECEIVED] = {LOG_DEBUG, "initiation-received"},
	[WG_EVENT_RESPONSE_SENT] = {LOG_DEBUG, "response-sent"},
	[WG_EVENT_HANDSHAKE_DONE] = {LOG_INFO, "handshake-done"},
	[WG_EVENT_KEY_CONFIRMED] = {LOG_DEBUG, "key-confirmed"},
	[WG_EVENT_GAVE_UP] = {LOG_WARN, "gave-up"},
	[WG_EVENT_KEY_EXPIRED] = {LOG_INFO, "key-expired"},
	[WG_EVENT_KEYS_ZEROED] = {LOG_INFO, "keys-zeroed"},
	[WG_EVENT_SILENCE] = {LOG_WARN, "silence"},
	[WG_EVENT_ROAMED] = {LOG_INFO, "roamed"},
	[WG_EVENT_ENDPOINT_SET] = {LOG_INFO, "endpoint"},
	[WG_EVENT_DRAINED] = {LOG_NOTICE, "drained"},
	[WG_EVENT_COOKIE_RECEIVED] = {LOG_INFO, "cookie"},
	[WG_EVENT_UNKNOWN_INDEX] = {LOG_NOTICE, "unknown-index"},
	[WG_EVENT_REJECTED] = {LOG_WARN, "rejected"},
	[WG_EVENT_ALLOWED_IP_STOLEN] = {LOG_WARN, "allowed-ip"},
};

/* False: the event is about something else. */
static bool handshake_words(char *text, size_t size, const struct wg_event *ev, const char *from)
{
	char ms[24];

	milliseconds(ms, sizeof(ms), ev->ns);
	switch (ev->type) {
	case WG_EVENT_INITIATION_SENT:
		snprintf(text, size, "initiation sent, try %u: %s", ev->a, wg_reason_text(ev->reason));
		break;
	case WG_EVENT_INITIATION_RECEIVED:
		snprintf(text, size, "initiation received from %s", from);
		break;
	case WG_EVENT_RESPONSE_SENT:
		snprintf(text, size, "response sent, %08x/%08x", ev->a, ev->b);
		break;
	case WG_EVENT_HANDSHAKE_DONE:
		if (ev->initiator)
			snprintf(text, size, "handshake done in %s, we began, %08x/%08x", ms, ev->a, ev->b);
		else
			snprintf(text, size, "handshake done, the peer began, %08x/%08x", ev->a, ev->b);
		break;
	case WG_EVENT_KEY_CONFIRMED:
		snprintf(text, size, "key %08x confirmed by its first packet", ev->a);
		break;
	case WG_EVENT_GAVE_UP:
		snprintf(text, size, "gave up after %u initiations, %u staged packets dropped", ev->a, ev->b);
		break;
	default:
		return false;
	}
	return true;
}

static void event_words(char *text, size_t size, const struct wg_event *ev, const char *from)
{
	if (handshake_words(text, size, ev, from))
		return;
	switch (ev->type) {
	case WG_EVENT_KEY_EXPIRED:
		snprintf(text, size, "key %08x expired after 180 s", ev->a);
		break;
	case WG_EVENT_KEYS_ZEROED:
		snprintf(text, size, "all keys forgotten: no new session for 540 s");
		break;
	case WG_EVENT_SILENCE:
		snprintf(text, size, "no answer to data for %llu s: new handshake",
			 (unsigned long long)(ev->ns / NS_PER_SEC));
		break;
	case WG_EVENT_ROAMED:
		snprintf(text, size, "peer moved to %s", from);
		break;
	case WG_EVENT_ENDPOINT_SET:
		snprintf(text, size, "endpoint is %s", from);
		break;
	case WG_EVENT_DRAINED:
		snprintf(text, size, "all keys expired: %s; the next packet starts a handshake",
			 wg_reason_text(ev->reason));
		break;
	case WG_EVENT_COOKIE_RECEIVED:
		snprintf(text, size, "cookie received: the peer is under load");
		break;
	case WG_EVENT_UNKNOWN_INDEX:
		snprintf(text, size, "%.60s uses key %08x, which we lost: new handshake", from, ev->a);
		break;
	case WG_EVENT_REJECTED:
		rejected_words(text, size, ev, from);
		break;
	case WG_EVENT_ALLOWED_IP_STOLEN:
		snprintf(text, size, "an allowed IP moved to another peer");
		break;
	default:
		break;
	}
}

void timeline_wg_event(struct engine *g, struct engine_peer *p, const struct wg_event *ev)
{
	char text[TIMELINE_TEXT] = "", from[ADDRESS_TEXT] = "";

	if (ev->type >= WG_EVENT_TYPES)
		return;
	/* That the tunnel goes by another way is told by the controller, with its reason. */
	if (ev->type == WG_EVENT_ENDPOINT_SET && ev->from && ev->from->via)
		return;
	if (ev->from && ev->from->remote.sa.sa_family == AF_UNSPEC && ev->from->via)
		snprintf(from, sizeof(from), "%s", channel_way(g, ev->from->via));
	else if (ev->from)
		address_format(from, &ev->from->remote);
	event_words(text, sizeof(text), ev, from);
	add(g, p, ev->at_boot, ev->at_wall, words[ev->type].level, words[ev->type].kind, text);
}
