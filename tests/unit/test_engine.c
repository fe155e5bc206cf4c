/*
 * Two engines in one process, each with two workers, on real TUN devices and sockets: the second device lives in a
 * namespace of its own, so packets really cross. Runs under ThreadSanitizer as it is. Skips itself where TUN devices
 * or namespaces are not allowed.
 */
#include "tests/unit/test.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/primitives.h"
#include "engine/engine.h"
#include "engine/internal.h"

#define PATIENCE (60 * NS_PER_SEC) /* machines can be slow: conditions end waits, this ends hope */

struct pair {
	struct loop *loop;
	struct engine *a, *b;
	struct engine_peer *a_to_b, *b_to_a;
	struct key a_private, a_public, b_private, b_public;
	pid_t holder; /* keeps the second namespace */
	char state_dir[32];
};

static void must(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) < 0)
		perror(path);
	close(fd);
}

/* A network namespace of our own, as an ordinary user too. */
static bool isolate(void)
{
	char map[32];
	unsigned uid = getuid(), gid = getgid();

	if (uid == 0)
		return unshare(CLONE_NEWNET) == 0;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return false;
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
	return true;
}

/* A child in its own network namespace that does nothing but hold it. */
static pid_t hold_namespace(void)
{
	int ready[2];
	char c = 0;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (pid == 0) {
		close(ready[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL); /* not to outlive a test that fails */
		if (unshare(CLONE_NEWNET) || write(ready[1], "x", 1) != 1)
			_exit(1);
		/* Not the devices: they must go with their engines. */
		close_range(3, ~0u, 0);
		pause();
		_exit(0);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	return pid;
}

static struct engine *make(struct pair *t, const char *ifname, const char *state_dir)
{
	struct engine_options o = {
		.ifname = ifname, .tun_fd = -1, .workers = 2, .state_dir = state_dir, .time_divisor = 10};
	struct engine *g;
	struct error e;

	if (engine_new(&g, t->loop, &o, &e))
		fail_msg("%s", e.text);
	return g;
}

static struct engine_peer *introduce(struct engine *g, const struct key *peer, const char *name, const char *address)
{
	struct engine_peer *p = engine_add_peer(g, peer);
	uint8_t ip[4] = {10, 9, 0, 0};

	assert_non_null(p);
	engine_peer_set_name(p, name);
	ip[3] = (uint8_t)atoi(address);
	assert_int_equal(wg_allow(engine_peer_wg(p), AF_INET, ip, 32, NULL), 0);
	return p;
}

static void point(struct engine_peer *p, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	engine_peer_set_endpoint(p, &a);
}

static int set_up(void **state)
{
	struct pair *t = calloc(1, sizeof(*t));
	char command[256];

	must("ip link set lo up");
	strcpy(t->state_dir, "/tmp/weir-test-XXXXXX");
	assert_non_null(mkdtemp(t->state_dir));
	t->loop = loop_new();
	t->a = make(t, "weira", t->state_dir);
	t->b = make(t, "weirb", NULL);
	dh_keypair(&t->a_private, &t->a_public);
	dh_keypair(&t->b_private, &t->b_public);
	engine_set_private_key(t->a, &t->a_private);
	engine_set_private_key(t->b, &t->b_private);
	t->a_to_b = introduce(t->a, &t->b_public, "b", "2");
	t->b_to_a = introduce(t->b, &t->a_public, "a", "1");

	t->holder = hold_namespace();
	snprintf(command, sizeof(command), "ip link set weirb netns %d", (int)t->holder);
	must(command);
	must("ip addr add 10.9.0.1/24 dev weira && ip link set weira mtu 1420 up");
	snprintf(command, sizeof(command),
		 "nsenter -t %d -n sh -c 'ip link set lo up; ip addr add 10.9.0.2/24 dev weirb; "
		 "ip link set weirb mtu 1420 up'",
		 (int)t->holder);
	must(command);
	*state = t;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *t = *state;
	char command[64];

	engine_free(t->a);
	engine_free(t->b);
	loop_free(t->loop);
	kill(t->holder, SIGKILL);
	waitpid(t->holder, NULL, 0);
	snprintf(command, sizeof(command), "rm -r %s", t->state_dir);
	must(command);
	free(t);
	return 0;
}

/* Runs the loop until the condition holds. A timer sees to it that the loop never sleeps for long. */
static void tick(void *arg)
{
	loop_timer_set(*(struct loop_timer **)arg, clock_boot_ns() + 20 * NS_PER_MS);
}

static bool run_until(struct pair *t, bool (*done)(struct pair *t))
{
	uint64_t end = clock_boot_ns() + PATIENCE;
	struct loop_timer *timer = NULL;
	bool r;

	timer = loop_timer_new(t->loop, tick, &timer);
	tick(&timer);
	while (!(r = done(t)) && clock_boot_ns() < end)
		loop_step(t->loop, true);
	loop_timer_free(timer);
	return r;
}

static bool both_up(struct pair *t)
{
	return engine_is_up(t->a) && engine_is_up(t->b);
}

static bool tunnel_up(struct pair *t)
{
	struct engine_peer_view a, b;

	engine_look_peer(t->a_to_b, &a);
	engine_look_peer(t->b_to_a, &b);
	return a.state.tunnel == TUNNEL_UP && b.state.tunnel == TUNNEL_UP;
}

static void connect_pair(struct pair *t)
{
	assert_true(run_until(t, both_up));
	point(t->a_to_b, engine_listen_port(t->b));
	assert_true(run_until(t, tunnel_up));
}

static pid_t background(const char *command)
{
	pid_t pid = fork();

	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static pid_t ping_pid;
static int ping_status;

static bool ping_done(struct pair *t)
{
	(void)t;
	return waitpid(ping_pid, &ping_status, WNOHANG) == ping_pid;
}

static void ping(struct pair *t, const char *command)
{
	ping_pid = background(command);
	assert_true(run_until(t, ping_done));
	assert_true(WIFEXITED(ping_status));
	assert_int_equal(WEXITSTATUS(ping_status), 0);
}

static void packets_cross(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;

	connect_pair(t);
	ping(t, "ping -q -n -c 50 -i 0.01 -W 5 10.9.0.2 >/dev/null");
	ping(t, "ping -q -n -c 20 -i 0.01 -W 5 -s 20000 10.9.0.2 >/dev/null");
	engine_look_peer(t->a_to_b, &v);
	assert_true(counter_get(&v.wg.counters[WG_COUNT_data_sent]) >= 70);
	assert_true(v.wg.rx_bytes > 20 * 20000);
	assert_int_equal(v.state.word, WORD_DIRECT);
}

/* Time runs ten times as fast here: this spans several rekeys, and none may lose a packet. */
static void rekey_loses_nothing(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;

	connect_pair(t);
	ping(t, "ping -q -n -c 300 -i 0.1 -W 5 10.9.0.2 | grep -q ' 0% packet loss'");
	engine_look_peer(t->a_to_b, &v);
	assert_true(counter_get(&v.wg.counters[WG_COUNT_handshake_done]) >= 2);
}

/* Workers move packets while the control thread drains, moves ports and replaces peers. */
static void control_disturbs_workers(void **state)
{
	struct pair *t = *state;
	struct error e;

	connect_pair(t);
	ping_pid = background("ping -q -n -f -w 4 10.9.0.2 >/dev/null; true");
	for (unsigned i = 0; !ping_done(t); i++) {
		loop_step(t->loop, false);
		usleep(2000);
		if (i % 50 == 10)
			engine_drain_all(t->a, WG_REASON_user, "test");
		if (i % 50 == 25)
			engine_peer_drain(t->b_to_a, "test");
		if (i % 200 == 100) {
			assert_int_equal(engine_set_listen_port(t->b, 0, &e), 0);
			point(t->a_to_b, engine_listen_port(t->b));
		}
		if (i % 200 == 150) {
			engine_remove_peer(t->b_to_a);
			t->b_to_a = introduce(t->b, &t->a_public, "a", "1");
		}
	}
	point(t->a_to_b, engine_listen_port(t->b));
	assert_int_equal(engine_peer_handshake(t->a_to_b, "test", &e), 0);
	assert_true(run_until(t, tunnel_up));
	ping(t, "ping -q -n -c 20 -i 0.01 -W 5 10.9.0.2 >/dev/null");
}

static void endpoint_and_floor_survive(void **state)
{
	struct pair *t = *state;
	struct engine_peer_view v;
	uint16_t port;

	connect_pair(t);
	port = engine_listen_port(t->b);
	engine_free(t->a);
	t->a = make(t, "weira", t->state_dir);
	engine_set_private_key(t->a, &t->a_private);
	t->a_to_b = introduce(t->a, &t->b_public, "b", "2");
	engine_look_peer(t->a_to_b, &v);
	assert_int_equal(v.origin, ORIGIN_PERSISTED);
	assert_int_equal(ntohs(v.endpoint.in.sin_port), port);
	must("ip addr add 10.9.0.1/24 dev weira && ip link set weira up");
	assert_true(run_until(t, tunnel_up));
}

static bool gone;

static void on_gone(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	gone = true;
}

static bool is_gone(struct pair *t)
{
	(void)t;
	return gone;
}

static void deleted_device_is_noticed(void **state)
{
	struct pair *t = *state;

	connect_pair(t);
	gone = false;
	engine_on_gone(t->a, on_gone, NULL);
	must("ip link del weira");
	assert_true(run_until(t, is_gone));
	assert_false(engine_is_up(t->a));
}

static void peers_are_picked_by_name_and_key(void **state)
{
	struct pair *t = *state;
	char base64[KEY_BASE64_LEN + 1];
	struct engine_peer *p = NULL;
	struct error e;

	key_to_base64(base64, &t->b_public);
	assert_int_equal(engine_pick_peer(t->a, "b", &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	p = NULL;
	assert_int_equal(engine_pick_peer(t->a, base64, &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	base64[6] = '\0';
	p = NULL;
	assert_int_equal(engine_pick_peer(t->a, base64, &p, &e), 0);
	assert_ptr_equal(p, t->a_to_b);
	assert_int_equal(engine_pick_peer(t->a, "nobody", &p, &e), -ENOENT);
	assert_non_null(strstr(e.text, "nobody"));
}

static void timeline_keeps_the_newest(void **state)
{
	struct pair *t = *state;
	struct timeline_event ev[64];
	size_t n;

	for (int i = 1; i <= 200; i++) {
		char text[32];

		engine_note(t->a, t->a_to_b, LOG_DEBUG, "test", "note %d", i);
		n = engine_timeline(t->a_to_b, ev, 64);
		snprintf(text, sizeof(text), "note %d", i);
		assert_string_equal(ev[0].text, text);
		for (size_t k = 1; k < n; k++)
			assert_true(ev[k].sequence < ev[k - 1].sequence);
	}
	assert_int_equal(n, 48);
}

/* What the watchdog asks: idle workers are no reason for alarm, one that stays in its batch is. */
static void a_worker_that_hangs_is_noticed(void **state)
{
	struct pair *p = *state;
	struct worker *w = p->a->workers[0];

	engine_down(p->a);
	assert_true(engine_makes_progress(p->a));
	assert_true(engine_makes_progress(p->a));
	counter_set(&w->turns, counter_get(&w->turns) | 1);
	assert_true(engine_makes_progress(p->a)); /* just begun */
	assert_false(engine_makes_progress(p->a));
	counter_add(&w->turns, 2); /* the next one */
	assert_true(engine_makes_progress(p->a));
	counter_add(&w->turns, 1); /* done */
	assert_true(engine_makes_progress(p->a));
	assert_true(engine_makes_progress(p->a));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(peers_are_picked_by_name_and_key, set_up, tear_down),
		cmocka_unit_test_setup_teardown(timeline_keeps_the_newest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_worker_that_hangs_is_noticed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(packets_cross, set_up, tear_down),
		cmocka_unit_test_setup_teardown(rekey_loses_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(control_disturbs_workers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(endpoint_and_floor_survive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(deleted_device_is_noticed, set_up, tear_down),
	};

	if (access("/dev/net/tun", R_OK | W_OK) || !isolate()) {
		puts("skipped: no TUN device or no namespaces here");
		return 77;
	}
	crypto_init();
	log_set_level(LOG_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
