/* weir explain: the verdict about a peer, on what evidence, what works, and what helps. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/text.h"

#define REPORT_WAIT_NS 700000000 /* for the other end's counts: some round trips over a far relay */

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* Names and addresses may be of a stranger's making. The caller frees it. */
static char *tame(const json_t *object, const char *name)
{
	return text_tame(xstrdup(text_of(object, name)));
}

static char *name_of(const json_t *peer)
{
	const char *name = text_of(peer, "name");

	return text_tame(*name ? xstrdup(name) : xasprintf("%.8s...", text_of(peer, "publicKey")));
}

static const char *color_of(const json_t *o, bool color)
{
	if (!color)
		return "";
	if (!strcmp(text_of(o, "severity"), "trouble") || !strcmp(text_of(o, "mark"), "bad"))
		return "\033[31m";
	return !strcmp(text_of(o, "mark"), "good") ? "\033[32m" : "\033[33m";
}

static void print_line(const json_t *line, bool color)
{
	const char *mark = text_of(line, "mark");
	double at = number_of(line, "at");
	time_t seconds = (time_t)at;
	char clock[16] = "";
	struct tm tm;
	char *text = tame(line, "text");

	if (at > 0)
		strftime(clock, sizeof(clock), "%H:%M:%S", localtime_r(&seconds, &tm));
	printf("    %s%c%s %8s  %-10s %s\n", color_of(line, color),
	       !strcmp(mark, "bad")    ? '!'
	       : !strcmp(mark, "good") ? '+'
				       : '-',
	       color ? "\033[0m" : "", clock, text_of(line, "layer"), text);
	free(text);
}

static void print_next(const json_t *v)
{
	char *next = tame(v, "next"), *command = tame(v, "command");

	printf("    next: %s\n", next);
	if (*command)
		printf("          %s%s%s%s\n", command, *text_of(v, "key") ? "   (key " : "",
		       text_of(v, "key"), *text_of(v, "key") ? ")" : "");
	else if (*text_of(v, "key"))
		printf("          key %s\n", text_of(v, "key"));
	free(next);
	free(command);
}

static void print_verdict(const json_t *v, double now, bool color)
{
	double since = number_of(v, "sinceAt");
	char age[TEXT_FIGURE], *verdict = tame(v, "verdict");
	const char *side = text_of(v, "side");
	const json_t *line;
	size_t i;

	printf("\n  %s%s%s: %s (%s%s%s", color_of(v, color), text_of(v, "rule"), color ? "\033[0m" : "",
	       text_of(v, "title"), text_of(v, "confidence"), *side ? ", the cause is " : "", side);
	if (since > 0)
		printf(", for %s", text_age(age, now > since ? now - since : 0));
	printf(")\n    %s\n", verdict);
	free(verdict);
	json_array_foreach(json_object_get(v, "evidence"), i, line) print_line(line, color);
	print_next(v);
}

static void print_one(const json_t *r, bool color)
{
	const json_t *d = json_object_get(r, "diagnosis"), *item;
	char age[TEXT_FIGURE], *name = name_of(r);
	size_t i;

	printf("%s: %s for %s%s\n", name, text_of(r, "word"),
	       text_age(age, number_of(r, "at") - number_of(r, "wordSinceAt")),
	       json_array_size(json_object_get(d, "verdicts"))
		       ? ""
		       : ", nothing is wrong with it that can be seen here");
	free(name);
	json_array_foreach(json_object_get(d, "verdicts"), i, item)
		print_verdict(item, number_of(r, "at"), color);
	if (json_array_size(json_object_get(d, "good")))
		puts("\n  what works, and what was ruled out");
	json_array_foreach(json_object_get(d, "good"), i, item) print_line(item, color);
}

static void print_strangers(const json_t *r)
{
	const json_t *s;
	size_t i;

	json_array_foreach(json_object_get(r, "strangers"), i, s)
	{
		const char *key = text_of(s, "publicKey"), *from = text_of(s, "from");
		char age[TEXT_FIGURE];

		printf("  stranger: %s, %.0f from %s%s%s, the last %s ago\n", text_of(s, "why"),
		       number_of(s, "messages"), *from ? from : "a relay", *key ? ", key " : "", key,
		       text_age(age, number_of(r, "at") - number_of(s, "at")));
	}
}

static void print_all(const json_t *r, bool color)
{
	const json_t *list = json_object_get(r, "peers"), *peer;
	size_t i;

	printf("%s: %zu of %.0f peers have a verdict\n", text_of(r, "interface"), json_array_size(list),
	       number_of(r, "peersTotal"));
	json_array_foreach(list, i, peer)
	{
		const json_t *first =
			json_array_get(json_object_get(json_object_get(peer, "diagnosis"), "verdicts"), 0);
		char *name = name_of(peer), *verdict = tame(first, "verdict");

		printf("  %-7s %-16s %s%s%s (%s): %s\n", text_of(peer, "word"), name, color_of(first, color),
		       text_of(first, "rule"), color ? "\033[0m" : "", text_of(first, "confidence"), verdict);
		free(name);
		free(verdict);
	}
	print_strangers(r);
}

/* The engine asked the other end what it counts: its answer makes the second look worth more than the first.
 */
static json_t *ask(struct client *c, const char *peer, struct error *e)
{
	struct timespec wait = {.tv_nsec = REPORT_WAIT_NS};
	json_t *r = client_call(c, "explain", json_pack("{s:s}", "peer", peer), e);

	if (!r || !json_is_true(json_object_get(r, "asked")))
		return r;
	nanosleep(&wait, NULL);
	json_decref(r);
	return client_call(c, "explain", json_pack("{s:s}", "peer", peer), e);
}

int explain_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c = command_connect(o, NULL, NULL, e);
	bool color = text_colored(o, STDOUT_FILENO), healthy;
	json_t *r;

	(void)count;
	if (!c)
		return command_failed(e);
	r = ask(c, words[0], e);
	client_close(c);
	if (!r)
		return command_failed(e);
	if (o->json) {
		json_dumpf(r, stdout, JSON_INDENT(2));
		putchar('\n');
	} else if (json_object_get(r, "peers")) {
		print_all(r, color);
	} else {
		print_one(r, color);
	}
	healthy = json_is_true(json_object_get(r, "healthy"));
	json_decref(r);
	return healthy ? EXIT_OK : EXIT_UNHEALTHY;
}
