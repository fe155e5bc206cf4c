/* What weir does to the host, in a network namespace of its own: all of it, and all of it off again. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "crypto/primitives.h"
#include "net/netlink.h"
#include "net/tun.h"
#include "system/journal.h"
#include "system/run.h"
#include "system/system.h"
#include "tests/unit/netspace.h"
#include "tests/unit/test.h"

#define HEAD	  "[Interface]\nPrivateKey = oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM=\n"
#define PEER	  "[Peer]\nPublicKey = GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU=\n"
#define PEER_B	  "[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
#define IFNAME	  "wt0"
#define VALID	  "/proc/sys/net/ipv4/conf/all/src_valid_mark"
#define ADDRESSES "ip address show dev " IFNAME
#define ROUTES	  "ip route show dev " IFNAME "; ip -6 route show dev " IFNAME
#define RULES	  "ip -4 rule; ip -6 rule"
#define TABLES	  "nft list tables"

static struct tun tun;
static struct netlink *netlink;
static char folder[64], *journal;
static struct system *sys;

static struct conf *parse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static struct conf *parse(const char *fmt, ...)
{
	struct conf_messages m = {0};
	struct conf *c;
	va_list ap;
	char *text;

	va_start(ap, fmt);
	assert_true(vasprintf(&text, fmt, ap) >= 0);
	va_end(ap);
	c = conf_parse(text, strlen(text), NULL, IFNAME, &m);
	if (!c)
		conf_messages_print(&m, "test", stderr);
	assert_non_null(c);
	conf_messages_clear(&m);
	free(text);
	return c;
}

static int setup(void **state)
{
	struct error e = {0};

	(void)state;
	strcpy(folder, "/tmp/weir-system-XXXXXX");
	if (!mkdtemp(folder))
		return -1;
	journal = xasprintf("%s/" IFNAME ".undo", folder);
	if (tun_open(&tun, IFNAME, 1, true, &e)) {
		fprintf(stderr, "%s\n", e.text);
		return -1;
	}
	netlink = netlink_open(&e);
	sys = system_new(IFNAME, netlink_ifindex(netlink, IFNAME), journal);
	return 0;
}

static int teardown(void **state)
{
	char *command = xasprintf("rm -r '%s'", folder);
	int r = system(command);

	(void)state;
	system_free(sys);
	netlink_close(netlink);
	tun_close(&tun);
	free(command);
	free(journal);
	return r;
}

static void up(const struct conf *c, uint32_t *mark)
{
	struct error e = {0};

	if (system_up(sys, c, mark, &e))
		fail_msg("%s", e.text);
}

static void down(const struct conf *c)
{
	struct error e = {0};

	if (system_down(sys, c, &e))
		fail_msg("%s", e.text);
}

static void change(const struct conf *old, const struct conf *new, uint32_t *mark)
{
	struct error e = {0};

	if (system_change(sys, old, new, mark, &e))
		fail_msg("%s", e.text);
}

static void nothing_is_left(void)
{
	assert_false(netspace_says(ADDRESSES, "10."));
	assert_false(netspace_says(ROUTES, "10."));
	assert_false(netspace_says(RULES, "51820"));
	assert_false(netspace_says(RULES, "suppress_prefixlength"));
	assert_false(netspace_says(TABLES, "weir-"));
	assert_int_not_equal(access(journal, F_OK), 0);
}

/* ---- addresses, routes, MTU ---- */

static void up_and_down(void **state)
{
	struct conf *c = parse(HEAD "Address = 10.0.0.1/24, fd00:1::1/64\nMTU = 1380\n" PEER
				    "AllowedIPs = 10.0.0.2/32, 10.7.1.2/16, fd00:2::/64\n");
	uint32_t mark = 99;

	(void)state;
	up(c, &mark);
	assert_int_equal(mark, 0);
	assert_true(netspace_says(ADDRESSES, "inet 10.0.0.1/24"));
	assert_true(netspace_says(ADDRESSES, "inet6 fd00:1::1/64"));
	assert_true(netspace_says(ADDRESSES, "mtu 1380"));
	assert_true(netspace_says(ADDRESSES, ",UP"));
	assert_true(netspace_says(ROUTES, "10.7.0.0/16"));
	assert_true(netspace_says(ROUTES, "fd00:2::/64"));
	/* The route of the address covers this one. */
	assert_false(netspace_says(ROUTES, "10.0.0.2"));
	/* Nothing that outlives the interface, so nothing to remember. */
	assert_int_not_equal(access(journal, F_OK), 0);
	down(c);
	nothing_is_left();
	assert_false(netspace_says(ADDRESSES, ",UP"));
	conf_free(c);
}

static void mtu_is_found(void **state)
{
	struct conf *c = parse(HEAD "Address = 10.0.0.1/24\n" PEER "Endpoint = 192.0.2.9:1\n" PEER_B
				    "Endpoint = 198.51.100.9:1\n");
	struct ip_prefix net = {AF_INET, {192, 0, 2, 1}, 24}, net2 = {AF_INET, {198, 51, 100, 1}, 24};
	struct tun wire, narrow;
	struct error e = {0};
	uint32_t mark;

	(void)state;
	/* No way out at all: that of an ordinary Ethernet. */
	up(c, &mark);
	assert_true(netspace_says(ADDRESSES, "mtu 1420"));
	down(c);
	/* Two ways out: the narrower counts. */
	assert_int_equal(tun_open(&wire, "wire0", 1, true, &e), 0);
	assert_int_equal(tun_open(&narrow, "wire1", 1, true, &e), 0);
	netlink_link_set(netlink, netlink_ifindex(netlink, "wire0"), 1450, 1, 0);
	netlink_link_set(netlink, netlink_ifindex(netlink, "wire1"), 1400, 1, 0);
	netlink_address_add(netlink, netlink_ifindex(netlink, "wire0"), &net);
	netlink_address_add(netlink, netlink_ifindex(netlink, "wire1"), &net2);
	up(c, &mark);
	assert_true(netspace_says(ADDRESSES, "mtu 1320"));
	down(c);
	tun_close(&wire);
	tun_close(&narrow);
	conf_free(c);
}

static void table_off_and_number(void **state)
{
	struct conf *off = parse(HEAD "Table = off\nAddress = 10.0.0.1/32\n" PEER
				      "AllowedIPs = 10.9.0.0/16, 0.0.0.0/0\n");
	struct conf *other = parse(HEAD "Table = 777\nAddress = 10.0.0.1/32\n" PEER
					"AllowedIPs = 10.9.0.0/16, 0.0.0.0/0\n");
	uint32_t mark;

	(void)state;
	up(off, &mark);
	assert_false(netspace_says("ip route show table all", "10.9.0.0/16"));
	assert_false(netspace_says(RULES, "suppress"));
	change(off, other, &mark);
	assert_int_equal(mark, 0);
	assert_true(netspace_says("ip route show table 777", "10.9.0.0/16"));
	assert_true(netspace_says("ip route show table 777", "default"));
	assert_false(netspace_says(RULES, "suppress"));
	down(other);
	assert_false(netspace_says("ip route show table all", "10.9.0.0/16"));
	conf_free(off);
	conf_free(other);
}

/* ---- default route ---- */

static bool sysctl_writable(void)
{
	return access(VALID, W_OK) == 0;
}

static const char full_tunnel[] =
	HEAD "Address = 10.0.0.1/32, fd00::1/128\n" PEER "AllowedIPs = 0.0.0.0/0, ::/0\n";

static void default_route(void **state)
{
	struct conf *c = parse("%s", full_tunnel);
	uint32_t chosen = 0, mark = 0;
	struct error e = {0};
	struct stat st;

	(void)state;
	assert_int_equal(system_choose_fwmark(c, 0, &chosen, &e), 0);
	assert_int_equal(chosen, 51820);
	up(c, &mark);
	assert_int_equal(mark, 51820);
	assert_true(netspace_says("ip -4 rule", "not from all fwmark 0xca6c lookup 51820"));
	assert_true(netspace_says("ip -6 rule", "not from all fwmark 0xca6c lookup 51820"));
	assert_true(netspace_says("ip -4 rule", "lookup main suppress_prefixlength 0"));
	assert_true(netspace_says("ip route show table 51820", "default dev " IFNAME));
	assert_true(netspace_says("ip -6 route show table 51820", "default dev " IFNAME));
	assert_true(netspace_says("ip route get 203.0.113.1", "dev " IFNAME));
	assert_false(netspace_says("ip route get 203.0.113.1 mark 51820 2>&1", "dev " IFNAME));
	if (sysctl_writable())
		assert_true(netspace_says("cat " VALID, "1"));
	if (run_find("nft", NULL, 0)) {
		assert_true(netspace_says("nft list table ip weir-" IFNAME,
					  "ip daddr 10.0.0.1 fib saddr type != local drop"));
		assert_true(netspace_says("nft list table ip6 weir-" IFNAME, "ip6 daddr fd00::1"));
		assert_true(netspace_says("nft list table ip weir-" IFNAME, "ct mark set"));
	}
	assert_int_equal(stat(journal, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	/* Asked again while it is on, the mark stays. */
	assert_int_equal(system_choose_fwmark(c, mark, &chosen, &e), 0);
	assert_int_equal(chosen, 51820);
	down(c);
	nothing_is_left();
	assert_false(netspace_says("ip route show table 51820 2>&1", "default"));
	if (sysctl_writable())
		assert_true(netspace_says("cat " VALID, "0"));
	conf_free(c);
}

static void mark_of_the_file(void **state)
{
	struct conf *c =
		parse(HEAD "FwMark = 0x1234\nAddress = 10.0.0.1/32\n" PEER "AllowedIPs = 0.0.0.0/0\n");
	uint32_t mark;

	(void)state;
	up(c, &mark);
	assert_int_equal(mark, 0x1234);
	assert_true(netspace_says("ip -4 rule", "not from all fwmark 0x1234 lookup 4660"));
	assert_false(netspace_says("ip -6 rule", "suppress"));
	down(c);
	nothing_is_left();
	conf_free(c);
}

static void table_in_use_is_left_alone(void **state)
{
	struct ip_prefix any = {AF_INET, {198, 51, 100, 0}, 24};
	struct conf *c = parse("%s", full_tunnel);
	struct tun other;
	struct error e = {0};
	uint32_t mark;

	(void)state;
	assert_int_equal(tun_open(&other, "other0", 1, true, &e), 0);
	netlink_link_set(netlink, netlink_ifindex(netlink, "other0"), 0, 1, 0);
	assert_int_equal(netlink_route_add(netlink, netlink_ifindex(netlink, "other0"), &any, 51820), 0);
	up(c, &mark);
	assert_int_equal(mark, 51821);
	down(c);
	assert_true(netspace_says("ip route show table 51820", "198.51.100.0/24"));
	tun_close(&other);
	conf_free(c);
}

/* Another interface with a default route still needs it. */
static void sysctl_is_shared(void **state)
{
	char *other_path = xasprintf("%s/other.undo", folder);
	struct undo u = {.kind = UNDO_SYSCTL, .family = AF_INET, .name = (char *)"x", .text = (char *)"0"};
	struct conf *c = parse("%s", full_tunnel);
	struct error e = {0};
	struct journal other;
	uint32_t mark;

	(void)state;
	up(c, &mark);
	journal_init(&other, other_path, "other");
	assert_int_equal(journal_add(&other, &u, &e), 0);
	down(c);
	if (sysctl_writable())
		assert_true(netspace_says("cat " VALID, "1"));
	netspace_put(VALID, "0");
	journal_clear(&other);
	free(other_path);
	conf_free(c);
}

/* ---- changes ---- */

static void changes_by_difference(void **state)
{
	struct conf *a = parse(HEAD "Address = 10.0.0.1/24, 10.0.0.2/24\nMTU = 1400\n" PEER
				    "AllowedIPs = 10.1.0.0/16, 10.2.0.0/16\n");
	struct conf *b = parse(HEAD "Address = 10.0.0.2/24, 10.3.0.1/24\nMTU = 1300\n" PEER
				    "AllowedIPs = 10.2.0.0/16, 10.4.0.0/16\n");
	struct conf *none = parse(HEAD "MTU = 1300\n" PEER "AllowedIPs = 10.2.0.0/16\n");
	uint32_t mark;

	(void)state;
	up(a, &mark);
	/* A hand-made route stays, because the file says nothing of it. */
	assert_int_equal(system("ip route add 10.99.0.0/16 dev " IFNAME), 0);
	change(a, b, &mark);
	assert_false(netspace_says(ADDRESSES, "10.0.0.1/24"));
	assert_true(netspace_says(ADDRESSES, "10.0.0.2/24"));
	assert_true(netspace_says(ADDRESSES, "10.3.0.1/24"));
	assert_true(netspace_says(ADDRESSES, "mtu 1300"));
	assert_false(netspace_says(ROUTES, "10.1.0.0/16"));
	assert_true(netspace_says(ROUTES, "10.2.0.0/16"));
	assert_true(netspace_says(ROUTES, "10.4.0.0/16"));
	assert_true(netspace_says(ROUTES, "10.99.0.0/16"));
	/* With the last address the kernel takes routes away: ours are put back. */
	change(b, none, &mark);
	assert_false(netspace_says(ADDRESSES, "inet 10."));
	assert_true(netspace_says(ROUTES, "10.2.0.0/16"));
	down(none);
	conf_free(a);
	conf_free(b);
	conf_free(none);
}

static void default_route_comes_and_goes(void **state)
{
	struct conf *split = parse(HEAD "Address = 10.0.0.1/32\n" PEER "AllowedIPs = 10.2.0.0/16\n");
	struct conf *full = parse("%s", full_tunnel);
	struct conf *moved =
		parse(HEAD "Address = 10.0.0.7/32, fd00::1/128\n" PEER "AllowedIPs = 0.0.0.0/0, ::/0\n");
	uint32_t mark;

	(void)state;
	up(split, &mark);
	assert_int_equal(mark, 0);
	change(split, full, &mark);
	assert_int_equal(mark, 51820);
	assert_true(netspace_says(RULES, "51820"));
	change(full, moved, &mark);
	assert_int_equal(mark, 51820);
	if (run_find("nft", NULL, 0)) {
		assert_true(netspace_says("nft list table ip weir-" IFNAME, "10.0.0.7"));
		assert_false(netspace_says("nft list table ip weir-" IFNAME, "10.0.0.1 "));
	}
	change(moved, split, &mark);
	assert_int_equal(mark, 0);
	assert_false(netspace_says(RULES, "51820"));
	assert_int_not_equal(access(journal, F_OK), 0);
	assert_true(netspace_says(ROUTES, "10.2.0.0/16"));
	down(split);
	nothing_is_left();
	conf_free(split);
	conf_free(full);
	conf_free(moved);
}

static void failed_change_goes_back(void **state)
{
	struct conf *a = parse(HEAD "Address = 10.0.0.1/24\n" PEER "AllowedIPs = 10.1.0.0/16\n");
	struct conf *b = parse(HEAD "Address = 10.0.1.1/24\n" PEER
				    "AllowedIPs = 10.2.0.0/24, 10.5.0.0/16, 0.0.0.0/0\n");
	struct ip_prefix taken = {AF_INET, {10, 5, 0, 0}, 16};
	struct error e = {0};
	struct tun other;
	uint32_t mark;

	(void)state;
	assert_int_equal(tun_open(&other, "other0", 1, true, &e), 0);
	netlink_link_set(netlink, netlink_ifindex(netlink, "other0"), 0, 1, 0);
	assert_int_equal(netlink_route_add(netlink, netlink_ifindex(netlink, "other0"), &taken, 0), 0);
	up(a, &mark);
	assert_int_equal(system_change(sys, a, b, &mark, &e), -EEXIST);
	assert_non_null(strstr(e.text, "there is a route to 10.5.0.0/16 already"));
	assert_int_equal(mark, 0);
	assert_true(netspace_says(ADDRESSES, "10.0.0.1/24"));
	assert_false(netspace_says(ADDRESSES, "10.0.1.1/24"));
	assert_true(netspace_says(ROUTES, "10.1.0.0/16"));
	assert_false(netspace_says(ROUTES, "10.2.0.0/24"));
	assert_false(netspace_says(RULES, "51820"));
	down(a);
	nothing_is_left();
	/* And a first up of it leaves nothing. */
	assert_int_equal(system_up(sys, b, &mark, &e), -EEXIST);
	nothing_is_left();
	tun_close(&other);
	conf_free(a);
	conf_free(b);
}

/* ---- hooks ---- */

static void hooks_in_order(void **state)
{
	struct conf *c =
		parse(HEAD "Address = 10.0.0.1/24\n"
			   "PreUp = echo preup %%i $WEIR_INTERFACE $(ip -br a show dev %%i | grep -c "
			   "10.0.0.1) >> %s/log # 1\n"
			   "PostUp = echo postup $(ip -br a show dev %%i | grep -c 10.0.0.1) >> %s/log\n"
			   "PostUp = [[ -n $BASH || -z $BASH ]] && echo second >> %s/log\n"
			   "PreDown = echo predown $(ip -br a show dev %%i | grep -c 10.0.0.1) >> %s/log\n"
			   "PreDown = false\n"
			   "PostDown = echo postdown $(ip -br a show dev %%i | grep -c 10.0.0.1) >> %s/log\n",
		      folder, folder, folder, folder, folder);
	char *command = xasprintf("cat %s/log", folder), *text;
	uint32_t mark;

	(void)state;
	up(c, &mark);
	down(c);
	text = netspace_ask(command);
	assert_string_equal(text, "preup wt0 wt0 0\npostup 1\nsecond\npredown 1\npostdown 0\n");
	free(text);
	free(command);
	conf_free(c);
}

static void failing_hook_unwinds(void **state)
{
	struct conf *pre = parse(HEAD "Address = 10.0.0.1/24\nPreUp = exit 3\n");
	struct conf *post =
		parse("%sPostUp = true\nPostUp = kill -9 $$\nPostDown = touch %s/postdown\n"
		      "Table = auto\n[Peer]\nPublicKey = xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=\n"
		      "AllowedIPs = 0.0.0.0/0, 10.9.0.0/16\n",
		      HEAD "Address = 10.0.0.1/24\n", folder);
	char *left = xasprintf("%s/postdown", folder);
	struct error e = {0};
	uint32_t mark;

	(void)state;
	assert_true(system_up(sys, pre, &mark, &e) < 0);
	assert_string_equal(e.text, "PreUp failed (status 3): exit 3");
	nothing_is_left();
	assert_true(system_up(sys, post, &mark, &e) < 0);
	assert_string_equal(e.text, "PostUp failed (status 137): kill -9 $$");
	nothing_is_left();
	assert_int_not_equal(access(left, F_OK), 0);
	free(left);
	conf_free(pre);
	conf_free(post);
}

static char heard[4096];

static void hear(void *arg, const struct log_record *r)
{
	(void)arg;
	strncat(heard, r->text, sizeof(heard) - strlen(heard) - 2);
	strcat(heard, "\n");
}

/* What a hook leaves in the background may go on to speak. */
static void background_output(void **state)
{
	struct conf *c = parse(
		HEAD "PostUp = mkfifo %s/f; echo 'half line'; (read x < %s/f; echo late; echo survived > "
		     "%s/done) &\n",
		folder, folder, folder);
	char *fifo = xasprintf("%s/f", folder), *mark_file = xasprintf("%s/done", folder);
	struct run_outputs *o = system_outputs(sys);
	uint32_t mark;
	FILE *f;

	(void)state;
	heard[0] = '\0';
	log_set_sink(hear, NULL);
	up(c, &mark);
	assert_non_null(strstr(heard, "PostUp: half line"));
	assert_int_equal(o->count, 1);
	f = fopen(fifo, "w");
	fputs("go\n", f);
	fclose(f);
	while (o->count) {
		fcntl(o->items[0].fd, F_SETFL, 0); /* wait for it */
		run_outputs_read(o, 0);
	}
	assert_non_null(strstr(heard, "PostUp: late"));
	assert_int_equal(access(mark_file, F_OK), 0);
	log_set_sink(NULL, NULL);
	down(c);
	free(fifo);
	free(mark_file);
	conf_free(c);
}

/* A command may name a key, and `wg showconf` prints one: neither is for the log. */
static void keys_are_masked(void **state)
{
	static const char key[] = "oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM=";
	struct conf *c = parse(
		HEAD
		"PostUp = echo key=%s. and /usr/share/doc/a/very/long/path/without/any/dots/in/it; exit 1\n",
		key);
	struct error e = {0};
	uint32_t mark;

	(void)state;
	heard[0] = '\0';
	log_set_sink(hear, NULL);
	assert_true(system_up(sys, c, &mark, &e) < 0);
	log_set_sink(NULL, NULL);
	assert_null(strstr(heard, "oK56DE9U"));
	assert_null(strstr(e.text, "oK56DE9U"));
	assert_non_null(
		strstr(heard, "PostUp: key=********************************************. and /usr/share"));
	conf_free(c);
}

/* ---- DNS ---- */

static void put_program(const char *name, const char *text)
{
	char *path = xasprintf("%s/bin/%s", folder, name);
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
	chmod(path, 0755);
	free(path);
}

static void dns_by_tools(void **state)
{
	struct conf *c = parse(HEAD "DNS = 10.0.0.53, corp.example, fd00::53\n");
	struct conf *other = parse(HEAD "DNS = 10.0.0.54\n");
	char *bin = xasprintf("%s/bin", folder), *before = xstrdup(getenv("PATH")),
	     *log = xasprintf("cat %s/log", folder);
	struct error e = {0};
	uint32_t mark;
	char *text;

	(void)state;
	mkdir(bin, 0755);
	setenv("PATH", bin, 1);
	setenv("FOLDER", folder, 1);
	assert_int_equal(system_up(sys, c, &mark, &e), -ENOENT);
	assert_non_null(strstr(e.text, "neither resolvconf nor resolvectl"));
	put_program("resolvectl", "#!/bin/sh\necho \"resolvectl $*\" >> $FOLDER/log\n");
	up(c, &mark);
	down(c);
	setenv("PATH", before, 1);
	text = netspace_ask(log);
	assert_string_equal(text, "resolvectl dns wt0 10.0.0.53 fd00::53\n"
				  "resolvectl domain wt0 ~. corp.example\n"
				  "resolvectl revert wt0\n");
	free(text);
	setenv("PATH", bin, 1);
	put_program("resolvconf",
		    "#!/bin/sh\necho \"resolvconf $*\" > $FOLDER/log2\n"
		    "[ $1 = -a ] && while read x; do echo \"$x\"; done >> $FOLDER/log2\nexit 0\n");
	up(c, &mark);
	setenv("PATH", before, 1);
	free(log);
	log = xasprintf("cat %s/log2", folder);
	text = netspace_ask(log);
	assert_non_null(
		strstr(text, "-m 0 -x\nnameserver 10.0.0.53\nnameserver fd00::53\nsearch corp.example\n"));
	free(text);
	setenv("PATH", bin, 1);
	change(c, other, &mark);
	down(other);
	setenv("PATH", before, 1);
	text = netspace_ask(log);
	assert_non_null(strstr(text, IFNAME " -f"));
	assert_int_not_equal(access(journal, F_OK), 0);
	free(text);
	free(log);
	free(before);
	free(bin);
	conf_free(c);
	conf_free(other);
}

/* Without nft the same rules go through iptables-restore, and come out one by one. */
static void firewall_by_iptables(void **state)
{
	struct conf *c = parse(HEAD "Address = 10.0.0.1/32\n" PEER "AllowedIPs = 0.0.0.0/0\n");
	char *bin = xasprintf("%s/bin", folder), *before = xstrdup(getenv("PATH")),
	     *log = xasprintf("cat %s/log", folder);
	uint32_t mark;
	char *text;

	(void)state;
	mkdir(bin, 0755);
	setenv("PATH", bin, 1);
	setenv("FOLDER", folder, 1);
	put_program("iptables-restore", "#!/bin/sh\nwhile read x; do echo \"$x\"; done >> $FOLDER/log\n");
	up(c, &mark);
	down(c);
	setenv("PATH", before, 1);
	text = netspace_ask(log);
	assert_non_null(strstr(
		text, "*raw\n-I PREROUTING ! -i wt0 -d 10.0.0.1 -m addrtype ! --src-type LOCAL -j DROP"));
	assert_non_null(strstr(text, "-I POSTROUTING -m mark --mark 51820 -p udp -j CONNMARK --save-mark"));
	assert_non_null(strstr(
		text, "*raw\n-D PREROUTING ! -i wt0 -d 10.0.0.1 -m addrtype ! --src-type LOCAL -j DROP"));
	assert_non_null(strstr(text, "-D POSTROUTING -m mark --mark 51820 -p udp -j CONNMARK --save-mark"));
	assert_non_null(strstr(text, "-D PREROUTING -p udp -j CONNMARK --restore-mark"));
	assert_int_not_equal(access(journal, F_OK), 0);
	/* With neither, it still comes up, and the log says what is missing. */
	unlink(strcat(strcpy(text, bin), "/iptables-restore"));
	setenv("PATH", bin, 1);
	heard[0] = '\0';
	log_set_sink(hear, NULL);
	up(c, &mark);
	down(c);
	log_set_sink(NULL, NULL);
	setenv("PATH", before, 1);
	assert_non_null(strstr(heard, "install nftables"));
	free(text);
	free(log);
	free(before);
	free(bin);
	conf_free(c);
}

/* ---- after a crash ---- */

static void crash_is_cleaned_up(void **state)
{
	struct conf *c = parse("%s", full_tunnel);
	struct error e = {0};
	uint32_t mark;
	int status;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		struct error inner = {0};

		if (!system_up(sys, c, &mark, &inner))
			raise(SIGKILL);
		_exit(1);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_true(netspace_says(RULES, "51820"));
	assert_true(system_clean_leftovers(journal, &e) > 0);
	assert_false(netspace_says(RULES, "51820"));
	assert_false(netspace_says(RULES, "suppress"));
	assert_false(netspace_says(TABLES, "weir-"));
	if (sysctl_writable())
		assert_true(netspace_says("cat " VALID, "0"));
	assert_int_not_equal(access(journal, F_OK), 0);
	assert_int_equal(system_clean_leftovers(journal, &e), 0);
	conf_free(c);
}

/* A journal is one line longer than what was done; what never happened is undone without harm. */
static void undoing_what_never_was(void **state)
{
	FILE *f = fopen(journal, "w");
	struct error e = {0};

	(void)state;
	fputs("{\"journal\":1,\"interface\":\"wt0\"}\n"
	      "{\"id\":1,\"undo\":\"rule\",\"family\":4,\"mark\":51820,\"table\":51820}\n"
	      "{\"id\":2,\"undo\":\"suppress\",\"family\":6}\n"
	      "{\"id\":3,\"undo\":\"nft\",\"family\":4,\"text\":\"weir-wt0\"}\n"
	      "{\"id\":4,\"undo\":\"suppress\",\"family\":4}\n{\"undone\":4}\n"
	      "garbage\n"
	      "{\"id\":5,\"undo\":\"sysctl\",\"family\":4,\"name\":\"kernel/core_pattern\",\"text\":\"|/bin/"
	      "sh\"}\n"
	      "{\"id\":6,\"undo\":\"rule\",\"fam",
	      f);
	fclose(f);
	assert_int_equal(system_clean_leftovers(journal, &e), 4);
	assert_false(netspace_says("cat /proc/sys/kernel/core_pattern", "|/bin/sh"));
	assert_int_not_equal(access(journal, F_OK), 0);
}

static void interface_may_be_gone(void **state)
{
	struct conf *c = parse("%s", full_tunnel);
	uint32_t mark;

	(void)state;
	up(c, &mark);
	tun_close(&tun);
	tun = (struct tun){0};
	down(c);
	assert_false(netspace_says(RULES, "51820"));
	assert_false(netspace_says(TABLES, "weir-"));
	assert_int_not_equal(access(journal, F_OK), 0);
	conf_free(c);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(up_and_down),
		TEST(mtu_is_found),
		TEST(table_off_and_number),
		TEST(default_route),
		TEST(mark_of_the_file),
		TEST(table_in_use_is_left_alone),
		TEST(sysctl_is_shared),
		TEST(changes_by_difference),
		TEST(default_route_comes_and_goes),
		TEST(failed_change_goes_back),
		TEST(hooks_in_order),
		TEST(failing_hook_unwinds),
		TEST(background_output),
		TEST(keys_are_masked),
		TEST(dns_by_tools),
		TEST(firewall_by_iptables),
		TEST(crash_is_cleaned_up),
		TEST(undoing_what_never_was),
		TEST(interface_may_be_gone),
	};

	crypto_init();
	log_to_stderr(false, false);
	if (!run_find("ip", NULL, 0) || !netspace_enter())
		return 77;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
