/* The reader of configuration files: every keyword good and bad, all errors told, nothing secret in them. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/xalloc.h"
#include "config/conf.h"
#include "base/distance.h"
#include "config/words.h"
#include "crypto/primitives.h"
#include "tests/unit/conf_help.h"

/* ---- what is read ---- */

static void reads_a_whole_file(void **state)
{
	struct conf *c = good("\xef\xbb\xbf# a comment\r\n"
			      "[interface]\r\n"
			      "  privatekey=" PRIVATE " # ours\r\n"
			      "LISTENPORT = 51820\n"
			      "FwMark = 0xca6c\n"
			      "Address = 10.0.0.1/24, fd00::1/64\n"
			      "Address = 10.9.0.1\n"
			      "DNS = 10.0.0.53, example.net fd00::53 ,corp.example\n"
			      "MTU=1380\n"
			      "Table = 1234\n"
			      "PreUp = echo %i # not a comment\n"
			      "PostUp = ip rule add x %i; touch /run/%i.up\n"
			      "PostUp = second\n"
			      "PreDown = a=b\n"
			      "PostDown = rm /run/%i.up\n"
			      "SaveConfig = false\n"
			      "\n"
			      "[Peer]\n"
			      "Name = edge one # of three\n"
			      "PublicKey = " KEY_A "\n"
			      "PresharedKey = " PSK "\n"
			      "AllowedIPs = 10.0.0.2/32, 10.1.0.0/16\n"
			      "AllowedIPs = fd00::2, +10.2.0.0/16\n"
			      "Endpoint = [2001:db8::1]:51820\n"
			      "PersistentKeepalive = 25\n"
			      "[PEER]\n"
			      "# friendly_name = edge-two\n"
			      "PublicKey = " KEY_B "\n"
			      "AllowedIPs =\n"
			      "Endpoint = vpn.example.net:443\n"
			      "PersistentKeepalive = off");
	struct conf_peer *p = c->peers;
	char key[KEY_BASE64_LEN + 1];

	(void)state;
	key_to_base64(key, &c->private_key);
	assert_true(c->has_private_key);
	assert_string_equal(key, PRIVATE);
	assert_int_equal(c->listen_port, 51820);
	assert_int_equal(c->fwmark, 0xca6c);
	assert_int_equal(c->address_count, 3);
	assert_int_equal(c->addresses[0].len, 24);
	assert_int_equal(c->addresses[1].family, AF_INET6);
	assert_int_equal(c->addresses[2].len, 32);
	assert_int_equal(c->dns_servers.count, 2);
	assert_string_equal(c->dns_servers.items[1], "fd00::53");
	assert_int_equal(c->dns_search.count, 2);
	assert_string_equal(c->dns_search.items[1], "corp.example");
	assert_int_equal(c->mtu, 1380);
	assert_int_equal(c->table, TABLE_NUMBER);
	assert_int_equal(c->table_number, 1234);
	assert_string_equal(c->pre_up.items[0], "echo wg0 # not a comment");
	assert_int_equal(c->post_up.count, 2);
	assert_string_equal(c->post_up.items[0], "ip rule add x wg0; touch /run/wg0.up");
	assert_string_equal(c->pre_down.items[0], "a=b");
	assert_string_equal(c->post_down.items[0], "rm /run/wg0.up");
	assert_int_equal(c->peer_count, 2);
	assert_string_equal(p[0].name, "edge one");
	assert_true(p[0].has_psk);
	assert_int_equal(p[0].allowed_count, 4);
	assert_int_equal(p[0].allowed[2].len, 128);
	assert_string_equal(p[0].host, "2001:db8::1");
	assert_int_equal(p[0].endpoint.sa.sa_family, AF_INET6);
	assert_int_equal(ntohs(p[0].endpoint.in6.sin6_port), 51820);
	assert_int_equal(p[0].keepalive, 25);
	assert_string_equal(p[1].name, "edge-two");
	assert_int_equal(p[1].allowed_count, 0);
	assert_string_equal(p[1].host, "vpn.example.net");
	assert_string_equal(p[1].port, "443");
	assert_int_equal(p[1].endpoint.sa.sa_family, AF_UNSPEC);
	assert_int_equal(p[1].keepalive, 0);
	conf_free(c);
}

static void defaults(void **state)
{
	struct conf *c = good(HEAD);

	(void)state;
	assert_int_equal(c->listen_port, 0);
	assert_false(c->has_fwmark);
	assert_int_equal(c->mtu, 0);
	assert_int_equal(c->table, TABLE_AUTO);
	assert_int_equal(c->peer_count, 0);
	assert_true(conf_network_equal(c, NULL));
	conf_free(c);
	c = good(HEAD "[Relay]\n[Ice]\nEnable = yes\nTcp = no\nUpnp = no\nFastSocket = yes\nTurnOnly = no\n");
	assert_true(conf_network_equal(c, NULL));
	conf_free(c);
	c = good(HEAD "FwMark = off\nTable = off\n");
	assert_false(c->has_fwmark);
	assert_int_equal(c->table, TABLE_OFF);
	conf_free(c);
	c = good(HEAD "Table = main\n");
	assert_int_equal(c->table_number, 254);
	conf_free(c);
}

static void names_from_comments(void **state)
{
	struct conf *c = good(HEAD "[Peer]\n#Name=one\n# Name = other\nPublicKey = " KEY_A "\n"
				   "\n# Name = meant for the next\n[Peer]\nPublicKey = " KEY_B
				   "\n# friendly_name=two\nName = three\n");

	(void)state;
	assert_string_equal(c->peers[0].name, "one");
	assert_string_equal(c->peers[1].name, "three");
	conf_free(c);
}

/* ---- what is wrong ---- */

static void bad_interface_values(void **state)
{
	static const struct wrong table[] = {
		{"Adress = 10.0.0.1/24", "f:3:1: error: unknown keyword \"Adress\" in [Interface]",
		 "did you mean \"Address\"?"},
		{"  Listen-Port = 1", "f:3:3: error: unknown keyword", "did you mean \"ListenPort\"?"},
		{"Wombat = 1", "f:3:1: error: unknown keyword \"Wombat\"", "weir.conf(5)"},
		{"AllowedIPs = 10.0.0.0/8", "f:3:1: error: AllowedIPs is not for [Interface]",
		 "belongs in [Peer]"},
		{"Metrics = localhost:9586", "f:3:11: error: metrics cannot be served at \"localhost:9586\"",
		 "give ADDRESS:PORT"},
		{"Metrics = 127.0.0.1", "f:3:11: error: metrics cannot be served", "unix:PATH, or off"},
		{"Metrics = unix:", "f:3:11: error: a socket's path has 1 to 107 characters, not 0",
		 "shorter"},
		{"Metric = off", "f:3:1: error: unknown keyword", "did you mean \"Metrics\"?"},
		{"ListenPort = 65536", "f:3:14: error: \"65536\" is no port", "0 to 65535"},
		{"ListenPort = -1", "f:3:14: error:", "0 to 65535"},
		{"ListenPort =", "f:3:13: error: \"\" is no port", "0 to 65535"},
		{"ListenPort 51820", "f:3:1: error: no = behind ListenPort", "Keyword = value"},
		{"FwMark = 0x100000000", "f:3:10: error:", "0xffffffff"},
		{"FwMark = 12x", "f:3:10: error:", "off"},
		{"Address = 10.0.0.1/24, 10.0.0.300/24", "f:3:24: error: \"10.0.0.300/24\" is no IP address",
		 "10.0.0.0/24"},
		{"Address = 10.0.0.1/33", "f:3:11: error: \"10.0.0.1/33\" has no good prefix length",
		 "0 to 32"},
		{"Address = fd00::1/129", "f:3:11: error:", "0 to 128"},
		{"Address = 10.0.0.1/255.255.255.0", "f:3:11: error:", "0 to 32"},
		{"DNS = 1.1.1", "f:3:7: error: \"1.1.1\" is no IP address", "search domain"},
		{"DNS = a_b, x!y", "f:3:12: error:", "search domain"},
		{"MTU = 67", "f:3:7: error: \"67\" is no MTU", "68 to 65535"},
		{"MTU = 65536", "f:3:7: error:", "68 to 65535"},
		{"MTU = big", "f:3:7: error:", "68 to 65535"},
		{"Table = maine", "f:3:9: error: \"maine\" is no routing table", "auto, off"},
		{"Table = 0", "f:3:9: error:", "auto, off"},
		{"SaveConfig = true", "f:3:14: error: SaveConfig = true is not supported", "wg showconf"},
		{"SaveConfig = yes", "f:3:14: error:", "only false"},
		{"PrivateKeyFile = /etc/x", "error: PrivateKeyFile is not read here", "give the key"},
		{"[Wombat]", "f:3:1: error: unknown section \"[Wombat]\"",
		 "[Interface], [Relay], [Ice] and [Peer]"},
		{"[Pear]", "f:3:1: error: unknown section", "did you mean [Peer]?"},
		{"[Peer", "f:3:1: error: unknown section", "did you mean [Peer]?"},
		{"[Peer]", "f:3:1: error: this [Peer] has no PublicKey", "wg show"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++) {
		/* PrivateKey and PrivateKeyFile together is a second error of its own. */
		if (strstr(table[i].text, "KeyFile"))
			expect_wrong("[Interface]\n", &table[i]);
		else
			expect_wrong(HEAD, &table[i]);
	}
}

static void bad_peer_values(void **state)
{
	static const struct wrong table[] = {
		{"AllowedIps = 10.0.0.0/8, 10.0.0.0/8x", "f:5:26: error:", "0 to 32"},
		{"AllowedIPs = -10.0.0.0/8", "f:5:14: error: -ADDRESS takes away", "leave out"},
		{"Endpoint = vpn.example.net", "f:5:12: error: endpoint \"vpn.example.net\" has no port",
		 "HOST:PORT"},
		{"Endpoint = 2001:db8::1:51820", "f:5:12: error:", "without brackets"},
		{"Endpoint = [2001:db8::1]", "f:5:12: error:", "has no port behind its ]"},
		{"Endpoint = [2001:db8::1:51820", "f:5:12: error:", "has no ]"},
		{"Endpoint = [vpn.example.net]:1", "f:5:12: error:", "has no IPv6 address"},
		{"Endpoint = 10.0.0.256:1", "f:5:12: error:", "has no good IPv4 address"},
		{"Endpoint = host:0", "f:5:12: error:", "port from 1 to 65535"},
		{"Endpoint = host:65536", "f:5:12: error:", "port from 1 to 65535"},
		{"Endpoint = ho st$:1", "f:5:12: error:", "no good host name"},
		{"Endpoint =", "f:5:11: error:", "has no port"},
		{"PersistentKeepalive = 65536", "f:5:23: error:", "1 to 65535 seconds"},
		{"PersistentKeepalive = on", "f:5:23: error:", "1 to 65535 seconds"},
		{"PersistentKeepAliv = 25", "f:5:1: error:", "did you mean \"PersistentKeepalive\"?"},
		{"Name = 0123456789012345678901234567890x", "f:5:8: error:", "longer than 31 bytes"},
		{"Name = ALL", "f:5:8: error:", "every peer in commands"},
		{"Name =", "f:5:7: error:", "is empty"},
		{"MTU = 1400", "f:5:1: error: MTU is not for [Peer]", "belongs in [Interface]"},
		{"Relay = x", "f:5:9: error: \"x\" is no URL of a relay", "rels://HOST"},
		{"[Peer]\nPublicKey = " KEY_A, "f:6:13: error: this PublicKey stands on line 4 already",
		 "one [Peer]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		expect_wrong(HEAD PEER, &table[i]);
}

/* Whatever is done to a key, no piece of it comes out again. */
static void keys_stay_secret(void **state)
{
	static const char *const forms[] = {
		"[Interface]\nPrivateKey = %.43s\n",
		"[Interface]\nPrivateKey = x%s\n",
		"[Interface]\nPrivateKey %s\n",
		"[Interface]\nPrivateKey: %s\n",
		"[Interface]\n%s\n",
		"[Interface]\n%s = PrivateKey\n",
		"[Interface]\nMTU = %s\n",
		"[Interface]\nAddress = %s\n",
		"[Interface]\nDNS = %s\n",
		"%s\n",
		"[%s]\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Peer]\nPublicKey = %.40s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Peer]\nPresharedKey = %.42s*=\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Peer]\nEndpoint = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Peer]\nName = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Peer]\nAllowedIPs = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Relay]\nToken = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Relay]\nUrl = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Relay]\nSecret = %1$s\nSecretFile = %1$s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Ice]\nTurnPassword = %s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Ice]\nTurn = a:1\nTurnPassword = %1$s%1$s%1$s\n",
		"[Interface]\nPrivateKey = " PRIVATE "\n[Ice]\nUpnp = %s\n",
	};
	static const char secret[] = "sK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQM=";

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(*forms); i++) {
		struct conf_messages m;
		char *text, *all;
		struct conf *c;

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		text = xasprintf(forms[i], secret);
#pragma GCC diagnostic pop
		c = parse(text, &m);
		all = told(&m);
		assert_null(c);
		assert_true(m.errors > 0);
		for (size_t at = 0; at + 8 < sizeof(secret); at++) {
			char piece[9] = "";

			memcpy(piece, secret + at, 8);
			if (strstr(all, piece))
				fail_msg("form %zu leaks \"%s\":\n%s", i, piece, all);
		}
		conf_messages_clear(&m);
		free(all);
		free(text);
	}
}

static void key_lengths_are_told(void **state)
{
	static const struct wrong table[] = {
		{"PrivateKey = abc", "f:2:14: error: PrivateKey has 3 characters", "a key has 44"},
		{"PrivateKey = ", "error: PrivateKey has 0 characters", "a key has 44"},
		{"PrivateKey = oK56DE9Ue9zK76r*c8pBl6opph+1v36lm7cXXsQKrQM=",
		 "error: character 16 of PrivateKey", "base64"},
		{"PrivateKey = oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQMA",
		 "error: PrivateKey does not end in =", "32"},
		{"PrivateKey = oK56DE9Ue9zK76rAc8pBl6opph+1v36lm7cXXsQKrQN=",
		 "error: PrivateKey is not 32 bytes", "lost"},
		{"PrivateKey = AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		 "error: PrivateKey is all zeros", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
		expect_wrong("[Interface]\n", &table[i]);
}

static void all_errors_are_told_in_order(void **state)
{
	struct conf_messages m;
	struct conf *c = parse("Stray = 1\n"
			       "[Interface]\n"
			       "ListenPort = x\n"
			       "MTU = 1\n"
			       "Foo = 1\n"
			       "[Peer]\n"
			       "AllowedIPs = 1.2.3.4/99, 5.6.7.8/1, nonsense\n"
			       "[Nowhere]\n"
			       "Ignored = 1\n"
			       "[Peer]\n"
			       "PublicKey = short\n",
			       &m);
	static const int lines[] = {1, 3, 4, 5, 7, 7, 6, 8, 11, 2};

	(void)state;
	assert_null(c);
	assert_int_equal(m.errors, sizeof(lines) / sizeof(*lines));
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(m.items[i].line, lines[i]);
	conf_messages_clear(&m);
}

static void whole_file_faults(void **state)
{
	static const char nul[] = "[Interface]\nPrivateKey = " PRIVATE "\n\0\n";
	struct conf_messages m;
	char *all, *many = xcalloc(1, 20000);

	(void)state;
	assert_null(parse("", &m));
	assert_int_equal(m.errors, 1);
	conf_messages_clear(&m);
	assert_null(parse("[Interface]\n", &m));
	all = told(&m);
	assert_non_null(strstr(all, "f:1:1: error: [Interface] has no PrivateKey: `wg genkey`"));
	free(all);
	conf_messages_clear(&m);
	assert_null(conf_parse(nul, sizeof(nul) - 1, NULL, "wg0", &m));
	assert_int_equal(m.errors, 1);
	conf_messages_clear(&m);
	for (int i = 0; i < 2000; i++)
		strcat(many + i, i & 1 ? "\n" : "x\n");
	assert_null(parse(many, &m));
	assert_true(m.count <= CONF_MESSAGES_MAX);
	assert_true(m.errors > m.count);
	conf_messages_clear(&m);
	free(many);
}

static void repeated_keyword_warns(void **state)
{
	struct conf_messages m;
	struct conf *c = parse(HEAD "ListenPort = 1\nListenPort = 2\n", &m);

	(void)state;
	assert_non_null(c);
	assert_int_equal(c->listen_port, 2);
	assert_int_equal(m.count, 1);
	assert_int_equal(m.items[0].line, 4);
	conf_messages_clear(&m);
	conf_free(c);
	/* A hook may set the key, as the manual of wg-quick shows. */
	c = parse("[Interface]\nPostUp = wg set %i private-key /etc/key\n", &m);
	assert_non_null(c);
	assert_false(c->has_private_key);
	assert_int_equal(m.count, 1);
	conf_messages_clear(&m);
	conf_free(c);
}

/* ---- files ---- */

static void keys_from_files(void **state)
{
	char *key = write_file("k", "  " PRIVATE "\n", 0600), *psk = write_file("psk", PSK, 0644);
	char *path = write_file("wg0.conf",
				"[Interface]\nPrivateKeyFile = k\n" PEER "PresharedKeyFile = ./psk\n", 0600);
	struct conf_messages m = {0};
	struct conf *c = conf_read(path, "wg0", &m);
	char text[KEY_BASE64_LEN + 1];

	(void)state;
	assert_non_null(c);
	key_to_base64(text, &c->private_key);
	assert_string_equal(text, PRIVATE);
	assert_true(c->peers[0].has_psk);
	assert_int_equal(m.count, 1); /* the file that others may read */
	assert_non_null(strstr(m.items[0].text, "every user may read the key"));
	conf_messages_clear(&m);
	conf_free(c);

	free(write_file("k", "oops\n", 0600));
	assert_null(conf_read(path, "wg0", &m));
	assert_non_null(strstr(m.items[0].text, "has 4 characters"));
	conf_messages_clear(&m);
	unlink(key);
	assert_null(conf_read(path, "wg0", &m));
	assert_non_null(strstr(m.items[0].text, "No such file"));
	conf_messages_clear(&m);
	free(key);
	free(psk);
	free(path);
}

static void key_from_credential(void **state)
{
	char *path = write_file("wg0.conf", "[Interface]\nListenPort = 1\n", 0600);
	struct conf_messages m = {0};
	struct conf *c;

	(void)state;
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	assert_null(conf_read(path, "wg0", &m));
	conf_messages_clear(&m);
	free(write_file("private.key", PSK "\n", 0400));
	c = conf_read(path, "wg0", &m);
	assert_non_null(c);
	conf_free(c);
	free(write_file("wg0.key", PRIVATE "\n", 0400));
	c = conf_read(path, "wg0", &m);
	assert_non_null(c);
	assert_int_equal(m.count, 0);
	assert_int_equal(c->private_key.bytes[0], 0xa0); /* that of the interface goes first */
	conf_free(c);
	free(path);
}

static void readable_by_all_warns(void **state)
{
	char *path = write_file("wg0.conf", HEAD, 0644);
	struct conf_messages m = {0};
	struct conf *c = conf_read(path, "wg0", &m);

	(void)state;
	assert_non_null(c);
	assert_int_equal(m.count, 1);
	assert_non_null(strstr(m.items[0].text, "mode 0644"));
	conf_messages_clear(&m);
	conf_free(c);
	/* In a closed folder nobody gets to it. */
	chmod(folder, 0750);
	conf_free(conf_read(path, "wg0", &m));
	assert_int_equal(m.count, 0);
	chmod(folder, 0755);
	free(path);
	/* Nothing secret is in it. */
	free(write_file("k", PRIVATE, 0600));
	path = write_file("wg0.conf", "[Interface]\nPrivateKeyFile = k\n" PEER, 0644);
	conf_free(conf_read(path, "wg0", &m));
	assert_int_equal(m.count, 0);
	free(path);
	assert_null(conf_read(folder, "wg0", &m));
	assert_null(conf_read("/nonexistent/wg0.conf", "wg0", &m));
	assert_int_equal(m.errors, 2);
	conf_messages_clear(&m);
}

/* To an ordinary user: what may be in there is found by name, and refused when it is read. */
static bool is_closed(const char *path)
{
	return access(path, X_OK) && errno == EACCES;
}

static void locates(void **state)
{
	char *path = write_file("edge-1.conf", "", 0600),
	     *odd = write_file("name_much_too_long.conf", "", 0600);
	char *found = NULL, ifname[IFNAMSIZ];
	struct error e;

	(void)state;
	assert_int_equal(conf_locate(path, &found, ifname, &e), 0);
	assert_string_equal(found, path);
	assert_string_equal(ifname, "edge-1");
	free(found);
	assert_int_equal(chdir(folder), 0);
	assert_int_equal(conf_locate("edge-1.conf", &found, ifname, &e), 0);
	assert_int_equal(found[0], '/');
	free(found);
	assert_int_equal(conf_locate(odd, &found, ifname, &e), -EINVAL);
	assert_int_equal(e.exit, EXIT_USAGE);
	assert_int_equal(conf_locate("no such", &found, ifname, &e), -EINVAL);
	assert_int_equal(conf_locate("..", &found, ifname, &e), -EINVAL);
	if (is_closed("/etc/weir") || is_closed("/etc/wireguard")) {
		assert_int_equal(conf_locate("weir-none", &found, ifname, &e), 0);
		free(found);
	} else {
		assert_int_equal(conf_locate("weir-none", &found, ifname, &e), -ENOENT);
		assert_int_equal(e.exit, EXIT_CONFIG);
	}
	assert_int_equal(conf_locate("./none.conf", &found, ifname, &e), -ENOENT);
	assert_int_equal(chdir("/"), 0);
	free(path);
	free(odd);
}

/* ---- out and in again ---- */

static const char full[] = HEAD
	"ListenPort = 1000\nMetrics = unix:/run/m x\nFwMark = 7\nAddress = 10.0.0.1/24\nDNS = 1.1.1.1, "
	"a.b\nMTU = 1400\nTable = 9\n"
	"PreUp = a\nPostUp = b # %i\nPostUp = c\nPreDown = d\nPostDown = e\n"
	"[Relay]\nUrl = rels://a.example, rel://b\nToken = " TOKEN "\nPin = " KEY_A "\nProxy = p:1\n"
	"[Ice]\nStun = s:1\nTurn = t:1\nTurnUser = u\nTurnPassword = w\nTurnTransport = tcp\nTurn = v:1\n"
	"Tcp = yes\nUpnp = yes\nTurnOnly = yes\nFastSocket = no\n" PEER "PresharedKey = " PSK
	"\nRelay = rels://r.example\nMode = relay-only"
	"\nName = x\nAllowedIPs = 10.0.0.2/32, fd00::/8\nEndpoint = [fe80::1%lo]:1\nPersistentKeepalive = 7\n"
	"[Peer]\nPublicKey = " KEY_B "\nEndpoint = a.b:2\n[Peer]\nPublicKey = " PSK
	"\nEndpoint = 192.0.2.1:2\n";

static char *strip(const struct conf *c)
{
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	conf_strip(c, f);
	fclose(f);
	return text;
}

static void strip_reads_back(void **state)
{
	struct conf *c = good(full), *again;
	char *plain = strip(c), *twice;

	(void)state;
	assert_null(strstr(plain, "DNS"));
	assert_null(strstr(plain, "PostUp"));
	assert_null(strstr(plain, "Name"));
	assert_null(strstr(plain, "Relay"));
	assert_null(strstr(plain, "Ice"));
	assert_null(strstr(plain, "Mode"));
	assert_null(strstr(plain, "Turn"));
	again = good(plain);
	twice = strip(again);
	assert_string_equal(plain, twice);
	assert_true(key_equal(&again->private_key, &c->private_key));
	assert_int_equal(again->listen_port, 1000);
	assert_int_equal(again->fwmark, 7);
	assert_int_equal(again->peer_count, 3);
	for (size_t i = 0; i < 3; i++) {
		struct conf_peer *a = &c->peers[i], *b = &again->peers[i];

		assert_true(key_equal(&a->public_key, &b->public_key));
		assert_true(key_equal(&a->psk, &b->psk));
		assert_int_equal(a->keepalive, b->keepalive);
		assert_string_equal(a->host, b->host);
		assert_string_equal(a->port, b->port);
		assert_int_equal(a->allowed_count, b->allowed_count);
		for (size_t j = 0; j < a->allowed_count; j++)
			assert_memory_equal(a->allowed[j].addr, b->allowed[j].addr, 16);
	}
	free(plain);
	free(twice);
	conf_free(c);
	conf_free(again);
}

static void encode_decodes(void **state)
{
	struct conf *c = good(full), *again;
	uint8_t *bytes, *second;
	size_t len, second_len;

	(void)state;
	conf_encode(c, &bytes, &len);
	again = conf_decode(bytes, len);
	assert_non_null(again);
	conf_encode(again, &second, &second_len);
	assert_int_equal(len, second_len);
	assert_memory_equal(bytes, second, len);
	assert_string_equal(again->post_up.items[0], "b # wg0");
	assert_string_equal(again->metrics, "unix:/run/m x");
	assert_int_equal(again->metrics_line, c->metrics_line);
	assert_string_equal(again->peers[0].name, "x");
	assert_int_equal(again->peers[0].mode, PEER_RELAY_ONLY);
	assert_string_equal(again->peers[0].relay, "rels://r.example");
	assert_true(conf_network_equal(c, again));
	assert_false(conf_network_equal(c, NULL));
	assert_int_equal(again->network.url_count, 2);
	assert_int_equal(again->network.turn_count, 2);
	assert_string_equal(again->network.turn[0].password, "w");
	assert_null(again->network.turn[1].user);
	assert_int_equal(again->lines.turn[1], c->lines.turn[1]);
	assert_null(again->peers[1].name);
	conf_free(again);
	/* Cut anywhere, it is refused and nothing leaks or is read behind the end. */
	for (size_t cut = 0; cut < len; cut++) {
		uint8_t *part = xmalloc(cut ? cut : 1);

		memcpy(part, bytes, cut);
		assert_null(conf_decode(part, cut));
		free(part);
	}
	/* And with any one byte changed it may be another configuration, but never a crash. */
	for (size_t at = 0; at < len; at++) {
		bytes[at] ^= 0xff;
		conf_free(conf_decode(bytes, len));
		bytes[at] ^= 0xff;
	}
	free(bytes);
	free(second);
	conf_free(c);
}

/* ---- what we tell users to write ---- */

static char *source_text(const char *name)
{
	char *path = xasprintf("%s/%s", SOURCE_FOLDER, name), *text = NULL;
	struct error e = {0};
	size_t len;

	if (file_read(path, &text, &len, 1 << 20, &e))
		fail_msg("%s", e.text);
	free(path);
	return text;
}

/* Without an error, without a warning, and clean to lint. */
static void must_be_clean(const char *text, const char *what)
{
	struct conf_messages m;
	struct conf *c = parse(text, &m);

	if (c)
		conf_lint(c, &m);
	if (!c || m.count) {
		conf_messages_print(&m, what, stderr);
		fail_msg("an example is not clean: %s", what);
	}
	conf_messages_clear(&m);
	conf_free(c);
}

static void manual_examples_are_good(void **state)
{
	char *man = source_text("man/weir.conf.5"), *at = man;
	int count = 0;

	(void)state;
	while ((at = strstr(at, ".Bd -literal -offset indent\n[Interface]\n"))) {
		char *end = strstr(at, "\n.Ed\n");

		assert_non_null(end);
		end[1] = '\0';
		must_be_clean(strchr(at, '\n') + 1, "weir.conf(5)");
		at = end + 2;
		count++;
	}
	assert_int_equal(count, 5);
	free(man);
}

static void shipped_examples_are_good(void **state)
{
	static const char *const names[] = {"server", "client", "site", "meet"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char *name = xasprintf("contrib/examples/%s.conf", names[i]), *text = source_text(name);

		must_be_clean(text, name);
		free(text);
		free(name);
	}
}

static void manual_has_every_keyword(void **state)
{
	char *man = source_text("man/weir.conf.5");

	(void)state;
	for (int i = 0; i < KEYWORDS; i++) {
		char *item = xasprintf("\n.It Cm %s ", keyword_table[i].name);

		if (!strstr(man, item))
			fail_msg("weir.conf(5) does not have %s", keyword_table[i].name);
		free(item);
	}
	free(man);
}

static void distances(void **state)
{
	(void)state;
	assert_int_equal(word_distance("Address", "address"), 0);
	assert_int_equal(word_distance("Adress", "Address"), 1);
	assert_int_equal(word_distance("MUT", "MTU"), 1);
	assert_int_equal(word_distance("", "MTU"), 3);
	assert_int_equal(word_distance("kitten", "sitting"), 3);
	assert_int_equal(keyword_nearest(SECTION_PEER, "endpoin"), KEYWORD_Endpoint);
	assert_int_equal(keyword_nearest(SECTION_PEER, "x"), KEYWORDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_whole_file),
		cmocka_unit_test(defaults),
		cmocka_unit_test(names_from_comments),
		cmocka_unit_test(bad_interface_values),
		cmocka_unit_test(bad_peer_values),
		cmocka_unit_test(keys_stay_secret),
		cmocka_unit_test(key_lengths_are_told),
		cmocka_unit_test(all_errors_are_told_in_order),
		cmocka_unit_test(whole_file_faults),
		cmocka_unit_test(repeated_keyword_warns),
		cmocka_unit_test_setup_teardown(keys_from_files, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(key_from_credential, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(readable_by_all_warns, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(locates, make_folder, remove_folder),
		cmocka_unit_test(strip_reads_back),
		cmocka_unit_test(encode_decodes),
		cmocka_unit_test(manual_examples_are_good),
		cmocka_unit_test(shipped_examples_are_good),
		cmocka_unit_test(manual_has_every_keyword),
		cmocka_unit_test(distances),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
