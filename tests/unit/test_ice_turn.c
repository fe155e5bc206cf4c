/*
 * Two hosts behind NATs of their own, and a real TURN server (coturn) between them. One process holds both:
 * each agent's sockets are made inside its host's network namespace and stay there.
 *
 *   left 10.1.0.2 - natl 203.0.113.2 - server 203.0.113.1/.5 - natr 203.0.113.6 - right 10.2.0.2
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "ice_help.h"
#include "netspace.h"
#include "test.h"

#define SERVER "203.0.113.1:3478"

struct lab {
	struct loop *loop;
	struct loop_timer *tick;
	struct ice *left_ice, *right_ice;
	struct end left, right;
};

static pid_t server;

static void run(const char *commands)
{
	free(netspace_ask(commands));
}

static void enter(const char *host)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/run/netns/%s", host);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(setns(fd, CLONE_NEWNET), 0);
	close(fd);
}

static void build_network(void)
{
	run("mount -t tmpfs tmpfs /run; mkdir /run/netns;"
	    "for h in left natl server natr right; do ip netns add $h; ip -n $h link set lo up;"
	    " ip netns exec $h sysctl -q -w net.ipv6.conf.all.disable_ipv6=1 net.ipv4.ip_forward=1; done;"
	    "wire() { ip -n $1 link add $3 type veth peer name $1 netns $3; ip -n $1 addr add $2 dev $3;"
	    " ip -n $3 addr add $4 dev $1; ip -n $1 link set $3 up; ip -n $3 link set $1 up; };"
	    "wire left 10.1.0.2/24 natl 10.1.0.1/24; wire natl 203.0.113.2/30 server 203.0.113.1/30;"
	    "wire right 10.2.0.2/24 natr 10.2.0.1/24; wire natr 203.0.113.6/30 server 203.0.113.5/30;"
	    "ip -n left route add default via 10.1.0.1; ip -n right route add default via 10.2.0.1;"
	    "ip -n natl route add default via 203.0.113.1; ip -n natr route add default via 203.0.113.5;"
	    /* without one coturn refuses to relay to private candidates, and to anybody after that */
	    "ip -n server route add default via 203.0.113.2;"
	    "for h in natl natr; do ip netns exec $h nft '\n"
	    "table ip n {\n"
	    "chain out { type nat hook postrouting priority 100; oifname \"server\" masquerade; }\n"
	    "chain in { type filter hook input priority 0; iifname \"server\" ct state new drop; }\n"
	    "chain through { type filter hook forward priority 0; ct state established,related accept;\n"
	    " iifname \"server\" drop; }\n"
	    "}\n'; done");
}

static bool server_answers(void)
{
	union address to;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok = address_parse(&to, SERVER) && connect(fd, &to.sa, address_len(&to)) == 0;

	close(fd);
	return ok;
}

static bool start_server(void)
{
	static const char config[] =
		"listening-ip=203.0.113.1\nrelay-ip=203.0.113.1\nlistening-port=3478\nlt-cred-mech\n"
		"user=weir:secret\nrealm=weir.test\nno-cli\nno-tls\nno-dtls\nno-stdout-log\n"
		"log-file=/run/turn.log\nsimple-log\nverbose\nuserdb=/run/turn.sqlite\npidfile=/run/"
		"turn.pid\n";
	uint64_t until = clock_boot_ns() + 20 * NS_PER_SEC;
	FILE *f = fopen("/run/turn.conf", "w");

	if (!f)
		return false;
	fputs(config, f);
	fclose(f);
	enter("server");
	server = fork();
	if (server == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 0);
		dup2(null, 1);
		dup2(null, 2);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("turnserver", "turnserver", "-c", "/run/turn.conf", (char *)NULL);
		_exit(127);
	}
	while (!server_answers()) {
		if (clock_boot_ns() > until || waitpid(server, NULL, WNOHANG) == server)
			return false;
		usleep(20000);
	}
	return true;
}

static void on_tick(void *arg)
{
	struct lab *l = arg;

	loop_timer_set(l->tick, clock_boot_ns() + 20 * NS_PER_MS);
}

static int set_up(void **state)
{
	struct lab *l = calloc(1, sizeof(*l));

	l->loop = loop_new();
	l->tick = loop_timer_new(l->loop, on_tick, l);
	on_tick(l);
	l->left.other = &l->right;
	l->right.other = &l->left;
	*state = l;
	return 0;
}

static void turn_for(struct lab *l, uint64_t ns)
{
	uint64_t until = clock_boot_ns() + ns;

	while (clock_boot_ns() < until)
		loop_step(l->loop, true);
}

static int tear_down(void **state)
{
	struct lab *l = *state;

	ice_agent_free(l->left.agent);
	ice_agent_free(l->right.agent);
	turn_for(l, 300 * NS_PER_MS); /* the allocations are given back */
	ice_free(l->left_ice);
	ice_free(l->right_ice);
	loop_timer_free(l->tick);
	loop_free(l->loop);
	free(l);
	return 0;
}

static struct ice_options with_turn(const char *password, bool tcp, bool relay_only)
{
	struct ice_options o = {.turn_count = 1, .relay_only = relay_only};

	strcpy(o.turn[0].user, "weir");
	strcpy(o.turn[0].password, password);
	o.turn[0].tcp = tcp;
	assert_true(address_parse(&o.turn[0].server, SERVER));
	return o;
}

static struct ice_options with_stun(void)
{
	struct ice_options o = {0};

	assert_true(address_parse(&o.stun, SERVER));
	return o;
}

static struct ice_agent *begin(struct lab *l, const char *host, struct ice **ice, const struct ice_options *o,
			       struct end *end)
{
	struct error e = {0};
	struct ice_agent *a;

	enter(host);
	*ice = ice_new(l->loop, o);
	a = ice_agent_new(*ice, 1, end == &l->left, &end_ops, end, &e);
	if (!a)
		fail_msg("%s", e.text);
	return a;
}

static void begin_both(struct lab *l, const struct ice_options *left, const struct ice_options *right)
{
	l->left.agent = begin(l, "left", &l->left_ice, left, &l->left);
	l->right.agent = begin(l, "right", &l->right_ice, right, &l->right);
	assert_true(ends_introduce(&l->left, &l->right));
}

static void connect_both(struct lab *l, const struct ice_options *left, const struct ice_options *right)
{
	uint64_t began = clock_boot_ns();

	begin_both(l, left, right);
	assert_true(end_wait(l->loop, &l->left.selections, 1));
	assert_true(end_wait(l->loop, &l->right.selections, 1));
	print_message("%s - %s after %llu ms\n", ice_candidate_type_name(l->left.pair.local_type),
		      ice_candidate_type_name(l->left.pair.remote_type),
		      (unsigned long long)((clock_boot_ns() - began) / NS_PER_MS));
}

/* A few may be lost before both ends' permissions stand: repeated until `least` have come. */
static void send_until(struct lab *l, struct end *from, struct end *to, unsigned least)
{
	uint64_t until = clock_boot_ns() + ICE_PATIENCE;
	uint8_t packet[300] = {4};

	while (to->datagrams < least && clock_boot_ns() < until) {
		ice_agent_send(from->agent, packet, sizeof(packet));
		turn_for(l, 5 * NS_PER_MS);
	}
	assert_true(to->datagrams >= least);
	assert_int_equal(to->last_len, sizeof(packet));
	assert_memory_equal(to->last, packet, sizeof(packet));
}

static ssize_t receive(int fd, uint8_t *out, size_t max)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 5000) != 1)
		return -1;
	return recv(fd, out, max, MSG_DONTWAIT);
}

/* Both behind NATs: the direct pair wins, and the fast sockets carry data through the mappings that libnice
 * made. */
static void direct_through_two_nats(void **state)
{
	struct ice_options left = with_turn("secret", false, false), right = with_stun();
	struct lab *l = *state;
	uint8_t packet[64] = {4}, got[100];
	struct error e = {0};
	int x, y;

	connect_both(l, &left, &right);
	assert_int_equal(l->left.host, 1);
	assert_int_equal(l->left.reflexive, 1);
	assert_true(end_wait(l->loop, &l->left.relayed, 1));
	assert_int_equal(l->right.host, 1);
	assert_int_equal(l->right.reflexive, 1);
	assert_int_equal(l->right.relayed, 0);
	turn_for(l, NS_PER_SEC); /* a relayed pair may have come first */
	assert_int_not_equal(l->left.pair.local_type, ICE_RELAYED);
	enter("left");
	x = ice_agent_open_fast(l->left.agent, &e);
	enter("right");
	y = ice_agent_open_fast(l->right.agent, &e);
	if (x < 0 || y < 0)
		fail_msg("%s", e.text);
	for (int n = 0; n < 50; n++) {
		assert_int_equal(sendto(x, packet, sizeof(packet), 0, &l->left.pair.remote.sa,
					address_len(&l->left.pair.remote)),
				 sizeof(packet));
		assert_int_equal(receive(y, got, sizeof(got)), sizeof(packet));
		assert_int_equal(sendto(y, packet, sizeof(packet), 0, &l->right.pair.remote.sa,
					address_len(&l->right.pair.remote)),
				 sizeof(packet));
		assert_int_equal(receive(x, got, sizeof(got)), sizeof(packet));
	}
	assert_int_equal(l->left.datagrams, 0);
	assert_int_equal(l->right.datagrams, 0);
}

static void relayed_at_one_end(void **state)
{
	struct ice_options left = with_turn("secret", false, true), right = with_stun();
	struct lab *l = *state;
	struct ice_pair_view pairs[32];
	uint8_t packet[64] = {4}, got[100];
	struct error e = {0};
	unsigned before;
	int fd;

	connect_both(l, &left, &right);
	assert_int_equal(l->left.host, 0);
	assert_int_equal(l->left.relayed, 1);
	assert_int_equal(l->left.pair.local_type, ICE_RELAYED);
	assert_int_equal(ice_agent_open_fast(l->left.agent, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "TURN"));
	send_until(l, &l->left, &l->right, 20);
	send_until(l, &l->right, &l->left, 20);
	assert_true(ice_agent_pairs(l->left.agent, pairs, 32) >= 1);
	assert_true(pairs[0].selected);
	assert_int_equal(pairs[0].pair.local_type, ICE_RELAYED);
	assert_int_equal(ice_agent_send_probe(l->left.agent, packet, sizeof(packet)), 0);
	/* The other end knows no TURN: to it the relay is a plain address. */
	fd = ice_agent_open_fast(l->right.agent, &e);
	assert_true(fd >= 0);
	before = l->left.datagrams;
	assert_int_equal(sendto(fd, packet, sizeof(packet), 0, &l->right.pair.remote.sa,
				address_len(&l->right.pair.remote)),
			 sizeof(packet));
	assert_true(end_wait(l->loop, &l->left.datagrams, before + 1));
	assert_int_equal(ice_agent_send(l->left.agent, packet, sizeof(packet)), 0);
	assert_int_equal(receive(fd, got, sizeof(got)), sizeof(packet));
}

static void relayed_at_both_ends(void **state)
{
	struct ice_options o = with_turn("secret", false, true);
	struct lab *l = *state;

	connect_both(l, &o, &o);
	assert_int_equal(l->left.pair.local_type, ICE_RELAYED);
	assert_int_equal(l->right.pair.local_type, ICE_RELAYED);
	send_until(l, &l->left, &l->right, 20);
	send_until(l, &l->right, &l->left, 20);
}

static void wrong_password(void **state)
{
	struct ice_options left = with_turn("wrong", false, false), right = with_stun();
	struct lab *l = *state;

	begin_both(l, &left, &right);
	assert_true(end_wait(l->loop, &l->left.gathered, 1));
	assert_int_equal(l->left.relayed, 0);
	assert_int_equal(l->left.host, 1);
	turn_for(l, 500 * NS_PER_MS);
	assert_int_equal(l->left.relayed, 0);
}

static void tcp_where_udp_is_blocked(void **state)
{
	struct ice_options left = with_turn("secret", true, false), right = with_turn("secret", false, false);
	struct lab *l = *state;

	run("ip netns exec natl nft 'add rule ip n through ip protocol udp drop;"
	    "insert rule ip n through ip protocol udp drop'");
	connect_both(l, &left, &right);
	run("ip netns exec natl nft 'flush chain ip n through;"
	    "add rule ip n through ct state established,related accept;"
	    "add rule ip n through iifname \"server\" drop'");
	assert_int_equal(l->left.pair.local_type, ICE_RELAYED);
	send_until(l, &l->left, &l->right, 20);
	send_until(l, &l->right, &l->left, 20);
}

/* Given back when the agent goes, not ten minutes later. */
static void allocations_are_given_back(void **state)
{
	struct ice_options o = with_turn("secret", false, true);
	struct lab *l = *state;

	connect_both(l, &o, &o);
	run("cp /run/turn.log /run/turn.before");
	end_free_agent(&l->left);
	turn_for(l, NS_PER_SEC);
	enter("server");
	assert_true(
		netspace_says("tail -n +$(($(wc -l </run/turn.before) + 1)) /run/turn.log", "lifetime=0"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(direct_through_two_nats),	TEST(relayed_at_one_end),
		TEST(relayed_at_both_ends),	TEST(wrong_password),
		TEST(tcp_where_udp_is_blocked), TEST(allocations_are_given_back),
	};
	int failed;

	if (system("command -v turnserver nft >/dev/null") || !netspace_enter()) {
		print_message("skipped: no turnserver, no nft, or no network namespaces\n");
		return 77;
	}
	build_network();
	if (!start_server()) {
		print_message("the TURN server does not start\n");
		run("cat /run/turn.log >&2");
		return 1;
	}
	failed = cmocka_run_group_tests_name("ice_turn", tests, NULL, NULL);
	if (failed)
		run("tail -n 60 /run/turn.log >&2");
	kill(server, SIGTERM);
	waitpid(server, NULL, 0);
	return failed;
}
