/* Method events: the timelines of the interface and of the peers, page by page as in metrics.c. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "control/methods.h"

#define EVENTS_MAX 64 /* of one timeline */
#define PAGE_BYTES (64u << 10)

struct page {
	struct control *control;
	struct writer *w;
	uint64_t since; /* wall ns */
	struct timeline_event events[EVENTS_MAX];
};

static void write_events(struct page *g, size_t count, struct engine_peer *p)
{
	char base64[KEY_BASE64_LEN + 1] = "";
	struct key key;

	if (p) {
		wg_peer_public_key(engine_peer_wg(p), &key);
		key_to_base64(base64, &key);
	}
	for (size_t i = 0; i < count && g->events[i].at_wall >= g->since; i++)
		snapshot_event(g->w, &g->events[i], base64, p ? engine_peer_name(p) : "");
}

static void peer_events(struct page *g, struct engine_peer *p)
{
	write_events(g, engine_timeline(p, g->events, EVENTS_MAX), p);
}

/* Number 0 is the interface, number n the nth peer. Where to go on, 0: it was the last. */
static size_t all_events(struct page *g, size_t from)
{
	struct engine *engine = g->control->engine;
	struct engine_peer *p = engine_first_peer(engine);
	size_t next = 1, start = g->w->to->len;

	if (!from)
		write_events(g, engine_own_timeline(engine, g->events, EVENTS_MAX), NULL);
	for (; p && next < from; p = engine_next_peer(p))
		next++;
	while (p && g->w->to->len - start < PAGE_BYTES) {
		peer_events(g, p);
		p = engine_next_peer(p);
		next++;
		if (turn_is_over(g->control))
			break;
	}
	return p ? next : 0;
}

void method_events(struct request *r)
{
	struct page *g;
	double from = 0, since = 0;
	struct engine_peer *p = NULL;
	struct strbuf line = {0};
	struct writer w;
	size_t next = 0;

	if (!param_number(r, "from", 0, 1e9, &from) || !param_number(r, "since", 0, 1e10, &since))
		return;
	if (json_object_get(r->params, "peer") && !param_peer(r, false, &p))
		return;
	g = xcalloc(1, sizeof(*g));
	g->control = r->client->control;
	g->w = &w;
	g->since = (uint64_t)(since * NS_PER_SEC);
	reply_open(&w, &line, r->id);
	writer_open(&w, '{');
	member_count(&w, "schema", CONTROL_SCHEMA);
	writer_name(&w, "entries");
	writer_open(&w, '[');
	if (p)
		peer_events(g, p);
	else
		next = all_events(g, (size_t)from);
	writer_close(&w, ']');
	member_count(&w, "next", next);
	writer_close(&w, '}');
	reply_close(r->client, &line);
	free(g);
}
