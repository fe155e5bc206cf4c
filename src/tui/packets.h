/*
 * What the tap sent: the newest packets, each with what answers it, and what the Packets screen shows of
 * them. Filled by packets_read from the notifications "packets" of weir-control(7). No clock, no I/O.
 */
#ifndef WEIR_TUI_PACKETS_H
#define WEIR_TUI_PACKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "tap/decode.h"
#include "tap/filter.h"
#include "tap/packet.h"
#include "tui/format.h"

#define PACKETS_KEPT  8192
#define PACKETS_BYTES (16u << 20) /* of packets that are kept: the oldest leave sooner when they are big */

struct packet {
	uint64_t number; /* counted by the view, from 1 */
	struct tap_meta meta;
	uint64_t flow, exchange; /* as decode_flow and decode_exchange say */
	uint64_t partner; /* number of the packet that it answers, or that answers it; 0: none was seen */
	bool answer;
	uint32_t captured;
	uint8_t *data; /* owned */
};

#define PACKETS_OPEN 4096 /* requests that wait for their answer, by exchange */

struct packets {
	uint64_t newest; /* number of the last one, 0: none came yet */
	size_t count, bytes;
	uint64_t lost;			  /* what the engine or the connection could not keep up with */
	uint64_t lost_told;		  /* the last word of the engine about that */
	struct packet ring[PACKETS_KEPT]; /* number n is at n % PACKETS_KEPT */
	uint64_t open[PACKETS_OPEN];	  /* number of the last request of an exchange */
};

struct packets *packets_new(void);
void packets_free(struct packets *p); /* NULL is allowed */
struct packets *packets_clone(const struct packets *p);

/* The bytes are copied. */
void packets_add(struct packets *p, const struct tap_meta *m, const uint8_t *data, size_t captured);

/* The engine says how many it has lost so far in this tap; a new tap counts from 0 again. */
void packets_lost(struct packets *p, uint64_t lost);

/* NULL: it left, or has not come. p may be NULL. */
const struct packet *packets_get(const struct packets *p, uint64_t number);
uint64_t packets_oldest(const struct packets *p); /* newest + 1 if there is none */

/* Requests of the same kind before this one, and how many of them were answered. */
struct packets_like {
	unsigned earlier, answered;
};
struct packets_like packets_like(const struct packets *p, const struct packet *k);

/*
 * The decode of a packet, and below it what the engine and the ring know: whose it is, which way, which try,
 * answered or not. now: Unix seconds. label: its peer's name.
 */
void packets_decode(struct decode *out, const struct packets *p, const struct packet *k, const char *label,
		    double now);

/* One sentence about the answer: "answered by 2211 after 31.0 ms", "no answer within 5.0s; 26 earlier like
 * it, 0 answered". "" where there is no such thing. */
void packets_verdict(char *out, size_t size, const struct packets *p, const struct packet *k, double now);

/* "03:12:39.203" in UTC. */
const char *packet_clock(char out[FORMAT_ROOM], const struct packet *k);

/* ---- what the screen shows ---- */

#define PACKET_FILTER_ROOM 256
#define PACKET_LAYERS	   32 /* layers of a tree that can be closed */
#define PACKET_NO_LINE	   0xffffffffu

enum packet_pane { PACKET_LIST, PACKET_TREE, PACKET_BYTES, PACKET_PANES };

struct packet_model {
	char good[PACKET_FILTER_ROOM]; /* the text that `parsed` was made of */
	char error[200];	       /* why the text that stands there now does not parse, "": it does */
	bool names;		       /* it asks for names of hosts: parsed when Enter comes */
	struct tap_filter *parsed;     /* owned; NULL: everything */
	struct tap_filter *wanted;     /* owned: what n and N look for, the last filter that was taken */
	uint8_t points;		       /* bits of enum tap_point; 0: all */
	char tapped_peer[45];	       /* a peer tapped by T, whatever screen is up; "": none */

	double typed_at; /* the engine's clock when the filter changed last */
	bool tapping;	 /* what the engine was asked for last: */
	char tapping_filter[PACKET_FILTER_ROOM];
	uint8_t tapping_points;
	long asked;	   /* id of that request */
	char refused[200]; /* what it answered, if it did not like it */

	uint64_t *rows; /* numbers of the packets that are listed, ascending; owned */
	size_t count, room;
	uint64_t looked_at; /* number of the newest packet that was looked at */
	uint64_t selected;  /* number, also while the filter hides it; 0: none */
	uint64_t shown;	    /* number of the packet in the panes */
	size_t row, top;
	bool free; /* does not follow the newest: the user moved away from it */

	bool panes_off, whole; /* whole: the pane of the keys has the screen */
	enum packet_pane pane;
	unsigned line;	 /* in the tree, of the lines that show; PACKET_NO_LINE: nobody chose one */
	uint32_t closed; /* layers, by their order */
	unsigned bytes_top;
	unsigned shift; /* cells of INFO that were scrolled out to the left */

	char jump[32];
};

/* What the method "tap" wants to know, into its parameters: filter, points, how much of a packet. */
struct json_t;
void packets_request(struct json_t *params, const struct packet_model *pm);

void packet_model_clear(struct packet_model *pm);

/* Lines of the tree that show: indexes into lines[]. */
unsigned packet_tree(const struct packet_model *pm, const struct decode *d, uint8_t shown[DECODE_LINES]);
/* The line that the tree begins with when nobody chose one: the innermost layer that has bytes. */
unsigned packet_main_line(const struct packet_model *pm, const struct decode *d);

/* NULL: none is listed. */
const struct packet *packets_selected(const struct packet_model *pm, const struct packets *p);

/* Rows of the screen. 0: not there. */
struct packet_layout {
	int list_row, list_rows;
	int rule_row;		 /* above the panes */
	int tree_row, tree_rows; /* decode */
	int bytes_rule;		 /* rule of its own, where the panes are not side by side */
	int bytes_row, bytes_rows;
	int split; /* column of the line between them; 0: one above the other, or one of them */
	int status_row, help_row;
};
struct packet_layout packet_layout(const struct packet_model *pm, int width, int height);

/* A file of pcapng with the packets that are listed. label: the name of each one's peer. */
void packets_file(struct strbuf *out, const struct packets *p, const struct packet_model *pm,
		  const char *interface, const char *hostname, const char *version,
		  const char *(*label)(void *arg, const struct key *k), void *arg);

/* A packet as bytes in hex, 16 to a line. */
void packets_hex(struct strbuf *out, const struct packet *k);

#endif
