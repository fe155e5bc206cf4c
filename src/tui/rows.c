/* Which peers and which log lines are on screen, in which order. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "tui/model.h"
#include "tui/text.h"

static void rows_reserve(struct rows *r, size_t count)
{
	if (r->room < count) {
		r->room = count + count / 2 + 16;
		r->index = xrealloc(r->index, r->room * sizeof(*r->index));
	}
	r->count = 0;
}

/* Calls match for each word of the pattern; a word that starts with '!' must not match. */
static bool all_words(const char *pattern, bool (*match)(const void *what, const char *word),
		      const void *what)
{
	char copy[FILTER_ROOM], *save = NULL;

	text_copy(copy, sizeof(copy), pattern);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		bool unwanted = *word == '!' && word[1];

		if (match(what, word + unwanted) == unwanted)
			return false;
	}
	return true;
}

struct subject {
	const struct peer *peer;
	bool private;
};

static bool peer_has(const void *what, const char *word)
{
	const struct subject *s = what;
	const struct peer *p = s->peer;
	char label[LABEL_ROOM];

	if (text_contains(peer_label(label, p, s->private), word) ||
	    text_contains(word_name(p->word), word) || text_contains(p->tunnel, word) ||
	    text_contains(p->path_state, word))
		return true;
	/* What is hidden is not found either: matching would tell. */
	return !s->private && (text_contains(p->key, word) || text_contains(p->endpoint, word) ||
			       text_contains(p->host, word) || text_contains(p->allowed, word) ||
			       text_contains(p->reason, word));
}

bool row_matches_peer(const struct model *m, const struct peer *p, const char *pattern)
{
	struct subject s = {p, m->private};

	return all_words(pattern, peer_has, &s);
}

static bool line_has(const void *what, const char *word)
{
	const struct log_line *line = what;

	return text_contains(line->text, word) || text_contains(line->peer, word) ||
	       text_contains(line->room, word) || text_contains(level_name(line->level), word);
}

bool row_matches_line(const struct log_line *line, const char *pattern)
{
	return all_words(pattern, line_has, line);
}

/* A number or a text for each peer, worked out once, so that sorting 10,000 stays fast. */
struct sort_row {
	double number;
	const char *text;
	uint32_t index;
};

static double sort_number(const struct peer *p, unsigned sort)
{
	const struct keypair *k = p->keypairs;

	switch (sort) {
	case COLUMN_KEY:
		for (unsigned i = 0; i < p->keypairs_count; i++)
			if (strcmp(k[i].slot, "current") == 0)
				return -k[i].created_at;
		return 0;
	case COLUMN_HS:
		return p->latest_handshake; /* the oldest first, never before all */
	case COLUMN_RTT:
		return -p->shown_rtt;
	case COLUMN_LOSS:
		return -p->shown_loss;
	case COLUMN_RX:
		return -p->shown_rx;
	case COLUMN_TX:
		return -p->shown_tx;
	case COLUMN_LAST:
		return -(p->shown_rx + p->shown_tx);
	case COLUMN_STATE:
		return p->word;
	case SORT_WORST:
		return p->word + (peer_is_problem(p) ? 0 : 100);
	default:
		return 0;
	}
}

static int compare(const void *va, const void *vb)
{
	const struct sort_row *a = va, *b = vb;
	int c;

	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	c = strcasecmp(a->text, b->text);
	return c ? c : a->index < b->index ? -1 : 1;
}

static const char *sort_text(const struct peer *p, unsigned sort)
{
	if (sort == COLUMN_PATH)
		return p->endpoint;
	if (sort == COLUMN_SESSION)
		return p->network ? p->network->local_session : "";
	return *p->name ? p->name : p->key;
}

void rows_peers(struct model *m, const struct data *d)
{
	struct sort_row *sorted = xmalloc((d->peers_count + 1) * sizeof(*sorted));
	size_t count = 0;

	for (size_t i = 0; i < d->peers_count; i++) {
		const struct peer *p = d->peers[i];

		if (!*m->filter || row_matches_peer(m, p, m->filter))
			sorted[count++] = (struct sort_row){sort_number(p, m->sort), sort_text(p, m->sort),
							    (uint32_t)i};
	}
	qsort(sorted, count, sizeof(*sorted), compare);
	rows_reserve(&m->rows, count);
	for (size_t i = 0; i < count; i++)
		m->rows.index[i] = sorted[m->inverted ? count - 1 - i : i].index;
	m->rows.count = count;
	free(sorted);
}

void rows_log(struct model *m, const struct data *d)
{
	rows_reserve(&m->lines, d->log_count);
	for (size_t i = d->log_count; i-- > 0;) {
		const struct log_line *line = &d->log[i];

		if (line->level > m->log_level || (*m->log_room && strcmp(line->room, m->log_room) != 0) ||
		    (*m->log_peer && strcmp(line->peer, m->log_peer) != 0) ||
		    (*m->log_filter && !row_matches_line(line, m->log_filter)))
			continue;
		m->lines.index[m->lines.count++] = (uint32_t)i;
	}
}

const char *line_peer(char out[LABEL_ROOM], const struct model *m, const struct data *d, const char *peer)
{
	size_t start = strspn(peer, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=");

	text_copy(out, LABEL_ROOM, peer);
	if (!m->private || start < 4)
		return out;
	for (size_t i = 0; i < d->peers_count; i++)
		if (strcmp(d->peers[i]->name, peer) == 0)
			return out;
	for (size_t i = 0; i < d->peers_count; i++)
		if (strncmp(d->peers[i]->key, peer, start) == 0)
			return peer_label(out, d->peers[i], true);
	/* Not a peer of ours any more: still the start of a key, perhaps. */
	if (start >= 8)
		text_copy(out, LABEL_ROOM, "(hidden)");
	return out;
}
