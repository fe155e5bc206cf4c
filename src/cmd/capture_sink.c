/*
 * Capture files as they are written. Blocks go out whole, many at once; where a disc is full, the file is cut
 * back to its last whole block, so that what was captured can be read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/strbuf.h"
#include "base/xalloc.h"
#include "cmd/capture.h"
#include "cmd/text.h"
#include "crypto/primitives.h"
#include "tap/decode.h"

#define FLUSH_AT    (256u << 10)
#define PCAP_HEADER 24
#define PCAP_RECORD 16	       /* its header; our blocks of pcapng are longer */
#define KEYS_MOST   (1u << 20) /* of lines that later files begin with */

struct sink {
	const struct capture_plan *plan;
	int fd; /* of a file or pipe; -1: none is open */
	bool regular;
	char *name;	    /* of the open file */
	unsigned number;    /* of the file, from 1 */
	uint64_t opened;    /* boot ns */
	uint64_t written;   /* bytes of this file */
	struct strbuf wait; /* to be written */
	char *keys;	    /* all lines that came, KEYS_MOST at most: every file begins with them */
	size_t keys_len;
	uint64_t packets[TAP_POINTS], total; /* of this file, of all */
	uint64_t lost, lost_told,
		lost_before_file; /* since the start; told in a block; at the start of this file */
};

/* ---- names of files ---- */

/* "cap.pcapng" is cap-00001.pcapng, cap-00002.pcapng ... when files are rotated. */
static char *file_name(const struct capture_plan *p, unsigned number)
{
	const char *slash = strrchr(p->path, '/'), *base = slash ? slash + 1 : p->path,
		   *dot = strrchr(base, '.');
	int stem = dot && dot != base ? (int)(dot - p->path) : (int)strlen(p->path);

	if (!p->rotate_bytes && !p->rotate_seconds)
		return xstrdup(p->path);
	return xasprintf("%.*s-%05u%s", stem, p->path, number, p->path + stem);
}

/* A pipe or a device is written to as it is. */
static int open_special(const char *name)
{
	int fd = open(name, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;

	if (fd >= 0 && !fstat(fd, &st) && !S_ISREG(st.st_mode))
		return fd;
	if (fd >= 0) {
		close(fd);
		errno = EEXIST; /* it was something else a moment ago */
	}
	return -1;
}

/*
 * A file is always a new one: what lies there already, which somebody may have open or may have pointed at a
 * file of ours by a symbolic link, is replaced, not written to.
 */
static int open_fresh(const char *name)
{
	char *temporary = xasprintf("%s.XXXXXX", name);
	int fd = mkostemp(temporary, O_CLOEXEC), code;

	if (fd >= 0 && rename(temporary, name)) {
		code = errno;
		unlink(temporary);
		close(fd);
		fd = -1;
		errno = code;
	}
	code = errno;
	free(temporary);
	errno = code;
	return fd;
}

static int open_file(struct sink *s, struct error *e)
{
	struct stat st;

	s->name = file_name(s->plan, s->number);
	s->regular = stat(s->name, &st) || S_ISREG(st.st_mode);
	s->fd = s->regular ? open_fresh(s->name) : open_special(s->name);
	return s->fd < 0 ? error_set(e, errno, "cannot write %s: %s", s->name, strerror(errno)) : 0;
}

/* ---- writing ---- */

static uint32_t little(const char *at)
{
	uint32_t n = 0;

	for (unsigned i = 4; i--;)
		n = n << 8 | (uint8_t)at[i];
	return n;
}

/* How many of the first `done` bytes that wait are whole blocks (pcapng), or header and records (pcap). */
static size_t whole_blocks(const struct sink *s, size_t done)
{
	bool pcap = s->plan->head.format == CAPTURE_PCAP;
	size_t at = pcap && !s->written ? PCAP_HEADER : 0, len;

	while (at + PCAP_RECORD <= done) {
		len = pcap ? PCAP_RECORD + little(s->wait.text + at + 8) : little(s->wait.text + at + 4);
		if (at + len > done)
			break;
		at += len;
	}
	return at <= done ? at : 0;
}

static int write_failed(struct sink *s, size_t done, struct error *e)
{
	int code = errno;
	off_t good = (off_t)(s->written + whole_blocks(s, done));
	int cut = s->regular ? ftruncate(s->fd, good) : 0;

	if (s->fd != STDOUT_FILENO)
		close(s->fd);
	s->fd = -1;
	if (code == EPIPE)
		return -EPIPE;
	if (cut)
		return error_set(e, code, "cannot write %s: %s; its last packet is cut", s->name,
				 strerror(code));
	return error_set(e, code, "cannot write %s: %s; what it holds up to here can be read", s->name,
			 strerror(code));
}

static int write_out(struct sink *s, struct error *e)
{
	size_t done = 0;

	while (done < s->wait.len) {
		ssize_t n = write(s->fd, s->wait.text + done, s->wait.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return write_failed(s, done, e);
		done += (size_t)n;
	}
	s->written += done;
	s->wait.len = 0;
	return 0;
}

/* ---- files ---- */

static void begin_file(struct sink *s)
{
	s->opened = clock_boot_ns();
	s->written = 0;
	memset(s->packets, 0, sizeof(s->packets));
	s->lost_before_file = s->lost_told;
	capture_begin(&s->wait, &s->plan->head);
	if (s->keys_len)
		capture_keys(&s->wait, s->keys, s->keys_len);
}

static int end_file(struct sink *s, struct error *e)
{
	int r;

	capture_end(&s->wait, &s->plan->head, s->packets, s->lost - s->lost_before_file, clock_wall_ns());
	r = write_out(s, e);
	if (s->fd >= 0 && s->fd != STDOUT_FILENO && close(s->fd) && !r)
		r = error_set(e, errno, "cannot write %s: %s", s->name, strerror(errno));
	s->fd = -1;
	free(s->name);
	s->name = NULL;
	return r;
}

static int next_file(struct sink *s, struct error *e)
{
	int r = end_file(s, e);

	if (r)
		return r;
	s->number++;
	if (s->plan->files && s->number > s->plan->files) {
		char *oldest = file_name(s->plan, s->number - s->plan->files);

		unlink(oldest);
		free(oldest);
	}
	r = open_file(s, e);
	if (!r)
		begin_file(s);
	return r;
}

struct sink *sink_open(const struct capture_plan *plan, struct error *e)
{
	struct sink *s = xcalloc(1, sizeof(*s));

	s->plan = plan;
	s->fd = -1;
	s->number = 1;
	if (!plan->path)
		return s;
	if (!strcmp(plan->path, "-")) {
		s->fd = STDOUT_FILENO;
		s->name = xstrdup("standard output");
	} else if (open_file(s, e)) {
		if (s->fd >= 0)
			close(s->fd);
		free(s->name);
		free(s);
		return NULL;
	}
	begin_file(s);
	return s;
}

/* ---- packets ---- */

/* As the dashboard's list has them: time, direction, point, peer, protocol, length, and what it says. */
static void print_line(struct sink *s, const struct tap_meta *m, const uint8_t *data, size_t captured)
{
	static struct decode d;
	const char *label = m->has_peer ? s->plan->label(s->plan->label_arg, &m->peer) : NULL;
	char key[KEY_BASE64_LEN + 1] = "(unknown)", day[16], *line;
	time_t seconds = (time_t)(m->at / NS_PER_SEC);
	struct tm tm;

	if (m->has_peer && !label)
		key_to_base64(key, &m->peer);
	if (m->has_peer)
		key[8] = '\0';
	decode_brief(&d, m, data, captured);
	strftime(day, sizeof(day), "%H:%M:%S", localtime_r(&seconds, &tm));
	line = xasprintf("%s.%06u %c %-6s %-12s %-10s %5u  %s", day, (unsigned)(m->at % NS_PER_SEC / 1000),
			 m->out ? '>' : '<', tap_point_name(m->point), label ? label : key, d.protocol,
			 m->length, d.info);
	puts(text_tame(line));
	free(line);
}

static bool over(const struct sink *s)
{
	const struct capture_plan *p = s->plan;

	return (p->rotate_bytes && s->written + s->wait.len >= p->rotate_bytes) ||
	       (p->rotate_seconds && clock_boot_ns() - s->opened >= p->rotate_seconds * NS_PER_SEC);
}

int sink_packet(struct sink *s, const struct tap_meta *m, const uint8_t *data, size_t captured,
		struct error *e)
{
	const char *label;
	int r = 0;

	if (!s->plan->path) {
		print_line(s, m, data, captured);
		s->total++;
		return ferror(stdout) ? -EPIPE : 0;
	}
	if (over(s) && (r = next_file(s, e)))
		return r;
	label = m->has_peer ? s->plan->label(s->plan->label_arg, &m->peer) : NULL;
	if (!capture_packet(&s->wait, &s->plan->head, m, data, captured, label, s->lost - s->lost_told))
		return 0;
	s->lost_told = s->lost;
	s->packets[m->point]++;
	s->total++;
	return s->wait.len >= FLUSH_AT ? write_out(s, e) : 0;
}

int sink_keys(struct sink *s, const char *lines, size_t len, struct error *e)
{
	if (!s->plan->path || s->plan->head.format != CAPTURE_PCAPNG)
		return 0;
	if (!s->keys)
		s->keys = xmalloc(KEYS_MOST); /* once, so that no copy stays behind */
	if (s->keys_len + len > KEYS_MOST)
		s->keys_len = 0;
	if (len <= KEYS_MOST)
		memcpy(s->keys + s->keys_len, lines, len);
	s->keys_len += len <= KEYS_MOST ? len : 0;
	capture_keys(&s->wait, lines, len);
	return s->wait.len >= FLUSH_AT ? write_out(s, e) : 0;
}

void sink_lost(struct sink *s, uint64_t lost)
{
	s->lost = lost;
}

int sink_flush(struct sink *s, struct error *e)
{
	if (!s->plan->path)
		return fflush(stdout) ? -EPIPE : 0;
	if (s->plan->rotate_seconds && over(s))
		return next_file(s, e);
	return write_out(s, e);
}

uint64_t sink_count(const struct sink *s)
{
	return s->total;
}

int sink_close(struct sink *s, struct error *e)
{
	int r = s->plan->path ? s->fd >= 0 ? end_file(s, e) : 0 : sink_flush(s, e);

	if (s->keys)
		crypto_wipe(s->keys, KEYS_MOST);
	if (s->wait.text)
		crypto_wipe(s->wait.text, s->wait.room);
	free(s->keys);
	strbuf_clear(&s->wait);
	free(s->name);
	free(s);
	return r;
}
