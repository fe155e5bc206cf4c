#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

uint32_t part_glyph(enum word w)
{
	static const uint32_t glyphs[WORDS] = {0x2717, 0x25cb, 0x2016, 0x25d0, 0x25cf, 0xb7, 0x2013};

	return w < WORDS ? glyphs[w] : '?';
}

/* Colour follows the tunnel: a path that is up says nothing about the session over it. */
uint8_t part_style(const struct peer *p)
{
	switch (p->word) {
	case WORD_STUCK:
		return STYLE_BAD;
	case WORD_WAIT:
		return STYLE_WARN;
	case WORD_DRAIN:
		return STYLE_INFO;
	case WORD_IDLE:
	case WORD_DOWN:
		return STYLE_DIM;
	default:
		if (strcmp(p->tunnel, "up") == 0)
			return peer_in_trouble(p) ? STYLE_WARN : STYLE_OK;
		return strcmp(p->tunnel, "expired") == 0 || strcmp(p->tunnel, "no-keys") == 0 ? STYLE_DIM
											      : STYLE_WARN;
	}
}

const char *part_text(char out[TEXT_ROOM], const struct scene *s, const char *text)
{
	if (s->m->private)
		text_scrub(out, TEXT_ROOM, text);
	else
		text_copy(out, TEXT_ROOM, text);
	return out;
}

const char *part_ago(char out[FORMAT_ROOM], const struct scene *s, double at)
{
	char age[FORMAT_ROOM];

	if (!(at > 0))
		snprintf(out, FORMAT_ROOM, "never");
	else if (s->m->clock_times)
		format_clock(out, at, false);
	else
		snprintf(out, FORMAT_ROOM, "%s ago", format_age(age, s->now - at));
	return out;
}

const char *part_endpoint(const struct scene *s, const struct peer *p)
{
	return !*p->endpoint ? "none" : s->m->private ? "(hidden)" : p->endpoint;
}

static char origin_letter(const struct peer *p)
{
	static const struct {
		const char *origin;
		char letter;
	} letters[] = {{"configured", 'e'}, {"resolved", 'n'}, {"roamed", 'm'}, {"persisted", 'd'}};

	for (size_t i = 0; i < sizeof(letters) / sizeof(letters[0]); i++)
		if (strcmp(p->origin, letters[i].origin) == 0)
			return letters[i].letter;
	return '-';
}

/* Addresses are ASCII: their middle goes, since port and prefix tell more. */
static void cut_middle(char *out, size_t size, const char *address, int cells)
{
	int len = (int)strlen(address), head = (cells - 1) * 3 / 5, tail = cells - 1 - head;

	if (len <= cells || cells < 8)
		snprintf(out, size, "%s", address);
	else
		snprintf(out, size, "%.*s\u2026%s", head, address, address + len - tail);
}

bool part_carried(const struct peer *p)
{
	return *p->path_kind && strcmp(p->path_kind, "direct") != 0 && strcmp(p->path_kind, "none") != 0;
}

const char *part_relay(char out[FORMAT_ROOM], const struct scene *s, const char *url)
{
	const char *slashes = strstr(url, "//"), *host = slashes ? slashes + 2 : url;
	size_t len;

	/* Many are called relay-something, where the second half says which. */
	if (strncmp(host, "relay-", 6) == 0 && isalnum((unsigned char)host[6]))
		host += 6;
	len = strcspn(host, ".:/");
	/* A number has no first name: its address stays whole. */
	if (s->m->private)
		snprintf(out, FORMAT_ROOM, "(hidden)");
	else if (*host == '[' || (*host >= '0' && *host <= '9'))
		snprintf(out, FORMAT_ROOM, "%.*s", (int)strcspn(host, "/"), host);
	else
		snprintf(out, FORMAT_ROOM, "%.*s", (int)len, host);
	return out;
}

/* A path that is no endpoint of ours: "s 203.0.113.9:41641", "r relay.example.net". */
static const char *carried_path(char out[TEXT_ROOM], const struct scene *s, const struct peer *p, int cells)
{
	const struct net_path *path = network_chosen(p->network);
	char letter = 'r', text[TEXT_ROOM], span[FORMAT_ROOM];
	bool relay = strcmp(p->path_kind, "relay") == 0;

	if (!path || cells < 16) {
		snprintf(out, TEXT_ROOM, "%s",
			 path && relay ? part_relay(span, s, path->remote) : p->path_kind);
		return out;
	}
	if (!relay)
		letter = *path->remote_type && *path->remote_type != 'r' ? *path->remote_type : 't';
	cut_middle(text, sizeof(text),
		   s->m->private ? "(hidden)"
		   : relay	 ? part_relay(span, s, path->remote)
				 : path->remote,
		   cells - 2);
	snprintf(out, TEXT_ROOM, "%c %.300s", letter, text);
	if (relay && p->network->ice_retry > s->now && strcmp(p->network->ice, "connecting") != 0 &&
	    (int)text_cells(out) + 16 < cells)
		snprintf(out + strlen(out), 40, ", ice retry in %s",
			 format_span(span, ceil(p->network->ice_retry - s->now)));
	return out;
}

/* "checking 3/6 pairs, 8s": how many are decided. */
static const char *checking(char out[TEXT_ROOM], const struct scene *s, const struct network *n, int cells)
{
	unsigned decided = 0;
	char span[FORMAT_ROOM];

	for (unsigned i = 0; i < n->pair_count; i++)
		decided += strcmp(n->pairs[i].state, "succeeded") == 0 ||
			   strcmp(n->pairs[i].state, "failed") == 0;
	snprintf(out, TEXT_ROOM, "checking");
	if (cells >= 19)
		snprintf(out, TEXT_ROOM, "checking %u/%u pairs", decided, n->pair_total);
	if (cells >= 26 && n->ice_since > 0)
		snprintf(out + strlen(out), 40, ", %s", format_span(span, s->now - n->ice_since));
	return out;
}

const char *part_path(char out[TEXT_ROOM], const struct scene *s, const struct peer *p, int cells)
{
	char text[TEXT_ROOM];

	if (part_carried(p))
		return carried_path(out, s, p, cells);
	if (p->network && *p->path_kind && strcmp(p->path_kind, "none") == 0 &&
	    strcmp(p->network->ice, "connecting") == 0)
		return checking(out, s, p->network, cells);
	if (!*p->endpoint && *p->resolve_error)
		snprintf(out, TEXT_ROOM, "name not resolved");
	else if (!*p->endpoint && *p->host)
		snprintf(out, TEXT_ROOM, "resolving name");
	else if (!*p->endpoint)
		snprintf(out, TEXT_ROOM, "no endpoint");
	else if (cells < 16)
		snprintf(out, TEXT_ROOM, "%s", *p->path_kind ? p->path_kind : "direct");
	else {
		cut_middle(text, sizeof(text), part_endpoint(s, p), cells - 2);
		snprintf(out, TEXT_ROOM, "%c %.300s", origin_letter(p), text);
	}
	return out;
}

const struct keypair *part_keypair(const struct peer *p, const char *slot)
{
	for (unsigned i = 0; i < p->keypairs_count; i++)
		if (strcmp(p->keypairs[i].slot, slot) == 0)
			return &p->keypairs[i];
	return NULL;
}

const struct timer *part_timer(const struct peer *p, const char *name)
{
	for (unsigned i = 0; i < p->timers_count; i++)
		if (strcmp(p->timers[i].name, name) == 0)
			return &p->timers[i];
	return NULL;
}

void part_spark(struct pen *p, const struct scene *s, const float *a, const float *b, int cells, bool scope)
{
	uint64_t samples = s->d->samples;
	float peak = 1000; /* keepalives alone stay low */
	bool flat = true;

	if (s->m->slow || s->m->no_sparks)
		return; /* what moves all the time is the first to go */
	if (cells > HISTORY - 1)
		cells = HISTORY - 1;
	for (int i = 0; i < HISTORY; i++) {
		float v = a[i] + (b ? b[i] : 0);

		peak = v > peak ? v : peak;
		flat &= v == 0;
	}
	for (int i = 0; i < cells && p->col < p->limit; i++) {
		/* Sample number n goes to cell n % (cells + 1) of a scope; the cell after the head is blank.
		 */
		uint64_t n = samples - (uint64_t)cells + (uint64_t)i;
		uint32_t glyph = ' ';
		int col = p->col;

		if (scope)
			n = samples - 1 - (samples - 1 + (uint64_t)cells - (uint64_t)i) % (uint64_t)cells;
		if (n < samples) {
			float v = a[n % HISTORY] + (b ? b[n % HISTORY] : 0);

			glyph = style_spark(v > 0 ? (unsigned)ceilf(v / peak * (SPARK_LEVELS - 1)) : 0);
		}
		if (scope && samples && !flat && i == (int)(samples % (uint64_t)cells))
			glyph = ' ';
		grid_put(p->grid, p->row, col, p->limit, glyph, STYLE_INFO);
		p->col++;
	}
}

void part_time(struct pen *p, const struct scene *s)
{
	double quiet = s->now - s->d->at;
	char clock[FORMAT_ROOM], text[80], span[FORMAT_ROOM];

	p->limit--;
	if (s->m->frozen) {
		snprintf(text, sizeof(text), "FROZEN since %sZ", format_clock(clock, s->m->frozen_at, false));
		pen_right(p, STYLE_WARN, text);
	} else if (s->d->full && quiet > 3 * model_intervals[s->m->interval] + 2) {
		snprintf(text, sizeof(text), "no news for %s", format_span(span, quiet));
		pen_right(p, STYLE_BAD, text);
	} else {
		snprintf(text, sizeof(text), "%sZ", format_clock(clock, s->now, false));
		pen_right(p, STYLE_PLAIN, text);
	}
	p->limit--;
}

/* A line that is being typed, with the cursor behind it. */
static void draw_typing(struct grid *g, struct pen *p, char sign, const char *text, const char *note)
{
	/* Its end is what matters when it is longer than the screen. */
	while ((int)text_cells(text) > p->limit - p->col - 3) {
		uint32_t ch;

		text += text_decode(text, &ch);
	}
	pen_print(p, STYLE_ACCENT, "%c %s", sign, text);
	g->cursor_row = p->row;
	g->cursor_col = p->col < g->width ? p->col : g->width - 1;
	if (*note && p->limit - p->col > 8) {
		pen_skip(p, 3);
		pen_text(p, STYLE_DIM, note);
	}
}

void part_bottom(struct grid *g, const struct scene *s)
{
	const struct model *m = s->m;
	struct pen p = pen_at(g, g->height - 1, 1, g->width - 1);
	char hints[400], text[TEXT_ROOM];

	if (m->mode == MODE_JUMP || (m->mode == MODE_FILTER && m->screen == SCREEN_PACKETS)) {
		packets_prompt(g, s);
	} else if (m->mode == MODE_FILTER) {
		if (m->screen == SCREEN_LOG)
			snprintf(text, sizeof(text), "%zu of %zu lines", m->lines.count, s->d->log_count);
		else if (m->screen == SCREEN_PEERS)
			snprintf(text, sizeof(text), "%zu of %zu peers", m->rows.count, s->d->peers_count);
		else
			*text = '\0';
		draw_typing(g, &p, '/', model_filter(m), text);
	} else if (m->mode == MODE_TYPE) {
		model_candidates(m, s->d, text, sizeof(text));
		draw_typing(g, &p, ':', m->typed, text);
	} else if (m->mode == MODE_GOTO) {
		draw_typing(g, &p, '#', m->typed, "a time: 03:12, 03:12:41, 90s, 5m, 2h ago");
	} else if (*m->message && s->now < m->message_until) {
		pen_text(&p, m->message_bad ? STYLE_BAD : STYLE_ACCENT, part_text(text, s, m->message));
	} else {
		key_hints(hints, sizeof(hints), model_where(m), m->readonly, g->width - 2);
		pen_text(&p, STYLE_DIM, hints);
	}
}

void part_event(struct pen *p, const struct scene *s, const struct event *ev, bool name)
{
	char clock[FORMAT_ROOM], text[TEXT_ROOM], label[LABEL_ROOM] = "";
	const struct peer *peer = data_peer(s->d, ev->key);

	pen_print(p, STYLE_DIM, "%s ", format_clock(clock, ev->at, false));
	if (name) {
		if (peer)
			peer_label(label, peer, s->m->private);
		else
			text_copy(label, sizeof(label), ev->name);
		pen_field(p, STYLE_PLAIN, 10, label);
		pen_skip(p, 1);
	}
	pen_text(p,
		 ev->level == LEVEL_ERROR  ? STYLE_BAD
		 : ev->level == LEVEL_WARN ? STYLE_WARN
					   : STYLE_PLAIN,
		 part_text(text, s, ev->text));
}

const char *part_handshake(char out[TEXT_ROOM], const struct scene *s, const struct peer *p)
{
	const struct timer *retry = part_timer(p, "retry");
	char ago[FORMAT_ROOM], next[FORMAT_ROOM] = "", took[48] = "", why[48] = "", of[16] = "";

	if (p->attempt) {
		if (retry)
			format_span(next, ceil(retry->due_at - s->now));
		if (s->m->width >= 72 && *p->handshake_reason && strcmp(p->handshake_reason, "none") != 0)
			snprintf(why, sizeof(why), " (%s)", p->handshake_reason);
		for (char *c = why; *c; c++)
			*c = *c == '_' ? ' ' : *c;
		/* New data begins the count of those that are left anew. */
		if (p->attempt <= p->attempts)
			snprintf(of, sizeof(of), " of %u", p->attempts);
		snprintf(out, TEXT_ROOM, "try %u%s%s%s%s; %llu sent, %llu unanswered", p->attempt, of, why,
			 *next ? ", next in " : "", next, (unsigned long long)p->initiations,
			 (unsigned long long)p->unanswered);
		return out;
	}
	if (p->shown_rtt > 0)
		snprintf(took, sizeof(took), ", took %.*f ms", p->shown_rtt < 0.00995 ? 1 : 0,
			 p->shown_rtt * 1000);
	snprintf(out, TEXT_ROOM, "last %s%s; %llu sent, %llu unanswered",
		 part_ago(ago, s, p->latest_handshake), took, (unsigned long long)p->initiations,
		 (unsigned long long)p->unanswered);
	return out;
}

bool part_recovery(struct pen *p, const struct scene *s, const struct peer *peer)
{
	static const struct {
		enum command command;
		const char *does;
	} keys[] = {
		{COMMAND_LADDER_NOW, "now"}, {COMMAND_LADDER_SKIP, "skip"}, {COMMAND_LADDER_HOLD, "hold"}};
	const struct network *n = peer->network;
	char span[FORMAT_ROOM], hints[64] = "";

	if (!n || !*n->rung_text)
		return false;
	pen_text(p, STYLE_ACCENT, n->rung_text);
	if (n->ladder_held)
		pen_text(p, STYLE_INFO, ", held");
	else if (n->rung_due > s->now && s->m->clock_times)
		pen_print(p, STYLE_ACCENT, " at %s", format_clock(span, n->rung_due, false));
	else if (n->rung_due > s->now)
		pen_print(p, STYLE_ACCENT, " in %s", format_span(span, ceil(n->rung_due - s->now)));
	else
		pen_text(p, STYLE_ACCENT, " now");
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		snprintf(hints + strlen(hints), sizeof(hints) - strlen(hints), "  %s %s",
			 key_of(keys[i].command)->shown, i == 2 && n->ladder_held ? "go on" : keys[i].does);
	if (!s->m->readonly)
		pen_text(p, STYLE_DIM, (int)strlen(hints) < p->limit - p->col ? hints : "  x menu");
	return true;
}

void part_path_state(struct pen *pen, const struct peer *p)
{
	bool none = strcmp(p->path_state, "none") == 0 || !*p->path_state;

	pen_print(pen, strcmp(p->path_state, "up") == 0 ? STYLE_OK : STYLE_WARN, "%s%s%s",
		  none ? "none" : p->path_kind, none ? "" : " ", none ? "" : p->path_state);
}
