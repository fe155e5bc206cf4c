/* What the files of rules share; no other room includes it. */
#ifndef WEIR_DIAGNOSE_RULES_INTERNAL_H
#define WEIR_DIAGNOSE_RULES_INTERNAL_H

#include "base/clock.h"
#include "diagnose/rules.h"

/* The rows of one file each, ended by one without an id. rules.c lists them in the order of the manual. */
extern const struct diagnosis_rule rules_local[], rules_wg[], rules_session[];
extern const struct diagnosis_rule rules_path[], rules_relay[], rules_ice[], rules_mtu[];

/* What a check fills: how sure and where, one or two sentences, and the evidence. */
void diagnosis_holds(struct diagnosis *d, enum diagnosis_confidence c, enum diagnosis_side side,
		     uint64_t since);
void diagnosis_says(struct diagnosis *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void diagnosis_shows(struct diagnosis *d, enum diagnosis_mark mark, const char *layer, uint64_t at,
		     const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/* What helps: a sentence and the dashboard's key for it (0: none); and the same as a command. */
void diagnosis_helps(struct diagnosis *d, char key, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* "weir VERB PEER WORD" of "VERB WORD", to be pasted into a shell; f NULL: it is about no peer. */
void diagnosis_command(struct diagnosis *d, const struct diagnosis_facts *f, const char *words);

/* "25 s", "4 min", "3 h": for sentences. */
#define DIAGNOSIS_AGE 24
const char *diagnosis_age(char out[DIAGNOSIS_AGE], uint64_t ns);
const char *diagnosis_ago(char out[DIAGNOSIS_AGE], uint64_t at, uint64_t now);	  /* "25 s ago", "just now" */
const char *diagnosis_for(char out[DIAGNOSIS_AGE], uint64_t since, uint64_t now); /* "25 s" */

/* The peer as commands know it: its name, or the start of its key. */
void diagnosis_peer_name(char out[KEY_BASE64_LEN + 1], const struct diagnosis_facts *f);

static inline bool diagnosis_lately(uint64_t at, uint64_t now, uint64_t within)
{
	return at && (at >= now || now - at <= within);
}

/* ---- how rules look at the facts ---- */

/* Symptoms that a cause of a dead handshake explains. */
#define DIAGNOSIS_UNANSWERED "no-answer stopped-answering data-unanswered peer-lacks-our-key"
#define DIAGNOSIS_TRIES	     3 /* initiations without an answer before they are evidence */
#define DIAGNOSIS_HEARD                                                                                      \
	(15 * NS_PER_SEC) /* KEEPALIVE_TIMEOUT + REKEY_TIMEOUT: a live peer says something                   \
			   */
#define DIAGNOSIS_LATELY (60 * NS_PER_SEC)

uint64_t diagnosis_since(const struct diagnosis_facts *f, enum wg_counter c); /* the last handshake */
uint64_t diagnosis_recent(const struct diagnosis_facts *f,
			  enum wg_counter c);		    /* the last minute, if there are samples */
uint64_t diagnosis_tries(const struct diagnosis_facts *f);  /* initiations without an answer, on all paths */
bool diagnosis_unanswered(const struct diagnosis_facts *f); /* our handshakes */
bool diagnosis_tunnel_works(const struct diagnosis_facts *f, uint64_t now); /* good keys alone do not count */
/* Tries for a direct path are more than a minute apart by now. So it stays while one is under way. */
bool diagnosis_parked(const struct diagnosis_facts *f);
bool diagnosis_report_is_new(const struct diagnosis_facts *f, uint64_t now);
void diagnosis_show_tries(const struct diagnosis_facts *f, uint64_t now, struct diagnosis *d);

/* What works, and what was ruled out (good.c). */
void diagnosis_good(const struct diagnosis_facts *f, uint64_t now, struct diagnoses *out);
void diagnosis_works(struct diagnoses *out, const char *layer, uint64_t at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#endif
