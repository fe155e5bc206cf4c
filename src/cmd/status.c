/* weir status: a snapshot in words, worst peer first; or as it is (--json); or only what is wrong (--check).
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "base/xalloc.h"
#include "cmd/command.h"
#include "cmd/text.h"

/* Words as the list has them, worst first, and how they look. */
static const struct {
	const char *word, *color;
} words_table[] = {
	{"STUCK", "\033[1;31m"}, {"WAIT", "\033[33m"}, {"DRAIN", "\033[35m"}, {"RELAY", "\033[36m"},
	{"DIRECT", "\033[32m"},	 {"IDLE", "\033[2m"},  {"DOWN", "\033[2m"},
};
#define WORDS (sizeof(words_table) / sizeof(words_table[0]))

static const char *text_of(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static double number_of(const json_t *object, const char *name)
{
	return json_number_value(json_object_get(object, name));
}

/* What is looked up once of each peer. */
struct row {
	const json_t *peer;
	size_t rank;
	char *name, *endpoint;
	const char *reason;
};

static size_t rank(const char *word)
{
	size_t i = 0;

	while (i < WORDS && strcmp(words_table[i].word, word) != 0)
		i++;
	return i;
}

static int compare(const void *a, const void *b)
{
	const struct row *left = a, *right = b;
	int order = left->rank < right->rank ? -1 : left->rank > right->rank;

	return order ? order : strcmp(left->name, right->name);
}

static bool nameless(const json_t *peer)
{
	return !*text_of(peer, "endpoint") && *text_of(peer, "endpointHost");
}

/* A peer that nobody uses may be away: only one with traffic or a keepalive counts as unhealthy. */
static bool in_trouble(const struct row *row)
{
	const json_t *counters = json_object_get(row->peer, "counters");

	if (row->rank && !nameless(row->peer)) /* the first word is STUCK */
		return false;
	return number_of(row->peer, "persistentKeepalive") > 0 || number_of(row->peer, "staged") > 0 ||
	       number_of(counters, "data_sent") > 0 || number_of(counters, "staged_dropped") > 0;
}

static void fill(struct row *row, const json_t *peer)
{
	const char *name = text_of(peer, "name"), *endpoint = text_of(peer, "endpoint");
	const json_t *path = json_object_get(peer, "path");

	row->peer = peer;
	row->reason = text_of(peer, "reason");
	row->rank = rank(text_of(peer, "word"));
	/* As much of the key as `weir drain` and the others need to find it again. */
	row->name = text_tame(*name ? xstrdup(name) : xasprintf("%.8s...", text_of(peer, "publicKey")));
	if (!*endpoint)
		endpoint = text_of(peer, "endpointHost");
	if (*text_of(path, "remote")) {
		row->endpoint = text_tame(xasprintf("%s %s", text_of(path, "kind"), text_of(path, "remote")));
		return;
	}
	row->endpoint = text_tame(xstrdup(*endpoint ? endpoint : "no endpoint"));
}

static void print_reason(const struct row *row)
{
	char *reason;

	if (!*row->reason)
		return;
	reason = text_tame(xstrdup(row->reason));
	printf("        %s\n", reason);
	free(reason);
}

static void print_peer(const struct row *row, double now, int name_width, int endpoint_width, bool color)
{
	double handshake = number_of(row->peer, "latestHandshake");
	char age[TEXT_FIGURE], rx[TEXT_FIGURE], tx[TEXT_FIGURE];
	bool known = row->rank < WORDS;

	printf("%s%-7s%s %-*s  %-*s", color && known ? words_table[row->rank].color : "",
	       known ? words_table[row->rank].word : "?", color ? "\033[0m" : "", name_width, row->name,
	       endpoint_width, row->endpoint);
	if (handshake > 0)
		printf("  handshake %s ago, %s in, %s out\n", text_age(age, now - handshake),
		       text_bytes(rx, number_of(row->peer, "transferRx")),
		       text_bytes(tx, number_of(row->peer, "transferTx")));
	else
		puts("  never a handshake");
	print_reason(row);
}

/* What no peer's line can tell: messages of strangers, and packets that have no peer. */
static void print_strangers(const json_t *s)
{
	static const struct {
		const char *counter, *words;
		double from; /* the kernel's own multicast finds no peer, either: a few are usual */
	} kinds[] = {
		{"reject_unknown_peer", "initiations of keys that are not configured here", 1},
		{"reject_mac1", "handshake messages made for another public key than ours", 1},
		{"no_route", "packets to addresses that are in no peer's AllowedIPs", 10},
	};
	const json_t *counters = json_object_get(s, "counters");

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		double n = number_of(counters, kinds[i].counter);

		if (n >= kinds[i].from)
			printf("    %.0f %s\n", n, kinds[i].words);
	}
}

static void print_relays(const json_t *s)
{
	const json_t *relay;
	char next[TEXT_FIGURE];
	size_t i;

	json_array_foreach(json_object_get(s, "relays"), i, relay)
	{
		char *url = text_tame(xstrdup(text_of(relay, "url"))),
		     *error = text_tame(xstrdup(text_of(relay, "error")));

		printf("    relay %s: %s, %s", url, text_of(relay, "role"), text_of(relay, "state"));
		if (number_of(relay, "rtt") > 0 && strcmp(text_of(relay, "state"), "up") == 0)
			printf(", %.*f ms", number_of(relay, "rtt") < 0.00995 ? 1 : 0,
			       number_of(relay, "rtt") * 1000);
		printf("%s%s", *error ? ": " : "", error);
		if (number_of(relay, "nextTryAt") > number_of(s, "at"))
			printf(", next try in %s",
			       text_age(next, 0.99 + number_of(relay, "nextTryAt") - number_of(s, "at")));
		printf("\n");
		free(url);
		free(error);
	}
}

static void print_device(const json_t *s, size_t peers)
{
	char age[TEXT_FIGURE], rx[TEXT_FIGURE], tx[TEXT_FIGURE];
	const char *public_key = text_of(s, "publicKey");
	json_t *up = json_object_get(s, "up");
	double fwmark = number_of(s, "fwmark");

	printf("%s: %s, running for %s", text_of(s, "interface"), json_is_true(up) ? "up" : "DOWN",
	       text_age(age, number_of(s, "at") - number_of(s, "startedAt")));
	if (number_of(s, "listenPort") > 0)
		printf(", port %.0f", number_of(s, "listenPort"));
	printf(", %zu %s, %s in, %s out\n", peers, peers == 1 ? "peer" : "peers",
	       text_bytes(rx, number_of(s, "transferRx")), text_bytes(tx, number_of(s, "transferTx")));
	printf("    public key %s, MTU %.0f, pid %.0f", *public_key ? public_key : "(none)",
	       number_of(s, "mtu"), number_of(s, "pid"));
	if (fwmark > 0)
		printf(", mark %.0f", fwmark);
	printf("%s\n",
	       json_is_true(json_object_get(s, "underLoad")) ? ", under load: cookies are asked for" : "");
	print_strangers(s);
	print_relays(s);
	putchar('\n');
}

static void print_text(const json_t *s, const struct row *rows, size_t count, bool color)
{
	int name_width = 0, endpoint_width = 0;

	for (size_t i = 0; i < count; i++) {
		int n = (int)strlen(rows[i].name), m = (int)strlen(rows[i].endpoint);

		name_width = n > name_width ? n : name_width;
		endpoint_width = m > endpoint_width ? m : endpoint_width;
	}
	print_device(s, count);
	for (size_t i = 0; i < count; i++)
		print_peer(&rows[i], number_of(s, "at"), name_width, endpoint_width, color);
}

/* Prints what is wrong and counts it. */
static size_t check(const json_t *s, const struct row *rows, size_t count, bool quiet)
{
	const char *ifname = text_of(s, "interface");
	size_t found = 0;

	if (!json_is_true(json_object_get(s, "up"))) {
		if (!quiet)
			printf("%s: the interface is down: ip link set %s up\n", ifname, ifname);
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		if (!in_trouble(&rows[i]))
			continue;
		found++;
		if (quiet)
			continue;
		printf("%s: %s %s\n", ifname, rows[i].name, rows[i].rank ? "has no address" : "is stuck");
		print_reason(&rows[i]);
	}
	return found;
}

static int show(const struct options *o, const json_t *s)
{
	const json_t *list = json_object_get(s, "peers");
	size_t count = json_array_size(list), stuck = 0;
	struct row *rows = xcalloc(count + 1, sizeof(*rows));

	for (size_t i = 0; i < count; i++)
		fill(&rows[i], json_array_get(list, i));
	qsort(rows, count, sizeof(*rows), compare);
	if (o->json) {
		json_dumpf(s, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	if (o->check)
		stuck = check(s, rows, count, o->json);
	else if (!o->json)
		print_text(s, rows, count, text_colored(o, STDOUT_FILENO));
	for (size_t i = 0; i < count; i++) {
		free(rows[i].name);
		free(rows[i].endpoint);
	}
	free(rows);
	return stuck ? EXIT_UNHEALTHY : EXIT_OK;
}

int status_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c = command_connect(o, count ? words[0] : NULL, NULL, e);
	json_t *snapshot;
	int code;

	if (!c)
		return command_failed(e);
	snapshot = client_call(c, "status", json_pack("{s:b}", "brief", !o->json), e);
	client_close(c);
	if (!snapshot)
		return command_failed(e);
	code = show(o, snapshot);
	json_decref(snapshot);
	return code;
}
