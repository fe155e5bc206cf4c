/* The Peers screen: which row is selected, order, tags. */
#include "tui/model_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/map.h"
#include "tui/text.h"

void select_row(struct model *m, const struct data *d, size_t row)
{
	if (!m->rows.count) {
		m->row = 0;
		return;
	}
	m->row = row < m->rows.count ? row : m->rows.count - 1;
	text_copy(m->selected, sizeof(m->selected), d->peers[m->rows.index[m->row]]->key);
}

/* The selected peer keeps being selected, wherever it has moved; if it is gone, the row stays. */
void follow_selected(struct model *m, const struct data *d)
{
	const struct peer *p = model_selected(m, d);

	for (size_t i = 0; p && i < m->rows.count; i++)
		if (d->peers[m->rows.index[i]] == p) {
			m->row = i;
			return;
		}
	/* On its own screen a peer stays even when the filter hides its row. */
	if (!p || m->screen != SCREEN_PEER)
		select_row(m, d, m->row);
}

void forget_tags_of_removed(struct model *m, const struct data *d)
{
	size_t tagged = 0;
	struct map *kept;

	if (!map_count(m->tags))
		return;
	for (size_t i = 0; i < d->peers_count; i++)
		tagged += model_tagged(m, d->peers[i]);
	if (tagged == map_count(m->tags))
		return;
	kept = map_new(KEY_BASE64_LEN);
	for (size_t i = 0; i < d->peers_count; i++)
		if (model_tagged(m, d->peers[i]))
			map_put(kept, d->peers[i]->key, m);
	map_free(m->tags);
	m->tags = kept;
}

void step_problem(struct model *m, const struct data *d, int by, double now)
{
	size_t n = m->rows.count;

	for (size_t i = 1; i <= n; i++) {
		size_t row = (m->row + (by > 0 ? i : n - i % n)) % n;

		if (!peer_is_problem(d->peers[m->rows.index[row]]))
			continue;
		if (row == m->row && i == n)
			break;
		select_row(m, d, row);
		memset(m->pane_top, 0, sizeof(m->pane_top));
		return;
	}
	model_say(m, now, false, "no other peer has a problem");
}

void peers_sort(struct model *m, const struct data *d, unsigned sort, double now, struct effects *fx)
{
	m->sort = sort;
	m->inverted = false;
	if (m->sort == SORT_WORST)
		model_say(m, now, false, "sorted: worst first");
	else
		model_say(m, now, false, "sorted by %s", column_title((enum column)m->sort, 8));
	effect_add(fx, EFFECT_SETTINGS);
	model_sync(m, d, fx);
}

static void step_sort(struct model *m, const struct data *d, int by, double now, struct effects *fx)
{
	peers_sort(m, d, (unsigned)((int)m->sort + by + COLUMNS + 1) % (COLUMNS + 1), now, fx);
}

static void toggle_tag(struct model *m, const struct data *d, struct effects *fx)
{
	const struct peer *p = model_selected(m, d);

	if (!p)
		return;
	if (map_get(m->tags, p->key))
		map_remove(m->tags, p->key);
	else
		map_put(m->tags, p->key, m);
	move(m, d, 1, fx);
}

static void untag_all(struct model *m)
{
	map_free(m->tags);
	m->tags = map_new(KEY_BASE64_LEN);
}

bool peers_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	switch (c) {
	case COMMAND_LEFT:
	case COMMAND_SORT_LEFT:
		step_sort(m, d, -1, now, fx);
		break;
	case COMMAND_RIGHT:
	case COMMAND_SORT_RIGHT:
		step_sort(m, d, 1, now, fx);
		break;
	case COMMAND_INVERT:
		m->inverted = !m->inverted;
		effect_add(fx, EFFECT_SETTINGS);
		model_sync(m, d, fx);
		break;
	case COMMAND_WORST_FIRST:
		peers_sort(m, d, SORT_WORST, now, fx);
		break;
	case COMMAND_TAG:
		toggle_tag(m, d, fx);
		break;
	case COMMAND_UNTAG:
		untag_all(m);
		break;
	case COMMAND_OPEN:
		show_screen(m, d, SCREEN_PEER, fx);
		break;
	default:
		return false;
	}
	return true;
}
