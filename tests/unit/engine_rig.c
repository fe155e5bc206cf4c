#include "tests/unit/engine_rig.h"

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

#include "crypto/primitives.h"
#include "engine/network.h"
#include "tests/unit/netspace.h"

#define PATIENCE (60 * NS_PER_SEC) /* machines can be slow: conditions end waits, this ends hope */

void must(const char *command)
{
	if (system(command) != 0)
		fail_msg("failed: %s", command);
}

/* A network namespace of our own, as an ordinary user too. */
bool isolate(void)
{
	return access("/dev/net/tun", R_OK | W_OK) == 0 && netspace_isolate();
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

struct engine *make(struct pair *t, const char *ifname, const char *state_dir)
{
	struct engine_options o = {
		.ifname = ifname, .tun_fd = -1, .workers = 2, .state_dir = state_dir, .time_divisor = 10};
	struct engine *g;
	struct error e;

	if (engine_new(&g, t->loop, &o, &e))
		fail_msg("%s", e.text);
	return g;
}

struct engine_peer *introduce(struct engine *g, const struct key *peer, const char *name, const char *address)
{
	struct engine_peer *p = engine_add_peer(g, peer);
	uint8_t ip[4] = {10, 9, 0, 0};

	assert_non_null(p);
	engine_peer_set_mode(p, PEER_PLAIN); /* no controller that decides for the test */
	engine_peer_set_name(p, name);
	ip[3] = (uint8_t)atoi(address);
	assert_int_equal(wg_allow(engine_peer_wg(p), AF_INET, ip, 32, NULL), 0);
	return p;
}

void point(struct engine_peer *p, uint16_t port)
{
	union address a = {.in = {.sin_family = AF_INET, .sin_port = htons(port)}};

	a.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	engine_peer_set_endpoint(p, &a);
}

int set_up(void **state)
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

int tear_down(void **state)
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

bool run_until(struct pair *t, bool (*done)(struct pair *t))
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

bool both_up(struct pair *t)
{
	return engine_is_up(t->a) && engine_is_up(t->b);
}

bool tunnel_up(struct pair *t)
{
	struct engine_peer_view a, b;

	engine_look_peer(t->a_to_b, &a);
	engine_look_peer(t->b_to_a, &b);
	return a.state.tunnel == TUNNEL_UP && b.state.tunnel == TUNNEL_UP;
}

void connect_pair(struct pair *t)
{
	assert_true(run_until(t, both_up));
	point(t->a_to_b, engine_listen_port(t->b));
	assert_true(run_until(t, tunnel_up));
}

static pid_t pid;
static int status;

pid_t background(const char *command)
{
	pid = fork();
	if (pid == 0) {
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
		_exit(127);
	}
	return pid;
}

bool background_done(struct pair *t)
{
	(void)t;
	return waitpid(pid, &status, WNOHANG) == pid;
}

void run_ping(struct pair *t, const char *command)
{
	background(command);
	assert_true(run_until(t, background_done));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}
