/*
 * Command-line options of all commands. One table says how each is spelled, what it takes and what it is for:
 * the parser and the help text both read it.
 */
#ifndef WEIR_CMD_OPTIONS_H
#define WEIR_CMD_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/log.h"
#include "tui/tui.h"

/* Of an option that may be given more than once. */
#define OPTION_LIST_MAX 8
struct option_list {
	const char *items[OPTION_LIST_MAX];
	unsigned count;
};

struct options {
	bool help;
	bool headless, readonly, ascii, slow;	     /* how to show it */
	bool plain_io, no_sandbox;		     /* how to run it */
	bool json, check, follow;		     /* what to print */
	const char *run_dir, *state_dir, *interface; /* NULL: the usual */
	unsigned workers;			     /* 0: by itself */
	unsigned time_divisor;			     /* 0: real time */
	const char *output, *at;		     /* weir bundle, weir replay */
	bool anonymise;
	unsigned seconds;
	unsigned history; /* MiB of the recorded past */
	enum tui_color color;
	enum log_level log_level;
	bool log_level_given;

	/* weir log, events, top */
	struct option_list rooms;
	const char *peer, *since;
	bool batch;
	unsigned tables, interval; /* 0: for ever; every second */

	const char *metrics; /* where an exporter listens, "off": nowhere; NULL: as the configuration says */

	/* weir trace */
	unsigned size; /* 0: a small packet */

	/* weir capture */
	struct option_list points;
	const char *write, *format, *keep;
	unsigned packets, duration, snaplen, rotate_size, rotate_time, files, last; /* 0: no limit */
	bool with_keys;

	/* weir netreport; stun also weir relay, where the last one counts */
	struct option_list stun, relays;
	const char *portal_url;
	bool lan;

	/* weir relay */
	const char *listen, *url, *secret_file, *cert_file, *key_file, *allow_file, *status, *user;
	const char *stun_other_port, *stun_other_address;
	unsigned max_clients, max_per_address, rate, queue, login_time; /* 0: the usual */
	bool trust_proxy;
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_LIST, OPTION_NUMBER, OPTION_WHEN, OPTION_LEVEL };

struct option_entry {
	const char *name;  /* without its dashes */
	char letter;	   /* short form, or 0 */
	const char *value; /* what the help calls its argument; NULL: takes none */
	enum option_kind kind;
	size_t offset;	   /* in struct options */
	unsigned min, max; /* of a number */
	const char *text;  /* one line for the help */
};

extern const struct option_entry option_table[];
extern const size_t option_table_size;

/* True when `names` (words, separated by spaces) has the entry's name. "help" is in every list. */
bool option_allowed(const struct option_entry *entry, const char *names);

/*
 * Reads argv[1] and up; options may stand anywhere before "--". What is left over is moved to argv[1..*rest],
 * in order. Defaults come from the environment (NO_COLOR, WG_COLOR_MODE). An unknown or unfit option is
 * EXIT_USAGE.
 */
int options_parse(struct options *o, const char *names, int argc, char **argv, int *rest, struct error *e);

/* The word of `words` that is nearest to `text`, NULL when none is near. */
const char *nearest_word(const char *text, const char *const *words, size_t count);

#endif
