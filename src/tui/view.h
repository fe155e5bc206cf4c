/* The views: data and model in, cells out. They change nothing and call nothing but draw.h. */
#ifndef WEIR_TUI_VIEW_H
#define WEIR_TUI_VIEW_H

#include "tui/data.h"
#include "tui/draw.h"
#include "tui/format.h"
#include "tui/layout.h"
#include "tui/model.h"
#include "tui/past.h"

struct scene {
	const struct data *d;
	const struct model *m;
	double now;		 /* Unix seconds of the engine's clock, or the moment of the past */
	const struct past *past; /* what there is of it, while it is shown; else NULL */
	double present;		 /* the engine's clock, while the past is shown */
	struct layout l;	 /* made by view_draw */
};

/* The whole screen into g, whose size counts. */
void view_draw(struct grid *g, struct scene *s);

void view_peers(struct grid *g, const struct scene *s);
void view_detail(struct grid *g, const struct scene *s); /* the pane below the table */
void view_peer(struct grid *g, const struct scene *s);
/* The network pane: rows used, of at most `rows`; and how many it would have. */
int view_network(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows, int limit);
int view_network_lines(const struct scene *s, const struct peer *p, int limit);
/* The diagnosis pane, of at most `rows`: rows used; how many it would have; and its lines without the title.
 */
int view_diagnosis(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows, int limit);
int view_diagnosis_rows(const struct scene *s, const struct peer *p, int limit);
int view_diagnosis_brief(struct grid *g, const struct scene *s, const struct peer *p, int row, int rows,
			 int limit);
void view_packets(struct grid *g, const struct scene *s);
void packets_prompt(struct grid *g,
		    const struct scene *s); /* the bottom line while something is typed there */
void view_log(struct grid *g, const struct scene *s);
void view_past(struct grid *g, const struct scene *s); /* over the first line and the last */
void view_help(struct grid *g, const struct scene *s);
void view_prompt(struct grid *g, const struct scene *s); /* over the bottom of what is there */

/* ---- parts that several of them use (view_parts.c) ---- */

#define TEXT_ROOM 320

uint32_t part_glyph(enum word w);
uint8_t part_style(const struct peer *p);

/* Free text of the engine as it may be shown: scrubbed in private mode. */
const char *part_text(char out[TEXT_ROOM], const struct scene *s, const char *text);

/* The verdict on a peer, or the short reason for its word; "" if all is well. */
const char *part_verdict(char out[TEXT_ROOM], const struct scene *s, const struct peer *p);

/* "31s ago", or "03:12:41" with clock times; "never" for 0. */
const char *part_ago(char out[FORMAT_ROOM], const struct scene *s, double at);

/* "e 198.51.100.23:41641", or what stands in its way; long addresses lose their middle. */
const char *part_path(char out[TEXT_ROOM], const struct scene *s, const struct peer *p, int cells);

/* "fra1" of "rels://fra1.example.net:443": its first name, or its address. */
const char *part_relay(char out[FORMAT_ROOM], const struct scene *s, const char *url);

/* Is it reached by something else than its endpoint: ICE, TURN or a relay? */
bool part_carried(const struct peer *p);

/* The next step of recovery with its countdown and its keys; false if there is nothing to recover. */
bool part_recovery(struct pen *p, const struct scene *s, const struct peer *peer);
/* "direct up", "none". */
void part_path_state(struct pen *pen, const struct peer *p);

/* The endpoint alone; "(hidden)" in private mode, "none". */
const char *part_endpoint(const struct scene *s, const struct peer *p);

const struct keypair *part_keypair(const struct peer *p, const char *slot);
const struct timer *part_timer(const struct peer *p, const char *name);

/* A sparkline of the newest `cells` samples; as an oscilloscope (the write head moves, cells stay) if scope.
 */
void part_spark(struct pen *p, const struct scene *s, const float *a, const float *b, int cells, bool scope);

/* The time at the right end of the first line: also FROZEN, and silence of the engine. */
void part_time(struct pen *p, const struct scene *s);

/* The line for keys, a message or the filter being typed. */
void part_bottom(struct grid *g, const struct scene *s);

/* One timeline entry: time, peer unless it is about one peer only, text. */
void part_event(struct pen *p, const struct scene *s, const struct event *ev, bool name);

/* "handshake try 7 of 18 (silence), next in 3s; 27 sent, 27 unanswered", or how the last one went. */
const char *part_handshake(char out[TEXT_ROOM], const struct scene *s, const struct peer *p);

#endif
