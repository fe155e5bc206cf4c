/* weir drain, handshake, reset, rotate, probe, path, ladder: one request each, and a line that says what came
 * of it. */
#include <stdlib.h>
#include <string.h>

#include "cmd/command.h"

static void print_failures(const char *ifname, const json_t *result)
{
	const json_t *failure;
	size_t i;

	json_array_foreach(json_object_get(result, "failed"), i, failure) fprintf(
		stderr, "weir: %s: %s: %s\n", ifname, json_string_value(json_object_get(failure, "peer")),
		json_string_value(json_object_get(failure, "error")));
}

/* params: an object to which the peer is added; taken over. */
static int act(const struct options *o, const char *method, json_t *params, const char *peer,
	       const char *done, struct error *e)
{
	char ifname[IFNAMSIZ];
	struct client *c = command_connect(o, NULL, ifname, e);
	json_t *result;
	json_int_t peers;
	size_t failed;

	if (!c) {
		json_decref(params);
		return command_failed(e);
	}
	json_object_set_new(params, "peer", json_string(peer));
	result = client_call(c, method, params, e);
	client_close(c);
	if (!result)
		return command_failed(e);
	peers = json_integer_value(json_object_get(result, "peers"));
	failed = json_array_size(json_object_get(result, "failed"));
	if (peers || !failed)
		printf("%s: %lld %s %s\n", ifname, (long long)peers, peers == 1 ? "peer" : "peers", done);
	print_failures(ifname, result);
	json_decref(result);
	return failed ? EXIT_FAIL : EXIT_OK;
}

int drain_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "drain", json_object(), words[0], "drained", e);
}

int handshake_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "handshake", json_object(), words[0], "asked for a handshake", e);
}

int reset_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "reset", json_object(), words[0], "reset", e);
}

int resolve_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "resolve", json_object(), words[0], "being looked up", e);
}

int rotate_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "rotate", json_object(), words[0], "began a new session", e);
}

int probe_main(const struct options *o, int count, char **words, struct error *e)
{
	(void)count;
	return act(o, "probe", json_object(), words[0], "being probed on every path", e);
}

int path_main(const struct options *o, int count, char **words, struct error *e)
{
	const char *prefer = count > 1 ? words[1] : "auto";
	char done[64];

	snprintf(done, sizeof(done), "told to use %s", !strcmp(prefer, "auto") ? "the best path" : prefer);
	return act(o, "path", json_pack("{s:s}", "prefer", prefer), words[0], done, e);
}

int ladder_main(const struct options *o, int count, char **words, struct error *e)
{
	const char *done = strcmp(words[1], "now") == 0	     ? "told to take the next step of recovery now"
			   : strcmp(words[1], "skip") == 0   ? "told to skip a step of recovery"
			   : strcmp(words[1], "port") == 0   ? "told to send from a fresh source port"
			   : strcmp(words[1], "reopen") == 0 ? "told to reopen the relay"
			   : strcmp(words[1], "hold") == 0   ? "told to hold recovery until \"resume\""
							     : "told to go on with recovery";

	(void)count;
	return act(o, "ladder", json_pack("{s:s}", "step", words[1]), words[0], done, e);
}
