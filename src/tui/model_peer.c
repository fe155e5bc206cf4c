/* The Peer screen: panes, the next peer, its older events. */
#include "tui/model_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "tui/text.h"

#define EXPLAIN_EVERY 10 /* s */

static void ask_about(struct model *m, const struct peer *p, const char *method, bool quiet,
		      struct effects *fx)
{
	struct effect *e = effect_add(fx, EFFECT_REQUEST);

	e->method = method;
	text_copy(e->key, sizeof(e->key), p->key);
	e->id = model_expect(m, COMMAND_NONE, "");
	m->pending[(size_t)e->id % (sizeof(m->pending) / sizeof(m->pending[0]))].quiet = quiet;
}

/* Events of a peer from before this view came are asked for once, when its page opens; what works and what
 * does not, and with it what the other end counts, as long as somebody looks. */
void fetch_events(struct model *m, const struct data *d, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);
	bool fresh;

	if (m->screen != SCREEN_PEER || !p)
		return;
	fresh = strcmp(m->fetched, p->key) != 0;
	if (fresh) {
		text_copy(m->fetched, sizeof(m->fetched), p->key);
		ask_about(m, p, "peer", false, fx);
	}
	if (m->past.on) /* what is so now is no news of then */
		return;
	if (fresh || d->at >= m->explained_at + EXPLAIN_EVERY || d->at < m->explained_at) {
		m->explained_at = d->at;
		ask_about(m, p, "explain", true, fx);
	}
}

/* Only some peers have paths beside their endpoint, or something wrong with them. */
static bool pane_exists(const struct data *d, const struct peer *p, enum pane pane)
{
	return !p ||
	       ((pane != PANE_NETWORK || p->network) && (pane != PANE_DIAGNOSIS || peer_findings(d, p)));
}

static void step_pane(struct model *m, const struct data *d, int by)
{
	const struct peer *p = model_selected(m, d);

	do
		m->pane = (m->pane + by) % PANES;
	while (!pane_exists(d, p, m->pane));
}

/* Lines of the pane that the movement keys scroll. */
static size_t pane_length(const struct model *m, const struct data *d)
{
	const struct peer *p = model_selected(m, d);
	size_t length = 0;

	if (p && m->pane == PANE_COUNTERS)
		for (int i = 0; i < counter_slots(); i++)
			length += p->counters[i] > 0;
	if (p && m->pane == PANE_NETWORK && p->network)
		length =
			NETWORK_LINES + p->network->path_count + p->network->pair_count + 2 * d->relays_count;
	if (p && m->pane == PANE_DIAGNOSIS && peer_findings(d, p))
		length = 3 * (FINDINGS_GOOD + FINDING_LINES + FINDINGS + 2);
	if (p && m->pane == PANE_TIMELINE)
		for (size_t i = 0; i < d->events_count; i++)
			length += strcmp(d->events[i].key, p->key) == 0;
	return length;
}

static void step_peer(struct model *m, const struct data *d, long by)
{
	select_row(m, d, moved(m->row, by, m->rows.count));
	memset(m->pane_top, 0, sizeof(m->pane_top));
}

void pane_move(struct model *m, const struct data *d, long by)
{
	/* The view, which knows how many rows it has, stops at the last page. */
	m->pane_top[m->pane] = (int)moved((size_t)m->pane_top[m->pane], by, pane_length(m, d));
}

bool peer_command(struct model *m, const struct data *d, enum command c)
{
	switch (c) {
	case COMMAND_LEFT:
	case COMMAND_RIGHT:
		step_peer(m, d, c == COMMAND_RIGHT ? 1 : -1);
		break;
	case COMMAND_NEXT_PANE:
	case COMMAND_PREVIOUS_PANE:
		step_pane(m, d, c == COMMAND_NEXT_PANE ? 1 : PANES - 1);
		break;
	case COMMAND_WHOLE:
		m->pane_whole = !m->pane_whole;
		break;
	default:
		return false;
	}
	return true;
}
