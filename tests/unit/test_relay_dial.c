/* Dials: the SYNs that leave while nothing answers, names that do not resolve, and who goes through which
 * proxy. */
#include "test.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "crypto/primitives.h"
#include "relay/dial.h"

#define PATIENCE (10 * NS_PER_SEC)

/* Stands before the C library's: "both" is 127.0.0.2, where nobody listens, and 127.0.0.1. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **list)
{
	int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
	struct addrinfo numeric = *hints;

	*(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
	if (strcmp(host, "both") != 0 || hints->ai_flags & AI_NUMERICHOST)
		return real(host, port, hints, list);
	numeric.ai_flags = AI_NUMERICHOST;
	return real("127.0.0.2", port, &numeric, list) ||
	       real("127.0.0.1", port, &numeric, &(*list)->ai_next);
}

struct rig {
	struct loop *loop;
	struct resolver *resolver;
	int listener;
	union address at;
	bool done;
	struct dial_result result;
};

static int set_up(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	socklen_t len = sizeof(r->at);

	assert_int_equal(crypto_init(), 0);
	r->loop = loop_new();
	r->resolver = resolver_new(r->loop);
	r->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	r->at.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	assert_int_equal(bind(r->listener, &r->at.sa, sizeof(r->at.in)), 0);
	assert_int_equal(listen(r->listener, 0), 0); /* holds one connection; more SYNs are not answered */
	assert_int_equal(getsockname(r->listener, &r->at.sa, &len), 0);
	r->result.fd = -1;
	*state = r;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *r = *state;

	if (r->result.fd >= 0)
		close(r->result.fd);
	if (r->listener >= 0)
		close(r->listener);
	resolver_free(r->resolver);
	loop_free(r->loop);
	free(r);
	return 0;
}

static void on_result(void *arg, const struct dial_result *result)
{
	struct rig *r = arg;

	assert_false(r->done);
	r->done = true;
	r->result = *result;
}

static void run(struct rig *r, uint64_t ns)
{
	uint64_t end = clock_boot_ns() + ns;

	while (!r->done && clock_boot_ns() < end) {
		loop_step(r->loop, false);
		usleep(500);
	}
}

static struct dial_target target(const struct rig *r, const char *host)
{
	return (struct dial_target){.host = host, .port = ntohs(r->at.in.sin_port)};
}

static void assert_reached(const struct rig *r)
{
	assert_true(r->done);
	if (r->result.fd < 0)
		fail_msg("%s", r->result.error);
	assert_true(address_equal(&r->result.used, &r->at));
}

static void connects(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "127.0.0.1");

	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_reached(r);
	assert_true(fcntl(r->result.fd, F_GETFL) & O_NONBLOCK);
}

static void a_closed_port_is_told_at_once(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "127.0.0.1");
	uint64_t began = clock_boot_ns();

	close(r->listener);
	r->listener = -1;
	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_true(r->done && r->result.fd < 0 && !r->result.refused);
	assert_non_null(strstr(r->result.error, "Connection refused"));
	assert_true(clock_boot_ns() - began < 2 * NS_PER_SEC);
}

static int fill(const struct rig *r)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &r->at.sa, sizeof(r->at.in)), 0);
	return fd;
}

/* The kernel repeats a SYN after 1 s and after 3 s; one that comes to life at 1.3 s would be found at 3 s by
 * it. */
static void a_silent_server_is_found_soon_after_it_answers(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "127.0.0.1");
	int full = fill(r);
	uint64_t back;

	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, 1300 * NS_PER_MS);
	assert_false(r->done);
	close(accept(r->listener, NULL, NULL));
	back = clock_boot_ns();
	run(r, PATIENCE);
	assert_reached(r);
	assert_true(clock_boot_ns() - back < NS_PER_SEC);
	close(full);
}

static void silence_has_an_end(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "127.0.0.1");
	int full = fill(r);
	uint64_t began = clock_boot_ns();

	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_true(r->done && r->result.fd < 0 && !r->result.refused);
	assert_non_null(strstr(r->result.error, "no answer within 5 s"));
	assert_in_range(clock_boot_ns() - began, 4 * NS_PER_SEC, 7 * NS_PER_SEC);
	close(full);
}

static void the_last_good_address_stands_in_for_the_name(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "relay.invalid");

	t.last_good = r->at;
	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_reached(r);
}

static void one_good_address_is_enough(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "both");
	uint64_t began = clock_boot_ns();

	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_reached(r);
	assert_true(clock_boot_ns() - began < 2 * NS_PER_SEC);
}

static void our_own_tunnel_is_no_way(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "127.0.0.1");

	t.bind_not = "lo";
	dial_start(r->loop, r->resolver, &t, on_result, r);
	run(r, PATIENCE);
	assert_true(r->done && r->result.fd < 0);
	assert_non_null(strstr(r->result.error, "leads into lo, the tunnel itself"));
}

/* A name that a peer gave us leads to this machine itself. */
static void a_peer_cannot_send_us_to_ourselves(void **state)
{
	static const char *const hosts[] = {"127.0.0.1",       "localhost", "0.0.0.0",
					    "169.254.169.254", "::1",	    "fe80::1"};
	struct rig *r = *state;

	for (unsigned i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
		struct dial_target t = target(r, hosts[i]);

		t.foreign = true;
		r->done = false;
		dial_start(r->loop, r->resolver, &t, on_result, r);
		run(r, PATIENCE);
		assert_true(r->done);
		assert_int_equal(r->result.fd, -1);
		assert_non_null(strstr(r->result.error, "nowhere that a peer can send us"));
	}
}

static void a_cancelled_dial_is_silent(void **state)
{
	struct rig *r = *state;
	struct dial_target t = target(r, "localhost");

	for (int i = 0; i < 5; i++) {
		struct dial *d = dial_start(r->loop, r->resolver, &t, on_result, r);

		/* Nothing else stops a run that nobody ends. */
		if (i)
			loop_step(r->loop, false);
		dial_cancel(d);
	}
	run(r, 200 * NS_PER_MS);
	assert_false(r->done);
}

/* ---- */

static void proxies_are_read(void **state)
{
	struct relay_proxy p;

	(void)state;
	assert_true(relay_proxy_parse(&p, "http://proxy.example.org:3128"));
	assert_string_equal(p.host, "proxy.example.org");
	assert_int_equal(p.port, 3128);
	assert_string_equal(p.user, "");
	assert_true(relay_proxy_parse(&p, "me:p@ss@[2001:db8::1]:8080/"));
	assert_string_equal(p.host, "2001:db8::1");
	assert_int_equal(p.port, 8080);
	assert_string_equal(p.user, "me:p@ss");
	assert_true(relay_proxy_parse(&p, "proxy"));
	assert_int_equal(p.port, 80);
	assert_false(relay_proxy_parse(&p, "socks5://proxy:1080"));
	assert_false(relay_proxy_parse(&p, ""));
	assert_false(relay_proxy_parse(&p, "http://"));
}

static void exemptions_are_names_and_their_subdomains(void **state)
{
	(void)state;
	assert_true(relay_proxy_exempt("*", "a"));
	assert_true(relay_proxy_exempt("a.org, Example.org", "relay.example.org"));
	assert_true(relay_proxy_exempt(".example.org", "example.org"));
	assert_true(relay_proxy_exempt("127.0.0.1", "127.0.0.1"));
	assert_false(relay_proxy_exempt("example.org", "badexample.org"));
	assert_false(relay_proxy_exempt("relay.example.org", "example.org"));
	assert_false(relay_proxy_exempt("", "a"));
	assert_false(relay_proxy_exempt(" , ,", "a"));
}

static void the_environment_names_a_proxy(void **state)
{
	static const char *const names[] = {"http_proxy",  "HTTP_PROXY", "https_proxy",
					    "HTTPS_PROXY", "no_proxy",	 "NO_PROXY"};
	struct relay_proxy p;

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
	assert_true(relay_proxy_choose(&p, NULL, "relay.example.org", true));
	assert_string_equal(p.host, "");
	setenv("HTTPS_PROXY", "http://tls:1", 1);
	setenv("HTTP_PROXY", "http://plain:2", 1);
	assert_true(relay_proxy_choose(&p, NULL, "relay.example.org", true));
	assert_string_equal(p.host, "tls");
	assert_true(relay_proxy_choose(&p, NULL, "relay.example.org", false));
	assert_string_equal(p.host, "plain");
	assert_true(relay_proxy_choose(&p, "configured:3", "relay.example.org", false));
	assert_string_equal(p.host, "configured");
	setenv("NO_PROXY", "example.org", 1);
	assert_true(relay_proxy_choose(&p, NULL, "relay.example.org", true));
	assert_string_equal(p.host, "");
	setenv("HTTPS_PROXY", "socks5://x:1", 1);
	assert_false(relay_proxy_choose(&p, NULL, "elsewhere.net", true));
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unsetenv(names[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(connects, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_closed_port_is_told_at_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_silent_server_is_found_soon_after_it_answers, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(silence_has_an_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_good_address_stands_in_for_the_name, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(one_good_address_is_enough, set_up, tear_down),
		cmocka_unit_test_setup_teardown(our_own_tunnel_is_no_way, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_peer_cannot_send_us_to_ourselves, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_cancelled_dial_is_silent, set_up, tear_down),
		cmocka_unit_test(proxies_are_read),
		cmocka_unit_test(exemptions_are_names_and_their_subdomains),
		cmocka_unit_test(the_environment_names_a_proxy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
