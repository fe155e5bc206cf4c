/*
 * Log lines: a level, the room that speaks, and text. Untrusted bytes are made visible before they reach a
 * terminal. Any thread may log; sinks run under the log's own lock. Nothing secret is ever passed in.
 */
#ifndef WEIR_BASE_LOG_H
#define WEIR_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_NOTICE, LOG_INFO, LOG_DEBUG };

struct log_record {
	uint64_t wall_ns;
	uint64_t sequence; /* grows by one with each record */
	enum log_level level;
	char room[12];
	char peer[24]; /* name or short key of the peer it is about, "" if none */
	char text[256];
};

/* Records more detailed than this are dropped before formatting. Default LOG_INFO. */
void log_set_level(enum log_level level);
enum log_level log_get_level(void);

/* "error", "warn"...; NULL-safe parser returns false for an unknown word. */
const char *log_level_name(enum log_level level);
bool log_level_parse(const char *word, enum log_level *level);

/* Lines also go to stderr when on (the default); with systemd's <N> prefixes when asked. */
void log_to_stderr(bool on, bool systemd_prefix);

/* One further sink, called for each record under the log's lock; it must not log. NULL removes it. */
void log_set_sink(void (*sink)(void *arg, const struct log_record *record), void *arg);

/* Copies records with sequence >= from, oldest first, out of the ring of the last LOG_RING records. */
#define LOG_RING 1024
size_t log_read(uint64_t from, struct log_record *out, size_t max);

void log_write(enum log_level level, const char *room, const char *peer, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

#define log_error(room, ...)  log_write(LOG_ERROR, room, NULL, __VA_ARGS__)
#define log_warn(room, ...)   log_write(LOG_WARN, room, NULL, __VA_ARGS__)
#define log_notice(room, ...) log_write(LOG_NOTICE, room, NULL, __VA_ARGS__)
#define log_info(room, ...)   log_write(LOG_INFO, room, NULL, __VA_ARGS__)
#define log_debug(room, ...)  log_write(LOG_DEBUG, room, NULL, __VA_ARGS__)

/* True at most `burst` times in each `interval_ns`; *state starts zeroed. For hot call sites. */
struct log_limit {
	uint64_t window_start;
	unsigned used;
	unsigned suppressed;
};
bool log_allowed(struct log_limit *state, uint64_t now_ns, uint64_t interval_ns, unsigned burst);

/* Copies src into dst (size bytes), all but printable ASCII shown as \xNN; never ends inside such a group. */
void log_visible(char *dst, size_t size, const char *src, size_t len);

#endif
