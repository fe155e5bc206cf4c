/*
 * What the engine said: the newest snapshot, put together from deltas, and what the view keeps beside it
 * (rates, history, events, log lines). Filled by data_line from the lines of weir-control(7); all text in it
 * is clean (text.h). No clock, no I/O.
 */
#ifndef WEIR_TUI_DATA_H
#define WEIR_TUI_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/key.h"
#include "tui/diagnosis.h"
#include "tui/network.h"

#define HISTORY	     96	  /* samples of rates that are kept */
#define EVENTS_KEPT  2048 /* timeline entries of all peers */
#define LOG_KEPT     4096
#define COUNTERS_MAX 64
#define DATA_RELAYS  16

struct prefix {
	uint8_t family; /* AF_INET or AF_INET6 */
	uint8_t length;
	uint8_t bytes[16];
};

struct keypair {
	char slot[12]; /* "next", "current", "previous" */
	char local_index[12], remote_index[12];
	double created_at, rekey_at, expires_at; /* Unix seconds */
	bool initiator, confirmed;
	uint64_t sent, received, lost;
};

struct timer {
	char name[24];
	double due_at, period;
};

#define KEYPAIRS_MAX 3
#define TIMERS_MAX   8

enum word { WORD_STUCK, WORD_WAIT, WORD_DRAIN, WORD_RELAY, WORD_DIRECT, WORD_IDLE, WORD_DOWN, WORDS };

struct peer {
	char key[KEY_BASE64_LEN + 1];
	char name[64];	 /* "" if none */
	unsigned serial; /* order of arrival, from 1: what an unnamed peer is called in privacy mode */
	bool psk, draining;
	unsigned keepalive; /* s */
	char *allowed;	    /* "10.0.0.2/32, fd09::7/128", "" if none */
	struct prefix *prefixes;
	size_t prefixes_count, allowed_total;
	char endpoint[64], origin[16], host[272], source[64], resolve_error[160];

	enum word word;
	double word_since;
	char reason[256], path_kind[12], path_state[12], tunnel[16];

	double latest_handshake, handshake_rtt, last_received, last_sent, unanswered_since;
	uint64_t rx, tx;
	double loss; /* 0..1 */
	unsigned attempt, attempts;
	char handshake_reason[32];
	uint64_t initiations, unanswered, given_up;
	struct keypair keypairs[KEYPAIRS_MAX];
	unsigned keypairs_count;
	struct timer timers[TIMERS_MAX];
	unsigned timers_count;
	unsigned staged;
	uint64_t counters[COUNTERS_MAX]; /* index: counter_slot */

	struct network *network;   /* owned; NULL: the peer has no controller */
	struct findings *findings; /* owned; NULL: nothing is wrong with it */
	/* The same when it was asked for, of a peer that is well too: what works. Owned; NULL: never asked.
	 */
	struct findings *explained;
	double explained_at;

	/* Kept by the view. */
	uint64_t sampled_rx, sampled_tx;
	float history_rx[HISTORY], history_tx[HISTORY];	  /* bytes per second, ring: data.samples */
	double shown_rx, shown_tx, shown_rtt, shown_loss; /* follow with 10 % hysteresis: a quiet screen */
};

struct event {
	double at;
	uint64_t seq;
	char key[KEY_BASE64_LEN + 1], name[64]; /* "" if device-wide */
	uint8_t level;
	char text[256];
};

enum level { LEVEL_ERROR, LEVEL_WARN, LEVEL_NOTICE, LEVEL_INFO, LEVEL_DEBUG, LEVELS };

struct log_line {
	double at;
	uint64_t seq;
	uint8_t level;
	char room[12], peer[48], text[280];
};

struct map;
struct packets;

struct data {
	bool full; /* the first snapshot has come */
	bool gone;
	char gone_reason[160];

	char interface[20], hostname[72], version[24], aead[32], nat[24];
	char public_key[KEY_BASE64_LEN + 1]; /* ours, "" if there is none */
	long pid;
	unsigned listen_port, mtu, workers;
	bool readonly, up, under_load;
	bool tun_vnet, tun_tso, tun_uso, udp_gso, udp_gro;
	double started_at, at; /* Unix seconds */
	uint64_t rx, tx;       /* all peers, removed ones too */
	uint64_t counters[COUNTERS_MAX];
	struct net_relay relays[DATA_RELAYS];
	unsigned relays_count;

	struct peer **peers; /* in order of creation */
	size_t peers_count, peers_room;
	struct map *by_key;
	unsigned serials;
	unsigned words[WORDS]; /* how many peers have it */

	uint64_t samples; /* taken so far; sample n is at history[(n - 1) % HISTORY] */
	double sampled_at;
	uint64_t sampled_rx, sampled_tx;
	float history_rx[HISTORY], history_tx[HISTORY];
	double shown_rx, shown_tx;
	struct {
		double at;
		uint64_t done;
	} handshakes[HISTORY]; /* handshakes completed by then, ring like the others */

	struct event *events; /* ascending by seq */
	size_t events_count;
	struct log_line *log; /* ascending by seq */
	size_t log_count;
	struct packets *packets; /* NULL: none came yet */
};

/* A rate that is shown, or -1: there are no two samples yet to take it from. */
double data_rate(const struct data *d, double shown);

struct data *data_new(void);
void data_free(struct data *d);

/* A deep copy: the picture that stands still while frozen. */
struct data *data_clone(const struct data *d);

/* What a line was. */
enum news { NEWS_BAD, NEWS_OTHER, NEWS_SNAPSHOT, NEWS_EVENT, NEWS_LOG, NEWS_PACKETS, NEWS_BYE, NEWS_REPLY };

struct reply {
	long id;
	bool ok;
	unsigned peers; /* how many the action was for */
	char text[400]; /* the error, the summary of a reload, or the peers that failed; "" if none */
};

/*
 * Takes in one line. `interval` is what was asked for between snapshots (s): samples of rates are that far
 * apart. A reply with a timeline is merged into the events.
 */
enum news data_line(struct data *d, const char *line, size_t len, double interval, struct reply *reply);

struct peer *data_peer(const struct data *d, const char *key); /* NULL if not there */

/* Name, or the start of the key; in private mode "peer-3" for unnamed ones. out has 64 bytes. */
#define LABEL_ROOM 72
const char *peer_label(char out[LABEL_ROOM], const struct peer *p, bool private);

/* The best verdict on a peer, NULL if nothing is wrong with it. */
const struct finding *peer_finding(const struct peer *p);

/* What its diagnosis pane shows: of the last snapshot, or as it was explained a moment ago; NULL if neither.
 */
const struct findings *peer_findings(const struct data *d, const struct peer *p);

const char *word_name(enum word w); /* "STUCK" */
const char *level_name(enum level l);

/* The peer whose allowed IPs own an address; longest prefix. *certain is false if lists were cut. */
const struct peer *data_owner(const struct data *d, const char *address, bool *certain);

/* Handshakes completed in the last minute; sums of counters whose names start with prefix. */
unsigned data_handshakes_per_minute(const struct data *d);

/* ---- counters: names of the protocol, meanings of ours ---- */

/* Slot of a counter name; makes one for a name that this version does not know. -1: no room. */
int counter_slot(const char *name);
int counter_slots(void);
const char *counter_name(int slot);
const char *counter_meaning(int slot); /* a few words for a narrow pane; the name if unknown */
bool counter_is_reject(int slot);
uint64_t counter_sum_rejects(const uint64_t counters[COUNTERS_MAX]);

#endif
