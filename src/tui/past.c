#include "tui/past.h"

#include <stdlib.h>
#include <string.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "tui/json_get.h"
#include "tui/network.h"

#define BYTES_MAX    (192u << 20) /* of lines, and of pictures */
#define PICTURE_STEP (128u << 10) /* bytes of lines between two pictures, at least */

enum kind { KIND_FULL, KIND_DELTA, KIND_EVENT, KIND_LOG };

struct entry {
	double at;
	enum kind kind;
	uint8_t level;
	size_t len;
	char *line;
};

/* What a view has seen after so many lines. */
struct picture {
	size_t lines;
	struct data *d;
};

struct past {
	double interval;
	struct entry *entries; /* ascending in time */
	size_t count, room, bytes, since_full;

	struct picture *pictures; /* ascending */
	size_t pictures_count;
	size_t step;	     /* bytes between pictures, more when they became too many */
	struct picture tail; /* how far pictures are made */
	size_t since;	     /* bytes of lines since the last of them */

	size_t cursor; /* entry that is the moment */
	struct picture now;
};

struct past *past_new(double interval)
{
	struct past *p = xcalloc(1, sizeof(*p));

	p->interval = interval;
	p->step = PICTURE_STEP;
	return p;
}

static void forget_pictures(struct past *p)
{
	for (size_t i = 0; i < p->pictures_count; i++)
		data_free(p->pictures[i].d);
	free(p->pictures);
	p->pictures = NULL;
	p->pictures_count = 0;
	data_free(p->tail.d);
	data_free(p->now.d);
	p->tail = p->now = (struct picture){0};
	p->since = 0;
	p->step = PICTURE_STEP;
}

void past_free(struct past *p)
{
	if (!p)
		return;
	forget_pictures(p);
	for (size_t i = 0; i < p->count; i++)
		free(p->entries[i].line);
	free(p->entries);
	free(p);
}

/* ---- taking lines ---- */

double past_line_at(const char *line, size_t len)
{
	static const char start[] = "{\"past\":";
	char number[32];
	size_t n = sizeof(start) - 1, digits = 0;
	double at;

	if (len <= n || memcmp(line, start, n) != 0)
		return 0;
	while (digits + 1 < sizeof(number) && n + digits < len && strchr("0123456789.", line[n + digits]) &&
	       line[n + digits])
		digits++;
	memcpy(number, line + n, digits);
	number[digits] = '\0';
	at = strtod(number, NULL);
	return at > 0 && at < 1e11 ? at : 0;
}

static bool begins(const char *at, const char *end, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(end - at) >= len && memcmp(at, word, len) == 0;
}

static enum level level_of(const json_t *event)
{
	const char *text = json_string_value(json_object_get(json_object_get(event, "entry"), "level"));

	for (int i = 0; text && i < LEVELS; i++)
		if (strcmp(text, level_name((enum level)i)) == 0)
			return (enum level)i;
	return LEVEL_INFO;
}

static bool parse(struct entry *e, const char *line, size_t len)
{
	json_t *o = json_loadb(line, len, 0, NULL);
	const char *event = json_string_value(json_object_get(o, "event"));
	bool known = true;

	e->level = LEVELS;
	if (event && strcmp(event, "snapshot") == 0) {
		e->kind = get_bool(o, "full") ? KIND_FULL : KIND_DELTA;
	} else if (event && strcmp(event, "timeline") == 0) {
		e->kind = KIND_EVENT;
		e->level = (uint8_t)level_of(o);
	} else if (event && strcmp(event, "log") == 0) {
		e->kind = KIND_LOG;
	} else {
		known = false;
	}
	json_decref(o);
	return known;
}

/* A snapshot can be long: as our engine writes it, a look at its start is enough. */
static bool what_it_is(struct entry *e, const char *line, size_t len)
{
	const char *at = line + 1, *end = line + len;

	if (len < 2 || *line != '{')
		return false;
	if (begins(at, end, "\"past\":")) {
		at = memchr(at, ',', (size_t)(end - at));
		if (!at)
			return false;
		at++;
	}
	e->level = LEVELS;
	if (begins(at, end, "\"event\":\"snapshot\",\"full\":true"))
		e->kind = KIND_FULL;
	else if (begins(at, end, "\"event\":\"snapshot\",\"full\":false"))
		e->kind = KIND_DELTA;
	else
		return parse(e, line, len);
	return true;
}

static void drop_first(struct past *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		p->bytes -= p->entries[i].len;
		free(p->entries[i].line);
	}
	p->count -= n;
	memmove(p->entries, p->entries + n, p->count * sizeof(*p->entries));
	p->cursor = p->cursor > n ? p->cursor - n : 0;
	forget_pictures(p);
}

void past_trim(struct past *p, unsigned keep)
{
	for (size_t i = p->count; i-- > 0;)
		if (p->entries[i].kind == KIND_FULL && !keep--) {
			drop_first(p, i);
			return;
		}
}

/* Too much of it: what comes before the second full snapshot goes. */
static void keep_bounds(struct past *p)
{
	while (p->bytes > BYTES_MAX) {
		size_t i = 1;

		while (i < p->count && p->entries[i].kind != KIND_FULL)
			i++;
		if (i == p->count)
			return;
		drop_first(p, i);
	}
}

bool past_line(struct past *p, const char *line, size_t len, double at)
{
	struct entry e = {.at = at > 0 ? at : past_line_at(line, len), .len = len};

	if (e.at <= 0 || !what_it_is(&e, line, len) || (!p->count && e.kind != KIND_FULL))
		return false;
	/* Log lines are recorded a little later than they are written, and clocks go back. */
	if (p->count && e.at < p->entries[p->count - 1].at)
		e.at = p->entries[p->count - 1].at;
	if (p->count == p->room) {
		p->room = p->room ? 2 * p->room : 256;
		p->entries = xrealloc(p->entries, p->room * sizeof(*p->entries));
	}
	e.line = xmalloc(len + 1);
	memcpy(e.line, line, len);
	e.line[len] = '\0';
	p->entries[p->count++] = e;
	p->bytes += len;
	p->since_full = e.kind == KIND_FULL ? len : p->since_full + len;
	keep_bounds(p);
	return true;
}

void past_append(struct past *p, const struct past *from)
{
	double last = past_last(p);

	for (size_t i = 0; i < from->count; i++)
		if (from->entries[i].at > last)
			past_line(p, from->entries[i].line, from->entries[i].len, from->entries[i].at);
}

size_t past_lines(const struct past *p)
{
	return p->count;
}

size_t past_since_full(const struct past *p)
{
	return p->since_full;
}

double past_first(const struct past *p)
{
	return p->count ? p->entries[0].at : 0;
}

double past_last(const struct past *p)
{
	return p->count ? p->entries[p->count - 1].at : 0;
}

/* ---- pictures ---- */

static size_t picture_size(const struct data *d)
{
	return sizeof(*d) + d->peers_count * (sizeof(struct peer) + sizeof(struct network) / 2) +
	       d->events_count * sizeof(*d->events) + d->log_count * sizeof(*d->log);
}

/* Up to so many lines, some bytes of them: one line at least. True when they are played. */
static bool play(struct past *p, struct picture *to, size_t lines, size_t bytes)
{
	struct reply ignored;
	size_t done = 0;

	if (!to->d)
		to->d = data_new();
	for (; to->lines < lines && done < bytes; to->lines++) {
		const struct entry *e = &p->entries[to->lines];

		data_line(to->d, e->line, e->len, p->interval, &ignored);
		done += e->len;
	}
	return to->lines == lines;
}

/* Every second one goes, and they are made half as often from here on. */
static void thin_out(struct past *p)
{
	size_t kept = 0;

	for (size_t i = 0; i < p->pictures_count; i++) {
		if (i % 2)
			p->pictures[kept++] = p->pictures[i];
		else
			data_free(p->pictures[i].d);
	}
	p->pictures_count = kept;
	p->step *= 2;
}

static void keep_picture(struct past *p)
{
	if ((p->pictures_count + 1) * picture_size(p->tail.d) > BYTES_MAX)
		thin_out(p);
	p->pictures = xrealloc(p->pictures, (p->pictures_count + 1) * sizeof(*p->pictures));
	p->pictures[p->pictures_count++] =
		(struct picture){.lines = p->tail.lines, .d = data_clone(p->tail.d)};
	p->since = 0;
}

bool past_prepare(struct past *p, size_t bytes)
{
	size_t done = 0;

	while (p->tail.lines < p->count && done < bytes) {
		size_t len = p->entries[p->tail.lines].len;

		play(p, &p->tail, p->tail.lines + 1, SIZE_MAX);
		done += len;
		p->since += len;
		if (p->since >= p->step)
			keep_picture(p);
	}
	return p->tail.lines == p->count;
}

static struct picture copy(const struct picture *from)
{
	return (struct picture){.lines = from->lines, .d = data_clone(from->d)};
}

/* The picture to play from: the one that is shown, if none that was kept is nearer. */
static void begin_at(struct past *p, size_t wanted)
{
	const struct picture *best = NULL;

	for (size_t i = 0; i < p->pictures_count && p->pictures[i].lines <= wanted; i++)
		best = &p->pictures[i];
	if (p->tail.lines == wanted)
		best = &p->tail;
	if (!p->now.d || p->now.lines > wanted || (best && best->lines > p->now.lines)) {
		data_free(p->now.d);
		p->now = best ? copy(best) : (struct picture){0};
	}
}

bool past_work(struct past *p, size_t bytes)
{
	size_t wanted = p->cursor + 1;

	if (!p->count || (p->now.d && p->now.lines == wanted))
		return true;
	if (p->tail.lines < p->count && !past_prepare(p, bytes))
		return false;
	begin_at(p, wanted);
	return play(p, &p->now, wanted, bytes);
}

const struct data *past_shown(const struct past *p)
{
	return p->now.d;
}

const struct data *past_data(struct past *p)
{
	past_work(p, SIZE_MAX);
	return past_shown(p);
}

/* ---- moments ---- */

static bool is_moment(const struct entry *e)
{
	return e->kind != KIND_LOG;
}

void past_seek(struct past *p, double at)
{
	size_t low = 0, high = p->count;

	/* The first that is later. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->entries[middle].at <= at)
			low = middle + 1;
		else
			high = middle;
	}
	p->cursor = low ? low - 1 : 0;
}

void past_step(struct past *p, int by)
{
	size_t at = p->cursor;

	while (by && p->count) {
		if (by < 0 ? at == 0 : at + 1 == p->count)
			break;
		at = by < 0 ? at - 1 : at + 1;
		if (!is_moment(&p->entries[at]))
			continue;
		p->cursor = at;
		by += by < 0 ? 1 : -1;
	}
}

double past_at(const struct past *p)
{
	return p->count ? p->entries[p->cursor].at : 0;
}

void past_marks(const struct past *p, uint8_t *levels, int cells)
{
	double first = past_first(p), span = past_last(p) - first;

	memset(levels, LEVELS, cells > 0 ? (size_t)cells : 0);
	for (size_t i = 0; i < p->count && cells > 0; i++) {
		const struct entry *e = &p->entries[i];
		int cell = span > 0 ? (int)((e->at - first) / span * cells) : cells - 1;

		cell = cell < cells ? cell : cells - 1;
		if (e->kind == KIND_EVENT && e->level < levels[cell])
			levels[cell] = e->level;
	}
}
