/* The control socket against a real engine: requests, schema, rights, the blocking client. */
#include "tests/unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/client.h"
#include "control/control.h"
#include "engine/network.h"
#include "tests/unit/control_talk.h"

/* ---- greeting, requests ---- */

static void test_hello(void **state)
{
	struct talk k;
	json_t *hello;

	talk_open(&k, *state);
	hello = hear(&k);
	assert_string_equal(text_of(hello, "event"), "hello");
	assert_int_equal(count_of(hello, "schema"), 1);
	assert_string_equal(text_of(hello, "interface"), RIG_IFNAME);
	assert_int_equal(count_of(hello, "pid"), getpid());
	assert_true(*text_of(hello, "version"));
	assert_true(json_is_false(json_object_get(hello, "readonly")));
	json_decref(hello);
	talk_close(&k);
}

static void test_bad_requests(void **state)
{
	struct talk k;
	json_t *reply;

	talk_open(&k, *state);
	expect_error(&k, "nonsense", "bad-request");
	expect_error(&k, "[1]", "bad-request");
	expect_error(&k, "{}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":7}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"status\",\"params\":[]}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"status\",\"params\":{\"peers\":1}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"drain\"}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":7}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":0}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":\"1\"}}",
		     "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"logLevel\":\"loud\"}}",
		     "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"log\",\"params\":{\"since\":-1}}", "bad-request");
	expect_error(&k, "{\"id\":1,\"method\":\"explode\"}", "unknown-method");
	expect_error(&k, "{\"id\":1,\"method\":\"\"}", "unknown-method");
	/* the id comes back as it is, if it is one */
	reply = ask(&k, "{\"id\":\"x\\u0001y\",\"method\":\"explode\"}");
	assert_string_equal(text_of(reply, "id"), "x\001y");
	json_decref(reply);
	reply = ask(&k, "{\"id\":{},\"method\":\"explode\"}");
	assert_true(json_is_null(json_object_get(reply, "id")));
	json_decref(reply);
	reply = ask(&k, " \n\r\n{\"id\":9007199254740993,\"method\":\"unsubscribe\"}");
	assert_true(json_integer_value(json_object_get(reply, "id")) == 9007199254740993);
	json_decref(reply);
	talk_close(&k);
}

static void test_overlong_request(void **state)
{
	struct test *t = *state;
	char *line = malloc(2 << 20);
	struct talk k;
	json_t *reply;

	talk_open(&k, t);
	json_decref(hear(&k));
	memset(line, ' ', 2 << 20);
	/* Not all of it can be sent: the engine reads no more than it must. */
	for (unsigned sent = 0, i = 0; i < 3000 && sent < 2 << 20; i++) {
		ssize_t n = send(k.fd, line, (2 << 20) - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (unsigned)n : 0;
		rig_turn(&t->rig, 2);
	}
	reply = hear(&k);
	assert_string_equal(text_of(json_object_get(reply, "error"), "code"), "bad-request");
	json_decref(reply);
	assert_null(hear(&k));
	free(line);
	talk_close(&k);
}

/* One write, many requests: each gets its reply, in order. */
static void test_pipeline(void **state)
{
	struct strbuf s = {0};
	struct talk k;

	talk_open(&k, *state);
	json_decref(hear(&k));
	add_peer(*state, 1, "one");
	for (unsigned i = 0; i < 500; i++)
		strbuf_add(&s, "{\"id\":%u,\"method\":\"status\"}\n", i);
	rig_send(&k.t->rig, k.fd, s.text, s.len);
	for (unsigned i = 0; i < 500; i++) {
		json_t *reply = hear(&k);

		assert_int_equal(count_of(reply, "id"), i);
		json_decref(reply);
	}
	strbuf_clear(&s);
	talk_close(&k);
}

static void test_half_closed(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *reply;

	add_peer(t, 1, "one");
	talk_open(&k, t);
	json_decref(hear(&k));
	say(&k, "{\"id\":1,\"method\":\"status\"}");
	shutdown(k.fd, SHUT_WR);
	reply = hear(&k);
	assert_int_equal(count_of(reply, "id"), 1);
	json_decref(reply);
	assert_null(hear(&k));
	talk_close(&k);
	/* What a client asked for before it left is done. */
	talk_open(&k, t);
	say(&k, "{\"id\":1,\"method\":\"down\",\"params\":{\"drain\":false}}");
	talk_close(&k);
	for (unsigned i = 0; i < 1000 && !t->downs; i++) {
		usleep(1000);
		rig_turn(&t->rig, 2);
	}
	assert_int_equal(t->downs, 1);
	assert_false(t->drained);
}

/* ---- schema ---- */

static const struct field snapshot_fields[] = {
	{"schema", JSON_INTEGER},
	{"interface", JSON_STRING},
	{"hostname", JSON_STRING},
	{"version", JSON_STRING},
	{"configuration", JSON_STRING},
	{"pid", JSON_INTEGER},
	{"startedAt", NUMBER},
	{"at", NUMBER},
	{"clock", NUMBER},
	{"up", FLAG},
	{"publicKey", JSON_STRING},
	{"listenPort", JSON_INTEGER},
	{"fwmark", JSON_INTEGER},
	{"mtu", JSON_INTEGER},
	{"workers", JSON_INTEGER},
	{"aead", JSON_STRING},
	{"offload", JSON_OBJECT},
	{"underLoad", FLAG},
	{"transferRx", JSON_INTEGER},
	{"transferTx", JSON_INTEGER},
	{"tun", JSON_OBJECT},
	{"counters", JSON_OBJECT},
	{"dropped", JSON_INTEGER},
	{"history", JSON_OBJECT},
	{"tap", JSON_OBJECT},
	{"stunServers", JSON_ARRAY},
	{"relays", JSON_ARRAY},
	{"peers", JSON_ARRAY},
	{NULL, 0},
};
static const struct field offload_fields[] = {
	{"tunVnet", FLAG}, {"tunTso", FLAG}, {"tunUso", FLAG}, {"udpGso", FLAG}, {"udpGro", FLAG}, {NULL, 0},
};
static const struct field tun_fields[] = {
	{"rxPackets", JSON_INTEGER},
	{"txPackets", JSON_INTEGER},
	{"writeErrors", JSON_INTEGER},
	{NULL, 0},
};
static const struct field peer_fields[] = {
	{"publicKey", JSON_STRING},    {"name", JSON_STRING},
	{"presharedKey", FLAG},	       {"persistentKeepalive", JSON_INTEGER},
	{"allowedIps", JSON_ARRAY},    {"allowedIpsTotal", JSON_INTEGER},
	{"endpoint", JSON_STRING},     {"endpointOrigin", JSON_STRING},
	{"endpointHost", JSON_STRING}, {"sourceAddress", JSON_STRING},
	{"resolveError", JSON_STRING}, {"word", JSON_STRING},
	{"wordSinceAt", NUMBER},       {"reason", JSON_STRING},
	{"path", JSON_OBJECT},	       {"tunnel", JSON_OBJECT},
	{"latestHandshake", NUMBER},   {"handshakeRtt", NUMBER},
	{"lastReceivedAt", NUMBER},    {"lastSentAt", NUMBER},
	{"unansweredSinceAt", NUMBER}, {"transferRx", JSON_INTEGER},
	{"transferTx", JSON_INTEGER},  {"loss", NUMBER},
	{"handshake", JSON_OBJECT},    {"keypairs", JSON_ARRAY},
	{"timers", JSON_ARRAY},	       {"draining", FLAG},
	{"staged", JSON_INTEGER},      {"counters", JSON_OBJECT},
	{"network", JSON_OBJECT},      {NULL, 0},
};
static const struct field handshake_fields[] = {
	{"attempt", JSON_INTEGER},
	{"attempts", JSON_INTEGER},
	{"reason", JSON_STRING},
	{"sent", JSON_INTEGER},
	{"unanswered", JSON_INTEGER},
	{"given_up", JSON_INTEGER},
	{NULL, 0},
};
static const struct field path_fields[] = {{"kind", JSON_STRING}, {"state", JSON_STRING}, {NULL, 0}};
static const struct field tunnel_fields[] = {{"state", JSON_STRING}, {NULL, 0}};
static const struct field timer_fields[] = {
	{"name", JSON_STRING}, {"dueAt", NUMBER}, {"period", NUMBER}, {NULL, 0}};

static void test_schema(void **state)
{
	struct test *t = *state;
	struct engine_peer *p = add_peer(t, 1, "edge-fra");
	json_t *status, *peer, *reply;
	struct talk k;
	struct key own = rig_key(9);
	struct error e = {0};

	engine_set_private_key(t->rig.engine, &own);
	if (engine_up(t->rig.engine, &e))
		fail_msg("%s", e.text);
	allow(p, 1, 2);
	point(p, 9);
	engine_peer_handshake(p, "the test", NULL);
	add_peer(t, 2, "");
	talk_open(&k, t);
	json_decref(hear(&k));

	status = expect_result(&k, "{\"id\":1,\"method\":\"status\"}");
	check_fields(status, snapshot_fields, "snapshot");
	check_fields(json_object_get(status, "offload"), offload_fields, "offload");
	check_fields(json_object_get(status, "tun"), tun_fields, "tun");
	assert_int_equal(json_object_size(json_object_get(status, "counters")), WG_COUNTERS);
	assert_true(json_is_true(json_object_get(status, "up")));
	assert_int_equal(count_of(status, "listenPort"), engine_listen_port(t->rig.engine));
	assert_int_equal(json_array_size(json_object_get(status, "peers")), 2);

	peer = json_array_get(json_object_get(status, "peers"), 0);
	check_fields(peer, peer_fields, "peer");
	check_fields(json_object_get(peer, "handshake"), handshake_fields, "handshake");
	check_fields(json_object_get(peer, "path"), path_fields, "path");
	check_fields(json_object_get(peer, "tunnel"), tunnel_fields, "tunnel");
	assert_string_equal(text_of(peer, "publicKey"), rig_base64(1));
	assert_string_equal(text_of(peer, "name"), "edge-fra");
	assert_string_equal(text_of(peer, "endpoint"), "127.0.0.1:9");
	assert_string_equal(text_of(peer, "endpointOrigin"), "configured");
	assert_string_equal(json_string_value(json_array_get(json_object_get(peer, "allowedIps"), 0)),
			    "10.1.2.0/24");
	assert_int_equal(count_of(json_object_get(peer, "counters"), "initiation_sent"),
			 count_of(json_object_get(peer, "handshake"), "sent"));
	assert_true(count_of(json_object_get(peer, "handshake"), "sent") > 0);
	assert_true(json_array_size(json_object_get(peer, "timers")) > 0);
	check_fields(json_array_get(json_object_get(peer, "timers"), 0), timer_fields, "timer");
	json_decref(status);

	status = expect_result(&k, "{\"id\":1,\"method\":\"status\",\"params\":{\"peers\":false}}");
	assert_null(json_object_get(status, "peers"));
	json_decref(status);

	reply = expect_result(
		&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"edge-fra\",\"timeline\":2}}");
	check_fields(json_object_get(reply, "peer"), peer_fields, "peer");
	assert_int_equal(json_array_size(json_object_get(reply, "timeline")), 2);
	check_fields(json_array_get(json_object_get(reply, "timeline"), 0), event_fields, "event");
	assert_true(count_of(json_array_get(json_object_get(reply, "timeline"), 0), "seq") >
		    count_of(json_array_get(json_object_get(reply, "timeline"), 1), "seq"));
	json_decref(reply);

	reply = expect_result(&k, "{\"id\":1,\"method\":\"log\"}");
	assert_true(json_array_size(json_object_get(reply, "entries")) > 0);
	check_fields(json_array_get(json_object_get(reply, "entries"), 0), log_fields, "log");
	json_decref(reply);
	talk_close(&k);
}

/* Bytes that must be nowhere: as they are, in base64 without its padding, and in hex. */
static void expect_without(const char *text, const char *what, const void *secret, size_t len)
{
	char base64[160], hex[160];

	sodium_bin2base64(base64, sizeof(base64), secret, len, sodium_base64_VARIANT_ORIGINAL_NO_PADDING);
	sodium_bin2hex(hex, sizeof(hex), secret, len);
	/* The last digit of base64 depends on what follows. */
	base64[strlen(base64) - 1] = '\0';
	if (memmem(text, strlen(text), secret, len) || strstr(text, base64) || strcasestr(text, hex))
		fail_msg("%s is in %s", what, text);
}

/* All kinds of secrets that an engine has. */
struct planted {
	struct key private_key, psk;
	struct engine_network network;
	char password[24];
};

static void plant(struct test *t, struct planted *s)
{
	static char url[] = "rel://127.0.0.1:9", host[] = "127.0.0.1", port[] = "9", user[] = "user";
	struct engine_peer *p = add_peer(t, 1, "one");
	struct error e = {0};

	*s = (struct planted){
		.private_key = rig_key(77), .psk = rig_key(78), .password = "turn-password-planted"};
	s->network = (struct engine_network){
		.urls = {url}, .url_count = 1, .has_secret = true, .token_len = 40, .turn_count = 1};
	s->network.turn[0] = (struct engine_turn){host, port, user, s->password, false};
	memset(s->network.token, 0xa7, sizeof(s->network.token));
	memset(&s->network.secret, 0x5c, sizeof(s->network.secret));
	engine_set_private_key(t->rig.engine, &s->private_key);
	wg_peer_set_psk(engine_peer_wg(p), &s->psk);
	engine_peer_set_mode(p, PEER_AUTO);
	assert_int_equal(engine_set_network(t->rig.engine, &s->network, &e), 0);
	point(p, 9);
	engine_peer_handshake(p, "test", &e);
}

/* Secrets stay inside, whatever is asked. */
static void test_no_secrets(void **state)
{
	static const char *const requests[] = {
		"{\"id\":1,\"method\":\"status\"}",
		"{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"one\"}}",
		"{\"id\":1,\"method\":\"explain\",\"params\":{\"peer\":\"one\"}}",
		"{\"id\":1,\"method\":\"explain\",\"params\":{\"peer\":\"all\"}}",
		"{\"id\":1,\"method\":\"trace\",\"params\":{\"address\":\"10.1.2.3\"}}",
		"{\"id\":1,\"method\":\"metrics\"}",
		"{\"id\":1,\"method\":\"events\"}",
		"{\"id\":1,\"method\":\"log\"}",
		"{\"id\":1,\"method\":\"history\"}",
	};
	struct test *t = *state;
	struct planted s;
	struct talk k;

	control_record(t->control, 1 << 20);
	plant(t, &s);
	talk_open(&k, t);
	rig_turn(&t->rig, 50);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		bool done = false;

		say(&k, requests[i]);
		/* Recorded lines come before their reply. */
		while (!done) {
			json_t *line = hear(&k);
			char *text = json_dumps(line, 0);

			assert_non_null(text);
			expect_without(text, "the private key", s.private_key.bytes, KEY_LEN);
			expect_without(text, "the preshared key", s.psk.bytes, KEY_LEN);
			expect_without(text, "the relay's token", s.network.token, s.network.token_len);
			expect_without(text, "the relay's secret", &s.network.secret,
				       sizeof(s.network.secret));
			expect_without(text, "the password of TURN", s.password, strlen(s.password));
			done = json_object_get(line, "id");
			if (done)
				assert_non_null(json_object_get(line, "result"));
			free(text);
			json_decref(line);
		}
	}
	talk_close(&k);
}

/* ---- peers by name, actions, rights ---- */

static void test_picking(void **state)
{
	struct test *t = *state;
	struct talk k;

	add_peer(t, 1, "edge-fra");
	add_peer(t, 2, "twin");
	add_peer(t, 3, "twin");
	talk_open(&k, t);
	expect_error(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"edge-xyz\"}}", "not-found");
	expect_error(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"twin\"}}", "ambiguous");
	expect_error(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":\"zzzz\"}}", "not-found");
	/* the key of the first one begins like this */
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"AAEA\"}}"));
	expect_error(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"all\"}}", "not-found");
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"edge-fra\"}}"));
	talk_close(&k);
}

/* A peer in trouble has a verdict with evidence, one that is well what works; all of them, those in trouble.
 */
static void test_explain(void **state)
{
	struct test *t = *state;
	struct engine_peer *p = add_peer(t, 1, "edge-fra");
	json_t *r, *verdict;
	struct talk k;

	engine_follow_link(t->rig.engine, false);
	engine_down(t->rig.engine);
	talk_open(&k, t);
	r = expect_result(&k, "{\"id\":1,\"method\":\"explain\",\"params\":{\"peer\":\"edge-fra\"}}");
	assert_false(json_is_true(json_object_get(r, "healthy")));
	assert_string_equal(json_string_value(json_object_get(r, "word")), "DOWN");
	verdict = json_array_get(json_object_get(json_object_get(r, "diagnosis"), "verdicts"), 0);
	assert_string_equal(json_string_value(json_object_get(verdict, "rule")), "device-down");
	assert_string_equal(json_string_value(json_object_get(verdict, "confidence")), "certain");
	assert_string_equal(json_string_value(json_object_get(verdict, "severity")), "trouble");
	assert_string_equal(json_string_value(json_object_get(verdict, "side")), "here");
	assert_true(json_array_size(json_object_get(verdict, "evidence")) > 0);
	json_decref(r);
	/* Nobody has looked twice yet. */
	r = expect_result(&k, "{\"id\":2,\"method\":\"explain\",\"params\":{\"peer\":\"all\"}}");
	assert_int_equal(json_array_size(json_object_get(r, "peers")), 0);
	assert_int_equal(json_integer_value(json_object_get(r, "peersTotal")), 1);
	assert_int_equal(json_array_size(json_object_get(r, "strangers")), 0);
	assert_true(json_is_true(json_object_get(r, "healthy")));
	json_decref(r);
	while (!engine_has_diagnosis(p))
		json_decref(expect_result(&k, "{\"id\":2,\"method\":\"status\"}"));
	add_peer(t, 2, "edge-sfo");
	r = expect_result(&k, "{\"id\":2,\"method\":\"explain\",\"params\":{\"peer\":\"all\"}}");
	assert_int_equal(json_array_size(json_object_get(r, "peers")), 1);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(json_object_get(r, "peers"), 0), "name")),
		"edge-fra");
	assert_int_equal(json_integer_value(json_object_get(r, "peersTotal")), 2);
	assert_true(json_is_false(json_object_get(r, "healthy")));
	json_decref(r);
	expect_error(&k, "{\"id\":3,\"method\":\"explain\",\"params\":{\"peer\":\"nobody\"}}", "not-found");
	expect_error(&k, "{\"id\":4,\"method\":\"explain\"}", "bad-request");
	talk_close(&k);
}

/*
 * Sixty clients that ask for all of 3,000 peers at once share the turns of the loop: none of them holds up
 * handshakes for longer than one client would. By CPU time, so that a busy host changes nothing.
 */
static void test_crowd_shares_turns(void **state)
{
	enum { CLIENTS = 60, PEERS = 3000 };
	struct test *t = *state;
	struct talk k[CLIENTS];
	unsigned answered = 0;
	uint64_t longest = 0;
	char *piece = malloc(1 << 16);

	for (unsigned i = 0; i < PEERS; i++)
		add_peer(t, 1000 + i, "one of many");
	for (unsigned i = 0; i < CLIENTS; i++) {
		talk_open(&k[i], t);
		json_decref(hear(&k[i]));
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		assert_true(send(k[i].fd, "{\"id\":1,\"method\":\"status\"}\n", 27, 0) == 27);
	while (answered < CLIENTS) {
		uint64_t began = clock_work_ns(), took;

		loop_step(t->rig.loop, false);
		took = clock_work_ns() - began;
		longest = took > longest ? took : longest;
		for (unsigned i = 0; i < CLIENTS; i++) {
			ssize_t n = recv(k[i].fd, piece, 1 << 16, MSG_DONTWAIT);

			answered += n > 0 && piece[n - 1] == '\n';
		}
	}
	print_message("longest turn: %.1f ms\n", (double)longest / 1e6);
	assert_in_range(longest, 0, 25 * NS_PER_MS);
	for (unsigned i = 0; i < CLIENTS; i++)
		talk_close(&k[i]);
	free(piece);
}

static void test_actions(void **state)
{
	struct test *t = *state;
	struct key own = rig_key(9);
	struct error e = {0};
	struct talk k;
	json_t *r;

	engine_set_private_key(t->rig.engine, &own);
	add_peer(t, 1, "lost");
	point(add_peer(t, 2, "there"), 9);
	talk_open(&k, t);
	expect_error(&k, "{\"id\":1,\"method\":\"handshake\",\"params\":{\"peer\":\"there\"}}", "failed");
	if (engine_up(t->rig.engine, &e))
		fail_msg("%s", e.text);
	expect_error(&k, "{\"id\":1,\"method\":\"handshake\",\"params\":{\"peer\":\"lost\"}}", "failed");
	r = expect_result(&k, "{\"id\":1,\"method\":\"handshake\",\"params\":{\"peer\":\"there\"}}");
	assert_int_equal(count_of(r, "peers"), 1);
	json_decref(r);
	r = expect_result(&k, "{\"id\":1,\"method\":\"handshake\",\"params\":{\"peer\":\"all\"}}");
	assert_int_equal(count_of(r, "peers"), 1);
	assert_int_equal(count_of(r, "failedTotal"), 1);
	assert_string_equal(text_of(json_array_get(json_object_get(r, "failed"), 0), "peer"), "lost");
	assert_true(*text_of(json_array_get(json_object_get(r, "failed"), 0), "error"));
	json_decref(r);
	r = expect_result(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":\"all\"}}");
	assert_int_equal(count_of(r, "peers"), 2);
	json_decref(r);
	r = expect_result(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":\"there\"}}");
	assert_int_equal(count_of(r, "peers"), 1);
	json_decref(r);
	r = expect_result(&k, "{\"id\":1,\"method\":\"reset\",\"params\":{\"peer\":\"all\"}}");
	assert_int_equal(count_of(r, "peers") + count_of(r, "failedTotal"), 2);
	json_decref(r);
	talk_close(&k);
}

static void test_reload_and_down(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *r, *messages;

	talk_open(&k, t);
	json_decref(hear(&k));
	r = expect_result(&k, "{\"id\":1,\"method\":\"reload\"}");
	assert_string_equal(text_of(r, "summary"), "1 peer added");
	json_decref(r);
	error_exit(&t->reload_error, EXIT_CONFIG, EINVAL,
		   "wg0.conf:3:1: error: what\nwg0.conf:4:1: error: why");
	r = ask(&k, "{\"id\":1,\"method\":\"reload\"}");
	assert_string_equal(text_of(json_object_get(r, "error"), "code"), "config");
	messages = json_object_get(json_object_get(r, "error"), "messages");
	assert_int_equal(json_array_size(messages), 2);
	assert_string_equal(json_string_value(json_array_get(messages, 1)), "wg0.conf:4:1: error: why");
	json_decref(r);
	error_set(&t->reload_error, EIO, "the disk is tired");
	expect_error(&k, "{\"id\":1,\"method\":\"reload\"}", "failed");
	assert_int_equal(t->reloads, 3);
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"down\"}"));
	for (unsigned i = 0; i < 1000 && !t->downs; i++) {
		usleep(1000);
		rig_turn(&t->rig, 2);
	}
	assert_int_equal(t->downs, 1);
	assert_true(t->drained);
	/* the program then closes the control */
	control_close(t->control);
	t->control = NULL;
	r = hear(&k);
	assert_string_equal(text_of(r, "event"), "bye");
	assert_string_equal(text_of(r, "reason"), "shutting down");
	json_decref(r);
	assert_null(hear(&k));
	assert_int_equal(access(t->rig.path, F_OK), -1);
	talk_close(&k);
}

static void expect_looking_only(struct talk *k)
{
	static const char *const changing[] = {"drain", "handshake", "reset",	"resolve", "rotate",
					       "probe", "path",	     "ladder",	"reload",  "down",
					       "tap",	"untap",     "capture", "keep",	   "kept"};
	char line[128];

	for (size_t i = 0; i < sizeof(changing) / sizeof(*changing); i++) {
		snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"%s\",\"params\":{\"peer\":\"all\"}}",
			 changing[i]);
		expect_error(k, line, "not-permitted");
	}
	json_decref(expect_result(k, "{\"id\":1,\"method\":\"status\"}"));
}

static void test_readonly(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *hello;

	add_peer(t, 1, "one");
	talk_adopted(&k, t, true);
	hello = hear(&k);
	assert_true(json_is_true(json_object_get(hello, "readonly")));
	json_decref(hello);
	expect_looking_only(&k);
	talk_close(&k);

	talk_adopted(&k, t, false);
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":\"all\"}}"));
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"readonly\":true}}"));
	expect_looking_only(&k);
	/* given up is given up */
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"readonly\":false}}"));
	expect_looking_only(&k);
	talk_close(&k);

	talk_adopted(&k, t, false);
	json_decref(
		expect_result(&k, "{\"id\":1,\"method\":\"unsubscribe\",\"params\":{\"readonly\":true}}"));
	expect_looking_only(&k);
	talk_close(&k);
	assert_int_equal(t->downs + t->reloads, 0);
}

/* As another user: 'e' refused by the file's mode, 'b' let in and sent away, 'h' greeted. */
static char connect_as(struct test *t, uid_t uid, gid_t gid)
{
	int result[2], status;
	char c = '?';
	pid_t pid;

	assert_int_equal(pipe(result), 0);
	pid = fork();
	if (pid == 0) {
		char line[256] = "";
		int fd;

		if (setgid(gid) || setuid(uid))
			_exit(1);
		fd = rig_connect(&t->rig);
		if (fd >= 0)
			for (unsigned i = 0; i < 10000 && recv(fd, line, sizeof(line) - 1, 0) < 0; i++)
				usleep(1000);
		c = fd < 0 ? 'e' : strstr(line, "bye") ? 'b' : strstr(line, "hello") ? 'h' : '?';
		_exit(write(result[1], &c, 1) != 1);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		usleep(1000);
		rig_turn(&t->rig, 2);
	}
	assert_int_equal(read(result[0], &c, 1), 1);
	close(result[0]);
	close(result[1]);
	return c;
}

/* False in a user namespace that knows one user only. */
static bool may_become_others(void)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(setgid(65534) || setuid(65534));
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_credentials(void **state)
{
	struct test *t = *state;
	struct stat st;

	assert_int_equal(stat(t->rig.path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	if (geteuid() != 0 || !may_become_others())
		return;
	assert_int_equal(chmod(t->rig.folder, 0755), 0);
	assert_int_equal(connect_as(t, 65534, 65534), 'e');
	assert_int_equal(chown(t->rig.path, 0, 4242), 0);
	assert_int_equal(chmod(t->rig.path, 0660), 0);
	assert_int_equal(connect_as(t, 65534, 65534), 'e');
	assert_int_equal(connect_as(t, 65534, 4242), 'h');
}

static void test_views(void **state)
{
	struct test *t = *state;
	struct talk a, b;

	assert_int_equal(control_views(t->control), 0);
	talk_open(&a, t);
	talk_adopted(&b, t, false);
	subscribe(&a, "{}");
	assert_int_equal(control_views(t->control), 0);
	subscribe(&a, "{\"view\":true}");
	subscribe(&b, "{\"view\":true}");
	assert_int_equal(control_views(t->control), 2);
	talk_close(&a);
	assert_int_equal(control_views(t->control), 1);
	json_decref(expect_result(&b, "{\"id\":1,\"method\":\"unsubscribe\"}"));
	assert_int_equal(control_views(t->control), 0);
	talk_close(&b);
}

/* ---- the blocking client ---- */

struct blocking {
	struct test *t;
	atomic_bool done;
	char failure[512];
};

static void blocking_calls(struct blocking *b)
{
	struct error e = {0};
	struct client *c = client_connect(b->t->rig.folder, RIG_IFNAME, &e);
	char(*names)[16];
	json_t *result;

	if (!c) {
		snprintf(b->failure, sizeof(b->failure), "connect: %.400s", e.text);
		return;
	}
	result = client_call(c, "subscribe", json_pack("{s:f}", "interval", 0.1), &e);
	if (!result)
		snprintf(b->failure, sizeof(b->failure), "subscribe: %.400s", e.text);
	json_decref(result);
	result = client_call(c, "peer", json_pack("{s:s}", "peer", "nobody"), &e);
	if (result || e.exit != EXIT_USAGE || !strstr(e.text, "nobody"))
		snprintf(b->failure, sizeof(b->failure), "peer: %d %.400s", e.exit, e.text);
	result = client_next(c, &e);
	if (!result || !is_event(result, "snapshot"))
		snprintf(b->failure, sizeof(b->failure), "no snapshot");
	json_decref(result);
	if (client_interfaces(b->t->rig.folder, &names) != 1 || strcmp(names[0], RIG_IFNAME))
		snprintf(b->failure, sizeof(b->failure), "interfaces");
	free(names);
	client_close(c);
}

static void *blocking_thread(void *arg)
{
	struct blocking *b = arg;

	blocking_calls(b);
	atomic_store(&b->done, true);
	return NULL;
}

static void test_client(void **state)
{
	struct test *t = *state;
	struct blocking b = {.t = t};
	struct error e = {0};
	pthread_t thread;
	char(*names)[16];

	assert_int_equal(pthread_create(&thread, NULL, blocking_thread, &b), 0);
	while (!atomic_load(&b.done)) {
		rig_turn(&t->rig, 2);
		usleep(200);
	}
	pthread_join(thread, NULL);
	assert_string_equal(b.failure, "");

	assert_null(client_connect(t->rig.folder, "weirnone", &e));
	assert_int_equal(e.exit, EXIT_NOT_RUNNING);
	assert_null(client_connect(t->rig.folder, "no/such", &e));
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_int_equal(client_interfaces("/nonexistent", &names), 0);
	/* a second engine on the same socket is refused, the first goes on */
	assert_int_equal(control_open(&(struct control *){0}, t->rig.engine, t->rig.folder, NULL, &e),
			 -EADDRINUSE);
	assert_int_equal(access(t->rig.path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, talk_set_up, talk_tear_down)
		TEST(test_hello),
		TEST(test_bad_requests),
		TEST(test_overlong_request),
		TEST(test_pipeline),
		TEST(test_half_closed),
		TEST(test_schema),
		TEST(test_no_secrets),
		TEST(test_picking),
		TEST(test_explain),
		TEST(test_crowd_shares_turns),
		TEST(test_actions),
		TEST(test_reload_and_down),
		TEST(test_readonly),
		TEST(test_credentials),
		TEST(test_views),
		TEST(test_client),
	};

	if (!rig_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
