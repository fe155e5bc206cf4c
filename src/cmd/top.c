/*
 * weir top --batch: the list of peers as plain text, a table each interval, for files, pipes and mails;
 * columns keep their places. On a terminal without --batch it is the dashboard.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/text.h"

#define NAME_WIDTH     20
#define ENDPOINT_WIDTH 28

static const char *const words[] = {"STUCK", "WAIT", "DRAIN", "RELAY", "DIRECT", "IDLE", "DOWN"};
#define WORDS (sizeof(words) / sizeof(words[0]))

struct row {
	const json_t *peer;
	size_t rank;
	double in, out; /* bytes a second, negative: not known yet */
};

struct top {
	json_t *before;	 /* key: [at, rx, tx] at the last frame */
	double in, out;	 /* of all peers */
	unsigned tables; /* so far */
};

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

static size_t rank(const char *word)
{
	size_t i = 0;

	while (i < WORDS && strcmp(words[i], word) != 0)
		i++;
	return i;
}

static int compare(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int names = strcmp(text_of(left->peer, "name"), text_of(right->peer, "name"));

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return names ? names : strcmp(text_of(left->peer, "publicKey"), text_of(right->peer, "publicKey"));
}

/* ---- what the engine tells ---- */

/* The device's members, with all pages of peers in one array; NULL with words. */
static json_t *fetch(struct client *c, struct error *e)
{
	json_t *all = NULL, *page;
	json_int_t next = 0;

	do {
		page = client_call(c, "metrics", json_pack("{s:I}", "from", next), e);
		if (!page) {
			json_decref(all);
			return NULL;
		}
		next = json_integer_value(json_object_get(page, "next"));
		if (!all) {
			all = page;
			continue;
		}
		json_array_extend(json_object_get(all, "peers"), json_object_get(page, "peers"));
		json_decref(page);
	} while (next);
	return all;
}

static void take_rates(struct top *t, struct row *row, double at)
{
	const char *key = text_of(row->peer, "publicKey");
	const json_t *was = json_object_get(t->before, key);
	double rx = number_of(row->peer, "transferRx"), tx = number_of(row->peer, "transferTx"),
	       elapsed = at - json_number_value(json_array_get(was, 0));

	row->in = row->out = -1;
	if (was && elapsed > 0) {
		row->in = (rx - json_number_value(json_array_get(was, 1))) / elapsed;
		row->out = (tx - json_number_value(json_array_get(was, 2))) / elapsed;
		t->in += row->in > 0 ? row->in : 0;
		t->out += row->out > 0 ? row->out : 0;
	}
	json_object_set_new(t->before, key, json_pack("[f, f, f]", at, rx, tx));
}

/* ---- a frame ---- */

/* Left in so many columns; what is longer ends in ~. Bytes of one UTF-8 character count as one column. */
static void print_cell(const char *text, int width)
{
	char *tame = text_tame(xstrdup(text));
	int columns = 0, cut = -1;

	for (int i = 0; tame[i]; i++) {
		if ((tame[i] & 0xc0) == 0x80)
			continue;
		if (columns == width - 1 && cut < 0)
			cut = i;
		columns++;
	}
	if (columns > width)
		printf("%.*s~", cut, tame);
	else
		printf("%s%*s", tame, width - columns, "");
	putchar(' ');
	free(tame);
}

static void print_rate(double rate)
{
	char figure[TEXT_FIGURE];

	printf("%11s ", rate < 0 ? "-" : text_bytes(figure, rate));
}

static void print_row(const struct row *row, double now)
{
	const json_t *p = row->peer, *path = json_object_get(p, "path");
	const char *name = text_of(p, "name"),
		   *where = *text_of(path, "remote") ? text_of(path, "remote") : text_of(p, "endpoint");
	char age[TEXT_FIGURE], rx[TEXT_FIGURE], tx[TEXT_FIGURE],
		rtt[TEXT_FIGURE] = "-", loss[TEXT_FIGURE] = "-", key[16],
		*reason = text_tame(xstrdup(text_of(p, "reason")));

	snprintf(key, sizeof(key), "%.8s...", text_of(p, "publicKey"));
	printf("%-7s ", row->rank < WORDS ? words[row->rank] : "?");
	print_cell(*name ? name : key, NAME_WIDTH);
	printf("%-6s ", text_of(path, "kind"));
	print_cell(*where ? where : "-", ENDPOINT_WIDTH);
	if (number_of(path, "rtt") > 0)
		snprintf(rtt, sizeof(rtt), "%.1f ms", number_of(path, "rtt") * 1000);
	/* Of the tunnel's packets, as the dashboard shows it; that of a path's pings is another. */
	if (json_object_get(p, "loss"))
		snprintf(loss, sizeof(loss), "%.1f%%", number_of(p, "loss") * 100);
	printf("%11s %10s %6s ",
	       number_of(p, "latestHandshake") > 0 ? text_age(age, now - number_of(p, "latestHandshake"))
						   : "never",
	       rtt, loss);
	print_rate(row->in);
	print_rate(row->out);
	printf("%10s %10s  %s\n", text_bytes(rx, number_of(p, "transferRx")),
	       text_bytes(tx, number_of(p, "transferTx")), reason);
	free(reason);
}

static void print_head(const struct top *t, const json_t *s, const struct row *rows, size_t count, bool rates)
{
	double at = number_of(s, "at");
	time_t seconds = (time_t)at;
	char day[32], age[TEXT_FIGURE], in[TEXT_FIGURE], out[TEXT_FIGURE];
	unsigned counts[WORDS + 1] = {0};
	struct tm tm;

	for (size_t i = 0; i < count; i++)
		counts[rows[i].rank]++;
	strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S", localtime_r(&seconds, &tm));
	printf("weir %s  %s  %s  running for %s", text_of(s, "interface"), day,
	       json_is_true(json_object_get(s, "up")) ? "up" : "DOWN",
	       text_age(age, at - number_of(s, "startedAt")));
	if (!rates)
		printf("  - in  - out"); /* two tables make a rate */
	else
		printf("  %s/s in  %s/s out", text_bytes(in, t->in), text_bytes(out, t->out));
	printf("\npeers %zu", count);
	for (size_t i = 0; i < WORDS; i++)
		printf("  %s %u", words[i], counts[i]);
	printf("\n%-7s %-*s %-6s %-*s %11s %10s %6s %11s %11s %10s %10s  %s\n", "WORD", NAME_WIDTH, "PEER",
	       "PATH", ENDPOINT_WIDTH, "ENDPOINT", "HANDSHAKE", "RTT", "LOSS", "IN/s", "OUT/s", "IN", "OUT",
	       "REASON");
}

static void print_frame(struct top *t, const json_t *s)
{
	const json_t *list = json_object_get(s, "peers");
	size_t count = json_array_size(list);
	struct row *rows = xcalloc(count + 1, sizeof(*rows));
	bool rates = t->tables++ > 0;
	double at = number_of(s, "clock"); /* the wall clock may be set meanwhile */

	t->in = t->out = 0;
	for (size_t i = 0; i < count; i++) {
		rows[i].peer = json_array_get(list, i);
		rows[i].rank = rank(text_of(rows[i].peer, "word"));
		take_rates(t, &rows[i], at);
	}
	qsort(rows, count, sizeof(*rows), compare);
	print_head(t, s, rows, count, rates);
	for (size_t i = 0; i < count; i++)
		print_row(&rows[i], number_of(s, "at"));
	free(rows);
}

/* ---- all frames ---- */

static void sleep_until(uint64_t boot_ns)
{
	const struct timespec at = {.tv_sec = (time_t)(boot_ns / NS_PER_SEC),
				    .tv_nsec = (long)(boot_ns % NS_PER_SEC)};

	while (clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static int frames(const struct options *o, struct client *c, struct error *e)
{
	struct top t = {.before = json_object()};
	uint64_t interval = (o->interval ? o->interval : 1) * NS_PER_SEC, next = clock_boot_ns();
	int code = EXIT_OK;

	for (unsigned n = 0; !o->tables || n < o->tables; n++) {
		json_t *s;

		if (n) {
			next += interval;
			sleep_until(next);
			putchar('\n');
		}
		s = fetch(c, e);
		if (!s) {
			code = command_failed(e);
			break;
		}
		print_frame(&t, s);
		json_decref(s);
		if (fflush(stdout)) { /* nobody reads any more */
			code = error_set(e, errno, "cannot write: %s", strerror(errno)) ? EXIT_FAIL : EXIT_OK;
			break;
		}
	}
	json_decref(t.before);
	return code;
}

int top_main(const struct options *o, int count, char **argument, struct error *e)
{
	struct client *c;
	int code;

	if (!o->batch && isatty(STDOUT_FILENO))
		return attach_main(o, count, argument, e);
	c = command_connect(o, count ? argument[0] : NULL, NULL, e);
	if (!c)
		return command_failed(e);
	code = frames(o, c, e);
	client_close(c);
	return code;
}
