#include "base/log.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static const char *const names[] = {"error", "warn", "notice", "info", "debug"};
static _Atomic int threshold = LOG_INFO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards all below */
static struct log_record ring[LOG_RING];
static uint64_t last_sequence; /* record n is in ring[n % LOG_RING]; numbers start at 1 */
static bool stderr_on = true, stderr_systemd;
static unsigned stderr_lost; /* lines since stderr last took one */
static void (*sink_fn)(void *arg, const struct log_record *record);
static void *sink_arg;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&threshold, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&threshold, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	return (unsigned)level < sizeof(names) / sizeof(names[0]) ? names[level] : "?";
}

bool log_level_parse(const char *word, enum log_level *level)
{
	for (unsigned i = 0; word && i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(word, names[i])) {
			*level = (enum log_level)i;
			return true;
		}
	return false;
}

void log_to_stderr(bool on, bool systemd_prefix)
{
	pthread_mutex_lock(&lock);
	stderr_on = on;
	stderr_systemd = systemd_prefix;
	pthread_mutex_unlock(&lock);
}

void log_set_sink(void (*sink)(void *arg, const struct log_record *record), void *arg)
{
	pthread_mutex_lock(&lock);
	sink_fn = sink;
	sink_arg = arg;
	pthread_mutex_unlock(&lock);
}

size_t log_read(uint64_t from, struct log_record *out, size_t max)
{
	uint64_t oldest;
	size_t n = 0;

	pthread_mutex_lock(&lock);
	oldest = last_sequence > LOG_RING ? last_sequence - LOG_RING + 1 : 1;
	if (from < oldest)
		from = oldest;
	for (; n < max && from <= last_sequence; from++)
		out[n++] = ring[from % LOG_RING];
	pthread_mutex_unlock(&lock);
	return n;
}

/* The start of a line: sd-daemon(3) level, or the local time and the level's name. */
static int format_prefix(char *out, size_t size, const struct log_record *r)
{
	time_t seconds = (time_t)(r->wall_ns / NS_PER_SEC);
	struct tm tm;
	size_t n;

	if (stderr_systemd)
		return snprintf(out, size, "<%d>", 3 + (int)r->level); /* 3 is syslog's err, 7 its debug */
	localtime_r(&seconds, &tm);
	n = strftime(out, size, "%Y-%m-%d %H:%M:%S", &tm);
	return (int)n + snprintf(out + n, size - n, ".%03u %-6s ", (unsigned)(r->wall_ns / NS_PER_MS % 1000),
				 log_level_name(r->level));
}

/* One write for each line, and none while the reader is stuck or gone: a stopped terminal must not stop us.
 */
static void write_stderr(const struct log_record *r)
{
	char line[512]; /* the longest prefix, room, peer and text fit */
	struct pollfd ready = {.fd = STDERR_FILENO, .events = POLLOUT};
	int n;

	if (poll(&ready, 1, 0) != 1 || ready.revents != POLLOUT) {
		stderr_lost++;
		return;
	}
	n = format_prefix(line, sizeof(line), r);
	n += snprintf(line + n, sizeof(line) - (size_t)n, "%s: %s%s%s", r->room, r->peer,
		      r->peer[0] ? ": " : "", r->text);
	if (stderr_lost)
		n += snprintf(line + n, sizeof(line) - (size_t)n, " (%u lines before this one were lost)",
			      stderr_lost);
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, (size_t)n) == n)
		stderr_lost = 0;
	else
		stderr_lost++;
}

void log_write(enum log_level level, const char *room, const char *peer, const char *fmt, ...)
{
	char text[sizeof(ring[0].text)];
	struct log_record *r;
	va_list ap;
	int n;

	if ((int)level > atomic_load_explicit(&threshold, memory_order_relaxed))
		return;
	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;

	pthread_mutex_lock(&lock);
	r = &ring[++last_sequence % LOG_RING];
	r->wall_ns = clock_wall_ns();
	r->sequence = last_sequence;
	r->level = level;
	log_visible(r->room, sizeof(r->room), room, strlen(room));
	log_visible(r->peer, sizeof(r->peer), peer ? peer : "", peer ? strlen(peer) : 0);
	log_visible(r->text, sizeof(r->text), text, strlen(text));
	if (stderr_on)
		write_stderr(r);
	if (sink_fn)
		sink_fn(sink_arg, r);
	pthread_mutex_unlock(&lock);
}

bool log_allowed(struct log_limit *state, uint64_t now_ns, uint64_t interval_ns, unsigned burst)
{
	if (!state->window_start || now_ns - state->window_start >= interval_ns) {
		state->window_start = now_ns;
		state->used = 0;
	}
	if (state->used < burst) {
		state->used++;
		return true;
	}
	state->suppressed++;
	return false;
}

/* A backslash stays what it is, so that text which was made visible before comes through unchanged. */
void log_visible(char *dst, size_t size, const char *src, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	if (!size)
		return;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)src[i];

		if (c >= 0x20 && c < 0x7f) {
			if (n + 1 >= size)
				break;
			dst[n++] = (char)c;
		} else {
			if (n + 4 >= size)
				break;
			memcpy(dst + n, "\\x", 2);
			dst[n + 2] = hex[c >> 4];
			dst[n + 3] = hex[c & 15];
			n += 4;
		}
	}
	dst[n] = '\0';
}
