/* What the engine tells the tap: a handshake and packets through a tunnel, and why what is thrown away is
 * (engine_rig.h). */
#include "tests/unit/engine_rig.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/epoch.h"
#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/network.h"
#include "engine/paths.h"
#include "engine/tap.h"
#include "engine/tap_hooks.h"
#include "relay/wire.h"
#include "signal/signal.h"
#include "tap/stream.h"

#define SEEN_MAX 4096

struct seen {
	struct tap_meta meta;
	enum tap_record_kind kind;
	size_t captured;
	uint8_t data[256];
};

static struct seen *seen;
static unsigned seen_count;
static struct tap_session *session;

static void ready(void *arg)
{
	(void)arg;
}

static void listen_to(struct engine *g, struct tap_options o)
{
	struct error e;

	seen = xcalloc(SEEN_MAX, sizeof(*seen));
	seen_count = 0;
	session = engine_tap_queue(g, &o, 4 << 20, ready, NULL, &e);
	assert_non_null(session);
}

static void collect(void)
{
	static uint8_t bytes[1 << 20];
	size_t len = tap_read(session, bytes, sizeof(bytes));
	const uint8_t *at = bytes, *data;
	struct seen *s;
	long n;

	for (; len && seen_count < SEEN_MAX; at += n, len -= (size_t)n) {
		s = &seen[seen_count++];
		n = tap_record_decode(at, len, &s->kind, &s->meta, &data, &s->captured);
		assert_true(n > 0);
		memcpy(s->data, data, s->captured < sizeof(s->data) ? s->captured : sizeof(s->data));
	}
}

static void stop_listening(struct engine *g)
{
	engine_tap_close(g, session);
	free(seen);
}

static struct {
	enum tap_point point;
	enum tap_type type;
	bool out;
	enum tap_drop drop;
} wanted;

static struct seen *found;

static bool is_there(struct pair *t)
{
	(void)t;
	collect();
	for (unsigned i = 0; i < seen_count; i++) {
		const struct tap_meta *m = &seen[i].meta;

		if (seen[i].kind != TAP_RECORD_PACKET || m->point != wanted.point || m->type != wanted.type ||
		    m->out != wanted.out || m->drop != wanted.drop)
			continue;
		found = &seen[i];
		return true;
	}
	return false;
}

/* The first of its kind; waits for it. */
static struct seen *expect_when(struct pair *t, bool (*there)(struct pair *t), enum tap_point point,
				enum tap_type type, bool out, enum tap_drop drop)
{
	wanted.point = point;
	wanted.type = type;
	wanted.out = out;
	wanted.drop = drop;
	if (!run_until(t, there))
		fail_msg("no %s %s %s %s", tap_point_name(point), tap_type_name(type), out ? "out" : "in",
			 tap_drop_name(drop));
	return found;
}

static struct seen *expect(struct pair *t, enum tap_point point, enum tap_type type, bool out,
			   enum tap_drop drop)
{
	return expect_when(t, is_there, point, type, out, drop);
}

/* B calls again after each pause: what it planned is dropped when a handshake of A's is done before. */
static bool is_there_after_a_call(struct pair *t)
{
	wg_peer_handshake(engine_peer_wg(t->b_to_a), clock_now(), WG_REASON_user, false);
	engine_kick(t->b);
	return is_there(t);
}

static void send_to(struct engine *g, const uint8_t *data, size_t len)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(engine_listen_port(g))};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(sendto(fd, data, len, 0, (struct sockaddr *)&to, sizeof(to)), len);
	close(fd);
}

/* The initiator's view: try, answer, keypair; and the same counter on a packet and on the datagram that it is
 * in. */
static void handshake_and_packets(void **state)
{
	struct pair *t = *state;
	const struct seen *init, *resp, *inner, *wire;
	struct key peer;
	uint64_t counter;
	uint32_t keypair;

	assert_true(run_until(t, both_up));
	listen_to(t->a, (struct tap_options){0});
	point(t->a_to_b, engine_listen_port(t->b));
	assert_true(run_until(t, tunnel_up));
	run_ping(t, "ping -q -n -c 3 -i 0.01 -W 5 10.9.0.2 >/dev/null");

	init = expect(t, TAP_WIRE, TAP_INITIATION, true, TAP_DROP_none);
	wg_peer_public_key(engine_peer_wg(t->a_to_b), &peer);
	assert_true(init->meta.has_peer);
	assert_memory_equal(&init->meta.peer, &peer, sizeof(peer));
	assert_int_equal(init->meta.attempt, 1);
	assert_int_equal(init->meta.attempts, 18);
	assert_int_equal(init->meta.length, 148);
	assert_int_equal(init->meta.path, PATH_KIND_DIRECT);
	assert_int_equal(ntohs(init->meta.remote.in.sin_port), engine_listen_port(t->b));
	assert_int_equal(ntohs(init->meta.local.in.sin_port), engine_listen_port(t->a));
	assert_int_equal(init->meta.local.in.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	assert_int_equal(init->data[0], 1);
	resp = expect(t, TAP_WIRE, TAP_RESPONSE, false, TAP_DROP_none);
	assert_int_equal(resp->meta.index, init->meta.index);
	assert_true(resp->meta.number > init->meta.number);
	assert_true(resp->meta.has_peer);

	inner = expect(t, TAP_INNER, TAP_IP, true, TAP_DROP_none);
	assert_int_equal(inner->meta.length, 84);
	assert_int_equal(inner->data[0], 0x45);
	counter = inner->meta.counter;
	keypair = inner->meta.keypair;
	assert_int_equal(keypair, resp->meta.keypair);
	wire = expect(t, TAP_WIRE, TAP_DATA, true, TAP_DROP_none);
	assert_int_equal(wire->meta.counter, counter);
	assert_int_equal(wire->meta.keypair, keypair);
	assert_int_equal(wire->meta.length, 96 + 32);

	inner = expect(t, TAP_INNER, TAP_IP, false, TAP_DROP_none);
	counter = inner->meta.counter;
	wire = expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_none);
	assert_int_equal(wire->meta.counter, counter);
	assert_int_equal(wire->data[0], 4);
	assert_true(wire->data[16] != 0x45); /* as it was on the wire, not as it was opened */
	stop_listening(t->a);
	assert_false(tap_wanted(t->a->tapped, TAP_WIRE));
}

/* Each of these comes to A and goes no further. */
static void drops(void **state)
{
	struct pair *t = *state;
	uint8_t noise[148] = {1}, data[256], init[148];
	struct seen *s;
	size_t len;
	char command[200];

	connect_pair(t);
	listen_to(t->a, (struct tap_options){0});
	send_to(t->a, noise, sizeof(noise));
	s = expect(t, TAP_WIRE, TAP_INITIATION, false, TAP_DROP_mac1);
	assert_false(s->meta.has_peer);
	noise[0] = 77;
	send_to(t->a, noise, 60);
	expect(t, TAP_WIRE, TAP_OTHER, false, TAP_DROP_malformed);
	noise[0] = 4;
	memset(noise + 4, 0xee, 4);
	send_to(t->a, noise, 64);
	s = expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_unknown_index);
	assert_int_equal(s->meta.index, 0xeeeeeeee);

	/* What was good once is not the second time. */
	run_ping(t, "ping -q -n -c 1 -W 5 10.9.0.2 >/dev/null");
	s = expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_none);
	len = s->captured;
	assert_true(len <= sizeof(data));
	memcpy(data, s->data, len);
	send_to(t->a, data, len);
	s = expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_replayed);
	assert_true(s->meta.has_peer);
	assert_true(s->meta.keypair != 0);
	data[len - 1] ^= 1;
	send_to(t->a, data, len);
	expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_undecryptable);

	point(t->b_to_a, engine_listen_port(t->a));
	assert_int_equal(wg_peer_handshake(engine_peer_wg(t->b_to_a), clock_now(), WG_REASON_user, true), 0);
	engine_kick(t->b);
	s = expect(t, TAP_WIRE, TAP_INITIATION, false, TAP_DROP_none);
	memcpy(init, s->data, sizeof(init));
	s = expect(t, TAP_WIRE, TAP_RESPONSE, true, TAP_DROP_none);
	assert_true(s->meta.keypair != 0);
	send_to(t->a, init, sizeof(init));
	s = expect(t, TAP_WIRE, TAP_INITIATION, false, TAP_DROP_old_timestamp);
	assert_true(s->meta.has_peer);

	/* Inner packets: of a source that is not B's, and to nobody. */
	snprintf(command, sizeof(command),
		 "nsenter -t %d -n sh -c 'ip addr add 10.9.0.77/24 dev weirb; "
		 "ping -q -n -c 1 -W 1 -I 10.9.0.77 10.9.0.1 >/dev/null; true'",
		 (int)t->holder);
	run_ping(t, command);
	s = expect(t, TAP_INNER, TAP_IP, false, TAP_DROP_inner_source);
	assert_int_equal(s->data[15], 77);
	expect(t, TAP_WIRE, TAP_DATA, false, TAP_DROP_inner_source);
	run_ping(t, "ping -q -n -c 1 -W 1 10.9.0.99 >/dev/null; true");
	s = expect(t, TAP_INNER, TAP_IP, true, TAP_DROP_no_route);
	assert_int_equal(s->data[19], 99);
	assert_false(s->meta.has_peer);
	stop_listening(t->a);
}

/* Super-packets are seen as what they are cut into: none is longer than the MTU. */
static void super_packets(void **state)
{
	struct pair *t = *state;
	uint64_t wire = 0, inner = 0;

	connect_pair(t);
	listen_to(t->a, (struct tap_options){.points = 1 << TAP_WIRE | 1 << TAP_INNER, .snaplen = 40});
	run_ping(t, "ping -q -n -c 5 -i 0.01 -W 5 -s 20000 10.9.0.2 >/dev/null");
	expect(t, TAP_INNER, TAP_IP, true, TAP_DROP_none);
	for (unsigned k = 0; k < 20; k++) {
		usleep(2000);
		collect();
	}
	for (unsigned i = 0; i < seen_count; i++) {
		const struct tap_meta *m = &seen[i].meta;

		assert_true(seen[i].captured <= 40);
		assert_true(m->length <= 1420 + 60);
		if (m->out && m->point == TAP_INNER)
			inner++;
		if (m->out && m->point == TAP_WIRE && m->type == TAP_DATA)
			wire++;
	}
	assert_true(inner >= 5 * 15);
	assert_int_equal(inner, wire);
	stop_listening(t->a);
}

/* With keys: our ephemeral comes before the message that it belongs to, as initiator and as responder. */
static void keys(void **state)
{
	static const char name[] = "LOCAL_EPHEMERAL_PRIVATE_KEY = ";
	struct pair *t = *state;
	struct tap_options o = {.keys = true, .points = 1 << TAP_WIRE};
	unsigned texts = 0, last = 0;

	connect_pair(t);
	listen_to(t->a, o);
	assert_int_equal(wg_peer_handshake(engine_peer_wg(t->a_to_b), clock_now(), WG_REASON_user, true), 0);
	engine_kick(t->a);
	expect(t, TAP_WIRE, TAP_INITIATION, true, TAP_DROP_none);
	point(t->b_to_a, engine_listen_port(t->a));
	expect_when(t, is_there_after_a_call, TAP_WIRE, TAP_RESPONSE, true, TAP_DROP_none);
	for (unsigned i = 0; i < seen_count; i++) {
		const struct tap_meta *m = &seen[i].meta;

		if (seen[i].kind == TAP_RECORD_KEYS) {
			assert_non_null(memmem(seen[i].data, sizeof(seen[i].data), name, strlen(name)));
			texts++;
			last = i;
		} else if (m->out && (m->type == TAP_INITIATION || m->type == TAP_RESPONSE)) {
			assert_true(texts > 0 && last < i);
		}
	}
	assert_true(texts >= 2);
	stop_listening(t->a);
}

/* What would let somebody in is blanked before it is recorded, at its length. */
static void secrets(void **state)
{
	static const char password[] = "0123456789abcdefghijkl";
	struct signal_message m = {.type = SIGNAL_OFFER, .has = SIGNAL_HAS_CREDENTIALS}, back;
	uint8_t token[RELAY_TOKEN_MAX], message[RELAY_AUTH_MAX];
	struct endpoint from = {.remote = {.in = {.sin_family = AF_INET}}};
	struct pair *t = *state;
	struct relay_message r;
	struct relay_id id;
	struct seen *s;
	int len;

	assert_true(run_until(t, both_up));
	listen_to(t->a, (struct tap_options){0});
	strcpy(m.ufrag, "abcd");
	strcpy(m.pwd, password);
	tap_frame_in(t->a, t->a_to_b, &from, "weir", 4, &m, TAP_DROP_none);
	s = expect(t, TAP_SIGNAL, TAP_FRAME, false, TAP_DROP_none);
	assert_null(memmem(s->data, sizeof(s->data), password, strlen(password)));
	assert_int_equal(signal_decode(s->data, s->captured, &back), 0);
	assert_string_equal(back.ufrag, "abcd");
	assert_int_equal(strlen(back.pwd), strlen(password));
	assert_string_equal(m.pwd, password); /* the engine's own stays */

	memset(token, 'T', sizeof(token));
	relay_id_of(&id, &t->a_public);
	len = relay_put_auth(message, sizeof(message), &id, token, 40);
	assert_true(len > 0);
	tap_relay_message(t->a, true, &from.remote, message, (size_t)len);
	s = expect(t, TAP_RELAY, TAP_RELAY_CONTROL, true, TAP_DROP_none);
	assert_int_equal(s->captured, len);
	assert_int_equal(relay_parse(s->data, s->captured, &r), RELAY_OK);
	assert_int_equal(r.type, RELAY_AUTH);
	assert_int_equal(r.len, 40);
	for (unsigned i = 0; i < r.len; i++)
		assert_int_equal(r.data[i], '*');
	stop_listening(t->a);
}

/* ---- the relay's thread ---- */

struct deliverer {
	struct engine *engine;
	_Atomic uint32_t channel;
	atomic_uint delivered; /* since the channel was set */
	atomic_bool stop;
};

static void *deliver(void *arg)
{
	static const uint8_t junk[40] = {0xee};
	struct deliverer *d = arg;

	while (!atomic_load_explicit(&d->stop, memory_order_relaxed)) {
		channel_deliver(d->engine, atomic_load_explicit(&d->channel, memory_order_relaxed), junk,
				sizeof(junk));
		atomic_fetch_add_explicit(&d->delivered, 1, memory_order_relaxed);
	}
	return NULL;
}

/* What comes by a relay and is nothing that we know names its channel's peer, in a thread that is no worker,
 * while the control thread closes the channel. */
static void channels_go_while_a_relay_delivers(void **state)
{
	struct pair *t = *state;
	struct channel model = {.kind = CHANNEL_RELAY, .peer = t->a_to_b, .path = PATH_KIND_RELAY, .fd = -1};
	struct deliverer d = {.engine = t->a};
	struct epoch *epoch = wg_epoch(engine_wg(t->a));
	pthread_t thread;
	struct seen *s;

	assert_true(run_until(t, both_up));
	listen_to(t->a, (struct tap_options){.points = 1 << TAP_RELAY});
	assert_int_equal(pthread_create(&thread, NULL, deliver, &d), 0);
	for (unsigned i = 0; i < 300; i++) {
		struct channel *c = channel_open(t->a, &model);

		assert_non_null(c);
		atomic_store(&d.channel, c->id);
		atomic_store(&d.delivered, 0);
		while (atomic_load_explicit(&d.delivered, memory_order_relaxed) < 3)
			sched_yield();
		atomic_store(&c->generation, i); /* as when the relay is dialled anew */
		channel_close(c);
		epoch_reclaim(epoch);
		epoch_reclaim(epoch);
	}
	atomic_store(&d.channel, channel_open(t->a, &model)->id);
	s = expect(t, TAP_RELAY, TAP_OTHER, false, TAP_DROP_malformed);
	assert_true(s->meta.has_peer);
	atomic_store(&d.stop, true);
	pthread_join(thread, NULL);
	stop_listening(t->a);
}

static const struct engine_path_view *direct_path(struct pair *t)
{
	static struct engine_network_view v;

	engine_look_network(t->a_to_b, &v);
	for (unsigned i = 0; i < v.path_count; i++)
		if (v.paths[i].chosen && v.paths[i].path.ref.kind == PATH_KIND_DIRECT &&
		    v.paths[i].path.state == PATH_UP)
			return &v.paths[i];
	return NULL;
}

static bool is_direct(struct pair *t)
{
	return tunnel_up(t) && direct_path(t) != NULL;
}

static void are_of_the_direct_path(struct pair *t, bool wire)
{
	static const struct {
		enum tap_point point;
		enum tap_type type;
		bool out;
	} records[] = {{TAP_INNER, TAP_IP, true},
		       {TAP_INNER, TAP_IP, false},
		       {TAP_WIRE, TAP_DATA, true},
		       {TAP_WIRE, TAP_DATA, false}};
	struct tap_options o = {.snaplen = 256, .points = 1u << TAP_INNER | (wire ? 1u << TAP_WIRE : 0)};
	uint32_t generation = direct_path(t)->path.ref.generation;

	listen_to(t->a, o);
	run_ping(t, "ping -q -n -c 2 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	for (unsigned i = 0; i < (wire ? 4 : 2); i++) {
		const struct seen *s =
			expect(t, records[i].point, records[i].type, records[i].out, TAP_DROP_none);

		assert_int_equal(s->meta.path, PATH_KIND_DIRECT);
		assert_int_equal(s->meta.generation, generation);
	}
	stop_listening(t->a);
}

/* The controller counts the direct path's generations, as it does those of other paths: by another port it is
 * another path. */
static void records_know_the_generation_of_the_direct_path(void **state)
{
	const struct peer_actions fresh = {.count = 1, .items = {{.type = PEER_ACT_FRESH_PORT}}};
	struct pair *t = *state;
	uint32_t before;

	engine_peer_set_mode(t->a_to_b, PEER_AUTO);
	engine_peer_set_mode(t->b_to_a, PEER_AUTO);
	connect_pair(t);
	assert_true(run_until(t, is_direct));
	before = direct_path(t)->path.ref.generation;
	assert_true(before > 0);
	are_of_the_direct_path(t, true);
	are_of_the_direct_path(t, false);
	paths_perform(t->a_to_b->paths, &fresh);
	run_ping(t, "ping -q -n -c 2 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	assert_true(run_until(t, is_direct));
	assert_true(direct_path(t)->path.ref.generation > before);
	are_of_the_direct_path(t, true);
}

/* A worker may still hold a peer that the control thread has just removed: its owner is gone, the key is not.
 */
static void a_peer_that_was_just_removed_is_recorded(void **state)
{
	struct pair *t = *state;
	struct wg_peer *peer = engine_peer_wg(t->a_to_b);
	struct tap_meta m = {0};
	struct key key;

	wg_peer_set_owner(peer, NULL);
	tap_set_peer(&m, peer);
	wg_peer_set_owner(peer, t->a_to_b);
	wg_peer_public_key(peer, &key);
	assert_true(m.has_peer);
	assert_memory_equal(&m.peer, &key, sizeof(key));
	assert_int_equal(m.generation, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(handshake_and_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(drops, set_up, tear_down),
		cmocka_unit_test_setup_teardown(super_packets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(keys, set_up, tear_down),
		cmocka_unit_test_setup_teardown(secrets, set_up, tear_down),
		cmocka_unit_test_setup_teardown(records_know_the_generation_of_the_direct_path, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(a_peer_that_was_just_removed_is_recorded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(channels_go_while_a_relay_delivers, set_up, tear_down),
	};

	if (!isolate()) {
		puts("skipped: TUN devices or namespaces are not available");
		return 77;
	}
	crypto_init();
	log_set_level(LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
