/* The control socket against a real engine: requests, rights, snapshots that add up, readers that do not
 * read. */
#include "tests/unit/test.h"

#include <errno.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/client.h"
#include "control/control.h"
#include "tests/unit/control_rig.h"

struct test {
	struct rig rig;
	struct control *control;
	unsigned downs, reloads;
	bool drained;
	struct error reload_error; /* what reload is to fail with; text empty: succeed */
};

static int reload(void *ctx, char **summary, struct error *e)
{
	struct test *t = ctx;

	t->reloads++;
	if (*t->reload_error.text) {
		*e = t->reload_error;
		return -EINVAL;
	}
	*summary = strdup("1 peer added");
	return 0;
}

static void down(void *ctx, bool drain)
{
	struct test *t = ctx;

	t->downs++;
	t->drained = drain;
}

static int set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct control_ops ops = {.reload = reload, .down = down, .ctx = t};
	struct error e = {0};

	rig_open(&t->rig);
	if (control_open(&t->control, t->rig.engine, t->rig.folder, &ops, &e))
		fail_msg("%s", e.text);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct test *t = *state;

	control_close(t->control);
	rig_close(&t->rig);
	free(t);
	return 0;
}

static struct engine_peer *add_peer(struct test *t, unsigned n, const char *name)
{
	struct key key = rig_key(n);
	struct engine_peer *p = engine_add_peer(t->rig.engine, &key);

	engine_peer_set_name(p, name);
	return p;
}

static void allow(struct engine_peer *p, uint8_t a, uint8_t b)
{
	uint8_t ip[4] = {10, a, b, 0};

	assert_int_equal(wg_allow(engine_peer_wg(p), AF_INET, ip, 24, NULL), 0);
}

static void point(struct engine_peer *p, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	engine_peer_set_endpoint(p, &a);
}

/* ---- a client ---- */

struct talk {
	struct test *t;
	int fd;
	struct strbuf in;
	size_t bytes; /* read in all */
};

static void talk_open(struct talk *k, struct test *t)
{
	*k = (struct talk){.t = t, .fd = rig_connect(&t->rig)};
	assert_true(k->fd >= 0);
}

static void talk_adopted(struct talk *k, struct test *t, bool readonly)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(control_adopt(t->control, pair[1], readonly), 0);
	*k = (struct talk){.t = t, .fd = pair[0]};
}

static void talk_close(struct talk *k)
{
	close(k->fd);
	strbuf_clear(&k->in);
	rig_turn(&k->t->rig, 5);
}

static bool has_line(const struct strbuf *in, void *arg)
{
	(void)arg;
	return in->len && memchr(in->text, '\n', in->len);
}

/* The next message; NULL at the end of the connection. */
static json_t *hear(struct talk *k)
{
	json_error_t where;
	json_t *message;
	size_t len;

	if (!rig_read(&k->t->rig, k->fd, &k->in, has_line, NULL))
		return NULL;
	len = (size_t)((char *)memchr(k->in.text, '\n', k->in.len) - k->in.text);
	message = json_loadb(k->in.text, len, JSON_REJECT_DUPLICATES, &where);
	if (!message)
		fail_msg("%s at byte %d of %.*s", where.text, where.position, (int)len, k->in.text);
	strbuf_consume(&k->in, len + 1);
	k->bytes += len + 1;
	return message;
}

static const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static bool is_event(json_t *message, const char *event)
{
	return !strcmp(text_of(message, "event"), event);
}

static json_t *hear_event(struct talk *k, const char *event)
{
	json_t *message;

	while ((message = hear(k)) && !is_event(message, event))
		json_decref(message);
	return message;
}

static void say(struct talk *k, const char *line)
{
	rig_send(&k->t->rig, k->fd, line, strlen(line));
	rig_send(&k->t->rig, k->fd, "\n", 1);
}

/* The reply to a request (not a notification). */
static json_t *ask(struct talk *k, const char *line)
{
	json_t *message;

	say(k, line);
	while ((message = hear(k)) && json_object_get(message, "event"))
		json_decref(message);
	assert_non_null(message);
	return message;
}

static void expect_error(struct talk *k, const char *line, const char *code)
{
	json_t *reply = ask(k, line);
	json_t *error = json_object_get(reply, "error");

	if (strcmp(text_of(error, "code"), code))
		fail_msg("%s: \"%s\", not \"%s\"", line, text_of(error, "code"), code);
	assert_true(*text_of(error, "message"));
	assert_null(json_object_get(reply, "result"));
	json_decref(reply);
}

static json_t *expect_result(struct talk *k, const char *line)
{
	json_t *reply = ask(k, line), *result = json_object_get(reply, "result");

	if (!result)
		fail_msg("%s: %s", line, text_of(json_object_get(reply, "error"), "message"));
	json_incref(result);
	json_decref(reply);
	return result;
}

static json_int_t count_of(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

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

struct field {
	const char *name;
	json_type type;
};

#define NUMBER ((json_type)-1) /* integer or real */
#define FLAG   ((json_type)-2)

static const struct field snapshot_fields[] = {
	{"schema", JSON_INTEGER},
	{"interface", JSON_STRING},
	{"hostname", JSON_STRING},
	{"version", JSON_STRING},
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
	{"publicKey", JSON_STRING},
	{"name", JSON_STRING},
	{"presharedKey", FLAG},
	{"persistentKeepalive", JSON_INTEGER},
	{"allowedIps", JSON_ARRAY},
	{"allowedIpsTotal", JSON_INTEGER},
	{"endpoint", JSON_STRING},
	{"endpointOrigin", JSON_STRING},
	{"endpointHost", JSON_STRING},
	{"sourceAddress", JSON_STRING},
	{"resolveError", JSON_STRING},
	{"word", JSON_STRING},
	{"wordSinceAt", NUMBER},
	{"reason", JSON_STRING},
	{"path", JSON_OBJECT},
	{"tunnel", JSON_OBJECT},
	{"latestHandshake", NUMBER},
	{"handshakeRtt", NUMBER},
	{"lastReceivedAt", NUMBER},
	{"lastSentAt", NUMBER},
	{"unansweredSinceAt", NUMBER},
	{"transferRx", JSON_INTEGER},
	{"transferTx", JSON_INTEGER},
	{"loss", NUMBER},
	{"handshake", JSON_OBJECT},
	{"keypairs", JSON_ARRAY},
	{"timers", JSON_ARRAY},
	{"draining", FLAG},
	{"staged", JSON_INTEGER},
	{"counters", JSON_OBJECT},
	{NULL, 0},
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
static const struct field event_fields[] = {
	{"at", NUMBER},		{"seq", JSON_INTEGER}, {"peer", JSON_STRING}, {"name", JSON_STRING},
	{"level", JSON_STRING}, {"kind", JSON_STRING}, {"text", JSON_STRING}, {NULL, 0},
};
static const struct field log_fields[] = {
	{"at", NUMBER},
	{"seq", JSON_INTEGER},
	{"level", JSON_STRING},
	{"room", JSON_STRING},
	{"peer", JSON_STRING},
	{"text", JSON_STRING},
	{NULL, 0},
};

/* All of the fields, with their types, and no others. */
static void check_fields(json_t *object, const struct field *fields, const char *what)
{
	size_t n = 0;

	assert_true(json_is_object(object));
	for (; fields[n].name; n++) {
		json_t *value = json_object_get(object, fields[n].name);
		bool good = fields[n].type == NUMBER ? json_is_number(value)
			    : fields[n].type == FLAG ? json_is_boolean(value)
						     : value && json_typeof(value) == fields[n].type;

		if (!good)
			fail_msg("%s.%s is missing or of the wrong type", what, fields[n].name);
	}
	if (json_object_size(object) != n)
		fail_msg("%s has %zu members, not %zu: document the new ones", what, json_object_size(object),
			 n);
}

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

/* Secrets stay inside, whatever is asked. */
static void test_no_secrets(void **state)
{
	struct test *t = *state;
	struct key private_key = rig_key(77), psk = rig_key(78);
	const char *private_text = rig_base64(77), *psk_text = rig_base64(78);
	struct engine_peer *p = add_peer(t, 1, "one");
	static const char *const requests[] = {
		"{\"id\":1,\"method\":\"status\"}",
		"{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"one\"}}",
		"{\"id\":1,\"method\":\"log\"}",
	};
	struct talk k;

	engine_set_private_key(t->rig.engine, &private_key);
	wg_peer_set_psk(engine_peer_wg(p), &psk);
	talk_open(&k, t);
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		json_t *reply = ask(&k, requests[i]);
		char *text = json_dumps(reply, 0);

		assert_null(strstr(text, private_text));
		assert_null(strstr(text, psk_text));
		free(text);
		json_decref(reply);
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
	expect_error(&k, "{\"id\":1,\"method\":\"drain\",\"params\":{\"peer\":\"AAEA\"}}", "not-found");
	expect_error(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"all\"}}", "not-found");
	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"peer\",\"params\":{\"peer\":\"edge-fra\"}}"));
	talk_close(&k);
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
	static const char *const changing[] = {"drain", "handshake", "reset", "reload", "down"};
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

/* ---- snapshots ---- */

static json_t *peers_of(json_t *snapshot)
{
	return json_object_get(snapshot, "peers");
}

static void subscribe(struct talk *k, const char *params)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"subscribe\",\"params\":%s}", params);
	json_decref(expect_result(k, line));
}

static void test_full_then_changes(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *s;

	add_peer(t, 1, "one");
	add_peer(t, 2, "two");
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":3600}");
	s = hear_event(&k, "snapshot");
	assert_true(json_is_true(json_object_get(s, "full")));
	assert_int_equal(json_array_size(peers_of(s)), 2);
	json_decref(s);

	/* at once, without waiting an hour, and that peer alone */
	engine_peer_drain(engine_first_peer(t->rig.engine), "the test");
	s = hear_event(&k, "snapshot");
	assert_true(json_is_false(json_object_get(s, "full")));
	assert_int_equal(json_array_size(peers_of(s)), 1);
	assert_string_equal(text_of(json_array_get(peers_of(s), 0), "publicKey"), rig_base64(1));
	assert_true(json_is_true(json_object_get(json_array_get(peers_of(s), 0), "draining")));
	json_decref(s);

	engine_remove_peer(engine_first_peer(t->rig.engine));
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(json_object_get(s, "removed")), 1);
	assert_string_equal(json_string_value(json_array_get(json_object_get(s, "removed"), 0)),
			    rig_base64(1));
	json_decref(s);

	add_peer(t, 3, "three");
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(peers_of(s)), 1);
	assert_string_equal(text_of(json_array_get(peers_of(s), 0), "name"), "three");
	json_decref(s);
	talk_close(&k);
}

/* Peers to which nothing happens are not sent again. */
static void test_idle_is_quiet(void **state)
{
	struct test *t = *state;
	struct talk k;
	json_t *s;

	for (unsigned i = 1; i <= 40; i++)
		allow(add_peer(t, i, "idle"), 1, (uint8_t)i);
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":0.1}");
	s = hear_event(&k, "snapshot");
	assert_int_equal(json_array_size(peers_of(s)), 40);
	json_decref(s);
	/* long enough for each to have been looked at in full, and more */
	for (unsigned i = 0; i < 24; i++) {
		s = hear_event(&k, "snapshot");
		assert_true(json_is_false(json_object_get(s, "full")));
		assert_int_equal(json_array_size(peers_of(s)), 0);
		json_decref(s);
	}
	talk_close(&k);
}

/* What a dashboard does with snapshots. */
static void apply(json_t *known, json_t *snapshot)
{
	json_t *value;
	size_t i;

	if (json_is_true(json_object_get(snapshot, "full")))
		json_object_clear(known);
	json_array_foreach(json_object_get(snapshot, "removed"), i, value)
		json_object_del(known, json_string_value(value));
	json_array_foreach(peers_of(snapshot), i, value)
		json_object_set(known, text_of(value, "publicKey"), value);
}

/* True when what the changes add up to is what status says. */
static bool same(json_t *known, json_t *status)
{
	json_t *value;
	size_t i;

	if (json_object_size(known) != json_array_size(peers_of(status)))
		return false;
	json_array_foreach(
		peers_of(status), i,
		value) if (!json_equal(value,
				       json_object_get(known, text_of(value, "publicKey")))) return false;
	return true;
}

static void disturb(struct test *t, unsigned random)
{
	struct key key = rig_key(1 + random % 16);
	struct engine_peer *p = engine_find_peer(t->rig.engine, &key);
	char name[16];

	if (!p) {
		add_peer(t, 1 + random % 16, "born");
		return;
	}
	switch (random / 16 % 7) {
	case 0:
		engine_remove_peer(p);
		break;
	case 1:
		allow(p, (uint8_t)(random / 128), 7);
		break;
	case 2:
		snprintf(name, sizeof(name), "n%u", random);
		engine_peer_set_name(p, name);
		break;
	case 3:
		engine_peer_drain(p, "the test");
		break;
	case 4:
		point(p, (uint16_t)(9 + random % 3));
		break;
	case 5:
		wg_peer_set_psk(engine_peer_wg(p), &key);
		break;
	case 6:
		wg_disallow_all(engine_peer_wg(p));
		break;
	}
}

static void test_changes_add_up(void **state)
{
	struct test *t = *state;
	json_t *known = json_object(), *s;
	unsigned random = 12345;
	struct talk k, other;
	bool equal = false;

	talk_open(&k, t);
	talk_open(&other, t);
	subscribe(&k, "{\"interval\":0.1}");
	for (unsigned i = 0; i < 400; i++) {
		random = random * 1103515245 + 12345;
		disturb(t, random >> 8);
		rig_turn(&t->rig, 2);
		if (i % 40)
			continue;
		s = hear_event(&k, "snapshot");
		apply(known, s);
		json_decref(s);
	}
	/* Settings that tell nobody are found within some rounds. */
	for (unsigned i = 0; i < 60 && !equal; i++) {
		json_t *status;

		s = hear_event(&k, "snapshot");
		apply(known, s);
		json_decref(s);
		status = expect_result(&other, "{\"id\":1,\"method\":\"status\"}");
		equal = same(known, status);
		json_decref(status);
	}
	assert_true(equal);
	json_decref(known);
	talk_close(&k);
	talk_close(&other);
}

static void test_timeline_and_log(void **state)
{
	struct test *t = *state;
	struct engine_peer *p = add_peer(t, 1, "one");
	struct talk k;
	json_t *m;

	log_notice("test", "before");
	talk_open(&k, t);
	subscribe(&k, "{\"interval\":3600,\"log\":true,\"logLevel\":\"notice\"}");
	do
		m = hear_event(&k, "log");
	while (m && strcmp(text_of(json_object_get(m, "entry"), "text"), "before") && (json_decref(m), true));
	check_fields(json_object_get(m, "entry"), log_fields, "log");
	json_decref(m);

	log_info("test", "too detailed");
	log_notice("test", "gr\xc3\xbc\xc3\x9f \"quoted\"");
	m = hear_event(&k, "log");
	assert_string_equal(text_of(json_object_get(m, "entry"), "level"), "notice");
	assert_non_null(strstr(text_of(json_object_get(m, "entry"), "text"), "\"quoted\""));
	json_decref(m);

	engine_note(t->rig.engine, p, LOG_INFO, "test-kind", "something");
	m = hear_event(&k, "timeline");
	check_fields(json_object_get(m, "entry"), event_fields, "event");
	assert_string_equal(text_of(json_object_get(m, "entry"), "kind"), "test-kind");
	assert_string_equal(text_of(json_object_get(m, "entry"), "peer"), rig_base64(1));
	assert_string_equal(text_of(json_object_get(m, "entry"), "name"), "one");
	json_decref(m);

	json_decref(expect_result(&k, "{\"id\":1,\"method\":\"unsubscribe\"}"));
	engine_note(t->rig.engine, p, LOG_INFO, "test-kind", "unheard");
	m = ask(&k, "{\"id\":2,\"method\":\"status\"}");
	json_decref(m);
	assert_int_equal(k.in.len, 0);
	talk_close(&k);
}

static void *chatter(void *arg)
{
	atomic_bool *stop = arg;

	for (unsigned i = 0; !atomic_load(stop); i++) {
		log_notice("test", "line %u from a thread", i);
		usleep(100);
	}
	return NULL;
}

static void test_log_from_threads(void **state)
{
	struct test *t = *state;
	atomic_bool stop = false;
	pthread_t thread;
	struct talk k;

	assert_int_equal(pthread_create(&thread, NULL, chatter, &stop), 0);
	for (unsigned i = 0; i < 20; i++) {
		talk_open(&k, t);
		subscribe(&k, "{\"log\":true,\"logLevel\":\"debug\"}");
		for (unsigned n = 0; n < 50; n++)
			json_decref(hear_event(&k, "log"));
		talk_close(&k);
	}
	atomic_store(&stop, true);
	pthread_join(thread, NULL);
}

/* ---- slow readers ---- */

/* Peers with long objects, so that a snapshot is larger than what a socket takes. */
static void add_many(struct test *t, unsigned count)
{
	for (unsigned i = 1; i <= count; i++) {
		struct engine_peer *p = add_peer(t, i, "many");

		for (unsigned n = 0; n < 3; n++)
			allow(p, (uint8_t)(i >> 8), (uint8_t)i);
	}
}

static void test_stalled_reader(void **state)
{
	struct test *t = *state;
	struct talk stalled, other;
	json_t *known = json_object(), *m;
	bool equal = false;

	add_many(t, 3000);
	talk_open(&stalled, t);
	say(&stalled, "{\"id\":1,\"method\":\"subscribe\",\"params\":{\"interval\":0.1,\"log\":true}}");
	/* Far more than the bound in events, while another client is served as ever. */
	for (unsigned i = 0; i < 40000; i++)
		engine_note(t->rig.engine, engine_first_peer(t->rig.engine), LOG_INFO, "noise",
			    "event number %u", i);
	talk_open(&other, t);
	for (unsigned i = 0; i < 5; i++)
		json_decref(expect_result(&other,
					  "{\"id\":1,\"method\":\"status\",\"params\":{\"peers\":false}}"));
	engine_remove_peer(engine_first_peer(t->rig.engine));
	rig_turn(&t->rig, 100);

	/* It reads again: whole lines only, a bounded number of them, and in the end the truth. */
	for (unsigned i = 0; i < 40 && !equal; i++) {
		json_t *status;

		m = hear_event(&stalled, "snapshot");
		assert_non_null(m);
		if (i)
			assert_true(count_of(m, "dropped") > 0);
		else
			assert_true(stalled.bytes < 12 << 20);
		apply(known, m);
		json_decref(m);
		status = expect_result(&other, "{\"id\":1,\"method\":\"status\"}");
		equal = same(known, status);
		json_decref(status);
	}
	assert_true(equal);
	assert_int_equal(json_object_size(known), 2999);
	assert_true(stalled.bytes < 40 << 20);
	json_decref(known);
	talk_close(&stalled);
	talk_close(&other);
}

/* A client that asks for much and reads nothing gets no more memory than one reply's piece. */
static void test_asks_without_reading(void **state)
{
	struct test *t = *state;
	static const char request[] = "{\"id\":1,\"method\":\"status\"}\n";
	struct talk greedy, other;
	unsigned refused = 0;

	add_many(t, 1000);
	talk_open(&greedy, t);
	for (unsigned i = 0; i < 100000 && refused < 100; i++) {
		refused += send(greedy.fd, request, sizeof(request) - 1, MSG_NOSIGNAL) < 0;
		rig_turn(&t->rig, 1);
	}
	/* its requests pile up on its own side */
	assert_int_equal(refused, 100);
	talk_open(&other, t);
	json_decref(expect_result(&other, "{\"id\":1,\"method\":\"status\"}"));
	talk_close(&other);
	talk_close(&greedy);
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
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_hello),
		TEST(test_bad_requests),
		TEST(test_overlong_request),
		TEST(test_pipeline),
		TEST(test_half_closed),
		TEST(test_schema),
		TEST(test_no_secrets),
		TEST(test_picking),
		TEST(test_actions),
		TEST(test_reload_and_down),
		TEST(test_readonly),
		TEST(test_credentials),
		TEST(test_full_then_changes),
		TEST(test_idle_is_quiet),
		TEST(test_changes_add_up),
		TEST(test_timeline_and_log),
		TEST(test_log_from_threads),
		TEST(test_stalled_reader),
		TEST(test_asks_without_reading),
		TEST(test_views),
		TEST(test_client),
	};

	if (!rig_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
