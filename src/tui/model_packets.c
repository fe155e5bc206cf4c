/* The Packets screen: what is listed, what is selected, and what the engine is asked for. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "tui/model_internal.h"
#include "tui/packets_internal.h"
#include "tui/text.h"

void packet_model_clear(struct packet_model *pm)
{
	tap_filter_free(pm->parsed);
	tap_filter_free(pm->wanted);
	free(pm->rows);
	*pm = (struct packet_model){0};
}

/* ---- to the engine ---- */

/* It taps while the screen is up, or while T keeps a peer tapped; and anew when filter or points change. */
void packets_ask(struct model *m, const struct data *d, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	bool wanted = !m->readonly && (m->screen == SCREEN_PACKETS || *pm->tapped_peer);
	struct effect *e;

	if (!wanted && !pm->tapping)
		return;
	/* Each new filter costs what the engine has in hand: while one is typed, once per refresh is enough.
	 */
	if (wanted && pm->tapping && m->mode == MODE_FILTER && d->at == pm->typed_at)
		return;
	if (wanted && pm->tapping && pm->tapping_points == pm->points &&
	    strcmp(pm->tapping_filter, pm->good) == 0)
		return;
	pm->tapping = wanted;
	pm->tapping_points = pm->points;
	text_copy(pm->tapping_filter, sizeof(pm->tapping_filter), pm->good);
	*pm->refused = '\0';
	e = effect_add(fx, EFFECT_REQUEST);
	e->method = wanted ? "tap" : "untap";
	e->id = pm->asked = model_expect(m, COMMAND_PACKETS, "");
}

void packets_reply(struct model *m, const struct reply *r, double now)
{
	struct packet_model *pm = &m->packets;

	if (r->ok || r->id != pm->asked)
		return;
	text_copy(pm->refused, sizeof(pm->refused), *r->text ? r->text : "the engine did not say why");
	model_say(m, now, true, "no packets: %s", pm->refused);
}

/* ---- what is listed ---- */

static bool listed(const struct packet_model *pm, const struct packet *k)
{
	if (pm->points && !(pm->points >> k->meta.point & 1))
		return false;
	return !pm->parsed || tap_filter_match(pm->parsed, &k->meta, k->data, k->captured);
}

static void append(struct packet_model *pm, uint64_t number)
{
	if (pm->count == pm->room) {
		pm->room = pm->room ? 2 * pm->room : 1024;
		pm->rows = xrealloc(pm->rows, pm->room * sizeof(*pm->rows));
	}
	pm->rows[pm->count++] = number;
}

/* Packets that left the ring leave the list; the others keep their place on the screen. */
static void forget_gone(struct packet_model *pm, uint64_t oldest)
{
	size_t gone = 0;

	while (gone < pm->count && pm->rows[gone] < oldest)
		gone++;
	if (!gone)
		return;
	memmove(pm->rows, pm->rows + gone, (pm->count - gone) * sizeof(*pm->rows));
	pm->count -= gone;
	pm->top -= gone < pm->top ? gone : pm->top;
}

void packets_list(struct packet_model *pm, const struct packets *p)
{
	uint64_t oldest = packets_oldest(p), n = pm->looked_at + 1;

	if (!p) { /* none came yet, or the past is shown, which has none */
		pm->count = 0;
		pm->looked_at = 0;
		return;
	}
	forget_gone(pm, oldest);
	for (n = n < oldest ? oldest : n; n <= p->newest; n++)
		if (listed(pm, packets_get(p, n)))
			append(pm, n);
	if (p->newest > pm->looked_at)
		pm->looked_at = p->newest;
}

/* Filter or points are others now. */
static void list_anew(struct packet_model *pm)
{
	pm->count = 0;
	pm->looked_at = 0;
}

size_t packets_row_from(const struct packet_model *pm, uint64_t number)
{
	size_t low = 0, high = pm->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (pm->rows[middle] < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct packet *packets_selected(const struct packet_model *pm, const struct packets *p)
{
	return pm->row < pm->count ? packets_get(p, pm->rows[pm->row]) : NULL;
}

/* Another packet is shown: tree and bytes begin anew. */
static void show_row(struct packet_model *pm, size_t row)
{
	pm->row = row;
	if (!pm->count || pm->shown == pm->rows[row])
		return;
	pm->shown = pm->rows[row];
	pm->line = PACKET_NO_LINE;
	pm->bytes_top = 0;
	pm->closed = 0;
}

static void select_packet(struct packet_model *pm, size_t row)
{
	show_row(pm, row);
	if (pm->count)
		pm->selected = pm->rows[row];
}

void packets_fit(struct model *m)
{
	struct packet_model *pm = &m->packets;
	struct packet_layout l = packet_layout(pm, m->width, m->height);
	size_t visible = l.list_rows > 0 ? (size_t)l.list_rows : 1;

	if (pm->row >= pm->count)
		pm->row = pm->count ? pm->count - 1 : 0;
	if (!pm->free)
		pm->top = pm->count > visible ? pm->count - visible : 0;
	pm->top = scrolled(pm->top, pm->row, pm->count, visible);
}

void packets_sync(struct model *m, const struct data *d, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	size_t row;

	packets_list(pm, d->packets);
	if (!pm->free || !pm->selected) {
		select_packet(pm, pm->count ? pm->count - 1 : 0);
	} else {
		/* A packet that the filter hides for the moment is not forgotten: only the row moves. */
		row = packets_row_from(pm, pm->selected);
		show_row(pm, row < pm->count ? row : pm->count ? pm->count - 1 : 0);
	}
	packets_fit(m);
	packets_ask(m, d, fx);
}

/* ---- the filter ---- */

/* Peers by name, key, or a start of the key that only one has. NULL: nobody, or several. */
static const struct peer *named_peer(const struct data *d, const char *text)
{
	const struct peer *found = NULL;
	size_t len = strlen(text), count = 0;

	for (size_t i = 0; i < d->peers_count; i++) {
		const struct peer *p = d->peers[i];

		if (strcmp(p->name, text) == 0 || strcmp(p->key, text) == 0)
			return p;
		if (len >= 4 && strncmp(p->key, text, len) == 0) {
			found = p;
			count++;
		}
	}
	return count == 1 ? found : NULL;
}

static bool resolve_peers(struct tap_filter *f, const struct data *d, char *why, size_t size)
{
	for (unsigned i = 0; i < f->count; i++) {
		struct tap_node *n = &f->nodes[i];
		const struct peer *p;

		if (n->kind != TAP_NODE_PEER)
			continue;
		p = named_peer(d, n->peer);
		if (!p || !key_from_base64(&n->key, p->key)) {
			snprintf(why, size, "there is no peer \"%s\"", n->peer);
			return false;
		}
		snprintf(n->peer, sizeof(n->peer), "%s", p->key);
	}
	return true;
}

/* What the filter is now. The old one stays at hand for n and N when there is none any more. */
static void take_filter(struct packet_model *pm, struct tap_filter *f, const char *text)
{
	if (f || !pm->parsed) {
		tap_filter_free(pm->parsed);
	} else {
		tap_filter_free(pm->wanted);
		pm->wanted = pm->parsed;
	}
	pm->parsed = f;
	text_copy(pm->good, sizeof(pm->good), text);
	list_anew(pm);
}

static bool is_blank(const char *text)
{
	return !text[strspn(text, " ")];
}

void packets_filtered(struct model *m, const struct data *d, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	struct tap_filter *f = NULL;
	struct error e = {0};

	*pm->error = '\0';
	pm->names = false;
	if (strcmp(m->packet_filter, pm->good) == 0)
		return;
	pm->typed_at = d->at;
	*pm->tapped_peer = '\0'; /* a filter that is typed is for this screen */
	if (is_blank(m->packet_filter)) {
		take_filter(pm, NULL, "");
	} else if (m->mode == MODE_FILTER && packet_filter_asks_names(m->packet_filter)) {
		pm->names = true;
	} else if (tap_filter_parse(&f, m->packet_filter, &e) < 0) {
		/* "filter, column 3, at ...": that it is about the filter is plain here. */
		text_clean(pm->error, sizeof(pm->error), e.text + (strncmp(e.text, "filter, ", 8) ? 0 : 8));
	} else if (!resolve_peers(f, d, pm->error, sizeof(pm->error))) {
		tap_filter_free(f);
	} else {
		take_filter(pm, f, m->packet_filter);
	}
	packets_sync(m, d, fx);
}

/* ---- T ---- */

/* A name goes into the language in quotes when it is more than a plain word; one with a quote in it, by the
 * key. */
static void peer_words(char *out, size_t size, const struct peer *p)
{
	static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";

	if (!*p->name || strchr(p->name, '"'))
		snprintf(out, size, "peer %s", p->key);
	else if (p->name[strspn(p->name, plain)])
		snprintf(out, size, "peer \"%s\"", p->name);
	else
		snprintf(out, size, "peer %s", p->name);
}

void packets_set_filter(struct model *m, const struct data *d, const char *text, struct effects *fx)
{
	text_copy(m->packet_filter, sizeof(m->packet_filter), text);
	packets_filtered(m, d, fx);
}

void packets_tap(struct model *m, const struct data *d, const struct peer *p, double now, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	char words[PACKET_FILTER_ROOM], label[LABEL_ROOM];

	peer_label(label, p, m->private);
	if (strcmp(pm->tapped_peer, p->key) == 0) {
		packets_set_filter(m, d, "", fx);
		model_say(m, now, false, "%s is tapped no more", label);
	} else {
		peer_words(words, sizeof(words), p);
		packets_set_filter(m, d, words, fx);
		text_copy(pm->tapped_peer, sizeof(pm->tapped_peer), p->key);
		show_screen(m, d, SCREEN_PACKETS, fx);
		model_say(m, now, false, "%s is tapped, on other screens too; T again ends it", label);
	}
	packets_ask(m, d, fx);
}

static void tap_peer(struct model *m, const struct data *d, double now, struct effects *fx)
{
	struct packet_model *pm = &m->packets;
	const struct peer *p = model_selected(m, d);
	const struct packet *k = packets_selected(pm, d->packets);
	char key[KEY_BASE64_LEN + 1];

	if (m->screen == SCREEN_PACKETS && *pm->tapped_peer) {
		p = data_peer(d, pm->tapped_peer);
	} else if (m->screen == SCREEN_PACKETS && k) {
		key_to_base64(key, &k->meta.peer);
		p = k->meta.has_peer ? data_peer(d, key) : NULL;
	}
	if (!p) {
		model_say(m, now, false, "there is no peer to tap");
		return;
	}
	packets_tap(m, d, p, now, fx);
}

/* ---- moving ---- */

static void list_move(struct packet_model *pm, long by)
{
	size_t row = moved(pm->row, by, pm->count);

	pm->free = row + 1 < pm->count || by < 0;
	select_packet(pm, row);
}

void packets_go(struct model *m, size_t row)
{
	struct packet_model *pm = &m->packets;

	row = row < pm->count ? row : pm->count - 1;
	pm->free = row + 1 < pm->count;
	select_packet(pm, row);
}

static size_t hex_lines(const struct packet *k)
{
	return k ? (k->captured + 15) / 16 : 0;
}

static unsigned tree_lines(const struct packet_model *pm, const struct packets *p, struct decode *d,
			   uint8_t shown[DECODE_LINES])
{
	const struct packet *k = packets_selected(pm, p);

	if (!k)
		return 0;
	packets_decode(d, p, k, "x", 0);
	return packet_tree(pm, d, shown);
}

static void tree_move(struct packet_model *pm, const struct packets *p, long by)
{
	uint8_t shown[DECODE_LINES];
	struct decode d;
	unsigned count = tree_lines(pm, p, &d, shown);

	if (count && pm->line == PACKET_NO_LINE)
		pm->line = packet_main_line(pm, &d);
	pm->line = count ? (unsigned)moved(pm->line, by, count) : PACKET_NO_LINE;
}

void packets_move(struct model *m, const struct data *d, long by, struct effects *fx)
{
	struct packet_model *pm = &m->packets;

	(void)fx;
	if (pm->pane == PACKET_TREE)
		tree_move(pm, d->packets, by);
	else if (pm->pane == PACKET_BYTES)
		pm->bytes_top =
			(unsigned)moved(pm->bytes_top, by, hex_lines(packets_selected(pm, d->packets)));
	else
		list_move(pm, by);
	packets_fit(m);
}

static long page_of(const struct model *m)
{
	struct packet_layout l = packet_layout(&m->packets, m->width, m->height);
	int rows = m->packets.pane == PACKET_TREE    ? l.tree_rows
		   : m->packets.pane == PACKET_BYTES ? l.bytes_rows
						     : l.list_rows;

	return rows > 2 ? rows - 1 : 1;
}

/* Opens or closes the layer that the selected line belongs to. */
static void toggle_layer(struct packet_model *pm, const struct packets *p)
{
	uint8_t shown[DECODE_LINES];
	struct decode d;
	unsigned count = tree_lines(pm, p, &d, shown), layer = 0;

	if (!count)
		return;
	if (pm->line == PACKET_NO_LINE)
		pm->line = packet_main_line(pm, &d);
	if (pm->line >= count)
		pm->line = count - 1;
	for (unsigned i = 0; i <= pm->line; i++)
		layer += !d.lines[shown[i]].depth;
	if (!layer || layer > PACKET_LAYERS)
		return;
	while (pm->line && d.lines[shown[pm->line]].depth)
		pm->line--;
	pm->closed ^= 1u << (layer - 1);
}

static void step_pane(struct packet_model *pm, int by)
{
	pm->panes_off = false;
	pm->pane = (enum packet_pane)(((int)pm->pane + by + PACKET_PANES) % PACKET_PANES);
}

static void open_pane(struct packet_model *pm, const struct packets *p)
{
	if (pm->panes_off || pm->pane == PACKET_LIST) {
		pm->panes_off = false;
		pm->pane = PACKET_TREE;
	} else if (pm->pane == PACKET_TREE) {
		toggle_layer(pm, p);
	}
}

/* To the next row, forwards or back, of which `is` is true. */
static bool step_to(struct model *m, const struct packets *p, int by,
		    bool (*is)(const struct packet_model *pm, const struct packet *k, uint64_t what),
		    uint64_t what)
{
	struct packet_model *pm = &m->packets;

	for (size_t i = pm->row; by > 0 ? i + 1 < pm->count : i > 0;) {
		const struct packet *k = packets_get(p, pm->rows[i += (size_t)(long)by]);

		if (k && is(pm, k, what)) {
			list_move(pm, (long)i - (long)pm->row);
			return true;
		}
	}
	return false;
}

static bool same_flow(const struct packet_model *pm, const struct packet *k, uint64_t flow)
{
	(void)pm;
	return k->flow == flow;
}

static void step_flow(struct model *m, const struct packets *p, int by, double now)
{
	const struct packet *k = packets_selected(&m->packets, p);

	if (!k || !k->flow)
		model_say(m, now, false, k ? "this packet belongs to no flow" : "there is no packet");
	else if (!step_to(m, p, by, same_flow, k->flow))
		model_say(m, now, false, "no %s packet of this flow", by > 0 ? "later" : "earlier");
}

/* With a filter every row matches; without one, n and N look for the last. */
static bool matches(const struct packet_model *pm, const struct packet *k, uint64_t what)
{
	(void)what;
	return pm->parsed || tap_filter_match(pm->wanted, &k->meta, k->data, k->captured);
}

static void step_wanted(struct model *m, const struct packets *p, int by, double now)
{
	if (!m->packets.parsed && !m->packets.wanted)
		model_say(m, now, false, "nothing to look for yet: / takes a filter");
	else if (!step_to(m, p, by, matches, 0))
		model_say(m, now, false, "no %s packet that matches", by > 0 ? "later" : "earlier");
}

/* ---- the rest of the keys ---- */

static void set_points(struct model *m, uint8_t points, double now)
{
	struct packet_model *pm = &m->packets;

	pm->points = points;
	list_anew(pm);
	model_say(m, now, false, "points:%s%s%s%s%s", pm->points ? "" : " all",
		  pm->points >> TAP_WIRE & 1 ? " wire" : "", pm->points >> TAP_INNER & 1 ? " inner" : "",
		  pm->points >> TAP_RELAY & 1 ? " relay" : "", pm->points >> TAP_SIGNAL & 1 ? " signal" : "");
}

void packets_points(struct model *m, const struct data *d, uint8_t points, double now, struct effects *fx)
{
	set_points(m, points, now);
	packets_sync(m, d, fx);
}

static void next_points(struct model *m, double now)
{
	static const uint8_t sets[] = {0,
				       1 << TAP_WIRE,
				       1 << TAP_INNER,
				       1 << TAP_WIRE | 1 << TAP_INNER,
				       1 << TAP_RELAY,
				       1 << TAP_SIGNAL};
	struct packet_model *pm = &m->packets;
	size_t i = 0;

	while (i < sizeof(sets) && sets[i] != pm->points)
		i++;
	set_points(m, sets[(i + 1) % sizeof(sets)], now);
}

static bool packet_keys(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	struct packet_model *pm = &m->packets;

	switch (c) {
	case COMMAND_PACKET_FOLLOW:
		pm->free = !pm->free;
		if (!pm->free)
			pm->pane = PACKET_LIST;
		break;
	case COMMAND_PACKET_POINTS:
		next_points(m, now);
		break;
	case COMMAND_PACKET_PANES:
		pm->panes_off = !pm->panes_off;
		pm->whole = false;
		pm->pane = PACKET_LIST;
		break;
	case COMMAND_FLOW_NEXT:
	case COMMAND_FLOW_PREVIOUS:
		step_flow(m, d->packets, c == COMMAND_FLOW_NEXT ? 1 : -1, now);
		break;
	case COMMAND_NEXT_MATCH:
	case COMMAND_PREVIOUS_MATCH:
		step_wanted(m, d->packets, c == COMMAND_NEXT_MATCH ? 1 : -1, now);
		break;
	case COMMAND_INFO_LEFT:
		pm->shift -= pm->shift < 8 ? pm->shift : 8;
		break;
	case COMMAND_INFO_RIGHT:
		pm->shift += pm->shift < 160 ? 8 : 0;
		break;
	case COMMAND_PACKET_JUMP:
		m->mode = MODE_JUMP;
		*pm->jump = '\0';
		break;
	case COMMAND_PACKET_SAVE:
		packets_save(m, d, now, fx);
		break;
	case COMMAND_COPY:
		packets_copy(m, d, now, fx);
		break;
	default:
		return false;
	}
	return true;
}

bool packets_command(struct model *m, const struct data *d, enum command c, double now, struct effects *fx)
{
	struct packet_model *pm = &m->packets;

	switch (c) {
	case COMMAND_BACK:
		if (pm->pane == PACKET_LIST && !pm->whole)
			return false;
		pm->pane = pm->whole ? pm->pane : PACKET_LIST;
		pm->whole = false;
		break;
	case COMMAND_WHOLE:
		pm->whole = !pm->whole;
		break;
	case COMMAND_OPEN:
		open_pane(pm, d->packets);
		break;
	case COMMAND_NEXT_PANE:
	case COMMAND_PREVIOUS_PANE:
		step_pane(pm, c == COMMAND_NEXT_PANE ? 1 : -1);
		break;
	case COMMAND_PAGE_DOWN:
	case COMMAND_PAGE_UP:
		packets_move(m, d, c == COMMAND_PAGE_DOWN ? page_of(m) : -page_of(m), fx);
		break;
	default:
		if (!packet_keys(m, d, c, now, fx))
			return false;
	}
	packets_sync(m, d, fx);
	return true;
}

bool packets_tap_command(struct model *m, const struct data *d, enum command c, double now,
			 struct effects *fx)
{
	if (c != COMMAND_TAP)
		return false;
	tap_peer(m, d, now, fx);
	return true;
}
