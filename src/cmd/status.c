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

static size_t rank(const json_t *peer)
{
	const char *word = text_of(peer, "word");
	size_t i = 0;

	while (i < WORDS && strcmp(words_table[i].word, word) != 0)
		i++;
	return i;
}

static int compare(const void *a, const void *b)
{
	const json_t *const *left = a, *const *right = b;
	size_t l = rank(*left), r = rank(*right);
	int order = l < r ? -1 : l > r;

	return order ? order : strcmp(text_of(*left, "name"), text_of(*right, "name"));
}

/* A peer that nobody uses may be away: only one with traffic or a keepalive counts as unhealthy. */
static bool in_trouble(const json_t *peer)
{
	const json_t *counters = json_object_get(peer, "counters");

	if (strcmp(text_of(peer, "word"), "STUCK") != 0)
		return false;
	return number_of(peer, "persistentKeepalive") > 0 || number_of(peer, "staged") > 0 ||
	       number_of(counters, "data_sent") > 0 || number_of(counters, "staged_dropped") > 0;
}

static char *name_of(const json_t *peer)
{
	const char *name = text_of(peer, "name");

	/* As much of the key as `weir drain` and the others need to find it again. */
	return text_tame(*name ? xstrdup(name) : xasprintf("%.8s...", text_of(peer, "publicKey")));
}

static char *endpoint_of(const json_t *peer)
{
	const char *endpoint = text_of(peer, "endpoint"), *host = text_of(peer, "endpointHost");

	return text_tame(xstrdup(*endpoint ? endpoint : *host ? host : "no endpoint"));
}

static void print_reason(const json_t *peer, const char *indent)
{
	char *reason = text_tame(xstrdup(text_of(peer, "reason")));

	if (*reason)
		printf("%s%s\n", indent, reason);
	free(reason);
}

static void print_peer(const json_t *peer, double now, int name_width, int endpoint_width, bool color)
{
	double handshake = number_of(peer, "latestHandshake");
	char age[TEXT_FIGURE], rx[TEXT_FIGURE], tx[TEXT_FIGURE], *name = name_of(peer),
								 *endpoint = endpoint_of(peer);
	size_t i = rank(peer);

	printf("%s%-7s%s %-*s  %-*s", color && i < WORDS ? words_table[i].color : "", text_of(peer, "word"),
	       color ? "\033[0m" : "", name_width, name, endpoint_width, endpoint);
	if (handshake > 0)
		printf("  handshake %s ago, %s in, %s out\n", text_age(age, now - handshake),
		       text_bytes(rx, number_of(peer, "transferRx")),
		       text_bytes(tx, number_of(peer, "transferTx")));
	else
		printf("  never a handshake\n");
	print_reason(peer, "        ");
	free(name);
	free(endpoint);
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
	printf("%s\n\n",
	       json_is_true(json_object_get(s, "underLoad")) ? ", under load: cookies are asked for" : "");
}

static void print_text(const json_t *s, json_t **peers, size_t count, bool color)
{
	int name_width = 0, endpoint_width = 0;

	for (size_t i = 0; i < count; i++) {
		char *name = name_of(peers[i]), *endpoint = endpoint_of(peers[i]);
		int n = (int)strlen(name), m = (int)strlen(endpoint);

		name_width = n > name_width ? n : name_width;
		endpoint_width = m > endpoint_width ? m : endpoint_width;
		free(name);
		free(endpoint);
	}
	print_device(s, count);
	for (size_t i = 0; i < count; i++)
		print_peer(peers[i], number_of(s, "at"), name_width, endpoint_width, color);
}

/* Prints those in trouble and counts them. */
static size_t check(const char *ifname, json_t **peers, size_t count, bool quiet)
{
	size_t found = 0;

	for (size_t i = 0; i < count; i++) {
		char *name;

		if (!in_trouble(peers[i]))
			continue;
		found++;
		if (quiet)
			continue;
		name = name_of(peers[i]);
		printf("%s: %s is stuck\n", ifname, name);
		print_reason(peers[i], "        ");
		free(name);
	}
	return found;
}

static int show(const struct options *o, const json_t *s)
{
	const json_t *list = json_object_get(s, "peers");
	size_t count = json_array_size(list), stuck = 0;
	json_t **peers = xcalloc(count + 1, sizeof(*peers));

	for (size_t i = 0; i < count; i++)
		peers[i] = json_array_get(list, i);
	qsort(peers, count, sizeof(*peers), compare);
	if (o->json) {
		json_dumpf(s, stdout, JSON_INDENT(2));
		putchar('\n');
	}
	if (o->check)
		stuck = check(text_of(s, "interface"), peers, count, o->json);
	else if (!o->json)
		print_text(s, peers, count, text_colored(o, STDOUT_FILENO));
	free(peers);
	return stuck ? EXIT_UNHEALTHY : EXIT_OK;
}

int status_main(const struct options *o, int count, char **words, struct error *e)
{
	struct client *c = command_connect(o, count ? words[0] : NULL, NULL, e);
	json_t *snapshot;
	int code;

	if (!c)
		return command_failed(e);
	snapshot = client_call(c, "status", NULL, e);
	client_close(c);
	if (!snapshot)
		return command_failed(e);
	code = show(o, snapshot);
	json_decref(snapshot);
	return code;
}
