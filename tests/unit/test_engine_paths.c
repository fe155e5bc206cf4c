/*
 * The control side of paths: two engines with controllers, on real devices and sockets, with a relay server
 * beside them. Frames over the direct path, goodbyes and drains, the tunnel through the relay and from there
 * to ICE, and what plain peers are spared. Skips itself where TUN devices or namespaces are not allowed.
 */
#include "tests/unit/engine_rig.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "crypto/primitives.h"
#include "engine/network.h"
#include "engine/paths.h"
#include "relay/server.h"

#define RELAY_URL "rel://127.0.0.1:8080"
#define SECRET	  "a secret of at least sixteen bytes"

static int set_up_auto(void **state)
{
	struct pair *t;
	int r = set_up(state);

	t = *state;
	engine_peer_set_mode(t->a_to_b, PEER_AUTO);
	engine_peer_set_mode(t->b_to_a, PEER_AUTO);
	return r;
}

static struct engine_network_view look(struct engine_peer *p)
{
	struct engine_network_view v;

	engine_look_network(p, &v);
	return v;
}

static enum peer_word word(struct engine_peer *p)
{
	struct engine_peer_view v;

	engine_look_peer(p, &v);
	return v.state.word;
}

static bool both_speak(struct pair *t)
{
	return look(t->a_to_b).look.remote_is_weir && look(t->b_to_a).look.remote_is_weir;
}

/* ---- frames over the direct path ---- */

static void they_find_out_that_both_are_weir(void **state)
{
	struct pair *t = *state;
	struct engine_network_view v;

	connect_pair(t);
	assert_true(run_until(t, both_speak));
	v = look(t->a_to_b);
	assert_true(v.has_controller);
	assert_true(v.controlling != look(t->b_to_a).controlling);
	assert_int_equal(strncmp(v.remote_version, "weir ", 5), 0);
	assert_true(v.frames_sent > 0 && v.frames_received > 0);
	assert_int_equal(v.paths[0].path.ref.kind, PATH_KIND_DIRECT);
	assert_true(v.paths[0].chosen);
	assert_string_equal(v.paths[0].carrier, "udp");
	assert_true(v.paths[0].received > 0);
	assert_int_equal(word(t->a_to_b), WORD_DIRECT);
}

static bool a_asked(struct pair *t)
{
	return look(t->a_to_b).frames_sent > 0;
}

/* A far end without frames is a WireGuard peer as any other. */
static void a_plain_far_end_works_as_ever(void **state)
{
	struct pair *t = *state;
	struct error e;

	engine_peer_set_mode(t->b_to_a, PEER_PLAIN);
	connect_pair(t);
	assert_true(run_until(t, a_asked));
	run_ping(t, "ping -q -n -c 3 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	assert_false(look(t->a_to_b).look.remote_is_weir);
	assert_int_equal(look(t->a_to_b).frames_received, 0);
	assert_false(look(t->b_to_a).has_controller);
	assert_int_equal(engine_peer_command(t->b_to_a, PEER_ROTATE, "test", &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "plain"));
	assert_int_equal(engine_peer_command(t->a_to_b, PEER_PREFER_RELAY, "test", &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "[Relay]"));
}

static uint64_t drains_of_b;

static uint64_t drained(struct pair *t)
{
	struct engine_peer_view v;

	engine_look_peer(t->b_to_a, &v);
	return counter_get(&v.wg.counters[WG_COUNT_drained]);
}

static bool b_drained_too(struct pair *t)
{
	return drained(t) > drains_of_b;
}

static void a_drain_is_told(void **state)
{
	struct pair *t = *state;

	connect_pair(t);
	assert_true(run_until(t, both_speak));
	drains_of_b = drained(t);
	engine_peer_drain(t->a_to_b, "test");
	assert_true(run_until(t, b_drained_too));
	run_ping(t, "ping -q -n -c 2 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	assert_true(run_until(t, tunnel_up));
}

static bool a_is_away(struct pair *t)
{
	return look(t->b_to_a).look.remote_away;
}

static bool a_is_back(struct pair *t)
{
	return !look(t->b_to_a).look.remote_away && tunnel_up(t);
}

static void a_goodbye_is_heard_and_ends_with_the_next_start(void **state)
{
	struct pair *t = *state;
	struct error e;
	uint64_t boot;

	connect_pair(t);
	assert_true(run_until(t, both_speak));
	boot = look(t->b_to_a).look.remote_boot;
	engine_follow_link(t->a, false);
	engine_down(t->a);
	assert_true(run_until(t, a_is_away));
	assert_int_equal(engine_up(t->a, &e), 0);
	assert_true(run_until(t, a_is_back));
	assert_true(run_until(t, both_speak));
	assert_true(look(t->b_to_a).look.remote_boot != boot);
}

static uint16_t port_before;

static uint16_t port_seen_by_b(struct pair *t)
{
	struct engine_peer_view v;

	engine_look_peer(t->b_to_a, &v);
	return ntohs(v.endpoint.in.sin_port);
}

static bool b_sees_another_port(struct pair *t)
{
	return port_seen_by_b(t) != port_before;
}

static bool b_sees_the_main_port(struct pair *t)
{
	return port_seen_by_b(t) == engine_listen_port(t->a);
}

/* What the ladder orders when a box on the way has a grudge against our port. */
static void a_fresh_port_carries_the_tunnel_and_goes_with_a_reset(void **state)
{
	struct pair *t = *state;
	const struct peer_actions fresh = {.count = 1, .items = {{.type = PEER_ACT_FRESH_PORT}}};
	struct error e;

	connect_pair(t);
	assert_true(run_until(t, both_speak));
	port_before = port_seen_by_b(t);
	assert_int_equal(port_before, engine_listen_port(t->a));
	paths_perform(t->a_to_b->paths, &fresh);
	run_ping(t, "ping -q -n -c 5 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	assert_true(run_until(t, b_sees_another_port));
	assert_true(t->a_to_b->paths->fresh->channel->counts.received > 0);
	assert_int_equal(engine_peer_reset(t->a_to_b, "test", &e), 0);
	run_ping(t, "ping -q -n -c 5 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	assert_true(run_until(t, b_sees_the_main_port));
}

static bool b_was_called_at_the_second(struct pair *t)
{
	struct endpoint e = wg_peer_endpoint(t->b_to_a->wg);

	return e.local.in.s_addr == htonl(INADDR_LOOPBACK + 1);
}

/* What was under way from the first address takes A back there: it is told again. */
static bool b_is_called_at_the_second(struct pair *t)
{
	struct endpoint e = wg_peer_endpoint(t->a_to_b->wg);
	union address second = {.in = {.sin_family = AF_INET}};

	second.in.sin_port = htons(engine_listen_port(t->b));
	second.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1);
	if (!address_equal(&e.remote, &second))
		engine_peer_set_endpoint(t->a_to_b, &second);
	return b_was_called_at_the_second(t);
}

/* From the address that the peer called before, frames would make it take us for having moved there. */
static void frames_come_from_where_we_were_called_last(void **state)
{
	struct pair *t = *state;
	pid_t pings;
	const struct peer_path_ref direct = {.kind = PATH_KIND_DIRECT};

	connect_pair(t);
	assert_true(run_until(t, both_speak));
	assert_false(b_was_called_at_the_second(t));
	pings = background("exec ping -q -n -i 0.05 10.9.0.2 >/dev/null");
	assert_true(run_until(t, b_is_called_at_the_second));
	assert_int_equal(paths_endpoint(t->b_to_a->paths, &direct).local.in.s_addr,
			 htonl(INADDR_LOOPBACK + 1));
	kill(pings, SIGTERM);
	assert_true(run_until(t, background_done));
}

/* ---- the relay ---- */

static struct engine_network relayed(bool ice)
{
	struct engine_network n = {.url_count = 1, .has_secret = true, .ice_off = !ice};

	n.urls[0] = xstrdup(RELAY_URL);
	relay_secret_set(&n.secret, SECRET, strlen(SECRET));
	return n;
}

static void use_relay(struct pair *t, bool ice)
{
	struct engine_network n = relayed(ice);
	struct error e;

	assert_int_equal(engine_set_network(t->a, &n, &e), 0);
	assert_int_equal(engine_set_network(t->b, &n, &e), 0);
	engine_network_clear(&n);
}

static const struct engine_path_view *chosen(const struct engine_network_view *v)
{
	for (unsigned i = 0; i < v->path_count; i++)
		if (v->paths[i].chosen)
			return &v->paths[i];
	return NULL;
}

static bool by_relay(struct pair *t)
{
	return tunnel_up(t) && word(t->a_to_b) == WORD_RELAY && word(t->b_to_a) == WORD_RELAY;
}

static bool by_ice(struct pair *t)
{
	struct engine_network_view a = look(t->a_to_b), b = look(t->b_to_a);
	const struct engine_path_view *x = chosen(&a), *y = chosen(&b);

	return tunnel_up(t) && x && y && x->path.ref.kind == PATH_KIND_ICE &&
	       y->path.ref.kind == PATH_KIND_ICE;
}

static void the_tunnel_goes_through_the_relay(void **state)
{
	struct pair *t = *state;
	struct engine_relay_view relays[4];
	struct engine_network_view v;
	const struct engine_path_view *c;
	struct engine_peer_view p;

	use_relay(t, false);
	assert_true(run_until(t, by_relay));
	run_ping(t, "ping -q -n -c 5 -i 0.05 -W 2 10.9.0.2 >/dev/null");
	v = look(t->a_to_b);
	c = chosen(&v);
	assert_non_null(c);
	assert_string_equal(c->carrier, "relay");
	assert_string_equal(c->remote, RELAY_URL);
	assert_true(c->sent >= 5 && c->received >= 5);
	engine_look_peer(t->a_to_b, &p);
	/* On a slow machine the verdict comes first: there is only the loopback here. */
	assert_true(strstr(p.state.reason, "ICE is off") || strstr(p.state.reason, "has no network"));
	assert_int_equal(p.state.path_kind, PATH_KIND_RELAY);
	assert_int_equal(engine_look_relays(t->a, relays, 4), 1);
	assert_string_equal(relays[0].role, "home");
	assert_int_equal(relays[0].peers_using, 1);
}

static bool no_way(struct pair *t)
{
	return word(t->a_to_b) == WORD_WAIT && look(t->a_to_b).look.chosen == PEER_NO_SLOT;
}

/* A reload that takes the relay away, while packets go through it. */
static void a_relay_can_be_taken_away_and_given_back(void **state)
{
	const struct engine_network none = {.ice_off = true};
	struct pair *t = *state;
	struct error e;

	use_relay(t, false);
	assert_true(run_until(t, by_relay));
	background("ping -q -n -i 0.01 -w 2 10.9.0.2 >/dev/null");
	assert_int_equal(engine_set_network(t->a, &none, &e), 0);
	assert_true(run_until(t, no_way));
	assert_true(run_until(t, background_done));
	use_relay(t, false);
	assert_true(run_until(t, by_relay));
}

static void ice_takes_over_from_the_relay_and_loses_nothing(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;
	struct ice_pair_view pairs[16];

	use_relay(t, true);
	assert_true(run_until(t, by_ice));
	assert_int_equal(word(t->a_to_b), WORD_DIRECT);
	assert_true(engine_look_pairs(t->a_to_b, pairs, 16) > 0);
	run_ping(t, "ping -q -n -c 20 -i 0.02 -W 2 10.9.0.2 >/dev/null");
	engine_look_peer(t->a_to_b, &v);
	assert_int_equal(counter_get(&v.wg.counters[WG_COUNT_handshake_done]) > 0, 1);
	/* The relay by wish, and back. */
	assert_int_equal(engine_peer_command(t->a_to_b, PEER_FORCE_RELAY, "test", NULL), 0);
	assert_int_equal(engine_peer_command(t->b_to_a, PEER_FORCE_RELAY, "test", NULL), 0);
	assert_true(run_until(t, by_relay));
	engine_peer_command(t->a_to_b, PEER_PREFER_AUTO, "test", NULL);
	engine_peer_command(t->b_to_a, PEER_PREFER_AUTO, "test", NULL);
	assert_true(run_until(t, by_ice));
}

/* ---- the list's word ---- */

static unsigned told(struct engine_peer *p, const char *kind, const char *part)
{
	static struct timeline_event events[512];
	size_t count = engine_timeline(p, events, 512);
	unsigned n = 0;

	for (size_t i = 0; i < count; i++)
		n += !strcmp(events[i].kind, kind) && strstr(events[i].text, part);
	return n;
}

static bool a_is_stuck(struct pair *t)
{
	return word(t->a_to_b) == WORD_STUCK;
}

static bool a_tried_much(struct pair *t)
{
	struct engine_network_view v = look(t->a_to_b);
	unsigned rungs = 0;

	word(t->a_to_b);
	for (unsigned i = 0; i < PEER_RUNGS; i++)
		rungs += v.look.rungs_taken[i];
	return rungs >= 12;
}

static bool a_is_well(struct pair *t)
{
	enum peer_word w = word(t->a_to_b);

	return tunnel_up(t) && (w == WORD_DIRECT || w == WORD_RELAY);
}

static bool b_is_online(struct pair *t)
{
	return look(t->a_to_b).look.paths[PEER_RELAY].peer_online;
}

/* Each rung of the ladder tries another way, and none of them is news as long as nothing comes back. */
static void a_stuck_peer_is_stuck_until_the_tunnel_works(void **state)
{
	struct pair *t = *state;
	pid_t pings;

	use_relay(t, false);
	connect_pair(t);
	assert_true(run_until(t, both_speak));
	assert_true(run_until(t, b_is_online));
	pings = background("exec ping -q -n -i 0.1 10.9.0.2 >/dev/null");
	engine_remove_peer(t->b_to_a);
	assert_true(run_until(t, a_is_stuck));
	assert_true(run_until(t, a_tried_much));
	assert_int_equal(told(t->a_to_b, "state", "to STUCK"), 1);
	assert_int_equal(told(t->a_to_b, "state", "STUCK to"), 0);
	assert_int_equal(word(t->a_to_b), WORD_STUCK);
	t->b_to_a = introduce(t->b, &t->a_public, "a", "1");
	engine_peer_set_mode(t->b_to_a, PEER_AUTO);
	assert_true(run_until(t, a_is_well));
	assert_int_equal(told(t->a_to_b, "state", "to STUCK"), 1);
	assert_int_equal(told(t->a_to_b, "state", "STUCK to"), 1);
	kill(pings, SIGTERM);
	assert_true(run_until(t, background_done));
}

static bool a_forgot_the_pair(struct pair *t)
{
	return epoch_reclaim(wg_epoch(t->a->wg)) == 0;
}

static uint64_t heard_by_b;

static bool b_heard_more(struct pair *t)
{
	struct engine_network_view v = look(t->b_to_a);

	return v.frames_received > heard_by_b || v.frames_rejected[SIGNAL_REPLAYED];
}

/* Peers and controllers come and go while datagrams for them are under way. */
static void a_peer_can_go_at_any_time(void **state)
{
	struct pair *t = *state;

	use_relay(t, true);
	assert_true(run_until(t, both_speak));
	engine_peer_set_mode(t->a_to_b, PEER_PLAIN);
	assert_true(run_until(t, a_forgot_the_pair));
	engine_peer_set_mode(t->a_to_b, PEER_AUTO);
	assert_true(run_until(t, both_speak));
	engine_remove_peer(t->a_to_b);
	assert_true(run_until(t, a_forgot_the_pair));
	heard_by_b = look(t->b_to_a).frames_received;
	t->a_to_b = introduce(t->a, &t->b_public, "b", "2");
	engine_peer_set_mode(t->a_to_b, PEER_AUTO);
	assert_true(run_until(t, tunnel_up));
	/* Its frames have new numbers, though its boot is the same: none looks like a replay over there. */
	assert_true(run_until(t, both_speak));
	assert_true(run_until(t, b_heard_more));
	assert_int_equal(look(t->b_to_a).frames_rejected[SIGNAL_REPLAYED], 0);
}

/* ---- settings ---- */

static void settings_are_compared_by_what_they_say(void **state)
{
	struct engine_network x = relayed(true), y = relayed(true);

	(void)state;
	assert_true(engine_network_equal(&x, &y));
	y.stun[y.stun_count++] = xstrdup("stun.example.net:3478");
	assert_false(engine_network_equal(&x, &y));
	x.stun[x.stun_count++] = xstrdup("stun.example.net:3478");
	assert_true(engine_network_equal(&x, &y));
	x.turn[0] = (struct engine_turn){.host = xstrdup("t"), .port = xstrdup("1"), .user = xstrdup("u")};
	y.turn[0] = (struct engine_turn){.host = xstrdup("t"), .port = xstrdup("1"), .user = xstrdup("v")};
	x.turn_count = y.turn_count = 1;
	assert_false(engine_network_equal(&x, &y));
	relay_secret_set(&y.secret, "another secret", 14);
	assert_false(engine_network_equal(&x, &y));
	engine_network_clear(&x);
	engine_network_clear(&y);
	assert_true(engine_network_equal(&x, &y));
}

static pid_t start_relay(char *path)
{
	int fd = mkstemp(path);
	pid_t child;

	assert_true(fd >= 0 && write(fd, SECRET "\n", strlen(SECRET) + 1) > 0);
	close(fd);
	child = fork();
	if (child == 0) {
		const struct relay_server_options o = {
			.listen = "127.0.0.1:8080", .secret_file = path, .status = "off"};
		struct error e;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(relay_server_run(&o, &e) ? 1 : 0);
	}
	return child; /* the clients dial until it is there */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(settings_are_compared_by_what_they_say),
		cmocka_unit_test_setup_teardown(they_find_out_that_both_are_weir, set_up_auto, tear_down),
		cmocka_unit_test_setup_teardown(a_plain_far_end_works_as_ever, set_up_auto, tear_down),
		cmocka_unit_test_setup_teardown(a_drain_is_told, set_up_auto, tear_down),
		cmocka_unit_test_setup_teardown(a_goodbye_is_heard_and_ends_with_the_next_start, set_up_auto,
						tear_down),
		cmocka_unit_test_setup_teardown(frames_come_from_where_we_were_called_last, set_up_auto,
						tear_down),
		cmocka_unit_test_setup_teardown(a_fresh_port_carries_the_tunnel_and_goes_with_a_reset,
						set_up_auto, tear_down),
		cmocka_unit_test_setup_teardown(the_tunnel_goes_through_the_relay, set_up_auto, tear_down),
		cmocka_unit_test_setup_teardown(a_relay_can_be_taken_away_and_given_back, set_up_auto,
						tear_down),
		cmocka_unit_test_setup_teardown(ice_takes_over_from_the_relay_and_loses_nothing, set_up_auto,
						tear_down),
		cmocka_unit_test_setup_teardown(a_stuck_peer_is_stuck_until_the_tunnel_works, set_up_auto,
						tear_down),
		cmocka_unit_test_setup_teardown(a_peer_can_go_at_any_time, set_up_auto, tear_down),
	};
	char secret[] = "/tmp/weir-test-XXXXXX";
	pid_t relay;
	int r;

	if (!isolate()) {
		puts("skipped: no TUN device or no namespaces here");
		return 77;
	}
	must("ip link set lo up");
	crypto_init();
	log_set_level(getenv("WEIR_TEST_LOG") ? LOG_DEBUG : LOG_WARN);
	relay = start_relay(secret);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	kill(relay, SIGTERM);
	waitpid(relay, NULL, 0);
	unlink(secret);
	return r;
}
