/*
 * What the user is doing: screen, selection, order, filter, tags, prompt. model_key is the reducer: a key in,
 * a changed model and a list of effects out. It reads struct data, and touches nothing else: no clock, no
 * terminal.
 */
#ifndef WEIR_TUI_MODEL_H
#define WEIR_TUI_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tui/data.h"
#include "tui/keys.h"
#include "tui/layout.h"
#include "tui/packets.h"

enum screen { SCREEN_PEERS, SCREEN_PEER, SCREEN_PACKETS, SCREEN_LOG };
enum mode {
	MODE_NORMAL,
	MODE_FILTER,
	MODE_MENU,
	MODE_CONFIRM,
	MODE_HELP,
	MODE_COLUMNS, /* the menu of columns */
	MODE_TYPE,    /* a command after ':' */
	MODE_GOTO,    /* a time after '#' */
	MODE_JUMP,    /* a packet's number or time after '#' */
};
enum pane { PANE_SESSIONS, PANE_COUNTERS, PANE_NETWORK, PANE_DIAGNOSIS, PANE_TIMELINE, PANES };

#define SORT_WORST  COLUMNS /* the default */
#define FILTER_ROOM 64
#define INTERVALS   5

#define HISTORY_LINES 32 /* typed commands that are remembered */

struct rows {
	uint32_t *index;
	size_t count, room;
};

/* Whether this SSH session depends on what a prompt is about. */
enum ssh_route { SSH_NONE, SSH_ELSEWHERE, SSH_THROUGH, SSH_UNCERTAIN };

struct prompt {
	enum command command;
	const char *argument;		     /* NULL: what action_argument says */
	char (*targets)[KEY_BASE64_LEN + 1]; /* fixed when the question came up, whatever moves since */
	size_t count;
	enum ssh_route route;
	char through[LABEL_ROOM];		      /* peer that the session runs through */
	char expected[LABEL_ROOM], typed[LABEL_ROOM]; /* name to type, "": a plain y is enough */
};

struct pending {
	long id;
	enum command command;
	char label[LABEL_ROOM];
	const char *value; /* what was asked for, NULL: the command says it all */
	bool quiet;	   /* asked by the view itself: a failure is nobody's news */
};

/* Time travel. */
struct model_past {
	bool on, loading;
	bool bundle; /* there is nothing but the past */
	double at;
};

struct model {
	enum screen screen, came_from;
	enum mode mode;
	bool readonly;
	int width, height; /* of the terminal, for pages and scrolling */

	char selected[KEY_BASE64_LEN + 1]; /* the peer, whatever row it is on; "": none yet */
	size_t row, top;		   /* where it is in rows, and the first row on screen */
	struct rows rows;		   /* peers as shown: filtered and sorted */
	unsigned sort;			   /* enum column, or SORT_WORST */
	bool inverted;
	char filter[FILTER_ROOM], log_filter[FILTER_ROOM], pattern[FILTER_ROOM];
	char packet_filter[PACKET_FILTER_ROOM], filter_before[PACKET_FILTER_ROOM];
	char selected_before[KEY_BASE64_LEN + 1]; /* when the filter was begun */
	struct column_choice columns;
	int column_row;	  /* in the menu of columns */
	struct map *tags; /* keys of tagged peers */

	bool clock_times, bits, private, mouse;
	bool slow;	/* chosen because the terminal cannot keep up: plain, and every 5 s */
	bool no_sparks; /* --slow: nothing that moves all the time */
	unsigned interval, interval_default, interval_before; /* index of model_intervals; before: slow */
	bool frozen;
	double frozen_at;
	struct model_past past;

	enum pane pane;
	int pane_top[PANES];
	bool pane_whole; /* the pane of the focus has the whole screen */

	struct rows lines; /* log lines as shown, newest first */
	uint64_t line_selected;
	size_t line, line_top;
	bool follow;
	enum level log_level;
	char log_room[12], log_peer[48];

	struct packet_model packets;

	char typed[200];			      /* after ':' or '#' */
	char history[HISTORY_LINES][200], draft[200]; /* commands before; what was being typed */
	unsigned history_count, history_back;	      /* all so far; how far back we are, 0: the draft */
	int help_top;
	struct prompt prompt;
	char message[400];
	bool message_bad;
	double message_until;

	char ssh_client[64];	    /* address that this session comes from, "" if none */
	struct pending pending[64]; /* by id */
	long last_id;
	char fetched[KEY_BASE64_LEN + 1]; /* peer whose older events were asked for */
	double explained_at;		  /* when its diagnosis was asked for, by the clock of the data */
};

extern const double model_intervals[INTERVALS]; /* s */

enum effect_kind {
	EFFECT_REQUEST,	  /* method, key of the peer ("" if none), id, name and value (or text) of a parameter
			   */
	EFFECT_SUBSCRIBE, /* with the interval of the model */
	EFFECT_COPY,	  /* text, or bytes if there are any */
	EFFECT_WRITE,	  /* bytes to a file of the name text; label says what they are */
	EFFECT_FREEZE,
	EFFECT_THAW,
	EFFECT_REDRAW,
	EFFECT_SUSPEND,
	EFFECT_SETTINGS, /* a setting changed: to be saved */
	EFFECT_MOUSE,	 /* on or off, as the model has it */
	EFFECT_SLOW,	 /* plain or not, as the model has it */
	EFFECT_REPORT,	 /* of a peer (key), or without a key the log, to a file */
	EFFECT_QUIT,
	EFFECT_QUIT_KEEP,
	EFFECT_PAST, /* move */
};

enum past_move {
	PAST_ENTER,
	PAST_ENTER_MINUTE, /* and go a minute back */
	PAST_LEAVE,
	PAST_BACK,
	PAST_FORTH,
	PAST_MINUTE_BACK,
	PAST_MINUTE_FORTH,
	PAST_OLDEST,
	PAST_NEWEST,
};

struct effect {
	enum effect_kind kind;
	enum past_move move;
	const char *method;
	const char *name, *value; /* one more parameter, NULL: none */
	char key[KEY_BASE64_LEN + 1];
	long id;
	char text[400], label[48];
	struct strbuf bytes; /* owned */
};

struct effects {
	struct effect *list;
	size_t count, room;
};

void effects_clear(struct effects *fx); /* forgets them; keeps nothing allocated */

void model_init(struct model *m);
void model_clear(struct model *m);

/* Brings rows and selection in line with new data; effects for what is worth asking for. */
void model_sync(struct model *m, const struct data *d, struct effects *fx);

/* A key was pressed at `now` (Unix seconds of the engine). */
void model_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);

void model_resize(struct model *m, const struct data *d, int width, int height);

/* The engine answered. */
void model_reply(struct model *m, const struct reply *r, double now);

void model_say(struct model *m, double now, bool bad, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* ---- for the reducer's own files and the views ---- */

const struct peer *model_selected(const struct model *m, const struct data *d); /* NULL if none */
bool model_tagged(const struct model *m, const struct peer *p);
bool peer_in_trouble(const struct peer *p); /* there is a verdict, and it is no note */
bool peer_is_problem(const struct peer *p);
struct layout model_layout(const struct model *m, const struct data *d);
int model_overlay_rows(const struct model *m);
enum where model_where(const struct model *m);
const char *model_filter(const struct model *m); /* of the screen that is up */

/* The terminal does not keep up: plain and every 5 s from now on. + and - end it. */
void model_slow(struct model *m, double now, struct effects *fx);

/* What Tab would put next, for the line being typed; "" if nothing. */
void model_candidates(const struct model *m, const struct data *d, char *out, size_t size);

/* rows.c */
void rows_peers(struct model *m, const struct data *d);
void rows_log(struct model *m, const struct data *d);
bool row_matches_peer(const struct model *m, const struct peer *p, const char *pattern);
bool row_matches_line(const struct log_line *line, const char *pattern);
/* How a log line names its peer on screen: in private mode a key's start becomes "peer-3". */
const char *line_peer(char out[LABEL_ROOM], const struct model *m, const struct data *d, const char *peer);

/* actions.c: prompts, menu, replies */
void action_ask(struct model *m, const struct data *d, enum command c, double now, struct effects *fx);
void action_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);
void action_menu_key(struct model *m, const struct data *d, uint32_t code, double now, struct effects *fx);
const char *action_method(enum command c);
/* The parameter that goes with it, and its name; NULL: none. */
const char *action_argument(const struct prompt *q, const struct peer *p, const char **name);
void prompt_clear(struct prompt *p);
/* The same for a word that was typed: a name, "all" (NULL targets the tagged or the selected peer). */
void action_ask_for(struct model *m, const struct data *d, enum command c, const char *argument,
		    const char *who, double now, struct effects *fx);
struct effect *effect_add(struct effects *fx, enum effect_kind kind);
long model_expect(struct model *m, enum command c, const char *label);

#endif
