/* The UAPI over its socket, against a real engine: transcripts, errno signs, what a failed request leaves
 * behind, requests and replies larger than any buffer, clients that do not read. */
#include "tests/unit/test.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "control/uapi.h"
#include "tests/unit/control_rig.h"

#define MANY 130560 /* allowed IPs in one request: 510 peers' worth of 256 */

struct test {
	struct rig rig;
	struct uapi *uapi;
	unsigned gone;
	unsigned drains_device, drains_peer;
	struct engine_observer observer;
};

static void on_gone(void *arg)
{
	struct test *t = arg;

	t->gone++;
}

static void on_event(void *arg, struct engine_peer *p, const struct timeline_event *ev)
{
	struct test *t = arg;

	if (strcmp(ev->kind, "drain"))
		return;
	if (p)
		t->drains_peer++;
	else
		t->drains_device++;
}

static int set_up(void **state)
{
	struct test *t = calloc(1, sizeof(*t));
	struct error e = {0};

	rig_open(&t->rig);
	if (uapi_open(&t->uapi, t->rig.engine, t->rig.folder, -1, on_gone, t, &e))
		fail_msg("%s", e.text);
	t->observer = (struct engine_observer){.event = on_event, .arg = t};
	engine_observe(t->rig.engine, &t->observer);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct test *t = *state;

	engine_unobserve(t->rig.engine, &t->observer);
	uapi_close(t->uapi);
	rig_close(&t->rig);
	free(t);
	return 0;
}

/* ---- talking ---- */

/* The number of replies awaited is in *arg. */
static bool replies_complete(const struct strbuf *in, void *arg)
{
	unsigned wanted = *(unsigned *)arg, found = 0;

	for (const char *at = in->text; at && (at = strstr(at, "errno=")); at++)
		found += strstr(at, "\n\n") != NULL;
	return found >= wanted;
}

/* Sends and returns the replies (caller frees). */
static char *ask_fd(struct test *t, int fd, const char *request, unsigned replies)
{
	struct strbuf in = {0};

	rig_send(&t->rig, fd, request, strlen(request));
	if (replies)
		assert_true(rig_read(&t->rig, fd, &in, replies_complete, &replies));
	return in.text;
}

static char *ask(struct test *t, const char *request, unsigned replies)
{
	int fd = rig_connect(&t->rig);
	char *reply;

	assert_true(fd >= 0);
	reply = ask_fd(t, fd, request, replies);
	close(fd);
	rig_turn(&t->rig, 3);
	return reply;
}

static void expect(struct test *t, const char *request, const char *reply)
{
	char *got = ask(t, request, 1);

	assert_string_equal(got, reply);
	free(got);
}

/* %1 to %4 stand for public keys in hex. */
static void fill_in(char *out, size_t size, const char *text)
{
	size_t n = 0;

	for (; *text; text++) {
		if (*text == '%' && text[1] >= '1' && text[1] <= '4')
			n += (size_t)snprintf(out + n, size - n, "%s", rig_hex((unsigned)(*++text - '0')));
		else
			out[n++] = *text;
		assert_true(n < size - 1);
	}
	out[n] = '\0';
}

static void transcript(struct test *t, const char *request, const char *reply)
{
	static char request_text[8192], reply_text[8192];

	fill_in(request_text, sizeof(request_text), request);
	fill_in(reply_text, sizeof(reply_text), reply);
	expect(t, request_text, reply_text);
}

#define ZEROS	"0000000000000000000000000000000000000000000000000000000000000000"
#define PRIVATE "a8abababababababababababababababababababababababababababababab6b"
#define PSK	"0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
#define PEER(n, psk, endpoint, keepalive, allowed)                                                           \
	"public_key=%" #n "\npreshared_key=" psk "\nprotocol_version=1\n" endpoint                           \
	"last_handshake_time_sec=0\nlast_handshake_time_nsec=0\ntx_bytes=0\nrx_bytes=0\n"                    \
	"persistent_keepalive_interval=" #keepalive "\n" allowed
#define OK "errno=0\n\n"

/* ---- transcripts ---- */

static void test_fresh(void **state)
{
	transcript(*state, "get=1\n\n", OK);
}

static void test_everything(void **state)
{
	struct test *t = *state;

	transcript(t,
		   "set=1\nprivate_key=" PRIVATE "\nlisten_port=51999\nfwmark=4097\nreplace_peers=true\n"
		   "public_key=%1\npreshared_key=" PSK "\nendpoint=192.0.2.7:51820\n"
		   "persistent_keepalive_interval=25\nreplace_allowed_ips=true\nallowed_ip=10.0.0.0/24\n"
		   "allowed_ip=fd00::/64\nprotocol_version=1\n"
		   "public_key=%2\nendpoint=[2001:db8::2]:7\n"
		   "public_key=%3\nendpoint=[fe80::3%lo]:9\n\n",
		   OK);
	transcript(t, "get=1\n\n",
		   "private_key=" PRIVATE
		   "\nlisten_port=51999\nfwmark=4097\n" PEER(1, PSK, "endpoint=192.0.2.7:51820\n", 25,
							     "allowed_ip=10.0.0.0/24\nallowed_ip=fd00::/64\n")
			   PEER(2, ZEROS, "endpoint=[2001:db8::2]:7\n", 0, "")
				   PEER(3, ZEROS, "endpoint=[fe80::3%lo]:9\n", 0, "") OK);
	/* off again */
	transcript(t,
		   "set=1\nprivate_key=" ZEROS
		   "\nlisten_port=0\nfwmark=0\npublic_key=%1\npreshared_key=" ZEROS
		   "\npersistent_keepalive_interval=0\nreplace_allowed_ips=true\npublic_key=%2\nremove=true\n"
		   "public_key=%3\nremove=true\n\n",
		   OK);
	transcript(t, "get=1\n\n", PEER(1, ZEROS, "endpoint=192.0.2.7:51820\n", 0, "") OK);
	transcript(t, "set=1\nreplace_peers=true\n\n", OK);
	transcript(t, "get=1\n\n", OK);
}

static void test_allowed_ips_move(void **state)
{
	struct test *t = *state;

	transcript(t,
		   "set=1\npublic_key=%1\nallowed_ip=10.0.0.0/24\nallowed_ip=10.0.1.0/24\npublic_key=%2\n\n",
		   OK);
	transcript(t, "set=1\npublic_key=%2\nallowed_ip=10.0.0.0/24\n\n", OK);
	transcript(t, "get=1\n\n",
		   PEER(1, ZEROS, "", 0, "allowed_ip=10.0.1.0/24\n")
			   PEER(2, ZEROS, "", 0, "allowed_ip=10.0.0.0/24\n") OK);
	/* Taking away what is not one's own changes nothing, and is no error. */
	transcript(t, "set=1\npublic_key=%1\nallowed_ip=-10.0.0.0/24\nallowed_ip=-10.0.1.0/24\n\n", OK);
	transcript(t, "get=1\n\n",
		   PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "allowed_ip=10.0.0.0/24\n") OK);
}

static void test_update_only(void **state)
{
	struct test *t = *state;

	transcript(t, "set=1\npublic_key=%1\n\n", OK);
	/* Unknown peers are not made, whatever follows; known ones are changed. */
	transcript(t,
		   "set=1\npublic_key=%2\nupdate_only=true\nallowed_ip=10.2.0.0/"
		   "16\npublic_key=%1\nupdate_only=true\n"
		   "allowed_ip=10.1.0.0/16\npublic_key=%3\nallowed_ip=10.3.0.0/16\nupdate_only=true\n\n",
		   OK);
	transcript(t, "get=1\n\n", PEER(1, ZEROS, "", 0, "allowed_ip=10.1.0.0/16\n") OK);
}

static void test_remove(void **state)
{
	struct test *t = *state;

	transcript(t, "set=1\npublic_key=%1\npublic_key=%2\n\n", OK);
	/* The lines after remove have no peer to change; removing a stranger is no error. */
	transcript(
		t,
		"set=1\npublic_key=%1\nremove=true\nallowed_ip=10.1.0.0/16\npublic_key=%3\nremove=true\n\n",
		OK);
	transcript(t, "get=1\n\n", PEER(2, ZEROS, "", 0, "") OK);
}

static void test_own_key(void **state)
{
	struct test *t = *state;
	char request[1024], hex[KEY_HEX_LEN + 1];
	struct key own;

	transcript(t, "set=1\nprivate_key=" PRIVATE "\n\n", OK);
	wg_get_public_key(engine_wg(t->rig.engine), &own);
	key_to_hex(hex, &own);
	snprintf(request, sizeof(request),
		 "set=1\npublic_key=%s\nallowed_ip=10.0.0.0/8\nendpoint=192.0.2.1:1\n\n", hex);
	expect(t, request, OK);
	transcript(t, "get=1\n\n", "private_key=" PRIVATE "\n" OK);
	/* Its lines are checked all the same. */
	snprintf(request, sizeof(request), "set=1\npublic_key=%s\nallowed_ip=10.0.0.0/33\n\n", hex);
	expect(t, request, "errno=-22\n\n");
}

static void test_drain(void **state)
{
	struct test *t = *state;

	transcript(t, "set=1\npublic_key=%1\npublic_key=%2\n\n", OK);
	transcript(t, "set=1\ndrain=true\n\n", OK);
	assert_int_equal(t->drains_device, 1);
	assert_int_equal(t->drains_peer, 0);
	transcript(t, "set=1\npublic_key=%2\nupdate_only=true\ndrain=true\n\n", OK);
	assert_int_equal(t->drains_device, 1);
	assert_int_equal(t->drains_peer, 1);
	transcript(t, "set=1\ndrain=false\n\n", "errno=-22\n\n");
	/* A drain is no setting: get does not show it, and it makes no peer that update_only forbids. */
	transcript(t, "set=1\npublic_key=%3\nupdate_only=true\ndrain=true\n\n", OK);
	transcript(t, "get=1\n\n", PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "") OK);
	assert_int_equal(t->drains_peer, 1);
}

/* With an endpoint, a key and a keepalive the peer is called, and again, without anything else happening. */
static void test_keepalive(void **state)
{
	struct test *t = *state;
	struct key key = rig_key(1);
	uint64_t deadline = clock_boot_ns() + RIG_PATIENCE;
	const counter_t *sent;
	struct wg_peer_view view;
	struct error e = {0};

	if (engine_up(t->rig.engine, &e))
		fail_msg("%s", e.text);
	transcript(t, "set=1\npublic_key=%1\nendpoint=127.0.0.1:9\n\n", OK);
	transcript(t, "set=1\nprivate_key=" PRIVATE "\n\n", OK);
	rig_turn(&t->rig, 20);
	wg_peer_look(engine_peer_wg(engine_find_peer(t->rig.engine, &key)), &view, clock_boot_ns());
	sent = &view.counters[WG_COUNT_initiation_sent];
	transcript(t, "set=1\npublic_key=%1\npersistent_keepalive_interval=1\n\n", OK);
	while (counter_get(sent) < 3 && clock_boot_ns() < deadline)
		loop_step(t->rig.loop, false);
	assert_true(counter_get(sent) >= 3);
}

/* ---- errors ---- */

/* Each request meets a device with peer 1; what a failed request leaves is what wireguard-go would leave. */
static const struct {
	const char *request, *reply, *after;
} failures[] = {
	{"set=1\nunknown=1\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	{"set=1\nfwmark=5\nno equals sign\nfwmark=6\n\n", "errno=-71\n\n",
	 "fwmark=5\n" PEER(1, ZEROS, "", 0, "")},
	{"set=1\nfwmark=5\nlisten_port=70000\nfwmark=6\n\n", "errno=-22\n\n",
	 "fwmark=5\n" PEER(1, ZEROS, "", 0, "")},
	{"set=1\nprivate_key=00\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	/* sections before the bad one stay, and the good lines of the bad one */
	{"set=1\npublic_key=%2\nallowed_ip=10.2.0.0/16\npublic_key=%3\nallowed_ip=10.3.0.0/"
	 "16\nallowed_ip=bad\n"
	 "allowed_ip=10.4.0.0/16\npublic_key=%4\n\n",
	 "errno=-22\n\n",
	 PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "allowed_ip=10.2.0.0/16\n")
		 PEER(3, ZEROS, "", 0, "allowed_ip=10.3.0.0/16\n")},
	/* a peer is made by its public_key line alone */
	{"set=1\npublic_key=%2\nunknown=1\n\n", "errno=-22\n\n",
	 PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "")},
	{"set=1\npublic_key=%2\nupdate_only=maybe\n\n", "errno=-22\n\n",
	 PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "")},
	{"set=1\npublic_key=%2\nupdate_only=true\nunknown=1\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	{"set=1\npublic_key=%2\npublic_key=short\n\n", "errno=-22\n\n",
	 PEER(1, ZEROS, "", 0, "") PEER(2, ZEROS, "", 0, "")},
	{"set=1\npublic_key=%1\npersistent_keepalive_interval=7\nendpoint=nowhere\n\n", "errno=-22\n\n",
	 PEER(1, ZEROS, "", 7, "")},
	{"set=1\npublic_key=%1\npreshared_key=" PSK "\npreshared_key=00\n\n", "errno=-22\n\n",
	 PEER(1, PSK, "", 0, "")},
	{"set=1\npublic_key=%1\nremove=yes\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	/* scopes do not mix */
	{"set=1\npublic_key=%1\nlisten_port=1\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	{"set=1\nallowed_ip=10.0.0.0/8\n\n", "errno=-22\n\n", PEER(1, ZEROS, "", 0, "")},
	/* get has the other sign */
	{"get=1\nlisten_port=1\n\n", "errno=22\n\n", PEER(1, ZEROS, "", 0, "")},
	/* carriage returns are as welcome as they are there */
	{"set=1\nfwmark=5\r\n\r\n", OK, "fwmark=5\n" PEER(1, ZEROS, "", 0, "")},
};

static void test_failures(void **state)
{
	struct test *t = *state;
	char after[4096];

	for (size_t i = 0; i < sizeof(failures) / sizeof(*failures); i++) {
		transcript(t, "set=1\nprivate_key=" ZEROS "\nfwmark=0\nreplace_peers=true\npublic_key=%1\n\n",
			   OK);
		transcript(t, failures[i].request, failures[i].reply);
		snprintf(after, sizeof(after), "%s%s", failures[i].after, OK);
		transcript(t, "get=1\n\n", after);
	}
}

static void test_port_in_use(void **state)
{
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t len = sizeof(at);
	struct test *t = *state;
	struct error e = {0};
	char request[64];
	uint16_t before;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
	if (engine_up(t->rig.engine, &e))
		fail_msg("%s", e.text);
	before = engine_listen_port(t->rig.engine);
	snprintf(request, sizeof(request), "set=1\nlisten_port=%u\n\n", ntohs(at.sin_port));
	expect(t, request, "errno=-98\n\n");
	assert_int_equal(engine_listen_port(t->rig.engine), before);
	close(fd);
	expect(t, request, OK);
	assert_int_equal(engine_listen_port(t->rig.engine), ntohs(at.sin_port));
}

/* ---- connections ---- */

static void test_probe(void **state)
{
	struct test *t = *state;

	/* wg(8) connects and hangs up before each real connection. */
	for (unsigned i = 0; i < 1000; i++) {
		int fd = rig_connect(&t->rig);

		assert_true(fd >= 0);
		close(fd);
		rig_turn(&t->rig, 2);
	}
	transcript(t, "get=1\n\n", OK);
}

static void test_several_requests(void **state)
{
	struct test *t = *state;
	int fd = rig_connect(&t->rig);
	char *got;

	got = ask_fd(t, fd, "set=1\nfwmark=1\n\nget=1\n\nset=1\nbad\n\nget=1\n\n", 4);
	assert_string_equal(got, "errno=0\n\nfwmark=1\nerrno=0\n\nerrno=-71\n\nfwmark=1\nerrno=0\n\n");
	free(got);
	/* A client that gives up a refused request need not end it. */
	got = ask_fd(t, fd, "set=1\nbad\n", 1);
	assert_string_equal(got, "errno=-71\n\n");
	free(got);
	got = ask_fd(t, fd, "get=1\n\n", 1);
	assert_string_equal(got, "fwmark=1\nerrno=0\n\n");
	free(got);
	close(fd);
}

static void test_byte_by_byte(void **state)
{
	static const char request[] = "set=1\nfwmark=77\n\nget=1\n\n";
	struct test *t = *state;
	int fd = rig_connect(&t->rig);
	struct strbuf in = {0};
	unsigned replies = 2;

	for (const char *at = request; *at; at++)
		rig_send(&t->rig, fd, at, 1);
	assert_true(rig_read(&t->rig, fd, &in, replies_complete, &replies));
	assert_string_equal(in.text, "errno=0\n\nfwmark=77\nerrno=0\n\n");
	strbuf_clear(&in);
	close(fd);
}

static bool never(const struct strbuf *in, void *arg)
{
	(void)in, (void)arg;
	return false;
}

static void test_not_a_request(void **state)
{
	struct test *t = *state;
	int fd = rig_connect(&t->rig);
	struct strbuf in = {0};

	rig_send(&t->rig, fd, "GET / HTTP/1.1\n\n", 16);
	assert_false(rig_read(&t->rig, fd, &in, never, NULL));
	assert_int_equal(in.len, 0);
	close(fd);
}

/* What came whole stays, as in wireguard-go; half a line does not: it may be the start of another number. */
static void test_cut_short(void **state)
{
	static const char request[] = "set=1\nfwmark=12\nfwmark=13";
	struct test *t = *state;
	struct strbuf in = {0};
	int fd = rig_connect(&t->rig);

	rig_send(&t->rig, fd, request, strlen(request));
	shutdown(fd, SHUT_WR);
	assert_false(rig_read(&t->rig, fd, &in, never, NULL));
	assert_string_equal(in.text, "errno=-71\n\n");
	strbuf_clear(&in);
	close(fd);
	transcript(t, "get=1\n\n", "fwmark=12\n" OK);

	fd = rig_connect(&t->rig);
	rig_send(&t->rig, fd, "set=1\nfwmark=14\n", 16);
	shutdown(fd, SHUT_WR);
	assert_false(rig_read(&t->rig, fd, &in, never, NULL));
	assert_string_equal(in.text, OK);
	strbuf_clear(&in);
	close(fd);
	transcript(t, "get=1\n\n", "fwmark=14\n" OK);
}

static void test_client_leaves_at_once(void **state)
{
	struct test *t = *state;
	int fd = rig_connect(&t->rig);

	assert_int_equal(send(fd, "set=1\nfwmark=15\n\n", 17, 0), 17);
	close(fd);
	rig_turn(&t->rig, 20);
	transcript(t, "get=1\n\n", "fwmark=15\n" OK);
}

static void test_overlong_line(void **state)
{
	struct test *t = *state;
	int fd = rig_connect(&t->rig);
	char *line = malloc(80000);
	struct strbuf in = {0};
	unsigned one = 1;

	memset(line, 'x', 80000);
	memcpy(line, "set=1\nfwmark=3\n", 15);
	rig_send(&t->rig, fd, line, 70000);
	assert_true(rig_read(&t->rig, fd, &in, replies_complete, &one));
	assert_string_equal(in.text, "errno=-5\n\n");
	strbuf_clear(&in);
	free(line);
	close(fd);
	transcript(t, "get=1\n\n", "fwmark=3\n" OK);
}

/* ---- large ---- */

static char *large_request(void)
{
	struct strbuf s = {0};

	strbuf_add(&s, "set=1\npublic_key=%s\nreplace_allowed_ips=true\n", rig_hex(1));
	for (unsigned i = 0; i < MANY; i++)
		strbuf_add(&s, "allowed_ip=%u.%u.%u.%u/32\n", 10 + (i >> 24), i >> 16 & 255, i >> 8 & 255,
			   i & 255);
	strbuf_add(&s, "\n");
	return s.text;
}

static unsigned count_lines(const char *text, const char *start)
{
	size_t len = strlen(start);
	unsigned n = 0;

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		n += !strncmp(at, start, len);
		if (!*at)
			break;
	}
	return n;
}

static void test_large(void **state)
{
	struct test *t = *state;
	char *request = large_request(), *reply;
	uint64_t turns = loop_turns(t->rig.loop);

	expect(t, request, OK);
	/* No turn of the loop may take it all. */
	assert_true(loop_turns(t->rig.loop) - turns >= MANY / 2000);
	free(request);
	reply = ask(t, "get=1\n\n", 1);
	assert_int_equal(count_lines(reply, "allowed_ip="), MANY);
	assert_non_null(strstr(reply, "\nerrno=0\n\n"));
	free(reply);
}

/* An allowed IP whose line has `len` bytes (22 to 30); different for each n below 10. */
static void add_line_of(struct strbuf *s, unsigned len, unsigned n)
{
	static const unsigned octets[] = {0, 1, 10, 100};
	unsigned digits = len - 18, size[4];

	for (unsigned i = 0; i < 4; i++) {
		unsigned rest = 3 - i; /* octets to come, of one digit at least */

		size[i] = digits - rest < 3 ? digits - rest : 3;
		digits -= size[i];
	}
	strbuf_add(s, "allowed_ip=%u.%u.%u.%u/32\n", octets[size[0]], octets[size[1]], octets[size[2]],
		   octets[size[3]] + n % 10);
}

/* A reply that just fills the buffer is ended once, wherever its end falls. */
static void test_reply_sizes(void **state)
{
	struct test *t = *state;
	char *first;
	size_t body;

	for (unsigned want = 64480; want < 64540; want++) {
		struct strbuf s = {0};
		char *reply;
		unsigned left;

		strbuf_add(&s, "set=1\npublic_key=%s\nreplace_allowed_ips=true\n", rig_hex(1));
		for (unsigned i = 0; i < 64060 / 29; i++)
			strbuf_add(&s, "allowed_ip=10.%u.%u.%u/32\n", 100 + i / 100 % 100, 100 + i % 100,
				   100 + i / 10000);
		strbuf_add(&s, "\n");
		free(ask(t, s.text, 1));
		first = ask(t, "get=1\n\n", 1);
		body = strlen(first) - strlen(OK);
		free(first);
		assert_true(body + 30 * 9 > want && body + 22 * 2 < want);
		strbuf_clear(&s);
		strbuf_add(&s, "set=1\npublic_key=%s\n", rig_hex(1));
		left = want - (unsigned)body;
		for (unsigned n = 0, lines = (left + 29) / 30; lines; n++, lines--) {
			unsigned len = left / lines;

			add_line_of(&s, len, n);
			left -= len;
		}
		strbuf_add(&s, "\n");
		free(ask(t, s.text, 1));
		strbuf_clear(&s);
		/* A second request on the same connection would meet a second end of the first. */
		reply = ask(t, "get=1\n\nset=1\n\nset=1\nbad\n\n", 3);
		assert_int_equal(strlen(reply), want + 9 + 9 + 11);
		assert_string_equal(reply + want, "errno=0\n\nerrno=0\n\nerrno=-71\n\n");
		free(reply);
	}
}

/* One client sends a large request, another does not read a large reply: a third is served all the same. */
static void test_slow_clients(void **state)
{
	struct test *t = *state;
	char *request = large_request();
	int slow = rig_connect(&t->rig), writer;
	struct strbuf in = {0};
	unsigned one = 1;

	expect(t, request, OK);
	rig_send(&t->rig, slow, "get=1\n\n", 7);
	rig_turn(&t->rig, 200);
	writer = rig_connect(&t->rig);
	rig_send(&t->rig, writer, request, strlen(request) / 2);
	transcript(t, "set=1\nfwmark=9\n\n", OK);
	/* The peer goes away while its reply is half sent, and the other request is half read. */
	transcript(t, "set=1\nreplace_peers=true\npublic_key=%2\n\n", OK);
	rig_send(&t->rig, writer, request + strlen(request) / 2, strlen(request) - strlen(request) / 2);
	assert_true(rig_read(&t->rig, writer, &in, replies_complete, &one));
	assert_string_equal(in.text, OK);
	strbuf_clear(&in);
	assert_true(rig_read(&t->rig, slow, &in, replies_complete, &one));
	assert_non_null(strstr(in.text, "\nerrno=0\n\n"));
	assert_int_equal(count_lines(in.text, "public_key="), 1);
	strbuf_clear(&in);
	transcript(t, "get=1\n\n", "fwmark=9\n" PEER(2, ZEROS, "", 0, "") OK);
	close(slow);
	close(writer);
	free(request);
}

/* Thousands of replies that nobody reads: requests wait, memory does not grow, others are served. */
static void test_requests_without_reading(void **state)
{
	struct test *t = *state;
	int fd = rig_connect(&t->rig);
	size_t sent = 0;
	ssize_t n;

	for (unsigned i = 0; i < 2000; i++) {
		n = send(fd, "get=1\n\nset=1\nfwmark=6\n\n", 23, MSG_NOSIGNAL);
		sent += n > 0 ? (size_t)n : 0;
		rig_turn(&t->rig, 2);
	}
	assert_true(sent > 0);
	transcript(t, "set=1\nfwmark=0\npublic_key=%1\n\n", OK);
	close(fd);
}

/* ---- the socket's file ---- */

static void test_file(void **state)
{
	struct test *t = *state;
	struct uapi *second;
	struct error e = {0};
	struct stat st;

	assert_int_equal(lstat(t->rig.path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	/* a live one is not taken away */
	assert_int_equal(uapi_open(&second, t->rig.engine, t->rig.folder, -1, NULL, NULL, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, t->rig.path));
	transcript(t, "get=1\n\n", OK);
	/* deleting it is the way to end the engine */
	rig_turn(&t->rig, 20);
	assert_int_equal(t->gone, 0);
	unlink(t->rig.path);
	rig_turn(&t->rig, 20);
	assert_int_equal(t->gone, 1);
}

static void test_folder(void **state)
{
	struct test *t = *state;
	struct uapi *u;
	struct error e = {0};
	char folder[64], path[96];
	struct stat st;

	snprintf(folder, sizeof(folder), "%s/sub", t->rig.folder);
	if (uapi_open(&u, t->rig.engine, folder, -1, NULL, NULL, &e))
		fail_msg("%s", e.text);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);
	snprintf(path, sizeof(path), "%s/%s.sock", folder, RIG_IFNAME);
	assert_int_equal(stat(path, &st), 0);
	uapi_close(u);
	assert_int_equal(stat(path, &st), -1);

	/* a dead socket is replaced */
	{
		struct sockaddr_un at = {.sun_family = AF_UNIX};
		int fd = socket(AF_UNIX, SOCK_STREAM, 0);

		memcpy(at.sun_path, path, strlen(path) + 1);
		assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
		close(fd);
	}
	if (uapi_open(&u, t->rig.engine, folder, -1, NULL, NULL, &e))
		fail_msg("%s", e.text);
	uapi_close(u);

	/* what is no socket is not */
	fclose(fopen(path, "w"));
	assert_int_equal(uapi_open(&u, t->rig.engine, folder, -1, NULL, NULL, &e), -EEXIST);
	assert_int_equal(stat(path, &st), 0);
	unlink(path);
	rmdir(folder);
}

/* WG_UAPI_FD: the socket was made by whoever started us. */
static void test_adopted_socket(void **state)
{
	struct test *t = *state;
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	struct error e = {0};
	int fd;

	uapi_close(t->uapi);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	memcpy(at.sun_path, t->rig.path, strlen(t->rig.path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 8), 0);
	if (uapi_open(&t->uapi, t->rig.engine, t->rig.folder, fd, on_gone, t, &e))
		fail_msg("%s", e.text);
	transcript(t, "get=1\n\n", OK);
	unlink(t->rig.path);
	rig_turn(&t->rig, 20);
	assert_int_equal(t->gone, 1);

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(uapi_open(&(struct uapi *){0}, t->rig.engine, t->rig.folder, fd, NULL, NULL, &e),
			 -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(test_fresh),
		TEST(test_everything),
		TEST(test_allowed_ips_move),
		TEST(test_update_only),
		TEST(test_remove),
		TEST(test_own_key),
		TEST(test_drain),
		TEST(test_keepalive),
		TEST(test_failures),
		TEST(test_port_in_use),
		TEST(test_probe),
		TEST(test_several_requests),
		TEST(test_byte_by_byte),
		TEST(test_not_a_request),
		TEST(test_cut_short),
		TEST(test_client_leaves_at_once),
		TEST(test_overlong_line),
		TEST(test_large),
		TEST(test_reply_sizes),
		TEST(test_slow_clients),
		TEST(test_requests_without_reading),
		TEST(test_file),
		TEST(test_folder),
		TEST(test_adopted_socket),
	};

	if (!rig_possible())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
