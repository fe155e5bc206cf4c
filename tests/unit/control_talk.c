#include "tests/unit/test.h"

#include "tests/unit/control_talk.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

int talk_set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct control_ops ops = {
		.reload = reload, .down = down, .ctx = t, .configuration = "/etc/weir/wg7.conf"};
	struct error e = {0};

	rig_open(&t->rig);
	if (control_open(&t->control, t->rig.engine, t->rig.folder, &ops, &e))
		fail_msg("%s", e.text);
	*state = t;
	return 0;
}

int talk_tear_down(void **state)
{
	struct test *t = *state;

	control_close(t->control);
	rig_close(&t->rig);
	free(t);
	return 0;
}

struct engine_peer *add_peer(struct test *t, unsigned n, const char *name)
{
	struct key key = rig_key(n);
	struct engine_peer *p = engine_add_peer(t->rig.engine, &key);

	engine_peer_set_name(p, name);
	return p;
}

void allow(struct engine_peer *p, uint8_t a, uint8_t b)
{
	uint8_t ip[4] = {10, a, b, 0};

	assert_int_equal(wg_allow(engine_peer_wg(p), AF_INET, ip, 24, NULL), 0);
}

void point(struct engine_peer *p, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	engine_peer_set_endpoint(p, &a);
}

void talk_open(struct talk *k, struct test *t)
{
	*k = (struct talk){.t = t, .fd = rig_connect(&t->rig)};
	assert_true(k->fd >= 0);
}

void talk_adopted(struct talk *k, struct test *t, bool readonly)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(control_adopt(t->control, pair[1], readonly), 0);
	*k = (struct talk){.t = t, .fd = pair[0]};
}

void talk_close(struct talk *k)
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
json_t *hear(struct talk *k)
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

const char *text_of(json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

bool is_event(json_t *message, const char *event)
{
	return !strcmp(text_of(message, "event"), event);
}

json_t *hear_event(struct talk *k, const char *event)
{
	json_t *message;

	while ((message = hear(k)) && !is_event(message, event))
		json_decref(message);
	return message;
}

void say(struct talk *k, const char *line)
{
	rig_send(&k->t->rig, k->fd, line, strlen(line));
	rig_send(&k->t->rig, k->fd, "\n", 1);
}

/* The reply to a request (not a notification). */
json_t *ask(struct talk *k, const char *line)
{
	json_t *message;

	say(k, line);
	while ((message = hear(k)) && json_object_get(message, "event"))
		json_decref(message);
	assert_non_null(message);
	return message;
}

void expect_error(struct talk *k, const char *line, const char *code)
{
	json_t *reply = ask(k, line);
	json_t *error = json_object_get(reply, "error");

	if (strcmp(text_of(error, "code"), code))
		fail_msg("%s: \"%s\", not \"%s\"", line, text_of(error, "code"), code);
	assert_true(*text_of(error, "message"));
	assert_null(json_object_get(reply, "result"));
	json_decref(reply);
}

json_t *expect_result(struct talk *k, const char *line)
{
	json_t *reply = ask(k, line), *result = json_object_get(reply, "result");

	if (!result)
		fail_msg("%s: %s", line, text_of(json_object_get(reply, "error"), "message"));
	json_incref(result);
	json_decref(reply);
	return result;
}

json_int_t count_of(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

json_t *peers_of(json_t *snapshot)
{
	return json_object_get(snapshot, "peers");
}

void subscribe(struct talk *k, const char *params)
{
	char line[256];

	snprintf(line, sizeof(line), "{\"id\":1,\"method\":\"subscribe\",\"params\":%s}", params);
	json_decref(expect_result(k, line));
}

const struct field event_fields[] = {
	{"at", NUMBER},		{"seq", JSON_INTEGER}, {"peer", JSON_STRING}, {"name", JSON_STRING},
	{"level", JSON_STRING}, {"kind", JSON_STRING}, {"text", JSON_STRING}, {NULL, 0},
};
const struct field log_fields[] = {
	{"at", NUMBER},
	{"seq", JSON_INTEGER},
	{"level", JSON_STRING},
	{"room", JSON_STRING},
	{"peer", JSON_STRING},
	{"text", JSON_STRING},
	{NULL, 0},
};

/* All of the fields, with their types, and no others. */
void check_fields(json_t *object, const struct field *fields, const char *what)
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
