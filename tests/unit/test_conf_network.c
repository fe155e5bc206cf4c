/* The reader of [Relay], [Ice], and Relay and Mode of a peer. */
#include <string.h>

#include "base/xalloc.h"
#include "config/conf.h"
#include "crypto/primitives.h"
#include "tests/unit/conf_help.h"

static void reads_relays_and_ice(void **state)
{
	struct conf *c = good(HEAD "[RELAY]\n"
				   "Url = rels://a.example, rel://[fd00::1]:8080\n"
				   "url = rels://b.example:444\n"
				   "Secret = two words and, a comma # not of it\n"
				   "Pin = " PSK "\n"
				   "Proxy = http://proxy.example:3128\n"
				   "[Ice]\n"
				   "Stun = stun.example:3478, [2001:db8::5]:3479\n"
				   "Turn = 192.0.2.7:3478\n"
				   "TurnUser = me\n"
				   "TurnPassword = p w\n"
				   "Turn = [2001:db8::7]:5349\n"
				   "TurnUser = you\n"
				   "TurnPassword = q\n"
				   "TurnTransport = TCP\n"
				   "TurnOnly = yes\n"
				   "Upnp = YES\n"
				   "Tcp = yes\n"
				   "FastSocket = no\n"
				   "Enable = no\n" PEER "Relay = rel://c.example:81\nMode = Relay-Only\n"
				   "[Peer]\nPublicKey = " KEY_B "\nMode = plain\n");
	const struct engine_network *n = &c->network;
	struct relay_secret secret;

	(void)state;
	relay_secret_set(&secret, "two words and, a comma", 22);
	assert_int_equal(n->url_count, 3);
	assert_string_equal(n->urls[0], "rels://a.example");
	assert_string_equal(n->urls[1], "rel://[fd00::1]:8080");
	assert_string_equal(n->urls[2], "rels://b.example:444");
	assert_int_equal(c->lines.urls[2], 5);
	assert_true(n->has_secret);
	assert_memory_equal(&n->secret, &secret, sizeof(secret));
	assert_int_equal(n->token_len, 0);
	assert_string_equal(n->pin, PSK);
	assert_string_equal(n->proxy, "http://proxy.example:3128");
	assert_null(n->ca_file);
	assert_int_equal(n->stun_count, 2);
	assert_string_equal(n->stun[1], "[2001:db8::5]:3479");
	assert_int_equal(n->turn_count, 2);
	assert_string_equal(n->turn[0].host, "192.0.2.7");
	assert_string_equal(n->turn[0].port, "3478");
	assert_string_equal(n->turn[0].user, "me");
	assert_string_equal(n->turn[0].password, "p w");
	assert_false(n->turn[0].tcp);
	assert_string_equal(n->turn[1].host, "2001:db8::7");
	assert_string_equal(n->turn[1].password, "q");
	assert_true(n->turn[1].tcp);
	assert_true(n->turn_only && n->upnp && n->ice_tcp && n->no_fast && n->ice_off);
	assert_string_equal(c->peers[0].relay, "rel://c.example:81");
	assert_int_equal(c->peers[0].mode, PEER_RELAY_ONLY);
	assert_null(c->peers[1].relay);
	assert_int_equal(c->peers[1].mode, PEER_PLAIN);
	conf_free(c);
	c = good(HEAD "[Relay]\nToken = " TOKEN "\n" PEER "Mode = auto\n");
	assert_false(c->network.has_secret);
	assert_int_equal(c->network.token_len, 43);
	assert_memory_equal(c->network.token + 33, "1893456000", 10);
	assert_int_equal(c->peers[0].mode, PEER_AUTO);
	conf_free(c);
}

static void bad_network_values(void **state)
{
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"
	static const struct wrong relay[] = {
		{"Url = https://a.example", "f:4:7: error: \"https://a.example\" is no URL of a relay",
		 "write rels:// for"},
		{"Url = ws://a.example", "f:4:7: error:", "write rel:// for"},
		{"Url = rels://ok.example, a.example:443", "f:4:26: error: \"a.example:443\" is no URL",
		 "rels://HOST"},
		{"Url = rels://a.example:0", "f:4:7: error:", "rels://HOST"},
		{"Url = rel://a,rel://b,rel://c,rel://d,rel://e,rel://f,rel://g,rel://h,rel://i",
		 "f:4:71: error: more than 8 relays", ""},
		{"Secret =", "f:4:9: error: Secret is empty", "--auth-secret"},
		{"SecretFile = x", "f:4:14: error: SecretFile is not read here", ""},
		{"CaFile = x", "f:4:10: error: CaFile is not read here", ""},
		{"Token = AAAA", "f:4:9: error: Token holds no relay token", "weir-protocol(7)"},
		{"Token = *", "f:4:9: error: Token holds no relay token", "weir-protocol(7)"},
		{"Token = " LONG LONG, "f:4:9: error: Token holds no relay token", "weir-protocol(7)"},
		{"Secret = a\nToken = " TOKEN,
		 "f:5:9: error: Secret and Token are both given, the other on line 4", "keep one"},
		{"Pin = abc", "f:4:7: error: Pin is not 32 bytes in base64", "SPKI"},
		{"Proxy = proxy.example", "f:4:9: error: proxy \"proxy.example\" has no port", "HOST:PORT"},
		{"Proxy = http://u:p@proxy.example:1", "f:4:9: error: Proxy has a user or a password",
		 "HOST:PORT"},
		{"Relay = rel://x", "f:4:1: error: Relay is not for [Relay]", "belongs in [Peer]"},
		{"Urls = x", "f:4:1: error: unknown keyword \"Urls\" in [Relay]", "did you mean \"Url\"?"},
		{"[Relais]", "f:4:1: error: unknown section \"[Relais]\"", "did you mean [Relay]?"},
		{"[Icee]", "f:4:1: error: unknown section \"[Icee]\"", "did you mean [Ice]?"},
	};
	static const struct wrong ice[] = {
		{"Enable = maybe", "f:4:10: error: Enable is \"maybe\"", "yes or no"},
		{"Tcp = true", "f:4:7: error: Tcp is \"true\"", "yes or no"},
		{"Stun = stun.example", "f:4:8: error: server \"stun.example\" has no port", "3478"},
		{"Stun = a:1, b:1, c:1, d:1, e:1", "f:4:28: error: more than 4 STUN servers", ""},
		{"Turn = 2001:db8::1:1", "f:4:8: error: server", "without brackets"},
		{"Turn = a:1, b:1", "f:4:8: error: Turn is one server", "its own line"},
		{"Turn = a\nTurnUser = x\nTurnPassword = y\nTurnTransport = z", "f:4:8: error: server \"a\"",
		 "3478"},
		{"Turn = a:1\nTurn = b:1\nTurn = c:1\nTurn = d:1\nTurn = e:1\nTurn = f:1\nTurn = g:1\nTurn = "
		 "h:1\n"
		 "Turn = i:1\nTurnUser = x",
		 "f:12:8: error: more than 8 TURN servers", ""},
		{"TurnUser = x", "f:4:12: error: no Turn stands above TurnUser", "HOST:PORT first"},
		{"TurnTransport = tcp", "f:4:17: error: no Turn stands above", "HOST:PORT first"},
		{"Turn = a:1\nTurnUser =", "f:5:11: error: TurnUser has 0", "127"},
		{"Turn = a:1\nTurnPassword = " LONG LONG, "f:5:16: error: TurnPassword has 140", "127"},
		{"Turn = a:1\nTurnTransport = tls", "f:5:17: error: \"tls\" is no transport", "udp or tcp"},
		{"Turn = a:1\nTurnPasswordFile = x", "f:5:20: error: TurnPasswordFile is not read here", ""},
		{"FastSockets = no", "f:4:1: error: unknown keyword", "did you mean \"FastSocket\"?"},
		{"Mode = auto", "f:4:1: error: Mode is not for [Ice]", "belongs in [Peer]"},
	};
	static const struct wrong peer[] = {
		{"Mode = relay", "f:5:8: error: \"relay\" is no mode of a peer", "auto, plain or relay-only"},
		{"Relay = http://a.example", "f:5:9: error: \"http://a.example\" is no URL", "write rel://"},
		{"Url = rel://x", "f:5:1: error: Url is not for [Peer]", "belongs in [Relay]"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(relay) / sizeof(*relay); i++)
		expect_wrong(HEAD "[Relay]\n", &relay[i]);
	for (size_t i = 0; i < sizeof(ice) / sizeof(*ice); i++)
		expect_wrong(HEAD "[Ice]\n", &ice[i]);
	for (size_t i = 0; i < sizeof(peer) / sizeof(*peer); i++)
		expect_wrong(HEAD PEER, &peer[i]);
}

/* Lines about one Turn say nothing about the next. */
static void turn_lines_belong_to_the_turn_above(void **state)
{
	struct conf_messages m;
	struct conf *c =
		parse(HEAD "[Ice]\nTurn = a:1\nTurnUser = x\nTurn = b:1\nTurnUser = y\nTurnUser = z\n", &m);

	(void)state;
	assert_non_null(c);
	assert_string_equal(c->network.turn[0].user, "x");
	assert_string_equal(c->network.turn[1].user, "z");
	assert_null(c->network.turn[1].password);
	assert_int_equal(m.count, 1); /* TurnUser twice below b */
	assert_int_equal(m.items[0].line, 8);
	conf_messages_clear(&m);
	conf_free(c);
}

static void network_secrets_from_files(void **state)
{
	char *files[] = {write_file("secret", "supersecret # all of it\n", 0600),
			 write_file("token", TOKEN "\n", 0604),
			 write_file("password", "\n  pass word \n", 0600), write_file("ca.pem", "", 0644),
			 write_file("empty", "\n", 0600)};
	char *path = write_file("wg0.conf",
				HEAD "[Relay]\nSecretFile = secret\nCaFile = ./ca.pem\n"
				     "[Ice]\nTurn = a:1\nTurnUser = u\nTurnPasswordFile = password\n",
				0600);
	char *ca = xasprintf("%s/./ca.pem", folder);
	struct conf_messages m = {0};
	struct conf *c = conf_read(path, "wg0", &m);
	struct relay_secret secret;

	(void)state;
	assert_non_null(c);
	assert_int_equal(m.count, 0);
	relay_secret_set(&secret, "supersecret # all of it", 23);
	assert_memory_equal(&c->network.secret, &secret, sizeof(secret));
	assert_string_equal(c->network.turn[0].password, "pass word");
	assert_string_equal(c->network.ca_file, ca);
	conf_free(c);
	free(path);

	path = write_file("wg0.conf", HEAD "[Relay]\nTokenFile = token\n", 0600);
	c = conf_read(path, "wg0", &m);
	assert_non_null(c);
	assert_int_equal(c->network.token_len, 43);
	assert_int_equal(m.count, 1);
	assert_non_null(strstr(m.items[0].text, "every user may read the token in"));
	conf_messages_clear(&m);
	conf_free(c);
	free(path);

	path = write_file("wg0.conf",
			  HEAD "[Relay]\nSecretFile = empty\nCaFile = none.pem\n[Ice]\nTurn = a:1\n"
			       "TurnPassword = x\nTurnPasswordFile = empty\n",
			  0600);
	assert_null(conf_read(path, "wg0", &m));
	assert_int_equal(m.errors, 3);
	assert_non_null(strstr(m.items[0].text, "SecretFile is empty"));
	assert_non_null(strstr(m.items[1].text, "none.pem: No such file"));
	assert_non_null(strstr(m.items[2].text, "TurnPasswordFile has 0"));
	conf_messages_clear(&m);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++)
		free(files[i]);
	free(path);
	free(ca);
}

/* A secret of a relay is one too, but the name of its file is none. */
static void open_file_with_relay_secret_warns(void **state)
{
	struct conf_messages m = {0};
	char *path;

	(void)state;
	free(write_file("k", PRIVATE, 0600));
	free(write_file("s", "x", 0600));
	path = write_file("wg0.conf", "[Interface]\nPrivateKeyFile = k\n[Relay]\nSecretFile = s\n", 0644);
	conf_free(conf_read(path, "wg0", &m));
	assert_int_equal(m.count, 0);
	free(path);
	path = write_file("wg0.conf", "[Interface]\nPrivateKeyFile = k\n[Relay]\nSecret = s\n", 0644);
	conf_free(conf_read(path, "wg0", &m));
	assert_int_equal(m.count, 1);
	assert_non_null(strstr(m.items[0].text, "mode 0644"));
	conf_messages_clear(&m);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_relays_and_ice),
		cmocka_unit_test(bad_network_values),
		cmocka_unit_test(turn_lines_belong_to_the_turn_above),
		cmocka_unit_test_setup_teardown(network_secrets_from_files, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(open_file_with_relay_secret_warns, make_folder,
						remove_folder),
	};

	crypto_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
