/* Two agents over a network of their own: connecting, both ways for data, ends in every state. */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "ice/internal.h"
#include "ice_help.h"
#include "netspace.h"
#include "test.h"

struct both {
	struct loop *loop;
	struct loop_timer *tick; /* so that waiting ends */
	struct ice *ice;
	struct end left, right;
};

static void run(const char *commands)
{
	free(netspace_ask(commands));
}

static void on_tick(void *arg)
{
	struct both *b = arg;

	loop_timer_set(b->tick, clock_boot_ns() + 20 * NS_PER_MS);
}

static void agents(struct both *b, bool left_controls, bool right_controls)
{
	struct error e = {0};

	b->left.agent = ice_agent_new(b->ice, 7, left_controls, &end_ops, &b->left, &e);
	b->right.agent = ice_agent_new(b->ice, 8, right_controls, &end_ops, &b->right, &e);
	assert_non_null(b->left.agent);
	assert_non_null(b->right.agent);
}

static int set_up(void **state)
{
	struct both *b = calloc(1, sizeof(*b));

	b->loop = loop_new();
	b->tick = loop_timer_new(b->loop, on_tick, b);
	on_tick(b);
	b->ice = ice_new(b->loop, &(struct ice_options){0});
	b->left.other = &b->right;
	b->right.other = &b->left;
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct both *b = *state;

	ice_agent_free(b->left.agent);
	ice_agent_free(b->right.agent);
	ice_free(b->ice);
	loop_timer_free(b->tick);
	loop_free(b->loop);
	free(b);
	return 0;
}

static void connect_both(struct both *b)
{
	agents(b, true, false);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.selections, 1));
	assert_true(end_wait(b->loop, &b->right.selections, 1));
}

static void turn_for(struct both *b, uint64_t ns)
{
	uint64_t until = clock_boot_ns() + ns;

	while (clock_boot_ns() < until)
		loop_step(b->loop, true);
}

static void connects(void **state)
{
	struct both *b = *state;
	uint64_t began = clock_boot_ns();
	struct ice_agent_view v;

	connect_both(b);
	print_message("selected after %llu ms\n",
		      (unsigned long long)((clock_boot_ns() - began) / NS_PER_MS));
	assert_true(b->left.state == ICE_CONNECTED || b->left.state == ICE_READY);
	assert_true(b->left.host > 0);
	assert_int_equal(b->left.gathered, 1);
	assert_true(address_equal(&b->left.pair.local, &b->right.pair.remote));
	assert_true(address_equal(&b->left.pair.remote, &b->right.pair.local));
	assert_int_equal(b->left.pair.local_type, ICE_HOST);
	ice_agent_look(b->left.agent, &v);
	assert_true(v.controlling);
	assert_false(v.fast);
	assert_int_equal(v.local_candidates, b->left.candidates);
	assert_true(v.remote_candidates >= b->right.candidates);
	assert_int_equal(v.keepalives_unanswered, 0);
}

static void credentials(void **state)
{
	struct both *b = *state;
	char lu[ICE_CREDENTIAL_MAX], lp[ICE_CREDENTIAL_MAX], ru[ICE_CREDENTIAL_MAX], rp[ICE_CREDENTIAL_MAX];

	agents(b, true, false);
	ice_agent_credentials(b->left.agent, lu, lp);
	ice_agent_credentials(b->right.agent, ru, rp);
	assert_true(strlen(lu) >= 4 && strlen(lp) >= 22);
	assert_string_not_equal(lu, ru);
	assert_string_not_equal(lp, rp);
	assert_int_equal(ice_agent_set_remote(b->left.agent, "abc", rp), -EINVAL);
	assert_int_equal(ice_agent_set_remote(b->left.agent, ru, "too-short"), -EINVAL);
	assert_int_equal(ice_agent_set_remote(b->left.agent, "ab cd", rp), -EINVAL);
	assert_int_equal(ice_agent_set_remote(b->left.agent, ru, rp), 0);
	assert_int_equal(ice_agent_set_remote(b->left.agent, ru, rp), 0);
	assert_int_equal(ice_agent_set_remote(b->left.agent, lu, lp),
			 -EINVAL); /* one remote session, for life */
}

static void candidates(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"1 1 UDP 2015363327 192.0.2.9 0 typ host",
		"1 1 UDP 2015363327 192.0.2.9 65536 typ host",
		"1 1 UDP 2015363327 192.0.2.9 99999999999 typ host",
		"1 1 UDP 2015363327 0.0.0.0 4000 typ host",
		"1 1 UDP 2015363327 224.0.0.1 4000 typ host",
		"1 1 UDP 2015363327 host.example 4000 typ host",
		"1 2 UDP 2015363327 192.0.2.9 4000 typ host",
		"1 1 SCTP 2015363327 192.0.2.9 4000 typ host",
		"1 1 UDP -5 192.0.2.9 4000 typ host",
		"1 1 UDP 2015363327 192.0.2.9 4000 typ moon",
		"1 1 UDP 2015363327 192.0.2.9 4000 type host",
		"1 1 UDP 2015363327 192.0.2.9 4000 typ host raddr",
		"1 1 UDP 2015363327 192.0.2.9 4000 typ srflx raddr x rport 1",
		"1 1 UDP 2015363327 192.0.2.9 4000 typ host\r\n",
		"1  1 UDP 2015363327 192.0.2.9 4000 typ host",
		"1 1 UDP 2015363327 192.0.2.9 4000 typ host tcptype active",
		"%n 1 UDP 2015363327 192.0.2.9 4000 typ host",
	};
	struct both *b = *state;
	struct ice_agent_view v;
	char longest[400];

	agents(b, true, false);
	assert_int_equal(ice_agent_add_candidate(b->left.agent, "1 1 UDP 2015363327 192.0.2.9 4000 typ host"),
			 -EINVAL);
	assert_true(ends_introduce(&b->left, &b->right));
	b->right.deaf = true;
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++)
		if (ice_agent_add_candidate(b->left.agent, bad[n]) != -EINVAL)
			fail_msg("\"%s\" is taken", bad[n]);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(ice_agent_add_candidate(b->left.agent, longest), -EINVAL);
	ice_agent_look(b->left.agent, &v);
	assert_int_equal(v.remote_candidates, 0);
	for (int n = 0; n < 3; n++)
		assert_int_equal(
			ice_agent_add_candidate(b->left.agent, "1 1 UDP 2015363327 192.0.2.9 4000 typ host"),
			0);
	assert_int_equal(ice_agent_add_candidate(
				 b->left.agent, "2 1 udp 100 192.0.2.9 4001 typ srflx raddr 0.0.0.0 rport 0"),
			 0);
	ice_agent_look(b->left.agent, &v);
	assert_int_equal(v.remote_candidates, 2);
}

static void known_twice(void **state)
{
	struct both *b = *state;
	struct ice_agent_view before, after;

	connect_both(b);
	turn_for(b, 100 * NS_PER_MS);
	ice_agent_look(b->left.agent, &before);
	for (unsigned n = 0; n < b->right.candidates; n++)
		assert_int_equal(ice_agent_add_candidate(b->left.agent, b->right.texts[n]), 0);
	ice_agent_look(b->left.agent, &after);
	assert_int_equal(before.remote_candidates, after.remote_candidates);
	assert_int_equal(before.state, after.state);
}

static void by_callback(void **state)
{
	static const char there[] = "weir: there", back[] = "and back";
	struct both *b = *state;

	agents(b, true, false);
	assert_int_equal(ice_agent_send(b->left.agent, there, sizeof(there)), -ENOTCONN);
	assert_int_equal(ice_agent_send_probe(b->left.agent, there, sizeof(there)), -ENOTCONN);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.selections, 1));
	/* No waiting for READY, nor for the other end. */
	assert_int_equal(ice_agent_send(b->left.agent, there, sizeof(there)), 0);
	assert_true(end_wait(b->loop, &b->right.datagrams, 1));
	assert_int_equal(b->right.last_len, sizeof(there));
	assert_memory_equal(b->right.last, there, sizeof(there));
	assert_true(end_wait(b->loop, &b->right.selections, 1));
	assert_int_equal(ice_agent_send_probe(b->right.agent, back, sizeof(back)), 0);
	assert_true(end_wait(b->loop, &b->left.datagrams, 1));
	assert_memory_equal(b->left.last, back, sizeof(back));
}

static void a_probe_is_not_fragmented(void **state)
{
	struct both *b = *state;
	uint8_t big[1800] = {'w'};

	connect_both(b);
	run("ip link set lo mtu 1500");
	assert_int_equal(ice_agent_send_probe(b->left.agent, big, sizeof(big)), -EMSGSIZE);
	assert_int_equal(ice_agent_send(b->left.agent, big, sizeof(big)), 0); /* in two fragments */
	run("ip link set lo mtu 65536");
	assert_true(end_wait(b->loop, &b->right.datagrams, 1));
	assert_int_equal(b->right.last_len, sizeof(big));
	assert_int_equal(b->right.datagrams, 1);
}

/* WireGuard as it looks from outside. */
static size_t wireguard(uint8_t out[148], uint8_t type)
{
	static const size_t len[] = {0, 148, 92, 64, 32};

	memset(out, 0x5a, 148);
	out[0] = type;
	out[1] = out[2] = out[3] = 0;
	return len[type];
}

static ssize_t receive(int fd, uint8_t *out, size_t max)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	if (poll(&p, 1, 5000) != 1)
		return -1;
	return recv(fd, out, max, MSG_DONTWAIT);
}

static void by_fast_socket(void **state)
{
	struct both *b = *state;
	struct error e = {0};
	struct ice_agent_view v;
	uint8_t packet[148], got[4096], frame[40] = "weir", other[40] = {5};
	int left, right;

	connect_both(b);
	left = ice_agent_open_fast(b->left.agent, &e);
	right = ice_agent_open_fast(b->right.agent, &e);
	if (left < 0 || right < 0)
		fail_msg("%s", e.text);
	assert_int_equal(ice_agent_open_fast(b->left.agent, &e), left); /* it is open */
	for (int round = 0; round < 200; round++) {
		size_t len = wireguard(packet, (uint8_t)(1 + round % 4));
		const union address *to = round & 1 ? &b->left.pair.local : &b->right.pair.local;

		assert_int_equal(sendto(round & 1 ? right : left, packet, len, 0, &to->sa, address_len(to)),
				 len);
		assert_int_equal(receive(round & 1 ? left : right, got, sizeof(got)), len);
		assert_memory_equal(got, packet, len);
		/* frames and whatever else stays with libnice */
		assert_int_equal(ice_agent_send(b->left.agent, frame, sizeof(frame)), 0);
		assert_int_equal(ice_agent_send(b->right.agent, other, sizeof(other)), 0);
		assert_true(end_wait(b->loop, &b->right.datagrams, (unsigned)round + 1));
		assert_true(end_wait(b->loop, &b->left.datagrams, (unsigned)round + 1));
		assert_int_equal(b->left.last_len, sizeof(other));
	}
	/* Both checks' ends are alive, and none of their STUN went to us. */
	turn_for(b, 500 * NS_PER_MS);
	assert_int_equal(recv(left, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(recv(right, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(b->left.datagrams, 200);
	assert_int_equal(b->right.datagrams, 200);
	ice_agent_look(b->left.agent, &v);
	assert_true(v.fast);
	assert_string_equal(v.fast_error, "");
	/* Closed, all comes to libnice again. */
	ice_agent_close_fast(b->right.agent);
	assert_int_equal(
		sendto(left, packet, 32, 0, &b->right.pair.local.sa, address_len(&b->right.pair.local)), 32);
	assert_true(end_wait(b->loop, &b->right.datagrams, 201));
	assert_true(ice_agent_open_fast(b->right.agent, &e) >= 0);
}

/* A binding request that came to the wrong socket finds its way; the checks go on. */
static void a_stray_goes_back(void **state)
{
	static const uint8_t frame[64] = "weir, and more than sixteen bytes of it";
	struct both *b = *state;
	struct endpoint from = {0};
	struct ice_agent_view v;
	struct error e;
	uint8_t packet[148];

	connect_both(b);
	assert_true(ice_agent_open_fast(b->right.agent, &e) >= 0);
	from.remote = b->left.pair.local;
	ice_agent_stray(b->right.agent, &from, frame, sizeof(frame));
	assert_true(end_wait(b->loop, &b->right.datagrams, 1));
	assert_memory_equal(b->right.last, frame, sizeof(frame));
	/* What belongs to the fast socket would go round for ever. */
	ice_agent_stray(b->right.agent, &from, packet, wireguard(packet, 4));
	ice_agent_look(b->right.agent, &v);
	assert_int_equal(v.strays, 1);
}

/* Sends `len` bytes from fd as datagrams of `segment` bytes, in one call. */
static void send_train(int fd, const union address *to, const void *data, size_t len, uint16_t segment)
{
	char room[CMSG_SPACE(sizeof(segment))] = {0};
	struct iovec part = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr m = {.msg_name = (void *)to,
			   .msg_namelen = address_len(to),
			   .msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = room,
			   .msg_controllen = sizeof(room)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);

	c->cmsg_level = IPPROTO_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(segment));
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
	assert_int_equal(sendmsg(fd, &m, 0), len);
}

/*
 * Once A has UDP_GRO, a train of frames comes to libnice as one datagram: it is taken apart again. Strayed
 * STUN ends that for good, and frames come one by one as before.
 */
static void glued_frames(void **state)
{
	struct both *b = *state;
	struct endpoint from = {0};
	uint8_t frames[3][100];
	struct error e;
	int fd;

	memset(frames, 0x11, sizeof(frames));
	for (int n = 0; n < 3; n++) {
		memcpy(frames[n], "weir\1\0\0\0pair id.", 16);
		frames[n][50] = (uint8_t)n;
	}
	connect_both(b);
	fd = ice_agent_open_fast(b->right.agent, &e);
	assert_true(fd >= 0 && ice_agent_open_fast(b->left.agent, &e) >= 0);
	assert_false(b->left.agent->gro); /* not while its checks come close together */
	turn_for(b, 4 * NS_PER_SEC);
	assert_true(b->left.agent->gro);
	send_train(fd, &b->left.pair.local, frames, 270, 100);
	assert_true(end_wait(b->loop, &b->left.datagrams, 3));
	assert_int_equal(b->left.last_len, 70);
	assert_memory_equal(b->left.last, frames[2], 70);
	from.remote = b->left.pair.remote;
	ice_agent_stray(b->left.agent, &from, frames[0], 100);
	assert_false(b->left.agent->gro);
	assert_true(end_wait(b->loop, &b->left.datagrams, 4));
	send_train(fd, &b->left.pair.local, frames, 300, 100);
	assert_true(end_wait(b->loop, &b->left.datagrams, 7));
	assert_int_equal(b->left.last_len, 100);
	turn_for(b, 100 * NS_PER_MS);
	assert_int_equal(b->left.datagrams, 7);
}

static void no_fast_socket(void **state)
{
	struct both *b = *state;
	struct ice_agent_view v;
	struct error e = {0};

	ice_set_options(b->ice, &(struct ice_options){.no_fast = true});
	connect_both(b);
	assert_int_equal(ice_agent_open_fast(b->left.agent, &e), -ENOTSUP);
	assert_non_null(strstr(e.text, "switched off"));
	ice_agent_look(b->left.agent, &v);
	assert_false(v.fast);
	assert_string_equal(v.fast_error, e.text);
}

static void both_control(void **state)
{
	struct both *b = *state;

	agents(b, true, true);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.selections, 1));
	assert_true(end_wait(b->loop, &b->right.selections, 1));
}

static void none_controls(void **state)
{
	struct both *b = *state;

	agents(b, false, false);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.selections, 1));
	assert_true(end_wait(b->loop, &b->right.selections, 1));
}

static bool pair_is_known(const struct both *b)
{
	struct ice_pair_view pairs[16];
	size_t n = ice_agent_pairs(b->left.agent, pairs, 16);

	return n && pairs[0].selected && pairs[0].rtt;
}

static void pair_table(void **state)
{
	struct both *b = *state;
	struct ice_pair_view pairs[16];
	uint64_t until = clock_boot_ns() + ICE_PATIENCE;
	size_t n;

	connect_both(b);
	while (!pair_is_known(b) && clock_boot_ns() < until)
		loop_step(b->loop, true);
	n = ice_agent_pairs(b->left.agent, pairs, 16);
	assert_true(n >= 1);
	assert_true(pairs[0].selected);
	assert_true(pairs[0].nominated);
	assert_int_equal(pairs[0].state, ICE_PAIR_SUCCEEDED);
	assert_true(pairs[0].rtt > 0 && pairs[0].rtt < 5 * NS_PER_SEC);
	assert_true(pairs[0].requests >= 1 && pairs[0].answers >= 1);
	assert_true(pairs[0].priority > 0);
	assert_true(address_equal(&pairs[0].pair.remote, &b->left.pair.remote));
	for (size_t k = 1; k < n; k++)
		assert_false(pairs[k].selected);
	assert_int_equal(ice_agent_pairs(b->left.agent, pairs, 1), 1);
	assert_true(pairs[0].selected);
}

/* The link that libnice tied its socket to, so that no route into a tunnel of ours can catch what it sends.
 */
static unsigned link_of(int fd, int family)
{
	uint32_t index = 0;
	socklen_t len = sizeof(index);

	if (family == AF_INET6)
		assert_int_equal(getsockopt(fd, IPPROTO_IPV6, IPV6_UNICAST_IF, &index, &len), 0);
	else
		assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_UNICAST_IF, &index, &len), 0);
	return ntohl(index);
}

static void over(struct both *b, int family)
{
	struct error e = {0};
	uint8_t packet[148], got[200];
	int left, right;

	connect_both(b);
	assert_int_equal(b->left.pair.local.sa.sa_family, family);
	left = ice_agent_open_fast(b->left.agent, &e);
	right = ice_agent_open_fast(b->right.agent, &e);
	assert_true(left >= 0 && right >= 0);
	assert_int_equal(link_of(left, family), if_nametoindex("lan0"));
	assert_int_equal(sendto(left, packet, wireguard(packet, 4), 0, &b->left.pair.remote.sa,
				address_len(&b->left.pair.remote)),
			 32);
	assert_int_equal(receive(right, got, sizeof(got)), 32);
	/* What strayed comes back to libnice, in both families. */
	ice_agent_stray(b->right.agent, &(struct endpoint){.remote = b->left.pair.local},
			(const uint8_t *)"weir: eighteen byte", 18);
	assert_true(end_wait(b->loop, &b->right.datagrams, 1));
	assert_int_equal(b->right.last_len, 18);
}

static void ipv4(void **state)
{
	run("ip -6 addr flush dev lan0");
	over(*state, AF_INET);
	run("ip link set lan0 down; ip link set lan0 up; ip -6 addr add 2001:db8::1/64 dev lan0 nodad");
}

static void ipv6(void **state)
{
	run("ip -4 addr flush dev lan0");
	over(*state, AF_INET6);
	run("ip addr add 192.0.2.1/24 dev lan0");
}

static void quiet_after(struct both *b, struct end *s)
{
	unsigned callbacks = s->callbacks;

	turn_for(b, 300 * NS_PER_MS);
	assert_int_equal(s->callbacks, callbacks);
	assert_null(s->agent);
}

static void freed_at_once(void **state)
{
	struct both *b = *state;

	agents(b, true, false);
	end_free_agent(&b->left);
	end_free_agent(&b->right);
	quiet_after(b, &b->left);
	assert_int_equal(b->left.callbacks, 0);
}

static void freed_in_candidate(void **state)
{
	struct both *b = *state;

	b->left.free_on_candidate = true;
	agents(b, true, false);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.candidates, 1));
	quiet_after(b, &b->left);
}

static void freed_in_state(void **state)
{
	struct both *b = *state;

	b->left.free_on_state = true;
	agents(b, true, false);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.states, 1));
	quiet_after(b, &b->left);
}

static void freed_in_selected(void **state)
{
	struct both *b = *state;

	b->left.free_on_selected = true;
	agents(b, true, false);
	assert_true(ends_introduce(&b->left, &b->right));
	assert_true(end_wait(b->loop, &b->left.selections, 1));
	quiet_after(b, &b->left);
}

static void freed_in_datagram(void **state)
{
	struct both *b = *state;
	struct error e;

	b->right.free_on_datagram = true;
	connect_both(b);
	assert_true(ice_agent_open_fast(b->right.agent, &e) >= 0);
	for (int n = 0; n < 5; n++)
		assert_int_equal(ice_agent_send(b->left.agent, "weir", 4), 0);
	assert_true(end_wait(b->loop, &b->right.datagrams, 1));
	quiet_after(b, &b->right);
	assert_int_equal(b->right.datagrams, 1);
}

static void freed_while_ready(void **state)
{
	struct both *b = *state;

	connect_both(b);
	turn_for(b, 200 * NS_PER_MS);
	end_free_agent(&b->left);
	quiet_after(b, &b->left);
}

/* An agent is made anew each time: a hundred of them leave nothing behind. */
static void many(void **state)
{
	struct both *b = *state;

	for (int n = 0; n < 50; n++) {
		agents(b, true, false);
		assert_true(ends_introduce(&b->left, &b->right));
		for (int turns = 0; turns < n; turns++)
			loop_step(b->loop, true);
		end_free_agent(&b->left);
		end_free_agent(&b->right);
	}
	quiet_after(b, &b->left);
}

static void unanswered_keepalives_are_counted(void **state)
{
	struct both *b = *state;
	struct ice_agent_view v = {0};
	uint64_t until;

	connect_both(b);
	end_free_agent(&b->right);
	until = clock_boot_ns() + 20 * NS_PER_SEC; /* one each 5 s; the last may be under way */
	while (!v.keepalives_unanswered && clock_boot_ns() < until) {
		loop_step(b->loop, true);
		ice_agent_look(b->left.agent, &v);
	}
	assert_true(v.keepalives_unanswered >= 1);
}

static bool has(const union address *list, size_t count, const char *ip)
{
	char text[ADDRESS_TEXT];

	for (size_t n = 0; n < count; n++)
		if (strstr(address_format(text, &list[n]), ip))
			return true;
	return false;
}

static void local_addresses(void **state)
{
	struct both *b = *state;
	union address list[ICE_ADDRESSES_MAX];
	size_t n;

	run("ip tuntap add dev tun9 mode tun; ip addr add 10.9.0.1/24 dev tun9; ip link set tun9 up;"
	    "ip tuntap add dev tap9 mode tap; ip addr add 10.8.0.1/24 dev tap9; ip link set tap9 up;"
	    "ip link add own9 type veth peer name own8; ip addr add 10.7.0.1/24 dev own9;"
	    "ip link set own8 up; ip link set own9 up;"
	    "ip link add down9 type veth peer name down8; ip addr add 10.6.0.1/24 dev down9;"
	    "ip link set down9 up");
	ice_set_options(b->ice, &(struct ice_options){.own_interface = "own9"});
	n = ice_local_addresses(b->ice, list, ICE_ADDRESSES_MAX);
	assert_true(has(list, n, "192.0.2.1"));
	assert_true(has(list, n, "2001:db8::1"));
	assert_true(has(list, n, "fe80::"));
	assert_false(has(list, n, "10.9.0.1"));
	assert_false(has(list, n, "10.8.0.1"));
	assert_false(has(list, n, "10.7.0.1"));
	assert_false(has(list, n, "10.6.0.1")); /* no carrier */
	assert_false(has(list, n, "127.0.0.1"));
	assert_int_equal(ice_local_addresses(b->ice, list, 1), 1);
	ice_set_options(b->ice, &(struct ice_options){0});
	n = ice_local_addresses(b->ice, list, ICE_ADDRESSES_MAX);
	assert_true(has(list, n, "10.7.0.1"));
	run("ip link del tun9; ip link del tap9; ip link del own9; ip link del down9");
}

static int offered(struct both *b, const char *address)
{
	char text[ICE_CANDIDATE_MAX];

	snprintf(text, sizeof(text), "1 1 UDP 2013266431 %s 40000 typ host", address);
	return ice_agent_add_candidate(b->left.agent, text);
}

/* Where a peer must not send our checks. */
static void peers_name_no_place_of_ours(void **state)
{
	struct both *b = *state;

	run("ip tuntap add dev own9 mode tun; ip addr add 10.7.0.1/24 dev own9; ip link set own9 up");
	ice_set_options(b->ice, &(struct ice_options){.own_interface = "own9"});
	agents(b, true, false);
	assert_int_equal(ice_agent_set_remote(b->left.agent, "abcd", "abcdefghijklmnopqrstuvwx"), 0);
	assert_int_equal(offered(b, "198.51.100.7"), 0);
	assert_int_equal(offered(b, "192.0.2.7"), 0);
	assert_int_equal(offered(b, "10.7.1.2"), 0);
	assert_int_equal(offered(b, "2001:db8::7"), 0);
	assert_int_equal(offered(b, "127.0.0.1"), -EACCES);
	assert_int_equal(offered(b, "127.9.9.9"), -EACCES);
	assert_int_equal(offered(b, "::1"), -EACCES);
	assert_int_equal(offered(b, "192.0.2.255"), -EACCES);
	assert_int_equal(offered(b, "10.7.0.1"), -EACCES);
	assert_int_equal(offered(b, "10.7.0.2"), -EACCES);
	assert_true(offered(b, "224.0.0.1") < 0);
	assert_true(offered(b, "ff02::1") < 0);
	assert_true(offered(b, "255.255.255.255") < 0);
	run("ip link del own9");
}

static void nothing_but_loopback(void **state)
{
	struct both *b = *state;
	union address list[ICE_ADDRESSES_MAX];
	size_t n;

	run("ip link set lan0 down");
	n = ice_local_addresses(b->ice, list, ICE_ADDRESSES_MAX);
	assert_true(has(list, n, "127.0.0.1"));
	connect_both(b);
	run("ip link set lan0 up; ip -6 addr add 2001:db8::1/64 dev lan0 nodad");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		TEST(connects),
		TEST(credentials),
		TEST(candidates),
		TEST(known_twice),
		TEST(by_callback),
		TEST(a_probe_is_not_fragmented),
		TEST(by_fast_socket),
		TEST(a_stray_goes_back),
		TEST(glued_frames),
		TEST(no_fast_socket),
		TEST(both_control),
		TEST(none_controls),
		TEST(pair_table),
		TEST(ipv4),
		TEST(ipv6),
		TEST(freed_at_once),
		TEST(freed_in_candidate),
		TEST(freed_in_state),
		TEST(freed_in_selected),
		TEST(freed_in_datagram),
		TEST(freed_while_ready),
		TEST(many),
		TEST(unanswered_keepalives_are_counted),
		TEST(local_addresses),
		TEST(peers_name_no_place_of_ours),
		TEST(nothing_but_loopback),
	};

	if (!netspace_enter()) {
		print_message("skipped: no network namespace or /dev/net/tun\n");
		return 77;
	}
	run("ip link set lo up; ip link add lan0 type veth peer name lan1;"
	    "sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0 "
	    "net.ipv6.conf.lan0.accept_dad=0 net.ipv6.conf.lan1.disable_ipv6=1;"
	    "ip addr add 192.0.2.1/24 dev lan0; ip -6 addr add 2001:db8::1/64 dev lan0 nodad;"
	    "ip link set lan1 up; ip link set lan0 up");
	return cmocka_run_group_tests_name("ice", tests, NULL, NULL);
}
