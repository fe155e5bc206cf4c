#include "tui_scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tui/text.h"

const char *golden_folder(void)
{
	static char path[512];
	const char *srcdir = getenv("srcdir");

	snprintf(path, sizeof(path), "%s/tests/golden", srcdir ? srcdir : ".");
	return path;
}

void scenario_load(struct scenario *s, const char *name)
{
	char path[768];
	json_error_t e;

	snprintf(path, sizeof(path), "%s/%s.json", golden_folder(), name);
	s->root = json_load_file(path, 0, &e);
	if (!s->root) {
		fprintf(stderr, "%s: %s\n", path, e.text);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/%s.packets.json", golden_folder(), name);
	s->packets = json_load_file(path, 0, NULL);
	s->seconds = (int)json_integer_value(json_object_get(s->root, "seconds"));
}

void scenario_clear(struct scenario *s)
{
	json_decref(s->root);
	json_decref(s->packets);
}

/* Members that are points in time, by their names (weir-control(7)). */
static bool is_time(const char *name)
{
	size_t len = strlen(name);

	return strcmp(name, "at") == 0 || strcmp(name, "latestHandshake") == 0 ||
	       (len > 2 && strcmp(name + len - 2, "At") == 0);
}

static void shift_times(json_t *o, double shift)
{
	const char *name;
	json_t *value;
	size_t i;

	json_array_foreach(o, i, value) shift_times(value, shift);
	json_object_foreach(o, name, value)
	{
		if (json_is_number(value) && is_time(name) && json_number_value(value) > 0)
			json_object_set_new(o, name, json_real(json_number_value(value) + shift));
		else
			shift_times(value, shift);
	}
}

/* Bytes of second `tick` at a rate: it wavers between 60 and 100 percent, the same way each time. */
static double bytes_in(double rate, int tick, size_t peer)
{
	unsigned x = (unsigned)(tick * 2654435761u) ^ (unsigned)(peer * 40503u);

	x ^= x >> 13;
	x *= 0x5bd1e995u;
	x ^= x >> 15;
	return rate * (0.6 + (x % 100) / 250.0);
}

static double sum(const struct scenario *s, double rate, int tick, size_t peer)
{
	double bytes = 0;

	for (int i = tick + 1; i <= s->seconds; i++)
		bytes -= bytes_in(rate, i, peer);
	for (int i = s->seconds + 1; i <= tick; i++)
		bytes += bytes_in(rate, i, peer);
	return bytes;
}

static double add(json_t *o, const char *name, double more)
{
	double v = json_number_value(json_object_get(o, name)) + more;

	json_object_set_new(o, name, json_integer((json_int_t)(v > 0 ? v : 0)));
	return more;
}

char *scenario_snapshot(const struct scenario *s, int tick, double shift)
{
	json_t *o = json_deep_copy(json_object_get(s->root, "snapshot")), *peer;
	double back = tick - s->seconds, rx = 0, tx = 0;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(o, "peers"), i, peer)
	{
		const char *name = json_string_value(json_object_get(peer, "name"));
		const json_t *rates = json_object_get(json_object_get(s->root, "rates"), name);

		rx += add(peer, "transferRx", sum(s, json_number_value(json_array_get(rates, 0)), tick, i));
		tx += add(peer, "transferTx", sum(s, json_number_value(json_array_get(rates, 1)), tick, i));
	}
	add(o, "transferRx", rx);
	add(o, "transferTx", tx);
	shift_times(o, shift);
	json_object_set_new(o, "at", json_real(json_number_value(json_object_get(o, "at")) + back));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *scenario_entry(const struct scenario *s, bool timeline, size_t n, double shift)
{
	const json_t *list = json_object_get(s->root, timeline ? "timeline" : "log");
	json_t *entry = json_deep_copy(json_array_get(list, n)), *o;
	char *text;

	if (!entry)
		return NULL;
	shift_times(entry, shift);
	o = json_pack("{s:s, s:o}", "event", timeline ? "timeline" : "log", "entry", entry);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *scenario_packets(const struct scenario *s, double shift)
{
	json_t *o = json_deep_copy(s->packets);
	char *text;

	if (!o)
		return NULL;
	shift_times(o, shift);
	json_object_set_new(o, "event", json_string("packets"));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

char *scenario_peer_reply(const struct scenario *s, long id, const char *key, double shift)
{
	json_t *events = json_array(), *entry, *o;
	char *text;
	size_t i;

	json_array_foreach(json_object_get(s->root, "timeline"), i, entry)
	{
		const char *peer = json_string_value(json_object_get(entry, "peer"));

		if (peer && strcmp(peer, key) == 0)
			json_array_append_new(events, json_deep_copy(entry));
	}
	shift_times(events, shift);
	o = json_pack("{s:I, s:{s:o}}", "id", (json_int_t)id, "result", "timeline", events);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static void take(struct data *d, char *line)
{
	struct reply reply;

	data_line(d, line, strlen(line), 1, &reply);
	free(line);
}

void scenario_play(const struct scenario *s, struct data *d)
{
	char *line;

	for (int tick = 0; tick <= s->seconds; tick++)
		take(d, scenario_snapshot(s, tick, 0));
	for (int timeline = 0; timeline < 2; timeline++)
		for (size_t i = 0; (line = scenario_entry(s, timeline, i, 0)) != NULL; i++)
			take(d, line);
	line = scenario_packets(s, 0);
	if (line)
		take(d, line);
}

unsigned random_below(unsigned *seed, unsigned below)
{
	*seed = *seed * 1103515245u + 12345u;
	return (*seed >> 15) % below;
}

void random_key(char out[45], size_t n)
{
	unsigned char bytes[32];
	uint64_t x = n * 0x9e3779b97f4a7c15ull + 1;

	for (int i = 0; i < 32; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		bytes[i] = (unsigned char)(x >> 24);
	}
	text_base64(out, bytes, sizeof(bytes));
}

static double random_time(unsigned *seed, double at)
{
	static const double away[] = {-1e9, -100000, -300, -150, -20, -1, 0, 3, 100, 1e12};
	unsigned n = random_below(seed, 12);

	return n < 10 ? at + away[n] : 0;
}

static json_t *random_keypairs(unsigned *seed, double at)
{
	static const char *const slots[] = {"next", "current", "previous"};
	json_t *list = json_array();

	for (int i = 0; i < 3; i++)
		if (random_below(seed, 3))
			json_array_append_new(
				list, json_pack("{s:s,s:s,s:s,s:f,s:b,s:b,s:I,s:I,s:I,s:f,s:f}", "slot",
						slots[i], "localIndex", "7c21a0e4", "remoteIndex", "51d3f00b",
						"createdAt", random_time(seed, at), "initiator",
						random_below(seed, 2), "confirmed", random_below(seed, 2),
						"sent", (json_int_t)random_below(seed, 1000000), "received",
						(json_int_t)random_below(seed, 1000000) * 1000000000, "lost",
						(json_int_t)random_below(seed, 100), "rekeyAt",
						random_time(seed, at), "expiresAt", random_time(seed, at)));
	return list;
}

static json_t *packed(json_t *o)
{
	if (!o)
		abort(); /* a mistake in the format of json_pack */
	return o;
}

/* Paths, pairs and a report whose texts hold addresses: in private mode none of them may show. */
static json_t *random_network(unsigned *seed, double at)
{
	static const char *const states[] = {"none", "connecting", "ready", "failed", "gathering"};

	return json_pack(
		"{s:s,s:s,s:b,s:s,s:s,s:f,s:i,s:[{s:s,s:s,s:b,s:s,s:s,s:f,s:f}],s:{s:s,s:s,s:s,s:f},s:{s:s,s:"
		"f,s:"
		"[{s:s,s:s,s:s,s:s,s:s,s:i}]},s:{s:s,s:s,s:b,s:s},s:{s:f,s:i,s:i}}",
		"mode", "auto", "preference", random_below(seed, 2) ? "auto" : "relay", "remoteIsWeir",
		random_below(seed, 2), "observed", "203.0.113.9:40531", "remoteRelay",
		"rels://relay.example.net:443", "chosenSinceAt", random_time(seed, at), "pathChanges",
		(int)random_below(seed, 9), "paths", "kind", random_below(seed, 2) ? "ice" : "relay", "state",
		random_below(seed, 2) ? "up" : "stale", "chosen", random_below(seed, 2), "remote",
		random_below(seed, 2) ? "198.51.100.23:41641" : "rels://fra1.example.net:443", "remoteType",
		"srflx", "rtt", random_below(seed, 100) / 1000.0, "lastProofAt", random_time(seed, at),
		"session", "local", "88c0d1f3a74bd205", "remote", random_below(seed, 2) ? "5e1b40c9" : "",
		"why", "the tunnel timed out", "localSinceAt", random_time(seed, at), "ice", "state",
		states[random_below(seed, 5)], "retryAt", random_time(seed, at), "pairs", "local",
		"192.0.2.14:40531", "localType", "host", "remote", "[2001:db8::5]:1", "remoteType", "host",
		"state", "succeeded", "requests", 4, "ladder", "text", random_below(seed, 2) ? "a step" : "",
		"why", "no answer from 198.51.100.23:41641", "held", random_below(seed, 2), "next", "path",
		"report", "at", random_time(seed, at), "initiationsReceived", (int)random_below(seed, 9),
		"dataSent", 3);
}

static json_t *random_diagnosis(unsigned *seed, double at)
{
	json_t *o = json_pack("{s:[],s:[]}", "verdicts", "good");
	size_t verdicts = random_below(seed, 6), good = random_below(seed, 9), lines;

	while (verdicts--) {
		json_t *v = packed(json_pack(
			"{s:s,s:s,s:s,s:s,s:f,s:s,s:[],s:s,s:s,s:s}", "rule", "a-rule", "title",
			"no answer from 198.51.100.23", "confidence",
			random_below(seed, 2) ? "certain" : "possible", "side",
			random_below(seed, 2) ? "there" : "", "sinceAt", random_time(seed, at), "verdict",
			"nothing comes back from 198.51.100.23:41641, the endpoint of "
			"gw.example.net, and there is much more to be said about it \x1b[31m",
			"evidence", "next", random_below(seed, 2) ? "look at 198.51.100.23" : "", "key",
			random_below(seed, 2) ? "E" : "\xe2\x82\xac", "command",
			"weir reset -i wg0 gw.example.net"));

		for (lines = random_below(seed, 12); lines--;)
			json_array_append_new(json_object_get(v, "evidence"),
					      json_pack("{s:s,s:s,s:f,s:s}", "mark",
							random_below(seed, 2) ? "bad" : "note", "layer",
							"wireguard", "at", random_time(seed, at), "text",
							"27 of 27 unanswered by 198.51.100.23:41641"));
		json_array_append_new(json_object_get(o, "verdicts"), v);
	}
	while (good--)
		json_array_append_new(json_object_get(o, "good"),
				      json_pack("{s:s,s:f,s:s}", "layer", "paths", "at",
						random_time(seed, at), "text",
						random_below(seed, 2) ? "fine"
								      : "gw.example.net is reached by"
									" 198.51.100.23:41641"));
	return o;
}

static json_t *random_peer(size_t n, double at, unsigned *seed)
{
	static const char *const words[] = {"STUCK",  "WAIT", "DRAIN", "RELAY",
					    "DIRECT", "IDLE", "DOWN",  "NEWWORD"};
	static const char *const tunnels[] = {"no-keys", "handshaking", "up", "silent", "expired"};
	static const char *const names[] = {"edge-%zu",
					    "",
					    "a name with blanks that goes on for a while %zu",
					    "\xe6\x9d\xb1\xe4\xba\xac-%zu",
					    "\x1b[31m%zu",
					    "x%zu"};
	static const char *const ends[] = {"", "198.51.100.23:41641", "[2001:db8:1:2:3:4:5:6]:51820",
					   "203.0.113.9:1"};
	char key[45], name[128], allowed[64];
	json_t *o;

	random_key(key, n);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, sizeof(name), names[random_below(seed, 6)], n);
#pragma GCC diagnostic pop
	snprintf(allowed, sizeof(allowed), "10.%zu.%zu.0/24", n / 250, n % 250);
	o = json_pack(
		"{s:s,s:s,s:b,s:i,s:[s],s:s,s:s,s:s,s:s,s:f,s:s,s:{s:s,s:s},s:{s:s},s:f,s:f,s:f,s:I,s:I,s:f,"
		"s:{s:i,s:i,s:s,s:i,s:i},s:o,s:[{s:s,s:f,s:f},{s:s,s:f,s:f}],s:i,s:{s:i,s:i}}",
		"publicKey", key, "name", name, "presharedKey", 1, "persistentKeepalive", 25, "allowedIps",
		allowed, "endpoint", ends[random_below(seed, 4)], "endpointOrigin", "roamed", "endpointHost",
		random_below(seed, 2) ? "gw.example.net:51820" : "", "word", words[random_below(seed, 8)],
		"wordSinceAt", random_time(seed, at), "reason",
		random_below(seed, 2) ? "no answer from 198.51.100.23:41641 \t for gw.example.net" : "",
		"path", "kind", "direct", "state", "up", "tunnel", "state", tunnels[random_below(seed, 5)],
		"latestHandshake", random_time(seed, at), "lastReceivedAt", random_time(seed, at),
		"handshakeRtt", random_below(seed, 1000) / 1000.0, "transferRx",
		(json_int_t)random_below(seed, 1 << 16) << 40, "transferTx",
		(json_int_t)random_below(seed, 65536), "loss", random_below(seed, 8) ? 0.0 : 0.05,
		"handshake", "attempt", (int)random_below(seed, 3), "attempts", 18, "reason", "silence",
		"sent", 3, "unanswered", 2, "keypairs", random_keypairs(seed, at), "timers", "name", "retry",
		"dueAt", random_time(seed, at), "period", 5.0, "name", "something-new", "dueAt", at + 4,
		"period", 0.0, "staged", (int)random_below(seed, 3), "counters", "initiation_sent", 7,
		"reject_mac1", (int)random_below(seed, 3));
	if (random_below(seed, 3) == 0)
		json_object_set_new(o, "network", packed(random_network(seed, at)));
	if (random_below(seed, 3) == 0)
		json_object_set_new(o, "diagnosis", packed(random_diagnosis(seed, at)));
	return o;
}

char *random_snapshot(size_t peers, double at, unsigned *seed)
{
	json_t *list = json_array(), *o;
	char *text;

	for (size_t i = 0; i < peers; i++)
		json_array_append_new(list, random_peer(i, at, seed));
	o = json_pack("{s:s,s:b,s:s,s:s,s:f,s:f,s:b,s:i,s:I,s:I,s:o}", "event", "snapshot", "full", 1,
		      "interface", "wg0", "hostname", "a-rather-long-host-name", "at", at, "startedAt",
		      at - 1000, "up", 1, "listenPort", 51820, "transferRx",
		      (json_int_t)random_below(seed, 1 << 20) * 1000, "transferTx", (json_int_t)12, "peers",
		      list);
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}

static json_t *random_packet(double at, unsigned *seed)
{
	static const char *const points[] = {"wire", "inner", "relay", "signal", "odd"};
	static const char *const types[] = {"init", "resp",  "cookie", "data", "keep",
					    "stun", "frame", "relay",  "ip",   "odd"};
	static const char *const drops[] = {"", "mac1", "no-route", "odd"};
	static const char *const ends[] = {"", "198.51.100.23:41641", "[2001:db8:1:2:3:4:5:6]:51820",
					   "203.0.113.9:1"};
	/* So that decoders get further than the first byte. */
	static const uint8_t starts[] = {0x45, 0x60, 1, 2, 3, 4, 0, 0x77};
	uint8_t bytes[400];
	char key[45], data[TEXT_BASE64_ROOM(sizeof(bytes))];
	size_t len = random_below(seed, sizeof(bytes));

	memset(bytes, 0, sizeof(bytes));
	bytes[0] = starts[random_below(seed, 8)];
	for (size_t i = 1; i < len; i += 1 + random_below(seed, 4))
		bytes[i] = (uint8_t)random_below(seed, 256);
	text_base64(data, bytes, len);
	random_key(key, random_below(seed, 40));
	return json_pack("{s:i,s:f,s:s,s:s,s:s,s:s,s:s,s:s,s:i,s:s,s:s,s:i,s:i,s:i,s:i,s:s}", "n", 1, "at",
			 random_below(seed, 20) ? at : random_time(seed, at), "point",
			 points[random_below(seed, 5)], "dir", random_below(seed, 2) ? "in" : "out", "type",
			 types[random_below(seed, 10)], "peer", random_below(seed, 5) ? key : "", "path",
			 random_below(seed, 2) ? "relay" : "direct", "drop", drops[random_below(seed, 4)],
			 "length", (int)random_below(seed, 2000), "local", ends[random_below(seed, 4)],
			 "remote", ends[random_below(seed, 4)], "index", (int)random_below(seed, 7),
			 "counter", (int)random_below(seed, 7), "attempt", (int)random_below(seed, 3),
			 "attempts", 18, "data", random_below(seed, 20) ? data : "*&^");
}

char *random_packets(size_t count, double at, unsigned *seed)
{
	json_t *list = json_array(), *o;
	char *text;

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, random_packet(at + (double)i / 1000, seed));
	o = json_pack("{s:s,s:o,s:i}", "event", "packets", "packets", list, "lost",
		      (int)random_below(seed, 30));
	text = json_dumps(o, JSON_COMPACT);
	json_decref(o);
	return text;
}
