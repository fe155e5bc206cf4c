/* The Peer screen's network pane: paths, session, recovery, ICE pairs, relays, and what the other end counts.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tui/text.h"
#include "tui/view.h"

#define WIDE 90 /* from here on both ends of a pair have room */

struct lines {
	struct grid *g;
	const struct scene *s;
	int row, end, limit;
	int skip;  /* lines above the pane's top */
	int count; /* lines so far, drawn or not */
};

static struct pen next(struct lines *l)
{
	int row = -1;

	l->count++;
	if (l->skip > 0)
		l->skip--;
	else if (l->row < l->end)
		row = l->row++;
	return pen_at(l->g, row, 1, l->limit - 1);
}

/* A heading in the last row would have nothing below it. */
static void rule(struct lines *l, const char *title, const char *note)
{
	struct pen p = next(l);

	if (l->row == l->end && !l->skip)
		p.row = -1;

	p.col = 0;
	p.limit = l->limit;
	draw_rule(&p, title, note);
}

static const char *milliseconds(char out[FORMAT_ROOM], double seconds)
{
	if (!(seconds > 0))
		snprintf(out, FORMAT_ROOM, "\u2013");
	else
		snprintf(out, FORMAT_ROOM, "%.*fms", seconds < 0.00995 ? 1 : 0, seconds * 1000);
	return out;
}

static const char *shown(const struct scene *s, const char *address)
{
	return s->m->private && *address ? "(hidden)" : address;
}

/* "in 4s", "due", or the clock time. */
static const char *until(char out[FORMAT_ROOM], const struct scene *s, double at)
{
	char span[FORMAT_ROOM];

	if (s->m->clock_times)
		return format_clock(out, at, false);
	if (at <= s->now)
		snprintf(out, FORMAT_ROOM, "now");
	else
		snprintf(out, FORMAT_ROOM, "in %s", format_span(span, ceil(at - s->now)));
	return out;
}

/* ---- paths ---- */

static void draw_path(struct lines *l, const struct net_path *v)
{
	struct pen p = next(l);
	char a[FORMAT_ROOM], text[32];
	bool up = strcmp(v->state, "up") == 0;

	pen_field(&p, STYLE_ACCENT, 2, v->chosen ? "\u203a" : "");
	pen_field(&p, v->chosen ? STYLE_HEAD : STYLE_PLAIN, 7, v->kind);
	pen_field(&p, up ? STYLE_OK : strcmp(v->state, "stale") == 0 ? STYLE_BAD : STYLE_WARN, 9, v->state);
	pen_field_right(&p, STYLE_PLAIN, 7, milliseconds(a, v->rtt));
	snprintf(text, sizeof(text), "%.1f%%", v->loss * 100);
	pen_field_right(&p, v->loss >= 0.01 ? STYLE_WARN : STYLE_PLAIN, 7, v->pings ? text : "\u2013");
	if (v->mtu)
		snprintf(text, sizeof(text), "%u", v->mtu);
	else
		snprintf(text, sizeof(text), "%s", v->mtu_failed ? "?" : "\u2013");
	pen_field_right(&p, v->mtu_failed ? STYLE_WARN : STYLE_PLAIN, 6, text);
	pen_skip(&p, 2);
	pen_field(&p, STYLE_DIM, 9, v->last_proof > 0 ? part_ago(a, l->s, v->last_proof) : "never");
	if (l->limit >= WIDE && *v->local)
		pen_print(&p, STYLE_PLAIN, "%s \u2192 ", shown(l->s, v->local));
	pen_text(&p, STYLE_PLAIN, shown(l->s, v->remote));
	if (*v->remote_type)
		pen_print(&p, STYLE_DIM, " %s", v->remote_type);
	if (strcmp(v->kind, "relay") == 0 && !v->peer_online)
		pen_text(&p, STYLE_WARN, " peer not there");
	if (strcmp(v->carrier, "libnice") == 0)
		pen_text(&p, STYLE_DIM, " by libnice");
}

static void draw_paths(struct lines *l, const struct network *n)
{
	char note[96];
	struct pen p;

	snprintf(note, sizeof(note), "%s%s%u change%s%s", strcmp(n->preference, "auto") ? n->preference : "",
		 strcmp(n->preference, "auto") ? " preferred, " : "", n->path_changes,
		 n->path_changes == 1 ? "" : "s", l->s->m->pane == PANE_NETWORK ? "  Tab" : "");
	rule(l, "paths", note);
	p = next(l);
	pen_text(&p, STYLE_HEAD, "  kind   state        rtt   loss   mtu  proof    where");
	for (unsigned i = 0; i < n->path_count; i++)
		draw_path(l, &n->paths[i]);
	if (!n->path_count) {
		p = next(l);
		pen_text(&p, STYLE_WARN, "  none: no endpoint, and not seen at any relay");
	}
	if (n->inner_mtu) {
		p = next(l);
		pen_print(&p, STYLE_WARN,
			  "  inner packets of more than %u bytes do not pass: MTU = %u suits this peer",
			  n->inner_mtu, n->inner_mtu);
	}
}

/* ---- session and recovery ---- */

static void draw_session(struct lines *l, const struct network *n)
{
	struct pen p = next(l);
	char a[FORMAT_ROOM];

	pen_field(&p, STYLE_DIM, 9, "session");
	if (!*n->local_session && !*n->remote_session)
		pen_text(&p, STYLE_DIM,
			 n->remote_is_weir ? "none yet" : "none: the other end has not spoken weir");
	else {
		pen_print(&p, STYLE_PLAIN, "ours %.10s", *n->local_session ? n->local_session : "\u2013");
		pen_print(&p, STYLE_PLAIN, "  theirs %.10s",
			  *n->remote_session ? n->remote_session : "\u2013");
		pen_print(&p, STYLE_DIM, "  %s: %s", part_ago(a, l->s, n->local_session_since),
			  n->session_why);
	}
	p = next(l);
	pen_field(&p, STYLE_DIM, 9, "offers");
	pen_print(&p, STYLE_PLAIN, "sent %u, received %u   answers sent %u, received %u", n->offers_sent,
		  n->offers_received, n->answers_sent, n->answers_received);
	if (n->next_offer > l->s->now)
		pen_print(&p, STYLE_DIM, "   next %s", until(a, l->s, n->next_offer));
	if (!n->remote_away)
		return;
	p = next(l);
	pen_field(&p, STYLE_DIM, 9, "remote");
	pen_text(&p, STYLE_INFO, "said goodbye");
	if (n->remote_back > 0)
		pen_print(&p, STYLE_DIM, ", back %s", until(a, l->s, n->remote_back));
}

static void draw_recovery(struct lines *l, const struct network *n)
{
	struct pen p = next(l);
	char a[FORMAT_ROOM], text[TEXT_ROOM];
	bool calm = strcmp(n->watch, "resting") == 0 || strcmp(n->watch, "off") == 0;

	pen_field(&p, STYLE_DIM, 9, "watcher");
	pen_text(&p, calm ? STYLE_PLAIN : STYLE_WARN, n->watch);
	if (*n->watch_path)
		pen_print(&p, STYLE_PLAIN, " on %s", n->watch_path);
	if (n->watch_fires > 0)
		pen_print(&p, STYLE_WARN, ", fires %s", until(a, l->s, n->watch_fires));
	if (*n->watch_why)
		pen_print(&p, STYLE_DIM, ": %s", part_text(text, l->s, n->watch_why));
	p = next(l);
	pen_field(&p, STYLE_DIM, 9, "recovery");
	if (!*n->rung_text) {
		pen_text(&p, STYLE_DIM, n->ladder_held ? "held; nothing to recover" : "nothing to recover");
		return;
	}
	pen_print(&p, STYLE_ACCENT, "%s", n->rung_text);
	if (n->ladder_held)
		pen_text(&p, STYLE_INFO, ", held");
	else if (n->rung_due > 0)
		pen_print(&p, STYLE_ACCENT, " %s", until(a, l->s, n->rung_due));
	if (*n->rung_why)
		pen_print(&p, STYLE_DIM, ": %s", part_text(text, l->s, n->rung_why));
}

/* ---- ICE ---- */

static void draw_pair(struct lines *l, const struct net_pair *v, unsigned number)
{
	struct pen p = next(l);
	bool wide = l->limit >= WIDE;
	char a[FORMAT_ROOM], text[32];
	uint8_t style = strcmp(v->state, "succeeded") == 0 ? STYLE_OK
			: strcmp(v->state, "failed") == 0  ? STYLE_BAD
							   : STYLE_PLAIN;

	pen_field(&p, STYLE_ACCENT, 2, v->selected ? "\u203a" : "");
	snprintf(text, sizeof(text), "%u%s", number, v->nominated ? "*" : "");
	pen_field(&p, STYLE_PLAIN, 4, text);
	if (wide)
		pen_field(&p, STYLE_PLAIN, 28, shown(l->s, v->local));
	pen_field(&p, STYLE_PLAIN, wide ? 28 : 26, shown(l->s, v->remote));
	snprintf(text, sizeof(text), "%s\u2192%s%s", v->local_type, v->remote_type, v->tcp ? " tcp" : "");
	pen_field(&p, STYLE_PLAIN, l->limit >= WIDE ? 14 : 12, text);
	pen_field(&p, style, 12, v->state);
	pen_text(&p, STYLE_PLAIN, milliseconds(a, v->rtt));
	if (v->requests > v->answers + 1)
		pen_print(&p, STYLE_WARN, "  %u/%u answered", v->answers, v->requests);
}

static void draw_ice(struct lines *l, const struct network *n)
{
	char note[128], a[FORMAT_ROOM];
	struct pen p;

	snprintf(note, sizeof(note), "%s  %s  %u local, %u remote%s",
		 n->controlling ? "controlling" : "controlled", n->ice, n->local_candidates,
		 n->remote_candidates, n->fast ? "  fast socket" : "");
	rule(l, "ice", strcmp(n->ice, "none") ? note : "");
	if (!n->pair_count) {
		p = next(l);
		pen_text(&p, STYLE_DIM, "  no pairs");
		if (n->ice_retry > 0)
			pen_print(&p, STYLE_DIM, "; next try for a direct path %s",
				  until(a, l->s, n->ice_retry));
	}
	for (unsigned i = 0; i < n->pair_count; i++)
		draw_pair(l, &n->pairs[i], i + 1);
	if (n->pair_total > n->pair_count) {
		p = next(l);
		pen_print(&p, STYLE_DIM, "  and %u more", n->pair_total - n->pair_count);
	}
	if (*n->observed) {
		p = next(l);
		pen_print(&p, STYLE_DIM, "  the other end sees us at %s", shown(l->s, n->observed));
	}
	if (*n->fast_error && !n->fast) {
		p = next(l);
		pen_print(&p, STYLE_DIM, "  no fast socket: %s", n->fast_error);
	}
}

/* ---- relays, report ---- */

static void draw_relays(struct lines *l, const struct data *d)
{
	char a[FORMAT_ROOM];

	rule(l, "relays", "");
	for (unsigned i = 0; i < d->relays_count; i++) {
		const struct net_relay *r = &d->relays[i];
		bool up = strcmp(r->state, "up") == 0;
		struct pen p = next(l);

		pen_skip(&p, 2);
		pen_field(&p, STYLE_PLAIN, 9, r->role);
		pen_field(&p, up ? STYLE_OK : STYLE_WARN, 11, r->state);
		pen_field_right(&p, STYLE_PLAIN, 7, milliseconds(a, r->rtt));
		pen_print(&p, STYLE_PLAIN, "  %s", shown(l->s, r->url));
		if (r->since > 0)
			pen_print(&p, STYLE_DIM, "  %s", part_ago(a, l->s, r->since));
		if (r->generation > 1)
			pen_print(&p, STYLE_DIM, ", connection %u", r->generation);
		if (r->dropped)
			pen_print(&p, STYLE_WARN, ", %llu dropped", (unsigned long long)r->dropped);
		if (up || !*r->error)
			continue;
		p = next(l);
		pen_skip(&p, 11);
		pen_print(&p, STYLE_WARN, "%s", shown(l->s, r->error));
		if (r->next_try > 0)
			pen_print(&p, STYLE_DIM, "; next try %s", until(a, l->s, r->next_try));
	}
	if (!d->relays_count) {
		struct pen p = next(l);

		pen_text(&p, STYLE_DIM, "  none configured");
	}
}

static void draw_report(struct lines *l, const struct peer *peer, const struct network *n)
{
	const struct net_report *r = &n->report;
	struct pen p;
	char a[FORMAT_ROOM];

	rule(l, "what the other end counts", n->has_report ? part_ago(a, l->s, r->at) : "");
	p = next(l);
	if (!n->has_report) {
		pen_text(&p, STYLE_DIM, "  no report yet");
		return;
	}
	pen_print(&p, STYLE_PLAIN,
		  "  our initiations: we sent %llu, they took %llu and answered %llu; handshakes %llu",
		  (unsigned long long)peer->initiations, (unsigned long long)r->initiations_received,
		  (unsigned long long)r->responses_sent, (unsigned long long)r->handshakes);
	p = next(l);
	pen_print(&p, STYLE_PLAIN, "  packets: they sent %llu and received %llu, send by %s",
		  (unsigned long long)r->data_sent, (unsigned long long)r->data_received,
		  *r->path ? r->path : "none");
	if (r->last_received_age >= 0)
		pen_print(&p, STYLE_DIM, "; heard us %s before", format_age(a, r->last_received_age));
	if (r->rejected_mac1 + r->rejected_timestamp + r->rejected_response + r->rejected_unknown_index +
		    r->rejected_source ==
	    0)
		return;
	p = next(l);
	pen_text(&p, STYLE_WARN, "  refused:");
	if (r->rejected_mac1)
		pen_print(&p, STYLE_WARN, " %llu not for its key", (unsigned long long)r->rejected_mac1);
	if (r->rejected_timestamp)
		pen_print(&p, STYLE_WARN, " %llu old timestamps", (unsigned long long)r->rejected_timestamp);
	if (r->rejected_response)
		pen_print(&p, STYLE_WARN, " %llu responses", (unsigned long long)r->rejected_response);
	if (r->rejected_unknown_index)
		pen_print(&p, STYLE_WARN, " %llu unknown keys",
			  (unsigned long long)r->rejected_unknown_index);
	if (r->rejected_source)
		pen_print(&p, STYLE_WARN, " %llu inner sources", (unsigned long long)r->rejected_source);
}

static int all_lines(struct lines *l, const struct peer *p)
{
	const struct network *n = p->network;

	draw_paths(l, n);
	draw_session(l, n);
	draw_recovery(l, n);
	draw_ice(l, n);
	draw_relays(l, l->s->d);
	draw_report(l, p, n);
	return l->count;
}

int view_network_lines(const struct scene *s, const struct peer *p, int limit)
{
	struct grid nowhere = {0};
	struct lines l = {.g = &nowhere, .s = s, .limit = limit};

	return p->network ? all_lines(&l, p) : 0;
}

int view_network(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows, int limit)
{
	struct lines l = {.g = g, .s = s, .row = row, .end = row + rows, .limit = limit};
	int total = view_network_lines(s, p, limit), top = s->m->pane_top[PANE_NETWORK];

	if (!p->network || rows <= 0)
		return 0;
	l.skip = top + rows <= total ? top : total > rows ? total - rows : 0;
	all_lines(&l, p);
	return l.row - row;
}
